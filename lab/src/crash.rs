//! Faults of the driver's code: what `foreign` carries out goes on; the rest is reported with the place in the image, the
//! registers and the call they came in.

use crate::report::{self, Rule};
use crate::unwind::{self, Registers};
use crate::{fault, foreign, irql, thunk};
use std::io::Write;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

const FAULT: Rule = Rule::new("bugcheck.fault", "bug checks 0x50, 0xD1, 0x3B: a fault in driver code");
const STACK: usize = 64 * 1024;
static INSTALLED: Once = Once::new();
static REPORTING: AtomicBool = AtomicBool::new(false);

/// Gives the calling thread an alternate signal stack, installs the handler once, and checks the thread-local layout.
pub fn prepare_thread() {
    thunk::check_thread();
    // SAFETY: an anonymous mapping that this thread uses until the process ends (lab threads are few).
    unsafe {
        let p = libc::mmap(
            std::ptr::null_mut(),
            STACK,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        );
        if p != libc::MAP_FAILED {
            let s = libc::stack_t { ss_sp: p, ss_flags: 0, ss_size: STACK };
            libc::sigaltstack(&raw const s, std::ptr::null_mut());
        }
    }
    INSTALLED.call_once(|| {
        foreign::prepare();
        for signal in [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGTRAP] {
            // SAFETY: the handler has the signature SA_SIGINFO asks for.
            unsafe {
                let mut a: libc::sigaction = std::mem::zeroed();
                a.sa_sigaction = on_fault as *const () as usize;
                a.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
                libc::sigaction(signal, &raw const a, std::ptr::null_mut());
            }
        }
    });
}

/// A fixed buffer, because a handler must not allocate.
struct Text {
    bytes: [u8; 2048],
    used: usize,
}

impl Write for Text {
    fn write(&mut self, from: &[u8]) -> std::io::Result<usize> {
        let room = self.bytes.get_mut(self.used..).unwrap_or(&mut []);
        let n = from.len().min(room.len());
        room.iter_mut().zip(from).for_each(|(to, b)| *to = *b);
        self.used += n;
        Ok(from.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

extern "C" fn on_fault(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel passes the context of the fault.
    if matches!(signal, libc::SIGSEGV | libc::SIGILL) && unsafe { foreign::emulate(context.cast()) } {
        return;
    }
    if REPORTING.swap(true, Ordering::SeqCst) {
        // A second fault, of this thread's report or of another thread: the first one's report ends the process.
        loop {
            std::hint::spin_loop();
        }
    }
    // SAFETY: the kernel passes both structures.
    let (address, registers) =
        unsafe { ((*info).si_addr() as usize, (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs) };
    let register =
        |n: libc::c_int| registers.get(usize::try_from(n).unwrap_or(0)).copied().unwrap_or(0).cast_unsigned();
    let name = match signal {
        libc::SIGSEGV => "access violation",
        libc::SIGBUS => "bus error",
        libc::SIGILL => "illegal or privileged instruction, or a panic's trap",
        libc::SIGFPE => "arithmetic fault",
        _ => "breakpoint",
    };
    let rip = register(libc::REG_RIP);
    let mut t = Text { bytes: [0; 2048], used: 0 };
    // A driver's access to special pool: the rule is the pool's. This may allocate, which code that faults in a driver does not.
    let pool = if signal == libc::SIGSEGV { crate::pool::special::fault(address) } else { None };
    let (rule, object, offset) = pool.unwrap_or((FAULT, String::new(), String::new()));
    // Writing to the buffer does not fail; what does not fit is cut.
    let _ = write!(
        t,
        "violation: {}\n  call:   {} at IRQL {}\n  rule:   {}\n",
        rule.name,
        report::current_call(),
        irql::current(),
        rule.source
    );
    if !object.is_empty() {
        let _ = writeln!(t, "  object: {object}");
    }
    let _ = write!(t, "  detail: {name}, address {address:#x}");
    if !offset.is_empty() {
        let _ = write!(t, " ({offset})");
    }
    let _ = write!(t, ", at ");
    let _ = place(&mut t, usize::try_from(rip).unwrap_or(0));
    let _ = write!(t, "\n  last call into the lab from ");
    let _ = place(&mut t, report::last_caller());
    let _ = writeln!(t);
    for (n, r) in [
        ("rax", libc::REG_RAX),
        ("rbx", libc::REG_RBX),
        ("rcx", libc::REG_RCX),
        ("rdx", libc::REG_RDX),
        ("rsi", libc::REG_RSI),
        ("rdi", libc::REG_RDI),
        ("rbp", libc::REG_RBP),
        ("rsp", libc::REG_RSP),
        ("r8", libc::REG_R8),
        ("r9", libc::REG_R9),
        ("r10", libc::REG_R10),
        ("r11", libc::REG_R11),
        ("r12", libc::REG_R12),
        ("r13", libc::REG_R13),
        ("r14", libc::REG_R14),
        ("r15", libc::REG_R15),
    ] {
        let _ = write!(t, "  {n} {:016x}", register(r));
        if matches!(n, "rdx" | "rsp" | "r11" | "r15") {
            let _ = writeln!(t);
        }
    }
    if report::in_image(usize::try_from(rip).unwrap_or(0)) {
        let _ = write!(t, "  code:  ");
        for i in 0..2 {
            let Some(w) = peek(rip + i * 8) else { break };
            for b in w.to_le_bytes() {
                let _ = write!(t, " {b:02x}");
            }
        }
        let _ = writeln!(t);
    }
    unwound(&mut t, rip, &register);
    stack(&mut t, register(libc::REG_RSP));
    if let Some(fault) = fault::injected() {
        let _ = writeln!(t, "  fault:  {fault}");
    }
    let bytes = t.bytes.get(..t.used).unwrap_or(&[]);
    // SAFETY: write and _exit are async-signal-safe.
    unsafe {
        libc::write(2, bytes.as_ptr().cast(), bytes.len());
        libc::_exit(report::EXIT_VIOLATION);
    }
}

/// The driver's frames by its unwind data: from the place of the fault, where that lies in the driver.
fn unwound(t: &mut Text, rip: u64, register: &dyn Fn(libc::c_int) -> u64) {
    /// By number, as the unwind data counts them.
    const ORDER: [libc::c_int; 16] = [
        libc::REG_RAX,
        libc::REG_RCX,
        libc::REG_RDX,
        libc::REG_RBX,
        libc::REG_RSP,
        libc::REG_RBP,
        libc::REG_RSI,
        libc::REG_RDI,
        libc::REG_R8,
        libc::REG_R9,
        libc::REG_R10,
        libc::REG_R11,
        libc::REG_R12,
        libc::REG_R13,
        libc::REG_R14,
        libc::REG_R15,
    ];
    let inside = report::in_image(usize::try_from(rip).unwrap_or(0));
    let (Some(image), true) = (unwind::image(), inside) else { return };
    let mut found = [0; 16];
    let (n, end) = image.walk(Registers { integer: ORDER.map(register), rip }, &peek, &mut found);
    let _ = write!(t, "  frames:");
    for offset in found.iter().take(n) {
        let _ = write!(t, " driver+{offset:#x}");
    }
    let _ = writeln!(t, "{}", if end == unwind::End::Broken { " (then broken)" } else { "" });
}

/// Words of the stack that look like return addresses in the image.
fn stack(t: &mut Text, rsp: u64) {
    let _ = write!(t, "  stack: ");
    let mut found = 0;
    for i in 0..256u64 {
        let Some(v) = peek(rsp.wrapping_add(i * 8)) else { break };
        let v = usize::try_from(v).unwrap_or(0);
        if report::in_image(v) {
            let _ = write!(t, " ");
            let _ = place(t, v);
            found += 1;
            if found == 16 {
                break;
            }
        }
    }
    let _ = writeln!(t);
}

/// A word of this process that may not be readable.
pub(crate) fn peek(at: u64) -> Option<u64> {
    let mut v = 0u64;
    let local = libc::iovec { iov_base: (&raw mut v).cast(), iov_len: 8 };
    let remote = libc::iovec { iov_base: at as *mut libc::c_void, iov_len: 8 };
    // SAFETY: the kernel copies into `v`, and fails rather than faults where `at` is not readable.
    let n = unsafe { libc::process_vm_readv(libc::getpid(), &raw const local, 1, &raw const remote, 1, 0) };
    (n == 8).then_some(v)
}

fn place(t: &mut Text, address: usize) -> std::io::Result<()> {
    match report::image_offset(address) {
        Some(o) => write!(t, "driver+{o:#x}"),
        None => write!(t, "{address:#x}"),
    }
}
