//! A peer's socket: made, connected where it has to be, and unmade. PASSIVE_LEVEL, under the control lock.
//!
//! Connecting takes time, so NEW_PEER over TCP pends in [`Link::connects`] while [`State::connecting`] has the socket. The
//! connect's end, and the request's cancellation, enqueue the work item; it finishes under the control lock what it finds there
//! ([`connected`]). Whoever takes the socket away before (DEL_PEER, another NEW_PEER, the handle's closing) cancels the connect and
//! waits for it, which is what dropping the socket does, and completes the request. So a connect into a black hole holds nobody up
//! (ovpn-dco-win #142).

use crate::control::{self, State};
use crate::device::Dco;
use crate::link::{Link, now};
use crate::trace::{self, Gone};
use crate::transport::Transport;
use crate::{connection, listener, rxqueue, server};
use core::sync::atomic::Ordering;
use dco_core::{Endpoint, NewPeer, PeerSelector};
use dco_sync::Shared;
use dco_uapi as uapi;
use dco_wire::PeerId;
use nt::status::{Result, Status};
use nt::time;
use nt::wdf::request::Ioctl;
use nt::wsk::Client;

/// A peer that is being connected: its addresses and its socket, which nobody else has.
pub struct Connecting {
    new: uapi::NewPeer,
    transport: Shared<Transport>,
}

/// NEW_PEER: makes the only peer and its socket; one that is there, or on its way, is removed first, so that its address is free.
///
/// Fails with INVALID_DEVICE_REQUEST for addresses of two families; DEVICE_NOT_READY for a device that is going; WSK's status, of bind or
/// connect; CANCELLED where it was taken back while it connected. No peer is left then.
pub fn create(dco: &Dco, request: Ioctl) {
    let mut state = dco.control.lock();
    let socket = control::parse(&request, uapi::NewPeer::parse).and_then(|new| prepare(dco, &mut state, new));
    let made = match socket {
        Err(status) => Err(status),
        Ok(connecting) if connecting.new.protocol == uapi::Protocol::Tcp => {
            // First the request, then the connect: however soon that ends, there is somebody to be told.
            match dco.link.connects.park(request.into_request()) {
                Ok(()) => {
                    let transport = connecting.transport.clone();
                    let remote = connecting.new.remote;
                    state.connecting = Some(connecting);
                    if transport.connect(remote).is_err() {
                        abandon(&dco.link, &mut state);
                    }
                }
                Err((request, status)) => {
                    drop(connecting);
                    drop(state);
                    request.complete(status);
                }
            }
            return;
        }
        Ok(connecting) => publish(dco, &mut state, connecting),
    };
    drop(state);
    request.complete_result(made);
}

/// The socket for a new peer, bound.
fn prepare(dco: &Dco, state: &mut State, new: uapi::NewPeer) -> Result<Connecting> {
    if new.local.is_ipv4() != new.remote.is_ipv4() {
        return Err(Status::INVALID_DEVICE_REQUEST);
    }
    if !state.started {
        return Err(Status::DEVICE_NOT_READY);
    }
    if dco.link.is_server() {
        return Err(Status::INVALID_DEVICE_STATE);
    }
    if !state.open {
        // It came in before the handle's cleanup, and would outlive it.
        return Err(Status::CANCELLED);
    }
    if state.socket.is_some() || state.connecting.is_some() {
        remove(dco, state, Gone::Replaced);
    }
    let client = match &state.client {
        Some(client) => client.clone(),
        // Here, not at start: there the network stack may not be up yet (ovpn-dco-win #24).
        None => state.client.insert(Client::register()?).clone(),
    };
    let transport = Shared::try_new(Transport::new(&client, &dco.link, &new)?)?;
    Ok(Connecting { new, transport })
}

/// Makes the peer of a socket that is ready, and begins to receive.
fn publish(dco: &Dco, state: &mut State, ready: Connecting) -> Result<()> {
    let link = &dco.link;
    let Connecting { new, transport } = ready;
    let peer = NewPeer {
        id: PeerId::UNDEFINED,
        tx_id: PeerId::UNDEFINED,
        endpoint: Some(Endpoint { remote: new.remote, local: Some(new.local.ip()) }),
        vpn4: None,
        vpn6: None,
        protocol: transport.protocol(),
        transport: transport.clone(),
    };
    drop(link.core.new_peer(&mut state.core, peer, now(), time::pause).map_err(|_| Status::NO_MEMORY)?);
    link.restart();
    link.received.keep_all();
    let started = transport.start();
    state.socket = Some(transport);
    if let Err(status) = started {
        remove(dco, state, Gone::Failed);
        return Err(status);
    }
    dco.timer.start();
    link.traced.peer(link.peer_id.load(Ordering::Relaxed), &new);
    Ok(())
}

/// The work item: a connect has ended, or its request was cancelled, or both are long gone.
pub fn connected(dco: &Dco) {
    let link = &dco.link;
    let mut state = dco.control.lock();
    let Some(connecting) = state.connecting.take() else { return };
    let Some(outcome) = connecting.transport.stream().and_then(|socket| socket.outcome()) else {
        if !link.connects.is_empty() {
            // It still runs, and somebody still wants it: an earlier one was meant.
            state.connecting = Some(connecting);
        }
        // Otherwise dropping the socket cancels the connect.
        return;
    };
    let Some(request) = link.connects.take() else { return };
    let made = outcome.ok().and_then(|()| publish(dco, &mut state, connecting));
    drop(state);
    let status = made.err().unwrap_or(Status::SUCCESS);
    link.traced.connected(status);
    request.complete(status);
}

/// Takes a connect back, if there is one: cancels it, waits for it, and ends its request.
fn abandon(link: &Link, state: &mut State) {
    let Some(connecting) = state.connecting.take() else { return };
    drop(connecting);
    if let Some(request) = link.connects.take() {
        request.complete(Status::CANCELLED);
    }
}

/// Removes the peer, or all of a server's with its socket: no processor uses it or its socket when this returns. Parked requests end with CANCELLED and
/// waiting control packets are forgotten, peer or not. The handle goes on reading.
pub fn remove(dco: &Dco, state: &mut State, why: Gone) {
    unmake(dco, state, why);
    dco.link.messages.flush(true);
}

/// The same for a handle that is closed: nothing is read any more until the next is opened.
pub fn close(dco: &Dco, state: &mut State) {
    unmake(dco, state, Gone::Closed);
    // A handle begins point to point.
    dco.link.set_server(false);
    dco.link.events.close();
    dco.link.messages.flush(false);
    // Making none cannot fail.
    let _ = dco.link.messages.serve(false);
}

fn unmake(dco: &Dco, state: &mut State, why: Gone) {
    let link = &dco.link;
    abandon(link, state);
    drop(link.core.del_peer(&mut state.core, PeerSelector::Only, time::pause));
    if let Some(transport) = state.socket.take() {
        dco.timer.stop();
        // No callback after this, so nothing is added to the queue; then what is in it goes back, and the socket can close.
        transport.stop();
        link.received.give_back();
        rxqueue::discard(link);
        drop(transport);
        trace::drops(link);
        trace::peer_deleted(link.traced.adapter, link.peer_id.load(Ordering::Relaxed), why.name());
    }
    if core::mem::take(&mut state.serving) {
        dco.timer.stop();
        // As above.
        let sockets = listener::withdraw_all(link, state);
        connection::withdraw_all(link, state);
        server::drop_peers(link, state, why);
        link.received.give_back();
        rxqueue::discard(link);
        connection::close_all(state);
        drop(sockets);
        link.listening.reset();
        trace::drops(link);
        trace::server_stopped(link.traced.adapter, why.name());
    }
    // The timer, which looks at them, has ended; without a peer none is parked.
    link.key_events.flush();
}
