//! A connection's bytes: frames to userspace and to the receive queue, and the connection's end to a reader.

use crate::connection::Connection;
use crate::link::{Link, now};
use crate::message;
use crate::rxqueue;
use crate::trace;
use dco_core::DropReason;
use dco_wire::stream::{Frames, PREFIX_LEN};
use dco_wire::{Class, classify};
use nt::status::Status;
use nt::time;
use nt::wsk::{Arrived, Received, StreamBuffer, StreamSocket};

/// A receive has ended. DISPATCH_LEVEL, in the DPC; on several processors at once, of which one gets what arrived.
pub fn received(link: &Link) {
    let cpu = time::processor();
    if link.is_server() {
        let all = link.connections.each_ready(cpu, |connection| of_connection(link, cpu, connection));
        if !all {
            link.streamed.enqueue();
        }
    } else {
        of_peer(link, cpu);
    }
}

/// Point to point. The read section keeps the socket; one that is not published any more is being closed, and what it received is of no use.
fn of_peer(link: &Link, cpu: usize) {
    let section = link.core.enter(cpu);
    let Some(socket) = section.batch(now()).only().and_then(|peer| peer.transport().stream()) else { return };
    if arrived(link, cpu, socket, None) == Arrival::Over {
        link.messages.disconnected(Status::CONNECTION_ABORTED);
        trace::socket_lost(link.traced.adapter, Status::CONNECTION_ABORTED);
    }
}

/// A server's; the places' read section keeps it.
fn of_connection(link: &Link, cpu: usize, connection: &Connection) {
    let Some(socket) = connection.transport.stream() else { return };
    if arrived(link, cpu, socket, Some(connection)) == Arrival::Over {
        connection.set_over();
        link.connected.enqueue();
    }
}

#[derive(PartialEq, Eq)]
enum Arrival {
    Taken,
    /// The connection has ended, or was ended here.
    Over,
}

fn arrived(link: &Link, cpu: usize, socket: &StreamSocket, from: Option<&Connection>) -> Arrival {
    match socket.arrived() {
        None => Arrival::Taken,
        Some(Arrived::Data(mut data)) => {
            if walk(link, cpu, &mut data, from) {
                return Arrival::Taken;
            }
            link.active().count_drop(cpu, DropReason::RxStreamBroken);
            data.end();
            socket.abort();
            Arrival::Over
        }
        Some(Arrived::End { unfinished, .. }) => {
            if unfinished != 0 {
                link.active().count_drop(cpu, DropReason::RxStreamBroken);
            }
            Arrival::Over
        }
    }
}

/// Hands the whole frames on and keeps the beginning of the next; false where the framing is broken.
fn walk(link: &Link, cpu: usize, data: &mut Received<'_>, from: Option<&Connection>) -> bool {
    let peer = from.and_then(Connection::peer);
    let mut frames = Frames::within(data.bytes(), link.sends.buffer_len());
    let mut packets = false;
    let mut whole = true;
    for frame in frames.by_ref() {
        let Ok(frame) = frame else {
            whole = false;
            break;
        };
        match (classify(frame), from) {
            (Class::Data(_), Some(_)) if peer.is_none() => {
                link.many.count_refused(cpu, DropReason::RxUnknownPeer, frame.len());
            }
            (Class::Data(_), _) => packets = true,
            (Class::Control, None) => message::receive(link, cpu, frame),
            (Class::Control, Some(connection)) => message::receive_from(link, cpu, connection, frame),
            (Class::TooShort, _) => link.active().count_drop(cpu, DropReason::RxTooShort),
        }
    }
    let rest = frames.rest().len();
    if whole {
        whole = data.keep_rest(rest);
    } else {
        data.cut(rest);
    }
    if packets && let Some(buffer) = data.lend() {
        let source = match (from, peer) {
            (Some(connection), Some(peer)) => rxqueue::Stream { buffer, peer: Some((connection.place(), peer)) },
            _ => rxqueue::Stream { buffer, peer: None },
        };
        // What is refused is dropped: its buffer goes back.
        drop(rxqueue::queue(link, cpu, rxqueue::Arrival::Stream(source)));
    }
    whole
}

/// Takes the next frame of a buffer that was walked before.
pub fn next_frame(buffer: &mut StreamBuffer) -> Option<&[u8]> {
    let len = Frames::within(buffer.bytes(), usize::MAX).next()?.ok()?.len();
    buffer.take(PREFIX_LEN.checked_add(len)?)?.get(PREFIX_LEN..)
}
