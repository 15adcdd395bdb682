//! Cancellation: the cancel spin lock, and the call of a cancel routine.

use super::irp::{check, current_stack, set_cancel_routine};
use crate::Export;
use crate::irql::{self, DISPATCH, Kirql};
use crate::ke::spin;
use crate::nt::{IRP, KSPIN_LOCK};
use crate::report::{InCall, Rule, address_text, record};
use std::sync::atomic::AtomicU64;

const CANCEL_LOCK: Rule =
    Rule::new("irp.cancel-lock", "WDK: a cancel routine must call IoReleaseCancelSpinLock with Irp->CancelIrql");

static CANCEL_SPIN_LOCK: KSPIN_LOCK = AtomicU64::new(0);

/// `IoAcquireCancelSpinLock`.
#[must_use]
pub fn acquire_cancel_lock() -> Kirql {
    let old = irql::raise(DISPATCH);
    spin::acquire(&CANCEL_SPIN_LOCK);
    old
}

/// `IoReleaseCancelSpinLock`.
pub fn release_cancel_lock(old: Kirql) {
    spin::release(&CANCEL_SPIN_LOCK);
    spin::before_lower(old);
    irql::lower(old);
}

/// `IoCancelIrp`: whether a cancel routine was called.
///
/// # Safety
/// `irp` is valid and stays so for the call (its owner keeps it alive).
pub unsafe fn cancel_irp(irp: *mut IRP) -> bool {
    irql::require_at_most(DISPATCH);
    let old = acquire_cancel_lock();
    // SAFETY: as our caller promises; what is no IRP is refused.
    unsafe {
        check(irp);
        (&raw mut (*irp).Cancel).write_volatile(1);
        let Some(routine) = set_cancel_routine(irp, None) else {
            release_cancel_lock(old);
            return false;
        };
        (*irp).CancelIrql = old;
        let device = (*current_stack(irp)).DeviceObject;
        let before = spin::held();
        routine(device, irp);
        if spin::held() != before - 1 || irql::current() != old {
            record(
                CANCEL_LOCK,
                &format!(
                    "cancel routine {} returned at IRQL {} (expected {old}) with {} spin locks",
                    address_text(routine as usize),
                    irql::current(),
                    spin::held()
                ),
            );
        }
        true
    }
}

extern "win64" fn io_cancel_irp(irp: *mut IRP) -> u8 {
    let _c = InCall::enter("IoCancelIrp");
    // SAFETY: the driver passes an IRP that it keeps alive; anything else is refused.
    u8::from(unsafe { cancel_irp(irp) })
}

extern "win64" fn io_acquire_cancel(old: *mut Kirql) {
    let _c = InCall::enter("IoAcquireCancelSpinLock");
    irql::require_at_most(DISPATCH);
    let v = acquire_cancel_lock();
    // SAFETY: Irql is the driver's out parameter.
    unsafe { *old = v };
}

extern "win64" fn io_release_cancel(old: Kirql) {
    let _c = InCall::enter("IoReleaseCancelSpinLock");
    release_cancel_lock(old);
}

pub(super) fn exports() -> Vec<Export> {
    vec![
        export!("IoCancelIrp", io_cancel_irp),
        export!("IoAcquireCancelSpinLock", io_acquire_cancel),
        export!("IoReleaseCancelSpinLock", io_release_cancel),
    ]
}
