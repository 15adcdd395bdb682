//! What happens to the machine while a tunnel is up: it sleeps, its link goes down, its socket dies.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::Pair;
use crate::commands::query_lab;
use crate::device::{Device, PeerSettings, READ_LENGTH};
use crate::join::joined;
use crate::key::Cipher;
use crate::rig::{Machine, Side, Transport};
use crate::status::NtStatus;

/// More than the second that lies between two looks of the driver's at its timers.
const LOOKS: Duration = Duration::from_millis(2_500);

fn transition(machine: &Machine, name: &str) -> Result<()> {
    let status = machine.lab.pnp(name)?;
    ensure!(status == NtStatus::SUCCESS, "{name}: expected SUCCESS, got {status}");
    Ok(())
}

impl Pair<'_> {
    /// Sleep counts: a tunnel whose machine slept longer than its timeout expires as soon as it wakes (ovpn-dco-win #64), the other end's
    /// does not; and without a timeout nothing comes of it.
    pub fn sleep(&self) -> Result<String> {
        const HOURS: u32 = 4;
        let [machine_a, _] = self.machines;
        let sleep = || -> Result<()> {
            transition(machine_a, "sleep")?;
            query_lab(&machine_a.lab, &format!("clock +{}", HOURS * 3600))?;
            transition(machine_a, "wake")
        };
        let settings =
            PeerSettings { keepalive_interval: Some(10), keepalive_timeout: Some(60), ..PeerSettings::default() };
        self.up(Transport::V4, Cipher::Aes256, Some(settings))?;
        let probe = self.rig.probe(Transport::V4)?;
        probe.exchange(100, 1)?;
        let (mut at_a, mut at_b) = (self.a.read(READ_LENGTH)?, self.b.read(READ_LENGTH)?);
        sleep()?;
        let told = at_a.wait(LOOKS)?.map(|completion| completion.status);
        ensure!(
            told == Some(NtStatus::CONNECTION_DISCONNECTED),
            "lab a, awake after {HOURS} h with a timeout of 60 s: expected CONNECTION_DISCONNECTED, got {told:?}"
        );
        let told = at_b.wait(Duration::from_millis(1))?.map(|completion| completion.status);
        ensure!(told.is_none(), "lab b, which did not sleep: expected its read to wait on, it ended with {told:?}");
        probe.exchange(100, 2).context("after the sleep")?;

        self.a.set_peer(PeerSettings { keepalive_timeout: Some(0), ..settings })?;
        let mut at_a = self.a.read(READ_LENGTH)?;
        sleep()?;
        let told = at_a.wait(LOOKS)?.map(|completion| completion.status);
        ensure!(told.is_none(), "lab a, without a timeout: expected its read to wait on, it ended with {told:?}");
        probe.exchange(100, 3).context("after the second sleep")?;
        self.down()?;
        Ok(format!("{HOURS} h later the end that slept expires, the other does not"))
    }

    /// Queues stop and start under traffic, and the stack takes its interface down (ovpn-dco-win #36): the driver goes on, every packet
    /// passes or is dropped by name, and the tunnel works afterwards.
    pub fn power_cycles(&self) -> Result<String> {
        const CYCLES: usize = 24;
        self.up(Transport::V4, Cipher::Aes256, None)?;
        let before = self.snapshot()?;
        let stop = AtomicBool::new(false);
        let sides = [(&self.machines[0], &self.a, Side::A), (&self.machines[1], &self.b, Side::B)];
        thread::scope(|scope| -> Result<()> {
            let senders = Side::BOTH.map(|side| {
                let (stop, socket) = (&stop, self.rig.socket(side, Transport::V4));
                let to: SocketAddr = (self.rig.tunnel(side.other(), Transport::V4), 7).into();
                scope.spawn(move || -> Result<()> {
                    let socket = socket?;
                    while !stop.load(Ordering::Relaxed) {
                        // Refused while the interface is down.
                        let _ = socket.send_to(&[0x5A; 600], to);
                        thread::sleep(Duration::from_micros(300));
                    }
                    Ok(())
                })
            });
            let cycled = (0..CYCLES).try_for_each(|cycle| {
                let (machine, device, side) = sides[cycle % 2];
                self.cycle(cycle, machine, device, side).with_context(|| format!("cycle {cycle}"))
            });
            stop.store(true, Ordering::Relaxed);
            for sender in senders {
                joined(sender)?;
            }
            cycled
        })?;
        self.eventually("every packet passed or dropped by name", || Ok(self.snapshot()?.since(&before).balances()))?;
        let counts = self.snapshot()?.since(&before);
        // The interface lost its IPv6 addresses when it was down.
        self.rig.configure()?;
        for inner in [Transport::V4, Transport::V6] {
            // Over a socket of its own: what the senders sent lies in the old one.
            let probe = self.rig.probe(inner)?;
            probe.exchange(500, 1).context("after all cycles")?;
        }
        self.down()?;
        let Counts { given, sent, received, indicated, lost_out, lost_in, .. } = counts;
        Ok(format!(
            "{CYCLES} times; given {given:?} = sent {sent:?} + lost {lost_out:?}, received {received:?} = passed {indicated:?} + lost {lost_in:?}"
        ))
    }

    /// One sleep, or the interface down; in either case until traffic has run into it, and on until it runs again.
    fn cycle(&self, cycle: usize, machine: &Machine, device: &Device, side: Side) -> Result<()> {
        if cycle % 4 < 2 {
            let lost = self.count(device, "RxNoQueue")?;
            transition(machine, "sleep")?;
            self.eventually("packets that found no queue", || Ok(self.count(device, "RxNoQueue")? > lost))?;
            transition(machine, "wake")?;
        } else {
            let lost = machine.netcx("rx_tun_drops")?;
            self.rig.set_tun_up(side, false)?;
            self.eventually("packets that the interface refused", || Ok(machine.netcx("rx_tun_drops")? > lost))?;
            self.rig.set_tun_up(side, true)?;
        }
        let passed = (machine.netcx("rx_packets")?, machine.netcx("tx_packets")?);
        self.eventually("traffic both ways again", || {
            Ok(machine.netcx("rx_packets")? > passed.0 && machine.netcx("tx_packets")? > passed.1)
        })
    }

    fn snapshot(&self) -> Result<Counts> {
        let mut counts = Counts::default();
        for (end, (machine, device)) in self.machines.iter().zip([&self.a, &self.b]).enumerate() {
            let stats = device.stats()?.0;
            counts.given[end] = machine.netcx("tx_packets")?;
            // A packet that the network stack refused was sealed, and is a loss all the same.
            counts.sent[end] = i64::from(stats.sent_data_packets.get()) - self.count(device, "TxSendFailed")?;
            counts.lost_out[end] = stats.lost_out_data_packets.get().into();
            counts.received[end] = stats.received_data_packets.get().into();
            counts.lost_in[end] = stats.lost_in_data_packets.get().into();
            counts.indicated[end] = machine.netcx("rx_packets")? + machine.netcx("rx_tun_drops")?;
        }
        Ok(counts)
    }

    /// A socket that the network stack gives up is told to a reader, to one that waits or to the next, and a new peer works.
    pub fn dead_socket(&self) -> Result<String> {
        for parked in [true, false] {
            self.up(Transport::V4, Cipher::Aes256, None)?;
            let probe = self.rig.probe(Transport::V4)?;
            let early = if parked { Some(self.b.read(READ_LENGTH)?) } else { None };
            probe.exchange(100, 1)?;
            let before = self.machines[1].netcx("wsk_rx_datagrams")?;
            for _ in 0..19 {
                probe.lost(Side::A, 100)?;
            }
            self.eventually("20 datagrams at b", || Ok(self.machines[1].netcx("wsk_rx_datagrams")? >= before + 19))?;
            let mut read = match early {
                Some(read) => read,
                None => self.b.read(READ_LENGTH)?,
            };
            let told = read.wait(Duration::from_secs(2))?.map(|completion| completion.status);
            ensure!(
                told == Some(NtStatus::CONNECTION_DISCONNECTED),
                "a dead socket, a read parked: {parked}: expected CONNECTION_DISCONNECTED, got {told:?}"
            );
            self.down()?;
        }
        self.up(Transport::V4, Cipher::Aes256, None)?;
        self.rig.probe(Transport::V4)?.exchange(100, 1).context("with a new peer")?;
        self.down()?;
        Ok("told to a parked read, or to the next".into())
    }
}

/// Packets at both ends.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    /// From the stack to the driver.
    given: [i64; 2],
    /// To the network.
    sent: [i64; 2],
    lost_out: [i64; 2],
    /// From the network.
    received: [i64; 2],
    /// To the stack.
    indicated: [i64; 2],
    lost_in: [i64; 2],
}

impl Counts {
    fn since(self, before: &Self) -> Self {
        let less = |now: [i64; 2], then: [i64; 2]| [now[0] - then[0], now[1] - then[1]];
        Self {
            given: less(self.given, before.given),
            sent: less(self.sent, before.sent),
            lost_out: less(self.lost_out, before.lost_out),
            received: less(self.received, before.received),
            indicated: less(self.indicated, before.indicated),
            lost_in: less(self.lost_in, before.lost_in),
        }
    }

    /// Whether nothing is unaccounted for: at an end, and between the ends.
    fn balances(&self) -> bool {
        (0..2).all(|end| {
            self.given[end] == self.sent[end] + self.lost_out[end]
                && self.received[end] == self.indicated[end] + self.lost_in[end]
                && self.sent[end] == self.received[1 - end]
        })
    }
}
