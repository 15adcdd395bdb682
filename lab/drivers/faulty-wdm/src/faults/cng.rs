//! Cryptography.

use super::block;
use crate::nt::*;
use crate::{fault, wide};
use core::ffi::c_void;
use core::ptr::{null, null_mut};
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering};

static AES: [u16; 4] = wide(b"AES\0");
static MODE: [u16; 13] = wide(b"ChainingMode\0");
static GCM: [u16; 16] = wide(b"ChainingModeGCM\0");
const DISPATCH: u32 = 1;

/// BCRYPT_AUTHENTICATED_CIPHER_MODE_INFO.
#[repr(C)]
struct Info {
    size: u32,
    version: u32,
    nonce: *mut u8,
    nonce_length: u32,
    data: *mut u8,
    data_length: u32,
    tag: *mut u8,
    tag_length: u32,
    context: *mut u8,
    context_length: u32,
    data_done: u32,
    payload_done: u64,
    flags: u32,
}

unsafe fn provider(flags: u32) -> usize {
    unsafe {
        let mut provider = 0;
        BCryptOpenAlgorithmProvider(&mut provider, AES.as_ptr(), null(), flags);
        BCryptSetProperty(provider, MODE.as_ptr(), GCM.as_ptr().cast(), 32, 0);
        provider
    }
}

unsafe fn key(provider: usize, object: *mut u8, length: u32) -> usize {
    unsafe {
        let mut key = 0;
        BCryptGenerateSymmetricKey(provider, &mut key, object, length, [7; 16].as_ptr(), 16, 0);
        key
    }
}

/// A whole message, but for what `change` makes of its description.
unsafe fn encrypt(key: usize, from: *const u8, to: *mut u8, length: u32, change: fn(&mut Info)) -> Status {
    unsafe {
        let (mut nonce, mut tag, mut context, mut iv) = ([1u8; 12], [0u8; 16], [0u8; 16], [0u8; 16]);
        let mut info = Info {
            size: 88,
            version: 1,
            nonce: nonce.as_mut_ptr(),
            nonce_length: 12,
            data: null_mut(),
            data_length: 0,
            tag: tag.as_mut_ptr(),
            tag_length: 16,
            context: context.as_mut_ptr(),
            context_length: 16,
            data_done: 0,
            payload_done: 0,
            flags: 0,
        };
        change(&mut info);
        let mut done = 0;
        BCryptEncrypt(key, from, length, (&raw mut info).cast(), iv.as_mut_ptr(), 16, to, length, &mut done, 0)
    }
}

pub unsafe fn request() {
    unsafe {
        if fault() == 703 {
            destroy_in_use();
        }
        let p = provider(if fault() == 704 { 0 } else { DISPATCH });
        let object = block::<u8>(1024);
        let buffer = block::<u8>(1024);
        let k = if fault() == 705 { key(p, object, 1024) } else { key(p, null_mut(), 0) };
        match fault() {
            // A part of a message that is no whole number of blocks.
            700 => {
                encrypt(k, buffer, buffer, 20, |i| i.flags = 1);
            }
            701 => {
                BCryptDestroyKey(object as usize);
            }
            702 => {
                encrypt(k, buffer, buffer, 64, |i| i.nonce_length = 8);
            }
            704 => {
                KfRaiseIrql(2);
                encrypt(k, buffer, buffer, 64, |_| {});
            }
            705 => {
                object.wrapping_add(100).write_volatile(0);
                BCryptDestroyKey(k);
            }
            706 => {
                BCryptCloseAlgorithmProvider(p, 0);
            }
            707 => {
                BCryptDestroyKey(k);
                ExFreePoolWithTag(object, crate::TAG);
                ExFreePoolWithTag(buffer, crate::TAG);
            }
            708 => {
                let mut plain = 0;
                BCryptOpenAlgorithmProvider(&mut plain, AES.as_ptr(), null(), DISPATCH);
                encrypt(key(plain, null_mut(), 0), buffer, buffer, 64, |_| {});
            }
            709 => {
                encrypt(k, buffer, buffer.wrapping_add(8), 64, |_| {});
            }
            _ => {}
        }
    }
}

const LARGE: usize = 16 << 20;
static KEY: AtomicUsize = AtomicUsize::new(0);
static ROUND: AtomicU32 = AtomicU32::new(0);
static DONE: AtomicU32 = AtomicU32::new(0);
static OUTPUT: AtomicPtr<u8> = AtomicPtr::new(null_mut());

/// Encrypts a large buffer in each round.
unsafe extern "C" fn encrypt_rounds(from: *mut c_void) {
    unsafe {
        loop {
            let round = ROUND.load(Ordering::Acquire);
            if round == DONE.load(Ordering::Relaxed) {
                KeDelayExecutionThread(0, 0, &-10_000);
                continue;
            }
            let to = OUTPUT.load(Ordering::Relaxed);
            encrypt(KEY.load(Ordering::Relaxed), from.cast(), to, LARGE as u32, |_| {});
            DONE.store(round, Ordering::Release);
        }
    }
}

/// Destroys a key when the first output of a call with it shows that the call is in progress. Where the call ended before the key
/// went, nothing was broken, and there is another round.
unsafe fn destroy_in_use() -> ! {
    unsafe {
        let p = provider(DISPATCH);
        let (from, to) = (block::<c_void>(LARGE), block::<u8>(LARGE));
        OUTPUT.store(to, Ordering::Relaxed);
        let mut handle = null_mut();
        PsCreateSystemThread(&mut handle, 0x1F_FFFF, null_mut(), null_mut(), null_mut(), encrypt_rounds, from);
        let first = to.cast::<u64>();
        let mut round = 0;
        loop {
            round += 1;
            let k = key(p, null_mut(), 0);
            KEY.store(k, Ordering::Relaxed);
            first.write_volatile(0);
            ROUND.store(round, Ordering::Release);
            while first.read_volatile() == 0 {
                core::hint::spin_loop();
            }
            BCryptDestroyKey(k);
            while DONE.load(Ordering::Acquire) != round {
                core::hint::spin_loop();
            }
        }
    }
}
