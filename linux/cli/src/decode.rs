//! Answers and events of both interfaces. What is not known is passed over: newer kernels may say more.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use crate::interface::{IFINDEX, Interface, ours, ovpn, v2};
use crate::wire::{Attribute, Malformed, find, generic};

/// Bytes and packets, both ways.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes received.
    pub rx_bytes: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Packets received.
    pub rx_packets: u64,
    /// Packets sent.
    pub tx_packets: u64,
}

/// A peer as the kernel tells of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Peer {
    /// In packets, both ways unless `tx_id` is another.
    pub id: u32,
    /// In packets that are sent.
    pub tx_id: Option<u32>,
    /// The other end; over TCP neither interface tells it.
    pub remote: Option<SocketAddr>,
    /// Where packets are sent from, once it is known.
    pub local: Option<IpAddr>,
    /// The same.
    pub local_port: Option<u16>,
    /// In the tunnel, of a multi-peer device.
    pub vpn4: Option<Ipv4Addr>,
    /// The same.
    pub vpn6: Option<Ipv6Addr>,
    /// Seconds of silence until a ping; 0 for none.
    pub interval: u32,
    /// Seconds of silence until the peer is gone; 0 for ever.
    pub timeout: u32,
    /// The largest TCP segment let through, if there is a limit.
    pub mss: Option<u32>,
    /// What went through the tunnel.
    pub vpn: Traffic,
    /// What that was on the wire.
    pub link: Traffic,
    /// Dropped packets by reason; `None` from a module that does not say.
    pub drops: Option<Vec<(String, u64)>>,
}

impl Peer {
    /// The counters in the order that both interfaces number them in, without a gap.
    fn counter(&mut self, index: u16) -> Option<&mut u64> {
        Some(match index {
            0 => &mut self.vpn.rx_bytes,
            1 => &mut self.vpn.tx_bytes,
            2 => &mut self.vpn.rx_packets,
            3 => &mut self.vpn.tx_packets,
            4 => &mut self.link.rx_bytes,
            5 => &mut self.link.tx_bytes,
            6 => &mut self.link.rx_packets,
            7 => &mut self.link.tx_packets,
            _ => return None,
        })
    }
}

fn missing(what: &str) -> Malformed {
    Malformed(format!("expected {what}, found none"))
}

/// The peer of a reply.
pub fn peer(interface: Interface, payload: &[u8]) -> Result<Peer, Malformed> {
    let (_, attributes) = generic(payload)?;
    let nest = match interface {
        Interface::Ovpn => ovpn::PEER,
        Interface::V2 => v2::nest::GET_PEER,
    };
    let nest = find(&attributes, nest).ok_or_else(|| missing("a peer"))?.nested()?;
    match interface {
        Interface::Ovpn => ovpn_peer(&nest),
        Interface::V2 => v2_peer(&nest),
    }
}

fn ovpn_peer(nest: &[Attribute<'_>]) -> Result<Peer, Malformed> {
    use ovpn::peer as number;
    let mut peer = Peer { remote: ovpn_remote(nest)?, ..Peer::default() };
    let mut id = None;
    for attribute in nest {
        match attribute.number {
            number::ID => id = Some(attribute.u32()?),
            number::TX_ID => peer.tx_id = Some(attribute.u32()?),
            number::VPN_IPV4 => peer.vpn4 = Some(attribute.ipv4()?),
            number::VPN_IPV6 => peer.vpn6 = Some(attribute.ipv6()?),
            number::LOCAL_IPV4 => peer.local = Some(attribute.ipv4()?.into()),
            number::LOCAL_IPV6 => peer.local = Some(attribute.ipv6()?.into()),
            number::LOCAL_PORT => peer.local_port = Some(attribute.be16()?),
            number::INTERVAL => peer.interval = attribute.u32()?,
            number::TIMEOUT => peer.timeout = attribute.u32()?,
            ours::MSS => peer.mss = Some(attribute.u32()?),
            ours::DROPS => peer.drops = Some(drops(attribute)?),
            other => {
                if let Some(counter) = peer.counter(other.wrapping_sub(number::VPN_RX_BYTES)) {
                    *counter = attribute.uint()?;
                }
            }
        }
    }
    peer.id = id.ok_or_else(|| missing("a peer's id"))?;
    Ok(peer)
}

fn v2_peer(nest: &[Attribute<'_>]) -> Result<Peer, Malformed> {
    use v2::peer as number;
    let mut peer = Peer::default();
    let mut id = None;
    for attribute in nest {
        match attribute.number {
            v2::PEER_ID => id = Some(attribute.u32()?),
            number::REMOTE => peer.remote = Some(sockaddr(attribute)?),
            number::IPV4 => peer.vpn4 = Some(attribute.ipv4()?),
            number::IPV6 => peer.vpn6 = Some(attribute.ipv6()?),
            number::LOCAL_IP if attribute.value.len() == 4 => peer.local = Some(attribute.ipv4()?.into()),
            number::LOCAL_IP => peer.local = Some(attribute.ipv6()?.into()),
            number::LOCAL_PORT => peer.local_port = Some(attribute.be16()?),
            number::INTERVAL => peer.interval = attribute.u32()?,
            number::TIMEOUT => peer.timeout = attribute.u32()?,
            ours::MSS => peer.mss = Some(attribute.u32()?),
            ours::DROPS => peer.drops = Some(drops(attribute)?),
            other => {
                if let Some(counter) = peer.counter(other.wrapping_sub(number::VPN_RX_BYTES)) {
                    *counter = attribute.uint()?;
                }
            }
        }
    }
    peer.id = id.ok_or_else(|| missing("a peer's id"))?;
    Ok(peer)
}

fn ovpn_remote(nest: &[Attribute<'_>]) -> Result<Option<SocketAddr>, Malformed> {
    use ovpn::peer as number;
    let port = find(nest, number::REMOTE_PORT).map_or(Ok(0), |port| port.be16())?;
    if let Some(address) = find(nest, number::REMOTE_IPV4) {
        return Ok(Some((address.ipv4()?, port).into()));
    }
    let scope = find(nest, number::REMOTE_SCOPE).map_or(Ok(0), |scope| scope.u32())?;
    let address = find(nest, number::REMOTE_IPV6).map(|address| address.ipv6()).transpose()?;
    Ok(address.map(|address| SocketAddrV6::new(address, port, 0, scope).into()))
}

/// A sockaddr_in or sockaddr_in6.
fn sockaddr(attribute: &Attribute<'_>) -> Result<SocketAddr, Malformed> {
    match *attribute.value {
        [f0, f1, p0, p1, a, b, c, d, ..] if u16::from_ne_bytes([f0, f1]) == 2 => {
            Ok((Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([p0, p1])).into())
        }
        [f0, f1, p0, p1, _, _, _, _, ref rest @ ..] if u16::from_ne_bytes([f0, f1]) == 10 => {
            let Some((address, scope)) = rest.split_first_chunk::<16>() else {
                return Err(Malformed(format!("attribute {}: expected a sockaddr_in6", attribute.number)));
            };
            let scope = scope.first_chunk().map_or(0, |scope| u32::from_ne_bytes(*scope));
            Ok(SocketAddrV6::new((*address).into(), u16::from_be_bytes([p0, p1]), 0, scope).into())
        }
        _ => Err(Malformed(format!("attribute {}: expected a socket address", attribute.number))),
    }
}

fn drops(attribute: &Attribute<'_>) -> Result<Vec<(String, u64)>, Malformed> {
    let entries = attribute.nested()?;
    let entries = entries.iter().filter(|entry| entry.number == ours::DROP);
    entries
        .map(|entry| {
            let entry = entry.nested()?;
            let reason = find(&entry, ours::DROP_REASON).ok_or_else(|| missing("a drop's reason"))?.text()?;
            let packets = find(&entry, ours::DROP_PACKETS).ok_or_else(|| missing("a drop's count"))?.uint()?;
            Ok((reason, packets))
        })
        .collect()
}

/// What a key slot holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// In packets.
    pub id: u32,
    /// The cipher's number.
    pub cipher: u32,
    /// Of an epoch key: the epochs that are sent in and received in.
    pub epochs: Option<(u32, u32)>,
}

/// What a key slot holds. Family `ovpn`.
pub fn key(payload: &[u8]) -> Result<Key, Malformed> {
    let (_, attributes) = generic(payload)?;
    let nest = find(&attributes, ovpn::KEY).ok_or_else(|| missing("a key"))?.nested()?;
    let number = |number, what| find(&nest, number).ok_or_else(|| missing(what))?.u32();
    let epochs = match find(&nest, ours::SEND_EPOCH) {
        Some(send) => Some((send.u32()?, number(ours::RECEIVE_EPOCH, "the epoch that is received in")?)),
        None => None,
    };
    Ok(Key { id: number(ovpn::key::KEY_ID, "a key's id")?, cipher: number(ovpn::key::CIPHER, "a cipher")?, epochs })
}

/// Why a peer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The device went, or another peer came in its place.
    Teardown,
    /// Somebody removed it.
    Userspace,
    /// Silent for too long.
    Expired,
    /// Its transport sent something wrong.
    TransportError,
    /// Its transport ended.
    TransportDisconnect,
    /// One that a newer kernel has.
    Other(u32),
}

impl From<u32> for Reason {
    fn from(number: u32) -> Self {
        match number {
            0 => Self::Teardown,
            1 => Self::Userspace,
            2 => Self::Expired,
            3 => Self::TransportError,
            4 => Self::TransportDisconnect,
            other => Self::Other(other),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Teardown => f.write_str("teardown"),
            Self::Userspace => f.write_str("userspace"),
            Self::Expired => f.write_str("expired"),
            Self::TransportError => f.write_str("transport-error"),
            Self::TransportDisconnect => f.write_str("transport-disconnect"),
            Self::Other(number) => write!(f, "reason {number}"),
        }
    }
}

/// What the module tells of, unasked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// The device it is about.
    pub ifindex: u32,
    /// The peer.
    pub peer: u32,
    /// What has happened to it.
    pub what: What,
}

/// What has happened to a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// It ended.
    Deleted(Reason),
    /// It sends from elsewhere. Family `ovpn` only.
    Floated(SocketAddr),
    /// The key with this id is to be replaced. Family `ovpn` only.
    KeyOld(u32),
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deleted(reason) => write!(f, "deleted: {reason}"),
            Self::Floated(remote) => write!(f, "floated to {remote}"),
            Self::KeyOld(id) => write!(f, "key {id} is nearly used up"),
        }
    }
}

/// The event of a message; `None` for one that is not known.
pub fn event(interface: Interface, payload: &[u8]) -> Result<Option<Event>, Malformed> {
    let (command, attributes) = generic(payload)?;
    let nest = |number| find(&attributes, number).ok_or_else(|| missing("a peer or a key"))?.nested();
    let (peer, what) = match (interface, command) {
        (Interface::V2, v2::command::DEL_PEER) => {
            let nest = nest(v2::nest::DEL_PEER)?;
            let reason = find(&nest, v2::del_peer::REASON).ok_or_else(|| missing("a reason"))?.u8()?;
            (find(&nest, v2::del_peer::PEER_ID), What::Deleted(u32::from(reason).into()))
        }
        (Interface::Ovpn, ovpn::command::PEER_DEL_NTF) => {
            let nest = nest(ovpn::PEER)?;
            let reason = find(&nest, ovpn::peer::DEL_REASON).ok_or_else(|| missing("a reason"))?.u32()?;
            (find(&nest, ovpn::peer::ID), What::Deleted(reason.into()))
        }
        (Interface::Ovpn, ovpn::command::PEER_FLOAT_NTF) => {
            let nest = nest(ovpn::PEER)?;
            let remote = ovpn_remote(&nest)?.ok_or_else(|| missing("a remote address"))?;
            (find(&nest, ovpn::peer::ID), What::Floated(remote))
        }
        (Interface::Ovpn, ovpn::command::KEY_SWAP_NTF) => {
            let nest = nest(ovpn::KEY)?;
            let id = find(&nest, ovpn::key::KEY_ID).ok_or_else(|| missing("a key's id"))?;
            // The interface's description says four bytes, kernels send two.
            let id = if id.value.len() == 2 { u32::from(id.u16()?) } else { id.u32()? };
            (find(&nest, ovpn::key::PEER_ID), What::KeyOld(id))
        }
        _ => return Ok(None),
    };
    let peer = peer.ok_or_else(|| missing("a peer's id"))?.u32()?;
    let ifindex = find(&attributes, IFINDEX).ok_or_else(|| missing("a device"))?.u32()?;
    Ok(Some(Event { ifindex, peer, what }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Message, messages};

    /// A generic message's bytes behind the netlink header.
    fn payload(command: u8, fill: impl FnOnce(&mut Message)) -> Vec<u8> {
        let mut message = Message::generic("TEST", 30, command, 0);
        fill(&mut message);
        let bytes = message.finish(0);
        messages(&bytes).expect("a message")[0].payload.to_vec()
    }

    fn drop_entry(nest: &mut Message, reason: &str, packets: &[u8]) {
        nest.nest(ours::DROP, |entry| {
            entry.put_text(ours::DROP_REASON, reason);
            entry.put(ours::DROP_PACKETS, packets);
        });
    }

    fn ovpn_reply() -> Vec<u8> {
        use ovpn::peer as number;
        payload(3, |message| {
            message.nest(ovpn::PEER, |nest| {
                nest.put_u32(number::ID, 7);
                nest.put_u32(number::TX_ID, 8);
                nest.put(number::REMOTE_IPV6, &Ipv6Addr::LOCALHOST.octets());
                nest.put_u32(number::REMOTE_SCOPE, 3);
                nest.put(number::REMOTE_PORT, &1194u16.to_be_bytes());
                nest.put(number::LOCAL_PORT, &500u16.to_be_bytes());
                nest.put_u32(number::INTERVAL, 10);
                nest.put_u32(number::TIMEOUT, 60);
                nest.put_u32(number::VPN_RX_BYTES, 1);
                nest.put(21, &(1u64 << 33).to_ne_bytes());
                nest.put_u32(ours::MSS, 1300);
                nest.nest(ours::DROPS, |drops| {
                    drop_entry(drops, "rx_replay", &5u32.to_ne_bytes());
                    drop_entry(drops, "rx_no_key", &6u64.to_ne_bytes());
                });
                nest.put_u32(999, 1);
            });
        })
    }

    #[test]
    fn a_peer_of_ovpn_is_read() {
        let peer = peer(Interface::Ovpn, &ovpn_reply()).expect("a peer");
        assert_eq!((peer.id, peer.tx_id, peer.interval, peer.timeout, peer.mss), (7, Some(8), 10, 60, Some(1300)));
        assert_eq!(peer.remote, Some(SocketAddrV6::new(Ipv6Addr::LOCALHOST, 1194, 0, 3).into()));
        assert_eq!((peer.local, peer.local_port), (None, Some(500)));
        assert_eq!((peer.vpn.rx_bytes, peer.link.tx_bytes), (1, 1 << 33));
        assert_eq!(peer.drops, Some(vec![("rx_replay".into(), 5), ("rx_no_key".into(), 6)]));
    }

    #[test]
    fn a_peer_of_v2_is_read() {
        use v2::peer as number;
        let mut address = 2u16.to_ne_bytes().to_vec();
        address.extend([0x04, 0xAA, 192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
        let bytes = payload(7, |message| {
            message.nest(v2::nest::GET_PEER, |nest| {
                nest.put_u32(v2::PEER_ID, 2);
                nest.put(number::REMOTE, &address);
                nest.put(number::LOCAL_IP, &Ipv4Addr::LOCALHOST.octets());
                nest.put(10, &9u64.to_ne_bytes());
                nest.put_u32(15, 4);
            });
        });
        let peer = peer(Interface::V2, &bytes).expect("a peer");
        assert_eq!(peer.remote, Some("192.0.2.1:1194".parse().expect("an address")));
        assert_eq!(peer.local, Some(Ipv4Addr::LOCALHOST.into()));
        assert_eq!((peer.vpn.tx_bytes, peer.link.rx_packets, peer.drops), (9, 4, None));
    }

    /// Every cut and every changed byte is either read or refused; none panics.
    #[test]
    fn malformed_replies_are_refused() {
        let good = ovpn_reply();
        for length in 0..good.len() {
            let cut = &good[..length];
            assert!(peer(Interface::Ovpn, cut).is_err(), "cut at {length}");
        }
        for place in 0..good.len() {
            for value in [0, 1, 3, 0x7F, 0xFF] {
                let mut bytes = good.clone();
                bytes[place] = value;
                let _ = peer(Interface::Ovpn, &bytes);
                let _ = peer(Interface::V2, &bytes);
                let _ = key(&bytes);
                for command in 0..12 {
                    bytes[0] = command;
                    let _ = event(Interface::Ovpn, &bytes);
                    let _ = event(Interface::V2, &bytes);
                }
            }
        }
        assert!(peer(Interface::V2, &good).is_err(), "no nest of that interface");
        let nameless = payload(3, |message| message.nest(ovpn::PEER, |nest| nest.put_u32(ovpn::peer::INTERVAL, 1)));
        assert_eq!(peer(Interface::Ovpn, &nameless), Err(missing("a peer's id")));
    }

    #[test]
    fn malformed_addresses_and_drops_are_refused() {
        for bytes in
            [&[][..], &[2, 0, 1], &[2, 0, 1, 1, 1, 1, 1], &[9, 0, 0, 0, 0, 0, 0, 0], &[10, 0, 0, 0, 0, 0, 0, 0, 1]]
        {
            assert!(sockaddr(&Attribute { number: 2, value: bytes }).is_err(), "{bytes:?}");
        }
        let no_count = payload(3, |message| {
            message.nest(ovpn::PEER, |nest| {
                nest.put_u32(ovpn::peer::ID, 1);
                nest.nest(ours::DROPS, |drops| {
                    drops.nest(ours::DROP, |entry| entry.put_text(ours::DROP_REASON, "x"));
                });
            });
        });
        assert_eq!(peer(Interface::Ovpn, &no_count), Err(missing("a drop's count")));
    }

    #[test]
    fn events_are_read() {
        let gone = payload(5, |message| {
            message.put_u32(IFINDEX, 4);
            message.nest(ovpn::PEER, |nest| {
                nest.put_u32(ovpn::peer::DEL_REASON, 2);
                nest.put_u32(ovpn::peer::ID, 9);
            });
        });
        let expected = Event { ifindex: 4, peer: 9, what: What::Deleted(Reason::Expired) };
        assert_eq!(event(Interface::Ovpn, &gone), Ok(Some(expected)));
        let gone = payload(3, |message| {
            message.put_u32(IFINDEX, 4);
            message.nest(v2::nest::DEL_PEER, |nest| {
                nest.put_u8(v2::del_peer::REASON, 4);
                nest.put_u32(v2::del_peer::PEER_ID, 9);
            });
        });
        let expected = Event { ifindex: 4, peer: 9, what: What::Deleted(Reason::TransportDisconnect) };
        assert_eq!(event(Interface::V2, &gone), Ok(Some(expected)));
        for id in [&2u16.to_ne_bytes()[..], &2u32.to_ne_bytes()] {
            let old = payload(9, |message| {
                message.put_u32(IFINDEX, 4);
                message.nest(ovpn::KEY, |nest| {
                    nest.put_u32(ovpn::key::PEER_ID, 9);
                    nest.put(ovpn::key::KEY_ID, id);
                });
            });
            let expected = Event { ifindex: 4, peer: 9, what: What::KeyOld(2) };
            assert_eq!(event(Interface::Ovpn, &old), Ok(Some(expected)));
        }
        let floated = payload(11, |message| {
            message.put_u32(IFINDEX, 4);
            message.nest(ovpn::PEER, |nest| {
                nest.put_u32(ovpn::peer::ID, 9);
                nest.put(ovpn::peer::REMOTE_IPV4, &[192, 0, 2, 1]);
                nest.put(ovpn::peer::REMOTE_PORT, &1194u16.to_be_bytes());
            });
        });
        let event_of = |bytes: &[u8]| event(Interface::Ovpn, bytes).expect("sound").expect("known").what.to_string();
        assert_eq!(event_of(&floated), "floated to 192.0.2.1:1194");
        assert_eq!(event(Interface::Ovpn, &payload(77, |_| {})), Ok(None));
        assert!(event(Interface::Ovpn, &payload(5, |message| message.put_u32(IFINDEX, 4))).is_err());
    }
}
