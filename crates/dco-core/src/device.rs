//! The device: what both planes share.

use core::{
    fmt,
    sync::atomic::{AtomicBool, Ordering},
};

use dco_crypto::Aead;
use dco_sync::{Domain, Guard, OutOfMemory, Published};

use crate::{
    MAX_INNER,
    batch::Batch,
    control::Control,
    counters::{Counters, DeviceStats, Flow},
    drops::DropReason,
    peer::PeerTable,
    time::Tick,
};

/// One virtual network device. `A` is the cipher's backend, `T` the shell's handle for sending to a peer.
///
/// Shared by reference between all processors; see the crate's documentation for who may call what.
pub struct Device<A: Aead, T> {
    pub(crate) domain: Domain,
    pub(crate) peers: Published<PeerTable<A, T>>,
    pub(crate) counters: Counters,
    pub(crate) max_inner: usize,
    control_taken: AtomicBool,
}

impl<A: Aead, T: Send + Sync> Device<A, T> {
    /// A device without peers, on a machine with `cpus` processors (numbers beyond are right, but slower). PASSIVE_LEVEL.
    pub fn try_new(cpus: usize) -> Result<Self, OutOfMemory> {
        let domain = Domain::try_new(cpus)?;
        let peers = Published::new(&domain, None);
        Ok(Self {
            domain,
            peers,
            counters: Counters::try_new(cpus)?,
            max_inner: MAX_INNER,
            control_taken: AtomicBool::new(false),
        })
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

    /// Counts a packet the shell lost outside a batch. Any IRQL.
    pub fn count_drop(&self, cpu: usize, reason: DropReason) {
        self.counters.drop(cpu, reason);
    }

    /// Counts a data datagram of `len` bytes that arrived and that the shell lost before it could be offered to
    /// [`Batch::open`]. Any IRQL.
    pub fn count_refused(&self, cpu: usize, reason: DropReason, len: usize) {
        self.counters.add(cpu, Flow::ReceivedData, 1);
        self.counters.add(cpu, Flow::TransportReceived, len);
        self.counters.drop(cpu, reason);
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
}

impl<A: Aead, T> fmt::Debug for Section<'_, A, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Section").field("cpu", &self.cpu).finish_non_exhaustive()
    }
}
