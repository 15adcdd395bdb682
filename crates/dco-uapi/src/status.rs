//! The NTSTATUS values of the interface, with the Win32 error that a user of `DeviceIoControl` sees.

/// An NTSTATUS: negative for an error, as Windows types it.
pub type NtStatus = i32;

/// The bits of an NTSTATUS as Microsoft writes them.
const fn nt(bits: u32) -> NtStatus {
    NtStatus::from_ne_bytes(bits.to_ne_bytes())
}

/// Success.
pub const SUCCESS: NtStatus = 0;
/// The request waits; it is completed later. `ERROR_IO_PENDING` (997).
pub const PENDING: NtStatus = nt(0x0000_0103);
/// More data than the buffer holds; part was returned. `ERROR_MORE_DATA` (234).
pub const BUFFER_OVERFLOW: NtStatus = nt(0x8000_0005);
/// An argument out of range. `ERROR_INVALID_PARAMETER` (87).
pub const INVALID_PARAMETER: NtStatus = nt(0xC000_000D);
/// No such code, or not for this peer or device. `ERROR_INVALID_FUNCTION` (1): OpenVPN falls back to an older ioctl on it.
pub const INVALID_DEVICE_REQUEST: NtStatus = nt(0xC000_0010);
/// No memory. `ERROR_NOT_ENOUGH_MEMORY` (8).
pub const NO_MEMORY: NtStatus = nt(0xC000_0017);
/// A second open of the adapter. `ERROR_ACCESS_DENIED` (5).
pub const ACCESS_DENIED: NtStatus = nt(0xC000_0022);
/// Input or output shorter than the structure. `ERROR_INSUFFICIENT_BUFFER` (122).
pub const BUFFER_TOO_SMALL: NtStatus = nt(0xC000_0023);
/// A pool ran dry. `ERROR_NO_SYSTEM_RESOURCES` (1450).
pub const INSUFFICIENT_RESOURCES: NtStatus = nt(0xC000_009A);
/// The request was cancelled. `ERROR_OPERATION_ABORTED` (995).
pub const CANCELLED: NtStatus = nt(0xC000_0120);
/// A control packet for an address of an unknown family. `ERROR_UNEXP_NET_ERR` (59).
pub const INVALID_ADDRESS: NtStatus = nt(0xC000_0141);
/// Not in this mode, or before there is a socket. `ERROR_BAD_COMMAND` (22).
pub const INVALID_DEVICE_STATE: NtStatus = nt(0xC000_0184);
/// The peer's keepalive expired. `ERROR_NETNAME_DELETED` (64).
pub const CONNECTION_DISCONNECTED: NtStatus = nt(0xC000_020C);
/// No such peer or route to delete. `ERROR_NOT_FOUND` (1168).
pub const NOT_FOUND: NtStatus = nt(0xC000_0225);
/// The peer id is taken. `ERROR_OBJECT_ALREADY_EXISTS` (5010).
pub const OBJECTID_EXISTS: NtStatus = nt(0xC000_022B);
/// A TCP transport was closed by the other end. `ERROR_CONNECTION_ABORTED` (1236).
pub const CONNECTION_ABORTED: NtStatus = nt(0xC000_0241);
/// No such peer. `ERROR_FILE_NOT_FOUND` (2).
pub const OBJECTID_NOT_FOUND: NtStatus = nt(0xC000_02F0);
/// Multi-peer mode, or its socket, is there already. `ERROR_ALREADY_INITIALIZED` (1247).
pub const ALREADY_INITIALIZED: NtStatus = nt(0xC000_0510);
/// A control packet shorter than its address prefix. `ERROR_INVALID_PARAMETER` (87).
pub const INVALID_MESSAGE: NtStatus = nt(0xC000_0702);
