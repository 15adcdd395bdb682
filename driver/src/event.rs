//! NOTIFY_EVENT: requests that wait for an event, and events that wait for a request.
//!
//! Both decide under one spin lock, as reads and control packets do, so neither can miss the other. Requests are completed outside it. Events
//! are posted under the control lock, so they come in the order of what happened.

use dco_sync::Queue;
use dco_uapi::{Notification, raw};
use nt::lock::SpinLock;
use nt::status::{Result, Status};
use nt::wdf::device::Handle;
use nt::wdf::queue::IoctlQueue;
use nt::wdf::request::Ioctl;
use zerocopy::IntoBytes;

/// Events that wait for a request. Beyond that, what can wait elsewhere does (docs/server.md, Events).
const EVENTS: usize = 1024;

/// Parked requests and waiting events. At most one of the two is not empty.
pub struct Events {
    requests: IoctlQueue,
    waiting: SpinLock<Waiting>,
}

struct Waiting {
    /// One that was taken from the queue and could not be told.
    first: Option<Notification>,
    events: Queue<Notification>,
    /// No handle is open: requests are completed with CANCELLED instead of parked, events forgotten.
    refusing: bool,
}

impl Waiting {
    /// The oldest event.
    fn take(&mut self) -> Option<Notification> {
        self.first.take().or_else(|| self.events.pop())
    }
}

impl Events {
    /// No requests, no events. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// NO_MEMORY, or the framework's status.
    pub fn new(device: Handle<'_>) -> Result<Self> {
        let waiting = Waiting { first: None, events: Queue::try_new(EVENTS)?, refusing: true };
        Ok(Self { requests: IoctlQueue::new(device)?, waiting: SpinLock::new(waiting) })
    }

    /// A handle is open. IRQL <= DISPATCH_LEVEL.
    pub fn open(&self) {
        self.waiting.lock().refusing = false;
    }

    /// NOTIFY_EVENT: ends with the oldest event, or parks. IRQL <= DISPATCH_LEVEL.
    pub fn wait(&self, mut request: Ioctl) {
        if !request.has_room(size_of::<raw::NotifyEvent>()) {
            return request.complete(Status::BUFFER_TOO_SMALL);
        }
        let mut waiting = self.waiting.lock();
        if let Some(event) = waiting.take() {
            let copied = request.copy_output(event.to_raw().as_bytes());
            if copied.is_err() {
                // It is the next request's.
                waiting.first = Some(event);
            }
            drop(waiting);
            return request.complete_copied(copied.map(drop));
        }
        let refused = if waiting.refusing { Err((request, Status::CANCELLED)) } else { self.requests.park(request) };
        drop(waiting);
        if let Err((request, status)) = refused {
            request.complete(status);
        }
    }

    /// Tells a parked request, or keeps the event for one; false where there is no room. Under the control lock.
    pub fn post(&self, event: Notification) -> bool {
        loop {
            let waiting = self.waiting.lock();
            if waiting.refusing {
                return true;
            }
            let Some(mut request) = self.requests.take() else { return waiting.events.push(event).is_ok() };
            drop(waiting);
            let copied = request.copy_output(event.to_raw().as_bytes());
            let told = copied.is_ok();
            request.complete_copied(copied.map(drop));
            if told {
                return true;
            }
        }
    }

    /// The handle is closed: forgets events, and ends all requests with CANCELLED. IRQL <= DISPATCH_LEVEL.
    pub fn close(&self) {
        let mut waiting = self.waiting.lock();
        waiting.refusing = true;
        while waiting.take().is_some() {}
        drop(waiting);
        while let Some(request) = self.requests.take() {
            request.complete(Status::CANCELLED);
        }
    }
}
