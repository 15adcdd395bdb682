//! Conversations with the kernel.

use std::os::fd::AsFd;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use netlink_sys::protocols::{NETLINK_GENERIC, NETLINK_ROUTE};
use netlink_sys::{Socket, SocketAddr};

use crate::failure::Refused;
use crate::stop::{Until, wait};
use crate::wire::{Ack, DONE, ERROR, Message, messages};

/// How long the kernel may think about a request. It answers at once; more means that it hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a socket of events holds until somebody reads it.
const EVENT_ROOM: usize = 1 << 20;

/// A message that came, without its header.
pub struct Reply {
    /// nlmsg_type: a family's number.
    pub kind: u16,
    /// What follows the header.
    pub payload: Vec<u8>,
}

/// A netlink socket.
pub struct Netlink {
    socket: Socket,
    sequence: u32,
}

impl Netlink {
    /// To generic netlink families.
    pub fn generic() -> Result<Self> {
        Self::open(NETLINK_GENERIC).context("opening a generic netlink socket")
    }

    /// To links and addresses.
    pub fn route() -> Result<Self> {
        Self::open(NETLINK_ROUTE).context("opening a route netlink socket")
    }

    fn open(protocol: isize) -> Result<Self> {
        let mut socket = Socket::new(protocol)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        socket.set_ext_ack(true)?;
        // Errors do not echo requests: those have keys in them.
        socket.set_cap_ack(true)?;
        Ok(Self { socket, sequence: 0 })
    }

    /// A socket that gets what a group is told of.
    pub fn of_group(group: u32) -> Result<Self> {
        let netlink = Self::generic()?;
        netlink.socket.set_rx_buf_sz(EVENT_ROOM)?;
        netlink.socket.add_membership(group).context("joining the family's events")?;
        Ok(netlink)
    }

    /// Asks, and waits for all of the answer.
    pub fn ask(&mut self, message: Message) -> Result<Vec<Reply>> {
        let name = message.name;
        self.sequence = self.sequence.wrapping_add(1);
        let bytes = message.finish(self.sequence);
        self.socket.send(&bytes, 0).with_context(|| format!("{name}: sending the request"))?;
        let mut replies = Vec::new();
        loop {
            let [readable] = wait([Until::Readable(self.socket.as_fd())], Some(PATIENCE))?;
            if !readable {
                bail!("{name}: expected an answer within {PATIENCE:?}, got none");
            }
            let (bytes, sender) = self.socket.recv_from_full().with_context(|| format!("{name}: the answer"))?;
            if sender.port_number() != 0 {
                continue;
            }
            for message in messages(&bytes).context(name)? {
                if message.sequence != self.sequence {
                    continue;
                }
                if message.kind == ERROR || message.kind == DONE {
                    let ack = Ack::from(&message).context(name)?;
                    return if ack.errno == 0 { Ok(replies) } else { Err(Refused { request: name, ack }.into()) };
                }
                replies.push(Reply { kind: message.kind, payload: message.payload.to_owned() });
            }
        }
    }

    /// What has come unasked. To be called when there is something to read.
    pub fn events(&self) -> Result<Vec<Reply>> {
        let (bytes, sender) = self.socket.recv_from_full().context("reading events (some may be lost)")?;
        if sender.port_number() != 0 {
            return Ok(Vec::new());
        }
        let messages = messages(&bytes)?;
        Ok(messages
            .into_iter()
            .map(|message| Reply { kind: message.kind, payload: message.payload.to_owned() })
            .collect())
    }
}

impl AsFd for Netlink {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
