//! Rules of the framework, broken by `drivers/faulty-kmdf`.

use crate::harness::Case;

pub const CASES: &[Case] = &[];
