//! Dispatcher objects (events, semaphores, timers, threads) and waits.
//!
//! An object's state and its waiters are guarded by one of a number of stripes, chosen by the object's address; a wait on
//! several objects takes the stripes it needs in order. A waiter is satisfied by the thread that signals, as on NT: a set
//! followed at once by a reset still wakes those that were waiting.

use super::thread::thread_id;
use super::{sched, time};
use crate::Export;
use crate::irql::{self, APC, DISPATCH};
use crate::nt::{DISPATCHER_HEADER, KEVENT, KSEMAPHORE, LIST_ENTRY, NTSTATUS, dispatcher, status};
use crate::report::{InCall, Rule, record, record_about, stop, stop_about};
use std::cell::Cell;
use std::ffi::c_void;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Thread;
use std::time::Duration;

const NOT_INIT: Rule = Rule::new("dispatcher.not-initialized", "WDK: KeInitializeEvent and its kin must come first");
const WAIT_IRQL: Rule = Rule::new("wait.irql", "WDK: KeWaitForSingleObject (<= APC_LEVEL unless the timeout is zero)");
const REINIT: Rule = Rule::new("dispatcher.reinitialized", "WDK: KeInitializeEvent (not while threads wait on it)");
const FREED: Rule =
    Rule::new("dispatcher.freed-while-waited", "WDK: storage of a dispatcher object must outlive its waits");
const LIMIT: Rule = Rule::new("semaphore.limit", "WDK: KeReleaseSemaphore raises STATUS_SEMAPHORE_LIMIT_EXCEEDED");
const TOO_MANY: Rule =
    Rule::new("wait.too-many", "WDK: KeWaitForMultipleObjects (at most 64, more than 3 need WaitBlockArray)");

const PROMISE: Rule =
    Rule::new("wait.not-followed", "WDK: KeSetEvent (with Wait set, a wait must follow at once, on the same thread)");

const STRIPES: usize = 64;
/// `WaitState::outcome` while waiting.
const WAITING: i32 = -1;
const TIMED_OUT: i32 = -2;

thread_local! {
    /// The event of a `KeSetEvent` with Wait set: it is set once this thread's next wait has begun.
    static PROMISED: Cell<usize> = const { Cell::new(0) };
}

/// Sets the event that a `KeSetEvent` with Wait set has held back.
fn keep_promise(event: usize) {
    if event != 0 {
        // SAFETY: the driver passed the event to KeSetEvent, which checked it, and must keep it until its wait.
        unsafe { signal(event as *mut DISPATCHER_HEADER, 1) };
    }
}

/// A routine of the driver's has returned: no wait may be owed.
pub(super) fn check_promise() {
    let e = PROMISED.take();
    if e != 0 {
        record_about(PROMISE, e, &format!("event {e:#x} was set with Wait, and no wait followed"));
        keep_promise(e);
    }
}

struct WaitState {
    outcome: AtomicI32,
    thread: Thread,
}

impl WaitState {
    /// Makes the waiting thread look. Looking and waiting again are one to the scheduler.
    fn wake(self: &Arc<Self>) {
        sched::wake(Arc::as_ptr(self).addr(), true);
        self.thread.unpark();
    }

    /// Waits for [`Self::wake`], or until `deadline`.
    fn sleep(self: &Arc<Self>, deadline: Option<time::Moment>) {
        if sched::schedules_me() {
            sched::wait(Arc::as_ptr(self).addr(), "wait", deadline, || {});
            return;
        }
        match deadline {
            Some(d) => std::thread::park_timeout(d.left()),
            None => std::thread::park(),
        }
    }
}

struct Waiter {
    object: usize,
    index: i32,
    /// Waits for all its objects: is woken to look for itself.
    all: bool,
    state: Arc<WaitState>,
}

static TABLE: [Mutex<Vec<Waiter>>; STRIPES] = [const { Mutex::new(Vec::new()) }; STRIPES];
/// Waiters by stripe, so that a look for some takes no lock where there are none.
static WAITERS: [AtomicUsize; STRIPES] = [const { AtomicUsize::new(0) }; STRIPES];

fn stripe_of(object: usize) -> usize {
    (object >> 4).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 58
}

fn waiters_of(object: usize) -> &'static AtomicUsize {
    &WAITERS[stripe_of(object) % STRIPES]
}

fn lock(stripe: usize) -> MutexGuard<'static, Vec<Waiter>> {
    // stripe_of yields six bits; the remainder keeps the index in the table for the compiler, too.
    TABLE[stripe % STRIPES].lock().unwrap_or_else(PoisonError::into_inner)
}

/// # Safety
/// `h` points to readable memory.
unsafe fn check(h: *const DISPATCHER_HEADER) {
    // SAFETY: as our caller promises.
    let (kind, size) = unsafe { ((*h).Type & 0x7F, (*h).Size) };
    let sound = match kind {
        dispatcher::NOTIFICATION_EVENT | dispatcher::SYNCHRONIZATION_EVENT => size == 6,
        dispatcher::SEMAPHORE => size == 8,
        dispatcher::THREAD => size == 6,
        dispatcher::NOTIFICATION_TIMER | dispatcher::SYNCHRONIZATION_TIMER => true,
        _ => false,
    };
    if !sound {
        stop_about(NOT_INIT, h.addr(), &format!("object {h:p} has type {kind}, size {size}"));
    }
}

/// Takes the signal that satisfied a wait, where the kind is consumed.
///
/// # Safety
/// `h` is valid and its stripe is locked.
unsafe fn consume(h: *mut DISPATCHER_HEADER) {
    // SAFETY: as our caller promises.
    unsafe {
        match (*h).Type & 0x7F {
            dispatcher::SYNCHRONIZATION_EVENT | dispatcher::SYNCHRONIZATION_TIMER => {
                (*h).SignalState.store(0, Ordering::Relaxed)
            }
            dispatcher::SEMAPHORE => {
                (*h).SignalState.fetch_sub(1, Ordering::Relaxed);
            }
            _ => {}
        }
    }
}

/// Adds `count` to a semaphore's state, or sets another object's state to 1; satisfies waiters. Returns the state before.
///
/// # Safety
/// `h` is a valid, initialised object.
pub(crate) unsafe fn signal(h: *mut DISPATCHER_HEADER, count: i32) -> i32 {
    let mut waiters = lock(stripe_of(h as usize));
    // SAFETY: as our caller promises; a waiter that would let the object die needs the stripe first.
    unsafe {
        let old = (*h).SignalState.load(Ordering::Relaxed);
        let new = if (*h).Type & 0x7F == dispatcher::SEMAPHORE { old.wrapping_add(count) } else { 1 };
        (*h).SignalState.store(new, Ordering::Relaxed);
        if waiters.is_empty() {
            return old;
        }
        let mut i = 0;
        while let Some(w) = waiters.get(i) {
            if w.object != h as usize {
                i += 1;
            } else if w.all {
                w.state.wake();
                i += 1;
            } else if w.state.outcome.compare_exchange(WAITING, w.index, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                consume(h);
                w.state.wake();
                waiters.remove(i);
                waiters_of(h as usize).fetch_sub(1, Ordering::Relaxed);
                if (*h).SignalState.load(Ordering::Relaxed) <= 0 {
                    break;
                }
            } else {
                i += 1;
            }
        }
        old
    }
}

/// Sets the state to 0; returns the state before.
///
/// # Safety
/// `h` is a valid object.
pub(crate) unsafe fn reset(h: *mut DISPATCHER_HEADER) -> i32 {
    let _waiters = lock(stripe_of(h as usize));
    // SAFETY: as our caller promises.
    unsafe { (*h).SignalState.swap(0, Ordering::Relaxed) }
}

fn locked(objects: &[*mut DISPATCHER_HEADER]) -> Vec<(usize, MutexGuard<'static, Vec<Waiter>>)> {
    let mut stripes: Vec<usize> = objects.iter().map(|&o| stripe_of(o as usize)).collect();
    stripes.sort_unstable();
    stripes.dedup();
    stripes.into_iter().map(|s| (s, lock(s))).collect()
}

/// Which object satisfies the wait now, consuming its signal (all of them for `all`).
///
/// # Safety
/// The objects are valid and their stripes are locked.
unsafe fn try_satisfy(objects: &[*mut DISPATCHER_HEADER], all: bool) -> Option<i32> {
    // SAFETY: as our caller promises.
    unsafe {
        if all {
            if objects.iter().all(|&o| (*o).SignalState.load(Ordering::Relaxed) > 0) {
                objects.iter().for_each(|&o| consume(o));
                return Some(0);
            }
            return None;
        }
        let i = objects.iter().position(|&o| (*o).SignalState.load(Ordering::Relaxed) > 0)?;
        if let Some(&o) = objects.get(i) {
            consume(o);
        }
        i32::try_from(i).ok()
    }
}

/// What forbids a wait that may block, beyond the IRQL. Each blocking call comes here first.
pub fn before_blocking() {
    crate::wsk::check_wait();
}

/// Waits on dispatcher objects; `timeout` is NT's (negative: relative, in 100 ns units). The checks of
/// `KeWaitForSingleObject` are made here.
///
/// # Safety
/// The pointers name memory that stays valid for the wait.
pub unsafe fn wait(objects: &[*mut DISPATCHER_HEADER], all: bool, timeout: Option<i64>) -> NTSTATUS {
    let limit = if timeout == Some(0) { DISPATCH } else { APC };
    if irql::current() > limit {
        record(
            WAIT_IRQL,
            &format!(
                "wait with {} at IRQL {}",
                if timeout == Some(0) { "zero timeout" } else { "a timeout" },
                irql::current()
            ),
        );
    }
    for &o in objects {
        // SAFETY: as our caller promises.
        unsafe { check(o) };
    }
    let mut promised = PROMISED.take();
    if objects.iter().any(|o| o.addr() == promised) {
        keep_promise(std::mem::take(&mut promised));
    }
    let state = {
        let mut stripes = locked(objects);
        // SAFETY: as our caller promises; the stripes are locked.
        let satisfied = unsafe { try_satisfy(objects, all) };
        if satisfied.is_some() || timeout == Some(0) {
            drop(stripes);
            keep_promise(promised);
            return satisfied.map_or(status::TIMEOUT, |i| status::WAIT_0 + i);
        }
        let state = Arc::new(WaitState { outcome: AtomicI32::new(WAITING), thread: std::thread::current() });
        for (i, &o) in objects.iter().enumerate() {
            let s = stripe_of(o as usize);
            if let Some((_, g)) = stripes.iter_mut().find(|(n, _)| *n == s) {
                g.push(Waiter {
                    object: o as usize,
                    index: i32::try_from(i).unwrap_or(0),
                    all,
                    state: Arc::clone(&state),
                });
                waiters_of(o as usize).fetch_add(1, Ordering::Relaxed);
            }
        }
        state
    };
    keep_promise(promised);
    before_blocking();
    let deadline = timeout.map(time::due);
    loop {
        let mut outcome = state.outcome.load(Ordering::Acquire);
        let expired = deadline.is_some_and(time::Moment::has_come);
        if outcome == WAITING && (all || expired) {
            let _stripes = locked(objects);
            outcome = state.outcome.load(Ordering::Acquire);
            if outcome == WAITING {
                // SAFETY: as our caller promises; the stripes are locked.
                if all && let Some(i) = unsafe { try_satisfy(objects, true) } {
                    state.outcome.store(i, Ordering::Relaxed);
                    outcome = i;
                } else if expired {
                    state.outcome.store(TIMED_OUT, Ordering::Relaxed);
                    outcome = TIMED_OUT;
                }
            }
        }
        if outcome != WAITING {
            // Also gives the signaller time to let go of the stripe before the objects may die.
            for (s, mut g) in locked(objects) {
                let before = g.len();
                g.retain(|w| !Arc::ptr_eq(&w.state, &state));
                WAITERS[s % STRIPES].fetch_sub(before - g.len(), Ordering::Relaxed);
            }
            return if outcome == TIMED_OUT { status::TIMEOUT } else { status::WAIT_0 + outcome };
        }
        state.sleep(deadline);
    }
}

pub(super) fn before_free(start: usize, size: usize) {
    for s in (0..STRIPES).filter(|&s| WAITERS[s].load(Ordering::Relaxed) != 0) {
        if let Some(w) = lock(s).iter().find(|w| w.object >= start && w.object < start + size) {
            stop_about(
                FREED,
                start,
                &format!(
                    "object {:#x} lies in the block {start:#x} of {size} bytes that is being freed, and a thread waits on it",
                    w.object
                ),
            );
        }
    }
}

const fn header(kind: u8, words: u8, state: i32) -> DISPATCHER_HEADER {
    DISPATCHER_HEADER {
        Type: kind,
        Signalling: 0,
        Size: words,
        Reserved1: 0,
        SignalState: AtomicI32::new(state),
        WaitListHead: LIST_ENTRY { Flink: std::ptr::null_mut(), Blink: std::ptr::null_mut() },
    }
}

/// Writes a fresh header of a dispatcher object.
///
/// # Safety
/// `h` is writable.
pub(crate) unsafe fn init_header(h: *mut DISPATCHER_HEADER, kind: u8, words: u8, state: i32) {
    if waiters_of(h as usize).load(Ordering::Relaxed) != 0
        && lock(stripe_of(h as usize)).iter().any(|w| w.object == h as usize)
    {
        record_about(REINIT, h.addr(), &format!("object {h:p} has waiters"));
    }
    // SAFETY: as our caller promises.
    unsafe {
        h.write(header(kind, words, state));
        let head = &raw mut (*h).WaitListHead;
        (*head).Flink = head;
        (*head).Blink = head;
    }
}

/// Initialises an event of the lab's own (or the driver's); `synchronization` resets itself when a wait takes it.
///
/// # Safety
/// `e` is writable.
pub unsafe fn event_init(e: *mut KEVENT, synchronization: bool, set: bool) {
    let kind = if synchronization { dispatcher::SYNCHRONIZATION_EVENT } else { dispatcher::NOTIFICATION_EVENT };
    // SAFETY: as our caller promises.
    unsafe { init_header(e.cast(), kind, 6, i32::from(set)) };
}

/// Sets an event; returns whether it was set before.
///
/// # Safety
/// `e` is an initialised event.
pub unsafe fn event_set(e: *mut KEVENT) -> bool {
    // SAFETY: as our caller promises.
    unsafe { signal(e.cast(), 1) != 0 }
}

/// Clears an event; returns whether it was set before.
///
/// # Safety
/// `e` is an initialised event.
pub unsafe fn event_clear(e: *mut KEVENT) -> bool {
    // SAFETY: as our caller promises.
    unsafe { reset(e.cast()) != 0 }
}

/// Whether an event is set.
///
/// # Safety
/// `e` is an initialised event.
#[must_use]
pub unsafe fn event_is_set(e: *const KEVENT) -> bool {
    // SAFETY: as our caller promises.
    unsafe { (*e).Header.SignalState.load(Ordering::Acquire) > 0 }
}

/// Waits for an event; false when the time ran out. For the lab's own waits: no IRQL check beyond NT's.
///
/// # Safety
/// `e` is an initialised event that stays valid.
pub unsafe fn wait_event(e: *mut KEVENT, timeout: Option<Duration>) -> bool {
    let t = timeout.map(|d| -i64::try_from(d.as_nanos() / 100).unwrap_or(i64::MAX));
    // SAFETY: as our caller promises.
    unsafe { wait(&[e.cast()], false, t) == status::WAIT_0 }
}

extern "win64" fn initialize_event(e: *mut KEVENT, kind: i32, state: u8) {
    let _c = InCall::enter("KeInitializeEvent");
    if kind != 0 && kind != 1 {
        record(NOT_INIT, &format!("event type {kind} is neither NotificationEvent nor SynchronizationEvent"));
    }
    // SAFETY: the driver passes its storage for a KEVENT.
    unsafe { event_init(e, kind == 1, state != 0) };
}

macro_rules! event_call {
    ($f:ident, $name:literal, $kind:pat, |$e:ident| $body:expr) => {
        extern "win64" fn $f($e: *mut KEVENT) -> i32 {
            let _c = InCall::enter($name);
            irql::require_at_most(DISPATCH);
            // SAFETY: the driver passes a KEVENT; check() refuses what is not initialised.
            unsafe {
                check($e.cast());
                $body
            }
        }
    };
}
event_call!(reset_event, "KeResetEvent", 0 | 1, |e| reset(e.cast()));
event_call!(clear_event, "KeClearEvent", 0 | 1, |e| reset(e.cast()));
event_call!(read_event, "KeReadStateEvent", 0 | 1, |e| (*e).Header.SignalState.load(Ordering::Acquire));

extern "win64" fn set_event(e: *mut KEVENT, _increment: i32, wait: u8) -> i32 {
    let _c = InCall::enter("KeSetEvent");
    irql::require_at_most(if wait == 0 { DISPATCH } else { APC });
    // SAFETY: the driver passes a KEVENT; check() refuses what is not initialised.
    unsafe {
        check(e.cast());
        if (*e).Header.Type > 1 {
            stop_about(NOT_INIT, e.addr(), &format!("object {e:p} is no event"));
        }
        check_promise();
        if wait != 0 {
            PROMISED.set(e.addr());
            return (*e).Header.SignalState.load(Ordering::Acquire);
        }
        signal(e.cast(), 1)
    }
}

extern "win64" fn initialize_semaphore(s: *mut KSEMAPHORE, count: i32, limit: i32) {
    let _c = InCall::enter("KeInitializeSemaphore");
    // SAFETY: the driver passes its storage for a KSEMAPHORE.
    unsafe {
        init_header(s.cast(), dispatcher::SEMAPHORE, 8, count);
        (*s).Limit = limit;
    }
}

extern "win64" fn release_semaphore(s: *mut KSEMAPHORE, _increment: i32, adjustment: i32, _wait: u8) -> i32 {
    let _c = InCall::enter("KeReleaseSemaphore");
    irql::require_at_most(DISPATCH);
    // SAFETY: the driver passes a KSEMAPHORE; check() refuses what is not initialised.
    unsafe {
        check(s.cast());
        let now = (*s).Header.SignalState.load(Ordering::Relaxed);
        if adjustment <= 0 || now.checked_add(adjustment).is_none_or(|n| n > (*s).Limit) {
            stop_about(LIMIT, s.addr(), &format!("state {now} + {adjustment} exceeds the limit {}", (*s).Limit));
        }
        signal(s.cast(), adjustment)
    }
}

extern "win64" fn read_semaphore(s: *mut KSEMAPHORE) -> i32 {
    // SAFETY: the driver passes a KSEMAPHORE.
    unsafe { (*s).Header.SignalState.load(Ordering::Acquire) }
}

/// # Safety
/// `t` is null or readable.
unsafe fn timeout_of(t: *const i64) -> Option<i64> {
    // SAFETY: as our caller promises.
    unsafe { t.as_ref().copied() }
}

extern "win64" fn wait_single(
    object: *mut c_void,
    _reason: i32,
    _mode: i8,
    _alertable: u8,
    timeout: *const i64,
) -> NTSTATUS {
    let _c = InCall::enter("KeWaitForSingleObject");
    // SAFETY: the driver passes a dispatcher object and an optional timeout.
    unsafe { wait(&[object.cast()], false, timeout_of(timeout)) }
}

extern "win64" fn wait_multiple(
    count: u32,
    objects: *const *mut c_void,
    wait_type: i32,
    _reason: i32,
    _mode: i8,
    _alertable: u8,
    timeout: *const i64,
    blocks: *mut c_void,
) -> NTSTATUS {
    let _c = InCall::enter("KeWaitForMultipleObjects");
    if count == 0 || count > 64 || (count > 3 && blocks.is_null()) {
        stop(TOO_MANY, &format!("{count} objects, WaitBlockArray {blocks:p}"));
    }
    // SAFETY: the driver passes `count` pointers.
    let objects = unsafe { std::slice::from_raw_parts(objects.cast::<*mut DISPATCHER_HEADER>(), count as usize) };
    // WaitAll is 0, WaitAny 1. SAFETY: the driver passes dispatcher objects and an optional timeout.
    unsafe { wait(objects, wait_type == 0, timeout_of(timeout)) }
}

extern "win64" fn delay(_mode: i8, _alertable: u8, interval: *const i64) -> NTSTATUS {
    let _c = InCall::enter("KeDelayExecutionThread");
    irql::require_at_most(APC);
    before_blocking();
    // SAFETY: the driver passes an interval.
    let t = unsafe { timeout_of(interval) }.unwrap_or(0);
    sched::sleep(time::due(t).left());
    let _ = thread_id();
    status::SUCCESS
}

pub(super) fn exports() -> Vec<Export> {
    vec![
        export!("KeInitializeEvent", initialize_event),
        export!("KeSetEvent", set_event),
        export!("KeResetEvent", reset_event),
        export!("KeClearEvent", clear_event),
        export!("KeReadStateEvent", read_event),
        export!("KeInitializeSemaphore", initialize_semaphore),
        export!("KeReleaseSemaphore", release_semaphore),
        export!("KeReadStateSemaphore", read_semaphore),
        export!("KeWaitForSingleObject", wait_single),
        export!("KeWaitForMultipleObjects", wait_multiple),
        export!("KeDelayExecutionThread", delay),
    ]
}
