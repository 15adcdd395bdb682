//! The executive: pool calls, fast mutexes, rundown protection, lookaside and interlocked lists, work items.

pub mod list;
pub mod mutex;
pub mod pools;
pub mod rundown;
pub mod work;

use crate::Export;

/// What this family exports.
#[must_use]
pub fn exports() -> Vec<Export> {
    let mut v = pools::exports();
    v.extend(mutex::exports());
    v.extend(rundown::exports());
    v.extend(list::exports());
    v.extend(work::exports());
    v
}
