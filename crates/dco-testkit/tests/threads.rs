//! Several processors seal and open while control changes keys and peers under them.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use dco_core::{
    Destination, Device, DropReason, Endpoint, MAX_SEALED, NewPeer, Opened, Origin, PeerSelector, PeerUpdate, Tick,
};
use dco_crypto::KeySlot;
use dco_testkit::{KeySpec, PacketSpec, Pair, Random, Side, TestAead};
use dco_wire::{PeerId, ip};

/// The transport handle: notices when it is dropped while somebody could use it.
struct Handle {
    alive: AtomicBool,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.alive.store(false, Ordering::SeqCst);
    }
}

fn new_peer(side: Side) -> NewPeer<Handle> {
    NewPeer {
        id: PeerId::from_low_bits(1),
        tx_id: PeerId::UNDEFINED,
        endpoint: Some(Endpoint { remote: Pair::address(side.other()), local: None }),
        vpn4: None,
        vpn6: None,
        protocol: ip::UDP,
        transport: Handle { alive: AtomicBool::new(true) },
    }
}

fn pause() {
    thread::sleep(Duration::from_micros(50));
}

/// What the data threads did, to compare with the devices' own counters.
#[derive(Default)]
struct Done {
    offered: AtomicU64,
    offered_bytes: AtomicU64,
    sealed: AtomicU64,
    not_sealed: AtomicU64,
    opened: AtomicU64,
    opened_bytes: AtomicU64,
    not_opened: AtomicU64,
    wrong: AtomicU64,
}

fn add(counter: &AtomicU64, amount: usize) {
    counter.fetch_add(amount as u64, Ordering::Relaxed);
}

/// One processor: seals packets at one end and opens them at the other, each twice.
fn carry(ends: &[Device<TestAead, Handle>; 2], cpu: usize, done: &Done, stop: &AtomicBool) {
    let mut random = Random::new(cpu as u64);
    let mut packets = 0u64;
    while !stop.load(Ordering::Relaxed) {
        let from = random.below(2);
        let (near, far) = (&ends[from], &ends[1 - from]);
        let mut flying = Vec::new();
        {
            let section = near.enter(cpu);
            let mut batch = section.batch(Tick(packets / 100));
            let mut handles = Vec::new();
            for _ in 0..1 + random.below(16) {
                let mut packet = PacketSpec::udp4(64 + random.below(400), random.next() as u8).bytes();
                let len = packet.len();
                // Tells packets apart: who made it, and which it is.
                packet[len - 16..len - 8].copy_from_slice(&(cpu as u64).to_be_bytes());
                packet[len - 8..].copy_from_slice(&packets.to_be_bytes());
                packets += 1;
                let mut out = vec![0; MAX_SEALED];
                add(&done.offered, 1);
                match batch.seal(Destination::Only, &packet, &mut out) {
                    Ok(sealed) => {
                        add(&done.sealed, 1);
                        add(&done.offered_bytes, packet.len());
                        out.truncate(sealed.len);
                        handles.push(sealed.peer.transport());
                        flying.push((packet, out));
                    }
                    Err(reason) => {
                        assert!(matches!(reason, DropReason::TxNoPeer | DropReason::TxNoKey), "{reason:?}");
                        add(&done.not_sealed, 1);
                    }
                }
            }
            // As the shell does: send when the batch is complete, with the handles it was given.
            drop(batch);
            assert!(handles.iter().all(|handle| handle.alive.load(Ordering::SeqCst)), "a handle died in use");
        }
        let section = far.enter(cpu);
        let mut batch = section.batch(Tick(packets / 100));
        for (packet, datagram) in flying.iter().chain(&flying) {
            let mut out = vec![0; MAX_SEALED];
            match batch.open(Origin::default(), datagram, &mut out, |_| None) {
                Ok(Opened::Packet { len, .. }) => {
                    add(&done.opened, 1);
                    add(&done.opened_bytes, len);
                    add(&done.wrong, usize::from(out[..len] != packet[..]));
                }
                Ok(Opened::Ping { .. }) => add(&done.wrong, 1),
                Err(_) => add(&done.not_opened, 1),
            }
        }
    }
}

fn run(churn_peers: bool) {
    let ends: [Device<TestAead, Handle>; 2] = [0; 2].map(|_| Device::try_new(2).expect("memory"));
    let controls = Mutex::new([0, 1].map(|i: usize| ends[i].take_control().expect("the first")));
    let (done, stop) = (Done::default(), AtomicBool::new(false));
    let mut first_peers = controls.lock().expect("mutex");
    for side in Side::BOTH {
        let i = side as usize;
        ends[i].new_peer(&mut first_peers[i], new_peer(side), Tick(0), pause).expect("memory");
        ends[i]
            .new_key(&mut first_peers[i], PeerSelector::Only, KeySlot::Primary, KeySpec::new(0, 0).key(side), pause)
            .expect("a peer");
    }
    drop(first_peers);
    let mut changes = 0u64;
    thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|cpu| {
                let (ends, done, stop) = (&ends, &done, &stop);
                scope.spawn(move || carry(ends, cpu, done, stop))
            })
            .collect();
        let until = Instant::now() + Duration::from_millis(1_500);
        let mut random = Random::new(99);
        let mut controls = controls.lock().expect("mutex");
        while Instant::now() < until && !workers.iter().any(|worker| worker.is_finished()) {
            changes += 1;
            let key = KeySpec::new(changes, (changes % 8) as u8);
            for side in Side::BOTH {
                let (device, control) = (&ends[side as usize], &mut controls[side as usize]);
                let _ = device.new_key(control, PeerSelector::Only, KeySlot::Secondary, key.key(side), pause);
            }
            for side in Side::BOTH {
                let (device, control) = (&ends[side as usize], &mut controls[side as usize]);
                let _ = device.swap_keys(control, PeerSelector::Only, pause);
                if random.chance(200) {
                    let _ = device.del_key(control, PeerSelector::Only, KeySlot::Secondary, pause);
                }
                let update = PeerUpdate { mss: Some(random.below(1500) as u16), ..PeerUpdate::default() };
                let _ = device.set_peer(control, PeerSelector::Only, &update, Tick(changes), pause);
            }
            if churn_peers && random.chance(300) {
                let side = if random.chance(500) { Side::A } else { Side::B };
                let (device, control) = (&ends[side as usize], &mut controls[side as usize]);
                if random.chance(500) {
                    drop(device.del_peer(control, PeerSelector::Only, pause));
                }
                device.new_peer(control, new_peer(side), Tick(0), pause).expect("memory");
                let key = key.key(side);
                device.new_key(control, PeerSelector::Only, KeySlot::Primary, key, pause).expect("a peer");
            }
        }
        stop.store(true, Ordering::Relaxed);
        for worker in workers {
            worker.join().expect("a worker failed");
        }
    });

    let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    assert_eq!(get(&done.wrong), 0, "a packet came out other than it went in");
    assert!(changes > 10 && get(&done.opened) > 100, "{changes} changes, {} packets", get(&done.opened));
    // Each datagram was offered twice; at most one of the two may have passed.
    assert!(get(&done.opened) <= get(&done.sealed));
    assert_eq!(get(&done.opened) + get(&done.not_opened), 2 * get(&done.sealed));
    assert_eq!(get(&done.sealed) + get(&done.not_sealed), get(&done.offered));

    // The devices lost nothing in counting: reasons since the start (statistics restart with each new peer).
    let reasons: u64 = ends.iter().flat_map(|end| end.drop_counts()).sum();
    assert_eq!(reasons, get(&done.not_sealed) + get(&done.not_opened));
    if !churn_peers {
        let sum = |field: fn(&dco_core::DeviceStats) -> u64| ends.iter().map(|end| field(&end.stats())).sum::<u64>();
        assert_eq!(sum(|s| s.sent_data), get(&done.sealed));
        assert_eq!(sum(|s| s.tun_sent), get(&done.offered_bytes));
        assert_eq!(sum(|s| s.transport_sent), get(&done.offered_bytes) + 24 * get(&done.sealed));
        assert_eq!(sum(|s| s.received_data), 2 * get(&done.sealed));
        assert_eq!(sum(|s| s.tun_received), get(&done.opened_bytes));
        let peers = ends.iter().map(|end| end.peer_stats(0, PeerSelector::Only).expect("a peer"));
        assert_eq!(peers.map(|p| p.vpn_rx).sum::<u64>(), get(&done.opened_bytes));
    }
}

#[test]
fn keys_change_under_traffic() {
    run(false);
}

#[test]
fn peers_come_and_go_under_traffic() {
    run(true);
}

/// Many threads, one key, no churn: each datagram is opened by exactly one of those who try.
#[test]
fn each_packet_is_opened_once() {
    let ends: [Device<TestAead, Handle>; 2] = [0; 2].map(|_| Device::try_new(4).expect("memory"));
    for side in Side::BOTH {
        let device = &ends[side as usize];
        let mut control = device.take_control().expect("the first");
        device.new_peer(&mut control, new_peer(side), Tick(0), pause).expect("memory");
        let key = KeySpec::new(1, 0).key(side);
        device.new_key(&mut control, PeerSelector::Only, KeySlot::Primary, key, pause).expect("a peer");
    }
    let mut datagrams = Vec::new();
    {
        let section = ends[0].enter(0);
        let mut batch = section.batch(Tick(0));
        for i in 0..20_000u32 {
            let mut out = vec![0; MAX_SEALED];
            let len =
                batch.seal(Destination::Only, &PacketSpec::udp4(60, i as u8).bytes(), &mut out).expect("sealed").len;
            out.truncate(len);
            datagrams.push(out);
        }
    }
    let opened = AtomicU64::new(0);
    thread::scope(|scope| {
        for cpu in 0..4 {
            let (device, datagrams, opened) = (&ends[1], &datagrams, &opened);
            scope.spawn(move || {
                for burst in datagrams.chunks(32) {
                    let section = device.enter(cpu);
                    let mut batch = section.batch(Tick(0));
                    for datagram in burst {
                        match batch.open(Origin::default(), datagram, &mut [0; 100], |_| None) {
                            Ok(_) => add(opened, 1),
                            Err(reason) => assert_eq!(reason, DropReason::RxReplay),
                        }
                    }
                }
            });
        }
    });
    // A thread that was asleep may find its packets too old, so some may have been opened by none: never by two.
    let opened = opened.load(Ordering::Relaxed);
    let stats = ends[1].stats();
    assert_eq!((stats.received_data, stats.lost_in_data), (80_000, 80_000 - opened));
    assert!(opened <= 20_000 && opened > 10_000, "{opened}");
}
