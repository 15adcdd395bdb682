//! Static keys, as NEW_KEY takes them.

pub use dco_cli_base::key::{Cipher, Direction, Half, Slot, StaticKey};
use dco_uapi::raw;

/// NEW_KEY's input.
pub fn request(key: &StaticKey, slot: Slot, key_id: u8, peer_id: u32) -> raw::CryptoData {
    let (encrypt, decrypt) = key.halves();
    raw::CryptoData {
        encrypt: direction(encrypt),
        decrypt: direction(decrypt),
        _padding: [0; 2],
        slot: (slot as i32).into(),
        alg: i32::from(key.cipher().algorithm()).into(),
        key_id,
        _padding2: [0; 3],
        peer_id: peer_id.cast_signed().into(),
    }
}

/// NEW_KEY_V2's bit for epoch keys.
pub const EPOCH: u32 = 1 << 1;

/// NEW_KEY_V2's input for an epoch key: both fields full of secret, whatever the cipher's key length beside them.
pub fn epoch_request(key: &StaticKey, slot: Slot, key_id: u8, peer_id: u32) -> raw::CryptoDataV2 {
    let mut v1 = request(key, slot, key_id, peer_id);
    let (encrypt, decrypt) = key.seeds();
    v1.encrypt.key.copy_from_slice(encrypt);
    v1.decrypt.key.copy_from_slice(decrypt);
    raw::CryptoDataV2 { v1, crypto_options: EPOCH.into() }
}

fn direction(half: Half<'_>) -> raw::KeyDirection {
    let mut direction = raw::KeyDirection { key: [0; 32], key_len: half.key.len() as u8, nonce_tail: [0; 8] };
    direction.key[..half.key.len()].copy_from_slice(half.key);
    direction.nonce_tail.copy_from_slice(half.nonce_tail);
    direction
}

#[cfg(test)]
mod tests {
    use zerocopy::IntoBytes;

    use super::*;

    #[test]
    fn a_request_is_laid_out_as_openvpn_does() {
        let counting: [u8; 256] = std::array::from_fn(|index| index as u8);
        let key = StaticKey::new(counting, Cipher::Aes192, Direction::Inverse);
        let request = request(&key, Slot::Secondary, 5, 0x00AB_CDEF);
        let bytes = request.as_bytes();
        assert_eq!(bytes.len(), 100);
        assert_eq!(bytes[..24], counting[128..152]);
        assert_eq!(bytes[24..32], [0; 8], "no more of the key than the cipher takes");
        assert_eq!(bytes[32], 24);
        assert_eq!(bytes[33..41], counting[192..200]);
        assert_eq!(bytes[41..65], counting[..24]);
        assert_eq!(bytes[74..82], counting[64..72]);
        assert_eq!(bytes[84..], [1, 0, 0, 0, 1, 0, 0, 0, 5, 0, 0, 0, 0xEF, 0xCD, 0xAB, 0]);
    }

    #[test]
    fn an_epoch_key_is_a_whole_seed() {
        let counting: [u8; 256] = std::array::from_fn(|index| index as u8);
        let key = StaticKey::new(counting, Cipher::Aes128, Direction::Normal);
        let request = epoch_request(&key, Slot::Primary, 0, 1);
        let bytes = request.as_bytes();
        assert_eq!((bytes.len(), &bytes[..33]), (104, [&counting[..32], &[16]].concat().as_slice()));
        assert_eq!(bytes[41..74], [&counting[128..160], &[16]].concat());
        assert_eq!(bytes[100..], [2, 0, 0, 0]);
    }

    #[test]
    fn chacha_has_its_own_number() {
        let key = StaticKey::of_test(1, Cipher::ChaCha20, Direction::Normal);
        let request = request(&key, Slot::Primary, 0, 0);
        assert_eq!((request.alg.get(), request.encrypt.key_len), (2, 32));
    }
}
