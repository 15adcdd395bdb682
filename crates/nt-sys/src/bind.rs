//! How the image is bound to KMDF and to NetAdapterCx.
//!
//! Without the feature `wdk` the image's entry point is our own `FxDriverEntry`, which does what Microsoft's
//! `WdfDriverEntry.lib` does:
//!
//! 1. copies the registry path, because the loader's copy dies with the entry point;
//! 2. binds KMDF (`WdfVersionBind`), which stores the address of its function table and our globals;
//! 3. binds the class extensions (`WdfVersionBindClass`), here NetAdapterCx;
//! 4. calls the driver's `DriverEntry`; when that fails, unbinds in the same order;
//! 5. when the framework asks for it (`DisplaceDriverUnload`), puts our unload routine before its own, so that
//!    the unbinding happens at unload.
//!
//! The framework keeps the addresses of the structures it is given, so all of them are statics that can be
//! written. Everything runs at PASSIVE_LEVEL on one thread: the loader's.
//!
//! With the feature `wdk` all that is in the WDK's library; it finds NetAdapterCx's record by the section
//! `.kmdfclassbind$b` ([`net`](crate::net)).

use core::cell::UnsafeCell;

use crate::{PVOID, ULONG, USHORT, WDFFUNC};

/// A static that C code writes.
///
/// Rust code only ever takes its address, or reads it where the writer is known to be done.
#[repr(transparent)]
pub struct Static<T>(UnsafeCell<T>);

// SAFETY: the cell gives out nothing but a raw pointer; whoever dereferences it states why nobody else writes.
unsafe impl<T> Sync for Static<T> {}

impl<T> Static<T> {
    /// A cell holding `value`.
    #[must_use]
    pub const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// Where the value is.
    #[must_use]
    pub const fn get(&self) -> *mut T {
        self.0.get()
    }
}

/// `WDF_CLASS_VERSION`: major, minor, build.
#[repr(C)]
#[derive(Clone, Copy)]
#[expect(missing_docs, non_snake_case, reason = "a C structure")]
pub struct WDF_CLASS_VERSION {
    pub Major: ULONG,
    pub Minor: ULONG,
    pub Build: ULONG,
}

/// A client's record of one class extension it uses.
#[repr(C)]
#[derive(Clone, Copy)]
#[expect(missing_docs, non_snake_case, reason = "a C structure")]
pub struct WDF_CLASS_BIND_INFO {
    pub Size: ULONG,
    pub ClassName: *const u16,
    pub Version: WDF_CLASS_VERSION,
    pub FunctionTable: *mut WDFFUNC,
    pub FunctionTableCount: ULONG,
    pub ClassBindInfo: PVOID,
    pub ClientBindClass: PVOID,
    pub ClientUnbindClass: PVOID,
    pub ClassModule: PVOID,
}

/// Length in bytes of the buffer that keeps the registry path, as the WDK's stub has it.
pub const REGISTRY_PATH_BYTES: USHORT = 0x208;

#[cfg(not(feature = "wdk"))]
pub use own::*;

#[cfg(not(feature = "wdk"))]
mod own {
    use core::{
        ptr,
        sync::atomic::{AtomicPtr, Ordering::Relaxed},
    };

    use super::{PVOID, REGISTRY_PATH_BYTES, Static, ULONG, WDF_CLASS_BIND_INFO, WDFFUNC};
    use crate::{
        DRIVER_OBJECT, NT_SUCCESS, NTSTATUS, PCUNICODE_STRING, PDRIVER_OBJECT, PDRIVER_UNLOAD, PUNICODE_STRING,
        PWDF_DRIVER_GLOBALS, UNICODE_STRING, WDF_DRIVER_GLOBALS, net, wide,
    };

    /// KMDF client version and the exact number of functions that version has.
    pub const KMDF_VERSION: (ULONG, ULONG) = (1, 15);
    /// See [`KMDF_VERSION`]: the framework refuses any other number.
    pub const KMDF_FUNCTION_COUNT: ULONG = 444;

    /// `WDF_VERSION`: major, minor, build.
    #[repr(C)]
    #[derive(Clone, Copy)]
    #[expect(missing_docs, non_snake_case, reason = "a C structure")]
    pub struct WDF_VERSION {
        pub Major: ULONG,
        pub Minor: ULONG,
        pub Build: ULONG,
    }

    /// What the client tells the framework's loader about itself.
    #[repr(C)]
    #[derive(Clone, Copy)]
    #[expect(missing_docs, non_snake_case, reason = "a C structure")]
    pub struct WDF_BIND_INFO {
        pub Size: ULONG,
        pub Component: *const u16,
        pub Version: WDF_VERSION,
        pub FuncCount: ULONG,
        pub FuncTable: *mut *mut WDFFUNC,
        pub Module: PVOID,
    }

    #[cfg_attr(windows, link(name = "WDFLDR.SYS", kind = "raw-dylib", modifiers = "+verbatim"))]
    unsafe extern "C" {
        fn WdfVersionBind(
            DriverObject: PDRIVER_OBJECT,
            RegistryPath: PUNICODE_STRING,
            BindInfo: *mut WDF_BIND_INFO,
            ComponentGlobals: *mut *mut WDF_DRIVER_GLOBALS,
        ) -> NTSTATUS;
        fn WdfVersionUnbind(
            RegistryPath: PUNICODE_STRING,
            BindInfo: *mut WDF_BIND_INFO,
            ComponentGlobals: PWDF_DRIVER_GLOBALS,
        ) -> NTSTATUS;
        fn WdfVersionBindClass(
            BindInfo: *mut WDF_BIND_INFO,
            ComponentGlobals: PWDF_DRIVER_GLOBALS,
            ClassBindInfo: *mut WDF_CLASS_BIND_INFO,
        ) -> NTSTATUS;
        fn WdfVersionUnbindClass(
            BindInfo: *mut WDF_BIND_INFO,
            ComponentGlobals: PWDF_DRIVER_GLOBALS,
            ClassBindInfo: *mut WDF_CLASS_BIND_INFO,
        );
    }

    /// The framework stores the address of its own table here (since 1.15; older ones copied).
    static WDF_FUNCTIONS: AtomicPtr<WDFFUNC> = AtomicPtr::new(ptr::null_mut());
    static WDF_GLOBALS: AtomicPtr<WDF_DRIVER_GLOBALS> = AtomicPtr::new(ptr::null_mut());

    static PATH_BUFFER: Static<[u16; REGISTRY_PATH_BYTES as usize / 2]> =
        Static::new([0; REGISTRY_PATH_BYTES as usize / 2]);
    static PATH: Static<UNICODE_STRING> =
        Static::new(UNICODE_STRING { Length: 0, MaximumLength: REGISTRY_PATH_BYTES, Buffer: PATH_BUFFER.get().cast() });

    static BIND_INFO: Static<WDF_BIND_INFO> = Static::new(WDF_BIND_INFO {
        Size: size_of::<WDF_BIND_INFO>() as ULONG,
        Component: wide!("KmdfLibrary").as_ptr(),
        Version: WDF_VERSION { Major: KMDF_VERSION.0, Minor: KMDF_VERSION.1, Build: 0 },
        FuncCount: KMDF_FUNCTION_COUNT,
        FuncTable: WDF_FUNCTIONS.as_ptr(),
        Module: ptr::null_mut(),
    });

    /// What the driver's own unload routine was before ours took its place.
    static DISPLACED_UNLOAD: Static<PDRIVER_UNLOAD> = Static::new(None);

    /// The framework's function table. Null before `FxDriverEntry`.
    #[must_use]
    #[inline]
    pub fn wdf_functions() -> *const WDFFUNC {
        // Relaxed: written before the framework calls anything of ours.
        WDF_FUNCTIONS.load(Relaxed)
    }

    /// What every KMDF function takes first. Null before `FxDriverEntry`.
    #[must_use]
    #[inline]
    pub fn wdf_driver_globals() -> PWDF_DRIVER_GLOBALS {
        // Relaxed: as in `wdf_functions`.
        WDF_GLOBALS.load(Relaxed)
    }

    /// The driver's own entry point.
    pub type DriverEntry = unsafe extern "system" fn(PDRIVER_OBJECT, PCUNICODE_STRING) -> NTSTATUS;

    /// Binds the frameworks, then runs `driver_entry`: the body of `FxDriverEntry`.
    ///
    /// # Safety
    ///
    /// Called once, by the loader's entry into the image, with the loader's own arguments.
    pub unsafe fn enter(
        driver_object: PDRIVER_OBJECT,
        registry_path: PUNICODE_STRING,
        driver_entry: DriverEntry,
    ) -> NTSTATUS {
        if driver_object.is_null() {
            // SAFETY: an image loaded without a driver object gets no framework; the driver's entry decides.
            return unsafe { driver_entry(driver_object, registry_path) };
        }
        // SAFETY: the loader's string is valid during this call, and no one else knows our buffer yet.
        unsafe { keep_registry_path(registry_path) };

        // SAFETY: all arguments are the loader's or live statics of the types the function takes.
        let status = unsafe { WdfVersionBind(driver_object, PATH.get(), BIND_INFO.get(), WDF_GLOBALS.as_ptr()) };
        if !NT_SUCCESS(status) {
            return status;
        }
        // SAFETY: KMDF is bound and its globals were stored by the call above.
        let status = unsafe { WdfVersionBindClass(BIND_INFO.get(), wdf_driver_globals(), net::CLASS_BIND_INFO.get()) };
        if !NT_SUCCESS(status) {
            // SAFETY: KMDF is bound, no class is.
            unsafe { unbind_framework() };
            return status;
        }

        // SAFETY: both frameworks are bound, which is what the driver's entry relies on. The path it gets is
        // the kept copy, as the WDK's stub does.
        let status = unsafe { driver_entry(driver_object, PATH.get()) };
        if !NT_SUCCESS(status) {
            // SAFETY: both are bound; the driver failed, so nothing of it runs any more.
            unsafe { unbind_all() };
            return status;
        }

        // SAFETY: the globals were stored by WdfVersionBind and live until the unbinding.
        let displace = unsafe { (*wdf_driver_globals()).DisplaceDriverUnload };
        if displace != 0 {
            // SAFETY: the driver object is the loader's; nobody unloads the driver while its entry runs, so
            // nobody reads either place.
            unsafe {
                *DISPLACED_UNLOAD.get() = (*driver_object).DriverUnload;
                (*driver_object).DriverUnload = Some(unload);
            }
        }
        status
    }

    /// # Safety
    ///
    /// `path` is valid, and nothing else touches our copy.
    unsafe fn keep_registry_path(path: PUNICODE_STRING) {
        // SAFETY: valid by contract.
        let (source, length) = unsafe { ((*path).Buffer, (*path).Length) };
        // Longer ones are cut, as RtlCopyUnicodeString does.
        let length = length.min(REGISTRY_PATH_BYTES) & !1;
        // SAFETY: `source` has at least `length` bytes, our buffer REGISTRY_PATH_BYTES, and they are distinct.
        unsafe {
            ptr::copy_nonoverlapping(source, PATH_BUFFER.get().cast::<u16>(), usize::from(length / 2));
            (*PATH.get()).Length = length;
        }
    }

    /// # Safety
    ///
    /// KMDF is bound, no class is, and no code of the driver runs.
    unsafe fn unbind_framework() {
        // SAFETY: the same statics that were bound. Its status says nothing that could be acted on.
        let _ = unsafe { WdfVersionUnbind(PATH.get(), BIND_INFO.get(), wdf_driver_globals()) };
    }

    /// # Safety
    ///
    /// KMDF and NetAdapterCx are bound, and no code of the driver runs.
    unsafe fn unbind_all() {
        // SAFETY: bound by `enter`.
        unsafe {
            WdfVersionUnbindClass(BIND_INFO.get(), wdf_driver_globals(), net::CLASS_BIND_INFO.get());
            unbind_framework();
        }
    }

    unsafe extern "C" fn unload(driver_object: *mut DRIVER_OBJECT) {
        // SAFETY: written in `enter`, which ended before the driver could be unloaded.
        if let Some(displaced) = unsafe { *DISPLACED_UNLOAD.get() } {
            // SAFETY: the routine that stood in this driver object, with its object.
            unsafe { displaced(driver_object) };
        }
        // SAFETY: the framework's unload routine has run: no object of the driver is left.
        unsafe { unbind_all() };
    }

    /// The image's entry point: binds the frameworks and calls the driver's `DriverEntry`.
    ///
    /// # Safety
    ///
    /// Called by the loader only.
    #[cfg(windows)]
    #[unsafe(no_mangle)]
    pub unsafe extern "system" fn FxDriverEntry(
        driver_object: PDRIVER_OBJECT,
        registry_path: PUNICODE_STRING,
    ) -> NTSTATUS {
        unsafe extern "system" {
            fn DriverEntry(driver_object: PDRIVER_OBJECT, registry_path: PCUNICODE_STRING) -> NTSTATUS;
        }
        // SAFETY: the loader's call, passed on.
        unsafe { enter(driver_object, registry_path, DriverEntry) }
    }
}
