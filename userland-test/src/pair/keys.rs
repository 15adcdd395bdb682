//! This driver's own requests about keys.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use dco_uapi::raw;
use zerocopy::IntoBytes;

use super::Pair;
use crate::device::Slot;
use crate::key::{Cipher, Direction, StaticKey};
use crate::rig::{Side, Transport};
use crate::status::NtStatus;

impl Pair<'_> {
    /// Who waits for a packet id is told once, when it is reached, and not before; or that nothing comes any more.
    pub fn key_events(&self) -> Result<String> {
        const AT: u32 = 40;
        // More than the second that lies between two looks.
        let looks = Duration::from_millis(2_500);
        self.up(Transport::V4, Cipher::Aes256, None)?;
        let probe = self.rig.probe(Transport::V4)?;
        let (mut near, mut far) = (self.a.key_event(AT)?, self.a.key_event(1_000_000)?);
        let (mut cancelled, mut default) = (self.a.key_event(2_000_000)?, self.a.key_event(0)?);
        for number in 1..u64::from(AT) - 1 {
            probe.exchange(100, number)?;
        }
        let early = near.wait(looks)?.map(|completion| completion.status);
        ensure!(early.is_none(), "next packet id {}: expected the request to wait on, it ended with {early:?}", AT - 1);
        probe.exchange(100, 0)?;
        let Some(told) = near.wait(looks)? else {
            anyhow::bail!("next packet id {AT}: expected the request to end within {looks:?}, it still waits");
        };
        let expected = raw::KeyEvent { slot: 0.into(), key_id: 0.into(), peer_id: 7.into(), packet_id: AT.into() };
        ensure!(
            told.status == NtStatus::SUCCESS && told.output == expected.as_bytes(),
            "expected {expected:?}, got {} and {:02x?}",
            told.status,
            told.output
        );
        // One that is reached already is told at the next look.
        let told = self.a.key_event(1)?.wait(looks)?.map(|completion| completion.status);
        ensure!(told == Some(NtStatus::SUCCESS), "a packet id of the past: expected SUCCESS, got {told:?}");
        cancelled.cancel()?;
        let ended = cancelled.wait(looks)?.map(|completion| completion.status);
        ensure!(ended == Some(NtStatus::CANCELLED), "cancelled: expected CANCELLED, got {ended:?}");
        for (waiting, name) in [(&mut far, "for 1000000"), (&mut default, "for the default")] {
            let early = waiting.wait(Duration::from_millis(1))?.map(|completion| completion.status);
            ensure!(early.is_none(), "{name}: expected the request to wait on, it ended with {early:?}");
        }
        self.down()?;
        for (waiting, name) in [(&mut far, "for 1000000"), (&mut default, "for the default")] {
            let ended = waiting.wait(Duration::from_secs(2))?.map(|completion| completion.status);
            ensure!(ended == Some(NtStatus::CANCELLED), "{name}, at DEL_PEER: expected CANCELLED, got {ended:?}");
        }
        Ok(format!("told at packet id {AT} and not at {}; CANCELLED at DEL_PEER", AT - 1))
    }

    /// A slot that is emptied neither seals nor opens; the other one is as it was.
    pub fn deleted_keys(&self) -> Result<String> {
        self.up(Transport::V4, Cipher::Aes256, None)?;
        let probe = self.rig.probe(Transport::V4)?;
        probe.exchange(100, 1)?;
        self.a.del_key(Slot::Primary)?;
        let lost = |reason| Ok::<_, anyhow::Error>([self.count(&self.a, reason)?, self.count(&self.b, reason)?]);
        let before = lost("TxNoKey")?;
        probe.lost(Side::A, 100)?;
        self.eventually("TxNoKey at a", || Ok(lost("TxNoKey")? == [before[0] + 1, before[1]]))?;
        let before = lost("RxUnknownKey")?;
        probe.lost(Side::B, 100)?;
        self.eventually("RxUnknownKey at a", || Ok(lost("RxUnknownKey")? == [before[0] + 1, before[1]]))?;
        for (device, direction) in [(&self.a, Direction::Normal), (&self.b, Direction::Inverse)] {
            device.new_key(&StaticKey::of_test(2, Cipher::Aes256, direction), Slot::Primary, 1, 7)?;
            device.new_key(&StaticKey::of_test(3, Cipher::Aes256, direction), Slot::Secondary, 2, 7)?;
            device.del_key(Slot::Secondary)?;
            device.del_key(Slot::Secondary)?;
        }
        probe.exchange(100, 2).context("with another key")?;
        self.down()?;
        Ok("an empty slot neither seals nor opens".into())
    }
}
