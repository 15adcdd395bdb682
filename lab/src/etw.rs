//! Event Tracing for Windows: providers, what they write, and the session that `--trace` starts.
//!
//! What a provider writes is checked whether or not a session listens: handle, descriptors and, of a TraceLogging event, that its
//! description parses and its data is what the description says. The session prints a line an event.

mod decode;
#[cfg(test)]
mod tests;

use crate::irql::{self, APC, DISPATCH, PASSIVE};
use crate::ke::Balance;
use crate::nt::{GUID, NTSTATUS, status};
use crate::objects::Kind;
use crate::report::{InCall, Rule, record, record_about};
use crate::rtl::misc::random_id;
use crate::{Export, fault, pool};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::ffi::c_void;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};

const HANDLE: Rule = Rule::new("etw.bad-handle", "WDK: EtwWrite, EtwUnregister (a handle of EtwRegister)");
const CHANNEL: Rule = Rule::new(
    "etw.channel",
    "TraceLoggingProvider.h: an event with its own description has channel 11 and no id, and no other event has channel 11",
);
const PIECE: Rule = Rule::new(
    "etw.data-descriptor",
    "WDK: EVENT_DATA_DESCRIPTOR (128 at most, of a known type); evntprov.h: provider's and event's description come first",
);
const PAGED: Rule = Rule::new("etw.paged-data", "WDK: EtwWriteTransfer (above APC_LEVEL data must not be pageable)");
const TRAITS: Rule = Rule::new(
    "etw.traits",
    "WDK: EventProviderSetTraits (size, name, NUL, traits with their sizes); an event carries its provider's",
);
const METADATA: Rule = Rule::new(
    "etw.metadata",
    "TraceLoggingProvider.h: an event's description (size, tags, name, fields of known types)",
);
const DATA: Rule = Rule::new("etw.data", "TraceLoggingProvider.h: an event's data is what its description says");

static PROVIDERS: Kind = Kind::new("etw.provider");

/// PETWENABLECALLBACK.
type Enable = extern "win64" fn(*const GUID, u32, u8, u64, u64, *const c_void, usize);
const DISABLE: u32 = 0;
const ENABLE: u32 = 1;
/// EventProviderSetTraits.
const SET_TRAITS: u32 = 2;
/// MAX_EVENT_DATA_DESCRIPTORS.
const MOST_PIECES: u32 = 128;
/// WINEVENT_CHANNEL_TRACELOGGING.
const TRACELOGGING: u8 = 11;
/// EVENT_DATA_DESCRIPTOR_TYPE_*.
const TYPE_NONE: u8 = 0;
const TYPE_EVENT: u8 = 1;
const TYPE_PROVIDER: u8 = 2;

/// EVENT_DESCRIPTOR.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
struct Descriptor {
    id: u16,
    version: u8,
    channel: u8,
    level: u8,
    opcode: u8,
    task: u16,
    keyword: u64,
}

/// EVENT_DATA_DESCRIPTOR.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
struct Piece {
    address: u64,
    size: u32,
    kind: u8,
    reserved: [u8; 3],
}

/// What is known of a registered provider.
#[derive(Debug, Clone)]
struct Provider {
    id: [u8; 16],
    callback: usize,
    context: usize,
    traits: Vec<u8>,
}

/// What the session wants, and where it writes.
struct Session {
    out: Option<Box<dyn Write + Send>>,
    on: bool,
    level: u8,
    keyword: u64,
    bytes: bool,
}

struct State {
    providers: BTreeMap<u64, Provider>,
    session: Session,
}

static STATE: Mutex<State> = Mutex::new(State {
    providers: BTreeMap::new(),
    session: Session { out: None, on: false, level: 0, keyword: 0, bytes: false },
});

fn lock() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `--trace FILE`: a session listens from the beginning.
///
/// # Errors
/// When the file cannot be made.
pub fn trace_to(path: &str) -> Result<(), String> {
    let out: Box<dyn Write + Send> = match path {
        "-" => Box::new(std::io::stderr()),
        // Appended, so that labs may share a file.
        _ => Box::new(OpenOptions::new().append(true).create(true).open(path).map_err(|e| format!("{path}: {e}"))?),
    };
    let mut state = lock();
    state.session.out = Some(out);
    state.session.on = true;
    Ok(())
}

/// `--trace-level N`.
pub fn set_level(level: u8) {
    lock().session.level = level;
}

/// `--trace-keyword N`.
pub fn set_keyword(keyword: u64) {
    lock().session.keyword = keyword;
}

/// `--trace-bytes`.
pub fn show_bytes() {
    lock().session.bytes = true;
}

/// `QUERY trace on` and `QUERY trace off`: the session that `--trace` described begins or ends, and each provider is told.
#[must_use]
pub fn listen(on: bool) -> String {
    let told: Vec<u64> = {
        let mut state = lock();
        state.session.on = on;
        state.providers.keys().copied().collect()
    };
    for &handle in &told {
        tell(handle);
    }
    format!("{} provider(s) told\n", told.len())
}

/// Calls a provider's callback with what the session wants. PASSIVE_LEVEL.
fn tell(handle: u64) {
    let state = lock();
    let Some(provider) = state.providers.get(&handle).cloned() else { return };
    let (on, level, keyword) = (state.session.on, state.session.level, state.session.keyword);
    drop(state);
    if provider.callback == 0 {
        return;
    }
    // SAFETY: the provider registered this address as its callback, and unregisters before its image goes.
    let callback: Enable = unsafe { std::mem::transmute(provider.callback) };
    let balance = Balance::before("an enable callback");
    let code = if on { ENABLE } else { DISABLE };
    // The session's GUID is nobody's business.
    let source = [0u8; 16];
    callback(source.as_ptr().cast(), code, level, keyword, 0, std::ptr::null(), provider.context);
    balance.after();
}

extern "win64" fn register(provider: *const GUID, callback: usize, context: usize, handle: *mut u64) -> NTSTATUS {
    let _c = InCall::enter("EtwRegister");
    irql::require_at_most(PASSIVE);
    if fault::fails("EtwRegister") {
        return status::NO_MEMORY;
    }
    let p = pool::alloc_lab_zeroed(&PROVIDERS, 16) as u64;
    // SAFETY: the driver passes a GUID.
    let id = unsafe { provider.cast::<[u8; 16]>().read_unaligned() };
    let on = {
        let mut state = lock();
        state.providers.insert(p, Provider { id, callback, context, traits: Vec::new() });
        state.session.on
    };
    if on {
        // Before the driver has its handle: a session that listens already does not wait for that.
        tell(p);
    }
    // SAFETY: the driver passes its out parameter.
    unsafe { handle.write(p) };
    status::SUCCESS
}

extern "win64" fn unregister(handle: u64) -> NTSTATUS {
    let _c = InCall::enter("EtwUnregister");
    irql::require_at_most(PASSIVE);
    let p = handle as *mut u8;
    // SAFETY: the driver passes its handle; anything else is refused.
    unsafe {
        if !pool::is_lab_block(p, &PROVIDERS) {
            record_about(HANDLE, p.addr(), &format!("{handle:#x}"));
            return status::INVALID_HANDLE;
        }
        lock().providers.remove(&handle);
        pool::free_lab(p);
    }
    status::SUCCESS
}

/// Whether the handle is a registered provider's; null is what a driver has whose registration failed.
fn is_provider(handle: u64) -> bool {
    // SAFETY: a handle of EtwRegister is a live block; anything else is only looked at.
    let sound = unsafe { pool::is_lab_block(handle as *const u8, &PROVIDERS) };
    if !sound && handle != 0 {
        record_about(HANDLE, usize::try_from(handle).unwrap_or(0), &format!("{handle:#x}"));
    }
    sound
}

extern "win64" fn set_information(handle: u64, class: u32, information: *const u8, length: u32) -> NTSTATUS {
    let _c = InCall::enter("EtwSetInformation");
    irql::require_at_most(PASSIVE);
    if !is_provider(handle) {
        return status::INVALID_HANDLE;
    }
    if class != SET_TRAITS {
        return status::NOT_SUPPORTED;
    }
    // SAFETY: the driver passes so many bytes.
    let traits = unsafe { bytes(information, length as usize) };
    match decode::provider(&traits) {
        Ok(name) => {
            let mut state = lock();
            if let Some(provider) = state.providers.get_mut(&handle) {
                let line = format!("provider {name} {{{}}}", decode::guid(&provider.id));
                provider.traits = traits;
                state.session.print(&line);
            }
            status::SUCCESS
        }
        Err(why) => {
            record(TRAITS, &why);
            status::INVALID_PARAMETER
        }
    }
}

/// A copy of the driver's bytes.
///
/// # Safety
/// `p` is readable for `length` bytes, or null with none.
unsafe fn bytes(p: *const u8, length: usize) -> Vec<u8> {
    let mut copy = Vec::with_capacity(length);
    if length != 0 {
        // SAFETY: as our caller promises; the copy has room.
        unsafe {
            std::ptr::copy_nonoverlapping(p, copy.as_mut_ptr(), length);
            copy.set_len(length);
        }
    }
    copy
}

impl Session {
    fn wants(&self, d: &Descriptor) -> bool {
        self.on
            && (self.level == 0 || d.level <= self.level)
            && (self.keyword == 0 || d.keyword == 0 || d.keyword & self.keyword != 0)
    }

    /// A line in one write, so that lines of several threads and processes do not mix.
    fn print(&mut self, line: &str) {
        if self.on
            && let Some(out) = &mut self.out
        {
            // There is nobody to tell of a full disk.
            let _ = out.write_all(format!("etw: {line}\n").as_bytes());
        }
    }
}

/// Checks an event and gives it to the session.
///
/// # Safety
/// The descriptor and `count` pieces are readable, and so is what the pieces name.
unsafe fn write(handle: u64, descriptor: *const Descriptor, count: u32, pieces: *const Piece) -> NTSTATUS {
    if !is_provider(handle) {
        return status::INVALID_HANDLE;
    }
    if count > MOST_PIECES || (count != 0 && pieces.is_null()) {
        record(PIECE, &format!("{count} data descriptors at {pieces:?}"));
        return status::INVALID_PARAMETER;
    }
    // SAFETY: as our caller promises.
    let (descriptor, pieces) = unsafe {
        let pieces: &[Piece] = if count == 0 { &[] } else { std::slice::from_raw_parts(pieces, count as usize) };
        (descriptor.read(), pieces)
    };
    let kinds: Vec<u8> = pieces.iter().map(|p| p.kind).collect();
    let described = kinds.iter().any(|&k| k != TYPE_NONE);
    let ordered = !described
        || matches!(kinds.split_at_checked(2), Some((head, rest))
        if head == [TYPE_PROVIDER, TYPE_EVENT] && rest.iter().all(|&k| k == TYPE_NONE));
    if !ordered || pieces.iter().any(|p| p.address == 0 && p.size != 0) {
        record(PIECE, &format!("{pieces:?}"));
        return status::INVALID_PARAMETER;
    }
    if irql::current() > APC
        && let Some(p) = pieces.iter().find(|p| p.size != 0 && pool::is_paged(p.address as usize))
    {
        record_about(PAGED, p.address as usize, &format!("{p:?} at IRQL {}", irql::current()));
    }
    if described != (descriptor.channel == TRACELOGGING) || (described && descriptor.id != 0) {
        record(CHANNEL, &format!("{descriptor:?}"));
        return status::INVALID_PARAMETER;
    }
    // SAFETY: as our caller promises.
    let parts: Vec<Vec<u8>> =
        pieces.iter().map(|p| unsafe { bytes(p.address as *const u8, p.size as usize) }).collect();
    let text = match parts.split_at_checked(2) {
        Some((head, data)) if described => match event(handle, &head[0], &head[1], &data.concat()) {
            Ok(text) => text,
            Err((rule, why)) => {
                record(rule, &why);
                return status::INVALID_PARAMETER;
            }
        },
        _ => format!("event {} of {} bytes", descriptor.id, parts.iter().map(Vec::len).sum::<usize>()),
    };
    let mut state = lock();
    if state.session.wants(&descriptor) {
        let (name, fields) = text.split_once(' ').unwrap_or((&text, ""));
        let mut line = format!("{name} level={} keyword={:#x}", descriptor.level, descriptor.keyword);
        if !fields.is_empty() {
            let _ = write!(line, " {fields}");
        }
        if state.session.bytes {
            line.push_str(" bytes=");
            for b in parts.iter().skip(if described { 2 } else { 0 }).flatten() {
                let _ = write!(line, "{b:02x}");
            }
        }
        state.session.print(&line);
    }
    status::SUCCESS
}

/// A TraceLogging event in words, or the rule that it breaks.
fn event(handle: u64, provider: &[u8], metadata: &[u8], data: &[u8]) -> Result<String, (Rule, String)> {
    decode::provider(provider).map_err(|why| (TRAITS, why))?;
    let set = lock().providers.get(&handle).map(|p| p.traits.clone()).unwrap_or_default();
    if !set.is_empty() && set != provider {
        return Err((TRAITS, "the event names another provider than EtwSetInformation did".to_owned()));
    }
    let schema = decode::event(metadata).map_err(|why| (METADATA, why))?;
    schema.text(data).map_err(|why| (DATA, format!("{}: {why}", schema.name())))
}

extern "win64" fn etw_write(
    handle: u64,
    descriptor: *const Descriptor,
    _activity: *const GUID,
    count: u32,
    pieces: *const Piece,
) -> NTSTATUS {
    let _c = InCall::enter("EtwWrite");
    // SAFETY: the driver passes a descriptor and its pieces.
    unsafe { write(handle, descriptor, count, pieces) }
}

extern "win64" fn etw_write_transfer(
    handle: u64,
    descriptor: *const Descriptor,
    _activity: *const GUID,
    _related: *const GUID,
    count: u32,
    pieces: *const Piece,
) -> NTSTATUS {
    let _c = InCall::enter("EtwWriteTransfer");
    // SAFETY: as above.
    unsafe { write(handle, descriptor, count, pieces) }
}

extern "win64" fn etw_write_ex(
    handle: u64,
    descriptor: *const Descriptor,
    _filter: u64,
    _flags: u32,
    _activity: *const GUID,
    _related: *const GUID,
    count: u32,
    pieces: *const Piece,
) -> NTSTATUS {
    let _c = InCall::enter("EtwWriteEx");
    // SAFETY: as above.
    unsafe { write(handle, descriptor, count, pieces) }
}

extern "win64" fn etw_write_string(handle: u64) -> NTSTATUS {
    let _c = InCall::enter("EtwWriteString");
    if is_provider(handle) { status::SUCCESS } else { status::INVALID_HANDLE }
}

extern "win64" fn etw_event_enabled(handle: u64, descriptor: *const Descriptor) -> u8 {
    let _c = InCall::enter("EtwEventEnabled");
    // SAFETY: the driver passes a descriptor.
    u8::from(is_provider(handle) && lock().session.wants(unsafe { &*descriptor }))
}

extern "win64" fn etw_provider_enabled(handle: u64, level: u8, keyword: u64) -> u8 {
    let _c = InCall::enter("EtwProviderEnabled");
    let d = Descriptor { id: 0, version: 0, channel: 0, level, opcode: 0, task: 0, keyword };
    u8::from(is_provider(handle) && lock().session.wants(&d))
}

thread_local! {
    /// This thread's activity identifier.
    static ACTIVITY: Cell<[u8; 16]> = const { Cell::new([0; 16]) };
}

/// EVENT_ACTIVITY_CTRL_GET_ID 1, SET_ID 2, CREATE_ID 3, GET_SET_ID 4, CREATE_SET_ID 5.
extern "win64" fn etw_activity(code: u32, id: *mut GUID) -> NTSTATUS {
    let _c = InCall::enter("EtwActivityIdControl");
    irql::require_at_most(DISPATCH);
    let old = ACTIVITY.get();
    let id = id.cast::<[u8; 16]>();
    // SAFETY: the driver passes a GUID.
    unsafe {
        match code {
            1 => id.write_unaligned(old),
            2 => ACTIVITY.set(id.read_unaligned()),
            3 => id.write_unaligned(random_id()),
            4 => {
                ACTIVITY.set(id.read_unaligned());
                id.write_unaligned(old);
            }
            5 => {
                ACTIVITY.set(random_id());
                id.write_unaligned(old);
            }
            _ => return status::INVALID_PARAMETER,
        }
    }
    status::SUCCESS
}

/// What this family exports.
#[must_use]
pub fn exports() -> Vec<Export> {
    vec![
        export!("EtwRegister", register),
        export!("EtwUnregister", unregister),
        export!("EtwSetInformation", set_information),
        export!("EtwWrite", etw_write),
        export!("EtwWriteEx", etw_write_ex),
        export!("EtwWriteTransfer", etw_write_transfer),
        export!("EtwWriteString", etw_write_string),
        export!("EtwEventEnabled", etw_event_enabled),
        export!("EtwProviderEnabled", etw_provider_enabled),
        export!("EtwActivityIdControl", etw_activity),
    ]
}
