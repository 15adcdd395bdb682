//! Scenarios with clients: far ends of the suite's own, on loopback, as many as it takes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use dco_uapi::Ioctl;
use zerocopy::IntoBytes;

use super::{USERSPACE, prefixed, quiet_client};
use crate::conform::traffic::reaches;
use crate::conform::{A_WHILE, Bench, cases};
use crate::device::{ADAPTER, Client, Device, Event, PeerSettings, READ_LENGTH, Slot};
use crate::far::{DRIVER, DataKey, Far, PING, between};
use crate::key::{Cipher, StaticKey};
use crate::status::NtStatus;
use crate::targets::Pending;
use crate::tunnel::wait_for_queue;

/// How long a packet may take through loopback, and a counter to follow it.
pub(super) const SOON: Duration = Duration::from_secs(10);

/// Events that wait for a request, at least.
const EVENTS: i32 = 1024;

/// A reason of DEL_PEER.
const EXPIRED: i32 = 2;

/// Where the stack is, inside the tunnel.
pub(super) const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 1));

/// A client: where it is and its key.
pub(super) struct Guest {
    pub(super) id: i32,
    pub(super) far: Far,
    pub(super) key: DataKey,
    pub(super) vpn: IpAddr,
    next: u32,
}

/// A server with guests.
pub(super) struct Party {
    pub(super) device: Device,
    pub(super) at: SocketAddr,
    pub(super) guests: Vec<Guest>,
}

pub(super) fn static_key(id: i32) -> StaticKey {
    StaticKey::of_test(100 + id.cast_unsigned() as u64, Cipher::Aes256, DRIVER)
}

impl Party {
    /// A server on this address with so many guests, whose ids are 1 and up.
    pub(super) fn begin(bench: &Bench<'_>, at: SocketAddr, guests: i32) -> Result<Self> {
        let device = Device::open(bench.target, ADAPTER)?;
        device.set_mode_server()?;
        let at = device.listen(at, false)?;
        ensure!(at.port() != 0, "expected the port that was bound, got {at}");
        wait_for_queue(&device, &Far::of(at)?)?;
        let mut party = Self { device, at, guests: Vec::new() };
        for id in 1..=guests {
            party.join(id, Far::of(party.at)?)?;
        }
        Ok(party)
    }

    pub(super) fn on_loopback(bench: &Bench<'_>, guests: i32) -> Result<Self> {
        Self::begin(bench, (Ipv4Addr::LOCALHOST, 0).into(), guests)
    }

    pub(super) fn join(&mut self, id: i32, far: Far) -> Result<()> {
        self.join_by(id, far, 0)
    }

    /// The same for one that came by this listener.
    pub(super) fn join_by(&mut self, id: i32, far: Far, listener: u32) -> Result<()> {
        let vpn4 = Ipv4Addr::new(10, 77, 1 + (id >> 8) as u8, id as u8);
        let remote = far.address()?;
        self.device.add_peer_by(&Client { id, remote, vpn4: Some(vpn4), vpn6: None }, listener)?;
        self.device.new_key(&static_key(id), Slot::Primary, 0, id.cast_unsigned())?;
        let key = DataKey::opposite(&static_key(id), 0, id.cast_unsigned())?;
        self.guests.push(Guest { id, far, key, vpn: vpn4.into(), next: 0 });
        Ok(())
    }

    pub(super) fn drop_count(&self, name: &str) -> Result<i64> {
        let found = self.device.drops()?.into_iter().find(|(found, _)| found == name);
        found.map(|(_, count)| count).with_context(|| format!("expected the drop reason {name}, there is none"))
    }

    pub(super) fn taken(&self) -> Result<i64> {
        Ok(self.device.stats()?.0.tun_bytes_received.get())
    }

    pub(super) fn reaches(&self, what: &str, expected: i64, count: impl Fn() -> Result<i64>) -> Result<()> {
        reaches(&self.device, what, expected, count)
    }

    /// A guest sends a packet with this inner source, which is given to the adapter, or dropped for this reason.
    pub(super) fn send(&mut self, guest: usize, source: IpAddr, dropped: Option<&str>) -> Result<()> {
        let packet = self.guests[guest].seal(source)?;
        self.offer(guest, &packet, dropped)
    }

    /// The same with a packet that is sealed.
    pub(super) fn offer(&self, guest: usize, packet: &[u8], dropped: Option<&str>) -> Result<()> {
        let taken = self.taken()?;
        match dropped {
            None => {
                self.guests[guest].far.send(packet)?;
                let inner = packet.len() - crate::far::OVERHEAD;
                self.reaches("TunBytesReceived", taken + inner as i64, || self.taken())
            }
            Some(reason) => {
                let before = self.drop_count(reason)?;
                self.guests[guest].far.send(packet)?;
                self.reaches(reason, before + 1, || self.drop_count(reason))?;
                ensure!(self.taken()? == taken, "{reason}: expected nothing given to the adapter");
                Ok(())
            }
        }
    }

    pub(super) fn event(&self) -> Result<Event> {
        told(self.device.notify_event()?)
    }

    pub(super) fn no_event(&self) -> Result<()> {
        let mut pending = self.device.notify_event()?;
        if let Some(came) = pending.wait(A_WHILE)? {
            bail!("expected no event, got {:?}", Event::from_bytes(&came.output));
        }
        pending.cancel()?;
        let ended = pending.wait(SOON)?.map(|came| came.status);
        ensure!(ended == Some(NtStatus::CANCELLED), "expected the request cancelled, got {ended:?}");
        Ok(())
    }

    pub(super) fn end(self) -> Result<()> {
        self.device.close()
    }
}

impl Guest {
    /// One that the driver does not know for a peer.
    pub(super) fn stranger(far: Far) -> Result<Self> {
        let key = DataKey::opposite(&static_key(0), 0, 0)?;
        Ok(Self { id: 0, far, key, vpn: Ipv4Addr::UNSPECIFIED.into(), next: 0 })
    }

    pub(super) fn seal(&mut self, source: IpAddr) -> Result<Vec<u8>> {
        self.seal_as(source, self.id.cast_unsigned())
    }

    /// The same with another peer id in its header.
    pub(super) fn seal_as(&mut self, source: IpAddr, peer_id: u32) -> Result<Vec<u8>> {
        self.next += 1;
        let server = if source.is_ipv4() { SERVER } else { Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 1).into() };
        self.key.seal_as(peer_id, self.next, &between(source, server, 100 + self.id as usize, self.next))
    }

    /// The next packet of the driver's, which has to be a ping for this guest.
    pub(super) fn pinged(&self) -> Result<u32> {
        let Some(packet) = self.far.receive(SOON)? else { bail!("guest {}: expected a ping, none came", self.id) };
        let Some(opened) = self.key.open(&packet)? else { bail!("guest {}: a packet of another key", self.id) };
        let id = self.id.cast_unsigned();
        ensure!(opened.inner == PING && opened.peer_id == id, "guest {id}: expected a ping, got {opened:x?}");
        Ok(opened.packet_id)
    }
}

pub(super) fn told(mut pending: Box<dyn Pending>) -> Result<Event> {
    match pending.wait(SOON)? {
        Some(came) if came.status == NtStatus::SUCCESS => Event::from_bytes(&came.output),
        Some(came) => bail!("NOTIFY_EVENT: expected SUCCESS, got {}", came.status),
        None => bail!("NOTIFY_EVENT: expected an event within {SOON:?}, none came"),
    }
}

pub(super) fn keepalive(interval: u16, timeout: u16) -> PeerSettings {
    PeerSettings { keepalive_interval: Some(interval), keepalive_timeout: Some(timeout), mss: None }
}

pub fn data(bench: &Bench<'_>) -> Result<String> {
    const GUESTS: usize = 20;
    let mut party = Party::on_loopback(bench, GUESTS as i32)?;
    for _ in 0..3 {
        for guest in 0..GUESTS {
            let own = party.guests[guest].vpn;
            party.send(guest, own, None)?;
        }
    }
    // Somebody else's address inside, another's id, a key that another has, and an id of nobody's.
    let other = party.guests[1].vpn;
    party.send(0, other, Some("RxWrongSource"))?;
    let stranger = DataKey::opposite(&static_key(1), 0, 2)?;
    party.offer(0, &stranger.seal(99, &between(other, SERVER, 60, 1))?, Some("RxAuthFailed"))?;
    let nobody = DataKey::opposite(&static_key(1), 0, 0x00AB_CDEF)?;
    party.offer(0, &nobody.seal(99, &between(other, SERVER, 60, 1))?, Some("RxUnknownPeer"))?;
    party.device.del_client(1)?;
    let own = party.guests[0].vpn;
    party.send(0, own, Some("RxUnknownPeer"))?;
    party.send(1, other, None)?;
    party.end()?;
    Ok(format!("{GUESTS} peers"))
}

pub fn addressed(bench: &Bench<'_>) -> Result<String> {
    let party = Party::on_loopback(bench, 3)?;
    let stranger = Far::of(party.at)?;
    // To nobody who reads: the packets wait, in order. A stranger's are no different: handshakes begin so.
    let ends = || party.guests.iter().map(|guest| &guest.far).chain([&stranger]);
    let hello = |n: usize| [b"\x38hello ".as_slice(), &[n as u8; 30]].concat();
    for (n, far) in ends().enumerate() {
        far.send(&hello(n))?;
        party.reaches("ReceivedControlPackets", n as i64 + 1, || {
            Ok(party.device.stats()?.0.received_control_packets.get().into())
        })?;
    }
    for (n, far) in ends().enumerate() {
        let expected = prefixed(far.address()?, &hello(n));
        let came = party.device.read(READ_LENGTH)?.wait(SOON)?.context("a read that should have ended")?;
        ensure!(came.status == NtStatus::SUCCESS && came.output == expected, "read {n}: got {came:x?}");
    }
    // To a read that waits.
    let mut read = party.device.read(READ_LENGTH)?;
    stranger.send(&hello(9))?;
    let came = read.wait(SOON)?.context("a read that should have ended")?;
    ensure!(came.output == prefixed(stranger.address()?, &hello(9)), "a parked read: got {came:x?}");
    for (n, far) in ends().enumerate() {
        let packet = hello(20 + n);
        let written = party.device.write(&prefixed(far.address()?, &packet))?;
        ensure!(written.status == NtStatus::SUCCESS, "write {n}: got {}", written.status);
        let came = far.receive(SOON)?;
        ensure!(came.as_deref() == Some(&*packet), "write {n}: expected {packet:x?}, got {came:x?}");
    }
    // The prefix counts: 2048 bytes with it are the most.
    stranger.send(&[0x38; 2032])?;
    let came = party.device.read(READ_LENGTH)?.wait(SOON)?.context("a read that should have ended")?;
    ensure!(came.information == 2048, "expected 2048 bytes, got {}", came.information);
    let before = party.drop_count("ControlInTooLong")?;
    stranger.send(&[0x38; 2033])?;
    party.reaches("ControlInTooLong", before + 1, || party.drop_count("ControlInTooLong"))?;
    party.end()?;
    Ok("3 peers and a stranger".into())
}

pub fn pings(bench: &Bench<'_>) -> Result<String> {
    let party = Party::on_loopback(bench, 70)?;
    for guest in &party.guests {
        party.device.set_client(guest.id, keepalive(1, 0))?;
    }
    for guest in &party.guests {
        ensure!(guest.pinged()? == 1 && guest.pinged()? == 2, "guest {}: expected pings 1 and 2", guest.id);
    }
    party.end()?;
    Ok("70 peers".into())
}

pub fn sources(bench: &Bench<'_>) -> Result<String> {
    let mut party = Party::on_loopback(bench, 3)?;
    let wrong = Some("RxWrongSource");
    let net = |b: u8, c: u8, d: u8| IpAddr::from([172, b, c, d]);
    party.send(0, net(16, 1, 1), wrong)?;
    party.device.add_iroute(net(0, 0, 0), 8, 1)?;
    party.device.add_iroute(net(16, 0, 0), 12, 2)?;
    party.device.add_iroute(net(16, 1, 0), 24, 3)?;
    party.device.add_iroute(net(16, 1, 1), 32, 1)?;
    let owners =
        [(net(1, 1, 1), 0), (net(31, 255, 255), 1), (net(16, 1, 2), 2), (net(16, 1, 1), 0), (net(32, 0, 0), 0)];
    let check = |party: &mut Party, owners: &[(IpAddr, usize)]| -> Result<()> {
        for &(source, owner) in owners {
            for guest in 0..3 {
                let refused = if guest == owner { None } else { wrong };
                party.send(guest, source, refused).with_context(|| format!("{source} from guest {}", guest + 1))?;
            }
        }
        Ok(())
    };
    check(&mut party, &owners)?;
    // A peer's own address is its own, whatever is around it.
    party.device.add_iroute([10, 77, 1, 0].into(), 24, 3)?;
    check(&mut party, &[(IpAddr::from([10, 77, 1, 1]), 0), (IpAddr::from([10, 77, 1, 99]), 2)])?;
    party.device.del_iroute(net(16, 1, 1), 32)?;
    party.device.del_iroute(net(16, 0, 0), 12)?;
    check(&mut party, &[(net(16, 1, 1), 2), (net(31, 255, 255), 0)])?;
    let v6 = |n: u16| IpAddr::from([0xfd00, 7, n, 0, 0, 0, 0, 5]);
    party.device.add_iroute(v6(0), 32, 1)?;
    party.device.add_iroute(v6(1), 48, 2)?;
    party.device.add_iroute(v6(1), 128, 3)?;
    check(&mut party, &[(v6(0), 0), (v6(1), 2), (IpAddr::from([0xfd00, 7, 1, 0, 0, 0, 0, 6]), 1)])?;
    // Its networks go with a peer.
    party.device.del_client(3)?;
    party.send(1, v6(1), None)?;
    party.send(0, net(16, 1, 1), None)?;
    party.end()?;
    Ok("IPv4 and IPv6".into())
}

pub fn rekey(bench: &Bench<'_>) -> Result<String> {
    let mut party = Party::on_loopback(bench, 2)?;
    let sources = [party.guests[0].vpn, party.guests[1].vpn];
    let next = StaticKey::of_test(300, Cipher::Aes128, DRIVER);
    party.device.new_key(&next, Slot::Secondary, 1, 1)?;
    let next = DataKey::opposite(&next, 1, 1)?;
    let packet = |id| next.seal(id, &between(sources[0], SERVER, 80, id));
    party.offer(0, &packet(1)?, None)?;
    party.send(0, sources[0], None)?;
    party.device.swap_client_keys(1)?;
    party.offer(0, &packet(2)?, None)?;
    party.send(0, sources[0], None)?;
    party.send(1, sources[1], None)?;
    party.device.set_client(1, keepalive(1, 0))?;
    let came = party.guests[0].far.receive(SOON)?.context("expected a ping")?;
    let opened = next.open(&came)?.context("expected a ping under the second key")?;
    ensure!(opened.packet_id == 1 && opened.peer_id == 1, "expected the second key's first packet, got {opened:x?}");
    party.end()?;
    Ok("two keys of one peer, one of another".into())
}

pub fn float(bench: &Bench<'_>) -> Result<String> {
    let mut party = Party::on_loopback(bench, 2)?;
    let sources = [party.guests[0].vpn, party.guests[1].vpn];
    party.send(0, sources[0], None)?;
    party.no_event()?;
    let pending = party.device.notify_event()?;
    // Forged from elsewhere, it moves nobody.
    let elsewhere = Far::of(party.at)?;
    let here = elsewhere.address()?;
    let old = std::mem::replace(&mut party.guests[0].far, elsewhere);
    let mut forged = party.guests[0].seal(sources[0])?;
    forged[30] ^= 1;
    party.offer(0, &forged, Some("RxAuthFailed"))?;
    // Authentic, it does, and the packet is taken.
    party.send(0, sources[0], None)?;
    let came = told(pending)?;
    ensure!(came == Event::Float(1, here), "expected a float of 1 to {here}, got {came:?}");
    party.device.set_client(1, keepalive(1, 0))?;
    party.guests[0].pinged()?;
    ensure!(old.receive(Duration::from_millis(1500))?.is_none(), "expected nothing to go where the peer was");
    party.guests[0].pinged()?;
    // To where another peer is, it may not.
    let own = party.guests[0].seal(sources[0])?;
    party.offer(1, &own, Some("RxWrongPeer"))?;
    party.no_event()?;
    // What was refused has not moved it.
    party.guests[0].pinged()?;
    // The old place is free; the new one is taken.
    let quiet = quiet_client(9);
    party.device.add_peer(&Client { remote: old.address()?, ..quiet })?;
    let taken = Client { remote: here, ..quiet_client(10) };
    let refused = party.device.ioctl(Ioctl::MpNewPeer.code(), taken.request().as_bytes(), 0)?;
    ensure!(refused.status == NtStatus::NO_MEMORY, "expected NO_MEMORY, got {}", refused.status);
    party.end()?;
    Ok(format!("to {here}"))
}

pub fn expiry(bench: &Bench<'_>) -> Result<String> {
    let mut party = Party::on_loopback(bench, 100)?;
    for guest in &party.guests {
        party.device.set_client(guest.id, keepalive(0, if guest.id % 2 == 0 { 1 } else { 60 }))?;
    }
    let mut gone: Vec<i32> = (0..50)
        .map(|_| match party.event()? {
            Event::DelPeer(id, EXPIRED) => Ok(id),
            other => bail!("expected an expiry, got {other:?}"),
        })
        .collect::<Result<_>>()?;
    gone.sort_unstable();
    ensure!(gone.iter().copied().eq((1..=50).map(|n| 2 * n)), "expected the even ones gone, got {gone:?}");
    party.no_event()?;
    ensure!(party.device.all_client_stats()?.len() == 50, "expected 50 peers left");
    let input = cases::key_with(|key| key.peer_id = 2.into());
    let refused = party.device.ioctl(Ioctl::NewKey.code(), &input, 0)?;
    ensure!(refused.status == NtStatus::OBJECTID_NOT_FOUND, "expected OBJECTID_NOT_FOUND, got {}", refused.status);
    let (own, gone) = (party.guests[0].vpn, party.guests[1].vpn);
    party.send(0, own, None)?;
    party.send(1, gone, Some("RxUnknownPeer"))?;
    // The name is free again.
    let guest = party.guests.remove(1);
    party.join(guest.id, guest.far)?;
    party.end()?;
    Ok("50 of 100".into())
}

/// Events that userspace has asked for itself fill the queue; what it has to know waits for room.
pub fn many_events(bench: &Bench<'_>) -> Result<String> {
    let party = Party::on_loopback(bench, 1)?;
    for n in 0..EVENTS + 100 {
        let id = 1000 + n;
        party.device.add_peer(&quiet_client(id))?;
        party.device.del_client(id)?;
    }
    party.device.set_client(1, keepalive(0, 1))?;
    std::thread::sleep(Duration::from_millis(3500));
    ensure!(party.device.all_client_stats()?.len() == 1, "expected the silent peer kept until it can be told of");
    for n in 0..EVENTS {
        let came = party.event()?;
        ensure!(came == Event::DelPeer(1000 + n, USERSPACE), "event {n}: got {came:?}");
    }
    let came = party.event()?;
    ensure!(came == Event::DelPeer(1, EXPIRED), "expected the expiry, got {came:?}");
    party.no_event()?;
    party.end()?;
    Ok(format!("{EVENTS} in order, then the expiry"))
}

pub fn stats(bench: &Bench<'_>) -> Result<String> {
    let mut party = Party::on_loopback(bench, 0)?;
    ensure!(party.device.all_client_stats()?.is_empty(), "expected no peers");
    let ask = |party: &Party, id, room| party.device.ioctl(Ioctl::GetPeerStats.code(), &cases::peer_ref(id), room);
    for id in 1..=5 {
        party.join(id, Far::of(party.at)?)?;
    }
    for guest in 0..5 {
        let own = party.guests[guest].vpn;
        for _ in 0..=guest {
            party.send(guest, own, None)?;
        }
    }
    let mut all = party.device.all_client_stats()?;
    all.sort_by_key(|peer| peer.peer_id.get());
    for (peer, id) in all.iter().zip(1i64..) {
        let expected = (id, id * (100 + id), id * (100 + id + 24));
        let came = (i64::from(peer.peer_id.get()), peer.vpn_rx_bytes.get(), peer.link_rx_bytes.get());
        ensure!(came == expected, "expected {expected:?}, got {came:?}");
        ensure!(party.device.client_stats(id as i32)? == *peer, "one of {id} differs from its own among all");
    }
    ensure!(all.len() == 5, "expected 5 peers, got {}", all.len());
    for (id, room, status, information) in [
        (-1, 0, NtStatus::BUFFER_TOO_SMALL, 0),
        (-1, 199, NtStatus::BUFFER_OVERFLOW, 4),
        (-1, 200, NtStatus::SUCCESS, 200),
        (-1, 400, NtStatus::SUCCESS, 200),
        (1, 39, NtStatus::BUFFER_TOO_SMALL, 0),
        (1, 400, NtStatus::SUCCESS, 40),
        (6, 40, NtStatus::OBJECTID_NOT_FOUND, 0),
    ] {
        let came = ask(&party, id, room)?;
        ensure!(
            came.status == status && came.information == information && !came.spilled,
            "id {id} with room for {room}: expected {status} with {information} bytes, got {} with {}",
            came.status,
            came.information
        );
    }
    party.end()?;
    Ok("5 peers".into())
}

/// A socket of IPv6 that takes IPv4: to userspace IPv4 addresses are mapped, whichever form it used itself.
pub fn dual(bench: &Bench<'_>, v6: bool) -> Result<String> {
    let mut party = Party::begin(bench, (Ipv6Addr::UNSPECIFIED, 0).into(), 0)?;
    let near: SocketAddr = match v6 {
        false => (Ipv4Addr::LOCALHOST, party.at.port()).into(),
        true => (Ipv6Addr::LOCALHOST, party.at.port()).into(),
    };
    let shown = |address: SocketAddr| -> SocketAddr {
        match address {
            SocketAddr::V4(v4) => (v4.ip().to_ipv6_mapped(), v4.port()).into(),
            other => other,
        }
    };
    for id in 1..=2 {
        party.join(id, Far::of(near)?)?;
    }
    let (own, other) = (party.guests[0].vpn, party.guests[1].vpn);
    party.send(0, own, None)?;
    party.send(1, other, None)?;
    party.no_event()?;
    let far = &party.guests[0].far;
    far.send(b"\x38hello")?;
    let came = party.device.read(READ_LENGTH)?.wait(SOON)?.context("a read that should have ended")?;
    let expected = prefixed(shown(far.address()?), b"\x38hello");
    ensure!(came.output == expected, "expected {expected:x?}, got {came:x?}");
    for to in [far.address()?, shown(far.address()?)] {
        let written = party.device.write(&prefixed(to, b"\x38answer"))?;
        ensure!(written.status == NtStatus::SUCCESS, "write to {to}: got {}", written.status);
        ensure!(far.receive(SOON)?.as_deref() == Some(b"\x38answer"), "write to {to}: it did not come");
    }
    let elsewhere = Far::of(near)?;
    let here = elsewhere.address()?;
    party.guests[0].far = elsewhere;
    party.send(0, own, None)?;
    let came = party.event()?;
    ensure!(came == Event::Float(1, shown(here)), "expected a float to {}, got {came:?}", shown(here));
    party.device.set_client(1, keepalive(1, 0))?;
    party.guests[0].pinged()?;
    party.end()?;
    Ok(format!("shown as {}", shown(here)))
}

pub fn close(bench: &Bench<'_>) -> Result<String> {
    let up = |expected: bool| -> Result<()> {
        let is = bench.target.link_is_up()?;
        ensure!(is.is_none_or(|is| is == expected), "expected link up: {expected}, got {is:?}");
        Ok(())
    };
    up(false)?;
    let mut party = Party::on_loopback(bench, 10)?;
    up(true)?;
    party.device.add_iroute([172, 16, 0, 0].into(), 12, 1)?;
    let own = party.guests[0].vpn;
    party.send(0, own, None)?;
    party.guests[0].far.send(b"\x38unread")?;
    let (mut event, mut other) = (party.device.notify_event()?, party.device.notify_event()?);
    let Party { device, guests, at } = party;
    device.close()?;
    for pending in [&mut event, &mut other] {
        let ended = pending.wait(SOON)?.map(|came| came.status);
        ensure!(ended == Some(NtStatus::CANCELLED), "expected CANCELLED, got {ended:?}");
    }
    up(false)?;
    // The port is free, the handle a client's.
    let device = Device::open(bench.target, ADAPTER)?;
    device.new_peer(at, guests[0].far.address()?)?;
    device.del_peer()?;
    device.set_mode_server()?;
    device.listen(at, false)?;
    ensure!(device.all_client_stats()?.is_empty(), "expected no peers");
    let mut read = device.read(READ_LENGTH)?;
    ensure!(read.wait(A_WHILE)?.is_none(), "expected nothing to read");
    device.close()?;
    Ok("and a client's handle after it".into())
}
