//! OpenVPN's data channel on the wire: opcodes, headers, ping, frames of a stream, IP headers, MSS.
//!
//! Everything here is a pure function of the bytes it is given: no allocation, no clock, no lock. It may be called in any
//! context, at any interrupt level. The bytes come from strangers, so nothing indexes or does arithmetic that could panic; the
//! lints below hold the crate to that.
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::expect_used,
        clippy::panic,
        clippy::unreachable,
        clippy::todo,
        clippy::cast_possible_truncation
    )
)]

mod epoch;
mod header;
pub mod ip;
pub mod mss;
mod opcode;
pub mod stream;

pub use epoch::{EPOCH_AAD_LEN, EPOCH_COUNTER_MAX, EPOCH_OVERHEAD, EPOCH_PACKET_ID_LEN, EpochPacketId};
pub use header::{
    AAD_LEN, Class, DATA_HEADER_LEN, DATA_OVERHEAD, DataHeader, KeyId, PACKET_ID_LEN, PeerId, TAG_LEN, classify,
    plain_len, sealed_len,
};
pub use opcode::{OPCODE_SHIFT, Opcode};

/// The plaintext of a keepalive packet: OpenVPN's `ping_string` (ping.c).
///
/// A data packet whose plaintext is exactly these 16 bytes is a ping, consumed by the receiver. A longer packet that only begins
/// with them is not.
pub const PING: [u8; 16] =
    [0x2a, 0x18, 0x7b, 0xf3, 0x64, 0x1e, 0xb4, 0xcb, 0x07, 0xed, 0x2d, 0x0a, 0x98, 0x1f, 0xc7, 0x48];

/// Whether a decrypted payload is a keepalive packet: all of it, and no longer.
#[inline]
#[must_use]
pub fn is_ping(plain: &[u8]) -> bool {
    plain == PING
}
