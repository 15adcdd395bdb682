//! Instructions with a memory operand, carried out on saved registers.

use crate::report::Frame;
use iced_x86::{Instruction, Mnemonic, OpKind, Register};

/// The saved state of a thread that faulted.
pub(super) struct Machine<'a> {
    registers: &'a mut [libc::greg_t],
    /// The sixteen XMM registers, where the saved state has them.
    xmm: Option<&'a mut [libc::_libc_xmmreg; 16]>,
}

const CARRY: u64 = 1;
const PARITY: u64 = 1 << 2;
const ADJUST: u64 = 1 << 4;
const ZERO: u64 = 1 << 6;
const SIGN: u64 = 1 << 7;
const OVERFLOW: u64 = 1 << 11;

/// Place of a general register in `gregs`.
fn index(r: Register) -> Option<usize> {
    let n = match r.full_register() {
        Register::RAX => libc::REG_RAX,
        Register::RBX => libc::REG_RBX,
        Register::RCX => libc::REG_RCX,
        Register::RDX => libc::REG_RDX,
        Register::RSI => libc::REG_RSI,
        Register::RDI => libc::REG_RDI,
        Register::RBP => libc::REG_RBP,
        Register::RSP => libc::REG_RSP,
        Register::R8 => libc::REG_R8,
        Register::R9 => libc::REG_R9,
        Register::R10 => libc::REG_R10,
        Register::R11 => libc::REG_R11,
        Register::R12 => libc::REG_R12,
        Register::R13 => libc::REG_R13,
        Register::R14 => libc::REG_R14,
        Register::R15 => libc::REG_R15,
        Register::RIP => libc::REG_RIP,
        _ => return None,
    };
    usize::try_from(n).ok()
}

fn is_high_byte(r: Register) -> bool {
    matches!(r, Register::AH | Register::BH | Register::CH | Register::DH)
}

/// The lowest `size` bytes.
fn cut(v: u64, size: usize) -> u64 {
    if size >= 8 { v } else { v & ((1 << (size * 8)) - 1) }
}

/// `v` of `size` bytes, extended with its sign.
fn extend(v: u64, size: usize) -> u64 {
    let shift = 64 - 8 * u32::try_from(size.clamp(1, 8)).unwrap_or(8);
    (v << shift).cast_signed().wrapping_shr(shift).cast_unsigned()
}

impl<'a> Machine<'a> {
    /// What the kernel saved.
    ///
    /// # Safety
    /// `context` is a signal handler's.
    pub(super) unsafe fn of(context: &'a mut libc::ucontext_t) -> Self {
        let floating = context.uc_mcontext.fpregs;
        // SAFETY: the kernel's pointer to the saved floating-point state, or null; it outlives the handler.
        let xmm = unsafe { floating.as_mut() }.map(|f| {
            // SAFETY: FXSAVE's image is 512 bytes; with XSAVE (the magic at 464) its header follows, whose first word says
            // which parts are restored from memory.
            unsafe {
                let image = (&raw mut *f).cast::<u8>();
                if image.add(464).cast::<u32>().read_unaligned() == 0x4650_5853 {
                    let parts = image.add(512).cast::<u64>();
                    parts.write_unaligned(parts.read_unaligned() | 2);
                }
            }
            &mut f._xmm
        });
        Self { registers: &mut context.uc_mcontext.gregs, xmm }
    }

    #[cfg(test)]
    pub(super) fn bare(registers: &'a mut [libc::greg_t; 23]) -> Self {
        Self { registers, xmm: None }
    }

    fn raw(&self, n: usize) -> u64 {
        self.registers.get(n).copied().unwrap_or(0).cast_unsigned()
    }

    fn put(&mut self, n: usize, v: u64) {
        if let Some(r) = self.registers.get_mut(n) {
            *r = v.cast_signed();
        }
    }

    /// Address of the instruction.
    pub(super) fn rip(&self) -> usize {
        usize::try_from(self.get(Register::RIP)).unwrap_or(0)
    }

    /// The registers, as a call from here would leave them for unwinding.
    pub(super) fn frame(&self) -> Frame {
        let word = |r| usize::try_from(self.get(r)).unwrap_or(0);
        Frame {
            caller: self.rip(),
            rsp: word(Register::RSP).wrapping_sub(8),
            preserved: [
                Register::RBX,
                Register::RBP,
                Register::RSI,
                Register::RDI,
                Register::R12,
                Register::R13,
                Register::R14,
                Register::R15,
            ]
            .map(word),
        }
    }

    /// Goes on behind an instruction of `length` bytes.
    pub(super) fn advance(&mut self, length: usize) {
        let next = self.rip() + length;
        self.set(Register::RIP, next as u64);
    }

    /// A general register, of its own size.
    pub(super) fn get(&self, r: Register) -> u64 {
        let Some(n) = index(r) else { return 0 };
        let v = self.raw(n);
        if is_high_byte(r) { v >> 8 & 0xFF } else { cut(v, r.size()) }
    }

    /// Sets a general register: 32 bits clear the upper half, 8 and 16 leave the rest.
    pub(super) fn set(&mut self, r: Register, v: u64) {
        let Some(n) = index(r) else { return };
        let old = self.raw(n);
        let new = match r.size() {
            _ if is_high_byte(r) => old & !0xFF00 | (v & 0xFF) << 8,
            1 => old & !0xFF | v & 0xFF,
            2 => old & !0xFFFF | v & 0xFFFF,
            4 => v & 0xFFFF_FFFF,
            _ => v,
        };
        self.put(n, new);
    }

    /// Address of the memory operand, without its segment's base.
    pub(super) fn address(&self, i: &Instruction) -> u64 {
        // What is relative to RIP comes from the decoder as an address.
        let base = match i.memory_base() {
            Register::None | Register::RIP | Register::EIP => 0,
            r => self.get(r),
        };
        let index = match i.memory_index() {
            Register::None => 0,
            r => self.get(r).wrapping_mul(u64::from(i.memory_index_scale())),
        };
        base.wrapping_add(index).wrapping_add(i.memory_displacement64())
    }

    fn flags(&mut self, clear: u64, set: u64) {
        let n = usize::try_from(libc::REG_EFL).unwrap_or(0);
        let old = self.raw(n);
        self.put(n, old & !clear | set);
    }

    /// The flags that a result has of itself.
    fn result_flags(v: u64, size: usize) -> u64 {
        let mut f = 0;
        if cut(v, size) == 0 {
            f |= ZERO;
        }
        if extend(v, size) >> 63 != 0 {
            f |= SIGN;
        }
        if (v & 0xFF).count_ones().is_multiple_of(2) {
            f |= PARITY;
        }
        f
    }

    fn logic(&mut self, v: u64, size: usize) {
        self.flags(CARRY | PARITY | ADJUST | ZERO | SIGN | OVERFLOW, Self::result_flags(v, size));
    }

    /// `a - b` or `a + b` with its flags.
    fn sum(&mut self, a: u64, b: u64, size: usize, minus: bool) -> u64 {
        let v = cut(if minus { a.wrapping_sub(b) } else { a.wrapping_add(b) }, size);
        let mut f = Self::result_flags(v, size);
        if if minus { a < b } else { v < a } {
            f |= CARRY;
        }
        if (a ^ b ^ v) & 0x10 != 0 {
            f |= ADJUST;
        }
        let overflow = if minus { (a ^ b) & (a ^ v) } else { !(a ^ b) & (a ^ v) };
        if extend(overflow, size) >> 63 != 0 {
            f |= OVERFLOW;
        }
        self.flags(CARRY | PARITY | ADJUST | ZERO | SIGN | OVERFLOW, f);
        v
    }

    /// The operand beside the memory operand: a register or an immediate.
    fn other(&self, i: &Instruction, n: u32, size: usize) -> u64 {
        match i.op_kind(n) {
            OpKind::Register => self.get(i.op_register(n)),
            _ => cut(i.immediate(n), size),
        }
    }

    fn set_xmm(&mut self, r: Register, value: u128) -> bool {
        let Some(x) = self.xmm.as_mut().filter(|_| r.is_xmm()).and_then(|x| x.get_mut(r.number())) else {
            return false;
        };
        for (n, word) in x.element.iter_mut().enumerate() {
            *word = u32::try_from(value >> (32 * n) & 0xFFFF_FFFF).unwrap_or(0);
        }
        true
    }

    /// Carries out `i`, whose memory operand reads `value`. False: it is none of those below, or would write.
    pub(super) fn execute(&mut self, i: &Instruction, value: u128) -> bool {
        let size = i.memory_size().size();
        let memory = u64::try_from(value & u128::from(u64::MAX)).unwrap_or(0);
        let reads = matches!(i.mnemonic(), Mnemonic::Cmp | Mnemonic::Test | Mnemonic::Mul | Mnemonic::Bt);
        if i.op_kind(0) != OpKind::Register && !reads {
            return false;
        }
        let to = i.op0_register();
        match i.mnemonic() {
            Mnemonic::Mov | Mnemonic::Movzx => self.set(to, memory),
            Mnemonic::Movsx | Mnemonic::Movsxd => self.set(to, cut(extend(memory, size), to.size())),
            Mnemonic::Cmp | Mnemonic::Sub => {
                let (a, b) = if i.op_kind(0) == OpKind::Memory {
                    (memory, self.other(i, 1, size))
                } else {
                    (self.get(to), memory)
                };
                let v = self.sum(a, b, size, true);
                if i.mnemonic() == Mnemonic::Sub {
                    self.set(to, v);
                }
            }
            Mnemonic::Add => {
                let v = self.sum(self.get(to), memory, size, false);
                self.set(to, v);
            }
            Mnemonic::Test => {
                let other = if i.op_kind(0) == OpKind::Memory { self.other(i, 1, size) } else { self.get(to) };
                self.logic(memory & other, size);
            }
            Mnemonic::And | Mnemonic::Or | Mnemonic::Xor => {
                let a = self.get(to);
                let v = match i.mnemonic() {
                    Mnemonic::And => a & memory,
                    Mnemonic::Or => a | memory,
                    _ => a ^ memory,
                };
                self.logic(v, size);
                self.set(to, v);
            }
            Mnemonic::Bt if i.op_kind(1) != OpKind::Register => {
                let bit = i.immediate(1) % (size as u64 * 8);
                self.flags(CARRY, memory >> bit & 1);
            }
            Mnemonic::Imul if i.op_count() >= 2 => {
                let b = if i.op_count() == 3 { extend(i.immediate(2), 8) } else { extend(self.get(to), size) };
                let wide = i128::from(extend(memory, size).cast_signed()) * i128::from(b.cast_signed());
                let v = u64::try_from(wide.cast_unsigned() & u128::from(u64::MAX)).unwrap_or(0);
                let fits = i128::from(extend(cut(v, size), size).cast_signed()) == wide;
                self.flags(CARRY | OVERFLOW, if fits { 0 } else { CARRY | OVERFLOW });
                self.set(to, cut(v, size));
            }
            Mnemonic::Mul if size >= 4 => {
                let (low, high) =
                    if size == 8 { (Register::RAX, Register::RDX) } else { (Register::EAX, Register::EDX) };
                let wide = u128::from(self.get(low)) * u128::from(memory);
                let part = |v: u128| cut(u64::try_from(v & u128::from(u64::MAX)).unwrap_or(0), size);
                let top = part(wide >> (size * 8));
                self.set(low, part(wide));
                self.set(high, top);
                self.flags(CARRY | OVERFLOW, if top == 0 { 0 } else { CARRY | OVERFLOW });
            }
            Mnemonic::Movd
            | Mnemonic::Movq
            | Mnemonic::Movups
            | Mnemonic::Movaps
            | Mnemonic::Movupd
            | Mnemonic::Movapd
            | Mnemonic::Movdqu
            | Mnemonic::Movdqa => return self.set_xmm(to, value),
            _ => return false,
        }
        true
    }
}
