//! Framework objects and their typed contexts.
//!
//! A context type implements [`Context`] by naming a static [`TypeInfo`] (the [`context!`](crate::context!) macro does it). The
//! framework allocates the memory, zeroed; [`init`] moves a value in once; the framework's destroy callback drops it when the
//! object's last reference is gone. [`ContextRef`] holds such a reference.

use crate::status::{Result, Status};
use core::cell::UnsafeCell;
use core::ffi::CStr;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ops::Deref;
use core::ptr::{NonNull, null, null_mut};
use core::sync::atomic::{AtomicU32, Ordering};
use nt_sys::{WDF_OBJECT_ATTRIBUTES, WDF_OBJECT_CONTEXT_TYPE_INFO, WDFOBJECT, wdf_call};

/// A type that lives in the context of a framework object.
pub trait Context: Send + Sync + Sized + 'static {
    /// The type's one static description.
    fn type_info() -> &'static TypeInfo<Self>;
}

/// Description of a context type for the framework; must be a `static`, because its address is its identity.
#[repr(transparent)]
pub struct TypeInfo<T>(UnsafeCell<WDF_OBJECT_CONTEXT_TYPE_INFO>, PhantomData<fn(T)>);

// SAFETY: the framework reads it, and nothing else does.
unsafe impl<T> Sync for TypeInfo<T> {}

impl<T: Context> TypeInfo<T> {
    /// Describes `T` under `name`; `this` is the static itself.
    #[must_use]
    pub const fn new(name: &'static CStr, this: &'static Self) -> Self {
        const { assert!(align_of::<Slot<T>>() <= 16, "WDF contexts are aligned to 16") }
        Self(
            UnsafeCell::new(WDF_OBJECT_CONTEXT_TYPE_INFO {
                Size: size_of::<WDF_OBJECT_CONTEXT_TYPE_INFO>() as u32,
                ContextName: name.as_ptr().cast_mut(),
                ContextSize: size_of::<Slot<T>>() as _,
                UniqueType: this.0.get(),
                EvtDriverGetUniqueContextType: None,
            }),
            PhantomData,
        )
    }
}

/// `context!(Type)`: makes `Type` a [`Context`].
#[macro_export]
macro_rules! context {
    ($t:ty, $name:literal) => {
        impl $crate::wdf::object::Context for $t {
            fn type_info() -> &'static $crate::wdf::object::TypeInfo<Self> {
                static INFO: $crate::wdf::object::TypeInfo<$t> = $crate::wdf::object::TypeInfo::new($name, &INFO);
                &INFO
            }
        }
    };
}

const EMPTY: u32 = 0;
const BUSY: u32 = 1;
const READY: u32 = 2;

/// What lies in the framework's context memory. All zeroes is a valid, empty slot.
pub(crate) struct Slot<T> {
    state: AtomicU32,
    value: UnsafeCell<MaybeUninit<T>>,
}

impl<T> Slot<T> {
    fn get(&self) -> Option<&T> {
        if self.state.load(Ordering::Acquire) != READY {
            return None;
        }
        // SAFETY: READY is set, once, after the value was written; it is not written again before destruction.
        Some(unsafe { (*self.value.get()).assume_init_ref() })
    }
}

/// `WDF_OBJECT_ATTRIBUTES` under construction.
pub struct Attributes(WDF_OBJECT_ATTRIBUTES);

impl Attributes {
    /// Defaults: inherited execution level and synchronization scope, default parent, no context.
    #[must_use]
    pub fn plain() -> Self {
        Self(nt_sys::WDF_OBJECT_ATTRIBUTES_INIT())
    }

    /// [`plain`](Self::plain) with a context of type `T`.
    #[must_use]
    pub fn with<T: Context>() -> Self {
        let mut a = Self::plain();
        a.0.ContextTypeInfo = T::type_info().0.get();
        a.0.EvtDestroyCallback = Some(destroy::<T>);
        a
    }

    /// Callbacks at PASSIVE_LEVEL only, without framework synchronization.
    #[must_use]
    pub fn passive(mut self) -> Self {
        self.0.ExecutionLevel = nt_sys::_WDF_EXECUTION_LEVEL::WdfExecutionLevelPassive;
        self.0.SynchronizationScope = nt_sys::_WDF_SYNCHRONIZATION_SCOPE::WdfSynchronizationScopeNone;
        self
    }

    /// Without framework synchronization; the execution level stays inherited.
    #[must_use]
    pub(crate) fn unsynchronized(mut self) -> Self {
        self.0.SynchronizationScope = nt_sys::_WDF_SYNCHRONIZATION_SCOPE::WdfSynchronizationScopeNone;
        self
    }

    /// A callback for when the object is deleted, before its references are gone.
    pub(crate) fn on_cleanup(&mut self, f: unsafe extern "C" fn(WDFOBJECT)) {
        self.0.EvtCleanupCallback = Some(f);
    }

    /// The parent object.
    #[must_use]
    pub(crate) fn parent(mut self, parent: WDFOBJECT) -> Self {
        self.0.ParentObject = parent;
        self
    }

    pub(crate) fn raw(&mut self) -> *mut WDF_OBJECT_ATTRIBUTES {
        &raw mut self.0
    }
}

/// Drops the value of a context when the framework destroys its object.
unsafe extern "C" fn destroy<T: Context>(object: WDFOBJECT) {
    // SAFETY: the framework passes a live handle to its destroy callback, and contexts are still there.
    let Some(slot) = (unsafe { slot::<T>(object) }) else { return };
    // SAFETY: the slot lies in the object's context memory, which outlives this callback.
    let slot = unsafe { slot.as_ref() };
    if slot.state.swap(EMPTY, Ordering::AcqRel) == READY {
        // SAFETY: the value was initialised, no reference is left (the object has none), and EMPTY prevents a second drop.
        unsafe { (*slot.value.get()).assume_init_drop() };
    }
}

/// The context memory for `T` of `object`.
///
/// # Safety
/// `object` is a live framework handle.
unsafe fn slot<T: Context>(object: WDFOBJECT) -> Option<NonNull<Slot<T>>> {
    // SAFETY: the handle is live (caller); the type info is a static. NULL is returned where the object has no such context.
    let p = unsafe { wdf_call!(WdfObjectGetTypedContextWorker, object, T::type_info().0.get().cast_const()) };
    NonNull::new(p.cast())
}

/// Moves `value` into the context of `object`, once.
///
/// # Safety
/// `object` is a live framework handle, created with [`Attributes::with::<T>`].
pub(crate) unsafe fn init<T: Context>(object: WDFOBJECT, value: T) -> Result<()> {
    // SAFETY: the caller vouches for the handle.
    let slot = unsafe { slot::<T>(object) }.ok_or(Status::INTERNAL_ERROR)?;
    // SAFETY: context memory lives as long as the object.
    let slot = unsafe { slot.as_ref() };
    if slot.state.compare_exchange(EMPTY, BUSY, Ordering::AcqRel, Ordering::Relaxed).is_err() {
        return Err(Status::INTERNAL_ERROR);
    }
    // SAFETY: BUSY makes this the only writer, and readers wait for READY.
    unsafe { (*slot.value.get()).write(value) };
    slot.state.store(READY, Ordering::Release);
    Ok(())
}

/// The context of `object`, where it has been initialised.
///
/// # Safety
/// `object` is a live framework handle and stays so for `'a`.
pub(crate) unsafe fn get<'a, T: Context>(object: WDFOBJECT) -> Option<&'a T> {
    // SAFETY: the caller vouches for the handle; context memory lives as long as the object.
    unsafe { slot::<T>(object).and_then(|s| s.as_ref().get()) }
}

/// Adds a reference to `object`. The file and line that the framework can record are not given.
///
/// # Safety
/// `object` is a live framework handle.
unsafe fn reference(object: WDFOBJECT) {
    // SAFETY: the caller vouches for the handle; tag, line and file are for debugging only.
    unsafe { wdf_call!(WdfObjectReferenceActual, object, null_mut(), 0, null::<i8>().cast_mut()) };
}

/// Takes a reference away.
///
/// # Safety
/// The caller owns one reference to `object`.
unsafe fn dereference(object: WDFOBJECT) {
    // SAFETY: the caller gives up its reference.
    unsafe { wdf_call!(WdfObjectDereferenceActual, object, null_mut(), 0, null::<i8>().cast_mut()) };
}

/// A counted reference to an object's context; the context lives as long as any exists. IRQL <= DISPATCH_LEVEL.
pub struct ContextRef<T: Context> {
    object: WDFOBJECT,
    value: NonNull<T>,
}

// SAFETY: it gives shared access to `T`, which is Sync, and framework references may be moved between threads.
unsafe impl<T: Context> Send for ContextRef<T> {}
// SAFETY: as above.
unsafe impl<T: Context> Sync for ContextRef<T> {}

impl<T: Context> ContextRef<T> {
    /// References the context of `object`.
    ///
    /// # Safety
    /// `object` is a live framework handle.
    pub(crate) unsafe fn new(object: WDFOBJECT) -> Result<Self> {
        // SAFETY: the caller vouches for the handle; the reference taken next keeps the memory.
        let value = unsafe { get::<T>(object) }.ok_or(Status::DEVICE_NOT_READY)?;
        // SAFETY: the handle is live.
        unsafe { reference(object) };
        Ok(Self { object, value: NonNull::from(value) })
    }

    pub(crate) fn object(&self) -> WDFOBJECT {
        self.object
    }
}

impl<T: Context> Clone for ContextRef<T> {
    fn clone(&self) -> Self {
        // SAFETY: `self` holds a reference, so the object is live.
        unsafe { reference(self.object) };
        Self { object: self.object, value: self.value }
    }
}

impl<T: Context> Deref for ContextRef<T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: the reference held keeps the context initialised and in place.
        unsafe { self.value.as_ref() }
    }
}

impl<T: Context> Drop for ContextRef<T> {
    fn drop(&mut self) {
        // SAFETY: `new` or `clone` took the reference.
        unsafe { dereference(self.object) };
    }
}

/// A framework object that this side deletes. `H` is the handle type.
pub struct Owned<H: Copy>(H);

impl<H: Copy> Owned<H> {
    /// Takes over a handle.
    ///
    /// # Safety
    /// `handle` is a live framework handle (a pointer) that nobody else deletes before this does.
    pub(crate) unsafe fn adopt(handle: H) -> Self {
        const { assert!(size_of::<H>() == size_of::<WDFOBJECT>()) }
        Self(handle)
    }
}

impl<H: Copy> Drop for Owned<H> {
    fn drop(&mut self) {
        // SAFETY: `adopt` checked that a handle has a pointer's size, and framework handles are pointers.
        let object: WDFOBJECT = unsafe { core::mem::transmute_copy(&self.0) };
        // SAFETY: the object is this owner's to delete.
        unsafe { wdf_call!(WdfObjectDelete, object) };
    }
}

/// A framework object that its parent deletes: the handle is good as long as the parent is.
///
/// No reference is taken. A parent's context that held one on a child would keep the child, and the child its parent, for ever.
/// The convention that makes the handle sound instead: a `Child` is kept by its parent's context, or by what that context owns,
/// and is used from the framework's callbacks of the parent and from what the driver has ended when the parent's
/// EvtDeviceReleaseHardware returns (sockets, timers).
pub(crate) struct Child<H: Copy>(H);

impl<H: Copy> Child<H> {
    /// Wraps a handle.
    ///
    /// # Safety
    /// `handle` is live, and used by the convention above.
    pub(crate) const unsafe fn new(handle: H) -> Self {
        Self(handle)
    }

    pub(crate) const fn handle(&self) -> H {
        self.0
    }
}
