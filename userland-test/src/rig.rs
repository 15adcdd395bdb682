//! Two machines for a test: a lab each, in two network namespaces that are joined by a wire.

mod machine;
mod probe;

use std::fs::{self, File};
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::netns::within;
use crate::options::{Item, Options, Usage};
use crate::targets::lab::Address;
pub use machine::{Ended, Machine, stop_both};
use machine::{Launched, Process};
pub use probe::{Probe, Traffic};

/// How long a lab may take to load the driver, or to unload it.
const PATIENCE: Duration = Duration::from_secs(20);

/// Checks, as they come out.
#[derive(Default)]
pub struct Checks {
    /// So many passed.
    pub passed: u32,
    /// So many did not.
    pub failed: u32,
}

impl Checks {
    /// Makes one check, and says what came of it.
    pub fn check(&mut self, name: &str, check: impl FnOnce() -> Result<String>) {
        let began = Instant::now();
        match check() {
            Ok(detail) => {
                self.passed += 1;
                println!("ok    {name}: {detail} ({:.0?})", began.elapsed());
            }
            Err(error) => {
                self.failed += 1;
                println!("FAIL  {name}: {error:#} ({:.0?})", began.elapsed());
            }
        }
    }
}

/// One end of the wire: a namespace and its addresses there.
#[derive(Debug, Clone)]
pub struct Place {
    netns: String,
    wire4: Ipv4Addr,
    wire6: Ipv6Addr,
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("expected NETNS,IPV4,IPV6, got {text:?}");
        let mut parts = text.split(',');
        let (Some(netns), Some(wire4), Some(wire6), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(wrong());
        };
        if netns.is_empty() || netns.contains('/') {
            return Err(wrong());
        }
        Ok(Self {
            netns: netns.into(),
            wire4: wire4.parse().map_err(|_| wrong())?,
            wire6: wire6.parse().map_err(|_| wrong())?,
        })
    }
}

/// What carries the tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// UDP over IPv4.
    V4,
    /// UDP over IPv6.
    V6,
}

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The first.
    A,
    /// The second.
    B,
}

impl Side {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::A, Self::B];

    fn name(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::B => "b",
        }
    }

    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    /// Its host number inside the tunnel.
    fn host(self) -> u8 {
        match self {
            Self::A => 1,
            Self::B => 2,
        }
    }
}

/// `--lab`, `--sys`, `--a`, `--b`: what the two machines are.
#[derive(Default)]
pub struct RigOptions {
    lab: Option<PathBuf>,
    sys: Option<PathBuf>,
    a: Option<Place>,
    b: Option<Place>,
}

/// The lines of a help text that explain them.
pub const RIG_HELP: &str = "  --lab PROGRAM       dco-lab
  --sys FILE          the driver, ovpn-dco.sys
  --a NETNS,IP4,IP6   the first namespace and its addresses on the wire
  --b NETNS,IP4,IP6   the second";

impl RigOptions {
    /// Takes the option if it is one of these.
    pub fn take(&mut self, item: &Item, options: &mut Options) -> Result<bool> {
        let Item::Option(name) = item else {
            return Ok(false);
        };
        match name.as_str() {
            "lab" => self.lab = Some(options.value("lab")?),
            "sys" => self.sys = Some(options.value("sys")?),
            "a" => self.a = Some(options.value("a")?),
            "b" => self.b = Some(options.value("b")?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// For commands that take these alone; `None` if help was asked for, and given.
    pub fn alone(mut options: Options, help: &str) -> Result<Option<Rig>> {
        let mut these = Self::default();
        while let Some(item) = options.item()? {
            match &item {
                Item::Option(name) if name == "help" => {
                    println!("{help}");
                    return Ok(None);
                }
                item if these.take(item, &mut options)? => {}
                item => return Err(Options::unexpected(item)),
            }
        }
        these.rig().map(Some)
    }

    /// All of them are needed.
    pub fn rig(self) -> Result<Rig> {
        self.rig_number(0)
    }

    /// One of several rigs in the same two namespaces, by its number.
    pub fn rig_number(&self, number: u8) -> Result<Rig> {
        let Self { lab: Some(lab), sys: Some(sys), a: Some(a), b: Some(b) } = self else {
            return Err(Usage::new("expected --lab, --sys, --a and --b; see --help").into());
        };
        for file in [lab, sys] {
            ensure!(file.is_file(), "expected a file, found none: {}", file.display());
        }
        let folder = std::env::temp_dir().join(format!("dco-cli-{}-{number}", std::process::id()));
        fs::create_dir(&folder).with_context(|| folder.display().to_string())?;
        let (lab, sys, places) = (lab.clone(), sys.clone(), [a.clone(), b.clone()]);
        Ok(Rig { lab, sys, places, folder, number })
    }
}

/// What machines are made from. Its folder, with sockets and logs, goes away with it.
pub struct Rig {
    lab: PathBuf,
    sys: PathBuf,
    places: [Place; 2],
    folder: PathBuf,
    /// Tells several rigs in the same namespaces apart: their TUNs, ports and tunnel networks.
    number: u8,
}

impl Drop for Rig {
    fn drop(&mut self) {
        // A folder in the temporary directory that cannot be removed does no harm.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Rig {
    fn place(&self, side: Side) -> &Place {
        let [a, b] = &self.places;
        match side {
            Side::A => a,
            Side::B => b,
        }
    }

    /// The UDP address of this side of the tunnel.
    pub fn wire(&self, side: Side, transport: Transport) -> SocketAddr {
        let place = self.place(side);
        let port = 1194 + u16::from(self.number);
        match transport {
            Transport::V4 => (place.wire4, port).into(),
            Transport::V6 => (place.wire6, port).into(),
        }
    }

    /// The TUN that its labs make, the same in both namespaces.
    pub fn tun(&self) -> String {
        format!("dco{}", self.number)
    }

    /// Starts both machines and waits until they are ready.
    pub fn start(&self) -> Result<[Machine; 2]> {
        self.start_with([&[], &[]])
    }

    /// The same with more options for each side's lab.
    pub fn start_with(&self, [of_a, of_b]: [&[&str]; 2]) -> Result<[Machine; 2]> {
        let (a, b) = (self.launch(Side::A, of_a), self.launch(Side::B, of_b));
        let (a, b) = (a?, b?);
        Ok([a.ready()?, b.ready()?])
    }

    /// Starts one machine with more options for its lab, and waits until it is ready or has ended by itself.
    pub fn start_one(&self, side: Side, options: &[&str]) -> Result<Result<Machine, Ended>> {
        self.launch(side, options)?.outcome()
    }

    /// Where files of a test may go: this goes away with the rig.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn launch(&self, side: Side, options: &[&str]) -> Result<Launched> {
        let socket = self.folder.join(format!("{}.sock", side.name()));
        let log = self.folder.join(format!("{}.log", side.name()));
        if socket.exists() {
            fs::remove_file(&socket)?;
        }
        let listen: Address = Address::Unix(socket);
        let errors = File::create(&log).with_context(|| log.display().to_string())?;
        let child = within(&self.place(side).netns, || {
            let mut command = Command::new(&self.lab);
            command.arg("run").arg("--sys").arg(&self.sys).args(["--tun", &self.tun()]);
            command.args(["--listen", &listen.to_string()]).args(options);
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors);
            command.spawn().with_context(|| format!("starting {}", self.lab.display()))
        })?;
        Ok(Launched {
            process: Process { child, log },
            side,
            listen,
            netns: self.place(side).netns.clone(),
            tun: self.tun(),
        })
    }

    /// Gives both TUNs their addresses and raises them. To be called when the link is up.
    pub fn configure(&self) -> Result<()> {
        self.configure_some(&Side::BOTH)
    }

    /// [`configure`](Self::configure) for some sides.
    pub fn configure_some(&self, sides: &[Side]) -> Result<()> {
        let tun = self.tun();
        // Started before any is waited for.
        let batches: Vec<(Side, Result<Child>)> = sides.iter().map(|&side| {
            let lines = format!(
                "link set dev {tun} addrgenmode none\naddr replace {}/24 dev {tun}\naddr replace {}/64 dev {tun} nodad\nlink set dev {tun} up\n",
                self.tunnel(side, Transport::V4),
                self.tunnel(side, Transport::V6),
            );
            (side, self.ip_batch(side, &lines))
        }).collect();
        for (side, batch) in batches {
            let status = batch?.wait()?;
            ensure!(status.success(), "configuring {tun} in {}: ip ended with {status}", self.place(side).netns);
            within(&self.place(side).netns, || wait_for_local_route(self.tunnel(side, Transport::V6)))?;
        }
        Ok(())
    }

    fn ip_batch(&self, side: Side, lines: &str) -> Result<Child> {
        within(&self.place(side).netns, || {
            let mut child = Command::new("ip").args(["-batch", "-"]).stdin(Stdio::piped()).spawn().context("ip")?;
            if let Some(mut input) = child.stdin.take() {
                input.write_all(lines.as_bytes())?;
            }
            Ok(child)
        })
    }

    /// Gives the wire another MTU, at both ends.
    pub fn set_wire_mtu(&self, mtu: usize) -> Result<()> {
        for place in &self.places {
            let (netns, address) = (&place.netns, place.wire4.to_string());
            let output = Command::new("ip").args(["-n", netns, "-o", "addr", "show", "to", &address]).output()?;
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let Some(device) = text.split_whitespace().nth(1) else {
                bail!("expected a device with {address} in {netns}, found none");
            };
            set_mtu(netns, device, mtu)?;
        }
        Ok(())
    }

    /// Gives the stack's side of the tunnel another MTU than the driver said.
    pub fn set_tun_mtu(&self, side: Side, mtu: usize) -> Result<()> {
        set_mtu(&self.place(side).netns, &self.tun(), mtu)
    }

    /// Takes the stack's side of the tunnel down, or up again.
    pub fn set_tun_up(&self, side: Side, up: bool) -> Result<()> {
        let (netns, tun) = (&self.place(side).netns, self.tun());
        let state = if up { "up" } else { "down" };
        let status = Command::new("ip").args(["-n", netns, "link", "set", "dev", &tun, state]).status()?;
        ensure!(status.success(), "taking {tun} in {netns} {state}: ip ended with {status}");
        Ok(())
    }

    /// That no TUN is left in either namespace.
    pub fn expect_no_tun(&self) -> Result<()> {
        for place in &self.places {
            let output = Command::new("ip").args(["-n", &place.netns, "-o", "link", "show"]).output().context("ip")?;
            let links = String::from_utf8_lossy(&output.stdout).into_owned();
            ensure!(
                !links.contains(&format!(": {}:", self.tun())),
                "expected no {} in {} after the driver was unloaded, found one",
                self.tun(),
                place.netns
            );
        }
        Ok(())
    }

    /// A UDP socket inside the tunnel.
    pub fn socket(&self, side: Side, inner: Transport) -> Result<UdpSocket> {
        within(&self.place(side).netns, || {
            let socket = UdpSocket::bind((self.tunnel(side, inner), 7)).context("binding inside the tunnel")?;
            socket.set_read_timeout(Some(Duration::from_secs(2)))?;
            Ok(socket)
        })
    }

    /// Runs `work` inside the namespace of this side.
    pub fn within<T: Send>(&self, side: Side, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        within(&self.place(side).netns, work)
    }

    /// The two ends of a socket pair through the tunnel.
    pub fn probe(&self, inner: Transport) -> Result<Probe> {
        Ok(Probe {
            ends: [self.socket(Side::A, inner)?, self.socket(Side::B, inner)?],
            addresses: [(self.tunnel(Side::A, inner), 7).into(), (self.tunnel(Side::B, inner), 7).into()],
            headers: match inner {
                Transport::V4 => 28,
                Transport::V6 => 48,
            },
        })
    }

    /// The address of this side inside the tunnel.
    pub fn tunnel(&self, side: Side, inner: Transport) -> IpAddr {
        let host = side.host();
        match inner {
            Transport::V4 => Ipv4Addr::new(10, 88, self.number, host).into(),
            Transport::V6 => Ipv6Addr::new(0xFD88, 0, 0, self.number.into(), 0, 0, 0, host.into()).into(),
        }
    }
}

fn set_mtu(netns: &str, device: &str, mtu: usize) -> Result<()> {
    let status =
        Command::new("ip").args(["-n", netns, "link", "set", "dev", device, "mtu", &mtu.to_string()]).status()?;
    ensure!(status.success(), "giving {device} in {netns} an MTU of {mtu}: ip ended with {status}");
    Ok(())
}

/// Waits until packets to this address, of this thread's namespace, are taken. `ip` returns before: the kernel makes an IPv6
/// address's local route in a work queue.
fn wait_for_local_route(address: IpAddr) -> Result<()> {
    let IpAddr::V6(address) = address else { return Ok(()) };
    let route = format!("{:032x} 80 ", address.to_bits());
    let deadline = Instant::now() + Duration::from_secs(5);
    while !fs::read_to_string("/proc/thread-self/net/ipv6_route")?.lines().any(|line| line.starts_with(&route)) {
        ensure!(Instant::now() < deadline, "expected a local route for {address} within 5 s, found none");
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_a_name_and_two_addresses() {
        let place: Place = "dco-a,10.87.0.1,fd87::1".parse().expect("a place");
        assert_eq!(place.netns, "dco-a");
        assert_eq!(place.wire6, "fd87::1".parse::<Ipv6Addr>().expect("an address"));
        for wrong in
            ["", "a", "a,10.0.0.1", "a,10.0.0.1,fd00::1,x", ",10.0.0.1,fd00::1", "../a,10.0.0.1,fd00::1", "a,b,c"]
        {
            assert!(wrong.parse::<Place>().is_err(), "{wrong:?}");
        }
    }
}
