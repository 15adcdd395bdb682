//! Property test: a packet's peer is the one a search through all networks, one by one, would find.

use std::{collections::BTreeMap, net::IpAddr};

use dco_core::{ControlError, Destination, Device, Mode, Network, NewPeer, PeerSelector, Tick};
use dco_testkit::TestAead;
use dco_wire::{PeerId, ip};
use proptest::prelude::*;

/// An address as bits from the top, and how many there are.
type Bits = (u128, u8);

fn bits(address: IpAddr) -> Bits {
    match address {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()) << 96, 32),
        IpAddr::V6(v6) => (v6.to_bits(), 128),
    }
}

/// A network as it was asked for.
#[derive(Debug, Clone, Copy)]
struct Asked {
    address: IpAddr,
    len: u8,
}

impl Asked {
    fn contains(self, address: IpAddr) -> bool {
        let ((a, family), (b, other)) = (bits(self.address), bits(address));
        family == other && (0..self.len).all(|n| (a ^ b) >> (127 - n) & 1 == 0)
    }

    fn is(self, other: Self) -> bool {
        self.len == other.len && self.contains(other.address)
    }
}

#[derive(Debug, Clone)]
enum Op {
    Join(u32),
    Leave(u32),
    Add(u32, Asked),
    Del(Option<u32>, Asked),
}

/// Few addresses, with many common prefixes; the first of them are peers' own.
fn address() -> impl Strategy<Value = IpAddr> {
    let octet = || prop_oneof![Just(0u8), Just(1), Just(2), Just(128), Just(255)];
    let v4 = (octet(), octet(), octet()).prop_map(|(a, b, c)| IpAddr::from([10, a, b, c]));
    let part = || prop_oneof![Just(0u16), Just(1), Just(0x8000), Just(0xFFFF)];
    let v6 = (part(), part(), part()).prop_map(|(a, b, c)| IpAddr::from([0xfd00, 0, 0, a, b, 0, 0, c]));
    prop_oneof![v4, v6]
}

fn asked() -> impl Strategy<Value = Asked> {
    let lengths = prop_oneof![0..=32u8, prop_oneof![Just(8u8), Just(16), Just(24), Just(32)]];
    (address(), lengths, 0..4u8).prop_map(|(address, len, times)| {
        // IPv6: 0 to 128, the words' edges among them.
        let len = if address.is_ipv6() { (len * 4 + times).min(128) } else { len };
        Asked { address, len }
    })
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        2 => (0..5u32).prop_map(Op::Join),
        1 => (0..5u32).prop_map(Op::Leave),
        24 => (0..5u32, asked()).prop_map(|(id, asked)| Op::Add(id, asked)),
        4 => (proptest::option::of(0..5u32), asked()).prop_map(|(id, asked)| Op::Del(id, asked)),
    ]
}

fn vpn4(id: u32) -> [u8; 4] {
    [10, 0, 0, id as u8]
}

struct Model {
    peers: Vec<u32>,
    networks: Vec<(Asked, u32)>,
}

impl Model {
    fn receiver(&self, address: IpAddr) -> Option<u32> {
        let own = self.peers.iter().find(|id| IpAddr::from(vpn4(**id)) == address).copied();
        let around = self.networks.iter().filter(|(asked, _)| asked.contains(address));
        own.or_else(|| around.max_by_key(|(asked, _)| asked.len).map(|(_, id)| *id))
    }
}

/// Does all of it to the core and to the model; gives how often each outcome was met.
fn run(buckets: usize, ops: &[Op], probes: &[IpAddr]) -> BTreeMap<&'static str, usize> {
    let mode = Mode::MultiPeer { seed: [3, 4], buckets };
    let device = Device::<TestAead, ()>::try_new(1).expect("memory").with_mode(mode).expect("memory");
    let mut control = device.take_control().expect("the first");
    let mut model = Model { peers: Vec::new(), networks: Vec::new() };
    let mut met = BTreeMap::new();
    for op in ops {
        let selector = |id: u32| PeerSelector::Id(PeerId::from_low_bits(id));
        let outcome = match *op {
            Op::Join(id) => {
                let peer = NewPeer {
                    id: PeerId::from_low_bits(id),
                    tx_id: PeerId::from_low_bits(id),
                    endpoint: None,
                    vpn4: Some(vpn4(id).into()),
                    vpn6: None,
                    protocol: ip::UDP,
                    transport: (),
                };
                let made = device.new_peer(&mut control, peer, Tick(0), || ());
                assert_eq!(made.is_ok(), !model.peers.contains(&id));
                if made.is_ok() {
                    model.peers.push(id);
                }
                "join"
            }
            Op::Leave(id) => {
                let left = device.del_peer(&mut control, selector(id), || ()).is_some();
                assert_eq!(left, model.peers.contains(&id));
                model.peers.retain(|peer| *peer != id);
                let before = model.networks.len();
                model.networks.retain(|(_, owner)| *owner != id);
                if model.networks.len() + 8 < before { "many networks leave" } else { "leave" }
            }
            Op::Add(id, asked) => {
                let network = Network::new(asked.address, asked.len).expect("a length");
                let added = device.add_network(&mut control, selector(id), network, || ());
                let owner = model.networks.iter().find(|(there, _)| there.is(asked)).map(|(_, owner)| *owner);
                match (model.peers.contains(&id), owner) {
                    (false, _) => assert_eq!(added, Err(ControlError::NoPeer)),
                    (true, Some(owner)) if owner != id => assert_eq!(added, Err(ControlError::AddressInUse)),
                    (true, owner) => {
                        assert_eq!(added, Ok(()));
                        if owner.is_none() {
                            model.networks.push((asked, id));
                        }
                    }
                }
                if added.is_ok() { "added" } else { "not added" }
            }
            Op::Del(id, asked) => {
                let network = Network::new(asked.address, asked.len).expect("a length");
                let gone = device.del_network(&mut control, id.map(PeerId::from_low_bits), network, || ());
                let before = model.networks.len();
                model.networks.retain(|(there, owner)| !there.is(asked) || id.is_some_and(|id| id != *owner));
                assert_eq!(gone, model.networks.len() != before);
                if gone { "deleted" } else { "not deleted" }
            }
        };
        *met.entry(outcome).or_default() += 1;
        let section = device.enter(0);
        let batch = section.batch(Tick(0));
        for address in probes {
            let found = batch.receiver(Destination::Address(*address)).map(|peer| peer.id().get());
            assert_eq!(found, model.receiver(*address), "{address} after {op:?}: {:?}", model.networks);
            *met.entry(if found.is_some() { "found" } else { "nobody" }).or_default() += 1;
        }
    }
    met
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    proptest::collection::vec(op(), 1..150)
}

fn probes() -> impl Strategy<Value = Vec<IpAddr>> {
    proptest::collection::vec(address(), 12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_longest_network_decides(
        buckets in prop_oneof![Just(1usize), Just(7), Just(64)],
        ops in ops(),
        probes in probes(),
    ) {
        run(buckets, &ops, &probes);
    }
}

/// The property above would hold for operations that do nothing: they do not.
#[test]
fn the_operations_reach_every_outcome() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let mut met = BTreeMap::<&str, usize>::new();
    for _ in 0..300 {
        let (ops, probes) = (ops(), probes()).new_tree(&mut runner).expect("no filter").current();
        for (outcome, count) in run(7, &ops, &probes) {
            *met.entry(outcome).or_default() += count;
        }
    }
    for outcome in
        ["join", "leave", "many networks leave", "added", "not added", "deleted", "not deleted", "found", "nobody"]
    {
        assert!(met.get(outcome).is_some_and(|count| *count >= 10), "{outcome}: {met:?}");
    }
}
