//! A WDM driver whose load fails wherever a call fails: a device, memory taken in several kinds of function, a link. All of it is given
//! back on the way out, unless the number in its section `.fault`, which the test writes into a copy of the image, is 1: then one
//! error path forgets a block.
#![no_std]

use core::ffi::c_void;
use core::hint::black_box;
use core::ptr::{null, null_mut};
use core::sync::atomic::{AtomicPtr, Ordering};

type Status = i32;
const NO_MEMORY: Status = 0xC000_0017u32 as i32;
const NON_PAGED: u64 = 0x40;
const TAG: u32 = u32::from_le_bytes(*b"Flpt");

/// UNICODE_STRING.
#[repr(C)]
struct Unicode {
    length: u16,
    maximum: u16,
    buffer: *const u16,
}

#[link(name = "ntoskrnl.exe", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "C" {
    fn ExAllocatePool2(flags: u64, size: usize, tag: u32) -> *mut c_void;
    fn ExFreePoolWithTag(p: *mut c_void, tag: u32);
    fn IoCreateDevice(
        driver: *mut u8,
        extension: u32,
        name: *const Unicode,
        kind: u32,
        characteristics: u32,
        exclusive: u8,
        out: *mut *mut c_void,
    ) -> Status;
    fn IoDeleteDevice(device: *mut c_void);
    fn IoCreateSymbolicLink(link: *const Unicode, target: *const Unicode) -> Status;
    fn IoDeleteSymbolicLink(link: *const Unicode) -> Status;
    fn KeBugCheckEx(code: u32, a: usize, b: usize, c: usize, d: usize) -> !;
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: takes any values.
    unsafe { KeBugCheckEx(0xE2, 0, 0, 0, 0) }
}

/// What the linker wants of code that knows floating point; core does.
#[unsafe(no_mangle)]
#[used]
pub static _fltused: i32 = 0;

/// Written by the test; read volatile, so that no compiler takes it for the 0 it is here.
#[unsafe(link_section = ".fault")]
#[used]
static FAULT: u32 = 0;

const fn wide<const N: usize>(s: &[u8; N]) -> [u16; N] {
    let mut w = [0; N];
    let mut i = 0;
    while i < N {
        w[i] = s[i] as u16;
        i += 1;
    }
    w
}

static NAME: [u16; 21] = wide(b"\\Device\\LabFaultPaths");
static LINK: [u16; 27] = wide(b"\\DosDevices\\lab-fault-paths");

fn unicode(s: &'static [u16]) -> Unicode {
    Unicode { length: (s.len() * 2) as u16, maximum: (s.len() * 2) as u16, buffer: s.as_ptr() }
}

fn take() -> *mut c_void {
    // SAFETY: takes any values.
    unsafe { ExAllocatePool2(NON_PAGED, 64, TAG) }
}

fn give(p: *mut c_void) {
    // SAFETY: from `take`, given back once.
    unsafe { ExFreePoolWithTag(p, TAG) };
}

/// `depth` frames of one function below each other, and the call in the last.
#[inline(never)]
fn deep(depth: u32) -> *mut c_void {
    let p = if depth > 1 { deep(black_box(depth - 1)) } else { take() };
    black_box(p)
}

#[repr(align(64))]
struct Aligned([u8; 192]);

/// A frame that is reached through a frame pointer, for its locals are aligned further than the stack is.
#[inline(never)]
fn aligned() -> *mut c_void {
    let mut local = Aligned([0; 192]);
    black_box(&mut local);
    let p = deep(2);
    black_box(&mut local.0);
    p
}

/// A frame too large for a small allocation's code.
#[inline(never)]
fn large() -> *mut c_void {
    let mut local = [0u8; 3000];
    black_box(&mut local);
    let p = take();
    black_box(&mut local);
    p
}

/// What the device has, in the order it is taken.
static BLOCKS: [AtomicPtr<c_void>; 3] = [const { AtomicPtr::new(null_mut()) }; 3];
static DEVICE: AtomicPtr<c_void> = AtomicPtr::new(null_mut());

fn give_all() {
    for block in &BLOCKS {
        let p = block.swap(null_mut(), Ordering::AcqRel);
        if !p.is_null() {
            give(p);
        }
    }
    let device = DEVICE.swap(null_mut(), Ordering::AcqRel);
    if !device.is_null() {
        // SAFETY: from IoCreateDevice, deleted once.
        unsafe { IoDeleteDevice(device) };
    }
}

#[inline(never)]
fn load(driver: *mut u8) -> Status {
    let mut device = null_mut();
    // SAFETY: the system's driver object, a constant name and a live local.
    let status = unsafe { IoCreateDevice(driver, 0, &unicode(&NAME), 0x22, 0x100, 0, &mut device) };
    if status < 0 {
        return status;
    }
    DEVICE.store(device, Ordering::Release);
    for (place, how) in BLOCKS.iter().zip([|| deep(3), aligned, large]) {
        let p = black_box(how)();
        if p.is_null() {
            return NO_MEMORY;
        }
        place.store(p, Ordering::Release);
    }
    // SAFETY: constant names.
    unsafe { IoCreateSymbolicLink(&unicode(&LINK), &unicode(&NAME)) }
}

/// # Safety
/// Called by the system with its driver object.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn DriverEntry(driver: *mut u8, _registry: *const c_void) -> Status {
    let status = load(driver);
    if status < 0 {
        // SAFETY: a static of this image.
        if status == NO_MEMORY && unsafe { (&raw const FAULT).read_volatile() } == 1 {
            BLOCKS[1].store(null_mut(), Ordering::Release);
        }
        give_all();
        return status;
    }
    // DriverUnload.
    // SAFETY: the offset is that of DRIVER_OBJECT on x64.
    unsafe { *driver.wrapping_add(104).cast() = unload as unsafe extern "C" fn(*mut u8) };
    status
}

unsafe extern "C" fn unload(_: *mut u8) {
    // SAFETY: a constant name, made by `load`.
    unsafe { IoDeleteSymbolicLink(&unicode(&LINK)) };
    give_all();
    black_box(null::<u8>());
}
