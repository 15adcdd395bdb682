//! Control packets on their way to a reader: what comes from outside, kept, read and forgotten in any order, against a plain queue.

use dco_core::{Backlog, Sender, Shares};
use std::collections::VecDeque;

/// Two bytes an operation: what, and how much.
pub fn run(input: &[u8]) {
    let mut backlog = Backlog::try_new(Shares::POINT_TO_POINT).expect("memory");
    let mut model: VecDeque<Vec<u8>> = VecDeque::new();
    for (number, &[what, amount]) in input.as_chunks::<2>().0.iter().enumerate() {
        let fill = u8::try_from(number % 251).expect("below");
        // Short ones, long ones, and those around the limit.
        let len = match what >> 4 {
            0..8 => usize::from(amount),
            8..12 => usize::from(amount) * 9,
            _ => 2048 - 128 + usize::from(amount),
        };
        let packet = vec![fill; len];
        let fits = len <= 2048 && model.len() < 64;
        match what & 0xf {
            0..=5 => {
                let room = backlog.free(Sender::ONLY, || false).and_then(|room| room.get_mut(..len));
                assert_eq!(room.is_some(), fits);
                if let Some(room) = room {
                    room.copy_from_slice(&packet);
                    assert!(backlog.commit(Sender::ONLY, len));
                    model.push_back(packet);
                }
            }
            // As a datagram in pieces: put together in place, then either read at once or kept.
            6..=8 => {
                let room = backlog.free(Sender::ONLY, || false);
                assert_eq!(room.is_some(), model.len() < 64);
                if let Some(place) = room.and_then(|room| room.get_mut(..len)) {
                    place.fill(fill);
                    if what & 1 == 0 {
                        assert!(backlog.commit(Sender::ONLY, len));
                        model.push_back(packet);
                    }
                } else {
                    assert!(!backlog.commit(Sender::ONLY, len));
                }
            }
            9..=13 => {
                assert_eq!(backlog.oldest(), model.front().map(Vec::as_slice));
                backlog.pop();
                model.pop_front();
            }
            14 => assert_eq!(backlog.oldest(), model.front().map(Vec::as_slice)),
            _ => {
                backlog.clear();
                model.clear();
            }
        }
        assert_eq!((backlog.len(), backlog.is_empty()), (model.len(), model.is_empty()));
    }
    while let Some(expected) = model.pop_front() {
        assert_eq!(backlog.oldest(), Some(&expected[..]));
        backlog.pop();
    }
    assert!(backlog.oldest().is_none());
}
