//! What happens to a server at the same time: from several threads on one handle, and against its close.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use dco_uapi::{Ioctl, additive};
use zerocopy::IntoBytes;

use super::{USERSPACE, listen, mode, prefixed, quiet, quiet_client, route, set_client};
use crate::conform::{Bench, cases};
use crate::device::{ADAPTER, Client, Device, Event, PROMPT, PeerSettings, READ_LENGTH, Slot};
use crate::far::{DRIVER, DataKey, Far, OVERHEAD, between};
use crate::join::joined;
use crate::key::{Cipher, StaticKey};
use crate::status::NtStatus;
use crate::targets::{File, Null, Pending, Request};
use crate::tunnel::wait_for_queue;

/// Numbers that differ from thread to thread and from call to call (Knuth's multiplier).
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// One request of a server's, any of them, about one of a few peers.
fn start_any(file: &dyn File, dice: &mut Dice) -> std::io::Result<Box<dyn Pending>> {
    let id = dice.below(8) as i32;
    let call = |ioctl: Ioctl, input: &[u8], output| {
        file.start(Request::Ioctl { code: ioctl.code(), input, output, null: Null::default() })
    };
    let network = route([10, 1, id as u8, 0], 24, id);
    match dice.below(18) {
        0 | 1 => call(Ioctl::MpNewPeer, &quiet(id), 0),
        2 => call(Ioctl::MpDelPeer, &cases::peer_ref(id), 0),
        3 => call(Ioctl::MpSetPeer, &set_client(id), 0),
        4 => call(Ioctl::NewKey, &cases::key_with(|key| key.peer_id = id.into()), 0),
        5 => call(Ioctl::MpSwapKeys, &cases::peer_ref(id), 0),
        6 | 7 => call(Ioctl::MpAddIroute, &network, 0),
        8 => call(Ioctl::MpDelIroute, &network, 0),
        9 => call(Ioctl::GetPeerStats, &cases::peer_ref(-1), 10_000),
        10 | 11 => call(Ioctl::NotifyEvent, &[], 144),
        12 => file.start(Request::Read { length: READ_LENGTH }),
        13 => {
            let to: SocketAddr = ([127, 9, 0, id as u8], 9).into();
            file.start(Request::Write { bytes: &prefixed(to, b"\x38race") })
        }
        15 => {
            let (code, null) = (additive::MP_LISTEN, Null::default());
            file.start(Request::Ioctl { code, input: &super::listen_by((dice.below(2)) as i32), output: 32, null })
        }
        16 => {
            let (code, null) = (additive::MP_UNLISTEN, Null::default());
            file.start(Request::Ioctl { code, input: &(dice.below(4) as u32).to_le_bytes(), output: 0, null })
        }
        14 => {
            let (code, null) = (additive::GET_PEER_DROPS, Null::default());
            file.start(Request::Ioctl { code, input: &id.to_le_bytes(), output: 10_000, null })
        }
        _ => {
            let (code, null) = (additive::GET_DROPS, Null::default());
            file.start(Request::Ioctl { code, input: &[], output: 10_000, null })
        }
    }
}

fn open(bench: &Bench<'_>) -> Result<Box<dyn File>> {
    match bench.target.open(ADAPTER)? {
        Ok(file) => Ok(file),
        Err(status) => bail!("open: expected SUCCESS, got {status}"),
    }
}

/// Closes a handle while other threads use it: each request ends, and the next handle finds nothing of it.
pub fn close_during(bench: &Bench<'_>) -> Result<String> {
    const ROUNDS: u64 = 60;
    const THREADS: u64 = 6;
    let ended = AtomicU64::new(0);
    for round in 0..ROUNDS {
        let file = open(bench)?;
        for (ioctl, input, output) in [(Ioctl::SetMode, mode(1), 0), (Ioctl::MpStartVpn, listen(), 32)] {
            let code = ioctl.code();
            let mut call = file.start(Request::Ioctl { code, input: &input, output, null: Null::default() })?;
            let status = call.wait(PROMPT)?.map(|came| came.status);
            ensure!(status == Some(NtStatus::SUCCESS), "{}: expected SUCCESS, got {status:?}", ioctl.name());
        }
        let closed = AtomicBool::new(false);
        thread::scope(|scope| -> Result<()> {
            let threads: Vec<_> = (0..THREADS)
                .map(|number| {
                    let (file, closed, ended) = (&*file, &closed, &ended);
                    scope.spawn(move || -> Result<()> {
                        let mut dice = Dice(round * THREADS + number);
                        let mut waiting = VecDeque::new();
                        while !closed.load(Ordering::Acquire) {
                            // One that comes too late is refused by the I/O manager.
                            let Ok(pending) = start_any(file, &mut dice) else { break };
                            waiting.push_back(pending);
                            if waiting.len() > 32
                                && let Some(mut oldest) = waiting.pop_front()
                                && oldest.wait(Duration::ZERO)?.is_none()
                            {
                                oldest.cancel()?;
                                end(oldest)?;
                            }
                            ended.fetch_add(1, Ordering::Relaxed);
                        }
                        waiting.into_iter().try_for_each(end)
                    })
                })
                .collect();
            thread::sleep(Duration::from_millis(round % 20));
            let status = file.close()?;
            closed.store(true, Ordering::Release);
            threads.into_iter().try_for_each(joined)?;
            ensure!(status == NtStatus::SUCCESS, "close: expected SUCCESS, got {status}");
            Ok(())
        })?;
        ensure!(bench.target.alive(), "the driver's machine is gone");
        let device = Device::open(bench.target, ADAPTER)?;
        device.set_mode_server()?;
        ensure!(device.all_client_stats()?.is_empty(), "expected no peers after a close");
        device.close()?;
    }
    Ok(format!("{ROUNDS} closes, {} requests", ended.into_inner()))
}

fn end(mut pending: Box<dyn Pending>) -> Result<()> {
    match pending.wait(PROMPT)? {
        Some(_) => Ok(()),
        None => bail!("a request still pends after {PROMPT:?}"),
    }
}

/// Peers go, one after the other, while a few requests wait and some are cancelled: each event is told once, in order, to a request
/// that was not cancelled before.
pub fn events(bench: &Bench<'_>) -> Result<String> {
    const PEERS: i32 = 3000;
    let device = Device::open(bench.target, ADAPTER)?;
    device.set_mode_server()?;
    device.listen((Ipv4Addr::LOCALHOST, 0).into(), false)?;
    let told = AtomicI32::new(0);
    let failed = AtomicBool::new(false);
    let mut cancelled = 0;
    thread::scope(|scope| -> Result<()> {
        let goes = scope.spawn(|| -> Result<()> {
            for n in 0..PEERS {
                device.add_peer(&quiet_client(1 + n))?;
                device.del_client(1 + n)?;
                // No more than wait.
                while n - told.load(Ordering::Acquire) > 500 && !failed.load(Ordering::Acquire) {
                    thread::yield_now();
                }
            }
            Ok(())
        });
        let listened = (|| -> Result<()> {
            let mut dice = Dice(1);
            let mut requests: VecDeque<Box<dyn Pending>> = VecDeque::new();
            while told.load(Ordering::Acquire) < PEERS {
                while requests.len() < 4 {
                    requests.push_back(device.notify_event()?);
                }
                let Some(mut oldest) = requests.pop_front() else { continue };
                if dice.below(4) == 0 {
                    oldest.cancel()?;
                }
                let Some(came) = oldest.wait(PROMPT)? else { bail!("expected an event, none came within {PROMPT:?}") };
                if came.status == NtStatus::CANCELLED {
                    cancelled += 1;
                    continue;
                }
                let expected = Event::DelPeer(1 + told.load(Ordering::Acquire), USERSPACE);
                let event = Event::from_bytes(&came.output)?;
                ensure!(event == expected, "expected {expected:?}, got {event:?}");
                told.fetch_add(1, Ordering::AcqRel);
            }
            Ok(())
        })();
        failed.store(listened.is_err(), Ordering::Release);
        joined(goes).and(listened)
    })?;
    device.close()?;
    Ok(format!("{PEERS} events, {cancelled} requests cancelled"))
}

/// What the threads of a churn share.
struct Churn<'a> {
    device: &'a Device,
    at: SocketAddr,
    until: Instant,
    lives: AtomicU64,
    expired: AtomicU64,
}

/// Peers come, get keys and networks, send sound and unsound packets, and go, or are left to expire.
pub fn churn(bench: &Bench<'_>) -> Result<String> {
    const THREADS: u8 = 4;
    let device = Device::open(bench.target, ADAPTER)?;
    device.set_mode_server()?;
    let at = device.listen((Ipv4Addr::LOCALHOST, 0).into(), false)?;
    wait_for_queue(&device, &Far::of(at)?)?;
    let churn = Churn {
        device: &device,
        at,
        until: Instant::now() + bench.seconds,
        lives: AtomicU64::new(0),
        expired: AtomicU64::new(0),
    };
    let done = AtomicBool::new(false);
    thread::scope(|scope| -> Result<()> {
        let listener = scope.spawn(|| churn.listen(&done));
        let threads: Vec<_> = (0..THREADS).map(|n| (n, &churn)).map(|(n, c)| scope.spawn(move || c.lives(n))).collect();
        let lived = threads.into_iter().try_for_each(joined);
        done.store(true, Ordering::Release);
        joined(listener).and(lived)
    })?;
    // Those that were left expire, too.
    let deadline = Instant::now() + PROMPT;
    while !device.all_client_stats()?.is_empty() {
        ensure!(Instant::now() < deadline, "expected the silent peers gone within {PROMPT:?}");
        thread::sleep(Duration::from_millis(50));
    }
    let Churn { lives, expired, .. } = churn;
    device.close()?;
    Ok(format!("{} lives, {} left to expire", lives.into_inner(), expired.into_inner()))
}

impl Churn<'_> {
    fn listen(&self, done: &AtomicBool) -> Result<()> {
        while !done.load(Ordering::Acquire) {
            let mut event = self.device.notify_event()?;
            loop {
                match event.wait(Duration::from_millis(20))? {
                    Some(came) => {
                        Event::from_bytes(&came.output)?;
                        break;
                    }
                    None if done.load(Ordering::Acquire) => {
                        event.cancel()?;
                        return end(event);
                    }
                    None => {}
                }
            }
        }
        Ok(())
    }

    fn lives(&self, thread: u8) -> Result<()> {
        let mut life = 0u16;
        // The sockets of those that are left to expire: until then their ports are taken.
        let mut left = VecDeque::new();
        while Instant::now() < self.until {
            if let Some(far) = self.life(thread, life)? {
                left.push_back((Instant::now(), far));
            }
            while left.front().is_some_and(|(since, _)| since.elapsed() > PROMPT) {
                left.pop_front();
            }
            life = life.wrapping_add(1);
            self.lives.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// One life; gives the socket of a peer that is left to expire.
    fn life(&self, thread: u8, life: u16) -> Result<Option<Far>> {
        let device = self.device;
        let [high, low] = life.to_be_bytes();
        let id = i32::from(thread) << 16 | i32::from(life);
        let far = Far::of(self.at)?;
        let vpn4 = Ipv4Addr::new(10, 80 + thread, high, low);
        device.add_peer(&Client { id, remote: far.address()?, vpn4: Some(vpn4), vpn6: None })?;
        device.add_iroute([172, 16 + thread, high, low].into(), 32, id)?;
        let key = |number: u64, key_id: u8| -> Result<(StaticKey, DataKey)> {
            let key = StaticKey::of_test(number, Cipher::ALL[usize::from(low) % Cipher::ALL.len()], DRIVER);
            let other = DataKey::opposite(&key, key_id, id.cast_unsigned())?;
            Ok((key, other))
        };
        let (mine, other) = key(u64::from(life) + 1, 0)?;
        device.new_key(&mine, Slot::Primary, 0, id.cast_unsigned())?;
        let sound = between(vpn4.into(), [10, 77, 0, 1].into(), 200, 1);
        let behind = between([172, 16 + thread, high, low].into(), [10, 77, 0, 1].into(), 100, 1);
        let stolen = between([10, 79, 0, 1].into(), [10, 77, 0, 1].into(), 100, 1);
        let first = other.seal(1, &sound)?;
        far.send(&first)?;
        far.send(&first)?;
        far.send(&other.seal(2, &behind)?)?;
        far.send(&other.seal(3, &stolen)?)?;
        let mut forged = other.seal(4, &sound)?;
        forged[40] ^= 1;
        far.send(&forged)?;
        far.send(&first[..20])?;
        let (next, other) = key(u64::from(life) + 70_000, 1)?;
        device.new_key(&next, Slot::Secondary, 1, id.cast_unsigned())?;
        device.swap_client_keys(id)?;
        far.send(&other.seal(1, &behind)?)?;
        // All that is sound comes; nothing else does.
        let expected = (sound.len() + 2 * behind.len()) as i64;
        let link = expected + (stolen.len() + 4 * OVERHEAD) as i64;
        let deadline = Instant::now() + PROMPT;
        loop {
            let stats = device.client_stats(id)?;
            let came = [stats.vpn_rx_bytes.get(), stats.link_rx_bytes.get()];
            if came == [expected, link] {
                break;
            }
            ensure!(Instant::now() < deadline, "peer {id:x}: expected {:?} bytes, got {came:?}", [expected, link]);
            thread::yield_now();
        }
        if life.is_multiple_of(16) {
            self.expired.fetch_add(1, Ordering::Relaxed);
            let settings = PeerSettings { keepalive_interval: Some(1), keepalive_timeout: Some(1), mss: None };
            device.set_client(id, settings)?;
            return Ok(Some(far));
        }
        device.del_client(id)?;
        // What comes after it is nobody's.
        far.send(&other.seal(2, &behind)?)?;
        let gone = device.ioctl(Ioctl::MpDelPeer.code(), id.as_bytes(), 0)?.status;
        ensure!(gone == NtStatus::NOT_FOUND, "expected NOT_FOUND, got {gone}");
        Ok(None)
    }
}
