//! The package's files, for each architecture and together.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use der::{DateTime, Encode as _};
use sha2::{Digest as _, Sha256};

use crate::{
    archive::Archive,
    catalog::{self, Member},
    identity::Identity,
    inf::{self, Stamp, Version},
    pe, signature,
    spc::{IndirectData, Kind, Place, SPC_INDIRECT_DATA},
};

const IMAGE: &str = "ovpn-dco.sys";
const INF: &str = "ovpn-dco.inf";
const CATALOG: &str = "ovpn-dco.cat";

/// What Windows runs on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    X64,
    Arm64,
}

impl Architecture {
    /// By the name of its folder.
    pub fn named(name: &str) -> Result<Self> {
        match name {
            "x64" => Ok(Self::X64),
            "arm64" => Ok(Self::Arm64),
            _ => bail!("{name}: expected x64 or arm64"),
        }
    }

    fn folder(self) -> &'static str {
        match self {
            Self::X64 => "x64",
            Self::Arm64 => "arm64",
        }
    }

    /// In the INF.
    fn decoration(self) -> &'static str {
        match self {
            Self::X64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// In the catalog: Windows 10 and later.
    fn systems(self) -> &'static str {
        match self {
            Self::X64 => "_v100_X64",
            Self::Arm64 => "_v100_ARM64",
        }
    }
}

/// What a package is made from.
#[derive(Default)]
pub struct Input {
    /// Built images.
    pub images: Vec<(Architecture, PathBuf)>,
    pub inx: PathBuf,
    pub version: Version,
    /// Version of KMDF, `N.N`.
    pub kmdf: String,
    /// Seconds since 1970.
    pub date: u64,
    /// Further files of the zip, and their names in it.
    pub added: Vec<(PathBuf, String)>,
}

/// The files of one architecture, in a folder's order.
type Files = [(&'static str, Vec<u8>); 3];

/// Writes the package to `out`, anew.
pub fn make(input: &Input, identity: &Identity, out: &Path) -> Result<()> {
    ensure!(!input.images.is_empty(), "no image");
    let date = DateTime::from_unix_duration(Duration::from_secs(input.date))?;
    let inx = fs::read_to_string(&input.inx).with_context(|| input.inx.display().to_string())?;
    let mut sums = String::new();
    let mut content: Vec<(String, Vec<u8>)> = Vec::new();
    for (architecture, path) in &input.images {
        let image = fs::read(path).with_context(|| path.display().to_string())?;
        let stamp = Stamp { decoration: architecture.decoration(), kmdf: &input.kmdf, version: input.version, date };
        let inf = inf::stamp(&inx, &stamp).with_context(|| input.inx.display().to_string())?;
        let folder = architecture.folder();
        for (name, data) in files(*architecture, &image, &inf, date, None)? {
            let name = format!("{folder}/{name}");
            sums.push_str(&format!("{}  {name}\n", hex(&Sha256::digest(&data))));
            write(&out.join("unsigned").join(name), &data)?;
        }
        for (name, data) in files(*architecture, &image, &inf, date, Some(identity))? {
            content.push((format!("{folder}/{name}"), data));
        }
    }
    write(&out.join("unsigned/SHA256SUMS"), sums.as_bytes())?;
    let certificate = if identity.made_here { "ovpn-dco-test.cer" } else { "ovpn-dco.cer" };
    content.push((certificate.to_owned(), identity.certificate()?.to_der()?));
    for (path, name) in &input.added {
        content.push((name.clone(), fs::read(path).with_context(|| path.display().to_string())?));
    }

    let mut archive = Archive::new(date);
    for (name, data) in &content {
        write(&out.join(name), data)?;
        archive.add(name, data)?;
    }
    let name = format!("ovpn-dco-{}.zip", input.version);
    let archive = archive.finish()?;
    write(&out.join(&name), &archive)?;
    println!("{}  {}", hex(&Sha256::digest(&archive)), out.join(name).display());
    Ok(())
}

fn files(arch: Architecture, image: &[u8], inf: &str, date: DateTime, identity: Option<&Identity>) -> Result<Files> {
    let digest = pe::digest(image)?;
    let image = match identity {
        None => image.to_vec(),
        Some(_) => {
            let data = IndirectData::new(Kind::Image, &digest, Place::Signature)?.any()?;
            pe::signed(image, &signature::pkcs7(SPC_INDIRECT_DATA, data, identity)?)?
        }
    };
    let members = [
        Member { name: IMAGE, kind: Kind::Image, digest },
        Member { name: INF, kind: Kind::Flat, digest: Sha256::digest(inf).into() },
    ];
    let ids = inf::hardware_ids(inf)?;
    let list = catalog::list(&members, arch.systems(), &ids.iter().map(String::as_str).collect::<Vec<_>>(), date)?;
    let catalog = signature::pkcs7(catalog::CTL, list, identity)?;
    Ok([(IMAGE, image), (INF, inf.as_bytes().to_vec()), (CATALOG, catalog)])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn write(path: &Path, data: &[u8]) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    fs::write(path, data).with_context(|| path.display().to_string())
}
