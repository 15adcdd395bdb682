//! Requests of this driver's own, beside OpenVPN's interface and invisible to it. Their function numbers are 0x800 and up, which Microsoft
//! leaves to vendors and OpenVPN does not use.

use crate::ioctl::ctl_code;

/// All drop reasons with their counts. Out: an array of [`DropCount`](crate::raw::DropCount), as many as the driver has reasons; a buffer
/// too small for all of them is BUFFER_TOO_SMALL. In either mode, with or without a peer.
pub const GET_DROPS: u32 = ctl_code(0x801);

const _: () = assert!(GET_DROPS == 0x22_2004);

#[cfg(test)]
mod tests {
    use crate::raw::DropCount;

    #[test]
    fn a_record_keeps_its_name_and_count() {
        let record = DropCount::new("RxReplay", 7);
        assert_eq!(record.name(), Some("RxReplay"));
        assert_eq!(record.count.get(), 7);
        let cut = DropCount::new(&"x".repeat(40), u64::MAX);
        assert_eq!(cut.name().map(str::len), Some(32));
        assert_eq!(cut.count.get(), i64::MAX);
    }
}
