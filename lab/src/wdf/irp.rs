//! What the framework does with WDM's structures: the only file that touches IRPs, device and file objects directly.

use super::abi::NtStatus;
use crate::io;
use crate::ke::sched::Condvar;
use crate::nt::{DEVICE_OBJECT, DRIVER_OBJECT, FILE_OBJECT, IO_STACK_LOCATION, IRP, PDRIVER_CANCEL, sl};
use std::ffi::c_void;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

/// An IRP the framework has been given and not yet completed. The pointer is valid until it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Irp(pub *mut IRP);
// SAFETY: an IRP belongs to no thread; who may touch it when is the request's state machine.
unsafe impl Send for Irp {}
// SAFETY: as above.
unsafe impl Sync for Irp {}

/// A device object of this driver's or below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Dev(pub *mut DEVICE_OBJECT);
// SAFETY: a pointer to a device object that its owner keeps until the framework has detached and deleted it.
unsafe impl Send for Dev {}
// SAFETY: as above.
unsafe impl Sync for Dev {}

impl Irp {
    /// The current stack location.
    #[must_use]
    pub fn stack(self) -> *mut IO_STACK_LOCATION {
        // SAFETY: the IRP is ours.
        unsafe { (*self.0).Tail.CurrentStackLocation }
    }

    /// Major and minor function.
    #[must_use]
    pub fn function(self) -> (u8, u8) {
        let s = self.stack();
        // SAFETY: the current stack location of an IRP of ours.
        unsafe { ((*s).MajorFunction, (*s).MinorFunction) }
    }

    /// The file object, or null.
    #[must_use]
    pub fn file(self) -> *mut FILE_OBJECT {
        // SAFETY: as above.
        unsafe { (*self.stack()).FileObject }
    }

    /// IoMarkIrpPending.
    pub fn mark_pending(self) {
        // SAFETY: as above.
        unsafe { (*self.stack()).Control |= sl::PENDING_RETURNED };
    }

    /// Whether IoCancelIrp has been called.
    #[must_use]
    pub fn cancelled(self) -> bool {
        // SAFETY: the IRP is ours; another thread's IoCancelIrp may set the byte at any time.
        unsafe { std::ptr::from_mut(&mut (*self.0).Cancel).read_volatile() != 0 }
    }

    /// IoSetCancelRoutine; true when a routine was set before.
    pub fn set_cancel(self, routine: Option<PDRIVER_CANCEL>) -> bool {
        let new = routine.map_or(std::ptr::null_mut(), |r| r as *mut c_void);
        // SAFETY: the IRP is ours; the field is atomic.
        !unsafe { &(*self.0).CancelRoutine }.swap(new, Ordering::SeqCst).is_null()
    }

    /// Notes the request's handle for the cancel routine.
    pub fn set_owner(self, handle: usize) {
        // SAFETY: DriverContext belongs to the driver that owns the IRP.
        unsafe {
            if let Some(c) = (*self.0).Tail.DriverContext.first_mut() {
                *c = handle as *mut c_void;
            }
        }
    }

    /// The handle [`Irp::set_owner`] noted.
    #[must_use]
    pub fn owner(self) -> usize {
        // SAFETY: as above.
        unsafe { (*self.0).Tail.DriverContext.first().map_or(0, |p| p.addr()) }
    }

    /// IoStatus.Information.
    #[must_use]
    pub fn information(self) -> u64 {
        // SAFETY: the IRP is ours.
        unsafe { (*self.0).IoStatus.Information }
    }

    /// Sets IoStatus.Status before the IRP is passed down.
    pub fn set_status(self, s: NtStatus) {
        // SAFETY: the IRP is ours.
        unsafe { (*self.0).IoStatus.Status = s };
    }

    /// Sets IoStatus.Information.
    pub fn set_information(self, v: u64) {
        // SAFETY: the IRP is ours.
        unsafe { (*self.0).IoStatus.Information = v };
    }

    /// IoCompleteRequest with a status.
    pub fn complete(self, status: NtStatus, boost: i8) {
        // SAFETY: the IRP is ours and is given up here.
        unsafe {
            (*self.0).IoStatus.Status = status;
            io::complete_request(self.0, boost);
        }
    }

    /// IoSkipCurrentIrpStackLocation and IoCallDriver.
    #[must_use]
    pub fn pass_down(self, to: Dev) -> NtStatus {
        // SAFETY: the IRP is ours; skipping means that the lower driver gets this very location.
        unsafe {
            (*self.0).CurrentLocation += 1;
            (*self.0).Tail.CurrentStackLocation = (*self.0).Tail.CurrentStackLocation.add(1);
            io::call_driver(to.0, self.0)
        }
    }

    /// Sends the IRP down and waits until the lower drivers are done; the IRP is ours again afterwards.
    #[must_use]
    pub fn pass_down_and_wait(self, to: Dev) -> NtStatus {
        let done: Arc<(Mutex<bool>, Condvar)> = Arc::default();
        // SAFETY: the next location exists (the device's StackSize counts the lower ones); the context lives until the
        // completion routine has run, since this thread waits for it and holds a reference.
        let status = unsafe {
            let current = self.stack();
            let next = current.sub(1);
            std::ptr::copy_nonoverlapping(current, next, 1);
            (*next).Control = sl::INVOKE_ON_SUCCESS | sl::INVOKE_ON_ERROR | sl::INVOKE_ON_CANCEL;
            (*next).CompletionRoutine = Some(passed);
            (*next).Context = Arc::into_raw(Arc::clone(&done)).cast_mut().cast();
            io::call_driver(to.0, self.0)
        };
        let (flag, cond) = &*done;
        let mut d = flag.lock().unwrap_or_else(PoisonError::into_inner);
        while !*d {
            d = cond.wait(flag, d);
        }
        let _ = status;
        // SAFETY: the IRP is ours again.
        unsafe { (*self.0).IoStatus.Status }
    }

    /// IoCancelIrp, as the I/O manager does it for a file that is being closed.
    pub fn cancel(self) {
        // SAFETY: the caller holds the request that owns the IRP.
        unsafe { io::cancel_irp(self.0) };
    }
}

unsafe extern "win64" fn passed(_device: *mut DEVICE_OBJECT, _irp: *mut IRP, context: *mut c_void) -> NtStatus {
    // SAFETY: the context is the Arc that `pass_down_and_wait` gave away.
    let done = unsafe { Arc::from_raw(context.cast::<(Mutex<bool>, Condvar)>()) };
    *done.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
    done.1.notify_all();
    super::abi::MORE_PROCESSING_REQUIRED
}

/// IoReleaseCancelSpinLock, first thing in a cancel routine.
pub fn leave_cancel_lock(irp: Irp) {
    // SAFETY: called from a cancel routine of this IRP.
    unsafe { io::release_cancel_lock((*irp.0).CancelIrql) };
}

/// Bytes of our device extension: the WDFDEVICE handle.
const EXTENSION: usize = 16;

/// IoCreateDevice.
///
/// # Errors
/// As io's.
///
/// # Safety
/// `driver` is the driver object of the loaded driver.
pub unsafe fn create_device(
    driver: *mut DRIVER_OBJECT,
    name: Option<&str>,
    device_type: u32,
    characteristics: u32,
    exclusive: bool,
) -> Result<Dev, NtStatus> {
    // SAFETY: by contract.
    unsafe { io::create_device(driver, EXTENSION, name, device_type, characteristics, exclusive) }.map(Dev)
}

impl Dev {
    /// Notes the WDFDEVICE.
    pub fn set_handle(self, handle: usize) {
        // SAFETY: our own device object with our extension.
        unsafe { (*self.0).DeviceExtension.cast::<usize>().write(handle) };
    }

    /// The WDFDEVICE of one of our device objects, or 0.
    #[must_use]
    pub fn handle(self) -> usize {
        // SAFETY: the device object is one of this driver's, all of which have our extension.
        unsafe {
            let e = (*self.0).DeviceExtension.cast::<usize>();
            if e.is_null() { 0 } else { e.read() }
        }
    }

    /// Sets bits of DEVICE_OBJECT.Flags and clears others.
    pub fn change_flags(self, set: u32, clear: u32) {
        // SAFETY: our own device object.
        unsafe { (*self.0).Flags = ((*self.0).Flags | set) & !clear };
    }

    /// DEVICE_OBJECT.Flags.
    #[must_use]
    pub fn flags(self) -> u32 {
        // SAFETY: as above.
        unsafe { (*self.0).Flags }
    }

    /// IoAttachDeviceToDeviceStack on top of `lower`.
    #[must_use]
    pub fn attach_to(self, lower: Dev) -> Option<Dev> {
        // SAFETY: both are live device objects.
        let p = unsafe { io::attach_to_stack(self.0, lower.0) };
        (!p.is_null()).then_some(Dev(p))
    }

    /// IoDetachDevice.
    pub fn detach(self) {
        // SAFETY: the lower device of an attachment of ours.
        unsafe { io::detach(self.0) };
    }

    /// IoDeleteDevice.
    pub fn delete(self) {
        // SAFETY: our own device object, not used any more.
        unsafe { io::delete_device(self.0) };
    }
}
