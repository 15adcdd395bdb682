//! Time: the clocks of the machine in NT's units of 100 ns.
//!
//! Unbiased interrupt time is the host's monotonic clock, or, with `--time virtual`, a number that stands still while anything can run
//! and goes to the next deadline when nothing can (`ke::sched`). Interrupt time adds the time slept: the host's, and what [`jump`]
//! makes the machine sleep. Relative due times count unbiased time, as from Windows 8 on; absolute ones system time.

use super::{sched, timer};
use crate::Export;
use crate::report::InCall;
use std::ops::Add;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

/// 100 ns units from 1601 to 1970.
const EPOCH_1601: i64 = 116_444_736_000_000_000;
/// `KeQueryTimeIncrement`: 15.625 ms.
const INCREMENT: u32 = 156_250;
/// Of the performance counter: it counts units.
pub const FREQUENCY: i64 = 10_000_000;
/// A century is as good as for ever.
const FOREVER: i64 = 3_155_760_000 * FREQUENCY;

static VIRTUAL: AtomicBool = AtomicBool::new(false);
/// Unbiased time while time is virtual.
static NOW: AtomicI64 = AtomicI64::new(0);
/// System time less unbiased time when time became virtual.
static EPOCH: AtomicI64 = AtomicI64::new(0);
/// Time slept by [`jump`].
static SLEPT: AtomicI64 = AtomicI64::new(0);

fn clock(id: libc::clockid_t) -> i64 {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: t is ours; clock_gettime only writes it. It may be called from a signal handler.
    unsafe { libc::clock_gettime(id, &raw mut t) };
    t.tv_sec * FREQUENCY + t.tv_nsec / 100
}

/// A moment of unbiased time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(i64);

impl Moment {
    /// Now.
    #[must_use]
    pub fn now() -> Self {
        Self(unbiased_time())
    }

    /// As unbiased time has it.
    #[must_use]
    pub const fn from_units(units: i64) -> Self {
        Self(units)
    }

    /// In 100 ns units.
    #[must_use]
    pub const fn units(self) -> i64 {
        self.0
    }

    /// From now until then; zero when it has passed.
    #[must_use]
    pub fn left(self) -> Duration {
        Duration::from_nanos(u64::try_from(self.0 - unbiased_time()).unwrap_or(0).saturating_mul(100))
    }

    /// Whether it has come.
    #[must_use]
    pub fn has_come(self) -> bool {
        self.0 <= unbiased_time()
    }
}

impl Add<Duration> for Moment {
    type Output = Self;
    fn add(self, d: Duration) -> Self {
        // Rounded up: a timer is never early.
        let units = i64::try_from(d.as_nanos().div_ceil(100)).unwrap_or(FOREVER).min(FOREVER);
        Self(self.0.saturating_add(units))
    }
}

/// Makes time virtual: it begins at the host's and stands still. Before the driver is loaded.
pub fn make_virtual() {
    let now = clock(libc::CLOCK_MONOTONIC);
    NOW.store(now, Ordering::Relaxed);
    EPOCH.store(clock(libc::CLOCK_REALTIME) + EPOCH_1601 - now, Ordering::Relaxed);
    VIRTUAL.store(true, Ordering::SeqCst);
}

/// Whether time is virtual.
#[must_use]
pub fn is_virtual() -> bool {
    VIRTUAL.load(Ordering::Relaxed)
}

/// Virtual time is `to` from here on; it never goes back.
pub(super) fn set_virtual(to: Moment) {
    NOW.fetch_max(to.0, Ordering::SeqCst);
}

/// The machine sleeps for so long: interrupt time (WDK: KeQueryInterruptTime, which counts sleep) and system time jump; unbiased
/// interrupt time (WDK: KeQueryUnbiasedInterruptTime) does not, and relative due times, which are of that time, do not come nearer. Absolute
/// timers that have become due expire.
pub fn jump(seconds: u32) {
    let units = i64::from(seconds) * FREQUENCY;
    SLEPT.fetch_add(units, Ordering::SeqCst);
    timer::slept(units);
}

/// Unbiased interrupt time: interrupt time without the time slept.
#[must_use]
pub fn unbiased_time() -> i64 {
    if is_virtual() { NOW.load(Ordering::Relaxed) } else { clock(libc::CLOCK_MONOTONIC) }
}

/// Interrupt time.
#[must_use]
pub fn interrupt_time() -> i64 {
    let host = if is_virtual() { NOW.load(Ordering::Relaxed) } else { clock(libc::CLOCK_BOOTTIME) };
    host + SLEPT.load(Ordering::Relaxed)
}

/// System time since 1601.
#[must_use]
pub fn system_time() -> i64 {
    let host = if is_virtual() {
        NOW.load(Ordering::Relaxed) + EPOCH.load(Ordering::Relaxed)
    } else {
        clock(libc::CLOCK_REALTIME) + EPOCH_1601
    };
    host + SLEPT.load(Ordering::Relaxed)
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
pub fn due(due_time: i64) -> Moment {
    let wait = if due_time < 0 { due_time.saturating_neg() } else { (due_time - system_time()).max(0) };
    Moment(unbiased_time() + wait.min(FOREVER))
}

/// The clocks, one a line: the answer to `QUERY clock`.
#[must_use]
pub fn listing() -> String {
    format!("interrupt_time {}\nunbiased_time {}\nsystem_time {}\n", interrupt_time(), unbiased_time(), system_time())
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
    unbiased_time()
}

extern "win64" fn query_unbiased_precise(qpc: *mut i64) -> i64 {
    // SAFETY: as above.
    unsafe { put(qpc, interrupt_time()) };
    unbiased_time()
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
    let wait = Duration::from_micros(u64::from(microseconds));
    if sched::on() {
        // Long enough for another thread to run.
        sched::sleep(wait);
        return;
    }
    let end = Instant::now() + wait;
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
