//! A peer, and the table through which packets find theirs.

use core::{
    iter,
    net::{IpAddr, SocketAddr},
    sync::atomic::{AtomicU16, AtomicU64, Ordering},
};

use dco_crypto::{Aead, KeySlots};
use dco_sync::{Domain, Guard, Published, Shared};
use dco_wire::PeerId;

use crate::{
    control::NewPeer,
    keepalive::{Keepalive, KeepaliveUpdate},
    time::Tick,
};

/// Which peer an operation is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerSelector {
    /// The only one: point to point, where ids are not looked at.
    Only,
    /// The one with this id.
    Id(PeerId),
}

/// A peer's byte counters since it was made, the UAPI's GET_PEER_STATS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PeerStats {
    /// Bytes of data datagrams from this peer that were opened, pings included.
    pub link_rx: u64,
    /// Bytes of data datagrams sealed for this peer, pings included.
    pub link_tx: u64,
    /// Bytes of inner packets from this peer that were handed over.
    pub vpn_rx: u64,
    /// Bytes of inner packets sealed for this peer.
    pub vpn_tx: u64,
}

/// The far end of a tunnel. `T` is the shell's handle for sending to it.
///
/// Addresses and transport never change in a peer's life; keys are republished as a whole; settings, timers and counters
/// are atomics.
pub struct Peer<A: Aead, T> {
    id: PeerId,
    local: SocketAddr,
    remote: SocketAddr,
    protocol: u8,
    transport: T,
    pub(crate) keys: Published<KeySlots<A>>,
    mss: AtomicU16,
    pub(crate) keepalive: Keepalive,
    link_rx: AtomicU64,
    link_tx: AtomicU64,
    vpn_rx: AtomicU64,
    vpn_tx: AtomicU64,
}

impl<A: Aead, T> Peer<A, T> {
    pub(crate) fn new(domain: &Domain, peer: NewPeer<T>, now: Tick) -> Self {
        Self {
            id: peer.id,
            local: peer.local,
            remote: peer.remote,
            protocol: peer.protocol,
            transport: peer.transport,
            keys: Published::new(domain, None),
            mss: AtomicU16::new(0),
            keepalive: Keepalive::new(now),
            link_rx: AtomicU64::new(0),
            link_tx: AtomicU64::new(0),
            vpn_rx: AtomicU64::new(0),
            vpn_tx: AtomicU64::new(0),
        }
    }

    /// The id it was made with. Outgoing headers carry the id of the *key*, as NEW_KEY gave it.
    #[must_use]
    pub fn id(&self) -> PeerId {
        self.id
    }

    /// Our end of its transport.
    #[must_use]
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Its end of its transport.
    #[inline]
    #[must_use]
    pub fn remote(&self) -> SocketAddr {
        self.remote
    }

    /// Its transport's protocol, an IP protocol number.
    #[inline]
    #[must_use]
    pub fn protocol(&self) -> u8 {
        self.protocol
    }

    /// The shell's handle for sending to it.
    #[inline]
    #[must_use]
    pub fn transport(&self) -> &T {
        &self.transport
    }

    /// Its byte counters, without what running batches have not added yet.
    #[must_use]
    pub fn stats(&self) -> PeerStats {
        PeerStats {
            link_rx: self.link_rx.load(Ordering::Relaxed),
            link_tx: self.link_tx.load(Ordering::Relaxed),
            vpn_rx: self.vpn_rx.load(Ordering::Relaxed),
            vpn_tx: self.vpn_tx.load(Ordering::Relaxed),
        }
    }

    /// The MSS limit in bytes, 0 for none.
    #[inline]
    pub(crate) fn mss(&self) -> u16 {
        self.mss.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn keys<'g>(&'g self, guard: &'g Guard<'_>) -> Option<&'g KeySlots<A>> {
        self.keys.load(guard)
    }

    pub(crate) fn update(&self, update: KeepaliveUpdate, now: Tick) {
        if let Some(mss) = update.mss {
            self.mss.store(mss, Ordering::Relaxed);
        }
        self.keepalive.update(update, now);
    }

    /// Adds a batch's bytes.
    #[inline]
    pub(crate) fn count(&self, bytes: PeerStats) {
        let add = |counter: &AtomicU64, amount: u64| {
            if amount != 0 {
                counter.fetch_add(amount, Ordering::Relaxed);
            }
        };
        add(&self.link_rx, bytes.link_rx);
        add(&self.link_tx, bytes.link_tx);
        add(&self.vpn_rx, bytes.vpn_rx);
        add(&self.vpn_tx, bytes.vpn_tx);
    }
}

/// All peers of a device, immutable: a change publishes another table. A device without peers publishes none, so that the
/// last peer can be removed without memory.
///
/// Point to point there is one peer, and whatever is looked for, it is the one. With several, the lookups here become
/// maps by id and by inner address and a trie of routes; callers stay as they are.
pub struct PeerTable<A: Aead, T> {
    only: Shared<Peer<A, T>>,
}

impl<A: Aead, T> PeerTable<A, T> {
    pub(crate) fn point_to_point(peer: Shared<Peer<A, T>>) -> Self {
        Self { only: peer }
    }

    /// The peer whose networks contain this inner destination. Point to point: the peer.
    #[inline]
    #[must_use]
    pub fn by_destination(&self, _destination: IpAddr) -> Option<&Peer<A, T>> {
        Some(&self.only)
    }

    /// The peer that a received header's peer-id means. Point to point: the peer; the id is not looked at, as the other
    /// end may use whatever it was configured with.
    #[inline]
    #[must_use]
    pub fn by_header(&self, _id: PeerId) -> Option<&Peer<A, T>> {
        Some(&self.only)
    }

    /// The peer that a control operation names.
    #[inline]
    #[must_use]
    pub fn select(&self, selector: PeerSelector) -> Option<&Peer<A, T>> {
        self.owner(selector).map(|peer| &**peer)
    }

    /// As [`PeerTable::select`], for who needs the peer beyond a read section.
    pub(crate) fn owner(&self, selector: PeerSelector) -> Option<&Shared<Peer<A, T>>> {
        match selector {
            PeerSelector::Only => Some(&self.only),
            PeerSelector::Id(id) => Some(&self.only).filter(|peer| peer.id == id),
        }
    }

    /// All peers.
    pub fn iter(&self) -> impl Iterator<Item = &Peer<A, T>> {
        iter::once(&*self.only)
    }
}
