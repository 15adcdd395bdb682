//! WDFMEMORY and WDFLOOKASIDE.

use super::abi::{BUFFER_TOO_SMALL, Handle, INVALID_PARAMETER, NtStatus, RawAttributes, SUCCESS};
use super::attributes::{self, Attributes};
use super::bind::{G, enter};
use super::object::{self, Body, Kind, Ref};
use super::table::{Entry, entries};
use super::{driver, text};
use crate::fault;
use crate::irql::{self, APC, DISPATCH};
use crate::report::{Rule, stop};
use crate::{objects, pool};
use std::sync::atomic::{AtomicUsize, Ordering};

/// WDFMEMORY in non-paged memory.
pub static MEMORY: Kind = Kind::new("WDFMEMORY", true, false, false);
/// WDFMEMORY in paged memory: cleaned up at PASSIVE_LEVEL.
pub static PAGED: Kind = Kind::new("WDFMEMORY (paged)", true, true, false);
/// WDFLOOKASIDE.
pub static LOOKASIDE: Kind = Kind::new("WDFLOOKASIDE", true, true, false);

static BLOCKS: objects::Kind = objects::Kind::of_lab("wdf.memory-block");

const WRONG_TYPE: Rule = Rule::new("wdf.wrong-type", "WDF_VIOLATION (0x10D) code 5: a handle of an incorrect type");
const READ_ONLY: Rule =
    Rule::new("wdf.memory-read-only", "WDK: WdfMemoryCopyFromBuffer (not into the input memory of a request)");
const ASSIGN: Rule =
    Rule::new("wdf.memory-assign", "WDK: WdfMemoryAssignBuffer (for WdfMemoryCreatePreallocated only)");

/// The framework's part of a memory object.
#[derive(Debug)]
pub struct Memory {
    address: AtomicUsize,
    size: AtomicUsize,
    owned: bool,
    preallocated: bool,
    read_only: bool,
}

impl Body for Memory {
    fn destroy(&self, _me: Ref) {
        if self.owned {
            // SAFETY: from alloc_lab in `allocate`; the object is destroyed.
            unsafe { pool::free_lab(self.address.load(Ordering::Relaxed) as *mut u8) };
        }
    }
}

fn expect(handle: Handle) -> &'static Memory {
    let o = object::any(handle);
    if !o.is(&MEMORY) && !o.is(&PAGED) {
        stop(WRONG_TYPE, &format!("expected a WDFMEMORY, came {o:?}"));
    }
    o.body()
}

fn body(address: usize, size: usize, owned: bool, preallocated: bool, read_only: bool) -> Box<Memory> {
    Box::new(Memory {
        address: AtomicUsize::new(address),
        size: AtomicUsize::new(size),
        owned,
        preallocated,
        read_only,
    })
}

/// A memory object over a request's buffer.
///
/// # Errors
/// When the request is being deleted.
pub fn over_buffer(request: Ref, address: usize, size: usize, read_only: bool) -> Result<Ref, NtStatus> {
    object::create(&MEMORY, &attributes::NONE, Some(request), body(address, size, false, false, read_only))
}

fn allocate(a: &Attributes, parent: Option<Ref>, paged: bool, size: usize) -> Result<(Ref, usize), NtStatus> {
    let p = pool::alloc_lab(&BLOCKS, size).addr();
    let kind = if paged { &PAGED } else { &MEMORY };
    object::create(kind, a, parent, body(p, size, true, false, false)).map(|o| (o, p))
}

const fn is_paged(pool_type: u32) -> bool {
    pool_type & 1 != 0
}

unsafe extern "win64" fn create(
    g: G,
    a: *const RawAttributes,
    pool_type: u32,
    _tag: u32,
    size: usize,
    out: *mut Handle,
    buffer: *mut usize,
) -> NtStatus {
    let _call = enter(g, "WdfMemoryCreate", DISPATCH);
    if is_paged(pool_type) {
        irql::require_at_most(APC);
    }
    // SAFETY: the driver's structure.
    let a = unsafe { attributes::read(a) };
    if size == 0 {
        return INVALID_PARAMETER;
    }
    if let Err(s) = a.check_levels(&MEMORY) {
        return s;
    }
    if fault::fails("WdfMemoryCreate") {
        return super::abi::INSUFFICIENT_RESOURCES;
    }
    match allocate(&a, a.parent_or(driver::current()), is_paged(pool_type), size) {
        Ok((o, p)) => {
            // SAFETY: the driver's pointers; Buffer is optional.
            unsafe {
                text::put(out, o.handle());
                text::put_optional(buffer, p);
            }
            SUCCESS
        }
        Err(s) => s,
    }
}

unsafe extern "win64" fn create_preallocated(
    g: G,
    a: *const RawAttributes,
    p: usize,
    size: usize,
    out: *mut Handle,
) -> NtStatus {
    let _call = enter(g, "WdfMemoryCreatePreallocated", DISPATCH);
    // SAFETY: the driver's structure.
    let a = unsafe { attributes::read(a) };
    if size == 0 || p == 0 {
        return INVALID_PARAMETER;
    }
    if fault::fails("WdfMemoryCreatePreallocated") {
        return super::abi::INSUFFICIENT_RESOURCES;
    }
    match object::create(&MEMORY, &a, a.parent_or(driver::current()), body(p, size, false, true, false)) {
        Ok(o) => {
            // SAFETY: the driver's pointer.
            unsafe { text::put(out, o.handle()) };
            SUCCESS
        }
        Err(s) => s,
    }
}

unsafe extern "win64" fn assign(g: G, memory: Handle, p: usize, size: usize) -> NtStatus {
    let _call = enter(g, "WdfMemoryAssignBuffer", DISPATCH);
    let m = expect(memory);
    if !m.preallocated {
        stop(ASSIGN, "the memory was not made by WdfMemoryCreatePreallocated");
    }
    if p == 0 || size == 0 {
        return INVALID_PARAMETER;
    }
    m.address.store(p, Ordering::Relaxed);
    m.size.store(size, Ordering::Relaxed);
    SUCCESS
}

unsafe extern "win64" fn get_buffer(g: G, memory: Handle, size: *mut usize) -> usize {
    let _call = enter(g, "WdfMemoryGetBuffer", DISPATCH);
    let m = expect(memory);
    // SAFETY: the driver's pointer, optional.
    unsafe { text::put_optional(size, m.size.load(Ordering::Relaxed)) };
    m.address.load(Ordering::Relaxed)
}

fn range(m: &Memory, offset: usize, count: usize) -> Option<*mut u8> {
    let end = offset.checked_add(count)?;
    (end <= m.size.load(Ordering::Relaxed)).then(|| (m.address.load(Ordering::Relaxed) + offset) as *mut u8)
}

unsafe extern "win64" fn copy_to(g: G, memory: Handle, offset: usize, to: *mut u8, count: usize) -> NtStatus {
    let _call = enter(g, "WdfMemoryCopyToBuffer", DISPATCH);
    let Some(p) = range(expect(memory), offset, count) else { return BUFFER_TOO_SMALL };
    if to.is_null() || count == 0 {
        return INVALID_PARAMETER;
    }
    // SAFETY: the range lies in the memory object; `to` is the driver's buffer of `count` bytes.
    unsafe { std::ptr::copy(p, to, count) };
    SUCCESS
}

unsafe extern "win64" fn copy_from(g: G, memory: Handle, offset: usize, from: *const u8, count: usize) -> NtStatus {
    let _call = enter(g, "WdfMemoryCopyFromBuffer", DISPATCH);
    let m = expect(memory);
    if m.read_only {
        stop(READ_ONLY, "the memory is a request's input buffer");
    }
    let Some(p) = range(m, offset, count) else { return BUFFER_TOO_SMALL };
    if from.is_null() || count == 0 {
        return INVALID_PARAMETER;
    }
    // SAFETY: as above, the other way.
    unsafe { std::ptr::copy(from, p, count) };
    SUCCESS
}

/// The framework's part of a lookaside list: it only remembers what its memory objects are like.
#[derive(Debug)]
struct Lookaside {
    size: usize,
    paged: bool,
    memory: Attributes,
}
impl Body for Lookaside {}

unsafe extern "win64" fn lookaside_create(
    g: G,
    a: *const RawAttributes,
    size: usize,
    pool_type: u32,
    memory: *const RawAttributes,
    _tag: u32,
    out: *mut Handle,
) -> NtStatus {
    let _call = enter(g, "WdfLookasideListCreate", if is_paged(pool_type) { APC } else { DISPATCH });
    // SAFETY: the driver's structures.
    let (a, memory) = unsafe { (attributes::read(a), attributes::read(memory)) };
    if size == 0 {
        return INVALID_PARAMETER;
    }
    if fault::fails("WdfLookasideListCreate") {
        return super::abi::INSUFFICIENT_RESOURCES;
    }
    let b = Lookaside { size, paged: is_paged(pool_type), memory };
    match object::create(&LOOKASIDE, &a, a.parent_or(driver::current()), Box::new(b)) {
        Ok(o) => {
            // SAFETY: the driver's pointer.
            unsafe { text::put(out, o.handle()) };
            SUCCESS
        }
        Err(s) => s,
    }
}

unsafe extern "win64" fn from_lookaside(g: G, list: Handle, out: *mut Handle) -> NtStatus {
    let _call = enter(g, "WdfMemoryCreateFromLookaside", DISPATCH);
    let l: &Lookaside = object::expect(list, &LOOKASIDE).body();
    if l.paged {
        irql::require_at_most(APC);
    }
    if fault::fails("WdfMemoryCreateFromLookaside") {
        return super::abi::INSUFFICIENT_RESOURCES;
    }
    let parent = l.memory.parent_or(driver::current());
    match allocate(&l.memory, parent, l.paged, l.size) {
        Ok((o, _)) => {
            // SAFETY: the driver's pointer.
            unsafe { text::put(out, o.handle()) };
            SUCCESS
        }
        Err(s) => s,
    }
}

/// This file's part of the table.
#[must_use]
pub fn table_entries() -> Vec<Entry> {
    entries! {
        "WdfMemoryCreate" => create,
        "WdfMemoryCreatePreallocated" => create_preallocated,
        "WdfMemoryAssignBuffer" => assign,
        "WdfMemoryGetBuffer" => get_buffer,
        "WdfMemoryCopyToBuffer" => copy_to,
        "WdfMemoryCopyFromBuffer" => copy_from,
        "WdfLookasideListCreate" => lookaside_create,
        "WdfMemoryCreateFromLookaside" => from_lookaside,
    }
}
