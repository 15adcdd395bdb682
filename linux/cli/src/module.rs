//! A module: its family, and what it is asked.

use std::fs;

use anyhow::{Context, Result, bail};

use crate::decode::{self, Event, Peer};
use crate::encode::{NewPeer, Settings, To};
use crate::failure::{NoModule, refused_with};
use crate::interface::{GROUP, Interface};
use crate::link::{self, Link};
use crate::netlink::{Netlink, Reply};
use crate::wire::{Malformed, Message, find, generic};
use dco_cli_base::key::{Slot, StaticKey};
use dco_cli_base::options::Usage;

const ENOENT: i32 = 2;

/// A family that is there.
#[derive(Debug, Clone, Copy)]
pub struct Family {
    /// Of which interface.
    pub interface: Interface,
    /// The number that the kernel gave it.
    pub number: u16,
    /// As the kernel tells it.
    pub version: u32,
    /// Its events' group.
    pub group: Option<u32>,
}

impl Family {
    /// Asks for it by name, which makes the kernel load its module; `None` if there is none.
    pub fn find(interface: Interface) -> Result<Option<Self>> {
        /// The family that tells of families.
        const CONTROL: u16 = 16;
        const GETFAMILY: u8 = 3;
        let mut message = Message::generic("CTRL_CMD_GETFAMILY", CONTROL, GETFAMILY, 0);
        message.put_text(2, interface.family());
        match Netlink::generic()?.ask(message) {
            Ok(replies) => {
                let [reply] = replies.as_slice() else {
                    bail!("CTRL_CMD_GETFAMILY: expected one answer, got {}", replies.len());
                };
                let family = Self::read(interface, &reply.payload).context("CTRL_CMD_GETFAMILY")?;
                Ok(Some(family))
            }
            Err(error) if refused_with(&error, ENOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The wanted one, or else the first that is there.
    pub fn choose(wanted: Option<Interface>) -> Result<Self> {
        let candidates = wanted.map_or(Interface::ALL.to_vec(), |interface| vec![interface]);
        for interface in &candidates {
            if let Some(family) = Self::find(*interface)? {
                return Ok(family);
            }
        }
        let names = candidates.iter().map(|interface| interface.family()).collect::<Vec<_>>().join(" or ");
        Err(NoModule(format!("expected a module with the netlink family {names}, found none; is it installed?")).into())
    }

    fn read(interface: Interface, payload: &[u8]) -> Result<Self, Malformed> {
        let (_, attributes) = generic(payload)?;
        let number = find(&attributes, 1).ok_or_else(|| Malformed("expected a family's number, found none".into()))?;
        let version = find(&attributes, 3).map_or(Ok(0), |version| version.u32())?;
        let mut group = None;
        if let Some(groups) = find(&attributes, 7) {
            for entry in groups.nested()? {
                let entry = entry.nested()?;
                if let (Some(name), Some(number)) = (find(&entry, 1), find(&entry, 2))
                    && name.text()? == GROUP
                {
                    group = Some(number.u32()?);
                }
            }
        }
        Ok(Self { interface, number: number.u16()?, version, group })
    }

    /// The module's own version; `None` for one that has none, as the kernel's own `ovpn`.
    pub fn module_version(&self) -> Option<String> {
        let file = format!("/sys/module/{}/version", self.interface.module());
        fs::read_to_string(file).ok().map(|text| text.trim().to_owned())
    }

    /// A socket that gets its events.
    pub fn events(&self) -> Result<Netlink> {
        match self.group {
            Some(group) => Netlink::of_group(group),
            None => bail!("expected the family {} to have a group {GROUP}, it has none", self.interface),
        }
    }
}

/// A device of a module, and a conversation about it.
pub struct Device {
    /// Its family.
    pub family: Family,
    /// Itself.
    pub link: Link,
    netlink: Netlink,
}

impl Device {
    /// The device of this name.
    pub fn open(name: &str) -> Result<Self> {
        let link = link::named(name)?;
        let Some(interface) = link.interface() else {
            let kind = link.kind.as_deref().unwrap_or("none");
            bail!("{name}: expected a device of kind ovpn or ovpn-dco, got one of kind {kind}");
        };
        Ok(Self::of(Family::choose(Some(interface))?, link, Netlink::generic()?))
    }

    /// The device of a link of this family's kind.
    pub fn of(family: Family, link: Link, netlink: Netlink) -> Self {
        Self { family, link, netlink }
    }

    fn to(&self) -> To {
        To { interface: self.family.interface, family: self.family.number, ifindex: self.link.index }
    }

    fn order(&mut self, message: Message) -> Result<()> {
        self.netlink.ask(message).map(|_| ())
    }

    /// Refuses what only family `ovpn` can say.
    fn only_ovpn(&self, what: &str, wanted: bool) -> Result<()> {
        match self.family.interface {
            Interface::V2 if wanted => Err(Usage::new(format!(
                "{what}: expected a device of family ovpn, {} is of ovpn-dco-v2",
                self.link.name
            ))
            .into()),
            _ => Ok(()),
        }
    }

    /// Makes a peer; the socket is the module's from then on, but has to stay open.
    pub fn new_peer(&mut self, peer: &NewPeer) -> Result<()> {
        self.only_ovpn("--tx-id", peer.tx_id.is_some())?;
        self.order(self.to().new_peer(peer))
    }

    /// Changes a peer.
    pub fn set_peer(&mut self, id: u32, settings: Settings) -> Result<()> {
        self.only_ovpn("--remote", settings.remote.is_some())?;
        self.order(self.to().set_peer(id, settings)).with_context(|| match settings.mss {
            Some(_) => "with --mss, which modules other than ours do not know",
            None => "changing the peer",
        })
    }

    /// One peer.
    pub fn peer(&mut self, id: u32) -> Result<Peer> {
        let replies = self.netlink.ask(self.to().get_peer(id))?;
        match self.peers_of(&replies)?.pop() {
            Some(peer) => Ok(peer),
            None => bail!("peer {id}: expected an answer, got none"),
        }
    }

    /// All peers that the interface tells of: `ovpn-dco-v2` tells of none on a point-to-point device.
    pub fn peers(&mut self) -> Result<Vec<Peer>> {
        let replies = self.netlink.ask(self.to().dump_peers())?;
        self.peers_of(&replies)
    }

    fn peers_of(&self, replies: &[Reply]) -> Result<Vec<Peer>> {
        let replies = replies.iter().filter(|reply| reply.kind == self.family.number);
        Ok(replies.map(|reply| decode::peer(self.family.interface, &reply.payload)).collect::<Result<_, _>>()?)
    }

    /// Removes a peer.
    pub fn del_peer(&mut self, id: u32) -> Result<()> {
        self.order(self.to().del_peer(id))
    }

    /// Installs a key, or one that epoch keys are derived from.
    pub fn new_key(&mut self, peer: u32, slot: Slot, key_id: u8, key: &StaticKey, epoch: bool) -> Result<()> {
        self.only_ovpn("--epoch", epoch)?;
        if epoch {
            let order = self.order(self.to().new_epoch_key(peer, slot, key_id, key));
            return order.context("with --epoch, which only our module knows, built with EPOCH=1");
        }
        self.order(self.to().new_key(peer, slot, key_id, key))
    }

    /// What a slot holds.
    pub fn key(&mut self, peer: u32, slot: Slot) -> Result<decode::Key> {
        self.only_ovpn("key get", true)?;
        let replies = self.netlink.ask(self.to().get_key(peer, slot))?;
        match replies.as_slice() {
            [reply] => Ok(decode::key(&reply.payload)?),
            _ => bail!("KEY_GET: expected one answer, got {}", replies.len()),
        }
    }

    /// Exchanges the slots.
    pub fn swap_keys(&mut self, peer: u32) -> Result<()> {
        self.order(self.to().swap_keys(peer))
    }

    /// Empties a slot.
    pub fn del_key(&mut self, peer: u32, slot: Slot) -> Result<()> {
        self.order(self.to().del_key(peer, slot))
    }
}

/// The events that a family's socket has to read.
pub fn events(family: &Family, netlink: &Netlink) -> Result<Vec<Event>> {
    let mut events = Vec::new();
    for reply in netlink.events()?.iter().filter(|reply| reply.kind == family.number) {
        events.extend(decode::event(family.interface, &reply.payload)?);
    }
    Ok(events)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::messages;

    fn family(fill: impl FnOnce(&mut Message)) -> Result<Family, Malformed> {
        let mut message = Message::generic("TEST", 16, 1, 0);
        fill(&mut message);
        let bytes = message.finish(0);
        Family::read(Interface::Ovpn, messages(&bytes).expect("a message")[0].payload)
    }

    #[test]
    fn a_family_is_read() {
        let family = family(|message| {
            message.put_text(2, "ovpn");
            message.put_u16(1, 33);
            message.put_u32(3, 1);
            message.nest(7, |groups| {
                for (name, number) in [("others", 4), ("peers", 5)] {
                    groups.nest(1, |entry| {
                        entry.put_u32(2, number);
                        entry.put_text(1, name);
                    });
                }
            });
        });
        let family = family.expect("sound");
        assert_eq!((family.number, family.version, family.group), (33, 1, Some(5)));
    }

    #[test]
    fn a_malformed_family_is_refused() {
        assert!(family(|message| message.put_u32(3, 1)).is_err());
        assert!(family(|message| message.put_u32(1, 33)).is_err());
        let unsound = family(|message| {
            message.put_u16(1, 33);
            message.put(7, &[9, 0, 1, 0]);
        });
        assert!(unsound.is_err());
    }
}
