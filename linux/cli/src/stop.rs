//! Waiting: for descriptors, and for Ctrl-C.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

/// Becomes readable at Ctrl-C, SIGTERM or SIGHUP, and stays so.
pub struct Stop(Arc<OwnedFd>);

impl Stop {
    /// Catches the signals. Once a process.
    pub fn on_signal() -> Result<Self> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let stop = Arc::new(eventfd(0, flags).context("making an eventfd")?);
        let from_handler = Arc::clone(&stop);
        ctrlc::set_handler(move || {
            // Full after 2^64 - 1 signals.
            let _ = rustix::io::write(&*from_handler, &1u64.to_ne_bytes());
        })
        .context("catching Ctrl-C")?;
        Ok(Self(stop))
    }

    /// Whether it came, waiting for it so long.
    pub fn within(&self, time: Duration) -> Result<bool> {
        let [stop] = wait([Until::Readable(self.as_fd())], Some(time))?;
        Ok(stop)
    }
}

impl AsFd for Stop {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// What is waited for.
#[derive(Debug, Clone, Copy)]
pub enum Until<'a> {
    /// Bytes, their end, or an error.
    Readable(BorrowedFd<'a>),
    /// Room, or an error.
    Writable(BorrowedFd<'a>),
    /// Nothing ever.
    Never,
}

impl<'a> Until<'a> {
    fn polled(self) -> Option<PollFd<'a>> {
        match self {
            Self::Readable(fd) => Some(PollFd::from_borrowed_fd(fd, PollFlags::IN)),
            Self::Writable(fd) => Some(PollFd::from_borrowed_fd(fd, PollFlags::OUT)),
            Self::Never => None,
        }
    }
}

/// Waits until one of them has come; none of them if the time is over.
pub fn wait<const N: usize>(what: [Until<'_>; N], time: Option<Duration>) -> Result<[bool; N]> {
    let places = what.map(Until::polled);
    let mut polled: Vec<PollFd<'_>> = places.iter().flatten().cloned().collect();
    let time = time.map(Timespec::try_from).transpose().context("a time to wait")?;
    loop {
        match poll(&mut polled, time.as_ref()) {
            Ok(_) => break,
            // The signal's own handler makes one of them readable.
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("waiting"),
        }
    }
    let mut came = polled.iter().map(|fd| !fd.revents().is_empty());
    Ok(places.map(|place| place.is_some() && came.next().unwrap_or(false)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_told_of_its_own() {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        let all = [Until::Never, Until::Readable(reader.as_fd()), Until::Writable(writer.as_fd())];
        assert_eq!(wait(all, None).expect("no error"), [false, false, true]);
        rustix::io::write(&writer, b"x").expect("room");
        assert_eq!(wait(all, None).expect("no error"), [false, true, true]);
        let none = wait([Until::Never], Some(Duration::ZERO)).expect("no error");
        assert_eq!(none, [false]);
    }
}
