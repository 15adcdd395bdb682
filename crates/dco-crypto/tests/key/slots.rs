//! Two keys, and which one opens what.

use crate::backends::{Call, Scripted};
use dco_crypto::{DataKey, Key, KeyConfig, KeySlot, KeySlots, NonceTail};
use dco_sync::Shared;
use dco_wire::{KeyId, PeerId};
use std::sync::Mutex;

fn key(calls: &Mutex<Vec<Call>>, key_id: u8, peer_id: u32) -> Shared<DataKey<Scripted<'_>>> {
    let cipher = || Scripted { answer: Ok(()), calls };
    let key = Key::try_new(KeyConfig {
        key_id,
        peer_id: Some(PeerId::from_low_bits(peer_id)),
        seal: cipher(),
        open: cipher(),
        seal_tail: NonceTail::new([0; 8]),
        open_tail: NonceTail::new([0; 8]),
    })
    .expect("memory");
    #[cfg(feature = "epoch")]
    let key = DataKey::Classic(key);
    Shared::try_new(key).expect("memory")
}

fn id(id: u8) -> KeyId {
    KeyId::new(id).expect("in range")
}

/// The peer-id a key writes: what tells the keys of these tests apart.
fn who(key: Option<&DataKey<Scripted<'_>>>) -> Option<u8> {
    let mut out = [0; 24];
    key?.seal(PeerId::UNDEFINED, &[], &mut out).expect("seals");
    Some(out[3])
}

#[test]
fn installing_and_swapping() {
    let calls = Mutex::new(Vec::new());
    let empty = KeySlots::new();
    assert!(empty.primary().is_none() && empty.secondary().is_none() && empty.for_key_id(id(0)).is_none());
    let first = empty.with_installed(KeySlot::Primary, key(&calls, 0, 10));
    assert_eq!((who(first.primary()), who(first.secondary())), (Some(10), None));
    let second = first.with_installed(KeySlot::Secondary, key(&calls, 1, 11));
    assert_eq!((who(second.primary()), who(second.secondary())), (Some(10), Some(11)));
    assert_eq!(
        (who(second.for_key_id(id(0))), who(second.for_key_id(id(1))), who(second.for_key_id(id(2)))),
        (Some(10), Some(11), None)
    );
    let swapped = second.swapped();
    assert_eq!((who(swapped.primary()), who(swapped.secondary())), (Some(11), Some(10)));
    assert_eq!((who(swapped.for_key_id(id(0))), who(swapped.for_key_id(id(1)))), (Some(10), Some(11)));
    let third = swapped.with_installed(KeySlot::Secondary, key(&calls, 2, 12));
    assert_eq!(
        (who(third.primary()), who(third.secondary()), who(third.for_key_id(id(0)))),
        (Some(11), Some(12), None)
    );
    let without = third.without(KeySlot::Primary);
    assert_eq!((who(without.primary()), who(without.secondary())), (None, Some(12)));
    let neither = without.without(KeySlot::Secondary).without(KeySlot::Secondary);
    assert!(neither.primary().is_none() && neither.secondary().is_none());
    // The pair before is as it was, and an empty slot is swapped like a full one.
    assert_eq!(who(second.primary()), Some(10));
    assert_eq!((who(first.swapped().primary()), who(first.swapped().secondary())), (None, Some(10)));
}

#[test]
fn the_primary_comes_first() {
    let calls = Mutex::new(Vec::new());
    let slots = KeySlots::default()
        .with_installed(KeySlot::Primary, key(&calls, 4, 1))
        .with_installed(KeySlot::Secondary, key(&calls, 4, 2));
    assert_eq!(who(slots.for_key_id(id(4))), Some(1));
    assert_eq!(who(slots.swapped().for_key_id(id(4))), Some(2));
}

#[test]
fn a_key_id_above_seven_matches_nothing() {
    let calls = Mutex::new(Vec::new());
    for key_id in [8, 12, 255] {
        let slots = KeySlots::new().with_installed(KeySlot::Primary, key(&calls, key_id, 1));
        assert!((0..8).all(|low| slots.for_key_id(id(low)).is_none()));
        let mut out = [0; 24];
        slots.primary().expect("installed").seal(PeerId::UNDEFINED, &[], &mut out).expect("seals");
        assert_eq!(out[0], 9 << 3 | key_id & 7);
    }
}

#[test]
fn a_key_counts_on_across_pairs() {
    let calls = Mutex::new(Vec::new());
    let before = KeySlots::new().with_installed(KeySlot::Primary, key(&calls, 0, 1));
    let after = before.swapped();
    let datagram = [&[0x48, 0, 0, 1, 0, 0, 0, 9][..], &[0; 16]].concat();
    assert!(before.for_key_id(id(0)).expect("installed").open(&datagram, &mut [], 0).is_ok());
    assert!(after.for_key_id(id(0)).expect("installed").open(&datagram, &mut [], 0).is_err());
    assert_eq!((who(before.primary()), who(after.secondary())), (Some(1), Some(1)));
    let ids: Vec<_> = calls.lock().expect("not poisoned").iter().map(|call| call.0[3]).collect();
    assert_eq!(ids, [9, 9, 1, 2]);
}
