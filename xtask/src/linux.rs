//! `cargo xtask linux-object`: the Rust half of the Linux module as one relocatable object, good for every x86-64 kernel.
//!
//! It carries what any kernel wants of its code (return thunks, retpolines, IBT, call padding, no straight-line speculation); a kernel
//! that does not use one of them sees a few bytes more.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::{
    driver::Toolchain,
    linux_gate,
    tool::{self, say},
};

const TARGET: &str = "x86_64-unknown-none";
/// What brings the linker.
pub const LINKER: &str = "ld";

/// Code as the kernel's own makefiles ask for it, by the reason.
const FLAGS: &[&str] = &[
    // In the top 2 GB, at a place the loader chooses; every symbol within reach, none through a GOT.
    "-Ccode-model=kernel",
    "-Crelocation-model=static",
    "-Zdirect-access-external-data=yes",
    "-Zplt=yes",
    // An interrupt uses the stack right below ours.
    "-Cno-redzone=yes",
    // Unwinding is objtool's ORC.
    "-Cforce-unwind-tables=no",
    // Mitigations: MITIGATION_RETHUNK, _RETPOLINE, _SLS; X86_KERNEL_IBT; CALL_PADDING.
    "-Zfunction-return=thunk-extern",
    "-Zretpoline-external-thunk=yes",
    "-Ctarget-feature=+harden-sls-ijmp,+harden-sls-ret",
    "-Zcf-protection=branch",
    "-Cjump-tables=no",
    "-Zpatchable-function-entry=16,16",
    // An allocation that cannot fail does not exist.
    "--cfg=no_global_oom_handling",
];

/// What the boundary adds to the header and the list of `layout!` with the feature `epoch`, and C's assertions of it.
const EPOCH: [&str; 3] = ["linux/include/dco_epoch.h", "linux/core/src/epoch_ffi.rs", "layout-epoch.h"];

/// Builds the object of the workspace at `root`, judges it, and puts it in `out` with the layout's assertions for C. `epoch`: the one
/// with epoch keys, under another name.
pub fn build(root: &Path, toolchain: &Toolchain, target_dir: &Path, out: &Path, epoch: bool) -> Result<PathBuf> {
    let kind = if epoch { "-epoch" } else { "" };
    let more = if epoch { " with epoch keys" } else { "" };
    say(format!("building the Linux module's Rust object{more} with {}", toolchain.describe()?));
    let flags = FLAGS.iter().map(|flag| (*flag).to_owned()).collect();
    let mut cargo = toolchain.cargo_with(root, target_dir, flags)?;
    cargo.args(["rustc", "--locked", "--package=dco-linux", "--lib", "--crate-type=staticlib", "--profile=driver"]);
    cargo.args(["--target", TARGET, "-Zbuild-std=core,alloc"]);
    if epoch {
        cargo.arg("--features=epoch");
    }
    tool::run(&mut cargo)?;

    let pieces = unpack(&target_dir.join(TARGET).join("driver/libdco_linux.a"), &target_dir.join("linux-pieces"))?;
    let linked = target_dir.join(format!("linux-core{kind}.o"));
    let [header, list, assertions_file] = EPOCH;
    let mut declared = declared_functions(&tool::read(&root.join("linux/include/dco.h"))?);
    if epoch {
        declared.extend(declared_functions(&tool::read(&root.join(header))?));
    }
    link(root, &declared, &pieces, &linked)?;
    linux_gate::run(&linked)?;
    version(root)?;
    fs::create_dir_all(out).with_context(|| out.display().to_string())?;
    let object = out.join(format!("core{kind}.o_shipped"));
    // An object that is the same keeps its time, and what was made of it.
    let bytes = fs::read(&linked)?;
    if fs::read(&object).ok().as_ref() != Some(&bytes) {
        fs::write(&object, bytes).with_context(|| object.display().to_string())?;
    }
    let layout = tool::read(&root.join("linux/core/src/ffi.rs"))?;
    tool::write(&out.join("layout.h"), &assertions(&layout)?)?;
    if epoch {
        tool::write(&out.join(assertions_file), &assertions(&tool::read(&root.join(list))?)?)?;
    }
    Ok(object)
}

/// The modules call themselves by the workspace's version.
fn version(root: &Path) -> Result<()> {
    let version = env!("CARGO_PKG_VERSION");
    for (file, line) in [
        ("linux/shim/shim.h", format!("#define DCO_VERSION \"{version}\"")),
        ("linux/dkms.conf", format!("PACKAGE_VERSION=\"{version}\"")),
    ] {
        if !tool::read(&root.join(file))?.contains(&line) {
            bail!("{file}: expected `{line}`, the workspace's version");
        }
    }
    Ok(())
}

/// The archive's objects, without the compiler's own library: its memcpy and the like are the kernel's here, and whatever else would be
/// needed of it the gate reports as undefined.
fn unpack(archive: &Path, folder: &Path) -> Result<Vec<PathBuf>> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    tool::run(Command::new("ar").arg("x").arg(archive).current_dir(folder))?;
    let mut objects = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.ends_with(".o") && !name.starts_with("compiler_builtins-") {
            objects.push(path);
        }
    }
    objects.sort();
    Ok(objects)
}

/// One object of what C can reach.
fn link(root: &Path, declared: &[String], pieces: &[PathBuf], object: &Path) -> Result<()> {
    if declared.is_empty() {
        bail!("linux/include/dco.h declares no dco_core_* function");
    }
    let mut ld = Command::new(LINKER);
    ld.args(["-r", "-melf_x86_64", "--gc-sections", "--strip-debug", "--discard-locals", "-z", "noexecstack", "-T"]);
    ld.arg(root.join("linux/core/object.lds"));
    for function in declared {
        // Not --require-defined: what is missing is reported with the other undefined symbols.
        ld.arg("-u").arg(function);
    }
    tool::run(ld.arg("-o").arg(object).args(pieces))?;
    tool::run(
        Command::new("objcopy")
            .args(["--wildcard", "--keep-global-symbol=dco_core_*", "--remove-section=.note.*"])
            .arg(object),
    )
}

/// The `dco_core_*` functions that the header declares.
fn declared_functions(header: &str) -> Vec<String> {
    let mut functions = Vec::new();
    let mut in_comment = false;
    for line in header.lines() {
        let starts = line.trim_start().starts_with("/*");
        if !in_comment
            && !starts
            && !line.starts_with([' ', '\t'])
            && let Some((before, _)) = line.split_once('(')
        {
            let name = before.rsplit([' ', '*']).next().unwrap_or_default();
            functions.extend(name.starts_with("dco_core_").then(|| name.to_owned()));
        }
        in_comment = (in_comment || starts) && !line.contains("*/");
    }
    functions
}

/// C's half of ffi.rs's `layout!` list.
fn assertions(source: &str) -> Result<String> {
    let (_, list) = source.split_once("\nlayout! {\n").context("ffi.rs has no layout! list")?;
    let (list, _) = list.split_once("\n}\n").context("ffi.rs: the layout! list does not end")?;
    let mut text = "/* Made by cargo xtask linux-object of a layout! list in linux/core/src. */\n".to_owned();
    let mut structure = None;
    for line in list.lines() {
        let line = line.trim();
        // Writing into a String cannot fail.
        if line == "constants {" {
            structure = None;
        } else if let Some((name, size)) = line.strip_suffix(" {").and_then(|line| line.split_once(" = ")) {
            let _ = writeln!(text, "DCO_SIZE({name}, {size})");
            structure = Some(name);
        } else if let Some((name, value)) = line.strip_suffix(',').and_then(|line| line.split_once(" = ")) {
            let _ = writeln!(text, "DCO_VALUE({name}, {})", value.replace('_', ""));
        } else if let Some((field, offset)) = line.strip_suffix(',').and_then(|line| line.split_once(": ")) {
            let structure = structure.with_context(|| format!("ffi.rs: `{line}` outside a structure"))?;
            let _ = writeln!(text, "DCO_FIELD({structure}, {field}, {offset})");
        } else if line != "}" {
            bail!("ffi.rs: not understood in the layout! list: `{line}`");
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_s_functions_are_found() {
        let header = "/* dco_core_no() */\nint dco_core_one(struct dco_core *core);\n\
                      /*\n * text dco_core_not(\n */\nconst char *dco_core_two(unsigned int reason);\n\
                      void dco_core_three(struct dco_core *core,\n\t\t   __u32 dco_core_neither(x));\n\
                      bool dco_shim_other(void);\n";
        assert_eq!(declared_functions(header), ["dco_core_one", "dco_core_two", "dco_core_three"]);
    }

    #[test]
    fn the_list_becomes_assertions() {
        let source =
            "x\nlayout! {\n    constants {\n        A = 0xff_ff,\n    }\n    s = 8 {\n        f: 4,\n    }\n}\n";
        let text = assertions(source).expect("a list");
        assert!(text.ends_with("*/\nDCO_VALUE(A, 0xffff)\nDCO_SIZE(s, 8)\nDCO_FIELD(s, f, 4)\n"), "{text}");
    }

    #[test]
    fn a_line_that_is_not_understood_is_an_error() {
        assert!(assertions("layout! {\n    s = 8 {\n").is_err());
        assert!(assertions("\nlayout! {\n    something else\n}\n").is_err());
        assert!(assertions("\nlayout! {\n    constants {\n        f: 4,\n    }\n}\n").is_err());
    }
}
