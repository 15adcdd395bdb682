//! The kernel's executive: locks, dispatcher objects, timers, DPCs, threads, time.
//!
//! Files here: `spin` (spin locks), `order` (their order), `sched` (who runs), `stack` (depth),
//! `wait` (events, semaphores, waits), `timer`, `dpc`, `thread`, `time`.

pub mod dpc;
pub mod order;
pub mod sched;
pub mod spin;
pub mod stack;
pub mod thread;
pub mod time;
pub mod timer;
pub mod wait;

pub use thread::{spawn, spawn_aside, spawn_or_abort, thread_id};
pub use wait::{event_clear, event_init, event_is_set, event_set, wait_event};

use crate::Export;
use std::cell::RefCell;

/// What this family exports.
#[must_use]
pub fn exports() -> Vec<Export> {
    let mut v = spin::exports();
    v.extend(wait::exports());
    v.extend(timer::exports());
    v.extend(dpc::exports());
    v.extend(thread::exports());
    v.extend(time::exports());
    v
}

/// Called with each driver block that is about to be freed: nothing of the kernel's may still live in it.
pub fn before_free(start: usize, size: usize) {
    timer::before_free(start, size);
    dpc::before_free(start, size);
    wait::before_free(start, size);
    spin::before_free(start, size);
}

thread_local! {
    /// Routines of the driver's that this thread is in, outermost first, each with the address of the lab's frame that called it.
    static ROUTINES: RefCell<Vec<(&'static str, usize)>> = const { RefCell::new(Vec::new()) };
}

/// The routines of the driver's that this thread is in, outermost first.
#[must_use]
pub fn routines() -> Vec<&'static str> {
    ROUTINES.with_borrow(|r| r.iter().map(|(name, _)| *name).collect())
}

/// Where the stack of the innermost routine of the driver's ends: a place in the frame that called it.
#[must_use]
pub fn routine_end() -> Option<usize> {
    ROUTINES.with_borrow(|r| r.last().map(|(_, at)| *at))
}

/// Checks that a routine of the driver's (`what`) came back at the IRQL and with the locks it was called with.
pub struct Balance {
    irql: crate::irql::Kirql,
    locks: usize,
    what: &'static str,
    outermost: bool,
}

impl Drop for Balance {
    fn drop(&mut self) {
        ROUTINES.with_borrow_mut(Vec::pop);
        if self.outermost {
            stack::leave();
        }
    }
}

impl Balance {
    /// Notes the state before the call.
    #[must_use]
    pub fn before(what: &'static str) -> Self {
        let here = 0u8;
        // The driver returns to the caller of this, whose frame begins just above this one.
        ROUTINES.with_borrow_mut(|r| r.push((what, (&raw const here).addr() + 4096)));
        Self { irql: crate::irql::current(), locks: spin::held(), what, outermost: stack::enter() }
    }

    /// Checks the state after the call.
    pub fn after(&self) {
        const IRQL: crate::report::Rule = crate::report::Rule::new(
            "irql.callback-changed",
            "Driver Verifier 0xC4/0x29: a routine must return at the IRQL it was called at",
        );
        const LOCKS: crate::report::Rule = crate::report::Rule::new(
            "spinlock.callback-holds",
            "Driver Verifier: a routine must release the spin locks it acquired before it returns",
        );
        let (irql, locks) = (crate::irql::current(), spin::held());
        if irql != self.irql {
            crate::report::record(
                IRQL,
                &format!("{} was called at IRQL {} and returned at {irql}", self.what, self.irql),
            );
        }
        wait::check_promise();
        if locks != self.locks {
            crate::report::record(
                LOCKS,
                &format!("{} was called with {} spin locks held and returned with {locks}", self.what, self.locks),
            );
        }
    }
}
