//! A server's listeners, by number, as whoever sends or writes finds them.

use crate::transport::Transport;
use core::net::{IpAddr, Ipv4Addr};
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use dco_sync::{Box, Domain, Published, Shared, try_box};
use nt::status::Result;
use nt::time;

/// MP_START_VPN's listener.
pub const FIRST: u32 = 0;

/// How many listeners there may be, the first included.
pub const LISTENERS: usize = 16;

const _: () = assert!(LISTENERS <= u32::BITS as usize);

/// The listeners there are, read in sections of their own domain.
pub struct Listening {
    domain: Domain,
    listeners: [Published<Shared<Transport>>; LISTENERS],
    /// The number that MP_LISTEN gave last.
    last: AtomicU32,
    /// MP_LISTEN was used: addresses of userspace's have listeners' numbers in them.
    several: AtomicBool,
    /// Listeners whose sockets the network stack has given up, a bit each.
    dead: AtomicU32,
}

/// What stands for a listener as our end of a peer's transport: the core tells peers at one remote end apart by it.
pub fn our_end(listener: u32) -> IpAddr {
    Ipv4Addr::from_bits(listener).into()
}

/// The listener that our end stands for.
pub fn listener_of(our_end: Option<IpAddr>) -> u32 {
    match our_end {
        Some(IpAddr::V4(number)) => number.to_bits(),
        _ => FIRST,
    }
}

impl Listening {
    /// No listener. Boxed, for the frame of its caller. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// NO_MEMORY.
    #[inline(never)]
    pub fn new() -> Result<Box<Self>> {
        let domain = Domain::try_new(time::max_processors())?;
        let listeners = core::array::from_fn(|_| Published::new(&domain, None));
        let last = AtomicU32::new(FIRST);
        let (several, dead) = (AtomicBool::new(false), AtomicU32::new(0));
        Ok(try_box(Self { domain, listeners, last, several, dead })?)
    }

    fn place(&self, listener: u32) -> Option<&Published<Shared<Transport>>> {
        self.listeners.get(listener as usize)
    }

    /// Publishes a listener where there was none. PASSIVE_LEVEL, under the control lock.
    ///
    /// # Errors
    /// NO_MEMORY.
    pub fn publish(&self, listener: u32, socket: Shared<Transport>) -> Result<()> {
        let socket = try_box(socket)?;
        if let Some(place) = self.place(listener) {
            drop(place.replace(Some(socket), &self.domain, time::pause));
        }
        Ok(())
    }

    /// Takes a listener away; nobody uses it any more when this returns. PASSIVE_LEVEL, under the control lock.
    pub fn withdraw(&self, listener: u32) {
        if let Some(place) = self.place(listener) {
            drop(place.replace(None, &self.domain, time::pause));
        }
    }

    /// Uses a listener, if there is one of this number. DISPATCH_LEVEL, so that the thread cannot be suspended meanwhile; it must not wait.
    pub fn with<R>(&self, cpu: usize, listener: u32, using: impl FnOnce(&Transport) -> R) -> Option<R> {
        let guard = self.domain.enter(cpu);
        self.place(listener)?.load(&guard).map(|socket| using(socket))
    }

    /// A listener. Under the control lock.
    pub fn get(&self, listener: u32) -> Option<Shared<Transport>> {
        let guard = self.domain.enter(0);
        self.place(listener)?.load(&guard).map(|socket| (*socket).clone())
    }

    /// A number for another listener: of those that are not taken the one that was given back longest ago. Under the control lock.
    pub fn free_number(&self, taken: impl Fn(u32) -> bool) -> Option<u32> {
        let last = self.last.load(Ordering::Relaxed);
        let others = LISTENERS.saturating_sub(1) as u32;
        let mut numbers = (0..others).map(|n| last.wrapping_add(n) % others + 1);
        numbers.find(|number| !taken(*number))
    }

    /// MP_LISTEN gave this number. Under the control lock.
    pub fn given(&self, listener: u32) {
        self.last.store(listener, Ordering::Relaxed);
        self.several.store(true, Ordering::Relaxed);
    }

    /// The network stack has given a listener's socket up. IRQL <= DISPATCH_LEVEL.
    pub fn died(&self, listener: u32) {
        self.dead.fetch_or(1u32.checked_shl(listener).unwrap_or(0), Ordering::AcqRel);
    }

    /// Whether it has, said once. Under the control lock.
    pub fn take_dead(&self, listener: u32) -> bool {
        let bit = 1u32.checked_shl(listener).unwrap_or(0);
        self.dead.load(Ordering::Relaxed) & bit != 0 && self.dead.fetch_and(!bit, Ordering::AcqRel) & bit != 0
    }

    /// The handle is closed: the next one begins without listeners. Under the control lock.
    pub fn reset(&self) {
        self.last.store(FIRST, Ordering::Relaxed);
        self.several.store(false, Ordering::Relaxed);
    }

    /// The listener that an address of userspace's means: the number in it counts once MP_LISTEN was used. Any IRQL.
    pub fn meant(&self, number: u32) -> u32 {
        if self.several.load(Ordering::Relaxed) { number } else { FIRST }
    }
}
