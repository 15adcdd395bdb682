//! `WSK_BUF`: a range over a chain of MDLs, checked and turned into iovecs.

use super::abi::Buf;
use super::lent::FREED;
use crate::nt::{MDL, mdl_flags};
use crate::report::{Rule, record};

const BOUNDS: Rule = Rule::new("wsk.buf-bounds", "WDK: WSK_BUF (Offset within the first MDL, Length within the chain)");
const NOT_LOCKED: Rule = Rule::new("wsk.mdl-not-locked", "WDK: WSK_BUF (MDLs of locked pages or non-paged pool)");
/// Bytes of freed pool.
const FREED_FLAGS: i16 = i16::from_ne_bytes([crate::pool::FREE_PATTERN; 2]);
/// MDLs in a chain beyond which it is taken for a loop.
const LONGEST: usize = 1024;

/// The address an MDL maps, `None` with a record when nothing is locked.
///
/// # Safety
/// `mdl` is a live MDL or freed pool memory.
unsafe fn address(mdl: *mut MDL) -> Option<(*mut u8, usize)> {
    // SAFETY: readable, as the caller says.
    let m = unsafe { &*mdl };
    if m.MdlFlags == FREED_FLAGS {
        record(FREED, &format!("MDL {mdl:p} was freed before the call that uses it completed"));
        return None;
    }
    let locked = mdl_flags::PAGES_LOCKED | mdl_flags::SOURCE_IS_NONPAGED_POOL | mdl_flags::PARTIAL;
    if m.MdlFlags & locked == 0 {
        record(
            NOT_LOCKED,
            &format!("MDL {mdl:p} (flags {:#x}) describes neither locked pages nor non-paged pool", m.MdlFlags),
        );
        return None;
    }
    let mapped = mdl_flags::MAPPED_TO_SYSTEM_VA | mdl_flags::SOURCE_IS_NONPAGED_POOL;
    // One address space: an MDL without a mapping is reached at its own address.
    let va = if m.MdlFlags & mapped != 0 && !m.MappedSystemVa.is_null() {
        m.MappedSystemVa.cast::<u8>()
    } else {
        m.StartVa.cast::<u8>().wrapping_add(m.ByteOffset as usize)
    };
    Some((va, m.ByteCount as usize))
}

/// Appends the iovecs of `buf` to `out`; `false` with a record when it breaks its contract.
///
/// # Safety
/// The MDLs of `buf` are the driver's, live until the IRP of the call completes.
pub unsafe fn iovecs(buf: &Buf, out: &mut Vec<libc::iovec>) -> bool {
    let mut left = buf.length;
    let mut skip = buf.offset as usize;
    let mut mdl = buf.mdl;
    let mut count = 0;
    if left == 0 {
        return true;
    }
    while left != 0 {
        count += 1;
        if mdl.is_null() || count > LONGEST {
            record(
                BOUNDS,
                &format!("Offset {} and Length {} reach {left} bytes past the MDL chain", buf.offset, buf.length),
            );
            return false;
        }
        // SAFETY: not null; the driver's, by the caller's contract.
        let Some((va, bytes)) = (unsafe { address(mdl) }) else { return false };
        if skip > bytes {
            record(BOUNDS, &format!("Offset {skip} lies past the first MDL's {bytes} bytes"));
            return false;
        }
        let n = (bytes - skip).min(left);
        if n != 0 {
            out.push(libc::iovec { iov_base: va.wrapping_add(skip).cast(), iov_len: n });
        }
        left -= n;
        skip = 0;
        // SAFETY: as above.
        mdl = unsafe { (*mdl).Next };
    }
    true
}
