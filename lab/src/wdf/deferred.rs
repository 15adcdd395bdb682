//! WDFWORKITEM and WDFDPC.

use super::abi::{Handle, NtStatus, RawAttributes, SUCCESS};
use super::attributes::{self, check_size};
use super::bind::{G, enter};
use super::object::{self, Body, Kind, Ref};
use super::serial::{self, Runs};
use super::sync::CallbackLock;
use super::table::{Entry, entries};
use super::{text, worker};
use crate::fault;
use crate::irql::{self, DISPATCH, PASSIVE};
use crate::report::{Rule, stop};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// WDFWORKITEM.
pub static WORKITEM: Kind = Kind::new("WDFWORKITEM", true, true, false);
/// WDFDPC.
pub static DPC: Kind = Kind::new("WDFDPC", true, true, false);

const BAD_CONFIG: Rule = Rule::new("wdf.bad-deferred-config", "WDK: WDF_WORKITEM_CONFIG, WDF_DPC_CONFIG");

/// WDF_WORKITEM_CONFIG and WDF_DPC_CONFIG are alike.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
struct Config {
    size: u32,
    func: usize,
    serialized: u8,
}
const _: () = assert!(size_of::<Config>() == 24);

/// The framework's part of either.
#[derive(Debug)]
struct Deferred {
    func: usize,
    lock: Option<Arc<CallbackLock>>,
    parent: Ref,
    queued: AtomicBool,
    runs: Runs,
}
impl Body for Deferred {
    fn dispose(&self, me: Ref) {
        if me.is(&DPC) {
            // Taken back: a queued run finds the flag clear and does nothing.
            self.queued.store(false, Ordering::Release);
        }
        self.runs.settle();
    }
}

/// # Safety
/// The driver's structures and pointer.
unsafe fn create(
    kind: &'static Kind,
    (call, name): (&'static str, &str),
    config: *const Config,
    a: *const RawAttributes,
    out: *mut Handle,
) -> NtStatus {
    // SAFETY: by contract; sizes are checked first.
    let (c, a) = unsafe {
        check_size(config.cast(), 24, name);
        (config.read_unaligned(), attributes::read(a))
    };
    if c.func == 0 {
        stop(BAD_CONFIG, "the callback is NULL");
    }
    if let Err(s) = a.check_levels(kind) {
        return s;
    }
    let (parent, l) = match serial::parent(&a, c.serialized != 0, std::ptr::eq(kind, &WORKITEM)) {
        Ok(p) => p,
        Err(s) => return s,
    };
    if fault::fails(call) {
        return super::abi::INSUFFICIENT_RESOURCES;
    }
    let body = Deferred { func: c.func, lock: l, parent, queued: AtomicBool::new(false), runs: Runs::default() };
    match object::create(kind, &a, Some(parent), Box::new(body)) {
        Ok(o) => {
            // SAFETY: by contract.
            unsafe { text::put(out, o.handle()) };
            SUCCESS
        }
        Err(s) => s,
    }
}

/// Queues a run; false when one is queued already.
fn enqueue(o: Ref, what: &'static str, run: fn(Box<dyn FnOnce() + Send>)) -> bool {
    let d: &Deferred = o.body();
    if d.queued.swap(true, Ordering::AcqRel) {
        return false;
    }
    d.runs.begin();
    o.reference();
    run(Box::new(move || {
        // From here on it may be queued again, also by the callback itself.
        if d.queued.swap(false, Ordering::AcqRel) {
            d.runs.call(what, d.func, o.handle(), d.lock.as_deref());
        } else {
            d.runs.end();
        }
        o.dereference();
    }));
    true
}

unsafe extern "win64" fn work_create(g: G, c: *const Config, a: *const RawAttributes, out: *mut Handle) -> NtStatus {
    let _call = enter(g, "WdfWorkItemCreate", DISPATCH);
    // SAFETY: the driver's pointers.
    unsafe { create(&WORKITEM, ("WdfWorkItemCreate", "WDF_WORKITEM_CONFIG"), c, a, out) }
}

unsafe extern "win64" fn work_enqueue(g: G, handle: Handle) {
    let _call = enter(g, "WdfWorkItemEnqueue", DISPATCH);
    enqueue(object::expect(handle, &WORKITEM), "EvtWorkItem", worker::run);
}

unsafe extern "win64" fn work_parent(g: G, handle: Handle) -> Handle {
    let _call = enter(g, "WdfWorkItemGetParentObject", DISPATCH);
    object::expect_kept(handle, &WORKITEM).body::<Deferred>().parent.handle()
}

unsafe extern "win64" fn work_flush(g: G, handle: Handle) {
    let _call = enter(g, "WdfWorkItemFlush", PASSIVE);
    let o = object::expect(handle, &WORKITEM);
    o.body::<Deferred>().runs.wait(o);
}

unsafe extern "win64" fn dpc_create(g: G, c: *const Config, a: *const RawAttributes, out: *mut Handle) -> NtStatus {
    let _call = enter(g, "WdfDpcCreate", DISPATCH);
    // SAFETY: the driver's pointers.
    unsafe { create(&DPC, ("WdfDpcCreate", "WDF_DPC_CONFIG"), c, a, out) }
}

unsafe extern "win64" fn dpc_enqueue(g: G, handle: Handle) -> u8 {
    let _call = enter(g, "WdfDpcEnqueue", 31);
    u8::from(enqueue(object::expect(handle, &DPC), "EvtDpcFunc", worker::run_at_dispatch))
}

unsafe extern "win64" fn dpc_cancel(g: G, handle: Handle, wait: u8) -> u8 {
    let _call = enter(g, "WdfDpcCancel", if wait != 0 { PASSIVE } else { DISPATCH });
    let o = object::expect(handle, &DPC);
    let d: &Deferred = o.body();
    let was = d.queued.swap(false, Ordering::AcqRel);
    if wait != 0 && irql::current() == PASSIVE {
        d.runs.wait(o);
    }
    u8::from(was)
}

unsafe extern "win64" fn dpc_parent(g: G, handle: Handle) -> Handle {
    let _call = enter(g, "WdfDpcGetParentObject", DISPATCH);
    object::expect_kept(handle, &DPC).body::<Deferred>().parent.handle()
}

/// This file's part of the table.
#[must_use]
pub fn table_entries() -> Vec<Entry> {
    entries! {
        "WdfWorkItemCreate" => work_create,
        "WdfWorkItemEnqueue" => work_enqueue,
        "WdfWorkItemGetParentObject" => work_parent,
        "WdfWorkItemFlush" => work_flush,
        "WdfDpcCreate" => dpc_create,
        "WdfDpcEnqueue" => dpc_enqueue,
        "WdfDpcCancel" => dpc_cancel,
        "WdfDpcGetParentObject" => dpc_parent,
    }
}
