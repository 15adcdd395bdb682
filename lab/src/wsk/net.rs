//! What the network does to what WSK sockets send and receive, as `--net` and `--wsk-segments` say: chosen by a seed, for
//! each socket by itself, so that the same run meets the same fate.

use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// `--net`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Net {
    /// Each datagram and each `WskSend` leaves so much later.
    pub delay: Duration,
    /// One datagram in so many leaves behind the next one; 0: none.
    pub reorder: u64,
    /// One datagram in so many is lost; 0: none.
    pub drop: u64,
    /// A datagram socket is dead after it has received so many, a listening one after so many connections; 0: never.
    pub die: u64,
    /// Of the choices.
    pub seed: u64,
}

/// A network that does nothing.
pub const CLEAR: Net = Net { delay: Duration::ZERO, reorder: 0, drop: 0, die: 0, seed: 1 };

static NET: AtomicPtr<Net> = AtomicPtr::new(std::ptr::null_mut());
static SOCKETS: AtomicU64 = AtomicU64::new(0);
static SEGMENT: AtomicUsize = AtomicUsize::new(0);

/// Reads `delay=MS,reorder=N,drop=N,die=N,seed=N`, each part optional.
pub fn parse(text: &str) -> Result<Net, String> {
    let mut net = CLEAR;
    for part in text.split(',') {
        let (name, value) = part.split_once('=').ok_or_else(|| format!("{part:?} is not NAME=N"))?;
        let n: u64 = value.parse().map_err(|e| format!("{part:?}: {e}"))?;
        match name {
            "delay" => net.delay = Duration::from_millis(n),
            "reorder" => net.reorder = n,
            "drop" => net.drop = n,
            "die" => net.die = n,
            "seed" => net.seed = n,
            _ => return Err(format!("{name:?} is not delay, reorder, drop, die or seed")),
        }
    }
    Ok(net)
}

/// Sets what `--net` says, for what is sent from now on.
///
/// # Errors
/// What is wrong with the text.
pub fn set(text: &str) -> Result<(), String> {
    put(parse(text)?);
    Ok(())
}

/// Sets the network.
pub fn put(net: Net) {
    NET.store(Box::leak(Box::new(net)), Ordering::Release);
}

/// What was set.
pub fn get() -> Net {
    // SAFETY: null, or a value that lives for ever.
    unsafe { NET.load(Ordering::Acquire).as_ref() }.copied().unwrap_or(CLEAR)
}

/// Sets the most bytes that one receive completion or indication of a stream has; 0: no bound.
pub fn set_segments(n: usize) {
    SEGMENT.store(n, Ordering::SeqCst);
}

/// Whether streams arrive in pieces.
pub fn segmented() -> bool {
    SEGMENT.load(Ordering::Relaxed) != 0
}

/// When what is sent now leaves, where that is later.
pub fn due() -> Option<Instant> {
    let delay = get().delay;
    (!delay.is_zero()).then(|| Instant::now() + delay)
}

/// The choices of one socket, in a sequence that the seed and the number of the socket decide.
#[derive(Debug)]
pub struct Choices(AtomicU64);

impl Choices {
    /// Of the next socket.
    pub fn new() -> Self {
        Self::of(get().seed, SOCKETS.fetch_add(1, Ordering::SeqCst))
    }

    /// Of socket `number` under `seed`.
    pub fn of(seed: u64, number: u64) -> Self {
        Self(AtomicU64::new(mix(seed ^ mix(number))))
    }

    /// The next number below `n` (0 for `n` of 0).
    pub fn below(&self, n: u64) -> u64 {
        let at = self.0.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
        mix(at).checked_rem(n).unwrap_or(0)
    }

    /// Whether it happens this time, of what happens once in `n` times (0: never).
    pub fn one_in(&self, n: u64) -> bool {
        n != 0 && self.below(n) == 0
    }

    /// The most bytes that the next piece of a stream has.
    pub fn segment(&self) -> usize {
        match SEGMENT.load(Ordering::Relaxed) {
            0 => usize::MAX,
            n => usize::try_from(self.below(n as u64)).unwrap_or(0) + 1,
        }
    }
}

/// The number of the next socket.
#[cfg(test)]
pub fn sockets() -> u64 {
    SOCKETS.load(Ordering::SeqCst)
}

/// splitmix64's finalizer.
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}
