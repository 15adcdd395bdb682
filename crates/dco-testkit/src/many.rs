//! A device with several peers and its model side by side: whatever is done to both has to come to the same.
//!
//! Few ids, addresses and places, so that they collide. Clients are keys without a device. The property tests and the fuzz target
//! `server` drive it; it panics at the first difference.

use std::{
    collections::BTreeMap,
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use dco_core::{
    Control, ControlError, Cursor, Destination, Device, DropReason, Endpoint, MAX_SEALED, Mode, NewPeer, Opened,
    Origin, PeerSelector, PeerStats, PeerUpdate, Tick,
};
use dco_crypto::{Key, KeySlot};
use dco_wire::{PeerId, ip};

use crate::{
    KeySpec, PacketSpec, Side, TestAead,
    many_model::{Incoming, Join, ManyModel, Refused},
    model::{Inner, Ledger, ModelKey},
    packet::Upper,
};

/// One thing that can be done. Small numbers choose among few ids, addresses, places and keys; they wrap.
#[derive(Debug, Clone)]
pub enum Op {
    /// A peer comes: id, its IPv4 and IPv6 addresses (0 for none), where it is, whether over TCP.
    Join(u8, u8, u8, u8, bool),
    /// A peer goes.
    Leave(u8),
    /// It gets another IPv4 or IPv6 address (0 for none), or both.
    Readdress(u8, Option<u8>, Option<u8>),
    /// Userspace says where it is.
    Place(u8, u8),
    /// It is to be called otherwise.
    TxId(u8, u32),
    /// Its timers, in seconds.
    Timers(u8, u32, u32),
    /// It gets a key, one of two; the other end has it.
    Key(u8, bool),
    /// A key that has sealed nearly all that it may.
    OldKey(u8),
    /// Packets from the stack for whoever has an address: its number, whether IPv6, how many.
    Send(u8, bool, u8),
    /// A client's packet: whose key and which, how the header calls it, where it comes from, its inner source.
    Receive(Packet),
    /// The same twice: the second time from elsewhere.
    Replay(Packet, u8),
    /// The same with a bit flipped, which nobody may believe anything.
    Forge(Packet, u8, u8),
    /// Bytes from anywhere, from somewhere.
    Noise(u8, Vec<u8>),
    /// So many milliseconds pass.
    Wait(u16),
    /// A look at all peers.
    Tick,
    /// Userspace hears of floats.
    Moved,
    /// Sources are checked, or not.
    Check(bool),
    /// Remote ends are peers' own, or not.
    OwnRemotes(bool),
    /// Remote ends are told apart by our own ends, or not.
    BothEnds(bool),
}

/// A client's packet.
#[derive(Debug, Clone)]
pub struct Packet {
    /// Whose key.
    pub id: u8,
    /// Which of its two.
    pub second: bool,
    /// How the header calls it: 0 as it should, 1 undefined, else another.
    pub header: u8,
    /// Where it comes from.
    pub from: u8,
    /// Over the connection of this peer, which then says who it is.
    pub tcp: Option<u8>,
    /// A ping instead.
    pub ping: bool,
    /// Its inner source.
    pub source: u8,
}

const IDS: u8 = 6;

fn id(number: u8) -> u32 {
    u32::from(number % IDS)
}

fn vpn4(number: u8) -> Option<Ipv4Addr> {
    (!number.is_multiple_of(6)).then(|| Ipv4Addr::new(10, 8, 0, number % 6))
}

fn vpn6(number: u8) -> Option<Ipv6Addr> {
    (!number.is_multiple_of(6)).then(|| Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, u16::from(number % 6)))
}

/// Places differ in address, port, family, scope, or in what our end is.
fn place(number: u8) -> (SocketAddr, Option<IpAddr>) {
    let local = Some(IpAddr::from([192, 0, 2, 1 + number / 64]));
    match number % 8 {
        0 => (([192, 0, 2, 9], 1194).into(), None),
        1 => (([192, 0, 2, 9], 1194).into(), local),
        2 => (([192, 0, 2, 9], 1195).into(), local),
        3 => (([192, 0, 2, 10], 1194).into(), local),
        4 => ((Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 9), 1194).into(), None),
        5 => ((Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 10), 1194).into(), Some(Ipv6Addr::LOCALHOST.into())),
        n => {
            let address =
                std::net::SocketAddrV6::new(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 9), 1194, 0, u32::from(n));
            (address.into(), None)
        }
    }
}

/// An inner source: somebody's address, behind somebody, or nobody's.
fn source(number: u8) -> IpAddr {
    let low = number % 6;
    match number / 6 % 6 {
        0 => [10, 8, 0, low].into(),
        1 => Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, u16::from(low)).into(),
        2 => [192, 168, low, 7].into(),
        3 => Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, u16::from(low)).into(),
        4 => Ipv6Addr::new(0xfd01, u16::from(low), 0, 0, 0, 0, 0, 1).into(),
        _ if low < 3 => [0, 0, 0, 0].into(),
        _ => Ipv6Addr::UNSPECIFIED.into(),
    }
}

/// The routing tables: networks behind peers, and the tunnel's own networks, which are on link.
fn route_back(source: IpAddr) -> Option<IpAddr> {
    match source {
        IpAddr::V4(v4) => match v4.octets() {
            [10, 8, 0, _] => Some(source),
            [192, 168, n, _] => Some([10, 8, 0, n].into()),
            _ => None,
        },
        IpAddr::V6(v6) => match v6.segments() {
            [0xfd00, ..] => Some(source),
            [0xfd01, n, ..] => Some(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, n).into()),
            // A host with such a route exists; the packet is refused all the same.
            [0xfe80, .., n] => Some(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, n).into()),
            _ => None,
        },
    }
}

fn key_spec(id: u32, second: bool) -> KeySpec {
    KeySpec { key_len: 16, ..KeySpec::new(u64::from(id) * 2 + u64::from(second), u8::from(second)) }
}

fn packet_between(src: IpAddr, dst: IpAddr, seed: u8) -> PacketSpec {
    PacketSpec { src, dst, upper: Upper::Other, payload: usize::from(seed % 40), seed }
}

fn refused(error: ControlError) -> Refused {
    match error {
        ControlError::NoPeer => Refused::NoPeer,
        ControlError::PeerExists => Refused::PeerExists,
        ControlError::AddressInUse => Refused::AddressInUse,
        ControlError::OutOfMemory => panic!("no memory"),
    }
}

/// A device, its model, and its clients.
#[derive(Debug)]
pub struct Server {
    /// The device; a transport handle is the peer's id.
    pub device: Device<TestAead, u32>,
    /// The right to change it; the model does not hear of what is done by hand.
    pub control: Control,
    /// What it should do.
    pub model: ManyModel,
    ledger: Ledger,
    clients: HashMap<u64, Key<TestAead>>,
    now: u64,
    /// How often something happened, for who wants to know whether anything did: opened, floats told, keys told old.
    pub happened: [usize; 3],
}

impl Server {
    /// Without peers, in so many buckets.
    #[must_use]
    pub fn new(buckets: usize) -> Self {
        let mode = Mode::MultiPeer { seed: [buckets as u64, 7], buckets };
        let device = Device::try_new(2).and_then(|device| device.with_mode(mode)).expect("memory");
        let control = device.take_control().expect("the first to ask");
        let (model, ledger) = (ManyModel::default(), Ledger::default());
        Self { device, control, model, ledger, clients: HashMap::new(), now: 1_000_000, happened: [0; 3] }
    }

    fn selector(id: u32) -> PeerSelector {
        PeerSelector::Id(PeerId::from_low_bits(id))
    }

    fn set(&mut self, id: u32, update: PeerUpdate) -> Result<(), Refused> {
        let set = self.device.set_peer(&mut self.control, Self::selector(id), &update, Tick(self.now), || ());
        set.map_err(refused)
    }

    /// Does `op` to both, and compares.
    pub fn apply(&mut self, op: Op) {
        match op {
            Op::Join(n, v4, v6, at, tcp) => {
                let (remote, local) = place(at);
                let join = Join { id: id(n), tx_id: id(n), vpn4: vpn4(v4), vpn6: vpn6(v6), remote, local, tcp };
                let peer = NewPeer {
                    id: PeerId::from_low_bits(join.id),
                    tx_id: PeerId::from_low_bits(join.tx_id),
                    endpoint: Some(Endpoint { remote, local }),
                    vpn4: join.vpn4,
                    vpn6: join.vpn6,
                    protocol: if tcp { ip::TCP } else { ip::UDP },
                    transport: join.id,
                };
                let made = self.device.new_peer(&mut self.control, peer, Tick(self.now), || ());
                let made = made.map(|old| assert!(old.is_none())).map_err(refused);
                assert_eq!(made, self.model.join(join, self.now));
            }
            Op::Leave(n) => {
                let gone = self.device.del_peer(&mut self.control, Self::selector(id(n)), || ());
                assert_eq!(gone.map(|peer| peer.id().get()), self.model.peers.remove(&id(n)).map(|_| id(n)));
            }
            Op::Readdress(n, v4, v6) => {
                let (vpn4, vpn6) = (v4.map(vpn4), v6.map(vpn6));
                let set = self.set(id(n), PeerUpdate { vpn4, vpn6, ..PeerUpdate::default() });
                assert_eq!(set, self.model.readdress(id(n), vpn4, vpn6));
            }
            Op::Place(n, at) => {
                let remote = place(at).0;
                let endpoint = Some(Endpoint { remote, local: None });
                let set = self.set(id(n), PeerUpdate { endpoint, ..PeerUpdate::default() });
                assert_eq!(set, self.model.set(id(n), Some(remote), None, None, self.now));
            }
            Op::TxId(n, tx_id) => {
                let tx_id = tx_id & 0xff_ffff;
                let update = PeerUpdate { tx_id: Some(PeerId::from_low_bits(tx_id)), ..PeerUpdate::default() };
                assert_eq!(self.set(id(n), update), self.model.set(id(n), None, Some(tx_id), None, self.now));
            }
            Op::Timers(n, interval, timeout) => {
                let update = PeerUpdate { interval: Some(interval), timeout: Some(timeout), ..PeerUpdate::default() };
                let timers = Some((interval, timeout));
                assert_eq!(self.set(id(n), update), self.model.set(id(n), None, None, timers, self.now));
            }
            Op::Key(n, second) => self.install(id(n), key_spec(id(n), second)),
            Op::OldKey(n) => self.install(id(n), KeySpec { sealed: 0xD1FF_FFFD, ..key_spec(id(n), false) }),
            Op::Send(n, v6, count) => {
                let to = if v6 { vpn6(n).map(IpAddr::V6) } else { vpn4(n).map(IpAddr::V4) };
                if let Some(to) = to {
                    self.send(to, count % 4 + 1);
                }
            }
            Op::Receive(packet) => {
                let datagram = self.client_seals(&packet);
                self.receive(&packet, packet.from, &datagram);
            }
            Op::Replay(packet, from) => {
                let datagram = self.client_seals(&packet);
                self.receive(&packet, packet.from, &datagram);
                self.receive(&packet, from, &datagram);
            }
            Op::Forge(packet, at, bit) => {
                let mut datagram = self.client_seals(&packet);
                // The key-id and the tag, the packet id, the ciphertext; the peer-id is the header's own matter.
                let place = usize::from(at) % (datagram.len() - 4) + 4;
                datagram[place] ^= 1 << (bit % 8);
                self.receive(&packet, packet.from, &datagram);
            }
            Op::Noise(from, bytes) => {
                let packet = Packet { id: 0, second: false, header: 0, from, tcp: None, ping: false, source: 0 };
                self.receive(&packet, from, &bytes);
            }
            Op::Wait(milliseconds) => self.now += u64::from(milliseconds),
            Op::Tick => self.tick(),
            Op::Moved => self.moved(),
            Op::OwnRemotes(on) => {
                self.device.set_own_remotes(on);
                self.model.own_remotes = on;
            }
            Op::BothEnds(on) => {
                self.device.set_both_ends(on);
                self.model.both_ends = on;
            }
            Op::Check(on) => {
                self.device.set_source_check(on);
                self.model.unchecked = !on;
            }
        }
        self.compare();
    }

    fn install(&mut self, id: u32, spec: KeySpec) {
        let key = spec.key_called(Side::A, None);
        let slot = KeySlot::Primary;
        let installed = self.device.new_key(&mut self.control, Self::selector(id), slot, key, || ());
        let model = ModelKey::new(spec.number, spec.key_id, 0, spec.sealed);
        assert_eq!(installed.is_ok(), self.model.key(id, model));
    }

    fn send(&mut self, to: IpAddr, count: u8) {
        let section = self.device.enter(0);
        let mut batch = section.batch(Tick(self.now));
        for seed in 0..count {
            let inner = match to {
                IpAddr::V4(_) => packet_between([10, 8, 0, 200].into(), [198, 51, 100, 1].into(), seed),
                IpAddr::V6(_) => packet_between(Ipv6Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into(), seed),
            };
            let mut out = vec![0; MAX_SEALED];
            let sealed = batch.seal(Destination::Address(to), &inner.bytes(), &mut out);
            match (self.model.seal(to, &Inner::Packet(inner.clone()), self.now), sealed) {
                (Ok((id, key, header)), Ok(sealed)) => {
                    assert_eq!((sealed.peer.id().get(), *sealed.peer.transport()), (id, id));
                    assert_eq!((sealed.len, &out[..8]), (inner.total() + 24, &header[..]));
                    let spec = key_spec(id, key % 2 == 1);
                    let mut plain = vec![0; sealed.len];
                    let len = spec.key(Side::B).open(&out[..sealed.len], &mut plain, 0).expect("sealed for it");
                    assert_eq!(plain[..len], inner.bytes());
                }
                (Err(expected), Err(reason)) => assert_eq!(reason.name(), expected),
                (expected, sealed) => panic!("to {to}: expected {expected:?}, got {sealed:?}"),
            }
        }
    }

    fn client_seals(&mut self, packet: &Packet) -> Vec<u8> {
        let spec = key_spec(id(packet.id), packet.second);
        let client = self.clients.entry(spec.number).or_insert_with(|| spec.key_called(Side::B, None));
        let called = match packet.header % 4 {
            0 | 3 => id(packet.id),
            1 => 0xFF_FFFF,
            _ => id(packet.id.wrapping_add(1)),
        };
        let inner = if packet.ping {
            Inner::Ping
        } else {
            let src = source(packet.source);
            let dst = if src.is_ipv4() { [10, 8, 0, 200].into() } else { Ipv6Addr::LOCALHOST.into() };
            Inner::Packet(packet_between(src, dst, packet.source))
        };
        let plain = match &inner {
            Inner::Packet(spec) => spec.bytes(),
            _ => dco_wire::PING.to_vec(),
        };
        let mut out = vec![0; plain.len() + 24];
        client.seal(PeerId::from_low_bits(called), &plain, &mut out).expect("ids left");
        self.ledger.note(spec.number, 1, out.clone(), inner);
        out
    }

    fn receive(&mut self, packet: &Packet, from: u8, datagram: &[u8]) {
        let (remote, local) = place(from);
        let tcp = packet.tcp.map(id);
        let source = tcp.is_none().then_some((remote, local));
        let header = datagram.get(1..4);
        if tcp.is_none() && header == Some(&[0xff; 3][..]) && self.model.known_at(remote, local).len() > 1 {
            // Any of them may be meant.
            return;
        }
        let origin = Origin {
            peer: tcp.map(PeerId::from_low_bits),
            source: source.map(|(remote, local)| Endpoint { remote, local }),
        };
        let moved_before: Vec<_> = self.model.peers.iter().map(|(id, peer)| (*id, peer.remote, peer.local)).collect();
        let mut out = vec![0xee; datagram.len()];
        let (opened, moved) = {
            let section = self.device.enter(1);
            let mut batch = section.batch(Tick(self.now));
            let opened = batch.open(origin, datagram, &mut out, route_back).map(|opened| match opened {
                Opened::Packet { len, peer } => (peer.id().get(), Some(len)),
                Opened::Ping { peer } => (peer.id().get(), None),
            });
            (opened, batch.moved())
        };
        let incoming = Incoming { datagram, peer: tcp, source };
        match (self.model.open(incoming, &self.ledger, route_back, self.now), opened) {
            (Ok((id, None)), Ok(got)) => assert_eq!(got, (id, None)),
            (Ok((id, Some(spec))), Ok((got, Some(len)))) => {
                assert_eq!((got, &out[..len]), (id, &spec.bytes()[..]));
                self.happened[0] += 1;
            }
            (Err(expected), Err(reason)) => {
                assert_eq!(reason.name(), expected);
                let written = &out[..datagram.len().saturating_sub(24)];
                assert!(
                    written.iter().all(|b| *b == 0) || written.iter().all(|b| *b == 0xee),
                    "{reason:?} left something"
                );
            }
            (expected, opened) => panic!("expected {expected:?}, got {opened:?}"),
        }
        let both_ends = self.model.both_ends;
        let moves = self
            .model
            .peers
            .iter()
            .zip(&moved_before)
            .any(|((_, peer), (_, remote, local))| peer.remote != *remote || both_ends && peer.local != *local);
        assert_eq!(moved, moves, "moved");
    }

    fn tick(&mut self) {
        let ids: Vec<_> = self.model.peers.keys().copied().collect();
        let section = self.device.enter(0);
        let mut batch = section.batch(Tick(self.now));
        for id in ids {
            let due = batch.due(Self::selector(id));
            let expected = self.model.due(id, self.now);
            assert_eq!((due.ping, due.expired, due.key_old.is_some()), expected, "{id}");
            self.happened[2] += usize::from(due.key_old.is_some());
            if due.ping {
                let mut out = [0; 40];
                let sealed = batch.seal_ping(Self::selector(id), &mut out).map(|sealed| sealed.len);
                match self.model.seal_to(id, &Inner::Ping, self.now) {
                    Ok((_, header)) => assert_eq!((sealed, &out[..8]), (Ok(40), &header[..])),
                    Err(reason) => assert_eq!(sealed.map_err(DropReason::name), Err(reason)),
                }
            }
        }
    }

    fn moved(&mut self) {
        let mut told = Vec::new();
        let tell = |peer: &dco_core::Peer<TestAead, u32>, at: Endpoint| told.push((peer.id().get(), at.remote));
        self.device.take_moved(&mut self.control, tell, || ());
        told.sort_unstable_by_key(|(id, _)| *id);
        self.happened[1] += told.len();
        assert_eq!(told, self.model.take_moved());
    }

    /// Compares peers, their settings and all counters.
    pub fn compare(&self) {
        same_drops(self.device.drop_counts(), &self.model.drops, None);
        assert_eq!(self.device.peer_count(0), self.model.peers.len());
        let (mut cursor, mut seen) = (Cursor::default(), Vec::new());
        while let Some(peer) = self.device.next_peer(&self.control, &mut cursor) {
            seen.push(peer.id().get());
        }
        seen.sort_unstable();
        assert_eq!(seen, self.model.peers.keys().copied().collect::<Vec<_>>());
        for (id, expected) in &self.model.peers {
            let peer = self.device.peer(&self.control, Self::selector(*id)).expect("the walk met it");
            assert_eq!(peer.addresses(), (expected.vpn4, expected.vpn6));
            assert_eq!(peer.endpoint().0, Some(Endpoint { remote: expected.remote, local: expected.local }), "{id}");
            assert_eq!(
                (peer.tx_id().get(), peer.interval(), peer.timeout()),
                (expected.tx_id, expected.interval, expected.timeout)
            );
            let t = expected.traffic;
            let traffic = PeerStats {
                link_rx: t.link_rx.0,
                link_tx: t.link_tx.0,
                vpn_rx: t.vpn_rx.0,
                vpn_tx: t.vpn_tx.0,
                link_rx_packets: t.link_rx.1,
                link_tx_packets: t.link_tx.1,
                vpn_rx_packets: t.vpn_rx.1,
                vpn_tx_packets: t.vpn_tx.1,
            };
            assert_eq!(peer.stats(), traffic, "{id}");
            same_drops(peer.drops(), &expected.drops, Some(*id));
        }
    }
}

/// Whether these counts, in the order of [`DropReason::ALL`], are the expected ones. Most are zero: those are not looked up.
fn same_drops(counts: impl IntoIterator<Item = u64>, expected: &BTreeMap<&'static str, u64>, peer: Option<u32>) {
    let mut reasons = 0;
    for (reason, count) in DropReason::ALL.iter().zip(counts).filter(|(_, count)| *count != 0) {
        assert_eq!(Some(&count), expected.get(reason.name()), "peer {peer:?}, {reason:?}");
        reasons += 1;
    }
    assert_eq!(reasons, expected.len(), "peer {peer:?}: expected drops of {expected:?}");
}
