//! The DATA_V2 packet's first 24 bytes and what a datagram is by its first byte.
//!
//! | bytes | what |
//! |---|---|
//! | 0..4 | big-endian: opcode 9 in the top 5 bits, key-id in 3, peer-id in 24 |
//! | 4..8 | packet id, big-endian |
//! | 8..24 | AEAD tag |
//! | 24.. | ciphertext |

use crate::opcode::{OPCODE_SHIFT, Opcode};

/// Bytes of the AEAD tag.
pub const TAG_LEN: usize = 16;
/// Bytes of opcode, key-id and peer-id.
pub const DATA_HEADER_LEN: usize = 4;
/// Bytes of the packet id.
pub const PACKET_ID_LEN: usize = 4;
/// Bytes the tag covers besides the plaintext: header and packet id.
pub const AAD_LEN: usize = DATA_HEADER_LEN + PACKET_ID_LEN;
/// What a data packet adds to its plaintext: header, packet id and tag.
pub const DATA_OVERHEAD: usize = AAD_LEN + TAG_LEN;

const KEY_ID_MASK: u8 = 0b111;
const PEER_ID_MASK: u32 = 0x00ff_ffff;
const DATA_FIRST_BYTE: u8 = Opcode::DataV2.number() << OPCODE_SHIFT;

/// Bytes of the data packet that carries `plain` bytes; `None` if that is not a length.
#[inline]
#[must_use]
pub const fn sealed_len(plain: usize) -> Option<usize> {
    plain.checked_add(DATA_OVERHEAD)
}

/// Bytes of plaintext in a data packet of `datagram` bytes; `None` if it is too short to be one.
#[inline]
#[must_use]
pub const fn plain_len(datagram: usize) -> Option<usize> {
    datagram.checked_sub(DATA_OVERHEAD)
}

/// Which key a packet is under: 0 to 7, as OpenVPN counts its key negotiations.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
pub struct KeyId(u8);

impl KeyId {
    /// A key-id; `None` above 7, which the header has no room for.
    #[inline]
    #[must_use]
    pub const fn new(id: u8) -> Option<Self> {
        if id <= KEY_ID_MASK { Some(Self(id)) } else { None }
    }

    /// The key-id made of the low three bits.
    #[inline]
    #[must_use]
    pub const fn from_low_bits(bits: u8) -> Self {
        Self(bits & KEY_ID_MASK)
    }

    /// 0 to 7.
    #[inline]
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// Which peer a packet belongs to: 24 bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
pub struct PeerId(u32);

impl PeerId {
    /// The id that says "none given yet" on the wire.
    pub const UNDEFINED: Self = Self(PEER_ID_MASK);

    /// The peer-id made of the low 24 bits, as the header carries it.
    #[inline]
    #[must_use]
    pub const fn from_low_bits(bits: u32) -> Self {
        Self(bits & PEER_ID_MASK)
    }

    /// 0 to 0xFF_FFFF.
    #[inline]
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// The first four bytes of a DATA_V2 packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct DataHeader {
    /// The key it is sealed under.
    pub key_id: KeyId,
    /// The peer it is addressed to or comes from.
    pub peer_id: PeerId,
}

impl DataHeader {
    /// Reads the header at the start of a datagram. `None` if there are fewer than four bytes or the opcode is not DATA_V2.
    #[inline]
    #[must_use]
    pub const fn parse(datagram: &[u8]) -> Option<Self> {
        match datagram.first_chunk() {
            Some(&bytes) => Self::from_bytes(bytes),
            None => None,
        }
    }

    /// Reads the header from its four bytes. `None` if the opcode is not DATA_V2.
    #[inline]
    #[must_use]
    pub const fn from_bytes(bytes: [u8; DATA_HEADER_LEN]) -> Option<Self> {
        let [first, ..] = bytes;
        if first >> OPCODE_SHIFT != Opcode::DataV2.number() {
            return None;
        }
        Some(Self { key_id: KeyId::from_low_bits(first), peer_id: PeerId::from_low_bits(u32::from_be_bytes(bytes)) })
    }

    /// The header as it goes on the wire.
    #[inline]
    #[must_use]
    pub const fn to_bytes(self) -> [u8; DATA_HEADER_LEN] {
        let [_, a, b, c] = self.peer_id.0.to_be_bytes();
        [DATA_FIRST_BYTE | self.key_id.0, a, b, c]
    }
}

/// What a received datagram is, by its first four bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// DATA_V2: the driver's. It may still be too short to open.
    Data(DataHeader),
    /// Anything else, DATA_V1 and unknown opcodes included: userspace's.
    Control,
    /// Fewer than four bytes: dropped.
    TooShort,
}

/// Sorts a datagram by its opcode.
#[inline]
#[must_use]
pub const fn classify(datagram: &[u8]) -> Class {
    match datagram.first_chunk() {
        None => Class::TooShort,
        Some(&bytes) => match DataHeader::from_bytes(bytes) {
            Some(header) => Class::Data(header),
            None => Class::Control,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_as_written() {
        let header = DataHeader { key_id: KeyId::new(5).expect("in range"), peer_id: PeerId::from_low_bits(0x76706e) };
        assert_eq!(header.to_bytes(), [0x4d, 0x76, 0x70, 0x6e]);
        assert_eq!(DataHeader::parse(&[0x4d, 0x76, 0x70, 0x6e, 0, 0]), Some(header));
    }

    #[test]
    fn every_key_id_and_some_peer_ids_round_trip() {
        for key in 0..8 {
            for peer in [0, 1, 0xff, 0x100, 0xffff, 0x1_0000, 0xff_fffe, 0xff_ffff] {
                let header =
                    DataHeader { key_id: KeyId::new(key).expect("in range"), peer_id: PeerId::from_low_bits(peer) };
                assert_eq!(DataHeader::from_bytes(header.to_bytes()), Some(header));
                assert_eq!(header.peer_id.get(), peer);
            }
        }
    }

    #[test]
    fn ids_are_cut_to_their_bits() {
        assert_eq!(KeyId::new(8), None);
        assert_eq!(KeyId::new(255), None);
        assert_eq!(PeerId::from_low_bits(u32::MAX), PeerId::UNDEFINED);
        assert_eq!(PeerId::from_low_bits(0x0100_0001).get(), 1);
    }

    #[test]
    fn all_first_bytes_are_classified() {
        for first in 0..=255u8 {
            let class = classify(&[first, 1, 2, 3]);
            if first >> 3 == 9 {
                let header =
                    DataHeader { key_id: KeyId::from_low_bits(first), peer_id: PeerId::from_low_bits(0x01_0203) };
                assert_eq!(class, Class::Data(header));
            } else {
                assert_eq!(class, Class::Control);
            }
        }
    }

    #[test]
    fn fewer_than_four_bytes_are_too_short() {
        for datagram in [&[][..], &[0x48], &[0x48, 0], &[0x48, 0, 0], &[0x38, 0, 0]] {
            assert_eq!(classify(datagram), Class::TooShort);
            assert_eq!(DataHeader::parse(datagram), None);
        }
    }

    #[test]
    fn lengths() {
        assert_eq!((TAG_LEN, DATA_HEADER_LEN, PACKET_ID_LEN, AAD_LEN, DATA_OVERHEAD), (16, 4, 4, 8, 24));
        assert_eq!(sealed_len(1500), Some(1524));
        assert_eq!(sealed_len(usize::MAX), None);
        assert_eq!(plain_len(23), None);
        assert_eq!(plain_len(24), Some(0));
    }
}
