//! `OVPN_IOCTL_NEW_KEY` and `OVPN_IOCTL_NEW_KEY_V2`.

use crate::error::{UapiError, prefix};
use crate::raw;
use core::fmt;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// The longest key, in bytes.
pub const KEY_MAX: usize = 32;
/// Bytes of a nonce that come with the key.
pub const NONCE_TAIL_LEN: usize = 8;

/// Which of a peer's two keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Slot {
    /// The one that seals.
    Primary,
    /// The next or the previous one; it only opens.
    Secondary,
}

impl Slot {
    pub(crate) fn parse(slot: i32) -> Result<Self, UapiError> {
        match slot {
            0 => Ok(Self::Primary),
            1 => Ok(Self::Secondary),
            other => Err(UapiError::BadSlot(other)),
        }
    }
}

/// A cipher.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Algorithm {
    /// No encryption. OpenVPN refuses to ask for it.
    None,
    /// AES-GCM; the key's length decides which.
    AesGcm,
    /// ChaCha20-Poly1305. Not every Windows has it: without it the driver answers
    /// [`INVALID_DEVICE_REQUEST`](crate::status::INVALID_DEVICE_REQUEST).
    ChaCha20Poly1305,
}

/// The option bits of `OVPN_IOCTL_NEW_KEY_V2`.
///
/// Drivers 1.4 to 2.4 gave bits 1 and 2 other meanings (tag at the end, 64-bit packet ids); OpenVPN sets bit 1 only for drivers of 2.8
/// and later.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub struct CryptoOptions(u32);

impl CryptoOptions {
    /// `CRYPTO_OPTIONS_EPOCH`: epoch data keys.
    pub const EPOCH: u32 = 1 << 1;

    /// The options with these bits, unknown ones included.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// All bits as they were given.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether epoch keys are asked for.
    #[must_use]
    pub const fn epoch(self) -> bool {
        self.0 & Self::EPOCH != 0
    }

    /// The bits that have no meaning here; zero from every OpenVPN that knows this driver's version.
    #[must_use]
    pub const fn unknown(self) -> u32 {
        self.0 & !Self::EPOCH
    }
}

/// One direction's key. Zeroed on drop; `Debug` shows its length alone.
pub struct KeyDirection {
    key: [u8; KEY_MAX],
    len: u8,
    nonce_tail: [u8; NONCE_TAIL_LEN],
}

impl KeyDirection {
    fn parse(raw: &raw::KeyDirection) -> Result<Self, UapiError> {
        if usize::from(raw.key_len) > KEY_MAX {
            return Err(UapiError::BadKeyLen(raw.key_len));
        }
        Ok(Self { key: raw.key, len: raw.key_len, nonce_tail: raw.nonce_tail })
    }

    /// The key: 0 to 32 bytes. That a cipher has keys of this length is for the cipher to say.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        self.key.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// All 32 bytes of the key field, whatever its length says: an epoch seed.
    #[must_use]
    pub const fn seed(&self) -> &[u8; KEY_MAX] {
        &self.key
    }

    /// The last eight bytes of each nonce.
    #[must_use]
    pub const fn nonce_tail(&self) -> &[u8; NONCE_TAIL_LEN] {
        &self.nonce_tail
    }
}

impl Drop for KeyDirection {
    fn drop(&mut self) {
        self.key.zeroize();
        self.len.zeroize();
        self.nonce_tail.zeroize();
    }
}

impl ZeroizeOnDrop for KeyDirection {}

impl fmt::Debug for KeyDirection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyDirection").field("len", &self.len).finish_non_exhaustive()
    }
}

/// A key to install.
#[derive(Debug)]
pub struct NewKey {
    /// For what we send.
    pub encrypt: KeyDirection,
    /// For what we receive.
    pub decrypt: KeyDirection,
    /// Where it goes; what was there is destroyed.
    pub slot: Slot,
    /// Its cipher.
    pub algorithm: Algorithm,
    /// Its key-id, unchecked as the interface has it: one above 7 never matches a packet.
    pub key_id: u8,
    /// Whose it is in multi-peer mode. In P2P the only peer's, and this goes into outgoing headers, low 24 bits.
    pub peer_id: i32,
    /// Its options; none from `OVPN_IOCTL_NEW_KEY`.
    pub options: CryptoOptions,
}

impl NewKey {
    /// Reads the input of `OVPN_IOCTL_NEW_KEY`, 100 bytes. The caller wipes `input` ([`crate::wipe`]) when done with it.
    ///
    /// # Errors
    ///
    /// [`UapiError::TooShort`]; [`UapiError::BadSlot`], [`UapiError::BadAlgorithm`], [`UapiError::BadKeyLen`].
    pub fn parse(input: &[u8]) -> Result<Self, UapiError> {
        Self::from_raw(prefix::<raw::CryptoData>(input)?, CryptoOptions::default())
    }

    /// Reads the input of `OVPN_IOCTL_NEW_KEY_V2`, 104 bytes. The caller wipes `input` ([`crate::wipe`]) when done with it.
    ///
    /// # Errors
    ///
    /// As [`NewKey::parse`].
    pub fn parse_v2(input: &[u8]) -> Result<Self, UapiError> {
        let raw = prefix::<raw::CryptoDataV2>(input)?;
        Self::from_raw(&raw.v1, CryptoOptions::from_bits(raw.crypto_options.get()))
    }

    fn from_raw(raw: &raw::CryptoData, options: CryptoOptions) -> Result<Self, UapiError> {
        let slot = Slot::parse(raw.slot.get())?;
        let algorithm = match raw.alg.get() {
            0 => Algorithm::None,
            1 => Algorithm::AesGcm,
            2 => Algorithm::ChaCha20Poly1305,
            other => return Err(UapiError::BadAlgorithm(other)),
        };
        Ok(Self {
            encrypt: KeyDirection::parse(&raw.encrypt)?,
            decrypt: KeyDirection::parse(&raw.decrypt)?,
            slot,
            algorithm,
            key_id: raw.key_id,
            peer_id: raw.peer_id.get(),
            options,
        })
    }
}
