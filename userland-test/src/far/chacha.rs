//! ChaCha20-Poly1305 as RFC 8439 has it: slow, plain, and no code of the driver's.

/// Bytes of a tag.
const TAG: usize = 16;

/// Seals in place; the tag.
pub fn seal(key: &[u8; 32], nonce: &[u8; 12], aad: &[u8], bytes: &mut [u8]) -> [u8; TAG] {
    stream(key, nonce, bytes);
    tag(key, nonce, aad, bytes)
}

/// Opens in place, if the tag is right.
pub fn open(key: &[u8; 32], nonce: &[u8; 12], aad: &[u8], bytes: &mut [u8], came: &[u8]) -> bool {
    let right = tag(key, nonce, aad, bytes) == came;
    if right {
        stream(key, nonce, bytes);
    }
    right
}

fn quarter(state: &mut [u32; 16], [a, b, c, d]: [usize; 4]) {
    for (into, from, turned, by) in [(a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)] {
        state[into] = state[into].wrapping_add(state[from]);
        state[turned] = (state[turned] ^ state[into]).rotate_left(by);
    }
}

fn word(bytes: &[u8]) -> u32 {
    bytes.iter().take(4).rev().fold(0, |word, &byte| word << 8 | u32::from(byte))
}

fn block(key: &[u8; 32], nonce: &[u8; 12], counter: u32) -> [u8; 64] {
    const COLUMNS: [[usize; 4]; 4] = [[0, 4, 8, 12], [1, 5, 9, 13], [2, 6, 10, 14], [3, 7, 11, 15]];
    const DIAGONALS: [[usize; 4]; 4] = [[0, 5, 10, 15], [1, 6, 11, 12], [2, 7, 8, 13], [3, 4, 9, 14]];
    let mut state = [0x6170_7865, 0x3320_646E, 0x7962_2D32, 0x6B20_6574, 0, 0, 0, 0, 0, 0, 0, 0, counter, 0, 0, 0];
    for (place, bytes) in key.chunks(4).enumerate() {
        state[4 + place] = word(bytes);
    }
    for (place, bytes) in nonce.chunks(4).enumerate() {
        state[13 + place] = word(bytes);
    }
    let mut mixed = state;
    for _ in 0..10 {
        COLUMNS.into_iter().chain(DIAGONALS).for_each(|places| quarter(&mut mixed, places));
    }
    let mut out = [0; 64];
    for (place, bytes) in out.chunks_mut(4).enumerate() {
        bytes.copy_from_slice(&mixed[place].wrapping_add(state[place]).to_le_bytes());
    }
    out
}

fn stream(key: &[u8; 32], nonce: &[u8; 12], bytes: &mut [u8]) {
    for (counter, chunk) in (1..).zip(bytes.chunks_mut(64)) {
        chunk.iter_mut().zip(block(key, nonce, counter)).for_each(|(byte, mask)| *byte ^= mask);
    }
}

/// Poly1305 over what RFC 8439, section 2.8, has it over. The number is kept in five limbs of 26 bits.
fn tag(key: &[u8; 32], nonce: &[u8; 12], aad: &[u8], sealed: &[u8]) -> [u8; TAG] {
    const MASK: u64 = (1 << 26) - 1;
    let once = block(key, nonce, 0);
    let limbs = |bytes: &[u8; 16], top: u64| {
        let number = u128::from_le_bytes(*bytes);
        let limb = |at: u32| (number >> (26 * at)) as u64 & MASK;
        [limb(0), limb(1), limb(2), limb(3), limb(4) | top << 24]
    };
    let half = |at: usize| std::array::from_fn(|place| once[at + place]);
    let r: [u8; 16] = (u128::from_le_bytes(half(0)) & 0x0FFF_FFFC_0FFF_FFFC_0FFF_FFFC_0FFF_FFFF).to_le_bytes();
    let r = limbs(&r, 0);
    let lengths = [(aad.len() as u64).to_le_bytes(), (sealed.len() as u64).to_le_bytes()].concat();
    let mut sum = [0u64; 5];
    for chunk in aad.chunks(16).chain(sealed.chunks(16)).chain([&lengths[..]]) {
        // All is padded to blocks, so each has its high bit in the same place.
        let mut padded = [0; 16];
        padded[..chunk.len()].copy_from_slice(chunk);
        sum.iter_mut().zip(limbs(&padded, 1)).for_each(|(sum, limb)| *sum += limb);
        let mut product = [0u64; 5];
        for (i, &left) in sum.iter().enumerate() {
            for (j, &right) in r.iter().enumerate() {
                // 2^130 is 5.
                product[(i + j) % 5] += left * right * if i + j < 5 { 1 } else { 5 };
            }
        }
        let mut carry = 0;
        for limb in &mut product {
            *limb += carry;
            carry = *limb >> 26;
            *limb &= MASK;
        }
        product[0] += carry * 5;
        product[1] += product[0] >> 26;
        product[0] &= MASK;
        sum = product;
    }
    let mut carry = 0;
    for limb in &mut sum {
        *limb += carry;
        carry = *limb >> 26;
        *limb &= MASK;
    }
    sum[0] += carry * 5;
    // At or above 2^130 - 5, take that off: adding 5 carries out of the top limb.
    let mut less = [0; 5];
    let mut carry = 5;
    for (out, limb) in less.iter_mut().zip(sum) {
        let with = limb + carry;
        carry = with >> 26;
        *out = with & MASK;
    }
    let reduced = if carry == 0 { sum } else { less };
    let number = reduced
        .iter()
        .enumerate()
        .fold(0u128, |number, (at, &limb)| number.wrapping_add(u128::from(limb) << (26 * at)));
    number.wrapping_add(u128::from_le_bytes(half(16))).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8439, section 2.8.2.
    #[test]
    fn the_example_of_the_rfc() {
        let key: [u8; 32] = std::array::from_fn(|place| 0x80 + place as u8);
        let nonce = [7, 0, 0, 0, 0x40, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47];
        let aad = [0x50, 0x51, 0x52, 0x53, 0xC0, 0xC1, 0xC2, 0xC3, 0xC4, 0xC5, 0xC6, 0xC7];
        let plain = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.";
        let mut bytes = plain.to_vec();
        let tag = seal(&key, &nonce, &aad, &mut bytes);
        assert_eq!(bytes[..8], [0xD3, 0x1A, 0x8D, 0x34, 0x64, 0x8E, 0x60, 0xDB]);
        let expected = [0x1A, 0xE1, 0x0B, 0x59, 0x4F, 0x09, 0xE2, 0x6A, 0x7E, 0x90, 0x2E, 0xCB, 0xD0, 0x60, 0x06, 0x91];
        assert_eq!(tag, expected);
        assert!(open(&key, &nonce, &aad, &mut bytes, &tag));
        assert_eq!(bytes, plain);
        assert!(!open(&key, &nonce, &aad, &mut bytes, &[0; 16]));
    }
}
