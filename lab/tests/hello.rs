//! The lab's kernel, from outside: `drivers/hello` is cross-built, loaded by `dco-lab run` and used through the socket.
//!
//! `LAB_HELLO_SYS` names a built driver; without it the test builds one.

mod cross;

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

const ECHO: u32 = 0x22_2000;
const TIMER: u32 = 0x22_2004;
const THREAD: u32 = 0x22_2008;
const CANCELLED: u32 = 0xC000_0120;

/// The driver, built once.
fn hello() -> &'static Path {
    static SYS: OnceLock<PathBuf> = OnceLock::new();
    SYS.get_or_init(|| cross::driver("hello", "hello.dll", "LAB_HELLO_SYS"))
}

/// A running lab and a connection to it.
struct Lab {
    process: Child,
    stream: UnixStream,
    next: u64,
    file: u64,
}

/// Status, information, output.
type Answer = (u32, u64, Vec<u8>);

impl Lab {
    fn start(name: &str, extra: &[&str]) -> Self {
        let sys = hello();
        let socket = std::env::temp_dir().join(format!("lab-{}-{name}.sock", std::process::id()));
        let listen = format!("unix:{}", socket.display());
        let mut process = Command::new(env!("CARGO_BIN_EXE_dco-lab"))
            .args(["run", "--sys"])
            .arg(sys)
            .args(["--listen", &listen])
            .args(extra)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("dco-lab runs");
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().expect("piped")).read_line(&mut line).expect("a line");
        assert!(line.starts_with("ready listen=unix:"), "{line}");
        let stream = UnixStream::connect(&socket).expect("connects");
        Self { process, stream, next: 1, file: 0 }
    }

    fn send(&mut self, op: u8, payload: &[u8]) -> u64 {
        let id = self.next;
        self.next += 1;
        let mut f = Vec::new();
        f.extend(u32::try_from(9 + payload.len()).expect("short").to_le_bytes());
        f.extend(id.to_le_bytes());
        f.push(op);
        f.extend(payload);
        self.stream.write_all(&f).expect("the lab reads");
        id
    }

    fn receive(&mut self) -> Option<(u64, Answer)> {
        let mut word = [0; 4];
        self.stream.read_exact(&mut word).ok()?;
        let mut f = vec![0; u32::from_le_bytes(word) as usize];
        self.stream.read_exact(&mut f).ok()?;
        let id = u64::from_le_bytes(f[..8].try_into().expect("8"));
        let status = u32::from_le_bytes(f[8..12].try_into().expect("4"));
        let information = u64::from_le_bytes(f[12..20].try_into().expect("8"));
        Some((id, (status, information, f[20..].to_vec())))
    }

    fn call(&mut self, op: u8, payload: &[u8]) -> Answer {
        let id = self.send(op, payload);
        let (got, a) = self.receive().expect("an answer");
        assert_eq!(got, id);
        a
    }

    fn open_path(&mut self, path: &str) -> Answer {
        let mut p = 0xC000_0000u32.to_le_bytes().to_vec();
        p.extend(0u32.to_le_bytes());
        p.extend(path.as_bytes());
        self.call(1, &p)
    }

    fn open(mut self) -> Self {
        let (status, file, _) = self.open_path(r"\??\lab-hello");
        assert_eq!(status, 0);
        self.file = file;
        self
    }

    fn control(&self, code: u32, out: u32, input: &[u8]) -> Vec<u8> {
        let mut p = self.file.to_le_bytes().to_vec();
        p.extend(code.to_le_bytes());
        p.extend(out.to_le_bytes());
        p.push(0);
        p.extend(input);
        p
    }

    fn ioctl(&mut self, code: u32, out: u32, input: &[u8]) -> Answer {
        let p = self.control(code, out, input);
        self.call(3, &p)
    }

    fn read(&mut self, length: u32) -> u64 {
        let mut p = self.file.to_le_bytes().to_vec();
        p.extend(length.to_le_bytes());
        self.send(4, &p)
    }

    /// Waits for the end; exit status and standard error.
    fn end(self) -> (i32, String) {
        drop(self.stream);
        let out = self.process.wait_with_output().expect("ends");
        (out.status.code().unwrap_or(-1), String::from_utf8_lossy(&out.stderr).into_owned())
    }

    fn stop(mut self) -> (i32, String) {
        self.send(8, &[]);
        let answer = self.receive();
        let (code, text) = self.end();
        assert!(answer.is_some(), "STOP was not answered: {text}");
        (code, text)
    }
}

#[test]
fn requests_run_through_the_driver() {
    let lab = Lab::start("requests", &[]);
    let mut lab = lab.open();
    assert_eq!(lab.ioctl(ECHO, 16, b"hello"), (0, 5, b"hello".to_vec()));
    assert_eq!(lab.ioctl(ECHO, 2, b"hello").0, 0xC000_0023);
    assert_eq!(lab.ioctl(0x22_2FFC, 0, b"").0, 0xC000_0010);
    // The third tick sets the event; more may follow before the timer is cancelled.
    let (status, _, ticks) = lab.ioctl(TIMER, 4, b"");
    assert!(status == 0 && ticks[0] >= 3, "{status:#x} {ticks:?}");
    assert_eq!(lab.ioctl(THREAD, 4, b""), (0, 4, vec![1, 0, 0, 0]));
    let (code, text) = lab.stop();
    assert_eq!(code, 0, "{text}");
}

#[test]
fn a_read_waits_for_a_write() {
    let lab = Lab::start("read", &[]);
    let mut lab = lab.open();
    let read = lab.read(64);
    let mut p = lab.file.to_le_bytes().to_vec();
    p.extend(b"datagram");
    let write = lab.send(5, &p);
    let first = lab.receive().expect("the read");
    assert_eq!(first, (read, (0, 8, b"datagram".to_vec())));
    assert_eq!(lab.receive().expect("the write"), (write, (0, 8, Vec::new())));
    assert_eq!(lab.stop().0, 0);
}

#[test]
fn a_read_is_cancelled_and_a_close_ends_what_waits() {
    let lab = Lab::start("cancel", &[]);
    let mut lab = lab.open();
    let read = lab.read(64);
    let cancel = lab.send(6, &read.to_le_bytes());
    assert_eq!(lab.receive().expect("the read"), (read, (CANCELLED, 0, Vec::new())));
    assert_eq!(lab.receive().expect("the cancel").0, cancel);
    assert_eq!(lab.call(6, &read.to_le_bytes()).0, 0xC000_0225);
    let read = lab.read(64);
    let file = lab.file.to_le_bytes();
    let close = lab.send(2, &file);
    assert_eq!(lab.receive().expect("the read"), (read, (CANCELLED, 0, Vec::new())));
    assert_eq!(lab.receive().expect("the close"), (close, (0, 0, Vec::new())));
    assert_eq!(lab.call(2, &file).0, 0xC000_0008);
    assert_eq!(lab.stop().0, 0);
}

#[test]
fn an_exclusive_device_opens_once_and_a_lost_connection_closes_it() {
    let lab = Lab::start("exclusive", &[]);
    let mut lab = lab.open();
    assert_eq!(lab.open_path(r"\DosDevices\LAB-hello").0, 0xC000_0022);
    assert_eq!(lab.open_path(r"\??\nothing").0, 0xC000_0034);
    lab.read(16);
    let again =
        UnixStream::connect(lab.stream.peer_addr().expect("a path").as_pathname().expect("a path")).expect("connects");
    drop(std::mem::replace(&mut lab.stream, again));
    // The lab closes the lost connection's file as soon as it notices.
    let mut tries = 0;
    while lab.open_path(r"\??\lab-hello").0 != 0 {
        tries += 1;
        assert!(tries < 200, "the file of the lost connection stays open");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert_eq!(lab.stop().0, 0);
}

#[test]
fn malformed_frames_end_the_connection_not_the_lab() {
    let mut lab = Lab::start("malformed", &[]);
    let path = lab.stream.peer_addr().expect("a path").as_pathname().expect("a path").to_owned();
    for bytes in [&u32::MAX.to_le_bytes()[..], &[3, 0, 0, 0, 1, 2, 3], &[9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 3]] {
        let mut s = UnixStream::connect(&path).expect("connects");
        s.write_all(bytes).expect("the lab reads");
        let mut rest = Vec::new();
        s.read_to_end(&mut rest).expect("the lab closes");
        assert!(rest.is_empty());
    }
    assert_eq!(lab.call(7, b"version").0, 0);
    assert_eq!(lab.call(200, b"").0, 0xC000_000D);
    let (code, text) = lab.stop();
    assert_eq!(code, 0, "{text}");
}

#[test]
fn signals_stop_the_lab_as_stop_does() {
    let lab = Lab::start("signal", &[]);
    let lab = lab.open();
    let killed = Command::new("kill").args(["-TERM", &lab.process.id().to_string()]).status().expect("kill runs");
    assert!(killed.success());
    let (code, text) = lab.end();
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("clean"), "{text}");
}
