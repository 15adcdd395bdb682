//! Defects of other drivers that the core could have. Each has its patch in `defects/`, which makes its test here fail.

use dco_core::{Destination, DropReason, PeerUpdate};
use dco_testkit::{Faults, KeySpec, PacketSpec, Pair, Side};
use dco_wire::{Class, PING, PeerId, classify};

fn refused(pair: &Pair) -> &[DropReason] {
    &pair.end(Side::B).refused
}

/// Sealed by the far side's key, whatever it is; its ids are above those that traffic has used.
fn rogue(plain: &[u8]) -> Vec<u8> {
    let key = KeySpec { sealed: 1_000, ..KeySpec::new(1, 0) }.key(Side::A);
    let mut out = vec![0; plain.len() + 24];
    key.seal(PeerId::UNDEFINED, plain, &mut out).expect("room");
    out
}

/// ovpn-dco-win #40: a VNC server's packets above the MTU, with room for them in the send buffer.
#[test]
fn packet_above_mtu() {
    let pair = Pair::connected(Faults::NONE, 1);
    let section = pair.end(Side::A).device.enter(0);
    let mut batch = section.batch(pair.now());
    let mut out = vec![0; 70_000];
    for len in [1501, 1502, 1536, 2000, 2048, 9000, 65_535] {
        let packet = PacketSpec::udp4(len, 1).bytes();
        assert_eq!(batch.seal(Destination::Only, &packet, &mut out).err(), Some(DropReason::TxTooLong), "{len}");
        assert_eq!(batch.seal_gathered(Destination::Only, &mut out, len).err(), Some(DropReason::TxTooLong), "{len}");
    }
    assert_eq!(
        batch.seal(Destination::Only, &PacketSpec::udp4(1500, 1).bytes(), &mut out).map(|sealed| sealed.len).ok(),
        Some(1524)
    );
}

/// ovpn-dco-win of 2024 looked at the replay window before it authenticated: a forged id moved it.
#[test]
fn replay_before_auth() {
    let mut pair = Pair::connected(Faults::NONE, 1);
    let sealed = pair.send_all(Side::A, &[PacketSpec::udp4(100, 1).bytes()]).remove(0).expect("sealed");
    let mut forged = sealed.clone();
    forged[4..8].copy_from_slice(&0xE000_0000_u32.to_be_bytes());
    pair.receive(Side::B, &[forged, sealed]);
    assert_eq!(refused(&pair), [DropReason::RxAuthFailed]);
    assert_eq!(pair.end(Side::B).received.len(), 1);
}

/// From the existing driver's code: a packet that only begins with the ping's bytes was taken for one.
#[test]
fn longer_than_a_ping() {
    let mut pair = Pair::connected(Faults::NONE, 1);
    pair.receive(Side::B, &[rogue(&[&PING[..], b"and more"].concat()), rogue(&PING[..15])]);
    assert_eq!(pair.end(Side::B).pings, 0);
    assert_eq!(refused(&pair)[0], DropReason::RxNotIp);
}

/// From the existing driver's code: an IPv6 packet with next header TCP was read as if a TCP header were there.
#[test]
fn ipv6_syn_cut_short() {
    let mut pair = Pair::connected(Faults::NONE, 1);
    for side in Side::BOTH {
        pair.set_peer(side, PeerUpdate { mss: Some(1_000), ..PeerUpdate::default() }).expect("a peer");
    }
    let whole = PacketSpec::syn(true, 1460).bytes();
    for len in 40..whole.len() {
        let mut cut = whole[..len].to_vec();
        cut[4..6].copy_from_slice(&u16::try_from(len - 40).expect("short").to_be_bytes());
        assert_eq!(pair.send(Side::A, &cut), Ok(()));
        pair.deliver(Side::B);
        assert_eq!(pair.end_mut(Side::B).received.pop(), Some(cut), "left alone at {len}");
    }
}

/// openvpn #422: 2.4.0 to 2.4.4 servers send DATA_V1, which only userspace understands.
#[test]
fn data_v1_is_userspaces() {
    for key_id in 0..8 {
        assert_eq!(classify(&[6 << 3 | key_id, 1, 2, 3, 4, 5, 6, 7]), Class::Control);
    }
}

/// A peer's expiry is told once, not at every tick; a later SET_PEER arms it again.
#[test]
fn expiry_told_once() {
    let mut pair = Pair::connected(Faults::NONE, 1);
    pair.set_peer(Side::A, PeerUpdate { interval: None, timeout: Some(2), mss: None, ..PeerUpdate::default() })
        .expect("a peer");
    for _ in 0..10 {
        pair.advance(1_000);
        pair.tick(Side::A);
    }
    assert_eq!(pair.end(Side::A).expired, 1);
}
