//! Options of the process that a module reads for itself, by name without dashes: `options::get("tun")`.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

static OPTIONS: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());

/// Sets an option; `main` does so before the driver is loaded.
pub fn set(name: &str, value: &str) {
    OPTIONS.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), value.to_owned());
}

/// An option's value, where it was given.
#[must_use]
pub fn get(name: &str) -> Option<String> {
    OPTIONS.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
}
