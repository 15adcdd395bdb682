//! I/O queues: the default queue that dispatches to a device's context, and manual queues that park requests.

use super::device::{DeviceEvents, Handle};
use super::object::{Attributes, Child, get};
use super::request::{Ioctl, Request};
use crate::status::{Result, Status};
use core::ptr::null_mut;
use nt_sys::{
    _WDF_IO_QUEUE_DISPATCH_TYPE as DispatchType, _WDF_TRI_STATE, WDF_IO_QUEUE_CONFIG, WDFQUEUE, WDFREQUEST, wdf_call,
};

/// A manual queue: parks requests until [`take`](Self::take). Requests in it that are cancelled, or whose file closes, are
/// completed by the framework with CANCELLED.
pub struct ManualQueue(Child<WDFQUEUE>);

// SAFETY: framework queues may be used from any thread.
unsafe impl Send for ManualQueue {}
// SAFETY: as above.
unsafe impl Sync for ManualQueue {}

impl ManualQueue {
    /// A queue of `device`, not power-managed. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// What WdfIoQueueCreate returns.
    pub fn new(device: Handle) -> Result<Self> {
        Self::with_config(device, &mut config(DispatchType::WdfIoQueueDispatchManual))
    }

    /// The same, where the device context hears of requests that are cancelled: [`DeviceEvents::cancelled`]. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// What WdfIoQueueCreate returns.
    pub fn telling<T: DeviceEvents>(device: Handle) -> Result<Self> {
        let mut config = config(DispatchType::WdfIoQueueDispatchManual);
        config.EvtIoCanceledOnQueue = Some(evt_cancelled::<T>);
        Self::with_config(device, &mut config)
    }

    fn with_config(device: Handle, config: &mut WDF_IO_QUEUE_CONFIG) -> Result<Self> {
        let queue = create(device, config, Attributes::plain())?;
        // SAFETY: `create` returned a live handle.
        Ok(Self(unsafe { Child::new(queue) }))
    }

    /// Whether no request is parked. IRQL <= DISPATCH_LEVEL.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many requests are parked. IRQL <= DISPATCH_LEVEL.
    #[must_use]
    pub fn len(&self) -> usize {
        let mut parked = 0;
        // SAFETY: the queue is live (`Child`); the out pointer is a live local, the other is optional.
        let _ = unsafe { wdf_call!(WdfIoQueueGetState, self.0.handle(), &raw mut parked, null_mut()) };
        parked as usize
    }

    /// Parks a request. IRQL <= DISPATCH_LEVEL.
    ///
    /// # Errors
    /// The request itself and the status, where the queue does not accept it (it is being torn down).
    pub fn park(&self, request: Request) -> core::result::Result<(), (Request, Status)> {
        let raw = request.release();
        // SAFETY: the request was owned by the driver and delivered by another queue of the same device.
        match Status(unsafe { wdf_call!(WdfRequestForwardToIoQueue, raw, self.0.handle()) }).ok() {
            Ok(()) => Ok(()),
            // SAFETY: a request that could not be forwarded is still the driver's.
            Err(status) => Err((unsafe { Request::adopt(raw) }, status)),
        }
    }

    /// Takes the oldest parked request, if there is one. IRQL <= DISPATCH_LEVEL.
    pub fn take(&self) -> Option<Request> {
        let mut raw: WDFREQUEST = null_mut();
        // SAFETY: the queue is live (`Child`); the out pointer is a live local.
        Status(unsafe { wdf_call!(WdfIoQueueRetrieveNextRequest, self.0.handle(), &raw mut raw) }).ok().ok()?;
        // SAFETY: on success the driver owns the request.
        Some(unsafe { Request::adopt(raw) })
    }
}

/// A [`ManualQueue`] of ioctls.
pub struct IoctlQueue(ManualQueue);

impl IoctlQueue {
    /// A queue of `device`, not power-managed. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// What WdfIoQueueCreate returns.
    pub fn new(device: Handle) -> Result<Self> {
        ManualQueue::new(device).map(Self)
    }

    /// Parks an ioctl that another queue delivered. IRQL <= DISPATCH_LEVEL.
    ///
    /// # Errors
    /// The ioctl itself and the status, where the queue does not accept it (it is being torn down).
    pub fn park(&self, request: Ioctl) -> core::result::Result<(), (Ioctl, Status)> {
        self.0.park(request.0).map_err(|(request, status)| (Ioctl(request), status))
    }

    /// How many ioctls are parked. IRQL <= DISPATCH_LEVEL.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none is. IRQL <= DISPATCH_LEVEL.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes the oldest parked ioctl, if there is one. IRQL <= DISPATCH_LEVEL.
    pub fn take(&self) -> Option<Ioctl> {
        self.0.take().map(Ioctl)
    }
}

/// Creates the device's default queue: parallel, PASSIVE_LEVEL, not power-managed, dispatching ioctl, read and write to `T`.
pub(super) fn create_default<T: DeviceEvents>(device: Handle) -> Result<()> {
    let mut config = config(DispatchType::WdfIoQueueDispatchParallel);
    config.DefaultQueue = 1;
    config.EvtIoRead = Some(evt_read::<T>);
    config.EvtIoWrite = Some(evt_write::<T>);
    config.EvtIoDeviceControl = Some(evt_device_control::<T>);
    create(device, &mut config, Attributes::plain().passive()).map(drop)
}

fn config(dispatch: DispatchType::Type) -> WDF_IO_QUEUE_CONFIG {
    let mut c = nt_sys::WDF_IO_QUEUE_CONFIG_INIT(dispatch);
    c.PowerManaged = _WDF_TRI_STATE::WdfFalse;
    c
}

fn create(device: Handle, config: &mut WDF_IO_QUEUE_CONFIG, mut attributes: Attributes) -> Result<WDFQUEUE> {
    let mut queue: WDFQUEUE = null_mut();
    // SAFETY: `Handle` is a live device (its constructor's contract); configuration, attributes and out pointer are locals.
    Status(unsafe {
        wdf_call!(WdfIoQueueCreate, device.raw(), core::ptr::from_mut(config), attributes.raw(), &raw mut queue)
    })
    .ok()?;
    Ok(queue)
}

/// The context of the queue's device.
///
/// # Safety
/// Called from a callback of `queue`, with the queue handle it was given; the reference is used in that callback only.
unsafe fn device_context<'a, T: DeviceEvents>(queue: WDFQUEUE) -> Option<&'a T> {
    // SAFETY: the queue is live in its callback, and so is its device.
    unsafe { get::<T>(wdf_call!(WdfIoQueueGetDevice, queue).cast()) }
}

unsafe extern "C" fn evt_cancelled<T: DeviceEvents>(queue: WDFQUEUE, request: WDFREQUEST) {
    // SAFETY: the framework gives a cancelled request back to the driver with this callback.
    let request = unsafe { Request::adopt(request) };
    // SAFETY: this is a callback of this queue.
    match unsafe { device_context::<T>(queue) } {
        Some(device) => device.cancelled(request),
        None => request.complete(Status::CANCELLED),
    }
}

unsafe extern "C" fn evt_device_control<T: DeviceEvents>(
    queue: WDFQUEUE,
    request: WDFREQUEST,
    _: nt_sys::size_t,
    _: nt_sys::size_t,
    code: u32,
) {
    // SAFETY: the framework delivers the request to the driver with this callback.
    let request = unsafe { Ioctl::adopt(request) };
    // SAFETY: this is a callback of this queue.
    match unsafe { device_context::<T>(queue) } {
        Some(device) => device.ioctl(request, code),
        None => request.complete(Status::DEVICE_NOT_READY),
    }
}

unsafe extern "C" fn evt_read<T: DeviceEvents>(queue: WDFQUEUE, request: WDFREQUEST, _: nt_sys::size_t) {
    // SAFETY: the framework delivers the request to the driver with this callback.
    let request = unsafe { Request::adopt(request) };
    // SAFETY: this is a callback of this queue.
    match unsafe { device_context::<T>(queue) } {
        Some(device) => device.read(request),
        None => request.complete(Status::DEVICE_NOT_READY),
    }
}

unsafe extern "C" fn evt_write<T: DeviceEvents>(queue: WDFQUEUE, request: WDFREQUEST, _: nt_sys::size_t) {
    // SAFETY: the framework delivers the request to the driver with this callback.
    let request = unsafe { Request::adopt(request) };
    // SAFETY: this is a callback of this queue.
    match unsafe { device_context::<T>(queue) } {
        Some(device) => device.write(request),
        None => request.complete(Status::DEVICE_NOT_READY),
    }
}
