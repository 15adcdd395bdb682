//! What the interface promises: buffers, values, codes, orders of calls, traffic, races.
//!
//! One list, which runs unchanged on a lab and on Windows. Most cases are data ([`cases`], [`table`]) that this file runs; the
//! rest are scenarios. Each case starts with no file open and leaves none.

mod cases;
mod epochs;
mod orders;
mod races;
mod report;
mod server;
mod stream;
mod table;
mod traffic;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use report::{Report, Verdict};

use crate::device::PROMPT;
use crate::options::{Item, Options, TARGET_HELP, TargetOption, Usage};
use crate::status::NtStatus;
use crate::targets::{Completion, File, Null, Pending, Request, Target};

/// Long enough to see that a read pends, short enough for many cases.
const A_WHILE: Duration = Duration::from_millis(50);

/// Where the cases run, and how long.
pub struct Bench<'a> {
    target: &'a dyn Target,
    /// A UDP address at which the driver can send to itself; its port is also the driver's end of the suite's tunnels.
    own: SocketAddr,
    /// Calls in a sequence of which every order is tried.
    depth: usize,
    /// How long peers come and go.
    seconds: Duration,
}

/// One thing that is promised, and what shows it.
pub struct Case {
    name: String,
    body: Body,
}

/// What a scenario does; it ends with a word on what was seen.
type Scenario = dyn Fn(&Bench<'_>) -> Result<String>;

/// How a case is run.
pub enum Body {
    /// Call by call.
    Steps(Vec<Step>),
    /// By code of its own.
    Run(Box<Scenario>),
}

/// One call, with what it has to end with. Files and reads are named by their number in order of opening and starting.
#[derive(Clone, Debug)]
pub enum Step {
    /// Opens a device by its NT path.
    Open(&'static str, NtStatus),
    /// An ioctl on the file that was opened last.
    Ioctl { name: String, code: u32, input: Vec<u8>, output: usize, null: Null, expected: Expected },
    /// Sends a control packet.
    Write(Vec<u8>, Expected),
    /// Starts a read, which may pend.
    Read(usize),
    /// Starts an ioctl, which may pend as reads do: name, code, input, room for output.
    Wait(&'static str, u32, Vec<u8>, usize),
    /// The oldest read still pends.
    Pends,
    /// Cancels the oldest read.
    Cancel(NtStatus),
    /// The oldest read ends.
    Ends(Expected),
    /// Closes the file that was opened last.
    Close,
}

/// What a call has to end with.
#[derive(Clone, Debug, PartialEq)]
pub enum Expected {
    /// This status and so many bytes, whatever they are.
    Length(NtStatus, u64),
    /// This status and these bytes.
    Bytes(NtStatus, Vec<u8>),
    /// This status and some records of so many bytes each.
    Records(NtStatus, u64),
    /// Any error: no document names one.
    Failure,
}

impl Expected {
    /// Success without data.
    pub const DONE: Self = Self::Length(NtStatus::SUCCESS, 0);

    /// An error, which never transfers anything.
    pub const fn error(status: NtStatus) -> Self {
        Self::Length(status, 0)
    }

    fn compare(&self, came: &Completion) -> Result<(), String> {
        let fits = match self {
            Self::Length(status, length) => came.status == *status && came.information == *length,
            Self::Bytes(status, bytes) => {
                came.status == *status && came.information == bytes.len() as u64 && came.output == *bytes
            }
            Self::Records(status, length) => {
                came.status == *status && came.information > 0 && came.information.is_multiple_of(*length)
            }
            Self::Failure => !came.status.is_success() && came.information == 0,
        };
        match fits {
            true if came.spilled => Err("bytes of the output buffer were changed beyond what was returned".into()),
            true => Ok(()),
            false => Err(format!(
                "expected {self}, got {} with {} bytes {:02x?}",
                came.status, came.information, came.output
            )),
        }
    }
}

impl std::fmt::Display for Expected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Length(status, length) => write!(f, "{status} with {length} bytes"),
            Self::Bytes(status, bytes) => {
                write!(f, "{status} with {} bytes {bytes:02x?}", bytes.len())
            }
            Self::Records(status, length) => write!(f, "{status} with records of {length} bytes"),
            Self::Failure => f.write_str("a failure"),
        }
    }
}

/// What is open while a case runs.
struct Session<'a> {
    target: &'a dyn Target,
    files: Vec<Box<dyn File>>,
    reads: std::collections::VecDeque<Box<dyn Pending>>,
}

impl Session<'_> {
    fn call(&self, request: Request<'_>, expected: &Expected) -> Result<(), String> {
        let file = self.files.last().ok_or("the case has no file open")?;
        let mut pending = file.start(request).map_err(|error| error.to_string())?;
        match pending.wait(PROMPT).map_err(|error| error.to_string())? {
            Some(came) => expected.compare(&came),
            None => Err(format!("expected {expected}, it still pends after {PROMPT:?}")),
        }
    }

    fn oldest_read(&mut self) -> Result<&mut Box<dyn Pending>, String> {
        self.reads.front_mut().ok_or_else(|| "the case has no read".to_owned())
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        let io = |error: std::io::Error| error.to_string();
        match step {
            Step::Open(path, expected) => {
                let came = match self.target.open(path).map_err(io)? {
                    Ok(file) => {
                        self.files.push(file);
                        NtStatus::SUCCESS
                    }
                    Err(status) => status,
                };
                same(*expected, came)
            }
            Step::Ioctl { code, input, output, null, expected, .. } => {
                self.call(Request::Ioctl { code: *code, input, output: *output, null: *null }, expected)
            }
            Step::Write(bytes, expected) => self.call(Request::Write { bytes }, expected),
            Step::Read(length) => {
                let file = self.files.last().ok_or("the case has no file open")?;
                self.reads.push_back(file.start(Request::Read { length: *length }).map_err(io)?);
                Ok(())
            }
            Step::Wait(_, code, input, output) => {
                let file = self.files.last().ok_or("the case has no file open")?;
                let request = Request::Ioctl { code: *code, input, output: *output, null: Null::default() };
                self.reads.push_back(file.start(request).map_err(io)?);
                Ok(())
            }
            Step::Pends => match self.oldest_read()?.wait(A_WHILE).map_err(io)? {
                None => Ok(()),
                Some(came) => Err(format!("expected the read to pend, it ended with {}", came.status)),
            },
            Step::Cancel(expected) => same(*expected, self.oldest_read()?.cancel().map_err(io)?),
            Step::Ends(expected) => {
                let mut read = self.reads.pop_front().ok_or("the case has no read")?;
                match read.wait(PROMPT).map_err(io)? {
                    Some(came) => expected.compare(&came),
                    None => Err(format!("expected the read to end with {expected}, it still pends after {PROMPT:?}")),
                }
            }
            Step::Close => {
                let file = self.files.pop().ok_or("the case has no file open")?;
                same(NtStatus::SUCCESS, file.close().map_err(io)?)
            }
        }
    }
}

fn same(expected: NtStatus, came: NtStatus) -> Result<(), String> {
    match came == expected {
        true => Ok(()),
        false => Err(format!("expected {expected}, got {came}")),
    }
}

impl Step {
    fn describe(&self) -> String {
        match self {
            Self::Open(path, _) => format!("open {path}"),
            Self::Ioctl { name, input, output, null, .. } => {
                let pointer = |null| if null { " at a null pointer" } else { "" };
                let (given, room) = (pointer(null.input), pointer(null.output));
                format!("{name} with {} bytes in{given}, {output} out{room}", input.len())
            }
            Self::Write(bytes, _) => format!("write of {} bytes", bytes.len()),
            Self::Read(length) => format!("start of a read of {length} bytes"),
            Self::Wait(name, ..) => format!("start of {name}"),
            Self::Pends => "a look at the read".into(),
            Self::Cancel(_) => "cancel".into(),
            Self::Ends(_) => "end of the read".into(),
            Self::Close => "close".into(),
        }
    }
}

/// Runs one case.
fn run_case(bench: &Bench<'_>, case: &Case) -> Verdict {
    let has_null = |step: &Step| matches!(step, Step::Ioctl { null, .. } if *null != Null::default());
    let came = match &case.body {
        Body::Steps(steps) if steps.iter().any(has_null) && !bench.target.passes_null() => {
            return Verdict::NotHere("null pointers with a length do not get to the driver here");
        }
        Body::Steps(steps) => run_steps(bench.target, steps).map(|()| String::new()),
        Body::Run(run) => run(bench).map_err(|problem| format!("{problem:#}")),
    };
    came.map_or_else(Verdict::Failed, Verdict::Passed)
}

/// Call by call; the error names the step.
fn run_steps(target: &dyn Target, steps: &[Step]) -> Result<(), String> {
    let mut session = Session { target, files: Vec::new(), reads: Default::default() };
    let outcome = steps.iter().enumerate().try_for_each(|(number, step)| {
        session
            .step(step)
            .map_err(|problem| format!("step {} of {}, {}: {problem}", number + 1, steps.len(), step.describe()))
    });
    // A case that failed may have left files open; the next one needs them closed.
    for file in session.files.into_iter().rev() {
        file.close().map_err(|error| format!("close: {error}"))?;
    }
    outcome
}

/// The list, by group.
fn list(own: SocketAddr) -> Vec<(&'static str, Vec<Case>)> {
    let every_order =
        Case { name: "orders: every order of calls".into(), body: Body::Run(Box::new(orders::every_order)) };
    vec![
        ("calls", cases::all(own)),
        ("buffers", table::shapes()),
        ("values", table::values()),
        ("codes", table::codes()),
        ("traffic", traffic::all()),
        ("epochs", epochs::all()),
        ("stream", stream::all()),
        ("server", server::all()),
        ("races", races::all()),
        ("orders", vec![every_order]),
    ]
}

fn help() -> String {
    format!(
        "usage: dco-cli conform [--only TEXT]... [--list] [--json FILE] [--junit FILE] [OPTION]... [--target ADDRESS]\n\n\
         Checks what docs/testing.md calls conformance: every request with every shape of its buffers, values out of range, unknown\n\
         codes, every order of calls, data packets sound and forged, keepalive, rekeys, TCP, races with close, churn. One list, for the\n\
         lab and for Windows. A line a case, a table, and `N passed, N failed`.\n\n\
         \x20 --only TEXT         only cases whose group or name contains TEXT; may be repeated\n\
         \x20 --list              the names of the cases\n\
         \x20 --json FILE         the result for machines\n\
         \x20 --junit FILE        the same as JUnit XML\n\
         \x20 --self IP:PORT      a free UDP address of loopback where the driver runs (default 127.0.0.1:40411)\n\
         \x20 --depth N           calls in a sequence of which every order is tried, 2 to 6 (default 4; 5 is 161051 calls)\n\
         \x20 --seconds N         how long peers come and go under traffic (default 3)\n\
         {TARGET_HELP}\n\n\
         The suite's own end of a tunnel is a UDP socket of this process: run it where the driver's loopback is, in the lab's network\n\
         namespace or on the Windows machine.\n\n\
         examples:\n  dco-cli conform --target unix:/tmp/lab.sock --json result.json\n  \
         dco-cli conform --only values --only race --target 127.0.0.1:7600\n  dco-cli.exe conform --depth 5 --seconds 60"
    )
}

/// `conform`.
pub fn run(mut options: Options) -> Result<ExitCode> {
    let (mut target, mut only, mut names) = (TargetOption::default(), Vec::<String>::new(), false);
    let (mut json, mut junit) = (None::<PathBuf>, None::<PathBuf>);
    let (mut depth, mut seconds) = (4usize, 3u64);
    let mut own = SocketAddr::from(([127, 0, 0, 1], 40411));
    while let Some(item) = options.item()? {
        match &item {
            Item::Option(name) if name == "help" => {
                println!("{}", help());
                return Ok(ExitCode::SUCCESS);
            }
            Item::Option(name) if name == "list" => names = true,
            Item::Option(name) if name == "only" => only.push(options.value("only")?),
            Item::Option(name) if name == "json" => json = Some(options.value("json")?),
            Item::Option(name) if name == "junit" => junit = Some(options.value("junit")?),
            Item::Option(name) if name == "self" => own = options.value("self")?,
            Item::Option(name) if name == "depth" => depth = options.value("depth")?,
            Item::Option(name) if name == "seconds" => seconds = options.value("seconds")?,
            item if target.take(item, &mut options)? => {}
            item => return Err(Options::unexpected(item)),
        }
    }
    if !(2..=6).contains(&depth) {
        return Err(Usage::new(format!("--depth: expected 2 to 6, got {depth}")).into());
    }
    let wanted = |group: &str, case: &Case| {
        only.is_empty() || only.iter().any(|text| group.contains(text.as_str()) || case.name.contains(text.as_str()))
    };
    let cases = list(own).into_iter().flat_map(|(group, cases)| cases.into_iter().map(move |case| (group, case)));
    let cases: Vec<(&str, Case)> = cases.filter(|(group, case)| wanted(group, case)).collect();
    if names {
        cases.iter().for_each(|(group, case)| println!("{group:<8} {}", case.name));
        return Ok(ExitCode::SUCCESS);
    }
    let target = target.connect()?;
    let bench = Bench { target: &*target, own, depth, seconds: Duration::from_secs(seconds) };
    let mut report = Report::default();
    for (group, case) in &cases {
        let began = Instant::now();
        // A driver that broke a rule has taken its lab down; what is left could only repeat that.
        let verdict = match target.alive() {
            true => run_case(&bench, case),
            false => Verdict::Failed("the machine is gone".into()),
        };
        report.add(group, &case.name, verdict, began.elapsed());
    }
    report.save(json.as_deref(), junit.as_deref())?;
    Ok(if report.finish() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests;
