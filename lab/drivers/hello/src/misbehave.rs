//! One broken rule per number; the test script lists which rule the lab must name.

use crate::TAG;
use crate::nt::*;
use core::ptr::null_mut;

static mut FREE: u64 = 0;

pub unsafe fn act(what: u8, irp: Irp) -> Status {
    unsafe {
        match what {
            1 => {
                // Leaks: seen at unload.
                ExAllocatePool2(0x40, 100, TAG);
            }
            2 => {
                let p = ExAllocatePool2(0x40, 32, TAG);
                ExFreePoolWithTag(p, TAG);
                ExFreePoolWithTag(p, TAG);
            }
            3 => {
                let p = ExAllocatePool2(0x40, 30, TAG);
                *p.wrapping_add(30) = 1;
                ExFreePoolWithTag(p, TAG);
            }
            4 => {
                let p = ExAllocatePool2(0x40, 32, TAG);
                ExFreePoolWithTag(p, TAG + 1);
            }
            5 => {
                KeAcquireSpinLockRaiseToDpc(&raw mut FREE);
                KeAcquireSpinLockRaiseToDpc(&raw mut FREE);
            }
            6 => {
                let old = KfRaiseIrql(2);
                KeReleaseSpinLock(&raw mut FREE, old);
            }
            7 => {
                let old = KfRaiseIrql(2);
                ExAllocatePool2(0x100, 32, TAG);
                KeLowerIrql(old);
            }
            8 => {
                let mut event = Storage([0; 3]);
                KeInitializeEvent((&raw mut event).cast(), 0, 0);
                let old = KfRaiseIrql(2);
                KeWaitForSingleObject((&raw mut event).cast(), 0, 0, 0, &-10_000);
                KeLowerIrql(old);
            }
            9 => {
                let mut event = Storage([u64::MAX; 3]);
                KeSetEvent((&raw mut event).cast(), 0, 0);
            }
            10 => {
                irp.complete(SUCCESS, 0);
                return irp.complete(SUCCESS, 0);
            }
            11 => return PENDING,
            12 => {
                irp.mark_pending();
                return irp.complete(SUCCESS, 0);
            }
            13 => return SUCCESS,
            14 => return irp.complete(SUCCESS, 4096),
            // Says that it wrote 16 bytes beyond the input.
            15 => return irp.complete(SUCCESS, 32),
            16 => {
                null_mut::<u8>().write_volatile(1);
            }
            17 => {
                KfRaiseIrql(2);
            }
            18 => {
                let p = ExAllocatePool2(0x40, 64, TAG);
                ExFreePoolWithTag(p, TAG);
                // Seen when the block leaves quarantine, at the latest at unload.
                p.wrapping_add(8).write_volatile(1);
            }
            19 => KeBugCheckEx(0xE2, 1, 2, 3, 4),
            20 => {
                let p = ExAllocatePool2(0x40, 64, TAG);
                KeInitializeTimerEx(p.cast(), 0);
                KeSetTimerEx(p.cast(), -1_000_000_000, 0, null_mut());
                ExFreePoolWithTag(p, TAG);
            }
            21 => {
                let p = ExAllocatePool2(0x40, 64, TAG);
                let m = IoAllocateMdl(p, 64, 0, 0, null_mut());
                MmBuildMdlForNonPagedPool(m);
                MmBuildMdlForNonPagedPool(m);
                IoFreeMdl(m);
                IoFreeMdl(m);
                ExFreePoolWithTag(p, TAG);
            }
            22 => {
                ExAllocatePool2(0x40, 64, 0);
            }
            23 => {
                irp.complete(SUCCESS, 0);
                return INVALID_REQUEST;
            }
            24 => {
                ExAllocatePool2(0x140, 64, TAG);
            }
            _ => return irp.complete(INVALID_REQUEST, 0),
        }
        irp.complete(SUCCESS, 0)
    }
}
