//! IRPs and their buffers.

use super::block;
use crate::nt::*;
use crate::{DEVICE, fault};
use core::sync::atomic::Ordering;

/// The fault of a read that its file's cleanup takes and keeps, when nothing can cancel it any more.
pub const READ_KEPT: u32 = 413;

unsafe extern "C" fn cancel(_device: Device, irp: Irp) {
    unsafe {
        // The cancel spin lock is kept.
        irp.complete(CANCELLED, 0);
    }
}

pub unsafe fn request(irp: Irp) -> Option<Status> {
    unsafe {
        let device = Device(DEVICE.load(Ordering::Acquire));
        match fault() {
            // Says that it wrote 16 bytes beyond the input.
            401 => return Some(irp.complete(SUCCESS, 32)),
            402 => return Some(irp.complete(SUCCESS, 4096)),
            404 => {
                irp.set_cancel(Some(cancel));
                return Some(irp.complete(SUCCESS, 0));
            }
            405 => return Some(irp.complete(PENDING, 0)),
            406 => {
                irp.complete(SUCCESS, 0);
                return Some(irp.complete(SUCCESS, 0));
            }
            407 => {
                let own = IoAllocateIrp(2, 0);
                own.set_cancel(Some(cancel));
                *own.next::<u8>(0) = 15;
                IofCallDriver(device, own);
            }
            408 => IoFreeIrp(irp),
            409 => IofCompleteRequest(Irp(block(256)), 0),
            410 => return Some(SUCCESS),
            411 => {
                IofCallDriver(Device(block(512)), IoAllocateIrp(1, 0));
            }
            // The request has one location, which is this driver's.
            412 => return Some(IofCallDriver(device, irp)),
            414 => {
                let own = IoAllocateIrp(1, 0);
                *own.next::<u8>(0) = 15;
                IofCallDriver(device, own);
            }
            415 => return Some(PENDING),
            416 => {
                irp.mark_pending();
                return Some(irp.complete(SUCCESS, 0));
            }
            417 => {
                irp.complete(SUCCESS, 0);
                return Some(INVALID_REQUEST);
            }
            419 => {
                irp.complete(SUCCESS, 0);
                irp.field::<u64>(56).write_volatile(16);
                return Some(SUCCESS);
            }
            _ => {}
        }
        None
    }
}

/// In a read, before it waits.
pub unsafe fn read(irp: Irp) -> Option<Status> {
    unsafe {
        if fault() != 403 {
            return None;
        }
        irp.mark_pending();
        irp.set_cancel(Some(cancel));
        Some(PENDING)
    }
}

/// When the file's last handle is closed.
pub unsafe fn cleanup(irp: Irp) -> Option<Status> {
    unsafe {
        if fault() != 418 {
            return None;
        }
        irp.mark_pending();
        Some(PENDING)
    }
}

/// When the file is closed.
pub unsafe fn close(irp: Irp) -> Option<Status> {
    unsafe { (fault() == 400).then(|| irp.complete(UNSUCCESSFUL, 0)) }
}
