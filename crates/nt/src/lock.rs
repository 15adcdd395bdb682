//! Locks whose guards carry what has to be restored.

use crate::status::{Result, Status};
use crate::wdf::object::{Attributes, Owned};
use core::cell::UnsafeCell;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use nt_sys::{KIRQL, KSPIN_LOCK, WDFWAITLOCK, ntddk, wdf_call};

/// A spin lock around `T`. Taking it raises to DISPATCH_LEVEL; not recursive.
pub struct SpinLock<T> {
    raw: UnsafeCell<KSPIN_LOCK>,
    value: UnsafeCell<T>,
}

// SAFETY: `value` is only reached through a guard, and the spin lock lets one guard exist at a time.
unsafe impl<T: Send> Sync for SpinLock<T> {}

impl<T> SpinLock<T> {
    /// An unlocked lock.
    pub const fn new(value: T) -> Self {
        // A spin lock is initialised by zeroing it (KeInitializeSpinLock does just that).
        Self { raw: UnsafeCell::new(0), value: UnsafeCell::new(value) }
    }

    /// Takes the lock. IRQL <= DISPATCH_LEVEL; DISPATCH_LEVEL until the guard drops.
    pub fn lock(&self) -> SpinGuard<'_, T> {
        // SAFETY: `raw` is an initialised spin lock in non-paged memory that outlives the guard (the guard borrows it).
        let irql = unsafe { ntddk::KeAcquireSpinLockRaiseToDpc(self.raw.get()) };
        SpinGuard { lock: self, irql, not_send: PhantomData }
    }
}

/// A held [`SpinLock`]; restores the IRQL when dropped. Not `Send`: it belongs to this processor.
pub struct SpinGuard<'a, T> {
    lock: &'a SpinLock<T>,
    irql: KIRQL,
    not_send: PhantomData<*mut ()>,
}

impl<T> Deref for SpinGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: the guard holds the lock.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> DerefMut for SpinGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the guard holds the lock, and is borrowed mutably.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T> Drop for SpinGuard<'_, T> {
    fn drop(&mut self) {
        // SAFETY: this guard acquired the lock and saved this IRQL.
        unsafe { ntddk::KeReleaseSpinLock(self.lock.raw.get(), self.irql) };
    }
}

/// A WDF wait lock around `T`: holders may wait, at PASSIVE_LEVEL (in a critical region).
pub struct WaitLock<T> {
    raw: WDFWAITLOCK,
    _life: Life,
    value: UnsafeCell<T>,
}

/// Who deletes the framework's lock. Its parent is the driver object in either case: a lock whose parent is the device is deleted
/// before the device's own cleanup callback, which may still want it.
enum Life {
    /// The framework, with the driver object.
    Driver,
    /// This value.
    Holder { _owned: Owned<WDFWAITLOCK> },
}

// SAFETY: `value` is only reached through a guard, and the wait lock lets one guard exist at a time.
unsafe impl<T: Send> Sync for WaitLock<T> {}
// SAFETY: the framework lock may be used from any thread; `T` is Send.
unsafe impl<T: Send> Send for WaitLock<T> {}

impl<T> WaitLock<T> {
    /// A lock for the driver's own context: lives as long as the driver. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// What WdfWaitLockCreate returns: INSUFFICIENT_RESOURCES.
    pub fn of_driver(value: T) -> Result<Self> {
        let raw = create()?;
        Ok(Self { raw, _life: Life::Driver, value: UnsafeCell::new(value) })
    }

    /// A lock that lives as long as this value, which is gone before the driver. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// What WdfWaitLockCreate returns: INSUFFICIENT_RESOURCES.
    pub fn new(value: T) -> Result<Self> {
        let raw = create()?;
        // SAFETY: a live handle that only this value deletes, before its parent does.
        let life = Life::Holder { _owned: unsafe { Owned::adopt(raw) } };
        Ok(Self { raw, _life: life, value: UnsafeCell::new(value) })
    }

    /// Takes the lock, waiting as long as it takes. PASSIVE_LEVEL.
    pub fn lock(&self) -> WaitGuard<'_, T> {
        // SAFETY: the handle lives as long as `self`; a NULL timeout waits for ever and always succeeds.
        let _ = unsafe { wdf_call!(WdfWaitLockAcquire, self.raw, core::ptr::null_mut()) };
        WaitGuard { lock: self, not_send: PhantomData }
    }
}

/// Makes a wait lock of the driver's.
fn create() -> Result<WDFWAITLOCK> {
    let mut handle: WDFWAITLOCK = core::ptr::null_mut();
    let mut attributes = Attributes::plain();
    // SAFETY: the attributes and the out pointer are live locals.
    Status(unsafe { wdf_call!(WdfWaitLockCreate, attributes.raw(), &raw mut handle) }).ok()?;
    Ok(handle)
}

/// A held [`WaitLock`].
pub struct WaitGuard<'a, T> {
    lock: &'a WaitLock<T>,
    not_send: PhantomData<*mut ()>,
}

impl<T> Deref for WaitGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: the guard holds the lock.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> DerefMut for WaitGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the guard holds the lock, and is borrowed mutably.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T> Drop for WaitGuard<'_, T> {
    fn drop(&mut self) {
        // SAFETY: this guard acquired the lock.
        unsafe { wdf_call!(WdfWaitLockRelease, self.lock.raw) };
    }
}
