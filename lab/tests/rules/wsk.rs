//! Rules of WSK, broken by `drivers/faulty-wsk`.

use crate::harness::At::{Load, Request};
use crate::harness::Image::FaultyWsk;
use crate::harness::{Case, case};

/// So that a completion routine runs within the call, at its IRQL.
const INLINE: &[&str] = &["--wsk-completion", "inline"];

pub const CASES: &[Case] = &[
    case("wsk.bad-parameter", FaultyWsk, 1, Request),
    case("wsk.not-implemented", FaultyWsk, 2, Request),
    case("wsk.wait-in-callback", FaultyWsk, 3, Request).with(INLINE),
    case("wsk.buf-bounds", FaultyWsk, 4, Request),
    case("wsk.mdl-not-locked", FaultyWsk, 5, Request),
    case("wsk.buffer-freed-before-completion", FaultyWsk, 6, Request).says(&["ExFreePoolWithTag", "WskReceiveFrom"]),
    case("wsk.buffer-freed-before-completion", FaultyWsk, 29, Request).says(&["IoFreeMdl", "WskReceiveFrom"]),
    case("wsk.buffer-changed-before-completion", FaultyWsk, 7, Request).with(INLINE).says(&["WskSend"]),
    case("wsk.events-too-early", FaultyWsk, 8, Request),
    case("wsk.static-disabled", FaultyWsk, 9, Request),
    case("wsk.bad-dispatch", FaultyWsk, 10, Request),
    case("wsk.irp-missing", FaultyWsk, 11, Request),
    case("wsk.bad-irp", FaultyWsk, 12, Request),
    case("wsk.no-completion-routine", FaultyWsk, 13, Request),
    case("wsk.irp-reused-while-pending", FaultyWsk, 14, Request),
    case("wsk.bad-callback-status", FaultyWsk, 15, Request),
    case("wsk.not-accepted-static", FaultyWsk, 16, Request),
    case("wsk.bytes-accepted", FaultyWsk, 17, Request),
    case("wsk.bad-registration", FaultyWsk, 18, Request),
    case("wsk.npi-not-captured", FaultyWsk, 19, Request),
    case("wsk.deregister-with-open-sockets", FaultyWsk, 20, Request),
    case("wsk.deregister-with-npi-captured", FaultyWsk, 21, Request),
    case("wsk.bad-client", FaultyWsk, 22, Request),
    case("wsk.bad-socket", FaultyWsk, 23, Request),
    case("wsk.close-with-call-in-progress", FaultyWsk, 24, Request).with(INLINE),
    case("wsk.release-missing", FaultyWsk, 25, Request),
    case("wsk.wrong-dispatch", FaultyWsk, 26, Request),
    case("wsk.indication-released-twice", FaultyWsk, 27, Request),
    case("wsk.bad-indication", FaultyWsk, 28, Request),
    case("wsk.accept-unbound", FaultyWsk, 31, Request),
    case("wsk.buffer-freed-before-completion", FaultyWsk, 32, Request).says(&["ExFreePoolWithTag", "WskAccept"]),
    case("wsk.deregister-with-open-sockets", FaultyWsk, 33, Request),
    case("wsk.wrong-dispatch", FaultyWsk, 34, Request),
    case("wsk.wait-at-start", FaultyWsk, 30, Load),
];
