//! AEAD trait, nonces, key slots, replay window, packet-id limits.
//!
//! A [`Key`] turns a plaintext into a DATA_V2 packet and back. The cipher behind it is an [`Aead`] of the binary's choosing: BCrypt in the
//! Windows driver, OpenSSL in tests and benches. Sealing and opening take `&self` from any number of processors at once, up to
//! DISPATCH_LEVEL: no lock, no allocation, no clock. Per packet they write shared memory only for the packet id (one addition) or the
//! replay window (two atomic updates, the second only if the id is the highest so far). Control-plane items ([`KeySlots`]) say so.
//!
//! With the feature `epoch` a slot holds a [`DataKey`]: a classic [`Key`], or one of OpenVPN 2.7's epoch format ([`epoch`]), over the same
//! [`Aead`] and [`ReplayWindow`]. Without it, `DataKey` is `Key`.
#![no_std]
#![forbid(unsafe_code)]
#![expect(unexpected_cfgs, reason = "cfg(loom) is set by hand to build the models")]
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

extern crate alloc;
#[cfg(test)]
extern crate std;

mod aead;
mod atomic;
#[cfg(feature = "epoch")]
mod data_key;
#[cfg(feature = "epoch")]
pub mod epoch;
mod key;
mod replay;
mod slots;

pub use aead::{Aead, AeadError, NONCE_LEN, Nonce, Tag};
pub use key::{Key, KeyConfig, NonceTail, OpenError, PACKET_ID_LIMIT, SealError};
pub use replay::{EXPIRY_MS, ID_BITS, Replay, ReplayWindow, Window};
pub use slots::{DataKey, KeySlot, KeySlots};
