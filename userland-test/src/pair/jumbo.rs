//! Packets of more than 1500 bytes.

use anyhow::{Context, Result, ensure};

use super::{PACKETS, Pair};
use crate::key::Cipher;
use crate::rig::{Side, Traffic, Transport};

impl Pair<'_> {
    /// Packets up to the keyword's MTU pass, one byte more is dropped by name.
    pub fn jumbo(&self) -> Result<String> {
        const MTU: usize = 9000;
        for machine in self.machines {
            let mtu = machine.mtu()?;
            ensure!(mtu == MTU, "expected an MTU of {MTU}, got {mtu}");
        }
        let mut sum = Traffic::default();
        for transport in [Transport::V4, Transport::V6] {
            self.up(transport, Cipher::Aes256, None)?;
            sum = Traffic::default();
            for inner in [Transport::V4, Transport::V6] {
                let probe = self.rig.probe(inner)?;
                for bytes in [48, 1500, 1501, 2048, 2049, 4096, 8999, MTU] {
                    for number in 0..PACKETS {
                        sum +=
                            probe.exchange(probe.filling(bytes), number).with_context(|| format!("{bytes} bytes"))?;
                    }
                }
            }
            sum.expect_counted(&self.a).context("lab a")?;
            sum.expect_counted(&self.b).context("lab b")?;
            self.down()?;
        }
        let relay = self.up_over_tcp(Transport::V4, Cipher::ChaCha20, 0)?;
        let probe = self.rig.probe(Transport::V6)?;
        let mut streamed = Traffic::default();
        for bytes in [48, 1500, 2024, 2025, MTU] {
            for number in 0..PACKETS {
                streamed +=
                    probe.exchange(probe.filling(bytes), number).with_context(|| format!("TCP, {bytes} bytes"))?;
            }
        }
        self.expect_counted(streamed)?;
        self.down()?;
        drop(relay);
        self.up(Transport::V4, Cipher::Aes256, None)?;
        self.rig.set_tun_mtu(Side::A, 9400)?;
        let probe = self.rig.probe(Transport::V4)?;
        let too_long = [MTU + 1, MTU + 2, 9400];
        let before = self.count(&self.a, "TxTooLong")?;
        for bytes in too_long {
            probe.lost(Side::A, probe.filling(bytes))?;
        }
        let expected = before + too_long.len() as i64;
        self.eventually("each longer packet in TxTooLong", || Ok(self.count(&self.a, "TxTooLong")? == expected))?;
        probe.exchange(probe.filling(MTU), 1).context("after longer ones")?;
        self.down()?;
        Ok(format!(
            "{} packets each way up to {MTU} bytes over UDP, {} over TCP, counters exact; longer ones dropped as TxTooLong",
            sum.packets, streamed.packets
        ))
    }

    /// One end has the keyword, the other one that is out of range, and so 1500: what does not fit its buffers is dropped by name.
    pub fn jumbo_to_small(&self) -> Result<String> {
        let [a, b] = self.machines;
        let mtus = [a.mtu()?, b.mtu()?];
        ensure!(mtus == [9000, 1500], "expected MTUs of 9000 and 1500, got {mtus:?}");
        self.up(Transport::V4, Cipher::Aes256, None)?;
        let probe = self.rig.probe(Transport::V4)?;
        probe.exchange(probe.largest(), 1)?;
        let before = self.count(&self.b, "RxTooLong")?;
        for bytes in [2049, 4000, 9000] {
            probe.lost(Side::A, probe.filling(bytes))?;
        }
        self.eventually("each longer packet in RxTooLong", || Ok(self.count(&self.b, "RxTooLong")? == before + 3))?;
        probe.exchange(probe.largest(), 2).context("after longer ones")?;
        self.down()?;
        Ok("what does not fit is dropped as RxTooLong".into())
    }
}
