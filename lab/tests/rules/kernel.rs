//! Rules of the kernel, broken by `drivers/faulty-wdm`.

use crate::harness::At::{Request, Unload};
use crate::harness::Image::FaultyWdm;
use crate::harness::{Case, case};

pub const CASES: &[Case] = &[
    case("pool.double-free", FaultyWdm, 1, Request),
    case("pool.leak", FaultyWdm, 2, Unload),
    case("irp.bad-information", FaultyWdm, 3, Request),
];
