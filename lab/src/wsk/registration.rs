//! Clients: `WskRegister`, `WskCaptureProviderNPI`, `WskReleaseProviderNPI`, `WskDeregister`.

use super::abi::{ClientNpi, INFINITE_WAIT, ProviderNpi, RegistrationMemory, VERSION};
use super::provider;
use crate::fault;
use crate::irql;
use crate::nt::{NTSTATUS, status};
use crate::objects::Kind;
use crate::pool;
use crate::report::{InCall, Rule, record};
use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const REGISTER: Rule =
    Rule::new("wsk.bad-registration", "WDK: WskRegister, WskDeregister (exactly one of each per WSK_REGISTRATION)");
const NOT_CAPTURED: Rule = Rule::new(
    "wsk.npi-not-captured",
    "WDK: WskReleaseProviderNPI (no provider call after it; one release per capture)",
);
const OPEN_SOCKETS: Rule =
    Rule::new("wsk.deregister-with-open-sockets", "WDK: WskDeregister waits until all sockets are closed");
const STILL_CAPTURED: Rule =
    Rule::new("wsk.deregister-with-npi-captured", "WDK: WskDeregister waits until all captured NPIs are released");
const WAIT_AT_START: Rule = Rule::new(
    "wsk.wait-at-start",
    "WDK: Registering a Winsock Kernel Application (a driver's start does not wait for the provider for ever: it may come later)",
);
const BAD_CLIENT: Rule =
    Rule::new("wsk.bad-client", "WDK: WSK_PROVIDER_NPI (Client is passed to each provider function)");

/// How long `WskDeregister` waits for other threads before the lab calls it a hang.
const PATIENCE: Duration = Duration::from_secs(4);

static REGISTRATIONS: Kind = Kind::new("wsk.registration");
static CLIENTS: Kind = Kind::of_lab("wsk.client");
static LIVE: Mutex<Vec<(usize, &'static Client)>> = Mutex::new(Vec::new());

/// One registration. Never freed: a driver that uses it late is told, not crashed into.
#[derive(Debug)]
pub struct Client {
    version: u16,
    block: usize,
    captured: AtomicUsize,
    /// Calls to provider functions in progress.
    calls: AtomicUsize,
    /// Sockets not closed yet.
    pub sockets: AtomicUsize,
    /// Event mask of `WSK_SET_STATIC_EVENT_CALLBACKS`.
    pub static_mask: AtomicU32,
    gone: AtomicBool,
}

impl Client {
    /// The events that are enabled for every socket, for ever.
    pub fn fixed_events(&self) -> u32 {
        self.static_mask.load(Ordering::SeqCst)
    }
}

/// A call to a provider function in progress.
pub struct InProvider(&'static Client);

impl InProvider {
    /// The client.
    pub fn client(&self) -> &'static Client {
        self.0
    }
}

impl Drop for InProvider {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Checks the `PWSK_CLIENT` of a provider call.
pub fn enter(client: *mut c_void) -> Option<InProvider> {
    // SAFETY: the driver's pointer; a wild one faults as it would on Windows.
    if !unsafe { pool::is_lab_block(client.cast(), &CLIENTS) } {
        record(BAD_CLIENT, &format!("{client:p} is not the Client of a WSK_PROVIDER_NPI"));
        return None;
    }
    // SAFETY: a live block of this kind, which `register` filled with a client.
    let client: &'static Client = unsafe { client.cast::<&'static Client>().read() };
    if client.captured.load(Ordering::SeqCst) == 0 || client.gone.load(Ordering::SeqCst) {
        record(NOT_CAPTURED, "a provider function is called while the provider NPI is not captured");
        return None;
    }
    client.calls.fetch_add(1, Ordering::SeqCst);
    Some(InProvider(client))
}

fn find(memory: *const RegistrationMemory) -> Option<&'static Client> {
    let live = LIVE.lock().unwrap_or_else(PoisonError::into_inner);
    live.iter().find(|(m, _)| *m == memory.addr()).map(|(_, c)| *c)
}

fn known(memory: *const RegistrationMemory) -> Option<&'static Client> {
    let found = find(memory);
    if found.is_none() {
        record(REGISTER, &format!("{memory:p} is not a registration (WskRegister not called, failed, or undone)"));
    }
    found
}

/// `WskRegister`.
pub extern "win64" fn register(npi: *const ClientNpi, memory: *mut RegistrationMemory) -> NTSTATUS {
    let _call = InCall::enter("WskRegister");
    irql::require_at_most(irql::PASSIVE);
    if npi.is_null() || memory.is_null() {
        record(REGISTER, "WskClientNpi and WskRegistration must not be NULL");
        return status::INVALID_PARAMETER;
    }
    // SAFETY: not null; the driver's to be a WSK_CLIENT_NPI.
    let dispatch = unsafe { (*npi).dispatch };
    if dispatch.is_null() {
        record(REGISTER, "WSK_CLIENT_NPI.Dispatch is NULL");
        return status::INVALID_PARAMETER;
    }
    if find(memory).is_some() {
        record(REGISTER, &format!("{memory:p} is already registered"));
        return status::INVALID_PARAMETER;
    }
    if fault::fails("WskRegister") {
        return status::INSUFFICIENT_RESOURCES;
    }
    // SAFETY: not null; the driver's WSK_CLIENT_DISPATCH.
    let version = unsafe { (*dispatch).version };
    let block = pool::alloc_lab(&CLIENTS, 32);
    let client: &'static Client = Box::leak(Box::new(Client {
        version,
        block: block.addr(),
        captured: AtomicUsize::new(0),
        calls: AtomicUsize::new(0),
        sockets: AtomicUsize::new(0),
        static_mask: AtomicU32::new(0),
        gone: AtomicBool::new(false),
    }));
    // SAFETY: a fresh block of 32 bytes.
    unsafe { block.cast::<&'static Client>().write(client) };
    // SAFETY: not null; the driver's WSK_REGISTRATION.
    unsafe { memory.write(RegistrationMemory { state: 1, context: block.cast(), lock: 0 }) };
    LIVE.lock().unwrap_or_else(PoisonError::into_inner).push((memory.addr(), client));
    REGISTRATIONS.add();
    status::SUCCESS
}

/// `WskCaptureProviderNPI`.
pub extern "win64" fn capture(memory: *mut RegistrationMemory, wait: u32, out: *mut ProviderNpi) -> NTSTATUS {
    let _call = InCall::enter("WskCaptureProviderNPI");
    irql::require_at_most(if wait == 0 { irql::DISPATCH } else { irql::PASSIVE });
    if wait != 0 {
        super::check_wait();
    }
    let Some(client) = known(memory) else { return status::INVALID_PARAMETER };
    if out.is_null() {
        record(REGISTER, "WskProviderNpi must not be NULL");
        return status::INVALID_PARAMETER;
    }
    if wait == INFINITE_WAIT && crate::pnp::is_starting() {
        record(WAIT_AT_START, "WSK_INFINITE_WAIT while the system waits for the driver or its device to start");
    }
    if client.version != VERSION {
        return status::NOT_IMPLEMENTED;
    }
    // The provider does not appear in time.
    if fault::fails("WskCaptureProviderNPI") {
        return status::DEVICE_NOT_READY;
    }
    client.captured.fetch_add(1, Ordering::SeqCst);
    // SAFETY: not null; the driver's WSK_PROVIDER_NPI.
    unsafe { out.write(ProviderNpi { client: client.block as *mut c_void, dispatch: provider::dispatch() }) };
    status::SUCCESS
}

/// `WskReleaseProviderNPI`.
pub extern "win64" fn release(memory: *mut RegistrationMemory) {
    let _call = InCall::enter("WskReleaseProviderNPI");
    irql::require_at_most(irql::DISPATCH);
    let Some(client) = known(memory) else { return };
    let less = client.captured.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
    if less.is_err() {
        record(NOT_CAPTURED, "released more often than captured");
    }
}

/// `WskQueryProviderCharacteristics`.
pub extern "win64" fn characteristics(memory: *mut RegistrationMemory, out: *mut [u16; 2]) -> NTSTATUS {
    let _call = InCall::enter("WskQueryProviderCharacteristics");
    irql::require_at_most(irql::DISPATCH);
    if known(memory).is_none() || out.is_null() {
        return status::INVALID_PARAMETER;
    }
    // SAFETY: not null; the driver's WSK_PROVIDER_CHARACTERISTICS.
    unsafe { out.write([VERSION, VERSION]) };
    status::SUCCESS
}

/// `WskDeregister`.
pub extern "win64" fn deregister(memory: *mut RegistrationMemory) {
    let _call = InCall::enter("WskDeregister");
    irql::require_at_most(irql::PASSIVE);
    super::check_wait();
    let Some(client) = known(memory) else { return };
    let end = Instant::now() + PATIENCE;
    loop {
        let sockets = client.sockets.load(Ordering::SeqCst);
        let captured = client.captured.load(Ordering::SeqCst);
        if sockets == 0 && captured == 0 && client.calls.load(Ordering::SeqCst) == 0 {
            break;
        }
        if Instant::now() > end {
            if sockets != 0 {
                record(OPEN_SOCKETS, &format!("{sockets} sockets are not closed: Windows would wait for ever"));
            }
            if captured != 0 {
                record(STILL_CAPTURED, &format!("the NPI is captured {captured} times: Windows would wait for ever"));
            }
            break;
        }
        crate::ke::sched::sleep(Duration::from_millis(2));
    }
    client.gone.store(true, Ordering::SeqCst);
    LIVE.lock().unwrap_or_else(PoisonError::into_inner).retain(|(m, _)| *m != memory.addr());
    // SAFETY: the driver's memory until this call returns.
    unsafe { (*memory).state = 0 };
    // SAFETY: the block that `register` allocated, freed once: the registration was live a moment ago.
    unsafe { pool::free_lab(client.block as *mut u8) };
    REGISTRATIONS.remove();
}
