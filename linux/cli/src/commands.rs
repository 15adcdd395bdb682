//! The short commands: version, stats, drops, events, device, peer, key.

use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::decode::Peer;
use crate::encode::Settings;
use crate::failure::NoModule;
use crate::interface::Interface;
use crate::link::{self, Link, Mode, Name};
use crate::module::{Device, Family, events as events_of};
use crate::stop::{Stop, Until, wait};
use crate::values::{Keepalive, PeerId, Switch};
use crate::{ethtool, show};
use dco_cli_base::key::{Cipher, Direction, Slot, StaticKey};
use dco_cli_base::options::{Item, Options, Usage};

/// What the short commands' options say; each command takes some of them.
#[derive(Default)]
struct Given {
    words: Vec<String>,
    family: Option<Interface>,
    peer_id: Option<u32>,
    watch: bool,
    every: Option<u32>,
    mode: Option<Mode>,
    source_check: Option<bool>,
    settings: Settings,
    slot: Option<Slot>,
    key: Option<zeroize::Zeroizing<String>>,
    direction: Option<Direction>,
    cipher: Option<Cipher>,
    key_id: Option<u8>,
    epoch: bool,
}

impl Given {
    /// Takes words, and the options that are allowed; `None` if help was asked for, and given.
    fn take(mut options: Options, help: &str, allowed: &[&str]) -> Result<Option<Self>> {
        let mut given = Self::default();
        while let Some(item) = options.item()? {
            let name = match &item {
                Item::Word(word) => {
                    given.words.push(word.clone());
                    continue;
                }
                Item::Option(name) => name.as_str(),
            };
            if name == "help" {
                println!("{help}");
                return Ok(None);
            }
            if !allowed.contains(&name) {
                return Err(Options::unexpected(&item));
            }
            match name {
                "family" => given.family = Some(options.value(name)?),
                "peer-id" => given.peer_id = Some(options.value::<PeerId>(name)?.0),
                "watch" => given.watch = true,
                "every" => given.every = Some(options.value(name)?),
                "mode" => given.mode = Some(options.value(name)?),
                "source-check" => given.source_check = Some(options.value::<Switch>(name)?.0),
                "keepalive" => {
                    let Keepalive(interval, timeout) = options.value(name)?;
                    given.settings.keepalive = Some((interval, timeout));
                }
                "mss" => given.settings.mss = Some(options.value(name)?),
                "remote" => given.settings.remote = Some(options.value::<SocketAddr>(name)?),
                "slot" => given.slot = Some(options.value(name)?),
                "key" => given.key = Some(zeroize::Zeroizing::new(options.value(name)?)),
                "direction" => given.direction = Some(options.value(name)?),
                "cipher" => given.cipher = Some(options.value(name)?),
                "key-id" => given.key_id = Some(options.value(name)?),
                "epoch" => given.epoch = true,
                _ => return Err(Options::unexpected(&item)),
            }
        }
        Ok(Some(given))
    }

    /// The words, if they are as many as the command wants.
    fn words<const N: usize>(&self, command: &str, what: &str) -> Result<[&str; N]> {
        let words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        words.try_into().map_err(|words| {
            Usage::new(format!("{command}: expected {what}, got {words:?}; see dco-cli-linux {command} --help")).into()
        })
    }

    /// The only word: a device of ours.
    fn device(&self, command: &str) -> Result<Device> {
        let [name] = self.words(command, "a device's name")?;
        Device::open(name)
    }
}

/// `version`.
pub fn version(options: Options) -> Result<ExitCode> {
    const HELP: &str = "\
usage: dco-cli-linux version [--family ovpn|ovpn-dco-v2]

Prints which modules are there, their versions and their families'. Asking for a family makes the kernel load its module.

example:
  dco-cli-linux version";
    let Some(given) = Given::take(options, HELP, &["family"])? else { return Ok(ExitCode::SUCCESS) };
    let [] = given.words("version", "no words")?;
    let mut found = false;
    for interface in given.family.map_or(Interface::ALL.to_vec(), |interface| vec![interface]) {
        let Some(family) = Family::find(interface)? else { continue };
        found = true;
        let module = family.module_version().unwrap_or_else(|| "without a version of its own (the kernel's?)".into());
        println!("module {} {module}", interface.module());
        println!("family {interface} {}", family.version);
    }
    if !found {
        return Err(NoModule(
            "expected a module with the family ovpn or ovpn-dco-v2, found none; is it installed?".into(),
        )
        .into());
    }
    Ok(ExitCode::SUCCESS)
}

/// The peer that was asked for, or all of the device.
fn peers(device: &mut Device, peer_id: Option<u32>) -> Result<Vec<Peer>> {
    if let Some(id) = peer_id {
        return Ok(vec![device.peer(id)?]);
    }
    let peers = device.peers()?;
    if peers.is_empty() && device.family.interface == Interface::V2 && device.link.mode != Some(Mode::MultiPeer as u8) {
        bail!(
            "{}: the family ovpn-dco-v2 does not list the peer of a point-to-point device; name it by --peer-id",
            device.link.name
        );
    }
    Ok(peers)
}

/// `stats`.
pub fn stats(options: Options) -> Result<ExitCode> {
    const HELP: &str = "\
usage: dco-cli-linux stats DEVICE [--peer-id N] [--watch [--every SECONDS]]

Prints the counters of a device's peers: vpn is in the tunnel, link is on the wire without IP and UDP headers.

  --peer-id N         of this peer only; ovpn-dco-v2 wants it on point-to-point devices
  --watch             a table with a line each second, until Ctrl-C: the sum over the peers
  --every SECONDS     how often (default 1)

examples:
  dco-cli-linux stats dco0
  dco-cli-linux stats tun0 --watch --every 5";
    let Some(given) = Given::take(options, HELP, &["peer-id", "watch", "every"])? else { return Ok(ExitCode::SUCCESS) };
    let every = given.every.unwrap_or(1);
    if every == 0 {
        return Err(Usage::new("--every: expected a second or more, got 0").into());
    }
    let mut device = given.device("stats")?;
    let mut before = peers(&mut device, given.peer_id)?;
    if !given.watch {
        for peer in &before {
            print!("peer {}\n{}", peer.id, show::Named(&show::counters(peer)));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let stop = Stop::on_signal()?;
    for line in 0u64.. {
        if line.is_multiple_of(20) {
            println!("{}", show::WATCH_HEAD);
        }
        if stop.within(Duration::from_secs(every.into()))? {
            break;
        }
        let now = peers(&mut device, given.peer_id)?;
        println!("{}", show::watch_line(&before, &now, every));
        before = now;
    }
    Ok(ExitCode::SUCCESS)
}

/// `drops`.
pub fn drops(options: Options) -> Result<ExitCode> {
    const HELP: &str = "\
usage: dco-cli-linux drops DEVICE [--peer-id N]

Prints why packets were dropped, and how many: all of the device's since it was made, and of each peer those that could be told to be
its own. Only our module counts them; others are refused.

  --peer-id N         of this peer only

example:
  dco-cli-linux drops dco0";
    let Some(given) = Given::take(options, HELP, &["peer-id"])? else { return Ok(ExitCode::SUCCESS) };
    let mut device = given.device("drops")?;
    let name = device.link.name.clone();
    let Some(all) = ethtool::statistics(&name)? else {
        bail!("{name}: expected a device that counts its drops by reason, but its module (the C one?) does not");
    };
    if given.peer_id.is_none() {
        println!("device {name}");
        all.iter().filter(|(_, count)| *count != 0).for_each(|(reason, count)| println!("{reason} {count}"));
    }
    let peers = match given.peer_id {
        Some(id) => vec![device.peer(id)?],
        None => device.peers()?,
    };
    for peer in &peers {
        print!("peer {}\n{}", peer.id, show::drops(peer).unwrap_or_default());
    }
    Ok(ExitCode::SUCCESS)
}

/// `events`.
pub fn events(options: Options) -> Result<ExitCode> {
    const HELP: &str = "\
usage: dco-cli-linux events [DEVICE] [--family ovpn|ovpn-dco-v2]

Prints what the module tells of, a line each, until Ctrl-C: peers that ended and why; of family ovpn also peers that send from elsewhere,
and keys that are nearly used up. Events go to the namespace of the peer's socket (ovpn) or of the device (ovpn-dco-v2).

  --family NAME       which to listen to (default: the device's, or the first that is there)

examples:
  dco-cli-linux events
  dco-cli-linux events tun0";
    let Some(given) = Given::take(options, HELP, &["family"])? else { return Ok(ExitCode::SUCCESS) };
    let (family, only) = match given.words.as_slice() {
        [] => (Family::choose(given.family)?, None),
        _ => {
            let device = given.device("events")?;
            (device.family, Some(device.link.index))
        }
    };
    let stop = Stop::on_signal()?;
    let told = family.events()?;
    println!("listening to family {}; Ctrl-C ends it", family.interface);
    loop {
        let [stopped, heard] = wait([Until::Readable(stop.as_fd()), Until::Readable(told.as_fd())], None)?;
        if stopped {
            return Ok(ExitCode::SUCCESS);
        }
        if !heard {
            continue;
        }
        match events_of(&family, &told) {
            Ok(events) => {
                for event in events.iter().filter(|event| only.is_none_or(|index| index == event.ifindex)) {
                    println!("device {} peer {} {}", event.ifindex, event.peer, event.what);
                }
            }
            // What was lost is lost, what comes is told.
            Err(error) => eprintln!("dco-cli-linux: {error:#}"),
        }
    }
}

/// `device`.
pub fn device(mut options: Options) -> Result<ExitCode> {
    const HELP: &str = "\
usage: dco-cli-linux device list
       dco-cli-linux device add NAME [--mode p2p|mp] [--source-check on|off] [--family ovpn|ovpn-dco-v2]
       dco-cli-linux device set NAME --source-check on|off
       dco-cli-linux device del NAME

Lists, makes, changes and removes devices. One that OpenVPN uses is not to be removed before it ends.

  --mode M            p2p: one peer (default); mp: many, as a server has
  --source-check S    whether packets from a peer need a source address that is routed to it (our module; mp)
  --family NAME       default: the first that is there

examples:
  dco-cli-linux device add dco0 --mode mp
  dco-cli-linux device list";
    let Some(what) = options.word("list, add, set or del")? else {
        println!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    };
    let allowed: &[&str] = match what.as_str() {
        "add" => &["mode", "source-check", "family"],
        "set" => &["source-check"],
        _ => &[],
    };
    let Some(given) = Given::take(options, HELP, allowed)? else { return Ok(ExitCode::SUCCESS) };
    match what.as_str() {
        "list" => {
            let [] = given.words("device", "no more words")?;
            link::list()?.iter().for_each(|link| println!("{}", describe(link)));
        }
        "add" => {
            let [name] = given.words("device", "a name")?;
            let name: Name = name.parse().map_err(Usage::new)?;
            let family = Family::choose(given.family)?;
            let mode = given.mode.unwrap_or(Mode::PointToPoint);
            let link = link::create(&name, family.interface, mode, given.source_check)?;
            println!("{}", describe(&link));
        }
        "set" => {
            let device = given.device("device")?;
            let Some(on) = given.source_check else {
                return Err(Usage::new("device set: expected --source-check on|off; see --help").into());
            };
            link::set_source_check(&device.link, on)?;
        }
        "del" => link::delete(&given.device("device")?.link)?,
        other => return Err(Usage::new(format!("device: expected list, add, set or del, got {other:?}")).into()),
    }
    Ok(ExitCode::SUCCESS)
}

fn describe(link: &Link) -> String {
    let mode = match link.mode {
        Some(0) => " mode p2p",
        Some(1) => " mode mp",
        _ => "",
    };
    let check = match link.source_check {
        Some(true) => " source-check on",
        Some(false) => " source-check off",
        None => "",
    };
    let family = link.interface().map_or("none", Interface::family);
    let mtu = link.mtu.unwrap_or_default();
    let state = if link.up { "up" } else { "down" };
    format!("{} index {} family {family}{mode}{check} mtu {mtu} {state}", link.name, link.index)
}

/// `peer`.
pub fn peer(mut options: Options) -> Result<ExitCode> {
    const HELP: &str = "\
usage: dco-cli-linux peer get DEVICE [--peer-id N]
       dco-cli-linux peer set DEVICE [--peer-id N] [--keepalive I,T] [--mss N] [--remote IP:PORT]
       dco-cli-linux peer del DEVICE [--peer-id N]

Shows, changes and removes peers. A peer lives no longer than its socket, so that it is made by `dco-cli-linux tunnel`.

  --peer-id N         the peer (default 0; get: all)
  --keepalive I,T     ping after I seconds of silence, give up after T; 0,0 for neither
  --mss N             lower TCP's MSS to N; 0 not to (our module)
  --remote IP:PORT    over UDP: the other end (family ovpn)

examples:
  dco-cli-linux peer get dco0
  dco-cli-linux peer set dco0 --keepalive 10,60 --mss 1300";
    let Some(what) = options.word("get, set or del")? else {
        println!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    };
    let allowed: &[&str] = match what.as_str() {
        "set" => &["peer-id", "keepalive", "mss", "remote"],
        _ => &["peer-id"],
    };
    let Some(given) = Given::take(options, HELP, allowed)? else { return Ok(ExitCode::SUCCESS) };
    let id = given.peer_id.unwrap_or(0);
    match what.as_str() {
        "get" => {
            let mut device = given.device("peer")?;
            peers(&mut device, given.peer_id)?.iter().for_each(|peer| print!("{}", show::peer(peer)));
        }
        "set" if given.settings == Settings::default() => {
            return Err(Usage::new("peer set: expected --keepalive, --mss or --remote; see --help").into());
        }
        "set" => given.device("peer")?.set_peer(id, given.settings)?,
        "del" => given.device("peer")?.del_peer(id)?,
        other => return Err(Usage::new(format!("peer: expected get, set or del, got {other:?}")).into()),
    }
    Ok(ExitCode::SUCCESS)
}

/// `key`.
pub fn key(mut options: Options) -> Result<ExitCode> {
    const HELP: &str = "\
usage: dco-cli-linux key new DEVICE --key FILE|HEX --direction 0|1 [--cipher NAME] [--epoch] [--slot S] [--key-id N] [--peer-id N]
       dco-cli-linux key get DEVICE [--slot S] [--peer-id N]
       dco-cli-linux key swap DEVICE [--peer-id N]
       dco-cli-linux key del DEVICE --slot S [--peer-id N]

Installs, shows, exchanges and removes keys. The primary one is sent with; packets are received with both.

  --key FILE|HEX      a static key: a file of `openvpn --genkey secret FILE`, or its 512 digits (which other users may see in ps)
  --direction 0|1     which half of the key is sent with
  --cipher NAME       aes-128-gcm, aes-192-gcm, aes-256-gcm (default), chacha20-poly1305
  --epoch             derive epoch keys from it (our module, built with EPOCH=1; family ovpn)
  --slot S            primary or secondary (new: secondary; get: both)
  --key-id N          in packets, 0 to 7 (default 1)
  --peer-id N         the peer (default 0)

`get` is of family ovpn only; nobody gives key bytes back.

examples:
  dco-cli-linux key new dco0 --key next.key --direction 0 --key-id 1
  dco-cli-linux key swap dco0";
    let Some(what) = options.word("new, get, swap or del")? else {
        println!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    };
    let allowed: &[&str] = match what.as_str() {
        "new" => &["key", "direction", "cipher", "epoch", "slot", "key-id", "peer-id"],
        "swap" => &["peer-id"],
        _ => &["slot", "peer-id"],
    };
    let Some(given) = Given::take(options, HELP, allowed)? else { return Ok(ExitCode::SUCCESS) };
    let peer = given.peer_id.unwrap_or(0);
    match what.as_str() {
        "new" => {
            let (Some(key), Some(direction)) = (&given.key, given.direction) else {
                return Err(Usage::new("key new: expected --key and --direction; see --help").into());
            };
            let key = StaticKey::load(key, given.cipher.unwrap_or(Cipher::Aes256), direction)?;
            let slot = given.slot.unwrap_or(Slot::Secondary);
            let mut device = given.device("key")?;
            device.new_key(peer, slot, given.key_id.unwrap_or(1), &key, given.epoch)?;
        }
        "get" => {
            let mut device = given.device("key")?;
            for slot in given.slot.map_or(vec![Slot::Primary, Slot::Secondary], |slot| vec![slot]) {
                let key = match device.key(peer, slot) {
                    // Both were asked for, and there need not be two.
                    Err(error) if given.slot.is_none() && crate::failure::refused_with(&error, 2) => continue,
                    key => key?,
                };
                let cipher = match key.cipher {
                    1 => "AES-GCM".to_owned(),
                    2 => Cipher::ChaCha20.name().to_owned(),
                    other => format!("cipher {other}"),
                };
                let slot = if slot == Slot::Primary { "primary" } else { "secondary" };
                let epochs = match key.epochs {
                    Some((send, receive)) => format!(" epochs: sent {send}, received {receive}"),
                    None => String::new(),
                };
                println!("{slot} key-id {} {cipher}{epochs}", key.id);
            }
        }
        "swap" => given.device("key")?.swap_keys(peer)?,
        "del" => {
            let Some(slot) = given.slot else {
                return Err(Usage::new("key del: expected --slot; see --help").into());
            };
            given.device("key")?.del_key(peer, slot)?;
        }
        other => return Err(Usage::new(format!("key: expected new, get, swap or del, got {other:?}")).into()),
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// None of them gets so far as to ask the kernel.
    #[test]
    fn wrong_words_are_wrong_usage() {
        let said = |command: fn(Options) -> Result<ExitCode>, words: &[&str]| {
            command(Options::from_words(words)).expect_err("wrong usage")
        };
        for error in [
            said(version, &["word"]),
            said(version, &["--family", "ovpn-dco"]),
            said(stats, &[]),
            said(stats, &["a", "b"]),
            said(stats, &["dco0", "--every", "0"]),
            said(stats, &["dco0", "--mss", "5"]),
            said(drops, &["--watch"]),
            said(device, &[]),
            said(device, &["add", "a/b"]),
            said(device, &["paint", "dco0"]),
            said(peer, &["set", "dco0"]),
            said(peer, &["get", "dco0", "--mss", "5"]),
            said(key, &["new", "dco0", "--direction", "0"]),
            said(key, &["del", "dco0"]),
        ] {
            assert!(error.is::<Usage>(), "{error}");
        }
    }
}
