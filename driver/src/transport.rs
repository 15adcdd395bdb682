//! How packets reach the peer: one socket, of datagrams or of a stream.

use crate::link::{Link, Peer, Receiver};
use crate::listening::{FIRST, listener_of};
use crate::message::MAX_WRITE;
use core::net::SocketAddr;
use dco_core::{Endpoint, MAX_SEALED};
use dco_sync::Shared;
use dco_uapi::{self as uapi, additive::MpListen};
use dco_wire::{ip, stream};
use nt::status::{Result, Status};
use nt::wsk::{BufferSizes, Chain, Client, DatagramSocket, ListenSocket, PREFIX_LEN, StreamSocket};

/// What one connection receives into: enough for the receive queue to be busy with some while the network fills others. What lies in
/// all of them at most is what TCP's own window is on top of. The rest of one frame is less than a send buffer and a length.
const fn buffers(longest: usize) -> BufferSizes {
    BufferSizes { count: 4, capacity: 64 * 1024, rest: PREFIX_LEN + longest - 1 }
}

// Whatever is sent fits in a frame of the ordinary length, unless the MTU says more at both ends.
const _: () = assert!(MAX_SEALED <= stream::MAX_FRAME && MAX_WRITE <= stream::MAX_FRAME);
const _: () = assert!(PREFIX_LEN == stream::PREFIX_LEN);

/// Sends packets to a peer, wherever it is, on processor `cpu`. Returns at once. IRQL <= DISPATCH_LEVEL; no lock may be held that receiving
/// takes. What goes to a server's peer whose listener is closed goes back to the pool and counts as failed.
pub fn send(link: &Link, cpu: usize, peer: &Peer, chain: Chain<'_>) {
    let transport = peer.transport();
    if !matches!(**transport, Transport::Served) {
        return transport.send(chain, None);
    }
    let mut chain = Some(chain);
    if let Some(Endpoint { remote, local }) = peer.endpoint().0 {
        link.listening.with(cpu, listener_of(local), |socket| {
            if let Some(chain) = chain.take() {
                socket.send(chain, Some(remote));
            }
        });
    }
    if let Some(chain) = chain {
        chain.fail();
    }
}

/// Whether `more` packets may be sent by this transport beside those that it has not got rid of. A connection may hold a part of the send
/// buffers that are free, so that however many other ends stand still, those that do not find some. Any IRQL.
pub fn has_room(link: &Link, transport: &Transport, more: usize) -> bool {
    /// Connections leave so many alone.
    const KEPT: usize = 64;
    let Some(stream) = transport.stream() else { return true };
    let free = link.sends.free().saturating_sub(KEPT);
    free != 0 && stream.unsent().saturating_add(more) <= free / 4
}

/// The socket of a peer.
pub enum Transport {
    Udp(DatagramSocket<Receiver>),
    Tcp(StreamSocket),
    /// A server's listener.
    Listening(DatagramSocket<Receiver>),
    /// A server's listener for TCP connections.
    Accepting(ListenSocket),
    /// None of its own: the listener by which it was heard last.
    Served,
}

impl Transport {
    /// A bound socket: over UDP one that talks to `remote` alone, over TCP one that is yet to connect. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// WSK's status; no memory.
    pub fn new(client: &Client, link: &Shared<Link>, new: &uapi::NewPeer) -> Result<Self> {
        let receiver = Receiver::new(link, FIRST);
        Ok(match new.protocol {
            uapi::Protocol::Udp => {
                Self::Udp(DatagramSocket::new(client, &link.sends, new.local, new.remote, receiver)?)
            }
            uapi::Protocol::Tcp => Self::Tcp(StreamSocket::new(
                client,
                &link.sends,
                new.local,
                buffers(link.sends.buffer_len()),
                receiver,
            )?),
        })
    }

    /// A listener of a server's, bound. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// WSK's status; no memory.
    pub fn listen(client: &Client, link: &Shared<Link>, listener: u32, wanted: &MpListen) -> Result<Self> {
        let receiver = Receiver::new(link, listener);
        let MpListen { listen, ipv6_only, protocol } = *wanted;
        Ok(match protocol {
            uapi::Protocol::Udp => {
                Self::Listening(DatagramSocket::listening(client, &link.sends, listen, !ipv6_only, receiver)?)
            }
            uapi::Protocol::Tcp => Self::Accepting(ListenSocket::new(client, listen, !ipv6_only, receiver)?),
        })
    }

    /// Where a listener is bound. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// WSK's status; INVALID_DEVICE_STATE of any other.
    pub fn local_address(&self) -> Result<SocketAddr> {
        match self {
            Self::Listening(socket) => socket.local_address(),
            Self::Accepting(socket) => socket.local_address(),
            Self::Udp(_) | Self::Tcp(_) | Self::Served => Err(Status::INVALID_DEVICE_STATE),
        }
    }

    /// Whether it is a listener of IPv4.
    pub fn is_ipv4(&self) -> bool {
        match self {
            Self::Listening(socket) => socket.is_ipv4(),
            Self::Accepting(socket) => socket.is_ipv4(),
            Self::Udp(_) | Self::Tcp(_) | Self::Served => false,
        }
    }

    /// The IP number of its protocol.
    pub fn protocol(&self) -> u8 {
        match self {
            Self::Udp(_) | Self::Listening(_) | Self::Served => ip::UDP,
            Self::Tcp(_) | Self::Accepting(_) => ip::TCP,
        }
    }

    /// The stream, if it is one.
    pub fn stream(&self) -> Option<&StreamSocket> {
        match self {
            Self::Udp(_) | Self::Listening(_) | Self::Accepting(_) | Self::Served => None,
            Self::Tcp(socket) => Some(socket),
        }
    }

    /// Begins to connect; true if there is something to wait for. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// What [`StreamSocket::connect`] returns.
    pub fn connect(&self, remote: SocketAddr) -> Result<()> {
        self.stream().map_or(Ok(()), |socket| socket.connect(remote))
    }

    /// Begins to receive. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// WSK's status.
    pub fn start(&self) -> Result<()> {
        match self {
            Self::Udp(socket) | Self::Listening(socket) => socket.start(),
            Self::Tcp(socket) => {
                socket.start();
                Ok(())
            }
            Self::Accepting(socket) => {
                socket.post();
                Ok(())
            }
            Self::Served => Ok(()),
        }
    }

    /// Nothing is added to the receive queue after this. PASSIVE_LEVEL; for a stream, the peer is unpublished already, and what
    /// arrives finds it no more.
    pub fn stop(&self) {
        match self {
            Self::Udp(socket) | Self::Listening(socket) => socket.stop(),
            Self::Tcp(_) | Self::Accepting(_) | Self::Served => {}
        }
    }

    /// Sends packets: a listener to `to`, any other to its peer. Returns at once. IRQL <= DISPATCH_LEVEL; no lock may be held that receiving takes.
    pub fn send(&self, chain: Chain<'_>, to: Option<SocketAddr>) {
        match self {
            Self::Udp(socket) => socket.send(chain),
            Self::Listening(socket) => {
                if let Some(to) = to {
                    socket.send_to(chain, to);
                }
            }
            Self::Accepting(_) | Self::Served => {}
            // The fallback is never taken: no packet is longer than a frame.
            Self::Tcp(socket) => socket.send(chain, |len| stream::prefix_within(len, usize::MAX).unwrap_or_default()),
        }
    }
}
