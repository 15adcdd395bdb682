//! Memory descriptor lists. All memory of the lab is resident and mapped: locking and mapping are bookkeeping, checked.

use crate::Export;
use crate::fault;
use crate::irql::{self, APC, DISPATCH};
use crate::nt::{IRP, MDL, mdl_flags as f};
use crate::objects::Kind;
use crate::pool;
use crate::report::{InCall, Rule, record_about, stop, stop_about};
use std::ffi::c_void;

const INVALID: Rule = Rule::new("mdl.invalid", "WDK: the argument must be an MDL");
const NOT_LOCKED: Rule =
    Rule::new("mdl.not-locked", "WDK: MmMapLockedPagesSpecifyCache (pages must be locked, or non-paged pool)");
const FREED_LOCKED: Rule = Rule::new("mdl.freed-locked", "WDK: IoFreeMdl (unlock the pages first)");
const STATE: Rule =
    Rule::new("mdl.state", "WDK: MmProbeAndLockPages, MmUnlockPages, MmUnmapLockedPages, MmBuildMdlForNonPagedPool");
const RANGE: Rule = Rule::new("mdl.range", "WDK: IoBuildPartialMdl (a part of the source, which the target can hold)");
const REMAPPED: Rule =
    Rule::new("mdl.mapped-nonpaged", "WDK: MmMapLockedPagesSpecifyCache (not for MDL_SOURCE_IS_NONPAGED_POOL)");

const PAGE: usize = 4096;
static MDLS: Kind = Kind::new("mm.mdl");

/// Pages that a buffer touches.
const fn pages(va: usize, length: usize) -> usize {
    (va % PAGE + length).div_ceil(PAGE)
}

/// An MDL for `length` bytes at `va`, with its pages' numbers, neither locked nor mapped.
#[must_use]
pub fn allocate(va: *mut c_void, length: u32) -> *mut MDL {
    let n = pages(va as usize, length as usize).max(1);
    let bytes = size_of::<MDL>() + n * 8;
    let m = pool::alloc_lab_zeroed(&MDLS, bytes).cast::<MDL>();
    // SAFETY: fresh block that holds the header and `n` page numbers.
    unsafe {
        m.write(MDL {
            Next: std::ptr::null_mut(),
            Size: i16::try_from(bytes).unwrap_or(i16::MAX),
            MdlFlags: f::ALLOCATED_FIXED_SIZE,
            Process: std::ptr::null_mut(),
            MappedSystemVa: pool::ALLOC_PATTERN as usize as *mut c_void,
            StartVa: (va as usize & !(PAGE - 1)) as *mut c_void,
            ByteCount: length,
            ByteOffset: u32::try_from(va as usize % PAGE).unwrap_or(0),
        });
        fill_pages(m);
    }
    m
}

/// An MDL for memory of the lab's that is resident and mapped, as a network provider lends.
#[must_use]
pub fn allocate_mapped(va: *mut c_void, length: u32) -> *mut MDL {
    let m = allocate(va, length);
    // SAFETY: the MDL is fresh.
    unsafe {
        (*m).MdlFlags |= f::SOURCE_IS_NONPAGED_POOL;
        (*m).MappedSystemVa = va;
    }
    m
}

/// # Safety
/// `m` is an MDL with room for its pages.
unsafe fn fill_pages(m: *mut MDL) {
    // SAFETY: as our caller promises.
    unsafe {
        let first = (*m).StartVa as usize / PAGE;
        let n = pages((*m).ByteOffset as usize, (*m).ByteCount as usize);
        let array = m.wrapping_add(1).cast::<u64>();
        for i in 0..n {
            array.wrapping_add(i).write((first + i) as u64);
        }
    }
}

/// Frees an MDL of [`allocate`] (not what follows by `Next`).
///
/// # Safety
/// `m` is what a driver passed.
pub unsafe fn free(m: *mut MDL) {
    // SAFETY: as our caller promises; what is no MDL of ours is refused.
    unsafe {
        if !pool::is_lab_block(m.cast(), &MDLS) {
            stop_about(INVALID, m.addr(), &format!("{m:p} did not come from IoAllocateMdl"));
        }
        let flags = (*m).MdlFlags;
        if flags & f::PAGES_LOCKED != 0 && flags & f::PARTIAL == 0 {
            record_about(FREED_LOCKED, m.addr(), &format!("{m:p} has flags {flags:#x}"));
        }
        crate::wsk::before_free(m as usize, size_of::<MDL>(), "free");
        pool::free_lab(m.cast());
    }
}

fn va(m: &MDL) -> *mut c_void {
    m.StartVa.wrapping_byte_add(m.ByteOffset as usize)
}

/// # Safety
/// `m` is null or readable.
unsafe fn checked<'a>(m: *mut MDL) -> &'a mut MDL {
    // SAFETY: as our caller promises.
    match unsafe { m.as_mut() } {
        Some(m) if usize::try_from(m.Size).unwrap_or(0) >= size_of::<MDL>() + 8 && (m.ByteOffset as usize) < PAGE => m,
        Some(m) => stop_about(
            INVALID,
            std::ptr::from_ref(m).addr(),
            &format!("{m:p}: Size {}, ByteOffset {}", m.Size, m.ByteOffset),
        ),
        None => stop(INVALID, "null"),
    }
}

extern "win64" fn io_allocate_mdl(
    address: *mut c_void,
    length: u32,
    secondary: u8,
    _charge: u8,
    irp: *mut IRP,
) -> *mut MDL {
    let _c = InCall::enter("IoAllocateMdl");
    irql::require_at_most(DISPATCH);
    if fault::fails("IoAllocateMdl") {
        return std::ptr::null_mut();
    }
    let m = allocate(address, length);
    // SAFETY: the driver passes an IRP that it owns, or null.
    unsafe {
        if let Some(i) = irp.as_mut() {
            if secondary == 0 {
                i.MdlAddress = m;
            } else {
                let mut p = &raw mut i.MdlAddress;
                while !(*p).is_null() {
                    p = &raw mut (**p).Next;
                }
                *p = m;
            }
        }
    }
    m
}

extern "win64" fn io_free_mdl(m: *mut MDL) {
    let _c = InCall::enter("IoFreeMdl");
    irql::require_at_most(DISPATCH);
    // SAFETY: the driver passes an MDL of its own; anything else is refused.
    unsafe { free(m) };
}

extern "win64" fn build_nonpaged(m: *mut MDL) {
    let _c = InCall::enter("MmBuildMdlForNonPagedPool");
    irql::require_at_most(DISPATCH);
    // SAFETY: the driver passes an MDL of its own.
    let m = unsafe { checked(m) };
    if m.MdlFlags & (f::PAGES_LOCKED | f::MAPPED_TO_SYSTEM_VA | f::PARTIAL) != 0 {
        stop_about(STATE, std::ptr::from_ref(m).addr(), &format!("flags {:#x}", m.MdlFlags));
    }
    let need = size_of::<MDL>() + 8 * pages(m.ByteOffset as usize, m.ByteCount as usize);
    if usize::try_from(m.Size).unwrap_or(0) < need {
        stop_about(
            RANGE,
            std::ptr::from_ref(m).addr(),
            &format!("the MDL has {} bytes, its buffer needs {need}", m.Size),
        );
    }
    m.MdlFlags |= f::SOURCE_IS_NONPAGED_POOL;
    m.MappedSystemVa = va(m);
    // SAFETY: there is room for its pages, as just checked.
    unsafe { fill_pages(m) };
}

extern "win64" fn map_locked(
    m: *mut MDL,
    mode: i8,
    _cache: i32,
    _address: *mut c_void,
    _bugcheck: u32,
    _priority: u32,
) -> *mut c_void {
    let _c = InCall::enter("MmMapLockedPagesSpecifyCache");
    irql::require_at_most(if mode == 0 { DISPATCH } else { APC });
    // SAFETY: the driver passes an MDL.
    let m = unsafe { checked(m) };
    if m.MdlFlags & f::SOURCE_IS_NONPAGED_POOL != 0 && m.MdlFlags & f::PARTIAL == 0 {
        record_about(
            REMAPPED,
            std::ptr::from_ref(m).addr(),
            &format!("flags {:#x}: MmGetSystemAddressForMdlSafe would not have called", m.MdlFlags),
        );
    }
    if m.MdlFlags & f::MAPPED_TO_SYSTEM_VA != 0 {
        stop_about(STATE, std::ptr::from_ref(m).addr(), &format!("the MDL is mapped already, flags {:#x}", m.MdlFlags));
    }
    if m.MdlFlags & (f::PAGES_LOCKED | f::PARTIAL | f::SOURCE_IS_NONPAGED_POOL) == 0 {
        stop_about(NOT_LOCKED, std::ptr::from_ref(m).addr(), &format!("flags {:#x}", m.MdlFlags));
    }
    if fault::fails("MmMapLockedPagesSpecifyCache") {
        return std::ptr::null_mut();
    }
    m.MdlFlags |= f::MAPPED_TO_SYSTEM_VA | if m.MdlFlags & f::PARTIAL != 0 { f::PARTIAL_HAS_BEEN_MAPPED } else { 0 };
    m.MappedSystemVa = va(m);
    m.MappedSystemVa
}

extern "win64" fn unmap_locked(address: *mut c_void, m: *mut MDL) {
    let _c = InCall::enter("MmUnmapLockedPages");
    irql::require_at_most(DISPATCH);
    // SAFETY: the driver passes an MDL.
    let m = unsafe { checked(m) };
    if m.MdlFlags & f::MAPPED_TO_SYSTEM_VA == 0 || address != m.MappedSystemVa {
        stop_about(
            STATE,
            std::ptr::from_ref(m).addr(),
            &format!("{address:p} is not where the MDL is mapped ({:p}, flags {:#x})", m.MappedSystemVa, m.MdlFlags),
        );
    }
    m.MdlFlags &= !(f::MAPPED_TO_SYSTEM_VA | f::PARTIAL_HAS_BEEN_MAPPED);
}

extern "win64" fn probe_and_lock(m: *mut MDL, _mode: i8, operation: i32) {
    let _c = InCall::enter("MmProbeAndLockPages");
    irql::require_at_most(DISPATCH);
    // SAFETY: the driver passes an MDL.
    let m = unsafe { checked(m) };
    if m.MdlFlags & (f::PAGES_LOCKED | f::SOURCE_IS_NONPAGED_POOL | f::PARTIAL) != 0 {
        stop_about(STATE, std::ptr::from_ref(m).addr(), &format!("flags {:#x}", m.MdlFlags));
    }
    m.MdlFlags |= f::PAGES_LOCKED | if operation == 0 { 0 } else { f::WRITE_OPERATION };
}

extern "win64" fn unlock(m: *mut MDL) {
    let _c = InCall::enter("MmUnlockPages");
    irql::require_at_most(DISPATCH);
    // SAFETY: the driver passes an MDL.
    let m = unsafe { checked(m) };
    if m.MdlFlags & f::PAGES_LOCKED == 0 || m.MdlFlags & f::PARTIAL != 0 {
        stop_about(STATE, std::ptr::from_ref(m).addr(), &format!("the pages are not locked, flags {:#x}", m.MdlFlags));
    }
    crate::wsk::before_free(std::ptr::from_ref(m).addr(), size_of::<MDL>(), "unlocking");
    m.MdlFlags &= !(f::PAGES_LOCKED | f::MAPPED_TO_SYSTEM_VA | f::WRITE_OPERATION);
}

extern "win64" fn build_partial(source: *mut MDL, target: *mut MDL, address: *mut c_void, length: u32) {
    let _c = InCall::enter("IoBuildPartialMdl");
    irql::require_at_most(DISPATCH);
    // SAFETY: the driver passes two MDLs.
    let (s, t) = unsafe { (checked(source), checked(target)) };
    let start = va(s) as usize;
    let at = address as usize;
    let end = start + s.ByteCount as usize;
    let length = if length == 0 { end.saturating_sub(at) } else { length as usize };
    if at < start || at + length > end {
        stop_about(
            RANGE,
            std::ptr::from_ref(s).addr(),
            &format!("{length} bytes at offset {} of a source of {}", at.wrapping_sub(start), s.ByteCount),
        );
    }
    let room = (usize::try_from(t.Size).unwrap_or(0) - size_of::<MDL>()) / 8;
    if pages(at, length) > room {
        stop_about(
            RANGE,
            std::ptr::from_ref(t).addr(),
            &format!("{} pages into a target with room for {room}", pages(at, length)),
        );
    }
    if t.MdlFlags & (f::MAPPED_TO_SYSTEM_VA | f::PAGES_LOCKED) != 0 {
        stop_about(STATE, std::ptr::from_ref(t).addr(), &format!("the target has flags {:#x}", t.MdlFlags));
    }
    t.Process = s.Process;
    t.StartVa = (at & !(PAGE - 1)) as *mut c_void;
    t.ByteOffset = u32::try_from(at % PAGE).unwrap_or(0);
    t.ByteCount = u32::try_from(length).unwrap_or(0);
    t.MdlFlags = (t.MdlFlags & f::ALLOCATED_FIXED_SIZE)
        | f::PARTIAL
        | (s.MdlFlags & (f::SOURCE_IS_NONPAGED_POOL | f::WRITE_OPERATION));
    if s.MdlFlags & (f::SOURCE_IS_NONPAGED_POOL | f::MAPPED_TO_SYSTEM_VA) != 0 {
        t.MdlFlags |= s.MdlFlags & f::MAPPED_TO_SYSTEM_VA;
        t.MappedSystemVa = address;
    }
    // SAFETY: there is room for its pages, as just checked.
    unsafe { fill_pages(t) };
}

extern "win64" fn size_of_mdl(base: *mut c_void, length: usize) -> usize {
    size_of::<MDL>() + 8 * pages(base as usize, length)
}

extern "win64" fn is_address_valid(p: *const c_void) -> u8 {
    u8::from(!p.is_null())
}

/// Data that drivers read.
static SYSTEM_RANGE_START: usize = 0xFFFF_8000_0000_0000;
static HIGHEST_USER: usize = 0x0000_7FFF_FFFE_FFFF;

/// What this family exports.
#[must_use]
pub fn exports() -> Vec<Export> {
    let data =
        |name, at: &'static usize| Export { module: "ntoskrnl.exe", name, address: std::ptr::from_ref(at).addr() };
    vec![
        export!("IoAllocateMdl", io_allocate_mdl),
        export!("IoFreeMdl", io_free_mdl),
        export!("MmBuildMdlForNonPagedPool", build_nonpaged),
        export!("MmMapLockedPagesSpecifyCache", map_locked),
        export!("MmUnmapLockedPages", unmap_locked),
        export!("MmProbeAndLockPages", probe_and_lock),
        export!("MmUnlockPages", unlock),
        export!("IoBuildPartialMdl", build_partial),
        export!("MmSizeOfMdl", size_of_mdl),
        export!("MmIsAddressValid", is_address_valid),
        data("MmSystemRangeStart", &SYSTEM_RANGE_START),
        data("MmHighestUserAddress", &HIGHEST_USER),
        data("MmUserProbeAddress", &HIGHEST_USER),
    ]
}
