//! docs/lab-protocol.md: programs open the driver's devices and issue requests over a local socket.
//!
//! Each connection has a thread that reads, which stands for the user's thread (requests are issued on it at
//! PASSIVE_LEVEL), and a thread that writes, because completions come at DISPATCH_LEVEL from any thread.

pub mod connection;
pub mod frame;

use crate::io::request::Control;
use crate::ke::sched;
use crate::nt::{NTSTATUS, nt_success, status};
use crate::report::{collected, exit_now};
use crate::{etw, fault, io, ke, objects, pnp, pool};
use connection::Connection;
use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

type Query = (&'static str, fn() -> String);
static QUERIES: Mutex<Vec<Query>> = Mutex::new(Vec::new());
static CONNECTIONS: Mutex<Vec<Weak<Connection>>> = Mutex::new(Vec::new());
static STOPPING: AtomicBool = AtomicBool::new(false);

/// Registers the answer to a QUERY command.
pub fn register_query(name: &'static str, f: fn() -> String) {
    let mut q = QUERIES.lock().unwrap_or_else(PoisonError::into_inner);
    q.retain(|(n, _)| *n != name);
    q.push((name, f));
}

/// The answer to a QUERY command.
#[must_use]
pub fn query(name: &str) -> Option<String> {
    let f = QUERIES.lock().unwrap_or_else(PoisonError::into_inner).iter().find(|(n, _)| *n == name).map(|q| q.1);
    f.map(|f| f())
}

/// `peek CODE OUTLEN [INPUT]`: issues a device control, its input in hexadecimal, on the file that has been open for longest, and gives
/// its output in hexadecimal. May block.
///
/// # Errors
/// The request's status; `INVALID_DEVICE_STATE` where no file is open.
pub fn peek(arguments: &str) -> Result<String, NTSTATUS> {
    let mut words = arguments.split_whitespace();
    let code = words
        .next()
        .and_then(|w| u32::from_str_radix(w.trim_start_matches("0x"), 16).ok())
        .ok_or(status::INVALID_PARAMETER)?;
    let length: usize = words
        .next()
        .and_then(|w| w.parse().ok())
        .filter(|&n| n <= frame::MAX_OUTPUT / 2)
        .ok_or(status::INVALID_PARAMETER)?;
    let input = words.next().map(|digits| bytes(digits).ok_or(status::INVALID_PARAMETER)).transpose()?;
    let file = io::file::first_open().ok_or(status::INVALID_DEVICE_STATE)?;
    let (sender, receiver) = sync_channel(1);
    let request = file.control(
        &Control { code, input: input.as_deref(), output: Some(length) },
        Box::new(move |o| {
            // The receiver may have lost patience.
            let _ = sender.send(o);
        }),
    );
    let outcome = sched::outside("peek", || receiver.recv_timeout(Duration::from_secs(5))).map_err(|_| {
        if let Some(r) = request {
            r.cancel();
        }
        status::IO_TIMEOUT
    })?;
    if !nt_success(outcome.status) {
        return Err(outcome.status);
    }
    Ok(outcome.output.iter().map(|b| format!("{b:02x}")).collect())
}

/// Bytes from hexadecimal digits.
fn bytes(digits: &str) -> Option<Vec<u8>> {
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let pairs = (0..digits.len()).step_by(2);
    pairs.map(|at| digits.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok())).collect()
}

fn register_own() {
    register_query("version", || format!("dco-lab {}\n", env!("CARGO_PKG_VERSION")));
    register_query("driver", pnp::driver_listing);
    register_query("objects", objects::listing);
    register_query("interfaces", io::names::interface_listing);
    register_query("names", io::names::listing);
    register_query("stack", ke::stack::listing);
    register_query("clock", ke::time::listing);
    register_query("faults", fault::listing);
    register_query("fault-stacks", fault::stacks);
    register_query("pool", || {
        let (blocks, bytes) = pool::usage();
        format!("blocks {blocks}\nbytes {bytes}\n")
    });
    register_query("trace on", || etw::listen(true));
    register_query("trace off", || etw::listen(false));
    register_query("violations", || {
        let v = collected();
        format!("{}\n{}", v.len(), v.concat())
    });
}

/// A byte stream's two halves.
pub type Halves = (Box<dyn Read + Send>, Box<dyn Write + Send>);

/// A stream that is waited for without the baton. Requests that come in one write are there one after the other.
struct Input<S>(BufReader<S>);

impl<S: Read> Input<S> {
    fn new(stream: S) -> Self {
        Self(BufReader::with_capacity(1 << 16, stream))
    }
}

impl<S: Read> Read for Input<S> {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        if self.0.buffer().is_empty() {
            sched::outside("request", || self.0.fill_buf().map(|_| ()))?;
        }
        let mut from = self.0.buffer();
        let n = from.read(to)?;
        self.0.consume(n);
        Ok(n)
    }
}

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, String),
}

/// A socket that listens.
pub struct Server(Listener);

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Server({})", self.address())
    }
}

impl Server {
    /// Listens on `127.0.0.1:PORT` (port 0: any) or `unix:/path`.
    ///
    /// # Errors
    /// A sentence about why it cannot.
    pub fn bind(address: &str) -> Result<Self, String> {
        register_own();
        if let Some(path) = address.strip_prefix("unix:") {
            // A socket that a dead lab left is in the way; a live one's is not ours to take.
            if UnixStream::connect(path).is_err() {
                let _ = std::fs::remove_file(path);
            }
            return UnixListener::bind(path)
                .map(|l| Self(Listener::Unix(l, path.to_owned())))
                .map_err(|e| format!("cannot listen on {address}: {e}"));
        }
        let a: SocketAddr =
            address.parse().map_err(|e| format!("{address:?} is neither IP:PORT nor unix:/path: {e}"))?;
        if !a.ip().is_loopback() {
            return Err(format!("{a} is not loopback: the protocol is not authenticated"));
        }
        TcpListener::bind(a).map(|l| Self(Listener::Tcp(l))).map_err(|e| format!("cannot listen on {address}: {e}"))
    }

    /// What it listens on, as `bind` takes it.
    #[must_use]
    pub fn address(&self) -> String {
        match &self.0 {
            Listener::Tcp(l) => l.local_addr().map_or_else(|_| "?".to_owned(), |a| a.to_string()),
            Listener::Unix(_, p) => format!("unix:{p}"),
        }
    }

    fn accept(&self) -> std::io::Result<Halves> {
        match &self.0 {
            Listener::Tcp(l) => {
                let s: TcpStream = sched::outside("accept", || l.accept())?.0;
                s.set_nodelay(true)?;
                Ok((Box::new(Input::new(s.try_clone()?)), Box::new(s)))
            }
            Listener::Unix(l, _) => {
                let s = sched::outside("accept", || l.accept())?.0;
                Ok((Box::new(Input::new(s.try_clone()?)), Box::new(s)))
            }
        }
    }

    /// Serves connections until the process ends.
    pub fn run(&self) -> ! {
        sched::ask_before_jump(clients_wait);
        loop {
            match self.accept() {
                Ok(halves) => {
                    if let Err(e) = serve(halves) {
                        eprintln!("dco-lab: a connection was dropped: {e}");
                    }
                }
                Err(e) => {
                    eprintln!("dco-lab: accept: {e}");
                    sched::sleep(Duration::from_millis(50));
                }
            }
        }
    }
}

/// Serves one connection on threads of its own.
///
/// # Errors
/// When the host cannot make the threads.
pub fn serve(halves: Halves) -> std::io::Result<()> {
    let (mut reader, writer) = halves;
    let c = Connection::new(writer)?;
    {
        let mut all = CONNECTIONS.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|c| c.strong_count() != 0);
        all.push(Arc::downgrade(&c));
    }
    ke::spawn("lab-user", move || {
        c.read_all(&mut *reader);
        c.close_all();
    })?;
    Ok(())
}

/// Stops: closes every file, removes the device, unloads the driver and looks for leaks. Returns the exit status and the
/// report. A second caller waits for ever: the first one ends the process.
#[must_use]
pub fn stop() -> (i32, String) {
    if STOPPING.swap(true, Ordering::SeqCst) {
        loop {
            sched::outside("stopped", std::thread::park);
        }
    }
    let all: Vec<Arc<Connection>> =
        CONNECTIONS.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade).collect();
    for c in all {
        c.close_all();
    }
    let (violations, report) = pnp::unload();
    sched::end_log();
    (if violations == 0 { 0 } else { crate::report::EXIT_VIOLATION }, report)
}

/// Whether the machine's clients wait for it, so that virtual time may pass: there are some, and each waits for an answer. One that does
/// not is about to ask for something. A stop is waited for.
fn clients_wait() -> bool {
    let all: Vec<Arc<Connection>> =
        CONNECTIONS.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade).collect();
    stopping() || !all.is_empty() && all.iter().all(|c| c.waits())
}

/// Whether a stop has begun: nothing more is opened.
#[must_use]
pub fn stopping() -> bool {
    STOPPING.load(Ordering::SeqCst)
}

/// Ends the process after a stop.
pub fn finish(code: i32, report: &str, address: Option<&str>) -> ! {
    eprint!("dco-lab: {report}");
    if let Some(path) = address.and_then(|a| a.strip_prefix("unix:")) {
        // The socket may be gone already.
        let _ = std::fs::remove_file(path);
    }
    exit_now(code)
}
