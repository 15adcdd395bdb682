//! Epoch keys, with the suite as the far end: who rotates, what is followed, what is dropped and under which name.

use std::time::Instant;

use anyhow::{Result, bail, ensure};

use super::traffic::{Link, PEER, SOON, keepalive, of_all_sizes};
use super::{Bench, Body, Case};
use crate::device::{PeerSettings, Slot};
use crate::far::epoch::{EpochKey, OVERHEAD, Opened};
use crate::far::{DRIVER, DataKey, PING, ipv4};
use crate::key::{Cipher, StaticKey};

/// Epochs above the current one that keys are held for.
const FUTURE: u16 = 4;

/// The scenarios.
pub fn all() -> Vec<Case> {
    let case =
        |name: &str, run: fn(&Bench<'_>) -> Result<String>| Case { name: name.into(), body: Body::Run(Box::new(run)) };
    let mut all: Vec<Case> = Cipher::ALL
        .map(|cipher| Case {
            name: format!("epochs: {}, every size class", cipher.name()),
            body: Body::Run(Box::new(move |bench| sizes(bench, cipher))),
        })
        .into();
    all.extend([
        case("epochs: a far end that rotates first is followed", followed),
        case("epochs: too far, retired, impossible, short", refused),
        case("epochs: a replay window each", replays),
        case("epochs: forged in every part, and nothing moves", forgeries),
        case("epochs: hundreds of rotations by the far end", rotations),
        case("epochs: rekeys, and a classic key beside", rekeys),
    ]);
    all
}

/// A tunnel between the driver and the suite, under an epoch key with key-id 1.
struct Epochs {
    link: Link,
    key: EpochKey,
    tag: u32,
}

impl Bench<'_> {
    fn epochs(&self, cipher: Cipher, settings: Option<PeerSettings>) -> Result<Epochs> {
        let link = self.link(false, cipher, settings)?;
        let key = StaticKey::of_test(2, cipher, DRIVER);
        link.device.new_epoch_key(&key, Slot::Primary, 1, PEER)?;
        Ok(Epochs { link, key: EpochKey::opposite(&key, 1, PEER)?, tag: 0 })
    }
}

impl Epochs {
    fn packet(&mut self, epoch: u16, counter: u64) -> Result<Vec<u8>> {
        self.tag += 1;
        self.key.seal(epoch, counter, &ipv4(64, self.tag))
    }

    fn takes(&mut self, epoch: u16, counter: u64) -> Result<()> {
        let packet = self.packet(epoch, counter)?;
        self.link.takes_with(OVERHEAD, &[packet])
    }

    fn refuses(&mut self, reason: &str, ids: &[(u16, u64)]) -> Result<()> {
        let packets: Result<Vec<_>> = ids.iter().map(|&(epoch, counter)| self.packet(epoch, counter)).collect();
        self.link.refuses(reason, &packets?)
    }

    /// The next packet of the driver's.
    fn receive(&mut self) -> Result<Opened> {
        let deadline = Instant::now() + SOON;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Some(packet) = self.link.far.receive(left)? else {
                bail!("expected a packet of the driver's within {SOON:?}, none came")
            };
            // The classic key's have key-id 0.
            if let Some(opened) = self.key.open(&packet)? {
                return Ok(opened);
            }
        }
    }

    /// Waits until the driver sends in this epoch: then it has made its keys for it. The first packet there has counter 1.
    fn lifted(&mut self, epoch: u16) -> Result<()> {
        let mut last = 0;
        loop {
            let came = self.receive()?;
            ensure!(came.inner == PING && came.peer_id == PEER, "expected a ping for {PEER:x}, got {came:x?}");
            ensure!(last <= came.epoch && came.epoch <= epoch, "expected epochs up to {epoch}, got {came:x?}");
            if came.epoch == epoch {
                ensure!(last == epoch || came.counter == 1, "expected an epoch to begin at 1, got {came:x?}");
                return Ok(());
            }
            last = came.epoch;
        }
    }
}

fn sizes(bench: &Bench<'_>, cipher: Cipher) -> Result<String> {
    let mut epochs = bench.epochs(cipher, None)?;
    let inner = of_all_sizes();
    let mut sealed = Vec::new();
    for (number, packet) in inner.iter().enumerate() {
        sealed.push(epochs.key.seal(1, number as u64 + 1, packet)?);
    }
    // No more at once than a small socket buffer holds.
    sealed.chunks(16).try_for_each(|some| epochs.link.takes_with(OVERHEAD, some))?;
    let stats = epochs.link.device.stats()?;
    let transport: usize = sealed.iter().map(Vec::len).sum();
    ensure!(
        stats.0.transport_bytes_received.get() == transport as i64 && stats.0.lost_in_data_packets.get() == 0,
        "expected {transport} transport bytes and no loss, got\n{stats}"
    );
    epochs.link.end()?;
    Ok(format!("{} packets", sealed.len()))
}

fn followed(bench: &Bench<'_>) -> Result<String> {
    let mut epochs = bench.epochs(Cipher::Aes256, keepalive(1, 0))?;
    epochs.lifted(1)?;
    epochs.takes(1, 1)?;
    // Two on, as after a loss: the driver follows, and forgets what lies between.
    epochs.takes(3, 1)?;
    epochs.refuses("RxEpochRetired", &[(2, 1)])?;
    epochs.takes(1, 2)?;
    epochs.lifted(3)?;
    for epoch in [4, 8] {
        epochs.takes(epoch, 1)?;
        epochs.lifted(epoch)?;
    }
    epochs.link.end()?;
    Ok("to epochs 3, 4 and 8".into())
}

fn refused(bench: &Bench<'_>) -> Result<String> {
    let mut epochs = bench.epochs(Cipher::Aes192, keepalive(1, 0))?;
    epochs.refuses("RxMalformed", &[(0, 1), (1, 0), (0, 0)])?;
    epochs.refuses("RxEpochTooFar", &[(2 + FUTURE, 1), (0xFFFA, 1), (0xFFFB, 1), (0xFFFF, 0xFFFF_FFFF_FFFF)])?;
    // The furthest that is held.
    epochs.takes(1 + FUTURE, 1)?;
    epochs.lifted(1 + FUTURE)?;
    epochs.refuses("RxEpochRetired", &[(2, 1), (3, 1), (4, 1)])?;
    // 1 is retiring.
    epochs.takes(1, 7)?;
    epochs.refuses("RxEpochTooFar", &[(2 + 2 * FUTURE, 1)])?;
    epochs.takes(2 + FUTURE, 1)?;
    epochs.refuses("RxEpochRetired", &[(1, 8)])?;
    epochs.takes(1 + FUTURE, 2)?;
    let sound = epochs.packet(2 + FUTURE, 2)?;
    let cut: Vec<_> = (4..OVERHEAD).map(|length| sound[..length].to_vec()).collect();
    epochs.link.refuses("RxTooShort", &cut)?;
    epochs.link.takes_with(OVERHEAD, &[sound])?;
    epochs.link.end()?;
    Ok("each by its name".into())
}

fn replays(bench: &Bench<'_>) -> Result<String> {
    let mut epochs = bench.epochs(Cipher::Aes256, None)?;
    epochs.takes(1, 5000)?;
    epochs.takes(1, 5000 - 2047)?;
    epochs.refuses("RxReplay", &[(1, 5000), (1, 5000 - 2047), (1, 5000 - 2048)])?;
    // Another epoch begins with a window of its own, and the one that retires keeps its.
    epochs.takes(2, 1)?;
    epochs.refuses("RxReplay", &[(2, 1), (1, 5000), (1, 1)])?;
    epochs.takes(1, 4999)?;
    epochs.takes(1, 6000)?;
    epochs.takes(2, 0xFFFF_FFFF_FFFF)?;
    epochs.refuses("RxReplay", &[(2, 2), (2, 0xFFFF_FFFF_FFFF), (1, 4999)])?;
    // A new key begins anew.
    let key = StaticKey::of_test(3, Cipher::Aes256, DRIVER);
    epochs.link.device.new_epoch_key(&key, Slot::Primary, 1, PEER)?;
    epochs.key = EpochKey::opposite(&key, 1, PEER)?;
    epochs.takes(1, 1)?;
    epochs.link.end()?;
    Ok("window of 2048 for each epoch".into())
}

fn forgeries(bench: &Bench<'_>) -> Result<String> {
    let mut epochs = bench.epochs(Cipher::Aes256, None)?;
    let sound = epochs.key.seal(2, 7, &ipv4(40, 7))?;
    let changed = |places: std::ops::Range<usize>| {
        places.map(|at| {
            let mut packet = sound.clone();
            packet[at] ^= 1 << (at % 8);
            packet
        })
    };
    // Peer-id, counter, ciphertext and tag; a changed epoch is another one.
    let forged: Vec<_> = changed(1..4).chain(changed(6..sound.len())).collect();
    for some in forged.chunks(16) {
        epochs.link.refuses("RxAuthFailed", some)?;
    }
    let mut other = sound.clone();
    other[5] ^= 1;
    epochs.link.refuses("RxAuthFailed", &[other])?;
    // None of it has moved a window or an epoch: 1 is current.
    epochs.takes(1, 1)?;
    epochs.refuses("RxEpochTooFar", &[(2 + FUTURE, 1)])?;
    epochs.link.takes_with(OVERHEAD, &[sound])?;
    epochs.link.end()?;
    Ok(format!("{} changed bits, each refused", forged.len()))
}

/// The far end goes on to the next epoch with each packet. Where the driver has not made its keys yet, it says so by dropping the packet as too
/// far, and the far end sends another.
fn rotations(bench: &Bench<'_>) -> Result<String> {
    const ROTATIONS: u16 = 400;
    let mut epochs = bench.epochs(Cipher::Aes128, None)?;
    epochs.takes(1, 1)?;
    let (mut early, mut last) = (0, 1);
    for epoch in 2..2 + ROTATIONS {
        let deadline = Instant::now() + SOON;
        let mut counter_taken = 0;
        for counter in 1.. {
            counter_taken = counter;
            let (taken, refused) = (epochs.link.taken()?, epochs.link.drop_count("RxEpochTooFar")?);
            let packet = epochs.packet(epoch, counter)?;
            epochs.link.far.send(&packet)?;
            let outcome = || Ok::<_, anyhow::Error>((epochs.link.taken()?, epochs.link.drop_count("RxEpochTooFar")?));
            let (now_taken, now_refused) = loop {
                let now = outcome()?;
                if now != (taken, refused) {
                    break now;
                }
                ensure!(
                    Instant::now() < deadline,
                    "epoch {epoch}: expected the packet taken or refused within {SOON:?}"
                );
            };
            if now_taken == taken + 64 && now_refused == refused {
                break;
            }
            ensure!(
                (now_taken, now_refused) == (taken, refused + 1),
                "epoch {epoch}: expected one packet taken or refused, got {} bytes and {} refused",
                now_taken - taken,
                now_refused - refused
            );
            early += 1;
        }
        // The one before retires, and remembers.
        epochs.refuses("RxReplay", &[(epoch - 1, last)])?;
        last = counter_taken;
    }
    epochs.refuses("RxEpochRetired", &[(ROTATIONS - 1, 100), (1, 100)])?;
    epochs.link.device.set_peer(PeerSettings { keepalive_interval: Some(1), ..PeerSettings::default() })?;
    epochs.lifted(1 + ROTATIONS)?;
    epochs.link.end()?;
    Ok(format!("{ROTATIONS} rotations, {early} packets before their keys"))
}

/// Epoch keys in both slots, and a classic one after: each opens under its key-id, and the primary one seals.
fn rekeys(bench: &Bench<'_>) -> Result<String> {
    let mut epochs = bench.epochs(Cipher::ChaCha20, keepalive(1, 0))?;
    epochs.takes(2, 1)?;
    let next = StaticKey::of_test(3, Cipher::ChaCha20, DRIVER);
    epochs.link.device.new_epoch_key(&next, Slot::Secondary, 2, PEER)?;
    let old = std::mem::replace(&mut epochs.key, EpochKey::opposite(&next, 2, PEER)?);
    epochs.takes(1, 1)?;
    epochs.link.device.swap_keys()?;
    epochs.lifted(1)?;
    // The old one goes on where it was, rotations and all.
    let new = std::mem::replace(&mut epochs.key, old);
    epochs.refuses("RxReplay", &[(2, 1)])?;
    epochs.takes(2, 2)?;
    epochs.takes(4, 1)?;
    epochs.refuses("RxEpochRetired", &[(1, 1), (3, 1)])?;
    epochs.key = new;
    let classic = StaticKey::of_test(4, Cipher::Aes256, DRIVER);
    epochs.link.device.new_key(&classic, Slot::Secondary, 3, PEER)?;
    let classic = DataKey::opposite(&classic, 3, PEER)?;
    epochs.link.takes(&[classic.seal(1, &ipv4(64, 1))?])?;
    epochs.takes(5, 1)?;
    epochs.lifted(5)?;
    epochs.link.device.swap_keys()?;
    let deadline = Instant::now() + SOON;
    loop {
        let Some(packet) = epochs.link.far.receive(SOON)? else { bail!("expected a ping under the classic key") };
        if packet.first().is_some_and(|first| first & 7 == 3) {
            ensure!(classic.open(&packet)?.is_some_and(|opened| opened.inner == PING), "expected a ping");
            break;
        }
        ensure!(Instant::now() < deadline, "expected a ping under the classic key within {SOON:?}");
    }
    epochs.takes(5, 2)?;
    epochs.link.end()?;
    Ok("two epoch keys and a classic one".into())
}
