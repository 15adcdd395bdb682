//! Socket addresses in the form WSK wants.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use nt_sys::wsk::{self, SOCKADDR, SOCKADDR_IN6};

/// Families in the width of `sa_family`.
pub(super) const AF_INET: u16 = wsk::AF_INET as u16;
pub(super) const AF_INET6: u16 = wsk::AF_INET6 as u16;

/// Room for either family, laid out by hand: family (u16, host order), port (u16, network order), then `sin_addr` at 4, or
/// flow info at 4, address at 8, scope id at 24 (ws2def.h, ws2ipdef.h).
#[repr(C, align(8))]
pub(super) struct RawAddress([u8; RawAddress::LEN]);

impl RawAddress {
    pub(super) const LEN: usize = 28;

    pub(super) fn new(address: SocketAddr) -> Self {
        const { assert!(Self::LEN == size_of::<SOCKADDR_IN6>()) }
        let mut bytes = [0u8; Self::LEN];
        let mut put = |offset: usize, from: &[u8]| {
            for (to, from) in bytes.iter_mut().skip(offset).zip(from) {
                *to = *from;
            }
        };
        put(2, &address.port().to_be_bytes());
        match address {
            SocketAddr::V4(v4) => {
                put(0, &AF_INET.to_le_bytes());
                put(4, &v4.ip().octets());
            }
            SocketAddr::V6(v6) => {
                put(0, &AF_INET6.to_le_bytes());
                put(8, &v6.ip().octets());
                put(24, &v6.scope_id().to_le_bytes());
            }
        }
        Self(bytes)
    }

    pub(super) fn as_mut_ptr(&mut self) -> *mut SOCKADDR {
        self.0.as_mut_ptr().cast()
    }
}

/// Reads an address that WSK delivered.
///
/// # Safety
/// `p` is null or points to a socket address as long as its family says.
pub(super) unsafe fn read(p: *const SOCKADDR) -> Option<SocketAddr> {
    if p.is_null() {
        return None;
    }
    let bytes: *const u8 = p.cast();
    // SAFETY: at least a family and a port are there (caller).
    let family = unsafe { bytes.cast::<u16>().read_unaligned() };
    // SAFETY: as above.
    let port = u16::from_be_bytes(unsafe { bytes.add(2).cast::<[u8; 2]>().read() });
    let ip = match family {
        // SAFETY: a SOCKADDR_IN has its address at 4.
        AF_INET => IpAddr::V4(Ipv4Addr::from(unsafe { bytes.add(4).cast::<[u8; 4]>().read() })),
        // SAFETY: a SOCKADDR_IN6 has its address at 8.
        AF_INET6 => IpAddr::V6(Ipv6Addr::from(unsafe { bytes.add(8).cast::<[u8; 16]>().read() })),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}
