//! As many peers as one asks for, each with names and keys, some of them clients that send: how long it takes, and what memory.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use dco_uapi::{Ioctl, raw};
use zerocopy::IntoBytes;

use super::Guest;
use crate::commands::query_lab;
use crate::device::{ADAPTER, Begun, Client, Device, Slot};
use crate::far::DRIVER;
use crate::key::{self, Cipher, StaticKey};
use crate::rig::{Checks, Machine, Rig, Side, Transport};
use crate::tunnel::wait_for_queue;

/// Requests under way at once.
const TOGETHER: i32 = 256;

/// How long a request may take that stands behind so many, and behind the driver's looks at all peers.
const PATIENCE: Duration = Duration::from_secs(120);

/// Peers that send.
const GUESTS: i32 = 64;

/// A server of so many peers, on a machine that has just been started.
pub struct Crowd<'a> {
    rig: &'a Rig,
    machine: &'a Machine,
    device: Device,
    peers: i32,
    guests: Vec<Guest>,
}

/// All of it but the unload. From 1000 peers up to what four bytes of a network hold.
pub fn check_all(rig: &Rig, machine: &Machine, peers: i32, checks: &mut Checks) -> Result<()> {
    let device = Device::open(&machine.lab, ADAPTER)?;
    device.set_mode_server()?;
    let SocketAddr::V4(wire) = rig.wire(Side::A, Transport::V4) else { bail!("expected an IPv4 address") };
    device.listen((Ipv6Addr::UNSPECIFIED, wire.port()).into(), false)?;
    rig.configure_some(&[Side::A])?;
    for (version, network) in [("-4", "10.96.0.0/11"), ("-6", "fd77::/16")] {
        let tun = rig.tun();
        let route = || Ok(Command::new("ip").args([version, "route", "add", network, "dev", &tun]).status()?);
        let status = rig.within(Side::A, route)?;
        ensure!(status.success(), "a route to {network}: ip ended with {status}");
    }
    wait_for_queue(&device, &Guest::far(rig, 0)?)?;
    let mut crowd = Crowd { rig, machine, device, peers, guests: Vec::new() };
    checks.check("peers", || crowd.come());
    checks.check("keys", || crowd.keys());
    checks.check("echoes", || crowd.echoes());
    checks.check("counters of all", || crowd.counters());
    checks.check("rekeys", || crowd.rekeys());
    checks.check("some go", || crowd.some_go());
    checks.check("echoes after that", || crowd.echoes());
    checks.check("close", || crowd.close());
    Ok(())
}

fn vpn(id: i32) -> [IpAddr; 2] {
    let [_, a, b, c] = id.to_be_bytes();
    let v4 = Ipv4Addr::new(10, 96 + a, b, c);
    [v4.into(), Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, u16::from(a), u16::from_be_bytes([b, c])).into()]
}

impl Crowd<'_> {
    /// Whether this id is one of those that send, who are spread evenly.
    fn is_guest(&self, id: i32) -> bool {
        id % (self.peers / GUESTS) == 1 && id / (self.peers / GUESTS) < GUESTS
    }

    /// A request about each of those that do not send, many at once; gives how many.
    fn each(&self, ids: impl Iterator<Item = i32>, request: impl Fn(i32) -> Result<(Ioctl, Vec<u8>)>) -> Result<i32> {
        let (mut count, mut begun) = (0, Vec::<Begun>::new());
        for id in ids.filter(|&id| !self.is_guest(id)) {
            let (ioctl, input) = request(id)?;
            begun.push(self.device.begin(ioctl, &input, 0)?);
            count += 1;
            if begun.len() as i32 == TOGETHER {
                begun.drain(..).try_for_each(|begun| begun.end_within(PATIENCE).map(drop))?;
            }
        }
        begun.into_iter().try_for_each(|begun| begun.end_within(PATIENCE).map(drop))?;
        Ok(count)
    }

    /// Bytes of the driver's pool, and of the lab's memory.
    fn memory(&self) -> Result<[u64; 2]> {
        let pool = query_lab(&self.machine.lab, "pool")?;
        let bytes = pool.lines().find_map(|line| line.strip_prefix("bytes ")).context("QUERY pool: bytes")?;
        Ok([bytes.trim().parse()?, self.machine.resident()?])
    }

    fn grown(&self, [pool, all]: [u64; 2]) -> Result<String> {
        let now = self.memory()?;
        let each = |bytes: u64| bytes / self.peers.unsigned_abs().max(1) as u64;
        let (pool, all) = (now[0].saturating_sub(pool), now[1].saturating_sub(all));
        Ok(format!(
            "{} bytes of pool each; the lab's process grew by {} MiB ({} bytes each)",
            each(pool),
            all >> 20,
            each(all)
        ))
    }

    fn come(&mut self) -> Result<String> {
        let (before, began) = (self.memory()?, Instant::now());
        self.each(1..self.peers + 1, |id| {
            let [IpAddr::V4(vpn4), IpAddr::V6(vpn6)] = vpn(id) else { bail!("expected an address of each version") };
            let [_, a, b, c] = id.to_be_bytes();
            let remote = (Ipv4Addr::new(192, a, b, c), 1194).into();
            let client = Client { id, remote, vpn4: Some(vpn4), vpn6: Some(vpn6) };
            Ok((Ioctl::MpNewPeer, client.request().as_bytes().to_vec()))
        })?;
        let guests: Vec<i32> = (1..=self.peers).filter(|&id| self.is_guest(id)).collect();
        for id in guests {
            self.guests.push(Guest::join(self.rig, &self.device, id, Some(vpn(id)))?);
        }
        ensure!(self.guests.len() as i32 == GUESTS, "expected {GUESTS} that send, got {}", self.guests.len());
        let rate = f64::from(self.peers) / began.elapsed().as_secs_f64();
        Ok(format!("{} peers, {rate:.0} a second; {}", self.peers, self.grown(before)?))
    }

    fn install(&self, ids: impl Iterator<Item = i32>, slot: Slot) -> Result<i32> {
        self.each(ids, |id| {
            let secret = StaticKey::of_test(id as u64, Cipher::ALL[id as usize % 4], DRIVER);
            let request = key::request(&secret, slot, 0, id.cast_unsigned());
            Ok((Ioctl::NewKey, request.as_bytes().to_vec()))
        })
    }

    fn keys(&self) -> Result<String> {
        let (before, began) = (self.memory()?, Instant::now());
        let count = self.install(1..self.peers + 1, Slot::Primary)?;
        let rate = f64::from(count) / began.elapsed().as_secs_f64();
        Ok(format!("{count} keys, {rate:.0} a second; {}", self.grown(before)?))
    }

    fn echoes(&mut self) -> Result<String> {
        let inside = [Transport::V4, Transport::V6].map(|inner| self.rig.tunnel(Side::A, inner));
        let mut count = 0;
        for round in 0..10 {
            for guest in &mut self.guests {
                let version = round % 2;
                count += 1;
                guest.pings(guest.vpn[version], inside[version], 200, count)?;
            }
        }
        Ok(format!("{count}, each answered"))
    }

    fn counters(&self) -> Result<String> {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let began = Instant::now();
            let mut all = self.device.all_client_stats()?;
            let elapsed = began.elapsed();
            all.sort_by_key(|peer| peer.peer_id.get());
            let ids = all.iter().map(|peer| peer.peer_id.get());
            ensure!(ids.eq(1..=self.peers), "expected each of {} peers once, got {} records", self.peers, all.len());
            let counted = all.iter().try_for_each(|peer| self.expect_counted(peer));
            match counted {
                // What a batch has carried is counted when it ends.
                Err(_) if Instant::now() < deadline => {}
                counted => return counted.map(|()| format!("{} records in {elapsed:.0?}", all.len())),
            }
        }
    }

    fn expect_counted(&self, peer: &raw::PeerStats) -> Result<()> {
        match self.guests.iter().find(|guest| guest.id == peer.peer_id.get()) {
            Some(guest) => guest.expect_counted(peer),
            None => {
                let all = [&peer.link_rx_bytes, &peer.link_tx_bytes, &peer.vpn_rx_bytes, &peer.vpn_tx_bytes];
                ensure!(all.iter().all(|count| count.get() == 0), "peer {}: expected nothing", peer.peer_id.get());
                Ok(())
            }
        }
    }

    fn rekeys(&self) -> Result<String> {
        let began = Instant::now();
        let ids = || (1..=self.peers).step_by(10);
        let count = self.install(ids(), Slot::Secondary)?;
        self.each(ids(), |id| Ok((Ioctl::MpSwapKeys, id.as_bytes().to_vec())))?;
        let rate = f64::from(count) / began.elapsed().as_secs_f64();
        Ok(format!("{count} peers, {rate:.0} a second"))
    }

    fn some_go(&self) -> Result<String> {
        let began = Instant::now();
        let count = self.each((1..=self.peers).step_by(10), |id| Ok((Ioctl::MpDelPeer, id.as_bytes().to_vec())))?;
        let rate = f64::from(count) / began.elapsed().as_secs_f64();
        let left = self.device.all_client_stats()?.len() as i32;
        ensure!(left == self.peers - count, "expected {} peers left, got {left}", self.peers - count);
        Ok(format!("{count} peers, {rate:.0} a second"))
    }

    fn close(&self) -> Result<String> {
        self.device.close_beside()?;
        ensure!(!self.machine.link_is_up()?, "expected the link down after close, it is up");
        let [pool, all] = self.memory()?;
        Ok(format!("{} KiB of pool left, {} MiB of the lab's", pool >> 10, all >> 20))
    }
}
