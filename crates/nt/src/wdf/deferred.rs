//! DPCs and work items: what is left for later, at DISPATCH_LEVEL or at PASSIVE_LEVEL.

use super::device::{DeviceEvents, Handle};
use super::object::{Attributes, Child, get};
use crate::status::{Result, Status};
use core::ptr::null_mut;
use nt_sys::{WDFDPC, WDFWORKITEM, wdf_call};

/// A device context with a DPC.
pub trait DpcEvents: DeviceEvents {
    /// The DPC was enqueued. DISPATCH_LEVEL; may run on several processors at once, where it is enqueued again while it runs.
    fn dpc(&self);
}

/// A DPC of a device.
pub struct Dpc(Child<WDFDPC>);

// SAFETY: framework DPCs may be used from any thread.
unsafe impl Send for Dpc {}
// SAFETY: as above.
unsafe impl Sync for Dpc {}

impl Dpc {
    /// A DPC of `device`, whose context is a `T`. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// The framework's status.
    pub fn new<T: DpcEvents>(device: Handle<'_>) -> Result<Self> {
        let mut config = nt_sys::WDF_DPC_CONFIG_INIT(Some(evt_dpc::<T>));
        config.AutomaticSerialization = 0;
        let mut dpc: WDFDPC = null_mut();
        let mut attributes = Attributes::plain().parent(device.raw().cast());
        // SAFETY: configuration, attributes and out pointer are live locals, the device is live.
        Status(unsafe { wdf_call!(WdfDpcCreate, &raw mut config, attributes.raw(), &raw mut dpc) }).ok()?;
        // SAFETY: the call returned a live handle.
        Ok(Self(unsafe { Child::new(dpc) }))
    }

    /// Has it run once more; once, however often it is asked before it begins. Any IRQL.
    pub fn enqueue(&self) {
        // SAFETY: the DPC is live (`Child`). The result says whether it was enqueued already; both are fine.
        let _ = unsafe { wdf_call!(WdfDpcEnqueue, self.0.handle()) };
    }

    /// Takes it back if it has not begun, and waits where it has. PASSIVE_LEVEL.
    pub fn cancel(&self) {
        // SAFETY: the DPC is live (`Child`); waiting is allowed at PASSIVE_LEVEL.
        let _ = unsafe { wdf_call!(WdfDpcCancel, self.0.handle(), 1) };
    }
}

/// A device context with a work item.
pub trait WorkEvents: DeviceEvents {
    /// The work item was enqueued. PASSIVE_LEVEL, in a system thread; may run twice at once, where it is enqueued again while it runs.
    fn work(&self);
}

/// A work item of a device.
pub struct WorkItem(Child<WDFWORKITEM>);

// SAFETY: framework work items may be used from any thread.
unsafe impl Send for WorkItem {}
// SAFETY: as above.
unsafe impl Sync for WorkItem {}

impl WorkItem {
    /// A work item of `device`, whose context is a `T`. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// The framework's status.
    pub fn new<T: WorkEvents>(device: Handle<'_>) -> Result<Self> {
        let mut config = nt_sys::WDF_WORKITEM_CONFIG_INIT(Some(evt_work::<T>));
        config.AutomaticSerialization = 0;
        let mut item: WDFWORKITEM = null_mut();
        let mut attributes = Attributes::plain().parent(device.raw().cast());
        // SAFETY: configuration, attributes and out pointer are live locals, the device is live.
        Status(unsafe { wdf_call!(WdfWorkItemCreate, &raw mut config, attributes.raw(), &raw mut item) }).ok()?;
        // SAFETY: the call returned a live handle.
        Ok(Self(unsafe { Child::new(item) }))
    }

    /// Has it run once more; once, however often it is asked before it begins. IRQL <= DISPATCH_LEVEL.
    pub fn enqueue(&self) {
        // SAFETY: the work item is live (`Child`).
        unsafe { wdf_call!(WdfWorkItemEnqueue, self.0.handle()) };
    }

    /// Waits for runs that were asked for. PASSIVE_LEVEL; not in the work item, and without a lock that it takes.
    pub fn flush(&self) {
        // SAFETY: the work item is live (`Child`).
        unsafe { wdf_call!(WdfWorkItemFlush, self.0.handle()) };
    }
}

unsafe extern "C" fn evt_dpc<T: DpcEvents>(dpc: WDFDPC) {
    // SAFETY: DPC and parent device are live in the callback.
    if let Some(device) = unsafe { get::<T>(wdf_call!(WdfDpcGetParentObject, dpc)) } {
        device.dpc();
    }
}

unsafe extern "C" fn evt_work<T: WorkEvents>(item: WDFWORKITEM) {
    // SAFETY: work item and parent device are live in the callback.
    if let Some(device) = unsafe { get::<T>(wdf_call!(WdfWorkItemGetParentObject, item)) } {
        device.work();
    }
}
