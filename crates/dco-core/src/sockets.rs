//! Several sockets: a remote end is a peer's together with the end of ours that it talks to.
//!
//! A network address translator may give two clients one address and port where they talk to two of our sockets. A shell that has several
//! says in [`Endpoint::local`] which one it was: by its address, or by whatever stands for it, as long as no two share it.

use core::sync::atomic::Ordering;

use dco_crypto::Aead;
use dco_sync::Shared;
use dco_wire::PeerId;

use crate::{
    control::Control,
    device::{Device, Peers, Section},
    endpoint::{self, Endpoint, Words},
    peer::Peer,
    table::{Name, Table},
};

impl<A: Aead, T> Device<A, T> {
    /// Switches whether remote ends are told apart by our own ends (with several peers; off at first): a peer that is heard from its
    /// remote end at another end of ours has moved, and another peer's remote end at another end of ours is not that peer's. Where either end
    /// of ours is not known, the remote end alone counts. Any IRQL.
    pub fn set_both_ends(&self, on: bool) {
        self.both_ends.store(on, Ordering::Relaxed);
    }

    pub(crate) fn tells_ends_apart(&self) -> bool {
        self.both_ends.load(Ordering::Relaxed)
    }

    /// The id of a peer at this endpoint, as [`Device::set_both_ends`] says; point to point, `None`.
    pub fn peer_at_ends(&self, _control: &Control, at: Endpoint) -> Option<PeerId> {
        let Peers::Many(table) = &self.peers else { return None };
        let here = |peer: &Peer<A, T>| !self.tells_ends_apart() || peer.is_at(at);
        table.find_that(Name::Remote(at.remote), &self.domain.enter(0), here).map(|peer| peer.id())
    }
}

impl<A: Aead, T> Section<'_, A, T> {
    /// The peer with this name; of those at one remote end the one at our end that was reached.
    #[inline]
    pub(crate) fn find_from<'g>(
        &'g self,
        table: &'g Table<Peer<A, T>>,
        name: Name,
        source: Option<Endpoint>,
    ) -> Option<&'g Shared<Peer<A, T>>> {
        match source {
            Some(source) if matches!(name, Name::Remote(_)) && self.device.tells_ends_apart() => {
                table.find_that(name, &self.guard, |peer| peer.is_at(source))
            }
            _ => table.find(name, &self.guard),
        }
    }

    /// Whether these two ends are another peer's.
    pub(crate) fn is_anothers_end(&self, table: &Table<Peer<A, T>>, source: Words, peer: &Peer<A, T>) -> bool {
        let another = |source: Endpoint| {
            let is = |other: &Peer<A, T>| !core::ptr::eq(other, peer) && other.is_at(source);
            table.find_that(Name::Remote(source.remote), &self.guard, is).is_some()
        };
        self.device.own_remotes.load(Ordering::Relaxed) && endpoint::unpack(source).is_some_and(another)
    }
}
