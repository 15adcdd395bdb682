//! Events, semaphores, timers, DPCs, threads, work items.

use super::block;
use crate::nt::*;
use crate::{DEVICE, TAG, fault};
use core::ffi::c_void;
use core::ptr::null_mut;
use core::sync::atomic::Ordering;

/// More than any machine has threads for them.
const BLOCKERS: usize = 16;

static mut READY: Storage<3> = Storage([0; 3]);
static mut LOCK: u64 = 0;
static mut DPCS: [Storage<8>; BLOCKERS] = [const { Storage([0; 8]) }; BLOCKERS];

pub unsafe fn request() {
    unsafe {
        let event = block::<c_void>(64);
        match fault() {
            300 => {
                wait_in_another_thread(event);
                ExFreePoolWithTag(event.cast(), TAG);
            }
            301 => {
                *event.cast::<u64>() = u64::MAX;
                KeSetEvent(event, 0, 0);
            }
            302 => {
                wait_in_another_thread(event);
                KeInitializeEvent(event, 0, 0);
            }
            303 => {
                KeInitializeSemaphore(event, 1, 2);
                KeReleaseSemaphore(event, 0, 2, 0);
            }
            304 => {
                KeInitializeEvent(event, 0, 0);
                KfRaiseIrql(2);
                KeWaitForSingleObject(event, 0, 0, 0, &-10_000);
            }
            305 => {
                KeInitializeEvent(event, 0, 1);
                let objects = [event; 4];
                KeWaitForMultipleObjects(4, objects.as_ptr(), 1, 0, 0, 0, core::ptr::null(), null_mut());
            }
            306 => {
                KeInitializeEvent(event, 0, 0);
                KeSetEvent(event, 0, 1);
            }
            _ => {
                ExFreePoolWithTag(event.cast(), TAG);
                other();
            }
        }
    }
}

unsafe fn other() {
    unsafe {
        match fault() {
            310 | 312 => {
                let timer = block::<c_void>(64);
                KeInitializeTimerEx(timer, 0);
                KeSetTimerEx(timer, -1_000_000_000, 0, null_mut());
                if fault() == 310 {
                    ExFreePoolWithTag(timer.cast(), TAG);
                } else {
                    KeInitializeTimerEx(timer, 0);
                }
            }
            311 => {
                let timer = block::<c_void>(64);
                // No object of any kind.
                *timer.cast::<u64>() = 0x7F;
                KeSetTimerEx(timer, -10, 0, null_mut());
            }
            320 => {
                let dpc = queue_behind_others();
                ExFreePoolWithTag(dpc.cast(), TAG);
            }
            321 => {
                KeInsertQueueDpc(block(64), null_mut(), null_mut());
            }
            322 => KeInitializeDpc(queue_behind_others(), nothing, null_mut()),
            330 => {
                let mut handle = null_mut();
                PsCreateSystemThread(
                    &mut handle,
                    0x1F_FFFF,
                    null_mut(),
                    null_mut(),
                    null_mut(),
                    leaves_raised,
                    null_mut(),
                );
                wait_for_ever();
            }
            331 => {
                PsTerminateSystemThread(SUCCESS);
            }
            340 => IoFreeWorkItem(block(64)),
            341 => {
                let device = Device(DEVICE.load(Ordering::Acquire));
                KeInitializeEvent((&raw mut READY).cast(), 0, 0);
                for _ in 0..BLOCKERS {
                    IoQueueWorkItem(IoAllocateWorkItem(device), waits, 1, null_mut());
                }
                let item = IoAllocateWorkItem(device);
                IoQueueWorkItem(item, waits, 1, null_mut());
                IoQueueWorkItem(item, waits, 1, null_mut());
            }
            _ => {}
        }
    }
}

/// Where a DPC that never ends to be queued is left behind.
pub unsafe fn unload() {
    unsafe {
        if fault() == 323 {
            let dpc = (&raw mut DPCS).cast::<c_void>();
            KeInitializeDpc(dpc, queues_itself, null_mut());
            KeInsertQueueDpc(dpc, null_mut(), null_mut());
        }
    }
}

unsafe extern "C" fn wait_for_event(event: *mut c_void) {
    unsafe {
        // With Wait set, READY is set when this thread has begun to wait for the other one, not before.
        KeSetEvent((&raw mut READY).cast(), 0, 1);
        KeWaitForSingleObject(event, 0, 0, 0, core::ptr::null());
    }
}

/// Returns when another thread waits for the event.
unsafe fn wait_in_another_thread(event: *mut c_void) {
    unsafe {
        KeInitializeEvent(event, 0, 0);
        KeInitializeEvent((&raw mut READY).cast(), 0, 0);
        let mut handle = null_mut();
        PsCreateSystemThread(&mut handle, 0x1F_FFFF, null_mut(), null_mut(), null_mut(), wait_for_event, event);
        KeWaitForSingleObject((&raw mut READY).cast(), 0, 0, 0, core::ptr::null());
    }
}

/// The lab stops because of another thread.
unsafe fn wait_for_ever() {
    unsafe {
        KeInitializeEvent((&raw mut READY).cast(), 0, 0);
        KeWaitForSingleObject((&raw mut READY).cast(), 0, 0, 0, core::ptr::null());
    }
}

unsafe extern "C" fn leaves_raised(_: *mut c_void) {
    unsafe { KfRaiseIrql(1) };
}

unsafe extern "C" fn waits(_: Device, _: *mut c_void) {
    unsafe {
        KeWaitForSingleObject((&raw mut READY).cast(), 0, 0, 0, core::ptr::null());
    }
}

unsafe extern "C" fn nothing(_: *mut c_void, _: *mut c_void, _: *mut c_void, _: *mut c_void) {}

unsafe extern "C" fn spins(_: *mut c_void, _: *mut c_void, _: *mut c_void, _: *mut c_void) {
    unsafe {
        KeAcquireSpinLockAtDpcLevel(&raw mut LOCK);
        KeReleaseSpinLockFromDpcLevel(&raw mut LOCK);
    }
}

unsafe extern "C" fn queues_itself(dpc: *mut c_void, _: *mut c_void, _: *mut c_void, _: *mut c_void) {
    unsafe { KeInsertQueueDpc(dpc, null_mut(), null_mut()) };
}

/// A DPC that stays queued: those before it wait for a lock that this thread keeps.
unsafe fn queue_behind_others() -> *mut c_void {
    unsafe {
        KeAcquireSpinLockRaiseToDpc(&raw mut LOCK);
        for i in 0..BLOCKERS {
            let dpc = (&raw mut DPCS[i]).cast();
            KeInitializeDpc(dpc, spins, null_mut());
            KeInsertQueueDpc(dpc, null_mut(), null_mut());
        }
        let dpc = block(64);
        KeInitializeDpc(dpc, nothing, null_mut());
        KeInsertQueueDpc(dpc, null_mut(), null_mut());
        dpc
    }
}
