//! IRQL of the calling thread, and the emulated processors.
//!
//! A Linux thread of the lab stands for a thread of NT. At DISPATCH_LEVEL and above it owns one of the lab's processors,
//! so that, as on Windows, no two threads are at DISPATCH_LEVEL on the same processor at once and per-processor data may
//! be touched there without a lock. Raising waits for a free processor; lowering gives it back.

use crate::report::{Rule, record, stop};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};

/// Interrupt request level.
pub type Kirql = u8;
/// PASSIVE_LEVEL.
pub const PASSIVE: Kirql = 0;
/// APC_LEVEL.
pub const APC: Kirql = 1;
/// DISPATCH_LEVEL.
pub const DISPATCH: Kirql = 2;

/// Number of emulated processors.
pub const PROCESSORS: usize = 8;

const TOO_HIGH: Rule =
    Rule::new("irql.too-high", "WDK: the IRQL section of the call's page; Driver Verifier IRQL checking");
const BAD_RAISE: Rule = Rule::new("irql.bad-raise", "WDK: KeRaiseIrql (new level must not be below the current one)");
const BAD_LOWER: Rule = Rule::new("irql.bad-lower", "WDK: KeLowerIrql (level must be the one KeRaiseIrql saved)");

static BUSY: [AtomicBool; PROCESSORS] = [const { AtomicBool::new(false) }; PROCESSORS];

thread_local! {
    static LEVEL: Cell<Kirql> = const { Cell::new(PASSIVE) };
    static CPU: Cell<usize> = const { Cell::new(0) };
}

/// IRQL of this thread.
#[must_use]
pub fn current() -> Kirql {
    LEVEL.get()
}

/// Processor index of this thread: owned at DISPATCH_LEVEL and above, the last one owned below it.
#[must_use]
pub fn processor() -> usize {
    CPU.get()
}

/// Raises to `new` and returns the old level.
pub fn raise(new: Kirql) -> Kirql {
    let old = LEVEL.get();
    if new < old {
        stop(BAD_RAISE, &format!("from {old} to {new}"));
    }
    if old < DISPATCH && new >= DISPATCH {
        own_a_processor();
    }
    LEVEL.set(new);
    old
}

/// Lowers to `old`, a value that [`raise`] returned.
pub fn lower(old: Kirql) {
    let now = LEVEL.get();
    if old > now {
        stop(BAD_LOWER, &format!("from {now} up to {old}"));
    }
    LEVEL.set(old);
    if now >= DISPATCH
        && old < DISPATCH
        && let Some(b) = BUSY.get(CPU.get())
    {
        b.store(false, Ordering::Release);
    }
}

/// Runs `f` at `level` (at or above the current one).
pub fn at<R>(level: Kirql, f: impl FnOnce() -> R) -> R {
    let old = raise(level);
    let r = f();
    lower(old);
    r
}

/// Checks that the current IRQL is at most `max`; the call is named by [`crate::report::InCall`].
pub fn require_at_most(max: Kirql) {
    let now = current();
    if now > max {
        record(TOO_HIGH, &format!("expected IRQL <= {max}, came at {now}"));
    }
}

fn own_a_processor() {
    let start = CPU.get();
    loop {
        for i in 0..PROCESSORS {
            let c = (start + i) % PROCESSORS;
            if let Some(b) = BUSY.get(c)
                && b.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok()
            {
                CPU.set(c);
                return;
            }
        }
        if !crate::ke::sched::spin() {
            std::thread::yield_now();
        }
    }
}
