//! A client of docs/lab-protocol.md for tests: a lab with a driver, requests and answers.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::ops::{Deref, DerefMut};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

static NEXT: AtomicUsize = AtomicUsize::new(0);

/// A response.
#[derive(Debug)]
pub struct Answer {
    pub id: u64,
    pub status: i32,
    pub information: u64,
    pub bytes: Vec<u8>,
}

/// A connection.
pub struct Client {
    stream: UnixStream,
    next: u64,
}

impl Client {
    fn connect(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
        Self { stream, next: 1 }
    }

    pub fn send(&mut self, op: u8, payload: &[u8]) -> u64 {
        let id = self.next;
        self.next += 1;
        let mut f = u32::try_from(9 + payload.len()).unwrap().to_le_bytes().to_vec();
        f.extend(id.to_le_bytes());
        f.push(op);
        f.extend(payload);
        self.stream.write_all(&f).unwrap();
        id
    }

    pub fn receive(&mut self) -> Answer {
        let mut n = [0; 4];
        self.stream.read_exact(&mut n).expect("an answer (the lab's report is on standard error)");
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

    /// The next `count` answers, by id.
    pub fn answers(&mut self, count: usize) -> HashMap<u64, Answer> {
        (0..count).map(|_| self.receive()).map(|a| (a.id, a)).collect()
    }

    pub fn ask(&mut self, op: u8, payload: &[u8]) -> Answer {
        let id = self.send(op, payload);
        let a = self.receive();
        assert_eq!(a.id, id, "{a:?}");
        a
    }

    /// A PnP or power transition.
    pub fn pnp(&mut self, what: &str) -> i32 {
        self.ask(9, what.as_bytes()).status
    }

    /// Opens a device for reading and writing.
    pub fn open(&mut self, path: &str) -> u64 {
        let mut p = 0xC000_0000_u32.to_le_bytes().to_vec();
        p.extend(3u32.to_le_bytes());
        p.extend(path.as_bytes());
        let a = self.ask(1, &p);
        assert_eq!(a.status, 0, "open");
        a.information
    }

    /// Payload of an I/O control.
    pub fn control(file: u64, code: u32, out: u32, input: &[u8]) -> Vec<u8> {
        let mut p = file.to_le_bytes().to_vec();
        p.extend(code.to_le_bytes());
        p.extend(out.to_le_bytes());
        p.push(0);
        p.extend(input);
        p
    }

    /// Payload of a read of 16 bytes.
    pub fn read(file: u64) -> Vec<u8> {
        let mut p = file.to_le_bytes().to_vec();
        p.extend(16u32.to_le_bytes());
        p
    }

    /// Payload of a write.
    pub fn write(file: u64, bytes: &[u8]) -> Vec<u8> {
        let mut p = file.to_le_bytes().to_vec();
        p.extend(bytes);
        p
    }
}

/// A lab that runs a driver, and a connection to it.
pub struct Lab {
    child: Child,
    socket: PathBuf,
    client: Client,
}

impl Deref for Lab {
    type Target = Client;
    fn deref(&self) -> &Client {
        &self.client
    }
}

impl DerefMut for Lab {
    fn deref_mut(&mut self) -> &mut Client {
        &mut self.client
    }
}

impl Lab {
    /// Runs a driver; `namespace`: in a network namespace of its own, as one with an adapter needs.
    pub fn start(sys: &Path, namespace: bool) -> Self {
        let lab = env!("CARGO_BIN_EXE_dco-lab");
        let mut command = if namespace { Command::new("unshare") } else { Command::new(lab) };
        if namespace {
            command.args(["-n", lab]);
        }
        // A socket of the file system's: a namespace has a loopback of its own.
        let name = format!("lab-client-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let socket = std::env::temp_dir().join(name);
        let mut child = command
            .args(["run", "--listen", &format!("unix:{}", socket.display()), "--sys"])
            .arg(sys)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        if !line.starts_with("ready listen=unix:") {
            let out = child.wait_with_output().unwrap();
            panic!("not ready: {line:?} {}", String::from_utf8_lossy(&out.stderr));
        }
        let client = Client::connect(&socket);
        Self { child, socket, client }
    }

    /// One more connection: requests of two connections are served at once.
    pub fn connect(&self) -> Client {
        Client::connect(&self.socket)
    }

    /// Waits for the end; the exit status and what the lab wrote.
    pub fn end(self) -> (Option<i32>, String) {
        drop(self.client);
        let out = self.child.wait_with_output().unwrap();
        (out.status.code(), String::from_utf8_lossy(&out.stderr).into_owned())
    }

    /// Unloads the driver, which has to have left nothing behind.
    pub fn stop(mut self) {
        let a = self.ask(8, &[]);
        let (code, text) = self.end();
        assert_eq!(code, Some(0), "{} {text}", String::from_utf8_lossy(&a.bytes));
    }
}
