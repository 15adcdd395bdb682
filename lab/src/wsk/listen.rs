//! Listening sockets over Linux's TCP: `WskAccept`. They listen from `WskBind` on.
//!
//! `WskAcceptEvent`, conditional accept mode and accepting on stream sockets are not implemented.

use super::BAD_PARAMETER;
use super::abi::{ClientConnectionDispatch, Irp, ListenDispatch};
use super::address::{self, LinuxAddress};
use super::control;
use super::irp::{Completion, Held, mode};
use super::lent::Range;
use super::net;
use super::pending::{Call, Pending};
use super::registration::Client;
use super::socket::{self, AnySocket, Base, last_error, to_status};
use super::stream::Stream;
use super::wake::Wake;
use crate::fault;
use crate::irql;
use crate::nt::{NTSTATUS, status};
use crate::report::{InCall, Rule, record};
use crate::thunk::wrap;
use std::ffi::c_void;
use std::ops::Deref;
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

const UNBOUND: Rule = Rule::new("wsk.accept-unbound", "WDK: PFN_WSK_ACCEPT (on a socket that WskBind has bound)");

/// Connections accepted since the start.
pub static ACCEPTED: AtomicU64 = AtomicU64::new(0);
static TURN: AtomicU32 = AtomicU32::new(0);

/// Connections that wait to be accepted, at most.
const BACKLOG: i32 = 128;

/// A socket of the category `WSK_FLAG_LISTEN_SOCKET`.
pub struct Listening {
    base: Base,
    accepts: Pending<Accept, Waiting>,
    /// Makes the thread leave a poll.
    wake: Wake,
    /// Connections that it has accepted.
    accepted: AtomicU64,
}

impl std::fmt::Debug for Listening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listening").finish_non_exhaustive()
    }
}

impl Deref for Listening {
    type Target = Base;
    fn deref(&self) -> &Base {
        &self.base
    }
}

/// What the lock of the queue guards besides it.
#[derive(Default)]
struct Waiting {
    started: bool,
    /// Linux has given it, and the call that it was for went at the same moment.
    ready: Option<Connection>,
}

/// An accepted connection that is no socket of WSK's yet.
struct Connection {
    fd: OwnedFd,
    remote: LinuxAddress,
}

/// A `WskAccept` that pends.
struct Accept {
    held: Held,
    context: *mut c_void,
    events: ClientConnectionDispatch,
    local: *mut u8,
    remote: *mut u8,
    socket: &'static Listening,
}
// SAFETY: pointers into the driver's memory, which it keeps valid until the IRP completes, on whatever thread.
unsafe impl Send for Accept {}

impl Call for Accept {
    fn held(&self) -> &Held {
        &self.held
    }
    fn held_mut(&mut self) -> &mut Held {
        &mut self.held
    }
    fn lent(&self, out: &mut Vec<Range>) {
        let len = if self.socket.family == crate::nt::af::INET { 16 } else { address::MAX };
        for (at, what) in [(self.local.addr(), "LocalAddress"), (self.remote.addr(), "RemoteAddress")] {
            if at != 0 {
                out.push((at, at + len, what));
            }
        }
    }
    fn cancel(self) {
        self.held.complete(status::CANCELLED, 0);
    }
}

impl Accept {
    /// Makes the connection a socket of the driver's, all of its events disabled.
    fn end(self, connection: Connection) -> NTSTATUS {
        let Self { held, context, events, local, remote, socket } = self;
        let made = Stream::accepted(socket.client, socket.family, context, events, connection.fd);
        let stream = match made {
            Ok(stream) => stream,
            Err(code) => return held.complete(code, 0),
        };
        // SAFETY: null or the driver's buffers for an address of this family, valid until the IRP completes.
        unsafe {
            put_address(local, LinuxAddress::local(stream.base().raw()));
            put_address(remote, connection.remote);
        }
        ACCEPTED.fetch_add(1, Ordering::Relaxed);
        let all = socket.accepted.fetch_add(1, Ordering::Relaxed) + 1;
        if (1..=all).contains(&net::get().die) && socket.die() {
            socket.give_up();
        }
        held.complete(status::SUCCESS, stream.base().handle() as u64)
    }
}

/// Writes an address for the driver.
///
/// # Safety
/// `to` is null, or has room for it.
unsafe fn put_address(to: *mut u8, mut address: LinuxAddress) {
    if to.is_null() || address.len == 0 {
        return;
    }
    // SAFETY: the address is one of the kernel's; our caller vouches for the room.
    unsafe {
        let n = address::to_windows_in_place(address.bytes.as_mut_ptr());
        std::ptr::copy_nonoverlapping(address.bytes.as_ptr(), to, n);
    }
}

fn dispatch() -> usize {
    static TABLE: OnceLock<ListenDispatch> = OnceLock::new();
    let table = TABLE.get_or_init(|| ListenDispatch {
        control: wrap(control::control_socket as *const () as usize),
        close: wrap(socket::close as *const () as usize),
        bind: wrap(socket::bind as *const () as usize),
        accept: wrap(accept as *const () as usize),
        inspect_complete: wrap(inspect_complete as *const () as usize),
        get_local_address: wrap(socket::get_local_address as *const () as usize),
    });
    std::ptr::from_ref(table).addr()
}

extern "win64" fn inspect_complete() -> NTSTATUS {
    super::stop_not_implemented("WskInspectComplete")
}

impl Listening {
    /// Makes one; gives the address of its `WSK_SOCKET`.
    pub fn create(client: &'static Client, family: u16, context: *mut c_void) -> Result<usize, NTSTATUS> {
        let base = Base::new(client, family, context, libc::SOCK_STREAM)?;
        // A port that closed connections wait in may be bound again, as on Windows.
        control::set_int(base.raw(), libc::SOL_SOCKET, libc::SO_REUSEADDR, 1)?;
        let socket =
            Self { base, accepts: Pending::new(Waiting::default()), wake: Wake::new()?, accepted: AtomicU64::new(0) };
        Ok(AnySocket::Listening(socket).publish(dispatch()).base().handle())
    }

    /// It is bound: it listens.
    pub fn listen(&self) -> Result<(), NTSTATUS> {
        // SAFETY: an open socket.
        if unsafe { libc::listen(self.raw(), BACKLOG) } == 0 { Ok(()) } else { Err(last_error()) }
    }

    /// Makes the thread look at the socket's state.
    pub fn wake(&self) {
        let _accepts = self.accepts.lock();
        self.accepts.notify();
        self.wake.signal();
    }

    /// The cancel routine of `irp` runs.
    pub fn cancel(&self, irp: Irp) {
        let _ = self.accepts.cancel(irp);
        self.wake();
    }

    /// Completes what is pending, as the socket closes; Linux resets what waits to be accepted.
    pub fn cancel_all(&self) {
        self.accepts.drain(Call::cancel);
        self.accepts.lock().state.ready = None;
    }

    /// Frees the descriptors; no thread runs any more.
    pub fn free_buffers(&self) {
        self.wake.close();
    }

    /// The transport below has gone: nobody can connect any more, and each accept fails, one that pends too.
    fn give_up(&self) {
        // SAFETY: an open socket. Linux resets what nobody has accepted, and refuses what comes.
        unsafe { libc::shutdown(self.raw(), libc::SHUT_RDWR) };
        self.wake.signal();
    }

    /// What an accept that is the next one gets; `None` where it has to wait.
    fn take(&self, state: &mut Waiting) -> Option<Result<Connection, NTSTATUS>> {
        if self.is_dead() {
            return Some(Err(status::FILE_FORCED_CLOSED));
        }
        state.ready.take().map(Ok).or_else(|| self.next())
    }

    /// A connection that waits to be accepted; `None` where there is none.
    fn next(&self) -> Option<Result<Connection, NTSTATUS>> {
        let mut remote = LinuxAddress { len: u32::try_from(address::MAX).unwrap_or(0), ..LinuxAddress::NONE };
        loop {
            let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
            // SAFETY: an open socket; `len` bytes of ours.
            let fd = unsafe { libc::accept4(self.raw(), remote.bytes.as_mut_ptr().cast(), &raw mut remote.len, flags) };
            if fd >= 0 {
                // SAFETY: a fresh descriptor that nobody else has.
                return Some(Ok(Connection { fd: unsafe { OwnedFd::from_raw_fd(fd) }, remote }));
            }
            match std::io::Error::last_os_error().raw_os_error().unwrap_or(0) {
                libc::EAGAIN => return None,
                // One that went before it was accepted is nobody's business.
                libc::EINTR | libc::ECONNABORTED => {}
                other => return Some(Err(to_status(other))),
            }
        }
    }
}

/// Accepts for the calls that pend.
fn run(socket: &'static Listening) {
    let mut turn = 0u32;
    let mut accepts = socket.accepts.lock();
    while !socket.is_closing() {
        if accepts.calls.is_empty() {
            accepts = socket.accepts.wait(accepts);
            continue;
        }
        let Some(next) = socket.take(&mut accepts.state) else {
            drop(accepts);
            socket.wake.wait_io(socket.raw(), libc::POLLIN, -1);
            accepts = socket.accepts.lock();
            continue;
        };
        let Some(call) = socket.accepts.pop(&mut accepts) else {
            // Being cancelled: its routine takes it from the queue. The connection is the next one's.
            accepts.state.ready = next.ok();
            accepts = socket.accepts.wait(accepts);
            continue;
        };
        drop(accepts);
        turn = turn.wrapping_add(1);
        let end = || {
            let _call = InCall::enter("completion of a WSK call");
            match next {
                Ok(connection) => call.end(connection),
                Err(code) => call.held.complete(code, 0),
            }
        };
        if turn.is_multiple_of(2) {
            irql::at(irql::DISPATCH, end)
        } else {
            end()
        };
        accepts = socket.accepts.lock();
    }
}

/// Whether this accept is to go through the thread though it need not.
fn accept_async() -> bool {
    match mode() {
        Completion::Inline => false,
        Completion::Async => true,
        Completion::Alternate => TURN.fetch_add(1, Ordering::Relaxed) % 2 == 1,
    }
}

/// `WskAccept`.
extern "win64" fn accept(
    handle: *mut c_void,
    flags: u32,
    context: *mut c_void,
    callbacks: *const ClientConnectionDispatch,
    local: *mut u8,
    remote: *mut u8,
    irp: Irp,
) -> NTSTATUS {
    let _call = InCall::enter("WskAccept");
    irql::require_at_most(irql::DISPATCH);
    let Some(entered) = socket::enter_listening(handle) else { return status::INVALID_PARAMETER };
    let socket = entered.socket();
    // SAFETY: what the driver passed.
    let Some(held) = (unsafe { Held::take(irp) }) else { return status::INVALID_PARAMETER };
    if flags != 0 {
        record(BAD_PARAMETER, "Flags must be 0");
        return held.complete(status::INVALID_PARAMETER, 0);
    }
    if !socket.is_bound() {
        record(UNBOUND, "the listening socket is not bound");
        return held.finish(Some(socket), status::INVALID_DEVICE_STATE, 0);
    }
    if fault::fails("WskAccept") {
        return held.finish(Some(socket), status::INSUFFICIENT_RESOURCES, 0);
    }
    let none = ClientConnectionDispatch { receive_event: None, disconnect_event: None, send_backlog_event: None };
    // SAFETY: null or the driver's WSK_CLIENT_CONNECTION_DISPATCH, which lives as long as the accepted socket.
    let events = unsafe { callbacks.as_ref() }.copied().unwrap_or(none);
    let call = Accept { held, context, events, local, remote, socket };
    let mut guard = socket.accepts.lock();
    if guard.calls.is_empty() && !accept_async() {
        match socket.take(&mut guard.state) {
            Some(Ok(connection)) => {
                drop(guard);
                return call.end(connection);
            }
            Some(Err(code)) => {
                drop(guard);
                return call.held.complete(code, 0);
            }
            None => {}
        }
    }
    let back = socket.accepts.push(&mut guard, socket.whole(), call);
    if !guard.state.started {
        guard.state.started = true;
        socket.start_thread("wsk-accept", move || run(socket));
    }
    drop(guard);
    socket.wake();
    if let Some(call) = back {
        call.cancel();
    }
    status::PENDING
}
