//! The two netlink interfaces: their names and numbers.
//!
//! Source of the numbers: OpenVPN's copies of the two interface headers, `ovpn_dco_linux.h` and the kernel's `linux/ovpn.h`. Those from
//! 48 on in links and from 64 on in peers are our module's own (docs/linux.md).

use std::fmt;
use std::str::FromStr;

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interface {
    /// Of OpenVPN 2.7 and of kernels from 6.16 on.
    Ovpn,
    /// Of OpenVPN 2.6.
    V2,
}

impl Interface {
    /// The preferred one first.
    pub const ALL: [Self; 2] = [Self::Ovpn, Self::V2];

    /// The generic netlink family.
    pub fn family(self) -> &'static str {
        match self {
            Self::Ovpn => "ovpn",
            Self::V2 => "ovpn-dco-v2",
        }
    }

    /// The kind of its links.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Ovpn => "ovpn",
            Self::V2 => "ovpn-dco",
        }
    }

    /// The module's name in /sys/module.
    pub fn module(self) -> &'static str {
        match self {
            Self::Ovpn => "ovpn",
            Self::V2 => "ovpn_dco_v2",
        }
    }

    /// The one whose links are of this kind.
    pub fn of_kind(kind: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|interface| interface.kind() == kind)
    }
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.family())
    }
}

impl FromStr for Interface {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|interface| interface.family() == text);
        found.ok_or_else(|| format!("expected ovpn or ovpn-dco-v2, got {text:?}"))
    }
}

/// The multicast group of both.
pub const GROUP: &str = "peers";

/// The attribute that names the device, in both.
pub const IFINDEX: u16 = 1;

/// Family `ovpn`.
pub mod ovpn {
    /// Commands.
    pub mod command {
        pub const PEER_NEW: u8 = 1;
        pub const PEER_SET: u8 = 2;
        pub const PEER_GET: u8 = 3;
        pub const PEER_DEL: u8 = 4;
        pub const PEER_DEL_NTF: u8 = 5;
        pub const KEY_NEW: u8 = 6;
        pub const KEY_GET: u8 = 7;
        pub const KEY_SWAP: u8 = 8;
        pub const KEY_SWAP_NTF: u8 = 9;
        pub const KEY_DEL: u8 = 10;
        pub const PEER_FLOAT_NTF: u8 = 11;
    }

    /// The nest of a peer.
    pub const PEER: u16 = 2;
    /// The nest of a key.
    pub const KEY: u16 = 3;

    /// In PEER.
    pub mod peer {
        pub const ID: u16 = 1;
        pub const REMOTE_IPV4: u16 = 2;
        pub const REMOTE_IPV6: u16 = 3;
        pub const REMOTE_SCOPE: u16 = 4;
        pub const REMOTE_PORT: u16 = 5;
        pub const SOCKET: u16 = 6;
        pub const VPN_IPV4: u16 = 8;
        pub const VPN_IPV6: u16 = 9;
        pub const LOCAL_IPV4: u16 = 10;
        pub const LOCAL_IPV6: u16 = 11;
        pub const LOCAL_PORT: u16 = 12;
        pub const INTERVAL: u16 = 13;
        pub const TIMEOUT: u16 = 14;
        pub const DEL_REASON: u16 = 15;
        /// The first of eight counters; the order is decode.rs's.
        pub const VPN_RX_BYTES: u16 = 16;
        pub const TX_ID: u16 = 24;
    }

    /// In KEY.
    pub mod key {
        pub const PEER_ID: u16 = 1;
        pub const SLOT: u16 = 2;
        pub const KEY_ID: u16 = 3;
        pub const CIPHER: u16 = 4;
        pub const ENCRYPT: u16 = 5;
        pub const DECRYPT: u16 = 6;
    }
}

/// Family `ovpn-dco-v2`.
pub mod v2 {
    /// Commands; DEL_PEER is also the event.
    pub mod command {
        pub const NEW_PEER: u8 = 1;
        pub const SET_PEER: u8 = 2;
        pub const DEL_PEER: u8 = 3;
        pub const NEW_KEY: u8 = 4;
        pub const SWAP_KEYS: u8 = 5;
        pub const DEL_KEY: u8 = 6;
        pub const GET_PEER: u8 = 7;
    }

    /// A nest for each command.
    pub mod nest {
        pub const NEW_PEER: u16 = 2;
        pub const SET_PEER: u16 = 3;
        pub const DEL_PEER: u16 = 4;
        pub const NEW_KEY: u16 = 5;
        pub const SWAP_KEYS: u16 = 6;
        pub const DEL_KEY: u16 = 7;
        pub const GET_PEER: u16 = 8;
    }

    /// In NEW_PEER; 1 is the peer's id in every nest but DEL_PEER.
    pub mod new_peer {
        pub const REMOTE: u16 = 2;
        pub const SOCKET: u16 = 3;
        pub const IPV4: u16 = 4;
        pub const IPV6: u16 = 5;
        pub const LOCAL_IP: u16 = 6;
    }

    /// The peer's id in every nest but DEL_PEER.
    pub const PEER_ID: u16 = 1;

    /// In SET_PEER.
    pub mod set_peer {
        pub const INTERVAL: u16 = 2;
        pub const TIMEOUT: u16 = 3;
    }

    /// In DEL_PEER.
    pub mod del_peer {
        pub const REASON: u16 = 1;
        pub const PEER_ID: u16 = 2;
    }

    /// In NEW_KEY; SLOT in DEL_KEY, too.
    pub mod key {
        pub const SLOT: u16 = 2;
        pub const KEY_ID: u16 = 3;
        pub const CIPHER: u16 = 4;
        pub const ENCRYPT: u16 = 5;
        pub const DECRYPT: u16 = 6;
    }

    /// In GET_PEER's reply.
    pub mod peer {
        pub const REMOTE: u16 = 2;
        pub const IPV4: u16 = 3;
        pub const IPV6: u16 = 4;
        pub const LOCAL_IP: u16 = 5;
        pub const LOCAL_PORT: u16 = 6;
        pub const INTERVAL: u16 = 7;
        pub const TIMEOUT: u16 = 8;
        /// The first of eight counters; the order is decode.rs's.
        pub const VPN_RX_BYTES: u16 = 9;
    }
}

/// In a key's direction, both interfaces.
pub mod direction {
    pub const KEY: u16 = 1;
    pub const NONCE_TAIL: u16 = 2;
}

/// What is our module's own, in both.
pub mod ours {
    /// In a new peer, a changed one and a reply.
    pub const MSS: u16 = 64;
    /// In a reply: a nest of nests.
    pub const DROPS: u16 = 65;
    /// In DROPS.
    pub const DROP: u16 = 1;
    /// In DROP.
    pub const DROP_REASON: u16 = 1;
    /// In DROP.
    pub const DROP_PACKETS: u16 = 2;
    /// In KEY of a new key, family `ovpn`: an epoch key, and the bytes of each of the cipher's keys. Built with EPOCH=1.
    pub const EPOCH: u16 = 64;
    /// In KEY of a reply: the epoch that is sent in.
    pub const SEND_EPOCH: u16 = 65;
    /// In KEY of a reply: the epoch that is received in.
    pub const RECEIVE_EPOCH: u16 = 66;
}
