//! Builds, checks and generators of this workspace that a plain `cargo build` does not cover.

mod arm64;
mod ctype;
mod driver;
mod facts;
mod gate;
mod image;
mod layout;
mod linux;
mod linux_gate;
mod package;
mod repro;
mod rules;
mod sources;
mod standin;
mod tool;
mod userland;

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Result, bail};
use lexopt::prelude::*;

use crate::driver::Arch;

const HELP: &str = "\
Builds, checks and generators beside plain cargo.

Usage: cargo xtask <command> [options]

  driver [--arch x64|arm64] [--out DIR] [--target-dir DIR] [--toolchain auto|debian|rustup]
                       Cross-build ovpn-dco.sys (default: x64, to target/driver; arm64 to target/driver/arm64), print its path
                       and SHA-256.
  package [--arch x64|arm64]... [--out DIR] [--target-dir DIR] [--toolchain NAME] [--cert FILE [--key FILE]]
                       Build the signed driver package (default: both architectures, to target/package; docs/package.md).
  userland [--out DIR] [--target-dir DIR]
                       Cross-build dco-cli.exe (default: target/windows) and print its path.
  gate FILE.sys [--imports FILE]
                       Look into a built driver: imports on the list (default: driver/imports.txt), no section
                       writable and executable, native subsystem, ASLR and NX, relocations, no AVX, x87 or MMX.
  linux-object [--epoch] [--out DIR] [--target-dir DIR] [--toolchain auto|debian|rustup]
                       Cross-build the Rust half of the Linux module (default: linux/rust), and look into it; with --epoch, the
                       one with epoch keys (make EPOCH=1).
  linux-gate FILE.o    Look into it alone: no vector or x87 register, relocations that the module loader knows, symbols on the
                       list, no reachable panic, no indirect branch or return without its thunk, frames below 1 KB.
  repro [--package] [--keep]
                       Build the driver in two different folders and compare the files; with --package, the whole
                       package before it is signed.
  layout [--check]     Write crates/nt-sys/src/asserts.rs from docs/facts/nt-layout.json; with --check, fail if
                       it is out of date.
  rules [--check]      Write the table of the lab's rules and of the cases that break them into docs/testing.md; with
                       --check, fail on a rule without a case, a case without a rule, or a table that is out of date.
  wdk-check [--target-dir DIR]
                       Type-check the feature `wdk` against a stand-in for Microsoft's wdk-sys, made from
                       docs/facts/nt-layout.json. Proves names and types, not that it builds with the WDK.

Examples:
  cargo xtask driver && cargo xtask gate target/driver/ovpn-dco.sys
  cargo xtask layout --check
  cargo xtask repro
";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let mut parser = lexopt::Parser::from_env();
    let command = match parser.next()? {
        None => bail!("which command? `cargo xtask --help` lists them"),
        Some(Short('h') | Long("help")) => {
            print!("{HELP}");
            return Ok(());
        }
        Some(Value(command)) => command.string()?,
        Some(other) => return Err(other.unexpected().into()),
    };

    let mut out: Option<PathBuf> = None;
    let mut target_dir: Option<PathBuf> = None;
    let mut imports: Option<PathBuf> = None;
    let mut toolchain = None;
    let mut check = false;
    let mut keep = false;
    let mut whole_package = false;
    let mut epoch = false;
    let mut options = package::Options::default();
    let mut file: Option<PathBuf> = None;
    while let Some(argument) = parser.next()? {
        match (command.as_str(), argument) {
            (_, Short('h') | Long("help")) => {
                print!("{HELP}");
                return Ok(());
            }
            ("driver" | "package", Long("arch")) => options.arches.push(Arch::named(&parser.value()?.string()?)?),
            ("package", Long("cert")) => options.certificate = Some(parser.value()?.into()),
            ("package", Long("key")) => options.key = Some(parser.value()?.into()),
            ("repro", Long("package")) => whole_package = true,
            ("linux-object", Long("epoch")) => epoch = true,
            ("driver" | "userland" | "linux-object" | "package", Long("out")) => out = Some(parser.value()?.into()),
            ("driver" | "linux-object" | "package", Long("toolchain")) => toolchain = Some(parser.value()?.string()?),
            ("driver" | "userland" | "linux-object" | "package" | "wdk-check", Long("target-dir")) => {
                target_dir = Some(parser.value()?.into());
            }
            ("gate", Long("imports")) => imports = Some(parser.value()?.into()),
            ("gate" | "linux-gate", Value(value)) if file.is_none() => file = Some(value.into()),
            ("layout" | "rules", Long("check")) => check = true,
            ("repro", Long("keep")) => keep = true,
            (_, other) => return Err(other.unexpected().into()),
        }
    }

    let root = tool::workspace()?;
    match command.as_str() {
        "driver" => {
            let toolchain = driver::Toolchain::choose(toolchain.as_deref(), driver::LINKER)?;
            if options.arches.len() > 1 {
                bail!("driver: one architecture at a time");
            }
            let arch = options.arches.first().copied().unwrap_or(Arch::X64);
            let out = out.unwrap_or_else(|| root.join("target").join(arch.folder()));
            let target_dir = target_dir.unwrap_or_else(|| tool::target_dir(&root).join("driver-build"));
            let built = driver::build(arch, &root, &toolchain, &target_dir, &out)?;
            println!("{}  {}", built.sha256, built.path.display());
        }
        "package" => {
            let toolchain = driver::Toolchain::choose(toolchain.as_deref(), driver::LINKER)?;
            let out = out.unwrap_or_else(|| root.join("target/package"));
            let target_dir = target_dir.unwrap_or_else(|| tool::target_dir(&root).join("driver-build"));
            package::run(&root, &options, &toolchain, &target_dir, &out)?;
        }
        "userland" => {
            let out = out.unwrap_or_else(|| root.join("target/windows"));
            let target_dir = target_dir.unwrap_or_else(|| tool::target_dir(&root).join("windows-build"));
            println!("{}", userland::build(&root, &target_dir, &out)?.display());
        }
        "gate" => {
            let Some(file) = file else { bail!("gate: which file? `cargo xtask gate target/driver/ovpn-dco.sys`") };
            let imports = imports.unwrap_or_else(|| root.join("driver/imports.txt"));
            gate::run(&file, &imports)?;
        }
        "linux-object" => {
            let toolchain = driver::Toolchain::choose(toolchain.as_deref(), linux::LINKER)?;
            let out = out.unwrap_or_else(|| root.join("linux/rust"));
            let target_dir = target_dir.unwrap_or_else(|| tool::target_dir(&root).join("linux-build"));
            println!("{}", linux::build(&root, &toolchain, &target_dir, &out, epoch)?.display());
        }
        "linux-gate" => {
            let Some(file) = file else {
                bail!("linux-gate: which file? `cargo xtask linux-gate linux/rust/core.o_shipped`")
            };
            linux_gate::run(&file)?;
        }
        "layout" => layout::run(&root, check)?,
        "rules" => rules::run(&root, check)?,
        "repro" if whole_package => package::repro(&root, keep)?,
        "repro" => repro::run(&root, keep)?,
        "wdk-check" => {
            let target_dir = target_dir.unwrap_or_else(|| tool::target_dir(&root).join("wdk-check-build"));
            standin::run(&root, &target_dir)?;
        }
        other => bail!("no command `{other}`; `cargo xtask --help` lists them"),
    }
    Ok(())
}
