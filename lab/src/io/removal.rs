//! What a WDM driver needs to be removed and powered: remove locks and the old power calls.

use super::irp;
use crate::Export;
use crate::irql::{self, DISPATCH, PASSIVE};
use crate::ke::{self, wait};
use crate::nt::{DEVICE_OBJECT, IRP, KEVENT, NTSTATUS, status};
use crate::report::{InCall, Rule, stop_about};
use std::ffi::c_void;
use std::sync::atomic::{AtomicI32, AtomicU8, Ordering};

const UNDERFLOW: Rule = Rule::new("removelock.underflow", "WDK: IoReleaseRemoveLock (balances IoAcquireRemoveLock)");

/// `IO_REMOVE_LOCK_COMMON_BLOCK`.
#[repr(C)]
struct RemoveLock {
    removed: AtomicU8,
    count: AtomicI32,
    event: KEVENT,
}

extern "win64" fn initialize(lock: *mut RemoveLock, _tag: u32, _minutes: u32, _high_water: u32, _size: u32) {
    let _c = InCall::enter("IoInitializeRemoveLockEx");
    irql::require_at_most(PASSIVE);
    // SAFETY: the driver passes its storage for a lock.
    unsafe {
        (&raw mut (*lock).removed).write(AtomicU8::new(0));
        (&raw mut (*lock).count).write(AtomicI32::new(1));
        ke::event_init(&raw mut (*lock).event, true, false);
    }
}

extern "win64" fn acquire(
    lock: *mut RemoveLock,
    _tag: *const c_void,
    _file: *const u8,
    _line: u32,
    _size: u32,
) -> NTSTATUS {
    let _c = InCall::enter("IoAcquireRemoveLockEx");
    irql::require_at_most(DISPATCH);
    // SAFETY: the driver passes a lock that it initialised.
    let l = unsafe { &*lock };
    l.count.fetch_add(1, Ordering::AcqRel);
    if l.removed.load(Ordering::Acquire) == 0 {
        return status::SUCCESS;
    }
    drop_one(lock);
    status::DELETE_PENDING
}

fn drop_one(lock: *mut RemoveLock) {
    // SAFETY: the driver passes a lock that it initialised; the event is set last.
    unsafe {
        match (*lock).count.fetch_sub(1, Ordering::AcqRel) {
            1 => {
                ke::event_set(&raw mut (*lock).event);
            }
            n if n < 1 => stop_about(UNDERFLOW, lock.addr(), &format!("the count was {n}")),
            _ => {}
        }
    }
}

extern "win64" fn release(lock: *mut RemoveLock, _tag: *const c_void, _size: u32) {
    let _c = InCall::enter("IoReleaseRemoveLockEx");
    irql::require_at_most(DISPATCH);
    drop_one(lock);
}

extern "win64" fn release_and_wait(lock: *mut RemoveLock, _tag: *const c_void, _size: u32) {
    let _c = InCall::enter("IoReleaseRemoveLockAndWaitEx");
    irql::require_at_most(PASSIVE);
    // SAFETY: the driver passes a lock that it initialised and holds.
    unsafe { (*lock).removed.store(1, Ordering::Release) };
    // The caller's own acquisition, and the one that initialisation took.
    drop_one(lock);
    drop_one(lock);
    wait::before_blocking();
    // SAFETY: as above; the last release sets the event.
    unsafe { ke::wait_event(&raw mut (*lock).event, None) };
}

extern "win64" fn po_call_driver(device: *mut DEVICE_OBJECT, i: *mut IRP) -> NTSTATUS {
    let _c = InCall::enter("PoCallDriver");
    // SAFETY: the driver passes a device and an IRP that it owns; anything else is refused.
    unsafe { irp::call_driver(device, i) }
}

extern "win64" fn po_start_next(_irp: *mut IRP) {}

extern "win64" fn po_set_power_state(_device: *mut DEVICE_OBJECT, _kind: i32, state: i32) -> i32 {
    state
}

pub(super) fn exports() -> Vec<Export> {
    const _: () = assert!(size_of::<RemoveLock>() == 32);
    vec![
        export!("IoInitializeRemoveLockEx", initialize),
        export!("IoAcquireRemoveLockEx", acquire),
        export!("IoReleaseRemoveLockEx", release),
        export!("IoReleaseRemoveLockAndWaitEx", release_and_wait),
        export!("PoCallDriver", po_call_driver),
        export!("PoStartNextPowerIrp", po_start_next),
        export!("PoSetPowerState", po_set_power_state),
    ]
}
