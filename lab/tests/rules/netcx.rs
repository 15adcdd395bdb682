//! Rules of NetAdapterCx, broken by `drivers/faulty-kmdf`.

use crate::harness::Case;

pub const CASES: &[Case] = &[];
