//! What the interface promises, request by request: sizes, statuses, order of calls.
//!
//! The cases are data ([`cases`]); this file runs them. Each case starts with no file open and leaves none.

mod cases;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;

use crate::device::PROMPT;
use crate::options::{Item, Options, TARGET_HELP, TargetOption};
use crate::status::NtStatus;
use crate::targets::{Completion, File, Pending, Request, Target};

/// Long enough to see that a read pends, short enough for many cases.
const A_WHILE: Duration = Duration::from_millis(50);

/// One thing that is promised, and the calls that show it.
pub struct Case {
    name: String,
    steps: Vec<Step>,
}

/// One call, with what it has to end with. Files and reads are named by their number in order of opening and starting.
#[derive(Clone, Debug)]
pub enum Step {
    /// Opens a device by its NT path.
    Open(&'static str, NtStatus),
    /// An ioctl on the file that was opened last.
    Ioctl { name: String, code: u32, input: Option<Vec<u8>>, output: usize, expected: Expected },
    /// Sends a control packet.
    Write(Vec<u8>, Expected),
    /// Starts a read, which may pend.
    Read(usize),
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
            Self::Failure => !came.status.is_success() && came.information == 0,
        };
        match fits {
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
            Step::Ioctl { code, input, output, expected, .. } => {
                self.call(Request::Ioctl { code: *code, input: input.as_deref(), output: *output }, expected)
            }
            Step::Write(bytes, expected) => self.call(Request::Write { bytes }, expected),
            Step::Read(length) => {
                let file = self.files.last().ok_or("the case has no file open")?;
                self.reads.push_back(file.start(Request::Read { length: *length }).map_err(io)?);
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
            Self::Ioctl { name, input, output, .. } => match input {
                Some(input) => format!("{name} with {} bytes in, {output} out", input.len()),
                None => format!("{name} with no input, {output} bytes out"),
            },
            Self::Write(bytes, _) => format!("write of {} bytes", bytes.len()),
            Self::Read(length) => format!("start of a read of {length} bytes"),
            Self::Pends => "a look at the read".into(),
            Self::Cancel(_) => "cancel".into(),
            Self::Ends(_) => "end of the read".into(),
            Self::Close => "close".into(),
        }
    }
}

/// Runs one case; the error names the step.
fn run_case(target: &dyn Target, case: &Case) -> Result<(), String> {
    let mut session = Session { target, files: Vec::new(), reads: Default::default() };
    let outcome = case.steps.iter().enumerate().try_for_each(|(number, step)| {
        session
            .step(step)
            .map_err(|problem| format!("step {} of {}, {}: {problem}", number + 1, case.steps.len(), step.describe()))
    });
    // A case that failed may have left files open; the next one needs them closed.
    for file in session.files.into_iter().rev() {
        file.close().map_err(|error| format!("close: {error}"))?;
    }
    outcome
}

/// `conform`.
pub fn run(mut options: Options) -> Result<ExitCode> {
    let help = format!(
        "usage: dco-cli conform [--only TEXT] [--list] [--self ADDRESS] [--target ADDRESS]\n\n\
         Checks what docs/testing.md calls conformance: each request's sizes, statuses and order of calls. A line a case.\n\n\
         \x20 --only TEXT         only cases whose name contains TEXT\n\
         \x20 --list              the names of the cases\n\
         \x20 --self IP:PORT      a free UDP address where the driver runs, for packets to itself (default 127.0.0.1:40411)\n\
         {TARGET_HELP}\n\nexamples:\n  dco-cli conform --target unix:/tmp/lab.sock\n  dco-cli conform --only NEW_KEY --target 127.0.0.1:7600"
    );
    let (mut target, mut only, mut list) = (TargetOption::default(), String::new(), false);
    let mut own = SocketAddr::from(([127, 0, 0, 1], 40411));
    while let Some(item) = options.next()? {
        match &item {
            Item::Option(name) if name == "help" => {
                println!("{help}");
                return Ok(ExitCode::SUCCESS);
            }
            Item::Option(name) if name == "list" => list = true,
            Item::Option(name) if name == "only" => only = options.value("only")?,
            Item::Option(name) if name == "self" => own = options.value("self")?,
            item if target.take(item, &mut options)? => {}
            item => return Err(Options::unexpected(item)),
        }
    }
    let cases: Vec<Case> = cases::all(own).into_iter().filter(|case| case.name.contains(&only)).collect();
    if list {
        cases.iter().for_each(|case| println!("{}", case.name));
        return Ok(ExitCode::SUCCESS);
    }
    let lab = target.connect()?;
    let (mut passed, mut failed) = (0u32, 0u32);
    for case in &cases {
        match run_case(&lab, case) {
            Ok(()) => {
                passed += 1;
                println!("ok    {}", case.name);
            }
            Err(problem) => {
                failed += 1;
                println!("FAIL  {}: {problem}", case.name);
                // A driver that broke a rule takes its lab down; the cases that are left could only repeat that.
                if lab.query("version").is_err() {
                    let left = cases.len() - (passed + failed) as usize;
                    println!("FAIL  the lab is gone; {left} cases were not run");
                    failed += left as u32;
                    break;
                }
            }
        }
    }
    println!("{passed} passed, {failed} failed");
    Ok(if failed == 0 && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests;
