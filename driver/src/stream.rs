//! A connection's bytes: frames to userspace and to the receive queue, and the connection's end to a reader.

use crate::link::{Link, now};
use crate::message;
use crate::rxqueue::{self, Arrival};
use crate::trace;
use dco_core::DropReason;
use dco_wire::stream::{Frames, PREFIX_LEN};
use dco_wire::{Class, classify};
use nt::status::Status;
use nt::time;
use nt::wsk::{Arrived, Received, StreamBuffer};

/// A receive has ended. DISPATCH_LEVEL, in the DPC; on several processors at once, of which one gets what arrived.
///
/// The read section keeps the socket; one that is not published any more is being closed, and what it received is of no use.
pub fn received(link: &Link) {
    let cpu = time::processor();
    let section = link.core.enter(cpu);
    let Some(socket) = section.batch(now()).only().and_then(|peer| peer.transport().stream()) else { return };
    match socket.arrived() {
        None => {}
        Some(Arrived::Data(mut data)) => {
            if !walk(link, cpu, &mut data) {
                link.core.count_drop(cpu, DropReason::RxStreamBroken);
                data.end();
                socket.abort();
                link.messages.disconnected(Status::CONNECTION_ABORTED);
                trace::socket_lost(link.traced.adapter, Status::CONNECTION_ABORTED);
            }
        }
        Some(Arrived::End { unfinished, .. }) => {
            if unfinished != 0 {
                link.core.count_drop(cpu, DropReason::RxStreamBroken);
            }
            link.messages.disconnected(Status::CONNECTION_ABORTED);
            trace::socket_lost(link.traced.adapter, Status::CONNECTION_ABORTED);
        }
    }
}

/// Hands the whole frames on and keeps the beginning of the next; false where the framing is broken.
fn walk(link: &Link, cpu: usize, data: &mut Received<'_>) -> bool {
    let mut frames = Frames::within(data.bytes(), link.sends.buffer_len());
    let mut packets = false;
    let mut whole = true;
    for frame in frames.by_ref() {
        let Ok(frame) = frame else {
            whole = false;
            break;
        };
        match classify(frame) {
            Class::Data(_) => packets = true,
            Class::Control => message::receive(link, cpu, frame),
            Class::TooShort => link.core.count_drop(cpu, DropReason::RxTooShort),
        }
    }
    let rest = frames.rest().len();
    if whole {
        whole = data.keep_rest(rest);
    } else {
        data.cut(rest);
    }
    if packets && let Some(buffer) = data.lend() {
        // What is refused is dropped: its buffer goes back.
        drop(rxqueue::queue(link, cpu, Arrival::Stream(buffer)));
    }
    whole
}

/// Takes the next frame of a buffer that was walked before.
pub fn next_frame(buffer: &mut StreamBuffer) -> Option<&[u8]> {
    let len = Frames::within(buffer.bytes(), usize::MAX).next()?.ok()?.len();
    buffer.take(PREFIX_LEN.checked_add(len)?)?.get(PREFIX_LEN..)
}
