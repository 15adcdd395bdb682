//! Spin locks: ordinary, in-stack queued, and reader-writer (`EX_SPIN_LOCK`).
//!
//! A held lock contains the lab's id of the thread that holds it, so recursion, a release by another thread and a lock
//! that is freed while held are seen. What each thread holds is kept in a small list.

use super::thread::thread_id;
use super::{order, sched};
use crate::Export;
use crate::irql::{self, DISPATCH, Kirql};
use crate::nt::{EX_SPIN_LOCK, KLOCK_QUEUE_HANDLE, KSPIN_LOCK};
use crate::report::{InCall, Rule, record, stop, stop_about};
use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

const RECURSIVE: Rule =
    Rule::new("spinlock.recursive", "WDK: KeAcquireSpinLock (spin locks are not recursive: self-deadlock)");
const NOT_OWNER: Rule =
    Rule::new("spinlock.not-owner", "WDK: KeReleaseSpinLock (lock must be held by the caller); bug check 0x10");
const AT_PASSIVE: Rule =
    Rule::new("spinlock.irql", "WDK: KeAcquireSpinLockAtDpcLevel, KeReleaseSpinLock (IRQL >= DISPATCH_LEVEL)");
const CORRUPT: Rule =
    Rule::new("spinlock.corrupt", "WDK: KeInitializeSpinLock (storage must be initialised and resident)");
const FREED: Rule =
    Rule::new("spinlock.freed-while-held", "Driver Verifier deadlock detection 0xC4/0x1007: a held lock was freed");
const LOWERED: Rule =
    Rule::new("irql.lowered-holding", "WDK: KeLowerIrql below DISPATCH_LEVEL while a spin lock is held");

/// Locks at most one thread may hold at once.
const MAX_HELD: usize = 32;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
    static HELD: RefCell<[usize; MAX_HELD]> = const { RefCell::new([0; MAX_HELD]) };
}

/// Number of spin locks this thread holds.
#[must_use]
pub fn held() -> usize {
    COUNT.get()
}

fn push(lock: usize) {
    let n = COUNT.get();
    HELD.with_borrow_mut(|h| {
        if let Some(slot) = h.get_mut(n) {
            *slot = lock;
        }
    });
    COUNT.set(n + 1);
}

fn pop(lock: usize) {
    let n = COUNT.get();
    HELD.with_borrow_mut(|h| {
        let used = n.min(MAX_HELD);
        if let Some(i) = h.iter().take(used).rposition(|&l| l == lock) {
            h.copy_within(i + 1..used, i);
        }
    });
    COUNT.set(n.saturating_sub(1));
}

/// The lock is about to be acquired: by the order of locks, may it?
fn check_order(lock: usize) {
    let n = COUNT.get().min(MAX_HELD);
    if n != 0 {
        // A copy: a violation's report may look at what is held.
        let held = HELD.with_borrow(|h| *h);
        order::acquiring(held.get(..n).unwrap_or(&[]), lock);
    }
}

fn mine(lock: usize) -> bool {
    let n = COUNT.get().min(MAX_HELD);
    HELD.with_borrow(|h| h.iter().take(n).any(|&l| l == lock))
}

/// Spins politely: the host has fewer processors than the lab.
pub(crate) struct Spinner(u32);

impl Spinner {
    pub(crate) const fn new() -> Self {
        Self(0)
    }
    pub(crate) fn spin(&mut self) {
        if sched::spin() {
            return;
        }
        self.0 += 1;
        if self.0 < 64 {
            std::hint::spin_loop();
        } else {
            std::thread::yield_now();
        }
    }
}

/// Takes the lock; the caller is at DISPATCH_LEVEL or above.
pub fn acquire(lock: &KSPIN_LOCK) {
    let me = thread_id() << 1 | 1;
    check_order(std::ptr::from_ref(lock).addr());
    let mut s = Spinner::new();
    loop {
        match lock.compare_exchange_weak(0, me, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => break,
            Err(v) if v == me => stop_about(
                RECURSIVE,
                std::ptr::from_ref(lock).addr(),
                &format!("lock {lock:p} is already held by this thread"),
            ),
            Err(v) if v != 0 && v & 1 == 0 || v >> 1 > 0xFFFF_FFFF => stop_about(
                CORRUPT,
                std::ptr::from_ref(lock).addr(),
                &format!("lock {lock:p} contains {v:#x}: not initialised, or overwritten"),
            ),
            Err(_) => s.spin(),
        }
    }
    push(std::ptr::from_ref(lock).addr());
}

/// Takes the lock if it is free.
pub fn try_acquire(lock: &KSPIN_LOCK) -> bool {
    let me = thread_id() << 1 | 1;
    let got = lock.compare_exchange(0, me, Ordering::Acquire, Ordering::Relaxed).is_ok();
    if got {
        push(std::ptr::from_ref(lock).addr());
    }
    got
}

/// Gives the lock back.
pub fn release(lock: &KSPIN_LOCK) {
    let me = thread_id() << 1 | 1;
    let v = lock.load(Ordering::Relaxed);
    if v != me {
        stop_about(
            NOT_OWNER,
            std::ptr::from_ref(lock).addr(),
            &format!("lock {lock:p} contains {v:#x}, this thread is {me:#x}"),
        );
    }
    lock.store(0, Ordering::Release);
    pop(std::ptr::from_ref(lock).addr());
}

fn require_dispatch() {
    if irql::current() < DISPATCH {
        record(AT_PASSIVE, &format!("came at IRQL {}", irql::current()));
    }
}

pub(super) fn before_free(start: usize, size: usize) {
    if COUNT.get() == 0 {
        return;
    }
    HELD.with_borrow(|h| {
        if let Some(l) = h.iter().take(COUNT.get()).find(|&&l| l >= start && l < start + size) {
            stop_about(FREED, start, &format!("lock {l:#x} lies in the block {start:#x} of {size} bytes that is being freed, and this thread holds it"));
        }
    });
}

/// Checks at a lowering of the IRQL to `new`.
pub fn before_lower(new: Kirql) {
    if new < DISPATCH && COUNT.get() != 0 {
        record(LOWERED, &format!("to IRQL {new} with {} spin lock(s) held", COUNT.get()));
    }
}

extern "win64" fn init(lock: &KSPIN_LOCK) {
    order::forget(std::ptr::from_ref(lock).addr(), size_of::<KSPIN_LOCK>());
    lock.store(0, Ordering::Relaxed);
}

extern "win64" fn acquire_raise(lock: &KSPIN_LOCK) -> Kirql {
    let _c = InCall::enter("KeAcquireSpinLockRaiseToDpc");
    irql::require_at_most(DISPATCH);
    let old = irql::raise(DISPATCH);
    acquire(lock);
    old
}

extern "win64" fn release_lower(lock: &KSPIN_LOCK, old: Kirql) {
    let _c = InCall::enter("KeReleaseSpinLock");
    if irql::current() != DISPATCH {
        record(AT_PASSIVE, &format!("came at IRQL {}", irql::current()));
    }
    release(lock);
    before_lower(old);
    irql::lower(old);
}

extern "win64" fn acquire_at_dpc(lock: &KSPIN_LOCK) {
    let _c = InCall::enter("KeAcquireSpinLockAtDpcLevel");
    require_dispatch();
    acquire(lock);
}

extern "win64" fn release_from_dpc(lock: &KSPIN_LOCK) {
    let _c = InCall::enter("KeReleaseSpinLockFromDpcLevel");
    require_dispatch();
    release(lock);
}

extern "win64" fn try_acquire_at_dpc(lock: &KSPIN_LOCK) -> u8 {
    let _c = InCall::enter("KeTryToAcquireSpinLockAtDpcLevel");
    require_dispatch();
    u8::from(try_acquire(lock))
}

extern "win64" fn test(lock: &KSPIN_LOCK) -> u8 {
    u8::from(lock.load(Ordering::Relaxed) == 0)
}

extern "win64" fn acquire_queued(lock: &'static KSPIN_LOCK, handle: &mut KLOCK_QUEUE_HANDLE) {
    let _c = InCall::enter("KeAcquireInStackQueuedSpinLock");
    irql::require_at_most(DISPATCH);
    handle.OldIrql = irql::raise(DISPATCH);
    handle.Lock = std::ptr::from_ref(lock).cast_mut();
    acquire(lock);
}

/// The lock a queue handle names.
fn queued(handle: &KLOCK_QUEUE_HANDLE) -> &KSPIN_LOCK {
    // SAFETY: an acquired handle holds the lock's address, which the driver keeps valid while it is held; null is refused.
    match unsafe { handle.Lock.as_ref() } {
        Some(l) => l,
        None => stop(NOT_OWNER, "the queue handle names no lock"),
    }
}

extern "win64" fn release_queued(handle: &mut KLOCK_QUEUE_HANDLE) {
    let _c = InCall::enter("KeReleaseInStackQueuedSpinLock");
    require_dispatch();
    release(queued(handle));
    handle.Lock = std::ptr::null_mut();
    before_lower(handle.OldIrql);
    irql::lower(handle.OldIrql);
}

extern "win64" fn acquire_queued_at_dpc(lock: &'static KSPIN_LOCK, handle: &mut KLOCK_QUEUE_HANDLE) {
    let _c = InCall::enter("KeAcquireInStackQueuedSpinLockAtDpcLevel");
    require_dispatch();
    handle.OldIrql = irql::current();
    handle.Lock = std::ptr::from_ref(lock).cast_mut();
    acquire(lock);
}

extern "win64" fn release_queued_from_dpc(handle: &mut KLOCK_QUEUE_HANDLE) {
    let _c = InCall::enter("KeReleaseInStackQueuedSpinLockFromDpcLevel");
    require_dispatch();
    release(queued(handle));
    handle.Lock = std::ptr::null_mut();
}

// EX_SPIN_LOCK: bit 31 is the writer, the rest counts readers.
const WRITER: i32 = i32::MIN;

fn ex_shared(lock: &EX_SPIN_LOCK) {
    let key = std::ptr::from_ref(lock).addr();
    if mine(key) && lock.load(Ordering::Relaxed) < 0 {
        stop_about(
            RECURSIVE,
            std::ptr::from_ref(lock).addr(),
            &format!("EX_SPIN_LOCK {lock:p}: this thread holds it exclusively"),
        );
    }
    check_order(key);
    let mut s = Spinner::new();
    loop {
        let v = lock.load(Ordering::Relaxed);
        if v >= 0 && lock.compare_exchange_weak(v, v + 1, Ordering::Acquire, Ordering::Relaxed).is_ok() {
            break;
        }
        s.spin();
    }
    push(key);
}

fn ex_shared_release(lock: &EX_SPIN_LOCK) {
    let key = std::ptr::from_ref(lock).addr();
    if !mine(key) || lock.load(Ordering::Relaxed) & i32::MAX == 0 {
        stop_about(
            NOT_OWNER,
            std::ptr::from_ref(lock).addr(),
            &format!("EX_SPIN_LOCK {lock:p}: this thread does not hold it shared"),
        );
    }
    lock.fetch_sub(1, Ordering::Release);
    pop(key);
}

fn ex_exclusive(lock: &EX_SPIN_LOCK) {
    let key = std::ptr::from_ref(lock).addr();
    if mine(key) {
        stop_about(
            RECURSIVE,
            std::ptr::from_ref(lock).addr(),
            &format!("EX_SPIN_LOCK {lock:p}: this thread already holds it"),
        );
    }
    check_order(key);
    let mut s = Spinner::new();
    // Claim the writer bit first, so that readers stop coming; then wait for those inside.
    while lock.fetch_or(WRITER, Ordering::Acquire) < 0 {
        s.spin();
    }
    while lock.load(Ordering::Acquire) != WRITER {
        s.spin();
    }
    push(key);
}

fn ex_exclusive_release(lock: &EX_SPIN_LOCK) {
    let key = std::ptr::from_ref(lock).addr();
    if !mine(key) || lock.load(Ordering::Relaxed) >= 0 {
        stop_about(
            NOT_OWNER,
            std::ptr::from_ref(lock).addr(),
            &format!("EX_SPIN_LOCK {lock:p}: this thread does not hold it exclusively"),
        );
    }
    lock.fetch_and(!WRITER, Ordering::Release);
    pop(key);
}

macro_rules! ex_raise {
    ($f:ident, $name:literal, $op:ident) => {
        extern "win64" fn $f(lock: &AtomicI32) -> Kirql {
            let _c = InCall::enter($name);
            irql::require_at_most(DISPATCH);
            let old = irql::raise(DISPATCH);
            $op(lock);
            old
        }
    };
}
macro_rules! ex_lower {
    ($f:ident, $name:literal, $op:ident) => {
        extern "win64" fn $f(lock: &AtomicI32, old: Kirql) {
            let _c = InCall::enter($name);
            require_dispatch();
            $op(lock);
            before_lower(old);
            irql::lower(old);
        }
    };
}
macro_rules! ex_at_dpc {
    ($f:ident, $name:literal, $op:ident) => {
        extern "win64" fn $f(lock: &AtomicI32) {
            let _c = InCall::enter($name);
            require_dispatch();
            $op(lock);
        }
    };
}
ex_raise!(ex_acquire_shared, "ExAcquireSpinLockShared", ex_shared);
ex_raise!(ex_acquire_exclusive, "ExAcquireSpinLockExclusive", ex_exclusive);
ex_lower!(ex_release_shared, "ExReleaseSpinLockShared", ex_shared_release);
ex_lower!(ex_release_exclusive, "ExReleaseSpinLockExclusive", ex_exclusive_release);
ex_at_dpc!(ex_acquire_shared_dpc, "ExAcquireSpinLockSharedAtDpcLevel", ex_shared);
ex_at_dpc!(ex_acquire_exclusive_dpc, "ExAcquireSpinLockExclusiveAtDpcLevel", ex_exclusive);
ex_at_dpc!(ex_release_shared_dpc, "ExReleaseSpinLockSharedFromDpcLevel", ex_shared_release);
ex_at_dpc!(ex_release_exclusive_dpc, "ExReleaseSpinLockExclusiveFromDpcLevel", ex_exclusive_release);

extern "win64" fn ex_try_convert(lock: &AtomicI32) -> u8 {
    let _c = InCall::enter("ExTryConvertSharedSpinLockExclusive");
    require_dispatch();
    if !mine(std::ptr::from_ref(lock).addr()) {
        stop_about(
            NOT_OWNER,
            std::ptr::from_ref(lock).addr(),
            &format!("EX_SPIN_LOCK {lock:p}: this thread does not hold it shared"),
        );
    }
    u8::from(lock.compare_exchange(1, WRITER, Ordering::Acquire, Ordering::Relaxed).is_ok())
}

extern "win64" fn raise_irql(new: Kirql) -> Kirql {
    let _c = InCall::enter("KfRaiseIrql");
    irql::raise(new)
}

extern "win64" fn lower_irql(new: Kirql) {
    let _c = InCall::enter("KeLowerIrql");
    before_lower(new);
    irql::lower(new);
}

extern "win64" fn raise_to_dpc() -> Kirql {
    let _c = InCall::enter("KeRaiseIrqlToDpcLevel");
    irql::raise(DISPATCH)
}

extern "win64" fn get_irql() -> Kirql {
    irql::current()
}

pub(super) fn exports() -> Vec<Export> {
    const _: () = assert!(size_of::<AtomicU64>() == size_of::<KSPIN_LOCK>());
    vec![
        export!("KeInitializeSpinLock", init),
        export!("KeAcquireSpinLockRaiseToDpc", acquire_raise),
        export!("KeReleaseSpinLock", release_lower),
        export!("KeAcquireSpinLockAtDpcLevel", acquire_at_dpc),
        export!("KeReleaseSpinLockFromDpcLevel", release_from_dpc),
        export!("KeTryToAcquireSpinLockAtDpcLevel", try_acquire_at_dpc),
        export!("KeTestSpinLock", test),
        export!("KeAcquireInStackQueuedSpinLock", acquire_queued),
        export!("KeReleaseInStackQueuedSpinLock", release_queued),
        export!("KeAcquireInStackQueuedSpinLockAtDpcLevel", acquire_queued_at_dpc),
        export!("KeReleaseInStackQueuedSpinLockFromDpcLevel", release_queued_from_dpc),
        export!("ExAcquireSpinLockShared", ex_acquire_shared),
        export!("ExReleaseSpinLockShared", ex_release_shared),
        export!("ExAcquireSpinLockExclusive", ex_acquire_exclusive),
        export!("ExReleaseSpinLockExclusive", ex_release_exclusive),
        export!("ExAcquireSpinLockSharedAtDpcLevel", ex_acquire_shared_dpc),
        export!("ExReleaseSpinLockSharedFromDpcLevel", ex_release_shared_dpc),
        export!("ExAcquireSpinLockExclusiveAtDpcLevel", ex_acquire_exclusive_dpc),
        export!("ExReleaseSpinLockExclusiveFromDpcLevel", ex_release_exclusive_dpc),
        export!("ExTryConvertSharedSpinLockExclusive", ex_try_convert),
        export!("KfRaiseIrql", raise_irql),
        export!("KeLowerIrql", lower_irql),
        export!("KeRaiseIrqlToDpcLevel", raise_to_dpc),
        export!("KeGetCurrentIrql", get_irql),
    ]
}
