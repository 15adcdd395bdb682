//! What the WDK's headers inline: the shared data page, CR8, processor state through gs.
//!
//! A driver compiled from C reads these without a call. In a process each such instruction faults; `crash.rs` brings the
//! fault here, and the instruction is carried out on the saved registers. Only instructions of the driver's image are:
//! the thread was then in driver code, in none of the lab's functions, so whatever a call of the driver's might do
//! here (raise the IRQL, report) may be done in the handler too. The decoder's tables are built before the first driver
//! instruction runs ([`prepare`]); decoding allocates nothing.

mod operation;
mod processor;
mod shared;
#[cfg(test)]
mod tests;

use crate::report::{self, Rule, stop};
use iced_x86::{Code, Decoder, DecoderOptions, Instruction, OpKind, Register};
use operation::Machine;

/// An access of this kind that the lab does not provide, or an instruction that it does not carry out.
const UNSUPPORTED: Rule =
    Rule::new("foreign.unsupported", "docs/lab.md, Foreign drivers: the lab provides what is listed there");

/// Longest x86 instruction.
const LONGEST: usize = 15;

/// Builds the decoder's tables, which allocates: called before driver code runs.
pub fn prepare() {
    let mut d = Decoder::with_ip(64, &[0x90], 0, DecoderOptions::NONE);
    debug_assert_eq!(d.decode().code(), Code::Nopd);
}

/// Where a memory operand leads.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    /// Offset in the shared data page.
    Shared(usize),
    /// Offset in the processor control region, and whose it is.
    Processor(usize, usize),
}

fn place(instruction: &Instruction, machine: &Machine<'_>) -> Option<Place> {
    let address = machine.address(instruction);
    if instruction.memory_segment() == Register::GS {
        return Some(Place::Processor(usize::try_from(address).ok()?, crate::irql::processor()));
    }
    shared::offset(address).map(Place::Shared).or_else(|| {
        let (offset, cpu) = processor::offset(address)?;
        Some(Place::Processor(offset, cpu))
    })
}

/// Carries out the instruction that faulted, where it is one of these; false leaves the fault a fault.
///
/// # Safety
/// `context` is what the kernel passed to the handler of a fault of this thread.
pub unsafe fn emulate(context: *mut libc::ucontext_t) -> bool {
    // SAFETY: as our caller promises; nothing else reads the saved state while the handler runs.
    let mut machine = unsafe { Machine::of(&mut *context) };
    let rip = machine.rip();
    let Some(room) = report::room_in_image(rip) else { return false };
    // SAFETY: the bytes from the instruction on lie in the image, which was just executed here, so it is mapped.
    let code = unsafe { std::slice::from_raw_parts(rip as *const u8, room.min(LONGEST)) };
    let instruction = Decoder::with_ip(64, code, rip as u64, DecoderOptions::NONE).decode();
    match instruction.code() {
        Code::Mov_r64_cr if instruction.op1_register() == Register::CR8 => {
            machine.set(instruction.op0_register(), u64::from(crate::irql::current()));
        }
        Code::Mov_cr_r64 if instruction.op0_register() == Register::CR8 => {
            let level = machine.get(instruction.op1_register());
            let _c = report::InCall::at_instruction("mov cr8", machine.frame());
            processor::set_irql(level);
        }
        _ => {
            let Some(at) = place(&instruction, &machine) else { return false };
            let _c = report::InCall::at_instruction("an inlined access", machine.frame());
            access(&instruction, &mut machine, &at);
        }
    }
    machine.advance(instruction.len());
    true
}

fn access(instruction: &Instruction, machine: &mut Machine<'_>, at: &Place) {
    let what = instruction.mnemonic();
    if (0..instruction.op_count()).all(|i| instruction.op_kind(i) != OpKind::Memory) {
        // A string instruction or a push.
        stop(UNSUPPORTED, &format!("{at:x?} by {what:?}, which the lab does not carry out"));
    }
    let size = instruction.memory_size().size();
    let value = match at {
        Place::Shared(offset) => shared::read(*offset, size),
        Place::Processor(offset, cpu) => processor::read(*offset, *cpu, size),
    };
    let Some(value) = value else {
        stop(UNSUPPORTED, &format!("{at:x?}, {size} bytes: no field that the lab provides"));
    };
    if !machine.execute(instruction, value) {
        stop(UNSUPPORTED, &format!("{at:x?} by {what:?}, which the lab does not carry out"));
    }
}
