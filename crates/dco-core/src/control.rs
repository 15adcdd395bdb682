//! The control plane: peers and keys come and go.
//!
//! Every operation here is PASSIVE_LEVEL. Those that take `pause` wait until no batch can still use what they removed,
//! calling it between looks: sleep a little in it. None may be called inside a read section of the same device (a
//! [`Section`](crate::Section)): it would wait for itself.

use core::{fmt, net::SocketAddr};

use dco_crypto::{Aead, Key, KeySlot, KeySlots};
use dco_sync::{OutOfMemory, Shared, try_box};
use dco_wire::PeerId;

use crate::{
    device::Device,
    keepalive::KeepaliveUpdate,
    peer::{Peer, PeerSelector, PeerStats, PeerTable},
    time::Tick,
};

/// The right to change a device's peers and keys. There is one per device, from [`Device::take_control`]; keep it in the
/// control mutex.
#[derive(Debug)]
pub struct Control {
    _one_per_device: (),
}

impl Control {
    pub(crate) fn new() -> Self {
        Self { _one_per_device: () }
    }
}

/// A peer to be.
#[derive(Debug, Clone)]
pub struct NewPeer<T> {
    /// Its id. Point to point nothing looks at it.
    pub id: PeerId,
    /// Our end of its transport.
    pub local: SocketAddr,
    /// Its end of its transport. Inner packets of the transport's protocol that are addressed there are dropped as recursive.
    pub remote: SocketAddr,
    /// The transport's protocol by its IP number: [`ip::UDP`](dco_wire::ip::UDP) or [`ip::TCP`](dco_wire::ip::TCP).
    pub protocol: u8,
    /// The shell's handle for sending to it; dropped with the peer, at PASSIVE_LEVEL, when no batch uses it any more.
    pub transport: T,
}

/// Why a control operation did nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ControlError {
    /// There is no such peer.
    NoPeer,
    /// There is no memory. Nothing was changed.
    OutOfMemory,
}

impl fmt::Display for ControlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoPeer => "no such peer",
            Self::OutOfMemory => "out of memory",
        })
    }
}

impl core::error::Error for ControlError {}

impl From<OutOfMemory> for ControlError {
    fn from(_: OutOfMemory) -> Self {
        Self::OutOfMemory
    }
}

impl<A: Aead, T: Send + Sync> Device<A, T> {
    /// Makes `peer` the device's peer, point to point; the one before is removed, with its keys. Device statistics start
    /// at zero, and so do the peer's; keepalive and MSS limit are off.
    ///
    /// A shell that must close the old transport before it opens the new one calls [`Device::del_peer`] first.
    pub fn new_peer(
        &self,
        _control: &mut Control,
        peer: NewPeer<T>,
        now: Tick,
        pause: impl FnMut(),
    ) -> Result<(), ControlError> {
        let peer = Shared::try_new(Peer::new(&self.domain, peer, now))?;
        let table = try_box(PeerTable::point_to_point(peer))?;
        self.counters.restart();
        drop(self.peers.replace(Some(table), &self.domain, pause));
        Ok(())
    }

    /// Removes the peer, its keys and its transport handle. False if there was none. Never fails, needs no memory.
    pub fn del_peer(&self, _control: &mut Control, pause: impl FnMut()) -> bool {
        self.peers.replace(None, &self.domain, pause).is_some()
    }

    /// Installs `key` in a slot; what the slot held is destroyed once no batch uses it.
    pub fn new_key(
        &self,
        _control: &mut Control,
        peer: PeerSelector,
        slot: KeySlot,
        key: Key<A>,
        pause: impl FnMut(),
    ) -> Result<(), ControlError> {
        let peer = self.peer(peer)?;
        let key = Shared::try_new(key)?;
        self.rekey(&peer, pause, |slots| slots.with_installed(slot, key))
    }

    /// Exchanges the slots, whatever they hold, even nothing.
    pub fn swap_keys(
        &self,
        _control: &mut Control,
        peer: PeerSelector,
        pause: impl FnMut(),
    ) -> Result<(), ControlError> {
        let peer = self.peer(peer)?;
        self.rekey(&peer, pause, KeySlots::swapped)
    }

    /// Empties a slot; what it held is destroyed once no batch uses it. An empty slot stays so.
    pub fn del_key(
        &self,
        _control: &mut Control,
        peer: PeerSelector,
        slot: KeySlot,
        pause: impl FnMut(),
    ) -> Result<(), ControlError> {
        let peer = self.peer(peer)?;
        self.rekey(&peer, pause, |slots| slots.without(slot))
    }

    /// Changes a peer's settings; see [`KeepaliveUpdate`].
    pub fn set_peer(
        &self,
        _control: &mut Control,
        peer: PeerSelector,
        update: KeepaliveUpdate,
        now: Tick,
    ) -> Result<(), ControlError> {
        self.peer(peer)?.update(update, now);
        Ok(())
    }

    /// A peer's byte counters. Any IRQL up to DISPATCH_LEVEL; `cpu` is the processor's number.
    pub fn peer_stats(&self, cpu: usize, peer: PeerSelector) -> Result<PeerStats, ControlError> {
        let guard = self.domain.enter(cpu);
        let peer = self.peers.load(&guard).and_then(|peers| peers.select(peer));
        peer.map(Peer::stats).ok_or(ControlError::NoPeer)
    }

    /// Whether there is a peer. Any IRQL up to DISPATCH_LEVEL; `cpu` is the processor's number.
    #[must_use]
    pub fn has_peer(&self, cpu: usize) -> bool {
        self.peers.load(&self.domain.enter(cpu)).is_some()
    }

    /// The peer, kept alive by the handle. Whoever holds it also holds `Control`, so it is not removed meanwhile.
    fn peer(&self, selector: PeerSelector) -> Result<Shared<Peer<A, T>>, ControlError> {
        let guard = self.domain.enter(0);
        let peer = self.peers.load(&guard).and_then(|peers| peers.owner(selector));
        peer.cloned().ok_or(ControlError::NoPeer)
    }

    /// Publishes what `change` makes of a peer's key slots and destroys the old ones after their last use.
    fn rekey(
        &self,
        peer: &Peer<A, T>,
        pause: impl FnMut(),
        change: impl FnOnce(&KeySlots<A>) -> KeySlots<A>,
    ) -> Result<(), ControlError> {
        let changed = {
            let guard = self.domain.enter(0);
            let none = KeySlots::default();
            change(peer.keys(&guard).unwrap_or(&none))
        };
        let changed = try_box(changed)?;
        drop(peer.keys.replace(Some(changed), &self.domain, pause));
        Ok(())
    }
}
