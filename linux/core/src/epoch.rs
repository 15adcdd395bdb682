//! Epoch keys: installed, shown, and the next ones made (docs/epoch.md).

use dco_core::PeerSelector;
use dco_crypto::epoch::{EpochConfig, EpochKey, EpochSecret, UsageLimit};
use dco_wire::{DATA_OVERHEAD, EPOCH_OVERHEAD};

use crate::{
    device::{Core, State, peer_id, slot},
    epoch_ffi::{
        DCO_CIPHER_AES_GCM, DCO_CIPHER_CHACHA20_POLY1305, DCO_EPOCH_LONGER, dco_epoch_info, dco_epoch_key_new,
    },
    ffi::dco_key_info,
    kernel::{Aead, Errno, pause},
};

/// An epoch key to be.
pub struct EpochKeyToBe<'a> {
    pub request: &'a dco_epoch_key_new,
    pub encrypt: &'a [u8],
    pub decrypt: &'a [u8],
}

impl Core {
    /// Installs an epoch key.
    pub fn epoch_key_new(&self, state: &mut State, key: &EpochKeyToBe<'_>) -> Result<(), Errno> {
        let request = key.request;
        let peer = peer_id(request.peer_id)?;
        let slot = slot(request.slot)?;
        let key_id = u8::try_from(request.key_id).ok().filter(|id| *id < 8).ok_or(Errno::INVAL)?;
        let limit = match (request.cipher, request.key_len) {
            (DCO_CIPHER_AES_GCM, 16 | 24 | 32) => UsageLimit::AES_GCM,
            (DCO_CIPHER_CHACHA20_POLY1305, 32) => UsageLimit::NONE,
            _ => return Err(Errno::INVAL),
        };
        let lowered = if request.test_limit == 0 { limit } else { limit.lowered(request.test_limit) };
        let secret = |bytes: &[u8]| bytes.try_into().map(EpochSecret::first).map_err(|_| Errno::INVAL);
        self.peer(state, request.peer_id)?;
        let config = EpochConfig {
            key_id,
            peer_id: None,
            key_len: request.key_len as usize,
            seal: secret(key.encrypt)?,
            open: secret(key.decrypt)?,
            limit: lowered,
        };
        let made = EpochKey::try_new(config, |_, bytes| Aead::of_epoch(request.cipher, bytes))?;
        Ok(self.device.new_epoch_key(&mut state.control, PeerSelector::Id(peer), slot, made, pause)?)
    }

    /// What is in a slot, if it is an epoch key.
    pub fn epoch_key_get(&self, state: &State, id: u32, slot_number: u32) -> Result<Option<dco_key_info>, Errno> {
        let look = |key: &EpochKey<Aead>| dco_key_info {
            key_id: key.key_id().map_or(0, |id| u32::from(id.get())),
            cipher: key.cipher().cipher(),
        };
        Ok(self.device.with_epoch_key(&state.control, PeerSelector::Id(peer_id(id)?), slot(slot_number)?, look)?)
    }

    /// The epochs of the key in a slot.
    pub fn epoch_get(&self, state: &State, id: u32, slot_number: u32) -> Result<dco_epoch_info, Errno> {
        let look = |key: &EpochKey<Aead>| dco_epoch_info {
            send: u32::from(key.seal_epoch()),
            receive: u32::from(key.open_epoch()),
        };
        let selector = PeerSelector::Id(peer_id(id)?);
        self.device.with_epoch_key(&state.control, selector, slot(slot_number)?, look)?.ok_or(Errno::NOENT)
    }

    /// Makes the keys that are wanted. Where that fails packets go on under the keys there are, the want stays, and the next tick
    /// tries again.
    pub fn refill_keys(&self, state: &mut State) {
        let like = |key: &Aead, bytes: &[u8]| Aead::of_epoch(key.cipher(), bytes);
        let _: Result<(), Errno> = self.device.refill_keys(&mut state.control, like, pause);
    }
}

const _: () = assert!(EPOCH_OVERHEAD == DATA_OVERHEAD + DCO_EPOCH_LONGER as usize);
