//! The seeded scheduler: of the lab's threads that run driver code, one runs at a time, the holder of the baton.
//!
//! It may pass on at each scheduling point: entry and return of the lab's calls, contended locks, waits, and the moments when a DPC,
//! timer, work or queue thread looks for work. Who is next is drawn by a generator from `--schedule SEED` among the threads that can
//! run. A thread that leaves for the host (a socket, a TUN device) gives the baton up and, when it is back, is let in once nothing
//! else can run, or after [`PATIENCE`] steps: inputs come in at the quietest moment, so that where they come one at a time one
//! seed means one interleaving. `log` writes every choice down and repeats it.
//!
//! Nobody waits for the baton with a lock of the lab's held: a scheduling point stands where none is. If a thread sleeps in the host all
//! the same, or computes for [`HOG`] on end, the watch takes the baton from it, which is noted in the log and cannot be
//! replayed faithfully.
//!
//! Off, which is the default, each function here costs one load.

mod log;
mod sync;
mod watch;

pub use sync::{Condvar, sleep};
pub use watch::ask_before_jump;

use super::time::{self, Moment};
use log::Log;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar as HostCondvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Steps after which a thread that is back from the host is let in although others can run.
const PATIENCE: u64 = 1000;
/// A holder that passes no scheduling point for so long while others could run is taken to spin.
const HOG: Duration = Duration::from_secs(5);

static ON: AtomicBool = AtomicBool::new(false);
static STATE: Mutex<State> = Mutex::new(State::new());

thread_local! {
    static ME: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// How a run is scheduled.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Seed of the choices.
    pub seed: u64,
    /// Where the choices are written.
    pub record: Option<String>,
    /// Whose choices are repeated.
    pub replay: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    /// Can run.
    Ready,
    /// Waits until the key is woken, or for the deadline.
    Waiting { key: usize, since: u64, deadline: Option<Moment> },
    /// Found a lock held: can run again once another thread has made a step.
    Spinning,
    /// In the host.
    Outside,
    /// Back from the host, or its deadline has passed, since this step.
    Back(u64),
    /// Ended.
    Gone,
}

struct Member {
    name: String,
    /// The host's number, once the thread runs.
    task: i32,
    condition: Condition,
    timed_out: bool,
    parker: Arc<Parker>,
}

#[derive(Default)]
struct Parker {
    go: Mutex<bool>,
    changed: HostCondvar,
}

struct State {
    members: Vec<Member>,
    /// Those that have not ended, in the order they were made.
    live: Vec<usize>,
    /// Threads made so far by name: a thread is called NAME.N.
    names: BTreeMap<String, usize>,
    holder: Option<usize>,
    step: u64,
    sequence: u64,
    random: u64,
    /// The holder goes on at a point with `stay - 1` chances in `stay`; else it is drawn like the others.
    stay: u64,
    /// Nobody runs: who laid the baton down, and where.
    laid: Option<(String, String)>,
    log: Log,
    /// When the holder last passed a point, or the baton was laid down.
    since: Option<Instant>,
}

fn lock() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether threads are scheduled.
#[must_use]
pub fn on() -> bool {
    ON.load(Ordering::Relaxed)
}

/// Whether this thread is: threads that run no driver code are not.
fn attached() -> bool {
    on() && ME.get() != usize::MAX
}

/// Turns scheduling on; the caller is the first thread and holds the baton. Before the driver is loaded.
///
/// # Errors
/// A sentence about a file that cannot be written or read.
pub fn start(options: &Options) -> Result<(), String> {
    let mut s = lock();
    s.log = Log::open(options.record.as_deref().map(Path::new), options.replay.as_deref().map(Path::new))?;
    // SplitMix64 has no bad seeds.
    s.random = options.seed;
    // Some races need many changes, some a thread that stands still for long: seeds differ in that, too.
    s.stay = 2 << (2 * (options.seed % 4));
    let me = s.add("main");
    s.begin(me);
    s.holder = Some(me);
    s.since = Some(Instant::now());
    ME.set(me);
    drop(s);
    ON.store(true, Ordering::SeqCst);
    watch::start();
    Ok(())
}

/// A place among the threads for one that the caller is about to make; none when scheduling is off.
#[must_use]
pub(super) fn announce(name: &str) -> Option<usize> {
    on().then(|| lock().add(name))
}

/// The thread could not be made.
pub(super) fn withdraw(place: Option<usize>) {
    if let Some(m) = place {
        lock().set(m, Condition::Gone);
    }
}

/// The life of an announced thread: waits for its turn, and passes the baton on at the end.
pub(super) struct Life(bool);

impl Life {
    pub(super) fn begin(place: Option<usize>) -> Self {
        let Some(me) = place else { return Self(false) };
        ME.set(me);
        let parker = {
            let mut s = lock();
            s.begin(me);
            Arc::clone(&s.member(me).parker)
        };
        parker.wait();
        Self(true)
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        if self.0 {
            let me = ME.replace(usize::MAX);
            let mut s = lock();
            s.set(me, Condition::Gone);
            if s.holder == Some(me) {
                s.pass("end");
            }
        }
    }
}

impl Parker {
    fn wait(&self) {
        let mut go = self.go.lock().unwrap_or_else(PoisonError::into_inner);
        while !*go {
            go = self.changed.wait(go).unwrap_or_else(PoisonError::into_inner);
        }
        *go = false;
    }

    /// Waits until `deadline`; whether the turn came before it.
    fn wait_until(&self, deadline: Moment) -> bool {
        let mut go = self.go.lock().unwrap_or_else(PoisonError::into_inner);
        while !*go {
            let left = deadline.left();
            if left.is_zero() {
                return false;
            }
            go = self.changed.wait_timeout(go, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        *go = false;
        true
    }

    fn wake(&self) {
        *self.go.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_one();
    }
}

impl State {
    const fn new() -> Self {
        Self {
            members: Vec::new(),
            live: Vec::new(),
            names: BTreeMap::new(),
            holder: None,
            step: 0,
            sequence: 0,
            random: 0,
            stay: 2,
            laid: None,
            log: Log::none(),
            since: None,
        }
    }

    fn add(&mut self, name: &str) -> usize {
        let n = self.names.entry(name.to_owned()).or_default();
        *n += 1;
        self.members.push(Member {
            name: format!("{name}.{n}"),
            task: 0,
            condition: Condition::Ready,
            timed_out: false,
            parker: Arc::default(),
        });
        let me = self.members.len() - 1;
        self.live.push(me);
        if self.holder.is_none() && on() {
            // Made by a thread that is not scheduled, while nothing runs.
            self.pass("idle");
        }
        me
    }

    fn begin(&mut self, me: usize) {
        // SAFETY: gettid has no preconditions.
        let task = unsafe { libc::gettid() };
        if let Some(m) = self.members.get_mut(me) {
            m.task = task;
        }
    }

    fn member(&self, m: usize) -> &Member {
        // Numbers come from `add`, and members stay.
        &self.members[m]
    }

    fn set(&mut self, m: usize, condition: Condition) {
        if condition == Condition::Gone {
            self.live.retain(|&l| l != m);
        }
        if let Some(m) = self.members.get_mut(m) {
            m.condition = condition;
        }
    }

    /// The threads that have not ended, with their numbers.
    fn alive(&self) -> impl Iterator<Item = (usize, &Member)> {
        self.live.iter().map(|&i| (i, self.member(i)))
    }

    fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut x = self.random;
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        x ^ (x >> 31)
    }

    fn all(&self, wanted: impl Fn(Condition) -> bool) -> Vec<usize> {
        self.alive().filter(|(_, m)| wanted(m.condition)).map(|(i, _)| i).collect()
    }

    /// Who could be chosen: those that are ready; else those that spin; else who is back for longest.
    fn candidates(&self) -> Vec<usize> {
        let back = |limit: u64| {
            let oldest = self
                .alive()
                .filter_map(|(i, m)| if let Condition::Back(s) = m.condition { Some((s, i)) } else { None })
                .filter(|&(s, _)| self.step.saturating_sub(s) >= limit)
                .min();
            oldest.map(|(_, i)| i)
        };
        let mut ready = self.all(|c| c == Condition::Ready);
        ready.extend(back(PATIENCE));
        if ready.is_empty() {
            ready.extend(back(0));
        }
        if ready.is_empty() {
            ready = self.all(|c| c == Condition::Spinning);
        }
        ready
    }

    /// The holder (or nobody) is at `what`: chooses who runs next and wakes it. True when the holder goes on itself.
    fn pass(&mut self, what: &str) -> bool {
        let from = self.holder.take();
        self.since = Some(Instant::now());
        let (name, place) = match self.laid.take() {
            Some(l) if from.is_none() => l,
            _ => (from.map_or_else(|| "-".to_owned(), |f| self.member(f).name.clone()), what.to_owned()),
        };
        let next = match self.log.expect(self.step + 1, &name, &place) {
            log::Next::Free => self.choose(from),
            log::Next::Clock => None,
            log::Next::Thread(to) => {
                let can =
                    |m: &Member| matches!(m.condition, Condition::Ready | Condition::Spinning | Condition::Back(_));
                // Who is still in the host is waited for.
                self.alive().find(|(_, m)| m.name == to && can(m)).map(|(i, _)| i)
            }
        };
        let Some(next) = next else {
            self.laid = Some((name, place));
            return false;
        };
        self.step += 1;
        let to = self.member(next).name.clone();
        self.log.took(self.step, &name, &place, &to);
        self.holder = Some(next);
        self.set(next, Condition::Ready);
        for m in self.all(|c| c == Condition::Spinning) {
            self.set(m, Condition::Ready);
        }
        if from == Some(next) {
            return true;
        }
        self.member(next).parker.wake();
        false
    }

    fn choose(&mut self, from: Option<usize>) -> Option<usize> {
        let all = self.candidates();
        if let Some(f) = from
            && all.contains(&f)
            && !self.next_random().is_multiple_of(self.stay)
        {
            return Some(f);
        }
        let n = u64::try_from(all.len()).ok().filter(|&n| n != 0)?;
        let i = usize::try_from(self.next_random() % n).unwrap_or(0);
        all.get(i).copied()
    }

    /// Something changed while nobody ran.
    fn stir(&mut self) {
        if self.holder.is_none() {
            self.pass("idle");
        }
    }
}

/// Passes the baton on at `what`, the thread's condition being set, and waits for it. Whether its deadline ended a wait.
fn leave(me: usize, what: &str, deadline: Option<Moment>) -> bool {
    let parker = {
        let mut s = lock();
        if s.holder == Some(me) {
            if s.pass(what) {
                return false;
            }
        } else if matches!(s.member(me).condition, Condition::Ready | Condition::Spinning | Condition::Outside) {
            // The watch had taken the baton: this thread is back.
            let step = s.step;
            s.set(me, Condition::Back(step));
            s.stir();
        }
        Arc::clone(&s.member(me).parker)
    };
    match deadline.filter(|_| !time::is_virtual()) {
        Some(d) => {
            if !parker.wait_until(d) {
                let mut s = lock();
                if matches!(s.member(me).condition, Condition::Waiting { .. }) {
                    let step = s.step;
                    s.expire(me, Condition::Back(step));
                    s.stir();
                }
                drop(s);
                parker.wait();
            }
        }
        None => parker.wait(),
    }
    lock().member(me).timed_out
}

impl State {
    /// The member's deadline has passed.
    fn expire(&mut self, m: usize, condition: Condition) {
        if let Some(m) = self.members.get_mut(m) {
            m.condition = condition;
            m.timed_out = true;
        }
    }

    /// Virtual time goes to `to`, which ends the waits until then.
    fn jump(&mut self, to: Moment) {
        time::set_virtual(to);
        self.log.jumped(to.units());
        let due = self.all(|c| matches!(c, Condition::Waiting { deadline: Some(d), .. } if d <= to));
        for m in due {
            self.expire(m, Condition::Ready);
        }
        self.stir();
    }

    /// The first moment that somebody waits for.
    fn earliest(&self) -> Option<Moment> {
        let deadline = |m: &Member| match m.condition {
            Condition::Waiting { deadline, .. } => deadline,
            _ => None,
        };
        self.alive().filter_map(|(_, m)| deadline(m)).min()
    }
}

/// A scheduling point: another thread may run before this returns. The caller holds no lock of the lab's.
pub fn point(what: &'static str) {
    if attached() {
        leave(ME.get(), what, None);
    }
}

/// The caller found a lock held: another thread runs first, where one can. True when scheduling is on.
pub fn spin() -> bool {
    let attached = attached();
    if attached {
        let me = ME.get();
        {
            let mut s = lock();
            if s.holder == Some(me) {
                s.set(me, Condition::Spinning);
            }
        }
        leave(me, "spin", None);
    }
    attached
}

/// Waits for [`wake`] of `key`, or for the deadline: whether that passed first. Only on a thread that [`schedules_me`]. A wake-up after
/// this call has begun is not lost; `release` then lets go of what guards the condition waited for.
pub(super) fn wait(key: usize, what: &'static str, deadline: Option<Moment>, release: impl FnOnce()) -> bool {
    let me = ME.get();
    {
        let mut s = lock();
        s.sequence += 1;
        let since = s.sequence;
        if let Some(m) = s.members.get_mut(me) {
            m.condition = Condition::Waiting { key, since, deadline };
            m.timed_out = false;
        }
    }
    release();
    leave(me, what, deadline)
}

/// Whether [`wait`] can be used here.
pub(super) fn schedules_me() -> bool {
    attached()
}

/// Ends the wait of the thread that has waited longest on `key`, or of all.
pub(super) fn wake(key: usize, all: bool) {
    if !on() {
        return;
    }
    let mut s = lock();
    let mut waiting: Vec<(u64, usize)> = s
        .alive()
        .filter_map(|(i, m)| match m.condition {
            Condition::Waiting { key: k, since, .. } if k == key => Some((since, i)),
            _ => None,
        })
        .collect();
    waiting.sort_unstable();
    for (_, m) in waiting.into_iter().take(if all { usize::MAX } else { 1 }) {
        s.set(m, Condition::Ready);
    }
    s.stir();
}

/// Runs `f`, which may block in the host, without the baton. `f` runs no driver code and passes no scheduling point.
pub fn outside<R>(what: &'static str, f: impl FnOnce() -> R) -> R {
    if !attached() {
        return f();
    }
    let me = ME.get();
    {
        let mut s = lock();
        s.set(me, Condition::Outside);
        if s.holder == Some(me) {
            s.pass(what);
        }
    }
    let r = f();
    let parker = {
        let mut s = lock();
        let step = s.step;
        s.set(me, Condition::Back(step));
        s.stir();
        Arc::clone(&s.member(me).parker)
    };
    parker.wait();
    r
}

/// Ends the schedule's file: what comes after the unload depends on how fast the process ends.
pub fn end_log() {
    if on() {
        lock().log = Log::none();
    }
}

/// Polls without the baton, also where something is ready already: whether it is may depend on the host.
pub fn poll(what: &'static str, fds: &mut [libc::pollfd], timeout_ms: i32) -> i32 {
    let count = libc::nfds_t::try_from(fds.len()).unwrap_or(0);
    // SAFETY: the slice is ours for the call.
    outside(what, || unsafe { libc::poll(fds.as_mut_ptr(), count, timeout_ms) })
}
