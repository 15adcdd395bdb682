//! Where the driver runs, and how its device is reached.
//!
//! The shape is that of overlapped I/O on Windows: a request is started, may pend for as long as the driver likes, can be
//! cancelled, and is completed once. The lab offers it over a socket, Windows by `DeviceIoControl` and `CancelIoEx`.

use std::io;
use std::time::Duration;

use crate::status::NtStatus;

pub mod lab;
#[cfg(windows)]
#[expect(unsafe_code, reason = "Windows' I/O is a C interface")]
pub mod windows;

/// One request to an open file.
#[derive(Debug, Clone, Copy)]
pub enum Request<'a> {
    /// `DeviceIoControl`. An empty buffer is a null pointer; `null` makes null pointers of others too.
    Ioctl { code: u32, input: &'a [u8], output: usize, null: Null },
    /// `ReadFile`.
    Read { length: usize },
    /// `WriteFile`.
    Write { bytes: &'a [u8] },
}

/// Which of an ioctl's pointers are null, though a length is given with them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Null {
    /// The input's.
    pub input: bool,
    /// The output's.
    pub output: bool,
}

/// What fills an output buffer before the call: what the driver does not return must be left as it is.
#[cfg(windows)]
const POISON: u8 = 0xA5;

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// Its status.
    pub status: NtStatus,
    /// IoStatus.Information: bytes transferred, as a rule.
    pub information: u64,
    /// What was copied to the caller's buffer.
    pub output: Vec<u8>,
    /// Bytes of the caller's buffer were changed beyond what was returned.
    pub spilled: bool,
}

/// A machine with the driver on it. Its files and requests may be used from several threads.
pub trait Target: Send + Sync {
    /// Opens a device by its NT path. The inner error is the driver's or the I/O manager's refusal.
    fn open(&self, path: &str) -> io::Result<Result<Box<dyn File>, NtStatus>>;

    /// Whether the machine still answers. A driver that breaks a rule takes its lab down.
    fn alive(&self) -> bool {
        true
    }

    /// Whether the adapter's link is up; `None` where that cannot be asked.
    fn link_is_up(&self) -> io::Result<Option<bool>> {
        Ok(None)
    }

    /// Whether null pointers with a length get past the I/O manager, as they do on Windows. Wine refuses them itself.
    fn passes_null(&self) -> bool {
        true
    }
}

/// An open file of a device. Dropping it closes it.
pub trait File: Send + Sync {
    /// Starts a request; it may be complete already.
    fn start(&self, request: Request<'_>) -> io::Result<Box<dyn Pending>>;

    /// Closes the file: the driver's cleanup, cancellation of what is outstanding, and close have run when this returns.
    /// What is started after it ends with INVALID_HANDLE, or is an error.
    fn close(&self) -> io::Result<NtStatus>;
}

/// A request that was started.
pub trait Pending: Send {
    /// Waits for its end, at most for `patience`. `None`: it still pends. It ends once; do not wait again after that.
    fn wait(&mut self, patience: Duration) -> io::Result<Option<Completion>>;

    /// Asks for its cancellation. The request still ends, and still is to be waited for. The status says whether it was
    /// found outstanding.
    fn cancel(&mut self) -> io::Result<NtStatus>;
}
