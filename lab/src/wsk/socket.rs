//! Sockets of every category: their life, what a driver's handle means, `WskBind`, `WskGetLocalAddress`,
//! `WskCloseSocket`.

use super::abi::{EVENT_RECEIVE_FROM, Irp};
use super::address::{self, LinuxAddress};
use super::control;
use super::datagram::Datagram;
use super::irp::{Held, later_do};
use super::listen::Listening;
use super::receive;
use super::registration::Client;
use super::stream::Stream;
use crate::fault;
use crate::irql;
use crate::nt::{NTSTATUS, af, status};
use crate::objects::Kind;
use crate::pool;
use crate::report::{InCall, Rule, current_call, record, record_about};
use std::ffi::c_void;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

const BAD_SOCKET: Rule = Rule::new(
    "wsk.bad-socket",
    "WDK: WskSocket, WskCloseSocket (a socket from the one to the other, no call after it)",
);
const BUSY: Rule = Rule::new(
    "wsk.close-with-call-in-progress",
    "WDK: WskCloseSocket (no other call on the socket may be in progress)",
);
const RELEASE_MISSING: Rule = Rule::new(
    "wsk.release-missing",
    "WDK: WskRelease (every list retained with STATUS_PENDING is released, before WskCloseSocket)",
);
const WRONG_DISPATCH: Rule = Rule::new(
    "wsk.wrong-dispatch",
    "WDK: Winsock Kernel Socket Categories (a socket is used by the dispatch table of its own category)",
);

static SOCKETS: Kind = Kind::new("wsk.socket");

const OPEN: u8 = 0;
const CLOSING: u8 = 1;
const GONE: u8 = 2;

/// What the driver holds: `WSK_SOCKET`, with the lab's part behind it.
#[repr(C)]
struct Handle {
    dispatch: usize,
    socket: &'static AnySocket,
}

/// A socket of one of the categories.
#[derive(Debug)]
pub enum AnySocket {
    /// `WSK_FLAG_DATAGRAM_SOCKET`.
    Datagram(Datagram),
    /// `WSK_FLAG_CONNECTION_SOCKET`, `WSK_FLAG_STREAM_SOCKET`.
    Stream(Stream),
    /// `WSK_FLAG_LISTEN_SOCKET`.
    Listening(Listening),
}

/// What every socket has. Never freed (its buffers are): a driver that uses it late is told, not crashed into.
#[derive(Debug)]
pub struct Base {
    /// Windows' number.
    pub family: u16,
    /// SocketContext.
    pub context: usize,
    /// The registration it belongs to.
    pub client: &'static Client,
    fd: Mutex<Option<OwnedFd>>,
    raw: RawFd,
    state: AtomicU8,
    calls: AtomicUsize,
    /// Control IRPs that the worker thread will complete.
    pub later: AtomicUsize,
    bound: AtomicBool,
    /// No longer functional: only closing is left.
    dead: AtomicBool,
    /// Lists not released have been reported.
    told: AtomicBool,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// The driver's handle; the socket it is part of.
    whole: OnceLock<(usize, &'static AnySocket)>,
}

/// A call on a socket in progress.
pub struct Entered<T: 'static> {
    base: &'static Base,
    socket: &'static T,
}

impl<T> Entered<T> {
    /// The socket.
    pub fn socket(&self) -> &'static T {
        self.socket
    }
}

impl<T> Drop for Entered<T> {
    fn drop(&mut self) {
        self.base.calls.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Checks the `PWSK_SOCKET` of a call.
pub fn enter(handle: *mut c_void) -> Option<Entered<AnySocket>> {
    // SAFETY: the driver's pointer; a wild one faults as it would on Windows.
    if !unsafe { pool::is_lab_block(handle.cast(), &SOCKETS) } {
        record(BAD_SOCKET, &format!("{handle:p} is not an open WSK_SOCKET"));
        return None;
    }
    // SAFETY: a live block of this kind, filled by `publish`.
    let socket = unsafe { (*handle.cast::<Handle>()).socket };
    let base = socket.base();
    base.calls.fetch_add(1, Ordering::SeqCst);
    let entered = Entered { base, socket };
    if base.state.load(Ordering::SeqCst) != OPEN {
        record(BAD_SOCKET, &format!("WSK_SOCKET {handle:p} has been closed"));
        return None;
    }
    Some(entered)
}

fn narrow<T>(
    entered: Option<Entered<AnySocket>>,
    pick: fn(&'static AnySocket) -> Option<&'static T>,
) -> Option<Entered<T>> {
    let entered = entered?;
    let Some(socket) = pick(entered.socket) else {
        record(WRONG_DISPATCH, &format!("the socket is of another category than the function: {:?}", entered.socket));
        return None;
    };
    entered.base.calls.fetch_add(1, Ordering::SeqCst);
    Some(Entered { base: entered.base, socket })
}

/// [`enter`] for a function of datagram sockets only.
pub fn enter_datagram(handle: *mut c_void) -> Option<Entered<Datagram>> {
    narrow(enter(handle), |s| match s {
        AnySocket::Datagram(d) => Some(d),
        AnySocket::Stream(_) | AnySocket::Listening(_) => None,
    })
}

/// [`enter`] for a function of connection-oriented and stream sockets only.
pub fn enter_stream(handle: *mut c_void) -> Option<Entered<Stream>> {
    narrow(enter(handle), |s| match s {
        AnySocket::Stream(d) => Some(d),
        AnySocket::Datagram(_) | AnySocket::Listening(_) => None,
    })
}

/// [`enter`] for a function of listening sockets only.
pub fn enter_listening(handle: *mut c_void) -> Option<Entered<Listening>> {
    narrow(enter(handle), |s| match s {
        AnySocket::Listening(l) => Some(l),
        AnySocket::Datagram(_) | AnySocket::Stream(_) => None,
    })
}

/// NTSTATUS of the last Linux error.
pub fn last_error() -> NTSTATUS {
    to_status(std::io::Error::last_os_error().raw_os_error().unwrap_or(0))
}

/// NTSTATUS of a Linux error.
pub fn to_status(errno: i32) -> NTSTATUS {
    match errno {
        libc::EADDRINUSE => status::ADDRESS_ALREADY_EXISTS,
        libc::EADDRNOTAVAIL => status::INVALID_ADDRESS_COMPONENT,
        libc::ENETUNREACH | libc::ENETDOWN => status::NETWORK_UNREACHABLE,
        libc::EHOSTUNREACH | libc::EHOSTDOWN => status::HOST_UNREACHABLE,
        libc::ECONNREFUSED => status::CONNECTION_REFUSED,
        libc::ECONNRESET | libc::EPIPE => status::CONNECTION_RESET,
        libc::ECONNABORTED => status::CONNECTION_ABORTED,
        libc::ETIMEDOUT => status::IO_TIMEOUT,
        libc::EMSGSIZE => status::INVALID_BUFFER_SIZE,
        libc::EACCES | libc::EPERM => status::ACCESS_DENIED,
        libc::ENOMEM | libc::ENOBUFS | libc::EMFILE | libc::ENFILE => status::INSUFFICIENT_RESOURCES,
        libc::EINVAL | libc::EAFNOSUPPORT | libc::EDESTADDRREQ => status::INVALID_PARAMETER,
        _ => status::UNSUCCESSFUL,
    }
}

impl Base {
    /// A Linux socket and what goes with it. `kind` is Linux's type.
    pub fn new(client: &'static Client, family: u16, context: *mut c_void, kind: i32) -> Result<Self, NTSTATUS> {
        let linux = if family == af::INET { libc::AF_INET } else { libc::AF_INET6 };
        // SAFETY: no pointers.
        let raw = unsafe { libc::socket(linux, kind | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC, 0) };
        if raw < 0 {
            return Err(last_error());
        }
        // SAFETY: a fresh descriptor that nobody else has.
        let fd = unsafe { OwnedFd::from_raw_fd(raw) };
        if family == af::INET6 {
            // Windows' default.
            control::set_int(raw, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, 1)?;
        }
        Ok(Self::of(client, family, context, fd, false))
    }

    /// The same for a Linux socket that there is: an accepted connection, which is bound.
    pub fn of(client: &'static Client, family: u16, context: *mut c_void, fd: OwnedFd, bound: bool) -> Self {
        let raw = fd.as_raw_fd();
        Self {
            family,
            context: context.addr(),
            client,
            fd: Mutex::new(Some(fd)),
            raw,
            state: AtomicU8::new(OPEN),
            calls: AtomicUsize::new(0),
            later: AtomicUsize::new(0),
            bound: AtomicBool::new(bound),
            dead: AtomicBool::new(false),
            told: AtomicBool::new(false),
            threads: Mutex::new(Vec::new()),
            whole: OnceLock::new(),
        }
    }

    /// The Linux socket; valid until the closer has joined every thread.
    pub fn raw(&self) -> RawFd {
        self.raw
    }

    /// `WskBind` has succeeded.
    pub fn is_bound(&self) -> bool {
        self.bound.load(Ordering::Acquire)
    }

    /// `WskCloseSocket` has been called.
    pub fn is_closing(&self) -> bool {
        self.state.load(Ordering::Acquire) != OPEN
    }

    /// The transport below is gone.
    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Acquire)
    }

    /// The transport below goes; `true` the first time.
    pub fn die(&self) -> bool {
        !self.dead.swap(true, Ordering::AcqRel)
    }

    /// The driver's handle.
    pub fn handle(&self) -> usize {
        self.whole.get().map_or(0, |w| w.0)
    }

    /// The socket that this is part of.
    pub fn whole(&self) -> &'static AnySocket {
        match self.whole.get() {
            Some(w) => w.1,
            None => unreachable!("a socket is published before the driver has it"),
        }
    }

    /// Starts a thread that ends when the socket closes.
    pub fn start_thread(&self, name: &str, f: impl FnOnce() + Send + 'static) {
        match crate::ke::spawn(name, f) {
            Ok(handle) => self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(handle),
            Err(e) => eprintln!("dco-lab: no thread for {name}: {e}"),
        }
    }

    /// Linux's `bind`.
    pub fn bind(&self, address: &LinuxAddress) -> Result<(), NTSTATUS> {
        if self.is_bound() {
            return Err(status::INVALID_DEVICE_STATE);
        }
        // SAFETY: an open socket and an address of its length.
        if unsafe { libc::bind(self.raw(), address.as_ptr(), address.len) } != 0 {
            return Err(last_error());
        }
        self.bound.store(true, Ordering::Release);
        Ok(())
    }
}

impl AnySocket {
    /// What every socket has.
    pub fn base(&self) -> &Base {
        match self {
            AnySocket::Datagram(d) => d,
            AnySocket::Stream(s) => s,
            AnySocket::Listening(l) => l,
        }
    }

    /// Makes the socket known: gives it the handle that the driver gets, with `dispatch` in front.
    pub fn publish(self, dispatch: usize) -> &'static Self {
        let socket: &'static AnySocket = Box::leak(Box::new(self));
        let block = pool::alloc_lab(&SOCKETS, size_of::<Handle>()).cast::<Handle>();
        // SAFETY: a fresh block of that size.
        unsafe { block.write(Handle { dispatch, socket }) };
        // Set once: the socket is new.
        let _ = socket.base().whole.set((block.addr(), socket));
        socket.base().client.sockets.fetch_add(1, Ordering::SeqCst);
        socket
    }

    /// Makes the socket's threads look at its state.
    fn wake(&'static self) {
        match self {
            AnySocket::Datagram(d) => d.wake(),
            AnySocket::Stream(s) => s.wake(),
            AnySocket::Listening(l) => l.wake(),
        }
    }

    /// The cancel routine of `irp` runs: completes its call.
    pub fn cancel(&'static self, irp: Irp) {
        match self {
            AnySocket::Datagram(d) => d.cancel(irp),
            AnySocket::Stream(s) => s.cancel(irp),
            AnySocket::Listening(l) => l.cancel(irp),
        }
    }

    fn retained(&self) -> usize {
        match self {
            AnySocket::Datagram(d) => d.rx.retained(),
            AnySocket::Stream(s) => s.retained(),
            AnySocket::Listening(_) => 0,
        }
    }

    /// Every list that a callback kept has been released. Asked when the close begins, and when no callback runs any more.
    fn check_released(&self) {
        let retained = self.retained();
        if retained != 0 && !self.base().told.swap(true, Ordering::SeqCst) {
            record_about(
                RELEASE_MISSING,
                self.base().handle(),
                &format!("the socket closes with {retained} retained indication lists not released"),
            );
        }
    }

    /// Ends the socket once all its threads have ended, and completes the close IRP.
    fn end(&'static self, held: Option<Held>) {
        let base = self.base();
        let threads = std::mem::take(&mut *base.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for t in threads {
            // A thread that panicked has printed why.
            let _ = crate::ke::sched::outside("join", || t.join());
        }
        match self {
            AnySocket::Datagram(d) => d.cancel_all(),
            AnySocket::Stream(s) => s.cancel_all(),
            AnySocket::Listening(l) => l.cancel_all(),
        }
        while base.later.load(Ordering::SeqCst) != 0 {
            crate::ke::sched::sleep(Duration::from_micros(200));
        }
        self.check_released();
        match self {
            AnySocket::Datagram(d) => d.free_buffers(),
            AnySocket::Stream(s) => s.free_buffers(),
            AnySocket::Listening(l) => l.free_buffers(),
        }
        base.fd.lock().unwrap_or_else(PoisonError::into_inner).take();
        base.state.store(GONE, Ordering::SeqCst);
        // SAFETY: the block of `publish`; the driver may not use it after WskCloseSocket, and close runs once.
        unsafe { pool::free_lab(base.handle() as *mut u8) };
        base.client.sockets.fetch_sub(1, Ordering::SeqCst);
        if let Some(held) = held {
            held.complete(status::SUCCESS, 0);
        }
    }

    /// Closes a socket that the driver never got.
    pub fn abandon(&'static self) {
        self.base().state.store(CLOSING, Ordering::SeqCst);
        self.wake();
        crate::ke::spawn_or_abort("wsk-close", move || self.end(None));
    }
}

/// An address as the driver passes it; `Err` with a record when it is none.
///
/// # Safety
/// `address` is null or the driver's SOCKADDR.
pub unsafe fn address_of(address: *const u8, family: u16, what: &str) -> Result<LinuxAddress, NTSTATUS> {
    if address.is_null() {
        record(super::BAD_PARAMETER, &format!("{what} must not be NULL"));
        return Err(status::INVALID_PARAMETER);
    }
    // SAFETY: not null; the driver's SOCKADDR.
    unsafe { LinuxAddress::from_windows(address, family) }.ok_or_else(|| {
        record(super::BAD_PARAMETER, &format!("{what} is not of the socket's family {family}"));
        status::INVALID_PARAMETER
    })
}

/// `WskBind`.
pub extern "win64" fn bind(handle: *mut c_void, local: *const u8, flags: u32, irp: Irp) -> NTSTATUS {
    let _call = InCall::enter("WskBind");
    irql::require_at_most(irql::DISPATCH);
    let Some(entered) = enter(handle) else { return status::INVALID_PARAMETER };
    let base = entered.socket().base();
    // SAFETY: what the driver passed.
    let Some(held) = (unsafe { Held::take(irp) }) else { return status::INVALID_PARAMETER };
    if flags != 0 {
        record(super::BAD_PARAMETER, "Flags must be 0");
        return held.complete(status::INVALID_PARAMETER, 0);
    }
    // SAFETY: what the driver passed.
    let address = match unsafe { address_of(local, base.family, "LocalAddress") } {
        Ok(a) => a,
        Err(s) => return held.complete(s, 0),
    };
    if fault::fails("WskBind") {
        return held.finish(Some(base), status::INSUFFICIENT_RESOURCES, 0);
    }
    if let Err(s) = base.bind(&address) {
        return held.finish(Some(base), s, 0);
    }
    if let AnySocket::Listening(l) = entered.socket()
        && let Err(s) = l.listen()
    {
        return held.finish(Some(base), s, 0);
    }
    if let AnySocket::Datagram(d) = entered.socket()
        && base.client.static_mask.load(Ordering::SeqCst) & EVENT_RECEIVE_FROM != 0
        && d.event.is_some()
    {
        receive::enable(d, true);
    }
    held.finish(Some(base), status::SUCCESS, 0)
}

/// What `getsockname` and `getpeername` have in common.
type Name = unsafe extern "C" fn(i32, *mut libc::sockaddr, *mut libc::socklen_t) -> i32;

/// Writes one of the socket's addresses for the driver.
pub fn get_address(base: &'static Base, name: Name, out: *mut u8, held: Held, ready: bool) -> NTSTATUS {
    if out.is_null() {
        record(super::BAD_PARAMETER, "the address must not be NULL");
        return held.complete(status::INVALID_PARAMETER, 0);
    }
    if !ready {
        return held.finish(Some(base), status::INVALID_DEVICE_STATE, 0);
    }
    if fault::fails(current_call()) {
        return held.finish(Some(base), status::INSUFFICIENT_RESOURCES, 0);
    }
    let mut a = LinuxAddress::NONE;
    let mut len = u32::try_from(address::MAX).unwrap_or(0);
    // SAFETY: an open socket; `len` bytes of ours.
    if unsafe { name(base.raw(), a.bytes.as_mut_ptr().cast(), &raw mut len) } != 0 {
        return held.finish(Some(base), last_error(), 0);
    }
    // SAFETY: the kernel wrote an address there.
    let n = unsafe { address::to_windows_in_place(a.bytes.as_mut_ptr()) };
    // SAFETY: the driver's buffer for an address of the socket's family, valid until the IRP completes.
    unsafe { std::ptr::copy_nonoverlapping(a.bytes.as_ptr(), out, n) };
    held.finish(Some(base), status::SUCCESS, 0)
}

/// `WskGetLocalAddress`.
pub extern "win64" fn get_local_address(handle: *mut c_void, out: *mut u8, irp: Irp) -> NTSTATUS {
    let _call = InCall::enter("WskGetLocalAddress");
    irql::require_at_most(irql::DISPATCH);
    let Some(entered) = enter(handle) else { return status::INVALID_PARAMETER };
    let base = entered.socket().base();
    // SAFETY: what the driver passed.
    let Some(held) = (unsafe { Held::take(irp) }) else { return status::INVALID_PARAMETER };
    get_address(base, libc::getsockname, out, held, base.is_bound())
}

/// `WskCloseSocket`.
pub extern "win64" fn close(handle: *mut c_void, irp: Irp) -> NTSTATUS {
    let _call = InCall::enter("WskCloseSocket");
    irql::require_at_most(irql::DISPATCH);
    let Some(entered) = enter(handle) else { return status::INVALID_PARAMETER };
    let (socket, base) = (entered.socket(), entered.socket().base());
    // SAFETY: what the driver passed.
    let Some(held) = (unsafe { Held::take(irp) }) else { return status::INVALID_PARAMETER };
    if base.state.compare_exchange(OPEN, CLOSING, Ordering::SeqCst, Ordering::SeqCst).is_err() {
        record(BAD_SOCKET, "closed twice");
        return held.complete(status::INVALID_PARAMETER, 0);
    }
    let others = base.calls.load(Ordering::SeqCst) - 1;
    if others != 0 {
        record_about(BUSY, base.handle(), &format!("{others} other calls are in progress on the socket"));
    }
    socket.check_released();
    socket.wake();
    let busy = !base.threads.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
    drop(entered);
    held.mark_pending();
    let finish = move || socket.end(Some(held));
    if busy {
        // The worker thread must not wait; this one may.
        crate::ke::spawn_or_abort("wsk-close", finish);
    } else {
        later_do(Box::new(finish));
    }
    status::PENDING
}
