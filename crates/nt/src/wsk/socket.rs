//! Datagram sockets.

use super::address::RawAddress;
use super::client::Client;
use super::handle::Handle;
use super::list::DatagramList;
use super::pending::InFlight;
use super::send::{Chain, SendPool};
use crate::status::{Result, Status};
use crate::time;
use alloc::boxed::Box;
use core::net::SocketAddr;
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use dco_sync::Shared;
use nt_sys::wsk;
use nt_sys::{NTSTATUS, PVOID};

/// Takes what a socket receives.
pub trait Receive: Send + Sync + 'static {
    /// Datagrams arrived. Returns the list to be done with it at once, or keeps it (returns `None`) and drops it later.
    /// DISPATCH_LEVEL or below; possibly on several processors at once; must not wait.
    fn receive(&self, list: DatagramList) -> Option<DatagramList>;
    /// The network stack has given the socket up: nothing more is received or sent. DISPATCH_LEVEL or below; must not wait.
    fn dead(&self);
}

/// What does not depend on the receiver's type.
pub(super) struct Core {
    handle: Handle<wsk::WSK_PROVIDER_DATAGRAM_DISPATCH>,
    /// Lists that were retained and not released yet.
    pub(super) retained: AtomicUsize,
    /// Sends whose IRP has not completed.
    sending: InFlight,
    /// Whether the receive callback is enabled.
    receiving: AtomicBool,
    /// The socket is going: whatever is still indicated is returned at once.
    closing: AtomicBool,
    /// Its family.
    ipv4: bool,
}

#[repr(C)]
struct Inner<R> {
    core: Core,
    receiver: R,
}

/// A bound datagram socket with a fixed remote address. Dropping it closes it and waits (PASSIVE_LEVEL): every list retained
/// from it must be on its way to being dropped by then.
pub struct DatagramSocket<R: Receive> {
    /// From a `Box`; raw, because WSK keeps the address as the socket's context. Freed in `drop`.
    inner: NonNull<Inner<R>>,
    /// Where sent buffers go back to; kept alive until the last send has completed.
    pool: Shared<SendPool>,
    _client: Client,
}

// SAFETY: `Inner` is shared with WSK's callbacks on other threads anyhow: its parts are atomics and a `Receive`, which is Sync.
unsafe impl<R: Receive> Send for DatagramSocket<R> {}
// SAFETY: as above.
unsafe impl<R: Receive> Sync for DatagramSocket<R> {}

impl Core {
    /// Gives a retained list back to WSK.
    ///
    /// # Safety
    /// `head` is a list retained from this socket, released once, before the socket is closed.
    pub(super) unsafe fn release(&self, head: *mut wsk::WSK_DATAGRAM_INDICATION) {
        if let Some(release) = self.handle.dispatch().and_then(|d| d.WskRelease) {
            // SAFETY: as the caller says.
            let _ = unsafe { release(self.handle.raw(), head) };
        }
    }

    /// Enables or disables the receive callback. Disabling waits for running callbacks. PASSIVE_LEVEL.
    fn receive_events(&self, enable: bool) -> Result<()> {
        let mask = wsk::WSK_EVENT_RECEIVE_FROM | if enable { 0 } else { wsk::WSK_EVENT_DISABLE };
        static NPI_ID: wsk::NPIID = wsk::NPI_WSK_INTERFACE_ID;
        let mut control = wsk::WSK_EVENT_CALLBACK_CONTROL { NpiId: (&raw const NPI_ID).cast_mut(), EventMask: mask };
        // SAFETY: a plain structure viewed as its bytes.
        let bytes = unsafe { core::slice::from_raw_parts_mut((&raw mut control).cast::<u8>(), size_of_val(&control)) };
        if enable {
            // Enabling takes no IRP (WDK: SO_WSK_EVENT_CALLBACK).
            return self.handle.control_at_once(wsk::SO_WSK_EVENT_CALLBACK as _, wsk::SOL_SOCKET as _, bytes);
        }
        self.handle.control(
            wsk::WSK_CONTROL_SOCKET_TYPE::WskSetOption,
            wsk::SO_WSK_EVENT_CALLBACK as _,
            wsk::SOL_SOCKET as _,
            bytes,
        )
    }
}

impl<R: Receive> DatagramSocket<R> {
    /// Creates a socket bound to `local` that talks to `remote` only. It does not receive until [`start`](Self::start).
    /// PASSIVE_LEVEL.
    ///
    /// # Errors
    /// WSK's status: an address that is not local, a port in use, no route.
    pub fn new(
        client: &Client,
        pool: &Shared<SendPool>,
        local: SocketAddr,
        remote: SocketAddr,
        receiver: R,
    ) -> Result<Self> {
        let this = Self::create(client, pool, local.is_ipv4(), receiver)?;
        let handle = &this.core().handle;
        handle.bind(local)?;
        let mut address = RawAddress::new(remote);
        // SAFETY: a plain structure viewed as its bytes.
        let bytes = unsafe { core::slice::from_raw_parts_mut(address.as_mut_ptr().cast::<u8>(), RawAddress::LEN) };
        handle.control(wsk::WSK_CONTROL_SOCKET_TYPE::WskIoctl, wsk::SIO_WSK_SET_REMOTE_ADDRESS as _, 0, bytes)?;
        Ok(this)
    }

    /// Creates a socket bound to `local` that talks to everybody: datagrams say where they came from, and are sent with
    /// [`send_to`](Self::send_to). With `dual` one of IPv6 takes IPv4 too. It does not receive until [`start`](Self::start).
    /// PASSIVE_LEVEL.
    ///
    /// # Errors
    /// WSK's status.
    pub fn listening(
        client: &Client,
        pool: &Shared<SendPool>,
        local: SocketAddr,
        dual: bool,
        receiver: R,
    ) -> Result<Self> {
        let this = Self::create(client, pool, local.is_ipv4(), receiver)?;
        let handle = &this.core().handle;
        handle.bind_listener(local, dual)?;
        Ok(this)
    }

    /// An unbound socket.
    fn create(client: &Client, pool: &Shared<SendPool>, ipv4: bool, receiver: R) -> Result<Self> {
        let core = Core {
            handle: Handle::new()?,
            retained: AtomicUsize::new(0),
            sending: InFlight::new(),
            receiving: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            ipv4,
        };
        let inner = NonNull::from(Box::leak(dco_sync::try_box(Inner { core, receiver })?));
        let this = Self { inner, pool: pool.clone(), _client: client.clone() };
        // SAFETY: the context is the boxed `Inner`, which `drop` keeps until the socket is closed; the dispatch is a static.
        unsafe { this.core().handle.create(client, ipv4, inner.as_ptr().cast(), Self::DISPATCH.cast()) }?;
        Ok(this)
    }

    /// Where it is bound; an IPv4 address that is mapped into IPv6 is an IPv4 address. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// WSK's status.
    pub fn local_address(&self) -> Result<SocketAddr> {
        self.core().handle.local_address()
    }

    /// Whether it is of IPv4, so that IPv6 addresses are none to it.
    #[must_use]
    pub fn is_ipv4(&self) -> bool {
        self.core().ipv4
    }

    const DISPATCH: *const wsk::WSK_CLIENT_DATAGRAM_DISPATCH =
        &wsk::WSK_CLIENT_DATAGRAM_DISPATCH { WskReceiveFromEvent: Some(receive_from::<R>) };

    fn core(&self) -> &Core {
        // SAFETY: `inner` lives until `drop` has run.
        unsafe { &self.inner.as_ref().core }
    }

    /// Begins to receive. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// WSK's status.
    pub fn start(&self) -> Result<()> {
        self.core().receive_events(true)?;
        self.core().receiving.store(true, Ordering::Release);
        Ok(())
    }

    /// Ends receiving and waits for running callbacks: after it, no list is retained any more. PASSIVE_LEVEL, not concurrently with
    /// [`start`](Self::start).
    pub fn stop(&self) {
        // Only where it was enabled: a socket that never got as far as being bound has no callback to disable. A failure leaves the
        // rest to the close, which waits for callbacks too.
        if self.core().receiving.swap(false, Ordering::AcqRel) {
            let _ = self.core().receive_events(false);
        }
    }

    /// Sends a chain of datagrams to the remote. Returns at once; buffers go back to their pool when the send completes, and the
    /// pool counts failures. IRQL <= DISPATCH_LEVEL; no lock may be held that the receive callback takes, because a send to
    /// ourselves may be delivered before it returns.
    pub fn send(&self, chain: Chain<'_>) {
        let core = self.core();
        let Some(f) = core.handle.dispatch().and_then(|d| d.WskSendMessages) else { return };
        if chain.is_empty() || !core::ptr::eq(chain.pool(), &raw const *self.pool) {
            return;
        }
        chain.submit(&core.sending, |list, irp| {
            // SAFETY: the list and its buffers belong to the send until the IRP completes; a NULL address means the fixed remote.
            unsafe { f(core.handle.raw(), list, 0, null_mut(), 0, null_mut(), irp) }
        });
    }

    /// Sends a chain of datagrams to `to`: as [`send`](Self::send), for a [listening](Self::listening) socket. One of the other family, to
    /// which the socket cannot send, goes back to the pool and counts as failed.
    pub fn send_to(&self, chain: Chain<'_>, to: SocketAddr) {
        let core = self.core();
        let Some(f) = core.handle.dispatch().and_then(|d| d.WskSendMessages) else { return };
        if chain.is_empty() || !core::ptr::eq(chain.pool(), &raw const *self.pool) {
            return;
        }
        let to = match (core.ipv4, to) {
            (true, SocketAddr::V6(_)) => return chain.fail(),
            (true, to) => RawAddress::new(to),
            (false, to) => RawAddress::for_ipv6(to),
        };
        chain.submit_to(&core.sending, to, |list, to, irp| {
            // SAFETY: the list, its buffers and the address belong to the send until the IRP completes.
            unsafe { f(core.handle.raw(), list, 0, to, 0, null_mut(), irp) }
        });
    }
}

impl<R: Receive> Drop for DatagramSocket<R> {
    fn drop(&mut self) {
        let core = self.core();
        self.close(core);
        // SAFETY: made by `Box::leak` in `new`; WSK, retained lists and sends are done with it.
        drop(unsafe { Box::from_raw(self.inner.as_ptr()) });
    }
}

impl<R: Receive> DatagramSocket<R> {
    /// Closes and waits until nothing refers to the socket. PASSIVE_LEVEL.
    fn close(&self, core: &Core) {
        core.closing.store(true, Ordering::SeqCst);
        self.stop();
        while core.retained.load(Ordering::Acquire) != 0 {
            time::pause();
        }
        // SAFETY: called once; the callback is off, every list is released, and nobody else can call the socket: it is being dropped.
        unsafe { core.handle.close() };
        core.sending.settle();
    }
}

/// Trampoline of WskReceiveFromEvent.
unsafe extern "C" fn receive_from<R: Receive>(
    context: PVOID,
    _flags: u32,
    list: *mut wsk::WSK_DATAGRAM_INDICATION,
) -> NTSTATUS {
    let Some(inner) = NonNull::new(context.cast::<Inner<R>>()) else { return Status::SUCCESS.0 };
    // SAFETY: the context was given at creation and lives until the socket is closed.
    let inner = unsafe { inner.as_ref() };
    if inner.core.closing.load(Ordering::SeqCst) {
        return Status::SUCCESS.0;
    }
    // A NULL list says that the socket is dead.
    let Some(list) = NonNull::new(list) else {
        inner.receiver.dead();
        return Status::SUCCESS.0;
    };
    let head = list;
    // SAFETY: the list was just indicated on this socket.
    let list = unsafe { DatagramList::retain(list, NonNull::from(&inner.core)) };
    match inner.receiver.receive(list) {
        // Only the list that this call indicated goes back by its status.
        Some(list) if list.is(head) => {
            list.hand_back();
            Status::SUCCESS.0
        }
        Some(other) => {
            drop(other);
            Status::PENDING.0
        }
        None => Status::PENDING.0,
    }
}
