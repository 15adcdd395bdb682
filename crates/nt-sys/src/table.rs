//! Typed entries of the tables through which a framework's functions are called.

use core::marker::PhantomData;

/// One function of a framework: its index, and its type `F` (an `Option` of a function pointer).
pub struct Entry<F> {
    index: usize,
    function: PhantomData<fn() -> F>,
}

impl<F> Entry<F> {
    /// The function at `index`.
    #[must_use]
    pub const fn new(index: usize) -> Self {
        const {
            assert!(size_of::<F>() == size_of::<usize>(), "an entry is one pointer");
        }
        Self { index, function: PhantomData }
    }

    /// Its place in the table.
    #[must_use]
    pub const fn index(&self) -> usize {
        self.index
    }

    /// Reads the function from the table at `table`.
    ///
    /// # Safety
    ///
    /// `table` holds more than `index` entries, and the framework whose table it is has put a function of type
    /// `F` at `index`, or null.
    #[must_use]
    pub unsafe fn read(&self, table: *const crate::WDFFUNC) -> F {
        // SAFETY: the caller vouches for table, length and type.
        unsafe { table.add(self.index).cast::<F>().read() }
    }
}

/// Calls a KMDF function by name, inside `unsafe`: `wdf_call!(WdfDeviceCreate, &mut init, attributes, &mut device)`.
///
/// The framework's globals are passed first by the macro. Valid between `FxDriverEntry` and unload.
#[cfg(not(feature = "wdk"))]
#[macro_export]
macro_rules! wdf_call {
    ($function:ident $(, $argument:expr)* $(,)?) => {
        match $crate::__wdf::$function.read($crate::bind::wdf_functions()) {
            Some(function) => function($crate::bind::wdf_driver_globals() $(, $argument)*),
            // The framework fills its whole table before it calls any driver.
            None => ::core::hint::unreachable_unchecked(),
        }
    };
}

/// Calls a KMDF function by name, inside `unsafe`: `wdf_call!(WdfDeviceCreate, &mut init, attributes, &mut device)`.
#[cfg(feature = "wdk")]
#[macro_export]
macro_rules! wdf_call {
    ($function:ident $(, $argument:expr)* $(,)?) => {
        $crate::__wdk_sys::call_unsafe_wdf_function_binding!($function $(, $argument)*)
    };
}

/// Calls a NetAdapterCx function by name, inside `unsafe`: `net_call!(NetAdapterStart, adapter)`.
///
/// The class extension's globals are passed first by the macro. Valid between `FxDriverEntry` and unload.
#[macro_export]
macro_rules! net_call {
    ($function:ident $(, $argument:expr)* $(,)?) => {
        match $crate::net::table::$function.read($crate::net::functions()) {
            Some(function) => function($crate::net::driver_globals() $(, $argument)*),
            // The class extension fills the table when it is bound, before DriverEntry.
            None => ::core::hint::unreachable_unchecked(),
        }
    };
}
