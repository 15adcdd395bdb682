//! Requests of a server's control program, byte by byte, in any order; and clients that connect between them, where a listener takes connections.
//!
//! The device is dco-core's, the buffers are read by dco-uapi, and between the two is what a shell has to do. The other side is a model that
//! reads the same bytes by itself and looks through all peers and networks, one after the other. Statuses, counts and where packets would go
//! have to agree after each request.

mod model;

use self::model::{Model, word};
use crate::key::Weak;
use dco_core::{
    Control, ControlError, Cursor, Destination, Device, DropReason, Endpoint, Mode, Network, NewPeer, PeerSelector,
    PeerUpdate, Tick,
};
use dco_crypto::{Key, KeyConfig, KeySlot, NonceTail};
use dco_uapi::additive::{self, MpListen};
use dco_uapi::{Iroute, MpNewPeer, MpSetPeer, MpStartVpn, NewKey, PeerChoice, Protocol, UapiError, parse_peer_id};
use dco_wire::{PeerId, ip};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// Longest sequence: what comes after is not looked at.
const REQUESTS: usize = 48;

const SUCCESS: u32 = 0;
const NO_MEMORY: u32 = 0xC000_0017;
const INSUFFICIENT_RESOURCES: u32 = 0xC000_009A;
const INVALID_DEVICE_STATE: u32 = 0xC000_0184;
const ALREADY_INITIALIZED: u32 = 0xC000_0510;
const INVALID_PARAMETER: u32 = 0xC000_000D;
const INVALID_DEVICE_REQUEST: u32 = 0xC000_0010;
const BUFFER_TOO_SMALL: u32 = 0xC000_0023;
const NOT_FOUND: u32 = 0xC000_0225;
const OBJECTID_EXISTS: u32 = 0xC000_022B;
const OBJECTID_NOT_FOUND: u32 = 0xC000_02F0;

/// The function numbers that are chosen from.
const FUNCTIONS: [u32; 9] = [12, 12, 13, 3, 15, 16, 17, 17, 18];

/// No request: a client connects, from the address that follows, to the listener whose number is in it.
const CONNECT: u32 = 0;

/// The same for first bytes of [`FROM`] and above: listeners, connections, and a peer's counts.
const MORE: [u32; 8] = [CONNECT, 0x804, 0x805, 0x805, 0x806, 0x807, CONNECT, 11];
const FROM: u8 = 0xE0;

/// Listeners that there may be.
const LISTENERS: usize = 16;

/// Requests one after the other. Each begins with a byte that chooses which, and how many bytes of it are changed; then come the choices that
/// make it, then place and value of each change. The first byte of all is the number of buckets.
pub fn run(input: &[u8]) {
    let Some((&buckets, rest)) = input.split_first() else { return };
    let mut bytes = Bytes(rest);
    let mode = Mode::MultiPeer { seed: [5, 6], buckets: [1, 3, 64][usize::from(buckets) % 3] };
    let device = Device::try_new(1).and_then(|device| device.with_mode(mode)).expect("memory");
    device.set_own_remotes(true);
    device.set_both_ends(true);
    let control = device.take_control().expect("the first to ask");
    let mut shell = Shell::new(device, control);
    let mut model = Model::new();
    for _ in 0..REQUESTS {
        let Some((function, request)) = bytes.request() else { break };
        let status = shell.answer(function, &request);
        let expected = model.answer(function, &request);
        assert!(
            expected.contains(&status),
            "{function}: expected one of {expected:x?}, got {status:x} for {request:02x?}"
        );
        if status == SUCCESS {
            model.apply(function, &request);
        }
        if function == 0x804 && status == SUCCESS {
            let id = word(&request, 0);
            assert_eq!(shell.told, model.counts(id), "{id}: packets sealed, and lost for want of a key");
        }
        shell.compare(&mut model);
    }
}

/// Choices, as they come. Where there are none left they are zero.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn next(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    fn byte(&mut self) -> u8 {
        self.next().unwrap_or(0)
    }

    /// Few ids that are some peer's, and those around what a header can say.
    fn id(&mut self) -> [u8; 4] {
        const ODD: [i32; 8] = [-1, -2, 0xFF_FFFE, 0xFF_FFFF, 0x100_0000, 0x100_0001, i32::MAX, i32::MIN];
        let byte = self.byte();
        let id = if byte & 0xF0 == 0xF0 { ODD[usize::from(byte % 8)] } else { i32::from(byte % 6) };
        id.to_le_bytes()
    }

    /// A SOCKADDR of 28 bytes: few addresses, some of them the same in two forms.
    fn sockaddr(&mut self) -> Vec<u8> {
        let byte = self.byte();
        let (v4, port) = (Ipv4Addr::new(192, 0, 2, byte % 3), 1194 + u16::from(byte >> 2 & 1));
        let mut union = vec![0; 28];
        union[2..4].copy_from_slice(&port.to_be_bytes());
        union[0] = 23;
        let v6 = match byte >> 4 {
            0..8 => {
                union[0] = 2;
                // A listener's number, which counts where there are several.
                union[8] = byte >> 3 & 1;
                union[4..8].copy_from_slice(&v4.octets());
                return union;
            }
            8..11 => v4.to_ipv6_mapped(),
            n => Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, u16::from(n & 1)),
        };
        union[8..24].copy_from_slice(&v6.octets());
        // Flow information, which does not count unless it is a listener's number, and scope, which does.
        union[4] = byte >> 3 & 1;
        union[24] = byte >> 7 & byte & 1;
        union
    }

    fn request(&mut self) -> Option<(u32, Vec<u8>)> {
        let first = self.next()?;
        let (function, changes) = match first.checked_sub(FROM) {
            Some(rest) => (MORE[usize::from(rest) % MORE.len()], rest >> 3),
            None => (FUNCTIONS[usize::from(first) % FUNCTIONS.len()], first >> 6),
        };
        let mut request = match function {
            12 => self.new_peer(),
            13 => {
                let id = self.id();
                let time = |byte: u8| (i32::from(byte) - 2).to_le_bytes();
                [id, time(self.byte()), time(self.byte()), time(self.byte())].concat()
            }
            15 | 16 => self.id().to_vec(),
            17 | 18 => self.iroute(),
            3 => self.key(),
            0x804 => self.id().to_vec(),
            11 | 0x805 => {
                let protocol = i32::from(self.byte() & 1).to_le_bytes();
                // MP_START_VPN ends before the protocol: what is beyond is not looked at.
                [self.sockaddr(), vec![0; 4], protocol.to_vec()].concat()
            }
            0x806 => u32::from(self.byte() % 18).to_le_bytes().to_vec(),
            _ => self.numbered(),
        };
        for _ in 0..changes.saturating_sub(1) {
            let (at, value) = (self.byte(), self.byte());
            if at >= 0xF8 {
                request.truncate(usize::from(value) % (request.len() + 1));
            } else if let Some(byte) = request.get_mut(usize::from(at)) {
                *byte = value;
            }
        }
        Some((function, request))
    }

    /// An address with a listener's number in it, of the first few.
    fn numbered(&mut self) -> Vec<u8> {
        let mut union = self.sockaddr();
        let at = if union[0] == 2 { 8 } else { 4 };
        union[at] = self.byte() % 4;
        union
    }

    fn new_peer(&mut self) -> Vec<u8> {
        let mut request = [self.sockaddr(), self.sockaddr()].concat();
        let (v4, v6) = (self.byte(), self.byte());
        request.extend([10, 8, 0, v4 % 5].map(|octet| if v4 % 5 == 0 { 0 } else { octet }));
        let mut address = [0; 16];
        if v6 % 5 != 0 {
            (address[0], address[15]) = (0xfd, v6 % 5);
        }
        request.extend(address);
        request.extend(self.id());
        request
    }

    fn iroute(&mut self) -> Vec<u8> {
        let (kind, a, b) = (self.byte(), self.byte(), self.byte());
        let v6 = kind & 1 == 1;
        let mut address = [0; 16];
        (address[0], address[1], address[2]) = (if v6 { 0xfd } else { 10 }, a & 0x81, b & 0x83);
        (address[3], address[15]) = (a >> 1 & 3, b >> 2 & 1);
        let bits = i32::from(self.byte() % if v6 { 132 } else { 36 }) - 1;
        let id = self.id();
        [&address, bits.to_le_bytes().as_slice(), &id, &i32::from(v6).to_le_bytes()].concat()
    }

    fn key(&mut self) -> Vec<u8> {
        let (kind, id) = (self.byte(), self.id());
        let len = [16, 24, 32, 32][usize::from(kind >> 2) % 4];
        let direction = [&[kind; 32], [len].as_slice(), &[7; 8]].concat();
        let algorithm = if kind >> 2 & 3 == 3 { 2 } else { 1 };
        let words = [i32::from(kind & 1), algorithm].map(i32::to_le_bytes).concat();
        [&*direction, &direction, &[0; 2], &words, &[kind >> 4, 0, 0, 0], &id].concat()
    }
}

/// What stands between userspace and the core.
struct Shell {
    device: Device<Weak, ()>,
    control: Control,
    listeners: [Option<Protocol>; LISTENERS],
    /// MP_LISTEN was used.
    several: bool,
    connections: Vec<Connection>,
    /// What GET_PEER_DROPS said last: packets sealed, and lost for want of a key.
    told: [u64; 2],
}

/// A connection that a listener took.
struct Connection {
    listener: u32,
    remote: SocketAddr,
    peer: Option<PeerId>,
}

fn selector(id: i32) -> Option<PeerSelector> {
    let id = u32::try_from(id).ok().filter(|id| *id < 0xFF_FFFF)?;
    Some(PeerSelector::Id(PeerId::from_low_bits(id)))
}

/// Never mapped, and without flow information.
fn canonical(address: SocketAddr) -> SocketAddr {
    let SocketAddr::V6(v6) = address else { return address };
    match v6.ip().to_ipv4_mapped() {
        Some(v4) => (v4, v6.port()).into(),
        None => SocketAddrV6::new(*v6.ip(), v6.port(), 0, v6.scope_id()).into(),
    }
}

fn code(error: UapiError) -> u32 {
    error.status().cast_unsigned()
}

impl Shell {
    /// With MP_START_VPN's listener.
    fn new(device: Device<Weak, ()>, control: Control) -> Self {
        let listeners = std::array::from_fn(|number| (number == 0).then_some(Protocol::Udp));
        Self { device, control, listeners, several: false, connections: Vec::new(), told: [0; 2] }
    }

    fn answer(&mut self, function: u32, input: &[u8]) -> u32 {
        let done = match function {
            CONNECT => additive::parse_disconnect(input).map_err(code).and_then(|from| self.connect(from)),
            11 => MpStartVpn::parse(input).map_err(code).and_then(|_| match &mut self.listeners[0] {
                Some(_) => Err(ALREADY_INITIALIZED),
                none => {
                    *none = Some(Protocol::Udp);
                    Ok(())
                }
            }),
            0x804 => parse_peer_id(input).map_err(code).and_then(|id| self.peer_drops(id)),
            0x805 => MpListen::parse(input).map_err(code).and_then(|wanted| self.listen(wanted.protocol)),
            0x806 => additive::parse_unlisten(input).map_err(code).and_then(|number| self.unlisten(number)),
            0x807 => additive::parse_disconnect(input).map_err(code).and_then(|from| self.disconnect(from)),
            12 => MpNewPeer::parse(input).map_err(code).and_then(|new| self.new_peer(&new)),
            13 => MpSetPeer::parse(input).map_err(code).and_then(|set| self.set_peer(&set)),
            15 => parse_peer_id(input).map_err(code).and_then(|id| {
                let peer = selector(id).ok_or(NOT_FOUND)?;
                let gone = self.device.del_peer(&mut self.control, peer, || ()).ok_or(NOT_FOUND)?;
                self.connections.retain(|it| it.peer != Some(gone.id()));
                Ok(())
            }),
            16 => parse_peer_id(input).map_err(code).and_then(|id| {
                let peer = selector(id).ok_or(INVALID_DEVICE_REQUEST)?;
                self.device.swap_keys(&mut self.control, peer, || ()).map_err(|_| INVALID_DEVICE_REQUEST)
            }),
            17 => Iroute::parse(input).map_err(code).and_then(|route| self.add_network(&route)),
            18 => Iroute::parse(input).map_err(code).and_then(|route| self.del_network(&route)),
            _ => NewKey::parse(input).map_err(code).and_then(|new| self.new_key(&new)),
        };
        done.err().unwrap_or(SUCCESS)
    }

    /// The listener that a number in an address means.
    fn meant(&self, number: u32) -> u32 {
        if self.several { number } else { 0 }
    }

    fn listener(&self, number: u32) -> Option<Protocol> {
        self.listeners.get(number as usize).copied().flatten()
    }

    fn connection(&mut self, listener: u32, remote: SocketAddr) -> Option<&mut Connection> {
        self.connections.iter_mut().find(|it| (it.listener, it.remote) == (listener, remote))
    }

    fn connect(&mut self, (remote, listener): (SocketAddr, u32)) -> Result<(), u32> {
        let remote = canonical(remote);
        if self.listener(listener) != Some(Protocol::Tcp) || self.connection(listener, remote).is_some() {
            return Err(NOT_FOUND);
        }
        self.connections.push(Connection { listener, remote, peer: None });
        Ok(())
    }

    fn disconnect(&mut self, (remote, number): (SocketAddr, u32)) -> Result<(), u32> {
        let (listener, remote) = (self.meant(number), canonical(remote));
        if self.connection(listener, remote).ok_or(NOT_FOUND)?.peer.is_some() {
            return Err(INVALID_DEVICE_STATE);
        }
        self.connections.retain(|it| (it.listener, it.remote) != (listener, remote));
        Ok(())
    }

    fn listen(&mut self, protocol: Protocol) -> Result<(), u32> {
        let free = self.listeners.iter().skip(1).position(Option::is_none).ok_or(INSUFFICIENT_RESOURCES)?;
        self.listeners[free + 1] = Some(protocol);
        self.several = true;
        Ok(())
    }

    /// Its connections end, peers and all.
    fn unlisten(&mut self, number: u32) -> Result<(), u32> {
        let listener = self.listeners.get_mut(number as usize).ok_or(NOT_FOUND)?;
        listener.take().ok_or(NOT_FOUND)?;
        let all = std::mem::take(&mut self.connections);
        let (ended, stay): (Vec<_>, Vec<_>) = all.into_iter().partition(|it| it.listener == number);
        self.connections = stay;
        for ended in ended {
            if let Some(id) = ended.peer {
                self.device.del_peer(&mut self.control, PeerSelector::Id(id), || ()).expect("a connection's peer");
            }
        }
        Ok(())
    }

    fn peer_drops(&mut self, id: i32) -> Result<(), u32> {
        let peer =
            selector(id).and_then(|peer| self.device.peer(&self.control, peer).ok()).ok_or(OBJECTID_NOT_FOUND)?;
        self.told = [peer.stats().link_tx_packets, peer.drops()[DropReason::TxNoKey as usize]];
        Ok(())
    }

    fn new_peer(&mut self, new: &MpNewPeer) -> Result<(), u32> {
        let listener = self.meant(new.listener);
        let protocol = self.listener(listener).ok_or(INVALID_DEVICE_STATE)?;
        let Some(PeerSelector::Id(id)) = selector(new.peer_id) else { return Err(INVALID_DEVICE_REQUEST) };
        let remote = canonical(new.remote);
        let connected = protocol == Protocol::Tcp;
        if connected && self.connection(listener, remote).ok_or(NOT_FOUND)?.peer.is_some() {
            return Err(NO_MEMORY);
        }
        let endpoint = Endpoint { remote, local: Some(Ipv4Addr::from_bits(listener).into()) };
        let there = self.device.peer_at_ends(&self.control, endpoint).filter(|_| !connected);
        if there.is_some_and(|there| there != id) {
            return Err(NO_MEMORY);
        }
        let peer = NewPeer {
            id,
            tx_id: id,
            endpoint: Some(endpoint),
            vpn4: new.vpn4,
            vpn6: new.vpn6,
            protocol: if connected { ip::TCP } else { ip::UDP },
            transport: (),
        };
        match self.device.new_peer(&mut self.control, peer, Tick(0), || ()) {
            Ok(_) => {
                if let Some(connection) = self.connection(listener, remote) {
                    connection.peer = Some(id);
                }
                Ok(())
            }
            Err(ControlError::PeerExists) => Err(OBJECTID_EXISTS),
            Err(_) => Err(NO_MEMORY),
        }
    }

    fn set_peer(&mut self, set: &MpSetPeer) -> Result<(), u32> {
        let peer = selector(set.peer_id).ok_or(INVALID_DEVICE_REQUEST)?;
        let (interval, timeout, mss) = (set.settings.interval, set.settings.timeout, set.settings.mss);
        let update = PeerUpdate { interval, timeout, mss, ..PeerUpdate::default() };
        let changed = self.device.set_peer(&mut self.control, peer, &update, Tick(0), || ());
        changed.map_err(|_| INVALID_DEVICE_REQUEST)
    }

    fn add_network(&mut self, route: &Iroute) -> Result<(), u32> {
        let peer = selector(route.peer_id).ok_or(NOT_FOUND)?;
        let network = Network::new(route.addr, route.netbits).expect("a length that was looked at");
        match self.device.add_network(&mut self.control, peer, network, || ()) {
            Ok(()) => Ok(()),
            Err(ControlError::NoPeer) => Err(NOT_FOUND),
            Err(_) => Err(OBJECTID_EXISTS),
        }
    }

    fn del_network(&mut self, route: &Iroute) -> Result<(), u32> {
        let owner = match selector(route.peer_id) {
            Some(PeerSelector::Id(id)) => Some(id),
            _ if route.peer_id == -1 => None,
            _ => return Err(NOT_FOUND),
        };
        let network = Network::new(route.addr, route.netbits).expect("a length that was looked at");
        if self.device.del_network(&mut self.control, owner, network, || ()) { Ok(()) } else { Err(NOT_FOUND) }
    }

    fn new_key(&mut self, new: &NewKey) -> Result<(), u32> {
        let lengths = match new.algorithm {
            dco_uapi::Algorithm::None => return Err(INVALID_DEVICE_REQUEST),
            dco_uapi::Algorithm::AesGcm => [16, 24, 32].as_slice(),
            dco_uapi::Algorithm::ChaCha20Poly1305 => &[32],
        };
        if ![&new.encrypt, &new.decrypt].iter().all(|direction| lengths.contains(&direction.key().len())) {
            return Err(INVALID_PARAMETER);
        }
        let key = Key::try_new(KeyConfig {
            key_id: new.key_id,
            peer_id: Some(PeerId::from_low_bits(new.peer_id.cast_unsigned())),
            seal: Weak,
            open: Weak,
            seal_tail: NonceTail::new(*new.encrypt.nonce_tail()),
            open_tail: NonceTail::new(*new.decrypt.nonce_tail()),
        })
        .expect("memory");
        let slot = if new.slot == dco_uapi::Slot::Primary { KeySlot::Primary } else { KeySlot::Secondary };
        let peer = selector(new.peer_id).ok_or(OBJECTID_NOT_FOUND)?;
        self.device.new_key(&mut self.control, peer, slot, key, || ()).map_err(|_| OBJECTID_NOT_FOUND)
    }

    /// Counts, and for each address of the model's where a packet to it would go, and under which key.
    fn compare(&self, model: &mut Model) {
        for choice in [-1, 0, 3] {
            let PeerChoice::One(id) = PeerChoice::parse(&i32::to_le_bytes(choice)).expect("four bytes") else {
                let mut cursor = Cursor::default();
                let mut ids = Vec::new();
                while let Some(peer) = self.device.next_peer(&self.control, &mut cursor) {
                    ids.push(peer.id().get().cast_signed());
                }
                ids.sort_unstable();
                assert_eq!(ids, model.ids());
                continue;
            };
            let there = selector(id).is_some_and(|peer| self.device.peer(&self.control, peer).is_ok());
            assert_eq!(there, model.ids().contains(&id));
        }
        let section = self.device.enter(0);
        let mut batch = section.batch(Tick(0));
        for address in model.probes() {
            let to = Destination::Address(address);
            let found = batch.receiver(to).map(|peer| peer.id().get().cast_signed());
            assert_eq!(found, model.receiver(address), "{address}: {:?}", model.networks);
            model.count(found);
            let inner = match address {
                IpAddr::V4(v4) => {
                    [&[0x45, 0, 0, 20, 0, 0, 0, 0, 64, 253, 0, 0, 10, 9, 9, 9], v4.octets().as_slice()].concat()
                }
                IpAddr::V6(v6) => {
                    let head = [0x60, 0, 0, 0, 0, 0, 59, 64];
                    [head.as_slice(), &Ipv6Addr::LOCALHOST.octets(), &v6.octets()].concat()
                }
            };
            let mut out = [0; 128];
            let sealed = batch.seal(to, &inner, &mut out).map(|sealed| sealed.len);
            match found.and_then(|id| model.key(id).map(|key_id| (id, key_id))) {
                Some((id, key_id)) => {
                    assert_eq!(sealed.map_err(|reason| reason.name()), Ok(inner.len() + 24));
                    let header = u32::from_be_bytes([out[0], out[1], out[2], out[3]]);
                    assert_eq!(header & 0xFF_FFFF, id.cast_unsigned());
                    assert_eq!(header >> 27, 9, "key id {key_id}");
                    assert_eq!(header >> 24 & 7, u32::from(key_id & 7));
                }
                None => assert!(sealed.is_err()),
            }
        }
    }
}
