//! Live objects by kind: what a driver must have given back when it is unloaded, and what `QUERY objects` shows.
//!
//! A kind is a static beside the code that makes the objects:
//! `static SOCKET: objects::Kind = objects::Kind::new("wsk.socket");` then `SOCKET.add()` and `SOCKET.remove()`.

use crate::pool;
use crate::report::{Rule, record_of};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};

const LEAK: Rule =
    Rule::new("objects.leak", "WDK: DriverUnload must free what the driver acquired; Driver Verifier at unload");

static KINDS: Mutex<Vec<&'static Kind>> = Mutex::new(Vec::new());

/// One kind of object and the number of those alive.
#[derive(Debug)]
pub struct Kind {
    name: &'static str,
    leak_checked: bool,
    /// What is known of those alive, where they are no blocks of the pool.
    describe: Option<fn() -> Vec<String>>,
    /// The rule that a write to a freed one breaks, where that is not the pool's.
    after_free: Option<Rule>,
    live: AtomicI64,
    listed: AtomicBool,
}

/// As many objects of a kind a leak names.
const NAMED: usize = 8;

impl Kind {
    /// A kind whose objects the driver must have given back at unload.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self {
            name,
            leak_checked: true,
            describe: None,
            after_free: None,
            live: AtomicI64::new(0),
            listed: AtomicBool::new(false),
        }
    }

    /// A kind that the lab itself keeps: shown, not checked.
    #[must_use]
    pub const fn of_lab(name: &'static str) -> Self {
        Self {
            name,
            leak_checked: false,
            describe: None,
            after_free: None,
            live: AtomicI64::new(0),
            listed: AtomicBool::new(false),
        }
    }

    /// With what tells who made the objects that are alive, for a kind whose objects are no blocks of `pool::alloc_lab`.
    #[must_use]
    pub const fn described(mut self, describe: fn() -> Vec<String>) -> Self {
        self.describe = Some(describe);
        self
    }

    /// With a rule of its own for a write to a freed block of this kind.
    #[must_use]
    pub const fn written_after_free(mut self, rule: Rule) -> Self {
        self.after_free = Some(rule);
        self
    }

    /// The rule that a write to a freed block breaks, where the kind has its own.
    pub(crate) const fn after_free(&self) -> Option<Rule> {
        self.after_free
    }

    /// Whether the driver must have given its objects back at unload.
    #[must_use]
    pub(crate) const fn leak_checked(&self) -> bool {
        self.leak_checked
    }

    /// Its name, `family.object`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Counts one more.
    pub fn add(&'static self) {
        self.live.fetch_add(1, Ordering::Relaxed);
        if !self.listed.load(Ordering::Relaxed) && !self.listed.swap(true, Ordering::Relaxed) {
            KINDS.lock().unwrap_or_else(PoisonError::into_inner).push(self);
        }
    }

    /// Counts one less.
    pub fn remove(&'static self) {
        self.live.fetch_sub(1, Ordering::Relaxed);
    }

    /// Number alive.
    #[must_use]
    pub fn live(&self) -> i64 {
        self.live.load(Ordering::Relaxed)
    }
}

/// `kind count` a line, sorted: the answer to `QUERY objects`.
#[must_use]
pub fn listing() -> String {
    let mut lines: Vec<String> = KINDS
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .iter()
        .filter(|k| k.live() != 0)
        .map(|k| format!("{} {}\n", k.name, k.live()))
        .collect();
    lines.sort();
    lines.concat()
}

/// At unload: a violation for each kind that the driver has not given back.
pub fn check_leaks() {
    let kinds: Vec<&'static Kind> = KINDS.lock().unwrap_or_else(PoisonError::into_inner).clone();
    for k in kinds.iter().filter(|k| k.leak_checked && k.live() != 0) {
        let mut who = k.describe.map_or_else(|| pool::live_of(k), |f| f());
        let more = who.len().saturating_sub(NAMED);
        who.truncate(NAMED);
        let mut object = who.join("; ");
        if more != 0 {
            object += &format!("; and {more} more");
        }
        record_of(LEAK, &object, &format!("{} {} object(s) alive after unload", k.live(), k.name));
    }
}
