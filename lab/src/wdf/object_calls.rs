//! WdfObject* and collections.

use super::abi::{ContextTypeInfo, Handle, NOT_FOUND, NtStatus, RawAttributes, SUCCESS, WDF_PARENT_NOT_SPECIFIED};
use super::attributes;
use super::bind::{G, enter};
use super::device::{self, DEVICE};
use super::object::{self, Body, Kind, Plain, Ref, lock};
use super::queue::{self, QUEUE};
use super::sync;
use super::table::{Entry, entries};
use super::{context, driver, text};
use crate::fault;
use crate::irql::{DISPATCH, PASSIVE};
use crate::report::{Rule, stop};
use std::sync::Mutex;

/// WDFOBJECT of WdfObjectCreate.
pub static GENERAL: Kind = Kind::new("WDFOBJECT", true, false, true);
/// WDFCOLLECTION.
pub static COLLECTION: Kind = Kind::new("WDFCOLLECTION", true, false, false);

const NO_TYPE: Rule = Rule::new("wdf.bad-attributes", "WDK: WdfObjectAllocateContext (ContextTypeInfo is required)");
const PARENT: Rule = Rule::new("wdf.wrong-parent", "WDK: WdfObjectAllocateContext (ParentObject must be NULL)");
const NULL_TYPE: Rule = Rule::new("wdf.wrong-context-type", "WDK: WdfObjectGetTypedContext");

unsafe extern "win64" fn typed_context(g: G, handle: Handle, info: *const ContextTypeInfo) -> *mut u8 {
    let _call = enter(g, "WdfObjectGetTypedContextWorker", 31);
    let o = object::any(handle);
    if info.is_null() {
        stop(NULL_TYPE, "TypeInfo is NULL");
    }
    // SAFETY: the driver's static type record.
    unsafe { context::get(o, info) }
}

unsafe extern "win64" fn allocate_context(
    g: G,
    handle: Handle,
    a: *const RawAttributes,
    out: *mut *mut u8,
) -> NtStatus {
    let _call = enter(g, "WdfObjectAllocateContext", DISPATCH);
    let o = object::any(handle);
    // SAFETY: the driver's structure.
    let a = unsafe { attributes::read(a) };
    if a.context_type.is_null() {
        stop(NO_TYPE, "no ContextTypeInfo");
    }
    if a.parent != 0 {
        stop(PARENT, &format!("ParentObject {:#x}", a.parent));
    }
    if o.deleting() {
        return super::abi::DELETE_PENDING;
    }
    if fault::fails("WdfObjectAllocateContext") {
        return super::abi::INSUFFICIENT_RESOURCES;
    }
    let (status, p) = context::add(o, &a);
    if !out.is_null() {
        // SAFETY: the driver's pointer.
        unsafe { out.write_unaligned(p) };
    }
    status
}

unsafe extern "win64" fn context_object(g: G, p: *mut u8) -> Handle {
    let _call = enter(g, "WdfObjectContextGetObject", 31);
    // SAFETY: the driver's claim of a context space.
    unsafe { context::owner(p) }.handle()
}

unsafe extern "win64" fn reference(g: G, handle: Handle, _tag: usize, _line: i32, _file: *const u8) {
    let _call = enter(g, "WdfObjectReferenceActual", DISPATCH);
    object::any(handle).reference();
}

unsafe extern "win64" fn dereference(g: G, handle: Handle, _tag: usize, _line: i32, _file: *const u8) {
    let _call = enter(g, "WdfObjectDereferenceActual", DISPATCH);
    object::any(handle).dereference();
}

unsafe extern "win64" fn create(g: G, a: *const RawAttributes, out: *mut Handle) -> NtStatus {
    let _call = enter(g, "WdfObjectCreate", DISPATCH);
    // SAFETY: the driver's structure.
    let a = unsafe { attributes::read(a) };
    let Some(parent) = a.parent_or(driver::current()) else { return WDF_PARENT_NOT_SPECIFIED };
    if fault::fails("WdfObjectCreate") {
        return super::abi::INSUFFICIENT_RESOURCES;
    }
    match object::create(&GENERAL, &a, Some(parent), Box::new(Plain)) {
        Ok(o) => {
            // SAFETY: the driver's pointer.
            unsafe { text::put(out, o.handle()) };
            SUCCESS
        }
        Err(s) => s,
    }
}

unsafe extern "win64" fn delete(g: G, handle: Handle) {
    let _call = enter(g, "WdfObjectDelete", DISPATCH);
    let o = object::any(handle);
    if o.is(&DEVICE) {
        device::check_driver_delete(o);
    }
    if o.is(&QUEUE) {
        queue::check_driver_delete(o);
    }
    object::driver_delete(handle);
}

unsafe extern "win64" fn query(g: G, handle: Handle, _guid: *const u8, _size: u32, _out: *mut u8) -> NtStatus {
    let _call = enter(g, "WdfObjectQuery", DISPATCH);
    let _object = object::any(handle);
    NOT_FOUND
}

unsafe extern "win64" fn acquire(g: G, handle: Handle) {
    let _call = enter(g, "WdfObjectAcquireLock", DISPATCH);
    let l = sync::required_lock(object::any(handle));
    if l.passive {
        crate::irql::require_at_most(PASSIVE);
    }
    l.acquire();
    sync::count_callback_lock(1);
}

unsafe extern "win64" fn release(g: G, handle: Handle) {
    let _call = enter(g, "WdfObjectReleaseLock", DISPATCH);
    sync::required_lock(object::any(handle)).release();
    sync::count_callback_lock(-1);
}

/// The framework's part of a collection: it holds a reference on each item.
#[derive(Debug, Default)]
struct Collection(Mutex<Vec<Ref>>);
impl Body for Collection {
    fn dispose(&self, _me: Ref) {
        for o in std::mem::take(&mut *lock(&self.0)) {
            o.dereference();
        }
    }
}

fn items(handle: Handle) -> &'static Mutex<Vec<Ref>> {
    &object::expect(handle, &COLLECTION).body::<Collection>().0
}

unsafe extern "win64" fn collection_create(g: G, a: *const RawAttributes, out: *mut Handle) -> NtStatus {
    let _call = enter(g, "WdfCollectionCreate", DISPATCH);
    // SAFETY: the driver's structure.
    let a = unsafe { attributes::read(a) };
    if let Err(s) = a.check_levels(&COLLECTION) {
        return s;
    }
    if fault::fails("WdfCollectionCreate") {
        return super::abi::INSUFFICIENT_RESOURCES;
    }
    match object::create(&COLLECTION, &a, a.parent_or(driver::current()), Box::new(Collection::default())) {
        Ok(o) => {
            // SAFETY: the driver's pointer.
            unsafe { text::put(out, o.handle()) };
            SUCCESS
        }
        Err(s) => s,
    }
}

unsafe extern "win64" fn collection_count(g: G, c: Handle) -> u32 {
    let _call = enter(g, "WdfCollectionGetCount", DISPATCH);
    u32::try_from(lock(items(c)).len()).unwrap_or(u32::MAX)
}

unsafe extern "win64" fn collection_add(g: G, c: Handle, item: Handle) -> NtStatus {
    let _call = enter(g, "WdfCollectionAdd", DISPATCH);
    let o = object::any(item);
    if fault::fails("WdfCollectionAdd") {
        return super::abi::INSUFFICIENT_RESOURCES;
    }
    o.reference();
    lock(items(c)).push(o);
    SUCCESS
}

fn remove_at(c: Handle, find: impl Fn(&[Ref]) -> Option<usize>) {
    const ABSENT: Rule = Rule::new("wdf.collection-item-absent", "WDK: WdfCollectionRemove, WdfCollectionRemoveItem");
    let mut v = lock(items(c));
    let Some(i) = find(&v).filter(|i| *i < v.len()) else {
        drop(v);
        stop(ABSENT, "the collection has no such item");
    };
    let o = v.remove(i);
    drop(v);
    o.dereference();
}

unsafe extern "win64" fn collection_remove(g: G, c: Handle, item: Handle) {
    let _call = enter(g, "WdfCollectionRemove", DISPATCH);
    remove_at(c, |v| v.iter().position(|o| o.handle() == item));
}

unsafe extern "win64" fn collection_remove_item(g: G, c: Handle, index: u32) {
    let _call = enter(g, "WdfCollectionRemoveItem", DISPATCH);
    remove_at(c, |_| usize::try_from(index).ok());
}

unsafe extern "win64" fn collection_item(g: G, c: Handle, index: u32) -> Handle {
    let _call = enter(g, "WdfCollectionGetItem", DISPATCH);
    usize::try_from(index).ok().and_then(|i| lock(items(c)).get(i).map(|o| o.handle())).unwrap_or(0)
}

unsafe extern "win64" fn collection_first(g: G, c: Handle) -> Handle {
    let _call = enter(g, "WdfCollectionGetFirstItem", DISPATCH);
    lock(items(c)).first().map_or(0, |o| o.handle())
}

unsafe extern "win64" fn collection_last(g: G, c: Handle) -> Handle {
    let _call = enter(g, "WdfCollectionGetLastItem", DISPATCH);
    lock(items(c)).last().map_or(0, |o| o.handle())
}

/// This file's part of the table.
#[must_use]
pub fn table_entries() -> Vec<Entry> {
    entries! {
        "WdfObjectGetTypedContextWorker" => typed_context,
        "WdfObjectAllocateContext" => allocate_context,
        "WdfObjectContextGetObject" => context_object,
        "WdfObjectReferenceActual" => reference,
        "WdfObjectDereferenceActual" => dereference,
        "WdfObjectCreate" => create,
        "WdfObjectDelete" => delete,
        "WdfObjectQuery" => query,
        "WdfObjectAcquireLock" => acquire,
        "WdfObjectReleaseLock" => release,
        "WdfCollectionCreate" => collection_create,
        "WdfCollectionGetCount" => collection_count,
        "WdfCollectionAdd" => collection_add,
        "WdfCollectionRemove" => collection_remove,
        "WdfCollectionRemoveItem" => collection_remove_item,
        "WdfCollectionGetItem" => collection_item,
        "WdfCollectionGetFirstItem" => collection_first,
        "WdfCollectionGetLastItem" => collection_last,
    }
}
