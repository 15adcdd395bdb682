//! What C calls: `dco_core_*` of dco.h.
//!
//! Each function turns C's pointers into references and calls a safe method of [`device`](crate::device). The contexts that dco.h names
//! for a function are its safety contract: the control mutex makes a control call the only one.

use core::{
    cell::UnsafeCell,
    ffi::{c_char, c_void},
    ptr::NonNull,
};

use dco_core::{DropReason, Tick};
use dco_sync::{Box, try_box};

use crate::{
    device::{Core, KeyToBe, PeerToBe, State},
    ffi::{dco_core_config, dco_key_info, dco_key_new, dco_open, dco_peer_info, dco_peer_new, dco_peer_set, dco_seal},
    kernel::{Errno, Link, Shell, Socket, Train, bytes, now},
};

const NAME_ROOM: usize = 32;

/// The drop reasons' names as C strings.
#[cfg_attr(not(test), expect(clippy::indexing_slicing, reason = "done by the compiler"))]
static DROP_NAMES: [[u8; NAME_ROOM]; DropReason::COUNT] = {
    let mut names = [[0; NAME_ROOM]; DropReason::COUNT];
    let mut reason = 0;
    while reason < DropReason::COUNT {
        let name = DropReason::ALL[reason].name().as_bytes();
        assert!(name.len() < NAME_ROOM, "room for the terminator");
        let mut at = 0;
        while at < name.len() {
            names[reason][at] = name[at];
            at += 1;
        }
        reason += 1;
    }
    names
};

/// See dco.h.
#[unsafe(no_mangle)]
pub extern "C" fn dco_core_drop_reasons() -> u32 {
    #[cfg_attr(not(test), expect(clippy::cast_possible_truncation, reason = "some dozens"))]
    const COUNT: u32 = DropReason::COUNT as u32;
    COUNT
}

/// See dco.h.
#[unsafe(no_mangle)]
pub extern "C" fn dco_core_drop_name(reason: u32) -> *const c_char {
    DROP_NAMES.get(reason as usize).map_or(core::ptr::null(), |name| name.as_ptr().cast())
}

/// What C knows as `struct dco_core`.
pub struct Instance {
    core: Core,
    /// Guarded by C's control mutex.
    state: UnsafeCell<State>,
}

/// The result as C wants it.
pub(crate) fn errno(result: Result<(), Errno>) -> i32 {
    match result {
        Ok(()) => 0,
        Err(Errno(error)) => error,
    }
}

/// Writes a result where C wants it.
///
/// # Safety
/// `to` is valid for a write.
pub(crate) unsafe fn give<T>(to: *mut T, result: Result<T, Errno>) -> i32 {
    match result {
        Ok(value) => {
            // SAFETY: the caller vouches for `to`.
            unsafe { to.write(value) };
            0
        }
        Err(Errno(error)) => error,
    }
}

/// The core behind C's pointer.
///
/// # Safety
/// `core` came from dco_core_new(), and dco_core_free() comes after 'a.
unsafe fn shared<'a>(core: *const Instance) -> &'a Core {
    // SAFETY: the caller vouches for it.
    unsafe { &(*core).core }
}

/// The core behind C's pointer, with its state.
///
/// # Safety
/// As [`shared`], and the control mutex is held for 'a, so that there is one such call at a time.
pub(crate) unsafe fn locked<'a>(core: *const Instance) -> (&'a Core, &'a mut State) {
    // SAFETY: the caller vouches for the pointer.
    let core = unsafe { &*core };
    // SAFETY: with the mutex held nobody else has a reference to the state.
    (&core.core, unsafe { &mut *core.state.get() })
}

/// Room for `count` numbers at `numbers`.
///
/// # Safety
/// It is valid for writes for 'a, and nobody else uses it.
unsafe fn room<'a>(numbers: *mut u64, count: u32) -> &'a mut [u64] {
    if numbers.is_null() {
        return &mut [];
    }
    // SAFETY: the caller vouches for it.
    unsafe { core::slice::from_raw_parts_mut(numbers, count as usize) }
}

/// See dco.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dco_core_new(config: *const dco_core_config, core: *mut *mut Instance) -> i32 {
    // SAFETY: C passes a configuration that lives through the call.
    let config = unsafe { &*config };
    // SAFETY: the device owns the core and outlives it.
    let shell = unsafe { Shell::from_raw(config.dev) };
    let made = Core::new(shell, config).and_then(|(core, state)| {
        let made = try_box(Instance { core, state: UnsafeCell::new(state) })?;
        Ok(Box::into_raw(made))
    });
    // SAFETY: C passes a pointer to a variable.
    unsafe { give(core, made) }
}

/// See dco.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dco_core_free(core: *mut Instance) {
    // SAFETY: dco_core_new() made it with `Box::into_raw`, and C gives it up: no call is under way, none comes.
    drop(unsafe { Box::from_raw(core) });
}

/// See dco.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dco_core_peer_new(core: *mut Instance, peer: *const dco_peer_new) -> i32 {
    // SAFETY: a control function: core is alive, the mutex held.
    let (core, state) = unsafe { locked(core) };
    // SAFETY: C passes a peer that lives through the call.
    let request = unsafe { &*peer };
    let Some(link) = NonNull::new(request.link) else { return Errno::INVAL.0 };
    // SAFETY: C's link, which it leaves to the core if the call succeeds.
    let link = unsafe { Link::from_raw(link) };
    errno(core.peer_new(state, PeerToBe { request, link }, now()))
}

/// See dco.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dco_core_peer_set(core: *mut Instance, id: u32, set: *const dco_peer_set) -> i32 {
    // SAFETY: a control function: core is alive, the mutex held.
    let (core, state) = unsafe { locked(core) };
    // SAFETY: C passes settings that live through the call.
    errno(core.peer_set(state, id, unsafe { &*set }, now()))
}

/// See dco.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dco_core_peer_get(core: *mut Instance, id: u32, info: *mut dco_peer_info) -> i32 {
    // SAFETY: a control function: core is alive, the mutex held.
    let (core, state) = unsafe { locked(core) };
    // SAFETY: C passes a pointer to a variable.
    unsafe { give(info, core.peer_get(state, id)) }
}

/// See dco.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dco_core_peer_next(core: *mut Instance, cursor: *mut u64, info: *mut dco_peer_info) -> i32 {
    // SAFETY: a control function: core is alive, the mutex held.
    let (core, state) = unsafe { locked(core) };
    // SAFETY: C passes a pointer to a variable.
    let cursor = unsafe { &mut *cursor };
    // SAFETY: C passes a pointer to a variable.
    unsafe { give(info, core.peer_next(state, cursor)) }
}

/// See dco.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dco_core_peer_drops(core: *mut Instance, id: u32, drops: *mut u64, count: u32) -> i32 {
    // SAFETY: a control function: core is alive, the mutex held.
    let (core, state) = unsafe { locked(core) };
    // SAFETY: C passes room for `count` numbers.
    errno(core.peer_drops(state, id, unsafe { room(drops, count) }))
}

/// See dco.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dco_core_peer_del(core: *mut Instance, id: u32, reason: u32) -> i32 {
    // SAFETY: a control function: core is alive, the mutex held.
    let (core, state) = unsafe { locked(core) };
    errno(core.peer_del(state, id, reason))
}

/// See dco.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dco_core_peers_del(core: *mut Instance, sock: *const c_void, reason: u32) -> u32 {
    // SAFETY: a control function: core is alive, the mutex held.
    let (core, state) = unsafe { locked(core) };
    core.peers_del(state, (!sock.is_null()).then_some(Socket(sock)), reason)
}

/// See dco.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dco_core_key_new(core: *mut Instance, key: *const dco_key_new) -> i32 {
    const TAIL: u32 = 8;
    // SAFETY: a control function: core is alive, the mutex held.
    let (core, state) = unsafe { locked(core) };
    // SAFETY: C passes a key that lives through the call.
    let request = unsafe { &*key };
    // SAFETY: C passes `key_len` bytes of each direction's key, which live through the call.
    let [encrypt_key, decrypt_key] =
        [request.encrypt_key, request.decrypt_key].map(|key| unsafe { bytes(key, request.key_len) });
    // SAFETY: C passes 8 bytes of each tail, which live through the call.
    let [encrypt_tail, decrypt_tail] =
        [request.encrypt_tail, request.decrypt_tail].map(|tail| unsafe { bytes(tail, TAIL) });
    errno(core.key_new(state, &KeyToBe { request, encrypt_key, decrypt_key, encrypt_tail, decrypt_tail }))
}

/// See dco.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dco_core_key_get(
    core: *mut Instance,
    peer_id: u32,
    slot: u32,
    info: *mut dco_key_info,
) -> i32 {
    // SAFETY: a control function: core is alive, the mutex held.
    let (core, state) = unsafe { locked(core) };
    // SAFETY: C passes a pointer to a variable.
    unsafe { give(info, core.key_get(state, peer_id, slot)) }
}

/// See dco.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dco_core_key_swap(core: *mut Instance, peer_id: u32) -> i32 {
    // SAFETY: a control function: core is alive, the mutex held.
    let (core, state) = unsafe { locked(core) };
    errno(core.key_swap(state, peer_id))
}

/// See dco.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dco_core_key_del(core: *mut Instance, peer_id: u32, slot: u32) -> i32 {
    // SAFETY: a control function: core is alive, the mutex held.
    let (core, state) = unsafe { locked(core) };
    errno(core.key_del(state, peer_id, slot))
}

/// See dco.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dco_core_tick(core: *mut Instance, now_ms: u64) -> u32 {
    // SAFETY: a control function: core is alive, the mutex held.
    let (core, state) = unsafe { locked(core) };
    core.tick(state, Tick(now_ms))
}

/// See dco.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dco_core_seal(core: *mut Instance, seal: *mut dco_seal) {
    // SAFETY: a data function: core is alive.
    let core = unsafe { shared(core) };
    // SAFETY: C passes a call of its own, which lives through it.
    let seal = unsafe { &mut *seal };
    // SAFETY: dco.h asks C for `count` packets of the call's own, with room for the bytes that TCP has before each.
    let train = unsafe { Train::from_raw(seal.bufs, seal.count) };
    core.seal(train, seal);
}

/// See dco.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dco_core_open(core: *mut Instance, open: *mut dco_open) {
    // SAFETY: a data function: core is alive.
    let core = unsafe { shared(core) };
    // SAFETY: C passes a call of its own, which lives through it.
    let open = unsafe { &mut *open };
    // SAFETY: dco.h asks C for `count` packets of the call's own.
    let train = unsafe { Train::from_raw(open.bufs, open.count) };
    core.open(train, open);
}

/// See dco.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dco_core_count_drop(core: *mut Instance, cpu: u32, reason: u32, packets: u32) {
    // SAFETY: a data function: core is alive.
    unsafe { shared(core) }.count_drop(cpu, reason, packets);
}

/// See dco.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dco_core_drops(core: *mut Instance, drops: *mut u64, count: u32) {
    // SAFETY: core is alive; C passes room for `count` numbers.
    let (core, drops) = unsafe { (shared(core), room(drops, count)) };
    core.drops(drops);
}

/// See dco.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dco_core_source_check(core: *mut Instance, on: bool) {
    // SAFETY: core is alive.
    unsafe { shared(core) }.source_check(on);
}
