//! Unwinding of the driver's stack by the unwind data of its own image (.pdata and .xdata).
//!
//! It works on a copy of the image made before the driver ran, so that it also works in a report about an image that has been taken
//! away. Epilogues are not recognised: a walk begins at a call into the lab, which stands in none. Source of the format: "x64
//! exception handling" (Microsoft Learn) and `RtlVirtualUnwind`.

use crate::ke;
use crate::report::{self, Frame};
use std::fmt::Write;
use std::sync::OnceLock;

/// As many return addresses as a walk gives at most.
pub const DEPTH: usize = 48;

const RSP: usize = 4;
/// `UNW_FLAG_CHAININFO`.
const CHAINED: u8 = 4;

/// Where a walk stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// At a return address outside the image: the driver's part of the stack is whole.
    Left,
    /// At unwind data that is none, or at a word of the stack that cannot be read.
    Broken,
    /// At [`DEPTH`].
    Deep,
}

/// Integer registers by number (rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8 to r15) and the instruction pointer.
#[derive(Debug, Clone, Copy, Default)]
pub struct Registers {
    /// By number; only those that a callee preserves are ever looked at.
    pub integer: [u64; 16],
    /// Instruction pointer.
    pub rip: u64,
}

impl Registers {
    /// As they are after the call that a stub noted has returned.
    #[must_use]
    pub fn after_call(f: &Frame) -> Self {
        let mut r = Self { rip: f.caller as u64, ..Self::default() };
        for (number, value) in [3usize, 5, 6, 7, 12, 13, 14, 15].into_iter().zip(f.preserved) {
            r.set(number, value as u64);
        }
        r.set(RSP, f.rsp as u64 + 8);
        r
    }

    fn get(&self, number: usize) -> u64 {
        self.integer.get(number).copied().unwrap_or(0)
    }

    fn set(&mut self, number: usize, value: u64) {
        if let Some(place) = self.integer.get_mut(number) {
            *place = value;
        }
    }

    fn rsp(&self) -> u64 {
        self.get(RSP)
    }
}

/// A loaded image, as far as unwinding is concerned.
#[derive(Debug)]
pub struct Image {
    base: u64,
    bytes: Vec<u8>,
    table: (usize, usize),
}

/// One entry of the function table: begin, end, unwind data, as offsets in the image.
type Function = (u32, u32, u32);

impl Image {
    /// `bytes` is the image as it lies at `base`, `table` offset and size of its exception directory.
    #[must_use]
    pub fn new(base: usize, bytes: Vec<u8>, table: (usize, usize)) -> Self {
        Self { base: base as u64, bytes, table }
    }

    /// The function table, in its order.
    pub fn functions(&self) -> impl Iterator<Item = Function> + '_ {
        (0..self.table.1 / 12).filter_map(|i| self.function_at(self.table.0 + 12 * i))
    }

    fn function_at(&self, at: usize) -> Option<Function> {
        Some((self.word(at)?, self.word(at + 4)?, self.word(at + 8)?))
    }

    /// The function with this offset in the image.
    fn function(&self, offset: u32) -> Option<Function> {
        let (mut low, mut high) = (0, self.table.1 / 12);
        while low < high {
            let middle = low.midpoint(high);
            let f = self.function_at(self.table.0 + 12 * middle)?;
            if offset < f.0 {
                high = middle;
            } else if offset >= f.1 {
                low = middle + 1;
            } else {
                return Some(f);
            }
        }
        None
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }

    fn half(&self, at: usize) -> Option<u64> {
        Some(u64::from(u16::from_le_bytes(self.bytes.get(at..at.checked_add(2)?)?.try_into().ok()?)))
    }

    fn word(&self, at: usize) -> Option<u32> {
        Some(u32::from_le_bytes(self.bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
    }

    /// The offset of an address in the image.
    fn offset(&self, address: u64) -> Option<u32> {
        let o = address.wrapping_sub(self.base);
        u32::try_from(o).ok().filter(|&o| (o as usize) < self.bytes.len())
    }

    /// Walks a stack from `r`, reading it with `read`: writes the offset of each address in the image, `r.rip` first, to `found` and
    /// returns how many there are.
    pub fn walk(&self, mut r: Registers, read: &dyn Fn(u64) -> Option<u64>, found: &mut [u32]) -> (usize, End) {
        let mut n = 0;
        loop {
            let Some(at) = self.offset(r.rip) else { return (n, End::Left) };
            let Some(place) = found.get_mut(n) else { return (n, End::Deep) };
            *place = at;
            n += 1;
            let before = r.rsp();
            if self.step(at, n == 1, &mut r, read).is_none() || r.rsp() <= before {
                return (n, End::Broken);
            }
        }
    }

    /// From a frame to its caller's.
    fn step(&self, at: u32, first: bool, r: &mut Registers, read: &dyn Fn(u64) -> Option<u64>) -> Option<()> {
        // A call may be a function's last instruction: its return address then lies behind the function. The first address may be
        // that of an instruction which faulted.
        let function = self.function(at.checked_sub(1)?).or_else(|| self.function(at).filter(|_| first));
        if let Some((begin, _, data)) = function
            && self.undo(data as usize, Some(at - begin), r, read, 0)?
        {
            return Some(());
        }
        // No entry: a leaf, which has not touched rsp.
        r.rip = read(r.rsp())?;
        r.set(RSP, r.rsp() + 8);
        Some(())
    }

    /// Undoes a prologue. `reached` is the offset in the function, or `None` where all of the prologue has run. True when it ended
    /// at a machine frame, which already says where the interrupted code was.
    fn undo(
        &self,
        at: usize,
        reached: Option<u32>,
        r: &mut Registers,
        read: &dyn Fn(u64) -> Option<u64>,
        depth: u32,
    ) -> Option<bool> {
        let head = self.byte(at)?;
        let (version, flags) = (head & 7, head >> 3);
        if !(1..=2).contains(&version) || depth > 32 {
            return None;
        }
        let count = usize::from(self.byte(at + 2)?);
        let pointer = self.byte(at + 3)?;
        let (pointer, pointer_offset) = (usize::from(pointer & 15), u64::from(pointer >> 4) * 16);
        let run = |code_offset: u8| reached.is_none_or(|r| r >= u32::from(code_offset));
        // Saved registers lie relative to where rsp stood after the prologue; a frame pointer keeps that place.
        let established = pointer != 0
            && (0..count).any(|i| {
                let code = at + 4 + 2 * i;
                self.byte(code + 1).is_some_and(|b| b & 15 == 3) && self.byte(code).is_some_and(run)
            });
        let frame = if established { r.get(pointer).wrapping_sub(pointer_offset) } else { r.rsp() };
        let mut i = 0;
        while i < count {
            let code = at + 4 + 2 * i;
            let (offset, operation) = (self.byte(code)?, self.byte(code + 1)?);
            let (operation, info) = (operation & 15, usize::from(operation >> 4));
            let near = || self.half(code + 2);
            let far = || self.word(code + 2).map(u64::from);
            let slots = match (operation, info) {
                (1, 0) | (4 | 8, _) => 2,
                (1, _) | (5 | 9, _) => 3,
                _ => 1,
            };
            i += slots;
            if !run(offset) && operation != 6 {
                continue;
            }
            match (operation, info) {
                // UWOP_PUSH_NONVOL
                (0, _) => {
                    let value = read(r.rsp())?;
                    let above = r.rsp() + 8;
                    r.set(info, value);
                    r.set(RSP, above);
                }
                // UWOP_ALLOC_LARGE
                (1, 0) => r.set(RSP, r.rsp() + near()? * 8),
                (1, 1) => r.set(RSP, r.rsp() + far()?),
                // UWOP_ALLOC_SMALL
                (2, _) => r.set(RSP, r.rsp() + info as u64 * 8 + 8),
                // UWOP_SET_FPREG
                (3, _) => r.set(RSP, frame),
                // UWOP_SAVE_NONVOL, UWOP_SAVE_NONVOL_FAR
                (4, _) => r.set(info, read(frame + near()? * 8)?),
                (5, _) => r.set(info, read(frame + far()?)?),
                // UWOP_EPILOG, and registers that no walk needs: UWOP_SAVE_XMM128, UWOP_SAVE_XMM128_FAR
                (6 | 8 | 9, _) => {}
                // UWOP_PUSH_MACHFRAME, with an error code below it or without
                (10, 0 | 1) => {
                    let base = r.rsp() + 8 * info as u64;
                    r.rip = read(base)?;
                    r.set(RSP, read(base + 24)?);
                    return Some(true);
                }
                _ => return None,
            }
        }
        if flags & CHAINED != 0 {
            let next = self.function_at(at + 4 + 2 * count.next_multiple_of(2))?;
            return self.undo(next.2 as usize, None, r, read, depth + 1);
        }
        Some(false)
    }
}

static IMAGE: OnceLock<Image> = OnceLock::new();

/// The driver's image, once for the process.
pub fn set_image(image: Image) {
    // A process loads one driver; tests of the loader load more, and unwind none.
    let _ = IMAGE.set(image);
}

/// The driver's image, where one is loaded.
#[must_use]
pub fn image() -> Option<&'static Image> {
    IMAGE.get()
}

/// The driver's return addresses in the call that this thread is in, as offsets in the image, innermost first: as far as the routine of
/// the driver's that the lab called last.
#[must_use]
pub fn current() -> Option<(Vec<u32>, End)> {
    let frame = report::last_frame();
    let end = ke::routine_end()?;
    let here = 0u8;
    // A frame below this one is of a call that has returned.
    if frame.caller == 0 || frame.rsp <= (&raw const here).addr() || frame.rsp >= end {
        return None;
    }
    let read = |at: u64| {
        let at = usize::try_from(at).ok()?;
        let inside = at.is_multiple_of(8) && at >= frame.rsp && at + 8 <= end;
        // SAFETY: between the driver's stack pointer and the frame of this thread that called the driver lies this thread's stack.
        inside.then(|| unsafe { (at as *const u64).read_volatile() })
    };
    let mut found = [0; DEPTH];
    let (n, end) = image()?.walk(Registers::after_call(&frame), &read, &mut found);
    Some((found.get(..n)?.to_vec(), end))
}

/// [`current`] for a report: `driver+0x1234 driver+0x5678 ...`.
#[must_use]
pub fn current_text() -> Option<String> {
    let (found, _) = current()?;
    let mut text = String::new();
    for (i, offset) in found.iter().enumerate() {
        // Writing to a string does not fail.
        let _ = write!(text, "{}driver+{offset:#x}", if i == 0 { "" } else { " " });
    }
    Some(text)
}

#[cfg(test)]
mod tests;
