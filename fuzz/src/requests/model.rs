//! What the requests should do: their bytes read by hand, and all there is looked through one by one.

use super::{
    ALREADY_INITIALIZED, BUFFER_TOO_SMALL, CONNECT, INSUFFICIENT_RESOURCES, INVALID_DEVICE_REQUEST,
    INVALID_DEVICE_STATE, INVALID_PARAMETER, LISTENERS, NO_MEMORY, NOT_FOUND, OBJECTID_EXISTS, OBJECTID_NOT_FOUND,
    SUCCESS,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A peer of the model's.
#[derive(Debug)]
struct Peer {
    id: i32,
    /// Where it is, and by which listener it came.
    remote: Place,
    listener: u32,
    addresses: [Option<IpAddr>; 2],
    /// Key ids, primary and secondary.
    keys: [Option<u8>; 2],
    /// Packets sealed, and lost for want of a key.
    counts: [u64; 2],
}

/// A remote end: address and port.
type Place = (Vec<u8>, [u8; 2]);

/// A network: bits from the top, how many count, of which family, whose.
#[derive(Debug, Clone)]
pub struct Route {
    bits: Vec<bool>,
    v6: bool,
    owner: i32,
}

/// What there is.
#[derive(Default)]
pub struct Model {
    /// Number, and whether it takes connections.
    listeners: Vec<(u32, bool)>,
    several: bool,
    /// Listener, remote end, whose.
    connections: Vec<(u32, Place, Option<i32>)>,
    peers: Vec<Peer>,
    /// In no order.
    pub networks: Vec<Route>,
    /// Addresses that were spoken of last.
    spoken: Vec<IpAddr>,
}

/// A word of a request's, little-endian.
pub fn word(input: &[u8], at: usize) -> i32 {
    i32::from_le_bytes([input[at], input[at + 1], input[at + 2], input[at + 3]])
}

/// What tells remote ends apart, from a SOCKADDR's bytes; `None` for a family that is none.
fn place(union: &[u8]) -> Option<Place> {
    let port = [union[2], union[3]];
    match (union[0], union[1]) {
        (2, 0) => Some((union[4..8].to_vec(), port)),
        (23, 0) if union[8..18] == [0; 10] && union[18..20] == [0xFF; 2] => Some((union[20..24].to_vec(), port)),
        (23, 0) => Some((union[8..28].to_vec(), port)),
        _ => None,
    }
}

/// The listener's number in a SOCKADDR.
fn number(union: &[u8]) -> u32 {
    word(union, if union[0] == 2 { 8 } else { 4 }).cast_unsigned()
}

fn own_addresses(input: &[u8]) -> [Option<IpAddr>; 2] {
    let v4 = Ipv4Addr::new(input[56], input[57], input[58], input[59]);
    let v6: [u8; 16] = std::array::from_fn(|n| input[60 + n]);
    [(v4 != Ipv4Addr::UNSPECIFIED).then_some(v4.into()), (v6 != [0; 16]).then_some(Ipv6Addr::from(v6).into())]
}

fn bits(octets: &[u8], count: usize) -> Vec<bool> {
    (0..count).map(|n| octets[n / 8] >> (7 - n % 8) & 1 == 1).collect()
}

/// A route's network, without an owner; `None` for a length that is none.
fn asked(input: &[u8]) -> Option<Route> {
    let v6 = word(input, 24) != 0;
    let length = usize::try_from(word(input, 16)).ok().filter(|&length| length <= if v6 { 128 } else { 32 })?;
    Some(Route { bits: bits(&input[..16], length), v6, owner: word(input, 20) })
}

fn first_address(input: &[u8]) -> IpAddr {
    let octets: [u8; 16] = std::array::from_fn(|n| input[n]);
    if word(input, 24) != 0 { octets.into() } else { [octets[0], octets[1], octets[2], octets[3]].into() }
}

impl Model {
    /// With MP_START_VPN's listener.
    pub fn new() -> Self {
        Self { listeners: vec![(0, false)], ..Self::default() }
    }

    /// Whether this listener takes connections; `None` where there is none.
    fn takes_connections(&self, listener: u32) -> Option<bool> {
        self.listeners.iter().find(|it| it.0 == listener).map(|it| it.1)
    }

    fn meant(&self, union: &[u8]) -> u32 {
        if self.several { number(union) } else { 0 }
    }

    /// Whose a connection is; `None` where there is none.
    fn connection(&self, listener: u32, remote: &Place) -> Option<Option<i32>> {
        self.connections.iter().find(|it| it.0 == listener && it.1 == *remote).map(|it| it.2)
    }

    /// A packet was offered that is this peer's.
    pub fn count(&mut self, id: Option<i32>) {
        if let Some(peer) = id.and_then(|id| self.peer(id)) {
            peer.counts[usize::from(peer.keys[0].is_none())] += 1;
        }
    }

    /// Packets sealed for this peer, and lost for want of a key.
    pub fn counts(&self, id: i32) -> [u64; 2] {
        self.peers.iter().find(|peer| peer.id == id).expect("it was found").counts
    }

    /// The peers' ids, sorted.
    pub fn ids(&self) -> Vec<i32> {
        let mut ids: Vec<i32> = self.peers.iter().map(|peer| peer.id).collect();
        ids.sort_unstable();
        ids
    }

    fn peer(&mut self, id: i32) -> Option<&mut Peer> {
        self.peers.iter_mut().find(|peer| peer.id == id)
    }

    fn there(&self, id: i32) -> bool {
        self.peers.iter().any(|peer| peer.id == id)
    }

    /// A peer's primary key's id.
    pub fn key(&self, id: i32) -> Option<u8> {
        self.peers.iter().find(|peer| peer.id == id)?.keys[0]
    }

    /// Addresses worth a look: the peers' own, and those spoken of last.
    pub fn probes(&self) -> Vec<IpAddr> {
        let own = self.peers.iter().flat_map(|peer| peer.addresses).flatten();
        own.chain(self.spoken.iter().copied()).collect()
    }

    /// Whose packets to this address are.
    pub fn receiver(&self, address: IpAddr) -> Option<i32> {
        let own = self.peers.iter().find(|peer| peer.addresses.contains(&Some(address)));
        if let Some(own) = own {
            return Some(own.id);
        }
        let octets = match address {
            IpAddr::V4(v4) => v4.octets().to_vec(),
            IpAddr::V6(v6) => v6.octets().to_vec(),
        };
        let around = self
            .networks
            .iter()
            .filter(|route| route.v6 == address.is_ipv6() && bits(&octets, route.bits.len()) == route.bits);
        around.max_by_key(|route| route.bits.len()).map(|route| route.owner)
    }

    fn same(&self, asked: &Route) -> Option<&Route> {
        self.networks.iter().find(|route| route.v6 == asked.v6 && route.bits == asked.bits)
    }

    /// The statuses that a request may end with.
    pub fn answer(&self, function: u32, input: &[u8]) -> Vec<u32> {
        let needed = match function {
            11 => 32,
            12 => 80,
            13 => 16,
            15 | 16 | 0x804 | 0x806 => 4,
            0x805 => 36,
            3 => 100,
            _ => 28,
        };
        if input.len() < needed {
            return vec![BUFFER_TOO_SMALL];
        }
        let found = |id: i32, otherwise| vec![if self.there(id) { SUCCESS } else { otherwise }];
        match function {
            11 | 0x805 | 0x807 | CONNECT if place(&input[..28]).is_none() => vec![INVALID_DEVICE_REQUEST],
            11 => vec![if self.takes_connections(0).is_none() { SUCCESS } else { ALREADY_INITIALIZED }],
            0x805 if !(0..=1).contains(&word(input, 32)) => vec![INVALID_DEVICE_REQUEST],
            0x805 => vec![if self.free_number().is_some() { SUCCESS } else { INSUFFICIENT_RESOURCES }],
            0x806 => {
                vec![if self.takes_connections(word(input, 0).cast_unsigned()).is_some() { SUCCESS } else { NOT_FOUND }]
            }
            0x804 => found(word(input, 0), OBJECTID_NOT_FOUND),
            CONNECT | 0x807 => {
                let remote = place(&input[..28]).expect("looked at above");
                if function == CONNECT {
                    let new = self.connection(number(input), &remote).is_none();
                    return vec![if new && self.takes_connections(number(input)) == Some(true) {
                        SUCCESS
                    } else {
                        NOT_FOUND
                    }];
                }
                vec![match self.connection(self.meant(input), &remote) {
                    None => NOT_FOUND,
                    Some(Some(_)) => INVALID_DEVICE_STATE,
                    Some(None) => SUCCESS,
                }]
            }
            12 => self.answer_new_peer(input),
            13 if word(input, 4) < -1 || word(input, 8) < -1 => vec![INVALID_PARAMETER],
            13 => found(word(input, 0), INVALID_DEVICE_REQUEST),
            15 => found(word(input, 0), NOT_FOUND),
            16 => found(word(input, 0), INVALID_DEVICE_REQUEST),
            17 => match asked(input) {
                None => vec![INVALID_PARAMETER],
                Some(asked) if !self.there(asked.owner) => vec![NOT_FOUND],
                Some(asked) if self.same(&asked).is_some_and(|route| route.owner != asked.owner) => {
                    vec![OBJECTID_EXISTS]
                }
                Some(_) => vec![SUCCESS],
            },
            18 => match asked(input) {
                None => vec![INVALID_PARAMETER],
                Some(asked) => match self.same(&asked) {
                    Some(route) if asked.owner == -1 || route.owner == asked.owner => vec![SUCCESS],
                    _ => vec![NOT_FOUND],
                },
            },
            _ => self.answer_key(input),
        }
    }

    /// For another listener.
    fn free_number(&self) -> Option<u32> {
        (1..LISTENERS as u32).find(|number| self.takes_connections(*number).is_none())
    }

    fn answer_new_peer(&self, input: &[u8]) -> Vec<u32> {
        let (id, remote) = (word(input, 76), place(&input[28..56]));
        let Some(remote) = remote.filter(|_| place(&input[..28]).is_some()) else {
            return vec![INVALID_DEVICE_REQUEST];
        };
        let listener = self.meant(&input[28..56]);
        let Some(connected) = self.takes_connections(listener) else { return vec![INVALID_DEVICE_STATE] };
        if !(0..0xFF_FFFF).contains(&id) {
            return vec![INVALID_DEVICE_REQUEST];
        }
        match self.connection(listener, &remote) {
            None if connected => return vec![NOT_FOUND],
            Some(Some(_)) => return vec![NO_MEMORY],
            _ => {}
        }
        let own = own_addresses(input);
        let taken = |peer: &Peer| {
            !connected && (peer.listener, &peer.remote) == (listener, &remote)
                || own.iter().flatten().any(|address| peer.addresses.contains(&Some(*address)))
        };
        // One that is both may be told of either.
        let both = [(self.there(id), OBJECTID_EXISTS), (self.peers.iter().any(taken), NO_MEMORY)];
        let refused: Vec<u32> = both.into_iter().filter(|(is, _)| *is).map(|(_, status)| status).collect();
        if refused.is_empty() { vec![SUCCESS] } else { refused }
    }

    fn answer_key(&self, input: &[u8]) -> Vec<u32> {
        let (lengths, slot, algorithm, id) =
            ([input[32], input[73]], word(input, 84), word(input, 88), word(input, 96));
        let known =
            (0..=1).contains(&slot) && (1..=2).contains(&algorithm) && lengths.iter().all(|&length| length <= 32);
        let fits = |length: &u8| if algorithm == 1 { [16, 24, 32].contains(length) } else { *length == 32 };
        if !known {
            vec![INVALID_DEVICE_REQUEST]
        } else if !lengths.iter().all(fits) {
            vec![INVALID_PARAMETER]
        } else {
            vec![if self.there(id) { SUCCESS } else { OBJECTID_NOT_FOUND }]
        }
    }

    fn remove(&mut self, id: i32) {
        self.peers.retain(|peer| peer.id != id);
        self.networks.retain(|route| route.owner != id);
        self.connections.retain(|it| it.2 != Some(id));
    }

    /// What a request that succeeded changes.
    pub fn apply(&mut self, function: u32, input: &[u8]) {
        match function {
            12 => {
                let remote = place(&input[28..56]).expect("it succeeded");
                let (id, listener) = (word(input, 76), self.meant(&input[28..56]));
                if let Some(it) = self.connections.iter_mut().find(|it| it.0 == listener && it.1 == remote) {
                    it.2 = Some(id);
                }
                let addresses = own_addresses(input);
                self.peers.push(Peer { id, remote, listener, addresses, keys: [None; 2], counts: [0; 2] });
            }
            15 => self.remove(word(input, 0)),
            11 => self.listeners.push((0, false)),
            0x805 => {
                let free = self.free_number().expect("it succeeded");
                self.listeners.push((free, word(input, 32) == 1));
                self.several = true;
            }
            0x806 => {
                let number = word(input, 0).cast_unsigned();
                self.listeners.retain(|it| it.0 != number);
                let ended: Vec<i32> =
                    self.connections.iter().filter(|it| it.0 == number).filter_map(|it| it.2).collect();
                ended.into_iter().for_each(|id| self.remove(id));
                self.connections.retain(|it| it.0 != number);
            }
            CONNECT => self.connections.push((number(input), place(&input[..28]).expect("it succeeded"), None)),
            0x807 => {
                let (listener, remote) = (self.meant(input), place(&input[..28]).expect("it succeeded"));
                self.connections.retain(|it| it.0 != listener || it.1 != remote);
            }
            16 => {
                if let Some(peer) = self.peer(word(input, 0)) {
                    peer.keys.swap(0, 1);
                }
            }
            17 | 18 => {
                let asked = asked(input).expect("it succeeded");
                self.networks.retain(|route| route.v6 != asked.v6 || route.bits != asked.bits);
                if function == 17 {
                    self.networks.push(asked);
                }
                if self.spoken.len() > 8 {
                    self.spoken.remove(0);
                }
                self.spoken.push(first_address(input));
            }
            3 => {
                let slot = word(input, 84) as usize;
                if let Some(peer) = self.peer(word(input, 96)) {
                    peer.keys[slot] = Some(input[92]);
                }
            }
            _ => {}
        }
    }
}
