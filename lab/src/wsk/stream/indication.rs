//! What `WskReceiveEvent` lends: lists of nodes, each with its bytes in a chain of MDLs.

use super::super::abi::{Buf, DataIndication};
use super::super::lease::{BAD, Lease, Released};
use super::super::net::{self, Choices};
use crate::nt::{MDL, NTSTATUS, mdl_flags, status};
use crate::objects::Kind;
use crate::pool;
use crate::report::record;
use std::collections::VecDeque;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Bytes of one node at most, as of one segment.
const SEGMENT: usize = 1460;
/// What stands before them in the first MDL, as behind the headers of a real one.
const LEAD: usize = 54;
const PARTS: usize = 3;
const ROOM: usize = SEGMENT + LEAD + 4 * PARTS;

static INDICATIONS: Kind = Kind::of_lab("wsk.data-indication");

/// An MDL with the page numbers that its size allows for.
#[repr(C)]
struct Part {
    mdl: MDL,
    pages: [u64; 2],
}

/// One node. The first field is what the driver has a pointer to.
#[repr(C)]
pub struct Node {
    indication: DataIndication,
    parts: [Part; PARTS],
    lease: Lease,
    /// The list as it was indicated, whatever the driver did to `Next`.
    follower: *mut Node,
    data: [u8; ROOM],
}

#[derive(Default)]
struct Store {
    free: VecDeque<*mut Node>,
    all: Vec<*mut Node>,
}
// SAFETY: the store owns its nodes; they are plain memory.
unsafe impl Send for Store {}

/// The nodes of one socket.
#[derive(Default)]
pub struct Indications {
    store: Mutex<Store>,
    retained: AtomicUsize,
}

impl Indications {
    /// Lists that the driver holds.
    pub fn retained(&self) -> usize {
        self.retained.load(Ordering::SeqCst)
    }

    /// A list with these bytes; its head.
    pub fn list(&self, bytes: &[u8], choices: &Choices) -> *mut Node {
        let mut rest = bytes;
        let mut nodes = Vec::new();
        while !rest.is_empty() {
            let n = rest.len().min(SEGMENT).min(choices.segment());
            let (piece, behind) = rest.split_at(n);
            let node = self.node();
            // SAFETY: a node of the store that nobody has.
            unsafe { fill(&mut *node, piece, choices) };
            nodes.push(node);
            rest = behind;
        }
        for (i, &node) in nodes.iter().enumerate() {
            let next = nodes.get(i + 1).copied().unwrap_or(null_mut());
            // SAFETY: as above.
            let n = unsafe { &mut *node };
            n.follower = next;
            n.indication.next = next.cast();
            n.lease.lend(i == 0);
        }
        nodes.first().copied().unwrap_or(null_mut())
    }

    fn node(&self) -> *mut Node {
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        if store.free.len() > 8
            && let Some(n) = store.free.pop_front()
        {
            return n;
        }
        let n = pool::alloc_lab_zeroed(&INDICATIONS, size_of::<Node>()).cast::<Node>();
        store.all.push(n);
        n
    }

    /// The callback returned `STATUS_PENDING`.
    pub fn retain(&self, head: *mut Node) {
        self.retained.fetch_add(1, Ordering::SeqCst);
        // SAFETY: nodes are freed only when the socket's threads have ended.
        if !unsafe { (*head).lease.retain() } {
            self.retained.fetch_sub(1, Ordering::SeqCst);
            self.recycle(head);
        }
    }

    /// The callback returned something else.
    pub fn take_back(&self, head: *mut Node) {
        // SAFETY: as above.
        unsafe { (*head).lease.take_back() };
        self.recycle(head);
    }

    /// `WskRelease`.
    pub fn release(&self, head: *mut Node) -> NTSTATUS {
        // SAFETY: the driver's pointer; a wild one faults as it would on Windows.
        if !unsafe { pool::is_lab_block(head.cast(), &INDICATIONS) } {
            record(BAD, &format!("{head:p} is not a WSK_DATA_INDICATION of WSK's"));
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
            // What a driver that uses the list after this finds.
            n.indication.buffer.mdl = usize::from_ne_bytes([pool::FREE_PATTERN; 8]) as *mut MDL;
            n.indication.next = n.indication.buffer.mdl.cast();
            n.data.fill(pool::FREE_PATTERN);
            n.lease.clear();
            store.free.push_back(node);
            node = n.follower;
        }
    }

    /// Frees everything; nothing is lent any more.
    pub fn free_all(&self) {
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        store.free.clear();
        for node in std::mem::take(&mut store.all) {
            // SAFETY: allocated by `node`, freed once.
            unsafe { pool::free_lab(node.cast()) };
        }
    }
}

/// Lays `bytes` into the node's memory: in one part behind a header's room, or cut at odd places with gaps between.
fn fill(n: &mut Node, bytes: &[u8], choices: &Choices) {
    let odd = net::segmented();
    let lead = if odd { usize::try_from(choices.below(LEAD as u64)).unwrap_or(0) } else { LEAD };
    let count = if odd { usize::try_from(choices.below(PARTS as u64)).unwrap_or(0) + 1 } else { 1 };
    n.data.fill(pool::ALLOC_PATTERN);
    let (mut rest, mut at, mut used) = (bytes, 0, 0);
    for i in 0..count {
        let last = i + 1 == count;
        let len = if last { rest.len() } else { usize::try_from(choices.below(rest.len() as u64)).unwrap_or(0) };
        let (piece, behind) = rest.split_at(len);
        let before = if i == 0 { lead } else { 0 };
        if let Some(room) = n.data.get_mut(at + before..at + before + len) {
            room.copy_from_slice(piece);
        }
        let start = n.data.as_mut_ptr().wrapping_add(at);
        if let Some(part) = n.parts.get_mut(i) {
            part.mdl = mdl_over(start, before + len);
            part.pages = [(start.addr() / 4096) as u64, (start.addr() / 4096) as u64 + 1];
        }
        used = i;
        at += before + len + if odd { 3 } else { 1 };
        rest = behind;
    }
    for i in 0..used {
        let next = n.parts.get_mut(i + 1).map_or(null_mut(), |p| &raw mut p.mdl);
        if let Some(p) = n.parts.get_mut(i) {
            p.mdl.Next = next;
        }
    }
    n.indication.buffer =
        Buf { mdl: &raw mut n.parts[0].mdl, offset: u32::try_from(lead).unwrap_or(0), length: bytes.len() };
}

fn mdl_over(p: *mut u8, len: usize) -> MDL {
    MDL {
        Next: null_mut(),
        Size: 64,
        MdlFlags: mdl_flags::MAPPED_TO_SYSTEM_VA | mdl_flags::SOURCE_IS_NONPAGED_POOL,
        Process: null_mut(),
        MappedSystemVa: p.cast(),
        StartVa: p.map_addr(|a| a & !0xFFF).cast(),
        ByteCount: u32::try_from(len).unwrap_or(0),
        ByteOffset: u32::try_from(p.addr() & 0xFFF).unwrap_or(0),
    }
}
