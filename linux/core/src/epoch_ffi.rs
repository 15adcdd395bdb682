//! The boundary of `linux/include/dco_epoch.h`: its declarations, and what C calls of it.

use crate::{
    epoch::EpochKeyToBe,
    export::{Instance, errno, give, locked},
    ffi::{dco_aead, layout},
    kernel::bytes,
};

/// An epoch key to be.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct dco_epoch_key_new {
    /// Whose.
    pub peer_id: u32,
    /// DCO_SLOT_*.
    pub slot: u32,
    /// 0 to 7.
    pub key_id: u32,
    /// DCO_CIPHER_*.
    pub cipher: u32,
    /// Bytes of each of the cipher's keys.
    pub key_len: u32,
    /// 0.
    pub reserved: u32,
    /// For tests: where an epoch is left, if that is lower than the cipher's; 0 for none.
    pub test_limit: u64,
    /// [`DCO_EPOCH_SECRET`] bytes.
    pub encrypt_secret: *const u8,
    /// [`DCO_EPOCH_SECRET`] bytes.
    pub decrypt_secret: *const u8,
}

/// Where an epoch key is.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct dco_epoch_info {
    /// The epoch that is sent in.
    pub send: u32,
    /// The epoch that is received in.
    pub receive: u32,
}

// Read by `cargo xtask linux-object --epoch` too: one item a line.
layout! {
    constants {
        DCO_CIPHER_AES_GCM = 1,
        DCO_CIPHER_CHACHA20_POLY1305 = 2,
        DCO_EPOCH_SECRET = 32,
        DCO_EPOCH_LONGER = 4,
    }
    dco_epoch_key_new = 48 {
        peer_id: 0,
        slot: 4,
        key_id: 8,
        cipher: 12,
        key_len: 16,
        reserved: 20,
        test_limit: 24,
        encrypt_secret: 32,
        decrypt_secret: 40,
    }
    dco_epoch_info = 8 {
        send: 0,
        receive: 4,
    }
}

unsafe extern "C" {
    pub fn dco_shim_aead_new_epoch(cipher: u32, key: *const u8, key_len: u32, aead: *mut *mut dco_aead) -> i32;
}

/// See dco_epoch.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dco_core_epoch_key_new(core: *mut Instance, key: *const dco_epoch_key_new) -> i32 {
    // SAFETY: a control function: core is alive, the mutex held.
    let (core, state) = unsafe { locked(core) };
    // SAFETY: C passes a key that lives through the call.
    let request = unsafe { &*key };
    // SAFETY: C passes so many bytes of each secret, which live through the call.
    let [encrypt, decrypt] =
        [request.encrypt_secret, request.decrypt_secret].map(|secret| unsafe { bytes(secret, DCO_EPOCH_SECRET) });
    errno(core.epoch_key_new(state, &EpochKeyToBe { request, encrypt, decrypt }))
}

/// See dco_epoch.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dco_core_epoch_get(
    core: *mut Instance,
    peer_id: u32,
    slot: u32,
    info: *mut dco_epoch_info,
) -> i32 {
    // SAFETY: a control function: core is alive, the mutex held.
    let (core, state) = unsafe { locked(core) };
    // SAFETY: C passes a pointer to a variable.
    unsafe { give(info, core.epoch_get(state, peer_id, slot)) }
}
