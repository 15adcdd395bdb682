//! Two driver instances and a tunnel between them: the quick test of the whole path.

mod epoch;
mod events;
mod jumbo;
mod keys;
mod power;
mod tcp;

use std::io::{ErrorKind, Read};
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use socket2::SockRef;

use crate::device::{ADAPTER, Device, PeerSettings, READ_LENGTH, Slot, VERSION};
use crate::join::joined;
use crate::key::{Cipher, Direction, StaticKey};
use crate::options::Options;
use crate::rig::{Checks, Machine, RIG_HELP, Rig, RigOptions, Side, Traffic, Transport, stop_both};
use crate::status::NtStatus;
use crate::tunnel::Tunnel;

/// Packets of each size and IP version, each way, in each tunnel.
const PACKETS: u64 = 50;

/// `pair`.
pub fn run(options: Options) -> Result<ExitCode> {
    let help = format!(
        "usage: dco-cli pair --lab PROGRAM --sys FILE --a NETNS,IP4,IP6 --b NETNS,IP4,IP6\n\n\
         Two labs load the driver and make tunnels with each other, with static keys: each cipher over each IP version,\n\
         traffic of both IP versions, control packets, rekeying, MSS, keepalive, counters, link state, and a clean unload.\n\n\
         {RIG_HELP}\n\n\
         example:\n  dco-cli pair --lab target/release/dco-lab --sys target/driver/ovpn-dco.sys \\\n\
         \x20   --a left,10.87.0.1,fd87::1 --b right,10.87.0.2,fd87::2"
    );
    let Some(rig) = RigOptions::alone(options, &help)? else { return Ok(ExitCode::SUCCESS) };
    let machines = rig.start()?;
    let mut checks = Checks::default();
    let checked = check_all(&rig, &machines, &mut checks);
    checks.check("unload", || {
        stop_both(machines)?;
        rig.expect_no_tun()?;
        Ok("both drivers, nothing left behind, nothing violated".into())
    });
    checked?;
    events::check(&rig, &mut checks)?;
    let software = rig.start_with([&[], &["--no-chacha"]])?;
    let checked = check_software_chacha(&rig, &software, &mut checks);
    checks.check("unload after software ChaCha20-Poly1305", || {
        stop_both(software)?;
        Ok("both drivers, nothing left behind, nothing violated".into())
    });
    checked?;
    let mortal = rig.start_with([&[], &["--net", "die=20"]])?;
    checks.check("dead socket", || {
        let [a, b] = &mortal;
        let (a, b) = (Device::open(&a.lab, ADAPTER)?, Device::open(&b.lab, ADAPTER)?);
        Pair { rig: &rig, machines: &mortal, a, b }.dead_socket()
    });
    checks.check("unload after dead sockets", || {
        stop_both(mortal)?;
        Ok("both drivers, nothing left behind, nothing violated".into())
    });
    epoch::check_all(&rig, &mut checks)?;
    rig.set_wire_mtu(9216)?;
    /// Name, the keyword at both ends, the check.
    type Jumbo = (&'static str, [&'static str; 2], fn(&Pair<'_>) -> Result<String>);
    let jumbo: [Jumbo; 2] = [
        ("MTU 9000", ["MTU=9000", "MTU=9000"], |pair| pair.jumbo()),
        ("MTU 9000 to 1500", ["MTU=9000", "MTU=9001"], |pair| pair.jumbo_to_small()),
    ];
    for (name, [of_a, of_b], check) in jumbo {
        let machines = rig.start_with([&["--keyword", of_a], &["--keyword", of_b]])?;
        checks.check(name, || {
            let [a, b] = &machines;
            let (a, b) = (Device::open(&a.lab, ADAPTER)?, Device::open(&b.lab, ADAPTER)?);
            check(&Pair { rig: &rig, machines: &machines, a, b })
        });
        checks.check(&format!("unload after {name}"), || {
            stop_both(machines)?;
            Ok("both drivers, nothing left behind, nothing violated".into())
        });
    }
    println!("{} passed, {} failed", checks.passed, checks.failed);
    Ok(if checks.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn check_all(rig: &Rig, machines: &[Machine; 2], checks: &mut Checks) -> Result<()> {
    let [a, b] = machines;
    checks.check("version", || {
        let (major, minor, patch) = Device::open(&a.lab, VERSION)?.version()?;
        ensure!((major, minor) == (2, 8), "expected 2.8, got {major}.{minor}.{patch}");
        ensure!(a.sha256 == b.sha256, "expected one driver, got {} and {}", a.sha256, b.sha256);
        Ok(format!("{major}.{minor}.{patch}, SHA-256 {}", a.sha256))
    });
    let pair = Pair { rig, machines, a: Device::open(&a.lab, ADAPTER)?, b: Device::open(&b.lab, ADAPTER)? };
    checks.check("link before the first tunnel", || pair.expect_link(false));
    // All of these on the same two handles: each tunnel but the first is a restart under persist-tun.
    for transport in [Transport::V4, Transport::V6] {
        for cipher in Cipher::ALL {
            let over = match transport {
                Transport::V4 => "IPv4",
                Transport::V6 => "IPv6",
            };
            checks.check(&format!("{} over {over}", cipher.name()), || pair.tunnel(transport, cipher));
        }
    }
    checks.check("control packets", || pair.control());
    checks.check("drops", || pair.drops());
    checks.check("key events", || pair.key_events());
    checks.check("deleted keys", || pair.deleted_keys());
    checks.check("MSS", || pair.mss());
    checks.check("keepalive", || pair.keepalive());
    tcp::check_all(&pair, checks);
    checks.check("sleep", || pair.sleep());
    checks.check("sleep, wake and link down under traffic", || pair.power_cycles());
    checks.check("close", || {
        let connecting = pair.connect_into_black_hole()?;
        let Pair { a, b, .. } = pair;
        a.close()?;
        b.close()?;
        connecting.expect_cancelled()?;
        for machine in machines {
            ensure!(!machine.link_is_up()?, "expected the link down after close, it is up");
        }
        Ok("a connect that would never end is cancelled; link down".into())
    });
    Ok(())
}

/// One end has ChaCha20-Poly1305 by CNG, the other in software: a tunnel between them, and which is which.
fn check_software_chacha(rig: &Rig, machines: &[Machine; 2], checks: &mut Checks) -> Result<()> {
    let [a, b] = machines;
    let pair = Pair { rig, machines, a: Device::open(&a.lab, ADAPTER)?, b: Device::open(&b.lab, ADAPTER)? };
    for (transport, over) in [(Transport::V4, "IPv4"), (Transport::V6, "IPv6")] {
        checks.check(&format!("ChaCha20-Poly1305, CNG with software, over {over}"), || {
            let checked = pair.tunnel(transport, Cipher::ChaCha20)?;
            pair.up(transport, Cipher::ChaCha20, None)?;
            let keys = [a.objects("cng.key")?, b.objects("cng.key")?];
            pair.down()?;
            ensure!(keys == [2, 0], "keys in CNG, one a direction: expected 2 at a and none at b, got {keys:?}");
            Ok(format!("{checked}; no key of b in CNG"))
        });
    }
    checks.check("AES-256-GCM where CNG lacks ChaCha20-Poly1305", || pair.tunnel(Transport::V4, Cipher::Aes256));
    Ok(())
}

/// Waits for what a driver counts when it is done with a batch.
fn wait_for(what: &str, mut so: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(3);
    while !so()? {
        ensure!(Instant::now() < deadline, "expected {what} within 3 s");
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

struct Pair<'a> {
    rig: &'a Rig,
    machines: &'a [Machine; 2],
    a: Device,
    b: Device,
}

impl Pair<'_> {
    fn expect_link(&self, up: bool) -> Result<String> {
        for machine in self.machines {
            ensure!(machine.link_is_up()? == up, "expected link up: {up}, got {}", !up);
        }
        Ok(if up { "up" } else { "down" }.into())
    }

    fn up(&self, transport: Transport, cipher: Cipher, settings: Option<PeerSettings>) -> Result<()> {
        let ends = [(&self.a, Side::A, Direction::Normal), (&self.b, Side::B, Direction::Inverse)];
        for (device, side, direction) in ends {
            let key = StaticKey::of_test(1, cipher, direction);
            let (local, remote) = (self.rig.wire(side, transport), self.rig.wire(side.other(), transport));
            Tunnel { local, remote, peer_id: 7, key: &key, settings }.up(device)?;
        }
        self.expect_link(true)?;
        self.rig.configure()
    }

    fn down(&self) -> Result<()> {
        self.a.del_peer()?;
        self.b.del_peer()?;
        self.expect_link(true).context("after DEL_PEER, for persist-tun")?;
        Ok(())
    }

    /// A tunnel, traffic, a rekey under traffic, and counters that are exact.
    fn tunnel(&self, transport: Transport, cipher: Cipher) -> Result<String> {
        self.up(transport, cipher, None)?;
        let sum = self.traffic(cipher, PACKETS)?;
        sum.expect_counted(&self.a).context("lab a")?;
        sum.expect_counted(&self.b).context("lab b")?;
        self.down()?;
        Ok(format!("{} packets each way, 2 rekeys, counters exact", sum.packets))
    }

    /// So many packets of each size and IP version each way under each of three keys.
    fn traffic(&self, cipher: Cipher, packets: u64) -> Result<Traffic> {
        let mut sum = Traffic::default();
        for (slot_of_next, key_id) in [(None, 0u8), (Some(Slot::Secondary), 1), (Some(Slot::Secondary), 2)] {
            if let Some(slot) = slot_of_next {
                self.rekey(cipher, slot, key_id, &mut sum)?;
            }
            for inner in [Transport::V4, Transport::V6] {
                let probe = self.rig.probe(inner)?;
                for size in [0, 1, 15, 16, 17, 512, probe.largest()] {
                    for number in 0..packets {
                        sum +=
                            probe.exchange(size, number).with_context(|| format!("key {key_id}, packet {number}"))?;
                    }
                }
            }
        }
        Ok(sum)
    }

    /// The next key on both ends, traffic, and the swap on one end first: both keys open while only one seals.
    fn rekey(&self, cipher: Cipher, slot: Slot, key_id: u8, sum: &mut Traffic) -> Result<()> {
        let probe = self.rig.probe(Transport::V4)?;
        let number = u64::from(key_id) + 1;
        self.a.new_key(&StaticKey::of_test(number, cipher, Direction::Normal), slot, key_id, 7)?;
        self.b.new_key(&StaticKey::of_test(number, cipher, Direction::Inverse), slot, key_id, 7)?;
        *sum += probe.exchange(100, 1).context("with the next key in place")?;
        self.a.swap_keys()?;
        *sum += probe.exchange(100, 2).context("with keys swapped at one end")?;
        self.b.swap_keys()?;
        Ok(())
    }

    /// Control packets arrive unchanged and in order, whether a read waits for them or not, and outlive no peer.
    fn control(&self) -> Result<String> {
        self.up(Transport::V4, Cipher::Aes256, None)?;
        let packets: Vec<Vec<u8>> = [4usize, 5, 13, 14, 100, 1400, 1500]
            .into_iter()
            .map(|length| std::iter::once(0x38).chain((1..length).map(|at| at as u8)).collect())
            .collect();
        for (from, to) in [(&self.a, &self.b), (&self.b, &self.a)] {
            for parked in [true, false] {
                for packet in &packets {
                    let early = if parked { Some(to.read(READ_LENGTH)?) } else { None };
                    let written = from.write(packet)?;
                    ensure!(
                        written.status == NtStatus::SUCCESS && written.information == packet.len() as u64,
                        "write of {} bytes: expected SUCCESS and all of them, got {} and {}",
                        packet.len(),
                        written.status,
                        written.information
                    );
                    let mut read = match early {
                        Some(read) => read,
                        None => to.read(READ_LENGTH)?,
                    };
                    let Some(came) = read.wait(Duration::from_secs(2))? else {
                        anyhow::bail!("read: expected {} bytes, waited 2 s", packet.len());
                    };
                    ensure!(
                        came.status == NtStatus::SUCCESS && came.output == *packet,
                        "read: expected the {} bytes that were written, got {} with {} bytes",
                        packet.len(),
                        came.status,
                        came.output.len()
                    );
                }
            }
        }
        let mut parked = self.a.read(READ_LENGTH)?;
        self.down()?;
        let ended = parked.wait(Duration::from_secs(2))?.map(|completion| completion.status);
        ensure!(ended == Some(NtStatus::CANCELLED), "a read parked at DEL_PEER: expected CANCELLED, got {ended:?}");
        Ok(format!("{} each way, unchanged", packets.len() * 2))
    }

    /// What cannot be used is dropped under its name, however much of it comes, and neither the tunnel nor DEL_PEER suffers. The driver
    /// sends whatever is written to it, so the other end forges.
    fn drops(&self) -> Result<String> {
        const EACH: i64 = 400;
        self.up(Transport::V4, Cipher::Aes256, None)?;
        let forged = |key_id: u8, length: usize| {
            // Opcode 9, peer-id 7, packet id 1, and a tag that is none.
            let head = [0x48 | key_id, 0, 0, 7, 0, 0, 0, 1];
            head.into_iter().chain(std::iter::repeat(0xA5)).take(length).collect::<Vec<u8>>()
        };
        let wanted = [
            ("RxAuthFailed", forged(0, 100)),
            ("RxAuthFailed", forged(0, 1500)),
            ("RxUnknownKey", forged(5, 100)),
            ("RxTooShort", forged(0, 23)),
            ("RxTooShort", vec![0x48, 0, 0]),
        ];
        let count = |name: &str| self.count(&self.b, name);
        for (name, packet) in &wanted {
            let before = count(name)?;
            for _ in 0..EACH {
                let written = self.a.write(packet)?.status;
                ensure!(written == NtStatus::SUCCESS, "write: expected SUCCESS, got {written}");
            }
            let deadline = Instant::now() + Duration::from_secs(3);
            while count(name)? < before + EACH && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(5));
            }
            let more = count(name)? - before;
            ensure!(more == EACH, "{name} for {} bytes: expected {EACH} more, got {more}", packet.len());
        }
        let lost = i64::from(self.b.stats()?.0.lost_in_data_packets.get());
        let sent = EACH * wanted.len() as i64;
        ensure!(lost == sent, "LostInData: expected {sent}, got {lost}");
        self.rig.probe(Transport::V4)?.exchange(100, 1).context("after all that")?;
        self.down()?;
        Ok(format!("{sent} forged packets, each counted by its reason"))
    }

    /// One drop reason's count.
    fn count(&self, device: &Device, name: &str) -> Result<i64> {
        let found = device.drops()?.into_iter().find(|(found, _)| found == name);
        found.map(|(_, count)| count).with_context(|| format!("expected the drop reason {name}, there is none"))
    }

    /// Waits for what a driver counts when it is done with a batch.
    fn eventually(&self, what: &str, so: impl FnMut() -> Result<bool>) -> Result<()> {
        let [a, b] = self.machines;
        wait_for(what, so).with_context(|| format!("{}{}", a.describe(&self.a), b.describe(&self.b)))
    }

    /// TCP connections through the tunnel see the lowered MSS at both ends.
    fn mss(&self) -> Result<String> {
        const MSS: u16 = 1000;
        let settings = PeerSettings { mss: Some(MSS), ..PeerSettings::default() };
        self.up(Transport::V4, Cipher::Aes128, Some(settings))?;
        // With timestamps, which Linux uses, 12 bytes of each segment are options.
        let limits = [(Transport::V4, u32::from(MSS) - 12), (Transport::V6, u32::from(MSS) - 20 - 12)];
        for (inner, expected) in limits {
            let address = (self.rig.tunnel(Side::B, inner), 9);
            let listener = self.rig.within(Side::B, || Ok(TcpListener::bind(address)?))?;
            let (near, far) = thread::scope(|scope| -> Result<(TcpStream, TcpStream)> {
                let far = scope.spawn(|| listener.accept());
                let near = self
                    .rig
                    .within(Side::A, || Ok(TcpStream::connect_timeout(&address.into(), Duration::from_secs(3))?))?;
                Ok((near, joined(far)?.0))
            })
            .context("connecting through the tunnel")?;
            for (stream, end) in [(&near, "connecting"), (&far, "accepting")] {
                let socket = SockRef::from(stream);
                let mss = socket.tcp_mss()?;
                ensure!(mss == expected, "the {end} end of {inner:?}: expected MSS {expected}, got {mss}");
            }
            // Ends with one reset, which is waited for: nothing is to come through the next tunnel.
            SockRef::from(&near).set_linger(Some(Duration::ZERO))?;
            drop(near);
            far.set_read_timeout(Some(Duration::from_secs(3)))?;
            let ended = (&far).read(&mut [0]).map_err(|error| error.kind());
            ensure!(ended == Err(ErrorKind::ConnectionReset), "{inner:?}: expected the reset to arrive, got {ended:?}");
        }
        self.down()?;
        Ok(format!("{MSS}, and 20 less over IPv6"))
    }

    /// Pings keep an idle tunnel; without them the waiting end is told.
    fn keepalive(&self) -> Result<String> {
        let settings =
            PeerSettings { keepalive_interval: Some(1), keepalive_timeout: Some(3), ..PeerSettings::default() };
        self.up(Transport::V4, Cipher::Aes256, Some(settings))?;
        let (mut at_a, mut at_b) = (self.a.read(READ_LENGTH)?, self.b.read(READ_LENGTH)?);
        for (read, end) in [(&mut at_a, "a"), (&mut at_b, "b")] {
            let ended = read.wait(Duration::from_millis(2750))?.map(|completion| completion.status);
            ensure!(ended.is_none(), "lab {end}: expected pings to keep the peer, the read ended with {ended:?}");
        }
        at_a.cancel()?;
        let ended = at_a.wait(Duration::from_secs(2))?.map(|completion| completion.status);
        ensure!(ended == Some(NtStatus::CANCELLED), "lab a: expected the read CANCELLED, got {ended:?}");
        // No more pings: both ends fall silent. One has a read that waits, the other reads when it is too late.
        let silent = PeerSettings { keepalive_interval: Some(0), keepalive_timeout: Some(2), ..settings };
        for device in [&self.a, &self.b] {
            device.set_peer(silent)?;
        }
        let began = Instant::now();
        let told = at_b.wait(Duration::from_secs(6))?.map(|completion| completion.status);
        let silence = began.elapsed();
        ensure!(
            told == Some(NtStatus::CONNECTION_DISCONNECTED),
            "lab b: expected CONNECTION_DISCONNECTED after 2 s of silence, got {told:?} after {silence:.1?}"
        );
        // More than 2 whole seconds, looked at once a second.
        let plausible = Duration::from_millis(1900)..Duration::from_millis(4500);
        ensure!(
            plausible.contains(&silence),
            "lab b: expected expiry within {plausible:?}, it came after {silence:.1?}"
        );
        thread::sleep(Duration::from_millis(1500));
        let told = self.a.read(READ_LENGTH)?.wait(Duration::from_secs(2))?.map(|completion| completion.status);
        ensure!(
            told == Some(NtStatus::CONNECTION_DISCONNECTED),
            "lab a: expected the read that came after expiry to end with CONNECTION_DISCONNECTED, got {told:?}"
        );
        self.a.del_peer()?;
        self.b.del_peer()?;
        let stats = self.b.stats()?;
        ensure!(stats.0.tun_bytes_received.get() == 0, "expected no ping given to the adapter, got\n{stats}");
        Ok(format!("kept for 5.5 s by pings; without them expired after {silence:.1?}"))
    }
}
