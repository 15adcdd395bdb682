//! Several peers, found by their names: a fixed array of buckets, each with places for entries.
//!
//! Readers take no lock: a bucket, and each entry in it, is [`Published`]. Adding a name to a full bucket publishes another bucket with
//! more places; whatever else changes is one place. Taking a name out empties its place and needs no memory. A name keeps its place in
//! its bucket, also when that grows, so that a [`Cursor`] passes each name once.

use core::{
    net::{IpAddr, SocketAddr},
    sync::atomic::{AtomicUsize, Ordering},
};

use dco_sync::{Box, Domain, Guard, OutOfMemory, Published, Retired, Shared, try_box, try_box_slice};
use dco_wire::PeerId;

use crate::{
    endpoint::address_words,
    hash::hash,
    network::{Lengths, Network},
};

/// Most changes that one control operation makes.
pub(crate) const CHANGES: usize = 8;

/// What a peer is found by. All kinds are in one table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Name {
    Id(PeerId),
    /// Inside the tunnel.
    Address(IpAddr),
    /// The far end of the transport; for headers that do not say the id.
    Remote(SocketAddr),
    /// Routed to the peer.
    Network(Network),
}

impl Name {
    fn hash(self, seed: [u64; 2]) -> u64 {
        match self {
            Self::Id(id) => hash(seed, &[1, u64::from(id.get())]),
            Self::Address(address) => {
                let [high, low] = address_words(address);
                hash(seed, &[2, u64::from(address.is_ipv6()), high, low])
            }
            Self::Remote(remote) => {
                let [high, low] = address_words(remote.ip());
                hash(seed, &[3, u64::from(remote.is_ipv6()), high, low, u64::from(remote.port())])
            }
            Self::Network(network) => {
                let [len, high, low] = network.words();
                hash(seed, &[4, len, high, low])
            }
        }
    }
}

/// One name of one peer.
struct Entry<P> {
    name: Name,
    peer: Shared<P>,
}

/// Places for entries; an empty one is for the next.
type Bucket<P> = Box<[Published<Entry<P>>]>;

/// Where a walk over all peers is. It may be kept between two calls as long as one likes: a peer that is there all the while is passed
/// exactly once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cursor {
    bucket: u32,
    place: u32,
}

impl Cursor {
    /// As one number.
    #[must_use]
    pub fn to_bits(self) -> u64 {
        u64::from(self.bucket) << 32 | u64::from(self.place)
    }

    /// From [`Cursor::to_bits`]. Any number is a cursor; 0 is the beginning.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the two halves")]
    pub fn from_bits(bits: u64) -> Self {
        Self { bucket: (bits >> 32) as u32, place: bits as u32 }
    }
}

/// All names of all peers.
pub(crate) struct Table<P> {
    seed: [u64; 2],
    buckets: Box<[Published<Bucket<P>>]>,
    peers: AtomicUsize,
    lengths: Lengths,
}

impl<P> Table<P> {
    /// No peers, and so many buckets, one at least.
    pub(crate) fn try_new(domain: &Domain, seed: [u64; 2], buckets: usize) -> Result<Self, OutOfMemory> {
        let buckets = u32::try_from(buckets.max(1)).map_err(|_| OutOfMemory)? as usize;
        let buckets = try_box_slice(buckets, |_| Ok(Published::new(domain, None)))?;
        Ok(Self { seed, buckets, peers: AtomicUsize::new(0), lengths: Lengths::try_new()? })
    }

    /// How many peers there are.
    pub(crate) fn peers(&self) -> usize {
        self.peers.load(Ordering::Relaxed)
    }

    /// The peer with this name. Of several with one remote, any.
    #[inline]
    pub(crate) fn find<'g>(&'g self, name: Name, guard: &'g Guard<'_>) -> Option<&'g Shared<P>> {
        let places = self.bucket(name)?.load(guard)?;
        let mut entries = places.iter().filter_map(|place| place.load(guard));
        entries.find(|entry| entry.name == name).map(|entry| &entry.peer)
    }

    /// Whether a peer other than this one has this name.
    pub(crate) fn is_anothers(&self, name: Name, peer: &P, guard: &Guard<'_>) -> bool {
        let places: &[_] = self.bucket(name).and_then(|bucket| bucket.load(guard)).map_or(&[], |places| places);
        let mut entries = places.iter().filter_map(|place| place.load(guard));
        entries.any(|entry| entry.name == name && !core::ptr::eq(&raw const *entry.peer, peer))
    }

    /// The peer with the longest network that contains `address`.
    #[inline]
    pub(crate) fn route<'g>(&'g self, address: IpAddr, guard: &'g Guard<'_>) -> Option<&'g Shared<P>> {
        self.lengths.around(address).find_map(|network| self.find(Name::Network(network), guard))
    }

    /// The peer that packets from `address` have to come from: who has it, or else the longest network around it. `None` where there
    /// are no networks at all.
    pub(crate) fn owner<'g>(&'g self, address: IpAddr, guard: &'g Guard<'_>) -> Option<&'g Shared<P>> {
        if self.lengths.none_around(address) {
            return None;
        }
        self.find(Name::Address(address), guard).or_else(|| self.route(address, guard))
    }

    /// The next network of `peer`'s from `cursor` on, which moves behind it. Control only.
    pub(crate) fn next_network(&self, domain: &Domain, cursor: &mut Cursor, peer: &Shared<P>) -> Option<Network> {
        let guard = domain.enter(0);
        loop {
            let bucket = self.buckets.get(cursor.bucket as usize)?;
            let places: &[_] = bucket.load(&guard).map_or(&[], |places| places);
            while let Some(place) = places.get(cursor.place as usize) {
                cursor.place = cursor.place.saturating_add(1);
                if let Some(Entry { name: Name::Network(network), peer: owner }) = place.load(&guard)
                    && Shared::same(owner, peer)
                {
                    return Some(*network);
                }
            }
            *cursor = Cursor { bucket: cursor.bucket.saturating_add(1), place: 0 };
        }
    }

    /// The next peer from `cursor` on, which moves behind it.
    pub(crate) fn next<'g>(&'g self, cursor: &mut Cursor, guard: &'g Guard<'_>) -> Option<&'g Shared<P>> {
        loop {
            let bucket = self.buckets.get(cursor.bucket as usize)?;
            let places: &[_] = bucket.load(guard).map_or(&[], |places| places);
            while let Some(place) = places.get(cursor.place as usize) {
                cursor.place = cursor.place.saturating_add(1);
                if let Some(Entry { name: Name::Id(_), peer }) = place.load(guard) {
                    return Some(peer);
                }
            }
            *cursor = Cursor { bucket: cursor.bucket.saturating_add(1), place: 0 };
        }
    }

    /// Gives `peer` a name. Control only, as all below.
    pub(crate) fn add(
        &self,
        domain: &Domain,
        changes: &mut Changes<P>,
        name: Name,
        peer: &Shared<P>,
    ) -> Result<(), OutOfMemory> {
        let bucket = self.bucket(name).ok_or(OutOfMemory)?;
        let entry = try_box(Entry { name, peer: peer.clone() })?;
        let guard = domain.enter(0);
        let places: &[_] = bucket.load(&guard).map_or(&[], |places| places);
        if let Some(place) = places.iter().find(|place| place.load(&guard).is_none()) {
            changes.entry(place.swap(Some(entry), domain));
        } else {
            let mut entry = Some(entry);
            let more = try_box_slice(places.len().saturating_add(places.len() / 2).saturating_add(1), |n| {
                let copy = match places.get(n).and_then(|place| place.load(&guard)) {
                    Some(Entry { name, peer }) => Some(try_box(Entry { name: *name, peer: peer.clone() })?),
                    None => entry.take(),
                };
                Ok(Published::new(domain, copy))
            })?;
            changes.bucket(bucket.swap(Some(try_box(more)?), domain));
        }
        match name {
            Name::Id(_) => {
                self.peers.fetch_add(1, Ordering::Relaxed);
            }
            Name::Network(network) => self.lengths.add(network),
            Name::Address(_) | Name::Remote(_) => {}
        }
        Ok(())
    }

    /// Takes a name from `peer`; nothing happens if it does not have it.
    pub(crate) fn remove(&self, domain: &Domain, changes: &mut Changes<P>, name: Name, peer: &Shared<P>) {
        let guard = domain.enter(0);
        let places: &[_] = self.bucket(name).and_then(|bucket| bucket.load(&guard)).map_or(&[], |places| places);
        let mine = |entry: &Entry<P>| entry.name == name && Shared::same(&entry.peer, peer);
        if let Some(place) = places.iter().find(|place| place.load(&guard).is_some_and(mine)) {
            changes.entry(place.swap(None, domain));
            match name {
                Name::Id(_) => {
                    self.peers.fetch_sub(1, Ordering::Relaxed);
                }
                Name::Network(network) => self.lengths.remove(network),
                Name::Address(_) | Name::Remote(_) => {}
            }
        }
    }

    fn bucket(&self, name: Name) -> Option<&Published<Bucket<P>>> {
        let number = name.hash(self.seed).checked_rem(self.buckets.len() as u64)?;
        self.buckets.get(usize::try_from(number).ok()?)
    }
}

/// What a control operation took out of the table, to be freed when no reader can have it: one wait, whatever there is.
pub(crate) struct Changes<P> {
    entries: [Option<Retired<Entry<P>>>; CHANGES],
    buckets: [Option<Retired<Bucket<P>>>; CHANGES],
}

impl<P> Changes<P> {
    pub(crate) fn new() -> Self {
        Self { entries: [const { None }; CHANGES], buckets: [const { None }; CHANGES] }
    }

    fn entry(&mut self, retired: Retired<Entry<P>>) {
        keep(&mut self.entries, retired);
    }

    fn bucket(&mut self, retired: Retired<Bucket<P>>) {
        keep(&mut self.buckets, retired);
    }

    /// Waits for readers, once, if there is anything to free.
    pub(crate) fn finish(self, domain: &Domain, mut pause: impl FnMut()) {
        for retired in self.buckets.into_iter().flatten() {
            drop(retired.free_after(domain, &mut pause));
        }
        for retired in self.entries.into_iter().flatten() {
            drop(retired.free_after(domain, &mut pause));
        }
    }
}

/// There is always a place: no operation makes more changes. What had none would leak.
fn keep<T>(places: &mut [Option<Retired<T>>; CHANGES], retired: Retired<T>) {
    if !retired.is_none()
        && let Some(place) = places.iter_mut().find(|place| place.is_none())
    {
        *place = Some(retired);
    }
}
