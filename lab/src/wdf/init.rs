//! WDFDEVICE_INIT: what a driver asks for before WdfDeviceCreate.

use super::abi::{Handle, INVALID_PARAMETER, NtStatus, OBJECT_NAME_INVALID, RawAttributes, SUCCESS};
use super::attributes::{self, Attributes, check_size};
use super::bind::{G, enter};
use super::hooks::InitRules;
use super::object::lock;
use super::table::{Entry, entries};
use super::text;
use crate::fault;
use crate::irql::PASSIVE;
use crate::nt::{DEVICE_OBJECT, GUID, UNICODE_STRING};
use crate::report::{Rule, record, stop};
use std::collections::HashSet;
use std::sync::{Arc, Mutex};

const BAD_INIT: Rule = Rule::new(
    "wdf.bad-device-init",
    "WDK: WDFDEVICE_INIT is valid until WdfDeviceCreate succeeds or WdfDeviceInitFree; not for another use",
);
const INIT_LEAK: Rule = Rule::new(
    "wdf.device-init-leak",
    "WDK: WdfControlDeviceInitAllocate (call WdfDeviceInitFree if WdfDeviceCreate is not called or fails)",
);
const FILE_CLASS: Rule = Rule::new("wdf.bad-file-object-class", "WDK: WDF_FILEOBJECT_CONFIG, WDF_FILEOBJECT_CLASS");
const BAD_SDDL: Rule = Rule::new("wdf.bad-sddl", "WDK: WdfDeviceInitAssignSDDLString; SDDL for Device Objects");
const CONTROL_ONLY: Rule =
    Rule::new("wdf.not-for-control-device", "WDK: Using Control Device Objects (no PnP and power callbacks)");

/// WDF_PNPPOWER_EVENT_CALLBACKS, as addresses.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct PnpCallbacks {
    /// Size.
    pub size: u32,
    /// EvtDeviceD0Entry.
    pub d0_entry: usize,
    /// EvtDeviceD0EntryPostInterruptsEnabled.
    pub d0_entry_post: usize,
    /// EvtDeviceD0Exit.
    pub d0_exit: usize,
    /// EvtDeviceD0ExitPreInterruptsDisabled.
    pub d0_exit_pre: usize,
    /// EvtDevicePrepareHardware.
    pub prepare_hardware: usize,
    /// EvtDeviceReleaseHardware.
    pub release_hardware: usize,
    /// EvtDeviceSelfManagedIoCleanup.
    pub smio_cleanup: usize,
    /// EvtDeviceSelfManagedIoFlush.
    pub smio_flush: usize,
    /// EvtDeviceSelfManagedIoInit.
    pub smio_init: usize,
    /// EvtDeviceSelfManagedIoSuspend.
    pub smio_suspend: usize,
    /// EvtDeviceSelfManagedIoRestart.
    pub smio_restart: usize,
    /// EvtDeviceSurpriseRemoval.
    pub surprise_removal: usize,
    /// EvtDeviceQueryRemove.
    pub query_remove: usize,
    /// EvtDeviceQueryStop.
    pub query_stop: usize,
    /// The rest.
    pub others: [usize; 3],
}
const _: () = assert!(size_of::<PnpCallbacks>() == 144);

/// WDF_FILEOBJECT_CONFIG.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct FileConfig {
    /// Size.
    pub size: u32,
    /// EvtDeviceFileCreate.
    pub create: usize,
    /// EvtFileClose.
    pub close: usize,
    /// EvtFileCleanup.
    pub cleanup: usize,
    /// AutoForwardCleanupClose.
    pub auto_forward: u32,
    /// FileObjectClass.
    pub class: u32,
}
const _: () = assert!(size_of::<FileConfig>() == 40);

impl FileConfig {
    /// Whether FileObjectClass is WdfFileObjectWdfCanUseFsContext, whatever its flag bit.
    #[must_use]
    pub const fn uses_fs_context(&self) -> bool {
        self.class & 0x7FFF_FFFF == 2
    }
}

/// What [`InitRules::init_call`] is told for a file configuration that takes FsContext.
pub const USES_FS_CONTEXT: &str = "WdfDeviceInitSetFileObjectConfig(WdfFileObjectWdfCanUseFsContext)";

/// What has been asked for so far.
pub struct DeviceInit {
    /// The PDO a function device is for; `None` for a control device.
    pub pdo: Option<usize>,
    /// WdfDeviceInitAssignName.
    pub name: Option<String>,
    /// WdfDeviceInitAssignSDDLString.
    pub sddl: Option<String>,
    /// WdfDeviceInitSetExclusive.
    pub exclusive: bool,
    /// WdfDeviceInitSetDeviceType; FILE_DEVICE_UNKNOWN by default.
    pub device_type: u32,
    /// WdfDeviceInitSetCharacteristics; FILE_DEVICE_SECURE_OPEN by default.
    pub characteristics: u32,
    /// WdfDeviceInitSetIoType: 2 buffered, 3 direct, 1 neither.
    pub io_type: u32,
    /// WdfDeviceInitSetPnpPowerEventCallbacks.
    pub pnp: PnpCallbacks,
    /// Whether the driver owns power policy.
    pub power_policy_owner: bool,
    /// WdfDeviceInitSetFileObjectConfig.
    pub file: Option<(FileConfig, Attributes)>,
    /// WdfDeviceInitSetRequestAttributes.
    pub request: Attributes,
    /// WdfDeviceInitSetIoInCallerContextCallback.
    pub in_caller_context: usize,
    /// WdfFdoInitSetFilter.
    pub filter: bool,
    /// The class extension that has configured it.
    pub claimed: Option<Arc<dyn InitRules>>,
}

static LIVE: Mutex<Option<HashSet<usize>>> = Mutex::new(None);

/// A new init for a function device (`pdo`) or a control device.
#[must_use]
pub fn allocate(pdo: Option<*mut DEVICE_OBJECT>) -> *mut DeviceInit {
    let p = Box::into_raw(Box::new(DeviceInit {
        pdo: pdo.map(|p| p.addr()),
        name: None,
        sddl: None,
        exclusive: false,
        device_type: 0x22,
        characteristics: 0x100,
        io_type: 2,
        pnp: PnpCallbacks::default(),
        power_policy_owner: pdo.is_some(),
        file: None,
        request: attributes::NONE,
        in_caller_context: 0,
        filter: false,
        claimed: None,
    }));
    lock(&LIVE).get_or_insert_default().insert(p.addr());
    p
}

/// The init behind a driver's pointer; stops on one that is none (any more).
///
/// # Safety
/// No other thread uses the same init: drivers do not share them.
#[must_use]
pub unsafe fn get(init: *mut DeviceInit) -> &'static mut DeviceInit {
    if !is_live(init) {
        stop(BAD_INIT, &format!("{init:p} is no WDFDEVICE_INIT (any more)"));
    }
    // SAFETY: live, from `allocate`; by contract nobody else uses it now.
    unsafe { &mut *init }
}

/// Whether the pointer is a live init.
#[must_use]
pub fn is_live(init: *mut DeviceInit) -> bool {
    lock(&LIVE).as_ref().is_some_and(|l| l.contains(&init.addr()))
}

/// Takes an init out of circulation; any other pointer gives `None`. Its memory stays, so that no later init has its address.
#[expect(clippy::not_unsafe_ptr_arg_deref, reason = "the pointer is looked up first")]
pub fn consume(init: *mut DeviceInit) -> Option<&'static DeviceInit> {
    let was = lock(&LIVE).as_mut().is_some_and(|l| l.remove(&init.addr()));
    // SAFETY: from `allocate`, never freed; this call alone removed it, and nobody writes to it any more.
    was.then(|| unsafe { &*init })
}

/// A class extension takes the init under its rules (NetDeviceInitConfig).
///
/// # Safety
/// As [`get`].
pub unsafe fn claim(init: *mut DeviceInit, rules: Arc<dyn InitRules>) {
    // SAFETY: by contract.
    unsafe { get(init) }.claimed = Some(rules);
}

/// Reports inits the driver has neither used nor freed; at unbind.
pub fn report_leaks() {
    let n = lock(&LIVE).as_ref().map_or(0, HashSet::len);
    if n != 0 {
        record(INIT_LEAK, &format!("{n} WDFDEVICE_INIT left"));
    }
}

#[expect(clippy::mut_from_ref, reason = "the name is not what is borrowed; the init is the calling thread's alone")]
fn at(g: G, name: &'static str, init: *mut DeviceInit) -> (crate::report::InCall, &'static mut DeviceInit) {
    let call = enter(g, name, PASSIVE);
    // SAFETY: the driver's pointer, used by this thread alone.
    let i = unsafe { get(init) };
    if let Some(c) = i.claimed.clone() {
        c.init_call(name);
    }
    (call, i)
}

unsafe extern "win64" fn free(g: G, init: *mut DeviceInit) {
    let (_call, i) = at(g, "WdfDeviceInitFree", init);
    if i.pdo.is_some() {
        stop(
            BAD_INIT,
            "WdfDeviceInitFree is for control devices and PDOs: the framework frees what it passes to EvtDriverDeviceAdd",
        );
    }
    let _ = consume(init);
}

unsafe extern "win64" fn set_pnp(g: G, init: *mut DeviceInit, c: *const PnpCallbacks) {
    let (_call, i) = at(g, "WdfDeviceInitSetPnpPowerEventCallbacks", init);
    if i.pdo.is_none() {
        record(CONTROL_ONLY, "PnP callbacks on a control device");
    }
    // SAFETY: the driver's structure; its size is checked first.
    unsafe {
        check_size(c.cast(), 144, "WDF_PNPPOWER_EVENT_CALLBACKS");
        i.pnp = c.read_unaligned();
    }
}

unsafe extern "win64" fn set_power_policy(g: G, init: *mut DeviceInit, c: *const u8) {
    let (_call, i) = at(g, "WdfDeviceInitSetPowerPolicyEventCallbacks", init);
    if i.pdo.is_none() {
        record(CONTROL_ONLY, "power policy callbacks on a control device");
    }
    // SAFETY: the driver's structure.
    unsafe { check_size(c, 64, "WDF_POWER_POLICY_EVENT_CALLBACKS") };
}

unsafe extern "win64" fn set_power_policy_ownership(g: G, init: *mut DeviceInit, owner: u8) {
    let (_call, i) = at(g, "WdfDeviceInitSetPowerPolicyOwnership", init);
    i.power_policy_owner = owner != 0;
}

unsafe extern "win64" fn set_io_type(g: G, init: *mut DeviceInit, t: u32) {
    let (_call, i) = at(g, "WdfDeviceInitSetIoType", init);
    if !(1..=3).contains(&t) {
        stop(BAD_INIT, &format!("WDF_DEVICE_IO_TYPE {t}"));
    }
    i.io_type = t;
}

unsafe extern "win64" fn set_io_type_ex(g: G, init: *mut DeviceInit, c: *const [u32; 4]) {
    let (_call, i) = at(g, "WdfDeviceInitSetIoTypeEx", init);
    // SAFETY: the driver's structure; its size is checked first.
    let c = unsafe {
        check_size(c.cast(), 16, "WDF_IO_TYPE_CONFIG");
        c.read_unaligned()
    };
    i.io_type = c.get(1).copied().unwrap_or(2);
}

unsafe extern "win64" fn set_exclusive(g: G, init: *mut DeviceInit, on: u8) {
    let (_call, i) = at(g, "WdfDeviceInitSetExclusive", init);
    i.exclusive = on != 0;
}

unsafe extern "win64" fn set_nothing(g: G, init: *mut DeviceInit) {
    let _at = at(g, "WdfDeviceInitSetPowerPageable/NotPageable/Inrush", init);
}

unsafe extern "win64" fn set_device_type(g: G, init: *mut DeviceInit, t: u32) {
    let (_call, i) = at(g, "WdfDeviceInitSetDeviceType", init);
    i.device_type = t;
}

unsafe extern "win64" fn set_device_class(g: G, init: *mut DeviceInit, class: *const GUID) {
    let (_call, _) = at(g, "WdfDeviceInitSetDeviceClass", init);
    if class.is_null() {
        stop(BAD_INIT, "DeviceClassGuid is NULL");
    }
}

unsafe extern "win64" fn assign_name(g: G, init: *mut DeviceInit, name: *const UNICODE_STRING) -> NtStatus {
    let (_call, i) = at(g, "WdfDeviceInitAssignName", init);
    // SAFETY: the driver's string.
    let name = unsafe { text::string(name) };
    if fault::fails("WdfDeviceInitAssignName") {
        return super::abi::INSUFFICIENT_RESOURCES;
    }
    match name {
        None => i.name = None,
        Some(n) if n.starts_with('\\') && n.len() > 1 => i.name = Some(n),
        Some(_) => return OBJECT_NAME_INVALID,
    }
    SUCCESS
}

/// Whether a string looks like an SDDL security descriptor: owner, group and ACL parts, balanced ACEs with six fields.
#[must_use]
pub fn sddl_is_plausible(s: &str) -> bool {
    let Some(start) = s.find("D:") else { return false };
    if !s.get(..start).is_some_and(|p| p.is_empty() || p.starts_with("O:") || p.starts_with("G:")) {
        return false;
    }
    let mut rest = s.get(start + 2..).unwrap_or("").split("S:").next().unwrap_or("");
    rest = rest.trim_start_matches(['P', 'A', 'R', 'I']);
    let mut any = false;
    while let Some(r) = rest.strip_prefix('(') {
        let Some((ace, after)) = r.split_once(')') else { return false };
        let fields: Vec<&str> = ace.split(';').collect();
        if fields.len() != 6
            || !matches!(fields.first(), Some(&("A" | "D")))
            || fields.last().is_none_or(|f| f.is_empty())
        {
            return false;
        }
        any = true;
        rest = after;
    }
    rest.is_empty() && (any || s.get(start + 2..).is_some_and(|r| r.starts_with('P')))
}

unsafe extern "win64" fn assign_sddl(g: G, init: *mut DeviceInit, sddl: *const UNICODE_STRING) -> NtStatus {
    let (_call, i) = at(g, "WdfDeviceInitAssignSDDLString", init);
    if fault::fails("WdfDeviceInitAssignSDDLString") {
        return super::abi::INSUFFICIENT_RESOURCES;
    }
    // SAFETY: the driver's string.
    i.sddl = unsafe { text::string(sddl) };
    if let Some(s) = i.sddl.as_ref().filter(|s| !sddl_is_plausible(s)) {
        record(BAD_SDDL, &format!("{s:?}"));
        return INVALID_PARAMETER;
    }
    SUCCESS
}

unsafe extern "win64" fn set_characteristics(g: G, init: *mut DeviceInit, c: u32, or: u8) {
    let (_call, i) = at(g, "WdfDeviceInitSetCharacteristics", init);
    i.characteristics = if or != 0 { i.characteristics | c } else { c };
}

unsafe extern "win64" fn set_file_config(g: G, init: *mut DeviceInit, c: *const FileConfig, a: *const RawAttributes) {
    let (_call, i) = at(g, "WdfDeviceInitSetFileObjectConfig", init);
    // SAFETY: the driver's structures; sizes are checked first.
    let (c, a) = unsafe {
        check_size(c.cast(), 40, "WDF_FILEOBJECT_CONFIG");
        (c.read_unaligned(), attributes::read(a))
    };
    if !(1..=4).contains(&(c.class & 0x7FFF_FFFF)) {
        stop(FILE_CLASS, &format!("FileObjectClass {:#x}", c.class));
    }
    if a.parent != 0 {
        stop(attributes::WRONG_PARENT, "the attributes of file objects may not name a ParentObject");
    }
    if let Some(rules) = i.claimed.as_ref().filter(|_| c.uses_fs_context()) {
        rules.init_call(USES_FS_CONTEXT);
    }
    i.file = Some((c, a));
}

unsafe extern "win64" fn set_request_attributes(g: G, init: *mut DeviceInit, a: *const RawAttributes) {
    let (_call, i) = at(g, "WdfDeviceInitSetRequestAttributes", init);
    // SAFETY: the driver's structure.
    let a = unsafe { attributes::read(a) };
    if a.parent != 0 {
        stop(attributes::WRONG_PARENT, "the attributes of request objects may not name a ParentObject");
    }
    i.request = a;
}

unsafe extern "win64" fn set_in_caller_context(g: G, init: *mut DeviceInit, f: usize) {
    let (_call, i) = at(g, "WdfDeviceInitSetIoInCallerContextCallback", init);
    i.in_caller_context = f;
}

unsafe extern "win64" fn set_filter(g: G, init: *mut DeviceInit) {
    let (_call, i) = at(g, "WdfFdoInitSetFilter", init);
    i.filter = true;
}

unsafe extern "win64" fn physical_device(g: G, init: *mut DeviceInit) -> usize {
    let (_call, i) = at(g, "WdfFdoInitWdmGetPhysicalDevice", init);
    i.pdo.unwrap_or(0)
}

unsafe extern "win64" fn set_release_order(g: G, init: *mut DeviceInit, _order: u32) {
    let _at = at(g, "WdfDeviceInitSetReleaseHardwareOrderOnFailure", init);
}

unsafe extern "win64" fn set_remove_lock(g: G, init: *mut DeviceInit, c: *const u8) {
    let _at = at(g, "WdfDeviceInitSetRemoveLockOptions", init);
    // SAFETY: the driver's structure.
    unsafe { check_size(c, 8, "WDF_REMOVE_LOCK_OPTIONS") };
}

unsafe extern "win64" fn control_allocate(g: G, driver: Handle, sddl: *const UNICODE_STRING) -> *mut DeviceInit {
    let _call = enter(g, "WdfControlDeviceInitAllocate", PASSIVE);
    let _driver = super::object::expect(driver, &super::driver::DRIVER);
    // SAFETY: the driver's string.
    let s = unsafe { text::required(sddl, "SDDLString") };
    if !sddl_is_plausible(&s) {
        record(BAD_SDDL, &format!("{s:?}"));
        return std::ptr::null_mut();
    }
    if fault::fails("WdfControlDeviceInitAllocate") {
        return std::ptr::null_mut();
    }
    let p = allocate(None);
    // SAFETY: just made.
    unsafe { get(p) }.sddl = Some(s);
    p
}

/// This file's part of the table.
#[must_use]
pub fn table_entries() -> Vec<Entry> {
    entries! {
        "WdfControlDeviceInitAllocate" => control_allocate,
        "WdfDeviceInitFree" => free,
        "WdfDeviceInitSetPnpPowerEventCallbacks" => set_pnp,
        "WdfDeviceInitSetPowerPolicyEventCallbacks" => set_power_policy,
        "WdfDeviceInitSetPowerPolicyOwnership" => set_power_policy_ownership,
        "WdfDeviceInitSetIoType" => set_io_type,
        "WdfDeviceInitSetIoTypeEx" => set_io_type_ex,
        "WdfDeviceInitSetExclusive" => set_exclusive,
        "WdfDeviceInitSetPowerNotPageable" => set_nothing,
        "WdfDeviceInitSetPowerPageable" => set_nothing,
        "WdfDeviceInitSetPowerInrush" => set_nothing,
        "WdfDeviceInitSetDeviceType" => set_device_type,
        "WdfDeviceInitSetDeviceClass" => set_device_class,
        "WdfDeviceInitAssignName" => assign_name,
        "WdfDeviceInitAssignSDDLString" => assign_sddl,
        "WdfDeviceInitSetCharacteristics" => set_characteristics,
        "WdfDeviceInitSetFileObjectConfig" => set_file_config,
        "WdfDeviceInitSetRequestAttributes" => set_request_attributes,
        "WdfDeviceInitSetIoInCallerContextCallback" => set_in_caller_context,
        "WdfDeviceInitSetReleaseHardwareOrderOnFailure" => set_release_order,
        "WdfDeviceInitSetRemoveLockOptions" => set_remove_lock,
        "WdfFdoInitSetFilter" => set_filter,
        "WdfFdoInitWdmGetPhysicalDevice" => physical_device,
    }
}
