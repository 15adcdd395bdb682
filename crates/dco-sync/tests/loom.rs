//! Models: every interleaving (within the preemption bounds below) and every value a weak memory order allows.
//!
//! ```text
//! RUSTFLAGS="--cfg loom" cargo test -p dco-sync --release --test loom
//! ```
//!
//! Loom reports a read of a [`Canary`]'s cell that is concurrent with the write its destructor makes, so a value freed
//! under a reader fails the model even where the memory would still look right.
#![expect(unexpected_cfgs, reason = "cfg(loom) is set by hand")]
#![cfg(loom)]

use dco_sync::{Domain, Index, Latch, Published, Queue, Removed, Shared, try_box};
use loom::{
    cell::UnsafeCell,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

/// State of one canary, kept apart so that looking at it after the drop is a finding, not undefined behaviour.
struct Cage(UnsafeCell<bool>);

impl Cage {
    fn new() -> Arc<Self> {
        Arc::new(Self(UnsafeCell::new(true)))
    }
}

// SAFETY: the cell is only touched through loom, which reports conflicting accesses: that is the point.
#[expect(unsafe_code, reason = "the model looks for the very race this would hide")]
unsafe impl Sync for Cage {}
// SAFETY: as above.
#[expect(unsafe_code, reason = "the model looks for the very race this would hide")]
unsafe impl Send for Cage {}

struct Canary(Arc<Cage>);

impl Canary {
    fn sings(&self) {
        #[expect(unsafe_code, reason = "loom's cells lend raw pointers")]
        // SAFETY: loom has just checked that no write is concurrent.
        self.0.0.with(|alive| assert!(unsafe { *alive }, "a freed value was read"));
    }
}

impl Drop for Canary {
    fn drop(&mut self) {
        #[expect(unsafe_code, reason = "loom's cells lend raw pointers")]
        // SAFETY: loom has just checked that no other access is concurrent.
        self.0.0.with_mut(|alive| unsafe { *alive = false });
    }
}

/// A model with at most `preemptions` involuntary switches: enough to find every known bug of such algorithms, and small
/// enough to run in seconds.
fn model(preemptions: usize, body: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(body);
}

fn canary(cages: &[Arc<Cage>], n: usize) -> Option<dco_sync::Box<Canary>> {
    Some(try_box(Canary(cages[n].clone())).expect("memory"))
}

/// Two readers on different stripes, one of them entering twice, against a writer that replaces the value twice. The
/// writer's return at all is the proof that `synchronize` ends.
#[test]
fn readers_never_see_a_freed_value() {
    model(3, || {
        let cages: Vec<_> = (0..3).map(|_| Cage::new()).collect();
        let domain = Arc::new(Domain::try_new(2).expect("memory"));
        let value = Arc::new(Published::new(&domain, canary(&cages, 0)));
        let readers: Vec<_> = [(0, 1), (1, 2)]
            .into_iter()
            .map(|(stripe, sections)| {
                let (domain, value) = (domain.clone(), value.clone());
                thread::spawn(move || {
                    for _ in 0..sections {
                        let guard = domain.enter(stripe);
                        value.load(&guard).expect("published").sings();
                        drop(guard);
                    }
                })
            })
            .collect();
        for n in 1..3 {
            let old = value.swap(canary(&cages, n), &domain).free_after(&domain, thread::yield_now);
            assert!(old.is_some());
        }
        for reader in readers {
            reader.join().expect("no panic");
        }
    });
}

/// Two writers wait at once while a reader reads: each frees only what it removed, and both waits end.
#[test]
fn two_writers_and_a_reader() {
    model(2, || {
        let cages: Vec<_> = (0..3).map(|_| Cage::new()).collect();
        let domain = Arc::new(Domain::try_new(1).expect("memory"));
        let value = Arc::new(Published::new(&domain, canary(&cages, 0)));
        let reader = {
            let (domain, value) = (domain.clone(), value.clone());
            thread::spawn(move || {
                let guard = domain.enter(0);
                value.load(&guard).expect("published").sings();
            })
        };
        let writer = {
            let (domain, value, cages) = (domain.clone(), value.clone(), cages.clone());
            thread::spawn(move || {
                drop(value.swap(canary(&cages, 1), &domain).free_after(&domain, thread::yield_now));
            })
        };
        drop(value.swap(canary(&cages, 2), &domain).free_after(&domain, thread::yield_now));
        reader.join().expect("no panic");
        writer.join().expect("no panic");
    });
}

/// A nested section on the same stripe, as a looped-back send makes, with the writer turning the phase in between.
#[test]
fn nested_sections() {
    model(3, || {
        let cages: Vec<_> = (0..2).map(|_| Cage::new()).collect();
        let domain = Arc::new(Domain::try_new(1).expect("memory"));
        let value = Arc::new(Published::new(&domain, canary(&cages, 0)));
        let reader = {
            let (domain, value) = (domain.clone(), value.clone());
            thread::spawn(move || {
                let outer = domain.enter(0);
                let seen = value.load(&outer).expect("published");
                let inner = domain.enter(0);
                value.load(&inner).expect("published").sings();
                drop(inner);
                seen.sings();
            })
        };
        drop(value.swap(canary(&cages, 1), &domain).free_after(&domain, thread::yield_now));
        reader.join().expect("no panic");
    });
}

/// What the writer wrote before publishing is visible to a reader of the new value, and what a reader wrote inside its
/// section is visible to the writer after the wait.
#[test]
fn both_directions_are_ordered() {
    model(3, || {
        let domain = Arc::new(Domain::try_new(1).expect("memory"));
        let value = Arc::new(Published::new(&domain, Some(try_box(AtomicUsize::new(0)).expect("memory"))));
        let reader = {
            let (domain, value) = (domain.clone(), value.clone());
            thread::spawn(move || {
                let guard = domain.enter(0);
                value.load(&guard).expect("published").fetch_add(1, Ordering::Relaxed)
            })
        };
        let old = value
            .swap(Some(try_box(AtomicUsize::new(10)).expect("memory")), &domain)
            .free_after(&domain, thread::yield_now)
            .expect("published");
        let in_old = old.load(Ordering::Relaxed);
        let before = reader.join().expect("no panic");
        let in_new = value.load(&domain.enter(0)).expect("published").load(Ordering::Relaxed);
        assert!(matches!((before, in_old, in_new), (0, 1, 10) | (10, 0, 11)), "{before} {in_old} {in_new}");
    });
}

/// The last of several owners frees, whoever it is, after everybody's use.
#[test]
fn shared_is_freed_after_its_last_use() {
    model(3, || {
        let cage = Cage::new();
        let first = Shared::try_new(Canary(cage)).expect("memory");
        let other = {
            let mine = first.clone();
            thread::spawn(move || {
                let again = mine.clone();
                drop(mine);
                again.sings();
            })
        };
        first.sings();
        drop(first);
        other.join().expect("no panic");
    });
}

/// How a stream's receive is posted (nt's `Intake::post`): whoever finds the state idle takes a buffer from the queue, and one who found
/// none looks again, unless none is ready. A buffer that comes back at the same time is not forgotten; and nobody waits for a push that
/// has not ended, for the pusher may be what it interrupted: a loop that did would not end here either.
#[test]
fn a_buffer_that_comes_back_is_taken() {
    const IDLE: usize = 0;
    const POSTED: usize = 1;
    fn post(state: &AtomicUsize, free: &Queue<Box<u8>>) -> bool {
        while state.compare_exchange(IDLE, POSTED, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
            if free.pop().is_some() {
                return true;
            }
            state.store(IDLE, Ordering::SeqCst);
            loom::sync::atomic::fence(Ordering::SeqCst);
            if !free.is_ready() {
                return false;
            }
        }
        false
    }
    model(3, || {
        let shared = Arc::new((AtomicUsize::new(IDLE), Queue::try_new(2).expect("memory")));
        let other = {
            let shared = shared.clone();
            thread::spawn(move || {
                let (state, free) = &*shared;
                free.push(Box::new(1)).expect("room");
                loom::sync::atomic::fence(Ordering::SeqCst);
                post(state, free)
            })
        };
        let (state, free) = &*shared;
        let here = post(state, free);
        let there = other.join().expect("no panic");
        assert!(here != there, "the buffer was taken {} times", usize::from(here) + usize::from(there));
    });
}

/// Two producers overfill a queue of two while a consumer takes: nothing is lost or invented, and values are handed over
/// properly (they are boxed, so a torn hand-over would be a double free).
#[test]
fn queue_with_two_producers() {
    model(2, || {
        let queue = Arc::new(Queue::try_new(2).expect("memory"));
        let producers: Vec<_> = [[1usize, 2], [10, 20]]
            .into_iter()
            .map(|values| {
                let queue = queue.clone();
                thread::spawn(move || {
                    values
                        .into_iter()
                        .map(|v| if queue.push(try_box(v).expect("memory")).is_ok() { v } else { 0 })
                        .sum::<usize>()
                })
            })
            .collect();
        let mut taken = 0;
        for _ in 0..2 {
            taken += queue.pop().map_or(0, |v| *v);
        }
        let pushed: usize = producers.into_iter().map(|p| p.join().expect("no panic")).sum();
        while let Some(value) = queue.pop() {
            taken += *value;
        }
        assert_eq!(taken, pushed);
        assert!(queue.is_empty());
    });
}

/// Two consumers on a queue that laps: each value goes to exactly one of them, in order for each.
#[test]
fn queue_with_two_consumers() {
    model(2, || {
        let queue = Arc::new(Queue::try_new(2).expect("memory"));
        queue.push(try_box(1usize).expect("memory")).expect("room");
        queue.push(try_box(2usize).expect("memory")).expect("room");
        let consumer = {
            let queue = queue.clone();
            thread::spawn(move || {
                let first = queue.pop().map_or(0, |v| *v);
                let second = queue.pop().map_or(0, |v| *v);
                assert!(second == 0 || first < second, "{first} then {second}");
                first + second
            })
        };
        let mine = queue.pop().map_or(0, |v| *v);
        let third = if queue.push(try_box(4usize).expect("memory")).is_ok() { 4 } else { 0 };
        let theirs = consumer.join().expect("no panic");
        let mut left = 0;
        while let Some(value) = queue.pop() {
            left += *value;
        }
        assert_eq!(mine + theirs + left, 3 + third);
    });
}

/// A writer swaps two values and frees both after one wait; another writer's wait may serve the first.
#[test]
fn one_wait_for_two_values() {
    model(2, || {
        let cages: Vec<_> = (0..3).map(|_| Cage::new()).collect();
        let domain = Arc::new(Domain::try_new(1).expect("memory"));
        let values: Arc<Vec<_>> = Arc::new((0..2).map(|n| Published::new(&domain, canary(&cages, n))).collect());
        let reader = {
            let (domain, values) = (domain.clone(), values.clone());
            thread::spawn(move || {
                let guard = domain.enter(0);
                let seen = values[1].load(&guard);
                if let Some(first) = values[0].load(&guard) {
                    first.sings();
                }
                if let Some(second) = seen {
                    second.sings();
                }
            })
        };
        let waiter = {
            let domain = domain.clone();
            thread::spawn(move || domain.synchronize(thread::yield_now))
        };
        let retired: Vec<_> = values.iter().map(|value| value.swap(None, &domain)).collect();
        for value in retired {
            drop(value.free_after(&domain, thread::yield_now));
        }
        reader.join().expect("no panic");
        waiter.join().expect("no panic");
    });
}

/// Two writers on a latch, each trying once, and a reader: no mixture, no older generation after a newer.
#[test]
fn a_latch_is_never_a_mixture() {
    model(2, || {
        let latch = Arc::new(Latch::new([0, 0]));
        let writers: Vec<_> = [1, 2]
            .map(|n| {
                let latch = latch.clone();
                thread::spawn(move || latch.try_store([n, n + 10]))
            })
            .into();
        let mut last = 0;
        for _ in 0..2 {
            let ([a, b], generation) = latch.load();
            assert_eq!(b, if a == 0 { 0 } else { a + 10 }, "a mixture");
            assert!(generation >= last && (generation == 0) == (a == 0), "{generation} {a}");
            last = generation;
        }
        let stored = writers.into_iter().map(|writer| usize::from(writer.join().expect("no panic"))).sum::<usize>();
        assert!(stored >= 1, "both gave way");
        assert_eq!(latch.load().1, stored);
    });
}

/// A peer's endpoint and its flags, as the core uses them: after the last taking no float is untold, and what is told is where the
/// peer is.
#[test]
fn a_float_is_told() {
    model(2, || {
        let latch = Arc::new(Latch::new([0, 0]));
        let (peers, devices) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let batches: Vec<_> = [1, 2]
            .map(|n| {
                let (latch, peers, devices) = (latch.clone(), peers.clone(), devices.clone());
                thread::spawn(move || {
                    if latch.try_store([n, n]) {
                        peers.swap(true, Ordering::Release);
                        devices.swap(true, Ordering::Release);
                    }
                })
            })
            .into();
        let take =
            || (devices.swap(false, Ordering::Acquire) && peers.swap(false, Ordering::Acquire)).then(|| latch.load());
        let mut told = take();
        for batch in batches {
            batch.join().expect("no panic");
        }
        told = take().or(told);
        assert_eq!(told, Some(latch.load()), "userspace thinks the peer is elsewhere");
    });
}

/// A reader looks for a value while two others come, the index puts a slot before it, and one goes and is freed: what is there all
/// the while is found, from whatever slot, and nothing freed is read.
#[test]
fn an_index_grows_under_a_reader() {
    model(3, || {
        let cages: Vec<_> = (0..3).map(|_| Cage::new()).collect();
        let domain = Arc::new(Domain::try_new(1).expect("memory"));
        let index = Arc::new(Index::try_new(&domain, 1).expect("memory"));
        // Slot 1 is to stand before the upper half: between the first and the others.
        let keys = [1 << 62, 3 << 62, 5 << 61];
        let add = |n: usize| index.try_insert(keys[n], (n, Canary(cages[n].clone()))).expect("memory");
        add(1);
        let reader = {
            let (domain, index) = (domain.clone(), index.clone());
            thread::spawn(move || {
                let guard = domain.enter(0);
                index.find(keys[1], &guard, |(n, _)| *n == 1).expect("lost").1.sings();
                if let Some((_, first)) = index.find(keys[0], &guard, |_| true) {
                    first.sings();
                }
            })
        };
        add(0);
        add(2);
        let mut removed = Removed::new();
        assert!(index.remove(keys[0], &domain, &mut removed, |_| true));
        removed.free_after(&domain, thread::yield_now);
        reader.join().expect("no panic");
    });
}

/// Values go one after the other, and the slots with them, while a reader walks over all: it meets the one that stays, and nothing freed.
#[test]
fn an_index_shrinks_under_a_walk() {
    model(2, || {
        let cages: Vec<_> = (0..3).map(|_| Cage::new()).collect();
        let domain = Arc::new(Domain::try_new(1).expect("memory"));
        let index = Arc::new(Index::try_new(&domain, 1).expect("memory"));
        let keys = [1 << 62, 3 << 62, 5 << 61];
        for n in 0..3 {
            index.try_insert(keys[n], (n, Canary(cages[n].clone()))).expect("memory");
        }
        let reader = {
            let (domain, index) = (domain.clone(), index.clone());
            thread::spawn(move || {
                let guard = domain.enter(0);
                let (mut at, mut met) = (0, 0);
                while let Some((key, (n, canary))) = index.next(at, &guard) {
                    canary.sings();
                    (at, met) = (key + 1, met + usize::from(*n == 1));
                }
                assert_eq!(met, 1, "lost, or met twice");
            })
        };
        let mut removed = Removed::new();
        for n in [2, 0] {
            assert!(index.remove(keys[n], &domain, &mut removed, |_| true));
        }
        removed.free_after(&domain, thread::yield_now);
        reader.join().expect("no panic");
    });
}
