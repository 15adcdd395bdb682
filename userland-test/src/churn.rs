//! Peers come and go as fast as they can, between pairs of labs, while sound and unsound packets flow: nothing may break, leak or
//! stay behind.
//!
//! A thread drives each pair. In a round both ends make a peer with a key that was never used before, packets pass through the
//! tunnel both ways and have to come out as they went in, and both ends delete the peer: two lifecycles. Meanwhile other threads send
//! forged packets, control packets and rubbish from each end to the other, and read what comes, whether a peer is there or not.

mod server;

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use dco_uapi::{Ioctl, raw};
use zerocopy::IntoBytes;

use crate::device::{ADAPTER, Begun, Device, PROMPT, READ_LENGTH, Slot};
use crate::far::DataKey;
use crate::join::joined;
use crate::key::{self, Cipher, Direction, StaticKey};
use crate::options::{Item, Options, Usage};
use crate::rig::{Machine, RIG_HELP, Rig, RigOptions, Side, Transport, stop_both};
use crate::status::NtStatus;

/// The id in outgoing headers.
const PEER: u32 = 7;

/// How long a packet through the tunnel may take before it is sent again. What unsound packets crowd out of a queue is lost.
const AGAIN: Duration = Duration::from_millis(20);

/// Descriptors that a lab may have more than after its first peer.
const SPARE: usize = 16;

/// Unsound packets from each end, and how long a thread rests after so many.
const BURST: usize = 8;
const REST: Duration = Duration::from_millis(2);

/// `churn`.
pub fn run(mut options: Options) -> Result<ExitCode> {
    let help = format!(
        "usage: dco-cli churn --lab PROGRAM --sys FILE --a NETNS,IP4,IP6 --b NETNS,IP4,IP6 [--server] [--seconds N] [--lives N] [--threads N]\n\n\
         Peers come and go between labs, from NEW_PEER over keys and packets through the tunnel to DEL_PEER, while forged packets,\n\
         replays, unknown key ids, control packets and rubbish flow. Prints how many, and ends with a clean unload of each driver.\n\
         With --server it is one lab, a server's, in the first namespace, and clients in the second: their peers come, are rekeyed, move, and\n\
         go or expire, from several threads, while others stay and lose nothing.\n\n\
         {RIG_HELP}\n  --seconds N         how long (default 30)\n\
         \x20 --threads N         threads that make peers; each has two labs of its own, but for a server's (default 2, at most 32; of a\n\
         \x20                     server 15)\n\
         \x20 --lives N           of a server: ends after so many lives, unless --seconds ends it before\n\n\
         example:\n  dco-cli churn --seconds 900 --threads 4 --lab target/release/dco-lab --sys target/driver/ovpn-dco.sys \\\n\
         \x20   --a left,10.87.0.1,fd87::1 --b right,10.87.0.2,fd87::2"
    );
    let (mut rig, mut seconds, mut threads) = (RigOptions::default(), None, 2u8);
    let (mut as_server, mut lives) = (false, None);
    while let Some(item) = options.item()? {
        match &item {
            Item::Option(name) if name == "help" => {
                println!("{help}");
                return Ok(ExitCode::SUCCESS);
            }
            Item::Option(name) if name == "seconds" => seconds = Some(options.value("seconds")?),
            Item::Option(name) if name == "lives" => lives = Some(options.value("lives")?),
            Item::Option(name) if name == "server" => as_server = true,
            Item::Option(name) if name == "threads" => threads = options.value("threads")?,
            item if rig.take(item, &mut options)? => {}
            item => return Err(Options::unexpected(item)),
        }
    }
    let most = if as_server { 15 } else { 32 };
    if !(1..=most).contains(&threads) {
        return Err(Usage::new(format!("--threads: expected 1 to {most}, got {threads}")).into());
    }
    if as_server {
        let until = server::Until {
            seconds: seconds.or(lives.is_none().then_some(30)),
            lives: lives.unwrap_or(u64::MAX),
            threads,
        };
        return server::run(&rig.rig()?, &until).map(|()| ExitCode::SUCCESS);
    }
    if lives.is_some() {
        return Err(Usage::new("--lives: expected with --server").into());
    }
    let seconds = seconds.unwrap_or(30);
    let rigs = (0..threads).map(|number| rig.rig_number(number)).collect::<Result<Vec<_>>>()?;
    let totals = Totals::default();
    let began = Instant::now();
    let deadline = began + Duration::from_secs(seconds);
    let drops = thread::scope(|scope| {
        let pairs: Vec<_> = rigs.iter().map(|rig| scope.spawn(|| pair(rig, &totals, deadline))).collect();
        while Instant::now() < deadline && pairs.iter().any(|pair| !pair.is_finished()) {
            let left = deadline.saturating_duration_since(Instant::now());
            thread::sleep(left.min(Duration::from_secs(10)));
            totals.print(began.elapsed());
        }
        let mut drops = BTreeMap::new();
        for pair in pairs {
            for (name, count) in joined(pair)? {
                *drops.entry(name).or_insert(0) += count;
            }
        }
        anyhow::Ok(drops)
    })?;
    drops.iter().filter(|(_, count)| **count != 0).for_each(|(name, count)| println!("{name} {count}"));
    let lives = totals.lives.load(Ordering::Relaxed);
    ensure!(lives > 0, "expected peers to come and go, none did");
    println!("{lives} peer lifecycles in {seconds} s: every lab clean, nothing left behind");
    Ok(ExitCode::SUCCESS)
}

/// What all threads have done.
#[derive(Default)]
struct Totals {
    lives: AtomicU64,
    /// Packets that went through a tunnel, both ways.
    passed: AtomicU64,
    /// Those that had to be sent again.
    again: AtomicU64,
    /// Unsound packets.
    unsound: AtomicU64,
    /// Reads that ended with a control packet.
    read: AtomicU64,
}

impl Totals {
    fn print(&self, elapsed: Duration) {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let lives = count(&self.lives);
        let each_second = lives as f64 / elapsed.as_secs_f64();
        println!(
            "{:>4} s: {lives} lifecycles, {each_second:.0} a second ({:.0} in 15 minutes); {} packets through tunnels, {} of them \
             sent again; {} unsound packets, {} control packets read",
            elapsed.as_secs(),
            each_second * 900.0,
            count(&self.passed),
            count(&self.again),
            count(&self.unsound),
            count(&self.read)
        );
    }
}

fn add(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

/// One pair of labs, to its clean end. Gives its drop reasons.
fn pair(rig: &Rig, totals: &Totals, deadline: Instant) -> Result<Vec<(String, i64)>> {
    let machines = rig.start()?;
    let churned = churn(rig, &machines, totals, deadline);
    // A lab that broke a rule says so at its end, and that is what matters.
    stop_both(machines)?;
    rig.expect_no_tun()?;
    churned
}

fn churn(rig: &Rig, machines: &[Machine; 2], totals: &Totals, deadline: Instant) -> Result<Vec<(String, i64)>> {
    let [a, b] = machines;
    let devices = [Device::open(&a.lab, ADAPTER)?, Device::open(&b.lab, ADAPTER)?];
    let mut tunnel = Tunnel { rig, devices: &devices, sockets: None, totals, number: 0 };
    // The first peer brings the link up; the TUNs keep their addresses from then on.
    tunnel.make()?;
    rig.configure()?;
    tunnel.sockets = Some([
        [rig.socket(Side::A, Transport::V4)?, rig.socket(Side::B, Transport::V4)?],
        [rig.socket(Side::A, Transport::V6)?, rig.socket(Side::B, Transport::V6)?],
    ]);
    tunnel.pass()?;
    tunnel.unmake()?;
    let before = [a.descriptors()?, b.descriptors()?];
    let stop = AtomicBool::new(false);
    thread::scope(|scope| -> Result<()> {
        let others: Vec<_> = devices
            .iter()
            .flat_map(|device| {
                let stop = &stop;
                [scope.spawn(move || unsound(device, totals, stop)), scope.spawn(move || readers(device, totals, stop))]
            })
            .collect();
        let lived = (|| -> Result<()> {
            while Instant::now() < deadline {
                tunnel.make()?;
                tunnel.pass()?;
                if tunnel.number.is_multiple_of(8) {
                    tunnel.rekey()?;
                    tunnel.pass()?;
                }
                tunnel.replay()?;
                tunnel.unmake()?;
            }
            Ok(())
        })();
        stop.store(true, Ordering::Relaxed);
        for other in others {
            joined(other)?;
        }
        lived
    })?;
    for (machine, before) in machines.iter().zip(before) {
        let now = machine.descriptors()?;
        // A socket that is on its way out has a few.
        ensure!(
            now <= before + SPARE,
            "expected about {before} descriptors after {} peers, a lab has {now}",
            tunnel.number
        );
    }
    let mut drops = Vec::new();
    for device in devices {
        drops.extend(device.drops()?);
        device.close()?;
    }
    Ok(drops)
}

/// Both ends of a tunnel.
struct Tunnel<'a> {
    rig: &'a Rig,
    devices: &'a [Device; 2],
    /// Inside the tunnel, by IP version and side.
    sockets: Option<[[UdpSocket; 2]; 2]>,
    totals: &'a Totals,
    number: u64,
}

impl Tunnel<'_> {
    fn key(&self, number: u64, side: Side) -> StaticKey {
        let cipher = Cipher::ALL[self.number as usize % Cipher::ALL.len()];
        let direction = match side {
            Side::A => Direction::Normal,
            Side::B => Direction::Inverse,
        };
        StaticKey::of_test(number, cipher, direction)
    }

    /// Starts a request on both ends, in the same breath, and waits for both: what follows may rely on it.
    fn both(&self, begin: impl Fn(&Device, Side) -> Result<Begun>) -> Result<()> {
        let [a, b] = self.devices;
        let begun = [begin(a, Side::A)?, begin(b, Side::B)?];
        begun.into_iter().try_for_each(|begun| begun.end().map(drop))
    }

    fn make(&mut self) -> Result<()> {
        self.number += 1;
        let over = if self.number.is_multiple_of(2) { Transport::V4 } else { Transport::V6 };
        self.both(|device, side| {
            let (local, remote) = (self.rig.wire(side, over), self.rig.wire(side.other(), over));
            let peer = raw::NewPeer { local: local.into(), remote: remote.into(), proto: 0.into() };
            device.begin(Ioctl::NewPeer, peer.as_bytes(), 0)
        })?;
        self.both(|device, _| device.begin(Ioctl::StartVpn, &[], 0))?;
        let settings = raw::SetPeer { keepalive_interval: 10.into(), keepalive_timeout: 60.into(), mss: 1400.into() };
        self.both(|device, _| device.begin(Ioctl::SetPeer, settings.as_bytes(), 0))?;
        self.both(|device, side| {
            let key = key::request(&self.key(self.number, side), Slot::Primary, 0, PEER);
            device.begin(Ioctl::NewKey, key.as_bytes(), 0)
        })
    }

    fn unmake(&self) -> Result<()> {
        self.both(|device, _| device.begin(Ioctl::DelPeer, &[], 0))?;
        add(&self.totals.lives, 2);
        Ok(())
    }

    fn rekey(&self) -> Result<()> {
        self.both(|device, side| {
            let key = key::request(&self.key(!self.number, side), Slot::Secondary, 1, PEER);
            device.begin(Ioctl::NewKey, key.as_bytes(), 0)
        })?;
        self.both(|device, _| device.begin(Ioctl::SwapKeys, &[], 0))
    }

    /// A packet each way, which has to come out as it went in.
    fn pass(&self) -> Result<()> {
        let Some(sockets) = &self.sockets else { bail!("no sockets yet") };
        let inner = if self.number.is_multiple_of(4) { Transport::V6 } else { Transport::V4 };
        let [a, b] = match inner {
            Transport::V4 => &sockets[0],
            Transport::V6 => &sockets[1],
        };
        let ends: [SocketAddr; 2] = Side::BOTH.map(|side| (self.rig.tunnel(side, inner), 7).into());
        let packet: Vec<u8> =
            self.number.to_le_bytes().into_iter().cycle().take(8 + self.number as usize * 13 % 1400).collect();
        // Both are on their way before either is waited for.
        a.send_to(&packet, ends[1]).context("sending into the tunnel")?;
        b.send_to(&packet, ends[0]).context("sending into the tunnel")?;
        self.arrives(a, b, ends[1], &packet)?;
        self.arrives(b, a, ends[0], &packet)
    }

    fn arrives(&self, from: &UdpSocket, to: &UdpSocket, address: SocketAddr, packet: &[u8]) -> Result<()> {
        let deadline = Instant::now() + PROMPT;
        let mut bytes = [0; 2048];
        to.set_read_timeout(Some(AGAIN))?;
        loop {
            match to.recv_from(&mut bytes) {
                Ok((length, _)) if bytes.get(..length) == Some(packet) => {
                    add(&self.totals.passed, 1);
                    return Ok(());
                }
                // Sent again earlier, and come all the same: of this tunnel or of one before.
                Ok((8.., _)) => {}
                Ok((length, _)) => bail!("expected {} bytes of the tunnel's, got {length}", packet.len()),
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    ensure!(Instant::now() < deadline, "a packet did not pass for {PROMPT:?}");
                    add(&self.totals.again, 1);
                    from.send_to(packet, address).context("sending into the tunnel")?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Packets that both ends have seen already, and that open: dropped as replays.
    fn replay(&self) -> Result<()> {
        for (device, side) in self.devices.iter().zip(Side::BOTH) {
            // What this end seals is what the far end of its peer would.
            let key = DataKey::opposite(&self.key(self.number, side.other()), 0, PEER)?;
            let sealed = key.seal(1, &crate::far::ipv4(100, 1))?;
            device.begin_write(&sealed)?.wait(PROMPT)?;
            add(&self.totals.unsound, 1);
        }
        Ok(())
    }
}

/// Sends what cannot be used, peer or not.
fn unsound(device: &Device, totals: &Totals, stop: &AtomicBool) -> Result<()> {
    let data = |key_id: u8, length: usize| {
        let head = [0x48 | key_id, 0, 0, PEER as u8, 0, 0, 0, 1];
        head.into_iter().chain(std::iter::repeat(0xA5)).take(length).collect::<Vec<u8>>()
    };
    let packets = [
        data(0, 100),
        data(0, 1500),
        data(5, 100),
        data(0, 23),
        vec![0x48, 0, 0],
        vec![0; 1],
        [0x38; 200].to_vec(),
        [0xFF; 1500].to_vec(),
    ];
    let allowed = [NtStatus::SUCCESS, NtStatus::INVALID_DEVICE_STATE, NtStatus::INSUFFICIENT_RESOURCES];
    while !stop.load(Ordering::Relaxed) {
        let mut begun = Vec::with_capacity(BURST);
        for packet in packets.iter().cycle().take(BURST) {
            begun.push(device.begin_write(packet)?);
        }
        for mut write in begun {
            let Some(came) = write.wait(PROMPT)? else { bail!("a write still pends after {PROMPT:?}") };
            ensure!(allowed.contains(&came.status), "write: expected one of {allowed:?}, got {}", came.status);
            if came.status == NtStatus::SUCCESS {
                add(&totals.unsound, 1);
            }
        }
        thread::sleep(REST);
    }
    Ok(())
}

/// Keeps a read waiting.
fn readers(device: &Device, totals: &Totals, stop: &AtomicBool) -> Result<()> {
    while !stop.load(Ordering::Relaxed) {
        let mut read = device.read(READ_LENGTH)?;
        let came = loop {
            if let Some(came) = read.wait(Duration::from_millis(100))? {
                break came;
            }
            if stop.load(Ordering::Relaxed) {
                read.cancel()?;
            }
        };
        match came.status {
            NtStatus::SUCCESS => add(&totals.read, 1),
            NtStatus::CANCELLED => {}
            status => bail!("read: expected a packet or CANCELLED, got {status}"),
        }
    }
    Ok(())
}
