//! The same server with a TCP listener: each client is a connection, which is one before it is a peer.

use std::net::{IpAddr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::{CLIENTS, Guest, SOON, Server, echo, echo_request};
use crate::device::{ADAPTER, Client, Device, Event, Protocol, READ_LENGTH, Slot};
use crate::far::{DRIVER, DataKey, Far};
use crate::key::{Cipher, StaticKey};
use crate::rig::{Checks, Machine, Rig, Side, Transport};
use crate::status::NtStatus;
use crate::tunnel::wait_for_queue;

/// The first byte of a control packet.
const CONTROL: u8 = 0x38;

/// The reason of a peer whose connection ended.
const DISCONNECTED: i32 = 4;

/// Listens at both IP versions, over TCP alone, and checks.
pub(super) fn check_all(rig: &Rig, machine: &Machine, checks: &mut Checks) -> Result<()> {
    let device = Device::open(&machine.lab, ADAPTER)?;
    device.set_mode_server()?;
    // For the receive queue to be waited for: that takes a datagram.
    let udp = device.listen(rig.wire(Side::A, Transport::V4), false)?;
    rig.configure_some(&[Side::A])?;
    let queue = rig.within(Side::B, || Far::at(rig.wire(Side::B, Transport::V4).ip(), udp))?;
    wait_for_queue(&device, &queue)?;
    let mut at = Vec::new();
    for over in [Transport::V4, Transport::V6] {
        at.push(device.listen_more(Protocol::Tcp, rig.wire(Side::A, over), true)?);
    }
    let server = Server { rig, machine, device };
    let mut clients = Vec::new();
    for id in 1..=CLIENTS {
        clients.push(server.connect(at[usize::from(id % 2 == 1)], id.into())?);
    }
    checks.check("echoes", || server.echoes(&mut clients));
    checks.check("counters of each", || server.counters(&clients));
    checks.check("networks behind clients", || server.networks(&mut clients));
    checks.check("client to client", || server.client_to_client(&mut clients));
    checks.check("control packets both ways under traffic", || server.talk(&at, &mut clients));
    checks.check("connects that never speak", || server.silence(&at, &mut clients));
    checks.check("resets under traffic, and clients that come again", || server.resets(&at, &mut clients));
    checks.check("clients that do not read", || server.stalls(&at, &mut clients));
    checks.check("close under traffic", || server.close_under_traffic(&mut clients));
    Ok(())
}

/// A packet behind an address that names a listener.
fn by(address: SocketAddr, listener: u32, packet: &[u8]) -> Vec<u8> {
    let union = dco_uapi::raw::SockaddrUnion::from(address).with_listener(listener);
    let length = if address.is_ipv4() { 16 } else { 28 };
    [&union.bytes[..length], packet].concat()
}

fn hello(tag: u32) -> Vec<u8> {
    [&[CONTROL][..], &tag.to_be_bytes(), &[0x5A; 40]].concat()
}

impl Server<'_> {
    /// A connection whose first packet is read. The listener may be dead, or die with the connection unaccepted: then the client tries again.
    pub(super) fn meet(&self, (listener, at): (u32, SocketAddr)) -> Result<Far> {
        let deadline = Instant::now() + SOON;
        let mut read = self.device.read(READ_LENGTH)?;
        for tag in 0.. {
            ensure!(Instant::now() < deadline, "expected a connection within {SOON:?}, {tag} tries failed");
            let Ok(far) = self.rig.within(Side::B, || Far::connected(at)) else {
                thread::sleep(Duration::from_millis(1));
                continue;
            };
            // One that is reset meanwhile shows below.
            let _ = far.send(&hello(tag));
            let remote = far.address()?;
            let connection = far.connection()?;
            let came = loop {
                let came = read.wait(Duration::from_millis(50))?;
                if came.is_some() || connection.is_over()? {
                    break came;
                }
            };
            if let Some(came) = came {
                ensure!(came.status == NtStatus::SUCCESS, "read: expected SUCCESS, got {}", came.status);
                let expected = by(remote, listener, &hello(tag));
                ensure!(came.output == expected, "expected {expected:02x?}, got {:02x?}", came.output);
                return Ok(Far::over(connection, remote));
            }
        }
        unreachable!("it returns")
    }

    /// A client that connects, shakes hands, and becomes a peer with a key, as userspace would have it.
    pub(super) fn connect(&self, (listener, at): (u32, SocketAddr), id: i32) -> Result<Guest> {
        let far = self.rig.within(Side::B, || Far::connected(at))?;
        let remote = far.address()?;
        far.send(&hello(id.cast_unsigned()))?;
        let came = self.read()?;
        ensure!(came == by(remote, listener, &hello(id.cast_unsigned())), "client {id}: got {came:02x?}");
        let written = self.device.write(&by(remote, listener, &hello(!id.cast_unsigned())))?.status;
        ensure!(written == NtStatus::SUCCESS, "client {id}: a write ended with {written}");
        let came = far.receive(SOON)?;
        ensure!(came == Some(hello(!id.cast_unsigned())), "client {id}: expected the answer, got {came:02x?}");
        let vpn = Guest::vpn(self.rig, id);
        let [IpAddr::V4(vpn4), IpAddr::V6(vpn6)] = vpn else { bail!("expected an address of each version") };
        self.device.add_peer_by(&Client { id, remote, vpn4: Some(vpn4), vpn6: Some(vpn6) }, listener)?;
        let key = StaticKey::of_test(id as u64, Cipher::ALL[id as usize % Cipher::ALL.len()], DRIVER);
        self.device.new_key(&key, Slot::Primary, 1, id.cast_unsigned())?;
        let key = DataKey::opposite(&key, 1, id.cast_unsigned())?;
        Ok(Guest { id, far, key, vpn, sent: 0, came: 0, inner: [0; 2], packets: [0; 2] })
    }

    fn read(&self) -> Result<Vec<u8>> {
        let came = self.device.read(READ_LENGTH)?.wait(SOON)?.context("expected a control packet, none came")?;
        ensure!(came.status == NtStatus::SUCCESS, "read: expected SUCCESS, got {}", came.status);
        Ok(came.output)
    }

    /// Control packets while echoes are under way: none is lost, each comes from and goes where it should, in order.
    fn talk(&self, at: &[(u32, SocketAddr)], clients: &mut [Guest]) -> Result<String> {
        const ROUNDS: u32 = 20;
        for round in 0..ROUNDS {
            for client in clients.iter_mut() {
                client.send(&echo_request(client.vpn[0], self.inside(false), 300, round))?;
                client.far.send(&hello(round))?;
            }
            // In any order: the clients' are in different connections.
            for _ in 0..clients.len() {
                let came = self.read()?;
                let known = clients.iter().try_fold(false, |known, client| -> Result<bool> {
                    let (listener, _) = at[usize::from(client.id % 2 == 1)];
                    Ok(known || came == by(client.far.address()?, listener, &hello(round)))
                })?;
                ensure!(known, "round {round}: nobody sent {came:02x?}");
            }
            for client in clients.iter_mut() {
                let (listener, _) = at[usize::from(client.id % 2 == 1)];
                let answer = hello(round + 1000);
                let written = self.device.write(&by(client.far.address()?, listener, &answer))?.status;
                ensure!(written == NtStatus::SUCCESS, "client {}: a write ended with {written}", client.id);
                // The reply and the answer, in whichever order they were sent.
                let (mut echoed, mut answered) = (false, false);
                while !(echoed && answered) {
                    let Some(packet) = client.far.receive(SOON)? else { bail!("client {}: nothing came", client.id) };
                    if packet == answer {
                        answered = true;
                    } else {
                        client.take(&packet)?;
                        echoed = true;
                    }
                }
            }
        }
        Ok(format!("{} each way, none lost", ROUNDS as usize * clients.len()))
    }

    /// Connections without a word, and with less than one, beside those that speak.
    fn silence(&self, at: &[(u32, SocketAddr)], clients: &mut [Guest]) -> Result<String> {
        const SILENT: usize = 100;
        let mut silent = Vec::new();
        for n in 0..SILENT {
            let far = self.rig.within(Side::B, || Far::connected(at[n % 2].1))?;
            let mut connection = far.connection()?;
            if n % 3 == 0 {
                connection.send(&[5], 0)?;
            }
            silent.push(connection);
        }
        self.each_pings(clients, 3)?;
        for connection in silent {
            connection.reset()?;
        }
        self.each_pings(clients, 3)?;
        let mut late = self.connect(at[0], 99)?;
        late.pings(late.vpn[0], self.inside(false), 300, 1)?;
        self.device.del_client(99)?;
        let came = self.told(self.device.notify_event()?)?;
        ensure!(came == Event::DelPeer(99, 1), "expected DEL_PEER of 99, got {came:?}");
        Ok(format!("{SILENT} of them; a handshake after them"))
    }

    fn each_pings(&self, clients: &mut [Guest], rounds: u32) -> Result<()> {
        for round in 0..rounds {
            for client in clients.iter_mut() {
                client.pings(client.vpn[0], self.inside(false), 400, round)?;
            }
        }
        Ok(())
    }

    /// Some clients send, reset, connect and become peers again, over and over; the others' echoes go on, and none is lost.
    fn resets(&self, at: &[(u32, SocketAddr)], clients: &mut [Guest]) -> Result<String> {
        const LIVES: i32 = 200;
        let exchanged = self.while_others(clients, || (0..LIVES).try_for_each(|n| self.life(at[n as usize % 2], n)))?;
        let left = self.device.all_client_stats()?.len();
        ensure!(left == clients.len(), "expected {} peers left, got {left}", clients.len());
        Ok(format!("{LIVES} lives; {exchanged} echoes of those that stayed, none lost"))
    }

    fn life(&self, at: (u32, SocketAddr), n: i32) -> Result<()> {
        let id = 40 + n % 100;
        let mut guest = self.connect(at, id)?;
        guest.pings(guest.vpn[0], self.inside(false), 300, n as u32)?;
        for _ in 0..20 {
            guest.send(&echo_request(guest.vpn[0], self.inside(false), 1000, n as u32))?;
        }
        let connection = guest.far.connection()?;
        match n % 3 {
            0 => connection.reset()?,
            1 => {
                // Half a packet, then the end.
                let mut connection = connection;
                connection.send(&[2, 0, 0x48, 0, 0], 0)?;
                connection.finish()?;
            }
            _ => {
                self.device.del_client(id)?;
                let came = self.told(self.device.notify_event()?)?;
                ensure!(came == Event::DelPeer(id, 1), "life {n}: got {came:?}");
                let mut connection = connection;
                // Echoes of what was under way, then the end.
                connection.end()?;
                return Ok(());
            }
        }
        let came = self.told(self.device.notify_event()?)?;
        ensure!(came == Event::DelPeer(id, DISCONNECTED), "life {n}: got {came:?}");
        Ok(())
    }

    /// Clients that ask for far more than they read: others do not feel it, and what has no room is lost by name.
    fn stalls(&self, at: &[(u32, SocketAddr)], clients: &mut [Guest]) -> Result<String> {
        let lost = self.drop_count("TxQueueFull")?;
        let mut stalled = Vec::new();
        for n in 0..8 {
            stalled.push(self.connect(at[n % 2], 200 + n as i32)?);
        }
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut asked = 0;
        while self.drop_count("TxQueueFull")? < lost + 1000 {
            ensure!(Instant::now() < deadline, "expected losses by name after {asked} echoes to nobody who reads");
            for _ in 0..50 {
                for guest in &mut stalled {
                    asked += 1;
                    guest.send(&echo_request(guest.vpn[0], self.inside(false), 1400, asked))?;
                }
            }
            // The others, all the while.
            for client in clients.iter_mut() {
                client.pings(client.vpn[0], self.inside(false), 600, asked)?;
            }
        }
        // By whose packets they were, too.
        let of = |guest: &Guest| -> Result<i64> {
            let found = self.device.peer_drops(guest.id)?.into_iter().find(|(name, _)| name == "TxQueueFull");
            found.map(|(_, count)| count).context("expected the count TxQueueFull, there is none")
        };
        self.eventually("the losses of each to add up", || {
            let each = stalled.iter().map(of).collect::<Result<Vec<_>>>()?;
            Ok(each.iter().all(|count| *count > 0)
                && each.iter().sum::<i64>() == self.drop_count("TxQueueFull")? - lost)
        })?;
        for client in clients.iter() {
            let lost = of(client)?;
            ensure!(lost == 0, "client {}: expected no loss, got {lost}", client.id);
        }
        for guest in stalled {
            let id = guest.id;
            guest.far.connection()?.reset()?;
            let came = self.told(self.device.notify_event()?)?;
            ensure!(came == Event::DelPeer(id, DISCONNECTED), "client {id}: got {came:?}");
        }
        self.each_pings(clients, 3)?;
        Ok(format!("8 clients, {asked} echoes to them; the others lost none"))
    }
}

/// The network stack gives one listening socket after the other up. Clients that come find the next one, the connections that there are go
/// on, and userspace notices nothing. `after`: how many connections each one accepts.
pub(super) fn dead_listeners(rig: &Rig, machine: &Machine, after: i64) -> Result<String> {
    let device = Device::open(&machine.lab, ADAPTER)?;
    device.set_mode_server()?;
    let udp = device.listen(rig.wire(Side::A, Transport::V4), false)?;
    rig.configure_some(&[Side::A])?;
    wait_for_queue(&device, &rig.within(Side::B, || Far::at(rig.wire(Side::B, Transport::V4).ip(), udp))?)?;
    let at = device.listen_more(Protocol::Tcp, rig.wire(Side::A, Transport::V6), true)?;
    let server = Server { rig, machine, device };
    let before = machine.netcx("wsk_stream_accepted")?;
    let mut stays = [server.connect(at, 1)?];
    let accepted = || Ok::<_, anyhow::Error>(machine.netcx("wsk_stream_accepted")? - before);
    while accepted()? < 4 * after {
        let far = server.meet(at)?;
        far.connection()?.reset()?;
        let told = server.device.notify_event()?.wait(SOON)?.context("expected the end of a connection to be told")?;
        ensure!(told.output.starts_with(&0x800i32.to_le_bytes()), "expected the end of a connection, got {told:02x?}");
        server.each_pings(&mut stays, 1)?;
    }
    drop(server.meet(at)?);
    server.device.notify_event()?.wait(SOON)?.context("expected the end of a connection to be told")?;
    let mut late = server.connect(at, 2)?;
    late.pings(late.vpn[0], server.inside(false), 300, 1)?;
    let left = server.device.all_client_stats()?.len();
    ensure!(left == 2, "expected 2 peers, got {left}");
    server.device.close()?;
    Ok(format!("{} of them; a peer by the first and one by the last", accepted()? / after))
}

impl Guest {
    /// A packet that came: the next of its key.
    fn take(&mut self, packet: &[u8]) -> Result<()> {
        let Some(opened) = self.key.open(packet)? else { bail!("client {}: a packet of another key", self.id) };
        ensure!(echo(&opened.inner).is_some(), "client {}: expected an echo, got {:02x?}", self.id, opened.inner);
        ensure!(opened.packet_id == self.came + 1, "client {}: expected packet {}", self.id, self.came + 1);
        self.came += 1;
        self.inner[1] += opened.inner.len() as i64;
        self.packets[1] += 1;
        Ok(())
    }
}
