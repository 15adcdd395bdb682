//! Chained calls: one message in several calls, for scattered buffers.
//!
//! The state between calls lives in a context of the key's; the driver's `pbMacContext` and `pbIV` hold its number, so that
//! a buffer lost, overwritten or used for two messages at once is seen.

use super::key::{AuthInfo, CHAIN_CALLS, Direction, IN_PROGRESS, Key, Work, begin, bytes};
use super::provider::Algorithm;
use super::{AEAD_DOC, BAD_INFO, INVALID_PARAMETER, NO_MEMORY, NOT_SUPPORTED, SUCCESS, UNSUCCESSFUL};
use crate::report::{Rule, record};
use openssl::cipher_ctx::CipherCtx;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

const BAD_CHAIN: Rule = Rule::new("cng.bad-chain", AEAD_DOC);

/// Messages of one key that may be between two calls at once; the oldest abandoned ones give way.
const OPEN: usize = 256;
const BLOCK: u32 = 16;
const SCRAMBLE: u64 = 0x9E37_79B9_7F4A_7C15;

struct Chain {
    number: u64,
    direction: Direction,
    data_begun: bool,
    ctx: Box<CipherCtx>,
}

/// A key's messages in progress.
pub struct Chains {
    next: AtomicU64,
    open: Box<[Mutex<Option<Chain>>]>,
}

impl std::fmt::Debug for Chains {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chains").finish_non_exhaustive()
    }
}

impl Chains {
    fn new() -> Self {
        Self { next: AtomicU64::new(1), open: (0..OPEN).map(|_| Mutex::new(None)).collect() }
    }

    fn place(&self, number: u64) -> Option<&Mutex<Option<Chain>>> {
        self.open.get(usize::try_from(number % OPEN as u64).ok()?)
    }

    fn take(&self, number: u64) -> Option<Chain> {
        self.place(number)?.lock().unwrap_or_else(PoisonError::into_inner).take_if(|c| c.number == number)
    }

    /// Stores `chain`; gives back the abandoned one that stood in its place.
    fn put(&self, chain: Chain) -> Option<Chain> {
        self.place(chain.number)?.lock().unwrap_or_else(PoisonError::into_inner).replace(chain)
    }
}

fn marks(number: u64, key: &Key) -> ([u64; 2], [u64; 2]) {
    let own = std::ptr::from_ref(key) as u64;
    ([number, number.wrapping_mul(SCRAMBLE) ^ own], [!number, number.wrapping_mul(SCRAMBLE).rotate_left(17) ^ own])
}

/// One call of a chained message; `info` passed its checks.
pub fn run(key: &Key, info: &mut AuthInfo, work: &Work, iv: *mut u8, iv_len: u32) -> i32 {
    if key.algorithm != Algorithm::Aes {
        return NOT_SUPPORTED;
    }
    if info.mac_context.is_null() || info.mac_context_len < BLOCK {
        record(
            BAD_INFO,
            &format!(
                "chained call with pbMacContext {:p} of {} bytes, expected 16",
                info.mac_context, info.mac_context_len
            ),
        );
        return INVALID_PARAMETER;
    }
    if iv.is_null() || iv_len < BLOCK {
        record(BAD_INFO, &format!("chained call with pbIV {iv:p} of {iv_len} bytes, expected 16 of scratch"));
        return INVALID_PARAMETER;
    }
    let last = info.flags & CHAIN_CALLS == 0;
    if !last && !work.len.is_multiple_of(BLOCK as usize) {
        record(BAD_CHAIN, &format!("{} bytes in a call that is not the last: a multiple of 16 is needed", work.len));
        return INVALID_PARAMETER;
    }
    let chains = key.chains.get_or_init(Chains::new);
    let mac = info.mac_context.cast::<[u64; 2]>();
    let scratch = iv.cast::<[u64; 2]>();
    // SAFETY: at least 16 bytes each, checked above; the driver's for the call.
    let (found_mac, found_iv) = unsafe { (mac.read_unaligned(), scratch.read_unaligned()) };
    let in_progress = info.flags & IN_PROGRESS != 0;

    let known = marks(found_mac[0], key) == (found_mac, found_iv);
    let mut chain = if in_progress {
        let found = if known { chains.take(found_mac[0]) } else { None };
        let Some(chain) = found else {
            record(
                BAD_CHAIN,
                "pbMacContext and pbIV hold no message in progress of this key (overwritten, finished, or of another key)",
            );
            return INVALID_PARAMETER;
        };
        if chain.direction != work.direction {
            record(BAD_CHAIN, "the message was begun in the other direction");
            return INVALID_PARAMETER;
        }
        if chain.data_begun && info.aad_len != 0 {
            record(
                BAD_CHAIN,
                "associated data after data: pbAuthData must be NULL and cbAuthData 0 once data has been passed",
            );
            return INVALID_PARAMETER;
        }
        chain
    } else {
        // A message abandoned in the same buffers ends here.
        if known && let Some(old) = chains.take(found_mac[0]) {
            key.give_back(old.direction, old.ctx);
        }
        let Some(mut ctx) = key.context(work.direction) else { return NO_MEMORY };
        // SAFETY: checked to be 12 bytes; the driver's for the call.
        let nonce = unsafe { bytes(info.nonce, info.nonce_len) };
        if begin(&mut ctx, work.direction, nonce, &[]).is_none() {
            return UNSUCCESSFUL;
        }
        Chain { number: chains.next.fetch_add(1, Ordering::Relaxed), direction: work.direction, data_begun: false, ctx }
    };
    // SAFETY: NULL only when empty, checked; the driver's for the call.
    let aad = unsafe { bytes(info.aad, info.aad_len) };
    let fed = aad.is_empty() || chain.ctx.cipher_update(aad, None).is_ok();
    if !fed || work.update(&mut chain.ctx).is_none() {
        return UNSUCCESSFUL;
    }
    chain.data_begun |= work.len != 0;
    if last {
        // SAFETY: `check_info` saw that pbTag is not NULL in a last call; the driver states `tag_len` bytes there.
        let tag = unsafe { std::slice::from_raw_parts_mut(info.tag, info.tag_len as usize) };
        let status = work.finish(&mut chain.ctx, tag);
        key.give_back(chain.direction, chain.ctx);
        info.flags &= !IN_PROGRESS;
        (info.aad_done, info.data_done) = (0, 0);
        // SAFETY: at least 16 bytes each, checked above.
        unsafe {
            mac.write_unaligned([0; 2]);
            scratch.write_unaligned([0; 2]);
        }
        return status;
    }
    let (mac_marks, iv_marks) = marks(chain.number, key);
    // SAFETY: at least 16 bytes each, checked above.
    unsafe {
        mac.write_unaligned(mac_marks);
        scratch.write_unaligned(iv_marks);
    }
    if let Some(abandoned) = chains.put(chain) {
        key.give_back(abandoned.direction, abandoned.ctx);
    }
    info.flags |= IN_PROGRESS;
    info.aad_done = info.aad_done.wrapping_add(info.aad_len);
    info.data_done = info.data_done.wrapping_add(work.len as u64);
    SUCCESS
}
