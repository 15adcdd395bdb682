//! A few words that change as one, without a lock for readers.

use core::array;

use crate::primitive::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};

/// `N` words that readers see as some writer left them, never a mixture.
///
/// There are two copies. While a writer works on one, readers use the other, so a reader never waits for a writer that was
/// interrupted; it looks again only if a writer finished a copy meanwhile. Writers exclude each other by trying: whoever
/// comes second is told so. All of it is safe at any IRQL.
///
/// The sequence's lowest bit says which copy readers use. A writer makes it odd (readers: the second copy, still the old
/// words), writes the first, makes it even (readers: the first copy, the new words), writes the second.
pub struct Latch<const N: usize> {
    sequence: AtomicUsize,
    writing: AtomicBool,
    copies: [[AtomicU64; N]; 2],
}

impl<const N: usize> Latch<N> {
    /// The words to begin with, in generation 0.
    #[must_use]
    pub fn new(words: [u64; N]) -> Self {
        let copy = || words.map(AtomicU64::new);
        Self { sequence: AtomicUsize::new(0), writing: AtomicBool::new(false), copies: [copy(), copy()] }
    }

    /// The words and their generation: another number after every change (until 2^31 changes on 32-bit processors).
    #[inline]
    #[must_use]
    pub fn load(&self) -> ([u64; N], usize) {
        loop {
            // Acquire: what was written before the sequence was set to this is there.
            let sequence = self.sequence.load(Ordering::Acquire);
            let [first, second] = &self.copies;
            let copy = if sequence & 1 == 0 { first } else { second };
            let mut words = [0; N];
            for (word, from) in words.iter_mut().zip(copy) {
                *word = from.load(Ordering::Relaxed);
            }
            // With the writer's fence: had we read a word of its, we would see its sequence.
            fence(Ordering::Acquire);
            if self.sequence.load(Ordering::Relaxed) == sequence {
                return (words, sequence >> 1);
            }
        }
    }

    /// The generation alone.
    #[inline]
    #[must_use]
    pub fn generation(&self) -> usize {
        self.sequence.load(Ordering::Acquire) >> 1
    }

    /// Replaces the words. False, and nothing done, if another writer is at it.
    pub fn try_store(&self, words: [u64; N]) -> bool {
        if self.writing.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_err() {
            return false;
        }
        let mut sequence = self.sequence.load(Ordering::Relaxed);
        for copy in &self.copies {
            sequence = sequence.wrapping_add(1);
            // Release: who sees it sees the copy that it sends readers to. The fence: who sees one of the words below sees it.
            self.sequence.store(sequence, Ordering::Release);
            fence(Ordering::Release);
            for (to, word) in copy.iter().zip(words) {
                to.store(word, Ordering::Relaxed);
            }
        }
        self.writing.store(false, Ordering::Release);
        true
    }

    /// The same for a writer that may wait: calls `pause` until no other is at it.
    pub fn store(&self, words: [u64; N], mut pause: impl FnMut()) {
        while !self.try_store(words) {
            pause();
        }
    }
}

impl<const N: usize> Default for Latch<N> {
    fn default() -> Self {
        Self::new(array::from_fn(|_| 0))
    }
}

impl<const N: usize> core::fmt::Debug for Latch<N> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Latch").finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::Latch;
    use std::thread;

    #[test]
    fn what_was_stored_is_loaded_and_every_store_is_a_generation() {
        let latch = Latch::new([1, 2, 3]);
        assert_eq!(latch.load(), ([1, 2, 3], 0));
        for n in 1..5u64 {
            assert!(latch.try_store([n, n + 1, n + 2]));
            assert_eq!(latch.load(), ([n, n + 1, n + 2], n as usize));
            assert_eq!(latch.generation(), n as usize);
        }
    }

    #[test]
    fn a_second_writer_is_told() {
        let latch = Latch::new([0]);
        latch.writing.store(true, crate::primitive::Ordering::Relaxed);
        assert!(!latch.try_store([1]));
        assert_eq!(latch.load(), ([0], 0));
        let mut pauses = 0;
        latch.store([2], || {
            pauses += 1;
            latch.writing.store(false, crate::primitive::Ordering::Relaxed);
        });
        assert_eq!((latch.load(), pauses), (([2], 1), 1));
    }

    #[test]
    fn readers_beside_writers() {
        let latch = Latch::new([0, !0]);
        thread::scope(|scope| {
            for writer in 1..3 {
                let latch = &latch;
                scope.spawn(move || {
                    (0..if cfg!(miri) { 10 } else { 10_000 })
                        .for_each(|n| latch.store([n * writer, !(n * writer)], thread::yield_now))
                });
            }
            for _ in 0..if cfg!(miri) { 10 } else { 10_000 } {
                let ([a, b], _) = latch.load();
                assert_eq!(a, !b);
            }
        });
    }
}
