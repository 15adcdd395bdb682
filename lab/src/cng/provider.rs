//! Algorithm providers and their properties.

use super::handles::{self, Handle, Object};
use super::{BAD_INFO, BUFFER_TOO_SMALL, INVALID_PARAMETER, NOT_FOUND, NOT_SUPPORTED, SUCCESS, not_implemented, wide};
use crate::fault;
use crate::irql;
use crate::report::{InCall, Rule, record, record_of};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};

const PROV_DISPATCH: u32 = 1;
const HMAC_FLAG: u32 = 8;

const KEY_OUTLIVES: Rule =
    Rule::new("cng.key-outlives-provider", "WDK: BCryptCloseAlgorithmProvider (destroy all keys first)");
const DISPATCH_WITHOUT_FLAG: Rule =
    Rule::new("cng.dispatch-without-flag", "WDK: BCryptOpenAlgorithmProvider (BCRYPT_PROV_DISPATCH)");

static CHACHA: AtomicBool = AtomicBool::new(true);

/// Whether `CHACHA20_POLY1305` can be opened: on since Windows 11 and Server 2022.
pub fn offer_chacha(on: bool) {
    CHACHA.store(on, Ordering::SeqCst);
}

/// What a provider computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// `AES`.
    Aes,
    /// `CHACHA20_POLY1305`.
    ChaCha,
    /// `RNG`.
    Rng,
}

impl Algorithm {
    /// CNG's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Aes => "AES",
            Self::ChaCha => "CHACHA20_POLY1305",
            Self::Rng => "RNG",
        }
    }
}

/// `BCRYPT_CHAINING_MODE` of a provider or key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Chaining {
    /// AES as opened.
    Cbc,
    /// What the lab implements.
    Gcm,
    /// An AEAD that is no mode of a block cipher.
    None,
}

/// The chaining mode, settable while calls read it.
#[derive(Debug)]
pub struct ChainingCell(AtomicU8);

impl ChainingCell {
    /// With a mode.
    pub fn new(mode: Chaining) -> Self {
        Self(AtomicU8::new(mode as u8))
    }

    /// The mode.
    pub fn get(&self) -> Chaining {
        match self.0.load(Ordering::Relaxed) {
            0 => Chaining::Cbc,
            1 => Chaining::Gcm,
            _ => Chaining::None,
        }
    }

    /// `BCryptSetProperty(ChainingMode)`.
    pub fn set_by_name(&self, algorithm: Algorithm, name: &str) -> i32 {
        match (algorithm, name) {
            (Algorithm::Aes, "ChainingModeGCM") => self.0.store(Chaining::Gcm as u8, Ordering::Relaxed),
            (Algorithm::Aes, "ChainingModeCBC") => self.0.store(Chaining::Cbc as u8, Ordering::Relaxed),
            (Algorithm::Aes, "ChainingModeECB" | "ChainingModeCCM" | "ChainingModeCFB") => {
                not_implemented(&format!("{name} (the lab has GCM)"));
                return NOT_SUPPORTED;
            }
            (Algorithm::Aes, _) => return INVALID_PARAMETER,
            _ => return NOT_SUPPORTED,
        }
        SUCCESS
    }
}

/// An open provider.
#[derive(Debug)]
pub struct Provider {
    /// What it computes.
    pub algorithm: Algorithm,
    /// Opened with `BCRYPT_PROV_DISPATCH`.
    pub dispatch: bool,
    /// Mode that new keys take.
    pub chaining: ChainingCell,
    /// Keys alive.
    pub keys: AtomicUsize,
}

/// The IRQL contract of every call on a provider's or key's handle.
pub fn check_irql(dispatch: bool) {
    irql::require_at_most(irql::DISPATCH);
    if !dispatch && irql::current() > irql::PASSIVE {
        record(
            DISPATCH_WITHOUT_FLAG,
            "used above PASSIVE_LEVEL, and the provider was opened without BCRYPT_PROV_DISPATCH",
        );
    }
}

/// `BCryptOpenAlgorithmProvider`.
pub extern "win64" fn open(out: *mut Handle, algorithm: *const u16, implementation: *const u16, flags: u32) -> i32 {
    let _call = InCall::enter("BCryptOpenAlgorithmProvider");
    irql::require_at_most(irql::PASSIVE);
    if out.is_null() || algorithm.is_null() {
        record(BAD_INFO, "phAlgorithm and pszAlgId must not be NULL");
        return INVALID_PARAMETER;
    }
    // SAFETY: not NULL; the driver's to make a NUL-terminated string, as documented.
    let name = unsafe { wide(algorithm) };
    if !implementation.is_null() {
        // SAFETY: as above.
        let wanted = unsafe { wide(implementation) };
        if wanted != "Microsoft Primitive Provider" {
            return NOT_FOUND;
        }
    }
    if flags & HMAC_FLAG != 0 {
        not_implemented("BCRYPT_ALG_HANDLE_HMAC_FLAG");
        return NOT_SUPPORTED;
    }
    if flags & !PROV_DISPATCH != 0 {
        return INVALID_PARAMETER;
    }
    let (algorithm, chaining) = match name.as_str() {
        "AES" => (Algorithm::Aes, Chaining::Cbc),
        "CHACHA20_POLY1305" if CHACHA.load(Ordering::SeqCst) => (Algorithm::ChaCha, Chaining::None),
        "RNG" => (Algorithm::Rng, Chaining::None),
        "CHACHA20_POLY1305" => return NOT_FOUND,
        other => {
            not_implemented(&format!("algorithm {other}"));
            return NOT_FOUND;
        }
    };
    if fault::fails("BCryptOpenAlgorithmProvider") {
        return super::NO_MEMORY;
    }
    let provider = Provider {
        algorithm,
        dispatch: flags & PROV_DISPATCH != 0,
        chaining: ChainingCell::new(chaining),
        keys: AtomicUsize::new(0),
    };
    let Some(handle) = handles::insert(Object::Provider(provider)) else { return super::NO_MEMORY };
    // SAFETY: checked not NULL; the driver's to point at a handle-sized variable.
    unsafe { out.write(handle) };
    SUCCESS
}

/// `BCryptCloseAlgorithmProvider`.
pub extern "win64" fn close(handle: Handle, flags: u32) -> i32 {
    let _call = InCall::enter("BCryptCloseAlgorithmProvider");
    irql::require_at_most(irql::PASSIVE);
    if flags != 0 {
        record(BAD_INFO, &format!("dwFlags must be 0, came {flags:#x}"));
    }
    {
        let Some(entered) = handles::enter(handle) else { return super::INVALID_HANDLE };
        let Object::Provider(provider) = entered.object() else {
            handles::wrong_kind(handle, "a provider");
            return super::INVALID_HANDLE;
        };
        let keys = provider.keys.load(Ordering::SeqCst);
        if keys != 0 {
            record_of(
                KEY_OUTLIVES,
                &handles::describe(handle),
                &format!("provider {} closed while {keys} of its keys live", provider.algorithm.name()),
            );
        }
    }
    match handles::remove(handle) {
        Some(_) => SUCCESS,
        None => super::INVALID_HANDLE,
    }
}

/// `BCryptSetProperty`.
pub extern "win64" fn set_property(handle: Handle, name: *const u16, input: *const u8, len: u32, flags: u32) -> i32 {
    let _call = InCall::enter("BCryptSetProperty");
    irql::require_at_most(irql::PASSIVE);
    if name.is_null() || input.is_null() || flags != 0 {
        record(BAD_INFO, "pszProperty and pbInput must not be NULL, dwFlags must be 0");
        return INVALID_PARAMETER;
    }
    let Some(entered) = handles::enter(handle) else { return super::INVALID_HANDLE };
    // SAFETY: not NULL; a NUL-terminated string as documented.
    let name = unsafe { wide(name) };
    if name != "ChainingMode" {
        return NOT_SUPPORTED;
    }
    // SAFETY: the driver states `len` bytes at `input`.
    let bytes = unsafe { std::slice::from_raw_parts(input, len as usize) };
    let units: Vec<u16> = bytes.chunks_exact(2).map(|c| u16::from_le_bytes([c[0], c[1]])).collect();
    let Some(end) = units.iter().position(|u| *u == 0) else {
        record(BAD_INFO, &format!("ChainingMode: {len} bytes hold no terminating NUL (cbInput counts it)"));
        return INVALID_PARAMETER;
    };
    let mode = String::from_utf16_lossy(units.get(..end).unwrap_or_default());
    if fault::fails("BCryptSetProperty") {
        return super::NO_MEMORY;
    }
    match entered.object() {
        Object::Provider(p) => p.chaining.set_by_name(p.algorithm, &mode),
        Object::Key(k) => k.chaining.set_by_name(k.algorithm, &mode),
    }
}

/// `BCryptGetProperty`.
pub extern "win64" fn get_property(
    handle: Handle,
    name: *const u16,
    output: *mut u8,
    len: u32,
    result: *mut u32,
    flags: u32,
) -> i32 {
    let _call = InCall::enter("BCryptGetProperty");
    if name.is_null() || result.is_null() || flags != 0 {
        record(BAD_INFO, "pszProperty and pcbResult must not be NULL, dwFlags must be 0");
        return INVALID_PARAMETER;
    }
    let Some(entered) = handles::enter(handle) else { return super::INVALID_HANDLE };
    let (algorithm, chaining, dispatch, strength) = match entered.object() {
        Object::Provider(p) => (p.algorithm, p.chaining.get(), p.dispatch, None),
        Object::Key(k) => (k.algorithm, k.chaining.get(), k.dispatch, Some(k.bits())),
    };
    check_irql(dispatch);
    // SAFETY: not NULL; a NUL-terminated string as documented.
    let name = unsafe { wide(name) };
    let value: Vec<u8> = match (name.as_str(), algorithm) {
        ("ObjectLength", _) => super::OBJECT_LENGTH.to_le_bytes().to_vec(),
        ("BlockLength", Algorithm::Aes) => 16u32.to_le_bytes().to_vec(),
        ("BlockLength", Algorithm::ChaCha) => 1u32.to_le_bytes().to_vec(),
        ("KeyLengths", Algorithm::Aes) => words(&[128, 256, 64]),
        ("KeyLengths", Algorithm::ChaCha) => words(&[256, 256, 0]),
        ("AuthTagLength", Algorithm::Aes) if chaining == Chaining::Gcm => words(&[12, 16, 1]),
        ("AuthTagLength", Algorithm::ChaCha) => words(&[16, 16, 0]),
        ("KeyLength" | "KeyStrength", _) if strength.is_some() => strength.unwrap_or(0).to_le_bytes().to_vec(),
        ("AlgorithmName", _) => units(algorithm.name()),
        ("ChainingMode", Algorithm::Aes) => {
            units(if chaining == Chaining::Gcm { "ChainingModeGCM" } else { "ChainingModeCBC" })
        }
        _ => return NOT_SUPPORTED,
    };
    if fault::fails("BCryptGetProperty") {
        return super::NO_MEMORY;
    }
    // SAFETY: checked not NULL.
    unsafe { result.write(u32::try_from(value.len()).unwrap_or(0)) };
    if output.is_null() {
        return SUCCESS;
    }
    if (len as usize) < value.len() {
        return BUFFER_TOO_SMALL;
    }
    // SAFETY: the driver states `len` bytes at `output`, and the value is no longer.
    unsafe { std::ptr::copy_nonoverlapping(value.as_ptr(), output, value.len()) };
    SUCCESS
}

fn words(w: &[u32]) -> Vec<u8> {
    w.iter().flat_map(|v| v.to_le_bytes()).collect()
}

fn units(s: &str) -> Vec<u8> {
    s.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
}

/// `BCryptGenRandom`.
pub extern "win64" fn gen_random(handle: Handle, buffer: *mut u8, len: u32, flags: u32) -> i32 {
    const SYSTEM_PREFERRED: u32 = 2;
    let _call = InCall::enter("BCryptGenRandom");
    if flags & SYSTEM_PREFERRED != 0 {
        irql::require_at_most(irql::PASSIVE);
        if handle != 0 {
            record(BAD_INFO, "hAlgorithm must be NULL with BCRYPT_USE_SYSTEM_PREFERRED_RNG");
            return INVALID_PARAMETER;
        }
    } else {
        let Some(entered) = handles::enter(handle) else { return super::INVALID_HANDLE };
        match entered.object() {
            Object::Provider(p) if p.algorithm == Algorithm::Rng => check_irql(p.dispatch),
            _ => {
                handles::wrong_kind(handle, "an RNG provider");
                return super::INVALID_HANDLE;
            }
        }
    }
    if buffer.is_null() {
        record(BAD_INFO, "pbBuffer must not be NULL");
        return INVALID_PARAMETER;
    }
    if fault::fails("BCryptGenRandom") {
        return super::UNSUCCESSFUL;
    }
    // SAFETY: the driver states `len` writable bytes at `buffer`.
    let out = unsafe { std::slice::from_raw_parts_mut(buffer, len as usize) };
    if openssl::rand::rand_bytes(out).is_err() { super::UNSUCCESSFUL } else { SUCCESS }
}
