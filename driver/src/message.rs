//! Control packets: what userspace writes goes to the peer, what the peer sends is read by userspace.
//!
//! A read that finds the backlog empty parks; a packet that finds no read parked goes to the backlog. Both decide under one spin
//! lock, so neither can miss the other (ovpn-dco-win #136: a read parked while its packet queued). Requests are completed, and
//! packets sent, outside it.

use crate::link::{Link, now};
use alloc::boxed::Box;
use dco_core::DropReason;
use dco_sync::{OutOfMemory, try_box_slice};
use nt::lock::SpinLock;
use nt::status::{Result, Status};
use nt::time;
use nt::wdf::device::Handle;
use nt::wdf::queue::ManualQueue;
use nt::wdf::request::Request;
use nt::wsk::{Chain, Datagram};

extern crate alloc;

/// Longest control packet that userspace may write: the interface's limit.
pub const MAX_WRITE: usize = 1500;
/// Longest control packet that is kept for a reader: what OpenVPN's reads have room for.
const MAX_READ: usize = 2048;
/// Packets kept while nobody reads: more than a TLS handshake's flight.
const BACKLOG: usize = 64;

/// Parked reads and the packets that wait for one. At most one of the two is not empty.
pub struct Messages {
    reads: ManualQueue,
    backlog: SpinLock<Backlog>,
}

impl Messages {
    /// No reads, no packets. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// NO_MEMORY, or the framework's status.
    pub fn new(device: Handle<'_>) -> Result<Self> {
        Ok(Self { reads: ManualQueue::new(device)?, backlog: SpinLock::new(Backlog::new()?) })
    }

    /// Completes one parked read with `status`, if there is one and `claim` agrees. IRQL <= DISPATCH_LEVEL.
    pub fn fail_one(&self, status: Status, claim: impl FnOnce() -> bool) {
        let guard = self.backlog.lock();
        let read = self.reads.take();
        drop(guard);
        if let Some(read) = read {
            let status = if claim() { status } else { Status::CANCELLED };
            read.complete(status);
        }
    }

    /// Forgets waiting packets and completes all parked reads with CANCELLED. IRQL <= DISPATCH_LEVEL.
    pub fn flush(&self) {
        self.backlog.lock().clear();
        while let Some(read) = self.reads.take() {
            read.complete(Status::CANCELLED);
        }
    }
}

/// A ring of packets in memory of fixed size.
struct Backlog {
    bytes: Box<[u8]>,
    lengths: [usize; BACKLOG],
    first: usize,
    count: usize,
}

impl Backlog {
    fn new() -> core::result::Result<Self, OutOfMemory> {
        Ok(Self { bytes: try_box_slice(BACKLOG * MAX_READ, |_| Ok(0))?, lengths: [0; BACKLOG], first: 0, count: 0 })
    }

    /// Room for one more packet; [`commit`](Self::commit) makes it one.
    fn free(&mut self) -> Option<&mut [u8]> {
        if self.count >= BACKLOG {
            return None;
        }
        self.bytes.chunks_exact_mut(MAX_READ).nth((self.first + self.count) % BACKLOG)
    }

    fn commit(&mut self, len: usize) {
        if let Some(slot) = self.lengths.get_mut((self.first + self.count) % BACKLOG) {
            *slot = len;
            self.count += 1;
        }
    }

    fn oldest(&self) -> Option<&[u8]> {
        if self.count == 0 {
            return None;
        }
        let len = *self.lengths.get(self.first)?;
        self.bytes.chunks_exact(MAX_READ).nth(self.first)?.get(..len)
    }

    fn pop(&mut self) {
        if self.count > 0 {
            self.first = (self.first + 1) % BACKLOG;
            self.count -= 1;
        }
    }

    fn clear(&mut self) {
        self.count = 0;
    }
}

/// A read: completed from the backlog, or parked. PASSIVE_LEVEL.
pub fn read(link: &Link, mut request: Request) {
    let mut backlog = link.messages.backlog.lock();
    let Some(packet) = backlog.oldest() else {
        let refused = link.messages.reads.park(request);
        drop(backlog);
        if let Err((request, status)) = refused {
            request.complete(status);
        }
        return;
    };
    let copied = copy_out(&mut request, packet.len(), |out| {
        out.copy_from_slice(packet);
        Some(())
    });
    backlog.pop();
    drop(backlog);
    finish_read(link, request, copied);
}

/// A control packet arrived: to a parked read, or to the backlog. DISPATCH_LEVEL.
pub fn receive(link: &Link, cpu: usize, datagram: &Datagram<'_>) {
    link.core.count_control_in(cpu);
    if datagram.len() > MAX_READ {
        return link.core.count_drop(cpu, DropReason::ControlInTooLong);
    }
    let mut backlog = link.messages.backlog.lock();
    let Some(mut read) = link.messages.reads.take() else {
        let kept = match backlog.free().map(|room| datagram.gather(room).map(|bytes| bytes.len())) {
            None => Err(DropReason::ControlInBacklogFull),
            Some(None) => Err(DropReason::ControlInTooLong),
            Some(Some(len)) => {
                backlog.commit(len);
                Ok(())
            }
        };
        drop(backlog);
        if let Err(reason) = kept {
            link.core.count_drop(cpu, reason);
        }
        return;
    };
    drop(backlog);
    let copied = copy_out(&mut read, datagram.len(), |out| datagram.gather(out).map(drop));
    finish_read(link, read, copied);
}

/// Fills the first `len` bytes of a read's buffer.
fn copy_out(read: &mut Request, len: usize, fill: impl FnOnce(&mut [u8]) -> Option<()>) -> Result<usize> {
    let room = read.output(len.max(1))?.get_mut(..len).ok_or(Status::BUFFER_TOO_SMALL)?;
    fill(room).ok_or(Status::INTERNAL_ERROR)?;
    Ok(len)
}

fn finish_read(link: &Link, read: Request, copied: Result<usize>) {
    match copied {
        Ok(len) => read.complete_with(Status::SUCCESS, len),
        Err(status) => {
            link.core.count_drop(time::processor(), DropReason::ControlInBufferTooSmall);
            read.complete(status);
        }
    }
}

/// A write: copied to a send buffer, sent, completed. PASSIVE_LEVEL.
pub fn write(link: &Link, request: Request) {
    let sent = send(link, &request);
    match sent {
        Ok(len) => request.complete_with(Status::SUCCESS, len),
        Err(status) => request.complete(status),
    }
}

fn send(link: &Link, request: &Request) -> Result<usize> {
    let cpu = time::processor();
    let section = link.core.enter(cpu);
    let mut batch = section.batch(now());
    let socket = batch.transport().ok_or(Status::INVALID_DEVICE_STATE)?;
    let packet = request.input(1)?;
    if packet.len() > MAX_WRITE {
        return Err(Status::INVALID_PARAMETER);
    }
    let Some(mut buffer) = link.sends.take() else {
        batch.drop(DropReason::ControlOutNoBuffer);
        return Err(Status::INSUFFICIENT_RESOURCES);
    };
    buffer.bytes().get_mut(..packet.len()).ok_or(Status::INVALID_PARAMETER)?.copy_from_slice(packet);
    let mut chain = Chain::new(&link.sends);
    chain.push(buffer, packet.len());
    batch.count_control_out();
    socket.send(chain);
    Ok(packet.len())
}
