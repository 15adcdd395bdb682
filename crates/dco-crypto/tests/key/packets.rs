//! What goes on the wire.

use crate::backends::{Gcm, pair, scripted};
use dco_crypto::{Key, KeyConfig, NonceTail, OpenError, PACKET_ID_LIMIT, SealError};
use dco_wire::{Class, PING, PeerId, classify};
use openssl::symm::{Cipher, encrypt_aead};
use proptest::prelude::*;
use std::sync::Mutex;

/// A small UDP packet in a DATA_V2 packet, computed with Python's `cryptography` from OpenVPN's description of the format: key bytes
/// 0x40 up, nonce tail 0xf0 up, key-id 3, peer-id 0x76706e, packet id 1.
const PLAIN: &str = "4500001c00010000401166c70a0800020a080001c3500035000800ff";
const PACKET: &str =
    "4b76706e00000001a8f64d398174927a5c89f2fbe627dd8168321bda2aff8c7d5b7bae072a37579723bd6ae485ecaa2dfd6e0c99";

fn unhex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(core::str::from_utf8(pair).expect("ASCII"), 16).expect("hex"))
        .collect()
}

fn known_key() -> Key<Gcm> {
    let key: [u8; 32] = core::array::from_fn(|i| 0x40 + i as u8);
    let tail: [u8; 8] = core::array::from_fn(|i| 0xf0 + i as u8);
    Key::try_new(KeyConfig {
        key_id: 3,
        peer_id: Some(PeerId::from_low_bits(0x76706e)),
        seal: Gcm::new(&key),
        open: Gcm::new(&key),
        seal_tail: NonceTail::new(tail),
        open_tail: NonceTail::new(tail),
    })
    .expect("memory")
}

#[test]
fn a_known_packet() {
    let (plain, packet) = (unhex(PLAIN), unhex(PACKET));
    let mut out = [0xcc; 100];
    assert_eq!(known_key().seal(PeerId::UNDEFINED, &plain, &mut out), Ok(packet.len()));
    assert_eq!(out[..packet.len()], packet);
    assert!(out[packet.len()..].iter().all(|byte| *byte == 0xcc));

    let mut out = [0xcc; 100];
    out[24..24 + plain.len()].copy_from_slice(&plain);
    assert_eq!(known_key().seal_in_place(PeerId::UNDEFINED, &mut out, plain.len()), Ok(packet.len()));
    assert_eq!(out[..packet.len()], packet);

    let mut out = [0xcc; 100];
    assert_eq!(known_key().open(&packet, &mut out, 0), Ok(plain.len()));
    assert_eq!(out[..plain.len()], plain);
    assert!(out[plain.len()..].iter().all(|byte| *byte == 0xcc));
}

/// A DATA_V2 packet by OpenSSL, put together here.
fn by_openssl(key: &[u8; 32], first: [u8; 4], id: u32, tail: [u8; 8], plain: &[u8]) -> Vec<u8> {
    let aad = [first, id.to_be_bytes()].concat();
    let nonce = [&id.to_be_bytes()[..], &tail].concat();
    let mut tag = [0; 16];
    let cipher = encrypt_aead(Cipher::aes_256_gcm(), key, Some(&nonce), &aad, plain, &mut tag).expect("OpenSSL seals");
    [aad, tag.to_vec(), cipher].concat()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn packets_equal_openssls(
        secret: [u8; 32],
        tail: [u8; 8],
        key_id in 0..8u8,
        peer_id in 0..0x100_0000u32,
        sealed in 0..PACKET_ID_LIMIT - 1,
        plain in prop::collection::vec(any::<u8>(), 0..1600),
    ) {
        let [_, p0, p1, p2] = peer_id.to_be_bytes();
        let wanted = by_openssl(&secret, [9 << 3 | key_id, p0, p1, p2], sealed + 1, tail, &plain);
        let new = || Key::try_new(KeyConfig {
            key_id,
            peer_id: Some(PeerId::from_low_bits(peer_id)),
            seal: Gcm::new(&secret),
            open: Gcm::new(&secret),
            seal_tail: NonceTail::new(tail),
            open_tail: NonceTail::new(tail),
        }).expect("memory").having_sealed(u64::from(sealed));

        let mut out = vec![0; plain.len() + 24];
        prop_assert_eq!(new().seal(PeerId::UNDEFINED, &plain, &mut out), Ok(wanted.len()));
        prop_assert_eq!(&out, &wanted);
        out[24..].copy_from_slice(&plain);
        prop_assert_eq!(new().seal_in_place(PeerId::UNDEFINED, &mut out, plain.len()), Ok(wanted.len()));
        prop_assert_eq!(&out, &wanted);
        let mut opened = vec![0; plain.len()];
        prop_assert_eq!(new().open(&wanted, &mut opened, 0), Ok(plain.len()));
        prop_assert_eq!(opened, plain);
    }

    #[test]
    fn any_changed_bit_is_noticed(plain in prop::collection::vec(any::<u8>(), 0..64), at: prop::sample::Index, bit in 0..8u32) {
        let (client, server) = pair();
        let mut packet = vec![0; plain.len() + 24];
        client.seal(PeerId::UNDEFINED, &plain, &mut packet).expect("seals");
        let at = at.index(packet.len());
        packet[at] ^= 1 << bit;
        let mut out = vec![0xcc; plain.len()];
        let wanted = if packet[4..8] == [0; 4] { OpenError::PacketIdZero } else { OpenError::AuthFailed };
        prop_assert_eq!(server.open(&packet, &mut out, 0), Err(wanted));
        prop_assert!(wanted == OpenError::PacketIdZero || out.iter().all(|byte| *byte == 0));
        // And the packet itself still gets through: the forgery left no trace in the window.
        packet[at] ^= 1 << bit;
        prop_assert_eq!(server.open(&packet, &mut out, 0), Ok(plain.len()));
        prop_assert_eq!(out, plain);
    }

    #[test]
    fn any_datagram_is_survived(datagram in prop::collection::vec(any::<u8>(), 0..80), room in 0..80usize) {
        let (_, server) = pair();
        prop_assert!(server.open(&datagram, &mut vec![0; room], 0).is_err());
    }
}

#[test]
fn ids_start_at_one_and_go_into_header_nonce_and_aad() {
    let calls = Mutex::new(Vec::new());
    let key = scripted(Ok(()), &calls).having_sealed(0x0102_0302);
    let mut out = [0; 26];
    assert_eq!(key.seal(PeerId::UNDEFINED, &[1, 2], &mut out), Ok(26));
    out[24..].copy_from_slice(&[3, 4]);
    assert_eq!(key.seal_in_place(PeerId::UNDEFINED, &mut out, 2), Ok(26));
    assert_eq!(out[..8], [0x4b, 0x76, 0x70, 0x6e, 1, 2, 3, 4]);
    assert_eq!((out[8..24].to_vec(), out[24..].to_vec()), (vec![0x7a; 16], vec![0xc1; 2]));
    let datagram = [&[0x4b, 0x76, 0x70, 0x6e, 0xff, 0xff, 0xff, 0xff][..], &[0; 16], &[9]].concat();
    assert_eq!(key.open(&datagram, &mut out, 0), Ok(1));
    let calls = calls.lock().expect("not poisoned");
    let nonces: Vec<_> = calls.iter().map(|call| call.0).collect();
    assert_eq!(
        nonces,
        [
            [1, 2, 3, 3, 1, 2, 3, 4, 5, 6, 7, 8],
            [1, 2, 3, 4, 1, 2, 3, 4, 5, 6, 7, 8],
            [0xff, 0xff, 0xff, 0xff, 11, 12, 13, 14, 15, 16, 17, 18]
        ]
    );
    let aads: Vec<_> = calls.iter().map(|call| call.1.clone()).collect();
    assert_eq!(aads[0], [0x4b, 0x76, 0x70, 0x6e, 1, 2, 3, 3]);
    assert_eq!(aads[1], [0x4b, 0x76, 0x70, 0x6e, 1, 2, 3, 4]);
    assert_eq!(aads[2], datagram[..8]);
    let inputs: Vec<_> = calls.iter().map(|call| call.2.clone()).collect();
    assert_eq!(inputs, [vec![1, 2], vec![3, 4], vec![9]]);
}

#[test]
fn what_one_end_seals_the_other_opens_once() {
    let (client, server) = pair();
    let mut packet = [0; 64];
    let mut out = [0; 64];
    for round in 0..100u64 {
        let len = client.seal(PeerId::UNDEFINED, &PING, &mut packet).expect("seals");
        assert!(matches!(classify(&packet[..len]), Class::Data(header) if Some(header.key_id) == server.key_id()));
        assert_eq!(server.open(&packet[..len], &mut out, round), Ok(16));
        assert_eq!(out[..16], PING);
        assert_eq!(server.open(&packet[..len], &mut out, round), Err(OpenError::Replay));
        assert_eq!(out[..16], [0; 16]);
        // Nor does an end open what it sealed itself.
        assert_eq!(client.open(&packet[..len], &mut out, round), Err(OpenError::AuthFailed));
    }
}

#[test]
fn an_empty_packet_is_a_packet() {
    let (client, server) = pair();
    let mut packet = [0; 24];
    assert_eq!(client.seal(PeerId::UNDEFINED, &[], &mut packet), Ok(24));
    assert_eq!(server.open(&packet, &mut [], 0), Ok(0));
}

#[test]
fn the_last_packet_id() {
    let (client, server) = pair();
    let client = client.having_sealed(u64::from(PACKET_ID_LIMIT) - 3);
    let (mut packet, mut out) = ([0; 40], [0; 40]);
    for left in [2, 1] {
        assert_eq!(client.packets_left(), left);
        assert_eq!(client.seal(PeerId::UNDEFINED, &PING, &mut packet), Ok(40));
        assert_eq!(server.open(&packet, &mut out, 0), Ok(16));
    }
    assert_eq!(packet[4..8], [0xef, 0xff, 0xff, 0xff]);
    for _ in 0..3 {
        assert_eq!(client.packets_left(), 0);
        assert_eq!(client.seal(PeerId::UNDEFINED, &PING, &mut packet), Err(SealError::Exhausted));
        packet[24..].copy_from_slice(&PING);
        assert_eq!(client.seal_in_place(PeerId::UNDEFINED, &mut packet, 16), Err(SealError::Exhausted));
        assert_eq!(packet, [0; 40]);
    }
    // Receiving is not limited: an id above the limit is the sender's business.
    assert_eq!(pair().0.having_sealed(u64::MAX).seal(PeerId::UNDEFINED, &PING, &mut packet), Err(SealError::Exhausted));
}

#[test]
fn concurrent_senders_use_each_id_once() {
    let calls = Mutex::new(Vec::new());
    let key = scripted(Ok(()), &calls).having_sealed(u64::from(PACKET_ID_LIMIT) - 1001);
    let sealed: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| (0..300).filter(|_| key.seal(PeerId::UNDEFINED, &[0], &mut [0; 25]).is_ok()).count())
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
    });
    assert_eq!(sealed, 1000);
    let calls = calls.lock().expect("not poisoned");
    let mut nonces: Vec<_> = calls.iter().map(|call| call.0).collect();
    nonces.sort_unstable();
    nonces.dedup();
    assert_eq!(nonces.len(), 1000);
}
