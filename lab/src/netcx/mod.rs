//! NetAdapterCx 2.0 to 2.5: a class extension of KMDF, over a TUN device.
//!
//! Files: `bind` and `table` (the function table), `device` (NetDeviceInitConfig, power), `adapter` (NETADAPTER, data path),
//! `offload`, `configuration`, `queue` (NETPACKETQUEUE, its thread), `ring`, `tx`, `rx`, `tun`, `abi`.
//!
//! Each queue has one thread, which makes all its callbacks: Start, then Advance and SetNotificationEnabled, then Cancel,
//! then Stop. A ring's indices are checked when a callback has returned, before the lab believes them.

mod abi;
mod adapter;
mod bind;
mod configuration;
mod device;
mod offload;
mod queue;
mod ring;
mod rx;
mod table;
#[cfg(test)]
mod tests;
mod tun;
mod tx;

use crate::report::Rule;
use crate::wdf::object::lock;
use crate::{Export, options};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Mutex, Once};

pub use configuration::set as set_configuration;
pub use tun::hand_over;

const NOT_IMPLEMENTED: Rule =
    Rule::new("netcx.not-implemented", "the lab (docs/lab.md): what it does not implement stops it by name");

/// At which IRQL EvtPacketQueueAdvance, Cancel and SetNotificationEnabled are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advance {
    /// PASSIVE_LEVEL.
    Passive,
    /// DISPATCH_LEVEL.
    Dispatch,
    /// In turn, as Verifier does.
    Alternate,
}

/// How the extension runs; set before the driver is loaded.
#[derive(Debug, Clone)]
pub struct Config {
    /// Name of the TUN device; a new `dco%d` without one.
    pub tun: Option<String>,
    /// Tx packets are split into up to so many fragments (as far as the driver's MaximumNumberOfFragments allows).
    pub tx_fragments: usize,
    /// IRQL of the data path's callbacks.
    pub advance: Advance,
    /// Elements of the packet rings.
    pub ring: u32,
}

static CONFIG: Mutex<Config> =
    Mutex::new(Config { tun: None, tx_fragments: 1, advance: Advance::Alternate, ring: 256 });

/// `Config::advance`, read for each callback.
static ADVANCE: AtomicU8 = AtomicU8::new(Advance::Alternate as u8);

/// Sets how the extension runs.
pub fn configure(config: Config) {
    ADVANCE.store(config.advance as u8, Ordering::SeqCst);
    *lock(&CONFIG) = config;
}

/// Takes the options `tun`, `tx-fragments`, `advance` and `ring`, where they were given.
fn configure_by_options() {
    let mut c = settings();
    if let Some(name) = options::get("tun") {
        c.tun = Some(name);
    }
    if let Some(n) = options::get("tx-fragments").and_then(|v| v.parse().ok()) {
        c.tx_fragments = n;
    }
    if let Some(n) = options::get("ring").and_then(|v| v.parse().ok()) {
        c.ring = n;
    }
    match options::get("advance").as_deref() {
        Some("passive") => c.advance = Advance::Passive,
        Some("dispatch") => c.advance = Advance::Dispatch,
        Some("alternate") => c.advance = Advance::Alternate,
        Some(other) => eprintln!("dco-lab: --advance {other:?} is not passive, dispatch or alternate"),
        None => {}
    }
    configure(c);
}

fn advance_at() -> Advance {
    match ADVANCE.load(Ordering::Relaxed) {
        0 => Advance::Passive,
        1 => Advance::Dispatch,
        _ => Advance::Alternate,
    }
}

fn settings() -> Config {
    lock(&CONFIG).clone()
}

/// Records what the driver has left of the extension's; after unload.
pub fn check_leaks() {
    adapter::check_leaks();
}

/// Counters, `name value` a line: the answer to `QUERY netcx`.
#[must_use]
pub fn counters() -> String {
    let n = |c: &AtomicU64| c.load(Ordering::Relaxed);
    format!(
        "tx_packets {}\ntx_bytes {}\ntx_ignored {}\nrx_packets {}\nrx_bytes {}\nrx_ignored {}\nrx_tun_drops {}\nadvances {}\narmed_sleeps {}\nspurious_notifications {}\n{}",
        n(&tx::PACKETS),
        n(&tx::BYTES),
        n(&tx::IGNORED),
        n(&rx::PACKETS),
        n(&rx::BYTES),
        n(&rx::IGNORED),
        n(&rx::DROPS),
        n(&queue::ADVANCES),
        n(&queue::SLEEPS),
        n(&queue::SPURIOUS),
        crate::wsk::counters().lines().map(|l| format!("wsk_{l}\n")).collect::<String>(),
    )
}

/// What this family exports: nothing by import; it makes itself known to WDF and to the server.
#[must_use]
pub fn exports() -> Vec<Export> {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        bind::register();
        crate::server::register_query("netcx", counters);
        crate::server::register_query("adapter", adapter::query);
    });
    Vec::new()
}
