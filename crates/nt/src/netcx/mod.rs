//! NetAdapterCx: the adapter, its queues, and safe views of their rings.

mod adapter;
mod configuration;
mod notify;
mod queue;
mod ring;

pub use adapter::{Adapter, Limits};
pub use configuration::keyword;
pub use notify::{Notifier, RxNotifier, TxNotifier};
pub use queue::AdapterEvents;
pub use ring::{RxRing, TxFlow, TxPacket, TxRing};
