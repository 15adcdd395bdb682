//! What fields of events may be, and the pieces in which their bytes are handed to ETW.

use super::metadata::Kind;
use crate::status::Status;
use crate::wsk::RawAddress;
use core::marker::PhantomData;
use core::net::SocketAddr;
use core::ptr::from_ref;
use nt_sys::etw::{
    EVENT_DATA_DESCRIPTOR, EVENT_DATA_DESCRIPTOR_TYPE_EVENT_METADATA as EVENT, EVENT_DATA_DESCRIPTOR_TYPE_NONE as DATA,
    EVENT_DATA_DESCRIPTOR_TYPE_PROVIDER_METADATA as PROVIDER,
};

/// The two descriptions come before the fields.
const HEAD: usize = 2;

/// An event's bytes, where they lie: nothing is copied before ETW does.
pub struct Pieces<'a> {
    list: [EVENT_DATA_DESCRIPTOR; HEAD + Pieces::ROOM],
    count: usize,
    borrowed: PhantomData<&'a [u8]>,
}

impl<'a> Pieces<'a> {
    /// As many pieces the fields of one event may have.
    pub const ROOM: usize = 14;

    pub(super) fn new(traits: &'static [u8], metadata: &'static [u8]) -> Self {
        const NONE: EVENT_DATA_DESCRIPTOR = EVENT_DATA_DESCRIPTOR { Ptr: 0, Size: 0, Type: DATA };
        let mut new = Self { list: [NONE; HEAD + Pieces::ROOM], count: 0, borrowed: PhantomData };
        new.add(traits, PROVIDER);
        new.add(metadata, EVENT);
        new
    }

    fn add<T: ?Sized>(&mut self, value: &'a T, kind: u32) {
        // There is room: `events!` has counted.
        if let Some(piece) = self.list.get_mut(self.count) {
            *piece = EVENT_DATA_DESCRIPTOR {
                Ptr: from_ref(value).cast::<u8>().expose_provenance() as u64,
                Size: size_of_val(value) as u32,
                Type: kind,
            };
            self.count += 1;
        }
    }

    /// The descriptors and their number, for the call that reads them.
    pub(super) fn raw(&mut self) -> (*mut EVENT_DATA_DESCRIPTOR, u32) {
        (self.list.as_mut_ptr(), self.count as u32)
    }
}

/// A type that a field may have.
pub trait Field {
    /// How it is described.
    const KIND: Kind;
    /// Pieces that it is made of.
    const PIECES: usize = 1;

    /// Adds its bytes.
    fn put<'a>(&'a self, pieces: &mut Pieces<'a>);
}

macro_rules! scalar {
    ($($type:ty: $kind:ident),*) => {$(
        impl Field for $type {
            const KIND: Kind = Kind::$kind;

            fn put<'a>(&'a self, pieces: &mut Pieces<'a>) {
                pieces.add(self, DATA);
            }
        }
    )*};
}
scalar!(u8: U8, u16: U16, u32: U32, u64: U64, i32: I32);

/// Shown in hexadecimal.
#[derive(Clone, Copy)]
pub struct Hex(pub u32);

impl Field for Hex {
    const KIND: Kind = Kind::HEX;

    fn put<'a>(&'a self, pieces: &mut Pieces<'a>) {
        pieces.add(&self.0, DATA);
    }
}

impl Field for Status {
    const KIND: Kind = Kind::STATUS;

    fn put<'a>(&'a self, pieces: &mut Pieces<'a>) {
        pieces.add(&self.0, DATA);
    }
}

/// Text of the image's; up to the first NUL, if there is one.
impl Field for &'static str {
    const KIND: Kind = Kind::TEXT;
    const PIECES: usize = 2;

    fn put<'a>(&'a self, pieces: &mut Pieces<'a>) {
        static END: u8 = 0;
        pieces.add(self.split('\0').next().unwrap_or_default(), DATA);
        pieces.add(&END, DATA);
    }
}

/// A socket's address.
pub struct Address {
    raw: RawAddress,
    v4: bool,
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self { raw: RawAddress::new(address), v4: address.is_ipv4() }
    }
}

impl Field for Address {
    const KIND: Kind = Kind::ADDRESS;
    const PIECES: usize = 2;

    fn put<'a>(&'a self, pieces: &mut Pieces<'a>) {
        static LENGTHS: (u16, u16) = (16, RawAddress::LEN as u16);
        let bytes = self.raw.bytes();
        if self.v4 {
            pieces.add(&LENGTHS.0, DATA);
            pieces.add(bytes.first_chunk::<16>().unwrap_or(&[0; 16]), DATA);
        } else {
            pieces.add(&LENGTHS.1, DATA);
            pieces.add(bytes, DATA);
        }
    }
}
