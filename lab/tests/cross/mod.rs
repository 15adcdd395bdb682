//! Builds a test driver of `lab/drivers` for Windows, once for each test program.

#![allow(dead_code, reason = "each test program builds what it needs")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// The image of `drivers/NAME`: what the environment's `variable` names, or built with Debian's rustc-web, which brings the sources that
/// build-std needs. A missing toolchain fails the test that wanted the driver, by the packages' names.
pub fn driver(name: &str, image: &str, variable: &str) -> PathBuf {
    if let Some(built) = std::env::var_os(variable) {
        return built.into();
    }
    for needed in ["/usr/bin/rustc", "/usr/bin/cargo", "/usr/bin/lld-link", "/usr/lib/rustlib/src/rust/library/core"] {
        assert!(
            Path::new(needed).exists(),
            "expected {needed}, found none: install rustc-web cargo-web rust-web-src lld, or set {variable}"
        );
    }
    // One folder for all, so that core is built once for those that are linked alike.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("drivers");
    let built = Command::new("/usr/bin/cargo")
        .args(["build", "--release", "--quiet"])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("drivers").join(name))
        .env("RUSTC", "/usr/bin/rustc")
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_TARGET_DIR", &target)
        .env_remove("RUSTUP_TOOLCHAIN")
        .env_remove("CARGO")
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .status()
        .expect("/usr/bin/cargo runs");
    assert!(built.success(), "drivers/{name} does not build");
    target.join("x86_64-pc-windows-msvc/release").join(image)
}

const GCC: &str = "/usr/bin/x86_64-w64-mingw32-gcc";
/// GNU ld writes no load configuration, and without it the loader does not know where the cookie is.
const LD: &str = "/usr/bin/ld.lld";
const HEADERS: &str = "/usr/share/mingw-w64/include/ddk";
const LIBRARIES: &str = "/usr/x86_64-w64-mingw32/lib";

fn run(command: &mut Command) {
    let out = command.output().expect("runs");
    assert!(out.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&out.stderr));
}

/// `drivers/c-driver`.
pub fn c_driver() -> PathBuf {
    c_image(
        "c-driver",
        &["driver", "machine", "library", "kernel", "fault"],
        &["-fstack-protector-strong"],
        "LAB_C_SYS",
    )
}

/// `drivers/race`.
pub fn race() -> PathBuf {
    c_image("race", &["race"], &[], "LAB_RACE_SYS")
}

/// The image of a driver in C: what the environment's `variable` names, or built with mingw's compiler and DDK headers.
fn c_image(name: &str, sources: &[&str], flags: &[&str], variable: &str) -> PathBuf {
    if let Some(built) = std::env::var_os(variable) {
        return built.into();
    }
    for needed in [GCC, LD, &format!("{HEADERS}/wdm.h"), &format!("{LIBRARIES}/libntoskrnl.a")] {
        assert!(
            Path::new(needed).exists(),
            "expected {needed}, found none: install gcc-mingw-w64-x86-64-posix mingw-w64-x86-64-dev lld, or set {variable}"
        );
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("drivers").join(name);
    // Test programs run beside one another.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", env!("CARGO_CRATE_NAME")));
    std::fs::create_dir_all(&target).expect("a folder");
    let image = target.join(format!("{name}.sys"));
    let mut link = Command::new(LD);
    link.args(["-m", "i386pep", "--shared", "--subsystem", "native", "--entry", "DriverEntry"])
        .args(["--exclude-all-symbols", "--no-insert-timestamp", "-o"])
        .arg(&image);
    for source_name in sources {
        let object = target.join(format!("{source_name}.o"));
        run(Command::new(GCC)
            .args(["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-Wno-multichar", "-Wno-unknown-pragmas"])
            // The headers read gs:[n] through a pointer of value n.
            .args(["--param=min-pagesize=0", "-ffreestanding", "-mno-stack-arg-probe"])
            .args(flags)
            .args(["-D_WIN32_WINNT=0x0601", "-DNTDDI_VERSION=0x06010000", "-isystem", HEADERS, "-c"])
            .arg(source.join(format!("{source_name}.c")))
            .arg("-o")
            .arg(&object));
        link.arg(object);
    }
    run(link.args(["-L", LIBRARIES, "-lntoskrnl", "-lhal"]));
    image
}
