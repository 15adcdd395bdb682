//! Listening sockets: connections are asked for, one at a time.
//!
//! An accept goes through `IDLE -> POSTED -> ENDED -> IDLE`; each step is one exchange of `state`, so whoever made it owns what the step is
//! about: the poster the IRP and the address, the completion routine the result, the taker the socket that was accepted.

use super::address::RawAddress;
use super::client::Client;
use super::handle::Handle;
use super::irp::{MORE_PROCESSING_REQUIRED, WaitIrp};
use super::pending::InFlight;
use crate::status::{Result, Status};
use alloc::boxed::Box;
use core::cell::UnsafeCell;
use core::ffi::c_void;
use core::net::SocketAddr;
use core::ptr::{NonNull, null, null_mut};
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU32, Ordering};
use nt_sys::wsk;
use nt_sys::{DEVICE_OBJECT, IRP, NTSTATUS, ntddk};

/// No accept is out.
const IDLE: u32 = 0;
/// WSK has it.
const POSTED: u32 = 1;
/// It has ended, and nobody has looked.
const ENDED: u32 = 2;

/// Told when an accept has ended: [`ListenSocket::accepted`] has what came of it. Called in completion routines, at DISPATCH_LEVEL or below,
/// where WSK may not be called.
pub trait AcceptEvents: Send + Sync + 'static {
    /// An accept has ended.
    fn accepted(&self);
}

/// What the accept's IRP refers to; in a box, so that it stays in place.
struct Core {
    handle: Handle<wsk::WSK_PROVIDER_LISTEN_DISPATCH>,
    irp: NonNull<IRP>,
    state: AtomicU32,
    status: AtomicI32,
    /// What was accepted and not taken yet.
    socket: AtomicPtr<wsk::WSK_SOCKET>,
    /// The other end of it; written by WSK until the accept has ended.
    remote: UnsafeCell<RawAddress>,
    in_flight: InFlight,
    /// No accept is sent out any more.
    closing: AtomicBool,
    /// For closing an accepted socket that nobody wants: that must not fail for want of memory.
    spare: WaitIrp,
    events: Box<dyn AcceptEvents>,
    ipv4: bool,
}

// SAFETY: the IRP is used by one accept at a time (`state`), on whatever thread.
unsafe impl Send for Core {}
// SAFETY: `remote` is reached by the owner of the state alone.
unsafe impl Sync for Core {}

/// A bound TCP socket that takes connections. Dropping it ends the accept that is out, resets what nobody took, closes and waits
/// (PASSIVE_LEVEL).
pub struct ListenSocket {
    /// From a `Box`; raw, because the IRP in flight refers to it. Freed in `drop`.
    core: NonNull<Core>,
    client: Client,
}

// SAFETY: the core is shared with the completion routine on another thread anyhow: it is Sync, and its parts are Send.
unsafe impl Send for ListenSocket {}
// SAFETY: as above.
unsafe impl Sync for ListenSocket {}

impl ListenSocket {
    /// Creates a socket bound to `local`, which takes connections from then on: the network stack keeps some, until they are
    /// [asked for](Self::post). With `dual` one of IPv6 takes IPv4 too. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// NO_MEMORY, INSUFFICIENT_RESOURCES; WSK's status: an address that is not local, a port in use.
    pub fn new(client: &Client, local: SocketAddr, dual: bool, events: impl AcceptEvents) -> Result<Self> {
        // SAFETY: one stack location, no quota.
        let irp = NonNull::new(unsafe { ntddk::IoAllocateIrp(1, 0) }).ok_or(Status::INSUFFICIENT_RESOURCES)?;
        let made = Self::with_irp(client, local, irp, events);
        if made.is_err() {
            // SAFETY: allocated above, and in nobody's hands.
            unsafe { ntddk::IoFreeIrp(irp.as_ptr()) };
        }
        let this = made?;
        let handle = &this.core().handle;
        // SAFETY: no callbacks, so neither context nor table; called once.
        unsafe { handle.create(client, local.is_ipv4(), null_mut(), null()) }?;
        handle.bind_listener(local, dual)?;
        Ok(this)
    }

    /// Without a socket yet; the IRP is its own where it succeeds.
    fn with_irp(client: &Client, local: SocketAddr, irp: NonNull<IRP>, events: impl AcceptEvents) -> Result<Self> {
        let events: Box<dyn AcceptEvents> = dco_sync::try_box(events)?;
        let core = Core {
            handle: Handle::new()?,
            irp,
            state: AtomicU32::new(IDLE),
            status: AtomicI32::new(0),
            socket: AtomicPtr::new(null_mut()),
            remote: UnsafeCell::new(RawAddress::none()),
            in_flight: InFlight::new(),
            closing: AtomicBool::new(false),
            spare: WaitIrp::new()?,
            events,
            ipv4: local.is_ipv4(),
        };
        Ok(Self { core: NonNull::from(Box::leak(dco_sync::try_box(core)?)), client: client.clone() })
    }

    fn core(&self) -> &Core {
        // SAFETY: the core lives until `drop` has run.
        unsafe { self.core.as_ref() }
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Where it is bound; an IPv4 address that is mapped into IPv6 is an IPv4 address. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// WSK's status.
    pub fn local_address(&self) -> Result<SocketAddr> {
        self.core().handle.local_address()
    }

    /// Whether it is of IPv4.
    #[must_use]
    pub fn is_ipv4(&self) -> bool {
        self.core().ipv4
    }

    /// Asks for a connection, unless that was done and its result is not taken; [`AcceptEvents::accepted`] is called when there is one,
    /// perhaps before this returns. IRQL <= DISPATCH_LEVEL, not in a completion routine.
    pub fn post(&self) {
        let core = self.core();
        let Some(accept) = core.handle.dispatch().and_then(|d| d.WskAccept) else { return };
        if core.closing.load(Ordering::SeqCst)
            || core.state.compare_exchange(IDLE, POSTED, Ordering::SeqCst, Ordering::SeqCst).is_err()
        {
            return;
        }
        let irp = core.irp.as_ptr();
        core.in_flight.begin();
        // SAFETY: POSTED makes IRP and address this call's; from the call on they are the completion routine's. They stay in place until the
        // socket has waited for the accept. No event of the accepted socket is used, so it has neither context nor table.
        unsafe {
            ntddk::IoReuseIrp(irp, Status::SUCCESS.0);
            nt_sys::IoSetCompletionRoutine(irp, Some(ended), self.core.as_ptr().cast(), true, true, true);
            let remote = (*core.remote.get()).as_mut_ptr();
            let _ = accept(core.handle.raw(), 0, null_mut(), null(), null_mut(), remote, irp);
        }
    }

    /// What came of the accept that has ended, `None` if none has; another may be [posted](Self::post) then. IRQL <= DISPATCH_LEVEL.
    ///
    /// # Errors
    /// In the option, WSK's status.
    #[must_use]
    pub fn accepted(&self) -> Option<Result<Accepted<'_>>> {
        let core = self.core();
        if core.state.load(Ordering::SeqCst) != ENDED {
            return None;
        }
        let status = Status(core.status.load(Ordering::Relaxed));
        let socket = NonNull::new(core.socket.swap(null_mut(), Ordering::AcqRel));
        // SAFETY: the accept has ended, and the next one begins only after the state below.
        let remote = unsafe { (*core.remote.get()).get() };
        let accepted = socket.map(|socket| Accepted { listener: self, socket, remote });
        core.state.store(IDLE, Ordering::SeqCst);
        Some(status.ok().and_then(|()| accepted.ok_or(Status::INTERNAL_ERROR)))
    }

    /// Closes a socket that was accepted, and waits. PASSIVE_LEVEL.
    ///
    /// # Safety
    /// It is open, and nobody uses it.
    unsafe fn close_accepted(&self, socket: NonNull<wsk::WSK_SOCKET>) {
        // SAFETY: an accepted socket is of the category of connections; its table is valid until it is closed.
        unsafe {
            let table = socket.as_ref().Dispatch.cast::<wsk::WSK_PROVIDER_CONNECTION_DISPATCH>();
            if let Some(close) = table.as_ref().and_then(|table| table.WskCloseSocket) {
                let _ = self.core().spare.wait(|irp| close(socket.as_ptr(), irp));
            }
        }
    }
}

impl Drop for ListenSocket {
    fn drop(&mut self) {
        let core = self.core();
        core.closing.store(true, Ordering::SeqCst);
        // SAFETY: called once; nobody calls the socket, for it is being dropped. The close ends the accept that is out.
        unsafe { core.handle.close() };
        core.in_flight.settle();
        // What was accepted at the last moment.
        drop(self.accepted());
        // SAFETY: allocated by `new`, in no request any more.
        unsafe { ntddk::IoFreeIrp(core.irp.as_ptr()) };
        // SAFETY: made by `Box::leak` in `with_irp`; no IRP is in flight.
        drop(unsafe { Box::from_raw(self.core.as_ptr()) });
    }
}

/// A connection that was accepted, and is not yet a [`StreamSocket`](super::StreamSocket). Dropping it resets it (PASSIVE_LEVEL).
pub struct Accepted<'l> {
    listener: &'l ListenSocket,
    socket: NonNull<wsk::WSK_SOCKET>,
    remote: Option<SocketAddr>,
}

impl Accepted<'_> {
    /// Where it came from; an IPv4 address that is mapped into IPv6 is an IPv4 address.
    #[must_use]
    pub fn remote(&self) -> Option<SocketAddr> {
        self.remote
    }

    pub(super) fn client(&self) -> &Client {
        self.listener.client()
    }

    /// The socket, whose close is from now on the caller's.
    pub(super) fn into_socket(self) -> NonNull<wsk::WSK_SOCKET> {
        let socket = self.socket;
        core::mem::forget(self);
        socket
    }
}

impl Drop for Accepted<'_> {
    fn drop(&mut self) {
        // SAFETY: accepted, open, and nobody else's.
        unsafe { self.listener.close_accepted(self.socket) };
    }
}

unsafe extern "C" fn ended(_: *mut DEVICE_OBJECT, irp: *mut IRP, core: *mut c_void) -> NTSTATUS {
    if let Some(core) = NonNull::new(core.cast::<Core>()) {
        // SAFETY: `post` passed the socket's core, which waits for `in_flight`; the IRP is completed.
        unsafe {
            let this = core.as_ref();
            let (status, socket) = nt_sys::IrpStatus(irp);
            this.status.store(status, Ordering::Relaxed);
            let socket = if status < 0 { null_mut() } else { core::ptr::with_exposed_provenance_mut(socket as usize) };
            this.socket.store(socket, Ordering::Release);
            this.state.store(ENDED, Ordering::SeqCst);
            this.events.accepted();
            InFlight::end(NonNull::from(&this.in_flight));
        }
    }
    MORE_PROCESSING_REQUIRED
}
