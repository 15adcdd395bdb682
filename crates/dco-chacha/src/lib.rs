//! ChaCha20-Poly1305 (RFC 8439) in software, for Windows versions whose CNG lacks it.
//!
//! Cipher and authenticator are RustCrypto's `chacha20` and `poly1305`: constant time by construction (additions, rotations, multiplications
//! and a comparison without branches; no table is looked up by a secret). This crate holds the key where it can be wiped and joins the two
//! as RFC 8439, section 2.8, says. RustCrypto's own join, `chacha20poly1305`, panics where its stream of blocks would end, and no compiler
//! sees that it cannot; a driver must not be able to.
//!
//! Which of RustCrypto's implementations is compiled in is chosen by `--cfg` (`.cargo/config.toml`; `cargo xtask driver` repeats it): on
//! x86-64 SSE2 for ChaCha20 and portable code for Poly1305. The others ask the processor what it can and use AVX registers, which the
//! kernel does not save for a driver. Tests on the host run the same code.
//!
//! Any IRQL up to DISPATCH_LEVEL: no lock, no allocation but the key's own, no state between calls.
#![no_std]
#![forbid(unsafe_code)]
#![expect(unexpected_cfgs, reason = "the cfgs are those of chacha20 and poly1305")]
#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::panic,
    clippy::unreachable,
    clippy::todo,
    clippy::cast_possible_truncation
)]

// Documentation, which cargo makes without these flags, is no code.
#[cfg(all(
    target_arch = "x86_64",
    not(any(doc, doctest)),
    not(all(chacha20_backend = "sse2", poly1305_backend = "soft"))
))]
compile_error!(
    "dco-chacha needs --cfg chacha20_backend=\"sse2\" --cfg poly1305_backend=\"soft\" (see .cargo/config.toml): \
     without them AVX would be used where the processor has it"
);

extern crate alloc;

use alloc::boxed::Box;
use chacha20::cipher::{Block, InOutBuf, KeyIvInit, StreamCipherCore};
use chacha20::variants::Ietf;
use chacha20::{ChaChaCore, R20};
use dco_crypto::{Aead, AeadError, Nonce, Tag};
use dco_sync::{OutOfMemory, try_box};
use poly1305::Poly1305;
use poly1305::universal_hash::{KeyInit, UniversalHash};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Bytes of a key.
pub const KEY_LEN: usize = 32;

/// What [`AeadError::Backend`] carries: lengths that do not agree, or a message of 256 GiB and more.
pub const BAD_LENGTH: i32 = -1;

/// One direction's key. Zeroed on drop, not shown by `Debug`.
///
/// On the heap, so that moving it leaves no copy behind.
pub struct ChaChaKey(Box<[u8; KEY_LEN]>);

impl ChaChaKey {
    /// A copy of `secret`. PASSIVE_LEVEL, or wherever the allocator may be called.
    ///
    /// # Errors
    ///
    /// [`OutOfMemory`].
    pub fn try_new(secret: &[u8; KEY_LEN]) -> Result<Self, OutOfMemory> {
        let mut key = try_box([0; KEY_LEN])?;
        key.copy_from_slice(secret);
        Ok(Self(key))
    }

    /// Seals `data` under this key, and writes the tag.
    #[inline]
    fn seal_inout(
        &self,
        nonce: &Nonce,
        aad: &[u8],
        mut data: InOutBuf<'_, '_, u8>,
        tag: &mut Tag,
    ) -> Result<(), AeadError> {
        let Message { stream, mac } = Message::new(self, nonce);
        stream.try_apply_keystream_partial(data.reborrow()).map_err(|_| AeadError::Backend(BAD_LENGTH))?;
        *tag = authenticate(mac, aad, data.get_out()).finalize().into();
        Ok(())
    }
}

/// One message's key stream, past the block that the authenticator's key is made of, and the authenticator. Both wipe themselves.
struct Message {
    stream: ChaChaCore<R20, Ietf>,
    mac: Poly1305,
}

impl Message {
    #[inline]
    fn new(key: &ChaChaKey, nonce: &Nonce) -> Self {
        let mut stream = ChaChaCore::<R20, Ietf>::new((&*key.0).into(), nonce.into());
        let mut block = Block::<ChaChaCore<R20, Ietf>>::default();
        stream.write_keystream_block(&mut block);
        // The first half of 64 bytes.
        let mac_key: &[u8; KEY_LEN] = block.first_chunk().unwrap_or(&[0; KEY_LEN]);
        let mac = Poly1305::new(mac_key.into());
        block.zeroize();
        Self { stream, mac }
    }
}

/// Takes in what the tag covers: associated data and ciphertext, each filled up to 16 bytes, and their lengths.
#[inline]
fn authenticate(mut mac: Poly1305, aad: &[u8], cipher: &[u8]) -> Poly1305 {
    mac.update_padded(aad);
    mac.update_padded(cipher);
    let lengths = (aad.len() as u128) | (cipher.len() as u128) << 64;
    mac.update(&[lengths.to_le_bytes().into()]);
    mac
}

impl Drop for ChaChaKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl ZeroizeOnDrop for ChaChaKey {}

impl core::fmt::Debug for ChaChaKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("ChaChaKey").finish_non_exhaustive()
    }
}

impl Aead for ChaChaKey {
    #[inline]
    fn seal(&self, nonce: &Nonce, aad: &[u8], plain: &[u8], out: &mut [u8], tag: &mut Tag) -> Result<(), AeadError> {
        let data = InOutBuf::new(plain, out).map_err(|_| AeadError::Backend(BAD_LENGTH))?;
        self.seal_inout(nonce, aad, data, tag)
    }

    #[inline]
    fn seal_in_place(&self, nonce: &Nonce, aad: &[u8], data: &mut [u8], tag: &mut Tag) -> Result<(), AeadError> {
        self.seal_inout(nonce, aad, data.into(), tag)
    }

    /// The tag is judged before anything is decrypted: after an error `out` is untouched.
    #[inline]
    fn open(&self, nonce: &Nonce, aad: &[u8], cipher: &[u8], tag: &Tag, out: &mut [u8]) -> Result<(), AeadError> {
        let data = InOutBuf::new(cipher, out).map_err(|_| AeadError::Backend(BAD_LENGTH))?;
        let Message { stream, mac } = Message::new(self, nonce);
        authenticate(mac, aad, cipher).verify(tag.into()).map_err(|_| AeadError::AuthFailed)?;
        stream.try_apply_keystream_partial(data).map_err(|_| AeadError::Backend(BAD_LENGTH))
    }
}
