//! WSK (netio.sys): registration, datagram and connection-oriented sockets over Linux's UDP and TCP sockets.
//!
//! Files: `registration` and `provider` (NPI), `socket` (life), `control` (options), `irp` (IRPs and their completion),
//! `pending` (calls that pend, their cancellation), `lent` (what they use meanwhile), `buffer` (WSK_BUF), `address`.
//! Listening sockets: `listen`. Datagrams: `datagram`, `send`, `receive` with `nodes` (indications). Connections: `stream`. `lease` says whose an
//! indication is. `net` and `line` are the network that `--net` describes.
//!
//! Threads: one receiver per socket with callbacks enabled or receives pending, one sender per socket that has had to
//! wait, a worker that completes control calls late, a short-lived one per close.

mod abi;
mod address;
mod buffer;
mod control;
mod datagram;
mod irp;
mod lease;
mod lent;
mod line;
mod listen;
mod net;
mod nodes;
mod pending;
mod provider;
mod receive;
mod registration;
mod send;
mod socket;
mod stream;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_stream;
mod wake;

use crate::Export;
use crate::report::{Rule, record, stop};
use std::cell::Cell;
use std::sync::atomic::Ordering;

pub use irp::{Completion, set_completion};
pub use lent::before_free;
pub use net::{set as set_net, set_segments};
pub use nodes::{set_limit as set_retained_limit, set_locked_only};
pub use receive::set_threads as set_receive_threads;

const BAD_PARAMETER: Rule = Rule::new("wsk.bad-parameter", "WDK: the call's page");
const NOT_IMPLEMENTED: Rule = Rule::new("wsk.not-implemented", "the lab");
const WAIT: Rule = Rule::new(
    "wsk.wait-in-callback",
    "WDK: PFN_WSK_RECEIVE_EVENT and its kin (no wait in WSK completion or event callback functions)",
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
        record(WAIT, "a wait inside an event callback or a completion routine of a WSK call");
    }
}

/// `name value` a line.
#[must_use]
pub fn counters() -> String {
    format!(
        "rx_datagrams {}\nrx_lists {}\ntx_datagrams {}\ntx_bytes {}\ntx_late {}\n\
         stream_received {}\nstream_receives {}\nstream_sends {}\nstream_sends_late {}\n\
         stream_accepted {}\nnet_dropped {}\nnet_reordered {}\n",
        receive::DATAGRAMS.load(Ordering::Relaxed),
        receive::LISTS.load(Ordering::Relaxed),
        send::DATAGRAMS.load(Ordering::Relaxed),
        send::BYTES.load(Ordering::Relaxed),
        send::LATE.load(Ordering::Relaxed),
        stream::RECEIVED.load(Ordering::Relaxed),
        stream::RECEIVES.load(Ordering::Relaxed),
        stream::SENDS.load(Ordering::Relaxed),
        stream::LATE.load(Ordering::Relaxed),
        listen::ACCEPTED.load(Ordering::Relaxed),
        line::DROPPED.load(Ordering::Relaxed),
        line::REORDERED.load(Ordering::Relaxed),
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
