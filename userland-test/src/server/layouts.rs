//! A server whose packets come in pieces, of every length, and longer than the adapter's MTU (ovpn-dco-win #40, #130).

use std::net::{IpAddr, SocketAddr, UdpSocket};

use anyhow::{Result, bail};

use super::{Guest, Server};
use crate::rig::{Checks, Rig, Side};

/// The lab cuts what it gives the driver to send into up to so many fragments, and gives received datagrams as MDLs that are locked but
/// not mapped.
const OPTIONS: [&str; 5] = ["--tx-fragments", "7", "--wsk-locked-mdls", "--wsk-completion", "async"];

/// The adapter's MTU.
const MTU: usize = 1500;

/// What the stack believes it to be.
const BELIEVED: usize = 4000;

/// Runs its own lab.
pub(super) fn check(rig: &Rig, checks: &mut Checks) -> Result<()> {
    let Ok(machine) = rig.start_one(Side::A, &OPTIONS)? else { bail!("expected the lab ready, it ended") };
    checks.check("packets in fragments, and above the MTU", || {
        let (server, mut clients) = Server::with_clients(rig, &machine, 6)?;
        let done = server.layouts(&mut clients)?;
        server.device.close()?;
        Ok(done)
    });
    checks.check("unload after fragments", || {
        machine.stop()?;
        Ok("nothing left behind, nothing violated".into())
    });
    Ok(())
}

impl Server<'_> {
    fn layouts(&self, clients: &mut [Guest]) -> Result<String> {
        let mut count = 0;
        for length in (48..=MTU).step_by(7).chain([MTU - 1, MTU]) {
            for client in &mut *clients {
                let v6 = count % 2 == 1;
                client.pings(client.vpn[usize::from(v6)], self.inside(v6), length, count)?;
                count += 1;
            }
        }
        let long = self.too_long(clients)?;
        for client in &mut *clients {
            for v6 in [false, true] {
                client.pings(client.vpn[usize::from(v6)], self.inside(v6), MTU, count)?;
            }
        }
        self.eventually("what each sent and got", || Ok(self.counted_each(clients).is_ok()))?;
        Ok(format!(
            "{count} echoes of 48 to {MTU} bytes; {long} longer packets dropped as TxTooLong, nothing sent for them"
        ))
    }

    /// Packets that the stack should not have given to the adapter.
    fn too_long(&self, clients: &[Guest]) -> Result<i64> {
        self.rig.set_tun_mtu(Side::A, BELIEVED)?;
        let before = self.drop_count("TxTooLong")?;
        let mut sent = 0;
        for client in clients {
            for to in client.vpn {
                let headers = if to.is_ipv6() { 48 } else { 28 };
                let from: IpAddr = self.inside(to.is_ipv6());
                let socket = self.rig.within(Side::A, || Ok(UdpSocket::bind((from, 0))?))?;
                for length in [1501, 1502, 1503, 2047, 2048, 2049, BELIEVED] {
                    socket.send_to(&vec![0x5A; length - headers], SocketAddr::from((to, 7)))?;
                    sent += 1;
                }
            }
        }
        self.eventually("each in TxTooLong", || Ok(self.drop_count("TxTooLong")? == before + sent))?;
        self.rig.set_tun_mtu(Side::A, MTU)?;
        Ok(sent)
    }
}
