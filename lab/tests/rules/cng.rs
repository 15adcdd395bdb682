//! Rules of CNG, broken by `drivers/faulty-wdm`. What the numbers do is in its `faults/cng.rs`.

use crate::harness::At::{Request, Unload};
use crate::harness::Image::FaultyWdm;
use crate::harness::{Case, case};

pub const CASES: &[Case] = &[
    case("cng.bad-chain", FaultyWdm, 700, Request),
    case("cng.bad-handle", FaultyWdm, 701, Request),
    case("cng.bad-info", FaultyWdm, 702, Request),
    case("cng.destroyed-in-use", FaultyWdm, 703, Request).says(&["made by BCryptGenerateSymmetricKey from driver+0x"]),
    case("cng.dispatch-without-flag", FaultyWdm, 704, Request),
    case("cng.key-object-overwritten", FaultyWdm, 705, Request).says(&["allocated by ExAllocatePool2 from driver+0x"]),
    case("cng.key-outlives-provider", FaultyWdm, 706, Request),
    case("cng.leak", FaultyWdm, 707, Unload).says(&["made by BCryptOpenAlgorithmProvider from driver+0x"]),
    case("cng.not-implemented", FaultyWdm, 708, Request),
    case("cng.partial-overlap", FaultyWdm, 709, Request),
];
