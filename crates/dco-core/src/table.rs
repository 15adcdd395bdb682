//! Several peers, found by their names.
//!
//! Names are in two indexes of `dco-sync`'s, which grow under readers: ids, which are walked, in one, all others in the other. Readers
//! take no lock and write nothing; taking a name out needs no memory.

use core::net::{IpAddr, SocketAddr};

use dco_sync::{Domain, Guard, Index, OutOfMemory, Removed, Shared};
use dco_wire::PeerId;

use crate::{
    backlog::Sender,
    endpoint::address_words,
    hash::hash,
    network::{Lengths, Network},
};

/// What a peer is found by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Name {
    Id(PeerId),
    /// Inside the tunnel.
    Address(IpAddr),
    /// The far end of the transport; for headers that do not say the id.
    Remote(SocketAddr),
    /// Routed to the peer.
    Network(Network),
    /// The same, to be found by the peer.
    Owned(PeerId, Network),
}

impl Name {
    /// Where it is in its index. An id's place is no other's: the id is its low bits, but for the lowest, which an index does not look at.
    fn key(self, seed: [u64; 2]) -> u64 {
        match self {
            Self::Id(id) => {
                let id = u64::from(id.get());
                hash(seed, &[1, id]) & !0x1FF_FFFF | id << 1
            }
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
            Self::Owned(id, _) => owned(seed, id),
        }
    }
}

/// Where all the networks of a peer are.
fn owned(seed: [u64; 2], id: PeerId) -> u64 {
    hash(seed, &[5, u64::from(id.get())])
}

/// One name of one peer.
pub(crate) struct Entry<P> {
    name: Name,
    peer: Shared<P>,
}

/// Where a walk over all peers is. It may be kept between two calls as long as one likes: a peer that is there all the while is passed
/// exactly once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cursor(u64);

impl Cursor {
    /// Behind all peers.
    pub(crate) const END: Self = Self(u64::MAX);

    /// As one number.
    #[must_use]
    pub fn to_bits(self) -> u64 {
        self.0
    }

    /// From [`Cursor::to_bits`]. Any number is a cursor; 0 is the beginning.
    #[must_use]
    pub fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}

/// All names of all peers.
pub(crate) struct Table<P> {
    seed: [u64; 2],
    ids: Index<Entry<P>>,
    others: Index<Entry<P>>,
    lengths: Lengths,
}

/// What a control operation took out of the table, to be freed when no reader can have it: one wait, whatever there is.
pub(crate) type Changes<P> = Removed<Entry<P>>;

impl<P> Table<P> {
    /// No peers, and room for about so many at first.
    pub(crate) fn try_new(domain: &Domain, seed: [u64; 2], room: usize) -> Result<Self, OutOfMemory> {
        let index = || Index::try_new(domain, room);
        Ok(Self { seed, ids: index()?, others: index()?, lengths: Lengths::try_new()? })
    }

    /// How many peers there are.
    pub(crate) fn peers(&self) -> usize {
        self.ids.len()
    }

    /// The peer with this name. Of several with one remote, any.
    #[inline]
    pub(crate) fn find<'g>(&'g self, name: Name, guard: &'g Guard<'_>) -> Option<&'g Shared<P>> {
        self.index(name).find(name.key(self.seed), guard, |entry| entry.name == name).map(|entry| &entry.peer)
    }

    /// The peer with this name of which `is` holds, too.
    #[cfg(feature = "sockets")]
    pub(crate) fn find_that<'g>(
        &'g self,
        name: Name,
        guard: &'g Guard<'_>,
        mut is: impl FnMut(&P) -> bool,
    ) -> Option<&'g Shared<P>> {
        let found = |entry: &Entry<P>| entry.name == name && is(&entry.peer);
        self.index(name).find(name.key(self.seed), guard, found).map(|entry| &entry.peer)
    }

    /// Whether a peer other than this one has this name.
    pub(crate) fn is_anothers(&self, name: Name, peer: &P, guard: &Guard<'_>) -> bool {
        let anothers = |entry: &Entry<P>| entry.name == name && !core::ptr::eq(&raw const *entry.peer, peer);
        self.index(name).find(name.key(self.seed), guard, anothers).is_some()
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

    /// A network of this peer's, which has this id. Control only.
    pub(crate) fn network_of(&self, domain: &Domain, id: PeerId, peer: &Shared<P>) -> Option<Network> {
        let guard = domain.enter(0);
        let mut found = None;
        let is = |entry: &Entry<P>| match entry.name {
            Name::Owned(_, network) if Shared::same(&entry.peer, peer) => {
                found = Some(network);
                true
            }
            _ => false,
        };
        self.others.find(owned(self.seed, id), &guard, is)?;
        found
    }

    /// The next peer from `cursor` on, which moves behind it.
    pub(crate) fn next<'g>(&'g self, cursor: &mut Cursor, guard: &'g Guard<'_>) -> Option<&'g Shared<P>> {
        if *cursor == Cursor::END {
            return None;
        }
        let next = self.ids.next(cursor.0, guard);
        // Only an id that no header can say could be at the very end.
        *cursor = next.map_or(Cursor::END, |(key, _)| Cursor(key.saturating_add(1)));
        next.map(|(_, entry)| &entry.peer)
    }

    /// As [`Device::sender`](crate::Device::sender).
    pub(crate) fn sender(&self, address: IpAddr) -> Sender {
        let [high, low] = address_words(address);
        Sender::of(hash(self.seed, &[6, u64::from(address.is_ipv6()), high, if address.is_ipv6() { 0 } else { low }]))
    }

    /// Gives `peer` a name. Control only, as all below.
    pub(crate) fn add(&self, name: Name, peer: &Shared<P>) -> Result<(), OutOfMemory> {
        self.index(name).try_insert(name.key(self.seed), Entry { name, peer: peer.clone() })?;
        if let Name::Network(network) = name {
            self.lengths.add(network);
        }
        Ok(())
    }

    /// Takes a name from `peer`; nothing happens if it does not have it. Needs no memory.
    pub(crate) fn remove(&self, domain: &Domain, changes: &mut Changes<P>, name: Name, peer: &Shared<P>) {
        let mine = |entry: &Entry<P>| entry.name == name && Shared::same(&entry.peer, peer);
        if self.index(name).remove(name.key(self.seed), domain, changes, mine)
            && let Name::Network(network) = name
        {
            self.lengths.remove(network);
        }
    }

    fn index(&self, name: Name) -> &Index<Entry<P>> {
        if matches!(name, Name::Id(_)) { &self.ids } else { &self.others }
    }
}
