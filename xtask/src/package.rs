//! `cargo xtask package`: builds the images, looks into them, and has dco-package make the package (docs/package.md).

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    driver::{self, Arch, Built, Toolchain},
    gate,
    tool::{self, say},
};

/// What lies in scripts/windows and is not for who installs the package.
const DEVELOPERS: [&str; 4] = ["analyzer.psd1", "build.ps1", "driver.toml", "test-vm.ps1"];

/// What the user chose.
#[derive(Default)]
pub struct Options {
    /// Nothing: all.
    pub arches: Vec<Arch>,
    /// Certificates, and the key if it lies in a file of its own; nothing: the generated ones.
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
    /// Seconds since 1970; nothing: [`date`].
    pub date: Option<String>,
}

impl Options {
    fn arches(&self) -> &[Arch] {
        if self.arches.is_empty() { &Arch::ALL } else { &self.arches }
    }
}

/// Builds the package of the sources at `root` and puts it in `out`, which is emptied first.
pub fn run(root: &Path, options: &Options, toolchain: &Toolchain, target_dir: &Path, out: &Path) -> Result<()> {
    let mut built = Vec::new();
    for arch in options.arches() {
        // Beside the driver-build folder of cargo: what `cargo xtask driver` puts into target/driver is nobody else's.
        let images = target_dir.join("images").join(arch.name());
        let driver = driver::build(*arch, root, toolchain, target_dir, &images)?;
        gate::run(&driver.path, &root.join("driver/imports.txt"))?;
        built.push(driver);
    }
    if out.exists() {
        fs::remove_dir_all(out).with_context(|| out.display().to_string())?;
    }
    make(root, options, &built, out)?;
    for driver in &built {
        let symbols = out.join("symbols").join(driver.arch.name());
        fs::create_dir_all(&symbols).with_context(|| symbols.display().to_string())?;
        let pdb = driver.path.with_extension("pdb");
        fs::copy(&pdb, symbols.join("ovpn-dco.pdb")).with_context(|| pdb.display().to_string())?;
    }
    println!("package: {}", out.display());
    Ok(())
}

/// Runs dco-package, which is a program of its own so that its dependencies are built for packages alone.
fn make(root: &Path, options: &Options, built: &[Built], out: &Path) -> Result<()> {
    let workspace = tool::workspace()?;
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(&workspace).args(["run", "--quiet", "--locked", "--package=dco-package", "--", "make"]);
    for driver in built {
        cargo.arg("--image").arg(format!("{}={}", driver.arch.name(), driver.path.display()));
    }
    cargo.arg("--inx").arg(root.join("inf/ovpn-dco.inx"));
    // The workspace's, as the driver's version resource.
    cargo.args(["--version", env!("CARGO_PKG_VERSION")]);
    cargo.args(["--kmdf", &kmdf_version(root)?]);
    let date = options.date.clone().map_or_else(|| date(&workspace), Ok)?;
    cargo.args(["--date", &date]);
    cargo.arg("--out").arg(out);
    cargo.arg("--key-dir").arg(tool::target_dir(&workspace).join("package-key"));
    for (option, file) in [("--cert", &options.certificate), ("--key", &options.key)] {
        if let Some(file) = file {
            // dco-package runs in the workspace.
            let file = fs::canonicalize(file).with_context(|| file.display().to_string())?;
            cargo.arg(option).arg(file);
        }
    }
    for (file, name) in added(root)? {
        cargo.arg("--add").arg(format!("{}={name}", file.display()));
    }
    tool::run(&mut cargo)
}

/// What the zip holds beside the package itself: instructions, and the scripts for a Windows user.
fn added(root: &Path) -> Result<Vec<(PathBuf, String)>> {
    let mut added = vec![(root.join("package/README.txt"), "README.txt".to_owned())];
    let scripts = root.join("scripts/windows");
    let mut names = Vec::new();
    for entry in fs::read_dir(&scripts).with_context(|| scripts.display().to_string())? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    let scripts = names.into_iter().filter(|name| !DEVELOPERS.contains(&name.as_str()));
    added.extend(scripts.map(|name| (root.join("scripts/windows").join(&name), format!("scripts/{name}"))));
    Ok(added)
}

/// Seconds since 1970: SOURCE_DATE_EPOCH, or the last commit's.
fn date(workspace: &Path) -> Result<String> {
    if let Ok(date) = env::var("SOURCE_DATE_EPOCH") {
        return Ok(date);
    }
    let mut git = Command::new("git");
    git.arg("-C").arg(workspace).args(["log", "-1", "--format=%ct"]);
    let date = tool::output(&mut git).context("no commit to take the date from; set SOURCE_DATE_EPOCH")?;
    Ok(date.trim().to_owned())
}

/// The least KMDF the driver runs on, `N.N`. Said twice: to the linker of the WDK, and in our own binding.
fn kmdf_version(root: &Path) -> Result<String> {
    let manifest = tool::read(&root.join("driver/Cargo.toml"))?;
    let number = |key: &str| {
        let line = manifest.lines().find_map(|line| line.strip_prefix(key)?.trim().strip_prefix('='));
        line.map(|value| value.trim().to_owned()).with_context(|| format!("driver/Cargo.toml has no {key}"))
    };
    let (major, minor) = (number("kmdf-version-major")?, number("minimum-kmdf-version-minor")?);
    let bound = format!("KMDF_VERSION: (ULONG, ULONG) = ({major}, {minor});");
    ensure!(
        tool::read(&root.join("crates/nt-sys/src/bind.rs"))?.contains(&bound),
        "KMDF {major}.{minor} in driver/Cargo.toml, another version in crates/nt-sys/src/bind.rs"
    );
    Ok(format!("{major}.{minor}"))
}

/// Packages made from two copies of the sources: the same bytes before they are signed?
pub fn repro(root: &Path, keep: bool) -> Result<()> {
    let toolchain = Toolchain::choose(None, driver::LINKER)?;
    let work = tool::target_dir(root).join("repro-package");
    if work.exists() {
        fs::remove_dir_all(&work).with_context(|| work.display().to_string())?;
    }
    let places = ["first", "second/somewhere-deeper"].map(|place| work.join(place));
    say(format!("copying the sources to two folders below {}", work.display()));
    let files = tool::files(root)?;
    // A commit may be made meanwhile.
    let options = Options { date: Some(date(root)?), ..Options::default() };
    for place in &places {
        tool::copy_files(root, &files, &place.join("source"))?;
    }
    for place in &places {
        run(&place.join("source"), &options, &toolchain, &place.join("build"), &place.join("out"))?;
    }
    let mut compared = 0;
    let [first, second] = places.map(|place| place.join("out/unsigned"));
    for name in contents(&first)? {
        let bytes = |folder: &Path| fs::read(folder.join(&name)).with_context(|| name.display().to_string());
        if bytes(&first)? != bytes(&second)? {
            bail!("{} differs; both packages are kept in {}", name.display(), work.display());
        }
        println!("repro: {}  {}", tool::sha256(&bytes(&first)?), name.display());
        compared += 1;
    }
    ensure!(contents(&second)?.len() == compared, "the second package has other files");
    println!("repro: the two packages are the same before signing, {compared} files");
    if !keep {
        fs::remove_dir_all(&work).with_context(|| work.display().to_string())?;
    }
    Ok(())
}

/// The files below a folder, relative to it.
fn contents(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(&next).with_context(|| next.display().to_string())? {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
            } else {
                found.push(path.strip_prefix(folder)?.to_path_buf());
            }
        }
    }
    found.sort();
    Ok(found)
}
