//! A `NET_RING` in memory that the driver sees.

use super::abi::{Fragment, NetRing, Packet};
use crate::objects::Kind;
use crate::pool;
use crate::report::{Rule, record};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

const HEADER: Rule = Rule::new(
    "netcx.ring.header-changed",
    "nt-abi.md section 4: the driver writes BeginIndex, NextIndex and Scratch of a ring only",
);
const INDEX: Rule =
    Rule::new("netcx.ring.index", "NetAdapterCx: NET_RING (BeginIndex moves forward, not past EndIndex)");

const OUTSIDE: Rule = Rule::new(
    "netcx.ring.outside-callback",
    "NetAdapterCx: Using the ring buffer (a queue's rings are the driver's in that queue's callbacks, which are serialised)",
);

static RINGS: Kind = Kind::of_lab("netcx.ring");
static BUFFERS: Kind = Kind::of_lab("netcx.fragment-buffers");

/// Where a fragment's `ms_fragment_virtualaddress` is in its element.
pub const VA_AT: usize = 8;
/// Where a packet's `ms_packet_checksum` is in its element.
pub const CHECKSUM_AT: usize = 12;
/// Bytes of a packet's element: more than a NET_PACKET's, as on Windows.
pub const PACKET_STRIDE: usize = 24;
/// Bytes of a fragment's element.
pub const FRAGMENT_STRIDE: usize = 32;
const ELEMENTS_AT: usize = 64;

/// One ring. Owned by its queue's thread but for the words that the driver reads.
#[derive(Debug)]
pub struct Ring {
    ring: NonNull<NetRing>,
    count: u32,
    stride: usize,
    end: u32,
    /// The lab's cursor: elements before it are the lab's again.
    pub reclaimed: u32,
    /// BeginIndex as the last callback left it.
    left: u32,
}

// SAFETY: the ring's memory is used by the queue's thread alone, on which the driver's callbacks run too.
unsafe impl Send for Ring {}

impl Ring {
    /// Zeroed, with a power of two of elements.
    pub fn new(count: u32, stride: usize) -> Self {
        let bytes = ELEMENTS_AT + count as usize * stride;
        let p = pool::alloc_lab_aligned(&RINGS, bytes.max(128), 64).cast::<NetRing>();
        let Some(ring) = NonNull::new(p) else { std::process::abort() };
        let header = NetRing {
            reserved1: 0,
            stride: u16::try_from(stride).unwrap_or(0),
            count,
            mask: count - 1,
            end: 0,
            reserved2: [0; 4],
            begin: 0,
            next: 0,
            scratch: 0,
        };
        // SAFETY: fresh memory, large enough and aligned.
        unsafe { ring.as_ptr().write(header) };
        Self { ring, count, stride, end: 0, reclaimed: 0, left: 0 }
    }

    /// The driver's pointer.
    pub fn as_ptr(&self) -> *mut NetRing {
        self.ring.as_ptr()
    }

    /// Address of the first element and the distance between two.
    pub fn elements(&self) -> (usize, usize) {
        (self.ring.as_ptr().addr() + ELEMENTS_AT, self.stride)
    }

    /// An element.
    pub fn at(&self, index: u32) -> *mut u8 {
        self.ring.as_ptr().cast::<u8>().wrapping_add(ELEMENTS_AT + (index & (self.count - 1)) as usize * self.stride)
    }

    /// `index` moved on by `n`.
    pub fn after(&self, index: u32, n: u32) -> u32 {
        index.wrapping_add(n) & (self.count - 1)
    }

    /// Elements from `from` up to `to`.
    pub fn distance(&self, from: u32, to: u32) -> u32 {
        to.wrapping_sub(from) & (self.count - 1)
    }

    /// EndIndex.
    pub fn end(&self) -> u32 {
        self.end
    }

    /// Gives elements up to `end` to the driver.
    pub fn set_end(&mut self, end: u32) {
        self.end = end;
        // SAFETY: the ring's own memory; the driver reads the word.
        let word = unsafe { AtomicU32::from_ptr(&raw mut (*self.ring.as_ptr()).end) };
        word.store(end, Ordering::Release);
    }

    /// The driver's BeginIndex, checked: `None` with a record when it is out of what the driver owned.
    pub fn begin(&self, what: &str) -> Option<u32> {
        // SAFETY: the ring's own memory.
        let r = unsafe { &*self.ring.as_ptr() };
        let begin = r.begin;
        if r.end != self.end
            || r.mask != self.count - 1
            || r.count != self.count
            || usize::from(r.stride) != self.stride
            || r.reserved1 != 0
            || r.reserved2 != [u64::from(self.reclaimed), 0, 0, 0]
        {
            record(
                HEADER,
                &format!(
                    "{what} ring: EndIndex {} (given {}), mask {:#x}, {} elements of {}, reserved {} {:?}",
                    r.end, self.end, r.mask, r.count, r.stride, r.reserved1, r.reserved2
                ),
            );
            return None;
        }
        let owned = self.distance(self.reclaimed, self.end);
        if begin >= self.count || self.distance(self.reclaimed, begin) > owned {
            record(
                INDEX,
                &format!(
                    "{what} ring: BeginIndex {begin}, the driver owned [{}, {}) of {}",
                    self.reclaimed, self.end, self.count
                ),
            );
            return None;
        }
        Some(begin)
    }

    /// Notes BeginIndex when a callback has returned.
    pub fn note(&mut self) {
        // SAFETY: the ring's own memory.
        self.left = unsafe { (*self.ring.as_ptr()).begin };
    }

    /// Records when BeginIndex has moved since a callback returned.
    pub fn check_still(&self, what: &str) {
        // SAFETY: the ring's own memory; what writes it now breaks the rule.
        let begin = unsafe { (&raw const (*self.ring.as_ptr()).begin).read_volatile() };
        if begin != self.left {
            record(OUTSIDE, &format!("{what} ring: BeginIndex {begin}, the last callback left it at {}", self.left));
        }
    }

    /// Takes the elements up to `begin` back.
    pub fn set_reclaimed(&mut self, begin: u32) {
        self.reclaimed = begin;
        // SAFETY: the ring's own memory: OSReserved0, the framework's.
        unsafe { (*self.ring.as_ptr()).reserved2[0] = u64::from(begin) };
    }

    /// Elements that can be given to the driver: one stays free, for Begin == End means none.
    pub fn room(&self) -> u32 {
        self.count - 1 - self.distance(self.reclaimed, self.end)
    }

    /// Nothing is the driver's.
    pub fn is_empty(&self) -> bool {
        self.reclaimed == self.end
    }

    /// Element as a packet.
    pub fn packet(&self, index: u32) -> Packet {
        // SAFETY: an element of the ring.
        unsafe { Packet::read(self.at(index)) }
    }

    /// Element as a fragment.
    pub fn fragment(&self, index: u32) -> Fragment {
        // SAFETY: an element of the ring.
        Fragment(unsafe { self.at(index).cast::<u64>().read_unaligned() })
    }

    /// Writes a fragment.
    pub fn set_fragment(&self, index: u32, f: Fragment) {
        // SAFETY: an element of the ring.
        unsafe { self.at(index).cast::<u64>().write_unaligned(f.0) };
    }

    /// The virtual-address extension of a fragment.
    pub fn va(&self, index: u32) -> usize {
        // SAFETY: an element of the fragment ring.
        unsafe { self.at(index).wrapping_add(VA_AT).cast::<usize>().read_unaligned() }
    }

    /// Sets it.
    pub fn set_va(&self, index: u32, va: usize) {
        // SAFETY: an element of the fragment ring.
        unsafe { self.at(index).wrapping_add(VA_AT).cast::<usize>().write_unaligned(va) };
    }

    /// Zeroes an element.
    pub fn clear(&self, index: u32) {
        // SAFETY: an element of the ring.
        unsafe { self.at(index).write_bytes(0, self.stride) };
    }

    /// Canaries around the ring.
    pub fn check(&self) {
        // SAFETY: a live block.
        unsafe { pool::check_block(self.ring.as_ptr().cast()) };
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: from `new`; the queue is gone.
        unsafe { pool::free_lab(self.ring.as_ptr().cast()) };
    }
}

/// Buffers of a fragment ring: one per element, each in a block of its own with canaries.
#[derive(Debug)]
pub struct Buffers {
    at: Vec<*mut u8>,
    /// Bytes of each.
    pub size: usize,
}

// SAFETY: as for Ring.
unsafe impl Send for Buffers {}

impl Buffers {
    /// `count` buffers.
    pub fn new(count: u32, size: usize, align: usize) -> Self {
        let align = align.next_power_of_two().clamp(16, 4096);
        Self { at: (0..count).map(|_| pool::alloc_lab_aligned(&BUFFERS, size, align)).collect(), size }
    }

    /// The buffer of an element.
    pub fn of(&self, index: u32) -> *mut u8 {
        self.at.get(index as usize).copied().unwrap_or(std::ptr::null_mut())
    }

    /// Checks the canaries of one buffer.
    pub fn check(&self, index: u32) {
        let p = self.of(index);
        if !p.is_null() {
            // SAFETY: a live block.
            unsafe { pool::check_block(p) };
        }
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        for p in &self.at {
            // SAFETY: from `new`; the queue is gone. Freeing checks the canaries.
            unsafe { pool::free_lab(*p) };
        }
    }
}
