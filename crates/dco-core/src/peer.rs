//! A peer.

use core::{
    array, fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::atomic::{AtomicBool, AtomicU16, AtomicU32, AtomicU64, Ordering},
};

use dco_crypto::{Aead, KeySlots};
use dco_sync::{Domain, Guard, Latch, Published};
use dco_wire::PeerId;

use crate::{
    control::{NewPeer, PeerUpdate},
    drops::DropReason,
    endpoint::{self, Endpoint, WORDS, Words},
    keepalive::Keepalive,
    table::Name,
    time::Tick,
};

/// Which peer an operation is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerSelector {
    /// The only one, point to point. With several peers it is none.
    Only,
    /// The one with this id.
    Id(PeerId),
}

/// A peer's traffic since it was made.
///
/// `link` is what goes over the transport, data packets with their headers, pings included; `vpn` is inner packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PeerStats {
    /// Bytes of data datagrams from this peer that were opened.
    pub link_rx: u64,
    /// Bytes of data datagrams sealed for this peer.
    pub link_tx: u64,
    /// Bytes of inner packets from this peer that were handed over.
    pub vpn_rx: u64,
    /// Bytes of inner packets sealed for this peer.
    pub vpn_tx: u64,
    /// Data datagrams from this peer that were opened.
    pub link_rx_packets: u64,
    /// Data datagrams sealed for this peer.
    pub link_tx_packets: u64,
    /// Inner packets from this peer that were handed over.
    pub vpn_rx_packets: u64,
    /// Inner packets sealed for this peer.
    pub vpn_tx_packets: u64,
}

impl PeerStats {
    const fn to_array(self) -> [u64; 8] {
        let Self { link_rx, link_tx, vpn_rx, vpn_tx, link_rx_packets, link_tx_packets, vpn_rx_packets, vpn_tx_packets } =
            self;
        [link_rx, link_tx, vpn_rx, vpn_tx, link_rx_packets, link_tx_packets, vpn_rx_packets, vpn_tx_packets]
    }

    const fn from_array(counts: [u64; 8]) -> Self {
        let [link_rx, link_tx, vpn_rx, vpn_tx, link_rx_packets, link_tx_packets, vpn_rx_packets, vpn_tx_packets] =
            counts;
        Self { link_rx, link_tx, vpn_rx, vpn_tx, link_rx_packets, link_tx_packets, vpn_rx_packets, vpn_tx_packets }
    }
}

/// The far end of a tunnel. `T` is the shell's handle for sending to it.
///
/// Id and transport never change in a peer's life; keys are republished as a whole; endpoint and addresses are latches;
/// settings, timers and counters are atomics.
pub struct Peer<A: Aead, T> {
    id: PeerId,
    protocol: u8,
    transport: T,
    pub(crate) keys: Published<KeySlots<A>>,
    tx_id: AtomicU32,
    mss: AtomicU16,
    /// The remote end is another than userspace knows.
    pub(crate) moved: AtomicBool,
    pub(crate) endpoint: Latch<WORDS>,
    vpn: Latch<3>,
    /// The endpoint whose remote end is this peer's name in the table; only control uses it.
    listed: Latch<WORDS>,
    pub(crate) keepalive: Keepalive,
    counts: [AtomicU64; 8],
    drops: [AtomicU64; DropReason::COUNT],
}

impl<A: Aead, T> Peer<A, T> {
    pub(crate) fn new(domain: &Domain, peer: NewPeer<T>, now: Tick) -> Self {
        let endpoint = endpoint::pack(peer.endpoint);
        Self {
            id: peer.id,
            protocol: peer.protocol,
            transport: peer.transport,
            keys: Published::new(domain, None),
            tx_id: AtomicU32::new(peer.tx_id.get()),
            mss: AtomicU16::new(0),
            moved: AtomicBool::new(false),
            endpoint: Latch::new(endpoint),
            vpn: Latch::new(endpoint::pack_vpn(peer.vpn4, peer.vpn6)),
            listed: Latch::new(endpoint),
            keepalive: Keepalive::new(now),
            counts: array::from_fn(|_| AtomicU64::new(0)),
            drops: array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    /// The id it was made with: what headers from it say.
    #[inline]
    #[must_use]
    pub fn id(&self) -> PeerId {
        self.id
    }

    /// The id in headers to it, unless a key has one of its own ([`KeyConfig::peer_id`](dco_crypto::KeyConfig::peer_id)).
    #[inline]
    #[must_use]
    pub fn tx_id(&self) -> PeerId {
        PeerId::from_low_bits(self.tx_id.load(Ordering::Relaxed))
    }

    /// Both ends of its transport, if known, and their generation: another number after every change, so that a shell knows
    /// when to forget a cached route. Never waits.
    #[inline]
    #[must_use]
    pub fn endpoint(&self) -> (Option<Endpoint>, usize) {
        let (words, generation) = self.endpoint.load();
        (endpoint::unpack(words), generation)
    }

    /// Its addresses inside the tunnel. Never waits.
    #[must_use]
    pub fn addresses(&self) -> (Option<Ipv4Addr>, Option<Ipv6Addr>) {
        endpoint::unpack_vpn(self.vpn.load().0)
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

    /// Its traffic, without what running batches have not added yet.
    #[must_use]
    pub fn stats(&self) -> PeerStats {
        let mut counts = [0; 8];
        counts.iter_mut().zip(&self.counts).for_each(|(count, from)| *count = from.load(Ordering::Relaxed));
        PeerStats::from_array(counts)
    }

    /// Its packets that were lost, by reason, without what running batches have not added yet. Packets that were lost before
    /// it was clear whose they are count only at the device.
    #[must_use]
    pub fn drops(&self) -> [u64; DropReason::COUNT] {
        let mut counts = [0; DropReason::COUNT];
        counts.iter_mut().zip(&self.drops).for_each(|(count, from)| *count = from.load(Ordering::Relaxed));
        counts
    }

    /// Seconds after which a ping is sent, 0 for never.
    #[must_use]
    pub fn interval(&self) -> u32 {
        self.keepalive.interval()
    }

    /// Seconds after which it has expired, 0 for never.
    #[must_use]
    pub fn timeout(&self) -> u32 {
        self.keepalive.timeout()
    }

    /// The MSS limit in bytes, 0 for none.
    #[inline]
    #[must_use]
    pub fn mss(&self) -> u16 {
        self.mss.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn keys<'g>(&'g self, guard: &'g Guard<'_>) -> Option<&'g KeySlots<A>> {
        self.keys.load(guard)
    }

    /// Its names in a table but for the id: addresses inside the tunnel, and the remote end that it is listed under.
    pub(crate) fn names(&self) -> [Option<Name>; 3] {
        let (v4, v6) = self.addresses();
        let remote = endpoint::unpack(self.listed.load().0).map(|endpoint| Name::Remote(endpoint.remote));
        [v4.map(|v4| Name::Address(v4.into())), v6.map(|v6| Name::Address(v6.into())), remote]
    }

    /// Whether it is listed at this endpoint: at its remote end, and at our end, as far as both are known.
    #[cfg(feature = "sockets")]
    pub(crate) fn is_at(&self, endpoint: Endpoint) -> bool {
        endpoint::unpack(self.listed.load().0).is_some_and(|listed| listed.is_met_at(endpoint))
    }

    /// The remote end it is listed under is this endpoint's. Control.
    pub(crate) fn set_listed(&self, endpoint: Option<Endpoint>, pause: impl FnMut()) {
        self.listed.store(endpoint::pack(endpoint), pause);
    }

    pub(crate) fn update(&self, update: &PeerUpdate, now: Tick, mut pause: impl FnMut()) {
        if let Some(mss) = update.mss {
            self.mss.store(mss, Ordering::Relaxed);
        }
        if let Some(tx_id) = update.tx_id {
            self.tx_id.store(tx_id.get(), Ordering::Relaxed);
        }
        if update.vpn4.is_some() || update.vpn6.is_some() {
            let (v4, v6) = self.addresses();
            let (v4, v6) = (update.vpn4.unwrap_or(v4), update.vpn6.unwrap_or(v6));
            self.vpn.store(endpoint::pack_vpn(v4, v6), &mut pause);
        }
        if let Some(endpoint) = update.endpoint {
            self.endpoint.store(endpoint::pack(Some(endpoint)), &mut pause);
        }
        self.keepalive.update(update.interval, update.timeout, now);
    }

    /// Adds a batch's traffic.
    #[inline]
    pub(crate) fn count(&self, stats: PeerStats) {
        for (counter, amount) in self.counts.iter().zip(stats.to_array()) {
            if amount != 0 {
                counter.fetch_add(amount, Ordering::Relaxed);
            }
        }
    }

    /// Adds losses.
    #[cold]
    pub(crate) fn count_drops(&self, reason: DropReason, amount: u64) {
        if let Some(count) = self.drops.get(reason as usize) {
            count.fetch_add(amount, Ordering::Relaxed);
        }
    }

    pub(crate) fn endpoint_words(&self) -> Words {
        self.endpoint.load().0
    }
}

impl<A: Aead, T> fmt::Debug for Peer<A, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Whether `address` is one of these.
pub(crate) fn is_own(addresses: (Option<Ipv4Addr>, Option<Ipv6Addr>), address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => addresses.0 == Some(v4),
        IpAddr::V6(v6) => addresses.1 == Some(v6),
    }
}
