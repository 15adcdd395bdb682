//! What happens to a server's machine under its clients: it sleeps, its adapter is to be disabled or is torn out, its sockets die.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::{Guest, SOON, Server, echo, echo_request, events, tcp};
use crate::commands::query_lab;
use crate::device::{ADAPTER, Client, Device, Event, PeerSettings, READ_LENGTH, Slot};
use crate::far::{DRIVER, DataKey, Far};
use crate::key::{Cipher, StaticKey};
use crate::rig::{Checks, Machine, Rig, Side, Transport};
use crate::status::NtStatus;
use crate::tunnel::wait_for_queue;

/// A reason of DEL_PEER.
const EXPIRED: i32 = 2;

/// Datagrams, or connections, after which a socket of the second machine is dead.
const DIE: i64 = 50;

fn transition(machine: &Machine, name: &str, expected: NtStatus) -> Result<()> {
    let status = machine.lab.pnp(name)?;
    ensure!(status == expected, "{name}: expected {expected}, got {status}");
    Ok(())
}

impl Server<'_> {
    /// Sleep counts: clients with a timeout are gone when the machine wakes, and told of; the others go on where they were.
    pub(super) fn sleep(&self, clients: &mut Vec<Guest>) -> Result<String> {
        const HOURS: u32 = 4;
        let timeout = |id: i32| if id % 2 == 0 { 60 } else { 0 };
        for client in clients.iter() {
            let keepalive_timeout = Some(timeout(client.id));
            self.device.set_client(client.id, PeerSettings { keepalive_timeout, ..PeerSettings::default() })?;
        }
        transition(self.machine, "sleep", NtStatus::SUCCESS)?;
        query_lab(&self.machine.lab, &format!("clock +{}", HOURS * 3600))?;
        transition(self.machine, "wake", NtStatus::SUCCESS)?;
        let (gone, stay): (Vec<Guest>, Vec<Guest>) = clients.drain(..).partition(|client| timeout(client.id) != 0);
        let mut told = Vec::new();
        for _ in &gone {
            match self.told(self.device.notify_event()?)? {
                Event::DelPeer(id, EXPIRED) => told.push(id),
                other => bail!("expected an expiry, got {other:?}"),
            }
        }
        told.sort_unstable();
        let expected: Vec<i32> = gone.iter().map(|client| client.id).collect();
        ensure!(told == expected, "expected {expected:?} expired, got {told:?}");
        *clients = stay;
        self.rig.configure_some(&[Side::A])?;
        wait_for_queue(&self.device, &Guest::far(self.rig, 0)?)?;
        self.all_ping(clients, 1)?;
        // Who is gone may come again.
        for client in &gone {
            clients.push(Guest::join(self.rig, &self.device, client.id, None)?);
        }
        self.all_ping(clients, 2)?;
        Ok(format!("{HOURS} h later {} of {} are gone", gone.len(), clients.len()))
    }

    /// The adapter is in use, so it cannot be disabled; nobody notices that it was tried.
    pub(super) fn disable(&self, clients: &mut [Guest]) -> Result<String> {
        for tag in 0..5 {
            transition(self.machine, "disable", NtStatus::DEVICE_BUSY)?;
            self.all_ping(clients, tag)?;
        }
        Ok("refused, five times; every echo came".into())
    }

    fn all_ping(&self, clients: &mut [Guest], tag: u32) -> Result<()> {
        for client in clients {
            client.pings(client.vpn[0], self.inside(false), 100, tag)?;
            client.pings(client.vpn[1], self.inside(true), 100, tag)?;
        }
        Ok(())
    }

    /// Sends an echo request of a client's again and again until its reply comes; how often that was.
    fn ping_until_heard(&self, client: &mut Guest, tag: u32) -> Result<u32> {
        let request = echo_request(client.vpn[0], self.inside(false), 100, tag);
        let (from, to, _, payload) = echo(&request).context("an echo request of our own")?;
        let deadline = Instant::now() + SOON;
        for tries in 1.. {
            client.send(&request)?;
            while let Some(packet) = client.far.receive(Duration::from_millis(100))? {
                let opened = client.key.open(&packet)?.context("a packet of another key")?;
                if echo(&opened.inner) == Some((to, from, true, payload)) {
                    return Ok(tries);
                }
            }
            if Instant::now() > deadline {
                bail!("client {}: expected a reply within {SOON:?}, none came", client.id);
            }
        }
        unreachable!("it returns")
    }

    /// The network stack gives socket after socket up. Clients lose a packet now and then, userspace notices nothing.
    fn dead_sockets(&self, clients: &mut [Guest]) -> Result<String> {
        let mut read = self.device.read(READ_LENGTH)?;
        let mut event = self.device.notify_event()?;
        let before = self.machine.netcx("wsk_rx_datagrams")?;
        let mut tries = 0;
        for tag in 0..100 {
            for client in &mut *clients {
                tries += self.ping_until_heard(client, tag)?;
            }
        }
        let sockets = (self.machine.netcx("wsk_rx_datagrams")? - before) / DIE;
        ensure!(sockets >= 4, "expected some sockets dead, {sockets} were");
        let none = |what: &str, came: Option<crate::targets::Completion>| match came {
            None => Ok(()),
            Some(came) => bail!("{what}: expected it to wait on, it ended with {}", came.status),
        };
        none("a read", read.wait(Duration::from_millis(1))?)?;
        none("NOTIFY_EVENT", event.wait(Duration::from_millis(1))?)?;
        let left = self.device.all_client_stats()?.len();
        ensure!(left == clients.len(), "expected {} peers left, got {left}", clients.len());
        // Control packets come by the new socket, too.
        let hello = loop {
            clients[0].far.send(b"\x38hello")?;
            if let Some(came) = read.wait(Duration::from_millis(100))? {
                break came;
            }
        };
        ensure!(hello.output.ends_with(b"\x38hello"), "expected a control packet, got {hello:x?}");
        Ok(format!("{sockets} of them; {} packets sent again of {tries}", tries - 100 * clients.len() as u32))
    }
}

/// A socket that is gone and cannot be had again, for its address is gone, too: one read says so, what is known stays, and when the address is
/// back, so is the server.
fn dead_address(rig: &Rig, machine: &Machine) -> Result<String> {
    const ID: i32 = 4;
    let lost = Ipv4Addr::new(10, 87, 0, 77);
    let device = Device::open(&machine.lab, ADAPTER)?;
    device.set_mode_server()?;
    let server = Server { rig, machine, device };
    server.ip(&["addr", "add", &format!("{lost}/24"), "dev", "wire"])?;
    let before = machine.netcx("wsk_rx_datagrams")?;
    let at = server.device.listen(SocketAddr::new(lost.into(), rig.wire(Side::A, Transport::V4).port()), false)?;
    let far = rig.within(Side::B, || Far::at(rig.wire(Side::B, Transport::V4).ip(), at))?;
    let remote = far.address()?;
    let vpn = Guest::vpn(rig, ID);
    let [IpAddr::V4(vpn4), IpAddr::V6(vpn6)] = vpn else { bail!("expected an address of each version") };
    server.device.add_peer(&Client { id: ID, remote, vpn4: Some(vpn4), vpn6: Some(vpn6) })?;
    let key = StaticKey::of_test(77, Cipher::Aes256, DRIVER);
    server.device.new_key(&key, Slot::Primary, 0, ID.cast_unsigned())?;
    let key = DataKey::opposite(&key, 0, ID.cast_unsigned())?;
    let mut guest = Guest { id: ID, far, key, vpn, sent: 0, came: 0, inner: [0; 2], packets: [0; 2] };
    rig.configure_some(&[Side::A])?;
    // All but the last datagram that the socket takes.
    let received = || Ok::<_, anyhow::Error>(machine.netcx("wsk_rx_datagrams")? - before);
    for count in received()?..DIE - 1 {
        guest.far.send(b"\x38one more")?;
        server.eventually("the datagram", || Ok(received()? > count))?;
    }
    for _ in 0..DIE - 1 {
        let came = server.device.read(READ_LENGTH)?.wait(SOON)?.context("a read that should have ended")?;
        ensure!(came.status == NtStatus::SUCCESS, "read: expected SUCCESS, got {}", came.status);
    }
    let mut read = server.device.read(READ_LENGTH)?;
    // The last one comes, and before the driver knows of it the address is gone.
    machine.stopped_while(|| {
        guest.far.send(b"\x38the last one")?;
        server.ip(&["addr", "del", &format!("{lost}/24"), "dev", "wire"])
    })?;
    let last = read.wait(SOON)?.context("the last datagram")?;
    ensure!(last.output.ends_with(b"\x38the last one"), "expected the last datagram, got {last:x?}");
    let told = server.device.read(READ_LENGTH)?.wait(SOON)?.map(|came| came.status);
    ensure!(
        told == Some(NtStatus::CONNECTION_DISCONNECTED),
        "a socket that cannot be had again: expected CONNECTION_DISCONNECTED, got {told:?}"
    );
    let mut read = server.device.read(READ_LENGTH)?;
    // Nothing can be sent, but clients may still come.
    let SocketAddr::V4(to) = remote else { bail!("expected an IPv4 address") };
    let to = [&[2, 0][..], &to.port().to_be_bytes(), &to.ip().octets(), &[0; 8], b"\x38x"].concat();
    let written = server.device.write(&to)?.status;
    ensure!(written == NtStatus::INVALID_DEVICE_STATE, "write: expected INVALID_DEVICE_STATE, got {written}");
    let other = Client { id: 6, remote: (lost, 9).into(), vpn4: None, vpn6: None };
    server.device.add_peer(&other)?;
    server.ip(&["addr", "add", &format!("{lost}/24"), "dev", "wire"])?;
    let tries = server.ping_until_heard(&mut guest, 1)?;
    let again = read.wait(Duration::from_millis(1))?.map(|came| came.status);
    ensure!(again.is_none(), "expected it said once, a second read ended with {again:?}");
    let left = server.device.all_client_stats()?.len();
    ensure!(left == 2, "expected 2 peers left, got {left}");
    server.device.close()?;
    Ok(format!("said once; back with the address, after {tries} tries"))
}

/// The adapter is torn out under traffic: whatever waits ends, and when the handle is closed it can be brought back.
pub(super) fn surprise(rig: &Rig, machine: &Machine) -> Result<String> {
    let serve = || -> Result<(Server<'_>, Vec<Guest>)> {
        let device = Device::open(&machine.lab, ADAPTER)?;
        device.set_mode_server()?;
        device.listen(([0u16; 8], rig.wire(Side::A, Transport::V4).port()).into(), false)?;
        rig.configure_some(&[Side::A])?;
        wait_for_queue(&device, &Guest::far(rig, 0)?)?;
        let clients = (1..=4).map(|id| Guest::join(rig, &device, id, None)).collect::<Result<_>>()?;
        Ok((Server { rig, machine, device }, clients))
    };
    let (server, mut clients) = serve()?;
    server.all_ping(&mut clients, 1)?;
    let (read, event) = (server.device.read(READ_LENGTH)?, server.device.notify_event()?);
    for client in &mut clients {
        for tag in 0..50 {
            client.send(&echo_request(client.vpn[0], server.inside(false), 600, tag))?;
        }
    }
    transition(machine, "surprise", NtStatus::SUCCESS)?;
    for (what, mut pending) in [("a read", read), ("NOTIFY_EVENT", event)] {
        let ended = pending.wait(SOON)?.with_context(|| format!("{what}: expected it to end"))?;
        ensure!(!ended.status.is_success(), "{what}: expected an error, got {}", ended.status);
    }
    server.device.close()?;
    transition(machine, "enable", NtStatus::SUCCESS)?;
    let (server, mut clients) = serve()?;
    server.all_ping(&mut clients, 2)?;
    server.device.close()?;
    Ok("what waited ended; back, it serves again".into())
}

/// All that takes a machine of its own, whose sockets die.
pub(super) fn check_mortal(rig: &Rig, checks: &mut Checks) -> Result<()> {
    let file = rig.folder().join("mortal.events");
    let trace = file.display().to_string();
    let Ok(machine) = rig.start_one(Side::A, &["--net", &format!("die={DIE}"), "--trace", &trace])? else {
        bail!("expected the lab ready, it ended")
    };
    checks.check("sockets that die", || {
        let (server, mut clients) = Server::with_clients(rig, &machine, 4)?;
        let done = server.dead_sockets(&mut clients)?;
        server.device.close()?;
        Ok(done)
    });
    checks.check("a socket that dies with its address", || dead_address(rig, &machine));
    checks.check("listening sockets that die", || tcp::dead_listeners(rig, &machine, DIE));
    checks.check("unload after dead sockets", || {
        machine.stop()?;
        Ok("nothing left behind, nothing violated".into())
    });
    let text = fs::read_to_string(&file).context("the session's file")?;
    checks.check("events: dead sockets", || events::listeners_lost(&text));
    Ok(())
}
