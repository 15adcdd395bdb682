//! `cargo xtask repro`: the driver's bytes must not depend on where it was built.

use std::{fs, path::Path};

use anyhow::{Context, Result, bail};

use crate::{
    driver::{self, Arch, Toolchain},
    tool::{self, say},
};

/// Builds twice, in folders of different names and depths, and compares.
pub fn run(root: &Path, keep: bool) -> Result<()> {
    let toolchain = Toolchain::choose(None, driver::LINKER)?;
    let work = tool::target_dir(root).join("repro");
    if work.exists() {
        fs::remove_dir_all(&work).with_context(|| work.display().to_string())?;
    }
    // Both at once: the sources may be worked on while the first is built.
    let places = ["first", "second/somewhere-deeper"].map(|place| work.join(place));
    say(format!("copying the sources to two folders below {}", work.display()));
    let files = tool::files(root)?;
    for place in &places {
        tool::copy_files(root, &files, &place.join("source"))?;
    }
    let mut built = Vec::new();
    for place in &places {
        let [source, build, out] = ["source", "build", "out"].map(|name| place.join(name));
        built.push(driver::build(Arch::X64, &source, &toolchain, &build, &out)?);
    }
    for driver in &built {
        println!("{}  {}", driver.sha256, driver.path.display());
    }
    let images: Vec<_> = built.iter().map(|driver| fs::read(&driver.path)).collect::<Result<_, _>>()?;
    let [first, second] = images.as_slice() else { bail!("not two builds") };
    if first != second {
        let at = first.iter().zip(second).position(|(a, b)| a != b).unwrap_or(first.len().min(second.len()));
        bail!(
            "the two builds differ: {} and {} bytes, first difference at {at:#x}; both are kept in {}",
            first.len(),
            second.len(),
            work.display()
        );
    }
    println!("repro: the two builds are the same, {} bytes", first.len());
    if !keep {
        fs::remove_dir_all(&work).with_context(|| work.display().to_string())?;
    }
    Ok(())
}
