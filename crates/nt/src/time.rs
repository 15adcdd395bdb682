//! The clock and the processor.

use nt_sys::ntddk;

/// Milliseconds since boot, including time spent in sleep (biased interrupt time), so that a tunnel notices a resume. Any IRQL.
///
/// The coarser KeQueryInterruptTime would do, but on 64-bit Windows no image exports it: it is a read of the page that the kernel shares with
/// all, at an address that is not ours to know. The precise one also reads the performance counter: tens of nanoseconds, once per batch.
#[must_use]
pub fn now_ms() -> u64 {
    let mut qpc = 0u64;
    // SAFETY: the call writes one u64 through its pointer, which is a live local; it may be called at any IRQL.
    let hundred_ns = unsafe { ntddk::KeQueryInterruptTimePrecise(&raw mut qpc) };
    hundred_ns / 10_000
}

/// Index of the processor this runs on. Stable at DISPATCH_LEVEL; a hint below it. Any IRQL.
#[must_use]
pub fn processor() -> usize {
    // SAFETY: a NULL processor number is documented: only the index is returned.
    unsafe { ntddk::KeGetCurrentProcessorNumberEx(core::ptr::null_mut()) as usize }
}

/// Number of processors the machine may ever have. Any IRQL.
#[must_use]
pub fn max_processors() -> usize {
    const ALL_GROUPS: u16 = 0xffff;
    // SAFETY: takes a group number only.
    let n = unsafe { ntddk::KeQueryMaximumProcessorCountEx(ALL_GROUPS) };
    (n as usize).max(1)
}

/// Waits about one millisecond. PASSIVE_LEVEL.
pub fn pause() {
    let mut interval = nt_sys::LARGE_INTEGER { QuadPart: -10_000 };
    // SAFETY: the interval is a live local; KernelMode, not alertable; the caller is at PASSIVE_LEVEL as documented above.
    let _ = unsafe { ntddk::KeDelayExecutionThread(0, 0, &raw mut interval) };
}
