//! Plug and play.

/// The device instance id.
#[must_use]
pub fn instance_id() -> String { r"ROOT\NET\0000".to_owned() }
