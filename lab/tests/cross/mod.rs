//! Builds a test driver of `lab/drivers` for Windows, once for each test program.

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
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
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
