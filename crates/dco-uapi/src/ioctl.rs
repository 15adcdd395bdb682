//! The ioctl codes, under OpenVPN's names.

const FILE_DEVICE_UNKNOWN: u32 = 0x22;
const METHOD_BUFFERED: u32 = 0;
const FILE_ANY_ACCESS: u32 = 0;

/// Windows' `CTL_CODE`, for the interface's device type, transfer method and access: `0x220000 | function << 2`.
#[must_use]
pub const fn ctl_code(function: u32) -> u32 {
    FILE_DEVICE_UNKNOWN << 16 | FILE_ANY_ACCESS << 14 | function << 2 | METHOD_BUFFERED
}

/// Declares the codes once: the constants, the enum and the way back from a number.
macro_rules! ioctls {
    ($($(#[$doc:meta])* $variant:ident = $number:literal, $constant:ident;)*) => {
        /// What a request asks for. The discriminant is the function number.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
        #[repr(u32)]
        pub enum Ioctl {
            $($(#[$doc])* $variant = $number,)*
        }

        $($(#[$doc])* pub const $constant: u32 = ctl_code($number);)*

        impl Ioctl {
            /// All of them, by number.
            pub const ALL: [Self; 19] = [$(Self::$variant,)*];

            /// The request with this ioctl code; `None` for an unknown one, to be answered with
            /// [`INVALID_DEVICE_REQUEST`](crate::status::INVALID_DEVICE_REQUEST).
            #[must_use]
            pub const fn from_code(code: u32) -> Option<Self> {
                Some(match code {
                    $($constant => Self::$variant,)*
                    _ => return None,
                })
            }

            /// OpenVPN's name of the code.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => stringify!($constant),)*
                }
            }
        }
    };
}

ioctls! {
    /// P2P: make the peer and its socket. In: [`NewPeer`](crate::raw::NewPeer).
    NewPeer = 1, OVPN_IOCTL_NEW_PEER;
    /// Device counters. Out: [`Stats`](crate::raw::Stats).
    GetStats = 2, OVPN_IOCTL_GET_STATS;
    /// Install a key. In: [`CryptoData`](crate::raw::CryptoData).
    NewKey = 3, OVPN_IOCTL_NEW_KEY;
    /// P2P: exchange primary and secondary key. No data.
    SwapKeys = 4, OVPN_IOCTL_SWAP_KEYS;
    /// P2P: keepalive and MSS. In: [`SetPeer`](crate::raw::SetPeer).
    SetPeer = 5, OVPN_IOCTL_SET_PEER;
    /// P2P: raise the link. No data.
    StartVpn = 6, OVPN_IOCTL_START_VPN;
    /// P2P: remove the peer; the link stays up. No data.
    DelPeer = 7, OVPN_IOCTL_DEL_PEER;
    /// Driver version. Out: [`Version`](crate::raw::Version).
    GetVersion = 8, OVPN_IOCTL_GET_VERSION;
    /// Install a key with options. In: [`CryptoDataV2`](crate::raw::CryptoDataV2).
    NewKeyV2 = 9, OVPN_IOCTL_NEW_KEY_V2;
    /// Choose P2P or multi-peer. In: [`SetMode`](crate::raw::SetMode).
    SetMode = 10, OVPN_IOCTL_SET_MODE;
    /// MP: make the listening socket. In and out: [`MpStartVpn`](crate::raw::MpStartVpn).
    MpStartVpn = 11, OVPN_IOCTL_MP_START_VPN;
    /// MP: add a peer. In: [`MpNewPeer`](crate::raw::MpNewPeer).
    MpNewPeer = 12, OVPN_IOCTL_MP_NEW_PEER;
    /// MP: a peer's keepalive and MSS. In: [`MpSetPeer`](crate::raw::MpSetPeer).
    MpSetPeer = 13, OVPN_IOCTL_MP_SET_PEER;
    /// Wait for an event. Out: [`NotifyEvent`](crate::raw::NotifyEvent).
    NotifyEvent = 14, OVPN_IOCTL_NOTIFY_EVENT;
    /// MP: remove a peer. In: [`PeerRef`](crate::raw::PeerRef).
    MpDelPeer = 15, OVPN_IOCTL_MP_DEL_PEER;
    /// MP: exchange a peer's keys. In: [`PeerRef`](crate::raw::PeerRef).
    MpSwapKeys = 16, OVPN_IOCTL_MP_SWAP_KEYS;
    /// MP: route a network to a peer. In: [`Iroute`](crate::raw::Iroute).
    MpAddIroute = 17, OVPN_IOCTL_MP_ADD_IROUTE;
    /// MP: remove such a route. In: [`Iroute`](crate::raw::Iroute).
    MpDelIroute = 18, OVPN_IOCTL_MP_DEL_IROUTE;
    /// Counters of a peer or of all. In: [`PeerRef`](crate::raw::PeerRef); out: [`PeerStats`](crate::raw::PeerStats), one or more.
    GetPeerStats = 19, OVPN_IOCTL_GET_PEER_STATS;
}

impl Ioctl {
    /// Its ioctl code.
    #[must_use]
    pub const fn code(self) -> u32 {
        ctl_code(self as u32)
    }
}
