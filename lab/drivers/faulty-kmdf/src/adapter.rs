//! The adapter: created with the device, started when its hardware is prepared, with one queue each way.

use crate::net::{self, DatapathCallbacks, LinkLayerCapabilities, LinkState, RxCapabilities, TxCapabilities};
use crate::wdf::{self, Attributes, Handle, NtStatus, UnicodeString};
use crate::{SUCCESS, device, expect, fault, ok, rings, wide};
use core::ptr::null;
use core::sync::atomic::{AtomicUsize, Ordering};

/// NETADAPTER.
pub static ADAPTER: AtomicUsize = AtomicUsize::new(0);

/// After WdfDeviceCreate.
pub fn create(device: Handle) -> NtStatus {
    let init = net::adapter_init_allocate(device);
    if init == 0 {
        return crate::UNSUCCESSFUL;
    }
    let callbacks = DatapathCallbacks {
        size: 24,
        create_tx: create_tx as *const () as usize,
        create_rx: create_rx as *const () as usize,
    };
    // 702, netcx.sequence: no callbacks before the adapter.
    if fault() != 702 {
        net::adapter_init_set_datapath(init, &raw const callbacks);
    }
    let mut a = Attributes::new(0);
    a.cleanup = cleanup as *const () as usize;
    let mut adapter = 0;
    let s = net::adapter_create(init, &raw const a, &raw mut adapter);
    // 703, netcx.adapter-init-leak
    if fault() != 703 {
        net::adapter_init_free(init);
    }
    if fault() == 704 {
        // netcx.bad-adapter-init: it is gone.
        net::adapter_init_free(init);
    }
    if s < 0 {
        return s;
    }
    expect(net::adapter_parent(adapter) == device);
    ADAPTER.store(adapter, Ordering::Relaxed);
    SUCCESS
}

extern "system" fn cleanup(_adapter: Handle) {
    ADAPTER.store(0, Ordering::Relaxed);
}

/// EvtDevicePrepareHardware.
pub fn start() -> NtStatus {
    let adapter = ADAPTER.load(Ordering::Relaxed);
    configuration(adapter);
    if fault() == 705 {
        // netcx.sequence: started without capabilities.
        return net::adapter_start(adapter);
    }
    let link = LinkLayerCapabilities { size: 24, max_tx: 1_000_000_000, max_rx: 1_000_000_000 };
    net::adapter_set_link_layer(adapter, &raw const link);
    // 706, netcx.bad-parameter: less than IP allows.
    net::adapter_set_mtu(adapter, if fault() == 706 { 10 } else { 1400 });
    expect(net::adapter_mtu(adapter) == 1400);
    let mut tx = TxCapabilities {
        size: 56,
        mapping: 0,
        backfill: 16,
        max_fragments: usize::MAX,
        alignment: 1,
        ring_hint: 0,
        max_queues: 1,
        dma: 0,
    };
    let mut rx = RxCapabilities {
        size: 56,
        allocation: 0,
        attachment: 0,
        ring_hint: 0,
        max_frame: 1500,
        max_queues: 1,
        mapping: 0,
        alignment: 1,
        dma: 0,
    };
    match fault() {
        // netcx.bad-capabilities: no queue.
        708 => tx.max_queues = 0,
        709 => rx.max_frame = 0,
        // netcx.ring.rx-frame-too-large: smaller than what is given.
        808 => rx.max_frame = 64,
        _ => {}
    }
    net::adapter_set_datapath(adapter, &raw const tx, &raw const rx);
    let checksum = [16, 0];
    match fault() {
        // netcx.offload-for-2.0-only: the client is of 2.1.
        707 => net::adapter_set_checksum(adapter, &raw const checksum),
        // netcx.not-implemented
        710 => net::adapter_wake_set_bitmap(adapter, &raw const link.size),
        // wdf.bad-config-size
        711 => net::adapter_set_link_layer(adapter, (&raw const rx).cast()),
        _ => {}
    }
    let s = net::adapter_start(adapter);
    if s < 0 {
        return s;
    }
    match fault() {
        // netcx.sequence
        712 => net::adapter_set_datapath(adapter, &raw const tx, &raw const rx),
        713 => return net::adapter_start(adapter),
        _ => {}
    }
    wdf::at_dispatch(|| link_state(adapter, 1));
    SUCCESS
}

/// NetAdapterSetLinkState: 1 connected, 2 disconnected.
pub fn link_state(adapter: Handle, connect: u32) {
    let state = LinkState {
        size: 40,
        tx_speed: 1_000_000_000,
        rx_speed: 1_000_000_000,
        connect,
        duplex: 2,
        pause: 0,
        negotiation: 0,
    };
    net::adapter_set_link_state(adapter, &raw const state);
}

/// What the INF has written is found, and nothing else.
fn configuration(adapter: Handle) {
    let mut c = 0;
    ok(net::adapter_open_configuration(adapter, null(), &raw mut c));
    let (name, none) = (UnicodeString::new(wide!("*IfType")), UnicodeString::new(wide!("NoSuchValue")));
    let mut v = 0;
    ok(net::configuration_query(c, 0, &raw const name, &raw mut v));
    expect(v == 53 && net::configuration_query(c, 0, &raw const none, &raw mut v) < 0);
    net::configuration_close(c);
}

extern "system" fn create_tx(_adapter: Handle, init: Handle) -> NtStatus {
    match fault() {
        // netcx.sequence: success without a queue.
        714 => return SUCCESS,
        // netcx.queue-create-outside-callback: the init is of the other direction.
        715 => return rings::create(false, init),
        _ => {}
    }
    expect(net::tx_id(init) == 0);
    rings::create(true, init)
}

extern "system" fn create_rx(_adapter: Handle, init: Handle) -> NtStatus {
    expect(net::rx_id(init) == 0);
    rings::create(false, init)
}

/// With the first request: the adapter is started, and its queues run.
pub fn fault_on_request() {
    let adapter = ADAPTER.load(Ordering::Relaxed);
    match fault() {
        // netcx.unbind-with-adapters
        716 => crate::bind::unbind_class(),
        // netcx.wrong-queue
        717 => net::rx_notify(rings::TX.load(Ordering::Acquire)),
        // wdf.wrong-type: a handle of the other table's.
        718 => net::adapter_stop(device::DEVICE.load(Ordering::Relaxed)),
        // netcx.sequence: stopped twice.
        719 => {
            net::adapter_stop(adapter);
            net::adapter_stop(adapter);
        }
        // netcx.bad-parameter
        720 => link_state(adapter, 7),
        // netcx.notify-destroyed-queue
        721 => {
            let queue = rings::RX.load(Ordering::Acquire);
            net::adapter_stop(adapter);
            net::rx_notify(queue);
        }
        _ => {}
    }
}
