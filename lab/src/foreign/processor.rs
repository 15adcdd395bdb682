//! The processor control region (`KPCR`, with its `KPRCB` at 0x180) and CR8.

use crate::irql::{self, Kirql};
use crate::ke::{spin, thread};
use crate::report::{Rule, stop};

const CR8: Rule =
    Rule::new("irql.bad-cr8", "Intel SDM: MOV to CR8 with bits above 3 set is a general-protection fault");

/// What `KPCR.Self` of the first processor says. Nothing is mapped there: reads through it fault, and come here too.
const REGION: u64 = 0xFFFF_F8A0_0000_0000;
/// Between one processor's region and the next.
const STRIDE: u64 = 0x1_0000;
const PRCB: u64 = 0x180;

/// Offset in a processor's region, and the processor.
pub(super) fn offset(address: u64) -> Option<(usize, usize)> {
    let o = address.checked_sub(REGION)?;
    let cpu = usize::try_from(o / STRIDE).ok().filter(|&c| c < irql::PROCESSORS)?;
    Some((usize::try_from(o % STRIDE).ok()?, cpu))
}

/// `size` bytes at `offset`, where they are the beginning of a field that the lab keeps. The current thread is the caller's,
/// whichever processor's region it is read through.
pub(super) fn read(offset: usize, cpu: usize, size: usize) -> Option<u128> {
    let base = REGION + cpu as u64 * STRIDE;
    let (value, width) = match offset {
        // Self, CurrentPrcb.
        0x18 => (base, 8),
        0x20 => (base + PRCB, 8),
        // MajorVersion, MinorVersion.
        0x60 | 0x62 => (1, 2),
        // Prcb.LegacyNumber, and the zero byte behind it.
        0x184 => (cpu as u64, 2),
        // Prcb.CurrentThread.
        0x188 => (thread::current_object() as u64, 8),
        // Prcb.Number.
        0x1A4 => (cpu as u64, 4),
        _ => return None,
    };
    (size != 0 && size <= width).then(|| u128::from(value) & ((1 << (size * 8)) - 1))
}

/// `mov cr8`: the IRQL becomes `level`, with the checks of `KeRaiseIrql` or `KeLowerIrql`.
pub(super) fn set_irql(level: u64) {
    let Some(new) = Kirql::try_from(level).ok().filter(|&l| l < 16) else { stop(CR8, &format!("{level:#x}")) };
    if new >= irql::current() {
        irql::raise(new);
    } else {
        spin::before_lower(new);
        irql::lower(new);
    }
}
