//! Ioctls. PASSIVE_LEVEL; those that change anything hold the control lock.

use crate::cipher::Ciphers;
use crate::connection::{self, Leaving};
use crate::device::Dco;
use crate::epoch;
use crate::link::{Link, now};
use crate::listener::{self, Listener};
use crate::listening::LISTENERS;
use crate::peer::{self, Connecting};
use crate::server;
use crate::trace::{self, Gone};
use crate::transport::Transport;
use core::sync::atomic::Ordering;
use dco_core::{Control, ControlError, DropReason, PeerSelector, PeerUpdate};
use dco_crypto::{Key, KeyConfig, KeySlot, NonceTail};
use dco_sync::{Box, Shared};
use dco_uapi::raw::DropCount;
use dco_uapi::{self as uapi, Ioctl as Code, UapiError};
use dco_wire::PeerId;
use nt::irql::AtDispatch;
use nt::status::{Result, Status};
use nt::time;
use nt::wdf::request::Ioctl;
use nt::wsk::Client;
use zerocopy::IntoBytes;

/// The interface that works. OpenVPN takes multi-peer mode from 2.0 on, epoch keys from 2.8 on.
pub const VERSION: uapi::Version = uapi::Version { major: 2, minor: 8, patch: 0 };

/// How many records GET_PEER_DROPS answers with.
const PEER_RECORDS: usize = uapi::additive::PEER_PACKETS.len() + DropReason::COUNT;

/// What the control lock guards.
pub struct State {
    pub core: Control,
    /// Of the server's peers.
    pub many: Control,
    /// Between EvtDevicePrepareHardware and EvtDeviceReleaseHardware. A handle may outlive the latter; peers may not be made then.
    pub started: bool,
    /// A handle is open. Between its cleanup and the next one's creation nothing may begin that only a handle ends.
    pub open: bool,
    /// START_VPN has put the link up, for the handle that is open.
    pub up: bool,
    /// A server has, or had, a listener since the handle was opened.
    pub serving: bool,
    /// A server's, by number.
    pub listeners: [Option<Listener>; LISTENERS],
    /// A server's connections that are being ended, by their places.
    pub leaving: Box<[Option<Leaving>]>,
    /// Point to point: the peer's socket, while there is a peer.
    pub socket: Option<Shared<Transport>>,
    /// The peer to be, while it connects; then there is none yet.
    pub connecting: Option<Connecting>,
    /// Registered at the first peer.
    pub client: Option<Client>,
    ciphers: Ciphers,
}

impl State {
    /// Nothing yet. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// NO_MEMORY; INTERNAL_ERROR for a second state of one device.
    pub fn new(link: &Link) -> Result<Self> {
        let core = link.core.take_control().ok_or(Status::INTERNAL_ERROR)?;
        let many = link.many.take_control().ok_or(Status::INTERNAL_ERROR)?;
        let ciphers = Ciphers::new();
        Ok(Self {
            core,
            many,
            started: false,
            open: false,
            up: false,
            serving: false,
            listeners: [const { None }; LISTENERS],
            leaving: connection::nobody_leaving()?,
            socket: None,
            connecting: None,
            client: None,
            ciphers,
        })
    }

    /// Gives back what must be given back at PASSIVE_LEVEL. The peer is gone.
    pub fn release(&mut self) {
        self.client = None;
        self.ciphers = Ciphers::new();
    }
}

/// Answers an ioctl of the adapter.
pub fn ioctl(dco: &Dco, mut request: Ioctl, code: u32) {
    if code == uapi::additive::GET_DROPS {
        return request.complete_output(drops(dco).as_bytes());
    }
    if code == uapi::additive::GET_PEER_DROPS {
        return peer_drops(dco, request);
    }
    if code == uapi::additive::DEL_KEY && dco.link.is_server() {
        return request.complete(Status::INVALID_DEVICE_STATE);
    }
    if code == uapi::additive::DEL_KEY {
        let deleted = parse(&request, uapi::additive::parse_del_key).and_then(|slot| del_key(dco, slot));
        return request.complete_result(deleted);
    }
    if code == uapi::additive::KEY_EVENT && dco.link.is_server() {
        return request.complete(Status::INVALID_DEVICE_STATE);
    }
    if code == uapi::additive::KEY_EVENT {
        if let Err(status) = parse(&request, uapi::additive::parse_key_event) {
            return request.complete(status);
        }
        let state = dco.control.lock();
        return match state.socket {
            _ if !state.open => request.complete(Status::CANCELLED),
            Some(_) => dco.link.key_events.wait(request),
            None => request.complete(Status::OBJECTID_NOT_FOUND),
        };
    }
    let server = dco.link.is_server();
    if let uapi::additive::MP_LISTEN | uapi::additive::MP_UNLISTEN | uapi::additive::MP_DISCONNECT = code {
        return if server {
            listener::ioctl(dco, request, code)
        } else {
            request.complete(Status::INVALID_DEVICE_STATE)
        };
    }
    if Code::from_code(code).is_some_and(|code| !server::allows(server, code)) {
        return request.complete(Status::INVALID_DEVICE_STATE);
    }
    match Code::from_code(code) {
        Some(Code::NewPeer) => peer::create(dco, request),
        Some(Code::DelPeer) => {
            let mut state = dco.control.lock();
            // The mode again, under the lock that it changes under.
            let status = if dco.link.is_server() {
                Status::INVALID_DEVICE_STATE
            } else {
                peer::remove(dco, &mut state, Gone::Deleted);
                Status::SUCCESS
            };
            drop(state);
            request.complete(status);
        }
        Some(Code::StartVpn) => {
            let started = start_vpn(dco);
            request.complete_result(started);
        }
        Some(Code::SetPeer) => {
            let set = parse(&request, uapi::SetPeer::parse).and_then(|set| set_peer(dco, set));
            request.complete_result(set);
        }
        Some(Code::NewKey) => {
            let installed = new_key(dco, &mut request, uapi::NewKey::parse, size_of::<uapi::raw::CryptoData>());
            request.complete_result(installed);
        }
        Some(Code::NewKeyV2) => {
            let installed = new_key(dco, &mut request, uapi::NewKey::parse_v2, size_of::<uapi::raw::CryptoDataV2>());
            request.complete_result(installed);
        }
        Some(Code::SwapKeys) => {
            let mut state = dco.control.lock();
            let swapped = dco.link.core.swap_keys(&mut state.core, PeerSelector::Only, time::pause);
            if swapped.is_ok() {
                trace::keys_swapped(dco.link.traced.adapter, dco.link.peer_id.load(Ordering::Relaxed));
            }
            request.complete_result(swapped.map_err(|e| status_of(e, Status::INVALID_DEVICE_REQUEST)));
        }
        Some(Code::GetStats) => request.complete_output(stats(dco).to_raw().as_bytes()),
        Some(Code::GetPeerStats) if server => server::peer_stats(dco, request),
        Some(Code::GetPeerStats) => peer_stats(dco, request),
        Some(Code::NotifyEvent) => dco.link.events.wait(request),
        Some(Code::GetVersion) => request.complete_output(VERSION.to_raw().as_bytes()),
        Some(code) => server::ioctl(dco, request, code),
        None => request.complete(Status::INVALID_DEVICE_REQUEST),
    }
}

/// Answers an ioctl of the version device.
pub fn version_only(request: Ioctl, code: u32) {
    match Code::from_code(code) {
        Some(Code::GetVersion) => request.complete_output(VERSION.to_raw().as_bytes()),
        _ => request.complete(Status::INVALID_DEVICE_REQUEST),
    }
}

/// Reads a request's input; one too short, or empty, is BUFFER_TOO_SMALL.
pub fn parse<T>(request: &Ioctl, read: impl FnOnce(&[u8]) -> core::result::Result<T, UapiError>) -> Result<T> {
    read(request.input()?).map_err(|e| Status(e.status()))
}

fn status_of(error: ControlError, no_peer: Status) -> Status {
    match error {
        ControlError::NoPeer => no_peer,
        ControlError::PeerExists | ControlError::AddressInUse => Status::INVALID_DEVICE_REQUEST,
        ControlError::OutOfMemory => Status::NO_MEMORY,
    }
}

fn start_vpn(dco: &Dco) -> Result<()> {
    let mut state = dco.control.lock();
    if state.socket.is_none() {
        return Err(Status::INVALID_DEVICE_REQUEST);
    }
    dco.adapter.set_link(true);
    if !core::mem::replace(&mut state.up, true) {
        trace::link_up(dco.link.traced.adapter);
    }
    Ok(())
}

fn set_peer(dco: &Dco, set: uapi::SetPeer) -> Result<()> {
    let mut state = dco.control.lock();
    let update = PeerUpdate { interval: set.interval, timeout: set.timeout, mss: set.mss, ..PeerUpdate::default() };
    dco.link
        .core
        .set_peer(&mut state.core, PeerSelector::Only, &update, now(), time::pause)
        .map_err(|e| status_of(e, Status::INVALID_DEVICE_REQUEST))?;
    dco.link.traced.set(dco.link.peer_id.load(Ordering::Relaxed), &set);
    Ok(())
}

/// Installs a key and wipes it from the request's buffer, whatever came of it.
fn new_key(
    dco: &Dco,
    request: &mut Ioctl,
    read: fn(&[u8]) -> core::result::Result<uapi::NewKey, UapiError>,
    len: usize,
) -> Result<()> {
    let parsed = request.read_and_wipe(len, read, uapi::wipe)?;
    install(dco, &parsed.map_err(|e| Status(e.status()))?)
}

fn install(dco: &Dco, new: &uapi::NewKey) -> Result<()> {
    // Bits that older drivers gave other meanings.
    if new.options.unknown() != 0 || new.algorithm == uapi::Algorithm::None {
        return Err(Status::INVALID_DEVICE_REQUEST);
    }
    let mut state = dco.control.lock();
    let state = &mut *state;
    if !dco.link.is_server() && state.socket.is_none() {
        return Err(Status::OBJECTID_NOT_FOUND);
    }
    let installed =
        if new.options.epoch() { install_epoch(dco, state, new)? } else { install_classic(dco, state, new)? };
    installed.map_err(|e| status_of(e, Status::OBJECTID_NOT_FOUND))?;
    dco.link.peer_id.store(new.peer_id, Ordering::Relaxed);
    dco.link.traced.key(new);
    Ok(())
}

type Installed = core::result::Result<(), ControlError>;

#[inline(never)]
fn install_epoch(dco: &Dco, state: &mut State, new: &uapi::NewKey) -> Result<Installed> {
    let key = epoch::key(&mut state.ciphers, new, dco.link.usage_limit)?;
    let slot = key_slot(new.slot);
    if dco.link.is_server() {
        let peer = server::selector(new.peer_id).ok_or(Status::OBJECTID_NOT_FOUND)?;
        return Ok(dco.link.many.new_epoch_key(&mut state.many, peer, slot, key, time::pause));
    }
    Ok(dco.link.core.new_epoch_key(&mut state.core, PeerSelector::Only, slot, key, time::pause))
}

#[inline(never)]
fn install_classic(dco: &Dco, state: &mut State, new: &uapi::NewKey) -> Result<Installed> {
    let key = Key::try_new(KeyConfig {
        key_id: new.key_id,
        peer_id: Some(PeerId::from_low_bits(new.peer_id.cast_unsigned())),
        seal: state.ciphers.key(new.algorithm, new.encrypt.key())?,
        open: state.ciphers.key(new.algorithm, new.decrypt.key())?,
        seal_tail: NonceTail::new(*new.encrypt.nonce_tail()),
        open_tail: NonceTail::new(*new.decrypt.nonce_tail()),
    })?;
    let slot = key_slot(new.slot);
    if dco.link.is_server() {
        let peer = server::selector(new.peer_id).ok_or(Status::OBJECTID_NOT_FOUND)?;
        return Ok(dco.link.many.new_key(&mut state.many, peer, slot, key, time::pause));
    }
    Ok(dco.link.core.new_key(&mut state.core, PeerSelector::Only, slot, key, time::pause))
}

fn key_slot(slot: uapi::Slot) -> KeySlot {
    match slot {
        uapi::Slot::Primary => KeySlot::Primary,
        uapi::Slot::Secondary => KeySlot::Secondary,
    }
}

fn del_key(dco: &Dco, slot: uapi::Slot) -> Result<()> {
    let mut state = dco.control.lock();
    dco.link
        .core
        .del_key(&mut state.core, PeerSelector::Only, key_slot(slot), time::pause)
        .map_err(|e| status_of(e, Status::OBJECTID_NOT_FOUND))?;
    trace::key_deleted(dco.link.traced.adapter, dco.link.peer_id.load(Ordering::Relaxed), trace::slot(slot));
    Ok(())
}

fn stats(dco: &Dco) -> uapi::DeviceStats {
    let [data, control] = dco.link.failed_sends();
    let s = dco.link.active().stats();
    uapi::DeviceStats {
        lost_in_control: s.lost_in_control,
        lost_out_control: s.lost_out_control.saturating_add(control),
        lost_in_data: s.lost_in_data,
        lost_out_data: s.lost_out_data.saturating_add(data),
        received_data: s.received_data,
        received_control: s.received_control,
        sent_control: s.sent_control,
        sent_data: s.sent_data,
        transport_sent: s.transport_sent,
        transport_received: s.transport_received,
        tun_sent: s.tun_sent,
        tun_received: s.tun_received,
    }
}

/// Every drop reason and its count. Not inlined, for the frame of its caller.
#[inline(never)]
fn drops(dco: &Dco) -> [DropCount; DropReason::COUNT] {
    let mut next = DropReason::ALL.into_iter().zip(dco.link.drop_counts());
    core::array::from_fn(|_| {
        let Some((reason, count)) = next.next() else { return DropCount::new("", 0) };
        DropCount::new(reason.name(), count)
    })
}

/// GET_PEER_DROPS, in either mode. Not inlined, for its stack frame.
#[inline(never)]
fn peer_drops(dco: &Dco, request: Ioctl) {
    let id = match parse(&request, uapi::parse_peer_id) {
        Ok(id) => id,
        Err(status) => return request.complete(status),
    };
    let state = dco.control.lock();
    let link = &dco.link;
    let peer = if link.is_server() {
        server::selector(id).and_then(|peer| link.many.peer(&state.many, peer).ok())
    } else {
        link.core.peer(&state.core, PeerSelector::Only).ok()
    };
    let Some(peer) = peer else { return request.complete(Status::OBJECTID_NOT_FOUND) };
    let s = peer.stats();
    let packets = [s.link_rx_packets, s.link_tx_packets, s.vpn_rx_packets, s.vpn_tx_packets];
    let passed = uapi::additive::PEER_PACKETS.into_iter().zip(packets);
    let lost = DropReason::ALL.into_iter().map(DropReason::name).zip(peer.drops());
    request.complete_pieces(PEER_RECORDS.saturating_mul(size_of::<DropCount>()), |put| {
        for (name, count) in passed.chain(lost) {
            if !put(DropCount::new(name, count).as_bytes()) {
                break;
            }
        }
    });
}

/// GET_PEER_STATS point to point: the id only decides between "one" and "all" (-1).
fn peer_stats(dco: &Dco, request: Ioctl) {
    let id = match parse(&request, uapi::parse_peer_id) {
        Ok(id) => id,
        Err(status) => return request.complete(status),
    };
    let all = id == -1;
    let dispatch = AtDispatch::raise();
    let stats = dco.link.core.peer_stats(time::processor(), PeerSelector::Only);
    drop(dispatch);
    let Ok(s) = stats else {
        return request.complete(if all { Status::SUCCESS } else { Status::OBJECTID_NOT_FOUND });
    };
    let peer_id = if all { dco.link.peer_id.load(Ordering::Relaxed) } else { id };
    let raw = uapi::PeerStats { peer_id, link_rx: s.link_rx, link_tx: s.link_tx, vpn_rx: s.vpn_rx, vpn_tx: s.vpn_tx }
        .to_raw();
    let bytes = raw.as_bytes();
    if all && !request.has_room(bytes.len()) {
        // Too small for all peers: the size that would do, and a warning (ERROR_MORE_DATA).
        let needed = (bytes.len() as u32).to_le_bytes();
        return request.complete_output_as(Status::BUFFER_OVERFLOW, &needed);
    }
    request.complete_output(bytes);
}
