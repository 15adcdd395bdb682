//! Event Tracing for Windows (ETW) by TraceLogging: events that carry their own description, so that any tool decodes them without a manifest.
//!
//! A [`Provider`] is a static; [`Provider::register`] makes it known to ETW until the [`Registration`] drops. [`events!`](crate::events!)
//! makes one function of each event. While no session listens, an event costs one relaxed load.

mod field;
mod metadata;

pub use field::{Address, Field, Hex, Pieces};
pub use metadata::{Kind, event_len, event_metadata, traits, traits_len};

use crate::status::{Result, Status};
use crate::time;
use core::ptr::{from_ref, null};
use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use nt_sys::etw::{self, EVENT_DESCRIPTOR};
use nt_sys::{GUID, PVOID};

/// How much an event matters: the levels that Windows' tools know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Level {
    /// Something failed that should not.
    Error = 2,
    /// Something was lost or refused.
    Warning = 3,
    /// The course of things.
    Info = 4,
}

/// An event's description.
pub struct Event {
    descriptor: EVENT_DESCRIPTOR,
    metadata: &'static [u8],
}

impl Event {
    /// An event with the metadata that [`event_metadata`] made. `keyword` is one bit or more: the groups it belongs to.
    #[must_use]
    pub const fn new(level: Level, keyword: u64, metadata: &'static [u8]) -> Self {
        assert!(keyword != 0 && keyword >> 48 == 0, "the upper 16 keywords are Microsoft's");
        let descriptor = EVENT_DESCRIPTOR {
            Id: 0,
            Version: 0,
            Channel: etw::WINEVENT_CHANNEL_TRACELOGGING,
            Level: level as u8,
            Opcode: 0,
            Task: 0,
            Keyword: keyword,
        };
        Self { descriptor, metadata }
    }
}

/// A source of events.
pub struct Provider {
    id: GUID,
    traits: &'static [u8],
    /// Events of lower levels than this are wanted: 0 while no session listens.
    limit: AtomicU32,
    /// An event needs one of these keywords, and all of the next.
    any: AtomicU64,
    all: AtomicU64,
    /// Of ETW's; 0 while not registered.
    handle: AtomicU64,
    /// Events that are being written.
    writing: AtomicUsize,
}

/// More than any level.
const ALL_LEVELS: u32 = 256;

impl Provider {
    /// A provider with the description that [`traits`] made.
    #[must_use]
    pub const fn new(id: GUID, traits: &'static [u8]) -> Self {
        Self {
            id,
            traits,
            limit: AtomicU32::new(0),
            any: AtomicU64::new(0),
            all: AtomicU64::new(0),
            handle: AtomicU64::new(0),
            writing: AtomicUsize::new(0),
        }
    }

    /// Makes the provider known to ETW until what is returned drops; until then it writes nothing. PASSIVE_LEVEL. The driver's image must
    /// outlast the registration: ETW calls into it.
    ///
    /// # Errors
    /// ETW's status; INVALID_DEVICE_STATE for a provider that is registered.
    pub fn register(&'static self) -> Result<Registration> {
        if self.handle.load(Ordering::Relaxed) != 0 {
            return Err(Status::INVALID_DEVICE_STATE);
        }
        let mut handle = 0;
        // SAFETY: the GUID and the context are this static; the out pointer is a live local. The callback touches atomics alone, so it may
        // run during this call and at any time until the registration ends.
        Status(unsafe {
            etw::EtwRegister(&raw const self.id, Some(enable), from_ref(self).cast_mut().cast(), &raw mut handle)
        })
        .ok()?;
        // Without them, sessions that filter by the provider's name or group do not know it; events are complete all the same.
        // SAFETY: the handle is registered; ETW copies the traits, which are a constant of this length.
        let _ = unsafe {
            let traits = self.traits.as_ptr().cast_mut().cast();
            etw::EtwSetInformation(handle, etw::EventProviderSetTraits, traits, self.traits.len() as u32)
        };
        self.handle.store(handle, Ordering::SeqCst);
        Ok(Registration(self))
    }

    /// Whether a session wants this event. Any IRQL.
    #[inline]
    #[must_use]
    pub fn wants(&self, event: &Event) -> bool {
        self.wants_at(event.descriptor.Level, event.descriptor.Keyword)
    }

    /// Whether a session wants events of this level and keyword. Any IRQL.
    #[inline]
    #[must_use]
    pub fn wants_at(&self, level: u8, keyword: u64) -> bool {
        if u32::from(level) >= self.limit.load(Ordering::Relaxed) {
            return false;
        }
        let all = self.all.load(Ordering::Relaxed);
        keyword & self.any.load(Ordering::Relaxed) != 0 && keyword & all == all
    }

    /// Writes an event: `put` adds its fields, in the order of its metadata. Any IRQL; what `put` adds must not be pageable.
    /// Nothing is to be done about an event that ETW does not take. Not inlined: its frame is for when a session listens.
    #[cold]
    #[inline(never)]
    pub fn write<'a>(&'a self, event: &'a Event, put: impl FnOnce(&mut Pieces<'a>)) {
        let mut pieces = Pieces::new(self.traits, event.metadata);
        put(&mut pieces);
        // Before the handle is looked at: who unregisters takes the handle first and then waits for those who count.
        self.writing.fetch_add(1, Ordering::SeqCst);
        let handle = self.handle.load(Ordering::SeqCst);
        if handle != 0 {
            let (descriptors, count) = pieces.raw();
            // SAFETY: the handle is registered until `writing` is seen at zero; descriptors and what they point to outlive the call, which
            // reads only.
            let _ = unsafe {
                etw::EtwWriteTransfer(handle, &raw const event.descriptor, null(), null(), count, descriptors)
            };
        }
        self.writing.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A registered provider. Dropping it ends the registration; PASSIVE_LEVEL.
pub struct Registration(&'static Provider);

impl Drop for Registration {
    fn drop(&mut self) {
        self.end();
    }
}

impl Registration {
    /// Ends the registration, once events that are being written are written. What comes after is not. PASSIVE_LEVEL.
    pub fn end(&self) {
        let provider = self.0;
        provider.limit.store(0, Ordering::Relaxed);
        let handle = provider.handle.swap(0, Ordering::SeqCst);
        if handle == 0 {
            return;
        }
        while provider.writing.load(Ordering::SeqCst) != 0 {
            time::pause();
        }
        // SAFETY: `register` got this handle, and the swap gave it to nobody else; no call with it is under way. Once this returns, the
        // callback does not run and will not.
        let _ = unsafe { etw::EtwUnregister(handle) };
    }
}

/// What sessions want has changed. PASSIVE_LEVEL.
unsafe extern "C" fn enable(_: *const GUID, code: u32, level: u8, any: u64, all: u64, _: PVOID, context: PVOID) {
    // SAFETY: the context that `register` gave: a static.
    let provider = unsafe { &*context.cast_const().cast::<Provider>() };
    match code {
        etw::EVENT_CONTROL_CODE_ENABLE_PROVIDER => {
            // A session that asks for no keyword, or for level 0, asks for all.
            provider.any.store(if any == 0 { u64::MAX } else { any }, Ordering::Relaxed);
            provider.all.store(all, Ordering::Relaxed);
            let limit = if level == 0 { ALL_LEVELS } else { u32::from(level) + 1 };
            provider.limit.store(limit, Ordering::Relaxed);
        }
        etw::EVENT_CONTROL_CODE_DISABLE_PROVIDER => provider.limit.store(0, Ordering::Relaxed),
        // What a provider keeps may be asked for; ours keeps nothing that it has not told.
        _ => {}
    }
}

/// Defines a function of each event, which writes it where a session wants it. Any IRQL.
///
/// `events! { PROVIDER; /// Docs. Info, KEYWORD, "Name" => name("Field" argument: u32, "Other" other: &str); }`
#[macro_export]
macro_rules! events {
    ($provider:ident; $(
        $(#[$doc:meta])*
        $level:ident, $keyword:expr, $name:literal => $function:ident($($field:literal $argument:ident: $type:ty),* $(,)?);
    )+) => {$(
        $(#[$doc])*
        pub fn $function($($argument: $type),*) {
            const FIELDS: &[(&str, $crate::etw::Kind)] = &[$(($field, <$type as $crate::etw::Field>::KIND)),*];
            const PIECES: usize = 0 $(+ <$type as $crate::etw::Field>::PIECES)*;
            const { assert!(PIECES <= $crate::etw::Pieces::ROOM, "too many fields") }
            const LEN: usize = $crate::etw::event_len($name, FIELDS);
            static METADATA: [u8; LEN] = $crate::etw::event_metadata($name, FIELDS);
            static EVENT: $crate::etw::Event =
                $crate::etw::Event::new($crate::etw::Level::$level, $keyword, &METADATA);
            if $provider.wants(&EVENT) {
                $provider.write(&EVENT, |_pieces| {
                    $($crate::etw::Field::put(&$argument, _pieces);)*
                });
            }
        }
    )+};
}
