//! Data packets, sealed and opened by a far end of the suite's own: what is taken, what is dropped and under which name, pings,
//! keepalive, rekeys under load, a link that outlives the peer.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::{Bench, Body, Case};
use crate::device::{ADAPTER, Device, PeerSettings, READ_LENGTH, Slot};
use crate::far::{DRIVER, DataKey, Far, OVERHEAD, PING, ipv4, ipv6};
use crate::key::{Cipher, StaticKey};
use crate::status::NtStatus;
use crate::targets::Pending;
use crate::tunnel::Tunnel;

/// How long a packet may take through loopback, and a counter to follow it.
pub(super) const SOON: Duration = Duration::from_secs(10);

/// The peer id in outgoing headers.
pub(super) const PEER: u32 = 0x00AB_CDEF;

/// The scenarios.
pub fn all() -> Vec<Case> {
    let case =
        |name: &str, run: fn(&Bench<'_>) -> Result<String>| Case { name: name.into(), body: Body::Run(Box::new(run)) };
    let mut all: Vec<Case> = [false, true]
        .into_iter()
        .flat_map(|v6| Cipher::ALL.map(|cipher| (v6, cipher)))
        .map(|(v6, cipher)| Case {
            name: format!("data: {} over IPv{}, every size class", cipher.name(), if v6 { 6 } else { 4 }),
            body: Body::Run(Box::new(move |bench| sizes(bench, v6, cipher))),
        })
        .collect();
    all.extend([
        case("data: replayed, late and impossible packet ids", replays),
        case("data: forged in every part", forgeries),
        case("data: key ids, slots and a wrong key", key_ids),
        case("keepalive: pings, sealed, counting up, to the right peer id", pings),
        case("keepalive: expiry ends a parked read", |bench| expiry(bench, true)),
        case("keepalive: expiry ends the next read where none is parked", |bench| expiry(bench, false)),
        case("keepalive: what arrives keeps the peer", kept),
        case("rekey: under load, none lost", rekey),
        case("persist-tun: the link outlives the peer, not the handle", persist_tun),
    ]);
    all
}

/// A tunnel between the driver and the suite.
pub(super) struct Link {
    pub(super) device: Device,
    pub(super) far: Far,
    key: DataKey,
}

impl Bench<'_> {
    /// Where the driver binds, on loopback.
    fn near(&self, v6: bool) -> SocketAddr {
        match v6 {
            false => (Ipv4Addr::LOCALHOST, self.own.port()).into(),
            true => (Ipv6Addr::LOCALHOST, self.own.port()).into(),
        }
    }

    pub(super) fn link(&self, v6: bool, cipher: Cipher, settings: Option<PeerSettings>) -> Result<Link> {
        let device = Device::open(self.target, ADAPTER)?;
        let far = Far::of(self.near(v6))?;
        let key = StaticKey::of_test(1, cipher, DRIVER);
        let tunnel = Tunnel { local: self.near(v6), remote: far.address()?, peer_id: PEER, key: &key, settings };
        tunnel.up(&device)?;
        Ok(Link { device, far, key: DataKey::opposite(&key, 0, PEER)? })
    }
}

impl Link {
    pub(super) fn drop_count(&self, name: &str) -> Result<i64> {
        let found = self.device.drops()?.into_iter().find(|(found, _)| found == name);
        found.map(|(_, count)| count).with_context(|| format!("expected the drop reason {name}, there is none"))
    }

    /// Bytes given to the adapter since the peer was made.
    pub(super) fn taken(&self) -> Result<i64> {
        Ok(self.device.stats()?.0.tun_bytes_received.get())
    }

    /// As [`reaches`].
    pub(super) fn reaches(&self, what: &str, expected: i64, count: impl Fn() -> Result<i64>) -> Result<()> {
        reaches(&self.device, what, expected, count)
    }

    /// Sends these, and expects all of them dropped for `reason`, and none given to the adapter.
    pub(super) fn refuses(&self, reason: &str, packets: &[Vec<u8>]) -> Result<()> {
        let (before, taken) = (self.drop_count(reason)?, self.taken()?);
        packets.iter().try_for_each(|packet| self.far.send(packet))?;
        self.reaches(reason, before + packets.len() as i64, || self.drop_count(reason))?;
        ensure!(self.taken()? == taken, "{reason}: expected nothing given to the adapter");
        Ok(())
    }

    /// Sends these, and expects all of them taken.
    pub(super) fn takes(&self, packets: &[Vec<u8>]) -> Result<()> {
        self.takes_with(OVERHEAD, packets)
    }

    /// The same for packets that grow by so many bytes.
    pub(super) fn takes_with(&self, overhead: usize, packets: &[Vec<u8>]) -> Result<()> {
        let before = self.taken()?;
        let bytes: usize = packets.iter().map(|packet| packet.len() - overhead).sum();
        packets.iter().try_for_each(|packet| self.far.send(packet))?;
        self.reaches("TunBytesReceived", before + bytes as i64, || self.taken())
    }

    pub(super) fn end(self) -> Result<()> {
        self.device.del_peer()?;
        self.device.close()
    }
}

/// Waits until a number is what it has to be; more than that is wrong at once.
pub(super) fn reaches(device: &Device, what: &str, expected: i64, count: impl Fn() -> Result<i64>) -> Result<()> {
    let deadline = Instant::now() + SOON;
    loop {
        let now = count()?;
        if now == expected {
            return Ok(());
        }
        if now > expected || Instant::now() > deadline {
            let drops: Vec<_> = device.drops()?.into_iter().filter(|(_, count)| *count != 0).collect();
            bail!(
                "{what}: expected {expected}, got {now}; drops since the device was made: {drops:?}\n{}",
                device.stats()?
            );
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Inner packets of both versions: lengths one by one, and around what buffers are cut by.
pub(super) fn of_all_sizes() -> Vec<Vec<u8>> {
    let lengths = || (20..84).chain([127, 128, 129, 511, 512, 513, 1279, 1280, 1399, 1400, 1499, 1500]);
    lengths()
        .map(|length| ipv4(length, length as u32))
        .chain(lengths().filter(|length| *length >= 40).map(|length| ipv6(length, length as u32)))
        .collect()
}

fn sizes(bench: &Bench<'_>, v6: bool, cipher: Cipher) -> Result<String> {
    let link = bench.link(v6, cipher, None)?;
    let inner = of_all_sizes();
    let mut sealed = Vec::new();
    for (number, packet) in inner.iter().enumerate() {
        sealed.push(link.key.seal(number as u32 + 1, packet)?);
    }
    // No more at once than a small socket buffer holds.
    sealed.chunks(16).try_for_each(|some| link.takes(some))?;
    let count = sealed.len();
    let stats = link.device.stats()?;
    let transport: usize = sealed.iter().map(Vec::len).sum();
    ensure!(
        stats.0.transport_bytes_received.get() == transport as i64 && stats.0.lost_in_data_packets.get() == 0,
        "expected {transport} transport bytes and no loss, got\n{stats}"
    );
    link.end()?;
    Ok(format!("{count} packets"))
}

fn replays(bench: &Bench<'_>) -> Result<String> {
    let link = bench.link(false, Cipher::Aes256, None)?;
    let packet = |id: u32| link.key.seal(id, &ipv4(64, id));
    link.refuses("RxMalformed", &[packet(0)?])?;
    link.takes(&[packet(1)?])?;
    link.refuses("RxReplay", &[packet(1)?, packet(1)?])?;
    link.takes(&[packet(5000)?])?;
    // 2047 behind the highest is the oldest that can be told.
    link.takes(&[packet(5000 - 2047)?])?;
    link.refuses("RxReplay", &[packet(5000 - 2048)?, packet(2)?, packet(5000)?, packet(5000 - 2047)?])?;
    let late: Result<Vec<_>> = (4000..4100).rev().map(packet).collect();
    let late = late?;
    late.chunks(16).try_for_each(|some| link.takes(some))?;
    link.refuses("RxReplay", &late)?;
    link.takes(&[packet(u32::MAX)?])?;
    link.refuses("RxReplay", &[packet(5001)?, packet(u32::MAX)?])?;
    // A new key begins anew.
    let key = StaticKey::of_test(2, Cipher::Aes256, DRIVER);
    link.device.new_key(&key, Slot::Primary, 0, PEER)?;
    link.takes(&[DataKey::opposite(&key, 0, PEER)?.seal(1, &ipv4(64, 1))?])?;
    link.end()?;
    Ok("window of 2048, exact at both ends".into())
}

fn forgeries(bench: &Bench<'_>) -> Result<String> {
    let link = bench.link(false, Cipher::Aes256, None)?;
    let sound = link.key.seal(7, &ipv4(40, 7))?;
    let mut forged = Vec::new();
    // From the packet id on: the header's first byte is opcode and key id, and the rest of it is authenticated as well.
    for at in 1..sound.len() {
        let mut packet = sound.clone();
        packet[at] ^= 1 << (at % 8);
        forged.push(packet);
    }
    for some in forged.chunks(16) {
        link.refuses("RxAuthFailed", some)?;
    }
    let count = forged.len();
    let cut: Vec<_> = (1..24).map(|length| sound[..length].to_vec()).collect();
    // Below four bytes nothing tells data from control; the rest is a data packet without all of its head.
    link.refuses("RxTooShort", &cut)?;
    let longer: Vec<_> = [1usize, 100, 400].iter().map(|&more| [&sound[..], &vec![0; more]].concat()).collect();
    link.refuses("RxAuthFailed", &longer)?;
    link.refuses("RxNotIp", &[link.key.seal(8, &[0x15; 40])?, link.key.seal(9, &[0; 20])?])?;
    // None of it has moved the window.
    link.takes(&[sound])?;
    link.end()?;
    Ok(format!("{count} changed bits, each refused"))
}

fn key_ids(bench: &Bench<'_>) -> Result<String> {
    let link = bench.link(false, Cipher::Aes128, None)?;
    let install = |number: u64, slot: Slot, key_id: u8| -> Result<DataKey> {
        let key = StaticKey::of_test(number, Cipher::Aes128, DRIVER);
        link.device.new_key(&key, slot, key_id, PEER)?;
        DataKey::opposite(&key, key_id, PEER)
    };
    let mut next = 0;
    let mut packet = |key: &DataKey| {
        next += 1;
        key.seal(next, &ipv4(64, next))
    };
    for key_id in 0..8 {
        let unknown = DataKey::opposite(&StaticKey::of_test(50, Cipher::Aes128, DRIVER), key_id ^ 1, PEER)?;
        let primary = install(u64::from(key_id) + 10, Slot::Primary, key_id)?;
        link.takes(&[packet(&primary)?])?;
        link.refuses("RxUnknownKey", &[packet(&unknown)?])?;
        let secondary = install(u64::from(key_id) + 20, Slot::Secondary, key_id ^ 1)?;
        link.takes(&[packet(&secondary)?, packet(&primary)?])?;
        link.device.swap_keys()?;
        link.takes(&[packet(&secondary)?, packet(&primary)?])?;
        // The other's key id with one's own key.
        let crossed =
            DataKey::opposite(&StaticKey::of_test(u64::from(key_id) + 10, Cipher::Aes128, DRIVER), key_id ^ 1, PEER)?;
        link.refuses("RxAuthFailed", &[packet(&crossed)?])?;
        link.device.new_key(
            &StaticKey::of_test(60, Cipher::Aes128, DRIVER),
            Slot::Secondary,
            (key_id + 3) & 7,
            PEER,
        )?;
        link.refuses("RxUnknownKey", &[packet(&primary)?])?;
    }
    link.end()?;
    Ok("all eight".into())
}

/// The next packet of the driver's under this key.
fn from_driver(far: &Far, key: &DataKey, patience: Duration) -> Result<crate::far::Opened> {
    let deadline = Instant::now() + patience;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let Some(packet) = far.receive(left)? else {
            bail!("expected a packet of the driver's within {patience:?}, none came")
        };
        if let Some(opened) = key.open(&packet)? {
            return Ok(opened);
        }
    }
}

pub(super) fn keepalive(interval: u16, timeout: u16) -> Option<PeerSettings> {
    Some(PeerSettings {
        keepalive_interval: Some(interval),
        keepalive_timeout: Some(timeout),
        ..PeerSettings::default()
    })
}

fn pings(bench: &Bench<'_>) -> Result<String> {
    let link = bench.link(false, Cipher::Aes256, keepalive(1, 0))?;
    for packet_id in 1..=2 {
        let came = from_driver(&link.far, &link.key, SOON)?;
        ensure!(
            came.inner == PING && came.packet_id == packet_id && came.peer_id == PEER,
            "expected ping {packet_id} for peer {PEER:x}, got {came:x?}"
        );
    }
    // A ping that comes in is nothing for the adapter.
    let before = link.device.stats()?.0.received_data_packets.get();
    link.far.send(&link.key.seal(1, &PING)?)?;
    link.reaches("ReceivedDataPackets", i64::from(before) + 1, || {
        Ok(link.device.stats()?.0.received_data_packets.get().into())
    })?;
    ensure!(link.taken()? == 0, "expected no ping given to the adapter");
    link.end()?;
    Ok("two pings opened".into())
}

fn ended(mut read: Box<dyn Pending>, patience: Duration) -> Result<Option<NtStatus>> {
    Ok(read.wait(patience)?.map(|completion| completion.status))
}

fn expiry(bench: &Bench<'_>, parked: bool) -> Result<String> {
    let link = bench.link(false, Cipher::Aes256, keepalive(0, 1))?;
    let early = if parked { Some(link.device.read(READ_LENGTH)?) } else { None };
    let read = match early {
        Some(read) => read,
        None => {
            std::thread::sleep(Duration::from_millis(4500));
            link.device.read(READ_LENGTH)?
        }
    };
    let told = ended(read, SOON)?;
    ensure!(told == Some(NtStatus::CONNECTION_DISCONNECTED), "expected CONNECTION_DISCONNECTED, got {told:?}");
    let mut again = link.device.read(READ_LENGTH)?;
    let told = again.wait(Duration::from_millis(1500))?.map(|completion| completion.status);
    ensure!(told.is_none(), "expected to be told once, got {told:?} again");
    link.device.del_peer()?;
    let told = ended(again, SOON)?;
    ensure!(told == Some(NtStatus::CANCELLED), "expected the read CANCELLED by DEL_PEER, got {told:?}");
    link.device.close()?;
    Ok("told once".into())
}

fn kept(bench: &Bench<'_>) -> Result<String> {
    let link = bench.link(false, Cipher::Aes256, keepalive(0, 3))?;
    let mut read = link.device.read(READ_LENGTH)?;
    for id in 1..=12 {
        // Authentic packets keep the peer; the last half of them are pings.
        let inner = if id <= 6 { ipv4(64, id) } else { PING.to_vec() };
        link.far.send(&link.key.seal(id, &inner)?)?;
        let told = read.wait(Duration::from_millis(500))?.map(|completion| completion.status);
        ensure!(told.is_none(), "expected the peer kept, the read ended with {told:?}");
    }
    // Forged ones do not.
    let deadline = Instant::now() + SOON;
    let told = loop {
        let mut forged = link.key.seal(99, &PING)?;
        forged[9] ^= 1;
        link.far.send(&forged)?;
        if let Some(completion) = read.wait(Duration::from_millis(200))? {
            break completion.status;
        }
        ensure!(Instant::now() < deadline, "expected forged packets not to keep the peer; it lives after {SOON:?}");
    };
    ensure!(told == NtStatus::CONNECTION_DISCONNECTED, "expected CONNECTION_DISCONNECTED, got {told}");
    link.end()?;
    Ok("6 s by packets and pings; forged ones do not keep it".into())
}

/// Keys change while packets come in: those of the old key and of the next one are taken before and after the swap, and what
/// the driver sends changes its key with the swap.
fn rekey(bench: &Bench<'_>) -> Result<String> {
    const ROUNDS: u32 = 40;
    let link = bench.link(false, Cipher::Aes256, keepalive(0, 0))?;
    let mut old = DataKey::opposite(&StaticKey::of_test(1, Cipher::Aes256, DRIVER), 0, PEER)?;
    let (mut old_id, mut sent) = (0, 0i64);
    for round in 1..=ROUNDS {
        let key_id = (round % 8) as u8;
        let key = StaticKey::of_test(u64::from(round) + 1, Cipher::Aes256, DRIVER);
        let next = DataKey::opposite(&key, key_id, PEER)?;
        let burst = |key: &DataKey, from: u32| -> Result<()> {
            (from + 1..=from + 16).try_for_each(|id| link.far.send(&key.seal(id, &ipv4(100, id))?))
        };
        // Each burst arrives while the next request runs.
        burst(&old, old_id)?;
        link.device.new_key(&key, Slot::Secondary, key_id, PEER)?;
        burst(&next, 0)?;
        burst(&old, old_id + 16)?;
        link.device.swap_keys()?;
        burst(&old, old_id + 32)?;
        burst(&next, 16)?;
        sent += 80 * 100;
        link.reaches("TunBytesReceived", sent, || link.taken())?;
        (old, old_id) = (next, 32);
    }
    let lost = link.device.stats()?.0.lost_in_data_packets.get();
    ensure!(lost == 0, "expected nothing lost, got {lost}");
    link.device.set_peer(PeerSettings { keepalive_interval: Some(1), ..PeerSettings::default() })?;
    let came = from_driver(&link.far, &old, SOON)?;
    ensure!(came.packet_id == 1 && came.inner == PING, "expected the newest key's first packet, got {came:x?}");
    link.end()?;
    Ok(format!("{ROUNDS} rekeys, {} packets", ROUNDS * 80))
}

fn persist_tun(bench: &Bench<'_>) -> Result<String> {
    let up = |expected: bool| -> Result<bool> {
        let is = bench.target.link_is_up()?;
        ensure!(is.is_none_or(|is| is == expected), "expected link up: {expected}, got {is:?}");
        Ok(is.is_some())
    };
    up(false)?;
    let link = bench.link(false, Cipher::Aes256, None)?;
    up(true)?;
    link.takes(&[link.key.seal(1, &ipv4(64, 1))?])?;
    let Link { device, far, .. } = link;
    device.del_peer()?;
    let asked = up(true)?;
    let key = StaticKey::of_test(9, Cipher::Aes256, DRIVER);
    let remote = far.address()?;
    Tunnel { local: bench.near(false), remote, peer_id: PEER, key: &key, settings: None }.up(&device)?;
    let link = Link { device, far, key: DataKey::opposite(&key, 0, PEER)? };
    link.takes(&[link.key.seal(1, &ipv4(64, 1))?])?;
    link.device.close()?;
    up(false)?;
    Ok(if asked { "the link asked at each step" } else { "the link cannot be asked here" }.into())
}
