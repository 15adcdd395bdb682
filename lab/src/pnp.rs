//! Plug and play: loads the driver, adds, starts, powers and removes its device, unloads it, and looks for what is left.
//!
//! All of this runs at PASSIVE_LEVEL on the thread that asks for it, one transition at a time.

use crate::io::{self, device, irp};
use crate::ke::Balance;
use crate::nt::{
    DEVICE_OBJECT, DRIVER_OBJECT, IO_PARAMETERS_POWER, IRP, NTSTATUS, OwnedUnicode, dev_flags, mj, mn, nt_success,
    status,
};
use crate::pe::{self, Loaded};
use crate::report::{InCall, Rule, collect, collected, forget_caller, record, record_about};
use crate::{cng, ex, netcx, objects, pool, wdf};
use std::cell::Cell;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const INITIALIZING: Rule = Rule::new("pnp.still-initializing", "WDK: AddDevice must clear DO_DEVICE_INITIALIZING");
const NOT_DETACHED: Rule =
    Rule::new("pnp.not-detached", "WDK: IRP_MN_REMOVE_DEVICE (detach from the stack and delete the device object)");
const NOT_ADDED: Rule =
    Rule::new("pnp.not-attached", "WDK: AddDevice must attach a device object to the stack, or fail");
const NO_UNLOAD: Rule = Rule::new("pnp.no-unload", "WDK: a PnP driver must have an Unload routine");
const REMOVE_FAILED: Rule =
    Rule::new("pnp.remove-failed", "WDK: IRP_MN_REMOVE_DEVICE and IRP_MN_SURPRISE_REMOVAL must succeed");

/// How long work that is about to return may take before it counts as left over at unload.
const SETTLE: Duration = Duration::from_secs(2);
const INSTANCE: &str = r"ROOT\NET\0000";
const SYSTEM_WORKING: i32 = 1;
const SYSTEM_SLEEPING3: i32 = 4;
const DEVICE_D0: i32 = 1;
const DEVICE_D3: i32 = 4;

#[derive(Debug)]
struct Machine {
    driver: usize,
    bus: usize,
    image: Option<Loaded>,
    path: String,
    surprised: bool,
}

static MACHINE: Mutex<Option<Machine>> = Mutex::new(None);
static PDO: AtomicPtr<DEVICE_OBJECT> = AtomicPtr::new(std::ptr::null_mut());
static STARTED: AtomicBool = AtomicBool::new(false);

thread_local! {
    static STARTING: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread runs the driver's entry point, AddDevice or the start of its device, for which the system waits: what else has to
/// start, the network among it, may come after.
#[must_use]
pub fn is_starting() -> bool {
    STARTING.get()
}

/// While it lives, [`is_starting`].
struct Starting;

impl Starting {
    fn begin() -> Self {
        STARTING.set(true);
        Self
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        STARTING.set(false);
    }
}

fn lock() -> MutexGuard<'static, Option<Machine>> {
    MACHINE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The device instance id of the lab's one device.
#[must_use]
pub fn instance_id() -> String {
    INSTANCE.to_owned()
}

/// `sha256 HEX`, `path PATH`, `base ADDRESS`, one a line: the answer to `QUERY driver`.
#[must_use]
pub fn driver_listing() -> String {
    match &*lock() {
        Some(Machine { image: Some(i), path, .. }) => format!("sha256 {}\npath {path}\nbase {:#x}\n", i.sha256, i.base),
        _ => "no driver\n".to_owned(),
    }
}

/// SHA-256 of the loaded driver's file.
#[must_use]
pub fn driver_hash() -> String {
    lock().as_ref().and_then(|m| m.image.as_ref()).map_or_else(String::new, |i| i.sha256.clone())
}

/// Whether the PnP manager lets this device's stack be opened: a PnP device must be started.
#[must_use]
pub fn accepts_opens(top: *mut DEVICE_OBJECT) -> bool {
    let mut d = PDO.load(Ordering::Acquire);
    while !d.is_null() {
        if d == top {
            return STARTED.load(Ordering::Acquire);
        }
        // SAFETY: the PDO and what is attached to it are live while PDO is set.
        d = unsafe { (*d).AttachedDevice };
    }
    true
}

/// The bus driver: completes what comes down to the physical device object.
unsafe extern "win64" fn bus_dispatch(_device: *mut DEVICE_OBJECT, i: *mut IRP) -> NTSTATUS {
    // SAFETY: the I/O manager passes an IRP that this location owns.
    unsafe {
        let s = &*irp::current_stack(i);
        let code = match (s.MajorFunction, s.MinorFunction) {
            (
                mj::PNP,
                mn::START_DEVICE
                | mn::QUERY_REMOVE_DEVICE
                | mn::REMOVE_DEVICE
                | mn::CANCEL_REMOVE_DEVICE
                | mn::SURPRISE_REMOVAL,
            )
            | (mj::PNP, mn::STOP_DEVICE | mn::QUERY_STOP_DEVICE | 6 | mn::QUERY_CAPABILITIES)
            | (mj::POWER, _) => status::SUCCESS,
            // What the bus does not know keeps its status.
            (mj::PNP, _) => (*i).IoStatus.Status,
            (mj::CREATE | mj::CLEANUP | mj::CLOSE, _) => status::SUCCESS,
            _ => status::INVALID_DEVICE_REQUEST,
        };
        irp::complete(i, code, (*i).IoStatus.Information);
        code
    }
}

/// Loads an image and calls its entry point.
///
/// # Errors
/// What is wrong with the image, or the status the entry point returned.
pub fn load(path: &Path) -> Result<(), String> {
    let image = pe::load(path).map_err(|e| e.to_string())?;
    let service = path.file_stem().map_or_else(|| "driver".to_owned(), |s| s.to_string_lossy().into_owned());
    let driver = device::create_driver(&format!(r"\Driver\{service}"), &service);
    let bus = device::create_driver(r"\Driver\LabBus", "LabBus");
    let registry = Box::leak(Box::new(OwnedUnicode::new(&format!(
        r"\Registry\Machine\System\CurrentControlSet\Services\{service}"
    ))));
    let mut registry = registry.unicode();
    // SAFETY: both driver objects are fresh; the entry point is the image's, called as Windows calls it.
    let code = unsafe {
        (*bus).MajorFunction = [Some(bus_dispatch); mj::COUNT];
        (*driver).DriverStart = image.base as *mut _;
        (*driver).DriverSize = u32::try_from(image.size).unwrap_or(0);
        (*driver).DriverInit = Some(image.entry);
        let _starting = Starting::begin();
        let _c = InCall::enter("(the driver's entry point)");
        let b = Balance::before("the driver's entry point");
        let code = (image.entry)(driver, &raw mut registry);
        b.after();
        let mut d = (*driver).DeviceObject;
        while !d.is_null() && nt_success(code) {
            // The I/O manager does this for devices made in DriverEntry.
            (*d).Flags &= !dev_flags::DEVICE_INITIALIZING;
            d = (*d).NextDevice;
        }
        code
    };
    image.discard();
    *lock() = Some(Machine {
        driver: driver as usize,
        bus: bus as usize,
        image: Some(image),
        path: path.display().to_string(),
        surprised: false,
    });
    if nt_success(code) {
        return Ok(());
    }
    settle();
    let left = check_leaks();
    Err(format!("the driver's entry point failed with {code:#010x}\n{left}"))
}

/// Sends a PnP or power IRP down the device's stack and waits for it.
///
/// # Safety
/// `pdo` is live.
unsafe fn send(pdo: *mut DEVICE_OBJECT, major: u8, minor: u8, power: Option<IO_PARAMETERS_POWER>) -> NTSTATUS {
    let (sender, receiver) = sync_channel(1);
    let done = Box::new(move |i: *mut IRP| {
        // SAFETY: the I/O manager hands the completed IRP over.
        let code = unsafe {
            let code = (*i).IoStatus.Status;
            irp::free_irp(i);
            code
        };
        // The receiver waits for as long as it takes.
        let _ = sender.send(code);
    });
    // SAFETY: the stack above the PDO is live; the IRP is fresh.
    unsafe {
        let top = device::attached_device(pdo);
        let i = irp::allocate_irp_with((*top).StackSize, done);
        (*i).IoStatus.Status = status::NOT_SUPPORTED;
        let s = irp::next_stack(i);
        (*s).MajorFunction = major;
        (*s).MinorFunction = minor;
        if let Some(p) = power {
            (*s).Parameters.Power = p;
        }
        irp::call_driver(top, i);
    }
    irp::await_status(&receiver, &format!("IRP_MJ {major}, minor {minor}"))
}

/// Adds and starts the device: AddDevice on a new PDO, then IRP_MN_START_DEVICE. A driver without AddDevice has made its
/// device itself, and has nothing to start.
///
/// # Errors
/// The status of the step that failed.
pub fn start() -> Result<(), NTSTATUS> {
    let guard = lock();
    let Some(m) = guard.as_ref() else { return Err(status::NO_SUCH_DEVICE) };
    if !PDO.load(Ordering::Acquire).is_null() {
        return Err(status::INVALID_DEVICE_STATE);
    }
    let _starting = Starting::begin();
    let (driver, bus) = (m.driver as *mut DRIVER_OBJECT, m.bus as *mut DRIVER_OBJECT);
    // SAFETY: both driver objects live as long as the process; the routines are the driver's, called as Windows calls them.
    unsafe {
        let Some(add) = (*(*driver).DriverExtension).AddDevice else {
            STARTED.store(true, Ordering::Release);
            return Ok(());
        };
        let pdo = device::create_device(bus, 0, Some(r"\Device\LabBus0"), 0x12, 0, false)?;
        (*pdo).Flags = (*pdo).Flags & !dev_flags::DEVICE_INITIALIZING | dev_flags::BUS_ENUMERATED_DEVICE;
        PDO.store(pdo, Ordering::Release);
        let code = {
            let _c = InCall::enter("(the driver's AddDevice)");
            let b = Balance::before("AddDevice");
            let code = add(driver, pdo);
            b.after();
            let top = device::attached_device(pdo);
            if nt_success(code) && top == pdo {
                record(NOT_ADDED, "AddDevice succeeded without a device");
            }
            if (*top).Flags & dev_flags::DEVICE_INITIALIZING != 0 {
                record_about(INITIALIZING, top.addr(), &format!("device {top:p}"));
            }
            code
        };
        if !nt_success(code) {
            drop_pdo(pdo);
            return Err(code);
        }
        let code = send(pdo, mj::PNP, mn::START_DEVICE, None);
        if !nt_success(code) {
            remove_now(pdo);
            return Err(code);
        }
    }
    STARTED.store(true, Ordering::Release);
    Ok(())
}

/// # Safety
/// `pdo` is live.
unsafe fn drop_pdo(pdo: *mut DEVICE_OBJECT) {
    // SAFETY: as our caller promises.
    unsafe {
        if !(*pdo).AttachedDevice.is_null() {
            record_about(
                NOT_DETACHED,
                (*pdo).AttachedDevice.addr(),
                &format!("{:p} is still attached to the PDO", (*pdo).AttachedDevice),
            );
            (*pdo).AttachedDevice = std::ptr::null_mut();
        }
        PDO.store(std::ptr::null_mut(), Ordering::Release);
        device::delete_device(pdo);
    }
}

/// # Safety
/// `pdo` is live.
unsafe fn remove_now(pdo: *mut DEVICE_OBJECT) {
    STARTED.store(false, Ordering::Release);
    // SAFETY: as our caller promises.
    unsafe {
        let code = send(pdo, mj::PNP, mn::REMOVE_DEVICE, None);
        if !nt_success(code) {
            record(REMOVE_FAILED, &format!("IRP_MN_REMOVE_DEVICE ended with {code:#010x}"));
        }
        drop_pdo(pdo);
    }
}

/// Disables the device: query-remove, then remove. Open files veto it with `DEVICE_BUSY`, as on Windows.
///
/// # Errors
/// The status of the step that failed.
pub fn disable() -> Result<(), NTSTATUS> {
    let guard = lock();
    let pdo = PDO.load(Ordering::Acquire);
    if guard.is_none() || pdo.is_null() {
        return Err(status::INVALID_DEVICE_STATE);
    }
    // SAFETY: the PDO is live while it is set, and the lock keeps other transitions away.
    unsafe {
        let code = send(pdo, mj::PNP, mn::QUERY_REMOVE_DEVICE, None);
        if !nt_success(code) || io::file::open_count() != 0 {
            send(pdo, mj::PNP, mn::CANCEL_REMOVE_DEVICE, None);
            return Err(if nt_success(code) { status::DEVICE_BUSY } else { code });
        }
        remove_now(pdo);
    }
    Ok(())
}

/// Enables a disabled device.
///
/// # Errors
/// The status of the step that failed.
pub fn enable() -> Result<(), NTSTATUS> {
    start()
}

/// The device is gone: IRP_MN_SURPRISE_REMOVAL now, IRP_MN_REMOVE_DEVICE when the last file is closed.
///
/// # Errors
/// When there is no started device.
pub fn surprise() -> Result<(), NTSTATUS> {
    {
        let mut guard = lock();
        let pdo = PDO.load(Ordering::Acquire);
        let Some(m) = guard.as_mut().filter(|_| !pdo.is_null()) else { return Err(status::INVALID_DEVICE_STATE) };
        STARTED.store(false, Ordering::Release);
        m.surprised = true;
        // SAFETY: the PDO is live while it is set, and the lock keeps other transitions away.
        let code = unsafe { send(pdo, mj::PNP, mn::SURPRISE_REMOVAL, None) };
        if !nt_success(code) {
            record(REMOVE_FAILED, &format!("IRP_MN_SURPRISE_REMOVAL ended with {code:#010x}"));
        }
    }
    after_close();
    Ok(())
}

/// A file was closed: the last one lets a device that is gone be removed.
pub fn after_close() {
    let mut guard = lock();
    let pdo = PDO.load(Ordering::Acquire);
    if let Some(m) = guard.as_mut().filter(|m| m.surprised && !pdo.is_null() && io::file::open_count() == 0) {
        m.surprised = false;
        // SAFETY: the PDO is live while it is set, and the lock keeps other transitions away.
        unsafe { remove_now(pdo) };
    }
}

/// The system goes to sleep (`down`) or wakes. A framework's device is told by the framework; a WDM one by IRP_MJ_POWER.
///
/// # Errors
/// The driver's status.
pub fn power(down: bool) -> Result<(), NTSTATUS> {
    let _guard = lock();
    let pdo = PDO.load(Ordering::Acquire);
    if pdo.is_null() || !STARTED.load(Ordering::Acquire) {
        return Err(status::INVALID_DEVICE_STATE);
    }
    // SAFETY: the PDO is live while it is set, and the lock keeps other transitions away.
    unsafe {
        let top = device::attached_device(pdo);
        let code = if down { wdf::pnp::power_down(top) } else { wdf::pnp::power_up(top) };
        if code != status::INVALID_DEVICE_STATE {
            return if nt_success(code) { Ok(()) } else { Err(code) };
        }
        let system = IO_PARAMETERS_POWER {
            SystemContext: 0,
            Pad: 0,
            Type: 0,
            Pad2: 0,
            State: if down { SYSTEM_SLEEPING3 } else { SYSTEM_WORKING },
            Pad3: 0,
            ShutdownType: 2,
        };
        let device = IO_PARAMETERS_POWER { Type: 1, State: if down { DEVICE_D3 } else { DEVICE_D0 }, ..system };
        for p in if down { [device, system] } else { [system, device] } {
            let code = send(pdo, mj::POWER, mn::SET_POWER, Some(p));
            if !nt_success(code) && code != status::NOT_SUPPORTED {
                return Err(code);
            }
        }
    }
    Ok(())
}

/// Removes the device if it is there, unloads the driver, and looks for what it left. All files must be closed. Returns the
/// number of violations since the lab began and a report of them.
#[must_use]
pub fn unload() -> (usize, String) {
    let mut guard = lock();
    let Some(m) = guard.take() else { return (collected().len(), "the driver is not loaded\n".to_owned()) };
    let pdo = PDO.load(Ordering::Acquire);
    if !pdo.is_null() {
        // SAFETY: the PDO is live while it is set, and the lock keeps other transitions away.
        unsafe {
            if !m.surprised {
                send(pdo, mj::PNP, mn::QUERY_REMOVE_DEVICE, None);
            }
            remove_now(pdo);
        }
    }
    let driver = m.driver as *mut DRIVER_OBJECT;
    // SAFETY: the driver object lives as long as the process; the routine is the driver's.
    unsafe {
        match (*driver).DriverUnload {
            Some(unload) => {
                let _c = InCall::enter("(the driver's Unload)");
                let b = Balance::before("DriverUnload");
                unload(driver);
                b.after();
            }
            None => record(NO_UNLOAD, "DriverObject->DriverUnload is null"),
        }
    }
    settle();
    let report = check_leaks();
    // What is left over may still run in the image; it has been reported.
    if let Some(i) = m.image.as_ref().filter(|_| collected().is_empty()) {
        i.unmap();
    }
    (collected().len(), report)
}

/// Lets what has signalled its end, but not yet returned, return.
fn settle() {
    let end = Instant::now() + SETTLE;
    while Instant::now() < end
        && (ex::work::pending() != 0 || crate::ke::thread::running() != 0 || crate::ke::dpc::busy())
    {
        crate::ke::sched::sleep(Duration::from_millis(1));
    }
}

fn check_leaks() -> String {
    let before = collected().len();
    let _c = InCall::enter("(the check after unload)");
    forget_caller();
    collect(true);
    crate::ke::dpc::check_left();
    pool::check_leaks();
    pool::check_quarantine();
    cng::check_leaks();
    netcx::check_leaks();
    io::names::check_leaks();
    objects::check_leaks();
    collect(false);
    let found = collected();
    match found.get(before..).unwrap_or(&[]) {
        [] => "clean: nothing left after unload\n".to_owned(),
        some => format!("{} violation(s) at unload\n{}", some.len(), some.concat()),
    }
}
