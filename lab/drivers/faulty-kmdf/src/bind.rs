//! The image's entry: binding to KMDF and NetAdapterCx, the driver object, unload (nt-abi.md section 1).

use crate::wdf::{
    self, Attributes, BindInfo, ClassBindInfo, DriverConfig, GLOBALS, Handle, NtStatus, UnicodeString, WdfVersionBind,
    WdfVersionBindClass, WdfVersionUnbind, WdfVersionUnbindClass,
};
use crate::{SUCCESS, device, exercise, fault, faults, net, wide};
use core::ffi::c_void;
use core::ptr::{null, null_mut};
use core::sync::atomic::{AtomicUsize, Ordering};

static COMPONENT: &[u16] = wide!("KmdfLibrary\0");
static CLASS: &[u16] = wide!("NetAdapterCx\0");
static NO_CLASS: &[u16] = wide!("NoSuchClassCx\0");

static mut BIND: BindInfo = BindInfo {
    size: 48,
    component: COMPONENT.as_ptr(),
    version: [1, 15, 0],
    func_count: 444,
    func_table: &raw mut wdf::TABLE,
    module: null_mut(),
};
static mut CLASS_BIND: ClassBindInfo = ClassBindInfo {
    size: 80,
    name: CLASS.as_ptr(),
    version: [2, 0, 0],
    table: (&raw mut net::TABLE).cast(),
    count: net::COUNT as u32,
    globals: &raw mut net::GLOBALS,
    rest: [0; 3],
};
static mut PATH: UnicodeString = UnicodeString { length: 0, maximum: 0, buffer: null() };
static SAVED_UNLOAD: AtomicUsize = AtomicUsize::new(0);
/// WDFDRIVER.
pub static DRIVER: AtomicUsize = AtomicUsize::new(0);

/// # Safety
/// The loader calls it with a driver object and the service's registry path.
#[unsafe(no_mangle)]
pub unsafe extern "system" fn FxDriverEntry(driver: *mut c_void, path: *const UnicodeString) -> NtStatus {
    let mut g = null_mut();
    // SAFETY: one thread; the order of nt-abi.md section 1. DRIVER_OBJECT.DriverUnload is at 104, DisplaceDriverUnload at 48.
    unsafe {
        PATH = *path;
        spoil();
        let s = WdfVersionBind(driver, path, &raw mut BIND, &raw mut g);
        if s < 0 {
            return s;
        }
        GLOBALS.store(g, Ordering::Relaxed);
        let s = WdfVersionBindClass(&raw mut BIND, g, &raw mut CLASS_BIND);
        if s < 0 {
            WdfVersionUnbind(&raw const PATH, &raw mut BIND, g);
            return s;
        }
        let s = driver_entry(driver, path);
        if s < 0 {
            WdfVersionUnbindClass(&raw mut BIND, g, &raw mut CLASS_BIND);
            WdfVersionUnbind(&raw const PATH, &raw mut BIND, g);
            return s;
        }
        if g.cast::<u8>().add(48).read() != 0 {
            let place = driver.cast::<u8>().add(104).cast::<usize>();
            SAVED_UNLOAD.store(place.read(), Ordering::Relaxed);
            place.write(unload as *const () as usize);
        }
    }
    SUCCESS
}

/// The faults of the bind records.
unsafe fn spoil() {
    // SAFETY: before the records are used.
    unsafe {
        match fault() {
            // wdf.bad-bind: no released version has 443 functions.
            101 => BIND.func_count = 443,
            // wdf.bad-class-bind
            102 => CLASS_BIND.size = 72,
            // wdf.unknown-class
            103 => CLASS_BIND.name = NO_CLASS.as_ptr(),
            // netcx.bad-bind: more functions than version 2.0 has.
            104 => CLASS_BIND.count = 100,
            // netcx.offload-for-2.0-only: bound as a client of 2.1.
            707 => CLASS_BIND.version = [2, 1, 0],
            _ => {}
        }
    }
}

/// Unbinds from NetAdapterCx.
pub fn unbind_class() {
    // SAFETY: the record of the bind.
    unsafe { WdfVersionUnbindClass(&raw mut BIND, wdf::globals(), &raw mut CLASS_BIND) }
}

unsafe extern "system" fn unload(driver: *mut c_void) {
    let saved = SAVED_UNLOAD.load(Ordering::Relaxed);
    // SAFETY: the framework's DriverUnload, then class and framework are unbound.
    unsafe {
        if saved != 0 {
            core::mem::transmute::<usize, unsafe extern "system" fn(*mut c_void)>(saved)(driver);
        }
        // 111, wdf.unbind-order: the class stays bound.
        if fault() != 111 {
            unbind_class();
        }
        WdfVersionUnbind(&raw const PATH, &raw mut BIND, wdf::globals());
    }
}

fn driver_entry(driver: *mut c_void, path: *const UnicodeString) -> NtStatus {
    let mut config = DriverConfig {
        size: 32,
        device_add: device::add as *const () as usize,
        unload: evt_unload as *const () as usize,
        flags: 0,
        tag: u32::from_le_bytes(*b"flty"),
    };
    let mut own = unsafe {
        // SAFETY: the loader's string.
        *path
    };
    match fault() {
        // wdf.bad-globals
        105 => GLOBALS.store((&raw mut config).cast(), Ordering::Relaxed),
        // wdf.bad-driver-config
        106 => config.device_add = 0,
        // wdf.bad-config-size
        107 => config.size = 24,
        // wdf.bad-string: half a character.
        108 => own.length -= 1,
        _ => {}
    }
    let mut handle: Handle = 0;
    let mut create =
        || wdf::driver_create(driver, &raw const own, null::<Attributes>(), &raw const config, &raw mut handle);
    let s = create();
    if s < 0 {
        return s;
    }
    if fault() == 109 {
        // wdf.driver-created-twice
        create();
    }
    DRIVER.store(handle, Ordering::Relaxed);
    faults::bound(handle);
    exercise::driver(handle);
    SUCCESS
}

extern "system" fn evt_unload(_driver: Handle) {
    faults::unloading();
}
