//! Datagrams for one epoch key, one after another, with keys made in between.

use dco_core::OutOfMemory;
use dco_crypto::epoch::{EpochConfig, EpochKey, EpochSecret, FUTURE_EPOCHS, LAST_EPOCH, UsageLimit};
use dco_crypto::{Aead, AeadError, EXPIRY_MS, Nonce, OpenError, Tag};
use std::collections::{BTreeMap, BTreeSet};

const OVERHEAD: usize = 28;

/// A cipher that anyone can forge, so that a fuzzer gets past it: ciphertext is plaintext, and the tag's first byte is the sum of all
/// the bytes it covers. The nonce is left out: it comes of the derivation.
struct Weak;

impl Weak {
    fn tag(aad: &[u8], data: &[u8]) -> u8 {
        aad.iter().chain(data).fold(0, |sum, byte| sum.wrapping_add(*byte))
    }
}

impl Aead for Weak {
    fn seal(&self, nonce: &Nonce, aad: &[u8], plain: &[u8], out: &mut [u8], tag: &mut Tag) -> Result<(), AeadError> {
        out.copy_from_slice(plain);
        self.seal_in_place(nonce, aad, out, tag)
    }

    fn seal_in_place(&self, _: &Nonce, aad: &[u8], data: &mut [u8], tag: &mut Tag) -> Result<(), AeadError> {
        *tag = [0; 16];
        tag[0] = Self::tag(aad, data);
        Ok(())
    }

    fn open(&self, _: &Nonce, aad: &[u8], cipher: &[u8], tag: &Tag, out: &mut [u8]) -> Result<(), AeadError> {
        out.copy_from_slice(cipher);
        if tag[0] == Self::tag(aad, cipher) { Ok(()) } else { Err(AeadError::AuthFailed) }
    }
}

/// First, where the key begins: 1, or so many epochs before the last. Then datagrams, each after a byte of length, a byte of room for the
/// plaintext and a byte of seconds since the last. A length with its top bit set asks for the right tag to be put in; a length of
/// 127 and a room of 255 are no datagram: keys are made.
pub fn run(input: &[u8]) {
    let Some((&[begin], mut input)) = input.split_first_chunk() else { return };
    let first = if begin == 0 { 1 } else { LAST_EPOCH - u16::from(begin & 0xf) };
    let secret = || EpochSecret::of_epoch(first, [9; 32]);
    let config = EpochConfig {
        key_id: 1,
        peer_id: None,
        key_len: 32,
        seal: secret(),
        open: secret(),
        limit: UsageLimit::AES_GCM.lowered(20),
    };
    let Ok(mut key) = EpochKey::try_new(config, |_, _| Ok::<_, OutOfMemory>(Weak)) else { return };
    let (mut epochs, mut now) = (Epochs { current: first, retiring: None, windows: BTreeMap::new() }, 0);
    while let Some((&[len, room, pause], rest)) = input.split_first_chunk() {
        now += u64::from(pause) * 1000;
        if len == 127 && room == 255 {
            let Ok(next) = key.refilled(|_, _| Ok::<_, OutOfMemory>(Weak)) else { return };
            assert!(!next.wants_keys() && next.seal_epoch() >= key.open_epoch());
            key = next;
            input = rest;
            continue;
        }
        let (datagram, rest) = rest.split_at(rest.len().min(usize::from(len & 0x7f)));
        input = rest;
        let mut datagram = datagram.to_vec();
        if len & 0x80 != 0 && datagram.len() >= OVERHEAD {
            let end = datagram.len() - 16;
            let (covered, tag) = datagram.split_at_mut(end);
            tag[0] = Weak::tag(&covered[..12], &covered[12..]);
        }
        epochs.judge(&datagram, usize::from(room), now, &key);
    }
}

/// Which ids were accepted in an epoch.
#[derive(Default)]
struct Seen {
    ids: BTreeSet<u64>,
    closed_up_to: u64,
    last: u64,
}

impl Seen {
    /// Whether the rules let an authentic packet with this id in now.
    fn fresh(&mut self, id: u64, now: u64) -> bool {
        let highest = self.ids.last().copied().unwrap_or(0);
        if now - self.last >= EXPIRY_MS {
            self.closed_up_to = highest;
        }
        id > self.closed_up_to && !self.ids.contains(&id) && (id > highest || highest - id < 2048)
    }
}

struct Epochs {
    current: u16,
    retiring: Option<u16>,
    windows: BTreeMap<u16, Seen>,
}

impl Epochs {
    fn judge(&mut self, datagram: &[u8], room: usize, now: u64, key: &EpochKey<Weak>) {
        let mut out = vec![0xcc; room];
        let result = key.open(datagram, &mut out, now);
        let Some(len) = datagram.len().checked_sub(OVERHEAD) else {
            assert_eq!(result, Err(OpenError::TooShort));
            return;
        };
        let id = datagram[4..12].iter().fold(0u64, |id, byte| id << 8 | u64::from(*byte));
        let (epoch, counter, plain) = ((id >> 48) as u16, id & 0xffff_ffff_ffff, &datagram[12..12 + len]);
        let retired = epoch < self.current && Some(epoch) != self.retiring;
        let window = self.windows.entry(epoch).or_default();
        match result {
            Ok(opened) => {
                assert_eq!(&out[..opened], plain);
                assert!(!retired && epoch <= self.current.saturating_add(FUTURE_EPOCHS) && epoch <= LAST_EPOCH);
                assert!(window.fresh(counter, now), "{counter} of {epoch} was accepted");
                window.ids.insert(counter);
                window.last = now;
                if epoch > self.current {
                    (self.retiring, self.current) = (Some(self.current), epoch);
                    assert!(key.wants_keys());
                }
            }
            Err(OpenError::PacketIdZero) => assert!(epoch == 0 || counter == 0),
            Err(OpenError::EpochRetired) => assert!(retired),
            Err(OpenError::EpochTooFar) => assert!(epoch > self.current),
            Err(OpenError::OutputTooSmall) => assert!(room < len && out.iter().all(|byte| *byte == 0xcc)),
            Err(error) => {
                assert!(matches!(error, OpenError::AuthFailed | OpenError::Replay));
                assert!(out[..len].iter().all(|byte| *byte == 0), "plaintext was left");
                assert!(error != OpenError::Replay || !window.fresh(counter, now), "{counter} of {epoch} was refused");
            }
        }
        assert_eq!(key.open_epoch(), self.current);
        assert!(out.iter().skip(len).all(|byte| *byte == 0xcc), "written past the plaintext");
    }
}
