//! What happens at the same time: from several threads on one handle, and against its close.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use dco_uapi::{Ioctl, additive};

use super::{Bench, Body, Case, cases};
use crate::device::{ADAPTER, PROMPT, READ_LENGTH};
use crate::far::{DRIVER, DataKey, Far, PING, ipv4};
use crate::join::joined;
use crate::key::{Cipher, StaticKey};
use crate::status::NtStatus;
use crate::targets::{Completion, File, Null, Pending, Request};

/// Rounds of each race: what may go wrong does so within few, if it goes wrong at all.
const ROUNDS: usize = 200;

/// The scenarios.
pub fn all() -> Vec<Case> {
    let case =
        |name: &str, run: fn(&Bench<'_>) -> Result<String>| Case { name: name.into(), body: Body::Run(Box::new(run)) };
    vec![
        case("race: close with parked reads", close_parked),
        case("race: close during writes", |bench| close_during(bench, &[Load::Write])),
        case("race: close during reads and writes", |bench| close_during(bench, &[Load::Write, Load::Read])),
        case("race: close during NEW_PEER and DEL_PEER", |bench| close_during(bench, &[Load::NewPeer, Load::DelPeer])),
        case("race: close during all of them", |bench| close_during(bench, &Load::ALL)),
        case("race: a packet comes while a read parks", lost_wakeup),
        case("race: a packet comes while the read is cancelled", cancel_or_packet),
        case("race: writes to its own address while the peer comes and goes", own_address),
        case("race: keys and settings while the peer comes and goes", churn_requests),
        case("churn: peers come and go under valid and invalid traffic", churn),
    ]
}

fn open(bench: &Bench<'_>) -> Result<Box<dyn File>> {
    match bench.target.open(ADAPTER)? {
        Ok(file) => Ok(file),
        Err(status) => bail!("open: expected SUCCESS, got {status}"),
    }
}

fn finish(mut pending: Box<dyn Pending>) -> Result<Completion> {
    match pending.wait(PROMPT)? {
        Some(completion) => Ok(completion),
        None => bail!("a request still pends after {PROMPT:?}"),
    }
}

fn ioctl(file: &dyn File, code: u32, input: &[u8], output: usize) -> Result<Completion> {
    finish(file.start(Request::Ioctl { code, input, output, null: Null::default() })?)
}

fn own_peer(bench: &Bench<'_>, file: &dyn File) -> Result<()> {
    let came = ioctl(file, Ioctl::NewPeer.code(), &cases::new_peer(bench.own, bench.own, 0), 0)?;
    ensure!(came.status == NtStatus::SUCCESS, "NEW_PEER: expected SUCCESS, got {}", came.status);
    Ok(())
}

/// That the device works as ever, after what was done to it.
fn sound(bench: &Bench<'_>) -> Result<()> {
    ensure!(bench.target.alive(), "the driver's machine is gone");
    let file = open(bench)?;
    own_peer(bench, &*file)?;
    let read = file.start(Request::Read { length: READ_LENGTH })?;
    let written = finish(file.start(Request::Write { bytes: b"\x38after" })?)?;
    ensure!(written.status == NtStatus::SUCCESS, "write afterwards: expected SUCCESS, got {}", written.status);
    let came = finish(read)?;
    ensure!(came.output == b"\x38after", "read afterwards: expected the packet, got {}", came.status);
    file.close()?;
    Ok(())
}

fn close_parked(bench: &Bench<'_>) -> Result<String> {
    const READS: usize = 64;
    for with_peer in [false, true] {
        let file = open(bench)?;
        if with_peer {
            own_peer(bench, &*file)?;
        }
        let reads: std::io::Result<Vec<_>> =
            (0..READS).map(|_| file.start(Request::Read { length: READ_LENGTH })).collect();
        file.close()?;
        for read in reads? {
            let status = finish(read)?.status;
            ensure!(status == NtStatus::CANCELLED, "expected CANCELLED, got {status}");
        }
    }
    sound(bench)?;
    Ok(format!("{READS} reads, without a peer and with one"))
}

/// What a thread does until its handle is closed.
#[derive(Clone, Copy)]
enum Load {
    Write,
    Read,
    NewPeer,
    DelPeer,
    NewKey,
    Stats,
}

impl Load {
    const ALL: [Self; 6] = [Self::Write, Self::Read, Self::NewPeer, Self::DelPeer, Self::NewKey, Self::Stats];

    fn start(self, bench: &Bench<'_>, file: &dyn File) -> std::io::Result<Box<dyn Pending>> {
        let key = cases::key_with(|_| ());
        let peer = cases::new_peer(bench.own, bench.own, 0);
        let code =
            |ioctl: Ioctl, input, output| Request::Ioctl { code: ioctl.code(), input, output, null: Null::default() };
        file.start(match self {
            Self::Write => Request::Write { bytes: b"\x38race" },
            Self::Read => Request::Read { length: READ_LENGTH },
            Self::NewPeer => code(Ioctl::NewPeer, &peer, 0),
            Self::DelPeer => code(Ioctl::DelPeer, &[], 0),
            Self::NewKey => code(Ioctl::NewKey, &key, 0),
            Self::Stats => code(Ioctl::GetStats, &[], 64),
        })
    }
}

/// Closes a handle while other threads use it: each request ends, and the device is sound afterwards.
fn close_during(bench: &Bench<'_>, loads: &[Load]) -> Result<String> {
    let ended = AtomicU64::new(0);
    for round in 0..ROUNDS / 4 {
        let file = open(bench)?;
        own_peer(bench, &*file)?;
        let closed = AtomicBool::new(false);
        thread::scope(|scope| -> Result<()> {
            let threads: Vec<_> = loads
                .iter()
                .map(|&load| {
                    let (file, closed, ended) = (&*file, &closed, &ended);
                    scope.spawn(move || -> Result<()> {
                        let mut reads = Vec::new();
                        while !closed.load(Ordering::Acquire) {
                            // After the close a start may fail: there is no handle any more.
                            let Ok(pending) = load.start(bench, file) else { break };
                            if matches!(load, Load::Read) {
                                reads.push(pending);
                                if reads.len() < 8 {
                                    continue;
                                }
                                // They end as packets come, or with the close.
                                thread::sleep(Duration::from_micros(200));
                                let mut left = Vec::new();
                                for mut read in reads {
                                    match read.wait(Duration::ZERO)? {
                                        Some(_) => _ = ended.fetch_add(1, Ordering::Relaxed),
                                        None => left.push(read),
                                    }
                                }
                                reads = left;
                            } else {
                                finish(pending)?;
                                ended.fetch_add(1, Ordering::Relaxed);
                            }
                        }
                        for read in reads {
                            finish(read)?;
                            ended.fetch_add(1, Ordering::Relaxed);
                        }
                        Ok(())
                    })
                })
                .collect();
            // A different moment each round.
            thread::sleep(Duration::from_micros(100 + 97 * (round as u64 % 31)));
            let status = file.close();
            closed.store(true, Ordering::Release);
            for thread in threads {
                joined(thread)?;
            }
            ensure!(status? == NtStatus::SUCCESS, "close: expected SUCCESS");
            Ok(())
        })?;
    }
    sound(bench)?;
    Ok(format!("{} closes, {} requests ended", ROUNDS / 4, ended.load(Ordering::Relaxed)))
}

/// ovpn-dco-win #136: a read parked while its packet queued, and neither found the other.
fn lost_wakeup(bench: &Bench<'_>) -> Result<String> {
    const PACKETS: u32 = 2000;
    let file = open(bench)?;
    own_peer(bench, &*file)?;
    let read = AtomicU32::new(0);
    thread::scope(|scope| -> Result<()> {
        let reader = scope.spawn(|| -> Result<()> {
            for number in 0..PACKETS {
                let came = finish(file.start(Request::Read { length: READ_LENGTH })?)?;
                let expected: Vec<u8> = std::iter::once(0x38).chain(number.to_be_bytes()).collect();
                ensure!(
                    came.output == expected,
                    "expected packet {number}, got {} with {:02x?}",
                    came.status,
                    came.output
                );
                read.store(number, Ordering::Relaxed);
            }
            Ok(())
        });
        for number in 0..PACKETS {
            let packet: Vec<u8> = std::iter::once(0x38).chain(number.to_be_bytes()).collect();
            let came = finish(file.start(Request::Write { bytes: &packet })?)?;
            ensure!(came.status == NtStatus::SUCCESS, "write {number}: expected SUCCESS, got {}", came.status);
            // Every other packet comes when all before are read, just as the next read does; the others may run ahead, for then the one that
            // waits comes late, or out of order. The backlog is shorter than the whole.
            let ahead = if number.is_multiple_of(2) { 1 } else { 32 };
            while !reader.is_finished() && read.load(Ordering::Relaxed) + ahead < number {
                thread::yield_now();
            }
        }
        joined(reader)
    })?;
    file.close()?;
    Ok(format!("{PACKETS} packets, in order"))
}

/// The packet goes to the read or stays for the next one; it is not lost between the two.
fn cancel_or_packet(bench: &Bench<'_>) -> Result<String> {
    let file = open(bench)?;
    own_peer(bench, &*file)?;
    let mut cancelled = 0;
    for number in 0..ROUNDS as u32 * 5 {
        let packet: Vec<u8> = std::iter::once(0x38).chain(number.to_be_bytes()).collect();
        let mut read = file.start(Request::Read { length: READ_LENGTH })?;
        let write = file.start(Request::Write { bytes: &packet })?;
        read.cancel()?;
        let written = finish(write)?;
        ensure!(written.status == NtStatus::SUCCESS, "write: expected SUCCESS, got {}", written.status);
        let mut came = finish(read)?;
        if came.status == NtStatus::CANCELLED {
            cancelled += 1;
            came = finish(file.start(Request::Read { length: READ_LENGTH })?)?;
        }
        ensure!(came.output == packet, "expected packet {number}, got {} with {:02x?}", came.status, came.output);
    }
    file.close()?;
    Ok(format!("{} packets, {cancelled} reads cancelled first", ROUNDS * 5))
}

/// The existing driver's: it sent with a lock held that the receiving callback takes, and a datagram to its own address comes back within
/// the send. There the peer's removal, which waited for that lock too, made the two wait for each other.
fn own_address(bench: &Bench<'_>) -> Result<String> {
    let file = open(bench)?;
    let (stop, written, came) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| -> Result<()> {
        let writer = || -> Result<()> {
            let allowed = [NtStatus::SUCCESS, NtStatus::INVALID_DEVICE_STATE, NtStatus::INSUFFICIENT_RESOURCES];
            while !stop.load(Ordering::Relaxed) {
                let status = finish(file.start(Request::Write { bytes: b"\x38self" })?)?.status;
                ensure!(allowed.contains(&status), "write: expected one of {allowed:?}, got {status}");
                written.fetch_add(u64::from(status == NtStatus::SUCCESS), Ordering::Relaxed);
            }
            Ok(())
        };
        let reader = || -> Result<()> {
            while !stop.load(Ordering::Relaxed) {
                let mut read = file.start(Request::Read { length: READ_LENGTH })?;
                let ended = loop {
                    match read.wait(Duration::from_millis(10))? {
                        Some(ended) => break ended,
                        None if stop.load(Ordering::Relaxed) => read.cancel()?,
                        None => continue,
                    };
                };
                came.fetch_add(u64::from(ended.status == NtStatus::SUCCESS), Ordering::Relaxed);
            }
            Ok(())
        };
        let threads = [scope.spawn(writer), scope.spawn(writer), scope.spawn(reader)];
        let lived = (0..ROUNDS).try_for_each(|_| {
            own_peer(bench, &*file)?;
            // Until something came back to this peer.
            let (before, deadline) = (came.load(Ordering::Relaxed), Instant::now() + PROMPT);
            while came.load(Ordering::Relaxed) == before {
                ensure!(Instant::now() < deadline, "expected a packet of the driver's own to come back, none did");
                thread::yield_now();
            }
            let status = ioctl(&*file, Ioctl::DelPeer.code(), &[], 0)?.status;
            ensure!(status == NtStatus::SUCCESS, "DEL_PEER: expected SUCCESS, got {status}");
            Ok(())
        });
        stop.store(true, Ordering::Relaxed);
        for thread in threads {
            joined(thread)?;
        }
        lived
    })?;
    file.close()?;
    sound(bench)?;
    let [written, came] = [written, came].map(AtomicU64::into_inner);
    Ok(format!("{ROUNDS} peers, {written} writes, {came} read"))
}

/// Requests of all kinds from several threads, while one makes and removes the peer. Each has to end with one of the statuses that
/// its order allows.
fn churn_requests(bench: &Bench<'_>) -> Result<String> {
    let file = open(bench)?;
    let (stop, calls) = (AtomicBool::new(false), AtomicU64::new(0));
    let key = cases::key_with(|_| ());
    let set = cases::set_peer(1, 60, 1400);
    let all = cases::peer_ref(-1);
    /// Name, code, input, room for output, statuses that may come.
    type Job<'a> = (&'a str, u32, &'a [u8], usize, &'a [NtStatus]);
    let jobs: [Job<'_>; 7] = [
        ("NEW_KEY", Ioctl::NewKey.code(), &key, 0, &[NtStatus::SUCCESS, NtStatus::OBJECTID_NOT_FOUND]),
        ("SWAP_KEYS", Ioctl::SwapKeys.code(), &[], 0, &[NtStatus::SUCCESS, NtStatus::INVALID_DEVICE_REQUEST]),
        ("SET_PEER", Ioctl::SetPeer.code(), &set, 0, &[NtStatus::SUCCESS, NtStatus::INVALID_DEVICE_REQUEST]),
        ("START_VPN", Ioctl::StartVpn.code(), &[], 0, &[NtStatus::SUCCESS, NtStatus::INVALID_DEVICE_REQUEST]),
        ("GET_STATS", Ioctl::GetStats.code(), &[], 64, &[NtStatus::SUCCESS]),
        ("GET_PEER_STATS", Ioctl::GetPeerStats.code(), &all, 40, &[NtStatus::SUCCESS]),
        ("GET_DROPS", additive::GET_DROPS, &[], 4096, &[NtStatus::SUCCESS]),
    ];
    thread::scope(|scope| -> Result<()> {
        let threads: Vec<_> = jobs
            .iter()
            .map(|&(name, code, input, output, allowed)| {
                let (file, stop, calls) = (&*file, &stop, &calls);
                scope.spawn(move || -> Result<()> {
                    while !stop.load(Ordering::Relaxed) {
                        let status = ioctl(file, code, input, output)?.status;
                        ensure!(allowed.contains(&status), "{name}: expected one of {allowed:?}, got {status}");
                        calls.fetch_add(1, Ordering::Relaxed);
                    }
                    Ok(())
                })
            })
            .collect();
        let lived = (0..ROUNDS).try_for_each(|_| {
            own_peer(bench, &*file)?;
            let status = ioctl(&*file, Ioctl::DelPeer.code(), &[], 0)?.status;
            ensure!(status == NtStatus::SUCCESS, "DEL_PEER: expected SUCCESS, got {status}");
            Ok(())
        });
        stop.store(true, Ordering::Relaxed);
        for thread in threads {
            joined(thread)?;
        }
        lived
    })?;
    file.close()?;
    sound(bench)?;
    Ok(format!("{ROUNDS} peers, {} requests", calls.load(Ordering::Relaxed)))
}

/// Peers with keys come and go while a far end sends sound packets, replays, forgeries, unknown keys, control packets and rubbish, and
/// other threads read and write.
fn churn(bench: &Bench<'_>) -> Result<String> {
    let file = open(bench)?;
    let far = Far::of(bench.own)?;
    let remote = far.address()?;
    let peer = cases::new_peer(bench.own, remote, 0);
    let stop = AtomicBool::new(false);
    let (sent, written, read) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let static_key = StaticKey::of_test(1, Cipher::Aes256, DRIVER);
    let key = DataKey::opposite(&static_key, 0, 1)?;
    let request =
        zerocopy::IntoBytes::as_bytes(&crate::key::request(&static_key, crate::device::Slot::Primary, 0, 1)).to_vec();
    let (mut lives, mut taken) = (0u64, 0i64);
    thread::scope(|scope| -> Result<()> {
        let traffic = scope.spawn(|| -> Result<()> {
            let mut id = 0;
            while !stop.load(Ordering::Relaxed) {
                id += 1;
                let sound = key.seal(id, &ipv4(100, id))?;
                let mut forged = sound.clone();
                forged[12] ^= 1;
                let mut unknown = sound.clone();
                unknown[0] |= 5;
                let rubbish = id.to_be_bytes().repeat(20);
                let packets = [&sound, &sound, &forged, &unknown, &rubbish, &key.seal(id, &PING)?];
                packets.into_iter().try_for_each(|packet| far.send(packet))?;
                far.send(&[&[0x38], &sound[..]].concat())?;
                sent.fetch_add(7, Ordering::Relaxed);
                if id.is_multiple_of(8) {
                    thread::sleep(Duration::from_micros(100));
                }
            }
            Ok(())
        });
        let writer = scope.spawn(|| -> Result<()> {
            let allowed = [NtStatus::SUCCESS, NtStatus::INVALID_DEVICE_STATE, NtStatus::INSUFFICIENT_RESOURCES];
            while !stop.load(Ordering::Relaxed) {
                let status = finish(file.start(Request::Write { bytes: &[0x38; 200] })?)?.status;
                ensure!(allowed.contains(&status), "write: expected one of {allowed:?}, got {status}");
                written.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        });
        let reader = scope.spawn(|| -> Result<()> {
            let allowed = [NtStatus::SUCCESS, NtStatus::CANCELLED, NtStatus::CONNECTION_DISCONNECTED];
            while !stop.load(Ordering::Relaxed) {
                let mut pending = file.start(Request::Read { length: READ_LENGTH })?;
                let came = match pending.wait(Duration::from_millis(20))? {
                    Some(came) => came,
                    None => {
                        pending.cancel()?;
                        finish(pending)?
                    }
                };
                ensure!(allowed.contains(&came.status), "read: expected one of {allowed:?}, got {}", came.status);
                read.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        });
        let began = Instant::now();
        let live = || -> Result<i64> {
            let done = |name: &str, came: Completion| match came.status {
                NtStatus::SUCCESS => Ok(came),
                status => bail!("{name}: expected SUCCESS, got {status}"),
            };
            done("NEW_PEER", ioctl(&*file, Ioctl::NewPeer.code(), &peer, 0)?)?;
            done("START_VPN", ioctl(&*file, Ioctl::StartVpn.code(), &[], 0)?)?;
            done("NEW_KEY", ioctl(&*file, Ioctl::NewKey.code(), &request, 0)?)?;
            let stats = |name| -> Result<crate::device::Stats> {
                crate::device::Stats::from_bytes(&done(name, ioctl(&*file, Ioctl::GetStats.code(), &[], 64)?)?.output)
            };
            // A live one: until sound packets of the far end's have been opened.
            let deadline = Instant::now() + PROMPT;
            let bytes = loop {
                let bytes = stats("GET_STATS")?.0.tun_bytes_received.get();
                if bytes > 0 {
                    break bytes;
                }
                ensure!(Instant::now() < deadline, "expected packets to be opened, none were; {}", stats("GET_STATS")?);
            };
            done("DEL_PEER", ioctl(&*file, Ioctl::DelPeer.code(), &[], 0)?)?;
            Ok(bytes)
        };
        let lived = loop {
            if began.elapsed() >= bench.seconds {
                break Ok(());
            }
            match live() {
                Ok(bytes) => {
                    lives += 1;
                    taken += bytes;
                }
                Err(problem) => break Err(problem),
            }
        };
        stop.store(true, Ordering::Relaxed);
        for thread in [traffic, writer, reader] {
            joined(thread)?;
        }
        lived
    })?;
    file.close()?;
    sound(bench)?;
    ensure!(lives > 0, "expected peers, there were none");
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    Ok(format!(
        "{lives} peers; {} packets from outside, {} of them opened; {} writes, {} reads",
        count(&sent),
        taken / 100,
        count(&written),
        count(&read)
    ))
}
