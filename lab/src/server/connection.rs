//! One connection: its open files, its outstanding requests, its order of responses.

use super::frame::{MAX_OUTPUT, Op, Request as Frame, response};
use crate::io::file::{Completed, OpenFile, OpenOptions, open};
use crate::io::request::{Control, Outcome, Request};
use crate::ke::sched::Condvar;
use crate::nt::{NTSTATUS, status};
use crate::{ke, pnp};
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, VecDeque, btree_map};
use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Numbers of files: never used twice, so that a stale one is an invalid handle.
static NEXT_FILE: AtomicU64 = AtomicU64::new(1);

/// A request's id, shifted by so many bits, is the number of the client's thread that issues it.
const THREAD_SHIFT: u32 = 56;

enum Message {
    Bytes(Vec<u8>),
    /// Everything before this is written; then the process ends with this status.
    Finish(i32, String),
}

#[derive(Default)]
struct State {
    files: HashMap<u64, Arc<OpenFile>>,
    /// Requests by the caller's id; `None` until the request has been issued, and for what cannot be cancelled.
    outstanding: HashMap<u64, Option<Arc<Request>>>,
    /// Opens that the driver has not completed.
    opening: usize,
    /// Files that are being closed.
    closing: usize,
    closed: bool,
}

/// One of the client's threads, which issues its requests in their order, one after the other.
struct User {
    /// What it is to issue, and whether that is all.
    frames: Mutex<(VecDeque<Frame>, bool)>,
    change: Condvar,
    gone: AtomicBool,
}

/// The client's threads that requests have named, but for 0, which is the one that reads the connection.
#[derive(Default)]
struct Users(BTreeMap<u64, Arc<User>>);

impl User {
    fn lock(&self) -> MutexGuard<'_, (VecDeque<Frame>, bool)> {
        self.frames.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, connection: &Arc<Connection>) {
        let mut frames = self.lock();
        loop {
            if let Some(frame) = frames.0.pop_front() {
                drop(frames);
                connection.serve(frame);
                frames = self.lock();
            } else if frames.1 {
                break;
            } else {
                frames = self.change.wait(&self.frames, frames);
            }
        }
        // Under the lock, or who waits could miss it.
        self.gone.store(true, Ordering::Release);
        self.change.notify_all();
    }
}

impl Users {
    /// Has a request issued by the thread that its id names.
    fn issue(&mut self, connection: &Arc<Connection>, frame: Frame) {
        let number = frame.id >> THREAD_SHIFT;
        if number == 0 {
            return connection.serve(frame);
        }
        let user = match self.0.entry(number) {
            btree_map::Entry::Occupied(known) => known.into_mut(),
            btree_map::Entry::Vacant(place) => {
                let user =
                    Arc::new(User { frames: Mutex::default(), change: Condvar::new(), gone: AtomicBool::new(false) });
                let (it, c) = (Arc::clone(&user), Arc::clone(connection));
                if ke::spawn("lab-user", move || it.run(&c)).is_err() {
                    return connection.reply(frame.id, status::INSUFFICIENT_RESOURCES, 0, &[]);
                }
                place.insert(user)
            }
        };
        user.lock().0.push_back(frame);
        user.change.notify_all();
    }

    /// Waits until all has been issued, and ends the threads.
    fn end(self) {
        for user in self.0.into_values() {
            let mut frames = user.lock();
            frames.1 = true;
            user.change.notify_all();
            while !user.gone.load(Ordering::Acquire) {
                frames = user.change.wait(&user.frames, frames);
            }
        }
    }
}

/// A connection.
pub struct Connection {
    state: Mutex<State>,
    settled: Condvar,
    out: Sender<Message>,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let s = self.lock();
        write!(f, "Connection({} files, {} requests)", s.files.len(), s.outstanding.len())
    }
}

impl Connection {
    /// Makes a connection and the thread that writes its responses.
    ///
    /// # Errors
    /// When the host cannot make the thread.
    pub fn new(mut writer: Box<dyn Write + Send>) -> std::io::Result<Arc<Self>> {
        let (out, messages) = channel();
        ke::spawn_aside("lab-write", move || {
            let mut ready = Vec::new();
            while let Ok(first) = messages.recv() {
                // What is there already goes out in one write.
                let mut end = None;
                for m in std::iter::once(first).chain(messages.try_iter()) {
                    match m {
                        Message::Bytes(b) => ready.extend(b),
                        Message::Finish(code, report) => end = Some((code, report)),
                    }
                }
                // A peer that is gone is noticed by the reader.
                let _ = writer.write_all(&ready);
                ready.clear();
                if let Some((code, report)) = end {
                    super::finish(code, &report, None);
                }
            }
        })?;
        Ok(Arc::new(Self { state: Mutex::new(State::default()), settled: Condvar::new(), out }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a response.
    fn answer(&self, id: u64, code: NTSTATUS, information: u64, output: &[u8]) {
        // Without its writer the connection is at its end.
        let _ = self.out.send(Message::Bytes(response(id, code, information, output)));
    }

    /// Serves requests until the stream ends or is malformed. All have been issued when this returns.
    pub fn read_all(self: &Arc<Self>, reader: &mut dyn Read) {
        let mut users = Users::default();
        self.read_with(&mut users, reader);
        users.end();
    }

    fn read_with(self: &Arc<Self>, users: &mut Users, reader: &mut dyn Read) {
        loop {
            match Frame::read(reader) {
                Ok(Some(f)) => {
                    let duplicate = match self.lock().outstanding.entry(f.id) {
                        Entry::Occupied(_) => true,
                        Entry::Vacant(v) => {
                            v.insert(None);
                            false
                        }
                    };
                    if duplicate {
                        eprintln!("dco-lab: a connection used id {} twice", f.id);
                        return;
                    }
                    users.issue(self, f);
                }
                Ok(None) => return,
                Err(e) => {
                    if e.kind() != std::io::ErrorKind::ConnectionReset {
                        eprintln!("dco-lab: a connection ended: {e}");
                    }
                    return;
                }
            }
        }
    }

    /// Answers a request that is complete.
    fn reply(&self, id: u64, code: NTSTATUS, information: u64, output: &[u8]) {
        self.lock().outstanding.remove(&id);
        self.answer(id, code, information, output);
    }

    /// Whether its client waits for an answer.
    pub(super) fn waits(&self) -> bool {
        !self.lock().outstanding.is_empty()
    }

    fn file(&self, number: u64) -> Option<Arc<OpenFile>> {
        self.lock().files.get(&number).cloned()
    }

    fn completed(self: &Arc<Self>, id: u64) -> Completed {
        let c = Arc::clone(self);
        Box::new(move |o: Outcome| c.reply(id, o.status, o.information, &o.output))
    }

    /// Notes what cancels a request, unless it is complete already.
    fn issued(&self, id: u64, request: Option<Arc<Request>>) {
        if let Some(slot) = self.lock().outstanding.get_mut(&id) {
            *slot = request;
        }
    }

    fn serve(self: &Arc<Self>, frame: Frame) {
        let id = frame.id;
        match frame.op {
            Op::Open { access, share, path } => self.open(id, &path, OpenOptions { access, share }),
            Op::Close(number) => {
                let Some(file) = self.begin_close(number) else {
                    return self.reply(id, status::INVALID_HANDLE, 0, &[]);
                };
                let c = Arc::clone(self);
                self.off_thread(id, "lab-close", move || {
                    c.end_close(&file);
                    c.reply(id, status::SUCCESS, 0, &[]);
                });
            }
            Op::Ioctl { file, code, out_len, flags, input } => {
                let Some(f) = self.file(file) else { return self.reply(id, status::INVALID_HANDLE, 0, &[]) };
                let out_len = usize::try_from(out_len).unwrap_or(usize::MAX);
                if out_len > MAX_OUTPUT {
                    return self.reply(id, status::INVALID_PARAMETER, 0, &[]);
                }
                let control = Control {
                    code,
                    input: (flags & 1 == 0).then_some(input.as_slice()),
                    output: (flags & 2 == 0).then_some(out_len),
                };
                let r = f.control(&control, self.completed(id));
                self.issued(id, r);
            }
            Op::Read { file, len } => {
                let Some(f) = self.file(file) else { return self.reply(id, status::INVALID_HANDLE, 0, &[]) };
                let len = usize::try_from(len).unwrap_or(usize::MAX);
                if len > MAX_OUTPUT {
                    return self.reply(id, status::INVALID_PARAMETER, 0, &[]);
                }
                let r = f.read(len, self.completed(id));
                self.issued(id, r);
            }
            Op::Write { file, bytes } => {
                let Some(f) = self.file(file) else { return self.reply(id, status::INVALID_HANDLE, 0, &[]) };
                let r = f.write(&bytes, self.completed(id));
                self.issued(id, r);
            }
            Op::Cancel(other) => {
                let target = self.lock().outstanding.get(&other).cloned().flatten();
                let found = target.is_some_and(|r| r.cancel());
                self.reply(id, if found { status::SUCCESS } else { status::NOT_FOUND }, 0, &[]);
            }
            Op::Query(name) => self.query(id, name.trim()),
            Op::Stop => {
                let c = Arc::clone(self);
                self.off_thread(id, "lab-stop", move || {
                    let (code, report) = super::stop();
                    c.reply(
                        id,
                        if code == 0 { status::SUCCESS } else { status::UNSUCCESSFUL },
                        report.len() as u64,
                        report.as_bytes(),
                    );
                    // The writer ends the process when the answer is out.
                    if c.out.send(Message::Finish(code, report.clone())).is_err() {
                        super::finish(code, &report, None);
                    }
                });
            }
            Op::Pnp(what) => {
                let f: fn() -> Result<(), NTSTATUS> = match what.trim() {
                    "disable" => pnp::disable,
                    "enable" => pnp::enable,
                    "sleep" => || pnp::power(true),
                    "wake" => || pnp::power(false),
                    "surprise" => pnp::surprise,
                    _ => return self.reply(id, status::INVALID_PARAMETER, 0, &[]),
                };
                let c = Arc::clone(self);
                self.off_thread(id, "lab-pnp", move || c.reply(id, f().err().unwrap_or(status::SUCCESS), 0, &[]));
            }
            Op::Unknown(_) => self.reply(id, status::INVALID_PARAMETER, 0, &[]),
        }
    }

    fn query(self: &Arc<Self>, id: u64, name: &str) {
        if let Some(arguments) = name.strip_prefix("peek ") {
            let (c, arguments) = (Arc::clone(self), arguments.to_owned());
            return self.off_thread(id, "lab-peek", move || match super::peek(&arguments) {
                Ok(text) => c.reply(id, status::SUCCESS, text.len() as u64, text.as_bytes()),
                Err(code) => c.reply(id, code, 0, &[]),
            });
        }
        if let Some(seconds) = name.strip_prefix("clock +") {
            return match seconds.parse() {
                Ok(seconds) => {
                    ke::time::jump(seconds);
                    let text = ke::time::listing();
                    self.reply(id, status::SUCCESS, text.len() as u64, text.as_bytes());
                }
                Err(_) => self.reply(id, status::INVALID_PARAMETER, 0, &[]),
            };
        }
        match super::query(name) {
            Some(text) => self.reply(id, status::SUCCESS, text.len() as u64, text.as_bytes()),
            None => self.reply(id, status::INVALID_PARAMETER, 0, &[]),
        }
    }

    /// Runs what may block on a thread of its own, so that the connection goes on reading.
    fn off_thread(self: &Arc<Self>, id: u64, name: &str, f: impl FnOnce() + Send + 'static) {
        if ke::spawn(name, f).is_err() {
            self.reply(id, status::INSUFFICIENT_RESOURCES, 0, &[]);
        }
    }

    fn open(self: &Arc<Self>, id: u64, path: &str, options: OpenOptions) {
        {
            let mut s = self.lock();
            if s.closed || super::stopping() {
                drop(s);
                return self.reply(id, status::NO_SUCH_DEVICE, 0, &[]);
            }
            s.opening += 1;
        }
        let c = Arc::clone(self);
        open(
            path,
            options,
            Box::new(move |code, file| {
                let mut number = 0;
                let mut s = c.lock();
                s.opening -= 1;
                if let Some(f) = file {
                    number = NEXT_FILE.fetch_add(1, Ordering::Relaxed);
                    s.files.insert(number, f);
                }
                drop(s);
                c.settled.notify_all();
                c.reply(id, code, number, &[]);
            }),
        );
    }

    fn begin_close(&self, number: u64) -> Option<Arc<OpenFile>> {
        let mut s = self.lock();
        let file = s.files.remove(&number)?;
        s.closing += 1;
        Some(file)
    }

    fn end_close(&self, file: &Arc<OpenFile>) {
        file.close();
        pnp::after_close();
        self.lock().closing -= 1;
        self.settled.notify_all();
    }

    /// The process that held this connection is gone: its files are closed as NT closes them. Returns when all of them are, those too
    /// that another thread closes.
    pub fn close_all(self: &Arc<Self>) {
        let mut s = self.lock();
        s.closed = true;
        while s.opening != 0 {
            s = self.settled.wait(&self.state, s);
        }
        let files: Vec<Arc<OpenFile>> = s.files.drain().map(|(_, f)| f).collect();
        s.closing += files.len();
        drop(s);
        for f in files {
            self.end_close(&f);
        }
        let mut s = self.lock();
        while s.closing != 0 {
            s = self.settled.wait(&self.state, s);
        }
    }
}
