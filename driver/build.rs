//! The version resource, which every Windows linker takes as a `.res` file; and, with the feature `wdk`, the link flags of a driver from the
//! WDK that wdk-build finds. Without it `cargo xtask driver` gives the linker its flags.

use std::{env, error::Error, fs, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    #[cfg(feature = "wdk")]
    wdk_build::configure_wdk_binary_build().map_err(|error| format!("{error:?}"))?;

    println!("cargo:rerun-if-changed=build.rs");
    if env::var("CARGO_CFG_TARGET_OS")? == "windows" {
        let path = PathBuf::from(env::var("OUT_DIR")?).join("version.res");
        fs::write(&path, resource_file(&version()?))?;
        println!("cargo:rustc-link-arg-cdylib={}", path.display());
    }
    Ok(())
}

/// The contents of VS_VERSIONINFO.
struct Version {
    parts: [u16; 4],
    strings: Vec<(&'static str, String)>,
}

/// What the workspace's manifest says; the fourth part, which cargo does not have, is 0.
fn version() -> Result<Version, Box<dyn Error>> {
    let mut parts = [0; 4];
    for (part, name) in parts.iter_mut().zip(["MAJOR", "MINOR", "PATCH"]) {
        *part = env::var(format!("CARGO_PKG_VERSION_{name}"))?.parse()?;
    }
    let product = env::var("CARGO_PKG_VERSION")?;
    let strings = vec![
        ("CompanyName", "ovpn-dco in Rust".to_owned()),
        ("FileDescription", env::var("CARGO_PKG_DESCRIPTION")?),
        ("FileVersion", format!("{}.{}.{}.{}", parts[0], parts[1], parts[2], parts[3])),
        ("InternalName", "ovpn-dco".to_owned()),
        ("LegalCopyright", env::var("CARGO_PKG_LICENSE")?),
        ("OriginalFilename", "ovpn-dco.sys".to_owned()),
        ("ProductName", "ovpn-dco in Rust".to_owned()),
        ("ProductVersion", product),
    ];
    Ok(Version { parts, strings })
}

/// A resource file of 32-bit Windows: an empty entry that marks the format, then the one resource.
fn resource_file(version: &Version) -> Vec<u8> {
    const RT_VERSION: u16 = 16;
    const VS_VERSION_INFO: u16 = 1;
    let mut file = entry_header(0, 0, 0, 0);
    let data = version_information(version);
    file.extend(entry_header(data.len() as u32, RT_VERSION, VS_VERSION_INFO, ENGLISH));
    file.extend(data);
    align(&mut file);
    file
}

const ENGLISH: u16 = 0x0409;
const UNICODE: u16 = 0x04b0;

/// RESOURCEHEADER, type and name as numbers.
fn entry_header(length: u32, kind: u16, name: u16, language: u16) -> Vec<u8> {
    const HEADER: u32 = 32;
    /// What follows is a number, not a string.
    const NUMBER: u16 = 0xffff;
    let mut bytes = [length.to_le_bytes(), HEADER.to_le_bytes()].concat();
    // Type, name; then the data's version, flags, language, and a version and characteristics that nothing uses.
    let words = [NUMBER, kind, NUMBER, name, 0, 0, 0, language, 0, 0, 0, 0];
    bytes.extend(words.into_iter().flat_map(u16::to_le_bytes));
    bytes
}

/// VS_VERSIONINFO: numbers, then strings, then the language and character set of the strings.
fn version_information(version: &Version) -> Vec<u8> {
    const SIGNATURE: u32 = 0xfeef_04bd;
    const STRUCTURE_VERSION: u32 = 0x0001_0000;
    const VOS_NT_WINDOWS32: u32 = 0x0004_0004;
    const VFT_DRV: u32 = 3;
    const VFT2_DRV_NETWORK: u32 = 6;

    let [a, b, c, d] = version.parts.map(u32::from);
    let (high, low) = (a << 16 | b, c << 16 | d);
    // File version, product version, mask of flags, flags, system, type, subtype, date.
    let fixed = [
        SIGNATURE,
        STRUCTURE_VERSION,
        high,
        low,
        high,
        low,
        0x3f,
        0,
        VOS_NT_WINDOWS32,
        VFT_DRV,
        VFT2_DRV_NETWORK,
        0,
        0,
    ];
    let fixed: Vec<u8> = fixed.into_iter().flat_map(u32::to_le_bytes).collect();
    let strings = version.strings.iter().map(|(name, value)| {
        let value = wide(value);
        // Of a string the length is in characters.
        node(name, value.len() / 2, true, &value, &[])
    });
    let table = node(&format!("{ENGLISH:04x}{UNICODE:04x}"), 0, true, &[], &strings.collect::<Vec<_>>());
    let strings = node("StringFileInfo", 0, true, &[], &[table]);
    let translation = [ENGLISH.to_le_bytes(), UNICODE.to_le_bytes()].concat();
    let translation = node("Translation", translation.len(), false, &translation, &[]);
    let variables = node("VarFileInfo", 0, true, &[], &[translation]);
    node("VS_VERSION_INFO", fixed.len(), false, &fixed, &[strings, variables])
}

/// A node of the tree: length, length of the value, whether that is text, the key, the value, the children, each at a multiple of four.
fn node(key: &str, value_length: usize, text: bool, value: &[u8], children: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = vec![0; 2];
    bytes.extend((value_length as u16).to_le_bytes());
    bytes.extend(u16::from(text).to_le_bytes());
    bytes.extend(wide(key));
    align(&mut bytes);
    bytes.extend(value);
    for child in children {
        align(&mut bytes);
        bytes.extend(child);
    }
    let length = (bytes.len() as u16).to_le_bytes();
    bytes[..2].copy_from_slice(&length);
    bytes
}

/// UTF-16 with a NUL.
fn wide(text: &str) -> Vec<u8> {
    text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
}

fn align(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}
