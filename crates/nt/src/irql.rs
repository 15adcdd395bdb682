//! Raising the IRQL.

use core::marker::PhantomData;
use nt_sys::{KIRQL, ntddk};

/// DISPATCH_LEVEL until dropped: this thread is neither preempted nor suspended, and stays on its processor. Not `Send`.
pub struct AtDispatch {
    old: KIRQL,
    not_send: PhantomData<*mut ()>,
}

impl AtDispatch {
    /// Raises. IRQL <= DISPATCH_LEVEL.
    #[must_use]
    pub fn raise() -> Self {
        const DISPATCH_LEVEL: KIRQL = 2;
        // SAFETY: the new level is not below the present one, as the caller is at DISPATCH_LEVEL at most.
        Self { old: unsafe { nt_sys::KeRaiseIrql(DISPATCH_LEVEL) }, not_send: PhantomData }
    }
}

impl Drop for AtDispatch {
    fn drop(&mut self) {
        // SAFETY: the level that `raise` saved, on the same thread.
        unsafe { ntddk::KeLowerIrql(self.old) };
    }
}
