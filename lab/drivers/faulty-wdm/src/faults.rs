//! What breaks a rule, by number and by the moment it happens at. `None` from a request's fault: the driver goes on as if nothing was.

use crate::nt::*;
use crate::{TAG, fault};

/// In DriverEntry, when all is set up.
pub unsafe fn load(_driver: Driver) -> Status {
    SUCCESS
}

/// In the control request.
pub unsafe fn request(irp: Irp) -> Option<Status> {
    unsafe {
        match fault() {
            1 => {
                let p = ExAllocatePool2(0x40, 32, TAG);
                ExFreePoolWithTag(p, TAG);
                ExFreePoolWithTag(p, TAG);
            }
            2 => {
                ExAllocatePool2(0x40, 100, TAG);
            }
            3 => return Some(irp.complete(SUCCESS, 4096)),
            _ => {}
        }
        None
    }
}

/// In a read, before it waits.
pub unsafe fn read(_irp: Irp) -> Option<Status> {
    None
}

/// When the file is closed.
pub unsafe fn close(_irp: Irp) -> Option<Status> {
    None
}

/// In the unload routine, before it gives back anything.
pub unsafe fn unload(_driver: Driver) {}
