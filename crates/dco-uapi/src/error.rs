//! Why an input is refused.

use crate::status::{self, NtStatus};
use core::mem::size_of;
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

/// Why a request's bytes are refused. [`UapiError::status`] is what the driver completes it with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UapiError {
    /// The buffer is shorter than the structure.
    TooShort {
        /// Bytes the structure has.
        needed: usize,
        /// Bytes the buffer has.
        given: usize,
    },
    /// An address of a family that is neither `AF_INET` (2) nor `AF_INET6` (23).
    BadFamily(u16),
    /// A transport protocol that is neither 0 (UDP) nor 1 (TCP).
    BadProtocol(i32),
    /// A key slot that is neither 0 (primary) nor 1 (secondary).
    BadSlot(i32),
    /// A cipher that is none of 0 (none), 1 (AES-GCM) and 2 (ChaCha20-Poly1305).
    BadAlgorithm(i32),
    /// A key length above 32.
    BadKeyLen(u8),
    /// A packet id that no key reaches.
    BadPacketId(u32),
    /// A mode that is neither 0 (P2P) nor 1 (MP).
    BadMode(i32),
    /// A keepalive time below -1.
    BadInterval(i32),
    /// A route's prefix length outside 0..=32 (IPv4) or 0..=128 (IPv6).
    BadNetbits(i32),
    /// A multi-peer control packet shorter than its address prefix and one byte of payload.
    ShortPrefix,
    /// A multi-peer control packet whose prefix has an unknown family.
    BadPrefixFamily(u16),
}

impl UapiError {
    /// The NTSTATUS the interface gives it.
    ///
    /// Statuses of routes' and intervals' values were not seen in the existing driver; theirs is ours to choose.
    #[must_use]
    pub const fn status(self) -> NtStatus {
        match self {
            Self::TooShort { .. } => status::BUFFER_TOO_SMALL,
            Self::BadFamily(_)
            | Self::BadProtocol(_)
            | Self::BadSlot(_)
            | Self::BadAlgorithm(_)
            | Self::BadKeyLen(_) => status::INVALID_DEVICE_REQUEST,
            Self::BadPacketId(_) | Self::BadMode(_) | Self::BadInterval(_) | Self::BadNetbits(_) => {
                status::INVALID_PARAMETER
            }
            Self::ShortPrefix => status::INVALID_MESSAGE,
            Self::BadPrefixFamily(_) => status::INVALID_ADDRESS,
        }
    }
}

/// The structure at the start of an input, in place.
pub(crate) fn prefix<T: FromBytes + KnownLayout + Immutable + Unaligned>(input: &[u8]) -> Result<&T, UapiError> {
    match T::ref_from_prefix(input) {
        Ok((value, _)) => Ok(value),
        Err(_) => Err(UapiError::TooShort { needed: size_of::<T>(), given: input.len() }),
    }
}
