//! WDFQUEUE: what is parked, what the driver has, and when the driver is called.
//!
//! A request in a queue has the framework's cancel routine on its IRP; who takes that routine off owns the request. The
//! queue's lock is never held while the driver is called or an IRP completed.

use super::abi::{
    CANCELLED, Handle, INVALID_DEVICE_REQUEST, INVALID_DEVICE_STATE, NO_MORE_ENTRIES, NtStatus, SUCCESS, WDF_BUSY,
    WDF_PAUSED,
};
use super::device::Device;
use super::irp::{self, Irp};
use super::object::{self, Body, Kind, Ref, lock};
use super::request::{self, Place, Request};
use super::sync::{CallbackLock, driver_call, under};
use super::{buffers, worker};
use crate::irql;
use crate::ke::sched::Condvar;
use crate::nt::{DEVICE_OBJECT, IRP};
use crate::report::{InCall, Rule, record, stop};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// WDFQUEUE.
pub static QUEUE: Kind = Kind::new("WDFQUEUE", true, true, true);

const BLOCKED: Rule = Rule::new(
    "wdf.power-stop-blocked",
    "WDK: EvtIoStop (complete, cancel, requeue or acknowledge each request the driver owns); bug check 0x9F",
);
const NEVER: Rule =
    Rule::new("wdf.request-never-completed", "WDK: Completing I/O Requests; the queues of a removed device are purged");

const NOT_DELETABLE: Rule = Rule::new(
    "wdf.not-deletable",
    "WDK: WdfObjectDelete (not a default queue, nor one of WdfDeviceConfigureRequestDispatching)",
);

const PATIENCE: Duration = Duration::from_secs(10);

/// WDF_IO_QUEUE_DISPATCH_TYPE.
pub const SEQUENTIAL: u32 = 1;
/// WdfIoQueueDispatchParallel.
pub const PARALLEL: u32 = 2;
/// WdfIoQueueDispatchManual.
pub const MANUAL: u32 = 3;

/// WDF_IO_QUEUE_CONFIG.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// Size.
    pub size: u32,
    /// DispatchType.
    pub dispatch: u32,
    /// PowerManaged, a WDF_TRI_STATE.
    pub power_managed: u32,
    /// AllowZeroLengthRequests.
    pub allow_zero_length: u8,
    /// DefaultQueue.
    pub default: u8,
    /// EvtIoDefault.
    pub evt_default: usize,
    /// EvtIoRead.
    pub evt_read: usize,
    /// EvtIoWrite.
    pub evt_write: usize,
    /// EvtIoDeviceControl.
    pub evt_control: usize,
    /// EvtIoInternalDeviceControl.
    pub evt_internal: usize,
    /// EvtIoStop.
    pub evt_stop: usize,
    /// EvtIoResume.
    pub evt_resume: usize,
    /// EvtIoCanceledOnQueue.
    pub evt_canceled: usize,
    /// NumberOfPresentedRequests.
    pub presented: u32,
    /// Driver, for NetAdapterCx-like extensions.
    pub driver: Handle,
}
const _: () = {
    assert!(size_of::<Config>() == 96);
    assert!(std::mem::offset_of!(Config, evt_default) == 16);
    assert!(std::mem::offset_of!(Config, presented) == 80);
};

/// A callback with a context: EvtIoQueueState.
#[derive(Debug, Clone, Copy)]
pub struct Notify {
    /// Function address.
    pub callback: usize,
    /// Context.
    pub context: usize,
}

/// What changes in a queue.
#[derive(Debug)]
pub struct State {
    /// Parked requests, the next one first.
    pub pending: VecDeque<Ref>,
    /// Requests the driver has.
    pub owned: Vec<Ref>,
    /// New requests are taken.
    pub accept: bool,
    /// Requests are handed out.
    pub dispatch: bool,
    /// Purged and not started since: what is put back is cancelled.
    pub purging: bool,
    /// WdfIoQueueReadyNotify.
    pub ready: Option<Notify>,
    /// The queue went from empty to not empty and nobody has been told.
    pub ready_due: bool,
    /// Stop, drain or purge completion, with whether the queue must be empty too.
    pub idle: Option<(Notify, bool)>,
}

/// The framework's part of a queue.
#[derive(Debug)]
pub struct Queue {
    /// Its device.
    pub device: Ref,
    /// What the driver configured.
    pub config: Config,
    /// Held while no power is there.
    pub power_managed: bool,
    /// Callbacks run at PASSIVE_LEVEL.
    pub passive: bool,
    /// Reads and writes of no bytes reach the driver.
    pub allow_zero_length: bool,
    /// The lock of the queue's synchronization scope.
    pub callback_lock: Option<Arc<CallbackLock>>,
    state: Mutex<State>,
    changed: Condvar,
}

impl Body for Queue {
    fn dispose(&self, me: Ref) {
        let d: &Device = self.device.body();
        let mut q = lock(&d.queues);
        q.all.retain(|x| !std::ptr::eq(*x, me));
        if q.default.is_some_and(|x| std::ptr::eq(x, me)) {
            q.default = None;
        }
        q.by_type.retain(|_, x| !std::ptr::eq(*x, me));
        drop(q);
        purge(me, false);
    }
}

thread_local! {
    /// Queues this thread is handing requests out of.
    static PRESENTING: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

/// Whether this thread is inside a callback of the queue.
#[must_use]
pub fn presenting(q: Ref) -> bool {
    PRESENTING.with_borrow(|p| p.contains(&q.handle()))
}

impl Queue {
    /// A queue's body.
    #[must_use]
    pub fn new(
        device: Ref,
        config: Config,
        power_managed: bool,
        passive: bool,
        callback_lock: Option<Arc<CallbackLock>>,
    ) -> Self {
        Self {
            device,
            config,
            power_managed,
            passive,
            allow_zero_length: config.allow_zero_length != 0,
            callback_lock,
            state: Mutex::new(State {
                pending: VecDeque::new(),
                owned: Vec::new(),
                accept: true,
                dispatch: true,
                purging: false,
                ready: None,
                ready_due: false,
                idle: None,
            }),
            changed: Condvar::new(),
        }
    }

    /// The changing part.
    pub fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Whether power allows the queue to hand requests out.
    #[must_use]
    pub fn powered(&self) -> bool {
        !self.power_managed || self.device.body::<Device>().powered.load(Ordering::Acquire)
    }

    fn may_present(&self, s: &State) -> bool {
        let room = match self.config.dispatch {
            SEQUENTIAL => s.owned.is_empty(),
            PARALLEL => u32::try_from(s.owned.len()).is_ok_and(|n| n < self.config.presented),
            _ => false,
        };
        room && s.dispatch && self.powered()
    }

    /// Whether the driver must be called on another thread, at PASSIVE_LEVEL.
    fn elsewhere(&self) -> bool {
        self.passive && irql::current() > irql::PASSIVE
    }

    /// Waits until `done` holds; false after `limit`.
    pub fn wait(&self, limit: Option<Duration>, mut done: impl FnMut(&State) -> bool) -> bool {
        let until = limit.map(|l| Instant::now() + l);
        let mut s = self.state();
        loop {
            if done(&s) {
                return true;
            }
            let left = until.map_or(Duration::from_secs(1), |u| u.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return false;
            }
            s = self.changed.wait_timeout(&self.state, s, left).0;
        }
    }
}

/// WdfObjectDelete on a queue. A device that is going takes its queues with it.
pub(super) fn check_driver_delete(q: Ref) {
    let d: &Device = q.body::<Queue>().device.body();
    let l = lock(&d.queues);
    let fixed = l.default.is_some_and(|x| std::ptr::eq(x, q)) || l.by_type.values().any(|x| std::ptr::eq(*x, q));
    drop(l);
    if fixed {
        stop(NOT_DELETABLE, &format!("{q:?} is the device's default queue, or takes all its requests of a type"));
    }
}

/// Takes the first request that satisfies `wanted` and is not being cancelled out of the queue and makes it the driver's.
fn take(s: &mut State, wanted: impl Fn(Ref) -> bool) -> Option<Ref> {
    let i = s.pending.iter().position(|r| wanted(r) && r.body::<Request>().irp.set_cancel(None))?;
    let r = s.pending.remove(i)?;
    request::give_to_driver(r);
    s.owned.push(r);
    Some(r)
}

/// Parks a request. `front` when the driver puts it back. False when it was cancelled meanwhile: the caller ends it.
fn park(q: Ref, s: &mut State, r: Ref, front: bool) -> bool {
    let body: &Request = r.body();
    {
        let mut rs = body.state();
        rs.place = Place::Queued;
        rs.set_queue(q);
        rs.stopping = false;
        rs.suspended = false;
    }
    if s.pending.is_empty() {
        s.ready_due = true;
    }
    if front {
        s.pending.push_front(r);
    } else {
        s.pending.push_back(r);
    }
    body.irp.set_cancel(Some(cancel_queued));
    if body.irp.cancelled() && body.irp.set_cancel(None) {
        s.pending.retain(|x| !std::ptr::eq(*x, r));
        return false;
    }
    true
}

/// A request reaches the queue from the framework. What can be handed out at once, the thread that brought it hands out: no other
/// may take it in between, and so present this thread's next request before it.
/// Source: WDF's sources, FxIoQueue::QueueRequest and DispatchEvents, which look and take under one hold of the queue's lock.
pub fn arrive(q: Ref, r: Ref) {
    let b: &Queue = q.body();
    let mut s = b.state();
    if !s.accept {
        drop(s);
        request::complete_by_framework(r, INVALID_DEVICE_STATE);
        return;
    }
    let parked = park(q, &mut s, r, false);
    let here = s.pending.len() == 1 && b.may_present(&s) && !presenting(q) && !b.elsewhere();
    let mine = if parked && here { take(&mut s, |x| std::ptr::eq(x, r)) } else { None };
    drop(s);
    if !parked {
        end_cancelled(q, r);
    }
    match mine {
        Some(r) => hand_out(q, Some(r)),
        None => kick(q),
    }
}

/// WdfRequestForwardToIoQueue and WdfRequestRequeue, after their checks: the driver gives the request to `q`.
pub fn put(q: Ref, r: Ref, front: bool) -> NtStatus {
    let b: &Queue = q.body();
    let from = r.body::<Request>().state().queue;
    let mut s = b.state();
    // What goes back to the queue it came from is taken back whatever the queue's state.
    if !s.accept && !front {
        return WDF_BUSY;
    }
    // Out of the source's list first where it is the same queue.
    s.owned.retain(|x| !std::ptr::eq(*x, r));
    let parked = park(q, &mut s, r, front);
    let purging = s.purging;
    drop(s);
    if let Some(f) = from {
        if !std::ptr::eq(f, q) {
            left_driver(f, r);
        }
        f.dereference();
    }
    if !parked {
        end_cancelled(q, r);
    } else if purging {
        // The purge has passed here already.
        cancel_where(q, |x| std::ptr::eq(x, r));
        tell_idle(q);
    }
    kick(q);
    SUCCESS
}

/// WdfIoQueueRetrieveNextRequest and …ByFileObject.
pub fn retrieve(q: Ref, wanted: impl Fn(Ref) -> bool) -> Result<Ref, NtStatus> {
    let b: &Queue = q.body();
    if b.config.dispatch == PARALLEL {
        return Err(INVALID_DEVICE_STATE);
    }
    let mut s = b.state();
    if !s.dispatch || !b.powered() {
        return Err(WDF_PAUSED);
    }
    take(&mut s, wanted).ok_or(NO_MORE_ENTRIES)
}

/// The driver does not have the request any more.
pub fn left_driver(q: Ref, r: Ref) {
    let b: &Queue = q.body();
    let mut s = b.state();
    let before = s.owned.len();
    s.owned.retain(|x| !std::ptr::eq(*x, r));
    let fewer = s.owned.len() != before;
    drop(s);
    if fewer {
        b.changed.notify_all();
        tell_idle(q);
        kick(q);
    }
}

/// Tells a driver that waits for stop, drain or purge.
pub fn tell_idle(q: Ref) {
    let b: &Queue = q.body();
    let due = {
        let mut s = b.state();
        match s.idle {
            Some((n, empty)) if s.owned.is_empty() && (!empty || s.pending.is_empty()) => {
                s.idle = None;
                Some(n)
            }
            _ => None,
        }
    };
    b.changed.notify_all();
    if let Some(n) = due {
        notify(q, n, "EvtIoQueueState");
    }
}

fn notify(q: Ref, n: Notify, what: &'static str) {
    if n.callback == 0 {
        return;
    }
    let b: &Queue = q.body();
    let call = move || {
        let l = b.callback_lock.clone();
        // SAFETY: an EvtIoQueueState callback of the driver's with its context.
        under(l.as_deref(), || unsafe {
            let f = std::mem::transmute::<usize, unsafe extern "win64" fn(Handle, usize)>(n.callback);
            driver_call(what, || f(q.handle(), n.context));
        });
    };
    if b.elsewhere() { worker::run(call) } else { call() }
}

/// Hands out what may be handed out, and tells a driver that waits for requests.
pub fn kick(q: Ref) {
    let b: &Queue = q.body();
    if presenting(q) {
        // The loop further up this thread's stack goes on.
        return;
    }
    {
        let s = b.state();
        let tell = s.ready_due && s.ready.is_some() && s.dispatch && b.powered();
        let present = !s.pending.is_empty() && b.may_present(&s);
        if !tell && !present {
            return;
        }
    }
    if b.elsewhere() {
        worker::run(move || kick(q));
        return;
    }
    hand_out(q, None);
}

/// [`kick`]'s loop, on this thread; `first` has been taken already.
fn hand_out(q: Ref, first: Option<Ref>) {
    let b: &Queue = q.body();
    PRESENTING.with_borrow_mut(|p| p.push(q.handle()));
    if let Some(r) = first {
        present(q, b, r);
    }
    loop {
        let mut s = b.state();
        if s.pending.is_empty() {
            s.ready_due = false;
        }
        if let (true, Some(n)) = (s.ready_due && s.dispatch && b.powered(), s.ready) {
            s.ready_due = false;
            drop(s);
            notify(q, n, "EvtIoQueueState (ready)");
            continue;
        }
        if !b.may_present(&s) {
            break;
        }
        let Some(r) = take(&mut s, |_| true) else { break };
        drop(s);
        present(q, b, r);
    }
    PRESENTING.with_borrow_mut(|p| p.pop());
}

type WithLength = unsafe extern "win64" fn(Handle, Handle, usize);
type WithControl = unsafe extern "win64" fn(Handle, Handle, usize, usize, u32);
type WithRequest = unsafe extern "win64" fn(Handle, Handle);

fn present(q: Ref, b: &Queue, r: Ref) {
    let body: &Request = r.body();
    let c = &b.config;
    let (name, specific) = match body.kind {
        3 => ("EvtIoRead", c.evt_read),
        4 => ("EvtIoWrite", c.evt_write),
        14 => ("EvtIoDeviceControl", c.evt_control),
        15 => ("EvtIoInternalDeviceControl", c.evt_internal),
        _ => ("EvtIoDefault", 0),
    };
    if specific == 0 && c.evt_default == 0 {
        request::complete_by_framework(r, INVALID_DEVICE_REQUEST);
        return;
    }
    let (handle, request) = (q.handle(), r.handle());
    let (input, output) = buffers::lengths(body.irp);
    let code = if matches!(body.kind, 14 | 15) { buffers::control_code(body.irp) } else { 0 };
    under(b.callback_lock.as_deref(), || {
        // SAFETY: callbacks of the driver's WDF_IO_QUEUE_CONFIG with their prototypes.
        unsafe {
            match body.kind {
                _ if specific == 0 => {
                    let f = std::mem::transmute::<usize, WithRequest>(c.evt_default);
                    driver_call("EvtIoDefault", || f(handle, request));
                }
                3 | 4 => {
                    let f = std::mem::transmute::<usize, WithLength>(specific);
                    driver_call(name, || f(handle, request, input));
                }
                _ => {
                    let f = std::mem::transmute::<usize, WithControl>(specific);
                    driver_call(name, || f(handle, request, output, input, code));
                }
            }
        }
    });
}

unsafe extern "win64" fn cancel_queued(_device: *mut DEVICE_OBJECT, irp: *mut IRP) {
    let _call = InCall::enter("the framework's cancel routine");
    let irp = Irp(irp);
    let handle = irp.owner();
    irp::leave_cancel_lock(irp);
    let Some(r) = object::find(handle) else { return };
    let Some(q) = r.body::<Request>().state().queue else { return };
    {
        let mut s = q.body::<Queue>().state();
        s.pending.retain(|x| !std::ptr::eq(*x, r));
    }
    end_cancelled(q, r);
    tell_idle(q);
}

/// A parked request was cancelled and is out of the list: the driver is told if it knows the request.
fn end_cancelled(q: Ref, r: Ref) {
    let b: &Queue = q.body();
    let known = r.body::<Request>().state().presented;
    if !known || b.config.evt_canceled == 0 {
        request::complete_by_framework(r, CANCELLED);
        return;
    }
    request::give_to_driver(r);
    b.state().owned.push(r);
    let call = move || {
        let l = b.callback_lock.clone();
        // SAFETY: the driver's EvtIoCanceledOnQueue.
        under(l.as_deref(), || unsafe {
            let f = std::mem::transmute::<usize, WithRequest>(b.config.evt_canceled);
            driver_call("EvtIoCanceledOnQueue", || f(q.handle(), r.handle()));
        });
    };
    if b.elsewhere() { worker::run(call) } else { call() }
}

fn cancel_where(q: Ref, wanted: impl Fn(Ref) -> bool) {
    loop {
        let next = {
            let mut s = q.body::<Queue>().state();
            let i = s.pending.iter().position(|r| wanted(r) && r.body::<Request>().irp.set_cancel(None));
            i.and_then(|i| s.pending.remove(i))
        };
        match next {
            Some(r) => end_cancelled(q, r),
            None => return,
        }
    }
}

/// Cancels what is parked and what the driver has made cancelable. `accept`: whether new requests are still taken.
pub fn purge(q: Ref, accept: bool) {
    let b: &Queue = q.body();
    {
        let mut s = b.state();
        s.accept = accept;
        s.purging = true;
    }
    cancel_where(q, |_| true);
    let owned = b.state().owned.clone();
    for r in owned.into_iter().filter(|r| r.body::<Request>().cancelable()) {
        r.body::<Request>().cancel_irp();
    }
    tell_idle(q);
}

/// The last handle of a file is closed: its requests are cancelled wherever they are.
pub fn cancel_file(d: &Device, wdm: usize) {
    let queues = lock(&d.queues).all.clone();
    for q in queues {
        cancel_where(q, |r| r.body::<Request>().file == wdm);
        let owned = q.body::<Queue>().state().owned.clone();
        for r in owned.into_iter().filter(|r| r.body::<Request>().file == wdm) {
            r.body::<Request>().cancel_irp();
        }
        tell_idle(q);
    }
}

/// Power-managed queues go on; requests the driver kept over the power-down are resumed.
pub fn power_up(d: &Device) {
    let queues = lock(&d.queues).all.clone();
    for q in queues.into_iter().filter(|q| q.body::<Queue>().power_managed) {
        let b: &Queue = q.body();
        let owned = b.state().owned.clone();
        for r in owned {
            let was = std::mem::replace(&mut r.body::<Request>().state().suspended, false);
            if was && b.config.evt_resume != 0 {
                let l = b.callback_lock.clone();
                // SAFETY: the driver's EvtIoResume.
                under(l.as_deref(), || unsafe {
                    let f = std::mem::transmute::<usize, WithRequest>(b.config.evt_resume);
                    driver_call("EvtIoResume", || f(q.handle(), r.handle()));
                });
            }
        }
        if !b.state().pending.is_empty() {
            b.state().ready_due = true;
        }
        kick(q);
    }
}

/// Power-managed queues stop: EvtIoStop for what the driver has, then waiting.
pub fn power_down(d: &Device, removing: bool) {
    let queues = lock(&d.queues).all.clone();
    for q in queues.into_iter().filter(|q| q.body::<Queue>().power_managed) {
        let b: &Queue = q.body();
        let owned = b.state().owned.clone();
        for r in owned {
            let body: &Request = r.body();
            if b.config.evt_stop == 0 || body.place() != Place::Driver {
                continue;
            }
            let flags = if removing { 2 } else { 1 } | if body.cancelable() { 0x1000_0000 } else { 0 };
            body.state().stopping = true;
            let l = b.callback_lock.clone();
            // SAFETY: the driver's EvtIoStop.
            under(l.as_deref(), || unsafe {
                let f = std::mem::transmute::<usize, unsafe extern "win64" fn(Handle, Handle, u32)>(b.config.evt_stop);
                driver_call("EvtIoStop", || f(q.handle(), r.handle(), flags));
            });
        }
        let quiet = b.wait(Some(PATIENCE), |s| s.owned.iter().all(|r| r.body::<Request>().state().suspended));
        if !quiet {
            let n = b.state().owned.len();
            record(BLOCKED, &format!("{q:?}: the driver keeps {n} request(s)"));
        }
    }
}

/// WdfRequestStopAcknowledge with or without requeue.
pub fn acknowledged(q: Ref) {
    q.body::<Queue>().changed.notify_all();
}

/// Purges the queues of a device that is being removed, the power-managed ones or the others, and waits for the driver.
pub fn purge_device(d: &Device, managed: bool) {
    let queues = lock(&d.queues).all.clone();
    for q in queues.into_iter().filter(|q| q.body::<Queue>().power_managed == managed) {
        purge(q, false);
        let b: &Queue = q.body();
        if !b.wait(Some(PATIENCE), |s| s.owned.is_empty()) {
            let n = b.state().owned.len();
            record(NEVER, &format!("{q:?}: the driver keeps {n} request(s) of a device that is being removed"));
        }
    }
}

/// The device object is being deleted: what a control device still has is purged.
pub fn device_gone(_device: Ref, d: &Device) {
    purge_device(d, true);
    purge_device(d, false);
}
