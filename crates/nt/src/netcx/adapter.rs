//! The network adapter object.

use super::queue::{AdapterEvents, create_rx, create_tx};
use crate::status::{Result, Status};
use crate::wdf::device::{DeviceInit, Handle};
use crate::wdf::object::Child;
use core::ptr::null_mut;
use nt_sys::net::{
    _NET_IF_MEDIA_CONNECT_STATE, _NET_IF_MEDIA_DUPLEX_STATE, NET_ADAPTER_DATAPATH_CALLBACKS, NETADAPTER,
};
use nt_sys::{
    NET_ADAPTER_LINK_LAYER_CAPABILITIES_INIT, NET_ADAPTER_LINK_STATE_INIT,
    NET_ADAPTER_RX_CAPABILITIES_INIT_SYSTEM_MANAGED, NET_ADAPTER_TX_CAPABILITIES_INIT, net_call,
};

/// What the adapter reports of itself.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Largest inner packet, bytes.
    pub mtu: u32,
    /// Size of receive buffers, bytes; at least `mtu`.
    pub frame: u32,
    /// Nominal speed, bits per second.
    pub speed: u64,
}

/// The adapter of a device; deleted with it.
pub struct Adapter {
    raw: Child<NETADAPTER>,
    limits: Limits,
}

// SAFETY: NetAdapterCx adapter handles may be used from any thread.
unsafe impl Send for Adapter {}
// SAFETY: as above.
unsafe impl Sync for Adapter {}

impl DeviceInit {
    /// Makes the device that is being set up a network device; comes first. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// NetDeviceInitConfig's status.
    pub fn network(&mut self) -> Result<()> {
        // SAFETY: the structure is this object's own.
        Status(unsafe { net_call!(NetDeviceInitConfig, self.raw()) }).ok()
    }
}

impl Adapter {
    /// Creates the adapter of `device`, whose context (a `T`) gets the queues' events. PASSIVE_LEVEL, in EvtDriverDeviceAdd.
    ///
    /// # Errors
    /// NetAdapterCx's status.
    pub fn new<T: AdapterEvents>(device: Handle<'_>, limits: Limits) -> Result<Self> {
        // SAFETY: the device is live.
        let init = unsafe { net_call!(NetAdapterInitAllocate, device.raw()) };
        if init.is_null() {
            return Err(Status::INSUFFICIENT_RESOURCES);
        }
        let mut callbacks = NET_ADAPTER_DATAPATH_CALLBACKS {
            Size: size_of::<NET_ADAPTER_DATAPATH_CALLBACKS>() as u32,
            EvtAdapterCreateTxQueue: Some(create_tx::<T>),
            EvtAdapterCreateRxQueue: Some(create_rx::<T>),
        };
        let mut adapter: NETADAPTER = null_mut();
        // SAFETY: the init structure was just allocated and is freed in either outcome; the rest are live locals. NULL attributes
        // mean none.
        let status = unsafe {
            net_call!(NetAdapterInitSetDatapathCallbacks, init, &raw mut callbacks);
            let status = net_call!(NetAdapterCreate, init, null_mut(), &raw mut adapter);
            net_call!(NetAdapterInitFree, init);
            status
        };
        Status(status).ok()?;
        // SAFETY: the call returned a live handle.
        Ok(Self { raw: unsafe { Child::new(adapter) }, limits })
    }

    /// Reports capabilities and starts the adapter with its link down. PASSIVE_LEVEL, in EvtDevicePrepareHardware.
    ///
    /// # Errors
    /// NetAdapterStart's status.
    pub fn start(&self) -> Result<()> {
        let adapter = self.raw.handle();
        let mut link = NET_ADAPTER_LINK_LAYER_CAPABILITIES_INIT(self.limits.speed, self.limits.speed);
        let mut tx = NET_ADAPTER_TX_CAPABILITIES_INIT(1);
        let mut rx = NET_ADAPTER_RX_CAPABILITIES_INIT_SYSTEM_MANAGED(u64::from(self.limits.frame), 1);
        // SAFETY: the adapter is live (`Child`); the structures are live locals that NetAdapterCx copies.
        unsafe {
            net_call!(NetAdapterSetDataPathCapabilities, adapter, &raw mut tx, &raw mut rx);
            net_call!(NetAdapterSetLinkLayerCapabilities, adapter, &raw mut link);
            net_call!(NetAdapterSetLinkLayerMtuSize, adapter, self.limits.mtu);
        }
        self.set_link(false);
        // SAFETY: as above.
        Status(unsafe { net_call!(NetAdapterStart, adapter) }).ok()
    }

    /// Reports the link as connected or disconnected. IRQL <= DISPATCH_LEVEL.
    pub fn set_link(&self, up: bool) {
        let connect = if up {
            _NET_IF_MEDIA_CONNECT_STATE::MediaConnectStateConnected
        } else {
            _NET_IF_MEDIA_CONNECT_STATE::MediaConnectStateDisconnected
        };
        let mut state = NET_ADAPTER_LINK_STATE_INIT(
            self.limits.speed,
            connect,
            _NET_IF_MEDIA_DUPLEX_STATE::MediaDuplexStateFull,
            0,
            0,
        );
        // SAFETY: the adapter is live (`Child`); the structure is a live local that NetAdapterCx copies.
        unsafe { net_call!(NetAdapterSetLinkState, self.raw.handle(), &raw mut state) };
    }
}
