//! Netlink messages as bytes: making them and taking them apart. No sockets here, and no knowledge of any family.
//!
//! Layout: the kernel's `linux/netlink.h` and `linux/genetlink.h`. Numbers are in the machine's byte order; what follows a header or an
//! attribute begins at a multiple of four.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use zeroize::Zeroizing;

/// nlmsg_type of an acknowledgement, good or bad.
pub const ERROR: u16 = 2;
/// nlmsg_type of the end of a dump.
pub const DONE: u16 = 3;

/// nlmsg_flags of a request.
pub const REQUEST: u16 = 0x01;
/// The kernel is to acknowledge it.
pub const ACK: u16 = 0x04;
/// All objects, not one.
pub const DUMP: u16 = 0x300;
/// Fails if the object is there.
pub const EXCLUSIVE: u16 = 0x200;
/// Makes the object.
pub const CREATE: u16 = 0x400;

/// nlmsg_flags of an acknowledgement: the request is not echoed whole.
const CAPPED: u16 = 0x100;
/// nlmsg_flags of an acknowledgement: attributes follow.
const ACK_TLVS: u16 = 0x200;

const HEADER: usize = 16;
const GENERIC_HEADER: usize = 4;
/// NLA_F_NESTED.
const NESTED: u16 = 0x8000;
/// The flags of an attribute's number.
const NUMBER: u16 = 0x3FFF;

/// Room of a request: all of ours are far smaller, so that its bytes, keys among them, are never moved and left behind.
const ROOM: usize = 4096;

fn aligned(length: usize) -> usize {
    length.next_multiple_of(4)
}

/// A request in the making. Its bytes are wiped when it is dropped.
pub struct Message {
    /// What it is called in errors.
    pub name: &'static str,
    bytes: Zeroizing<Vec<u8>>,
}

impl Message {
    /// With this nlmsg_type, these flags besides REQUEST and ACK, and what follows the header.
    pub fn new(name: &'static str, kind: u16, flags: u16, body: &[u8]) -> Self {
        let mut bytes = Zeroizing::new(Vec::with_capacity(ROOM));
        bytes.extend([0; 4]);
        bytes.extend(kind.to_ne_bytes());
        bytes.extend((REQUEST | ACK | flags).to_ne_bytes());
        bytes.extend([0; 8]);
        bytes.extend(body);
        let mut message = Self { name, bytes };
        message.align();
        message
    }

    /// A request to a generic netlink family.
    pub fn generic(name: &'static str, family: u16, command: u8, flags: u16) -> Self {
        Self::new(name, family, flags, &[command, 1, 0, 0])
    }

    fn align(&mut self) {
        let length = aligned(self.bytes.len());
        assert!(length <= ROOM, "a request has to fit its buffer");
        self.bytes.resize(length, 0);
    }

    /// Adds an attribute.
    pub fn put(&mut self, number: u16, value: &[u8]) {
        let length = 4 + value.len();
        assert!(self.bytes.len() + aligned(length) <= ROOM, "a request has to fit its buffer");
        // Less than ROOM.
        self.bytes.extend((length as u16).to_ne_bytes());
        self.bytes.extend(number.to_ne_bytes());
        self.bytes.extend(value);
        self.align();
    }

    /// Adds a byte.
    pub fn put_u8(&mut self, number: u16, value: u8) {
        self.put(number, &[value]);
    }

    /// Adds two bytes.
    pub fn put_u16(&mut self, number: u16, value: u16) {
        self.put(number, &value.to_ne_bytes());
    }

    /// Adds four bytes.
    pub fn put_u32(&mut self, number: u16, value: u32) {
        self.put(number, &value.to_ne_bytes());
    }

    /// Adds a string that ends with a zero.
    pub fn put_text(&mut self, number: u16, value: &str) {
        let bytes: Vec<u8> = value.bytes().chain([0]).collect();
        self.put(number, &bytes);
    }

    /// Adds an attribute made of attributes.
    pub fn nest(&mut self, number: u16, fill: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        self.put(number | NESTED, &[]);
        fill(self);
        // At most ROOM.
        let length = ((self.bytes.len() - start) as u16).to_ne_bytes();
        if let Some(place) = self.bytes.get_mut(start..start + 2) {
            place.copy_from_slice(&length);
        }
    }

    /// As it is sent.
    pub fn finish(mut self, sequence: u32) -> Zeroizing<Vec<u8>> {
        // At most ROOM.
        let length = (self.bytes.len() as u32).to_ne_bytes();
        for (place, value) in [(0, length), (8, sequence.to_ne_bytes())] {
            if let Some(place) = self.bytes.get_mut(place..place + 4) {
                place.copy_from_slice(&value);
            }
        }
        std::mem::take(&mut self.bytes)
    }
}

/// What came is not what the interface promises.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed(pub String);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a malformed message of the kernel: {}", self.0)
    }
}

impl std::error::Error for Malformed {}

/// `array`, or what was expected of `what`.
fn exactly<const N: usize>(what: fmt::Arguments<'_>, bytes: &[u8]) -> Result<[u8; N], Malformed> {
    bytes.try_into().map_err(|_| Malformed(format!("{what}: expected {N} bytes, got {}", bytes.len())))
}

/// The first `N` bytes, and what follows.
fn head<'a, const N: usize>(what: &str, bytes: &'a [u8]) -> Result<([u8; N], &'a [u8]), Malformed> {
    match bytes.split_first_chunk() {
        Some((head, rest)) => Ok((*head, rest)),
        None => Err(Malformed(format!("{what}: expected at least {N} bytes, got {}", bytes.len()))),
    }
}

/// One message that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Incoming<'a> {
    /// nlmsg_type.
    pub kind: u16,
    /// nlmsg_flags.
    pub flags: u16,
    /// Of the request it answers; 0 for an event.
    pub sequence: u32,
    /// What follows the header.
    pub payload: &'a [u8],
}

/// The messages of one datagram.
pub fn messages(mut bytes: &[u8]) -> Result<Vec<Incoming<'_>>, Malformed> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let ([l0, l1, l2, l3, k0, k1, f0, f1, s0, s1, s2, s3, ..], _) = head::<HEADER>("header", bytes)?;
        let length = u32::from_ne_bytes([l0, l1, l2, l3]) as usize;
        let Some(payload) = bytes.get(HEADER..length) else {
            return Err(Malformed(format!("header: expected a length of 16 to {}, got {length}", bytes.len())));
        };
        found.push(Incoming {
            kind: u16::from_ne_bytes([k0, k1]),
            flags: u16::from_ne_bytes([f0, f1]),
            sequence: u32::from_ne_bytes([s0, s1, s2, s3]),
            payload,
        });
        // The last one's padding may be missing.
        bytes = bytes.get(aligned(length)..).unwrap_or_default();
    }
    Ok(found)
}

/// A generic netlink message's command and its attributes.
pub fn generic(payload: &[u8]) -> Result<(u8, Vec<Attribute<'_>>), Malformed> {
    let ([command, ..], rest) = head::<GENERIC_HEADER>("generic header", payload)?;
    Ok((command, attributes(rest)?))
}

/// What a request ended with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ack {
    /// 0, or an errno.
    pub errno: i32,
    /// The kernel's explanation (extack).
    pub text: Option<String>,
    /// The number of the attribute that is missing.
    pub missing: Option<u32>,
}

impl Ack {
    /// Of an ERROR or DONE message.
    pub fn from(message: &Incoming<'_>) -> Result<Self, Malformed> {
        let (code, mut rest) = head::<4>("acknowledgement", message.payload)?;
        let errno = i32::from_ne_bytes(code).checked_neg().filter(|errno| *errno >= 0);
        let Some(errno) = errno else {
            return Err(Malformed(format!(
                "acknowledgement: expected 0 or an error, got {}",
                i32::from_ne_bytes(code)
            )));
        };
        let mut ack = Self { errno, ..Self::default() };
        if message.kind == ERROR {
            let ([l0, l1, l2, l3, ..], after) = head::<HEADER>("echoed header", rest)?;
            let echoed = aligned(u32::from_ne_bytes([l0, l1, l2, l3]) as usize);
            rest = match message.flags & CAPPED {
                0 => rest.get(echoed..).unwrap_or_default(),
                _ => after,
            };
        }
        if message.flags & ACK_TLVS == 0 {
            return Ok(ack);
        }
        for attribute in attributes(rest)? {
            match attribute.number {
                1 => ack.text = Some(attribute.text()?),
                5 => ack.missing = Some(attribute.u32()?),
                _ => {}
            }
        }
        Ok(ack)
    }
}

/// One attribute that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// Without flags.
    pub number: u16,
    /// Without padding.
    pub value: &'a [u8],
}

/// The attributes of a message or of a nest.
pub fn attributes(mut bytes: &[u8]) -> Result<Vec<Attribute<'_>>, Malformed> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let ([l0, l1, n0, n1], _) = head::<4>("attribute's header", bytes)?;
        let length = usize::from(u16::from_ne_bytes([l0, l1]));
        let number = u16::from_ne_bytes([n0, n1]) & NUMBER;
        let Some(value) = bytes.get(4..length) else {
            return Err(Malformed(format!(
                "attribute {number}: expected a length of 4 to {}, got {length}",
                bytes.len()
            )));
        };
        found.push(Attribute { number, value });
        bytes = bytes.get(aligned(length)..).unwrap_or_default();
    }
    Ok(found)
}

impl<'a> Attribute<'a> {
    fn exactly<const N: usize>(&self) -> Result<[u8; N], Malformed> {
        exactly(format_args!("attribute {}", self.number), self.value)
    }

    /// One byte.
    pub fn u8(&self) -> Result<u8, Malformed> {
        self.exactly::<1>().map(|[value]| value)
    }

    /// Two bytes.
    pub fn u16(&self) -> Result<u16, Malformed> {
        self.exactly().map(u16::from_ne_bytes)
    }

    /// Two bytes in the network's order.
    pub fn be16(&self) -> Result<u16, Malformed> {
        self.exactly().map(u16::from_be_bytes)
    }

    /// Four bytes.
    pub fn u32(&self) -> Result<u32, Malformed> {
        self.exactly().map(u32::from_ne_bytes)
    }

    /// netlink's uint: four bytes or eight.
    pub fn uint(&self) -> Result<u64, Malformed> {
        match self.value.len() {
            4 => self.u32().map(u64::from),
            8 => self.exactly().map(u64::from_ne_bytes),
            length => Err(Malformed(format!("attribute {}: expected 4 or 8 bytes, got {length}", self.number))),
        }
    }

    /// An IPv4 address.
    pub fn ipv4(&self) -> Result<Ipv4Addr, Malformed> {
        self.exactly::<4>().map(Ipv4Addr::from)
    }

    /// An IPv6 address.
    pub fn ipv6(&self) -> Result<Ipv6Addr, Malformed> {
        self.exactly::<16>().map(Ipv6Addr::from)
    }

    /// Text, with or without a zero behind it.
    pub fn text(&self) -> Result<String, Malformed> {
        let bytes = self.value.strip_suffix(&[0]).unwrap_or(self.value);
        match std::str::from_utf8(bytes) {
            Ok(text) if !text.contains('\0') => Ok(text.to_owned()),
            _ => Err(Malformed(format!("attribute {}: expected text, got {bytes:02x?}", self.number))),
        }
    }

    /// What it is made of.
    pub fn nested(&self) -> Result<Vec<Attribute<'a>>, Malformed> {
        attributes(self.value).map_err(|Malformed(why)| Malformed(format!("attribute {}: {why}", self.number)))
    }
}

/// The attribute with this number, if it is there.
pub fn find<'a>(attributes: &[Attribute<'a>], number: u16) -> Option<Attribute<'a>> {
    attributes.iter().find(|attribute| attribute.number == number).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message as the kernel sends it.
    pub fn incoming(kind: u16, flags: u16, payload: &[u8]) -> Vec<u8> {
        let mut bytes = (16 + payload.len() as u32).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        bytes.extend([0; 8]);
        bytes.extend(payload);
        bytes
    }

    #[test]
    fn a_message_is_laid_out_as_the_header_files_say() {
        let mut message = Message::generic("TEST", 0x1234, 7, DUMP);
        message.put_u32(1, 0x0102_0304);
        message.nest(2, |nest| {
            nest.put_u8(3, 9);
            nest.nest(4, |_| {});
        });
        let bytes = message.finish(77);
        let mut expected = Vec::new();
        expected.extend(44u32.to_ne_bytes());
        expected.extend(0x1234u16.to_ne_bytes());
        expected.extend(0x305u16.to_ne_bytes());
        expected.extend(77u32.to_ne_bytes());
        expected.extend([0; 4]);
        expected.extend([7, 1, 0, 0]);
        for half in [8u16, 1] {
            expected.extend(half.to_ne_bytes());
        }
        expected.extend(0x0102_0304u32.to_ne_bytes());
        for half in [16u16, 0x8002, 5, 3] {
            expected.extend(half.to_ne_bytes());
        }
        expected.extend([9, 0, 0, 0]);
        for half in [4u16, 0x8004] {
            expected.extend(half.to_ne_bytes());
        }
        assert_eq!(*bytes, expected);
    }

    #[test]
    fn what_was_made_is_taken_apart_again() {
        let mut message = Message::generic("TEST", 20, 3, 0);
        message.put_text(5, "peers");
        message.nest(6, |nest| nest.put_u16(1, 500));
        let bytes = message.finish(1);
        let found = messages(&bytes).expect("one message");
        assert_eq!((found[0].kind, found[0].sequence, found[0].flags), (20, 1, REQUEST | ACK));
        let (command, attributes) = generic(found[0].payload).expect("generic");
        assert_eq!(command, 3);
        assert_eq!(find(&attributes, 5).expect("there").text().expect("text"), "peers");
        let nest = find(&attributes, 6).expect("there").nested().expect("a nest");
        assert_eq!(nest[0].u16().expect("two bytes"), 500);
        assert_eq!(find(&attributes, 7), None);
    }

    #[test]
    fn malformed_headers_are_refused() {
        let good = incoming(20, 0, &[1, 1, 0, 0]);
        for length in 1..good.len() {
            assert!(messages(&good[..length]).is_err(), "cut at {length}");
        }
        for length in [0u32, 15, 21, u32::MAX] {
            let mut bytes = good.clone();
            bytes[..4].copy_from_slice(&length.to_ne_bytes());
            assert!(messages(&bytes).is_err(), "length {length}");
        }
        assert!(generic(&[1, 1, 0]).is_err());
        assert_eq!(messages(&[]), Ok(vec![]));
    }

    #[test]
    fn malformed_attributes_are_refused() {
        for bytes in [&[1, 0, 1][..], &[3, 0, 1, 0], &[0, 0, 1, 0], &[9, 0, 1, 0, 0, 0, 0, 0], &[4, 0, 1, 0, 7]] {
            assert!(attributes(bytes).is_err(), "{bytes:?}");
        }
        let attribute = Attribute { number: 3, value: &[1, 2, 3] };
        assert_eq!(attribute.u32(), Err(Malformed("attribute 3: expected 4 bytes, got 3".into())));
        assert!(attribute.u8().is_err() && attribute.u16().is_err() && attribute.be16().is_err());
        assert!(attribute.uint().is_err() && attribute.ipv4().is_err() && attribute.ipv6().is_err());
        assert!(attribute.nested().is_err());
        assert!(Attribute { number: 1, value: &[b'a', 0, b'b', 0] }.text().is_err());
        assert!(Attribute { number: 1, value: &[0xFF] }.text().is_err());
    }

    #[test]
    fn an_attribute_of_no_use_to_us_may_be_last_without_its_padding() {
        let found = attributes(&[5, 0, 1, 0, 7]).expect("one attribute");
        assert_eq!(found, [Attribute { number: 1, value: &[7] }]);
    }

    #[test]
    fn a_uint_has_four_bytes_or_eight() {
        assert_eq!(Attribute { number: 1, value: &5u32.to_ne_bytes() }.uint(), Ok(5));
        assert_eq!(Attribute { number: 1, value: &(1u64 << 40).to_ne_bytes() }.uint(), Ok(1 << 40));
    }

    /// An attribute's bytes.
    fn attribute(number: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = (4 + value.len() as u16).to_ne_bytes().to_vec();
        bytes.extend(number.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(aligned(bytes.len()), 0);
        bytes
    }

    fn ack(flags: u16, echoed: u32, tail: &[u8]) -> Result<Ack, Malformed> {
        let mut payload = (-22i32).to_ne_bytes().to_vec();
        payload.extend(echoed.to_ne_bytes());
        payload.extend([0; 12]);
        payload.extend(tail);
        Ack::from(&messages(&incoming(ERROR, flags, &payload)).expect("a message")[0])
    }

    #[test]
    fn the_kernels_explanation_is_found_behind_the_echo() {
        let text = attribute(1, b"no such thing\0");
        let expected = Ack { errno: 22, text: Some("no such thing".into()), missing: None };
        assert_eq!(ack(CAPPED | ACK_TLVS, 400, &text), Ok(expected.clone()));
        let mut echoed = vec![0; 8];
        echoed.extend(&text);
        assert_eq!(ack(ACK_TLVS, 24, &echoed), Ok(expected));
        let missing = attribute(5, &6u32.to_ne_bytes());
        assert_eq!(ack(CAPPED | ACK_TLVS, 16, &missing), Ok(Ack { errno: 22, text: None, missing: Some(6) }));
        assert_eq!(ack(0, 16, &[]), Ok(Ack { errno: 22, ..Ack::default() }));
    }

    #[test]
    fn malformed_acknowledgements_are_refused() {
        for payload in [&[][..], &[0, 0, 0], &[0; 4], &[0; 19]] {
            let bytes = incoming(ERROR, 0, payload);
            assert!(Ack::from(&messages(&bytes).expect("a message")[0]).is_err(), "{payload:?}");
        }
        let positive = incoming(DONE, 0, &5i32.to_ne_bytes());
        assert!(Ack::from(&messages(&positive).expect("a message")[0]).is_err());
        let least = incoming(DONE, 0, &i32::MIN.to_ne_bytes());
        assert!(Ack::from(&messages(&least).expect("a message")[0]).is_err());
        assert!(ack(CAPPED | ACK_TLVS, 16, &[9, 0, 1, 0]).is_err());
        // An echo that claims to be longer than what came leaves nothing to read.
        assert_eq!(ack(ACK_TLVS, 4000, &[]), Ok(Ack { errno: 22, ..Ack::default() }));
    }
}
