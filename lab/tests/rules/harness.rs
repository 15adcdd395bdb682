//! Runs cases: a copy of an image with the case's number in its section `.fault`, a lab that runs it, the lab's report.
//!
//! The harness speaks docs/lab-protocol.md by itself and shares no code with the drivers it loads.

use crate::cross;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// A driver of `lab/drivers` that breaks a rule on demand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Image {
    /// Kernel and CNG: a WDM driver.
    FaultyWdm,
    /// WSK: a WDM driver.
    FaultyWsk,
    /// WDF and NetAdapterCx: a KMDF driver.
    FaultyKmdf,
    /// What C compilers inline: a WDM driver in C.
    CDriver,
}

/// The last thing that the test does; all before it, in this order, is done too.
///
/// The lab has to stop during it, at the latest: what a rule says about a request is not to be found at unload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum At {
    /// Load, AddDevice, start.
    Load,
    /// Open and one control request: code 0x222000, 16 bytes in, 64 out.
    Request,
    /// Packets through the adapter or the sockets.
    Packets,
    /// A read of 64 bytes that waits, and its cancellation.
    Cancel,
    /// Close, with another read outstanding.
    Close,
    /// Device removed, driver unloaded, everything counted.
    Unload,
}

/// A broken rule. Made by [`case`]: `cargo xtask rules` reads these calls, so the four arguments are written out there.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    pub rule: &'static str,
    pub image: Image,
    pub fault: u32,
    pub at: At,
    /// Options of `dco-lab run`.
    pub options: &'static [&'static str],
    /// A change to the image's bytes beyond its number.
    pub edit: Option<fn(&mut [u8])>,
    /// What the report has to say besides.
    pub says: &'static [&'static str],
}

/// The fault number of `image` that breaks `rule`, and when the lab has to have seen it.
#[must_use]
pub const fn case(rule: &'static str, image: Image, fault: u32, at: At) -> Case {
    Case { rule, image, fault, at, options: &[], edit: None, says: &[] }
}

impl Case {
    /// With options of `dco-lab run`.
    pub const fn with(mut self, options: &'static [&'static str]) -> Self {
        self.options = options;
        self
    }

    /// With a change to the image.
    pub const fn edited(mut self, edit: fn(&mut [u8])) -> Self {
        self.edit = Some(edit);
        self
    }

    /// With texts that the report has to contain.
    pub const fn says(mut self, says: &'static [&'static str]) -> Self {
        self.says = says;
        self
    }
}

impl Image {
    const ALL: [Self; 4] = [Self::FaultyWdm, Self::FaultyWsk, Self::FaultyKmdf, Self::CDriver];

    /// The image as built, fault number 0.
    fn path(self) -> &'static Path {
        static BUILT: [OnceLock<PathBuf>; 4] = [const { OnceLock::new() }; 4];
        let (slot, name, image, variable) = match self {
            Self::FaultyWdm => (0, "faulty-wdm", "faulty_wdm.dll", "LAB_FAULTY_WDM_SYS"),
            Self::FaultyWsk => (1, "faulty-wsk", "faulty_wsk.dll", "LAB_FAULTY_WSK_SYS"),
            Self::FaultyKmdf => (2, "faulty-kmdf", "faulty_kmdf.dll", "LAB_FAULTY_KMDF_SYS"),
            Self::CDriver => return BUILT[3].get_or_init(cross::c_driver),
        };
        BUILT[slot].get_or_init(|| cross::driver(name, image, variable))
    }

    /// The name that opens its device.
    const fn device(self) -> &'static str {
        match self {
            Self::FaultyWdm => r"\??\lab-faulty",
            Self::FaultyWsk => r"\??\lab-faulty-wsk",
            Self::FaultyKmdf => r"\??\lab-faulty-kmdf",
            Self::CDriver => r"\??\lab-c",
        }
    }
}

/// Where the number stands in the file.
fn fault_offset(image: &[u8]) -> usize {
    let word = |at: usize| u32::from_le_bytes(image[at..at + 4].try_into().expect("4 bytes")) as usize;
    let half = |at: usize| usize::from(u16::from_le_bytes(image[at..at + 2].try_into().expect("2 bytes")));
    let pe = word(0x3C);
    let first = pe + 24 + half(pe + 20);
    for section in (0..half(pe + 6)).map(|i| first + i * 40) {
        if &image[section..section + 8] == b".fault\0\0" {
            assert!(word(section + 16) >= 4, "the section .fault has no bytes in the file");
            return word(section + 20);
        }
    }
    panic!("the image has no section .fault");
}

/// Longest that a case may take, on a machine with much else to do. Running out of it fails the case, never decides one.
const LIMIT: Duration = Duration::from_secs(180);
const AT_ONCE: usize = 2;

/// A lab that runs.
struct Lab {
    child: Arc<Mutex<Child>>,
    log: PathBuf,
    stream: Option<UnixStream>,
    next: u64,
    file: u64,
    /// Told when the case is over; dropped earlier, the lab has hung.
    over: Sender<()>,
}

/// Why no more can be asked: the lab has ended.
struct Ended;

impl Lab {
    /// Starts a lab on `sys` and waits until it is ready or ends.
    fn start(sys: &Path, name: &str, case: &Case) -> Self {
        let log = sys.with_extension("log");
        // A socket's path is short.
        let socket = std::env::temp_dir().join(format!("rule-{}-{name}", std::process::id()));
        let mut child = command(case)
            .args(["run", "--sys"])
            .arg(sys)
            .args(["--listen", &format!("unix:{}", socket.display())])
            .args(case.options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&log).expect("a log"))
            .spawn()
            .expect("dco-lab runs");
        let out = child.stdout.take().expect("piped");
        let child = Arc::new(Mutex::new(child));
        let (over, hung) = channel();
        let watched = Arc::clone(&child);
        std::thread::spawn(move || {
            if hung.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout) {
                // It may just have ended by itself.
                let _ = lock(&watched).kill();
            }
        });
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line).expect("a line or the end");
        let stream = line.starts_with("ready listen=unix:").then(|| UnixStream::connect(&socket).expect("connects"));
        Self { child, log, stream, next: 1, file: 0, over }
    }

    fn send(&mut self, op: u8, payload: &[u8]) -> Result<u64, Ended> {
        let id = self.next;
        self.next += 1;
        let mut f = u32::try_from(9 + payload.len()).expect("short").to_le_bytes().to_vec();
        f.extend(id.to_le_bytes());
        f.push(op);
        f.extend(payload);
        self.stream.as_mut().ok_or(Ended)?.write_all(&f).map_err(|_| Ended)?;
        Ok(id)
    }

    /// Waits for `count` answers; returns statuses by id.
    fn answers(&mut self, count: usize) -> Result<Vec<(u64, u32, u64)>, Ended> {
        let stream = self.stream.as_mut().ok_or(Ended)?;
        let mut got = Vec::new();
        while got.len() < count {
            let mut word = [0; 4];
            stream.read_exact(&mut word).map_err(|_| Ended)?;
            let mut f = vec![0; u32::from_le_bytes(word) as usize];
            stream.read_exact(&mut f).map_err(|_| Ended)?;
            got.push((
                u64::from_le_bytes(f[..8].try_into().expect("8")),
                u32::from_le_bytes(f[8..12].try_into().expect("4")),
                u64::from_le_bytes(f[12..20].try_into().expect("8")),
            ));
        }
        Ok(got)
    }

    fn open(&mut self, path: &str) -> Result<(), Ended> {
        let mut p = 0xC000_0000_u32.to_le_bytes().to_vec();
        p.extend(3u32.to_le_bytes());
        p.extend(path.as_bytes());
        self.send(1, &p)?;
        let (_, status, file) = self.answers(1)?[0];
        assert_eq!(status, 0, "{path} opens");
        self.file = file;
        Ok(())
    }

    fn control(&mut self, input: &[u8], out: u32) -> Result<(), Ended> {
        let mut p = self.file.to_le_bytes().to_vec();
        p.extend(0x22_2000_u32.to_le_bytes());
        p.extend(out.to_le_bytes());
        p.push(0);
        p.extend(input);
        self.send(3, &p)?;
        self.answers(1).map(|_| ())
    }

    fn read(&mut self) -> Result<u64, Ended> {
        let mut p = self.file.to_le_bytes().to_vec();
        p.extend(64u32.to_le_bytes());
        self.send(4, &p)
    }

    /// Does what `at` says, once all before it is done.
    fn step(&mut self, at: At, case: &Case) -> Result<(), Ended> {
        match at {
            // Starting was that.
            At::Load => self.stream.as_ref().map(|_| ()).ok_or(Ended),
            At::Request => {
                self.open(case.image.device())?;
                self.control(&[0x11; 16], 64)
            }
            At::Packets => self.packets(case),
            At::Cancel => {
                let read = self.read()?;
                self.send(6, &read.to_le_bytes())?;
                self.answers(2).map(|_| ())
            }
            At::Close => {
                self.read()?;
                let file = self.file.to_le_bytes();
                self.send(2, &file)?;
                self.answers(2).map(|_| ())
            }
            At::Unload => {
                self.send(8, &[])?;
                // The lab's report is the answer, and then it ends.
                self.answers(1)?;
                self.answers(1).map(|_| ())
            }
        }
    }

    /// Returns when what the driver was called for has returned: a request's answer may come before, and the lab serves a connection's
    /// requests one after the other.
    fn barrier(&mut self, at: At) -> Result<(), Ended> {
        if at == At::Unload {
            return Ok(());
        }
        self.send(7, b"version")?;
        self.answers(1).map(|_| ())
    }

    /// Traffic, where the image has any.
    fn packets(&mut self, case: &Case) -> Result<(), Ended> {
        match case.image {
            Image::FaultyWdm | Image::FaultyWsk | Image::FaultyKmdf | Image::CDriver => Ok(()),
        }
    }

    /// Waits for the end; exit status (-1 for a signal) and what was reported.
    fn end(mut self) -> (i32, String) {
        self.stream = None;
        let code = loop {
            if let Some(status) = lock(&self.child).try_wait().expect("waited for") {
                break status.code().unwrap_or(-1);
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let _ = self.over.send(());
        (code, String::from_utf8_lossy(&std::fs::read(&self.log).expect("the log")).into_owned())
    }

    fn kill(&self) {
        let _ = lock(&self.child).kill();
    }
}

fn lock<T>(m: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The lab, in a network namespace of its own where the image has an adapter.
fn command(case: &Case) -> Command {
    let lab = env!("CARGO_BIN_EXE_dco-lab");
    match case.image {
        Image::FaultyWdm | Image::FaultyWsk | Image::FaultyKmdf | Image::CDriver => Command::new(lab),
    }
}

const STEPS: [At; 6] = [At::Load, At::Request, At::Packets, At::Cancel, At::Close, At::Unload];

/// Runs a case and says what is wrong with what came of it. `case.rule` is empty for a run that has to end clean.
fn run(case: &Case, name: &str, folder: &Path) -> Result<(), String> {
    let mut bytes = std::fs::read(case.image.path()).map_err(|e| format!("{}: {e}", case.image.path().display()))?;
    let offset = fault_offset(&bytes);
    bytes[offset..offset + 4].copy_from_slice(&case.fault.to_le_bytes());
    if let Some(edit) = case.edit {
        edit(&mut bytes);
    }
    let sys = folder.join(format!("{name}.sys"));
    std::fs::write(&sys, bytes).map_err(|e| e.to_string())?;
    let mut lab = Lab::start(&sys, name, case);
    let mut survived = false;
    for at in STEPS.into_iter().filter(|a| *a <= case.at) {
        if lab.step(at, case).and_then(|()| lab.barrier(at)).is_err() {
            break;
        }
        survived = at == case.at;
    }
    if survived && case.at != At::Unload {
        lab.kill();
    }
    let (code, report) = lab.end();
    let found: BTreeSet<&str> = report.lines().filter_map(|l| l.strip_prefix("violation: ")).collect();
    let text = |what: String| format!("{what}\n{report}");
    if case.rule.is_empty() {
        return if code == 0 && found.is_empty() { Ok(()) } else { Err(text(format!("not clean: status {code}"))) };
    }
    if survived {
        return Err(text(format!("nothing was noticed by the time of {:?}", case.at)));
    }
    // An image that is not loaded has a status of its own.
    let status = if case.rule.starts_with("pe.") { 65 } else { 70 };
    if found.len() != 1 || !found.contains(case.rule) || code != status {
        return Err(text(format!("expected {} alone and status {status}, came {found:?} and {code}", case.rule)));
    }
    if report.contains("caller: 0x") {
        return Err(text("the caller is not in the image".to_owned()));
    }
    for said in case.says {
        if !report.contains(said) {
            return Err(text(format!("the report does not say {said:?}")));
        }
    }
    Ok(())
}

/// Runs a family's cases, and each of its images unbroken; prints a line for each and fails with all that went wrong.
pub fn hold(family: &str, cases: &[Case]) {
    let wanted = std::env::var("RULES").unwrap_or_default();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("rules-{}-{family}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let images: BTreeSet<Image> = cases.iter().map(|c| c.image).collect();
    let clean = images.into_iter().map(|i| (format!("{family}-clean-{i:?}"), case("", i, 0, At::Unload)));
    let broken = cases.iter().map(|c| (format!("{family}-{}-{}", c.fault, c.rule), *c));
    let all: Vec<(String, Case)> = clean.chain(broken.filter(|(_, c)| c.rule.contains(&wanted))).collect();
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(String::new());
    std::thread::scope(|s| {
        for _ in 0..AT_ONCE {
            s.spawn(|| {
                while let Some((name, case)) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = run(case, name, &folder);
                    let what = if case.rule.is_empty() { "(none)" } else { case.rule };
                    let word = if result.is_ok() { "ok" } else { "FAILED" };
                    // Not println!, which a test keeps to itself.
                    let _ = writeln!(std::io::stdout(), "rule {what} ... {word}");
                    if let Err(e) = result {
                        let _ = writeln!(lock(&failed), "{what} ({:?}, fault {}): {e}\n", case.image, case.fault);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    assert!(failed.is_empty(), "{failed}");
    // What is left of a failure is kept for a look at it.
    let _ = std::fs::remove_dir_all(&folder);
}

/// The harness has to fail a case that breaks another rule, none, or its own too late.
pub fn notices(right: &Case, other: &'static str) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("rules-{}-self", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let fails = |name: &str, case: Case, why: &str| {
        let error = run(&case, name, &folder).expect_err(name);
        assert!(error.starts_with(why), "{name}: {error}");
    };
    assert_eq!(right.at, At::Unload, "a rule that is broken earlier than it is seen");
    fails("self-other", Case { rule: other, ..*right }, "expected");
    fails("self-none", Case { fault: 0, ..*right }, "expected");
    fails("self-early", Case { at: At::Close, ..*right }, "nothing was noticed");
    fails("self-silent", right.says(&["words that no report has"]), "the report does not say");
    fails("self-clean", Case { rule: "", ..*right }, "not clean");
    let devices: BTreeSet<&str> = Image::ALL.iter().map(|i| i.device()).collect();
    assert_eq!(devices.len(), Image::ALL.len(), "two images with one device name");
    let _ = std::fs::remove_dir_all(&folder);
}
