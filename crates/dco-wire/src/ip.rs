//! The inner packet's IPv4 or IPv6 header.
//!
//! Only what the data path asks: who it is from and to, what it carries and where that begins. Checksums and options are the hosts'
//! business. A packet is refused here only if its addresses cannot be read.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// TCP's protocol number.
pub const TCP: u8 = 6;
/// UDP's protocol number.
pub const UDP: u8 = 17;

/// Bytes of an IPv4 header without options.
pub const V4_HEADER_LEN: usize = 20;
/// Bytes of an IPv6 header without extension headers.
pub const V6_HEADER_LEN: usize = 40;

/// How many IPv6 extension headers are skipped before the walk gives up. RFC 8200 knows six kinds, each once (destination options
/// twice).
const MAX_EXTENSIONS: usize = 8;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION_OPTIONS: u8 = 60;

/// The version in a packet's first four bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Version {
    /// IPv4
    V4,
    /// IPv6
    V6,
}

/// The IP version a packet claims; `None` if it is empty or neither.
#[inline]
#[must_use]
pub const fn version(packet: &[u8]) -> Option<Version> {
    match packet.first() {
        Some(&first) => match first >> 4 {
            4 => Some(Version::V4),
            6 => Some(Version::V6),
            _ => None,
        },
        None => None,
    }
}

/// The source address alone; `None` if the packet is neither IPv4 nor IPv6 or ends within the fixed header.
#[inline]
#[must_use]
pub fn source(packet: &[u8]) -> Option<IpAddr> {
    match version(packet)? {
        Version::V4 => {
            let &[_, _, _, _, _, _, _, _, _, _, _, _, a, b, c, d, _, _, _, _] = packet.first_chunk()?;
            Some(Ipv4Addr::new(a, b, c, d).into())
        }
        Version::V6 => {
            let header: &[u8; V6_HEADER_LEN] = packet.first_chunk()?;
            let source: &[u8; 16] = header.get(8..)?.first_chunk()?;
            Some(Ipv6Addr::from(*source).into())
        }
    }
}

/// Which part of a datagram a packet is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Fragment {
    /// All of it.
    Whole,
    /// The first of several: the upper protocol's header begins here.
    First,
    /// A later one: what follows the IP header is not the upper protocol's header.
    Later,
}

/// What an IP header says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IpHeader {
    /// Source address.
    pub src: IpAddr,
    /// Destination address.
    pub dst: IpAddr,
    /// The upper protocol. In IPv6, extension headers are skipped as far as they are present and well formed; where the walk has
    /// to stop early this is the number of the extension header it stopped at, which is no upper protocol's.
    pub protocol: u8,
    /// Bytes before the upper protocol's header, extension headers included. Never more than the slice that was parsed.
    pub header_len: usize,
    /// Bytes of the whole packet as the header states them, whatever the length of the slice. In IPv6 the payload length plus 40.
    pub total_len: usize,
    /// Which part of a fragmented datagram this is.
    pub fragment: Fragment,
}

/// Why a header cannot be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IpError {
    /// Neither IPv4 nor IPv6.
    NotIp,
    /// The slice ends within the header.
    Truncated,
    /// The IPv4 header length is less than 20, or the total length less than the header length.
    BadLength,
}

/// Reads the IP header at the start of `packet`, which may be only the packet's beginning: [`IpHeader::total_len`] is what the header
/// claims and is for the caller to compare.
///
/// # Errors
///
/// See [`IpError`]; a truncated or odd chain of IPv6 extension headers is not an error (see [`IpHeader::protocol`]).
#[inline]
pub fn parse(packet: &[u8]) -> Result<IpHeader, IpError> {
    match version(packet) {
        Some(Version::V4) => parse_v4(packet),
        Some(Version::V6) => parse_v6(packet),
        None if packet.is_empty() => Err(IpError::Truncated),
        None => Err(IpError::NotIp),
    }
}

#[inline]
fn parse_v4(packet: &[u8]) -> Result<IpHeader, IpError> {
    let header: &[u8; V4_HEADER_LEN] = packet.first_chunk().ok_or(IpError::Truncated)?;
    let &[first, _, len_hi, len_lo, _, _, frag_hi, frag_lo, _, protocol, _, _, s0, s1, s2, s3, d0, d1, d2, d3] = header;
    let header_len = usize::from(first & 0x0f) << 2;
    let total_len = usize::from(u16::from_be_bytes([len_hi, len_lo]));
    if header_len < V4_HEADER_LEN || total_len < header_len {
        return Err(IpError::BadLength);
    }
    if packet.len() < header_len {
        return Err(IpError::Truncated);
    }
    let more = frag_hi & 0x20 != 0;
    let offset = u16::from_be_bytes([frag_hi & 0x1f, frag_lo]);
    Ok(IpHeader {
        src: IpAddr::V4(Ipv4Addr::new(s0, s1, s2, s3)),
        dst: IpAddr::V4(Ipv4Addr::new(d0, d1, d2, d3)),
        protocol,
        header_len,
        total_len,
        fragment: fragment(offset, more),
    })
}

#[inline]
fn parse_v6(packet: &[u8]) -> Result<IpHeader, IpError> {
    let (header, rest) = packet.split_first_chunk::<V6_HEADER_LEN>().ok_or(IpError::Truncated)?;
    let &[_, _, _, _, len_hi, len_lo, next, _, ref addresses @ ..] = header;
    let addresses: &[u8; 32] = addresses;
    let (src, dst) = addresses.split_first_chunk::<16>().ok_or(IpError::Truncated)?;
    let dst = dst.first_chunk::<16>().ok_or(IpError::Truncated)?;
    let payload = usize::from(u16::from_be_bytes([len_hi, len_lo]));
    let upper = skip_extensions(next, rest);
    Ok(IpHeader {
        src: IpAddr::V6(Ipv6Addr::from(*src)),
        dst: IpAddr::V6(Ipv6Addr::from(*dst)),
        protocol: upper.protocol,
        header_len: V6_HEADER_LEN.saturating_add(upper.offset),
        total_len: payload.saturating_add(V6_HEADER_LEN),
        fragment: upper.fragment,
    })
}

/// Where the chain of extension headers ends.
struct Upper {
    protocol: u8,
    offset: usize,
    fragment: Fragment,
}

/// Walks the extension headers in `rest`, what follows the fixed header. Each step consumes at least eight bytes, and there are at most
/// [`MAX_EXTENSIONS`].
#[inline]
fn skip_extensions(next: u8, rest: &[u8]) -> Upper {
    let mut at = Upper { protocol: next, offset: 0, fragment: Fragment::Whole };
    for _ in 0..MAX_EXTENSIONS {
        let tail = rest.get(at.offset..).unwrap_or_default();
        let len = match (at.protocol, tail) {
            (HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS, &[_, len, ..]) => usize::from(len).saturating_add(1) << 3,
            (AUTHENTICATION, &[_, len, ..]) => usize::from(len).saturating_add(2) << 2,
            (FRAGMENT, _) => 8,
            _ => return at,
        };
        let (Some(extension), Some(end)) = (tail.get(..len), at.offset.checked_add(len)) else { return at };
        let Some(&following) = extension.first() else { return at };
        if let (FRAGMENT, Some(&[_, _, hi, lo])) = (at.protocol, extension.first_chunk()) {
            let field = u16::from_be_bytes([hi, lo]);
            at.fragment = fragment(field >> 3, field & 1 != 0);
        }
        at.protocol = following;
        at.offset = end;
        if at.fragment == Fragment::Later {
            return at;
        }
    }
    at
}

#[inline]
fn fragment(offset: u16, more: bool) -> Fragment {
    match (offset, more) {
        (0, false) => Fragment::Whole,
        (0, true) => Fragment::First,
        _ => Fragment::Later,
    }
}
