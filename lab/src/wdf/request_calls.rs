//! WdfRequest* other than buffers.

use super::abi::{Handle, HandleCallback, INVALID_DEVICE_REQUEST, NtStatus};
use super::bind::{G, enter};
use super::device::Device;
use super::file;
use super::object::{self, Ref};
use super::queue::{self, QUEUE, Queue};
use super::request::{self, Request};
use super::table::{Entry, entries};
use crate::fault;
use crate::irql::DISPATCH;
use crate::nt::IRP;
use crate::report::{Rule, record, stop};

const CANCELABLE: Rule = Rule::new(
    "wdf.request-forwarded-cancelable",
    "WDK: WdfRequestForwardToIoQueue, WdfRequestRequeue (unmark a cancelable request first)",
);
const WRONGLY: Rule = Rule::new(
    "wdf.request-forwarded-wrongly",
    "WDK: WdfRequestForwardToIoQueue (to another queue of the same device), WdfRequestRequeue (to a manual queue)",
);
const NO_CALLBACK: Rule =
    Rule::new("wdf.request-cancel-callback-null", "WDK: WdfRequestMarkCancelable (EvtRequestCancel is required)");
const STOP_ACK: Rule =
    Rule::new("wdf.stop-acknowledge-unexpected", "WDK: WdfRequestStopAcknowledge (in answer to EvtIoStop only)");

unsafe extern "win64" fn complete(g: G, r: Handle, status: NtStatus) {
    let _call = enter(g, "WdfRequestComplete", DISPATCH);
    request::complete_by_driver(r, status, 0, None);
}

unsafe extern "win64" fn complete_boost(g: G, r: Handle, status: NtStatus, boost: i8) {
    let _call = enter(g, "WdfRequestCompleteWithPriorityBoost", DISPATCH);
    request::complete_by_driver(r, status, boost, None);
}

unsafe extern "win64" fn complete_information(g: G, r: Handle, status: NtStatus, information: u64) {
    let _call = enter(g, "WdfRequestCompleteWithInformation", DISPATCH);
    request::complete_by_driver(r, status, 0, Some(information));
}

unsafe extern "win64" fn parameters(g: G, r: Handle, p: *mut u8) {
    let _call = enter(g, "WdfRequestGetParameters", DISPATCH);
    // SAFETY: the driver's WDF_REQUEST_PARAMETERS; the request is not completed.
    unsafe { request::parameters(request::expect(r).1, p) };
}

unsafe extern "win64" fn set_information(g: G, r: Handle, v: u64) {
    let _call = enter(g, "WdfRequestSetInformation", DISPATCH);
    request::expect_owned(r).1.irp.set_information(v);
}

unsafe extern "win64" fn get_information(g: G, r: Handle) -> u64 {
    let _call = enter(g, "WdfRequestGetInformation", DISPATCH);
    request::expect(r).1.irp.information()
}

unsafe extern "win64" fn get_status(g: G, r: Handle) -> NtStatus {
    let _call = enter(g, "WdfRequestGetStatus", DISPATCH);
    let (_, r) = request::expect(r);
    // SAFETY: the request is not completed, so the IRP lives.
    unsafe { (*r.irp.0).IoStatus.Status }
}

unsafe extern "win64" fn get_file(g: G, r: Handle) -> Handle {
    let _call = enter(g, "WdfRequestGetFileObject", DISPATCH);
    let (_, r) = request::expect(r);
    file::of_irp(r.device.body::<Device>(), r.irp).map_or(0, |f| f.handle())
}

unsafe extern "win64" fn get_queue(g: G, r: Handle) -> Handle {
    let _call = enter(g, "WdfRequestGetIoQueue", DISPATCH);
    request::expect(r).1.state().queue.map_or(0, |q| q.handle())
}

unsafe extern "win64" fn requestor_mode(g: G, r: Handle) -> i8 {
    let _call = enter(g, "WdfRequestGetRequestorMode", DISPATCH);
    let (_, r) = request::expect(r);
    // SAFETY: the request is not completed, so the IRP lives.
    unsafe { (*r.irp.0).RequestorMode }
}

unsafe extern "win64" fn get_irp(g: G, r: Handle) -> *mut IRP {
    let _call = enter(g, "WdfRequestWdmGetIrp", DISPATCH);
    request::expect(r).1.irp.0
}

unsafe extern "win64" fn is_false(g: G, r: Handle) -> u8 {
    let _call = enter(g, "WdfRequestIsFrom32BitProcess/IsReserved", DISPATCH);
    let _request = request::expect(r);
    0
}

unsafe extern "win64" fn process_id(g: G, r: Handle) -> u32 {
    let _call = enter(g, "WdfRequestGetRequestorProcessId", DISPATCH);
    let _request = request::expect(r);
    4
}

unsafe extern "win64" fn is_canceled(g: G, r: Handle) -> u8 {
    let _call = enter(g, "WdfRequestIsCanceled", DISPATCH);
    u8::from(request::expect_owned(r).1.irp.cancelled())
}

fn mark(r: Handle, f: Option<HandleCallback>, ex: bool) -> NtStatus {
    match f {
        Some(f) => request::mark_cancelable(r, f, ex),
        None => stop(NO_CALLBACK, "EvtRequestCancel is NULL"),
    }
}

unsafe extern "win64" fn mark_cancelable(g: G, r: Handle, f: Option<HandleCallback>) {
    let _call = enter(g, "WdfRequestMarkCancelable", DISPATCH);
    mark(r, f, false);
}

unsafe extern "win64" fn mark_cancelable_ex(g: G, r: Handle, f: Option<HandleCallback>) -> NtStatus {
    let _call = enter(g, "WdfRequestMarkCancelableEx", DISPATCH);
    mark(r, f, true)
}

unsafe extern "win64" fn unmark_cancelable(g: G, r: Handle) -> NtStatus {
    let _call = enter(g, "WdfRequestUnmarkCancelable", DISPATCH);
    request::unmark_cancelable(r)
}

fn not_cancelable(o: Ref, r: &Request) {
    if r.cancelable() {
        stop(CANCELABLE, &format!("{o:?}"));
    }
}

unsafe extern "win64" fn forward(g: G, r: Handle, queue: Handle) -> NtStatus {
    let _call = enter(g, "WdfRequestForwardToIoQueue", DISPATCH);
    let (o, r) = request::expect_owned(r);
    let q = object::expect(queue, &QUEUE);
    not_cancelable(o, r);
    let from = r.state().queue;
    if !std::ptr::eq(q.body::<Queue>().device, r.device) {
        record(WRONGLY, &format!("{o:?} is a request of {:?}, {q:?} is another device's", r.device));
        return INVALID_DEVICE_REQUEST;
    }
    if from.is_some_and(|f| std::ptr::eq(f, q)) {
        record(WRONGLY, &format!("{o:?} came from {q:?}"));
        return INVALID_DEVICE_REQUEST;
    }
    // A queue that does not accept: its device is on its way out.
    if fault::fails("WdfRequestForwardToIoQueue") {
        return super::abi::WDF_BUSY;
    }
    queue::put(q, o, false)
}

unsafe extern "win64" fn requeue(g: G, r: Handle) -> NtStatus {
    let _call = enter(g, "WdfRequestRequeue", DISPATCH);
    let (o, r) = request::expect_owned(r);
    not_cancelable(o, r);
    let from = r.state().queue;
    match from {
        Some(q) if q.body::<Queue>().config.dispatch == queue::MANUAL => queue::put(q, o, true),
        from => {
            record(WRONGLY, &format!("{o:?} did not come from a manual queue but from {from:?}"));
            INVALID_DEVICE_REQUEST
        }
    }
}

unsafe extern "win64" fn stop_acknowledge(g: G, r: Handle, again: u8) {
    let _call = enter(g, "WdfRequestStopAcknowledge", DISPATCH);
    let (o, r) = request::expect_owned(r);
    let from = {
        let mut s = r.state();
        if !std::mem::replace(&mut s.stopping, false) {
            drop(s);
            stop(STOP_ACK, &format!("{o:?} was not asked to stop"));
        }
        s.suspended = again == 0;
        s.queue
    };
    let Some(q) = from else { return };
    if again != 0 {
        not_cancelable(o, r);
        let _ = queue::put(q, o, true);
    }
    queue::acknowledged(q);
}

/// This file's part of the table.
#[must_use]
pub fn table_entries() -> Vec<Entry> {
    entries! {
        "WdfRequestComplete" => complete,
        "WdfRequestCompleteWithPriorityBoost" => complete_boost,
        "WdfRequestCompleteWithInformation" => complete_information,
        "WdfRequestGetParameters" => parameters,
        "WdfRequestSetInformation" => set_information,
        "WdfRequestGetInformation" => get_information,
        "WdfRequestGetStatus" => get_status,
        "WdfRequestGetFileObject" => get_file,
        "WdfRequestGetIoQueue" => get_queue,
        "WdfRequestGetRequestorMode" => requestor_mode,
        "WdfRequestWdmGetIrp" => get_irp,
        "WdfRequestIsFrom32BitProcess" => is_false,
        "WdfRequestIsReserved" => is_false,
        "WdfRequestGetRequestorProcessId" => process_id,
        "WdfRequestIsCanceled" => is_canceled,
        "WdfRequestMarkCancelable" => mark_cancelable,
        "WdfRequestMarkCancelableEx" => mark_cancelable_ex,
        "WdfRequestUnmarkCancelable" => unmark_cancelable,
        "WdfRequestForwardToIoQueue" => forward,
        "WdfRequestRequeue" => requeue,
        "WdfRequestStopAcknowledge" => stop_acknowledge,
    }
}
