//! WDFCMRESLIST: the lab's device has no hardware resources.

use super::abi::Handle;
use super::attributes;
use super::bind::{G, enter};
use super::object::{self, Kind, Plain, Ref};
use super::table::{Entry, entries};
use crate::irql::DISPATCH;

/// WDFCMRESLIST.
pub static LIST: Kind = Kind::new("WDFCMRESLIST", false, true, false);

/// Handles of the raw and the translated list for EvtDevicePrepareHardware, both empty.
#[must_use]
pub fn empty_lists(device: Ref) -> (Handle, Handle) {
    let make = || object::create(&LIST, &attributes::NONE, Some(device), Box::new(Plain)).map_or(0, |o| o.handle());
    (make(), make())
}

unsafe extern "win64" fn count(g: G, list: Handle) -> u32 {
    let _call = enter(g, "WdfCmResourceListGetCount", DISPATCH);
    let _list = object::expect(list, &LIST);
    0
}

unsafe extern "win64" fn descriptor(g: G, list: Handle, _index: u32) -> usize {
    let _call = enter(g, "WdfCmResourceListGetDescriptor", DISPATCH);
    let _list = object::expect(list, &LIST);
    0
}

/// This file's part of the table.
#[must_use]
pub fn table_entries() -> Vec<Entry> {
    entries! {
        "WdfCmResourceListGetCount" => count,
        "WdfCmResourceListGetDescriptor" => descriptor,
    }
}
