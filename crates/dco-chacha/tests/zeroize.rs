//! A key is gone from memory when it is dropped: the allocator looks at what it is given back.
#![expect(unsafe_code, reason = "an allocator that looks at freed memory")]

use core::alloc::{GlobalAlloc, Layout};
use core::sync::atomic::{AtomicUsize, Ordering};
use dco_chacha::{ChaChaKey, KEY_LEN};
use std::alloc::System;

const SECRET: [u8; KEY_LEN] = [0xA5; KEY_LEN];

/// Blocks as long as a key that were freed with some of it in them.
static UNWIPED: AtomicUsize = AtomicUsize::new(0);

struct Looking;

// SAFETY: all memory comes from and goes back to the system's allocator.
unsafe impl GlobalAlloc for Looking {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as our caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        if layout.size() == KEY_LEN && layout.align() == 1 {
            // SAFETY: the block is the caller's until it is freed below. Those of this size and alignment are keys and strings, whose
            // bytes have been written.
            let left: [u8; KEY_LEN] = unsafe { memory.cast::<[u8; KEY_LEN]>().read_volatile() };
            if left.contains(&0xA5) {
                UNWIPED.fetch_add(1, Ordering::SeqCst);
            }
        }
        // SAFETY: as our caller promises.
        unsafe { System.dealloc(memory, layout) };
    }
}

#[global_allocator]
static LOOKING: Looking = Looking;

#[test]
fn a_dropped_key_is_zero() {
    // The look itself: a key that nobody wipes is seen.
    drop(std::hint::black_box(Box::new(SECRET)));
    assert_eq!(UNWIPED.swap(0, Ordering::SeqCst), 1);

    drop(std::hint::black_box(ChaChaKey::try_new(&SECRET).expect("memory")));
    assert_eq!(UNWIPED.load(Ordering::SeqCst), 0);
}
