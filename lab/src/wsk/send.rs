//! Sending: straight from the driver's MDLs with `sendmmsg`, on the calling thread where possible, else on a sender
//! thread of the socket's, which waits for room.

use super::abi::{Buf, BufList, Irp};
use super::address::{self, LinuxAddress};
use super::datagram::Datagram;
use super::irp::{Held, send_async};
use super::lent::{self, Range};
use super::pending::{Call, Pending};
use super::receive::Turn;
use super::socket::{self, to_status};
use super::wake::Wake;
use super::{BAD_PARAMETER, buffer, line, not_implemented};
use crate::fault;
use crate::irql;
use crate::nt::{NTSTATUS, status};
use crate::report::{InCall, record};
use std::cell::RefCell;
use std::ffi::c_void;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

const BATCH: usize = 64;

/// Datagrams sent since the start.
pub static DATAGRAMS: AtomicU64 = AtomicU64::new(0);
/// Bytes sent since the start.
pub static BYTES: AtomicU64 = AtomicU64::new(0);
/// Send calls that the sender thread finished.
pub static LATE: AtomicU64 = AtomicU64::new(0);

struct Scratch {
    vecs: Vec<libc::iovec>,
    ends: [usize; BATCH],
    messages: Vec<libc::mmsghdr>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch {
        vecs: Vec::with_capacity(4 * BATCH),
        ends: [0; BATCH],
        // SAFETY: all zeroes is an empty message.
        messages: vec![unsafe { std::mem::zeroed() }; BATCH],
    });
}

/// One `WskSendTo` or `WskSendMessages` in progress.
#[derive(Debug)]
pub struct Op {
    held: Held,
    /// The next datagram, of `WskSendMessages`.
    list: *const BufList,
    /// The one datagram of `WskSendTo`.
    single: Option<Buf>,
    to: LinuxAddress,
    control: *const u8,
    control_len: usize,
    bytes: u64,
    error: NTSTATUS,
    /// Of what is left to send, since the call pends.
    fingerprint: u64,
}
// SAFETY: pointers into the driver's memory, which it keeps valid until the IRP completes, on whatever thread.
unsafe impl Send for Op {}

enum Progress {
    Done,
    /// The socket has no room.
    Full,
}

impl Op {
    /// The datagram after `at` and where it continues.
    fn step(&self, at: *const BufList) -> Option<(Buf, *const BufList)> {
        if at.is_null() {
            return None;
        }
        // SAFETY: the driver keeps the list valid until the IRP completes.
        let b = unsafe { *at };
        Some((b.buffer, b.next.cast_const()))
    }

    fn fail(&mut self, s: NTSTATUS) {
        if self.error == status::SUCCESS {
            self.error = s;
        }
    }

    /// Sends what is left, as far as the socket takes it.
    fn run(&mut self, socket: &Datagram) -> Progress {
        let mut linux_control = [0u8; address::CONTROL_ROOM];
        let mut control_len = 0;
        if self.control_len != 0 {
            // SAFETY: the driver keeps the control information valid until the IRP completes.
            let windows = unsafe { std::slice::from_raw_parts(self.control, self.control_len) };
            match address::control_to_linux(windows, &mut linux_control) {
                Some(n) => control_len = n,
                None => {
                    not_implemented("control information other than IP_PKTINFO and IPV6_PKTINFO");
                    self.fail(status::NOT_SUPPORTED);
                    return Progress::Done;
                }
            }
        }
        let control = &mut linux_control[..control_len];
        SCRATCH.with_borrow_mut(|s| {
            if line::active() { self.run_through(socket, s, control) } else { self.run_with(socket.raw(), s, control) }
        })
    }

    /// Hands what is left to the network that `--net` describes.
    fn run_through(&mut self, socket: &Datagram, s: &mut Scratch, control: &[u8]) -> Progress {
        let left: Vec<Buf> = self.left().collect();
        for buf in left {
            s.vecs.clear();
            // SAFETY: the driver keeps the MDLs valid until the IRP completes.
            if !unsafe { buffer::iovecs(&buf, &mut s.vecs) } {
                self.fail(status::INVALID_PARAMETER);
                return Progress::Done;
            }
            // SAFETY: the driver's locked memory.
            self.bytes += unsafe { line::send(socket.raw(), &s.vecs, &self.to, control, &socket.choices) };
            DATAGRAMS.fetch_add(1, Ordering::Relaxed);
            self.skip(1);
        }
        BYTES.fetch_add(self.bytes, Ordering::Relaxed);
        Progress::Done
    }

    fn run_with(&mut self, fd: i32, s: &mut Scratch, control: &mut [u8]) -> Progress {
        let mut refused = 0;
        loop {
            s.vecs.clear();
            let mut count = 0;
            let mut at = self.list;
            if let Some(buf) = self.single {
                // SAFETY: the driver keeps the MDLs valid until the IRP completes.
                if !unsafe { buffer::iovecs(&buf, &mut s.vecs) } {
                    self.fail(status::INVALID_PARAMETER);
                    return Progress::Done;
                }
                s.ends[0] = s.vecs.len();
                count = 1;
            }
            while count < BATCH
                && let Some((buf, next)) = self.step(at)
            {
                // SAFETY: as above.
                if !unsafe { buffer::iovecs(&buf, &mut s.vecs) } {
                    self.fail(status::INVALID_PARAMETER);
                    return Progress::Done;
                }
                s.ends[count] = s.vecs.len();
                count += 1;
                at = next;
            }
            if count == 0 {
                return Progress::Done;
            }
            let mut begin = 0;
            for (m, &end) in s.messages.iter_mut().zip(&s.ends).take(count) {
                m.msg_hdr.msg_name =
                    if self.to.len == 0 { std::ptr::null_mut() } else { self.to.bytes.as_mut_ptr().cast() };
                m.msg_hdr.msg_namelen = self.to.len;
                m.msg_hdr.msg_iov = s.vecs.as_mut_ptr().wrapping_add(begin);
                m.msg_hdr.msg_iovlen = end - begin;
                m.msg_hdr.msg_control =
                    if control.is_empty() { std::ptr::null_mut() } else { control.as_mut_ptr().cast() };
                m.msg_hdr.msg_controllen = control.len();
                begin = end;
            }
            let n = u32::try_from(count).unwrap_or(0);
            // SAFETY: the messages describe our arrays and the driver's locked memory.
            let sent =
                unsafe { libc::sendmmsg(fd, s.messages.as_mut_ptr(), n, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) };
            if let Ok(sent) = usize::try_from(sent) {
                let bytes: u64 = s.messages.iter().take(sent).map(|m| u64::from(m.msg_len)).sum();
                self.bytes += bytes;
                DATAGRAMS.fetch_add(sent as u64, Ordering::Relaxed);
                BYTES.fetch_add(bytes, Ordering::Relaxed);
                self.skip(sent);
                continue;
            }
            let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or(0);
            match errno {
                libc::EAGAIN | libc::ENOBUFS => return Progress::Full,
                libc::EINTR => {}
                // The answer to an earlier datagram; this one has not been sent.
                libc::ECONNREFUSED if refused < 8 => refused += 1,
                other => {
                    self.fail(to_status(other));
                    self.skip(1);
                }
            }
        }
    }

    fn skip(&mut self, n: usize) {
        if self.single.is_some() {
            self.single = None;
            return;
        }
        for _ in 0..n {
            if let Some((_, next)) = self.step(self.list) {
                self.list = next;
            }
        }
    }

    fn complete(self) -> NTSTATUS {
        let (error, bytes) = (self.error, if self.error == status::SUCCESS { self.bytes } else { 0 });
        self.held.complete(error, bytes)
    }

    /// Completes with `error`.
    pub fn end(mut self, error: NTSTATUS) -> NTSTATUS {
        self.error = error;
        self.complete()
    }

    /// The datagrams not sent yet.
    fn left(&self) -> impl Iterator<Item = Buf> + '_ {
        let mut at = self.list;
        self.single.into_iter().chain(std::iter::from_fn(move || {
            let (buf, next) = self.step(at)?;
            at = next;
            Some(buf)
        }))
    }

    fn fingerprint(&self) -> u64 {
        let mut vecs = Vec::new();
        for buf in self.left() {
            // SAFETY: the driver keeps the MDLs valid until the IRP completes.
            unsafe { buffer::iovecs(&buf, &mut vecs) };
        }
        // SAFETY: the driver's locked memory.
        unsafe { lent::fingerprint(&vecs) }
    }
}

impl Call for Op {
    fn held(&self) -> &Held {
        &self.held
    }
    fn held_mut(&mut self) -> &mut Held {
        &mut self.held
    }
    fn lent(&self, out: &mut Vec<Range>) {
        for buf in self.left() {
            // SAFETY: the driver's MDLs, live until the IRP completes.
            unsafe { lent::ranges(&buf, out) };
        }
        let mut at = self.list;
        while let Some((_, next)) = self.step(at) {
            out.push((at.addr(), at.addr() + size_of::<BufList>(), "WSK_BUF_LIST"));
            at = next;
        }
        if self.control_len != 0 {
            out.push((self.control.addr(), self.control.addr() + self.control_len, "control information"));
        }
    }
    fn check(&self) {
        if self.fingerprint() != self.fingerprint {
            lent::changed(self.held.irp().addr(), self.held.call());
        }
    }
    fn cancel(self) {
        self.end(status::CANCELLED);
    }
}

/// The sending side of a socket.
pub struct Tx {
    /// The flag: the sender thread has been started.
    pub calls: Pending<Op, bool>,
    /// Calls queued: while there are any, later ones queue behind them.
    waiting: AtomicUsize,
    wake: Wake,
}

impl std::fmt::Debug for Tx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tx").finish_non_exhaustive()
    }
}

impl Tx {
    /// With no thread yet.
    pub fn new() -> Result<Self, NTSTATUS> {
        Ok(Self { calls: Pending::new(false), waiting: AtomicUsize::new(0), wake: Wake::new()? })
    }

    /// Frees the descriptor; no thread runs any more.
    pub fn free(&self) {
        self.wake.close();
    }

    /// Makes the thread look at the socket's state.
    pub fn wake(&self) {
        let _calls = self.calls.lock();
        self.calls.notify();
        self.wake.signal();
    }

    fn later(&self, socket: &'static Datagram, mut op: Op) {
        op.fingerprint = op.fingerprint();
        let mut inner = self.calls.lock();
        let back = self.calls.push(&mut inner, socket.whole(), op);
        self.waiting.store(inner.calls.len(), Ordering::SeqCst);
        if !inner.state {
            inner.state = true;
            socket.start_thread("wsk-tx", move || run(socket));
        }
        drop(inner);
        if let Some(op) = back {
            op.cancel();
        }
    }
}

fn run(socket: &'static Datagram) {
    let tx = &socket.tx;
    let mut turn = 0u32;
    let mut inner = tx.calls.lock();
    while !socket.is_closing() {
        tx.waiting.store(inner.calls.len(), Ordering::SeqCst);
        let Some(op) = inner.calls.front_mut() else {
            inner = tx.calls.wait(inner);
            continue;
        };
        op.check();
        if let Progress::Full = op.run(socket) {
            op.fingerprint = op.fingerprint();
            drop(inner);
            tx.wake.wait_io(socket.raw(), libc::POLLOUT, -1);
            inner = tx.calls.lock();
            continue;
        }
        let Some(op) = tx.calls.pop(&mut inner) else {
            // Being cancelled: its routine takes it from the queue.
            inner = tx.calls.wait(inner);
            continue;
        };
        tx.waiting.store(inner.calls.len(), Ordering::SeqCst);
        drop(inner);
        LATE.fetch_add(1, Ordering::Relaxed);
        turn = turn.wrapping_add(1);
        {
            let _call = InCall::enter("completion of a WSK send");
            if turn.is_multiple_of(2) {
                op.complete();
            } else {
                irql::at(irql::DISPATCH, || op.complete());
            }
        }
        inner = tx.calls.lock();
    }
}

fn begin(call: &'static str, socket: &'static Datagram, mut op: Op, remote: *const u8) -> NTSTATUS {
    if !socket.is_bound() {
        op.error = status::INVALID_DEVICE_STATE;
        return op.complete();
    }
    if socket.is_dead() {
        return op.end(status::FILE_FORCED_CLOSED);
    }
    if remote.is_null() {
        op.to = *socket.default_remote.lock().unwrap_or_else(PoisonError::into_inner);
        if op.to.len == 0 {
            record(BAD_PARAMETER, "RemoteAddress is NULL, and the socket has no fixed remote or destination address");
            op.error = status::INVALID_PARAMETER;
            return op.complete();
        }
    } else {
        // SAFETY: not null; the driver's SOCKADDR.
        match unsafe { LinuxAddress::from_windows(remote, socket.family) } {
            Some(a) => op.to = a,
            None => {
                record(BAD_PARAMETER, &format!("RemoteAddress is not of the socket's family {}", socket.family));
                op.error = status::INVALID_PARAMETER;
                return op.complete();
            }
        }
    }
    if fault::fails(call) {
        return op.held.finish(Some(socket), status::INSUFFICIENT_RESOURCES, 0);
    }
    if socket.tx.waiting.load(Ordering::SeqCst) == 0 && !send_async() {
        let home = Turn::to_send_home(socket, &op.to);
        let progress = op.run(socket);
        if let Some(turn) = home {
            turn.deliver();
        }
        if let Progress::Done = progress {
            return op.complete();
        }
    }
    socket.tx.later(socket, op);
    status::PENDING
}

/// `WskSendTo`.
pub extern "win64" fn send_to(
    handle: *mut c_void,
    buf: *const Buf,
    flags: u32,
    remote: *const u8,
    control_len: u32,
    control: *const u8,
    irp: Irp,
) -> NTSTATUS {
    let _call = InCall::enter("WskSendTo");
    irql::require_at_most(irql::DISPATCH);
    let Some(entered) = socket::enter_datagram(handle) else { return status::INVALID_PARAMETER };
    // SAFETY: what the driver passed.
    let Some(held) = (unsafe { Held::take(irp) }) else { return status::INVALID_PARAMETER };
    if buf.is_null() || flags != 0 {
        record(BAD_PARAMETER, "Buffer must not be NULL and Flags must be 0");
        return held.complete(status::INVALID_PARAMETER, 0);
    }
    let control_len = if control.is_null() { 0 } else { control_len as usize };
    // SAFETY: not null; the driver's WSK_BUF.
    let single = Some(unsafe { *buf });
    let op = Op {
        held,
        list: std::ptr::null(),
        single,
        to: LinuxAddress::NONE,
        control,
        control_len,
        bytes: 0,
        error: status::SUCCESS,
        fingerprint: 0,
    };
    begin("WskSendTo", entered.socket(), op, remote)
}

/// `WskSendMessages`.
pub extern "win64" fn send_messages(
    handle: *mut c_void,
    list: *const BufList,
    flags: u32,
    remote: *const u8,
    control_len: u32,
    control: *const u8,
    irp: Irp,
) -> NTSTATUS {
    let _call = InCall::enter("WskSendMessages");
    irql::require_at_most(irql::DISPATCH);
    let Some(entered) = socket::enter_datagram(handle) else { return status::INVALID_PARAMETER };
    // SAFETY: what the driver passed.
    let Some(held) = (unsafe { Held::take(irp) }) else { return status::INVALID_PARAMETER };
    if list.is_null() || flags != 0 {
        record(BAD_PARAMETER, "BufferList must not be NULL and Flags must be 0");
        return held.complete(status::INVALID_PARAMETER, 0);
    }
    let control_len = if control.is_null() { 0 } else { control_len as usize };
    let op = Op {
        held,
        list,
        single: None,
        to: LinuxAddress::NONE,
        control,
        control_len,
        bytes: 0,
        error: status::SUCCESS,
        fingerprint: 0,
    };
    begin("WskSendMessages", entered.socket(), op, remote)
}
