//! Receiving: indication lists built by a thread per socket, `WskRelease`, `WskReceiveFrom`.

use super::abi::{AT_DISPATCH, Buf, DatagramIndication, Irp, ReceiveFromEvent};
use super::address::{self, LinuxAddress};
use super::buffer;
use super::datagram::Datagram;
use super::irp::Held;
use super::lent::{self, Range};
use super::line;
use super::net;
use super::nodes::{BATCH, Batch, Node, Nodes};
use super::pending::{Call, Pending};
use super::socket;
use super::wake::Wake;
use crate::ke::Balance;
use crate::nt::{NTSTATUS, status};
use crate::report::{InCall, Rule, record};
use crate::{fault, irql};
use std::cell::Cell;
use std::ffi::c_void;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// What an event callback returned.
pub const BAD_RETURN: Rule = Rule::new(
    "wsk.bad-callback-status",
    "WDK: PFN_WSK_RECEIVE_FROM_EVENT and its kin (SUCCESS, PENDING or DATA_NOT_ACCEPTED)",
);
const AFTER_DISABLE: Rule =
    Rule::new("wsk.not-accepted-static", "WDK: WSK_SET_STATIC_EVENT_CALLBACKS (the callbacks cannot be disabled)");

/// Datagrams indicated since the start.
pub static DATAGRAMS: AtomicU64 = AtomicU64::new(0);
/// Indication lists since the start.
pub static LISTS: AtomicU64 = AtomicU64::new(0);
static THREADS: AtomicUsize = AtomicUsize::new(1);

/// Threads per socket that call `WskReceiveFromEvent`: datagram callbacks may run at once on several processors.
pub fn set_threads(n: usize) {
    THREADS.store(n.clamp(1, 4), Ordering::SeqCst);
}

/// A `WskReceiveFrom` in progress.
#[derive(Debug)]
pub struct Request {
    held: Held,
    buf: Buf,
    remote: *mut u8,
}
// SAFETY: pointers into the driver's memory, which it keeps valid until the IRP completes, on whatever thread.
unsafe impl Send for Request {}

impl Call for Request {
    fn held(&self) -> &Held {
        &self.held
    }
    fn held_mut(&mut self) -> &mut Held {
        &mut self.held
    }
    fn lent(&self, out: &mut Vec<Range>) {
        // SAFETY: the driver's MDLs, live until the IRP completes.
        unsafe { lent::ranges(&self.buf, out) };
        if !self.remote.is_null() {
            out.push((self.remote.addr(), self.remote.addr() + 16, "remote address"));
        }
    }
    fn cancel(self) {
        self.held.complete(status::CANCELLED, 0);
    }
}

/// Lists that a callback did not accept, to be indicated again.
struct Stash(Vec<*mut Node>);
// SAFETY: nodes belong to whoever holds them, here the gate.
unsafe impl Send for Stash {}

/// What else the lock of the requests guards.
pub struct Gate {
    enabled: bool,
    fixed: bool,
    started: bool,
    in_callback: usize,
    disabling: Vec<Held>,
    stash: Stash,
    /// A thread has the [`Turn`].
    taken: bool,
}

/// The receiving side of a socket.
pub struct Rx {
    /// `WskReceiveFrom` calls, and the callback's state.
    pub requests: Pending<Request, Gate>,
    nodes: Nodes,
    received: AtomicU64,
    wake: Wake,
}

impl std::fmt::Debug for Rx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rx").finish_non_exhaustive()
    }
}

impl Rx {
    /// With no thread yet.
    pub fn new() -> Result<Self, NTSTATUS> {
        let gate = Gate {
            enabled: false,
            fixed: false,
            started: false,
            in_callback: 0,
            disabling: Vec::new(),
            stash: Stash(Vec::new()),
            taken: false,
        };
        Ok(Self { requests: Pending::new(gate), nodes: Nodes::new(), received: AtomicU64::new(0), wake: Wake::new()? })
    }

    /// Makes the threads look at the socket's state.
    pub fn wake(&self) {
        let _gate = self.requests.lock();
        self.requests.notify();
        self.nodes.wake();
        self.wake.signal();
    }

    /// Lists the driver holds.
    pub fn retained(&self) -> usize {
        self.nodes.retained()
    }

    /// Frees all buffers and the descriptor; no thread runs any more.
    pub fn free_buffers(&self) {
        self.nodes.free_all();
        self.wake.close();
    }

    /// Completes pending `WskReceiveFrom` calls as cancelled.
    pub fn cancel_all(&self) {
        self.requests.drain(Call::cancel);
        let disabling = std::mem::take(&mut self.requests.lock().state.disabling);
        for held in disabling {
            held.complete(status::SUCCESS, 0);
        }
    }
}

fn start(socket: &'static Datagram, gate: &mut Gate) {
    if !gate.started {
        gate.started = true;
        for _ in 0..THREADS.load(Ordering::SeqCst) {
            socket.start_thread("wsk-rx", move || run(socket));
        }
    }
    socket.rx.requests.notify();
    socket.rx.wake.signal();
}

/// Enables `WskReceiveFromEvent`; `fixed` by static event callbacks.
pub fn enable(socket: &'static Datagram, fixed: bool) {
    let mut inner = socket.rx.requests.lock();
    inner.state.enabled = true;
    inner.state.fixed = fixed;
    start(socket, &mut inner.state);
}

/// Disables it; an IRP completes when no callback runs any more.
pub fn disable(socket: &'static Datagram, held: Option<Held>) -> NTSTATUS {
    let mut inner = socket.rx.requests.lock();
    let gate = &mut inner.state;
    gate.enabled = false;
    if gate.in_callback == 0 {
        drop(inner);
        return match held {
            Some(h) => h.finish(Some(socket), status::SUCCESS, 0),
            None => status::SUCCESS,
        };
    }
    match held {
        Some(h) => {
            h.mark_pending();
            gate.disabling.push(h);
            status::PENDING
        }
        None => status::EVENT_PENDING,
    }
}

enum Next {
    Close,
    Indicate(ReceiveFromEvent, Vec<*mut Node>),
    Serve,
}

/// Waits until there is something to receive for.
fn next(socket: &'static Datagram) -> Next {
    let mut inner = socket.rx.requests.lock();
    loop {
        let gate = &mut inner.state;
        if socket.is_closing() {
            return Next::Close;
        }
        if gate.enabled
            && !socket.is_dead()
            && let Some(event) = socket.event
        {
            return Next::Indicate(event, std::mem::take(&mut gate.stash.0));
        }
        if !inner.calls.is_empty() {
            return Next::Serve;
        }
        inner = socket.rx.requests.wait(inner);
    }
}

/// The right to take datagrams from a socket and to indicate them. One thread has it at a time, so that they stay in their order; where
/// callbacks may run at once ([`set_threads`]) everybody has it.
pub struct Turn {
    socket: &'static Datagram,
    event: ReceiveFromEvent,
    alone: bool,
}

thread_local! {
    /// What a sending thread receives with.
    static OWN: Cell<Option<Batch>> = const { Cell::new(None) };
}

impl Turn {
    /// Waits for it. `None` when there is nothing to take it for: the socket closes.
    fn wait(socket: &'static Datagram, event: ReceiveFromEvent) -> Option<Self> {
        let alone = THREADS.load(Ordering::SeqCst) == 1;
        let mut inner = socket.rx.requests.lock();
        while alone && inner.state.taken && !socket.is_closing() {
            inner = socket.rx.requests.wait(inner);
        }
        if socket.is_closing() {
            return None;
        }
        inner.state.taken = alone;
        Some(Self { socket, event, alone })
    }

    /// Takes it for a send to the socket's own address, before the send, if the datagram is to come back on this thread, as it does on
    /// Windows: within the send, with whatever locks the sender holds. It is not to where that would be within another of the socket's
    /// callbacks, nor while one runs on another thread.
    pub fn to_send_home(socket: &'static Datagram, to: &LinuxAddress) -> Option<Self> {
        if !socket.is_own(to) || line::active() || THREADS.load(Ordering::SeqCst) != 1 {
            return None;
        }
        let event = socket.event?;
        let mut inner = socket.rx.requests.lock();
        let gate = &mut inner.state;
        if !gate.enabled || gate.taken || !gate.stash.0.is_empty() || socket.is_closing() || socket.is_dead() {
            return None;
        }
        gate.taken = true;
        Some(Self { socket, event, alone: true })
    }

    /// Indicates what has come, on this thread.
    pub fn deliver(self) {
        let mut batch = OWN.take().unwrap_or_else(Batch::new);
        // Linux hands loopback datagrams over within the send, unless its own thread for that is busy just then.
        let mut soon = libc::pollfd { fd: self.socket.raw(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one pollfd of this frame.
        unsafe { libc::poll(&raw mut soon, 1, 20) };
        // Without a free buffer the receiving thread takes over, which waits for one.
        while self.socket.rx.nodes.fill(&mut batch, || true) && self.take(&mut batch) == BATCH {}
        self.socket.rx.nodes.give_back(&mut batch);
        OWN.set(Some(batch));
    }

    /// Receives into the batch, and indicates that; says how many datagrams it was.
    fn take(&self, batch: &mut Batch) -> usize {
        let Self { socket, event, .. } = *self;
        let n = batch.receive(socket.raw(), &socket.choices);
        if n != 0 {
            indicate(socket, event, batch.received(n));
            batch.consume(n);
            let all = socket.rx.received.fetch_add(n as u64, Ordering::Relaxed) + n as u64;
            if (1..=all).contains(&net::get().die) && socket.die() {
                indicate_end(socket, event);
            }
        }
        n
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.alone {
            self.socket.rx.requests.lock().state.taken = false;
            self.socket.rx.requests.notify();
        }
    }
}

fn run(socket: &'static Datagram) {
    let mut batch = Batch::new();
    let mut more = false;
    loop {
        match next(socket) {
            Next::Close => break,
            Next::Serve => {
                if socket.rx.wake.wait_io(socket.raw(), libc::POLLIN, -1) {
                    serve(socket);
                }
            }
            Next::Indicate(event, stash) => {
                if !stash.is_empty() {
                    indicate(socket, event, &stash);
                    continue;
                }
                // At least one buffer, or the driver must release some first.
                if !socket.rx.nodes.fill(&mut batch, || socket.is_closing()) {
                    continue;
                }
                if !more && !socket.rx.wake.wait_io(socket.raw(), libc::POLLIN, -1) {
                    continue;
                }
                let Some(turn) = Turn::wait(socket, event) else { continue };
                more = turn.take(&mut batch) == BATCH;
            }
        }
    }
    socket.rx.nodes.give_back(&mut batch);
}

/// Calls the driver with a list of these nodes, and does what it answers.
fn indicate(socket: &'static Datagram, event: ReceiveFromEvent, list: &[*mut Node]) {
    let Some(&head) = list.first() else { return };
    {
        let mut inner = socket.rx.requests.lock();
        let gate = &mut inner.state;
        if !gate.enabled || socket.is_closing() {
            gate.stash.0.extend_from_slice(list);
            return;
        }
        gate.in_callback += 1;
    }
    Nodes::link(list);
    DATAGRAMS.fetch_add(list.len() as u64, Ordering::Relaxed);
    LISTS.fetch_add(1, Ordering::Relaxed);
    let answer = {
        let _call = InCall::enter("WskReceiveFromEvent");
        super::in_callback(|| {
            irql::at(irql::DISPATCH, || {
                let balance = Balance::before("WskReceiveFromEvent");
                // SAFETY: the callback and context the driver gave WskSocket; the list lives until it is released.
                let answer =
                    unsafe { event(socket.context as *mut c_void, AT_DISPATCH, head.cast::<DatagramIndication>()) };
                balance.after();
                answer
            })
        })
    };
    let (mut stash, mut dropped) = (false, None);
    match answer {
        status::SUCCESS => socket.rx.nodes.taken_back(head),
        status::PENDING => socket.rx.nodes.retain(head),
        status::DATA_NOT_ACCEPTED => stash = true,
        other => {
            record(BAD_RETURN, &format!("WskReceiveFromEvent returned {other:#x}"));
            socket.rx.nodes.taken_back(head);
        }
    }
    let mut inner = socket.rx.requests.lock();
    let gate = &mut inner.state;
    gate.in_callback -= 1;
    if stash {
        if gate.fixed {
            dropped = Some(head);
        } else {
            gate.enabled = false;
            gate.stash.0.extend_from_slice(list);
            Nodes::unlink(list);
        }
    }
    let done = if gate.in_callback == 0 { std::mem::take(&mut gate.disabling) } else { Vec::new() };
    drop(inner);
    if let Some(head) = dropped {
        record(AFTER_DISABLE, "STATUS_DATA_NOT_ACCEPTED from a static callback");
        socket.rx.nodes.taken_back(head);
    }
    for held in done {
        held.complete(status::SUCCESS, 0);
    }
}

/// Tells the driver that the socket is dead: a list of no datagrams.
fn indicate_end(socket: &'static Datagram, event: ReceiveFromEvent) {
    {
        let mut inner = socket.rx.requests.lock();
        if !inner.state.enabled || socket.is_closing() {
            return;
        }
        inner.state.in_callback += 1;
    }
    {
        let _call = InCall::enter("WskReceiveFromEvent");
        super::in_callback(|| {
            irql::at(irql::DISPATCH, || {
                let balance = Balance::before("WskReceiveFromEvent");
                // SAFETY: the callback and context the driver gave WskSocket.
                unsafe { event(socket.context as *mut c_void, AT_DISPATCH, std::ptr::null_mut()) };
                balance.after();
            });
        });
    }
    let mut inner = socket.rx.requests.lock();
    inner.state.in_callback -= 1;
    let done = if inner.state.in_callback == 0 { std::mem::take(&mut inner.state.disabling) } else { Vec::new() };
    drop(inner);
    for held in done {
        held.complete(status::SUCCESS, 0);
    }
}

/// One datagram for the first waiting `WskReceiveFrom`.
fn serve(socket: &'static Datagram) {
    let mut inner = socket.rx.requests.lock();
    let Some(request) = inner.calls.front() else { return };
    let mut vecs = Vec::new();
    // SAFETY: the driver keeps the buffer until the IRP completes.
    if !unsafe { buffer::iovecs(&request.buf, &mut vecs) } {
        let request = socket.rx.requests.pop(&mut inner);
        drop(inner);
        if let Some(r) = request {
            r.held.complete(status::INVALID_PARAMETER, 0);
        }
        return;
    }
    let mut from = [0u8; 32];
    // SAFETY: all zeroes is an empty msghdr.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_name = from.as_mut_ptr().cast();
    message.msg_namelen = 32;
    message.msg_iov = vecs.as_mut_ptr();
    message.msg_iovlen = vecs.len();
    // SAFETY: the message describes our address buffer and the driver's locked memory.
    let n = unsafe { libc::recvmsg(socket.raw(), &raw mut message, libc::MSG_DONTWAIT) };
    let Ok(n) = u64::try_from(n) else {
        // Nothing there after all, or an ICMP error of an earlier send, which WSK does not report here.
        return;
    };
    if !request.remote.is_null() {
        // SAFETY: the kernel wrote an address there.
        let len = unsafe { address::to_windows_in_place(from.as_mut_ptr()) };
        // SAFETY: the driver's buffer for an address of the socket's family, valid until the IRP completes.
        unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), request.remote, len) };
    }
    // A request that is cancelled at this moment takes the datagram with it.
    let Some(request) = socket.rx.requests.pop(&mut inner) else { return };
    drop(inner);
    let cut = message.msg_flags & libc::MSG_TRUNC != 0;
    irql::at(irql::DISPATCH, || request.held.complete(if cut { status::BUFFER_OVERFLOW } else { status::SUCCESS }, n));
}

/// `WskReceiveFrom`.
pub extern "win64" fn receive_from(
    handle: *mut c_void,
    buf: *const Buf,
    flags: u32,
    remote: *mut u8,
    control_len: *mut u32,
    _control: *mut c_void,
    control_flags: *mut u32,
    irp: Irp,
) -> NTSTATUS {
    let _call = InCall::enter("WskReceiveFrom");
    irql::require_at_most(irql::DISPATCH);
    let Some(entered) = socket::enter_datagram(handle) else { return status::INVALID_PARAMETER };
    let socket = entered.socket();
    // SAFETY: what the driver passed.
    let Some(held) = (unsafe { Held::take(irp) }) else { return status::INVALID_PARAMETER };
    if buf.is_null() || flags != 0 {
        record(super::BAD_PARAMETER, "Buffer must not be NULL and Flags must be 0");
        return held.complete(status::INVALID_PARAMETER, 0);
    }
    if !socket.is_bound() || socket.is_dead() {
        let code = if socket.is_dead() { status::FILE_FORCED_CLOSED } else { status::INVALID_DEVICE_STATE };
        return held.finish(Some(socket), code, 0);
    }
    if fault::fails("WskReceiveFrom") {
        return held.finish(Some(socket), status::INSUFFICIENT_RESOURCES, 0);
    }
    for p in [control_len, control_flags] {
        if !p.is_null() {
            // SAFETY: the driver's variable.
            unsafe { p.write(0) };
        }
    }
    // SAFETY: not null; the driver's WSK_BUF.
    let request = Request { held, buf: unsafe { *buf }, remote };
    let mut inner = socket.rx.requests.lock();
    let back = socket.rx.requests.push(&mut inner, socket.whole(), request);
    start(socket, &mut inner.state);
    drop(inner);
    if let Some(request) = back {
        request.cancel();
    }
    status::PENDING
}

/// `WskRelease`.
pub extern "win64" fn release(handle: *mut c_void, list: *mut DatagramIndication) -> NTSTATUS {
    let _call = InCall::enter("WskRelease");
    irql::require_at_most(irql::DISPATCH);
    let Some(entered) = socket::enter_datagram(handle) else { return status::INVALID_PARAMETER };
    entered.socket().rx.nodes.release(list.cast())
}
