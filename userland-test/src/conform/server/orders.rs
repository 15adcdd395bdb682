//! Every order of a server's calls, against a small model of what a handle promises: as [`crate::conform::orders`], whose sequence this
//! follows, has it point to point.
//!
//! A server's handle is made by three calls, so there is one of the sequence's that makes them all. There are two peers, and one that wants
//! the first one's VPN address; a network, which is the one's, the other's or nobody's; a key of each format. A packet of the first peer's,
//! sealed with the classic key, from behind it, shows whether all of that is so.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use dco_uapi::{Ioctl, raw};
use zerocopy::{FromBytes, IntoBytes};

use super::{USERSPACE, mode, route};
use crate::conform::orders::in_each_order;
use crate::conform::{Bench, cases};
use crate::device::{ADAPTER, Client, Device, Event, PROMPT, Slot};
use crate::far::{DRIVER, DataKey, Far, between};
use crate::key::{self, Cipher, StaticKey};
use crate::status::NtStatus;
use crate::targets::{Completion, Pending};

/// A call of a sequence; those that undo come first, for the reason that is given there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    Reopen,
    /// The handle is another one, a server's, with a socket and the first peer.
    Serve,
    Del,
    DelRoute,
    SetMode,
    Start,
    New(i32),
    /// A peer with the first one's address. Where it can be made, it goes at once.
    Rival,
    Key,
    Epoch,
    Swap,
    AddRoute(i32),
    Packet,
    Notify,
}

const CALLS: [Call; 16] = [
    Call::Reopen,
    Call::Serve,
    Call::Del,
    Call::DelRoute,
    Call::SetMode,
    Call::Start,
    Call::New(1),
    Call::New(2),
    Call::Rival,
    Call::Key,
    Call::Epoch,
    Call::Swap,
    Call::AddRoute(1),
    Call::AddRoute(2),
    Call::Packet,
    Call::Notify,
];

/// Events that wait for a request.
const EVENTS: usize = 1024;

/// A host behind a peer, in the network that both want.
const BEHIND: IpAddr = IpAddr::V4(Ipv4Addr::new(172, 16, 1, 9));

/// What is in a key slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Classic,
    Epoch,
}

/// What the handle promises, given what was called on it.
#[derive(Default)]
struct Model {
    server: bool,
    socket: bool,
    /// Primary and secondary key of each peer there is.
    peers: BTreeMap<i32, [Option<Key>; 2]>,
    /// Whose the network is.
    owner: Option<i32>,
    events: VecDeque<Event>,
}

/// What a packet of the first peer's comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Taken,
    Dropped(&'static str),
}

const FATES: [&str; 3] = ["RxUnknownPeer", "RxUnknownKey", "RxWrongSource"];

impl Model {
    fn status(&self, call: Call) -> NtStatus {
        let there = |id| self.peers.contains_key(&id);
        let or = |is: bool, otherwise| if is { NtStatus::SUCCESS } else { otherwise };
        match call {
            Call::SetMode => or(!self.server, NtStatus::ALREADY_INITIALIZED),
            // Not a matter of the mode.
            Call::Key | Call::Epoch => or(there(1), NtStatus::OBJECTID_NOT_FOUND),
            _ if !self.server => NtStatus::INVALID_DEVICE_STATE,
            Call::Del => or(there(1), NtStatus::NOT_FOUND),
            Call::DelRoute => or(self.owner.is_some(), NtStatus::NOT_FOUND),
            Call::Start => or(!self.socket, NtStatus::ALREADY_INITIALIZED),
            Call::New(_) | Call::Rival if !self.socket => NtStatus::INVALID_DEVICE_STATE,
            Call::New(id) => or(!there(id), NtStatus::OBJECTID_EXISTS),
            Call::Rival => or(!there(1), NtStatus::NO_MEMORY),
            Call::Swap => or(there(1), NtStatus::INVALID_DEVICE_REQUEST),
            Call::AddRoute(id) if !there(id) => NtStatus::NOT_FOUND,
            Call::AddRoute(id) => or(self.owner.is_none_or(|owner| owner == id), NtStatus::OBJECTID_EXISTS),
            Call::Reopen | Call::Serve | Call::Packet | Call::Notify => NtStatus::SUCCESS,
        }
    }

    /// What a call that succeeds changes, events apart.
    fn apply(&mut self, call: Call) {
        match call {
            Call::Del => {
                self.peers.remove(&1);
                self.owner = self.owner.filter(|&owner| owner != 1);
            }
            Call::DelRoute => self.owner = None,
            Call::SetMode => self.server = true,
            Call::Start => self.socket = true,
            Call::New(id) => drop(self.peers.insert(id, [None; 2])),
            Call::Key => self.set(0, Key::Classic),
            Call::Epoch => self.set(1, Key::Epoch),
            Call::Swap => {
                if let Some(slots) = self.peers.get_mut(&1) {
                    slots.swap(0, 1);
                }
            }
            Call::AddRoute(id) => self.owner = Some(id),
            Call::Reopen | Call::Serve | Call::Rival | Call::Packet | Call::Notify => {}
        }
    }

    fn set(&mut self, slot: usize, key: Key) {
        if let Some(slot) = self.peers.get_mut(&1).and_then(|slots| slots.get_mut(slot)) {
            *slot = Some(key);
        }
    }

    fn fate(&self) -> Fate {
        match self.peers.get(&1) {
            None => Fate::Dropped("RxUnknownPeer"),
            Some(slots) if !slots.contains(&Some(Key::Classic)) => Fate::Dropped("RxUnknownKey"),
            Some(_) if self.owner != Some(1) => Fate::Dropped("RxWrongSource"),
            Some(_) => Fate::Taken,
        }
    }
}

/// The device under test, and what it owes.
struct Run<'a> {
    bench: &'a Bench<'a>,
    device: Device,
    /// Where the server listens, if it does.
    at: Option<SocketAddr>,
    far: UdpEnd,
    requests: VecDeque<Box<dyn Pending>>,
    model: Model,
}

/// The first peer's end.
struct UdpEnd {
    far: Far,
    secret: StaticKey,
    key: DataKey,
    sent: u32,
}

/// Where the server listens.
const LISTEN: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 40413);

impl UdpEnd {
    fn new() -> Result<Self> {
        let secret = StaticKey::of_test(77, Cipher::Aes128, DRIVER);
        let key = DataKey::opposite(&secret, 0, 1)?;
        Ok(Self { far: Far::of(LISTEN.into())?, secret, key, sent: 0 })
    }

    /// Bytes of the inner packet.
    const LENGTH: usize = 60;

    fn send(&mut self) -> Result<()> {
        self.sent += 1;
        let inner = between(BEHIND, [10, 77, 0, 1].into(), Self::LENGTH, self.sent);
        self.far.send(&self.key.seal(self.sent, &inner)?)
    }
}

fn ended(mut pending: Box<dyn Pending>) -> Result<Completion> {
    pending.wait(PROMPT)?.with_context(|| format!("it still pends after {PROMPT:?}"))
}

fn expect(came: &Completion, status: NtStatus, information: usize) -> Result<()> {
    ensure!(
        came.status == status && came.information == information as u64 && !came.spilled,
        "expected {status} with {information} bytes, got {} with {}",
        came.status,
        came.information
    );
    Ok(())
}

impl Run<'_> {
    /// A request that ends as the model says.
    fn ioctl(&mut self, call: Call, ioctl: Ioctl, input: &[u8], output: usize) -> Result<()> {
        let status = self.model.status(call);
        let succeeds = status == NtStatus::SUCCESS;
        let came = self.device.ioctl(ioctl.code(), input, output)?;
        expect(&came, status, if succeeds { output } else { 0 })?;
        if succeeds {
            self.model.apply(call);
        }
        Ok(())
    }

    fn call(&mut self, call: Call) -> Result<()> {
        match call {
            Call::Reopen => self.reopen()?,
            Call::Serve => {
                self.reopen()?;
                [Call::SetMode, Call::Start, Call::New(1)].into_iter().try_for_each(|call| self.call(call))?;
            }
            Call::Del => {
                let there = self.model.peers.contains_key(&1);
                self.ioctl(call, Ioctl::MpDelPeer, &cases::peer_ref(1), 0)?;
                if there {
                    self.told(Event::DelPeer(1, USERSPACE))?;
                }
            }
            Call::DelRoute => self.ioctl(call, Ioctl::MpDelIroute, &network(-1), 0)?,
            Call::SetMode => self.ioctl(call, Ioctl::SetMode, &mode(1), 0)?,
            Call::Start => {
                let request = raw::MpStartVpn { listen_address: SocketAddr::from(LISTEN).into(), ipv6_only: 0.into() };
                self.ioctl(call, Ioctl::MpStartVpn, request.as_bytes(), size_of::<raw::MpStartVpn>())?;
                self.at = self.model.socket.then(|| LISTEN.into());
            }
            Call::New(1) => {
                let remote = self.far.far.address()?;
                self.ioctl(call, Ioctl::MpNewPeer, &new_peer(1, remote, 1), 0)?;
            }
            Call::New(id) => self.ioctl(call, Ioctl::MpNewPeer, &new_peer(id, ([127, 9, 0, 2], 9).into(), 2), 0)?,
            Call::Rival => {
                let made = self.model.status(call) == NtStatus::SUCCESS;
                self.ioctl(call, Ioctl::MpNewPeer, &new_peer(3, ([127, 9, 0, 3], 9).into(), 1), 0)?;
                if made {
                    self.device.del_client(3)?;
                    self.told(Event::DelPeer(3, USERSPACE))?;
                }
            }
            Call::Key => {
                let request = key::request(&self.far.secret, Slot::Primary, 0, 1);
                self.ioctl(call, Ioctl::NewKey, request.as_bytes(), 0)?;
            }
            Call::Epoch => {
                let request = key::epoch_request(&self.far.secret, Slot::Secondary, 1, 1);
                self.ioctl(call, Ioctl::NewKeyV2, request.as_bytes(), 0)?;
            }
            Call::Swap => self.ioctl(call, Ioctl::MpSwapKeys, &cases::peer_ref(1), 0)?,
            Call::AddRoute(id) => self.ioctl(call, Ioctl::MpAddIroute, &network(id), 0)?,
            Call::Packet => self.packet()?,
            Call::Notify => {
                let request = self.device.notify_event()?;
                match self.model.events.pop_front() {
                    Some(event) => told(request, event)?,
                    None => self.requests.push_back(request),
                }
            }
        }
        // None has ended that had no reason to.
        match self.requests.front_mut().map(|request| request.wait(Duration::ZERO)).transpose()?.flatten() {
            Some(came) => bail!("expected the oldest NOTIFY_EVENT to pend, it ended with {}", came.status),
            None => Ok(()),
        }
    }

    fn reopen(&mut self) -> Result<()> {
        self.device.close_beside()?;
        self.flushed()?;
        let up = self.bench.target.link_is_up()?;
        ensure!(up.is_none_or(|up| !up), "expected the link down after a close");
        self.device = Device::open(self.bench.target, ADAPTER)?;
        self.model = Model::default();
        self.at = None;
        Ok(())
    }

    fn flushed(&mut self) -> Result<()> {
        self.requests.drain(..).try_for_each(|request| expect(&ended(request)?, NtStatus::CANCELLED, 0))
    }

    /// The oldest request is told, or the event waits.
    fn told(&mut self, event: Event) -> Result<()> {
        match self.requests.pop_front() {
            Some(request) => told(request, event),
            None => {
                if self.model.events.len() < EVENTS {
                    self.model.events.push_back(event);
                }
                Ok(())
            }
        }
    }

    /// A packet of the first peer's, and what became of it; and who there is.
    fn packet(&mut self) -> Result<()> {
        let up = self.bench.target.link_is_up()?;
        ensure!(up.is_none_or(|up| up == self.model.server), "expected the link up: {}, got {up:?}", self.model.server);
        let all = self.device.ioctl(Ioctl::GetPeerStats.code(), &cases::peer_ref(-1), 1000)?;
        ensure!(all.status == NtStatus::SUCCESS, "GET_PEER_STATS: expected SUCCESS, got {}", all.status);
        let Ok(all) = <[raw::PeerStats]>::ref_from_bytes(&all.output) else { bail!("expected records of 40 bytes") };
        let mut ids: Vec<i32> = all.iter().map(|peer| peer.peer_id.get()).collect();
        ids.sort_unstable();
        ensure!(ids.iter().eq(self.model.peers.keys()), "expected the peers {:?}, got {ids:?}", self.model.peers);
        if self.at.is_none() {
            return Ok(());
        }
        let expected = self.model.fate();
        let before = self.fates()?;
        self.far.send()?;
        let (deadline, mut early) = (Instant::now() + PROMPT, before.early);
        loop {
            let now = self.fates()?;
            let changed: Vec<Fate> = now.changed(&before);
            match *changed {
                [one] if one == expected => return Ok(()),
                [] if now.early != early => {
                    // The receive queue starts some time after the link is up.
                    early = now.early;
                    self.far.send()?;
                }
                [] => ensure!(Instant::now() < deadline, "expected {expected:?} within {PROMPT:?}, nothing came of it"),
                _ => bail!("expected {expected:?}, got {changed:?}"),
            }
        }
    }

    fn fates(&self) -> Result<Fates> {
        let drops = self.device.drops()?;
        let count = |name: &str| {
            let found = drops.iter().find(|(found, _)| found == name);
            found.map(|(_, count)| *count).with_context(|| format!("expected the drop reason {name}"))
        };
        let mut dropped = [0; FATES.len()];
        for (dropped, name) in dropped.iter_mut().zip(FATES) {
            *dropped = count(name)?;
        }
        // Counted together with the drops of a batch, but asked for afterwards.
        let taken = self.device.stats()?.0.tun_bytes_received.get();
        Ok(Fates { taken, dropped, early: count("RxNoQueue")? })
    }
}

struct Fates {
    taken: i64,
    dropped: [i64; FATES.len()],
    early: i64,
}

impl Fates {
    fn changed(&self, before: &Self) -> Vec<Fate> {
        let dropped = FATES.into_iter().zip(self.dropped.iter().zip(before.dropped));
        let dropped = dropped.filter(|(_, (now, before))| *now != before).map(|(name, _)| Fate::Dropped(name));
        (self.taken == before.taken + UdpEnd::LENGTH as i64).then_some(Fate::Taken).into_iter().chain(dropped).collect()
    }
}

/// MP_NEW_PEER's input: id, where it is, the last number of its VPN address.
fn new_peer(id: i32, remote: SocketAddr, host: u8) -> Vec<u8> {
    Client { id, remote, vpn4: Some([10, 77, 0, host].into()), vpn6: None }.request().as_bytes().to_vec()
}

fn network(id: i32) -> Vec<u8> {
    route([172, 16, 1, 0], 24, id)
}

fn told(request: Box<dyn Pending>, event: Event) -> Result<()> {
    let came = ended(request)?;
    expect(&came, NtStatus::SUCCESS, size_of::<raw::NotifyEvent>())?;
    let told = Event::from_bytes(&came.output)?;
    ensure!(told == event, "expected {event:?}, got {told:?}");
    Ok(())
}

/// Runs the sequence.
pub fn every_order(bench: &Bench<'_>) -> Result<String> {
    let device = Device::open(bench.target, ADAPTER)?;
    let (far, model) = (UdpEnd::new()?, Model::default());
    let mut run = Run { bench, device, at: None, far, requests: VecDeque::new(), model };
    let done = in_each_order(&CALLS, bench.depth, Call::Reopen, |call| run.call(call))?;
    run.device.close_beside()?;
    run.flushed()?;
    Ok(done)
}

#[cfg(test)]
mod mock;

#[cfg(test)]
mod tests {
    use super::mock::{FAULTS, Fault, Mock};
    use super::*;

    fn run(fault: Fault) -> Result<String> {
        let mock = Mock::new(fault);
        let own = ([127, 0, 0, 1], 1).into();
        every_order(&Bench { target: &mock, own, depth: 4, seconds: Duration::ZERO })
    }

    #[test]
    fn a_device_that_keeps_its_promises_passes_and_each_broken_promise_is_found() {
        run(Fault::None).expect("all is as promised");
        for fault in FAULTS {
            assert!(run(fault).is_err(), "{fault:?}");
        }
    }
}
