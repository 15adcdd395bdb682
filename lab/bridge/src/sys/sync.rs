//! A lock that owns its data, and a condition variable for it.

use core::cell::UnsafeCell;
use core::ops::{Deref, DerefMut};
use core::ptr::null_mut;

use super::ffi::{self, PVOID};

/// A mutual exclusion lock (SRWLOCK). Not recursive. For threads that may block, thus never inside the cancel lock.
pub struct Lock<T> {
    raw: UnsafeCell<PVOID>,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached only through a guard, of which there is one at a time.
unsafe impl<T: Send> Sync for Lock<T> {}

impl<T> Lock<T> {
    /// An unlocked lock around `value`.
    pub const fn new(value: T) -> Self {
        Self { raw: UnsafeCell::new(null_mut()), value: UnsafeCell::new(value) }
    }

    /// Waits until the lock is free and takes it, until the guard is dropped.
    pub fn lock(&self) -> Guard<'_, T> {
        // SAFETY: an SRWLOCK is a pointer-sized word, null at first, which then only these functions touch.
        unsafe { ffi::AcquireSRWLockExclusive(self.raw.get()) };
        Guard { lock: self }
    }
}

/// Access to a [`Lock`]'s value.
pub struct Guard<'a, T> {
    lock: &'a Lock<T>,
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: the guard holds the lock, so no other guard exists.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the guard holds the lock, so no other guard exists, and it is borrowed mutably.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T> Drop for Guard<'_, T> {
    fn drop(&mut self) {
        // SAFETY: the guard's thread took the lock when the guard was made.
        unsafe { ffi::ReleaseSRWLockExclusive(self.lock.raw.get()) };
    }
}

/// A condition variable (CONDITION_VARIABLE).
pub struct Condvar {
    raw: UnsafeCell<PVOID>,
}

// SAFETY: the word is touched by the system's functions only, which are made for several threads.
unsafe impl Sync for Condvar {}

impl Condvar {
    /// A condition variable that nobody waits for.
    pub const fn new() -> Self {
        Self { raw: UnsafeCell::new(null_mut()) }
    }

    /// Lets go of the lock, waits, and takes it again. False if the time passed without a wake.
    pub fn wait<'a, T>(&self, guard: Guard<'a, T>, milliseconds: u32) -> (Guard<'a, T>, bool) {
        let lock = guard.lock.raw.get();
        // SAFETY: the guard proves that this thread holds the lock; it does again when the call returns.
        let woken = unsafe { ffi::SleepConditionVariableSRW(self.raw.get(), lock, milliseconds, 0) };
        (guard, woken != 0)
    }

    /// Wakes all who wait.
    pub fn wake_all(&self) {
        // SAFETY: the word is a CONDITION_VARIABLE, null at first.
        unsafe { ffi::WakeAllConditionVariable(self.raw.get()) };
    }
}
