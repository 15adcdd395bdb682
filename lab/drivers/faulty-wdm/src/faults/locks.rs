//! IRQL, spin locks, fast mutexes, rundown protection, remove locks.

use super::block;
use crate::nt::*;
use crate::{TAG, fault};
use core::ffi::c_void;
use core::ptr::null_mut;

static mut FREE: u64 = 0;
static mut OTHER: u64 = 0;

unsafe extern "C" fn keeps_a_lock(_: *mut c_void, _: *mut c_void, _: *mut c_void, _: *mut c_void) {
    unsafe { KeAcquireSpinLockAtDpcLevel(&raw mut FREE) };
}

pub unsafe fn request() {
    unsafe {
        match fault() {
            200 => KeLowerIrql(2),
            201 => {
                KfRaiseIrql(2);
                KfRaiseIrql(1);
            }
            202 => {
                KfRaiseIrql(2);
            }
            203 => {
                let old = KeAcquireSpinLockRaiseToDpc(&raw mut FREE);
                KeLowerIrql(old);
            }
            204 => {
                KfRaiseIrql(2);
                KeDelayExecutionThread(0, 0, &-1);
            }
            210 => {
                let dpc = block(64);
                KeInitializeDpc(dpc, keeps_a_lock, null_mut());
                KeInsertQueueDpc(dpc, null_mut(), null_mut());
                KeFlushQueuedDpcs();
            }
            211 => {
                let lock = block::<u64>(8);
                // What no lock that is held or free contains.
                *lock = 0xCDCD_CDCD_CDCD_CDCD;
                KeAcquireSpinLockRaiseToDpc(lock);
            }
            212 => {
                let lock = block::<u64>(64);
                KeAcquireSpinLockRaiseToDpc(lock);
                ExFreePoolWithTag(lock.cast(), TAG);
            }
            213 => KeAcquireSpinLockAtDpcLevel(&raw mut FREE),
            214 => {
                let old = KfRaiseIrql(2);
                KeReleaseSpinLock(&raw mut FREE, old);
            }
            215 => {
                let lock = block::<u64>(64);
                KeAcquireSpinLockRaiseToDpc(lock);
                KeAcquireSpinLockAtDpcLevel(lock);
            }
            216 => {
                let (a, b) = (&raw mut FREE, &raw mut OTHER);
                for (first, second) in [(a, b), (b, a)] {
                    let old = KeAcquireSpinLockRaiseToDpc(first);
                    KeAcquireSpinLockAtDpcLevel(second);
                    KeReleaseSpinLockFromDpcLevel(second);
                    KeReleaseSpinLock(first, old);
                }
            }
            217 => {
                // A circle of three, and a lock in pool at its end.
                let c = block::<u64>(64);
                for (first, second) in [(&raw mut FREE, &raw mut OTHER), (&raw mut OTHER, c), (c, &raw mut FREE)] {
                    let old = KeAcquireSpinLockRaiseToDpc(first);
                    KeAcquireSpinLockAtDpcLevel(second);
                    KeReleaseSpinLockFromDpcLevel(second);
                    KeReleaseSpinLock(first, old);
                }
            }
            220..230 => mutex(),
            230..240 => rundown(),
            _ => {}
        }
    }
}

unsafe fn mutex() {
    unsafe {
        let m = block::<c_void>(64);
        KeInitializeGuardedMutex(m);
        match fault() {
            220 => {
                ExAcquireFastMutex(m);
                KeLowerIrql(0);
                ExReleaseFastMutex(m);
            }
            221 => {
                KfRaiseIrql(1);
                ExReleaseFastMutex(m);
            }
            222 => {
                ExAcquireFastMutex(m);
                ExAcquireFastMutex(m);
            }
            _ => {}
        }
    }
}

unsafe fn rundown() {
    unsafe {
        let r = block::<u64>(64);
        match fault() {
            230 => {
                ExInitializeRundownProtection(r);
                ExRundownCompleted(r);
            }
            231 => {
                *r = 0xCDCD_CDCD_CDCD_CDCC;
                ExAcquireRundownProtection(r);
            }
            232 => {
                ExInitializeRundownProtection(r);
                ExReleaseRundownProtection(r);
            }
            235 => {
                IoInitializeRemoveLockEx(r.cast(), TAG, 0, 0, 32);
                // The first gives back what initialising took.
                IoReleaseRemoveLockEx(r.cast(), null_mut(), 32);
                IoReleaseRemoveLockEx(r.cast(), null_mut(), 32);
            }
            _ => {}
        }
    }
}
