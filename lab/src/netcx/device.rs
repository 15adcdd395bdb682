//! The extension's hold on a device: NetDeviceInitConfig, power.

use super::adapter;
use super::bind::{Entry, G, enter, entries};
use crate::fault;
use crate::irql::PASSIVE;
use crate::nt::{NTSTATUS, status};
use crate::report::{Rule, record};
use crate::wdf::hooks::{DeviceHooks, InitRules};
use crate::wdf::init::{self, DeviceInit};
use crate::wdf::object::{Ref, lock};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

const FORBIDDEN: Rule = Rule::new(
    "netcx.forbidden-init-call",
    "NetAdapterCx: NetDeviceInitConfig makes these settings; nt-abi.md section 4",
);
const NO_REFERENCE: Rule = Rule::new(
    "netcx.interface-without-reference",
    "NetAdapterCx: WdfDeviceCreateDeviceInterface needs a ReferenceString, or NDIS takes the I/O",
);
const FS_CONTEXT: Rule = Rule::new(
    "netcx.fs-context",
    "NetAdapterCx limitations: no FileObjectClass WdfFileObjectWdfCanUseFsContext, before NetDeviceInitConfig or after",
);

/// Calls that NetDeviceInitConfig has made already.
const MADE: [&str; 6] = [
    "WdfDeviceInitAssignName",
    "WdfDeviceInitSetDeviceType",
    "WdfDeviceInitSetCharacteristics",
    "WdfDeviceInitSetIoType",
    "WdfDeviceInitSetPowerPageable",
    "WdfDeviceInitSetReleaseHardwareOrderOnFailure",
];

/// A device that NetDeviceInitConfig prepared.
#[derive(Debug)]
pub struct NetDevice {
    /// The device's handle.
    handle: usize,
    /// Between the last step of power-up and the first of power-down.
    pub powered: AtomicBool,
    adapters: Mutex<Vec<Ref>>,
}

static DEVICES: Mutex<Vec<Arc<NetDevice>>> = Mutex::new(Vec::new());

/// The extension's part of a device, if NetDeviceInitConfig was called for it.
pub fn of(device: Ref) -> Option<Arc<NetDevice>> {
    lock(&DEVICES).iter().find(|d| d.handle == device.handle()).cloned()
}

impl NetDevice {
    /// An adapter of this device's.
    pub fn add(&self, adapter: Ref) {
        lock(&self.adapters).push(adapter);
    }

    /// Which is gone.
    pub fn remove(&self, adapter: Ref) {
        lock(&self.adapters).retain(|a| !std::ptr::eq(*a, adapter));
    }

    fn adapters(&self) -> Vec<Ref> {
        lock(&self.adapters).clone()
    }

    /// Adds a device.
    pub fn attach(device: Ref) -> Arc<Self> {
        let d = Arc::new(Self { handle: device.handle(), powered: AtomicBool::new(false), adapters: Mutex::default() });
        lock(&DEVICES).push(Arc::clone(&d));
        d
    }
}

struct Hooks(Arc<NetDevice>);

impl DeviceHooks for Hooks {
    fn powered_up(&self, _device: Ref, _first: bool) -> NTSTATUS {
        power_up(&self.0)
    }
    fn powering_down(&self, _device: Ref, _removing: bool) {
        power_down(&self.0);
    }
    fn removed(&self, _device: Ref) {
        for a in self.0.adapters() {
            adapter::halt(a);
        }
        lock(&DEVICES).retain(|d| !Arc::ptr_eq(d, &self.0));
    }
    fn interface_created(&self, _device: Ref, reference: Option<&str>) {
        check_interface(reference);
    }
}

/// The end of power-up: queues are created.
pub fn power_up(d: &NetDevice) -> NTSTATUS {
    d.powered.store(true, Ordering::SeqCst);
    for a in d.adapters() {
        adapter::start_datapath(a);
    }
    status::SUCCESS
}

/// The beginning of power-down: queues are gone when this returns.
pub fn power_down(d: &NetDevice) {
    d.powered.store(false, Ordering::SeqCst);
    for a in d.adapters() {
        adapter::stop_datapath(a);
    }
}

/// The rule of device interfaces.
pub fn check_interface(reference: Option<&str>) {
    if reference.is_none_or(str::is_empty) {
        record(NO_REFERENCE, "a device interface without ReferenceString");
    }
}

struct Rules;

impl InitRules for Rules {
    fn name(&self) -> &'static str {
        "NetAdapterCx"
    }
    fn init_call(&self, call: &'static str) {
        check_init_call(call);
    }
    fn device_created(&self, device: Ref) {
        let net = NetDevice::attach(device);
        crate::wdf::device::add_hooks(device, Arc::new(Hooks(net)));
    }
}

/// The rule of calls on a prepared init.
pub fn check_init_call(call: &str) {
    if call == init::USES_FS_CONTEXT {
        record(FS_CONTEXT, "WdfDeviceInitSetFileObjectConfig after NetDeviceInitConfig");
    }
    if MADE.contains(&call) {
        record(FORBIDDEN, &format!("{call} after NetDeviceInitConfig"));
    }
}

unsafe extern "win64" fn init_config(g: G, device_init: *mut DeviceInit) -> NTSTATUS {
    let _call = enter(g, "NetDeviceInitConfig", PASSIVE);
    // SAFETY: the driver's init, judged there.
    let i = unsafe { init::get(device_init) };
    if let Some((config, _)) = &i.file
        && config.uses_fs_context()
    {
        record(FS_CONTEXT, &format!("FileObjectClass {}", config.class));
    }
    if i.name.is_some() {
        record(FORBIDDEN, "WdfDeviceInitAssignName before NetDeviceInitConfig");
    }
    if fault::fails("NetDeviceInitConfig") {
        return status::INSUFFICIENT_RESOURCES;
    }
    // SAFETY: as above.
    unsafe { init::claim(device_init, Arc::new(Rules)) };
    /// WdfDeviceIoDirect: reads and writes of a network device come as locked pages of their sender.
    const IO_DIRECT: u32 = 3;
    // SAFETY: as above.
    unsafe { init::get(device_init) }.io_type = IO_DIRECT;
    status::SUCCESS
}

/// This file's part of the table.
pub fn entries() -> Vec<Entry> {
    entries! { "NetDeviceInitConfig" => init_config }
}
