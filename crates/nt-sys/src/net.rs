//! NetAdapterCx 2.0: structures, callbacks, rings, and the function table. Not in `wdk-sys`.

use core::{
    ffi::c_void,
    ptr,
    sync::atomic::{AtomicPtr, Ordering::Relaxed},
};

use crate::{
    BOOLEAN, MDL, NTSTATUS, PCWSTR, PVOID, SIZE_T, UCHAR, ULONG, ULONG64, UNICODE_STRING, USHORT,
    WDF_OBJECT_ATTRIBUTES, WDFDEVICE, WDFDEVICE_INIT, WDFFUNC,
    bind::{Static, WDF_CLASS_BIND_INFO, WDF_CLASS_VERSION},
    wide,
};

type UINT16 = u16;
type UINT32 = u32;
type UINT64 = u64;

/// Client version. The indices of 2.0 hold up to 2.5; a newer client is refused by Windows 10.
pub const NET_ADAPTER_VERSION: (ULONG, ULONG) = (2, 0);

/// Functions of a 2.0 client.
pub const NET_FUNCTION_COUNT: usize = 75;

// NetAdapterCx copies its functions into this array when it is bound. `Option<fn>` and a pointer are alike.
static NET_FUNCTIONS: [AtomicPtr<c_void>; NET_FUNCTION_COUNT] =
    [const { AtomicPtr::new(ptr::null_mut()) }; NET_FUNCTION_COUNT];
static NET_GLOBALS: AtomicPtr<NET_DRIVER_GLOBALS> = AtomicPtr::new(ptr::null_mut());

/// The record by which NetAdapterCx is bound. The framework keeps its address and writes `ClassModule`.
///
/// With the feature `wdk` the WDK's entry code finds it by its section; without, `bind` passes it on.
#[cfg_attr(all(windows, feature = "wdk"), unsafe(link_section = ".kmdfclassbind$b"))]
#[used]
pub static CLASS_BIND_INFO: Static<WDF_CLASS_BIND_INFO> = Static::new(WDF_CLASS_BIND_INFO {
    Size: size_of::<WDF_CLASS_BIND_INFO>() as ULONG,
    ClassName: wide!("NetAdapterCx").as_ptr(),
    Version: WDF_CLASS_VERSION { Major: NET_ADAPTER_VERSION.0, Minor: NET_ADAPTER_VERSION.1, Build: 0 },
    FunctionTable: NET_FUNCTIONS[0].as_ptr().cast(),
    FunctionTableCount: NET_FUNCTION_COUNT as ULONG,
    ClassBindInfo: NET_GLOBALS.as_ptr().cast(),
    ClientBindClass: ptr::null_mut(),
    ClientUnbindClass: ptr::null_mut(),
    ClassModule: ptr::null_mut(),
});

/// The table `net_call!` reads.
#[must_use]
#[inline]
pub fn functions() -> *const WDFFUNC {
    NET_FUNCTIONS.as_ptr().cast()
}

/// What every NetAdapterCx function takes first. Null before the class extension is bound.
#[must_use]
#[inline]
pub fn driver_globals() -> PNET_DRIVER_GLOBALS {
    // Relaxed: written before DriverEntry is called.
    NET_GLOBALS.load(Relaxed)
}

#[repr(C)]
pub struct NETADAPTER__ {
    _unused: core::ffi::c_int,
}
pub type NETADAPTER = *mut NETADAPTER__;

#[repr(C)]
pub struct NETPACKETQUEUE__ {
    _unused: core::ffi::c_int,
}
pub type NETPACKETQUEUE = *mut NETPACKETQUEUE__;

#[repr(C)]
pub struct NETCONFIGURATION__ {
    _unused: core::ffi::c_int,
}
pub type NETCONFIGURATION = *mut NETCONFIGURATION__;

#[repr(C)]
pub struct NETOFFLOAD__ {
    _unused: core::ffi::c_int,
}
pub type NETOFFLOAD = *mut NETOFFLOAD__;

#[repr(C)]
pub struct NET_FRAGMENT_RETURN_CONTEXT_HANDLE__ {
    _unused: core::ffi::c_int,
}
pub type NET_FRAGMENT_RETURN_CONTEXT_HANDLE = *mut NET_FRAGMENT_RETURN_CONTEXT_HANDLE__;

/// Opaque.
#[repr(C)]
pub struct NETADAPTER_INIT {
    _unused: [u8; 0],
}
pub type PNETADAPTER_INIT = *mut NETADAPTER_INIT;

/// Opaque.
#[repr(C)]
pub struct NETTXQUEUE_INIT {
    _unused: [u8; 0],
}
pub type PNETTXQUEUE_INIT = *mut NETTXQUEUE_INIT;

/// Opaque.
#[repr(C)]
pub struct NETRXQUEUE_INIT {
    _unused: [u8; 0],
}
pub type PNETRXQUEUE_INIT = *mut NETRXQUEUE_INIT;

pub mod _NET_IF_CONNECTION_TYPE {
    pub type Type = core::ffi::c_int;
    pub const NET_IF_CONNECTION_DEDICATED: Type = 1;
    pub const NET_IF_CONNECTION_PASSIVE: Type = 2;
    pub const NET_IF_CONNECTION_DEMAND: Type = 3;
    pub const NET_IF_CONNECTION_MAXIMUM: Type = 4;
}
pub use self::_NET_IF_CONNECTION_TYPE::Type as NET_IF_CONNECTION_TYPE;

pub mod _NET_IF_ACCESS_TYPE {
    pub type Type = core::ffi::c_int;
    pub const NET_IF_ACCESS_LOOPBACK: Type = 1;
    pub const NET_IF_ACCESS_BROADCAST: Type = 2;
    pub const NET_IF_ACCESS_POINT_TO_POINT: Type = 3;
    pub const NET_IF_ACCESS_POINT_TO_MULTI_POINT: Type = 4;
    pub const NET_IF_ACCESS_MAXIMUM: Type = 5;
}
pub use self::_NET_IF_ACCESS_TYPE::Type as NET_IF_ACCESS_TYPE;

pub mod _NET_IF_DIRECTION_TYPE {
    pub type Type = core::ffi::c_int;
    pub const NET_IF_DIRECTION_SENDRECEIVE: Type = 0;
    pub const NET_IF_DIRECTION_SENDONLY: Type = 1;
    pub const NET_IF_DIRECTION_RECEIVEONLY: Type = 2;
    pub const NET_IF_DIRECTION_MAXIMUM: Type = 3;
}
pub use self::_NET_IF_DIRECTION_TYPE::Type as NET_IF_DIRECTION_TYPE;

pub mod _NET_IF_MEDIA_CONNECT_STATE {
    pub type Type = core::ffi::c_int;
    pub const MediaConnectStateUnknown: Type = 0;
    pub const MediaConnectStateConnected: Type = 1;
    pub const MediaConnectStateDisconnected: Type = 2;
}
pub use self::_NET_IF_MEDIA_CONNECT_STATE::Type as NET_IF_MEDIA_CONNECT_STATE;

pub mod _NET_IF_MEDIA_DUPLEX_STATE {
    pub type Type = core::ffi::c_int;
    pub const MediaDuplexStateUnknown: Type = 0;
    pub const MediaDuplexStateHalf: Type = 1;
    pub const MediaDuplexStateFull: Type = 2;
}
pub use self::_NET_IF_MEDIA_DUPLEX_STATE::Type as NET_IF_MEDIA_DUPLEX_STATE;

pub mod _NET_RING_TYPE {
    pub type Type = core::ffi::c_int;
    pub const NetRingTypePacket: Type = 0;
    pub const NetRingTypeFragment: Type = 1;
    pub const NetRingTypeDataBuffer: Type = 2;
}
pub use self::_NET_RING_TYPE::Type as NET_RING_TYPE;

pub mod _NET_PACKET_LAYER2_TYPE {
    pub type Type = core::ffi::c_int;
    pub const NetPacketLayer2TypeUnspecified: Type = 0;
    pub const NetPacketLayer2TypeNull: Type = 1;
    pub const NetPacketLayer2TypeEthernet: Type = 2;
    pub const NetPacketLayer2TypeIeee80211: Type = 3;
}
pub use self::_NET_PACKET_LAYER2_TYPE::Type as NET_PACKET_LAYER2_TYPE;

pub mod _NET_PACKET_LAYER3_TYPE {
    pub type Type = core::ffi::c_int;
    pub const NetPacketLayer3TypeUnspecified: Type = 0;
    pub const NetPacketLayer3TypeIPv4UnspecifiedOptions: Type = 1;
    pub const NetPacketLayer3TypeIPv4WithOptions: Type = 2;
    pub const NetPacketLayer3TypeIPv4NoOptions: Type = 3;
    pub const NetPacketLayer3TypeIPv6UnspecifiedExtensions: Type = 4;
    pub const NetPacketLayer3TypeIPv6WithExtensions: Type = 5;
    pub const NetPacketLayer3TypeIPv6NoExtensions: Type = 6;
}
pub use self::_NET_PACKET_LAYER3_TYPE::Type as NET_PACKET_LAYER3_TYPE;

pub mod _NET_PACKET_LAYER4_TYPE {
    pub type Type = core::ffi::c_int;
    pub const NetPacketLayer4TypeUnspecified: Type = 0;
    pub const NetPacketLayer4TypeTcp: Type = 1;
    pub const NetPacketLayer4TypeUdp: Type = 2;
    pub const NetPacketLayer4TypeIPFragment: Type = 3;
    pub const NetPacketLayer4TypeIPNotFragment: Type = 4;
}
pub use self::_NET_PACKET_LAYER4_TYPE::Type as NET_PACKET_LAYER4_TYPE;

pub mod _NET_EXTENSION_TYPE {
    pub type Type = core::ffi::c_int;
    pub const NetExtensionTypePacket: Type = 1;
    pub const NetExtensionTypeFragment: Type = 2;
    pub const NetExtensionTypeBuffer: Type = 3;
}
pub use self::_NET_EXTENSION_TYPE::Type as NET_EXTENSION_TYPE;

pub mod _NET_PACKET_TX_CHECKSUM_ACTION {
    pub type Type = core::ffi::c_int;
    pub const NetPacketTxChecksumActionPassthrough: Type = 0;
    pub const NetPacketTxChecksumActionRequired: Type = 2;
}
pub use self::_NET_PACKET_TX_CHECKSUM_ACTION::Type as NET_PACKET_TX_CHECKSUM_ACTION;

pub mod _NET_PACKET_RX_CHECKSUM_EVALUATION {
    pub type Type = core::ffi::c_int;
    pub const NetPacketRxChecksumEvaluationNotChecked: Type = 0;
    pub const NetPacketRxChecksumEvaluationValid: Type = 1;
    pub const NetPacketRxChecksumEvaluationInvalid: Type = 2;
}
pub use self::_NET_PACKET_RX_CHECKSUM_EVALUATION::Type as NET_PACKET_RX_CHECKSUM_EVALUATION;

pub mod _NET_ADAPTER_PAUSE_FUNCTION_TYPE {
    pub type Type = core::ffi::c_int;
    pub const NetAdapterPauseFunctionTypeUnsupported: Type = 0;
    pub const NetAdapterPauseFunctionTypeSendOnly: Type = 1;
    pub const NetAdapterPauseFunctionTypeReceiveOnly: Type = 2;
    pub const NetAdapterPauseFunctionTypeSendAndReceive: Type = 3;
    pub const NetAdapterPauseFunctionTypeUnknown: Type = 4;
}
pub use self::_NET_ADAPTER_PAUSE_FUNCTION_TYPE::Type as NET_ADAPTER_PAUSE_FUNCTION_TYPE;

pub mod _NET_ADAPTER_AUTO_NEGOTIATION_FLAGS {
    pub type Type = core::ffi::c_int;
    pub const NetAdapterAutoNegotiationFlagNone: Type = 0;
    pub const NetAdapterAutoNegotiationFlagXmitLinkSpeedAutoNegotiated: Type = 1;
    pub const NetAdapterAutoNegotiationFlagRcvLinkSpeedautoNegotiated: Type = 2;
    pub const NetAdapterAutoNegotiationFlagDuplexAutoNegotiated: Type = 4;
    pub const NetAdapterAutoNegotiationFlagPauseFunctionsAutoNegotiated: Type = 8;
}
pub use self::_NET_ADAPTER_AUTO_NEGOTIATION_FLAGS::Type as NET_ADAPTER_AUTO_NEGOTIATION_FLAGS;

pub mod _NET_MEMORY_MAPPING_REQUIREMENT {
    pub type Type = core::ffi::c_int;
    pub const NetMemoryMappingRequirementNone: Type = 0;
    pub const NetMemoryMappingRequirementDmaMapped: Type = 1;
}
pub use self::_NET_MEMORY_MAPPING_REQUIREMENT::Type as NET_MEMORY_MAPPING_REQUIREMENT;

pub mod _NET_RX_FRAGMENT_BUFFER_ALLOCATION_MODE {
    pub type Type = core::ffi::c_int;
    pub const NetRxFragmentBufferAllocationModeSystem: Type = 0;
    pub const NetRxFragmentBufferAllocationModeDriver: Type = 1;
}
pub use self::_NET_RX_FRAGMENT_BUFFER_ALLOCATION_MODE::Type as NET_RX_FRAGMENT_BUFFER_ALLOCATION_MODE;

pub mod _NET_RX_FRAGMENT_BUFFER_ATTACHMENT_MODE {
    pub type Type = core::ffi::c_int;
    pub const NetRxFragmentBufferAttachmentModeSystem: Type = 0;
    pub const NetRxFragmentBufferAttachmentModeDriver: Type = 1;
}
pub use self::_NET_RX_FRAGMENT_BUFFER_ATTACHMENT_MODE::Type as NET_RX_FRAGMENT_BUFFER_ATTACHMENT_MODE;

pub mod _NET_ADAPTER_OFFLOAD_LAYER3_FLAGS {
    pub type Type = core::ffi::c_int;
    pub const NetAdapterOffloadLayer3FlagIPv4NoOptions: Type = 1;
    pub const NetAdapterOffloadLayer3FlagIPv4WithOptions: Type = 2;
    pub const NetAdapterOffloadLayer3FlagIPv6NoExtensions: Type = 4;
    pub const NetAdapterOffloadLayer3FlagIPv6WithExtensions: Type = 8;
}
pub use self::_NET_ADAPTER_OFFLOAD_LAYER3_FLAGS::Type as NET_ADAPTER_OFFLOAD_LAYER3_FLAGS;

pub mod _NET_ADAPTER_OFFLOAD_LAYER4_FLAGS {
    pub type Type = core::ffi::c_int;
    pub const NetAdapterOffloadLayer4FlagTcpNoOptions: Type = 1;
    pub const NetAdapterOffloadLayer4FlagTcpWithOptions: Type = 2;
    pub const NetAdapterOffloadLayer4FlagUdp: Type = 4;
}
pub use self::_NET_ADAPTER_OFFLOAD_LAYER4_FLAGS::Type as NET_ADAPTER_OFFLOAD_LAYER4_FLAGS;

pub mod _NET_CONFIGURATION_QUERY_ULONG_FLAGS {
    pub type Type = core::ffi::c_int;
    pub const NET_CONFIGURATION_QUERY_ULONG_NO_FLAGS: Type = 0;
    pub const NET_CONFIGURATION_QUERY_ULONG_MAY_BE_STORED_AS_HEX_STRING: Type = 1;
}
pub use self::_NET_CONFIGURATION_QUERY_ULONG_FLAGS::Type as NET_CONFIGURATION_QUERY_ULONG_FLAGS;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct NET_DRIVER_GLOBALS {
    pub Unused: ULONG,
}
pub type PNET_DRIVER_GLOBALS = *mut NET_DRIVER_GLOBALS;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct NET_ADAPTER_DATAPATH_CALLBACKS {
    pub Size: ULONG,
    pub EvtAdapterCreateTxQueue: PFN_NET_ADAPTER_CREATE_TXQUEUE,
    pub EvtAdapterCreateRxQueue: PFN_NET_ADAPTER_CREATE_RXQUEUE,
}
pub type PNET_ADAPTER_DATAPATH_CALLBACKS = *mut NET_ADAPTER_DATAPATH_CALLBACKS;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct NET_ADAPTER_LINK_LAYER_CAPABILITIES {
    pub Size: ULONG,
    pub MaxTxLinkSpeed: ULONG64,
    pub MaxRxLinkSpeed: ULONG64,
}
pub type PNET_ADAPTER_LINK_LAYER_CAPABILITIES = *mut NET_ADAPTER_LINK_LAYER_CAPABILITIES;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct NET_ADAPTER_LINK_LAYER_ADDRESS {
    pub Length: USHORT,
    pub Address: [UCHAR; 32],
}
pub type PNET_ADAPTER_LINK_LAYER_ADDRESS = *mut NET_ADAPTER_LINK_LAYER_ADDRESS;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct NET_ADAPTER_TX_CAPABILITIES {
    pub Size: ULONG,
    pub MappingRequirement: NET_MEMORY_MAPPING_REQUIREMENT,
    pub PayloadBackfill: SIZE_T,
    pub MaximumNumberOfFragments: SIZE_T,
    pub FragmentBufferAlignment: SIZE_T,
    pub FragmentRingNumberOfElementsHint: UINT32,
    pub MaximumNumberOfQueues: SIZE_T,
    pub DmaCapabilities: *mut NET_ADAPTER_DMA_CAPABILITIES,
}
pub type PNET_ADAPTER_TX_CAPABILITIES = *mut NET_ADAPTER_TX_CAPABILITIES;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct NET_ADAPTER_LINK_STATE {
    pub Size: ULONG,
    pub TxLinkSpeed: ULONG64,
    pub RxLinkSpeed: ULONG64,
    pub MediaConnectState: NET_IF_MEDIA_CONNECT_STATE,
    pub MediaDuplexState: NET_IF_MEDIA_DUPLEX_STATE,
    pub SupportedPauseFunctions: NET_ADAPTER_PAUSE_FUNCTION_TYPE,
    pub AutoNegotiationFlags: NET_ADAPTER_AUTO_NEGOTIATION_FLAGS,
}
pub type PNET_ADAPTER_LINK_STATE = *mut NET_ADAPTER_LINK_STATE;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct NET_PACKET_QUEUE_CONFIG {
    pub Size: ULONG,
    pub EvtStart: PFN_PACKET_QUEUE_START,
    pub EvtStop: PFN_PACKET_QUEUE_STOP,
    pub EvtAdvance: PFN_PACKET_QUEUE_ADVANCE,
    pub EvtSetNotificationEnabled: PFN_PACKET_QUEUE_SET_NOTIFICATION_ENABLED,
    pub EvtCancel: PFN_PACKET_QUEUE_CANCEL,
}
pub type PNET_PACKET_QUEUE_CONFIG = *mut NET_PACKET_QUEUE_CONFIG;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct NET_EXTENSION_QUERY {
    pub Size: ULONG,
    pub Name: PCWSTR,
    pub Version: ULONG,
    pub Type: NET_EXTENSION_TYPE,
}
pub type PNET_EXTENSION_QUERY = *mut NET_EXTENSION_QUERY;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct NET_RING_COLLECTION {
    pub Rings: [*mut NET_RING; 3],
}
pub type PNET_RING_COLLECTION = *mut NET_RING_COLLECTION;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct NET_FRAGMENT_VIRTUAL_ADDRESS {
    pub VirtualAddress: PVOID,
}
pub type PNET_FRAGMENT_VIRTUAL_ADDRESS = *mut NET_FRAGMENT_VIRTUAL_ADDRESS;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct NET_FRAGMENT_LOGICAL_ADDRESS {
    pub LogicalAddress: UINT64,
}
pub type PNET_FRAGMENT_LOGICAL_ADDRESS = *mut NET_FRAGMENT_LOGICAL_ADDRESS;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct NET_FRAGMENT_MDL {
    pub Mdl: *mut MDL,
}
pub type PNET_FRAGMENT_MDL = *mut NET_FRAGMENT_MDL;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct NET_ADAPTER_OFFLOAD_CHECKSUM_CAPABILITIES {
    pub Size: ULONG,
    pub IPv4: BOOLEAN,
    pub Tcp: BOOLEAN,
    pub Udp: BOOLEAN,
    pub EvtAdapterOffloadSetChecksum: PFN_NET_ADAPTER_OFFLOAD_SET_CHECKSUM,
}
pub type PNET_ADAPTER_OFFLOAD_CHECKSUM_CAPABILITIES = *mut NET_ADAPTER_OFFLOAD_CHECKSUM_CAPABILITIES;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct NET_ADAPTER_OFFLOAD_TX_CHECKSUM_CAPABILITIES {
    pub Size: ULONG,
    pub Layer3Flags: NET_ADAPTER_OFFLOAD_LAYER3_FLAGS,
    pub Layer4Flags: NET_ADAPTER_OFFLOAD_LAYER4_FLAGS,
    pub Layer3HeaderOffsetLimit: USHORT,
    pub Layer4HeaderOffsetLimit: USHORT,
    pub EvtAdapterOffloadSetTxChecksum: PFN_NET_ADAPTER_OFFLOAD_SET_TX_CHECKSUM,
}
pub type PNET_ADAPTER_OFFLOAD_TX_CHECKSUM_CAPABILITIES = *mut NET_ADAPTER_OFFLOAD_TX_CHECKSUM_CAPABILITIES;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct NET_ADAPTER_OFFLOAD_RX_CHECKSUM_CAPABILITIES {
    pub Size: ULONG,
    pub EvtAdapterOffloadSetRxChecksum: PFN_NET_ADAPTER_OFFLOAD_SET_RX_CHECKSUM,
}
pub type PNET_ADAPTER_OFFLOAD_RX_CHECKSUM_CAPABILITIES = *mut NET_ADAPTER_OFFLOAD_RX_CHECKSUM_CAPABILITIES;

/// `IF_MAX_PHYS_ADDRESS_LENGTH` bytes and their number: what an adapter is known by, as LUID.
#[repr(C)]
#[derive(Clone, Copy)]
pub union NET_LUID {
    pub Value: ULONG64,
    /// Low to high: 24 bits reserved, 24 bits NetLuidIndex, 16 bits IfType.
    pub Info: ULONG64,
}

/// Opaque but for its size; null for a driver without DMA.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct NET_ADAPTER_DMA_CAPABILITIES {
    _opaque: [UINT64; 4],
}

/// The middle of `NET_ADAPTER_RX_CAPABILITIES` where the driver allocates the buffers itself.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct NET_ADAPTER_RX_CAPABILITIES_SYSTEM {
    pub MappingRequirement: NET_MEMORY_MAPPING_REQUIREMENT,
    pub FragmentBufferAlignment: SIZE_T,
    pub DmaCapabilities: *mut NET_ADAPTER_DMA_CAPABILITIES,
}

/// The last member of `NET_ADAPTER_RX_CAPABILITIES`, by allocation mode.
#[repr(C)]
#[derive(Clone, Copy)]
pub union NET_ADAPTER_RX_CAPABILITIES_MODE {
    pub EvtAdapterReturnRxBuffer: PFN_NET_ADAPTER_RETURN_RX_BUFFER,
    pub System: NET_ADAPTER_RX_CAPABILITIES_SYSTEM,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct NET_ADAPTER_RX_CAPABILITIES {
    pub Size: ULONG,
    pub AllocationMode: NET_RX_FRAGMENT_BUFFER_ALLOCATION_MODE,
    pub AttachmentMode: NET_RX_FRAGMENT_BUFFER_ATTACHMENT_MODE,
    pub FragmentRingNumberOfElementsHint: UINT32,
    pub MaximumFrameSize: SIZE_T,
    pub MaximumNumberOfQueues: SIZE_T,
    pub __bindgen_anon_1: NET_ADAPTER_RX_CAPABILITIES_MODE,
}
pub type PNET_ADAPTER_RX_CAPABILITIES = *mut NET_ADAPTER_RX_CAPABILITIES;

/// Where an extension's data is: `Reserved[0] + index * Reserved[1]`, see [`NET_EXTENSION::data`].
#[repr(C)]
#[derive(Clone, Copy)]
pub struct NET_EXTENSION {
    pub Reserved: [PVOID; 4],
    pub Enabled: BOOLEAN,
    _rest: [UCHAR; 7],
}
pub type PNET_EXTENSION = *mut NET_EXTENSION;

impl Default for NET_EXTENSION {
    fn default() -> Self {
        Self::new()
    }
}

impl NET_EXTENSION {
    /// To be filled by `Net[TR]xQueueGetExtension`.
    #[must_use]
    pub const fn new() -> Self {
        Self { Reserved: [ptr::null_mut(); 4], Enabled: 0, _rest: [0; 7] }
    }

    /// The extension's data of the element at `index` of its ring.
    ///
    /// # Safety
    ///
    /// Filled by `Net[TR]xQueueGetExtension` for a queue that still lives, with `Enabled` set, and `index` lies
    /// in the ring.
    #[must_use]
    #[inline]
    pub unsafe fn data(&self, index: u32) -> PVOID {
        // SAFETY: NetAdapterCx laid `index + 1` records of `Reserved[1]` bytes from `Reserved[0]` on.
        unsafe { self.Reserved[0].byte_add(index as usize * self.Reserved[1] as usize) }
    }
}

/// A ring shared with NetAdapterCx; elements follow the structure, see [`NET_RING::element`]. Aligned to SYSTEM_CACHE_ALIGNMENT_SIZE, and
/// so is `Buffer`: 64 on x64, 128 on ARM64 (ntdef.h, ring.h).
#[repr(C)]
#[cfg_attr(not(target_arch = "aarch64"), repr(align(64)))]
#[cfg_attr(target_arch = "aarch64", repr(align(128)))]
pub struct NET_RING {
    pub OSReserved1: UINT16,
    pub ElementStride: UINT16,
    pub NumberOfElements: UINT32,
    pub ElementIndexMask: UINT32,
    /// Moved by NetAdapterCx.
    pub EndIndex: UINT32,
    pub OSReserved2: [PVOID; 4],
    /// Moved by the driver.
    pub BeginIndex: UINT32,
    pub NextIndex: UINT32,
    pub Scratch: PVOID,
    #[cfg(target_arch = "aarch64")]
    pub padding: [UCHAR; 64],
    pub Buffer: [UCHAR; 1],
}
pub type PNET_RING = *mut NET_RING;

impl NET_RING {
    /// The element at `index`.
    ///
    /// # Safety
    ///
    /// `ring` is a ring of a living queue, from its `NET_RING_COLLECTION`.
    #[must_use]
    #[inline]
    pub unsafe fn element(ring: *const Self, index: u32) -> PVOID {
        // SAFETY: the ring is valid, so it is followed by its elements; the mask keeps the index among them.
        unsafe {
            let offset = (index & (*ring).ElementIndexMask) as usize * usize::from((*ring).ElementStride);
            (&raw const (*ring).Buffer).byte_add(offset).cast_mut().cast()
        }
    }
}

/// Header lengths and types of a packet, 36 bits from the lowest: L2 length 7, L3 length 9, L4 length 8, then
/// 4 bits each of L2, L3 and L4 type.
#[repr(C)]
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct NET_PACKET_LAYOUT {
    bytes: [UCHAR; 5],
}

impl NET_PACKET_LAYOUT {
    const fn bits(self) -> u64 {
        let b = self.bytes;
        u64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], 0, 0, 0])
    }

    const fn get(self, shift: u32, width: u32) -> u32 {
        (self.bits() >> shift) as u32 & ((1 << width) - 1)
    }

    const fn with(self, shift: u32, width: u32, value: u32) -> Self {
        let mask = ((1u64 << width) - 1) << shift;
        let b = (self.bits() & !mask | (value as u64) << shift & mask).to_le_bytes();
        Self { bytes: [b[0], b[1], b[2], b[3], b[4]] }
    }

    #[must_use]
    pub const fn Layer2HeaderLength(self) -> u32 {
        self.get(0, 7)
    }

    pub const fn set_Layer2HeaderLength(&mut self, value: u32) {
        *self = self.with(0, 7, value);
    }

    #[must_use]
    pub const fn Layer3HeaderLength(self) -> u32 {
        self.get(7, 9)
    }

    pub const fn set_Layer3HeaderLength(&mut self, value: u32) {
        *self = self.with(7, 9, value);
    }

    #[must_use]
    pub const fn Layer4HeaderLength(self) -> u32 {
        self.get(16, 8)
    }

    pub const fn set_Layer4HeaderLength(&mut self, value: u32) {
        *self = self.with(16, 8, value);
    }

    #[must_use]
    pub const fn Layer2Type(self) -> u32 {
        self.get(24, 4)
    }

    pub const fn set_Layer2Type(&mut self, value: u32) {
        *self = self.with(24, 4, value);
    }

    #[must_use]
    pub const fn Layer3Type(self) -> u32 {
        self.get(28, 4)
    }

    pub const fn set_Layer3Type(&mut self, value: u32) {
        *self = self.with(28, 4, value);
    }

    #[must_use]
    pub const fn Layer4Type(self) -> u32 {
        self.get(32, 4)
    }

    pub const fn set_Layer4Type(&mut self, value: u32) {
        *self = self.with(32, 4, value);
    }
}

/// A packet of a ring. Step by the ring's `ElementStride`, never by this structure's size.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct NET_PACKET {
    pub FragmentIndex: UINT32,
    pub FragmentCount: UINT16,
    pub Layout: NET_PACKET_LAYOUT,
    bits: UCHAR,
}
pub type PNET_PACKET = *mut NET_PACKET;

impl NET_PACKET {
    #[must_use]
    pub const fn Ignore(&self) -> bool {
        self.bits & 1 != 0
    }

    pub const fn set_Ignore(&mut self, value: bool) {
        self.bits = self.bits & !1 | value as u8;
    }

    #[must_use]
    pub const fn Scratch(&self) -> bool {
        self.bits & 2 != 0
    }

    pub const fn set_Scratch(&mut self, value: bool) {
        self.bits = self.bits & !2 | (value as u8) << 1;
    }
}

/// A piece of a packet, 64 bits from the lowest: ValidLength 26, Capacity 26, Offset 10, Scratch 1, reserved 1.
#[repr(C, align(8))]
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct NET_FRAGMENT {
    bits: UINT64,
}
pub type PNET_FRAGMENT = *mut NET_FRAGMENT;

impl NET_FRAGMENT {
    const fn get(&self, shift: u32, width: u32) -> u64 {
        self.bits >> shift & ((1 << width) - 1)
    }

    const fn set(&mut self, shift: u32, width: u32, value: u64) {
        let mask = ((1u64 << width) - 1) << shift;
        self.bits = self.bits & !mask | value << shift & mask;
    }

    #[must_use]
    pub const fn ValidLength(&self) -> u64 {
        self.get(0, 26)
    }

    pub const fn set_ValidLength(&mut self, value: u64) {
        self.set(0, 26, value);
    }

    #[must_use]
    pub const fn Capacity(&self) -> u64 {
        self.get(26, 26)
    }

    pub const fn set_Capacity(&mut self, value: u64) {
        self.set(26, 26, value);
    }

    #[must_use]
    pub const fn Offset(&self) -> u64 {
        self.get(52, 10)
    }

    pub const fn set_Offset(&mut self, value: u64) {
        self.set(52, 10, value);
    }

    #[must_use]
    pub const fn Scratch(&self) -> bool {
        self.get(62, 1) != 0
    }

    pub const fn set_Scratch(&mut self, value: bool) {
        self.set(62, 1, value as u64);
    }
}

/// Checksum extension of a packet: 2 bits each of layers 2, 3 and 4, from the lowest.
#[repr(C)]
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct NET_PACKET_CHECKSUM {
    bits: UCHAR,
}
pub type PNET_PACKET_CHECKSUM = *mut NET_PACKET_CHECKSUM;

impl NET_PACKET_CHECKSUM {
    #[must_use]
    pub const fn Layer2(&self) -> u8 {
        self.bits & 3
    }

    pub const fn set_Layer2(&mut self, value: u8) {
        self.bits = self.bits & !3 | value & 3;
    }

    #[must_use]
    pub const fn Layer3(&self) -> u8 {
        self.bits >> 2 & 3
    }

    pub const fn set_Layer3(&mut self, value: u8) {
        self.bits = self.bits & !(3 << 2) | (value & 3) << 2;
    }

    #[must_use]
    pub const fn Layer4(&self) -> u8 {
        self.bits >> 4 & 3
    }

    pub const fn set_Layer4(&mut self, value: u8) {
        self.bits = self.bits & !(3 << 4) | (value & 3) << 4;
    }
}

pub type PFN_PACKET_QUEUE_START = Option<unsafe extern "C" fn(PacketQueue: NETPACKETQUEUE)>;
pub type PFN_PACKET_QUEUE_STOP = Option<unsafe extern "C" fn(PacketQueue: NETPACKETQUEUE)>;
pub type PFN_PACKET_QUEUE_ADVANCE = Option<unsafe extern "C" fn(PacketQueue: NETPACKETQUEUE)>;
pub type PFN_PACKET_QUEUE_CANCEL = Option<unsafe extern "C" fn(PacketQueue: NETPACKETQUEUE)>;
pub type PFN_PACKET_QUEUE_SET_NOTIFICATION_ENABLED =
    Option<unsafe extern "C" fn(PacketQueue: NETPACKETQUEUE, NotificationEnabled: BOOLEAN)>;

pub type PFN_NET_ADAPTER_CREATE_TXQUEUE = Option<unsafe extern "C" fn(NETADAPTER, *mut NETTXQUEUE_INIT) -> NTSTATUS>;
pub type PFN_NET_ADAPTER_CREATE_RXQUEUE = Option<unsafe extern "C" fn(NETADAPTER, *mut NETRXQUEUE_INIT) -> NTSTATUS>;
pub type PFN_NET_ADAPTER_RETURN_RX_BUFFER =
    Option<unsafe extern "C" fn(NETADAPTER, NET_FRAGMENT_RETURN_CONTEXT_HANDLE)>;
pub type PFN_NET_ADAPTER_OFFLOAD_SET_CHECKSUM = Option<unsafe extern "C" fn(NETADAPTER, NETOFFLOAD)>;
pub type PFN_NET_ADAPTER_OFFLOAD_SET_TX_CHECKSUM = Option<unsafe extern "C" fn(NETADAPTER, NETOFFLOAD)>;
pub type PFN_NET_ADAPTER_OFFLOAD_SET_RX_CHECKSUM = Option<unsafe extern "C" fn(NETADAPTER, NETOFFLOAD)>;
pub type PFN_NETADAPTERINITALLOCATE =
    Option<unsafe extern "C" fn(PNET_DRIVER_GLOBALS, WDFDEVICE) -> *mut NETADAPTER_INIT>;
pub type PFN_NETADAPTERINITFREE = Option<unsafe extern "C" fn(PNET_DRIVER_GLOBALS, *mut NETADAPTER_INIT)>;
pub type PFN_NETADAPTERINITSETDATAPATHCALLBACKS =
    Option<unsafe extern "C" fn(PNET_DRIVER_GLOBALS, *mut NETADAPTER_INIT, *mut NET_ADAPTER_DATAPATH_CALLBACKS)>;
pub type PFN_NETADAPTERCREATE = Option<
    unsafe extern "C" fn(
        PNET_DRIVER_GLOBALS,
        *mut NETADAPTER_INIT,
        *mut WDF_OBJECT_ATTRIBUTES,
        *mut NETADAPTER,
    ) -> NTSTATUS,
>;
pub type PFN_NETADAPTERSTART = Option<unsafe extern "C" fn(PNET_DRIVER_GLOBALS, NETADAPTER) -> NTSTATUS>;
pub type PFN_NETADAPTERSTOP = Option<unsafe extern "C" fn(PNET_DRIVER_GLOBALS, NETADAPTER)>;
pub type PFN_NETADAPTERSETLINKLAYERCAPABILITIES =
    Option<unsafe extern "C" fn(PNET_DRIVER_GLOBALS, NETADAPTER, *mut NET_ADAPTER_LINK_LAYER_CAPABILITIES)>;
pub type PFN_NETADAPTERSETLINKLAYERMTUSIZE = Option<unsafe extern "C" fn(PNET_DRIVER_GLOBALS, NETADAPTER, ULONG)>;
pub type PFN_NETADAPTERSETDATAPATHCAPABILITIES = Option<
    unsafe extern "C" fn(
        PNET_DRIVER_GLOBALS,
        NETADAPTER,
        *mut NET_ADAPTER_TX_CAPABILITIES,
        *mut NET_ADAPTER_RX_CAPABILITIES,
    ),
>;
pub type PFN_NETADAPTERSETLINKSTATE =
    Option<unsafe extern "C" fn(PNET_DRIVER_GLOBALS, NETADAPTER, *mut NET_ADAPTER_LINK_STATE)>;
pub type PFN_NETADAPTERGETNETLUID = Option<unsafe extern "C" fn(PNET_DRIVER_GLOBALS, NETADAPTER) -> NET_LUID>;
pub type PFN_NETADAPTEROPENCONFIGURATION = Option<
    unsafe extern "C" fn(
        PNET_DRIVER_GLOBALS,
        NETADAPTER,
        *mut WDF_OBJECT_ATTRIBUTES,
        *mut NETCONFIGURATION,
    ) -> NTSTATUS,
>;
pub type PFN_NETADAPTERSETLINKLAYERADDRESS =
    Option<unsafe extern "C" fn(PNET_DRIVER_GLOBALS, NETADAPTER, *mut NET_ADAPTER_LINK_LAYER_ADDRESS)>;
pub type PFN_NETADAPTEROFFLOADSETCHECKSUMCAPABILITIES =
    Option<unsafe extern "C" fn(PNET_DRIVER_GLOBALS, NETADAPTER, *mut NET_ADAPTER_OFFLOAD_CHECKSUM_CAPABILITIES)>;
pub type PFN_NETOFFLOADISENABLED = Option<unsafe extern "C" fn(PNET_DRIVER_GLOBALS, NETOFFLOAD) -> UCHAR>;
pub type PFN_NETADAPTERGETPARENT = Option<unsafe extern "C" fn(PNET_DRIVER_GLOBALS, NETADAPTER) -> WDFDEVICE>;
pub type PFN_NETADAPTERGETLINKLAYERMTUSIZE = Option<unsafe extern "C" fn(PNET_DRIVER_GLOBALS, NETADAPTER) -> ULONG>;
pub type PFN_NETCONFIGURATIONCLOSE = Option<unsafe extern "C" fn(PNET_DRIVER_GLOBALS, NETCONFIGURATION)>;
pub type PFN_NETCONFIGURATIONQUERYULONG = Option<
    unsafe extern "C" fn(
        PNET_DRIVER_GLOBALS,
        NETCONFIGURATION,
        _NET_CONFIGURATION_QUERY_ULONG_FLAGS::Type,
        *const UNICODE_STRING,
        *mut ULONG,
    ) -> NTSTATUS,
>;
pub type PFN_NETDEVICEINITCONFIG = Option<unsafe extern "C" fn(PNET_DRIVER_GLOBALS, *mut WDFDEVICE_INIT) -> NTSTATUS>;
pub type PFN_NETDEVICEOPENCONFIGURATION = Option<
    unsafe extern "C" fn(PNET_DRIVER_GLOBALS, WDFDEVICE, *mut WDF_OBJECT_ATTRIBUTES, *mut NETCONFIGURATION) -> NTSTATUS,
>;
pub type PFN_NETRXQUEUECREATE = Option<
    unsafe extern "C" fn(
        PNET_DRIVER_GLOBALS,
        *mut NETRXQUEUE_INIT,
        *mut WDF_OBJECT_ATTRIBUTES,
        *mut NET_PACKET_QUEUE_CONFIG,
        *mut NETPACKETQUEUE,
    ) -> NTSTATUS,
>;
pub type PFN_NETRXQUEUENOTIFYMORERECEIVEDPACKETSAVAILABLE =
    Option<unsafe extern "C" fn(PNET_DRIVER_GLOBALS, NETPACKETQUEUE)>;
pub type PFN_NETRXQUEUEINITGETQUEUEID =
    Option<unsafe extern "C" fn(PNET_DRIVER_GLOBALS, *mut NETRXQUEUE_INIT) -> ULONG>;
pub type PFN_NETRXQUEUEGETRINGCOLLECTION =
    Option<unsafe extern "C" fn(PNET_DRIVER_GLOBALS, NETPACKETQUEUE) -> *const NET_RING_COLLECTION>;
pub type PFN_NETRXQUEUEGETEXTENSION =
    Option<unsafe extern "C" fn(PNET_DRIVER_GLOBALS, NETPACKETQUEUE, *const NET_EXTENSION_QUERY, *mut NET_EXTENSION)>;
pub type PFN_NETTXQUEUECREATE = Option<
    unsafe extern "C" fn(
        PNET_DRIVER_GLOBALS,
        *mut NETTXQUEUE_INIT,
        *mut WDF_OBJECT_ATTRIBUTES,
        *mut NET_PACKET_QUEUE_CONFIG,
        *mut NETPACKETQUEUE,
    ) -> NTSTATUS,
>;
pub type PFN_NETTXQUEUENOTIFYMORECOMPLETEDPACKETSAVAILABLE =
    Option<unsafe extern "C" fn(PNET_DRIVER_GLOBALS, NETPACKETQUEUE)>;
pub type PFN_NETTXQUEUEINITGETQUEUEID =
    Option<unsafe extern "C" fn(PNET_DRIVER_GLOBALS, *mut NETTXQUEUE_INIT) -> ULONG>;
pub type PFN_NETTXQUEUEGETRINGCOLLECTION =
    Option<unsafe extern "C" fn(PNET_DRIVER_GLOBALS, NETPACKETQUEUE) -> *const NET_RING_COLLECTION>;
pub type PFN_NETTXQUEUEGETEXTENSION =
    Option<unsafe extern "C" fn(PNET_DRIVER_GLOBALS, NETPACKETQUEUE, *const NET_EXTENSION_QUERY, *mut NET_EXTENSION)>;

pub const NET_FRAGMENT_EXTENSION_VIRTUAL_ADDRESS_NAME: &[u16; 27] = wide!("ms_fragment_virtualaddress");
pub const NET_FRAGMENT_EXTENSION_VIRTUAL_ADDRESS_VERSION_1: ULONG = 1;
pub const NET_PACKET_EXTENSION_CHECKSUM_NAME: &[u16; 19] = wide!("ms_packet_checksum");
pub const NET_PACKET_EXTENSION_CHECKSUM_VERSION_1: ULONG = 1;

/// The table's entries by name: what `net_call!` looks up.
#[doc(hidden)]
pub mod table {
    use super::*;
    use crate::table::Entry;

    pub const NetAdapterInitAllocate: Entry<PFN_NETADAPTERINITALLOCATE> = Entry::new(0);
    pub const NetAdapterInitFree: Entry<PFN_NETADAPTERINITFREE> = Entry::new(1);
    pub const NetAdapterInitSetDatapathCallbacks: Entry<PFN_NETADAPTERINITSETDATAPATHCALLBACKS> = Entry::new(2);
    pub const NetAdapterCreate: Entry<PFN_NETADAPTERCREATE> = Entry::new(3);
    pub const NetAdapterStart: Entry<PFN_NETADAPTERSTART> = Entry::new(4);
    pub const NetAdapterStop: Entry<PFN_NETADAPTERSTOP> = Entry::new(5);
    pub const NetAdapterSetLinkLayerCapabilities: Entry<PFN_NETADAPTERSETLINKLAYERCAPABILITIES> = Entry::new(6);
    pub const NetAdapterSetLinkLayerMtuSize: Entry<PFN_NETADAPTERSETLINKLAYERMTUSIZE> = Entry::new(7);
    pub const NetAdapterSetDataPathCapabilities: Entry<PFN_NETADAPTERSETDATAPATHCAPABILITIES> = Entry::new(14);
    pub const NetAdapterSetLinkState: Entry<PFN_NETADAPTERSETLINKSTATE> = Entry::new(15);
    pub const NetAdapterGetNetLuid: Entry<PFN_NETADAPTERGETNETLUID> = Entry::new(16);
    pub const NetAdapterOpenConfiguration: Entry<PFN_NETADAPTEROPENCONFIGURATION> = Entry::new(17);
    pub const NetAdapterSetPermanentLinkLayerAddress: Entry<PFN_NETADAPTERSETLINKLAYERADDRESS> = Entry::new(18);
    pub const NetAdapterSetCurrentLinkLayerAddress: Entry<PFN_NETADAPTERSETLINKLAYERADDRESS> = Entry::new(19);
    pub const NetAdapterOffloadSetChecksumCapabilities: Entry<PFN_NETADAPTEROFFLOADSETCHECKSUMCAPABILITIES> =
        Entry::new(20);
    pub const NetOffloadIsChecksumIPv4Enabled: Entry<PFN_NETOFFLOADISENABLED> = Entry::new(21);
    pub const NetOffloadIsChecksumTcpEnabled: Entry<PFN_NETOFFLOADISENABLED> = Entry::new(22);
    pub const NetOffloadIsChecksumUdpEnabled: Entry<PFN_NETOFFLOADISENABLED> = Entry::new(23);
    pub const NetAdapterGetParent: Entry<PFN_NETADAPTERGETPARENT> = Entry::new(30);
    pub const NetAdapterGetLinkLayerMtuSize: Entry<PFN_NETADAPTERGETLINKLAYERMTUSIZE> = Entry::new(31);
    pub const NetConfigurationClose: Entry<PFN_NETCONFIGURATIONCLOSE> = Entry::new(35);
    pub const NetConfigurationQueryUlong: Entry<PFN_NETCONFIGURATIONQUERYULONG> = Entry::new(37);
    pub const NetDeviceInitConfig: Entry<PFN_NETDEVICEINITCONFIG> = Entry::new(46);
    pub const NetDeviceOpenConfiguration: Entry<PFN_NETDEVICEOPENCONFIGURATION> = Entry::new(47);
    pub const NetRxQueueCreate: Entry<PFN_NETRXQUEUECREATE> = Entry::new(58);
    pub const NetRxQueueNotifyMoreReceivedPacketsAvailable: Entry<PFN_NETRXQUEUENOTIFYMORERECEIVEDPACKETSAVAILABLE> =
        Entry::new(59);
    pub const NetRxQueueInitGetQueueId: Entry<PFN_NETRXQUEUEINITGETQUEUEID> = Entry::new(60);
    pub const NetRxQueueGetRingCollection: Entry<PFN_NETRXQUEUEGETRINGCOLLECTION> = Entry::new(61);
    pub const NetRxQueueGetExtension: Entry<PFN_NETRXQUEUEGETEXTENSION> = Entry::new(62);
    pub const NetTxQueueCreate: Entry<PFN_NETTXQUEUECREATE> = Entry::new(63);
    pub const NetTxQueueNotifyMoreCompletedPacketsAvailable: Entry<PFN_NETTXQUEUENOTIFYMORECOMPLETEDPACKETSAVAILABLE> =
        Entry::new(64);
    pub const NetTxQueueInitGetQueueId: Entry<PFN_NETTXQUEUEINITGETQUEUEID> = Entry::new(65);
    pub const NetTxQueueGetRingCollection: Entry<PFN_NETTXQUEUEGETRINGCOLLECTION> = Entry::new(66);
    pub const NetTxQueueGetExtension: Entry<PFN_NETTXQUEUEGETEXTENSION> = Entry::new(67);
}
