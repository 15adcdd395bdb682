//! Virtual time: `drivers/race` waits for hours.

mod client;
mod cross;

use client::{IOCTL, Lab, QUERY, words};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

const HOURS: u32 = 0x22_2004;
const ALARM: u32 = 0x22_2008;
const SECOND: i64 = 10_000_000;
const HOUR: i64 = 3600 * SECOND;

fn sys() -> &'static Path {
    static SYS: OnceLock<PathBuf> = OnceLock::new();
    SYS.get_or_init(cross::race)
}

/// Interrupt time, unbiased interrupt time, system time.
fn clock(text: &str) -> [i64; 3] {
    let values: Vec<i64> =
        text.lines().map(|l| l.rsplit(' ').next().expect("a word").parse().expect("a number")).collect();
    values.try_into().expect("three clocks")
}

#[test]
fn an_hourly_timer_fires_a_thousand_times_in_a_blink() {
    let mut lab = Lab::start(sys(), "hours", &["--time", "virtual"]).open(r"\??\lab-race");
    let before = clock(&lab.query("clock"));
    // Nobody waits: time stands still.
    assert_eq!(clock(&lab.query("clock")), before);
    let (status, _, out) = lab.ioctl(HOURS, 4, &u32::to_le_bytes(1000));
    assert_eq!((status, words(&out)), (0, vec![1000]));
    let after = clock(&lab.query("clock"));
    for (b, a) in before.iter().zip(after) {
        assert_eq!(a - b, 1000 * HOUR);
    }
    lab.close();
    let (code, text) = lab.stop();
    assert_eq!(code, 0, "{text}");
}

#[test]
fn a_machine_that_sleeps_is_late() {
    for options in [&[][..], &["--time", "virtual"]] {
        let mut lab = Lab::start(sys(), &format!("sleep{}", options.len()), options).open(r"\??\lab-race");
        let before = clock(&lab.query("clock"));
        let after = clock(&lab.query("clock +7200"));
        let passed = [after[0] - before[0], after[1] - before[1], after[2] - before[2]];
        // Between the two queries real time may pass, the same for all three clocks but for the order in which they are read.
        assert!(passed[0] >= 2 * HOUR && passed[2] >= 2 * HOUR, "{passed:?}");
        assert!(passed[1] < HOUR, "sleep does not count: {passed:?}");
        assert_eq!(lab.call(QUERY, b"clock +soon").0, 0xC000_000D);
        lab.close();
        let (code, text) = lab.stop();
        assert_eq!(code, 0, "{text}");
    }
}

#[test]
fn sleeping_past_an_absolute_timer_fires_it() {
    // In real time: an alarm in two hours, and a machine that sleeps for three.
    let mut lab = Lab::start(sys(), "alarm", &[]).open(r"\??\lab-race");
    let p = lab.control(ALARM, 4, &u32::to_le_bytes(7200));
    let alarm = lab.send(IOCTL, &p);
    // The request blocks its connection's thread, as it would a program's: the sleep comes through another one.
    let mut other = lab.second();
    // The timer may not be set yet: each sleep brings it nearer all the same.
    let (id, answer) = loop {
        other.query("clock +10800");
        if let Some(a) = lab.receive_within(std::time::Duration::from_millis(200)) {
            break a;
        }
    };
    assert_eq!((id, answer.0, words(&answer.2)), (alarm, 0, vec![1]));
    drop(other);
    lab.close();
    let (code, text) = lab.stop();
    assert_eq!(code, 0, "{text}");
}
