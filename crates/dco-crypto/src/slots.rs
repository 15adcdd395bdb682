//! A peer's two keys.

use crate::aead::Aead;
#[cfg(feature = "epoch")]
pub use crate::data_key::DataKey;
#[cfg(not(feature = "epoch"))]
pub use crate::key::Key as DataKey;
use dco_sync::Shared;
use dco_wire::KeyId;

/// Which of a peer's two keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum KeySlot {
    /// The one that seals.
    Primary,
    /// The next or the previous one; it only opens.
    Secondary,
}

/// A peer's two keys, never changed in place: control makes a new pair and publishes it whole, so that a reader sees both slots of one
/// moment. Keys are shared between the old pair and the new; what a key has counted goes on.
///
/// Looking a key up allocates nothing and takes no lock. Dropping a pair may drop a key, and with it the cipher's handle: at
/// PASSIVE_LEVEL, after no reader can hold it.
pub struct KeySlots<A: Aead> {
    primary: Option<Shared<DataKey<A>>>,
    secondary: Option<Shared<DataKey<A>>>,
}

impl<A: Aead> KeySlots<A> {
    /// Two empty slots, as a new peer has them.
    #[must_use]
    pub const fn new() -> Self {
        Self { primary: None, secondary: None }
    }

    /// The key that opens packets with this key-id; the primary if both have it.
    #[inline]
    #[must_use]
    pub fn for_key_id(&self, id: KeyId) -> Option<&DataKey<A>> {
        match (&self.primary, &self.secondary) {
            (Some(key), _) if key.key_id() == Some(id) => Some(key),
            (_, Some(key)) if key.key_id() == Some(id) => Some(key),
            _ => None,
        }
    }

    /// The key that seals.
    #[inline]
    #[must_use]
    pub fn primary(&self) -> Option<&DataKey<A>> {
        self.primary.as_deref()
    }

    /// The other key.
    #[inline]
    #[must_use]
    pub fn secondary(&self) -> Option<&DataKey<A>> {
        self.secondary.as_deref()
    }

    /// The key in `slot`.
    #[inline]
    #[must_use]
    pub fn get(&self, slot: KeySlot) -> Option<&DataKey<A>> {
        match slot {
            KeySlot::Primary => self.primary(),
            KeySlot::Secondary => self.secondary(),
        }
    }

    /// The pair with `key` in `slot`; the key that was there is not in it.
    #[must_use]
    pub fn with_installed(&self, slot: KeySlot, key: Shared<DataKey<A>>) -> Self {
        match slot {
            KeySlot::Primary => Self { primary: Some(key), secondary: self.secondary.clone() },
            KeySlot::Secondary => Self { primary: self.primary.clone(), secondary: Some(key) },
        }
    }

    /// The pair with `slot` empty.
    #[must_use]
    pub fn without(&self, slot: KeySlot) -> Self {
        match slot {
            KeySlot::Primary => Self { primary: None, secondary: self.secondary.clone() },
            KeySlot::Secondary => Self { primary: self.primary.clone(), secondary: None },
        }
    }

    /// The pair with each key replaced by what `change` makes of it, if it makes anything.
    ///
    /// # Errors
    ///
    /// `change`'s.
    #[cfg(feature = "epoch")]
    pub fn try_map<E>(
        &self,
        mut change: impl FnMut(&Shared<DataKey<A>>) -> Result<Option<Shared<DataKey<A>>>, E>,
    ) -> Result<Self, E> {
        let mut map = |slot: &Option<Shared<DataKey<A>>>| match slot {
            Some(key) => Ok(Some(change(key)?.unwrap_or_else(|| key.clone()))),
            None => Ok(None),
        };
        Ok(Self { primary: map(&self.primary)?, secondary: map(&self.secondary)? })
    }

    /// Whether an epoch key wants to be refilled.
    #[cfg(feature = "epoch")]
    #[inline]
    #[must_use]
    pub fn wants_keys(&self) -> bool {
        [&self.primary, &self.secondary].into_iter().flatten().any(|key| key.wants_keys())
    }

    /// The pair with its slots exchanged, empty ones too.
    #[must_use]
    pub fn swapped(&self) -> Self {
        Self { primary: self.secondary.clone(), secondary: self.primary.clone() }
    }
}

impl<A: Aead> Default for KeySlots<A> {
    fn default() -> Self {
        Self::new()
    }
}

impl<A: Aead> Clone for KeySlots<A> {
    fn clone(&self) -> Self {
        Self { primary: self.primary.clone(), secondary: self.secondary.clone() }
    }
}

impl<A: Aead> core::fmt::Debug for KeySlots<A> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("KeySlots").field("primary", &self.primary()).field("secondary", &self.secondary()).finish()
    }
}
