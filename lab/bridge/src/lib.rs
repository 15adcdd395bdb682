//! The bridge: a driver that Wine loads, so that `openvpn.exe` finds the DCO device, and that forwards each request
//! to the lab, where the real driver runs (docs/lab-protocol.md; docs/wine.md says why).
//!
//! # Threads
//!
//! Wine calls every dispatch, cancel and unload routine of a driver from one thread. A synchronous request blocks that
//! thread until the lab has answered. What has been left pending is completed by the receiver thread, which never
//! waits for the dispatch thread; so a blocked dispatch delays, but cannot deadlock, the completions it waits for.
//!
//! # Locks
//!
//! Two, neither taken while the other is held: the link's state ([`link`]) and Wine's cancel spin lock (`sys::irp`).
//! IRPs are completed and bytes are sent with none of them held.
#![no_std]

extern crate alloc;

mod dispatch;
mod link;
mod sys;
mod wire;

use dispatch::Bridge;
use sys::driver::{Driver, Names};

/// Where the lab listens unless the service's `Parameters\Port` says otherwise.
const DEFAULT_PORT: u16 = 5780;

/// The devices that the real driver has, each with its symbolic link and the path that the lab knows it by.
static DEVICES: [Names; 2] = [
    Names { device: "\\Device\\ovpn-dco", link: "\\DosDevices\\ovpn-dco" },
    Names { device: "\\Device\\ovpn-dco-ver", link: "\\DosDevices\\ovpn-dco-ver" },
];

/// The lab's path of each of [`DEVICES`].
static LAB_PATHS: [&str; 2] = ["\\??\\ovpn-dco", "\\??\\ovpn-dco-ver"];

static BRIDGE: Bridge = Bridge::new(&LAB_PATHS);

/// Called once, in the dispatch thread, when the service starts. The lab is first contacted by the first open.
fn start(driver: &mut Driver) -> i32 {
    let port = driver.parameter("Port").map_or(Ok(DEFAULT_PORT), u16::try_from);
    let Ok(port) = port else {
        sys::log(format_args!("Parameters\\Port: expected a TCP port, got a larger number"));
        return sys::status::INVALID_PARAMETER;
    };
    BRIDGE.set_port(port);
    driver.create_devices(&DEVICES)
}
