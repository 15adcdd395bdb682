//! Ciphers: CNG's, and ChaCha20-Poly1305 in software where CNG lacks it (before Windows 11 and Server 2022).

use dco_chacha::{ChaChaKey, KEY_LEN};
use dco_crypto::{Aead, AeadError, Nonce, Tag};
use dco_uapi::Algorithm;
use nt::bcrypt::{self, Provider};
use nt::status::{Result, Status};

/// The providers that were opened, each at the first key that needs it. Dropped at PASSIVE_LEVEL.
pub struct Ciphers {
    gcm: Option<Provider>,
    chacha: Option<Provider>,
}

impl Ciphers {
    /// Nothing opened.
    pub const fn new() -> Self {
        Self { gcm: None, chacha: None }
    }

    /// Makes one direction's key. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// INVALID_DEVICE_REQUEST for no cipher; CNG's status for a length it refuses, which is INVALID_PARAMETER; NO_MEMORY.
    pub fn key(&mut self, algorithm: Algorithm, secret: &[u8]) -> Result<CipherKey> {
        match algorithm {
            Algorithm::None => Err(Status::INVALID_DEVICE_REQUEST),
            Algorithm::AesGcm => {
                let provider = open(&mut self.gcm, bcrypt::Algorithm::AesGcm)?;
                Ok(CipherKey::Cng(provider.key(secret)?))
            }
            Algorithm::ChaCha20Poly1305 => match open(&mut self.chacha, bcrypt::Algorithm::ChaCha20Poly1305) {
                Ok(provider) => Ok(CipherKey::Cng(provider.key(secret)?)),
                Err(_) => software(secret),
            },
        }
    }
}

fn software(secret: &[u8]) -> Result<CipherKey> {
    let secret: &[u8; KEY_LEN] = secret.try_into().map_err(|_| Status::INVALID_PARAMETER)?;
    Ok(CipherKey::ChaCha(ChaChaKey::try_new(secret)?))
}

fn open(opened: &mut Option<Provider>, algorithm: bcrypt::Algorithm) -> Result<&Provider> {
    match opened {
        Some(provider) => Ok(provider),
        None => Ok(opened.insert(Provider::open(algorithm)?)),
    }
}

/// One direction's key. IRQL <= DISPATCH_LEVEL, any number of processors at once.
pub enum CipherKey {
    /// AES-GCM or ChaCha20-Poly1305 by CNG.
    Cng(bcrypt::Key),
    /// ChaCha20-Poly1305 in software.
    ChaCha(ChaChaKey),
}

impl CipherKey {
    /// A key of the same cipher and provider from other bytes. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// As [`Ciphers::key`].
    pub fn another(&self, secret: &[u8]) -> Result<Self> {
        match self {
            Self::Cng(key) => Ok(Self::Cng(key.provider().key(secret)?)),
            Self::ChaCha(_) => software(secret),
        }
    }
}

impl Aead for CipherKey {
    #[inline]
    fn seal(
        &self,
        nonce: &Nonce,
        aad: &[u8],
        plain: &[u8],
        out: &mut [u8],
        tag: &mut Tag,
    ) -> core::result::Result<(), AeadError> {
        match self {
            Self::Cng(key) => key.seal(nonce, aad, plain, out, tag),
            Self::ChaCha(key) => key.seal(nonce, aad, plain, out, tag),
        }
    }

    #[inline]
    fn seal_in_place(
        &self,
        nonce: &Nonce,
        aad: &[u8],
        data: &mut [u8],
        tag: &mut Tag,
    ) -> core::result::Result<(), AeadError> {
        match self {
            Self::Cng(key) => key.seal_in_place(nonce, aad, data, tag),
            Self::ChaCha(key) => key.seal_in_place(nonce, aad, data, tag),
        }
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
        match self {
            Self::Cng(key) => key.open(nonce, aad, cipher, tag, out),
            Self::ChaCha(key) => key.open(nonce, aad, cipher, tag, out),
        }
    }
}
