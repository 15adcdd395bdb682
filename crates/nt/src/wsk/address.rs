//! Socket addresses in the form WSK wants.

use core::net::SocketAddr;
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

    pub(super) fn as_mut_ptr(&mut self) -> *mut SOCKADDR {
        self.0.as_mut_ptr().cast()
    }
}
