//! `cargo xtask wdk-check`.
use anyhow::{Result, bail};
use std::path::Path;
pub fn run(_root: &Path, _target_dir: &Path) -> Result<()> {
    bail!("not yet")
}
