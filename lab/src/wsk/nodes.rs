//! Buffers of received datagrams: allocated once, lent to the driver as `WSK_DATAGRAM_INDICATION` lists, taken back.

use super::abi::{Buf, CmsgHdr, DatagramIndication};
use super::address::{self, CONTROL_ROOM};
use super::lease::{BAD, Lease, Released};
use super::net::{self, Choices};
use crate::ke::sched::Condvar;
use crate::nt::{MDL, NTSTATUS, mdl_flags, status};
use crate::objects::Kind;
use crate::pool;
use crate::report::record;
use std::mem::offset_of;
use std::os::fd::RawFd;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Datagrams in one list at most.
pub const BATCH: usize = 64;
/// A datagram's bytes begin here in the first MDL, as behind the headers of a real one.
const LEAD: usize = 42;
/// What the first MDL has behind the datagram, as a frame's padding.
const TRAIL: usize = 4;
/// Between the parts of a datagram that `--wsk-segments` cuts.
const GAP: usize = 3;
/// Bytes of the first MDL's memory.
const DATA: usize = 2048;
const FIRST: usize = DATA - LEAD - TRAIL;
const LARGEST: usize = 65536;

static INDICATIONS: Kind = Kind::of_lab("wsk.indication");
static OVERFLOWS: Kind = Kind::of_lab("wsk.indication-overflow");
static LIMIT: AtomicUsize = AtomicUsize::new(4096);
static LOCKED_ONLY: AtomicBool = AtomicBool::new(false);

/// Whether datagrams come in MDLs whose pages are locked and not mapped yet, as a network adapter's driver may make them.
pub fn set_locked_only(on: bool) {
    LOCKED_ONLY.store(on, Ordering::SeqCst);
}

/// Bounds the datagrams of one socket that the driver may hold; beyond it the lab stops reading the socket.
pub fn set_limit(n: usize) {
    LIMIT.store(n.max(BATCH), Ordering::SeqCst);
}

/// One datagram. The first field is what the driver has a pointer to.
#[repr(C)]
pub struct Node {
    indication: DatagramIndication,
    mdl: [MDL; 2],
    /// The second page entry that an MDL's size allows for.
    pages: [u64; 4],
    address: [u8; 32],
    control: [u64; CONTROL_ROOM / 8],
    linux_control: [u64; CONTROL_ROOM / 8],
    overflow: *mut u8,
    lease: Lease,
    /// The list as it was indicated, whatever the driver did to `Next`.
    follower: *mut Node,
    data: [u8; DATA],
}

fn mdl_over(p: *mut u8, len: usize, next: *mut MDL) -> MDL {
    let (flags, mapped) = if LOCKED_ONLY.load(Ordering::Relaxed) {
        (mdl_flags::PAGES_LOCKED, null_mut())
    } else {
        (mdl_flags::MAPPED_TO_SYSTEM_VA | mdl_flags::SOURCE_IS_NONPAGED_POOL, p.cast())
    };
    MDL {
        Next: next,
        Size: 56,
        MdlFlags: flags,
        Process: null_mut(),
        MappedSystemVa: mapped,
        StartVa: p.map_addr(|a| a & !0xFFF).cast(),
        ByteCount: u32::try_from(len).unwrap_or(0),
        ByteOffset: u32::try_from(p.addr() & 0xFFF).unwrap_or(0),
    }
}

/// Where the fields of a node are, for the kernel to write to.
struct Place(*mut Node);

impl Place {
    fn at(&self, offset: usize) -> *mut u8 {
        self.0.cast::<u8>().wrapping_add(offset)
    }
    fn data(&self) -> *mut u8 {
        self.at(offset_of!(Node, data))
    }
}

#[derive(Default)]
struct Store {
    free: Vec<*mut Node>,
    all: Vec<*mut Node>,
}
// SAFETY: the store owns its nodes; they are plain memory.
unsafe impl Send for Store {}

/// The buffers of one socket.
pub struct Nodes {
    store: Mutex<Store>,
    freed: Condvar,
    retained: AtomicUsize,
}

impl Nodes {
    /// Without any buffer yet.
    pub fn new() -> Self {
        Self { store: Mutex::default(), freed: Condvar::new(), retained: AtomicUsize::new(0) }
    }

    /// Lists that the driver holds.
    pub fn retained(&self) -> usize {
        self.retained.load(Ordering::SeqCst)
    }

    /// Makes [`Self::fill`] look again.
    pub fn wake(&self) {
        let _store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        self.freed.notify_all();
    }

    /// Fills `batch` with free buffers, waiting for one; `false` when `closing`.
    pub fn fill(&self, batch: &mut Batch, closing: impl Fn() -> bool) -> bool {
        if batch.nodes.len() == BATCH {
            return true;
        }
        let limit = LIMIT.load(Ordering::Relaxed);
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            while batch.nodes.len() < BATCH {
                let node = match store.free.pop() {
                    Some(n) => n,
                    None if store.all.len() < limit => {
                        let n = pool::alloc_lab_zeroed(&INDICATIONS, size_of::<Node>()).cast::<Node>();
                        store.all.push(n);
                        n
                    }
                    None => break,
                };
                batch.nodes.push(node);
            }
            if !batch.nodes.is_empty() {
                return true;
            }
            if closing() {
                return false;
            }
            // The time-out only guards against a wake-up lost to a bug of the lab's.
            store = self.freed.wait_timeout(&self.store, store, Duration::from_millis(500)).0;
        }
    }

    /// Takes back the unused buffers of a thread that ends.
    pub fn give_back(&self, batch: &mut Batch) {
        self.store.lock().unwrap_or_else(PoisonError::into_inner).free.append(&mut batch.nodes);
    }

    /// Links `list` as one indication.
    pub fn link(list: &[*mut Node]) {
        for (i, &node) in list.iter().enumerate() {
            let next = list.get(i + 1).copied().unwrap_or(null_mut());
            // SAFETY: nodes of a batch belong to this thread.
            let n = unsafe { &mut *node };
            n.follower = next;
            n.indication.next = next.cast();
            n.lease.lend(i == 0);
        }
    }

    /// Marks the nodes of a list that was not accepted as no list.
    pub fn unlink(list: &[*mut Node]) {
        for &node in list {
            // SAFETY: the driver did not take the list.
            unsafe { (*node).lease.clear() };
        }
    }

    /// The callback returned `STATUS_PENDING`.
    pub fn retain(&self, head: *mut Node) {
        self.retained.fetch_add(1, Ordering::SeqCst);
        // SAFETY: nodes are freed only when the socket's threads have ended.
        let lease = unsafe { &(*head).lease };
        if !lease.retain() {
            // Another thread of the driver's was done with it before the callback returned.
            self.retained.fetch_sub(1, Ordering::SeqCst);
            self.recycle(head);
        }
    }

    /// The callback returned `STATUS_SUCCESS`: the lab has the whole list again.
    pub fn taken_back(&self, head: *mut Node) {
        // SAFETY: as above.
        unsafe { (*head).lease.take_back() };
        self.recycle(head);
    }

    /// `WskRelease`.
    pub fn release(&self, head: *mut Node) -> NTSTATUS {
        // SAFETY: the driver's pointer; a wild one faults as it would on Windows.
        if !unsafe { pool::is_lab_block(head.cast(), &INDICATIONS) } {
            record(BAD, &format!("{head:p} is not a WSK_DATAGRAM_INDICATION of WSK's"));
            return status::INVALID_PARAMETER;
        }
        // SAFETY: a live node.
        match unsafe { (*head).lease.release(head.cast()) } {
            Released::Now => {
                self.recycle(head);
                self.retained.fetch_sub(1, Ordering::SeqCst);
                status::SUCCESS
            }
            Released::Early => status::SUCCESS,
            Released::Refused(s) => s,
        }
    }

    fn recycle(&self, head: *mut Node) {
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let mut node = head;
        while !node.is_null() {
            // SAFETY: a node of a list that the lab has again; its canaries show what the driver wrote beyond it.
            unsafe { pool::check_block(node.cast()) };
            // SAFETY: as above.
            let n = unsafe { &mut *node };
            if !n.overflow.is_null() {
                // SAFETY: allocated by `Batch::receive` for this datagram.
                unsafe { pool::free_lab(n.overflow) };
                n.overflow = null_mut();
            }
            // What a driver that uses the list after this finds.
            n.indication.buffer.mdl = usize::from_ne_bytes([pool::FREE_PATTERN; 8]) as *mut MDL;
            n.indication.next = n.indication.buffer.mdl.cast();
            n.data[..LEAD + 16].fill(pool::FREE_PATTERN);
            n.lease.clear();
            store.free.push(node);
            node = n.follower;
        }
        self.freed.notify_one();
    }

    /// Frees everything; nothing is lent any more.
    pub fn free_all(&self) {
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        store.free.clear();
        for node in std::mem::take(&mut store.all) {
            // SAFETY: a live node of this store.
            let overflow = unsafe { (*node).overflow };
            if !overflow.is_null() {
                // SAFETY: allocated by `Batch::receive`.
                unsafe { pool::free_lab(overflow) };
            }
            // SAFETY: allocated by `fill`, freed once.
            unsafe { pool::free_lab(node.cast()) };
        }
    }
}

/// What one receiving thread works with: buffers and the arrays of `recvmmsg`, allocated once.
pub struct Batch {
    nodes: Vec<*mut Node>,
    messages: Vec<libc::mmsghdr>,
    vecs: Vec<[libc::iovec; 2]>,
    /// Where the end of a datagram goes that is larger than a node; kept apart per message.
    spill: Vec<u8>,
}

impl Batch {
    /// Without buffers yet.
    pub fn new() -> Self {
        // SAFETY: all zeroes is an empty message.
        let empty: libc::mmsghdr = unsafe { std::mem::zeroed() };
        Self {
            nodes: Vec::with_capacity(BATCH),
            messages: vec![empty; BATCH],
            vecs: vec![[libc::iovec { iov_base: null_mut(), iov_len: 0 }; 2]; BATCH],
            spill: vec![0; BATCH * LARGEST],
        }
    }

    /// Receives into the first buffers; says how many datagrams came.
    pub fn receive(&mut self, fd: RawFd, choices: &Choices) -> usize {
        let count = self.nodes.len().min(BATCH);
        for i in 0..count {
            let (Some(&node), Some(vecs), Some(m)) =
                (self.nodes.get(i), self.vecs.get_mut(i), self.messages.get_mut(i))
            else {
                break;
            };
            let place = Place(node);
            *vecs = [
                libc::iovec { iov_base: place.data().wrapping_add(LEAD).cast(), iov_len: FIRST },
                libc::iovec { iov_base: self.spill.as_mut_ptr().wrapping_add(i * LARGEST).cast(), iov_len: LARGEST },
            ];
            m.msg_hdr.msg_name = place.at(offset_of!(Node, address)).cast();
            m.msg_hdr.msg_namelen = 32;
            m.msg_hdr.msg_iov = vecs.as_mut_ptr();
            m.msg_hdr.msg_iovlen = 2;
            m.msg_hdr.msg_control = place.at(offset_of!(Node, linux_control)).cast();
            m.msg_hdr.msg_controllen = CONTROL_ROOM;
        }
        let n = u32::try_from(count).unwrap_or(0);
        // SAFETY: the messages describe nodes of this thread's and its spill, all alive here.
        let got = unsafe { libc::recvmmsg(fd, self.messages.as_mut_ptr(), n, libc::MSG_DONTWAIT, null_mut()) };
        // An error is "nothing there", or an ICMP error for an earlier send, which WSK does not report to callbacks.
        let got = usize::try_from(got).unwrap_or(0);
        for i in 0..got {
            self.describe(i, choices);
        }
        got
    }

    fn describe(&mut self, i: usize, choices: &Choices) {
        let (Some(&node), Some(m)) = (self.nodes.get(i), self.messages.get(i)) else { return };
        let len = m.msg_len as usize;
        let data = Place(node).data();
        // SAFETY: a node of this thread's.
        let n = unsafe { &mut *node };
        let first = len.min(FIRST);
        let second = if len > FIRST {
            let rest = len - FIRST;
            n.overflow = pool::alloc_lab(&OVERFLOWS, rest);
            if let Some(from) = self.spill.get(i * LARGEST..i * LARGEST + rest) {
                // SAFETY: a fresh block of `rest` bytes.
                unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), n.overflow, rest) };
            }
            n.mdl[1] = mdl_over(n.overflow, rest, null_mut());
            &raw mut n.mdl[1]
        } else {
            null_mut()
        };
        let cut = if second.is_null() && len > 1 && net::segmented() { choices.below(len as u64) } else { 0 };
        if let Ok(cut @ 1..) = usize::try_from(cut) {
            // Two parts, not next to each other.
            let (from, to) = (data.wrapping_add(LEAD + cut), data.wrapping_add(LEAD + cut + GAP));
            // SAFETY: both lie in the node's data, whose trail has room for the gap.
            unsafe { std::ptr::copy(from, to, len - cut) };
            n.mdl[1] = mdl_over(to, len - cut, null_mut());
            n.mdl[0] = mdl_over(data, LEAD + cut, &raw mut n.mdl[1]);
        } else {
            // A chain has no padding between its parts.
            let trail = if second.is_null() { TRAIL } else { 0 };
            n.mdl[0] = mdl_over(data, LEAD + first + trail, second);
        }
        // SAFETY: the kernel wrote the address; 32 bytes are there.
        unsafe { address::to_windows_in_place(n.address.as_mut_ptr()) };
        let mut control_len = 0;
        if m.msg_hdr.msg_controllen != 0 {
            // SAFETY: the kernel wrote that many bytes there.
            let linux = unsafe {
                std::slice::from_raw_parts(
                    n.linux_control.as_ptr().cast::<u8>(),
                    m.msg_hdr.msg_controllen.min(CONTROL_ROOM),
                )
            };
            let mut out = [0u8; CONTROL_ROOM];
            control_len = address::control_to_windows(linux, &mut out);
            for (to, from) in n.control.iter_mut().zip(out.chunks_exact(8)) {
                *to = u64::from_ne_bytes(from.try_into().unwrap_or_default());
            }
        }
        n.indication = DatagramIndication {
            next: null_mut(),
            buffer: Buf { mdl: &raw mut n.mdl[0], offset: u32::try_from(LEAD).unwrap_or(0), length: len },
            control_info: if control_len == 0 { null_mut() } else { n.control.as_mut_ptr().cast::<CmsgHdr>() },
            control_info_length: u32::try_from(control_len).unwrap_or(0),
            remote_address: n.address.as_mut_ptr(),
        };
    }

    /// The first `n` buffers.
    pub fn received(&self, n: usize) -> &[*mut Node] {
        self.nodes.get(..n).unwrap_or_default()
    }

    /// Forgets the first `n` buffers: they are in a list now.
    pub fn consume(&mut self, n: usize) {
        self.nodes.drain(..n);
    }
}
