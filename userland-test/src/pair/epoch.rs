//! Epoch keys that rotate by themselves: two drivers whose limit is lowered, and one against a far end of this program's own.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use dco_uapi::raw;
use zerocopy::FromBytes;

use super::{Checks, Pair};
use crate::device::{ADAPTER, Device, PROMPT, Slot};
use crate::far::Far;
use crate::far::epoch::{EpochKey, Opened};
use crate::key::{Cipher, Direction, StaticKey};
use crate::rig::{Machine, Rig, Side, Traffic, Transport, stop_both};
use crate::tunnel::Tunnel;

/// Bytes that an epoch packet grows by on the wire.
const OVERHEAD: i64 = 28;

/// Where the two drivers leave an epoch: some 20 packets of the longest. However late a work item runs, nothing may be lost of it: no
/// driver goes where the other cannot follow.
const LIMIT: u64 = 2_000;

/// Where the one against the far end does.
const LOW: u64 = 300;

/// Packets in flight at once.
const BURST: u64 = 64;

/// All of them, on machines of their own.
pub fn check_all(rig: &Rig, checks: &mut Checks) -> Result<()> {
    let keyword = format!("TestAeadUsageLimit={LIMIT}");
    let machines = rig.start_with([&["--keyword", &keyword], &["--keyword", &keyword]])?;
    {
        let [a, b] = &machines;
        let pair =
            Pair { rig, machines: &machines, a: Device::open(&a.lab, ADAPTER)?, b: Device::open(&b.lab, ADAPTER)? };
        for (cipher, transport, over) in [
            (Cipher::Aes128, Transport::V4, 4),
            (Cipher::Aes256, Transport::V6, 6),
            (Cipher::ChaCha20, Transport::V4, 4),
        ] {
            checks.check(&format!("epochs, {} over IPv{over}", cipher.name()), || pair.epochs(transport, cipher));
        }
    }
    checks.check("unload after epochs", || {
        stop_both(machines)?;
        Ok("both drivers, nothing left behind, nothing violated".into())
    });
    let keyword = format!("TestAeadUsageLimit={LOW}");
    let Ok(machine) = rig.start_one(Side::A, &["--keyword", &keyword])? else {
        bail!("expected lab a ready, it ended")
    };
    for cipher in Cipher::ALL {
        checks.check(&format!("epochs, {} against a far end", cipher.name()), || against_far(rig, &machine, cipher));
    }
    checks.check("unload after the far end", || {
        machine.stop()?;
        Ok("nothing left behind, nothing violated".into())
    });
    Ok(())
}

impl Pair<'_> {
    /// The epoch that a driver sends in: the first half of what KEY_EVENT says of the next packet id.
    fn send_epoch(device: &Device) -> Result<u32> {
        let told = device.key_event(1)?.wait(PROMPT)?.context("KEY_EVENT of packet id 1: expected it to end")?;
        let event = raw::KeyEvent::read_from_bytes(&told.output);
        let event = event.map_err(|_| anyhow::anyhow!("KEY_EVENT: expected SUCCESS, got {}", told.status))?;
        Ok(event.packet_id.get() >> 16)
    }

    /// What each driver lost, by name, and the epoch it sends in, for the report of a failure.
    fn losses(&self) -> String {
        let of = |device: &Device| {
            let lost: Vec<_> =
                device.drops().unwrap_or_default().into_iter().filter(|(_, count)| *count != 0).collect();
            format!("{lost:?} in epoch {:?}", Self::send_epoch(device).ok())
        };
        format!("a: {}; b: {}", of(&self.a), of(&self.b))
    }

    /// Traffic both ways across rotations and rekeys, none of it lost, counters exact.
    fn epochs(&self, transport: Transport, cipher: Cipher) -> Result<String> {
        const ROUNDS: u64 = 800;
        self.up(transport, cipher, None)?;
        let (mut sum, mut rotations) = (Traffic::default(), 0);
        let install = |number: u64, slot: Slot, key_id: u8| -> Result<()> {
            self.a.new_epoch_key(&StaticKey::of_test(number, cipher, Direction::Normal), slot, key_id, 7)?;
            self.b.new_epoch_key(&StaticKey::of_test(number, cipher, Direction::Inverse), slot, key_id, 7)
        };
        install(10, Slot::Primary, 1)?;
        let probe = self.rig.probe(Transport::V4)?;
        let probe6 = self.rig.probe(Transport::V6)?;
        let traffic = |sum: &mut Traffic, round: u64| -> Result<()> {
            for size in [0, 1, 15, 16, 17, 512, probe.largest()] {
                *sum += probe.exchange(size, round)?;
            }
            *sum += probe.burst(probe.largest(), BURST, round)?;
            *sum += probe6.burst(probe6.largest(), BURST, round)?;
            Ok(())
        };
        for key in 0..2u8 {
            for round in 0..ROUNDS / 2 {
                traffic(&mut sum, round).with_context(|| format!("key {key}, round {round}; {}", self.losses()))?;
            }
            let epochs = [Self::send_epoch(&self.a)?, Self::send_epoch(&self.b)?];
            let [low, high] = [epochs[0].min(epochs[1]), epochs[0].max(epochs[1])];
            // Each follows the other, as soon as it has heard of it.
            ensure!(high - low <= 2, "expected both ends in about the same epoch, got {epochs:?}");
            ensure!(low > 30, "expected the epochs to go on with {} packets each way, got {epochs:?}", sum.packets);
            rotations += low - 1;
            if key == 0 {
                install(11, Slot::Secondary, 2)?;
                traffic(&mut sum, ROUNDS).context("with the next key in place")?;
                self.a.swap_keys()?;
                traffic(&mut sum, ROUNDS + 1).context("with keys swapped at one end")?;
                self.b.swap_keys()?;
            }
        }
        sum.expect_counted_with(OVERHEAD, &self.a).context("lab a")?;
        sum.expect_counted_with(OVERHEAD, &self.b).context("lab b")?;
        self.down()?;
        Ok(format!("{} packets each way, {rotations} rotations, 1 rekey, none lost, counters exact", sum.packets))
    }
}

/// What packets and blocks of plaintext a packet adds.
fn cost(opened: &Opened) -> u64 {
    1 + (opened.inner.len() as u64).div_ceil(16)
}

/// The far end rotates first, and the driver follows. Then the driver does: each epoch follows the other, begins at packet 1, and none is left
/// before its limit, nor more than two epochs before the far end follows.
fn against_far(rig: &Rig, machine: &Machine, cipher: Cipher) -> Result<String> {
    const ROTATIONS: u16 = 200;
    const PATIENCE: Duration = Duration::from_secs(5);
    let transport = Transport::V4;
    let near = rig.wire(Side::A, transport);
    let device = Device::open(&machine.lab, ADAPTER)?;
    let far = rig.within(Side::B, || Far::at(rig.wire(Side::B, transport).ip(), near))?;
    let there = far.address()?;
    let key = StaticKey::of_test(20, cipher, Direction::Normal);
    Tunnel { local: near, remote: there, peer_id: 7, key: &key, settings: None }.up(&device)?;
    let key = StaticKey::of_test(21, cipher, Direction::Normal);
    device.new_epoch_key(&key, Slot::Primary, 1, 7)?;
    let mut key = EpochKey::opposite(&key, 1, 7)?;
    rig.configure_some(&[Side::A])?;
    let socket = rig.socket(Side::A, transport)?;
    let exchange = |key: &mut EpochKey, size: usize| -> Result<Opened> {
        socket.send_to(&vec![0x5A; size], (rig.tunnel(Side::B, transport), 9))?;
        let packet = far.receive(PATIENCE)?.context("expected a packet of the driver's, none came")?;
        key.open(&packet)?.context("expected a packet of key-id 1")
    };
    // The driver opens four epochs above the one that it heard, and sends in that.
    let before = device.stats()?.0.tun_bytes_received.get();
    let taken = || Ok::<_, anyhow::Error>(device.stats()?.0.tun_bytes_received.get() - before);
    let mut sent = 0;
    let mut send = |key: &mut EpochKey, epoch: u16| -> Result<i64> {
        sent += 1;
        far.send(&key.seal(epoch, sent, &crate::far::ipv4(100, 1))?)?;
        Ok(sent as i64 * 100)
    };
    let mut expected = 0;
    for epoch in [1, 5, 5, 1] {
        expected = send(&mut key, epoch)?;
    }
    super::wait_for("four packets of the far end's taken", || Ok(taken()? == expected))?;
    super::wait_for("the driver in the far end's epoch", || Ok(Pair::send_epoch(&device)? == 5))?;

    let (mut epoch, mut counter, mut used, mut packets) = (5, 0, 0, 0u64);
    let (mut heard, mut early) = (5, true);
    while epoch <= ROTATIONS {
        let came = exchange(&mut key, [0, 1, 100, 1000, 1400][packets as usize % 5])?;
        packets += 1;
        ensure!(packets < 100_000, "expected {ROTATIONS} rotations within 100000 packets, got {}", epoch - 1);
        if came.epoch == epoch {
            ensure!(
                came.counter == counter + 1,
                "epoch {epoch}: expected packet {}, got {}",
                counter + 1,
                came.counter
            );
        } else {
            ensure!(
                came.epoch == epoch + 1 && came.counter == 1,
                "expected packet 1 of epoch {}, got {} of {}",
                epoch + 1,
                came.counter,
                came.epoch
            );
            ensure!(used > LOW, "epoch {epoch}: expected it left above {LOW}, it was at {used}");
            (epoch, used) = (came.epoch, 0);
        }
        counter = came.counter;
        used += cost(&came);
        ensure!(epoch <= heard + 2, "epoch {epoch}: expected two epochs ahead of the far end's {heard} at most");
        // At first the far end is silent, and the driver stays where it is, far above its limit.
        early &= used < 5 * LOW;
        if !early && epoch > heard {
            heard = epoch;
            expected = send(&mut key, epoch)?;
        }
    }
    super::wait_for("all packets of the far end's taken", || Ok(taken()? == expected))?;
    let lost = device.stats()?.0.lost_in_data_packets.get();
    ensure!(lost == 0, "expected nothing lost, got {lost}");
    device.del_peer()?;
    device.close()?;
    Ok(format!("{} rotations in {packets} packets, none early, none skipped", epoch - 1))
}
