//! What goes out: `WskConnect`, `WskSend` and `WskDisconnect`, queued in one order and served by one thread.

use super::super::abi::{ABORTIVE, Buf, EVENT_SEND_BACKLOG, Irp, NODELAY};
use super::super::address::LinuxAddress;
use super::super::irp::{Held, send_async};
use super::super::lent::{self, Range};
use super::super::pending::{Call, Guard};
use super::super::socket::{self, address_of, to_status};
use super::super::{BAD_PARAMETER, buffer, control, net, send::BYTES};
use super::{ABORTED, CONNECTED, CONNECTING, Stream, UNCONNECTED, check_flags, input, tcp_state};
use crate::fault;
use crate::irql;
use crate::nt::{NTSTATUS, status};
use crate::report::{InCall, record};
use std::cell::RefCell;
use std::ffi::c_void;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// `WskSend` calls since the start.
pub static SENDS: AtomicU64 = AtomicU64::new(0);
/// `WskSend` calls that pended.
pub static LATE: AtomicU64 = AtomicU64::new(0);

/// Linux's `IOV_MAX`.
const VECS: usize = 1024;
/// Linux's `TCP_FIN_WAIT2`, `TCP_TIME_WAIT`, `TCP_CLOSE`: our FIN is acknowledged, or there is no connection.
const FINISHED: [u8; 3] = [5, 6, 7];

thread_local! {
    static SCRATCH: RefCell<Vec<libc::iovec>> = RefCell::new(Vec::with_capacity(VECS));
}

/// What the lock of the queue guards besides it.
#[derive(Default)]
pub struct Output {
    started: bool,
    /// The backlog that `WskSendBacklogEvent` was last told.
    backlog: usize,
}

enum Work {
    /// With `WskSocketConnect`, `Information` is the socket, and there is none when it fails.
    Connect {
        to: LinuxAddress,
        begun: bool,
        made: bool,
    },
    Send {
        sent: usize,
    },
    /// Sends what there is, then the FIN, then waits for its acknowledgement.
    Finish {
        sent: usize,
        fin: bool,
    },
}

/// A call in progress.
pub struct Out {
    held: Held,
    buf: Buf,
    work: Work,
    socket: &'static Stream,
    /// Not before then, where `--net delay` says so.
    due: Option<Instant>,
    /// Of what is left to send, since the call pends.
    fingerprint: u64,
}
// SAFETY: pointers into the driver's memory, which it keeps valid until the IRP completes, on whatever thread.
unsafe impl Send for Out {}

const NOTHING: Buf = Buf { mdl: std::ptr::null_mut(), offset: 0, length: 0 };

impl Call for Out {
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
    fn check(&self) {
        if self.fingerprint() != self.fingerprint {
            lent::changed(self.held.irp().addr(), self.held.call());
        }
    }
    /// What TCP has begun to send it cannot take back: then the connection goes with the call.
    fn cancel(self) {
        let code = match self.work {
            Work::Send { sent } if sent == self.buf.length => status::SUCCESS,
            Work::Send { sent } if sent != 0 => {
                self.socket.reset();
                self.socket.wake();
                status::CANCELLED
            }
            _ => status::CANCELLED,
        };
        self.end(code);
    }
}

enum Step {
    Done(NTSTATUS),
    /// Until the Linux socket is writable.
    Writable,
    /// Until so many milliseconds are over: a state of TCP's that nothing announces.
    Look(i32),
}

/// Sends `buf` from `sent` on, as far as the socket takes it.
fn push(fd: i32, buf: &Buf, sent: &mut usize) -> Result<bool, NTSTATUS> {
    SCRATCH.with_borrow_mut(|vecs| {
        while *sent < buf.length {
            vecs.clear();
            // SAFETY: the driver keeps the MDLs valid until the IRP completes.
            if !unsafe { buffer::iovecs(buf, vecs) } {
                return Err(status::INVALID_PARAMETER);
            }
            let rest = skip(vecs, *sent);
            // SAFETY: all zeroes is an empty msghdr.
            let mut m: libc::msghdr = unsafe { std::mem::zeroed() };
            m.msg_iov = rest.as_mut_ptr();
            m.msg_iovlen = rest.len().min(VECS);
            // SAFETY: the message describes the driver's locked memory.
            let n = unsafe { libc::sendmsg(fd, &raw const m, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) };
            if let Ok(n) = usize::try_from(n) {
                *sent += n;
                BYTES.fetch_add(n as u64, Ordering::Relaxed);
                continue;
            }
            match std::io::Error::last_os_error().raw_os_error().unwrap_or(0) {
                libc::EAGAIN => return Ok(false),
                libc::EINTR => {}
                // On an established connection that got no answer.
                libc::ETIMEDOUT => return Err(status::CONNECTION_ABORTED),
                other => return Err(to_status(other)),
            }
        }
        Ok(true)
    })
}

/// The iovecs behind the first `n` bytes.
fn skip(vecs: &mut [libc::iovec], mut n: usize) -> &mut [libc::iovec] {
    let mut at = 0;
    for v in vecs.iter_mut() {
        if n < v.iov_len {
            v.iov_base = v.iov_base.wrapping_byte_add(n);
            v.iov_len -= n;
            break;
        }
        n -= v.iov_len;
        at += 1;
    }
    vecs.get_mut(at..).unwrap_or_default()
}

impl Out {
    fn new(socket: &'static Stream, held: Held, buf: Buf, work: Work) -> Self {
        Self { held, buf, work, socket, due: net::due(), fingerprint: 0 }
    }

    /// Does what can be done without waiting.
    fn step(&mut self) -> Step {
        let fd = self.socket.raw();
        match &mut self.work {
            Work::Connect { to, begun, .. } => step_connect(fd, to, begun),
            Work::Send { sent } => match push(fd, &self.buf, sent) {
                Ok(true) => Step::Done(status::SUCCESS),
                Ok(false) => Step::Writable,
                Err(s) => Step::Done(input::end_or(self.socket, s)),
            },
            Work::Finish { sent, fin } => {
                if !*fin {
                    match push(fd, &self.buf, sent) {
                        Ok(true) => {}
                        Ok(false) => return Step::Writable,
                        Err(s) => return Step::Done(input::end_or(self.socket, s)),
                    }
                    // SAFETY: an open socket.
                    unsafe { libc::shutdown(fd, libc::SHUT_WR) };
                    *fin = true;
                }
                // Nothing announces the acknowledgement of a FIN.
                if FINISHED.contains(&tcp_state(fd)) {
                    let error = match socket_error(fd) {
                        0 => status::SUCCESS,
                        e => to_status(e),
                    };
                    Step::Done(input::end_or(self.socket, error))
                } else {
                    Step::Look(2)
                }
            }
        }
    }

    /// Completes with `code`, and makes of the socket what that means.
    pub fn end(self, code: NTSTATUS) -> NTSTATUS {
        let Self { held, buf, work, socket, .. } = self;
        let good = code == status::SUCCESS;
        let information = match work {
            Work::Connect { made, .. } => {
                if good {
                    input::connected(socket);
                } else {
                    socket.reset();
                    let _ = socket.phase.compare_exchange(CONNECTING, UNCONNECTED, Ordering::SeqCst, Ordering::SeqCst);
                    if made {
                        socket.whole().abandon();
                    }
                }
                if made && good { socket.handle() as u64 } else { 0 }
            }
            Work::Send { .. } if good => buf.length as u64,
            _ => 0,
        };
        held.complete(code, information)
    }

    fn fingerprint(&self) -> u64 {
        let sent = match self.work {
            Work::Send { sent } | Work::Finish { sent, .. } => sent,
            Work::Connect { .. } => return 0,
        };
        let mut vecs = Vec::new();
        // SAFETY: the driver keeps the MDLs valid until the IRP completes.
        if !unsafe { buffer::iovecs(&self.buf, &mut vecs) } {
            return 0;
        }
        // SAFETY: the driver's locked memory.
        unsafe { lent::fingerprint(skip(&mut vecs, sent)) }
    }
}

fn step_connect(fd: i32, to: &LinuxAddress, begun: &mut bool) -> Step {
    let code = if *begun {
        if !writable(fd) {
            return Step::Writable;
        }
        socket_error(fd)
    } else {
        *begun = true;
        // SAFETY: an open socket and an address of its length.
        if unsafe { libc::connect(fd, to.as_ptr(), to.len) } == 0 {
            0
        } else {
            std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
        }
    };
    match code {
        0 => Step::Done(status::SUCCESS),
        libc::EINPROGRESS => Step::Writable,
        other => Step::Done(to_status(other)),
    }
}

/// Linux's error of the socket, which it forgets with that.
pub fn socket_error(fd: i32) -> i32 {
    let (mut error, mut len) = (0i32, 4u32);
    // SAFETY: an int of ours, its size stated.
    unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_ERROR, (&raw mut error).cast(), &raw mut len) };
    error
}

fn writable(fd: i32) -> bool {
    let mut p = libc::pollfd { fd, events: libc::POLLOUT, revents: 0 };
    // SAFETY: one entry of ours.
    unsafe { libc::poll(&raw mut p, 1, 0) };
    p.revents != 0
}

/// Queues a call for the thread; what the call returns.
fn queue(socket: &'static Stream, mut guard: Guard<'_, Out, Output>, mut call: Out) -> NTSTATUS {
    call.fingerprint = call.fingerprint();
    let back = socket.out.push(&mut guard, socket.whole(), call);
    if !guard.state.started {
        guard.state.started = true;
        socket.start_thread("wsk-tx", move || run(socket));
    }
    drop(guard);
    if let Some(call) = back {
        call.cancel();
    }
    status::PENDING
}

fn run(socket: &'static Stream) {
    let mut turn = 0u32;
    let mut out = socket.out.lock();
    while !socket.is_closing() {
        let Some(front) = out.calls.front_mut() else {
            out = socket.out.wait(out);
            continue;
        };
        let wait = front.due.map(|d| d.saturating_duration_since(Instant::now())).filter(|d| !d.is_zero());
        if let Some(wait) = wait {
            drop(out);
            let ms = i32::try_from(wait.as_micros().div_ceil(1000)).unwrap_or(i32::MAX);
            socket.out_wake.wait_io(-1, 0, ms);
            out = socket.out.lock();
            continue;
        }
        front.check();
        let step = front.step();
        front.fingerprint = front.fingerprint();
        let code = match step {
            Step::Done(code) => code,
            Step::Writable | Step::Look(_) => {
                drop(out);
                let (events, ms) = if let Step::Look(ms) = step { (0, ms) } else { (libc::POLLOUT, -1) };
                socket.out_wake.wait_io(if events == 0 { -1 } else { socket.raw() }, events, ms);
                out = socket.out.lock();
                continue;
            }
        };
        let Some(call) = socket.out.pop(&mut out) else {
            // Being cancelled: its routine takes it from the queue.
            out = socket.out.wait(out);
            continue;
        };
        drop(out);
        LATE.fetch_add(1, Ordering::Relaxed);
        turn = turn.wrapping_add(1);
        {
            let _call = InCall::enter("completion of a WSK call");
            if turn.is_multiple_of(2) {
                call.end(code);
            } else {
                irql::at(irql::DISPATCH, || call.end(code));
            }
        }
        tell_backlog(socket);
        out = socket.out.lock();
    }
}

/// What keeps the connection full, as far as TCP knows: the congestion window.
pub fn ideal_backlog(socket: &Stream) -> usize {
    let mut info = [0u32; 26];
    let mut len = 104u32;
    // SAFETY: that many bytes of ours. After 8 bytes: rto, ato, snd_mss, ... ; snd_cwnd is the 21st word.
    unsafe {
        libc::getsockopt(socket.raw(), libc::IPPROTO_TCP, libc::TCP_INFO, info.as_mut_ptr().cast(), &raw mut len);
    }
    info[4] as usize * (info[20] as usize).max(1)
}

fn tell_backlog(socket: &'static Stream) {
    let Some(event) = socket.events.send_backlog_event else { return };
    if !input::begin_event(socket, EVENT_SEND_BACKLOG) {
        return;
    }
    let ideal = ideal_backlog(socket);
    let told = std::mem::replace(&mut socket.out.lock().state.backlog, ideal);
    if told != ideal {
        let context = socket.context as *mut c_void;
        // SAFETY: the callback and context the driver gave WskSocket.
        let answer = input::call_event("WskSendBacklogEvent", |_| unsafe { event(context, ideal) });
        input::must_succeed("WskSendBacklogEvent", answer);
    }
    input::end_event(socket, EVENT_SEND_BACKLOG);
}

/// Starts a connect; what the call returns.
pub fn begin_connect(socket: &'static Stream, to: LinuxAddress, held: Held, made: bool) -> NTSTATUS {
    let begin = socket.phase.compare_exchange(UNCONNECTED, CONNECTING, Ordering::SeqCst, Ordering::SeqCst);
    if !socket.is_bound() || begin.is_err() {
        if begin.is_ok() {
            socket.phase.store(UNCONNECTED, Ordering::SeqCst);
        }
        return held.finish(Some(socket), status::INVALID_DEVICE_STATE, 0);
    }
    // WskSocketConnect has asked for itself.
    if !made && fault::fails("WskConnect") {
        socket.phase.store(UNCONNECTED, Ordering::SeqCst);
        return held.finish(Some(socket), status::INSUFFICIENT_RESOURCES, 0);
    }
    let call = Out::new(socket, held, NOTHING, Work::Connect { to, begun: false, made });
    queue(socket, socket.out.lock(), call)
}

/// `WskConnect`.
pub extern "win64" fn connect(handle: *mut c_void, remote: *const u8, flags: u32, irp: Irp) -> NTSTATUS {
    let _call = InCall::enter("WskConnect");
    irql::require_at_most(irql::DISPATCH);
    let Some(entered) = socket::enter_stream(handle) else { return status::INVALID_PARAMETER };
    let socket = entered.socket();
    // SAFETY: what the driver passed.
    let Some(held) = (unsafe { Held::take(irp) }) else { return status::INVALID_PARAMETER };
    if !check_flags(flags, 0) {
        return held.complete(status::INVALID_PARAMETER, 0);
    }
    // SAFETY: what the driver passed.
    match unsafe { address_of(remote, socket.family, "RemoteAddress") } {
        Ok(to) => begin_connect(socket, to, held, false),
        Err(s) => held.complete(s, 0),
    }
}

/// `WskSend`.
pub extern "win64" fn send(handle: *mut c_void, buf: *const Buf, flags: u32, irp: Irp) -> NTSTATUS {
    let _call = InCall::enter("WskSend");
    irql::require_at_most(irql::DISPATCH);
    let Some(entered) = socket::enter_stream(handle) else { return status::INVALID_PARAMETER };
    let socket = entered.socket();
    // SAFETY: what the driver passed.
    let Some(held) = (unsafe { Held::take(irp) }) else { return status::INVALID_PARAMETER };
    if !check_flags(flags, NODELAY) {
        return held.complete(status::INVALID_PARAMETER, 0);
    }
    // SAFETY: null or the driver's WSK_BUF.
    let Some(&buf) = (unsafe { buf.as_ref() }) else {
        record(BAD_PARAMETER, "Buffer must not be NULL");
        return held.complete(status::INVALID_PARAMETER, 0);
    };
    if let Some(s) = cannot_send(socket) {
        return held.finish(Some(socket), s, 0);
    }
    if fault::fails("WskSend") {
        return held.finish(Some(socket), status::INSUFFICIENT_RESOURCES, 0);
    }
    if flags & NODELAY != 0 {
        let _ = control::set_int(socket.raw(), libc::IPPROTO_TCP, libc::TCP_NODELAY, 1);
    }
    SENDS.fetch_add(1, Ordering::Relaxed);
    let mut call = Out::new(socket, held, buf, Work::Send { sent: 0 });
    let out = socket.out.lock();
    if out.calls.is_empty()
        && call.due.is_none()
        && !send_async()
        && let Step::Done(code) = call.step()
    {
        drop(out);
        return call.end(code);
    }
    queue(socket, out, call)
}

fn cannot_send(socket: &Stream) -> Option<NTSTATUS> {
    match socket.phase() {
        CONNECTED if socket.finished.load(Ordering::SeqCst) => Some(status::CONNECTION_DISCONNECTED),
        CONNECTED => None,
        ABORTED => Some(status::CONNECTION_ABORTED),
        _ => Some(status::INVALID_DEVICE_STATE),
    }
}

/// `WskDisconnect`.
pub extern "win64" fn disconnect(handle: *mut c_void, buf: *const Buf, flags: u32, irp: Irp) -> NTSTATUS {
    let _call = InCall::enter("WskDisconnect");
    irql::require_at_most(irql::DISPATCH);
    let Some(entered) = socket::enter_stream(handle) else { return status::INVALID_PARAMETER };
    let socket = entered.socket();
    // SAFETY: what the driver passed.
    let Some(held) = (unsafe { Held::take(irp) }) else { return status::INVALID_PARAMETER };
    if !check_flags(flags, ABORTIVE) {
        return held.complete(status::INVALID_PARAMETER, 0);
    }
    if flags & ABORTIVE != 0 {
        if !buf.is_null() {
            record(BAD_PARAMETER, "Buffer must be NULL with WSK_FLAG_ABORTIVE");
            return held.complete(status::INVALID_PARAMETER, 0);
        }
        return abort(socket, held);
    }
    if let Some(s) = cannot_send(socket) {
        return held.finish(Some(socket), s, 0);
    }
    // Of the orderly kind only: an abort sends nothing and needs nothing.
    if fault::fails("WskDisconnect") {
        return held.finish(Some(socket), status::INSUFFICIENT_RESOURCES, 0);
    }
    if socket.finished.swap(true, Ordering::SeqCst) {
        return held.finish(Some(socket), status::CONNECTION_DISCONNECTED, 0);
    }
    // SAFETY: null or the driver's WSK_BUF.
    let buf = unsafe { buf.as_ref() }.copied().unwrap_or(NOTHING);
    let call = Out::new(socket, held, buf, Work::Finish { sent: 0, fin: false });
    queue(socket, socket.out.lock(), call)
}

/// An abortive disconnect.
fn abort(socket: &'static Stream, held: Held) -> NTSTATUS {
    if socket.phase.compare_exchange(CONNECTED, ABORTED, Ordering::SeqCst, Ordering::SeqCst).is_err() {
        return held.finish(Some(socket), status::INVALID_DEVICE_STATE, 0);
    }
    socket.finished.store(true, Ordering::SeqCst);
    socket.reset();
    socket.wake();
    socket.out.drain(|o| {
        o.end(status::CANCELLED);
    });
    socket.input.drain(|r| {
        r.end(status::CONNECTION_ABORTED);
    });
    held.finish(Some(socket), status::SUCCESS, 0)
}
