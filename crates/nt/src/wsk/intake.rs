//! Receiving from a stream: one WskReceive at a time, into one of a few buffers of our own.
//!
//! Data that nobody takes stays with the sender: no free buffer, no receive, and TCP's window closes. A receive goes through
//! `IDLE -> POSTED -> ENDED -> READING -> IDLE`; each step is one exchange of `state`, so whoever made it owns what the step is about:
//! the poster the buffer, the completion routine the result, the reader the beginning of an unfinished message.

use super::irp::MORE_PROCESSING_REQUIRED;
use super::pending::InFlight;
use super::stream::Core;
use crate::status::{Result, Status};
use alloc::boxed::Box;
use core::cell::UnsafeCell;
use core::ffi::c_void;
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::{AtomicI32, AtomicU32, AtomicUsize, Ordering, fence};
use dco_sync::{Queue, try_box, try_box_slice};
use nt_sys::wsk::WSK_BUF;
use nt_sys::{DEVICE_OBJECT, IRP, NTSTATUS, PMDL, ntddk};

/// No receive is out.
const IDLE: u32 = 0;
/// WSK has it.
const POSTED: u32 = 1;
/// It has ended, and nobody has looked.
const ENDED: u32 = 2;
/// Somebody looks at what it brought.
const READING: u32 = 3;
/// The stream is over: there will be no other.
const OVER: u32 = 4;

/// How a stream's buffers are made.
#[derive(Clone, Copy, Debug)]
pub struct BufferSizes {
    /// How many: what may lie unread in our hands.
    pub count: usize,
    /// Bytes that one receive may bring.
    pub capacity: usize,
    /// The most that [`Received::keep_rest`] is asked to keep.
    pub rest: usize,
}

/// A buffer: room for the rest of the one before, then room for a receive.
struct Buffer {
    wsk: WSK_BUF,
    mdl: PMDL,
    data: Box<[u8]>,
    /// The part that is of interest.
    start: usize,
    end: usize,
}

// SAFETY: a buffer has one owner at a time; its MDL belongs to it.
unsafe impl Send for Buffer {}

impl Buffer {
    fn new(sizes: BufferSizes) -> core::result::Result<Box<Self>, dco_sync::OutOfMemory> {
        let len = sizes.rest.saturating_add(sizes.capacity);
        let data = try_box_slice(len, |_| Ok(0))?;
        let wsk = WSK_BUF { Mdl: null_mut(), Offset: 0, Length: 0 };
        // Owned from here on: an early return frees what was made.
        let mut this = try_box(Self { wsk, mdl: null_mut(), data, start: 0, end: 0 })?;
        // SAFETY: the data lies in non-paged pool and stays in place as long as the MDL, which `drop` frees first.
        this.mdl = unsafe { ntddk::IoAllocateMdl(this.data.as_mut_ptr().cast(), len as u32, 0, 0, null_mut()) };
        if this.mdl.is_null() {
            return Err(dco_sync::OutOfMemory);
        }
        // SAFETY: the MDL was just allocated for this non-paged memory.
        unsafe { ntddk::MmBuildMdlForNonPagedPool(this.mdl) };
        this.wsk = WSK_BUF { Mdl: this.mdl, Offset: sizes.rest as u32, Length: sizes.capacity as _ };
        Ok(this)
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if !self.mdl.is_null() {
            // SAFETY: made by `new`, and in no request.
            unsafe { ntddk::IoFreeMdl(self.mdl) };
        }
    }
}

/// The receiving half of a stream socket.
pub(super) struct Intake {
    state: AtomicU32,
    irp: NonNull<IRP>,
    free: Queue<Box<Buffer>>,
    /// The buffer of the receive that is out or has ended.
    posted: UnsafeCell<Option<Box<Buffer>>>,
    status: AtomicI32,
    length: AtomicUsize,
    /// The beginning of a message whose end has not come.
    rest: UnsafeCell<Rest>,
    sizes: BufferSizes,
}

struct Rest {
    bytes: Box<[u8]>,
    len: usize,
}

// SAFETY: the IRP is used by one receive at a time (`state`), on whatever thread.
unsafe impl Send for Intake {}
// SAFETY: the cells are reached by the owner of the state alone (see the module).
unsafe impl Sync for Intake {}

impl Intake {
    /// Buffers, and nothing received. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// NO_MEMORY, INSUFFICIENT_RESOURCES.
    pub(super) fn new(sizes: BufferSizes) -> Result<Self> {
        let free = Queue::try_new(sizes.count)?;
        for _ in 0..sizes.count {
            // The queue has room for each; one it refused would be freed.
            let _ = free.push(Buffer::new(sizes)?);
        }
        let rest = UnsafeCell::new(Rest { bytes: try_box_slice(sizes.rest, |_| Ok(0))?, len: 0 });
        // SAFETY: one stack location, no quota.
        let irp = NonNull::new(unsafe { ntddk::IoAllocateIrp(1, 0) }).ok_or(Status::INSUFFICIENT_RESOURCES)?;
        Ok(Self {
            state: AtomicU32::new(IDLE),
            irp,
            free,
            posted: UnsafeCell::new(None),
            status: AtomicI32::new(0),
            length: AtomicUsize::new(0),
            rest,
            sizes,
        })
    }

    fn step(&self, from: u32, to: u32) -> bool {
        self.state.compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// Asks for more, unless a receive is out, or its result unread, or no buffer is free: whoever gives one back comes here again.
    /// IRQL <= DISPATCH_LEVEL, not in a completion routine.
    pub(super) fn post(core: &Core) {
        let this = &core.intake;
        while !core.closing.load(Ordering::SeqCst) && this.step(IDLE, POSTED) {
            if let Some(buffer) = this.free.pop() {
                return Self::submit(core, buffer);
            }
            this.state.store(IDLE, Ordering::SeqCst);
            // A buffer that came back in between found the state POSTED and went away: look again. Not for one that is just coming back:
            // it comes here itself, and the processor that brings it may be the one this has interrupted.
            fence(Ordering::SeqCst);
            if !this.free.is_ready() {
                return;
            }
        }
    }

    fn submit(core: &Core, buffer: Box<Buffer>) {
        let this = &core.intake;
        let Some(receive) = core.handle.dispatch().and_then(|d| d.WskReceive) else { return };
        let irp = this.irp.as_ptr();
        core.in_flight.begin();
        // SAFETY: POSTED makes cell and IRP this call's; from the call on they are the completion routine's. The buffer stays in its
        // box, in the cell, until the completion.
        unsafe {
            let wsk = &raw mut (*this.posted.get()).insert(buffer).wsk;
            ntddk::IoReuseIrp(irp, Status::SUCCESS.0);
            nt_sys::IoSetCompletionRoutine(
                irp,
                Some(ended),
                core::ptr::from_ref(core).cast_mut().cast(),
                true,
                true,
                true,
            );
            let _ = receive(core.handle.raw(), wsk, 0, irp);
        }
    }

    /// What the receive that has ended brought.
    pub(super) fn take(core: &Core) -> Option<Arrived<'_>> {
        let this = &core.intake;
        if !this.step(ENDED, READING) {
            return None;
        }
        // SAFETY: READING makes both cells this call's.
        let (buffer, rest) = unsafe { ((*this.posted.get()).take(), &mut *this.rest.get()) };
        let status = Status(this.status.load(Ordering::Relaxed));
        let length = this.length.load(Ordering::Relaxed).min(this.sizes.capacity);
        match buffer {
            Some(mut buffer) if status.is_success() && length != 0 => {
                // What was left goes before what came.
                let kept = core::mem::take(&mut rest.len);
                let start = this.sizes.rest.saturating_sub(kept);
                let room = buffer.data.get_mut(start..).and_then(|room| room.get_mut(..kept));
                if let (Some(to), Some(from)) = (room, rest.bytes.get(..kept)) {
                    to.copy_from_slice(from);
                }
                buffer.start = start;
                buffer.end = this.sizes.rest.saturating_add(length);
                Some(Arrived::Data(Received { core, buffer: Some(buffer), over: false }))
            }
            buffer => {
                if let Some(buffer) = buffer {
                    let _ = this.free.push(buffer);
                }
                let unfinished = rest.len;
                this.state.store(OVER, Ordering::SeqCst);
                Some(Arrived::End { status, unfinished })
            }
        }
    }

    /// Takes a buffer back and asks for more where that had to wait for one. IRQL <= DISPATCH_LEVEL.
    fn put(core: &Core, buffer: Box<Buffer>) {
        // The queue has room for every buffer there is.
        let _ = core.intake.free.push(buffer);
        fence(Ordering::SeqCst);
        Self::post(core);
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        // SAFETY: allocated by `new`; the socket has waited for its receive.
        unsafe { ntddk::IoFreeIrp(self.irp.as_ptr()) };
    }
}

unsafe extern "C" fn ended(_: *mut DEVICE_OBJECT, irp: *mut IRP, core: *mut c_void) -> NTSTATUS {
    if let Some(core) = NonNull::new(core.cast::<Core>()) {
        // SAFETY: `submit` passed the socket's core, which waits for `in_flight`; the IRP is completed.
        unsafe {
            let this = core.as_ref();
            let (status, length) = nt_sys::IrpStatus(irp);
            this.intake.status.store(status, Ordering::Relaxed);
            this.intake.length.store(length as usize, Ordering::Relaxed);
            this.intake.state.store(ENDED, Ordering::SeqCst);
            this.events.received();
            InFlight::end(NonNull::from(&this.in_flight));
        }
    }
    MORE_PROCESSING_REQUIRED
}

/// What a receive brought.
pub enum Arrived<'s> {
    /// Bytes of the stream.
    Data(Received<'s>),
    /// The stream is over.
    End {
        /// SUCCESS where the other end closed it.
        status: Status,
        /// Bytes that were kept and have no end.
        unfinished: usize,
    },
}

/// Bytes of the stream: what was kept of those before, and those that came. Dropping it gives back what was not lent and sends the
/// next receive out. IRQL <= DISPATCH_LEVEL.
pub struct Received<'s> {
    core: &'s Core,
    buffer: Option<Box<Buffer>>,
    over: bool,
}

impl Received<'_> {
    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.buffer.as_ref().and_then(|b| b.data.get(b.start..b.end)).unwrap_or_default()
    }

    /// Takes the last `len` bytes away, to stand before what comes next. False where they are more than the stream was made for; then
    /// nothing changes.
    #[must_use]
    pub fn keep_rest(&mut self, len: usize) -> bool {
        let Some((_, from)) = self.bytes().len().checked_sub(len).and_then(|at| self.bytes().split_at_checked(at))
        else {
            return false;
        };
        // SAFETY: the state is READING as long as this exists, so the cell is this object's.
        let rest = unsafe { &mut *self.core.intake.rest.get() };
        let (Some(to), Some(from)) = (rest.bytes.get_mut(..len), from.get(..len)) else { return false };
        to.copy_from_slice(from);
        rest.len = len;
        self.cut(len);
        true
    }

    /// Takes the last `len` bytes away for good.
    pub fn cut(&mut self, len: usize) {
        if let Some(buffer) = &mut self.buffer {
            buffer.end = buffer.end.saturating_sub(len).max(buffer.start);
        }
    }

    /// Nothing more is to be received.
    pub fn end(&mut self) {
        self.over = true;
    }

    /// The buffer with the bytes, to be kept as long as one likes; the stream stops when all are kept.
    #[must_use]
    pub fn lend(&mut self) -> Option<StreamBuffer> {
        let buffer = self.buffer.take()?;
        self.core.lent.fetch_add(1, Ordering::Relaxed);
        Some(StreamBuffer { buffer: Some(buffer), core: NonNull::from(self.core) })
    }
}

impl Drop for Received<'_> {
    fn drop(&mut self) {
        let this = &self.core.intake;
        if let Some(buffer) = self.buffer.take() {
            let _ = this.free.push(buffer);
        }
        this.state.store(if self.over { OVER } else { IDLE }, Ordering::SeqCst);
        Intake::post(self.core);
    }
}

/// A buffer with bytes of the stream, read from the front. It is given back when dropped, which may send the next receive out.
/// IRQL <= DISPATCH_LEVEL; the socket's close waits for it.
pub struct StreamBuffer {
    buffer: Option<Box<Buffer>>,
    core: NonNull<Core>,
}

// SAFETY: a lent buffer belongs to its owner, on whatever thread; the core is Sync.
unsafe impl Send for StreamBuffer {}

impl StreamBuffer {
    /// The bytes not yet taken.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.buffer.as_ref().and_then(|b| b.data.get(b.start..b.end)).unwrap_or_default()
    }

    /// Takes `len` bytes from the front; `None` where there are not as many.
    pub fn take(&mut self, len: usize) -> Option<&[u8]> {
        let buffer = self.buffer.as_mut()?;
        let end = buffer.start.checked_add(len).filter(|end| *end <= buffer.end)?;
        let taken = buffer.data.get(buffer.start..end)?;
        buffer.start = end;
        Some(taken)
    }
}

impl Drop for StreamBuffer {
    fn drop(&mut self) {
        // SAFETY: the core lives until nothing is lent, and this is counted.
        let core = unsafe { self.core.as_ref() };
        if let Some(buffer) = self.buffer.take() {
            Intake::put(core, buffer);
        }
        core.lent.fetch_sub(1, Ordering::Release);
    }
}
