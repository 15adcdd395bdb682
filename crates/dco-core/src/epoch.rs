//! Epoch keys: installed, and the next ones made.

use dco_crypto::{Aead, DataKey, KeySlot, epoch::EpochKey};
use dco_sync::{OutOfMemory, Shared, try_box};

use crate::{
    control::{Control, ControlError},
    device::Device,
    peer::{Peer, PeerSelector},
    table::Cursor,
};

impl<A: Aead, T: Send + Sync> Device<A, T> {
    /// As [`Device::new_key`], with an epoch key. PASSIVE_LEVEL.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn new_epoch_key(
        &self,
        _control: &mut Control,
        peer: PeerSelector,
        slot: KeySlot,
        key: EpochKey<A>,
        pause: impl FnMut(),
    ) -> Result<(), ControlError> {
        let peer = self.find(peer).ok_or(ControlError::NoPeer)?;
        let key = Shared::try_new(DataKey::Epoch(key))?;
        self.rekey(&peer, pause, |slots| slots.with_installed(slot, key))
    }

    /// Looks at the key in a slot: `None` where it is empty, or holds no epoch key.
    ///
    /// # Errors
    ///
    /// [`ControlError::NoPeer`].
    pub fn with_epoch_key<R>(
        &self,
        _control: &Control,
        peer: PeerSelector,
        slot: KeySlot,
        look: impl FnOnce(&EpochKey<A>) -> R,
    ) -> Result<Option<R>, ControlError> {
        let peer = self.find(peer).ok_or(ControlError::NoPeer)?;
        let guard = self.domain.enter(0);
        let key = peer.keys(&guard).and_then(|slots| slots.get(slot));
        Ok(key.and_then(DataKey::epoch).map(look))
    }

    /// Makes the keys that peers' epoch keys want, where they want any. `make` makes a cipher's key like another from its bytes.
    /// PASSIVE_LEVEL; looks at every peer.
    ///
    /// Called when [`Batch::keys_wanted`](crate::Batch::keys_wanted) says so. Until then packets go on under the keys that there are.
    ///
    /// # Errors
    ///
    /// The first that came, `make`'s or [`OutOfMemory`]; other peers had their turn all the same. Who got none wants them as before:
    /// call it again, later.
    pub fn refill_keys<E: From<OutOfMemory>>(
        &self,
        control: &mut Control,
        mut make: impl FnMut(&A, &[u8]) -> Result<A, E>,
        mut pause: impl FnMut(),
    ) -> Result<(), E> {
        let mut cursor = Cursor::default();
        let mut outcome = Ok(());
        while let Some(peer) = self.next_peer(control, &mut cursor) {
            let refilled = self.refill(&peer, &mut make, &mut pause);
            outcome = outcome.and(refilled);
        }
        outcome
    }

    #[inline(never)]
    fn refill<E: From<OutOfMemory>>(
        &self,
        peer: &Peer<A, T>,
        mut make: impl FnMut(&A, &[u8]) -> Result<A, E>,
        pause: impl FnMut(),
    ) -> Result<(), E> {
        // Out of the section: making keys takes time, and nobody but control changes the slots.
        let slots = {
            let guard = self.domain.enter(0);
            match peer.keys(&guard) {
                Some(slots) if slots.wants_keys() => slots.clone(),
                _ => return Ok(()),
            }
        };
        let successor = |key: &Shared<DataKey<A>>| match key.epoch().filter(|key| key.wants_keys()) {
            Some(key) => Ok::<_, E>(Some(Shared::try_new(DataKey::Epoch(key.refilled(&mut make)?))?)),
            None => Ok(None),
        };
        let refilled = slots.try_map(successor).and_then(|slots| Ok(try_box(slots)?));
        match refilled {
            Ok(refilled) => {
                drop(peer.keys.replace(Some(refilled), &self.domain, pause));
                Ok(())
            }
            Err(error) => {
                // A successor that was made is gone unused; its want was taken.
                [slots.primary(), slots.secondary()]
                    .into_iter()
                    .flatten()
                    .filter_map(DataKey::epoch)
                    .for_each(EpochKey::want_keys);
                Err(error)
            }
        }
    }
}
