//! What the gate looks for in ARM64 code: instructions that a processor of ARMv8.0, the least that Windows runs on, need not have.
//!
//! Every instruction is one word, so that nothing hides behind anything else. The groups are those of the Arm Architecture Reference
//! Manual, "A64 instruction set encoding". NEON is in ARMv8.0, and Microsoft's compiler has no switch to keep it out of a driver.

use std::collections::BTreeMap;

use crate::gate::Report;

/// Bytes of an entry of the exception directory.
pub const RUNTIME_FUNCTION: usize = 8;

/// What to look for: mask, value, name.
const FORBIDDEN: &[(u32, u32, &str)] = &[
    // Bits 28 to 25 divide everything.
    (0x1e00_0000, 0x0000_0000, "word that is no instruction of ARMv8.0 (reserved, or SME)"),
    (0x1e00_0000, 0x0200_0000, "word that is no instruction"),
    (0x1e00_0000, 0x0400_0000, "SVE instruction"),
    (0x1e00_0000, 0x0600_0000, "word that is no instruction"),
    // ARMv8.1: LDADD and its like, SWP; CAS; CASP.
    (0x3f20_0c00, 0x3820_0000, "atomic memory operation of ARMv8.1"),
    (0x3fa0_7c00, 0x08a0_7c00, "compare-and-swap of ARMv8.1"),
    (0xbfa0_7c00, 0x0820_7c00, "compare-and-swap of a pair of ARMv8.1"),
    // Optional: AES, SHA, and SHA with three registers.
    (0xff3e_0c00, 0x4e28_0800, "AES instruction"),
    (0xff3e_0c00, 0x5e28_0800, "SHA instruction"),
    (0xff20_8c00, 0x5e00_0000, "SHA instruction"),
    // Authenticated returns and branches; PACIASP and AUTIASP are hints, which old processors pass over.
    (0xfe1f_f800, 0xd61f_0800, "authenticated branch of ARMv8.3"),
];

/// Looks at a section.
pub fn code(name: &str, data: &[u8], rva: u32, report: &mut Report) {
    let mut kinds: BTreeMap<&str, (u32, usize)> = BTreeMap::new();
    for (index, word) in data.chunks_exact(4).enumerate() {
        let word = u32::from_le_bytes([word[0], word[1], word[2], word[3]]);
        report.instructions += 1;
        if let Some((_, _, kind)) = FORBIDDEN.iter().find(|(mask, value, _)| word & mask == *value) {
            kinds.entry(kind).or_insert((rva + index as u32 * 4, 0)).1 += 1;
        }
    }
    for (kind, (first, count)) in kinds {
        report.faults.push(format!("section {name}: {kind}, {count} times, first at RVA {first:#x}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(words: &[u32]) -> Vec<String> {
        let data: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let mut report = Report::default();
        code(".text", &data, 0x1000, &mut report);
        assert_eq!(report.instructions, words.len());
        report.faults
    }

    #[test]
    fn plain_code_passes() {
        // sub sp, sp, #32; stp x29, x30, [sp, #16]; ldaxr x8, [x0]; stlxr w9, x8, [x0]; add v0.4s, v0.4s, v1.4s; ldr q0, [x1, x2];
        // str x3, [x0, w1, uxtw]; dmb ish; hint #25 (paciasp); brk #1; bl 0; ret
        let words = [
            0xd100_83ff,
            0xa901_7bfd,
            0xc85f_fc08,
            0xc809_fc08,
            0x4ea1_8400,
            0x3ce2_6820,
            0xf821_4803,
            0xd503_3bbf,
            0xd503_233f,
            0xd420_0020,
            0x9400_0000,
            0xd65f_03c0,
        ];
        assert_eq!(faults(&words), Vec::<String>::new());
    }

    #[test]
    fn each_planted_instruction_is_found() {
        let planted = [
            (0x0000_0000, "no instruction"),
            (0x04e1_0000, "SVE"),
            // ldadd x1, x2, [x0]; ldaddal; swp
            (0xf821_0002, "atomic"),
            (0xf8e1_0002, "atomic"),
            (0xf821_8002, "atomic"),
            // cas x1, x2, [x0]; casal; casp x2, x3, x4, x5, [x0]
            (0xc8a1_7c02, "compare-and-swap of ARMv8.1"),
            (0xc8e1_fc02, "compare-and-swap of ARMv8.1"),
            (0x4822_7c04, "pair"),
            // aese v0.16b, v1.16b; sha256h q0, q1, v2.4s; sha1h s0, s1
            (0x4e28_4820, "AES"),
            (0x5e02_4020, "SHA"),
            (0x5e28_0820, "SHA"),
            // retaa; braa x1, x2
            (0xd65f_0bff, "authenticated"),
            (0xd71f_0822, "authenticated"),
        ];
        for (word, kind) in planted {
            let faults = faults(&[0xd503_201f, word]);
            assert!(matches!(faults.as_slice(), [fault] if fault.contains(kind)), "{word:#x}: {faults:?}");
        }
    }
}
