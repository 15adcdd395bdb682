//! Which epochs of the peer's are opened, as readers find and change it.

use crate::atomic::{AtomicBool, AtomicU64, Ordering};

/// Where an epoch stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// The one before the current one.
    Retiring,
    /// The highest that was heard.
    Current,
    /// Above the current one; whether its key is held is another question.
    Future,
    /// Not opened any more.
    Retired,
}

/// The epochs of a peer's, and whether keys are wanted: shared by all snapshots of a key, changed by any processor, at any IRQL up to
/// DISPATCH_LEVEL, without a lock.
///
/// Retiring and current epoch are one word, so every reader sees both of one moment. The current one only grows.
#[derive(Debug)]
pub struct Receiving {
    /// The retiring epoch (0: none yet) in bits 16 to 31, the current one below.
    epochs: AtomicU64,
    wanted: AtomicBool,
}

const fn unpack(word: u64) -> (u16, u16) {
    let [.., r0, r1, c0, c1] = word.to_be_bytes();
    (u16::from_be_bytes([r0, r1]), u16::from_be_bytes([c0, c1]))
}

impl Receiving {
    /// The peer sends in epoch `current`.
    #[must_use]
    pub fn new(current: u16) -> Self {
        Self { epochs: AtomicU64::new(current.into()), wanted: AtomicBool::new(false) }
    }

    /// The retiring epoch, 0 if there is none, and the current one.
    #[inline]
    #[must_use]
    pub fn epochs(&self) -> (u16, u16) {
        // Acquire: with `heard`; whoever makes keys for what it sees here sees all that led to it.
        unpack(self.epochs.load(Ordering::Acquire))
    }

    /// Where an epoch other than 0 stands.
    #[inline]
    #[must_use]
    pub fn place(&self, epoch: u16) -> Place {
        let (retiring, current) = self.epochs();
        if epoch == current {
            Place::Current
        } else if epoch > current {
            Place::Future
        } else if epoch == retiring {
            Place::Retiring
        } else {
            Place::Retired
        }
    }

    /// An authentic packet that is no replay came in this epoch. Above the current one, it becomes that, and keys are wanted.
    #[inline]
    pub fn heard(&self, epoch: u16) {
        let mut seen = self.epochs.load(Ordering::Relaxed);
        loop {
            let (_, current) = unpack(seen);
            if epoch <= current {
                return;
            }
            let next = u64::from(current) << 16 | u64::from(epoch);
            match self.epochs.compare_exchange_weak(seen, next, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => {
                    // Swapped whatever it was: whoever has just taken the flag may not have seen the epoch, and is asked again.
                    self.wanted.swap(true, Ordering::AcqRel);
                    return;
                }
                Err(changed) => seen = changed,
            }
        }
    }

    /// Keys are wanted. For callers that say so again as long as it is true: the flag may be taken meanwhile by somebody who does not see
    /// why it was set.
    #[inline]
    pub fn want(&self) {
        // The load spares the line, which every packet reads.
        if !self.wanted.load(Ordering::Relaxed) {
            self.wanted.swap(true, Ordering::AcqRel);
        }
    }

    /// Whether keys are wanted.
    #[inline]
    #[must_use]
    pub fn wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed)
    }

    /// Whether keys were wanted; from now on they are not.
    pub fn take_wanted(&self) -> bool {
        self.wanted.swap(false, Ordering::AcqRel)
    }
}
