//! Faults with requests: 5xx.

use crate::io::{self, on_cancel};
use crate::wdf::{self, Handle};
use crate::{PENDING, SUCCESS, fault, reference};
use core::ptr::null_mut;
use core::sync::atomic::Ordering;

/// True where the request is completed or given away.
pub fn run(queue: Handle, request: Handle) -> bool {
    let waiting = io::WAITING.load(Ordering::Relaxed);
    let cancel = on_cancel as *const () as usize;
    let (mut o, mut p, mut n) = (0, null_mut(), 0);
    match fault() {
        // wdf.request-completed-twice
        501 => {
            wdf::request_complete(request, SUCCESS);
            wdf::request_complete(request, SUCCESS);
        }
        // wdf.request-used-after-completion: gone, or kept by a reference.
        503 => {
            wdf::request_complete(request, SUCCESS);
            wdf::request_set_information(request, 1);
        }
        504 => {
            reference(request);
            wdf::request_complete(request, SUCCESS);
            wdf::request_input(request, 1, &raw mut p, &raw mut n);
        }
        // wdf.request-completed-while-cancelable
        505 => {
            wdf::mark_cancelable(request, cancel);
            wdf::request_complete(request, SUCCESS);
        }
        // wdf.request-not-cancelable
        506 => _ = wdf::unmark_cancelable(request),
        // wdf.request-marked-twice
        507 => {
            wdf::mark_cancelable(request, cancel);
            wdf::mark_cancelable(request, cancel);
        }
        // wdf.request-completed-pending
        508 => wdf::request_complete(request, PENDING),
        // wdf.request-information-mismatch
        509 => wdf::request_complete_with(request, SUCCESS, 1000),
        // wdf.request-not-owned: it is the queue's.
        510 => {
            wdf::request_forward(request, waiting);
            wdf::request_complete(request, SUCCESS);
        }
        // wdf.request-forwarded-cancelable
        511 => {
            wdf::mark_cancelable(request, cancel);
            wdf::request_forward(request, waiting);
        }
        // wdf.request-cancel-callback-null
        512 => wdf::mark_cancelable(request, 0),
        // wdf.stop-acknowledge-unexpected
        513 => wdf::request_stop_acknowledge(request, 0),
        // wdf.unsafe-buffer-outside-caller-context
        514 => _ = wdf::request_unsafe_input(request, 1, &raw mut p, &raw mut n),
        // wdf.request-completed-with-references
        515 => {
            wdf::request_input_memory(request, &raw mut o);
            reference(o);
            wdf::request_complete(request, SUCCESS);
        }
        // wdf.request-forwarded-wrongly: to where it came from; to another device's; back to a queue that is not manual.
        516 => _ = wdf::request_forward(request, queue),
        517 => {
            let control = crate::device::CONTROL.load(Ordering::Relaxed);
            wdf::request_forward(request, wdf::device_default_queue(control));
        }
        518 => _ = wdf::request_requeue(request),
        _ => return false,
    }
    true
}
