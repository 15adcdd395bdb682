//! What nt-sys declares, read from its source files.
//!
//! The files are ours and formatted by rustfmt, so lines are enough: no Rust parser is needed.

use std::{collections::BTreeMap, path::Path};

use anyhow::Result;

use crate::tool;

/// A declared structure or union.
pub struct Declared {
    /// Path of the module from the crate's root: empty, `net`, ...
    pub module: &'static str,
    /// Fields in order, with their types' text.
    pub fields: Vec<(String, String)>,
}

/// The declarations of nt-sys.
#[derive(Default)]
pub struct Sources {
    structures: BTreeMap<String, Declared>,
    /// Alias to structure, `IRP` to `_IRP`.
    aliases: BTreeMap<String, (&'static str, String)>,
    /// Constants outside enumerations: name to module.
    pub constants: BTreeMap<String, &'static str>,
    /// Enumerations: name to module and members.
    pub enums: BTreeMap<String, (&'static str, Vec<String>)>,
    /// Entries of the function tables: `own` or `net` to names.
    pub entries: BTreeMap<&'static str, Vec<String>>,
    /// Methods that set bit-fields: structure to method names.
    pub setters: BTreeMap<String, Vec<String>>,
}

const FILES: &[(&str, &str)] = &[
    ("own/types.rs", ""),
    ("own/status.rs", ""),
    ("own/wdf.rs", ""),
    ("bind.rs", "bind"),
    ("net.rs", "net"),
    ("wsk.rs", "wsk"),
    ("cng.rs", "cng"),
];

impl Sources {
    pub fn load(root: &Path) -> Result<Self> {
        let mut sources = Self::default();
        for (file, module) in FILES {
            sources.scan(&tool::read(&root.join("crates/nt-sys/src").join(file))?, module);
        }
        Ok(sources)
    }

    fn scan(&mut self, text: &str, module: &'static str) {
        let mut structure: Option<(String, Declared)> = None;
        let mut enumeration: Option<(String, Vec<String>)> = None;
        let mut implementation: Option<String> = None;
        for line in text.lines() {
            let code = line.trim_start();
            if let Some((name, mut declared)) = structure.take() {
                if code == "}" {
                    self.structures.insert(name, declared);
                } else {
                    let field = code.trim_start_matches("pub ").trim_end_matches(',');
                    if let Some((field, kind)) = field.split_once(": ") {
                        declared.fields.push((field.to_owned(), kind.to_owned()));
                    }
                    structure = Some((name, declared));
                }
                continue;
            }
            if let Some(rest) = code.strip_prefix("pub struct ").or_else(|| code.strip_prefix("pub union ")) {
                if let Some(name) = rest.strip_suffix(" {") {
                    structure = Some((name.to_owned(), Declared { module, fields: Vec::new() }));
                }
            } else if let Some(rest) = code.strip_prefix("pub mod ") {
                enumeration = rest.strip_suffix(" {").map(|name| (name.to_owned(), Vec::new()));
            } else if line == "}" {
                if let Some((name, members)) = enumeration.take()
                    && !members.is_empty()
                {
                    self.enums.insert(name, (module, members));
                }
                implementation = None;
            } else if let Some(rest) = code.strip_prefix("pub const fn set_") {
                if let (Some(owner), Some((method, _))) = (&implementation, rest.split_once('(')) {
                    self.setters.entry(owner.clone()).or_default().push(method.to_owned());
                }
            } else if let Some(rest) = code.strip_prefix("pub const ") {
                let Some((name, kind)) = rest.split_once(": ") else {
                    continue;
                };
                if kind.starts_with("Entry<") {
                    let table = if module == "net" { "net" } else { "own" };
                    self.entries.entry(table).or_default().push(name.to_owned());
                } else if let Some((_, members)) = &mut enumeration {
                    members.push(name.to_owned());
                } else if !line.starts_with(' ') {
                    self.constants.insert(name.to_owned(), module);
                }
            } else if let Some(rest) = code.strip_prefix("pub type ") {
                if let Some((alias, target)) = rest.trim_end_matches(';').split_once(" = ") {
                    self.aliases.insert(alias.to_owned(), (module, target.to_owned()));
                }
            } else if let Some(rest) = line.strip_prefix("impl ") {
                implementation = rest.strip_suffix(" {").map(str::to_owned);
            }
        }
    }

    /// The structure a name stands for, and the module where that name is.
    pub fn structure(&self, name: &str) -> Option<(&'static str, &Declared)> {
        if let Some(declared) = self.structures.get(name) {
            return Some((declared.module, declared));
        }
        let (module, target) = self.aliases.get(name)?;
        let (_, declared) = self.structure(target)?;
        Some((module, declared))
    }

    /// The members to name in `offset_of!` for a field whose C path is `path`, through members without a name.
    pub fn resolve(&self, structure: &Declared, path: &[&str]) -> Option<Vec<String>> {
        let Some((first, rest)) = path.split_first() else {
            return Some(Vec::new());
        };
        for (field, kind) in &structure.fields {
            if field == first {
                if rest.is_empty() {
                    return Some(vec![field.clone()]);
                }
                let (_, inner) = self.structure(kind)?;
                let mut found = vec![field.clone()];
                found.extend(self.resolve(inner, rest)?);
                return Some(found);
            }
        }
        for (field, kind) in &structure.fields {
            // `System`: the view of NET_ADAPTER_RX_CAPABILITIES that C leaves without a name.
            if field.starts_with("__bindgen_anon_") || field == "System" {
                let Some((_, inner)) = self.structure(kind) else {
                    continue;
                };
                if let Some(rest) = self.resolve(inner, path) {
                    let mut found = vec![field.clone()];
                    found.extend(rest);
                    return Some(found);
                }
            }
        }
        None
    }
}
