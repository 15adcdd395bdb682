//! A data key of either format, as a slot holds it.

use crate::aead::Aead;
use crate::epoch::EpochKey;
use crate::key::{Key, OpenError, SealError};
use core::fmt;
use dco_wire::{DATA_HEADER_LEN, KeyId, PeerId};

/// A data key of either format. What it does is said there.
pub enum DataKey<A: Aead> {
    /// The classic one: a 32-bit packet id, the tag before the ciphertext.
    Classic(Key<A>),
    /// The one of epochs.
    Epoch(EpochKey<A>),
}

impl<A: Aead> DataKey<A> {
    /// The classic key, if it is one.
    #[must_use]
    pub const fn classic(&self) -> Option<&Key<A>> {
        match self {
            Self::Classic(key) => Some(key),
            Self::Epoch(_) => None,
        }
    }

    /// The epoch key, if it is one.
    #[must_use]
    pub const fn epoch(&self) -> Option<&EpochKey<A>> {
        match self {
            Self::Classic(_) => None,
            Self::Epoch(key) => Some(key),
        }
    }

    /// As [`EpochKey::wants_keys`]; a classic key wants none.
    #[inline]
    #[must_use]
    pub fn wants_keys(&self) -> bool {
        self.epoch().is_some_and(EpochKey::wants_keys)
    }

    /// As [`Key::key_id`].
    #[inline]
    #[must_use]
    pub const fn key_id(&self) -> Option<KeyId> {
        match self {
            Self::Classic(key) => key.key_id(),
            Self::Epoch(key) => key.key_id(),
        }
    }

    /// As [`Key::header`].
    #[inline]
    #[must_use]
    pub const fn header(&self, peer_id: PeerId) -> [u8; DATA_HEADER_LEN] {
        match self {
            Self::Classic(key) => key.header(peer_id),
            Self::Epoch(key) => key.header(peer_id),
        }
    }

    /// As [`Key::grows_old`] and [`EpochKey::grows_old`].
    #[must_use]
    pub fn grows_old(&self, packet_id: u32) -> bool {
        match self {
            Self::Classic(key) => key.grows_old(packet_id),
            Self::Epoch(key) => key.grows_old(packet_id),
        }
    }

    /// As [`Key::next_packet_id`] and [`EpochKey::next_packet_id`].
    #[must_use]
    pub fn next_packet_id(&self) -> u32 {
        match self {
            Self::Classic(key) => key.next_packet_id(),
            Self::Epoch(key) => key.next_packet_id(),
        }
    }

    /// As [`Key::seal`] and [`EpochKey::seal`].
    ///
    /// # Errors
    ///
    /// See [`SealError`].
    #[inline]
    pub fn seal(&self, peer_id: PeerId, plain: &[u8], out: &mut [u8]) -> Result<usize, SealError> {
        match self {
            Self::Classic(key) => key.seal(peer_id, plain, out),
            Self::Epoch(key) => key.seal(peer_id, plain, out),
        }
    }

    /// As [`Key::seal_in_place`] and [`EpochKey::seal_in_place`].
    ///
    /// # Errors
    ///
    /// See [`SealError`].
    #[inline]
    pub fn seal_in_place(&self, peer_id: PeerId, out: &mut [u8], plain_len: usize) -> Result<usize, SealError> {
        match self {
            Self::Classic(key) => key.seal_in_place(peer_id, out, plain_len),
            Self::Epoch(key) => key.seal_in_place(peer_id, out, plain_len),
        }
    }

    /// As [`Key::open`] and [`EpochKey::open`].
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    #[inline]
    pub fn open(&self, datagram: &[u8], out: &mut [u8], now_ms: u64) -> Result<usize, OpenError> {
        match self {
            Self::Classic(key) => key.open(datagram, out, now_ms),
            Self::Epoch(key) => key.open(datagram, out, now_ms),
        }
    }
}

impl<A: Aead> From<Key<A>> for DataKey<A> {
    fn from(key: Key<A>) -> Self {
        Self::Classic(key)
    }
}

impl<A: Aead> From<EpochKey<A>> for DataKey<A> {
    fn from(key: EpochKey<A>) -> Self {
        Self::Epoch(key)
    }
}

impl<A: Aead> fmt::Debug for DataKey<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Classic(key) => key.fmt(f),
            Self::Epoch(key) => key.fmt(f),
        }
    }
}
