//! What datagram and stream sockets have in common: being made, bound, set and closed.

use super::address::{AF_INET, AF_INET6, RawAddress};
use super::client::Client;
use super::irp::WaitIrp;
use crate::status::{Result, Status};
use core::ffi::c_void;
use core::marker::PhantomData;
use core::net::SocketAddr;
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::{AtomicPtr, Ordering};
use nt_sys::wsk;

/// A category of sockets, by the provider's table of its functions.
///
/// # Safety
/// A socket made with these numbers has a table of this type.
pub(super) unsafe trait Category {
    /// SOCK_DGRAM, SOCK_STREAM.
    const TYPE: u32;
    /// IPPROTO_UDP, IPPROTO_TCP.
    const PROTOCOL: u32;
    /// WSK_FLAG_DATAGRAM_SOCKET, WSK_FLAG_CONNECTION_SOCKET.
    const FLAGS: u32;
    fn control(&self) -> wsk::PFN_WSK_CONTROL_SOCKET;
    fn close(&self) -> wsk::PFN_WSK_CLOSE_SOCKET;
    fn bind(&self) -> wsk::PFN_WSK_BIND;
    fn get_local_address(&self) -> wsk::PFN_WSK_GET_LOCAL_ADDRESS;
}

/// The calls of a table that has them by WSK's names.
macro_rules! calls {
    () => {
        fn control(&self) -> wsk::PFN_WSK_CONTROL_SOCKET {
            self.WskControlSocket
        }
        fn close(&self) -> wsk::PFN_WSK_CLOSE_SOCKET {
            self.WskCloseSocket
        }
        fn bind(&self) -> wsk::PFN_WSK_BIND {
            self.WskBind
        }
        fn get_local_address(&self) -> wsk::PFN_WSK_GET_LOCAL_ADDRESS {
            self.WskGetLocalAddress
        }
    };
}

// SAFETY: WSK gives datagram sockets a WSK_PROVIDER_DATAGRAM_DISPATCH.
unsafe impl Category for wsk::WSK_PROVIDER_DATAGRAM_DISPATCH {
    const TYPE: u32 = wsk::SOCK_DGRAM;
    const PROTOCOL: u32 = wsk::IPPROTO_UDP;
    const FLAGS: u32 = wsk::WSK_FLAG_DATAGRAM_SOCKET;
    calls!();
}

// SAFETY: WSK gives connection-oriented sockets a WSK_PROVIDER_CONNECTION_DISPATCH.
unsafe impl Category for wsk::WSK_PROVIDER_CONNECTION_DISPATCH {
    const TYPE: u32 = wsk::SOCK_STREAM;
    const PROTOCOL: u32 = wsk::IPPROTO_TCP;
    const FLAGS: u32 = wsk::WSK_FLAG_CONNECTION_SOCKET;
    calls!();
}

// SAFETY: WSK gives listening sockets a WSK_PROVIDER_LISTEN_DISPATCH.
unsafe impl Category for wsk::WSK_PROVIDER_LISTEN_DISPATCH {
    const TYPE: u32 = wsk::SOCK_STREAM;
    const PROTOCOL: u32 = wsk::IPPROTO_TCP;
    const FLAGS: u32 = wsk::WSK_FLAG_LISTEN_SOCKET;
    calls!();
}

/// WSK's socket object, once there is one, and the IRP for calls on it that are waited for.
pub(super) struct Handle<C> {
    socket: AtomicPtr<wsk::WSK_SOCKET>,
    /// Made with the socket, so that closing it cannot fail for want of memory.
    irp: WaitIrp,
    category: PhantomData<C>,
}

impl<C: Category> Handle<C> {
    /// No socket yet. IRQL <= DISPATCH_LEVEL.
    ///
    /// # Errors
    /// INSUFFICIENT_RESOURCES.
    pub(super) fn new() -> Result<Self> {
        Ok(Self { socket: AtomicPtr::new(null_mut()), irp: WaitIrp::new()?, category: PhantomData })
    }

    /// Makes the socket and binds it to `local`. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// WSK's status. A socket that was made but not bound is closed by [`close`](Self::close) like any other.
    ///
    /// # Safety
    /// `context` and `callbacks` are what this category wants, and live until the socket is closed. Called once.
    pub(super) unsafe fn open(
        &self,
        client: &Client,
        local: SocketAddr,
        context: *mut c_void,
        callbacks: *const c_void,
    ) -> Result<()> {
        // SAFETY: as the caller promises.
        unsafe { self.create(client, local.is_ipv4(), context, callbacks) }?;
        self.bind(local)
    }

    /// Makes the socket, of IPv4 or of IPv6. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// WSK's status.
    ///
    /// # Safety
    /// As [`open`](Self::open).
    pub(super) unsafe fn create(
        &self,
        client: &Client,
        ipv4: bool,
        context: *mut c_void,
        callbacks: *const c_void,
    ) -> Result<()> {
        let create = client.dispatch().WskSocket.ok_or(Status::INTERNAL_ERROR)?;
        let family = if ipv4 { AF_INET } else { AF_INET6 };
        // SAFETY: context and callbacks are as the caller promises; the process, thread and descriptor may be NULL.
        let socket = unsafe {
            self.irp.wait(|irp| {
                create(
                    client.provider(),
                    family,
                    C::TYPE as _,
                    C::PROTOCOL as _,
                    C::FLAGS as _,
                    context,
                    callbacks,
                    null_mut(),
                    null_mut(),
                    null_mut(),
                    irp,
                )
            })
        }?;
        self.socket.store(core::ptr::with_exposed_provenance_mut(socket as usize), Ordering::Release);
        Ok(())
    }

    /// Takes over a socket that was accepted. IRQL <= DISPATCH_LEVEL.
    ///
    /// # Safety
    /// It is open, of this category, and nobody else's; there is none yet.
    pub(super) unsafe fn adopt(&self, socket: NonNull<wsk::WSK_SOCKET>) {
        self.socket.store(socket.as_ptr(), Ordering::Release);
    }

    /// Binds it. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// WSK's status.
    pub(super) fn bind(&self, local: SocketAddr) -> Result<()> {
        let mut address = RawAddress::new(local);
        let bind = self.dispatch().and_then(C::bind).ok_or(Status::INTERNAL_ERROR)?;
        // SAFETY: the address lives until the IRP has completed.
        unsafe { self.irp.wait(|irp| bind(self.raw(), address.as_mut_ptr(), 0, irp)) }.map(drop)
    }

    /// Binds a socket that waits for others; with `dual` one of IPv6 takes IPv4 too. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// WSK's status.
    pub(super) fn bind_listener(&self, local: SocketAddr, dual: bool) -> Result<()> {
        if dual && local.is_ipv6() {
            let mut off = 0u32.to_ne_bytes();
            let kind = wsk::WSK_CONTROL_SOCKET_TYPE::WskSetOption;
            self.control(kind, wsk::IPV6_V6ONLY, wsk::IPPROTO_IPV6, &mut off)?;
        }
        self.bind(local)
    }

    /// Where it is bound: what was chosen for a port of 0. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// WSK's status.
    pub(super) fn local_address(&self) -> Result<SocketAddr> {
        let get = self.dispatch().and_then(C::get_local_address).ok_or(Status::INTERNAL_ERROR)?;
        let mut address = RawAddress::none();
        // SAFETY: the address has room for either family, and lives until the IRP has completed.
        unsafe { self.irp.wait(|irp| get(self.raw(), address.as_mut_ptr(), irp)) }?;
        address.get().ok_or(Status::INTERNAL_ERROR)
    }

    pub(super) fn raw(&self) -> *mut wsk::WSK_SOCKET {
        self.socket.load(Ordering::Acquire)
    }

    /// The provider's functions for this socket, once it is open.
    pub(super) fn dispatch(&self) -> Option<&C> {
        let socket = NonNull::new(self.raw())?;
        // SAFETY: WSK's socket object, and its table, are valid until the close IRP has completed; `Category` vouches for the type.
        unsafe { socket.as_ref().Dispatch.cast::<C>().as_ref() }
    }

    /// WskControlSocket with an IRP that is waited for. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// WSK's status.
    pub(super) fn control(
        &self,
        kind: wsk::WSK_CONTROL_SOCKET_TYPE::Type,
        code: u32,
        level: u32,
        input: &mut [u8],
    ) -> Result<()> {
        let f = self.dispatch().and_then(C::control).ok_or(Status::INVALID_DEVICE_STATE)?;
        let (p, len) = (input.as_mut_ptr(), input.len());
        // SAFETY: the input lives until the IRP has completed, which `wait` sees to; no output is asked for.
        unsafe {
            self.irp.wait(|irp| f(self.raw(), kind, code, level, len as _, p.cast(), 0, null_mut(), null_mut(), irp))
        }
        .map(drop)
    }

    /// WskControlSocket without an IRP: done when it returns. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// WSK's status.
    pub(super) fn control_at_once(&self, code: u32, level: u32, input: &mut [u8]) -> Result<()> {
        let f = self.dispatch().and_then(C::control).ok_or(Status::INVALID_DEVICE_STATE)?;
        // SAFETY: the input is read during the call; no output, no IRP.
        Status(unsafe {
            f(
                self.raw(),
                wsk::WSK_CONTROL_SOCKET_TYPE::WskSetOption,
                code,
                level,
                input.len() as _,
                input.as_mut_ptr().cast(),
                0,
                null_mut(),
                null_mut(),
                null_mut(),
            )
        })
        .ok()
    }

    /// Closes the socket, if there is one, and waits for it: WSK cancels and completes what is pending, and ends its callbacks.
    /// PASSIVE_LEVEL.
    ///
    /// # Safety
    /// Called once; nobody calls the socket any more, and nothing that WSK indicated is retained.
    pub(super) unsafe fn close(&self) {
        if let Some(close) = self.dispatch().and_then(C::close) {
            // SAFETY: as the caller promises.
            let _ = unsafe { self.irp.wait(|irp| close(self.raw(), irp)) };
        }
    }
}
