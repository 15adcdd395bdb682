//! NTSTATUS as a Rust error.

use nt_sys::NTSTATUS;

/// An NTSTATUS. Success and informational values are not negative.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub struct Status(pub NTSTATUS);

/// Result of a kernel call; the error is never a success status.
pub type Result<T> = core::result::Result<T, Status>;

impl Status {
    /// The operation succeeded.
    pub const SUCCESS: Self = Self(0);
    /// The operation will complete later.
    pub const PENDING: Self = Self(0x103);
    /// More data is available than the buffer holds; what was asked for is in the output (a warning).
    pub const BUFFER_OVERFLOW: Self = raw(0x8000_0005);
    /// The request or the object's state does not allow this operation.
    pub const INVALID_DEVICE_REQUEST: Self = raw(0xC000_0010);
    /// A parameter is out of range.
    pub const INVALID_PARAMETER: Self = raw(0xC000_000D);
    /// A buffer is shorter than the operation needs.
    pub const BUFFER_TOO_SMALL: Self = raw(0xC000_0023);
    /// An allocation failed.
    pub const NO_MEMORY: Self = raw(0xC000_0017);
    /// A pool of the driver's is empty.
    pub const INSUFFICIENT_RESOURCES: Self = raw(0xC000_009A);
    /// The name is taken.
    pub const OBJECT_NAME_COLLISION: Self = raw(0xC000_0035);
    /// The operation is not supported.
    pub const NOT_SUPPORTED: Self = raw(0xC000_00BB);
    /// The object is in use, or the address belongs to another.
    pub const OBJECTID_EXISTS: Self = raw(0xC000_022B);
    /// There is no such thing.
    pub const NOT_FOUND: Self = raw(0xC000_0225);
    /// It was done before.
    pub const ALREADY_INITIALIZED: Self = raw(0xC000_0510);
    /// An address that this socket cannot send to.
    pub const INVALID_ADDRESS: Self = raw(0xC000_0141);
    /// The request was cancelled.
    pub const CANCELLED: Self = raw(0xC000_0120);
    /// The device is not in the state the operation needs.
    pub const INVALID_DEVICE_STATE: Self = raw(0xC000_0184);
    /// The peer went silent.
    pub const CONNECTION_DISCONNECTED: Self = raw(0xC000_020C);
    /// The connection ended.
    pub const CONNECTION_ABORTED: Self = raw(0xC000_0241);
    /// No object has this id.
    pub const OBJECTID_NOT_FOUND: Self = raw(0xC000_02F0);
    /// The network stack has given the socket up.
    pub const FILE_FORCED_CLOSED: Self = raw(0xC000_00B6);
    /// The device is not ready.
    pub const DEVICE_NOT_READY: Self = raw(0xC000_00A3);
    /// Something that cannot happen did.
    pub const INTERNAL_ERROR: Self = raw(0xC000_00E5);
    /// An authentication tag did not match.
    pub const AUTH_TAG_MISMATCH: Self = raw(0xC000_A002);

    /// Whether this is a success or informational status.
    #[must_use]
    pub const fn is_success(self) -> bool {
        self.0 >= 0
    }

    /// Whether this is an error; warnings are none.
    #[must_use]
    pub const fn is_error(self) -> bool {
        self.0.cast_unsigned() >= 0xC000_0000
    }

    /// `Ok` for success and informational statuses.
    ///
    /// # Errors
    /// The status itself, when it is a warning or an error.
    pub const fn ok(self) -> Result<()> {
        if self.is_success() { Ok(()) } else { Err(self) }
    }
}

const fn raw(value: u32) -> Status {
    Status(value.cast_signed())
}

impl From<dco_sync::OutOfMemory> for Status {
    fn from(_: dco_sync::OutOfMemory) -> Self {
        Self::NO_MEMORY
    }
}
