//! The KMDF driver of `drivers/kmdf-echo` in the lab: built for Windows, loaded, spoken to over the lab's protocol.
//!
//! `KMDF_ECHO_SYS` names a built driver; without it the test builds one.

use crate::client::{Client, Lab};
use crate::cross;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

const CANCELLED: i32 = 0xC000_0120_u32.cast_signed();
const BUFFER_TOO_SMALL: i32 = 0xC000_0023_u32.cast_signed();
const INVALID_DEVICE_REQUEST: i32 = 0xC000_0010_u32.cast_signed();

fn driver() -> &'static Path {
    static SYS: OnceLock<PathBuf> = OnceLock::new();
    SYS.get_or_init(|| cross::driver("kmdf-echo", "kmdf_echo.dll", "KMDF_ECHO_SYS"))
}

#[test]
fn serves_requests_and_leaves_nothing() {
    let mut lab = Lab::start(driver(), false);
    let file = lab.open(r"\??\kmdf-echo");
    let a = lab.ask(3, &Client::control(file, 0x22_2000, 64, b"hello"));
    assert_eq!((a.status, a.bytes.as_slice()), (0, &b"hello"[..]));
    assert_eq!(lab.ask(3, &Client::control(file, 0x22_2000, 2, b"hello")).status, BUFFER_TOO_SMALL);
    assert_eq!(lab.ask(3, &Client::control(file, 0x22_2FFC, 0, b"")).status, INVALID_DEVICE_REQUEST);
    let a = lab.ask(3, &Client::control(file, 0x22_2004, 8, b""));
    assert_eq!((a.status, a.bytes.as_slice()), (0, &[1, 1, 1][..]));

    // A parked read is answered by a write.
    let read = lab.send(4, &Client::read(file));
    let write = lab.send(5, &Client::write(file, b"abc"));
    let both = [lab.receive(), lab.receive()];
    let r = both.iter().find(|a| a.id == read).unwrap();
    assert_eq!((r.status, r.bytes.as_slice()), (0, &b"abc"[..]));
    assert!(both.iter().any(|a| a.id == write && a.status == 0 && a.information == 3));

    // A parked read and a marked request are cancelled one by one.
    for (op, payload) in [(4, Client::read(file)), (3, Client::control(file, 0x22_2008, 0, b""))] {
        let parked = lab.send(op, &payload);
        let cancel = lab.send(6, &parked.to_le_bytes());
        let both = [lab.receive(), lab.receive()];
        assert_eq!(both.iter().find(|a| a.id == parked).unwrap().status, CANCELLED);
        assert_eq!(both.iter().find(|a| a.id == cancel).unwrap().status, 0);
    }

    // Sleep and wake with a parked read: it is still there.
    let read = lab.send(4, &Client::read(file));
    assert_eq!(lab.ask(9, b"sleep").status, 0);
    assert_eq!(lab.ask(9, b"wake").status, 0);
    let write = lab.send(5, &Client::write(file, b"x"));
    let both = [lab.receive(), lab.receive()];
    assert!(both.iter().any(|a| a.id == read && a.status == 0) && both.iter().any(|a| a.id == write));

    // Closing a file cancels what it has outstanding.
    let ids = [
        lab.send(4, &Client::read(file)),
        lab.send(3, &Client::control(file, 0x22_2008, 0, b"")),
        lab.send(2, &file.to_le_bytes()),
    ];
    let answers = [lab.receive(), lab.receive(), lab.receive()];
    for (id, status) in ids.into_iter().zip([CANCELLED, CANCELLED, 0]) {
        assert_eq!(answers.iter().find(|a| a.id == id).unwrap().status, status);
    }
    assert_eq!(lab.ask(9, b"disable").status, 0);
    assert_eq!(lab.ask(9, b"enable").status, 0);
    lab.stop();
}

#[test]
fn broken_rules_end_the_lab_by_name() {
    for (number, rule) in
        [(1, "wdf.request-completed-twice"), (2, "wdf.wrong-type"), (3, "irql.too-high"), (4, "wdf.not-implemented")]
    {
        let mut lab = Lab::start(driver(), false);
        let file = lab.open(r"\??\kmdf-echo");
        lab.send(3, &Client::control(file, 0x22_200C, 8, &[number]));
        let (code, text) = lab.end();
        assert_eq!(code, Some(70), "{text}");
        assert!(text.contains(&format!("violation: {rule}\n")) && text.contains("driver+0x"), "{text}");
    }
}
