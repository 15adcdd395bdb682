//! Allocation that reports failure instead of aborting.
//!
//! `Box::new`, `Vec::push` and the rest are absent from an `alloc` built with `no_global_oom_handling`, and a kernel must
//! not abort when memory is short, so boxes are made here from the raw allocator.

use core::{alloc::Layout, fmt, mem, ptr, ptr::NonNull};
use std_alloc::{alloc, boxed::Box};

/// The largest alignment a heap value may need, in bytes. `ExAllocatePool2` promises 16 on 64-bit systems.
pub const MAX_ALIGN: usize = 16;

/// The allocator had no memory for the request, or the request was larger than the address space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfMemory;

impl fmt::Display for OutOfMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("out of memory")
    }
}

impl core::error::Error for OutOfMemory {}

/// Memory for `layout`, or a well-aligned dangling pointer if it has no size (as `Box` and `dealloc` rules want).
pub(crate) fn allocate(layout: Layout) -> Result<NonNull<u8>, OutOfMemory> {
    if layout.size() == 0 {
        return Ok(layout_dangling(layout));
    }
    // SAFETY: the layout's size is not zero, checked above.
    let memory = unsafe { alloc::alloc(layout) };
    NonNull::new(memory).ok_or(OutOfMemory)
}

/// Returns what [`allocate`] gave.
///
/// # Safety
/// `memory` came from `allocate(layout)` with this very layout, and nothing uses it any more.
pub(crate) unsafe fn deallocate(memory: NonNull<u8>, layout: Layout) {
    if layout.size() != 0 {
        // SAFETY: the caller promises the pair came from `allocate`, which called `alloc` for it as the size is not zero.
        unsafe { alloc::dealloc(memory.as_ptr(), layout) };
    }
}

/// A pointer that is aligned for `layout` and points nowhere.
fn layout_dangling(layout: Layout) -> NonNull<u8> {
    // An alignment is never zero, so the fallback is never taken.
    NonNull::new(ptr::without_provenance_mut(layout.align())).unwrap_or(NonNull::dangling())
}

/// Moves `value` to the heap.
///
/// PASSIVE_LEVEL or wherever the system's allocator may be called. Fails, dropping `value`, when there is no memory.
/// A type that needs more than [`MAX_ALIGN`] does not compile.
pub fn try_box<T>(value: T) -> Result<Box<T>, OutOfMemory> {
    const { assert!(align_of::<T>() <= MAX_ALIGN, "kernel allocators may not honour this alignment") };
    let memory = allocate(Layout::new::<T>())?.cast::<T>();
    // SAFETY: `memory` is valid for a write of T and aligned: it was allocated with T's layout, or T has no size.
    unsafe { memory.write(value) };
    // SAFETY: it is initialised, was allocated by the global allocator with T's layout as `Box` requires, and is ours alone.
    Ok(unsafe { Box::from_raw(memory.as_ptr()) })
}

/// A boxed slice of `len` values made by `make(index)`, in order.
///
/// PASSIVE_LEVEL or wherever the system's allocator may be called. Fails when there is no memory, or with the first
/// failure of `make`; the values made so far are dropped.
pub fn try_box_slice<T>(
    len: usize,
    mut make: impl FnMut(usize) -> Result<T, OutOfMemory>,
) -> Result<Box<[T]>, OutOfMemory> {
    const { assert!(align_of::<T>() <= MAX_ALIGN, "kernel allocators may not honour this alignment") };

    /// Owns the memory and the values made so far, until the slice is complete.
    struct Partial<T> {
        memory: NonNull<T>,
        made: usize,
        layout: Layout,
    }

    impl<T> Drop for Partial<T> {
        fn drop(&mut self) {
            let made = ptr::slice_from_raw_parts_mut(self.memory.as_ptr(), self.made);
            // SAFETY: the first `made` values are initialised and ours.
            unsafe { ptr::drop_in_place(made) };
            // SAFETY: `memory` came from `allocate(layout)`; its values are gone.
            unsafe { deallocate(self.memory.cast(), self.layout) };
        }
    }

    let layout = Layout::array::<T>(len).map_err(|_| OutOfMemory)?;
    let mut partial = Partial { memory: allocate(layout)?.cast::<T>(), made: 0, layout };
    while partial.made < len {
        let value = make(partial.made)?;
        // SAFETY: `made < len`, so the place lies inside the allocation of `len` values (or T has no size).
        let place = unsafe { partial.memory.add(partial.made) };
        // SAFETY: the place is valid for writes, aligned, and holds no value yet.
        unsafe { place.write(value) };
        partial.made = partial.made.saturating_add(1);
    }
    let slice = ptr::slice_from_raw_parts_mut(partial.memory.as_ptr(), len);
    mem::forget(partial);
    // SAFETY: all `len` values are initialised, the memory has the layout of `[T; len]` from the global allocator, and
    // forgetting `partial` left us its only owner.
    Ok(unsafe { Box::from_raw(slice) })
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use core::cell::Cell;

    struct CountsDrops<'a>(&'a Cell<usize>);

    impl Drop for CountsDrops<'_> {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }

    #[test]
    fn a_boxed_value_is_dropped_once() {
        let drops = Cell::new(0);
        let boxed = try_box(CountsDrops(&drops)).expect("memory");
        assert_eq!(drops.get(), 0);
        drop(boxed);
        assert_eq!(drops.get(), 1);
    }

    #[test]
    fn values_without_size_need_no_memory() {
        let boxed = try_box(()).expect("memory");
        assert_eq!(*boxed, ());
        assert_eq!(try_box_slice(3, |_| Ok(())).expect("memory").len(), 3);
        assert_eq!(try_box_slice(0, Ok).expect("memory").len(), 0);
    }

    #[test]
    fn a_slice_holds_the_values_in_order() {
        let slice = try_box_slice(5, |i| try_box(i * 3)).expect("memory");
        assert!(slice.iter().map(|b| **b).eq([0, 3, 6, 9, 12]));
    }

    #[test]
    fn a_failing_constructor_drops_what_was_made() {
        let drops = Cell::new(0);
        let result = try_box_slice(5, |i| if i == 3 { Err(OutOfMemory) } else { Ok(CountsDrops(&drops)) });
        assert!(result.is_err());
        assert_eq!(drops.get(), 3);
    }

    #[test]
    fn a_panicking_constructor_drops_what_was_made() {
        let drops = Cell::new(0);
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _ = try_box_slice(5, |i| {
                assert!(i < 2, "stop");
                Ok(CountsDrops(&drops))
            });
        }));
        assert!(caught.is_err());
        assert_eq!(drops.get(), 2);
    }

    #[test]
    fn impossible_sizes_are_refused() {
        assert_eq!(try_box_slice::<u64>(usize::MAX, |_| Ok(0)).err(), Some(OutOfMemory));
    }
}
