//! The DATA_V2 packet of OpenVPN's epoch format.
//!
//! | bytes | what |
//! |---|---|
//! | 0..4 | as in the classic format: opcode, key-id, peer-id |
//! | 4..12 | packet id, big-endian: 16 bits of epoch, 48 bits of counter |
//! | 12..n-16 | ciphertext |
//! | n-16..n | AEAD tag |

use crate::header::{DATA_HEADER_LEN, TAG_LEN};

/// Bytes of the packet id.
pub const EPOCH_PACKET_ID_LEN: usize = 8;
/// Bytes the tag covers besides the plaintext: header and packet id.
pub const EPOCH_AAD_LEN: usize = DATA_HEADER_LEN + EPOCH_PACKET_ID_LEN;
/// What a data packet adds to its plaintext: header, packet id and tag.
pub const EPOCH_OVERHEAD: usize = EPOCH_AAD_LEN + TAG_LEN;

/// The highest counter of an epoch.
pub const EPOCH_COUNTER_MAX: u64 = (1 << COUNTER_BITS) - 1;

const COUNTER_BITS: u32 = 48;

/// A packet id of the epoch format. Both parts begin at 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
pub struct EpochPacketId {
    /// Which key.
    pub epoch: u16,
    /// Which packet under it, at most [`EPOCH_COUNTER_MAX`].
    pub counter: u64,
}

impl EpochPacketId {
    /// Reads it as it came over the wire. Zeroes are read too: they are for the caller to refuse.
    #[inline]
    #[must_use]
    pub const fn from_bytes(bytes: [u8; EPOCH_PACKET_ID_LEN]) -> Self {
        let [e0, e1, ..] = bytes;
        Self { epoch: u16::from_be_bytes([e0, e1]), counter: u64::from_be_bytes(bytes) & EPOCH_COUNTER_MAX }
    }

    /// The id as it goes over the wire; of the counter its low 48 bits.
    #[inline]
    #[must_use]
    pub const fn to_bytes(self) -> [u8; EPOCH_PACKET_ID_LEN] {
        ((self.epoch as u64) << COUNTER_BITS | self.counter & EPOCH_COUNTER_MAX).to_be_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_sixteen_bits_of_epoch_and_forty_eight_of_counter() {
        let id = EpochPacketId { epoch: 0x1234, counter: 0x5678_9abc_def0 };
        assert_eq!(id.to_bytes(), [0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0]);
        assert_eq!(EpochPacketId::from_bytes(id.to_bytes()), id);
        assert_eq!(EpochPacketId { epoch: 1, counter: 1 }.to_bytes(), [0, 1, 0, 0, 0, 0, 0, 1]);
    }

    #[test]
    fn the_edges_round_trip_and_a_counter_does_not_reach_into_the_epoch() {
        for epoch in [0, 1, 0x00ff, 0x0100, 0xfffa, 0xffff] {
            for counter in [0, 1, 0xffff_ffff, 1 << 32, EPOCH_COUNTER_MAX] {
                let id = EpochPacketId { epoch, counter };
                assert_eq!(EpochPacketId::from_bytes(id.to_bytes()), id);
            }
        }
        let over = EpochPacketId { epoch: 1, counter: EPOCH_COUNTER_MAX + 2 };
        assert_eq!(over.to_bytes(), [0, 1, 0, 0, 0, 0, 0, 1]);
    }

    #[test]
    fn lengths() {
        assert_eq!((EPOCH_PACKET_ID_LEN, EPOCH_AAD_LEN, EPOCH_OVERHEAD), (8, 12, 28));
        assert_eq!(EPOCH_COUNTER_MAX, 0xffff_ffff_ffff);
    }
}
