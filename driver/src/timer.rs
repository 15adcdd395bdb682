//! Once a second: pings that are due, a peer that went silent, a key near its end, epoch keys that could not be made.

use crate::link::{Link, now};
use crate::{trace, transport};
use core::sync::atomic::Ordering;
use dco_core::PeerSelector;
use nt::status::Status;
use nt::time;
use nt::wsk::{Chain, Traffic};

/// One second passed. DISPATCH_LEVEL.
///
/// The clock counts sleep, so a tunnel whose machine slept longer than its timeout expires at the first tick after. Expiry is told
/// to one parked read; without one it is told at a later tick.
pub fn tick(link: &Link) {
    if link.is_server() {
        // There may be thousands of peers: not at this IRQL.
        link.ticked.store(true, Ordering::Release);
        link.connected.enqueue();
        return trace::drops(link);
    }
    let cpu = time::processor();
    let section = link.core.enter(cpu);
    let mut batch = section.batch(now());
    let due = batch.keepalive();
    if due.ping
        && let Some(mut buffer) = link.sends.take()
    {
        match batch.seal_ping(PeerSelector::Only, buffer.bytes()) {
            Ok(sealed) => {
                let mut chain = Chain::new(&link.sends, Traffic::Data);
                chain.push(buffer, sealed.len);
                transport::send(link, cpu, sealed.peer, chain);
            }
            Err(_) => link.sends.put(buffer),
        }
    }
    if let Some(key) = batch.sending_key() {
        link.traced.look(&key);
        link.key_events.look(key);
    }
    // Where the last try failed.
    if batch.keys_wanted() {
        link.want_keys();
    }
    if due.expired && link.messages.fail_one(Status::CONNECTION_DISCONNECTED) {
        batch.ack_expired();
        trace::peer_expired(link.traced.adapter, link.peer_id.load(Ordering::Relaxed));
    }
    // Counts are complete once the batch is over.
    drop(batch);
    drop(section);
    trace::drops(link);
}
