//! The lives of some peers, side by side.

use std::cell::Cell;
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use dco_uapi::{Ioctl, raw};
use zerocopy::IntoBytes;

use super::super::add;
use super::{Crowd, SOON};
use crate::device::{Begun, Client, Slot, iroute};
use crate::far::epoch::EpochKey;
use crate::far::{DRIVER, DataKey, Far};
use crate::key::{self, Cipher, StaticKey};
use crate::server::{echo, echo_request};
use crate::status::NtStatus;

/// Lives side by side on a thread: what is under way at once stays far below what a socket's buffer or a TUN holds.
const TOGETHER: u32 = 64;

/// How long a reply may take before its request is sent again.
const AGAIN: Duration = Duration::from_millis(100);

/// Lives after which a thread uses ids, addresses and networks again.
const SLOTS: u32 = 1 << 16;

thread_local! {
    /// The lives of this thread so far.
    static LIVED: Cell<u32> = const { Cell::new(0) };
}

/// The far end's key of either format, and the last packet's number.
enum Key {
    Classic(DataKey, u32),
    Epoch(Box<EpochKey>, u16, u64),
}

impl Key {
    fn seal(&mut self, inner: &[u8]) -> Result<Vec<u8>> {
        match self {
            Self::Classic(key, last) => {
                *last += 1;
                key.seal(*last, inner)
            }
            Self::Epoch(key, epoch, last) => {
                *last += 1;
                key.seal(*epoch, *last, inner)
            }
        }
    }

    /// The inner packet; `None` for one of the peer's other key.
    fn open(&mut self, packet: &[u8]) -> Result<Option<Vec<u8>>> {
        match self {
            Self::Classic(key, _) => Ok(key.open(packet)?.map(|opened| opened.inner)),
            Self::Epoch(key, ..) => Ok(key.open(packet)?.map(|opened| opened.inner)),
        }
    }

    /// What follows is sealed in the next epoch, as by an end that rotates first.
    fn rotate(&mut self) {
        if let Self::Epoch(_, epoch, last) = self {
            (*epoch, *last) = (*epoch + 1, 0);
        }
    }
}

/// One peer, from MP_NEW_PEER to its end.
struct Life {
    id: i32,
    /// Its number among the lives of its thread.
    n: u32,
    secret: u64,
    v6: bool,
    far: Far,
    vpn: [IpAddr; 2],
    network: (IpAddr, i32),
    key: Key,
    /// What was asked last, for its reply.
    request: Vec<u8>,
    tag: u32,
}

/// A peer that is left to expire: its socket is nobody else's until it is gone.
pub(super) struct Left {
    id: i32,
    v6: bool,
    far: Far,
}

impl Life {
    fn epoch(&self) -> bool {
        self.n.is_multiple_of(2)
    }

    fn rekeyed(&self) -> bool {
        self.n % 4 < 2
    }

    fn floats(&self) -> bool {
        self.n.is_multiple_of(5)
    }

    fn silent(&self) -> bool {
        self.n % 16 == 7
    }

    /// A key of this life: the request for it, and the far end's side of it.
    fn make_key(&self, key_id: u8, slot: Slot) -> Result<(Ioctl, Vec<u8>, Key)> {
        let cipher = Cipher::ALL[(self.n / 2) as usize % Cipher::ALL.len()];
        let secret = StaticKey::of_test(self.secret << 3 | u64::from(key_id), cipher, DRIVER);
        let peer = self.id.cast_unsigned();
        Ok(if self.epoch() {
            let request = key::epoch_request(&secret, slot, key_id, peer).as_bytes().to_vec();
            (Ioctl::NewKeyV2, request, Key::Epoch(Box::new(EpochKey::opposite(&secret, key_id, peer)?), 1, 0))
        } else {
            let request = key::request(&secret, slot, key_id, peer).as_bytes().to_vec();
            (Ioctl::NewKey, request, Key::Classic(DataKey::opposite(&secret, key_id, peer)?, 0))
        })
    }

    /// An echo request from one of its addresses, or from behind it.
    fn asks(&mut self, inside: [IpAddr; 2], behind: bool) -> Result<()> {
        let from = if behind { self.network.0 } else { self.vpn[self.tag as usize % 2] };
        self.tag = self.tag.wrapping_add(1);
        self.request = echo_request(from, inside[usize::from(from.is_ipv6())], 100 + self.tag as usize % 400, self.tag);
        self.sends()
    }

    fn sends(&mut self) -> Result<()> {
        let sealed = self.key.seal(&self.request)?;
        self.far.send(&sealed)
    }

    /// What has to be dropped: a replay, a forged packet, a stolen source, a cut packet, a key id that it has not.
    fn misbehaves(&mut self, inside: [IpAddr; 2], stolen: IpAddr) -> Result<()> {
        let first = self.key.seal(&self.request)?;
        self.far.send(&first)?;
        self.far.send(&first)?;
        let mut forged = self.key.seal(&self.request)?;
        forged[12 + self.n as usize % 40] ^= 1 << (self.n % 8);
        self.far.send(&forged)?;
        let packet = echo_request(stolen, inside[0], 100, self.tag);
        self.far.send(&self.key.seal(&packet)?)?;
        self.far.send(&first[..1 + self.n as usize % 23])?;
        let mut other = first;
        other[0] ^= 5;
        self.far.send(&other)
    }
}

fn all_end(begun: Vec<Begun>) -> Result<()> {
    begun.into_iter().try_for_each(|begun| begun.end().map(drop))
}

impl Crowd<'_> {
    /// The next lives of this thread's.
    pub(super) fn some_lives(&self, thread: u8) -> Result<()> {
        let first = LIVED.get();
        let next = first.wrapping_add(TOGETHER);
        LIVED.set(next);
        let mut lives = (first..next).map(|n| self.life(thread, n)).collect::<Result<Vec<_>>>()?;
        self.come(&mut lives)?;
        self.exchange(&mut lives, |_| true, false)?;
        for life in &mut lives {
            life.misbehaves(self.inside, self.taken)?;
            add(&self.totals.unsound, 5);
        }
        self.rekey(&mut lives)?;
        self.float(&mut lives)?;
        self.go(lives)?;
        self.gone_silent();
        Ok(())
    }

    fn life(&self, thread: u8, n: u32) -> Result<Life> {
        let slot = n % SLOTS;
        let [.., high, low] = slot.to_be_bytes();
        let id = ((u32::from(thread) + 1) << 16 | slot).cast_signed();
        let v6 = n.is_multiple_of(3);
        let vpn = [
            Ipv4Addr::new(10, 96 + thread, high, low).into(),
            Ipv6Addr::new(0xfd77, thread.into(), 0, 0, 0, 0, 0, slot as u16).into(),
        ];
        let network = match n % 8 < 4 {
            true => (Ipv4Addr::new(172, 16 + thread, high, low).into(), 32),
            false => (Ipv6Addr::new(0xfd50, thread.into(), slot as u16, 0, 0, 0, 0, 5).into(), 48),
        };
        let nothing = StaticKey::of_test(0, Cipher::Aes128, DRIVER);
        let key = Key::Classic(DataKey::opposite(&nothing, 0, 0)?, 0);
        let (secret, far) = (u64::from(thread) << 40 | u64::from(n), self.socket(v6)?);
        Ok(Life { id, n, secret, v6, far, vpn, network, key, request: Vec::new(), tag: n })
    }

    /// MP_NEW_PEER, then a key and a network.
    fn come(&self, lives: &mut [Life]) -> Result<()> {
        let mut begun = Vec::with_capacity(lives.len());
        for life in &*lives {
            let [IpAddr::V4(vpn4), IpAddr::V6(vpn6)] = life.vpn else { bail!("expected an address of each version") };
            let client = Client { id: life.id, remote: life.far.address()?, vpn4: Some(vpn4), vpn6: Some(vpn6) };
            begun.push(self.device.begin(Ioctl::MpNewPeer, client.request().as_bytes(), 0)?);
        }
        all_end(begun)?;
        let mut begun = Vec::with_capacity(2 * lives.len());
        for life in lives {
            let (ioctl, request, key) = life.make_key(0, Slot::Primary)?;
            life.key = key;
            begun.push(self.device.begin(ioctl, &request, 0)?);
            let (address, bits) = life.network;
            begun.push(self.device.begin(Ioctl::MpAddIroute, iroute(address, bits, life.id).as_bytes(), 0)?);
            add(&self.totals.epochs, u64::from(life.epoch()));
        }
        all_end(begun)
    }

    /// An echo of some of them: opened by the driver, answered by the stack, sealed by the driver, opened here.
    fn exchange(&self, lives: &mut [Life], which: impl Fn(&Life) -> bool, behind: bool) -> Result<()> {
        for life in lives.iter_mut().filter(|life| which(life)) {
            life.asks(self.inside, behind)?;
        }
        for life in lives.iter_mut().filter(|life| which(life)) {
            self.answered(life).with_context(|| format!("peer {:x}", life.id))?;
        }
        Ok(())
    }

    fn answered(&self, life: &mut Life) -> Result<()> {
        let (from, to, _, payload) = echo(&life.request).context("an echo request of our own")?;
        let payload = payload.to_vec();
        let deadline = Instant::now() + SOON;
        loop {
            let Some(packet) = life.far.receive(AGAIN)? else {
                ensure!(!self.stop.load(Ordering::Relaxed), "something else failed");
                ensure!(Instant::now() < deadline, "{from} to {to}: expected a reply within {SOON:?}, none came");
                life.sends()?;
                add(&self.totals.again, 1);
                continue;
            };
            // Who had this socket before may have left a packet in it.
            if packet.get(1..4) != Some(&life.id.to_be_bytes()[1..]) {
                continue;
            }
            let Some(inner) = life.key.open(&packet)? else { continue };
            let came = echo(&inner).with_context(|| format!("expected an echo, got {inner:02x?}"))?;
            ensure!(came.2, "expected replies only, got {came:?}");
            // Others are replies to what was sent again.
            if came == (to, from, true, &*payload) {
                add(&self.totals.echoes, 1);
                return Ok(());
            }
        }
    }

    /// A second key in every other life, and packets under it; those of an epoch key once more, in the next epoch.
    fn rekey(&self, lives: &mut [Life]) -> Result<()> {
        let (mut begun, mut keys) = (Vec::new(), VecDeque::new());
        for life in lives.iter().filter(|life| life.rekeyed()) {
            let (ioctl, request, key) = life.make_key(1, Slot::Secondary)?;
            keys.push_back(key);
            begun.push(self.device.begin(ioctl, &request, 0)?);
        }
        all_end(begun)?;
        let mut begun = Vec::new();
        for life in lives.iter_mut().filter(|life| life.rekeyed()) {
            let peer = raw::PeerRef { peer_id: life.id.into() };
            begun.push(self.device.begin(Ioctl::MpSwapKeys, peer.as_bytes(), 0)?);
            life.key = keys.pop_front().context("a key for each")?;
            add(&self.totals.rekeys, 1);
        }
        all_end(begun)?;
        self.exchange(lives, Life::rekeyed, true)?;
        lives.iter_mut().for_each(|life| life.key.rotate());
        self.exchange(lives, |life| life.rekeyed() && life.epoch(), true)
    }

    /// One in five moves to another socket, and userspace is told.
    fn float(&self, lives: &mut [Life]) -> Result<()> {
        let mut old = Vec::new();
        for life in lives.iter_mut().filter(|life| life.floats()) {
            let far = self.socket(life.v6)?;
            old.push((life.v6, std::mem::replace(&mut life.far, far)));
        }
        self.exchange(lives, Life::floats, false)?;
        for life in lives.iter().filter(|life| life.floats()) {
            let here = match life.far.address()? {
                SocketAddr::V4(v4) => (v4.ip().to_ipv6_mapped(), v4.port()).into(),
                v6 @ SocketAddr::V6(_) => v6,
            };
            let mut came = None;
            self.told.wait("a float told", &self.stop, |told| {
                came = told.moved.remove(&life.id);
                came.is_some()
            })?;
            ensure!(came == Some(here), "expected a float of {:x} to {here}, got {came:?}", life.id);
        }
        old.into_iter().for_each(|(v6, far)| self.give_back(v6, far));
        Ok(())
    }

    /// One in sixteen is left to expire; the others are deleted, half of them with packets under way.
    fn go(&self, mut lives: Vec<Life>) -> Result<()> {
        for life in lives.iter_mut().filter(|life| life.n.is_multiple_of(2)) {
            life.asks(self.inside, false)?;
            life.asks(self.inside, true)?;
        }
        let mut begun = Vec::with_capacity(lives.len());
        for life in &lives {
            if life.silent() {
                self.told.lock().silent.insert(life.id);
                let settings =
                    raw::SetPeer { keepalive_interval: 1.into(), keepalive_timeout: 1.into(), mss: 1400.into() };
                let set = raw::MpSetPeer { peer_id: life.id.into(), settings };
                begun.push(self.device.begin(Ioctl::MpSetPeer, set.as_bytes(), 0)?);
            } else {
                let peer = raw::PeerRef { peer_id: life.id.into() };
                begun.push(self.device.begin(Ioctl::MpDelPeer, peer.as_bytes(), 0)?);
            }
        }
        all_end(begun)?;
        for mut life in lives {
            add(&self.totals.lives, 1);
            if life.silent() {
                self.left().push(Left { id: life.id, v6: life.v6, far: life.far });
                continue;
            }
            // What comes after it is nobody's.
            life.asks(self.inside, false)?;
            add(&self.totals.unsound, 1);
            if life.n.is_multiple_of(64) {
                let again = self.device.ioctl(Ioctl::MpDelPeer.code(), life.id.as_bytes(), 0)?.status;
                ensure!(again == NtStatus::NOT_FOUND, "MP_DEL_PEER, again: expected NOT_FOUND, got {again}");
            }
            self.give_back(life.v6, life.far);
        }
        Ok(())
    }

    /// Takes the sockets of those that have expired.
    fn gone_silent(&self) {
        let mut left = self.left();
        let told = self.told.lock();
        let (stay, gone): (Vec<Left>, Vec<Left>) =
            std::mem::take(&mut *left).into_iter().partition(|left| told.silent.contains(&left.id));
        *left = stay;
        drop((told, left));
        gone.into_iter().for_each(|left| self.give_back(left.v6, left.far));
    }
}
