//! Static keys: OpenVPN's file format (`openvpn --genkey secret FILE`), and what NEW_KEY is made of.

use std::path::Path;
use std::str::FromStr;

use anyhow::{Context, Result, bail};
use dco_uapi::raw;

use crate::device::Slot;

/// Bytes of a static key: two keys of a 64-byte cipher field and a 64-byte HMAC field.
const LENGTH: usize = 256;

/// The ciphers; AES-GCM's by key length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cipher {
    /// 16 bytes.
    Aes128,
    /// 24 bytes.
    Aes192,
    /// 32 bytes.
    Aes256,
    /// 32 bytes.
    ChaCha20,
}

impl Cipher {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Aes128, Self::Aes192, Self::Aes256, Self::ChaCha20];

    /// The name, as OpenVPN writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Aes128 => "AES-128-GCM",
            Self::Aes192 => "AES-192-GCM",
            Self::Aes256 => "AES-256-GCM",
            Self::ChaCha20 => "ChaCha20-Poly1305",
        }
    }

    fn key_length(self) -> u8 {
        match self {
            Self::Aes128 => 16,
            Self::Aes192 => 24,
            Self::Aes256 | Self::ChaCha20 => 32,
        }
    }

    /// NEW_KEY's number for it.
    fn algorithm(self) -> i32 {
        match self {
            Self::Aes128 | Self::Aes192 | Self::Aes256 => 1,
            Self::ChaCha20 => 2,
        }
    }
}

impl FromStr for Cipher {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|cipher| cipher.name().eq_ignore_ascii_case(text));
        found
            .ok_or_else(|| format!("expected aes-128-gcm, aes-192-gcm, aes-256-gcm or chacha20-poly1305, got {text:?}"))
    }
}

/// Which half of a static key is sent with. The two ends differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// OpenVPN's `key-direction 0`: sends with the first half.
    Normal,
    /// OpenVPN's `key-direction 1`: sends with the second half.
    Inverse,
}

impl FromStr for Direction {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "0" => Ok(Self::Normal),
            "1" => Ok(Self::Inverse),
            _ => Err(format!("expected 0 or 1, got {text:?}")),
        }
    }
}

/// A key for both directions.
pub struct StaticKey {
    bytes: [u8; LENGTH],
    cipher: Cipher,
    direction: Direction,
}

impl StaticKey {
    /// From its 256 bytes.
    pub fn new(bytes: [u8; LENGTH], cipher: Cipher, direction: Direction) -> Self {
        Self { bytes, cipher, direction }
    }

    /// From 512 hexadecimal digits, or else from the file of that name.
    pub fn load(argument: &str, cipher: Cipher, direction: Direction) -> Result<Self> {
        let bytes = if argument.len() == 2 * LENGTH && argument.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            from_hex(argument)?
        } else {
            let text = std::fs::read_to_string(Path::new(argument))
                .with_context(|| format!("--key: expected {} hexadecimal digits or a file", 2 * LENGTH))?;
            from_file(&text).with_context(|| argument.to_owned())?
        };
        Ok(Self::new(bytes, cipher, direction))
    }

    /// A key that both ends of a test can make from the same number. No secret.
    pub fn of_test(number: u64, cipher: Cipher, direction: Direction) -> Self {
        let mut state = number;
        let mut bytes = [0; LENGTH];
        for chunk in bytes.chunks_mut(8) {
            // SplitMix64.
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut word = state;
            word = (word ^ word >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            word = (word ^ word >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
            chunk.copy_from_slice(&(word ^ word >> 31).to_le_bytes());
        }
        Self::new(bytes, cipher, direction)
    }

    /// NEW_KEY's input.
    pub fn request(&self, slot: Slot, key_id: u8, peer_id: u32) -> raw::CryptoData {
        let (encrypt, decrypt) = self.halves();
        raw::CryptoData {
            encrypt,
            decrypt,
            _padding: [0; 2],
            slot: (slot as i32).into(),
            alg: self.cipher.algorithm().into(),
            key_id,
            _padding2: [0; 3],
            peer_id: peer_id.cast_signed().into(),
        }
    }

    /// What it is for.
    pub fn cipher(&self) -> Cipher {
        self.cipher
    }

    /// What is sealed with, and what is opened with.
    pub fn halves(&self) -> (raw::KeyDirection, raw::KeyDirection) {
        let (first, second) = (self.half(0), self.half(LENGTH / 2));
        match self.direction {
            Direction::Normal => (first, second),
            Direction::Inverse => (second, first),
        }
    }

    fn half(&self, offset: usize) -> raw::KeyDirection {
        let length = usize::from(self.cipher.key_length());
        let mut direction = raw::KeyDirection { key: [0; 32], key_len: self.cipher.key_length(), nonce_tail: [0; 8] };
        direction.key[..length].copy_from_slice(&self.bytes[offset..offset + length]);
        direction.nonce_tail.copy_from_slice(&self.bytes[offset + 64..offset + 72]);
        direction
    }
}

fn from_file(text: &str) -> Result<[u8; LENGTH]> {
    const BEGIN: &str = "-----BEGIN OpenVPN Static key V1-----";
    const END: &str = "-----END OpenVPN Static key V1-----";
    let Some((body, _)) = text.split_once(BEGIN).and_then(|(_, rest)| rest.split_once(END)) else {
        bail!("expected an OpenVPN static key between {BEGIN:?} and {END:?}, found none");
    };
    from_hex(&body.split_whitespace().collect::<String>())
}

fn from_hex(text: &str) -> Result<[u8; LENGTH]> {
    if text.len() != 2 * LENGTH {
        bail!("expected {} hexadecimal digits, got {} characters", 2 * LENGTH, text.len());
    }
    let mut bytes = [0; LENGTH];
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        for &digit in digits {
            let Some(value) = char::from(digit).to_digit(16) else {
                bail!("expected hexadecimal digits, got {:?}", char::from(digit));
            };
            *byte = *byte << 4 | value as u8;
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use zerocopy::IntoBytes;

    use super::*;

    fn counting() -> [u8; LENGTH] {
        std::array::from_fn(|index| index as u8)
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn a_request_is_laid_out_as_openvpn_does() {
        let key = StaticKey::new(counting(), Cipher::Aes192, Direction::Inverse);
        let request = key.request(Slot::Secondary, 5, 0x00AB_CDEF);
        let bytes = request.as_bytes();
        assert_eq!(bytes.len(), 100);
        assert_eq!(bytes[..24], counting()[128..152]);
        assert_eq!(bytes[24..32], [0; 8], "no more of the key than the cipher takes");
        assert_eq!(bytes[32], 24);
        assert_eq!(bytes[33..41], counting()[192..200]);
        assert_eq!(bytes[41..65], counting()[..24]);
        assert_eq!(bytes[74..82], counting()[64..72]);
        assert_eq!(bytes[84..], [1, 0, 0, 0, 1, 0, 0, 0, 5, 0, 0, 0, 0xEF, 0xCD, 0xAB, 0]);
    }

    #[test]
    fn chacha_has_its_own_number() {
        let key = StaticKey::new(counting(), "chacha20-poly1305".parse().expect("a cipher"), Direction::Normal);
        let bytes = key.request(Slot::Primary, 0, 0);
        assert_eq!((bytes.alg.get(), bytes.encrypt.key_len), (2, 32));
    }

    #[test]
    fn the_two_directions_meet() {
        let one = StaticKey::of_test(7, Cipher::Aes256, Direction::Normal).request(Slot::Primary, 0, 1);
        let other = StaticKey::of_test(7, Cipher::Aes256, Direction::Inverse).request(Slot::Primary, 0, 1);
        assert_eq!(one.encrypt.as_bytes(), other.decrypt.as_bytes());
        assert_eq!(one.decrypt.as_bytes(), other.encrypt.as_bytes());
        assert_ne!(one.encrypt.as_bytes(), one.decrypt.as_bytes());
    }

    #[test]
    fn a_file_and_digits_give_the_same_key() {
        let digits = hex(&counting());
        let lines: Vec<&str> = (0..16).map(|line| &digits[line * 32..][..32]).collect();
        let file = format!(
            "#\n# 2048 bit OpenVPN static key\n#\n-----BEGIN OpenVPN Static key V1-----\n{}\n-----END OpenVPN Static key V1-----\n",
            lines.join("\n")
        );
        assert_eq!(from_file(&file).expect("a key file"), counting());
        let loaded = StaticKey::load(&digits, Cipher::Aes128, Direction::Normal).expect("digits");
        assert_eq!(loaded.bytes, counting());
    }

    #[test]
    fn what_is_no_key_is_refused_with_what_was_expected() {
        for (text, complaint) in [
            ("", "found none"),
            ("-----BEGIN OpenVPN Static key V1-----\n00\n-----END OpenVPN Static key V1-----", "got 2 characters"),
        ] {
            let error = from_file(text).expect_err("no key").to_string();
            assert!(error.contains(complaint), "{error}");
        }
        let error = from_hex(&"0g".repeat(LENGTH)).expect_err("no digit").to_string();
        assert!(error.contains("'g'"), "{error}");
        assert!(StaticKey::load("/nonexistent", Cipher::Aes128, Direction::Normal).is_err());
    }
}
