//! The dispatch routine of all major functions.

use super::abi::{INVALID_DEVICE_REQUEST, NO_SUCH_DEVICE, NtStatus, PENDING, SUCCESS};
use super::device::{DEVICE, Device};
use super::irp::{Dev, Irp};
use super::object::{self, Ref, lock};
use super::{file, pnp, queue, request};
use crate::nt::{DEVICE_OBJECT, IRP, mj};
use crate::report::InCall;

/// WDF_REQUEST_TYPE of a major function.
#[must_use]
pub const fn request_type(major: u8) -> u32 {
    major as u32
}

fn fail(irp: Irp, s: NtStatus) -> NtStatus {
    irp.complete(s, 0);
    s
}

/// `MajorFunction[*]`.
pub(super) unsafe extern "win64" fn entry(device: *mut DEVICE_OBJECT, irp: *mut IRP) -> NtStatus {
    let _call = InCall::enter("the framework's dispatch routine");
    let irp = Irp(irp);
    let Some(o) = object::find(Dev(device).handle()).filter(|o| o.is(&DEVICE)) else {
        return fail(irp, NO_SUCH_DEVICE);
    };
    match irp.function().0 {
        mj::PNP => pnp::dispatch(o, irp),
        mj::POWER => pnp::dispatch_power(o, irp),
        mj::SYSTEM_CONTROL => match o.body::<Device>().lower {
            Some(l) => irp.pass_down(l),
            None => fail(irp, INVALID_DEVICE_REQUEST),
        },
        mj::CREATE => file::create(o, irp),
        mj::CLEANUP => file::cleanup(o, irp),
        mj::CLOSE => file::close(o, irp),
        _ => io(o, irp),
    }
}

/// Read, write, device control and the rest: to a queue.
fn io(o: Ref, irp: Irp) -> NtStatus {
    let d: &Device = o.body();
    irp.set_information(0);
    let r = match request::create(o, irp) {
        Ok(r) => r,
        Err(s) => return fail(irp, s),
    };
    irp.mark_pending();
    if d.in_caller_context != 0 {
        request::in_caller_context(o, r);
    } else {
        deliver(o, r);
    }
    PENDING
}

/// The queue for a request's type.
#[must_use]
pub fn queue_for(d: &Device, kind: u32) -> Option<Ref> {
    let q = lock(&d.queues);
    q.by_type.get(&kind).copied().or(q.default)
}

/// Gives a request of the framework's to the queue of its type; returns what went wrong after completing it.
pub(super) fn deliver(o: Ref, r: Ref) {
    let d: &Device = o.body();
    let body: &request::Request = r.body();
    match queue_for(d, body.kind) {
        None => request::complete_by_framework(r, INVALID_DEVICE_REQUEST),
        Some(q) if body.has_no_data() && !q.body::<queue::Queue>().allow_zero_length => {
            request::complete_by_framework(r, SUCCESS)
        }
        Some(q) => queue::arrive(q, r),
    }
}
