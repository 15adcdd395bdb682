//! The buffers of a request, by its type and transfer method.

use super::abi::{BUFFER_TOO_SMALL, Handle, INSUFFICIENT_RESOURCES, INVALID_DEVICE_REQUEST, NtStatus, SUCCESS};
use super::bind::{G, enter};
use super::device::Device;
use super::irp::Irp;
use super::request::{self, Request};
use super::table::{Entry, entries};
use super::{memory, text};
use crate::fault;
use crate::irql::{DISPATCH, PASSIVE};
use crate::nt::{MDL, mdl_flags};
use crate::report::{Rule, record};

const UNSAFE: Rule = Rule::new(
    "wdf.unsafe-buffer-outside-caller-context",
    "WDK: WdfRequestRetrieveUnsafeUserInputBuffer (only from EvtIoInCallerContext)",
);

/// (length or input length, output length) of an IRP.
#[must_use]
pub fn lengths(irp: Irp) -> (usize, usize) {
    let s = irp.stack();
    // SAFETY: the current stack location; the major function says which parameters it has.
    unsafe {
        match (*s).MajorFunction {
            3 | 4 => ((*s).Parameters.Read.Length as usize, (*s).Parameters.Read.Length as usize),
            13..=15 => (
                (*s).Parameters.DeviceIoControl.InputBufferLength as usize,
                (*s).Parameters.DeviceIoControl.OutputBufferLength as usize,
            ),
            _ => (0, 0),
        }
    }
}

/// I/O control code.
#[must_use]
pub fn control_code(irp: Irp) -> u32 {
    // SAFETY: a device control IRP's current stack location.
    unsafe { (*irp.stack()).Parameters.DeviceIoControl.IoControlCode }
}

/// Transfer method of an I/O control code: 0 buffered, 1 and 2 direct, 3 neither.
#[must_use]
pub fn method(irp: Irp) -> u32 {
    control_code(irp) & 3
}

fn mdl_address(irp: Irp) -> Result<usize, NtStatus> {
    // SAFETY: the IRP is ours; its MDL lives as long as it.
    unsafe {
        let mdl: *mut MDL = (*irp.0).MdlAddress;
        if mdl.is_null() {
            return Err(INVALID_DEVICE_REQUEST);
        }
        let mapped = (*mdl).MdlFlags & (mdl_flags::MAPPED_TO_SYSTEM_VA | mdl_flags::SOURCE_IS_NONPAGED_POOL) != 0;
        let address =
            if mapped { (*mdl).MappedSystemVa.addr() } else { (*mdl).StartVa.addr() + (*mdl).ByteOffset as usize };
        if address == 0 { Err(INSUFFICIENT_RESOURCES) } else { Ok(address) }
    }
}

fn system(irp: Irp) -> usize {
    // SAFETY: the IRP is ours.
    unsafe { (*irp.0).SystemBuffer.addr() }
}

/// The buffer and its length for input (`false`) or output (`true`).
///
/// # Errors
/// As WdfRequestRetrieveInputBuffer and …OutputBuffer document.
pub fn buffer(r: &Request, output: bool) -> Result<(usize, usize), NtStatus> {
    let (input_length, output_length) = lengths(r.irp);
    let length = if output { output_length } else { input_length };
    let direction = match (r.kind, output) {
        // Read has output only, write has input only.
        (3, true) | (4, false) | (14 | 15, _) => true,
        _ => false,
    };
    if !direction {
        return Err(INVALID_DEVICE_REQUEST);
    }
    if length == 0 {
        return Err(BUFFER_TOO_SMALL);
    }
    let direct = match r.kind {
        3 | 4 => match r.device.body::<Device>().io_type {
            2 => false,
            3 => true,
            _ => return Err(INVALID_DEVICE_REQUEST),
        },
        _ => match method(r.irp) {
            0 => false,
            1 | 2 => output,
            _ => return Err(INVALID_DEVICE_REQUEST),
        },
    };
    let address = if direct { mdl_address(r.irp)? } else { system(r.irp) };
    if address == 0 { Err(INVALID_DEVICE_REQUEST) } else { Ok((address, length)) }
}

/// # Safety
/// The out pointers are the driver's.
unsafe fn retrieve(
    call: &'static str,
    handle: Handle,
    minimum: usize,
    out: *mut usize,
    length: *mut usize,
    output: bool,
) -> NtStatus {
    let (_, r) = request::expect_owned(handle);
    match buffer(r, output) {
        Err(s) => s,
        Ok((_, len)) if len < minimum => BUFFER_TOO_SMALL,
        Ok(_) if fault::fails(call) => INSUFFICIENT_RESOURCES,
        Ok((address, len)) => {
            // SAFETY: by contract; Length is optional.
            unsafe {
                text::put(out, address);
                text::put_optional(length, len);
            }
            SUCCESS
        }
    }
}

unsafe extern "win64" fn input_buffer(
    g: G,
    handle: Handle,
    minimum: usize,
    out: *mut usize,
    length: *mut usize,
) -> NtStatus {
    let _call = enter(g, "WdfRequestRetrieveInputBuffer", DISPATCH);
    // SAFETY: the driver's pointers.
    unsafe { retrieve("WdfRequestRetrieveInputBuffer", handle, minimum, out, length, false) }
}

unsafe extern "win64" fn output_buffer(
    g: G,
    handle: Handle,
    minimum: usize,
    out: *mut usize,
    length: *mut usize,
) -> NtStatus {
    let _call = enter(g, "WdfRequestRetrieveOutputBuffer", DISPATCH);
    // SAFETY: the driver's pointers.
    unsafe { retrieve("WdfRequestRetrieveOutputBuffer", handle, minimum, out, length, true) }
}

/// # Safety
/// `out` is the driver's pointer.
unsafe fn retrieve_memory(call: &'static str, handle: Handle, out: *mut Handle, output: bool) -> NtStatus {
    let (o, r) = request::expect_owned(handle);
    let (address, length) = match buffer(r, output) {
        Ok(b) => b,
        Err(s) => return s,
    };
    if fault::fails(call) {
        return INSUFFICIENT_RESOURCES;
    }
    let known = r.state().memory.get(usize::from(output)).copied().unwrap_or(0);
    let memory = if known != 0 {
        known
    } else {
        let m = match memory::over_buffer(o, address, length, !output) {
            Ok(m) => m.handle(),
            Err(s) => return s,
        };
        if let Some(place) = r.state().memory.get_mut(usize::from(output)) {
            *place = m;
        }
        m
    };
    // SAFETY: by contract.
    unsafe { text::put(out, memory) };
    SUCCESS
}

unsafe extern "win64" fn input_memory(g: G, handle: Handle, out: *mut Handle) -> NtStatus {
    let _call = enter(g, "WdfRequestRetrieveInputMemory", DISPATCH);
    // SAFETY: the driver's pointer.
    unsafe { retrieve_memory("WdfRequestRetrieveInputMemory", handle, out, false) }
}

unsafe extern "win64" fn output_memory(g: G, handle: Handle, out: *mut Handle) -> NtStatus {
    let _call = enter(g, "WdfRequestRetrieveOutputMemory", DISPATCH);
    // SAFETY: the driver's pointer.
    unsafe { retrieve_memory("WdfRequestRetrieveOutputMemory", handle, out, true) }
}

/// # Safety
/// `out` is the driver's pointer.
unsafe fn retrieve_mdl(call: &'static str, handle: Handle, out: *mut *mut MDL, output: bool) -> NtStatus {
    let (_, r) = request::expect_owned(handle);
    match buffer(r, output) {
        Ok(_) if fault::fails(call) => INSUFFICIENT_RESOURCES,
        Ok(_) => {
            // SAFETY: the IRP is ours; out by contract.
            unsafe {
                let mdl = (*r.irp.0).MdlAddress;
                if mdl.is_null() {
                    return INVALID_DEVICE_REQUEST;
                }
                text::put(out, mdl);
            }
            SUCCESS
        }
        Err(s) => s,
    }
}

unsafe extern "win64" fn input_mdl(g: G, handle: Handle, out: *mut *mut MDL) -> NtStatus {
    let _call = enter(g, "WdfRequestRetrieveInputWdmMdl", DISPATCH);
    // SAFETY: the driver's pointer.
    unsafe { retrieve_mdl("WdfRequestRetrieveInputWdmMdl", handle, out, false) }
}

unsafe extern "win64" fn output_mdl(g: G, handle: Handle, out: *mut *mut MDL) -> NtStatus {
    let _call = enter(g, "WdfRequestRetrieveOutputWdmMdl", DISPATCH);
    // SAFETY: the driver's pointer.
    unsafe { retrieve_mdl("WdfRequestRetrieveOutputWdmMdl", handle, out, true) }
}

/// # Safety
/// The out pointers are the driver's.
unsafe fn retrieve_unsafe(
    handle: Handle,
    minimum: usize,
    out: *mut usize,
    length: *mut usize,
    output: bool,
) -> NtStatus {
    let (o, r) = request::expect_owned(handle);
    if r.state().queue.is_some() {
        record(UNSAFE, &format!("{o:?} has been in a queue: the caller's address space may not be the current one"));
    }
    let neither = match r.kind {
        3 | 4 => r.device.body::<Device>().io_type == 1 && (r.kind == 3) == output,
        14 | 15 => method(r.irp) == 3,
        _ => false,
    };
    if !neither {
        return INVALID_DEVICE_REQUEST;
    }
    let (input_length, output_length) = lengths(r.irp);
    let len = if output { output_length } else { input_length };
    if len == 0 || len < minimum {
        return BUFFER_TOO_SMALL;
    }
    // SAFETY: the request is not completed, so the IRP lives; out pointers by contract.
    unsafe {
        let direct = matches!(r.kind, 14 | 15) && !output;
        let p =
            if direct { (*r.irp.stack()).Parameters.DeviceIoControl.Type3InputBuffer } else { (*r.irp.0).UserBuffer };
        text::put(out, p.addr());
        text::put_optional(length, len);
    }
    SUCCESS
}

unsafe extern "win64" fn unsafe_input(
    g: G,
    handle: Handle,
    minimum: usize,
    out: *mut usize,
    length: *mut usize,
) -> NtStatus {
    let _call = enter(g, "WdfRequestRetrieveUnsafeUserInputBuffer", PASSIVE);
    // SAFETY: the driver's pointers.
    unsafe { retrieve_unsafe(handle, minimum, out, length, false) }
}

unsafe extern "win64" fn unsafe_output(
    g: G,
    handle: Handle,
    minimum: usize,
    out: *mut usize,
    length: *mut usize,
) -> NtStatus {
    let _call = enter(g, "WdfRequestRetrieveUnsafeUserOutputBuffer", PASSIVE);
    // SAFETY: the driver's pointers.
    unsafe { retrieve_unsafe(handle, minimum, out, length, true) }
}

/// This file's part of the table.
#[must_use]
pub fn table_entries() -> Vec<Entry> {
    entries! {
        "WdfRequestRetrieveInputBuffer" => input_buffer,
        "WdfRequestRetrieveOutputBuffer" => output_buffer,
        "WdfRequestRetrieveInputMemory" => input_memory,
        "WdfRequestRetrieveOutputMemory" => output_memory,
        "WdfRequestRetrieveUnsafeUserInputBuffer" => unsafe_input,
        "WdfRequestRetrieveUnsafeUserOutputBuffer" => unsafe_output,
        "WdfRequestRetrieveInputWdmMdl" => input_mdl,
        "WdfRequestRetrieveOutputWdmMdl" => output_mdl,
    }
}
