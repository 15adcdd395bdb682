//! `ovpn-dco.sys`: OpenVPN's data channel offload for Windows, a KMDF and NetAdapterCx client driver.
//!
//! The shell around `dco-core`: it translates ioctls, owns the socket, the rings, the timer and the control packets, and decides
//! nothing about packets. docs/architecture.md has the whole; the files are its roles:
//!
//! | file | role | context |
//! |---|---|---|
//! | [`entry`] | driver object, version device | PASSIVE |
//! | [`device`] | the adapter's device context and its events | any below |
//! | [`control`] | ioctls | PASSIVE, under the control lock |
//! | [`server`] | multi-peer mode: its ioctls, many peers' timers and moves | PASSIVE, under the control lock |
//! | [`listening`] | the server's socket, for whoever writes | any below |
//! | [`event`] | who waits for events, what waits for them | <= DISPATCH, its own spin lock |
//! | [`cipher`] | keys: CNG's, or software | made at PASSIVE, used <= DISPATCH |
//! | [`epoch`] | epoch keys | PASSIVE, under the control lock |
//! | [`peer`] | a peer's socket: made, connected, unmade | PASSIVE, under the control lock |
//! | [`transport`] | what kind of socket it is | any below |
//! | [`link`] | what socket callbacks, queues and ioctls share | any |
//! | [`txqueue`] | inner packets to the socket | <= DISPATCH, in a read section |
//! | [`rxqueue`] | what was received to the receive ring | <= DISPATCH, in a read section |
//! | [`stream`] | a connection's bytes to frames | DISPATCH, in a read section |
//! | [`message`] | control packets: reads, writes, backlog | <= DISPATCH, its own spin lock |
//! | [`keyevent`] | who waits for a key's end | parked at PASSIVE, looked at by the timer |
//! | [`timer`] | keepalive | DISPATCH, in a read section |
//! | [`trace`] | events for ETW | any |
#![no_std]
#![deny(clippy::indexing_slicing, clippy::panic, clippy::expect_used, clippy::unreachable, clippy::string_slice)]

mod cipher;
mod connection;
mod control;
mod device;
mod entry;
mod epoch;
mod event;
mod keyevent;
mod link;
mod listener;
mod listening;
mod message;
mod peer;
mod rxqueue;
mod server;
mod stream;
mod timer;
mod trace;
mod transport;
mod txqueue;

nt::driver_entry!(entry::OvpnDco::new);

#[cfg(not(feature = "wdk"))]
#[global_allocator]
static POOL: nt::pool::PoolAllocator = nt::pool::PoolAllocator;

#[cfg(feature = "wdk")]
#[global_allocator]
static POOL: wdk_alloc::WdkAllocator = wdk_alloc::WdkAllocator;

#[cfg(feature = "wdk")]
extern crate wdk_panic;

/// Nothing is meant to panic; what does would go on with broken invariants, so the system stops.
#[cfg(not(feature = "wdk"))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    nt::bug_check()
}
