//! Values that readers use without a lock while a writer replaces them.
//!
//! A reader *enters* a [`Domain`]: it adds one to its stripe's counter and keeps the [`Guard`]. Under the guard it loads
//! any number of [`Published`] pointers of that domain. A writer swaps a pointer, which leaves it a [`Retired`] value, and
//! waits until every counter has been seen at zero; then nobody can still hold the old pointer, and it is freed.
//!
//! # Why it is right
//!
//! A counter's value is the number of guards that stand on it, because each guard takes from the very counter it added to.
//! Consider one reader's `add; fence; load pointer` and a writer's `swap pointer; fence; read counter`, both fences
//! sequentially consistent. One fence comes first in their single total order.
//!
//! - The reader's first: the writer's read sees the addition. As long as the guard stands, the counter is not zero, and
//!   the writer waits.
//! - The writer's first: the reader's load sees the swap (or a later one), so it never has the old pointer.
//!
//! When the writer does read zero, it reads a value that a guard's release subtraction (or a later addition to it) wrote,
//! so all of that guard's reads happen before the free. None of this depends on phases or on who else is waiting: safety
//! needs only that *every counter was zero at some moment after the swap*.
//!
//! Waits are numbered, so that one serves several swaps: a [`Retired`] value notes how many waits had begun when it was
//! swapped out, and a later one that has ended will do. By the order of the fences after the swap and after the wait's
//! number was written, a swap that did not see the number lies before that wait's looks at the counters.
//!
//! Phases make the wait end. Each stripe has two counters, and readers choose by the domain's phase. The writer waits for
//! the phase readers do not enter, turns the phase, and waits for the other; new readers stand on the counter that is not
//! being waited for. Sections nest, and a nested section is just one more guard.

use core::{fmt, marker::PhantomData, ptr};
use std_alloc::boxed::Box;

use crate::{
    alloc::OutOfMemory,
    primitive::{AtomicBool, AtomicPtr, AtomicUsize, Ordering, fence},
    striped::Striped,
};

/// One stripe's counters, by phase.
struct Readers {
    even: AtomicUsize,
    odd: AtomicUsize,
}

impl Readers {
    #[inline]
    fn of(&self, phase: usize) -> &AtomicUsize {
        if phase & 1 == 0 { &self.even } else { &self.odd }
    }
}

/// A set of readers that writers can wait for.
///
/// Make one per device; all [`Published`] values of the device belong to it.
pub struct Domain {
    readers: Striped<Readers>,
    /// Its lowest bit chooses the counter new readers add to.
    phase: AtomicUsize,
    /// Set while somebody waits in [`Domain::synchronize`]; two who turn the phase at once could delay each other.
    waiting: AtomicBool,
    /// How many waits have begun, and the number of the last that has ended.
    begun: AtomicUsize,
    ended: AtomicUsize,
}

impl Domain {
    /// A domain whose readers spread over `stripes` counters, normally one per processor. At least one is made.
    pub fn try_new(stripes: usize) -> Result<Self, OutOfMemory> {
        let readers =
            Striped::try_new(stripes, |_| Ok(Readers { even: AtomicUsize::new(0), odd: AtomicUsize::new(0) }))?;
        Ok(Self {
            readers,
            phase: AtomicUsize::new(0),
            waiting: AtomicBool::new(false),
            begun: AtomicUsize::new(0),
            ended: AtomicUsize::new(0),
        })
    }

    /// Starts a read section; it ends when the guard is dropped.
    ///
    /// `stripe` is the processor's number (any number is right, the own one is fast). Never waits; any IRQL up to
    /// DISPATCH_LEVEL. Sections may nest. Keep them short: writers wait for them.
    #[inline]
    pub fn enter(&self, stripe: usize) -> Guard<'_> {
        let phase = self.phase.load(Ordering::Relaxed);
        let counter = self.readers.get(stripe).of(phase);
        counter.fetch_add(1, Ordering::Relaxed);
        // With the writer's fence in `synchronize`: either it sees the addition, or our loads see its swap.
        fence(Ordering::SeqCst);
        Guard { domain: self, counter, stays_here: PhantomData }
    }

    /// Returns once every read section that was open at the call has ended. Later ones are not waited for.
    ///
    /// PASSIVE_LEVEL: it waits, calling `pause` between looks (sleep a little there, do not spin). The caller must not
    /// be inside a read section of this domain: it would wait for itself. Concurrent calls are safe, one after the other.
    pub fn synchronize(&self, mut pause: impl FnMut()) {
        /// Clears the flag even if `pause` unwinds.
        struct Waiting<'a>(&'a AtomicBool);

        impl Drop for Waiting<'_> {
            fn drop(&mut self) {
                self.0.store(false, Ordering::Release);
            }
        }

        while self.waiting.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_err() {
            pause();
        }
        let _waiting = Waiting(&self.waiting);

        let number = self.begun.load(Ordering::Relaxed).wrapping_add(1);
        self.begun.store(number, Ordering::Relaxed);
        // With the reader's fence in `enter`, and with the one in `begun`; orders the swaps of whoever does not see
        // our number before our looks at the counters.
        fence(Ordering::SeqCst);
        let phase = self.phase.load(Ordering::Relaxed);
        // Few stand here: readers that chose the counter before the last turn.
        self.wait_for(phase.wrapping_add(1), &mut pause);
        self.phase.store(phase.wrapping_add(1), Ordering::Relaxed);
        self.wait_for(phase, &mut pause);
        // Release: the readers' last reads, which we acquired, happen before what is done by who sees the wait ended.
        self.ended.store(number, Ordering::Release);
    }

    /// How many waits had begun after what the caller did before, which may be noted: a wait that begins later sees every reader that
    /// does not see that.
    pub(crate) fn begun(&self) -> usize {
        // With the fence in `synchronize`: either we see its number, or it sees every reader of what was there before.
        fence(Ordering::SeqCst);
        self.begun.load(Ordering::Relaxed)
    }

    /// Whether a wait has ended that began after `begun` had been noted.
    pub(crate) fn waited_since(&self, begun: usize) -> bool {
        self.ended.load(Ordering::Acquire).wrapping_sub(begun).cast_signed() > 0
    }

    /// Looks at each stripe's counter of `phase` until it has been zero once.
    fn wait_for(&self, phase: usize, pause: &mut impl FnMut()) {
        for readers in self.readers.iter() {
            // Acquire: what the readers that left did happens before what our caller does next.
            while readers.of(phase).load(Ordering::Acquire) != 0 {
                pause();
            }
        }
    }

    /// Names this domain among all that live at the same time.
    #[inline]
    pub(crate) fn id(&self) -> usize {
        self.readers.address()
    }
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Domain").field("stripes", &self.readers.stripes()).finish_non_exhaustive()
    }
}

/// An open read section.
///
/// Not `Send`: a section belongs to the batch that opened it. Forgetting a guard makes writers wait for ever but frees
/// nothing early.
#[must_use]
pub struct Guard<'d> {
    domain: &'d Domain,
    counter: &'d AtomicUsize,
    stays_here: PhantomData<*const ()>,
}

impl Guard<'_> {
    /// Whether it is of the domain with this id.
    #[inline]
    pub(crate) fn is_of(&self, domain: usize) -> bool {
        self.domain.id() == domain
    }
}

impl Drop for Guard<'_> {
    #[inline]
    fn drop(&mut self) {
        // Release: the section's reads happen before the writer, having seen zero, frees.
        self.counter.fetch_sub(1, Ordering::Release);
    }
}

impl fmt::Debug for Guard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").finish_non_exhaustive()
    }
}

/// A pointer to an immutable value, or to none, that a writer may replace while readers use it.
///
/// Belongs to the domain it was made with. Dropping it drops the value: the borrow checker has ended all reads by then,
/// since a loaded reference also borrows the `Published`.
pub struct Published<T> {
    value: AtomicPtr<T>,
    /// The domain's id. Two live domains never share one; should this domain be gone and another have taken its id, then
    /// the old domain's guards are gone too, and this value simply belongs to the new one.
    domain: usize,
    owns: PhantomData<Box<T>>,
}

// SAFETY: owning the pointer is owning the box.
unsafe impl<T: Send> Send for Published<T> {}
// SAFETY: readers on several threads get `&T` (T: Sync), and a writer on any thread gets the box back (T: Send).
unsafe impl<T: Send + Sync> Sync for Published<T> {}

impl<T> Published<T> {
    /// A published value that readers of `domain` may load.
    #[must_use]
    pub fn new(domain: &Domain, value: Option<Box<T>>) -> Self {
        Self { value: AtomicPtr::new(into_raw(value)), domain: domain.id(), owns: PhantomData }
    }

    /// The current value, usable as long as the section. `None` if nothing is published, or if `guard` is of another
    /// domain, which is a programming error.
    #[inline]
    #[must_use]
    pub fn load<'g>(&'g self, guard: &'g Guard<'_>) -> Option<&'g T> {
        if !guard.is_of(self.domain) {
            return None;
        }
        // Acquire: pairs with the swap that published the value.
        let value = self.value.load(Ordering::Acquire);
        // SAFETY: null, or a box published with `new` or `swap` and initialised before. It is freed in three places:
        // `Drop`, which needs the `Published` unborrowed, while the result borrows it for 'g; `Retired::free_after`,
        // which waits for all guards of the domain with our id, and `guard` is one and stands for 'g (see the module
        // documentation); and by its new owner after that. Nobody writes to it: only `&T` is handed out until then.
        unsafe { value.as_ref() }
    }

    /// Publishes `value` in place of the present one, which readers may still be using: see [`Retired`].
    ///
    /// Never waits and never allocates. Concurrent swaps are safe; each gets another old value. If `domain` is not the one
    /// the value was made with, a programming error, the old value leaks.
    #[must_use = "the old value leaks unless it is freed after its readers left"]
    pub fn swap(&self, value: Option<Box<T>>, domain: &Domain) -> Retired<T> {
        let old = self.value.swap(into_raw(value), Ordering::AcqRel);
        let begun = domain.begun();
        // Another domain's waits say nothing about our readers: 0, no domain's id, matches none.
        let domain = if domain.id() == self.domain { self.domain } else { 0 };
        Retired { value: old, domain, begun, owns: PhantomData }
    }

    /// [`Published::swap`], then [`Retired::free_after`]: PASSIVE_LEVEL, returns when no reader has the old value.
    pub fn replace(&self, value: Option<Box<T>>, domain: &Domain, pause: impl FnMut()) -> Option<Box<T>> {
        self.swap(value, domain).free_after(domain, pause)
    }
}

impl<T> Drop for Published<T> {
    fn drop(&mut self) {
        // A swap rather than a load: it always sees the latest value.
        let value = self.value.swap(ptr::null_mut(), Ordering::AcqRel);
        // SAFETY: a published box (or null), and with `&mut self` no reader's reference can exist: it would borrow us.
        drop(unsafe { from_raw(value) });
    }
}

impl<T> fmt::Debug for Published<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Published").finish_non_exhaustive()
    }
}

/// A value that is no longer published but may still be read.
///
/// Only [`Retired::free_after`] gives it back. Dropping it leaks the value, which is safe, as readers may still use it.
///
/// Whoever changes several values swaps them all first, then frees them: the first wait serves all.
#[must_use = "the value leaks unless it is freed after its readers left"]
pub struct Retired<T> {
    value: *mut T,
    domain: usize,
    /// Waits that had begun when the value was swapped out.
    begun: usize,
    owns: PhantomData<Box<T>>,
}

// SAFETY: it only carries the right to take the box back, and T: Send allows that on any thread. Readers elsewhere may
// hold `&T` meanwhile; `Published` required T: Sync for that.
unsafe impl<T: Send> Send for Retired<T> {}

impl<T> Retired<T> {
    /// Waits until no reader can have the value, then returns it. `None` if nothing was published.
    ///
    /// PASSIVE_LEVEL; see [`Domain::synchronize`] for `pause` and for what must not be held. If `domain` is not the one
    /// the value was published in, a programming error, the value leaks and the answer is `None`.
    pub fn free_after(self, domain: &Domain, pause: impl FnMut()) -> Option<Box<T>> {
        if domain.id() != self.domain {
            return None;
        }
        if !self.value.is_null() && !domain.waited_since(self.begun) {
            domain.synchronize(pause);
        }
        // SAFETY: the box was unpublished by the swap that made this `Retired`, and no other has it. Guards that could
        // load it are of the domain with this id; all that stood at the swap have ended, as a `synchronize` that began
        // after it saw (ours, or one whose number the swap had not seen), and later ones load what replaced it.
        unsafe { from_raw(self.value) }
    }

    /// Whether nothing was published, so that there is nothing to wait for.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.value.is_null()
    }
}

impl<T> fmt::Debug for Retired<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retired").finish_non_exhaustive()
    }
}

fn into_raw<T>(value: Option<Box<T>>) -> *mut T {
    value.map_or(ptr::null_mut(), Box::into_raw)
}

/// The reverse of [`into_raw`].
///
/// # Safety
/// `value` came from `into_raw`, and nobody else uses it or will turn it back.
unsafe fn from_raw<T>(value: *mut T) -> Option<Box<T>> {
    // SAFETY: not null, so it came from `Box::into_raw`; the caller promises sole ownership.
    (!value.is_null()).then(|| unsafe { Box::from_raw(value) })
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::{Shared, try_box};
    use core::cell::Cell;
    use std::{sync::atomic::AtomicU64, thread, vec::Vec};

    fn domain() -> Domain {
        Domain::try_new(2).expect("memory")
    }

    fn boxed<T>(value: T) -> Option<Box<T>> {
        Some(try_box(value).expect("memory"))
    }

    #[test]
    fn readers_see_the_value_of_their_time() {
        let domain = domain();
        let value = Published::new(&domain, boxed(1));
        let guard = domain.enter(0);
        let old = value.load(&guard);
        let retired = value.swap(boxed(2), &domain);
        assert_eq!(old, Some(&1));
        assert_eq!(value.load(&guard), Some(&2));
        drop(guard);
        assert_eq!(retired.free_after(&domain, || ()), boxed(1));
        assert_eq!(value.replace(None, &domain, || ()), boxed(2));
        assert_eq!(value.load(&domain.enter(1)), None);
    }

    #[test]
    fn one_wait_serves_all_that_was_swapped_before() {
        let domain = domain();
        let values = [1, 2].map(|n| Published::new(&domain, boxed(n)));
        let before = domain.ended.load(Ordering::Relaxed);
        let [first, second] = [&values[0], &values[1]].map(|value| value.swap(None, &domain));
        assert_eq!(first.free_after(&domain, || ()), boxed(1));
        assert_eq!(domain.ended.load(Ordering::Relaxed), before + 1);
        // A wait that began before the swap is none.
        let third = values[0].swap(boxed(3), &domain);
        assert!(third.is_none());
        let fourth = values[0].swap(None, &domain);
        let guard = domain.enter(0);
        assert_eq!(second.free_after(&domain, || panic!("waited")), boxed(2));
        drop(guard);
        assert_eq!(domain.ended.load(Ordering::Relaxed), before + 1);
        assert_eq!(fourth.free_after(&domain, || ()), boxed(3));
        assert_eq!(domain.ended.load(Ordering::Relaxed), before + 2);
    }

    #[test]
    fn nothing_published_is_nothing_to_wait_for() {
        let domain = domain();
        let value = Published::new(&domain, None);
        let guard = domain.enter(0);
        let retired = value.swap(boxed(1), &domain);
        assert!(retired.is_none());
        // Would hang if it waited: our own guard is open.
        assert_eq!(retired.free_after(&domain, || panic!("waited")), None);
        drop(guard);
    }

    #[test]
    fn a_guard_of_another_domain_loads_nothing() {
        let (mine, other) = (domain(), domain());
        let value = Published::new(&mine, boxed(1));
        assert_eq!(value.load(&other.enter(0)), None);
        assert_eq!(value.load(&mine.enter(0)), Some(&1));
    }

    #[test]
    #[cfg_attr(miri, ignore = "leaks by design")]
    fn misused_retired_values_leak() {
        let (mine, other) = (domain(), domain());
        let drops = Shared::try_new(()).expect("memory");
        let value = Published::new(&mine, boxed(drops.clone()));
        let guard = mine.enter(0);
        let read = value.load(&guard);
        drop(value.swap(boxed(drops.clone()), &mine));
        assert!(value.swap(boxed(drops.clone()), &mine).free_after(&other, || ()).is_none());
        assert!(value.swap(None, &other).free_after(&mine, || ()).is_none());
        assert!(read.is_some_and(|read| Shared::same(read, &drops)));
    }

    #[test]
    fn a_domain_may_move() {
        let domain = domain();
        let value = Published::new(&domain, boxed(1));
        let moved = try_box(domain).expect("memory");
        assert_eq!(value.load(&moved.enter(0)), Some(&1));
    }

    #[test]
    fn the_writer_waits_for_old_sections_only() {
        let domain = domain();
        let value = Published::new(&domain, boxed(1));
        let old = Cell::new(Some(domain.enter(0)));
        let later = Cell::new(None);
        let nested = domain.enter(1);
        drop(nested);
        let pauses = Cell::new(0);
        let freed = value.replace(boxed(2), &domain, || {
            pauses.set(pauses.get() + 1);
            match pauses.get() {
                // A section that opens during the wait is not waited for once the phase has turned.
                3 => later.set(Some(domain.enter(0))),
                5 => drop(old.take()),
                _ => assert!(pauses.get() < 10, "waits for a section that began later"),
            }
        });
        assert_eq!((freed, pauses.get()), (boxed(1), 5));
        assert!(later.take().is_some());
    }

    #[test]
    fn the_wait_ends_if_pause_panics() {
        let domain = domain();
        let guard = domain.enter(0);
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| domain.synchronize(|| panic!("stop"))));
        assert!(caught.is_err());
        drop(guard);
        domain.synchronize(|| panic!("somebody still waits"));
    }

    #[test]
    fn dropping_a_published_value_drops_what_it_holds() {
        let domain = domain();
        let value = Shared::try_new(AtomicU64::new(0)).expect("memory");
        drop(Published::new(&domain, boxed(value.clone())));
        drop(domain);
    }

    #[test]
    fn readers_never_see_a_freed_value_while_writers_churn() {
        const ROUNDS: u64 = if cfg!(miri) { 15 } else { 500 };

        /// Holds the same number twice; being dropped spoils it.
        struct Twice(AtomicU64, AtomicU64);

        impl Drop for Twice {
            fn drop(&mut self) {
                *self.0.get_mut() = u64::MAX;
            }
        }

        fn twice(n: u64) -> Option<Box<Twice>> {
            boxed(Twice(AtomicU64::new(n), AtomicU64::new(n)))
        }

        let domain = Domain::try_new(3).expect("memory");
        let value = Published::new(&domain, twice(0));
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            let readers: Vec<_> = (0..3)
                .map(|stripe| {
                    let (domain, value, done) = (&domain, &value, &done);
                    scope.spawn(move || {
                        let mut loads = 0u64;
                        while !done.load(Ordering::Relaxed) || loads == 0 {
                            let guard = domain.enter(stripe);
                            let seen = value.load(&guard).expect("always published");
                            let number = seen.0.load(Ordering::Relaxed);
                            thread::yield_now();
                            assert_eq!(number, seen.1.load(Ordering::Relaxed));
                            loads += 1;
                        }
                    })
                })
                .collect();
            let writers: Vec<_> = (0..2)
                .map(|_| {
                    scope.spawn(|| {
                        for n in 1..=ROUNDS {
                            let old = value.replace(twice(n), &domain, thread::yield_now);
                            assert!(old.is_some());
                        }
                    })
                })
                .collect();
            for writer in writers {
                writer.join().expect("writer");
            }
            done.store(true, Ordering::Relaxed);
            for reader in readers {
                reader.join().expect("reader");
            }
        });
    }
}
