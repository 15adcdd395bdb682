//! `drivers/faulty-kmdf` with no fault, in what the rules' tests do not do: queues of each kind, requests that race with their
//! cancellation, sleep, disable and enable, surprise removal. What the driver finds against the documentation it ends the lab for.

use crate::client::{Client, Lab};
use crate::cross;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

const CANCELLED: i32 = 0xC000_0120_u32.cast_signed();
const INVALID_DEVICE_REQUEST: i32 = 0xC000_0010_u32.cast_signed();
const DEVICE_BUSY: i32 = 0x8000_0011_u32.cast_signed();
const UNSUCCESSFUL: i32 = 0xC000_0001_u32.cast_signed();

const NAME: &str = r"\??\lab-faulty-kmdf";
const EXERCISE: u32 = 0x22_2000;
const ONE_BY_ONE: u32 = 0x22_2004;
const MARK: u32 = 0x22_2008;
const END_MARKED: u32 = 0x22_200C;
const PARK: u32 = 0x22_2010;
const FIND: u32 = 0x22_2014;
const QUEUES: u32 = 0x22_2018;
const NEITHER: u32 = 0x22_201F;

fn driver() -> &'static Path {
    static SYS: OnceLock<PathBuf> = OnceLock::new();
    SYS.get_or_init(|| cross::driver("faulty-kmdf", "faulty_kmdf.dll", "LAB_FAULTY_KMDF_SYS"))
}

fn send(c: &mut Client, file: u64, code: u32, input: &[u8]) -> u64 {
    c.send(3, &Client::control(file, code, 64, input))
}

#[test]
fn each_kind_of_queue_serves_its_requests() {
    let mut lab = Lab::start(driver(), true);
    let file = lab.open(NAME);
    let a = lab.ask(3, &Client::control(file, EXERCISE, 64, &[1, 2, 3]));
    assert_eq!((a.status, a.bytes.as_slice()), (0, &[1, 2, 3][..]));

    // Sequential, at PASSIVE_LEVEL: all are served, in order, though they come at once.
    let ids: Vec<u64> = (0..20).map(|n| send(&mut lab, file, ONE_BY_ONE, &[n])).collect();
    for (n, id) in (0..20).zip(ids) {
        let a = lab.receive();
        assert_eq!((a.id, a.status, a.bytes.as_slice()), (id, 0, &[n][..]));
    }

    // Manual: found by its file, put back, retrieved.
    let parked = send(&mut lab, file, PARK, b"here");
    let found = send(&mut lab, file, FIND, b"");
    let both = lab.answers(2);
    assert_eq!((both[&parked].status, both[&parked].bytes.as_slice()), (0, &b"here"[..]));
    assert_eq!(both[&found].status, 0);
    // Another file's is not found.
    let other = lab.open(NAME);
    let parked = send(&mut lab, file, PARK, b"mine");
    assert_eq!(lab.ask(3, &Client::control(other, FIND, 0, b"")).status, UNSUCCESSFUL);
    // Cancelled in the queue, the driver is told of it and completes it.
    let cancel = lab.send(6, &parked.to_le_bytes());
    let both = lab.answers(2);
    assert_eq!((both[&parked].status, both[&cancel].status), (CANCELLED, 0));

    // A queue of the request's own is stopped, started, drained, purged and deleted, and cancels the request then.
    assert_eq!(lab.ask(3, &Client::control(file, QUEUES, 0, b"")).status, CANCELLED);
    // METHOD_NEITHER, looked at in its caller's context.
    let a = lab.ask(3, &Client::control(file, NEITHER, 64, &[9; 7]));
    assert_eq!((a.status, a.information), (0, 7));
    assert_eq!(lab.ask(3, &Client::control(file, 0x22_2FFC, 0, b"")).status, INVALID_DEVICE_REQUEST);
    lab.stop();
}

#[test]
fn a_marked_request_ends_once_whoever_ends_it() {
    let mut lab = Lab::start(driver(), true);
    let mut second = lab.connect();
    let (file, other) = (lab.open(NAME), second.open(NAME));
    let (mut cancelled, mut ended) = (0, 0);
    for round in 0..400 {
        let marked = send(&mut lab, file, MARK, b"");
        if round % 3 == 0 {
            // Marked for certain; then both come at once.
            assert_eq!(lab.ask(7, b"version").status, 0);
        }
        let end = send(&mut second, other, END_MARKED, b"");
        let cancel = lab.send(6, &marked.to_le_bytes());
        assert_eq!(second.answers(1)[&end].status, 0);
        let both = lab.answers(2);
        assert!(both.contains_key(&cancel));
        match both[&marked].status {
            0 => ended += 1,
            CANCELLED => cancelled += 1,
            s => panic!("{s:#x}"),
        }
    }
    println!("ended {ended}, cancelled {cancelled}");
    // A read in the manual queue against its cancellation, and against the write that takes it out.
    let (mut cancelled, mut read) = (0, 0);
    for _ in 0..400 {
        let waiting = lab.send(4, &Client::read(file));
        let write = second.send(5, &Client::write(other, b"x"));
        let cancel = lab.send(6, &waiting.to_le_bytes());
        assert_eq!(second.answers(1)[&write].status, 0);
        let both = lab.answers(2);
        assert!(both.contains_key(&cancel));
        match both[&waiting].status {
            0 => read += 1,
            CANCELLED => cancelled += 1,
            s => panic!("{s:#x}"),
        }
    }
    println!("read {read}, cancelled {cancelled}");
    lab.stop();
}

#[test]
fn power_holds_requests_and_removal_ends_them() {
    let mut lab = Lab::start(driver(), true);
    let file = lab.open(NAME);
    for _ in 0..3 {
        let waiting = lab.send(4, &Client::read(file));
        let marked = send(&mut lab, file, MARK, b"");
        assert_eq!(lab.pnp("sleep"), 0);
        // Power-managed queues hold what comes meanwhile.
        let held = send(&mut lab, file, ONE_BY_ONE, b"later");
        let wake = lab.send(9, b"wake");
        let both = lab.answers(2);
        assert_eq!((both[&held].status, both[&held].bytes.as_slice()), (0, &b"later"[..]));
        assert_eq!(both[&wake].status, 0);
        // What waited over it still does.
        let end = send(&mut lab, file, END_MARKED, b"");
        let write = lab.send(5, &Client::write(file, b"awake"));
        let all = lab.answers(4);
        assert_eq!((all[&waiting].status, all[&waiting].bytes.as_slice()), (0, &b"awake"[..]));
        assert!(all[&marked].status == 0 && all[&end].status == 0 && all[&write].status == 0);
    }
    // An open file vetoes; without one the device goes and comes.
    assert_eq!(lab.pnp("disable"), DEVICE_BUSY);
    assert_eq!(lab.ask(2, &file.to_le_bytes()).status, 0);
    for _ in 0..3 {
        assert_eq!(lab.pnp("disable"), 0);
        assert_eq!(lab.pnp("enable"), 0);
        let file = lab.open(NAME);
        assert_eq!(lab.ask(3, &Client::control(file, EXERCISE, 64, b"again")).status, 0);
        assert_eq!(lab.ask(2, &file.to_le_bytes()).status, 0);
    }
    // Gone with a file open: what waits is cancelled, and the device is removed with the last handle.
    let file = lab.open(NAME);
    let waiting = [lab.send(4, &Client::read(file)), send(&mut lab, file, MARK, b""), send(&mut lab, file, PARK, b"")];
    let gone = lab.send(9, b"surprise");
    let all = lab.answers(4);
    assert_eq!(all[&gone].status, 0);
    assert!(waiting.iter().all(|id| all[id].status == CANCELLED), "{all:?}");
    assert_eq!(lab.ask(2, &file.to_le_bytes()).status, 0);
    assert_eq!(lab.pnp("enable"), 0);
    // Asleep when it goes.
    assert_eq!(lab.pnp("sleep"), 0);
    lab.stop();
}
