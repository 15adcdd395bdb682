//! Timers: one queue and one thread, which signals, re-arms and queues DPCs.

use super::sched::Condvar;
use super::time::Moment;
use super::{dpc, thread, time, wait};
use crate::irql::{self, DISPATCH};
use crate::nt::{KDPC, KTIMER, dispatcher};
use crate::objects::Kind;
use crate::report::{InCall, Origin, Rule, record_about, stop_about};
use crate::{Export, pool};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::time::Duration;

const NOT_INIT: Rule = Rule::new("timer.not-initialized", "WDK: KeInitializeTimer must come before KeSetTimer");
const FREED: Rule =
    Rule::new("timer.freed-while-active", "Driver Verifier 0xC7: a block with an active timer was freed");
const REINIT: Rule = Rule::new("timer.reinitialized", "WDK: KeInitializeTimer (not while the timer is set)");

static ACTIVE: Kind = Kind::new("ke.timer.active").described(set_timers);

#[derive(Clone, Copy)]
struct Armed {
    due: Moment,
    /// By system time: a machine that sleeps comes nearer to it.
    absolute: bool,
    sequence: u64,
    period: Duration,
    dpc: usize,
    by: Origin,
}

#[derive(Default)]
struct Timers {
    by_due: BTreeMap<(Moment, u64), usize>,
    by_address: BTreeMap<usize, Armed>,
    /// KDPCs of armed timers, and how many timers have each.
    dpcs: BTreeMap<usize, usize>,
    next: u64,
}

static TIMERS: Mutex<Timers> =
    Mutex::new(Timers { by_due: BTreeMap::new(), by_address: BTreeMap::new(), dpcs: BTreeMap::new(), next: 0 });
static CHANGED: Condvar = Condvar::new();
static START: Once = Once::new();
static ARMED: AtomicUsize = AtomicUsize::new(0);

fn lock() -> MutexGuard<'static, Timers> {
    TIMERS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Timers {
    /// Arms a timer; its sequence is given here.
    fn insert(&mut self, timer: usize, mut a: Armed) {
        self.next += 1;
        a.sequence = self.next;
        self.by_due.insert((a.due, a.sequence), timer);
        *self.dpcs.entry(a.dpc).or_default() += 1;
        self.by_address.insert(timer, a);
        ARMED.fetch_add(1, Ordering::Relaxed);
        ACTIVE.add();
    }

    fn remove(&mut self, timer: usize) -> Option<Armed> {
        let a = self.by_address.remove(&timer)?;
        if let Some(n) = self.dpcs.get_mut(&a.dpc) {
            *n -= 1;
            if *n == 0 {
                self.dpcs.remove(&a.dpc);
            }
        }
        self.by_due.remove(&(a.due, a.sequence));
        ARMED.fetch_sub(1, Ordering::Relaxed);
        ACTIVE.remove();
        Some(a)
    }
}

fn set_timers() -> Vec<String> {
    let one = |(at, a): (&usize, &Armed)| {
        let block = pool::owner(*at).map_or_else(String::new, |o| format!(" in {o}"));
        format!("KTIMER {at:#x}{block}, set by {}", a.by)
    };
    lock().by_address.iter().map(one).collect()
}

fn start() {
    START.call_once(|| thread::spawn_or_abort("lab-timer", serve));
}

fn serve() {
    let mut t = lock();
    loop {
        let now = Moment::now();
        let Some((&(due, _), &timer)) = t.by_due.first_key_value() else {
            t = CHANGED.wait(&TIMERS, t);
            continue;
        };
        if due > now {
            t = CHANGED.wait_until(&TIMERS, t, due).0;
            continue;
        }
        let Some(a) = t.remove(timer) else { continue };
        if !a.period.is_zero() {
            // A late timer does not run a burst to catch up.
            let due = (a.due + a.period).max(now);
            t.insert(timer, Armed { due, absolute: false, ..a });
        }
        let timer = timer as *mut KTIMER;
        // The lock is held, so that a cancel that returns means that the timer is no longer touched.
        // SAFETY: an armed KTIMER is valid: freeing it stops the lab; so is its KDPC until the DPC has been queued.
        unsafe {
            if a.period.is_zero() {
                (*timer).Header.Reserved1 &= !0x40;
            }
            wait::signal(&raw mut (*timer).Header, 1);
            if a.dpc != 0 {
                let (lo, hi) = {
                    let s = time::system_time();
                    (s & 0xFFFF_FFFF, s >> 32)
                };
                dpc::insert(a.dpc as *mut KDPC, lo as *mut _, hi as *mut _);
            }
        }
    }
}

/// The machine has slept for `units`: absolute timers are so much nearer.
pub(super) fn slept(units: i64) {
    let mut t = lock();
    let absolute: Vec<usize> = t.by_address.iter().filter(|(_, a)| a.absolute).map(|(at, _)| *at).collect();
    for at in absolute {
        if let Some(a) = t.remove(at) {
            t.insert(at, Armed { due: Moment::from_units(a.due.units() - units), ..a });
        }
    }
    CHANGED.notify_one();
}

pub(super) fn before_free(start: usize, size: usize) {
    if ARMED.load(Ordering::Relaxed) == 0 {
        return;
    }
    let t = lock();
    let range = start..start + size;
    if let Some(a) = t.by_address.range(range.clone()).next().map(|e| e.0).or(t.dpcs.range(range).next().map(|e| e.0)) {
        stop_about(
            FREED,
            start,
            &format!(
                "{a:#x}, a set KTIMER or its KDPC, lies in the block {start:#x} of {size} bytes that is being freed"
            ),
        );
    }
}

/// Initialises a timer.
///
/// # Safety
/// `timer` is writable.
pub unsafe fn init(timer: *mut KTIMER, synchronization: bool) {
    if ARMED.load(Ordering::Relaxed) != 0 && lock().by_address.contains_key(&(timer as usize)) {
        record_about(REINIT, timer.addr(), &format!("KTIMER {timer:p} is set"));
    }
    let kind = if synchronization { dispatcher::SYNCHRONIZATION_TIMER } else { dispatcher::NOTIFICATION_TIMER };
    // SAFETY: as our caller promises.
    unsafe {
        wait::init_header(&raw mut (*timer).Header, kind, 0, 0);
        (*timer).DueTime = 0;
        (*timer).TimerListEntry.Flink = std::ptr::null_mut();
        (*timer).TimerListEntry.Blink = std::ptr::null_mut();
        (*timer).Dpc = std::ptr::null_mut();
        (*timer).Processor = 0;
        (*timer).Period = 0;
    }
}

/// Sets a timer (`due`: NT's; `period` in milliseconds, 0 for once); whether it was set before.
///
/// # Safety
/// `timer` is initialised and stays valid while set; so does `kdpc`.
pub unsafe fn set(timer: *mut KTIMER, due: i64, period: u32, kdpc: *mut KDPC) -> bool {
    start();
    let mut t = lock();
    let was = t.remove(timer as usize).is_some();
    // SAFETY: as our caller promises.
    unsafe {
        wait::reset(&raw mut (*timer).Header);
        (*timer).Header.Reserved1 |= 0x40;
        (*timer).DueTime = due.cast_unsigned();
        (*timer).Dpc = kdpc;
        (*timer).Period = period;
    }
    let armed = Armed {
        due: time::due(due),
        absolute: due >= 0,
        sequence: 0,
        period: Duration::from_millis(u64::from(period)),
        dpc: kdpc as usize,
        by: Origin::here(),
    };
    t.insert(timer as usize, armed);
    CHANGED.notify_one();
    was
}

/// Cancels a timer; whether it was set.
///
/// # Safety
/// `timer` is initialised.
pub unsafe fn cancel(timer: *mut KTIMER) -> bool {
    let was = lock().remove(timer as usize).is_some();
    if was {
        // SAFETY: as our caller promises.
        unsafe { (*timer).Header.Reserved1 &= !0x40 };
    }
    was
}

/// # Safety
/// `timer` is readable.
unsafe fn check(timer: *const KTIMER) {
    // SAFETY: as our caller promises.
    let kind = unsafe { (*timer).Header.Type };
    if kind != dispatcher::NOTIFICATION_TIMER && kind != dispatcher::SYNCHRONIZATION_TIMER {
        stop_about(NOT_INIT, timer.addr(), &format!("KTIMER {timer:p} has type {kind}"));
    }
}

extern "win64" fn initialize(timer: *mut KTIMER) {
    let _c = InCall::enter("KeInitializeTimer");
    // SAFETY: the driver passes its storage for a KTIMER.
    unsafe { init(timer, false) };
}

extern "win64" fn initialize_ex(timer: *mut KTIMER, kind: i32) {
    let _c = InCall::enter("KeInitializeTimerEx");
    // SAFETY: as above.
    unsafe { init(timer, kind == 1) };
}

extern "win64" fn set_timer_ex(timer: *mut KTIMER, due: i64, period: i32, kdpc: *mut KDPC) -> u8 {
    let _c = InCall::enter("KeSetTimerEx");
    // SAFETY: the driver passes a KTIMER and an optional KDPC; what is not initialised is refused.
    unsafe { checked_set(timer, due, u32::try_from(period).unwrap_or(0), kdpc) }
}

extern "win64" fn set_timer(timer: *mut KTIMER, due: i64, kdpc: *mut KDPC) -> u8 {
    let _c = InCall::enter("KeSetTimer");
    // SAFETY: as above.
    unsafe { checked_set(timer, due, 0, kdpc) }
}

extern "win64" fn set_coalescable(timer: *mut KTIMER, due: i64, period: u32, _tolerance: u32, kdpc: *mut KDPC) -> u8 {
    let _c = InCall::enter("KeSetCoalescableTimer");
    // SAFETY: as above.
    unsafe { checked_set(timer, due, period, kdpc) }
}

/// # Safety
/// The pointers are readable; `kdpc` may be null.
unsafe fn checked_set(timer: *mut KTIMER, due: i64, period: u32, kdpc: *mut KDPC) -> u8 {
    irql::require_at_most(DISPATCH);
    // SAFETY: as our caller promises.
    unsafe {
        check(timer);
        if !kdpc.is_null() {
            dpc::check(kdpc);
        }
        u8::from(set(timer, due, period, kdpc))
    }
}

extern "win64" fn cancel_timer(timer: *mut KTIMER) -> u8 {
    let _c = InCall::enter("KeCancelTimer");
    irql::require_at_most(DISPATCH);
    // SAFETY: the driver passes a KTIMER; what is not initialised is refused.
    unsafe {
        check(timer);
        u8::from(cancel(timer))
    }
}

extern "win64" fn read_timer(timer: *mut KTIMER) -> u8 {
    let _c = InCall::enter("KeReadStateTimer");
    // SAFETY: as above.
    unsafe {
        check(timer);
        u8::from((*timer).Header.SignalState.load(Ordering::Acquire) > 0)
    }
}

pub(super) fn exports() -> Vec<Export> {
    vec![
        export!("KeInitializeTimer", initialize),
        export!("KeInitializeTimerEx", initialize_ex),
        export!("KeSetTimer", set_timer),
        export!("KeSetTimerEx", set_timer_ex),
        export!("KeSetCoalescableTimer", set_coalescable),
        export!("KeCancelTimer", cancel_timer),
        export!("KeReadStateTimer", read_timer),
    ]
}
