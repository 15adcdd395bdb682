//! Makes the driver package from built images and the INX: what `cargo xtask package` calls (docs/package.md).

mod archive;
mod catalog;
mod identity;
mod inf;
mod package;
mod pe;
mod signature;
mod spc;

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, Result, bail};
use lexopt::prelude::*;

use crate::{
    identity::Files,
    inf::Version,
    package::{Architecture, Input},
};

const HELP: &str = "\
Makes the driver package (docs/package.md); `cargo xtask package` calls it with what it has built.

Usage: dco-package make --image ARCH=FILE.sys... --inx FILE --version N.N.N --kmdf N.N --date SECONDS --out DIR
                        --key-dir DIR [--add FILE=NAME]... [--cert FILE [--key FILE]]
       dco-package unsign FILE.sys OUT.sys

  make               x64=FILE or arm64=FILE, one or both. SECONDS since 1970 are the package's date. Without --cert the
                     certificate and key of --key-dir sign, made there if it has none. --add puts a further file into
                     the zip. A password for --key or for a .pfx comes from DCO_PACKAGE_PASSWORD.
  unsign             the image without its signature: what it was before, byte for byte.
";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("dco-package: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let mut parser = lexopt::Parser::from_env();
    match parser.next()? {
        Some(Value(command)) if command == "make" => make(&mut parser),
        Some(Value(command)) if command == "unsign" => unsign(&mut parser),
        Some(Short('h') | Long("help")) => {
            print!("{HELP}");
            Ok(())
        }
        _ => bail!("make or unsign? `dco-package --help`"),
    }
}

fn make(parser: &mut lexopt::Parser) -> Result<()> {
    let mut input = Input::default();
    let (mut out, mut keys, mut inx) = (None, None, None);
    let mut files = Files::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("image") => {
                let (name, path) = pair(&parser.value()?.string()?)?;
                input.images.push((Architecture::named(&name)?, PathBuf::from(path)));
            }
            Long("add") => {
                let (path, name) = pair(&parser.value()?.string()?)?;
                input.added.push((PathBuf::from(path), name));
            }
            Long("inx") => inx = Some(PathBuf::from(parser.value()?)),
            Long("version") => input.version = Version::parse(&parser.value()?.string()?)?,
            Long("kmdf") => input.kmdf = parser.value()?.string()?,
            Long("date") => input.date = parser.value()?.parse()?,
            Long("out") => out = Some(PathBuf::from(parser.value()?)),
            Long("key-dir") => keys = Some(PathBuf::from(parser.value()?)),
            Long("cert") => files.certificates = Some(PathBuf::from(parser.value()?)),
            Long("key") => files.key = Some(PathBuf::from(parser.value()?)),
            other => return Err(other.unexpected().into()),
        }
    }
    input.inx = inx.context("--inx is missing")?;
    let out = out.context("--out is missing")?;
    let signer = identity::load_or_make(&files, &keys.context("--key-dir is missing")?)?;
    package::make(&input, &signer, &out)
}

fn unsign(parser: &mut lexopt::Parser) -> Result<()> {
    let (from, to) = (PathBuf::from(parser.value()?), PathBuf::from(parser.value()?));
    let signed = std::fs::read(&from).with_context(|| from.display().to_string())?;
    std::fs::write(&to, pe::unsigned(&signed)?).with_context(|| to.display().to_string())
}

/// `A=B`, split at the last `=`.
fn pair(text: &str) -> Result<(String, String)> {
    let (left, right) = text.rsplit_once('=').with_context(|| format!("{text}: expected A=B"))?;
    Ok((left.to_owned(), right.to_owned()))
}
