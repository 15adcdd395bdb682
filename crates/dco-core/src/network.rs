//! Networks that are routed to peers, and which prefix lengths are in use.

use core::{
    array,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
};

use dco_sync::{Box, OutOfMemory, try_box_slice};

use crate::endpoint::address_words;

/// All addresses with the same first bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// Zero beyond the prefix.
    address: IpAddr,
    len: u8,
}

impl Network {
    /// The network of this prefix length that `address` is in; `None` for a length beyond 32 (IPv4) or 128 (IPv6).
    #[must_use]
    pub fn new(address: IpAddr, len: u8) -> Option<Self> {
        let rest = address_bits(address).checked_sub(len)?;
        let address = match address {
            IpAddr::V4(v4) => {
                let mask = u32::MAX.checked_shl(rest.into()).unwrap_or(0);
                Ipv4Addr::from_bits(v4.to_bits() & mask).into()
            }
            IpAddr::V6(v6) => {
                let mask = u128::MAX.checked_shl(rest.into()).unwrap_or(0);
                Ipv6Addr::from_bits(v6.to_bits() & mask).into()
            }
        };
        Some(Self { address, len })
    }

    /// The first of its addresses.
    #[must_use]
    pub fn address(self) -> IpAddr {
        self.address
    }

    /// What is hashed.
    pub(crate) fn words(self) -> [u64; 3] {
        let [high, low] = address_words(self.address);
        [u64::from(self.address.is_ipv6()) << 8 | u64::from(self.len), high, low]
    }

    /// Its place among [`Lengths`].
    fn place(self) -> (usize, u32) {
        let first = usize::from(self.address.is_ipv6());
        (first.saturating_add(usize::from(self.len / 64)), u32::from(self.len % 64))
    }
}

const fn address_bits(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

/// Words of 64 lengths each: IPv4's 0 to 32, then IPv6's 0 to 128.
const WORDS: usize = 4;

/// Which prefix lengths have networks. Readers look at a bit per length; control alone counts.
pub(crate) struct Lengths {
    bits: [AtomicU64; WORDS],
    /// A count per bit.
    counts: Box<[AtomicU32]>,
}

impl Lengths {
    pub(crate) fn try_new() -> Result<Self, OutOfMemory> {
        let counts = try_box_slice(WORDS * 64, |_| Ok(AtomicU32::new(0)))?;
        Ok(Self { bits: array::from_fn(|_| AtomicU64::new(0)), counts })
    }

    /// A network was added. Control only, as the next.
    pub(crate) fn add(&self, network: Network) {
        self.change(network, |count| count.saturating_add(1));
    }

    /// A network was removed.
    pub(crate) fn remove(&self, network: Network) {
        self.change(network, |count| count.saturating_sub(1));
    }

    fn change(&self, network: Network, change: impl FnOnce(u32) -> u32) {
        let (word, bit) = network.place();
        let count = self.counts.get(word.saturating_mul(64).saturating_add(bit as usize));
        let (Some(bits), Some(count)) = (self.bits.get(word), count) else { return };
        let left = change(count.load(Ordering::Relaxed));
        count.store(left, Ordering::Relaxed);
        let mask = 1u64.checked_shl(bit).unwrap_or(0);
        let others = bits.load(Ordering::Relaxed) & !mask;
        // Whoever sees the bit a little late takes the packet for one that came a little earlier.
        bits.store(if left == 0 { others } else { others | mask }, Ordering::Relaxed);
    }

    /// The networks that may contain `address`, the longest first.
    #[inline]
    pub(crate) fn around(&self, address: IpAddr) -> impl Iterator<Item = Network> {
        let words = if address.is_ipv4() { self.bits.get(..1) } else { self.bits.get(1..) };
        let words = words.unwrap_or(&[]).iter().enumerate().rev();
        words.flat_map(move |(word, bits)| {
            let mut left = bits.load(Ordering::Relaxed);
            core::iter::from_fn(move || {
                let bit = left.checked_ilog2()?;
                left ^= 1u64.checked_shl(bit)?;
                let len = word.checked_mul(64)?.checked_add(bit as usize)?;
                Some(u8::try_from(len).ok().and_then(|len| Network::new(address, len)))
            })
            .flatten()
        })
    }

    /// Whether there is no network in the address's family.
    #[inline]
    pub(crate) fn none_around(&self, address: IpAddr) -> bool {
        let words = if address.is_ipv4() { self.bits.get(..1) } else { self.bits.get(1..) };
        words.unwrap_or(&[]).iter().all(|bits| bits.load(Ordering::Relaxed) == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn a_network_is_masked_and_has_a_possible_length() {
        let v4: IpAddr = [10, 1, 2, 255].into();
        assert_eq!(Network::new(v4, 33), None);
        assert_eq!(Network::new(v4, 25), Network::new([10, 1, 2, 128].into(), 25));
        assert_ne!(Network::new(v4, 25), Network::new([10, 1, 2, 127].into(), 25));
        assert_eq!(Network::new(v4, 0), Network::new([0, 0, 0, 0].into(), 0));
        assert_ne!(Network::new(v4, 32), Network::new([10, 1, 2, 254].into(), 32));
        let v6: IpAddr = [0xfd00, 0, 0, 1, 0, 0, 0, 9].into();
        assert_eq!(Network::new(v6, 129), None);
        assert_eq!(Network::new(v6, 64), Network::new([0xfd00, 0, 0, 1, 5, 6, 7, 8].into(), 64));
        assert_ne!(Network::new(v6, 128), Network::new([0xfd00, 0, 0, 1, 0, 0, 0, 8].into(), 128));
        assert_ne!(Network::new(v6, 0), Network::new(v4, 0));
    }

    #[test]
    fn lengths_in_use_come_longest_first_and_go_with_their_last_network() {
        let lengths = Lengths::try_new().expect("memory");
        let (v4, v6): (IpAddr, IpAddr) = ([10, 1, 2, 3].into(), [0xfd00, 1, 2, 3, 4, 5, 6, 7].into());
        let around = |address| lengths.around(address).map(|network| network.len).collect::<Vec<_>>();
        assert!(lengths.none_around(v4) && lengths.none_around(v6) && around(v6).is_empty());
        let all = [(v4, 0), (v4, 32), (v4, 8), (v4, 8), (v6, 0), (v6, 63), (v6, 64), (v6, 128), (v6, 127)];
        let network = |(address, len)| Network::new(address, len).expect("a length");
        for each in all {
            lengths.add(network(each));
        }
        assert_eq!(around(v4), [32, 8, 0]);
        assert_eq!(around(v6), [128, 127, 64, 63, 0]);
        lengths.remove(network((v4, 8)));
        assert_eq!(around(v4), [32, 8, 0]);
        lengths.remove(network((v4, 8)));
        assert_eq!(around(v4), [32, 0]);
        assert_eq!(around(v6).len(), 5);
    }
}
