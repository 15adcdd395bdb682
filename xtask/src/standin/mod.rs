//! `cargo xtask wdk-check`: type-checks the half of the sources that stands behind the feature `wdk`.
//!
//! windows-drivers-rs needs the WDK and libclang even to be checked. So stand-ins of the same names and versions
//! are made from docs/facts/nt-layout.json, spelled as bindgen would spell the headers, and patched in below a
//! copy of the sources. What that proves, and what not: docs/windows-build.md.

mod generate;

use std::{fmt::Write as _, fs, path::Path};

use anyhow::{Context, Result, bail};

use crate::{
    driver::{self, Arch, Toolchain},
    facts::Facts,
    tool::{self, say},
};

/// Packages that have the feature, in the order in which they depend on each other.
const PACKAGES: &[(&str, &str)] = &[("nt-sys", "crates/nt-sys"), ("nt", "crates/nt"), ("ovpn-dco", "driver")];

/// What stands in for a crate: its text, without what wdk-sys needs besides.
const STAND_INS: &[(&str, &str)] = &[
    (
        "wdk",
        "#![no_std]\npub use wdk_sys::NT_SUCCESS as nt_success;\n\
         #[macro_export]\nmacro_rules! println { ($($tokens:tt)*) => {{ let _ = format_args!($($tokens)*); }}; }\n",
    ),
    (
        "wdk-alloc",
        "#![no_std]\npub struct WdkAllocator;\n\
         unsafe impl core::alloc::GlobalAlloc for WdkAllocator {\n\
             unsafe fn alloc(&self, _: core::alloc::Layout) -> *mut u8 { core::ptr::null_mut() }\n\
             unsafe fn dealloc(&self, _: *mut u8, _: core::alloc::Layout) {}\n\
         }\n",
    ),
    ("wdk-panic", "#![no_std]\n#[panic_handler]\nfn panic(_: &core::panic::PanicInfo) -> ! { loop {} }\n"),
    (
        "wdk-build",
        "#[derive(Debug)]\npub struct ConfigError;\n\
         pub fn configure_wdk_binary_build() -> Result<(), ConfigError> { Ok(()) }\n\
         pub fn configure_wdk_library_build() -> Result<(), ConfigError> { Ok(()) }\n",
    ),
];

/// Makes the stand-ins and the copy below `target_dir`, and checks.
pub fn run(root: &Path, target_dir: &Path) -> Result<()> {
    let place = tool::target_dir(root).join("wdk-check");
    let copy = place.join("workspace");
    if copy.exists() {
        fs::remove_dir_all(&copy).with_context(|| copy.display().to_string())?;
    }
    say("making stand-ins for wdk-sys, wdk, wdk-alloc, wdk-panic, wdk-build");
    let versions = versions(root)?;
    let facts = Facts::load(root)?;
    let ntddk = tool::read(&root.join("crates/nt-sys/src/own/ntddk.rs"))?;
    let crate_text = generate::wdk_sys(&facts, &ntddk)?;
    stand_in(&place, "wdk-sys", version(&versions, "wdk-sys"), &crate_text, "")?;
    for (name, text) in STAND_INS {
        let dependencies = if *name == "wdk" { "[dependencies]\nwdk-sys = { path = \"../wdk-sys\" }\n" } else { "" };
        stand_in(&place, name, version(&versions, name), text, dependencies)?;
    }

    let mut files = tool::files(root)?;
    files.retain(|file| ["crates", "driver", ".cargo", "Cargo.lock"].iter().any(|start| file.starts_with(start)));
    tool::copy_files(root, &files, &copy)?;
    let mut manifest = tool::read(&root.join("Cargo.toml"))?;
    manifest = without_lists(&manifest);
    manifest = manifest.replacen("[workspace]\n", "[workspace]\nmembers = [\"crates/*\", \"driver\"]\n", 1);
    manifest.push_str("\n[patch.crates-io]\n");
    for name in std::iter::once("wdk-sys").chain(STAND_INS.iter().map(|(name, _)| *name)) {
        writeln!(manifest, "{name} = {{ path = \"../{name}\" }}")?;
    }
    tool::write(&copy.join("Cargo.toml"), &manifest)?;

    let toolchain = Toolchain::choose(None, driver::LINKER)?;
    let mut cargo = toolchain.cargo(Arch::X64, &copy, target_dir)?;
    // The dev profile unwinds, which a driver cannot.
    cargo.args(["check", "--profile=driver"]).args(toolchain.arguments(Arch::X64));
    let mut checked = Vec::new();
    for (package, folder) in PACKAGES {
        let manifest = tool::read(&copy.join(folder).join("Cargo.toml"))?;
        if manifest.lines().any(|line| line.starts_with("wdk = [")) {
            cargo.arg(format!("--package={package}")).arg(format!("--features={package}/wdk"));
            checked.push(*package);
        }
    }
    if checked.is_empty() {
        bail!("no package has the feature `wdk`");
    }
    say(format!("checking {} with the feature `wdk`", checked.join(", ")));
    // A warning in this half of the sources would be seen nowhere else. Still unstable: a stable cargo ignores it.
    cargo.env("CARGO_BUILD_WARNINGS", "deny").env("CARGO_UNSTABLE_WARNINGS", "true");
    tool::run(&mut cargo)?;
    println!("wdk-check: {} type-check against the stand-in for wdk-sys", checked.join(", "));
    Ok(())
}

/// The versions Cargo.lock has of the crates the stand-ins stand for.
fn versions(root: &Path) -> Result<Vec<(String, String)>> {
    let lock = tool::read(&root.join("Cargo.lock"))?;
    let value =
        |line: &str, key: &str| line.strip_prefix(key)?.strip_prefix(" = \"")?.strip_suffix('"').map(str::to_owned);
    let lines: Vec<_> = lock.lines().collect();
    Ok(lines
        .windows(2)
        .filter_map(|pair| Some((value(pair[0], "name")?, value(pair[1], "version")?)))
        .filter(|(name, _)| name.starts_with("wdk"))
        .collect())
}

fn version<'a>(versions: &'a [(String, String)], name: &str) -> &'a str {
    // A crate nobody depends on yet: the patch is then unused, whatever its version.
    versions.iter().find(|(known, _)| known == name).map_or("0.0.0", |(_, version)| version)
}

fn stand_in(place: &Path, name: &str, version: &str, text: &str, dependencies: &str) -> Result<()> {
    let manifest = format!(
        "[package]\nname = \"{name}\"\nversion = \"{version}\"\nedition = \"2021\"\n\n[workspace]\n\n{dependencies}"
    );
    tool::write(&place.join(name).join("Cargo.toml"), &manifest)?;
    tool::write(&place.join(name).join("src/lib.rs"), text)
}

/// The workspace manifest without its lists of members.
fn without_lists(manifest: &str) -> String {
    let mut text = String::new();
    let mut skipping = false;
    for line in manifest.lines() {
        let list = ["members", "default-members", "exclude"];
        if list.iter().any(|key| line.strip_prefix(key).is_some_and(|rest| rest.starts_with(" = ["))) {
            skipping = true;
        }
        if !skipping {
            text.push_str(line);
            text.push('\n');
        }
        if line.ends_with(']') {
            skipping = false;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_dropped_and_the_rest_stays() {
        let manifest =
            "[workspace]\nresolver = \"3\"\nmembers = [\n  \"a\",\n]\n# c\nexclude = [\"x\"]\n[profile.dev]\n";
        assert_eq!(without_lists(manifest), "[workspace]\nresolver = \"3\"\n# c\n[profile.dev]\n");
    }
}
