//! Time as an argument.

/// A moment, in milliseconds of a clock that also runs while the machine sleeps (so that a peer that is gone after a night
/// is noticed at once) and that nobody sets. Only differences matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Tick(pub u64);

impl Tick {
    /// Whole seconds from `earlier` to here; 0 if `earlier` is later.
    #[inline]
    #[must_use]
    pub const fn whole_seconds_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0) / 1000
    }
}

#[cfg(test)]
mod tests {
    use super::Tick;

    #[test]
    fn seconds_are_whole_and_never_negative() {
        assert_eq!(Tick(2_999).whole_seconds_since(Tick(1_000)), 1);
        assert_eq!(Tick(3_000).whole_seconds_since(Tick(1_000)), 2);
        assert_eq!(Tick(1).whole_seconds_since(Tick(2)), 0);
        assert_eq!(Tick(u64::MAX).whole_seconds_since(Tick(0)), u64::MAX / 1000);
    }
}
