//! What makes a socket's threads leave a poll.

use super::socket::last_error;
use crate::nt::NTSTATUS;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::{PoisonError, RwLock};

/// An eventfd, until the socket has ended: sockets stay in memory for good, so that a stale handle is known for one, and a
/// descriptor each would run out.
pub struct Wake(RwLock<Option<OwnedFd>>);

impl Wake {
    /// Not readable.
    ///
    /// # Errors
    /// Linux's, as a status.
    pub fn new() -> Result<Self, NTSTATUS> {
        // SAFETY: no pointers.
        let fd = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
        if fd < 0 {
            return Err(last_error());
        }
        // SAFETY: a fresh descriptor that nobody else has.
        Ok(Self(RwLock::new(Some(unsafe { OwnedFd::from_raw_fd(fd) }))))
    }

    /// Makes it readable; nothing once it is closed.
    pub fn signal(&self) {
        let one = 1u64;
        if let Some(fd) = &*self.0.read().unwrap_or_else(PoisonError::into_inner) {
            // SAFETY: eight bytes of ours; a full counter is readable already.
            unsafe { libc::write(fd.as_raw_fd(), (&raw const one).cast(), 8) };
        }
    }

    /// Waits until `fd` has `events` or this is readable; `true` for the former. Takes the count.
    pub fn wait_io(&self, fd: i32, events: i16, timeout_ms: i32) -> bool {
        // Held while it waits: only threads that the end of the socket waits for come here.
        let wake = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let raw = wake.as_ref().map_or(-1, AsRawFd::as_raw_fd);
        let mut p =
            [libc::pollfd { fd, events, revents: 0 }, libc::pollfd { fd: raw, events: libc::POLLIN, revents: 0 }];
        crate::ke::sched::poll("socket", &mut p, timeout_ms);
        if p[1].revents != 0 {
            let mut n = 0u64;
            // SAFETY: eight bytes of ours.
            unsafe { libc::read(raw, (&raw mut n).cast(), 8) };
        }
        p[0].revents != 0
    }

    /// Closes it; no thread waits any more.
    pub fn close(&self) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).take();
    }
}
