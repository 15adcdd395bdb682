//! When to send a ping and when to give a peer up.
//!
//! The rules are the existing driver's (docs of the Windows interface, section 3): a timer fires when the *whole* seconds
//! since its start *exceed* the setting, so with a setting of n at n + 1 seconds; the shell looks once per second. Every
//! packet that was opened restarts the receive timer: authentic and not a replay, or somebody who recorded our traffic
//! could keep a dead session alive. Every data packet that was sealed restarts the transmit timer, pings included.

use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use crate::time::Tick;

/// What a look at the timers found; see [`Batch::keepalive`](crate::Batch::keepalive).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[must_use]
pub struct KeepaliveDue {
    /// A ping should be sent now: [`Batch::seal_ping`](crate::Batch::seal_ping).
    pub ping: bool,
    /// Nothing was received for too long, and nobody has taken note yet: tell userspace, and if somebody was there to be
    /// told, call [`Batch::ack_expired`](crate::Batch::ack_expired).
    pub expired: bool,
}

/// One peer's timers. Any IRQL; relaxed atomics, since a second more or less does not matter.
pub(crate) struct Keepalive {
    interval: AtomicU32,
    timeout: AtomicU32,
    last_sent: AtomicU64,
    last_received: AtomicU64,
    /// Somebody was told of the expiry. It is told once, until a new timeout is set.
    told: AtomicBool,
}

impl Keepalive {
    /// Both timers off, starting now.
    pub(crate) fn new(now: Tick) -> Self {
        Self {
            interval: AtomicU32::new(0),
            timeout: AtomicU32::new(0),
            last_sent: AtomicU64::new(now.0),
            last_received: AtomicU64::new(now.0),
            told: AtomicBool::new(false),
        }
    }

    /// Sets what is given, in seconds, 0 for never, and restarts its timer. Called by one at a time, while others look and touch.
    pub(crate) fn update(&self, interval: Option<u32>, timeout: Option<u32>, now: Tick) {
        // The start before the setting: a look in between must not measure a new setting from an old start.
        if let Some(seconds) = interval {
            self.last_sent.store(now.0, Ordering::Relaxed);
            self.interval.store(seconds, Ordering::Release);
        }
        if let Some(seconds) = timeout {
            self.last_received.store(now.0, Ordering::Relaxed);
            self.told.store(false, Ordering::Relaxed);
            self.timeout.store(seconds, Ordering::Release);
        }
    }

    pub(crate) fn interval(&self) -> u32 {
        self.interval.load(Ordering::Relaxed)
    }

    pub(crate) fn timeout(&self) -> u32 {
        self.timeout.load(Ordering::Relaxed)
    }

    /// Data was sent at `now`.
    #[inline]
    pub(crate) fn sent(&self, now: Tick) {
        advance(&self.last_sent, now);
    }

    /// A packet was opened at `now`.
    #[inline]
    pub(crate) fn received(&self, now: Tick) {
        advance(&self.last_received, now);
    }

    /// What is due at `now`.
    pub(crate) fn due(&self, now: Tick) -> KeepaliveDue {
        let exceeded = |setting: &AtomicU32, start: &AtomicU64| {
            let seconds = setting.load(Ordering::Acquire);
            seconds != 0 && now.whole_seconds_since(Tick(start.load(Ordering::Relaxed))) > u64::from(seconds)
        };
        KeepaliveDue {
            ping: exceeded(&self.interval, &self.last_sent),
            expired: exceeded(&self.timeout, &self.last_received) && !self.told.load(Ordering::Relaxed),
        }
    }

    /// The expiry was told. True for the first who says so.
    pub(crate) fn acknowledge(&self) -> bool {
        !self.told.swap(true, Ordering::Relaxed)
    }
}

/// Moves a start forward. Batches end in any order on several processors, and an unchanged line is not written.
#[inline]
fn advance(start: &AtomicU64, now: Tick) {
    if start.load(Ordering::Relaxed) < now.0 {
        start.store(now.0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(keepalive: &Keepalive, interval: Option<u32>, timeout: Option<u32>, now: u64) {
        keepalive.update(interval, timeout, Tick(now));
    }

    fn due(keepalive: &Keepalive, now: u64) -> (bool, bool) {
        let due = keepalive.due(Tick(now));
        (due.ping, due.expired)
    }

    #[test]
    fn off_until_set() {
        let keepalive = Keepalive::new(Tick(0));
        assert_eq!(due(&keepalive, u64::MAX), (false, false));
        set(&keepalive, Some(0), Some(0), 0);
        assert_eq!(due(&keepalive, u64::MAX), (false, false));
    }

    #[test]
    fn whole_seconds_must_exceed_the_setting() {
        let keepalive = Keepalive::new(Tick(0));
        set(&keepalive, Some(10), Some(60), 5_000);
        assert_eq!(due(&keepalive, 15_999), (false, false));
        assert_eq!(due(&keepalive, 16_000), (true, false));
        assert_eq!(due(&keepalive, 65_999), (true, false));
        assert_eq!(due(&keepalive, 66_000), (true, true));
    }

    #[test]
    fn traffic_restarts_its_own_timer_only() {
        let keepalive = Keepalive::new(Tick(0));
        set(&keepalive, Some(1), Some(1), 0);
        keepalive.sent(Tick(1_500));
        assert_eq!(due(&keepalive, 2_000), (false, true));
        keepalive.received(Tick(1_500));
        assert_eq!(due(&keepalive, 2_000), (false, false));
    }

    #[test]
    fn a_late_batch_does_not_set_a_timer_back() {
        let keepalive = Keepalive::new(Tick(0));
        set(&keepalive, Some(1), None, 0);
        keepalive.sent(Tick(9_000));
        keepalive.sent(Tick(5_000));
        assert_eq!(due(&keepalive, 10_999), (false, false));
    }

    #[test]
    fn a_setting_left_alone_keeps_its_timer() {
        let keepalive = Keepalive::new(Tick(0));
        set(&keepalive, Some(5), Some(5), 0);
        set(&keepalive, None, Some(9), 4_000);
        assert_eq!(due(&keepalive, 6_000), (true, false));
        set(&keepalive, Some(0), None, 6_000);
        assert_eq!(due(&keepalive, 13_999), (false, false));
        assert_eq!(due(&keepalive, 14_000), (false, true));
    }

    #[test]
    fn expiry_is_told_once_until_set_again() {
        let keepalive = Keepalive::new(Tick(0));
        set(&keepalive, None, Some(1), 0);
        assert_eq!(due(&keepalive, 3_000), (false, true));
        assert_eq!(due(&keepalive, 4_000), (false, true));
        assert!(keepalive.acknowledge());
        assert!(!keepalive.acknowledge());
        assert_eq!(due(&keepalive, 9_000), (false, false));
        set(&keepalive, None, Some(1), 9_000);
        assert_eq!(due(&keepalive, 10_999), (false, false));
        assert_eq!(due(&keepalive, 11_000), (false, true));
    }
}
