//! Multi-peer requests and events.

use crate::error::{UapiError, prefix};
use crate::peer::SetPeer;
use crate::raw::{self, SockaddrUnion};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// How many peers a device serves.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub enum Mode {
    /// One peer: a client. Every handle begins so.
    #[default]
    P2p,
    /// Many: a server.
    Mp,
}

impl Mode {
    /// Reads the input of `OVPN_IOCTL_SET_MODE`, 4 bytes.
    ///
    /// # Errors
    ///
    /// [`UapiError::TooShort`], [`UapiError::BadMode`].
    pub fn parse(input: &[u8]) -> Result<Self, UapiError> {
        match prefix::<raw::SetMode>(input)?.mode.get() {
            0 => Ok(Self::P2p),
            1 => Ok(Self::Mp),
            other => Err(UapiError::BadMode(other)),
        }
    }
}

/// Where a server listens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MpStartVpn {
    /// The address to bind; on return the address bound.
    pub listen: SocketAddr,
    /// Whether an IPv6 socket refuses IPv4; zero asks for a dual-stack one.
    pub ipv6_only: bool,
}

impl MpStartVpn {
    /// Reads the input of `OVPN_IOCTL_MP_START_VPN`, 32 bytes.
    ///
    /// # Errors
    ///
    /// [`UapiError::TooShort`], [`UapiError::BadFamily`].
    pub fn parse(input: &[u8]) -> Result<Self, UapiError> {
        let raw: &raw::MpStartVpn = prefix(input)?;
        Ok(Self { listen: raw.listen_address.parse()?, ipv6_only: raw.ipv6_only.get() != 0 })
    }

    /// The 32 output bytes.
    #[must_use]
    pub fn to_raw(self) -> raw::MpStartVpn {
        raw::MpStartVpn { listen_address: self.listen.into(), ipv6_only: i32::from(self.ipv6_only).into() }
    }
}

/// A client to add.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MpNewPeer {
    /// Where it is.
    pub remote: SocketAddr,
    /// The number in its address: by which listener, on a handle that has several.
    pub listener: u32,
    /// Its IPv4 address in the tunnel, if it has one.
    pub vpn4: Option<Ipv4Addr>,
    /// Its IPv6 address in the tunnel, if it has one.
    pub vpn6: Option<Ipv6Addr>,
    /// Its id.
    pub peer_id: i32,
}

impl MpNewPeer {
    /// Reads the input of `OVPN_IOCTL_MP_NEW_PEER`, 80 bytes. The local address is not used, but its family must be valid.
    ///
    /// # Errors
    ///
    /// [`UapiError::TooShort`], [`UapiError::BadFamily`].
    pub fn parse(input: &[u8]) -> Result<Self, UapiError> {
        let raw: &raw::MpNewPeer = prefix(input)?;
        raw.local.parse()?;
        let vpn4 = Ipv4Addr::from(raw.vpn_addr4);
        let vpn6 = Ipv6Addr::from(raw.vpn_addr6);
        Ok(Self {
            remote: raw.remote.parse()?,
            listener: raw.remote.listener(),
            vpn4: (!vpn4.is_unspecified()).then_some(vpn4),
            vpn6: (!vpn6.is_unspecified()).then_some(vpn6),
            peer_id: raw.peer_id.get(),
        })
    }
}

/// What to change about a client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MpSetPeer {
    /// Which one.
    pub peer_id: i32,
    /// What to change.
    pub settings: SetPeer,
}

impl MpSetPeer {
    /// Reads the input of `OVPN_IOCTL_MP_SET_PEER`, 16 bytes.
    ///
    /// # Errors
    ///
    /// As [`SetPeer::parse`].
    pub fn parse(input: &[u8]) -> Result<Self, UapiError> {
        let raw: &raw::MpSetPeer = prefix(input)?;
        Ok(Self { peer_id: raw.peer_id.get(), settings: SetPeer::from_raw(&raw.settings)? })
    }
}

/// Reads a lone peer id: the input of `OVPN_IOCTL_MP_DEL_PEER` and `OVPN_IOCTL_MP_SWAP_KEYS`, 4 bytes.
///
/// # Errors
///
/// [`UapiError::TooShort`].
pub fn parse_peer_id(input: &[u8]) -> Result<i32, UapiError> {
    Ok(prefix::<raw::PeerRef>(input)?.peer_id.get())
}

/// Whose counters are asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum PeerChoice {
    /// Every peer's (-1).
    All,
    /// This peer's. P2P mode ignores the id.
    One(i32),
}

impl PeerChoice {
    /// Reads the input of `OVPN_IOCTL_GET_PEER_STATS`, 4 bytes.
    ///
    /// # Errors
    ///
    /// [`UapiError::TooShort`].
    pub fn parse(input: &[u8]) -> Result<Self, UapiError> {
        Ok(match parse_peer_id(input)? {
            -1 => Self::All,
            id => Self::One(id),
        })
    }
}

/// A network behind a client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Iroute {
    /// The network's address. Bits beyond the prefix are as they were given.
    pub addr: IpAddr,
    /// Its prefix length, at most 32 or 128.
    pub netbits: u8,
    /// The client; -1 from OpenVPN when it deletes a route.
    pub peer_id: i32,
}

impl Iroute {
    /// Reads the input of `OVPN_IOCTL_MP_ADD_IROUTE` and `OVPN_IOCTL_MP_DEL_IROUTE`, 28 bytes.
    ///
    /// # Errors
    ///
    /// [`UapiError::TooShort`], [`UapiError::BadNetbits`].
    pub fn parse(input: &[u8]) -> Result<Self, UapiError> {
        let raw: &raw::Iroute = prefix(input)?;
        let (addr, longest) = if raw.ipv6.get() == 0 {
            let [a, b, c, d, ..] = raw.addr;
            (IpAddr::V4(Ipv4Addr::new(a, b, c, d)), 32)
        } else {
            (IpAddr::V6(Ipv6Addr::from(raw.addr)), 128)
        };
        let netbits = raw.netbits.get();
        match u8::try_from(netbits) {
            Ok(netbits) if netbits <= longest => Ok(Self { addr, netbits, peer_id: raw.peer_id.get() }),
            _ => Err(UapiError::BadNetbits(netbits)),
        }
    }
}

/// Why a peer was deleted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[repr(i32)]
pub enum DelReason {
    /// The device went away.
    Teardown = 0,
    /// Userspace asked for it.
    Userspace = 1,
    /// Its keepalive expired.
    Expired = 2,
    /// Its transport failed.
    TransportError = 3,
    /// Its transport was closed by the other end.
    TransportDisconnect = 4,
}

/// The command of [`Notification::Disconnected`]: beyond OpenVPN's, as additive requests' function numbers are.
pub const DISCONNECTED: i32 = 0x800;

/// An event, for `OVPN_IOCTL_NOTIFY_EVENT`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Notification {
    /// A peer was deleted.
    DelPeer {
        /// Which.
        peer_id: i32,
        /// Why.
        reason: DelReason,
    },
    /// A peer's keys should be exchanged for new ones. The existing driver was never seen to send it.
    SwapKeys {
        /// Which.
        peer_id: i32,
    },
    /// A peer's packets come from another address.
    FloatPeer {
        /// Which.
        peer_id: i32,
        /// Its new address.
        address: SocketAddr,
        /// By which listener; 0 is MP_START_VPN's.
        listener: u32,
    },
    /// A TCP connection that is no peer's has ended. Only for who listens for such ([`MP_LISTEN`](crate::additive::MP_LISTEN)).
    Disconnected {
        /// Where it came from.
        address: SocketAddr,
        /// By which listener.
        listener: u32,
    },
}

/// An address with a listener's number in it; 0 leaves it as it is.
fn tagged(address: SocketAddr, listener: u32) -> SockaddrUnion {
    let union = SockaddrUnion::from(address);
    if listener == 0 { union } else { union.with_listener(listener) }
}

impl Notification {
    /// The 144 output bytes; what an event does not use is zero.
    #[must_use]
    pub fn to_raw(self) -> raw::NotifyEvent {
        let (cmd, peer_id, reason, address) = match self {
            Self::DelPeer { peer_id, reason } => (0, peer_id, reason as i32, SockaddrUnion::ZERO),
            Self::SwapKeys { peer_id } => (1, peer_id, 0, SockaddrUnion::ZERO),
            Self::FloatPeer { peer_id, address, listener } => (2, peer_id, 0, tagged(address, listener)),
            Self::Disconnected { address, listener } => (DISCONNECTED, -1, 0, tagged(address, listener)),
        };
        raw::NotifyEvent {
            cmd: cmd.into(),
            peer_id: peer_id.into(),
            del_peer_reason: reason.into(),
            _padding: [0; 4],
            float_address: address,
            _float_address_tail: [0; 100],
        }
    }
}
