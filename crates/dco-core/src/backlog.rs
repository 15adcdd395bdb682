//! Control packets that wait for a reader, in memory of fixed size.

use alloc::boxed::Box;

use dco_sync::{OutOfMemory, try_box_slice};

/// A ring of packets, each in a place of [`Backlog::LONGEST`] bytes. Full, it takes no more: what came first stays, because a
/// handshake's first packets are worth more than its later ones, which are sent again.
///
/// The shell keeps it under the spin lock that also decides whether a read parks, at DISPATCH_LEVEL or below. Only `try_new` allocates.
pub struct Backlog {
    bytes: Box<[u8]>,
    lengths: [usize; Self::PACKETS],
    first: usize,
    count: usize,
}

impl Backlog {
    /// Packets kept: more than a TLS handshake's flight.
    pub const PACKETS: usize = 64;
    /// Longest packet kept, in bytes: what OpenVPN's reads have room for.
    pub const LONGEST: usize = 2048;

    /// An empty ring. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// [`OutOfMemory`].
    pub fn try_new() -> Result<Self, OutOfMemory> {
        const BYTES: usize = Backlog::PACKETS * Backlog::LONGEST;
        Ok(Self { bytes: try_box_slice(BYTES, |_| Ok(0))?, lengths: [0; Self::PACKETS], first: 0, count: 0 })
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

    /// Room for one more packet, which [`commit`](Self::commit) makes one; `None` if the ring is full. Until then it may serve as
    /// scratch.
    pub fn free(&mut self) -> Option<&mut [u8]> {
        let place = self.next_place()?;
        self.bytes.chunks_exact_mut(Self::LONGEST).nth(place)
    }

    /// The first `len` bytes of [`free`](Self::free) are a packet. False, and nothing done, if the ring is full or `len` above
    /// [`LONGEST`](Self::LONGEST).
    pub fn commit(&mut self, len: usize) -> bool {
        if len > Self::LONGEST {
            return false;
        }
        let Some(slot) = self.next_place().and_then(|place| self.lengths.get_mut(place)) else { return false };
        *slot = len;
        self.count = self.count.saturating_add(1);
        true
    }

    /// Keeps a copy of `packet`; false if there is no room for it.
    pub fn keep(&mut self, packet: &[u8]) -> bool {
        let Some(room) = self.free().and_then(|room| room.get_mut(..packet.len())) else { return false };
        room.copy_from_slice(packet);
        self.commit(packet.len())
    }

    /// The packet that has waited longest.
    #[must_use]
    pub fn oldest(&self) -> Option<&[u8]> {
        if self.count == 0 {
            return None;
        }
        let len = *self.lengths.get(self.first)?;
        self.bytes.chunks_exact(Self::LONGEST).nth(self.first)?.get(..len)
    }

    /// Forgets the oldest packet, if there is one.
    pub fn pop(&mut self) {
        if let Some(left) = self.count.checked_sub(1) {
            self.count = left;
            self.first = (self.first.wrapping_add(1)) % Self::PACKETS;
        }
    }

    /// Forgets all packets.
    pub fn clear(&mut self) {
        self.count = 0;
    }

    fn next_place(&self) -> Option<usize> {
        (self.count < Self::PACKETS).then(|| self.first.wrapping_add(self.count) % Self::PACKETS)
    }
}

impl core::fmt::Debug for Backlog {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Backlog").field("count", &self.count).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::Backlog;
    use std::vec;

    #[test]
    fn full_it_takes_no_more_and_keeps_the_first() {
        let mut backlog = Backlog::try_new().expect("memory");
        for round in 0..3u8 {
            for n in 0..64 {
                assert!(backlog.keep(&[round, n]));
            }
            assert!(!backlog.keep(&[9]) && !backlog.commit(1) && backlog.free().is_none());
            for n in 0..64 {
                assert_eq!(backlog.oldest(), Some(&[round, n][..]));
                backlog.pop();
            }
            assert!(backlog.is_empty() && backlog.oldest().is_none());
            // The next round begins elsewhere in the ring.
            backlog.keep(&[0]);
            backlog.pop();
        }
        backlog.pop();
        assert_eq!(backlog.len(), 0);
    }

    #[test]
    fn a_packet_may_be_empty_or_fill_its_place_but_no_more() {
        let mut backlog = Backlog::try_new().expect("memory");
        assert!(backlog.keep(&[]) && backlog.keep(&vec![7; 2048]));
        assert!(!backlog.keep(&vec![7; 2049]) && !backlog.commit(2049));
        assert_eq!(backlog.oldest(), Some(&[][..]));
        backlog.pop();
        assert_eq!(backlog.oldest(), Some(&vec![7; 2048][..]));
        backlog.clear();
        assert!(backlog.is_empty());
    }
}
