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
            609..=619 => events(),
            _ => {}
        }
    }
}

/// EVENT_DESCRIPTOR of a TraceLogging event: channel 11, level 4, keyword 1.
#[repr(align(8))]
struct Event([u8; 16]);
static EVENT: Event = Event([0, 0, 0, 11, 4, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
static CLASSIC: Event = Event([0, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
static TRAITS: [u8; 6] = *b"\x06\0A.B\0";
/// A field of 32 bits.
static METADATA: [u8; 8] = *b"\x08\0\0E\0F\0\x08";
static LONGER: [u8; 8] = *b"\x09\0\0E\0F\0\x08";

/// An event of a provider that is registered for it, with one thing wrong.
unsafe fn events() {
    unsafe {
        let mut handle = 0;
        EtwRegister([7u8; 16].as_ptr(), core::ptr::null(), null_mut(), &mut handle);
        if fault() == 615 {
            return;
        }
        let length = TRAITS.len() as u32 - u32::from(fault() == 612);
        EtwSetInformation(handle, 2, TRAITS.as_ptr(), length);
        let value = 7u32;
        let piece = |bytes: &[u8], kind| Piece { address: bytes.as_ptr(), size: bytes.len() as u32, kind };
        let metadata = if fault() == 613 { &LONGER } else { &METADATA };
        let mut pieces = [
            piece(&TRAITS, 2),
            piece(metadata, 1),
            Piece { address: (&raw const value).cast(), size: if fault() == 614 { 3 } else { 4 }, kind: 0 },
        ];
        if fault() == 610 {
            pieces.swap(0, 1);
        }
        let mut paged = null_mut();
        let mut irql = 0;
        if fault() == 611 {
            paged = ExAllocatePool2(0x100, 4, crate::TAG);
            pieces[2].address = paged;
            irql = KfRaiseIrql(2);
        }
        if fault() == 616 {
            EtwUnregister(handle);
        }
        let event = if fault() == 609 { &CLASSIC } else { &EVENT };
        EtwWriteTransfer(handle, event.0.as_ptr(), core::ptr::null(), core::ptr::null(), 3, pieces.as_ptr());
        if fault() == 611 {
            KeLowerIrql(irql);
            ExFreePoolWithTag(paged, crate::TAG);
        }
        if fault() != 616 {
            EtwUnregister(handle);
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
