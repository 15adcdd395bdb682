//! The kernel's memory as Rust's heap.

use core::{
    alloc::{GlobalAlloc, Layout},
    ptr,
};

use crate::ffi;

/// What the shim promises (`dco_shim_alloc`).
const MAX_ALIGN: usize = 16;

/// `dco_shim_alloc()`: may sleep, so control context alone. The data plane allocates nothing.
pub struct KernelAllocator;

// SAFETY: dco_shim_alloc() returns memory of the size and alignment asked for (up to 16; more is refused here) that nobody else
// has, or NULL; dco_shim_free() takes what it returned.
unsafe impl GlobalAlloc for KernelAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() > MAX_ALIGN {
            return ptr::null_mut();
        }
        // SAFETY: the size is not zero (GlobalAlloc's contract), the alignment is checked above.
        unsafe { ffi::dco_shim_alloc(layout.size(), layout.align()) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, _: Layout) {
        // SAFETY: it came from `alloc` (GlobalAlloc's contract), hence from dco_shim_alloc().
        unsafe { ffi::dco_shim_free(memory) };
    }
}
