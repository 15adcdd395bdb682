//! A reference-counted value, without weak references and without aborting.

use core::{alloc::Layout, fmt, marker::PhantomData, mem, ops::Deref, ptr::NonNull};
use std_alloc::boxed::Box;

use crate::{
    alloc::{MAX_ALIGN, OutOfMemory, allocate},
    primitive::{AtomicUsize, Ordering, fence},
};

/// Counts from here on are saturated: the value is never freed. Only a program that leaks handles in a loop gets here.
const SATURATED: usize = isize::MAX as usize;

/// Where a saturated count is kept: far from both ends, so that racing increments and decrements cannot leave the range.
const PARKED: usize = SATURATED + SATURATED / 2;

struct Counted<T> {
    count: AtomicUsize,
    value: T,
}

/// A value with several owners, freed by the last: `Arc` with fallible creation and no weak references.
///
/// Cloning and dropping are one atomic operation each and may happen at any IRQL at which `T` may be dropped. Whoever
/// drops the last handle runs `T`'s destructor, there and then: where that must be PASSIVE_LEVEL, keep a handle there until
/// the others are gone (`Published::swap` and `Retired::free_after` arrange that). A count that overflows is pinned and the
/// value leaks, as `refcount_t` does, because aborting is no choice for a kernel.
pub struct Shared<T> {
    counted: NonNull<Counted<T>>,
    owns: PhantomData<Counted<T>>,
}

// SAFETY: handles on several threads give `&T` to each (T: Sync) and any of them may drop the value (T: Send).
unsafe impl<T: Send + Sync> Send for Shared<T> {}
// SAFETY: as above; `&Shared` can be cloned into another handle.
unsafe impl<T: Send + Sync> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// Moves `value` to the heap with one owner. Fails, dropping `value`, when there is no memory.
    pub fn try_new(value: T) -> Result<Self, OutOfMemory> {
        const { assert!(align_of::<Counted<T>>() <= MAX_ALIGN, "kernel allocators may not honour this alignment") };
        let counted = allocate(Layout::new::<Counted<T>>())?.cast::<Counted<T>>();
        let place = counted.as_ptr();
        // Field by field, as building a whole `Counted` first would put another copy of a large T on a small kernel stack.
        // SAFETY: the memory was allocated with `Counted<T>`'s layout, so `count` lies inside it.
        let count = unsafe { &raw mut (*place).count };
        // SAFETY: valid for writes, aligned, and ours alone.
        unsafe { count.write(AtomicUsize::new(1)) };
        // SAFETY: as for `count`.
        let inner = unsafe { &raw mut (*place).value };
        // SAFETY: as for `count`. With both fields written the `Counted` is initialised.
        unsafe { inner.write(value) };
        Ok(Self { counted, owns: PhantomData })
    }

    /// Whether two handles own the same value.
    #[must_use]
    pub fn same(a: &Self, b: &Self) -> bool {
        a.counted == b.counted
    }

    #[inline]
    fn counted(&self) -> &Counted<T> {
        // SAFETY: the allocation lives as long as any handle; `self` is one, and it counts for one.
        unsafe { self.counted.as_ref() }
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        let counted = self.counted();
        // Relaxed suffices, as for `Arc`: a new handle can only come from an existing one.
        let before = counted.count.fetch_add(1, Ordering::Relaxed);
        if before >= SATURATED {
            counted.count.store(PARKED, Ordering::Relaxed);
        }
        Self { counted: self.counted, owns: PhantomData }
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        let counted = self.counted();
        // Release: what this owner did to the value happens before the last owner frees it.
        let before = counted.count.fetch_sub(1, Ordering::Release);
        if before >= SATURATED {
            counted.count.store(PARKED, Ordering::Relaxed);
            return;
        }
        if before == 1 {
            fence(Ordering::Acquire);
            // SAFETY: the count fell from one to zero, so this was the last handle and no other can appear; `try_new`
            // allocated it with the layout of `Counted<T>` from the global allocator, as `Box` requires.
            drop(unsafe { Box::from_raw(self.counted.as_ptr()) });
        }
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.counted().value
    }
}

impl<T: fmt::Debug> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

const _: () = assert!(mem::size_of::<Option<Shared<u8>>>() == mem::size_of::<usize>());

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::{Arc, atomic};

    struct CountsDrops(Arc<atomic::AtomicUsize>);

    impl Drop for CountsDrops {
        fn drop(&mut self) {
            self.0.fetch_add(1, atomic::Ordering::SeqCst);
        }
    }

    #[test]
    fn the_last_owner_frees() {
        let drops = Arc::new(atomic::AtomicUsize::new(0));
        let first = Shared::try_new(CountsDrops(drops.clone())).expect("memory");
        let second = first.clone();
        assert!(Shared::same(&first, &second));
        drop(first);
        assert_eq!(drops.load(atomic::Ordering::SeqCst), 0);
        drop(second);
        assert_eq!(drops.load(atomic::Ordering::SeqCst), 1);
    }

    #[test]
    fn owners_on_several_threads() {
        let drops = Arc::new(atomic::AtomicUsize::new(0));
        let first = Shared::try_new(CountsDrops(drops.clone())).expect("memory");
        std::thread::scope(|scope| {
            for _ in 0..3 {
                let mine = first.clone();
                scope.spawn(move || {
                    for _ in 0..20 {
                        drop(mine.clone());
                    }
                });
            }
            drop(first);
        });
        assert_eq!(drops.load(atomic::Ordering::SeqCst), 1);
    }

    #[test]
    fn a_saturated_count_leaks_instead_of_freeing() {
        let first = Shared::try_new(7u8).expect("memory");
        first.counted().count.store(SATURATED, Ordering::Relaxed);
        drop(first.clone());
        drop(first.clone());
        assert!(first.counted().count.load(Ordering::Relaxed) >= SATURATED);
        assert_eq!(*first, 7);
        // Undo, so that the test itself does not leak.
        first.counted().count.store(1, Ordering::Relaxed);
    }
}
