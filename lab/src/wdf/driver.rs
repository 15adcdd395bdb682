//! WDFDRIVER.

use super::abi::{Handle, INVALID_DEVICE_STATE, NtStatus, RawAttributes, SUCCESS, success};
use super::attributes::{self, check_size};
use super::bind::{G, enter, globals};
use super::object::{self, Body, Kind, Ref, lock};
use super::sync::driver_call;
use super::table::{Entry, entries};
use super::{device, dispatch, init, text};
use crate::fault;
use crate::irql::{DISPATCH, PASSIVE};
use crate::nt::{DEVICE_OBJECT, DRIVER_OBJECT, OwnedUnicode, UNICODE_STRING};
use crate::report::{InCall, Rule, record, stop};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// WDFDRIVER.
pub static DRIVER: Kind = Kind::new("WDFDRIVER", false, true, true);

const TWICE: Rule = Rule::new("wdf.driver-created-twice", "WDK: WdfDriverCreate (called once, from DriverEntry)");
const BAD_DRIVER: Rule = Rule::new("wdf.bad-driver-config", "WDK: WDF_DRIVER_CONFIG");
const MINIPORT: Rule = Rule::new(
    "wdf.miniport-unload",
    "WDK: WdfDriverMiniportUnload (for a driver that set WdfDriverInitNoDispatchOverride, which has to call it)",
);
const NO_DEVICE: Rule =
    Rule::new("wdf.device-add-without-device", "WDK: EvtDriverDeviceAdd (create a device object or fail)");

static CURRENT: AtomicUsize = AtomicUsize::new(0);
static PATH: Mutex<String> = Mutex::new(String::new());

/// WDF_DRIVER_CONFIG.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Config {
    size: u32,
    device_add: usize,
    unload: usize,
    flags: u32,
    tag: u32,
}
const _: () = assert!(size_of::<Config>() == 32);

const NON_PNP: u32 = 1;
const NO_DISPATCH_OVERRIDE: u32 = 2;

/// The framework's part of the driver object.
#[derive(Debug)]
pub struct Driver {
    config: Config,
    /// DRIVER_OBJECT.
    pub object: usize,
    path: Mutex<OwnedUnicode>,
}
impl Body for Driver {}

/// The driver object, if WdfDriverCreate has run.
#[must_use]
pub fn current() -> Option<Ref> {
    object::find(CURRENT.load(Ordering::Acquire))
}

/// WdfVersionBind's registry path: the service key.
pub(super) fn remember_service_path(path: *const UNICODE_STRING) {
    // SAFETY: the driver's string, not null as WdfVersionBind has checked.
    *lock(&PATH) = unsafe { text::string(path) }.unwrap_or_default();
}

/// The service key's name.
#[must_use]
pub fn service_path() -> String {
    lock(&PATH).clone()
}

unsafe extern "win64" fn create(
    g: G,
    driver: *mut DRIVER_OBJECT,
    path: *const UNICODE_STRING,
    a: *const RawAttributes,
    config: *const Config,
    out: *mut Handle,
) -> NtStatus {
    let _call = enter(g, "WdfDriverCreate", PASSIVE);
    // SAFETY: the driver's structures; sizes are checked first.
    let (a, config, path) = unsafe {
        check_size(config.cast(), 32, "WDF_DRIVER_CONFIG");
        (attributes::read(a), config.read_unaligned(), text::required(path, "RegistryPath"))
    };
    if driver.is_null() {
        stop(BAD_DRIVER, "DriverObject is NULL");
    }
    if CURRENT.load(Ordering::Acquire) != 0 {
        stop(TWICE, "a driver object exists already");
    }
    if config.flags & NON_PNP != 0 && config.device_add != 0 {
        stop(BAD_DRIVER, "WdfDriverInitNonPnpDriver with EvtDriverDeviceAdd");
    }
    if config.flags & NON_PNP == 0 && config.device_add == 0 {
        stop(BAD_DRIVER, "EvtDriverDeviceAdd is NULL without WdfDriverInitNonPnpDriver");
    }
    if let Err(s) = a.no_parent() {
        return s;
    }
    if fault::fails("WdfDriverCreate") {
        return super::abi::INSUFFICIENT_RESOURCES;
    }
    let body = Driver { config, object: driver.addr(), path: Mutex::new(OwnedUnicode::new(&path)) };
    let o = match object::create(&DRIVER, &a, None, Box::new(body)) {
        Ok(o) => o,
        Err(s) => return s,
    };
    CURRENT.store(o.handle(), Ordering::Release);
    // SAFETY: the lab's driver object, not yet shared with another thread; g was checked by `enter`.
    unsafe {
        (*g).driver = o.handle();
        if config.tag != 0 {
            (*g).tag = config.tag;
        }
        if config.flags & NO_DISPATCH_OVERRIDE == 0 {
            for f in &mut (*driver).MajorFunction {
                *f = Some(dispatch::entry);
            }
            if config.flags & NON_PNP == 0
                && let Some(e) = (*driver).DriverExtension.as_mut()
            {
                e.AddDevice = Some(add_device);
            }
            if config.flags & NON_PNP == 0 || config.unload != 0 {
                (*driver).DriverUnload = Some(unload);
                (*g).displace_unload = 1;
            }
        }
        text::put_optional(out, o.handle());
    }
    SUCCESS
}

unsafe extern "win64" fn add_device(_driver: *mut DRIVER_OBJECT, pdo: *mut DEVICE_OBJECT) -> NtStatus {
    let _call = InCall::enter("AddDevice");
    let Some(o) = current() else { return INVALID_DEVICE_STATE };
    let d: &Driver = o.body();
    let init = init::allocate(Some(pdo));
    let before = device::count();
    // SAFETY: EvtDriverDeviceAdd of the driver's config, with its prototype.
    let status = unsafe {
        let f = std::mem::transmute::<usize, unsafe extern "win64" fn(Handle, *mut init::DeviceInit) -> NtStatus>(
            d.config.device_add,
        );
        driver_call("EvtDriverDeviceAdd", || f(o.handle(), init))
    };
    // Unused: the framework frees it.
    let _ = init::consume(init);
    let created = device::of_pdo(pdo);
    match created {
        Some(dev) if success(status) => device::added(dev),
        Some(dev) => device::destroy(dev),
        None if success(status) && device::count() == before => {
            record(NO_DEVICE, "EvtDriverDeviceAdd succeeded without a device");
        }
        None => {}
    }
    status
}

/// DriverUnload as the framework sets it.
unsafe extern "win64" fn unload(_driver: *mut DRIVER_OBJECT) {
    let _call = InCall::enter("DriverUnload");
    let Some(o) = current() else { return };
    let d: &Driver = o.body();
    if d.config.unload != 0 {
        // SAFETY: EvtDriverUnload of the driver's config.
        unsafe {
            let f = std::mem::transmute::<usize, super::abi::HandleCallback>(d.config.unload);
            driver_call("EvtDriverUnload", || f(o.handle()));
        }
    }
    device::remove_control_devices();
    delete_driver(o);
}

fn delete_driver(o: Ref) {
    CURRENT.store(0, Ordering::Release);
    object::delete_if_live(o);
}

/// WdfDriverMiniportUnload: what the framework's DriverUnload does for others.
unsafe extern "win64" fn miniport_unload(g: G, driver: Handle) {
    let _call = enter(g, "WdfDriverMiniportUnload", PASSIVE);
    let o = object::expect(driver, &DRIVER);
    if o.body::<Driver>().config.flags & NO_DISPATCH_OVERRIDE == 0 {
        stop(MINIPORT, "the framework has this driver's unload: WdfDriverInitNoDispatchOverride was not set");
    }
    device::remove_control_devices();
    delete_driver(o);
}

/// WdfVersionUnbind: DriverEntry failed after WdfDriverCreate, or unload has run already.
pub(super) fn client_gone() {
    if let Some(o) = current() {
        if o.body::<Driver>().config.flags & NO_DISPATCH_OVERRIDE != 0 {
            record(MINIPORT, "WdfDriverMiniportUnload was not called before WdfVersionUnbind");
        }
        device::remove_control_devices();
        delete_driver(o);
    }
    super::quiesce();
    init::report_leaks();
}

unsafe extern "win64" fn registry_path(g: G, driver: Handle) -> *mut u16 {
    let _call = enter(g, "WdfDriverGetRegistryPath", PASSIVE);
    let d: &Driver = object::expect(driver, &DRIVER).body();
    lock(&d.path).unicode().Buffer
}

unsafe extern "win64" fn driver_object(g: G, driver: Handle) -> usize {
    let _call = enter(g, "WdfDriverWdmGetDriverObject", DISPATCH);
    object::expect(driver, &DRIVER).body::<Driver>().object
}

unsafe extern "win64" fn driver_handle(g: G, driver: *mut DRIVER_OBJECT) -> Handle {
    let _call = enter(g, "WdfWdmDriverGetWdfDriverHandle", DISPATCH);
    current().filter(|o| o.body::<Driver>().object == driver.addr()).map_or(0, |o| o.handle())
}

unsafe extern "win64" fn is_version_available(g: G, driver: Handle, p: *const [u32; 3]) -> u8 {
    let _call = enter(g, "WdfDriverIsVersionAvailable", PASSIVE);
    let _driver = object::expect(driver, &DRIVER);
    // SAFETY: the driver's structure; its size is checked first.
    let [_, major, minor] = unsafe {
        check_size(p.cast(), 12, "WDF_DRIVER_VERSION_AVAILABLE_PARAMS");
        p.read_unaligned()
    };
    u8::from(major == 1 && minor <= 33)
}

unsafe extern "win64" fn version_string(g: G, driver: Handle, string: Handle) -> NtStatus {
    let _call = enter(g, "WdfDriverRetrieveVersionString", PASSIVE);
    let _driver = object::expect(driver, &DRIVER);
    if fault::fails("WdfDriverRetrieveVersionString") {
        return super::abi::INSUFFICIENT_RESOURCES;
    }
    super::string::assign(string, "Kernel Mode Driver Framework version 1.33.0");
    SUCCESS
}

unsafe extern "win64" fn break_point(g: G) {
    const RULE: Rule = Rule::new(
        "wdf.debug-break",
        "WDK: WdfVerifierDbgBreakPoint (breaks into the debugger where the verifier is on)",
    );
    let _call = enter(g, "WdfVerifierDbgBreakPoint", 31);
    record(RULE, "the driver asked for a break");
}

unsafe extern "win64" fn bug_check(g: G, code: u32, a: u64, b: u64, c: u64, d: u64) {
    const RULE: Rule = Rule::new("wdf.bug-check", "WDK: WdfVerifierKeBugCheck");
    let _call = enter(g, "WdfVerifierKeBugCheck", 31);
    stop(RULE, &format!("code {code:#x} ({a:#x}, {b:#x}, {c:#x}, {d:#x})"));
}

/// The DRIVER_OBJECT, or null before WdfDriverCreate.
#[must_use]
pub fn wdm_object() -> *mut DRIVER_OBJECT {
    current().map_or(std::ptr::null_mut(), |o| o.body::<Driver>().object as *mut DRIVER_OBJECT)
}

/// The driver's pool tag.
#[must_use]
pub fn pool_tag() -> u32 {
    let g = globals();
    // SAFETY: null or the live globals.
    unsafe { g.as_ref() }.map_or(0, |g| g.tag)
}

/// This file's part of the table.
#[must_use]
pub fn table_entries() -> Vec<Entry> {
    entries! {
        "WdfDriverCreate" => create,
        "WdfDriverMiniportUnload" => miniport_unload,
        "WdfDriverGetRegistryPath" => registry_path,
        "WdfDriverWdmGetDriverObject" => driver_object,
        "WdfWdmDriverGetWdfDriverHandle" => driver_handle,
        "WdfDriverIsVersionAvailable" => is_version_available,
        "WdfDriverRetrieveVersionString" => version_string,
        "WdfVerifierDbgBreakPoint" => break_point,
        "WdfVerifierKeBugCheck" => bug_check,
    }
}
