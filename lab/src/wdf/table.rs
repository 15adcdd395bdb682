//! The function table that WdfVersionBind hands out.
//!
//! Each entry is a stub of `thunk`: it keeps the driver's return address where reports look for it and jumps to the lab's
//! function, or, for a function the lab does not have, to one that stops and names it.

use super::table_names::{COUNT, NAMES};
use crate::report::{InCall, Rule, stop};
use crate::thunk::{self, STUB};
use std::sync::OnceLock;

const NOT_IMPLEMENTED: Rule =
    Rule::new("wdf.not-implemented", "the lab (docs/lab.md): what it does not implement stops it by name");
const BAD_CALL: Rule =
    Rule::new("wdf.table-too-short", "WDF_BIND_INFO.FuncCount: the client's version has no such function");

/// A function of the lab's by its WDF name.
pub type Entry = (&'static str, usize);

/// Builds a list of [`Entry`] from `"WdfName" => function`.
macro_rules! entries {
    ($($name:literal => $f:path),* $(,)?) => {
        vec![$(($name, $f as *const () as usize)),*]
    };
}
pub(super) use entries;

struct Table {
    entries: Vec<usize>,
    implemented: usize,
}

static TABLE: OnceLock<Table> = OnceLock::new();

unsafe extern "win64" fn missing(index: usize) -> usize {
    let name = NAMES.get(index).copied().unwrap_or("(no such index)");
    let _call = InCall::enter(name);
    stop(NOT_IMPLEMENTED, &format!("the lab has no {name} (index {index})"))
}

unsafe extern "win64" fn beyond() -> usize {
    stop(BAD_CALL, "a call through an index at or above the client's FuncCount")
}

/// Machine code for a list of targets; returns the address of each. Memory stays for the life of the process.
fn emit(codes: &[Vec<u8>]) -> Vec<usize> {
    let size = (codes.len() * STUB).next_multiple_of(4096);
    // SAFETY: a fresh anonymous mapping, filled before it is made executable and never written again.
    unsafe {
        let p = libc::mmap(
            std::ptr::null_mut(),
            size,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        );
        if p == libc::MAP_FAILED {
            stop(NOT_IMPLEMENTED, "no memory for the function table");
        }
        let base: *mut u8 = p.cast();
        let mut at = Vec::with_capacity(codes.len());
        for (i, c) in codes.iter().enumerate() {
            let to = base.add(i * STUB);
            to.copy_from_nonoverlapping(c.as_ptr(), c.len().min(STUB));
            at.push(to.addr());
        }
        if libc::mprotect(p, size, libc::PROT_READ | libc::PROT_EXEC) != 0 {
            stop(NOT_IMPLEMENTED, "the host forbids generated code");
        }
        at
    }
}

fn table() -> &'static Table {
    TABLE.get_or_init(|| {
        let mut targets = [0usize; COUNT];
        let mut implemented = 0;
        for (name, address) in super::entries() {
            let i = NAMES.iter().position(|n| *n == name);
            match i.and_then(|i| targets.get_mut(i)) {
                Some(t) if *t == 0 => {
                    *t = address;
                    implemented += 1;
                }
                Some(_) => stop(NOT_IMPLEMENTED, &format!("the lab lists {name} twice")),
                None => stop(NOT_IMPLEMENTED, &format!("the lab lists {name}, which is no WDF function")),
            }
        }
        let mut codes: Vec<Vec<u8>> = targets
            .iter()
            .zip(0u32..)
            .map(
                |(&t, i)| {
                    if t == 0 { thunk::stub(Some(i), missing as *const () as usize) } else { thunk::stub(None, t) }
                },
            )
            .collect();
        codes.push(thunk::stub(None, beyond as *const () as usize));
        Table { entries: emit(&codes), implemented }
    })
}

/// Number of functions the lab implements.
#[must_use]
pub fn implemented() -> usize {
    table().implemented
}

/// The table for a client with `count` functions. It lives for ever.
#[must_use]
pub fn for_client(count: usize) -> *const usize {
    let t = table();
    let beyond = t.entries.last().copied().unwrap_or(0);
    // Entries past the client's count are reachable only by a driver that indexes wrongly: they stop it.
    let v: Vec<usize> = t.entries.iter().enumerate().map(|(i, &e)| if i < count { e } else { beyond }).collect();
    Vec::leak(v).as_ptr()
}
