//! File objects and the requests of users: what `NtCreateFile`, `NtDeviceIoControlFile` and their kin do.
use crate::nt::FILE_OBJECT;
/// Whether the pointer is a live file object.
///
/// # Safety
/// `f` is null or readable for a pool header before it.
#[must_use]
pub unsafe fn is_file(_f: *const FILE_OBJECT) -> bool { false }
