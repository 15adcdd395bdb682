//! AES-GCM and ChaCha20-Poly1305 by OpenSSL.

use std::{
    cell::Cell,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use dco_crypto::{Aead, AeadError, Nonce, Tag};
use openssl::{
    cipher::{Cipher, CipherRef},
    cipher_ctx::CipherCtx,
};

/// Contexts per key: threads up to this number do not meet.
const CONTEXTS: usize = 8;

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Sealing what we send.
    Seal,
    /// Opening what we receive.
    Open,
}

/// One direction's key, usable from many threads: each has a context of its own, already keyed, so that a packet
/// only sets the nonce.
pub struct TestAead {
    cipher: &'static CipherRef,
    key: Vec<u8>,
    direction: Direction,
    /// Made when first used: most keys of a test are used by one thread, many by none.
    contexts: [Mutex<Option<CipherCtx>>; CONTEXTS],
}

impl TestAead {
    /// AES-128, -192 or -256, by the key's length of 16, 24 or 32 bytes; other lengths are refused.
    pub fn new(key: &[u8], direction: Direction) -> Result<Self, AeadError> {
        let cipher = match key.len() {
            16 => Cipher::aes_128_gcm(),
            24 => Cipher::aes_192_gcm(),
            32 => Cipher::aes_256_gcm(),
            _ => return Err(AeadError::Backend(-1)),
        };
        Ok(Self::with(cipher, key, direction))
    }

    /// ChaCha20-Poly1305.
    pub fn chacha(key: &[u8; 32], direction: Direction) -> Result<Self, AeadError> {
        Ok(Self::with(Cipher::chacha20_poly1305(), key, direction))
    }

    /// A key of the same direction from other bytes; the cipher goes by their length, unless it is ChaCha20-Poly1305.
    pub fn another(&self, key: &[u8], chacha: bool) -> Result<Self, AeadError> {
        match key.try_into() {
            Ok(key) if chacha => Self::chacha(key, self.direction),
            _ => Self::new(key, self.direction),
        }
    }

    fn with(cipher: &'static CipherRef, key: &[u8], direction: Direction) -> Self {
        Self { cipher, key: key.to_vec(), direction, contexts: Default::default() }
    }

    /// Works with this thread's context; waits if more threads than contexts are at work.
    fn with_context(&self, work: impl FnOnce(&mut CipherCtx) -> Result<(), AeadError>) -> Result<(), AeadError> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static MINE: Cell<usize> = const { Cell::new(usize::MAX) };
        }
        let mut mine = MINE.get();
        if mine == usize::MAX {
            mine = NEXT.fetch_add(1, Ordering::Relaxed) % CONTEXTS;
            MINE.set(mine);
        }
        let mut context = self.contexts[mine].lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *context {
            Some(context) => work(context),
            none => work(none.insert(keyed(self.cipher, &self.key, self.direction)?)),
        }
    }
}

impl std::fmt::Debug for TestAead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestAead").finish_non_exhaustive()
    }
}

fn keyed(cipher: &CipherRef, key: &[u8], direction: Direction) -> Result<CipherCtx, AeadError> {
    let mut context = CipherCtx::new().map_err(failed)?;
    match direction {
        Direction::Seal => context.encrypt_init(Some(cipher), Some(key), None),
        Direction::Open => context.decrypt_init(Some(cipher), Some(key), None),
    }
    .map_err(failed)?;
    Ok(context)
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn failed(error: openssl::error::ErrorStack) -> AeadError {
    AeadError::Backend(error.errors().first().map_or(-3, |e| e.code() as i32))
}

impl Aead for TestAead {
    fn seal(&self, nonce: &Nonce, aad: &[u8], plain: &[u8], out: &mut [u8], tag: &mut Tag) -> Result<(), AeadError> {
        self.with_context(|context| {
            context.encrypt_init(None, None, Some(nonce)).map_err(failed)?;
            context.cipher_update(aad, None).map_err(failed)?;
            if !plain.is_empty() {
                context.cipher_update(plain, Some(out)).map_err(failed)?;
            }
            context.cipher_final(&mut []).map_err(failed)?;
            context.tag(tag).map_err(failed)
        })
    }

    fn seal_in_place(&self, nonce: &Nonce, aad: &[u8], data: &mut [u8], tag: &mut Tag) -> Result<(), AeadError> {
        self.with_context(|context| {
            context.encrypt_init(None, None, Some(nonce)).map_err(failed)?;
            context.cipher_update(aad, None).map_err(failed)?;
            if !data.is_empty() {
                let len = data.len();
                context.cipher_update_inplace(data, len).map_err(failed)?;
            }
            context.cipher_final(&mut []).map_err(failed)?;
            context.tag(tag).map_err(failed)
        })
    }

    fn open(&self, nonce: &Nonce, aad: &[u8], cipher: &[u8], tag: &Tag, out: &mut [u8]) -> Result<(), AeadError> {
        self.with_context(|context| {
            context.decrypt_init(None, None, Some(nonce)).map_err(failed)?;
            context.cipher_update(aad, None).map_err(failed)?;
            if !cipher.is_empty() {
                context.cipher_update(cipher, Some(out)).map_err(failed)?;
            }
            context.set_tag(tag).map_err(failed)?;
            // OpenSSL leaves no error on its stack for a wrong tag; whatever else can fail has failed above.
            context.cipher_final(&mut []).map(drop).map_err(|_| AeadError::AuthFailed)
        })
    }
}

/// The cipher library's name and version, for reports.
#[must_use]
pub fn library_version() -> &'static str {
    openssl::version::version()
}
