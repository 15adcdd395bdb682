//! Datagrams for one data key, one after another.

use dco_crypto::{Aead, AeadError, EXPIRY_MS, Key, KeyConfig, Nonce, NonceTail, OpenError, Tag};
use dco_wire::PeerId;
use std::collections::BTreeSet;

/// A cipher that anyone can forge, so that a fuzzer gets past it: ciphertext is plaintext, and the tag's first byte is the sum of all
/// the bytes it covers.
pub struct Weak;

impl Weak {
    fn tag(nonce: &Nonce, aad: &[u8], data: &[u8]) -> u8 {
        nonce.iter().chain(aad).chain(data).fold(0, |sum, byte| sum.wrapping_add(*byte))
    }
}

impl Aead for Weak {
    fn seal(&self, nonce: &Nonce, aad: &[u8], plain: &[u8], out: &mut [u8], tag: &mut Tag) -> Result<(), AeadError> {
        out.copy_from_slice(plain);
        self.seal_in_place(nonce, aad, out, tag)
    }

    fn seal_in_place(&self, nonce: &Nonce, aad: &[u8], data: &mut [u8], tag: &mut Tag) -> Result<(), AeadError> {
        *tag = [0; 16];
        tag[0] = Self::tag(nonce, aad, data);
        Ok(())
    }

    fn open(&self, nonce: &Nonce, aad: &[u8], cipher: &[u8], tag: &Tag, out: &mut [u8]) -> Result<(), AeadError> {
        out.copy_from_slice(cipher);
        if tag[0] == Self::tag(nonce, aad, cipher) { Ok(()) } else { Err(AeadError::AuthFailed) }
    }
}

/// Datagrams, each after a byte of length, a byte of room for the plaintext and a byte of seconds since the last. A length with its top
/// bit set asks for the right tag to be put in.
pub fn run(mut input: &[u8]) {
    let tail = || NonceTail::new([1; 8]);
    let config = KeyConfig {
        key_id: 1,
        peer_id: Some(PeerId::from_low_bits(7)),
        seal: Weak,
        open: Weak,
        seal_tail: tail(),
        open_tail: tail(),
    };
    let Ok(key) = Key::try_new(config) else { return };
    let mut seen = Seen::default();
    let mut now = 0;
    while let Some((&[len, room, pause], rest)) = input.split_first_chunk() {
        now += u64::from(pause) * 1000;
        let (datagram, rest) = rest.split_at(rest.len().min(usize::from(len & 0x7f)));
        input = rest;
        let mut datagram = datagram.to_vec();
        if len & 0x80 != 0 && datagram.len() >= 24 {
            let id = [datagram[4], datagram[5], datagram[6], datagram[7]];
            let mut nonce = [1; 12];
            nonce[..4].copy_from_slice(&id);
            datagram[8] = Weak::tag(&nonce, &datagram[..8], &datagram[24..]);
        }
        seen.judge(&datagram, usize::from(room), now, &key);
    }
}

/// Which ids were accepted.
#[derive(Default)]
struct Seen {
    ids: BTreeSet<u32>,
    closed_up_to: u32,
    last: u64,
}

impl Seen {
    fn judge(&mut self, datagram: &[u8], room: usize, now: u64, key: &Key<Weak>) {
        let mut out = vec![0xcc; room];
        let result = key.open(datagram, &mut out, now);
        if datagram.len() < 24 {
            assert_eq!(result, Err(OpenError::TooShort));
            return;
        }
        let id = u32::from_be_bytes([datagram[4], datagram[5], datagram[6], datagram[7]]);
        let plain = &datagram[24..];
        match result {
            Ok(len) => {
                assert_eq!(&out[..len], plain);
                assert!(self.fresh(id, now), "{id} was accepted");
                self.ids.insert(id);
                self.last = now;
            }
            Err(OpenError::PacketIdZero) => assert_eq!(id, 0),
            Err(OpenError::OutputTooSmall) => assert!(room < plain.len() && out.iter().all(|byte| *byte == 0xcc)),
            Err(error) => {
                assert!(matches!(error, OpenError::AuthFailed | OpenError::Replay));
                assert!(out[..plain.len()].iter().all(|byte| *byte == 0), "plaintext was left");
                assert!(error != OpenError::Replay || !self.fresh(id, now), "{id} was refused");
            }
        }
        assert!(out.iter().skip(plain.len()).all(|byte| *byte == 0xcc), "written past the plaintext");
    }

    /// Whether the rules let an authentic packet with this id in now.
    fn fresh(&mut self, id: u32, now: u64) -> bool {
        let highest = self.ids.last().copied().unwrap_or(0);
        if now - self.last >= EXPIRY_MS {
            self.closed_up_to = highest;
        }
        id > self.closed_up_to && !self.ids.contains(&id) && (id > highest || highest - id < 2048)
    }
}
