//! What an end with an epoch key should do, written as plainly as possible; and the format itself, by OpenSSL.
//!
//! An oracle: HKDF and ciphers are OpenSSL's, windows are sets, rotation is arithmetic on plain numbers. Reasons are names.

use std::collections::BTreeMap;

use openssl::{
    md::Md,
    pkey::Id,
    pkey_ctx::{HkdfMode, PkeyCtx},
    symm::{Cipher, decrypt_aead, encrypt_aead},
};

use crate::model::ModelKey;

/// Bytes that a packet adds to its plaintext.
pub const OVERHEAD: usize = 28;

/// Epochs above the current one that an end can open.
const AHEAD: u16 = 4;

/// Epochs above the current one that an end seals in by itself.
const LEAD: u16 = 2;

/// The last epoch that anybody uses.
const LAST: u16 = 0xFFFA;

/// HKDF-Expand with OpenVPN's label.
fn expand(secret: &[u8; 32], label: &str, length: usize) -> Vec<u8> {
    let label = format!("ovpn {label}");
    let mut info = vec![0, u8::try_from(length).expect("short"), u8::try_from(label.len()).expect("short")];
    info.extend(label.bytes());
    info.push(0);
    let mut out = vec![0; length];
    let mut hkdf = PkeyCtx::new_id(Id::HKDF).expect("OpenSSL has HKDF");
    hkdf.derive_init().expect("HKDF");
    hkdf.set_hkdf_mode(HkdfMode::EXPAND_ONLY).expect("HKDF");
    hkdf.set_hkdf_md(Md::sha256()).expect("HKDF");
    hkdf.set_hkdf_key(secret).expect("HKDF");
    hkdf.add_hkdf_info(&info).expect("HKDF");
    hkdf.derive(Some(&mut out)).expect("HKDF");
    out
}

/// One direction, from the secret of its first epoch on.
#[derive(Debug, Clone)]
pub struct Chain {
    first: u16,
    secrets: Vec<[u8; 32]>,
    cipher: (usize, bool),
}

impl Chain {
    /// From epoch `first`'s secret; AES-GCM with keys of `key_len` bytes, or ChaCha20-Poly1305.
    #[must_use]
    pub fn new(first: u16, secret: [u8; 32], key_len: usize, chacha: bool) -> Self {
        Self { first, secrets: vec![secret], cipher: (key_len, chacha) }
    }

    fn cipher(&self) -> Cipher {
        match self.cipher {
            (_, true) => Cipher::chacha20_poly1305(),
            (16, _) => Cipher::aes_128_gcm(),
            (24, _) => Cipher::aes_192_gcm(),
            _ => Cipher::aes_256_gcm(),
        }
    }

    /// A packet's key and nonce.
    fn key(&mut self, epoch: u16, counter: u64) -> (Vec<u8>, Vec<u8>) {
        let place = usize::from(epoch.checked_sub(self.first).expect("an epoch from the first on"));
        while self.secrets.len() <= place {
            let next = expand(self.secrets.last().expect("never empty"), "datakey upd", 32);
            self.secrets.push(next.try_into().expect("32 bytes"));
        }
        let secret = &self.secrets[place];
        let mut nonce = expand(secret, "data_iv", 12);
        let id = (u64::from(epoch) << 48 | counter).to_be_bytes();
        nonce.iter_mut().zip(id).for_each(|(byte, id)| *byte ^= id);
        (expand(secret, "data_key", self.cipher.0), nonce)
    }

    /// A packet with this header.
    pub fn seal(&mut self, header: [u8; 4], epoch: u16, counter: u64, plain: &[u8]) -> Vec<u8> {
        let (key, nonce) = self.key(epoch, counter);
        let mut packet = header.to_vec();
        packet.extend((u64::from(epoch) << 48 | counter).to_be_bytes());
        let mut tag = [0; 16];
        let sealed = encrypt_aead(self.cipher(), &key, Some(&nonce), &packet, plain, &mut tag).expect("seals");
        packet.extend(sealed);
        packet.extend(tag);
        packet
    }

    /// Header, epoch, counter and plaintext of an authentic packet.
    pub fn open(&mut self, packet: &[u8]) -> Option<([u8; 4], u16, u64, Vec<u8>)> {
        let (aad, rest) = packet.split_at_checked(12)?;
        let (sealed, tag) = rest.split_at_checked(rest.len().checked_sub(16)?)?;
        let id = aad[4..].iter().fold(0u64, |id, byte| id << 8 | u64::from(*byte));
        let (epoch, counter) = ((id >> 48) as u16, id & 0xFFFF_FFFF_FFFF);
        if epoch < self.first {
            return None;
        }
        let (key, nonce) = self.key(epoch, counter);
        let plain = decrypt_aead(self.cipher(), &key, Some(&nonce), aad, sealed, tag).ok()?;
        Some(([aad[0], aad[1], aad[2], aad[3]], epoch, counter, plain))
    }
}

#[derive(Debug, Clone, Copy)]
struct Sending {
    epoch: u16,
    packets: u64,
    used: u64,
}

impl Sending {
    fn new(epoch: u16) -> Self {
        Self { epoch, packets: 0, used: 0 }
    }
}

/// One end's epoch key.
#[derive(Debug)]
pub struct EpochModel {
    limit: u64,
    sending: Sending,
    next: Option<Sending>,
    /// The window of each epoch that can be opened.
    held: BTreeMap<u16, ModelKey>,
    retiring: Option<u16>,
    current: u16,
    /// Whether keys are wanted.
    pub wanted: bool,
}

impl EpochModel {
    /// A key that leaves an epoch above `limit` packets and blocks, with everything a new key holds.
    #[must_use]
    pub fn new(first: u16, limit: u64) -> Self {
        let mut model = Self {
            limit,
            sending: Sending::new(first),
            next: None,
            held: BTreeMap::from([(first, ModelKey::new(0, 0, 0, 0))]),
            retiring: None,
            current: first,
            wanted: false,
        };
        model.refill();
        model
    }

    /// The epoch it sends in, and the one it receives in.
    #[must_use]
    pub fn epochs(&self) -> (u16, u16) {
        (self.turn().epoch, self.current)
    }

    /// The epoch after the one that it began to seal in, if it has gone on there: above the limit, not too far from the peer, and
    /// with keys for all that the peer may send in once it has heard of it.
    fn gone_on(&self) -> Option<Sending> {
        let last = self.held.last_key_value().map_or(0, |(epoch, _)| *epoch);
        let near = |epoch: u16| epoch <= self.current + LEAD && (epoch + LEAD).min(LAST) <= last;
        self.next.filter(|next| self.sending.used > self.limit && near(next.epoch))
    }

    fn turn(&self) -> Sending {
        self.gone_on().unwrap_or(self.sending)
    }

    /// A packet is sealed: its epoch and counter.
    pub fn seal(&mut self, plain: usize) -> (u16, u64) {
        let spent = self.gone_on().is_some();
        let sending = match &mut self.next {
            Some(next) if spent => {
                self.wanted = true;
                next
            }
            _ => &mut self.sending,
        };
        sending.packets += 1;
        sending.used += 1 + plain.div_ceil(16) as u64;
        (sending.epoch, sending.packets)
    }

    /// A packet comes, authentic if its epoch's key says so.
    ///
    /// # Errors
    ///
    /// The drop reason's name.
    pub fn open(&mut self, epoch: u16, counter: u64, authentic: bool, now: u64) -> Result<(), &'static str> {
        if epoch == 0 || counter == 0 {
            return Err("RxMalformed");
        }
        if epoch < self.current && Some(epoch) != self.retiring {
            return Err("RxEpochRetired");
        }
        let Some(window) = self.held.get_mut(&epoch) else { return Err("RxEpochTooFar") };
        if !authentic {
            return Err("RxAuthFailed");
        }
        if !window.accept(counter, now) {
            return Err("RxReplay");
        }
        if epoch > self.current {
            self.retiring = Some(self.current);
            self.current = epoch;
            self.wanted = true;
        }
        Ok(())
    }

    /// Keys are made, all that are wanted.
    pub fn refill(&mut self) {
        self.wanted = false;
        let (current, retiring) = (self.current, self.retiring);
        self.held.retain(|epoch, _| *epoch >= current || Some(*epoch) == retiring);
        for epoch in current..=current.saturating_add(AHEAD).min(LAST) {
            self.held.entry(epoch).or_insert_with(|| ModelKey::new(0, 0, 0, 0));
        }
        if let Some(next) = self.gone_on() {
            self.next = None;
            self.sending = next;
        }
        if self.sending.epoch < current {
            self.sending = match self.next.take() {
                Some(next) if next.epoch == current => next,
                _ => Sending::new(current),
            };
        }
        if self.next.is_none() && self.sending.epoch < LAST {
            self.next = Some(Sending::new(self.sending.epoch + 1));
        }
    }
}
