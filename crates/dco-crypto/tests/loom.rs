//! The replay window under every interleaving of two threads and, with the preemption bounds below, of more; and every value that the
//! memory order allows a load to see.
//!
//! ```text
//! RUSTFLAGS="--cfg loom" cargo test -p dco-crypto --release --test loom
//! ```
#![expect(unexpected_cfgs, reason = "cfg(loom) is set by hand to build the models")]
#![cfg(loom)]

use dco_crypto::{EXPIRY_MS, Window};
use loom::sync::Arc;
use loom::thread;

/// The smallest window: 16 ids in two words of 16.
type Small = Window<2>;

/// Checks `body` with at most `preemptions` involuntary switches, or with any number.
fn model(preemptions: Option<usize>, body: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = preemptions;
    builder.check(body);
}

/// Runs threads that offer ids at times, in order; returns how often each thread's offers were accepted.
fn offers(window: &Arc<Small>, threads: &'static [&'static [(u64, u64)]]) -> Vec<Vec<bool>> {
    let spawned: Vec<_> = threads
        .iter()
        .map(|offers| {
            let window = window.clone();
            thread::spawn(move || offers.iter().map(|&(id, now)| window.accept(id, now).is_ok()).collect())
        })
        .collect();
    spawned.into_iter().map(|thread| thread.join().expect("no panic")).collect()
}

/// How often an id was accepted.
fn times(threads: &[&[(u64, u64)]], accepted: &[Vec<bool>], id: u64) -> usize {
    threads
        .iter()
        .zip(accepted)
        .flat_map(|(t, a)| t.iter().zip(a))
        .filter(|(offer, accepted)| offer.0 == id && **accepted)
        .count()
}

#[test]
fn one_id_offered_twice_is_accepted_once() {
    const THREADS: &[&[(u64, u64)]] = &[&[(5, 0)], &[(5, 0)], &[(5, 0)]];
    model(Some(3), || {
        let window = Arc::new(Small::try_new().expect("memory"));
        let accepted = offers(&window, THREADS);
        assert_eq!(times(THREADS, &accepted, 5), 1);
    });
}

#[test]
fn neighbours_in_a_word_do_not_lose_each_other() {
    const THREADS: &[&[(u64, u64)]] = &[&[(3, 0), (4, 0)], &[(4, 0), (3, 0)]];
    model(None, || {
        let window = Arc::new(Small::try_new().expect("memory"));
        let accepted = offers(&window, THREADS);
        assert_eq!((times(THREADS, &accepted, 3), times(THREADS, &accepted, 4)), (1, 1));
        assert!(window.accept(3, 0).is_err() && window.accept(4, 0).is_err());
    });
}

#[test]
fn a_word_taken_over_never_accepts_the_old_id_again() {
    // 1 and 33 share a word; 33 puts 1 outside the window.
    const THREADS: &[&[(u64, u64)]] = &[&[(1, 0)], &[(33, 0), (1, 0)], &[(1, 0)]];
    model(Some(3), || {
        let window = Arc::new(Small::try_new().expect("memory"));
        let accepted = offers(&window, THREADS);
        assert!(times(THREADS, &accepted, 1) <= 1);
        assert_eq!(times(THREADS, &accepted, 33), 1);
        assert!(!accepted[1][1], "1 came after 33 and is 32 behind");
        assert!(window.accept(1, 0).is_err() && window.accept(33, 0).is_err());
        // The highest is not lost: 17 is within 16 of it, 16 ... is 17 behind.
        assert!(window.accept(17, 0).is_err() == (33 - 17 >= 16));
    });
}

#[test]
fn the_highest_id_is_never_lost() {
    const THREADS: &[&[(u64, u64)]] = &[&[(20, 0)], &[(30, 0)]];
    model(None, || {
        let window = Arc::new(Small::try_new().expect("memory"));
        let accepted = offers(&window, THREADS);
        assert!(accepted[1][0], "the highest is always new");
        assert!(accepted[0][0], "10 behind is within the window");
        assert!(window.accept(14, 0).is_err(), "16 behind 30");
        assert!(window.accept(15, 0).is_ok(), "15 behind 30");
    });
}

#[test]
fn nobody_takes_the_end_of_a_silence_for_the_past() {
    // 5 was accepted long ago. 8 and 7 arrive now, at once, and both are new; 4 is of the past.
    const THREADS: &[&[(u64, u64)]] = &[&[(8, EXPIRY_MS)], &[(7, EXPIRY_MS), (4, EXPIRY_MS)]];
    model(None, || {
        let window = Arc::new(Small::try_new().expect("memory"));
        assert!(window.accept(5, 0).is_ok());
        let accepted = offers(&window, THREADS);
        assert_eq!(accepted[0], [true]);
        assert_eq!(accepted[1], [true, false]);
        assert!(window.accept(6, EXPIRY_MS).is_ok(), "above what the silence closed");
        assert!(window.accept(3, EXPIRY_MS).is_err(), "below it");
    });
}

#[test]
fn the_past_stays_closed_whoever_ends_the_silence() {
    const THREADS: &[&[(u64, u64)]] = &[&[(6, EXPIRY_MS)], &[(4, EXPIRY_MS)], &[(3, EXPIRY_MS)]];
    model(Some(3), || {
        let window = Arc::new(Small::try_new().expect("memory"));
        assert!(window.accept(5, 0).is_ok());
        let accepted = offers(&window, THREADS);
        assert_eq!(accepted, [[true], [false], [false]]);
    });
}

#[cfg(feature = "epoch")]
mod epochs {
    use super::model;
    use dco_crypto::epoch::{Place, Receiving};
    use loom::sync::Arc;
    use loom::thread;

    #[test]
    fn the_highest_epoch_heard_is_current_and_one_before_it_retires() {
        model(None, || {
            let receiving = Arc::new(Receiving::new(1));
            let heard = [2, 4].map(|epoch| {
                let receiving = receiving.clone();
                thread::spawn(move || receiving.heard(epoch))
            });
            // Never backwards, and never a pair that was not.
            let (retiring, current) = receiving.epochs();
            assert!([(0, 1), (1, 2), (1, 4), (2, 4)].contains(&(retiring, current)));
            assert!(receiving.epochs().1 >= current);
            heard.into_iter().for_each(|thread| thread.join().expect("no panic"));
            let (retiring, current) = receiving.epochs();
            assert!(current == 4 && [1, 2].contains(&retiring));
            assert_eq!(receiving.place(retiring), Place::Retiring);
            assert_eq!(receiving.place(3 - retiring), Place::Retired);
            assert!(receiving.wanted());
        });
    }

    #[test]
    fn a_want_is_not_lost() {
        model(None, || {
            let receiving = Arc::new(Receiving::new(1));
            // Somebody wanted keys before.
            receiving.want();
            let hearing = {
                let receiving = receiving.clone();
                thread::spawn(move || receiving.heard(2))
            };
            let taken = receiving.take_wanted();
            let (_, current) = receiving.epochs();
            hearing.join().expect("no panic");
            assert!(taken);
            assert!(current == 2 || receiving.wanted(), "the maker of keys saw epoch {current} and is not asked again");
        });
    }
}
