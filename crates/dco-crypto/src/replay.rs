//! The replay window: every packet id at most once, from any number of processors, without a lock.
//!
//! # How
//!
//! Ids are grouped in blocks of 16. A ring of atomic words holds one block each: the block's number in the upper 48 bits (the tag), one
//! bit per id below. Accepting an id is one compare-and-swap on its block's word: it sets the id's bit, or takes the word over for a
//! higher block. A tag never falls, and a bit stays set as long as its tag stands, so an id can be accepted once: before its bit is set,
//! and not after, nor once a higher block has its word. That holds by the order of changes to one word alone, whatever else is seen
//! early or late.
//!
//! The ring has room for twice the window, so a word is only ever taken over by a block that puts the old one outside the window.
//!
//! # The rules (OpenVPN's, as the existing drivers have them)
//!
//! - Id 0 is never accepted.
//! - An id may be at most `window - 1` behind the highest accepted one.
//! - If [`EXPIRY_MS`] have passed since a packet was last accepted, no id at or below the highest is accepted any more. `floor` is that
//!   highest id.
//!
//! To be called after the packet has been authenticated: a forged id must not move the window.
//!
//! # Order of the loads and stores
//!
//! The highest id is read before the time of the last acceptance, and written after it: a reader that sees an id as the highest also
//! sees when it was accepted, so it cannot take a packet that has just ended a silence for part of the past. The floor is raised before
//! that time is written and read after it: whoever sees the silence ended also sees the floor.

use crate::atomic::{AtomicU64, Ordering};
use alloc::boxed::Box;
use dco_sync::{OutOfMemory, try_box_slice};

/// Milliseconds without an accepted packet after which nothing at or below the highest id is accepted.
pub const EXPIRY_MS: u64 = 30_000;

/// Ids are below two to this power: epoch packets count in 48 bits, classic ones in 32.
pub const ID_BITS: u32 = 48;

/// Ids per word, one bit each.
const BLOCK: u64 = 16;
const BLOCK_SHIFT: u32 = BLOCK.trailing_zeros();
/// Where a word's tag begins.
const TAG_SHIFT: u32 = 16;

const _: () = assert!(BLOCK == TAG_SHIFT as u64 && ID_BITS - BLOCK_SHIFT <= u64::BITS - TAG_SHIFT);

/// The packet id was seen, is too old, or is no id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Replay;

/// The window of a data key: 2048 ids.
pub type ReplayWindow = Window<256>;

/// A replay window over `WORDS * 8` ids, a power of two of words. Data keys use [`ReplayWindow`]; smaller ones let models and tests reach
/// every state.
#[derive(Debug)]
pub struct Window<const WORDS: usize> {
    /// The highest id accepted.
    highest: AtomicU64,
    /// When an id was last accepted, in the caller's milliseconds. Like every word here, it only grows.
    last_accepted: AtomicU64,
    /// Nothing at or below this is accepted.
    floor: AtomicU64,
    /// On the heap: with its 2 KiB in place, a key would not fit on a kernel's stack on its way to where it stays.
    words: Box<[AtomicU64; WORDS]>,
}

impl<const WORDS: usize> Window<WORDS> {
    /// How many ids the window spans, the highest included.
    pub const SPAN: u64 = {
        assert!(WORDS.is_power_of_two() && WORDS >= 2);
        WORDS as u64 * BLOCK / 2
    };

    /// A window that has seen nothing. About 2 KiB of heap.
    ///
    /// # Errors
    ///
    /// [`OutOfMemory`].
    pub fn try_new() -> Result<Self, OutOfMemory> {
        let words = try_box_slice(WORDS, |_| Ok(AtomicU64::new(0)))?;
        Ok(Self {
            highest: AtomicU64::new(0),
            last_accepted: AtomicU64::new(0),
            floor: AtomicU64::new(0),
            words: words.try_into().map_err(|_| OutOfMemory)?,
        })
    }

    /// Accepts `id`, at most once. `now_ms` is any clock that does not stop in sleep; it may lag on some processors.
    ///
    /// # Errors
    ///
    /// [`Replay`] if the id was accepted before, is too far behind, is 0 or has more than [`ID_BITS`] bits. Nothing was recorded then.
    #[inline]
    pub fn accept(&self, id: u64, now_ms: u64) -> Result<(), Replay> {
        if id == 0 || id >> ID_BITS != 0 {
            return Err(Replay);
        }
        let highest = self.highest.load(Ordering::Acquire);
        if highest.saturating_sub(id) >= Self::SPAN {
            return Err(Replay);
        }
        let last = self.last_accepted.load(Ordering::Acquire);
        if now_ms.saturating_sub(last) >= EXPIRY_MS {
            self.floor.fetch_max(highest, Ordering::Relaxed);
        }
        if id <= self.floor.load(Ordering::Relaxed) {
            return Err(Replay);
        }
        self.mark(id)?;
        // Once a millisecond at most, not once a packet.
        if last < now_ms {
            self.last_accepted.fetch_max(now_ms, Ordering::Release);
        }
        if highest < id {
            self.highest.fetch_max(id, Ordering::Release);
        }
        Ok(())
    }

    /// Sets the id's bit, unless it is set or its word is a higher block's.
    #[inline]
    fn mark(&self, id: u64) -> Result<(), Replay> {
        let block = id >> BLOCK_SHIFT;
        let bit = 1 << (id % BLOCK);
        let Some(word) = self.word(block) else { return Err(Replay) };
        let mut seen = word.load(Ordering::Relaxed);
        loop {
            let tag = seen >> TAG_SHIFT;
            let next = if tag < block {
                block << TAG_SHIFT | bit
            } else if tag == block && seen & bit == 0 {
                seen | bit
            } else {
                return Err(Replay);
            };
            match word.compare_exchange_weak(seen, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Ok(()),
                Err(changed) => seen = changed,
            }
        }
    }

    /// The word a block shares with every `WORDS`th other. Always there: the mask keeps the index below a power of two.
    #[inline]
    fn word(&self, block: u64) -> Option<&AtomicU64> {
        #[expect(clippy::cast_possible_truncation, reason = "only the low bits, below WORDS, are kept")]
        let slot = block as usize & WORDS.wrapping_sub(1);
        self.words.get(slot)
    }
}
