//! One reason for each way to lose a packet. Each is counted; nothing is lost without one.

/// The four loss counters that the UAPI reports; each [`DropReason`] belongs to one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LossClass {
    /// Control packets that came from the network and did not reach userspace.
    InControl,
    /// Control packets that userspace wrote and that did not reach the network.
    OutControl,
    /// Data packets that came from the network and did not reach the stack.
    InData,
    /// Packets that came from the stack and did not reach the network.
    OutData,
}

macro_rules! drop_reasons {
    ($($(#[doc = $doc:literal])* $class:ident $name:ident $(if $feature:literal)?,)*) => {
        /// Why a packet was lost.
        ///
        /// The discriminant is the counter's place in [`Device::drop_counts`](crate::Device::drop_counts).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(usize)]
        pub enum DropReason { $($(#[doc = $doc])* $(#[cfg(feature = $feature)])? $name,)* }

        impl DropReason {
            /// All reasons, in the order of their discriminants.
            pub const ALL: [Self; [$($(#[cfg(feature = $feature)])? stringify!($name)),*].len()] =
                [$($(#[cfg(feature = $feature)])? Self::$name),*];

            /// How many reasons there are.
            pub const COUNT: usize = Self::ALL.len();

            /// The reason's name, for traces and tables.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $($(#[cfg(feature = $feature)])? Self::$name => stringify!($name),)* }
            }

            /// Which of the UAPI's loss counters it adds to.
            #[must_use]
            pub const fn class(self) -> LossClass {
                match self { $($(#[cfg(feature = $feature)])? Self::$name => LossClass::$class,)* }
            }
        }
    };
}

drop_reasons! {
    /// Out: neither IPv4 nor IPv6, or its header is cut off or contradicts itself.
    OutData TxNotIp,
    /// Out: longer than the link's MTU ([`Device::max_inner`](crate::Device::max_inner)), or than the send buffer.
    OutData TxTooLong,
    /// Out: the shell found the packet's fragments impossible (none, or beyond their buffers).
    OutData TxBadFragments,
    /// Out: no peer has this destination; point to point, there is no peer.
    OutData TxNoPeer,
    /// Out: the peer has no primary key yet.
    OutData TxNoKey,
    /// Out: the primary key has used up its packet ids, or, of the epoch format, what may be sealed in its last epoch. Only a new key
    /// helps.
    OutData TxPacketIdExhausted,
    /// Out: the cipher's backend failed.
    OutData TxCipherError,
    /// Out: the transport refused the datagram.
    OutData TxSendFailed,
    /// Out: on the transmit ring when the shell's transmit queue stopped: the machine goes to sleep, or the adapter goes.
    OutData TxCancelled,
    /// Out: addressed to the tunnel's own remote end; sending it would put the tunnel inside itself.
    OutData TxRecursiveRoute,
    /// In: too short for a data packet.
    InData RxTooShort,
    /// In: no such peer; point to point, there is no peer.
    InData RxUnknownPeer,
    /// In: the peer has no key with this key-id.
    InData RxUnknownKey,
    /// In: not a data packet, its packet id is the impossible 0, or its memory contradicts its length.
    InData RxMalformed,
    /// In: the tag is wrong. Forged, damaged, or sealed under another key.
    InData RxAuthFailed,
    /// In: authentic, but seen before or too old to tell.
    InData RxReplay,
    /// In: the cipher's backend failed.
    InData RxCipherError,
    /// In: authentic, but neither IPv4, IPv6 nor a ping.
    InData RxNotIp,
    /// In: longer than the receive buffer.
    InData RxTooLong,
    /// In: the shell's queue of received datagrams was full.
    InData RxQueueFull,
    /// In: the shell had no buffer to put the datagram's pieces together in.
    InData RxNoBuffer,
    /// In: the shell has no receive queue: the adapter is stopped or not up yet.
    InData RxNoQueue,
    /// In: the stream's framing broke (a frame of no byte, or longer than is valid; or it ended inside a frame), so the connection
    /// ended. Counted once for what is lost with it.
    InData RxStreamBroken,
    /// Control in: nobody reads and the backlog is full.
    InControl ControlInBacklogFull,
    /// Control in: longer than the backlog's entries.
    InControl ControlInTooLong,
    /// Control in: the reader's buffer was too small; the packet is gone.
    InControl ControlInBufferTooSmall,
    /// Control in: it could not be copied to the reader's buffer.
    InControl ControlInCopyFailed,
    /// Control out: no send buffer.
    OutControl ControlOutNoBuffer,
    /// Control out: the transport refused it.
    OutControl ControlOutSendFailed,
    /// Out: the shell had no memory for the sealed packet.
    OutData TxNoMemory,
    /// Out: the connection's queue was full.
    OutData TxQueueFull,
    /// In: the shell had no memory for the opened packet.
    InData RxNoMemory,
    /// In: of a format that the shell does not take (DATA_V1).
    InData RxUnsupported,
    /// In: the header names another peer than the connection's, or it came outside its peer's connection.
    InData RxWrongPeer,
    /// In: authentic, but its inner source is not routed to the peer it came from.
    InData RxWrongSource,
    /// In: of an epoch above those that keys are held for.
    InData RxEpochTooFar if "epoch",
    /// In: of an epoch that its sender left for good.
    InData RxEpochRetired if "epoch",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn discriminants_are_places_in_all() {
        for (place, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, place);
        }
    }

    #[test]
    fn a_name_tells_the_class() {
        for reason in DropReason::ALL {
            let prefix = match reason.class() {
                LossClass::InControl => "ControlIn",
                LossClass::OutControl => "ControlOut",
                LossClass::InData => "Rx",
                LossClass::OutData => "Tx",
            };
            assert!(reason.name().starts_with(prefix), "{reason:?}");
        }
    }
}
