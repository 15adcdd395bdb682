//! Datagram sockets: their life, `WskBind`, `WskGetLocalAddress`, `WskCloseSocket`.

use super::abi::{DatagramDispatch, EVENT_RECEIVE_FROM, Irp, ReceiveFromEvent};
use super::address::{self, LinuxAddress};
use super::irp::{Held, later_do};
use super::receive::Rx;
use super::registration::Client;
use super::send::Tx;
use super::{control, receive, send};
use crate::fault;
use crate::irql;
use crate::nt::{NTSTATUS, af, status};
use crate::objects::Kind;
use crate::pool;
use crate::report::{InCall, Rule, record};
use crate::thunk::wrap;
use std::ffi::c_void;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

const BAD_SOCKET: Rule =
    Rule::new("wsk.bad-socket", "WDK: WskSocket, WskCloseSocket (a socket from the one to the other)");
const CLOSED: Rule = Rule::new("wsk.use-after-close", "WDK: WskCloseSocket (no call on the socket after it)");
const BUSY: Rule = Rule::new(
    "wsk.close-with-call-in-progress",
    "WDK: WskCloseSocket (no other call on the socket may be in progress)",
);
const RETAINED: Rule = Rule::new(
    "wsk.close-with-retained-indications",
    "WDK: WskCloseSocket, WskRelease (release all retained lists first)",
);
const RELEASE_MISSING: Rule =
    Rule::new("wsk.release-missing", "WDK: WskRelease (every list retained with STATUS_PENDING is released once)");

static SOCKETS: Kind = Kind::new("wsk.socket");
static LIVE: Mutex<Vec<&'static Socket>> = Mutex::new(Vec::new());

const OPEN: u8 = 0;
const CLOSING: u8 = 1;
const GONE: u8 = 2;

/// What the driver holds: `WSK_SOCKET`, with the lab's part behind it.
#[repr(C)]
struct Handle {
    dispatch: *const DatagramDispatch,
    socket: &'static Socket,
}

/// One datagram socket. Never freed (its buffers are): a driver that uses it late is told, not crashed into.
#[derive(Debug)]
pub struct Socket {
    /// Windows' number.
    pub family: u16,
    /// SocketContext.
    pub context: usize,
    /// WskReceiveFromEvent.
    pub event: Option<ReceiveFromEvent>,
    client: &'static Client,
    fd: Mutex<Option<OwnedFd>>,
    raw: RawFd,
    state: AtomicU8,
    calls: AtomicUsize,
    /// Control IRPs that the worker thread will complete.
    pub later: AtomicUsize,
    bound: AtomicBool,
    /// Set by `SIO_WSK_SET_SENDTO_ADDRESS` or `SIO_WSK_SET_REMOTE_ADDRESS`.
    pub default_remote: Mutex<LinuxAddress>,
    /// Receiving side.
    pub rx: Rx,
    /// Sending side.
    pub tx: Tx,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// A call on a socket in progress.
pub struct Entered(&'static Socket);

impl Entered {
    /// The socket.
    pub fn socket(&self) -> &'static Socket {
        self.0
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Checks the `PWSK_SOCKET` of a call.
pub fn enter(handle: *mut c_void) -> Option<Entered> {
    // SAFETY: the driver's pointer; a wild one faults as it would on Windows.
    if !unsafe { pool::is_lab_block(handle.cast(), &SOCKETS) } {
        record(BAD_SOCKET, &format!("{handle:p} is not an open WSK_SOCKET"));
        return None;
    }
    // SAFETY: a live block of this kind, filled by `create`.
    let socket = unsafe { (*handle.cast::<Handle>()).socket };
    socket.calls.fetch_add(1, Ordering::SeqCst);
    let entered = Entered(socket);
    if socket.state.load(Ordering::SeqCst) != OPEN {
        record(CLOSED, &format!("WSK_SOCKET {handle:p} has been closed"));
        return None;
    }
    Some(entered)
}

fn dispatch() -> *const DatagramDispatch {
    static TABLE: OnceLock<DatagramDispatch> = OnceLock::new();
    TABLE.get_or_init(|| DatagramDispatch {
        control: wrap(control::control_socket as *const () as usize),
        close: wrap(close as *const () as usize),
        bind: wrap(bind as *const () as usize),
        send_to: wrap(send::send_to as *const () as usize),
        receive_from: wrap(receive::receive_from as *const () as usize),
        release: wrap(receive::release as *const () as usize),
        get_local_address: wrap(get_local_address as *const () as usize),
        send_messages: wrap(send::send_messages as *const () as usize),
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
        libc::EHOSTUNREACH => status::HOST_UNREACHABLE,
        libc::EMSGSIZE => status::INVALID_BUFFER_SIZE,
        libc::EACCES | libc::EPERM => status::ACCESS_DENIED,
        libc::ENOMEM | libc::ENOBUFS | libc::EMFILE | libc::ENFILE => status::INSUFFICIENT_RESOURCES,
        libc::EINVAL | libc::EAFNOSUPPORT | libc::EDESTADDRREQ => status::INVALID_PARAMETER,
        _ => status::UNSUCCESSFUL,
    }
}

impl Socket {
    /// Makes one; gives the address of its `WSK_SOCKET`.
    pub fn create(
        client: &'static Client,
        family: u16,
        context: *mut c_void,
        event: Option<ReceiveFromEvent>,
    ) -> Result<usize, NTSTATUS> {
        let linux = if family == af::INET { libc::AF_INET } else { libc::AF_INET6 };
        // SAFETY: no pointers.
        let raw = unsafe { libc::socket(linux, libc::SOCK_DGRAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC, 0) };
        if raw < 0 {
            return Err(last_error());
        }
        // SAFETY: a fresh descriptor that nobody else has.
        let fd = unsafe { OwnedFd::from_raw_fd(raw) };
        if family == af::INET6 {
            // Windows' default.
            control::set_int(raw, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, 1)?;
        }
        // Windows sizes these by itself; a tunnel's socket needs room for bursts.
        for force in [libc::SO_RCVBUFFORCE, libc::SO_SNDBUFFORCE] {
            let _ = control::set_int(raw, libc::SOL_SOCKET, force, 8 << 20);
        }
        let socket: &'static Socket = Box::leak(Box::new(Socket {
            family,
            context: context.addr(),
            event,
            client,
            fd: Mutex::new(Some(fd)),
            raw,
            state: AtomicU8::new(OPEN),
            calls: AtomicUsize::new(0),
            later: AtomicUsize::new(0),
            bound: AtomicBool::new(false),
            default_remote: Mutex::new(LinuxAddress::NONE),
            rx: Rx::new()?,
            tx: Tx::new()?,
            threads: Mutex::new(Vec::new()),
        }));
        let block = pool::alloc_lab(&SOCKETS, size_of::<Handle>()).cast::<Handle>();
        // SAFETY: a fresh block of that size.
        unsafe { block.write(Handle { dispatch: dispatch(), socket }) };
        client.sockets.fetch_add(1, Ordering::SeqCst);
        LIVE.lock().unwrap_or_else(PoisonError::into_inner).push(socket);
        Ok(block.addr())
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

    /// Starts a thread that ends when the socket closes.
    pub fn start_thread(&'static self, name: &str, f: fn(&'static Socket)) {
        match crate::ke::spawn(name, move || f(self)) {
            Ok(handle) => self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(handle),
            Err(e) => eprintln!("dco-lab: no thread for {name}: {e}"),
        }
    }

    /// Ends the socket once all its threads have ended, and completes the close IRP.
    fn end(&'static self, block: *mut Handle, held: Held) {
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for t in threads {
            // A thread that panicked has printed why.
            let _ = t.join();
        }
        self.tx.cancel_all();
        self.rx.cancel_all();
        while self.later.load(Ordering::SeqCst) != 0 {
            std::thread::sleep(Duration::from_micros(200));
        }
        let retained = self.rx.retained();
        if retained != 0 {
            record(
                RELEASE_MISSING,
                &format!("the socket closed with {retained} retained indication lists never released"),
            );
        }
        self.rx.free_buffers();
        self.fd.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.state.store(GONE, Ordering::SeqCst);
        LIVE.lock().unwrap_or_else(PoisonError::into_inner).retain(|s| !std::ptr::eq(*s, self));
        // SAFETY: the block of `create`; the driver may not use it after WskCloseSocket, and close runs once.
        unsafe { pool::free_lab(block.cast()) };
        self.client.sockets.fetch_sub(1, Ordering::SeqCst);
        held.complete(status::SUCCESS, 0);
    }
}

/// Records lists that the driver never released, of sockets it never closed.
pub fn check_leaks() {
    for socket in LIVE.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        let retained = socket.rx.retained();
        if retained != 0 {
            record(RELEASE_MISSING, &format!("{retained} retained indication lists were never released"));
        }
    }
}

/// `WskBind`.
extern "win64" fn bind(handle: *mut c_void, local: *const u8, flags: u32, irp: Irp) -> NTSTATUS {
    let _call = InCall::enter("WskBind");
    irql::require_at_most(irql::DISPATCH);
    let Some(entered) = enter(handle) else { return status::INVALID_PARAMETER };
    let socket = entered.socket();
    // SAFETY: what the driver passed.
    let Some(held) = (unsafe { Held::take(irp) }) else { return status::INVALID_PARAMETER };
    if local.is_null() || flags != 0 {
        record(super::BAD_PARAMETER, "LocalAddress must not be NULL and Flags must be 0");
        return held.complete(status::INVALID_PARAMETER, 0);
    }
    // SAFETY: not null; the driver's SOCKADDR.
    let Some(address) = (unsafe { LinuxAddress::from_windows(local, socket.family) }) else {
        record(super::BAD_PARAMETER, &format!("LocalAddress is not of the socket's family {}", socket.family));
        return held.complete(status::INVALID_PARAMETER, 0);
    };
    if socket.is_bound() {
        return held.finish(Some(socket), status::INVALID_DEVICE_STATE, 0);
    }
    if fault::fails("WskBind") {
        return held.finish(Some(socket), status::INSUFFICIENT_RESOURCES, 0);
    }
    // SAFETY: an open socket and an address of its length.
    if unsafe { libc::bind(socket.raw(), address.as_ptr(), address.len) } != 0 {
        return held.finish(Some(socket), last_error(), 0);
    }
    socket.bound.store(true, Ordering::Release);
    if socket.client.static_mask.load(Ordering::SeqCst) & EVENT_RECEIVE_FROM != 0 && socket.event.is_some() {
        receive::enable(socket, true);
    }
    held.finish(Some(socket), status::SUCCESS, 0)
}

/// `WskGetLocalAddress`.
extern "win64" fn get_local_address(handle: *mut c_void, out: *mut u8, irp: Irp) -> NTSTATUS {
    let _call = InCall::enter("WskGetLocalAddress");
    irql::require_at_most(irql::DISPATCH);
    let Some(entered) = enter(handle) else { return status::INVALID_PARAMETER };
    let socket = entered.socket();
    // SAFETY: what the driver passed.
    let Some(held) = (unsafe { Held::take(irp) }) else { return status::INVALID_PARAMETER };
    if out.is_null() {
        record(super::BAD_PARAMETER, "LocalAddress must not be NULL");
        return held.complete(status::INVALID_PARAMETER, 0);
    }
    if !socket.is_bound() {
        return held.finish(Some(socket), status::INVALID_DEVICE_STATE, 0);
    }
    if fault::fails("WskGetLocalAddress") {
        return held.finish(Some(socket), status::INSUFFICIENT_RESOURCES, 0);
    }
    let mut a = LinuxAddress::NONE;
    let mut len = u32::try_from(address::MAX).unwrap_or(0);
    // SAFETY: an open socket; `len` bytes of ours.
    if unsafe { libc::getsockname(socket.raw(), a.bytes.as_mut_ptr().cast(), &raw mut len) } != 0 {
        return held.finish(Some(socket), last_error(), 0);
    }
    // SAFETY: getsockname wrote an address there.
    let n = unsafe { address::to_windows_in_place(a.bytes.as_mut_ptr()) };
    // SAFETY: the driver's buffer for an address of the socket's family, valid until the IRP completes.
    unsafe { std::ptr::copy_nonoverlapping(a.bytes.as_ptr(), out, n) };
    held.finish(Some(socket), status::SUCCESS, 0)
}

/// `WskCloseSocket`.
extern "win64" fn close(handle: *mut c_void, irp: Irp) -> NTSTATUS {
    let _call = InCall::enter("WskCloseSocket");
    irql::require_at_most(irql::DISPATCH);
    let Some(entered) = enter(handle) else { return status::INVALID_PARAMETER };
    let socket = entered.socket();
    // SAFETY: what the driver passed.
    let Some(held) = (unsafe { Held::take(irp) }) else { return status::INVALID_PARAMETER };
    if socket.state.compare_exchange(OPEN, CLOSING, Ordering::SeqCst, Ordering::SeqCst).is_err() {
        record(CLOSED, "closed twice");
        return held.complete(status::INVALID_PARAMETER, 0);
    }
    let others = socket.calls.load(Ordering::SeqCst) - 1;
    if others != 0 {
        record(BUSY, &format!("{others} other calls are in progress on the socket"));
    }
    let retained = socket.rx.retained();
    if retained != 0 {
        record(RETAINED, &format!("{retained} indication lists are retained"));
    }
    socket.rx.wake();
    socket.tx.wake();
    let block = handle.cast::<Handle>() as usize;
    let busy = !socket.threads.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
    drop(entered);
    held.mark_pending();
    let finish = move || socket.end(block as *mut Handle, held);
    if busy {
        // The worker thread must not wait; this one may.
        crate::ke::spawn_or_abort("wsk-close", finish);
    } else {
        later_do(Box::new(finish));
    }
    status::PENDING
}
