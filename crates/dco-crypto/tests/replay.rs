//! The replay window against a model that keeps every id it ever accepted.

use dco_crypto::{EXPIRY_MS, ID_BITS, Replay, ReplayWindow, Window};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU8, Ordering};

/// The rules, written down as they read.
#[derive(Clone, Default)]
struct Model {
    accepted: BTreeSet<u64>,
    closed_up_to: u64,
    last: Option<u64>,
}

impl Model {
    fn accept(&mut self, span: u64, id: u64, now: u64) -> bool {
        let highest = self.accepted.last().copied().unwrap_or(0);
        if self.last.is_some_and(|last| now >= last + EXPIRY_MS) {
            self.closed_up_to = highest;
        }
        let fresh = id > 0
            && id < 1 << 48
            && !self.accepted.contains(&id)
            && id > self.closed_up_to
            && (id > highest || highest - id < span);
        if fresh {
            self.accepted.insert(id);
            self.last = Some(now);
        }
        fresh
    }
}

/// Offers the same to a window and to the model; panics where they differ.
fn compare<const WORDS: usize>(offers: &[(u64, u64)]) {
    let window = Window::<WORDS>::try_new().expect("memory");
    let mut model = Model::default();
    for (at, &(id, now)) in offers.iter().enumerate() {
        let wanted = model.accept(Window::<WORDS>::SPAN, id, now);
        assert_eq!(window.accept(id, now).is_ok(), wanted, "offer {at} of {offers:?}");
    }
}

#[test]
fn spans() {
    assert_eq!(ReplayWindow::SPAN, 2048);
    assert_eq!(Window::<2>::SPAN, 16);
    assert_eq!(ID_BITS, 48);
}

/// Every sequence of four ids out of these, with a window of 16 in a ring of 32: within a word, across words, across the window's edge,
/// across the ring, and back.
#[test]
fn all_short_sequences_of_ids() {
    let ids = [
        0,
        1,
        2,
        14,
        15,
        16,
        17,
        18,
        31,
        32,
        33,
        34,
        47,
        48,
        49,
        63,
        64,
        65,
        81,
        1 << 47,
        (1 << 48) - 1,
        1 << 48,
        u64::MAX,
    ];
    for &a in &ids {
        for &b in &ids {
            for &c in &ids {
                for &d in &ids {
                    compare::<2>(&[(a, 0), (b, 0), (c, 0), (d, 0)]);
                }
            }
        }
    }
}

/// Every sequence of four ids up to 18 in the same small window: all orders, all repetitions.
#[test]
fn all_orders_within_a_window() {
    let mut offers = [(0, 0); 4];
    for code in 0..18u64.pow(4) {
        let mut rest = code;
        for offer in &mut offers {
            offer.0 = rest % 18 + 1;
            rest /= 18;
        }
        compare::<2>(&offers);
    }
}

/// Every sequence of four offers of five ids, each after one of four pauses around the 30 seconds.
#[test]
fn all_short_sequences_with_pauses() {
    let pauses = [0, 1, EXPIRY_MS - 1, EXPIRY_MS];
    for code in 0..(5u64 * 4).pow(4) {
        let mut rest = code;
        let mut now = 7;
        let mut offers = [(0, 0); 4];
        for offer in &mut offers {
            now += pauses[usize::try_from(rest % 4).expect("small")];
            rest /= 4;
            *offer = (rest % 5 + 1, now);
            rest /= 5;
        }
        compare::<2>(&offers);
    }
}

#[test]
fn the_edges_of_the_real_window() {
    for highest in [2048, 2049, 2050, 4095, 4096, 4097, 5000, 0xffff_ffff, (1 << 48) - 1] {
        for behind in [0, 1, 15, 16, 2031, 2032, 2046, 2047, 2048, 2049, 4095, 4096] {
            let window = ReplayWindow::try_new().expect("memory");
            assert_eq!(window.accept(highest, 0), Ok(()));
            let Some(id) = highest.checked_sub(behind) else { continue };
            let wanted = if behind == 0 || behind > 2047 || id == 0 { Err(Replay) } else { Ok(()) };
            assert_eq!(window.accept(id, 0), wanted, "{highest} - {behind}");
            assert_eq!(window.accept(id, 0), Err(Replay));
        }
    }
}

#[test]
fn a_whole_window_backwards() {
    let window = ReplayWindow::try_new().expect("memory");
    for id in (1..=2048).rev() {
        assert_eq!(window.accept(id, 0), Ok(()), "{id}");
    }
    for id in 0..=2048 {
        assert_eq!(window.accept(id, 0), Err(Replay));
    }
    assert_eq!(window.accept(2049, 0), Ok(()));
}

/// What must be taken and refused around a jump.
#[test]
fn jumps() {
    let window = ReplayWindow::try_new().expect("memory");
    for (id, accepted) in [
        (1, true),
        (1, false),
        (9, true),
        (8, true),
        (7, true),
        (7, false),
        (2048, true),
        (2047, true),
        (2047, false),
        (2050, true),
        (1, false),
        (2, false),
        (3, true),
        (100_000, true),
        (97_952, false),
        (97_953, true),
        (97_953, false),
        (2051, false),
        (1 << 40, true),
        ((1 << 40) - 2047, true),
        ((1 << 40) - 2048, false),
        (100_001, false),
    ] {
        assert_eq!(window.accept(id, 0).is_ok(), accepted, "{id}");
    }
}

#[test]
fn silence() {
    let window = ReplayWindow::try_new().expect("memory");
    assert_eq!(window.accept(10, 1_000_000), Ok(()));
    // Refusals do not prolong the time.
    assert_eq!(window.accept(10, 1_029_999), Err(Replay));
    assert_eq!(window.accept(9, 1_030_000), Err(Replay));
    assert_eq!(window.accept(12, 1_030_000), Ok(()));
    assert_eq!(window.accept(9, 1_030_000), Err(Replay));
    assert_eq!(window.accept(11, 1_059_999), Ok(()));
    // A clock that lags on another processor is no silence.
    assert_eq!(window.accept(14, 1_050_000), Ok(()));
    assert_eq!(window.accept(13, 1_089_998), Ok(()));
}

fn offers() -> impl Strategy<Value = Vec<(u64, u64)>> {
    let id = prop_oneof![
        4 => 0..70u64,
        3 => 1..3000u64,
        3 => 5000..9300u64,
        1 => 1_000_000..1_000_300u64,
        1 => (1u64 << 48) - 40..(1 << 48) + 3,
        1 => any::<u64>(),
    ];
    let pause = prop_oneof![20 => Just(0u64), 5 => 0..100u64, 1 => EXPIRY_MS - 2..EXPIRY_MS + 2];
    prop::collection::vec((id, pause), 0..200).prop_map(|offers| {
        let mut now = 0;
        offers
            .into_iter()
            .map(|(id, pause)| {
                now += pause;
                (id, now)
            })
            .collect()
    })
}

/// Ids as a network delivers them: rising, shuffled near by, some twice.
fn stream() -> impl Strategy<Value = Vec<(u64, u64)>> {
    (1..1u64 << 33, prop::collection::vec((0..2300u64, 0..3u64), 1..600)).prop_map(|(start, steps)| {
        let mut head = start;
        steps
            .into_iter()
            .map(|(back, ahead)| {
                head += ahead * 13;
                (head.saturating_sub(if back < 1800 { back % 40 } else { back }), 0)
            })
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn equals_the_model(offers in offers()) {
        compare::<256>(&offers);
        compare::<2>(&offers);
        compare::<8>(&offers);
    }

    #[test]
    fn equals_the_model_on_a_stream(offers in stream()) {
        compare::<256>(&offers);
        compare::<2>(&offers);
    }
}

/// Threads offer the same ids; none is accepted twice. (One that lags a window behind may lose its turn.)
#[test]
fn concurrent_offers() {
    const IDS: usize = 200_000;
    let window = ReplayWindow::try_new().expect("memory");
    let times: Vec<AtomicU8> = (0..=IDS).map(|_| AtomicU8::new(0)).collect();
    std::thread::scope(|scope| {
        for lag in [0, 3, 17] {
            let (window, times) = (&window, &times);
            scope.spawn(move || {
                for id in 1..=IDS {
                    let id = if id > lag { id - lag } else { id };
                    if window.accept(id as u64, 0).is_ok() {
                        times[id].fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert!(times.iter().all(|times| times.load(Ordering::Relaxed) <= 1));
}
