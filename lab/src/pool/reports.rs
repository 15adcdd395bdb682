//! What reports say of blocks: which block an address lies in, who allocated it, and what is left at unload.

use super::{DRIVER, FREED, HEADER, Header, LIVE, POOLS, lock, payload, special, tag_text};
use crate::objects::Kind;
use crate::report::{Rule, record_of};
use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

const LEAK: Rule = Rule::new("pool.leak", "Driver Verifier 0xC4/0x62: pool allocations not freed at unload");

/// # Safety
/// `h` heads a block whose header is intact.
pub(super) unsafe fn describe(h: *mut Header) -> String {
    // SAFETY: as our caller promises.
    unsafe {
        let what = match (*h).kind {
            Some(k) => k.name().to_owned(),
            None => format!("tag '{}'", tag_text((*h).tag)),
        };
        let made = (*h).made;
        let freed = if (*h).magic.load(Ordering::Relaxed) == FREED ^ (h as u64) {
            format!(", freed by {}", (*h).freed)
        } else {
            String::new()
        };
        format!("{:p}, {what}, {} bytes, allocated by {made}{freed}", payload(h), (*h).size)
    }
}

/// The header of the block whose memory begins at `p`, live or in quarantine.
fn header_at(p: usize) -> Option<*mut Header> {
    let h = p.checked_sub(HEADER)?;
    // The address may be anything: it is not read where it cannot be.
    let magic = if p.is_multiple_of(16) { crate::crash::peek(h as u64)? } else { return None };
    (magic == LIVE ^ (h as u64) || magic == FREED ^ (h as u64)).then_some(h as *mut Header)
}

/// Whether a live block of paged pool holds the address.
#[must_use]
pub fn is_paged(address: usize) -> bool {
    POOLS.iter().any(|s| {
        let list = s.live.lock().unwrap_or_else(PoisonError::into_inner);
        let mut h = list.0;
        // SAFETY: the list's lock is held and its blocks are live.
        while let Some(b) = unsafe { h.as_ref() } {
            if address.wrapping_sub(payload(h) as usize) < b.size {
                return b.paged != 0;
            }
            h = b.next;
        }
        false
    })
}

/// The block that an address lies in, its size and who allocated it, and who freed it where it is freed: for reports, which may look at
/// every block. Nothing when no block of the driver's or of the lab's is there, or when this thread has locked the list it is in.
#[must_use]
pub fn owner(address: usize) -> Option<String> {
    if let Some((_, object, _)) = special::fault(address) {
        return Some(object);
    }
    if let Some(h) = header_at(address) {
        // SAFETY: the magic says that this is a block's header.
        return Some(unsafe { describe(h) });
    }
    let holds = |h: *mut Header| {
        // SAFETY: blocks in the lists have their headers.
        let size = unsafe { (*h).size };
        address.wrapping_sub(payload(h) as usize) < size
    };
    for s in &POOLS {
        if let Ok(list) = s.live.try_lock() {
            let mut h = list.0;
            // SAFETY: the list's lock is held and its blocks are live.
            while let Some(b) = unsafe { h.as_ref() } {
                if holds(h) {
                    // SAFETY: as above.
                    return Some(unsafe { describe(h) });
                }
                h = b.next;
            }
        }
        if let Ok(mut cell) = s.freed.try_lock()
            && let Some(&h) = cell.0.get_mut().as_ref().and_then(|q| q.blocks.iter().find(|&&h| holds(h)))
        {
            // SAFETY: blocks in quarantine have their headers.
            return Some(unsafe { describe(h) });
        }
    }
    None
}

/// Who allocated each live block of a kind that leaks are checked of.
#[must_use]
pub fn live_of(kind: &'static Kind) -> Vec<String> {
    let mut found = Vec::new();
    for s in &POOLS {
        let list = lock(&s.live);
        let mut h = list.0;
        // SAFETY: the list's lock is held and its blocks are live.
        while let Some(b) = unsafe { h.as_ref() } {
            if b.kind.is_some_and(|k| std::ptr::eq(k, kind)) {
                // SAFETY: as above.
                found.push(unsafe { describe(h) });
            }
            h = b.next;
        }
    }
    found
}

/// At unload: a violation for each tag that has live blocks, with the calls that allocated them.
pub fn check_leaks() {
    let mut by_tag: BTreeMap<u32, Vec<(usize, String)>> = BTreeMap::new();
    for s in &POOLS {
        let list = lock(&s.live);
        let mut h = list.0;
        // SAFETY: the list's lock is held and its blocks are live.
        while let Some(b) = unsafe { h.as_ref() } {
            if b.owner == DRIVER {
                // SAFETY: as above.
                by_tag.entry(b.tag).or_default().push((b.size, unsafe { describe(h) }));
            }
            h = b.next;
        }
    }
    for (tag, blocks) in by_tag {
        let bytes: usize = blocks.iter().map(|b| b.0).sum();
        let each: Vec<&str> = blocks.iter().take(16).map(|b| b.1.as_str()).collect();
        record_of(
            LEAK,
            &each.join("; "),
            &format!("tag '{}': {} block(s), {bytes} bytes", tag_text(tag), blocks.len()),
        );
    }
}
