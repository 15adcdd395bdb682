//! What the Linux module's Rust object must and must not be; `cargo xtask linux-object` and `linux-gate`.
//!
//! The compiler and linker are told all of this; the gate looks at what they made of it. objtool and modpost look at it again, with the
//! eyes of the kernel that it is built for.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use anyhow::{Context, Result, bail};
use iced_x86::{
    Code, CpuidFeature, Decoder, DecoderOptions, EncodingKind, FlowControl, Instruction, InstructionInfoFactory,
    Mnemonic, OpKind, Register,
};
use object::{
    Object, ObjectSection, ObjectSymbol, RelocationFlags, RelocationTarget, SectionFlags, SymbolKind,
    elf::{
        R_X86_64_32, R_X86_64_32S, R_X86_64_64, R_X86_64_PC32, R_X86_64_PC64, R_X86_64_PLT32, SHF_ALLOC, SHF_EXECINSTR,
        SHF_WRITE,
    },
    read::elf::ElfFile64,
};

use crate::{gate, tool};

/// The kernel's functions that the object may use.
const KERNEL: &[&str] = &["memcpy", "memmove", "memset", "memcmp", "bcmp", RETURN_THUNK];
/// Whose functions it may use, and whose it is.
const SHIM: &str = "dco_shim_";
const CORE: &str = "dco_core_";
/// Called by the panic handler.
const PANIC: &str = "dco_panic_is_reachable";
const RETURN_THUNK: &str = "__x86_return_thunk";
const INDIRECT_THUNK: &str = "__x86_indirect_thunk_";
/// Bytes of a function's own stack frame: where the kernel's own build warns (CONFIG_FRAME_WARN).
const FRAME: u32 = 2048;
/// Bytes of stack from a call into the object to its deepest function or call of the shim: the kernel's stack has 16 KB for everybody.
/// Control calls come from a short chain in process context.
const DEPTH: u32 = 4096;
/// The same for those that come from anywhere in the network stack.
const DATA_DEPTH: u32 = 1536;
const DATA: &[&str] =
    &["dco_core_seal", "dco_core_open", "dco_core_count_drop", "dco_core_drops", "dco_core_source_check"];
/// Bytes of padding before each function (CALL_PADDING).
const PADDING: u64 = 16;
/// Sections in memory that it may have.
const SECTIONS: &[&str] = &[".text", ".rodata", ".data.rel.ro", ".data", ".bss"];

/// What was found.
#[derive(Debug, Default)]
pub struct Report {
    /// Everything that forbids linking it into a module.
    pub faults: Vec<String>,
    pub functions: usize,
    pub instructions: usize,
    pub relocations: usize,
    /// The largest frame and whose it is.
    pub frame: (u32, String),
    /// Bytes of stack that a call into the object needs, by function.
    pub depths: BTreeMap<String, u32>,
}

/// Judges the file and prints the verdict.
pub fn run(file: &Path) -> Result<()> {
    let object = fs::read(file).with_context(|| file.display().to_string())?;
    let report = inspect(&object, &gate::build_paths())?;
    println!("{}  {}", tool::sha256(&object), file.display());
    println!(
        "gate: {} bytes, {} functions, {} instructions, {} relocations, largest frame {} bytes ({})",
        object.len(),
        report.functions,
        report.instructions,
        report.relocations,
        report.frame.0,
        report.frame.1,
    );
    let depths = report.depths.iter().map(|(name, depth)| format!("{} {depth}", name.trim_start_matches(CORE)));
    println!("gate: bytes of stack: {}", depths.collect::<Vec<_>>().join(", "));
    if !report.faults.is_empty() {
        for fault in &report.faults {
            println!("gate: FAULT: {fault}");
        }
        bail!("{} faults in {}", report.faults.len(), file.display());
    }
    println!("gate: passed");
    Ok(())
}

/// Looks into an object. An error means that it is none for x86-64.
pub fn inspect(bytes: &[u8], build_paths: &[String]) -> Result<Report> {
    let elf = ElfFile64::<object::LittleEndian>::parse(bytes).context("not a 64-bit ELF object")?;
    if elf.architecture() != object::Architecture::X86_64 {
        bail!("not for x86-64");
    }
    let mut report = Report::default();
    symbols(&elf, &mut report);
    sections(&elf, &mut report)?;
    for path in build_paths {
        if bytes.windows(path.len()).any(|window| window == path.as_bytes()) {
            report.faults.push(format!("the build machine's folder {path} is named in the object"));
        }
    }
    Ok(report)
}

type Elf<'a> = ElfFile64<'a, object::LittleEndian>;

fn symbols(elf: &Elf, report: &mut Report) {
    for symbol in elf.symbols() {
        let name = symbol.name().unwrap_or("?");
        if name == PANIC {
            report.faults.push("a panic is reachable".to_owned());
        } else if symbol.is_undefined() && !name.is_empty() {
            if !name.starts_with(SHIM) && !name.starts_with(INDIRECT_THUNK) && !KERNEL.contains(&name) {
                report.faults.push(format!("undefined, and neither the shim's nor on the list: {name}"));
            }
        } else if symbol.is_global() && !name.starts_with(CORE) {
            report.faults.push(format!("global, and not {CORE}*: {name}"));
        }
    }
}

fn sections(elf: &Elf, report: &mut Report) -> Result<()> {
    for section in elf.sections() {
        let name = section.name().unwrap_or("?").to_owned();
        let SectionFlags::Elf { sh_flags } = section.flags() else { continue };
        let is = |flag: u32| sh_flags & u64::from(flag) != 0;
        if !is(SHF_ALLOC) {
            continue;
        }
        if !SECTIONS.contains(&name.as_str()) {
            report.faults.push(format!("section {name} is not on the list"));
        }
        if is(SHF_WRITE) && is(SHF_EXECINSTR) {
            report.faults.push(format!("section {name} is writable and executable"));
        }
        let targets = relocations(elf, &section, &name, report);
        if is(SHF_EXECINSTR) {
            code(elf, &section, &name, &targets, report)?;
        }
    }
    Ok(())
}

/// What a relocation names.
struct Target {
    symbol: String,
    /// Where a call or jump leads to, if that is in the same section.
    place: Option<u64>,
}

/// Judges a section's relocations; what they name, by their place.
fn relocations(
    elf: &Elf,
    section: &object::read::elf::ElfSection64<'_, '_, object::LittleEndian>,
    name: &str,
    report: &mut Report,
) -> BTreeMap<u64, Target> {
    const KNOWN: [u32; 6] = [R_X86_64_64, R_X86_64_32, R_X86_64_32S, R_X86_64_PC32, R_X86_64_PLT32, R_X86_64_PC64];
    let mut targets = BTreeMap::new();
    for (offset, relocation) in section.relocations() {
        report.relocations += 1;
        match relocation.flags() {
            RelocationFlags::Elf { r_type } if KNOWN.contains(&r_type) => {}
            RelocationFlags::Elf { r_type } => report.faults.push(format!(
                "section {name}, {offset:#x}: relocation type {r_type}, which the module loader does not know"
            )),
            other => report.faults.push(format!("section {name}, {offset:#x}: relocation {other:?}")),
        }
        if let RelocationTarget::Symbol(index) = relocation.target()
            && let Ok(symbol) = elf.symbol_by_index(index)
        {
            // A call's displacement counts from behind its four bytes.
            let place = symbol.address().checked_add_signed(relocation.addend() + 4);
            let place = place.filter(|_| symbol.section_index() == Some(section.index()));
            targets.insert(offset, Target { symbol: symbol.name().unwrap_or("?").to_owned(), place });
        }
    }
    targets
}

/// One function's place in its section.
struct Function {
    name: String,
    start: u64,
    end: u64,
}

fn functions(elf: &Elf, section: object::SectionIndex) -> Vec<Function> {
    let mut functions: Vec<_> = elf
        .symbols()
        .filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.section_index() == Some(section))
        .map(|symbol| Function {
            name: symbol.name().unwrap_or("?").to_owned(),
            start: symbol.address(),
            end: symbol.address() + symbol.size(),
        })
        .collect();
    functions.sort_by_key(|function| (function.start, function.end));
    // Two names of one function.
    functions.dedup_by_key(|function| function.start);
    functions
}

fn code(
    elf: &Elf,
    section: &object::read::elf::ElfSection64<'_, '_, object::LittleEndian>,
    name: &str,
    targets: &BTreeMap<u64, Target>,
    report: &mut Report,
) -> Result<()> {
    let data = section.data()?;
    let functions = functions(elf, section.index());
    let mut kinds: BTreeMap<String, (String, usize)> = BTreeMap::new();
    let mut note = |kind: String, place: String| kinds.entry(kind).or_insert((place, 0)).1 += 1;
    let mut end = 0;
    let mut calls = BTreeMap::new();
    for function in &functions {
        report.functions += 1;
        let Some(bytes) = data.get(function.start as usize..function.end as usize) else {
            bail!("section {name}: {} lies outside", function.name);
        };
        // Between two functions there is padding alone; nothing else can hide there.
        let gap = data.get(end as usize..function.start as usize).unwrap_or_default();
        if let Some(at) = first_not_padding(gap) {
            note("code outside every function".to_owned(), format!("{:#x}", end + at as u64));
        }
        if function.start < end + PADDING || !is_nop(gap, PADDING as usize) {
            note(format!("no {PADDING} bytes of padding before a function"), function.name.clone());
        }
        end = function.end;
        let mut frame = 0;
        let mut callees = BTreeSet::new();
        let mut decoder = Decoder::with_ip(64, bytes, function.start, DecoderOptions::NONE);
        let mut instruction = Instruction::default();
        let mut info = InstructionInfoFactory::new();
        while decoder.can_decode() {
            decoder.decode_out(&mut instruction);
            report.instructions += 1;
            let place = || format!("{} + {:#x}", function.name, instruction.ip() - function.start);
            let target = (instruction.ip()..instruction.next_ip()).find_map(|at| targets.get(&at));
            callees.extend(callee(&instruction, target, function));
            if let Some(kind) = forbidden(&instruction, &mut info) {
                note(kind, place());
            }
            if let Some(kind) =
                flow(&instruction, target.map(|target| target.symbol.as_str()), decoder.position(), bytes)
            {
                note(kind, place());
            }
            frame = frame_after(frame, &instruction);
        }
        if frame > FRAME {
            report.faults.push(format!("{}: a stack frame of {frame} bytes, more than {FRAME}", function.name));
        }
        if frame > report.frame.0 || report.frame.1.is_empty() {
            report.frame = (frame, function.name.clone());
        }
        calls.insert(function.start, (frame, callees));
    }
    for function in functions.iter().filter(|function| function.name.starts_with(CORE)) {
        let Some(depth) = depth(&calls, function.start, &mut Vec::new()) else {
            report.faults.push(format!("{}: calls itself, on some way", function.name));
            continue;
        };
        let limit = if DATA.contains(&function.name.as_str()) { DATA_DEPTH } else { DEPTH };
        if depth > limit {
            report.faults.push(format!("{}: needs {depth} bytes of stack, more than {limit}", function.name));
        }
        report.depths.insert(function.name.clone(), depth);
    }
    if first_not_padding(data.get(end as usize..).unwrap_or_default()).is_some() {
        note("code outside every function".to_owned(), format!("{end:#x}"));
    }
    for (kind, (first, count)) in kinds {
        report.faults.push(format!("section {name}: {kind}, {count} times, first at {first}"));
    }
    Ok(())
}

/// The function that an instruction calls or jumps to, by its place, if it is another one of this section.
fn callee(instruction: &Instruction, target: Option<&Target>, function: &Function) -> Option<u64> {
    let direct = matches!(
        instruction.flow_control(),
        FlowControl::Call | FlowControl::UnconditionalBranch | FlowControl::ConditionalBranch
    );
    let place = match target {
        _ if !direct => None,
        Some(target) => target.place,
        None => Some(instruction.near_branch_target()),
    }?;
    let within = function.start < place && place < function.end;
    let again = place == function.start && instruction.flow_control() != FlowControl::Call;
    (!within && !again).then_some(place)
}

/// Bytes of stack from a function's first instruction to the deepest place it leads to, return addresses included; `None` if it leads to
/// itself.
fn depth(calls: &BTreeMap<u64, (u32, BTreeSet<u64>)>, start: u64, above: &mut Vec<u64>) -> Option<u32> {
    const RETURN_ADDRESS: u32 = 8;
    if above.contains(&start) {
        return None;
    }
    // A place that no function begins at: its own code is judged, its frame is that of the function before it.
    let (frame, callees) = calls.range(..=start).next_back()?.1;
    above.push(start);
    let mut deepest = 0;
    for callee in callees {
        deepest = deepest.max(depth(calls, *callee, above)?.saturating_add(RETURN_ADDRESS));
    }
    above.pop();
    Some(frame.saturating_add(deepest))
}

/// Whether the last `len` bytes are single-byte no-operations, which the kernel patches.
fn is_nop(bytes: &[u8], len: usize) -> bool {
    bytes.len() >= len && bytes[bytes.len() - len..].iter().all(|byte| *byte == 0x90)
}

/// The place of the first instruction that does something.
fn first_not_padding(bytes: &[u8]) -> Option<usize> {
    let mut decoder = Decoder::new(64, bytes, DecoderOptions::NONE);
    while decoder.can_decode() {
        let at = decoder.position();
        let mnemonic = decoder.decode().mnemonic();
        if !matches!(mnemonic, Mnemonic::Nop | Mnemonic::Int3) {
            return Some(at);
        }
    }
    None
}

/// What is wrong with an instruction in the kernel, if anything.
fn forbidden(instruction: &Instruction, info: &mut InstructionInfoFactory) -> Option<String> {
    if instruction.is_invalid() {
        return Some("bytes that are no instruction".to_owned());
    }
    let code = instruction.code();
    if code.encoding() != EncodingKind::Legacy {
        return Some(format!("{:?} instruction {code:?}", code.encoding()));
    }
    let vector = |register: Register| register.is_vector_register() || register.is_st() || register.is_mm();
    if info.info(instruction).used_registers().iter().any(|used| vector(used.register())) {
        return Some(format!("a vector or x87 register in {code:?}"));
    }
    code.cpuid_features().iter().find_map(|feature| match feature {
        CpuidFeature::FPU
        | CpuidFeature::FPU287
        | CpuidFeature::FPU287XL_ONLY
        | CpuidFeature::FPU387
        | CpuidFeature::FPU387SL_ONLY => Some(format!("x87 instruction {code:?}")),
        CpuidFeature::MMX => Some(format!("MMX instruction {code:?}")),
        CpuidFeature::INTEL8086
        | CpuidFeature::INTEL186
        | CpuidFeature::INTEL286
        | CpuidFeature::INTEL386
        | CpuidFeature::INTEL486
        | CpuidFeature::X64
        | CpuidFeature::CMOV
        | CpuidFeature::CX8
        | CpuidFeature::MULTIBYTENOP
        | CpuidFeature::PAUSE
        | CpuidFeature::CET_IBT => None,
        // MFENCE alone: it is in every x86-64.
        CpuidFeature::SSE2 if code == Code::Mfence => None,
        other => Some(format!("{other:?} instruction {code:?}")),
    })
}

/// What is wrong with where an instruction goes, if anything.
fn flow(instruction: &Instruction, target: Option<&str>, next: usize, function: &[u8]) -> Option<String> {
    let followed_by_int3 = || function.get(next) == Some(&0xcc);
    match instruction.flow_control() {
        FlowControl::IndirectCall | FlowControl::IndirectBranch => {
            Some("an indirect call or jump without a thunk".to_owned())
        }
        FlowControl::Return => Some("a return without the thunk".to_owned()),
        FlowControl::Interrupt if instruction.mnemonic() == Mnemonic::Int3 => None,
        FlowControl::Interrupt => Some(format!("{:?}", instruction.mnemonic())),
        FlowControl::UnconditionalBranch if target.is_some_and(|name| name.starts_with(INDIRECT_THUNK)) => {
            (!followed_by_int3()).then(|| "no int3 after an indirect jump".to_owned())
        }
        _ => None,
    }
}

/// The bytes of the frame after this instruction, as its prologue makes it.
fn frame_after(frame: u32, instruction: &Instruction) -> u32 {
    match instruction.mnemonic() {
        Mnemonic::Push => frame + 8,
        Mnemonic::Sub if instruction.op0_register() == Register::RSP => match instruction.op1_kind() {
            OpKind::Immediate8to64 | OpKind::Immediate32to64 => {
                frame.saturating_add(u32::try_from(instruction.immediate(1)).unwrap_or(u32::MAX))
            }
            // By a register: as large as one likes.
            _ => u32::MAX,
        },
        _ => frame,
    }
}

#[cfg(test)]
mod tests {
    use object::{
        BinaryFormat, Endianness, SectionKind, SymbolFlags, SymbolScope,
        elf::{R_X86_64_GOTPCREL, R_X86_64_REX_GOTPCRELX, SHT_PROGBITS},
        write::{Object, Relocation, StandardSection, Symbol, SymbolSection},
    };

    use super::*;

    const NOPS: [u8; 16] = [0x90; 16];
    /// xor eax, eax; jmp (to be relocated)
    const PLAIN: &[u8] = &[0x31, 0xc0, 0xe9, 0, 0, 0, 0];

    /// An object as the linker makes it: one function, with what is to be judged.
    struct Planted {
        code: Vec<u8>,
        name: &'static str,
        /// Offset in the function, type, symbol.
        relocations: Vec<(u64, u32, &'static str)>,
        padding: Vec<u8>,
        section: Option<(&'static str, u32)>,
        behind: Vec<u8>,
    }

    impl Planted {
        fn new(code: &[u8]) -> Self {
            Self {
                code: code.to_vec(),
                name: "dco_core_test",
                relocations: Vec::new(),
                padding: NOPS.to_vec(),
                section: None,
                behind: Vec::new(),
            }
        }

        /// `code`, then the return thunk.
        fn returning(code: &[u8]) -> Self {
            let mut planted = Self::new(&[code, &PLAIN[2..]].concat());
            planted.relocations.push((code.len() as u64 + 1, R_X86_64_PLT32, RETURN_THUNK));
            planted
        }

        fn bytes(&self) -> Vec<u8> {
            let mut object = Object::new(BinaryFormat::Elf, object::Architecture::X86_64, Endianness::Little);
            let text = object.section_id(StandardSection::Text);
            let start = self.padding.len() as u64;
            object.append_section_data(text, &[&self.padding[..], &self.code, &self.behind].concat(), 16);
            object.add_symbol(Symbol {
                name: self.name.as_bytes().to_vec(),
                value: start,
                size: self.code.len() as u64,
                kind: SymbolKind::Text,
                scope: SymbolScope::Linkage,
                weak: false,
                section: SymbolSection::Section(text),
                flags: SymbolFlags::None,
            });
            for (offset, r_type, name) in &self.relocations {
                let symbol = object.add_symbol(Symbol {
                    name: name.as_bytes().to_vec(),
                    value: 0,
                    size: 0,
                    kind: SymbolKind::Unknown,
                    scope: SymbolScope::Unknown,
                    weak: false,
                    section: SymbolSection::Undefined,
                    flags: SymbolFlags::None,
                });
                let flags = RelocationFlags::Elf { r_type: *r_type };
                let relocation = Relocation { offset: start + offset, symbol, addend: -4, flags };
                object.add_relocation(text, relocation).expect("a relocation");
            }
            if let Some((name, flags)) = self.section {
                let section = object.add_section(Vec::new(), name.as_bytes().to_vec(), SectionKind::Elf(SHT_PROGBITS));
                object.section_mut(section).flags = SectionFlags::Elf { sh_flags: u64::from(flags) };
                object.append_section_data(section, b"/home/builder/x", 1);
            }
            object.write().expect("an object")
        }

        fn faults(&self) -> Vec<String> {
            inspect(&self.bytes(), &["/home/builder/".to_owned()]).expect("an object").faults
        }

        #[track_caller]
        fn has(&self, words: &str) {
            let faults = self.faults();
            assert!(matches!(faults.as_slice(), [fault] if fault.contains(words)), "{faults:?}");
        }
    }

    #[test]
    fn a_plain_object_passes() {
        let planted = Planted::returning(&[0x31, 0xc0]);
        assert_eq!(planted.faults(), Vec::<String>::new());
        let report = inspect(&planted.bytes(), &[]).expect("an object");
        assert_eq!((report.functions, report.instructions, report.relocations), (1, 2, 1));
    }

    #[test]
    fn planted_vector_instructions_are_found() {
        // pxor xmm0, xmm0
        Planted::returning(&[0x66, 0x0f, 0xef, 0xc0]).has("vector or x87 register");
        // vpxor ymm0, ymm0, ymm0
        Planted::returning(&[0xc5, 0xfd, 0xef, 0xc0]).has("VEX");
        // vpxorq zmm0, zmm0, zmm0
        Planted::returning(&[0x62, 0xf1, 0xfd, 0x48, 0xef, 0xc0]).has("EVEX");
        // pxor mm0, mm0
        Planted::returning(&[0x0f, 0xef, 0xc0]).has("vector or x87 register");
        // emms
        Planted::returning(&[0x0f, 0x77]).has("MMX");
        // fld1
        Planted::returning(&[0xd9, 0xe8]).has("x87");
        // fxsave [rax]
        Planted::returning(&[0x0f, 0xae, 0x00]).has("FXSR");
        // popcnt eax, eax: not in every processor
        Planted::returning(&[0xf3, 0x0f, 0xb8, 0xc0]).has("POPCNT");
    }

    #[test]
    fn planted_branches_without_a_thunk_are_found() {
        // call rax
        Planted::returning(&[0xff, 0xd0]).has("indirect call or jump");
        // jmp rax
        Planted::new(&[0xff, 0xe0]).has("indirect call or jump");
        // ret
        Planted::new(&[0xc3]).has("return without the thunk");
        // jmp __x86_indirect_thunk_r11, with and without int3 behind it
        let mut planted = Planted::new(&[0xe9, 0, 0, 0, 0]);
        planted.relocations.push((1, R_X86_64_PLT32, "__x86_indirect_thunk_r11"));
        planted.has("no int3");
        planted.code.push(0xcc);
        assert_eq!(planted.faults(), Vec::<String>::new());
    }

    #[test]
    fn planted_symbols_are_found() {
        let call = |name| {
            let mut planted = Planted::returning(&[0xe8, 0, 0, 0, 0]);
            planted.relocations.push((1, R_X86_64_PLT32, name));
            planted
        };
        assert_eq!(call("dco_shim_wake").faults(), Vec::<String>::new());
        assert_eq!(call("memcpy").faults(), Vec::<String>::new());
        call("kmalloc").has("undefined, and neither the shim's nor on the list: kmalloc");
        call("__udivti3").has("__udivti3");
        call("dco_core_other").has("dco_core_other");
        call(PANIC).has("a panic is reachable");
        let mut planted = Planted::returning(&[]);
        planted.name = "rust_eh_personality";
        planted.has("global, and not dco_core_*");
    }

    #[test]
    fn planted_relocations_are_found() {
        for r_type in [R_X86_64_GOTPCREL, R_X86_64_REX_GOTPCRELX] {
            // mov rax, [rip + 0]
            let mut planted = Planted::returning(&[0x48, 0x8b, 0x05, 0, 0, 0, 0]);
            planted.relocations.push((3, r_type, "memcpy"));
            planted.has("which the module loader does not know");
        }
    }

    #[test]
    fn planted_sections_are_found() {
        let section = |name, flags| {
            let mut planted = Planted::returning(&[]);
            planted.section = Some((name, flags));
            planted.faults()
        };
        let faults = section(".init_array", SHF_ALLOC | SHF_WRITE);
        assert!(faults.iter().any(|fault| fault == "section .init_array is not on the list"), "{faults:?}");
        assert!(faults.iter().any(|fault| fault.contains("folder /home/builder/")), "{faults:?}");
        let faults = section(".eh_frame", SHF_ALLOC);
        assert!(faults.iter().any(|fault| fault == "section .eh_frame is not on the list"), "{faults:?}");
        let faults = section(".data", SHF_ALLOC | SHF_WRITE | SHF_EXECINSTR);
        assert!(faults.iter().any(|fault| fault == "section .data is writable and executable"), "{faults:?}");
        // Not in memory.
        assert_eq!(section(".comment", 0).len(), 1, "only the folder's name");
    }

    #[test]
    fn a_planted_frame_is_found() {
        // push rbx; sub rsp, 2040: together the limit
        assert_eq!(Planted::returning(&[0x53, 0x48, 0x81, 0xec, 0xf8, 7, 0, 0]).faults(), Vec::<String>::new());
        // and 8 bytes more
        Planted::returning(&[0x53, 0x55, 0x48, 0x81, 0xec, 0xf8, 7, 0, 0]).has("stack frame of 2056 bytes");
        // sub rsp, rax
        let faults = Planted::returning(&[0x48, 0x29, 0xc4]).faults();
        assert!(faults.iter().any(|fault| fault.contains("stack frame of 4294967295 bytes")), "{faults:?}");
    }

    #[test]
    fn a_planted_call_chain_is_found() {
        // sub rsp, SIZE; call the other; return. And the other.
        let chain = |size: [u8; 2], second: &[u8]| {
            let first = [&[0x48, 0x81, 0xec, size[0], size[1], 0, 0, 0xe8, 0, 0, 0, 0], &PLAIN[2..]].concat();
            let mut object = Object::new(BinaryFormat::Elf, object::Architecture::X86_64, Endianness::Little);
            let text = object.section_id(StandardSection::Text);
            let at = 16 + first.len() as u64 + 16;
            object.append_section_data(text, &[&NOPS[..], &first, &NOPS, second].concat(), 16);
            let mut symbol = |name: &str, value, size, section| {
                object.add_symbol(Symbol {
                    name: name.as_bytes().to_vec(),
                    value,
                    size,
                    kind: SymbolKind::Text,
                    scope: SymbolScope::Linkage,
                    weak: false,
                    section,
                    flags: SymbolFlags::None,
                })
            };
            symbol("dco_core_seal", 16, first.len() as u64, SymbolSection::Section(text));
            let other = symbol("dco_core_other", at, second.len() as u64, SymbolSection::Section(text));
            let thunk = symbol(RETURN_THUNK, 0, 0, SymbolSection::Undefined);
            let mut relocate = |offset, symbol| {
                let flags = RelocationFlags::Elf { r_type: R_X86_64_PLT32 };
                object.add_relocation(text, Relocation { offset, symbol, addend: -4, flags }).expect("a relocation");
            };
            relocate(16 + 8, other);
            relocate(16 + 13, thunk);
            relocate(at + second.len() as u64 - 4, if second[second.len() - 5] == 0xe8 { other } else { thunk });
            inspect(&object.write().expect("an object"), &[]).expect("an object")
        };
        let plain = &PLAIN[2..];
        let report = chain([0, 5], plain);
        assert_eq!((report.faults.len(), report.depths["dco_core_seal"]), (0, 1280 + 8), "{report:?}");
        let second = [&[0x48, 0x81, 0xec, 0, 1, 0, 0], plain].concat();
        let faults = chain([0, 5], &second).faults;
        assert_eq!(faults, ["dco_core_seal: needs 1544 bytes of stack, more than 1536"]);
        // call itself
        let faults = chain([0, 5], &[0xe8, 0, 0, 0, 0]).faults;
        assert_eq!(faults, ["dco_core_seal: calls itself, on some way", "dco_core_other: calls itself, on some way"]);
    }

    #[test]
    fn missing_padding_and_hidden_code_are_found() {
        let mut planted = Planted::returning(&[]);
        planted.padding = vec![0x90; 8];
        planted.has("16 bytes of padding");
        // A long no-operation is no place to patch.
        planted.padding = [0x66, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0].repeat(2);
        planted.has("16 bytes of padding");
        let mut planted = Planted::returning(&[]);
        // pxor xmm0, xmm0 behind the last function
        planted.behind = vec![0x66, 0x0f, 0xef, 0xc0];
        planted.has("code outside every function");
        planted.behind = vec![0xcc; 5];
        assert_eq!(planted.faults(), Vec::<String>::new());
    }

    #[test]
    fn what_is_no_object_is_an_error() {
        assert!(inspect(b"MZ", &[]).is_err());
    }
}
