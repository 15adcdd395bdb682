//! P2P requests: `OVPN_IOCTL_NEW_PEER` and `OVPN_IOCTL_SET_PEER`.

use crate::error::{UapiError, prefix};
use crate::raw;
use core::net::SocketAddr;
use zerocopy::little_endian::I32;

/// A transport protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Protocol {
    /// One packet per datagram.
    Udp,
    /// Packets with a 16-bit length before each.
    Tcp,
}

impl Protocol {
    /// From its number: 0 UDP, 1 TCP.
    ///
    /// # Errors
    ///
    /// [`UapiError::BadProtocol`].
    pub fn parse(number: i32) -> Result<Self, UapiError> {
        match number {
            0 => Ok(Self::Udp),
            1 => Ok(Self::Tcp),
            other => Err(UapiError::BadProtocol(other)),
        }
    }
}

/// The peer to make.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NewPeer {
    /// Where to bind; any address and port 0 unless the user asked for one.
    pub local: SocketAddr,
    /// Where the peer is. Nothing says it is of the same family as `local`.
    pub remote: SocketAddr,
    /// How to reach it.
    pub protocol: Protocol,
}

impl NewPeer {
    /// Reads the input of `OVPN_IOCTL_NEW_PEER`, 60 bytes.
    ///
    /// # Errors
    ///
    /// [`UapiError::TooShort`], [`UapiError::BadFamily`], [`UapiError::BadProtocol`].
    pub fn parse(input: &[u8]) -> Result<Self, UapiError> {
        let raw: &raw::NewPeer = prefix(input)?;
        Ok(Self { local: raw.local.parse()?, remote: raw.remote.parse()?, protocol: Protocol::parse(raw.proto.get())? })
    }
}

/// What to change about a peer: `None` leaves it, zero turns it off.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SetPeer {
    /// Seconds without a sent packet after which a ping is sent.
    pub interval: Option<u32>,
    /// Seconds without a received packet after which the peer is given up.
    pub timeout: Option<u32>,
    /// The largest segment size a TCP SYN may announce through the tunnel, in bytes.
    pub mss: Option<u16>,
}

impl SetPeer {
    /// Reads the input of `OVPN_IOCTL_SET_PEER`, 12 bytes. -1 leaves a setting; an MSS is cut to its low 16 bits, as the existing driver
    /// does.
    ///
    /// # Errors
    ///
    /// [`UapiError::TooShort`]; [`UapiError::BadInterval`] for a time below -1.
    pub fn parse(input: &[u8]) -> Result<Self, UapiError> {
        Self::from_raw(prefix(input)?)
    }

    pub(crate) fn from_raw(raw: &raw::SetPeer) -> Result<Self, UapiError> {
        let [mss_lo, mss_hi, ..] = raw.mss.to_bytes();
        Ok(Self {
            interval: seconds(raw.keepalive_interval)?,
            timeout: seconds(raw.keepalive_timeout)?,
            mss: if raw.mss.get() == -1 { None } else { Some(u16::from_le_bytes([mss_lo, mss_hi])) },
        })
    }
}

fn seconds(raw: I32) -> Result<Option<u32>, UapiError> {
    match raw.get() {
        -1 => Ok(None),
        other => u32::try_from(other).map(Some).map_err(|_| UapiError::BadInterval(other)),
    }
}
