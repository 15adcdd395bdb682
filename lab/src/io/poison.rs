//! What fills buffers that a driver has to write, so that bytes which it has not written are known when they leave to the user.
//!
//! Each request has bytes of its own, so that no driver's output resembles them but by chance: eight in a row would be one
//! chance in 2^64 at each place. Four to seven in a row (a structure's padding) count when they come a second time at
//! the same place of the same request.

use crate::objects::Kind;
use crate::pool;
use crate::report::{Rule, stop};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

const UNINITIALISED: Rule = Rule::new(
    "io.uninitialised-output",
    "WDK: Failure to Initialize Output Buffers (kernel memory leaves to the user)",
);

/// Unwritten bytes in a row that are no chance, and that are hardly one.
const CERTAIN: usize = 8;
const LIKELY: usize = 4;
/// Places that are remembered as likely; a driver that has more has been found out.
const SUSPECTS: usize = 4096;

static NEXT: AtomicU64 = AtomicU64::new(0);
/// Request and offset of runs that were likely.
static SEEN: Mutex<BTreeSet<(String, usize)>> = Mutex::new(BTreeSet::new());

/// One request's bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Poison(u64);

impl Poison {
    /// Other than those before.
    pub(super) fn fresh() -> Self {
        let mut n = NEXT.fetch_add(1, Ordering::Relaxed);
        if n == 0 {
            let mut seed = [0u8; 8];
            // SAFETY: the buffer is ours.
            unsafe { libc::getrandom(seed.as_mut_ptr().cast(), seed.len(), 0) };
            n = u64::from_ne_bytes(seed);
            // Who came between has a number of the old sequence, which serves as well.
            NEXT.store(n.wrapping_add(1), Ordering::Relaxed);
        }
        Self(n)
    }

    /// The byte that stands at an offset: the sequence of splitmix64.
    fn byte(self, at: usize) -> u8 {
        let word = u64::try_from(at / 8).unwrap_or(0);
        let mut x = self
            .0
            .wrapping_mul(0xD134_2543_DE82_EF95)
            .wrapping_add(word.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (x ^ (x >> 31)).to_le_bytes()[at % 8]
    }

    /// A buffer of `size` bytes that begins with `input` and goes on with poison.
    pub(super) fn filled(self, kind: &'static Kind, size: usize, input: &[u8]) -> *mut u8 {
        let p = pool::alloc_lab(kind, size);
        // SAFETY: fresh block of `size` bytes, none of which another knows.
        let bytes = unsafe { std::slice::from_raw_parts_mut(p, size) };
        for (i, b) in bytes.iter_mut().enumerate() {
            *b = input.get(i).copied().unwrap_or_else(|| self.byte(i));
        }
        p
    }
}

/// The first run of unwritten bytes behind the input that is as long, and its length.
fn unwritten(output: &[u8], input_length: usize, poison: Poison, least: usize) -> Option<(usize, usize)> {
    let mut run = 0;
    for (i, b) in output.iter().enumerate().skip(input_length) {
        if *b == poison.byte(i) {
            run += 1;
            continue;
        }
        if run >= least {
            return Some((i - run, run));
        }
        run = 0;
    }
    (run >= least).then_some((output.len() - run, run))
}

/// Bytes that leave to the user must have been written by the driver, where they are not its input.
pub(super) fn check_written(output: &[u8], input_length: usize, poison: Poison, what: &str) {
    let found = unwritten(output, input_length, poison, CERTAIN).or_else(|| {
        let (at, length) = unwritten(output, input_length, poison, LIKELY)?;
        let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= SUSPECTS {
            seen.clear();
        }
        (!seen.insert((what.to_owned(), at))).then_some((at, length))
    });
    if let Some((at, length)) = found {
        stop(
            UNINITIALISED,
            &format!("{what}: {} bytes returned, {length} at offset {at} were not written", output.len()),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static BUFFER: Kind = Kind::of_lab("test.poison");

    #[test]
    fn a_buffer_begins_with_the_input_and_goes_on_with_what_is_known() {
        let poison = Poison::fresh();
        let p = poison.filled(&BUFFER, 64, &[1, 2, 3]);
        // SAFETY: the block has 64 bytes.
        let b = unsafe { std::slice::from_raw_parts_mut(p, 64) };
        assert_eq!(b.get(..3), Some(&[1, 2, 3][..]));
        assert_eq!(unwritten(b, 3, poison, CERTAIN), Some((3, 61)));
        b[3..60].fill(0x55);
        assert_eq!(unwritten(b, 3, poison, CERTAIN), None);
        assert_eq!(unwritten(b, 3, poison, LIKELY), Some((60, 4)));
        assert_eq!(unwritten(b, 61, poison, LIKELY), None);
        // Bytes of another request are nothing to this one.
        assert_eq!(unwritten(b, 3, Poison::fresh(), LIKELY), None);
        // SAFETY: the block is ours.
        unsafe { pool::free_lab(p) };
    }
}
