//! The KMDF driver of `drivers/kmdf-echo` in the lab: built for Windows, loaded, spoken to over the lab's protocol.
//!
//! `KMDF_ECHO_SYS` names a built driver; without it the test builds one.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod cross;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

const CANCELLED: i32 = 0xC000_0120_u32.cast_signed();
const BUFFER_TOO_SMALL: i32 = 0xC000_0023_u32.cast_signed();
const INVALID_DEVICE_REQUEST: i32 = 0xC000_0010_u32.cast_signed();

fn driver() -> &'static Path {
    static SYS: OnceLock<PathBuf> = OnceLock::new();
    SYS.get_or_init(|| cross::driver("kmdf-echo", "kmdf_echo.dll", "KMDF_ECHO_SYS"))
}

struct Lab {
    child: Child,
    stream: TcpStream,
    next: u64,
}

#[derive(Debug)]
struct Answer {
    id: u64,
    status: i32,
    information: u64,
    bytes: Vec<u8>,
}

impl Lab {
    fn start() -> Self {
        let sys = driver();
        let mut child = Command::new(env!("CARGO_BIN_EXE_dco-lab"))
            .args(["run", "--listen", "127.0.0.1:0", "--sys"])
            .arg(sys)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let Some(address) = line.split_whitespace().find_map(|w| w.strip_prefix("listen=")) else {
            let out = child.wait_with_output().unwrap();
            panic!("not ready: {line:?} {}", String::from_utf8_lossy(&out.stderr));
        };
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Self { child, stream, next: 1 }
    }

    fn send(&mut self, op: u8, payload: &[u8]) -> u64 {
        let id = self.next;
        self.next += 1;
        let mut f = u32::try_from(9 + payload.len()).unwrap().to_le_bytes().to_vec();
        f.extend(id.to_le_bytes());
        f.push(op);
        f.extend(payload);
        self.stream.write_all(&f).unwrap();
        id
    }

    fn receive(&mut self) -> Answer {
        let mut n = [0; 4];
        self.stream.read_exact(&mut n).unwrap();
        let mut f = vec![0; usize::try_from(u32::from_le_bytes(n)).unwrap()];
        self.stream.read_exact(&mut f).unwrap();
        let word = |at: usize| f.get(at..at + 8).unwrap().try_into().map(u64::from_le_bytes).unwrap();
        Answer {
            id: word(0),
            status: i32::from_le_bytes(f.get(8..12).unwrap().try_into().unwrap()),
            information: word(12),
            bytes: f.get(20..).unwrap().to_vec(),
        }
    }

    fn ask(&mut self, op: u8, payload: &[u8]) -> Answer {
        let id = self.send(op, payload);
        let a = self.receive();
        assert_eq!(a.id, id, "{a:?}");
        a
    }

    fn open(&mut self) -> u64 {
        let mut p = 0xC000_0000_u32.to_le_bytes().to_vec();
        p.extend(3u32.to_le_bytes());
        p.extend(br"\??\kmdf-echo");
        let a = self.ask(1, &p);
        assert_eq!(a.status, 0, "open");
        a.information
    }

    fn control(file: u64, code: u32, out: u32, input: &[u8]) -> Vec<u8> {
        let mut p = file.to_le_bytes().to_vec();
        p.extend(code.to_le_bytes());
        p.extend(out.to_le_bytes());
        p.push(0);
        p.extend(input);
        p
    }

    fn read(file: u64) -> Vec<u8> {
        let mut p = file.to_le_bytes().to_vec();
        p.extend(16u32.to_le_bytes());
        p
    }

    fn write(file: u64, bytes: &[u8]) -> Vec<u8> {
        let mut p = file.to_le_bytes().to_vec();
        p.extend(bytes);
        p
    }

    fn stop(mut self) {
        let id = self.send(8, &[]);
        let a = self.receive();
        assert_eq!(a.id, id);
        let out = self.child.wait_with_output().unwrap();
        assert_eq!(
            out.status.code(),
            Some(0),
            "{} {}",
            String::from_utf8_lossy(&a.bytes),
            String::from_utf8_lossy(&out.stderr)
        );
    }
}

#[test]
fn serves_requests_and_leaves_nothing() {
    let mut lab = Lab::start();
    let file = lab.open();
    let a = lab.ask(3, &Lab::control(file, 0x22_2000, 64, b"hello"));
    assert_eq!((a.status, a.bytes.as_slice()), (0, &b"hello"[..]));
    assert_eq!(lab.ask(3, &Lab::control(file, 0x22_2000, 2, b"hello")).status, BUFFER_TOO_SMALL);
    assert_eq!(lab.ask(3, &Lab::control(file, 0x22_2FFC, 0, b"")).status, INVALID_DEVICE_REQUEST);
    let a = lab.ask(3, &Lab::control(file, 0x22_2004, 8, b""));
    assert_eq!((a.status, a.bytes.as_slice()), (0, &[1, 1, 1][..]));

    // A parked read is answered by a write.
    let read = lab.send(4, &Lab::read(file));
    let write = lab.send(5, &Lab::write(file, b"abc"));
    let both = [lab.receive(), lab.receive()];
    let r = both.iter().find(|a| a.id == read).unwrap();
    assert_eq!((r.status, r.bytes.as_slice()), (0, &b"abc"[..]));
    assert!(both.iter().any(|a| a.id == write && a.status == 0 && a.information == 3));

    // A parked read and a marked request are cancelled one by one.
    for (op, payload) in [(4, Lab::read(file)), (3, Lab::control(file, 0x22_2008, 0, b""))] {
        let parked = lab.send(op, &payload);
        let cancel = lab.send(6, &parked.to_le_bytes());
        let both = [lab.receive(), lab.receive()];
        assert_eq!(both.iter().find(|a| a.id == parked).unwrap().status, CANCELLED);
        assert_eq!(both.iter().find(|a| a.id == cancel).unwrap().status, 0);
    }

    // Sleep and wake with a parked read: it is still there.
    let read = lab.send(4, &Lab::read(file));
    assert_eq!(lab.ask(9, b"sleep").status, 0);
    assert_eq!(lab.ask(9, b"wake").status, 0);
    let write = lab.send(5, &Lab::write(file, b"x"));
    let both = [lab.receive(), lab.receive()];
    assert!(both.iter().any(|a| a.id == read && a.status == 0) && both.iter().any(|a| a.id == write));

    // Closing a file cancels what it has outstanding.
    let ids = [
        lab.send(4, &Lab::read(file)),
        lab.send(3, &Lab::control(file, 0x22_2008, 0, b"")),
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
        let mut lab = Lab::start();
        let file = lab.open();
        lab.send(3, &Lab::control(file, 0x22_200C, 8, &[number]));
        let out = lab.child.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(70), "{text}");
        assert!(text.contains(&format!("violation: {rule}\n")) && text.contains("driver+0x"), "{text}");
    }
}
