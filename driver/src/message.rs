//! Control packets: what userspace writes goes to the peer, what the peer sends is read by userspace.
//!
//! A read that finds the backlog empty parks; a packet that finds no read parked goes to the backlog. Both decide under one spin
//! lock, so neither can miss the other (ovpn-dco-win #136: a read parked while its packet queued). Requests are completed, and
//! packets sent, outside it.

use crate::link::{Link, now};
use crate::listening::FIRST;
use crate::transport::{self, Transport};
use crate::{connection::Connection, server};
use core::net::SocketAddr;
use core::sync::atomic::Ordering;
use dco_core::{Backlog, DropReason, Sender, Shares};
use dco_sync::Shared;
use dco_uapi::sockaddr::{V6_LEN, encoded_len, split_union, write_prefix_by};
use nt::irql::AtDispatch;
use nt::lock::SpinLock;
use nt::status::{Result, Status};
use nt::time;
use nt::wdf::device::Handle;
use nt::wdf::queue::ManualQueue;
use nt::wdf::request::Request;
use nt::wsk::{Chain, Datagram, Traffic};

/// Longest control packet that userspace may write: the interface's limit.
pub const MAX_WRITE: usize = 1500;

/// Parked reads and the packets that wait for one. At most one of the two is not empty.
pub struct Messages {
    reads: ManualQueue,
    waiting: SpinLock<Waiting>,
}

impl Messages {
    /// No reads, no packets. On its own in memory, for it is large; not inlined, for the frame of its caller. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// NO_MEMORY, or the framework's status.
    #[inline(never)]
    pub fn new(device: Handle<'_>) -> Result<Shared<Self>> {
        let only = Backlog::try_new(Shares::POINT_TO_POINT)?;
        let waiting = Waiting { only, many: None, disconnected: None, refusing: true };
        Ok(Shared::try_new(Self { reads: ManualQueue::new(device)?, waiting: SpinLock::new(waiting) })?)
    }

    /// Completes one parked read with `status`; false if none is parked. IRQL <= DISPATCH_LEVEL.
    pub fn fail_one(&self, status: Status) -> bool {
        let guard = self.waiting.lock();
        let read = self.reads.take();
        drop(guard);
        let Some(read) = read else { return false };
        read.complete(status);
        true
    }

    /// The connection, or the socket, ended: one read ends with `status`, a parked one or the next (the existing driver tells none but a
    /// parked one). What arrived before is read first. IRQL <= DISPATCH_LEVEL.
    pub fn disconnected(&self, status: Status) {
        let mut waiting = self.waiting.lock();
        let read = self.reads.take();
        waiting.disconnected = if read.is_none() { Some(status) } else { None };
        drop(waiting);
        if let Some(read) = read {
            read.complete(status);
        }
    }

    /// Room for a server's packets, or none any more; what waits is forgotten. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// NO_MEMORY; not for none.
    pub fn serve(&self, server: bool) -> Result<()> {
        let many = if server { Some(Backlog::try_new(Shares::SERVER)?) } else { None };
        let mut waiting = self.waiting.lock();
        let before = core::mem::replace(&mut waiting.many, many);
        waiting.only.clear();
        drop(waiting);
        drop(before);
        Ok(())
    }

    /// A handle is open: reads are taken. IRQL <= DISPATCH_LEVEL.
    pub fn open(&self) {
        self.waiting.lock().refusing = false;
    }

    /// Forgets waiting packets and completes all parked reads with CANCELLED; `reopen` says whether reads are taken again after that.
    /// IRQL <= DISPATCH_LEVEL.
    ///
    /// Meanwhile new reads are refused: one who posts each read again as it ends would keep this from ending.
    pub fn flush(&self, reopen: bool) {
        let mut waiting = self.waiting.lock();
        waiting.packets().clear();
        waiting.disconnected = None;
        let before = core::mem::replace(&mut waiting.refusing, true);
        drop(waiting);
        while let Some(read) = self.reads.take() {
            read.complete(Status::CANCELLED);
        }
        if reopen {
            self.waiting.lock().refusing = before;
        }
    }
}

/// What the spin lock guards.
struct Waiting {
    /// Point to point.
    only: Backlog,
    /// A server's, which is larger.
    many: Option<Backlog>,
    /// The connection ended, and no read was there to be told so.
    disconnected: Option<Status>,
    /// Nobody reads: reads are completed with CANCELLED instead of parked.
    refusing: bool,
}

impl Waiting {
    fn packets(&mut self) -> &mut Backlog {
        self.many.as_mut().unwrap_or(&mut self.only)
    }
}

/// A read: completed from the backlog, or parked. PASSIVE_LEVEL.
pub fn read(link: &Link, mut request: Request) {
    let mut waiting = link.messages.waiting.lock();
    let Some(packet) = waiting.packets().oldest() else {
        let refused = if let Some(status) = waiting.disconnected.take() {
            Err((request, status))
        } else if waiting.refusing {
            Err((request, Status::CANCELLED))
        } else {
            link.messages.reads.park(request)
        };
        drop(waiting);
        if let Err((request, status)) = refused {
            request.complete(status);
        }
        return;
    };
    let copied = request.copy_output(packet);
    waiting.packets().pop();
    drop(waiting);
    finish_read(link, request, copied);
}

/// Who sent a control packet, and what stands before a server's: the sender's address. Point to point, nothing.
struct Source {
    remote: Option<SocketAddr>,
    /// It is known for a peer, whatever its address.
    is_peer: bool,
    bytes: [u8; V6_LEN],
    len: usize,
}

impl Source {
    const THE_PEER: Self = Self { remote: None, is_peer: true, bytes: [0; V6_LEN], len: 0 };

    /// In the form of the listener's family, as its user knows addresses, with its number.
    fn of(remote: SocketAddr, ipv4_socket: bool, listener: u32) -> Self {
        let shown = server::shown(remote, ipv4_socket);
        let mut from = Self { remote: Some(remote), is_peer: false, bytes: [0; V6_LEN], len: encoded_len(&shown) };
        // The longest address fits.
        if write_prefix_by(shown, listener, &mut from.bytes).is_err() {
            from.len = 0;
        }
        from
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// Whose share of the backlog it takes.
    fn sender(&self, link: &Link) -> Sender {
        self.remote.map_or(Sender::ONLY, |remote| link.many.sender(remote.ip()))
    }

    /// Room for its packet in the backlog.
    fn room<'w>(&self, link: &Link, cpu: usize, packets: &'w mut Backlog) -> Option<&'w mut [u8]> {
        let is_peer = || self.is_peer || self.remote.is_none_or(|remote| link.many.enter(cpu).has_remote(remote));
        packets.free(self.sender(link), is_peer)
    }

    /// Writes it to the front of `room`; gives the rest of that. `None` where there is no room.
    fn put<'r>(&self, room: &'r mut [u8]) -> Option<&'r mut [u8]> {
        let (head, rest) = room.split_at_mut_checked(self.len)?;
        head.iter_mut().zip(self.bytes).for_each(|(to, byte)| *to = byte);
        Some(rest)
    }
}

/// A control packet arrived in a datagram: see [`receive`]. DISPATCH_LEVEL.
pub fn receive_datagram(link: &Link, cpu: usize, listener: u32, datagram: &Datagram<'_>) {
    let core = link.active();
    let mut from = Source::THE_PEER;
    if link.is_server() {
        core.count_control_in(cpu);
        let ipv4 = link.listening.with(cpu, listener, |socket| socket.is_ipv4());
        let (Some(remote), Some(ipv4)) = (datagram.remote(), ipv4) else {
            return core.count_drop(cpu, DropReason::ControlInCopyFailed);
        };
        from = Source::of(remote, ipv4, listener);
    } else {
        core.count_control_in(cpu);
    }
    if let Some(packet) = datagram.contiguous() {
        return deliver(link, cpu, &from, packet);
    }
    if datagram.len().saturating_add(from.len) > Backlog::LONGEST {
        return core.count_drop(cpu, DropReason::ControlInTooLong);
    }
    // It lies in pieces: the next free place of the backlog is where they are put together.
    let mut waiting = link.messages.waiting.lock();
    let packet = match from.room(link, cpu, waiting.packets()) {
        Some(room) => {
            let gathered = from.put(room).and_then(|rest| datagram.gather(rest));
            gathered.map(|bytes| &*bytes).ok_or(DropReason::ControlInCopyFailed)
        }
        None => Err(DropReason::ControlInBacklogFull),
    };
    match packet {
        Ok(packet) => match link.messages.reads.take() {
            Some(mut read) => {
                let copied = read.copy_parts(from.bytes(), packet);
                drop(waiting);
                finish_read(link, read, copied);
            }
            None => {
                waiting.packets().commit(from.sender(link), from.len.saturating_add(datagram.len()));
            }
        },
        Err(reason) => {
            drop(waiting);
            core.count_drop(cpu, reason);
        }
    }
}

/// A control packet arrived: to a parked read, or to the backlog. DISPATCH_LEVEL.
pub fn receive(link: &Link, cpu: usize, packet: &[u8]) {
    link.active().count_control_in(cpu);
    deliver(link, cpu, &Source::THE_PEER, packet);
}

/// A control packet arrived over a server's connection: with the address that it came from. DISPATCH_LEVEL.
pub fn receive_from(link: &Link, cpu: usize, connection: &Connection, packet: &[u8]) {
    link.many.count_control_in(cpu);
    connection.spoken.store(true, Ordering::Relaxed);
    let mut from = Source::of(connection.remote, connection.shown.is_ipv4(), connection.listener);
    from.is_peer = connection.peer().is_some();
    deliver(link, cpu, &from, packet);
}

fn deliver(link: &Link, cpu: usize, from: &Source, packet: &[u8]) {
    if packet.len().saturating_add(from.len) > Backlog::LONGEST {
        return link.active().count_drop(cpu, DropReason::ControlInTooLong);
    }
    let mut waiting = link.messages.waiting.lock();
    if let Some(mut read) = link.messages.reads.take() {
        drop(waiting);
        let copied = read.copy_parts(from.bytes(), packet);
        return finish_read(link, read, copied);
    }
    let kept = keep(link, cpu, waiting.packets(), from, packet);
    drop(waiting);
    if !kept {
        link.active().count_drop(cpu, DropReason::ControlInBacklogFull);
    }
}

/// Keeps a packet behind its prefix; false if there is no room for it.
fn keep(link: &Link, cpu: usize, packets: &mut Backlog, from: &Source, packet: &[u8]) -> bool {
    let room = from.room(link, cpu, packets).and_then(|room| from.put(room));
    let Some(room) = room.and_then(|rest| rest.get_mut(..packet.len())) else { return false };
    room.copy_from_slice(packet);
    packets.commit(from.sender(link), from.len.saturating_add(packet.len()))
}

fn finish_read(link: &Link, read: Request, copied: Result<usize>) {
    let reason = match copied {
        Ok(_) => None,
        Err(Status::BUFFER_TOO_SMALL) => Some(DropReason::ControlInBufferTooSmall),
        Err(_) => Some(DropReason::ControlInCopyFailed),
    };
    if let Some(reason) = reason {
        link.active().count_drop(time::processor(), reason);
    }
    read.complete_copied(copied.map(drop));
}

/// A write: copied to a send buffer, given to the network stack, completed. Over TCP too: the control channel has its own window, and a
/// write that waited for the network would have to be taken back from it when the handle closes. PASSIVE_LEVEL.
pub fn write(link: &Link, mut request: Request) {
    let sent = if link.is_server() { send_addressed(link, &mut request) } else { send(link, &mut request) };
    request.complete_copied(sent);
}

fn send(link: &Link, request: &mut Request) -> Result<()> {
    // A read section in a user's thread: at DISPATCH_LEVEL the thread cannot be suspended in it, which would hold up whoever waits for
    // its end.
    let _dispatch = AtDispatch::raise();
    let cpu = time::processor();
    let section = link.core.enter(cpu);
    let mut batch = section.batch(now());
    let peer = batch.only().ok_or(Status::INVALID_DEVICE_STATE)?;
    let Some(mut buffer) = link.sends.take() else {
        batch.drop(DropReason::ControlOutNoBuffer);
        return Err(Status::INSUFFICIENT_RESOURCES);
    };
    let copied =
        buffer.bytes().get_mut(..MAX_WRITE).ok_or(Status::INTERNAL_ERROR).and_then(|to| request.copy_input(to));
    let len = match copied {
        Ok(len) => len,
        Err(status) => {
            link.sends.put(buffer);
            return Err(status);
        }
    };
    let mut chain = Chain::new(&link.sends, Traffic::Control);
    chain.push(buffer, len);
    batch.count_control_out();
    transport::send(link, cpu, peer, chain);
    Ok(())
}

/// The same for a server: the address that it goes to stands before the packet. There need not be a peer.
fn send_addressed(link: &Link, request: &mut Request) -> Result<()> {
    let _dispatch = AtDispatch::raise();
    let cpu = time::processor();
    // The longest prefix, and one byte.
    let mut beginning = [0; V6_LEN + 1];
    let len = request.copy_beginning(&mut beginning);
    let split = len.and_then(|len| {
        let beginning = beginning.get(..len.min(beginning.len())).unwrap_or_default();
        let (to, packet) = split_union(beginning).map_err(|e| Status(e.status()))?;
        Ok((to, beginning.len().saturating_sub(packet.len())))
    });
    let listener = link.listening.meant(split.as_ref().map_or(FIRST, |(to, _)| to.listener()));
    link.listening
        .with(cpu, listener, |socket| {
            let (to, skip) = split?;
            let to = to.parse().map_err(|e| Status(e.status()))?;
            let to = server::canonical(to);
            if socket.is_ipv4() && to.is_ipv6() {
                return Err(Status::INVALID_ADDRESS);
            }
            if !matches!(socket, Transport::Accepting(_)) {
                socket.send(copied(link, cpu, request, skip)?, Some(to));
                return Ok(());
            }
            let sent = link.connections.with(cpu, listener, to, |connection| {
                if !transport::has_room(link, &connection.transport, 0) {
                    link.many.count_drop(cpu, DropReason::ControlOutNoBuffer);
                    return Err(Status::INSUFFICIENT_RESOURCES);
                }
                connection.transport.send(copied(link, cpu, request, skip)?, None);
                Ok(())
            });
            sent.unwrap_or(Err(Status::NOT_FOUND))
        })
        .unwrap_or(Err(Status::INVALID_DEVICE_STATE))
}

/// What a server writes, behind its address, in a send buffer.
fn copied<'l>(link: &'l Link, cpu: usize, request: &mut Request, skip: usize) -> Result<Chain<'l>> {
    let Some(mut buffer) = link.sends.take() else {
        link.many.count_drop(cpu, DropReason::ControlOutNoBuffer);
        return Err(Status::INSUFFICIENT_RESOURCES);
    };
    let room = buffer.bytes().get_mut(..MAX_WRITE).ok_or(Status::INTERNAL_ERROR);
    match room.and_then(|room| request.copy_input_from(skip, room)) {
        Ok(len) => {
            let mut chain = Chain::new(&link.sends, Traffic::Control);
            chain.push(buffer, len);
            link.many.count_control_out(cpu);
            Ok(chain)
        }
        Err(status) => {
            link.sends.put(buffer);
            Err(status)
        }
    }
}
