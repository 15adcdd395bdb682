//! The text of the stand-in for wdk-sys.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use anyhow::Result;

use crate::{
    ctype::Translator,
    facts::{Facts, Field, Layout},
};

const BASE: &str = include_str!("base.rs.txt");

const HEAD: &str = "\
//! Stand-in for wdk-sys: its names and types, nothing behind them. Made by `cargo xtask wdk-check`.
#![no_std]
#![allow(warnings)]
";

/// Beginnings of names that wdk-sys does not have: other headers' and the loader's.
const FOREIGN: &[&str] = &[
    "NET_",
    "WSK_",
    "BCRYPT",
    "BCrypt",
    "SOCK",
    "IN_",
    "IN6_",
    "NPIID",
    "SCOPE_ID",
    "CMSGHDR",
    "WSACMSGHDR",
    "MARKER_TYPE",
    "WDF_BIND_INFO",
    "WDF_CLASS_",
    "WDF_VERSION",
    "SIO_",
    "SO_",
    "SOL_",
    "AF_",
    "IP_",
    "IPV6_",
    "IPPROTO",
    "TCP_",
    "MSG_",
    "INADDR_",
    "_NET_",
    "_NDIS_",
    "IF_PHYSICAL",
];

/// Functions whose `unsigned long long` is `ULONG_PTR`; everywhere else in KMDF it is `size_t`.
const ULONG_PTR: &[&str] = &[
    "PFN_WDFREQUESTCOMPLETEWITHINFORMATION",
    "PFN_WDFREQUESTSETINFORMATION",
    "PFN_WDFREQUESTGETINFORMATION",
    "PFN_WDFVERIFIERKEBUGCHECK",
];

fn foreign(name: &str) -> bool {
    FOREIGN.iter().any(|start| name.starts_with(start))
}

/// The whole crate. `ntddk` is our own declaration of the kernel's functions: the facts have none, so the
/// stand-in repeats it.
pub fn wdk_sys(facts: &Facts, ntddk: &str) -> Result<String> {
    let mut text = format!("{HEAD}{BASE}\n");
    let mut types = Translator::default();

    let layouts = facts.layouts()?;
    let known: BTreeMap<&str, &Layout> = layouts.iter().map(|layout| (layout.name, layout)).collect();
    for layout in &layouts {
        let name = layout.name;
        if foreign(name) || defined(BASE, name) {
            continue;
        }
        if !defined(BASE, &format!("_{name}")) {
            Structures { known: &known, types: &mut types, text: &mut text }.top(layout)?;
        }
        writeln!(text, "pub type {name} = _{name};")?;
        if !defined(BASE, &format!("P{name}")) {
            writeln!(text, "pub type P{name} = *mut _{name};")?;
        }
    }

    for (name, members) in facts.enums()? {
        if foreign(name) {
            continue;
        }
        writeln!(text, "pub mod {name} {{\n    pub type Type = ::core::ffi::c_int;")?;
        for (member, value) in members {
            writeln!(text, "    pub const {member}: Type = {value};")?;
        }
        text.push_str("}\n");
        if let Some(alias) = name.strip_prefix('_') {
            writeln!(text, "pub use self::{name}::Type as {alias};")?;
        }
    }

    for (name, value) in facts.constants()?.into_iter().filter(|(name, _)| !foreign(name)) {
        let kind = if name.starts_with("STATUS_") {
            "NTSTATUS"
        } else if name.starts_with("POOL_FLAG_") {
            "POOL_FLAGS"
        } else if u32::try_from(value).is_ok() {
            "u32"
        } else if i32::try_from(value).is_ok() {
            "i32"
        } else {
            "i64"
        };
        writeln!(text, "pub const {name}: {kind} = {value};")?;
    }

    functions(facts, &mut types, &mut text)?;
    text.push_str("pub mod ntddk {\n    use crate::*;\n    unsafe extern \"C\" {\n");
    text.push_str(&declarations(ntddk));
    text.push_str("    }\n}\n");
    rest(&types, &mut text)?;
    Ok(text)
}

/// Whether a type of this name is defined in a piece of text.
fn defined(text: &str, name: &str) -> bool {
    text.lines().any(|line| {
        let Some(line) = line.strip_prefix("pub ") else { return false };
        let mut words = line.split([' ', ';', '{', '(']);
        match words.next() {
            Some("type" | "struct" | "union" | "mod") => words.next() == Some(name),
            Some("use") => line
                .strip_suffix(';')
                .and_then(|line| line.rsplit_once(" as "))
                .is_some_and(|(_, as_name)| as_name == name),
            _ => false,
        }
    })
}

/// Writes structures with the members C leaves without a name, bit-fields and padding as opaque members.
struct Structures<'a> {
    known: &'a BTreeMap<&'a str, &'a Layout<'a>>,
    types: &'a mut Translator,
    text: &'a mut String,
}

/// A structure within a layout.
struct Piece<'a> {
    name: String,
    kind: &'a str,
    /// Its offset in the outermost structure.
    start: u64,
    size: u64,
    /// Known of the outermost one only.
    align: Option<u64>,
    /// Its own fields have paths of one name more than this.
    depth: usize,
    fields: Vec<&'a Field<'a>>,
}

impl Structures<'_> {
    fn top(&mut self, layout: &Layout) -> Result<()> {
        let fields: Vec<&Field> = layout.fields.iter().collect();
        let name = format!("_{}", layout.name);
        if fields.is_empty() {
            writeln!(self.text, "pub type {name} = u{};", layout.size * 8)?;
            return Ok(());
        }
        let (kind, size, align) = (layout.kind, layout.size, Some(layout.align));
        self.one(&Piece { name, kind, start: 0, size, align, depth: 0, fields })?;
        Ok(())
    }

    /// Writes one structure; returns its alignment.
    fn one(&mut self, piece: &Piece) -> Result<u64> {
        let Piece { ref name, kind, start, size, align, depth, ref fields } = *piece;
        let mut members = String::new();
        let (mut end, mut widest, mut nested, mut paddings, mut blobs) = (start, 1, 0, 0, 0);
        let mut index = 0;
        while index < fields.len() {
            let field = fields[index];
            let inner: Vec<&Field> = fields[index + 1..]
                .iter()
                .take_while(|next| next.path.len() > depth + 1 && next.path[depth] == field.path[depth])
                .copied()
                .collect();
            let after = index + 1 + inner.len();
            if field.anonymous || field.bit_offset.is_some() {
                // Up to the next named field of this level, or the end.
                let next = fields[index..]
                    .iter()
                    .position(|field| field.path.len() == depth + 1 && !field.anonymous && field.bit_offset.is_none());
                let stop = next
                    .and_then(|offset| fields[index + offset].offset)
                    .filter(|stop| *stop > end || kind == "union")
                    .unwrap_or(start + size);
                let begin = if kind == "union" { start } else { field.offset.unwrap_or(end).max(end) };
                let bytes = if kind == "union" { size } else { stop.saturating_sub(begin) };
                blobs += 1;
                let unit = [8, 4, 2, 1].into_iter().find(|unit| begin % unit == 0 && bytes % unit == 0).unwrap_or(1);
                if bytes > 0 {
                    writeln!(members, "    pub __bindgen_anon_{blobs}: [u{}; {}usize],", unit * 8, bytes / unit)?;
                    widest = widest.max(unit);
                    end = end.max(begin + bytes);
                }
                index = next.map_or(fields.len(), |offset| index + offset);
                continue;
            }
            let offset = field.offset.unwrap_or(end);
            let length = field.size.unwrap_or(0);
            let (rust, natural) = if matches!(field.c_type, "struct" | "union") && !inner.is_empty() {
                nested += 1;
                let rust = format!("{name}__bindgen_ty_{nested}");
                let natural = self.one(&Piece {
                    name: rust.clone(),
                    kind: field.c_type,
                    start: offset,
                    size: length,
                    align: None,
                    depth: depth + 1,
                    fields: inner,
                })?;
                (rust, natural)
            } else {
                (self.types.rust(field.c_type, "size_t"), self.natural(field.c_type, length))
            };
            if kind == "struct" && offset > end.next_multiple_of(natural) {
                writeln!(members, "    pub __bindgen_padding_{paddings}: [u8; {}usize],", offset - end)?;
                paddings += 1;
            }
            let leaf = match field.path[depth] {
                "type" => "type_",
                leaf => leaf,
            };
            writeln!(members, "    pub {leaf}: {rust},")?;
            widest = widest.max(natural);
            end = end.max(offset + length);
            index = after;
        }
        let attribute = align.filter(|align| *align > widest).map(|align| format!("#[repr(align({align}))]\n"));
        if kind == "struct" && align.is_none() && (end - start).next_multiple_of(widest) < size {
            writeln!(members, "    pub __bindgen_padding_{paddings}: [u8; {}usize],", start + size - end)?;
        }
        write!(
            self.text,
            "#[repr(C)]\n{}#[derive(Copy, Clone)]\npub {kind} {name} {{\n{members}}}\n",
            attribute.unwrap_or_default()
        )?;
        Ok(widest)
    }

    /// Alignment of a type of this size.
    fn natural(&self, c_type: &str, size: u64) -> u64 {
        let element = c_type.split('[').next().unwrap_or(c_type);
        let count = c_type
            .strip_suffix(']')
            .and_then(|text| text.rsplit_once('['))
            .and_then(|(_, count)| count.parse::<u64>().ok())
            .unwrap_or(1);
        let name = element.trim().trim_start_matches("volatile ").trim_start_matches("struct _");
        if let Some(layout) = self.known.get(name) {
            return layout.align;
        }
        (size / count.max(1)).clamp(1, 8)
    }
}

/// `PFN_` types, the table's indices and a function of each entry.
fn functions(facts: &Facts, types: &mut Translator, text: &mut String) -> Result<()> {
    let table: BTreeMap<String, (&str, u64)> = facts
        .table("wdf_table")?
        .into_iter()
        .map(|(name, index)| (format!("PFN_{}", name.to_uppercase()), (name, index)))
        .collect();
    let mut wrappers = String::new();
    for (name, c_type) in facts.function_types()? {
        if !name.starts_with("PFN_WDF") || name.contains("BIND_CLASS") {
            continue;
        }
        let wide = if ULONG_PTR.contains(&name) { "ULONG_PTR" } else { "size_t" };
        let Some(function) = types.function(c_type, wide) else { continue };
        writeln!(text, "pub type {name} = {};", function.pointer())?;
        if let Some((entry, index)) = table.get(name) {
            let status = function.result.as_deref() == Some("NTSTATUS");
            let arguments: Vec<_> = (1..function.parameters.len()).map(|index| format!(", a{index}")).collect();
            write!(
                wrappers,
                "    {}pub unsafe fn {entry}{} {{\n        \
                     let f: {name} = unsafe {{ ::core::mem::transmute(*crate::WdfFunctions.add({index})) }};\n        \
                     unsafe {{ f.unwrap()(crate::WdfDriverGlobals{}) }}\n    }}\n",
                if status { "#[must_use]\n    " } else { "" },
                function.signature(1),
                arguments.concat(),
            )?;
        }
    }
    text.push_str("pub mod _WDFFUNCENUM {\n    pub type Type = ::core::ffi::c_int;\n");
    for (name, index) in facts.table("wdf_table")? {
        writeln!(text, "    pub const {name}TableIndex: Type = {index};")?;
    }
    write!(text, "}}\npub mod __table {{\n    use crate::*;\n{wrappers}}}\n")?;
    Ok(())
}

/// The body of our `extern` block, as bindgen would have it: it does not know which functions do not return.
fn declarations(ntddk: &str) -> String {
    let body = ntddk.split_once("unsafe extern \"C\" {\n").map_or("", |(_, body)| body);
    let body = body.rsplit_once('}').map_or(body, |(body, _)| body);
    body.replace(" -> !;", ";")
}

/// Handles, and names that stand behind pointers only.
fn rest(types: &Translator, text: &mut String) -> Result<()> {
    for handle in &types.handles {
        write!(
            text,
            "#[repr(C)]\npub struct {handle}__ {{ pub unused: ::core::ffi::c_int }}\npub type {handle} = *mut {handle}__;\n"
        )?;
    }
    for name in &types.enums {
        if !defined(text, name) {
            writeln!(text, "pub mod {name} {{ pub type Type = ::core::ffi::c_int; }}")?;
        }
    }
    let mut names: BTreeSet<String> = types.used.clone();
    names.extend(["_KTHREAD", "_KPROCESS", "WDFDEVICE_INIT"].map(str::to_owned));
    for name in names {
        if defined(text, &name) || types.handles.contains(&name) {
            continue;
        }
        if name.starts_with('P') && !name.starts_with("POOL_") && !name.starts_with("POWER_") {
            writeln!(text, "pub type {name} = PVOID;")?;
        } else if name.starts_with('_') || name == "WDFDEVICE_INIT" {
            write!(text, "#[repr(C)]\n#[derive(Copy, Clone)]\npub struct {name} {{ _unused: [u8; 0usize] }}\n")?;
        } else {
            // Enumerations without facts.
            writeln!(text, "pub type {name} = ::core::ffi::c_int;")?;
        }
    }
    Ok(())
}
