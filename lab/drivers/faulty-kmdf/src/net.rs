//! The part of NetAdapterCx's interface that this driver uses, by table index, and its rings (nt-abi.md sections 2 to 4).

use crate::table_functions;
use crate::wdf::{Attributes, Handle, NtStatus, UnicodeString};
use core::ffi::c_void;
use core::ptr::null_mut;

/// Entries that the table is asked for: up to NetTxQueueGetExtension.
pub const COUNT: usize = 68;

/// `NetFunctions`.
pub static mut TABLE: [usize; COUNT] = [0; COUNT];
/// `NetDriverGlobals`.
pub static mut GLOBALS: *mut c_void = null_mut();

fn globals() -> *mut c_void {
    // SAFETY: written once, by the bind.
    let g = unsafe { GLOBALS };
    // 701, netcx.bad-globals: those of the framework.
    if crate::fault() == 701 { crate::wdf::globals() } else { g }
}

fn entry(index: usize) -> usize {
    // SAFETY: written once, by the bind.
    unsafe { (&raw const TABLE).cast::<usize>().add(index).read() }
}

#[repr(C)]
pub struct DatapathCallbacks {
    pub size: u32,
    pub create_tx: usize,
    pub create_rx: usize,
}

#[repr(C)]
pub struct LinkLayerCapabilities {
    pub size: u32,
    pub max_tx: u64,
    pub max_rx: u64,
}

#[repr(C)]
pub struct TxCapabilities {
    pub size: u32,
    pub mapping: u32,
    pub backfill: usize,
    pub max_fragments: usize,
    pub alignment: usize,
    pub ring_hint: u32,
    pub max_queues: usize,
    pub dma: usize,
}

#[repr(C)]
pub struct RxCapabilities {
    pub size: u32,
    pub allocation: u32,
    pub attachment: u32,
    pub ring_hint: u32,
    pub max_frame: usize,
    pub max_queues: usize,
    pub mapping: u32,
    pub alignment: usize,
    pub dma: usize,
}

#[repr(C)]
pub struct LinkState {
    pub size: u32,
    pub tx_speed: u64,
    pub rx_speed: u64,
    pub connect: u32,
    pub duplex: u32,
    pub pause: u32,
    pub negotiation: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct PacketQueueConfig {
    pub size: u32,
    pub start: usize,
    pub stop: usize,
    pub advance: usize,
    pub set_notification: usize,
    pub cancel: usize,
}

#[repr(C)]
pub struct ExtensionQuery {
    pub size: u32,
    pub name: *const u16,
    pub version: u32,
    pub kind: u32,
}

#[repr(C)]
pub struct Extension {
    pub data: usize,
    pub stride: usize,
    pub reserved: [usize; 2],
    pub enabled: u8,
}

/// NET_RING; elements begin at offset 64.
#[repr(C, align(64))]
pub struct Ring {
    pub reserved1: u16,
    pub stride: u16,
    pub count: u32,
    pub mask: u32,
    pub end: u32,
    pub reserved2: [u64; 4],
    pub begin: u32,
    pub next: u32,
    pub scratch: usize,
}

impl Ring {
    /// The element of an index.
    pub fn at(&self, index: u32) -> *mut u8 {
        ((&raw const *self).addr() + 64 + (index & self.mask) as usize * usize::from(self.stride)) as *mut u8
    }

    /// An index moved on.
    pub fn after(&self, index: u32, by: u32) -> u32 {
        index.wrapping_add(by) & self.mask
    }

    /// Elements that the driver owns.
    pub fn owned(&self) -> u32 {
        self.end.wrapping_sub(self.begin) & self.mask
    }
}

table_functions! { entry, globals;
    0 adapter_init_allocate(device: Handle) -> Handle;
    1 adapter_init_free(init: Handle);
    2 adapter_init_set_datapath(init: Handle, c: *const DatapathCallbacks);
    3 adapter_create(init: Handle, a: *const Attributes, out: *mut Handle) -> NtStatus;
    4 adapter_start(adapter: Handle) -> NtStatus;
    5 adapter_stop(adapter: Handle);
    6 adapter_set_link_layer(adapter: Handle, c: *const LinkLayerCapabilities);
    7 adapter_set_mtu(adapter: Handle, mtu: u32);
    10 adapter_wake_set_bitmap(adapter: Handle, c: *const u32);
    14 adapter_set_datapath(adapter: Handle, tx: *const TxCapabilities, rx: *const RxCapabilities);
    15 adapter_set_link_state(adapter: Handle, s: *const LinkState);
    17 adapter_open_configuration(adapter: Handle, a: *const Attributes, out: *mut Handle) -> NtStatus;
    20 adapter_set_checksum(adapter: Handle, c: *const [usize; 2]);
    30 adapter_parent(adapter: Handle) -> Handle;
    31 adapter_mtu(adapter: Handle) -> u32;
    35 configuration_close(configuration: Handle);
    37 configuration_query(configuration: Handle, flags: u32, name: *const UnicodeString, out: *mut u32) -> NtStatus;
    46 device_init_config(init: Handle) -> NtStatus;
    58 rx_create(init: Handle, a: *const Attributes, c: *const PacketQueueConfig, out: *mut Handle) -> NtStatus;
    59 rx_notify(queue: Handle);
    60 rx_id(init: Handle) -> u32;
    61 rx_rings(queue: Handle) -> *const [*mut Ring; 3];
    62 rx_extension(queue: Handle, q: *const ExtensionQuery, e: *mut Extension);
    63 tx_create(init: Handle, a: *const Attributes, c: *const PacketQueueConfig, out: *mut Handle) -> NtStatus;
    64 tx_notify(queue: Handle);
    65 tx_id(init: Handle) -> u32;
    66 tx_rings(queue: Handle) -> *const [*mut Ring; 3];
    67 tx_extension(queue: Handle, q: *const ExtensionQuery, e: *mut Extension);
}
