//! Connection-oriented sockets (and stream sockets that connect) over Linux's TCP: their life and their tables.
//!
//! Files: `out` (connect, send, disconnect, in one queue, so that their order is that of the calls), `input` (receives,
//! events), `indication` (what `WskReceiveEvent` lends).
//!
//! `WskListen` and `WskAccept` of stream sockets, and the calls with `Ex` in their names, are not implemented.

mod indication;
mod input;
mod out;

use super::abi::{ClientConnectionDispatch, ConnectionDispatch, FLAG_STREAM, Irp, StreamDispatch};
use super::address::LinuxAddress;
use super::control;
use super::irp::Held;
use super::pending::Pending;
use super::registration::Client;
use super::socket::{self, AnySocket, Base};
use super::wake::Wake;
use crate::fault;
use crate::irql;
use crate::nt::{NTSTATUS, status};
use crate::report::{InCall, record};
use crate::thunk::wrap;
use indication::Indications;
use input::{Input, Receive};
use out::{Out, Output};
use std::ffi::c_void;
use std::ops::Deref;
use std::os::fd::OwnedFd;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

pub use input::{BYTES as RECEIVED, RECEIVES};
pub use out::{LATE, SENDS};

/// Never connected, or a connect failed.
const UNCONNECTED: u8 = 0;
/// `WskConnect` pends.
const CONNECTING: u8 = 1;
const CONNECTED: u8 = 2;
/// Disconnected abortively by the driver.
const ABORTED: u8 = 3;

/// One connection-oriented socket.
pub struct Stream {
    base: Base,
    /// The client's callbacks.
    pub events: ClientConnectionDispatch,
    phase: AtomicU8,
    /// `WskDisconnect` has been called: no more sends.
    finished: AtomicBool,
    out: Pending<Out, Output>,
    input: Pending<Receive, Input>,
    indications: Indications,
    /// Makes the threads leave a poll.
    out_wake: Wake,
    input_wake: Wake,
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").field("phase", &self.phase).finish_non_exhaustive()
    }
}

impl Deref for Stream {
    type Target = Base;
    fn deref(&self) -> &Base {
        &self.base
    }
}

fn connection_dispatch() -> usize {
    static TABLE: OnceLock<ConnectionDispatch> = OnceLock::new();
    let table = TABLE.get_or_init(|| ConnectionDispatch {
        control: wrap(control::control_socket as *const () as usize),
        close: wrap(socket::close as *const () as usize),
        bind: wrap(socket::bind as *const () as usize),
        connect: wrap(out::connect as *const () as usize),
        get_local_address: wrap(socket::get_local_address as *const () as usize),
        get_remote_address: wrap(get_remote_address as *const () as usize),
        send: wrap(out::send as *const () as usize),
        receive: wrap(input::receive as *const () as usize),
        disconnect: wrap(out::disconnect as *const () as usize),
        release: wrap(input::release as *const () as usize),
        connect_ex: wrap(connect_ex as *const () as usize),
        send_ex: wrap(send_ex as *const () as usize),
        receive_ex: wrap(receive_ex as *const () as usize),
    });
    std::ptr::from_ref(table).addr()
}

fn stream_dispatch() -> usize {
    static TABLE: OnceLock<StreamDispatch> = OnceLock::new();
    let table = TABLE.get_or_init(|| StreamDispatch {
        control: wrap(control::control_socket as *const () as usize),
        close: wrap(socket::close as *const () as usize),
        bind: wrap(socket::bind as *const () as usize),
        accept: wrap(accept as *const () as usize),
        connect: wrap(out::connect as *const () as usize),
        listen: wrap(listen as *const () as usize),
        send: wrap(out::send as *const () as usize),
        receive: wrap(input::receive as *const () as usize),
        disconnect: wrap(out::disconnect as *const () as usize),
        release: wrap(input::release as *const () as usize),
        get_local_address: wrap(socket::get_local_address as *const () as usize),
        get_remote_address: wrap(get_remote_address as *const () as usize),
        connect_ex: wrap(connect_ex as *const () as usize),
        send_ex: wrap(send_ex as *const () as usize),
        receive_ex: wrap(receive_ex as *const () as usize),
    });
    std::ptr::from_ref(table).addr()
}

extern "win64" fn connect_ex() -> NTSTATUS {
    super::stop_not_implemented("WskConnectEx")
}

extern "win64" fn send_ex() -> NTSTATUS {
    super::stop_not_implemented("WskSendEx")
}

extern "win64" fn receive_ex() -> NTSTATUS {
    super::stop_not_implemented("WskReceiveEx")
}

extern "win64" fn accept() -> NTSTATUS {
    super::stop_not_implemented("WskAccept")
}

extern "win64" fn listen() -> NTSTATUS {
    super::stop_not_implemented("WskListen")
}

impl Stream {
    /// Makes one. `category` is `WSK_FLAG_CONNECTION_SOCKET` or `WSK_FLAG_STREAM_SOCKET`.
    pub fn create(
        client: &'static Client,
        family: u16,
        context: *mut c_void,
        events: ClientConnectionDispatch,
        category: u32,
    ) -> Result<&'static AnySocket, NTSTATUS> {
        let base = Base::new(client, family, context, libc::SOCK_STREAM)?;
        // A port that a closed connection waits in may be bound again, as on Windows.
        control::set_int(base.raw(), libc::SOL_SOCKET, libc::SO_REUSEADDR, 1)?;
        let dispatch = if category == FLAG_STREAM { stream_dispatch() } else { connection_dispatch() };
        Ok(AnySocket::Stream(Self::of(base, events, UNCONNECTED)?).publish(dispatch))
    }

    /// Makes one of a connection that a listening socket accepted; all of its events are disabled.
    pub fn accepted(
        client: &'static Client,
        family: u16,
        context: *mut c_void,
        events: ClientConnectionDispatch,
        fd: OwnedFd,
    ) -> Result<&'static AnySocket, NTSTATUS> {
        let base = Base::of(client, family, context, fd, true);
        Ok(AnySocket::Stream(Self::of(base, events, CONNECTED)?).publish(connection_dispatch()))
    }

    fn of(base: Base, events: ClientConnectionDispatch, phase: u8) -> Result<Self, NTSTATUS> {
        Ok(Self {
            base,
            events,
            phase: AtomicU8::new(phase),
            finished: AtomicBool::new(false),
            out: Pending::new(Output::default()),
            input: Pending::new(Input::default()),
            indications: Indications::default(),
            out_wake: Wake::new()?,
            input_wake: Wake::new()?,
        })
    }

    /// The events that the client gave callbacks for.
    pub fn present(&self) -> u32 {
        input::present(&self.events)
    }

    /// Enables events.
    pub fn enable(&'static self, events: u32) {
        input::enable(self, events);
    }

    /// Disables one event; an IRP completes when its callback runs no more.
    pub fn disable(&'static self, event: u32, held: Option<Held>) -> NTSTATUS {
        input::disable(self, event, held)
    }

    /// What keeps the connection full.
    pub fn ideal_backlog(&self) -> usize {
        out::ideal_backlog(self)
    }

    fn phase(&self) -> u8 {
        self.phase.load(Ordering::SeqCst)
    }

    /// Connected now, or once: the addresses are known.
    pub fn is_connected(&self) -> bool {
        self.phase() == CONNECTED
    }

    /// Makes the threads look at the socket's state.
    pub fn wake(&self) {
        self.wake_out();
        self.wake_input();
    }

    fn wake_out(&self) {
        let _out = self.out.lock();
        self.out.notify();
        self.out_wake.signal();
    }

    fn wake_input(&self) {
        let _input = self.input.lock();
        self.input.notify();
        self.input_wake.signal();
    }

    /// The cancel routine of `irp` runs.
    pub fn cancel(&self, irp: Irp) {
        let _ = self.out.cancel(irp) || self.input.cancel(irp);
        self.wake();
    }

    /// Ends the connection with a reset; what is unsent or unread is lost.
    fn reset(&self) {
        let unspecified = libc::sockaddr { sa_family: libc::AF_UNSPEC as u16, sa_data: [0; 14] };
        // SAFETY: the socket is open; an address of ours of that length.
        unsafe { libc::connect(self.raw(), &raw const unspecified, 16) };
    }

    /// Completes what is pending, as the socket closes, and lets the close reset the connection where it is not over in
    /// both directions.
    pub fn cancel_all(&'static self) {
        self.out.drain(|o| {
            o.end(status::CANCELLED);
        });
        self.input.drain(|r| {
            r.end(status::CANCELLED);
        });
        input::end_disabling(self);
        let linger = libc::linger { l_onoff: 1, l_linger: 0 };
        // SAFETY: a linger of ours, its size stated.
        unsafe { libc::setsockopt(self.raw(), libc::SOL_SOCKET, libc::SO_LINGER, (&raw const linger).cast(), 8) };
    }

    /// Indication lists that the driver holds.
    pub fn retained(&self) -> usize {
        self.indications.retained()
    }

    /// Frees all buffers and descriptors; no thread runs any more.
    pub fn free_buffers(&self) {
        self.indications.free_all();
        self.out_wake.close();
        self.input_wake.close();
    }
}

/// `TCP_INFO`'s state: Linux's `TCP_ESTABLISHED` and so on.
fn tcp_state(fd: i32) -> u8 {
    let mut info = [0u8; 8];
    let mut len = 8u32;
    // SAFETY: eight bytes of ours.
    unsafe { libc::getsockopt(fd, libc::IPPROTO_TCP, libc::TCP_INFO, info.as_mut_ptr().cast(), &raw mut len) };
    info[0]
}

/// `WskGetRemoteAddress`.
extern "win64" fn get_remote_address(handle: *mut c_void, out: *mut u8, irp: Irp) -> NTSTATUS {
    let _call = InCall::enter("WskGetRemoteAddress");
    irql::require_at_most(irql::DISPATCH);
    let Some(entered) = socket::enter_stream(handle) else { return status::INVALID_PARAMETER };
    let s = entered.socket();
    // SAFETY: what the driver passed.
    let Some(held) = (unsafe { Held::take(irp) }) else { return status::INVALID_PARAMETER };
    socket::get_address(s, libc::getpeername, out, held, s.is_connected())
}

/// `WskSocketConnect`: makes, binds and connects; `Information` is the socket.
pub fn socket_connect(
    client: &'static Client,
    local: &LinuxAddress,
    remote: LinuxAddress,
    family: u16,
    context: *mut c_void,
    events: ClientConnectionDispatch,
    held: Held,
) -> NTSTATUS {
    if fault::fails("WskSocketConnect") {
        return held.finish(None, status::INSUFFICIENT_RESOURCES, 0);
    }
    let made = Stream::create(client, family, context, events, super::abi::FLAG_CONNECTION);
    let socket = match made {
        Ok(s) => s,
        Err(s) => return held.finish(None, s, 0),
    };
    let AnySocket::Stream(stream) = socket else { return held.finish(None, status::UNSUCCESSFUL, 0) };
    if let Err(s) = stream.bind(local) {
        socket.abandon();
        return held.finish(None, s, 0);
    }
    out::begin_connect(stream, remote, held, true)
}

/// Checks `Flags` against those a call knows.
fn check_flags(flags: u32, known: u32) -> bool {
    let good = flags & !known == 0;
    if !good {
        record(super::BAD_PARAMETER, &format!("Flags {flags:#x}"));
    }
    good
}
