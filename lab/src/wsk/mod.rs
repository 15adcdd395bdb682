//! WSK (netio.sys): registration and datagram sockets over Linux's UDP sockets.
//!
//! Files: `registration` and `provider` (NPI), `socket` (life), `control` (options), `send`, `receive` with `nodes`
//! (indications), `irp` (IRPs and their completion), `buffer` (WSK_BUF), `address`. Stream sockets are not here yet: they
//! take a dispatch table and a file of their own beside `socket`.
//!
//! Threads: one receiver per socket with callbacks enabled, one sender per socket that has had to wait, a worker that
//! completes control calls late, a short-lived one per close.

mod abi;
mod address;
mod buffer;
mod control;
mod irp;
mod nodes;
mod provider;
mod receive;
mod registration;
mod send;
mod socket;
#[cfg(test)]
mod tests;

use crate::Export;
use crate::report::{Rule, record, stop};
use std::cell::Cell;
use std::sync::atomic::Ordering;

pub use irp::{Completion, set_completion};
pub use nodes::set_limit as set_retained_limit;
pub use receive::set_threads as set_receive_threads;

const BAD_PARAMETER: Rule = Rule::new("wsk.bad-parameter", "WDK: the call's page");
const NOT_IMPLEMENTED: Rule = Rule::new("wsk.not-implemented", "the lab");
const WAIT: Rule = Rule::new(
    "wsk.wait-in-callback",
    "WDK: WSK event callback functions must not wait (for WSK requests least of all)",
);

thread_local! {
    static IN_CALLBACK: Cell<bool> = const { Cell::new(false) };
}

fn not_implemented(what: &str) {
    record(NOT_IMPLEMENTED, what);
}

fn stop_not_implemented(what: &str) -> ! {
    stop(NOT_IMPLEMENTED, what)
}

fn in_callback<R>(f: impl FnOnce() -> R) -> R {
    let before = IN_CALLBACK.replace(true);
    let r = f();
    IN_CALLBACK.set(before);
    r
}

/// Called before anything that may block: records when this thread is in a WSK event callback.
pub fn check_wait() {
    if IN_CALLBACK.get() {
        record(WAIT, "a wait inside WskReceiveFromEvent");
    }
}

/// Records indication lists never released; called after the driver's unload. Sockets and registrations left over are
/// counted in `objects`.
pub fn check_leaks() {
    socket::check_leaks();
}

/// `name value` a line.
#[must_use]
pub fn counters() -> String {
    format!(
        "rx_datagrams {}\nrx_lists {}\ntx_datagrams {}\ntx_bytes {}\ntx_late {}\n",
        receive::DATAGRAMS.load(Ordering::Relaxed),
        receive::LISTS.load(Ordering::Relaxed),
        send::DATAGRAMS.load(Ordering::Relaxed),
        send::BYTES.load(Ordering::Relaxed),
        send::LATE.load(Ordering::Relaxed),
    )
}

/// What this family exports.
#[must_use]
pub fn exports() -> Vec<Export> {
    vec![
        export!("netio.sys", "WskRegister", registration::register),
        export!("netio.sys", "WskDeregister", registration::deregister),
        export!("netio.sys", "WskCaptureProviderNPI", registration::capture),
        export!("netio.sys", "WskReleaseProviderNPI", registration::release),
        export!("netio.sys", "WskQueryProviderCharacteristics", registration::characteristics),
    ]
}
