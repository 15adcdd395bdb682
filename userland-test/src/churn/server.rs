//! Churn as a server: peers come, get keys and networks, exchange packets with the machine's stack, are rekeyed, move, and go or are left
//! to expire, from several threads, while others stay and lose nothing.
//!
//! What a thread does with one peer it does with many: the requests of a step are begun together and waited for together, so that the
//! rate is the driver's and the lab's, not that of a socket's round trips.

mod life;
mod others;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::SPARE;
use crate::device::{ADAPTER, Device, Event};
use crate::far::Far;
use crate::join::joined;
use crate::rig::{Machine, Rig, Side, Transport};
use crate::server::Guest;
use crate::tunnel::wait_for_queue;
use life::Left;

/// How long anything may take.
const SOON: Duration = Duration::from_secs(20);

/// Peers that stay.
const STANDING: i32 = 8;

/// Where the driver leaves an epoch, in packets and blocks of 16 bytes: after a packet or two, so that the work item makes keys while their
/// peers go.
const USAGE_LIMIT: &str = "TestAeadUsageLimit=30";

/// When to end.
pub struct Until {
    /// After so long.
    pub seconds: Option<u64>,
    /// After so many lives.
    pub lives: u64,
    /// Threads that make peers.
    pub threads: u8,
}

/// The driver in one lab, from load to unload.
pub fn run(rig: &Rig, until: &Until) -> Result<()> {
    let machine = match rig.start_one(Side::A, &["--keyword", USAGE_LIMIT])? {
        Ok(machine) => machine,
        Err(ended) => bail!("the lab ended with {:?}:\n{}", ended.code, ended.log),
    };
    let began = Instant::now();
    let churned = churn(rig, &machine, until);
    // A lab that broke a rule says so at its end, and that is what matters.
    machine.stop()?;
    rig.expect_no_tun()?;
    let lives = churned?;
    println!(
        "{lives} lifecycles of a server's peers in {} s: the lab clean, nothing left behind",
        began.elapsed().as_secs()
    );
    Ok(())
}

fn churn(rig: &Rig, machine: &Machine, until: &Until) -> Result<u64> {
    let device = Device::open(&machine.lab, ADAPTER)?;
    device.set_mode_server()?;
    let SocketAddr::V4(wire) = rig.wire(Side::A, Transport::V4) else { bail!("expected an IPv4 address") };
    device.listen((Ipv6Addr::UNSPECIFIED, wire.port()).into(), false)?;
    rig.configure_some(&[Side::A])?;
    for (version, network) in
        [("-4", "10.96.0.0/11"), ("-4", "172.16.0.0/12"), ("-6", "fd77::/16"), ("-6", "fd50::/16")]
    {
        let tun = rig.tun();
        let status = rig.within(Side::A, || {
            Ok(Command::new("ip").args([version, "route", "add", network, "dev", &tun]).status()?)
        })?;
        ensure!(status.success(), "a route to {network}: ip ended with {status}");
    }
    wait_for_queue(&device, &Guest::far(rig, 0)?)?;
    let mut standing = (1..=STANDING).map(|id| Guest::join(rig, &device, id, None)).collect::<Result<Vec<_>>>()?;
    let taken = standing.first().context("one that stays")?.vpn[0];
    let inside = [Transport::V4, Transport::V6].map(|inner| rig.tunnel(Side::A, inner));
    let crowd = Crowd {
        rig,
        device: &device,
        inside,
        taken,
        lives: until.lives,
        deadline: until.seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds)),
        stop: AtomicBool::new(false),
        totals: Totals::default(),
        told: Told::default(),
        sockets: Default::default(),
        left: Mutex::default(),
    };
    let before = machine.descriptors()?;
    crowd.together(machine, until.threads, &mut standing)?;
    crowd.settled(&standing)?;
    let now = machine.descriptors()?;
    ensure!(now <= before + SPARE, "expected about {before} descriptors after it all, the lab has {now}");
    let drops = device.drops()?;
    drops.iter().filter(|(_, count)| *count != 0).for_each(|(name, count)| println!("{name} {count}"));
    crowd.totals.print(machine, crowd.totals.began);
    let lives = crowd.totals.lives.load(Ordering::Relaxed);
    device.close()?;
    Ok(lives)
}

/// All that takes part.
struct Crowd<'a> {
    rig: &'a Rig,
    device: &'a Device,
    /// The stack's addresses inside the tunnel.
    inside: [IpAddr; 2],
    /// An address inside the tunnel that is one of those' that stay.
    taken: IpAddr,
    lives: u64,
    deadline: Option<Instant>,
    /// It is over, or something failed.
    stop: AtomicBool,
    totals: Totals,
    told: Told,
    /// Sockets that nobody uses, by IP version.
    sockets: [Mutex<Vec<Far>>; 2],
    /// Those that are left to expire.
    left: Mutex<Vec<Left>>,
}

/// What all threads have done.
struct Totals {
    began: Instant,
    lives: AtomicU64,
    /// Packets that the driver opened and the stack answered, and the answer was opened here.
    echoes: AtomicU64,
    /// Echo requests that had to be sent again.
    again: AtomicU64,
    rekeys: AtomicU64,
    epochs: AtomicU64,
    unsound: AtomicU64,
    control: AtomicU64,
    /// Echoes of those that stay.
    standing: AtomicU64,
}

impl Default for Totals {
    fn default() -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            began: Instant::now(),
            lives: zero(),
            echoes: zero(),
            again: zero(),
            rekeys: zero(),
            epochs: zero(),
            unsound: zero(),
            control: zero(),
            standing: zero(),
        }
    }
}

impl Totals {
    fn print(&self, machine: &Machine, began: Instant) {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (lives, elapsed) = (count(&self.lives), began.elapsed());
        println!(
            "{:>4} s: {lives} lives, {:.0} a second; {} echoes, {} requests sent again; {} rekeys, {} lives with epoch keys; {} unsound \
             packets, {} control packets both ways; {} echoes of those that stay; the lab has {} MiB",
            elapsed.as_secs(),
            lives as f64 / elapsed.as_secs_f64(),
            count(&self.echoes),
            count(&self.again),
            count(&self.rekeys),
            count(&self.epochs),
            count(&self.unsound),
            count(&self.control),
            count(&self.standing),
            machine.resident().unwrap_or(0) >> 20,
        );
    }
}

/// Events, as they come.
#[derive(Default)]
struct Told {
    state: Mutex<ToldState>,
    change: Condvar,
}

#[derive(Default)]
struct ToldState {
    /// Who moved where and was not asked for yet.
    moved: BTreeMap<i32, SocketAddr>,
    /// Who is left to expire and was not told of.
    silent: BTreeSet<i32>,
    /// Expiries, ends that userspace asked for, floats.
    expired: u64,
    deleted: u64,
    floats: u64,
}

impl Told {
    fn lock(&self) -> MutexGuard<'_, ToldState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, event: Event) -> Result<()> {
        let mut state = self.lock();
        match event {
            Event::Float(id, address) => {
                state.floats += 1;
                ensure!(state.moved.insert(id, address).is_none(), "a second float of {id} to {address}");
            }
            Event::DelPeer(_, 1) => state.deleted += 1,
            Event::DelPeer(id, 2) => {
                state.expired += 1;
                ensure!(state.silent.remove(&id), "peer {id} expired, who was not left to, or twice");
            }
            other => bail!("expected no {other:?}"),
        }
        drop(state);
        self.change.notify_all();
        Ok(())
    }

    /// Waits for a state.
    fn wait(&self, what: &str, stop: &AtomicBool, mut is: impl FnMut(&mut ToldState) -> bool) -> Result<()> {
        let deadline = Instant::now() + SOON;
        let mut state = self.lock();
        while !is(&mut state) {
            ensure!(!stop.load(Ordering::Relaxed), "{what}: something else failed");
            ensure!(Instant::now() < deadline, "expected {what} within {SOON:?}");
            let woken = self.change.wait_timeout(state, Duration::from_millis(100));
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(())
    }
}

impl Crowd<'_> {
    fn over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
            || self.totals.lives.load(Ordering::Relaxed) >= self.lives
            || self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Runs all threads until it is over. The first failure ends them all.
    fn together(&self, machine: &Machine, threads: u8, standing: &mut [Guest]) -> Result<()> {
        let began = Instant::now();
        let done = AtomicBool::new(false);
        let failing = |outcome: Result<()>| {
            if outcome.is_err() {
                self.stop.store(true, Ordering::Relaxed);
            }
            outcome
        };
        thread::scope(|scope| {
            let done = &done;
            let failing = &failing;
            let others = [
                scope.spawn(move || failing(self.listen(done))),
                scope.spawn(move || failing(self.reads(done))),
                scope.spawn(move || failing(self.strangers(done))),
                scope.spawn(move || failing(self.questions(done))),
                scope.spawn(move || failing(self.stay(standing, done))),
            ];
            let lives: Vec<_> = (0..threads)
                .map(|thread| {
                    scope.spawn(move || {
                        failing((|| {
                            while !self.over() {
                                self.some_lives(thread)?;
                            }
                            Ok(())
                        })())
                    })
                })
                .collect();
            let mut shown = Instant::now();
            while lives.iter().any(|thread| !thread.is_finished()) {
                thread::sleep(Duration::from_millis(50));
                if shown.elapsed() >= Duration::from_secs(10) {
                    shown = Instant::now();
                    self.totals.print(machine, began);
                }
            }
            let lived = lives.into_iter().map(joined).fold(Ok(()), Result::and);
            // Those that were left have to be told of while somebody listens.
            let silent = lived
                .and_then(|()| self.told.wait("all silent peers told of", &self.stop, |told| told.silent.is_empty()));
            done.store(true, Ordering::Release);
            others.into_iter().map(joined).fold(silent, |all, one| one.and(all))
        })
    }

    /// Only those that stay are left, and what they sent and got is what is counted.
    fn settled(&self, standing: &[Guest]) -> Result<()> {
        let deadline = Instant::now() + SOON;
        loop {
            let counted = (|| -> Result<()> {
                let mut all = self.device.all_client_stats()?;
                all.sort_by_key(|peer| peer.peer_id.get());
                ensure!(all.len() == standing.len(), "expected {} peers left, got {}", standing.len(), all.len());
                standing.iter().zip(&all).try_for_each(|(guest, peer)| guest.expect_counted(peer))
            })();
            match counted {
                Err(_) if Instant::now() < deadline => thread::sleep(Duration::from_millis(1)),
                counted => break counted?,
            }
        }
        let state = self.told.lock();
        let lives = self.totals.lives.load(Ordering::Relaxed);
        println!("{} floats told, {} expiries, {} of {lives} ends told", state.floats, state.expired, state.deleted);
        ensure!(state.expired > 0 && state.floats > 0, "expected some floats and expiries");
        // Ends that userspace asked for are told as long as the queue has room.
        ensure!(state.deleted <= lives + 1, "expected at most {lives} ends told, got {}", state.deleted);
        Ok(())
    }

    /// A socket of this IP version that nobody uses.
    fn socket(&self, v6: bool) -> Result<Far> {
        let pool = &self.sockets[usize::from(v6)];
        let free = pool.lock().unwrap_or_else(PoisonError::into_inner).pop();
        free.map_or_else(|| Guest::far(self.rig, i32::from(v6)), Ok)
    }

    fn give_back(&self, v6: bool, far: Far) {
        self.sockets[usize::from(v6)].lock().unwrap_or_else(PoisonError::into_inner).push(far);
    }

    fn left(&self) -> MutexGuard<'_, Vec<Left>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
