//! Property tests: whatever is done to two ends, they do what the model says.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use dco_core::{Destination, DropReason, Origin, PeerSelector};
use dco_testkit::{
    Faults, PacketSpec, Pair, Random, Side,
    model::Inner,
    packet::Upper,
    world::{Op, World},
};
use proptest::prelude::*;

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
        1 => (side(), 0..2usize).prop_map(|(s, slot)| Op::DelKey(s, slot)),
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
        let mut world = World::new();
        world.look_inside = false;
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
    assert_eq!(batch.seal(Destination::Only, &packet, &mut out).err(), Some(DropReason::TxTooLong));
    assert_eq!(batch.seal_gathered(Destination::Only, &mut out, 100).err(), Some(DropReason::TxTooLong));
    assert_eq!(batch.seal_ping(PeerSelector::Only, &mut out[..39]).err(), Some(DropReason::TxTooLong));
    let mut out = [0; 124];
    assert_eq!(batch.seal(Destination::Only, &packet, &mut out).map(|sealed| sealed.len).ok(), Some(124));
    let far = pair.end(Side::B).device.enter(0);
    let mut far = far.batch(pair.now());
    assert_eq!(far.open(Origin::default(), &out, &mut [0; 99], |_| None).err(), Some(DropReason::RxTooLong));
    let opened = far.open(Origin::default(), &out, &mut [0; 100], |_| None).expect("room");
    assert_eq!(opened.plain_len(), Some(100));
}
