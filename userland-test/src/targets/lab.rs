//! The lab's I/O protocol: docs/lab-protocol.md.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::{Completion, File, Null, Pending, Request, Target};
use crate::status::NtStatus;

/// The longest frame that either side may send.
const MAX_FRAME: usize = 1 << 24;

/// How long an answer may take that does not depend on the network or on a peer.
const PATIENCE: Duration = Duration::from_secs(30);

/// GENERIC_READ | GENERIC_WRITE, as OpenVPN asks for.
const READ_WRITE: u32 = 0xC000_0000;

/// Where a lab listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A TCP port, on loopback.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match path {
                "" => Err("expected a path after `unix:`, got nothing".into()),
                _ => Ok(Self::Unix(path.into())),
            };
        }
        let address: SocketAddr =
            text.parse().map_err(|_| format!("expected 127.0.0.1:PORT or unix:/path, got {text:?}"))?;
        match address.ip().is_loopback() {
            true => Ok(Self::Tcp(address)),
            false => Err(format!("expected a loopback address, for the protocol is not authenticated; got {address}")),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// What the transport must offer: a stream whose two directions are used by two threads.
enum Stream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(std::os::unix::net::UnixStream),
}

impl Stream {
    fn connect(address: &Address) -> io::Result<Self> {
        match address {
            Address::Tcp(address) => {
                let stream = TcpStream::connect_timeout(address, PATIENCE)?;
                stream.set_nodelay(true)?;
                Ok(Self::Tcp(stream))
            }
            #[cfg(unix)]
            Address::Unix(path) => Ok(Self::Unix(std::os::unix::net::UnixStream::connect(path)?)),
            #[cfg(not(unix))]
            Address::Unix(_) => Err(io::Error::new(io::ErrorKind::Unsupported, "this host has no Unix sockets")),
        }
    }

    fn reader(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(match self {
            Self::Tcp(stream) => Box::new(stream.try_clone()?),
            #[cfg(unix)]
            Self::Unix(stream) => Box::new(stream.try_clone()?),
        })
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.write_all(bytes),
            #[cfg(unix)]
            Self::Unix(stream) => stream.write_all(bytes),
        }
    }

    fn shutdown(&self) {
        // A stream that the lab has closed already has nothing left to shut down.
        let _ = match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Both),
            #[cfg(unix)]
            Self::Unix(stream) => stream.shutdown(Shutdown::Both),
        };
    }
}

/// A thread's number in its requests' ids, its own until it ends. The lab issues what is under different numbers at the same time.
struct ThreadNumber(u64);

impl ThreadNumber {
    /// The last one, which threads beyond it share.
    const LAST: u64 = 255;

    fn taken() -> MutexGuard<'static, BTreeSet<u64>> {
        static TAKEN: Mutex<BTreeSet<u64>> = Mutex::new(BTreeSet::new());
        lock(&TAKEN)
    }

    /// The lowest that is free: a number that is used again costs the lab no further thread.
    fn take() -> Self {
        let mut taken = Self::taken();
        let number = (1..Self::LAST).find(|number| !taken.contains(number)).unwrap_or(Self::LAST);
        taken.insert(number);
        Self(number)
    }
}

impl Drop for ThreadNumber {
    fn drop(&mut self) {
        Self::taken().remove(&self.0);
    }
}

thread_local! {
    static THREAD: ThreadNumber = ThreadNumber::take();
}

/// Operations of the protocol, with their payload.
enum Operation<'a> {
    Open { path: &'a str },
    Close { file: u64 },
    Ioctl { file: u64, code: u32, input: &'a [u8], output: usize, null: Null },
    Read { file: u64, length: usize },
    Write { file: u64, bytes: &'a [u8] },
    Cancel { id: u64 },
    Query { command: &'a str },
    Stop,
    Pnp { transition: &'a str },
}

impl Operation<'_> {
    fn frame(&self, id: u64) -> io::Result<Vec<u8>> {
        let mut frame = vec![0; 4];
        frame.extend(id.to_le_bytes());
        match self {
            Self::Open { path } => {
                frame.push(1);
                frame.extend(READ_WRITE.to_le_bytes());
                frame.extend(0u32.to_le_bytes());
                frame.extend(path.as_bytes());
            }
            Self::Close { file } => {
                frame.push(2);
                frame.extend(file.to_le_bytes());
            }
            Self::Ioctl { file, code, input, output, null } => {
                frame.push(3);
                frame.extend(file.to_le_bytes());
                frame.extend(code.to_le_bytes());
                frame.extend(length(*output)?.to_le_bytes());
                let null = (null.input || input.is_empty(), null.output || *output == 0);
                frame.push(u8::from(null.0) | u8::from(null.1) << 1);
                frame.extend(*input);
            }
            Self::Read { file, length: bytes } => {
                frame.push(4);
                frame.extend(file.to_le_bytes());
                frame.extend(length(*bytes)?.to_le_bytes());
            }
            Self::Write { file, bytes } => {
                frame.push(5);
                frame.extend(file.to_le_bytes());
                frame.extend(*bytes);
            }
            Self::Cancel { id } => {
                frame.push(6);
                frame.extend(id.to_le_bytes());
            }
            Self::Query { command } => {
                frame.push(7);
                frame.extend(command.as_bytes());
            }
            Self::Stop => frame.push(8),
            Self::Pnp { transition } => {
                frame.push(9);
                frame.extend(transition.as_bytes());
            }
        }
        let payload = frame.len() - 4;
        if payload > MAX_FRAME {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("a frame of {payload} bytes is too long")));
        }
        let header = length(payload)?.to_le_bytes();
        frame.splice(..4, header);
        Ok(frame)
    }
}

fn length(bytes: usize) -> io::Result<u32> {
    u32::try_from(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "a length past 32 bits"))
}

/// Requests whose response has not come yet.
#[derive(Default)]
struct Outstanding {
    waiters: BTreeMap<u64, Sender<Completion>>,
    next: u64,
    /// Why no further response will come.
    ended: Option<String>,
}

struct Connection {
    address: Address,
    stream: Mutex<Stream>,
    outstanding: Mutex<Outstanding>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Connection {
    fn start(self: &Arc<Self>, operation: &Operation<'_>) -> io::Result<Answer> {
        let (sender, receiver) = channel();
        let id = {
            let mut outstanding = lock(&self.outstanding);
            if let Some(why) = &outstanding.ended {
                return Err(self.lost(why));
            }
            outstanding.next += 1;
            let id = THREAD.with(|thread| thread.0) << 56 | outstanding.next;
            outstanding.waiters.insert(id, sender);
            id
        };
        let sent = operation.frame(id).and_then(|frame| lock(&self.stream).write_all(&frame));
        if let Err(error) = sent {
            lock(&self.outstanding).waiters.remove(&id);
            return Err(error);
        }
        Ok(Answer { connection: Arc::clone(self), id, receiver })
    }

    fn call(self: &Arc<Self>, operation: &Operation<'_>) -> io::Result<Completion> {
        self.call_within(operation, PATIENCE)
    }

    fn call_within(self: &Arc<Self>, operation: &Operation<'_>, patience: Duration) -> io::Result<Completion> {
        self.start(operation)?.wait(patience)?.ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::TimedOut,
                format!("the lab at {} gave no answer for {patience:?}", self.address),
            )
        })
    }

    fn lost(&self, why: &str) -> io::Error {
        io::Error::new(
            io::ErrorKind::ConnectionAborted,
            format!("the connection to the lab at {} ended: {why}", self.address),
        )
    }

    /// Hands responses to their waiters until the stream ends. Runs on a thread of its own.
    fn receive(&self, mut reader: impl Read) {
        let why = loop {
            match read_response(&mut reader) {
                Ok(Some((id, completion))) => {
                    let waiter = lock(&self.outstanding).waiters.remove(&id);
                    match waiter {
                        // Nobody waits any more if the request was dropped.
                        Some(waiter) => drop(waiter.send(completion)),
                        None => {
                            break format!("it answered request {id}, which is not outstanding");
                        }
                    }
                }
                Ok(None) => break "the lab closed it".to_owned(),
                Err(error) => break error.to_string(),
            }
        };
        let mut outstanding = lock(&self.outstanding);
        outstanding.ended = Some(why);
        outstanding.waiters.clear();
    }
}

/// Reads one frame; `None` at a clean end of the stream.
fn read_response(reader: &mut impl Read) -> io::Result<Option<(u64, Completion)>> {
    let mut header = [0; 4];
    match reader.read(&mut header)? {
        0 => return Ok(None),
        read => reader.read_exact(header.split_at_mut(read).1)?,
    }
    let bytes = u32::from_le_bytes(header) as usize;
    if bytes > MAX_FRAME {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a frame of {bytes} bytes is too long")));
    }
    let mut frame = vec![0; bytes];
    reader.read_exact(&mut frame)?;
    let short = || io::Error::new(io::ErrorKind::InvalidData, format!("a response of {bytes} bytes is too short"));
    let (id, rest) = frame.split_first_chunk().ok_or_else(short)?;
    let (status, rest) = rest.split_first_chunk().ok_or_else(short)?;
    let (information, output) = rest.split_first_chunk().ok_or_else(short)?;
    let (status, information) = (NtStatus(u32::from_le_bytes(*status)), u64::from_le_bytes(*information));
    // Nothing comes back with an error, and no more than `information` bytes otherwise.
    let spilled = output.len() as u64 > if status.is_error() { 0 } else { information };
    let completion = Completion { status, information, output: output.to_vec(), spilled };
    Ok(Some((u64::from_le_bytes(*id), completion)))
}

/// A connection to a lab.
pub struct Lab {
    connection: Arc<Connection>,
    receiver: Option<JoinHandle<()>>,
}

impl Lab {
    /// Connects. What different threads ask for, the lab's driver is asked for at the same time.
    pub fn connect(address: &Address) -> io::Result<Self> {
        let stream = Stream::connect(address)?;
        let reader = stream.reader()?;
        let connection = Arc::new(Connection {
            address: address.clone(),
            stream: Mutex::new(stream),
            outstanding: Mutex::default(),
        });
        let receiver = {
            let connection = Arc::clone(&connection);
            std::thread::Builder::new().name("lab-receive".into()).spawn(move || connection.receive(reader))?
        };
        Ok(Self { connection, receiver: Some(receiver) })
    }

    /// Asks the lab itself. The inner error is its refusal.
    pub fn query(&self, command: &str) -> io::Result<Result<String, NtStatus>> {
        let answer = self.connection.call(&Operation::Query { command })?;
        Ok(match answer.status.is_success() {
            true => Ok(String::from_utf8_lossy(&answer.output).into_owned()),
            false => Err(answer.status),
        })
    }

    /// Stops the device, unloads the driver and ends the lab. Gives the final report.
    pub fn stop(&self) -> io::Result<(NtStatus, String)> {
        let answer = self.connection.call_within(&Operation::Stop, PATIENCE * 2)?;
        Ok((answer.status, String::from_utf8_lossy(&answer.output).into_owned()))
    }

    /// Takes the device through a transition: `disable`, `enable`, `sleep` or `wake`.
    pub fn pnp(&self, transition: &str) -> io::Result<NtStatus> {
        Ok(self.connection.call(&Operation::Pnp { transition })?.status)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        lock(&self.connection.stream).shutdown();
        if let Some(receiver) = self.receiver.take() {
            // A receiver that panicked has said so on stderr.
            let _ = receiver.join();
        }
    }
}

impl Target for Lab {
    fn open(&self, path: &str) -> io::Result<Result<Box<dyn File>, NtStatus>> {
        let answer = self.connection.call(&Operation::Open { path })?;
        Ok(match answer.status.is_success() {
            true => Ok(Box::new(OpenFile {
                connection: Arc::clone(&self.connection),
                file: answer.information,
                closed: AtomicBool::new(false),
            })),
            false => Err(answer.status),
        })
    }

    fn alive(&self) -> bool {
        self.query("version").is_ok()
    }

    fn link_is_up(&self) -> io::Result<Option<bool>> {
        let text = self.query("adapter")?.map_err(|status| io::Error::other(format!("QUERY adapter: {status}")))?;
        match text.lines().find_map(|line| line.strip_prefix("link ")) {
            Some("up") => Ok(Some(true)),
            Some("down") => Ok(Some(false)),
            other => Err(io::Error::other(format!("QUERY adapter: expected `link up` or `link down`, got {other:?}"))),
        }
    }
}

struct OpenFile {
    connection: Arc<Connection>,
    file: u64,
    closed: AtomicBool,
}

impl File for OpenFile {
    fn start(&self, request: Request<'_>) -> io::Result<Box<dyn Pending>> {
        let file = self.file;
        let operation = match request {
            Request::Ioctl { code, input, output, null } => Operation::Ioctl { file, code, input, output, null },
            Request::Read { length } => Operation::Read { file, length },
            Request::Write { bytes } => Operation::Write { file, bytes },
        };
        Ok(Box::new(self.connection.start(&operation)?))
    }

    fn close(&self) -> io::Result<NtStatus> {
        self.closed.store(true, Ordering::Relaxed);
        Ok(self.connection.call(&Operation::Close { file: self.file })?.status)
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        if !self.closed.load(Ordering::Relaxed) {
            // Without a connection the lab has closed the file already.
            let _ = self.connection.call(&Operation::Close { file: self.file });
        }
    }
}

struct Answer {
    connection: Arc<Connection>,
    id: u64,
    receiver: Receiver<Completion>,
}

impl Pending for Answer {
    fn wait(&mut self, patience: Duration) -> io::Result<Option<Completion>> {
        match self.receiver.recv_timeout(patience) {
            Ok(completion) => Ok(Some(completion)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => {
                let outstanding = lock(&self.connection.outstanding);
                let why = outstanding.ended.as_deref().unwrap_or("the response was taken before");
                Err(self.connection.lost(why))
            }
        }
    }

    fn cancel(&mut self) -> io::Result<NtStatus> {
        Ok(self.connection.call(&Operation::Cancel { id: self.id })?.status)
    }
}

#[cfg(all(test, unix))]
mod tests;
