//! Property tests: whatever is done to two ends, they do what the model says.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use dco_core::{DropReason, KeepaliveUpdate, MAX_SEALED, Opened, PeerSelector};
use dco_crypto::KeySlot;
use dco_testkit::{
    Faults, KeySpec, PacketSpec, Pair, Random, Side,
    model::{Expected, Inner, Ledger, Model, ModelKey},
    packet::Upper,
};
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Op {
    /// Packets from the stack, in one batch.
    Send(Side, Vec<Inner>),
    /// As before, gathered in the send buffer and sealed in place.
    SendGathered(Side, Inner),
    /// Datagrams out of all that were ever sealed for this side, in one batch: by distance from the newest.
    Receive(Side, Vec<usize>),
    /// One of them back to its sender.
    Reflect(Side, usize),
    /// One of them with a bit flipped, or cut to a length.
    Damage(Side, usize, usize, u8),
    Cut(Side, usize, usize),
    /// Bytes from anywhere.
    Noise(Side, Vec<u8>),
    /// Sealed by a broken peer: authentic, but not IP.
    Rogue(Side, Vec<u8>),
    Tick(Side),
    Wait(u64),
    /// Silence until a ping is due, which the far side receives.
    Idle(Side),
    NewKey(Side, usize, u64),
    Swap(Side),
    NewPeer(Side),
    DelPeer(Side),
    SetPeer(Side, Option<u32>, Option<u32>, Option<u16>),
}

/// A few keys that both sides may have, alike or not: sharing key-ids, about to be exhausted, with an impossible key-id.
fn key(number: u64) -> KeySpec {
    let (key_id, sealed, key_len) = match number {
        0 => (0, 0, 32),
        1 => (1, 0, 16),
        2 => (0, 0, 24),
        3 => (2, 0xEFFF_FFFF - 3, 32),
        _ => (9, 0, 32),
    };
    KeySpec { number, key_id, key_len, peer_id: 0xAB_0001 + number as u32, sealed }
}

struct World {
    pair: Pair,
    models: [Model; 2],
    ledger: Ledger,
    /// All datagrams ever sealed toward each side.
    sealed: [Vec<Vec<u8>>; 2],
    rogue_id: u64,
    /// Whether to open everything that was sealed at once, with a key of its own.
    look_inside: bool,
}

impl World {
    fn new() -> Self {
        Self {
            pair: Pair::new(Faults::NONE, 0),
            models: [Model::new(0), Model::new(1)],
            ledger: Ledger::default(),
            sealed: [Vec::new(), Vec::new()],
            rogue_id: 0,
            look_inside: true,
        }
    }

    fn now(&self) -> u64 {
        self.pair.now().0
    }

    fn sealed(&mut self, side: Side, expected: Expected, datagram: Vec<u8>) {
        assert_eq!(datagram[..8], expected.header);
        assert_eq!(datagram.len(), expected.inner.len() + 24);
        if self.look_inside {
            let fresh = key(expected.key).key(side.other());
            let mut plain = vec![0; datagram.len()];
            // A key with an impossible key-id opens all the same when it is asked directly.
            let len = fresh.open(&datagram, &mut plain, 0).expect("sealed under this key");
            let inner = match &expected.inner {
                Inner::Ping => dco_wire::PING.to_vec(),
                inner => bytes(inner),
            };
            assert_eq!(plain[..len], inner);
        }
        self.sealed[side.other() as usize].push(datagram.clone());
        self.ledger.note(expected.key, side as usize, datagram, expected.inner);
    }

    fn send(&mut self, side: Side, inners: &[Inner]) {
        let packets: Vec<_> = inners.iter().map(bytes).collect();
        let outcomes = self.pair.send_all(side, &packets);
        self.pair.link_to_mut(side.other()).receive();
        for (inner, outcome) in inners.iter().zip(outcomes) {
            let now = self.now();
            match (self.models[side as usize].seal(inner, now), outcome) {
                (Ok(expected), Ok(datagram)) => self.sealed(side, expected, datagram),
                (Err(expected), Err(reason)) => assert_eq!(reason.name(), expected),
                (expected, outcome) => panic!("{inner:?}: expected {expected:?}, got {outcome:?}"),
            }
        }
    }

    fn send_gathered(&mut self, side: Side, inner: &Inner) {
        let packet = bytes(inner);
        let mut out = vec![0xee; MAX_SEALED.max(24 + packet.len())];
        out[24..24 + packet.len()].copy_from_slice(&packet);
        let outcome = {
            let section = self.pair.end(side).device.enter(7);
            section.batch(self.pair.now()).seal_gathered(&mut out, packet.len()).map(|sealed| sealed.len)
        };
        let now = self.now();
        match (self.models[side as usize].seal(inner, now), outcome) {
            (Ok(expected), Ok(len)) => self.sealed(side, expected, out[..len].to_vec()),
            (Err(expected), Err(reason)) => assert_eq!(reason.name(), expected),
            (expected, outcome) => panic!("{inner:?}: expected {expected:?}, got {outcome:?}"),
        }
    }

    fn receive(&mut self, side: Side, datagrams: &[Vec<u8>]) {
        let end = self.pair.end_mut(side);
        end.received.clear();
        end.refused.clear();
        end.pings = 0;
        self.pair.receive(side, datagrams);
        let now = self.now();
        let (mut packets, mut refused, mut pings) = (Vec::new(), Vec::new(), 0);
        for datagram in datagrams {
            match self.models[side as usize].open(datagram, &self.ledger, now) {
                Ok(Some(spec)) => packets.push(spec.bytes()),
                Ok(None) => pings += 1,
                Err(reason) => refused.push(reason),
            }
        }
        let end = self.pair.end(side);
        assert_eq!(end.refused.iter().map(|reason| reason.name()).collect::<Vec<_>>(), refused);
        assert_eq!(end.received, packets);
        assert_eq!(end.pings, pings);
    }

    /// Something that was sealed for `side`, by distance from the newest.
    fn pick(&self, side: Side, back: usize) -> Option<Vec<u8>> {
        let all = &self.sealed[side as usize];
        all.len().checked_sub(1 + back).map(|place| all[place].clone())
    }

    fn tick(&mut self, side: Side) {
        let expired = self.pair.end(side).expired;
        self.pair.tick(side);
        let now = self.now();
        let model = &mut self.models[side as usize];
        let (ping, expiry) = model.keepalive(now);
        assert_eq!(self.pair.end(side).expired - expired, usize::from(expiry));
        if expiry {
            model.acknowledge();
        }
        let mut sent = self.pair.link_to_mut(side.other()).receive();
        // A key that is exhausted is a key: the ping is due, and lost with a reason.
        if ping && let Ok(expected) = model.seal(&Inner::Ping, now) {
            let datagram = sent.pop().expect("a ping");
            self.sealed(side, expected, datagram);
        }
        assert!(sent.is_empty(), "an unexpected ping; due: {ping}");
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Send(side, inners) => self.send(side, &inners),
            Op::SendGathered(side, inner) => self.send_gathered(side, &inner),
            Op::Receive(side, backs) => {
                let datagrams: Vec<_> = backs.into_iter().filter_map(|back| self.pick(side, back)).collect();
                self.receive(side, &datagrams);
            }
            Op::Reflect(side, back) => {
                if let Some(datagram) = self.pick(side, back) {
                    self.receive(side.other(), &[datagram]);
                }
            }
            Op::Damage(side, back, place, bit) => {
                if let Some(mut datagram) = self.pick(side, back) {
                    let place = place % datagram.len();
                    datagram[place] ^= 1 << (bit % 8);
                    self.receive(side, &[datagram]);
                }
            }
            Op::Cut(side, back, len) => {
                if let Some(mut datagram) = self.pick(side, back) {
                    datagram.truncate(len);
                    self.receive(side, &[datagram]);
                }
            }
            Op::Noise(side, bytes) => self.receive(side, &[bytes]),
            Op::Rogue(side, plain) => {
                // Under key 0, from the far side, with ids the real key does not reach.
                self.rogue_id += 1;
                let rogue = KeySpec { sealed: 5_000 + self.rogue_id, ..key(0) }.key(side.other());
                let mut out = vec![0; plain.len() + 24];
                rogue.seal(&plain, &mut out).expect("room");
                self.ledger.note(0, side.other() as usize, out.clone(), Inner::Junk(plain));
                self.receive(side, &[out]);
            }
            Op::Tick(side) => self.tick(side),
            Op::Wait(milliseconds) => self.pair.advance(milliseconds),
            Op::Idle(side) => {
                self.apply(Op::SetPeer(side, Some(1), None, None));
                self.apply(Op::Wait(2_000));
                self.apply(Op::Tick(side));
                self.apply(Op::Receive(side.other(), vec![0]));
            }
            Op::NewKey(side, slot, number) => {
                let spec = key(number);
                let model = ModelKey::new(number, spec.key_id, spec.peer_id, spec.sealed);
                let expected = self.models[side as usize].new_key(slot, model);
                let slot = [KeySlot::Primary, KeySlot::Secondary][slot];
                assert_eq!(self.pair.new_key(side, slot, spec).is_ok(), expected);
            }
            Op::Swap(side) => {
                assert_eq!(self.pair.swap_keys(side).is_ok(), self.models[side as usize].swap_keys());
            }
            Op::NewPeer(side) => {
                let now = self.now();
                self.models[side as usize].new_peer(Pair::address(side.other()), now);
                self.pair.new_peer(side).expect("memory");
            }
            Op::DelPeer(side) => {
                assert_eq!(self.pair.del_peer(side), self.models[side as usize].del_peer());
            }
            Op::SetPeer(side, interval, timeout, mss) => {
                let now = self.now();
                let expected = self.models[side as usize].set_peer(interval, timeout, mss, now);
                let update = KeepaliveUpdate { interval, timeout, mss };
                assert_eq!(self.pair.set_peer(side, update).is_ok(), expected);
            }
        }
        self.compare();
    }

    /// All counters, at both ends.
    fn compare(&self) {
        for side in Side::BOTH {
            let device = &self.pair.end(side).device;
            let model = &self.models[side as usize];
            for (reason, count) in DropReason::ALL.iter().zip(device.drop_counts()) {
                assert_eq!(count, *model.drops.get(reason.name()).unwrap_or(&0), "{side:?} {reason:?}");
            }
            let (stats, counts) = (device.stats(), model.counts);
            assert_eq!(stats.received_data, counts.received_data, "{side:?}");
            assert_eq!(stats.sent_data, counts.sent_data, "{side:?}");
            assert_eq!(stats.transport_sent, counts.transport_sent, "{side:?}");
            assert_eq!(stats.transport_received, counts.transport_received, "{side:?}");
            assert_eq!(stats.tun_sent, counts.tun_sent, "{side:?}");
            assert_eq!(stats.tun_received, counts.tun_received, "{side:?}");
            assert_eq!(stats.lost_in_data, counts.lost_in, "{side:?}");
            assert_eq!(stats.lost_out_data, counts.lost_out, "{side:?}");
            assert_eq!(device.has_peer(0), model.has_peer());
            match device.peer_stats(0, PeerSelector::Only) {
                Ok(peer) => {
                    let expected = (counts.link_rx, counts.link_tx, counts.vpn_rx, counts.vpn_tx);
                    assert_eq!((peer.link_rx, peer.link_tx, peer.vpn_rx, peer.vpn_tx), expected, "{side:?}");
                }
                Err(_) => assert!(!model.has_peer()),
            }
        }
    }
}

fn bytes(inner: &Inner) -> Vec<u8> {
    match inner {
        Inner::Packet(spec) => spec.bytes(),
        Inner::Junk(bytes) => bytes.clone(),
        Inner::Ping => unreachable!("pings come from keepalive"),
    }
}

fn side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::A), Just(Side::B)]
}

fn packet() -> impl Strategy<Value = PacketSpec> {
    let upper = prop_oneof![
        3 => prop_oneof![Just(1194u16), any::<u16>()].prop_map(|port| Upper::Udp { port }),
        3 => (any::<bool>(), prop_oneof![Just(1460u16), any::<u16>()]).prop_map(|(syn, mss)| Upper::Tcp { syn, mss }),
        1 => Just(Upper::Other),
    ];
    // Mostly inner addresses, sometimes the transport's own.
    let v4 = prop_oneof![
        3 => Just(Ipv4Addr::new(10, 8, 0, 1)),
        1 => Just(Ipv4Addr::new(192, 0, 2, 1)),
        1 => Just(Ipv4Addr::new(192, 0, 2, 2)),
    ];
    let addresses = prop_oneof![
        v4.prop_map(|dst| (IpAddr::from([10, 8, 0, 2]), IpAddr::V4(dst))),
        Just((Ipv6Addr::LOCALHOST.into(), Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1).into())),
    ];
    let payload = prop_oneof![4 => 0..64usize, 1 => 1400..1500usize];
    (addresses, upper, payload, any::<u8>()).prop_map(|((src, dst), upper, payload, seed)| PacketSpec {
        src,
        dst,
        upper,
        payload,
        seed,
    })
}

fn inner() -> impl Strategy<Value = Inner> {
    prop_oneof![
        10 => packet().prop_map(Inner::Packet),
        1 => junk().prop_map(Inner::Junk),
    ]
}

/// Not IP: another version, or too short for a header.
fn junk() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        (0..16u8, proptest::collection::vec(any::<u8>(), 0..40)).prop_map(|(version, mut bytes)| {
            let version = if matches!(version, 4 | 6) { 5 } else { version };
            bytes.insert(0, version << 4);
            bytes
        }),
        proptest::collection::vec(Just(0x45u8), 0..20),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let setting = || prop_oneof![Just(None), (0..4u32).prop_map(Some)];
    let mss = prop_oneof![Just(None), Just(Some(0)), (0..1500u16).prop_map(Some)];
    let waits = prop_oneof![4 => 0..1_500u64, 2 => 1_500..4_000u64, 1 => 29_998..30_002u64, 1 => Just(36_000_000u64)];
    let rogue = proptest::collection::vec(0..0x40u8, 0..40);
    prop_oneof![
        8 => (side(), proptest::collection::vec(inner(), 1..6)).prop_map(|(s, v)| Op::Send(s, v)),
        3 => (side(), inner()).prop_map(|(s, i)| Op::SendGathered(s, i)),
        8 => (side(), proptest::collection::vec(0..12usize, 1..6)).prop_map(|(s, v)| Op::Receive(s, v)),
        1 => (side(), 0..12usize).prop_map(|(s, n)| Op::Reflect(s, n)),
        2 => (side(), 0..12usize, any::<usize>(), any::<u8>()).prop_map(|(s, n, p, b)| Op::Damage(s, n, p, b)),
        2 => (side(), 0..12usize, 0..40usize, 0..8u8).prop_map(|(s, n, p, b)| Op::Damage(s, n, p % 9, b)),
        1 => (side(), 0..12usize, 0..40usize).prop_map(|(s, n, l)| Op::Cut(s, n, l)),
        1 => (side(), proptest::collection::vec(any::<u8>(), 0..40)).prop_map(|(s, b)| Op::Noise(s, b)),
        1 => (side(), rogue).prop_map(|(s, b)| Op::Rogue(s, b)),
        3 => side().prop_map(Op::Tick),
        4 => waits.prop_map(Op::Wait),
        2 => side().prop_map(Op::Idle),
        3 => (side(), 0..2usize, 0..5u64).prop_map(|(s, slot, n)| Op::NewKey(s, slot, n)),
        2 => side().prop_map(Op::Swap),
        1 => side().prop_map(Op::NewPeer),
        1 => side().prop_map(Op::DelPeer),
        2 => (side(), setting(), setting(), mss).prop_map(|(s, i, t, m)| Op::SetPeer(s, i, t, m)),
    ]
}

/// The property below would hold for operations that do nothing: they do not. Every reason the core can find occurs.
#[test]
fn the_operations_reach_every_outcome() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let (mut reasons, mut opened, mut pings, mut expired) = ([0; DropReason::COUNT], 0, 0, 0);
    for _ in 0..300 {
        let mut world = World::new();
        for side in Side::BOTH {
            world.apply(Op::NewPeer(side));
            world.apply(Op::NewKey(side, 0, 0));
        }
        for op in proptest::collection::vec(op(), 40..80).new_tree(&mut runner).expect("no filter").current() {
            world.apply(op);
            pings += world.pair.end(Side::A).pings;
            opened += world.pair.end(Side::A).received.len();
        }
        for side in Side::BOTH {
            let end = world.pair.end(side);
            expired += end.expired;
            reasons.iter_mut().zip(end.device.drop_counts()).for_each(|(sum, count)| *sum += count);
        }
    }
    assert!(opened > 1_000 && pings > 10 && expired > 10, "{opened} {pings} {expired}");
    use DropReason as R;
    for reason in [
        R::TxNotIp,
        R::TxTooLong,
        R::TxNoPeer,
        R::TxNoKey,
        R::TxPacketIdExhausted,
        R::TxRecursiveRoute,
        R::RxTooShort,
        R::RxUnknownPeer,
        R::RxUnknownKey,
        R::RxMalformed,
        R::RxAuthFailed,
        R::RxReplay,
        R::RxNotIp,
    ] {
        assert!(reasons[reason as usize] >= 10, "{reason:?}: {reasons:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any sequence of operations, from two ends that start connected with the same key.
    #[test]
    fn the_core_does_what_the_model_says(ops in proptest::collection::vec(op(), 1..80)) {
        let mut world = World::new();
        for side in Side::BOTH {
            world.apply(Op::NewPeer(side));
            world.apply(Op::NewKey(side, 0, 0));
        }
        for op in ops {
            world.apply(op);
        }
    }

    /// And from two ends that have nothing.
    #[test]
    fn nothing_is_needed_for_the_model_to_hold(ops in proptest::collection::vec(op(), 1..40)) {
        let mut world = World::new();
        for op in ops {
            world.apply(op);
        }
    }

    /// Long runs through the replay window: thousands of packets, delivered in an order with gaps, repeats and jumps.
    #[test]
    fn replay_is_judged_as_the_model_does(seed in any::<u64>(), spread in 1..5_000usize) {
        let mut random = Random::new(seed);
        let mut world = World { look_inside: false, ..World::new() };
        for side in Side::BOTH {
            world.apply(Op::NewPeer(side));
            world.apply(Op::NewKey(side, 0, 1));
        }
        let packet = Inner::Packet(PacketSpec::udp4(40, 1));
        for _ in 0..6 {
            world.send(Side::A, &vec![packet.clone(); 1_000]);
            for _ in 0..20 {
                let batch: Vec<_> = (0..20).filter_map(|_| world.pick(Side::B, random.below(spread))).collect();
                world.receive(Side::B, &batch);
                if random.chance(20) {
                    world.pair.advance(30_000);
                }
            }
        }
        world.compare();
    }
}

#[test]
fn an_output_that_is_too_small_is_a_reason() {
    let pair = Pair::connected(Faults::NONE, 1);
    let packet = PacketSpec::udp4(100, 0).bytes();
    let section = pair.end(Side::A).device.enter(0);
    let mut batch = section.batch(pair.now());
    let mut out = [0; 123];
    assert_eq!(batch.seal(&packet, &mut out).err(), Some(DropReason::TxTooLong));
    assert_eq!(batch.seal_gathered(&mut out, 100).err(), Some(DropReason::TxTooLong));
    assert_eq!(batch.seal_ping(PeerSelector::Only, &mut out[..39]).err(), Some(DropReason::TxTooLong));
    let mut out = [0; 124];
    assert_eq!(batch.seal(&packet, &mut out).map(|sealed| sealed.len).ok(), Some(124));
    let far = pair.end(Side::B).device.enter(0);
    let mut far = far.batch(pair.now());
    assert_eq!(far.open(&out, &mut [0; 99]).err(), Some(DropReason::RxTooLong));
    assert_eq!(far.open(&out, &mut [0; 100]), Ok(Opened::Packet { len: 100 }));
    let _: SocketAddr = far.remote().expect("a peer");
}
