//! WDFSTRING.

use super::abi::{Handle, NtStatus, RawAttributes, SUCCESS};
use super::attributes;
use super::bind::{G, enter};
use super::object::{self, Body, Kind, lock};
use super::table::{Entry, entries};
use super::{driver, text};
use crate::fault;
use crate::irql::PASSIVE;
use crate::nt::{OwnedUnicode, UNICODE_STRING};
use std::sync::Mutex;

/// WDFSTRING.
pub static STRING: Kind = Kind::new("WDFSTRING", true, true, false);

#[derive(Debug)]
struct Text(Mutex<Option<OwnedUnicode>>);
impl Body for Text {}

/// Gives a string object a value.
pub fn assign(handle: Handle, value: &str) {
    *lock(&object::expect(handle, &STRING).body::<Text>().0) = Some(OwnedUnicode::new(value));
}

/// The value of a string object.
#[must_use]
pub fn value(handle: Handle) -> String {
    let t: &Text = object::expect(handle, &STRING).body();
    // SAFETY: the buffer is the object's own.
    lock(&t.0).as_mut().map_or(String::new(), |s| unsafe { s.unicode().to_string_lossy() })
}

unsafe extern "win64" fn create(g: G, s: *const UNICODE_STRING, a: *const RawAttributes, out: *mut Handle) -> NtStatus {
    let _call = enter(g, "WdfStringCreate", PASSIVE);
    // SAFETY: the driver's structures.
    let (s, a) = unsafe { (text::string(s), attributes::read(a)) };
    if let Err(e) = a.check_levels(&STRING) {
        return e;
    }
    if fault::fails("WdfStringCreate") {
        return super::abi::INSUFFICIENT_RESOURCES;
    }
    let body = Text(Mutex::new(s.map(|s| OwnedUnicode::new(&s))));
    match object::create(&STRING, &a, a.parent_or(driver::current()), Box::new(body)) {
        Ok(o) => {
            // SAFETY: the driver's pointer.
            unsafe { text::put(out, o.handle()) };
            SUCCESS
        }
        Err(e) => e,
    }
}

unsafe extern "win64" fn get(g: G, handle: Handle, out: *mut UNICODE_STRING) {
    let _call = enter(g, "WdfStringGetUnicodeString", PASSIVE);
    let t: &Text = object::expect(handle, &STRING).body();
    let v = lock(&t.0).as_mut().map_or(UNICODE_STRING::empty(), OwnedUnicode::unicode);
    // SAFETY: the driver's pointer; the buffer lives as long as the object keeps this value.
    unsafe { text::put(out, v) };
}

/// This file's part of the table.
#[must_use]
pub fn table_entries() -> Vec<Entry> {
    entries! {
        "WdfStringCreate" => create,
        "WdfStringGetUnicodeString" => get,
    }
}
