//! ovpn-dco's ioctl codes and structures, byte-exact.
//!
//! What OpenVPN and the driver agree on, from the bytes alone: this crate opens nothing and keeps nothing. Everything may be called in
//! any context. Input comes from any process that can open the adapter, so nothing here panics, and parsing is the only check a
//! field gets: a parsed value holds nothing out of range.
//!
//! - [`ioctl`]: the codes.
//! - [`raw`]: the structures as they lie in memory, little-endian and without implicit padding; sizes and offsets are asserted.
//! - [`NewPeer`], [`NewKey`], [`SetPeer`] and so on: the same, parsed. An input longer than its structure is accepted, its tail ignored;
//!   a shorter one is [`UapiError::TooShort`].
//! - [`sockaddr`]: `SOCKADDR_IN`/`SOCKADDR_IN6` and the prefix of multi-peer control packets.
//! - [`status`]: the NTSTATUS values the interface uses.
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
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss
    )
)]

pub mod additive;
mod error;
pub mod ioctl;
mod key;
mod peer;
pub mod raw;
mod server;
pub mod sockaddr;
mod stats;
pub mod status;

pub use error::UapiError;
pub use ioctl::Ioctl;
pub use key::{Algorithm, CryptoOptions, KEY_MAX, KeyDirection, NONCE_TAIL_LEN, NewKey, Slot};
pub use peer::{NewPeer, Protocol, SetPeer};
pub use server::{DelReason, Iroute, Mode, MpNewPeer, MpSetPeer, MpStartVpn, Notification, PeerChoice, parse_peer_id};
pub use stats::{DeviceStats, PeerStats, Version};

/// Overwrites a buffer with zeroes in a way the compiler may not leave out: for the request buffer a key came in.
pub fn wipe(secret: &mut [u8]) {
    zeroize::Zeroize::zeroize(secret);
}
