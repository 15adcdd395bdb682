//! `cargo xtask driver`: cross-builds the driver.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::{
    image,
    tool::{self, say},
};

const TARGET: &str = "x86_64-pc-windows-msvc";
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_PACKAGES: &str = "rustc-web cargo-web rust-web-src lld";

/// A compiler for the Windows target.
pub enum Toolchain {
    /// rustup's, with the precompiled `core` and `alloc` of the target.
    Rustup,
    /// Debian's, which builds `core` and `alloc` from its own source package.
    Debian,
}

impl Toolchain {
    /// By name, or (`auto`, nothing) what the machine has: rustup's target if it is installed, else Debian's
    /// compiler, else rustup's target if it can be added.
    pub fn choose(name: Option<&str>) -> Result<Self> {
        match name {
            Some("rustup") => {
                if rustup_target() || add_rustup_target() {
                    return Ok(Self::Rustup);
                }
                bail!("rustup has no target {TARGET} and cannot add it");
            }
            Some("debian") => {
                debian()?;
                Ok(Self::Debian)
            }
            None | Some("auto") => {
                if rustup_target() {
                    return Ok(Self::Rustup);
                }
                let missing = match debian() {
                    Ok(()) => return Ok(Self::Debian),
                    Err(missing) => missing,
                };
                if add_rustup_target() {
                    return Ok(Self::Rustup);
                }
                Err(missing)
            }
            Some(other) => bail!("no toolchain `{other}`: auto, rustup or debian"),
        }
    }

    /// `cargo` of this toolchain for the Windows target, with the flags of a kernel image.
    ///
    /// `remap` are folders whose names must not reach the image.
    pub fn cargo(&self, root: &Path, target_dir: &Path) -> Result<Command> {
        let mut cargo;
        match self {
            Self::Rustup => {
                cargo = Command::new("cargo");
            }
            Self::Debian => {
                cargo = Command::new(DEBIAN_CARGO);
                cargo.env("RUSTC", DEBIAN_RUSTC).env("RUSTC_BOOTSTRAP", "1");
            }
        }
        cargo
            .current_dir(root)
            .env("CARGO_TARGET_DIR", target_dir)
            // Set by the cargo that runs this xtask; the other toolchain must not see them.
            .env_remove("RUSTUP_TOOLCHAIN")
            .env_remove("CARGO")
            .env_remove("RUSTFLAGS")
            .env("CARGO_ENCODED_RUSTFLAGS", self.rustflags(root)?.join("\x1f"));
        Ok(cargo)
    }

    /// Arguments after cargo's subcommand.
    pub fn arguments(&self) -> Vec<String> {
        let mut arguments = vec![format!("--target={TARGET}")];
        if matches!(self, Self::Debian) {
            arguments.push("-Zbuild-std=core,alloc".to_owned());
            arguments.push("-Zbuild-std-features=compiler-builtins-mem".to_owned());
        }
        arguments
    }

    fn rustflags(&self, root: &Path) -> Result<Vec<String>> {
        let linker = tool::find("lld-link").map(|_| "lld-link".to_owned());
        let linker = match (linker, self) {
            (Some(linker), _) => linker,
            (None, Self::Rustup) => "rust-lld".to_owned(),
            (None, Self::Debian) => {
                bail!("`lld-link` is not installed; on Debian: apt-get install lld")
            }
        };
        let mut flags = vec![
            format!("-Clinker={linker}"),
            "-Clinker-flavor=lld-link".to_owned(),
            "-Ctarget-feature=+crt-static".to_owned(),
            // A call chain can be read off a crash dump without symbols.
            "-Cforce-frame-pointers=yes".to_owned(),
        ];
        for argument in [
            "/DRIVER",
            "/SUBSYSTEM:NATIVE,10.00",
            "/ENTRY:FxDriverEntry",
            "/NODEFAULTLIB",
            "/DYNAMICBASE",
            "/NXCOMPAT",
            "/Brepro",
            "/PDBALTPATH:ovpn-dco.pdb",
        ] {
            flags.push(format!("-Clink-arg={argument}"));
        }
        if matches!(self, Self::Debian) {
            // `alloc` is built from source: without the cfg's half, an allocation that cannot fail does not
            // exist in the driver, so none can be forgotten.
            flags.push("--cfg=no_global_oom_handling".to_owned());
        }
        let sysroot = tool::output(self.rustc().args(["--print", "sysroot"]))?;
        let cargo_home = std::env::var_os("CARGO_HOME")
            .map(PathBuf::from)
            .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")));
        let mut remap = vec![(root.to_path_buf(), "/ovpn-dco"), (PathBuf::from(sysroot.trim()), "/rust")];
        remap.extend(cargo_home.map(|home| (home, "/cargo")));
        for (from, to) in remap {
            flags.push(format!("--remap-path-prefix={}={to}", from.display()));
        }
        Ok(flags)
    }

    fn rustc(&self) -> Command {
        match self {
            Self::Rustup => Command::new("rustc"),
            Self::Debian => Command::new(DEBIAN_RUSTC),
        }
    }

    /// What it calls itself.
    pub fn describe(&self) -> Result<String> {
        Ok(tool::output(self.rustc().arg("--version"))?.trim().to_owned())
    }
}

fn rustup_target() -> bool {
    tool::output(Command::new("rustup").args(["target", "list", "--installed"]))
        .is_ok_and(|list| list.lines().any(|line| line == TARGET))
}

fn add_rustup_target() -> bool {
    say(format!("trying `rustup target add {TARGET}`"));
    tool::output(Command::new("timeout").args(["30", "rustup", "target", "add", TARGET])).is_ok()
}

/// Whether Debian's compiler, its library source and a linker are here.
fn debian() -> Result<()> {
    let library = || -> Result<PathBuf> {
        let sysroot = tool::output(Command::new(DEBIAN_RUSTC).args(["--print", "sysroot"]))?;
        Ok(Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/core/src/lib.rs"))
    };
    let missing = [
        (Path::new(DEBIAN_RUSTC).is_file(), "rustc"),
        (Path::new(DEBIAN_CARGO).is_file(), "cargo"),
        (library().is_ok_and(|file| file.is_file()), "the library source"),
        (tool::find("lld-link").is_some(), "lld-link"),
    ];
    if let Some((_, what)) = missing.iter().find(|(present, _)| !present) {
        bail!("no toolchain for {TARGET}: {what} is missing; on Debian: apt-get install {DEBIAN_PACKAGES}");
    }
    Ok(())
}

/// A driver that was built.
pub struct Built {
    /// The `.sys`.
    pub path: PathBuf,
    /// Its hash.
    pub sha256: String,
}

/// Builds the driver of the workspace at `root` and puts it in `out`.
pub fn build(root: &Path, toolchain: &Toolchain, target_dir: &Path, out: &Path) -> Result<Built> {
    say(format!("building ovpn-dco.sys with {}", toolchain.describe()?));
    let mut cargo = toolchain.cargo(root, target_dir)?;
    cargo.args(["build", "--locked", "--package=ovpn-dco", "--lib", "--profile=driver"]);
    cargo.args(toolchain.arguments());
    tool::run(&mut cargo)?;

    let dll = target_dir.join(TARGET).join("driver/ovpn_dco.dll");
    let mut image = fs::read(&dll).with_context(|| {
        format!("{}: the package ovpn-dco has no `crate-type = [\"cdylib\"]`, or its name has changed", dll.display())
    })?;
    // The linker hashes the symbol file, and that names folders of this machine; and it leaves out the checksum,
    // which Windows wants of every driver that it starts at boot.
    let identity = image::stamp(&mut image)?;
    fs::create_dir_all(out).with_context(|| out.display().to_string())?;
    if let Some(identity) = identity {
        let mut symbols = fs::read(dll.with_extension("pdb")).context("the symbol file")?;
        image::set_symbol_identity(&mut symbols, &identity)?;
        let path = out.join("ovpn-dco.pdb");
        fs::write(&path, symbols).with_context(|| path.display().to_string())?;
    }
    let path = out.join("ovpn-dco.sys");
    fs::write(&path, &image).with_context(|| path.display().to_string())?;
    Ok(Built { path, sha256: tool::sha256(&image) })
}
