//! IRPs for WSK calls that are waited for.

use crate::status::{Result, Status};
use core::ffi::c_void;
use core::mem::MaybeUninit;
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::{AtomicBool, Ordering};
use nt_sys::{_EVENT_TYPE, _KWAIT_REASON, _MODE, DEVICE_OBJECT, IRP, KEVENT, NTSTATUS, PIRP, ntddk};

/// Completion routines return this to keep the IRP.
pub(super) const MORE_PROCESSING_REQUIRED: NTSTATUS = 0xC000_0016_u32.cast_signed();

/// An IRP for calls that are waited for, one at a time. Made once, so that taking a socket down needs no memory.
pub(super) struct WaitIrp {
    irp: NonNull<IRP>,
    busy: AtomicBool,
}

// SAFETY: the IRP is used by one call at a time (`busy`), on whatever thread.
unsafe impl Send for WaitIrp {}
// SAFETY: as above.
unsafe impl Sync for WaitIrp {}

impl WaitIrp {
    /// A fresh IRP. IRQL <= DISPATCH_LEVEL.
    ///
    /// # Errors
    /// INSUFFICIENT_RESOURCES.
    pub(super) fn new() -> Result<Self> {
        // SAFETY: one stack location, no quota.
        let irp = NonNull::new(unsafe { ntddk::IoAllocateIrp(1, 0) }).ok_or(Status::INSUFFICIENT_RESOURCES)?;
        Ok(Self { irp, busy: AtomicBool::new(false) })
    }

    /// Runs one IRP-taking WSK call and waits for its IRP; returns `IoStatus.Information`. The IRP is completed whatever the call
    /// returns, so its status alone counts (WDK: Using IRPs with Winsock Kernel Functions). PASSIVE_LEVEL.
    ///
    /// # Errors
    /// The IRP's status; INVALID_DEVICE_STATE while another call waits.
    ///
    /// # Safety
    /// `call` passes the IRP to exactly one such WSK function, and what it points at lives until this returns.
    pub(super) unsafe fn wait(&self, call: impl FnOnce(PIRP) -> NTSTATUS) -> Result<u64> {
        if self.busy.swap(true, Ordering::Acquire) {
            return Err(Status::INVALID_DEVICE_STATE);
        }
        let irp = self.irp.as_ptr();
        let mut event = MaybeUninit::<KEVENT>::uninit();
        // SAFETY: the event is a live local, in kernel stack memory that stays resident while this thread waits in kernel mode.
        unsafe { ntddk::KeInitializeEvent(event.as_mut_ptr(), _EVENT_TYPE::SynchronizationEvent, 0) };
        // SAFETY: `busy` makes the IRP this call's alone, and it is in nobody's hands; the event outlives the wait below.
        unsafe {
            ntddk::IoReuseIrp(irp, Status::SUCCESS.0);
            nt_sys::IoSetCompletionRoutine(irp, Some(signal), event.as_mut_ptr().cast(), true, true, true);
        }
        let _ = call(irp);
        // SAFETY: the event is initialised, and the IRP's completion sets it. A kernel-mode wait without timeout succeeds.
        let _ = unsafe {
            ntddk::KeWaitForSingleObject(
                event.as_mut_ptr().cast(),
                _KWAIT_REASON::Executive,
                _MODE::KernelMode as _,
                0,
                null_mut(),
            )
        };
        // SAFETY: completion has run and kept the IRP, so it is this function's again.
        let (status, information) = unsafe { nt_sys::IrpStatus(irp) };
        self.busy.store(false, Ordering::Release);
        Status(status).ok().map(|()| information)
    }
}

impl Drop for WaitIrp {
    fn drop(&mut self) {
        // SAFETY: allocated by `new`; no call waits, since that borrows `self`.
        unsafe { ntddk::IoFreeIrp(self.irp.as_ptr()) };
    }
}

unsafe extern "C" fn signal(_: *mut DEVICE_OBJECT, _: *mut IRP, event: *mut c_void) -> NTSTATUS {
    // SAFETY: `wait` passed its live event and waits for it.
    unsafe { ntddk::KeSetEvent(event.cast(), 0, 0) };
    MORE_PROCESSING_REQUIRED
}
