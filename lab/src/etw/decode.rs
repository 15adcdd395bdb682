//! TraceLogging's descriptions and the data they describe, as TraceLoggingProvider.h and evntprov.h say it, to text.

use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// Bytes that are read from the front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize, what: &str) -> Result<&'a [u8], String> {
        let (head, rest) =
            self.0.split_at_checked(n).ok_or_else(|| format!("{what}: {n} bytes expected, {} left", self.0.len()))?;
        self.0 = rest;
        Ok(head)
    }

    fn byte(&mut self, what: &str) -> Result<u8, String> {
        Ok(self.take(1, what)?[0])
    }

    fn half(&mut self, what: &str) -> Result<u16, String> {
        let b = self.take(2, what)?;
        Ok(u16::from_le_bytes([b[0], b[1]]))
    }

    /// UTF-8 up to a NUL.
    fn text(&mut self, what: &str) -> Result<&'a str, String> {
        let end = self.0.iter().position(|&b| b == 0).ok_or_else(|| format!("{what}: no NUL"))?;
        let bytes = self.take(end + 1, what)?;
        std::str::from_utf8(&bytes[..end]).map_err(|e| format!("{what}: {e}"))
    }

    fn name(&mut self, what: &str) -> Result<String, String> {
        match self.text(what)? {
            "" => Err(format!("{what}: empty")),
            name => Ok(name.to_owned()),
        }
    }

    /// Bytes with bit 7 set, and the first one without.
    fn tags(&mut self, what: &str) -> Result<(), String> {
        while self.byte(what)? & 0x80 != 0 {}
        Ok(())
    }
}

/// What follows a description's own length, which has to be right.
fn sized<'a>(bytes: &'a [u8], what: &str) -> Result<Reader<'a>, String> {
    let mut r = Reader(bytes);
    let size = usize::from(r.half(what)?);
    if size != bytes.len() {
        return Err(format!("{what}: its size is {size}, its bytes are {}", bytes.len()));
    }
    Ok(r)
}

/// The name in a provider's traits.
pub(super) fn provider(traits: &[u8]) -> Result<String, String> {
    let mut r = sized(traits, "traits")?;
    let name = r.name("the provider's name")?;
    while !r.0.is_empty() {
        let size = usize::from(r.half("a trait's size")?);
        let rest = size.checked_sub(3).ok_or_else(|| format!("a trait of {size} bytes"))?;
        let kind = r.byte("a trait's type")?;
        r.take(rest, "a trait")?;
        // EtwProviderTraitTypeGroup: a GUID.
        if kind == 1 && rest != 16 {
            return Err(format!("a provider group of {rest} bytes"));
        }
    }
    Ok(name)
}

/// How many values a field has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Count {
    One,
    Fixed(u16),
    /// The data says it.
    Counted,
}

#[derive(Debug)]
struct Field {
    name: String,
    /// TlgIn, without flags.
    layout: u8,
    /// TlgOut; of a structure, the number of its fields.
    format: u8,
    count: Count,
    fields: Vec<Field>,
}

/// An event's description.
#[derive(Debug)]
pub(super) struct Schema {
    name: String,
    fields: Vec<Field>,
}

const STRUCT: u8 = 24;

/// Bytes of a value of this layout; 0 where the data says it.
fn size(layout: u8) -> Option<usize> {
    Some(match layout {
        3 | 4 => 1,
        5 | 6 => 2,
        7 | 8 | 11 | 13 | 20 => 4,
        9 | 10 | 12 | 17 | 21 => 8,
        15 | 18 => 16,
        1 | 2 | 14 | 19 | 22 | 23 | 25 => 0,
        _ => return None,
    })
}

impl Field {
    fn parse(r: &mut Reader<'_>) -> Result<Self, String> {
        let name = r.name("a field's name")?;
        let kind = r.byte("a field's type")?;
        let mut format = 0;
        if kind & 0x80 != 0 {
            format = r.byte("a field's format")?;
            if format & 0x80 != 0 {
                r.tags("a field's tags")?;
            }
        }
        let (layout, format) = (kind & 0x1F, format & 0x7F);
        let count = match kind & 0x60 {
            0 => Count::One,
            0x20 => Count::Fixed(r.half("a field's count")?),
            0x40 => Count::Counted,
            _ => return Err(format!("{name}: a type of its own, which nobody decodes")),
        };
        let mut fields = Vec::new();
        if layout == STRUCT {
            for _ in 0..format {
                fields.push(Self::parse(r)?);
            }
            if fields.is_empty() {
                return Err(format!("{name}: a structure without fields"));
            }
        } else if size(layout).is_none() {
            return Err(format!("{name}: no type {layout}"));
        } else if !matches!(format, 0..=18 | 33 | 35..=38) {
            return Err(format!("{name}: no format {format}"));
        }
        Ok(Self { name, layout, format, count, fields })
    }

    /// Appends ` Name=value`.
    fn print(&self, r: &mut Reader<'_>, text: &mut String) -> Result<(), String> {
        let _ = write!(text, " {}=", self.name);
        let n = match self.count {
            Count::One => return self.value(r, text),
            Count::Fixed(n) => n,
            Count::Counted => r.half(&self.name)?,
        };
        text.push('[');
        for i in 0..n {
            if i != 0 {
                text.push(',');
            }
            self.value(r, text)?;
        }
        text.push(']');
        Ok(())
    }

    fn value(&self, r: &mut Reader<'_>, text: &mut String) -> Result<(), String> {
        if self.layout == STRUCT {
            text.push('{');
            for f in &self.fields {
                f.print(r, text)?;
            }
            text.push_str(" }");
            return Ok(());
        }
        let value = match size(self.layout) {
            Some(0) | None => self.variable(r)?,
            Some(n) => fixed(self.layout, self.format, r.take(n, &self.name)?),
        };
        text.push_str(&value);
        Ok(())
    }

    fn variable(&self, r: &mut Reader<'_>) -> Result<String, String> {
        let what = &self.name;
        Ok(match self.layout {
            1 => {
                let mut units = Vec::new();
                loop {
                    match r.half(what)? {
                        0 => break,
                        unit => units.push(unit),
                    }
                }
                format!("{:?}", String::from_utf16_lossy(&units))
            }
            2 => format!("{:?}", r.text(what)?),
            19 => {
                // SID: revision, number of sub-authorities, authority.
                let head = r.take(8, what)?;
                let rest = r.take(4 * usize::from(head[1]), what)?;
                hex(&[head, rest].concat())
            }
            layout => {
                let n = usize::from(r.half(what)?);
                let bytes = r.take(n, what)?;
                match (layout, self.format) {
                    (14 | 25, 10) => address(bytes).ok_or_else(|| format!("{what}: no address in {}", hex(bytes)))?,
                    (14 | 25, _) => hex(bytes),
                    (22, _) => {
                        let units: Vec<u16> = bytes.chunks_exact(2).map(|u| u16::from_le_bytes([u[0], u[1]])).collect();
                        format!("{:?}", String::from_utf16_lossy(&units))
                    }
                    _ => format!("{:?}", String::from_utf8_lossy(bytes)),
                }
            }
        })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::from("0x"), |mut t, b| {
        let _ = write!(t, "{b:02x}");
        t
    })
}

/// A SOCKADDR_IN of 16 bytes or a SOCKADDR_IN6 of 28.
fn address(bytes: &[u8]) -> Option<String> {
    let port = u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?);
    let word = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    match (u16::from_le_bytes(bytes.get(..2)?.try_into().ok()?), bytes.len()) {
        (2, 16) => {
            let ip: [u8; 4] = bytes[4..8].try_into().ok()?;
            Some(SocketAddr::from((Ipv4Addr::from(ip), port)).to_string())
        }
        (23, 28) => {
            let ip: [u8; 16] = bytes[8..24].try_into().ok()?;
            Some(SocketAddrV6::new(Ipv6Addr::from(ip), port, word(4)?, word(24)?).to_string())
        }
        _ => None,
    }
}

/// A GUID as it is written.
pub(super) fn guid(b: &[u8]) -> String {
    let mut order = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15].iter().map(|&i: &usize| b[i]);
    [4, 2, 2, 2, 6].map(|n| order.by_ref().take(n).fold(String::new(), |t, b| t + &format!("{b:02x}"))).join("-")
}

/// A value of fixed size.
fn fixed(layout: u8, format: u8, b: &[u8]) -> String {
    let bits = b.iter().rev().take(8).fold(0u64, |v, &b| v << 8 | u64::from(b));
    let unused = 64 - 8 * b.len().min(8);
    let signed = (bits << unused).cast_signed() >> unused;
    match (layout, format) {
        (15, _) => format!("{{{}}}", guid(b)),
        (18, _) => hex(b),
        (11, _) => f32::from_bits(u32::try_from(bits).unwrap_or(0)).to_string(),
        (12, _) => f64::from_bits(bits).to_string(),
        (13, _) | (_, 3) => (bits != 0).to_string(),
        (_, 14) => format!("{bits:#010x}"),
        (20 | 21, _) | (_, 4) => format!("{bits:#x}"),
        (_, 7) => u16::try_from(bits).unwrap_or(0).swap_bytes().to_string(),
        (3 | 5 | 7 | 9, 18) => bits.to_string(),
        (3 | 5 | 7 | 9, _) | (_, 17) => signed.to_string(),
        _ => bits.to_string(),
    }
}

/// An event's description.
pub(super) fn event(metadata: &[u8]) -> Result<Schema, String> {
    let mut r = sized(metadata, "metadata")?;
    r.tags("the event's tags")?;
    let name = r.name("the event's name")?;
    let mut fields = Vec::new();
    while !r.0.is_empty() {
        fields.push(Field::parse(&mut r).map_err(|why| format!("{name}: {why}"))?);
    }
    Ok(Schema { name, fields })
}

impl Schema {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// `Name Field=value ...`, where the data is all of that and no more.
    pub(super) fn text(&self, data: &[u8]) -> Result<String, String> {
        let mut r = Reader(data);
        let mut text = self.name.clone();
        for f in &self.fields {
            f.print(&mut r, &mut text)?;
        }
        match r.0.len() {
            0 => Ok(text),
            n => Err(format!("{n} bytes after the last field")),
        }
    }
}
