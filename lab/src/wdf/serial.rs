//! What timers, DPCs and work items share: the parent rule, automatic serialization, and counting runs.

use super::abi::{
    Handle, INVALID_DEVICE_REQUEST, NtStatus, WDF_INCOMPATIBLE_EXECUTION_LEVEL, WDF_PARENT_NOT_SPECIFIED,
};
use super::attributes::{Attributes, WRONG_PARENT};
use super::device::DEVICE;
use super::object::{Ref, lock};
use super::sync::{CallbackLock, driver_call, lock_of, thread_number, under};
use crate::irql;
use crate::ke::sched::Condvar;
use crate::report::{Rule, record, stop};
use std::sync::{Arc, Mutex};

/// The parent of a timer, DPC or work item and the lock its callback runs under.
///
/// # Errors
/// STATUS_WDF_PARENT_NOT_SPECIFIED, STATUS_INVALID_DEVICE_REQUEST, STATUS_WDF_INCOMPATIBLE_EXECUTION_LEVEL.
pub fn parent(a: &Attributes, serialized: bool, passive: bool) -> Result<(Ref, Option<Arc<CallbackLock>>), NtStatus> {
    let Some(p) = a.parent_or(None) else {
        record(WRONG_PARENT, "ParentObject is required");
        return Err(WDF_PARENT_NOT_SPECIFIED);
    };
    if p.ancestor(&DEVICE).is_none() {
        record(WRONG_PARENT, &format!("{p:?} does not descend from a device"));
        return Err(INVALID_DEVICE_REQUEST);
    }
    if !serialized {
        return Ok((p, None));
    }
    let l = lock_of(p);
    if l.as_ref().is_some_and(|l| l.passive != passive) || (l.is_none() && (p.execution() == 2) != passive) {
        return Err(WDF_INCOMPATIBLE_EXECUTION_LEVEL);
    }
    Ok((p, l))
}

const OWN: Rule = Rule::new(
    "wdf.wait-in-own-callback",
    "WDK: WdfTimerStop, WdfDpcCancel with Wait, WdfWorkItemFlush (not from the callback that is waited for: deadlock)",
);

#[derive(Debug, Default)]
struct Count {
    running: u32,
    runners: Vec<u64>,
}

/// Callbacks of one object that are queued on a thread or running.
#[derive(Debug, Default)]
pub struct Runs {
    count: Mutex<Count>,
    quiet: Condvar,
}

impl Runs {
    /// One more is on its way.
    pub fn begin(&self) {
        lock(&self.count).running += 1;
    }

    /// Calls the driver for one that [`Runs::begin`] counted.
    pub fn call(&self, what: &'static str, callback: usize, handle: Handle, l: Option<&CallbackLock>) {
        lock(&self.count).runners.push(thread_number());
        under(l, || {
            // SAFETY: a callback of the driver's that takes the object's handle.
            unsafe {
                let f = std::mem::transmute::<usize, super::abi::HandleCallback>(callback);
                driver_call(what, || f(handle));
            }
        });
        let me = thread_number();
        lock(&self.count).runners.retain(|r| *r != me);
        self.end();
    }

    /// One that was counted is done, or did not come to run.
    pub fn end(&self) {
        lock(&self.count).running -= 1;
        self.quiet.notify_all();
    }

    /// Whether this thread is in the callback.
    #[must_use]
    pub fn mine(&self) -> bool {
        lock(&self.count).runners.contains(&thread_number())
    }

    /// Waits until none is left; stops where this thread is in the callback.
    pub fn wait(&self, o: Ref) {
        if self.mine() {
            stop(OWN, &format!("{o:?}: the thread is in the callback it waits for"));
        }
        let mut c = lock(&self.count);
        while c.running != 0 {
            c = self.quiet.wait(&self.count, c);
        }
    }

    /// At deletion: waits unless this thread is in the callback (an object may be deleted there).
    pub fn settle(&self) {
        if self.mine() || irql::current() > irql::PASSIVE {
            return;
        }
        let mut c = lock(&self.count);
        while c.running != 0 {
            c = self.quiet.wait(&self.count, c);
        }
    }
}
