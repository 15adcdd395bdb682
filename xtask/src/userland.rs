//! `cargo xtask userland`: cross-builds dco-cli.exe.
//!
//! For the GNU flavour of the Windows target, because mingw's runtime and import libraries are packaged and Microsoft's are not. The
//! standard library is built from Debian's source of it; it comes with all it depends on.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::tool::{self, say};

const TARGET: &str = "x86_64-pc-windows-gnu";
const RUSTC: &str = "/usr/bin/rustc";
const CARGO: &str = "/usr/bin/cargo";
const GCC: &str = "x86_64-w64-mingw32-gcc";
const PACKAGES: &str = "rustc-web cargo-web rust-web-src gcc-mingw-w64-x86-64-posix";

/// Builds dco-cli.exe of the workspace at `root` and puts it in `out`; its path.
pub fn build(root: &Path, target_dir: &Path, out: &Path) -> Result<PathBuf> {
    let library = library()?;
    // The compiler links these two into every program for this target, and a sysroot without the target has none.
    let startup = target_dir.join("startup");
    fs::create_dir_all(&startup).with_context(|| startup.display().to_string())?;
    for name in ["rsbegin", "rsend"] {
        let source = library.join("rtstartup").join(name).with_extension("rs");
        let mut rustc = Command::new(RUSTC);
        rustc.env("RUSTC_BOOTSTRAP", "1").args(["--target", TARGET, "--emit=obj", "-Cpanic=abort", "-o"]);
        tool::run(rustc.arg(startup.join(name).with_extension("o")).arg(source))?;
    }
    say(format!("building dco-cli.exe for {TARGET}"));
    let flags = [
        format!("-Clinker={GCC}"),
        format!("-Lnative={}", startup.display()),
        "-Ctarget-feature=+crt-static".to_owned(),
        format!("--remap-path-prefix={}=/ovpn-dco", root.display()),
    ];
    let mut cargo = Command::new(CARGO);
    cargo
        .current_dir(root)
        .env("RUSTC", RUSTC)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_TARGET_DIR", target_dir)
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
        // No unwinding: mingw's part of it would be one more thing to link.
        .env("CARGO_PROFILE_RELEASE_PANIC", "abort")
        .env("CARGO_PROFILE_RELEASE_STRIP", "symbols")
        // Set by the cargo that runs this xtask; not for another one.
        .env_remove("CARGO")
        .env_remove("RUSTFLAGS")
        .env_remove("RUSTUP_TOOLCHAIN")
        .args(["build", "--locked", "--release", "--package=dco-cli", "--target", TARGET])
        .arg("-Zbuild-std=std,panic_abort");
    tool::run(&mut cargo)?;

    fs::create_dir_all(out).with_context(|| out.display().to_string())?;
    let path = out.join("dco-cli.exe");
    let built = target_dir.join(TARGET).join("release/dco-cli.exe");
    fs::copy(&built, &path).with_context(|| built.display().to_string())?;
    Ok(path)
}

/// The source of Rust's library, if the whole toolchain is here.
fn library() -> Result<PathBuf> {
    let programs = [RUSTC, CARGO];
    let missing = if let Some(program) = programs.into_iter().find(|program| !Path::new(program).is_file()) {
        program
    } else if tool::find(GCC).is_none() {
        GCC
    } else {
        let sysroot = tool::output(Command::new(RUSTC).args(["--print", "sysroot"]))?;
        let library = Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library");
        if library.join("rtstartup/rsbegin.rs").is_file() {
            return Ok(library);
        }
        "the source of Rust's library"
    };
    bail!("cannot build for {TARGET}: {missing} is not installed (on Debian: apt-get install {PACKAGES})");
}
