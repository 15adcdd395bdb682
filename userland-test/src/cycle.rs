//! Load, tunnel, close, unload: again and again, with nothing left behind.

use std::fmt;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::device::{ADAPTER, Device};
use crate::key::{Cipher, Direction, StaticKey};
use crate::options::{Item, Options};
use crate::rig::{Machine, RIG_HELP, Rig, RigOptions, Side, Traffic, Transport, stop_both};
use crate::tunnel::Tunnel;

/// `cycle`.
pub fn run(mut options: Options) -> Result<ExitCode> {
    let help = format!(
        "usage: dco-cli cycle --lab PROGRAM --sys FILE --a NETNS,IP4,IP6 --b NETNS,IP4,IP6 [--rounds N]\n\n\
         In each round two labs load the driver, make a tunnel with each other, pass packets of both IP versions both ways,\n\
         close, and unload the driver; both have to end cleanly, with every counter as it should be.\n\n\
         {RIG_HELP}\n  --rounds N          how often (default 1000)\n\n\
         example:\n  dco-cli cycle --rounds 50 --lab target/release/dco-lab --sys target/driver/ovpn-dco.sys \\\n\
         \x20   --a left,10.87.0.1,fd87::1 --b right,10.87.0.2,fd87::2"
    );
    let (mut rig, mut rounds) = (RigOptions::default(), 1000u32);
    while let Some(item) = options.item()? {
        match &item {
            Item::Option(name) if name == "help" => {
                println!("{help}");
                return Ok(ExitCode::SUCCESS);
            }
            Item::Option(name) if name == "rounds" => rounds = options.value("rounds")?,
            item if rig.take(item, &mut options)? => {}
            item => return Err(Options::unexpected(item)),
        }
    }
    let rig = rig.rig()?;
    let began = Instant::now();
    let mut reported = began;
    let mut slowest = Stages::start();
    for number in 1..=rounds {
        let mut stages = Stages::start();
        round(&rig, number, &mut stages).with_context(|| format!("round {number} of {rounds}"))?;
        if stages.total() > slowest.total() {
            slowest = stages;
        }
        if reported.elapsed() >= Duration::from_secs(10) || number == rounds {
            reported = Instant::now();
            let each = began.elapsed() / number;
            println!("round {number} of {rounds}: {} ms each; slowest: {slowest}", each.as_millis());
        }
    }
    rig.expect_no_tun()?;
    println!("{rounds} rounds in {} s: nothing left behind", began.elapsed().as_secs());
    Ok(ExitCode::SUCCESS)
}

/// How a handle ends differs from round to round, for each way has to leave nothing behind.
#[derive(Clone, Copy)]
enum Ending {
    /// DEL_PEER, then close.
    Orderly,
    /// Close with the peer in place.
    Close,
    /// Not even that: the device is stopped under the open handle.
    Unload,
}

/// How long the stages of a round took: a slow one has a name.
struct Stages {
    last: Instant,
    took: Vec<(&'static str, Duration)>,
}

impl Stages {
    fn start() -> Self {
        Self { last: Instant::now(), took: Vec::new() }
    }

    fn done(&mut self, name: &'static str) {
        let now = Instant::now();
        self.took.push((name, now - self.last));
        self.last = now;
    }

    fn total(&self) -> Duration {
        self.took.iter().map(|(_, took)| took).sum()
    }
}

impl fmt::Display for Stages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.total().as_millis())?;
        for (place, (name, took)) in self.took.iter().enumerate() {
            write!(f, "{}{name} {}", if place == 0 { " (" } else { ", " }, took.as_millis())?;
        }
        f.write_str(")")
    }
}

fn round(rig: &Rig, number: u32, stages: &mut Stages) -> Result<()> {
    let transport = if number.is_multiple_of(2) { Transport::V4 } else { Transport::V6 };
    let cipher = Cipher::ALL[number as usize % Cipher::ALL.len()];
    let ending = [Ending::Orderly, Ending::Close, Ending::Unload][number as usize / 2 % 3];

    let machines = rig.start()?;
    stages.done("load");
    let [a, b] = tunnels(rig, &machines, transport, cipher, number)?;
    stages.done("tunnel");
    rig.configure()?;
    stages.done("addresses");

    let exchanged = exchange(rig, number).map_err(|error| {
        let state = [(&machines[0], &a), (&machines[1], &b)].map(|(machine, device)| machine.describe(device));
        error.context(state.join("\n")).context("no packet may be lost; the two labs' state is")
    });
    let expected = exchanged?;
    stages.done("packets");
    expected.expect_counted(&a).context("lab a")?;
    expected.expect_counted(&b).context("lab b")?;
    stages.done("counters");
    let mut left_open = Vec::new();
    for device in [a, b] {
        match ending {
            Ending::Orderly => {
                device.del_peer()?;
                device.close()?;
            }
            Ending::Close => device.close()?,
            Ending::Unload => left_open.push(device),
        }
    }
    stages.done("close");
    stop_both(machines)?;
    stages.done("unload");
    Ok(())
}

/// A few packets, both ways.
fn exchange(rig: &Rig, number: u32) -> Result<Traffic> {
    let mut sum = Traffic::default();
    for inner in [Transport::V4, Transport::V6] {
        let probe = rig.probe(inner)?;
        for size in [0, 64, probe.largest()] {
            sum += probe.exchange(size, number.into())?;
        }
    }
    Ok(sum)
}

/// A tunnel between the two machines.
fn tunnels(
    rig: &Rig,
    machines: &[Machine; 2],
    transport: Transport,
    cipher: Cipher,
    number: u32,
) -> Result<[Device; 2]> {
    let [a, b] = machines;
    let up = |machine: &Machine, side: Side, direction: Direction| -> Result<Device> {
        let device = Device::open(&machine.lab, ADAPTER)?;
        let key = StaticKey::of_test(number.into(), cipher, direction);
        let (local, remote) = (rig.wire(side, transport), rig.wire(side.other(), transport));
        Tunnel { local, remote, peer_id: number % (1 << 24), key: &key, settings: None }.up(&device)?;
        Ok(device)
    };
    Ok([up(a, Side::A, Direction::Normal)?, up(b, Side::B, Direction::Inverse)?])
}
