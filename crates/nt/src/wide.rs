//! UTF-16 string constants.

use nt_sys::UNICODE_STRING;

/// A NUL-terminated UTF-16 string that lives for ever.
#[derive(Clone, Copy)]
pub struct Wide(&'static [u16]);

impl Wide {
    /// Wraps units that end with a NUL.
    ///
    /// # Panics
    /// At compile time, when the NUL is missing or the string is too long for a `UNICODE_STRING`.
    #[must_use]
    pub const fn new(units: &'static [u16]) -> Self {
        assert!(!units.is_empty() && units[units.len() - 1] == 0, "wide: NUL");
        assert!(units.len() < 0x7fff, "wide: length");
        Self(units)
    }

    /// The units including the NUL.
    #[must_use]
    pub const fn units(self) -> &'static [u16] {
        self.0
    }

    /// As a `UNICODE_STRING` (Length without the NUL). The kernel's calls take it as a constant; none writes to it.
    #[must_use]
    pub const fn unicode(self) -> UNICODE_STRING {
        let bytes = (self.0.len() * 2) as u16;
        UNICODE_STRING { Length: bytes - 2, MaximumLength: bytes, Buffer: self.0.as_ptr().cast_mut() }
    }
}

/// `wide!("\\Device\\x")`: a [`Wide`] constant.
#[macro_export]
macro_rules! wide {
    ($s:literal) => {{
        const UNITS: [u16; $s.len() + 1] = $crate::sys::widen($s);
        static STORED: [u16; $s.len() + 1] = UNITS;
        $crate::wide::Wide::new(&STORED)
    }};
}
