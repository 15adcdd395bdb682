//! Callback synchronization: the lock of a device or queue that has a synchronization scope, and how the driver is called.

use super::object::Ref;
use crate::irql::{self, Kirql};
use crate::ke;
use crate::ke::sched::Condvar;
use crate::report::{InCall, Rule, record, stop};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

const NOT_HELD: Rule = Rule::new("wdf.lock-not-held", "WDK: WdfObjectReleaseLock (the caller must hold the lock)");
const NO_LOCK: Rule = Rule::new(
    "wdf.no-callback-lock",
    "WDK: WdfObjectAcquireLock (device or queue objects with a synchronization scope)",
);

const WAIT_HELD: Rule = Rule::new(
    "wdf.waitlock-held-after-callback",
    "WDK: WdfWaitLockAcquire (enters a critical region; the thread returns to the system with it: APC_INDEX_MISMATCH)",
);
const CALLBACK_HELD: Rule = Rule::new(
    "wdf.callback-lock-held-after-callback",
    "WDK: WdfObjectAcquireLock (the driver must call WdfObjectReleaseLock before its callback returns)",
);

static NEXT: AtomicU64 = AtomicU64::new(1);
thread_local! {
    static ME: Cell<u64> = const { Cell::new(0) };
    /// Wait locks and callback locks that the driver holds on this thread.
    static HELD: Cell<(i32, i32)> = const { Cell::new((0, 0)) };
}

/// The driver has acquired (`1`) or released (`-1`) a wait lock.
pub fn count_wait_lock(by: i32) {
    let (w, c) = HELD.get();
    HELD.set((w + by, c));
}

/// The driver has acquired (`1`) or released (`-1`) a callback lock.
pub fn count_callback_lock(by: i32) {
    let (w, c) = HELD.get();
    HELD.set((w, c + by));
}

/// A number of the calling thread's own, never 0.
#[must_use]
pub fn thread_number() -> u64 {
    if ME.get() == 0 {
        ME.set(NEXT.fetch_add(1, Ordering::Relaxed));
    }
    ME.get()
}

/// Calls the driver: names the callback in reports and checks that it returns at its IRQL and without locks.
pub fn driver_call<R>(what: &'static str, f: impl FnOnce() -> R) -> R {
    let _call = InCall::enter(what);
    let balance = ke::Balance::before(what);
    let (waits, locks) = HELD.get();
    let r = f();
    balance.after();
    let now = HELD.get();
    if now.0 > waits {
        record(WAIT_HELD, &format!("{what} returned with {} wait lock(s) more than it was called with", now.0 - waits));
    }
    if now.1 > locks {
        record(CALLBACK_HELD, &format!("{what} returned with {} callback lock(s) acquired", now.1 - locks));
    }
    r
}

#[derive(Debug, Default)]
struct Held {
    owner: u64,
    depth: u32,
    saved: Kirql,
}

/// The lock that serialises callbacks of one device or queue. Recursive, as the framework's own is.
#[derive(Debug)]
pub struct CallbackLock {
    /// Callbacks run at PASSIVE_LEVEL; otherwise the lock raises to DISPATCH_LEVEL.
    pub passive: bool,
    held: Mutex<Held>,
    free: Condvar,
}

impl CallbackLock {
    /// A lock for callbacks at passive or dispatch level.
    #[must_use]
    pub fn new(passive: bool) -> Arc<Self> {
        Arc::new(Self { passive, held: Mutex::new(Held::default()), free: Condvar::new() })
    }

    /// Takes the lock.
    pub fn acquire(&self) {
        let me = thread_number();
        let old = if self.passive { irql::current() } else { irql::raise(irql::DISPATCH.max(irql::current())) };
        let mut h = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if h.owner != me {
            while h.owner != 0 {
                h = self.free.wait(&self.held, h);
            }
            h.owner = me;
            h.saved = old;
        }
        h.depth += 1;
    }

    /// Gives it back.
    pub fn release(&self) {
        let mut h = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if h.owner != thread_number() {
            drop(h);
            stop(NOT_HELD, "the callback lock is not held by this thread");
        }
        h.depth -= 1;
        if h.depth > 0 {
            return;
        }
        let saved = h.saved;
        h.owner = 0;
        drop(h);
        self.free.notify_one();
        if !self.passive {
            irql::lower(saved);
        }
    }
}

/// Runs `f` under the lock if there is one.
pub fn under<R>(l: Option<&CallbackLock>, f: impl FnOnce() -> R) -> R {
    let Some(l) = l else { return f() };
    l.acquire();
    let r = f();
    l.release();
    r
}

/// The callback lock that applies to `o`: its own (device, queue) or that of the nearest ancestor, by its scope.
#[must_use]
pub fn lock_of(o: Ref) -> Option<Arc<CallbackLock>> {
    if let Some(q) = o.ancestor(&super::queue::QUEUE) {
        return q.body::<super::queue::Queue>().callback_lock.clone();
    }
    if let Some(d) = o.ancestor(&super::device::DEVICE) {
        return d.body::<super::device::Device>().callback_lock.clone();
    }
    None
}

/// The lock of WdfObjectAcquireLock/ReleaseLock.
#[must_use]
pub fn required_lock(o: Ref) -> Arc<CallbackLock> {
    match lock_of(o) {
        Some(l) => l,
        None => stop(NO_LOCK, &format!("{o:?} has no synchronization scope (WdfSynchronizationScopeNone)")),
    }
}
