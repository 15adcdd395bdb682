//! One end of a tunnel with a static key: what OpenVPN does with the module, without its control channel.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::ExitCode;

use anyhow::{Result, bail};
use zeroize::Zeroizing;

use crate::decode::{Event, Reason, What};
use crate::encode::{NewPeer, Settings};
use crate::failure::{Ended, refused_with};
use crate::input::Input;
use crate::interface::Interface;
use crate::link::{self, Link, Mode, Name, Prefix};
use crate::module::{Device, Family, events};
use crate::netlink::Netlink;
use crate::stop::{Stop, Until, wait};
use crate::transport::Control;
use crate::values::{Keepalive, PeerId};
use crate::{show, transport};
use dco_cli_base::key::{Cipher, Direction, Slot, StaticKey};
use dco_cli_base::options::{Item, Options, Usage};

const HELP: &str = "\
usage: dco-cli-linux tunnel --local IP:PORT --remote IP:PORT --key FILE|HEX --direction 0|1 [OPTION]...

Makes a device and on it one end of a tunnel, and holds it until Ctrl-C, which removes both. The other end has the same key and the
other direction: another dco-cli-linux, or dco-cli on Windows. While it is up, these words are taken from the input, a line each:

  key FILE|HEX        installs the next key, beside the one in use; the other end needs it too
  swap                sends with that key from now on
  stats               the counters
  drops               why packets were dropped, and how many
  quit                takes the tunnel down

  --local IP:PORT     where to bind
  --remote IP:PORT    where the other end is
  --key FILE|HEX      a static key: a file of `openvpn --genkey secret FILE`, or its 512 digits (which other users may see in ps)
  --direction 0|1     which half of the key is sent with
  --cipher NAME       aes-128-gcm, aes-192-gcm, aes-256-gcm (default), chacha20-poly1305
  --epoch             derive epoch keys from this key and those that come later (our module, built with EPOCH=1; family ovpn)
  --tcp               over TCP: connects to the other end
  --listen            over TCP: waits for the other end; --remote is who may come (port 0: from any port; left out: anybody)
  --peer-id N         in packets, both ways (default 0)
  --tx-id N           in packets that are sent, if it is another (family ovpn)
  --keepalive I,T     ping after I seconds of silence, give up after T
  --mss N             lower TCP's MSS to N (our module)
  --device NAME       the device (default dco0)
  --address IP/LEN    an address of the device in the tunnel; may be repeated
  --mtu N             of the device
  --family NAME       ovpn or ovpn-dco-v2 (default: the first that is there)
  --join              the device is there already (see `dco-cli-linux device add`), and stays
  --vpn-address IP    the peer's address in the tunnel, on a multi-peer device; may be repeated

exit status: as of dco-cli-linux --help; 4 if the tunnel ended by itself

examples:
  openvpn --genkey secret static.key
  dco-cli-linux tunnel --local 192.0.2.1:1194 --remote 192.0.2.2:1194 --key static.key --direction 0 --keepalive 10,60 \\
      --address 10.8.0.1/24 --address fd08::1/64
  dco-cli-linux tunnel --listen --local 192.0.2.1:1194 --remote 192.0.2.2:0 --key static.key --direction 0 --address 10.8.0.1/24
  dco-cli-linux tunnel --tcp --local [2001:db8::2]:0 --remote [2001:db8::1]:1194 --key static.key --direction 1";

/// What the command line says.
#[derive(Default)]
struct Plan {
    local: Option<SocketAddr>,
    remote: Option<SocketAddr>,
    key: Option<Zeroizing<String>>,
    direction: Option<Direction>,
    cipher: Option<Cipher>,
    epoch: bool,
    tcp: bool,
    listen: bool,
    peer_id: u32,
    tx_id: Option<u32>,
    settings: Settings,
    device: Option<Name>,
    addresses: Vec<Prefix>,
    mtu: Option<u32>,
    family: Option<Interface>,
    join: bool,
    vpn_addresses: Vec<IpAddr>,
}

/// `None` if help was asked for, and given.
fn plan(options: &mut Options) -> Result<Option<Plan>> {
    let mut plan = Plan::default();
    while let Some(item) = options.item()? {
        let Item::Option(name) = &item else { return Err(Options::unexpected(&item)) };
        match name.as_str() {
            "help" => {
                println!("{HELP}");
                return Ok(None);
            }
            "local" => plan.local = Some(options.value(name)?),
            "remote" => plan.remote = Some(options.value(name)?),
            "key" => plan.key = Some(Zeroizing::new(options.value(name)?)),
            "direction" => plan.direction = Some(options.value(name)?),
            "cipher" => plan.cipher = Some(options.value(name)?),
            "epoch" => plan.epoch = true,
            "tcp" => plan.tcp = true,
            "listen" => (plan.tcp, plan.listen) = (true, true),
            "peer-id" => plan.peer_id = options.value::<PeerId>(name)?.0,
            "tx-id" => plan.tx_id = Some(options.value::<PeerId>(name)?.0),
            "keepalive" => {
                let Keepalive(interval, timeout) = options.value(name)?;
                plan.settings.keepalive = Some((interval, timeout));
            }
            "mss" => plan.settings.mss = Some(options.value(name)?),
            "device" => plan.device = Some(options.value(name)?),
            "address" => plan.addresses.push(options.value(name)?),
            "mtu" => plan.mtu = Some(options.value(name)?),
            "family" => plan.family = Some(options.value(name)?),
            "join" => plan.join = true,
            "vpn-address" => plan.vpn_addresses.push(options.value(name)?),
            _ => return Err(Options::unexpected(&item)),
        }
    }
    Ok(Some(plan))
}

/// `tunnel`.
pub fn run(mut options: Options) -> Result<ExitCode> {
    let Some(plan) = plan(&mut options)? else { return Ok(ExitCode::SUCCESS) };
    let (Some(local), Some(key), Some(direction)) = (plan.local, &plan.key, plan.direction) else {
        return Err(Usage::new("tunnel: expected --local, --remote, --key and --direction; see --help").into());
    };
    let remote = match plan.remote {
        Some(remote) if remote.is_ipv4() != local.is_ipv4() => {
            return Err(Usage::new("expected --local and --remote of one family, got IPv4 and IPv6").into());
        }
        None if !plan.listen => return Err(Usage::new("tunnel: expected --remote; see --help").into()),
        remote => remote,
    };
    if plan.join && (plan.mtu.is_some() || !plan.addresses.is_empty() || plan.family.is_some()) {
        return Err(Usage::new("--join: expected none of --address, --mtu and --family: the device is as it is").into());
    }
    let cipher = plan.cipher.unwrap_or(Cipher::Aes256);
    let key = StaticKey::load(key, cipher, direction)?;

    let stop = Stop::on_signal()?;
    let socket = match (plan.tcp, plan.listen, remote) {
        (true, false, Some(remote)) => transport::connected(local, remote, &stop)?,
        (true, ..) => transport::accepted(local, remote, &stop)?,
        _ => Some(transport::udp(local)?),
    };
    let Some(socket) = socket else {
        println!("stopped before the other end was there");
        return Ok(ExitCode::SUCCESS);
    };

    let mut made = Made::device(&plan)?;
    let told = made.device.family.events()?;
    let remote = remote.filter(|_| !plan.tcp);
    let peer = NewPeer {
        id: plan.peer_id,
        tx_id: plan.tx_id,
        socket: socket.as_raw_fd(),
        remote,
        local: Some(local.ip()).filter(|local| remote.is_some() && !local.is_unspecified()),
        vpn4: plan.vpn_addresses.iter().find_map(|address| if let IpAddr::V4(v4) = address { Some(*v4) } else { None }),
        vpn6: plan.vpn_addresses.iter().find_map(|address| if let IpAddr::V6(v6) = address { Some(*v6) } else { None }),
    };
    made.peer(&peer, plan.settings, &key, plan.epoch)?;

    let (device, family) = (made.device.link.name.clone(), made.device.family.interface);
    let to = plan.remote.map_or_else(|| "whoever came".to_owned(), |remote| remote.to_string());
    println!("up: {device}, {local} to {to}, {}, family {family}; Ctrl-C ends it", cipher.name());
    let mut hand =
        Hand { made: &mut made, tcp: plan.tcp, cipher, direction, epoch: plan.epoch, peer_id: plan.peer_id, key_id: 0 };
    let held = hold(&mut hand, &stop, &told, &socket);
    // A peer that ended took its counters along.
    if held.is_ok() {
        print!("{}", hand.stats()?);
    }
    let removed = made.remove();
    held.and(removed).map(|()| ExitCode::SUCCESS)
}

/// What has been made, and is to be removed.
struct Made {
    device: Device,
    /// The device is ours to remove.
    own: bool,
    /// The peer that is there.
    peer: Option<u32>,
}

impl Made {
    /// The device: a new one that is up and has its addresses, or the one to join.
    fn device(plan: &Plan) -> Result<Self> {
        let name = plan.device.clone().unwrap_or(Name("dco0".into()));
        if plan.join {
            return Ok(Self { device: Device::open(&name.0)?, own: false, peer: None });
        }
        let (family, netlink) = (Family::choose(plan.family)?, Netlink::generic()?);
        let link = link::create(&name, family.interface, Mode::PointToPoint, None)?;
        // From here on it is removed whatever happens.
        let made = Self { device: Device::of(family, link, netlink), own: true, peer: None };
        link::raise(&made.device.link, plan.mtu)?;
        plan.addresses.iter().try_for_each(|address| link::add_address(&made.device.link, *address))?;
        Ok(made)
    }

    /// The peer, in OpenVPN's order.
    fn peer(&mut self, peer: &NewPeer, settings: Settings, key: &StaticKey, epoch: bool) -> Result<()> {
        self.device.new_peer(peer)?;
        self.peer = Some(peer.id);
        if settings != Settings::default() {
            self.device.set_peer(peer.id, settings)?;
        }
        self.device.new_key(peer.id, Slot::Primary, 0, key, epoch)
    }

    /// Removes it.
    fn remove(mut self) -> Result<()> {
        self.undo()
    }

    /// What is gone already is no error.
    fn undo(&mut self) -> Result<()> {
        let peer = self.peer.take().map_or(Ok(()), |peer| self.device.del_peer(peer));
        let own = std::mem::take(&mut self.own);
        let device = if own { link::delete(&self.device.link) } else { Ok(()) };
        [peer, device].into_iter().find(|result| result.as_ref().is_err_and(|error| !gone(error))).unwrap_or(Ok(()))
    }

    fn link(&self) -> &Link {
        &self.device.link
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        if let Err(error) = self.undo() {
            eprintln!("dco-cli-linux: cleaning up: {error:#}");
        }
    }
}

/// ENOENT of a peer, ENODEV of a device.
fn gone(error: &anyhow::Error) -> bool {
    [2, 19].iter().any(|errno| refused_with(error, *errno))
}

const ENDED: &str = "the other end has ended the connection";

/// What the words of the input act on.
struct Hand<'a> {
    made: &'a mut Made,
    tcp: bool,
    cipher: Cipher,
    direction: Direction,
    /// Epoch keys are derived from its keys.
    epoch: bool,
    peer_id: u32,
    /// Of the last key.
    key_id: u8,
}

impl Hand<'_> {
    /// Does what a line says; false ends the tunnel. A line that cannot be followed is told of, and nothing else.
    fn follow(&mut self, line: &str) -> Result<bool> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [] => {}
            ["key", key] => {
                let key = StaticKey::load(key, self.cipher, self.direction)?;
                // OpenVPN's way: 0 is the first key's alone.
                let next = self.key_id % 7 + 1;
                self.made.device.new_key(self.peer_id, Slot::Secondary, next, &key, self.epoch)?;
                self.key_id = next;
                println!("key {next} is installed, to be swapped in");
            }
            ["swap"] => {
                self.made.device.swap_keys(self.peer_id)?;
                println!("swapped");
            }
            ["stats"] => print!("{}", self.stats()?),
            ["drops"] => match show::drops(&self.made.device.peer(self.peer_id)?) {
                Some(drops) => print!("{drops}"),
                None => println!("this module does not count drops by reason"),
            },
            ["quit"] => return Ok(false),
            // Not the line: it may have a key in it.
            _ => bail!("expected key FILE|HEX, swap, stats, drops or quit, got something else"),
        }
        Ok(true)
    }

    fn stats(&mut self) -> Result<String> {
        Ok(show::peer(&self.made.device.peer(self.peer_id)?))
    }

    /// Whether the peer is still there, when its end may have been among lost events.
    fn look(&mut self) -> Result<()> {
        match self.made.device.peer(self.peer_id) {
            Err(error) if gone(&error) => Err(Ended("the peer is gone".into()).into()),
            peer => peer.map(|_| ()),
        }
    }

    /// What an event means for the tunnel.
    fn hear(&self, event: &Event) -> Result<()> {
        if event.ifindex != self.made.link().index || event.peer != self.peer_id {
            return Ok(());
        }
        let ended = match event.what {
            What::Deleted(Reason::Expired) => "the other end has been silent for too long",
            What::Deleted(Reason::TransportDisconnect) => ENDED,
            What::Deleted(Reason::TransportError) => "the other end has sent what is no tunnel's frame",
            What::Deleted(Reason::Userspace) => "somebody has removed the peer",
            What::Deleted(_) => "the device was removed, or another peer took its place",
            What::Floated(_) | What::KeyOld(_) => {
                println!("{}", event.what);
                return Ok(());
            }
        };
        Err(Ended(ended.into()).into())
    }
}

/// Hears events, reads control packets and follows the input until told to stop; the end of the peer is an error.
fn hold(hand: &mut Hand<'_>, stop: &Stop, told: &Netlink, socket: &OwnedFd) -> Result<()> {
    let (mut input, mut open) = (Some(Input::standard()?), true);
    loop {
        let [stopped, heard, typed, came] = wait(
            [
                Until::Readable(stop.as_fd()),
                Until::Readable(told.as_fd()),
                input.as_ref().map_or(Until::Never, |input| Until::Readable(input.as_fd())),
                if open { Until::Readable(socket.as_fd()) } else { Until::Never },
            ],
            None,
        )?;
        if stopped {
            return Ok(());
        }
        if heard {
            match events(&hand.made.device.family, told) {
                Ok(events) => events.iter().try_for_each(|event| hand.hear(event))?,
                Err(error) => {
                    eprintln!("dco-cli-linux: {error:#}");
                    hand.look()?;
                }
            }
        }
        if came {
            match transport::control_packet(socket) {
                Control::Packet(length) => println!("a control packet of {length} bytes, ignored"),
                Control::Nothing => {}
                // The kernel's own ovpn leaves it to userspace to notice.
                Control::End if hand.tcp => return Err(Ended(ENDED.into()).into()),
                Control::End => open = false,
            }
        }
        let Some(typing) = input.as_mut().filter(|_| typed) else { continue };
        match typing.lines() {
            Ok(None) => input = None,
            Ok(Some(lines)) => {
                for line in lines {
                    match hand.follow(&line) {
                        Ok(true) => {}
                        Ok(false) => return Ok(()),
                        Err(error) => eprintln!("dco-cli-linux: {error:#}"),
                    }
                }
            }
            Err(error) => eprintln!("dco-cli-linux: {error:#}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(words: &[&str]) -> anyhow::Error {
        run(Options::from_words(words)).expect_err("wrong usage")
    }

    #[test]
    fn what_is_missing_or_contradicts_itself_is_wrong_usage() {
        let key = "00".repeat(256);
        let whole = ["--local", "127.0.0.1:0", "--key", &key, "--direction", "0"];
        let with = |more: &[&str]| said(&[&whole[..], more].concat());
        assert!(said(&[]).is::<Usage>());
        for error in [
            with(&[]),
            with(&["--remote", "[::1]:5"]),
            with(&["--remote", "127.0.0.1:5", "--join", "--mtu", "1400"]),
            with(&["--remote", "127.0.0.1:5", "word"]),
            with(&["--remote", "127.0.0.1"]),
            with(&["--no-such-option"]),
        ] {
            assert!(error.is::<Usage>(), "{error}");
            assert!(!error.to_string().contains(&key));
        }
    }
}
