//! Many values that readers find by a hash without a lock, while one writer adds and removes.
//!
//! One linked list holds all values, in the order of their keys (hashes). Between them are *slots*, which hold nothing: slot `n` stands
//! where the keys begin whose first bits, read from the first on, are `n`'s from the lowest on. With `2^k` slots each stands before a `2^-k`th
//! of all keys, and slot `2^k + n` halves what slot `n` stands before: a split-ordered list (Shalev and Shavit, 2006), without
//! their concurrent writers.
//!
//! # Why it is right
//!
//! Nothing ever moves. A reader walks the list forward from a slot whose key is not above the one it looks for, and stops behind the
//! latter's place; which slot it is decides only how far it walks. So a value that is in the list all the while is found,
//! whatever number of slots the reader saw, and slots come and go under readers.
//!
//! A value that is taken out keeps its own pointer to the next, for readers that stand on it. It is freed after a wait
//! ([`Removed::free_after`]) that began after it was taken out. Whoever stands on an element that was taken out (a value, or a slot) began its
//! section before that was so; the next element is taken out, if at all, later, and its wait is for that section too: had it been taken
//! out first, then the pointer would have been set to the one behind it. Slots are memory of the index's own, which stays.

use core::{fmt, iter, marker::PhantomData, ptr};
use std_alloc::boxed::Box;

use crate::{
    alloc::{OutOfMemory, try_box, try_box_slice},
    domain::{Domain, Guard},
    primitive::{AtomicBool, AtomicPtr, AtomicUsize, Ordering, relax},
};

/// Binary logarithm of the most slots in one piece of memory.
const PIECE_BITS: u32 = if cfg!(loom) { 1 } else { 13 };

/// Pieces of memory: 16 million slots. Beyond that walks grow longer.
const PIECES: usize = if cfg!(loom) { 4 } else { 2048 };

/// Slots put into the list with a value that is added, at most: two, so that their number catches up after memory was short.
const GROW: usize = 2;

/// Slots taken out of the list with a value that is removed, at most, once there are so many times as many as values.
const SHRINK: usize = if cfg!(loom) { 1 } else { 4 };

/// An element of the list: a slot, or the beginning of a [`Node`].
struct Link {
    /// Its place in the list. The lowest bit says whether it is a value.
    key: u64,
    next: AtomicPtr<Link>,
}

/// A value in the list. The list points to the `link`, with the whole node's provenance.
#[repr(C)]
struct Node<T> {
    link: Link,
    /// The one that was removed before it.
    removed: AtomicPtr<Node<T>>,
    value: T,
}

const VALUE: u64 = 1;

/// An element of the list as it was found.
struct Element<'g, T> {
    link: &'g Link,
    /// The pointer to it from the one before.
    pointer: *mut Link,
    of: PhantomData<&'g T>,
}

impl<'g, T> Element<'g, T> {
    /// What it holds, if it is a value.
    #[inline]
    fn value(&self) -> Option<&'g T> {
        // SAFETY: the bit says that the pointer is to the beginning of a `Node<T>`, with its provenance; it lives as long as the link.
        (self.link.key & VALUE != 0).then(|| unsafe { &(*self.pointer.cast::<Node<T>>()).value })
    }
}

/// An ordered set of values with 64-bit keys, of which the lowest bit does not count. Keys should be evenly spread, as hashes are: look-ups
/// then cost a few steps, whatever their number. Several values may have one key.
///
/// Belongs to the domain it was made with. Readers write nothing. Writers are meant to be one at a time; a second one spins.
pub struct Index<T> {
    /// Pieces of slots: the first has as many as there are at first, each further one as many as all before it together, but no more
    /// than [`PIECE_BITS`] says. They stay until the index goes.
    pieces: Box<[AtomicPtr<Link>]>,
    /// Binary logarithm of the slots in the first piece.
    first: u32,
    /// How many slots are in the list: the first so many.
    slots: AtomicUsize,
    /// How many values. Only writers look.
    values: AtomicUsize,
    writing: AtomicBool,
    /// The domain's id; see `Published`.
    domain: usize,
    /// Invariant, as whoever has a reference may add values.
    owns: PhantomData<(Box<Node<T>>, *mut T)>,
}

// SAFETY: owning the index is owning its values.
unsafe impl<T: Send> Send for Index<T> {}
// SAFETY: readers on several threads get `&T` (T: Sync); a writer on any thread drops values (T: Send).
unsafe impl<T: Send + Sync> Sync for Index<T> {}

/// Ends a write.
struct Writing<'a>(&'a AtomicBool);

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl<T> Index<T> {
    /// Without values, and with about so many slots at first; it never has fewer.
    pub fn try_new(domain: &Domain, slots: usize) -> Result<Self, OutOfMemory> {
        let slots = slots.clamp(1, 1 << PIECE_BITS).next_power_of_two();
        let index = Self {
            pieces: try_box_slice(PIECES, |_| Ok(AtomicPtr::new(ptr::null_mut())))?,
            first: slots.checked_ilog2().unwrap_or(0),
            slots: AtomicUsize::new(0),
            values: AtomicUsize::new(0),
            writing: AtomicBool::new(false),
            domain: domain.id(),
            owns: PhantomData,
        };
        index.make_room(0)?;
        // The first slot is the list's head: there is nothing to put it behind.
        index.slots.store(1, Ordering::Release);
        for slot in 1..slots {
            index.put_in(slot);
        }
        Ok(index)
    }

    /// How many values there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.load(Ordering::Relaxed)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first value with this key of which `is` is true, usable as long as the section. `None`, too, if `guard` is of another domain, which is
    /// a programming error.
    #[inline]
    pub fn find<'g>(&'g self, key: u64, guard: &'g Guard<'_>, mut is: impl FnMut(&T) -> bool) -> Option<&'g T> {
        let key = key | VALUE;
        let mut at = self.start(key, guard)?;
        loop {
            let element = self.following(at)?;
            at = element.link;
            if at.key > key {
                return None;
            }
            if at.key == key
                && let Some(value) = element.value()
                && is(value)
            {
                return Some(value);
            }
        }
    }

    /// The first value with a key not below `key`, and its key. `None` at the end, and as for [`Index::find`].
    pub fn next<'g>(&'g self, key: u64, guard: &'g Guard<'_>) -> Option<(u64, &'g T)> {
        let key = key | VALUE;
        let mut at = self.start(key, guard)?;
        loop {
            let element = self.following(at)?;
            at = element.link;
            if at.key >= key
                && let Some(value) = element.value()
            {
                return Some((at.key, value));
            }
        }
    }

    /// Adds a value. PASSIVE_LEVEL. Fails when there is no memory for it; none for growing is no failure.
    pub fn try_insert(&self, key: u64, value: T) -> Result<(), OutOfMemory> {
        let link = Link { key: key | VALUE, next: AtomicPtr::new(ptr::null_mut()) };
        let node = Box::into_raw(try_box(Node { link, removed: AtomicPtr::new(ptr::null_mut()), value })?);
        let _writing = self.write();
        let values = self.values.load(Ordering::Relaxed).saturating_add(1);
        self.values.store(values, Ordering::Relaxed);
        for _ in 0..GROW {
            let slot = self.slots.load(Ordering::Relaxed);
            if slot >= values || self.make_room(slot).is_err() {
                break;
            }
            self.put_in(slot);
        }
        self.link(node.cast());
        Ok(())
    }

    /// Takes the first value with this key of which `is` is true out of the list, into `removed`. False if there is none. PASSIVE_LEVEL;
    /// needs no memory, and does not wait for readers. If `domain` is not the one the index was made with, a programming error, the value leaks.
    pub fn remove(&self, key: u64, domain: &Domain, removed: &mut Removed<T>, mut is: impl FnMut(&T) -> bool) -> bool {
        let key = key | VALUE;
        let _writing = self.write();
        let Some(mut before) = self.slot_before(key, self.slots.load(Ordering::Relaxed)) else { return false };
        while let Some(element) = self.following(before) {
            let at = element.link;
            if at.key > key {
                return false;
            }
            if at.key == key && element.value().is_some_and(&mut is) {
                before.next.store(at.next.load(Ordering::Relaxed), Ordering::Release);
                let values = self.values.load(Ordering::Relaxed).saturating_sub(1);
                self.values.store(values, Ordering::Relaxed);
                self.shrink(values);
                if domain.id() == self.domain {
                    removed.take(element.pointer.cast(), domain);
                }
                return true;
            }
            before = at;
        }
        false
    }

    /// The slot where a look for `key` starts. `None` for a guard of another domain.
    #[inline]
    fn start<'g>(&'g self, key: u64, guard: &'g Guard<'_>) -> Option<&'g Link> {
        if !guard.is_of(self.domain) {
            return None;
        }
        // Acquire: pairs with the store after the slot was put in; what is in the list is seen behind it.
        self.slot_before(key, self.slots.load(Ordering::Acquire))
    }

    /// The last of the first `slots` slots that is not behind `key`.
    #[inline]
    fn slot_before(&self, key: u64, slots: usize) -> Option<&Link> {
        let bits = slots.checked_ilog2()?;
        #[expect(clippy::cast_possible_truncation, reason = "the low bits are wanted")]
        let hash = key.reverse_bits() as usize;
        let below = 1usize.checked_shl(bits)?.wrapping_sub(1);
        let large = hash & (below << 1 | 1);
        self.slot(if large < slots { large } else { hash & below })
    }

    /// The element behind this one.
    #[inline]
    fn following<'g>(&'g self, link: &'g Link) -> Option<Element<'g, T>> {
        // Acquire: pairs with the store that put the element there.
        let pointer = link.next.load(Ordering::Acquire);
        // SAFETY: null, a slot, which lives as long as we, or a node. `link` was reached in a read section of our domain, or by a writer.
        // A node's memory goes after a wait for all sections that could have reached it (see the module documentation), or with us.
        let link = unsafe { pointer.as_ref() }?;
        Some(Element { link, pointer, of: PhantomData })
    }

    /// Where slot `n` is: its piece, its place in that, and the piece's length.
    #[inline]
    fn place(&self, n: usize) -> (usize, usize, usize) {
        let Some(bits) = n.checked_ilog2().filter(|bits| *bits >= self.first) else {
            return (0, n, 1usize.wrapping_shl(self.first));
        };
        if bits < PIECE_BITS {
            let half = 1usize.wrapping_shl(bits);
            (bits.wrapping_sub(self.first).wrapping_add(1) as usize, n ^ half, half)
        } else {
            let doublings = PIECE_BITS.wrapping_sub(self.first) as usize;
            ((n >> PIECE_BITS).wrapping_add(doublings), n & ((1 << PIECE_BITS) - 1), 1 << PIECE_BITS)
        }
    }

    /// Slot `n`, if there is memory for it.
    #[inline]
    fn slot(&self, n: usize) -> Option<&Link> {
        let (piece, place, _) = self.place(n);
        // Acquire: the piece was written before.
        let piece = self.pieces.get(piece)?.load(Ordering::Acquire);
        if piece.is_null() {
            return None;
        }
        // SAFETY: a piece is a boxed slice of the length that `place` says, and the place is below that.
        let slot = unsafe { piece.add(place) };
        // SAFETY: initialised when the piece was made; the piece lives as long as we.
        Some(unsafe { &*slot })
    }

    /// Makes the piece that slot `n` is in. Writers.
    fn make_room(&self, n: usize) -> Result<(), OutOfMemory> {
        let (number, place, len) = self.place(n);
        let piece = self.pieces.get(number).ok_or(OutOfMemory)?;
        if !piece.load(Ordering::Relaxed).is_null() {
            return Ok(());
        }
        let from = n.wrapping_sub(place);
        let slots = try_box_slice(len, |n| {
            let key = (from.wrapping_add(n) as u64).reverse_bits();
            Ok(Link { key, next: AtomicPtr::new(ptr::null_mut()) })
        })?;
        piece.store(Box::into_raw(slots).cast(), Ordering::Release);
        Ok(())
    }

    /// Puts slot `n`, the next, for which there is room, into the list. Writers.
    fn put_in(&self, n: usize) {
        let Some(slot) = self.slot(n) else { return };
        self.link(ptr::from_ref(slot).cast_mut());
        // Release, and after the slot has its next: whoever starts there finds what is behind.
        self.slots.store(n.wrapping_add(1), Ordering::Release);
    }

    /// Puts an element into the list: a slot before, a value behind what has its key. Writers.
    fn link(&self, link: *mut Link) {
        // SAFETY: a slot, or a node of the caller's.
        let new = unsafe { &*link };
        let Some(mut before) = self.slot_before(new.key, self.slots.load(Ordering::Relaxed)) else { return };
        while let Some(Element { link: at, .. }) = self.following(before) {
            if at.key > new.key {
                break;
            }
            before = at;
        }
        new.next.store(before.next.load(Ordering::Relaxed), Ordering::Release);
        // Release: whoever finds it finds it whole.
        before.next.store(link, Ordering::Release);
    }

    /// Takes slots out of the list that so few values do not need. Writers.
    fn shrink(&self, values: usize) {
        for _ in 0..SHRINK {
            let last = self.slots.load(Ordering::Relaxed).wrapping_sub(1);
            let enough = values.saturating_mul(SHRINK).max(1usize.wrapping_shl(self.first));
            let Some(slot) = self.slot(last).filter(|_| last >= enough) else { return };
            // First: who starts from now on starts before it. Who stands on it goes on as from any other.
            self.slots.store(last, Ordering::Release);
            let mut before = self.slot_before(slot.key, last);
            while let Some(at) = before {
                let next = at.next.load(Ordering::Relaxed);
                if ptr::eq(next, slot) {
                    at.next.store(slot.next.load(Ordering::Relaxed), Ordering::Release);
                    break;
                }
                before = self.following(at).map(|element| element.link);
            }
        }
    }

    fn write(&self) -> Writing<'_> {
        while self.writing.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_err() {
            relax();
        }
        Writing(&self.writing)
    }
}

impl<T> Drop for Index<T> {
    fn drop(&mut self) {
        let mut at = self.slot(0).map_or(ptr::null_mut(), |slot| slot.next.load(Ordering::Acquire));
        while !at.is_null() {
            // SAFETY: an element of our list: a slot, whose piece is still there, or a node.
            let link = unsafe { &*at };
            let (key, node) = (link.key, at.cast::<Node<T>>());
            at = link.next.load(Ordering::Acquire);
            if key & VALUE != 0 {
                // SAFETY: a node of our list, boxed by `try_insert`; visited once, and nobody reads, as that would borrow us.
                drop(unsafe { Box::from_raw(node) });
            }
        }
        let mut from = 0;
        for piece in &*self.pieces {
            let (_, _, len) = self.place(from);
            from = from.saturating_add(len);
            let piece = piece.load(Ordering::Acquire);
            if !piece.is_null() {
                // SAFETY: a boxed slice of this length from `make_room`; no list leads there any more.
                drop(unsafe { Box::from_raw(ptr::slice_from_raw_parts_mut(piece, len)) });
            }
        }
    }
}

impl<T> fmt::Debug for Index<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// Values that are in no index any more but may still be read: any number, kept without memory.
///
/// Only [`Removed::free_after`] drops them. Dropping this leaks them, which is safe, as readers may still use them.
#[must_use = "the values leak unless they are freed after their readers left"]
pub struct Removed<T> {
    /// The last; each knows the one before.
    last: *mut Node<T>,
    /// All values' domain's id, or 0 for none yet.
    domain: usize,
    /// Waits that had begun when the last was taken out.
    begun: usize,
    owns: PhantomData<Box<Node<T>>>,
}

// SAFETY: it only carries the right to drop the values, and T: Send allows that on any thread; readers elsewhere may hold `&T`, and
// `Index` required T: Sync for that.
unsafe impl<T: Send> Send for Removed<T> {}

impl<T> Removed<T> {
    /// Nothing.
    pub const fn new() -> Self {
        Self { last: ptr::null_mut(), domain: 0, begun: 0, owns: PhantomData }
    }

    /// Whether there is nothing to wait for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.last.is_null()
    }

    /// Takes a node that was just taken out of a list of this domain. One of another domain than those before leaks.
    fn take(&mut self, node: *mut Node<T>, domain: &Domain) {
        if self.last.is_null() {
            self.domain = domain.id();
        } else if self.domain != domain.id() {
            return;
        }
        // SAFETY: a node that nobody frees but we.
        unsafe { &*node }.removed.store(self.last, Ordering::Relaxed);
        self.last = node;
        self.begun = domain.begun();
    }

    /// Waits, once, until no reader can have any of the values, then drops them. PASSIVE_LEVEL; see [`Domain::synchronize`] for `pause` and
    /// for what must not be held. If `domain` is not the one of the values, a programming error, they leak.
    pub fn free_after(self, domain: &Domain, pause: impl FnMut()) {
        if self.last.is_null() || self.domain != domain.id() {
            return;
        }
        if !domain.waited_since(self.begun) {
            domain.synchronize(pause);
        }
        let mut last = self.last;
        let nodes = iter::from_fn(|| {
            if last.is_null() {
                return None;
            }
            // SAFETY: boxed by `try_insert`, in no list any more, and of no reader, as for `Retired`: all were taken out before the
            // last was, and the wait began after that. Each is in this chain once.
            let node = unsafe { Box::from_raw(last) };
            last = node.removed.load(Ordering::Relaxed);
            Some(node)
        });
        nodes.for_each(drop);
    }
}

impl<T> Default for Removed<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for Removed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Removed").finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::Shared;
    use core::cell::Cell;
    use std::{collections::BTreeSet, thread, vec::Vec};

    const MANY: u64 = if cfg!(miri) { 60 } else { 40_000 };

    fn made(slots: usize) -> (Domain, Index<u64>) {
        let domain = Domain::try_new(2).expect("memory");
        let index = Index::try_new(&domain, slots).expect("memory");
        (domain, index)
    }

    /// A hash: spread, and different for different numbers.
    fn key(n: u64) -> u64 {
        n.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (n << 7)
    }

    fn holds(index: &Index<u64>, domain: &Domain, n: u64) -> bool {
        index.find(key(n), &domain.enter(0), |value| *value == n).is_some()
    }

    fn remove(index: &Index<u64>, domain: &Domain, n: u64) -> bool {
        let mut removed = Removed::new();
        let was = index.remove(key(n), domain, &mut removed, |value| *value == n);
        removed.free_after(domain, || ());
        was
    }

    /// All elements in order: slots' numbers and values. The order itself is looked at.
    fn all(index: &Index<u64>) -> (Vec<u64>, Vec<u64>) {
        let (mut slots, mut values) = (std::vec![0], Vec::new());
        let mut at = index.slot(0).expect("the head");
        while let Some(element) = index.following(at) {
            assert!(at.key < element.link.key || at.key == element.link.key && at.key & VALUE != 0);
            match element.value() {
                Some(value) => values.push(*value),
                None => slots.push(element.link.key.reverse_bits()),
            }
            at = element.link;
        }
        slots.sort_unstable();
        values.sort_unstable();
        (slots, values)
    }

    #[test]
    fn growth_loses_no_value() {
        for slots in [1, 2, 64] {
            let (domain, index) = made(slots);
            for n in 0..MANY {
                assert!(!holds(&index, &domain, n));
                index.try_insert(key(n), n).expect("memory");
                // The last ones and one of all: each is looked at many times.
                for m in n.saturating_sub(3)..=n {
                    assert!(holds(&index, &domain, m), "{m} after {n}");
                }
                let one = key(n) % (n + 1);
                assert!(holds(&index, &domain, one), "{one} after {n}");
            }
            assert!((0..MANY).all(|n| holds(&index, &domain, n)));
            let now = index.slots.load(Ordering::Relaxed) as u64;
            assert_eq!(now, MANY.max(slots as u64), "it has grown");
            assert_eq!(all(&index), ((0..now).collect(), (0..MANY).collect()));
        }
    }

    #[test]
    fn it_shrinks_to_what_it_was_and_grows_again() {
        let (domain, index) = made(4);
        for _ in 0..2 {
            (0..MANY).for_each(|n| index.try_insert(key(n), n).expect("memory"));
            for n in 0..MANY {
                assert!(remove(&index, &domain, n) && !remove(&index, &domain, n) && !holds(&index, &domain, n));
                let left = MANY - 1 - n;
                let slots = index.slots.load(Ordering::Relaxed) as u64;
                assert!(slots <= if left * 4 < MANY { left * 4 } else { MANY }.max(4), "{slots} for {left}");
                if n % 1000 == 0 {
                    assert_eq!(all(&index), ((0..slots).collect(), (n + 1..MANY).collect()));
                    assert!(left == 0 || holds(&index, &domain, n + 1 + key(n) % left));
                }
            }
            assert_eq!((index.len(), index.slots.load(Ordering::Relaxed)), (0, 4));
        }
    }

    #[test]
    fn walks_are_short() {
        let (domain, index) = made(1);
        (0..MANY).for_each(|n| index.try_insert(key(n), n).expect("memory"));
        let steps = Cell::new(0u64);
        let guard = domain.enter(0);
        for n in 0..2 * MANY {
            let mut at = index.start(key(n) | VALUE, &guard).expect("a slot");
            while let Some(element) = index.following(at).filter(|element| element.link.key < (key(n) | VALUE)) {
                at = element.link;
                steps.set(steps.get() + 1);
            }
        }
        assert!(steps.get() < 2 * 2 * MANY, "{} steps for {} looks", steps.get(), 2 * MANY);
    }

    #[test]
    fn values_with_one_key_are_told_apart() {
        let (domain, index) = made(1);
        // The lowest bit does not count.
        for (key, n) in [(6, 1), (7, 2), (6, 3), (8, 4)] {
            index.try_insert(key, n).expect("memory");
        }
        let found = |key, n| index.find(key, &domain.enter(0), |value| *value == n).is_some();
        assert!(found(6, 1) && found(6, 2) && found(7, 3) && !found(6, 4) && found(9, 4));
        let mut removed = Removed::new();
        assert!(index.remove(6, &domain, &mut removed, |value| *value == 2));
        assert!(!index.remove(6, &domain, &mut removed, |value| *value == 2));
        assert!(found(6, 1) && !found(6, 2) && found(6, 3));
        removed.free_after(&domain, || ());
    }

    #[test]
    fn a_walk_meets_each_once_whatever_happens_meanwhile() {
        let (domain, index) = made(1);
        let count = MANY / 20;
        (0..count).for_each(|n| index.try_insert(key(n), n).expect("memory"));
        let (mut at, mut met) = (0, BTreeSet::new());
        let mut others = 1_000_000;
        // The section ends before anything is removed.
        let next = |at| index.next(at, &domain.enter(0)).map(|(key, value)| (key, *value));
        while let Some((found, value)) = next(at) {
            assert!(found >= at && (value >= count || met.insert(value)), "{value} twice");
            at = found + 1;
            // It grows tenfold, and gets small again. What comes before the walk and behind it is not counted, and comes to an end.
            let grows = (met.len() as u64) < count / 2;
            for _ in 0..if value < count { 20 } else { 0 } {
                if grows {
                    index.try_insert(key(others), others).expect("memory");
                    others += 1;
                } else if others > 1_000_000 {
                    others -= 1;
                    assert!(remove(&index, &domain, others));
                }
            }
        }
        assert_eq!(met.len() as u64, count);
        assert_eq!(index.next(u64::MAX, &domain.enter(0)), None);
    }

    #[test]
    fn one_wait_frees_all_that_was_removed() {
        let domain = Domain::try_new(1).expect("memory");
        let index = Index::try_new(&domain, 1).expect("memory");
        let value = Shared::try_new(Cell::new(0)).expect("memory");
        for n in 0..100 {
            index.try_insert(key(n), (n, value.clone())).expect("memory");
        }
        let guard = domain.enter(0);
        let read = index.find(key(50), &guard, |_| true).expect("there");
        let mut removed = Removed::new();
        assert!((0..100).all(|n| index.remove(key(n), &domain, &mut removed, |_| true)));
        assert_eq!((read.0, index.len()), (50, 0));
        drop(guard);
        let before = domain.begun();
        removed.free_after(&domain, || ());
        assert_eq!(domain.begun(), before + 1);
        Removed::<u8>::new().free_after(&domain, || panic!("nothing to wait for"));
        assert_eq!(domain.begun(), before + 1);
    }

    #[test]
    fn a_guard_of_another_domain_finds_nothing() {
        let (_mine, index) = made(1);
        index.try_insert(0, 7).expect("memory");
        let other = Domain::try_new(1).expect("memory");
        assert!(index.find(0, &other.enter(0), |_| true).is_none() && index.next(0, &other.enter(0)).is_none());
    }

    #[test]
    #[cfg_attr(miri, ignore = "leaks by design")]
    fn misused_removed_values_leak() {
        let (_mine, index) = made(1);
        index.try_insert(0, 7).expect("memory");
        index.try_insert(2, 8).expect("memory");
        let other = Domain::try_new(1).expect("memory");
        let mut removed = Removed::new();
        assert!(index.remove(0, &other, &mut removed, |_| true) && removed.is_empty());
        assert!(index.remove(2, &_mine, &mut removed, |_| true) && !removed.is_empty());
        removed.free_after(&other, || panic!("not its readers"));
    }

    #[test]
    fn readers_find_what_is_there_while_a_writer_churns() {
        let domain = Domain::try_new(3).expect("memory");
        let index = Index::try_new(&domain, 1).expect("memory");
        let done = AtomicBool::new(false);
        for n in 0..10 {
            index.try_insert(key(n), n).expect("memory");
        }
        thread::scope(|scope| {
            let readers: Vec<_> = (0..3)
                .map(|stripe| {
                    let (domain, index, done) = (&domain, &index, &done);
                    scope.spawn(move || {
                        let mut rounds = 0;
                        while !done.load(Ordering::Relaxed) || rounds == 0 {
                            let guard = domain.enter(stripe);
                            assert!((0..10).all(|n| index.find(key(n), &guard, |value| *value == n).is_some()));
                            let (mut at, mut met) = (0, 0);
                            while let Some((found, value)) = index.next(at, &guard) {
                                (at, met) = (found + 1, met + u64::from(*value < 10));
                            }
                            assert_eq!(met, 10);
                            rounds += 1;
                        }
                    })
                })
                .collect();
            for _ in 0..if cfg!(miri) { 2 } else { 30 } {
                let range = 10..if cfg!(miri) { 20 } else { 300 };
                range.clone().for_each(|n| index.try_insert(key(n), n).expect("memory"));
                let mut removed = Removed::new();
                assert!(range.clone().all(|n| index.remove(key(n), &domain, &mut removed, |value| *value == n)));
                removed.free_after(&domain, thread::yield_now);
            }
            done.store(true, Ordering::Relaxed);
            readers.into_iter().for_each(|reader| reader.join().expect("reader"));
        });
    }
}
