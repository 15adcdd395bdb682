//! Fast mutexes (and guarded ones, which share their layout): APC_LEVEL inside, never recursive.

use crate::Export;
use crate::irql::{self, APC};
use crate::ke::{self, thread_id, wait};
use crate::nt::{FAST_MUTEX, KEVENT};
use crate::report::{InCall, Rule, record_about, stop_about};
use std::ffi::c_void;
use std::sync::atomic::Ordering;

const RECURSIVE: Rule = Rule::new("fastmutex.recursive", "WDK: ExAcquireFastMutex (cannot be acquired recursively)");
const NOT_OWNER: Rule = Rule::new("fastmutex.not-owner", "WDK: ExReleaseFastMutex (by the thread that acquired it)");
const AT_RELEASE: Rule = Rule::new("fastmutex.irql", "WDK: ExReleaseFastMutex (IRQL = APC_LEVEL)");

fn me() -> *mut c_void {
    (thread_id() << 4) as *mut c_void
}

/// # Safety
/// `m` is an initialised mutex.
unsafe fn lock(m: *mut FAST_MUTEX) {
    irql::require_at_most(APC);
    // SAFETY: as our caller promises.
    unsafe {
        if (*m).Owner.load(Ordering::Relaxed) == me() {
            stop_about(RECURSIVE, m.addr(), &format!("{m:p} is held by this thread"));
        }
        if (*m).Count.fetch_sub(1, Ordering::Acquire) != 1 {
            wait::before_blocking();
            ke::wait_event(&raw mut (*m).Event, None);
        }
        (*m).Owner.store(me(), Ordering::Relaxed);
    }
}

/// # Safety
/// `m` is an initialised mutex.
unsafe fn unlock(m: *mut FAST_MUTEX) {
    // SAFETY: as our caller promises; the event is set last, after which the mutex may go.
    unsafe {
        if (*m).Owner.load(Ordering::Relaxed) != me() {
            stop_about(NOT_OWNER, m.addr(), &format!("{m:p} is not held by this thread"));
        }
        (*m).Owner.store(std::ptr::null_mut(), Ordering::Relaxed);
        if (*m).Count.fetch_add(1, Ordering::Release) < 0 {
            ke::event_set(&raw mut (*m).Event);
        }
    }
}

extern "win64" fn acquire(m: *mut FAST_MUTEX) {
    let _c = InCall::enter("ExAcquireFastMutex");
    irql::require_at_most(APC);
    let old = irql::raise(APC);
    // SAFETY: the driver passes a mutex that it initialised.
    unsafe {
        lock(m);
        (*m).OldIrql = u32::from(old);
    }
}

extern "win64" fn release(m: *mut FAST_MUTEX) {
    let _c = InCall::enter("ExReleaseFastMutex");
    if irql::current() != APC {
        record_about(AT_RELEASE, m.addr(), &format!("came at IRQL {}", irql::current()));
    }
    // SAFETY: the driver passes a mutex that it holds; another is refused.
    unsafe {
        let old = u8::try_from((*m).OldIrql).unwrap_or(0);
        unlock(m);
        irql::lower(old);
    }
}

extern "win64" fn try_acquire(m: *mut FAST_MUTEX) -> u8 {
    let _c = InCall::enter("ExTryToAcquireFastMutex");
    irql::require_at_most(APC);
    let old = irql::raise(APC);
    // SAFETY: the driver passes a mutex that it initialised.
    unsafe {
        if (*m).Count.compare_exchange(1, 0, Ordering::Acquire, Ordering::Relaxed).is_err() {
            irql::lower(old);
            return 0;
        }
        (*m).Owner.store(me(), Ordering::Relaxed);
        (*m).OldIrql = u32::from(old);
    }
    1
}

extern "win64" fn acquire_unsafe(m: *mut FAST_MUTEX) {
    let _c = InCall::enter("ExAcquireFastMutexUnsafe");
    // SAFETY: the driver passes a mutex that it initialised.
    unsafe { lock(m) };
}

extern "win64" fn release_unsafe(m: *mut FAST_MUTEX) {
    let _c = InCall::enter("ExReleaseFastMutexUnsafe");
    // SAFETY: the driver passes a mutex that it holds; another is refused.
    unsafe { unlock(m) };
}

extern "win64" fn initialize_guarded(m: *mut FAST_MUTEX) {
    let _c = InCall::enter("KeInitializeGuardedMutex");
    // SAFETY: the driver passes its storage for a mutex.
    unsafe {
        (*m).Count.store(1, Ordering::Relaxed);
        (*m).Owner.store(std::ptr::null_mut(), Ordering::Relaxed);
        (*m).Contention = 0;
        (*m).OldIrql = 0;
        ke::event_init((&raw mut (*m).Event).cast::<KEVENT>(), true, false);
    }
}

pub(super) fn exports() -> Vec<Export> {
    vec![
        export!("ExAcquireFastMutex", acquire),
        export!("ExReleaseFastMutex", release),
        export!("ExTryToAcquireFastMutex", try_acquire),
        export!("ExAcquireFastMutexUnsafe", acquire_unsafe),
        export!("ExReleaseFastMutexUnsafe", release_unsafe),
        export!("KeInitializeGuardedMutex", initialize_guarded),
        export!("KeAcquireGuardedMutex", acquire_unsafe),
        export!("KeReleaseGuardedMutex", release_unsafe),
    ]
}
