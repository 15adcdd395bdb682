//! Non-paged pool with the driver's tag.

use core::alloc::{GlobalAlloc, Layout};
use nt_sys::ntddk;

/// Pool tag of all the driver's own allocations; pool dumps show it as `OvpD`.
pub const TAG: u32 = u32::from_le_bytes(*b"OvpD");

const NON_PAGED: u64 = 0x40;

/// The global allocator of a driver built without `wdk-alloc`: zeroed, non-paged, non-executable pool. <= DISPATCH_LEVEL.
pub struct PoolAllocator;

// SAFETY: ExAllocatePool2 returns memory aligned to 16 (MEMORY_ALLOCATION_ALIGNMENT) that no one else owns, or NULL; larger
// alignments are refused with NULL. Blocks are freed with the tag they were allocated with.
unsafe impl GlobalAlloc for PoolAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() > 16 {
            return core::ptr::null_mut();
        }
        // SAFETY: a non-zero size is GlobalAlloc's own precondition; the flags and tag are valid at IRQL <= DISPATCH_LEVEL.
        unsafe { ntddk::ExAllocatePool2(NON_PAGED, layout.size() as _, TAG).cast() }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as `alloc`; ExAllocatePool2 zeroes what it returns.
        unsafe { self.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, _: Layout) {
        // SAFETY: `ptr` came from `alloc` (GlobalAlloc's contract), hence from ExAllocatePool2 with this tag.
        unsafe { ntddk::ExFreePoolWithTag(ptr.cast(), TAG) }
    }
}
