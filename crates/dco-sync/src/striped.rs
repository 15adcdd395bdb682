//! One value per processor, each on cache lines of its own.

use core::{alloc::Layout, marker::PhantomData, ptr, ptr::NonNull};

use crate::alloc::{MAX_ALIGN, OutOfMemory, allocate, deallocate};

/// Distance that keeps two values from disturbing each other: two 64-byte lines, which x86 prefetches as a pair.
const STRIDE: usize = 128;

/// A fixed number of `T`, none sharing a 128-byte block with another.
///
/// A processor that only touches its own stripe never waits for another's cache line. The alignment is made by hand inside
/// an allocation of ordinary alignment, as kernel pools may ignore a larger request. Reading is possible at any IRQL.
pub struct Striped<T> {
    /// First element: STRIDE-aligned, inside `memory`.
    base: NonNull<T>,
    /// Number of elements, at least one.
    len: usize,
    /// Bytes from one element to the next: a multiple of STRIDE, at least the size of T.
    step: usize,
    memory: NonNull<u8>,
    layout: Layout,
    owns: PhantomData<T>,
}

// SAFETY: `Striped<T>` owns its elements like `Box<[T]>` does and adds no sharing of its own.
unsafe impl<T: Send> Send for Striped<T> {}
// SAFETY: `&Striped<T>` gives `&T` and nothing else.
unsafe impl<T: Sync> Sync for Striped<T> {}

impl<T> Striped<T> {
    /// `stripes` values (at least one is made) from `make(index)`.
    ///
    /// Fails when there is no memory or with `make`'s first failure; what was made by then is dropped.
    pub fn try_new(stripes: usize, mut make: impl FnMut(usize) -> Result<T, OutOfMemory>) -> Result<Self, OutOfMemory> {
        const { assert!(align_of::<T>() <= MAX_ALIGN, "kernel allocators may not honour this alignment") };
        let wanted = stripes.max(1);
        let step = size_of::<T>().max(1).checked_next_multiple_of(STRIDE).ok_or(OutOfMemory)?;
        // One STRIDE more than the elements need, so that an aligned start fits whatever the allocator returns.
        let size = step.checked_mul(wanted).and_then(|bytes| bytes.checked_add(STRIDE)).ok_or(OutOfMemory)?;
        let layout = Layout::from_size_align(size, MAX_ALIGN).map_err(|_| OutOfMemory)?;
        let memory = allocate(layout)?;
        let offset = memory.addr().get().wrapping_neg() & (STRIDE - 1);
        // SAFETY: `offset < STRIDE`, and the allocation is at least STRIDE long.
        let base = unsafe { memory.add(offset) }.cast::<T>();
        // From here on dropping `striped` frees the memory and the `len` elements made.
        let mut striped = Self { base, len: 0, step, memory, layout, owns: PhantomData };
        while striped.len < wanted {
            let value = make(striped.len)?;
            let place = striped.place(striped.len);
            // SAFETY: `len < wanted`, so the place lies inside the allocation: at most offset + wanted * step bytes in.
            // It is STRIDE-aligned, hence aligned for T, and holds no value yet.
            unsafe { place.write(value) };
            striped.len = striped.len.saturating_add(1);
        }
        Ok(striped)
    }

    /// Where element `index` is or would be. The caller checks the index.
    #[inline]
    fn place(&self, index: usize) -> NonNull<T> {
        let bytes = index.wrapping_mul(self.step);
        // Wrapping, so that computing an address is harmless; `index` bounds are what make it dereferenceable.
        let place = self.base.as_ptr().wrapping_byte_add(bytes);
        NonNull::new(place).unwrap_or(self.base)
    }

    /// This stripe's value; a number beyond the last wraps around.
    #[inline]
    #[must_use]
    pub fn get(&self, stripe: usize) -> &T {
        // A processor number is nearly always in range; the division is for the rest.
        let index = if stripe < self.len { stripe } else { stripe.checked_rem(self.len).unwrap_or(0) };
        // SAFETY: `index < len` and elements below `len` are initialised; they live as long as `self`.
        unsafe { self.place(index).as_ref() }
    }

    /// How many values there are, at least one.
    #[must_use]
    pub fn stripes(&self) -> usize {
        self.len
    }

    /// All values, in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        // SAFETY: indices below `len` are initialised elements; they live as long as `self`.
        (0..self.len).map(|index| unsafe { self.place(index).as_ref() })
    }

    /// The address of the first value: differs between any two live `Striped`.
    pub(crate) fn address(&self) -> usize {
        self.base.addr().get()
    }
}

impl<T> Drop for Striped<T> {
    fn drop(&mut self) {
        for index in 0..self.len {
            // SAFETY: initialised, ours, and visited once; `len` is not consulted again before the memory goes.
            unsafe { ptr::drop_in_place(self.place(index).as_ptr()) };
        }
        // SAFETY: `memory` came from `allocate(layout)`, and its elements are gone.
        unsafe { deallocate(self.memory, self.layout) };
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::alloc::try_box;
    use core::sync::atomic::{AtomicU64, Ordering};
    use std::vec::Vec;

    #[test]
    fn stripes_are_apart_and_wrap_around() {
        let striped = Striped::try_new(3, |i| Ok(AtomicU64::new(i as u64))).expect("memory");
        let addresses: Vec<usize> = striped.iter().map(|v| ptr::from_ref(v).addr()).collect();
        assert!(addresses.iter().all(|a| a % STRIDE == 0));
        assert!(addresses.is_sorted());
        striped.get(4).fetch_add(10, Ordering::Relaxed);
        let values: Vec<u64> = striped.iter().map(|v| v.load(Ordering::Relaxed)).collect();
        assert_eq!(values, [0, 11, 2]);
    }

    #[test]
    fn a_large_value_gets_a_larger_step() {
        let striped = Striped::try_new(2, |i| Ok([i as u8; 200])).expect("memory");
        assert_eq!(striped.get(1), &[1; 200]);
        assert_eq!(striped.get(0), &[0; 200]);
    }

    #[test]
    fn there_is_always_one() {
        let striped = Striped::try_new(0, Ok).expect("memory");
        assert_eq!((striped.stripes(), *striped.get(usize::MAX)), (1, 0));
    }

    #[test]
    fn a_failing_constructor_drops_what_was_made() {
        assert!(Striped::try_new(3, |i| if i == 2 { Err(OutOfMemory) } else { try_box(i) }).is_err());
    }

    #[test]
    fn impossible_sizes_are_refused() {
        assert!(Striped::<u64>::try_new(usize::MAX, |_| Ok(0)).is_err());
    }
}
