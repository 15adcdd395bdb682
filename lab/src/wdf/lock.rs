//! WDFSPINLOCK and WDFWAITLOCK.

use super::abi::{Handle, NtStatus, RawAttributes, SUCCESS, TIMEOUT};
use super::attributes;
use super::bind::{G, enter};
use super::object::{self, Body, Kind, Ref};
use super::sync::{count_wait_lock, thread_number};
use super::table::{Entry, entries};
use super::{driver, text};
use crate::fault;
use crate::irql::{self, DISPATCH, PASSIVE};
use crate::ke::sched::Condvar;
use crate::ke::{order, spin};
use crate::report::{Rule, record, stop};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// WDFSPINLOCK.
pub static SPINLOCK: Kind = Kind::new("WDFSPINLOCK", true, false, false);
/// WDFWAITLOCK.
pub static WAITLOCK: Kind = Kind::new("WDFWAITLOCK", true, true, false);

const RECURSIVE: Rule = Rule::new(
    "wdf.waitlock-recursive",
    "WDK: WdfWaitLockAcquire (a wait lock is not recursive: the thread would wait for itself)",
);
const NOT_OWNER: Rule = Rule::new("wdf.waitlock-not-owner", "WDK: WdfWaitLockRelease (by the thread that acquired it)");
const HELD: Rule = Rule::new("wdf.lock-deleted-while-held", "WDK: WdfObjectDelete on a lock that a thread holds");

/// The framework's part of a spin lock.
#[derive(Debug, Default)]
struct SpinLock {
    lock: AtomicU64,
    saved: AtomicU8,
}
impl Body for SpinLock {
    fn dispose(&self, me: Ref) {
        if self.lock.load(Ordering::Relaxed) != 0 {
            record(HELD, &format!("{me:?}"));
        }
    }
}
impl Drop for SpinLock {
    fn drop(&mut self) {
        // What comes to lie here is another lock.
        order::forget((&raw const self.lock).addr(), size_of::<AtomicU64>());
    }
}

unsafe extern "win64" fn spin_create(g: G, a: *const RawAttributes, out: *mut Handle) -> NtStatus {
    let _call = enter(g, "WdfSpinLockCreate", DISPATCH);
    // SAFETY: the driver's structure.
    let a = unsafe { attributes::read(a) };
    if let Err(s) = a.check_levels(&SPINLOCK) {
        return s;
    }
    if fault::fails("WdfSpinLockCreate") {
        return super::abi::INSUFFICIENT_RESOURCES;
    }
    match object::create(&SPINLOCK, &a, a.parent_or(driver::current()), Box::new(SpinLock::default())) {
        Ok(o) => {
            // SAFETY: the driver's pointer.
            unsafe { text::put(out, o.handle()) };
            SUCCESS
        }
        Err(s) => s,
    }
}

unsafe extern "win64" fn spin_acquire(g: G, handle: Handle) {
    let _call = enter(g, "WdfSpinLockAcquire", DISPATCH);
    let l: &SpinLock = object::expect(handle, &SPINLOCK).body();
    let old = irql::raise(DISPATCH.max(irql::current()));
    spin::acquire(&l.lock);
    l.saved.store(old, Ordering::Relaxed);
}

unsafe extern "win64" fn spin_release(g: G, handle: Handle) {
    let _call = enter(g, "WdfSpinLockRelease", DISPATCH);
    let l: &SpinLock = object::expect(handle, &SPINLOCK).body();
    let old = l.saved.load(Ordering::Relaxed);
    spin::release(&l.lock);
    spin::before_lower(old);
    irql::lower(old);
}

/// The framework's part of a wait lock: the owner's thread number or 0.
#[derive(Debug, Default)]
struct WaitLock {
    owner: Mutex<u64>,
    free: Condvar,
}
impl Body for WaitLock {
    fn dispose(&self, me: Ref) {
        if *object::lock(&self.owner) != 0 {
            record(HELD, &format!("{me:?}"));
        }
    }
}

unsafe extern "win64" fn wait_create(g: G, a: *const RawAttributes, out: *mut Handle) -> NtStatus {
    let _call = enter(g, "WdfWaitLockCreate", DISPATCH);
    // SAFETY: the driver's structure.
    let a = unsafe { attributes::read(a) };
    if let Err(s) = a.check_levels(&WAITLOCK) {
        return s;
    }
    if fault::fails("WdfWaitLockCreate") {
        return super::abi::INSUFFICIENT_RESOURCES;
    }
    match object::create(&WAITLOCK, &a, a.parent_or(driver::current()), Box::new(WaitLock::default())) {
        Ok(o) => {
            // SAFETY: the driver's pointer.
            unsafe { text::put(out, o.handle()) };
            SUCCESS
        }
        Err(s) => s,
    }
}

unsafe extern "win64" fn wait_acquire(g: G, handle: Handle, timeout: *const i64) -> NtStatus {
    // SAFETY: NULL or the driver's variable.
    let timeout = unsafe { timeout.as_ref() }.copied();
    let _call = enter(g, "WdfWaitLockAcquire", if timeout == Some(0) { DISPATCH } else { PASSIVE });
    let o = object::expect(handle, &WAITLOCK);
    let l: &WaitLock = o.body();
    let me = thread_number();
    let until = timeout.filter(|t| *t != 0).map(crate::ke::time::due);
    let mut owner = object::lock(&l.owner);
    if *owner == me {
        drop(owner);
        stop(RECURSIVE, &format!("{o:?}"));
    }
    while *owner != 0 {
        let left = match (timeout, until) {
            (Some(0), _) => return TIMEOUT,
            (_, Some(u)) => Some(u.left()),
            _ => None,
        };
        owner = match left {
            Some(d) if d.is_zero() => return TIMEOUT,
            Some(d) => l.free.wait_timeout(&l.owner, owner, d).0,
            None => l.free.wait(&l.owner, owner),
        };
    }
    *owner = me;
    count_wait_lock(1);
    SUCCESS
}

unsafe extern "win64" fn wait_release(g: G, handle: Handle) {
    let _call = enter(g, "WdfWaitLockRelease", DISPATCH);
    let o = object::expect(handle, &WAITLOCK);
    let l: &WaitLock = o.body();
    let mut owner = object::lock(&l.owner);
    if *owner != thread_number() {
        drop(owner);
        stop(NOT_OWNER, &format!("{o:?}"));
    }
    *owner = 0;
    drop(owner);
    count_wait_lock(-1);
    l.free.notify_one();
}

/// This file's part of the table.
#[must_use]
pub fn table_entries() -> Vec<Entry> {
    entries! {
        "WdfSpinLockCreate" => spin_create,
        "WdfSpinLockAcquire" => spin_acquire,
        "WdfSpinLockRelease" => spin_release,
        "WdfWaitLockCreate" => wait_create,
        "WdfWaitLockAcquire" => wait_acquire,
        "WdfWaitLockRelease" => wait_release,
    }
}
