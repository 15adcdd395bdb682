//! Winsock Kernel: client registration, datagram sockets, retained indications, send buffers.
//!
//! Lifetime rules, in the order they hold: a [`Client`] outlives its sockets (each socket holds a reference); a socket's
//! close, in its `Drop`, disables the receive callback and waits for running ones, waits until every retained
//! [`DatagramList`] was released, closes, and waits until every send has completed. So no callback, buffer or IRP of a socket
//! outlives it.

mod address;
mod client;
mod irp;
mod list;
mod send;
mod socket;

pub use client::Client;
pub use list::{Datagram, DatagramList};
pub use send::{BUFFER_LEN, Chain, SendBuffer, SendPool, Traffic};
pub use socket::{DatagramSocket, Receive};
