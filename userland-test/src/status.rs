//! NTSTATUS values, by name.

use std::fmt;

/// What a request ended with.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct NtStatus(pub u32);

macro_rules! statuses {
    ($($name:ident = $value:literal),* $(,)?) => {
        impl NtStatus {
            $(pub const $name: Self = Self($value);)*
        }

        /// The statuses that are spoken of here.
        const NAMED: &[(NtStatus, &str)] = &[$((NtStatus::$name, stringify!($name))),*];
    };
}

statuses! {
    SUCCESS = 0x0000_0000,
    BUFFER_OVERFLOW = 0x8000_0005,
    DEVICE_BUSY = 0x8000_0011,
    INVALID_PARAMETER = 0xC000_000D,
    INVALID_DEVICE_REQUEST = 0xC000_0010,
    ACCESS_DENIED = 0xC000_0022,
    BUFFER_TOO_SMALL = 0xC000_0023,
    INSUFFICIENT_RESOURCES = 0xC000_009A,
    NOT_SUPPORTED = 0xC000_00BB,
    CANCELLED = 0xC000_0120,
    INVALID_ADDRESS = 0xC000_0141,
    INVALID_DEVICE_STATE = 0xC000_0184,
    CONNECTION_DISCONNECTED = 0xC000_020C,
    NOT_FOUND = 0xC000_0225,
    OBJECTID_EXISTS = 0xC000_022B,
    CONNECTION_REFUSED = 0xC000_0236,
    CONNECTION_ABORTED = 0xC000_0241,
    OBJECTID_NOT_FOUND = 0xC000_02F0,
    ALREADY_INITIALIZED = 0xC000_0510,
    INVALID_MESSAGE = 0xC000_0702,
    NO_MEMORY = 0xC000_0017,
}

/// Others that a driver or the I/O manager may come up with.
const OTHERS: &[(NtStatus, &str)] = &[
    (NtStatus(0x0000_0103), "PENDING"),
    (NtStatus(0xC000_0001), "UNSUCCESSFUL"),
    (NtStatus(0xC000_0008), "INVALID_HANDLE"),
    (NtStatus(0xC000_0034), "OBJECT_NAME_NOT_FOUND"),
    (NtStatus(0xC000_009D), "DEVICE_NOT_CONNECTED"),
    (NtStatus(0xC000_0206), "INVALID_BUFFER_SIZE"),
    (NtStatus(0xC000_0207), "INVALID_ADDRESS_COMPONENT"),
    (NtStatus(0xC000_023C), "NETWORK_UNREACHABLE"),
];

impl NtStatus {
    /// NT_SUCCESS: the top bit is clear.
    pub fn is_success(self) -> bool {
        self.0 >> 31 == 0
    }

    /// NT_ERROR: nothing is returned with it.
    pub fn is_error(self) -> bool {
        self.0 >> 30 == 3
    }
}

impl fmt::Display for NtStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMED.iter().chain(OTHERS).find(|(status, _)| status == self) {
            Some((_, name)) => f.write_str(name),
            None => write!(f, "0x{:08X}", self.0),
        }
    }
}

impl fmt::Debug for NtStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn severity_decides_success() {
        assert!(NtStatus::SUCCESS.is_success());
        assert!(NtStatus(0x103).is_success());
        assert!(!NtStatus::BUFFER_OVERFLOW.is_success());
        assert!(!NtStatus::CANCELLED.is_success());
    }

    #[test]
    fn a_value_is_shown_by_its_name_where_it_has_one() {
        assert_eq!(NtStatus(0xC000_02F0).to_string(), "OBJECTID_NOT_FOUND");
        assert_eq!(NtStatus(0xC000_0017).to_string(), "NO_MEMORY");
        assert_eq!(NtStatus(0xC0FF_EE00).to_string(), "0xC0FFEE00");
    }
}
