//! OpenVPN's opcodes: the top five bits of a packet's first byte (ssl_pkt.h, `P_*`).

/// How far the opcode is shifted in the first byte; the three bits below it are the key-id.
pub const OPCODE_SHIFT: u32 = 3;

/// A packet's opcode, by OpenVPN's numbers.
///
/// The driver acts on [`Opcode::DataV2`] alone; every other packet, known or not, belongs to userspace (see [`crate::classify`]). The
/// names are for traces and tests.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[repr(u8)]
pub enum Opcode {
    /// `P_CONTROL_HARD_RESET_CLIENT_V1`
    ControlHardResetClientV1 = 1,
    /// `P_CONTROL_HARD_RESET_SERVER_V1`
    ControlHardResetServerV1 = 2,
    /// `P_CONTROL_SOFT_RESET_V1`
    ControlSoftResetV1 = 3,
    /// `P_CONTROL_V1`
    ControlV1 = 4,
    /// `P_ACK_V1`
    AckV1 = 5,
    /// `P_DATA_V1`: a data packet without a peer-id. 2.4.0 to 2.4.4 servers send it; the driver leaves it to userspace.
    DataV1 = 6,
    /// `P_CONTROL_HARD_RESET_CLIENT_V2`
    ControlHardResetClientV2 = 7,
    /// `P_CONTROL_HARD_RESET_SERVER_V2`
    ControlHardResetServerV2 = 8,
    /// `P_DATA_V2`: a data packet with a peer-id, the driver's own.
    DataV2 = 9,
    /// `P_CONTROL_HARD_RESET_CLIENT_V3`
    ControlHardResetClientV3 = 10,
    /// `P_CONTROL_WKC_V1`
    ControlWkcV1 = 11,
}

impl Opcode {
    /// The opcode with this number; `None` if OpenVPN has given it no meaning.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::ControlHardResetClientV1,
            2 => Self::ControlHardResetServerV1,
            3 => Self::ControlSoftResetV1,
            4 => Self::ControlV1,
            5 => Self::AckV1,
            6 => Self::DataV1,
            7 => Self::ControlHardResetClientV2,
            8 => Self::ControlHardResetServerV2,
            9 => Self::DataV2,
            10 => Self::ControlHardResetClientV3,
            11 => Self::ControlWkcV1,
            _ => return None,
        })
    }

    /// The opcode of a packet that begins with `byte`.
    #[must_use]
    pub const fn of_first_byte(byte: u8) -> Option<Self> {
        Self::from_number(byte >> OPCODE_SHIFT)
    }

    /// OpenVPN's number for it, 1 to 11.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_opcodes_agree() {
        for number in 0..=255u8 {
            let opcode = Opcode::from_number(number);
            assert_eq!(opcode.is_some(), (1..=11).contains(&number));
            assert!(opcode.is_none_or(|o| o.number() == number));
        }
        assert_eq!(Opcode::of_first_byte(0x48), Some(Opcode::DataV2));
        assert_eq!(Opcode::of_first_byte(0x4f), Some(Opcode::DataV2));
        assert_eq!(Opcode::of_first_byte(0x38), Some(Opcode::ControlHardResetClientV2));
        assert_eq!(Opcode::of_first_byte(0xff), None);
    }
}
