//! Epoch keys: made at PASSIVE_LEVEL, the first by NEW_KEY_V2, the next ones by the work item (docs/epoch.md).

use crate::cipher::{CipherKey, Ciphers};
use crate::device::Dco;
use dco_crypto::epoch::{EpochConfig, EpochKey, EpochSecret, UsageLimit};
use dco_uapi as uapi;
use dco_wire::PeerId;
use nt::netcx;
use nt::status::{Result, Status};
use nt::time;
use nt::wdf::device::Handle;
use nt::wide;

/// Where tests have epochs left, in packets and blocks: the adapter's keyword of the existing driver's name; without it, at the cipher's
/// limit. It lowers, never raises. PASSIVE_LEVEL, from EvtDriverDeviceAdd on.
pub fn usage_limit(device: Handle<'_>) -> u64 {
    netcx::keyword(device, wide!("TestAeadUsageLimit")).map_or(u64::MAX, u64::from)
}

/// The key that NEW_KEY_V2 asks for. PASSIVE_LEVEL.
///
/// # Errors
/// As [`Ciphers::key`].
pub fn key(ciphers: &mut Ciphers, new: &uapi::NewKey, usage_limit: u64) -> Result<EpochKey<CipherKey>> {
    let limit = match new.algorithm {
        uapi::Algorithm::ChaCha20Poly1305 => UsageLimit::NONE,
        uapi::Algorithm::AesGcm | uapi::Algorithm::None => UsageLimit::AES_GCM,
    };
    let config = EpochConfig {
        key_id: new.key_id,
        peer_id: Some(PeerId::from_low_bits(new.peer_id.cast_unsigned())),
        key_len: new.encrypt.key().len(),
        seal: EpochSecret::first(*new.encrypt.seed()),
        open: EpochSecret::first(*new.decrypt.seed()),
        limit: limit.lowered(usage_limit),
    };
    EpochKey::try_new(config, |_, secret| ciphers.key(new.algorithm, secret))
}

/// Makes the keys that are wanted. The work item, at PASSIVE_LEVEL; takes the control lock. Where it fails, the timer asks again.
pub fn refill(dco: &Dco) {
    let mut state = dco.control.lock();
    let state = &mut *state;
    let only: Result<()> = dco.link.core.refill_keys(&mut state.core, CipherKey::another, time::pause);
    let many: Result<()> = dco.link.many.refill_keys(&mut state.many, CipherKey::another, time::pause);
    // Packets go on under the keys there are; the want stays, and the timer sees it.
    let _ = only.and(many).map_err(|Status(_)| ());
}
