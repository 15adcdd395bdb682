//! WdfIoQueue* and what binds queues to devices.

use super::abi::{
    Handle, INVALID_DEVICE_REQUEST, INVALID_PARAMETER, NOT_FOUND, NtStatus, RawAttributes, SUCCESS, UNSUCCESSFUL,
};
use super::attributes::{self, WRONG_PARENT, check_size};
use super::bind::{G, enter};
use super::device::{self, DEVICE};
use super::file::{FILE, File};
use super::object::{self, Ref, lock};
use super::queue::{self, Config, MANUAL, Notify, PARALLEL, QUEUE, Queue};
use super::request::{self, Request};
use super::sync::CallbackLock;
use super::table::{Entry, entries};
use super::text;
use crate::fault;
use crate::irql::{DISPATCH, PASSIVE};
use crate::report::{Rule, record, stop};

const BAD_CONFIG: Rule = Rule::new("wdf.bad-queue-config", "WDK: WDF_IO_QUEUE_CONFIG");
const FROM_CALLBACK: Rule = Rule::new(
    "wdf.sync-call-from-callback",
    "WDK: WdfIoQueueStopSynchronously, …Purge…, …Drain… (not from the queue's own callbacks: it would deadlock)",
);
const BUSY: Rule =
    Rule::new("wdf.queue-state-busy", "WDK: WdfIoQueueStop, …Drain, …Purge (one state change at a time)");

fn expect(handle: Handle) -> (Ref, &'static Queue) {
    let o = object::expect(handle, &QUEUE);
    (o, o.body())
}

unsafe extern "win64" fn create(
    g: G,
    device: Handle,
    config: *const Config,
    a: *const RawAttributes,
    out: *mut Handle,
) -> NtStatus {
    let _call = enter(g, "WdfIoQueueCreate", DISPATCH);
    let (dev, d) = device::expect(device);
    // SAFETY: the driver's structures; sizes are checked first.
    let (c, a) = unsafe {
        check_size(config.cast(), 96, "WDF_IO_QUEUE_CONFIG");
        (config.read_unaligned(), attributes::read(a))
    };
    if !(1..=3).contains(&c.dispatch) || c.power_managed > 2 {
        stop(BAD_CONFIG, &format!("DispatchType {}, PowerManaged {}", c.dispatch, c.power_managed));
    }
    let handlers = [c.evt_default, c.evt_read, c.evt_write, c.evt_control, c.evt_internal];
    if c.dispatch == MANUAL && handlers.iter().any(|h| *h != 0) {
        record(BAD_CONFIG, "a manual queue with request handlers: they are never called");
    }
    if c.dispatch != MANUAL && handlers.iter().all(|h| *h == 0) {
        return super::abi::WDF_NO_CALLBACK;
    }
    if c.dispatch == PARALLEL && c.presented == 0 {
        stop(BAD_CONFIG, "NumberOfPresentedRequests is 0 in a parallel queue");
    }
    let parent = a.parent_or(Some(dev)).unwrap_or(dev);
    if parent.ancestor(&DEVICE).is_none_or(|p| !std::ptr::eq(p, dev)) {
        stop(WRONG_PARENT, &format!("{parent:?} does not descend from {dev:?}"));
    }
    let power_managed = match c.power_managed {
        0 => false,
        1 => true,
        _ => d.pdo.is_some() && !d.filter,
    };
    let execution = if a.execution > 1 { a.execution } else { parent.execution() };
    let sync = if a.synchronization > 1 { a.synchronization } else { parent.synchronization() };
    let passive = execution == 2;
    let callback_lock = match sync {
        // SynchronizationScopeDevice: the lock is the device's, which must exist.
        2 => d.callback_lock.clone().or_else(|| Some(CallbackLock::new(passive))),
        3 => Some(CallbackLock::new(passive)),
        _ => None,
    };
    if callback_lock.as_ref().is_some_and(|l| l.passive != passive) {
        return super::abi::WDF_INCOMPATIBLE_EXECUTION_LEVEL;
    }
    if c.default != 0 && lock(&d.queues).default.is_some() {
        return UNSUCCESSFUL;
    }
    if fault::fails("WdfIoQueueCreate") {
        return super::abi::INSUFFICIENT_RESOURCES;
    }
    let body = Queue::new(dev, c, power_managed, passive, callback_lock);
    let q = match object::create(&QUEUE, &a, Some(parent), Box::new(body)) {
        Ok(q) => q,
        Err(s) => return s,
    };
    {
        let mut l = lock(&d.queues);
        l.all.push(q);
        if c.default != 0 {
            l.default = Some(q);
        }
    }
    // SAFETY: the driver's pointer, optional.
    unsafe { text::put_optional(out, q.handle()) };
    SUCCESS
}

unsafe extern "win64" fn default_queue(g: G, device: Handle) -> Handle {
    let _call = enter(g, "WdfDeviceGetDefaultQueue", DISPATCH);
    lock(&device::expect(device).1.queues).default.map_or(0, |q| q.handle())
}

unsafe extern "win64" fn configure_dispatching(g: G, device: Handle, queue: Handle, kind: u32) -> NtStatus {
    let _call = enter(g, "WdfDeviceConfigureRequestDispatching", DISPATCH);
    let (dev, d) = device::expect(device);
    let (q, b) = expect(queue);
    if !std::ptr::eq(b.device, dev) {
        return INVALID_DEVICE_REQUEST;
    }
    if !matches!(kind, 0 | 3 | 4 | 14 | 15) {
        return INVALID_PARAMETER;
    }
    let mut l = lock(&d.queues);
    if l.by_type.contains_key(&kind) {
        return super::abi::WDF_BUSY;
    }
    if fault::fails("WdfDeviceConfigureRequestDispatching") {
        return super::abi::INSUFFICIENT_RESOURCES;
    }
    l.by_type.insert(kind, q);
    SUCCESS
}

unsafe extern "win64" fn get_state(g: G, queue: Handle, queued: *mut u32, owned: *mut u32) -> u32 {
    let _call = enter(g, "WdfIoQueueGetState", DISPATCH);
    let (_, b) = expect(queue);
    let s = b.state();
    let n = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    // SAFETY: the driver's pointers, optional.
    unsafe {
        if !queued.is_null() {
            queued.write_unaligned(n(s.pending.len()));
        }
        if !owned.is_null() {
            owned.write_unaligned(n(s.owned.len()));
        }
    }
    u32::from(s.accept)
        | u32::from(s.dispatch) << 1
        | u32::from(s.pending.is_empty()) << 2
        | u32::from(s.owned.is_empty()) << 3
        | u32::from(!b.powered()) << 4
}

unsafe extern "win64" fn start(g: G, queue: Handle) {
    let _call = enter(g, "WdfIoQueueStart", DISPATCH);
    let (q, b) = expect(queue);
    {
        let mut s = b.state();
        s.accept = true;
        s.dispatch = true;
        s.purging = false;
        s.ready_due |= !s.pending.is_empty();
    }
    queue::kick(q);
}

/// Sets the queue's state and remembers whom to tell; `empty`: not before the queue is empty.
fn change(q: Ref, b: &Queue, accept: Option<bool>, dispatch: Option<bool>, n: Option<Notify>, empty: bool) {
    let mut s = b.state();
    if let Some(n) = n.filter(|n| n.callback != 0) {
        if s.idle.is_some() {
            drop(s);
            stop(BUSY, &format!("{q:?} has a completion callback outstanding"));
        }
        s.idle = Some((n, empty));
    }
    if let Some(a) = accept {
        s.accept = a;
    }
    if let Some(d) = dispatch {
        s.dispatch = d;
    }
    s.purging = false;
}

fn synchronous(q: Ref, b: &Queue, empty: bool) {
    if queue::presenting(q) {
        stop(FROM_CALLBACK, &format!("{q:?}"));
    }
    b.wait(None, |s| s.owned.is_empty() && (!empty || s.pending.is_empty()));
}

unsafe extern "win64" fn stop_queue(g: G, queue: Handle, callback: usize, context: usize) {
    let _call = enter(g, "WdfIoQueueStop", DISPATCH);
    let (q, b) = expect(queue);
    change(q, b, Some(true), Some(false), Some(Notify { callback, context }), false);
    queue::tell_idle(q);
}

unsafe extern "win64" fn stop_sync(g: G, queue: Handle) {
    let _call = enter(g, "WdfIoQueueStopSynchronously", PASSIVE);
    let (q, b) = expect(queue);
    change(q, b, Some(true), Some(false), None, false);
    synchronous(q, b, false);
}

unsafe extern "win64" fn drain(g: G, queue: Handle, callback: usize, context: usize) {
    let _call = enter(g, "WdfIoQueueDrain", DISPATCH);
    let (q, b) = expect(queue);
    change(q, b, Some(false), Some(true), Some(Notify { callback, context }), true);
    queue::kick(q);
    queue::tell_idle(q);
}

unsafe extern "win64" fn drain_sync(g: G, queue: Handle) {
    let _call = enter(g, "WdfIoQueueDrainSynchronously", PASSIVE);
    let (q, b) = expect(queue);
    change(q, b, Some(false), Some(true), None, true);
    queue::kick(q);
    synchronous(q, b, true);
}

unsafe extern "win64" fn purge(g: G, queue: Handle, callback: usize, context: usize) {
    let _call = enter(g, "WdfIoQueuePurge", DISPATCH);
    let (q, b) = expect(queue);
    change(q, b, Some(false), Some(true), Some(Notify { callback, context }), true);
    queue::purge(q, false);
}

unsafe extern "win64" fn purge_sync(g: G, queue: Handle) {
    let _call = enter(g, "WdfIoQueuePurgeSynchronously", PASSIVE);
    let (q, b) = expect(queue);
    change(q, b, Some(false), Some(true), None, true);
    queue::purge(q, false);
    synchronous(q, b, true);
}

unsafe extern "win64" fn stop_and_purge(g: G, queue: Handle, callback: usize, context: usize) {
    let _call = enter(g, "WdfIoQueueStopAndPurge", DISPATCH);
    let (q, b) = expect(queue);
    change(q, b, Some(true), Some(false), Some(Notify { callback, context }), false);
    queue::purge(q, true);
}

unsafe extern "win64" fn stop_and_purge_sync(g: G, queue: Handle) {
    let _call = enter(g, "WdfIoQueueStopAndPurgeSynchronously", PASSIVE);
    let (q, b) = expect(queue);
    change(q, b, Some(true), Some(false), None, false);
    queue::purge(q, true);
    synchronous(q, b, false);
}

unsafe extern "win64" fn get_device(g: G, queue: Handle) -> Handle {
    let _call = enter(g, "WdfIoQueueGetDevice", DISPATCH);
    object::expect_kept(queue, &QUEUE).body::<Queue>().device.handle()
}

/// # Safety
/// `out` is the driver's pointer.
unsafe fn give(r: Result<Ref, NtStatus>, out: *mut Handle) -> NtStatus {
    // SAFETY: by contract.
    unsafe {
        match r {
            Ok(r) => {
                text::put(out, r.handle());
                SUCCESS
            }
            Err(s) => {
                text::put(out, 0);
                s
            }
        }
    }
}

unsafe extern "win64" fn next_request(g: G, queue: Handle, out: *mut Handle) -> NtStatus {
    let _call = enter(g, "WdfIoQueueRetrieveNextRequest", DISPATCH);
    let (q, _) = expect(queue);
    // SAFETY: the driver's pointer.
    unsafe { give(queue::retrieve(q, |_| true), out) }
}

unsafe extern "win64" fn by_file(g: G, queue: Handle, file: Handle, out: *mut Handle) -> NtStatus {
    let _call = enter(g, "WdfIoQueueRetrieveRequestByFileObject", DISPATCH);
    let (q, _) = expect(queue);
    let wdm = object::expect(file, &FILE).body::<File>().wdm;
    // SAFETY: the driver's pointer.
    unsafe { give(queue::retrieve(q, |r| r.body::<Request>().file == wdm), out) }
}

unsafe extern "win64" fn find_request(
    g: G,
    queue: Handle,
    tag: Handle,
    file: Handle,
    p: *mut u8,
    out: *mut Handle,
) -> NtStatus {
    let _call = enter(g, "WdfIoQueueFindRequest", DISPATCH);
    let (_, b) = expect(queue);
    let wdm = (file != 0).then(|| object::expect(file, &FILE).body::<File>().wdm);
    let s = b.state();
    let skip = if tag == 0 {
        0
    } else {
        match s.pending.iter().position(|r| r.handle() == tag) {
            Some(i) => i + 1,
            None => return NOT_FOUND,
        }
    };
    let found = s.pending.iter().skip(skip).find(|r| wdm.is_none_or(|w| r.body::<Request>().file == w)).copied();
    if let Some(r) = found {
        // The driver must dereference what it was shown.
        r.reference();
        if !p.is_null() {
            // SAFETY: the driver's WDF_REQUEST_PARAMETERS; a request in the queue is not completed, and the lock keeps it there.
            unsafe { request::parameters(r.body(), p) };
        }
    }
    drop(s);
    // SAFETY: the driver's pointer.
    unsafe { give(found.ok_or(super::abi::NO_MORE_ENTRIES), out) }
}

unsafe extern "win64" fn retrieve_found(g: G, queue: Handle, found: Handle, out: *mut Handle) -> NtStatus {
    let _call = enter(g, "WdfIoQueueRetrieveFoundRequest", DISPATCH);
    let (q, _) = expect(queue);
    // SAFETY: the driver's pointer.
    unsafe {
        give(
            queue::retrieve(q, |r| r.handle() == found)
                .map_err(|s| if s == super::abi::NO_MORE_ENTRIES { NOT_FOUND } else { s }),
            out,
        )
    }
}

unsafe extern "win64" fn ready_notify(g: G, queue: Handle, callback: usize, context: usize) -> NtStatus {
    let _call = enter(g, "WdfIoQueueReadyNotify", DISPATCH);
    let (q, b) = expect(queue);
    {
        let mut s = b.state();
        if callback == 0 {
            if s.dispatch {
                // The queue must be stopped before the callback is taken back.
                return INVALID_DEVICE_REQUEST;
            }
            s.ready = None;
            return SUCCESS;
        }
        if b.config.dispatch != MANUAL || s.ready.is_some() {
            return INVALID_DEVICE_REQUEST;
        }
        s.ready = Some(Notify { callback, context });
        s.ready_due = !s.pending.is_empty();
    }
    queue::kick(q);
    SUCCESS
}

unsafe extern "win64" fn enqueue(g: G, device: Handle, handle: Handle) -> NtStatus {
    let _call = enter(g, "WdfDeviceEnqueueRequest", DISPATCH);
    let (dev, d) = device::expect(device);
    let (r, body) = request::expect_owned(handle);
    if body.state().queue.is_some() {
        return INVALID_DEVICE_REQUEST;
    }
    let Some(q) = super::dispatch::queue_for(d, body.kind) else { return INVALID_DEVICE_REQUEST };
    // A queue that does not accept: its device is on its way out.
    if !q.body::<Queue>().state().accept || fault::fails("WdfDeviceEnqueueRequest") {
        return super::abi::WDF_BUSY;
    }
    body.state().place = request::Place::Framework;
    super::dispatch::deliver(dev, r);
    SUCCESS
}

/// This file's part of the table.
#[must_use]
pub fn table_entries() -> Vec<Entry> {
    entries! {
        "WdfIoQueueCreate" => create,
        "WdfDeviceGetDefaultQueue" => default_queue,
        "WdfDeviceConfigureRequestDispatching" => configure_dispatching,
        "WdfDeviceEnqueueRequest" => enqueue,
        "WdfIoQueueGetState" => get_state,
        "WdfIoQueueStart" => start,
        "WdfIoQueueStop" => stop_queue,
        "WdfIoQueueStopSynchronously" => stop_sync,
        "WdfIoQueueDrain" => drain,
        "WdfIoQueueDrainSynchronously" => drain_sync,
        "WdfIoQueuePurge" => purge,
        "WdfIoQueuePurgeSynchronously" => purge_sync,
        "WdfIoQueueStopAndPurge" => stop_and_purge,
        "WdfIoQueueStopAndPurgeSynchronously" => stop_and_purge_sync,
        "WdfIoQueueGetDevice" => get_device,
        "WdfIoQueueRetrieveNextRequest" => next_request,
        "WdfIoQueueRetrieveRequestByFileObject" => by_file,
        "WdfIoQueueFindRequest" => find_request,
        "WdfIoQueueRetrieveFoundRequest" => retrieve_found,
        "WdfIoQueueReadyNotify" => ready_notify,
    }
}
