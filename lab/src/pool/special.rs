//! Special pool, as Driver Verifier has it (`--special-pool`): each block of the driver's ends where a page ends that cannot be
//! touched, and cannot be touched itself once it is freed. So the access itself faults, a read too, and not what comes of it.
//!
//! The bytes before a block, and those up to 16 behind it for which its alignment leaves room, are seen by the canaries only.

use super::reports::describe;
use super::{HEADER, Header, Mapping, PAGE, fill_tail};
use crate::report::Rule;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, TryLockError};

const USE_AFTER_FREE: Rule = Rule::new("pool.use-after-free", "Driver Verifier special pool; bug check 0xCC");
const PAST_END: Rule = Rule::new("pool.access-past-end", "Driver Verifier special pool; bug check 0xCD");

/// Freed blocks whose pages are kept from use.
const KEPT: usize = 4096;
/// Live blocks beyond which a block is an ordinary one: the host allows a process so many mappings.
const LIVE: usize = 16384;

static ON: AtomicBool = AtomicBool::new(false);

/// Pages of a block: header and block, and the page behind them.
struct Region {
    length: usize,
    /// The block itself.
    start: usize,
    size: usize,
    /// What was known of it when it was freed.
    freed: Option<String>,
    header: usize,
}

struct Regions {
    by_base: BTreeMap<usize, Region>,
    freed: VecDeque<usize>,
}

static REGIONS: Mutex<Regions> = Mutex::new(Regions { by_base: BTreeMap::new(), freed: VecDeque::new() });

/// Serves the driver from special pool from here on.
pub fn switch_on() {
    ON.store(true, Ordering::Relaxed);
}

/// A block of special pool; null where it is off or has no room.
pub(super) fn new_block(size: usize, align: usize) -> *mut Header {
    if !ON.load(Ordering::Relaxed) {
        return std::ptr::null_mut();
    }
    let align = if size >= PAGE { align.max(PAGE) } else { align.max(16) };
    let Some(room) = size.checked_next_multiple_of(align) else { return std::ptr::null_mut() };
    let Some(pages) = room.checked_add(HEADER).and_then(|n| n.checked_next_multiple_of(PAGE)) else {
        return std::ptr::null_mut();
    };
    let length = pages + PAGE;
    let mut regions = REGIONS.lock().unwrap_or_else(PoisonError::into_inner);
    if regions.by_base.len() - regions.freed.len() >= LIVE {
        return std::ptr::null_mut();
    }
    // SAFETY: an anonymous mapping at an address that the host chooses; its last page is ours to protect.
    let base = unsafe {
        let p = libc::mmap(
            std::ptr::null_mut(),
            length,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        );
        if p == libc::MAP_FAILED {
            return std::ptr::null_mut();
        }
        if libc::mprotect(p.wrapping_byte_add(pages), PAGE, libc::PROT_NONE) != 0 {
            libc::munmap(p, length);
            return std::ptr::null_mut();
        }
        p.cast::<u8>()
    };
    let start = base.wrapping_add(pages - room);
    let h = start.wrapping_sub(HEADER).cast::<Header>();
    let header = Header { special: true, ..Header::new(h, size, Mapping { base, total: length, align }, room - size) };
    // SAFETY: the header stands before the block, in the mapping; what is between the block and the last page is its tail.
    unsafe {
        h.write(header);
        fill_tail(h);
    }
    let region = Region { length, start: start.addr(), size, freed: None, header: h.addr() };
    regions.by_base.insert(base.addr(), region);
    h
}

/// Takes a freed block's pages away.
///
/// # Safety
/// `h` heads a block of [`new_block`] that is marked as freed and that nobody is to use any more.
pub(super) unsafe fn retire(h: *mut Header) {
    // SAFETY: as our caller promises; the description is taken before the header goes with its page.
    let (base, text) = unsafe { ((*h).base, describe(h)) };
    let mut guard = REGIONS.lock().unwrap_or_else(PoisonError::into_inner);
    let regions = &mut *guard;
    let Some(r) = regions.by_base.get_mut(&base.addr()) else { return };
    r.freed = Some(text);
    // SAFETY: the region is the block's own mapping.
    unsafe { libc::mprotect(base.cast(), r.length, libc::PROT_NONE) };
    regions.freed.push_back(base.addr());
    if regions.freed.len() > KEPT
        && let Some(old) = regions.freed.pop_front()
        && let Some(r) = regions.by_base.remove(&old)
    {
        // SAFETY: as above; the block was freed long ago.
        unsafe { libc::munmap(old as *mut libc::c_void, r.length) };
    }
}

/// What is known of the freed block that begins at an address.
pub(super) fn freed_block(start: usize) -> Option<String> {
    if !ON.load(Ordering::Relaxed) {
        return None;
    }
    let regions = REGIONS.lock().unwrap_or_else(PoisonError::into_inner);
    let (_, r) = regions.by_base.range(..=start).next_back()?;
    (r.start == start).then(|| r.freed.clone()).flatten()
}

/// The rule that an access to this address broke, the block it is about, and where in it: for a fault. Nothing where no block of special
/// pool is there.
#[must_use]
pub fn fault(address: usize) -> Option<(Rule, String, String)> {
    if !ON.load(Ordering::Relaxed) {
        return None;
    }
    // The faulting code may hold the lock only where the lab itself is wrong.
    let regions = match REGIONS.try_lock() {
        Ok(r) => r,
        Err(TryLockError::Poisoned(e)) => e.into_inner(),
        Err(TryLockError::WouldBlock) => return None,
    };
    let (&base, r) = regions.by_base.range(..=address).next_back()?;
    if address >= base + r.length {
        return None;
    }
    let offset = address.cast_signed().wrapping_sub(r.start.cast_signed());
    let at = format!("offset {offset} of {} bytes", r.size);
    match &r.freed {
        Some(text) => Some((USE_AFTER_FREE, text.clone(), at)),
        // SAFETY: the block is live, so its header is there; blocks go only under the lock.
        None => Some((PAST_END, unsafe { describe(r.header as *mut Header) }, at)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::payload;
    use super::*;

    #[test]
    fn a_block_ends_with_its_page_and_is_known_when_it_is_gone() {
        switch_on();
        for size in [1, 16, 100, 4080, 4096, 5000] {
            let h = new_block(size, 16);
            assert!(!h.is_null());
            let p = payload(h);
            assert!(p.addr().is_multiple_of(if size < PAGE { 16 } else { PAGE }), "{size}");
            assert_eq!(
                (p.addr() + size).next_multiple_of(16).next_multiple_of(PAGE),
                (p.addr() + size).next_multiple_of(PAGE)
            );
            // SAFETY: the block is fresh and nobody else's.
            unsafe { retire(h) };
            let (rule, _, at) = fault(p.addr() + size - 1).expect("a freed block");
            assert_eq!((rule, at), (USE_AFTER_FREE, format!("offset {} of {size} bytes", size - 1)));
            assert!(freed_block(p.addr()).is_some() && freed_block(p.addr() + 1).is_none());
        }
        let h = new_block(30, 16);
        let end = (payload(h).addr() + 30).next_multiple_of(PAGE);
        assert_eq!(fault(end).expect("the page behind it").0, PAST_END);
        assert!(fault(end + PAGE).is_none_or(|f| f.0 != PAST_END));
    }
}
