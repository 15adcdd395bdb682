//! The run-time library: memory, strings, generic tables, versions and numbers, debug output, bug checks.

pub mod memory;
pub mod misc;
pub mod print;
pub mod strings;
pub mod table;

use crate::Export;

/// What this family exports.
#[must_use]
pub fn exports() -> Vec<Export> {
    let mut v = memory::exports();
    v.extend(strings::exports());
    v.extend(print::exports());
    v.extend(misc::exports());
    v.extend(table::exports());
    v
}
