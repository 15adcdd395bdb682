//! Pool, lists, MDLs.

use super::block;
use crate::nt::*;
use crate::{TAG, fault};
use core::ptr::null_mut;

pub unsafe fn request() {
    unsafe {
        match fault() {
            100 => {
                // Non-paged and paged at once.
                ExAllocatePool2(0x140, 64, TAG);
            }
            101 => ExFreePoolWithTag(block::<u8>(64).wrapping_add(16), TAG),
            102 => {
                let p = block(32);
                ExFreePoolWithTag(p, TAG);
                ExFreePoolWithTag(p, TAG);
            }
            103 => {
                ExAllocatePool2(0x80, 64, TAG);
            }
            104 => {
                let old = KfRaiseIrql(2);
                ExAllocatePool2(0x100, 32, TAG);
                KeLowerIrql(old);
            }
            105 => {
                block::<u8>(100);
            }
            106 => {
                let p = block::<u8>(30);
                p.wrapping_add(30).write_volatile(1);
                ExFreePoolWithTag(p, TAG);
            }
            107 => {
                // Raises where it fails, which an option of the lab's sees to.
                ExAllocatePool2(0x60, 64, TAG);
            }
            108 => {
                let p = block::<u8>(30);
                p.wrapping_sub(1).write_volatile(1);
                ExFreePoolWithTag(p, TAG);
            }
            109 => {
                let p = block::<u8>(64);
                ExFreePoolWithTag(p, TAG);
                // Seen when the block leaves quarantine, at the latest at unload.
                p.wrapping_add(8).write_volatile(1);
            }
            110 => ExFreePoolWithTag(block(32), TAG + 1),
            111 => {
                ExAllocatePool2(0x40, 0, TAG);
            }
            112 => {
                ExAllocatePool2(0x40, 64, 0);
            }
            113 => ExDeleteNPagedLookasideList(block(128)),
            114 => {
                let head = block::<u8>(64);
                ExpInterlockedPushEntrySList(head.cast(), head.wrapping_add(40).cast());
            }
            115 => {
                let p = block::<u8>(100);
                ExFreePoolWithTag(p, TAG);
                p.wrapping_add(8).read_volatile();
            }
            116 => {
                block::<u8>(96).wrapping_add(96).read_volatile();
            }
            120..130 => mdl(),
            _ => {}
        }
    }
}

unsafe fn mdl() {
    unsafe {
        let p = block::<u8>(8192);
        let m = IoAllocateMdl(p, 8192, 0, 0, null_mut());
        match fault() {
            120 => {
                MmProbeAndLockPages(m, 0, 0);
                IoFreeMdl(m);
            }
            121 => IoFreeMdl(p),
            122 => {
                MmBuildMdlForNonPagedPool(m);
                MmMapLockedPagesSpecifyCache(m, 0, 1, null_mut(), 0, 16);
            }
            123 => {
                MmMapLockedPagesSpecifyCache(m, 0, 1, null_mut(), 0, 16);
            }
            124 => {
                MmBuildMdlForNonPagedPool(m);
                let part = IoAllocateMdl(p, 8192, 0, 0, null_mut());
                IoBuildPartialMdl(m, part, p.wrapping_add(8000), 500);
            }
            125 => MmUnlockPages(m),
            // Leaks: the MDL, not the memory.
            126 => ExFreePoolWithTag(p, TAG),
            _ => {}
        }
    }
}
