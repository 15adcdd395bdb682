//! Peers and their counters, as text.

use std::fmt::{self, Write};

use crate::decode::{Peer, Traffic};

/// A line each: `name value`.
pub struct Named<'a, T>(pub &'a [(&'static str, T)]);

impl<T: fmt::Display> fmt::Display for Named<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(name, value)| writeln!(f, "{name} {value}"))
    }
}

/// The eight counters, named as the kernel's description of family `ovpn` names them.
pub fn counters(peer: &Peer) -> [(&'static str, u64); 8] {
    let Peer { vpn, link, .. } = peer;
    [
        ("vpn-rx-bytes", vpn.rx_bytes),
        ("vpn-tx-bytes", vpn.tx_bytes),
        ("vpn-rx-packets", vpn.rx_packets),
        ("vpn-tx-packets", vpn.tx_packets),
        ("link-rx-bytes", link.rx_bytes),
        ("link-tx-bytes", link.tx_bytes),
        ("link-rx-packets", link.rx_packets),
        ("link-tx-packets", link.tx_packets),
    ]
}

/// Everything that is known of a peer but its drops.
pub fn peer(peer: &Peer) -> String {
    let mut text = format!("peer {}\n", peer.id);
    let mut line = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            // Text takes everything.
            let _ = writeln!(text, "{name} {value}");
        }
    };
    line("tx-id", peer.tx_id.map(|id| id.to_string()));
    line("remote", peer.remote.map(|remote| remote.to_string()));
    line("local", peer.local.map(|local| local.to_string()));
    line("local-port", peer.local_port.map(|port| port.to_string()));
    line("vpn-ipv4", peer.vpn4.map(|address| address.to_string()));
    line("vpn-ipv6", peer.vpn6.map(|address| address.to_string()));
    line("keepalive", Some(format!("{},{}", peer.interval, peer.timeout)));
    line("mss", peer.mss.map(|mss| mss.to_string()));
    text + &Named(&counters(peer)).to_string()
}

/// The drops that counted something, a line each.
pub fn drops(peer: &Peer) -> Option<String> {
    let drops = peer.drops.as_ref()?;
    Some(drops.iter().map(|(reason, packets)| format!("{reason} {packets}\n")).collect())
}

/// The sum over all peers.
pub fn sum(peers: &[Peer]) -> (Traffic, Traffic) {
    let add = |sum: Traffic, more: Traffic| Traffic {
        rx_bytes: sum.rx_bytes + more.rx_bytes,
        tx_bytes: sum.tx_bytes + more.tx_bytes,
        rx_packets: sum.rx_packets + more.rx_packets,
        tx_packets: sum.tx_packets + more.tx_packets,
    };
    peers.iter().fold(Default::default(), |(vpn, link), peer| (add(vpn, peer.vpn), add(link, peer.link)))
}

/// The head of a table whose lines are [`watch_line`]s.
pub const WATCH_HEAD: &str = "      tunnel, Mbit/s        link, Mbit/s       packets/s on the link   peers
   sent   received      sent   received        sent   received";

/// What has changed since `before`, `seconds` ago.
pub fn watch_line(before: &[Peer], peers: &[Peer], seconds: u32) -> String {
    let ((vpn0, link0), (vpn, link)) = (sum(before), sum(peers));
    // A peer that went took its counters along.
    let more = |now: u64, then: u64| now.saturating_sub(then) as f64 / f64::from(seconds);
    let rate = |now: u64, then: u64| more(now, then) * 8e-6;
    format!(
        "{:>7.1} {:>10.1} {:>9.1} {:>10.1} {:>11.0} {:>10.0} {:>7}",
        rate(vpn.tx_bytes, vpn0.tx_bytes),
        rate(vpn.rx_bytes, vpn0.rx_bytes),
        rate(link.tx_bytes, link0.tx_bytes),
        rate(link.rx_bytes, link0.rx_bytes),
        more(link.tx_packets, link0.tx_packets),
        more(link.rx_packets, link0.rx_packets),
        peers.len(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(id: u32, bytes: u64) -> Peer {
        let traffic = Traffic { rx_bytes: bytes, tx_bytes: 2 * bytes, rx_packets: 10, tx_packets: 20 };
        Peer { id, vpn: traffic, link: traffic, ..Peer::default() }
    }

    #[test]
    fn a_peer_is_shown_by_what_is_known_of_it() {
        let peer = Peer {
            remote: Some("192.0.2.1:1194".parse().expect("an address")),
            drops: Some(vec![("rx_replay".into(), 3)]),
            mss: Some(1300),
            ..some(4, 5)
        };
        let text = super::peer(&peer);
        assert!(text.starts_with("peer 4\nremote 192.0.2.1:1194\nkeepalive 0,0\nmss 1300\nvpn-rx-bytes 5\n"), "{text}");
        assert_eq!(drops(&peer).as_deref(), Some("rx_replay 3\n"));
        assert_eq!(drops(&some(1, 1)), None);
    }

    #[test]
    fn rates_are_of_all_peers() {
        let (before, now) = ([some(1, 0)], [some(1, 1_000_000), some(2, 500_000)]);
        let line = watch_line(&before, &now, 2);
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words, ["12.0", "6.0", "12.0", "6.0", "10", "5", "2"]);
        assert!(watch_line(&now, &before, 1).starts_with("    0.0"));
    }
}
