//! The driver as a server, with clients that are far ends of this process's own: traffic of both IP versions through the machine's
//! stack, from client to client, networks behind clients, floats, clients that come and go, a close under traffic.

mod crowd;
mod events;
mod layouts;
mod listeners;
mod mss;
mod power;
mod tcp;

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use dco_uapi::raw;

use crate::device::{ADAPTER, Client, Device, Event, Slot};
use crate::far::{DRIVER, DataKey, Far, OVERHEAD};
use crate::join::joined;
use crate::key::{Cipher, StaticKey};
use crate::options::{Item, Options, Usage};
use crate::rig::{Checks, Machine, RIG_HELP, Rig, RigOptions, Side, Transport};
use crate::tunnel::wait_for_queue;

/// How long a packet may take, and a counter to follow it.
const SOON: Duration = Duration::from_secs(10);

/// Clients, half of them over IPv4 and half over IPv6.
const CLIENTS: u8 = 20;

/// Peers of a crowd: enough for those that send to be some, no more than an address's three bytes tell apart.
const CROWD: std::ops::RangeInclusive<i32> = 1000..=2_000_000;

/// `server`.
pub fn run(mut options: Options) -> Result<ExitCode> {
    let help = format!(
        "usage: dco-cli server [--tcp] --lab PROGRAM --sys FILE --a NETNS,IP4,IP6 --b NETNS,IP4,IP6 [--peers N]\n\n\
         A lab loads the driver in the first namespace; it serves {CLIENTS} clients, sockets of this process in the second one, with\n\
         static keys: echoes over both IP versions, from client to client, networks behind clients, floats, clients that come and go, a\n\
         close under traffic, and a clean unload.\n\n\
         \x20 --tcp               the clients are connections to TCP listeners instead: also control packets under traffic, connects\n\
         \x20                     that never speak, resets, clients that do not read\n\
         {RIG_HELP}\n\
         \x20 --peers N           instead, so many peers (1000 and more), of which some send: what it takes in time and memory\n\n\
         example:\n  dco-cli server --lab target/release/dco-lab --sys target/driver/ovpn-dco.sys \\\n\
         \x20   --a left,10.87.0.1,fd87::1 --b right,10.87.0.2,fd87::2"
    );
    let (mut rig, mut peers, mut over_tcp) = (RigOptions::default(), None, false);
    while let Some(item) = options.item()? {
        match &item {
            Item::Option(name) if name == "help" => {
                println!("{help}");
                return Ok(ExitCode::SUCCESS);
            }
            Item::Option(name) if name == "tcp" => over_tcp = true,
            Item::Option(name) if name == "peers" => peers = Some(options.value("peers")?),
            item if rig.take(item, &mut options)? => {}
            item => return Err(Options::unexpected(item)),
        }
    }
    if let Some(peers) = peers.filter(|peers| !CROWD.contains(peers)) {
        return Err(Usage::new(format!("--peers: expected {CROWD:?}, got {peers}")).into());
    }
    let rig = rig.rig()?;
    let machine = match rig.start_one(Side::A, &[])? {
        Ok(machine) => machine,
        Err(ended) => bail!("the lab ended with {:?}:\n{}", ended.code, ended.log),
    };
    let mut checks = Checks::default();
    let checked = match peers {
        None => {
            let check = if over_tcp { tcp::check_all } else { check_all };
            let checked = check(&rig, &machine, &mut checks);
            checks.check("adapter torn out under traffic", || power::surprise(&rig, &machine));
            checked
        }
        Some(peers) => crowd::check_all(&rig, &machine, peers, &mut checks),
    };
    checks.check("unload", || {
        machine.stop()?;
        rig.expect_no_tun()?;
        Ok("nothing left behind, nothing violated".into())
    });
    checked?;
    power::check_mortal(&rig, &mut checks)?;
    if !over_tcp && peers.is_none() {
        layouts::check(&rig, &mut checks)?;
        events::check(&rig, &mut checks)?;
    }
    println!("{} passed, {} failed", checks.passed, checks.failed);
    Ok(if checks.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn check_all(rig: &Rig, machine: &Machine, checks: &mut Checks) -> Result<()> {
    let (server, mut clients) = Server::with_clients(rig, machine, CLIENTS.into())?;
    let before = server.device.stats()?;
    ensure!(before.0.tun_bytes_received.get() == 0, "expected no packet yet, got\n{before}");
    checks.check("echoes", || server.echoes(&mut clients));
    checks.check("counters of each", || server.counters(&clients));
    checks.check("nobody's address", || server.nobody(&mut clients));
    checks.check("networks behind clients", || server.networks(&mut clients));
    checks.check("client to client", || server.client_to_client(&mut clients));
    checks.check("MSS", || server.mss(&mut clients));
    checks.check("several listeners", || server.several_listeners(&mut clients));
    checks.check("floats", || server.floats(&mut clients));
    checks.check("clients that come and go under traffic", || server.come_and_go(&mut clients));
    checks.check("disable", || server.disable(&mut clients));
    checks.check("sleep", || server.sleep(&mut clients));
    checks.check("close under traffic", || server.close_under_traffic(&mut clients));
    Ok(())
}

/// A client.
pub struct Guest {
    id: i32,
    /// Where it is.
    pub far: Far,
    /// What it seals and opens with.
    pub key: DataKey,
    /// Inside the tunnel, of either IP version.
    pub vpn: [IpAddr; 2],
    sent: u32,
    /// The driver's last packet id.
    came: u32,
    /// Bytes of inner packets, in and out.
    inner: [i64; 2],
    packets: [i64; 2],
}

/// An inner echo request: ICMP or ICMPv6, with a payload that tells it from others.
pub fn echo_request(from: IpAddr, to: IpAddr, length: usize, tag: u32) -> Vec<u8> {
    let v6 = from.is_ipv6();
    let header = if v6 { 40 } else { 20 };
    let mut packet = crate::far::between(from, to, length, tag);
    let [high, low] = (tag as u16).to_be_bytes();
    packet[header..header + 8].copy_from_slice(&[if v6 { 128 } else { 8 }, 0, 0, 0, 0x77, 0x77, high, low]);
    let mut pseudo = Vec::new();
    if v6 {
        packet[6] = 58;
        pseudo.extend(&packet[8..40]);
        pseudo.extend(((length - header) as u32).to_be_bytes());
        pseudo.extend([0, 0, 0, 58]);
    } else {
        packet[9] = 1;
        packet[10..12].fill(0);
        let sum = checksum(&packet[..20]);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
    }
    pseudo.extend(&packet[header..]);
    let sum = checksum(&pseudo);
    packet[header + 2..header + 4].copy_from_slice(&sum.to_be_bytes());
    packet
}

fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 =
        bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0))).sum();
    while sum >> 16 != 0 {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    !sum as u16
}

/// Source, destination and payload of an echo, and whether it is a reply; `None` for anything else.
pub fn echo(packet: &[u8]) -> Option<(IpAddr, IpAddr, bool, &[u8])> {
    let (header, from, to): (usize, IpAddr, IpAddr) = match packet.first()? >> 4 {
        4 if packet.get(9) == Some(&1) => {
            let v4 = |at: usize| packet.get(at..at + 4).and_then(|octets| <[u8; 4]>::try_from(octets).ok());
            (20, v4(12)?.into(), v4(16)?.into())
        }
        6 if packet.get(6) == Some(&58) => {
            let v6 = |at: usize| packet.get(at..at + 16).and_then(|octets| <[u8; 16]>::try_from(octets).ok());
            (40, v6(8)?.into(), v6(24)?.into())
        }
        _ => return None,
    };
    match packet.get(header)? {
        0 | 129 => Some((from, to, true, packet.get(header + 8..)?)),
        8 | 128 => Some((from, to, false, packet.get(header + 8..)?)),
        _ => None,
    }
}

impl Guest {
    fn vpn(rig: &Rig, id: i32) -> [IpAddr; 2] {
        let host = id as u8 + 10;
        [Transport::V4, Transport::V6].map(|inner| match rig.tunnel(Side::A, inner) {
            IpAddr::V4(v4) => {
                let [a, b, c, _] = v4.octets();
                Ipv4Addr::new(a, b, c, host).into()
            }
            IpAddr::V6(v6) => {
                let mut segments = v6.segments();
                segments[7] = host.into();
                Ipv6Addr::from(segments).into()
            }
        })
    }

    /// A socket for a client: IPv4 for an even id, IPv6 for an odd one.
    pub fn far(rig: &Rig, id: i32) -> Result<Far> {
        let over = if id % 2 == 0 { Transport::V4 } else { Transport::V6 };
        let (here, driver) = (rig.wire(Side::B, over).ip(), rig.wire(Side::A, over));
        rig.within(Side::B, || Far::at(here, driver))
    }

    /// A client that the driver knows, with a key.
    pub fn join(rig: &Rig, device: &Device, id: i32, vpn: Option<[IpAddr; 2]>) -> Result<Self> {
        let far = Self::far(rig, id)?;
        let vpn = vpn.unwrap_or_else(|| Self::vpn(rig, id));
        let [IpAddr::V4(vpn4), IpAddr::V6(vpn6)] = vpn else { bail!("expected an address of each version") };
        device.add_peer(&Client { id, remote: far.address()?, vpn4: Some(vpn4), vpn6: Some(vpn6) })?;
        let ciphers = Cipher::ALL;
        let key = StaticKey::of_test(id as u64, ciphers[id as usize % ciphers.len()], DRIVER);
        device.new_key(&key, Slot::Primary, (id % 8) as u8, id.cast_unsigned())?;
        let key = DataKey::opposite(&key, (id % 8) as u8, id.cast_unsigned())?;
        Ok(Self { id, far, key, vpn, sent: 0, came: 0, inner: [0; 2], packets: [0; 2] })
    }

    /// A client that is there, and what it seals and opens with.
    pub fn of(rig: &Rig, id: i32, far: Far, key: DataKey) -> Self {
        Self { id, far, key, vpn: Self::vpn(rig, id), sent: 0, came: 0, inner: [0; 2], packets: [0; 2] }
    }

    /// Sends an inner packet.
    pub fn send(&mut self, inner: &[u8]) -> Result<()> {
        self.sent += 1;
        self.inner[0] += inner.len() as i64;
        self.packets[0] += 1;
        self.far.send(&self.key.seal(self.sent, inner)?)
    }

    /// The next packet for this client. Its number is the next one, too: the wire loses nothing and keeps the order.
    fn receive(&mut self, patience: Duration) -> Result<Option<Vec<u8>>> {
        let Some(packet) = self.far.receive(patience)? else { return Ok(None) };
        let Some(opened) = self.key.open(&packet)? else { bail!("client {}: a packet of another key", self.id) };
        ensure!(
            opened.peer_id == self.id.cast_unsigned() && opened.packet_id == self.came + 1,
            "client {}: expected packet {}, got {} for {}",
            self.id,
            self.came + 1,
            opened.packet_id,
            opened.peer_id
        );
        self.came += 1;
        self.inner[1] += opened.inner.len() as i64;
        self.packets[1] += 1;
        Ok(Some(opened.inner))
    }

    /// That the driver has counted what this client sent and got, and nothing else.
    pub fn expect_counted(&self, peer: &raw::PeerStats) -> Result<()> {
        let overhead = OVERHEAD as i64;
        let link = [0, 1].map(|n| self.inner[n] + self.packets[n] * overhead);
        let expected = [self.id.into(), link[0], link[1], self.inner[0], self.inner[1]];
        let came = [
            peer.peer_id.get().into(),
            peer.link_rx_bytes.get(),
            peer.link_tx_bytes.get(),
            peer.vpn_rx_bytes.get(),
            peer.vpn_tx_bytes.get(),
        ];
        ensure!(came == expected, "expected {expected:?}, got {came:?}");
        Ok(())
    }

    /// Sends an echo request and expects its reply.
    pub fn pings(&mut self, from: IpAddr, to: IpAddr, length: usize, tag: u32) -> Result<()> {
        let request = echo_request(from, to, length, tag);
        self.send(&request)?;
        let (_, _, _, payload) = echo(&request).context("an echo request of our own")?;
        let who = || format!("client {}: {from} to {to}, {length} bytes", self.id);
        let what = who();
        let reply = self.receive(SOON)?.with_context(|| format!("{what}: expected a reply, none came"))?;
        let came = echo(&reply).with_context(|| format!("{what}: expected an echo, got {reply:02x?}"))?;
        ensure!(came == (to, from, true, payload), "{what}: got {came:?}");
        Ok(())
    }
}

/// What runs the checks.
struct Server<'a> {
    rig: &'a Rig,
    machine: &'a Machine,
    device: Device,
}

impl<'a> Server<'a> {
    /// One socket for both IP versions, and so many clients with keys.
    fn with_clients(rig: &'a Rig, machine: &'a Machine, count: i32) -> Result<(Self, Vec<Guest>)> {
        let device = Device::open(&machine.lab, ADAPTER)?;
        device.set_mode_server()?;
        device.listen(([0u16; 8], rig.wire(Side::A, Transport::V4).port()).into(), false)?;
        rig.configure_some(&[Side::A])?;
        wait_for_queue(&device, &Guest::far(rig, 0)?)?;
        let clients = (1..=count).map(|id| Guest::join(rig, &device, id, None)).collect::<Result<_>>()?;
        Ok((Self { rig, machine, device }, clients))
    }
}

impl Server<'_> {
    fn inside(&self, v6: bool) -> IpAddr {
        self.rig.tunnel(Side::A, if v6 { Transport::V6 } else { Transport::V4 })
    }

    fn drop_count(&self, name: &str) -> Result<i64> {
        let found = self.device.drops()?.into_iter().find(|(found, _)| found == name);
        found.map(|(_, count)| count).with_context(|| format!("expected the drop reason {name}, there is none"))
    }

    fn ip(&self, words: &[&str]) -> Result<()> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let status = self.rig.within(Side::A, || Ok(Command::new("ip").args(&words).status()?))?;
        ensure!(status.success(), "ip {}: ended with {status}", words.join(" "));
        Ok(())
    }

    fn echoes(&self, clients: &mut [Guest]) -> Result<String> {
        // Of each client. All replies fit into the 500 places of the TUN device's queue, if the lab comes late to it.
        const ROUNDS: u32 = 20;
        const WAVES: u32 = 5;
        let mut count = 0;
        for v6 in [false, true] {
            for length in [48, 49, 500, 1279, 1280, 1499, 1500] {
                for client in &mut *clients {
                    count += 1;
                    client.pings(client.vpn[usize::from(v6)], self.inside(v6), length, count)?;
                }
            }
        }
        // Many under way at once, to many peers: several destinations in what is sent together.
        for wave in 0..WAVES {
            for round in 0..ROUNDS {
                let from = usize::from(round % 2 == 1);
                for client in &mut *clients {
                    client.send(&echo_request(client.vpn[from], self.inside(from == 1), 200, round))?;
                }
            }
            for client in &mut *clients {
                for n in 0..ROUNDS {
                    let reply = client.receive(SOON)?;
                    let reply = reply.with_context(|| {
                        format!("client {}, wave {wave}: reply {n} of {ROUNDS}; lost: {}", client.id, self.lost())
                    })?;
                    ensure!(echo(&reply).is_some_and(|echo| echo.2), "client {}: got {reply:02x?}", client.id);
                }
            }
        }
        Ok(format!("{count} one by one, {WAVES} times {} at once", ROUNDS as usize * clients.len()))
    }

    /// What was lost, by the driver and by the stack on its way to the adapter, in words.
    fn lost(&self) -> String {
        let drops = self.device.drops().unwrap_or_default().into_iter().filter(|(_, count)| *count != 0);
        // Transmit drops: the fourth field of the second half.
        let devices =
            self.rig.within(Side::A, || Ok(fs::read_to_string("/proc/thread-self/net/dev")?)).unwrap_or_default();
        let tun = devices.lines().find_map(|line| line.trim().strip_prefix(&format!("{}:", self.rig.tun())));
        let stack = tun.and_then(|fields| fields.split_whitespace().nth(11));
        format!("driver {:?}, TUN device {:?}", drops.collect::<Vec<_>>(), stack)
    }

    /// What the clients sent and got is what is counted: a moment later, for a batch is counted when it ends, and what it carried may be
    /// there before.
    fn counters(&self, clients: &[Guest]) -> Result<String> {
        let deadline = Instant::now() + SOON;
        loop {
            match self.counted(clients) {
                Err(_) if Instant::now() < deadline => thread::sleep(Duration::from_millis(1)),
                outcome => return outcome,
            }
        }
    }

    fn counted_each(&self, clients: &[Guest]) -> Result<()> {
        let mut all = self.device.all_client_stats()?;
        all.sort_by_key(|peer| peer.peer_id.get());
        ensure!(all.len() == clients.len(), "expected {} peers, got {}", clients.len(), all.len());
        clients.iter().zip(&all).try_for_each(|(client, peer)| client.expect_counted(peer))
    }

    fn counted(&self, clients: &[Guest]) -> Result<String> {
        self.counted_each(clients)?;
        let sum = |n: usize| clients.iter().map(|client| client.inner[n]).sum::<i64>();
        let stats = self.device.stats()?;
        let came = [stats.0.tun_bytes_received.get(), stats.0.tun_bytes_sent.get()];
        ensure!(came == [sum(0), sum(1)], "expected {:?} bytes, got {came:?}", [sum(0), sum(1)]);
        let early = self.drop_count("RxNoQueue")?;
        let lost = [i64::from(stats.0.lost_in_data_packets.get()) - early, stats.0.lost_out_data_packets.get().into()];
        ensure!(lost == [0, 0], "expected no loss, got {lost:?}");
        Ok(format!("{} and {} bytes", came[0], came[1]))
    }

    fn nobody(&self, clients: &mut [Guest]) -> Result<String> {
        let before = self.drop_count("TxNoPeer")?;
        let IpAddr::V4(inside) = self.inside(false) else { bail!("expected an IPv4 address") };
        let [a, b, c, _] = inside.octets();
        let socket = self.rig.socket(Side::A, Transport::V4)?;
        socket.send_to(b"is anybody there", (Ipv4Addr::new(a, b, c, 250), 7))?;
        self.eventually("TxNoPeer", || Ok(self.drop_count("TxNoPeer")? == before + 1))?;
        let first = clients.first_mut().context("a client")?;
        ensure!(first.receive(Duration::from_millis(100))?.is_none(), "expected nothing for another client");
        Ok("dropped by name".into())
    }

    fn networks(&self, clients: &mut [Guest]) -> Result<String> {
        let tun = self.rig.tun();
        let host = |n: u8, last: u8| IpAddr::from([172, 16 + n, 0, last]);
        let host6 = |n: u16| IpAddr::from([0xfd50, n, 0, 0, 0, 0, 0, 5]);
        self.ip(&["route", "add", "172.16.0.0/12", "dev", &tun])?;
        self.ip(&["-6", "route", "add", "fd50::/16", "dev", &tun])?;
        // All behind the first but what is behind the others.
        self.device.add_iroute(host(0, 0), 12, 1)?;
        self.device.add_iroute(host6(0), 16, 1)?;
        for client in clients.iter().skip(1) {
            self.device.add_iroute(host(client.id as u8 % 8, 8 * client.id as u8), 29, client.id)?;
            self.device.add_iroute(host6(client.id as u16), 32, client.id)?;
        }
        for round in 0..10 {
            for client in clients.iter_mut() {
                let (own, own6) = match client.id {
                    1 => (host(15, 1), host6(999)),
                    id => (host(id as u8 % 8, 8 * id as u8 + 3), host6(id as u16)),
                };
                client.pings(own, self.inside(false), 100, round)?;
                client.pings(own6, self.inside(true), 100, round)?;
            }
        }
        Ok(format!("{} networks, two lengths a version", 2 * clients.len()))
    }

    fn client_to_client(&self, clients: &mut [Guest]) -> Result<String> {
        self.rig.within(Side::A, || {
            std::fs::write("/proc/sys/net/ipv4/ip_forward", "1")?;
            std::fs::write("/proc/sys/net/ipv6/conf/all/forwarding", "1")?;
            // Told to go straight, clients would: a redirect for each packet is not what is counted here.
            std::fs::write("/proc/sys/net/ipv4/conf/all/send_redirects", "0")?;
            std::fs::write(format!("/proc/sys/net/ipv4/conf/{}/send_redirects", self.rig.tun()), "0")?;
            Ok(())
        })?;
        let count = clients.len();
        let mut pairs = 0;
        for from in 0..count {
            let to = (from + 1 + from % 3) % count;
            for version in [0, 1] {
                let (source, target) = (clients[from].vpn[version], clients[to].vpn[version]);
                let request = echo_request(source, target, 300, from as u32);
                clients[from].send(&request)?;
                let came = loop {
                    let Some(came) = clients[to].receive(SOON)? else { bail!("{source} to {target}: it did not come") };
                    if echo(&came).is_some() {
                        break came;
                    }
                };
                let (_, _, _, payload) = echo(&request).context("an echo request of our own")?;
                let came = echo(&came).context("an echo")?;
                ensure!(came == (source, target, false, payload), "{source} to {target}: got {came:?}");
                pairs += 1;
            }
        }
        Ok(format!("{pairs} pairs, forwarded by the stack"))
    }

    fn floats(&self, clients: &mut [Guest]) -> Result<String> {
        const ROUNDS: u32 = 5;
        for round in 0..ROUNDS {
            for client in clients.iter_mut() {
                let pending = self.device.notify_event()?;
                let far = Guest::far(self.rig, client.id)?;
                let here = match far.address()? {
                    SocketAddr::V4(v4) => (v4.ip().to_ipv6_mapped(), v4.port()).into(),
                    v6 @ SocketAddr::V6(_) => v6,
                };
                // The old socket stays open until the peer is elsewhere: what still goes there would fail the check.
                let old = std::mem::replace(&mut client.far, far);
                self.drain(client)?;
                client.pings(client.vpn[0], self.inside(false), 100, round)?;
                let came = self.told(pending)?;
                ensure!(
                    came == Event::Float(client.id, here),
                    "expected a float of {} to {here}, got {came:?}",
                    client.id
                );
                drop(old);
            }
        }
        Ok(format!("{} floats, each told", ROUNDS as usize * clients.len()))
    }

    /// Nothing is under way to this client.
    fn drain(&self, client: &mut Guest) -> Result<()> {
        while client.receive(Duration::from_millis(1))?.is_some() {}
        Ok(())
    }

    fn told(&self, mut pending: Box<dyn crate::targets::Pending>) -> Result<Event> {
        let came = pending.wait(SOON)?.context("expected an event, none came")?;
        Event::from_bytes(&came.output)
    }

    fn come_and_go(&self, clients: &mut [Guest]) -> Result<String> {
        const LIVES: i32 = 500;
        let exchanged = self.while_others(clients, || (0..LIVES).try_for_each(|n| self.one_life(n)))?;
        let left = self.device.all_client_stats()?.len();
        ensure!(left == clients.len(), "expected {} peers left, got {left}", clients.len());
        // Userspace asked for each end itself; it is told all the same, up to what the queue holds.
        for n in 0..LIVES {
            let came = self.told(self.device.notify_event()?)?;
            ensure!(came == Event::DelPeer(1000 + n, 1), "event {n}: got {came:?}");
        }
        Ok(format!("{LIVES} lives; {exchanged} echoes of those that stayed, none lost"))
    }

    /// Does something in a thread of its own, while these clients exchange echoes and lose none; how many.
    fn while_others(&self, clients: &mut [Guest], act: impl FnOnce() -> Result<()> + Send) -> Result<u32> {
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            let others = scope.spawn(|| {
                let acted = act();
                done.store(true, Ordering::SeqCst);
                acted
            });
            let stayed = (|| -> Result<u32> {
                let mut tag = 0;
                while !done.load(Ordering::SeqCst) {
                    for client in clients.iter_mut() {
                        tag += 1;
                        client.pings(client.vpn[(tag % 2) as usize], self.inside(tag % 2 == 1), 200, tag)?;
                    }
                }
                Ok(tag)
            })();
            // Whatever came of it, the thread has to end first.
            let acted = joined(others);
            let exchanged = stayed?;
            acted.map(|()| exchanged)
        })
    }

    /// A peer comes, is rekeyed, sends and gets a packet, and goes, sometimes with packets under way.
    fn one_life(&self, n: i32) -> Result<()> {
        let id = 1000 + n;
        let IpAddr::V4(inside) = self.inside(false) else { bail!("expected an IPv4 address") };
        let [a, b, c, _] = inside.octets();
        let vpn = [
            Ipv4Addr::new(a, b, c, 200 + (n % 40) as u8).into(),
            Ipv6Addr::new(0xFD88, 0, 0, 0xBEEF, 0, 0, 0, id as u16).into(),
        ];
        let mut guest = Guest::join(self.rig, &self.device, id, Some(vpn))?;
        self.device.add_iroute([172, 30, (n % 200) as u8, 0].into(), 24, id)?;
        guest.pings(vpn[0], self.inside(false), 300, n as u32)?;
        if n % 2 == 0 {
            let key = StaticKey::of_test(u64::from(id.unsigned_abs()) + 5000, Cipher::Aes256, DRIVER);
            self.device.new_key(&key, Slot::Secondary, ((id + 1) % 8) as u8, id.cast_unsigned())?;
            self.device.swap_client_keys(id)?;
            guest.key = DataKey::opposite(&key, ((id + 1) % 8) as u8, id.cast_unsigned())?;
            (guest.sent, guest.came) = (0, 0);
            guest.pings(vpn[0], self.inside(false), 300, n as u32)?;
        }
        for _ in 0..n % 8 {
            guest.send(&echo_request(vpn[0], self.inside(false), 300, n as u32))?;
        }
        self.device.del_client(id)
    }

    fn close_under_traffic(self, clients: &mut [Guest]) -> Result<String> {
        let Self { rig, machine, device } = self;
        let stop = AtomicBool::new(false);
        let inside = [Transport::V4, Transport::V6].map(|inner| rig.tunnel(Side::A, inner));
        let sent = thread::scope(|scope| -> Result<u64> {
            let flood = scope.spawn(|| -> Result<u64> {
                let mut sent = 0;
                while !stop.load(Ordering::SeqCst) {
                    for client in clients.iter_mut() {
                        let version = (sent % 2) as usize;
                        client.send(&echo_request(client.vpn[version], inside[version], 600, 1))?;
                        sent += 1;
                    }
                }
                Ok(sent)
            });
            thread::sleep(Duration::from_millis(300));
            let closed = device.close();
            stop.store(true, Ordering::SeqCst);
            let sent = joined(flood)?;
            closed.map(|()| sent)
        })?;
        ensure!(!machine.link_is_up()?, "expected the link down after close, it is up");
        Ok(format!("{sent} packets sent meanwhile; link down"))
    }

    fn eventually(&self, what: &str, is: impl Fn() -> Result<bool>) -> Result<()> {
        let deadline = Instant::now() + SOON;
        while !is()? {
            ensure!(Instant::now() < deadline, "expected {what} within {SOON:?}");
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}
