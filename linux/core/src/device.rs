//! One device: what C asks for, done with `dco-core`.
//!
//! [`Core`] is shared by all processors. [`State`] is what the control mutex guards: whoever has it is alone.

use core::net::IpAddr;

use dco_core::{
    ControlError, Cursor, Destination, Device, DropReason, Mode, NewPeer, OVERHEAD, Opened, Origin, Peer, PeerSelector,
    PeerStats, PeerUpdate, Tick,
};
use dco_crypto::{Key, KeyConfig, KeySlot, NonceTail};
use dco_sync::{Box, OutOfMemory, Shared, try_box_slice};
use dco_wire::{PING, PeerId, ip};

use crate::{
    ffi::{self, dco_endpoint, dco_key_info, dco_open, dco_peer_info, dco_peer_set, dco_seal, dco_traffic},
    kernel::{Aead, DataContext, Errno, Link, Shell, Socket, Train, pause},
};

/// The longest inner packet: the MTU is the netdev's business.
const MAX_INNER: usize = 65_535;

/// Buckets of the table of peers at first; it grows with them.
const BUCKETS: usize = 64;

/// A frame's length, before each packet that goes over TCP.
const TCP_LENGTH: usize = 2;

/// A peer's part of the shell.
pub struct Transport {
    pub link: Link,
    pub tcp: bool,
}

pub(crate) type Handle = Shared<Peer<Aead, Transport>>;

/// One device.
pub struct Core {
    pub(crate) device: Device<Aead, Transport>,
    shell: Shell,
}

/// What the control mutex guards.
pub struct State {
    pub(crate) control: dco_core::Control,
    /// A sealed ping. On the heap, because the cipher cannot write to a stack.
    ping: Box<[u8]>,
}

/// A peer to be.
pub struct PeerToBe<'a> {
    pub request: &'a ffi::dco_peer_new,
    /// Not yet taken over.
    pub link: Link,
}

/// A key to be.
pub struct KeyToBe<'a> {
    pub request: &'a ffi::dco_key_new,
    pub encrypt_key: &'a [u8],
    pub decrypt_key: &'a [u8],
    pub encrypt_tail: &'a [u8],
    pub decrypt_tail: &'a [u8],
}

impl From<ControlError> for Errno {
    fn from(error: ControlError) -> Self {
        match error {
            ControlError::NoPeer => Self::NOENT,
            ControlError::PeerExists => Self::EXIST,
            ControlError::AddressInUse => Self::ADDRINUSE,
            ControlError::OutOfMemory => Self::NOMEM,
        }
    }
}

impl From<OutOfMemory> for Errno {
    fn from(_: OutOfMemory) -> Self {
        Self::NOMEM
    }
}

impl Core {
    /// A device without peers, and its state.
    pub fn new(shell: Shell, config: &ffi::dco_core_config) -> Result<(Self, State), Errno> {
        let mode = match config.mode {
            ffi::DCO_MODE_P2P => Mode::PointToPoint { match_id: true },
            ffi::DCO_MODE_MP => Mode::MultiPeer { seed: config.seed, buckets: BUCKETS },
            _ => return Err(Errno::INVAL),
        };
        let device = Device::try_new(config.cpus as usize)?.with_max_inner(MAX_INNER).with_mode(mode)?;
        // It is new, so nobody has asked before.
        let control = device.take_control().ok_or(Errno::INVAL)?;
        let ping = try_box_slice(PING.len().saturating_add(OVERHEAD), |_| Ok(0))?;
        Ok((Self { device, shell }, State { control, ping }))
    }

    /// Adds a peer; point to point it replaces the one before.
    pub fn peer_new(&self, state: &mut State, peer: PeerToBe<'_>, now: Tick) -> Result<(), Errno> {
        let PeerToBe { request, link } = peer;
        let id = peer_id(request.id)?;
        let tx_id = if request.tx_id == ffi::SAME_TX_ID { id } else { peer_id(request.tx_id)? };
        let tcp = request.tcp != 0;
        let new = NewPeer {
            id,
            tx_id,
            endpoint: request.endpoint.get(),
            vpn4: request.vpn4.get_v4(),
            vpn6: request.vpn6.get_v6(),
            protocol: if tcp { ip::TCP } else { ip::UDP },
            transport: Transport { link, tcp },
        };
        let replaced = self.device.new_peer(&mut state.control, new, now, pause)?;
        if let Ok(peer) = self.device.peer(&state.control, PeerSelector::Id(id)) {
            peer.transport().link.take_over();
        }
        if let Some(old) = replaced {
            self.gone(&old, ffi::DCO_DEL_TEARDOWN);
        }
        Ok(())
    }

    /// Changes a peer.
    pub fn peer_set(&self, state: &mut State, id: u32, set: &dco_peer_set, now: Tick) -> Result<(), Errno> {
        let id = peer_id(id)?;
        let names = |what: u32| set.what & what != 0;
        let update = PeerUpdate {
            interval: names(ffi::DCO_SET_INTERVAL).then_some(set.interval),
            timeout: names(ffi::DCO_SET_TIMEOUT).then_some(set.timeout),
            // More than a packet holds is no limit, and neither is 0.
            mss: names(ffi::DCO_SET_MSS).then(|| u16::try_from(set.mss).unwrap_or(0)),
            tx_id: if names(ffi::DCO_SET_TX_ID) { Some(peer_id(set.tx_id)?) } else { None },
            vpn4: names(ffi::DCO_SET_VPN4).then(|| set.vpn4.get_v4()),
            vpn6: names(ffi::DCO_SET_VPN6).then(|| set.vpn6.get_v6()),
            endpoint: set.endpoint.get().filter(|_| names(ffi::DCO_SET_ENDPOINT)),
        };
        Ok(self.device.set_peer(&mut state.control, PeerSelector::Id(id), &update, now, pause)?)
    }

    /// A peer as it is.
    pub fn peer_get(&self, state: &State, id: u32) -> Result<dco_peer_info, Errno> {
        Ok(info(&*self.peer(state, id)?))
    }

    /// The next peer from a cursor on, which moves behind it.
    pub fn peer_next(&self, state: &State, cursor: &mut u64) -> Result<dco_peer_info, Errno> {
        let mut place = Cursor::from_bits(*cursor);
        let peer = self.device.next_peer(&state.control, &mut place).ok_or(Errno::NOENT)?;
        *cursor = place.to_bits();
        Ok(info(&peer))
    }

    /// A peer's drops, by reason, as many as there is room for.
    pub fn peer_drops(&self, state: &State, id: u32, drops: &mut [u64]) -> Result<(), Errno> {
        copy(drops, &self.peer(state, id)?.drops());
        Ok(())
    }

    /// Removes a peer and tells so.
    pub fn peer_del(&self, state: &mut State, id: u32, reason: u32) -> Result<(), Errno> {
        self.remove(state, peer_id(id)?, reason)
    }

    /// Removes the peers that use a socket, or all; how many.
    pub fn peers_del(&self, state: &mut State, socket: Option<Socket>, reason: u32) -> u32 {
        let mut removed = 0_u32;
        let mut cursor = Cursor::default();
        while let Some(peer) = self.device.next_peer(&state.control, &mut cursor) {
            if socket.is_some_and(|socket| !peer.transport().link.uses(socket)) {
                continue;
            }
            let id = peer.id();
            // The last handle gives the link back.
            drop(peer);
            if self.remove(state, id, reason).is_ok() {
                removed = removed.saturating_add(1);
            }
        }
        removed
    }

    /// Installs a key.
    pub fn key_new(&self, state: &mut State, key: &KeyToBe<'_>) -> Result<(), Errno> {
        let peer = peer_id(key.request.peer_id)?;
        let slot = slot(key.request.slot)?;
        let key_id = u8::try_from(key.request.key_id).ok().filter(|id| *id < 8).ok_or(Errno::INVAL)?;
        let tail = |bytes: &[u8]| bytes.try_into().map(NonceTail::new).map_err(|_| Errno::INVAL);
        self.peer(state, key.request.peer_id)?;
        let config = KeyConfig {
            key_id,
            peer_id: None,
            seal: Aead::new(key.request.cipher, key.encrypt_key)?,
            open: Aead::new(key.request.cipher, key.decrypt_key)?,
            seal_tail: tail(key.encrypt_tail)?,
            open_tail: tail(key.decrypt_tail)?,
        };
        let key = Key::try_new(config)?;
        Ok(self.device.new_key(&mut state.control, PeerSelector::Id(peer), slot, key, pause)?)
    }

    /// What is in a slot.
    pub fn key_get(&self, state: &State, id: u32, slot_number: u32) -> Result<dco_key_info, Errno> {
        let look = |key: &Key<Aead>| dco_key_info {
            key_id: key.key_id().map_or(0, |id| u32::from(id.get())),
            cipher: key.cipher().cipher(),
        };
        let selector = PeerSelector::Id(peer_id(id)?);
        let found = self.device.with_key(&state.control, selector, slot(slot_number)?, look)?;
        #[cfg(feature = "epoch")]
        let found = if found.is_some() { found } else { self.epoch_key_get(state, id, slot_number)? };
        found.ok_or(Errno::NOENT)
    }

    /// Exchanges a peer's keys.
    pub fn key_swap(&self, state: &mut State, id: u32) -> Result<(), Errno> {
        Ok(self.device.swap_keys(&mut state.control, PeerSelector::Id(peer_id(id)?), pause)?)
    }

    /// Empties a slot.
    pub fn key_del(&self, state: &mut State, id: u32, slot_number: u32) -> Result<(), Errno> {
        let selector = PeerSelector::Id(peer_id(id)?);
        Ok(self.device.del_key(&mut state.control, selector, slot(slot_number)?, pause)?)
    }

    /// Looks after all peers: once a second, and soon after a peer moved. How many there are.
    pub fn tick(&self, state: &mut State, now: Tick) -> u32 {
        #[cfg(feature = "epoch")]
        self.refill_keys(state);
        let shell = self.shell;
        let tell = |peer: &Peer<Aead, Transport>, endpoint| {
            shell.peer_moved(&peer.transport().link, peer.id().get(), &Some(endpoint).into());
        };
        self.device.take_moved(&mut state.control, tell, pause);
        let mut cursor = Cursor::default();
        while let Some(peer) = self.device.next_peer(&state.control, &mut cursor) {
            self.look_after(state, peer, now);
        }
        u32::try_from(self.device.peer_count(0)).unwrap_or(u32::MAX)
    }

    fn look_after(&self, state: &mut State, peer: Handle, now: Tick) {
        let id = peer.id();
        let selector = PeerSelector::Id(id);
        let (due, ping) = {
            let here = DataContext::enter();
            let section = self.device.enter(here.cpu());
            let mut batch = section.batch(now);
            let due = batch.due(selector);
            let sealed = if due.ping { batch.seal_ping(selector, &mut state.ping).ok() } else { None };
            (due, sealed.map(|sealed| sealed.len))
        };
        let link = &peer.transport().link;
        if let Some(packet) = ping.and_then(|len| state.ping.get(..len)) {
            let (endpoint, generation) = peer.endpoint();
            self.shell.send(link, &endpoint.into(), low_bits(generation), packet);
        }
        if let Some(key) = due.key_old {
            self.shell.key_old(link, id.get(), u32::from(key.key_id.get()));
        }
        drop(peer);
        if due.expired {
            // It was there a moment ago, and nobody else removes it.
            let _ = self.remove(state, id, ffi::DCO_DEL_EXPIRED);
        }
    }

    /// Seals a train.
    pub fn seal(&self, train: Train<'_>, seal: &mut dco_seal) {
        (seal.passed, seal.link) = (0, core::ptr::null_mut());
        let section = self.device.enter(seal.cpu as usize);
        let mut batch = section.batch(Tick(seal.now_ms));
        let to = seal.next_hop.get().map_or(Destination::Only, Destination::Address);
        // The lengths that TCP frames have before them are left room for, and written by C.
        let tcp = batch.receiver(to).is_some_and(|peer| peer.transport().tcp);
        let mut receiver = None;
        #[cfg(not(feature = "epoch"))]
        for packet in train.packets(if tcp { TCP_LENGTH } else { 0 }) {
            if let Ok(sealed) = batch.seal(to, packet.src, packet.dst) {
                packet.pass(sealed.len);
                seal.passed = seal.passed.saturating_add(1);
                receiver = Some(sealed.peer);
            }
        }
        #[cfg(feature = "epoch")]
        train.lay(if tcp { TCP_LENGTH } else { 0 }, |packet, out| {
            let sealed = batch.seal(to, packet, out).ok()?;
            seal.passed = seal.passed.saturating_add(1);
            receiver = Some(sealed.peer);
            Some(sealed.len)
        });
        if let Some(peer) = receiver {
            let (endpoint, generation) = peer.endpoint();
            (seal.to, seal.generation) = (endpoint.into(), low_bits(generation));
            seal.link = peer.transport().link.as_ptr();
        }
        #[cfg(feature = "epoch")]
        if batch.keys_wanted() {
            self.shell.wake();
        }
    }

    /// Opens a train.
    pub fn open(&self, train: Train<'_>, open: &mut dco_open) {
        open.passed = 0;
        let section = self.device.enter(open.cpu as usize);
        let mut batch = section.batch(Tick(open.now_ms));
        let from = Origin { peer: peer_id(open.peer_id).ok(), source: open.from.get() };
        for packet in train.packets(0) {
            let hop = |source: IpAddr| self.shell.route_back(&source.into()).and_then(|hop| hop.get());
            match batch.open(from, packet.src, packet.dst, hop) {
                Ok(Opened::Packet { len, .. }) => {
                    packet.pass(len);
                    open.passed = open.passed.saturating_add(1);
                }
                Ok(Opened::Ping { .. }) => packet.taken(),
                Err(_) => {}
            }
        }
        let wake = batch.moved();
        #[cfg(feature = "epoch")]
        let wake = wake || batch.keys_wanted();
        if wake {
            self.shell.wake();
        }
    }

    /// Counts packets that C lost.
    pub fn count_drop(&self, cpu: u32, reason: u32, packets: u32) {
        let reason = match reason {
            ffi::DCO_SHIM_TX_NO_MEMORY => DropReason::TxNoMemory,
            ffi::DCO_SHIM_TX_BAD_SKB => DropReason::TxBadFragments,
            ffi::DCO_SHIM_TX_QUEUE_FULL => DropReason::TxQueueFull,
            ffi::DCO_SHIM_RX_NO_MEMORY => DropReason::RxNoMemory,
            ffi::DCO_SHIM_RX_TOO_SHORT => DropReason::RxTooShort,
            ffi::DCO_SHIM_RX_NOT_FOR_US => DropReason::RxUnsupported,
            _ => DropReason::TxSendFailed,
        };
        self.device.count_drops(cpu as usize, reason, u64::from(packets));
    }

    /// The device's drops, by reason, as many as there is room for.
    pub fn drops(&self, drops: &mut [u64]) {
        copy(drops, &self.device.drop_counts());
    }

    /// Switches the source check.
    pub fn source_check(&self, on: bool) {
        self.device.set_source_check(on);
    }

    pub(crate) fn peer(&self, state: &State, id: u32) -> Result<Handle, Errno> {
        Ok(self.device.peer(&state.control, PeerSelector::Id(peer_id(id)?))?)
    }

    fn remove(&self, state: &mut State, id: PeerId, reason: u32) -> Result<(), Errno> {
        let peer = self.device.del_peer(&mut state.control, PeerSelector::Id(id), pause).ok_or(Errno::NOENT)?;
        self.gone(&peer, reason);
        Ok(())
    }

    fn gone(&self, peer: &Peer<Aead, Transport>, reason: u32) {
        self.shell.peer_gone(&peer.transport().link, peer.id().get(), reason);
    }
}

fn info(peer: &Peer<Aead, Transport>) -> dco_peer_info {
    let (vpn4, vpn6) = peer.addresses();
    let stats = peer.stats();
    let PeerStats { link_rx, link_tx, vpn_rx, vpn_tx, .. } = stats;
    dco_peer_info {
        id: peer.id().get(),
        tx_id: peer.tx_id().get(),
        interval: peer.interval(),
        timeout: peer.timeout(),
        mss: u32::from(peer.mss()),
        tcp: u32::from(peer.transport().tcp),
        vpn4: vpn4.into(),
        vpn6: vpn6.into(),
        endpoint: dco_endpoint::from(peer.endpoint().0),
        vpn: dco_traffic {
            rx_bytes: vpn_rx,
            tx_bytes: vpn_tx,
            rx_packets: stats.vpn_rx_packets,
            tx_packets: stats.vpn_tx_packets,
        },
        wire: dco_traffic {
            rx_bytes: link_rx,
            tx_bytes: link_tx,
            rx_packets: stats.link_rx_packets,
            tx_packets: stats.link_tx_packets,
        },
        link: peer.transport().link.as_ptr(),
    }
}

pub(crate) fn peer_id(id: u32) -> Result<PeerId, Errno> {
    let named = PeerId::from_low_bits(id);
    if named.get() == id { Ok(named) } else { Err(Errno::INVAL) }
}

pub(crate) fn slot(slot: u32) -> Result<KeySlot, Errno> {
    match slot {
        ffi::DCO_SLOT_PRIMARY => Ok(KeySlot::Primary),
        ffi::DCO_SLOT_SECONDARY => Ok(KeySlot::Secondary),
        _ => Err(Errno::INVAL),
    }
}

fn copy(to: &mut [u64], from: &[u64]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
}

#[cfg_attr(
    not(test),
    expect(
        clippy::cast_possible_truncation,
        reason = "a generation that differs in 32 bits is enough to forget a route"
    )
)]
fn low_bits(generation: usize) -> u32 {
    generation as u32
}
