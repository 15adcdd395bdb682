//! An IRP that the driver has to complete.

use alloc::vec::Vec;
use core::ffi::c_void;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, Ordering};

use super::ffi::{self, PVOID};
use super::{driver, status};
use crate::link::Generation;
use crate::wire::Response;

/// Offsets on x64, the same in Wine and in Windows.
mod offset {
    pub const SYSTEM_BUFFER: usize = 0x18;
    pub const STATUS: usize = 0x30;
    pub const INFORMATION: usize = 0x38;
    pub const CANCEL: usize = 0x44;
    pub const CANCEL_IRQL: usize = 0x45;
    pub const CANCEL_ROUTINE: usize = 0x68;
    pub const DRIVER_CONTEXT: usize = 0x78;
    pub const STACK_LOCATION: usize = 0xB8;
    // IO_STACK_LOCATION:
    pub const MAJOR: usize = 0;
    pub const CONTROL: usize = 3;
    pub const LENGTH: usize = 0x08;
    pub const INPUT_LENGTH: usize = 0x10;
    pub const CODE: usize = 0x18;
    pub const SHARE: usize = 0x1A;
    pub const DEVICE_OBJECT: usize = 0x28;
    pub const FILE_OBJECT: usize = 0x30;
    // FILE_OBJECT:
    pub const FS_CONTEXT: usize = 0x18;
    pub const FS_CONTEXT2: usize = 0x20;
}

const SL_PENDING_RETURNED: u8 = 1;

/// What an IRP asks for.
pub enum Action {
    /// To open the device with this index; `share` is the share mask.
    Create { device: usize, share: u32 },
    /// The file's last handle has been closed.
    Cleanup,
    /// The file is about to vanish.
    Close,
    /// A METHOD_BUFFERED ioctl.
    Ioctl { code: u32, in_len: u32, out_len: u32 },
    /// To read up to `len` bytes.
    Read { len: u32 },
    /// To write `len` bytes.
    Write { len: u32 },
    /// What the bridge does not serve.
    Other,
}

/// What the lab knows an open file by; kept in Wine's FILE_OBJECT.
pub struct FileKey {
    /// The connection that the number belongs to.
    pub generation: Generation,
    /// The lab's number of the file.
    pub file: u64,
}

/// An IRP, owned: it is given away only by completing it. May move between threads.
pub struct Irp {
    raw: PVOID,
}

// SAFETY: an IRP belongs to no thread; having one means being the only one to touch it, apart from `Cancel` and
// `CancelRoutine`, which are touched under the cancel lock or by atomic exchange.
unsafe impl Send for Irp {}

impl Irp {
    /// Takes an IRP over.
    ///
    /// # Safety
    /// `raw` is an IRP that Wine has just given to a dispatch routine of this driver.
    pub unsafe fn from_raw(raw: PVOID) -> Self {
        Self { raw }
    }

    /// A field of the IRP.
    fn get<T: Copy>(&self, offset: usize) -> T {
        // SAFETY: `raw` is a live IRP (it is not completed yet) and the callers give fields by their true type.
        unsafe { self.raw.cast::<u8>().wrapping_add(offset).cast::<T>().read() }
    }

    fn set<T>(&self, offset: usize, value: T) {
        // SAFETY: as in `get`; the IRP is ours, so nobody reads the field meanwhile.
        unsafe { self.raw.cast::<u8>().wrapping_add(offset).cast::<T>().write(value) };
    }

    /// A field of the current stack location.
    fn stack<T: Copy>(&self, offset: usize) -> T {
        let location: *const u8 = self.get(offset::STACK_LOCATION);
        // SAFETY: a live IRP in a dispatch routine has a current stack location, which lives as long as the IRP.
        unsafe { location.wrapping_add(offset).cast::<T>().read() }
    }

    /// What it asks for.
    pub fn action(&self) -> Action {
        match self.stack::<u8>(offset::MAJOR) {
            0x00 => Action::Create {
                device: driver::device_index(self.stack(offset::DEVICE_OBJECT)),
                share: u32::from(self.stack::<u16>(offset::SHARE)),
            },
            0x02 => Action::Close,
            0x03 => Action::Read { len: self.stack(offset::LENGTH) },
            0x04 => Action::Write { len: self.stack(offset::LENGTH) },
            0x0E => Action::Ioctl {
                code: self.stack(offset::CODE),
                in_len: self.stack(offset::INPUT_LENGTH),
                out_len: self.stack(offset::LENGTH),
            },
            0x12 => Action::Cleanup,
            _ => Action::Other,
        }
    }

    /// A copy of the first `len` bytes of the system buffer, where `len` is the ioctl's input or the write's length.
    /// A copy, for an ioctl's output comes to lie at the same place.
    pub fn input(&self, len: u32) -> Vec<u8> {
        let buffer: *const u8 = self.get(offset::SYSTEM_BUFFER);
        if buffer.is_null() {
            return Vec::new();
        }
        // SAFETY: the I/O manager gives a system buffer of at least the input's length.
        unsafe { core::slice::from_raw_parts(buffer, len as usize) }.to_vec()
    }

    /// What the open file is at the lab, or the status that its create has ended with.
    pub fn file_key(&self) -> Result<FileKey, i32> {
        let Some(file) = self.file_object() else {
            return Err(status::INVALID_PARAMETER);
        };
        // SAFETY: a live IRP's file object is alive, and the field is a driver's own to use.
        let generation = unsafe { file.wrapping_add(offset::FS_CONTEXT).cast::<u64>().read() };
        // SAFETY: as above.
        let number = unsafe { file.wrapping_add(offset::FS_CONTEXT2).cast::<u64>().read() };
        if generation == 0 { Err(number as i32) } else { Ok(FileKey { generation, file: number }) }
    }

    /// Keeps what the file is at the lab, or why it is nothing there, for as long as the file is open.
    pub fn set_file_key(&self, key: Result<FileKey, i32>) {
        let (generation, number) = match key {
            Ok(key) => (key.generation, key.file),
            Err(status) => (0, status as u64),
        };
        if let Some(file) = self.file_object() {
            // SAFETY: a live IRP's file object is alive; the field is a driver's own to use, from the dispatch thread.
            unsafe { file.wrapping_add(offset::FS_CONTEXT).cast::<u64>().write(generation) };
            // SAFETY: as above.
            unsafe { file.wrapping_add(offset::FS_CONTEXT2).cast::<u64>().write(number) };
        }
    }

    fn file_object(&self) -> Option<*mut u8> {
        let file: *mut u8 = self.stack(offset::FILE_OBJECT);
        (!file.is_null()).then_some(file)
    }

    /// Says that the IRP will be completed later. The dispatch routine has to return PENDING then.
    pub fn mark_pending(self) -> Self {
        let location: *mut u8 = self.get(offset::STACK_LOCATION);
        // SAFETY: the current stack location of an IRP that is ours.
        let control = unsafe { &mut *location.wrapping_add(offset::CONTROL) };
        *control |= SL_PENDING_RETURNED;
        self
    }

    /// From now on, a cancel of this IRP asks the lab to cancel request `id`. Err, with the IRP to be completed, if it
    /// has been cancelled before.
    pub fn make_cancellable(self, id: u64) -> Result<Self, Self> {
        self.set(offset::DRIVER_CONTEXT, id);
        self.cancel_routine().store(cancel as ffi::Cancel as *mut c_void, Ordering::SeqCst);
        if self.get::<u8>(offset::CANCEL) == 0 {
            return Ok(self);
        }
        // Cancelled. Who takes the routine out has the IRP: if it is gone, `cancel` has it, and does not complete it.
        Err(self.end_cancellability())
    }

    /// To be called before the IRP is completed: when it returns, `cancel` is through with the IRP or will not get it.
    pub fn end_cancellability(self) -> Self {
        let mut irql = 0;
        // SAFETY: `irql` is writable. This thread does not hold the lock: it is taken here and by Wine's IoCancelIrp.
        unsafe { ffi::IoAcquireCancelSpinLock(&mut irql) };
        self.cancel_routine().store(null_mut(), Ordering::SeqCst);
        // SAFETY: this thread has just taken the lock.
        unsafe { ffi::IoReleaseCancelSpinLock(irql) };
        self
    }

    fn cancel_routine(&self) -> &AtomicPtr<c_void> {
        // SAFETY: a pointer-sized, aligned field of a live IRP, which all sides change by atomic operations only.
        unsafe { AtomicPtr::from_ptr(self.raw.cast::<u8>().wrapping_add(offset::CANCEL_ROUTINE).cast()) }
    }

    /// Completes the IRP; returns its status. Callable from any thread, with no lock held. Of the output, what the
    /// caller has room for is copied, and counted.
    pub fn complete(self, response: &Response) -> i32 {
        let room = match self.action() {
            Action::Ioctl { out_len, .. } => Some(out_len),
            Action::Read { len } => Some(len),
            _ => None,
        };
        let information = room.map_or(response.information as usize, |room| {
            let buffer: *mut u8 = self.get(offset::SYSTEM_BUFFER);
            let len = if buffer.is_null() { 0 } else { response.output.len().min(room as usize) };
            // SAFETY: with buffered I/O the system buffer has room for the output's length; it is Wine's own memory.
            unsafe { core::ptr::copy_nonoverlapping(response.output.as_ptr(), buffer, len) };
            len
        });
        self.set(offset::STATUS, response.status);
        self.set(offset::INFORMATION, information);
        // SAFETY: the IRP is ours, is not cancellable any more, and is not touched after this.
        unsafe { ffi::IofCompleteRequest(self.raw, 0) };
        response.status
    }
}

/// The cancel routine: called with the cancel lock held, which it has to release. The IRP may be completed, by the
/// receiver thread, as soon as the lock is free.
unsafe extern "system" fn cancel(_device: PVOID, irp: PVOID) {
    // SAFETY: while the cancel lock is held the IRP cannot be completed (`end_cancellability`).
    let irp = unsafe { Irp::from_raw(irp) };
    let id = irp.get(offset::DRIVER_CONTEXT);
    let irql = irp.get(offset::CANCEL_IRQL);
    // SAFETY: IoCancelIrp took the lock for this routine, and left the IRQL to go back to in the IRP.
    unsafe { ffi::IoReleaseCancelSpinLock(irql) };
    crate::BRIDGE.cancel(id);
}
