//! Waking a packet queue.
//!
//! NetAdapterCx stops polling a queue once it has armed it (`EvtSetNotificationEnabled(TRUE)`); the driver then calls
//! NotifyMore… once. The lost wake-up is avoided by order: the producer makes its work visible, then looks at `armed`; the
//! queue sets `armed`, then looks for work again (see `queue::set_notification`). A notification of a queue that is going away is
//! avoided by the spin lock, which is taken only when there is something to wake, never per packet.

use crate::lock::SpinLock;
use core::sync::atomic::{AtomicBool, Ordering, fence};
use nt_sys::net::NETPACKETQUEUE;
use nt_sys::net_call;

/// The wake-up of one packet queue, receive or transmit, across the queues that come and go (sleep, restart).
pub struct Notifier<const RX: bool> {
    armed: AtomicBool,
    running: AtomicBool,
    queue: SpinLock<Option<QueueHandle>>,
}

/// The wake-up of a transmit queue.
pub type TxNotifier = Notifier<false>;
/// The wake-up of a receive queue.
pub type RxNotifier = Notifier<true>;

struct QueueHandle(NETPACKETQUEUE);
// SAFETY: NetAdapterCx queue handles may be notified from any thread.
unsafe impl Send for QueueHandle {}

impl<const RX: bool> Notifier<RX> {
    /// Without a queue.
    #[must_use]
    pub const fn new() -> Self {
        Self { armed: AtomicBool::new(false), running: AtomicBool::new(false), queue: SpinLock::new(None) }
    }

    /// The queue has work: wakes it if it is armed. IRQL <= DISPATCH_LEVEL.
    pub fn notify(&self) {
        fence(Ordering::SeqCst);
        if !self.armed.load(Ordering::Relaxed) || !self.armed.swap(false, Ordering::AcqRel) {
            return;
        }
        let queue = self.queue.lock();
        if let Some(QueueHandle(queue)) = *queue {
            // SAFETY: the handle is live: `stop` clears it, under this lock, before the queue goes. Any IRQL.
            unsafe {
                if RX {
                    net_call!(NetRxQueueNotifyMoreReceivedPacketsAvailable, queue);
                } else {
                    net_call!(NetTxQueueNotifyMoreCompletedPacketsAvailable, queue);
                }
            }
        }
    }

    /// Whether a queue runs. Any IRQL.
    #[must_use]
    pub fn running(&self) -> bool {
        self.running.load(Ordering::SeqCst)
    }

    /// The queue starts. PASSIVE_LEVEL.
    ///
    /// # Safety
    /// `queue` is live until [`stop`](Self::stop).
    pub(super) unsafe fn start(&self, queue: NETPACKETQUEUE) {
        self.armed.store(false, Ordering::Relaxed);
        *self.queue.lock() = Some(QueueHandle(queue));
        self.running.store(true, Ordering::SeqCst);
    }

    /// The queue stops: it is not notified any more. PASSIVE_LEVEL.
    pub(super) fn stop(&self) {
        self.running.store(false, Ordering::SeqCst);
        *self.queue.lock() = None;
        self.armed.store(false, Ordering::Relaxed);
    }

    /// Arms or disarms; after arming the caller looks for work once more.
    pub(super) fn arm(&self, on: bool) {
        self.armed.store(on, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }
}

impl<const RX: bool> Default for Notifier<RX> {
    fn default() -> Self {
        Self::new()
    }
}
