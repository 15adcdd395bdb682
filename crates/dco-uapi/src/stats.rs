//! What `OVPN_IOCTL_GET_VERSION`, `OVPN_IOCTL_GET_STATS` and `OVPN_IOCTL_GET_PEER_STATS` return.
//!
//! Counters here are unsigned and 64 bits wide; on the wire they are signed, some of 32 bits. One that no longer fits stays at the
//! largest value rather than wrapping to a negative one.

use crate::raw;

/// The driver's version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Version {
    /// Multi-peer mode is offered from 2 on.
    pub major: u16,
    /// Epoch keys are offered from 2.8 on.
    pub minor: u16,
    /// Fixes.
    pub patch: u16,
}

impl Version {
    /// The 12 output bytes.
    #[must_use]
    pub fn to_raw(self) -> raw::Version {
        raw::Version {
            major: i32::from(self.major).into(),
            minor: i32::from(self.minor).into(),
            patch: i32::from(self.patch).into(),
        }
    }
}

/// The device's counters since the last new peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DeviceStats {
    /// Control packets from the network that were lost.
    pub lost_in_control: u64,
    /// Control packets to the network that were lost.
    pub lost_out_control: u64,
    /// Data packets from the network that were lost.
    pub lost_in_data: u64,
    /// Data packets to the network that were lost.
    pub lost_out_data: u64,
    /// Data packets received.
    pub received_data: u64,
    /// Control packets received.
    pub received_control: u64,
    /// Control packets sent.
    pub sent_control: u64,
    /// Data packets sent.
    pub sent_data: u64,
    /// Bytes of data packets sent to the network.
    pub transport_sent: u64,
    /// Bytes of data packets received from the network, unknown peers' included.
    pub transport_received: u64,
    /// Bytes of packets taken from the adapter and sent.
    pub tun_sent: u64,
    /// Bytes of packets given to the adapter.
    pub tun_received: u64,
}

impl DeviceStats {
    /// The 64 output bytes.
    #[must_use]
    pub fn to_raw(&self) -> raw::Stats {
        raw::Stats {
            lost_in_control_packets: packets(self.lost_in_control).into(),
            lost_out_control_packets: packets(self.lost_out_control).into(),
            lost_in_data_packets: packets(self.lost_in_data).into(),
            lost_out_data_packets: packets(self.lost_out_data).into(),
            received_data_packets: packets(self.received_data).into(),
            received_control_packets: packets(self.received_control).into(),
            sent_control_packets: packets(self.sent_control).into(),
            sent_data_packets: packets(self.sent_data).into(),
            transport_bytes_sent: bytes(self.transport_sent).into(),
            transport_bytes_received: bytes(self.transport_received).into(),
            tun_bytes_sent: bytes(self.tun_sent).into(),
            tun_bytes_received: bytes(self.tun_received).into(),
        }
    }
}

/// One peer's byte counters.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PeerStats {
    /// Which peer.
    pub peer_id: i32,
    /// Bytes of data packets received from it.
    pub link_rx: u64,
    /// Bytes of data packets sent to it.
    pub link_tx: u64,
    /// Bytes of packets it sent through the tunnel.
    pub vpn_rx: u64,
    /// Bytes of packets it was sent through the tunnel.
    pub vpn_tx: u64,
}

impl PeerStats {
    /// The 40 output bytes.
    #[must_use]
    pub fn to_raw(&self) -> raw::PeerStats {
        raw::PeerStats {
            peer_id: self.peer_id.into(),
            _padding: [0; 4],
            link_rx_bytes: bytes(self.link_rx).into(),
            link_tx_bytes: bytes(self.link_tx).into(),
            vpn_rx_bytes: bytes(self.vpn_rx).into(),
            vpn_tx_bytes: bytes(self.vpn_tx).into(),
        }
    }
}

fn packets(count: u64) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

fn bytes(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
