//! The loader of PE32+ images: parsing (`parse`), then mapping, relocation, binding of imports and protection.
//!
//! A file that is no sound driver image gives an error that says what is wrong with it; nothing in it is trusted.

pub mod parse;

use crate::nt::PDRIVER_INITIALIZE;
use crate::{fault, report, thunk, unwind};
use parse::{Bad, Image, Section, UNKNOWN_IMPORT};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

const PAGE: usize = 4096;
/// What link.exe and lld-link put into `__security_cookie`.
const DEFAULT_COOKIE: u64 = 0x0000_2B99_2DDF_A232;

/// Why an image was not loaded.
#[derive(Debug)]
pub enum LoadError {
    /// The file cannot be read.
    Read(std::io::Error),
    /// The file is no image that this loader takes.
    Bad(Bad),
    /// Imports that the lab does not provide (rule `pe.unknown-import`), each as `module!name`.
    UnknownImports(Vec<String>),
    /// The host refused memory.
    Memory(std::io::Error),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(e) => write!(f, "cannot read the image: {e}"),
            Self::Bad(Bad { rule, why }) => {
                write!(f, "violation: {}\n  rule:   {}\n  detail: not a driver image: {why}", rule.name, rule.source)
            }
            Self::UnknownImports(names) => {
                writeln!(f, "violation: {}\n  rule:   {}", UNKNOWN_IMPORT.name, UNKNOWN_IMPORT.source)?;
                write!(f, "  detail: {} import(s) are not provided:", names.len())?;
                names.iter().try_for_each(|n| write!(f, "\n    {n}"))
            }
            Self::Memory(e) => write!(f, "cannot map the image: {e}"),
        }
    }
}

impl std::error::Error for LoadError {}

/// A loaded image. It stays mapped until the process ends.
#[derive(Debug)]
pub struct Loaded {
    /// Address of its headers.
    pub base: usize,
    /// Bytes mapped.
    pub size: usize,
    /// The entry point.
    pub entry: PDRIVER_INITIALIZE,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    discardable: Vec<(usize, usize)>,
}

/// Reads and parses a file.
///
/// # Errors
/// When it cannot be read or is no driver image.
pub fn read(path: &Path) -> Result<(Vec<u8>, Image), LoadError> {
    let bytes = std::fs::read(path).map_err(LoadError::Read)?;
    let image = Image::parse(&bytes).map_err(LoadError::Bad)?;
    Ok((bytes, image))
}

/// SHA-256 in hexadecimal.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// The imports that no family provides, as `module!name`.
#[must_use]
pub fn unknown_imports(image: &Image) -> Vec<String> {
    let missing: BTreeSet<String> = image
        .imports
        .iter()
        .filter(|i| thunk::address_of(&i.module, &i.name).is_none())
        .map(|i| format!("{}!{}", i.module, i.name))
        .collect();
    missing.into_iter().collect()
}

/// Loads a driver image.
///
/// # Errors
/// When the file is no driver image, or imports what the lab does not have.
pub fn load(path: &Path) -> Result<Loaded, LoadError> {
    let (bytes, image) = read(path)?;
    let missing = unknown_imports(&image);
    if !missing.is_empty() {
        return Err(LoadError::UnknownImports(missing));
    }
    let base = map(image.size)?;
    // SAFETY: the mapping is fresh, writable, image.size bytes long and known to nobody else.
    let memory = unsafe { std::slice::from_raw_parts_mut(base as *mut u8, image.size) };
    let bad = |what: &str| LoadError::Bad(Bad::from(format!("{what} lies outside the image")));
    copy(memory, 0, bytes.get(..image.headers_size).ok_or_else(|| bad("a header"))?).ok_or_else(|| bad("a header"))?;
    for s in &image.sections {
        copy(memory, s.address, s.data(&bytes)).ok_or_else(|| bad("a section"))?;
    }
    relocate(memory, &image, base as u64).ok_or_else(|| bad("a relocation"))?;
    for i in &image.imports {
        let address = thunk::address_of(&i.module, &i.name).unwrap_or(0);
        copy(memory, i.slot, &address.to_le_bytes()).ok_or_else(|| bad("an import slot"))?;
    }
    if let Some(cookie) = image.security_cookie {
        let at = cookie
            .checked_sub(image.preferred_base)
            .and_then(|o| usize::try_from(o).ok())
            .ok_or_else(|| bad("the security cookie"))?;
        let place = memory.get(at..at + 8).ok_or_else(|| bad("the security cookie"))?;
        if place == DEFAULT_COOKIE.to_le_bytes() {
            // Any value but the default; the top two bytes are zero, as Windows keeps them.
            let mixed = (base as u64 ^ u64::from(std::process::id()) << 24 ^ 0x5DEE_CE66_D00D) & 0xFFFF_FFFF_FFFF;
            copy(memory, at, &mixed.to_le_bytes()).ok_or_else(|| bad("the security cookie"))?;
        }
    }
    protect(base, PAGE.max(image.headers_size.next_multiple_of(PAGE)), libc::PROT_READ)?;
    for s in &image.sections {
        protect(base + s.address, s.size.next_multiple_of(PAGE), protection(s))?;
    }
    report::set_image(base, image.size);
    unwind::set_image(unwind::Image::new(base, memory.to_vec(), image.exceptions));
    fault::set_imports(image.imports.iter().map(|i| i.name.clone()).collect());
    let discardable = image
        .sections
        .iter()
        .filter(|s| s.discardable())
        .map(|s| (base + s.address, s.size.next_multiple_of(PAGE)))
        .collect();
    // SAFETY: the parser has checked that the entry point lies in an executable section; the image's entry has this type.
    let entry = unsafe { std::mem::transmute::<usize, PDRIVER_INITIALIZE>(base + image.entry) };
    Ok(Loaded { base, size: image.size, entry, sha256: sha256(&bytes), discardable })
}

impl Loaded {
    /// Takes away the discardable sections, as Windows does once the driver is initialised: a later touch faults.
    pub fn discard(&self) {
        for &(at, size) in &self.discardable {
            // SAFETY: the range is this image's own and page-aligned; the driver must not use it any more.
            unsafe { libc::mprotect(at as *mut libc::c_void, size, libc::PROT_NONE) };
        }
    }

    /// Takes away the whole image after unload: anything that still runs in it faults.
    pub fn unmap(&self) {
        // SAFETY: the range is this image's own mapping.
        unsafe { libc::mprotect(self.base as *mut libc::c_void, self.size.next_multiple_of(PAGE), libc::PROT_NONE) };
    }
}

fn map(size: usize) -> Result<usize, LoadError> {
    // SAFETY: an anonymous mapping at an address the host chooses.
    let p = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            size.next_multiple_of(PAGE),
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if p == libc::MAP_FAILED { Err(LoadError::Memory(std::io::Error::last_os_error())) } else { Ok(p as usize) }
}

fn protect(at: usize, size: usize, protection: libc::c_int) -> Result<(), LoadError> {
    // SAFETY: the range lies in the image's mapping, as the parser has checked.
    if unsafe { libc::mprotect(at as *mut libc::c_void, size, protection) } != 0 {
        return Err(LoadError::Memory(std::io::Error::last_os_error()));
    }
    Ok(())
}

fn protection(s: &Section) -> libc::c_int {
    let mut p = 0;
    if s.readable() {
        p |= libc::PROT_READ;
    }
    if s.writable() {
        p |= libc::PROT_READ | libc::PROT_WRITE;
    }
    if s.executable() {
        p |= libc::PROT_READ | libc::PROT_EXEC;
    }
    p
}

fn copy(memory: &mut [u8], at: usize, from: &[u8]) -> Option<()> {
    memory.get_mut(at..at.checked_add(from.len())?)?.copy_from_slice(from);
    Some(())
}

fn relocate(memory: &mut [u8], image: &Image, base: u64) -> Option<()> {
    let delta = base.wrapping_sub(image.preferred_base);
    for &at in &image.relocations {
        let place = memory.get_mut(at..at.checked_add(8)?)?;
        let v = u64::from_le_bytes(<[u8; 8]>::try_from(&*place).ok()?).wrapping_add(delta);
        place.copy_from_slice(&v.to_le_bytes());
    }
    Some(())
}
