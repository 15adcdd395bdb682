//! Secrets are gone from memory when they are dropped.
#![expect(unsafe_code, reason = "looks at memory whose value has been dropped")]

use core::mem::{MaybeUninit, size_of};
use dco_crypto::NonceTail;

#[test]
fn a_dropped_nonce_tail_is_zero() {
    let mut place = MaybeUninit::new(NonceTail::new([0xa5; 8]));
    // SAFETY: the place was just initialised, and its value is not used again.
    unsafe { place.assume_init_drop() };
    // SAFETY: the place is still ours; a nonce tail is eight initialised bytes, and dropping it writes only initialised ones.
    let left: [u8; size_of::<NonceTail>()] = unsafe { place.as_ptr().cast::<[u8; 8]>().read() };
    assert_eq!(left, [0; 8]);
}

#[cfg(feature = "epoch")]
#[test]
fn a_dropped_epoch_secret_is_zero() {
    use dco_crypto::epoch::EpochSecret;

    const SIZE: usize = size_of::<EpochSecret>();
    assert_eq!(SIZE, 34, "two bytes of epoch and the secret, without padding");
    let mut place = MaybeUninit::new(EpochSecret::of_epoch(0, [0xa5; 32]));
    // SAFETY: the place was just initialised, and its value is not used again.
    unsafe { place.assume_init_drop() };
    // SAFETY: the place is still ours; the value is 34 bytes without padding, all initialised, and dropping it writes only initialised ones.
    let left: [u8; SIZE] = unsafe { place.as_ptr().cast::<[u8; SIZE]>().read() };
    assert_eq!(left, [0; SIZE]);
}
