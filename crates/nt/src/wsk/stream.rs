//! Stream sockets: connected, then read by asking for data, buffer by buffer.

use super::address::RawAddress;
use super::client::Client;
use super::handle::Handle;
use super::intake::{Arrived, BufferSizes, Intake};
use super::listen::Accepted;
use super::pending::{InFlight, Notify, PendingIrp};
use super::send::{Chain, PREFIX_LEN, SendPool};
use crate::status::{Result, Status};
use crate::time;
use alloc::boxed::Box;
use core::cell::UnsafeCell;
use core::net::SocketAddr;
use core::ptr::{NonNull, null, null_mut};
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use dco_sync::Shared;
use nt_sys::wsk;

/// Told when something of a stream socket has ended. Both are called in completion routines, at DISPATCH_LEVEL or below, where WSK may
/// not be called: they leave it to a work item or DPC.
pub trait StreamEvents: Send + Sync + 'static {
    /// The connect has ended: [`StreamSocket::outcome`] says how.
    fn connected(&self);
    /// A receive has ended: [`StreamSocket::arrived`] has it.
    fn received(&self);
}

/// How long a close waits for what was sent to be acknowledged and the other end to be told, before it ends the connection at once.
const GRACE_MS: u32 = 500;

/// What the socket's IRPs and buffers refer to; in a box, so that it stays in place.
pub(super) struct Core {
    pub(super) handle: Handle<wsk::WSK_PROVIDER_CONNECTION_DISPATCH>,
    /// Sends and receives whose IRP has not completed.
    pub(super) in_flight: InFlight,
    /// Buffers that the owner of the socket holds.
    pub(super) lent: AtomicUsize,
    /// Nothing more is received.
    pub(super) closing: AtomicBool,
    /// The close waits for nobody at the other end.
    hurry: AtomicBool,
    pub(super) intake: Intake,
    pub(super) events: Box<dyn StreamEvents>,
    connect: PendingIrp,
    disconnect: PendingIrp,
    /// It was connected from the start.
    accepted: bool,
    /// Where to; read by WSK until the connect has ended.
    remote: UnsafeCell<RawAddress>,
}

// SAFETY: `remote` is written before the one connect that reads it is made, by whoever makes it; all else is made to be shared.
unsafe impl Sync for Core {}

/// A bound TCP socket that is, or will be, connected. Dropping it cancels what is pending, disconnects and closes, and waits for all of
/// it (PASSIVE_LEVEL): every buffer received from it must be on its way to being dropped by then.
pub struct StreamSocket {
    /// From a `Box`; raw, because IRPs in flight refer to it. Freed in `drop`.
    core: NonNull<Core>,
    /// Where sent buffers go back to; kept alive until the last send has completed.
    pool: Shared<SendPool>,
    _client: Client,
}

// SAFETY: the core is shared with completion routines on other threads anyhow: it is Sync, and its parts are Send.
unsafe impl Send for StreamSocket {}
// SAFETY: as above.
unsafe impl Sync for StreamSocket {}

impl StreamSocket {
    /// Creates a socket bound to `local`, with buffers to receive into. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// NO_MEMORY, INSUFFICIENT_RESOURCES; WSK's status: an address that is not local, a port in use.
    pub fn new(
        client: &Client,
        pool: &Shared<SendPool>,
        local: SocketAddr,
        buffers: BufferSizes,
        events: impl StreamEvents,
    ) -> Result<Self> {
        let this = Self::without_socket(client, pool, local, buffers, events, false)?;
        // SAFETY: no callbacks, so neither context nor table; called once.
        unsafe { this.core().handle.open(client, local, null_mut(), null()) }?;
        this.set_options();
        Ok(this)
    }

    /// Makes one of a connection that was accepted. It does not receive until [`start`](Self::start). PASSIVE_LEVEL.
    ///
    /// # Errors
    /// NO_MEMORY, INSUFFICIENT_RESOURCES; the connection is reset then.
    pub fn accepted(
        accepted: Accepted<'_>,
        pool: &Shared<SendPool>,
        buffers: BufferSizes,
        events: impl StreamEvents,
    ) -> Result<Self> {
        let remote = accepted.remote().ok_or(Status::INTERNAL_ERROR)?;
        let this = Self::without_socket(accepted.client(), pool, remote, buffers, events, true)?;
        // SAFETY: what was accepted is an open connection, and was the caller's alone.
        unsafe { this.core().handle.adopt(accepted.into_socket()) };
        this.set_options();
        Ok(this)
    }

    /// All but the socket. `accepted`: it will be connected from the start.
    fn without_socket(
        client: &Client,
        pool: &Shared<SendPool>,
        remote: SocketAddr,
        buffers: BufferSizes,
        events: impl StreamEvents,
        accepted: bool,
    ) -> Result<Self> {
        let core = Core {
            handle: Handle::new()?,
            in_flight: InFlight::new(),
            lent: AtomicUsize::new(0),
            closing: AtomicBool::new(false),
            hurry: AtomicBool::new(false),
            intake: Intake::new(buffers)?,
            events: dco_sync::try_box(events)?,
            connect: PendingIrp::new()?,
            disconnect: PendingIrp::new()?,
            accepted,
            remote: UnsafeCell::new(RawAddress::new(remote)),
        };
        let core = NonNull::from(Box::leak(dco_sync::try_box(core)?));
        Ok(Self { core, pool: pool.clone(), _client: client.clone() })
    }

    fn set_options(&self) {
        // Packets are not held back to be sent together: they are whole tunnel packets. Each send asks for the same, so a network stack
        // that refuses the option changes nothing that matters.
        let _ = self.core().handle.control(
            wsk::WSK_CONTROL_SOCKET_TYPE::WskSetOption,
            wsk::TCP_NODELAY,
            wsk::IPPROTO_TCP,
            &mut 1u32.to_ne_bytes(),
        );
    }

    fn core(&self) -> &Core {
        // SAFETY: the core lives until `drop` has run.
        unsafe { self.core.as_ref() }
    }

    /// Begins to connect; [`StreamEvents::connected`] is called when that has ended, perhaps before this returns. Once. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// INVALID_DEVICE_STATE the second time.
    pub fn connect(&self, remote: SocketAddr) -> Result<()> {
        let core = self.core();
        let f = core.handle.dispatch().and_then(|d| d.WskConnect).ok_or(Status::INVALID_DEVICE_STATE)?;
        let notify = Notify { call: connected, context: self.core.cast() };
        // SAFETY: the core, and the address in it, stay in place until the socket is dropped, which waits for the connect. The
        // address is written by the first caller alone, inside `start`'s one call.
        unsafe {
            core.connect.start(Some(notify), |irp| {
                *core.remote.get() = RawAddress::new(remote);
                f(core.handle.raw(), (*core.remote.get()).as_mut_ptr(), 0, irp)
            })
        }
    }

    /// How the connect ended; `None` while it runs or before it was begun. Any IRQL.
    #[must_use]
    pub fn outcome(&self) -> Option<Status> {
        self.core().connect.outcome()
    }

    /// Begins to receive, once connected. IRQL <= DISPATCH_LEVEL.
    pub fn start(&self) {
        Intake::post(self.core());
    }

    /// What the receive that has ended brought; `None` if none has. Whoever gets it has the stream to itself until it is dropped, and
    /// with it goes the next receive out. IRQL <= DISPATCH_LEVEL, not in a completion routine.
    #[must_use]
    pub fn arrived(&self) -> Option<Arrived<'_>> {
        Intake::take(self.core())
    }

    /// Ends the connection at once, without waiting for it; once is enough. IRQL <= DISPATCH_LEVEL.
    pub fn abort(&self) {
        self.disconnect(wsk::WSK_FLAG_ABORTIVE);
    }

    /// Begins to end the connection in order: what was sent goes out first. Once is enough. IRQL <= DISPATCH_LEVEL.
    pub fn finish(&self) {
        self.disconnect(0);
    }

    /// Whether the end that was begun by [`finish`](Self::finish) or [`abort`](Self::abort) has come. Any IRQL.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.core().disconnect.outcome().is_some()
    }

    /// From now on the close does not wait for the other end: what it has not taken is lost. Any IRQL.
    pub fn hurry(&self) {
        self.core().hurry.store(true, Ordering::Relaxed);
    }

    fn disconnect(&self, flags: u32) {
        let core = self.core();
        let Some(f) = core.handle.dispatch().and_then(|d| d.WskDisconnect) else { return };
        // SAFETY: no buffer is passed; the socket is open, as `close` comes after this and waits for its end.
        let _ = unsafe { core.disconnect.start(None, |irp| f(core.handle.raw(), null_mut(), flags, irp)) };
    }

    /// Sends a chain as one piece of the stream, each packet behind what `prefix` makes of its length. Returns at once; buffers go back
    /// to their pool when the send completes, and the pool counts failures. IRQL <= DISPATCH_LEVEL.
    pub fn send(&self, chain: Chain<'_>, prefix: fn(usize) -> [u8; PREFIX_LEN]) {
        let core = self.core();
        let Some(f) = core.handle.dispatch().and_then(|d| d.WskSend) else { return };
        if chain.is_empty() || !core::ptr::eq(chain.pool(), &raw const *self.pool) {
            return;
        }
        chain.submit_stream(&core.in_flight, prefix, |buffer, irp| {
            // SAFETY: the buffers belong to the send until the IRP completes; the socket is open until `drop`.
            unsafe { f(core.handle.raw(), buffer, wsk::WSK_FLAG_NODELAY, irp) }
        });
    }

    /// Packets that the network stack has not taken yet. Any IRQL.
    #[must_use]
    pub fn unsent(&self) -> usize {
        self.core().in_flight.packets()
    }

    /// Ends everything in order: the connect, receiving, the connection, the socket. PASSIVE_LEVEL.
    fn close(&self) {
        let core = self.core();
        core.closing.store(true, Ordering::SeqCst);
        core.connect.cancel();
        core.connect.wait(None);
        while core.lent.load(Ordering::Acquire) != 0 {
            time::pause();
        }
        let connected = core.accepted || core.connect.outcome().is_some_and(Status::is_success);
        if connected && !core.hurry.load(Ordering::Relaxed) {
            self.disconnect(0);
            // One that is not done by then is ended by the close.
            core.disconnect.wait(Some(GRACE_MS));
        }
        // SAFETY: called once; nothing is lent, nothing new is received, and nobody sends: `self` is being dropped.
        unsafe { core.handle.close() };
        core.disconnect.wait(None);
        core.in_flight.settle();
    }
}

impl Drop for StreamSocket {
    fn drop(&mut self) {
        self.close();
        // SAFETY: made by `Box::leak` in `new`; no IRP is in flight and no buffer is lent.
        drop(unsafe { Box::from_raw(self.core.as_ptr()) });
    }
}

unsafe fn connected(core: NonNull<()>) {
    // SAFETY: `connect` passed the socket's core, which waits for this connect before it goes.
    unsafe { core.cast::<Core>().as_ref() }.events.connected();
}
