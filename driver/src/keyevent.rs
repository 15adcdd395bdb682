//! KEY_EVENT: requests that wait until the primary key comes near its last packet id.

use core::sync::atomic::{AtomicBool, Ordering};
use dco_core::{REKEY_AT, SendingKey};
use dco_uapi::additive::{self, KeyEvent};
use nt::status::{Result, Status};
use nt::wdf::device::Handle;
use nt::wdf::queue::IoctlQueue;
use nt::wdf::request::Ioctl;
use zerocopy::IntoBytes;

/// Requests that may wait: each is looked at every second, at DISPATCH_LEVEL.
const WAITERS: usize = 16;

/// Waiting requests. A look at them takes each out of one queue, and puts those that go on waiting into the other.
pub struct KeyEvents {
    queues: [IoctlQueue; 2],
    /// Whether the second queue is the one that is looked at next, where requests are parked.
    second: AtomicBool,
    /// A look is under way.
    looking: AtomicBool,
}

impl KeyEvents {
    /// Nobody waits. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// The framework's status.
    pub fn new(device: Handle<'_>) -> Result<Self> {
        let queues = [IoctlQueue::new(device)?, IoctlQueue::new(device)?];
        Ok(Self { queues, second: AtomicBool::new(false), looking: AtomicBool::new(false) })
    }

    /// Parks a request whose input is sound, if there is room for the answer and not too many wait. PASSIVE_LEVEL, under the control
    /// lock, while there is a peer.
    pub fn wait(&self, request: Ioctl) {
        if !request.has_room(size_of::<dco_uapi::raw::KeyEvent>()) {
            return request.complete(Status::BUFFER_TOO_SMALL);
        }
        let [first, second] = &self.queues;
        if first.len().saturating_add(second.len()) >= WAITERS {
            return request.complete(Status::INSUFFICIENT_RESOURCES);
        }
        let queue = if self.second.load(Ordering::Acquire) { second } else { first };
        if let Err((request, status)) = queue.park(request) {
            request.complete(status);
        }
    }

    /// Answers the requests that `key` is far enough for. IRQL <= DISPATCH_LEVEL. A call during another one does nothing: the other sees
    /// to it.
    pub fn look(&self, key: SendingKey) {
        if !self.looking.swap(true, Ordering::AcqRel) {
            self.look_alone(key);
            self.looking.store(false, Ordering::Release);
        }
    }

    fn look_alone(&self, key: SendingKey) {
        let [first, second] = &self.queues;
        // A request that is parked in the old queue meanwhile waits for the look after the next.
        let (from, to) = if self.second.fetch_xor(true, Ordering::AcqRel) { (second, first) } else { (first, second) };
        while let Some(request) = from.take() {
            match threshold(&request) {
                Ok(packet_id) if packet_id > key.next_packet_id => {
                    if let Err((request, status)) = to.park(request) {
                        request.complete(status);
                    }
                }
                Ok(_) => {
                    let event = KeyEvent {
                        key_id: key.key_id.get(),
                        peer_id: key.peer_id.get().cast_signed(),
                        packet_id: key.next_packet_id,
                    };
                    request.complete_output(event.to_raw().as_bytes());
                }
                Err(status) => request.complete(status),
            }
        }
    }

    /// Ends all with CANCELLED. PASSIVE_LEVEL, under the control lock, with nobody looking: none is left.
    pub fn flush(&self) {
        for queue in &self.queues {
            while let Some(request) = queue.take() {
                request.complete(Status::CANCELLED);
            }
        }
    }
}

/// The packet id that a request waits for.
fn threshold(request: &Ioctl) -> Result<u32> {
    let packet_id = additive::parse_key_event(request.input()?).map_err(|e| Status(e.status()))?;
    Ok(packet_id.unwrap_or(REKEY_AT))
}
