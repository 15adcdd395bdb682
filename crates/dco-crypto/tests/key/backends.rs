//! Ciphers to test with.

use aes_gcm::aead::{AeadInPlace, KeyInit};
use aes_gcm::aes::Aes256;
use aes_gcm::{AesGcm, aead::consts::U12};
use dco_crypto::{Aead, AeadError, Key, KeyConfig, Nonce, NonceTail, Tag};
use dco_wire::PeerId;
use std::sync::Mutex;

/// AES-256-GCM by RustCrypto.
pub struct Gcm(AesGcm<Aes256, U12>);

impl Gcm {
    pub fn new(key: &[u8; 32]) -> Self {
        Self(AesGcm::new(key.into()))
    }
}

impl Aead for Gcm {
    fn seal(&self, nonce: &Nonce, aad: &[u8], plain: &[u8], out: &mut [u8], tag: &mut Tag) -> Result<(), AeadError> {
        out.copy_from_slice(plain);
        self.seal_in_place(nonce, aad, out, tag)
    }

    fn seal_in_place(&self, nonce: &Nonce, aad: &[u8], data: &mut [u8], tag: &mut Tag) -> Result<(), AeadError> {
        *tag = self.0.encrypt_in_place_detached(nonce.into(), aad, data).map_err(|_| AeadError::Backend(1))?.into();
        Ok(())
    }

    fn open(&self, nonce: &Nonce, aad: &[u8], cipher: &[u8], tag: &Tag, out: &mut [u8]) -> Result<(), AeadError> {
        out.copy_from_slice(cipher);
        self.0.decrypt_in_place_detached(nonce.into(), aad, out, tag.into()).map_err(|_| AeadError::AuthFailed)
    }
}

/// A call a [`Scripted`] cipher got: nonce, associated data, input.
pub type Call = (Nonce, Vec<u8>, Vec<u8>);

/// A cipher that does nothing but remember its calls, leaves rubbish in its outputs and answers as told.
pub struct Scripted<'a> {
    pub answer: Result<(), AeadError>,
    pub calls: &'a Mutex<Vec<Call>>,
}

impl Scripted<'_> {
    fn call(&self, nonce: &Nonce, aad: &[u8], input: &[u8]) -> Result<(), AeadError> {
        self.calls.lock().expect("not poisoned").push((*nonce, aad.to_vec(), input.to_vec()));
        self.answer
    }
}

impl Aead for Scripted<'_> {
    fn seal(&self, nonce: &Nonce, aad: &[u8], plain: &[u8], out: &mut [u8], tag: &mut Tag) -> Result<(), AeadError> {
        assert_eq!(out.len(), plain.len());
        out.fill(0xc1);
        tag.fill(0x7a);
        self.call(nonce, aad, plain)
    }

    fn seal_in_place(&self, nonce: &Nonce, aad: &[u8], data: &mut [u8], tag: &mut Tag) -> Result<(), AeadError> {
        let result = self.call(nonce, aad, data);
        data.fill(0xc1);
        tag.fill(0x7a);
        result
    }

    fn open(&self, nonce: &Nonce, aad: &[u8], cipher: &[u8], _: &Tag, out: &mut [u8]) -> Result<(), AeadError> {
        assert_eq!(out.len(), cipher.len());
        out.fill(0x5e);
        self.call(nonce, aad, cipher)
    }
}

/// The key of a client and of its server: what one seals the other opens.
pub fn pair() -> (Key<Gcm>, Key<Gcm>) {
    let (up, down) = ([0x11; 32], [0x22; 32]);
    let (up_tail, down_tail) = ([0xaa; 8], [0xbb; 8]);
    let key = |seal, open, seal_tail, open_tail| {
        Key::try_new(KeyConfig {
            key_id: 2,
            peer_id: Some(PeerId::from_low_bits(7)),
            seal: Gcm::new(seal),
            open: Gcm::new(open),
            seal_tail: NonceTail::new(seal_tail),
            open_tail: NonceTail::new(open_tail),
        })
        .expect("memory")
    };
    (key(&up, &down, up_tail, down_tail), key(&down, &up, down_tail, up_tail))
}

/// A key over [`Scripted`] ciphers.
pub fn scripted(answer: Result<(), AeadError>, calls: &Mutex<Vec<Call>>) -> Key<Scripted<'_>> {
    Key::try_new(KeyConfig {
        key_id: 3,
        peer_id: Some(PeerId::from_low_bits(0x76706e)),
        seal: Scripted { answer, calls },
        open: Scripted { answer, calls },
        seal_tail: NonceTail::new([1, 2, 3, 4, 5, 6, 7, 8]),
        open_tail: NonceTail::new([11, 12, 13, 14, 15, 16, 17, 18]),
    })
    .expect("memory")
}
