//! Parsing of a PE32+ file: headers, sections, relocations, imports. Every read is bounds-checked; errors say what is wrong.

use crate::report::Rule;

const MALFORMED: Rule = Rule::new("pe.malformed", "PE Format: the headers and tables of a PE32+ image for x86-64");
const NOT_NATIVE: Rule = Rule::new("pe.not-native", "WDK: /SUBSYSTEM:NATIVE for kernel-mode drivers");
const ALIGNMENT: Rule = Rule::new(
    "pe.section-alignment",
    "WDK: HVCI compatibility (sections aligned to pages, or they cannot be protected)",
);
const CHECKSUM: Rule = Rule::new("pe.checksum", "PE Format: CheckSum is validated for all drivers");
const TLS_RULE: Rule = Rule::new("pe.tls", "WDK: a driver has no thread-local storage");
const STRIPPED: Rule =
    Rule::new("pe.stripped-relocations", "PE Format: IMAGE_FILE_RELOCS_STRIPPED (a driver is loaded anywhere)");
const WRITABLE_CODE: Rule =
    Rule::new("pe.writable-code", "Driver Verifier 0xC4/0x2002: a section writable and executable; HVCI compatibility");
pub(super) const UNKNOWN_IMPORT: Rule =
    Rule::new("pe.unknown-import", "the lab runs nothing that it does not implement");

/// Why a file is no image that this loader takes.
#[derive(Debug)]
pub struct Bad {
    /// The rule that it breaks.
    pub rule: Rule,
    /// What is wrong.
    pub why: String,
}

impl Bad {
    fn new(rule: Rule, why: impl Into<String>) -> Self {
        Self { rule, why: why.into() }
    }
}

impl From<String> for Bad {
    fn from(why: String) -> Self {
        Self::new(MALFORMED, why)
    }
}

/// One section, as it will lie in memory.
#[derive(Debug, Clone)]
pub struct Section {
    /// Its name, without trailing NULs.
    pub name: String,
    /// Offset in the image.
    pub address: usize,
    /// Bytes in memory.
    pub size: usize,
    raw: (usize, usize),
    characteristics: u32,
}

impl Section {
    /// Its bytes in the file (what is beyond them is zero).
    #[must_use]
    pub fn data<'a>(&self, file: &'a [u8]) -> &'a [u8] {
        file.get(self.raw.0..self.raw.0 + self.raw.1.min(self.size)).unwrap_or(&[])
    }
    /// `IMAGE_SCN_MEM_EXECUTE`.
    #[must_use]
    pub const fn executable(&self) -> bool {
        self.characteristics & 0x2000_0000 != 0
    }
    /// `IMAGE_SCN_MEM_READ`.
    #[must_use]
    pub const fn readable(&self) -> bool {
        self.characteristics & 0x4000_0000 != 0
    }
    /// `IMAGE_SCN_MEM_WRITE`.
    #[must_use]
    pub const fn writable(&self) -> bool {
        self.characteristics & 0x8000_0000 != 0
    }
    /// `IMAGE_SCN_MEM_DISCARDABLE`.
    #[must_use]
    pub const fn discardable(&self) -> bool {
        self.characteristics & 0x0200_0000 != 0
    }
}

/// One import by name.
#[derive(Debug, Clone)]
pub struct Import {
    /// Module, as written in the file.
    pub module: String,
    /// Symbol.
    pub name: String,
    /// Offset in the image of the pointer to fill.
    pub slot: usize,
}

/// What a sound driver image says of itself.
#[derive(Debug, Clone)]
pub struct Image {
    /// `ImageBase`.
    pub preferred_base: u64,
    /// `SizeOfImage`.
    pub size: usize,
    /// `SizeOfHeaders`.
    pub headers_size: usize,
    /// Offset of the entry point.
    pub entry: usize,
    /// Sections in order.
    pub sections: Vec<Section>,
    /// Offsets of 64-bit words to relocate.
    pub relocations: Vec<usize>,
    /// Imports in order.
    pub imports: Vec<Import>,
    /// Virtual address of `__security_cookie` by `ImageBase`, where the load configuration names one.
    pub security_cookie: Option<u64>,
    /// Offset and bytes of the exception directory: the table of functions with their unwind data.
    pub exceptions: (usize, usize),
}

const IMPORTS: usize = 1;
const EXCEPTIONS: usize = 3;
const RELOCATIONS: usize = 5;
const TLS: usize = 9;
const LOAD_CONFIG: usize = 10;
const PAGE: usize = 4096;
/// No driver has more; a file that says so is broken.
const LIMIT: usize = 1 << 28;

/// The file's bytes as the image lays them out.
struct View<'a> {
    file: &'a [u8],
    sections: &'a [Section],
}

impl<'a> View<'a> {
    /// Bytes of the file behind an offset in the image.
    fn at(&self, rva: usize, length: usize) -> Option<&'a [u8]> {
        let s = self.sections.iter().find(|s| rva >= s.address && rva < s.address + s.size)?;
        s.data(self.file).get(rva - s.address..(rva - s.address).checked_add(length)?)
    }
    fn u16(&self, rva: usize) -> Option<u16> {
        Some(u16::from_le_bytes(self.at(rva, 2)?.try_into().ok()?))
    }
    fn u32(&self, rva: usize) -> Option<usize> {
        usize::try_from(u32::from_le_bytes(self.at(rva, 4)?.try_into().ok()?)).ok()
    }
    fn u64(&self, rva: usize) -> Option<u64> {
        Some(u64::from_le_bytes(self.at(rva, 8)?.try_into().ok()?))
    }
    fn text(&self, rva: usize) -> Option<String> {
        let s = self.sections.iter().find(|s| rva >= s.address && rva < s.address + s.size)?;
        let bytes = s.data(self.file).get(rva - s.address..)?;
        let end = bytes.iter().take(512).position(|&b| b == 0)?;
        let text = std::str::from_utf8(bytes.get(..end)?).ok()?;
        (!text.is_empty()).then(|| text.to_owned())
    }
}

fn u16_at(b: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(b.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

fn u32_at(b: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(b.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn usize_at(b: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u32_at(b, at)?).ok()
}

fn u64_at(b: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(b.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

impl Image {
    /// Parses a file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(file: &[u8]) -> Result<Self, Bad> {
        let cut = || "the headers are cut off".to_owned();
        if file.get(..2) != Some(b"MZ") {
            return Err(Bad::from("no MZ signature".to_owned()));
        }
        let pe = usize_at(file, 0x3C).ok_or_else(cut)?;
        if pe > file.len() || file.get(pe..pe + 4) != Some(b"PE\0\0") {
            return Err(Bad::from("no PE signature where the MZ header points".to_owned()));
        }
        let coff = pe + 4;
        let machine = u16_at(file, coff).ok_or_else(cut)?;
        if machine != 0x8664 {
            return Err(Bad::from(format!("machine {machine:#x} is not x86-64")));
        }
        let count = usize::from(u16_at(file, coff + 2).ok_or_else(cut)?);
        let optional_size = usize::from(u16_at(file, coff + 16).ok_or_else(cut)?);
        let optional = file.get(coff + 20..coff + 20 + optional_size).ok_or_else(cut)?;
        if u16_at(optional, 0) != Some(0x20B) {
            return Err(Bad::from("the optional header is not PE32+".to_owned()));
        }
        let subsystem = u16_at(optional, 68).ok_or_else(cut)?;
        if subsystem != 1 {
            return Err(Bad::new(
                NOT_NATIVE,
                format!("subsystem {subsystem} is not native (1): a driver is linked with /SUBSYSTEM:NATIVE"),
            ));
        }
        let entry = usize_at(optional, 16).ok_or_else(cut)?;
        let preferred_base = u64_at(optional, 24).ok_or_else(cut)?;
        let alignment = usize_at(optional, 32).ok_or_else(cut)?;
        let size = usize_at(optional, 56).ok_or_else(cut)?;
        let headers_size = usize_at(optional, 60).ok_or_else(cut)?;
        let checksum = u32_at(optional, 64).ok_or_else(cut)?;
        if alignment < PAGE || !alignment.is_power_of_two() {
            return Err(Bad::new(
                ALIGNMENT,
                format!("section alignment {alignment:#x} is below a page: sections could not be protected"),
            ));
        }
        if size == 0 || size > LIMIT || headers_size > size || headers_size > file.len() {
            return Err(Bad::from(format!(
                "sizes do not fit: image {size:#x}, headers {headers_size:#x}, file {:#x}",
                file.len()
            )));
        }
        if checksum != 0 && checksum != checksum_of(file, coff + 20 + 64) {
            return Err(Bad::new(
                CHECKSUM,
                format!("the checksum is {:#x}, the header says {checksum:#x}", checksum_of(file, coff + 20 + 64)),
            ));
        }
        let sections = parse_sections(file, coff + 20 + optional_size, count, size)?;
        if !sections.iter().any(|s| s.executable() && entry >= s.address && entry < s.address + s.size) {
            return Err(Bad::from(format!("the entry point {entry:#x} lies in no executable section")));
        }
        let directory = |n: usize| -> Option<(usize, usize)> {
            if n >= usize_at(optional, 108)? {
                return None;
            }
            let (at, size) = (usize_at(optional, 112 + n * 8)?, usize_at(optional, 116 + n * 8)?);
            (at != 0 && size != 0).then_some((at, size))
        };
        if directory(TLS).is_some() {
            return Err(Bad::new(TLS_RULE, "a TLS directory: drivers have no thread-local storage"));
        }
        let view = View { file, sections: &sections };
        let relocations = match directory(RELOCATIONS) {
            Some((at, size)) => parse_relocations(&view, at, size)?,
            // IMAGE_FILE_RELOCS_STRIPPED; without it the image simply has nothing to relocate.
            None if u16_at(file, coff + 18).ok_or_else(cut)? & 1 != 0 => {
                return Err(Bad::new(
                    STRIPPED,
                    "relocations are stripped: the image cannot be loaded away from its preferred base",
                ));
            }
            None => Vec::new(),
        };
        let imports = match directory(IMPORTS) {
            Some((at, _)) => parse_imports(&view, at)?,
            None => Vec::new(),
        };
        let security_cookie = directory(LOAD_CONFIG).and_then(|(at, _)| {
            let size = view.u32(at)?;
            // SecurityCookie is at offset 88.
            (size >= 96).then(|| view.u64(at + 88))?.filter(|&c| c != 0)
        });
        for &r in &relocations {
            if r + 8 > size {
                return Err(Bad::from(format!("relocation of {r:#x} is outside the image")));
            }
        }
        let exceptions = directory(EXCEPTIONS).unwrap_or((0, 0));
        Ok(Self {
            preferred_base,
            size,
            headers_size,
            entry,
            sections,
            relocations,
            imports,
            security_cookie,
            exceptions,
        })
    }
}

fn parse_sections(file: &[u8], table: usize, count: usize, image_size: usize) -> Result<Vec<Section>, Bad> {
    let cut = || "the section table is cut off".to_owned();
    if count == 0 || count > 96 {
        return Err(Bad::from(format!("{count} sections")));
    }
    let mut sections: Vec<Section> = Vec::with_capacity(count);
    let mut end = 0;
    for n in 0..count {
        let h = file.get(table + n * 40..table + n * 40 + 40).ok_or_else(cut)?;
        let name: String = h.iter().take(8).take_while(|&&b| b != 0).map(|&b| char::from(b)).collect();
        let (size, address) = (usize_at(h, 8).ok_or_else(cut)?, usize_at(h, 12).ok_or_else(cut)?);
        let raw = (usize_at(h, 20).ok_or_else(cut)?, usize_at(h, 16).ok_or_else(cut)?);
        let size = if size == 0 { raw.1 } else { size };
        let s = Section { name, address, size, raw, characteristics: u32_at(h, 36).ok_or_else(cut)? };
        if !address.is_multiple_of(PAGE)
            || address < end
            || address.checked_add(size).is_none_or(|e| e > image_size.next_multiple_of(PAGE))
        {
            return Err(Bad::from(format!(
                "section {} at {address:#x} with {size:#x} bytes overlaps or leaves the image",
                s.name
            )));
        }
        if raw.1 != 0 && raw.0.checked_add(raw.1.min(size)).is_none_or(|e| e > file.len()) {
            return Err(Bad::from(format!("section {} has its data outside the file", s.name)));
        }
        if s.writable() && s.executable() {
            return Err(Bad::new(
                WRITABLE_CODE,
                format!("section {} is writable and executable: HVCI would not load the driver", s.name),
            ));
        }
        end = (address + size).next_multiple_of(PAGE);
        sections.push(s);
    }
    Ok(sections)
}

fn parse_relocations(view: &View<'_>, at: usize, size: usize) -> Result<Vec<usize>, String> {
    let cut = || "the relocations are cut off".to_owned();
    let mut places = Vec::new();
    let (mut at, end) = (at, at.checked_add(size).ok_or_else(cut)?);
    while at + 8 <= end {
        let (page, block) = (view.u32(at).ok_or_else(cut)?, view.u32(at + 4).ok_or_else(cut)?);
        if block < 8 || at + block > end {
            return Err(format!("a relocation block of {block} bytes"));
        }
        for n in 0..(block - 8) / 2 {
            let entry = view.u16(at + 8 + n * 2).ok_or_else(cut)?;
            match entry >> 12 {
                0 => {}
                10 => places.push(page + usize::from(entry & 0xFFF)),
                kind => return Err(format!("relocation type {kind} is not DIR64")),
            }
        }
        at += block;
    }
    Ok(places)
}

fn parse_imports(view: &View<'_>, at: usize) -> Result<Vec<Import>, Bad> {
    let cut = || "the imports are cut off".to_owned();
    let mut imports = Vec::new();
    for n in 0..256 {
        let d = at + n * 20;
        let (names, module, slots) =
            (view.u32(d).ok_or_else(cut)?, view.u32(d + 12).ok_or_else(cut)?, view.u32(d + 16).ok_or_else(cut)?);
        if module == 0 && slots == 0 {
            return Ok(imports);
        }
        let module = view.text(module).ok_or_else(|| "an import's module name is broken".to_owned())?;
        let names = if names == 0 { slots } else { names };
        for i in 0..4096 {
            let entry = view.u64(names + i * 8).ok_or_else(cut)?;
            if entry == 0 {
                break;
            }
            let slot = slots + i * 8;
            if entry >> 63 != 0 {
                return Err(Bad::new(
                    UNKNOWN_IMPORT,
                    format!("{module}, ordinal {}: imports by ordinal are not resolved", entry & 0xFFFF),
                ));
            }
            let hint = usize::try_from(entry).ok().ok_or_else(cut)?;
            let name = view
                .text(hint.checked_add(2).ok_or_else(cut)?)
                .ok_or_else(|| format!("a name imported from {module} is broken"))?;
            imports.push(Import { module: module.clone(), name, slot });
        }
    }
    Err(Bad::from("the import table does not end".to_owned()))
}

/// The image's checksum: the folded sum of its words but the checksum's own, plus the file's length.
fn checksum_of(file: &[u8], field: usize) -> u32 {
    let mut sum = 0u32;
    for (i, w) in file.chunks(2).enumerate() {
        let at = i * 2;
        if at >= field && at < field + 4 {
            continue;
        }
        let v = u32::from(w.first().copied().unwrap_or(0)) | u32::from(w.get(1).copied().unwrap_or(0)) << 8;
        sum += v;
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    sum = (sum & 0xFFFF) + (sum >> 16);
    sum.wrapping_add(u32::try_from(file.len()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A smallest image: headers, a `.text` with a `ret`, a `.reloc` with an empty block.
    fn smallest() -> Vec<u8> {
        let mut f = vec![0u8; 0x600];
        f[..2].copy_from_slice(b"MZ");
        f[0x3C] = 0x40;
        f[0x40..0x44].copy_from_slice(b"PE\0\0");
        f[0x44..0x46].copy_from_slice(&0x8664u16.to_le_bytes());
        f[0x46] = 2;
        f[0x54..0x56].copy_from_slice(&240u16.to_le_bytes());
        let o = 0x58;
        let mut put = |at: usize, v: u32| f[o + at..o + at + 4].copy_from_slice(&v.to_le_bytes());
        put(0, 0x20B);
        put(16, 0x1000);
        put(24, 0x1000_0000);
        put(32, 0x1000);
        put(36, 0x200);
        put(56, 0x3000);
        put(60, 0x200);
        put(68, 1);
        put(108, 16);
        put(112 + RELOCATIONS * 8, 0x2000);
        put(116 + RELOCATIONS * 8, 8);
        let t = o + 240;
        for (n, (name, raw, flags)) in
            [(b".text\0\0\0", 0x200u32, 0x6000_0020u32), (b".reloc\0\0", 0x400, 0x4200_0040)].into_iter().enumerate()
        {
            let h = t + n * 40;
            f[h..h + 8].copy_from_slice(name);
            for (at, v) in [(8, 0x200u32), (12, 0x1000 * (n as u32 + 1)), (16, 0x200), (20, raw), (36, flags)] {
                f[h + at..h + at + 4].copy_from_slice(&v.to_le_bytes());
            }
        }
        f[0x200] = 0xC3;
        f[0x404] = 8;
        f
    }

    #[test]
    fn the_smallest_image_parses() {
        let i = Image::parse(&smallest()).expect("the image is sound");
        assert_eq!((i.entry, i.sections.len(), i.imports.len()), (0x1000, 2, 0));
    }

    #[test]
    fn every_cut_of_it_is_an_error() {
        let f = smallest();
        for n in 0..0x401 {
            assert!(Image::parse(&f[..n]).is_err(), "cut to {n} bytes");
        }
    }

    #[test]
    fn no_byte_makes_the_parser_panic() {
        let f = smallest();
        for at in 0..0x410 {
            for v in [0, 1, 0x7F, 0x80, 0xFF] {
                let mut g = f.clone();
                g[at] = v;
                let _ = Image::parse(&g);
            }
        }
    }

    #[test]
    fn writable_code_is_refused() {
        let mut f = smallest();
        f[0x58 + 240 + 39] |= 0x80;
        assert!(Image::parse(&f).expect_err("W+X").why.contains("HVCI"));
    }
}
