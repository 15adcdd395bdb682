//! Fault injection with a driver whose error paths are known: each of its calls fails once, a whole stack names it, and a block that an
//! error path forgets is found.

mod cross;

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The image with a number in its section `.fault`.
fn image(fault: u32) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let built = BUILT.get_or_init(|| cross::driver("fault-paths", "fault_paths.dll", "LAB_FAULT_PATHS_SYS"));
    let mut bytes = fs::read(built).expect("the image");
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes")) as usize;
    let half = |at: usize| usize::from(u16::from_le_bytes(bytes[at..at + 2].try_into().expect("2 bytes")));
    let pe = word(0x3C);
    let first = pe + 24 + half(pe + 20);
    let header = (0..half(pe + 6)).map(|i| first + 40 * i).find(|&s| &bytes[s..s + 8] == b".fault\0\0");
    let at = word(header.expect("a section .fault") + 20);
    bytes[at..at + 4].copy_from_slice(&fault.to_le_bytes());
    let copy = built.with_file_name(format!("fault-paths-{}-{fault}.sys", std::process::id()));
    fs::write(&copy, bytes).expect("a copy");
    copy
}

/// One run: its exit status, and what it wrote to stderr. A driver that loads is unloaded at once.
fn run(sys: &Path, option: &str, value: &str) -> (i32, String) {
    let log = sys.with_extension("log");
    let mut lab = Command::new(env!("CARGO_BIN_EXE_dco-lab"))
        .args(["run", "--sys", &sys.display().to_string(), option, value])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(File::create(&log).expect("a log"))
        .spawn()
        .expect("dco-lab runs");
    let mut line = String::new();
    BufReader::new(lab.stdout.take().expect("piped")).read_line(&mut line).expect("a line or the end");
    if line.starts_with("ready ") {
        assert!(Command::new("kill").arg(lab.id().to_string()).status().expect("kill runs").success());
    }
    let code = lab.wait().expect("it ends").code().expect("an exit status");
    (code, fs::read_to_string(log).expect("a log"))
}

/// Runs until no stack is new: the log's lines, each with how its run ended.
fn to_fixpoint(sys: &Path) -> Vec<(String, i32, String)> {
    let log = sys.with_extension("faults");
    let mut runs = Vec::new();
    loop {
        let (code, text) = run(sys, "--fault-log", &log.display().to_string());
        let stacks = fs::read_to_string(&log).expect("the log of faults");
        match stacks.lines().nth(runs.len()) {
            Some(stack) => runs.push((stack.to_owned(), code, text)),
            None => {
                assert_eq!(code, 0, "nothing failed, so all is well: {text}");
                return runs;
            }
        }
        assert!(runs.len() < 20, "{runs:?}");
    }
}

fn addresses(stack: &str) -> Vec<&str> {
    stack.split(' ').filter(|word| word.starts_with('+')).collect()
}

#[test]
fn each_call_fails_once_by_a_whole_stack() {
    let sys = image(0);
    let runs = to_fixpoint(&sys);
    let calls: Vec<&str> = runs.iter().filter_map(|(stack, ..)| stack.split(' ').next()).collect();
    let expected = ["IoCreateDevice", "ExAllocatePool2", "ExAllocatePool2", "ExAllocatePool2", "IoCreateSymbolicLink"];
    assert_eq!(calls, expected, "{runs:?}");
    for (stack, code, text) in &runs {
        assert_eq!(*code, 69, "{text}");
        assert!(text.contains(&format!("injected {stack}")), "{text}");
        assert!(stack.contains(" the-driver's-entry-point +") && !stack.ends_with(" cut"), "{stack}");
    }
    let stacks: Vec<Vec<&str>> = runs.iter().map(|(stack, ..)| addresses(stack)).collect();
    let [device, deep, aligned, large, link] = stacks.as_slice() else { panic!("{stacks:?}") };
    // DriverEntry's call of `load` is at the end of each.
    for stack in [deep, aligned, large, link] {
        assert_eq!(stack.last(), device.last(), "{stacks:?}");
    }
    // The call, two returns into one place of the function that calls itself, then whoever called it.
    assert!(deep.len() >= 4 && deep[1] == deep[2] && deep[0] != deep[1], "{deep:?}");
    // The same function, below one whose frame hangs on a frame pointer.
    assert!(aligned.len() >= 4 && aligned[..2] == deep[..2] && aligned[2] != deep[2], "{aligned:?}");
    assert_eq!(large.len(), device.len() + 1, "{large:?}");

    // A stack that is named fails, whatever has failed before it.
    let (code, text) = run(&sys, "--fault-at", &runs[3].0);
    assert!(code == 69 && text.contains(&format!("injected {}", runs[3].0)), "{text}");
    let (code, text) = run(&sys, "--fault-at", "IoCreateDevice nowhere +0x1");
    assert!(code == 0 && !text.contains("injected"), "{text}");
}

#[test]
fn a_block_that_an_error_path_forgets_is_found() {
    let runs = to_fixpoint(&image(1));
    let bad: Vec<_> = runs.iter().filter(|(_, code, _)| *code == 70).collect();
    let [(stack, _, text)] = bad.as_slice() else { panic!("one error path is bad: {runs:?}") };
    // The third block was refused, and the second forgotten.
    assert_eq!(stack, &runs[3].0);
    assert!(text.contains("violation: pool.leak") && text.contains(&format!("fault:  {stack}")), "{text}");
}
