//! The binding sequence, with the loader's side played by this file.
//!
//! One test, because the image has one set of bind structures, as a driver has.
#![cfg(not(feature = "wdk"))]
#![expect(unsafe_code, reason = "plays the loader, whose functions are C")]

use std::{
    cell::UnsafeCell,
    ffi::c_void,
    mem,
    ptr::{self, addr_of_mut, null_mut},
    sync::{
        Mutex,
        atomic::{AtomicI32, AtomicPtr, Ordering::SeqCst},
    },
};

use nt_sys::{
    DRIVER_OBJECT, NTSTATUS, PCUNICODE_STRING, PDRIVER_OBJECT, PUNICODE_STRING, STATUS_INSUFFICIENT_RESOURCES,
    STATUS_INVALID_IMAGE_FORMAT, STATUS_SUCCESS, STATUS_UNSUCCESSFUL, UNICODE_STRING, WDF_DRIVER_GLOBALS, WDFFUNC,
    bind::{self, WDF_BIND_INFO, WDF_CLASS_BIND_INFO},
    net::{NET_DRIVER_GLOBALS, NET_FUNCTION_COUNT, NETADAPTER},
    net_call, wdf_call,
};

/// What happened, in order.
static EVENTS: Mutex<Vec<String>> = Mutex::new(Vec::new());
static BIND_RESULT: AtomicI32 = AtomicI32::new(0);
static CLASS_RESULT: AtomicI32 = AtomicI32::new(0);
static ENTRY_RESULT: AtomicI32 = AtomicI32::new(0);
static LAST_GLOBALS: AtomicPtr<WDF_DRIVER_GLOBALS> = AtomicPtr::new(null_mut());

struct Shared<T>(UnsafeCell<T>);
// SAFETY: one test, one thread.
unsafe impl<T> Sync for Shared<T> {}

static GLOBALS: Shared<WDF_DRIVER_GLOBALS> = Shared(UnsafeCell::new(WDF_DRIVER_GLOBALS {
    Driver: null_mut(),
    DriverFlags: 0,
    DriverTag: 0,
    DriverName: [0; 32],
    DisplaceDriverUnload: 0,
}));
static NET_GLOBALS: Shared<NET_DRIVER_GLOBALS> = Shared(UnsafeCell::new(NET_DRIVER_GLOBALS { Unused: 7 }));
static TABLE: Shared<[WDFFUNC; 444]> = Shared(UnsafeCell::new([None; 444]));

fn event(text: impl Into<String>) {
    EVENTS.lock().expect("events").push(text.into());
}

fn wide(text: *const u16) -> String {
    // SAFETY: the bind structures hold NUL-terminated strings.
    let units: Vec<u16> = (0..).map(|i| unsafe { *text.add(i) }).take_while(|unit| *unit != 0).collect();
    String::from_utf16(&units).expect("a name")
}

fn counted(text: PCUNICODE_STRING) -> String {
    // SAFETY: a valid counted string.
    let text = unsafe { &*text };
    // SAFETY: as above; Length is in bytes.
    let units = unsafe { std::slice::from_raw_parts(text.Buffer, usize::from(text.Length / 2)) };
    String::from_utf16(units).expect("a path")
}

// SAFETY: no other symbol of the test has this name.
#[unsafe(no_mangle)]
unsafe extern "C" fn WdfVersionBind(
    _driver: PDRIVER_OBJECT,
    path: PUNICODE_STRING,
    info: *mut WDF_BIND_INFO,
    globals: *mut *mut WDF_DRIVER_GLOBALS,
) -> NTSTATUS {
    // SAFETY: the driver's structures live as long as the image.
    unsafe {
        let info = &*info;
        event(format!(
            "bind {} {}.{}.{} {} functions, {} bytes, path {}",
            wide(info.Component),
            info.Version.Major,
            info.Version.Minor,
            info.Version.Build,
            info.FuncCount,
            info.Size,
            counted(path)
        ));
        assert!(info.Module.is_null());
        *info.FuncTable = TABLE.0.get().cast();
        *globals = GLOBALS.0.get();
    }
    BIND_RESULT.load(SeqCst)
}

// SAFETY: as above.
#[unsafe(no_mangle)]
unsafe extern "C" fn WdfVersionUnbind(
    path: PUNICODE_STRING,
    _info: *mut WDF_BIND_INFO,
    globals: *mut WDF_DRIVER_GLOBALS,
) -> NTSTATUS {
    assert_eq!(globals, GLOBALS.0.get());
    event(format!("unbind {}", counted(path)));
    STATUS_SUCCESS
}

// SAFETY: as above.
#[unsafe(no_mangle)]
unsafe extern "C" fn WdfVersionBindClass(
    _info: *mut WDF_BIND_INFO,
    globals: *mut WDF_DRIVER_GLOBALS,
    class: *mut WDF_CLASS_BIND_INFO,
) -> NTSTATUS {
    LAST_GLOBALS.store(globals, SeqCst);
    // SAFETY: the driver's structures live as long as the image and may be written.
    unsafe {
        let class = &mut *class;
        event(format!(
            "bind class {} {}.{}.{} {} functions, {} bytes",
            wide(class.ClassName),
            class.Version.Major,
            class.Version.Minor,
            class.Version.Build,
            class.FunctionTableCount,
            class.Size
        ));
        for index in 0..NET_FUNCTION_COUNT {
            // SAFETY: every function of the table is called through its own type; the test calls one.
            let function = mem::transmute::<*const c_void, WDFFUNC>(adapter_stop as *const c_void);
            class.FunctionTable.add(index).write(function);
        }
        class.ClassBindInfo.cast::<*mut NET_DRIVER_GLOBALS>().write(NET_GLOBALS.0.get());
        class.ClassModule = ptr::dangling_mut();
    }
    CLASS_RESULT.load(SeqCst)
}

// SAFETY: as above.
#[unsafe(no_mangle)]
unsafe extern "C" fn WdfVersionUnbindClass(
    _info: *mut WDF_BIND_INFO,
    globals: *mut WDF_DRIVER_GLOBALS,
    class: *mut WDF_CLASS_BIND_INFO,
) {
    assert_eq!(globals, GLOBALS.0.get());
    // SAFETY: valid, as above.
    event(format!("unbind class {}", wide(unsafe { (*class).ClassName })));
}

unsafe extern "C" fn adapter_stop(globals: *mut NET_DRIVER_GLOBALS, adapter: NETADAPTER) {
    assert_eq!(globals, NET_GLOBALS.0.get());
    event(format!("adapter stop {}", adapter as usize));
}

unsafe extern "C" fn verifier_break(globals: *mut WDF_DRIVER_GLOBALS) {
    assert_eq!(globals, GLOBALS.0.get());
    event("break point");
}

unsafe extern "C" fn framework_unload(_driver: *mut DRIVER_OBJECT) {
    event("framework unload");
}

unsafe extern "system" fn driver_entry(driver: PDRIVER_OBJECT, path: PCUNICODE_STRING) -> NTSTATUS {
    if driver.is_null() {
        event("entry without a driver object");
        return STATUS_SUCCESS;
    }
    // SAFETY: both tables are filled.
    unsafe {
        wdf_call!(WdfVerifierDbgBreakPoint);
        net_call!(NetAdapterStop, 5 as NETADAPTER);
        (*driver).DriverUnload = Some(framework_unload);
    }
    event(format!("entry {}", counted(path)));
    ENTRY_RESULT.load(SeqCst)
}

/// Enters the image and returns the status with what happened.
fn enter(driver: PDRIVER_OBJECT, path: &str) -> (NTSTATUS, Vec<String>) {
    let mut buffer: Vec<u16> = path.encode_utf16().collect();
    let mut text = UNICODE_STRING {
        Length: (buffer.len() * 2) as u16,
        MaximumLength: (buffer.len() * 2) as u16,
        Buffer: buffer.as_mut_ptr(),
    };
    // SAFETY: as the loader would.
    let status = unsafe { bind::enter(driver, &raw mut text, driver_entry) };
    // The loader's path dies with the call.
    buffer.fill(u16::from(b'X'));
    (status, events())
}

fn events() -> Vec<String> {
    mem::take(&mut EVENTS.lock().expect("events"))
}

const BIND: &str = r"bind KmdfLibrary 1.15.0 444 functions, 48 bytes, path \Reg";
const CLASS: &str = "bind class NetAdapterCx 2.0.0 75 functions, 80 bytes";

#[test]
fn the_binding_sequence() {
    // SAFETY: nothing but integers and pointers.
    let mut object: DRIVER_OBJECT = unsafe { mem::zeroed() };
    let driver = addr_of_mut!(object);
    // SAFETY: single-threaded test; index of WdfVerifierDbgBreakPoint.
    unsafe {
        (*TABLE.0.get())[367] =
            Some(mem::transmute::<*const c_void, unsafe extern "C" fn()>(verifier_break as *const c_void));
    }

    assert_eq!(enter(null_mut(), r"\Reg"), (STATUS_SUCCESS, vec!["entry without a driver object".to_owned()]));

    BIND_RESULT.store(STATUS_INVALID_IMAGE_FORMAT, SeqCst);
    assert_eq!(enter(driver, r"\Reg"), (STATUS_INVALID_IMAGE_FORMAT, vec![BIND.to_owned()]));
    BIND_RESULT.store(0, SeqCst);

    CLASS_RESULT.store(STATUS_UNSUCCESSFUL, SeqCst);
    let (status, seen) = enter(driver, r"\Reg");
    assert_eq!((status, seen.as_slice()), (STATUS_UNSUCCESSFUL, &[BIND, CLASS, r"unbind \Reg"].map(str::to_owned)[..]));
    CLASS_RESULT.store(0, SeqCst);

    let entered = [BIND, CLASS, "break point", "adapter stop 5", r"entry \Reg"];
    ENTRY_RESULT.store(STATUS_INSUFFICIENT_RESOURCES, SeqCst);
    let (status, seen) = enter(driver, r"\Reg");
    assert_eq!(status, STATUS_INSUFFICIENT_RESOURCES);
    assert_eq!(seen, [&entered[..], &["unbind class NetAdapterCx", r"unbind \Reg"]].concat());
    ENTRY_RESULT.store(0, SeqCst);

    // The framework does not ask for it: its own unload routine stays.
    assert_eq!(enter(driver, r"\Reg").1, entered);
    assert!(
        object.DriverUnload.is_some_and(|unload| ptr::fn_addr_eq(unload, framework_unload as unsafe extern "C" fn(_)))
    );

    // SAFETY: single-threaded test.
    unsafe { (*GLOBALS.0.get()).DisplaceDriverUnload = 1 };
    assert_eq!(enter(driver, r"\Reg").1, entered);
    let unload = object.DriverUnload.expect("an unload routine");
    // SAFETY: as the I/O manager would.
    unsafe { unload(driver) };
    assert_eq!(events(), ["framework unload", "unbind class NetAdapterCx", r"unbind \Reg"]);
    assert_eq!(LAST_GLOBALS.load(SeqCst), GLOBALS.0.get());

    // A path that does not fit is cut, never overrun.
    let long = "y".repeat(400);
    let seen = enter(driver, &long).1;
    assert!(seen[0].ends_with(&format!("path {}", "y".repeat(0x208 / 2))), "{seen:?}");
}
