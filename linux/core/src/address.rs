//! The boundary's addresses, and Rust's.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use dco_core::Endpoint;

use crate::ffi::{AF_INET, AF_INET6, dco_addr, dco_endpoint};

#[cfg_attr(not(test), expect(clippy::cast_possible_truncation, reason = "2 and 10"))]
const V4: u16 = AF_INET as u16;
#[cfg_attr(not(test), expect(clippy::cast_possible_truncation, reason = "2 and 10"))]
const V6: u16 = AF_INET6 as u16;

impl dco_addr {
    /// No address.
    pub const NONE: Self = Self { family: 0, reserved: 0, addr: [0; 16] };

    /// The address; `None` if there is none.
    #[inline]
    pub fn get(&self) -> Option<IpAddr> {
        let [a, b, c, d, ..] = self.addr;
        match self.family {
            V4 => Some(IpAddr::V4(Ipv4Addr::new(a, b, c, d))),
            V6 => Some(IpAddr::V6(Ipv6Addr::from_octets(self.addr))),
            _ => None,
        }
    }

    /// An IPv4 address.
    pub fn get_v4(&self) -> Option<Ipv4Addr> {
        match self.get() {
            Some(IpAddr::V4(address)) => Some(address),
            _ => None,
        }
    }

    /// An IPv6 address.
    pub fn get_v6(&self) -> Option<Ipv6Addr> {
        match self.get() {
            Some(IpAddr::V6(address)) => Some(address),
            _ => None,
        }
    }
}

impl From<IpAddr> for dco_addr {
    #[inline]
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => {
                let [a, b, c, d] = address.octets();
                let addr = [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
                Self { family: V4, reserved: 0, addr }
            }
            IpAddr::V6(address) => Self { family: V6, reserved: 0, addr: address.octets() },
        }
    }
}

impl<T: Into<IpAddr>> From<Option<T>> for dco_addr {
    fn from(address: Option<T>) -> Self {
        address.map_or(Self::NONE, |address| address.into().into())
    }
}

impl dco_endpoint {
    /// No endpoint.
    pub const NONE: Self =
        Self { remote: dco_addr::NONE, local: dco_addr::NONE, remote_port: [0; 2], reserved: 0, scope_id: 0 };

    /// The endpoint; `None` if there is no remote address.
    #[inline]
    pub fn get(&self) -> Option<Endpoint> {
        let port = u16::from_be_bytes(self.remote_port);
        let remote = match self.remote.get()? {
            IpAddr::V4(address) => SocketAddr::V4(SocketAddrV4::new(address, port)),
            IpAddr::V6(address) => SocketAddr::V6(SocketAddrV6::new(address, port, 0, self.scope_id)),
        };
        Some(Endpoint { remote, local: self.local.get() })
    }
}

impl From<Option<Endpoint>> for dco_endpoint {
    #[inline]
    fn from(endpoint: Option<Endpoint>) -> Self {
        let Some(Endpoint { remote, local }) = endpoint else { return Self::NONE };
        let scope_id = match remote {
            SocketAddr::V4(_) => 0,
            SocketAddr::V6(remote) => remote.scope_id(),
        };
        Self {
            remote: remote.ip().into(),
            local: local.into(),
            remote_port: remote.port().to_be_bytes(),
            reserved: 0,
            scope_id,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let v4 = SocketAddr::from(([192, 0, 2, 1], 1194));
        let v6 = SocketAddr::V6(SocketAddrV6::new(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1), 1194, 0, 7));
        let local4 = Some(IpAddr::from([192, 0, 2, 2]));
        for endpoint in [
            None,
            Some(Endpoint { remote: v4, local: None }),
            Some(Endpoint { remote: v4, local: local4 }),
            Some(Endpoint { remote: v6, local: Some(Ipv6Addr::LOCALHOST.into()) }),
        ] {
            assert_eq!(dco_endpoint::from(endpoint).get(), endpoint);
        }
    }

    #[test]
    fn bytes_are_in_network_order() {
        let endpoint = Endpoint { remote: SocketAddr::from(([192, 0, 2, 1], 0x04aa)), local: None };
        let made = dco_endpoint::from(Some(endpoint));
        assert_eq!((made.remote.family, &made.remote.addr[..5]), (2, &[192, 0, 2, 1, 0][..]));
        assert_eq!((made.remote_port, made.local.family), ([4, 0xaa], 0));
    }
}
