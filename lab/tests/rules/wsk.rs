//! Rules of Winsock Kernel, broken by `drivers/faulty-wsk`.

use crate::harness::Case;

pub const CASES: &[Case] = &[];
