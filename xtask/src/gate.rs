//! `cargo xtask gate`: what a built driver must and must not be.
//!
//! The compiler and linker are told all of this; the gate looks at what they made of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::Path,
};

use anyhow::{Context, Result, bail};
use iced_x86::{CpuidFeature, Decoder, DecoderOptions, EncodingKind, Instruction};
use object::{
    LittleEndian as LE, Object, ObjectSection,
    pe::{
        IMAGE_DIRECTORY_ENTRY_BASERELOC, IMAGE_DIRECTORY_ENTRY_DELAY_IMPORT, IMAGE_DIRECTORY_ENTRY_EXCEPTION,
        IMAGE_DIRECTORY_ENTRY_TLS, IMAGE_DLLCHARACTERISTICS_DYNAMIC_BASE, IMAGE_DLLCHARACTERISTICS_NX_COMPAT,
        IMAGE_FILE_MACHINE_AMD64, IMAGE_FILE_MACHINE_ARM64, IMAGE_FILE_RELOCS_STRIPPED, IMAGE_SCN_MEM_EXECUTE,
        IMAGE_SCN_MEM_WRITE, IMAGE_SUBSYSTEM_NATIVE,
    },
    read::pe::{Import, PeFile64},
};

use crate::{arm64, image, tool};

/// Judges the file and prints the verdict.
pub fn run(file: &Path, imports: &Path) -> Result<()> {
    let image = fs::read(file).with_context(|| file.display().to_string())?;
    let allowed = AllowedImports::parse(&tool::read(imports)?).with_context(|| imports.display().to_string())?;
    let report = inspect(&image, &allowed, &build_paths())?;
    println!("{}  {}", tool::sha256(&image), file.display());
    println!(
        "gate: {} bytes, {} imports, {} sections, {} functions with unwind data, {} instructions",
        image.len(),
        report.imports,
        report.sections,
        report.functions,
        report.instructions
    );
    if !report.unused.is_empty() {
        println!("gate: note: on the list, but not imported: {}", report.unused.join(", "));
    }
    if !report.faults.is_empty() {
        for fault in &report.faults {
            println!("gate: FAULT: {fault}");
        }
        bail!("{} faults in {}", report.faults.len(), file.display());
    }
    println!("gate: passed");
    Ok(())
}

/// Folders of this machine that must not be named in an image.
pub fn build_paths() -> Vec<String> {
    let mut paths: Vec<String> = ["HOME", "CARGO_HOME", "CARGO_TARGET_DIR"]
        .into_iter()
        .filter_map(|name| env::var(name).ok())
        .chain(tool::workspace().ok().map(|root| root.display().to_string()))
        .filter(|path| path.len() > 1)
        .map(|path| format!("{}/", path.trim_end_matches('/')))
        .collect();
    paths.sort();
    paths.dedup();
    paths
}

/// The functions the driver may import, by image.
pub struct AllowedImports {
    functions: BTreeSet<(String, String)>,
}

impl AllowedImports {
    /// One `image function` a line; `#` starts a comment.
    pub fn parse(text: &str) -> Result<Self> {
        let mut functions = BTreeSet::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default();
            let words: Vec<_> = line.split_whitespace().collect();
            match words.as_slice() {
                [] => {}
                [image, function] => {
                    functions.insert((image.to_lowercase(), (*function).to_owned()));
                }
                _ => bail!("line {}: expected `image function`", number + 1),
            }
        }
        Ok(Self { functions })
    }
}

/// What was found in an image.
#[derive(Debug, Default)]
pub struct Report {
    /// Everything that forbids shipping it.
    pub faults: Vec<String>,
    /// Allowed imports that it does not have.
    pub unused: Vec<String>,
    pub imports: usize,
    pub sections: usize,
    pub functions: usize,
    pub instructions: usize,
}

/// Looks into an image. An error means that it is no 64-bit image at all.
pub fn inspect(image: &[u8], allowed: &AllowedImports, build_paths: &[String]) -> Result<Report> {
    let pe = PeFile64::parse(image).context("not a 64-bit PE image")?;
    let mut report = Report::default();
    headers(&pe, &mut report);
    imports(&pe, allowed, &mut report)?;
    sections(&pe, &mut report)?;
    for path in build_paths {
        if image.windows(path.len()).any(|bytes| bytes == path.as_bytes()) {
            report.faults.push(format!("the build machine's folder {path} is named in the image"));
        }
    }
    Ok(report)
}

fn headers(pe: &PeFile64, report: &mut Report) {
    let file = &pe.nt_headers().file_header;
    let optional = &pe.nt_headers().optional_header;
    let present = |index: usize| pe.data_directory(index).is_some_and(|directory| directory.size.get(LE) != 0);
    let characteristics = optional.dll_characteristics.get(LE);
    let checks = [
        (
            matches!(file.machine.get(LE), IMAGE_FILE_MACHINE_AMD64 | IMAGE_FILE_MACHINE_ARM64),
            "neither for x86-64 nor for ARM64",
        ),
        (optional.subsystem.get(LE) == IMAGE_SUBSYSTEM_NATIVE, "subsystem is not native"),
        (characteristics & IMAGE_DLLCHARACTERISTICS_DYNAMIC_BASE != 0, "DYNAMIC_BASE is not set"),
        (characteristics & IMAGE_DLLCHARACTERISTICS_NX_COMPAT != 0, "NX_COMPAT is not set"),
        (
            file.characteristics.get(LE) & IMAGE_FILE_RELOCS_STRIPPED == 0 && present(IMAGE_DIRECTORY_ENTRY_BASERELOC),
            "no relocations",
        ),
        (!present(IMAGE_DIRECTORY_ENTRY_TLS), "has thread-local storage"),
        (!present(IMAGE_DIRECTORY_ENTRY_DELAY_IMPORT), "has delayed imports"),
        (optional.address_of_entry_point.get(LE) != 0, "no entry point"),
        (image::checksum(pe.data()).is_ok_and(|sum| optional.check_sum.get(LE) == sum), "wrong checksum"),
    ];
    report.faults.extend(checks.iter().filter(|(good, _)| !good).map(|(_, fault)| (*fault).to_owned()));
}

fn imports(pe: &PeFile64, allowed: &AllowedImports, report: &mut Report) -> Result<()> {
    let mut found = BTreeSet::new();
    if let Some(table) = pe.import_table()? {
        let mut descriptors = table.descriptors()?;
        while let Some(descriptor) = descriptors.next()? {
            let image = String::from_utf8_lossy(table.name(descriptor.name.get(LE))?).to_lowercase();
            // Some linkers leave out the lookup table.
            let thunks = match descriptor.original_first_thunk.get(LE) {
                0 => descriptor.first_thunk.get(LE),
                lookup => lookup,
            };
            let mut thunks = table.thunks(thunks)?;
            while let Some(thunk) = thunks.next::<object::pe::ImageNtHeaders64>()? {
                let function = match table.import::<object::pe::ImageNtHeaders64>(thunk)? {
                    Import::Ordinal(ordinal) => format!("#{ordinal}"),
                    Import::Name(_, name) => String::from_utf8_lossy(name).into_owned(),
                };
                found.insert((image.clone(), function));
            }
        }
    }
    report.imports = found.len();
    let words = |(image, function): &(String, String)| format!("{image} {function}");
    report.faults.extend(
        found.difference(&allowed.functions).map(|import| format!("import not on the list: {}", words(import))),
    );
    report.unused = allowed.functions.difference(&found).map(words).collect();
    Ok(())
}

fn sections(pe: &PeFile64, report: &mut Report) -> Result<()> {
    let arm64 = pe.nt_headers().file_header.machine.get(LE) == IMAGE_FILE_MACHINE_ARM64;
    let entry = if arm64 { arm64::RUNTIME_FUNCTION } else { RUNTIME_FUNCTION };
    let starts = function_starts(pe, entry)?;
    report.functions = starts.len();
    let base = pe.relative_address_base();
    for section in pe.sections() {
        report.sections += 1;
        let name = section.name().unwrap_or("?").to_owned();
        let flags = section.pe_section().characteristics.get(LE);
        if flags & IMAGE_SCN_MEM_EXECUTE == 0 {
            continue;
        }
        if flags & IMAGE_SCN_MEM_WRITE != 0 {
            report.faults.push(format!("section {name} is writable and executable"));
        }
        let data = section.data()?;
        let rva = (section.address() - base) as u32;
        // The file may hold more than the section: the rest is padding.
        let data = &data[..data.len().min(section.size() as usize)];
        if arm64 {
            arm64::code(&name, data, rva, report);
        } else {
            code(&name, data, rva, &starts, report);
        }
    }
    Ok(())
}

/// Bytes of an entry of the exception directory.
const RUNTIME_FUNCTION: usize = 12;

/// Where functions start, from the exception directory with entries of this size: decoding starts anew there.
fn function_starts(pe: &PeFile64, entry: usize) -> Result<BTreeSet<u32>> {
    let Some(directory) = pe.data_directory(IMAGE_DIRECTORY_ENTRY_EXCEPTION) else {
        return Ok(BTreeSet::new());
    };
    let data = directory.data(pe.data(), &pe.section_table()).unwrap_or_default();
    Ok(data
        .chunks_exact(entry)
        .map(|entry| u32::from_le_bytes([entry[0], entry[1], entry[2], entry[3]]))
        .filter(|start| *start != 0)
        .collect())
}

/// Decodes a section from its start and from each function's start, so that padding or a table between two
/// functions cannot hide what follows. Functions without unwind data lie between and are decoded too.
fn code(name: &str, data: &[u8], rva: u32, starts: &BTreeSet<u32>, report: &mut Report) {
    let end = rva + data.len() as u32;
    let bounds: Vec<u32> =
        std::iter::once(rva).chain(starts.range(rva + 1..end).copied()).chain(std::iter::once(end)).collect();
    let mut kinds: BTreeMap<String, (u32, usize)> = BTreeMap::new();
    for bound in bounds.windows(2) {
        let bytes = &data[(bound[0] - rva) as usize..(bound[1] - rva) as usize];
        let mut decoder = Decoder::with_ip(64, bytes, u64::from(bound[0]), DecoderOptions::NONE);
        let mut instruction = Instruction::default();
        while decoder.can_decode() {
            decoder.decode_out(&mut instruction);
            report.instructions += 1;
            if let Some(kind) = forbidden(&instruction) {
                let at = instruction.ip() as u32;
                kinds.entry(kind).or_insert((at, 0)).1 += 1;
            }
        }
    }
    for (kind, (first, count)) in kinds {
        report.faults.push(format!("section {name}: {kind}, {count} times, first at RVA {first:#x}"));
    }
}

/// What is wrong with an instruction in the kernel, if anything. SSE2 is fine: Windows keeps those registers.
fn forbidden(instruction: &Instruction) -> Option<String> {
    if instruction.is_invalid() {
        return Some("bytes that are no instruction".to_owned());
    }
    let code = instruction.code();
    match code.encoding() {
        EncodingKind::Legacy => {}
        other => return Some(format!("{other:?} instruction {code:?}")),
    }
    code.cpuid_features().iter().find_map(|feature| match feature {
        CpuidFeature::FPU
        | CpuidFeature::FPU287
        | CpuidFeature::FPU287XL_ONLY
        | CpuidFeature::FPU387
        | CpuidFeature::FPU387SL_ONLY => Some(format!("x87 instruction {code:?}")),
        CpuidFeature::MMX => Some(format!("MMX instruction {code:?}")),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RX: u32 = 0x6000_0020;
    const RW: u32 = 0xC000_0040;
    const ALIGN: u32 = 0x1000;

    /// A small driver image, section by section.
    struct Image {
        sections: Vec<(&'static str, u32, Vec<u8>)>,
        /// Index to (RVA, size).
        directories: [(u32, u32); 16],
        dll_characteristics: u16,
        subsystem: u16,
    }

    impl Image {
        /// Code in `.text`, one import in `.rdata`, relocations.
        fn new(code: &[u8], image: &str, function: &str) -> Self {
            let rdata = 2 * ALIGN;
            let mut imports = vec![0_u8; 40];
            let lookup = rdata + imports.len() as u32;
            let addresses = lookup + 16;
            let name = addresses + 16;
            let hint = name + 32;
            imports[..4].copy_from_slice(&lookup.to_le_bytes());
            imports[12..16].copy_from_slice(&name.to_le_bytes());
            imports[16..20].copy_from_slice(&addresses.to_le_bytes());
            for _ in 0..2 {
                imports.extend_from_slice(&u64::from(hint).to_le_bytes());
                imports.extend_from_slice(&[0; 8]);
            }
            let mut text = image.as_bytes().to_vec();
            text.resize(32, 0);
            imports.extend_from_slice(&text);
            imports.extend_from_slice(&[0, 0]);
            imports.extend_from_slice(function.as_bytes());
            imports.push(0);

            let mut directories = [(0, 0); 16];
            directories[1] = (rdata, 40);
            directories[5] = (3 * ALIGN, 12);
            let mut relocations = ALIGN.to_le_bytes().to_vec();
            relocations.extend_from_slice(&[12, 0, 0, 0, 0, 0, 0, 0]);
            Self {
                sections: vec![
                    (".text", RX, code.to_vec()),
                    (".rdata", 0x4000_0040, imports),
                    (".reloc", 0x4200_0040, relocations),
                ],
                directories,
                dll_characteristics: 0x160,
                subsystem: 1,
            }
        }

        fn bytes(&self) -> Vec<u8> {
            const HEADERS: usize = 0x400;
            const PE: usize = 0x80;
            let mut file = vec![0_u8; HEADERS];
            let put = |file: &mut Vec<u8>, at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
            put(&mut file, 0, b"MZ");
            put(&mut file, 0x3c, &(PE as u32).to_le_bytes());
            put(&mut file, PE, b"PE\0\0");
            put(&mut file, PE + 4, &0x8664_u16.to_le_bytes());
            put(&mut file, PE + 6, &(self.sections.len() as u16).to_le_bytes());
            put(&mut file, PE + 20, &240_u16.to_le_bytes());
            put(&mut file, PE + 22, &0x22_u16.to_le_bytes());
            let optional = PE + 24;
            put(&mut file, optional, &0x20b_u16.to_le_bytes());
            put(&mut file, optional + 16, &ALIGN.to_le_bytes());
            put(&mut file, optional + 24, &0x1_4000_0000_u64.to_le_bytes());
            put(&mut file, optional + 32, &ALIGN.to_le_bytes());
            put(&mut file, optional + 36, &0x200_u32.to_le_bytes());
            let size = (self.sections.len() as u32 + 1) * ALIGN;
            put(&mut file, optional + 56, &size.to_le_bytes());
            put(&mut file, optional + 60, &(HEADERS as u32).to_le_bytes());
            put(&mut file, optional + 68, &self.subsystem.to_le_bytes());
            put(&mut file, optional + 70, &self.dll_characteristics.to_le_bytes());
            put(&mut file, optional + 108, &16_u32.to_le_bytes());
            for (index, (rva, length)) in self.directories.iter().enumerate() {
                put(&mut file, optional + 112 + index * 8, &rva.to_le_bytes());
                put(&mut file, optional + 116 + index * 8, &length.to_le_bytes());
            }
            for (index, (name, flags, data)) in self.sections.iter().enumerate() {
                let header = optional + 240 + index * 40;
                let raw = data.len().next_multiple_of(0x200);
                put(&mut file, header, name.as_bytes());
                put(&mut file, header + 8, &(data.len() as u32).to_le_bytes());
                put(&mut file, header + 12, &((index as u32 + 1) * ALIGN).to_le_bytes());
                put(&mut file, header + 16, &(raw as u32).to_le_bytes());
                let place = file.len() as u32;
                put(&mut file, header + 20, &place.to_le_bytes());
                put(&mut file, header + 36, &flags.to_le_bytes());
                file.extend_from_slice(data);
                file.resize(place as usize + raw, 0);
            }
            image::set_checksum(&mut file).expect("an image");
            file
        }
    }

    /// xor eax, eax; ret
    const PLAIN: &[u8] = &[0x31, 0xc0, 0xc3];

    fn faults_of(bytes: &[u8]) -> Vec<String> {
        let allowed = AllowedImports::parse("# test\nNTOSKRNL.exe KeSetEvent\n").expect("a list");
        inspect(bytes, &allowed, &["/home/builder/".to_owned()]).expect("an image").faults
    }

    fn code_faults(code: &[u8]) -> Vec<String> {
        faults_of(&Image::new(code, "ntoskrnl.exe", "KeSetEvent").bytes())
    }

    #[test]
    fn a_plain_image_passes() {
        assert_eq!(code_faults(PLAIN), Vec::<String>::new());
    }

    #[test]
    fn sse2_passes() {
        // pxor xmm0, xmm0; ret
        assert_eq!(code_faults(&[0x66, 0x0f, 0xef, 0xc0, 0xc3]), Vec::<String>::new());
    }

    #[test]
    fn a_planted_avx_instruction_is_found() {
        // vpxor ymm0, ymm0, ymm0; ret
        let faults = code_faults(&[0xc5, 0xfd, 0xef, 0xc0, 0xc3]);
        assert!(matches!(faults.as_slice(), [fault] if fault.contains("VEX")), "{faults:?}");
    }

    #[test]
    fn a_planted_avx512_instruction_is_found() {
        // vpxorq zmm0, zmm0, zmm0; ret
        let faults = code_faults(&[0x62, 0xf1, 0xfd, 0x48, 0xef, 0xc0, 0xc3]);
        assert!(matches!(faults.as_slice(), [fault] if fault.contains("EVEX")), "{faults:?}");
    }

    #[test]
    fn planted_x87_and_mmx_instructions_are_found() {
        // fld1; emms; ret
        let faults = code_faults(&[0xd9, 0xe8, 0x0f, 0x77, 0xc3]);
        assert!(faults.iter().any(|fault| fault.contains("x87")), "{faults:?}");
        assert!(faults.iter().any(|fault| fault.contains("MMX")), "{faults:?}");
    }

    #[test]
    fn avx_behind_bytes_that_swallow_it_is_found_by_the_function_table() {
        // Bytes between two functions that decode as a long `mov rax, imm64` over the second one's start.
        let mut code = PLAIN.to_vec();
        code.extend_from_slice(&[0x48, 0xb8]);
        let second = ALIGN + code.len() as u32;
        code.extend_from_slice(&[0xc5, 0xfd, 0xef, 0xc0, 0xc3, 0x90, 0x90, 0x90]);
        let mut image = Image::new(&code, "ntoskrnl.exe", "KeSetEvent");
        assert!(!faults_of(&image.bytes()).iter().any(|fault| fault.contains("VEX")));
        let mut table = Vec::new();
        for value in [ALIGN, ALIGN + 3, 0, second, second + 5, 0] {
            table.extend_from_slice(&value.to_le_bytes());
        }
        image.directories[3] = (4 * ALIGN, table.len() as u32);
        image.sections.push((".pdata", 0x4000_0040, table));
        let faults = faults_of(&image.bytes());
        assert!(faults.iter().any(|fault| fault.contains("VEX")), "{faults:?}");
    }

    #[test]
    fn a_planted_import_is_found() {
        let faults = faults_of(&Image::new(PLAIN, "ntoskrnl.exe", "ZwOpenFile").bytes());
        assert_eq!(faults, ["import not on the list: ntoskrnl.exe ZwOpenFile"]);
        let faults = faults_of(&Image::new(PLAIN, "msvcrt.dll", "KeSetEvent").bytes());
        assert_eq!(faults, ["import not on the list: msvcrt.dll KeSetEvent"]);
    }

    #[test]
    fn a_writable_executable_section_is_found() {
        let mut image = Image::new(PLAIN, "ntoskrnl.exe", "KeSetEvent");
        image.sections.push((".both", RX | RW, PLAIN.to_vec()));
        assert_eq!(faults_of(&image.bytes()), ["section .both is writable and executable"]);
    }

    #[test]
    fn wrong_headers_are_found() {
        let mut image = Image::new(PLAIN, "ntoskrnl.exe", "KeSetEvent");
        image.subsystem = 3;
        image.dll_characteristics = 0;
        image.directories[5] = (0, 0);
        image.directories[9] = (ALIGN, 40);
        let expected = [
            "subsystem is not native",
            "DYNAMIC_BASE is not set",
            "NX_COMPAT is not set",
            "no relocations",
            "has thread-local storage",
        ];
        assert_eq!(faults_of(&image.bytes()), expected);
    }

    #[test]
    fn a_changed_byte_breaks_the_checksum() {
        let mut bytes = Image::new(PLAIN, "ntoskrnl.exe", "KeSetEvent").bytes();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        assert_eq!(faults_of(&bytes), ["wrong checksum"]);
    }

    #[test]
    fn a_folder_of_the_build_machine_is_found() {
        let mut image = Image::new(PLAIN, "ntoskrnl.exe", "KeSetEvent");
        image.sections.push((".data", RW, b"/home/builder/src/lib.rs".to_vec()));
        let faults = faults_of(&image.bytes());
        assert!(matches!(faults.as_slice(), [fault] if fault.contains("/home/builder/")), "{faults:?}");
    }

    #[test]
    fn the_list_wants_two_words_a_line() {
        assert!(AllowedImports::parse("ntoskrnl.exe").is_err());
        assert!(AllowedImports::parse("a b c").is_err());
    }
}
