//! How packets reach the peer: one socket, of datagrams or of a stream.

use crate::link::{Link, Peer, Receiver};
use crate::message::MAX_WRITE;
use core::net::SocketAddr;
use dco_core::MAX_SEALED;
use dco_sync::Shared;
use dco_uapi as uapi;
use dco_wire::{ip, stream};
use nt::status::Result;
use nt::wsk::{BufferSizes, Chain, Client, DatagramSocket, PREFIX_LEN, StreamSocket};

/// What one connection receives into: enough for the receive queue to be busy with some while the network fills others. What lies in
/// all of them at most is what TCP's own window is on top of. The rest of one frame is less than a send buffer and a length.
const fn buffers(longest: usize) -> BufferSizes {
    BufferSizes { count: 4, capacity: 64 * 1024, rest: PREFIX_LEN + longest - 1 }
}

// Whatever is sent fits in a frame of the ordinary length, unless the MTU says more at both ends.
const _: () = assert!(MAX_SEALED <= stream::MAX_FRAME && MAX_WRITE <= stream::MAX_FRAME);
const _: () = assert!(PREFIX_LEN == stream::PREFIX_LEN);

/// Sends packets to a peer, wherever it is. Returns at once. IRQL <= DISPATCH_LEVEL; no lock may be held that receiving takes.
pub fn send(peer: &Peer, chain: Chain<'_>) {
    let remote = peer.endpoint().0.map(|endpoint| endpoint.remote);
    peer.transport().send(chain, remote);
}

/// The socket of a peer.
pub enum Transport {
    Udp(DatagramSocket<Receiver>),
    Tcp(StreamSocket),
    /// The server's, which all its peers share.
    Listening(DatagramSocket<Receiver>),
}

impl Transport {
    /// A bound socket: over UDP one that talks to `remote` alone, over TCP one that is yet to connect. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// WSK's status; no memory.
    pub fn new(client: &Client, link: &Shared<Link>, new: &uapi::NewPeer) -> Result<Self> {
        let receiver = Receiver::new(link);
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

    /// The server's socket, bound. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// WSK's status; no memory.
    pub fn listen(client: &Client, link: &Shared<Link>, asked: &uapi::MpStartVpn) -> Result<Self> {
        let receiver = Receiver::new(link);
        let socket = DatagramSocket::listening(client, &link.sends, asked.listen, !asked.ipv6_only, receiver)?;
        Ok(Self::Listening(socket))
    }

    /// Whether it is the server's, of IPv4.
    pub fn is_ipv4(&self) -> bool {
        matches!(self, Self::Listening(socket) if socket.is_ipv4())
    }

    /// The IP number of its protocol.
    pub fn protocol(&self) -> u8 {
        match self {
            Self::Udp(_) | Self::Listening(_) => ip::UDP,
            Self::Tcp(_) => ip::TCP,
        }
    }

    /// The stream, if it is one.
    pub fn stream(&self) -> Option<&StreamSocket> {
        match self {
            Self::Udp(_) | Self::Listening(_) => None,
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
        }
    }

    /// Nothing is added to the receive queue after this. PASSIVE_LEVEL; for a stream, the peer is unpublished already, and what
    /// arrives finds it no more.
    pub fn stop(&self) {
        match self {
            Self::Udp(socket) | Self::Listening(socket) => socket.stop(),
            Self::Tcp(_) => {}
        }
    }

    /// Sends packets: the server's socket to `to`, any other to its peer. Returns at once. IRQL <= DISPATCH_LEVEL; no lock may be held that receiving takes.
    pub fn send(&self, chain: Chain<'_>, to: Option<SocketAddr>) {
        match self {
            Self::Udp(socket) => socket.send(chain),
            Self::Listening(socket) => {
                if let Some(to) = to {
                    socket.send_to(chain, to);
                }
            }
            // The fallback is never taken: no packet is longer than a frame.
            Self::Tcp(socket) => socket.send(chain, |len| stream::prefix_within(len, usize::MAX).unwrap_or_default()),
        }
    }
}
