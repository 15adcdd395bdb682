//! The I/O manager: WDM, and nothing that knows of a framework.
//!
//! Files here: `irp` (IRPs, stack locations, completion), `cancel`, `device` (driver and device objects, stacks),
//! `names` (the object namespace), `file` (opens and closes), `request` (a user's requests, their buffers and
//! completion), `removal` (remove locks).

pub mod cancel;
pub mod device;
pub mod file;
pub mod irp;
pub mod names;
mod poison;
pub mod removal;
pub mod request;

pub use cancel::{acquire_cancel_lock, cancel_irp, release_cancel_lock};
pub use device::{attach_to_stack, attached_device, create_device, delete_device, detach};
pub use irp::{
    allocate_irp, call_driver, complete_request, current_stack, free_irp, mark_pending, next_stack, reuse_irp,
    set_cancel_routine, set_completion, take_irp,
};
pub use names::{create_symbolic_link, delete_symbolic_link, register_interface, set_interface_state};

use crate::Export;

/// What this family exports.
#[must_use]
pub fn exports() -> Vec<Export> {
    let mut v = irp::exports();
    v.extend(cancel::exports());
    v.extend(device::exports());
    v.extend(names::exports());
    v.extend(removal::exports());
    v
}
