//! Defects of other drivers that the core could have. Each has its patch in `defects/`, which makes its test here fail.

use dco_core::{Cursor, Destination, DropReason, PeerUpdate, Tick};
use dco_crypto::KeySlot;
use dco_testkit::{
    Faults, KeySpec, PacketSpec, Pair, Side,
    many::{Op, Packet, Server},
};
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

/// A server with one peer over UDP: id 1, 10.8.0.1 and fd00::1, with its first key, at the first place.
fn server() -> Server {
    let mut server = Server::new(8);
    server.apply(Op::Join(1, 1, 1, 1, false));
    server.apply(Op::Key(1, false));
    server
}

/// From peer 1's key and address, from a place.
fn client(from: u8) -> Packet {
    Packet { id: 1, second: false, header: 0, from, tcp: None, ping: false, source: 1 }
}

fn remote(server: &Server) -> std::net::SocketAddr {
    let section = server.device.enter(0);
    let peer = section.next_peer(&mut Cursor::default()).expect("a peer");
    peer.endpoint().0.expect("a place").remote
}

/// ovpn-dco-v2: a datagram from elsewhere moved the peer before it was authenticated, so anybody could have our packets. Nor may one
/// that was recorded.
#[test]
fn float_before_authentication() {
    let mut server = server();
    let before = remote(&server);
    server.apply(Op::Forge(client(3), 40, 0));
    assert_eq!(remote(&server), before, "moved by a forged packet");
    server.apply(Op::Replay(client(1), 3));
    assert_eq!(remote(&server), before, "moved by a replayed packet");
    server.apply(Op::Receive(client(3)));
    assert_ne!(remote(&server), before, "an authentic packet does move it");
}

/// ovpn-dco-v2: the comparison of IPv6 addresses inside the tunnel never said no, so of a bucket's peers the first had all packets.
#[test]
fn ipv6_address_of_another() {
    let mut server = Server::new(1);
    for n in 1..5 {
        server.apply(Op::Join(n, 0, n, n, false));
        server.apply(Op::Key(n, false));
    }
    // The model says whose each packet is.
    for n in 0..6 {
        server.apply(Op::Send(n, true, 1));
    }
    assert_eq!(server.model.peers.values().map(|peer| peer.traffic.vpn_tx.1).collect::<Vec<_>>(), [2; 4]);
}

/// ovpn of 7.0: deleting a key from an empty slot dereferenced nothing.
#[test]
fn key_slot_that_is_empty() {
    let mut pair = Pair::connected(Faults::NONE, 1);
    let packet = PacketSpec::udp4(60, 1).bytes();
    assert_eq!(pair.del_key(Side::A, KeySlot::Secondary), Ok(()));
    assert_eq!(pair.send(Side::A, &packet), Ok(()), "the other slot's key is left alone");
    for _ in 0..2 {
        for slot in [KeySlot::Primary, KeySlot::Secondary] {
            assert_eq!(pair.del_key(Side::A, slot), Ok(()));
            assert_eq!(pair.swap_keys(Side::A), Ok(()));
        }
    }
    assert_eq!(pair.send(Side::A, &packet), Err(DropReason::TxNoKey));
}

/// ovpn-net-next #34: after a float, packets still went to the old address; the generation says that a cached route is void.
#[test]
fn sent_where_the_peer_was() {
    let mut server = server();
    let generation = |server: &Server| {
        let section = server.device.enter(0);
        section.next_peer(&mut Cursor::default()).expect("a peer").endpoint().1
    };
    let before = generation(&server);
    server.apply(Op::Receive(client(2)));
    // Before userspace has heard of it, and after.
    for _ in 0..2 {
        let section = server.device.enter(0);
        let mut batch = section.batch(Tick(1_000_000));
        let to = Destination::Address([10, 8, 0, 1].into());
        let sealed = batch.seal(to, &PacketSpec::udp4(60, 1).bytes(), &mut [0; 100]).expect("a key");
        assert_eq!(sealed.peer.endpoint().0.expect("a place").remote, ([192, 0, 2, 9], 1195).into());
        drop(batch);
        drop(section);
        assert_ne!(generation(&server), before, "a cached route would be used");
        server.device.take_moved(&mut server.control, |_, _| (), || ());
    }
}

/// openvpn #793: a float's event was lost when something else came between.
#[test]
fn float_event_lost() {
    let mut server = server();
    server.apply(Op::Receive(client(2)));
    // What else userspace does in between.
    server.apply(Op::Tick);
    server.apply(Op::Key(1, true));
    server.apply(Op::TxId(1, 5));
    server.apply(Op::Moved);
    assert_eq!(server.happened[1], 1, "untold");
    // And from there the peer is known without its id.
    server.apply(Op::Key(1, false));
    let opened = server.happened[0];
    server.apply(Op::Receive(Packet { header: 1, ..client(2) }));
    assert_eq!(server.happened[0], opened + 1, "not found where it is");
}

/// ovpn-dco #96, #97: on a big-endian machine the key-id was read from the wrong byte of a wider field.
#[test]
fn key_id_is_the_first_bytes_low_bits() {
    for key_id in 0..8 {
        let mut pair = Pair::new(Faults::NONE, 1);
        for side in Side::BOTH {
            pair.new_peer(side).expect("memory");
            let key = KeySpec { peer_id: 0x01_0203, ..KeySpec::new(1, key_id) };
            pair.new_key(side, KeySlot::Primary, key).expect("a peer");
        }
        let sealed = pair.send_all(Side::A, &[PacketSpec::udp4(60, 1).bytes()]).remove(0).expect("a key");
        assert_eq!(sealed[..4], [9 << 3 | key_id, 1, 2, 3]);
        pair.deliver(Side::B);
        assert_eq!(pair.end(Side::B).received.len(), 1, "key-id {key_id}");
    }
}

/// openvpn #911: an interval without a timeout sent no pings.
#[test]
fn ping_without_timeout() {
    let mut server = server();
    server.apply(Op::Timers(1, 2, 0));
    server.apply(Op::Wait(3_000));
    server.apply(Op::Tick);
    assert_eq!(server.model.peers[&1].traffic.link_tx.1, 1, "no ping was due");
}
