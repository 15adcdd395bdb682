//! What ovpn-dco-win's tracker and its rig tell of, as a server: a case each. `defects/` brings each back.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use dco_uapi::Ioctl;
use zerocopy::IntoBytes;

use super::{USERSPACE, prefixed, quiet_client};
use crate::conform::Bench;
use crate::conform::traffic::reaches;
use crate::device::{ADAPTER, Client, Device, Event, PROMPT, PeerSettings, READ_LENGTH, Slot};
use crate::far::{DRIVER, DataKey, Far, between};
use crate::join::joined;
use crate::key::{Cipher, StaticKey};
use crate::status::NtStatus;
use crate::tunnel::wait_for_queue;

/// A reason of DEL_PEER.
const EXPIRED: i32 = 2;

fn serving(bench: &Bench<'_>) -> Result<(Device, SocketAddr)> {
    let device = Device::open(bench.target, ADAPTER)?;
    device.set_mode_server()?;
    let at = device.listen((Ipv4Addr::LOCALHOST, 0).into(), false)?;
    wait_for_queue(&device, &Far::of(at)?)?;
    Ok((device, at))
}

/// A client that sends.
struct Guest {
    far: Far,
    key: DataKey,
    vpn: Ipv4Addr,
    sent: u32,
}

impl Guest {
    fn join(device: &Device, at: SocketAddr, id: i32) -> Result<Self> {
        let [.., high, low] = id.to_be_bytes();
        let (far, vpn) = (Far::of(at)?, Ipv4Addr::new(10, 78, high, low));
        device.add_peer(&Client { id, remote: far.address()?, vpn4: Some(vpn), vpn6: None })?;
        let key = StaticKey::of_test(id.cast_unsigned().into(), Cipher::ALL[id as usize % 4], DRIVER);
        device.new_key(&key, Slot::Primary, 0, id.cast_unsigned())?;
        Ok(Self { far, key: DataKey::opposite(&key, 0, id.cast_unsigned())?, vpn, sent: 0 })
    }

    fn send(&mut self, source: IpAddr) -> Result<()> {
        self.sent += 1;
        self.far.send(&self.key.seal(self.sent, &between(source, [10, 77, 0, 1].into(), 200, self.sent))?)
    }
}

/// #140, CVE-2026-82325: a peer that was refused for its second address was left in the table by its first, and freed.
pub fn refused_peers(bench: &Bench<'_>) -> Result<String> {
    const ROUNDS: i32 = 200;
    let (device, at) = serving(bench)?;
    let mut guest = Guest::join(&device, at, 1)?;
    for n in 0..ROUNDS {
        // All of it is free but for one address, which comes first, second or last in the table's order.
        let own = quiet_client(100 + n);
        let refused = match n % 2 {
            0 => Client { vpn4: Some(guest.vpn), ..own },
            _ => Client { remote: guest.far.address()?, ..own },
        };
        let status = device.ioctl(Ioctl::MpNewPeer.code(), refused.request().as_bytes(), 0)?.status;
        ensure!(status == NtStatus::NO_MEMORY, "expected NO_MEMORY, got {status}");
        // Who is there keeps its names.
        guest.send(guest.vpn.into())?;
        // Nothing of the refused one is taken: another peer may have all of it, under another id or its own.
        device.add_peer(&Client { id: 1000 + n, ..own })?;
        device.del_client(1000 + n)?;
        device.add_peer(&own)?;
        device.del_client(own.id)?;
    }
    let expected = i64::from(ROUNDS) * 200;
    reaches(&device, "TunBytesReceived", expected, || Ok(device.stats()?.0.tun_bytes_received.get()))?;
    device.close()?;
    Ok(format!("{ROUNDS} refused peers"))
}

/// #143: a peer's networks stayed in the trie, or went twice, when it was deleted while packets were routed by them.
pub fn networks_under_traffic(bench: &Bench<'_>) -> Result<String> {
    const ROUNDS: u8 = 60;
    const NETWORKS: u8 = 20;
    let (device, at) = serving(bench)?;
    let mut stays = Guest::join(&device, at, 1)?;
    let behind: IpAddr = [172, 16, 0, 9].into();
    device.add_iroute([172, 16, 0, 0].into(), 12, 1)?;
    let before = device.stats()?.0.tun_bytes_received.get();
    for round in 0..ROUNDS {
        let id = 2 + i32::from(round);
        let mut goes = Guest::join(&device, at, id)?;
        for n in 0..NETWORKS {
            device.add_iroute([172, 16, n, 0].into(), 24, id)?;
        }
        let done = AtomicBool::new(false);
        thread::scope(|scope| -> Result<()> {
            let floods = scope.spawn(|| -> Result<()> {
                let mut n = 0;
                while !done.load(Ordering::Acquire) {
                    n += 1;
                    goes.send([172, 16, n % NETWORKS, 9].into())?;
                }
                Ok(())
            });
            // It has to have begun.
            let started = reaches_some(&device, id);
            let deleted = device.del_client(id);
            done.store(true, Ordering::Release);
            joined(floods).and(started).and(deleted)
        })?;
        // They are the first one's again, by its longer way round.
        let dropped = wrong_sources(&device)?;
        stays.send(behind)?;
        let stats = device.client_stats(1)?.vpn_rx_bytes.get();
        let deadline = Instant::now() + PROMPT;
        while device.client_stats(1)?.vpn_rx_bytes.get() == stats && stats < i64::from(round + 1) * 200 {
            ensure!(Instant::now() < deadline, "expected a packet from {behind} to be the first peer's");
        }
        ensure!(wrong_sources(&device)? == dropped, "expected {behind} to be the first peer's");
        for n in 0..NETWORKS {
            let again = super::route([172, 16, n, 0], 24, -1);
            let status = device.ioctl(Ioctl::MpDelIroute.code(), &again, 0)?.status;
            ensure!(status == NtStatus::NOT_FOUND, "172.16.{n}.0/24: expected NOT_FOUND, got {status}");
        }
    }
    ensure!(device.stats()?.0.tun_bytes_received.get() > before, "expected packets to pass");
    device.close()?;
    Ok(format!("{ROUNDS} peers with {NETWORKS} networks each"))
}

fn wrong_sources(device: &Device) -> Result<i64> {
    let found = device.drops()?.into_iter().find(|(name, _)| name == "RxWrongSource");
    found.map(|(_, count)| count).context("expected the drop reason RxWrongSource")
}

/// Waits until a peer's packets are opened.
fn reaches_some(device: &Device, id: i32) -> Result<()> {
    let deadline = Instant::now() + PROMPT;
    while device.client_stats(id)?.vpn_rx_bytes.get() == 0 {
        ensure!(Instant::now() < deadline, "expected packets of peer {id} within {PROMPT:?}");
    }
    Ok(())
}

/// #141, #146: the keepalive timer used a peer that was being deleted, or deleted one that was used. Peers fall silent together, while pings to
/// them are due; those that userspace deletes as the first expires go once all the same.
pub fn expiry_against_deletion(bench: &Bench<'_>) -> Result<String> {
    const PEERS: i32 = 150;
    const ROUNDS: i32 = 3;
    let (device, at) = serving(bench)?;
    let mut counts = [0; 2];
    for _ in 0..ROUNDS {
        // The networks hold what has to go with them.
        let mut guests = Vec::new();
        for id in 1..=PEERS {
            guests.push(Guest::join(&device, at, id)?);
            device.add_iroute([172, 16, id as u8, 0].into(), 24, id)?;
            let settings = PeerSettings { keepalive_interval: Some(1), keepalive_timeout: Some(1), mss: None };
            device.set_client(id, settings)?;
        }
        let events = (0..PEERS).map(|_| device.notify_event()).collect::<Result<Vec<_>>>()?;
        let mut told = vec![None; PEERS as usize + 1];
        let mut deleted = vec![false; PEERS as usize + 1];
        thread::scope(|scope| -> Result<()> {
            // One after the other, so that the driver's looks fall between two of them, or into one.
            let deletes = scope.spawn(|| {
                for id in (1..=PEERS).rev() {
                    let status = device.ioctl(Ioctl::MpDelPeer.code(), id.as_bytes(), 0)?.status;
                    ensure!(
                        [NtStatus::SUCCESS, NtStatus::NOT_FOUND].contains(&status),
                        "MP_DEL_PEER: expected SUCCESS or NOT_FOUND, got {status}"
                    );
                    if let Some(deleted) = deleted.get_mut(id as usize) {
                        *deleted = status == NtStatus::SUCCESS;
                    }
                    thread::sleep(Duration::from_millis(15));
                }
                Ok(())
            });
            let listened = events.into_iter().enumerate().try_for_each(|(n, mut event)| {
                let came = event.wait(PROMPT)?.with_context(|| format!("event {n} of {PEERS}"))?;
                let Event::DelPeer(id, reason) = Event::from_bytes(&came.output)? else {
                    bail!("expected ends only, got {came:?}")
                };
                let place = told.get_mut(id as usize).context("an id that was given")?;
                ensure!(place.replace(reason).is_none(), "peer {id} was told of twice");
                Ok(())
            });
            joined(deletes).and(listened)
        })?;
        for (id, (told, deleted)) in told.iter().zip(&deleted).enumerate().skip(1) {
            let expected = if *deleted { USERSPACE } else { EXPIRED };
            ensure!(*told == Some(expected), "peer {id}: expected to be told of reason {expected}, got {told:?}");
            counts[usize::from(*deleted)] += 1;
        }
        ensure!(device.all_client_stats()?.is_empty(), "expected nobody left");
    }
    device.close()?;
    Ok(format!("{} expired, {} deleted first", counts[0], counts[1]))
}

/// The rig's selfsend: a send held a lock that receiving takes, and what is sent to the driver's own address comes back within the send. Peers
/// come and go meanwhile, one of them at that very address.
pub fn own_address(bench: &Bench<'_>) -> Result<String> {
    const ROUNDS: i32 = 200;
    let (device, at) = serving(bench)?;
    let (stop, written, came) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| -> Result<()> {
        let writer = || -> Result<()> {
            let allowed = [NtStatus::SUCCESS, NtStatus::INSUFFICIENT_RESOURCES];
            while !stop.load(Ordering::Relaxed) {
                let status = device.write(&prefixed(at, b"\x38self"))?.status;
                ensure!(allowed.contains(&status), "write: expected one of {allowed:?}, got {status}");
                written.fetch_add(u64::from(status == NtStatus::SUCCESS), Ordering::Relaxed);
            }
            Ok(())
        };
        let reader = || -> Result<()> {
            while !stop.load(Ordering::Relaxed) {
                let mut read = device.read(READ_LENGTH)?;
                let ended = loop {
                    match read.wait(Duration::from_millis(10))? {
                        Some(ended) => break ended,
                        None if stop.load(Ordering::Relaxed) => drop(read.cancel()?),
                        None => {}
                    }
                };
                if ended.status == NtStatus::SUCCESS {
                    ensure!(ended.output == prefixed(at, b"\x38self"), "expected what was sent, got {ended:x?}");
                    came.fetch_add(1, Ordering::Relaxed);
                }
            }
            Ok(())
        };
        let threads = [scope.spawn(writer), scope.spawn(writer), scope.spawn(reader)];
        let lived = (0..ROUNDS).try_for_each(|n| -> Result<()> {
            let id = 1 + n % 5;
            device.add_peer(&Client { remote: at, ..quiet_client(id) })?;
            let key = StaticKey::of_test(n as u64, Cipher::Aes128, DRIVER);
            device.new_key(&key, Slot::Primary, 0, id.cast_unsigned())?;
            device.set_client(id, PeerSettings { keepalive_interval: Some(1), ..PeerSettings::default() })?;
            let (before, deadline) = (came.load(Ordering::Relaxed), Instant::now() + PROMPT);
            while came.load(Ordering::Relaxed) == before {
                ensure!(Instant::now() < deadline, "expected a packet of the driver's own to come back");
                thread::yield_now();
            }
            device.del_client(id)
        });
        stop.store(true, Ordering::Relaxed);
        threads.into_iter().map(joined).fold(lived, |lived, thread| thread.and(lived))
    })?;
    device.close()?;
    let [written, came] = [written, came].map(AtomicU64::into_inner);
    Ok(format!("{ROUNDS} peers, {written} writes, {came} read"))
}
