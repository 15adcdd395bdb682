//! Datagram sockets.

use super::abi::{DatagramDispatch, Irp, ReceiveFromEvent};
use super::address::LinuxAddress;
use super::net::Choices;
use super::receive::{self, Rx};
use super::registration::Client;
use super::send::{self, Tx};
use super::socket::{self, AnySocket, Base};
use super::{control, line};
use crate::nt::{NTSTATUS, status};
use crate::thunk::wrap;
use std::ffi::c_void;
use std::ops::Deref;
use std::sync::{Mutex, OnceLock};

/// One datagram socket.
#[derive(Debug)]
pub struct Datagram {
    base: Base,
    /// WskReceiveFromEvent.
    pub event: Option<ReceiveFromEvent>,
    /// Set by `SIO_WSK_SET_SENDTO_ADDRESS` or `SIO_WSK_SET_REMOTE_ADDRESS`.
    pub default_remote: Mutex<LinuxAddress>,
    /// Receiving side.
    pub rx: Rx,
    /// Sending side.
    pub tx: Tx,
    /// What the network does to it.
    pub choices: Choices,
    /// Where it is bound, once somebody asked.
    own: OnceLock<LinuxAddress>,
}

impl Deref for Datagram {
    type Target = Base;
    fn deref(&self) -> &Base {
        &self.base
    }
}

fn dispatch() -> *const DatagramDispatch {
    static TABLE: OnceLock<DatagramDispatch> = OnceLock::new();
    TABLE.get_or_init(|| DatagramDispatch {
        control: wrap(control::control_socket as *const () as usize),
        close: wrap(socket::close as *const () as usize),
        bind: wrap(socket::bind as *const () as usize),
        send_to: wrap(send::send_to as *const () as usize),
        receive_from: wrap(receive::receive_from as *const () as usize),
        release: wrap(receive::release as *const () as usize),
        get_local_address: wrap(socket::get_local_address as *const () as usize),
        send_messages: wrap(send::send_messages as *const () as usize),
    })
}

impl Datagram {
    /// Makes one; gives the address of its `WSK_SOCKET`.
    pub fn create(
        client: &'static Client,
        family: u16,
        context: *mut c_void,
        event: Option<ReceiveFromEvent>,
    ) -> Result<usize, NTSTATUS> {
        let base = Base::new(client, family, context, libc::SOCK_DGRAM)?;
        // Windows sizes these by itself; a tunnel's socket needs room for bursts.
        for force in [libc::SO_RCVBUFFORCE, libc::SO_SNDBUFFORCE] {
            let _ = control::set_int(base.raw(), libc::SOL_SOCKET, force, 8 << 20);
        }
        let socket = Datagram {
            base,
            event,
            default_remote: Mutex::new(LinuxAddress::NONE),
            rx: Rx::new()?,
            tx: Tx::new()?,
            choices: Choices::new(),
            own: OnceLock::new(),
        };
        Ok(AnySocket::Datagram(socket).publish(dispatch().addr()).base().handle())
    }

    /// Whether a datagram to `to` comes to this socket, which is bound.
    pub fn is_own(&self, to: &LinuxAddress) -> bool {
        let own = self.own.get_or_init(|| LinuxAddress::local(self.raw()));
        to.len != 0 && (to == own || own.is_any_with_port_of(to) && to.is_loopback())
    }

    /// Makes the threads look at the socket's state.
    pub fn wake(&self) {
        self.rx.wake();
        self.tx.wake();
    }

    /// Frees all buffers and descriptors; no thread runs any more.
    pub fn free_buffers(&self) {
        self.rx.free_buffers();
        self.tx.free();
    }

    /// The cancel routine of `irp` runs.
    pub fn cancel(&self, irp: Irp) {
        let _ = self.tx.calls.cancel(irp) || self.rx.requests.cancel(irp);
    }

    /// Completes what is pending, as the socket closes.
    pub fn cancel_all(&self) {
        self.tx.calls.drain(|op| {
            op.end(status::CANCELLED);
        });
        self.rx.cancel_all();
        line::flush(self.raw());
    }
}
