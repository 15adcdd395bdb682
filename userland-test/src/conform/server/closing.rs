//! A server's handle closes while requests of one kind are in flight, and packets are: a table of all kinds.
//!
//! Each request ends, with a status that its order against the close allows and no other; the close succeeds; the next handle finds
//! nothing of the one before. [`races::close_during`](super::races::close_during) has all kinds at once.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use dco_uapi::{Ioctl, additive, raw};
use zerocopy::IntoBytes;

use super::{listen, mode, prefixed, quiet, route, set_client};
use crate::conform::{Bench, Body, Case, cases};
use crate::device::{ADAPTER, Client, Device, Event, PROMPT, PeerSettings, READ_LENGTH, Slot};
use crate::far::{DRIVER, DataKey, Far, between};
use crate::join::joined;
use crate::key::{self, Cipher, StaticKey};
use crate::status::NtStatus;
use crate::targets::{Completion, Pending};
use crate::tunnel::wait_for_queue;

/// Closes of each kind.
const ROUNDS: u64 = 12;

/// Peers with keys that send all the time.
const GUESTS: i32 = 4;

/// Threads that issue the requests.
const THREADS: u64 = 2;

/// Requests of a thread that wait at once.
const WAITING: usize = 16;

/// Requests that pend for good, after which a thread takes its time.
const MANY: usize = 512;

/// What a handle is before the race.
#[derive(Clone, Copy, PartialEq)]
enum Before {
    /// It has just been opened.
    Opened,
    /// A server without a socket.
    Server,
    /// A server with a socket and peers whose packets come.
    Serving,
    /// The same, whose peers move with every packet.
    Moving,
}

/// Starts the n-th request of a thread.
type Start = fn(&Device, u64) -> Result<Box<dyn Pending>>;

/// One kind: its name, what it meets, how it is started, what it may end with besides success.
struct Kind(&'static str, Before, Start, &'static [NtStatus]);

/// Requests about other peers than those that send.
fn id(n: u64) -> i32 {
    100 + (n % 8) as i32
}

fn call(device: &Device, ioctl: Ioctl, input: &[u8], output: usize) -> Result<Box<dyn Pending>> {
    device.start_ioctl(ioctl.code(), input, output)
}

/// The mode is over: it ends with the handle.
const OVER: NtStatus = NtStatus::INVALID_DEVICE_STATE;
const CANCELLED: NtStatus = NtStatus::CANCELLED;

const KINDS: &[Kind] = &[
    Kind(
        "SET_MODE",
        Before::Opened,
        |device, _| call(device, Ioctl::SetMode, &mode(1), 0),
        &[NtStatus::ALREADY_INITIALIZED, CANCELLED],
    ),
    Kind(
        "MP_START_VPN",
        Before::Server,
        |device, _| call(device, Ioctl::MpStartVpn, &listen(), 32),
        &[NtStatus::ALREADY_INITIALIZED, OVER, CANCELLED],
    ),
    Kind(
        "MP_NEW_PEER",
        Before::Serving,
        |device, n| call(device, Ioctl::MpNewPeer, &quiet(200 + (n % 20_000) as i32), 0),
        &[NtStatus::OBJECTID_EXISTS, NtStatus::NO_MEMORY, OVER],
    ),
    Kind(
        "MP_NEW_PEER and MP_DEL_PEER",
        Before::Serving,
        |device, n| match n % 2 {
            0 => call(device, Ioctl::MpNewPeer, &quiet(id(n / 2)), 0),
            _ => call(device, Ioctl::MpDelPeer, &cases::peer_ref(id(n / 2)), 0),
        },
        &[NtStatus::OBJECTID_EXISTS, NtStatus::NO_MEMORY, NtStatus::NOT_FOUND, OVER],
    ),
    Kind(
        "MP_DEL_PEER of those that send",
        Before::Serving,
        |device, n| call(device, Ioctl::MpDelPeer, &cases::peer_ref(1 + (n % GUESTS as u64) as i32), 0),
        &[NtStatus::NOT_FOUND, OVER],
    ),
    Kind(
        "MP_ADD_IROUTE and MP_DEL_IROUTE",
        Before::Serving,
        |device, n| {
            let network = route([172, 16, (n / 2 % 64) as u8, 0], 24, 1 + (n % 3) as i32);
            call(device, if n % 2 == 0 { Ioctl::MpAddIroute } else { Ioctl::MpDelIroute }, &network, 0)
        },
        &[NtStatus::OBJECTID_EXISTS, NtStatus::NOT_FOUND, OVER],
    ),
    Kind(
        "NEW_KEY",
        Before::Serving,
        |device, n| call(device, Ioctl::NewKey, &cases::key_with(|key| key.peer_id = (1 + (n % 4) as i32).into()), 0),
        &[NtStatus::OBJECTID_NOT_FOUND],
    ),
    Kind(
        "NEW_KEY_V2, epoch keys",
        Before::Serving,
        |device, n| {
            let key = StaticKey::of_test(n, Cipher::ALL[n as usize % 4], DRIVER);
            let slot = if n % 2 == 0 { Slot::Primary } else { Slot::Secondary };
            let request = key::epoch_request(&key, slot, (n % 8) as u8, 1 + (n % 4) as u32);
            call(device, Ioctl::NewKeyV2, request.as_bytes(), 0)
        },
        &[NtStatus::OBJECTID_NOT_FOUND],
    ),
    Kind(
        "MP_SWAP_KEYS",
        Before::Serving,
        |device, n| call(device, Ioctl::MpSwapKeys, &cases::peer_ref(1 + (n % 4) as i32), 0),
        &[NtStatus::INVALID_DEVICE_REQUEST, OVER],
    ),
    Kind(
        "MP_SET_PEER",
        Before::Serving,
        |device, n| call(device, Ioctl::MpSetPeer, &set_client(1 + (n % 4) as i32), 0),
        &[NtStatus::INVALID_DEVICE_REQUEST, OVER],
    ),
    Kind(
        "GET_PEER_STATS of all and one",
        Before::Serving,
        |device, n| call(device, Ioctl::GetPeerStats, &cases::peer_ref(if n % 2 == 0 { -1 } else { 1 }), 40 * 64),
        &[NtStatus::OBJECTID_NOT_FOUND],
    ),
    Kind(
        "GET_STATS and GET_DROPS",
        Before::Serving,
        |device, n| match n % 2 {
            0 => call(device, Ioctl::GetStats, &[], size_of::<raw::Stats>()),
            _ => device.start_ioctl(additive::GET_DROPS, &[], 10_000),
        },
        &[],
    ),
    Kind(
        "MP_LISTEN and MP_UNLISTEN",
        Before::Serving,
        |device, n| match n / 2 % 2 {
            0 => device.start_ioctl(additive::MP_LISTEN, &super::listen_by(0), size_of::<raw::MpListener>()),
            _ => device.start_ioctl(additive::MP_UNLISTEN, &((1 + n % 15) as u32).to_le_bytes(), 0),
        },
        &[NtStatus::INSUFFICIENT_RESOURCES, NtStatus::NOT_FOUND, OVER],
    ),
    Kind("NOTIFY_EVENT, parked", Before::Serving, |device, _| device.notify_event(), &[CANCELLED]),
    Kind("NOTIFY_EVENT, while peers move", Before::Moving, |device, _| device.notify_event(), &[CANCELLED]),
    Kind("reads, parked", Before::Serving, |device, _| device.read(READ_LENGTH), &[CANCELLED]),
    Kind(
        "writes",
        Before::Serving,
        |device, n| {
            let to: SocketAddr = ([127, 9, 0, (n % 250) as u8], 9).into();
            device.begin_write(&prefixed(to, &[0x38; 700]))
        },
        &[OVER, NtStatus::INSUFFICIENT_RESOURCES],
    ),
    Kind(
        "writes to the driver itself, and reads",
        Before::Serving,
        |device, n| match n % 2 {
            0 => device.read(READ_LENGTH),
            _ => device.begin_write(&prefixed(([127, 0, 0, 1], OWN_PORT).into(), b"\x38self")),
        },
        &[OVER, CANCELLED, NtStatus::INSUFFICIENT_RESOURCES],
    ),
    Kind("nothing, while peers move", Before::Moving, |device, _| call(device, Ioctl::GetVersion, &[], 12), &[]),
];

/// Where the server listens in the kind that writes to itself.
const OWN_PORT: u16 = 40412;

/// The cases.
pub fn all() -> Vec<Case> {
    let mut all: Vec<Case> = KINDS
        .iter()
        .map(|kind| Case {
            name: format!("race: a server's close during {}", kind.0),
            body: Body::Run(Box::new(|bench| race(bench, kind))),
        })
        .collect();
    all.push(Case { name: "race: a server's close during expiry".into(), body: Body::Run(Box::new(expiry)) });
    all
}

/// A peer that sends.
struct Guest {
    ends: [Far; 2],
    key: DataKey,
    vpn: Ipv4Addr,
    next: u32,
}

impl Guest {
    fn join(device: &Device, at: SocketAddr, id: i32) -> Result<Self> {
        let ends = [Far::of(at)?, Far::of(at)?];
        let vpn = Ipv4Addr::new(10, 76, 0, id as u8);
        device.add_peer(&Client { id, remote: ends[0].address()?, vpn4: Some(vpn), vpn6: None })?;
        let key = StaticKey::of_test(id.cast_unsigned().into(), Cipher::ALL[id as usize % 4], DRIVER);
        device.new_key(&key, Slot::Primary, 0, id.cast_unsigned())?;
        // Pings go out meanwhile.
        device.set_client(id, PeerSettings { keepalive_interval: Some(1), ..PeerSettings::default() })?;
        Ok(Self { ends, key: DataKey::opposite(&key, 0, id.cast_unsigned())?, vpn, next: 0 })
    }

    /// A sound packet and one that is not.
    fn send(&mut self, moving: bool) -> Result<()> {
        self.next += 1;
        let far = &self.ends[if moving { self.next as usize % 2 } else { 0 }];
        let mut sealed = self.key.seal(self.next, &between(self.vpn.into(), [10, 77, 0, 1].into(), 200, self.next))?;
        far.send(&sealed)?;
        sealed[30] ^= 1;
        far.send(&sealed)
    }
}

/// A handle in the state that the race meets.
fn prepared(bench: &Bench<'_>, before: Before) -> Result<(Device, Vec<Guest>)> {
    let device = Device::open(bench.target, ADAPTER)?;
    if before == Before::Opened {
        return Ok((device, Vec::new()));
    }
    device.set_mode_server()?;
    if before == Before::Server {
        return Ok((device, Vec::new()));
    }
    let at = device.listen((Ipv4Addr::LOCALHOST, OWN_PORT).into(), false)?;
    wait_for_queue(&device, &Far::of(at)?)?;
    let guests = (1..=GUESTS).map(|id| Guest::join(&device, at, id)).collect::<Result<_>>()?;
    Ok((device, guests))
}

fn ended(mut pending: Box<dyn Pending>) -> Result<Completion> {
    pending.wait(PROMPT)?.with_context(|| format!("a request still pends after {PROMPT:?}"))
}

fn race(bench: &Bench<'_>, kind: &Kind) -> Result<String> {
    let Kind(_, before, start, allowed) = kind;
    // Of a handle that is closed already.
    const NO_HANDLE: NtStatus = NtStatus(0xC000_0008);
    let counts = [const { AtomicU64::new(0) }; 2];
    for round in 0..ROUNDS {
        let (device, mut guests) = prepared(bench, *before)?;
        let closed = AtomicBool::new(false);
        let issue = |thread: u64| -> Result<()> {
            let judge = |came: &Completion| -> Result<()> {
                let status = came.status;
                ensure!(
                    status == NtStatus::SUCCESS || status == NO_HANDLE || allowed.contains(&status),
                    "expected SUCCESS or one of {allowed:?}, got {status}"
                );
                counts[usize::from(status != NtStatus::SUCCESS)].fetch_add(1, Ordering::Relaxed);
                Ok(())
            };
            let mut waiting = std::collections::VecDeque::new();
            let mut n = thread + round * 31;
            while !closed.load(Ordering::Acquire) {
                // One that comes too late may be refused by the I/O manager.
                let Ok(pending) = start(&device, n) else { break };
                waiting.push_back(pending);
                n += THREADS;
                if waiting.len() < WAITING {
                    continue;
                }
                let Some(mut oldest) = waiting.pop_front() else { continue };
                match oldest.wait(Duration::ZERO)? {
                    Some(came) => judge(&came)?,
                    // What pends is cancelled by one thread, and left for the close by the other.
                    None if thread == 0 => {
                        oldest.cancel()?;
                        judge(&ended(oldest)?)?;
                    }
                    None => {
                        waiting.push_back(oldest);
                        if waiting.len() > MANY {
                            thread::sleep(Duration::from_millis(1));
                        }
                    }
                }
            }
            waiting.into_iter().try_for_each(|pending| judge(&ended(pending)?))
        };
        let flood = |guests: &mut [Guest]| -> Result<()> {
            while !closed.load(Ordering::Acquire) {
                guests.iter_mut().try_for_each(|guest| guest.send(*before == Before::Moving))?;
            }
            Ok(())
        };
        let status = thread::scope(|scope| {
            let (issue, flood, guests) = (&issue, &flood, &mut guests);
            let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || issue(thread))).collect();
            let sender = scope.spawn(move || flood(guests));
            // A different moment each round.
            thread::sleep(Duration::from_micros(300 + 917 * (round % 13)));
            let status = device.close_beside();
            closed.store(true, Ordering::Release);
            threads.into_iter().map(joined).chain([joined(sender)]).fold(status, |status, ended| ended.and(status))
        });
        status.with_context(|| format!("round {round}"))?;
        nothing_left(bench)?;
    }
    let [succeeded, others] = counts.map(AtomicU64::into_inner);
    Ok(format!("{ROUNDS} closes, {succeeded} requests succeeded, {others} ended otherwise"))
}

/// The next handle is a client's, and as a server's finds nothing.
fn nothing_left(bench: &Bench<'_>) -> Result<()> {
    ensure!(bench.target.alive(), "the driver's machine is gone");
    ensure!(bench.target.link_is_up()?.is_none_or(|up| !up), "expected the link down after the close");
    let device = Device::open(bench.target, ADAPTER)?;
    let swapped = device.ioctl(Ioctl::MpSwapKeys.code(), &cases::peer_ref(1), 0)?.status;
    ensure!(swapped == OVER, "expected a handle's mode to be a client's at first, got {swapped}");
    device.set_mode_server()?;
    ensure!(device.all_client_stats()?.is_empty(), "expected no peers after a close");
    let (mut read, mut event) = (device.read(READ_LENGTH)?, device.notify_event()?);
    device.version()?;
    for pending in [&mut read, &mut event] {
        if let Some(came) = pending.wait(Duration::ZERO)? {
            bail!("expected nothing of the handle before, got {} with {:x?}", came.status, came.output);
        }
    }
    device.close()
}

/// Two hundred peers fall silent at once; the handle closes as soon as the first is told of, while the others are deleted.
fn expiry(bench: &Bench<'_>) -> Result<String> {
    const PEERS: i32 = 200;
    const CLOSES: u64 = 4;
    let mut told = 0;
    for round in 0..CLOSES {
        let (device, _guests) = prepared(bench, Before::Serving)?;
        for n in 0..PEERS {
            let id = 1000 + n;
            let request = super::quiet_client(id);
            device.add_peer(&request)?;
            device.add_iroute([172, 16, n as u8, 0].into(), 24, id)?;
            let settings = PeerSettings { keepalive_timeout: Some(1), ..PeerSettings::default() };
            device.set_client(id, settings)?;
        }
        let mut events =
            (0..PEERS).map(|_| device.notify_event()).collect::<Result<std::collections::VecDeque<_>>>()?;
        let first = events.pop_front().context("a request that waits")?;
        let first = Event::from_bytes(&ended(first)?.output)?;
        ensure!(matches!(first, Event::DelPeer(1000.., 2)), "expected an expiry, got {first:?}");
        thread::sleep(Duration::from_micros(50 * round));
        device.close()?;
        let mut cancelled = 0;
        for event in events {
            let came = ended(event)?;
            match came.status {
                NtStatus::SUCCESS => {
                    let event = Event::from_bytes(&came.output)?;
                    ensure!(matches!(event, Event::DelPeer(1000.., 2)), "expected an expiry, got {event:?}");
                    ensure!(cancelled == 0, "expected no event after the first request that was cancelled");
                    told += 1;
                }
                CANCELLED => cancelled += 1,
                status => bail!("NOTIFY_EVENT: expected an event or CANCELLED, got {status}"),
            }
        }
        nothing_left(bench)?;
    }
    Ok(format!("{CLOSES} closes of {PEERS} silent peers; {told} were told of after the first"))
}
