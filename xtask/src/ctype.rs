//! C types as the facts spell them, turned into Rust as bindgen would.

use std::collections::BTreeSet;

/// Turns C types into Rust, and remembers every name it met.
#[derive(Default)]
pub struct Translator {
    /// Names of types that the Rust text refers to.
    pub used: BTreeSet<String>,
    /// Names used as enumerations.
    pub enums: BTreeSet<String>,
    /// `WDFDEVICE` of `struct WDFDEVICE__ *`.
    pub handles: BTreeSet<String>,
}

/// The parameters and the result of a function pointer type.
pub struct Function {
    pub parameters: Vec<String>,
    pub result: Option<String>,
}

impl Function {
    /// `(a0: A, a1: B) -> C` without the first `skip` parameters.
    pub fn signature(&self, skip: usize) -> String {
        let parameters: Vec<_> =
            self.parameters.iter().enumerate().skip(skip).map(|(index, kind)| format!("a{index}: {kind}")).collect();
        let result = self.result.as_ref().map(|result| format!(" -> {result}")).unwrap_or_default();
        format!("({}){result}", parameters.join(", "))
    }

    /// The pointer's type.
    pub fn pointer(&self) -> String {
        format!("::core::option::Option<unsafe extern \"C\" fn{}>", self.signature(0))
    }
}

impl Translator {
    /// A type. `wide` is what `unsigned long long` stands for: the facts do not tell `size_t` from `ULONG_PTR`.
    pub fn rust(&mut self, c_type: &str, wide: &str) -> String {
        let c_type = c_type.trim();
        if let Some(function) = self.function(c_type, wide) {
            return function.pointer();
        }
        if let Some((element, length)) = c_type.strip_suffix(']').and_then(|text| text.rsplit_once('[')) {
            return format!("[{}; {length}usize]", self.rust(element, wide));
        }
        if let Some(target) = c_type.strip_suffix('*') {
            let target = target.trim();
            if let Some(handle) = target.strip_prefix("struct ").and_then(|name| name.strip_suffix("__")) {
                self.handles.insert(handle.to_owned());
                return handle.to_owned();
            }
            let constant = !target.ends_with('*') && target.split(' ').any(|word| word == "const");
            let target = self.rust(target, wide);
            return format!("*{} {target}", if constant { "const" } else { "mut" });
        }
        let words: Vec<_> = c_type.split_whitespace().filter(|word| !matches!(*word, "const" | "volatile")).collect();
        let name = match words.as_slice() {
            ["void"] => return "::core::ffi::c_void".to_owned(),
            ["char"] => "CHAR",
            ["unsigned", "char"] => "UCHAR",
            ["short"] => "SHORT",
            ["unsigned", "short"] => "USHORT",
            ["int"] => "INT",
            ["long"] => "LONG",
            ["unsigned", "long"] => "ULONG",
            ["long", "long"] => "LONGLONG",
            ["unsigned", "long", "long"] => wide,
            ["enum", name] => {
                self.enums.insert((*name).to_owned());
                return format!("{name}::Type");
            }
            ["struct" | "union", name] | [name] => name,
            _ => c_type,
        };
        self.used.insert(name.to_owned());
        name.to_owned()
    }

    /// A function pointer type, `R (*)(A, B)`.
    pub fn function(&mut self, c_type: &str, wide: &str) -> Option<Function> {
        let (result, parameters) = c_type.strip_suffix(')')?.split_once("(*)(")?;
        let parameters = split(parameters)
            .into_iter()
            .filter(|parameter| *parameter != "void")
            .map(|parameter| self.rust(parameter, wide))
            .collect();
        let result = match result.trim() {
            "void" => None,
            // In these headers a signed `long` is a status.
            "long" => Some("NTSTATUS".to_owned()),
            result => Some(self.rust(result, wide)),
        };
        Some(Function { parameters, result })
    }
}

/// Splits at the commas outside parentheses.
fn split(list: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0, 0);
    for (at, character) in list.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(list[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    if !list[start..].trim().is_empty() {
        parts.push(list[start..].trim());
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rust(c_type: &str) -> String {
        Translator::default().rust(c_type, "size_t")
    }

    #[test]
    fn plain_types() {
        assert_eq!(rust("PVOID[4]"), "[PVOID; 4usize]");
        assert_eq!(rust("void *[4]"), "[*mut ::core::ffi::c_void; 4usize]");
        assert_eq!(rust("volatile USHORT"), "USHORT");
        assert_eq!(rust("const struct _UNICODE_STRING *"), "*const _UNICODE_STRING");
        assert_eq!(rust("struct WDFDEVICE__ **"), "*mut WDFDEVICE");
        assert_eq!(rust("enum _POOL_TYPE"), "_POOL_TYPE::Type");
    }

    #[test]
    fn function_pointers_within_parameters() {
        let mut translator = Translator::default();
        let function = translator.function(
            "long (*)(struct _WDF_DRIVER_GLOBALS *, void (*)(struct WDFREQUEST__ *, int), unsigned long long)",
            "ULONG_PTR",
        );
        let Some(function) = function else { panic!("not a function") };
        assert_eq!(
            function.signature(1),
            "(a1: ::core::option::Option<unsafe extern \"C\" fn(a0: WDFREQUEST, a1: INT)>, a2: ULONG_PTR) -> NTSTATUS"
        );
    }
}
