//! The driver object: start, devices, registry parameters, unload.

use alloc::vec::Vec;
use core::ptr::null_mut;

use super::ffi::{self, OBJECT_ATTRIBUTES, PVOID, UNICODE_STRING};
use super::irp::Irp;
use super::{log, status};

/// Offsets on x64, the same in Wine and in Windows.
mod offset {
    // DRIVER_OBJECT:
    pub const FIRST_DEVICE: usize = 0x08;
    pub const UNLOAD: usize = 0x68;
    pub const MAJOR_FUNCTION: usize = 0x70;
    // DEVICE_OBJECT:
    pub const FLAGS: usize = 0x30;
    pub const EXTENSION: usize = 0x40;
}

const MAJOR_FUNCTIONS: usize = 28;
const FILE_DEVICE_UNKNOWN: u32 = 0x22;
const DO_BUFFERED_IO: u32 = 0x04;
const DO_DEVICE_INITIALIZING: u32 = 0x80;
const KEY_READ: u32 = 0x2_0019;
const OBJ_CASE_INSENSITIVE: u32 = 0x40;
const KEY_VALUE_PARTIAL_INFORMATION: u32 = 2;
const REG_DWORD: u32 = 4;

/// A device's name and the symbolic link that programs open it by.
pub struct Names {
    /// e.g. `\Device\x`
    pub device: &'static str,
    /// e.g. `\DosDevices\x`
    pub link: &'static str,
}

/// The driver, while it starts.
pub struct Driver {
    raw: PVOID,
    registry_path: Vec<u16>,
}

impl Driver {
    /// A DWORD of the service's `Parameters` key; nothing if there is none.
    pub fn parameter(&self, name: &str) -> Option<u32> {
        let mut path = self.registry_path.clone();
        path.extend("\\Parameters".encode_utf16());
        let path = unicode(&path);
        let attributes = OBJECT_ATTRIBUTES {
            Length: size_of::<OBJECT_ATTRIBUTES>() as u32,
            RootDirectory: null_mut(),
            ObjectName: &path,
            Attributes: OBJ_CASE_INSENSITIVE,
            SecurityDescriptor: null_mut(),
            SecurityQualityOfService: null_mut(),
        };
        let mut key = null_mut();
        // SAFETY: the attributes and the name in them are alive during the call; `key` is writable.
        if unsafe { ffi::ZwOpenKey(&mut key, KEY_READ, &attributes) } < 0 {
            return None;
        }
        let name: Vec<u16> = name.encode_utf16().collect();
        let name = unicode(&name);
        let mut value = ffi::DwordValue::default();
        let mut needed = 0;
        // SAFETY: the key is open; `value` has the size announced; the name is alive during the call.
        let found = unsafe {
            ffi::ZwQueryValueKey(
                key,
                &name,
                KEY_VALUE_PARTIAL_INFORMATION,
                &mut value,
                size_of::<ffi::DwordValue>() as u32,
                &mut needed,
            )
        };
        // SAFETY: the key is ours and is not used again.
        unsafe { ffi::ZwClose(key) };
        (found >= 0 && value.Type == REG_DWORD && value.DataLength == 4).then_some(value.Data)
    }

    /// Creates the devices and their links, all or none; an NTSTATUS. A device's index is its place in `names`.
    pub fn create_devices(&mut self, names: &[Names]) -> i32 {
        for (index, names) in names.iter().enumerate() {
            let status = self.create_device(index, names);
            if status < 0 {
                log(format_args!("{}: cannot create the device: {status:#x}", names.device));
                delete_devices(self.raw);
                return status;
            }
        }
        status::SUCCESS
    }

    fn create_device(&mut self, index: usize, names: &Names) -> i32 {
        let name: Vec<u16> = names.device.encode_utf16().collect();
        let name = unicode(&name);
        let link: Vec<u16> = names.link.encode_utf16().collect();
        let link = unicode(&link);
        let mut device = null_mut();
        // SAFETY: the driver object is Wine's for this driver; the name is alive during the call; `device` is writable.
        let status = unsafe {
            ffi::IoCreateDevice(self.raw, size_of::<usize>() as u32, &name, FILE_DEVICE_UNKNOWN, 0, 0, &mut device)
        };
        if status < 0 {
            return status;
        }
        // SAFETY: the device was created with an extension of this size, which nothing else uses.
        let extension = unsafe { read::<*mut usize>(device, offset::EXTENSION) };
        // SAFETY: as above.
        unsafe { extension.write(index) };
        // SAFETY: the device is new; until its link exists nobody opens it.
        let flags = unsafe { read::<u32>(device, offset::FLAGS) };
        // SAFETY: as above.
        unsafe { write(device, offset::FLAGS, (flags | DO_BUFFERED_IO) & !DO_DEVICE_INITIALIZING) };
        // SAFETY: both names are alive during the call.
        unsafe { ffi::IoCreateSymbolicLink(&link, &name) }
    }
}

/// The index that a device of this driver was created with.
pub fn device_index(device: PVOID) -> usize {
    // SAFETY: an IRP's device is one of this driver's, each of which has a `usize` as its extension.
    let extension = unsafe { read::<*mut usize>(device, offset::EXTENSION) };
    // SAFETY: as above; it was written before the device could be opened.
    unsafe { extension.read() }
}

fn delete_devices(driver: PVOID) {
    for names in &crate::DEVICES {
        let link: Vec<u16> = names.link.encode_utf16().collect();
        let link = unicode(&link);
        // SAFETY: the name is alive during the call; a link that does not exist is an error, no more.
        unsafe { ffi::IoDeleteSymbolicLink(&link) };
    }
    loop {
        // SAFETY: the driver object is alive; the field heads the list of its devices.
        let device = unsafe { read::<PVOID>(driver, offset::FIRST_DEVICE) };
        if device.is_null() {
            return;
        }
        // SAFETY: the device is this driver's own, and deleted once: deleting takes it off the list.
        unsafe { ffi::IoDeleteDevice(device) };
    }
}

/// Reads a field.
///
/// # Safety
/// `object` is alive and has a `T` at `offset`.
unsafe fn read<T: Copy>(object: PVOID, offset: usize) -> T {
    // SAFETY: the caller's promise.
    unsafe { object.cast::<u8>().wrapping_add(offset).cast::<T>().read() }
}

/// Writes a field.
///
/// # Safety
/// `object` is alive, has a `T` at `offset`, and nobody uses it meanwhile.
unsafe fn write<T>(object: PVOID, offset: usize, value: T) {
    // SAFETY: the caller's promise.
    unsafe { object.cast::<u8>().wrapping_add(offset).cast::<T>().write(value) };
}

/// A view of the text, to be used while the text is alive. Names here are short: far below the 64 KiB limit.
fn unicode(text: &[u16]) -> UNICODE_STRING {
    let bytes = size_of_val(text) as u16;
    UNICODE_STRING { Length: bytes, MaximumLength: bytes, Buffer: text.as_ptr() }
}

unsafe extern "system" fn dispatch(_device: PVOID, irp: PVOID) -> i32 {
    // SAFETY: Wine has just given this IRP to this routine.
    let irp = unsafe { Irp::from_raw(irp) };
    crate::BRIDGE.dispatch(irp)
}

unsafe extern "system" fn unload(driver: PVOID) {
    crate::BRIDGE.stop();
    delete_devices(driver);
}

/// The driver's entry.
///
/// # Safety
/// Wine calls it once, with its object for this driver and the service's registry path.
#[unsafe(no_mangle)]
pub unsafe extern "system" fn DriverEntry(driver: PVOID, registry_path: *const UNICODE_STRING) -> i32 {
    // SAFETY: Wine's promise.
    let path = unsafe { &*registry_path };
    // SAFETY: a UNICODE_STRING's buffer has `Length` bytes.
    let path = unsafe { core::slice::from_raw_parts(path.Buffer, usize::from(path.Length) / 2) };
    for major in 0..MAJOR_FUNCTIONS {
        // SAFETY: the driver object is ours until this routine returns; it has 28 such entries.
        unsafe { write::<ffi::Dispatch>(driver, offset::MAJOR_FUNCTION + major * 8, dispatch) };
    }
    // SAFETY: as above.
    unsafe { write::<ffi::Unload>(driver, offset::UNLOAD, unload) };
    crate::start(&mut Driver { raw: driver, registry_path: path.to_vec() })
}
