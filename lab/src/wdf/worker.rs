//! Threads of the framework's own: some at PASSIVE_LEVEL for what must not run where the caller stands, some at
//! DISPATCH_LEVEL for DPCs.

use super::object::lock;
use crate::irql;
use crate::ke::sched::Condvar;
use std::collections::VecDeque;
use std::sync::{Mutex, Once};

type Job = Box<dyn FnOnce() + Send>;

struct State {
    jobs: VecDeque<Job>,
    busy: usize,
}

struct Pool {
    name: &'static str,
    dispatch: bool,
    threads: usize,
    state: Mutex<State>,
    ready: Condvar,
    idle: Condvar,
    start: Once,
}

impl Pool {
    const fn new(name: &'static str, dispatch: bool, threads: usize) -> Self {
        Self {
            name,
            dispatch,
            threads,
            state: Mutex::new(State { jobs: VecDeque::new(), busy: 0 }),
            ready: Condvar::new(),
            idle: Condvar::new(),
            start: Once::new(),
        }
    }

    fn serve(&self) {
        loop {
            let job = {
                let mut s = lock(&self.state);
                loop {
                    if let Some(j) = s.jobs.pop_front() {
                        s.busy += 1;
                        break j;
                    }
                    s = self.ready.wait(&self.state, s);
                }
            };
            if self.dispatch {
                irql::at(irql::DISPATCH, job)
            } else {
                job()
            }
            let mut s = lock(&self.state);
            s.busy -= 1;
            if s.busy == 0 && s.jobs.is_empty() {
                self.idle.notify_all();
            }
        }
    }

    fn run(&'static self, job: Job) {
        self.start.call_once(|| {
            for i in 0..self.threads {
                crate::ke::spawn_or_abort(&format!("{}-{i}", self.name), move || self.serve());
            }
        });
        lock(&self.state).jobs.push_back(job);
        self.ready.notify_one();
    }

    fn quiesce(&self) {
        let mut s = lock(&self.state);
        while s.busy != 0 || !s.jobs.is_empty() {
            s = self.idle.wait(&self.state, s);
        }
    }
}

// More than one thread, because a job may wait for another one.
static WORK: Pool = Pool::new("wdf-work", false, 6);
static DPCS: Pool = Pool::new("wdf-dpc", true, 2);

std::thread_local! {
    static MINE: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Runs `f` at PASSIVE_LEVEL on a thread of the framework's.
pub fn run(f: impl FnOnce() + Send + 'static) {
    WORK.run(Box::new(|| {
        MINE.set(true);
        f();
        MINE.set(false);
    }));
}

/// Runs `f` at DISPATCH_LEVEL on a thread of the framework's.
pub fn run_at_dispatch(f: impl FnOnce() + Send + 'static) {
    DPCS.run(Box::new(f));
}

/// Waits until nothing is queued or running. From a job of [`run`] it returns at once.
pub fn quiesce() {
    if !MINE.get() && irql::current() == irql::PASSIVE {
        DPCS.quiesce();
        WORK.quiesce();
    }
}
