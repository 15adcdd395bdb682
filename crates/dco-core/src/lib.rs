//! Peers, keepalive, counters and drop reasons: what happens to a packet, without any operating system.
//!
//! # Two planes
//!
//! **Data.** [`Device::enter`] opens a read section on this processor, [`Section::batch`] starts a [`Batch`] in it, and
//! [`Batch::seal`] and [`Batch::open`] turn one packet each. Any number of processors do so at once, at DISPATCH_LEVEL or
//! in a softirq. Nothing here waits, allocates, or takes a lock. Per packet, what processors share is written once: the
//! key's packet id going out, the replay window coming in. Everything else gathers in the batch and is added to shared
//! memory when the batch is dropped.
//!
//! **Control.** The methods of [`Device`] that take `&mut` [`Control`] change peers and keys. The shell calls them one at a
//! time, at PASSIVE_LEVEL: they allocate, and they wait until no batch can still use what they removed. There is one
//! `Control` per device ([`Device::take_control`]), kept in the shell's control mutex, which is how "one at a time" is
//! checked at compile time.
//!
//! Time is an argument, [`Tick`]. What does not fit in memory, a peer that is not there, a packet that cannot be used: each
//! is a value ([`ControlError`], [`DropReason`]); nothing panics.
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

extern crate alloc;
#[cfg(test)]
extern crate std;

mod backlog;
mod batch;
mod control;
mod counters;
mod device;
mod drops;
mod endpoint;
#[cfg(feature = "epoch")]
mod epoch;
mod hash;
mod keepalive;
mod network;
mod peer;
#[cfg(feature = "sockets")]
mod sockets;
mod table;
mod time;

pub use backlog::{Backlog, Sender, Shares};
pub use batch::{Batch, Destination, Opened, Origin, PeerDue, Sealed, SendingKey};
pub use control::{Control, ControlError, NewPeer, PeerUpdate};
pub use counters::DeviceStats;
pub use device::{Device, Mode, Section};
pub use drops::{DropReason, LossClass};
pub use endpoint::Endpoint;
pub use keepalive::KeepaliveDue;
pub use network::Network;
pub use peer::{Peer, PeerSelector, PeerStats};
pub use table::Cursor;
pub use time::Tick;

pub use dco_sync::OutOfMemory;

/// The packet id at which a key should be replaced, where nobody says otherwise: seven eighths of those it has.
pub const REKEY_AT: u32 = dco_crypto::PACKET_ID_LIMIT / 8 * 7;

/// The longest inner packet, in bytes, where the shell does not say otherwise ([`Device::with_max_inner`]): the link's MTU. Longer ones
/// going out are dropped as [`DropReason::TxTooLong`] (the existing driver crashed on them, ovpn-dco-win #40).
pub const MAX_INNER: usize = 1500;

/// The most that sealing adds to a packet, in bytes: with the feature `epoch` what its format adds.
pub const OVERHEAD: usize = if cfg!(feature = "epoch") { dco_wire::EPOCH_OVERHEAD } else { dco_wire::DATA_OVERHEAD };

/// The largest data packet that [`MAX_INNER`] makes, in bytes.
pub const MAX_SEALED: usize = MAX_INNER + OVERHEAD;
