//! Fault injection: calls that may fail on Windows fail here, one call stack after another.
//!
//! A call that may fail asks [`fails`] once its contract has been checked and before it has done anything, and then fails as documented.
//! What identifies a failure is the call, the routines of the driver's that the thread is in, and the driver's return addresses: the
//! same code reached the same way is one failure. With `--fault-log FILE` the first stack that FILE does not have fails, once, and is
//! written there; so run after run of one scenario fails each of its stacks in turn. Several labs may share a FILE.
//!
//! `--fault-at STACK` fails that one stack, once, and writes nothing: it repeats a run.

use crate::{ke, report, unwind};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// How the driver reaches a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// It imports it by name.
    Import,
    /// Through a table: KMDF's, NetAdapterCx's, one of WSK's.
    Table,
}

/// Every call that asks [`fails`]. `tests` holds this list against the source.
pub const CALLS: &[(By, &[&str])] = &[
    (
        By::Import,
        &[
            "ExAllocatePool2",
            "ExAllocatePool3",
            "ExAllocatePoolWithTag",
            "ExAllocatePoolWithTagPriority",
            "ExAllocatePoolZero",
            "ExAllocateCacheAwareRundownProtection",
            "ExUuidCreate",
            "EtwRegister",
            "IoAllocateIrp",
            "IoAllocateMdl",
            "IoAllocateWorkItem",
            "IoCreateDevice",
            "IoCreateSymbolicLink",
            "IoRegisterDeviceInterface",
            "IoSetDeviceInterfaceState",
            "MmMapLockedPagesSpecifyCache",
            "PsCreateSystemThread",
            "RtlStringFromGUID",
            "WdfVersionBind",
            "WdfVersionBindClass",
            "WskRegister",
            "WskCaptureProviderNPI",
            "BCryptOpenAlgorithmProvider",
            "BCryptSetProperty",
            "BCryptGetProperty",
            "BCryptGenRandom",
            "BCryptGenerateSymmetricKey",
            "BCryptImportKey",
            "BCryptEncrypt",
            "BCryptDecrypt",
        ],
    ),
    (
        By::Table,
        &[
            "WdfDriverCreate",
            "WdfDriverRetrieveVersionString",
            "WdfDriverOpenParametersRegistryKey",
            "WdfControlDeviceInitAllocate",
            "WdfDeviceInitAssignName",
            "WdfDeviceInitAssignSDDLString",
            "WdfDeviceCreate",
            "WdfDeviceCreateSymbolicLink",
            "WdfDeviceCreateDeviceInterface",
            "WdfDeviceRetrieveDeviceInterfaceString",
            "WdfDeviceRetrieveDeviceName",
            "WdfDeviceConfigureRequestDispatching",
            "WdfDeviceEnqueueRequest",
            "WdfDeviceOpenRegistryKey",
            "WdfIoQueueCreate",
            "WdfTimerCreate",
            "WdfDpcCreate",
            "WdfWorkItemCreate",
            "WdfSpinLockCreate",
            "WdfWaitLockCreate",
            "WdfObjectCreate",
            "WdfObjectAllocateContext",
            "WdfCollectionCreate",
            "WdfCollectionAdd",
            "WdfStringCreate",
            "WdfMemoryCreate",
            "WdfMemoryCreatePreallocated",
            "WdfMemoryCreateFromLookaside",
            "WdfLookasideListCreate",
            "WdfRegistryOpenKey",
            "WdfRegistryCreateKey",
            "WdfRegistryQueryULong",
            "WdfRegistryQueryValue",
            "WdfRegistryQueryUnicodeString",
            "WdfRegistryQueryString",
            "WdfRegistryAssignULong",
            "WdfRegistryAssignUnicodeString",
            "WdfRegistryAssignString",
            "WdfRegistryAssignValue",
            "WdfRequestRetrieveInputBuffer",
            "WdfRequestRetrieveOutputBuffer",
            "WdfRequestRetrieveInputMemory",
            "WdfRequestRetrieveOutputMemory",
            "WdfRequestRetrieveInputWdmMdl",
            "WdfRequestRetrieveOutputWdmMdl",
            "WdfRequestForwardToIoQueue",
            "NetDeviceInitConfig",
            "NetDeviceOpenConfiguration",
            "NetAdapterInitAllocate",
            "NetAdapterCreate",
            "NetAdapterStart",
            "NetAdapterOpenConfiguration",
            "NetConfigurationQueryUlong",
            "NetTxQueueCreate",
            "NetRxQueueCreate",
            "WskSocket",
            "WskBind",
            "WskSocketConnect",
            "WskAccept",
            "WskConnect",
            "WskDisconnect",
            "WskSend",
            "WskReceive",
            "WskGetLocalAddress",
            "WskGetRemoteAddress",
            "WskControlSocket",
            "WskSendTo",
            "WskSendMessages",
            "WskReceiveFrom",
        ],
    ),
];

/// What decides whether a stack fails.
enum Plan {
    /// The first stack that the file does not have.
    Log { file: File, read: u64 },
    /// This stack.
    At(String),
}

struct State {
    plan: Plan,
    /// Stacks that have failed, in this run or an earlier one.
    failed: HashSet<String>,
    /// Stacks met in this run.
    met: BTreeSet<String>,
    /// How often each call asked.
    asked: BTreeMap<&'static str, u64>,
}

static ON: AtomicBool = AtomicBool::new(false);
static STATE: Mutex<Option<State>> = Mutex::new(None);
static INJECTED: OnceLock<String> = OnceLock::new();
static IMPORTS: OnceLock<Vec<String>> = OnceLock::new();

fn lock() -> MutexGuard<'static, Option<State>> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn begin(plan: Plan, failed: HashSet<String>) {
    *lock() = Some(State { plan, failed, met: BTreeSet::new(), asked: BTreeMap::new() });
    ON.store(true, Ordering::SeqCst);
}

/// `--fault-log FILE`.
///
/// # Errors
/// When the file cannot be opened or read.
pub fn log_to(path: &str) -> Result<(), String> {
    let error = |e: std::io::Error| format!("{path}: {e}");
    let file = OpenOptions::new().read(true).append(true).create(true).open(path).map_err(error)?;
    let mut plan = Plan::Log { file, read: 0 };
    let mut failed = HashSet::new();
    plan.catch_up(&mut failed).map_err(error)?;
    begin(plan, failed);
    Ok(())
}

/// `--fault-at STACK`, a line of a log.
pub fn at(stack: &str) {
    begin(Plan::At(stack.trim().to_owned()), HashSet::new());
}

/// The names that the driver's image imports.
pub fn set_imports(names: Vec<String>) {
    // A process loads one driver.
    let _ = IMPORTS.set(names);
}

/// The stack that failed in this run.
#[must_use]
pub fn injected() -> Option<&'static str> {
    INJECTED.get().map(String::as_str)
}

/// Whether `call`, which the driver is in, is to fail. To be asked once a call, before the lab calls the driver in it.
#[must_use]
pub fn fails(call: &'static str) -> bool {
    ON.load(Ordering::Relaxed) && decide(call)
}

#[cold]
fn decide(call: &'static str) -> bool {
    // A call that the lab makes for itself has no caller in the driver.
    let Some(stack) = identity(call) else { return false };
    let mut state = lock();
    let Some(s) = state.as_mut() else { return false };
    *s.asked.entry(call).or_default() += 1;
    s.met.insert(stack.clone());
    if INJECTED.get().is_some() || s.failed.contains(&stack) || !s.plan.takes(&stack, &mut s.failed) {
        return false;
    }
    s.failed.insert(stack.clone());
    // Under the lock: one stack fails in a run.
    INJECTED.set(stack).is_ok()
}

/// `CALL ROUTINE>ROUTINE +0x1234 +0x5678 ...`, innermost address first; ` cut` at its end where the stack could not be followed.
fn identity(call: &str) -> Option<String> {
    let (offsets, end) = unwind::current()?;
    let routines: Vec<String> = ke::routines().iter().map(|r| r.replace(' ', "-")).collect();
    let mut text = format!("{call} {}", routines.join(">"));
    for o in offsets {
        // Writing to a string does not fail.
        let _ = write!(text, " +{o:#x}");
    }
    if end != unwind::End::Left {
        text.push_str(" cut");
    }
    Some(text)
}

impl Plan {
    fn takes(&mut self, stack: &str, failed: &mut HashSet<String>) -> bool {
        match self {
            Self::At(wanted) => wanted == stack,
            Self::Log { .. } => self.claim(stack, failed).unwrap_or_else(|e| {
                eprintln!("dco-lab: the log of faults: {e}");
                report::exit_now(71)
            }),
        }
    }

    /// Writes a stack to the log unless another lab has done so meanwhile.
    fn claim(&mut self, stack: &str, failed: &mut HashSet<String>) -> std::io::Result<bool> {
        let Self::Log { file, .. } = self else { return Ok(false) };
        let fd = file.as_raw_fd();
        // SAFETY: an open file of ours.
        if unsafe { libc::flock(fd, libc::LOCK_EX) } != 0 {
            return Err(std::io::Error::last_os_error());
        }
        let claimed = self.catch_up(failed).and_then(|()| {
            let Self::Log { file, .. } = self else { return Ok(false) };
            if failed.contains(stack) {
                return Ok(false);
            }
            // One write, to the file itself: the line is there though the process should end at once.
            file.write_all(format!("{stack}\n").as_bytes())?;
            Ok(true)
        });
        // SAFETY: as above.
        unsafe { libc::flock(fd, libc::LOCK_UN) };
        claimed
    }

    /// Reads the lines that have been added to the log.
    fn catch_up(&mut self, failed: &mut HashSet<String>) -> std::io::Result<()> {
        let Self::Log { file, read } = self else { return Ok(()) };
        let mut text = String::new();
        file.seek(SeekFrom::Start(*read))?;
        *read += file.read_to_string(&mut text)? as u64;
        failed.extend(text.lines().map(str::to_owned));
        Ok(())
    }
}

/// The answer to `QUERY faults`: `injected STACK` or `injected none`, then a line `call NAME HOW N` for each call that may fail, HOW
/// being `import`, `absent` (not imported by this image) or `table`, and N how often it asked.
#[must_use]
pub fn listing() -> String {
    let mut text = format!("injected {}\n", injected().unwrap_or("none"));
    let state = lock();
    let imports = IMPORTS.get().map_or(&[][..], Vec::as_slice);
    for (by, names) in CALLS {
        for name in *names {
            let how = match by {
                By::Table => "table",
                By::Import if imports.iter().any(|i| i == name) => "import",
                By::Import => "absent",
            };
            let asked = state.as_ref().and_then(|s| s.asked.get(name)).copied().unwrap_or(0);
            // Writing to a string does not fail.
            let _ = writeln!(text, "call {name} {how} {asked}");
        }
    }
    text
}

/// The answer to `QUERY fault-stacks`: each stack met in this run, `failed` or `new` before it.
#[must_use]
pub fn stacks() -> String {
    let state = lock();
    let Some(s) = state.as_ref() else { return String::new() };
    s.met.iter().map(|m| format!("{} {m}\n", if s.failed.contains(m) { "failed" } else { "new" })).collect()
}

#[cfg(test)]
mod tests;
