//! Rundown protection: bit 0 of the count says that it is run down, the rest counts references by twos.

use crate::fault;
use crate::irql::{self, APC, DISPATCH};
use crate::ke::sched::Condvar;
use crate::ke::wait;
use crate::nt::EX_RUNDOWN_REF;
use crate::objects::Kind;
use crate::report::{InCall, Rule, record_about, stop_about};
use crate::{Export, pool};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

const UNDERFLOW: Rule = Rule::new("rundown.underflow", "WDK: ExReleaseRundownProtection (balances an acquire)");
const COMPLETED: Rule =
    Rule::new("rundown.completed", "WDK: ExRundownCompleted, ExReInitializeRundownProtection (after the wait)");
const INVALID: Rule = Rule::new("rundown.invalid", "WDK: ExInitializeRundownProtection must come first");

static LOCK: Mutex<()> = Mutex::new(());
static RELEASED: Condvar = Condvar::new();
static CACHE_AWARE: Kind = Kind::new("ex.rundown-cache-aware");

/// Counts above this are no counts.
const LIMIT: u64 = 1 << 32;

fn try_acquire(r: &AtomicU64, count: u64) -> bool {
    let mut v = r.load(Ordering::Relaxed);
    loop {
        if v & 1 != 0 {
            return false;
        }
        if v > LIMIT {
            stop_about(INVALID, std::ptr::from_ref(r).addr(), &format!("{r:p} contains {v:#x}"));
        }
        match r.compare_exchange_weak(v, v + 2 * count, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => return true,
            Err(now) => v = now,
        }
    }
}

fn release(r: &AtomicU64, count: u64) {
    // The last touch of the count: a waiter may free it once it sees 1.
    let v = r.fetch_sub(2 * count, Ordering::AcqRel);
    if v < 2 * count || v > LIMIT {
        stop_about(UNDERFLOW, std::ptr::from_ref(r).addr(), &format!("the count was {v:#x}, released {count}"));
    }
    if v - 2 * count == 1 {
        drop(LOCK.lock().unwrap_or_else(PoisonError::into_inner));
        RELEASED.notify_all();
    }
}

fn wait_release(r: &AtomicU64) {
    irql::require_at_most(APC);
    if r.fetch_or(1, Ordering::AcqRel) > 1 {
        wait::before_blocking();
    }
    let mut g = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    while r.load(Ordering::Acquire) != 1 {
        g = RELEASED.wait(&LOCK, g);
    }
}

extern "win64" fn initialize(r: &EX_RUNDOWN_REF) {
    r.Count.store(0, Ordering::Relaxed);
}

extern "win64" fn reinitialize(r: &EX_RUNDOWN_REF) {
    let _c = InCall::enter("ExReInitializeRundownProtection");
    let v = r.Count.swap(0, Ordering::AcqRel);
    if v != 1 {
        record_about(COMPLETED, std::ptr::from_ref(r).addr(), &format!("the count is {v:#x}"));
    }
}

extern "win64" fn completed(r: &EX_RUNDOWN_REF) {
    let _c = InCall::enter("ExRundownCompleted");
    let v = r.Count.swap(1, Ordering::AcqRel);
    if v != 1 {
        record_about(COMPLETED, std::ptr::from_ref(r).addr(), &format!("the count is {v:#x}"));
    }
}

extern "win64" fn acquire(r: &EX_RUNDOWN_REF) -> u8 {
    let _c = InCall::enter("ExAcquireRundownProtection");
    irql::require_at_most(DISPATCH);
    u8::from(try_acquire(&r.Count, 1))
}

extern "win64" fn acquire_ex(r: &EX_RUNDOWN_REF, count: u32) -> u8 {
    let _c = InCall::enter("ExAcquireRundownProtectionEx");
    irql::require_at_most(DISPATCH);
    u8::from(try_acquire(&r.Count, u64::from(count)))
}

extern "win64" fn release_one(r: &EX_RUNDOWN_REF) {
    let _c = InCall::enter("ExReleaseRundownProtection");
    irql::require_at_most(DISPATCH);
    release(&r.Count, 1);
}

extern "win64" fn release_ex(r: &EX_RUNDOWN_REF, count: u32) {
    let _c = InCall::enter("ExReleaseRundownProtectionEx");
    irql::require_at_most(DISPATCH);
    release(&r.Count, u64::from(count));
}

extern "win64" fn wait_for(r: &EX_RUNDOWN_REF) {
    let _c = InCall::enter("ExWaitForRundownProtectionRelease");
    wait_release(&r.Count);
}

extern "win64" fn allocate_cache_aware(_pool_type: i32, _tag: u32) -> *mut EX_RUNDOWN_REF {
    let _c = InCall::enter("ExAllocateCacheAwareRundownProtection");
    irql::require_at_most(APC);
    if fault::fails("ExAllocateCacheAwareRundownProtection") {
        return std::ptr::null_mut();
    }
    pool::alloc_lab_zeroed(&CACHE_AWARE, size_of::<EX_RUNDOWN_REF>()).cast()
}

extern "win64" fn free_cache_aware(r: *mut EX_RUNDOWN_REF) {
    let _c = InCall::enter("ExFreeCacheAwareRundownProtection");
    // SAFETY: the driver passes what ExAllocateCacheAwareRundownProtection gave; anything else is refused.
    unsafe {
        if !pool::is_lab_block(r.cast(), &CACHE_AWARE) {
            stop_about(INVALID, r.addr(), &format!("{r:p}"));
        }
        pool::free_lab(r.cast());
    }
}

pub(super) fn exports() -> Vec<Export> {
    vec![
        export!("ExInitializeRundownProtection", initialize),
        export!("ExReInitializeRundownProtection", reinitialize),
        export!("ExRundownCompleted", completed),
        export!("ExAcquireRundownProtection", acquire),
        export!("ExAcquireRundownProtectionEx", acquire_ex),
        export!("ExReleaseRundownProtection", release_one),
        export!("ExReleaseRundownProtectionEx", release_ex),
        export!("ExWaitForRundownProtectionRelease", wait_for),
        export!("ExAllocateCacheAwareRundownProtection", allocate_cache_aware),
        export!("ExFreeCacheAwareRundownProtection", free_cache_aware),
        export!("ExAcquireRundownProtectionCacheAware", acquire),
        export!("ExAcquireRundownProtectionCacheAwareEx", acquire_ex),
        export!("ExReleaseRundownProtectionCacheAware", release_one),
        export!("ExReleaseRundownProtectionCacheAwareEx", release_ex),
        export!("ExWaitForRundownProtectionReleaseCacheAware", wait_for),
        export!("ExReInitializeRundownProtectionCacheAware", reinitialize),
        export!("ExRundownCompletedCacheAware", completed),
    ]
}
