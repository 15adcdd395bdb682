//! CNG handles: a table of slots that a packet-rate call enters without a lock.
//!
//! A handle carries the slot's index and generation, so that a stale or made-up one is told from a live one. A slot
//! counts the calls inside it; destroying a handle while a call uses it is a violation, as it would be a use after free.

use super::{AEAD_DOC, key::Key, provider::Provider};
use crate::objects::Kind;
use crate::report::{Origin, Rule, record, record_of};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A CNG handle as the driver holds it.
pub type Handle = usize;

/// Handles at once: a server's peers have two for each classic key, sixteen for each epoch key. CNG's own limit is memory.
const SLOTS: usize = 1 << INDEX_BITS;
/// Of a handle above its lowest four bits; the generation is above them.
const INDEX_BITS: u32 = 20;
const GENERATION_SHIFT: u32 = INDEX_BITS + 4;
/// Looks like an address of system space, is never mapped.
const BASE: usize = 0xFFFF_D000_0000_0000;
const GENERATIONS: u32 = 0x000F_FFFF;

const BAD_HANDLE: Rule = Rule::new(
    "cng.bad-handle",
    "WDK: BCryptEncrypt, BCryptDestroyKey, BCryptCloseAlgorithmProvider (hKey, hAlgorithm)",
);
const IN_USE: Rule = Rule::new("cng.destroyed-in-use", AEAD_DOC);

/// What a handle stands for.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "always behind the slot's box; keys are what there are many of")]
pub enum Object {
    /// From `BCryptOpenAlgorithmProvider`.
    Provider(Provider),
    /// From `BCryptGenerateSymmetricKey`.
    Key(Key),
}

/// `state` is generation << 32 | calls inside; generation 0 is a free slot.
struct Slot {
    state: AtomicU64,
    object: AtomicPtr<Object>,
}

static TABLE: [Slot; SLOTS] =
    [const { Slot { state: AtomicU64::new(0), object: AtomicPtr::new(std::ptr::null_mut()) } }; SLOTS];
/// Who made each live handle.
static MADE: Mutex<BTreeMap<Handle, Origin>> = Mutex::new(BTreeMap::new());
static FREE: Mutex<Option<Vec<u32>>> = Mutex::new(None);
static PROVIDERS: Kind = Kind::of_lab("cng.provider");
static KEYS: Kind = Kind::of_lab("cng.key");
static GENERATION: AtomicU32 = AtomicU32::new(1);

/// A call inside a slot; the object cannot go away before it drops.
pub struct Entered {
    slot: &'static Slot,
    object: &'static Object,
}

impl Entered {
    /// The object.
    pub fn object(&self) -> &Object {
        self.object
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.slot.state.fetch_sub(1, Ordering::Release);
    }
}

fn split(handle: Handle) -> Option<(&'static Slot, u32, u32)> {
    let body = handle.checked_sub(BASE)?;
    if body & 0xF != 0 {
        return None;
    }
    let index = (body >> 4) & (SLOTS - 1);
    let generation = u32::try_from(body >> GENERATION_SHIFT).ok()?;
    if generation == 0 || generation > GENERATIONS {
        return None;
    }
    Some((TABLE.get(index)?, generation, u32::try_from(index).ok()?))
}

/// Puts `object` into a slot; `None` when the table is full.
pub fn insert(object: Object) -> Option<Handle> {
    let index = {
        let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        free.get_or_insert_with(|| (0..u32::try_from(SLOTS).unwrap_or(0)).rev().collect()).pop()?
    };
    let mut generation = GENERATION.fetch_add(1, Ordering::Relaxed) & GENERATIONS;
    if generation == 0 {
        generation = GENERATION.fetch_add(1, Ordering::Relaxed) & GENERATIONS;
    }
    let slot = TABLE.get(index as usize)?;
    kind(&object).add();
    slot.object.store(Box::into_raw(Box::new(object)), Ordering::Release);
    // Added, not stored: a call with a stale handle may be between its count up and down.
    slot.state.fetch_add(u64::from(generation) << 32, Ordering::Release);
    let handle = BASE + ((generation as usize) << GENERATION_SHIFT) + ((index as usize) << 4);
    made().insert(handle, Origin::here());
    Some(handle)
}

fn made() -> MutexGuard<'static, BTreeMap<Handle, Origin>> {
    MADE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A live handle for a report: who made it. Empty for one that is not live.
pub fn describe(handle: Handle) -> String {
    made().get(&handle).map_or_else(String::new, |by| format!("handle {handle:#x}, made by {by}"))
}

/// Enters the slot of `handle`, or says that it is not live.
pub fn enter_quietly(handle: Handle) -> Option<Entered> {
    let (slot, generation, _) = split(handle)?;
    let before = slot.state.fetch_add(1, Ordering::Acquire);
    if before >> 32 != u64::from(generation) {
        slot.state.fetch_sub(1, Ordering::Release);
        return None;
    }
    let object = slot.object.load(Ordering::Acquire);
    // SAFETY: the generation matched while the slot counts this call, and `remove` frees the object only after taking the
    // generation away from a slot that counts no call; so the object lives until `Entered` drops.
    Some(Entered { slot, object: unsafe { &*object } })
}

/// Enters the slot of `handle`, or records `cng.bad-handle`.
pub fn enter(handle: Handle) -> Option<Entered> {
    let entered = enter_quietly(handle);
    if entered.is_none() {
        record(BAD_HANDLE, &format!("handle {handle:#x} is not a live CNG handle"));
    }
    // Another thread may run while this call uses the object.
    crate::ke::sched::point("a CNG object in use");
    entered
}

/// Records a handle of the wrong kind.
pub fn wrong_kind(handle: Handle, expected: &str) {
    record_of(BAD_HANDLE, &describe(handle), &format!("handle {handle:#x} is live but not {expected}"));
}

/// Ends `handle` and returns its object; records when it is bad or a call is using it.
pub fn remove(handle: Handle) -> Option<Object> {
    let Some((slot, generation, index)) = split(handle) else {
        record(BAD_HANDLE, &format!("handle {handle:#x} is not a live CNG handle"));
        return None;
    };
    let mut spins = 0;
    loop {
        let state = slot.state.load(Ordering::Acquire);
        if state >> 32 != u64::from(generation) {
            record(BAD_HANDLE, &format!("handle {handle:#x} is not a live CNG handle"));
            return None;
        }
        if state & 0xFFFF_FFFF != 0 {
            // A call with a stale handle of this slot counts itself for an instant only.
            spins += 1;
            if spins > 1000 {
                record_of(
                    IN_USE,
                    &describe(handle),
                    &format!("handle {handle:#x} is destroyed while {} calls use it", state & 0xFFFF_FFFF),
                );
                return None;
            }
            std::hint::spin_loop();
            continue;
        }
        if slot.state.compare_exchange(state, 0, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            break;
        }
    }
    made().remove(&handle);
    let object = slot.object.swap(std::ptr::null_mut(), Ordering::AcqRel);
    FREE.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(Vec::new).push(index);
    // SAFETY: `insert` made the pointer from a box, and only the one call that took the generation away gets here.
    let object = *unsafe { Box::from_raw(object) };
    kind(&object).remove();
    Some(object)
}

fn kind(object: &Object) -> &'static Kind {
    match object {
        Object::Provider(_) => &PROVIDERS,
        Object::Key(_) => &KEYS,
    }
}

/// Live handles with what they stand for.
pub fn live() -> Vec<(Handle, String)> {
    let mut out = Vec::new();
    for (index, slot) in TABLE.iter().enumerate() {
        let generation = (slot.state.load(Ordering::Acquire) >> 32) as usize;
        if generation == 0 {
            continue;
        }
        let handle = BASE + (generation << GENERATION_SHIFT) + (index << 4);
        if let Some(e) = enter_quietly(handle) {
            let what = match e.object() {
                Object::Provider(p) => format!("provider {}", p.algorithm.name()),
                Object::Key(k) => format!("key of {}", k.algorithm.name()),
            };
            out.push((handle, what));
        }
    }
    out
}
