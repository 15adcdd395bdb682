//! Violations: what a driver did against the rules of NT, and how the lab stops.
//!
//! A rule has a name (`irql.too-high`, `pool.leak`, `wsk.release-missing`, ...) and a source (the documentation page or
//! header that states it). A violation names the rule, the call in which it was seen, the driver address that made the
//! call where that is known, who allocated the object that it concerns, and what was expected and what came. By default
//! the first violation prints its report and ends the process with exit status [`EXIT_VIOLATION`]: a driver that broke a rule would have brought Windows down.

use std::cell::Cell;
use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Exit status of a lab that stopped on a violation.
pub const EXIT_VIOLATION: i32 = 70;

/// One rule of NT's. Declare them as constants beside the check: `const R: Rule = Rule::new("pool.leak", "ExFreePoolWithTag")`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Dotted name, lower case: `family.what`.
    pub name: &'static str,
    /// Where the rule is written: a WDK page, header or NetAdapterCx source name.
    pub source: &'static str,
}

impl Rule {
    /// A rule with its source.
    #[must_use]
    pub const fn new(name: &'static str, source: &'static str) -> Self {
        Self { name, source }
    }
}

/// As often a violation is noted when it comes again and again.
const REPEATS: usize = 16;

static COLLECT: AtomicBool = AtomicBool::new(false);
static TEXTS: Mutex<Vec<String>> = Mutex::new(Vec::new());

thread_local! {
    static CALL: Cell<&'static str> = const { Cell::new("") };
    /// The driver's last call through an import or a table; written by the stubs of `thunk.rs`.
    static FRAME: Cell<Frame> = const { Cell::new(Frame::NONE) };
}

/// The driver's registers at a call into the lab, in the order in which the stubs of `thunk.rs` note them.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Frame {
    /// Return address of the call; 0: none.
    pub caller: usize,
    /// `rsp` at the stub: the return address lies there.
    pub rsp: usize,
    /// What a callee has to preserve, and so what unwinding needs: rbx, rbp, rsi, rdi, r12 to r15.
    pub preserved: [usize; 8],
}

impl Frame {
    const NONE: Self = Self { caller: 0, rsp: 0, preserved: [0; 8] };
}

static IMAGE_BASE: AtomicUsize = AtomicUsize::new(0);
static IMAGE_SIZE: AtomicUsize = AtomicUsize::new(0);

/// Tells reports where the driver's image lies, so that addresses in it are printed as offsets.
pub fn set_image(base: usize, size: usize) {
    IMAGE_BASE.store(base, Ordering::SeqCst);
    IMAGE_SIZE.store(size, Ordering::SeqCst);
}

/// Whether an address lies in the driver's image.
#[must_use]
pub fn in_image(address: usize) -> bool {
    let base = IMAGE_BASE.load(Ordering::Relaxed);
    base != 0 && address.wrapping_sub(base) < IMAGE_SIZE.load(Ordering::Relaxed)
}

/// Bytes from an address in the driver's image to its end.
#[must_use]
pub fn room_in_image(address: usize) -> Option<usize> {
    Some(IMAGE_SIZE.load(Ordering::Relaxed) - image_offset(address)?)
}

/// The offset of an address in the driver's image.
#[must_use]
pub fn image_offset(address: usize) -> Option<usize> {
    in_image(address).then(|| address - IMAGE_BASE.load(Ordering::Relaxed))
}

/// An address for a report: `driver+0x1234` inside the image.
#[must_use]
pub fn address_text(address: usize) -> String {
    if in_image(address) {
        format!("driver+{:#x}", address - IMAGE_BASE.load(Ordering::Relaxed))
    } else if address == 0 {
        "unknown".to_owned()
    } else {
        format!("{address:#x}")
    }
}

/// A return address for a report. One outside a loaded image is a routine of the lab's: the driver's last instruction was a jump.
fn caller_text(address: usize) -> String {
    if in_image(address) || IMAGE_BASE.load(Ordering::Relaxed) == 0 {
        address_text(address)
    } else {
        "a tail call of the driver's".to_owned()
    }
}

/// Where the stubs note the driver's registers: the thread's [`Frame`].
pub(crate) fn caller_cell() -> *mut usize {
    FRAME.with(Cell::as_ptr).cast()
}

/// The registers of the driver's last call. They are those of the call this thread is in only until the lab calls the driver again.
#[must_use]
pub fn last_frame() -> Frame {
    FRAME.get()
}

/// Forgets the last caller: what follows is not the doing of that call.
pub fn forget_caller() {
    FRAME.set(Frame::NONE);
}

/// Return address of the driver's last call through an import, 0 when there was none.
#[must_use]
pub fn last_caller() -> usize {
    FRAME.get().caller
}

/// Names the DDI this thread is in until the guard drops; reports quote it.
pub struct InCall(&'static str);

impl InCall {
    /// Enters `name`.
    #[must_use]
    pub fn enter(name: &'static str) -> Self {
        crate::ke::stack::check(name);
        crate::ke::sched::point(name);
        Self(CALL.replace(name))
    }

    /// Enters what the driver does without a call: `frame` is as of a call that would return to the instruction. Comes on a
    /// signal stack.
    pub(crate) fn at_instruction(name: &'static str, frame: Frame) -> Self {
        FRAME.set(frame);
        Self(CALL.replace(name))
    }
}

impl Drop for InCall {
    fn drop(&mut self) {
        crate::ke::sched::point(CALL.replace(self.0));
    }
}

/// The DDI this thread is in, or an empty string.
#[must_use]
pub fn current_call() -> &'static str {
    CALL.get()
}

/// A call of the driver's: what allocated an object, or freed it.
#[derive(Debug, Clone, Copy)]
pub struct Origin {
    /// The call, empty where the lab acted by itself.
    name: &'static str,
    /// The driver's return address, 0 where that is not known.
    from: usize,
}

impl Origin {
    /// No call.
    pub const NONE: Self = Self { name: "", from: 0 };

    /// The call that this thread is in.
    #[must_use]
    pub fn here() -> Self {
        Self { name: current_call(), from: last_caller() }
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Self { name: "", .. } => f.write_str("the lab"),
            Self { name, from: 0 } => f.write_str(name),
            Self { name, from } => write!(f, "{name} from {}", caller_text(from)),
        }
    }
}

/// Collect violations instead of ending the process (used at unload, to print all leaks at once, and by unit tests).
pub fn collect(on: bool) {
    COLLECT.store(on, Ordering::SeqCst);
}

/// The texts collected so far.
#[must_use]
pub fn collected() -> Vec<String> {
    TEXTS.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
}

/// Records a violation; ends the process unless [`collect`] is on.
pub fn record(rule: Rule, detail: &str) {
    record_of(rule, "", detail);
}

/// [`record`], where the violation concerns an object: the report says who allocated it. `address` is anything in a block of the pool, of
/// the driver's or of the lab's; an address elsewhere adds nothing.
pub fn record_about(rule: Rule, address: usize, detail: &str) {
    record_of(rule, &crate::pool::owner(address).unwrap_or_default(), detail);
}

/// [`record_about`] for a description that is at hand; empty for none.
pub(crate) fn record_of(rule: Rule, object: &str, detail: &str) {
    let call = current_call();
    let call = if call.is_empty() { "(no call)" } else { call };
    let caller = last_caller();
    let at = if caller == 0 { String::new() } else { format!("  caller: {}\n", caller_text(caller)) };
    let irql = crate::irql::current();
    let stack = crate::unwind::current_text().map_or_else(String::new, |t| format!("  stack:  {t}\n"));
    let fault = crate::fault::injected().map_or_else(String::new, |t| format!("  fault:  {t}\n"));
    let object = if object.is_empty() { String::new() } else { format!("  object: {object}\n") };
    let text = format!(
        "violation: {}\n  call:   {call} at IRQL {irql}\n{at}{stack}  rule:   {}\n{object}  detail: {detail}\n{fault}",
        rule.name, rule.source
    );
    {
        let mut texts = TEXTS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // While violations are collected, one that repeats itself for ever must not drown the others.
        if texts.len() < REPEATS || texts.iter().rev().take(REPEATS).any(|t| *t != text) {
            // Nothing is left to do where stderr itself fails.
            let _ = std::io::stderr().lock().write_all(text.as_bytes());
            texts.push(text);
        }
    }
    if !COLLECT.load(Ordering::SeqCst) {
        exit_now(EXIT_VIOLATION);
    }
}

/// Records a violation and never returns: for places where going on would be undefined behaviour.
pub fn stop(rule: Rule, detail: &str) -> ! {
    collect(false);
    record(rule, detail);
    exit_now(EXIT_VIOLATION)
}

/// [`stop`], saying who allocated the object; see [`record_about`].
pub fn stop_about(rule: Rule, address: usize, detail: &str) -> ! {
    collect(false);
    record_about(rule, address, detail);
    exit_now(EXIT_VIOLATION)
}

/// Ends the process at once, without destructors or exit handlers: other threads still run driver code.
pub fn exit_now(code: i32) -> ! {
    let _ = std::io::stdout().flush();
    // SAFETY: _exit takes any value and does not return.
    unsafe { libc::_exit(code) }
}
