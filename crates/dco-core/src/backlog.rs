//! Control packets that wait for a reader, in memory of fixed size.

use alloc::boxed::Box;

use dco_sync::{OutOfMemory, try_box_slice};

/// How many packets wait, and whose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shares {
    /// In all.
    pub packets: usize,
    /// Of one sender.
    pub of_one: usize,
    /// Of those who are no peers.
    pub of_strangers: usize,
}

impl Shares {
    /// For an only peer: more than a TLS handshake's flight.
    pub const POINT_TO_POINT: Self = Self { packets: 64, of_one: 64, of_strangers: 64 };

    /// For a server: a thousand clients that come back at once. Whoever floods it, with handshakes from one address or
    /// from addresses that are not his, leaves a quarter to the rest: from one address, to all others; from many, to those who are peers,
    /// whose rekeys go on.
    pub const SERVER: Self = Self { packets: 1024, of_one: 256, of_strangers: 768 };
}

/// Who sent a packet, as far as shares go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sender(u64);

impl Sender {
    /// The only peer.
    pub const ONLY: Self = Self(1);

    /// No packet.
    const NONE: Self = Self(0);

    /// A sender by a hash of its address.
    pub(crate) const fn of(hash: u64) -> Self {
        Self(hash | 1)
    }
}

/// A place of a ring.
#[derive(Clone, Copy)]
struct Place {
    /// Bytes of the packet.
    len: u16,
    /// Whose it is; [`Sender::NONE`] where none waits.
    sender: Sender,
}

/// A ring of packets, each in a place of [`Backlog::LONGEST`] bytes. Full, it takes no more: what came first stays, because a
/// handshake's first packets are worth more than its later ones, which are sent again.
///
/// The shell keeps it under the spin lock that also decides whether a read parks, at DISPATCH_LEVEL or below. Only `try_new` allocates.
pub struct Backlog {
    shares: Shares,
    bytes: Box<[u8]>,
    places: Box<[Place]>,
    first: usize,
    count: usize,
}

impl Backlog {
    /// Longest packet kept, in bytes: what OpenVPN's reads have room for.
    pub const LONGEST: usize = 2048;

    /// An empty ring. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// [`OutOfMemory`].
    pub fn try_new(shares: Shares) -> Result<Self, OutOfMemory> {
        let bytes = try_box_slice(shares.packets.saturating_mul(Self::LONGEST), |_| Ok(0))?;
        let places = try_box_slice(shares.packets, |_| Ok(Place { len: 0, sender: Sender::NONE }))?;
        Ok(Self { shares, bytes, places, first: 0, count: 0 })
    }

    /// How many packets wait.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether none waits.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Room for one more packet of this sender's, which [`commit`](Self::commit) makes one; `None` if the ring, or the sender's share of it,
    /// is full. Until then it may serve as scratch. `is_peer` is asked where it matters.
    pub fn free(&mut self, sender: Sender, is_peer: impl FnOnce() -> bool) -> Option<&mut [u8]> {
        let Shares { of_one, of_strangers, .. } = self.shares;
        let place = self.next_place()?;
        if self.count >= of_one && self.places.iter().filter(|place| place.sender == sender).count() >= of_one {
            return None;
        }
        if self.count >= of_strangers && !is_peer() {
            return None;
        }
        self.bytes.chunks_exact_mut(Self::LONGEST).nth(place)
    }

    /// The first `len` bytes of [`free`](Self::free) are a packet of this sender's. False, and nothing done, if the ring is full or `len`
    /// above [`LONGEST`](Self::LONGEST).
    pub fn commit(&mut self, sender: Sender, len: usize) -> bool {
        let (Ok(short), true) = (u16::try_from(len), len <= Self::LONGEST) else { return false };
        let Some(place) = self.next_place().and_then(|place| self.places.get_mut(place)) else { return false };
        *place = Place { len: short, sender };
        self.count = self.count.saturating_add(1);
        true
    }

    /// The packet that has waited longest.
    #[must_use]
    pub fn oldest(&self) -> Option<&[u8]> {
        if self.count == 0 {
            return None;
        }
        let len = self.places.get(self.first)?.len;
        self.bytes.chunks_exact(Self::LONGEST).nth(self.first)?.get(..usize::from(len))
    }

    /// Forgets the oldest packet, if there is one.
    pub fn pop(&mut self) {
        if let Some(left) = self.count.checked_sub(1) {
            if let Some(place) = self.places.get_mut(self.first) {
                place.sender = Sender::NONE;
            }
            self.count = left;
            self.first = self.wrapped(1);
        }
    }

    /// Forgets all packets.
    pub fn clear(&mut self) {
        self.places.iter_mut().for_each(|place| place.sender = Sender::NONE);
        self.count = 0;
    }

    /// The place so many behind the first one.
    fn wrapped(&self, behind: usize) -> usize {
        self.first.wrapping_add(behind).checked_rem(self.places.len()).unwrap_or(0)
    }

    fn next_place(&self) -> Option<usize> {
        (self.count < self.places.len()).then(|| self.wrapped(self.count))
    }
}

impl core::fmt::Debug for Backlog {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Backlog").field("count", &self.count).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{Backlog, Sender, Shares};
    use std::vec;

    fn keep(backlog: &mut Backlog, sender: Sender, is_peer: bool, packet: &[u8]) -> bool {
        let room = backlog.free(sender, || is_peer).and_then(|room| room.get_mut(..packet.len()));
        let Some(room) = room else { return false };
        room.copy_from_slice(packet);
        backlog.commit(sender, packet.len())
    }

    #[test]
    fn full_it_takes_no_more_and_keeps_the_first() {
        let mut backlog = Backlog::try_new(Shares::POINT_TO_POINT).expect("memory");
        let keep = |backlog: &mut _, packet: &[u8]| keep(backlog, Sender::ONLY, false, packet);
        for round in 0..3u8 {
            for n in 0..64 {
                assert!(keep(&mut backlog, &[round, n]));
            }
            assert!(!keep(&mut backlog, &[9]) && !backlog.commit(Sender::ONLY, 1));
            for n in 0..64 {
                assert_eq!(backlog.oldest(), Some(&[round, n][..]));
                backlog.pop();
            }
            assert!(backlog.is_empty() && backlog.oldest().is_none());
            // The next round begins elsewhere in the ring.
            keep(&mut backlog, &[0]);
            backlog.pop();
        }
        backlog.pop();
        assert_eq!(backlog.len(), 0);
    }

    #[test]
    fn a_packet_may_be_empty_or_fill_its_place_but_no_more() {
        let mut backlog = Backlog::try_new(Shares::POINT_TO_POINT).expect("memory");
        let keep = |backlog: &mut _, packet: &[u8]| keep(backlog, Sender::ONLY, false, packet);
        assert!(keep(&mut backlog, &[]) && keep(&mut backlog, &vec![7; 2048]));
        assert!(!keep(&mut backlog, &vec![7; 2049]) && !backlog.commit(Sender::ONLY, 2049));
        assert_eq!(backlog.oldest(), Some(&[][..]));
        backlog.pop();
        assert_eq!(backlog.oldest(), Some(&vec![7; 2048][..]));
        backlog.clear();
        assert!(backlog.is_empty());
    }

    #[test]
    fn nobody_takes_the_shares_of_others() {
        let shares = Shares { packets: 8, of_one: 2, of_strangers: 6 };
        let mut backlog = Backlog::try_new(shares).expect("memory");
        let strangers = [2, 4, 6, 8].map(Sender::of);
        let peer = Sender::of(100);
        for round in 0..20 {
            for stranger in &strangers[..3] {
                assert!(keep(&mut backlog, *stranger, false, &[1]) && keep(&mut backlog, *stranger, false, &[1]));
                assert!(!keep(&mut backlog, *stranger, true, &[1]), "round {round}: its own share is full");
            }
            assert!(!keep(&mut backlog, strangers[3], false, &[2]), "round {round}: the strangers' is");
            assert!(keep(&mut backlog, peer, true, &[3]) && keep(&mut backlog, peer, true, &[3]));
            assert!(!keep(&mut backlog, Sender::of(102), true, &[4]), "round {round}: all is full");
            for _ in 0..2 {
                backlog.pop();
            }
            assert!(keep(&mut backlog, strangers[0], true, &[5]), "round {round}: what was read is free");
            match round % 2 {
                0 => backlog.clear(),
                _ => (0..7).for_each(|_| backlog.pop()),
            }
            assert!(backlog.is_empty());
        }
    }
}
