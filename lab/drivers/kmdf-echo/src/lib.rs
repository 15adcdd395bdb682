//! A small KMDF driver: the lab's KMDF emulation is tested with it.
//!
//! `\??\kmdf-echo`: IOCTL 0x222000 echoes its input; a write wakes a parked read with its bytes; IOCTL 0x222004 tries
//! timers, DPCs, work items and locks and answers with what came of them; IOCTL 0x222008 parks in a cancelable state;
//! IOCTL 0x22200C breaks the rule whose number it is given.
#![no_std]

mod wdf;

use core::ffi::c_void;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use wdf::{
    Attributes, BindInfo, ContextType, GLOBALS, Handle, NtStatus, UnicodeString, WdfVersionBind, WdfVersionUnbind,
};

const SUCCESS: NtStatus = 0;
const CANCELLED: NtStatus = 0xC000_0120_u32 as i32;
const INVALID_DEVICE_REQUEST: NtStatus = 0xC000_0010_u32 as i32;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}

#[unsafe(no_mangle)]
static _fltused: i32 = 0;

static COMPONENT: [u16; 12] = {
    let s = b"KmdfLibrary\0";
    let mut w = [0u16; 12];
    let mut i = 0;
    while i < 12 {
        w[i] = s[i] as u16;
        i += 1;
    }
    w
};

static mut BIND: BindInfo = BindInfo {
    size: 48,
    component: COMPONENT.as_ptr(),
    version: [1, 15, 0],
    func_count: 444,
    func_table: &raw mut wdf::TABLE,
    module: core::ptr::null_mut(),
};
static mut PATH: UnicodeString = UnicodeString { length: 0, maximum: 0, buffer: core::ptr::null() };
static SAVED_UNLOAD: AtomicUsize = AtomicUsize::new(0);

/// What a device's context holds.
#[repr(C)]
struct Device {
    reads: Handle,
    timer: Handle,
    dpc: Handle,
    work: Handle,
    spin: Handle,
    wait: Handle,
    timer_ran: AtomicU32,
    dpc_ran: AtomicU32,
    work_ran: AtomicU32,
}

static DEVICE_TYPE: ContextType = ContextType {
    size: 40,
    name: c"DEVICE".as_ptr().cast(),
    context_size: size_of::<Device>(),
    unique: &raw const DEVICE_TYPE,
    get_unique: 0,
};

fn device(of: Handle) -> &'static mut Device {
    let p = wdf!(202: fn(Handle, *const ContextType) -> *mut Device; of, &raw const DEVICE_TYPE);
    // SAFETY: the framework's context space of the device, of this type; fields that callbacks share are atomic.
    unsafe { &mut *p }
}

/// # Safety
/// The loader calls it with a driver object and the service's registry path.
#[unsafe(no_mangle)]
pub unsafe extern "system" fn FxDriverEntry(driver: *mut c_void, path: *const UnicodeString) -> NtStatus {
    let mut g = core::ptr::null_mut();
    // SAFETY: the order of nt-abi.md section 1; DRIVER_OBJECT.DriverUnload is at 104, DisplaceDriverUnload at 48.
    unsafe {
        PATH = *path;
        let s = WdfVersionBind(driver, path, &raw mut BIND, &raw mut g);
        if s < 0 {
            return s;
        }
        GLOBALS.store(g, Ordering::Relaxed);
        let s = driver_entry(driver, path);
        if s < 0 {
            WdfVersionUnbind(&raw const PATH, &raw mut BIND, g);
            return s;
        }
        if g.cast::<u8>().add(48).read() != 0 {
            let place = driver.cast::<u8>().add(104).cast::<usize>();
            SAVED_UNLOAD.store(place.read(), Ordering::Relaxed);
            place.write(unload as *const () as usize);
        }
    }
    SUCCESS
}

unsafe extern "system" fn unload(driver: *mut c_void) {
    let saved = SAVED_UNLOAD.load(Ordering::Relaxed);
    // SAFETY: the framework's DriverUnload, then the unbind.
    unsafe {
        if saved != 0 {
            core::mem::transmute::<usize, unsafe extern "system" fn(*mut c_void)>(saved)(driver);
        }
        WdfVersionUnbind(&raw const PATH, &raw mut BIND, wdf::globals());
    }
}

#[repr(C)]
struct DriverConfig(u32, usize, usize, u32, u32);

fn driver_entry(driver: *mut c_void, path: *const UnicodeString) -> NtStatus {
    let config = DriverConfig(32, device_add as *const () as usize, 0, 0, u32::from_le_bytes(*b"echo"));
    wdf!(116: fn(*mut c_void, *const UnicodeString, *const Attributes, *const DriverConfig, *mut Handle) -> NtStatus;
        driver, path, core::ptr::null(), &raw const config, core::ptr::null_mut())
}

#[repr(C)]
struct QueueConfig {
    size: u32,
    dispatch: u32,
    power: u32,
    zero: u8,
    default: u8,
    evt_default: usize,
    evt_read: usize,
    evt_write: usize,
    evt_control: usize,
    evt_internal: usize,
    evt_stop: usize,
    evt_resume: usize,
    evt_canceled: usize,
    presented: u32,
    driver: Handle,
}

#[repr(C)]
struct TimerConfig(u32, usize, u32, u8, u32, u32, u64);
#[repr(C)]
struct DeferredConfig(u32, usize, u8);
#[repr(C)]
struct FileConfig(u32, usize, usize, usize, u32, u32);

unsafe extern "system" fn device_add(_driver: Handle, init: Handle) -> NtStatus {
    let mut init = init;
    let name = UnicodeString::new(wide!("\\Device\\kmdf-echo"));
    let s = wdf!(67: fn(Handle, *const UnicodeString) -> NtStatus; init, &raw const name);
    if s < 0 {
        return s;
    }
    let files = FileConfig(40, file_create as *const () as usize, 0, 0, 2, 4);
    wdf!(71: fn(Handle, *const FileConfig, *const Attributes); init, &raw const files, core::ptr::null());
    let mut a = Attributes::new(0);
    a.context_type = &raw const DEVICE_TYPE;
    let mut dev = 0;
    let s = wdf!(75: fn(*mut Handle, *const Attributes, *mut Handle) -> NtStatus; &raw mut init, &raw const a, &raw mut dev);
    if s < 0 {
        return s;
    }
    let d = device(dev);
    let q = QueueConfig {
        size: 96,
        dispatch: 2,
        power: 2,
        zero: 0,
        default: 1,
        evt_default: 0,
        evt_read: read as *const () as usize,
        evt_write: write as *const () as usize,
        evt_control: control as *const () as usize,
        evt_internal: 0,
        evt_stop: stop as *const () as usize,
        evt_resume: 0,
        evt_canceled: 0,
        presented: u32::MAX,
        driver: 0,
    };
    let manual = QueueConfig {
        dispatch: 3,
        default: 0,
        power: 0,
        evt_read: 0,
        evt_write: 0,
        evt_control: 0,
        evt_stop: 0,
        presented: 0,
        ..q
    };
    let own = Attributes::new(dev);
    let timer = TimerConfig(40, timer_func as *const () as usize, 0, 0, 0, 0, 0);
    let dpc = DeferredConfig(24, dpc_func as *const () as usize, 0);
    let work = DeferredConfig(24, work_func as *const () as usize, 0);
    let link = UnicodeString::new(wide!("\\DosDevices\\kmdf-echo"));
    let own = &raw const own;
    let steps = [
        wdf!(152: fn(Handle, *const QueueConfig, *const Attributes, *mut Handle) -> NtStatus; dev, &raw const q, core::ptr::null(), core::ptr::null_mut()),
        wdf!(152: fn(Handle, *const QueueConfig, *const Attributes, *mut Handle) -> NtStatus; dev, &raw const manual, core::ptr::null(), &raw mut d.reads),
        wdf!(318: fn(*const TimerConfig, *const Attributes, *mut Handle) -> NtStatus; &raw const timer, own, &raw mut d.timer),
        wdf!(111: fn(*const DeferredConfig, *const Attributes, *mut Handle) -> NtStatus; &raw const dpc, own, &raw mut d.dpc),
        wdf!(379: fn(*const DeferredConfig, *const Attributes, *mut Handle) -> NtStatus; &raw const work, own, &raw mut d.work),
        wdf!(315: fn(*const Attributes, *mut Handle) -> NtStatus; own, &raw mut d.spin),
        wdf!(312: fn(*const Attributes, *mut Handle) -> NtStatus; own, &raw mut d.wait),
        wdf!(80: fn(Handle, *const UnicodeString) -> NtStatus; dev, &raw const link),
    ];
    steps.into_iter().find(|s| *s < 0).unwrap_or(SUCCESS)
}

unsafe extern "system" fn file_create(_device: Handle, request: Handle, _file: Handle) {
    complete(request, SUCCESS, 0);
}

fn complete(request: Handle, status: NtStatus, information: usize) {
    wdf!(265: fn(Handle, NtStatus, usize); request, status, information);
}

fn queue_device(queue: Handle) -> &'static mut Device {
    device(wdf!(157: fn(Handle) -> Handle; queue))
}

fn input(request: Handle) -> Result<&'static [u8], NtStatus> {
    let (mut p, mut n) = (core::ptr::null_mut::<u8>(), 0);
    let s = wdf!(269: fn(Handle, usize, *mut *mut u8, *mut usize) -> NtStatus; request, 1, &raw mut p, &raw mut n);
    // SAFETY: the request's buffer, until it is completed.
    if s < 0 { Err(s) } else { Ok(unsafe { core::slice::from_raw_parts(p, n) }) }
}

fn output(request: Handle, minimum: usize) -> Result<&'static mut [u8], NtStatus> {
    let (mut p, mut n) = (core::ptr::null_mut::<u8>(), 0);
    let s =
        wdf!(270: fn(Handle, usize, *mut *mut u8, *mut usize) -> NtStatus; request, minimum, &raw mut p, &raw mut n);
    // SAFETY: as above.
    if s < 0 { Err(s) } else { Ok(unsafe { core::slice::from_raw_parts_mut(p, n) }) }
}

unsafe extern "system" fn read(queue: Handle, request: Handle, _length: usize) {
    let d = queue_device(queue);
    let s = wdf!(281: fn(Handle, Handle) -> NtStatus; request, d.reads);
    if s < 0 {
        complete(request, s, 0);
    }
}

unsafe extern "system" fn write(queue: Handle, request: Handle, _length: usize) {
    let d = queue_device(queue);
    let bytes = match input(request) {
        Ok(b) => b,
        Err(s) => return complete(request, s, 0),
    };
    let mut reader = 0;
    if wdf!(158: fn(Handle, *mut Handle) -> NtStatus; d.reads, &raw mut reader) >= 0 {
        match output(reader, 1) {
            Ok(out) => {
                let n = bytes.len().min(out.len());
                for (to, from) in out.iter_mut().zip(bytes) {
                    *to = *from;
                }
                complete(reader, SUCCESS, n);
            }
            Err(s) => complete(reader, s, 0),
        }
    }
    complete(request, SUCCESS, bytes.len());
}

unsafe extern "system" fn stop(_queue: Handle, request: Handle, flags: u32) {
    // Cancelable ones end by their cancel routine at a purge; at sleep they are kept.
    if flags & 0x1000_0000 != 0 && flags & 2 != 0 {
        if wdf!(256: fn(Handle) -> NtStatus; request) == SUCCESS {
            complete(request, CANCELLED, 0);
        }
    } else {
        wdf!(284: fn(Handle, u8); request, 0);
    }
}

unsafe extern "system" fn on_cancel(request: Handle) {
    complete(request, CANCELLED, 0);
}

unsafe extern "system" fn control(queue: Handle, request: Handle, _out: usize, _in: usize, code: u32) {
    let dev = wdf!(157: fn(Handle) -> Handle; queue);
    match code {
        0x22_2000 => echo(request),
        0x22_2004 => selftest(dev, request),
        0x22_2008 => wdf!(255: fn(Handle, usize); request, on_cancel as *const () as usize),
        0x22_200C => violate(dev, request),
        _ => complete(request, INVALID_DEVICE_REQUEST, 0),
    }
}

fn echo(request: Handle) {
    let n = match input(request) {
        Ok(b) => b.len(),
        Err(s) => return complete(request, s, 0),
    };
    // Buffered: input and output are the same memory.
    match output(request, n) {
        Ok(_) => complete(request, SUCCESS, n),
        Err(s) => complete(request, s, 0),
    }
}

unsafe extern "system" fn timer_func(timer: Handle) {
    let dev = wdf!(321: fn(Handle) -> Handle; timer);
    device(dev).timer_ran.fetch_add(1, Ordering::SeqCst);
}

unsafe extern "system" fn dpc_func(dpc: Handle) {
    let dev = wdf!(114: fn(Handle) -> Handle; dpc);
    device(dev).dpc_ran.fetch_add(1, Ordering::SeqCst);
    wdf!(380: fn(Handle); device(dev).work);
}

unsafe extern "system" fn work_func(work: Handle) {
    let dev = wdf!(381: fn(Handle) -> Handle; work);
    let d = device(dev);
    d.work_ran.fetch_add(1, Ordering::SeqCst);
    wdf!(319: fn(Handle, i64) -> u8; d.timer, -10_000);
}

fn selftest(dev: Handle, request: Handle) {
    let d = device(dev);
    wdf!(316: fn(Handle); d.spin);
    wdf!(317: fn(Handle); d.spin);
    wdf!(313: fn(Handle, *const i64) -> NtStatus; d.wait, core::ptr::null());
    wdf!(314: fn(Handle); d.wait);
    let before = d.timer_ran.load(Ordering::SeqCst);
    wdf!(112: fn(Handle) -> u8; d.dpc);
    while d.timer_ran.load(Ordering::SeqCst) == before {
        wdf!(382: fn(Handle); d.work);
    }
    wdf!(320: fn(Handle, u8) -> u8; d.timer, 1);
    match output(request, 3) {
        Ok(o) => {
            for (to, from) in o.iter_mut().zip([&d.timer_ran, &d.dpc_ran, &d.work_ran]) {
                *to = from.load(Ordering::SeqCst) as u8;
            }
            complete(request, SUCCESS, 3);
        }
        Err(s) => complete(request, s, 0),
    }
}

fn violate(dev: Handle, request: Handle) {
    match input(request).ok().and_then(|b| b.first().copied()) {
        Some(1) => {
            complete(request, SUCCESS, 0);
            complete(request, SUCCESS, 0);
        }
        Some(2) => {
            wdf!(316: fn(Handle); dev);
        }
        Some(3) => {
            let d = device(dev);
            wdf!(316: fn(Handle); d.spin);
            wdf!(313: fn(Handle, *const i64) -> NtStatus; d.wait, core::ptr::null());
        }
        Some(4) => {
            wdf!(322: fn(Handle) -> NtStatus; dev);
        }
        _ => complete(request, INVALID_DEVICE_REQUEST, 0),
    }
}
