//! WDFDEVICE: function devices and control devices.

use super::abi::{
    DEVICE_DOES_NOT_EXIST, Handle, INVALID_DEVICE_REQUEST, INVALID_PARAMETER, NtStatus, OBJECT_NAME_COLLISION,
    RawAttributes, SUCCESS,
};
use super::attributes::{self, Attributes, check_size};
use super::bind::{G, enter};
use super::hooks::DeviceHooks;
use super::init::{self, DeviceInit, FileConfig, PnpCallbacks};
use super::irp::{self, Dev};
use super::object::{self, Body, Kind, Ref, lock};
use super::sync::CallbackLock;
use super::table::{Entry, entries};
use super::{driver, interface, pnp, text};
use crate::fault;
use crate::io;
use crate::irql::{DISPATCH, PASSIVE};
use crate::nt::{DEVICE_OBJECT, FILE_OBJECT, UNICODE_STRING, dev_flags};
use crate::report::{Rule, stop};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

/// WDFDEVICE. The driver may delete control devices only; [`driver_delete`] checks.
pub static DEVICE: Kind = Kind::new("WDFDEVICE", true, true, true);

const NOT_CONTROL: Rule = Rule::new(
    "wdf.not-deletable",
    "WDK: WdfObjectDelete (the framework deletes device objects other than control devices)",
);
const ADD_ONLY: Rule = Rule::new(
    "wdf.bad-device-init",
    "WDK: WdfDeviceCreate (an init of EvtDriverDeviceAdd creates one device, in that callback)",
);
const FINISH: Rule =
    Rule::new("wdf.control-device-finish", "WDK: WdfControlFinishInitializing (once, for a control device)");

static LIST: Mutex<Vec<Ref>> = Mutex::new(Vec::new());

/// Queues of a device by role.
#[derive(Debug, Default)]
pub struct Queues {
    /// All, in order of creation.
    pub all: Vec<Ref>,
    /// The default queue.
    pub default: Option<Ref>,
    /// WdfDeviceConfigureRequestDispatching.
    pub by_type: HashMap<u32, Ref>,
}

/// The framework's part of a device.
pub struct Device {
    /// DEVICE_OBJECT.
    pub wdm: Dev,
    /// The PDO of a function device.
    pub pdo: Option<Dev>,
    /// What it is attached to.
    pub lower: Option<Dev>,
    /// WdfDeviceInitAssignName.
    pub name: Option<String>,
    /// Buffered (2), direct (3) or neither (1).
    pub io_type: u32,
    /// PnP and power callbacks.
    pub pnp: PnpCallbacks,
    /// File object configuration.
    pub file: Option<(FileConfig, Attributes)>,
    /// Attributes of request objects.
    pub request: Attributes,
    /// EvtIoInCallerContext or 0.
    pub in_caller_context: usize,
    /// WdfFdoInitSetFilter.
    pub filter: bool,
    /// The lock of WdfSynchronizationScopeDevice.
    pub callback_lock: Option<Arc<CallbackLock>>,
    /// Queues.
    pub queues: Mutex<Queues>,
    /// File objects by FILE_OBJECT address.
    pub files: Mutex<HashMap<usize, Ref>>,
    /// Class extensions' hooks.
    pub hooks: Mutex<Vec<Arc<dyn DeviceHooks>>>,
    /// Name of the class extension that configured the init.
    pub class: Option<&'static str>,
    /// PnP state.
    pub state: Mutex<pnp::State>,
    /// Whether power-managed queues may dispatch.
    pub powered: AtomicBool,
    /// Interfaces and symbolic links.
    pub names: Mutex<interface::Names>,
    /// Characteristics.
    pub characteristics: AtomicU32,
    finished: AtomicBool,
}

impl Body for Device {
    fn dispose(&self, me: Ref) {
        interface::remove_all(self);
        super::queue::device_gone(me, self);
        lock(&LIST).retain(|d| !std::ptr::eq(*d, me));
    }
    fn destroy(&self, _me: Ref) {
        self.wdm.set_handle(0);
        if let Some(l) = self.lower {
            l.detach();
        }
        self.wdm.delete();
    }
}

/// The device behind a handle.
#[must_use]
pub fn expect(handle: Handle) -> (Ref, &'static Device) {
    let o = object::expect(handle, &DEVICE);
    (o, o.body())
}

/// Hangs a class extension's hooks on a device.
pub fn add_hooks(device: Ref, hooks: Arc<dyn DeviceHooks>) {
    lock(&device.body::<Device>().hooks).push(hooks);
}

/// Whether NetDeviceInitConfig (or another class extension's) was called on the device's init.
#[must_use]
pub fn class_of(device: Ref) -> Option<&'static str> {
    device.body::<Device>().class
}

/// Number of devices.
#[must_use]
pub fn count() -> usize {
    lock(&LIST).len()
}

/// All devices.
#[must_use]
pub fn all() -> Vec<Ref> {
    lock(&LIST).clone()
}

/// The function device on top of a PDO.
#[must_use]
pub fn of_pdo(pdo: *mut DEVICE_OBJECT) -> Option<Ref> {
    lock(&LIST).iter().copied().find(|d| d.body::<Device>().pdo == Some(Dev(pdo)))
}

/// The device of one of this driver's device objects.
#[must_use]
pub fn of_wdm(device: *mut DEVICE_OBJECT) -> Option<Ref> {
    lock(&LIST).iter().copied().find(|d| d.body::<Device>().wdm == Dev(device))
}

/// EvtDriverDeviceAdd has succeeded.
pub(super) fn added(device: Ref) {
    device.body::<Device>().wdm.change_flags(0, dev_flags::DEVICE_INITIALIZING);
}

/// EvtDriverDeviceAdd has failed after it created a device, or the device has been removed.
pub(super) fn destroy(device: Ref) {
    object::delete_if_live(device);
}

/// At unload: control devices that the driver has left to the framework.
pub(super) fn remove_control_devices() {
    for d in all() {
        if d.body::<Device>().pdo.is_none() {
            destroy(d);
        }
    }
}

/// WdfObjectDelete on a device. A control device goes at PASSIVE_LEVEL.
pub(super) fn check_driver_delete(o: Ref) {
    crate::irql::require_at_most(PASSIVE);
    if o.body::<Device>().pdo.is_some() && lock(&o.body::<Device>().state).started {
        stop(NOT_CONTROL, &format!("{o:?} is not a control device"));
    }
}

unsafe extern "win64" fn create(
    g: G,
    place: *mut *mut DeviceInit,
    a: *const RawAttributes,
    out: *mut Handle,
) -> NtStatus {
    let _call = enter(g, "WdfDeviceCreate", PASSIVE);
    if place.is_null() {
        stop(ADD_ONLY, "DeviceInit is NULL");
    }
    // SAFETY: the driver's variable and structures.
    let (raw, a) = unsafe { (place.read_unaligned(), attributes::read(a)) };
    // SAFETY: this thread's init.
    let i = unsafe { init::get(raw) };
    if let Err(s) = a.no_parent() {
        return s;
    }
    let Some(parent) = driver::current() else { return DEVICE_DOES_NOT_EXIST };
    if fault::fails("WdfDeviceCreate") {
        return super::abi::INSUFFICIENT_RESOURCES;
    }
    // SAFETY: the driver object that WdfDriverCreate was given.
    let made = unsafe {
        irp::create_device(driver::wdm_object(), i.name.as_deref(), i.device_type, i.characteristics, i.exclusive)
    };
    let wdm = match made {
        Ok(d) => d,
        Err(s) => return s,
    };
    let io_flag = match i.io_type {
        3 => dev_flags::DIRECT_IO,
        2 => dev_flags::BUFFERED_IO,
        _ => 0,
    };
    wdm.change_flags(io_flag | if i.pdo.is_some() { dev_flags::POWER_PAGABLE } else { 0 }, 0);
    let pdo = i.pdo.map(|p| Dev(p as *mut DEVICE_OBJECT));
    let lower = pdo.and_then(|p| wdm.attach_to(p));
    let sync = if a.synchronization > 1 { a.synchronization } else { parent.synchronization() };
    let passive = (if a.execution > 1 { a.execution } else { parent.execution() }) == 2;
    let Some(i) = init::consume(raw) else { return INVALID_PARAMETER };
    let body = Device {
        wdm,
        pdo,
        lower,
        name: i.name.clone(),
        io_type: i.io_type,
        pnp: i.pnp,
        file: i.file,
        request: i.request,
        in_caller_context: i.in_caller_context,
        filter: i.filter,
        callback_lock: (sync == 2).then(|| CallbackLock::new(passive)),
        queues: Mutex::default(),
        files: Mutex::default(),
        hooks: Mutex::default(),
        class: i.claimed.as_ref().map(|c| c.name()),
        state: Mutex::default(),
        powered: AtomicBool::new(pdo.is_none()),
        names: Mutex::default(),
        characteristics: AtomicU32::new(i.characteristics),
        finished: AtomicBool::new(false),
    };
    let o = match object::create(&DEVICE, &a, Some(parent), Box::new(body)) {
        Ok(o) => o,
        Err(s) => return s,
    };
    wdm.set_handle(o.handle());
    lock(&LIST).push(o);
    if let Some(c) = &i.claimed {
        c.device_created(o);
    }
    // SAFETY: the driver's variables.
    unsafe {
        place.write_unaligned(std::ptr::null_mut());
        text::put(out, o.handle());
    }
    SUCCESS
}

unsafe extern "win64" fn finish_initializing(g: G, device: Handle) {
    let _call = enter(g, "WdfControlFinishInitializing", PASSIVE);
    let (o, d) = expect(device);
    if d.pdo.is_some() || d.finished.swap(true, Ordering::AcqRel) {
        stop(FINISH, &format!("{o:?} is not a control device, or was finished before"));
    }
    d.wdm.change_flags(0, dev_flags::DEVICE_INITIALIZING);
}

unsafe extern "win64" fn from_wdm(g: G, device: *mut DEVICE_OBJECT) -> Handle {
    let _call = enter(g, "WdfWdmDeviceGetWdfDeviceHandle", DISPATCH);
    of_wdm(device).map_or(0, |o| o.handle())
}

unsafe extern "win64" fn wdm_object(g: G, device: Handle) -> *mut DEVICE_OBJECT {
    let _call = enter(g, "WdfDeviceWdmGetDeviceObject", DISPATCH);
    object::expect_kept(device, &DEVICE).body::<Device>().wdm.0
}

unsafe extern "win64" fn attached(g: G, device: Handle) -> *mut DEVICE_OBJECT {
    let _call = enter(g, "WdfDeviceWdmGetAttachedDevice", DISPATCH);
    expect(device).1.lower.map_or(std::ptr::null_mut(), |d| d.0)
}

unsafe extern "win64" fn physical(g: G, device: Handle) -> *mut DEVICE_OBJECT {
    let _call = enter(g, "WdfDeviceWdmGetPhysicalDevice", DISPATCH);
    expect(device).1.pdo.map_or(std::ptr::null_mut(), |d| d.0)
}

unsafe extern "win64" fn get_driver(g: G, device: Handle) -> Handle {
    let _call = enter(g, "WdfDeviceGetDriver", DISPATCH);
    let _device = object::expect_kept(device, &DEVICE);
    driver::current().map_or(0, |o| o.handle())
}

unsafe extern "win64" fn set_pnp_capabilities(g: G, device: Handle, c: *const u8) {
    let _call = enter(g, "WdfDeviceSetPnpCapabilities", DISPATCH);
    let (_, d) = expect(device);
    // SAFETY: the driver's structure; its size is checked first.
    let caps = unsafe {
        check_size(c, 48, "WDF_DEVICE_PNP_CAPABILITIES");
        c.cast::<[u32; 12]>().read_unaligned()
    };
    lock(&d.state).pnp_capabilities = caps;
}

unsafe extern "win64" fn set_power_capabilities(g: G, device: Handle, c: *const u8) {
    let _call = enter(g, "WdfDeviceSetPowerCapabilities", DISPATCH);
    let _device = expect(device);
    // SAFETY: the driver's structure.
    unsafe { check_size(c, 80, "WDF_DEVICE_POWER_CAPABILITIES") };
}

unsafe extern "win64" fn get_state(g: G, device: Handle, s: *mut [u32; 8]) {
    let _call = enter(g, "WdfDeviceGetDeviceState", DISPATCH);
    let (_, d) = expect(device);
    // SAFETY: the driver's structure: 28 bytes before KMDF 1.33, 32 then.
    unsafe {
        let size = if super::bind::minor() >= 33 { 32 } else { 28 };
        check_size(s.cast(), size, "WDF_DEVICE_STATE");
        let v = lock(&d.state).device_state;
        std::ptr::copy_nonoverlapping(v.as_ptr(), s.cast::<u32>().add(1), size / 4 - 1);
    }
}

unsafe extern "win64" fn set_state(g: G, device: Handle, s: *const [u32; 8]) {
    let _call = enter(g, "WdfDeviceSetDeviceState", DISPATCH);
    let (_, d) = expect(device);
    // SAFETY: as in get_state.
    unsafe {
        let size = if super::bind::minor() >= 33 { 32 } else { 28 };
        check_size(s.cast(), size, "WDF_DEVICE_STATE");
        let mut v = [2u32; 7];
        std::ptr::copy_nonoverlapping(s.cast::<u32>().add(1), v.as_mut_ptr(), size / 4 - 1);
        lock(&d.state).device_state = v;
    }
}

unsafe extern "win64" fn set_failed(g: G, device: Handle, action: u32) {
    let _call = enter(g, "WdfDeviceSetFailed", DISPATCH);
    let (_, d) = expect(device);
    if !(1..=2).contains(&action) {
        stop(ADD_ONLY, &format!("WDF_DEVICE_FAILED_ACTION {action}"));
    }
    lock(&d.state).failed = action;
}

unsafe extern "win64" fn set_static_stop_remove(g: G, device: Handle, on: u8) {
    let _call = enter(g, "WdfDeviceSetStaticStopRemove", DISPATCH);
    lock(&expect(device).1.state).stoppable = on != 0;
}

unsafe extern "win64" fn characteristics(g: G, device: Handle) -> u32 {
    let _call = enter(g, "WdfDeviceGetCharacteristics", DISPATCH);
    expect(device).1.characteristics.load(Ordering::Relaxed)
}

unsafe extern "win64" fn set_characteristics(g: G, device: Handle, c: u32) {
    let _call = enter(g, "WdfDeviceSetCharacteristics", DISPATCH);
    expect(device).1.characteristics.store(c, Ordering::Relaxed);
}

unsafe extern "win64" fn retrieve_name(g: G, device: Handle, string: Handle) -> NtStatus {
    let _call = enter(g, "WdfDeviceRetrieveDeviceName", PASSIVE);
    let (_, d) = expect(device);
    let Some(n) = &d.name else { return INVALID_DEVICE_REQUEST };
    if fault::fails("WdfDeviceRetrieveDeviceName") {
        return super::abi::INSUFFICIENT_RESOURCES;
    }
    super::string::assign(string, n);
    SUCCESS
}

unsafe extern "win64" fn file_object(g: G, device: Handle, file: *mut FILE_OBJECT) -> Handle {
    let _call = enter(g, "WdfDeviceGetFileObject", DISPATCH);
    let (_, d) = expect(device);
    lock(&d.files).get(&file.addr()).map_or(0, |f| f.handle())
}

unsafe extern "win64" fn create_symbolic_link(g: G, device: Handle, link: *const UNICODE_STRING) -> NtStatus {
    let _call = enter(g, "WdfDeviceCreateSymbolicLink", PASSIVE);
    let (_, d) = expect(device);
    // SAFETY: the driver's string.
    let link = unsafe { text::required(link, "SymbolicLinkName") };
    let Some(target) = interface::object_name(d) else { return INVALID_DEVICE_REQUEST };
    let mut names = lock(&d.names);
    if names.link.is_some() {
        return OBJECT_NAME_COLLISION;
    }
    if fault::fails("WdfDeviceCreateSymbolicLink") {
        return super::abi::INSUFFICIENT_RESOURCES;
    }
    match io::create_symbolic_link(&link, &target) {
        Ok(()) => {
            names.link = Some(link);
            SUCCESS
        }
        Err(s) => s,
    }
}

/// This file's part of the table.
#[must_use]
pub fn table_entries() -> Vec<Entry> {
    entries! {
        "WdfDeviceCreate" => create,
        "WdfControlFinishInitializing" => finish_initializing,
        "WdfWdmDeviceGetWdfDeviceHandle" => from_wdm,
        "WdfDeviceWdmGetDeviceObject" => wdm_object,
        "WdfDeviceWdmGetAttachedDevice" => attached,
        "WdfDeviceWdmGetPhysicalDevice" => physical,
        "WdfDeviceGetDriver" => get_driver,
        "WdfDeviceSetPnpCapabilities" => set_pnp_capabilities,
        "WdfDeviceSetPowerCapabilities" => set_power_capabilities,
        "WdfDeviceGetDeviceState" => get_state,
        "WdfDeviceSetDeviceState" => set_state,
        "WdfDeviceSetFailed" => set_failed,
        "WdfDeviceSetStaticStopRemove" => set_static_stop_remove,
        "WdfDeviceGetCharacteristics" => characteristics,
        "WdfDeviceSetCharacteristics" => set_characteristics,
        "WdfDeviceRetrieveDeviceName" => retrieve_name,
        "WdfDeviceGetFileObject" => file_object,
        "WdfDeviceCreateSymbolicLink" => create_symbolic_link,
    }
}
