//! The device: what both planes share.

use core::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::atomic::{AtomicBool, Ordering},
};

use dco_crypto::Aead;
use dco_sync::{Box, Domain, Guard, OutOfMemory, Published, Shared, try_box};

use crate::{
    MAX_INNER,
    backlog::Sender,
    batch::Batch,
    control::Control,
    counters::{Counters, DeviceStats, Flow},
    drops::DropReason,
    peer::{Peer, PeerSelector},
    table::{Cursor, Name, Table},
    time::Tick,
};

/// How many peers a device has, and how packets find theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// One: whatever goes out is for it.
    PointToPoint {
        /// Whether a header must name it, or no peer (0xFFFFFF); otherwise headers' ids are not looked at.
        match_id: bool,
    },
    /// Several, found by id, address inside the tunnel, or endpoint.
    MultiPeer {
        /// Random, nobody's business: keys the hash of peers' names.
        seed: [u64; 2],
        /// How many peers there is room for at first: it grows as they come, and shrinks to this.
        buckets: usize,
    },
}

/// The peers of a device.
pub(crate) enum Peers<A: Aead, T> {
    One(Published<Shared<Peer<A, T>>>),
    /// Boxed: a device is moved when it is made, on small stacks.
    Many(Box<Table<Peer<A, T>>>),
}

/// One virtual network device. `A` is the cipher's backend, `T` the shell's handle for sending to a peer.
///
/// Shared by reference between all processors; see the crate's documentation for who may call what.
pub struct Device<A: Aead, T> {
    pub(crate) domain: Domain,
    pub(crate) peers: Peers<A, T>,
    /// Point to point: headers' ids are looked at.
    pub(crate) match_id: bool,
    /// With several peers: inner sources are looked at.
    pub(crate) source_check: AtomicBool,
    /// With several peers: none moves to where another is.
    pub(crate) own_remotes: AtomicBool,
    /// With several peers: remote ends are told apart by our own ends.
    #[cfg(feature = "sockets")]
    pub(crate) both_ends: AtomicBool,
    /// Some peer's [`Peer::moved`] is set.
    pub(crate) moved: AtomicBool,
    pub(crate) counters: Counters,
    pub(crate) max_inner: usize,
    control_taken: AtomicBool,
}

impl<A: Aead, T: Send + Sync> Device<A, T> {
    /// A device without peers, on a machine with `cpus` processors (numbers beyond are right, but slower). PASSIVE_LEVEL.
    ///
    /// It is point to point and does not look at ids; see [`Device::with_mode`].
    pub fn try_new(cpus: usize) -> Result<Self, OutOfMemory> {
        let domain = Domain::try_new(cpus)?;
        let peers = Peers::One(Published::new(&domain, None));
        Ok(Self {
            domain,
            peers,
            match_id: false,
            source_check: AtomicBool::new(true),
            own_remotes: AtomicBool::new(false),
            #[cfg(feature = "sockets")]
            both_ends: AtomicBool::new(false),
            moved: AtomicBool::new(false),
            counters: Counters::try_new(cpus)?,
            max_inner: MAX_INNER,
            control_taken: AtomicBool::new(false),
        })
    }

    /// The same in another mode.
    pub fn with_mode(self, mode: Mode) -> Result<Self, OutOfMemory> {
        let (peers, match_id) = match mode {
            Mode::PointToPoint { match_id } => (Peers::One(Published::new(&self.domain, None)), match_id),
            Mode::MultiPeer { seed, buckets } => {
                (Peers::Many(try_box(Table::try_new(&self.domain, seed, buckets)?)?), true)
            }
        };
        Ok(Self { peers, match_id, ..self })
    }

    /// The same with another limit for inner packets, in bytes, than [`MAX_INNER`].
    #[must_use]
    pub fn with_max_inner(self, max_inner: usize) -> Self {
        Self { max_inner, ..self }
    }

    /// The longest inner packet that is sealed, in bytes: the link's MTU. A longer one is [`DropReason::TxTooLong`].
    #[inline]
    #[must_use]
    pub fn max_inner(&self) -> usize {
        self.max_inner
    }

    /// Switches the check of inner sources (with several peers; on at first): whether a packet's source has to be routed to the
    /// very peer it came from. Any IRQL.
    pub fn set_source_check(&self, on: bool) {
        self.source_check.store(on, Ordering::Relaxed);
    }

    /// Switches whether remote ends are peers' own (with several peers; off at first): an authentic packet from where another peer is
    /// does not move its peer there, and is dropped as [`DropReason::RxWrongPeer`]. Any IRQL.
    pub fn set_own_remotes(&self, on: bool) {
        self.own_remotes.store(on, Ordering::Relaxed);
    }

    /// How many peers there are. Any IRQL up to DISPATCH_LEVEL; `cpu` is the processor's number.
    #[must_use]
    pub fn peer_count(&self, cpu: usize) -> usize {
        match &self.peers {
            Peers::One(only) => usize::from(only.load(&self.domain.enter(cpu)).is_some()),
            Peers::Many(table) => table.peers(),
        }
    }

    /// The right to change peers and keys: for the first who asks, `None` ever after.
    #[must_use]
    pub fn take_control(&self) -> Option<Control> {
        (!self.control_taken.swap(true, Ordering::Relaxed)).then(Control::new)
    }

    /// Opens a read section on processor `cpu`. Any IRQL up to DISPATCH_LEVEL; never waits; may nest.
    ///
    /// Everything reached through it stays alive until it is dropped, so the control plane waits for it: keep it as short
    /// as a batch.
    #[inline]
    pub fn enter(&self, cpu: usize) -> Section<'_, A, T> {
        Section { device: self, guard: self.domain.enter(cpu), cpu }
    }

    /// All losses since the device was made, by [`DropReason`].
    #[must_use]
    pub fn drop_counts(&self) -> [u64; DropReason::COUNT] {
        self.counters.drops()
    }

    /// The device's counters since the last new peer, without what running batches have not added yet.
    #[must_use]
    pub fn stats(&self) -> DeviceStats {
        self.counters.stats()
    }

    /// Who sends control packets from this address: a host, which has many ports, and under IPv6 many addresses in one network of 64 bits.
    /// Any IRQL.
    #[must_use]
    pub fn sender(&self, address: IpAddr) -> Sender {
        match &self.peers {
            Peers::One(_) => Sender::ONLY,
            Peers::Many(table) => table.sender(address),
        }
    }

    /// Counts a packet the shell lost outside a batch. Any IRQL.
    pub fn count_drop(&self, cpu: usize, reason: DropReason) {
        self.counters.drop(cpu, reason, 1);
    }

    /// The same for several packets.
    pub fn count_drops(&self, cpu: usize, reason: DropReason, packets: u64) {
        self.counters.drop(cpu, reason, packets);
    }

    /// Counts a data datagram of `len` bytes that arrived and that the shell lost before it could be offered to
    /// [`Batch::open`]. Any IRQL.
    pub fn count_refused(&self, cpu: usize, reason: DropReason, len: usize) {
        self.counters.add(cpu, Flow::ReceivedData, 1);
        self.counters.add(cpu, Flow::TransportReceived, len);
        self.counters.drop(cpu, reason, 1);
    }

    /// Counts a control datagram that arrived, outside a batch. Any IRQL.
    pub fn count_control_in(&self, cpu: usize) {
        self.counters.add(cpu, Flow::ReceivedControl, 1);
    }

    /// Counts a control datagram that was sent, outside a batch. Any IRQL.
    pub fn count_control_out(&self, cpu: usize) {
        self.counters.add(cpu, Flow::SentControl, 1);
    }
}

impl<A: Aead, T> fmt::Debug for Device<A, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Device").finish_non_exhaustive()
    }
}

/// An open read section of a device. Not `Send`. Peers and transports found by its batches may be used until it is dropped.
#[must_use]
pub struct Section<'d, A: Aead, T> {
    pub(crate) device: &'d Device<A, T>,
    pub(crate) guard: Guard<'d>,
    pub(crate) cpu: usize,
}

impl<A: Aead, T: Send + Sync> Section<'_, A, T> {
    /// Starts a batch at time `now`, which all its packets share.
    #[inline]
    pub fn batch(&self, now: Tick) -> Batch<'_, A, T> {
        Batch::new(self, now)
    }

    /// Whether a peer has this remote end; point to point, no.
    #[must_use]
    pub fn has_remote(&self, remote: SocketAddr) -> bool {
        match &self.device.peers {
            Peers::One(_) => false,
            Peers::Many(table) => table.find(Name::Remote(remote), &self.guard).is_some(),
        }
    }

    /// The next peer from `cursor` on, which moves behind it; `None` at the end. One that comes or goes meanwhile may be missed
    /// or not.
    pub fn next_peer(&self, cursor: &mut Cursor) -> Option<&Peer<A, T>> {
        self.device.peers.next(cursor, &self.guard).map(|peer| &**peer)
    }
}

impl<A: Aead, T> Peers<A, T> {
    /// The peer that is meant.
    pub(crate) fn select<'g>(&'g self, peer: PeerSelector, guard: &'g Guard<'_>) -> Option<&'g Shared<Peer<A, T>>> {
        match (self, peer) {
            (Self::One(only), PeerSelector::Only) => only.load(guard),
            (Self::One(only), PeerSelector::Id(id)) => only.load(guard).filter(|peer| peer.id() == id),
            (Self::Many(_), PeerSelector::Only) => None,
            (Self::Many(table), PeerSelector::Id(id)) => table.find(Name::Id(id), guard),
        }
    }

    /// As [`Table::next`].
    pub(crate) fn next<'g>(&'g self, cursor: &mut Cursor, guard: &'g Guard<'_>) -> Option<&'g Shared<Peer<A, T>>> {
        match self {
            Self::One(only) if *cursor == Cursor::default() => {
                *cursor = Cursor::END;
                only.load(guard)
            }
            Self::One(_) => None,
            Self::Many(table) => table.next(cursor, guard),
        }
    }
}

impl<A: Aead, T> fmt::Debug for Section<'_, A, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Section").field("cpu", &self.cpu).finish_non_exhaustive()
    }
}
