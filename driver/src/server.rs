//! Multi-peer mode: its requests, and what is done for many peers at once. PASSIVE_LEVEL, under the control lock.

use crate::connection;
use crate::control::{State, parse};
use crate::device::Dco;
use crate::link::{Link, Peer, now};
use crate::listener;
use crate::listening::{listener_of, our_end};
use crate::trace::{self, Gone};
use crate::transport;
use core::net::SocketAddr;
use core::sync::atomic::Ordering;
use dco_core::{ControlError, Cursor, Endpoint, Network, NewPeer, PeerSelector, PeerUpdate};
use dco_sync::Shared;
use dco_uapi::{self as uapi, DelReason, Ioctl as Code, Notification, PeerChoice};
use dco_wire::{PeerId, ip};
use nt::etw::Address;
use nt::status::{Result, Status};
use nt::time;
use nt::wdf::request::Ioctl;
use nt::wsk::{Chain, Traffic};
use zerocopy::IntoBytes;

/// Peers looked at in one read section: its end is what a change waits for.
const AT_ONCE: usize = 64;

/// Whether the present mode has this request.
pub fn allows(server: bool, code: Code) -> bool {
    match code {
        Code::NewPeer | Code::SwapKeys | Code::SetPeer | Code::StartVpn | Code::DelPeer => !server,
        Code::MpStartVpn
        | Code::MpNewPeer
        | Code::MpSetPeer
        | Code::MpDelPeer
        | Code::MpSwapKeys
        | Code::MpAddIroute
        | Code::MpDelIroute => server,
        Code::GetStats
        | Code::NewKey
        | Code::GetVersion
        | Code::NewKeyV2
        | Code::SetMode
        | Code::NotifyEvent
        | Code::GetPeerStats => true,
    }
}

/// The peer that a request means; `None` for an id that no header can say.
pub fn selector(id: i32) -> Option<PeerSelector> {
    let id = u32::try_from(id).ok().filter(|id| *id < PeerId::UNDEFINED.get())?;
    Some(PeerSelector::Id(PeerId::from_low_bits(id)))
}

/// An address as a user of this socket knows it: in the socket's family.
pub fn shown(address: SocketAddr, ipv4_socket: bool) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if !ipv4_socket => (v4.ip().to_ipv6_mapped(), v4.port()).into(),
        address => address,
    }
}

/// An address of userspace's, as peers are known by: never mapped, and without flow information.
pub fn canonical(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(_) => address,
        SocketAddr::V6(mut v6) => match v6.ip().to_ipv4_mapped() {
            Some(v4) => (v4, v6.port()).into(),
            None => {
                v6.set_flowinfo(0);
                v6.into()
            }
        },
    }
}

/// Answers a request that multi-peer mode alone has, and SET_MODE. Not inlined, for its stack frame.
#[inline(never)]
pub fn ioctl(dco: &Dco, request: Ioctl, code: Code) {
    let done = match code {
        Code::MpStartVpn => return listener::start(dco, request),
        Code::SetMode => parse(&request, uapi::Mode::parse).and_then(|mode| set_mode(dco, mode)),
        Code::MpNewPeer => parse(&request, uapi::MpNewPeer::parse).and_then(|new| new_peer(dco, &new)),
        Code::MpSetPeer => parse(&request, uapi::MpSetPeer::parse).and_then(|set| set_peer(dco, &set)),
        Code::MpDelPeer => parse(&request, uapi::parse_peer_id).and_then(|id| del_peer(dco, id)),
        Code::MpSwapKeys => parse(&request, uapi::parse_peer_id).and_then(|id| swap_keys(dco, id)),
        Code::MpAddIroute => parse(&request, uapi::Iroute::parse).and_then(|route| add_iroute(dco, &route)),
        Code::MpDelIroute => parse(&request, uapi::Iroute::parse).and_then(|route| del_iroute(dco, &route)),
        _ => Err(Status::INVALID_DEVICE_REQUEST),
    };
    request.complete_result(done);
}

fn set_mode(dco: &Dco, mode: uapi::Mode) -> Result<()> {
    let mut state = dco.control.lock();
    if dco.link.is_server() {
        return Err(Status::ALREADY_INITIALIZED);
    }
    if mode == uapi::Mode::P2p {
        return Ok(());
    }
    if !state.open {
        return Err(Status::CANCELLED);
    }
    if state.socket.is_some() || state.connecting.is_some() {
        return Err(Status::INVALID_DEVICE_STATE);
    }
    dco.link.messages.serve(true)?;
    dco.link.set_server(true);
    dco.adapter.set_link(true);
    trace::server_mode(dco.link.traced.adapter);
    if !core::mem::replace(&mut state.up, true) {
        trace::link_up(dco.link.traced.adapter);
    }
    Ok(())
}

/// The control lock's state in multi-peer mode, looked at under the lock: a handle's close ends the mode.
pub fn server(link: &Link) -> Result<()> {
    if link.is_server() { Ok(()) } else { Err(Status::INVALID_DEVICE_STATE) }
}

fn new_peer(dco: &Dco, new: &uapi::MpNewPeer) -> Result<()> {
    let mut guard = dco.control.lock();
    let state = &mut *guard;
    let link = &dco.link;
    server(link)?;
    let listener = link.listening.meant(new.listener);
    if !listener::exists(state, listener) {
        return Err(Status::INVALID_DEVICE_STATE);
    }
    let Some(PeerSelector::Id(id)) = selector(new.peer_id) else { return Err(Status::INVALID_DEVICE_REQUEST) };
    let remote = canonical(new.remote);
    let endpoint = Endpoint { remote, local: Some(our_end(listener)) };
    let connection = if listener::accepts(state, listener) {
        Some(link.connections.from(listener, remote).ok_or(Status::NOT_FOUND)?)
    } else {
        None
    };
    if connection.as_ref().is_some_and(|connection| connection.peer().is_some()) {
        return Err(Status::NO_MEMORY);
    }
    let transport = connection.as_ref().map_or(&link.served, |connection| &connection.transport).clone();
    // The core lets several peers be at one end; the existing driver's index does not.
    let there = link.many.peer_at_ends(&state.many, endpoint).filter(|_| connection.is_none());
    if there.is_some_and(|there| there != id) {
        return Err(Status::NO_MEMORY);
    }
    let peer = NewPeer {
        id,
        tx_id: id,
        endpoint: Some(endpoint),
        vpn4: new.vpn4,
        vpn6: new.vpn6,
        protocol: transport.protocol(),
        transport,
    };
    match link.many.new_peer(&mut state.many, peer, now(), time::pause) {
        Ok(_) => {
            let protocol = if connection.is_some() { uapi::Protocol::Tcp } else { uapi::Protocol::Udp };
            if let Some(connection) = connection {
                connection::belongs(&connection, id);
            }
            link.traced.client(new.peer_id, protocol, remote);
            Ok(())
        }
        Err(ControlError::PeerExists) => Err(Status::OBJECTID_EXISTS),
        Err(ControlError::NoPeer | ControlError::AddressInUse | ControlError::OutOfMemory) => Err(Status::NO_MEMORY),
    }
}

fn set_peer(dco: &Dco, set: &uapi::MpSetPeer) -> Result<()> {
    let mut state = dco.control.lock();
    server(&dco.link)?;
    let peer = selector(set.peer_id).ok_or(Status::INVALID_DEVICE_REQUEST)?;
    let uapi::SetPeer { interval, timeout, mss } = set.settings;
    let update = PeerUpdate { interval, timeout, mss, ..PeerUpdate::default() };
    let changed = dco.link.many.set_peer(&mut state.many, peer, &update, now(), time::pause);
    changed.map_err(|_| Status::INVALID_DEVICE_REQUEST)?;
    dco.link.traced.set(set.peer_id, &set.settings);
    Ok(())
}

fn del_peer(dco: &Dco, id: i32) -> Result<()> {
    let mut state = dco.control.lock();
    server(&dco.link)?;
    let peer = selector(id).ok_or(Status::NOT_FOUND)?;
    let gone = dco.link.many.del_peer(&mut state.many, peer, time::pause).ok_or(Status::NOT_FOUND)?;
    part(&dco.link, &mut state, gone);
    // One that finds no room is forgotten: who asked for it knows.
    let _ = dco.link.events.post(Notification::DelPeer { peer_id: id, reason: DelReason::Userspace });
    trace::peer_deleted(dco.link.traced.adapter, id, Gone::Deleted.name());
    Ok(())
}

/// What a peer leaves that was removed from the core: over TCP its connection, which ends in order.
fn part(link: &Link, state: &mut State, gone: Shared<Peer>) {
    let connected = gone.protocol() == ip::TCP;
    let id = gone.id();
    drop(gone);
    if connected {
        connection::peer_gone(link, state, id);
    }
}

fn swap_keys(dco: &Dco, id: i32) -> Result<()> {
    let mut state = dco.control.lock();
    server(&dco.link)?;
    let peer = selector(id).ok_or(Status::INVALID_DEVICE_REQUEST)?;
    match dco.link.many.swap_keys(&mut state.many, peer, time::pause) {
        Ok(()) => {
            trace::keys_swapped(dco.link.traced.adapter, id);
            Ok(())
        }
        Err(ControlError::OutOfMemory) => Err(Status::NO_MEMORY),
        Err(_) => Err(Status::INVALID_DEVICE_REQUEST),
    }
}

fn network(route: &uapi::Iroute) -> Result<Network> {
    Network::new(route.addr, route.netbits).ok_or(Status::INVALID_PARAMETER)
}

/// A network as events show it: the first of its addresses, no port.
fn shown_network(network: Network) -> Address {
    SocketAddr::new(network.address(), 0).into()
}

fn add_iroute(dco: &Dco, route: &uapi::Iroute) -> Result<()> {
    let mut state = dco.control.lock();
    server(&dco.link)?;
    let peer = selector(route.peer_id).ok_or(Status::NOT_FOUND)?;
    let network = network(route)?;
    match dco.link.many.add_network(&mut state.many, peer, network, time::pause) {
        Ok(()) => {
            trace::network_added(dco.link.traced.adapter, route.peer_id, shown_network(network), route.netbits);
            Ok(())
        }
        Err(ControlError::AddressInUse | ControlError::PeerExists) => Err(Status::OBJECTID_EXISTS),
        Err(ControlError::NoPeer) => Err(Status::NOT_FOUND),
        Err(ControlError::OutOfMemory) => Err(Status::NO_MEMORY),
    }
}

fn del_iroute(dco: &Dco, route: &uapi::Iroute) -> Result<()> {
    let mut state = dco.control.lock();
    server(&dco.link)?;
    let owner = match (route.peer_id, selector(route.peer_id)) {
        (-1, _) => None,
        (_, Some(PeerSelector::Id(id))) => Some(id),
        _ => return Err(Status::NOT_FOUND),
    };
    let network = network(route)?;
    if !dco.link.many.del_network(&mut state.many, owner, network, time::pause) {
        return Err(Status::NOT_FOUND);
    }
    trace::network_deleted(dco.link.traced.adapter, route.peer_id, shown_network(network), route.netbits);
    Ok(())
}

/// GET_PEER_STATS of one peer, or of all: as many records as there are peers.
#[inline(never)]
pub fn peer_stats(dco: &Dco, request: Ioctl) {
    let choice = match parse(&request, PeerChoice::parse) {
        Ok(choice) => choice,
        Err(status) => return request.complete(status),
    };
    let state = dco.control.lock();
    let link = &dco.link;
    let record = |peer_id: i32, s: dco_core::PeerStats| {
        uapi::PeerStats { peer_id, link_rx: s.link_rx, link_tx: s.link_tx, vpn_rx: s.vpn_rx, vpn_tx: s.vpn_tx }.to_raw()
    };
    match choice {
        PeerChoice::One(id) => {
            let peer = selector(id).and_then(|peer| link.many.peer(&state.many, peer).ok());
            match peer {
                Some(peer) => request.complete_output(record(id, peer.stats()).as_bytes()),
                None => request.complete(Status::OBJECTID_NOT_FOUND),
            }
        }
        PeerChoice::All => {
            let peers = link.many.peer_count(time::processor());
            let needed = peers.saturating_mul(size_of::<uapi::raw::PeerStats>());
            if needed != 0 && !request.has_room(needed) {
                // Too small for all peers: the size that would do, and a warning (ERROR_MORE_DATA).
                let needed = u32::try_from(needed).unwrap_or(u32::MAX).to_le_bytes();
                return request.complete_output_as(Status::BUFFER_OVERFLOW, &needed);
            }
            request.complete_pieces(needed, |put| {
                let mut cursor = Cursor::default();
                while let Some(peer) = link.many.next_peer(&state.many, &mut cursor) {
                    if !put(record(peer.id().get().cast_signed(), peer.stats()).as_bytes()) {
                        break;
                    }
                }
            });
        }
    }
}

/// Removes all peers, in one wait for readers.
pub fn drop_peers(link: &Link, state: &mut State, why: Gone) {
    let tell = |peer: &Peer| {
        trace::peer_deleted(link.traced.adapter, peer.id().get().cast_signed(), why.name());
    };
    link.many.del_peers(&mut state.many, tell, time::pause);
}

/// The work item: peers that moved, and once a second pings that are due and peers that went silent.
pub fn work(dco: &Dco) {
    let link = &dco.link;
    if !link.is_server() {
        return;
    }
    let mut guard = dco.control.lock();
    let state = &mut *guard;
    if !state.serving {
        return;
    }
    let second = link.ticked.swap(false, Ordering::AcqRel);
    listener::renew(link, state, second);
    let tell = |peer: &Peer, endpoint: Endpoint| {
        let listener = listener_of(endpoint.local);
        // Of a listener that is gone meanwhile the address tells as much as there is to know.
        let ipv4 = link.listening.get(listener).map_or(endpoint.remote.is_ipv4(), |socket| socket.is_ipv4());
        let address = shown(endpoint.remote, ipv4);
        let peer_id = peer.id().get().cast_signed();
        let told = link.events.post(Notification::FloatPeer { peer_id, address, listener });
        if told {
            trace::peer_floated(link.traced.adapter, peer_id, address.into());
        }
        told
    };
    link.many.take_moved_while(&mut state.many, tell, time::pause);
    connection::work(link, state, second);
    if second {
        let mut cursor = Some(Cursor::default());
        while let Some(at) = cursor {
            cursor = look(link, state, at);
        }
        trace::drops(link);
    }
}

/// Looks at some peers from `cursor` on; says where to go on.
fn look(link: &Link, state: &mut State, mut cursor: Cursor) -> Option<Cursor> {
    let mut expired = [None; AT_ONCE];
    let cpu = time::processor();
    let section = link.many.enter(cpu);
    let mut batch = section.batch(now());
    let mut ended = false;
    for expired in &mut expired {
        let Some(peer) = section.next_peer(&mut cursor) else {
            ended = true;
            break;
        };
        let due = batch.due(PeerSelector::Id(peer.id()));
        if let Some(key) = &due.key_old {
            link.traced.worn(key);
        }
        if due.expired {
            *expired = Some(peer.id());
        } else if due.ping
            && transport::has_room(link, peer.transport(), 0)
            && let Some(mut buffer) = link.sends.take()
        {
            match batch.seal_ping(PeerSelector::Id(peer.id()), buffer.bytes()) {
                Ok(sealed) => {
                    let mut chain = Chain::new(&link.sends, Traffic::Data);
                    chain.push(buffer, sealed.len);
                    transport::send(link, cpu, sealed.peer, chain);
                }
                Err(_) => link.sends.put(buffer),
            }
        }
    }
    drop(batch);
    drop(section);
    for id in expired.into_iter().flatten() {
        let gone = Notification::DelPeer { peer_id: id.get().cast_signed(), reason: DelReason::Expired };
        // Where there is no room it stays: it is expired at the next look, too.
        if link.events.post(gone) {
            if let Some(gone) = link.many.del_peer(&mut state.many, PeerSelector::Id(id), time::pause) {
                part(link, state, gone);
            }
            trace::peer_expired(link.traced.adapter, id.get().cast_signed());
            trace::peer_deleted(link.traced.adapter, id.get().cast_signed(), Gone::Expired.name());
        }
    }
    (!ended).then_some(cursor)
}
