//! Winsock Kernel: client registration, datagram and stream sockets, retained indications, send and receive buffers.
//!
//! Lifetime rules, in the order they hold: a [`Client`] outlives its sockets (each socket holds a reference); a socket's
//! close, in its `Drop`, disables the receive callback and waits for running ones, waits until every retained
//! [`DatagramList`] was released, closes, and waits until every send has completed. So no callback, buffer or IRP of a socket
//! outlives it. A stream socket's close is [`stream`]'s: it cancels a connect that pends, waits for the buffers it lent, disconnects,
//! closes, and waits for its IRPs.

mod address;
mod client;
mod handle;
mod intake;
mod irp;
mod list;
mod listen;
mod pending;
mod send;
mod socket;
mod stream;

pub(crate) use address::RawAddress;
pub use client::Client;
pub use intake::{Arrived, BufferSizes, Received, StreamBuffer};
pub use list::{Datagram, DatagramList};
pub use listen::{AcceptEvents, Accepted, ListenSocket};
pub use send::{Chain, PREFIX_LEN, SendBuffer, SendPool, Traffic};
pub use socket::{DatagramSocket, Receive};
pub use stream::{StreamEvents, StreamSocket};
