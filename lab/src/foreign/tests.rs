//! The instructions against the processor itself: each form runs natively on ordinary memory, and emulated.

use super::operation::Machine;
use super::{processor, shared};
use crate::irql;
use iced_x86::{Decoder, DecoderOptions};
use std::arch::asm;

const FLAGS: u64 = 0x8D5;

/// Runs `code` (with `[rbx]` as its memory operand) emulated: rax, rdx and the arithmetic flags.
fn emulated(code: &[u8], rax: u64, rdx: u64, memory: u64) -> (u64, u64, u64) {
    let mut g = [0; 23];
    for (n, v) in [(libc::REG_RAX, rax), (libc::REG_RDX, rdx), (libc::REG_EFL, 0)] {
        g[usize::try_from(n).expect("small")] = v.cast_signed();
    }
    let i = Decoder::with_ip(64, code, 0, DecoderOptions::NONE).decode();
    assert_eq!(i.len(), code.len());
    let size = i.memory_size().size();
    let seen = if size == 8 { memory } else { memory & ((1 << (size * 8)) - 1) };
    assert!(Machine::bare(&mut g).execute(&i, u128::from(seen)), "{:?}", i.mnemonic());
    let at = |n: i32| g[usize::try_from(n).expect("small")].cast_unsigned();
    (at(libc::REG_RAX), at(libc::REG_RDX), at(libc::REG_EFL) & FLAGS)
}

macro_rules! native {
    ($text:literal, $rax:expr, $rdx:expr, $memory:expr) => {{
        let (mut rax, mut rdx, flags): (u64, u64, u64);
        let memory: u64 = $memory;
        // SAFETY: the instruction touches rax, rdx, the flags and one word of ours; rbx is saved around it.
        unsafe {
            asm!(
                "push rbx", "mov rbx, {m}", "push 0", "popfq", $text, "pushfq", "pop {f}", "pop rbx",
                m = in(reg) &raw const memory, f = out(reg) flags,
                inout("rax") $rax => rax, inout("rdx") $rdx => rdx,
            );
        }
        (rax, rdx, flags & FLAGS)
    }};
}

macro_rules! same {
    ($($text:literal, $code:expr, $mask:expr;)*) => {
        for memory in [0u64, 1, 0x7F, 0x80, 0xFFFF_FFFF, 0x8000_0000, 0x1234_5678_9ABC_DEF0, u64::MAX, 1 << 63] {
            for rax in [0u64, 1, 0x80, 0xF0, 0xFFFF_FFFF, 0x7FFF_FFFF_FFFF_FFFF, u64::MAX] {
                let rdx = 0xAAAA_BBBB_CCCC_DDDDu64;
                $({
                    let (a, d, f) = native!($text, rax, rdx, memory);
                    let (ea, ed, ef) = emulated(&$code, rax, rdx, memory);
                    let mask: u64 = $mask;
                    assert_eq!((ea, ed, ef & mask), (a, d, f & mask), "{} rax {rax:#x} memory {memory:#x}", $text);
                })*
            }
        }
    };
}

/// Flags that the manual leaves undefined after logic (AF) and multiplication (all but CF and OF) are not compared.
const LOGIC: u64 = FLAGS & !0x10;
const PRODUCT: u64 = 0x801;

#[test]
fn instructions_do_what_the_processor_does() {
    same! {
        "mov rax, [rbx]", [0x48, 0x8B, 0x03], FLAGS;
        "mov eax, [rbx]", [0x8B, 0x03], FLAGS;
        "mov ax, [rbx]", [0x66, 0x8B, 0x03], FLAGS;
        "mov al, [rbx]", [0x8A, 0x03], FLAGS;
        "mov ah, [rbx]", [0x8A, 0x23], FLAGS;
        "movzx eax, byte ptr [rbx]", [0x0F, 0xB6, 0x03], FLAGS;
        "movzx eax, word ptr [rbx]", [0x0F, 0xB7, 0x03], FLAGS;
        "movsx eax, byte ptr [rbx]", [0x0F, 0xBE, 0x03], FLAGS;
        "movsx rax, word ptr [rbx]", [0x48, 0x0F, 0xBF, 0x03], FLAGS;
        "movsxd rax, dword ptr [rbx]", [0x48, 0x63, 0x03], FLAGS;
        "add rax, [rbx]", [0x48, 0x03, 0x03], FLAGS;
        "add al, [rbx]", [0x02, 0x03], FLAGS;
        "sub rax, [rbx]", [0x48, 0x2B, 0x03], FLAGS;
        "sub eax, [rbx]", [0x2B, 0x03], FLAGS;
        "cmp rax, [rbx]", [0x48, 0x3B, 0x03], FLAGS;
        "cmp [rbx], rax", [0x48, 0x39, 0x03], FLAGS;
        "cmp byte ptr [rbx], 0x7f", [0x80, 0x3B, 0x7F], FLAGS;
        "cmp qword ptr [rbx], -1", [0x48, 0x83, 0x3B, 0xFF], FLAGS;
        "test [rbx], rax", [0x48, 0x85, 0x03], LOGIC;
        "test byte ptr [rbx], 0x80", [0xF6, 0x03, 0x80], LOGIC;
        "and rax, [rbx]", [0x48, 0x23, 0x03], LOGIC;
        "or eax, [rbx]", [0x0B, 0x03], LOGIC;
        "xor rax, [rbx]", [0x48, 0x33, 0x03], LOGIC;
        "bt dword ptr [rbx], 7", [0x0F, 0xBA, 0x23, 0x07], 1;
        "imul rax, [rbx]", [0x48, 0x0F, 0xAF, 0x03], PRODUCT;
        "imul eax, [rbx], 1000", [0x69, 0x03, 0xE8, 0x03, 0x00, 0x00], PRODUCT;
        "mul qword ptr [rbx]", [0x48, 0xF7, 0x23], PRODUCT;
        "mul dword ptr [rbx]", [0xF7, 0x23], PRODUCT;
    }
}

#[test]
fn a_write_is_not_carried_out() {
    let i = Decoder::with_ip(64, &[0x48, 0x89, 0x03], 0, DecoderOptions::NONE).decode();
    assert!(!Machine::bare(&mut [0; 23]).execute(&i, 0));
}

#[test]
fn fields_are_whole() {
    assert_eq!(shared::read(0x26C, 4), Some(10));
    assert_eq!(shared::read(0x26C, 8), Some(10));
    // Beyond the field, and a field that is not kept.
    assert_eq!(shared::read(0x2B3, 2), None);
    assert_eq!(shared::read(0x238, 4), None);
    assert_eq!(processor::read(0x1A4, 5, 4), Some(5));
    assert_eq!(processor::read(0x1A4, 5, 8), None);
    assert_eq!(processor::read(0x50, 0, 1), None);
    let own = u64::try_from(processor::read(0x18, 3, 8).expect("Self")).expect("64 bits");
    assert_eq!(processor::offset(own + 0x1A4), Some((0x1A4, 3)));
    assert_eq!(processor::offset(own + 0x1_0000 * irql::PROCESSORS as u64), None);
}
