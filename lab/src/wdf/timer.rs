//! WDFTIMER.

use super::abi::{Handle, INVALID_PARAMETER, NOT_SUPPORTED, NtStatus, RawAttributes, SUCCESS};
use super::attributes::{self, check_size};
use super::bind::{G, enter};
use super::object::{self, Body, Kind, Ref, lock};
use super::serial::{self, Runs};
use super::sync::CallbackLock;
use super::table::{Entry, entries};
use super::{text, worker};
use crate::fault;
use crate::irql::{self, DISPATCH, PASSIVE};
use crate::ke::sched::Condvar;
use crate::ke::time::Moment;
use crate::report::{Rule, stop};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

/// WDFTIMER.
pub static TIMER: Kind = Kind::new("WDFTIMER", true, true, true);

const BAD_CONFIG: Rule = Rule::new("wdf.bad-timer-config", "WDK: WDF_TIMER_CONFIG");
const DELETED: Rule = Rule::new(
    "wdf.timer-deleted-in-callback",
    "WDK: WdfObjectDelete, EvtTimerFunc (a callback at PASSIVE_LEVEL cannot delete its timer: deadlock)",
);

/// WDF_TIMER_CONFIG.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
struct Config {
    size: u32,
    func: usize,
    period: u32,
    serialized: u8,
    tolerable_delay: u32,
    pad: u32,
    high_resolution: u64,
}
const _: () = {
    assert!(size_of::<Config>() == 40);
    assert!(std::mem::offset_of!(Config, high_resolution) == 32);
};

#[derive(Debug, Default)]
struct State {
    due: Option<Moment>,
    /// Counts starts and stops: an expiry of an older one is void.
    generation: u64,
}

/// The framework's part of a timer.
#[derive(Debug)]
struct Timer {
    func: usize,
    period: Option<Duration>,
    passive: bool,
    lock: Option<Arc<CallbackLock>>,
    parent: Ref,
    state: Mutex<State>,
    runs: Runs,
}

impl Body for Timer {
    fn dispose(&self, me: Ref) {
        if self.passive && self.runs.mine() {
            stop(DELETED, &format!("{me:?}"));
        }
        self.cancel();
        self.runs.settle();
    }
}

impl Timer {
    fn cancel(&self) -> bool {
        let mut s = lock(&self.state);
        s.generation += 1;
        s.due.take().is_some()
    }
}

type Expiry = Reverse<(Moment, u64, Handle)>;
static HEAP: Mutex<BinaryHeap<Expiry>> = Mutex::new(BinaryHeap::new());
static CHANGED: Condvar = Condvar::new();
static START: Once = Once::new();

fn serve() {
    let mut h = lock(&HEAP);
    loop {
        match h.peek() {
            None => h = CHANGED.wait(&HEAP, h),
            Some(Reverse((at, _, _))) if !at.has_come() => {
                let at = *at;
                h = CHANGED.wait_until(&HEAP, h, at).0;
            }
            Some(_) => {
                if let Some(Reverse((_, generation, handle))) = h.pop() {
                    drop(h);
                    expire(handle, generation);
                    h = lock(&HEAP);
                }
            }
        }
    }
}

fn schedule(at: Moment, generation: u64, handle: Handle) {
    START.call_once(|| crate::ke::spawn_or_abort("wdf-timer", serve));
    lock(&HEAP).push(Reverse((at, generation, handle)));
    CHANGED.notify_one();
}

fn expire(handle: Handle, generation: u64) {
    let Some(o) = object::find(handle).filter(|o| o.is(&TIMER)) else { return };
    let t: &Timer = o.body();
    {
        let mut s = lock(&t.state);
        let Some(due) = s.due.filter(|_| s.generation == generation) else { return };
        match t.period {
            Some(p) => {
                let next = due + p;
                s.due = Some(next);
                schedule(next, generation, handle);
            }
            None => s.due = None,
        }
        t.runs.begin();
    }
    o.reference();
    let call = move || {
        t.runs.call("EvtTimerFunc", t.func, o.handle(), t.lock.as_deref());
        o.dereference();
    };
    if t.passive { worker::run(call) } else { worker::run_at_dispatch(call) }
}

unsafe extern "win64" fn create(g: G, config: *const Config, a: *const RawAttributes, out: *mut Handle) -> NtStatus {
    let _call = enter(g, "WdfTimerCreate", DISPATCH);
    // SAFETY: the driver's structures; sizes are checked first.
    let (c, a) = unsafe {
        check_size(config.cast(), 40, "WDF_TIMER_CONFIG");
        (config.read_unaligned(), attributes::read(a))
    };
    if c.func == 0 {
        stop(BAD_CONFIG, "EvtTimerFunc is NULL");
    }
    let high_resolution = c.high_resolution & 0xFF;
    if high_resolution > 1 || (high_resolution != 0 && c.tolerable_delay != 0) {
        return INVALID_PARAMETER;
    }
    let passive = a.execution == 2;
    if passive && c.period != 0 {
        return NOT_SUPPORTED;
    }
    let (parent, l) = match serial::parent(&a, c.serialized != 0, passive) {
        Ok(p) => p,
        Err(s) => return s,
    };
    if fault::fails("WdfTimerCreate") {
        return super::abi::INSUFFICIENT_RESOURCES;
    }
    let body = Timer {
        func: c.func,
        period: (c.period != 0).then(|| Duration::from_millis(c.period.into())),
        passive,
        lock: l,
        parent,
        state: Mutex::default(),
        runs: Runs::default(),
    };
    match object::create(&TIMER, &a, Some(parent), Box::new(body)) {
        Ok(o) => {
            // SAFETY: the driver's pointer.
            unsafe { text::put(out, o.handle()) };
            SUCCESS
        }
        Err(s) => s,
    }
}

unsafe extern "win64" fn start(g: G, timer: Handle, due: i64) -> u8 {
    let _call = enter(g, "WdfTimerStart", DISPATCH);
    let o = object::expect(timer, &TIMER);
    let t: &Timer = o.body();
    let at = crate::ke::time::due(due);
    let mut s = lock(&t.state);
    if o.deleting() {
        return 0;
    }
    let was = s.due.replace(at).is_some();
    s.generation += 1;
    let generation = s.generation;
    drop(s);
    schedule(at, generation, timer);
    u8::from(was)
}

unsafe extern "win64" fn stop_timer(g: G, timer: Handle, wait: u8) -> u8 {
    let _call = enter(g, "WdfTimerStop", if wait != 0 { PASSIVE } else { DISPATCH });
    let o = object::expect(timer, &TIMER);
    let t: &Timer = o.body();
    let was = t.cancel();
    if wait != 0 && irql::current() == PASSIVE {
        t.runs.wait(o);
    }
    u8::from(was)
}

unsafe extern "win64" fn get_parent(g: G, timer: Handle) -> Handle {
    let _call = enter(g, "WdfTimerGetParentObject", DISPATCH);
    object::expect_kept(timer, &TIMER).body::<Timer>().parent.handle()
}

/// This file's part of the table.
#[must_use]
pub fn table_entries() -> Vec<Entry> {
    entries! {
        "WdfTimerCreate" => create,
        "WdfTimerStart" => start,
        "WdfTimerStop" => stop_timer,
        "WdfTimerGetParentObject" => get_parent,
    }
}
