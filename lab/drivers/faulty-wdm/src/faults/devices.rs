//! Devices, their names, plug and play, references and handles.

use super::block;
use crate::nt::*;
use crate::{DEVICE, fault, unicode, wide};
use core::ptr::{null, null_mut};
use core::sync::atomic::{AtomicPtr, Ordering};

/// Faults of the driver's own routines, which look for these numbers.
pub const LINK_LEFT: u32 = 503;
pub const NOT_ATTACHED: u32 = 511;
pub const NOT_DETACHED: u32 = 512;
pub const REMOVE_FAILED: u32 = 513;
pub const STILL_INITIALIZING: u32 = 514;

static DRIVER: AtomicPtr<u8> = AtomicPtr::new(null_mut());
static NOWHERE: [u16; 20] = wide(b"\\DosDevices\\nothing\0");

pub unsafe fn load(driver: Driver) {
    unsafe {
        DRIVER.store(driver.0, Ordering::Release);
        if fault() == 510 {
            *driver.0.wrapping_add(DRIVER_UNLOAD).cast::<usize>() = 0;
        }
    }
}

unsafe fn device() -> Device {
    unsafe {
        let mut device = Device(null_mut());
        IoCreateDevice(Driver(DRIVER.load(Ordering::Acquire)), 0, null(), 0x22, 0x100, 0, &mut device);
        device
    }
}

pub unsafe fn request() {
    unsafe {
        match fault() {
            500 => {
                let (lower, upper) = (device(), device());
                IoAttachDeviceToDeviceStack(upper, lower);
                IoDeleteDevice(lower);
            }
            501 => IoDeleteDevice(Device(DEVICE.load(Ordering::Acquire))),
            502 => IoDeleteDevice(Device(block(512))),
            504 => {
                let mut name = unicode(&NOWHERE);
                name.length -= 2;
                IoDeleteSymbolicLink(&name);
            }
            505 => {
                ObfDereferenceObject(block(512));
            }
            507 => {
                ZwClose(block(64));
            }
            _ => {}
        }
    }
}
