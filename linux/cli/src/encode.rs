//! Requests of both interfaces.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::RawFd;

use crate::interface::{IFINDEX, Interface, direction, ours, ovpn, v2};
use crate::wire::{DUMP, Message};
use dco_cli_base::key::{Half, Slot, StaticKey};

/// Where requests go.
#[derive(Debug, Clone, Copy)]
pub struct To {
    /// Which of the two interfaces.
    pub interface: Interface,
    /// Its family's number, which the kernel gives.
    pub family: u16,
    /// The device.
    pub ifindex: u32,
}

/// A peer to be made.
#[derive(Debug, Clone, Copy, Default)]
pub struct NewPeer {
    /// In packets, both ways.
    pub id: u32,
    /// In packets that are sent, if it is another. Family `ovpn` only.
    pub tx_id: Option<u32>,
    /// What carries the tunnel.
    pub socket: RawFd,
    /// UDP: the other end.
    pub remote: Option<SocketAddr>,
    /// UDP: where packets are sent from; of the remote address' family.
    pub local: Option<IpAddr>,
    /// The peer's addresses in the tunnel, of a multi-peer device.
    pub vpn4: Option<Ipv4Addr>,
    /// The same.
    pub vpn6: Option<Ipv6Addr>,
}

/// What can be changed. `None` leaves a value as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Settings {
    /// Seconds of silence until a ping, and until the peer counts as gone; zeros for neither.
    pub keepalive: Option<(u32, u32)>,
    /// The largest TCP segment let through, as OpenVPN's `mssfix` computes it; 0 for no limit. Our module's own.
    pub mss: Option<u32>,
    /// UDP: the other end. Family `ovpn` only.
    pub remote: Option<SocketAddr>,
}

/// A sockaddr_in or sockaddr_in6.
fn sockaddr(address: SocketAddr) -> Vec<u8> {
    const AF_INET: u16 = 2;
    const AF_INET6: u16 = 10;
    let mut bytes = Vec::with_capacity(28);
    match address {
        SocketAddr::V4(address) => {
            bytes.extend(AF_INET.to_ne_bytes());
            bytes.extend(address.port().to_be_bytes());
            bytes.extend(address.ip().octets());
            bytes.extend([0; 8]);
        }
        SocketAddr::V6(address) => {
            bytes.extend(AF_INET6.to_ne_bytes());
            bytes.extend(address.port().to_be_bytes());
            bytes.extend(address.flowinfo().to_ne_bytes());
            bytes.extend(address.ip().octets());
            bytes.extend(address.scope_id().to_ne_bytes());
        }
    }
    bytes
}

fn put_ip(message: &mut Message, number4: u16, number6: u16, address: IpAddr) {
    match address {
        IpAddr::V4(address) => message.put(number4, &address.octets()),
        IpAddr::V6(address) => message.put(number6, &address.octets()),
    }
}

/// Family `ovpn`'s attributes of a remote end.
fn put_remote(message: &mut Message, remote: SocketAddr) {
    use ovpn::peer;
    put_ip(message, peer::REMOTE_IPV4, peer::REMOTE_IPV6, remote.ip());
    if let SocketAddr::V6(remote) = remote
        && remote.scope_id() != 0
    {
        message.put_u32(peer::REMOTE_SCOPE, remote.scope_id());
    }
    message.put(peer::REMOTE_PORT, &remote.port().to_be_bytes());
}

fn put_half(message: &mut Message, number: u16, half: Half<'_>) {
    message.nest(number, |nest| {
        nest.put(direction::KEY, half.key);
        nest.put(direction::NONCE_TAIL, half.nonce_tail);
    });
}

impl To {
    /// A request with the device and a nest.
    fn request(
        self,
        [ovpn, v2]: [(&'static str, u8, u16); 2],
        fill_ovpn: impl FnOnce(&mut Message),
        fill_v2: impl FnOnce(&mut Message),
    ) -> Message {
        let (name, command, nest) = match self.interface {
            Interface::Ovpn => ovpn,
            Interface::V2 => v2,
        };
        let mut message = Message::generic(name, self.family, command, 0);
        message.put_u32(IFINDEX, self.ifindex);
        match self.interface {
            Interface::Ovpn => message.nest(nest, fill_ovpn),
            Interface::V2 => message.nest(nest, fill_v2),
        }
        message
    }

    /// Makes a peer.
    pub fn new_peer(self, peer: &NewPeer) -> Message {
        self.request(
            [
                ("PEER_NEW", ovpn::command::PEER_NEW, ovpn::PEER),
                ("NEW_PEER", v2::command::NEW_PEER, v2::nest::NEW_PEER),
            ],
            |nest| {
                use ovpn::peer as number;
                nest.put_u32(number::ID, peer.id);
                nest.put_u32(number::SOCKET, peer.socket.cast_unsigned());
                peer.tx_id.into_iter().for_each(|id| nest.put_u32(number::TX_ID, id));
                peer.remote.into_iter().for_each(|remote| put_remote(nest, remote));
                let local = peer.local.into_iter();
                local.for_each(|local| put_ip(nest, number::LOCAL_IPV4, number::LOCAL_IPV6, local));
                peer.vpn4.into_iter().for_each(|address| nest.put(number::VPN_IPV4, &address.octets()));
                peer.vpn6.into_iter().for_each(|address| nest.put(number::VPN_IPV6, &address.octets()));
            },
            |nest| {
                use v2::new_peer as number;
                nest.put_u32(v2::PEER_ID, peer.id);
                nest.put_u32(number::SOCKET, peer.socket.cast_unsigned());
                peer.remote.into_iter().for_each(|remote| nest.put(number::REMOTE, &sockaddr(remote)));
                peer.local.into_iter().for_each(|local| put_ip(nest, number::LOCAL_IP, number::LOCAL_IP, local));
                peer.vpn4.into_iter().for_each(|address| nest.put(number::IPV4, &address.octets()));
                peer.vpn6.into_iter().for_each(|address| nest.put(number::IPV6, &address.octets()));
            },
        )
    }

    /// Changes a peer.
    pub fn set_peer(self, id: u32, settings: Settings) -> Message {
        let Settings { keepalive, mss, remote } = settings;
        self.request(
            [
                ("PEER_SET", ovpn::command::PEER_SET, ovpn::PEER),
                ("SET_PEER", v2::command::SET_PEER, v2::nest::SET_PEER),
            ],
            |nest| {
                nest.put_u32(ovpn::peer::ID, id);
                if let Some((interval, timeout)) = keepalive {
                    nest.put_u32(ovpn::peer::INTERVAL, interval);
                    nest.put_u32(ovpn::peer::TIMEOUT, timeout);
                }
                mss.into_iter().for_each(|mss| nest.put_u32(ours::MSS, mss));
                remote.into_iter().for_each(|remote| put_remote(nest, remote));
            },
            |nest| {
                nest.put_u32(v2::PEER_ID, id);
                if let Some((interval, timeout)) = keepalive {
                    nest.put_u32(v2::set_peer::INTERVAL, interval);
                    nest.put_u32(v2::set_peer::TIMEOUT, timeout);
                }
                mss.into_iter().for_each(|mss| nest.put_u32(ours::MSS, mss));
            },
        )
    }

    /// Asks for one peer.
    pub fn get_peer(self, id: u32) -> Message {
        self.request(
            [
                ("PEER_GET", ovpn::command::PEER_GET, ovpn::PEER),
                ("GET_PEER", v2::command::GET_PEER, v2::nest::GET_PEER),
            ],
            |nest| nest.put_u32(ovpn::peer::ID, id),
            |nest| nest.put_u32(v2::PEER_ID, id),
        )
    }

    /// Asks for all peers. `ovpn-dco-v2` has none to tell of on a point-to-point device.
    pub fn dump_peers(self) -> Message {
        let (name, command) = match self.interface {
            Interface::Ovpn => ("PEER_GET", ovpn::command::PEER_GET),
            Interface::V2 => ("GET_PEER", v2::command::GET_PEER),
        };
        let mut message = Message::generic(name, self.family, command, DUMP);
        message.put_u32(IFINDEX, self.ifindex);
        message
    }

    /// Removes a peer.
    pub fn del_peer(self, id: u32) -> Message {
        self.request(
            [
                ("PEER_DEL", ovpn::command::PEER_DEL, ovpn::PEER),
                ("DEL_PEER", v2::command::DEL_PEER, v2::nest::DEL_PEER),
            ],
            |nest| nest.put_u32(ovpn::peer::ID, id),
            |nest| nest.put_u32(v2::del_peer::PEER_ID, id),
        )
    }

    /// Installs a key.
    pub fn new_key(self, peer_id: u32, slot: Slot, key_id: u8, key: &StaticKey) -> Message {
        let (encrypt, decrypt) = key.halves();
        self.request(
            [("KEY_NEW", ovpn::command::KEY_NEW, ovpn::KEY), ("NEW_KEY", v2::command::NEW_KEY, v2::nest::NEW_KEY)],
            |nest| {
                use ovpn::key as number;
                nest.put_u32(number::PEER_ID, peer_id);
                nest.put_u32(number::SLOT, slot as u32);
                nest.put_u32(number::KEY_ID, key_id.into());
                nest.put_u32(number::CIPHER, key.cipher().algorithm().into());
                put_half(nest, number::ENCRYPT, encrypt);
                put_half(nest, number::DECRYPT, decrypt);
            },
            |nest| {
                use v2::key as number;
                nest.put_u32(v2::PEER_ID, peer_id);
                nest.put_u8(number::SLOT, slot as u8);
                nest.put_u8(number::KEY_ID, key_id);
                nest.put_u16(number::CIPHER, key.cipher().algorithm());
                put_half(nest, number::ENCRYPT, encrypt);
                put_half(nest, number::DECRYPT, decrypt);
            },
        )
    }

    /// Installs an epoch key. Family `ovpn` only.
    pub fn new_epoch_key(self, peer_id: u32, slot: Slot, key_id: u8, key: &StaticKey) -> Message {
        let (encrypt, decrypt) = key.seeds();
        let mut message = Message::generic("KEY_NEW", self.family, ovpn::command::KEY_NEW, 0);
        message.put_u32(IFINDEX, self.ifindex);
        message.nest(ovpn::KEY, |nest| {
            use ovpn::key as number;
            nest.put_u32(number::PEER_ID, peer_id);
            nest.put_u32(number::SLOT, slot as u32);
            nest.put_u32(number::KEY_ID, key_id.into());
            nest.put_u32(number::CIPHER, key.cipher().algorithm().into());
            // At most 32.
            nest.put_u32(ours::EPOCH, key.halves().0.key.len() as u32);
            nest.nest(number::ENCRYPT, |nest| nest.put(direction::KEY, encrypt));
            nest.nest(number::DECRYPT, |nest| nest.put(direction::KEY, decrypt));
        });
        message
    }

    /// Asks what a slot holds. Family `ovpn` only.
    pub fn get_key(self, peer_id: u32, slot: Slot) -> Message {
        let mut message = Message::generic("KEY_GET", self.family, ovpn::command::KEY_GET, 0);
        message.put_u32(IFINDEX, self.ifindex);
        message.nest(ovpn::KEY, |nest| {
            nest.put_u32(ovpn::key::PEER_ID, peer_id);
            nest.put_u32(ovpn::key::SLOT, slot as u32);
        });
        message
    }

    /// Exchanges the slots.
    pub fn swap_keys(self, peer_id: u32) -> Message {
        self.request(
            [
                ("KEY_SWAP", ovpn::command::KEY_SWAP, ovpn::KEY),
                ("SWAP_KEYS", v2::command::SWAP_KEYS, v2::nest::SWAP_KEYS),
            ],
            |nest| nest.put_u32(ovpn::key::PEER_ID, peer_id),
            |nest| nest.put_u32(v2::PEER_ID, peer_id),
        )
    }

    /// Empties a slot.
    pub fn del_key(self, peer_id: u32, slot: Slot) -> Message {
        self.request(
            [("KEY_DEL", ovpn::command::KEY_DEL, ovpn::KEY), ("DEL_KEY", v2::command::DEL_KEY, v2::nest::DEL_KEY)],
            |nest| {
                nest.put_u32(ovpn::key::PEER_ID, peer_id);
                nest.put_u32(ovpn::key::SLOT, slot as u32);
            },
            |nest| {
                nest.put_u32(v2::PEER_ID, peer_id);
                nest.put_u8(v2::key::SLOT, slot as u8);
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Attribute, find, generic, messages};
    use dco_cli_base::key::{Cipher, Direction};

    fn to(interface: Interface) -> To {
        To { interface, family: 30, ifindex: 9 }
    }

    /// The command, and the attributes of the only nest as numbers and bytes.
    fn parts(message: Message, nest: u16) -> (u8, Vec<(u16, Vec<u8>)>) {
        let bytes = message.finish(1);
        let message = messages(&bytes).expect("a message")[0];
        assert_eq!(message.kind, 30);
        let (command, attributes) = generic(message.payload).expect("generic");
        assert_eq!(find(&attributes, IFINDEX).expect("the device").u32(), Ok(9));
        let inner = find(&attributes, nest).expect("the nest").nested().expect("attributes");
        (command, inner.iter().map(|Attribute { number, value }| (*number, value.to_vec())).collect())
    }

    fn word(value: u32) -> Vec<u8> {
        value.to_ne_bytes().to_vec()
    }

    fn peer() -> NewPeer {
        NewPeer {
            id: 5,
            socket: 3,
            remote: Some("192.0.2.1:1194".parse().expect("an address")),
            local: Some(Ipv4Addr::new(192, 0, 2, 9).into()),
            ..NewPeer::default()
        }
    }

    #[test]
    fn a_new_peer_of_ovpn() {
        let (command, attributes) = parts(to(Interface::Ovpn).new_peer(&peer()), 2);
        assert_eq!(command, 1);
        let port = 1194u16.to_be_bytes().to_vec();
        let expected = [(1, word(5)), (6, word(3)), (2, vec![192, 0, 2, 1]), (5, port), (10, vec![192, 0, 2, 9])];
        assert_eq!(attributes, expected);
    }

    #[test]
    fn a_new_peer_of_v2() {
        let (command, attributes) = parts(to(Interface::V2).new_peer(&peer()), 2);
        assert_eq!(command, 1);
        let mut address = 2u16.to_ne_bytes().to_vec();
        address.extend([0x04, 0xAA, 192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(attributes, [(1, word(5)), (3, word(3)), (2, address), (6, vec![192, 0, 2, 9])]);
    }

    #[test]
    fn ipv6_ends_have_their_scope() {
        let remote: SocketAddr = "[fe80::1%7]:1194".parse().expect("an address");
        let peer = NewPeer { remote: Some(remote), vpn6: Some(Ipv6Addr::LOCALHOST), ..NewPeer::default() };
        let (_, attributes) = parts(to(Interface::Ovpn).new_peer(&peer), 2);
        let numbers: Vec<u16> = attributes.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, [1, 6, 3, 4, 5, 9]);
        assert_eq!(attributes[3].1, word(7));
        let (_, attributes) = parts(to(Interface::V2).new_peer(&peer), 2);
        assert_eq!(attributes[2].1.len(), 28);
        assert_eq!(attributes[2].1[24..], word(7));
    }

    #[test]
    fn settings_have_the_same_numbers_above_64() {
        let settings = Settings { keepalive: Some((10, 60)), mss: Some(1300), remote: None };
        let (command, attributes) = parts(to(Interface::Ovpn).set_peer(4, settings), 2);
        assert_eq!((command, attributes), (2, vec![(1, word(4)), (13, word(10)), (14, word(60)), (64, word(1300))]));
        let (command, attributes) = parts(to(Interface::V2).set_peer(4, settings), 3);
        assert_eq!((command, attributes), (2, vec![(1, word(4)), (2, word(10)), (3, word(60)), (64, word(1300))]));
    }

    #[test]
    fn keys_are_as_wide_as_each_interface_wants() {
        let key = StaticKey::new(std::array::from_fn(|index| index as u8), Cipher::ChaCha20, Direction::Inverse);
        let half = |first: u8| {
            let mut bytes = vec![36, 0, 1, 0];
            bytes.extend(first..first + 32);
            bytes.extend([12, 0, 2, 0]);
            bytes.extend(first + 64..first + 72);
            bytes
        };
        let (command, attributes) = parts(to(Interface::Ovpn).new_key(1, Slot::Secondary, 6, &key), 3);
        let expected = vec![(1, word(1)), (2, word(1)), (3, word(6)), (4, word(2)), (5, half(128)), (6, half(0))];
        assert_eq!((command, attributes), (6, expected));
        let (command, attributes) = parts(to(Interface::V2).new_key(1, Slot::Secondary, 6, &key), 5);
        let expected = vec![(1, word(1)), (2, vec![1]), (3, vec![6]), (4, vec![2, 0]), (5, half(128)), (6, half(0))];
        assert_eq!((command, attributes), (4, expected));
    }

    #[test]
    fn an_epoch_key_is_a_secret_and_the_length_of_the_cipher_s_keys() {
        let key = StaticKey::new(std::array::from_fn(|index| index as u8), Cipher::Aes128, Direction::Normal);
        let secret = |first: u8| {
            let mut bytes = vec![36, 0, 1, 0];
            bytes.extend(first..first + 32);
            bytes
        };
        let (command, attributes) = parts(to(Interface::Ovpn).new_epoch_key(1, Slot::Primary, 6, &key), 3);
        let numbers = [(1, word(1)), (2, word(0)), (3, word(6)), (4, word(1)), (64, word(16))];
        assert_eq!((command, &attributes[..5]), (6, &numbers[..]));
        assert_eq!(attributes[5..], [(5, secret(0)), (6, secret(128))]);
    }

    #[test]
    fn short_requests_of_both() {
        for (interface, nest, command, message) in [
            (Interface::Ovpn, 2, 3, To::get_peer as fn(To, u32) -> Message),
            (Interface::V2, 8, 7, To::get_peer),
            (Interface::Ovpn, 2, 4, To::del_peer),
            (Interface::Ovpn, 3, 8, To::swap_keys),
            (Interface::V2, 6, 5, To::swap_keys),
        ] {
            assert_eq!(parts(message(to(interface), 7), nest), (command, vec![(1, word(7))]));
        }
        assert_eq!(parts(to(Interface::V2).del_peer(7), 4), (3, vec![(2, word(7))]));
        let slot = vec![(1, word(7)), (2, word(1))];
        assert_eq!(parts(to(Interface::Ovpn).del_key(7, Slot::Secondary), 3), (10, slot.clone()));
        assert_eq!(parts(to(Interface::Ovpn).get_key(7, Slot::Secondary), 3), (7, slot));
        assert_eq!(parts(to(Interface::V2).del_key(7, Slot::Secondary), 7), (6, vec![(1, word(7)), (2, vec![1])]));
    }

    #[test]
    fn a_dump_names_only_the_device() {
        let bytes = to(Interface::V2).dump_peers().finish(1);
        let message = messages(&bytes).expect("a message")[0];
        assert_eq!(message.flags & DUMP, DUMP);
        let (command, attributes) = generic(message.payload).expect("generic");
        assert_eq!((command, attributes.len()), (7, 1));
    }
}
