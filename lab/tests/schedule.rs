//! The seeded scheduler finds a planted race, and a recorded schedule repeats it: `drivers/race`.

mod client;
mod cross;

use client::{IOCTL, Lab, words};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

const RACE: u32 = 0x22_2000;
const SPIN: u32 = 0x22_200C;
/// Seeds tried.
const SEEDS: u64 = 200;

fn sys() -> &'static Path {
    static SYS: OnceLock<PathBuf> = OnceLock::new();
    SYS.get_or_init(cross::race)
}

fn file(name: &str) -> String {
    let f = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("schedule-{}-{name}", std::process::id()));
    f.to_str().expect("a path of text").to_owned()
}

/// Runs the race once; exit status and report.
fn run(name: &str, options: &[&str], buggy: bool) -> (i32, String) {
    let mut lab = Lab::start(sys(), name, options).open(r"\??\lab-race");
    let p = lab.control(RACE, 4, &u32::from(buggy).to_le_bytes());
    if let Some((status, _, out)) = lab.try_call(IOCTL, &p) {
        assert_eq!(status, 0);
        assert!(buggy || words(&out) == [1], "the block is freed once");
        lab.ask_to_stop();
    }
    lab.end()
}

/// A report without addresses, which differ from run to run.
fn shape(report: &str) -> String {
    let mut out = String::new();
    for word in report.split_inclusive(char::is_whitespace) {
        out.push_str(if word.starts_with("0x") || word.starts_with("(0x") { "ADDRESS " } else { word });
    }
    out
}

#[test]
fn a_planted_race_is_found_and_replayed() {
    let record = file("race");
    let again = file("race-again");
    let failing: Vec<u64> = (1..=SEEDS)
        .filter(|seed| {
            let (status, text) = run("search", &["--schedule", &seed.to_string()], true);
            assert!(status == 0 || status == 70 && text.contains("violation: pool.double-free\n"), "{status}: {text}");
            status != 0
        })
        .collect();
    println!("of {SEEDS} seeds these fail: {failing:?}");
    let seed = failing.first().expect("a seed that fails").to_string();
    let (status, found) = run("record", &["--schedule", &seed, "--record", &record], true);
    assert_eq!(status, 70, "the seed fails again: {found}");
    for n in 0..10 {
        let (status, text) = run(&format!("replay{n}"), &["--replay", &record, "--record", &again], true);
        assert_eq!((status, shape(&text)), (70, shape(&found)), "replay {n}");
        assert_eq!(std::fs::read(&record).ok(), std::fs::read(&again).ok(), "replay {n}");
    }
    // The driver without the bug takes another way from some step on.
    let (status, text) = run("diverge", &["--replay", &record], false);
    assert_eq!(status, 72, "{text}");
    assert!(text.contains("diverged at step ") && text.contains("expected lab-system."), "{text}");
    for f in [record, again] {
        let _ = std::fs::remove_file(f);
    }
}

#[test]
fn without_the_bug_no_seed_fails() {
    for seed in 1..=SEEDS {
        let (status, text) = run("sound", &["--schedule", &seed.to_string()], false);
        assert_eq!(status, 0, "seed {seed}: {text}");
    }
}

#[test]
fn a_seed_is_an_interleaving() {
    let files: Vec<Vec<u8>> = (0..4)
        .map(|n| {
            let record = file(&format!("same{n}"));
            let seed = if n < 3 { "7" } else { "8" };
            assert_eq!(run(&format!("same{n}"), &["--schedule", seed, "--record", &record], false).0, 0);
            let bytes = std::fs::read(&record).expect("a schedule");
            let _ = std::fs::remove_file(record);
            bytes
        })
        .collect();
    assert!(files[0].len() > 1000);
    assert!(files[0] == files[1] && files[1] == files[2], "one seed gave several schedules");
    assert_ne!(files[2], files[3]);
}

#[test]
fn contended_locks_do_not_stop_the_baton() {
    for seed in 0..12 {
        let mut lab = Lab::start(sys(), "spin", &["--schedule", &seed.to_string()]).open(r"\??\lab-race");
        let (status, _, out) = lab.ioctl(SPIN, 4, &[0; 4]);
        assert_eq!((status, words(&out)), (0, vec![60]));
        let (code, text) = lab.stop();
        assert_eq!(code, 0, "{text}");
        assert!(!text.contains("keeps the baton"), "{text}");
    }
}
