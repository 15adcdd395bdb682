//! KMDF.
//!
//! For the other parts of the lab:
//! * [`object`]: create an object of any type ([`object::create`] with a [`object::Kind`] static and a [`object::Body`]),
//!   judge handles ([`object::expect`]), delete ([`object::delete`]); [`attributes::read`] takes a driver's
//!   WDF_OBJECT_ATTRIBUTES; [`context::find`] finds a typed context.
//! * [`class`]: a class extension registers with [`class::register`].
//! * [`hooks`], [`init::claim`], [`device::add_hooks`]: what a class extension sees of a device's life.
//! * [`pnp::power_down`], [`pnp::power_up`]: sleep and wake, for `crate::pnp`.

pub mod abi;
pub mod attributes;
pub mod class;
pub mod context;
pub mod hooks;
pub mod object;
pub mod table_names;
mod worker;

use crate::Export;

/// A thread that runs driver code.
fn thread(name: &str, f: impl FnOnce() + Send + 'static) {
    crate::ke::spawn_or_abort(name, f);
}

/// What this family exports.
#[must_use]
pub fn exports() -> Vec<Export> {
    Vec::new()
}
