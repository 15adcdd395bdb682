//! Property tests: a device with several peers does what the model says.

use dco_core::DropReason;
use dco_testkit::many::{Op, Packet, Server};
use proptest::prelude::*;

fn packet() -> impl Strategy<Value = Packet> {
    let header = prop_oneof![6 => Just(0u8), 2 => Just(1u8), 1 => Just(2u8)];
    let tcp = prop_oneof![4 => Just(None), 1 => (0..6u8).prop_map(Some)];
    // Its own IPv4 address at the beginning, or any.
    let source = prop_oneof![3 => Just(None), 1 => (0..12u8).prop_map(Some), 1 => (0..36u8).prop_map(Some)];
    let ping = prop_oneof![6 => Just(false), 1 => Just(true)];
    (0..6u8, any::<bool>(), header, any::<u8>(), tcp, ping, source).prop_map(
        |(id, second, header, from, tcp, ping, source)| Packet {
            id,
            second,
            header,
            from,
            tcp,
            ping,
            source: source.unwrap_or(id),
        },
    )
}

fn op() -> impl Strategy<Value = Op> {
    let id = || 0..6u8;
    let tcp = || prop_oneof![3 => Just(false), 1 => Just(true)];
    let address = || prop_oneof![1 => Just(None), 2 => (0..6u8).prop_map(Some)];
    prop_oneof![
        4 => (id(), 0..6u8, 0..6u8, any::<u8>(), tcp()).prop_map(|(a, b, c, d, e)| Op::Join(a, b, c, d, e)),
        1 => id().prop_map(Op::Leave),
        2 => (id(), address(), address()).prop_map(|(a, b, c)| Op::Readdress(a, b, c)),
        1 => (id(), any::<u8>()).prop_map(|(a, b)| Op::Place(a, b)),
        1 => (id(), any::<u32>()).prop_map(|(a, b)| Op::TxId(a, b)),
        1 => (id(), 0..4u32, 0..4u32).prop_map(|(a, b, c)| Op::Timers(a, b, c)),
        3 => (id(), any::<bool>()).prop_map(|(a, b)| Op::Key(a, b)),
        1 => id().prop_map(Op::OldKey),
        5 => (0..6u8, any::<bool>(), any::<u8>()).prop_map(|(a, b, c)| Op::Send(a, b, c)),
        12 => packet().prop_map(Op::Receive),
        2 => (packet(), any::<u8>()).prop_map(|(a, b)| Op::Replay(a, b)),
        2 => (packet(), any::<u8>(), any::<u8>()).prop_map(|(a, b, c)| Op::Forge(a, b, c)),
        1 => (any::<u8>(), proptest::collection::vec(any::<u8>(), 0..40)).prop_map(|(a, b)| Op::Noise(a, b)),
        2 => (0..4_000u16).prop_map(Op::Wait),
        2 => Just(Op::Tick),
        2 => Just(Op::Moved),
        1 => prop_oneof![1 => Just(false), 3 => Just(true)].prop_map(Op::Check),
        1 => any::<bool>().prop_map(Op::OwnRemotes),
        1 => any::<bool>().prop_map(Op::BothEnds),
    ]
}

/// Six peers with keys, the even ones over UDP.
fn begun(buckets: usize) -> Server {
    let mut server = Server::new(buckets);
    for n in 0..6 {
        server.apply(Op::Join(n, n, n, n, n % 2 == 1));
        server.apply(Op::Key(n, false));
    }
    server
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any sequence of operations, whether all names are in one bucket or each in one of its own.
    #[test]
    fn the_core_does_what_the_model_says(
        buckets in prop_oneof![Just(1usize), Just(3), Just(64)],
        begin in any::<bool>(),
        ops in proptest::collection::vec(op(), 1..80),
    ) {
        let mut server = if begin { begun(buckets) } else { Server::new(buckets) };
        for op in ops {
            server.apply(op);
        }
    }
}

/// The property above would hold for operations that do nothing: they do not.
#[test]
fn the_operations_reach_every_outcome() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let (mut reasons, mut happened) = ([0; DropReason::COUNT], [0; 3]);
    for round in 0..400 {
        let mut server = if round % 4 == 0 { Server::new(3) } else { begun(3) };
        for op in proptest::collection::vec(op(), 40..80).new_tree(&mut runner).expect("no filter").current() {
            server.apply(op);
        }
        reasons.iter_mut().zip(server.device.drop_counts()).for_each(|(sum, count)| *sum += count);
        happened.iter_mut().zip(server.happened).for_each(|(sum, count)| *sum += count);
    }
    assert!(happened[0] > 200 && happened[1] > 50 && happened[2] > 10, "{happened:?}");
    use DropReason as R;
    for reason in [
        R::TxNoPeer,
        R::TxNoKey,
        R::RxTooShort,
        R::RxUnknownPeer,
        R::RxUnknownKey,
        R::RxMalformed,
        R::RxAuthFailed,
        R::RxReplay,
        R::RxWrongPeer,
        R::RxWrongSource,
    ] {
        assert!(reasons[reason as usize] >= 10, "{reason:?}: {reasons:?}");
    }
}
