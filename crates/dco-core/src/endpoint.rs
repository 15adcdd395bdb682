//! Where a peer is in the network.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// Both ends of a peer's transport.
///
/// Addresses are normalised by the shell: an IPv4 address is an IPv4 address, never mapped into IPv6, and a scope id is there only where
/// the address needs one (link-local). An IPv6 flow label is not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// The peer's end.
    pub remote: SocketAddr,
    /// Our end's address; `None`: routing chooses.
    pub local: Option<IpAddr>,
}

#[cfg(feature = "sockets")]
impl Endpoint {
    /// Whether both ends are the same. One of our own ends that is not known may be any.
    pub(crate) fn is_met_at(self, other: Self) -> bool {
        let unknown = self.local.is_none() || other.local.is_none();
        self.remote == other.remote && (unknown || self.local == other.local)
    }
}

/// What [`Words`] need.
pub(crate) const WORDS: usize = 5;

/// An endpoint, or none, as atomics hold it and as it is compared: remote address, remote port and scope with what is there,
/// local address.
pub(crate) type Words = [u64; WORDS];

const PRESENT: u64 = 1 << 48;
const REMOTE_V6: u64 = 1 << 49;
const LOCAL: u64 = 1 << 50;
const LOCAL_V6: u64 = 1 << 51;

pub(crate) fn pack(endpoint: Option<Endpoint>) -> Words {
    let Some(Endpoint { remote, local }) = endpoint else { return [0; WORDS] };
    let [r0, r1] = address_words(remote.ip());
    let mut meta = PRESENT | u64::from(remote.port());
    if let SocketAddr::V6(remote) = remote {
        meta |= REMOTE_V6 | u64::from(remote.scope_id()) << 16;
    }
    let [l0, l1] = local.map_or([0, 0], address_words);
    meta |= match local {
        None => 0,
        Some(IpAddr::V4(_)) => LOCAL,
        Some(IpAddr::V6(_)) => LOCAL | LOCAL_V6,
    };
    [r0, r1, meta, l0, l1]
}

pub(crate) fn unpack([r0, r1, meta, l0, l1]: Words) -> Option<Endpoint> {
    if meta & PRESENT == 0 {
        return None;
    }
    let (port, scope) = (low16(meta), low32(meta >> 16));
    let remote = match address([r0, r1], meta & REMOTE_V6 != 0) {
        IpAddr::V4(ip) => SocketAddr::new(ip.into(), port),
        IpAddr::V6(ip) => SocketAddr::V6(SocketAddrV6::new(ip, port, 0, scope)),
    };
    Some(Endpoint { remote, local: (meta & LOCAL != 0).then(|| address([l0, l1], meta & LOCAL_V6 != 0)) })
}

/// Whether two endpoints, packed, have the same remote end.
pub(crate) fn same_remote([a0, a1, a, ..]: Words, [b0, b1, b, ..]: Words) -> bool {
    const LOCALS: u64 = LOCAL | LOCAL_V6;
    a0 == b0 && a1 == b1 && a & !LOCALS == b & !LOCALS
}

/// `endpoint`, with `other`'s local end if it has none itself: then it is not known.
pub(crate) fn with_local_of([r0, r1, meta, l0, l1]: Words, [.., other, o0, o1]: Words) -> Words {
    if meta & LOCAL != 0 { [r0, r1, meta, l0, l1] } else { [r0, r1, meta | other & (LOCAL | LOCAL_V6), o0, o1] }
}

/// The address in two words; an IPv4 address in the second.
pub(crate) fn address_words(address: IpAddr) -> [u64; 2] {
    match address {
        IpAddr::V4(v4) => [0, u64::from(v4.to_bits())],
        IpAddr::V6(v6) => {
            let bits = v6.to_bits();
            [low64(bits >> 64), low64(bits)]
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "that is what it is for")]
const fn low16(word: u64) -> u16 {
    word as u16
}

#[expect(clippy::cast_possible_truncation, reason = "that is what it is for")]
const fn low32(word: u64) -> u32 {
    word as u32
}

#[expect(clippy::cast_possible_truncation, reason = "that is what it is for")]
const fn low64(bits: u128) -> u64 {
    bits as u64
}

fn address([high, low]: [u64; 2], v6: bool) -> IpAddr {
    if v6 {
        Ipv6Addr::from_bits(u128::from(high) << 64 | u128::from(low)).into()
    } else {
        Ipv4Addr::from_bits(low32(low)).into()
    }
}

/// A peer's addresses inside the tunnel, packed: which there are and the IPv4 address, then the IPv6 address.
pub(crate) type VpnWords = [u64; 3];

const VPN4: u64 = 1 << 32;
const VPN6: u64 = 1 << 33;

pub(crate) fn pack_vpn(v4: Option<Ipv4Addr>, v6: Option<Ipv6Addr>) -> VpnWords {
    let low = v4.map_or(0, |v4| VPN4 | u64::from(v4.to_bits()));
    let [high6, low6] = v6.map_or([0, 0], |v6| address_words(v6.into()));
    [low | if v6.is_some() { VPN6 } else { 0 }, high6, low6]
}

pub(crate) fn unpack_vpn([first, high6, low6]: VpnWords) -> (Option<Ipv4Addr>, Option<Ipv6Addr>) {
    let v4 = (first & VPN4 != 0).then(|| Ipv4Addr::from_bits(low32(first)));
    (v4, (first & VPN6 != 0).then(|| Ipv6Addr::from_bits(u128::from(high6) << 64 | u128::from(low6))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_and_unpacked_they_are_the_same() {
        let v6 = Ipv6Addr::new(0xfe80, 1, 2, 3, 4, 5, 6, 0xffff);
        let remotes = [
            SocketAddr::from(([255, 0, 2, 1], 65_535)),
            SocketAddr::from(([0, 0, 0, 0], 0)),
            SocketAddr::V6(SocketAddrV6::new(v6, 1194, 0, u32::MAX)),
            SocketAddr::V6(SocketAddrV6::new(v6, 1194, 0, 0x0102_0304)),
        ];
        let locals = [None, Some(Ipv4Addr::new(1, 2, 3, 255).into()), Some(v6.into())];
        let all = remotes.iter().flat_map(|remote| locals.map(|local| Endpoint { remote: *remote, local }));
        let all: std::vec::Vec<_> = all.collect();
        for a in &all {
            assert_eq!(unpack(pack(Some(*a))), Some(*a));
            for b in &all {
                assert_eq!(pack(Some(*a)) == pack(Some(*b)), a == b);
                assert_eq!(same_remote(pack(Some(*a)), pack(Some(*b))), a.remote == b.remote);
            }
        }
        assert_eq!(unpack(pack(None)), None);
    }

    #[test]
    fn an_address_of_one_family_is_none_of_the_other() {
        let mapped = Ipv6Addr::from_bits(0x0102_0304);
        let v4 = Endpoint { remote: ([1, 2, 3, 4], 5).into(), local: None };
        let v6 = Endpoint { remote: (mapped, 5).into(), local: None };
        assert_ne!(pack(Some(v4)), pack(Some(v6)));
    }

    #[test]
    fn tunnel_addresses() {
        for v4 in [None, Some(Ipv4Addr::UNSPECIFIED), Some(Ipv4Addr::BROADCAST)] {
            for v6 in [None, Some(Ipv6Addr::UNSPECIFIED), Some(Ipv6Addr::new(0xfd00, 1, 2, 3, 4, 5, 6, 7))] {
                assert_eq!(unpack_vpn(pack_vpn(v4, v6)), (v4, v6));
            }
        }
    }
}
