//! The part of KMDF's interface that this driver uses: structures, and functions by table index (nt-abi.md sections 1 and 2).

use core::ffi::c_void;
use core::ptr::{null, null_mut};
use core::sync::atomic::{AtomicPtr, Ordering};

pub type Handle = usize;
pub type NtStatus = i32;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct UnicodeString {
    pub length: u16,
    pub maximum: u16,
    pub buffer: *const u16,
}

impl UnicodeString {
    pub const fn new(s: &'static [u16]) -> Self {
        let bytes = (s.len() * 2) as u16;
        Self { length: bytes, maximum: bytes, buffer: s.as_ptr() }
    }
}

/// UTF-16 of an ASCII literal at compile time.
#[macro_export]
macro_rules! wide {
    ($s:literal) => {{
        const N: usize = $s.len();
        const W: [u16; N] = {
            let mut w = [0u16; N];
            let mut i = 0;
            while i < N {
                w[i] = $s.as_bytes()[i] as u16;
                i += 1;
            }
            w
        };
        &W
    }};
}

#[repr(C)]
pub struct BindInfo {
    pub size: u32,
    pub component: *const u16,
    pub version: [u32; 3],
    pub func_count: u32,
    pub func_table: *mut *const usize,
    pub module: *mut c_void,
}

#[repr(C)]
pub struct ClassBindInfo {
    pub size: u32,
    pub name: *const u16,
    pub version: [u32; 3],
    pub table: *mut usize,
    pub count: u32,
    pub globals: *mut *mut c_void,
    pub rest: [usize; 3],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Attributes {
    pub size: u32,
    pub cleanup: usize,
    pub destroy: usize,
    pub execution: u32,
    pub scope: u32,
    pub parent: Handle,
    pub size_override: usize,
    pub context_type: *const ContextType,
}

/// WdfExecutionLevelPassive.
pub const PASSIVE: u32 = 2;
/// WdfSynchronizationScopeQueue.
pub const SCOPE_QUEUE: u32 = 3;

impl Attributes {
    pub const fn new(parent: Handle) -> Self {
        Self {
            size: 56,
            cleanup: 0,
            destroy: 0,
            execution: 1,
            scope: 1,
            parent,
            size_override: 0,
            context_type: null(),
        }
    }
}

#[repr(C)]
pub struct ContextType {
    pub size: u32,
    pub name: *const u8,
    pub context_size: usize,
    pub unique: *const ContextType,
    pub get_unique: usize,
}
// SAFETY: a static that is never written.
unsafe impl Sync for ContextType {}

#[repr(C)]
pub struct DriverConfig {
    pub size: u32,
    pub device_add: usize,
    pub unload: usize,
    pub flags: u32,
    pub tag: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct QueueConfig {
    pub size: u32,
    pub dispatch: u32,
    pub power: u32,
    pub zero: u8,
    pub default: u8,
    pub evt_default: usize,
    pub evt_read: usize,
    pub evt_write: usize,
    pub evt_control: usize,
    pub evt_internal: usize,
    pub evt_stop: usize,
    pub evt_resume: usize,
    pub evt_canceled: usize,
    pub presented: u32,
    pub driver: Handle,
}

pub const SEQUENTIAL: u32 = 1;
pub const PARALLEL: u32 = 2;
pub const MANUAL: u32 = 3;

impl QueueConfig {
    /// WDF_IO_QUEUE_CONFIG_INIT, with WdfUseDefault for power.
    pub const fn new(dispatch: u32) -> Self {
        Self {
            size: 96,
            dispatch,
            power: 2,
            zero: 0,
            default: 0,
            evt_default: 0,
            evt_read: 0,
            evt_write: 0,
            evt_control: 0,
            evt_internal: 0,
            evt_stop: 0,
            evt_resume: 0,
            evt_canceled: 0,
            presented: if dispatch == PARALLEL { u32::MAX } else { 0 },
            driver: 0,
        }
    }
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct TimerConfig {
    pub size: u32,
    pub func: usize,
    pub period: u32,
    pub serialized: u8,
    pub tolerable: u32,
    pub pad: u32,
    pub high_resolution: u64,
}

impl TimerConfig {
    pub fn new(func: extern "system" fn(Handle), period: u32) -> Self {
        Self { size: 40, func: func as usize, period, serialized: 0, tolerable: 0, pad: 0, high_resolution: 0 }
    }
}

/// WDF_DPC_CONFIG and WDF_WORKITEM_CONFIG.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct DeferredConfig {
    pub size: u32,
    pub func: usize,
    pub serialized: u8,
}

impl DeferredConfig {
    pub fn new(func: extern "system" fn(Handle)) -> Self {
        Self { size: 24, func: func as usize, serialized: 0 }
    }
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct FileConfig {
    pub size: u32,
    pub create: usize,
    pub close: usize,
    pub cleanup: usize,
    pub forward: u32,
    pub class: u32,
}

/// WDF_PNPPOWER_EVENT_CALLBACKS, all null but those that are set.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct PnpCallbacks {
    pub size: u32,
    pub d0_entry: usize,
    pub d0_entry_post: usize,
    pub d0_exit: usize,
    pub d0_exit_pre: usize,
    pub prepare: usize,
    pub release: usize,
    pub smio_cleanup: usize,
    pub smio_flush: usize,
    pub smio_init: usize,
    pub smio_suspend: usize,
    pub smio_restart: usize,
    pub surprise: usize,
    pub query_remove: usize,
    pub query_stop: usize,
    pub others: [usize; 3],
}

#[link(name = "WDFLDR.SYS", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "system" {
    pub fn WdfVersionBind(
        driver: *mut c_void,
        path: *const UnicodeString,
        info: *mut BindInfo,
        globals: *mut *mut c_void,
    ) -> NtStatus;
    pub fn WdfVersionUnbind(path: *const UnicodeString, info: *mut BindInfo, globals: *mut c_void) -> NtStatus;
    pub fn WdfVersionBindClass(info: *mut BindInfo, globals: *mut c_void, class: *mut ClassBindInfo) -> NtStatus;
    pub fn WdfVersionUnbindClass(info: *mut BindInfo, globals: *mut c_void, class: *mut ClassBindInfo);
}

#[link(name = "ntoskrnl.exe", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "system" {
    pub fn KfRaiseIrql(level: u8) -> u8;
    pub fn KeLowerIrql(level: u8);
    pub fn KeDelayExecutionThread(mode: i8, alertable: u8, interval: *const i64) -> NtStatus;
}

/// Sleeps so many milliseconds at PASSIVE_LEVEL.
pub fn sleep(milliseconds: i64) {
    let interval = -10_000 * milliseconds;
    // SAFETY: a relative interval of this frame's.
    unsafe { KeDelayExecutionThread(0, 0, &raw const interval) };
}

/// Runs `f` at DISPATCH_LEVEL.
pub fn at_dispatch<R>(f: impl FnOnce() -> R) -> R {
    // SAFETY: the level is lowered to what it was.
    unsafe {
        let old = KfRaiseIrql(2);
        let r = f();
        KeLowerIrql(old);
        r
    }
}

/// `WdfFunctions`.
pub static mut TABLE: *const usize = null();
/// `WdfDriverGlobals`.
pub static GLOBALS: AtomicPtr<c_void> = AtomicPtr::new(null_mut());

pub fn globals() -> *mut c_void {
    GLOBALS.load(Ordering::Relaxed)
}

/// The address in the table.
pub fn entry(index: usize) -> usize {
    // SAFETY: after WdfVersionBind; whatever index, the lab's table is long enough to answer.
    unsafe { TABLE.add(index).read() }
}

/// Declares functions of a table: `index name(arguments) -> result;`
#[macro_export]
macro_rules! table_functions {
    ($entry:path, $globals:path; $($i:literal $name:ident($($a:ident: $t:ty),*) $(-> $r:ty)?;)*) => {$(
        pub fn $name($($a: $t),*) $(-> $r)? {
            // SAFETY: the table's function of that index has this prototype.
            let f = unsafe {
                core::mem::transmute::<usize, unsafe extern "system" fn(*mut core::ffi::c_void, $($t),*) $(-> $r)?>(
                    $entry($i),
                )
            };
            // SAFETY: the caller passes what the function asks for, or means not to.
            unsafe { f($globals(), $($a),*) }
        }
    )*};
}

table_functions! { entry, globals;
    13 collection_create(a: *const Attributes, out: *mut Handle) -> NtStatus;
    14 collection_count(c: Handle) -> u32;
    15 collection_add(c: Handle, item: Handle) -> NtStatus;
    16 collection_remove(c: Handle, item: Handle);
    17 collection_remove_item(c: Handle, index: u32);
    18 collection_item(c: Handle, index: u32) -> Handle;
    19 collection_first(c: Handle) -> Handle;
    20 collection_last(c: Handle) -> Handle;
    25 control_device_init_allocate(driver: Handle, sddl: *const UnicodeString) -> Handle;
    27 control_finish_initializing(device: Handle);
    30 from_wdm_device(device: *mut c_void) -> Handle;
    31 wdm_device(device: Handle) -> *mut c_void;
    54 device_init_free(init: Handle);
    55 device_init_set_pnp(init: Handle, c: *const PnpCallbacks);
    430 device_init_set_release_order(init: Handle, order: u32);
    66 device_init_set_device_type(init: Handle, t: u32);
    62 device_init_set_exclusive(init: Handle, on: u8);
    67 device_init_assign_name(init: Handle, name: *const UnicodeString) -> NtStatus;
    71 device_init_set_file_config(init: Handle, c: *const FileConfig, a: *const Attributes);
    72 device_init_set_request_attributes(init: Handle, a: *const Attributes);
    74 device_init_set_in_caller_context(init: Handle, f: usize);
    75 device_create(init: *mut Handle, a: *const Attributes, out: *mut Handle) -> NtStatus;
    77 device_create_interface(device: Handle, guid: *const [u32; 4], reference: *const UnicodeString) -> NtStatus;
    78 device_set_interface_state(device: Handle, guid: *const [u32; 4], reference: *const UnicodeString, on: u8);
    80 device_create_symbolic_link(device: Handle, link: *const UnicodeString) -> NtStatus;
    91 device_enqueue_request(device: Handle, request: Handle) -> NtStatus;
    92 device_default_queue(device: Handle) -> Handle;
    93 device_configure_dispatching(device: Handle, queue: Handle, kind: u32) -> NtStatus;
    111 dpc_create(c: *const DeferredConfig, a: *const Attributes, out: *mut Handle) -> NtStatus;
    112 dpc_enqueue(dpc: Handle) -> u8;
    113 dpc_cancel(dpc: Handle, wait: u8) -> u8;
    114 dpc_parent(dpc: Handle) -> Handle;
    116 driver_create(driver: *mut c_void, path: *const UnicodeString, a: *const Attributes, c: *const DriverConfig, out: *mut Handle) -> NtStatus;
    119 driver_open_parameters(driver: Handle, access: u32, a: *const Attributes, out: *mut Handle) -> NtStatus;
    122 driver_version_string(driver: Handle, string: Handle) -> NtStatus;
    139 file_device(file: Handle) -> Handle;
    152 queue_create(device: Handle, c: *const QueueConfig, a: *const Attributes, out: *mut Handle) -> NtStatus;
    153 queue_state(queue: Handle, queued: *mut u32, owned: *mut u32) -> u32;
    154 queue_start(queue: Handle);
    155 queue_stop(queue: Handle, f: usize, context: usize);
    156 queue_stop_sync(queue: Handle);
    157 queue_device(queue: Handle) -> Handle;
    158 queue_next(queue: Handle, out: *mut Handle) -> NtStatus;
    159 queue_next_of_file(queue: Handle, file: Handle, out: *mut Handle) -> NtStatus;
    160 queue_find(queue: Handle, tag: Handle, file: Handle, p: *mut c_void, out: *mut Handle) -> NtStatus;
    161 queue_take_found(queue: Handle, found: Handle, out: *mut Handle) -> NtStatus;
    162 queue_drain_sync(queue: Handle);
    163 queue_drain(queue: Handle, f: usize, context: usize);
    164 queue_purge_sync(queue: Handle);
    165 queue_purge(queue: Handle, f: usize, context: usize);
    166 queue_ready_notify(queue: Handle, f: usize, context: usize) -> NtStatus;
    192 memory_create(a: *const Attributes, pool: u32, tag: u32, size: usize, out: *mut Handle, buffer: *mut *mut u8) -> NtStatus;
    193 memory_create_preallocated(a: *const Attributes, buffer: *mut u8, size: usize, out: *mut Handle) -> NtStatus;
    194 memory_buffer(memory: Handle, size: *mut usize) -> *mut u8;
    195 memory_assign(memory: Handle, buffer: *mut u8, size: usize) -> NtStatus;
    196 memory_copy_to(memory: Handle, offset: usize, to: *mut u8, count: usize) -> NtStatus;
    197 memory_copy_from(memory: Handle, offset: usize, from: *const u8, count: usize) -> NtStatus;
    198 lookaside_create(a: *const Attributes, size: usize, pool: u32, memory: *const Attributes, tag: u32, out: *mut Handle) -> NtStatus;
    199 memory_from_lookaside(list: Handle, out: *mut Handle) -> NtStatus;
    201 miniport_unload(driver: Handle);
    202 typed_context(object: Handle, t: *const ContextType) -> *mut u8;
    203 allocate_context(object: Handle, a: *const Attributes, out: *mut *mut u8) -> NtStatus;
    204 context_object(context: *mut u8) -> Handle;
    205 object_reference(object: Handle, tag: usize, line: i32, file: *const u8);
    206 object_dereference(object: Handle, tag: usize, line: i32, file: *const u8);
    207 object_create(a: *const Attributes, out: *mut Handle) -> NtStatus;
    208 object_delete(object: Handle);
    229 registry_open(parent: Handle, name: *const UnicodeString, access: u32, a: *const Attributes, out: *mut Handle) -> NtStatus;
    230 registry_create(parent: Handle, name: *const UnicodeString, access: u32, options: u32, disposition: *mut u32, a: *const Attributes, out: *mut Handle) -> NtStatus;
    231 registry_close(key: Handle);
    233 registry_remove_key(key: Handle) -> NtStatus;
    234 registry_remove_value(key: Handle, name: *const UnicodeString) -> NtStatus;
    239 registry_query_string(key: Handle, name: *const UnicodeString, string: Handle) -> NtStatus;
    240 registry_query_ulong(key: Handle, name: *const UnicodeString, out: *mut u32) -> NtStatus;
    244 registry_assign_unicode(key: Handle, name: *const UnicodeString, value: *const UnicodeString) -> NtStatus;
    246 registry_assign_ulong(key: Handle, name: *const UnicodeString, value: u32) -> NtStatus;
    255 mark_cancelable(request: Handle, f: usize);
    256 unmark_cancelable(request: Handle) -> NtStatus;
    257 request_is_canceled(request: Handle) -> u8;
    263 request_complete(request: Handle, status: NtStatus);
    265 request_complete_with(request: Handle, status: NtStatus, information: usize);
    266 request_parameters(request: Handle, p: *mut [u64; 5]);
    267 request_input_memory(request: Handle, out: *mut Handle) -> NtStatus;
    268 request_output_memory(request: Handle, out: *mut Handle) -> NtStatus;
    269 request_input(request: Handle, minimum: usize, out: *mut *mut u8, length: *mut usize) -> NtStatus;
    270 request_output(request: Handle, minimum: usize, out: *mut *mut u8, length: *mut usize) -> NtStatus;
    273 request_unsafe_input(request: Handle, minimum: usize, out: *mut *mut u8, length: *mut usize) -> NtStatus;
    275 request_set_information(request: Handle, information: usize);
    277 request_file(request: Handle) -> Handle;
    281 request_forward(request: Handle, queue: Handle) -> NtStatus;
    282 request_queue(request: Handle) -> Handle;
    283 request_requeue(request: Handle) -> NtStatus;
    284 request_stop_acknowledge(request: Handle, requeue: u8);
    308 string_create(s: *const UnicodeString, a: *const Attributes, out: *mut Handle) -> NtStatus;
    309 string_get(string: Handle, out: *mut UnicodeString);
    310 object_lock(object: Handle);
    311 object_unlock(object: Handle);
    312 wait_lock_create(a: *const Attributes, out: *mut Handle) -> NtStatus;
    313 wait_lock_acquire(lock: Handle, timeout: *const i64) -> NtStatus;
    314 wait_lock_release(lock: Handle);
    315 spin_lock_create(a: *const Attributes, out: *mut Handle) -> NtStatus;
    316 spin_lock_acquire(lock: Handle);
    317 spin_lock_release(lock: Handle);
    318 timer_create(c: *const TimerConfig, a: *const Attributes, out: *mut Handle) -> NtStatus;
    319 timer_start(timer: Handle, due: i64) -> u8;
    320 timer_stop(timer: Handle, wait: u8) -> u8;
    321 timer_parent(timer: Handle) -> Handle;
    322 usb_target_device_create(device: Handle) -> NtStatus;
    367 debug_break();
    368 bug_check(code: u32, a: u64, b: u64, c: u64, d: u64);
    379 work_item_create(c: *const DeferredConfig, a: *const Attributes, out: *mut Handle) -> NtStatus;
    380 work_item_enqueue(item: Handle);
    381 work_item_parent(item: Handle) -> Handle;
    382 work_item_flush(item: Handle);
    393 mark_cancelable_ex(request: Handle, f: usize) -> NtStatus;
    418 queue_stop_and_purge(queue: Handle, f: usize, context: usize);
    450 beyond_the_table();
}
