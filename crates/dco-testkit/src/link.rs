//! A link that loses, repeats, reorders and damages.

use crate::random::Random;

/// How often each fault happens, in packets per thousand.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// The datagram disappears.
    pub loss: u16,
    /// It arrives twice.
    pub duplicate: u16,
    /// It is overtaken by up to 50 later ones.
    pub reorder: u16,
    /// One bit behind the four bytes of header is flipped.
    pub corrupt: u16,
}

impl Faults {
    /// A perfect link.
    pub const NONE: Self = Self { loss: 0, duplicate: 0, reorder: 0, corrupt: 0 };
}

/// What the link did so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LinkCounts {
    /// Datagrams put in.
    pub sent: u64,
    /// Disappeared.
    pub lost: u64,
    /// Copies added.
    pub duplicated: u64,
    /// Damaged.
    pub corrupted: u64,
}

/// One direction between two ends.
#[derive(Debug)]
pub struct Link {
    faults: Faults,
    random: Random,
    in_flight: Vec<Vec<u8>>,
    counts: LinkCounts,
}

impl Link {
    /// An empty link whose faults follow from `seed`.
    #[must_use]
    pub fn new(faults: Faults, seed: u64) -> Self {
        Self { faults, random: Random::new(seed), in_flight: Vec::new(), counts: LinkCounts::default() }
    }

    /// Sends a datagram.
    pub fn send(&mut self, mut datagram: Vec<u8>) {
        self.counts.sent += 1;
        if self.random.chance(self.faults.loss) {
            self.counts.lost += 1;
            return;
        }
        if self.random.chance(self.faults.duplicate) {
            self.counts.duplicated += 1;
            let copy = datagram.clone();
            self.insert(copy);
        }
        if self.random.chance(self.faults.corrupt) && datagram.len() > 4 {
            self.counts.corrupted += 1;
            let place = 4 + self.random.below(datagram.len() - 4);
            datagram[place] ^= 1 << self.random.below(8);
        }
        self.insert(datagram);
    }

    fn insert(&mut self, datagram: Vec<u8>) {
        let end = self.in_flight.len();
        let ahead = if self.random.chance(self.faults.reorder) { self.random.below(end.min(50) + 1) } else { 0 };
        self.in_flight.insert(end - ahead, datagram);
    }

    /// Everything that is in flight, in order of arrival.
    pub fn receive(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.in_flight)
    }

    /// What the link did so far.
    #[must_use]
    pub fn counts(&self) -> LinkCounts {
        self.counts
    }
}
