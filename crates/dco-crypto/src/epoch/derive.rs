//! The key derivation: OVPN-Expand-Label, which is TLS 1.3's HKDF-Expand-Label with another prefix, over SHA-256.

use super::LAST_EPOCH;
use crate::aead::{NONCE_LEN, Nonce};
use core::fmt;
use dco_wire::EPOCH_PACKET_ID_LEN;
use hmac::{Hmac, Mac, digest::KeyInit};
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Bytes of an epoch's secret, and the most that is ever derived at once: one block of HKDF's output.
pub const EPOCH_SECRET_LEN: usize = 32;

/// Bytes of SHA-256's input block, to which HMAC fills a key up with zeroes.
const HASH_BLOCK: usize = 64;

/// The secret of one epoch and direction, `E_i`. Zeroed on drop; `Debug` shows the epoch alone.
pub struct EpochSecret {
    epoch: u16,
    bytes: [u8; EPOCH_SECRET_LEN],
}

impl EpochSecret {
    /// A secret of epoch 1, from the key exchange.
    #[must_use]
    pub const fn first(bytes: [u8; EPOCH_SECRET_LEN]) -> Self {
        Self::of_epoch(1, bytes)
    }

    /// A secret of any epoch, at least 1: for tests of what happens late.
    #[must_use]
    pub const fn of_epoch(epoch: u16, bytes: [u8; EPOCH_SECRET_LEN]) -> Self {
        Self { epoch, bytes }
    }

    /// Which epoch's it is.
    #[must_use]
    pub const fn epoch(&self) -> u16 {
        self.epoch
    }

    /// The next epoch's; `None` after [`LAST_EPOCH`].
    #[must_use]
    pub fn next(&self) -> Option<Self> {
        if self.epoch >= LAST_EPOCH {
            return None;
        }
        let mut next = Self { epoch: self.epoch.saturating_add(1), bytes: [0; EPOCH_SECRET_LEN] };
        next.bytes = *self.expand(b"datakey upd", EPOCH_SECRET_LEN);
        Some(next)
    }

    /// The cipher's key, which is the first `key_len` bytes, and `key_len` at most 32: none is longer.
    #[must_use]
    pub fn data_key(&self, key_len: usize) -> Zeroizing<[u8; EPOCH_SECRET_LEN]> {
        self.expand(b"data_key", key_len)
    }

    /// The implicit IV.
    pub(super) fn iv(&self) -> EpochIv {
        let block = self.expand(b"data_iv", NONCE_LEN);
        let mut iv = EpochIv([0; NONCE_LEN]);
        iv.0.iter_mut().zip(block.iter()).for_each(|(to, from)| *to = *from);
        iv
    }

    /// OVPN-Expand-Label(secret, label, "", len), and more of HKDF's first block behind it. `len` is at most 32. Out of line, as kernel stacks are small.
    #[inline(never)]
    fn expand(&self, label: &[u8], len: usize) -> Zeroizing<[u8; EPOCH_SECRET_LEN]> {
        const PREFIX: &[u8] = b"ovpn ";
        let mut key = Zeroizing::new([0; HASH_BLOCK]);
        key.iter_mut().zip(&self.bytes).for_each(|(to, from)| *to = *from);
        let mut mac = <Hmac<Sha256> as KeyInit>::new((&*key).into());
        // Labels and lengths are this file's, and short.
        let label_len = PREFIX.len().saturating_add(label.len());
        mac.update(&u16::try_from(len).unwrap_or(0).to_be_bytes());
        mac.update(&[u8::try_from(label_len).unwrap_or(0)]);
        mac.update(PREFIX);
        mac.update(label);
        // No context; then HKDF's number of the block.
        mac.update(&[0, 1]);
        let mut block = mac.finalize().into_bytes();
        let mut out = Zeroizing::new([0; EPOCH_SECRET_LEN]);
        out.iter_mut().zip(block.iter()).for_each(|(to, from)| *to = *from);
        block.as_mut_slice().zeroize();
        out
    }
}

impl Drop for EpochSecret {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

impl ZeroizeOnDrop for EpochSecret {}

impl Clone for EpochSecret {
    fn clone(&self) -> Self {
        Self { epoch: self.epoch, bytes: self.bytes }
    }
}

impl fmt::Debug for EpochSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EpochSecret").field("epoch", &self.epoch).finish_non_exhaustive()
    }
}

/// An epoch's implicit IV. Secret: zeroed on drop.
pub(super) struct EpochIv(Nonce);

impl EpochIv {
    /// The nonce of a packet: the IV, its first eight bytes XORed with the packet id.
    #[inline]
    pub(super) fn nonce(&self, id: [u8; EPOCH_PACKET_ID_LEN]) -> Nonce {
        let mut nonce = self.0;
        nonce.iter_mut().zip(id).for_each(|(byte, id)| *byte ^= id);
        nonce
    }
}

impl Drop for EpochIv {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// OpenVPN's unit test of its derivation has this secret, a key of 24 bytes and this IV (test_crypto.c, epoch_test_derive_data_key);
    /// the next secret is from Python's hmac: `hmac.new(secret, info + b"\1", "sha256")`, with `info` as docs/epoch.md has it.
    #[test]
    fn openvpns_own_vector() {
        let mut bytes = [0; 32];
        bytes[..2].copy_from_slice(&[0x13, 0x0c]);
        let secret = EpochSecret::of_epoch(17, bytes);
        let key = [
            0xed, 0x85, 0x33, 0xdb, 0x1c, 0x28, 0xac, 0xe4, 0x18, 0xe9, 0x00, 0x6a, 0xb2, 0x9c, 0x17, 0x41, 0x7d, 0x60,
            0xeb, 0xe6, 0xcd, 0x90, 0xbf, 0x0a,
        ];
        assert_eq!(secret.data_key(24)[..24], key);
        assert_eq!(secret.iv().0, [0x86, 0x89, 0x0a, 0xab, 0xf0, 0x32, 0xcb, 0x59, 0xf4, 0xcf, 0xa3, 0x4e]);
        let next = secret.next().expect("not the last");
        assert_eq!(next.epoch(), 18);
        assert_eq!(hex(&next.bytes), "f02515ed7e47a246adbf6d26ff350b9c517445282dd18fd290e426b831d02638");
    }

    /// OpenVPN's unit test of the labels (crypto_test_ovpn_label_expand).
    #[test]
    fn openvpns_own_label() {
        let secret = EpochSecret::first([
            0x07, 0x77, 0x09, 0x36, 0x2c, 0x2e, 0x32, 0xdf, 0x0d, 0xdc, 0x3f, 0x0d, 0xc4, 0x7b, 0xba, 0x63, 0x90, 0xb6,
            0xc7, 0x3b, 0xb5, 0x0f, 0x9c, 0x31, 0x22, 0xec, 0x84, 0x4a, 0xd7, 0xc2, 0xb3, 0xe5,
        ]);
        assert_eq!(hex(&secret.expand(b"unit test", 16)[..16]), "185eaa1c7f228ab8eb29773214d92046");
    }

    /// Six epochs from the secret 00 01 .. 1f, by Python's hmac.
    #[test]
    fn a_chain_by_another_program() {
        let expected = [
            ("c0b015350de890ee8e1849d2c29a1b94", "ebbbf838a8658beb56f2324d691351bd4c8c230fb271ada8f67de830b7ee3192"),
            ("2586116e6e44094e7e8659d311948333", "4010426e3e169cd80289883d7f38d7eee445ead5fa21812fabebe155a4408ee5"),
            ("4254f2a6c4ab003f3857ab2e4c25bf53", "97262f79e388a314377b63881143f2490755d3396aa5c4fe98ab8384318cc859"),
            ("075f9f777c86b1a20a8b736cdd703e8c", "4143f33e41979afca15daa9e88dec238e26867817e32d8a83a949c0dc4f5a09e"),
            ("1928a46d966efe66d139940ab72274ca", "462d81a688f0d4065816d16c5c0e26f5ab0c5cfb1e9ee13e66f21d21e721bbf7"),
            ("ed7b46d697c29104ebbf7ca7b8c8fe10", "c6b161dbd3dd75e4a03d30bc196aa5210275e4317066425d3196e5ca9e54ed8d"),
        ];
        let ivs = [
            "568de14f8f744bfb0b721f66",
            "9caaa619cb6277bbb0e90c48",
            "cd8fc5d76f8d9e1d521e6401",
            "e2c0b50224e8f4775e9ba94c",
            "380d48fd40f4436496f72f13",
            "51e7d668ac6276a532ac6e7f",
        ];
        let mut secret = EpochSecret::first(core::array::from_fn(|at| at as u8));
        for ((short, long), iv) in expected.into_iter().zip(ivs) {
            assert_eq!(hex(&secret.data_key(16)[..16]), short);
            assert_eq!(hex(&*secret.data_key(32)), long);
            assert_eq!(hex(&secret.iv().0), iv);
            secret = secret.next().expect("not the last");
        }
    }

    #[test]
    fn nothing_comes_after_the_last_epoch() {
        assert_eq!(LAST_EPOCH, 0xfffa);
        let before = EpochSecret::of_epoch(LAST_EPOCH - 1, [1; 32]);
        let last = before.next().expect("not the last yet");
        assert_eq!(last.epoch(), LAST_EPOCH);
        assert!(last.next().is_none());
    }

    #[test]
    fn the_iv_is_xored_with_the_whole_id() {
        let nonce = EpochIv([0xf0; 12]).nonce([0, 1, 0, 0, 0, 0, 0xff, 2]);
        assert_eq!(nonce, [0xf0, 0xf1, 0xf0, 0xf0, 0xf0, 0xf0, 0x0f, 0xf2, 0xf0, 0xf0, 0xf0, 0xf0]);
    }

    fn hex(bytes: &[u8]) -> std::string::String {
        use std::fmt::Write;
        bytes.iter().fold(std::string::String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}
