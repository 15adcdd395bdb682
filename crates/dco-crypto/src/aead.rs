//! What a cipher must do.

use dco_wire::TAG_LEN;

/// Bytes of a nonce: the packet id and the key's nonce tail.
pub const NONCE_LEN: usize = 12;

/// A nonce. Never twice under one sealing key.
pub type Nonce = [u8; NONCE_LEN];

/// An authentication tag.
pub type Tag = [u8; TAG_LEN];

/// Why a cipher call failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AeadError {
    /// The tag is not this ciphertext's under this key.
    AuthFailed,
    /// The backend refused, with its own code: an NTSTATUS, an errno.
    Backend(i32),
}

/// One direction's key in a cipher.
///
/// Used from many processors at once, at DISPATCH_LEVEL or below: an implementation must not block, allocate pageable memory or keep
/// per-call state in `self`. Dropping it destroys the key and happens at PASSIVE_LEVEL. Ciphertext is as long as plaintext; lengths
/// from zero up must work. An implementation is told lengths that agree; it must not trust that to the point of undefined behaviour.
pub trait Aead: Send + Sync {
    /// Encrypts `plain` into `out`, which is as long, and writes the tag over `aad` and the ciphertext.
    ///
    /// # Errors
    ///
    /// [`AeadError::Backend`]. `out` and `tag` are then unspecified; the caller wipes them.
    fn seal(&self, nonce: &Nonce, aad: &[u8], plain: &[u8], out: &mut [u8], tag: &mut Tag) -> Result<(), AeadError>;

    /// Encrypts `data` where it is, and writes the tag over `aad` and the ciphertext.
    ///
    /// # Errors
    ///
    /// As [`Aead::seal`].
    fn seal_in_place(&self, nonce: &Nonce, aad: &[u8], data: &mut [u8], tag: &mut Tag) -> Result<(), AeadError>;

    /// Checks `tag` over `aad` and `cipher`, and decrypts into `out`, which is as long as `cipher`.
    ///
    /// # Errors
    ///
    /// [`AeadError::AuthFailed`] if the tag is wrong, [`AeadError::Backend`] otherwise. `out` should then hold nothing secret; the
    /// caller wipes it all the same.
    fn open(&self, nonce: &Nonce, aad: &[u8], cipher: &[u8], tag: &Tag, out: &mut [u8]) -> Result<(), AeadError>;
}
