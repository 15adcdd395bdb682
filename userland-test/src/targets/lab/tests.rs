//! The client against a hand-made lab: what goes over the wire, byte for byte, and what happens when the lab misbehaves.

use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use super::*;

/// Serves one connection with `serve`, while `client` talks to it.
fn with_lab(serve: impl FnOnce(UnixStream) + Send, client: impl FnOnce(Lab)) {
    static SERIAL: AtomicU32 = AtomicU32::new(0);
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("dco-cli-{}-{serial}.sock", std::process::id()));
    let listener = UnixListener::bind(&path).expect("a socket in the temporary directory");
    thread::scope(|scope| {
        scope.spawn(|| serve(listener.accept().expect("the client connects").0));
        let address: Address = format!("unix:{}", path.display()).parse().expect("an address");
        client(Lab::connect(&address).expect("a connection"));
    });
    std::fs::remove_file(&path).expect("the socket is ours");
}

fn request(stream: &mut UnixStream) -> Option<Vec<u8>> {
    let mut header = [0; 4];
    stream.read_exact(&mut header).ok()?;
    let mut frame = vec![0; u32::from_le_bytes(header) as usize];
    stream.read_exact(&mut frame).expect("a whole frame");
    Some(frame)
}

/// The request's id: how many it is, and the number of the thread that sent it in the highest byte.
fn id(frame: &[u8]) -> u64 {
    u64::from_le_bytes(frame[..8].try_into().expect("an id"))
}

/// The same as a frame's first 8 bytes and the operation.
fn head(thread: u64, count: u64, op: u8) -> Vec<u8> {
    [&(thread << 56 | count).to_le_bytes()[..], &[op]].concat()
}

fn respond(stream: &mut UnixStream, id: u64, status: NtStatus, information: u64, output: &[u8]) {
    let mut frame = Vec::new();
    frame.extend((20 + output.len() as u32).to_le_bytes());
    frame.extend(id.to_le_bytes());
    frame.extend(status.0.to_le_bytes());
    frame.extend(information.to_le_bytes());
    frame.extend(output);
    stream.write_all(&frame).expect("the client reads");
}

#[test]
fn an_ioctl_is_laid_out_as_documented() {
    with_lab(
        |mut stream| {
            let open = request(&mut stream).expect("OPEN");
            let thread = id(&open) >> 56;
            assert_ne!(thread, 0);
            assert_eq!(open[..9], head(thread, 1, 1));
            assert_eq!(open[9..17], [0, 0, 0, 0xC0, 0, 0, 0, 0]);
            assert_eq!(&open[17..], br"\??\ovpn-dco");
            respond(&mut stream, id(&open), NtStatus::SUCCESS, 7, b"");

            let ioctl = request(&mut stream).expect("IOCTL");
            assert_eq!(ioctl[..9], head(thread, 2, 3));
            assert_eq!(ioctl[9..17], 7u64.to_le_bytes());
            assert_eq!(ioctl[17..21], 0x0022_0020u32.to_le_bytes());
            assert_eq!(ioctl[21..25], 12u32.to_le_bytes());
            assert_eq!(ioctl[25..], [1], "no input pointer, an output pointer");
            respond(&mut stream, id(&ioctl), NtStatus::SUCCESS, 12, &[9; 12]);

            let close = request(&mut stream).expect("CLOSE");
            assert_eq!(close[8..], [2, 7, 0, 0, 0, 0, 0, 0, 0]);
            respond(&mut stream, id(&close), NtStatus::SUCCESS, 0, b"");
        },
        |lab| {
            let file = lab.open(r"\??\ovpn-dco").expect("an answer").expect("a file");
            let request = Request::Ioctl { code: 0x0022_0020, input: &[], output: 12, null: Null::default() };
            let completion = file.start(request).expect("started").wait(PATIENCE).expect("an answer").expect("in time");
            let expected =
                Completion { status: NtStatus::SUCCESS, information: 12, output: vec![9; 12], spilled: false };
            assert_eq!(completion, expected);
            assert_eq!(file.close().expect("an answer"), NtStatus::SUCCESS);
        },
    );
}

#[test]
fn responses_may_come_in_any_order() {
    with_lab(
        |mut stream| {
            let open = request(&mut stream).expect("OPEN");
            respond(&mut stream, id(&open), NtStatus::SUCCESS, 1, b"");
            let first = request(&mut stream).expect("READ");
            let second = request(&mut stream).expect("READ");
            let cancel = request(&mut stream).expect("CANCEL");
            assert_eq!(cancel[8..], [&[6], &first[..8]].concat());
            respond(&mut stream, id(&second), NtStatus::SUCCESS, 5, b"hello");
            respond(&mut stream, id(&first), NtStatus::CANCELLED, 0, b"");
            respond(&mut stream, id(&cancel), NtStatus::SUCCESS, 0, b"");
            request(&mut stream);
        },
        |lab| {
            let file = lab.open("any").expect("an answer").expect("a file");
            let mut first = file.start(Request::Read { length: 2048 }).expect("started");
            assert_eq!(first.wait(Duration::from_millis(1)).expect("still connected"), None);
            let mut second = file.start(Request::Read { length: 2048 }).expect("started");
            assert_eq!(first.cancel().expect("an answer"), NtStatus::SUCCESS);
            assert_eq!(second.wait(PATIENCE).expect("an answer").expect("in time").output, b"hello");
            assert_eq!(first.wait(PATIENCE).expect("an answer").expect("in time").status, NtStatus::CANCELLED);
        },
    );
}

#[test]
fn each_thread_has_a_number_of_its_own() {
    let numbers = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&numbers);
    with_lab(
        move |mut stream| {
            while let Some(frame) = request(&mut stream) {
                seen.lock().expect("lock").push(id(&frame) >> 56);
                respond(&mut stream, id(&frame), NtStatus::SUCCESS, 0, b"");
            }
        },
        |lab| {
            for _ in 0..2 {
                lab.query("version").expect("an answer").expect("a version");
            }
            std::thread::scope(|scope| {
                scope.spawn(|| lab.query("version").expect("an answer").expect("a version"));
            });
        },
    );
    let numbers = numbers.lock().expect("lock");
    assert!(numbers.len() == 3 && numbers[0] == numbers[1] && numbers[1] != numbers[2], "{numbers:?}");
}

#[test]
fn a_lab_that_dies_fails_what_is_outstanding_and_what_follows() {
    with_lab(
        |mut stream| {
            request(&mut stream);
        },
        |lab| {
            let error = lab.query("driver").expect_err("no lab, no answer");
            assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
            let error = lab.query("driver").expect_err("still no lab");
            assert!(error.to_string().contains("the lab closed it"), "{error}");
        },
    );
}

#[test]
fn frames_that_are_too_long_or_too_short_end_the_connection() {
    for bytes in [&[0xFF, 0xFF, 0xFF, 0x7F][..], &[3, 0, 0, 0, 1, 2, 3]] {
        with_lab(
            |mut stream| {
                request(&mut stream);
                stream.write_all(bytes).expect("the client reads");
            },
            |lab| {
                let error = lab.query("driver").expect_err("nothing sensible came");
                assert!(error.to_string().contains("too"), "{error}");
            },
        );
    }
}

#[test]
fn only_loopback_and_unix_addresses_are_taken() {
    assert!("127.0.0.1:7000".parse::<Address>().is_ok());
    assert!("[::1]:7000".parse::<Address>().is_ok());
    assert!("unix:/run/a.sock".parse::<Address>().is_ok());
    for wrong in ["", "unix:", "127.0.0.1", "192.0.2.1:7000", "localhost:1"] {
        assert!(wrong.parse::<Address>().is_err(), "{wrong:?}");
    }
}
