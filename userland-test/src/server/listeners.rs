//! Clients at listeners of their own, beside those at the server's first socket.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, Result, bail, ensure};

use super::{Guest, Server};
use crate::device::{Client, Event, Protocol, Slot};
use crate::far::{DRIVER, DataKey, Far};
use crate::key::{Cipher, StaticKey};
use crate::rig::{Side, Transport};

/// Clients at each listener.
const EACH: i32 = 3;

impl Server<'_> {
    /// A client that came by this listener, which is at `at`.
    pub(super) fn joined_by(&self, id: i32, (listener, at): (u32, SocketAddr)) -> Result<Guest> {
        let over = if at.is_ipv4() { Transport::V4 } else { Transport::V6 };
        let far = self.rig.within(Side::B, || Far::at(self.rig.wire(Side::B, over).ip(), at))?;
        let vpn = Guest::vpn(self.rig, id);
        let [IpAddr::V4(vpn4), IpAddr::V6(vpn6)] = vpn else { bail!("expected an address of each version") };
        let client = Client { id, remote: far.address()?, vpn4: Some(vpn4), vpn6: Some(vpn6) };
        self.device.add_peer_by(&client, listener)?;
        let key = StaticKey::of_test(id as u64, Cipher::Aes256, DRIVER);
        self.device.new_key(&key, Slot::Primary, 1, id.cast_unsigned())?;
        let key = DataKey::opposite(&key, 1, id.cast_unsigned())?;
        Ok(Guest { id, far, key, vpn, sent: 0, came: 0, inner: [0; 2], packets: [0; 2] })
    }

    /// Clients at two more listeners, of one IP version each: echoes, from client to client across listeners and to those at the first
    /// socket, a move from one to the other; then one listener goes, and its clients are heard by the other.
    pub(super) fn several_listeners(&self, clients: &mut [Guest]) -> Result<String> {
        let mut at = Vec::new();
        for (over, port) in [(Transport::V4, 2194), (Transport::V6, 3194)] {
            let wanted = SocketAddr::new(self.rig.wire(Side::A, over).ip(), port);
            let (number, bound) = self.device.listen_more(Protocol::Udp, wanted, true)?;
            ensure!(bound == wanted, "expected a listener at {wanted}, got one at {bound}");
            at.push((number, bound));
        }
        let mut guests = Vec::new();
        for n in 0..EACH {
            for (which, place) in at.iter().enumerate() {
                guests.push(self.joined_by(100 + 2 * n + which as i32, *place)?);
            }
        }
        self.all_echo(&mut guests)?;
        // Across listeners: each to the next, and to one at the first socket.
        for from in 0..guests.len() {
            let to = (from + 1) % guests.len();
            let request = super::echo_request(guests[from].vpn[0], guests[to].vpn[0], 300, from as u32);
            guests[from].send(&request)?;
            self.forwarded(&mut guests[to], &request)?;
            let first = clients.first_mut().context("a client at the first socket")?;
            let request = super::echo_request(guests[from].vpn[1], first.vpn[1], 300, from as u32);
            guests[from].send(&request)?;
            self.forwarded(first, &request)?;
        }
        // All move to the other listener, over the other IP version; then theirs is closed under half of them.
        let [first, second] = at[..] else { bail!("expected two listeners") };
        for guest in &mut guests {
            let (_, there) = if guest.id % 2 == 0 { second } else { first };
            guest.far = self.moved_far(there)?;
        }
        self.all_echo(&mut guests)?;
        // Told before the next move: of moves that come between two looks the last is told.
        let floated = |event: &Event| matches!(event, Event::Float(..));
        self.each_told("a move", guests.len(), floated)?;
        self.device.unlisten(first.0)?;
        for guest in guests.iter_mut().filter(|guest| guest.id % 2 == 1) {
            guest.far = self.moved_far(second.1)?;
        }
        self.all_echo(&mut guests)?;
        self.each_told("a second move", guests.len() / 2, floated)?;
        for guest in &guests {
            self.device.del_client(guest.id)?;
        }
        self.device.unlisten(second.0)?;
        self.each_told("an end", guests.len(), |event| matches!(event, Event::DelPeer(_, 1)))?;
        Ok(format!("{} clients at two listeners, {} moves and each end told", guests.len(), guests.len() / 2 * 3))
    }

    /// So many events of one kind are told next.
    fn each_told(&self, what: &str, count: usize, is: impl Fn(&Event) -> bool) -> Result<()> {
        for n in 0..count {
            let came = self.told(self.device.notify_event()?).with_context(|| format!("{what}, {n} of {count}"))?;
            ensure!(is(&came), "{what}, {n} of {count}: got {came:?}");
        }
        Ok(())
    }

    pub(super) fn moved_far(&self, at: SocketAddr) -> Result<Far> {
        let over = if at.is_ipv4() { Transport::V4 } else { Transport::V6 };
        self.rig.within(Side::B, || Far::at(self.rig.wire(Side::B, over).ip(), at))
    }

    fn all_echo(&self, guests: &mut [Guest]) -> Result<()> {
        for (tag, v6) in [false, true, false].into_iter().enumerate() {
            for guest in &mut *guests {
                guest.pings(guest.vpn[usize::from(v6)], self.inside(v6), 600, tag as u32)?;
            }
        }
        Ok(())
    }

    /// The next echo for this client has to be this one, as the stack forwarded it.
    fn forwarded(&self, to: &mut Guest, request: &[u8]) -> Result<()> {
        let came = loop {
            let came = to.receive(super::SOON)?.with_context(|| format!("client {}: nothing came", to.id))?;
            if super::echo(&came).is_some() {
                break came;
            }
        };
        let (came, sent) = (super::echo(&came).context("an echo")?, super::echo(request).context("an echo")?);
        ensure!(came == sent, "client {}: expected {sent:?}, got {came:?}", to.id);
        Ok(())
    }
}
