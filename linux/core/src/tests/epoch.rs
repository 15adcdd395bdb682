//! Epoch keys from C's side.

use super::*;
use crate::epoch_ffi::{dco_core_epoch_get, dco_core_epoch_key_new, dco_epoch_info, dco_epoch_key_new};

const A: &str = "192.0.2.1:1194";
const B: &str = "192.0.2.2:1194";

impl Core {
    /// An epoch key whose secrets are 32 such bytes each.
    fn epoch_key(
        &self,
        slot: u32,
        encrypt: [u8; 32],
        decrypt: [u8; 32],
        change: impl FnOnce(&mut dco_epoch_key_new),
    ) -> i32 {
        let mut key = dco_epoch_key_new {
            peer_id: 5,
            slot,
            key_id: 1,
            cipher: 1,
            key_len: 32,
            reserved: 0,
            test_limit: 0,
            encrypt_secret: encrypt.as_ptr(),
            decrypt_secret: decrypt.as_ptr(),
        };
        change(&mut key);
        // SAFETY: the core is alive and this thread alone; the secrets live through the call.
        unsafe { dco_core_epoch_key_new(self.0, &raw const key) }
    }

    fn epochs(&self, slot: u32) -> Result<(u32, u32), i32> {
        let mut info = dco_epoch_info { send: 0, receive: 0 };
        // SAFETY: the core is alive, the result is written to a variable.
        match unsafe { dco_core_epoch_get(self.0, 5, slot, &raw mut info) } {
            0 => Ok((info.send, info.receive)),
            error => Err(error),
        }
    }
}

/// Two ends with epoch keys that are left after `limit` packets and blocks.
fn pair(tcp: bool, limit: u64) -> (Core, Core) {
    let (a, b) = (Core::new(ffi::DCO_MODE_P2P), Core::new(ffi::DCO_MODE_P2P));
    let remote = if tcp { [dco_endpoint::NONE; 2] } else { [endpoint(B), endpoint(A)] };
    assert_eq!([a.peer(5, NONE, remote[0], 0x10, tcp), b.peer(5, NONE, remote[1], 0x20, tcp)], [0, 0]);
    let limited = |key: &mut dco_epoch_key_new| key.test_limit = limit;
    assert_eq!([a.epoch_key(0, [11; 32], [22; 32], limited), b.epoch_key(0, [22; 32], [11; 32], limited)], [0, 0]);
    (a, b)
}

fn packets() -> Vec<Vec<u8>> {
    [100, 1000, 0].map(|len| packet("10.8.0.1", "10.8.0.2", len)).into()
}

#[test]
fn a_train_lies_packet_behind_packet() {
    let (a, b) = pair(false, 0);
    let packets = packets();
    let (sealed, call) = a.seal(NONE, &packets);
    assert_eq!((call.passed, call.link as usize), (3, 0x10));
    assert_eq!(
        sealed.iter().map(Vec::len).collect::<Vec<_>>(),
        packets.iter().map(|p| p.len() + 28).collect::<Vec<_>>()
    );
    assert_eq!(sealed[2][..12], [0x49, 0, 0, 5, 0, 1, 0, 0, 0, 0, 0, 3]);
    let (verdicts, opened) = b.open(UDP, endpoint(A), &sealed);
    assert_eq!((verdicts, opened), (vec![ffi::DCO_PASS; 3], packets));
    // Again; forged in the header's last four bytes, which the classic format has no tag over.
    let mut forged = sealed[0].clone();
    forged[11] = 9;
    let (verdicts, _) = b.open(UDP, endpoint(A), &[sealed[1].clone(), forged]);
    assert_eq!((verdicts, b.drops("RxReplay"), b.drops("RxAuthFailed")), (vec![ffi::DCO_DROP; 2], 1, 1));
    let (a, b) = (a.info(5).expect("a peer"), b.info(5).expect("a peer"));
    assert_eq!((a.vpn.tx_bytes, a.wire.tx_bytes), (1184, 1184 + 84));
    assert_eq!((b.vpn.rx_bytes, b.wire.rx_bytes), (1184, 1184 + 84));
}

/// Where results lie from the buffer's start on, sealed as data.c lays them out.
fn places(core: &Core, packets: &[Vec<u8>]) -> (Vec<usize>, Vec<Vec<u8>>) {
    let mut out = vec![0xee_u8; packets.iter().map(|packet| packet.len() + 30).sum()];
    let start = out.as_mut_ptr();
    let mut at = 0;
    let mut bufs = Vec::new();
    for packet in packets {
        bufs.push(buf(packet, start.wrapping_add(at), packet.len() + 24));
        at += packet.len() + 24;
    }
    let mut seal = core.seal(NONE, &[]).1;
    (seal.bufs, seal.count) = (bufs.as_mut_ptr(), bufs.len() as u32);
    // SAFETY: six bytes a packet are left behind the last.
    unsafe { export::dco_core_seal(core.0, &raw mut seal) };
    (bufs.iter().map(|buf| buf.dst as usize - start as usize).collect(), results(&bufs))
}

#[test]
fn frames_have_room_for_their_lengths_in_both_formats() {
    for (tcp, frame) in [(false, 0), (true, 2)] {
        let (a, b) = pair(tcp, 0);
        let packets = packets();
        let behind = |more: usize| {
            let mut at = 0;
            packets.iter().map(move |packet| {
                let place = at + frame;
                at = place + packet.len() + more;
                place
            })
        };
        let (found, sealed) = places(&a, &packets);
        assert_eq!(found, behind(28).collect::<Vec<_>>());
        let from = if tcp { dco_endpoint::NONE } else { endpoint(A) };
        assert_eq!(b.open(if tcp { 5 } else { UDP }, from, &sealed).1, packets);
        // A classic key beside it, swapped in.
        assert_eq!([a.key(5, 1, 2, 1, 2), b.key(5, 1, 2, 2, 1)], [0, 0]);
        // SAFETY: the core is alive and this thread is alone.
        assert_eq!(unsafe { export::dco_core_key_swap(a.0, 5) }, 0);
        let (found, sealed) = places(&a, &packets);
        assert_eq!(found, behind(24).collect::<Vec<_>>());
        assert_eq!(b.open(if tcp { 5 } else { UDP }, from, &sealed).1, packets);
    }
}

#[test]
fn keys_are_derived_as_another_program_does_it() {
    let core = Core::new(ffi::DCO_MODE_P2P);
    assert_eq!(core.peer(5, NONE, endpoint(B), 0x10, false), 0);
    assert_eq!(core.epoch_key(0, core::array::from_fn(|at| at as u8), [7; 32], |_| {}), 0);
    // By Python's hmac, from the secret 00 01 .. 1f; dco-crypto has more of them.
    let hex =
        |key: &Vec<u8>| key.iter().fold(std::string::String::new(), |text, byte| std::format!("{text}{byte:02x}"));
    let derived: Vec<_> = seen(|seen| seen.derived.iter().map(hex).collect());
    for expected in [
        "ebbbf838a8658beb56f2324d691351bd4c8c230fb271ada8f67de830b7ee3192",
        "4010426e3e169cd80289883d7f38d7eee445ead5fa21812fabebe155a4408ee5",
    ] {
        assert!(derived.iter().any(|key| key == expected), "{derived:?}");
    }
    // One that seals and the next; one that opens and four future ones.
    assert_eq!((derived.len(), seen(|seen| seen.keys_alive)), (7, 7));
    drop(core);
    assert_eq!(seen(|seen| seen.keys_alive), 0);
}

#[test]
fn both_ends_rotate_by_ticks_that_batches_ask_for() {
    let (a, b) = pair(false, 10);
    let mut wakes = 0;
    for round in 0..100 {
        for (from, to, at) in [(&a, &b, A), (&b, &a, B)] {
            let packets = packets();
            let (sealed, _) = from.seal(NONE, &packets);
            assert_eq!(to.open(UDP, endpoint(at), &sealed).1, packets, "round {round}");
        }
        if seen(|seen| core::mem::take(&mut seen.wakes)) != 0 {
            wakes += 1;
            assert_eq!([a.tick(1), b.tick(1)], [1, 1]);
        }
        // At most: seal and next, six that open; of two ends.
        assert!(seen(|seen| seen.keys_alive) <= 16);
    }
    let (sent, received) = a.epochs(0).expect("an epoch key");
    assert!(wakes >= 50 && sent >= 50 && received >= 50, "{wakes} wakes, epochs {sent} and {received}");
    assert_eq!((a.drops("RxEpochTooFar"), b.drops("RxEpochTooFar"), b.drops("RxAuthFailed")), (0, 0, 0));
    drop((a, b));
    assert_eq!(seen(|seen| seen.keys_alive), 0);
}

#[test]
fn where_no_key_can_be_made_the_next_tick_makes_it() {
    let (a, b) = pair(false, 10);
    let exchange = || {
        for (from, to, at) in [(&a, &b, A), (&b, &a, B)] {
            let (sealed, _) = from.seal(NONE, &packets());
            assert_eq!(to.open(UDP, endpoint(at), &sealed).1, packets());
        }
    };
    seen(|seen| seen.keys_left = Some(0));
    for _ in 0..10 {
        exchange();
        assert_eq!([a.tick(1), b.tick(1)], [1, 1]);
    }
    assert_eq!(a.epochs(0), Ok((2, 2)), "it goes on in the epoch that it had");
    seen(|seen| seen.keys_left = None);
    assert_eq!([a.tick(1000), b.tick(1000)], [1, 1]);
    exchange();
    exchange();
    assert_eq!(a.epochs(0), Ok((3, 3)));
}

#[test]
fn what_is_no_epoch_key_is_refused() {
    let (a, _b) = pair(false, 0);
    let try_key = |change: fn(&mut dco_epoch_key_new)| a.epoch_key(1, [1; 32], [2; 32], change);
    for key_len in [0, 8, 16, 24, 31, 33, 64, u32::MAX] {
        let result = a.epoch_key(1, [1; 32], [2; 32], |key| (key.cipher, key.key_len) = (2, key_len));
        assert_eq!(result, -22, "ChaCha20 with {key_len}");
    }
    assert_eq!(try_key(|key| key.key_len = 20), -22);
    assert_eq!(try_key(|key| key.cipher = 0), -22);
    assert_eq!(try_key(|key| key.cipher = 3), -22);
    assert_eq!(try_key(|key| key.key_id = 8), -22);
    assert_eq!(try_key(|key| key.slot = 2), -22);
    assert_eq!(try_key(|key| key.peer_id = 6), -2);
    assert_eq!(try_key(|key| key.encrypt_secret = ptr::null()), -22);
    assert_eq!((a.epochs(0), a.epochs(1), seen(|seen| seen.keys_alive)), (Ok((1, 1)), Err(-2), 14));
    assert_eq!(a.key(5, 1, 3, 1, 2), 0);
    assert_eq!(a.epochs(1), Err(-2), "a classic key has no epochs");
    for (slot, id) in [(0, 1), (1, 3)] {
        let mut info = ffi::dco_key_info { key_id: 9, cipher: 9 };
        // SAFETY: the core is alive, the result is written to a variable.
        assert_eq!(unsafe { export::dco_core_key_get(a.0, 5, slot, &raw mut info) }, 0);
        assert_eq!((info.key_id, info.cipher), (id, 1));
    }
}
