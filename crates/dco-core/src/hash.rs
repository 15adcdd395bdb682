//! A keyed hash of a few words, so that nobody outside can choose names that fall into one bucket.

/// SipHash-2-4 (Aumasson and Bernstein, 2012) of the words' little-endian bytes.
#[must_use]
pub(crate) fn hash(seed: [u64; 2], words: &[u64]) -> u64 {
    let [k0, k1] = seed;
    let mut state = [
        k0 ^ 0x736f_6d65_7073_6575,
        k1 ^ 0x646f_7261_6e64_6f6d,
        k0 ^ 0x6c79_6765_6e65_7261,
        k1 ^ 0x7465_6462_7974_6573,
    ];
    for word in words {
        absorb(&mut state, *word);
    }
    absorb(&mut state, (words.len() as u64) << 59);
    let [a, b, c, d] = state;
    state = [a, b, c ^ 0xff, d];
    for _ in 0..4 {
        round(&mut state);
    }
    let [a, b, c, d] = state;
    a ^ b ^ c ^ d
}

fn absorb(state: &mut [u64; 4], word: u64) {
    let [_, _, _, d] = state;
    *d ^= word;
    round(state);
    round(state);
    let [a, ..] = state;
    *a ^= word;
}

fn round(state: &mut [u64; 4]) {
    let [mut a, mut b, mut c, mut d] = *state;
    a = a.wrapping_add(b);
    c = c.wrapping_add(d);
    b = b.rotate_left(13) ^ a;
    d = d.rotate_left(16) ^ c;
    a = a.rotate_left(32);
    c = c.wrapping_add(b);
    a = a.wrapping_add(d);
    b = b.rotate_left(17) ^ c;
    d = d.rotate_left(21) ^ a;
    c = c.rotate_left(32);
    *state = [a, b, c, d];
}

#[cfg(test)]
mod tests {
    use super::hash;
    use core::hash::Hasher;

    /// Against another implementation: core's, which has no other fault than its name's promise.
    #[test]
    #[expect(deprecated, reason = "std's hasher may be another algorithm one day; this one is SipHash-2-4")]
    fn it_is_siphash_2_4() {
        for words in [&[][..], &[0], &[1, 2], &[u64::MAX, 7, 0x0123_4567_89ab_cdef]] {
            for seed in [[0, 0], [1, 2], [u64::MAX, 0xdead_beef]] {
                let mut other = core::hash::SipHasher::new_with_keys(seed[0], seed[1]);
                words.iter().for_each(|word| other.write(&word.to_le_bytes()));
                assert_eq!(hash(seed, words), other.finish(), "{seed:?} {words:?}");
            }
        }
    }
}
