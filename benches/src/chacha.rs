//! ChaCha20-Poly1305 in software (`dco-chacha`, as the driver has it: SSE2 and portable code) beside OpenSSL's, which uses whatever the
//! processor has. For information: nothing is judged.

use std::hint::black_box;
use std::time::Instant;

use dco_chacha::ChaChaKey;
use dco_crypto::{Aead, Nonce};
use dco_testkit::TestAead;
use dco_testkit::aead::Direction;

const PACKETS: u32 = 1_000;

/// Prints a table: nanoseconds per packet and megabytes per second, medians over `rounds`.
pub fn run(rounds: usize) {
    let secret = [0x42; 32];
    let software = ChaChaKey::try_new(&secret).expect("memory");
    let key = |direction| TestAead::chacha(&secret, direction).expect("a key");
    println!("ChaCha20-Poly1305, one thread; {rounds} rounds of {PACKETS} packets, medians\n");
    println!("        bytes   software ns    MB/s   OpenSSL ns    MB/s");
    for bytes in [1420, 64] {
        let seal = [seal(&software, bytes, rounds), seal(&key(Direction::Seal), bytes, rounds)];
        let open = [open(&software, &software, bytes, rounds), open(&software, &key(Direction::Open), bytes, rounds)];
        for (name, [software, openssl]) in [("seal", seal), ("open", open)] {
            let rate = |ns: f64| bytes as f64 * 1e3 / ns;
            println!(
                "{name:<6} {bytes:>6} {software:>13.1} {:>7.0} {openssl:>12.1} {:>7.0}",
                rate(software),
                rate(openssl)
            );
        }
    }
}

fn nonce(id: u32) -> Nonce {
    let mut nonce = [9; 12];
    nonce[..4].copy_from_slice(&id.to_be_bytes());
    nonce
}

fn seal(key: &impl Aead, bytes: usize, rounds: usize) -> f64 {
    let (plain, mut out, mut tag) = (vec![7; bytes], vec![0; bytes], [0; 16]);
    median(rounds, || {
        for id in 0..PACKETS {
            key.seal(&nonce(id), &[1; 8], &plain, &mut out, &mut tag).expect("sealed");
            black_box((&out, &tag));
        }
    })
}

fn open(sealer: &impl Aead, key: &impl Aead, bytes: usize, rounds: usize) -> f64 {
    let (plain, mut cipher, mut tag, mut out) = (vec![7; bytes], vec![0; bytes], [0; 16], vec![0; bytes]);
    sealer.seal(&nonce(1), &[1; 8], &plain, &mut cipher, &mut tag).expect("sealed");
    median(rounds, || {
        for _ in 0..PACKETS {
            key.open(&nonce(1), &[1; 8], &cipher, &tag, &mut out).expect("authentic");
            black_box(&out);
        }
    })
}

/// Nanoseconds per packet.
fn median(rounds: usize, mut round: impl FnMut()) -> f64 {
    round();
    let mut times: Vec<f64> = (0..rounds)
        .map(|_| {
            let start = Instant::now();
            round();
            start.elapsed().as_nanos() as f64 / f64::from(PACKETS)
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
