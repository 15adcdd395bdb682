//! Pool memory: the driver's tagged allocations and the lab's own blocks that a driver sees.
//!
//! Every block stands between two canaries and is filled with a pattern when it is allocated and when it is freed. It
//! remembers which call of the driver's allocated it and which freed it. Freed blocks stay in quarantine for a while; a
//! write to one is found when it leaves. Live driver blocks, and those of the lab's ([`alloc_lab`]) that a driver must give
//! back, are linked in shards, so that unload can name what leaked; the rest is only counted: cheap enough for the data path.

use crate::objects::Kind;
use crate::report::{self, Origin, Rule, record, record_of};
use crate::{irql, ke};
mod reports;
pub mod special;

use reports::describe;
pub use reports::{check_leaks, is_paged, live_of, owner};
use std::alloc::{Layout, alloc, dealloc};
use std::cell::{Cell, UnsafeCell};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

const ZERO_SIZE: Rule = Rule::new("pool.zero-size", "Driver Verifier 0xC4/0x0: zero-byte pool allocation");
const ZERO_TAG: Rule = Rule::new("pool.zero-tag", "WDK: ExAllocatePool2 (Tag cannot be zero)");
const IRQL_RULE: Rule = Rule::new("pool.irql", "Driver Verifier 0xC4/0x1, 0x2, 0x11, 0x12: pool call at a wrong IRQL");
const BAD_FREE: Rule = Rule::new("pool.bad-free", "WDK: ExFreePoolWithTag (P must come from the pool); bug check 0xC2");
const DOUBLE_FREE: Rule = Rule::new("pool.double-free", "WDK: ExFreePoolWithTag; bug check 0xC2/0x7");
const WRONG_TAG: Rule = Rule::new("pool.wrong-tag", "WDK: ExFreePoolWithTag (Tag must match the allocation's)");
const UNDERRUN: Rule = Rule::new("pool.underrun", "Driver Verifier special pool: write before the block");
const OVERRUN: Rule = Rule::new("pool.overrun", "Driver Verifier special pool: write past the block");
const AFTER_FREE: Rule = Rule::new("pool.write-after-free", "Driver Verifier special pool: write to a freed block");

const LIVE: u64 = 0x4C49_5645_424C_4F4B;
const FREED: u64 = 0x4652_4545_4442_4C4B;
const CANARY: u64 = 0xA5C3_96E1_5AF0_0FB7;
/// Each byte of an allocation that is not zeroed.
pub const ALLOC_PATTERN: u8 = 0xCD;
/// Each byte of a freed block.
pub const FREE_PATTERN: u8 = 0xDE;

const SHARDS: usize = 16;
const QUARANTINE_BLOCKS: usize = 64;
const QUARANTINE_BYTES: usize = 1 << 20;
const PAGE: usize = 4096;

const DRIVER: u8 = 0;
const LAB: u8 = 1;

#[repr(C, align(16))]
struct Header {
    magic: AtomicU64,
    size: usize,
    base: *mut u8,
    total: usize,
    align: usize,
    /// The call that allocated it, and the driver's return address then.
    made: Origin,
    /// The same of the call that freed it.
    freed: Origin,
    kind: Option<&'static Kind>,
    next: *mut Header,
    prev: *mut Header,
    tag: u32,
    shard: u16,
    owner: u8,
    paged: u8,
    linked: bool,
    special: bool,
    /// Bytes behind the block that hold the canary.
    tail: usize,
    fill: u64,
    /// The canary before the block.
    front: [u64; 2],
}

const _: () = assert!(std::mem::offset_of!(Header, front) + 16 == HEADER, "the canary stands just before the block");

/// Where a block lies with all that is around it.
struct Mapping {
    base: *mut u8,
    total: usize,
    align: usize,
}

impl Header {
    /// The header that is to stand at `h`, of a block that nobody owns.
    fn new(h: *mut Self, size: usize, mapping: Mapping, tail: usize) -> Self {
        Self {
            magic: AtomicU64::new(LIVE ^ (h as u64)),
            size,
            base: mapping.base,
            total: mapping.total,
            align: mapping.align,
            made: Origin::here(),
            freed: Origin::NONE,
            kind: None,
            next: std::ptr::null_mut(),
            prev: std::ptr::null_mut(),
            tag: 0,
            shard: 0,
            owner: LAB,
            paged: 0,
            linked: false,
            special: false,
            tail,
            fill: 0,
            front: [CANARY; 2],
        }
    }
}

const HEADER: usize = size_of::<Header>();
const TAIL: usize = 16;

#[derive(Default)]
struct Freed {
    blocks: VecDeque<*mut Header>,
    bytes: usize,
}

struct Shard {
    live: Mutex<LiveList>,
    freed: Mutex<QuarantineCell>,
}

struct LiveList(*mut Header);
// SAFETY: the list is only touched under its mutex; the blocks it links are plain memory, bound to no thread.
unsafe impl Send for LiveList {}

struct QuarantineCell(UnsafeCell<Option<Freed>>);
// SAFETY: as for LiveList.
unsafe impl Send for QuarantineCell {}

static POOLS: [Shard; SHARDS] = [const {
    Shard { live: Mutex::new(LiveList(std::ptr::null_mut())), freed: Mutex::new(QuarantineCell(UnsafeCell::new(None))) }
}; SHARDS];
static NEXT_SHARD: AtomicUsize = AtomicUsize::new(0);
static DRIVER_BLOCKS: Kind = Kind::of_lab("pool.block");
static DRIVER_BYTES: AtomicI64 = AtomicI64::new(0);
static FAIL_IN: AtomicI64 = AtomicI64::new(-1);

thread_local! {
    static MY_SHARD: Cell<usize> = const { Cell::new(usize::MAX) };
}

fn my_shard() -> usize {
    let s = MY_SHARD.get();
    if s != usize::MAX {
        return s;
    }
    let s = NEXT_SHARD.fetch_add(1, Ordering::Relaxed) % SHARDS;
    MY_SHARD.set(s);
    s
}

fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a driver asks of the pool.
#[derive(Debug, Clone, Copy)]
pub struct Request {
    /// Bytes.
    pub size: usize,
    /// Four characters, first in the low byte.
    pub tag: u32,
    /// Paged pool.
    pub paged: bool,
    /// Zeroed rather than filled with [`ALLOC_PATTERN`].
    pub zeroed: bool,
    /// Alignment beyond the 16 bytes (4096 from a page on) that pool memory always has.
    pub align: usize,
}

/// Lets the `n`th driver allocation from now on fail (0: the next), once.
pub fn fail_in(n: u32) {
    FAIL_IN.store(i64::from(n), Ordering::Relaxed);
}

/// Allocates for the driver, after the checks of its pool call. Null when the host has no memory or a failure is injected.
#[must_use]
pub fn alloc_driver(r: &Request) -> *mut u8 {
    if r.size == 0 {
        record(ZERO_SIZE, &format!("tag '{}'", tag_text(r.tag)));
        return std::ptr::null_mut();
    }
    if r.tag == 0 {
        record(ZERO_TAG, &format!("{} bytes", r.size));
    }
    let limit = if r.paged { irql::APC } else { irql::DISPATCH };
    if irql::current() > limit {
        record(IRQL_RULE, &format!("{} pool at IRQL {}", if r.paged { "paged" } else { "non-paged" }, irql::current()));
    }
    if FAIL_IN.load(Ordering::Relaxed) >= 0 && FAIL_IN.fetch_sub(1, Ordering::Relaxed) == 0 {
        return std::ptr::null_mut();
    }
    let mut h = special::new_block(r.size, r.align);
    if h.is_null() {
        h = new_block(r.size, r.align);
    }
    if h.is_null() {
        return std::ptr::null_mut();
    }
    // SAFETY: new_block returned a fresh header that nobody else has.
    unsafe {
        (*h).tag = r.tag;
        (*h).owner = DRIVER;
        (*h).paged = u8::from(r.paged);
        payload(h).write_bytes(if r.zeroed { 0 } else { ALLOC_PATTERN }, r.size);
    }
    // SAFETY: the block is fresh and in no list.
    unsafe { link(h) };
    DRIVER_BLOCKS.add();
    DRIVER_BYTES.fetch_add(i64::try_from(r.size).unwrap_or(0), Ordering::Relaxed);
    payload(h)
}

/// Puts a block into a list of live ones.
///
/// # Safety
/// `h` heads a block that is in no list.
unsafe fn link(h: *mut Header) {
    let shard = my_shard();
    let Some(s) = POOLS.get(shard) else { return };
    let mut list = lock(&s.live);
    // SAFETY: as our caller promises; the list's lock is held and its blocks are live.
    unsafe {
        (*h).shard = u16::try_from(shard).unwrap_or(0);
        (*h).linked = true;
        (*h).next = list.0;
        if let Some(n) = list.0.as_mut() {
            n.prev = h;
        }
    }
    list.0 = h;
}

/// Takes a block out of its list, if it is in one.
///
/// # Safety
/// `h` heads a live block.
unsafe fn unlink(h: *mut Header) {
    // SAFETY: as our caller promises; only the block's owner, who is our caller, links and unlinks it.
    unsafe {
        if !(*h).linked {
            return;
        }
        let Some(s) = POOLS.get(usize::from((*h).shard)) else { return };
        let mut list = lock(&s.live);
        (*h).linked = false;
        if let Some(n) = (*h).next.as_mut() {
            n.prev = (*h).prev;
        }
        match (*h).prev.as_mut() {
            Some(prev) => prev.next = (*h).next,
            None => list.0 = (*h).next,
        }
    }
}

/// Frees a driver's block. `tag` is `None` for `ExFreePool` (and for a zero tag, which means the same).
///
/// # Safety
/// `p` is what the driver passed: anything; it must be readable for a header before it.
pub unsafe fn free_driver(p: *mut u8, tag: Option<u32>) {
    if p.is_null() {
        record(BAD_FREE, "null pointer");
        return;
    }
    // SAFETY: as our caller promises.
    let h = unsafe { live_header(p, DRIVER) };
    // SAFETY: live_header returned a live block of ours.
    let (size, block_tag, paged) = unsafe { ((*h).size, (*h).tag, (*h).paged != 0) };
    // SAFETY: as above.
    let about = |rule, detail: &str| record_of(rule, &unsafe { describe(h) }, detail);
    if tag.is_some_and(|t| t != block_tag) {
        let t = tag.unwrap_or(0);
        about(WRONG_TAG, &format!("allocated as '{}', freed as '{}'", tag_text(block_tag), tag_text(t)));
    }
    let limit = if paged { irql::APC } else { irql::DISPATCH };
    if irql::current() > limit {
        about(
            IRQL_RULE,
            &format!("free of a {} block at IRQL {}", if paged { "paged" } else { "non-paged" }, irql::current()),
        );
    }
    ke::before_free(p as usize, size);
    crate::wsk::before_free(p as usize, size, "free");
    DRIVER_BLOCKS.remove();
    DRIVER_BYTES.fetch_sub(i64::try_from(size).unwrap_or(0), Ordering::Relaxed);
    // SAFETY: h is live; it goes to quarantine.
    unsafe {
        unlink(h);
        retire(h);
    }
}

/// Memory of the lab's that the driver sees, filled with [`ALLOC_PATTERN`], 16-aligned, counted under `kind`.
///
/// # Panics
/// Never; ends the process where the host has no memory.
#[must_use]
pub fn alloc_lab(kind: &'static Kind, size: usize) -> *mut u8 {
    let p = alloc_lab_raw(kind, size, 16);
    // SAFETY: fresh block of `size` bytes.
    unsafe { p.write_bytes(ALLOC_PATTERN, size) };
    p
}

/// [`alloc_lab`], zeroed.
#[must_use]
pub fn alloc_lab_zeroed(kind: &'static Kind, size: usize) -> *mut u8 {
    alloc_lab_aligned(kind, size, 16)
}

/// [`alloc_lab`], zeroed and aligned to a power of two.
#[must_use]
pub fn alloc_lab_aligned(kind: &'static Kind, size: usize, align: usize) -> *mut u8 {
    let p = alloc_lab_raw(kind, size, align);
    // SAFETY: fresh block of `size` bytes.
    unsafe { p.write_bytes(0, size) };
    p
}

fn alloc_lab_raw(kind: &'static Kind, size: usize, align: usize) -> *mut u8 {
    let h = new_block(size, align);
    if h.is_null() {
        eprintln!("dco-lab: the host has no memory for {size} bytes");
        std::process::abort();
    }
    // SAFETY: new_block returned a fresh header that nobody else has.
    unsafe {
        (*h).owner = LAB;
        (*h).kind = Some(kind);
        if kind.leak_checked() {
            link(h);
        }
    }
    kind.add();
    payload(h)
}

/// Frees a block of [`alloc_lab`]: its canaries are checked and its bytes filled with [`FREE_PATTERN`].
///
/// # Safety
/// `p` came from an `alloc_lab*` function and nothing uses it any more.
pub unsafe fn free_lab(p: *mut u8) {
    // SAFETY: as our caller promises.
    let h = unsafe { live_header(p, LAB) };
    // SAFETY: h is live.
    unsafe {
        if let Some(k) = (*h).kind {
            k.remove();
        }
        unlink(h);
        retire(h);
    }
}

/// Checks that `p` is a live block of [`alloc_lab`] of this kind: for handles that a driver passes.
///
/// # Safety
/// `p` is null or readable for a header before it.
#[must_use]
pub unsafe fn is_lab_block(p: *const u8, kind: &'static Kind) -> bool {
    if p.is_null() || !p.addr().is_multiple_of(16) {
        return false;
    }
    let h = p.wrapping_sub(HEADER).cast::<Header>();
    // SAFETY: as our caller promises.
    unsafe {
        (*h).magic.load(Ordering::Relaxed) == LIVE ^ (h as u64)
            && (*h).owner == LAB
            && (*h).kind.is_some_and(|k| std::ptr::eq(k, kind))
    }
}

/// Checks the canaries of a block that stays alive.
///
/// # Safety
/// `p` is a live block of this pool.
pub unsafe fn check_block(p: *mut u8) {
    // SAFETY: as our caller promises.
    unsafe { check_canaries(p.wrapping_sub(HEADER).cast::<Header>()) };
}

fn payload(h: *mut Header) -> *mut u8 {
    h.cast::<u8>().wrapping_add(HEADER)
}

fn new_block(size: usize, align: usize) -> *mut Header {
    // Pool memory of a page or more starts a page.
    let align = if size >= PAGE { align.max(PAGE) } else { align.max(16) };
    let lead = HEADER.next_multiple_of(align);
    let Some(total) = size.checked_add(lead + TAIL) else { return std::ptr::null_mut() };
    let Ok(layout) = Layout::from_size_align(total, align) else { return std::ptr::null_mut() };
    // SAFETY: the layout is not empty.
    let base = unsafe { alloc(layout) };
    if base.is_null() {
        return std::ptr::null_mut();
    }
    let h = base.wrapping_add(lead - HEADER).cast::<Header>();
    let header = Header::new(h, size, Mapping { base, total, align }, TAIL);
    // SAFETY: lead >= HEADER bytes stand before the payload, TAIL after it.
    unsafe {
        h.write(header);
        fill_tail(h);
    }
    h
}

/// The header of a live block with sound canaries; stops the lab on anything else.
///
/// # Safety
/// `p` is readable for a header before it.
unsafe fn live_header(p: *mut u8, owner: u8) -> *mut Header {
    if let Some(object) = special::freed_block(p.addr()) {
        stop_of(DOUBLE_FREE, &object, "freed before");
    }
    let h = p.wrapping_sub(HEADER).cast::<Header>();
    if !p.addr().is_multiple_of(16) {
        report::stop_about(BAD_FREE, p.addr(), &format!("{p:p} is not a pool address"));
    }
    // SAFETY: as our caller promises.
    let magic = unsafe { (*h).magic.load(Ordering::Acquire) };
    if magic == FREED ^ (h as u64) {
        // SAFETY: the magic says that this is a block in quarantine, whose header is still ours.
        stop_of(DOUBLE_FREE, &unsafe { describe(h) }, "freed before");
    }
    // SAFETY: as our caller promises.
    if magic != LIVE ^ (h as u64) || unsafe { (*h).owner } != owner {
        report::stop_about(
            BAD_FREE,
            p.addr(),
            &format!("{p:p} is not the start of a live block (or its header was overwritten)"),
        );
    }
    // SAFETY: h is a live header.
    unsafe { check_canaries(h) };
    h
}

fn stop_of(rule: Rule, object: &str, detail: &str) -> ! {
    report::collect(false);
    record_of(rule, object, detail);
    report::exit_now(report::EXIT_VIOLATION)
}

/// # Safety
/// `h` heads a live block.
unsafe fn check_canaries(h: *mut Header) {
    // SAFETY: a live block has its canaries before and after.
    let (front, back, size) =
        unsafe { ((*h).front, std::slice::from_raw_parts(payload(h).wrapping_add((*h).size), (*h).tail), (*h).size) };
    if front != [CANARY; 2] {
        let bytes: Vec<u8> = front.iter().flat_map(|w| w.to_le_bytes()).collect();
        // SAFETY: h is live.
        stop_of(UNDERRUN, &unsafe { describe(h) }, &format!("preceded by {bytes:02x?}"));
    }
    if let Some(at) = back.iter().zip(canary()).position(|(b, c)| *b != c) {
        let bytes = back.get(at..back.len().min(at + 16)).unwrap_or(&[]);
        // SAFETY: h is live.
        stop_of(
            OVERRUN,
            &unsafe { describe(h) },
            &format!("{size} bytes, written at offset {}: {bytes:02x?}", size + at),
        );
    }
}

/// The canary's bytes, again and again.
fn canary() -> impl Iterator<Item = u8> {
    CANARY.to_le_bytes().into_iter().cycle()
}

/// # Safety
/// `h` heads a fresh block.
unsafe fn fill_tail(h: *mut Header) {
    // SAFETY: as our caller promises; the header says how many bytes follow the block.
    let tail = unsafe { std::slice::from_raw_parts_mut(payload(h).wrapping_add((*h).size), (*h).tail) };
    tail.iter_mut().zip(canary()).for_each(|(to, c)| *to = c);
}

/// # Safety
/// `h` heads a live block that is in no list.
unsafe fn retire(h: *mut Header) {
    // SAFETY: as our caller promises.
    ke::order::forget(payload(h) as usize, unsafe { (*h).size });
    // SAFETY: as our caller promises; from here on the block is in quarantine.
    unsafe {
        (*h).magic.store(FREED ^ (h as u64), Ordering::Release);
        (*h).freed = Origin::here();
        payload(h).write_bytes(FREE_PATTERN, (*h).size);
        if (*h).special {
            special::retire(h);
            return;
        }
    }
    let Some(s) = POOLS.get(my_shard()) else { return };
    let mut cell = lock(&s.freed);
    let q = cell.0.get_mut().get_or_insert_default();
    // SAFETY: h is intact.
    q.bytes += unsafe { (*h).size };
    q.blocks.push_back(h);
    while q.blocks.len() > QUARANTINE_BLOCKS || q.bytes > QUARANTINE_BYTES {
        let Some(old) = q.blocks.pop_front() else { break };
        // SAFETY: blocks in quarantine are ours.
        unsafe {
            q.bytes -= (*old).size;
            release(old);
        }
    }
}

/// # Safety
/// `h` heads a block that has just left quarantine.
unsafe fn release(h: *mut Header) {
    // SAFETY: as our caller promises.
    unsafe {
        check_freed(h);
        let layout =
            Layout::from_size_align_unchecked((*h).total, (*h).align.max(if (*h).size >= PAGE { PAGE } else { 16 }));
        let base = (*h).base;
        (*h).magic.store(0, Ordering::Relaxed);
        dealloc(base, layout);
    }
}

/// # Safety
/// `h` heads a block in quarantine.
unsafe fn check_freed(h: *mut Header) {
    // SAFETY: a block in quarantine is still allocated.
    let bytes = unsafe { std::slice::from_raw_parts(payload(h), (*h).size) };
    let pattern = u64::from_ne_bytes([FREE_PATTERN; 8]);
    let (head, words, tail) = {
        // SAFETY: any bytes are a valid u64.
        unsafe { bytes.align_to::<u64>() }
    };
    let clean = head.iter().chain(tail).all(|&b| b == FREE_PATTERN) && words.iter().all(|&w| w == pattern);
    if !clean {
        let at = bytes.iter().position(|&b| b != FREE_PATTERN).unwrap_or(0);
        let end = bytes.len().min(at + 16);
        // SAFETY: the header of a block in quarantine is intact.
        let text = unsafe { describe(h) };
        // SAFETY: as above.
        let rule = unsafe { (*h).kind }.and_then(Kind::after_free).unwrap_or(AFTER_FREE);
        record_of(rule, &text, &format!("written at offset {at}: {:02x?}", bytes.get(at..end).unwrap_or(&[])));
    }
}

/// Checks every freed block that is still in quarantine, and lets them go.
pub fn check_quarantine() {
    for s in &POOLS {
        let mut cell = lock(&s.freed);
        let Some(q) = cell.0.get_mut() else { continue };
        while let Some(h) = q.blocks.pop_front() {
            // SAFETY: blocks in quarantine are ours.
            unsafe { release(h) };
        }
        q.bytes = 0;
    }
}

/// Live driver blocks and their bytes.
#[must_use]
pub fn usage() -> (i64, i64) {
    (DRIVER_BLOCKS.live(), DRIVER_BYTES.load(Ordering::Relaxed))
}

/// A tag as its four characters.
#[must_use]
pub fn tag_text(tag: u32) -> String {
    tag.to_le_bytes().iter().map(|&b| if b.is_ascii_graphic() { char::from(b) } else { '.' }).collect()
}
