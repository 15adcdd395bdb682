//! What is left behind when something fails: nothing.

use crate::backends::{pair, scripted};
use dco_crypto::{AeadError, OpenError, SealError};
use dco_wire::PeerId;
use std::sync::Mutex;

#[test]
fn a_failing_cipher_leaves_no_packet() {
    for (answer, code) in [(AeadError::Backend(-7), -7), (AeadError::AuthFailed, 0)] {
        let calls = Mutex::new(Vec::new());
        let key = scripted(Err(answer), &calls);
        let mut out = [0xcc; 40];
        assert_eq!(key.seal(PeerId::UNDEFINED, &[1; 8], &mut out), Err(SealError::Aead(code)));
        assert_eq!((out[..32].to_vec(), out[32..].to_vec()), (vec![0; 32], vec![0xcc; 8]));
        let mut out = [0xcc; 40];
        assert_eq!(key.seal_in_place(PeerId::UNDEFINED, &mut out, 8), Err(SealError::Aead(code)));
        assert_eq!((out[..32].to_vec(), out[32..].to_vec()), (vec![0; 32], vec![0xcc; 8]));
        // Each attempt used up an id.
        let calls = calls.lock().expect("not poisoned");
        assert_eq!((calls[0].0[3], calls[1].0[3]), (1, 2));
    }
}

#[test]
fn a_failing_cipher_leaves_no_plaintext() {
    for (answer, error) in
        [(AeadError::Backend(-7), OpenError::Aead(-7)), (AeadError::AuthFailed, OpenError::AuthFailed)]
    {
        let calls = Mutex::new(Vec::new());
        let key = scripted(Err(answer), &calls);
        let mut out = [0xcc; 40];
        let datagram = [&[0x48, 0, 0, 0, 0, 0, 0, 1][..], &[0; 16 + 8]].concat();
        assert_eq!(key.open(&datagram, &mut out, 0), Err(error));
        assert_eq!((out[..8].to_vec(), out[8..].to_vec()), (vec![0; 8], vec![0xcc; 32]));
    }
}

#[test]
fn too_little_room_is_noticed_first() {
    let calls = Mutex::new(Vec::new());
    let key = scripted(Ok(()), &calls);
    for room in 0..32 {
        let mut out = vec![0xcc; room];
        assert_eq!(key.seal(PeerId::UNDEFINED, &[1; 8], &mut out), Err(SealError::OutputTooSmall));
        assert_eq!(key.seal_in_place(PeerId::UNDEFINED, &mut out, 8), Err(SealError::OutputTooSmall));
        assert_eq!(key.seal_in_place(PeerId::UNDEFINED, &mut out, usize::MAX), Err(SealError::OutputTooSmall));
        assert!(out.iter().all(|byte| *byte == 0xcc));
    }
    let datagram = [&[0x48, 0, 0, 0, 0, 0, 0, 1][..], &[0; 16 + 8]].concat();
    for room in 0..8 {
        let mut out = vec![0xcc; room];
        assert_eq!(key.open(&datagram, &mut out, 0), Err(OpenError::OutputTooSmall));
        assert!(out.iter().all(|byte| *byte == 0xcc));
    }
    assert!(calls.lock().expect("not poisoned").is_empty());
    // No id was used, none was marked.
    assert_eq!(key.seal(PeerId::UNDEFINED, &[], &mut [0; 24]), Ok(24));
    assert_eq!(calls.lock().expect("not poisoned")[0].0[3], 1);
    assert_eq!(key.open(&datagram, &mut [0; 8], 0), Ok(8));
}

#[test]
fn short_packets_and_id_zero_never_reach_the_cipher() {
    let calls = Mutex::new(Vec::new());
    let key = scripted(Ok(()), &calls);
    for len in 0..24 {
        assert_eq!(key.open(&vec![1; len], &mut [0; 64], 0), Err(OpenError::TooShort));
    }
    assert_eq!(key.open(&[0; 24], &mut [0; 64], 0), Err(OpenError::PacketIdZero));
    assert!(calls.lock().expect("not poisoned").is_empty());
}

#[test]
fn a_forged_id_does_not_move_the_window() {
    let (client, server) = pair();
    let mut packet = [0; 32];
    client.seal(PeerId::UNDEFINED, &[1; 8], &mut packet).expect("seals");
    let mut forged = packet;
    forged[4..8].copy_from_slice(&[0xff; 4]);
    assert_eq!(server.open(&forged, &mut [0; 8], 0), Err(OpenError::AuthFailed));
    assert_eq!(server.open(&packet, &mut [0; 8], 0), Ok(8));
}

#[test]
fn a_late_packet_after_silence() {
    let (client, server) = pair();
    let mut packets = [[0; 32]; 3];
    for packet in &mut packets {
        client.seal(PeerId::UNDEFINED, &[1; 8], packet).expect("seals");
    }
    assert_eq!(server.open(&packets[1], &mut [0; 8], 1_000), Ok(8));
    assert_eq!(server.open(&packets[0], &mut [0; 8], 31_000), Err(OpenError::Replay));
    assert_eq!(server.open(&packets[2], &mut [0; 8], 31_000), Ok(8));
}

#[test]
fn debug_shows_no_secret() {
    let (client, _) = pair();
    assert_eq!(format!("{client:?}"), "Key { key_id: Some(KeyId(2)), packets_left: 4026531839, .. }");
    assert_eq!(format!("{:?}", dco_crypto::NonceTail::new([0xee; 8])), "NonceTail { .. }");
}
