//! WDFREQUEST: who owns it, its buffers, its cancellation, its completion.
//!
//! A request is with the framework, in a queue, with the driver, or completed. The IRP's cancel routine decides races
//! between cancellation and everything else: whoever takes it off the IRP has won.

use super::abi::{CANCELLED, Handle, HandleCallback, NtStatus, PENDING, SUCCESS};
use super::attributes::{Attributes, BAD_CONFIG_SIZE};
use super::device::Device;
use super::irp::{self, Irp};
use super::object::{self, Body, Judged, Kind, Ref, lock};
use super::sync::{driver_call, lock_of, under};
use super::{buffers, file, queue, worker};
use crate::irql;
use crate::nt::{DEVICE_OBJECT, IRP, mj};
use crate::report::{InCall, Rule, record, stop};
use std::sync::Mutex;

/// WDFREQUEST. The driver completes requests rather than deleting them.
pub static REQUEST: Kind = Kind::new("WDFREQUEST", false, false, false);

const TWICE: Rule = Rule::new("wdf.request-completed-twice", "WDK: WdfRequestComplete (a request is completed once)");
const NOT_OWNED: Rule = Rule::new("wdf.request-not-owned", "WDK: Request Ownership; WDF_VIOLATION (0x10D) code 6");
const AFTER: Rule =
    Rule::new("wdf.request-used-after-completion", "WDK: Completing I/O Requests (no access after WdfRequestComplete)");
const WHILE_CANCELABLE: Rule = Rule::new(
    "wdf.request-completed-while-cancelable",
    "WDK: WdfRequestUnmarkCancelable before completion; WDF_VIOLATION (0x10D) code 6",
);
const NOT_CANCELABLE: Rule =
    Rule::new("wdf.request-not-cancelable", "WDK: WdfRequestUnmarkCancelable (only after WdfRequestMarkCancelable)");
const MARKED_TWICE: Rule =
    Rule::new("wdf.request-marked-twice", "WDK: WdfRequestMarkCancelable (must not be cancelable already)");
const WITH_PENDING: Rule =
    Rule::new("wdf.request-completed-pending", "WDK: WdfRequestComplete (a completion status, not STATUS_PENDING)");
const INFORMATION: Rule = Rule::new(
    "wdf.request-information-mismatch",
    "WDF_REQUEST_FATAL_ERROR_INFORMATION_LENGTH_MISMATCH (bug check 0x10D code 6)",
);
const REFERENCES: Rule = Rule::new(
    "wdf.request-completed-with-references",
    "WDF_VIOLATION (0x10D) code 3: a request is completed while references to its memory objects remain",
);
const NEVER: Rule = Rule::new(
    "wdf.request-never-completed",
    "WDK: Completing I/O Requests (a driver completes every request it receives)",
);

/// Who has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The framework, on the way to a queue.
    Framework,
    /// A queue.
    Queued,
    /// The driver.
    Driver,
    /// Nobody.
    Completed,
}

#[derive(Debug, Clone, Copy)]
enum Cancel {
    No,
    Marked(HandleCallback),
    /// EvtRequestCancel is called or about to be.
    Called,
}

/// The parts that change.
#[derive(Debug)]
pub struct State {
    /// Who has it.
    pub place: Place,
    /// The queue it is in or came from.
    pub queue: Option<Ref>,
    /// Whether the driver has ever had it.
    pub presented: bool,
    /// EvtIoStop has been called and not answered.
    pub stopping: bool,
    /// The driver has acknowledged EvtIoStop and keeps the request.
    pub suspended: bool,
    /// Input and output memory objects made for the driver.
    pub memory: [Handle; 2],
    cancel: Cancel,
    pins: u32,
    deferred: Option<(NtStatus, i8)>,
}

/// The framework's part of a request.
#[derive(Debug)]
pub struct Request {
    /// Its device.
    pub device: Ref,
    /// WDF_REQUEST_TYPE.
    pub kind: u32,
    /// FILE_OBJECT or 0.
    pub file: usize,
    /// Its IRP, valid until completion.
    pub irp: Irp,
    state: Mutex<State>,
}

impl Body for Request {
    fn dispose(&self, me: Ref) {
        if self.place() != Place::Completed {
            record(NEVER, &format!("{me:?} ({}) when its device went away", self.describe()));
        }
    }
}

impl Request {
    /// The changing parts.
    pub fn state(&self) -> std::sync::MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Who has it.
    #[must_use]
    pub fn place(&self) -> Place {
        self.state().place
    }

    /// For reports.
    #[must_use]
    pub fn describe(&self) -> String {
        let s = self.state();
        format!("type {}, {:?}", self.kind, s.place)
    }

    /// A read or write of no bytes.
    #[must_use]
    pub fn has_no_data(&self) -> bool {
        matches!(self.kind, 3 | 4) && super::buffers::lengths(self.irp).0 == 0
    }

    /// Whether EvtRequestCancel may still come.
    #[must_use]
    pub fn cancelable(&self) -> bool {
        matches!(self.state().cancel, Cancel::Marked(_))
    }

    /// IoCancelIrp while the IRP is kept from going away.
    pub fn cancel_irp(&self) {
        {
            let mut s = self.state();
            if s.place == Place::Completed {
                return;
            }
            s.pins += 1;
        }
        self.irp.cancel();
        let due = {
            let mut s = self.state();
            s.pins -= 1;
            if s.pins == 0 { s.deferred.take() } else { None }
        };
        if let Some((status, boost)) = due {
            self.irp.complete(status, boost);
        }
    }

    fn complete_irp(&self, status: NtStatus, boost: i8) {
        {
            let mut s = self.state();
            if s.pins != 0 {
                s.deferred = Some((status, boost));
                return;
            }
        }
        self.irp.complete(status, boost);
    }
}

/// A request for an IRP that has just arrived.
///
/// # Errors
/// When the device is being deleted.
pub fn create(device: Ref, irp: Irp) -> Result<Ref, NtStatus> {
    let d: &Device = device.body();
    let a: Attributes = d.request;
    let body = Request {
        device,
        kind: super::dispatch::request_type(irp.function().0),
        file: irp.file().addr(),
        irp,
        state: Mutex::new(State {
            place: Place::Framework,
            queue: None,
            presented: false,
            stopping: false,
            suspended: false,
            memory: [0; 2],
            cancel: Cancel::No,
            pins: 0,
            deferred: None,
        }),
    };
    let r = object::create(&REQUEST, &a, Some(device), Box::new(body))?;
    irp.set_owner(r.handle());
    Ok(r)
}

impl State {
    /// Moves the request to a queue, which it keeps alive until it is completed or moved on. The caller gives back the reference on
    /// the queue that it came from, when no lock is held.
    pub fn set_queue(&mut self, q: Ref) {
        q.reference();
        self.queue = Some(q);
    }
}

/// Fills a driver's WDF_REQUEST_PARAMETERS.
///
/// # Safety
/// `p` is null or the driver's structure; the request is not completed.
pub unsafe fn parameters(r: &Request, p: *mut u8) {
    // SAFETY: by contract; the 16-bit Size is checked first.
    unsafe {
        let size = if p.is_null() { 0 } else { p.cast::<u16>().read_unaligned() };
        if size != 40 {
            stop(BAD_CONFIG_SIZE, &format!("WDF_REQUEST_PARAMETERS.Size: expected 40, came {size}"));
        }
        let (major, minor) = r.irp.function();
        p.add(2).write(minor);
        p.add(4).cast::<u32>().write_unaligned(u32::from(major));
        let (input, output) = buffers::lengths(r.irp);
        let words = p.add(8).cast::<usize>();
        let raw = (*r.irp.stack()).Parameters.Others;
        for (i, v) in raw.iter().enumerate() {
            words.add(i).write_unaligned(v.addr());
        }
        match major {
            3 | 4 => words.write_unaligned(input),
            14 | 15 => {
                words.write_unaligned(output);
                words.add(1).write_unaligned(input);
                p.add(24).cast::<u32>().write_unaligned(buffers::control_code(r.irp));
            }
            _ => {}
        }
    }
}

/// Hands a request to the driver.
pub fn give_to_driver(r: Ref) {
    let mut s = r.body::<Request>().state();
    s.place = Place::Driver;
    s.presented = true;
}

/// The request of a driver's handle; stops where it is completed or no request.
#[must_use]
pub fn expect(handle: Handle) -> (Ref, &'static Request) {
    expect_or(handle, AFTER)
}

fn expect_or(handle: Handle, completed: Rule) -> (Ref, &'static Request) {
    if let Judged::Stale(slot) = object::judge(handle)
        && slot.is(&REQUEST)
    {
        stop(completed, &format!("the request of handle {handle:#x} is completed and gone: {slot:?}"));
    }
    let o = object::expect_kept(handle, &REQUEST);
    let r: &Request = o.body();
    if r.place() == Place::Completed {
        stop(completed, &format!("{o:?} is completed"));
    }
    (o, r)
}

/// As [`expect`], where the driver must own it.
#[must_use]
pub fn expect_owned(handle: Handle) -> (Ref, &'static Request) {
    let (o, r) = expect(handle);
    require_owned(o, r);
    (o, r)
}

fn require_owned(o: Ref, r: &Request) {
    let place = r.place();
    if place != Place::Driver {
        stop(NOT_OWNED, &format!("{o:?} is not the driver's: {place:?}"));
    }
}

/// EvtIoInCallerContext.
pub fn in_caller_context(device: Ref, r: Ref) {
    give_to_driver(r);
    let f = device.body::<Device>().in_caller_context;
    // SAFETY: the driver's EvtIoInCallerContext.
    unsafe {
        let cb = std::mem::transmute::<usize, unsafe extern "win64" fn(Handle, Handle)>(f);
        driver_call("EvtIoInCallerContext", || cb(device.handle(), r.handle()));
    }
}

/// WdfRequestComplete and its kin.
pub fn complete_by_driver(handle: Handle, status: NtStatus, boost: i8, information: Option<u64>) {
    let (o, r) = expect_or(handle, TWICE);
    if status == PENDING {
        stop(WITH_PENDING, &format!("{o:?}"));
    }
    let memory = r.state().memory;
    for m in memory.into_iter().filter_map(object::find) {
        let kept = m.references() - 1;
        if kept != 0 {
            stop(REFERENCES, &format!("{o:?}: {kept} reference(s) remain on {m:?}"));
        }
    }
    {
        let mut s = r.state();
        if s.place != Place::Driver {
            let place = s.place;
            drop(s);
            stop(NOT_OWNED, &format!("{o:?} is not the driver's to complete: {place:?}"));
        }
        if matches!(s.cancel, Cancel::Marked(_)) {
            drop(s);
            stop(WHILE_CANCELABLE, &format!("{o:?}"));
        }
        s.place = Place::Completed;
    }
    if let Some(i) = information {
        r.irp.set_information(i);
    }
    check_information(o, r, status);
    finish(o, r, status, boost);
}

fn check_information(o: Ref, r: &Request, status: NtStatus) {
    let limit = match r.kind {
        3 | 4 => super::buffers::lengths(r.irp).0,
        14 | 15 if super::buffers::method(r.irp) == 0 => super::buffers::lengths(r.irp).1,
        _ => return,
    };
    let i = r.irp.information();
    if status >= 0 && usize::try_from(i).map_or(true, |i| i > limit) {
        record(INFORMATION, &format!("{o:?}: Information {i} with a buffer of {limit} bytes"));
    }
}

/// The framework completes a request it or a queue owns.
pub fn complete_by_framework(o: Ref, status: NtStatus) {
    let r: &Request = o.body();
    r.state().place = Place::Completed;
    finish(o, r, status, 0);
}

fn finish(o: Ref, r: &'static Request, status: NtStatus, boost: i8) {
    let q = r.state().queue;
    if r.kind == u32::from(mj::CREATE) {
        let d: &Device = r.device.body();
        file::create_completed(d, file::of_irp(d, r.irp), r.irp, status);
    }
    object::delete_around(o, move || {
        r.complete_irp(status, boost);
        if let Some(q) = q {
            queue::left_driver(q, o);
            q.dereference();
        }
    });
}

/// WdfRequestMarkCancelable (`ex` false) and …Ex.
pub fn mark_cancelable(handle: Handle, callback: HandleCallback, ex: bool) -> NtStatus {
    let (o, r) = expect_owned(handle);
    {
        let mut s = r.state();
        if !matches!(s.cancel, Cancel::No) {
            drop(s);
            stop(MARKED_TWICE, &format!("{o:?}"));
        }
        s.cancel = Cancel::Marked(callback);
        // Under the state's lock: a cancel routine that runs now waits for it.
        r.irp.set_cancel(Some(cancel_marked));
    }
    if r.irp.cancelled() && r.irp.set_cancel(None) {
        // Cancelled before it was marked, and no cancel routine has run.
        if ex {
            r.state().cancel = Cancel::No;
            return CANCELLED;
        }
        call_cancel(o, r);
    }
    SUCCESS
}

/// WdfRequestUnmarkCancelable.
pub fn unmark_cancelable(handle: Handle) -> NtStatus {
    let (o, r) = expect_owned(handle);
    let cancel = r.state().cancel;
    match cancel {
        Cancel::No => stop(NOT_CANCELABLE, &format!("{o:?}")),
        Cancel::Called => CANCELLED,
        Cancel::Marked(_) => {
            if r.irp.set_cancel(None) {
                r.state().cancel = Cancel::No;
                SUCCESS
            } else {
                // The I/O manager has taken the routine: EvtRequestCancel comes, and completes.
                CANCELLED
            }
        }
    }
}

unsafe extern "win64" fn cancel_marked(_device: *mut DEVICE_OBJECT, irp: *mut IRP) {
    let _call = InCall::enter("the framework's cancel routine");
    let irp = Irp(irp);
    let handle = irp.owner();
    irp::leave_cancel_lock(irp);
    if let Some(o) = object::find(handle) {
        let r: &Request = o.body();
        call_cancel(o, r);
    }
}

/// EvtRequestCancel, at the request's execution level and under its callback lock.
fn call_cancel(o: Ref, r: &'static Request) {
    let before = std::mem::replace(&mut r.state().cancel, Cancel::Called);
    let Cancel::Marked(f) = before else { return };
    let scope = r.state().queue.unwrap_or(r.device);
    let call = move || {
        let l = lock_of(scope);
        // SAFETY: the driver's EvtRequestCancel.
        under(l.as_deref(), || unsafe { driver_call("EvtRequestCancel", || f(o.handle())) });
    };
    if scope.execution() == 2 && irql::current() > irql::PASSIVE { worker::run(call) } else { call() }
}
