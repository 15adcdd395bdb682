//! The watch: a thread of its own that moves virtual time, and takes the baton from who sleeps with it.

use super::{HOG, STATE, lock};
use crate::ke::time;
use std::fs;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::time::Duration;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(1);
/// Virtual time jumps when nobody has run for so long: what is on its way through the host (a packet on loopback) gets there before.
const GRACE: Duration = Duration::from_millis(5);
/// A holder that makes no step for so long is looked at.
const SUSPECT: Duration = Duration::from_millis(20);
/// A replay that stands still for so long will not go on.
const STUCK: Duration = Duration::from_secs(60);

/// Says whether time may jump: whether nobody outside who thinks is waited for.
static MAY_JUMP: AtomicPtr<()> = AtomicPtr::new(std::ptr::null_mut());

/// Sets what is asked before virtual time jumps.
pub fn ask_before_jump(f: fn() -> bool) {
    MAY_JUMP.store(f as *mut (), Ordering::Release);
}

fn may_jump() -> bool {
    let f = MAY_JUMP.load(Ordering::Acquire);
    if f.is_null() {
        return true;
    }
    // SAFETY: only ask_before_jump stores here, a function of this type.
    unsafe { std::mem::transmute::<*mut (), fn() -> bool>(f)() }
}

/// Whether the thread sleeps in the host.
fn asleep(task: i32) -> bool {
    // `PID (NAME) STATE ...`; the name may have any character.
    fs::read_to_string(format!("/proc/self/task/{task}/stat"))
        .is_ok_and(|s| s.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('S')))
}

pub(super) fn start() {
    let run = || {
        let mut suspect = None;
        loop {
            std::thread::sleep(LOOK);
            look(&mut suspect);
        }
    };
    if let Err(e) = std::thread::Builder::new().name("lab-watch".to_owned()).spawn(run) {
        eprintln!("dco-lab: no thread for the watch: {e}");
        std::process::abort();
    }
}

fn look(suspect: &mut Option<u64>) {
    // Asked without the lock: the answer needs locks under which threads come here.
    let may_jump = time::is_virtual() && may_jump();
    let Ok(mut s) = STATE.lock() else { return };
    let quiet = s.since.map_or(Duration::ZERO, |t| t.elapsed());
    let Some(holder) = s.holder else {
        *suspect = None;
        if let Some(to) = s.log.clock() {
            s.jump(time::Moment::from_units(to));
        } else if may_jump && quiet >= GRACE && !s.log.replays() {
            if let Some(to) = s.earliest() {
                s.jump(to);
            }
        } else if quiet >= STUCK && s.log.replays() {
            let step = s.step + 1;
            s.log.stuck(step, "nothing has run for a minute");
        }
        return;
    };
    if quiet < SUSPECT {
        *suspect = None;
        return;
    }
    let (task, step) = (s.member(holder).task, s.step);
    drop(s);
    let sleeps = task != 0 && asleep(task);
    if suspect.replace(step) != Some(step) || !(sleeps || quiet >= HOG) {
        return;
    }
    let mut s = lock();
    if s.holder != Some(holder) || s.step != step || (!sleeps && s.candidates().is_empty()) {
        return;
    }
    eprintln!(
        "dco-lab: {} keeps the baton and {} after step {step}",
        s.member(holder).name,
        if sleeps { "sleeps" } else { "spins" }
    );
    s.set(holder, super::Condition::Outside);
    s.pass("watch");
}
