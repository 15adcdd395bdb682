//! A driver as others build theirs: `drivers/c-driver`, in C, against mingw's DDK headers. What these inline
//! (the shared data page, CR8, gs) faults and is carried out by the lab.

mod client;
mod cross;

use client::{CANCEL, IOCTL, Lab, words};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

fn sys() -> &'static Path {
    static SYS: OnceLock<PathBuf> = OnceLock::new();
    SYS.get_or_init(cross::c_driver)
}

const fn code(n: u32) -> u32 {
    0x22_2000 + 4 * n
}

/// Runs check number `n`: 0, or the line of the C source whose check failed; and the time it reports.
fn check(lab: &mut Lab, n: u32) -> (u32, u64) {
    let (status, information, out) = lab.ioctl(code(n), 12, &[]);
    assert_eq!((status, information), (0, 12));
    let w = words(&out);
    (w[0], u64::from(w[1]) | u64::from(w[2]) << 32)
}

#[test]
fn what_headers_inline_works() {
    let mut lab = Lab::start(sys(), "inline", &[]).open(r"\??\lab-c");
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos() / 100;
    let (before, (line, time), after) = (now(), check(&mut lab, 0), now());
    assert_eq!(line, 0, "the line of machine.c");
    let time = u128::from(time) - 116_444_736_000_000_000;
    assert!(before <= time && time <= after, "{before} {time} {after}");
    for n in 1..=5 {
        assert_eq!(check(&mut lab, n).0, 0, "request {n}: the line of the C source");
    }
    lab.close();
    let (code, text) = lab.stop();
    assert_eq!(code, 0, "{text}");
}

#[test]
fn a_pending_request_is_cancelled_and_drained() {
    let mut lab = Lab::start(sys(), "pending", &[]).open(r"\??\lab-c");
    let p = lab.control(code(6), 0, &[]);
    let pending = lab.send(IOCTL, &p);
    let left = lab.send(IOCTL, &p);
    let cancel = lab.send(CANCEL, &pending.to_le_bytes());
    let mut got: Vec<_> = (0..2).map(|_| lab.receive().expect("an answer")).map(|(id, a)| (id, a.0)).collect();
    got.sort_unstable();
    assert_eq!(got, [(pending, 0xC000_0120), (cancel, 0)]);
    let close = lab.send(client::CLOSE, &lab.file.to_le_bytes());
    let mut got: Vec<_> = (0..2).map(|_| lab.receive().expect("an answer")).map(|(id, a)| (id, a.0)).collect();
    got.sort_unstable();
    assert_eq!(got, [(left, 0xC000_0120), (close, 0)]);
    let (code, text) = lab.stop();
    assert_eq!(code, 0, "{text}");
}

#[test]
fn faults_stop_by_name() {
    for (number, rule, detail) in [
        (1, "foreign.unsupported", "Shared(23c), 4 bytes"),
        (2, "foreign.unsupported", "by Mov, which the lab does not carry out"),
        (3, "foreign.unsupported", "Processor(38, "),
        (4, "irql.bad-cr8", "0x20"),
        (5, "wait.irql", "at IRQL 2"),
        (6, "irql.callback-changed", "returned at 2"),
        (7, "exception.raised", "0xc0000005"),
        (8, "bugcheck.fault", "address 0x10"),
        (9, "bugcheck.fault", "0f 20 d8"),
        (10, "bugcheck.called", "code 0xf7"),
        (11, "etw.bad-handle", "0x"),
    ] {
        let mut lab = Lab::start(sys(), &format!("fault{number}"), &[]).open(r"\??\lab-c");
        let p = lab.control(code(7), 12, &u32::to_le_bytes(number));
        // What is seen when the dispatch routine returns comes after its answer. A lab that saw nothing stops with 0.
        if lab.try_call(IOCTL, &p).is_some() {
            lab.ask_to_stop();
        }
        let (status, text) = lab.end();
        assert_eq!(status, 70, "fault {number}: {text}");
        assert!(text.contains(&format!("violation: {rule}\n")) && text.contains(detail), "fault {number}: {text}");
        // The place in the image is known, also without a call.
        assert!(text.contains("driver+0x"), "fault {number}: {text}");
    }
}
