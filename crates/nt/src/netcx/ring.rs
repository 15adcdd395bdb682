//! Safe views of a queue's rings, valid within one Advance callback.
//!
//! The driver owns elements from BeginIndex up to EndIndex, modulo the ring's size; completing is moving BeginIndex, of the packet
//! ring and of the fragment ring, in order (NetAdapterCx: "Packet descriptors and extensions", nt-abi.md section 4).

use core::marker::PhantomData;
use core::ptr::NonNull;
use nt_sys::net::{
    _NET_PACKET_LAYER2_TYPE, _NET_PACKET_LAYER3_TYPE, NET_EXTENSION, NET_FRAGMENT, NET_FRAGMENT_VIRTUAL_ADDRESS,
    NET_PACKET, NET_PACKET_LAYOUT, NET_RING, NET_RING_COLLECTION,
};

/// The rings of one queue, as its context keeps them.
pub(super) struct Rings {
    packets: NonNull<NET_RING>,
    fragments: NonNull<NET_RING>,
    addresses: NET_EXTENSION,
}

// SAFETY: NetAdapterCx calls a queue's callbacks one at a time, and only they look at the rings.
unsafe impl Send for Rings {}
// SAFETY: as above.
unsafe impl Sync for Rings {}

impl Rings {
    /// # Safety
    /// `collection` and `addresses` (the virtual-address extension) are those of a queue that outlives this.
    pub(super) unsafe fn new(collection: *const NET_RING_COLLECTION, addresses: NET_EXTENSION) -> Option<Self> {
        // SAFETY: the caller vouches for the collection.
        let rings = unsafe { collection.as_ref() }?.Rings;
        let [packets, fragments, _] = rings;
        if addresses.Enabled == 0 {
            return None;
        }
        Some(Self { packets: NonNull::new(packets)?, fragments: NonNull::new(fragments)?, addresses })
    }

    /// Whether the driver owns a packet. Only in a callback of the queue.
    pub(super) fn has_packets(&self) -> bool {
        // SAFETY: the ring is live; the indices are read in a serialised callback.
        let packets = unsafe { self.packets.as_ref() };
        packets.BeginIndex != packets.EndIndex
    }

    /// The packet at a ring index.
    fn packet(&self, index: u32) -> NonNull<NET_PACKET> {
        // SAFETY: the ring is live, `element` masks the index, and elements are never at address zero.
        unsafe { NonNull::new_unchecked(NET_RING::element(self.packets.as_ptr(), index).cast()) }
    }

    fn fragment(&self, index: u32) -> NonNull<NET_FRAGMENT> {
        // SAFETY: as `packet`.
        unsafe { NonNull::new_unchecked(NET_RING::element(self.fragments.as_ptr(), index).cast()) }
    }

    /// Memory of the fragment at a ring index: its address and capacity.
    fn memory(&self, index: u32) -> (*mut u8, usize) {
        // SAFETY: the extension is enabled, and a masked index lies in the ring; both rings are live.
        unsafe {
            let index = index & self.fragments.as_ref().ElementIndexMask;
            let va = self.addresses.data(index).cast::<NET_FRAGMENT_VIRTUAL_ADDRESS>();
            ((*va).VirtualAddress.cast(), self.fragment(index).as_ref().Capacity() as usize)
        }
    }
}

/// A ring's indices at the start of a callback. Copied: elements of the ring are looked at while they are in use.
struct Indices {
    begin: u32,
    end: u32,
    mask: u32,
}

impl Indices {
    fn of(ring: NonNull<NET_RING>) -> Self {
        // SAFETY: the ring is a live queue's, and its callbacks are serialised.
        let ring = unsafe { ring.as_ref() };
        Self { begin: ring.BeginIndex, end: ring.EndIndex, mask: ring.ElementIndexMask }
    }

    /// Moves BeginIndex: everything before it is the framework's.
    fn complete(ring: NonNull<NET_RING>, begin: u32) {
        // SAFETY: as above; BeginIndex is the driver's to write.
        unsafe { (*ring.as_ptr()).BeginIndex = begin };
    }
}

/// What a transmit callback says of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TxFlow {
    /// Done with it (sent or dropped): it is completed.
    Done,
    /// Leave it and all after it on the ring.
    Stop,
}

/// The transmit ring in Advance.
pub struct TxRing<'a> {
    rings: &'a Rings,
}

impl<'a> TxRing<'a> {
    pub(super) const fn new(rings: &'a Rings) -> Self {
        Self { rings }
    }

    /// Offers each owned packet in order, then completes those that are done. IRQL <= DISPATCH_LEVEL.
    pub fn drain(&mut self, mut each: impl FnMut(TxPacket<'_>) -> TxFlow) {
        let (packets, fragments) = (Indices::of(self.rings.packets), Indices::of(self.rings.fragments));
        let mut index = packets.begin;
        let mut fragment_index = fragments.begin;
        while index != packets.end {
            // SAFETY: a packet the driver owns; only read.
            let packet = unsafe { self.rings.packet(index).as_ref() };
            if !packet.Ignore() {
                let this =
                    TxPacket { rings: self.rings, first: packet.FragmentIndex, count: u32::from(packet.FragmentCount) };
                if each(this) == TxFlow::Stop {
                    break;
                }
                fragment_index = packet.FragmentIndex.wrapping_add(u32::from(packet.FragmentCount)) & fragments.mask;
            }
            index = index.wrapping_add(1) & packets.mask;
        }
        Indices::complete(self.rings.fragments, fragment_index);
        Indices::complete(self.rings.packets, index);
    }

    /// Gives everything back unsent (EvtCancel); says how many packets that were.
    pub(super) fn cancel(&mut self) -> usize {
        let packets = Indices::of(self.rings.packets);
        let (mut index, mut count) = (packets.begin, 0usize);
        while index != packets.end {
            // SAFETY: packets up to EndIndex are the driver's; only read.
            count = count.saturating_add(usize::from(!unsafe { self.rings.packet(index).as_ref() }.Ignore()));
            index = index.wrapping_add(1) & packets.mask;
        }
        for ring in [self.rings.fragments, self.rings.packets] {
            Indices::complete(ring, Indices::of(ring).end);
        }
        count
    }
}

/// One packet to transmit.
pub struct TxPacket<'a> {
    rings: &'a Rings,
    first: u32,
    count: u32,
}

impl<'a> TxPacket<'a> {
    fn bytes(&self, n: u32) -> Option<&'a [u8]> {
        let index = self.first.wrapping_add(n);
        // SAFETY: the fragment belongs to a packet the driver owns until it is completed, which `'a` precedes.
        let (offset, len) = unsafe {
            let f = self.rings.fragment(index);
            (f.as_ref().Offset() as usize, f.as_ref().ValidLength() as usize)
        };
        let (memory, capacity) = self.rings.memory(index);
        if memory.is_null() || offset.checked_add(len)? > capacity {
            return None;
        }
        // SAFETY: the fragment's memory holds `capacity` bytes, and nobody writes to it while the driver owns the packet.
        Some(unsafe { core::slice::from_raw_parts(memory.add(offset), len) })
    }

    /// The packet, where it lies in one fragment.
    #[must_use]
    pub fn contiguous(&self) -> Option<&'a [u8]> {
        if self.count == 1 { self.bytes(0) } else { None }
    }

    /// Total length; `None` where the fragments contradict their memory.
    #[must_use]
    pub fn len(&self) -> Option<usize> {
        (0..self.count).try_fold(0usize, |sum, n| sum.checked_add(self.bytes(n)?.len()))
    }

    /// Whether there is no byte in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }

    /// Copies all fragments to the front of `out`; `None` where they do not fit or contradict their memory.
    pub fn gather(&self, out: &mut [u8]) -> Option<usize> {
        let mut filled = 0usize;
        for n in 0..self.count {
            let bytes = self.bytes(n)?;
            let end = filled.checked_add(bytes.len())?;
            out.get_mut(filled..end)?.copy_from_slice(bytes);
            filled = end;
        }
        Some(filled)
    }
}

/// The receive ring in Advance.
pub struct RxRing<'a> {
    rings: &'a Rings,
    unique: PhantomData<&'a mut ()>,
}

impl<'a> RxRing<'a> {
    pub(super) const fn new(rings: &'a Rings) -> Self {
        Self { rings, unique: PhantomData }
    }

    /// Offers empty buffers one by one; each call fills its buffer with one inner packet and returns its length, or `None` when
    /// there is nothing more to receive. A returned length beyond the buffer ends the filling like `None`. IRQL <= DISPATCH_LEVEL.
    pub fn fill(&mut self, mut each: impl FnMut(&mut [u8]) -> Option<usize>) {
        let (packets, fragments) = (Indices::of(self.rings.packets), Indices::of(self.rings.fragments));
        let mut index = packets.begin;
        let mut fragment_index = fragments.begin;
        while index != packets.end && fragment_index != fragments.end {
            let (memory, capacity) = self.rings.memory(fragment_index);
            let filled = if memory.is_null() {
                None
            } else {
                // SAFETY: an owned fragment's memory holds `capacity` bytes, for the driver alone.
                let buffer = unsafe { core::slice::from_raw_parts_mut(memory, capacity) };
                let Some(len) = each(buffer) else { break };
                buffer.get(..len).map(|packet| (len, layout(packet.first().copied().unwrap_or(0))))
            };
            // SAFETY: owned elements; the framework reads them once BeginIndex has passed them.
            unsafe {
                let packet = &mut *self.rings.packet(index).as_ptr();
                match filled {
                    Some((len, layout)) => {
                        let fragment = &mut *self.rings.fragment(fragment_index).as_ptr();
                        fragment.set_Offset(0);
                        fragment.set_ValidLength(len as u64);
                        packet.FragmentIndex = fragment_index;
                        packet.FragmentCount = 1;
                        packet.Layout = layout;
                    }
                    // A fragment without memory: passed over, so that it stops nothing.
                    None => packet.set_Ignore(true),
                }
            }
            index = index.wrapping_add(1) & packets.mask;
            fragment_index = fragment_index.wrapping_add(1) & fragments.mask;
        }
        Indices::complete(self.rings.fragments, fragment_index);
        Indices::complete(self.rings.packets, index);
    }

    /// Gives every packet back unused (EvtCancel): without it the queue never stops.
    pub(super) fn cancel(&mut self) {
        let packets = Indices::of(self.rings.packets);
        let mut index = packets.begin;
        while index != packets.end {
            // SAFETY: packets up to EndIndex are the driver's.
            unsafe { (*self.rings.packet(index).as_ptr()).set_Ignore(true) };
            index = index.wrapping_add(1) & packets.mask;
        }
        for ring in [self.rings.fragments, self.rings.packets] {
            Indices::complete(ring, Indices::of(ring).end);
        }
    }
}

/// Layout of a raw IP packet: no layer 2, layer 3 by its version, the rest for the stack to find out.
fn layout(first: u8) -> NET_PACKET_LAYOUT {
    let mut layout = NET_PACKET_LAYOUT::default();
    layout.set_Layer2Type(_NET_PACKET_LAYER2_TYPE::NetPacketLayer2TypeNull as u32);
    let layer3 = match first >> 4 {
        4 => _NET_PACKET_LAYER3_TYPE::NetPacketLayer3TypeIPv4UnspecifiedOptions,
        6 => _NET_PACKET_LAYER3_TYPE::NetPacketLayer3TypeIPv6UnspecifiedExtensions,
        _ => _NET_PACKET_LAYER3_TYPE::NetPacketLayer3TypeUnspecified,
    };
    layout.set_Layer3Type(layer3 as u32);
    layout
}
