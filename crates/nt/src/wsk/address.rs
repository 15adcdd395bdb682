//! Socket addresses in the form WSK wants.

use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use core::ptr::NonNull;
use nt_sys::wsk::{self, SOCKADDR, SOCKADDR_IN6};

/// Families in the width of `sa_family`.
pub(super) const AF_INET: u16 = wsk::AF_INET as u16;
pub(super) const AF_INET6: u16 = wsk::AF_INET6 as u16;

/// Room for either family, laid out by hand: family (u16, host order), port (u16, network order), then `sin_addr` at 4, or
/// flow info at 4, address at 8, scope id at 24 (ws2def.h, ws2ipdef.h).
#[repr(C, align(8))]
pub(crate) struct RawAddress([u8; RawAddress::LEN]);

impl RawAddress {
    pub(crate) const LEN: usize = 28;

    pub(crate) fn new(address: SocketAddr) -> Self {
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

    pub(crate) const fn bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// No address.
    pub(super) const fn none() -> Self {
        Self([0; Self::LEN])
    }

    /// The same for a socket of IPv6, to which an IPv4 address is one that is mapped into IPv6.
    pub(super) fn for_ipv6(address: SocketAddr) -> Self {
        Self::new(match address {
            SocketAddr::V4(v4) => (v4.ip().to_ipv6_mapped(), v4.port()).into(),
            v6 @ SocketAddr::V6(_) => v6,
        })
    }

    /// The address, its flow information left out; an IPv4 address that is mapped into IPv6 is an IPv4 address. `None` for another family.
    pub(super) fn get(&self) -> Option<SocketAddr> {
        let [f0, f1, p0, p1, a0, a1, a2, a3, rest @ ..] = self.0;
        let port = u16::from_be_bytes([p0, p1]);
        match u16::from_le_bytes([f0, f1]) {
            AF_INET => Some((Ipv4Addr::new(a0, a1, a2, a3), port).into()),
            AF_INET6 => {
                let [address @ .., s0, s1, s2, s3] = rest;
                let address = Ipv6Addr::from(address);
                Some(match address.to_ipv4_mapped() {
                    Some(v4) => (v4, port).into(),
                    None => SocketAddrV6::new(address, port, 0, u32::from_le_bytes([s0, s1, s2, s3])).into(),
                })
            }
            _ => None,
        }
    }

    /// What lies behind a pointer of WSK's, as [`get`](Self::get) has it.
    ///
    /// # Safety
    /// `address` points to a SOCKADDR_IN or a SOCKADDR_IN6, as its family says.
    pub(super) unsafe fn read(address: NonNull<SOCKADDR>) -> Option<SocketAddr> {
        let mut raw = Self::none();
        let from = address.as_ptr().cast::<u8>();
        // SAFETY: every SOCKADDR begins with its family.
        let family = unsafe { from.cast::<u16>().read_unaligned() };
        let len = match family {
            AF_INET => 16,
            AF_INET6 => Self::LEN,
            _ => return None,
        };
        // SAFETY: the family says how much is there (caller); `raw` has room for the longer.
        unsafe { core::ptr::copy_nonoverlapping(from, raw.0.as_mut_ptr(), len) };
        raw.get()
    }

    pub(super) fn as_mut_ptr(&mut self) -> *mut SOCKADDR {
        self.0.as_mut_ptr().cast()
    }
}
