//! The control plane: peers and keys come and go.
//!
//! Every operation here is PASSIVE_LEVEL. Those that take `pause` wait until no batch can still use what they removed,
//! calling it between looks: sleep a little in it. None may be called inside a read section of the same device (a
//! [`Section`](crate::Section)): it would wait for itself.

use core::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::atomic::Ordering,
};

#[cfg(feature = "epoch")]
use dco_crypto::DataKey;
use dco_crypto::{Aead, Key, KeySlot, KeySlots};
use dco_sync::{OutOfMemory, Shared, try_box};
use dco_wire::{PeerId, ip};

use crate::{
    device::{Device, Peers},
    endpoint::Endpoint,
    network::Network,
    peer::{Peer, PeerSelector, PeerStats},
    table::{Changes, Cursor, Name, Table},
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
    /// Its id: what headers from it say. Point to point nothing may look at it; see [`Mode`](crate::Mode).
    pub id: PeerId,
    /// The id in headers to it, unless a key has one of its own ([`KeyConfig::peer_id`](dco_crypto::KeyConfig::peer_id)).
    pub tx_id: PeerId,
    /// Both ends of its transport, if known. Inner packets of the transport's protocol that are addressed to the remote end
    /// are dropped as recursive.
    pub endpoint: Option<Endpoint>,
    /// Its IPv4 address inside the tunnel. Point to point nothing looks at it.
    pub vpn4: Option<Ipv4Addr>,
    /// Its IPv6 address inside the tunnel.
    pub vpn6: Option<Ipv6Addr>,
    /// The transport's protocol by its IP number: [`ip::UDP`](dco_wire::ip::UDP) or [`ip::TCP`](dco_wire::ip::TCP).
    pub protocol: u8,
    /// The shell's handle for sending to it; dropped with the peer, at PASSIVE_LEVEL, when no batch uses it any more.
    pub transport: T,
}

/// Changes to a peer. `None` leaves a setting (and its timer) as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PeerUpdate {
    /// Seconds without sent data after which a ping is sent; 0 for never. Restarts the transmit timer.
    pub interval: Option<u32>,
    /// Seconds without received data after which the peer has expired; 0 for never. Restarts the receive timer.
    pub timeout: Option<u32>,
    /// Limit of the TCP maximum segment size over IPv4, in bytes (20 less over IPv6); 0 for none.
    pub mss: Option<u16>,
    /// The id in headers to it.
    pub tx_id: Option<PeerId>,
    /// Its IPv4 address inside the tunnel, or that it has none.
    pub vpn4: Option<Option<Ipv4Addr>>,
    /// Its IPv6 address inside the tunnel, or that it has none.
    pub vpn6: Option<Option<Ipv6Addr>>,
    /// Both ends of its transport.
    pub endpoint: Option<Endpoint>,
}

/// Why a control operation did nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ControlError {
    /// There is no such peer.
    NoPeer,
    /// There is a peer with this id.
    PeerExists,
    /// Another peer has this address inside the tunnel, or this network.
    AddressInUse,
    /// There is no memory. Nothing was changed.
    OutOfMemory,
}

impl fmt::Display for ControlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoPeer => "no such peer",
            Self::PeerExists => "the id is taken",
            Self::AddressInUse => "the address is taken",
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
    /// Makes `peer` one of the device's peers; keepalive and MSS limit are off, its statistics start at zero.
    ///
    /// Point to point it takes the place of the one before, which is returned. Device statistics start at zero. A shell that
    /// must close the old transport before it opens the new one calls [`Device::del_peer`] first. With several peers, id and
    /// addresses must be free.
    pub fn new_peer(
        &self,
        _control: &mut Control,
        peer: NewPeer<T>,
        now: Tick,
        pause: impl FnMut(),
    ) -> Result<Option<Shared<Peer<A, T>>>, ControlError> {
        match &self.peers {
            Peers::One(only) => {
                let peer = try_box(Shared::try_new(Peer::new(&self.domain, peer, now))?)?;
                self.counters.restart();
                Ok(only.replace(Some(peer), &self.domain, pause).map(|old| *old))
            }
            Peers::Many(table) => self.join(table, peer, now, pause).map(|()| None),
        }
    }

    /// Adds a peer to several.
    fn join(
        &self,
        table: &Table<Peer<A, T>>,
        peer: NewPeer<T>,
        now: Tick,
        mut pause: impl FnMut(),
    ) -> Result<(), ControlError> {
        {
            let guard = self.domain.enter(0);
            if table.find(Name::Id(peer.id), &guard).is_some() {
                return Err(ControlError::PeerExists);
            }
            let addresses = [peer.vpn4.map(Into::into), peer.vpn6.map(Into::into)];
            if addresses.into_iter().flatten().any(|address| table.find(Name::Address(address), &guard).is_some()) {
                return Err(ControlError::AddressInUse);
            }
        }
        let endpoint = peer.endpoint.filter(|_| peer.protocol == ip::UDP);
        let peer = Shared::try_new(Peer::new(&self.domain, peer, now))?;
        peer.set_listed(endpoint, &mut pause);
        let mut names = peer.names().into_iter().flatten().chain([Name::Id(peer.id())]);
        let added = names.try_for_each(|name| table.add(name, &peer));
        if added.is_err() {
            let mut changes = Changes::new();
            self.unlist(table, &mut changes, &peer);
            changes.free_after(&self.domain, pause);
        }
        Ok(added?)
    }

    /// Takes all names from a peer, and its networks.
    fn unlist(&self, table: &Table<Peer<A, T>>, changes: &mut Changes<Peer<A, T>>, peer: &Shared<Peer<A, T>>) {
        while let Some(network) = table.network_of(&self.domain, peer.id(), peer) {
            self.unroute(table, changes, network, peer);
        }
        for name in peer.names().into_iter().flatten().chain([Name::Id(peer.id())]) {
            table.remove(&self.domain, changes, name, peer);
        }
    }

    /// Removes a peer. It lives on, with its keys and its transport handle, until the handle that is returned is dropped, at
    /// PASSIVE_LEVEL; no batch uses it any more. `None` if there is none. Never fails, needs no memory.
    pub fn del_peer(
        &self,
        _control: &mut Control,
        selector: PeerSelector,
        pause: impl FnMut(),
    ) -> Option<Shared<Peer<A, T>>> {
        let peer = self.find(selector)?;
        match &self.peers {
            Peers::One(only) => drop(only.replace(None, &self.domain, pause)),
            Peers::Many(table) => {
                let mut changes = Changes::new();
                self.unlist(table, &mut changes, &peer);
                changes.free_after(&self.domain, pause);
            }
        }
        Some(peer)
    }

    /// Removes all peers, telling of each, and waits for readers once. Keys and transport handles of all live until then; they are dropped
    /// here. Never fails, needs no memory.
    pub fn del_peers(&self, control: &mut Control, mut tell: impl FnMut(&Peer<A, T>), pause: impl FnMut()) {
        match &self.peers {
            Peers::One(_) => {
                if let Some(peer) = self.del_peer(control, PeerSelector::Only, pause) {
                    tell(&peer);
                }
            }
            Peers::Many(table) => {
                let mut changes = Changes::new();
                let mut cursor = Cursor::default();
                while let Some(peer) = self.next_peer(control, &mut cursor) {
                    self.unlist(table, &mut changes, &peer);
                    tell(&peer);
                }
                changes.free_after(&self.domain, pause);
            }
        }
    }

    /// Routes a network to a peer: what is sent to it, and is no peer's own address, goes to the peer with the longest network around
    /// the destination, and inner sources in it have to come from there. Nothing happens if the peer has it.
    ///
    /// # Errors
    /// NoPeer; AddressInUse if another peer has it; OutOfMemory. NoPeer point to point.
    pub fn add_network(
        &self,
        _control: &mut Control,
        peer: PeerSelector,
        network: Network,
        pause: impl FnMut(),
    ) -> Result<(), ControlError> {
        let peer = self.find(peer).ok_or(ControlError::NoPeer)?;
        let Peers::Many(table) = &self.peers else { return Err(ControlError::NoPeer) };
        if let Some(owner) = table.find(Name::Network(network), &self.domain.enter(0)) {
            return if Shared::same(owner, &peer) { Ok(()) } else { Err(ControlError::AddressInUse) };
        }
        let mut names = [Name::Owned(peer.id(), network), Name::Network(network)].into_iter();
        let added = names.try_for_each(|name| table.add(name, &peer));
        if added.is_err() {
            let mut changes = Changes::new();
            self.unroute(table, &mut changes, network, &peer);
            changes.free_after(&self.domain, pause);
        }
        Ok(added?)
    }

    /// Takes a network away, from this peer or, for `None`, from whoever has it. False if it is not there, or another peer's. Needs no
    /// memory.
    pub fn del_network(
        &self,
        _control: &mut Control,
        peer: Option<PeerId>,
        network: Network,
        pause: impl FnMut(),
    ) -> bool {
        let Peers::Many(table) = &self.peers else { return false };
        let owner = table.find(Name::Network(network), &self.domain.enter(0)).cloned();
        let Some(owner) = owner.filter(|owner| peer.is_none_or(|peer| peer == owner.id())) else { return false };
        let mut changes = Changes::new();
        self.unroute(table, &mut changes, network, &owner);
        changes.free_after(&self.domain, pause);
        true
    }

    /// Takes a network from a peer.
    fn unroute(
        &self,
        table: &Table<Peer<A, T>>,
        changes: &mut Changes<Peer<A, T>>,
        network: Network,
        peer: &Shared<Peer<A, T>>,
    ) {
        for name in [Name::Network(network), Name::Owned(peer.id(), network)] {
            table.remove(&self.domain, changes, name, peer);
        }
    }

    /// The id of a peer with this remote end; point to point, `None`.
    pub fn peer_at(&self, _control: &Control, remote: SocketAddr) -> Option<PeerId> {
        let Peers::Many(table) = &self.peers else { return None };
        table.find(Name::Remote(remote), &self.domain.enter(0)).map(|peer| peer.id())
    }

    /// Device statistics start at zero, as they do with a new peer point to point.
    pub fn restart_stats(&self, _control: &mut Control) {
        self.counters.restart();
    }

    /// A peer, to look at. It may be removed while the handle lives.
    pub fn peer(&self, _control: &Control, selector: PeerSelector) -> Result<Shared<Peer<A, T>>, ControlError> {
        self.find(selector).ok_or(ControlError::NoPeer)
    }

    /// The next peer from `cursor` on, which moves behind it; `None` at the end. Whatever is done to other peers meanwhile,
    /// each that is there all the while comes once.
    pub fn next_peer(&self, _control: &Control, cursor: &mut Cursor) -> Option<Shared<Peer<A, T>>> {
        let guard = self.domain.enter(0);
        self.peers.next(cursor, &guard).cloned()
    }

    /// Tells of peers that were heard from another remote end since the last call, each once with where it is now; with several peers,
    /// headers without id find it there from now on. Where there is no memory for that, the peer's turn comes at a later call.
    pub fn take_moved(&self, control: &mut Control, mut tell: impl FnMut(&Peer<A, T>, Endpoint), pause: impl FnMut()) {
        self.take_moved_while(
            control,
            |peer, endpoint| {
                tell(peer, endpoint);
                true
            },
            pause,
        );
    }

    /// The same for as long as `tell` takes it: the peer that it says `false` to, and those that are left, come at a later call.
    pub fn take_moved_while(
        &self,
        control: &mut Control,
        mut tell: impl FnMut(&Peer<A, T>, Endpoint) -> bool,
        mut pause: impl FnMut(),
    ) {
        // Acquire, as below: the flag's setter set the peer's before.
        if !self.moved.swap(false, Ordering::Acquire) {
            return;
        }
        let mut cursor = Cursor::default();
        while let Some(peer) = self.next_peer(control, &mut cursor) {
            if !peer.moved.swap(false, Ordering::Acquire) {
                continue;
            }
            let Some(endpoint) = peer.endpoint().0 else { continue };
            let update = PeerUpdate { endpoint: Some(endpoint), ..PeerUpdate::default() };
            let listed = self.relist(&peer, &update, &mut pause).is_ok();
            let told = listed && tell(&peer, endpoint);
            if !told {
                peer.moved.swap(true, Ordering::Release);
                self.moved.swap(true, Ordering::Release);
                if listed {
                    break;
                }
            }
        }
    }

    /// Gives a peer the names that `update` gives it, and takes those it has no more: all, or nothing.
    fn relist(
        &self,
        peer: &Shared<Peer<A, T>>,
        update: &PeerUpdate,
        mut pause: impl FnMut(),
    ) -> Result<(), ControlError> {
        let Peers::Many(table) = &self.peers else { return Ok(()) };
        let old = peer.names();
        let [mut v4, mut v6, mut remote] = old;
        if let Some(new) = update.vpn4 {
            v4 = new.map(|v4| Name::Address(v4.into()));
        }
        if let Some(new) = update.vpn6 {
            v6 = new.map(|v6| Name::Address(v6.into()));
        }
        let endpoint = update.endpoint.filter(|_| peer.protocol() == ip::UDP);
        if let Some(endpoint) = endpoint {
            remote = Some(Name::Remote(endpoint.remote));
        }
        let new = [v4, v6, remote];
        let changed = |(old, new): (Option<Name>, Option<Name>)| (old != new).then_some((old, new));
        let pairs = || old.into_iter().zip(new).filter_map(changed);
        {
            let guard = self.domain.enter(0);
            let taken = |name: Name| matches!(name, Name::Address(_)) && table.find(name, &guard).is_some();
            if pairs().filter_map(|(_, new)| new).any(taken) {
                return Err(ControlError::AddressInUse);
            }
        }
        let mut changes = Changes::new();
        let added = pairs().filter_map(|(_, new)| new).try_for_each(|name| table.add(name, peer));
        let gone = |(old, new): (Option<Name>, Option<Name>)| if added.is_ok() { old } else { new };
        for name in pairs().filter_map(gone) {
            table.remove(&self.domain, &mut changes, name, peer);
        }
        if added.is_ok() && endpoint.is_some() {
            peer.set_listed(endpoint, &mut pause);
        }
        changes.free_after(&self.domain, pause);
        Ok(added?)
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
        let peer = self.find(peer).ok_or(ControlError::NoPeer)?;
        #[cfg(feature = "epoch")]
        let key = DataKey::Classic(key);
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
        let peer = self.find(peer).ok_or(ControlError::NoPeer)?;
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
        let peer = self.find(peer).ok_or(ControlError::NoPeer)?;
        self.rekey(&peer, pause, |slots| slots.without(slot))
    }

    /// Looks at the key in a slot: `None` where it is empty, or holds no classic key.
    pub fn with_key<R>(
        &self,
        _control: &Control,
        peer: PeerSelector,
        slot: KeySlot,
        look: impl FnOnce(&Key<A>) -> R,
    ) -> Result<Option<R>, ControlError> {
        let peer = self.find(peer).ok_or(ControlError::NoPeer)?;
        let guard = self.domain.enter(0);
        let key = peer.keys(&guard).and_then(|slots| slots.get(slot));
        #[cfg(feature = "epoch")]
        let key = key.and_then(DataKey::classic);
        Ok(key.map(look))
    }

    /// Changes a peer; see [`PeerUpdate`]. All of it, or nothing.
    pub fn set_peer(
        &self,
        _control: &mut Control,
        peer: PeerSelector,
        update: &PeerUpdate,
        now: Tick,
        mut pause: impl FnMut(),
    ) -> Result<(), ControlError> {
        let peer = self.find(peer).ok_or(ControlError::NoPeer)?;
        self.relist(&peer, update, &mut pause)?;
        peer.update(update, now, pause);
        Ok(())
    }

    /// A peer's traffic. Any IRQL up to DISPATCH_LEVEL; `cpu` is the processor's number.
    pub fn peer_stats(&self, cpu: usize, peer: PeerSelector) -> Result<PeerStats, ControlError> {
        let guard = self.domain.enter(cpu);
        self.peers.select(peer, &guard).map(|peer| peer.stats()).ok_or(ControlError::NoPeer)
    }

    /// Whether there is a peer. Any IRQL up to DISPATCH_LEVEL; `cpu` is the processor's number.
    #[must_use]
    pub fn has_peer(&self, cpu: usize) -> bool {
        self.peer_count(cpu) != 0
    }

    pub(crate) fn find(&self, selector: PeerSelector) -> Option<Shared<Peer<A, T>>> {
        self.peers.select(selector, &self.domain.enter(0)).cloned()
    }

    /// Publishes what `change` makes of a peer's key slots and destroys the old ones after their last use.
    pub(crate) fn rekey(
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
