//! WDFKEY over a registry that lives in the process.
//!
//! Key paths are relative to the driver: `Parameters`, `Device` (the device's hardware key), `Driver` (its software key),
//! and keys below them. Values come from the command line and from the driver.

use super::abi::{
    BUFFER_OVERFLOW, BUFFER_TOO_SMALL, Handle, INSUFFICIENT_RESOURCES, NtStatus, OBJECT_NAME_NOT_FOUND,
    OBJECT_TYPE_MISMATCH, RawAttributes, SUCCESS,
};
use super::attributes;
use super::bind::{G, enter};
use super::device;
use super::object::{self, Body, Kind, Ref, lock};
use super::table::{Entry, entries};
use super::{driver, text};
use crate::fault;
use crate::irql::PASSIVE;
use crate::nt::UNICODE_STRING;
use crate::report::current_call;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// STATUS_CANNOT_DELETE.
const CANNOT_DELETE: NtStatus = 0xC000_0121_u32.cast_signed();

/// WDFKEY.
pub static KEY: Kind = Kind::new("WDFKEY", true, true, false);

/// A registry value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// REG_DWORD.
    Dword(u32),
    /// REG_SZ.
    Text(String),
    /// Another type, raw.
    Raw(u32, Vec<u8>),
}

impl Value {
    fn encoded(&self) -> (u32, Vec<u8>) {
        match self {
            Self::Dword(v) => (4, v.to_le_bytes().to_vec()),
            Self::Text(s) => (1, s.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()),
            Self::Raw(t, b) => (*t, b.clone()),
        }
    }

    fn decoded(kind: u32, bytes: &[u8]) -> Self {
        match (kind, bytes.first_chunk::<4>()) {
            (4, Some(b)) if bytes.len() == 4 => Self::Dword(u32::from_le_bytes(*b)),
            (1, _) => {
                let units: Vec<u16> = bytes
                    .chunks_exact(2)
                    .map(|c| u16::from_le_bytes([c.first().copied().unwrap_or(0), c.get(1).copied().unwrap_or(0)]))
                    .collect();
                Self::Text(String::from_utf16_lossy(&units).trim_end_matches('\0').to_owned())
            }
            _ => Self::Raw(kind, bytes.to_vec()),
        }
    }
}

type Values = BTreeMap<String, Value>;
static KEYS: Mutex<BTreeMap<String, Values>> = Mutex::new(BTreeMap::new());

/// Sets a value; `path` is a key such as `Parameters`.
pub fn set(path: &str, name: &str, value: Value) {
    lock(&KEYS).entry(path.to_lowercase()).or_default().insert(name.to_lowercase(), value);
}

/// A value of a key.
#[must_use]
pub fn query(path: &str, name: &str) -> Option<Value> {
    lock(&KEYS).get(&path.to_lowercase())?.get(&name.to_lowercase()).cloned()
}

/// Takes one `--registry` option: `Parameters\Name=dword:1`, `…=text:abc` or `…=abc`.
///
/// # Errors
/// A sentence about what is wrong with it.
pub fn set_from_option(option: &str) -> Result<(), String> {
    let (left, right) = option.split_once('=').ok_or_else(|| format!("{option:?}: expected KEY\\NAME=VALUE"))?;
    let (path, name) = left.rsplit_once('\\').ok_or_else(|| format!("{option:?}: expected KEY\\NAME=VALUE"))?;
    let value = if let Some(n) = right.strip_prefix("dword:") {
        let parsed = n.strip_prefix("0x").map_or_else(|| n.parse(), |h| u32::from_str_radix(h, 16));
        Value::Dword(parsed.map_err(|e| format!("{option:?}: {e}"))?)
    } else {
        Value::Text(right.strip_prefix("text:").unwrap_or(right).to_owned())
    };
    set(path, name, value);
    Ok(())
}

#[derive(Debug)]
struct Key(String);
impl Body for Key {}

fn key_path(handle: Handle) -> &'static str {
    &object::expect(handle, &KEY).body::<Key>().0
}

/// # Safety
/// `a` and `out` are the driver's.
unsafe fn open(path: &str, a: *const RawAttributes, out: *mut Handle, default_parent: Option<Ref>) -> NtStatus {
    // SAFETY: by contract.
    let a = unsafe { attributes::read(a) };
    if let Err(s) = a.check_levels(&KEY) {
        return s;
    }
    if fault::fails(current_call()) {
        return INSUFFICIENT_RESOURCES;
    }
    match object::create(&KEY, &a, a.parent_or(default_parent), Box::new(Key(path.to_lowercase()))) {
        Ok(o) => {
            // SAFETY: by contract.
            unsafe { text::put(out, o.handle()) };
            SUCCESS
        }
        Err(s) => s,
    }
}

unsafe extern "win64" fn open_parameters(
    g: G,
    d: Handle,
    _access: u32,
    a: *const RawAttributes,
    out: *mut Handle,
) -> NtStatus {
    let _call = enter(g, "WdfDriverOpenParametersRegistryKey", PASSIVE);
    let o = object::expect(d, &driver::DRIVER);
    // SAFETY: the driver's pointers.
    unsafe { open("parameters", a, out, Some(o)) }
}

unsafe extern "win64" fn open_device(
    g: G,
    d: Handle,
    kind: u32,
    _access: u32,
    a: *const RawAttributes,
    out: *mut Handle,
) -> NtStatus {
    let _call = enter(g, "WdfDeviceOpenRegistryKey", PASSIVE);
    let (o, _) = device::expect(d);
    // PLUGPLAY_REGKEY_DEVICE is 1, PLUGPLAY_REGKEY_DRIVER is 2.
    let path = if kind & 3 == 2 { "driver" } else { "device" };
    // SAFETY: the driver's pointers. Such a key's parent is the driver unless the attributes say otherwise.
    unsafe { open(path, a, out, driver::current().or(Some(o))) }
}

/// # Safety
/// `name` is the driver's string.
unsafe fn below(parent: Handle, name: *const UNICODE_STRING) -> String {
    // SAFETY: by contract.
    let n = unsafe { text::required(name, "KeyName") };
    if parent == 0 { n } else { format!("{}\\{n}", key_path(parent)) }
}

unsafe extern "win64" fn open_key(
    g: G,
    parent: Handle,
    name: *const UNICODE_STRING,
    _access: u32,
    a: *const RawAttributes,
    out: *mut Handle,
) -> NtStatus {
    let _call = enter(g, "WdfRegistryOpenKey", PASSIVE);
    // SAFETY: the driver's string.
    let path = unsafe { below(parent, name) };
    if !lock(&KEYS).contains_key(&path.to_lowercase()) {
        return OBJECT_NAME_NOT_FOUND;
    }
    // SAFETY: the driver's pointers.
    unsafe { open(&path, a, out, driver::current()) }
}

unsafe extern "win64" fn create_key(
    g: G,
    parent: Handle,
    name: *const UNICODE_STRING,
    _access: u32,
    _options: u32,
    disposition: *mut u32,
    a: *const RawAttributes,
    out: *mut Handle,
) -> NtStatus {
    let _call = enter(g, "WdfRegistryCreateKey", PASSIVE);
    // SAFETY: the driver's string.
    let path = unsafe { below(parent, name) };
    let there = {
        let mut k = lock(&KEYS);
        let there = k.contains_key(&path.to_lowercase());
        k.entry(path.to_lowercase()).or_default();
        there
    };
    if !disposition.is_null() {
        // SAFETY: the driver's variable.
        unsafe { disposition.write_unaligned(if there { 2 } else { 1 }) };
    }
    // SAFETY: the driver's pointers.
    unsafe { open(&path, a, out, driver::current()) }
}

unsafe extern "win64" fn close(g: G, key: Handle) {
    let _call = enter(g, "WdfRegistryClose", PASSIVE);
    let _key = object::expect(key, &KEY);
    object::driver_delete(key);
}

/// # Safety
/// `name` is the driver's string.
unsafe fn look(key: Handle, name: *const UNICODE_STRING) -> Result<Value, NtStatus> {
    // SAFETY: by contract.
    let n = unsafe { text::required(name, "ValueName") };
    if fault::fails(current_call()) {
        return Err(INSUFFICIENT_RESOURCES);
    }
    query(key_path(key), &n).ok_or(OBJECT_NAME_NOT_FOUND)
}

unsafe extern "win64" fn query_ulong(g: G, key: Handle, name: *const UNICODE_STRING, out: *mut u32) -> NtStatus {
    let _call = enter(g, "WdfRegistryQueryULong", PASSIVE);
    // SAFETY: the driver's string and variable.
    unsafe {
        match look(key, name) {
            Ok(Value::Dword(v)) => {
                text::put(out, v);
                SUCCESS
            }
            Ok(_) => OBJECT_TYPE_MISMATCH,
            Err(s) => s,
        }
    }
}

unsafe extern "win64" fn query_value(
    g: G,
    key: Handle,
    name: *const UNICODE_STRING,
    length: u32,
    out: *mut u8,
    came: *mut u32,
    kind: *mut u32,
) -> NtStatus {
    let _call = enter(g, "WdfRegistryQueryValue", PASSIVE);
    // SAFETY: the driver's string, buffer of `length` bytes and variables.
    unsafe {
        let (t, bytes) = match look(key, name) {
            Ok(v) => v.encoded(),
            Err(s) => return s,
        };
        let n = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        if !came.is_null() {
            came.write_unaligned(n);
        }
        if !kind.is_null() {
            kind.write_unaligned(t);
        }
        if out.is_null() || length < n {
            return BUFFER_OVERFLOW;
        }
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), out, bytes.len());
    }
    SUCCESS
}

unsafe extern "win64" fn query_unicode(
    g: G,
    key: Handle,
    name: *const UNICODE_STRING,
    came: *mut u16,
    out: *mut UNICODE_STRING,
) -> NtStatus {
    let _call = enter(g, "WdfRegistryQueryUnicodeString", PASSIVE);
    // SAFETY: the driver's strings and variable.
    unsafe {
        let bytes = match look(key, name) {
            Ok(v @ Value::Text(_)) => v.encoded().1,
            Ok(_) => return OBJECT_TYPE_MISMATCH,
            Err(s) => return s,
        };
        let n = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
        if !came.is_null() {
            came.write_unaligned(n);
        }
        let Some(u) = out.as_mut() else { return SUCCESS };
        if u.MaximumLength < n {
            return BUFFER_OVERFLOW;
        }
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), u.Buffer.cast(), bytes.len());
        u.Length = n.saturating_sub(2);
    }
    SUCCESS
}

unsafe extern "win64" fn query_string(g: G, key: Handle, name: *const UNICODE_STRING, string: Handle) -> NtStatus {
    let _call = enter(g, "WdfRegistryQueryString", PASSIVE);
    // SAFETY: the driver's string.
    match unsafe { look(key, name) } {
        Ok(Value::Text(s)) => {
            super::string::assign(string, &s);
            SUCCESS
        }
        Ok(_) => OBJECT_TYPE_MISMATCH,
        Err(s) => s,
    }
}

unsafe extern "win64" fn assign_ulong(g: G, key: Handle, name: *const UNICODE_STRING, v: u32) -> NtStatus {
    let _call = enter(g, "WdfRegistryAssignULong", PASSIVE);
    if fault::fails("WdfRegistryAssignULong") {
        return INSUFFICIENT_RESOURCES;
    }
    // SAFETY: the driver's string.
    set(key_path(key), &unsafe { text::required(name, "ValueName") }, Value::Dword(v));
    SUCCESS
}

unsafe extern "win64" fn assign_unicode(
    g: G,
    key: Handle,
    name: *const UNICODE_STRING,
    v: *const UNICODE_STRING,
) -> NtStatus {
    let _call = enter(g, "WdfRegistryAssignUnicodeString", PASSIVE);
    if fault::fails("WdfRegistryAssignUnicodeString") {
        return INSUFFICIENT_RESOURCES;
    }
    // SAFETY: the driver's strings.
    let (name, v) = unsafe { (text::required(name, "ValueName"), text::required(v, "Value")) };
    set(key_path(key), &name, Value::Text(v));
    SUCCESS
}

unsafe extern "win64" fn assign_string(g: G, key: Handle, name: *const UNICODE_STRING, string: Handle) -> NtStatus {
    let _call = enter(g, "WdfRegistryAssignString", PASSIVE);
    if fault::fails("WdfRegistryAssignString") {
        return INSUFFICIENT_RESOURCES;
    }
    // SAFETY: the driver's string.
    let name = unsafe { text::required(name, "ValueName") };
    set(key_path(key), &name, Value::Text(super::string::value(string)));
    SUCCESS
}

unsafe extern "win64" fn assign_value(
    g: G,
    key: Handle,
    name: *const UNICODE_STRING,
    kind: u32,
    length: u32,
    p: *const u8,
) -> NtStatus {
    let _call = enter(g, "WdfRegistryAssignValue", PASSIVE);
    if fault::fails("WdfRegistryAssignValue") {
        return INSUFFICIENT_RESOURCES;
    }
    let Ok(n) = usize::try_from(length) else { return BUFFER_TOO_SMALL };
    // SAFETY: the driver's string and its value of `length` bytes.
    unsafe {
        let name = text::required(name, "ValueName");
        let bytes = if n == 0 || p.is_null() { &[][..] } else { std::slice::from_raw_parts(p, n) };
        set(key_path(key), &name, Value::decoded(kind, bytes));
    }
    SUCCESS
}

unsafe extern "win64" fn remove_value(g: G, key: Handle, name: *const UNICODE_STRING) -> NtStatus {
    let _call = enter(g, "WdfRegistryRemoveValue", PASSIVE);
    // SAFETY: the driver's string.
    let name = unsafe { text::required(name, "ValueName") };
    let removed = lock(&KEYS).get_mut(key_path(key)).and_then(|k| k.remove(&name.to_lowercase()));
    if removed.is_some() { SUCCESS } else { OBJECT_NAME_NOT_FOUND }
}

unsafe extern "win64" fn remove_key(g: G, key: Handle) -> NtStatus {
    let _call = enter(g, "WdfRegistryRemoveKey", PASSIVE);
    let path = key_path(key);
    let below = format!("{path}\\");
    {
        let mut k = lock(&KEYS);
        if k.keys().any(|p| p.starts_with(&below)) {
            // A key with keys below it stays.
            return CANNOT_DELETE;
        }
        k.remove(path);
    }
    // The object goes with its key.
    object::driver_delete(key);
    SUCCESS
}

/// This file's part of the table.
#[must_use]
pub fn table_entries() -> Vec<Entry> {
    entries! {
        "WdfDriverOpenParametersRegistryKey" => open_parameters,
        "WdfDriverOpenPersistentStateRegistryKey" => open_parameters,
        "WdfDeviceOpenRegistryKey" => open_device,
        "WdfRegistryOpenKey" => open_key,
        "WdfRegistryCreateKey" => create_key,
        "WdfRegistryClose" => close,
        "WdfRegistryQueryULong" => query_ulong,
        "WdfRegistryQueryValue" => query_value,
        "WdfRegistryQueryUnicodeString" => query_unicode,
        "WdfRegistryQueryString" => query_string,
        "WdfRegistryAssignULong" => assign_ulong,
        "WdfRegistryAssignUnicodeString" => assign_unicode,
        "WdfRegistryAssignString" => assign_string,
        "WdfRegistryAssignValue" => assign_value,
        "WdfRegistryRemoveValue" => remove_value,
        "WdfRegistryRemoveKey" => remove_key,
    }
}
