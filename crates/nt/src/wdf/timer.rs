//! Periodic timers.

use super::device::{DeviceEvents, Handle};
use super::object::{Attributes, Child, get};
use crate::status::{Result, Status};
use core::ptr::null_mut;
use nt_sys::{WDFTIMER, wdf_call};

/// A device context with a periodic timer.
pub trait TimerEvents: DeviceEvents {
    /// The period passed. DISPATCH_LEVEL; not reentrant.
    fn tick(&self);
}

/// A periodic timer of a device, at DISPATCH_LEVEL.
pub struct Periodic(Child<WDFTIMER>, i64);

// SAFETY: framework timers may be used from any thread.
unsafe impl Send for Periodic {}
// SAFETY: as above.
unsafe impl Sync for Periodic {}

impl Periodic {
    /// A stopped timer of `device`, whose context is a `T`. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// The framework's status.
    pub fn new<T: TimerEvents>(device: Handle<'_>, period_ms: u32, tolerance_ms: u32) -> Result<Self> {
        let mut config = nt_sys::WDF_TIMER_CONFIG_INIT_PERIODIC(Some(evt_timer::<T>), period_ms);
        config.AutomaticSerialization = 0;
        config.TolerableDelay = tolerance_ms;
        let mut timer: WDFTIMER = null_mut();
        let mut attributes = Attributes::plain().parent(device.raw().cast());
        // SAFETY: configuration, attributes and out pointer are live locals, the device is live.
        Status(unsafe { wdf_call!(WdfTimerCreate, &raw mut config, attributes.raw(), &raw mut timer) }).ok()?;
        // SAFETY: the call returned a live handle.
        Ok(Self(unsafe { Child::new(timer) }, i64::from(period_ms) * -10_000))
    }

    /// Starts, or restarts, the period. IRQL <= DISPATCH_LEVEL.
    pub fn start(&self) {
        // SAFETY: the timer is live (`Child`). The result says whether it was running; both are fine.
        let _ = unsafe { wdf_call!(WdfTimerStart, self.0.handle(), self.1) };
    }

    /// Stops and waits for a running callback. PASSIVE_LEVEL.
    pub fn stop(&self) {
        // SAFETY: the timer is live (`Child`); waiting is allowed at PASSIVE_LEVEL.
        let _ = unsafe { wdf_call!(WdfTimerStop, self.0.handle(), 1) };
    }
}

unsafe extern "C" fn evt_timer<T: TimerEvents>(timer: WDFTIMER) {
    // SAFETY: timer and parent device are live in the callback.
    if let Some(device) = unsafe { get::<T>(wdf_call!(WdfTimerGetParentObject, timer)) } {
        device.tick();
    }
}
