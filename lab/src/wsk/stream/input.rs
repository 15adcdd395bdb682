//! What comes in: `WskReceive`, the event callbacks, `WskRelease`. One thread per socket reads for them; a receive that
//! finds its data there takes it on the caller's thread.

use super::super::abi::{
    ABORTIVE, AT_DISPATCH, Buf, ClientConnectionDispatch, DRAIN, DataIndication, ENTIRE_MESSAGE, EVENT_DISCONNECT,
    EVENT_RECEIVE, EVENT_SEND_BACKLOG, Irp, WAITALL,
};
use super::super::irp::{Completion, Held, mode};
use super::super::lent::{self, Range};
use super::super::net::Choices;
use super::super::pending::{Call, Guard};
use super::super::receive::BAD_RETURN;
use super::super::socket::{self, to_status};
use super::super::{BAD_PARAMETER, buffer, in_callback};
use super::{ABORTED, CONNECTED, Stream, check_flags};
use crate::fault;
use crate::irql;
use crate::ke::Balance;
use crate::nt::{NTSTATUS, status};
use crate::report::{InCall, Rule, record};
use std::cell::RefCell;
use std::ffi::c_void;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

const ACCEPTED: Rule = Rule::new(
    "wsk.bytes-accepted",
    "WDK: PFN_WSK_RECEIVE_EVENT (STATUS_SUCCESS: at least some of the data and no more than was indicated)",
);

/// Bytes received since the start.
pub static BYTES: AtomicU64 = AtomicU64::new(0);
/// `WskReceive` calls completed and indications made since the start.
pub static RECEIVES: AtomicU64 = AtomicU64::new(0);
static TURN: AtomicU32 = AtomicU32::new(0);

/// Bytes that one indication has at most.
const READ: usize = 64 * 1024;
/// The events of a connection, in the order of [`Input::running`].
const EVENTS: [u32; 3] = [EVENT_RECEIVE, EVENT_DISCONNECT, EVENT_SEND_BACKLOG];

thread_local! {
    static VECS: RefCell<Vec<libc::iovec>> = const { RefCell::new(Vec::new()) };
}

/// What the lock of the receives guards besides them.
pub struct Input {
    started: bool,
    /// Events enabled.
    mask: u32,
    /// Callbacks in progress, by event.
    running: [usize; 3],
    /// IRPs that disabled an event while its callback ran.
    disabling: Vec<(u32, Held)>,
    /// `WskReceiveEvent` left data: it is not called before the next `WskReceive`.
    paused: bool,
    /// What it left.
    stash: Vec<u8>,
    /// The thread has data in hand that comes before what is in the socket.
    busy: bool,
    /// The peer's end: `STATUS_SUCCESS` for its FIN.
    end: Option<NTSTATUS>,
    told: bool,
    choices: Choices,
}

impl Default for Input {
    fn default() -> Self {
        Self {
            started: false,
            mask: 0,
            running: [0; 3],
            disabling: Vec::new(),
            paused: false,
            stash: Vec::new(),
            busy: false,
            end: None,
            told: false,
            choices: Choices::new(),
        }
    }
}

/// A `WskReceive` in progress.
pub struct Receive {
    held: Held,
    buf: Buf,
    flags: u32,
    got: usize,
    /// What it completes with, once that is known: data that has been taken is not lost to a cancellation.
    code: Option<NTSTATUS>,
}
// SAFETY: pointers into the driver's memory, which it keeps valid until the IRP completes, on whatever thread.
unsafe impl Send for Receive {}

impl Call for Receive {
    fn held(&self) -> &Held {
        &self.held
    }
    fn held_mut(&mut self) -> &mut Held {
        &mut self.held
    }
    fn lent(&self, out: &mut Vec<Range>) {
        // SAFETY: the driver's MDLs, live until the IRP completes.
        unsafe { lent::ranges(&self.buf, out) };
    }
    fn cancel(self) {
        let code = self.code.unwrap_or(status::CANCELLED);
        self.end(code);
    }
}

impl Receive {
    /// Completes with `code` and what has come.
    pub fn end(self, code: NTSTATUS) -> NTSTATUS {
        RECEIVES.fetch_add(1, Ordering::Relaxed);
        let Self { held, got, .. } = self;
        held.complete(code, got as u64)
    }

    /// Takes what there is; the status to complete with, `None` while more must come.
    fn fill(&mut self, socket: &Stream, input: &mut Input) -> Option<NTSTATUS> {
        loop {
            if socket.phase() == ABORTED {
                return Some(status::CONNECTION_ABORTED);
            }
            if self.flags & DRAIN != 0 {
                input.stash.clear();
            }
            let read = if input.stash.is_empty() {
                match input.end {
                    Some(end) => return Some(end),
                    None if self.flags & DRAIN != 0 => discard(socket),
                    None => self.read(socket, input.choices.segment()),
                }
            } else {
                self.unstash(input)
            };
            match read {
                Read::Bytes(n) => {
                    if self.flags & DRAIN != 0 {
                        continue;
                    }
                    self.got += n;
                    BYTES.fetch_add(n as u64, Ordering::Relaxed);
                    if self.got == self.buf.length || self.flags & WAITALL == 0 {
                        return Some(status::SUCCESS);
                    }
                }
                Read::Empty => return None,
                Read::End(end) => input.end = Some(end),
                Read::Unusable => return Some(status::INVALID_PARAMETER),
            }
        }
    }

    fn unstash(&mut self, input: &mut Input) -> Read {
        VECS.with_borrow_mut(|vecs| {
            vecs.clear();
            // SAFETY: the driver keeps the buffer until the IRP completes.
            if !unsafe { buffer::iovecs(&self.buf, vecs) } {
                return Read::Unusable;
            }
            trim(vecs, self.got, usize::MAX);
            let mut n = 0;
            for v in vecs.iter() {
                let part = input.stash.get(n..).unwrap_or_default();
                let len = part.len().min(v.iov_len);
                // SAFETY: the driver's locked memory, `iov_len` bytes of it.
                unsafe { std::ptr::copy_nonoverlapping(part.as_ptr(), v.iov_base.cast(), len) };
                n += len;
            }
            input.stash.drain(..n);
            Read::Bytes(n)
        })
    }

    fn read(&self, socket: &Stream, limit: usize) -> Read {
        VECS.with_borrow_mut(|vecs| {
            vecs.clear();
            // SAFETY: the driver keeps the buffer until the IRP completes.
            if !unsafe { buffer::iovecs(&self.buf, vecs) } {
                return Read::Unusable;
            }
            trim(vecs, self.got, limit);
            // SAFETY: the iovecs describe the driver's locked memory.
            unsafe { receive_into(socket, vecs, 0) }
        })
    }
}

enum Read {
    Bytes(usize),
    Empty,
    /// The end of the stream, `STATUS_SUCCESS` for a FIN.
    End(NTSTATUS),
    /// The buffer breaks its contract.
    Unusable,
}

/// Leaves of the iovecs what lies behind the first `skip` bytes, `limit` bytes at most.
fn trim(vecs: &mut Vec<libc::iovec>, mut skip: usize, mut limit: usize) {
    vecs.retain_mut(|v| {
        let over = skip.min(v.iov_len);
        skip -= over;
        v.iov_base = v.iov_base.wrapping_byte_add(over);
        v.iov_len = (v.iov_len - over).min(limit);
        limit -= v.iov_len;
        v.iov_len != 0
    });
}

/// # Safety
/// The iovecs describe writable memory.
unsafe fn receive_into(socket: &Stream, vecs: &mut [libc::iovec], flags: i32) -> Read {
    loop {
        // SAFETY: all zeroes is an empty msghdr.
        let mut m: libc::msghdr = unsafe { std::mem::zeroed() };
        m.msg_iov = vecs.as_mut_ptr();
        m.msg_iovlen = vecs.len().min(1024);
        // SAFETY: as our caller promises.
        let n = unsafe { libc::recvmsg(socket.raw(), &raw mut m, libc::MSG_DONTWAIT | flags) };
        return match usize::try_from(n) {
            Ok(0) => Read::End(status::SUCCESS),
            Ok(n) => Read::Bytes(n),
            Err(_) => match std::io::Error::last_os_error().raw_os_error().unwrap_or(0) {
                libc::EAGAIN => Read::Empty,
                libc::EINTR => continue,
                _ if socket.phase() == ABORTED => Read::End(status::CONNECTION_ABORTED),
                // On an established connection that got no answer.
                libc::ETIMEDOUT => Read::End(status::CONNECTION_ABORTED),
                libc::ENOTCONN => Read::End(status::CONNECTION_RESET),
                other => Read::End(to_status(other)),
            },
        };
    }
}

/// Reads into `scratch`, and says what came.
fn read_some(socket: &Stream, scratch: &mut [u8], flags: i32) -> Read {
    let mut v = [libc::iovec { iov_base: scratch.as_mut_ptr().cast(), iov_len: scratch.len() }];
    // SAFETY: the slice is ours.
    unsafe { receive_into(socket, &mut v, flags) }
}

fn discard(socket: &Stream) -> Read {
    read_some(socket, &mut [0; 4096], 0)
}

/// The stream's end where it is known to be an error, else `code`.
pub fn end_or(socket: &Stream, code: NTSTATUS) -> NTSTATUS {
    if socket.phase() == ABORTED {
        return status::CONNECTION_ABORTED;
    }
    socket.input.lock().state.end.filter(|e| *e != status::SUCCESS).unwrap_or(code)
}

fn start(socket: &'static Stream, input: &mut Input) {
    if !input.started {
        input.started = true;
        socket.start_thread("wsk-rx", move || run(socket));
    }
    socket.input.notify();
    socket.input_wake.signal();
}

/// The events that have a callback.
pub fn present(e: &ClientConnectionDispatch) -> u32 {
    let there = [e.receive_event.is_some(), e.disconnect_event.is_some(), e.send_backlog_event.is_some()];
    EVENTS.iter().zip(there).filter(|(_, t)| *t).fold(0, |m, (e, _)| m | e)
}

/// The socket is connected: callbacks that are enabled for all sockets begin.
pub fn connected(socket: &'static Stream) {
    let mut input = socket.input.lock();
    socket.phase.store(CONNECTED, Ordering::SeqCst);
    let mask = present(&socket.events) & socket.client.static_mask.load(Ordering::SeqCst);
    input.state.mask |= mask;
    if mask != 0 {
        start(socket, &mut input.state);
    }
}

/// Enables events.
pub fn enable(socket: &'static Stream, mask: u32) {
    let mut input = socket.input.lock();
    input.state.mask |= mask;
    start(socket, &mut input.state);
}

/// Disables one event; an IRP completes when its callback runs no more.
pub fn disable(socket: &'static Stream, event: u32, held: Option<Held>) -> NTSTATUS {
    let mut input = socket.input.lock();
    input.state.mask &= !event;
    if running(&mut input.state, event).is_none_or(|n| *n == 0) {
        drop(input);
        return match held {
            Some(h) => h.finish(Some(socket), status::SUCCESS, 0),
            None => status::SUCCESS,
        };
    }
    match held {
        Some(h) => {
            h.mark_pending();
            input.state.disabling.push((event, h));
            status::PENDING
        }
        None => status::EVENT_PENDING,
    }
}

fn running(input: &mut Input, event: u32) -> Option<&mut usize> {
    let at = EVENTS.iter().position(|e| *e == event)?;
    input.running.get_mut(at)
}

/// Notes that a callback is going to run; `false` when it must not.
pub fn begin_event(socket: &'static Stream, event: u32) -> bool {
    let mut input = socket.input.lock();
    if input.state.mask & event == 0 || socket.is_closing() {
        return false;
    }
    if let Some(n) = running(&mut input.state, event) {
        *n += 1;
    }
    true
}

/// A callback has returned.
pub fn end_event(socket: &'static Stream, event: u32) {
    let mut input = socket.input.lock();
    if let Some(n) = running(&mut input.state, event) {
        *n -= 1;
    }
    let (done, rest): (Vec<_>, Vec<_>) =
        std::mem::take(&mut input.state.disabling).into_iter().partition(|(e, _)| *e == event);
    input.state.disabling = rest;
    drop(input);
    for (_, held) in done {
        held.complete(status::SUCCESS, 0);
    }
}

/// Completes what waits for callbacks to end, as the socket closes: none runs any more.
pub fn end_disabling(socket: &'static Stream) {
    let disabling = std::mem::take(&mut socket.input.lock().state.disabling);
    for (_, held) in disabling {
        held.complete(status::SUCCESS, 0);
    }
}

/// Calls the driver, at DISPATCH_LEVEL and PASSIVE_LEVEL in turn; the callback is told the flag that says which.
pub fn call_event(name: &'static str, f: impl FnOnce(u32) -> NTSTATUS) -> NTSTATUS {
    let _call = InCall::enter(name);
    let run = |flag| {
        in_callback(|| {
            let balance = Balance::before(name);
            let answer = f(flag);
            balance.after();
            answer
        })
    };
    if TURN.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
        irql::at(irql::DISPATCH, || run(AT_DISPATCH))
    } else {
        run(0)
    }
}

/// Records what an event callback returned that must return `STATUS_SUCCESS`.
pub fn must_succeed(name: &str, answer: NTSTATUS) {
    if answer != status::SUCCESS {
        record(BAD_RETURN, &format!("{name} returned {answer:#x}, and must return STATUS_SUCCESS"));
    }
}

enum Next {
    Nothing,
    Serve,
    Indicate,
    /// Call `WskDisconnectEvent`.
    Tell(NTSTATUS),
    /// Nobody reads, and the driver wants to know of the end.
    Watch,
}

fn next(socket: &Stream, calls: bool, input: &Input) -> Next {
    if !matches!(socket.phase(), CONNECTED | ABORTED) {
        return Next::Nothing;
    }
    if calls {
        return Next::Serve;
    }
    let reads = input.mask & EVENT_RECEIVE != 0 && !input.paused;
    if reads && (!input.stash.is_empty() || input.end.is_none()) && socket.phase() == CONNECTED {
        return Next::Indicate;
    }
    if input.mask & EVENT_DISCONNECT != 0 && !input.told && socket.phase() == CONNECTED {
        return match input.end {
            Some(end) if end != status::SUCCESS || input.stash.is_empty() => Next::Tell(end),
            Some(_) => Next::Nothing,
            None => Next::Watch,
        };
    }
    Next::Nothing
}

fn run(socket: &'static Stream) {
    let mut scratch = Vec::new();
    let mut input = socket.input.lock();
    while !socket.is_closing() {
        let calls = !input.calls.is_empty();
        match next(socket, calls, &input.state) {
            Next::Nothing => input = socket.input.wait(input),
            Next::Serve => input = serve(socket, input),
            Next::Indicate => input = indicate(socket, input, &mut scratch),
            Next::Tell(end) => {
                input.state.told = true;
                drop(input);
                tell(socket, end);
                input = socket.input.lock();
            }
            Next::Watch => input = watch(socket, input),
        }
    }
}

/// One step for the first waiting `WskReceive`.
fn serve<'a>(socket: &'static Stream, mut guard: Guard<'a, Receive, Input>) -> Guard<'a, Receive, Input> {
    let inner = &mut *guard;
    let Some(call) = inner.calls.front_mut() else { return guard };
    if call.code.is_some() {
        return socket.input.wait(guard);
    }
    call.code = call.fill(socket, &mut inner.state);
    let Some(code) = call.code else {
        drop(guard);
        socket.input_wake.wait_io(socket.raw(), libc::POLLIN, -1);
        return socket.input.lock();
    };
    let Some(call) = socket.input.pop(&mut guard) else {
        // Being cancelled: its routine takes it from the queue.
        return socket.input.wait(guard);
    };
    drop(guard);
    {
        let _call = InCall::enter("completion of WskReceive");
        if TURN.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
            irql::at(irql::DISPATCH, || call.end(code));
        } else {
            call.end(code);
        }
    }
    socket.input.lock()
}

/// One call of `WskReceiveEvent`, with what was left or what is there.
fn indicate<'a>(
    socket: &'static Stream,
    mut guard: Guard<'a, Receive, Input>,
    scratch: &mut Vec<u8>,
) -> Guard<'a, Receive, Input> {
    let Some(event) = socket.events.receive_event else { return socket.input.wait(guard) };
    let inner = &mut *guard;
    let mut data = std::mem::take(&mut inner.state.stash);
    if data.is_empty() {
        scratch.resize(READ, 0);
        match read_some(socket, scratch, 0) {
            Read::Bytes(n) => data.extend_from_slice(scratch.get(..n).unwrap_or_default()),
            Read::End(end) => {
                inner.state.end = Some(end);
                return guard;
            }
            Read::Empty | Read::Unusable => {
                drop(guard);
                socket.input_wake.wait_io(socket.raw(), libc::POLLIN, -1);
                return socket.input.lock();
            }
        }
    }
    inner.state.busy = true;
    if let Some(n) = running(&mut inner.state, EVENT_RECEIVE) {
        *n += 1;
    }
    let head = socket.indications.list(&data, &inner.state.choices);
    drop(guard);
    RECEIVES.fetch_add(1, Ordering::Relaxed);
    let mut accepted = data.len();
    let context = socket.context as *mut c_void;
    let answer = call_event("WskReceiveEvent", |flag| {
        // SAFETY: the callback and context the driver gave WskSocket; the list lives until it is released.
        unsafe { event(context, flag | ENTIRE_MESSAGE, head.cast::<DataIndication>(), data.len(), &raw mut accepted) }
    });
    let taken = match answer {
        status::PENDING => {
            socket.indications.retain(head);
            data.len()
        }
        status::SUCCESS => {
            socket.indications.take_back(head);
            if accepted == 0 || accepted > data.len() {
                record(ACCEPTED, &format!("{} bytes were indicated, {accepted} accepted", data.len()));
            }
            accepted.min(data.len())
        }
        other => {
            socket.indications.take_back(head);
            if other != status::DATA_NOT_ACCEPTED {
                record(BAD_RETURN, &format!("WskReceiveEvent returned {other:#x}"));
            }
            0
        }
    };
    BYTES.fetch_add(taken as u64, Ordering::Relaxed);
    {
        let mut guard = socket.input.lock();
        let state = &mut guard.state;
        state.busy = false;
        if taken < data.len() {
            data.drain(..taken);
            state.stash = data;
            // A receive that came meanwhile takes it, and lets the callbacks go on.
            state.paused = true;
        }
    }
    end_event(socket, EVENT_RECEIVE);
    let mut guard = socket.input.lock();
    if !guard.calls.is_empty() {
        guard.state.paused = false;
    }
    guard
}

fn tell(socket: &'static Stream, end: NTSTATUS) {
    let Some(event) = socket.events.disconnect_event else { return };
    if !begin_event(socket, EVENT_DISCONNECT) {
        return;
    }
    let context = socket.context as *mut c_void;
    let how = if end == status::SUCCESS { 0 } else { ABORTIVE };
    // SAFETY: the callback and context the driver gave WskSocket.
    let answer = call_event("WskDisconnectEvent", |flag| unsafe { event(context, flag | how) });
    must_succeed("WskDisconnectEvent", answer);
    end_event(socket, EVENT_DISCONNECT);
}

/// Looks for the end of a stream that nobody reads: a FIN counts when it is next, a reset at once.
fn watch<'a>(socket: &'static Stream, mut guard: Guard<'a, Receive, Input>) -> Guard<'a, Receive, Input> {
    let events = match read_some(socket, &mut [0], libc::MSG_PEEK) {
        Read::End(end) => {
            guard.state.end = Some(end);
            return guard;
        }
        Read::Empty => Some(libc::POLLIN),
        // Unread data: only an error is news, and a hang-up that says nothing of one must not be polled for again.
        Read::Bytes(_) | Read::Unusable if hung_up(socket) => {
            let error = super::out::socket_error(socket.raw());
            if error != 0 {
                guard.state.end = Some(to_status(error));
                return guard;
            }
            None
        }
        Read::Bytes(_) | Read::Unusable => Some(0),
    };
    drop(guard);
    socket.input_wake.wait_io(if events.is_some() { socket.raw() } else { -1 }, events.unwrap_or(0), -1);
    socket.input.lock()
}

fn hung_up(socket: &Stream) -> bool {
    let mut p = libc::pollfd { fd: socket.raw(), events: 0, revents: 0 };
    // SAFETY: one entry of ours.
    unsafe { libc::poll(&raw mut p, 1, 0) };
    p.revents != 0
}

/// Whether this receive is to go through the thread though it need not.
fn receive_async() -> bool {
    match mode() {
        Completion::Inline => false,
        Completion::Async => true,
        Completion::Alternate => TURN.fetch_add(1, Ordering::Relaxed) % 16 == 15,
    }
}

/// `WskReceive`.
pub extern "win64" fn receive(handle: *mut c_void, buf: *const Buf, flags: u32, irp: Irp) -> NTSTATUS {
    let _call = InCall::enter("WskReceive");
    irql::require_at_most(irql::DISPATCH);
    let Some(entered) = socket::enter_stream(handle) else { return status::INVALID_PARAMETER };
    let socket = entered.socket();
    // SAFETY: what the driver passed.
    let Some(held) = (unsafe { Held::take(irp) }) else { return status::INVALID_PARAMETER };
    if !check_flags(flags, WAITALL | DRAIN) {
        return held.complete(status::INVALID_PARAMETER, 0);
    }
    // SAFETY: null or the driver's WSK_BUF.
    let Some(&buf) = (unsafe { buf.as_ref() }) else {
        record(BAD_PARAMETER, "Buffer must not be NULL");
        return held.complete(status::INVALID_PARAMETER, 0);
    };
    if flags == WAITALL | DRAIN || flags & DRAIN != 0 && buf.length != 0 {
        record(BAD_PARAMETER, "WSK_FLAG_DRAIN excludes WSK_FLAG_WAITALL and a Length");
        return held.complete(status::INVALID_PARAMETER, 0);
    }
    match socket.phase() {
        CONNECTED => {}
        ABORTED => return held.finish(Some(socket), status::CONNECTION_ABORTED, 0),
        _ => return held.finish(Some(socket), status::INVALID_DEVICE_STATE, 0),
    }
    if fault::fails("WskReceive") {
        return held.finish(Some(socket), status::INSUFFICIENT_RESOURCES, 0);
    }
    let mut guard = socket.input.lock();
    if guard.state.paused {
        guard.state.paused = false;
        start(socket, &mut guard.state);
    }
    if buf.length == 0 && flags & DRAIN == 0 {
        drop(guard);
        return held.finish(Some(socket), status::SUCCESS, 0);
    }
    let mut call = Receive { held, buf, flags, got: 0, code: None };
    if guard.calls.is_empty() && !guard.state.busy && !receive_async() {
        let inner = &mut *guard;
        if let Some(code) = call.fill(socket, &mut inner.state) {
            if inner.state.end.is_some() {
                socket.input.notify();
            }
            drop(guard);
            return call.end(code);
        }
    }
    let back = socket.input.push(&mut guard, socket.whole(), call);
    start(socket, &mut guard.state);
    drop(guard);
    if let Some(call) = back {
        call.cancel();
    }
    status::PENDING
}

/// `WskRelease`.
pub extern "win64" fn release(handle: *mut c_void, list: *mut DataIndication) -> NTSTATUS {
    let _call = InCall::enter("WskRelease");
    irql::require_at_most(irql::DISPATCH);
    let Some(entered) = socket::enter_stream(handle) else { return status::INVALID_PARAMETER };
    entered.socket().indications.release(list.cast())
}
