//! Lowering the maximum segment size that a TCP SYN announces, so that the segments it asks for fit the tunnel.
//!
//! OpenVPN's `--mssfix` as the driver does it: both directions, SYN and SYN-ACK alike; IPv4 is held to the configured size, IPv6 to 20
//! less (its header is 20 longer); fragments but the first are left alone; so is a packet whose stated length is not its length, and
//! one whose TCP header or options are malformed. The checksum is adjusted for what changed, so a wrong one stays wrong.

use core::ops::Range;

use crate::ip::{self, Fragment, Version};

const TCP_HEADER_LEN: usize = 20;
const SYN: u8 = 0x02;
/// Where the checksum lies in a TCP header.
const CHECKSUM: usize = 16;
/// IPv6's header is this much longer than IPv4's.
const V6_EXTRA: u16 = 20;

const OPTION_END: u8 = 0;
const OPTION_NOP: u8 = 1;
const OPTION_MSS: u8 = 2;

/// Whether [`clamp`] with this limit would change `packet`, the complete inner packet.
///
/// For a caller that must copy a packet before it may change it.
#[inline]
#[must_use]
pub fn would_clamp(packet: &[u8], limit: u16) -> bool {
    let Some((range, limit)) = syn(packet, limit) else { return false };
    packet.get(range).and_then(|tcp| next_above(tcp, TCP_HEADER_LEN, limit)).is_some()
}

/// Lowers every MSS option in `packet`, the complete inner packet, that is above the limit; adjusts the TCP checksum. `limit` is the
/// peer's setting in bytes, for IPv4; 0 is off, and so is a limit that leaves nothing for IPv6. True if the packet was changed.
#[inline]
pub fn clamp(packet: &mut [u8], limit: u16) -> bool {
    let Some((range, limit)) = syn(packet, limit) else { return false };
    match packet.get_mut(range) {
        Some(tcp) => lower_all(tcp, limit),
        None => false,
    }
}

/// Where the TCP header of a SYN lies, options included, and the limit for its IP version. `None` if there is nothing to clamp.
#[inline]
fn syn(packet: &[u8], limit: u16) -> Option<(Range<usize>, u16)> {
    // Most packets are not SYNs: find that out from as few bytes as possible.
    let limit = match ip::version(packet)? {
        Version::V4 if packet.get(9) == Some(&ip::TCP) => limit,
        Version::V4 => return None,
        Version::V6 => limit.checked_sub(V6_EXTRA)?,
    };
    if limit == 0 {
        return None;
    }
    let header = ip::parse(packet).ok()?;
    if header.protocol != ip::TCP || header.fragment == Fragment::Later || header.total_len != packet.len() {
        return None;
    }
    let tcp = packet.get(header.header_len..)?;
    let &[_, _, _, _, _, _, _, _, _, _, _, _, offset, flags] = tcp.first_chunk()?;
    let len = usize::from(offset >> 4) << 2;
    // A header without options announces nothing; one longer than the packet is malformed.
    if flags & SYN == 0 || len <= TCP_HEADER_LEN || len > tcp.len() {
        return None;
    }
    Some((header.header_len..header.header_len.checked_add(len)?, limit))
}

/// An MSS option above the limit: where its two bytes lie in the TCP header, what they say, where the next option begins.
struct Above {
    value_at: usize,
    value: u16,
    next: usize,
}

/// The first MSS option above `limit` at or after `at`, an option's start. Stops at the end of the options and at the first malformed
/// one; each step consumes at least a byte of a header of at most 60.
fn next_above(tcp: &[u8], mut at: usize, limit: u16) -> Option<Above> {
    loop {
        match tcp.get(at..)? {
            [] | [OPTION_END, ..] => return None,
            [OPTION_NOP, ..] => at = at.checked_add(1)?,
            &[kind, len, ref body @ ..] => {
                let body = body.get(..usize::from(len).checked_sub(2)?)?;
                let next = at.checked_add(usize::from(len))?;
                if let (OPTION_MSS, &[hi, lo]) = (kind, body) {
                    let value = u16::from_be_bytes([hi, lo]);
                    if value > limit {
                        return Some(Above { value_at: at.checked_add(2)?, value, next });
                    }
                }
                at = next;
            }
            [_] => return None,
        }
    }
}

/// Lowers every MSS option of a TCP header to `limit`; true if there was one above it.
fn lower_all(tcp: &mut [u8], limit: u16) -> bool {
    let mut at = TCP_HEADER_LEN;
    let mut changed = false;
    while let Some(above) = next_above(tcp, at, limit) {
        at = above.next;
        let Some(place) = tcp.get_mut(above.value_at..).and_then(|t| t.first_chunk_mut::<2>()) else { break };
        *place = limit.to_be_bytes();
        if let Some(checksum) = tcp.get_mut(CHECKSUM..).and_then(|t| t.first_chunk_mut::<2>()) {
            // A value that straddles two of the checksum's words counts with its bytes exchanged.
            let (old, new) = if above.value_at & 1 == 0 {
                (above.value, limit)
            } else {
                (above.value.swap_bytes(), limit.swap_bytes())
            };
            *checksum = adjusted(u16::from_be_bytes(*checksum), old, new).to_be_bytes();
        }
        changed = true;
    }
    changed
}

/// The Internet checksum after one of its 16-bit words went from `old` to `new` (RFC 1624, equation 3).
///
/// Of ones' complement's two zeroes the sum here is 0xFFFF, so the checksum 0, as where it is computed in whole: the sum's words are all
/// zero only if `new` is, and no limit is 0.
#[inline]
fn adjusted(checksum: u16, old: u16, new: u16) -> u16 {
    let sum = u32::from(!checksum).wrapping_add(u32::from(!old)).wrapping_add(u32::from(new));
    let sum = (sum & 0xffff).wrapping_add(sum >> 16);
    let sum = (sum & 0xffff).wrapping_add(sum >> 16);
    let [_, _, hi, lo] = sum.to_be_bytes();
    !u16::from_be_bytes([hi, lo])
}

#[cfg(test)]
mod tests {
    use super::adjusted;

    /// The checksum of 16-bit words, computed in whole.
    fn checksum(words: &[u16]) -> u16 {
        let mut sum: u64 = words.iter().map(|&w| u64::from(w)).sum();
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !u16::try_from(sum).expect("folded")
    }

    const EDGES: [u16; 14] = [0, 1, 2, 0x7f, 0x80, 0xff, 0x100, 0x101, 0x5a4, 0x7fff, 0x8000, 0xff00, 0xfffe, 0xffff];

    #[test]
    fn adjusting_equals_recomputing_at_the_edges() {
        for rest in EDGES.into_iter().filter(|&rest| rest != 0) {
            for old in EDGES {
                for new in EDGES {
                    assert_eq!(
                        adjusted(checksum(&[rest, old]), old, new),
                        checksum(&[rest, new]),
                        "{rest} {old} {new}"
                    );
                }
            }
        }
    }

    #[test]
    fn adjusting_equals_recomputing_for_every_value_of_one_word() {
        for word in 0..=u16::MAX {
            assert_eq!(adjusted(checksum(&[6, word]), word, 1360), checksum(&[6, 1360]));
            assert_eq!(adjusted(checksum(&[6, 1460]), 1460, word), checksum(&[6, word]));
            assert_eq!(adjusted(checksum(&[6, word, 1460]), 1460, 1360), checksum(&[6, word, 1360]));
        }
    }

    #[test]
    fn the_other_zero_is_taken_for_zero() {
        // A sender that writes 0xFFFF for 0 is accepted by every receiver; the result is still the computed one.
        let rest = !1460;
        assert_eq!(checksum(&[rest, 1460]), 0);
        assert_eq!(adjusted(0xffff, 1460, 1360), checksum(&[rest, 1360]));
        assert_eq!(adjusted(0, 1460, 1360), checksum(&[rest, 1360]));
        // And where the new sum is zero the checksum is 0, not 0xFFFF.
        let rest = !1360;
        assert_eq!(adjusted(checksum(&[rest, 1460]), 1460, 1360), 0);
    }
}
