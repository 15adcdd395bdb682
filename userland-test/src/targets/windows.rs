//! The driver of this very Windows: overlapped I/O on its device.
//!
//! A status is the driver's own, not Win32's rendering of it, which many share: of a call that ended at once from the
//! thread's last NTSTATUS, of one that pended from its OVERLAPPED.

use std::ffi::c_void;
use std::io;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::pin::Pin;
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use dco_uapi::Ioctl;
use windows_sys::Win32::Devices::DeviceAndDriverInstallation::{
    CM_GET_DEVICE_INTERFACE_LIST_PRESENT, CM_Get_Device_Interface_List_SizeW, CM_Get_Device_Interface_ListW, CR_SUCCESS,
};
use windows_sys::Win32::Foundation::{
    ERROR_IO_PENDING, ERROR_NOT_FOUND, GENERIC_READ, GENERIC_WRITE, GetLastError, HANDLE, INVALID_HANDLE_VALUE,
    WAIT_OBJECT_0, WAIT_TIMEOUT,
};
use windows_sys::Win32::Storage::FileSystem::{CreateFileW, FILE_FLAG_OVERLAPPED, OPEN_EXISTING, ReadFile, WriteFile};
use windows_sys::Win32::System::IO::{CancelIoEx, DeviceIoControl, OVERLAPPED};
use windows_sys::Win32::System::LibraryLoader::{GetModuleHandleW, GetProcAddress};
use windows_sys::Win32::System::Threading::{CreateEventW, WaitForSingleObject};
use windows_sys::core::GUID;

use super::{Completion, File, Null, POISON, Pending, Request, Target};
use crate::device::ADAPTER;
use crate::status::NtStatus;

/// GUID_DEVINTERFACE_NET.
static DEVINTERFACE_NET: GUID = GUID::from_u128(0xCAC8_8484_7515_4C03_82E6_71A8_7ABA_C361);

/// The reference string of the driver's interface, the last part of its path.
const REFERENCE: &str = "ovpn-dco";

/// How long the I/O manager may take to let go of an exclusive device whose handle was closed, and a cancelled request to end.
const PATIENCE: Duration = Duration::from_secs(10);

#[link(name = "ntdll", kind = "raw-dylib")]
unsafe extern "system" {
    /// The NTSTATUS behind the calling thread's last failed Win32 call.
    safe fn RtlGetLastNtStatus() -> i32;
}

/// This machine.
pub struct Windows {
    /// Handles of the adapter's device that are open in this process.
    adapters: Arc<AtomicUsize>,
    wine: bool,
}

impl Windows {
    /// Nothing is opened yet.
    pub fn new() -> Self {
        Self { adapters: Arc::default(), wine: is_wine() }
    }

    /// Wine's CreateFile succeeds before the driver has been asked; how that ended is what the first request ends with.
    fn opened(&self, handle: OwnedHandle) -> Result<OwnedHandle, NtStatus> {
        if !self.wine {
            return Ok(handle);
        }
        let file = OpenFile::new(handle, None);
        let request = Request::Ioctl { code: Ioctl::GetVersion.code(), input: &[], output: 12, null: Null::default() };
        let asked = file.start(request).and_then(|mut asked| asked.wait(PATIENCE));
        let handle = file.file.handle.write().unwrap_or_else(PoisonError::into_inner).take();
        match (asked, handle) {
            (Ok(Some(Completion { status: NtStatus::SUCCESS, .. })), Some(handle)) => Ok(handle),
            (Ok(Some(completion)), _) => Err(completion.status),
            _ => Err(NtStatus(0xC000_0001)),
        }
    }

    /// The paths to try, in order.
    fn paths(&self, path: &str) -> io::Result<Vec<Vec<u16>>> {
        let short = wide(&path.replacen(r"\??\", r"\\.\", 1));
        if path != ADAPTER || self.wine {
            return Ok(vec![short]);
        }
        let mut paths = interfaces()?;
        // The short name belongs to the first adapter, whose interface is among the others if it has one.
        paths.push(short);
        Ok(paths)
    }
}

impl Target for Windows {
    fn open(&self, path: &str) -> io::Result<Result<Box<dyn File>, NtStatus>> {
        let began = Instant::now();
        let adapter = path == ADAPTER;
        loop {
            let mut refusal = NtStatus::SUCCESS;
            for path in self.paths(path)? {
                match create(&path).and_then(|handle| self.opened(handle)) {
                    Ok(handle) => {
                        let open = adapter.then(|| Counted::new(&self.adapters));
                        return Ok(Ok(Box::new(OpenFile::new(handle, open))));
                    }
                    // Held by somebody: says more than that another name is not there.
                    Err(NtStatus::ACCESS_DENIED) => refusal = NtStatus::ACCESS_DENIED,
                    Err(status) if refusal == NtStatus::SUCCESS => refusal = status,
                    Err(_) => {}
                }
            }
            // An exclusive device is free when the last reference to its file object is gone, a little after CloseHandle.
            let ours = self.adapters.load(Ordering::Acquire);
            if !adapter || refusal != NtStatus::ACCESS_DENIED || ours != 0 || began.elapsed() > PATIENCE {
                return Ok(Err(refusal));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn passes_null(&self) -> bool {
        !self.wine
    }
}

/// Whether this Windows is Wine, which answers some calls before the driver has.
fn is_wine() -> bool {
    let name = wide("ntdll.dll");
    // SAFETY: the name is zero-terminated and outlives the call. No reference is taken; ntdll stays.
    let ntdll = unsafe { GetModuleHandleW(name.as_ptr()) };
    // SAFETY: a loaded module's handle, or null, which is refused; the name is zero-terminated.
    unsafe { GetProcAddress(ntdll, c"wine_get_version".as_ptr().cast()) }.is_some()
}

fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().chain([0]).collect()
}

/// The paths of all adapters of this driver that are present, zero-terminated.
fn interfaces() -> io::Result<Vec<Vec<u16>>> {
    let mut length = 0;
    // SAFETY: writes one u32; the GUID outlives the call; no device id is given.
    let result = unsafe {
        CM_Get_Device_Interface_List_SizeW(
            &raw mut length,
            &raw const DEVINTERFACE_NET,
            null(),
            CM_GET_DEVICE_INTERFACE_LIST_PRESENT,
        )
    };
    configured("CM_Get_Device_Interface_List_Size", result)?;
    let mut list = vec![0u16; length as usize];
    // SAFETY: the list has room for the `length` units that the call is told.
    let result = unsafe {
        CM_Get_Device_Interface_ListW(
            &raw const DEVINTERFACE_NET,
            null(),
            list.as_mut_ptr(),
            length,
            CM_GET_DEVICE_INTERFACE_LIST_PRESENT,
        )
    };
    configured("CM_Get_Device_Interface_List", result)?;
    let ours = |path: &&[u16]| String::from_utf16_lossy(path).rsplit('\\').next() == Some(REFERENCE);
    Ok(list.split(|&unit| unit == 0).filter(ours).map(|path| path.iter().copied().chain([0]).collect()).collect())
}

fn configured(call: &str, result: u32) -> io::Result<()> {
    match result {
        CR_SUCCESS => Ok(()),
        result => Err(io::Error::other(format!("{call}: CONFIGRET 0x{result:X}"))),
    }
}

fn create(path: &[u16]) -> Result<OwnedHandle, NtStatus> {
    // SAFETY: the path is zero-terminated; no security attributes, no template.
    let handle = unsafe {
        CreateFileW(
            path.as_ptr(),
            GENERIC_READ | GENERIC_WRITE,
            0,
            null(),
            OPEN_EXISTING,
            FILE_FLAG_OVERLAPPED,
            null_mut(),
        )
    };
    if handle == INVALID_HANDLE_VALUE {
        return Err(last_status());
    }
    // SAFETY: a handle that was just opened, and that nobody else has.
    Ok(unsafe { OwnedHandle::from_raw_handle(handle) })
}

fn last_status() -> NtStatus {
    NtStatus(RtlGetLastNtStatus().cast_unsigned())
}

/// One of the handles that are counted.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A handle, until it is closed: requests that outlive it find none.
struct Opened {
    handle: RwLock<Option<OwnedHandle>>,
    _open: Option<Counted>,
}

impl Opened {
    /// Does something with the handle, which is not closed meanwhile. None of it may wait for the driver for long.
    fn with<T>(&self, work: impl FnOnce(HANDLE) -> T) -> Option<T> {
        let handle = self.handle.read().unwrap_or_else(PoisonError::into_inner);
        handle.as_ref().map(|handle| work(handle.as_raw_handle()))
    }
}

struct OpenFile {
    file: Arc<Opened>,
}

impl OpenFile {
    fn new(handle: OwnedHandle, open: Option<Counted>) -> Self {
        Self { file: Arc::new(Opened { handle: RwLock::new(Some(handle)), _open: open }) }
    }
}

impl File for OpenFile {
    fn start(&self, request: Request<'_>) -> io::Result<Box<dyn Pending>> {
        let call = Call::new(request)?;
        let gone = || io::Error::new(io::ErrorKind::NotConnected, "the handle is closed");
        let (call, ended) = self.file.with(|handle| call.issue(handle)).ok_or_else(gone)?;
        Ok(Box::new(Outstanding { file: Arc::clone(&self.file), call: Some(call), ended }))
    }

    fn close(&self) -> io::Result<NtStatus> {
        let handle = self.file.handle.write().unwrap_or_else(PoisonError::into_inner).take();
        // CloseHandle returns when the driver's cleanup has run.
        drop(handle);
        Ok(NtStatus::SUCCESS)
    }
}

enum Kind {
    Ioctl { code: u32, input_length: u32, null: Null },
    Read,
    Write,
}

/// A request with all that the kernel writes to or reads from: it stays where it is until the request has ended.
struct Call {
    kind: Kind,
    input: Vec<u8>,
    output: Vec<u8>,
    overlapped: OVERLAPPED,
    /// Set by the kernel at the end of the request.
    event: OwnedHandle,
}

// SAFETY: the pointers in it are the OVERLAPPED's own; nothing in it belongs to a thread.
unsafe impl Send for Call {}

impl Call {
    fn new(request: Request<'_>) -> io::Result<Pin<Box<Self>>> {
        // SAFETY: no attributes, no name; manual reset, not set.
        let event = unsafe { CreateEventW(null(), 1, 0, null()) };
        if event.is_null() {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: an event that was just made, and that nobody else has.
        let event = unsafe { OwnedHandle::from_raw_handle(event) };
        let (kind, input, output) = match request {
            Request::Ioctl { code, input, output, null } => {
                (Kind::Ioctl { code, input_length: length(input.len())?, null }, input, output)
            }
            Request::Read { length } => (Kind::Read, &[][..], length),
            Request::Write { bytes } => (Kind::Write, bytes, 0),
        };
        let overlapped = OVERLAPPED { hEvent: event.as_raw_handle(), ..OVERLAPPED::default() };
        let (input, output) = (input.to_vec(), vec![POISON; output]);
        Ok(Box::pin(Self { kind, input, output, overlapped, event }))
    }

    /// Makes the call. The status of a request that has ended, with what it has transferred; `None`: it pends.
    fn issue(mut self: Pin<Box<Self>>, handle: HANDLE) -> (Pin<Box<Self>>, Option<NtStatus>) {
        let call = &mut *self;
        let room = call.output.len() as u32;
        let overlapped = &raw mut call.overlapped;
        let pointer = |bytes: *mut u8, empty: bool| if empty { null_mut() } else { bytes.cast::<c_void>() };
        let done = match call.kind {
            Kind::Ioctl { code, input_length, null } => {
                let input = pointer(call.input.as_mut_ptr(), null.input || input_length == 0);
                let output = pointer(call.output.as_mut_ptr(), null.output || room == 0);
                // SAFETY: buffers of the lengths given (or null, which the kernel refuses or ignores) and an OVERLAPPED,
                // which live, unmoved, until the request has ended: `Outstanding` sees to that.
                unsafe { DeviceIoControl(handle, code, input, input_length, output, room, null_mut(), overlapped) }
            }
            Kind::Read => {
                // SAFETY: as above.
                unsafe { ReadFile(handle, call.output.as_mut_ptr(), room, null_mut(), overlapped) }
            }
            Kind::Write => {
                let length = call.input.len() as u32;
                // SAFETY: as above.
                unsafe { WriteFile(handle, call.input.as_ptr(), length, null_mut(), overlapped) }
            }
        };
        let ended = match done {
            0 => {
                // SAFETY: reads this thread's last error.
                let error = unsafe { GetLastError() };
                // An error's transfer is nothing; a warning has filled the OVERLAPPED.
                (error != ERROR_IO_PENDING).then(last_status)
            }
            _ => Some(NtStatus(call.overlapped.Internal as u32)),
        };
        (self, ended)
    }

    /// What became of a request that has ended with `status`.
    fn completion(&mut self, status: NtStatus) -> Completion {
        let information = if status.is_error() { 0 } else { self.overlapped.InternalHigh };
        let transferred = match self.kind {
            Kind::Write => 0,
            _ => information.min(self.output.len()),
        };
        let beyond = self.output.split_off(transferred);
        Completion {
            status,
            information: information as u64,
            output: std::mem::take(&mut self.output),
            spilled: beyond.iter().any(|&byte| byte != POISON),
        }
    }
}

fn length(bytes: usize) -> io::Result<u32> {
    u32::try_from(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "a length past 32 bits"))
}

struct Outstanding {
    file: Arc<Opened>,
    /// Taken when its completion is given out.
    call: Option<Pin<Box<Call>>>,
    ended: Option<NtStatus>,
}

impl Outstanding {
    fn call(&mut self) -> io::Result<&mut Call> {
        self.call.as_deref_mut().ok_or_else(|| io::Error::other("the request's end was told before"))
    }
}

impl Pending for Outstanding {
    fn wait(&mut self, patience: Duration) -> io::Result<Option<Completion>> {
        let ended = self.ended;
        let call = self.call()?;
        let status = match ended {
            Some(status) => status,
            None => {
                let patience = u32::try_from(patience.as_millis()).unwrap_or(u32::MAX - 1);
                // SAFETY: the event lives as long as the call.
                match unsafe { WaitForSingleObject(call.event.as_raw_handle(), patience) } {
                    // The kernel writes the status before it sets the event.
                    WAIT_OBJECT_0 => NtStatus(call.overlapped.Internal as u32),
                    WAIT_TIMEOUT => return Ok(None),
                    _ => return Err(io::Error::last_os_error()),
                }
            }
        };
        let completion = call.completion(status);
        self.call = None;
        Ok(Some(completion))
    }

    fn cancel(&mut self) -> io::Result<NtStatus> {
        let file = Arc::clone(&self.file);
        let overlapped = &raw const self.call()?.overlapped;
        // SAFETY: an open handle, and the OVERLAPPED of a request that was issued on it.
        match file.with(|handle| unsafe { CancelIoEx(handle, overlapped) }) {
            // The file was closed, which has cancelled it.
            None => Ok(NtStatus::NOT_FOUND),
            Some(0) => {
                // SAFETY: reads this thread's last error.
                match unsafe { GetLastError() } {
                    ERROR_NOT_FOUND => Ok(NtStatus::NOT_FOUND),
                    _ => Ok(last_status()),
                }
            }
            Some(_) => Ok(NtStatus::SUCCESS),
        }
    }
}

impl Drop for Outstanding {
    fn drop(&mut self) {
        if self.ended.is_some() || self.call.is_none() {
            return;
        }
        // The kernel writes to the buffers until the request has ended.
        let ended = self.cancel().is_ok() && matches!(self.wait(PATIENCE), Ok(Some(_)));
        if !ended && let Some(call) = self.call.take() {
            eprintln!(
                "dco-cli: a request did not end within {PATIENCE:?} after it was cancelled; its memory is left to it"
            );
            std::mem::forget(call);
        }
    }
}
