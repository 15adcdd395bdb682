//! A byte stream in pieces, as TCP delivers it.

use dco_wire::stream::{Frames, MAX_FRAME, MAX_REST, PREFIX_LEN, prefix};

/// What a receiver of the stream does with it: frames, and whether it ended at a bad length.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    frames: Vec<Vec<u8>>,
    rest: Vec<u8>,
    broken: bool,
}

/// A number of sizes, the sizes of the pieces (used in turn; 0 stands for all that is left), then the stream.
pub fn run(input: &[u8]) {
    let Some((&sizes, rest)) = input.split_first() else { return };
    let (sizes, stream) = rest.split_at(rest.len().min(usize::from(sizes & 0x1f)));
    let want = reference(stream);
    assert_eq!(in_pieces(stream, sizes), want);
    assert_eq!(in_pieces(stream, &[1]), want);
    assert_eq!(in_pieces(stream, &[0]), want);
    let again: Vec<u8> =
        want.frames.iter().flat_map(|frame| [&prefix(frame.len()).expect("valid")[..], frame].concat()).collect();
    assert_eq!(again, stream[..again.len()], "writing the frames gives the stream they came from");
}

/// Byte by byte, without looking at how it is done elsewhere.
fn reference(stream: &[u8]) -> Outcome {
    let mut frames = Vec::new();
    let mut at = 0;
    loop {
        let left = stream.len() - at;
        if left < 2 {
            return Outcome { frames, rest: stream[at..].to_vec(), broken: false };
        }
        let len = usize::from(stream[at]) * 256 + usize::from(stream[at + 1]);
        if len == 0 || len > 2048 {
            return Outcome { frames, rest: Vec::new(), broken: true };
        }
        if left < 2 + len {
            return Outcome { frames, rest: stream[at..].to_vec(), broken: false };
        }
        frames.push(stream[at + 2..at + 2 + len].to_vec());
        at += 2 + len;
    }
}

fn in_pieces(stream: &[u8], sizes: &[u8]) -> Outcome {
    let mut outcome = Outcome { frames: Vec::new(), rest: Vec::new(), broken: false };
    let mut sizes = sizes.iter().copied().cycle();
    let mut left = stream;
    while !left.is_empty() {
        let size = match sizes.next().unwrap_or(0) {
            0 => left.len(),
            size => left.len().min(usize::from(size)),
        };
        let (piece, later) = left.split_at(size);
        left = later;
        outcome.rest.extend(piece);
        let buffer = std::mem::take(&mut outcome.rest);
        let mut frames = Frames::new(&buffer);
        while let Some(next) = frames.next() {
            let Ok(frame) = next else {
                assert!(frames.next().is_some_and(|again| again.is_err()), "a broken stream does not get better");
                return Outcome { broken: true, ..outcome };
            };
            assert!((1..=MAX_FRAME).contains(&frame.len()));
            outcome.frames.push(frame.to_vec());
        }
        assert!(frames.rest().len() <= MAX_REST);
        assert!(frames.rest().len() < PREFIX_LEN || frames.next().is_none());
        outcome.rest = frames.rest().to_vec();
    }
    outcome
}
