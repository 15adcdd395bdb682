//! `KUSER_SHARED_DATA`, the page at 0xFFFFF78000000000. Each read is answered from the lab's clocks at that moment.

use crate::ke::time;
use crate::{irql, rtl};
use std::arch::is_x86_feature_detected;

/// `KI_USER_SHARED_DATA` of wdm.h for AMD64.
const BASE: u64 = 0xFFFF_F780_0000_0000;
const PAGE: u64 = 4096;

/// `TickCountMultiplier`: milliseconds of a tick (15.625) as a fixed-point number with 24 fraction bits.
const MULTIPLIER: u32 = 0x0FA0_0000;

/// Offset in the page.
pub(super) fn offset(address: u64) -> Option<usize> {
    address.checked_sub(BASE).filter(|&o| o < PAGE).and_then(|o| usize::try_from(o).ok())
}

/// A `KSYSTEM_TIME`: low part, high part, high part again.
fn system_time(units: i64) -> [u8; 12] {
    let mut b = [0; 12];
    let v = units.to_le_bytes();
    b.iter_mut().zip(v.iter().chain(v.iter().skip(4))).for_each(|(to, from)| *to = *from);
    b
}

/// `ProcessorFeatures`, by the indexes of winnt.h (`PF_...`), as the host's processor has them.
fn features() -> [u8; 64] {
    let has = [
        (2, is_x86_feature_detected!("cmpxchg16b")), // COMPARE_EXCHANGE_DOUBLE
        (3, is_x86_feature_detected!("mmx")),
        (6, is_x86_feature_detected!("sse")),
        (8, true), // RDTSC
        (9, true), // PAE
        (10, is_x86_feature_detected!("sse2")),
        (12, true), // NX
        (13, is_x86_feature_detected!("sse3")),
        (14, is_x86_feature_detected!("cmpxchg16b")), // COMPARE_EXCHANGE128
        (17, is_x86_feature_detected!("xsave")),
        (23, true), // FASTFAIL
        (28, is_x86_feature_detected!("rdrand")),
        (36, is_x86_feature_detected!("ssse3")),
        (37, is_x86_feature_detected!("sse4.1")),
        (38, is_x86_feature_detected!("sse4.2")),
        (39, is_x86_feature_detected!("avx")),
        (40, is_x86_feature_detected!("avx2")),
    ];
    let mut f = [0; 64];
    for (index, present) in has {
        if let Some(place) = f.get_mut(index) {
            *place = u8::from(present);
        }
    }
    f
}

/// `C:\Windows` in UTF-16, zero-filled.
fn root() -> [u8; 520] {
    let mut b = [0; 520];
    b.iter_mut().step_by(2).zip(br"C:\Windows").for_each(|(to, from)| *to = *from);
    b
}

/// `size` bytes at `offset`, where they lie in one field of those the lab keeps.
pub(super) fn read(offset: usize, size: usize) -> Option<u128> {
    let ticks = time::tick_count();
    let word = u32::to_le_bytes;
    let low = u32::try_from(ticks & 0xFFFF_FFFF).unwrap_or(0);
    // The page's layout: wdm.h and ntddk.h; drivers/c-driver compares with mingw's.
    let bytes = |at: usize, field: &[u8]| -> Option<u128> {
        let from = offset.checked_sub(at)?;
        let mut b = [0; 16];
        b.get_mut(..size)?.copy_from_slice(field.get(from..from.checked_add(size)?)?);
        Some(u128::from_le_bytes(b))
    };
    match offset {
        0x000..0x004 => bytes(0x000, &word(low)),
        0x004..0x008 => bytes(0x004, &word(MULTIPLIER)),
        0x008..0x014 => bytes(0x008, &system_time(time::interrupt_time())),
        0x014..0x020 => bytes(0x014, &system_time(time::system_time())),
        // TimeZoneBias: UTC.
        0x020..0x02C => bytes(0x020, &system_time(0)),
        // ImageNumberLow, ImageNumberHigh: IMAGE_FILE_MACHINE_AMD64.
        0x02C..0x030 => bytes(0x02C, &[0x64, 0x86, 0x64, 0x86]),
        0x030..0x238 => bytes(0x030, &root()),
        // LargePageMinimum.
        0x244..0x248 => bytes(0x244, &word(0x20_0000)),
        0x260..0x264 => bytes(0x260, &word(rtl::misc::BUILD)),
        // NtProductType: a workstation; ProductTypeIsValid; NativeProcessorArchitecture: AMD64.
        0x264..0x26C => bytes(0x264, &[1, 0, 0, 0, 1, 0, 9, 0]),
        0x26C..0x274 => bytes(0x26C, &[10, 0, 0, 0, 0, 0, 0, 0]),
        0x274..0x2B4 => bytes(0x274, &features()),
        // SuiteMask: VER_SUITE_SINGLEUSERTS.
        0x2D0..0x2D4 => bytes(0x2D0, &word(0x100)),
        // KdDebuggerEnabled, SafeBootMode.
        0x2D4 => bytes(0x2D4, &[0]),
        0x2EC => bytes(0x2EC, &[0]),
        0x300..0x308 => bytes(0x300, &time::FREQUENCY.to_le_bytes()),
        0x320..0x330 => {
            let mut t = [0; 16];
            t.iter_mut().zip(system_time(ticks)).for_each(|(to, from)| *to = from);
            bytes(0x320, &t)
        }
        // InterruptTimeBias.
        0x3B0..0x3B8 => bytes(0x3B0, &time::bias().to_le_bytes()),
        0x3C0..0x3C4 => bytes(0x3C0, &word(u32::try_from(irql::PROCESSORS).unwrap_or(1))),
        0x3C4..0x3C6 => bytes(0x3C4, &[1, 0]),
        _ => None,
    }
}
