//! What becomes of each kind of IRP. Runs in Wine's one dispatch thread.

use crate::link::Link;
use crate::sys::irp::{Action, FileKey, Irp};
use crate::sys::{log, status};
use crate::wire::{Request, Response};

/// Waits for a TCP connect; OpenVPN passes an OVERLAPPED with it and polls.
const NEW_PEER: u32 = 0x22_0004;
/// Waits for an event; OpenVPN passes an OVERLAPPED with it.
const NOTIFY_EVENT: u32 = 0x22_0038;
/// Waits for an event, of this driver's own; dco-cli passes an OVERLAPPED with it.
const KEY_EVENT: u32 = 0x22_200C;

/// Wine's socket calls are ioctls too, which reach any driver whose handle is taken for a socket; OpenVPN does so with
/// getsockname. Windows asks no driver, and says that the handle is no socket.
const AFD_DEVICE: u32 = 0x12;
const AFD_SHIFT: u32 = 12;

const FILE_OPENED: u64 = 1;

/// GENERIC_READ | GENERIC_WRITE: Wine does not tell a driver what access was asked for.
const ACCESS: u32 = 0xC000_0000;

/// The driver's global state.
pub struct Bridge {
    link: Link,
    paths: &'static [&'static str],
}

impl Bridge {
    /// A bridge whose devices, by their index, are known to the lab by `paths`.
    pub const fn new(paths: &'static [&'static str]) -> Self {
        Self { link: Link::new(), paths }
    }

    /// Sets the lab's port; before the first open.
    pub fn set_port(&self, port: u16) {
        self.link.set_port(port);
    }

    /// Ends the connection to the lab, which closes all files there.
    pub fn stop(&self) {
        self.link.disconnect();
    }

    /// Asks the lab to cancel the request that was sent with this id.
    pub fn cancel(&self, id: u64) {
        self.link.cancel(id);
    }

    /// Completes the IRP, or leaves it pending for the receiver thread. Returns what the dispatch routine has to.
    pub fn dispatch(&'static self, irp: Irp) -> i32 {
        match irp.action() {
            Action::Create { device, share } => self.create(irp, device, share),
            Action::Close => self.close(irp),
            // Wine sends none, but were one to come, the close that follows it does what there is to do.
            Action::Cleanup => irp.complete(&Response::of(status::SUCCESS)),
            Action::Ioctl { code, .. } if code >> AFD_SHIFT == AFD_DEVICE => {
                irp.complete(&Response::of(status::OBJECT_TYPE_MISMATCH))
            }
            Action::Ioctl { code, in_len, out_len } => {
                let input = irp.input(in_len);
                let request = |file| Request::Ioctl { file, code, out_len, input: &input };
                if matches!(code, NEW_PEER | NOTIFY_EVENT | KEY_EVENT) {
                    self.pend(irp, request)
                } else {
                    self.call(irp, request)
                }
            }
            Action::Read { len } => self.pend(irp, |file| Request::Read { file, len }),
            Action::Write { len } => {
                let data = irp.input(len);
                self.pend(irp, |file| Request::Write { file, data: &data })
            }
            Action::Other => irp.complete(&Response::of(status::INVALID_DEVICE_REQUEST)),
        }
    }

    /// Wine's CreateFile succeeds before the driver has even seen the create, and never learns how it ended. So if it
    /// failed, as a second open of the exclusive device does, each request on the file ends with that status.
    fn create(&'static self, irp: Irp, device: usize, share: u32) -> i32 {
        let (response, key) = match (self.paths.get(device), self.link.connect()) {
            (Some(path), Some(generation)) => {
                let response = self.link.call(generation, &Request::Open { access: ACCESS, share, path });
                let file = response.information;
                let opened = response.status >= 0;
                let key = if opened { Ok(FileKey { generation, file }) } else { Err(response.status) };
                // The file's number is between the lab and the bridge; a create's own information is FILE_OPENED.
                (Response { information: FILE_OPENED, ..response }, key)
            }
            _ => (Response::of(status::DEVICE_NOT_CONNECTED), Err(status::DEVICE_NOT_CONNECTED)),
        };
        if let Err(status) = key {
            let path = self.paths.get(device).unwrap_or(&"?");
            log(format_args!("open of {path} failed: {status:#x}"));
        }
        irp.set_file_key(key);
        irp.complete(&response)
    }

    fn close(&self, irp: Irp) -> i32 {
        // A file whose connection is gone has been closed by the lab with it.
        if let Ok(FileKey { generation, file }) = irp.file_key() {
            self.link.call(generation, &Request::Close { file });
        }
        irp.complete(&Response::of(status::SUCCESS))
    }

    /// OpenVPN passes no OVERLAPPED with most ioctls, on a handle opened for overlapped I/O. Windows waits then; Wine
    /// returns ERROR_IO_PENDING, an error to OpenVPN. So these end inside the dispatch routine.
    fn call<'a>(&'static self, irp: Irp, request: impl FnOnce(u64) -> Request<'a>) -> i32 {
        let response = match irp.file_key() {
            Ok(FileKey { generation, file }) => self.link.call(generation, &request(file)),
            Err(status) => Response::of(status),
        };
        irp.complete(&response)
    }

    fn pend<'a>(&'static self, irp: Irp, request: impl FnOnce(u64) -> Request<'a>) -> i32 {
        match irp.file_key() {
            Ok(FileKey { generation, file }) => {
                let irp = irp.mark_pending();
                self.link.submit(generation, &request(file), irp);
                status::PENDING
            }
            Err(status) => irp.complete(&Response::of(status)),
        }
    }
}
