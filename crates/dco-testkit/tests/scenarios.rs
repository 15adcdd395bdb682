//! What happens in an OpenVPN session's life, step by step.

use std::net::{Ipv4Addr, Ipv6Addr};

use dco_core::{
    ControlError, Destination, DropReason, Endpoint, LossClass, MAX_INNER, NewPeer, PeerSelector, PeerStats, PeerUpdate,
};
use dco_crypto::KeySlot;
use dco_testkit::{Faults, KeySpec, PacketSpec, Pair, Side, packet::Upper};
use dco_wire::{PeerId, ip};

fn packet(seed: u8) -> Vec<u8> {
    PacketSpec::udp4(200, seed).bytes()
}

fn keepalive(interval: u32, timeout: u32) -> PeerUpdate {
    PeerUpdate { interval: Some(interval), timeout: Some(timeout), mss: None, ..PeerUpdate::default() }
}

fn drops(pair: &Pair, side: Side, reason: DropReason) -> u64 {
    pair.end(side).device.drop_counts()[reason as usize]
}

#[test]
fn every_key_size_carries_every_packet_size() {
    for key_len in [16, 24, 32] {
        let mut pair = Pair::new(Faults::NONE, 1);
        for side in Side::BOTH {
            pair.new_peer(side).expect("memory");
            pair.new_key(side, KeySlot::Primary, KeySpec { key_len, ..KeySpec::new(1, 3) }).expect("a peer");
        }
        let sent: Vec<_> = (28..=MAX_INNER).map(|len| PacketSpec::udp4(len, len as u8).bytes()).collect();
        assert!(pair.send_all(Side::A, &sent).iter().all(Result::is_ok));
        pair.deliver(Side::B);
        assert_eq!(pair.end(Side::B).received, sent);
    }
}

#[test]
fn outgoing_headers_carry_the_keys_peer_id_and_any_is_accepted() {
    let mut pair = Pair::connected(Faults::NONE, 1);
    pair.new_key(Side::A, KeySlot::Primary, KeySpec { peer_id: 0xFF12_3456, ..KeySpec::new(7, 5) }).expect("a peer");
    pair.new_key(Side::B, KeySlot::Primary, KeySpec { peer_id: 99, ..KeySpec::new(7, 5) }).expect("a peer");
    let sealed = pair.send_all(Side::A, &[packet(0)]).remove(0).expect("sealed");
    assert_eq!(sealed[..8], [9 << 3 | 5, 0x12, 0x34, 0x56, 0, 0, 0, 1]);
    pair.deliver(Side::B);
    assert_eq!(pair.end(Side::B).received.len(), 1);
}

#[test]
fn without_peer_or_key_packets_have_a_reason() {
    let mut pair = Pair::new(Faults::NONE, 1);
    assert_eq!(pair.send(Side::A, &packet(0)), Err(DropReason::TxNoPeer));
    pair.receive(Side::A, &[[&[0x48, 0, 0, 1][..], &[7; 40]].concat()]);
    pair.new_peer(Side::A).expect("memory");
    assert_eq!(pair.send(Side::A, &packet(0)), Err(DropReason::TxNoKey));
    // A secondary key opens, but does not seal.
    pair.new_key(Side::A, KeySlot::Secondary, KeySpec::new(1, 0)).expect("a peer");
    assert_eq!(pair.send(Side::A, &packet(0)), Err(DropReason::TxNoKey));
    pair.receive(Side::A, &[[&[0x49, 0, 0, 1][..], &[7; 40]].concat(), vec![0x48, 0, 0, 1], vec![0x48]]);
    let refused = [DropReason::RxUnknownPeer, DropReason::RxUnknownKey, DropReason::RxTooShort, DropReason::RxTooShort];
    assert_eq!(pair.end(Side::A).refused, refused);
}

#[test]
fn a_sealed_packet_that_the_shell_loses_counts_with_its_peer() {
    let pair = Pair::connected(Faults::NONE, 1);
    let section = pair.end(Side::A).device.enter(0);
    let mut batch = section.batch(pair.now());
    let mut out = [0; 300];
    let sealed = batch.seal(Destination::Only, &packet(0), &mut out).expect("sealed");
    batch.drop_sealed(&sealed, DropReason::TxQueueFull);
    batch.drop(DropReason::TxQueueFull);
    drop(batch);
    assert_eq!(sealed.peer.drops()[DropReason::TxQueueFull as usize], 1);
    drop(section);
    assert_eq!(drops(&pair, Side::A, DropReason::TxQueueFull), 2);
}

#[test]
fn control_operations_without_a_peer_say_so() {
    let mut pair = Pair::new(Faults::NONE, 1);
    let no_peer = Err(ControlError::NoPeer);
    assert_eq!(pair.new_key(Side::A, KeySlot::Primary, KeySpec::new(1, 0)), no_peer);
    assert_eq!(pair.swap_keys(Side::A), no_peer);
    assert_eq!(pair.del_key(Side::A, KeySlot::Primary), no_peer);
    assert_eq!(pair.set_peer(Side::A, keepalive(1, 1)), no_peer);
    assert_eq!(pair.end(Side::A).device.peer_stats(0, PeerSelector::Only), Err(ControlError::NoPeer));
    assert!(!pair.del_peer(Side::A));
    pair.tick(Side::A);
    // The existing driver crashed on SET_PEER after a NEW_PEER that had failed (CVE-2024-5198).
    pair.new_peer(Side::A).expect("memory");
    assert!(pair.del_peer(Side::A));
    assert_eq!(pair.set_peer(Side::A, keepalive(1, 1)), no_peer);
}

#[test]
fn a_peer_is_selected_by_its_id_too() {
    let pair = Pair::connected(Faults::NONE, 1);
    let device = &pair.end(Side::A).device;
    assert!(device.peer_stats(0, PeerSelector::Id(PeerId::from_low_bits(1))).is_ok());
    assert!(device.peer_stats(0, PeerSelector::Id(PeerId::from_low_bits(2))).is_err());
}

#[test]
fn there_is_one_control() {
    let pair = Pair::new(Faults::NONE, 1);
    assert!(pair.end(Side::A).device.take_control().is_none());
}

/// As OpenVPN rekeys: both install the new key as secondary, each swaps when it sees fit, packets under the old key arrive
/// late, and the next new key pushes the old one out.
#[test]
fn rekey_under_traffic() {
    let mut pair = Pair::connected(Faults { reorder: 300, ..Faults::NONE }, 3);
    let (mut sent, mut late) = (0, Vec::new());
    for generation in 1..20u64 {
        let key = KeySpec::new(1_000 + generation, (generation % 8) as u8);
        for side in Side::BOTH {
            pair.new_key(side, KeySlot::Secondary, key).expect("a peer");
        }
        for step in 0..6 {
            match step {
                2 => pair.swap_keys(Side::A).expect("a peer"),
                4 => pair.swap_keys(Side::B).expect("a peer"),
                _ => {}
            }
            for i in 0..20 {
                pair.send(Side::A, &packet(i)).expect("sealed");
                pair.send(Side::B, &packet(i)).expect("sealed");
                sent += 1;
            }
            if step != 1 {
                pair.deliver(Side::A);
                pair.deliver(Side::B);
            }
        }
        // Kept back until its key has been replaced twice.
        late.push(pair.send_all(Side::A, &[packet(0)]).remove(0).expect("sealed"));
        sent += 1;
        pair.deliver(Side::B);
        pair.send(Side::B, &packet(0)).expect("sealed");
        pair.deliver(Side::A);
    }
    for side in Side::BOTH {
        assert_eq!(pair.end(side).received.len(), sent);
        assert!(pair.end(side).refused.is_empty());
    }
    // The two keys in place know their packets as replays; the others are gone.
    pair.receive(Side::B, &late);
    let refused = &pair.end(Side::B).refused;
    assert_eq!(refused.iter().filter(|r| **r == DropReason::RxReplay).count(), 2);
    assert!(
        refused.iter().all(|r| matches!(r, DropReason::RxReplay | DropReason::RxUnknownKey | DropReason::RxAuthFailed))
    );
}

#[test]
fn a_key_keeps_its_ids_and_window_through_swaps() {
    let mut pair = Pair::connected(Faults::NONE, 1);
    pair.new_key(Side::A, KeySlot::Secondary, KeySpec::new(9, 1)).expect("a peer");
    let first = pair.send_all(Side::A, &[packet(0)]).remove(0).expect("sealed");
    pair.swap_keys(Side::A).expect("a peer");
    pair.swap_keys(Side::A).expect("a peer");
    let second = pair.send_all(Side::A, &[packet(0)]).remove(0).expect("sealed");
    assert_eq!((&first[4..8], &second[4..8]), (&[0, 0, 0, 1][..], &[0, 0, 0, 2][..]));
    for _ in 0..2 {
        pair.swap_keys(Side::B).expect("a peer");
        pair.receive(Side::B, std::slice::from_ref(&first));
    }
    assert_eq!(pair.end(Side::B).received.len(), 1);
    assert_eq!(pair.end(Side::B).refused, [DropReason::RxReplay]);
}

#[test]
fn swapping_with_an_empty_secondary_stops_sending_until_swapped_back() {
    let mut pair = Pair::connected(Faults::NONE, 1);
    pair.swap_keys(Side::A).expect("a peer");
    assert_eq!(pair.send(Side::A, &packet(0)), Err(DropReason::TxNoKey));
    pair.swap_keys(Side::A).expect("a peer");
    assert_eq!(pair.send(Side::A, &packet(0)), Ok(()));
    let mut bare = Pair::new(Faults::NONE, 1);
    bare.new_peer(Side::A).expect("memory");
    bare.swap_keys(Side::A).expect("nothing to swap is no error");
}

#[test]
fn an_exhausted_key_needs_a_new_one() {
    let mut pair = Pair::connected(Faults::NONE, 1);
    let key = KeySpec { sealed: 0xF000_0000 - 3, ..KeySpec::new(5, 2) };
    for side in Side::BOTH {
        pair.new_key(side, KeySlot::Primary, key).expect("a peer");
    }
    assert_eq!(pair.send(Side::A, &packet(0)), Ok(()));
    assert_eq!(pair.send(Side::A, &packet(1)), Ok(()));
    for _ in 0..3 {
        assert_eq!(pair.send(Side::A, &packet(2)), Err(DropReason::TxPacketIdExhausted));
    }
    pair.deliver(Side::B);
    assert_eq!(pair.end(Side::B).received.len(), 2);
    pair.new_key(Side::A, KeySlot::Primary, KeySpec::new(6, 3)).expect("a peer");
    assert_eq!(pair.send(Side::A, &packet(2)), Ok(()));
}

#[test]
fn a_deleted_key_neither_seals_nor_opens_and_the_other_is_as_it_was() {
    let mut pair = Pair::connected(Faults::NONE, 1);
    for side in Side::BOTH {
        pair.new_key(side, KeySlot::Secondary, KeySpec::new(8, 1)).expect("a peer");
    }
    pair.del_key(Side::A, KeySlot::Primary).expect("a peer");
    pair.del_key(Side::A, KeySlot::Primary).expect("nothing to delete is no error");
    assert_eq!(pair.send(Side::A, &packet(0)), Err(DropReason::TxNoKey));
    assert_eq!(pair.send(Side::B, &packet(0)), Ok(()));
    pair.deliver(Side::A);
    assert_eq!(pair.end(Side::A).refused, [DropReason::RxUnknownKey]);
    // The secondary key opens still, and seals once it is primary.
    pair.swap_keys(Side::B).expect("a peer");
    assert_eq!(pair.send(Side::B, &packet(1)), Ok(()));
    pair.deliver(Side::A);
    assert_eq!(pair.end(Side::A).received, [packet(1)]);
    pair.swap_keys(Side::A).expect("a peer");
    assert_eq!(pair.send(Side::A, &packet(2)), Ok(()));
    assert_eq!(pair.send(Side::A, &packet(3)), Ok(()));
    pair.deliver(Side::B);
    assert_eq!(pair.end(Side::B).received, [packet(2), packet(3)]);
    pair.del_key(Side::A, KeySlot::Secondary).expect("a peer");
    assert_eq!(pair.send(Side::A, &packet(4)), Ok(()));
}

#[test]
fn replays_and_repeats_are_refused_once_each() {
    let mut pair = Pair::connected(Faults { duplicate: 1000, ..Faults::NONE }, 1);
    for i in 0..100 {
        pair.send(Side::A, &packet(i)).expect("sealed");
    }
    pair.deliver(Side::B);
    assert_eq!(pair.end(Side::B).received.len(), 100);
    assert_eq!(drops(&pair, Side::B, DropReason::RxReplay), 100);
    // Reflected to its sender, a packet is under the wrong direction's key.
    let datagram = pair.send_all(Side::A, &[packet(0)]).remove(0).expect("sealed");
    pair.receive(Side::A, &[datagram]);
    assert_eq!(pair.end(Side::A).refused, [DropReason::RxAuthFailed]);
}

#[test]
fn damage_is_counted_as_failed_authentication() {
    let mut pair = Pair::connected(Faults { corrupt: 1000, ..Faults::NONE }, 1);
    for i in 0..200 {
        pair.send(Side::A, &packet(i)).expect("sealed");
    }
    pair.deliver(Side::B);
    assert!(pair.end(Side::B).received.is_empty());
    let (auth, zero) =
        (drops(&pair, Side::B, DropReason::RxAuthFailed), drops(&pair, Side::B, DropReason::RxMalformed));
    // One flipped bit can make packet id 1, 2, 4... the impossible 0.
    assert_eq!(auth + zero, 200);
    assert!(zero < 5, "{zero}");
}

#[test]
fn forged_ids_do_not_move_the_window() {
    let mut pair = Pair::connected(Faults::NONE, 1);
    let datagram = pair.send_all(Side::A, &[packet(0)]).remove(0).expect("sealed");
    let mut forged = datagram.clone();
    forged[4..8].copy_from_slice(&0xE000_0000u32.to_be_bytes());
    pair.receive(Side::B, &[forged, datagram]);
    assert_eq!(pair.end(Side::B).refused, [DropReason::RxAuthFailed]);
    assert_eq!(pair.end(Side::B).received.len(), 1);
}

#[test]
fn an_idle_peer_is_pinged_and_both_stay_alive() {
    let mut pair = Pair::connected(Faults::NONE, 1);
    for side in Side::BOTH {
        pair.set_peer(side, keepalive(10, 30)).expect("a peer");
    }
    for _ in 0..120 {
        pair.advance(1_000);
        for side in Side::BOTH {
            pair.tick(side);
            pair.deliver(side.other());
        }
    }
    for side in Side::BOTH {
        // Whole seconds exceed 10: every 11 seconds.
        assert_eq!((pair.end(side).pings, pair.end(side).expired), (10, 0));
        let stats = pair.end(side).device.stats();
        assert_eq!((stats.tun_sent, stats.tun_received), (0, 0));
        assert_eq!((stats.sent_data, stats.transport_sent, stats.transport_received), (10, 400, 400));
        let peer =
            PeerStats { link_rx: 400, link_tx: 400, link_rx_packets: 10, link_tx_packets: 10, ..PeerStats::default() };
        assert_eq!(pair.end(side).device.peer_stats(0, PeerSelector::Only), Ok(peer));
    }
}

#[test]
fn traffic_makes_pings_unnecessary() {
    let mut pair = Pair::connected(Faults::NONE, 1);
    pair.set_peer(Side::A, keepalive(2, 5)).expect("a peer");
    for _ in 0..20 {
        pair.advance(1_000);
        pair.send(Side::A, &packet(0)).expect("sealed");
        pair.send(Side::B, &packet(0)).expect("sealed");
        pair.deliver(Side::A);
        pair.deliver(Side::B);
        pair.tick(Side::A);
    }
    assert_eq!((pair.end(Side::B).pings, pair.end(Side::A).expired), (0, 0));
}

#[test]
fn silence_expires_a_peer_once() {
    let mut pair = Pair::connected(Faults::NONE, 1);
    pair.set_peer(Side::A, keepalive(0, 60)).expect("a peer");
    for second in 1..200 {
        pair.advance(1_000);
        pair.tick(Side::A);
        assert_eq!(pair.end(Side::A).expired, usize::from(second >= 61), "{second}");
    }
    pair.set_peer(Side::A, keepalive(0, 60)).expect("a peer");
    pair.advance(61_000);
    pair.tick(Side::A);
    assert_eq!(pair.end(Side::A).expired, 2);
}

#[test]
fn an_expiry_that_nobody_could_be_told_is_reported_again() {
    let mut pair = Pair::connected(Faults::NONE, 1);
    pair.set_peer(Side::A, keepalive(0, 1)).expect("a peer");
    pair.advance(10_000);
    for _ in 0..3 {
        let section = pair.end(Side::A).device.enter(0);
        assert!(section.batch(pair.now()).keepalive().expired);
    }
}

#[test]
fn sleeping_for_hours_expires_at_the_first_look() {
    let mut pair = Pair::connected(Faults::NONE, 1);
    pair.set_peer(Side::A, keepalive(10, 60)).expect("a peer");
    pair.advance(8 * 3_600_000);
    pair.tick(Side::A);
    assert_eq!(pair.end(Side::A).expired, 1);
    pair.deliver(Side::B);
    assert_eq!(pair.end(Side::B).pings, 1);
}

#[test]
fn only_packets_that_were_opened_keep_a_peer_alive() {
    let mut pair = Pair::connected(Faults::NONE, 1);
    pair.set_peer(Side::B, keepalive(0, 5)).expect("a peer");
    let recorded = pair.send_all(Side::A, &[packet(0)]).remove(0).expect("sealed");
    pair.deliver(Side::B);
    for _ in 0..7 {
        pair.advance(1_000);
        let mut damaged = recorded.clone();
        damaged[30] ^= 1;
        pair.receive(Side::B, &[recorded.clone(), damaged, vec![0x48, 0, 0, 1, 0]]);
        pair.tick(Side::B);
    }
    assert_eq!(pair.end(Side::B).expired, 1);
}

#[test]
fn no_ping_is_due_without_a_key() {
    let mut pair = Pair::new(Faults::NONE, 1);
    pair.new_peer(Side::A).expect("memory");
    pair.set_peer(Side::A, keepalive(1, 0)).expect("a peer");
    pair.advance(10_000);
    pair.tick(Side::A);
    assert!(pair.link_to_mut(Side::B).receive().is_empty());
    assert_eq!(pair.end(Side::A).device.drop_counts().iter().sum::<u64>(), 0);
    pair.new_key(Side::A, KeySlot::Primary, KeySpec::new(1, 0)).expect("a peer");
    pair.tick(Side::A);
    assert_eq!(pair.link_to_mut(Side::B).receive().len(), 1);
}

#[test]
fn a_batch_sees_its_own_traffic_in_its_keepalive() {
    let mut pair = Pair::connected(Faults::NONE, 1);
    pair.set_peer(Side::A, keepalive(1, 0)).expect("a peer");
    pair.advance(10_000);
    let section = pair.end(Side::A).device.enter(0);
    let mut batch = section.batch(pair.now());
    assert!(batch.keepalive().ping);
    batch.seal(Destination::Only, &packet(0), &mut [0; 300]).expect("sealed");
    assert!(!batch.keepalive().ping);
}

#[test]
fn flushing_early_counts_nothing_twice() {
    let pair = Pair::connected(Faults::NONE, 1);
    let device = &pair.end(Side::A).device;
    let section = device.enter(0);
    let mut batch = section.batch(pair.now());
    for packets in 1..4 {
        batch.seal(Destination::Only, &packet(0), &mut [0; 300]).expect("sealed");
        batch.flush();
        let _ = batch.keepalive();
        batch.flush();
        let peer = PeerStats {
            link_tx: packets * 224,
            vpn_tx: packets * 200,
            link_tx_packets: packets,
            vpn_tx_packets: packets,
            ..PeerStats::default()
        };
        assert_eq!(device.peer_stats(0, PeerSelector::Only), Ok(peer));
        assert_eq!((device.stats().sent_data, device.stats().tun_sent), (packets, packets * 200));
    }
}

#[test]
fn segment_sizes_are_lowered_both_ways() {
    for v6 in [false, true] {
        for (near, far) in [(1300, 0), (0, 1300), (1300, 1200), (1200, 1300)] {
            let mut pair = Pair::connected(Faults::NONE, 1);
            let mss = |mss| PeerUpdate { mss: Some(mss), ..PeerUpdate::default() };
            pair.set_peer(Side::A, mss(near)).expect("a peer");
            pair.set_peer(Side::B, mss(far)).expect("a peer");
            let specs = [PacketSpec::syn(v6, 1460), PacketSpec::syn(v6, 500), {
                let mut established = PacketSpec::syn(v6, 1460);
                established.upper = Upper::Tcp { syn: false, mss: 1460 };
                established
            }];
            let sent: Vec<_> = specs.iter().map(PacketSpec::bytes).collect();
            pair.send_all(Side::A, &sent);
            pair.deliver(Side::B);
            let expected: Vec<_> = specs.iter().map(|spec| spec.clamped(near).clamped(far).bytes()).collect();
            assert_eq!(pair.end(Side::B).received, expected, "{v6} {near} {far}");
        }
    }
}

#[test]
fn a_gathered_syn_is_lowered_where_it_is() {
    let mut pair = Pair::connected(Faults::NONE, 1);
    let limit = PeerUpdate { mss: Some(1300), ..PeerUpdate::default() };
    pair.set_peer(Side::A, limit).expect("a peer");
    let spec = PacketSpec::syn(false, 1460);
    let mut out = vec![0; 24 + spec.total()];
    out[24..].copy_from_slice(&spec.bytes());
    {
        let section = pair.end(Side::A).device.enter(0);
        let sealed =
            section.batch(pair.now()).seal_gathered(Destination::Only, &mut out, spec.total()).expect("sealed");
        assert_eq!(sealed.len, out.len());
    }
    pair.receive(Side::B, &[out]);
    assert_eq!(pair.end(Side::B).received, [spec.clamped(1300).bytes()]);
}

#[test]
fn the_tunnel_is_not_sent_through_itself() {
    let mut pair = Pair::connected(Faults::NONE, 1);
    let to = |dst: [u8; 4], upper: Upper| {
        PacketSpec { dst: Ipv4Addr::from(dst).into(), upper, ..PacketSpec::udp4(100, 0) }.bytes()
    };
    let udp = |port| Upper::Udp { port };
    assert_eq!(pair.send(Side::A, &to([192, 0, 2, 2], udp(1194))), Err(DropReason::TxRecursiveRoute));
    assert_eq!(pair.send(Side::A, &to([192, 0, 2, 2], udp(1195))), Ok(()));
    assert_eq!(pair.send(Side::A, &to([192, 0, 2, 1], udp(1194))), Ok(()));
    assert_eq!(pair.send(Side::A, &to([192, 0, 2, 2], Upper::Other)), Ok(()));
    // A later fragment has no port, whatever its bytes say.
    let mut fragment = to([192, 0, 2, 2], udp(1194));
    fragment[6..8].copy_from_slice(&[0, 100]);
    assert_eq!(pair.send(Side::A, &fragment), Ok(()));

    let now = pair.now();
    let end = pair.end_mut(Side::A);
    let remote: std::net::SocketAddr = (Ipv6Addr::LOCALHOST, 443).into();
    let peer = |protocol| NewPeer {
        id: PeerId::from_low_bits(1),
        tx_id: PeerId::from_low_bits(1),
        endpoint: Some(Endpoint { remote, local: None }),
        vpn4: None,
        vpn6: None,
        protocol,
        transport: Side::B,
    };
    end.device.new_peer(&mut end.control, peer(ip::UDP), now, || ()).expect("memory");
    pair.new_key(Side::A, KeySlot::Primary, KeySpec::new(1, 0)).expect("a peer");
    let v6 =
        |port| PacketSpec { upper: udp(port), dst: Ipv6Addr::LOCALHOST.into(), ..PacketSpec::syn(true, 0) }.bytes();
    assert_eq!(pair.send(Side::A, &v6(443)), Err(DropReason::TxRecursiveRoute));
    assert_eq!(pair.send(Side::A, &v6(444)), Ok(()));

    // The protocol decides too: the same address and port over TCP is another place.
    let tcp = PacketSpec { dst: Ipv6Addr::LOCALHOST.into(), ..PacketSpec::syn(true, 1400) }.bytes();
    assert_eq!(pair.send(Side::A, &tcp), Ok(()));
    let end = pair.end_mut(Side::A);
    end.device.new_peer(&mut end.control, peer(ip::TCP), now, || ()).expect("memory");
    pair.new_key(Side::A, KeySlot::Primary, KeySpec::new(1, 0)).expect("a peer");
    assert_eq!(pair.send(Side::A, &tcp), Err(DropReason::TxRecursiveRoute));
    assert_eq!(pair.send(Side::A, &v6(443)), Ok(()));
}

#[test]
fn long_and_strange_packets_have_a_reason() {
    let mut pair = Pair::connected(Faults::NONE, 1);
    assert_eq!(pair.send(Side::A, &PacketSpec::udp4(MAX_INNER, 0).bytes()), Ok(()));
    assert_eq!(pair.send(Side::A, &PacketSpec::udp4(MAX_INNER + 1, 0).bytes()), Err(DropReason::TxTooLong));
    assert_eq!(pair.send(Side::A, &vec![0x45; 65_535]), Err(DropReason::TxTooLong));
    for junk in [&[][..], &[0x45], &[0x45; 19], &[0x60; 39], &[0x55; 40], &[0; 1500]] {
        assert_eq!(pair.send(Side::A, junk), Err(DropReason::TxNotIp), "{junk:?}");
    }
}

#[test]
fn a_peer_that_comes_back_starts_at_zero() {
    let mut pair = Pair::connected(Faults::NONE, 1);
    pair.send(Side::A, &packet(0)).expect("sealed");
    pair.send(Side::A, &[]).expect_err("not IP");
    let before = pair.end(Side::A).device.stats();
    assert_eq!((before.sent_data, before.tun_sent, before.transport_sent, before.lost_out_data), (1, 200, 224, 1));
    assert!(pair.del_peer(Side::A));
    assert_eq!(pair.end(Side::A).device.stats(), before);
    pair.new_peer(Side::A).expect("memory");
    assert_eq!(pair.end(Side::A).device.stats(), Default::default());
    assert_eq!(pair.end(Side::A).device.peer_stats(0, PeerSelector::Only), Ok(PeerStats::default()));
    // Neither keys nor settings survive.
    assert_eq!(pair.send(Side::A, &packet(0)), Err(DropReason::TxNoKey));
    assert_eq!(drops(&pair, Side::A, DropReason::TxNotIp), 1);
}

#[test]
fn a_batch_that_began_before_a_change_ends_with_what_it_had() {
    use std::{sync::mpsc, thread, time::Duration};
    let mut pair = Pair::connected(Faults::NONE, 1);
    let now = pair.now();
    let end = pair.end_mut(Side::A);
    let (device, control) = (&end.device, &mut end.control);
    thread::scope(|scope| {
        let (paused, wait) = mpsc::channel();
        let section = device.enter(0);
        let mut batch = section.batch(now);
        let writer = scope.spawn(move || {
            device.del_peer(control, PeerSelector::Only, || {
                let _ = paused.send(());
                thread::sleep(Duration::from_millis(1));
            })
        });
        wait.recv().expect("it waits for our section");
        let first = batch.seal(Destination::Only, &packet(0), &mut [0; 300]).expect("the batch still has its peer");
        assert_eq!(*first.peer.transport(), Side::B);
        // The next batch, even inside the same section, does not.
        let mut next = section.batch(now);
        assert_eq!(next.seal(Destination::Only, &packet(0), &mut [0; 300]).err(), Some(DropReason::TxNoPeer));
        drop(next);
        drop(batch);
        assert!(!writer.is_finished());
        assert_eq!(*first.peer.transport(), Side::B);
        drop(section);
        assert!(writer.join().expect("no panic").is_some());
    });
    assert_eq!(pair.end(Side::A).device.stats().sent_data, 1);
}

#[test]
fn what_the_shell_loses_and_moves_is_counted() {
    let pair = Pair::connected(Faults::NONE, 1);
    let device = &pair.end(Side::A).device;
    for reason in DropReason::ALL {
        device.count_drop(0, reason);
        let section = device.enter(1);
        let mut batch = section.batch(pair.now());
        batch.drop(reason);
        batch.flush();
        batch.drop(reason);
    }
    device.count_control_in(5);
    device.count_control_out(5);
    {
        let section = device.enter(1);
        let mut batch = section.batch(pair.now());
        batch.count_control_in();
        batch.count_control_out();
        batch.count_control_out();
    }
    assert!(device.drop_counts().iter().all(|count| *count == 3));
    let of = |class| 3 * DropReason::ALL.iter().filter(|reason| reason.class() == class).count() as u64;
    let stats = device.stats();
    assert_eq!(stats.lost_in_control, of(LossClass::InControl));
    assert_eq!(stats.lost_out_control, of(LossClass::OutControl));
    assert_eq!(stats.lost_in_data, of(LossClass::InData));
    assert_eq!(stats.lost_out_data, of(LossClass::OutData));
    assert_eq!((stats.received_control, stats.sent_control), (2, 3));
}

/// Every datagram that went in came out or has a reason, whatever the link does.
#[test]
fn the_books_balance_on_a_bad_link() {
    let mut faults_seen = [0; 3];
    for seed in 0..20 {
        let faults = Faults { loss: 100, duplicate: 100, reorder: 200, corrupt: 100 };
        let mut pair = Pair::connected(faults, seed);
        for side in Side::BOTH {
            pair.set_peer(side, keepalive(1, 3)).expect("a peer");
        }
        let mut sent = [0u64; 2];
        for round in 0..100 {
            for side in Side::BOTH {
                if !(40..50).contains(&round) {
                    pair.send(side, &packet(round)).expect("sealed");
                    sent[side as usize] += 1;
                }
                pair.tick(side);
            }
            pair.advance(700);
            for side in Side::BOTH {
                pair.deliver(side);
            }
        }
        for side in Side::BOTH {
            let end = pair.end(side);
            let (stats, link) = (end.device.stats(), pair.link_to(side).counts());
            assert_eq!(stats.received_data, link.sent - link.lost + link.duplicated);
            let passed = end.received.len() + end.pings;
            assert_eq!(stats.received_data, passed as u64 + stats.lost_in_data);
            assert_eq!(stats.lost_in_data, end.refused.len() as u64);
            assert_eq!(stats.tun_received, end.received.iter().map(|p| p.len() as u64).sum::<u64>());
            assert_eq!(stats.tun_sent, sent[side as usize] * 200);
            let far = pair.end(side.other()).device.stats();
            assert_eq!(far.sent_data, link.sent);
            faults_seen =
                [faults_seen[0] + link.lost, faults_seen[1] + link.duplicated, faults_seen[2] + link.corrupted];
        }
    }
    // About a tenth of 40 links with about 90 datagrams each.
    assert!(faults_seen.iter().all(|count| (250..450).contains(count)), "{faults_seen:?}");
}
