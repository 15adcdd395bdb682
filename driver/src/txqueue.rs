//! Inner packets: from the transmit ring's fragments, sealed into send buffers, to the socket.

use crate::link::{Link, Peer, now};
use crate::transport;
use dco_core::{Destination, DropReason};
use dco_wire::DATA_OVERHEAD;
use nt::netcx::{TxFlow, TxPacket, TxRing};
use nt::time;
use nt::wsk::{Chain, Traffic};

/// Sends what is on the ring, as far as there are send buffers. IRQL <= DISPATCH_LEVEL, serialised by NetAdapterCx.
///
/// The chain goes out inside the read section, which keeps its socket open; no lock is held.
pub fn advance(link: &Link, ring: &mut TxRing<'_>) {
    let cpu = time::processor();
    let server = link.is_server();
    let section = link.active().enter(cpu);
    let mut batch = section.batch(now());
    let mut chain = Chain::new(&link.sends, Traffic::Data);
    let mut to: Option<&Peer> = None;
    link.sends.begin_pass();
    ring.drain(|packet| {
        let Some(mut buffer) = link.sends.take_or_starve() else { return TxFlow::Stop };
        let sealed = match packet.contiguous() {
            Some(bytes) => batch.seal(Destination::Packet, bytes, buffer.bytes()),
            None => match gather(&packet, link.core.max_inner(), buffer.bytes()) {
                Ok(len) => batch.seal_gathered(Destination::Packet, buffer.bytes(), len),
                Err(reason) => {
                    batch.drop(reason);
                    Err(reason)
                }
            },
        };
        match sealed {
            Ok(sealed) => {
                let waiting = if to.is_some_and(|to| core::ptr::eq(to, sealed.peer)) { chain.len() } else { 0 };
                if server && !transport::has_room(link, sealed.peer.transport(), waiting.saturating_add(1)) {
                    link.sends.put(buffer);
                    batch.drop_sealed(&sealed, DropReason::TxQueueFull);
                    return TxFlow::Done;
                }
                // A chain goes to one peer.
                if let Some(other) = to.filter(|other| !core::ptr::eq(*other, sealed.peer)) {
                    transport::send(
                        link,
                        cpu,
                        other,
                        core::mem::replace(&mut chain, Chain::new(&link.sends, Traffic::Data)),
                    );
                }
                to = Some(sealed.peer);
                chain.push(buffer, sealed.len);
            }
            Err(_) => link.sends.put(buffer),
        }
        TxFlow::Done
    });
    if batch.keys_wanted() {
        link.want_keys();
    }
    if let Some(peer) = to {
        transport::send(link, cpu, peer, chain);
    }
}

/// Copies a packet of several fragments to where it is sealed in place.
fn gather(packet: &TxPacket<'_>, max_inner: usize, buffer: &mut [u8]) -> Result<usize, DropReason> {
    match packet.len() {
        None => return Err(DropReason::TxBadFragments),
        Some(len) if len > max_inner => return Err(DropReason::TxTooLong),
        Some(_) => {}
    }
    let room = buffer.get_mut(DATA_OVERHEAD..).ok_or(DropReason::TxBadFragments)?;
    packet.gather(room).ok_or(DropReason::TxBadFragments)
}
