//! A schedule in a file: one line a step, `STEP THREAD WHAT NEXT`, and `clock MOMENT` where virtual time jumped.
//!
//! A line says that THREAD passed the baton on at WHAT, and NEXT took it, at once or later. Replaying compares each step's thread and place with the file's before it
//! makes the same choice; where they differ the run diverged, and the lab says so and ends with [`EXIT_DIVERGED`].

use crate::report::exit_now;
use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::path::Path;

/// Exit status of a run that did not go as the file says.
pub const EXIT_DIVERGED: i32 = 72;

const HEADER: &str = "dco-lab schedule 1";

/// What comes next by the file.
pub(super) enum Next {
    /// The file is at its end, or none is replayed.
    Free,
    /// This thread goes on.
    Thread(String),
    /// Nobody: the clock jumps first.
    Clock,
}

#[derive(Debug)]
enum Line {
    Step { from: String, what: String, to: String },
    Clock(i64),
}

/// Files of this run.
#[derive(Debug)]
pub(super) struct Log {
    record: Option<File>,
    replay: Option<VecDeque<Line>>,
}

fn parse(line: &str) -> Option<Line> {
    let mut w = line.split('\t');
    let first = w.next()?;
    if first == "clock" {
        return w.next()?.parse().ok().map(Line::Clock);
    }
    let _: u64 = first.parse().ok()?;
    Some(Line::Step { from: w.next()?.to_owned(), what: w.next()?.to_owned(), to: w.next()?.to_owned() })
}

fn diverged(step: u64, text: &str) -> ! {
    eprintln!("dco-lab: the replay diverged at step {step}: {text}");
    exit_now(EXIT_DIVERGED)
}

impl Log {
    pub(super) const fn none() -> Self {
        Self { record: None, replay: None }
    }

    pub(super) fn open(record: Option<&Path>, replay: Option<&Path>) -> Result<Self, String> {
        let replay = match replay {
            None => None,
            Some(p) => {
                let text = std::fs::read_to_string(p).map_err(|e| format!("{}: {e}", p.display()))?;
                let mut lines = text.lines();
                if lines.next() != Some(HEADER) {
                    return Err(format!("{} is no schedule", p.display()));
                }
                let parsed: Option<VecDeque<Line>> = lines.map(parse).collect();
                Some(parsed.ok_or_else(|| format!("{} has a line that is no step", p.display()))?)
            }
        };
        let mut record = match record {
            None => None,
            Some(p) => Some(File::create(p).map_err(|e| format!("{}: {e}", p.display()))?),
        };
        if let Some(f) = &mut record {
            writeln!(f, "{HEADER}").map_err(|e| e.to_string())?;
        }
        Ok(Self { record, replay })
    }

    pub(super) const fn replays(&self) -> bool {
        self.replay.is_some()
    }

    /// Holds step `step`, taken by `from` at `what`, against the file.
    pub(super) fn expect(&mut self, step: u64, from: &str, what: &str) -> Next {
        let Some(replay) = &self.replay else { return Next::Free };
        let (expected, next) = match replay.front() {
            None => {
                self.replay = None;
                eprintln!("dco-lab: the replay is at its end before step {step}; choices are the seed's from here");
                return Next::Free;
            }
            Some(Line::Clock(_)) => return Next::Clock,
            Some(Line::Step { from, what, to }) => ((from.as_str(), what.as_str()), to.clone()),
        };
        if expected != (from, what) {
            diverged(step, &format!("expected {} at {}, came {from} at {what}", expected.0, expected.1));
        }
        Next::Thread(next)
    }

    /// A step was taken.
    pub(super) fn took(&mut self, step: u64, from: &str, what: &str, to: &str) {
        if let Some(r) = &mut self.replay {
            r.pop_front();
        }
        self.write(&format!("{step}\t{from}\t{what}\t{to}\n"));
    }

    /// The moment that the clock jumps to next, by the file.
    pub(super) fn clock(&self) -> Option<i64> {
        match self.replay.as_ref().and_then(VecDeque::front) {
            Some(Line::Clock(m)) => Some(*m),
            _ => None,
        }
    }

    /// The clock has jumped.
    pub(super) fn jumped(&mut self, to: i64) {
        if let Some(r) = &mut self.replay {
            r.pop_front();
        }
        self.write(&format!("clock\t{to}\n"));
    }

    fn write(&mut self, line: &str) {
        if let Some(f) = &mut self.record
            && let Err(e) = f.write_all(line.as_bytes())
        {
            eprintln!("dco-lab: the schedule cannot be written: {e}");
            self.record = None;
        }
    }

    /// Who is waited for, by the file, for the report of a run that stands still.
    pub(super) fn stuck(&self, step: u64, holds: &str) -> ! {
        let next = match self.replay.as_ref().and_then(VecDeque::front) {
            Some(Line::Step { from, what, to }) => format!("expected {to} to go on after {from} at {what}"),
            Some(Line::Clock(m)) => format!("expected the clock to jump to {m}"),
            None => "expected nothing".to_owned(),
        };
        diverged(step, &format!("{next}; it cannot: {holds}"))
    }
}
