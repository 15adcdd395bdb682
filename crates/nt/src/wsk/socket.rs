//! Datagram sockets.

use super::address::{AF_INET, AF_INET6, RawAddress};
use super::client::Client;
use super::irp::WaitIrp;
use super::list::DatagramList;
use super::send::{Chain, SendPool};
use crate::status::{Result, Status};
use crate::time;
use alloc::boxed::Box;
use core::net::SocketAddr;
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use dco_sync::Shared;
use nt_sys::wsk;
use nt_sys::{NTSTATUS, PVOID};

/// Takes what a socket receives.
pub trait Receive: Send + Sync + 'static {
    /// Datagrams arrived. Returns the list to be done with it at once, or keeps it (returns `None`) and drops it later.
    /// DISPATCH_LEVEL or below; possibly on several processors at once; must not wait.
    fn receive(&self, list: DatagramList) -> Option<DatagramList>;
}

/// What does not depend on the receiver's type.
pub(super) struct Core {
    socket: AtomicPtr<wsk::WSK_SOCKET>,
    /// Lists that were retained and not released yet.
    pub(super) retained: AtomicUsize,
    /// Sends whose IRP has not completed.
    sending: AtomicUsize,
    /// Whether the receive callback is enabled.
    receiving: AtomicBool,
    /// The socket is going: whatever is still indicated is returned at once.
    closing: AtomicBool,
    /// For everything that is waited for; made with the socket, so that closing it cannot fail for want of memory.
    irp: WaitIrp,
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
    fn raw(&self) -> *mut wsk::WSK_SOCKET {
        self.socket.load(Ordering::Acquire)
    }

    /// The provider's functions for this socket.
    fn dispatch(&self) -> Option<&wsk::WSK_PROVIDER_DATAGRAM_DISPATCH> {
        let socket = NonNull::new(self.raw())?;
        // SAFETY: WSK's socket object, and its table, are valid until the close IRP has completed.
        unsafe { socket.as_ref().Dispatch.cast::<wsk::WSK_PROVIDER_DATAGRAM_DISPATCH>().as_ref() }
    }

    /// Gives a retained list back to WSK.
    ///
    /// # Safety
    /// `head` is a list retained from this socket, released once, before the socket is closed.
    pub(super) unsafe fn release(&self, head: *mut wsk::WSK_DATAGRAM_INDICATION) {
        if let Some(release) = self.dispatch().and_then(|d| d.WskRelease) {
            // SAFETY: as the caller says.
            let _ = unsafe { release(self.raw(), head) };
        }
    }

    /// The last act of a send's completion: after it, the socket may go.
    ///
    /// # Safety
    /// `this` has this send counted in `sending`.
    pub(super) unsafe fn send_ended(this: NonNull<Self>) {
        // SAFETY: the core lives until `sending` is zero.
        unsafe { this.as_ref() }.sending.fetch_sub(1, Ordering::Release);
    }

    /// WskControlSocket with an IRP that is waited for. PASSIVE_LEVEL.
    fn control(&self, kind: wsk::WSK_CONTROL_SOCKET_TYPE::Type, code: u32, level: u32, input: &mut [u8]) -> Result<()> {
        let f = self.dispatch().and_then(|d| d.WskControlSocket).ok_or(Status::INVALID_DEVICE_STATE)?;
        let (p, len) = (input.as_mut_ptr(), input.len());
        // SAFETY: the input lives until the IRP has completed, which `wait` sees to; no output is asked for.
        unsafe {
            self.irp.wait(|irp| f(self.raw(), kind, code, level, len as _, p.cast(), 0, null_mut(), null_mut(), irp))
        }
        .map(drop)
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
            let f = self.dispatch().and_then(|d| d.WskControlSocket).ok_or(Status::INVALID_DEVICE_STATE)?;
            // SAFETY: the input is read during the call; no output, no IRP.
            return Status(unsafe {
                f(
                    self.raw(),
                    wsk::WSK_CONTROL_SOCKET_TYPE::WskSetOption,
                    wsk::SO_WSK_EVENT_CALLBACK as _,
                    wsk::SOL_SOCKET as _,
                    bytes.len() as _,
                    bytes.as_mut_ptr().cast(),
                    0,
                    null_mut(),
                    null_mut(),
                    null_mut(),
                )
            })
            .ok();
        }
        self.control(
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
        let core = Core {
            socket: AtomicPtr::new(null_mut()),
            retained: AtomicUsize::new(0),
            sending: AtomicUsize::new(0),
            receiving: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            irp: WaitIrp::new()?,
        };
        let inner = NonNull::from(Box::leak(dco_sync::try_box(Inner { core, receiver })?));
        let this = Self { inner, pool: pool.clone(), _client: client.clone() };
        let create = client.dispatch().WskSocket.ok_or(Status::INTERNAL_ERROR)?;
        let family = if local.is_ipv4() { AF_INET } else { AF_INET6 };
        // SAFETY: the context is the boxed `Inner`, which `drop` keeps until the socket is closed; the dispatch is a static; the
        // process, thread and descriptor may be NULL.
        let socket = unsafe {
            this.core().irp.wait(|irp| {
                create(
                    client.provider(),
                    family,
                    wsk::SOCK_DGRAM as _,
                    wsk::IPPROTO_UDP as _,
                    wsk::WSK_FLAG_DATAGRAM_SOCKET as _,
                    inner.as_ptr().cast(),
                    Self::DISPATCH.cast(),
                    null_mut(),
                    null_mut(),
                    null_mut(),
                    irp,
                )
            })
        }?;
        let core = this.core();
        core.socket.store(core::ptr::with_exposed_provenance_mut(socket as usize), Ordering::Release);
        let mut address = RawAddress::new(local);
        let bind = core.dispatch().and_then(|d| d.WskBind).ok_or(Status::INTERNAL_ERROR)?;
        // SAFETY: the address lives until the IRP has completed.
        unsafe { core.irp.wait(|irp| bind(core.raw(), address.as_mut_ptr(), 0, irp)) }?;
        let mut address = RawAddress::new(remote);
        // SAFETY: a plain structure viewed as its bytes.
        let bytes = unsafe { core::slice::from_raw_parts_mut(address.as_mut_ptr().cast::<u8>(), RawAddress::LEN) };
        core.control(wsk::WSK_CONTROL_SOCKET_TYPE::WskIoctl, wsk::SIO_WSK_SET_REMOTE_ADDRESS as _, 0, bytes)?;
        Ok(this)
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
        let Some(f) = core.dispatch().and_then(|d| d.WskSendMessages) else { return };
        if chain.is_empty() || !core::ptr::eq(chain.pool(), &raw const *self.pool) {
            return;
        }
        core.sending.fetch_add(1, Ordering::Relaxed);
        chain.submit(NonNull::from(core), |list, irp| {
            // SAFETY: the list and its buffers belong to the send until the IRP completes; a NULL address means the fixed remote.
            unsafe { f(core.raw(), list, 0, null_mut(), 0, null_mut(), irp) }
        });
    }
}

impl<R: Receive> Drop for DatagramSocket<R> {
    fn drop(&mut self) {
        let core = self.core();
        if !core.raw().is_null() {
            self.close(core);
        }
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
        if let Some(close) = core.dispatch().and_then(|d| d.WskCloseSocket) {
            // SAFETY: the callback is off, every list is released, and nobody else can call the socket: `self` is borrowed
            // mutably. WSK cancels pending sends and completes them.
            let _ = unsafe { core.irp.wait(|irp| close(core.raw(), irp)) };
        }
        while core.sending.load(Ordering::Acquire) != 0 {
            time::pause();
        }
    }
}

/// Trampoline of WskReceiveFromEvent.
unsafe extern "C" fn receive_from<R: Receive>(
    context: PVOID,
    _flags: u32,
    list: *mut wsk::WSK_DATAGRAM_INDICATION,
) -> NTSTATUS {
    // A NULL list says that the socket is dead. Its peer then expires like one that went silent, which is what userspace acts on.
    let (Some(inner), Some(list)) = (NonNull::new(context.cast::<Inner<R>>()), NonNull::new(list)) else {
        return Status::SUCCESS.0;
    };
    // SAFETY: the context was given at creation and lives until the socket is closed.
    let inner = unsafe { inner.as_ref() };
    if inner.core.closing.load(Ordering::SeqCst) {
        return Status::SUCCESS.0;
    }
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
