//! `SOCKADDR_IN` and `SOCKADDR_IN6`, alone, in their union, and before a multi-peer control packet.
//!
//! | bytes | `SOCKADDR_IN`, 16 | `SOCKADDR_IN6`, 28 |
//! |---|---|---|
//! | 0..2 | family 2, little-endian | family 23 |
//! | 2..4 | port, big-endian | port |
//! | 4..8 | address | flow information |
//! | 8..24 | zero (to 16) | address |
//! | 24..28 | | scope id, little-endian |
//!
//! Where a server has several listeners ([`additive::MP_LISTEN`](crate::additive::MP_LISTEN)), a client's address says by which it talks:
//! the listener's number is a little-endian `u32` in the first four bytes that the address itself leaves free, 8..12 of a `SOCKADDR_IN`, 4..8
//! of a `SOCKADDR_IN6`. Number 0, the listener of MP_START_VPN, leaves them as OpenVPN knows them.

use crate::error::UapiError;
use crate::raw::SockaddrUnion;
use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// Windows' address family of IPv4.
pub const AF_INET: u16 = 2;
/// Windows' address family of IPv6.
pub const AF_INET6: u16 = 23;
/// Bytes of a `SOCKADDR_IN`.
pub const V4_LEN: usize = 16;
/// Bytes of a `SOCKADDR_IN6`, and of the union.
pub const V6_LEN: usize = 28;

impl SockaddrUnion {
    /// All zero: no address.
    pub const ZERO: Self = Self { bytes: [0; V6_LEN] };

    /// The same address with this listener's number; an address of no family stays as it is.
    #[must_use]
    pub fn with_listener(mut self, listener: u32) -> Self {
        if let Some(number) = self.listener_place() {
            *number = listener.to_le_bytes();
        }
        self
    }

    /// The listener's number in it; 0 for an address of no family.
    #[must_use]
    pub fn listener(mut self) -> u32 {
        self.listener_place().map_or(0, |number| u32::from_le_bytes(*number))
    }

    fn listener_place(&mut self) -> Option<&mut [u8; 4]> {
        let [lo, hi, _, _, info @ .., _, _, _, _] = &mut self.bytes;
        let _: &mut [u8; 20] = info;
        let at = match u16::from_le_bytes([*lo, *hi]) {
            AF_INET => 4,
            AF_INET6 => 0,
            _ => return None,
        };
        info.get_mut(at..).and_then(|rest| rest.first_chunk_mut())
    }

    /// The address in the union.
    ///
    /// # Errors
    ///
    /// [`UapiError::BadFamily`] if the family is neither IPv4's nor IPv6's.
    pub fn parse(&self) -> Result<SocketAddr, UapiError> {
        let [lo, hi, body @ ..] = self.bytes;
        match u16::from_le_bytes([lo, hi]) {
            AF_INET => {
                let [p0, p1, a0, a1, a2, a3, ..] = body;
                Ok(SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::new(a0, a1, a2, a3), u16::from_be_bytes([p0, p1]))))
            }
            AF_INET6 => {
                let [p0, p1, f0, f1, f2, f3, addr @ .., s0, s1, s2, s3] = body;
                let addr: [u8; 16] = addr;
                Ok(SocketAddr::V6(SocketAddrV6::new(
                    Ipv6Addr::from(addr),
                    u16::from_be_bytes([p0, p1]),
                    u32::from_le_bytes([f0, f1, f2, f3]),
                    u32::from_le_bytes([s0, s1, s2, s3]),
                )))
            }
            family => Err(UapiError::BadFamily(family)),
        }
    }
}

impl From<SocketAddr> for SockaddrUnion {
    fn from(addr: SocketAddr) -> Self {
        let [p0, p1] = addr.port().to_be_bytes();
        let mut union = Self::ZERO;
        match addr {
            SocketAddr::V4(v4) => {
                let [f0, f1] = AF_INET.to_le_bytes();
                let [a0, a1, a2, a3] = v4.ip().octets();
                if let Some(head) = union.bytes.first_chunk_mut() {
                    *head = [f0, f1, p0, p1, a0, a1, a2, a3];
                }
            }
            SocketAddr::V6(v6) => {
                let [f0, f1] = AF_INET6.to_le_bytes();
                let [i0, i1, i2, i3] = v6.flowinfo().to_le_bytes();
                let [s0, s1, s2, s3] = v6.scope_id().to_le_bytes();
                let [head @ .., t0, t1, t2, t3] = &mut union.bytes;
                let _: &mut [u8; 24] = head;
                if let Some((start, address)) = head.split_first_chunk_mut() {
                    *start = [f0, f1, p0, p1, i0, i1, i2, i3];
                    address.copy_from_slice(&v6.ip().octets());
                }
                (*t0, *t1, *t2, *t3) = (s0, s1, s2, s3);
            }
        }
        union
    }
}

/// Bytes of the socket address for this address: 16 or 28.
#[must_use]
pub const fn encoded_len(addr: &SocketAddr) -> usize {
    match addr {
        SocketAddr::V4(_) => V4_LEN,
        SocketAddr::V6(_) => V6_LEN,
    }
}

/// Splits what a multi-peer user writes into where to send it and what to send: a `SOCKADDR_IN` or `SOCKADDR_IN6`, then at least a byte.
///
/// # Errors
///
/// [`UapiError::BadPrefixFamily`] for another family, [`UapiError::ShortPrefix`] if the prefix or the payload is missing.
pub fn split_prefix(written: &[u8]) -> Result<(SocketAddr, &[u8]), UapiError> {
    let (union, payload) = split_union(written)?;
    Ok((union.parse()?, payload))
}

/// The same with the address as it was written, which may have a listener's number in it.
///
/// # Errors
///
/// As [`split_prefix`].
pub fn split_union(written: &[u8]) -> Result<(SockaddrUnion, &[u8]), UapiError> {
    let Some(&[lo, hi]) = written.first_chunk() else {
        return Err(UapiError::ShortPrefix);
    };
    let len = match u16::from_le_bytes([lo, hi]) {
        AF_INET => V4_LEN,
        AF_INET6 => V6_LEN,
        family => return Err(UapiError::BadPrefixFamily(family)),
    };
    let mut union = SockaddrUnion::ZERO;
    match (written.split_at_checked(len), union.bytes.get_mut(..len)) {
        (Some((prefix, payload)), Some(bytes)) if !payload.is_empty() => {
            bytes.copy_from_slice(prefix);
            Ok((union, payload))
        }
        _ => Err(UapiError::ShortPrefix),
    }
}

/// Writes the prefix a multi-peer user finds before a control packet; returns the rest of `out`, where the packet goes.
///
/// # Errors
///
/// [`UapiError::TooShort`] if `out` has no room for the prefix; nothing is written then.
pub fn write_prefix(from: SocketAddr, out: &mut [u8]) -> Result<&mut [u8], UapiError> {
    write_prefix_by(from, 0, out)
}

/// The same with the number of the listener that the packet came by.
///
/// # Errors
///
/// As [`write_prefix`].
pub fn write_prefix_by(from: SocketAddr, listener: u32, out: &mut [u8]) -> Result<&mut [u8], UapiError> {
    let needed = encoded_len(&from);
    let given = out.len();
    let mut union = SockaddrUnion::from(from);
    if listener != 0 {
        union = union.with_listener(listener);
    }
    match (out.split_at_mut_checked(needed), union.bytes.get(..needed)) {
        (Some((prefix, rest)), Some(bytes)) => {
            prefix.copy_from_slice(bytes);
            Ok(rest)
        }
        _ => Err(UapiError::TooShort { needed, given }),
    }
}
