//! Driver and device objects, and stacks of devices.

use super::{irp, names};
use crate::fault;
use crate::irql::{self, APC, DISPATCH};
use crate::nt::{
    DEVICE_OBJECT, DRIVER_EXTENSION, DRIVER_OBJECT, IRP, NTSTATUS, OwnedUnicode, UNICODE_STRING, dev_flags, mj, status,
};
use crate::objects::Kind;
use crate::report::{InCall, Rule, record_about, stop_about};
use crate::{Export, ke, pool};
use std::ffi::c_void;
use std::sync::atomic::Ordering;

const NO_DEVICE: Rule = Rule::new("device.invalid", "WDK: the argument must be a live device object");
const STILL_ATTACHED: Rule = Rule::new("device.deleted-attached", "WDK: IoDeleteDevice (detach from the stack first)");
const STILL_OPEN: Rule = Rule::new("device.deleted-open", "WDK: IoDeleteDevice (a control device with open handles)");

const IO_TYPE_DEVICE: i16 = 3;
const IO_TYPE_DRIVER: i16 = 4;

static DEVICES: Kind = Kind::new("io.device");
static DRIVERS: Kind = Kind::of_lab("io.driver");

/// A driver object with the default dispatch routines, which fail with `INVALID_DEVICE_REQUEST`.
#[must_use]
pub fn create_driver(name: &str, service_key: &str) -> *mut DRIVER_OBJECT {
    let driver = pool::alloc_lab_zeroed(&DRIVERS, size_of::<DRIVER_OBJECT>() + size_of::<DRIVER_EXTENSION>())
        .cast::<DRIVER_OBJECT>();
    let extension = driver.wrapping_add(1).cast::<DRIVER_EXTENSION>();
    // Their buffers live as long as the process, as the driver object does.
    let name = Box::leak(Box::new(OwnedUnicode::new(name))).unicode();
    let service = Box::leak(Box::new(OwnedUnicode::new(service_key))).unicode();
    // SAFETY: the block is fresh, zeroed and holds both; all-zero bytes are valid for both.
    unsafe {
        (*driver).Type = IO_TYPE_DRIVER;
        (*driver).Size = 336;
        (*driver).DriverExtension = extension;
        (*driver).DriverName = name;
        (*driver).MajorFunction = [Some(invalid_request); mj::COUNT];
        (*extension).DriverObject = driver;
        (*extension).ServiceKeyName = service;
    }
    driver
}

/// Whether the pointer is a live device object.
///
/// # Safety
/// `d` is null or readable for a pool header before it.
#[must_use]
pub unsafe fn is_device(d: *const DEVICE_OBJECT) -> bool {
    // SAFETY: as our caller promises.
    unsafe { pool::is_lab_block(d.cast(), &DEVICES) }
}

/// The routine of every major function a driver does not fill in.
///
/// # Safety
/// `irp` is an IRP that the caller's location owns.
pub unsafe extern "win64" fn invalid_request(_device: *mut DEVICE_OBJECT, irp: *mut IRP) -> NTSTATUS {
    // SAFETY: the I/O manager passes an IRP that this location owns.
    unsafe { irp::complete(irp, status::INVALID_DEVICE_REQUEST, 0) };
    status::INVALID_DEVICE_REQUEST
}

/// `IoCreateDevice`.
///
/// # Errors
/// The name's errors.
///
/// # Safety
/// `driver` is a driver object.
pub unsafe fn create_device(
    driver: *mut DRIVER_OBJECT,
    extension_size: usize,
    name: Option<&str>,
    device_type: u32,
    characteristics: u32,
    exclusive: bool,
) -> Result<*mut DEVICE_OBJECT, NTSTATUS> {
    let d = pool::alloc_lab_zeroed(&DEVICES, size_of::<DEVICE_OBJECT>() + extension_size).cast::<DEVICE_OBJECT>();
    if let Some(n) = name
        && let Err(e) = names::insert_device(n, d)
    {
        // SAFETY: the block is fresh and unknown to anyone.
        unsafe { pool::free_lab(d.cast()) };
        return Err(e);
    }
    // SAFETY: the block is fresh, zeroed and large enough; `driver` is a driver object.
    unsafe {
        (*d).Type = IO_TYPE_DEVICE;
        (*d).Size = u16::try_from(size_of::<DEVICE_OBJECT>() + extension_size).unwrap_or(u16::MAX);
        (*d).DriverObject = driver;
        (*d).NextDevice = (*driver).DeviceObject;
        (*driver).DeviceObject = d;
        (*d).Flags = dev_flags::DEVICE_INITIALIZING
            | if exclusive { dev_flags::EXCLUSIVE } else { 0 }
            | if name.is_some() { dev_flags::DEVICE_HAS_NAME } else { 0 };
        (*d).Characteristics = characteristics;
        (*d).DeviceType = device_type;
        (*d).StackSize = 1;
        if extension_size != 0 {
            (*d).DeviceExtension = d.wrapping_add(1).cast();
        }
        ke::event_init(&raw mut (*d).DeviceLock, true, true);
    }
    Ok(d)
}

/// `IoDeleteDevice`: the name goes at once, the object with its last open file.
///
/// # Safety
/// `d` is what a driver passed.
pub unsafe fn delete_device(d: *mut DEVICE_OBJECT) {
    // SAFETY: as our caller promises; what is no device is refused.
    unsafe {
        if !is_device(d) {
            stop_about(NO_DEVICE, d.addr(), &format!("{d:p}"));
        }
        if !(*d).AttachedDevice.is_null() {
            record_about(STILL_ATTACHED, d.addr(), &format!("{d:p} has {:p} attached", (*d).AttachedDevice));
        }
        names::remove_device(d);
        let driver = (*d).DriverObject;
        let mut place = &raw mut (*driver).DeviceObject;
        while !(*place).is_null() {
            if *place == d {
                *place = (*d).NextDevice;
                break;
            }
            place = &raw mut (**place).NextDevice;
        }
        if (*d).ReferenceCount.fetch_sub(1, Ordering::AcqRel) > 0 {
            // Windows would keep the object for its open files; PnP removes no device that has any, and a control device
            // is deleted by a driver that can no longer be called.
            record_about(STILL_OPEN, d.addr(), &format!("{d:p} still has open files"));
            return;
        }
        pool::free_lab(d.cast());
    }
}

/// An open file more; how many there were.
///
/// # Safety
/// `d` is a device object.
pub(super) unsafe fn reference(d: *mut DEVICE_OBJECT) -> i32 {
    // SAFETY: as our caller promises.
    unsafe { (*d).ReferenceCount.fetch_add(1, Ordering::AcqRel) }
}

/// An open file less.
///
/// # Safety
/// `d` is a device object that the caller referenced.
pub(super) unsafe fn release(d: *mut DEVICE_OBJECT) {
    // SAFETY: as our caller promises; below zero it was deleted while open, and this was the last file.
    unsafe {
        if (*d).ReferenceCount.fetch_sub(1, Ordering::AcqRel) <= 0 {
            pool::free_lab(d.cast());
        }
    }
}

/// The top of a device's stack: `IoGetAttachedDevice`.
///
/// # Safety
/// `d` is a device object.
#[must_use]
pub unsafe fn attached_device(mut d: *mut DEVICE_OBJECT) -> *mut DEVICE_OBJECT {
    // SAFETY: as our caller promises; attached devices are live.
    unsafe {
        while !(*d).AttachedDevice.is_null() {
            d = (*d).AttachedDevice;
        }
    }
    d
}

/// `IoAttachDeviceToDeviceStack`: returns the device that was on top.
///
/// # Safety
/// Both are device objects.
pub unsafe fn attach_to_stack(source: *mut DEVICE_OBJECT, target: *mut DEVICE_OBJECT) -> *mut DEVICE_OBJECT {
    // SAFETY: as our caller promises; what is no device is refused.
    unsafe {
        if !is_device(source) || !is_device(target) {
            stop_about(NO_DEVICE, source.addr(), &format!("{source:p} to {target:p}"));
        }
        let top = attached_device(target);
        (*top).AttachedDevice = source;
        (*source).StackSize = (*top).StackSize + 1;
        (*source).AlignmentRequirement = (*top).AlignmentRequirement;
        top
    }
}

/// `IoDetachDevice`: takes away what is attached to `target`.
///
/// # Safety
/// `target` is a device object.
pub unsafe fn detach(target: *mut DEVICE_OBJECT) {
    // SAFETY: as our caller promises; what is no device is refused.
    unsafe {
        if !is_device(target) {
            stop_about(NO_DEVICE, target.addr(), &format!("{target:p}"));
        }
        (*target).AttachedDevice = std::ptr::null_mut();
    }
}

extern "win64" fn io_create_device(
    driver: *mut DRIVER_OBJECT,
    extension_size: u32,
    name: *const UNICODE_STRING,
    device_type: u32,
    characteristics: u32,
    exclusive: u8,
    out: *mut *mut DEVICE_OBJECT,
) -> NTSTATUS {
    let _c = InCall::enter("IoCreateDevice");
    irql::require_at_most(APC);
    // SAFETY: the driver passes its driver object, an optional string and an out parameter.
    unsafe {
        *out = std::ptr::null_mut();
        let name = name.as_ref().map(|n| n.to_string_lossy());
        if fault::fails("IoCreateDevice") {
            return status::INSUFFICIENT_RESOURCES;
        }
        match create_device(
            driver,
            extension_size as usize,
            name.as_deref(),
            device_type,
            characteristics,
            exclusive != 0,
        ) {
            Ok(d) => {
                *out = d;
                status::SUCCESS
            }
            Err(e) => e,
        }
    }
}

extern "win64" fn io_create_device_secure(
    driver: *mut DRIVER_OBJECT,
    extension_size: u32,
    name: *const UNICODE_STRING,
    device_type: u32,
    characteristics: u32,
    exclusive: u8,
    _sddl: *const UNICODE_STRING,
    _class: *const c_void,
    out: *mut *mut DEVICE_OBJECT,
) -> NTSTATUS {
    io_create_device(driver, extension_size, name, device_type, characteristics, exclusive, out)
}

extern "win64" fn io_delete_device(d: *mut DEVICE_OBJECT) {
    let _c = InCall::enter("IoDeleteDevice");
    irql::require_at_most(APC);
    // SAFETY: the driver passes a device of its own; anything else is refused.
    unsafe { delete_device(d) };
}

extern "win64" fn io_attach(source: *mut DEVICE_OBJECT, target: *mut DEVICE_OBJECT) -> *mut DEVICE_OBJECT {
    let _c = InCall::enter("IoAttachDeviceToDeviceStack");
    irql::require_at_most(DISPATCH);
    // SAFETY: the driver passes two devices; anything else is refused.
    unsafe { attach_to_stack(source, target) }
}

extern "win64" fn io_detach(target: *mut DEVICE_OBJECT) {
    let _c = InCall::enter("IoDetachDevice");
    irql::require_at_most(DISPATCH);
    // SAFETY: the driver passes a device; anything else is refused.
    unsafe { detach(target) };
}

extern "win64" fn io_get_attached_reference(d: *mut DEVICE_OBJECT) -> *mut DEVICE_OBJECT {
    let _c = InCall::enter("IoGetAttachedDeviceReference");
    irql::require_at_most(DISPATCH);
    // SAFETY: the driver passes a device; anything else is refused.
    unsafe {
        if !is_device(d) {
            stop_about(NO_DEVICE, d.addr(), &format!("{d:p}"));
        }
        let top = attached_device(d);
        crate::ob::reference(top.cast());
        top
    }
}

pub(super) fn exports() -> Vec<Export> {
    vec![
        export!("IoCreateDevice", io_create_device),
        export!("WdmlibIoCreateDeviceSecure", io_create_device_secure),
        export!("IoDeleteDevice", io_delete_device),
        export!("IoAttachDeviceToDeviceStack", io_attach),
        export!("IoDetachDevice", io_detach),
        export!("IoGetAttachedDeviceReference", io_get_attached_reference),
    ]
}
