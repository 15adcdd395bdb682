//! TraceLogging's descriptions of providers and events (evntprov.h, TraceLoggingProvider.h), made when the driver is compiled.
//!
//! A provider's: its own length (u16), name, NUL. An event's: its own length (u16), tags (one byte, none), name, NUL, and for each field
//! name, NUL, type of the data and, where bit 7 of that says so, how to show it.

/// Bit 7 of a type: a format follows.
const MORE: u8 = 0x80;

/// A field's type: how its bytes are laid out, and how tools show them (0: as the layout suggests).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Kind {
    layout: u8,
    format: u8,
}

impl Kind {
    /// Text that ends with a NUL, UTF-8.
    pub const TEXT: Self = Self { layout: 2, format: 35 };
    /// Signed, 32 bits.
    pub const I32: Self = Self { layout: 7, format: 0 };
    /// An NTSTATUS.
    pub const STATUS: Self = Self { layout: 20, format: 14 };
    /// Unsigned, 8 bits.
    pub const U8: Self = Self { layout: 4, format: 0 };
    /// Unsigned, 16 bits.
    pub const U16: Self = Self { layout: 6, format: 0 };
    /// Unsigned, 32 bits.
    pub const U32: Self = Self { layout: 8, format: 0 };
    /// Unsigned, 64 bits.
    pub const U64: Self = Self { layout: 10, format: 0 };
    /// 32 bits in hexadecimal.
    pub const HEX: Self = Self { layout: 20, format: 0 };
    /// A SOCKADDR behind its length (u16).
    pub const ADDRESS: Self = Self { layout: 14, format: 10 };
}

/// Writes bytes one after the other, at compile time.
struct Pen<const N: usize> {
    bytes: [u8; N],
    at: usize,
}

impl<const N: usize> Pen<N> {
    /// Begins with the length, which is all of it.
    const fn new() -> Self {
        assert!(N <= u16::MAX as usize);
        let [low, high] = (N as u16).to_le_bytes();
        Self { bytes: [0; N], at: 0 }.byte(low).byte(high)
    }

    #[expect(clippy::indexing_slicing, reason = "runs when the driver is compiled")]
    const fn byte(mut self, byte: u8) -> Self {
        self.bytes[self.at] = byte;
        self.at += 1;
        self
    }

    #[expect(clippy::indexing_slicing, reason = "runs when the driver is compiled")]
    const fn name(mut self, name: &str) -> Self {
        let bytes = name.as_bytes();
        assert!(!bytes.is_empty());
        let mut i = 0;
        while i < bytes.len() {
            assert!(bytes[i].is_ascii_alphanumeric() || bytes[i] == b'.');
            self = self.byte(bytes[i]);
            i += 1;
        }
        self.byte(0)
    }

    const fn done(self) -> [u8; N] {
        assert!(self.at == N);
        self.bytes
    }
}

/// Length of a provider's traits.
#[must_use]
pub const fn traits_len(name: &str) -> usize {
    2 + name.len() + 1
}

/// A provider's traits: its name alone.
#[must_use]
pub const fn traits<const N: usize>(name: &str) -> [u8; N] {
    Pen::new().name(name).done()
}

/// Length of an event's metadata.
#[must_use]
#[expect(clippy::indexing_slicing, reason = "runs when the driver is compiled")]
pub const fn event_len(name: &str, fields: &[(&str, Kind)]) -> usize {
    let mut len = 2 + 1 + name.len() + 1;
    let mut i = 0;
    while i < fields.len() {
        let (field, kind) = fields[i];
        len += field.len() + 1 + 1 + (kind.format != 0) as usize;
        i += 1;
    }
    len
}

/// An event's metadata; `N` is its [`event_len`].
#[must_use]
#[expect(clippy::indexing_slicing, reason = "runs when the driver is compiled")]
pub const fn event_metadata<const N: usize>(name: &str, fields: &[(&str, Kind)]) -> [u8; N] {
    let mut pen = Pen::<N>::new().byte(0).name(name);
    let mut i = 0;
    while i < fields.len() {
        let (field, kind) = fields[i];
        pen = pen.name(field);
        pen = if kind.format == 0 { pen.byte(kind.layout) } else { pen.byte(kind.layout | MORE).byte(kind.format) };
        i += 1;
    }
    pen.done()
}

#[cfg(test)]
mod tests {
    use super::{Kind, event_len, event_metadata, traits, traits_len};

    // Byte by byte from the format's description.
    #[test]
    fn a_provider() {
        assert_eq!(traits::<{ traits_len("A.b") }>("A.b"), *b"\x06\0A.b\0");
    }

    #[test]
    fn an_event_without_fields() {
        assert_eq!(event_metadata::<{ event_len("Up", &[]) }>("Up", &[]), *b"\x06\0\0Up\0");
    }

    #[test]
    fn fields_with_and_without_a_format() {
        const FIELDS: &[(&str, Kind)] = &[("N", Kind::U32), ("S", Kind::TEXT), ("A", Kind::ADDRESS), ("H", Kind::HEX)];
        assert_eq!(
            event_metadata::<{ event_len("E", FIELDS) }>("E", FIELDS),
            *b"\x13\0\0E\0N\0\x08S\0\x82\x23A\0\x8e\x0aH\0\x14"
        );
    }
}
