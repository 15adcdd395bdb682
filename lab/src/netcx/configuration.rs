//! NETCONFIGURATION: the adapter's software key, as the INF would have filled it.

use super::adapter;
use super::bind::{Entry, G, enter, entries};
use crate::fault;
use crate::irql::PASSIVE;
use crate::nt::{NTSTATUS, UNICODE_STRING, status};
use crate::report::{Rule, record};
use crate::wdf::abi::{Handle, RawAttributes};
use crate::wdf::attributes;
use crate::wdf::object::{self, Kind, Plain, Ref, lock};
use std::collections::HashMap;
use std::sync::Mutex;

const BAD: Rule = Rule::new("netcx.bad-parameter", "NetAdapterCx: the call's page");

static CONFIGURATION: Kind = Kind::new("NETCONFIGURATION", true, true, false);
static VALUES: Mutex<Option<HashMap<String, u32>>> = Mutex::new(None);

fn values<R>(f: impl FnOnce(&mut HashMap<String, u32>) -> R) -> R {
    let mut guard = lock(&VALUES);
    let map = guard.get_or_insert_with(|| {
        // What the INF of an IP tunnel adapter writes.
        [
            ("*iftype", 53),
            ("*mediatype", 19),
            ("*physicalmediatype", 0),
            ("*ifconnectorpresent", 0),
            ("*connectiontype", 1),
            ("*directiontype", 0),
            ("*accesstype", 2),
            ("*hardwareloopback", 0),
        ]
        .map(|(k, v)| (k.to_owned(), v))
        .into()
    });
    f(map)
}

/// Sets a value of the adapter's configuration.
pub fn set(name: &str, value: u32) {
    values(|v| v.insert(name.to_lowercase(), value));
}

fn open(call: &'static str, parent: Ref, a: *const RawAttributes, out: *mut Handle) -> NTSTATUS {
    // SAFETY: the driver's attributes.
    let a = unsafe { attributes::read(a) };
    if out.is_null() {
        record(BAD, "Configuration must not be NULL");
        return status::INVALID_PARAMETER;
    }
    if fault::fails(call) {
        return status::INSUFFICIENT_RESOURCES;
    }
    match object::create(&CONFIGURATION, &a, a.parent_or(Some(parent)), Box::new(Plain)) {
        Ok(o) => {
            // SAFETY: not null; the driver's variable.
            unsafe { out.write_unaligned(o.handle()) };
            status::SUCCESS
        }
        Err(s) => s,
    }
}

unsafe extern "win64" fn adapter_open(g: G, adapter: Handle, a: *const RawAttributes, out: *mut Handle) -> NTSTATUS {
    let _call = enter(g, "NetAdapterOpenConfiguration", PASSIVE);
    open("NetAdapterOpenConfiguration", object::expect(adapter, &adapter::ADAPTER), a, out)
}

unsafe extern "win64" fn device_open(g: G, device: Handle, a: *const RawAttributes, out: *mut Handle) -> NTSTATUS {
    let _call = enter(g, "NetDeviceOpenConfiguration", PASSIVE);
    open("NetDeviceOpenConfiguration", object::any(device), a, out)
}

unsafe extern "win64" fn close(g: G, configuration: Handle) {
    let _call = enter(g, "NetConfigurationClose", PASSIVE);
    object::delete(object::expect(configuration, &CONFIGURATION));
}

unsafe extern "win64" fn query_ulong(
    g: G,
    configuration: Handle,
    flags: u32,
    name: *const UNICODE_STRING,
    out: *mut u32,
) -> NTSTATUS {
    let _call = enter(g, "NetConfigurationQueryUlong", PASSIVE);
    let _configuration = object::expect(configuration, &CONFIGURATION);
    if name.is_null() || out.is_null() || flags > 1 {
        record(BAD, &format!("ValueName {name:p}, Value {out:p}, Flags {flags}"));
        return status::INVALID_PARAMETER;
    }
    if fault::fails("NetConfigurationQueryUlong") {
        return status::INSUFFICIENT_RESOURCES;
    }
    // SAFETY: not null; the driver's string.
    let name = unsafe { (*name).to_string_lossy() };
    match values(|v| v.get(&name.to_lowercase()).copied()) {
        Some(v) => {
            // SAFETY: not null; the driver's variable.
            unsafe { out.write_unaligned(v) };
            status::SUCCESS
        }
        None => status::OBJECT_NAME_NOT_FOUND,
    }
}

/// This file's part of the table.
pub fn entries() -> Vec<Entry> {
    entries! {
        "NetAdapterOpenConfiguration" => adapter_open,
        "NetDeviceOpenConfiguration" => device_open,
        "NetConfigurationClose" => close,
        "NetConfigurationQueryUlong" => query_ulong,
    }
}
