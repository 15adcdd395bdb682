//! The requests of users on open files: device control, read, write; their buffers by method, and their completion.

use super::file::{Completed, OpenFile, READ, WRITE, may};
use super::irp::{self, check_information};
use super::poison::{Poison, check_written};
use crate::nt::{
    IO_PARAMETERS_DEVICE_CONTROL, IO_PARAMETERS_READ_WRITE, IRP, MDL, NTSTATUS, dev_flags, irp_flags, mdl_flags, mj,
    status,
};
use crate::objects::Kind;
use crate::report::InCall;
use crate::{mm, pool};
use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

static SYSTEM: Kind = Kind::new("io.system-buffer");
static USER: Kind = Kind::new("io.user-buffer");

/// How a request ended.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// `IoStatus.Status`.
    pub status: NTSTATUS,
    /// `IoStatus.Information`.
    pub information: u64,
    /// The bytes that reach the user.
    pub output: Vec<u8>,
}

impl Outcome {
    fn only(status: NTSTATUS) -> Self {
        Self { status, information: 0, output: Vec::new() }
    }
}

/// One outstanding request: what cancels it.
#[derive(Debug)]
pub struct Request {
    irp: AtomicPtr<IRP>,
    /// The I/O itself, and each cancellation in progress; the last one frees the IRP.
    holders: AtomicU32,
}

impl Request {
    /// `CancelIoEx`: whether the request was outstanding.
    pub fn cancel(&self) -> bool {
        let mut h = self.holders.load(Ordering::Acquire);
        loop {
            if h == 0 {
                return false;
            }
            match self.holders.compare_exchange_weak(h, h + 1, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => break,
                Err(v) => h = v,
            }
        }
        let _c = InCall::enter("IoCancelIrp (by the user)");
        // SAFETY: this holder keeps the IRP's memory.
        unsafe { super::cancel::cancel_irp(self.irp.load(Ordering::Acquire)) };
        self.release();
        true
    }

    fn release(&self) {
        if self.holders.fetch_sub(1, Ordering::AcqRel) == 1 {
            // SAFETY: that was the last holder, and the I/O is complete.
            unsafe { irp::free_irp(self.irp.load(Ordering::Acquire)) };
        }
    }
}

/// The memory of one request.
struct Buffers {
    /// `AssociatedIrp.SystemBuffer`.
    system: *mut u8,
    /// The user's output (or neither-method input) memory.
    user: *mut u8,
    mdl: *mut MDL,
    /// Where the output is taken from, and how many bytes it has room for.
    output: *mut u8,
    output_length: usize,
    /// Bytes of `output` that held input.
    input_length: usize,
    /// What stands where nobody has written.
    poison: Poison,
}
// SAFETY: the blocks are the request's own, and it is one closure that frees them.
unsafe impl Send for Buffers {}

impl Buffers {
    fn none() -> Self {
        Self {
            system: std::ptr::null_mut(),
            user: std::ptr::null_mut(),
            mdl: std::ptr::null_mut(),
            output: std::ptr::null_mut(),
            output_length: 0,
            input_length: 0,
            poison: Poison::fresh(),
        }
    }

    fn free(&self) {
        // SAFETY: the blocks are live and the request's own; completion took the pages' lock and mapping with it.
        unsafe {
            if let Some(m) = self.mdl.as_mut() {
                m.MdlFlags &= !(mdl_flags::PAGES_LOCKED | mdl_flags::MAPPED_TO_SYSTEM_VA);
                mm::free(m);
            }
            for p in [self.system, self.user] {
                if !p.is_null() {
                    pool::free_lab(p);
                }
            }
        }
    }
}

/// How an I/O control code passes its buffers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    Buffered,
    InDirect,
    OutDirect,
    Neither,
}

const fn method(code: u32) -> Method {
    match code & 3 {
        0 => Method::Buffered,
        1 => Method::InDirect,
        2 => Method::OutDirect,
        _ => Method::Neither,
    }
}

/// A device control as a user issues it.
#[derive(Debug)]
pub struct Control<'a> {
    /// The I/O control code.
    pub code: u32,
    /// Input, or `None` for a null pointer (whose length then counts as zero).
    pub input: Option<&'a [u8]>,
    /// Length of the output buffer, or `None` for a null pointer.
    pub output: Option<usize>,
}

/// Locked pages over a user's buffer.
fn locked(p: *mut u8, length: usize) -> *mut MDL {
    let m = mm::allocate(p.cast(), u32::try_from(length).unwrap_or(u32::MAX));
    // SAFETY: the MDL is fresh.
    unsafe { (*m).MdlFlags |= mdl_flags::PAGES_LOCKED | mdl_flags::WRITE_OPERATION };
    m
}

impl OpenFile {
    /// `NtDeviceIoControlFile`. The request is null where it failed before it reached the driver.
    pub fn control(self: &Arc<Self>, c: &Control<'_>, done: Completed) -> Option<Arc<Request>> {
        let needed = c.code >> 14 & 3;
        if (needed & 1 != 0 && !may(self.access, READ)) || (needed & 2 != 0 && !may(self.access, WRITE)) {
            done(Outcome::only(status::ACCESS_DENIED));
            return None;
        }
        let input = c.input.unwrap_or(&[]);
        let output_length = c.output.unwrap_or(0);
        let mut b = Buffers { output_length, ..Buffers::none() };
        let m = method(c.code);
        let mut type3: *mut c_void = std::ptr::null_mut();
        match m {
            Method::Buffered => {
                let size = input.len().max(output_length);
                if size != 0 {
                    b.system = b.poison.filled(&SYSTEM, size, input);
                }
                b.output = b.system;
                b.input_length = input.len();
            }
            Method::InDirect | Method::OutDirect => {
                if !input.is_empty() {
                    b.system = b.poison.filled(&SYSTEM, input.len(), input);
                }
                if output_length != 0 {
                    b.user = b.poison.filled(&USER, output_length, &[]);
                    b.mdl = locked(b.user, output_length);
                }
                b.output = b.user;
            }
            Method::Neither => {
                if !input.is_empty() {
                    b.system = b.poison.filled(&SYSTEM, input.len(), input);
                    type3 = b.system.cast();
                }
                if output_length != 0 {
                    b.user = b.poison.filled(&USER, output_length, &[]);
                }
                b.output = b.user;
            }
        }
        let parameters = IO_PARAMETERS_DEVICE_CONTROL {
            OutputBufferLength: u32::try_from(output_length).unwrap_or(u32::MAX),
            Pad: 0,
            InputBufferLength: u32::try_from(input.len()).unwrap_or(u32::MAX),
            Pad2: 0,
            IoControlCode: c.code,
            Pad3: 0,
            Type3InputBuffer: type3,
        };
        let what = format!("IOCTL {:#010x}", c.code);
        let (system, user, mdl) = (b.system, b.user, b.mdl);
        Some(self.send(mj::DEVICE_CONTROL, b, what, done, |i, s| {
            // SAFETY: `send` passes a fresh IRP and its next location.
            unsafe {
                (*s).Parameters.DeviceIoControl = parameters;
                if m != Method::Neither {
                    (*i).SystemBuffer = system.cast();
                }
                (*i).MdlAddress = mdl;
                (*i).UserBuffer = user.cast();
                if m == Method::Buffered {
                    (*i).Flags = irp_flags::BUFFERED_IO | irp_flags::DEALLOCATE_BUFFER | irp_flags::INPUT_OPERATION;
                }
            }
        }))
    }

    /// `NtReadFile`.
    pub fn read(self: &Arc<Self>, length: usize, done: Completed) -> Option<Arc<Request>> {
        self.transfer(mj::READ, length, &[], done)
    }

    /// `NtWriteFile`.
    pub fn write(self: &Arc<Self>, bytes: &[u8], done: Completed) -> Option<Arc<Request>> {
        self.transfer(mj::WRITE, bytes.len(), bytes, done)
    }

    fn transfer(self: &Arc<Self>, major: u8, length: usize, bytes: &[u8], done: Completed) -> Option<Arc<Request>> {
        let reading = major == mj::READ;
        if !may(self.access, if reading { READ } else { WRITE }) {
            done(Outcome::only(status::ACCESS_DENIED));
            return None;
        }
        // SAFETY: the device lives while the file references it.
        let flags = unsafe { (*self.top).Flags };
        let mut b = Buffers { output_length: length, input_length: bytes.len(), ..Buffers::none() };
        let mut memory = std::ptr::null_mut();
        if length != 0 {
            memory = b.poison.filled(if flags & dev_flags::BUFFERED_IO != 0 { &SYSTEM } else { &USER }, length, bytes);
        }
        b.output = memory;
        if flags & dev_flags::BUFFERED_IO != 0 {
            b.system = memory;
        } else {
            b.user = memory;
            if flags & dev_flags::DIRECT_IO != 0 && length != 0 {
                b.mdl = locked(memory, length);
            }
        }
        let parameters = IO_PARAMETERS_READ_WRITE {
            Length: u32::try_from(length).unwrap_or(u32::MAX),
            Pad: 0,
            Key: 0,
            Flags: 0,
            ByteOffset: 0,
        };
        let (system, user, mdl) = (b.system, b.user, b.mdl);
        Some(self.send(major, b, if reading { "read" } else { "write" }.to_owned(), done, |i, s| {
            // SAFETY: `send` passes a fresh IRP and its next location.
            unsafe {
                (*s).Parameters.Read = parameters;
                (*i).SystemBuffer = system.cast();
                (*i).MdlAddress = mdl;
                (*i).UserBuffer = user.cast();
                (*i).Flags = if reading { irp_flags::READ_OPERATION } else { irp_flags::WRITE_OPERATION }
                    | if system.is_null() { 0 } else { irp_flags::BUFFERED_IO | irp_flags::DEALLOCATE_BUFFER };
            }
        }))
    }

    fn send(
        self: &Arc<Self>,
        major: u8,
        buffers: Buffers,
        what: String,
        done: Completed,
        fill: impl FnOnce(*mut IRP, *mut crate::nt::IO_STACK_LOCATION),
    ) -> Arc<Request> {
        let request = Arc::new(Request { irp: AtomicPtr::new(std::ptr::null_mut()), holders: AtomicU32::new(1) });
        let (file, mine) = (Arc::clone(self), Arc::clone(&request));
        let finish = Box::new(move |i: *mut IRP| {
            // SAFETY: the I/O manager hands the completed IRP over.
            let (code, information) = unsafe { ((*i).IoStatus.Status, (*i).IoStatus.Information) };
            let mut output = Vec::new();
            // Errors (0xC...) copy nothing.
            let severe = code.cast_unsigned() >> 30 == 3;
            if !severe && major == mj::WRITE {
                check_information(information, buffers.output_length as u64, &what);
            } else if !severe {
                check_information(information, buffers.output_length as u64, &what);
                if information != 0 {
                    let n = usize::try_from(information).unwrap_or(0);
                    // SAFETY: the output buffer has at least `information` bytes, as just checked.
                    output = unsafe { std::slice::from_raw_parts(buffers.output, n) }.to_vec();
                    check_written(&output, buffers.input_length, buffers.poison, &what);
                }
            }
            buffers.free();
            file.end(&mine);
            mine.release();
            done(Outcome { status: code, information, output });
        });
        // SAFETY: the device lives while the file references it; the IRP is fresh.
        unsafe {
            let i = irp::allocate_irp_with((*self.top).StackSize, finish);
            request.irp.store(i, Ordering::Release);
            self.address(i, major);
            fill(i, irp::next_stack(i));
            self.begin(&request);
            irp::call_driver(self.top, i);
        }
        request
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_by_code() {
        assert_eq!(
            [0x22_0000, 0x22_0001, 0x22_0002, 0x22_0003].map(method),
            [Method::Buffered, Method::InDirect, Method::OutDirect, Method::Neither]
        );
    }
}
