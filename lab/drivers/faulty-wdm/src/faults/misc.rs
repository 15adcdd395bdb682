//! Bug checks, faults, exceptions, debug output, ETW, the stack, strings.

use super::block;
use crate::nt::*;
use crate::{fault, unicode, wide};
use core::ptr::null_mut;

static TEXT: [u16; 4] = wide(b"text");

pub unsafe fn request() {
    unsafe {
        match fault() {
            600 => KeBugCheckEx(0xE2, 1, 2, 3, 4),
            601 => null_mut::<u8>().write_volatile(1),
            602 => {
                DbgPrintEx(77, 0, c"%f\n".as_ptr().cast(), 1.0f64);
            }
            603 => {
                let text = unicode(&TEXT);
                KfRaiseIrql(2);
                DbgPrintEx(77, 0, c"%wZ\n".as_ptr().cast(), &raw const text);
            }
            604 => {
                EtwUnregister(block::<u8>(64) as u64);
            }
            605 => ExRaiseStatus(UNSUCCESSFUL),
            606 => deep(16),
            607 => {
                let mut s = unicode(&TEXT);
                s.buffer = block(64);
                RtlFreeUnicodeString(&mut s);
            }
            608 => {
                let mut odd = unicode(&TEXT);
                odd.length = 5;
                let mut to = Unicode { length: 0, maximum: 64, buffer: block(64) };
                RtlCopyUnicodeString(&mut to, &odd);
            }
            _ => {}
        }
    }
}

/// So many frames of two kilobytes.
#[inline(never)]
unsafe fn deep(frames: u32) {
    unsafe {
        let mut room = [0u8; 2048];
        // All of it: nobody knows what is done with it.
        core::hint::black_box(&mut room);
        if frames == 0 {
            KeFlushQueuedDpcs();
        } else {
            deep(frames - 1);
        }
        core::hint::black_box(&mut room);
    }
}
