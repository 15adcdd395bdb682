//! Calls that pend on a socket, in order, and their cancellation.
//!
//! A call in the queue has a cancel routine. Whoever takes a call from the queue to complete it takes the routine back
//! first; where that fails the routine has begun, and it alone removes and completes the call.

use super::abi::Irp;
use super::irp::Held;
use super::lent::Range;
use super::socket::AnySocket;
use crate::ke::sched::Condvar;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A WSK call that has not completed.
pub trait Call: Send {
    /// Its IRP.
    fn held(&self) -> &Held;
    /// Its IRP, to set the cancel routine.
    fn held_mut(&mut self) -> &mut Held;
    /// The memory that it uses until it completes.
    fn lent(&self, out: &mut Vec<Range>);
    /// Looks whether the driver has left it alone.
    fn check(&self) {}
    /// Completes it as cancelled.
    fn cancel(self);
}

/// The queue, and what else its lock guards.
pub struct Inner<T, S> {
    /// In the order of the calls.
    pub calls: VecDeque<T>,
    /// What else the lock guards.
    pub state: S,
}

/// Pended calls of one kind on one socket.
pub struct Pending<T, S = ()> {
    inner: Mutex<Inner<T, S>>,
    change: Condvar,
}

/// The lock of a [`Pending`].
pub type Guard<'a, T, S> = MutexGuard<'a, Inner<T, S>>;

impl<T: Call, S> Pending<T, S> {
    /// An empty queue.
    pub fn new(state: S) -> Self {
        Self { inner: Mutex::new(Inner { calls: VecDeque::new(), state }), change: Condvar::new() }
    }

    /// The queue.
    pub fn lock(&self) -> Guard<'_, T, S> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for [`Self::notify`].
    pub fn wait<'a>(&'a self, guard: Guard<'a, T, S>) -> Guard<'a, T, S> {
        self.change.wait(&self.inner, guard)
    }

    /// Wakes who waits. The lock is held, or has been since the change.
    pub fn notify(&self) {
        self.change.notify_all();
    }

    /// Queues a call, marked pending and cancellable. Gives it back when its IRP has been cancelled already: the caller
    /// completes it, without the lock, and returns `STATUS_PENDING` all the same.
    #[must_use]
    pub fn push(&self, inner: &mut Inner<T, S>, socket: &'static AnySocket, mut call: T) -> Option<T> {
        call.held().mark_pending();
        let mut ranges = Vec::new();
        call.lent(&mut ranges);
        call.held_mut().lend(ranges);
        let armed = call.held().arm(socket);
        if armed {
            inner.calls.push_back(call);
            self.change.notify_all();
            return None;
        }
        Some(call)
    }

    /// Takes the first call, unless its cancel routine has begun.
    pub fn pop(&self, inner: &mut Inner<T, S>) -> Option<T> {
        if inner.calls.front()?.held().disarm() { inner.calls.pop_front() } else { None }
    }

    /// The cancel routine's part: removes and completes the call of `irp`; `false` when it is not here.
    pub fn cancel(&self, irp: Irp) -> bool {
        let mut inner = self.lock();
        let Some(at) = inner.calls.iter().position(|c| std::ptr::eq(c.held().irp(), irp)) else { return false };
        let call = inner.calls.remove(at);
        self.change.notify_all();
        drop(inner);
        if let Some(call) = call {
            call.check();
            call.cancel();
        }
        true
    }

    /// Completes every call with `end`; calls that are being cancelled are waited for.
    pub fn drain(&self, end: impl Fn(T)) {
        let mut inner = self.lock();
        loop {
            if let Some(call) = self.pop(&mut inner) {
                drop(inner);
                call.check();
                end(call);
                inner = self.lock();
            } else if inner.calls.is_empty() {
                return;
            } else {
                inner = self.wait(inner);
            }
        }
    }
}

impl<T, S> std::fmt::Debug for Pending<T, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pending").finish_non_exhaustive()
    }
}
