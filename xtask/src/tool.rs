//! Running other programs, paths, hashes.

use std::{
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

/// The workspace this xtask was built from, or the one around the current folder if that has moved.
pub fn workspace() -> Result<PathBuf> {
    let built_from = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut candidates = vec![env::current_dir()?];
    candidates.extend(built_from.parent().map(Path::to_path_buf));
    for candidate in candidates {
        if let Some(root) = candidate.ancestors().find(|folder| folder.join("xtask/Cargo.toml").is_file()) {
            return Ok(root.to_path_buf());
        }
    }
    bail!("not inside the workspace")
}

/// Where cargo puts this workspace's output.
pub fn target_dir(root: &Path) -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |dir| root.join(dir))
}

/// One line of progress.
pub fn say(message: impl AsRef<str>) {
    eprintln!("xtask: {}", message.as_ref());
}

/// A command without its environment.
fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// Runs a command whose output the user sees.
pub fn run(command: &mut Command) -> Result<()> {
    let shown = shown(command);
    let status = command.status().with_context(|| format!("cannot start {shown}"))?;
    if !status.success() {
        bail!("{status} from {shown}");
    }
    Ok(())
}

/// Runs a command and takes its standard output.
pub fn output(command: &mut Command) -> Result<String> {
    let shown = shown(command);
    let output = command.stderr(Stdio::null()).output().with_context(|| format!("cannot start {shown}"))?;
    if !output.status.success() {
        bail!("{} from {shown}", output.status);
    }
    String::from_utf8(output.stdout).with_context(|| format!("output of {shown}"))
}

/// A program of the search path.
pub fn find(program: impl AsRef<OsStr>) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(program.as_ref())).find(|file| file.is_file())
}

/// Hexadecimal SHA-256.
pub fn sha256(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        // Writing into a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Reads a text file, naming it in the error.
pub fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| path.display().to_string())
}

/// Writes a file and the folders above it, naming it in the error; leaves it alone when it is the same already.
pub fn write(path: &Path, text: &str) -> Result<()> {
    if fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    fs::write(path, text).with_context(|| path.display().to_string())
}

/// The files of the workspace: tracked ones, and untracked ones that are not ignored.
pub fn files(root: &Path) -> Result<Vec<PathBuf>> {
    let list = output(Command::new("git").arg("-C").arg(root).args([
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]))?;
    Ok(list.split('\0').filter(|name| !name.is_empty() && root.join(name).is_file()).map(PathBuf::from).collect())
}

/// Copies files of the workspace.
pub fn copy_files(root: &Path, files: &[PathBuf], to: &Path) -> Result<()> {
    for file in files {
        let target = to.join(file);
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        }
        fs::copy(root.join(file), &target).with_context(|| file.display().to_string())?;
    }
    Ok(())
}
