//! Requests of this driver's own, beside OpenVPN's interface and invisible to it. Their function numbers are 0x800 and up, which Microsoft
//! leaves to vendors and OpenVPN does not use.

use crate::error::{UapiError, prefix};
use crate::ioctl::ctl_code;
use crate::key::Slot;
use crate::peer::Protocol;
use crate::raw;
use core::net::SocketAddr;

/// All drop reasons with their counts. Out: an array of [`DropCount`](crate::raw::DropCount), as many as the driver has reasons; a buffer
/// too small for all of them is BUFFER_TOO_SMALL. In either mode, with or without a peer.
pub const GET_DROPS: u32 = ctl_code(0x801);

/// P2P: empty a key slot. In: [`DelKey`](raw::DelKey). A slot that is empty stays so; no peer is OBJECTID_NOT_FOUND.
pub const DEL_KEY: u32 = ctl_code(0x802);

/// P2P: wait until the primary key comes near its last packet id. In: [`AwaitKey`](raw::AwaitKey); out: [`KeyEvent`](raw::KeyEvent). Pends
/// until the id of the key's next packet is at or above the given one, whichever key that is by then; ends once. Removing the peer, or
/// closing the handle, ends it with CANCELLED; no peer is OBJECTID_NOT_FOUND.
pub const KEY_EVENT: u32 = ctl_code(0x803);

/// One peer's packets: those that passed, then those that were lost, by reason. In: a peer id, as
/// [`parse_peer_id`](crate::parse_peer_id) reads it, which P2P ignores. Out: an array of [`DropCount`](crate::raw::DropCount):
/// [`PEER_PACKETS`], then all drop reasons in the order of [`GET_DROPS`]; a buffer too small for all of them is BUFFER_TOO_SMALL. No such
/// peer is OBJECTID_NOT_FOUND.
pub const GET_PEER_DROPS: u32 = ctl_code(0x804);

const _: () = assert!(GET_DROPS == 0x22_2004 && DEL_KEY == 0x22_2008 && KEY_EVENT == 0x22_200C);
/// MP: another socket to be reached at, beside MP_START_VPN's or without it. In: [`MpListen`](raw::MpListen); out:
/// [`MpListener`](raw::MpListener), the address that was bound and the listener's number. From then on clients' addresses have a listener's
/// number in them ([`sockaddr`](crate::sockaddr)).
pub const MP_LISTEN: u32 = ctl_code(0x805);

/// MP: closes a listener. In: its number, [`MpUnlisten`](raw::MpUnlisten); 0 is MP_START_VPN's. No such listener is NOT_FOUND.
pub const MP_UNLISTEN: u32 = ctl_code(0x806);

/// MP: ends a TCP connection that is no peer's, once what was written to it is sent. In: [`MpDisconnect`](raw::MpDisconnect), where it came
/// from with its listener's number. A peer's is INVALID_DEVICE_STATE, none NOT_FOUND.
pub const MP_DISCONNECT: u32 = ctl_code(0x807);

const _: () = assert!(MP_DISCONNECT == 0x22_201C);
const _: () = assert!(GET_PEER_DROPS == 0x22_2010 && MP_LISTEN == 0x22_2014 && MP_UNLISTEN == 0x22_2018);

/// The names of [`GET_PEER_DROPS`]'s first records: data packets from the peer that were opened, data packets sealed for it, inner packets
/// from it that were handed over, inner packets sealed for it. The first two count keepalive pings, too.
pub const PEER_PACKETS: [&str; 4] = ["LinkRxPackets", "LinkTxPackets", "VpnRxPackets", "VpnTxPackets"];

/// The packet id that no key reaches: what KEY_EVENT tells of one that seals no more.
pub const PACKET_ID_LIMIT: u32 = 0xF000_0000;

/// Reads the input of [`DEL_KEY`].
///
/// # Errors
///
/// [`UapiError::TooShort`], [`UapiError::BadSlot`].
pub fn parse_del_key(input: &[u8]) -> Result<Slot, UapiError> {
    Slot::parse(prefix::<raw::DelKey>(input)?.slot.get())
}

/// Reads the input of [`KEY_EVENT`]: the packet id to wait for, `None` where it is left to the driver.
///
/// # Errors
///
/// [`UapiError::TooShort`], [`UapiError::BadPacketId`] for one above [`PACKET_ID_LIMIT`], which would be waited for for ever.
pub fn parse_key_event(input: &[u8]) -> Result<Option<u32>, UapiError> {
    match prefix::<raw::AwaitKey>(input)?.packet_id.get() {
        0 => Ok(None),
        id if id <= PACKET_ID_LIMIT => Ok(Some(id)),
        id => Err(UapiError::BadPacketId(id)),
    }
}

/// Where and how to listen: [`MP_LISTEN`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MpListen {
    /// The address to bind.
    pub listen: SocketAddr,
    /// Whether an IPv6 socket refuses IPv4; zero asks for a dual-stack one.
    pub ipv6_only: bool,
    /// By what clients come.
    pub protocol: Protocol,
}

impl MpListen {
    /// Reads the 36 input bytes.
    ///
    /// # Errors
    ///
    /// [`UapiError::TooShort`], [`UapiError::BadFamily`], and as [`Protocol::parse`].
    pub fn parse(input: &[u8]) -> Result<Self, UapiError> {
        let raw: &raw::MpListen = prefix(input)?;
        Ok(Self {
            listen: raw.listen_address.parse()?,
            ipv6_only: raw.ipv6_only.get() != 0,
            protocol: Protocol::parse(raw.proto.get())?,
        })
    }
}

/// Reads the input of [`MP_DISCONNECT`]: an address and its listener's number.
///
/// # Errors
///
/// [`UapiError::TooShort`], [`UapiError::BadFamily`].
pub fn parse_disconnect(input: &[u8]) -> Result<(SocketAddr, u32), UapiError> {
    let raw: &raw::MpDisconnect = prefix(input)?;
    Ok((raw.remote.parse()?, raw.remote.listener()))
}

/// Reads the input of [`MP_UNLISTEN`]: a listener's number.
///
/// # Errors
///
/// [`UapiError::TooShort`].
pub fn parse_unlisten(input: &[u8]) -> Result<u32, UapiError> {
    Ok(prefix::<raw::MpUnlisten>(input)?.listener.get())
}

/// What [`KEY_EVENT`] tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyEvent {
    /// The key-id in the primary key's packets.
    pub key_id: u8,
    /// The peer-id in them.
    pub peer_id: i32,
    /// The id of its next packet; [`PACKET_ID_LIMIT`] if it seals none any more.
    pub packet_id: u32,
}

impl KeyEvent {
    /// The 16 output bytes.
    #[must_use]
    pub fn to_raw(self) -> raw::KeyEvent {
        raw::KeyEvent {
            slot: 0.into(),
            key_id: u32::from(self.key_id).into(),
            peer_id: self.peer_id.into(),
            packet_id: self.packet_id.into(),
        }
    }
}

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
