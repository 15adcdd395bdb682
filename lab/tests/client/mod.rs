//! A client of docs/lab-protocol.md and the lab it talks to, for the tests that run a driver.
#![allow(dead_code, reason = "each test program uses what it needs")]

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Operations.
pub const OPEN: u8 = 1;
pub const CLOSE: u8 = 2;
pub const IOCTL: u8 = 3;
pub const READ: u8 = 4;
pub const CANCEL: u8 = 6;
pub const QUERY: u8 = 7;
pub const STOP: u8 = 8;

/// A running lab and a connection to it. The lab is killed when a test fails.
pub struct Lab {
    /// None: a second connection to another's lab.
    process: Option<Child>,
    socket: PathBuf,
    stream: UnixStream,
    next: u64,
    /// The file that [`Lab::open`] opened.
    pub file: u64,
}

/// Status, information, output.
pub type Answer = (u32, u64, Vec<u8>);

impl Lab {
    /// Runs `sys` in a lab of its own; `name` tells the sockets of one program's tests apart.
    pub fn start(sys: &Path, name: &str, options: &[&str]) -> Self {
        let socket = std::env::temp_dir().join(format!("lab-{}-{name}.sock", std::process::id()));
        let mut process = Command::new(env!("CARGO_BIN_EXE_dco-lab"))
            .args(["run", "--sys"])
            .arg(sys)
            .args(["--listen", &format!("unix:{}", socket.display())])
            .args(options)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("dco-lab runs");
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().expect("piped")).read_line(&mut line).expect("a line");
        if !line.starts_with("ready listen=unix:") {
            let mut text = String::new();
            let _ = process.stderr.as_mut().expect("piped").read_to_string(&mut text);
            panic!("expected `ready`, got {line:?}: {text}");
        }
        let stream = UnixStream::connect(&socket).expect("connects");
        Self { process: Some(process), socket, stream, next: 1, file: 0 }
    }

    fn child(&mut self) -> &mut Child {
        self.process.as_mut().expect("the first connection")
    }

    /// Another connection to the same lab.
    pub fn second(&self) -> Self {
        let stream = UnixStream::connect(&self.socket).expect("connects");
        Self { process: None, socket: self.socket.clone(), stream, next: 1, file: 0 }
    }

    /// The next response, where it begins within `limit`.
    pub fn receive_within(&mut self, limit: Duration) -> Option<(u64, Answer)> {
        let mut word = [0; 4];
        self.stream.set_read_timeout(Some(limit)).expect("a limit");
        let begun = self.stream.read_exact(&mut word[..1]).is_ok();
        self.stream.set_read_timeout(None).expect("no limit");
        if !begun {
            return None;
        }
        self.stream.read_exact(&mut word[1..]).ok()?;
        self.body(u32::from_le_bytes(word))
    }

    /// Sends a request; its id.
    pub fn send(&mut self, op: u8, payload: &[u8]) -> u64 {
        self.send_all(&[(op, payload)])
    }

    /// Sends requests in one write, so that they come at once; the id of the first, those after it follow by one.
    pub fn send_all(&mut self, requests: &[(u8, &[u8])]) -> u64 {
        let first = self.next;
        let mut f = Vec::new();
        for (op, payload) in requests {
            f.extend(u32::try_from(9 + payload.len()).expect("short").to_le_bytes());
            f.extend(self.next.to_le_bytes());
            f.push(*op);
            f.extend(*payload);
            self.next += 1;
        }
        self.stream.write_all(&f).expect("the lab reads");
        first
    }

    /// The next response, with the id of its request; none when the lab is gone.
    pub fn receive(&mut self) -> Option<(u64, Answer)> {
        let mut word = [0; 4];
        self.stream.read_exact(&mut word).ok()?;
        self.body(u32::from_le_bytes(word))
    }

    fn body(&mut self, length: u32) -> Option<(u64, Answer)> {
        let mut f = vec![0; length as usize];
        self.stream.read_exact(&mut f).ok()?;
        let id = u64::from_le_bytes(f[..8].try_into().expect("8"));
        let status = u32::from_le_bytes(f[8..12].try_into().expect("4"));
        let information = u64::from_le_bytes(f[12..20].try_into().expect("8"));
        Some((id, (status, information, f[20..].to_vec())))
    }

    /// A request and its response; none when the lab is gone.
    pub fn try_call(&mut self, op: u8, payload: &[u8]) -> Option<Answer> {
        let id = self.send(op, payload);
        let (got, a) = self.receive()?;
        assert_eq!(got, id);
        Some(a)
    }

    /// A request and its response.
    pub fn call(&mut self, op: u8, payload: &[u8]) -> Answer {
        let answer = self.try_call(op, payload);
        match answer {
            Some(a) => a,
            None => {
                let mut text = String::new();
                let _ = self.child().stderr.as_mut().expect("piped").read_to_string(&mut text);
                panic!("the lab is gone: {text}");
            }
        }
    }

    /// Opens `path`.
    pub fn open(mut self, path: &str) -> Self {
        let mut p = 0xC000_0000u32.to_le_bytes().to_vec();
        p.extend(0u32.to_le_bytes());
        p.extend(path.as_bytes());
        let (status, file, _) = self.call(OPEN, &p);
        assert_eq!(status, 0);
        self.file = file;
        self
    }

    /// Payload of a device control.
    pub fn control(&self, code: u32, out: u32, input: &[u8]) -> Vec<u8> {
        let mut p = self.file.to_le_bytes().to_vec();
        p.extend(code.to_le_bytes());
        p.extend(out.to_le_bytes());
        p.push(0);
        p.extend(input);
        p
    }

    /// A device control and its response.
    pub fn ioctl(&mut self, code: u32, out: u32, input: &[u8]) -> Answer {
        let p = self.control(code, out, input);
        self.call(IOCTL, &p)
    }

    /// The answer to a query.
    pub fn query(&mut self, what: &str) -> String {
        let (status, _, text) = self.call(QUERY, what.as_bytes());
        assert_eq!(status, 0, "{what}");
        String::from_utf8(text).expect("text")
    }

    /// Closes the open file.
    pub fn close(&mut self) {
        let f = self.file.to_le_bytes();
        assert_eq!(self.call(CLOSE, &f).0, 0);
    }

    /// Waits for the end; exit status and standard error.
    pub fn end(mut self) -> (i32, String) {
        let mut text = Vec::new();
        self.child().stderr.as_mut().expect("piped").read_to_end(&mut text).expect("reads");
        let status = self.child().wait().expect("ends");
        (status.code().unwrap_or(-1), String::from_utf8_lossy(&text).into_owned())
    }

    /// Asks the lab to stop, which may be gone already.
    pub fn ask_to_stop(&mut self) {
        let mut f = 9u32.to_le_bytes().to_vec();
        f.extend(self.next.to_le_bytes());
        f.push(STOP);
        let _ = self.stream.write_all(&f);
    }

    /// Stops the lab; exit status and standard error.
    pub fn stop(mut self) -> (i32, String) {
        self.send(STOP, &[]);
        let answer = self.receive();
        let (code, text) = self.end();
        assert!(answer.is_some(), "STOP was not answered: {text}");
        (code, text)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Some(p) = &mut self.process {
            // Fails where the lab has ended, as it should have.
            let _ = p.kill();
            let _ = p.wait();
        }
    }
}

/// The words of an output.
pub fn words(bytes: &[u8]) -> Vec<u32> {
    bytes.chunks_exact(4).map(|c| u32::from_le_bytes(c.try_into().expect("4"))).collect()
}
