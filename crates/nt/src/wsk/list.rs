//! Datagrams as WSK indicates them: lists that are read in place and given back.

use super::address::RawAddress;
use super::socket::Core;
use core::net::SocketAddr;
use core::ptr::NonNull;
use core::sync::atomic::Ordering;
use nt_sys::MDL;
use nt_sys::wsk::{WSK_BUF, WSK_DATAGRAM_INDICATION};

const NORMAL_PAGE_PRIORITY: u32 = 16;
const MDL_MAPPING_NO_EXECUTE: u32 = 0x4000_0000;

/// A list of datagrams that WSK indicated, with a reading position. A retained list is given back (`WskRelease`) when dropped.
/// IRQL <= DISPATCH_LEVEL.
pub struct DatagramList {
    /// The list as WSK passed it; it is released as a whole.
    head: NonNull<WSK_DATAGRAM_INDICATION>,
    next: *mut WSK_DATAGRAM_INDICATION,
    socket: NonNull<Core>,
}

// SAFETY: a retained list belongs to its owner, on whatever thread.
unsafe impl Send for DatagramList {}

impl DatagramList {
    /// A list that was just indicated on `socket`, counted as retained.
    ///
    /// # Safety
    /// `head` is a list that WSK passed to the receive callback of `socket`; the socket waits for `retained` to fall to zero
    /// before it closes.
    pub(super) unsafe fn retain(head: NonNull<WSK_DATAGRAM_INDICATION>, socket: NonNull<Core>) -> Self {
        // SAFETY: the socket's core is live in its callback.
        unsafe { socket.as_ref() }.retained.fetch_add(1, Ordering::Relaxed);
        Self { head, next: head.as_ptr(), socket }
    }

    /// Whether this is the list that begins with `head`.
    pub(super) fn is(&self, head: NonNull<WSK_DATAGRAM_INDICATION>) -> bool {
        self.head == head
    }

    /// Ends retention without releasing: for the receive callback that returns the list to WSK by its status.
    pub(super) fn hand_back(self) {
        let socket = self.socket;
        core::mem::forget(self);
        // SAFETY: the socket's core is live until `retained` is zero.
        unsafe { socket.as_ref() }.retained.fetch_sub(1, Ordering::Release);
    }

    /// The next datagram, if any is left.
    pub fn next_datagram(&mut self) -> Option<Datagram<'_>> {
        let node = NonNull::new(self.next)?;
        // SAFETY: nodes stay valid until the list is released.
        let node = unsafe { node.as_ref() };
        self.next = node.Next;
        Some(Datagram { node })
    }

    /// Starts over at the first datagram.
    pub fn rewind(&mut self) {
        self.next = self.head.as_ptr();
    }
}

impl Drop for DatagramList {
    fn drop(&mut self) {
        // SAFETY: the socket's core is live until `retained` is zero, and this list is counted in it.
        let socket = unsafe { self.socket.as_ref() };
        // SAFETY: the list was retained from this socket, whole, and is released once.
        unsafe { socket.release(self.head.as_ptr()) };
        socket.retained.fetch_sub(1, Ordering::Release);
    }
}

/// One datagram of a list.
pub struct Datagram<'a> {
    node: &'a WSK_DATAGRAM_INDICATION,
}

impl<'a> Datagram<'a> {
    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.node.Buffer.Length as usize
    }

    /// Where it came from; an IPv4 address that is mapped into IPv6 is an IPv4 address.
    #[must_use]
    pub fn remote(&self) -> Option<SocketAddr> {
        let address = NonNull::new(self.node.RemoteAddress)?;
        // SAFETY: the address is part of the indication, valid until that is released, and a SOCKADDR as its family says.
        unsafe { RawAddress::read(address) }
    }

    /// Whether it has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes, where they lie in one MDL (the usual case).
    #[must_use]
    pub fn contiguous(&self) -> Option<&'a [u8]> {
        let WSK_BUF { Mdl, Offset, .. } = self.node.Buffer;
        let chunk = segment(NonNull::new(Mdl)?, Offset as usize)?;
        chunk.get(..self.len())
    }

    /// Copies the whole datagram to the front of `out`; `None` where it does not fit or its MDLs are shorter than it claims.
    pub fn gather<'o>(&self, out: &'o mut [u8]) -> Option<&'o mut [u8]> {
        let out = out.get_mut(..self.len())?;
        let mut rest = &mut *out;
        let mut mdl = self.node.Buffer.Mdl;
        let mut offset = self.node.Buffer.Offset as usize;
        while !rest.is_empty() {
            let current = NonNull::new(mdl)?;
            let chunk = segment(current, offset)?;
            let n = chunk.len().min(rest.len());
            let (now, later) = rest.split_at_mut_checked(n)?;
            now.copy_from_slice(chunk.get(..n)?);
            rest = later;
            offset = 0;
            // SAFETY: MDL chains of a retained indication stay valid.
            mdl = unsafe { current.as_ref() }.Next;
        }
        Some(out)
    }

    /// The first `N` bytes, whatever the layout; `None` for a shorter datagram.
    #[must_use]
    pub fn prefix<const N: usize>(&self) -> Option<[u8; N]> {
        if self.len() < N {
            return None;
        }
        if let Some(bytes) = self.contiguous() {
            return bytes.first_chunk().copied();
        }
        let mut out = [0u8; N];
        let mut filled = 0;
        let (mut mdl, mut offset) = (self.node.Buffer.Mdl, self.node.Buffer.Offset as usize);
        while filled < N {
            let current = NonNull::new(mdl)?;
            for (to, from) in out.iter_mut().skip(filled).zip(segment(current, offset)?) {
                *to = *from;
                filled += 1;
            }
            offset = 0;
            // SAFETY: MDL chains of an indication stay valid while it is held.
            mdl = unsafe { current.as_ref() }.Next;
        }
        Some(out)
    }
}

/// The mapped bytes of one MDL from `offset` on; `None` where it cannot be mapped or the offset lies outside.
fn segment<'a>(mdl: NonNull<MDL>, offset: usize) -> Option<&'a [u8]> {
    // SAFETY: the MDL describes locked memory that stays so while the indication is held (callers hold it).
    let va =
        unsafe { nt_sys::MmGetSystemAddressForMdlSafe(mdl.as_ptr(), NORMAL_PAGE_PRIORITY | MDL_MAPPING_NO_EXECUTE) };
    if va.is_null() {
        return None;
    }
    // SAFETY: the MDL is live.
    let count = unsafe { mdl.as_ref() }.ByteCount as usize;
    let left = count.checked_sub(offset)?;
    // SAFETY: the mapping covers ByteCount bytes from `va`.
    Some(unsafe { core::slice::from_raw_parts(va.cast::<u8>().cast_const().add(offset), left) })
}
