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

/// What brings the linker.
pub const LINKER: &str = "lld-link";
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_PACKAGES: &str = "rustc-web cargo-web rust-web-src lld";

/// What Windows runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arch {
    X64,
    Arm64,
}

impl Arch {
    /// All, in the order in which they are built.
    pub const ALL: [Self; 2] = [Self::X64, Self::Arm64];

    /// By name.
    pub fn named(name: &str) -> Result<Self> {
        match name {
            "x64" => Ok(Self::X64),
            "arm64" => Ok(Self::Arm64),
            other => bail!("no architecture `{other}`: x64 or arm64"),
        }
    }

    /// The name.
    pub fn name(self) -> &'static str {
        match self {
            Self::X64 => "x64",
            Self::Arm64 => "arm64",
        }
    }

    fn target(self) -> &'static str {
        match self {
            Self::X64 => "x86_64-pc-windows-msvc",
            Self::Arm64 => "aarch64-pc-windows-msvc",
        }
    }

    /// Where `cargo xtask driver` puts its image, below the workspace's target folder.
    pub fn folder(self) -> &'static str {
        match self {
            Self::X64 => "driver",
            Self::Arm64 => "driver/arm64",
        }
    }

    /// `--cfg` for RustCrypto's cipher (crates/dco-chacha): no AVX, and no asking the processor for anything.
    fn ciphers(self) -> [&'static str; 2] {
        match self {
            Self::X64 => ["--cfg=chacha20_backend=\"sse2\"", "--cfg=poly1305_backend=\"soft\""],
            Self::Arm64 => ["--cfg=chacha20_backend=\"soft\"", "--cfg=poly1305_backend=\"soft\""],
        }
    }
}

/// A compiler for kernels: the Windows target, or bare x86-64 for the Linux module.
///
/// Either one builds `core` and `alloc` from its own source. rustup's precompiled target would need no unstable
/// flag, but has neither `memcpy` and its like (on Windows they come from the C runtime, which a driver lacks)
/// nor an `alloc` without infallible allocation.
pub enum Toolchain {
    /// Debian's.
    Debian,
    /// rustup's, with its component rust-src.
    Rustup,
}

impl Toolchain {
    /// By name; or (`auto`, nothing) Debian's if it is here, else rustup's. `linker` has to be here with it.
    pub fn choose(name: Option<&str>, linker: &str) -> Result<Self> {
        let toolchain = match name {
            Some("debian") => Self::Debian,
            Some("rustup") => Self::Rustup,
            None | Some("auto") => match Self::Debian.check(linker) {
                Ok(()) => Self::Debian,
                Err(missing) if Self::Rustup.check(linker).is_err() && !add_rust_src() => return Err(missing),
                Err(_) => Self::Rustup,
            },
            Some(other) => bail!("no toolchain `{other}`: auto, debian or rustup"),
        };
        toolchain.check(linker)?;
        Ok(toolchain)
    }

    /// Whether compiler, library source and linker are here.
    fn check(&self, linker: &str) -> Result<()> {
        let (programs, packages) = match self {
            Self::Debian => ([DEBIAN_RUSTC, DEBIAN_CARGO], format!("on Debian: apt-get install {DEBIAN_PACKAGES}")),
            Self::Rustup => (["rustup", "cargo"], "rustup component add rust-src; apt-get install lld".to_owned()),
        };
        let present = |program: &str| Path::new(program).is_file() || tool::find(program).is_some();
        let library = self.sysroot().map(|root| root.join("lib/rustlib/src/rust/library/core/src/lib.rs"));
        let missing = if let Some(program) = programs.into_iter().chain([linker]).find(|name| !present(name)) {
            program
        } else if !library.is_ok_and(|file| file.is_file()) {
            "the source of Rust's library"
        } else {
            return Ok(());
        };
        bail!("cannot build for a kernel: {missing} is not installed ({packages})");
    }

    fn sysroot(&self) -> Result<PathBuf> {
        Ok(PathBuf::from(tool::output(self.rustc().args(["--print", "sysroot"]))?.trim()))
    }

    /// `cargo` of this toolchain for the Windows target, with the flags of a kernel image.
    pub fn cargo(&self, arch: Arch, root: &Path, target_dir: &Path) -> Result<Command> {
        self.cargo_with(root, target_dir, Self::windows_flags(arch))
    }

    /// `cargo` of this toolchain with these flags for rustc, and those that keep this machine's folders out of the output.
    pub fn cargo_with(&self, root: &Path, target_dir: &Path, mut flags: Vec<String>) -> Result<Command> {
        flags.extend(self.remap(root)?);
        let mut cargo = match self {
            Self::Rustup => Command::new("cargo"),
            Self::Debian => {
                let mut cargo = Command::new(DEBIAN_CARGO);
                cargo.env("RUSTC", DEBIAN_RUSTC).env_remove("RUSTUP_TOOLCHAIN");
                cargo
            }
        };
        cargo
            .current_dir(root)
            .env("CARGO_TARGET_DIR", target_dir)
            // build-std.
            .env("RUSTC_BOOTSTRAP", "1")
            // Set by the cargo that runs this xtask; not for another one.
            .env_remove("CARGO")
            .env_remove("RUSTFLAGS")
            .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
        Ok(cargo)
    }

    /// Arguments after cargo's subcommand.
    pub fn arguments(&self, arch: Arch) -> [String; 3] {
        [
            format!("--target={}", arch.target()),
            "-Zbuild-std=core,alloc".to_owned(),
            "-Zbuild-std-features=compiler-builtins-mem".to_owned(),
        ]
    }

    fn windows_flags(arch: Arch) -> Vec<String> {
        let mut flags = vec![
            "-Clinker=lld-link".to_owned(),
            "-Clinker-flavor=lld-link".to_owned(),
            "-Ctarget-feature=+crt-static".to_owned(),
            // A call chain can be read off a crash dump without symbols.
            "-Cforce-frame-pointers=yes".to_owned(),
            // Without this half of `alloc`, an allocation that cannot fail does not exist in the driver, so none
            // can be forgotten.
            "--cfg=no_global_oom_handling".to_owned(),
        ];
        flags.extend(arch.ciphers().map(str::to_owned));
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
        flags
    }

    fn remap(&self, root: &Path) -> Result<Vec<String>> {
        let cargo_home = std::env::var_os("CARGO_HOME")
            .map(PathBuf::from)
            .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")));
        let mut remap = vec![(root.to_path_buf(), "/ovpn-dco"), (self.sysroot()?, "/rust")];
        remap.extend(cargo_home.map(|home| (home, "/cargo")));
        Ok(remap.into_iter().map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display())).collect())
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

fn add_rust_src() -> bool {
    say("trying `rustup component add rust-src`");
    tool::output(Command::new("timeout").args(["60", "rustup", "component", "add", "rust-src"])).is_ok()
}

/// A driver that was built.
pub struct Built {
    /// For this.
    pub arch: Arch,
    /// The `.sys`.
    pub path: PathBuf,
    /// Its hash.
    pub sha256: String,
}

/// Builds the driver of the workspace at `root` and puts it in `out`.
pub fn build(arch: Arch, root: &Path, toolchain: &Toolchain, target_dir: &Path, out: &Path) -> Result<Built> {
    say(format!("building ovpn-dco.sys for {} with {}", arch.name(), toolchain.describe()?));
    let mut cargo = toolchain.cargo(arch, root, target_dir)?;
    cargo.args(["build", "--locked", "--package=ovpn-dco", "--lib", "--profile=driver"]);
    cargo.args(toolchain.arguments(arch));
    tool::run(&mut cargo)?;

    let dll = target_dir.join(arch.target()).join("driver/ovpn_dco.dll");
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
    Ok(Built { arch, path, sha256: tool::sha256(&image) })
}
