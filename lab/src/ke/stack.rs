//! The kernel stack: how deep the driver, and what it calls, goes below the place where the lab entered the driver.
//!
//! On x86-64 a kernel stack has 24 KiB, which the driver shares with all that calls it and that it calls: KMDF,
//! NetAdapterCx, the TCP/IP stack under WSK, interrupts. Linux would never notice.

use crate::report::{Rule, record};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

const TOO_DEEP: Rule =
    Rule::new("stack.too-deep", "WDK: Using the Kernel Stack (24 KiB on x64, shared with callers and callees)");

/// What the lab allows: 24 KiB less what interrupts need.
const LIMIT: usize = 20 * 1024;

static DEEPEST: AtomicUsize = AtomicUsize::new(0);
static WHERE: Mutex<&str> = Mutex::new("");

thread_local! {
    static BASE: Cell<usize> = const { Cell::new(0) };
}

#[inline]
fn here() -> usize {
    let v = 0u8;
    (&raw const v).addr()
}

/// The lab is about to call the driver: whether this is the outermost such call of the thread.
#[must_use]
pub fn enter() -> bool {
    let outermost = BASE.get() == 0;
    if outermost {
        BASE.set(here());
    }
    outermost
}

/// The outermost call has returned.
pub fn leave() {
    BASE.set(0);
}

/// The driver has called `name`: measures.
pub fn check(name: &'static str) {
    let base = BASE.get();
    if base == 0 {
        return;
    }
    let depth = base.saturating_sub(here());
    if depth > DEEPEST.load(Ordering::Relaxed) {
        deeper(depth, name);
    }
}

#[cold]
fn deeper(depth: usize, name: &'static str) {
    DEEPEST.fetch_max(depth, Ordering::Relaxed);
    *WHERE.lock().unwrap_or_else(PoisonError::into_inner) = name;
    if depth > LIMIT {
        record(TOO_DEEP, &format!("{depth} bytes at {name}"));
    }
}

/// `deepest BYTES` and `at CALL`: the answer to `QUERY stack`.
#[must_use]
pub fn listing() -> String {
    format!(
        "deepest {}\nat {}\nlimit {LIMIT}\n",
        DEEPEST.load(Ordering::Relaxed),
        *WHERE.lock().unwrap_or_else(PoisonError::into_inner)
    )
}
