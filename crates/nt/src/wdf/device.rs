//! Devices: initialisation, creation, file and power callbacks, names.

use super::driver::Driver;
use super::object::{Attributes, Context, ContextRef, get, init};
use super::queue;
use super::request::{Ioctl, Request};
use crate::status::{Result, Status};
use crate::wide::Wide;
use core::ptr::null_mut;
use nt_sys::{
    _WDF_FILEOBJECT_CLASS, GUID, NTSTATUS, PWDFDEVICE_INIT, WDFCMRESLIST, WDFDEVICE, WDFFILEOBJECT, WDFREQUEST,
    wdf_call,
};

/// What a device context does with the framework's events. Default methods do nothing, or refuse.
pub trait DeviceEvents: Context {
    /// An ioctl. PASSIVE_LEVEL; several at once.
    fn ioctl(&self, request: Ioctl, code: u32) {
        let _ = code;
        request.complete(Status::INVALID_DEVICE_REQUEST);
    }
    /// A read. PASSIVE_LEVEL; several at once.
    fn read(&self, request: Request) {
        request.complete(Status::INVALID_DEVICE_REQUEST);
    }
    /// A write. PASSIVE_LEVEL; several at once.
    fn write(&self, request: Request) {
        request.complete(Status::INVALID_DEVICE_REQUEST);
    }
    /// A request that a [`ManualQueue::telling`](super::queue::ManualQueue::telling) had parked was cancelled. IRQL <= DISPATCH_LEVEL.
    fn cancelled(&self, request: Request) {
        request.complete(Status::CANCELLED);
    }
    /// A file of this device is being opened. PASSIVE_LEVEL.
    fn file_create(&self) {}
    /// The last handle to a file of this device was closed (EvtFileCleanup). Requests that were already on their way in may still
    /// arrive. PASSIVE_LEVEL.
    fn file_cleanup(&self) {}
    /// The file is gone (EvtFileClose): no request of it is left. PASSIVE_LEVEL.
    fn file_close(&self) {}
    /// The device starts (EvtDevicePrepareHardware). PASSIVE_LEVEL.
    ///
    /// # Errors
    /// A status that fails the start.
    fn prepare(&self) -> Result<()> {
        Ok(())
    }
    /// The device stops or goes away (EvtDeviceReleaseHardware). PASSIVE_LEVEL.
    fn release(&self) {}
    /// The device object is being deleted (EvtCleanupCallback). PASSIVE_LEVEL.
    fn deleted(&self) {}
}

/// A device handle, borrowed from a context in which the device is known to live.
#[derive(Clone, Copy)]
pub struct Handle<'a>(WDFDEVICE, core::marker::PhantomData<&'a ()>);

impl Handle<'_> {
    pub(crate) const fn raw(self) -> WDFDEVICE {
        self.0
    }
}

/// A device that is being set up.
pub struct DeviceInit(PWDFDEVICE_INIT);

impl DeviceInit {
    /// Takes over the framework's structure.
    ///
    /// # Safety
    /// `raw` is a `WDFDEVICE_INIT` that the caller may configure and use up.
    pub(crate) const unsafe fn adopt(raw: PWDFDEVICE_INIT) -> Self {
        Self(raw)
    }

    pub(crate) const fn raw(&mut self) -> PWDFDEVICE_INIT {
        self.0
    }

    /// One open handle at a time. PASSIVE_LEVEL.
    pub fn exclusive(&mut self, on: bool) {
        // SAFETY: the structure is this object's own.
        unsafe { wdf_call!(WdfDeviceInitSetExclusive, self.0, u8::from(on)) };
    }

    /// The device's name. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// INSUFFICIENT_RESOURCES.
    pub fn name(&mut self, name: Wide) -> Result<()> {
        let name = name.unicode();
        // SAFETY: the structure is this object's own; the framework copies the string.
        Status(unsafe { wdf_call!(WdfDeviceInitAssignName, self.0, &raw const name) }).ok()
    }

    /// Delivers the file events of `T`. PASSIVE_LEVEL.
    pub fn file_events<T: DeviceEvents>(&mut self) {
        let mut config = nt_sys::WDF_FILEOBJECT_CONFIG_INIT(
            Some(evt_file_create::<T>),
            Some(evt_file_close::<T>),
            Some(evt_file_cleanup::<T>),
        );
        config.FileObjectClass = _WDF_FILEOBJECT_CLASS::WdfFileObjectWdfCannotUseFsContexts;
        // SAFETY: the structure is this object's own; the configuration is a live local that the framework copies.
        unsafe { wdf_call!(WdfDeviceInitSetFileObjectConfig, self.0, &raw mut config, Attributes::plain().raw()) };
    }

    /// Delivers [`DeviceEvents::prepare`] and [`DeviceEvents::release`] of `T`. PASSIVE_LEVEL.
    pub fn power_events<T: DeviceEvents>(&mut self) {
        let mut events = nt_sys::WDF_PNPPOWER_EVENT_CALLBACKS_INIT();
        events.EvtDevicePrepareHardware = Some(evt_prepare::<T>);
        events.EvtDeviceReleaseHardware = Some(evt_release::<T>);
        // SAFETY: the structure is this object's own; the callbacks table is a live local that the framework copies.
        unsafe { wdf_call!(WdfDeviceInitSetPnpPowerEventCallbacks, self.0, &raw mut events) };
    }

    /// Creates the device with a context made by `make`, and its default queue, which dispatches to `T`'s events without framework
    /// synchronization. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// The framework's status, or what `make` returned. The device is then deleted by the framework (a function device whose
    /// EvtDriverDeviceAdd fails) or by [`ControlDevice`]'s caller.
    pub fn create<T: DeviceEvents>(mut self, make: impl FnOnce(Handle<'_>) -> Result<T>) -> Result<ContextRef<T>> {
        let device = self.create_raw::<T>()?;
        // SAFETY: `create_raw` returned a live device with a context of type `T`.
        unsafe { finish(device, make) }
    }

    fn create_raw<T: DeviceEvents>(&mut self) -> Result<WDFDEVICE> {
        let mut attributes = Attributes::with::<T>();
        attributes = attributes.unsynchronized();
        attributes.on_cleanup(evt_deleted::<T>);
        let mut device: WDFDEVICE = null_mut();
        // SAFETY: the structure is this object's own and is used up; attributes and out pointer are live locals.
        Status(unsafe { wdf_call!(WdfDeviceCreate, &raw mut self.0, attributes.raw(), &raw mut device) }).ok()?;
        Ok(device)
    }
}

/// Fills the context and makes the default queue.
///
/// # Safety
/// `device` is a live device created with a context of type `T`.
unsafe fn finish<T: DeviceEvents>(
    device: WDFDEVICE,
    make: impl FnOnce(Handle<'_>) -> Result<T>,
) -> Result<ContextRef<T>> {
    let handle = Handle(device, core::marker::PhantomData);
    let value = make(handle)?;
    // SAFETY: the caller vouches for device and context type.
    unsafe { init(device.cast(), value) }?;
    queue::create_default::<T>(handle)?;
    // SAFETY: as above.
    unsafe { ContextRef::new(device.cast()) }
}

impl<T: DeviceEvents> ContextRef<T> {
    /// The device this is the context of.
    #[must_use]
    pub fn device(&self) -> Handle<'_> {
        Handle(self.object().cast(), core::marker::PhantomData)
    }
}

impl Handle<'_> {
    /// Makes a symbolic link to the device. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// OBJECT_NAME_COLLISION where the name is taken.
    pub fn symbolic_link(self, name: Wide) -> Result<()> {
        let name = name.unicode();
        // SAFETY: the device is live; the string is a constant.
        Status(unsafe { wdf_call!(WdfDeviceCreateSymbolicLink, self.0, &raw const name) }).ok()
    }

    /// Registers a device interface. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// The framework's status.
    pub fn interface(self, class: &GUID, reference: Wide) -> Result<()> {
        let reference = reference.unicode();
        // SAFETY: the device is live; class and string are live through the call.
        Status(unsafe {
            wdf_call!(WdfDeviceCreateDeviceInterface, self.0, core::ptr::from_ref(class), &raw const reference)
        })
        .ok()
    }
}

/// A control device: not part of a device stack, deleted when this is dropped. PASSIVE_LEVEL.
pub struct ControlDevice {
    _device: super::object::Owned<WDFDEVICE>,
}

// SAFETY: framework handles may be used from any thread.
unsafe impl Send for ControlDevice {}

impl ControlDevice {
    /// Creates a named control device with a link, open to those `sddl` admits.
    ///
    /// # Errors
    /// The framework's status.
    pub fn create<T: DeviceEvents>(
        driver: Driver<'_>,
        name: Wide,
        link: Wide,
        sddl: Wide,
        make: impl FnOnce(Handle<'_>) -> Result<T>,
    ) -> Result<Self> {
        let sddl = sddl.unicode();
        // SAFETY: the driver is live; the framework copies the descriptor.
        let raw = unsafe { wdf_call!(WdfControlDeviceInitAllocate, driver.raw(), &raw const sddl) };
        if raw.is_null() {
            return Err(Status::INSUFFICIENT_RESOURCES);
        }
        // SAFETY: the structure was just allocated for us.
        let mut init = unsafe { DeviceInit::adopt(raw) };
        let created = init.name(name).and_then(|()| init.create_raw::<T>());
        let device = match created {
            Ok(device) => device,
            Err(status) => {
                // SAFETY: WdfDeviceCreate did not take the structure over, since it was not reached or failed.
                unsafe { wdf_call!(WdfDeviceInitFree, init.0) };
                return Err(status);
            }
        };
        // SAFETY: the device is live, and a control device is its creator's to delete.
        let owned = unsafe { super::object::Owned::adopt(device) };
        // SAFETY: the device was created with a context of type `T`.
        let context = unsafe { finish(device, make) }?;
        context.device().symbolic_link(link)?;
        // SAFETY: the device is live and fully set up.
        unsafe { wdf_call!(WdfControlFinishInitializing, device) };
        Ok(Self { _device: owned })
    }
}

unsafe extern "C" fn evt_file_create<T: DeviceEvents>(device: WDFDEVICE, request: WDFREQUEST, _: WDFFILEOBJECT) {
    // SAFETY: the framework delivers the create request to the driver with this callback.
    let request = unsafe { Request::adopt(request) };
    // SAFETY: the device is live in its callback.
    match unsafe { get::<T>(device.cast()) } {
        Some(context) => {
            context.file_create();
            request.complete(Status::SUCCESS);
        }
        None => request.complete(Status::DEVICE_NOT_READY),
    }
}

unsafe extern "C" fn evt_file_close<T: DeviceEvents>(file: WDFFILEOBJECT) {
    // SAFETY: the file object is live in its callback, and so is its device.
    if let Some(device) = unsafe { get::<T>(wdf_call!(WdfFileObjectGetDevice, file).cast()) } {
        device.file_close();
    }
}

unsafe extern "C" fn evt_file_cleanup<T: DeviceEvents>(file: WDFFILEOBJECT) {
    // SAFETY: the file object is live in its callback, and so is its device.
    if let Some(device) = unsafe { get::<T>(wdf_call!(WdfFileObjectGetDevice, file).cast()) } {
        device.file_cleanup();
    }
}

unsafe extern "C" fn evt_prepare<T: DeviceEvents>(device: WDFDEVICE, _: WDFCMRESLIST, _: WDFCMRESLIST) -> NTSTATUS {
    // SAFETY: the device is live in its callback.
    match unsafe { get::<T>(device.cast()) } {
        Some(context) => context.prepare().err().unwrap_or(Status::SUCCESS).0,
        None => Status::DEVICE_NOT_READY.0,
    }
}

unsafe extern "C" fn evt_release<T: DeviceEvents>(device: WDFDEVICE, _: WDFCMRESLIST) -> NTSTATUS {
    // SAFETY: the device is live in its callback.
    if let Some(context) = unsafe { get::<T>(device.cast()) } {
        context.release();
    }
    Status::SUCCESS.0
}

unsafe extern "C" fn evt_deleted<T: DeviceEvents>(object: nt_sys::WDFOBJECT) {
    // SAFETY: the object is live in its cleanup callback.
    if let Some(context) = unsafe { get::<T>(object) } {
        context.deleted();
    }
}
