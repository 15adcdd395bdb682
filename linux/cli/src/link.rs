//! Links and their addresses, by route netlink.

use std::net::IpAddr;
use std::str::FromStr;

use anyhow::{Context, Result, bail};

use crate::failure::{NoModule, refused_with};
use crate::interface::Interface;
use crate::netlink::Netlink;
use crate::wire::{CREATE, DUMP, EXCLUSIVE, Malformed, Message, attributes, find};
use dco_cli_base::options::Usage;

const NEWLINK: u16 = 16;
const DELLINK: u16 = 17;
const GETLINK: u16 = 18;
const NEWADDR: u16 = 20;

/// Attributes of a link.
mod number {
    pub const NAME: u16 = 3;
    pub const MTU: u16 = 4;
    pub const INFO: u16 = 18;
    pub const INFO_KIND: u16 = 1;
    pub const INFO_DATA: u16 = 2;
    pub const MODE: u16 = 1;
    /// Our module's own.
    pub const SOURCE_CHECK: u16 = 48;
}

const UP: u32 = 1;
const EOPNOTSUPP: i32 = 95;

/// How many peers a device has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Mode {
    /// One.
    PointToPoint = 0,
    /// Many, told apart by their ids and their addresses in the tunnel.
    MultiPeer = 1,
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "p2p" => Ok(Self::PointToPoint),
            "mp" => Ok(Self::MultiPeer),
            _ => Err(format!("expected p2p or mp, got {text:?}")),
        }
    }
}

/// A name that a device can have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(pub String);

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let sound = (1..16).contains(&text.len())
            && text != "."
            && text != ".."
            && !text.contains(|c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control());
        match sound {
            true => Ok(Self(text.to_owned())),
            false => Err(format!("expected a device's name, 1 to 15 characters without / : and spaces, got {text:?}")),
        }
    }
}

/// An address with the length of its network's part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefix {
    /// The address.
    pub address: IpAddr,
    /// Bits.
    pub length: u8,
}

impl FromStr for Prefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("expected ADDRESS/LENGTH, such as 10.8.0.1/24, got {text:?}");
        let (address, length) = text.split_once('/').ok_or_else(wrong)?;
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let length: u8 = length.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        if length > most { Err(wrong()) } else { Ok(Self { address, length }) }
    }
}

/// A device as the kernel tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The kernel's number for it.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Of a made one.
    pub kind: Option<String>,
    /// What its kind says of it.
    pub mode: Option<u8>,
    /// Whether inner source addresses are checked; our module's own.
    pub source_check: Option<bool>,
    /// The largest packet it takes.
    pub mtu: Option<u32>,
    /// Whether it is up.
    pub up: bool,
}

impl Link {
    /// The interface that devices of this kind belong to.
    pub fn interface(&self) -> Option<Interface> {
        self.kind.as_deref().and_then(Interface::of_kind)
    }

    fn read(payload: &[u8]) -> Result<Self, Malformed> {
        let Some(([_, _, _, _, i0, i1, i2, i3, f0, f1, f2, f3, ..], rest)) = payload.split_first_chunk::<16>() else {
            return Err(Malformed(format!("expected a link, got {} bytes", payload.len())));
        };
        let attributes = attributes(rest)?;
        let (mut kind, mut mode, mut source_check) = (None, None, None);
        if let Some(info) = find(&attributes, number::INFO) {
            let info = info.nested()?;
            kind = find(&info, number::INFO_KIND).map(|kind| kind.text()).transpose()?;
            let ours = kind.as_deref().is_some_and(|kind| Interface::of_kind(kind).is_some());
            if let Some(data) = find(&info, number::INFO_DATA).filter(|_| ours) {
                let data = data.nested()?;
                mode = find(&data, number::MODE).map(|mode| mode.u8()).transpose()?;
                source_check = find(&data, number::SOURCE_CHECK).map(|check| check.u8()).transpose()?;
            }
        }
        let name = find(&attributes, number::NAME).ok_or_else(|| Malformed("expected a link's name".into()))?;
        Ok(Self {
            index: u32::from_ne_bytes([*i0, *i1, *i2, *i3]),
            name: name.text()?,
            kind,
            mode,
            source_check: source_check.map(|check| check != 0),
            mtu: find(&attributes, number::MTU).map(|mtu| mtu.u32()).transpose()?,
            up: u32::from_ne_bytes([*f0, *f1, *f2, *f3]) & UP != 0,
        })
    }
}

/// struct ifinfomsg.
fn header(index: u32, flags: u32) -> [u8; 16] {
    let mut bytes = [0; 16];
    for (place, value) in [(4, index), (8, flags), (12, flags)] {
        if let Some(field) = bytes.get_mut(place..place + 4) {
            field.copy_from_slice(&value.to_ne_bytes());
        }
    }
    bytes
}

/// The device of this name.
pub fn named(name: &str) -> Result<Link> {
    let mut message = Message::new("RTM_GETLINK", GETLINK, 0, &header(0, 0));
    message.put_text(number::NAME, name);
    let replies = Netlink::route()?.ask(message).with_context(|| format!("device {name}"))?;
    match replies.as_slice() {
        [reply] => Ok(Link::read(&reply.payload)?),
        _ => bail!("RTM_GETLINK: expected one answer, got {}", replies.len()),
    }
}

/// All devices that belong to one of the interfaces.
pub fn list() -> Result<Vec<Link>> {
    let replies = Netlink::route()?.ask(Message::new("RTM_GETLINK", GETLINK, DUMP, &header(0, 0)))?;
    let links = replies.iter().map(|reply| Link::read(&reply.payload)).collect::<Result<Vec<_>, _>>()?;
    Ok(links.into_iter().filter(|link| link.interface().is_some()).collect())
}

/// Makes a device.
pub fn create(name: &Name, interface: Interface, mode: Mode, source_check: Option<bool>) -> Result<Link> {
    let mut message = Message::new("RTM_NEWLINK", NEWLINK, CREATE | EXCLUSIVE, &header(0, 0));
    message.put_text(number::NAME, &name.0);
    message.nest(number::INFO, |info| {
        info.put_text(number::INFO_KIND, interface.kind());
        info.nest(number::INFO_DATA, |data| {
            data.put_u8(number::MODE, mode as u8);
            source_check.into_iter().for_each(|check| data.put_u8(number::SOURCE_CHECK, check.into()));
        });
    });
    match Netlink::route()?.ask(message) {
        Ok(_) => named(&name.0),
        Err(error) if refused_with(&error, EOPNOTSUPP) && source_check.is_none() => {
            let kind = interface.kind();
            Err(NoModule(format!("expected a module with devices of kind {kind}, found none: {error}")).into())
        }
        Err(error) => Err(error).with_context(|| format!("making the device {}", name.0)),
    }
}

/// Switches the check of inner source addresses. Our module's own.
pub fn set_source_check(link: &Link, on: bool) -> Result<()> {
    let Some(kind) = &link.kind else { return Err(Usage::new("--source-check: expected a device of ours").into()) };
    let mut message = Message::new("RTM_NEWLINK", NEWLINK, 0, &header(link.index, 0));
    message.nest(number::INFO, |info| {
        info.put_text(number::INFO_KIND, kind);
        info.nest(number::INFO_DATA, |data| data.put_u8(number::SOURCE_CHECK, on.into()));
    });
    Netlink::route()?.ask(message).with_context(|| format!("switching {}'s source check", link.name))?;
    Ok(())
}

/// Removes a device.
pub fn delete(link: &Link) -> Result<()> {
    let message = Message::new("RTM_DELLINK", DELLINK, 0, &header(link.index, 0));
    Netlink::route()?.ask(message).with_context(|| format!("removing the device {}", link.name))?;
    Ok(())
}

/// Raises a device, with another MTU if one is given.
pub fn raise(link: &Link, mtu: Option<u32>) -> Result<()> {
    let mut message = Message::new("RTM_NEWLINK", NEWLINK, 0, &header(link.index, UP));
    mtu.into_iter().for_each(|mtu| message.put_u32(number::MTU, mtu));
    Netlink::route()?.ask(message).with_context(|| format!("raising the device {}", link.name))?;
    Ok(())
}

/// Gives a device an address.
pub fn add_address(link: &Link, Prefix { address, length }: Prefix) -> Result<()> {
    const ADDRESS: u16 = 1;
    const LOCAL: u16 = 2;
    let (family, bytes) = match address {
        IpAddr::V4(address) => (2, address.octets().to_vec()),
        IpAddr::V6(address) => (10, address.octets().to_vec()),
    };
    let [i0, i1, i2, i3] = link.index.to_ne_bytes();
    let mut message = Message::new("RTM_NEWADDR", NEWADDR, CREATE | EXCLUSIVE, &[family, length, 0, 0, i0, i1, i2, i3]);
    message.put(LOCAL, &bytes);
    message.put(ADDRESS, &bytes);
    Netlink::route()?.ask(message).with_context(|| format!("giving {} the address {address}/{length}", link.name))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::messages;

    fn link(index: u32, flags: u32, fill: impl FnOnce(&mut Message)) -> Vec<u8> {
        let mut message = Message::new("TEST", NEWLINK, 0, &header(index, flags));
        fill(&mut message);
        let bytes = message.finish(0);
        messages(&bytes).expect("a message")[0].payload.to_vec()
    }

    #[test]
    fn a_device_is_read() {
        let bytes = link(8, UP, |message| {
            message.put_text(number::NAME, "dco0");
            message.put_u32(number::MTU, 1416);
            message.nest(number::INFO, |info| {
                info.put_text(number::INFO_KIND, "ovpn");
                info.nest(number::INFO_DATA, |data| {
                    data.put_u8(number::MODE, 1);
                    data.put_u8(number::SOURCE_CHECK, 1);
                });
            });
        });
        let link = Link::read(&bytes).expect("a link");
        assert_eq!((link.index, link.name.as_str(), link.up, link.mtu), (8, "dco0", true, Some(1416)));
        assert_eq!((link.interface(), link.mode, link.source_check), (Some(Interface::Ovpn), Some(1), Some(true)));
        // Nothing is missing from the name on.
        for length in (0..16 + 9).chain(16 + 12 + 8 + 1..bytes.len()) {
            assert!(Link::read(&bytes[..length]).is_err(), "cut at {length}");
        }
    }

    /// The data of other kinds has other attributes under the same numbers.
    #[test]
    fn another_kinds_data_is_left_alone() {
        let bytes = link(8, 0, |message| {
            message.put_text(number::NAME, "br0");
            message.nest(number::INFO, |info| {
                info.put_text(number::INFO_KIND, "bridge");
                info.nest(number::INFO_DATA, |data| data.put_u32(number::MODE, 1500));
            });
        });
        let link = Link::read(&bytes).expect("a link");
        assert_eq!((link.interface(), link.mode, link.up), (None, None, false));
        assert!(Link::read(&super::header(1, 0)).is_err(), "a link has a name");
    }

    /// The running kernel's own answers.
    #[test]
    fn the_kernel_is_understood() {
        let lo = named("lo").expect("every namespace has it");
        assert_eq!((lo.name.as_str(), lo.index, lo.interface()), ("lo", 1, None));
        assert!(!list().expect("an answer").iter().any(|link| link.name == "lo"));
        let error = named("no-such-device").expect_err("none");
        assert!(refused_with(&error, 19), "{error:#}");
    }

    #[test]
    fn addresses_and_names_are_checked() {
        assert_eq!("10.8.0.1/24".parse(), Ok(Prefix { address: [10, 8, 0, 1].into(), length: 24 }));
        assert!("fd08::1/64".parse::<Prefix>().is_ok());
        for text in ["10.8.0.1", "10.8.0.1/33", "fd08::1/129", "x/1", "10.8.0.1/-1"] {
            assert!(text.parse::<Prefix>().expect_err(text).contains("expected ADDRESS/LENGTH"));
        }
        assert!("dco0".parse::<Name>().is_ok());
        for text in ["", "..", "a/b", "a b", "sixteen-letters-"] {
            assert!(text.parse::<Name>().is_err(), "{text:?}");
        }
    }
}
