//! The pool's calls: what each form asks for, checked before `pool` serves it.

use crate::Export;
use crate::fault;
use crate::nt::{pool_flags, status};
use crate::pool::{self, Request};
use crate::report::{InCall, Rule, record, stop};

const BAD_FLAGS: Rule =
    Rule::new("pool.bad-flags", "WDK: POOL_FLAGS (exactly one of NON_PAGED, NON_PAGED_EXECUTE, PAGED)");
const EXECUTABLE: Rule =
    Rule::new("pool.executable", "Driver Verifier 0xC4/0x2000: executable pool; HVCI compatibility");
const RAISES: Rule = Rule::new("pool.raise", "WDK: an exception raised by a failed allocation has no handler");

/// `POOL_TYPE`.
const PAGED: i32 = 1;
const NX: i32 = 512;
const CACHE_ALIGNED: i32 = 4;
const ZERO_ALLOCATION: i32 = 1024;
/// `POOL_TYPE` bits that this lab knows.
const KNOWN: i32 = PAGED | CACHE_ALIGNED | NX | ZERO_ALLOCATION | 8 | 32;

extern "win64" fn allocate2(flags: u64, size: usize, tag: u32) -> *mut u8 {
    by_flags("ExAllocatePool2", flags, size, tag)
}

extern "win64" fn allocate3(flags: u64, size: usize, tag: u32, _parameters: *const u8, _count: u32) -> *mut u8 {
    by_flags("ExAllocatePool3", flags, size, tag)
}

fn by_flags(call: &'static str, flags: u64, size: usize, tag: u32) -> *mut u8 {
    use pool_flags as f;
    let _c = InCall::enter(call);
    let kind = flags & (f::NON_PAGED | f::NON_PAGED_EXECUTE | f::PAGED);
    // Flags in the high half are optional: unknown ones are ignored there, and refused in the low half.
    let known = f::USE_QUOTA
        | f::UNINITIALIZED
        | f::SESSION
        | f::CACHE_ALIGNED
        | f::RAISE_ON_FAILURE
        | f::NON_PAGED
        | f::NON_PAGED_EXECUTE
        | f::PAGED;
    if kind.count_ones() != 1 || flags & 0xFFFF_FFFF & !known != 0 {
        record(BAD_FLAGS, &format!("flags {flags:#x}"));
    }
    if kind & f::NON_PAGED_EXECUTE != 0 {
        record(EXECUTABLE, &format!("POOL_FLAG_NON_PAGED_EXECUTE, tag '{}'", pool::tag_text(tag)));
    }
    let p = serve(
        call,
        &Request {
            size,
            tag,
            paged: kind & f::PAGED != 0,
            zeroed: flags & f::UNINITIALIZED == 0,
            align: if flags & f::CACHE_ALIGNED != 0 { 64 } else { 16 },
        },
    );
    if p.is_null() && flags & f::RAISE_ON_FAILURE != 0 {
        stop(
            RAISES,
            &format!("POOL_FLAG_RAISE_ON_FAILURE, {size} bytes, status {:#x}", status::INSUFFICIENT_RESOURCES),
        );
    }
    p
}

/// Serves a request whose flags are sound, unless a failure is injected.
fn serve(call: &'static str, r: &Request) -> *mut u8 {
    if fault::fails(call) { std::ptr::null_mut() } else { pool::alloc_driver(r) }
}

fn by_type(call: &'static str, pool_type: i32, size: usize, tag: u32) -> *mut u8 {
    let _c = InCall::enter(call);
    if pool_type & !KNOWN != 0 {
        record(BAD_FLAGS, &format!("pool type {pool_type:#x}"));
    }
    let paged = pool_type & PAGED != 0;
    if !paged && pool_type & NX == 0 {
        record(EXECUTABLE, &format!("NonPagedPool, tag '{}': use NonPagedPoolNx (POOL_NX_OPTIN)", pool::tag_text(tag)));
    }
    serve(
        call,
        &Request {
            size,
            tag,
            paged,
            zeroed: pool_type & ZERO_ALLOCATION != 0,
            align: if pool_type & CACHE_ALIGNED != 0 { 64 } else { 16 },
        },
    )
}

pub(super) extern "win64" fn allocate_with_tag(pool_type: i32, size: usize, tag: u32) -> *mut u8 {
    by_type("ExAllocatePoolWithTag", pool_type, size, tag)
}

extern "win64" fn allocate_with_tag_priority(pool_type: i32, size: usize, tag: u32, _priority: i32) -> *mut u8 {
    by_type("ExAllocatePoolWithTagPriority", pool_type, size, tag)
}

extern "win64" fn allocate_zero(pool_type: i32, size: usize, tag: u32) -> *mut u8 {
    by_type("ExAllocatePoolZero", pool_type | ZERO_ALLOCATION, size, tag)
}

extern "win64" fn free_with_tag(p: *mut u8, tag: u32) {
    let _c = InCall::enter("ExFreePoolWithTag");
    // SAFETY: the driver passes a pool block; anything else is refused.
    unsafe { pool::free_driver(p, (tag != 0).then_some(tag)) };
}

pub(super) extern "win64" fn free(p: *mut u8) {
    let _c = InCall::enter("ExFreePool");
    // SAFETY: as above.
    unsafe { pool::free_driver(p, None) };
}

extern "win64" fn free2(p: *mut u8, tag: u32, _parameters: *const u8, _count: u32) {
    let _c = InCall::enter("ExFreePool2");
    // SAFETY: as above.
    unsafe { pool::free_driver(p, (tag != 0).then_some(tag)) };
}

pub(super) fn exports() -> Vec<Export> {
    vec![
        export!("ExAllocatePool2", allocate2),
        export!("ExAllocatePool3", allocate3),
        export!("ExAllocatePoolWithTag", allocate_with_tag),
        export!("ExAllocatePoolWithTagPriority", allocate_with_tag_priority),
        export!("ExAllocatePoolZero", allocate_zero),
        export!("ExFreePoolWithTag", free_with_tag),
        export!("ExFreePool", free),
        export!("ExFreePool2", free2),
    ]
}
