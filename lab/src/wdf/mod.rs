//! KMDF.
//!
//! For the other parts of the lab:
//! * [`object`]: create an object of any type ([`object::create`] with a [`object::Kind`] static and a [`object::Body`]),
//!   judge handles ([`object::expect`]), delete ([`object::delete`]); [`attributes::read`] takes a driver's
//!   WDF_OBJECT_ATTRIBUTES; [`context::find`] finds a typed context.
//! * [`class`]: a class extension registers with [`class::register`].
//! * [`hooks`], [`init::claim`], [`device::add_hooks`]: what a class extension sees of a device's life.
//! * [`pnp::power_down`], [`pnp::power_up`]: sleep and wake, for `crate::pnp`.
//! * [`registry::set_from_option`]: values the driver finds in its Parameters key.

pub mod abi;
pub mod attributes;
pub mod bind;
pub mod buffers;
pub mod class;
pub mod context;
pub mod deferred;
pub mod device;
mod dispatch;
pub mod driver;
pub mod file;
pub mod hooks;
pub mod init;
pub mod interface;
pub mod irp;
pub mod lock;
pub mod memory;
pub mod object;
mod object_calls;
pub mod pnp;
pub mod queue;
mod queue_calls;
pub mod registry;
pub mod request;
mod request_calls;
pub mod resource;
mod serial;
pub mod string;
pub mod sync;
pub mod table;
pub mod table_names;
pub mod text;
pub mod timer;
mod worker;

#[cfg(test)]
mod tests;

use crate::Export;

/// Every function of the table that the lab has.
fn entries() -> Vec<table::Entry> {
    let mut v = driver::table_entries();
    v.extend(init::table_entries());
    v.extend(device::table_entries());
    v.extend(interface::table_entries());
    v.extend(file::table_entries());
    v.extend(object_calls::table_entries());
    v.extend(queue_calls::table_entries());
    v.extend(request_calls::table_entries());
    v.extend(buffers::table_entries());
    v.extend(memory::table_entries());
    v.extend(string::table_entries());
    v.extend(lock::table_entries());
    v.extend(timer::table_entries());
    v.extend(deferred::table_entries());
    v.extend(registry::table_entries());
    v.extend(resource::table_entries());
    v
}

/// Waits until the framework has nothing under way on its own threads.
pub fn quiesce() {
    worker::quiesce();
}

/// What this family exports.
#[must_use]
pub fn exports() -> Vec<Export> {
    bind::exports()
}
