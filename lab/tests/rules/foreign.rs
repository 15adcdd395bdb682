//! What a compiler inlines, broken by `drivers/c-driver`.

use crate::harness::At::Request;
use crate::harness::Image::CDriver;
use crate::harness::{Case, case};

pub const CASES: &[Case] = &[
    case("foreign.unsupported", CDriver, 1, Request).says(&["Shared(23c), 4 bytes", "caller: driver+0x"]),
    case("irql.bad-cr8", CDriver, 4, Request).says(&["mov cr8"]),
];
