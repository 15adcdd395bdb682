//! Stubs between the driver and the lab: each notes the driver's return address and registers, for reports and for unwinding, and
//! jumps to the function.
//!
//! They go to a thread-local cell of `report`. The lab is an executable, so the cell stands at the same distance from the thread
//! pointer in every thread; [`check_thread`] makes sure of it.

use crate::{Export, all_exports, report};
use std::arch::asm;
use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, PoisonError};

/// Bytes of a stub.
pub const STUB: usize = 128;
const CHUNK: usize = 64 * 1024;

/// Called so often, or with arguments in registers that a stub would spoil: no stub.
const PLAIN: [&str; 8] =
    ["memcpy", "memmove", "memset", "memcmp", "__chkstk", "KeGetCurrentIrql", "RtlCopyMemory", "RtlMoveMemory"];

fn thread_pointer() -> usize {
    let v: usize;
    // SAFETY: on x86_64 Linux the word at fs:0 is the thread pointer itself.
    unsafe { asm!("mov {}, fs:0", out(reg) v, options(nostack, preserves_flags, readonly)) };
    v
}

fn distance() -> i32 {
    static DISTANCE: OnceLock<i32> = OnceLock::new();
    *DISTANCE.get_or_init(|| {
        let d = (report::caller_cell() as usize).wrapping_sub(thread_pointer()).cast_signed();
        i32::try_from(d).unwrap_or(0)
    })
}

/// Ends the process when this thread's cell stands elsewhere than the stubs assume.
pub fn check_thread() {
    let here = (report::caller_cell() as usize).wrapping_sub(thread_pointer()).cast_signed();
    if i32::try_from(here).ok() != Some(distance()) {
        eprintln!("dco-lab: thread-local storage is not where the import stubs expect it");
        std::process::abort();
    }
}

/// The machine code of a stub, [`STUB`] bytes: notes a [`report::Frame`], puts `index` into ecx where there is one, and jumps.
#[must_use]
pub fn stub(index: Option<u32>, target: usize) -> Vec<u8> {
    /// rsp, then rbx, rbp, rsi, rdi, r12 to r15: `Frame` after the return address.
    const NOTED: [u8; 9] = [4, 3, 5, 6, 7, 12, 13, 14, 15];
    let mut c = Vec::with_capacity(STUB);
    c.extend([0x48, 0x8B, 0x04, 0x24]); // mov rax, [rsp]
    c.extend([0x64, 0x48, 0x89, 0x04, 0x25]); // mov fs:[distance], rax
    c.extend(distance().to_le_bytes());
    for (register, place) in NOTED.into_iter().zip(1..) {
        // mov fs:[distance + 8 * place], register
        c.extend([0x64, 0x48 | (register & 8) >> 1, 0x89, (register & 7) << 3 | 4, 0x25]);
        c.extend((distance() + 8 * place).to_le_bytes());
    }
    if let Some(i) = index {
        c.push(0xB9); // mov ecx, index
        c.extend(i.to_le_bytes());
    }
    c.extend([0x48, 0xB8]); // mov rax, target
    c.extend(target.to_le_bytes());
    c.extend([0xFF, 0xE0]); // jmp rax
    c.resize(STUB, 0xCC);
    c
}

struct Code {
    page: usize,
    used: usize,
    known: HashMap<usize, usize>,
}

static CODE: Mutex<Option<Code>> = Mutex::new(None);

/// A stub for the function at `address`; the address itself where no stub can be made. The same address gives the same stub.
#[must_use]
pub fn wrap(address: usize) -> usize {
    let mut guard = CODE.lock().unwrap_or_else(PoisonError::into_inner);
    let code = guard.get_or_insert_with(|| Code { page: 0, used: CHUNK, known: HashMap::new() });
    if let Some(&s) = code.known.get(&address) {
        return s;
    }
    if code.used + STUB > CHUNK {
        // SAFETY: an anonymous mapping; nothing else is told of it.
        let p = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                CHUNK,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if p == libc::MAP_FAILED {
            return address;
        }
        code.page = p as usize;
        code.used = 0;
    }
    let stub = stub(None, address);
    let at = code.page + code.used;
    // Other threads may run stubs of this page, so it must stay executable; it is made writable through a second look
    // only before the first use: stubs are made while the driver is loaded, and tables once.
    // SAFETY: the chunk is ours; the place is unused.
    unsafe {
        let page = code.page as *mut libc::c_void;
        libc::mprotect(page, CHUNK, libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC);
        std::ptr::copy_nonoverlapping(stub.as_ptr(), at as *mut u8, STUB);
        libc::mprotect(page, CHUNK, libc::PROT_READ | libc::PROT_EXEC);
    }
    code.used += STUB;
    code.known.insert(address, at);
    at
}

/// Executable ranges of this process, to tell functions from data.
fn executable(address: usize) -> bool {
    static RANGES: OnceLock<Vec<(usize, usize)>> = OnceLock::new();
    let ranges = RANGES.get_or_init(|| {
        let text = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
        text.lines()
            .filter_map(|l| {
                let mut w = l.split_whitespace();
                let (range, protection) = (w.next()?, w.next()?);
                let (a, b) = range.split_once('-')?;
                protection
                    .contains('x')
                    .then_some((usize::from_str_radix(a, 16).ok()?, usize::from_str_radix(b, 16).ok()?))
            })
            .collect()
    });
    ranges.iter().any(|&(a, b)| address >= a && address < b)
}

fn registry() -> &'static HashMap<(&'static str, &'static str), Export> {
    static MAP: OnceLock<HashMap<(&'static str, &'static str), Export>> = OnceLock::new();
    MAP.get_or_init(|| all_exports().into_iter().map(|e| ((e.module, e.name), e)).collect())
}

/// What an import binds to: a stub for a function, the item itself for data. The HAL is part of the kernel.
#[must_use]
pub fn address_of(module: &str, name: &str) -> Option<usize> {
    let lower = module.to_ascii_lowercase();
    let module = if lower == "hal.dll" || lower == "ntoskrnl" { "ntoskrnl.exe" } else { lower.as_str() };
    let e = registry().iter().find(|((m, n), _)| *m == module && *n == name)?.1;
    Some(if PLAIN.contains(&e.name) || !executable(e.address) { e.address } else { wrap(e.address) })
}

/// Number of exports.
#[must_use]
pub fn export_count() -> usize {
    registry().len()
}
