//! The server's socket, as whoever writes to no peer in particular finds it.

use crate::transport::Transport;
use dco_sync::{Domain, Published, Shared, try_box};
use nt::status::Result;
use nt::time;

/// The socket while there is one, read in sections of its own domain.
pub struct Listening {
    domain: Domain,
    socket: Published<Shared<Transport>>,
}

impl Listening {
    /// No socket. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// NO_MEMORY.
    pub fn new() -> Result<Self> {
        let domain = Domain::try_new(time::max_processors())?;
        let socket = Published::new(&domain, None);
        Ok(Self { domain, socket })
    }

    /// Publishes a socket where there was none. PASSIVE_LEVEL, under the control lock.
    ///
    /// # Errors
    /// NO_MEMORY.
    pub fn publish(&self, socket: Shared<Transport>) -> Result<()> {
        let socket = try_box(socket)?;
        drop(self.socket.replace(Some(socket), &self.domain, time::pause));
        Ok(())
    }

    /// Takes it away; nobody uses it any more when this returns. PASSIVE_LEVEL, under the control lock.
    pub fn withdraw(&self) {
        drop(self.socket.replace(None, &self.domain, time::pause));
    }

    /// Uses the socket, if there is one. DISPATCH_LEVEL, so that the thread cannot be suspended meanwhile; it must not wait.
    pub fn with<R>(&self, cpu: usize, using: impl FnOnce(&Transport) -> R) -> Option<R> {
        let guard = self.domain.enter(cpu);
        self.socket.load(&guard).map(|socket| using(socket))
    }
}
