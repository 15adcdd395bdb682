//! Where the driver runs, and how its device is reached.
//!
//! The shape is that of overlapped I/O on Windows: a request is started, may pend for as long as the driver likes, can be
//! cancelled, and is completed once. The lab offers it over a socket; a Windows target would offer it over
//! `DeviceIoControl` and `CancelIoEx`.

use std::io;
use std::time::Duration;

use crate::status::NtStatus;

pub mod lab;

/// One request to an open file.
#[derive(Debug, Clone, Copy)]
pub enum Request<'a> {
    /// `DeviceIoControl`. `None` stands for a null pointer.
    Ioctl { code: u32, input: Option<&'a [u8]>, output: usize },
    /// `ReadFile`.
    Read { length: usize },
    /// `WriteFile`.
    Write { bytes: &'a [u8] },
}

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// Its status.
    pub status: NtStatus,
    /// IoStatus.Information: bytes transferred, as a rule.
    pub information: u64,
    /// What was copied to the caller's buffer.
    pub output: Vec<u8>,
}

/// A machine with the driver on it.
pub trait Target {
    /// Opens a device by its NT path. The inner error is the driver's or the I/O manager's refusal.
    fn open(&self, path: &str) -> io::Result<Result<Box<dyn File>, NtStatus>>;
}

/// An open file of a device. Dropping it closes it, without waiting.
pub trait File {
    /// Starts a request; it may be complete already.
    fn start(&self, request: Request<'_>) -> io::Result<Box<dyn Pending>>;

    /// Closes the file: the driver's cleanup, cancellation of what is outstanding, and close have run when this returns.
    fn close(self: Box<Self>) -> io::Result<NtStatus>;
}

/// A request that was started.
pub trait Pending {
    /// Waits for its end, at most for `patience`. `None`: it still pends. It ends once; do not wait again after that.
    fn wait(&mut self, patience: Duration) -> io::Result<Option<Completion>>;

    /// Asks for its cancellation. The request still ends, and still is to be waited for. The status says whether it was
    /// found outstanding.
    fn cancel(&mut self) -> io::Result<NtStatus>;
}
