//! WSK by name and by offset, and calls that wait for their IRP.

use crate::TAG;
use crate::nt::*;
use core::ffi::c_void;
use core::ptr::{null, null_mut};

pub const MORE_PROCESSING: Status = 0xC000_0016u32 as i32;
pub const NOT_ACCEPTED: Status = 0xC000_021Bu32 as i32;
pub const UNSUCCESSFUL: Status = 0xC000_0001u32 as i32;

pub const BASIC: u32 = 0;
pub const LISTEN: u32 = 1;
pub const CONNECTION: u32 = 2;
pub const DATAGRAM: u32 = 4;
pub const RECEIVE: u32 = 0x40;
pub const RECEIVE_FROM: u32 = 0x100;
pub const DISABLE: u32 = 0x8000_0000;
pub const ABORTIVE: u32 = 1;

/// Indices of functions: of the provider's table behind its version, of a datagram socket's and of a connection's table.
pub const SOCKET: usize = 1;
pub const CONTROL_CLIENT: usize = 3;
pub const CONTROL: usize = 0;
pub const CLOSE: usize = 1;
pub const BIND: usize = 2;
pub const SEND_TO: usize = 3;
pub const RECEIVE_FROM_CALL: usize = 4;
pub const RELEASE: usize = 5;
pub const LOCAL: usize = 6;
pub const ACCEPT: usize = 3;
pub const LISTEN_LOCAL: usize = 5;
pub const CONNECT: usize = 3;
pub const TCP_LOCAL: usize = 4;
pub const SEND: usize = 6;
pub const RECEIVE_CALL: usize = 7;
pub const DISCONNECT: usize = 8;

pub type Complete = unsafe extern "C" fn(Device, Irp, *mut u8) -> Status;
pub type Socket = *mut u8;

#[repr(C)]
pub struct Buf {
    pub mdl: *mut u8,
    pub offset: u32,
    pub length: usize,
}

#[repr(C)]
struct Guid(u32, u16, u16, [u8; 8]);
/// NPI_WSK_INTERFACE_ID.
static INTERFACE: Guid = Guid(0x2227_E803, 0x8D8B, 0x11D4, [0xAB, 0xAD, 0, 0x90, 0x27, 0x71, 0x9E, 9]);

#[repr(C)]
struct EventControl {
    npi: *const Guid,
    mask: u32,
}

#[repr(C)]
struct ClientDispatch {
    version: u16,
    reserved: u16,
    event: *const c_void,
}
struct Shared<T>(T);
// SAFETY: never written.
unsafe impl<T> Sync for Shared<T> {}
static DISPATCH: Shared<ClientDispatch> = Shared(ClientDispatch { version: 0x100, reserved: 0, event: null() });

#[link(name = "netio.sys", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "C" {
    fn WskRegister(npi: *const [*const c_void; 2], registration: *mut [u64; 3]) -> Status;
    fn WskDeregister(registration: *mut [u64; 3]);
    fn WskCaptureProviderNPI(registration: *mut [u64; 3], wait: u32, npi: *mut [*mut u8; 2]) -> Status;
    fn WskReleaseProviderNPI(registration: *mut [u64; 3]);
}

#[link(name = "ntoskrnl.exe", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "C" {
    fn IoAllocateIrp(stack: i8, charge: u8) -> Irp;
    fn IoFreeIrp(irp: Irp);
    pub fn IoCancelIrp(irp: Irp) -> u8;
    fn KeReadStateEvent(event: *mut u8) -> i32;
}

/// A KEVENT in non-paged memory.
#[repr(C, align(16))]
pub struct Event(pub [u64; 3]);

impl Event {
    /// A notification event, not signalled.
    pub unsafe fn init(this: *mut Self) {
        unsafe { KeInitializeEvent(this.cast(), 0, 0) };
    }
    pub unsafe fn set(this: *mut Self) {
        unsafe { KeSetEvent(this.cast(), 0, 0) };
    }
    /// For ever.
    pub unsafe fn wait(this: *mut Self) {
        unsafe { KeWaitForSingleObject(this.cast(), 0, 0, 0, null()) };
    }
}

/// An IRP of this driver's, with a completion routine that sets an event.
#[repr(C)]
pub struct Call {
    event: Event,
    pub irp: Irp,
}

unsafe extern "C" fn done(_device: Device, _irp: Irp, call: *mut u8) -> Status {
    unsafe { Event::set(call.cast()) };
    MORE_PROCESSING
}

/// Non-paged memory.
pub unsafe fn allocate(size: usize) -> *mut u8 {
    unsafe { ExAllocatePool2(0x40, size, TAG) }
}

pub unsafe fn free(p: *mut u8) {
    unsafe { ExFreePoolWithTag(p, TAG) };
}

impl Call {
    pub unsafe fn new() -> *mut Self {
        unsafe { Self::with(done) }
    }

    /// With another completion routine; the context is the call.
    pub unsafe fn with(routine: Complete) -> *mut Self {
        unsafe {
            let call = allocate(size_of::<Self>()).cast::<Self>();
            Event::init(call.cast());
            (*call).irp = IoAllocateIrp(1, 0);
            set_completion((*call).irp, routine, call.cast());
            call
        }
    }

    /// Whether the IRP has completed.
    pub unsafe fn is_done(this: *mut Self) -> bool {
        unsafe { KeReadStateEvent(this.cast()) != 0 }
    }

    /// Waits for the IRP, frees it, and tells status and information.
    pub unsafe fn finish(this: *mut Self) -> (Status, usize) {
        unsafe {
            Event::wait(this.cast());
            let irp = (*this).irp;
            let result = (*irp.field::<Status>(48), *irp.field::<usize>(56));
            IoFreeIrp(irp);
            free(this.cast());
            result
        }
    }
}

/// IoSetCompletionRoutine, for all outcomes.
unsafe fn set_completion(irp: Irp, routine: Complete, context: *mut u8) {
    unsafe {
        let next = (*irp.field::<*mut u8>(184)).wrapping_sub(72);
        *next.wrapping_add(3) = 0xE0;
        *next.wrapping_add(56).cast::<Complete>() = routine;
        *next.wrapping_add(64).cast::<*mut u8>() = context;
    }
}

/// An IRP without a completion routine.
pub unsafe fn bare_irp() -> Irp {
    unsafe { IoAllocateIrp(1, 0) }
}

/// A client of WSK.
pub struct Client {
    pub registration: *mut [u64; 3],
    pub npi: [*mut u8; 2],
}

impl Client {
    pub unsafe fn new() -> Self {
        unsafe {
            let registration = allocate(24).cast::<[u64; 3]>();
            let mut client = Self { registration, npi: [null_mut(); 2] };
            client.register();
            WskCaptureProviderNPI(registration, u32::MAX, &mut client.npi);
            client
        }
    }

    pub unsafe fn register(&self) -> Status {
        unsafe { WskRegister(&[null(), (&raw const DISPATCH).cast()], self.registration) }
    }

    pub unsafe fn release(&self) {
        unsafe { WskReleaseProviderNPI(self.registration) };
    }

    pub unsafe fn deregister(&self) {
        unsafe { WskDeregister(self.registration) };
    }

    pub unsafe fn end(self) {
        unsafe {
            self.release();
            self.deregister();
            free(self.registration.cast());
        }
    }

    /// WSK_SET_STATIC_EVENT_CALLBACKS.
    pub unsafe fn fix(&self, mask: u32) {
        type F = unsafe extern "C" fn(
            *mut u8,
            u32,
            usize,
            *const EventControl,
            usize,
            *mut u8,
            *mut usize,
            *mut u8,
        ) -> Status;
        unsafe {
            let f = function::<F>(self.npi[1], CONTROL_CLIENT);
            let control = EventControl { npi: &INTERFACE, mask };
            f(self.npi[0], 7, 16, &control, 0, null_mut(), null_mut(), null_mut());
        }
    }

    /// A socket of this category, with `events` as its client dispatch table.
    pub unsafe fn socket(&self, category: u32, events: *const u8) -> Socket {
        unsafe { self.socket_with(self.npi[0], category, events) }
    }

    /// The same for a client that may not be one.
    pub unsafe fn socket_with(&self, client: *mut u8, category: u32, events: *const u8) -> Socket {
        type F = unsafe extern "C" fn(
            *mut u8,
            u16,
            u16,
            u32,
            u32,
            *mut u8,
            *const u8,
            *mut u8,
            *mut u8,
            *mut u8,
            Irp,
        ) -> Status;
        unsafe {
            let f = function::<F>(self.npi[1], SOCKET);
            let (kind, protocol) = if category == DATAGRAM { (2, 17) } else { (1, 6) };
            let call = Call::new();
            let none = null_mut();
            f(client, 2, kind, protocol, category, none, events, none, none, none, (*call).irp);
            Call::finish(call).1 as Socket
        }
    }

    /// A datagram socket bound to 127.0.0.1, and its address.
    pub unsafe fn datagram(&self, events: *const u8) -> (Socket, [u8; 28]) {
        unsafe {
            let s = self.socket(DATAGRAM, events);
            bind(s, &LOOPBACK);
            (s, local(s, LOCAL))
        }
    }

    /// A listening socket on 127.0.0.1, and its address.
    pub unsafe fn listening(&self) -> (Socket, [u8; 28]) {
        unsafe {
            let s = self.socket(LISTEN, null());
            bind(s, &LOOPBACK);
            (s, local(s, LISTEN_LOCAL))
        }
    }

    /// A connection to there.
    pub unsafe fn connected_to(&self, at: &[u8; 28]) -> Socket {
        unsafe {
            let s = self.socket(CONNECTION, null());
            bind(s, &LOOPBACK);
            let call = Call::new();
            function::<AddressCall>(s, CONNECT)(s, at.as_ptr(), 0, (*call).irp);
            Call::finish(call);
            s
        }
    }

    /// A connection from a socket to itself: TCP lets both ends open at once.
    pub unsafe fn connection(&self, events: *const u8) -> Socket {
        type F = unsafe extern "C" fn(Socket, *const u8, u32, Irp) -> Status;
        unsafe {
            let s = self.socket(CONNECTION, events);
            bind(s, &LOOPBACK);
            let at = local(s, TCP_LOCAL);
            let call = Call::new();
            function::<F>(s, CONNECT)(s, at.as_ptr(), 0, (*call).irp);
            Call::finish(call);
            s
        }
    }
}

/// Function `index` of the table that `object` begins with a pointer to; a provider's dispatch table is such an object's
/// table itself.
pub unsafe fn function<F: Copy>(object: *mut u8, index: usize) -> F {
    unsafe {
        // The provider's table begins with its version, a socket with a pointer to its table.
        let table = if *object.cast::<u64>() == 0x100 { object } else { *object.cast::<*mut u8>() };
        *table.wrapping_add(index * 8).cast::<F>()
    }
}

/// 127.0.0.1, any port.
pub const LOOPBACK: [u8; 28] = {
    let mut a = [0; 28];
    a[0] = 2;
    a[4] = 127;
    a[7] = 1;
    a
};

pub type AddressCall = unsafe extern "C" fn(Socket, *const u8, u32, Irp) -> Status;
pub type BufCall = unsafe extern "C" fn(Socket, *const Buf, u32, Irp) -> Status;

pub unsafe fn bind(s: Socket, at: &[u8; 28]) -> Status {
    unsafe {
        let call = Call::new();
        function::<AddressCall>(s, BIND)(s, at.as_ptr(), 0, (*call).irp);
        Call::finish(call).0
    }
}

/// The socket's WskBind.
pub unsafe fn bind_function(s: Socket) -> AddressCall {
    unsafe { function(s, BIND) }
}

/// [`bind`] with this IRP, which may be none.
pub unsafe fn bind_with(s: Socket, irp: Irp) -> Status {
    unsafe { function::<AddressCall>(s, BIND)(s, LOOPBACK.as_ptr(), 0, irp) }
}

unsafe fn local(s: Socket, index: usize) -> [u8; 28] {
    type F = unsafe extern "C" fn(Socket, *mut u8, Irp) -> Status;
    unsafe {
        let out = allocate(28);
        let call = Call::new();
        function::<F>(s, index)(s, out, (*call).irp);
        Call::finish(call);
        let address = *out.cast::<[u8; 28]>();
        free(out);
        address
    }
}

/// WskAccept; `remote`: where the other end's address goes, if anywhere.
pub unsafe fn accept(listener: Socket, remote: *mut u8, irp: Irp) -> Status {
    type F = unsafe extern "C" fn(Socket, u32, *mut u8, *const u8, *mut u8, *mut u8, Irp) -> Status;
    unsafe { function::<F>(listener, ACCEPT)(listener, 0, null_mut(), null(), null_mut(), remote, irp) }
}

pub unsafe fn close(s: Socket) {
    type F = unsafe extern "C" fn(Socket, Irp) -> Status;
    unsafe {
        let call = Call::new();
        function::<F>(s, CLOSE)(s, (*call).irp);
        Call::finish(call);
    }
}

/// SO_WSK_EVENT_CALLBACK.
pub unsafe fn events(s: Socket, mask: u32) -> Status {
    type F = unsafe extern "C" fn(
        Socket,
        u32,
        u32,
        u32,
        usize,
        *const EventControl,
        usize,
        *mut u8,
        *mut usize,
        *mut u8,
    ) -> Status;
    unsafe {
        let control = EventControl { npi: &INTERFACE, mask };
        let f = function::<F>(s, CONTROL);
        f(s, 0, 0x4002, 0xFFFF, 16, &control, 0, null_mut(), null_mut(), null_mut())
    }
}

/// Bytes with an MDL over them.
pub struct Memory {
    pub data: *mut u8,
    pub mdl: *mut u8,
    pub size: usize,
}

impl Memory {
    pub unsafe fn new(size: usize) -> Self {
        unsafe {
            let memory = Self::unbuilt(size);
            MmBuildMdlForNonPagedPool(memory.mdl);
            memory
        }
    }

    /// With an MDL that describes no pages yet.
    pub unsafe fn unbuilt(size: usize) -> Self {
        unsafe {
            let data = allocate(size);
            Self { data, mdl: IoAllocateMdl(data, size as u32, 0, 0, null_mut()), size }
        }
    }

    pub fn buf(&self) -> Buf {
        Buf { mdl: self.mdl, offset: 0, length: self.size }
    }

    pub unsafe fn free(self) {
        unsafe {
            IoFreeMdl(self.mdl);
            free(self.data);
        }
    }
}

/// WskSendTo with this IRP.
pub unsafe fn send_to_with(s: Socket, buf: &Buf, to: &[u8; 28], irp: Irp) -> Status {
    type F = unsafe extern "C" fn(Socket, *const Buf, u32, *const u8, u32, *const u8, Irp) -> Status;
    unsafe { function::<F>(s, SEND_TO)(s, buf, 0, to.as_ptr(), 0, null(), irp) }
}

pub unsafe fn send_to(s: Socket, buf: &Buf, to: &[u8; 28]) -> (Status, usize) {
    unsafe {
        let call = Call::new();
        send_to_with(s, buf, to, (*call).irp);
        Call::finish(call)
    }
}

/// WskReceiveFrom with this IRP.
pub unsafe fn receive_from(s: Socket, buf: &Buf, irp: Irp) -> Status {
    type F = unsafe extern "C" fn(Socket, *const Buf, u32, *mut u8, *mut u32, *mut u8, *mut u32, Irp) -> Status;
    unsafe { function::<F>(s, RECEIVE_FROM_CALL)(s, buf, 0, null_mut(), null_mut(), null_mut(), null_mut(), irp) }
}

/// WskSend, WskReceive, WskDisconnect with this IRP.
pub unsafe fn buf_call(s: Socket, index: usize, buf: *const Buf, flags: u32, irp: Irp) -> Status {
    unsafe { function::<BufCall>(s, index)(s, buf, flags, irp) }
}

/// The same, waited for.
pub unsafe fn buf_call_waited(s: Socket, index: usize, buf: *const Buf, flags: u32) -> (Status, usize) {
    unsafe {
        let call = Call::new();
        buf_call(s, index, buf, flags, (*call).irp);
        Call::finish(call)
    }
}

/// WskRelease of a datagram socket.
pub unsafe fn release(s: Socket, list: *mut u8) -> Status {
    type F = unsafe extern "C" fn(Socket, *mut u8) -> Status;
    unsafe { function::<F>(s, RELEASE)(s, list) }
}
