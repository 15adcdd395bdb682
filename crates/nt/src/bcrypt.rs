//! AES-GCM and ChaCha20-Poly1305 by CNG, usable at DISPATCH_LEVEL.

use crate::status::{Result, Status};
use core::ptr::{null_mut, without_provenance_mut};
use dco_crypto::{Aead, AeadError, Nonce, Tag};
use dco_sync::Shared;
use nt_sys::cng;

/// An authenticated cipher that CNG may have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Algorithm {
    /// Keys of 16, 24 or 32 bytes.
    AesGcm,
    /// Keys of 32 bytes. Since Windows 11 and Server 2022.
    ChaCha20Poly1305,
}

/// An algorithm provider, opened for use at DISPATCH_LEVEL. Closed when the last key made from it is gone.
///
/// Dropping the last reference calls `BCryptCloseAlgorithmProvider`, which wants PASSIVE_LEVEL.
#[derive(Clone)]
pub struct Provider(Shared<Opened>);

struct Opened(cng::BCRYPT_ALG_HANDLE);

// SAFETY: CNG provider handles may be used from any thread at once.
unsafe impl Send for Opened {}
// SAFETY: as above.
unsafe impl Sync for Opened {}

impl Drop for Opened {
    fn drop(&mut self) {
        // SAFETY: this is the last reference to the handle, and no key of it exists (each key holds a reference).
        let _ = unsafe { cng::BCryptCloseAlgorithmProvider(self.0, 0) };
    }
}

/// Random words, nobody's to know. PASSIVE_LEVEL.
///
/// # Errors
/// CNG's status.
pub fn random() -> Result<[u64; 2]> {
    let mut bytes = [0u8; 16];
    // SAFETY: the buffer is a live local of 16 bytes; with this flag there is no provider.
    Status(unsafe { cng::BCryptGenRandom(null_mut(), bytes.as_mut_ptr(), 16, cng::BCRYPT_USE_SYSTEM_PREFERRED_RNG) })
        .ok()?;
    let words = u128::from_ne_bytes(bytes);
    Ok([words as u64, (words >> 64) as u64])
}

impl Provider {
    /// Opens the provider. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// CNG's status (NOT_FOUND for an algorithm it does not have), or NO_MEMORY.
    pub fn open(algorithm: Algorithm) -> Result<Self> {
        let name = match algorithm {
            Algorithm::AesGcm => cng::BCRYPT_AES_ALGORITHM.as_ptr(),
            Algorithm::ChaCha20Poly1305 => cng::BCRYPT_CHACHA20_POLY1305_ALGORITHM.as_ptr(),
        };
        let mut handle: cng::BCRYPT_ALG_HANDLE = null_mut();
        // SAFETY: the name is a NUL-terminated constant and the out pointer is a live local.
        Status(unsafe {
            cng::BCryptOpenAlgorithmProvider(&raw mut handle, name, core::ptr::null(), cng::BCRYPT_PROV_DISPATCH)
        })
        .ok()?;
        let provider = Opened(handle);
        if algorithm == Algorithm::AesGcm {
            // AES is a block cipher, which has modes; ChaCha20-Poly1305 has none.
            let (property, mode) = (cng::BCRYPT_CHAINING_MODE, cng::BCRYPT_CHAIN_MODE_GCM);
            let bytes = size_of_val(mode) as u32;
            // SAFETY: the handle is open; the value is a NUL-terminated UTF-16 string of `bytes` bytes that CNG only reads.
            Status(unsafe {
                cng::BCryptSetProperty(handle.cast(), property.as_ptr(), mode.as_ptr().cast_mut().cast(), bytes, 0)
            })
            .ok()?;
        }
        Ok(Self(Shared::try_new(provider)?))
    }

    /// Makes a key; CNG refuses lengths that the algorithm has not. The bytes are copied. IRQL <= DISPATCH_LEVEL.
    ///
    /// # Errors
    /// CNG's status (INVALID_PARAMETER for a bad length).
    pub fn key(&self, secret: &[u8]) -> Result<Key> {
        let mut handle: cng::BCRYPT_KEY_HANDLE = null_mut();
        let length = u32::try_from(secret.len()).map_err(|_| Status::INVALID_PARAMETER)?;
        // SAFETY: the provider is open; a NULL key object of length 0 asks CNG to allocate; the secret is read only.
        Status(unsafe {
            cng::BCryptGenerateSymmetricKey(
                self.0.0,
                &raw mut handle,
                null_mut(),
                0,
                secret.as_ptr().cast_mut(),
                length,
                0,
            )
        })
        .ok()?;
        Ok(Key { handle, provider: self.clone() })
    }
}

/// One key. All operations: IRQL <= DISPATCH_LEVEL, any number of processors at once (each call has its own
/// `BCRYPT_AUTHENTICATED_CIPHER_MODE_INFO`, and one-shot calls keep no state in the key).
pub struct Key {
    handle: cng::BCRYPT_KEY_HANDLE,
    provider: Provider,
}

// SAFETY: CNG key handles may be used for one-shot calls from any thread at once.
unsafe impl Send for Key {}
// SAFETY: as above.
unsafe impl Sync for Key {}

impl Drop for Key {
    fn drop(&mut self) {
        // SAFETY: the handle is this object's own, and the provider outlives it. CNG wipes the key.
        let _ = unsafe { cng::BCryptDestroyKey(self.handle) };
    }
}

impl Key {
    /// What it was made by, for another like it. Any IRQL.
    #[must_use]
    pub fn provider(&self) -> &Provider {
        &self.provider
    }

    /// One-shot seal of `len` bytes from `input` to `output`, which are the same or do not overlap.
    ///
    /// # Safety
    /// `input` is readable and `output` writable for `len` bytes.
    unsafe fn encrypt(
        &self,
        nonce: &Nonce,
        aad: &[u8],
        input: *const u8,
        output: *mut u8,
        len: usize,
        tag: &mut Tag,
    ) -> core::result::Result<(), AeadError> {
        let mut info = mode_info(nonce, aad, tag.as_mut_ptr());
        let len = u32::try_from(len).map_err(|_| AeadError::Backend(Status::INVALID_PARAMETER.0))?;
        let mut written = 0u32;
        // SAFETY: the caller vouches for input and output; `info` and what it points at live through the call.
        let status = unsafe {
            cng::BCryptEncrypt(
                self.handle,
                input.cast_mut(),
                len,
                (&raw mut info).cast(),
                null_mut(),
                0,
                output,
                len,
                &raw mut written,
                0,
            )
        };
        match Status(status) {
            s if s.is_success() && written == len => Ok(()),
            s => Err(AeadError::Backend(s.0)),
        }
    }
}

impl Aead for Key {
    #[inline]
    fn seal(
        &self,
        nonce: &Nonce,
        aad: &[u8],
        plain: &[u8],
        out: &mut [u8],
        tag: &mut Tag,
    ) -> core::result::Result<(), AeadError> {
        if out.len() != plain.len() {
            return Err(AeadError::Backend(Status::INVALID_PARAMETER.0));
        }
        // SAFETY: both slices are of this length, and a shared and a mutable slice do not overlap.
        unsafe { self.encrypt(nonce, aad, plain.as_ptr(), out.as_mut_ptr(), plain.len(), tag) }
    }

    #[inline]
    fn seal_in_place(
        &self,
        nonce: &Nonce,
        aad: &[u8],
        data: &mut [u8],
        tag: &mut Tag,
    ) -> core::result::Result<(), AeadError> {
        let p = data.as_mut_ptr();
        // SAFETY: one slice serves as input and output of its own length; CNG documents in-place use.
        unsafe { self.encrypt(nonce, aad, p, p, data.len(), tag) }
    }

    #[inline]
    fn open(
        &self,
        nonce: &Nonce,
        aad: &[u8],
        cipher: &[u8],
        tag: &Tag,
        out: &mut [u8],
    ) -> core::result::Result<(), AeadError> {
        if out.len() != cipher.len() {
            return Err(AeadError::Backend(Status::INVALID_PARAMETER.0));
        }
        let len = u32::try_from(cipher.len()).map_err(|_| AeadError::Backend(Status::INVALID_PARAMETER.0))?;
        let mut info = mode_info(nonce, aad, tag.as_ptr().cast_mut());
        let mut written = 0u32;
        // SAFETY: both slices are of this length; CNG reads nonce, data, tag and cipher text and writes `out` only.
        let status = unsafe {
            cng::BCryptDecrypt(
                self.handle,
                cipher.as_ptr().cast_mut(),
                len,
                (&raw mut info).cast(),
                null_mut(),
                0,
                out.as_mut_ptr(),
                len,
                &raw mut written,
                0,
            )
        };
        match Status(status) {
            s if s.is_success() && written == len => Ok(()),
            Status::AUTH_TAG_MISMATCH => Err(AeadError::AuthFailed),
            s => Err(AeadError::Backend(s.0)),
        }
    }
}

/// The call's parameters; CNG reads nonce and AAD, and reads or writes the 16-byte tag.
fn mode_info(nonce: &Nonce, aad: &[u8], tag: *mut u8) -> cng::BCRYPT_AUTHENTICATED_CIPHER_MODE_INFO {
    cng::BCRYPT_AUTHENTICATED_CIPHER_MODE_INFO {
        cbSize: size_of::<cng::BCRYPT_AUTHENTICATED_CIPHER_MODE_INFO>() as u32,
        dwInfoVersion: 1,
        pbNonce: nonce.as_ptr().cast_mut(),
        cbNonce: 12,
        pbAuthData: aad.as_ptr().cast_mut(),
        cbAuthData: aad.len() as u32,
        pbTag: tag,
        cbTag: 16,
        pbMacContext: without_provenance_mut(0),
        cbMacContext: 0,
        cbAAD: 0,
        cbData: 0,
        dwFlags: 0,
    }
}
