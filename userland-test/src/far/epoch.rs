//! The far end's epoch keys: OpenVPN's epoch format, from its description.

use anyhow::{Context, Result, bail, ensure};

use super::{Aead, OPCODE, TAG};
use crate::key::{Cipher, StaticKey};

/// Header, packet id and tag: what a packet grows by.
pub const OVERHEAD: usize = 28;

const AAD: usize = 12;

/// OVPN-Expand-Label with an empty context.
fn expand(secret: &[u8; 32], label: &str, out: &mut [u8]) {
    let label = format!("ovpn {label}");
    let mut info = (out.len() as u16).to_be_bytes().to_vec();
    info.push(label.len() as u8);
    info.extend(label.bytes());
    info.push(0);
    hmac_sha256::HKDF::expand(out, secret, info);
}

/// One epoch's cipher and implicit IV.
struct Epoch {
    number: u16,
    aead: Aead,
    iv: [u8; 12],
}

impl Epoch {
    fn nonce(&self, id: u64) -> [u8; 12] {
        let mut nonce = self.iv;
        for (byte, id) in nonce.iter_mut().zip(id.to_be_bytes()) {
            *byte ^= id;
        }
        nonce
    }
}

/// One direction: every epoch from the first secret, and the last one that was asked for.
struct Chain {
    seed: [u8; 32],
    cipher: Cipher,
    key_length: usize,
    last: Option<(Epoch, [u8; 32])>,
}

impl Chain {
    fn epoch(&mut self, number: u16) -> Result<&Epoch> {
        ensure!(number >= 1, "expected an epoch from 1 on, got {number}");
        let (mut at, mut secret) = match &self.last {
            Some((epoch, secret)) if epoch.number <= number => (epoch.number, *secret),
            _ => (1, self.seed),
        };
        if self.last.as_ref().is_none_or(|(epoch, _)| epoch.number != number) {
            while at < number {
                let mut next = [0; 32];
                expand(&secret, "datakey upd", &mut next);
                (at, secret) = (at + 1, next);
            }
            let (mut key, mut iv) = (vec![0; self.key_length], [0; 12]);
            expand(&secret, "data_key", &mut key);
            expand(&secret, "data_iv", &mut iv);
            self.last = Some((Epoch { number, aead: Aead::new(self.cipher, &key)?, iv }, secret));
        }
        match &self.last {
            Some((epoch, _)) => Ok(epoch),
            None => bail!("expected the epoch that was just made"),
        }
    }
}

/// The far end's side of an epoch key.
pub struct EpochKey {
    seal: Chain,
    open: Chain,
    key_id: u8,
    peer_id: u32,
}

/// A data packet that was opened.
#[derive(Debug, PartialEq, Eq)]
pub struct Opened {
    /// Whom the header says it is for.
    pub peer_id: u32,
    /// The key's epoch.
    pub epoch: u16,
    /// Counts up from 1 in each epoch.
    pub counter: u64,
    /// The inner packet.
    pub inner: Vec<u8>,
}

impl EpochKey {
    /// The counterpart of what the driver is given; `key`'s direction is the driver's.
    pub fn opposite(key: &StaticKey, key_id: u8, peer_id: u32) -> Result<Self> {
        let ((encrypt, decrypt), key_length) = (key.seeds(), key.halves().0.key.len());
        let chain = |seed: &[u8]| -> Result<Chain> {
            Ok(Chain { seed: seed.try_into().context("a seed")?, cipher: key.cipher(), key_length, last: None })
        };
        // What the driver opens with is what this end seals with.
        Ok(Self { seal: chain(decrypt)?, open: chain(encrypt)?, key_id, peer_id })
    }

    /// A data packet. Epoch and counter may be what nobody sends: then it is sealed as if it were epoch 1's.
    pub fn seal(&mut self, epoch: u16, counter: u64, inner: &[u8]) -> Result<Vec<u8>> {
        let header = OPCODE | u32::from(self.key_id & 7) << 24 | self.peer_id & 0x00FF_FFFF;
        let id = u64::from(epoch) << 48 | counter;
        let mut packet = header.to_be_bytes().to_vec();
        packet.extend(id.to_be_bytes());
        let key = self.seal.epoch(epoch.max(1))?;
        let mut sealed = inner.to_vec();
        let tag = key.aead.seal(&key.nonce(id), &packet, &mut sealed)?;
        packet.extend(sealed);
        packet.extend(tag);
        Ok(packet)
    }

    /// Opens what the driver has sealed. `None` for a packet of another key.
    pub fn open(&mut self, packet: &[u8]) -> Result<Option<Opened>> {
        ensure!(packet.len() >= OVERHEAD, "expected an epoch packet, got {} bytes", packet.len());
        let (aad, rest) = packet.split_at(AAD);
        let (sealed, tag) = rest.split_at(rest.len() - TAG);
        let number = aad.iter().fold(0u128, |number, &byte| number << 8 | u128::from(byte));
        let (header, id) = ((number >> 64) as u32, number as u64);
        ensure!(header & 0xF800_0000 == OPCODE, "expected opcode 9, got the header {header:08x}");
        if (header >> 24 & 7) as u8 != self.key_id {
            return Ok(None);
        }
        let (epoch, counter) = ((id >> 48) as u16, id & 0xFFFF_FFFF_FFFF);
        let key = self.open.epoch(epoch)?;
        let mut inner = sealed.to_vec();
        ensure!(key.aead.open(&key.nonce(id), aad, &mut inner, tag), "packet {counter} of epoch {epoch} does not open");
        Ok(Some(Opened { peer_id: header & 0x00FF_FFFF, epoch, counter, inner }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Direction;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The vectors of OpenVPN's unit tests (test_crypto.c); the next secret was computed with Python's hmac.
    #[test]
    fn the_derivation_is_openvpns() {
        let mut secret = [0; 32];
        secret[..2].copy_from_slice(&[0x13, 0x0C]);
        let (mut key, mut iv, mut next) = ([0; 24], [0; 12], [0; 32]);
        expand(&secret, "data_key", &mut key);
        expand(&secret, "data_iv", &mut iv);
        expand(&secret, "datakey upd", &mut next);
        assert_eq!(hex(&key), "ed8533db1c28ace418e9006ab29c17417d60ebe6cd90bf0a");
        assert_eq!(hex(&iv), "86890aabf032cb59f4cfa34e");
        assert_eq!(hex(&next), "f02515ed7e47a246adbf6d26ff350b9c517445282dd18fd290e426b831d02638");
    }

    #[test]
    fn what_one_end_seals_the_other_opens_in_any_epoch_and_nothing_else() {
        for cipher in Cipher::ALL {
            let mut near = EpochKey::opposite(&StaticKey::of_test(3, cipher, Direction::Inverse), 5, 7).expect("a key");
            let mut far = EpochKey::opposite(&StaticKey::of_test(3, cipher, Direction::Normal), 5, 7).expect("a key");
            for epoch in [1, 2, 7, 3] {
                let packet = far.seal(epoch, 9, b"hello").expect("sealed");
                assert_eq!(packet[..12], [0x4D, 0, 0, 7, 0, epoch as u8, 0, 0, 0, 0, 0, 9]);
                let opened = near.open(&packet).expect("opens").expect("of this key");
                assert_eq!(opened, Opened { peer_id: 7, epoch, counter: 9, inner: b"hello".to_vec() });
            }
            let packet = far.seal(2, 9, b"hello").expect("sealed");
            for at in 0..packet.len() {
                let mut forged = packet.clone();
                forged[at] ^= 1;
                assert!(!matches!(near.open(&forged), Ok(Some(_))), "byte {at}");
            }
        }
    }
}
