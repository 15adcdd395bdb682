//! NetAdapterCx's structures as a driver sees them, asserted against nt-layout.json's sizes and offsets.

use crate::nt::NTSTATUS;
use crate::wdf::abi::Handle;
use std::mem::offset_of;

/// `NET_ADAPTER_DATAPATH_CALLBACKS`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct DatapathCallbacks {
    /// Size.
    pub size: u32,
    /// EvtAdapterCreateTxQueue.
    pub create_tx: Option<CreateQueue>,
    /// EvtAdapterCreateRxQueue.
    pub create_rx: Option<CreateQueue>,
}

/// `EvtAdapterCreateTxQueue`, `EvtAdapterCreateRxQueue`.
pub type CreateQueue = unsafe extern "win64" fn(adapter: Handle, init: *mut u8) -> NTSTATUS;

/// `NET_ADAPTER_LINK_LAYER_CAPABILITIES`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct LinkLayerCapabilities {
    /// Size.
    pub size: u32,
    /// MaxTxLinkSpeed.
    pub max_tx: u64,
    /// MaxRxLinkSpeed.
    pub max_rx: u64,
}

/// `NET_ADAPTER_TX_CAPABILITIES`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct TxCapabilities {
    /// Size.
    pub size: u32,
    /// MappingRequirement.
    pub mapping: u32,
    /// PayloadBackfill.
    pub backfill: usize,
    /// MaximumNumberOfFragments.
    pub max_fragments: usize,
    /// FragmentBufferAlignment.
    pub alignment: usize,
    /// FragmentRingNumberOfElementsHint.
    pub ring_hint: u32,
    /// MaximumNumberOfQueues.
    pub max_queues: usize,
    /// DmaCapabilities.
    pub dma: *const u8,
}

/// `NET_ADAPTER_RX_CAPABILITIES` with system-allocated, system-attached buffers.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct RxCapabilities {
    /// Size.
    pub size: u32,
    /// AllocationMode.
    pub allocation: u32,
    /// AttachmentMode.
    pub attachment: u32,
    /// FragmentRingNumberOfElementsHint.
    pub ring_hint: u32,
    /// MaximumFrameSize.
    pub max_frame: usize,
    /// MaximumNumberOfQueues.
    pub max_queues: usize,
    /// MappingRequirement.
    pub mapping: u32,
    /// FragmentBufferAlignment.
    pub alignment: usize,
    /// DmaCapabilities.
    pub dma: *const u8,
}

/// `NET_ADAPTER_LINK_STATE`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct LinkState {
    /// Size.
    pub size: u32,
    /// TxLinkSpeed.
    pub tx_speed: u64,
    /// RxLinkSpeed.
    pub rx_speed: u64,
    /// MediaConnectState: 1 connected, 2 disconnected.
    pub connect: u32,
    /// MediaDuplexState.
    pub duplex: u32,
    /// SupportedPauseFunctions.
    pub pause: u32,
    /// AutoNegotiationFlags.
    pub negotiation: u32,
}

/// `NET_PACKET_QUEUE_CONFIG`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct QueueConfig {
    /// Size.
    pub size: u32,
    /// EvtStart, optional.
    pub start: Option<QueueCallback>,
    /// EvtStop, optional.
    pub stop: Option<QueueCallback>,
    /// EvtAdvance.
    pub advance: Option<QueueCallback>,
    /// EvtSetNotificationEnabled.
    pub set_notification: Option<SetNotification>,
    /// EvtCancel.
    pub cancel: Option<QueueCallback>,
}

/// `EvtPacketQueueStart`, `Stop`, `Advance`, `Cancel`.
pub type QueueCallback = unsafe extern "win64" fn(queue: Handle);
/// `EvtPacketQueueSetNotificationEnabled`.
pub type SetNotification = unsafe extern "win64" fn(queue: Handle, enabled: u8);

/// `NET_EXTENSION`: element data is at `data + index * stride`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Extension {
    /// Reserved[0].
    pub data: usize,
    /// Reserved[1].
    pub stride: usize,
    /// Reserved[2] and [3].
    pub reserved: [usize; 2],
    /// Enabled, in a word.
    pub enabled: usize,
}

/// `NET_EXTENSION_QUERY`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct ExtensionQuery {
    /// Size.
    pub size: u32,
    /// Name, UTF-16.
    pub name: *const u16,
    /// Version.
    pub version: u32,
    /// Type: 1 packet, 2 fragment.
    pub kind: u32,
}

/// `NET_RING`; the elements begin at offset 64.
#[repr(C, align(64))]
#[derive(Debug)]
pub struct NetRing {
    /// OSReserved1.
    pub reserved1: u16,
    /// ElementStride.
    pub stride: u16,
    /// NumberOfElements.
    pub count: u32,
    /// ElementIndexMask.
    pub mask: u32,
    /// EndIndex.
    pub end: u32,
    /// OSReserved2; OSReserved0 is its first word.
    pub reserved2: [u64; 4],
    /// BeginIndex.
    pub begin: u32,
    /// NextIndex.
    pub next: u32,
    /// Scratch.
    pub scratch: usize,
}

/// `NET_RING_COLLECTION`.
#[repr(C)]
#[derive(Debug)]
pub struct RingCollection {
    /// Packet ring, fragment ring, data buffer ring.
    pub rings: [*mut NetRing; 3],
}

/// `NET_ADAPTER_LINK_LAYER_ADDRESS`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct LinkLayerAddress {
    /// Length.
    pub length: u16,
    /// Address.
    pub address: [u8; 32],
}

const _: () = {
    assert!(size_of::<DatapathCallbacks>() == 24 && size_of::<LinkLayerCapabilities>() == 24);
    assert!(size_of::<TxCapabilities>() == 56 && offset_of!(TxCapabilities, max_queues) == 40);
    assert!(
        size_of::<RxCapabilities>() == 56
            && offset_of!(RxCapabilities, max_frame) == 16
            && offset_of!(RxCapabilities, alignment) == 40
    );
    assert!(size_of::<LinkState>() == 40 && offset_of!(LinkState, connect) == 24);
    assert!(size_of::<QueueConfig>() == 48 && offset_of!(QueueConfig, cancel) == 40);
    assert!(size_of::<Extension>() == 40 && offset_of!(Extension, enabled) == 32 && size_of::<ExtensionQuery>() == 24);
    assert!(
        size_of::<NetRing>() == 64
            && offset_of!(NetRing, begin) == 48
            && offset_of!(NetRing, end) == 12
            && offset_of!(NetRing, reserved2) == 16
    );
    assert!(size_of::<RingCollection>() == 24 && size_of::<LinkLayerAddress>() == 34);
};

/// A `NET_PACKET`'s twelve bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Packet {
    /// FragmentIndex.
    pub fragment: u32,
    /// FragmentCount.
    pub count: u16,
    /// Layout.
    pub layout: Layout,
    /// Ignore (bit 0), Scratch (bit 1), the rest reserved.
    pub flags: u8,
}

/// `NET_PACKET_LAYOUT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Layout {
    /// Layer2HeaderLength.
    pub l2_len: u16,
    /// Layer3HeaderLength.
    pub l3_len: u16,
    /// Layer4HeaderLength.
    pub l4_len: u8,
    /// Layer2Type.
    pub l2: u8,
    /// Layer3Type.
    pub l3: u8,
    /// Layer4Type.
    pub l4: u8,
}

/// Packet.Ignore.
pub const IGNORE: u8 = 1;
/// Packet.Scratch.
pub const SCRATCH: u8 = 2;

impl Packet {
    /// Reads one.
    ///
    /// # Safety
    /// `p` points at twelve readable bytes.
    pub unsafe fn read(p: *const u8) -> Self {
        // SAFETY: by contract.
        let b = unsafe { p.cast::<[u8; 12]>().read_unaligned() };
        let first = u16::from_le_bytes([b[6], b[7]]);
        Self {
            fragment: u32::from_le_bytes([b[0], b[1], b[2], b[3]]),
            count: u16::from_le_bytes([b[4], b[5]]),
            layout: Layout {
                l2_len: first & 0x7F,
                l3_len: first >> 7,
                l4_len: b[8],
                l2: b[9] & 0xF,
                l3: b[9] >> 4,
                l4: b[10] & 0xF,
            },
            flags: b[11],
        }
    }

    /// Writes one.
    ///
    /// # Safety
    /// `p` points at twelve writable bytes.
    pub unsafe fn write(&self, p: *mut u8) {
        let l = &self.layout;
        let first = (l.l2_len & 0x7F) | l.l3_len << 7;
        let mut b = [0u8; 12];
        b[..4].copy_from_slice(&self.fragment.to_le_bytes());
        b[4..6].copy_from_slice(&self.count.to_le_bytes());
        b[6..8].copy_from_slice(&first.to_le_bytes());
        b[8] = l.l4_len;
        b[9] = (l.l2 & 0xF) | l.l3 << 4;
        b[10] = l.l4 & 0xF;
        b[11] = self.flags;
        // SAFETY: by contract.
        unsafe { p.cast::<[u8; 12]>().write_unaligned(b) };
    }
}

/// `NET_FRAGMENT` as its 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fragment(pub u64);

impl Fragment {
    const LOW: u64 = (1 << 26) - 1;

    /// With these fields.
    pub fn new(valid: usize, capacity: usize, offset: usize) -> Self {
        Self((valid as u64 & Self::LOW) | (capacity as u64 & Self::LOW) << 26 | (offset as u64 & 0x3FF) << 52)
    }
    /// ValidLength.
    pub fn valid(self) -> usize {
        (self.0 & Self::LOW) as usize
    }
    /// Capacity.
    pub fn capacity(self) -> usize {
        (self.0 >> 26 & Self::LOW) as usize
    }
    /// Offset.
    pub fn offset(self) -> usize {
        (self.0 >> 52 & 0x3FF) as usize
    }
    /// Without Scratch.
    pub fn plain(self) -> u64 {
        self.0 & !(1 << 62)
    }
}
