//! Rules of the kernel, broken by `drivers/faulty-wdm`.

use crate::harness::At::{Request, Unload};
use crate::harness::Image::FaultyWdm;
use crate::harness::{Case, case};

pub const CASES: &[Case] = &[
    case("pool.double-free", FaultyWdm, 1, Request)
        .says(&["allocated by ExAllocatePool2 from driver+0x", "freed by ExFreePoolWithTag from driver+0x"]),
    case("pool.leak", FaultyWdm, 2, Unload).says(&["allocated by ExAllocatePool2 from driver+0x"]),
    case("irp.bad-information", FaultyWdm, 3, Request),
];
