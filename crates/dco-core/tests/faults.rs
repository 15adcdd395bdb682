//! Every allocation fails once, and so does the cipher: each is a value, nothing is half done, nothing leaks.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use dco_core::{
    Control, ControlError, Destination, Device, DropReason, Endpoint, Mode, Network, NewPeer, Origin, OutOfMemory,
    PeerSelector, PeerUpdate, Tick,
};
use dco_crypto::{Aead, AeadError, Key, KeyConfig, KeySlot, Nonce, NonceTail, Tag};
use dco_wire::PeerId;

thread_local! {
    /// How many allocations of this thread succeed before one fails; `usize::MAX` for never.
    static UNTIL_FAILURE: Cell<usize> = const { Cell::new(usize::MAX) };
    /// Allocations of this thread that live.
    static LIVE: Cell<isize> = const { Cell::new(0) };
}

struct Failing;

#[expect(unsafe_code, reason = "a global allocator")]
// SAFETY: forwards to the system's allocator, or returns null, which is how an allocator fails.
unsafe impl GlobalAlloc for Failing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match UNTIL_FAILURE.get() {
            0 => {
                UNTIL_FAILURE.set(usize::MAX);
                return std::ptr::null_mut();
            }
            usize::MAX => {}
            n => UNTIL_FAILURE.set(n - 1),
        }
        LIVE.set(LIVE.get() + 1);
        // SAFETY: the caller's promises are the system allocator's conditions.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        LIVE.set(LIVE.get() - 1);
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Failing = Failing;

/// Exclusive-or with a constant; the tag is the length. Fails when told to.
#[derive(Clone)]
struct Toy(Arc<AtomicBool>);

impl Toy {
    fn pass(&self) -> Result<(), AeadError> {
        if self.0.load(Ordering::Relaxed) { Err(AeadError::Backend(-7)) } else { Ok(()) }
    }
}

impl Aead for Toy {
    fn seal(&self, _: &Nonce, _: &[u8], plain: &[u8], out: &mut [u8], tag: &mut Tag) -> Result<(), AeadError> {
        *tag = [plain.len() as u8; 16];
        out.iter_mut().zip(plain).for_each(|(o, p)| *o = p ^ 0x5a);
        self.pass()
    }

    fn seal_in_place(&self, _: &Nonce, _: &[u8], data: &mut [u8], tag: &mut Tag) -> Result<(), AeadError> {
        *tag = [data.len() as u8; 16];
        data.iter_mut().for_each(|byte| *byte ^= 0x5a);
        self.pass()
    }

    fn open(&self, _: &Nonce, _: &[u8], cipher: &[u8], tag: &Tag, out: &mut [u8]) -> Result<(), AeadError> {
        out.iter_mut().zip(cipher).for_each(|(o, c)| *o = c ^ 0x5a);
        self.pass()?;
        if *tag == [cipher.len() as u8; 16] { Ok(()) } else { Err(AeadError::AuthFailed) }
    }
}

fn try_key(number: u8, broken: &Arc<AtomicBool>) -> Result<Key<Toy>, OutOfMemory> {
    Key::try_new(KeyConfig {
        key_id: number,
        peer_id: None,
        seal: Toy(broken.clone()),
        open: Toy(broken.clone()),
        seal_tail: NonceTail::new([0; 8]),
        open_tail: NonceTail::new([0; 8]),
    })
}

fn key(number: u8, broken: &Arc<AtomicBool>) -> Key<Toy> {
    try_key(number, broken).expect("memory")
}

fn peer(handle: &Arc<()>) -> NewPeer<Arc<()>> {
    NewPeer {
        id: PeerId::from_low_bits(1),
        tx_id: PeerId::from_low_bits(1),
        endpoint: Some(Endpoint { remote: ([192, 0, 2, 1], 1194).into(), local: None }),
        vpn4: None,
        vpn6: None,
        protocol: 17,
        transport: handle.clone(),
    }
}

/// An IPv4 packet that is nothing else.
fn packet() -> [u8; 40] {
    let mut packet = [0; 40];
    packet[..4].copy_from_slice(&[0x45, 0, 0, 40]);
    packet
}

type Toys = Device<Toy, Arc<()>>;

fn device() -> Result<(Toys, Control), OutOfMemory> {
    let device = Device::try_new(2)?;
    let control = device.take_control().expect("the first to ask");
    Ok((device, control))
}

/// Calls `operation` with the first, second... allocation failing, until it succeeds. Returns its result and how often it failed.
fn with_each_allocation_failing<T, E>(mut operation: impl FnMut() -> Result<T, E>) -> (T, usize) {
    for failures in 0..100 {
        UNTIL_FAILURE.set(failures);
        let result = operation();
        UNTIL_FAILURE.set(usize::MAX);
        if let Ok(value) = result {
            return (value, failures);
        }
    }
    panic!("never succeeds");
}

fn seals_with(device: &Toys) -> Result<u8, DropReason> {
    let mut out = [0; 64];
    let section = device.enter(0);
    let mut batch = section.batch(Tick(0));
    batch.seal(Destination::Only, &packet(), &mut out)?;
    Ok(out[0] & 7)
}

#[test]
fn memory_that_is_short_changes_nothing_and_leaks_nothing() {
    let before = LIVE.get();
    {
        let ((device, mut control), failures) = with_each_allocation_failing(device);
        assert!(failures >= 2);

        let handle = Arc::new(());
        let broken = Arc::new(AtomicBool::new(false));
        let (_, failures) = with_each_allocation_failing(|| {
            assert!(!device.has_peer(0));
            device.new_peer(&mut control, peer(&handle), Tick(0), || ())
        });
        assert_eq!(failures, 2);
        // Only the peer's handle is left of all attempts.
        assert_eq!(Arc::strong_count(&handle), 2);

        for (number, slot) in [(1, KeySlot::Primary), (2, KeySlot::Secondary), (3, KeySlot::Primary)] {
            let (_, failures) = with_each_allocation_failing(|| {
                let key = try_key(number, &broken)?;
                device.new_key(&mut control, PeerSelector::Only, slot, key, || ())
            });
            assert_eq!(failures, 3);
        }
        assert_eq!(seals_with(&device), Ok(3));
        let (_, failures) = with_each_allocation_failing(|| {
            assert_eq!(seals_with(&device), Ok(3));
            device.swap_keys(&mut control, PeerSelector::Only, || ())
        });
        assert_eq!(failures, 1);
        assert_eq!(seals_with(&device), Ok(2));

        let (_, failures) = with_each_allocation_failing(|| {
            assert_eq!(seals_with(&device), Ok(2));
            device.del_key(&mut control, PeerSelector::Only, KeySlot::Secondary, || ())
        });
        assert_eq!(failures, 1);
        // A peer that cannot be made leaves the present one alone, with its keys and counters.
        UNTIL_FAILURE.set(1);
        let refused = device.new_peer(&mut control, peer(&handle), Tick(0), || ());
        assert_eq!(refused.err(), Some(ControlError::OutOfMemory));
        assert_eq!(seals_with(&device), Ok(2));
        assert!(device.stats().sent_data > 0);

        // Nothing else needs memory: each of these would fail.
        UNTIL_FAILURE.set(0);
        let update = PeerUpdate { interval: Some(1), ..PeerUpdate::default() };
        device.set_peer(&mut control, PeerSelector::Only, &update, Tick(0), || ()).expect("a peer");
        assert_eq!(seals_with(&device), Ok(2));
        {
            let section = device.enter(1);
            let mut batch = section.batch(Tick(10_000));
            assert!(batch.keepalive().ping);
            batch.seal_ping(PeerSelector::Only, &mut [0; 40]).expect("a key");
            assert!(batch.open(Origin::default(), &[0x4a; 64], &mut [0; 64], |_| None).is_err());
        }
        assert!(device.peer_stats(0, PeerSelector::Only).is_ok());
        assert!(device.del_peer(&mut control, PeerSelector::Only, || ()).is_some());
        assert_eq!(UNTIL_FAILURE.replace(usize::MAX), 0, "something allocated");
        assert_eq!(Arc::strong_count(&handle), 1);
        assert_eq!(Arc::strong_count(&broken), 1);

        device.new_peer(&mut control, peer(&handle), Tick(0), || ()).expect("memory");
        device.new_key(&mut control, PeerSelector::Only, KeySlot::Primary, key(1, &broken), || ()).expect("a peer");
        device.new_peer(&mut control, peer(&handle), Tick(0), || ()).expect("memory");
        assert_eq!(Arc::strong_count(&broken), 1, "a replaced peer's keys are gone");
    }
    assert_eq!(LIVE.get(), before, "leaked");
}

#[test]
fn a_cipher_that_fails_is_a_reason_and_leaves_nothing() {
    let (device, mut control) = device().expect("memory");
    let broken = Arc::new(AtomicBool::new(false));
    device.new_peer(&mut control, peer(&Arc::new(())), Tick(0), || ()).expect("memory");
    device.new_key(&mut control, PeerSelector::Only, KeySlot::Primary, key(1, &broken), || ()).expect("a peer");
    let section = device.enter(0);
    let mut batch = section.batch(Tick(0));
    let mut good = [0; 64];
    batch.seal(Destination::Only, &packet(), &mut good).expect("sealed");

    broken.store(true, Ordering::Relaxed);
    let mut out = [0xee; 64];
    assert_eq!(batch.seal(Destination::Only, &packet(), &mut out).err(), Some(DropReason::TxCipherError));
    assert!(out[24..].iter().all(|byte| *byte == 0));
    out[24..].copy_from_slice(&packet());
    assert_eq!(batch.seal_gathered(Destination::Only, &mut out, 40).err(), Some(DropReason::TxCipherError));
    assert!(out[24..].iter().all(|byte| *byte == 0));
    assert_eq!(batch.seal_ping(PeerSelector::Only, &mut out).err(), Some(DropReason::TxCipherError));
    let mut plain = [0xee; 40];
    assert_eq!(batch.open(Origin::default(), &good, &mut plain, |_| None).err(), Some(DropReason::RxCipherError));
    assert_eq!(plain, [0; 40]);

    broken.store(false, Ordering::Relaxed);
    assert!(
        batch.open(Origin::default(), &good, &mut plain, |_| None).is_ok(),
        "a failure does not use up the packet id"
    );
    assert_eq!(plain, packet());
    drop(batch);
    let stats = device.stats();
    assert_eq!((stats.lost_out_data, stats.lost_in_data, stats.sent_data, stats.tun_received), (3, 1, 1, 40));
}

#[test]
fn the_shell_says_how_long_packets_are_and_what_it_lost() {
    let device = Toys::try_new(1).expect("memory").with_max_inner(60);
    assert_eq!(device.max_inner(), 60);
    let mut control = device.take_control().expect("the first to ask");
    device.new_peer(&mut control, peer(&Arc::new(())), Tick(0), || ()).expect("memory");
    let key = key(1, &Arc::new(AtomicBool::new(false)));
    device.new_key(&mut control, PeerSelector::Only, KeySlot::Primary, key, || ()).expect("a peer");
    {
        let section = device.enter(0);
        let mut batch = section.batch(Tick(0));
        let mut out = [0; 200];
        for (len, expected) in [(60u8, Ok(84)), (61, Err(DropReason::TxTooLong))] {
            let mut packet = vec![0; usize::from(len)];
            packet[..4].copy_from_slice(&[0x45, 0, 0, len]);
            assert_eq!(batch.seal(Destination::Only, &packet, &mut out).map(|sealed| sealed.len), expected);
            out[24..24 + packet.len()].copy_from_slice(&packet);
            assert_eq!(
                batch.seal_gathered(Destination::Only, &mut out, packet.len()).map(|sealed| sealed.len),
                expected
            );
        }
        assert_eq!(batch.refuse(DropReason::RxNoBuffer, 100), DropReason::RxNoBuffer);
    }
    device.count_refused(0, DropReason::RxNoQueue, 50);
    let stats = device.stats();
    assert_eq!((stats.received_data, stats.transport_received, stats.lost_in_data), (2, 150, 2));
}

fn server(buckets: usize) -> (Toys, Control) {
    let mode = Mode::MultiPeer { seed: [1, 2], buckets };
    let device = Toys::try_new(2).and_then(|device| device.with_mode(mode)).expect("memory");
    let control = device.take_control().expect("the first to ask");
    (device, control)
}

fn one_of_many(handle: &Arc<()>, n: u8) -> NewPeer<Arc<()>> {
    NewPeer {
        id: PeerId::from_low_bits(u32::from(n)),
        endpoint: Some(Endpoint { remote: ([192, 0, 2, n], 1194).into(), local: None }),
        vpn4: Some([10, 8, 0, n].into()),
        vpn6: Some(std::net::Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, u16::from(n))),
        ..peer(handle)
    }
}

fn id(n: u8) -> PeerSelector {
    PeerSelector::Id(PeerId::from_low_bits(u32::from(n)))
}

/// Whether packets for all of peer `n`'s addresses find it, or none does.
fn found(device: &Toys, n: u8) -> bool {
    let section = device.enter(0);
    let mut batch = section.batch(Tick(0));
    let v6 = std::net::Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, u16::from(n)).into();
    let found = [[10, 8, 0, n].into(), v6].map(|address| {
        batch.seal(Destination::Address(address), &packet(), &mut [0; 64]).err() != Some(DropReason::TxNoPeer)
    });
    let origin = Origin { peer: None, source: Some(Endpoint { remote: ([192, 0, 2, n], 1194).into(), local: None }) };
    let by_remote = batch.open(origin, &[0x48, 0xff, 0xff, 0xff, 0, 0, 0, 1], &mut [], |_| None).err();
    let by_id = device.peer_stats(0, id(n)).is_ok();
    let all = [found[0], found[1], by_remote != Some(DropReason::RxUnknownPeer), by_id];
    assert!(all.iter().all(|found| *found == by_id), "half a peer: {all:?}");
    by_id
}

/// Several peers, in buckets they fill: each allocation fails once, and nothing is half there; removing needs no memory, nor does
/// anything else that must not fail; and all that a peer had goes with its handle.
#[test]
fn peers_come_with_memory_and_go_without() {
    let before = LIVE.get();
    let mut not_grown = 0;
    for buckets in [1, 7] {
        let (device, mut control) = server(buckets);
        let handle = Arc::new(());
        let broken = Arc::new(AtomicBool::new(false));
        for n in 1..=5 {
            let mut failed = std::collections::BTreeSet::new();
            // Each twice: where memory for growing was short at first, another allocation fails then.
            for until in (0..).flat_map(|until| [until; 2]) {
                assert!(!found(&device, n) && device.peer_count(0) == usize::from(n) - 1);
                assert_eq!(Arc::strong_count(&handle), usize::from(n));
                UNTIL_FAILURE.set(until);
                let made = device.new_peer(&mut control, one_of_many(&handle, n), Tick(0), || ());
                let met = UNTIL_FAILURE.replace(usize::MAX) == usize::MAX;
                let Ok(old) = made else {
                    failed.insert(until);
                    continue;
                };
                assert!(old.is_none() && found(&device, n));
                if !met {
                    break;
                }
                not_grown += 1;
                assert!((1..=n).all(|n| found(&device, n)), "as good as grown");
                assert!(device.del_peer(&mut control, id(n), || ()).is_some());
            }
            assert_eq!(failed.len(), 5, "the peer and four entries: {failed:?}");
            let key = key(1, &broken);
            device.new_key(&mut control, id(n), KeySlot::Primary, key, || ()).expect("a peer");
        }
        assert_eq!(Arc::strong_count(&broken), 11);

        // Another address for peer 1: all of it or nothing. Then back.
        let (other, own) = ([10, 8, 0, 99], [10, 8, 0, 1]);
        for address in [other, own] {
            let update = PeerUpdate {
                vpn4: Some(Some(address.into())),
                interval: Some(u32::from(address[3])),
                ..PeerUpdate::default()
            };
            let old = device.peer(&control, id(1)).expect("a peer").addresses().0;
            let (_, failures) = with_each_allocation_failing(|| {
                let addresses = device.peer(&control, id(1)).expect("a peer").addresses();
                assert_eq!(addresses.0, old);
                device.set_peer(&mut control, id(1), &update, Tick(0), || ())
            });
            assert!(failures >= 1);
            let peer = device.peer(&control, id(1)).expect("a peer");
            assert_eq!((peer.addresses().0, peer.interval()), (Some(address.into()), u32::from(address[3])));
        }

        // Not one allocation from here on.
        UNTIL_FAILURE.set(0);
        for (n, left) in [(3, 4), (1, 3), (5, 2), (2, 1), (4, 0)] {
            let gone = device.del_peer(&mut control, id(n), || ()).expect("a peer");
            assert_eq!((gone.id().get(), device.peer_count(0)), (u32::from(n), left));
            assert_eq!(Arc::strong_count(&handle), left + 2, "its handle lives");
            assert_eq!(Arc::strong_count(&broken), 2 * left + 3, "and its key");
            drop(gone);
            assert_eq!(Arc::strong_count(&handle), left + 1);
            assert_eq!(Arc::strong_count(&broken), 2 * left + 1);
            assert!(device.del_peer(&mut control, id(n), || ()).is_none());
            assert!((1..=5).filter(|n| found(&device, *n)).count() == left);
        }
        assert_eq!(UNTIL_FAILURE.replace(usize::MAX), 0, "something allocated");
    }
    assert!(not_grown > 0);
    assert_eq!(LIVE.get(), before, "leaked");
}

/// A float whose new name finds no memory is told later, not lost.
#[test]
fn a_float_without_memory_is_told_later() {
    let (device, mut control) = server(1);
    let handle = Arc::new(());
    device.new_peer(&mut control, one_of_many(&handle, 1), Tick(0), || ()).expect("memory");
    let broken = Arc::new(AtomicBool::new(false));
    device.new_key(&mut control, id(1), KeySlot::Primary, key(0, &broken), || ()).expect("a peer");
    let mut sealed = [0; 64];
    let elsewhere = Endpoint { remote: ([198, 51, 100, 1], 4000).into(), local: None };
    {
        let section = device.enter(0);
        let mut batch = section.batch(Tick(0));
        batch.seal(Destination::Address([10, 8, 0, 1].into()), &packet(), &mut sealed).expect("a key");
        let origin = Origin { peer: None, source: Some(elsewhere) };
        // Its source is nobody's; that it is authentic is enough.
        assert_eq!(batch.open(origin, &sealed, &mut [0; 64], |_| None).err(), Some(DropReason::RxWrongSource));
        assert!(batch.moved());
    }
    let mut told = Vec::with_capacity(2);
    UNTIL_FAILURE.set(0);
    device.take_moved(&mut control, |peer, at| told.push((peer.id().get(), at)), || ());
    assert_eq!((UNTIL_FAILURE.replace(usize::MAX), told.len()), (usize::MAX, 0), "it needed memory");
    for _ in 0..2 {
        device.take_moved(&mut control, |peer, at| told.push((peer.id().get(), at)), || ());
    }
    assert_eq!(told, [(1, elsewhere)]);
}

/// All peers of a device go in one wait, with their networks, and without memory.
#[test]
fn all_peers_go_in_one_wait() {
    let before = LIVE.get();
    {
        let (device, mut control) = server(1);
        let handle = Arc::new(());
        let mut whole = 0;
        let network = |n: u8, m: u8| Network::new([172, n, m, 0].into(), 24).expect("a length");
        for n in 1..=20 {
            device.new_peer(&mut control, one_of_many(&handle, n), Tick(0), || ()).expect("memory");
            for m in 0..n {
                let ((), failures) = with_each_allocation_failing(|| {
                    assert!(!device.del_network(&mut control, None, network(n, m), || ()));
                    device.add_network(&mut control, id(n), network(n, m), || ())
                });
                whole += usize::from(failures == 2);
            }
        }
        assert!(whole > 200, "a name for packets, one for the peer; where it grew, none: {whole} of 210");
        let routed = |n: u8, m: u8| {
            let section = device.enter(0);
            section.batch(Tick(0)).receiver(Destination::Address([172, n, m, 1].into())).map(|peer| peer.id().get())
        };
        assert!((1..=20).all(|n| (0..n).all(|m| routed(n, m) == Some(u32::from(n)))));
        UNTIL_FAILURE.set(0);
        // One alone: its networks and no other's.
        assert!(device.del_peer(&mut control, id(7), || ()).is_some());
        assert!((1..=20).all(|n| (0..n).all(|m| routed(n, m) == (n != 7).then_some(u32::from(n)))));
        let mut told = [0; 21];
        let section = Cell::new(Some(device.enter(1)));
        let pauses = Cell::new(0);
        let tell = |peer: &dco_core::Peer<Toy, Arc<()>>| told[peer.id().get() as usize] += 1;
        device.del_peers(&mut control, tell, || {
            // Whoever waits first waits for this section; nobody waits again.
            pauses.set(pauses.get() + 1);
            assert_eq!(Arc::strong_count(&handle), 20, "their readers are still there");
            drop(section.take());
        });
        assert_eq!(UNTIL_FAILURE.replace(usize::MAX), 0, "something allocated");
        assert_eq!((pauses.get(), Arc::strong_count(&handle), device.peer_count(0)), (1, 1, 0));
        assert!((1..=20).all(|n| told[n] == u32::from(n != 7)));
        assert!((1..=20).all(|n| !found(&device, n) && routed(n, 0).is_none()));
        device.del_peers(&mut control, |_| panic!("nobody is there"), || panic!("waited for nothing"));
    }
    assert_eq!(LIVE.get(), before, "leaked");
}
