//! The order in which spin locks are taken: a graph of what was acquired while what was held, as Driver Verifier's deadlock
//! detection keeps it. An acquisition that closes a circle could deadlock with the one that opened it, whether or not it does now.

use crate::report::{Origin, Rule, stop_about};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

const ORDER: Rule = Rule::new(
    "spinlock.order",
    "Driver Verifier deadlock detection 0xC4/0x1001: two locks are acquired in one order here, in the other there",
);

/// By lock, what was acquired while it was held, and by which call the first time.
type Graph = BTreeMap<usize, BTreeMap<usize, Origin>>;

static GRAPH: Mutex<Graph> = Mutex::new(Graph::new());
/// Counts what was forgotten: what a thread remembers from before may not hold any more.
static EPOCH: AtomicU64 = AtomicU64::new(0);
/// Bits of the pages that have held a lock of the graph, by the page's number: to free memory elsewhere takes no lock.
static PAGES: [AtomicU64; 64] = [const { AtomicU64::new(0) }; 64];
/// Pages beyond which a block is looked for in the graph without a look at the bits.
const MANY: usize = 64;
/// Edges that a thread remembers to be in the graph, so that to nest the same locks again takes no lock.
const KNOWN: usize = 64;

struct Known {
    epoch: u64,
    edges: [(usize, usize); KNOWN],
}

thread_local! {
    static SEEN: RefCell<Known> = const { RefCell::new(Known { epoch: 0, edges: [(0, 0); KNOWN] }) };
}

fn graph() -> MutexGuard<'static, Graph> {
    GRAPH.lock().unwrap_or_else(PoisonError::into_inner)
}

fn place(held: usize, lock: usize) -> usize {
    ((held >> 3) ^ (lock >> 3).wrapping_mul(0x9E37_79B9)) % KNOWN
}

fn page_bit(page: usize) -> (&'static AtomicU64, u64) {
    (&PAGES[(page >> 6) % 64], 1 << (page & 63))
}

/// `lock` is about to be acquired by a thread that holds these. Stops the lab where that closes a circle.
pub fn acquiring(held: &[usize], lock: usize) {
    if held.is_empty() || held.contains(&lock) {
        return;
    }
    SEEN.with_borrow_mut(|seen| {
        let epoch = EPOCH.load(Ordering::Acquire);
        if seen.epoch != epoch {
            *seen = Known { epoch, edges: [(0, 0); KNOWN] };
        }
        for &h in held {
            let Some(known) = seen.edges.get_mut(place(h, lock)) else { continue };
            if *known != (h, lock) {
                add(h, lock);
                *known = (h, lock);
            }
        }
    });
}

fn add(held: usize, lock: usize) {
    let mut g = graph();
    if g.get(&held).is_some_and(|after| after.contains_key(&lock)) {
        return;
    }
    if let Some(way) = path(&g, lock, held) {
        drop(g);
        stop_about(
            ORDER,
            lock,
            &format!("lock {lock:#x} is acquired while {held:#x} is held; the other way round before: {way}"),
        );
    }
    for l in [held, lock] {
        let (word, bit) = page_bit(l >> 12);
        word.fetch_or(bit, Ordering::Relaxed);
    }
    g.entry(held).or_default().insert(lock, Origin::here());
}

/// A way from one lock to another over what was acquired while the one before was held.
fn path(g: &Graph, from: usize, to: usize) -> Option<String> {
    let mut seen = BTreeSet::from([from]);
    let mut open = vec![(from, String::new())];
    while let Some((at, way)) = open.pop() {
        for (&next, by) in g.get(&at).into_iter().flatten() {
            let way =
                format!("{way}{}{next:#x} while {at:#x} was held, by {by}", if way.is_empty() { "" } else { ", " });
            if next == to {
                return Some(way);
            }
            if seen.insert(next) {
                open.push((next, way));
            }
        }
    }
    None
}

/// Forgets the locks in memory that is freed or initialised: what comes to lie there is another lock.
pub fn forget(start: usize, size: usize) {
    let (first, last) = (start >> 12, (start + size.max(1) - 1) >> 12);
    let marked = |page| {
        let (word, bit) = page_bit(page);
        word.load(Ordering::Relaxed) & bit != 0
    };
    if last - first < MANY && !(first..=last).any(marked) {
        return;
    }
    let end = start + size;
    let mut g = graph();
    let gone: Vec<usize> = g.range(start..end).map(|e| *e.0).collect();
    let mut changed = !gone.is_empty();
    for l in gone {
        g.remove(&l);
    }
    for after in g.values_mut() {
        let before = after.len();
        after.retain(|l, _| !(start..end).contains(l));
        changed |= after.len() != before;
    }
    if changed {
        EPOCH.fetch_add(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_circle_is_found_over_any_number_of_locks_and_forgotten_with_its_memory() {
        let mut g = Graph::new();
        for (a, b) in [(0x10, 0x20), (0x20, 0x30), (0x30, 0x40), (0x20, 0x50)] {
            g.entry(a).or_default().insert(b, Origin::NONE);
        }
        assert!(path(&g, 0x10, 0x40).is_some_and(|w| w.contains("0x30 while 0x20")));
        assert_eq!(path(&g, 0x40, 0x10), None);
        assert_eq!(path(&g, 0x50, 0x40), None);
        let base = 0x7000_0000_1000;
        acquiring(&[base], base + 8);
        assert!(graph().contains_key(&base));
        forget(base + 8, 8);
        assert!(path(&graph(), base, base + 8).is_none());
        // The other order is another lock's by this time.
        acquiring(&[base + 8], base);
        forget(base, 16);
    }
}
