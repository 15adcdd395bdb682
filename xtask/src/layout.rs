//! `cargo xtask layout`: crates/nt-sys/src/asserts.rs.

use std::{fmt::Write as _, path::Path};

use anyhow::{Result, bail};

use crate::{facts::Facts, sources::Sources, tool};

const HEAD: &str = "\
//! Written by `cargo xtask layout` from docs/facts/nt-layout.json; do not edit.
//!
//! Every declaration of this crate that the facts know is compared with them when the crate is compiled: with
//! our own declarations for the host and for Windows, and with wdk-sys's. What wdk-sys names differently (the
//! members C leaves without a name) is compared in our own only.

use core::mem::offset_of;

/// SYSTEM_CACHE_ALIGNMENT_SIZE, to which some structures are aligned. All else is the same on ARM64 as on x64.
const CACHE_LINE: usize = if cfg!(target_arch = \"aarch64\") { 128 } else { 64 };

/// Sets a bit-field to ones and asks which bits of its structure became ones.
macro_rules! bits {
    ($structure:ident, $bytes:literal, $setter:ident($ones:expr), $first:literal, $width:literal) => {{
        // SAFETY: integers only.
        let mut value: crate::net::$structure = unsafe { core::mem::zeroed() };
        value.$setter($ones);
        // SAFETY: integers only, without padding.
        let bytes: [u8; $bytes] = unsafe { core::mem::transmute(value) };
        let mut i = 0;
        while i < $bytes * 8 {
            let expected = usize::wrapping_sub(i, $first) < $width;
            assert!((bytes[i / 8] >> (i % 8) & 1 != 0) == expected);
            i += 1;
        }
    }};
}
";

/// What the facts, which are of x64, say of a structure that is aligned to a cache line.
const X64_CACHE_LINE: u64 = 64;
/// Structures of which a member begins the second line, and ends in it.
const SECOND_LINE: &[(&str, &str)] = &[("NET_RING", "Buffer")];

/// Writes the file, or fails when it is out of date.
pub fn run(root: &Path, check: bool) -> Result<()> {
    let path = root.join("crates/nt-sys/src/asserts.rs");
    let (text, counted) = generate(root)?;
    if check {
        if tool::read(&path).ok().as_deref() != Some(&text) {
            bail!("{} is out of date: run `cargo xtask layout`", path.display());
        }
        println!("layout: up to date, {counted}");
    } else {
        tool::write(&path, &text)?;
        println!("layout: {counted}");
    }
    Ok(())
}

/// The file's text, and what it holds in words.
pub fn generate(root: &Path) -> Result<(String, String)> {
    let facts = Facts::load(root)?;
    let sources = Sources::load(root)?;
    let mut text = HEAD.to_owned();
    let (mut structures, mut offsets, mut bits, mut values, mut entries) = (0, 0, 0, 0, 0);

    for layout in facts.layouts()? {
        let name = layout.name;
        let Some((module, declared)) = sources.structure(name) else {
            continue;
        };
        structures += 1;
        let path = path_of(module, name);
        // Of these, only our own half has a declaration under this path.
        let own = module == "bind" && matches!(name, "WDF_BIND_INFO" | "WDF_VERSION");
        let not_wdk = "#[cfg(not(feature = \"wdk\"))]\n";
        writeln!(text, "\n{}const _: () = {{", if own { not_wdk } else { "" })?;
        writeln!(text, "    use {path} as T;")?;
        let second_line = SECOND_LINE.iter().find(|(structure, _)| *structure == name).map(|(_, member)| *member);
        let size = second_line.map_or_else(|| layout.size.to_string(), |_| "2 * CACHE_LINE".to_owned());
        let aligned = layout.align == X64_CACHE_LINE;
        let align = if aligned { "CACHE_LINE".to_owned() } else { layout.align.to_string() };
        writeln!(text, "    assert!(size_of::<T>() == {size});")?;
        writeln!(text, "    assert!(align_of::<T>() == {align});")?;
        let mut anonymous = String::new();
        for field in &layout.fields {
            if let (Some(first), Some(width)) = (field.bit_offset, field.bits) {
                let leaf = field.path.last().copied().unwrap_or_default();
                if sources.setters.get(name).is_some_and(|setters| setters.iter().any(|setter| setter == leaf)) {
                    bits += 1;
                    let ones = if width == 1 { "true".to_owned() } else { format!("(1 << {width}) - 1") };
                    writeln!(text, "    bits!({name}, {}, set_{leaf}({ones}), {first}, {width});", layout.size)?;
                }
                continue;
            }
            let Some(offset) = field.offset else { continue };
            let Some(members) = sources.resolve(declared, &field.path) else {
                continue;
            };
            offsets += 1;
            let ours = members.iter().any(|member| member.starts_with("__bindgen_anon_"));
            let begins = second_line.is_some_and(|member| members == [member]);
            let offset = if begins { "CACHE_LINE".to_owned() } else { offset.to_string() };
            let line = format!("assert!(offset_of!(T, {}) == {offset});", members.join("."));
            if ours && module.is_empty() {
                writeln!(anonymous, "        {line}")?;
            } else {
                writeln!(text, "    {line}")?;
            }
        }
        if !anonymous.is_empty() {
            writeln!(text, "    #[cfg(not(feature = \"wdk\"))]\n    {{\n{anonymous}    }}")?;
        }
        text.push_str("};\n");
    }

    text.push_str("\n// Constants.\nconst _: () = {\n");
    for (name, value) in facts.constants()? {
        if let Some(module) = sources.constants.get(name) {
            values += 1;
            // `SO_DONTLINGER` and its like are complements, declared as unsigned numbers.
            let value = if value < 0 && !name.starts_with("STATUS_") { value & 0xffff_ffff } else { value };
            writeln!(text, "    assert!({} as i64 == {value});", path_of(module, name))?;
        }
    }
    text.push_str("};\n\n// Enumerations.\nconst _: () = {\n");
    for (name, members) in facts.enums()? {
        let Some((module, declared)) = sources.enums.get(name) else {
            continue;
        };
        for (member, value) in members {
            if declared.iter().any(|known| known == member) {
                values += 1;
                writeln!(text, "    assert!({}::{member} as i64 == {value});", path_of(module, name))?;
            }
        }
    }
    text.push_str("};\n\n// Names.\nconst _: () = {\n");
    for (name, value) in facts.strings()? {
        if let Some(module) = sources.constants.get(name) {
            values += 1;
            writeln!(text, "    assert!(same({}, \"{value}\"));", path_of(module, name))?;
        }
    }
    text.push_str("};\n\n// Function tables.\nconst _: () = {\n");
    let kmdf = facts.count("wdf_function_count", "1.15")?;
    let net = facts.count("net_function_count", "2.0")?;
    for (table, own) in [("wdf_table", "own"), ("net_table", "net")] {
        for (name, index) in facts.table(table)? {
            if sources.entries.get(own).is_some_and(|entries| entries.iter().any(|entry| entry == name)) {
                entries += 1;
                let last = if own == "own" { kmdf } else { net };
                if index >= last {
                    bail!("{name} has index {index}, but our client version has {last} functions");
                }
                if own == "own" {
                    writeln!(text, "    assert!(crate::_WDFFUNCENUM::{name}TableIndex as usize == {index});")?;
                } else {
                    writeln!(text, "    assert!(crate::net::table::{name}.index() == {index});")?;
                }
            }
        }
    }
    writeln!(text, "    assert!(crate::net::NET_FUNCTION_COUNT == {net});")?;
    text.push_str("};\n\n#[cfg(not(feature = \"wdk\"))]\nconst _: () = {\n");
    writeln!(text, "    assert!(crate::bind::KMDF_FUNCTION_COUNT == {kmdf});")?;
    if let Some(own) = sources.entries.get("own") {
        for name in own {
            writeln!(
                text,
                "    assert!(crate::__wdf::{name}.index() == crate::_WDFFUNCENUM::{name}TableIndex as usize);"
            )?;
        }
    }
    text.push_str(
        "};

/// Whether a wide string is `text` and a NUL.
const fn same(wide: &[u16], text: &str) -> bool {
    let text = text.as_bytes();
    if wide.len() != text.len() + 1 || wide[text.len()] != 0 {
        return false;
    }
    let mut i = 0;
    while i < text.len() {
        if wide[i] != text[i] as u16 {
            return false;
        }
        i += 1;
    }
    true
}
",
    );

    let counted = format!(
        "{structures} structures, {offsets} offsets, {bits} bit-fields, {values} constants, {entries} table entries"
    );
    Ok((format(root, &text)?, counted))
}

fn path_of(module: &str, name: &str) -> String {
    if module.is_empty() { format!("crate::{name}") } else { format!("crate::{module}::{name}") }
}

/// rustfmt's spelling, so that `cargo fmt` leaves the file alone.
fn format(root: &Path, text: &str) -> Result<String> {
    use std::{
        io::Write as _,
        process::{Command, Stdio},
    };
    let mut child = Command::new("rustfmt")
        .args(["--edition", "2024", "--emit", "stdout"])
        .current_dir(root)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(text.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("rustfmt refused the generated file");
    }
    Ok(String::from_utf8(output.stdout)?)
}
