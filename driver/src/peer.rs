//! A peer's socket: made with the peer, unmade with it. PASSIVE_LEVEL, under the control lock.

use crate::control::State;
use crate::device::Dco;
use crate::link::{Receiver, now};
use crate::rxqueue;
use dco_core::NewPeer;
use dco_sync::Shared;
use dco_uapi as uapi;
use dco_wire::{PeerId, ip};
use nt::status::{Result, Status};
use nt::time;
use nt::wsk::{Client, DatagramSocket};

/// Makes the only peer and its socket; one that is there is removed first, so that its address is free.
///
/// # Errors
/// NOT_SUPPORTED for TCP; INVALID_DEVICE_REQUEST for addresses of two families; DEVICE_NOT_READY for a device that is going; WSK's
/// status, and then no peer is left.
pub fn create(dco: &Dco, state: &mut State, new: uapi::NewPeer) -> Result<()> {
    if new.local.is_ipv4() != new.remote.is_ipv4() {
        return Err(Status::INVALID_DEVICE_REQUEST);
    }
    if new.protocol == uapi::Protocol::Tcp {
        return Err(Status::NOT_SUPPORTED);
    }
    if !state.started {
        return Err(Status::DEVICE_NOT_READY);
    }
    if state.socket.is_some() {
        remove(dco, state);
    }
    let client = match &state.client {
        Some(client) => client.clone(),
        // Here, not at start: there the network stack may not be up yet (ovpn-dco-win #24).
        None => state.client.insert(Client::register()?).clone(),
    };
    let link = &dco.link;
    let socket = DatagramSocket::new(&client, &link.sends, new.local, new.remote, Receiver::new(link))?;
    let socket = Shared::try_new(socket)?;
    let peer = NewPeer {
        id: PeerId::UNDEFINED,
        local: new.local,
        remote: new.remote,
        protocol: ip::UDP,
        transport: socket.clone(),
    };
    link.core.new_peer(&mut state.core, peer, now(), time::pause).map_err(|_| Status::NO_MEMORY)?;
    link.restart();
    link.received.set_closing(false);
    let started = socket.start();
    state.socket = Some(socket);
    if let Err(status) = started {
        remove(dco, state);
        return Err(status);
    }
    dco.timer.start();
    Ok(())
}

/// Removes the peer, if there is one: no processor uses it or its socket when this returns. Parked requests end with CANCELLED and
/// waiting control packets are forgotten, peer or not. The handle goes on reading.
pub fn remove(dco: &Dco, state: &mut State) {
    unmake(dco, state);
    dco.link.messages.flush(true);
}

/// The same for a handle that is closed: nothing is read any more until the next is opened.
pub fn close(dco: &Dco, state: &mut State) {
    unmake(dco, state);
    dco.link.messages.flush(false);
}

fn unmake(dco: &Dco, state: &mut State) {
    let link = &dco.link;
    link.core.del_peer(&mut state.core, time::pause);
    if let Some(socket) = state.socket.take() {
        dco.timer.stop();
        // No callback after this, so nothing is added to the queue; then what is in it goes back, and the socket can close.
        socket.stop();
        link.received.set_closing(true);
        rxqueue::discard(link);
        drop(socket);
    }
    // The timer, which looks at them, has ended; without a peer none is parked.
    link.key_events.flush();
}
