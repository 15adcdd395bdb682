//! Epoch keys: OpenVPN's data format whose keys both ends derive, an epoch after the other (docs/epoch.md).
//!
//! - [`EpochSecret`]: the chain of secrets, and what comes of each.
//! - [`EpochKey`]: a data key in this format, a snapshot that never changes; [`EpochKey::refilled`] makes its successor, at PASSIVE_LEVEL.
//! - [`Receiving`]: which epochs are current, retiring, retired: all that readers change.

mod derive;
mod key;
mod receiving;

pub use derive::{EPOCH_SECRET_LEN, EpochSecret};
pub use key::{EpochConfig, EpochKey, Purpose, UsageLimit};
pub use receiving::{Place, Receiving};

/// How many epochs above the current one are opened.
pub const FUTURE_EPOCHS: u16 = 4;

/// The last epoch. A receiver refuses any above, for want of room for future ones; so no sender goes there.
pub const LAST_EPOCH: u16 = u16::MAX - FUTURE_EPOCHS - 1;
