//! Symmetric keys, `BCryptEncrypt` and `BCryptDecrypt`.

use super::chain::Chains;
use super::handles::{self, Handle, Object};
use super::provider::{Algorithm, Chaining, ChainingCell, check_irql};
use super::{
    AEAD_DOC, AUTH_TAG_MISMATCH, BAD_INFO, BUFFER_TOO_SMALL, INVALID_HANDLE, INVALID_PARAMETER, NO_MEMORY,
    NOT_SUPPORTED, OBJECT_LENGTH, SUCCESS, UNSUCCESSFUL, not_implemented, wide,
};
use crate::fault;
use crate::irql;
use crate::report::{InCall, Rule, record, record_about};
use openssl::cipher::Cipher;
use openssl::cipher_ctx::CipherCtx;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, Ordering};

const PARTIAL_OVERLAP: Rule = Rule::new("cng.partial-overlap", AEAD_DOC);
const OBJECT_TOUCHED: Rule = Rule::new(
    "cng.key-object-overwritten",
    "WDK: BCryptGenerateSymmetricKey (pbKeyObject belongs to CNG until BCryptDestroyKey)",
);
const OBJECT_PATTERN: u8 = 0xC6;
const INFO_SIZE: u32 = 88;
const INFO_VERSION: u32 = 1;
/// `BCRYPT_AUTH_MODE_CHAIN_CALLS_FLAG`.
pub const CHAIN_CALLS: u32 = 1;
/// `BCRYPT_AUTH_MODE_IN_PROGRESS_FLAG`.
pub const IN_PROGRESS: u32 = 2;

/// `BCRYPT_AUTHENTICATED_CIPHER_MODE_INFO`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct AuthInfo {
    pub size: u32,
    pub version: u32,
    pub nonce: *mut u8,
    pub nonce_len: u32,
    pub aad: *mut u8,
    pub aad_len: u32,
    pub tag: *mut u8,
    pub tag_len: u32,
    pub mac_context: *mut u8,
    pub mac_context_len: u32,
    pub aad_done: u32,
    pub data_done: u64,
    pub flags: u32,
}

const _: () = assert!(size_of::<AuthInfo>() == 88);

/// Which way a context runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// `BCryptEncrypt`.
    Seal,
    /// `BCryptDecrypt`.
    Open,
}

/// One place of a pool, on a cache line of its own.
#[repr(align(64))]
#[derive(Debug)]
struct Place(AtomicPtr<CipherCtx>);

/// Contexts with the key schedule set, taken and put back without a lock.
#[derive(Debug)]
struct Pool([Place; irql::PROCESSORS]);

impl Pool {
    fn new() -> Self {
        Self([const { Place(AtomicPtr::new(std::ptr::null_mut())) }; irql::PROCESSORS])
    }

    fn take(&self) -> Option<Box<CipherCtx>> {
        let start = irql::processor();
        for i in 0..irql::PROCESSORS {
            let place = self.0.get((start + i) % irql::PROCESSORS)?;
            let p = place.0.swap(std::ptr::null_mut(), Ordering::Acquire);
            if !p.is_null() {
                // SAFETY: `put` stored a boxed context here, and the swap made this thread its only owner.
                return Some(unsafe { Box::from_raw(p) });
            }
        }
        None
    }

    fn put(&self, ctx: Box<CipherCtx>) {
        let start = irql::processor();
        let p = Box::into_raw(ctx);
        for i in 0..irql::PROCESSORS {
            let Some(place) = self.0.get((start + i) % irql::PROCESSORS) else { continue };
            if place.0.compare_exchange(std::ptr::null_mut(), p, Ordering::Release, Ordering::Relaxed).is_ok() {
                return;
            }
        }
        // SAFETY: made by `Box::into_raw` above and stored nowhere.
        drop(unsafe { Box::from_raw(p) });
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        while self.take().is_some() {}
    }
}

/// A key with its contexts.
#[derive(Debug)]
pub struct Key {
    /// The provider's.
    pub algorithm: Algorithm,
    /// The provider's.
    pub chaining: ChainingCell,
    /// The provider was opened with `BCRYPT_PROV_DISPATCH`.
    pub dispatch: bool,
    provider: Handle,
    secret: [u8; 32],
    len: usize,
    object: usize,
    seal: Pool,
    open: Pool,
    /// Chained calls in progress, made at the first one.
    pub chains: OnceLock<Chains>,
}

impl Key {
    /// Key length in bits.
    pub fn bits(&self) -> u32 {
        u32::try_from(self.len * 8).unwrap_or(0)
    }

    fn cipher(&self) -> Option<&'static Cipher> {
        static GCM128: OnceLock<Option<Cipher>> = OnceLock::new();
        static GCM192: OnceLock<Option<Cipher>> = OnceLock::new();
        static GCM256: OnceLock<Option<Cipher>> = OnceLock::new();
        static CHACHA: OnceLock<Option<Cipher>> = OnceLock::new();
        let (cell, name) = match (self.algorithm, self.len) {
            (Algorithm::Aes, 16) => (&GCM128, "AES-128-GCM"),
            (Algorithm::Aes, 24) => (&GCM192, "AES-192-GCM"),
            (Algorithm::Aes, _) => (&GCM256, "AES-256-GCM"),
            _ => (&CHACHA, "ChaCha20-Poly1305"),
        };
        cell.get_or_init(|| Cipher::fetch(None, name, None).ok()).as_ref()
    }

    /// A context of `direction` with the key schedule set.
    pub fn context(&self, direction: Direction) -> Option<Box<CipherCtx>> {
        let pool = if direction == Direction::Seal { &self.seal } else { &self.open };
        if let Some(ctx) = pool.take() {
            return Some(ctx);
        }
        let mut ctx = CipherCtx::new().ok()?;
        let secret = self.secret.get(..self.len)?;
        match direction {
            Direction::Seal => ctx.encrypt_init(Some(self.cipher()?), Some(secret), None).ok()?,
            Direction::Open => ctx.decrypt_init(Some(self.cipher()?), Some(secret), None).ok()?,
        }
        Some(Box::new(ctx))
    }

    /// Gives a context back.
    pub fn give_back(&self, direction: Direction, ctx: Box<CipherCtx>) {
        if direction == Direction::Seal { self.seal.put(ctx) } else { self.open.put(ctx) }
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        for b in &mut self.secret {
            // SAFETY: a byte of our own array; volatile so that the wipe is not optimised away.
            unsafe { std::ptr::write_volatile(b, 0) };
        }
    }
}

fn make(
    call: &'static str,
    provider_handle: Handle,
    out: *mut Handle,
    object: *mut u8,
    object_len: u32,
    secret: &[u8],
) -> i32 {
    let Some(entered) = handles::enter(provider_handle) else { return INVALID_HANDLE };
    let Object::Provider(provider) = entered.object() else {
        handles::wrong_kind(provider_handle, "a provider");
        return INVALID_HANDLE;
    };
    check_irql(provider.dispatch);
    let fits = match provider.algorithm {
        Algorithm::Aes => matches!(secret.len(), 16 | 24 | 32),
        Algorithm::ChaCha => secret.len() == 32,
        Algorithm::Rng => false,
    };
    if !fits {
        return INVALID_PARAMETER;
    }
    if object.is_null() && object_len != 0 {
        record(BAD_INFO, "pbKeyObject is NULL, so cbKeyObject must be 0");
        return INVALID_PARAMETER;
    }
    if !object.is_null() {
        if object_len < OBJECT_LENGTH {
            return BUFFER_TOO_SMALL;
        }
        // SAFETY: the driver gives `object_len` bytes to CNG until the key is destroyed.
        unsafe { std::ptr::write_bytes(object, OBJECT_PATTERN, OBJECT_LENGTH as usize) };
    }
    if fault::fails(call) {
        return NO_MEMORY;
    }
    let mut bytes = [0u8; 32];
    for (to, from) in bytes.iter_mut().zip(secret) {
        *to = *from;
    }
    let key = Key {
        algorithm: provider.algorithm,
        chaining: ChainingCell::new(provider.chaining.get()),
        dispatch: provider.dispatch,
        provider: provider_handle,
        secret: bytes,
        len: secret.len(),
        object: object as usize,
        seal: Pool::new(),
        open: Pool::new(),
        chains: OnceLock::new(),
    };
    // One context each way now: a key is warm when the driver gets it.
    for direction in [Direction::Seal, Direction::Open] {
        if let Some(ctx) = key.context(direction) {
            key.give_back(direction, ctx);
        }
    }
    let Some(handle) = handles::insert(Object::Key(key)) else { return NO_MEMORY };
    provider.keys.fetch_add(1, Ordering::SeqCst);
    // SAFETY: the caller checked that `out` is not NULL; the driver's to point at a handle-sized variable.
    unsafe { out.write(handle) };
    SUCCESS
}

/// `BCryptGenerateSymmetricKey`.
pub extern "win64" fn generate(
    provider: Handle,
    out: *mut Handle,
    object: *mut u8,
    object_len: u32,
    secret: *const u8,
    len: u32,
    flags: u32,
) -> i32 {
    let _call = InCall::enter("BCryptGenerateSymmetricKey");
    if out.is_null() || secret.is_null() || flags != 0 {
        record(BAD_INFO, "phKey and pbSecret must not be NULL, dwFlags must be 0");
        return INVALID_PARAMETER;
    }
    // SAFETY: the driver states `len` bytes at `secret`.
    let secret = unsafe { std::slice::from_raw_parts(secret, len as usize) };
    make("BCryptGenerateSymmetricKey", provider, out, object, object_len, secret)
}

/// `BCryptImportKey` of a `KeyDataBlob`.
pub extern "win64" fn import(
    provider: Handle,
    wrapping: Handle,
    kind: *const u16,
    out: *mut Handle,
    object: *mut u8,
    object_len: u32,
    input: *const u8,
    len: u32,
    flags: u32,
) -> i32 {
    const MAGIC: u32 = 0x4D42_444B;
    let _call = InCall::enter("BCryptImportKey");
    if out.is_null() || kind.is_null() || input.is_null() || flags != 0 {
        record(BAD_INFO, "pszBlobType, phKey and pbInput must not be NULL, dwFlags must be 0");
        return INVALID_PARAMETER;
    }
    // SAFETY: not NULL; a NUL-terminated string as documented.
    let kind = unsafe { wide(kind) };
    if wrapping != 0 || kind != "KeyDataBlob" {
        not_implemented(&format!("import of {kind}"));
        return NOT_SUPPORTED;
    }
    // SAFETY: the driver states `len` bytes at `input`.
    let blob = unsafe { std::slice::from_raw_parts(input, len as usize) };
    let word = |i: usize| blob.get(i..i + 4).and_then(|b| <[u8; 4]>::try_from(b).ok()).map(u32::from_le_bytes);
    if word(0) != Some(MAGIC) || word(4) != Some(1) {
        return INVALID_PARAMETER;
    }
    let Some(secret) = word(8).and_then(|n| blob.get(12..12usize.checked_add(n as usize)?)) else {
        return INVALID_PARAMETER;
    };
    make("BCryptImportKey", provider, out, object, object_len, secret)
}

/// `BCryptDestroyKey`.
pub extern "win64" fn destroy(handle: Handle) -> i32 {
    let _call = InCall::enter("BCryptDestroyKey");
    {
        let Some(entered) = handles::enter(handle) else { return INVALID_HANDLE };
        let Object::Key(key) = entered.object() else {
            handles::wrong_kind(handle, "a key");
            return INVALID_HANDLE;
        };
        check_irql(key.dispatch);
        if key.object != 0 {
            // SAFETY: the driver gave this buffer to CNG until this call.
            let object = unsafe { std::slice::from_raw_parts(key.object as *const u8, OBJECT_LENGTH as usize) };
            if object.iter().any(|b| *b != OBJECT_PATTERN) {
                record_about(OBJECT_TOUCHED, key.object, "the key object was written or freed before BCryptDestroyKey");
            }
        }
    }
    let Some(Object::Key(key)) = handles::remove(handle) else { return INVALID_HANDLE };
    // A provider closed before its keys was reported then; there is no count left to keep.
    if let Some(entered) = handles::enter_quietly(key.provider)
        && let Object::Provider(p) = entered.object()
    {
        p.keys.fetch_sub(1, Ordering::SeqCst);
    }
    SUCCESS
}

/// What one call works on, checked.
#[derive(Debug)]
pub struct Work {
    /// Which way.
    pub direction: Direction,
    /// Input bytes.
    pub input: *const u8,
    /// Output bytes: `input` itself or apart from it.
    pub output: *mut u8,
    /// Their length.
    pub len: usize,
}

impl Work {
    /// Runs the data through `ctx`.
    pub fn update(&self, ctx: &mut CipherCtx) -> Option<()> {
        if self.len == 0 {
            return Some(());
        }
        if self.input == self.output.cast_const() {
            // SAFETY: `len` bytes of the driver's, writable, aliased by no other reference of ours.
            let data = unsafe { std::slice::from_raw_parts_mut(self.output, self.len) };
            ctx.cipher_update_inplace(data, self.len).ok()?;
        } else {
            // SAFETY: `len` bytes of the driver's; checked to lie apart from the output.
            let from = unsafe { std::slice::from_raw_parts(self.input, self.len) };
            // SAFETY: `len` writable bytes of the driver's; checked to lie apart from the input.
            let to = unsafe { std::slice::from_raw_parts_mut(self.output, self.len) };
            ctx.cipher_update(from, Some(to)).ok()?;
        }
        Some(())
    }

    /// Ends the message: makes or checks the tag.
    pub fn finish(&self, ctx: &mut CipherCtx, tag: &mut [u8]) -> i32 {
        match self.direction {
            Direction::Seal => {
                if ctx.cipher_final(&mut []).is_ok() && ctx.tag(tag).is_ok() {
                    SUCCESS
                } else {
                    UNSUCCESSFUL
                }
            }
            Direction::Open => {
                if ctx.set_tag(tag).is_err() {
                    return UNSUCCESSFUL;
                }
                if ctx.cipher_final(&mut []).is_err() {
                    if self.len != 0 {
                        // SAFETY: `len` writable bytes of the driver's.
                        unsafe { std::ptr::write_bytes(self.output, 0, self.len) };
                    }
                    return AUTH_TAG_MISMATCH;
                }
                SUCCESS
            }
        }
    }
}

/// Sets the nonce and takes the associated data.
pub fn begin(ctx: &mut CipherCtx, direction: Direction, nonce: &[u8], aad: &[u8]) -> Option<()> {
    match direction {
        Direction::Seal => ctx.encrypt_init(None, None, Some(nonce)).ok()?,
        Direction::Open => ctx.decrypt_init(None, None, Some(nonce)).ok()?,
    }
    if !aad.is_empty() {
        ctx.cipher_update(aad, None).ok()?;
    }
    Some(())
}

/// A range the driver stated, as a slice; empty for NULL.
///
/// # Safety
/// `p` is NULL or points at `len` bytes that live through the call.
pub unsafe fn bytes<'a>(p: *const u8, len: u32) -> &'a [u8] {
    if p.is_null() || len == 0 {
        return &[];
    }
    // SAFETY: not NULL; the caller's contract.
    unsafe { std::slice::from_raw_parts(p, len as usize) }
}

fn check_info(key: &Key, info: &AuthInfo) -> bool {
    let mut ok = true;
    let mut bad = |detail: String| {
        record(BAD_INFO, &detail);
        ok = false;
    };
    if info.size != INFO_SIZE || info.version != INFO_VERSION {
        bad(format!(
            "cbSize {} and dwInfoVersion {}, expected {INFO_SIZE} and {INFO_VERSION}",
            info.size, info.version
        ));
    }
    if info.nonce.is_null() || info.nonce_len != 12 {
        bad(format!("nonce {:p} of {} bytes, expected 12", info.nonce, info.nonce_len));
    }
    let least = if key.algorithm == Algorithm::Aes { 12 } else { 16 };
    if info.tag_len < least || info.tag_len > 16 {
        bad(format!("cbTag {}, expected {least} to 16", info.tag_len));
    }
    if info.tag.is_null() && info.flags & CHAIN_CALLS == 0 {
        bad("pbTag is NULL".to_owned());
    }
    if info.aad.is_null() && info.aad_len != 0 {
        bad(format!("pbAuthData is NULL with cbAuthData {}", info.aad_len));
    }
    if info.flags & !(CHAIN_CALLS | IN_PROGRESS) != 0 {
        bad(format!("dwFlags {:#x} has unknown bits", info.flags));
    }
    ok
}

#[expect(clippy::too_many_arguments, reason = "the signature is CNG's")]
fn crypt(
    direction: Direction,
    handle: Handle,
    input: *const u8,
    input_len: u32,
    padding_info: *mut AuthInfo,
    iv: *mut u8,
    iv_len: u32,
    output: *mut u8,
    output_len: u32,
    result: *mut u32,
    flags: u32,
) -> i32 {
    let Some(entered) = handles::enter(handle) else { return INVALID_HANDLE };
    let Object::Key(key) = entered.object() else {
        handles::wrong_kind(handle, "a key");
        return INVALID_HANDLE;
    };
    check_irql(key.dispatch);
    if key.chaining.get() == Chaining::Cbc {
        not_implemented("AES in CBC (the key's provider has no ChainingMode set)");
        return NOT_SUPPORTED;
    }
    if padding_info.is_null() || result.is_null() || flags != 0 || (input.is_null() && input_len != 0) {
        record(BAD_INFO, "an AEAD call needs pPaddingInfo, pcbResult, pbInput unless empty, and dwFlags 0");
        return INVALID_PARAMETER;
    }
    // SAFETY: not NULL; the driver's to point at an info struct that no other thread uses.
    let info = unsafe { &mut *padding_info };
    if !check_info(key, info) {
        return INVALID_PARAMETER;
    }
    // SAFETY: checked not NULL.
    unsafe { result.write(input_len) };
    if output.is_null() {
        return SUCCESS;
    }
    if output_len < input_len {
        return BUFFER_TOO_SMALL;
    }
    let (from, to, len) = (input as usize, output as usize, input_len as usize);
    if from != to && len != 0 && from < to + len && to < from + len {
        record(PARTIAL_OVERLAP, &format!("input {from:#x} and output {to:#x} of {len} bytes overlap in part"));
        return INVALID_PARAMETER;
    }
    let work = Work { direction, input, output, len };
    if info.flags != 0 {
        return super::chain::run(key, info, &work, iv, iv_len);
    }
    let Some(mut ctx) = key.context(direction) else { return NO_MEMORY };
    // SAFETY: checked: 12 bytes of nonce, and associated data that is NULL only when empty; the driver's for the call.
    let (nonce, aad) = unsafe { (bytes(info.nonce, info.nonce_len), bytes(info.aad, info.aad_len)) };
    // SAFETY: checked not NULL; the driver states `tag_len` bytes there, written here only when sealing.
    let tag = unsafe { std::slice::from_raw_parts_mut(info.tag, info.tag_len as usize) };
    let status = match begin(&mut ctx, direction, nonce, aad).and_then(|()| work.update(&mut ctx)) {
        Some(()) => work.finish(&mut ctx, tag),
        None => UNSUCCESSFUL,
    };
    key.give_back(direction, ctx);
    status
}

/// `BCryptEncrypt`.
pub extern "win64" fn encrypt(
    key: Handle,
    input: *const u8,
    input_len: u32,
    info: *mut AuthInfo,
    iv: *mut u8,
    iv_len: u32,
    output: *mut u8,
    output_len: u32,
    result: *mut u32,
    flags: u32,
) -> i32 {
    let _call = InCall::enter("BCryptEncrypt");
    if fault::fails("BCryptEncrypt") {
        return NO_MEMORY;
    }
    crypt(Direction::Seal, key, input, input_len, info, iv, iv_len, output, output_len, result, flags)
}

/// `BCryptDecrypt`.
pub extern "win64" fn decrypt(
    key: Handle,
    input: *const u8,
    input_len: u32,
    info: *mut AuthInfo,
    iv: *mut u8,
    iv_len: u32,
    output: *mut u8,
    output_len: u32,
    result: *mut u32,
    flags: u32,
) -> i32 {
    let _call = InCall::enter("BCryptDecrypt");
    if fault::fails("BCryptDecrypt") {
        return NO_MEMORY;
    }
    crypt(Direction::Open, key, input, input_len, info, iv, iv_len, output, output_len, result, flags)
}
