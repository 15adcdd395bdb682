//! The structures as OpenVPN's `uapi.h` lays them out on x64 and ARM64 Windows.
//!
//! Numbers are little-endian, as both machines are; ports and IP addresses within a socket address are in network order. Every type has
//! alignment 1, so a request's buffer needs none, and spells its padding out: `IntoBytes` then proves that no byte of an output
//! structure is uninitialised. Padding we write is zero; padding we read is ignored. No field is checked here: the parsed forms in the
//! crate's root do that.

use core::mem::{offset_of, size_of};
use zerocopy::little_endian::{I32, I64, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};
use zeroize::Zeroize;

/// Declares structures: `repr(C)`, plain bytes, and the size and offsets of the interface's tables asserted.
macro_rules! layouts {
    ($($(#[$doc:meta])* $name:ident, $size:literal {
        $($(#[$field_doc:meta])* $vis:vis $field:ident @ $offset:literal: $type:ty,)*
    })*) => {$(
        $(#[$doc])*
        #[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(C)]
        pub struct $name {
            $($(#[$field_doc])* $vis $field: $type,)*
        }

        const _: () = {
            assert!(size_of::<$name>() == $size);
            $(assert!(offset_of!($name, $field) == $offset);)*
        };
    )*};
}

layouts! {
    /// A union of `SOCKADDR_IN` and `SOCKADDR_IN6`. [`crate::sockaddr`] reads and writes it.
    SockaddrUnion, 28 {
        /// The bytes of either, the shorter one's tail zero.
        pub bytes @ 0: [u8; 28],
    }

    /// `OVPN_NEW_PEER`
    NewPeer, 60 {
        /// Where to bind.
        pub local @ 0: SockaddrUnion,
        /// Where the peer is.
        pub remote @ 28: SockaddrUnion,
        /// 0 UDP, 1 TCP.
        pub proto @ 56: I32,
    }

    /// `OVPN_STATS`
    Stats, 64 {
        /// Control packets from the network that were lost.
        pub lost_in_control_packets @ 0: I32,
        /// Control packets to the network that were lost.
        pub lost_out_control_packets @ 4: I32,
        /// Data packets from the network that were lost.
        pub lost_in_data_packets @ 8: I32,
        /// Data packets to the network that were lost.
        pub lost_out_data_packets @ 12: I32,
        /// Data packets received.
        pub received_data_packets @ 16: I32,
        /// Control packets received.
        pub received_control_packets @ 20: I32,
        /// Control packets sent.
        pub sent_control_packets @ 24: I32,
        /// Data packets sent.
        pub sent_data_packets @ 28: I32,
        /// Bytes of data packets sent to the network.
        pub transport_bytes_sent @ 32: I64,
        /// Bytes of data packets received from the network.
        pub transport_bytes_received @ 40: I64,
        /// Bytes of packets taken from the adapter.
        pub tun_bytes_sent @ 48: I64,
        /// Bytes of packets given to the adapter.
        pub tun_bytes_received @ 56: I64,
    }

    /// `OVPN_SET_PEER`
    SetPeer, 12 {
        /// Seconds; 0 off, -1 unchanged.
        pub keepalive_interval @ 0: I32,
        /// Seconds; 0 off, -1 unchanged.
        pub keepalive_timeout @ 4: I32,
        /// Bytes; 0 off, -1 unchanged.
        pub mss @ 8: I32,
    }

    /// `OVPN_VERSION`
    Version, 12 {
        /// Incompatible changes; 2 and above offer multi-peer mode.
        pub major @ 0: I32,
        /// Compatible changes.
        pub minor @ 4: I32,
        /// Fixes.
        pub patch @ 8: I32,
    }

    /// `OVPN_SET_MODE`
    SetMode, 4 {
        /// 0 P2P, 1 MP.
        pub mode @ 0: I32,
    }

    /// `OVPN_MP_START_VPN`
    MpStartVpn, 32 {
        /// Where to listen; on return where it listens.
        pub listen_address @ 0: SockaddrUnion,
        /// 0 asks for a dual-stack socket.
        pub ipv6_only @ 28: I32,
    }

    /// `OVPN_MP_NEW_PEER`
    MpNewPeer, 80 {
        /// Only its family is looked at.
        pub local @ 0: SockaddrUnion,
        /// Where the peer is.
        pub remote @ 28: SockaddrUnion,
        /// Its IPv4 address in the tunnel, network order; zero for none.
        pub vpn_addr4 @ 56: [u8; 4],
        /// Its IPv6 address in the tunnel; zero for none.
        pub vpn_addr6 @ 60: [u8; 16],
        /// Its id.
        pub peer_id @ 76: I32,
    }

    /// `OVPN_MP_SET_PEER`
    MpSetPeer, 16 {
        /// Which peer.
        pub peer_id @ 0: I32,
        /// The rest as in [`SetPeer`].
        pub settings @ 4: SetPeer,
    }

    /// `OVPN_NOTIFY_EVENT`
    NotifyEvent, 144 {
        /// 0 peer deleted, 1 keys swapped, 2 peer's address changed.
        pub cmd @ 0: I32,
        /// Which peer.
        pub peer_id @ 4: I32,
        /// Why it was deleted: see [`DelReason`](crate::DelReason).
        pub del_peer_reason @ 8: I32,
        /// Zero.
        pub _padding @ 12: [u8; 4],
        /// A `SOCKADDR_STORAGE`: the peer's new address.
        pub float_address @ 16: SockaddrUnion,
        /// Zero: the storage's tail.
        pub _float_address_tail @ 44: [u8; 100],
    }

    /// A peer id alone: `OVPN_MP_DEL_PEER`, `OVPN_MP_SWAP_KEYS`, `OVPN_GET_PEER_STATS`
    PeerRef, 4 {
        /// Which peer; -1 where all may be meant.
        pub peer_id @ 0: I32,
    }

    /// `OVPN_MP_IROUTE`
    Iroute, 28 {
        /// The network's address, network order; IPv4 in the first four bytes.
        pub addr @ 0: [u8; 16],
        /// Its prefix length.
        pub netbits @ 16: I32,
        /// The peer it is routed to; -1 where OpenVPN does not say.
        pub peer_id @ 20: I32,
        /// 0 IPv4, anything else IPv6.
        pub ipv6 @ 24: I32,
    }

    /// `OVPN_PEER_STATS`
    PeerStats, 40 {
        /// Which peer.
        pub peer_id @ 0: I32,
        /// Zero.
        pub _padding @ 4: [u8; 4],
        /// Bytes of data packets received from it.
        pub link_rx_bytes @ 8: I64,
        /// Bytes of data packets sent to it.
        pub link_tx_bytes @ 16: I64,
        /// Bytes of packets it sent through the tunnel.
        pub vpn_rx_bytes @ 24: I64,
        /// Bytes of packets it was sent through the tunnel.
        pub vpn_tx_bytes @ 32: I64,
    }
}

layouts! {
    /// One record of [`GET_DROPS`](crate::additive::GET_DROPS) or [`GET_PEER_DROPS`](crate::additive::GET_PEER_DROPS).
    DropCount, 40 {
        /// The reason's name, ASCII, padded with zeroes.
        pub name @ 0: [u8; 32],
        /// Packets lost for it since the device, or the peer, was made.
        pub count @ 32: I64,
    }
}

impl DropCount {
    /// A record; a name longer than 32 bytes is cut.
    #[must_use]
    pub fn new(name: &str, count: u64) -> Self {
        let mut record = Self { name: [0; 32], count: i64::try_from(count).unwrap_or(i64::MAX).into() };
        for (to, from) in record.name.iter_mut().zip(name.bytes()) {
            *to = from;
        }
        record
    }

    /// The reason's name, where it is text.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        core::str::from_utf8(&self.name).ok().map(|name| name.trim_end_matches('\0'))
    }
}

layouts! {
    /// Input of [`MP_LISTEN`](crate::additive::MP_LISTEN).
    MpListen, 36 {
        /// Where to listen.
        pub listen_address @ 0: SockaddrUnion,
        /// An IPv6 socket: nonzero refuses IPv4.
        pub ipv6_only @ 28: I32,
        /// 0 UDP, 1 TCP.
        pub proto @ 32: I32,
    }

    /// Output of [`MP_LISTEN`](crate::additive::MP_LISTEN).
    MpListener, 32 {
        /// The address that was bound.
        pub listen_address @ 0: SockaddrUnion,
        /// The listener's number, 1 to 15.
        pub listener @ 28: U32,
    }

    /// Input of [`MP_DISCONNECT`](crate::additive::MP_DISCONNECT).
    MpDisconnect, 28 {
        /// Where the connection came from.
        pub remote @ 0: SockaddrUnion,
    }

    /// Input of [`MP_UNLISTEN`](crate::additive::MP_UNLISTEN).
    MpUnlisten, 4 {
        /// The listener's number.
        pub listener @ 0: U32,
    }
}

layouts! {
    /// Input of [`DEL_KEY`](crate::additive::DEL_KEY).
    DelKey, 4 {
        /// 0 primary, 1 secondary.
        pub slot @ 0: I32,
    }

    /// Input of [`KEY_EVENT`](crate::additive::KEY_EVENT).
    AwaitKey, 4 {
        /// The packet id to wait for; 0 leaves it to the driver.
        pub packet_id @ 0: U32,
    }

    /// Output of [`KEY_EVENT`](crate::additive::KEY_EVENT).
    KeyEvent, 16 {
        /// 0: the primary key, which is the one that seals.
        pub slot @ 0: I32,
        /// The key-id in its packets' headers.
        pub key_id @ 4: U32,
        /// The peer-id in its packets' headers.
        pub peer_id @ 8: I32,
        /// The id of its next packet; 0xF0000000 if it seals none any more.
        pub packet_id @ 12: U32,
    }
}

/// One direction of a key: `OVPN_KEY_DIRECTION`. Secret: no `Debug`, no `Clone`, zeroed on drop.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct KeyDirection {
    /// The key, its unused tail unspecified.
    pub key: [u8; 32],
    /// Bytes of the key in use.
    pub key_len: u8,
    /// The nonce's last eight bytes.
    pub nonce_tail: [u8; 8],
}

impl Drop for KeyDirection {
    fn drop(&mut self) {
        self.key.zeroize();
        self.key_len.zeroize();
        self.nonce_tail.zeroize();
    }
}

/// `OVPN_CRYPTO_DATA`
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct CryptoData {
    /// For what we send.
    pub encrypt: KeyDirection,
    /// For what we receive.
    pub decrypt: KeyDirection,
    /// Zero.
    pub _padding: [u8; 2],
    /// 0 primary, 1 secondary.
    pub slot: I32,
    /// 0 none, 1 AES-GCM, 2 ChaCha20-Poly1305.
    pub alg: I32,
    /// The key-id; above 7 it never matches.
    pub key_id: u8,
    /// Zero.
    pub _padding2: [u8; 3],
    /// The peer; in P2P it only goes into outgoing headers, its low 24 bits.
    pub peer_id: I32,
}

/// `OVPN_CRYPTO_DATA_V2`
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct CryptoDataV2 {
    /// The first version's fields.
    pub v1: CryptoData,
    /// See [`CryptoOptions`](crate::CryptoOptions).
    pub crypto_options: U32,
}

const _: () = {
    assert!(size_of::<KeyDirection>() == 41);
    assert!(offset_of!(KeyDirection, key) == 0);
    assert!(offset_of!(KeyDirection, key_len) == 32);
    assert!(offset_of!(KeyDirection, nonce_tail) == 33);
    assert!(size_of::<CryptoData>() == 100);
    assert!(offset_of!(CryptoData, encrypt) == 0);
    assert!(offset_of!(CryptoData, decrypt) == 41);
    assert!(offset_of!(CryptoData, slot) == 84);
    assert!(offset_of!(CryptoData, alg) == 88);
    assert!(offset_of!(CryptoData, key_id) == 92);
    assert!(offset_of!(CryptoData, peer_id) == 96);
    assert!(size_of::<CryptoDataV2>() == 104);
    assert!(offset_of!(CryptoDataV2, crypto_options) == 100);
};
