//! Static keys: OpenVPN's file format (`openvpn --genkey secret FILE`), and how a key is cut for the data channel.

use std::path::Path;
use std::str::FromStr;

use anyhow::{Context, Result, bail};
use zeroize::Zeroizing;

/// Bytes of a static key: two keys of a 64-byte cipher field and a 64-byte HMAC field.
const LENGTH: usize = 256;

/// Where a key goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Slot {
    /// The one that is sent with.
    Primary = 0,
    /// The next one, or the last one.
    Secondary = 1,
}

impl FromStr for Slot {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "primary" => Ok(Self::Primary),
            "secondary" => Ok(Self::Secondary),
            _ => Err(format!("expected primary or secondary, got {text:?}")),
        }
    }
}

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

    fn key_length(self) -> usize {
        match self {
            Self::Aes128 => 16,
            Self::Aes192 => 24,
            Self::Aes256 | Self::ChaCha20 => 32,
        }
    }

    /// The interfaces' number for it, on Windows and on Linux.
    pub fn algorithm(self) -> u16 {
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

/// One direction's part of a key.
#[derive(Clone, Copy)]
pub struct Half<'a> {
    /// As long as the cipher wants it.
    pub key: &'a [u8],
    /// The end of each packet's nonce: the beginning of the HMAC field, 8 bytes.
    pub nonce_tail: &'a [u8],
}

/// A key for both directions. Wiped when it is dropped.
pub struct StaticKey {
    bytes: Zeroizing<[u8; LENGTH]>,
    cipher: Cipher,
    direction: Direction,
}

impl StaticKey {
    /// From its 256 bytes.
    pub fn new(bytes: [u8; LENGTH], cipher: Cipher, direction: Direction) -> Self {
        Self { bytes: Zeroizing::new(bytes), cipher, direction }
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

    /// From 512 hexadecimal digits, or else from the file of that name.
    ///
    /// # Errors
    ///
    /// With what was expected, and what came; never with the key.
    pub fn load(argument: &str, cipher: Cipher, direction: Direction) -> Result<Self> {
        let bytes = if argument.len() == 2 * LENGTH && argument.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            from_hex(argument)?
        } else {
            let text = std::fs::read_to_string(Path::new(argument))
                .map(Zeroizing::new)
                .with_context(|| format!("key: expected {} hexadecimal digits or a file", 2 * LENGTH))?;
            from_file(&text).with_context(|| argument.to_owned())?
        };
        Ok(Self { bytes, cipher, direction })
    }

    /// What it is for.
    pub fn cipher(&self) -> Cipher {
        self.cipher
    }

    /// What is encrypted with, and what is decrypted with.
    pub fn halves(&self) -> (Half<'_>, Half<'_>) {
        let (first, second) = self.bytes.split_at(LENGTH / 2);
        match self.direction {
            Direction::Normal => (self.half(first), self.half(second)),
            Direction::Inverse => (self.half(second), self.half(first)),
        }
    }

    /// The secrets that epoch keys are derived from, to encrypt with and to decrypt with: 32 bytes each, whatever the cipher takes.
    pub fn seeds(&self) -> (&[u8], &[u8]) {
        const SEED: usize = 32;
        let (first, second) = self.bytes.split_at(LENGTH / 2);
        let [(first, _), (second, _)] = [first.split_at(SEED), second.split_at(SEED)];
        match self.direction {
            Direction::Normal => (first, second),
            Direction::Inverse => (second, first),
        }
    }

    fn half<'a>(&self, fields: &'a [u8]) -> Half<'a> {
        let (cipher, hmac) = fields.split_at(LENGTH / 4);
        let [(key, _), (nonce_tail, _)] = [cipher.split_at(self.cipher.key_length()), hmac.split_at(8)];
        Half { key, nonce_tail }
    }
}

fn from_file(text: &str) -> Result<Zeroizing<[u8; LENGTH]>> {
    const BEGIN: &str = "-----BEGIN OpenVPN Static key V1-----";
    const END: &str = "-----END OpenVPN Static key V1-----";
    let Some((body, _)) = text.split_once(BEGIN).and_then(|(_, rest)| rest.split_once(END)) else {
        bail!("expected an OpenVPN static key between {BEGIN:?} and {END:?}, found none");
    };
    let mut digits = Zeroizing::new(String::with_capacity(body.len()));
    body.split_whitespace().for_each(|line| digits.push_str(line));
    from_hex(&digits)
}

fn from_hex(text: &str) -> Result<Zeroizing<[u8; LENGTH]>> {
    if text.len() != 2 * LENGTH {
        bail!("expected {} hexadecimal digits, got {} characters", 2 * LENGTH, text.len());
    }
    let mut bytes = Zeroizing::new([0; LENGTH]);
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
    use super::*;

    fn counting() -> [u8; LENGTH] {
        std::array::from_fn(|index| index as u8)
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn a_key_is_cut_as_openvpn_does() {
        let key = StaticKey::new(counting(), Cipher::Aes192, Direction::Inverse);
        let (encrypt, decrypt) = key.halves();
        assert_eq!(encrypt.key, &counting()[128..152]);
        assert_eq!(encrypt.nonce_tail, &counting()[192..200]);
        assert_eq!(decrypt.key, &counting()[..24]);
        assert_eq!(decrypt.nonce_tail, &counting()[64..72]);
    }

    #[test]
    fn a_seed_is_the_cipher_fields_first_half() {
        let key = StaticKey::new(counting(), Cipher::Aes128, Direction::Inverse);
        assert_eq!(key.seeds(), (&counting()[128..160], &counting()[..32]));
    }

    #[test]
    fn the_two_directions_meet() {
        for cipher in Cipher::ALL {
            let [one, other] = [Direction::Normal, Direction::Inverse].map(|side| StaticKey::of_test(7, cipher, side));
            assert_eq!(one.halves().0.key, other.halves().1.key);
            assert_eq!(one.halves().1.nonce_tail, other.halves().0.nonce_tail);
            assert_ne!(one.halves().0.key, one.halves().1.key);
            assert_eq!(cipher.name().to_lowercase().parse(), Ok(cipher));
        }
        assert_eq!(Cipher::ALL.map(Cipher::algorithm), [1, 1, 1, 2]);
    }

    #[test]
    fn a_file_and_digits_give_the_same_key() {
        let digits = hex(&counting());
        let lines: Vec<&str> = (0..16).map(|line| &digits[line * 32..][..32]).collect();
        let file = format!(
            "#\n# 2048 bit OpenVPN static key\n#\n-----BEGIN OpenVPN Static key V1-----\n{}\n-----END OpenVPN Static key V1-----\n",
            lines.join("\n")
        );
        assert_eq!(*from_file(&file).expect("a key file"), counting());
        let loaded = StaticKey::load(&digits, Cipher::Aes128, Direction::Normal).expect("digits");
        assert_eq!(*loaded.bytes, counting());
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
