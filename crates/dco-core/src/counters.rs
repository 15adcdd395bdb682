//! The device's counters: plain numbers in a batch, added to this processor's stripe when the batch ends.

use core::{
    array,
    sync::atomic::{AtomicU64, Ordering},
};

use dco_sync::{OutOfMemory, Striped};

use crate::drops::{DropReason, LossClass};

/// Traffic counters; the discriminant is the place in the arrays below.
#[derive(Debug, Clone, Copy)]
#[repr(usize)]
pub(crate) enum Flow {
    /// Data datagrams that arrived.
    ReceivedData,
    /// Control datagrams that arrived.
    ReceivedControl,
    /// Control datagrams sent.
    SentControl,
    /// Data datagrams sealed, pings included.
    SentData,
    /// Bytes of sealed data datagrams.
    TransportSent,
    /// Bytes of data datagrams that arrived.
    TransportReceived,
    /// Bytes of inner packets sealed.
    TunSent,
    /// Bytes of inner packets opened and handed over.
    TunReceived,
}

const FLOWS: usize = Flow::TunReceived as usize + 1;

/// What one batch has counted so far: ordinary memory, this processor's alone.
pub(crate) struct Tally {
    flows: [u64; FLOWS],
    drops: [u64; DropReason::COUNT],
    /// Spares the look at `drops` when there were none, the usual case.
    dropped: bool,
}

impl Tally {
    #[inline]
    pub(crate) fn new() -> Self {
        Self { flows: [0; FLOWS], drops: [0; DropReason::COUNT], dropped: false }
    }

    #[inline]
    pub(crate) fn add(&mut self, flow: Flow, amount: usize) {
        if let Some(count) = self.flows.get_mut(flow as usize) {
            *count = count.wrapping_add(amount as u64);
        }
    }

    #[inline]
    pub(crate) fn drop(&mut self, reason: DropReason) {
        if let Some(count) = self.drops.get_mut(reason as usize) {
            *count = count.wrapping_add(1);
            self.dropped = true;
        }
    }
}

/// One processor's share. Only ever grows.
struct Stripe {
    flows: [AtomicU64; FLOWS],
    drops: [AtomicU64; DropReason::COUNT],
}

/// The device's counters. They never go back; [`Counters::restart`] moves the line that [`Counters::stats`] counts from.
pub(crate) struct Counters {
    stripes: Striped<Stripe>,
    /// Totals at the last restart.
    start: Stripe,
}

impl Stripe {
    fn new() -> Self {
        Self { flows: array::from_fn(|_| AtomicU64::new(0)), drops: array::from_fn(|_| AtomicU64::new(0)) }
    }
}

impl Counters {
    pub(crate) fn try_new(cpus: usize) -> Result<Self, OutOfMemory> {
        Ok(Self { stripes: Striped::try_new(cpus, |_| Ok(Stripe::new()))?, start: Stripe::new() })
    }

    /// Adds what the batch counted to this processor's stripe and empties the batch's tally.
    #[inline]
    pub(crate) fn flush(&self, cpu: usize, tally: &mut Tally) {
        let stripe = self.stripes.get(cpu);
        add_all(&stripe.flows, &mut tally.flows);
        if tally.dropped {
            add_all(&stripe.drops, &mut tally.drops);
            tally.dropped = false;
        }
    }

    /// Counts losses outside a batch.
    pub(crate) fn drop(&self, cpu: usize, reason: DropReason, packets: u64) {
        if let Some(count) = self.stripes.get(cpu).drops.get(reason as usize) {
            count.fetch_add(packets, Ordering::Relaxed);
        }
    }

    /// Counts traffic outside a batch.
    pub(crate) fn add(&self, cpu: usize, flow: Flow, amount: usize) {
        if let Some(count) = self.stripes.get(cpu).flows.get(flow as usize) {
            count.fetch_add(amount as u64, Ordering::Relaxed);
        }
    }

    /// All losses since the device was made, by reason.
    pub(crate) fn drops(&self) -> [u64; DropReason::COUNT] {
        let mut totals = [0; DropReason::COUNT];
        for stripe in self.stripes.iter() {
            sum_into(&mut totals, &stripe.drops);
        }
        totals
    }

    fn flows(&self) -> [u64; FLOWS] {
        let mut totals = [0; FLOWS];
        for stripe in self.stripes.iter() {
            sum_into(&mut totals, &stripe.flows);
        }
        totals
    }

    /// From here on [`Counters::stats`] starts at zero. Batches that are under way count on one side or the other.
    pub(crate) fn restart(&self) {
        store_all(&self.start.flows, &self.flows());
        store_all(&self.start.drops, &self.drops());
    }

    /// What was counted since the last restart. Not a snapshot of one moment: batches go on while it adds up.
    pub(crate) fn stats(&self) -> DeviceStats {
        let mut flows = self.flows();
        subtract(&mut flows, &self.start.flows);
        let mut drops = self.drops();
        subtract(&mut drops, &self.start.drops);
        let flow = |flow: Flow| flows.get(flow as usize).copied().unwrap_or(0);
        let lost = |class: LossClass| {
            let of_class = DropReason::ALL.iter().zip(drops).filter(|(reason, _)| reason.class() == class);
            of_class.fold(0u64, |sum, (_, count)| sum.wrapping_add(count))
        };
        DeviceStats {
            lost_in_control: lost(LossClass::InControl),
            lost_out_control: lost(LossClass::OutControl),
            lost_in_data: lost(LossClass::InData),
            lost_out_data: lost(LossClass::OutData),
            received_data: flow(Flow::ReceivedData),
            received_control: flow(Flow::ReceivedControl),
            sent_control: flow(Flow::SentControl),
            sent_data: flow(Flow::SentData),
            transport_sent: flow(Flow::TransportSent),
            transport_received: flow(Flow::TransportReceived),
            tun_sent: flow(Flow::TunSent),
            tun_received: flow(Flow::TunReceived),
        }
    }
}

/// The device's counters since the last new peer, in the order of the UAPI's GET_STATS structure.
///
/// The first eight count packets, the last four bytes. The UAPI's packet counts are 32 bits wide; cutting them is the
/// shell's business.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DeviceStats {
    /// Sum of the reasons in [`LossClass::InControl`].
    pub lost_in_control: u64,
    /// Sum of the reasons in [`LossClass::OutControl`].
    pub lost_out_control: u64,
    /// Sum of the reasons in [`LossClass::InData`].
    pub lost_in_data: u64,
    /// Sum of the reasons in [`LossClass::OutData`].
    pub lost_out_data: u64,
    /// Data datagrams that arrived, whatever came of them.
    pub received_data: u64,
    /// Control datagrams that arrived.
    pub received_control: u64,
    /// Control datagrams that were sent.
    pub sent_control: u64,
    /// Data datagrams that were sealed, pings included.
    pub sent_data: u64,
    /// Bytes of the sealed data datagrams, without the transport's own headers.
    pub transport_sent: u64,
    /// Bytes of the data datagrams that arrived, even for an unknown peer.
    pub transport_received: u64,
    /// Bytes of the inner packets that were sealed; no pings.
    pub tun_sent: u64,
    /// Bytes of the inner packets that were opened and handed over; no pings.
    pub tun_received: u64,
}

/// Adds each number to its counter and resets it; counters with nothing to add are not touched.
#[inline]
fn add_all<const N: usize>(counters: &[AtomicU64; N], amounts: &mut [u64; N]) {
    for (counter, amount) in counters.iter().zip(amounts) {
        if *amount != 0 {
            counter.fetch_add(*amount, Ordering::Relaxed);
            *amount = 0;
        }
    }
}

fn sum_into<const N: usize>(totals: &mut [u64; N], counters: &[AtomicU64; N]) {
    for (total, counter) in totals.iter_mut().zip(counters) {
        *total = total.wrapping_add(counter.load(Ordering::Relaxed));
    }
}

fn store_all<const N: usize>(counters: &[AtomicU64; N], values: &[u64; N]) {
    for (counter, value) in counters.iter().zip(values) {
        counter.store(*value, Ordering::Relaxed);
    }
}

/// Saturating: a restart may happen between the sum and the subtraction.
fn subtract<const N: usize>(values: &mut [u64; N], start: &[AtomicU64; N]) {
    for (value, start) in values.iter_mut().zip(start) {
        *value = value.saturating_sub(start.load(Ordering::Relaxed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stripes_add_up_and_restart() {
        let counters = Counters::try_new(2).expect("memory");
        let mut tally = Tally::new();
        tally.add(Flow::TunSent, 10);
        tally.drop(DropReason::TxNoKey);
        counters.flush(0, &mut tally);
        counters.flush(0, &mut tally);
        counters.add(1, Flow::TunSent, 5);
        counters.drop(1, DropReason::TxNoPeer, 1);
        counters.drop(1, DropReason::ControlInTooLong, 1);
        let expected = DeviceStats { tun_sent: 15, lost_out_data: 2, lost_in_control: 1, ..DeviceStats::default() };
        assert_eq!(counters.stats(), expected);
        counters.restart();
        assert_eq!(counters.stats(), DeviceStats::default());
        counters.add(7, Flow::ReceivedControl, 1);
        assert_eq!(counters.stats(), DeviceStats { received_control: 1, ..DeviceStats::default() });
        assert_eq!(counters.drops().iter().sum::<u64>(), 3);
    }
}
