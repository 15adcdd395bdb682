//! Faults with objects, contexts, memory and collections: 3xx.

use super::{network_device, object};
use crate::exercise::SECOND;
use crate::wdf::{self, Attributes, DeferredConfig, Handle, SEQUENTIAL};
use crate::{dereference, fault, reference};
use core::ptr::{null, null_mut};

#[repr(align(16))]
struct NoContext([u8; 256]);
static NO_CONTEXT: NoContext = NoContext([0; 256]);

extern "system" fn never(_object: Handle) {}

pub fn run(device: Handle, queue: Handle, request: Handle) {
    let a = Attributes::new(device);
    let (mut o, mut p) = (0, null_mut());
    let mut own = [0u8; 16];
    match fault() {
        // wdf.bad-handle
        301 => wdf::object_delete(0x1234_5678),
        // wdf.use-after-delete: twice, and by its context.
        302 => {
            o = object(device);
            wdf::object_delete(o);
            wdf::object_delete(o);
        }
        303 => {
            o = object(device);
            wdf::object_delete(o);
            wdf::typed_context(o, &raw const SECOND);
        }
        // wdf.use-after-delete: a reference keeps its memory, not its use.
        304 => {
            wdf::spin_lock_create(&raw const a, &raw mut o);
            reference(o);
            wdf::object_delete(o);
            wdf::spin_lock_acquire(o);
        }
        // wdf.wrong-type
        305 => wdf::spin_lock_acquire(device),
        // wdf.wrong-context-type
        306 => _ = wdf::typed_context(queue, &raw const SECOND),
        // wdf.bad-context
        307 => _ = wdf::context_object((&raw const NO_CONTEXT.0).cast::<u8>().wrapping_add(128).cast_mut()),
        // wdf.bad-dereference
        308 => dereference(object(device)),
        // wdf.not-deletable: a default queue, a file object, a device of the PnP manager's.
        309 => wdf::object_delete(queue),
        310 => wdf::object_delete(wdf::request_file(request)),
        312 => wdf::object_delete(network_device()),
        // wdf.not-deletable: it takes all requests of a type.
        313 => {
            let c = wdf::QueueConfig { evt_default: never as *const () as usize, ..wdf::QueueConfig::new(SEQUENTIAL) };
            wdf::queue_create(device, &raw const c, null(), &raw mut o);
            wdf::device_configure_dispatching(device, o, 15);
            wdf::object_delete(o);
        }
        // wdf.null-out-pointer
        314 => _ = wdf::object_create(&raw const a, null_mut()),
        // wdf.collection-item-absent
        315 => {
            wdf::collection_create(&raw const a, &raw mut o);
            wdf::collection_remove(o, device);
        }
        // wdf.memory-assign: the framework's own buffer.
        316 => {
            wdf::memory_create(&raw const a, 512, 1, 16, &raw mut o, &raw mut p);
            wdf::memory_assign(o, own.as_mut_ptr(), 16);
        }
        // wdf.memory-read-only
        317 => {
            wdf::request_input_memory(request, &raw mut o);
            wdf::memory_copy_from(o, 0, own.as_ptr(), 16);
        }
        // wdf.debug-break, wdf.bug-check
        318 => wdf::debug_break(),
        319 => wdf::bug_check(1, 2, 3, 4, 5),
        // wdf.wrong-parent: a work item needs one, a context has none.
        320 => {
            let (c, a) = (DeferredConfig::new(never), Attributes::new(0));
            wdf::work_item_create(&raw const c, &raw const a, &raw mut o);
        }
        321 => {
            let a = Attributes { context_type: &raw const SECOND, ..a };
            wdf::allocate_context(device, &raw const a, &raw mut p);
        }
        // wdf.bad-attributes
        322 => {
            let a = Attributes::new(0);
            wdf::allocate_context(device, &raw const a, &raw mut p);
        }
        // wdf.bad-config-size
        323 => {
            let a = Attributes { size: 48, ..a };
            wdf::object_create(&raw const a, &raw mut o);
        }
        // irql.too-high: strings are for PASSIVE_LEVEL.
        324 => _ = wdf::at_dispatch(|| wdf::string_create(null(), null(), &raw mut o)),
        // pool.overrun: of a memory object.
        325 => {
            wdf::memory_create(&raw const a, 512, 1, 16, &raw mut o, &raw mut p);
            // SAFETY: the byte behind the block, which is the lab's.
            unsafe { p.add(16).write(0) };
            wdf::object_delete(o);
        }
        _ => {}
    }
}
