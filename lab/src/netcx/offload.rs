//! Offloads: taken note of, and always reported as turned off, for a TUN device offers none. Only the Tx and Rx checksum
//! extensions follow from them.

use super::adapter::{ADAPTER, Adapter};
use super::bind::{self, Entry, G, enter, entries};
use crate::irql::{DISPATCH, PASSIVE};
use crate::report::{Rule, record};
use crate::wdf::abi::Handle;
use crate::wdf::attributes::{self, check_size};
use crate::wdf::object::{self, Kind, Plain, Ref, lock};
use crate::wdf::sync::driver_call;

const OLD_CLIENTS: Rule = Rule::new(
    "netcx.offload-for-2.0-only",
    "nt-abi.md section 2: NetAdapterOffloadSetChecksumCapabilities is for 2.0 clients",
);

static OFFLOAD: Kind = Kind::new("NETOFFLOAD", false, true, false);

/// EvtAdapterOffloadSet...
pub type SetOffload = unsafe extern "win64" fn(adapter: Handle, offload: Handle);

/// Tells the driver which of its offloads are in use: none.
pub fn tell(adapter: Ref, callbacks: &[SetOffload]) {
    for &f in callbacks {
        let Ok(o) = object::create(&OFFLOAD, &attributes::NONE, Some(adapter), Box::new(Plain)) else { continue };
        // SAFETY: the driver's callback, at PASSIVE_LEVEL, with a live adapter and offload.
        driver_call("EvtAdapterOffloadSet", || unsafe { f(adapter.handle(), o.handle()) });
        object::delete(o);
    }
}

fn set(handle: Handle, caps: *const u8, size: usize, name: &str, callback_at: usize) {
    let a: &Adapter = object::expect(handle, &ADAPTER).body();
    // SAFETY: the driver's structure; its size is checked first.
    unsafe { check_size(caps, size, name) };
    a.not_started(name);
    // SAFETY: as above; an optional function pointer at this offset.
    let f = unsafe { caps.wrapping_add(callback_at).cast::<Option<SetOffload>>().read_unaligned() };
    let mut s = lock(&a.settings);
    s.checksum |= name.contains("CHECKSUM");
    s.offloads.extend(f);
}

unsafe extern "win64" fn checksum(g: G, adapter: Handle, caps: *const u8) {
    let _call = enter(g, "NetAdapterOffloadSetChecksumCapabilities", PASSIVE);
    if bind::minor() != 0 {
        record(OLD_CLIENTS, &format!("called by a 2.{} client", bind::minor()));
    }
    set(adapter, caps, 16, "NET_ADAPTER_OFFLOAD_CHECKSUM_CAPABILITIES", 8);
}

unsafe extern "win64" fn tx_checksum(g: G, adapter: Handle, caps: *const u8) {
    let _call = enter(g, "NetAdapterOffloadSetTxChecksumCapabilities", PASSIVE);
    set(adapter, caps, 24, "NET_ADAPTER_OFFLOAD_TX_CHECKSUM_CAPABILITIES", 16);
}

unsafe extern "win64" fn rx_checksum(g: G, adapter: Handle, caps: *const u8) {
    let _call = enter(g, "NetAdapterOffloadSetRxChecksumCapabilities", PASSIVE);
    set(adapter, caps, 16, "NET_ADAPTER_OFFLOAD_RX_CHECKSUM_CAPABILITIES", 8);
}

unsafe extern "win64" fn gso(g: G, adapter: Handle, caps: *const u8) {
    let _call = enter(g, "NetAdapterOffloadSetGsoCapabilities", PASSIVE);
    set(adapter, caps, 40, "NET_ADAPTER_OFFLOAD_GSO_CAPABILITIES", 32);
}

unsafe extern "win64" fn rsc(g: G, adapter: Handle, caps: *const u8) {
    let _call = enter(g, "NetAdapterOffloadSetRscCapabilities", PASSIVE);
    set(adapter, caps, 24, "NET_ADAPTER_OFFLOAD_RSC_CAPABILITIES", 16);
}

unsafe extern "win64" fn is_enabled(g: G, offload: Handle) -> u8 {
    let _call = enter(g, "NetOffloadIsEnabled", DISPATCH);
    let _offload = object::expect(offload, &OFFLOAD);
    0
}

/// This file's part of the table.
pub fn entries() -> Vec<Entry> {
    let mut v: Vec<Entry> = entries! {
        "NetAdapterOffloadSetChecksumCapabilities" => checksum,
        "NetAdapterOffloadSetTxChecksumCapabilities" => tx_checksum,
        "NetAdapterOffloadSetRxChecksumCapabilities" => rx_checksum,
        "NetAdapterOffloadSetGsoCapabilities" => gso,
        "NetAdapterOffloadSetRscCapabilities" => rsc,
    };
    for name in super::table::NAMES.iter().filter(|n| n.starts_with("NetOffloadIs") && n.ends_with("Enabled")) {
        v.push((name, is_enabled as *const () as usize));
    }
    v
}
