//! A bounded queue for any number of producers and consumers.

use core::mem::MaybeUninit;
use std_alloc::boxed::Box;

use crate::{
    alloc::{OutOfMemory, try_box_slice},
    primitive::{AtomicUsize, Ordering, UnsafeCell},
};

/// Keeps what follows off the cache lines of what precedes, without asking for alignment.
type Gap = [u8; 128];

struct Slot<T> {
    /// The turn this slot is ready for: `p` when it is empty and waits for the push that claims position `p`, `p + 1`
    /// when it holds that push's value, `p + capacity` once that value was popped.
    turn: AtomicUsize,
    value: UnsafeCell<MaybeUninit<T>>,
}

/// A bounded first-in-first-out queue, Dmitry Vyukov's design: each slot carries the number of the turn it is ready for.
///
/// `push` and `pop` never wait, never allocate, and may be called at any IRQL up to DISPATCH_LEVEL from any number of
/// processors. A push that is under way is invisible until it ends, and so are the later ones behind it: `pop` may answer
/// `None` while another processor is inside `push`. A consumer that goes to sleep on `None` must therefore be woken by the
/// producer *after* its push returned.
// In C's order, for the gaps to lie between what they separate.
#[repr(C)]
pub struct Queue<T> {
    slots: Box<[Slot<T>]>,
    /// Capacity less one; the capacity is a power of two, at least 2.
    mask: usize,
    _gap0: Gap,
    /// Next position to push to. Positions count up for ever and wrap.
    tail: AtomicUsize,
    _gap1: Gap,
    /// Next position to pop from.
    head: AtomicUsize,
    _gap2: Gap,
}

// SAFETY: values are handed from one thread to another (T: Send); no `&T` is ever shared.
unsafe impl<T: Send> Send for Queue<T> {}
// SAFETY: as above; a slot is touched only by the thread that owns its turn.
unsafe impl<T: Send> Sync for Queue<T> {}

impl<T> Queue<T> {
    /// An empty queue for `capacity` values, rounded up to a power of two and at least two. Allocates once, here.
    pub fn try_new(capacity: usize) -> Result<Self, OutOfMemory> {
        let capacity = capacity.max(2).checked_next_power_of_two().ok_or(OutOfMemory)?;
        let slots = try_box_slice(capacity, |index| {
            Ok(Slot { turn: AtomicUsize::new(index), value: UnsafeCell::new(MaybeUninit::uninit()) })
        })?;
        Ok(Self {
            slots,
            mask: capacity.wrapping_sub(1),
            _gap0: [0; 128],
            tail: AtomicUsize::new(0),
            _gap1: [0; 128],
            head: AtomicUsize::new(0),
            _gap2: [0; 128],
        })
    }

    /// How many values fit.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.slots.len()
    }

    /// How many values are queued, approximately: exact when nobody pushes or pops meanwhile.
    #[must_use]
    pub fn len(&self) -> usize {
        let head = self.head.load(Ordering::Relaxed);
        let tail = self.tail.load(Ordering::Relaxed);
        let distance = tail.wrapping_sub(head);
        // Head may have been read before pops that let tail run on, or look ahead of tail; keep the answer in range.
        if distance as isize <= 0 { 0 } else { distance.min(self.capacity()) }
    }

    /// Whether nothing is queued, as approximately as [`Queue::len`].
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a `pop` now would take a value: the oldest push has ended. A push that is under way does not count, unlike in
    /// [`Queue::len`]: who waits for this in a loop does not wait for a push that it has interrupted.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let head = self.head.load(Ordering::Relaxed);
        let slot = self.slots.get(head & self.mask);
        slot.is_some_and(|slot| slot.turn.load(Ordering::Acquire) == head.wrapping_add(1))
    }

    /// Appends `value`, or gives it back if the queue is full.
    pub fn push(&self, value: T) -> Result<(), T> {
        let mut position = self.tail.load(Ordering::Relaxed);
        loop {
            let Some(slot) = self.slots.get(position & self.mask) else { return Err(value) };
            // Acquire: pairs with the pop that emptied the slot, so its read of the old value is over.
            let turn = slot.turn.load(Ordering::Acquire);
            let ahead = turn.wrapping_sub(position) as isize;
            if ahead == 0 {
                let next = position.wrapping_add(1);
                match self.tail.compare_exchange_weak(position, next, Ordering::Relaxed, Ordering::Relaxed) {
                    Ok(_) => {
                        slot.value.with_mut(|place| {
                            // SAFETY: winning position `position` while the slot's turn equals it makes this thread the
                            // slot's only user until it stores the next turn: other pushes have other positions, and
                            // pops wait for turn `position + 1`. The place holds no value.
                            unsafe { (*place).write(value) };
                        });
                        slot.turn.store(next, Ordering::Release);
                        return Ok(());
                    }
                    Err(now) => position = now,
                }
            } else if ahead < 0 {
                // The slot still holds the value of one lap ago. Full, unless our position is old.
                let now = self.tail.load(Ordering::Relaxed);
                if now == position {
                    return Err(value);
                }
                position = now;
            } else {
                position = self.tail.load(Ordering::Relaxed);
            }
        }
    }

    /// Takes the oldest value, or `None` if the queue is empty or its oldest push has not ended.
    pub fn pop(&self) -> Option<T> {
        let mut position = self.head.load(Ordering::Relaxed);
        loop {
            let slot = self.slots.get(position & self.mask)?;
            let next = position.wrapping_add(1);
            // Acquire: pairs with the push that filled the slot.
            let turn = slot.turn.load(Ordering::Acquire);
            let ahead = turn.wrapping_sub(next) as isize;
            if ahead == 0 {
                match self.head.compare_exchange_weak(position, next, Ordering::Relaxed, Ordering::Relaxed) {
                    Ok(_) => {
                        let value = slot.value.with_mut(|place| {
                            // SAFETY: winning position `position` while the slot's turn is one more makes this thread
                            // the slot's only user until it stores the next lap's turn. The push that stored the turn
                            // initialised the value (a MaybeUninit<T> is laid out as T), and it is read out once.
                            unsafe { place.cast::<T>().read() }
                        });
                        let next_lap = position.wrapping_add(self.slots.len());
                        slot.turn.store(next_lap, Ordering::Release);
                        return Some(value);
                    }
                    Err(now) => position = now,
                }
            } else if ahead < 0 {
                let now = self.head.load(Ordering::Relaxed);
                if now == position {
                    return None;
                }
                position = now;
            } else {
                position = self.head.load(Ordering::Relaxed);
            }
        }
    }
}

impl<T> Drop for Queue<T> {
    fn drop(&mut self) {
        while self.pop().is_some() {}
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::alloc::try_box;
    use std::{sync::Arc, thread, vec::Vec};

    #[test]
    fn first_in_first_out_until_full() {
        let queue = Queue::try_new(4).expect("memory");
        assert_eq!(queue.capacity(), 4);
        for lap in 0..3 {
            for i in 0..4 {
                assert_eq!(queue.push(lap * 10 + i), Ok(()));
            }
            assert_eq!(queue.len(), 4);
            assert_eq!(queue.push(99), Err(99));
            for i in 0..4 {
                assert_eq!(queue.pop(), Some(lap * 10 + i));
            }
            assert_eq!(queue.pop(), None);
            assert!(queue.is_empty());
        }
    }

    #[test]
    fn capacity_is_rounded_up() {
        assert_eq!(Queue::<u8>::try_new(0).expect("memory").capacity(), 2);
        assert_eq!(Queue::<u8>::try_new(5).expect("memory").capacity(), 8);
        assert!(Queue::<u64>::try_new(usize::MAX).is_err());
    }

    #[test]
    fn positions_may_wrap() {
        let queue = Queue::try_new(2).expect("memory");
        let start = usize::MAX - 2;
        queue.head.store(start, Ordering::Relaxed);
        queue.tail.store(start, Ordering::Relaxed);
        for offset in 0..2usize {
            let position = start.wrapping_add(offset);
            let slot = queue.slots.get(position & queue.mask).expect("slot");
            slot.turn.store(position, Ordering::Relaxed);
        }
        for i in 0..10 {
            assert_eq!(queue.push(i), Ok(()));
            assert_eq!(queue.push(i + 100), Ok(()));
            assert_eq!(queue.push(0), Err(0));
            assert_eq!(queue.len(), 2);
            assert_eq!(queue.pop(), Some(i));
            assert_eq!(queue.pop(), Some(i + 100));
            assert_eq!(queue.pop(), None);
        }
    }

    #[test]
    fn what_is_left_is_dropped_with_the_queue() {
        let queue = Queue::try_new(4).expect("memory");
        let value = Arc::new(());
        for _ in 0..3 {
            queue.push(value.clone()).expect("room");
        }
        drop(queue.pop());
        drop(queue);
        assert_eq!(Arc::strong_count(&value), 1);
    }

    #[test]
    fn every_value_comes_out_once_and_in_its_producers_order() {
        const EACH: usize = if cfg!(miri) { 40 } else { 5_000 };
        let queue = Queue::try_new(8).expect("memory");
        let mut seen: Vec<usize> = thread::scope(|scope| {
            for producer in 0..2 {
                let queue = &queue;
                scope.spawn(move || {
                    for i in 0..EACH {
                        let mut value = try_box(producer * EACH + i).expect("memory");
                        while let Err(back) = queue.push(value) {
                            value = back;
                            thread::yield_now();
                        }
                    }
                });
            }
            let consumers: Vec<_> = (0..2)
                .map(|_| {
                    scope.spawn(|| {
                        let mut mine = Vec::new();
                        while mine.len() < EACH {
                            match queue.pop() {
                                Some(value) => mine.push(*value),
                                None => thread::yield_now(),
                            }
                        }
                        for producer in 0..2 {
                            let range = producer * EACH..(producer + 1) * EACH;
                            assert!(mine.iter().filter(|v| range.contains(v)).is_sorted());
                        }
                        mine
                    })
                })
                .collect();
            consumers.into_iter().flat_map(|c| c.join().expect("consumer")).collect()
        });
        seen.sort_unstable();
        assert!(seen.into_iter().eq(0..2 * EACH));
    }
}
