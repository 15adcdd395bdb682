//! The driver object and its entry point.

use super::device::DeviceInit;
use super::object::{Attributes, Context, ContextRef, get, init};
use crate::status::{Result, Status};
use core::marker::PhantomData;
use core::ptr::null_mut;
use nt_sys::{DRIVER_OBJECT, NTSTATUS, PCUNICODE_STRING, PWDFDEVICE_INIT, WDFDRIVER, wdf_call};

/// What a driver context does with the framework's events.
pub trait DriverEvents: Context {
    /// A device appeared: create its device object. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// A status that makes the framework undo the device.
    fn device_add(&self, driver: Driver<'_>, init: DeviceInit) -> Result<()>;
    /// The driver is about to be unloaded. PASSIVE_LEVEL.
    fn unload(&self) {}
}

impl<T: DriverEvents> ContextRef<T> {
    /// The context of the driver itself.
    ///
    /// # Errors
    /// DEVICE_NOT_READY before DriverEntry has finished.
    pub fn of_driver(driver: Driver<'_>) -> Result<Self> {
        // SAFETY: the handle is borrowed from a callback in which the driver lives.
        unsafe { Self::new(driver.0.cast()) }
    }
}

/// The driver's handle, borrowed from a callback.
#[derive(Clone, Copy)]
pub struct Driver<'a>(WDFDRIVER, PhantomData<&'a ()>);

impl Driver<'_> {
    pub(crate) const fn raw(self) -> WDFDRIVER {
        self.0
    }
}

/// Creates the framework driver object with the context that `make` returns. PASSIVE_LEVEL, from [`driver_entry!`](crate::driver_entry!).
///
/// # Safety
/// `driver_object` and `registry_path` are what the system passed to DriverEntry.
#[doc(hidden)]
pub unsafe fn create<T: DriverEvents>(
    driver_object: *mut DRIVER_OBJECT,
    registry_path: PCUNICODE_STRING,
    make: impl FnOnce() -> Result<T>,
) -> NTSTATUS {
    let mut config = nt_sys::WDF_DRIVER_CONFIG_INIT(Some(evt_device_add::<T>));
    config.EvtDriverUnload = Some(evt_unload::<T>);
    config.DriverPoolTag = crate::pool::TAG;
    let mut attributes = Attributes::with::<T>();
    let mut driver: WDFDRIVER = null_mut();
    // SAFETY: the first two are the system's own arguments (caller); the rest are live locals.
    let status = unsafe {
        wdf_call!(WdfDriverCreate, driver_object, registry_path, attributes.raw(), &raw mut config, &raw mut driver)
    };
    if status < 0 {
        return status;
    }
    // SAFETY: the driver object is live and has a context of type `T`. No device can be added before DriverEntry returns.
    make().and_then(|value| unsafe { init(driver.cast(), value) }).err().unwrap_or(Status::SUCCESS).0
}

unsafe extern "C" fn evt_device_add<T: DriverEvents>(driver: WDFDRIVER, raw: PWDFDEVICE_INIT) -> NTSTATUS {
    // SAFETY: the driver is live in its callback.
    let Some(context) = (unsafe { get::<T>(driver.cast()) }) else { return Status::DEVICE_NOT_READY.0 };
    // SAFETY: the framework hands the structure to this callback to configure and use up.
    let init = unsafe { DeviceInit::adopt(raw) };
    context.device_add(Driver(driver, PhantomData), init).err().unwrap_or(Status::SUCCESS).0
}

unsafe extern "C" fn evt_unload<T: DriverEvents>(driver: WDFDRIVER) {
    // SAFETY: the driver is live in its callback.
    if let Some(context) = unsafe { get::<T>(driver.cast()) } {
        context.unload();
    }
}

/// Defines `DriverEntry`, which creates the framework driver with the context that `$make: fn() -> Result<T>` returns.
#[macro_export]
macro_rules! driver_entry {
    ($make:path) => {
        #[unsafe(no_mangle)]
        #[expect(unsafe_code, reason = "the system calls this symbol")]
        /// Entry point. PASSIVE_LEVEL.
        ///
        /// # Safety
        /// Called once by the system with its own arguments.
        pub unsafe extern "system" fn DriverEntry(
            driver: *mut $crate::sys::DRIVER_OBJECT,
            path: $crate::sys::PCUNICODE_STRING,
        ) -> $crate::sys::NTSTATUS {
            // SAFETY: the arguments are the system's, handed through.
            unsafe { $crate::wdf::driver::create(driver, path, $make) }
        }
    };
}
