//! IRPs for WSK calls that are waited for.

use crate::status::{Result, Status};
use core::ffi::c_void;
use core::mem::MaybeUninit;
use core::ptr::null_mut;
use nt_sys::{_EVENT_TYPE, _KWAIT_REASON, _MODE, DEVICE_OBJECT, IRP, KEVENT, NTSTATUS, PIRP, ntddk};

/// Completion routines return this to keep the IRP.
pub(super) const MORE_PROCESSING_REQUIRED: NTSTATUS = 0xC000_0016_u32.cast_signed();

/// Runs one IRP-taking WSK call and waits for its IRP; returns `IoStatus.Information`. The IRP is completed whatever the call
/// returns, so its status alone counts (WDK: Using IRPs with Winsock Kernel Functions). PASSIVE_LEVEL.
///
/// # Errors
/// The IRP's status, or INSUFFICIENT_RESOURCES.
///
/// # Safety
/// `call` passes the IRP to exactly one such WSK function, and what it points at lives until this returns.
pub(super) unsafe fn wait(call: impl FnOnce(PIRP) -> NTSTATUS) -> Result<u64> {
    let mut event = MaybeUninit::<KEVENT>::uninit();
    // SAFETY: the event is a live local, in kernel stack memory that stays resident while this thread waits in kernel mode.
    unsafe { ntddk::KeInitializeEvent(event.as_mut_ptr(), _EVENT_TYPE::SynchronizationEvent, 0) };
    // SAFETY: one stack location, no quota.
    let irp = unsafe { ntddk::IoAllocateIrp(1, 0) };
    if irp.is_null() {
        return Err(Status::INSUFFICIENT_RESOURCES);
    }
    // SAFETY: a fresh IRP with one unused stack location; the event outlives the wait below.
    unsafe { nt_sys::IoSetCompletionRoutine(irp, Some(signal), event.as_mut_ptr().cast(), true, true, true) };
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
    // SAFETY: allocated above, completed, not used again.
    unsafe { ntddk::IoFreeIrp(irp) };
    Status(status).ok().map(|()| information)
}

unsafe extern "C" fn signal(_: *mut DEVICE_OBJECT, _: *mut IRP, event: *mut c_void) -> NTSTATUS {
    // SAFETY: `wait` passed its live event and waits for it.
    unsafe { ntddk::KeSetEvent(event.cast(), 0, 0) };
    MORE_PROCESSING_REQUIRED
}
