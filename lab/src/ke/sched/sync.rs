//! A condition variable and a sleep that the scheduler knows of.

use super::{attached, wait, wake};
use crate::ke::time::Moment;
use std::sync::{Condvar as HostCondvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// As `std::sync::Condvar`; a wait names the mutex beside its guard. Poisoning is passed over: what the lab keeps stays sound.
#[derive(Debug, Default)]
pub struct Condvar {
    host: HostCondvar,
    /// Gives the variable an address of its own.
    _place: u8,
}

impl Condvar {
    /// A variable nobody waits on.
    #[must_use]
    pub const fn new() -> Self {
        Self { host: HostCondvar::new(), _place: 0 }
    }

    fn key(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    fn scheduled<'a, T>(
        &self,
        mutex: &'a Mutex<T>,
        guard: MutexGuard<'a, T>,
        deadline: Option<Moment>,
    ) -> (MutexGuard<'a, T>, bool) {
        let late = wait(self.key(), "wait", deadline, || drop(guard));
        (mutex.lock().unwrap_or_else(PoisonError::into_inner), late)
    }

    /// Waits for a notification; it may come for no reason.
    pub fn wait<'a, T>(&self, mutex: &'a Mutex<T>, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        if attached() {
            return self.scheduled(mutex, guard, None).0;
        }
        self.host.wait(guard).unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits at most until `deadline`; whether it passed.
    pub fn wait_until<'a, T>(
        &self,
        mutex: &'a Mutex<T>,
        guard: MutexGuard<'a, T>,
        deadline: Moment,
    ) -> (MutexGuard<'a, T>, bool) {
        if attached() {
            return self.scheduled(mutex, guard, Some(deadline));
        }
        let (g, late) = self.host.wait_timeout(guard, deadline.left()).unwrap_or_else(PoisonError::into_inner);
        (g, late.timed_out())
    }

    /// Waits at most for `limit`; whether it passed.
    pub fn wait_timeout<'a, T>(
        &self,
        mutex: &'a Mutex<T>,
        guard: MutexGuard<'a, T>,
        limit: Duration,
    ) -> (MutexGuard<'a, T>, bool) {
        self.wait_until(mutex, guard, Moment::now() + limit)
    }

    /// Wakes one waiter.
    pub fn notify_one(&self) {
        wake(self.key(), false);
        self.host.notify_one();
    }

    /// Wakes all.
    pub fn notify_all(&self) {
        wake(self.key(), true);
        self.host.notify_all();
    }
}

/// Sleeps.
pub fn sleep(time: Duration) {
    if attached() {
        // A key that nobody wakes: the address of this frame.
        let nobody = 0u8;
        wait((&raw const nobody).addr(), "sleep", Some(Moment::now() + time), || {});
    } else {
        std::thread::sleep(time);
    }
}
