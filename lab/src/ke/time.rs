//! Time: all clocks of the lab are the host's monotonic and real-time clocks in NT's units of 100 ns, and what [`jump`] has added.

use crate::Export;
use crate::report::InCall;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

/// 100 ns units from 1601 to 1970.
const EPOCH_1601: i64 = 116_444_736_000_000_000;
/// `KeQueryTimeIncrement`: 15.625 ms.
const INCREMENT: u32 = 156_250;
/// Of the performance counter: it counts units.
pub const FREQUENCY: i64 = 10_000_000;

fn clock(id: libc::clockid_t) -> libc::timespec {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: t is ours; clock_gettime only writes it.
    unsafe { libc::clock_gettime(id, &raw mut t) };
    t
}

fn units(t: &libc::timespec) -> i64 {
    t.tv_sec * 10_000_000 + t.tv_nsec / 100
}

/// 100 ns units that the machine has slept, as far as the driver can tell.
static SLEPT: AtomicI64 = AtomicI64::new(0);

/// The machine has slept for so long: interrupt time (WDK: KeQueryInterruptTime, which counts sleep) and system time jump; unbiased
/// interrupt time (WDK: KeQueryUnbiasedInterruptTime) does not, and relative due times, which are of that time, do not come nearer.
/// Absolute due times that were set before do not either, though on Windows they would.
pub fn jump(seconds: u32) {
    SLEPT.fetch_add(i64::from(seconds) * 10_000_000, Ordering::SeqCst);
}

/// Interrupt time: 100 ns units of the monotonic clock, counting sleep.
#[must_use]
pub fn interrupt_time() -> i64 {
    units(&clock(libc::CLOCK_BOOTTIME)) + SLEPT.load(Ordering::Relaxed)
}

/// Unbiased interrupt time: interrupt time without the time slept.
#[must_use]
pub fn unbiased_time() -> i64 {
    units(&clock(libc::CLOCK_MONOTONIC))
}

/// System time: 100 ns units since 1601.
#[must_use]
pub fn system_time() -> i64 {
    units(&clock(libc::CLOCK_REALTIME)) + EPOCH_1601 + SLEPT.load(Ordering::Relaxed)
}

/// Ticks of the clock interrupt since the machine started.
#[must_use]
pub fn tick_count() -> i64 {
    interrupt_time() / i64::from(INCREMENT)
}

/// `InterruptTimeBias`: what interrupt time has and unbiased interrupt time has not, the time slept.
#[must_use]
pub fn bias() -> i64 {
    interrupt_time() - unbiased_time()
}

/// The moment that an NT due time means: negative is relative, positive is absolute system time.
#[must_use]
pub fn due(due_time: i64) -> Instant {
    let wait =
        if due_time < 0 { due_time.unsigned_abs() } else { u64::try_from(due_time - system_time()).unwrap_or(0) };
    // A century is as good as for ever, and does not overflow an Instant.
    let wait = wait.min(3_155_760_000 * 10_000_000);
    Instant::now() + Duration::from_nanos(wait.saturating_mul(100).min(u64::MAX / 4))
}

/// # Safety
/// `p` is null or writable.
unsafe fn put(p: *mut i64, v: i64) {
    // SAFETY: as our caller promises.
    if let Some(p) = unsafe { p.as_mut() } {
        *p = v;
    }
}

extern "win64" fn query_interrupt_time() -> i64 {
    interrupt_time()
}

extern "win64" fn query_interrupt_time_precise(qpc: *mut i64) -> i64 {
    let t = interrupt_time();
    // SAFETY: the caller passes a place for the counter, or null.
    unsafe { put(qpc, t) };
    t
}

extern "win64" fn query_unbiased() -> i64 {
    units(&clock(libc::CLOCK_MONOTONIC))
}

extern "win64" fn query_unbiased_precise(qpc: *mut i64) -> i64 {
    let t = clock(libc::CLOCK_MONOTONIC);
    // SAFETY: as above.
    unsafe { put(qpc, units(&t)) };
    units(&t)
}

extern "win64" fn performance_counter(frequency: *mut i64) -> i64 {
    // SAFETY: PerformanceFrequency is optional and writable.
    unsafe { put(frequency, FREQUENCY) };
    interrupt_time()
}

extern "win64" fn system_time_precise(out: *mut i64) {
    // SAFETY: CurrentTime is writable.
    unsafe { put(out, system_time()) };
}

extern "win64" fn query_tick_count(out: *mut i64) {
    // SAFETY: TickCount is writable.
    unsafe { put(out, tick_count()) };
}

extern "win64" fn time_increment() -> u32 {
    INCREMENT
}

extern "win64" fn stall(microseconds: u32) {
    let _c = InCall::enter("KeStallExecutionProcessor");
    let end = Instant::now() + Duration::from_micros(u64::from(microseconds));
    while Instant::now() < end {
        std::hint::spin_loop();
    }
}

pub(super) fn exports() -> Vec<Export> {
    vec![
        export!("KeQueryInterruptTime", query_interrupt_time),
        export!("KeQueryInterruptTimePrecise", query_interrupt_time_precise),
        export!("KeQueryUnbiasedInterruptTime", query_unbiased),
        export!("KeQueryUnbiasedInterruptTimePrecise", query_unbiased_precise),
        export!("KeQueryPerformanceCounter", performance_counter),
        export!("KeQuerySystemTimePrecise", system_time_precise),
        export!("KeQueryTickCount", query_tick_count),
        export!("KeQueryTimeIncrement", time_increment),
        export!("KeStallExecutionProcessor", stall),
    ]
}
