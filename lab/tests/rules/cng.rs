//! Rules of CNG, broken by `drivers/faulty-wdm`.

use crate::harness::Case;

pub const CASES: &[Case] = &[];
