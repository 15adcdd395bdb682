//! Listeners come and go: MP_START_VPN, MP_LISTEN, MP_UNLISTEN. PASSIVE_LEVEL, under the control lock.
//!
//! A listener lives until it is closed. Its socket may not: where the network stack gives it up, the work item makes another at the same
//! address, at once or as soon as it can.

use crate::connection;
use crate::control::{State, parse};
use crate::device::Dco;
use crate::link::Link;
use crate::listening::{FIRST, LISTENERS};
use crate::rxqueue;
use crate::server::{canonical, server, shown};
use crate::trace;
use crate::transport::Transport;
use core::net::SocketAddr;
use dco_sync::Shared;
use dco_uapi::{self as uapi, additive::MpListen, raw};
use nt::status::{Result, Status};
use nt::wdf::request::Ioctl;
use nt::wsk::Client;
use zerocopy::IntoBytes;

/// A listener: how its socket was made.
pub struct Listener {
    /// What was asked for, with the address where it was bound, as a user knows it.
    made: MpListen,
    /// It has no socket at present: one is made as soon as it can be, and userspace knows.
    lost: bool,
}

/// Whether there is a listener of this number, with or without a socket.
pub fn exists(state: &State, number: u32) -> bool {
    state.listeners.get(number as usize).is_some_and(Option::is_some)
}

/// Whether it takes TCP connections.
pub fn accepts(state: &State, number: u32) -> bool {
    let listener = state.listeners.get(number as usize).and_then(Option::as_ref);
    listener.is_some_and(|listener| listener.made.protocol == uapi::Protocol::Tcp)
}

/// Answers MP_LISTEN, MP_UNLISTEN and MP_DISCONNECT. Not inlined, for the frame of its caller.
#[inline(never)]
pub fn ioctl(dco: &Dco, request: Ioctl, code: u32) {
    let done = match code {
        uapi::additive::MP_LISTEN => return listen(dco, request),
        uapi::additive::MP_UNLISTEN => {
            parse(&request, uapi::additive::parse_unlisten).and_then(|number| unlisten(dco, number))
        }
        uapi::additive::MP_DISCONNECT => parse(&request, uapi::additive::parse_disconnect)
            .and_then(|(remote, number)| disconnect(dco, remote, number)),
        _ => Err(Status::INVALID_DEVICE_REQUEST),
    };
    request.complete_result(done);
}

/// MP_START_VPN: makes the first socket, and says where it is bound.
pub fn start(dco: &Dco, request: Ioctl) {
    let asked = match parse(&request, uapi::MpStartVpn::parse) {
        Ok(asked) => asked,
        Err(status) => return request.complete(status),
    };
    let room = request.has_room(size_of::<raw::MpStartVpn>());
    let uapi::MpStartVpn { listen, ipv6_only } = asked;
    let wanted = MpListen { listen, ipv6_only, protocol: uapi::Protocol::Udp };
    match open(dco, &wanted, true, room) {
        Ok((_, listen)) => {
            let bound = uapi::MpStartVpn { listen, ipv6_only };
            request.complete_output(bound.to_raw().as_bytes());
        }
        Err(status) => request.complete(status),
    }
}

/// MP_LISTEN: makes another one, and says where it is bound and what its number is.
fn listen(dco: &Dco, request: Ioctl) {
    let wanted = match parse(&request, MpListen::parse) {
        Ok(wanted) => wanted,
        Err(status) => return request.complete(status),
    };
    let room = request.has_room(size_of::<raw::MpListener>());
    match open(dco, &wanted, false, room) {
        Ok((number, bound)) => {
            let answer = raw::MpListener { listen_address: bound.into(), listener: number.into() };
            request.complete_output(answer.as_bytes());
        }
        Err(status) => request.complete(status),
    }
}

/// Makes a listener: its number, and where it is bound. `room`: whether there is some for the answer, without which there is no socket.
fn open(dco: &Dco, wanted: &MpListen, first: bool, room: bool) -> Result<(u32, SocketAddr)> {
    let mut guard = dco.control.lock();
    let state = &mut *guard;
    let link = &dco.link;
    server(link)?;
    if first && exists(state, FIRST) {
        return Err(Status::ALREADY_INITIALIZED);
    }
    if !room {
        return Err(Status::BUFFER_TOO_SMALL);
    }
    if !state.started {
        return Err(Status::DEVICE_NOT_READY);
    }
    let another = || link.listening.free_number(|number| exists(state, number)).ok_or(Status::INSUFFICIENT_RESOURCES);
    let number = if first { FIRST } else { another()? };
    let client = match &state.client {
        Some(client) => client.clone(),
        // Here, not at start: there the network stack may not be up yet (ovpn-dco-win #24).
        None => state.client.insert(Client::register()?).clone(),
    };
    let begins = begin(dco, state);
    let bound = make(link, &client, number, wanted).inspect_err(|_| {
        if begins {
            dco.timer.stop();
            state.serving = false;
        }
    })?;
    if let Some(listener) = state.listeners.get_mut(number as usize) {
        *listener = Some(Listener { made: MpListen { listen: bound, ..*wanted }, lost: false });
    }
    if !first {
        link.listening.given(number);
    }
    Ok((number, bound))
}

/// Makes a listener's socket, and says where it is bound.
fn make(link: &Shared<Link>, client: &Client, number: u32, wanted: &MpListen) -> Result<SocketAddr> {
    let socket = Transport::listen(client, link, number, wanted)?;
    let bound = shown(socket.local_address()?, socket.is_ipv4());
    let socket = Shared::try_new(socket)?;
    link.listening.publish(number, socket.clone())?;
    if let Err(status) = socket.start() {
        unmake(link, number);
        return Err(status);
    }
    trace::server_listening(link.traced.adapter, number, trace::protocol(wanted.protocol), bound.into());
    Ok(bound)
}

/// Closes a listener's socket, if it has one.
fn unmake(link: &Link, number: u32) {
    let Some(socket) = link.listening.get(number) else { return };
    // No callback after this, so nothing is added to the queue; then what is in it of this socket's goes back, and it can close.
    socket.stop();
    link.listening.take_dead(number);
    link.listening.withdraw(number);
    let source = rxqueue::Source::Listener(number);
    link.received.give_back_of(source);
    rxqueue::discard_of(link, source);
    drop(socket);
    link.received.keep_all();
}

/// The work item: listeners whose sockets were given up get others. Where one cannot be made, one read is told, and each second it is
/// tried again; peers, their keys and what is known of them stay meanwhile.
pub fn renew(link: &Shared<Link>, state: &mut State, second: bool) {
    let Some(client) = &state.client else { return };
    for (number, listener) in (0u32..).zip(&mut state.listeners) {
        let Some(listener) = listener else { continue };
        let dead = link.listening.take_dead(number);
        if dead {
            trace::listener_lost(link.traced.adapter, number);
            unmake(link, number);
        }
        if dead || second && listener.lost {
            let made = make(link, client, number, &listener.made);
            let before = core::mem::replace(&mut listener.lost, made.is_err());
            if let Err(status) = made
                && !before
            {
                link.messages.disconnected(Status::CONNECTION_DISCONNECTED);
                trace::listener_down(link.traced.adapter, number, status);
            }
        }
    }
}

/// With the first listener of a handle the server begins; whether it was the first.
fn begin(dco: &Dco, state: &mut State) -> bool {
    if core::mem::replace(&mut state.serving, true) {
        return false;
    }
    dco.link.many.restart_stats(&mut state.many);
    dco.link.restart();
    dco.link.received.keep_all();
    dco.timer.start();
    true
}

/// MP_UNLISTEN: closes a listener. Its peers over UDP stay, without a way to them until they are heard by another; its connections end.
///
/// # Errors
/// NOT_FOUND.
fn unlisten(dco: &Dco, number: u32) -> Result<()> {
    let mut state = dco.control.lock();
    let link = &dco.link;
    server(link)?;
    let listener = state.listeners.get_mut(number as usize).ok_or(Status::NOT_FOUND)?;
    listener.take().ok_or(Status::NOT_FOUND)?;
    unmake(link, number);
    trace::listener_closed(link.traced.adapter, number);
    connection::end_of(link, number);
    Ok(())
}

/// Takes all listeners away and gives back their sockets, which receive nothing any more.
pub fn withdraw_all(link: &Link, state: &mut State) -> [Option<Shared<Transport>>; LISTENERS] {
    state.listeners = [const { None }; LISTENERS];
    let mut numbers = 0u32..;
    core::array::from_fn(|_| {
        let number = numbers.next()?;
        let socket = link.listening.get(number)?;
        socket.stop();
        link.listening.take_dead(number);
        link.listening.withdraw(number);
        Some(socket)
    })
}

/// MP_DISCONNECT: ends a connection that is no peer's.
///
/// # Errors
/// NOT_FOUND; INVALID_DEVICE_STATE for a peer's.
fn disconnect(dco: &Dco, remote: SocketAddr, number: u32) -> Result<()> {
    let mut state = dco.control.lock();
    server(&dco.link)?;
    connection::disconnect(&dco.link, &mut state, dco.link.listening.meant(number), canonical(remote))
}
