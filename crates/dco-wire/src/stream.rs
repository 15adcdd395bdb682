//! Frames of a byte stream: OpenVPN over TCP puts each packet behind its length, 16 bits, big-endian (socket.c, `stream_buf`).
//!
//! A length that cannot be means that reader and writer no longer agree on where frames begin. Nothing in the stream says where the
//! next one is, so there is no way to go on: the connection ends.

/// Bytes of the length before each frame.
pub const PREFIX_LEN: usize = 2;

/// The longest frame that is valid, in bytes, its length not counted, unless both ends have agreed on longer packets.
pub const MAX_FRAME: usize = 2048;

/// The most bytes that can be left of an unfinished frame, its length counted.
pub const MAX_REST: usize = PREFIX_LEN + MAX_FRAME - 1;

/// What stands before a frame of `len` bytes; `None` for a length that is not valid.
#[inline]
#[must_use]
pub fn prefix(len: usize) -> Option<[u8; PREFIX_LEN]> {
    prefix_within(len, MAX_FRAME)
}

/// The same where frames of up to `max_frame` bytes are valid; 65535 is the most that any may have.
#[inline]
#[must_use]
pub fn prefix_within(len: usize, max_frame: usize) -> Option<[u8; PREFIX_LEN]> {
    if len == 0 || len > max_frame {
        return None;
    }
    u16::try_from(len).ok().map(u16::to_be_bytes)
}

/// A frame claims to be this long: 0, or more than is valid.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BadLength(pub u16);

impl core::fmt::Display for BadLength {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "a frame of {} bytes", self.0)
    }
}

impl core::error::Error for BadLength {}

/// The whole frames at the front of a piece of the stream that begins with a frame.
///
/// Yields each frame without its length, or the bad length at which the stream ends. What is left when it yields `None` is
/// [`rest`](Self::rest): the beginning of a frame, to be put before the bytes that arrive next.
#[derive(Clone, Debug)]
pub struct Frames<'a> {
    rest: &'a [u8],
    max_frame: usize,
}

impl<'a> Frames<'a> {
    /// Starts at the first byte of a frame.
    #[inline]
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self::within(bytes, MAX_FRAME)
    }

    /// The same where frames of up to `max_frame` bytes are valid.
    #[inline]
    #[must_use]
    pub const fn within(bytes: &'a [u8], max_frame: usize) -> Self {
        Self { rest: bytes, max_frame }
    }

    /// The bytes after the last frame that was yielded.
    #[inline]
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Result<&'a [u8], BadLength>;

    /// After an error the same error again: the stream does not get better.
    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (length, after) = self.rest.split_first_chunk()?;
        let length = u16::from_be_bytes(*length);
        if prefix_within(usize::from(length), self.max_frame).is_none() {
            return Some(Err(BadLength(length)));
        }
        let (frame, rest) = after.split_at_checked(usize::from(length))?;
        self.rest = rest;
        Some(Ok(frame))
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::{vec, vec::Vec};

    /// A small generator of numbers, the same at every run.
    struct Numbers(u64);

    impl Numbers {
        fn below(&mut self, limit: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 >> 11) as usize % limit
        }
    }

    fn frame(len: usize, fill: u8) -> Vec<u8> {
        let mut bytes = prefix(len).expect("a valid length").to_vec();
        bytes.extend(std::iter::repeat_n(fill, len));
        bytes
    }

    /// What a receiver makes of pieces: the frames, and the length it broke at.
    fn reassemble<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Vec<u8>>, Vec<u8>, Option<BadLength>) {
        let (mut got, mut rest) = (Vec::new(), Vec::new());
        for piece in pieces {
            let mut buffer = rest;
            buffer.extend(piece);
            let mut frames = Frames::new(&buffer);
            while let Some(next) = frames.next() {
                match next {
                    Ok(frame) => got.push(frame.to_vec()),
                    Err(bad) => return (got, frames.rest().to_vec(), Some(bad)),
                }
            }
            rest = frames.rest().to_vec();
            assert!(rest.len() <= MAX_REST);
        }
        (got, rest, None)
    }

    #[test]
    fn prefix_is_the_length_big_endian() {
        assert_eq!(prefix(1), Some([0, 1]));
        assert_eq!(prefix(0x0102), Some([1, 2]));
        assert_eq!(prefix(MAX_FRAME), Some([8, 0]));
        assert_eq!(prefix(0), None);
        assert_eq!(prefix(MAX_FRAME + 1), None);
        assert_eq!(prefix_within(9216, 9216), Some([36, 0]));
        assert_eq!(prefix_within(9217, 9216), None);
        assert_eq!(prefix_within(65_536, usize::MAX), None);
        assert_eq!(prefix(0x1_0001), None);
    }

    #[test]
    fn no_byte_and_one_byte_are_the_beginning_of_a_frame() {
        for rest in [&[][..], &[0], &[8], &[0xff]] {
            let mut frames = Frames::new(rest);
            assert_eq!(frames.next(), None);
            assert_eq!(frames.rest(), rest);
        }
    }

    #[test]
    fn a_frame_without_its_last_byte_is_left() {
        for len in [1, 2, 255, 256, 257, MAX_FRAME - 1, MAX_FRAME] {
            let whole = frame(len, 7);
            let cut = &whole[..whole.len() - 1];
            let mut frames = Frames::new(cut);
            assert_eq!(frames.next(), None);
            assert_eq!(frames.rest(), cut);
            let mut frames = Frames::new(&whole);
            assert_eq!(frames.next(), Some(Ok(&whole[PREFIX_LEN..])));
            assert_eq!((frames.next(), frames.rest()), (None, &[][..]));
        }
    }

    #[test]
    fn every_length_is_valid_or_ends_the_stream() {
        for length in 0..=u16::MAX {
            let mut bytes = length.to_be_bytes().to_vec();
            bytes.resize(PREFIX_LEN + usize::from(length), 1);
            let mut frames = Frames::new(&bytes);
            if (1..=2048).contains(&length) {
                assert_eq!(frames.next(), Some(Ok(&bytes[PREFIX_LEN..])));
            } else {
                assert_eq!(frames.next(), Some(Err(BadLength(length))));
                assert_eq!(frames.next(), Some(Err(BadLength(length))), "and stays broken");
                assert_eq!(frames.rest(), bytes, "where it broke");
            }
        }
    }

    #[test]
    fn frames_before_a_bad_length_are_whole() {
        let stream = [frame(3, 1), frame(2048, 2), vec![0, 0], frame(5, 3)].concat();
        for cut in 0..=stream.len() {
            let (got, rest, broken) = reassemble([&stream[..cut], &stream[cut..]]);
            assert_eq!(got, [vec![1; 3], vec![2; 2048]]);
            assert_eq!(broken, Some(BadLength(0)));
            assert_eq!(rest[..2], [0, 0]);
        }
    }

    #[test]
    fn each_split_gives_the_same_frames() {
        let lengths = [1, 2, 3, 255, 256, 257, 511, 512];
        let stream: Vec<u8> = lengths.iter().flat_map(|len| frame(*len, *len as u8)).collect();
        let want: Vec<Vec<u8>> = lengths.iter().map(|len| vec![*len as u8; *len]).collect();
        for cut in 0..=stream.len() {
            assert_eq!(reassemble([&stream[..cut], &stream[cut..]]), (want.clone(), vec![], None), "cut at {cut}");
        }
        for size in [1, 2, 3, 5, 7] {
            assert_eq!(reassemble(stream.chunks(size)), (want.clone(), vec![], None), "pieces of {size}");
            // The length's two bytes apart, at odd and at even places.
            let (first, others) = stream.split_at(1);
            let pieces = core::iter::once(first).chain(others.chunks(size));
            assert_eq!(reassemble(pieces), (want.clone(), vec![], None), "one byte, then pieces of {size}");
        }
    }

    #[test]
    fn any_fragmentation_gives_the_same_frames() {
        let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
        for _ in 0..2_000 {
            let mut want = Vec::new();
            let mut stream = Vec::new();
            for n in 0..numbers.below(20) {
                let len = match numbers.below(4) {
                    0 => 1 + numbers.below(3),
                    1 => MAX_FRAME - numbers.below(3),
                    _ => 1 + numbers.below(MAX_FRAME),
                };
                stream.extend(frame(len, n as u8));
                want.push(vec![n as u8; len]);
            }
            let broken = (numbers.below(2) == 0).then_some(BadLength(0));
            if broken.is_some() {
                stream.extend([0, 0]);
            }
            let mut pieces = Vec::new();
            let mut left = &stream[..];
            let largest = 1 + numbers.below(5000);
            while !left.is_empty() {
                let (piece, rest) = left.split_at(left.len().min(1 + numbers.below(largest)));
                pieces.push(piece);
                left = rest;
            }
            let (got, _, end) = reassemble(pieces);
            assert_eq!((got, end), (want, broken));
        }
    }
}
