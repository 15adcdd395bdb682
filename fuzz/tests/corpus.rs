//! Replays the committed corpora, and a fixed number of mutations of them.

use std::fs;
use std::path::Path;

const MUTATIONS: usize = 20_000;

/// The inputs of a target, in the order of their names.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let mut inputs: Vec<_> = fs::read_dir(folder)
        .expect("the corpus is there")
        .map(|entry| {
            let path = entry.expect("readable").path();
            (path.display().to_string(), fs::read(&path).expect("readable"))
        })
        .collect();
    inputs.sort();
    assert!(!inputs.is_empty());
    inputs
}

/// A small generator of numbers, the same at every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % limit.max(1)
    }
}

/// Changes, removes, repeats or inserts a few bytes.
fn mutate(input: &mut Vec<u8>, numbers: &mut Numbers) {
    const INTERESTING: [u8; 12] = [0, 1, 2, 4, 6, 23, 44, 0x45, 0x48, 0x60, 0x80, 0xff];
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(input.len() + 1);
        let value = if numbers.below(2) == 0 {
            INTERESTING[numbers.below(INTERESTING.len())]
        } else {
            numbers.below(256) as u8
        };
        match (numbers.below(8), input.get_mut(at)) {
            (0, _) => input.truncate(at),
            (1, Some(_)) => {
                input.remove(at);
            }
            (2, _) => input.insert(at, value),
            (3, _) => {
                let part = input[at..].to_vec();
                input.extend(part);
                input.truncate(1000);
            }
            (_, Some(byte)) => *byte = value,
            (_, None) => (),
        }
    }
}

fn replay(target: &str, run: fn(&[u8])) {
    let inputs = corpus(target);
    for (name, input) in &inputs {
        println!("{name}");
        for len in 0..=input.len() {
            run(&input[..len]);
        }
    }
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    for _ in 0..MUTATIONS {
        let mut input = inputs[numbers.below(inputs.len())].1.clone();
        mutate(&mut input, &mut numbers);
        run(&input);
    }
}

#[test]
fn wire() {
    replay("wire", dco_fuzz::wire::run);
}

#[test]
fn uapi() {
    replay("uapi", dco_fuzz::uapi::run);
}

#[test]
fn key() {
    replay("key", dco_fuzz::key::run);
}

#[test]
fn epoch() {
    replay("epoch", dco_fuzz::epoch::run);
}

#[test]
fn sequence() {
    replay("sequence", dco_fuzz::sequence::run);
}

#[test]
fn server() {
    replay("server", dco_fuzz::server::run);
}

#[test]
fn requests() {
    replay("requests", dco_fuzz::requests::run);
}

#[test]
fn control() {
    replay("control", dco_fuzz::control::run);
}

#[test]
fn stream() {
    replay("stream", dco_fuzz::stream::run);
}
