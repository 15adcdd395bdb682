//! What breaks a rule, by number and by the moment it happens at; the numbers' hundreds are the files here. Nothing returned from a
//! request's fault: the driver goes on as if nothing was.

mod cng;
mod devices;
mod locks;
mod memory;
mod misc;
mod requests;
mod waits;

use crate::nt::*;
use crate::{TAG, fault};
pub use devices::{LINK_LEFT, NOT_ATTACHED, NOT_DETACHED, REMOVE_FAILED, STILL_INITIALIZING};
pub use requests::{READ_KEPT, cleanup, close, read};

/// In DriverEntry, when all is set up.
pub unsafe fn load(driver: Driver) -> Status {
    unsafe { devices::load(driver) };
    SUCCESS
}

/// In the control request.
pub unsafe fn request(irp: Irp) -> Option<Status> {
    unsafe {
        match fault() / 100 {
            1 => memory::request(),
            2 => locks::request(),
            3 => waits::request(),
            4 => return requests::request(irp),
            5 => devices::request(),
            6 => misc::request(),
            7 => cng::request(),
            _ => {}
        }
        None
    }
}

/// In the unload routine, before it gives back anything.
pub unsafe fn unload() {
    unsafe { waits::unload() };
}

/// A zeroed block of non-paged pool.
unsafe fn block<T>(size: usize) -> *mut T {
    unsafe { ExAllocatePool2(0x40, size, TAG).cast() }
}
