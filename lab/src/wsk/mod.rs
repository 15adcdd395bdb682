//! WSK (netio.sys).

use crate::Export;

/// What this family exports.
#[must_use]
pub fn exports() -> Vec<Export> {
    Vec::new()
}
