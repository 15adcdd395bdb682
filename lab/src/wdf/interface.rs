//! Device interfaces and the names of devices.

use super::abi::{Handle, INVALID_DEVICE_STATE, NtStatus, OBJECT_NAME_NOT_FOUND, SUCCESS};
use super::bind::{G, enter};
use super::device::{self, Device};
use super::object::lock;
use super::table::{Entry, entries};
use super::text;
use crate::fault;
use crate::io;
use crate::irql::PASSIVE;
use crate::nt::{GUID, UNICODE_STRING};
use crate::report::{Rule, record, stop};

const UNKNOWN: Rule = Rule::new(
    "wdf.unknown-device-interface",
    "WDK: WdfDeviceSetDeviceInterfaceState (an interface made by WdfDeviceCreateDeviceInterface)",
);
const ON_CONTROL: Rule =
    Rule::new("wdf.not-for-control-device", "WDK: WdfDeviceCreateDeviceInterface (not for control devices)");

#[derive(Debug)]
struct Interface {
    guid: GUID,
    reference: Option<String>,
    wanted: bool,
    on: bool,
    link: String,
}

/// Interfaces and symbolic link of a device.
#[derive(Debug, Default)]
pub struct Names {
    /// WdfDeviceCreateSymbolicLink.
    pub link: Option<String>,
    interfaces: Vec<Interface>,
}

/// The object name a link of the device leads to.
#[must_use]
pub fn object_name(d: &Device) -> Option<String> {
    d.name
        .clone()
        .or_else(|| d.pdo.and_then(|p| io::names::device_name(p.0)).or_else(|| io::names::device_name(d.wdm.0)))
}

fn switch(i: &mut Interface, on: bool) {
    if i.on != on && io::set_interface_state(&i.link, on).is_ok() {
        i.on = on;
    }
}

/// The device has started: interfaces the driver has not switched off come on.
pub(super) fn started(d: &Device) {
    for i in &mut lock(&d.names).interfaces {
        if i.wanted {
            switch(i, true);
        }
    }
}

/// The device is being removed: all interfaces go off.
pub(super) fn stopped(d: &Device) {
    lock(&d.names).interfaces.iter_mut().for_each(|i| switch(i, false));
}

/// The device is being deleted.
pub(super) fn remove_all(d: &Device) {
    stopped(d);
    if let Some(l) = lock(&d.names).link.take() {
        // A link the driver deleted itself is gone already.
        let _ = io::delete_symbolic_link(&l);
    }
}

/// # Safety
/// `class` is the driver's GUID pointer.
unsafe fn class_of(class: *const GUID) -> GUID {
    // SAFETY: by contract.
    match unsafe { class.as_ref() } {
        Some(g) => *g,
        None => stop(UNKNOWN, "InterfaceClassGUID is NULL"),
    }
}

unsafe extern "win64" fn create(
    g: G,
    device: Handle,
    class: *const GUID,
    reference: *const UNICODE_STRING,
) -> NtStatus {
    let _call = enter(g, "WdfDeviceCreateDeviceInterface", PASSIVE);
    let (o, d) = device::expect(device);
    // SAFETY: the driver's pointers.
    let (guid, reference) = unsafe { (class_of(class), text::string(reference)) };
    if d.pdo.is_none() {
        record(ON_CONTROL, "a device interface on a control device");
        return super::abi::INVALID_DEVICE_REQUEST;
    }
    if fault::fails("WdfDeviceCreateDeviceInterface") {
        return super::abi::INSUFFICIENT_RESOURCES;
    }
    let hooks = lock(&d.hooks).clone();
    for h in hooks {
        h.interface_created(o, reference.as_deref());
    }
    let started = lock(&d.state).started;
    let Some(target) = object_name(d) else { return INVALID_DEVICE_STATE };
    let mut n = lock(&d.names);
    if n.interfaces.iter().any(|x| x.guid == guid && x.reference == reference) {
        return SUCCESS;
    }
    let link = io::register_interface(&crate::pnp::instance_id(), &target, &guid, reference.as_deref());
    // Made after the start, an interface stays off until the driver switches it on.
    n.interfaces.push(Interface { guid, reference, wanted: !started, on: false, link });
    SUCCESS
}

unsafe extern "win64" fn set_state(g: G, device: Handle, class: *const GUID, reference: *const UNICODE_STRING, on: u8) {
    let _call = enter(g, "WdfDeviceSetDeviceInterfaceState", PASSIVE);
    let (_, d) = device::expect(device);
    // SAFETY: the driver's pointers.
    let (guid, reference) = unsafe { (class_of(class), text::string(reference)) };
    let started = lock(&d.state).started;
    let mut n = lock(&d.names);
    let Some(i) = n.interfaces.iter_mut().find(|i| i.guid == guid && i.reference == reference) else {
        drop(n);
        record(UNKNOWN, &format!("{} {reference:?}", text::guid(&guid)));
        return;
    };
    i.wanted = on != 0;
    switch(i, on != 0 && started);
}

unsafe extern "win64" fn retrieve_string(
    g: G,
    device: Handle,
    class: *const GUID,
    reference: *const UNICODE_STRING,
    string: Handle,
) -> NtStatus {
    let _call = enter(g, "WdfDeviceRetrieveDeviceInterfaceString", PASSIVE);
    let (_, d) = device::expect(device);
    // SAFETY: the driver's pointers.
    let (guid, reference) = unsafe { (class_of(class), text::string(reference)) };
    let n = lock(&d.names);
    let Some(i) = n.interfaces.iter().find(|i| i.guid == guid && i.reference == reference) else {
        return OBJECT_NAME_NOT_FOUND;
    };
    if fault::fails("WdfDeviceRetrieveDeviceInterfaceString") {
        return super::abi::INSUFFICIENT_RESOURCES;
    }
    super::string::assign(string, &i.link);
    SUCCESS
}

/// This file's part of the table.
#[must_use]
pub fn table_entries() -> Vec<Entry> {
    entries! {
        "WdfDeviceCreateDeviceInterface" => create,
        "WdfDeviceSetDeviceInterfaceState" => set_state,
        "WdfDeviceSetDeviceInterfaceStateEx" => set_state,
        "WdfDeviceRetrieveDeviceInterfaceString" => retrieve_string,
    }
}
