//! Send buffers: made once, filled in place, chained, sent, and back in the pool when the send has completed.

use super::address::RawAddress;
use super::irp::MORE_PROCESSING_REQUIRED;
use super::pending::InFlight;
use crate::netcx::TxNotifier;
use crate::status::{Result, Status};
use core::alloc::Layout;
use core::ffi::c_void;
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use dco_sync::{Queue, Shared};
use nt_sys::wsk::{SOCKADDR, WSK_BUF, WSK_BUF_LIST};
use nt_sys::{DEVICE_OBJECT, IRP, NTSTATUS, PIRP, PMDL, ntddk};

/// The least that a send buffer holds: a full tunnel packet (1500) with its overhead, or a control packet. Larger ones are multiples of
/// [`BUFFER_STEP`].
const BUFFER_LEN: usize = 2048;
const BUFFER_STEP: usize = 1024;

/// Room before each packet, for what a stream puts there.
pub const PREFIX_LEN: usize = 2;

/// Buffers that the Tx queue leaves for what cannot wait on its ring: control packets, pings. A congested stream keeps all others.
const RESERVE: usize = 32;

/// One buffer, and behind it its memory: room for a prefix, and `len` bytes. `list` stands first: WSK's chain of `WSK_BUF_LIST` is our
/// chain of buffers.
#[repr(C)]
struct Buffer {
    list: WSK_BUF_LIST,
    mdl: PMDL,
    /// The IRP of the send that this buffer heads.
    irp: PIRP,
    pool: *const SendPool,
    /// Where the send that this buffer heads is counted while it is in flight, and what it carries.
    in_flight: Option<NonNull<InFlight>>,
    control: bool,
    /// The MDL is cut to the packet, and linked to the next one's.
    cut: bool,
    /// Where the send that this buffer heads goes, if its socket does not say.
    to: RawAddress,
    /// Bytes of memory behind the prefix.
    len: usize,
}

/// How a buffer for packets of `len` bytes lies in memory.
fn layout(len: usize) -> Option<Layout> {
    // Bytes need no alignment, so they begin where the structure ends.
    let memory = Layout::array::<u8>(len.checked_add(PREFIX_LEN)?).ok()?;
    Layout::new::<Buffer>().extend(memory).ok().map(|(layout, _)| layout)
}

/// Where a buffer's memory begins, with the prefix.
///
/// # Safety
/// The buffer was allocated with its memory behind it ([`layout`]).
unsafe fn memory_of(buffer: NonNull<Buffer>) -> *mut u8 {
    // SAFETY: the memory follows the structure in the same allocation.
    unsafe { buffer.as_ptr().add(1).cast::<u8>() }
}

/// A buffer owned by its holder; give it back with [`SendPool::put`] or send it in a [`Chain`]. Dropping it frees its memory.
pub struct SendBuffer(NonNull<Buffer>);

// SAFETY: the holder owns the buffer alone.
unsafe impl Send for SendBuffer {}

impl SendBuffer {
    fn new(pool: *const SendPool, len: usize) -> Result<Self> {
        let layout = layout(len).ok_or(Status::INVALID_PARAMETER)?;
        // SAFETY: the layout is not empty.
        let raw = unsafe { alloc::alloc::alloc_zeroed(layout) }.cast::<Buffer>();
        let Some(raw) = NonNull::new(raw) else { return Err(Status::NO_MEMORY) };
        // SAFETY: the memory was just allocated, and begins with a `Buffer`, for which all zeroes is valid.
        unsafe { (*raw.as_ptr()).len = len };
        // Owned from here on: an early return frees what was made.
        let this = Self(raw);
        // SAFETY: allocated above, with this layout.
        let memory = unsafe { memory_of(raw) };
        // SAFETY: the buffer is this object's own.
        let b = unsafe { &mut *raw.as_ptr() };
        b.pool = pool;
        // SAFETY: the memory, prefix and all, lies in non-paged pool and stays in place.
        b.mdl = unsafe { ntddk::IoAllocateMdl(memory.cast(), (PREFIX_LEN + len) as u32, 0, 0, null_mut()) };
        if b.mdl.is_null() {
            return Err(Status::INSUFFICIENT_RESOURCES);
        }
        // SAFETY: the MDL was just allocated for this non-paged memory.
        unsafe { ntddk::MmBuildMdlForNonPagedPool(b.mdl) };
        // SAFETY: one stack location, no quota.
        b.irp = unsafe { ntddk::IoAllocateIrp(1, 0) };
        if b.irp.is_null() {
            return Err(Status::INSUFFICIENT_RESOURCES);
        }
        Ok(this)
    }

    /// The whole buffer, as many bytes as its pool's buffers have.
    pub fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: the buffer is this object's own, and was allocated with a prefix and `len` zeroed bytes behind the structure.
        unsafe { core::slice::from_raw_parts_mut(memory_of(self.0).add(PREFIX_LEN), (*self.0.as_ptr()).len) }
    }
}

impl Drop for SendBuffer {
    fn drop(&mut self) {
        // SAFETY: owned, and in no chain; `new` made these parts, or left them null.
        unsafe {
            let b = &mut *self.0.as_ptr();
            if !b.irp.is_null() {
                ntddk::IoFreeIrp(b.irp);
            }
            if !b.mdl.is_null() {
                ntddk::IoFreeMdl(b.mdl);
            }
            if let Some(layout) = layout(b.len) {
                alloc::alloc::dealloc(self.0.as_ptr().cast(), layout);
            }
        }
    }
}

/// A bounded pool of send buffers, lock-free. All buffers are made at creation: the data path allocates nothing.
pub struct SendPool {
    buffer_len: usize,
    free: Queue<SendBuffer>,
    starved: AtomicBool,
    failed: [AtomicU64; 2],
    /// Wakes the Tx queue once buffers are back after it ran dry.
    pub tx: TxNotifier,
}

/// What a chain carries: its losses are counted apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Traffic {
    /// Data packets.
    Data,
    /// Control packets.
    Control,
}

impl SendPool {
    /// A pool of `count` buffers for packets of up to `longest` bytes (2048 at least), shared because buffers point back at it. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// NO_MEMORY, INSUFFICIENT_RESOURCES.
    pub fn new(count: usize, longest: usize) -> Result<Shared<Self>> {
        let buffer_len =
            longest.checked_next_multiple_of(BUFFER_STEP).ok_or(Status::INVALID_PARAMETER)?.max(BUFFER_LEN);
        let pool = Shared::try_new(Self {
            buffer_len,
            // Twice as many places as buffers: a place may still be occupied by a pop that has not ended when the next lap comes to it.
            free: Queue::try_new(count.saturating_mul(2))?,
            starved: AtomicBool::new(false),
            failed: [AtomicU64::new(0), AtomicU64::new(0)],
            tx: TxNotifier::new(),
        })?;
        for _ in 0..count {
            let buffer = SendBuffer::new(&raw const *pool, buffer_len)?;
            if pool.free.push(buffer).is_err() {
                break;
            }
        }
        Ok(pool)
    }

    /// Bytes of each buffer.
    #[must_use]
    pub fn buffer_len(&self) -> usize {
        self.buffer_len
    }

    /// Takes a buffer. IRQL <= DISPATCH_LEVEL.
    pub fn take(&self) -> Option<SendBuffer> {
        self.free.pop()
    }

    /// The Tx queue begins a pass: it does not want for buffers until [`take_or_starve`](Self::take_or_starve) says so.
    pub fn begin_pass(&self) {
        self.starved.store(false, Ordering::Relaxed);
    }

    /// Takes a buffer for the Tx queue, which leaves a few for others. `None` says that it wants to be notified when one is back. IRQL <= DISPATCH_LEVEL.
    ///
    /// Looks again after saying so: a buffer that came back in between would notify nobody.
    pub fn take_or_starve(&self) -> Option<SendBuffer> {
        if let Some(buffer) = self.spare() {
            return Some(buffer);
        }
        self.starved.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        self.spare()
    }

    /// A buffer beyond the reserve.
    fn spare(&self) -> Option<SendBuffer> {
        if self.free.len() > RESERVE { self.free.pop() } else { None }
    }

    /// Gives an unused buffer back. IRQL <= DISPATCH_LEVEL.
    pub fn put(&self, buffer: SendBuffer) {
        self.keep(buffer);
        self.returned();
    }

    fn keep(&self, buffer: SendBuffer) {
        // The queue has room for every buffer there is, twice; a failure would free the buffer, not lose it.
        let _ = self.free.push(buffer);
    }

    /// How many buffers are free: a hint.
    #[must_use]
    pub fn free(&self) -> usize {
        self.free.len()
    }

    /// Whether the Tx queue waits for buffers although some are there.
    #[must_use]
    pub fn can_resume(&self) -> bool {
        fence(Ordering::SeqCst);
        self.starved.load(Ordering::Relaxed) && self.free.len() > RESERVE
    }

    /// Packets of this kind whose send failed, since creation.
    #[must_use]
    pub fn failed(&self, traffic: Traffic) -> u64 {
        self.failures(traffic).load(Ordering::Relaxed)
    }

    fn failures(&self, traffic: Traffic) -> &AtomicU64 {
        let [data, control] = &self.failed;
        match traffic {
            Traffic::Data => data,
            Traffic::Control => control,
        }
    }

    /// A buffer is back. `starved` stays set until the queue's next pass, so that the look it takes after arming sees it too.
    fn returned(&self) {
        if self.can_resume() {
            self.tx.notify();
        }
    }
}

/// Filled buffers for one destination, in order.
pub struct Chain<'p> {
    head: Option<NonNull<Buffer>>,
    tail: Option<NonNull<Buffer>>,
    pool: &'p SendPool,
    traffic: Traffic,
    len: usize,
}

impl<'p> Chain<'p> {
    /// An empty chain for buffers of `pool`.
    #[must_use]
    pub fn new(pool: &'p SendPool, traffic: Traffic) -> Self {
        Self { head: None, tail: None, pool, traffic, len: 0 }
    }

    /// The pool its buffers go back to.
    pub(super) fn pool(&self) -> &'p SendPool {
        self.pool
    }

    /// How many packets it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.head.is_none()
    }

    /// Appends a buffer of the chain's pool, whose first `len` bytes are one packet. (A buffer of another pool is freed.)
    pub fn push(&mut self, buffer: SendBuffer, len: usize) {
        let raw = buffer.0;
        // SAFETY: the buffer is the caller's own.
        if !core::ptr::eq(unsafe { raw.as_ref() }.pool, self.pool) {
            return;
        }
        core::mem::forget(buffer);
        // SAFETY: the buffer was owned by the caller and is the chain's now.
        let b = unsafe { &mut *raw.as_ptr() };
        b.list = WSK_BUF_LIST {
            Next: null_mut(),
            Buffer: WSK_BUF { Mdl: b.mdl, Offset: PREFIX_LEN as u32, Length: len.min(b.len) as _ },
        };
        match self.tail {
            // SAFETY: the tail is the chain's own. A buffer pointer is a pointer to its `list`, the first field.
            Some(tail) => unsafe { (*tail.as_ptr()).list.Next = raw.as_ptr().cast() },
            None => self.head = Some(raw),
        }
        self.tail = Some(raw);
        self.len = self.len.saturating_add(1);
    }

    /// Gives the buffers back and counts their packets as failed. IRQL <= DISPATCH_LEVEL.
    pub fn fail(mut self) {
        let Some(head) = self.head.take() else { return };
        // SAFETY: the chain owns its buffers, and they were not sent.
        let count = unsafe { give_back(head) };
        self.pool.failures(self.traffic).fetch_add(count, Ordering::Relaxed);
    }

    /// Hands the chain to `send` as WSK wants it: list, and an IRP whose completion gives the buffers back to their pool and then
    /// ends the send's count in `in_flight`. `send` passes the IRP to one WSK send function.
    pub(super) fn submit(self, in_flight: &InFlight, send: impl FnOnce(*mut WSK_BUF_LIST, PIRP) -> NTSTATUS) {
        let Some((head, irp)) = self.prepare(in_flight) else { return };
        let _ = send(head.as_ptr().cast(), irp);
    }

    /// The same with an address of the chain's own, which lives as long as the send.
    pub(super) fn submit_to(
        self,
        in_flight: &InFlight,
        to: RawAddress,
        send: impl FnOnce(*mut WSK_BUF_LIST, *mut SOCKADDR, PIRP) -> NTSTATUS,
    ) {
        let Some((head, irp)) = self.prepare(in_flight) else { return };
        // SAFETY: the head is the IRP's completion's, which cannot run before `send`; nobody else has it.
        let to = unsafe {
            let b = &mut *head.as_ptr();
            b.to = to;
            b.to.as_mut_ptr()
        };
        let _ = send(head.as_ptr().cast(), to, irp);
    }

    /// The same as one piece of a stream: each packet behind its prefix, all MDLs in one chain.
    pub(super) fn submit_stream(
        self,
        in_flight: &InFlight,
        prefix: fn(usize) -> [u8; PREFIX_LEN],
        send: impl FnOnce(*mut WSK_BUF, PIRP) -> NTSTATUS,
    ) {
        let Some((head, irp)) = self.prepare(in_flight) else { return };
        // SAFETY: the chain owned its buffers, and until `send` nobody else has them. An MDL that describes non-paged pool may be
        // shortened, as NDIS drivers do: nothing but its length changes.
        let list = unsafe {
            let mut total = 0;
            let mut next = Some(head);
            while let Some(mut raw) = next {
                let b = raw.as_mut();
                next = NonNull::new(b.list.Next.cast::<Buffer>());
                let len = b.list.Buffer.Length as usize;
                memory_of(raw).cast::<[u8; PREFIX_LEN]>().write(prefix(len));
                b.cut = true;
                (*b.mdl).ByteCount = (PREFIX_LEN + len) as u32;
                (*b.mdl).Next = next.map_or(null_mut(), |next| next.as_ref().mdl);
                total += PREFIX_LEN + len;
            }
            let b = &mut *head.as_ptr();
            b.list.Buffer = WSK_BUF { Mdl: b.mdl, Offset: 0, Length: total as _ };
            &raw mut b.list.Buffer
        };
        let _ = send(list, irp);
    }

    /// Makes the chain the completion's of the IRP that is returned with its head; counts it in `in_flight`.
    fn prepare(mut self, in_flight: &InFlight) -> Option<(NonNull<Buffer>, PIRP)> {
        let head = self.head.take()?;
        self.tail = None;
        in_flight.begin_with(self.len);
        // SAFETY: the chain owned its buffers; from here on the IRP's completion does.
        let b = unsafe { &mut *head.as_ptr() };
        b.in_flight = Some(NonNull::from(in_flight));
        b.control = self.traffic == Traffic::Control;
        let irp = b.irp;
        // SAFETY: the IRP is this buffer's own and not in use; it is made fresh for the next trip.
        unsafe {
            ntddk::IoReuseIrp(irp, Status::SUCCESS.0);
            nt_sys::IoSetCompletionRoutine(irp, Some(sent), head.as_ptr().cast(), true, true, true);
        }
        Some((head, irp))
    }
}

impl Drop for Chain<'_> {
    fn drop(&mut self) {
        if let Some(head) = self.head.take() {
            // SAFETY: the chain owns its buffers, and they were not sent.
            unsafe { give_back(head) };
        }
    }
}

/// Puts a chain's buffers into their pool; returns how many they were.
///
/// # Safety
/// The chain from `head` on is owned by the caller.
unsafe fn give_back(head: NonNull<Buffer>) -> u64 {
    let mut count = 0;
    let mut next = Some(head);
    // SAFETY: the buffer is owned (caller).
    let pool = unsafe { head.as_ref() }.pool;
    while let Some(raw) = next {
        // SAFETY: the buffer is owned (caller); its successor is read before it is given away. The pool outlives its buffers.
        unsafe {
            let b = &mut *raw.as_ptr();
            next = NonNull::new(b.list.Next.cast::<Buffer>());
            if core::mem::take(&mut b.cut) {
                (*b.mdl).ByteCount = (PREFIX_LEN + b.len) as u32;
                (*b.mdl).Next = null_mut();
            }
            (*pool).keep(SendBuffer(raw));
        }
        count += 1;
    }
    // SAFETY: as above.
    unsafe { (*pool).returned() };
    count
}

unsafe extern "C" fn sent(_: *mut DEVICE_OBJECT, irp: *mut IRP, head: *mut c_void) -> NTSTATUS {
    if let Some(head) = NonNull::new(head.cast::<Buffer>()) {
        // SAFETY: `submit` passed the head of a chain whose ownership came with the IRP, which is completed.
        unsafe {
            let (status, _) = nt_sys::IrpStatus(irp);
            let pool = head.as_ref().pool;
            let in_flight = head.as_ref().in_flight;
            let traffic = if head.as_ref().control { Traffic::Control } else { Traffic::Data };
            let count = give_back(head);
            // Socket and pool are alive until the socket's last send has ended, which is below.
            if status < 0 {
                (*pool).failures(traffic).fetch_add(count, Ordering::Relaxed);
            }
            if let Some(in_flight) = in_flight {
                in_flight.as_ref().sent(count as usize);
                InFlight::end(in_flight);
            }
        }
    }
    MORE_PROCESSING_REQUIRED
}
