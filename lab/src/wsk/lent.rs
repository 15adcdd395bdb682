//! Memory that pended calls use: the driver may not free, unlock or change it before the IRP completes.

use super::abi::Buf;
use crate::nt::MDL;
use crate::report::{Rule, record_about};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Freed, or unlocked.
pub const FREED: Rule = Rule::new(
    "wsk.buffer-freed-before-completion",
    "WDK: WskSend, WskSendTo, WskSendMessages, WskReceive (MDLs and memory stay valid and locked until the IRP completes)",
);
const CHANGED: Rule = Rule::new(
    "wsk.buffer-changed-before-completion",
    "WDK: WskSend, WskSendTo (WSK does not buffer: it sends from the caller's memory until the IRP completes)",
);

/// Start, end, what it is.
pub type Range = (usize, usize, &'static str);

struct Lent {
    irp: usize,
    call: &'static str,
    ranges: Vec<Range>,
}

static LENT: Mutex<Vec<Lent>> = Mutex::new(Vec::new());
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Notes what the call of `irp` uses.
pub fn lend(irp: usize, call: &'static str, ranges: Vec<Range>) {
    COUNT.fetch_add(1, Ordering::SeqCst);
    LENT.lock().unwrap_or_else(PoisonError::into_inner).push(Lent { irp, call, ranges });
}

/// The call of `irp` is about to complete.
pub fn give_back(irp: usize) {
    let mut lent = LENT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(at) = lent.iter().position(|l| l.irp == irp) {
        lent.swap_remove(at);
        COUNT.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The driver frees or unlocks `size` bytes at `start`.
pub fn before_free(start: usize, size: usize, what: &str) {
    if COUNT.load(Ordering::Relaxed) == 0 {
        return;
    }
    let found = {
        let lent = LENT.lock().unwrap_or_else(PoisonError::into_inner);
        lent.iter().find_map(|l| {
            let r = l.ranges.iter().find(|r| r.0 < start + size && start < r.1)?;
            Some((l.irp, l.call, *r))
        })
    };
    if let Some((irp, call, (at, _, part))) = found {
        record_about(
            FREED,
            start,
            &format!("{what} of {part} {at:#x}, which {call} uses until its IRP {irp:#x} completes"),
        );
    }
}

/// Adds the MDLs and the bytes of `buf`, as far as its length reaches.
///
/// # Safety
/// The MDLs of `buf` are live.
pub unsafe fn ranges(buf: &Buf, out: &mut Vec<Range>) {
    let mut left = buf.length;
    let mut skip = buf.offset as usize;
    let mut mdl = buf.mdl;
    while left != 0 && !mdl.is_null() && out.len() < 4096 {
        // SAFETY: as our caller promises.
        let m = unsafe { &*mdl };
        let va = m.StartVa.addr() + m.ByteOffset as usize;
        let n = (m.ByteCount as usize).saturating_sub(skip).min(left);
        out.push((mdl.addr(), mdl.addr() + size_of::<MDL>(), "MDL"));
        out.push((va + skip, va + skip + n, "buffer"));
        left -= n;
        skip = 0;
        mdl = m.Next;
    }
}

/// A fingerprint of the bytes, to see whether they change.
///
/// # Safety
/// The iovecs describe readable memory.
pub unsafe fn fingerprint(vecs: &[libc::iovec]) -> u64 {
    let mut lanes = [0x9E37_79B9_7F4A_7C15u64; 4];
    for v in vecs {
        // SAFETY: as our caller promises.
        let bytes = unsafe { std::slice::from_raw_parts(v.iov_base.cast::<u8>(), v.iov_len) };
        let mut chunks = bytes.chunks_exact(32);
        for c in &mut chunks {
            for (lane, w) in lanes.iter_mut().zip(c.chunks_exact(8)) {
                let w = u64::from_le_bytes(w.try_into().unwrap_or_default());
                *lane = (*lane ^ w).wrapping_mul(0xFF51_AFD7_ED55_8CCD).rotate_left(29);
            }
        }
        let mut last = 0u64;
        for &b in chunks.remainder() {
            last = last.rotate_left(9) ^ u64::from(b);
        }
        lanes[0] = (lanes[0] ^ last).wrapping_mul(0xFF51_AFD7_ED55_8CCD).rotate_left(31);
    }
    lanes.iter().fold(0, |a, l| (a ^ l).wrapping_mul(0xC4CE_B9FE_1A85_EC53).rotate_left(33))
}

/// Records that the bytes of a pended send are not what they were.
pub fn changed(irp: usize, call: &str) {
    record_about(CHANGED, irp, &format!("the buffers of {call} with IRP {irp:#x} changed while the call was pending"));
}
