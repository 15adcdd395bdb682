//! A lab's process: started, ready, stopped.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::{PATIENCE, Side};
use crate::commands::query_lab;
use crate::device::Device;
use crate::join::joined;
use crate::targets::lab::{Address, Lab};

/// A child that is killed if it is not waited for.
pub(super) struct Process {
    pub(super) child: Child,
    pub(super) log: PathBuf,
}

impl Process {
    /// Waits for its end; gives its status and what it wrote to stderr.
    fn end(&mut self) -> Result<(std::process::ExitStatus, String)> {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            ensure!(Instant::now() < deadline, "expected the lab to end, it still runs after {PATIENCE:?}");
            thread::sleep(Duration::from_millis(1));
        };
        Ok((status, self.log_text()))
    }

    fn log_text(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail for a process that has ended and was waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A lab that was started, and is not yet ready.
pub(super) struct Launched {
    pub(super) process: Process,
    pub(super) side: Side,
    pub(super) listen: Address,
    pub(super) netns: String,
    pub(super) tun: String,
}

/// How a lab ended that ended by itself.
#[derive(Debug)]
pub struct Ended {
    /// Its exit status; `None` where a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to stderr.
    pub log: String,
}

impl Launched {
    pub(super) fn ready(self) -> Result<Machine> {
        let side = self.side.name();
        match self.outcome()? {
            Ok(machine) => Ok(machine),
            Err(Ended { code, log }) => bail!("lab {side}: expected it ready, it ended with {code:?}:\n{log}"),
        }
    }

    pub(super) fn outcome(mut self) -> Result<Result<Machine, Ended>> {
        let Some(stdout) = self.process.child.stdout.take() else { bail!("the lab has no stdout") };
        let (sender, receiver) = channel();
        thread::spawn(move || {
            // Reading on keeps the lab from blocking on a full pipe.
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let side = self.side.name();
        let ready = loop {
            match receiver.recv_timeout(PATIENCE) {
                Ok(line) if line.starts_with("ready ") => break line,
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => {
                    bail!("lab {side}: expected it ready within {PATIENCE:?}")
                }
                Err(RecvTimeoutError::Disconnected) => {
                    let (status, log) = self.process.end()?;
                    return Ok(Err(Ended { code: status.code(), log }));
                }
            }
        };
        let sha256 = ready.split_whitespace().find_map(|word| word.strip_prefix("sha256=")).unwrap_or("").to_owned();
        let lab = Lab::connect(&self.listen).with_context(|| format!("lab {side} at {}", self.listen))?;
        Ok(Ok(Machine { process: self.process, lab, side: self.side, sha256, netns: self.netns, tun: self.tun }))
    }
}

/// A lab that runs.
pub struct Machine {
    process: Process,
    /// The connection to it.
    pub lab: Lab,
    side: Side,
    /// Of the driver that it loaded.
    pub sha256: String,
    netns: String,
    tun: String,
}

impl Machine {
    /// Descriptors that the lab's process has open: what a peer leaves of these runs out some day.
    pub fn descriptors(&self) -> Result<usize> {
        let folder = format!("/proc/{}/fd", self.process.child.id());
        Ok(fs::read_dir(&folder).with_context(|| folder.clone())?.count())
    }

    /// Does something while the lab's process is stopped: what comes meanwhile waits in its sockets.
    pub fn stopped_while<T>(&self, act: impl FnOnce() -> Result<T>) -> Result<T> {
        let signal = |name: &str| -> Result<()> {
            let status = Command::new("kill").args([name, &self.process.child.id().to_string()]).status()?;
            ensure!(status.success(), "kill {name}: ended with {status}");
            Ok(())
        };
        signal("-STOP")?;
        let done = act();
        signal("-CONT")?;
        done
    }

    /// Bytes of the host's memory that the lab has, its own and the driver's.
    pub fn resident(&self) -> Result<u64> {
        let path = format!("/proc/{}/status", self.process.child.id());
        let text = fs::read_to_string(&path).with_context(|| path.clone())?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()).with_context(|| format!("{path}: VmRSS"))?;
        Ok(kib.parse::<u64>()? << 10)
    }

    /// Whether the adapter's link is up.
    pub fn link_is_up(&self) -> Result<bool> {
        let text = query_lab(&self.lab, "adapter")?;
        match text.lines().find_map(|line| line.strip_prefix("link ")) {
            Some("up") => Ok(true),
            Some("down") => Ok(false),
            other => bail!("QUERY adapter: expected `link up` or `link down`, got {other:?}"),
        }
    }

    /// The MTU that the driver told the stack.
    pub fn mtu(&self) -> Result<usize> {
        let text = query_lab(&self.lab, "adapter")?;
        let mtu = text.lines().find_map(|line| line.strip_prefix("mtu "));
        mtu.context("QUERY adapter: expected an MTU")?.parse().context("QUERY adapter: mtu")
    }

    /// One of the lab's counters of the adapter and its sockets.
    pub fn netcx(&self, name: &str) -> Result<i64> {
        let text = query_lab(&self.lab, "netcx")?;
        let count = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let count = count.with_context(|| format!("QUERY netcx: expected {name}, found none"))?;
        count.trim().parse().with_context(|| format!("QUERY netcx: {name} {count}"))
    }

    /// How many objects of this kind there are in the lab.
    pub fn objects(&self, kind: &str) -> Result<u64> {
        let text = query_lab(&self.lab, "objects")?;
        let count = text.lines().find_map(|line| line.strip_prefix(kind)?.strip_prefix(' '));
        count.map_or(Ok(0), |count| count.trim().parse().with_context(|| format!("QUERY objects: {kind} {count}")))
    }

    /// What the driver, the adapter and the kernel counted, for the report of a failure.
    pub fn describe(&self, device: &Device) -> String {
        let stats = device.stats().map_or_else(|error| error.to_string(), |stats| stats.to_string());
        let lab = ["adapter", "netcx"].map(|question| query_lab(&self.lab, question).unwrap_or_else(|e| e.to_string()));
        let link = Command::new("ip").args(["-n", &self.netns, "-s", "addr", "show", "dev", &self.tun]).output();
        let link = link.map_or_else(|error| error.to_string(), |out| String::from_utf8_lossy(&out.stdout).into_owned());
        format!("--- lab {}\n{stats}{}\n{link}", self.side.name(), lab.concat())
    }

    /// Where the lab has ended by itself: how. Waits a moment for one whose connection has broken.
    pub fn ended(&mut self) -> Result<Option<Ended>> {
        let broken = self.lab.query("version").is_err();
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.process.child.try_wait()? {
                Some(status) => return Ok(Some(Ended { code: status.code(), log: self.process.log_text() })),
                None if broken && Instant::now() < deadline => thread::sleep(Duration::from_millis(1)),
                None => return Ok(None),
            }
        }
    }

    /// Stops the device, unloads the driver, and expects that nothing was left behind and nothing was violated.
    pub fn stop(mut self) -> Result<()> {
        let side = self.side.name();
        let stopped = self.lab.stop();
        let (status, log) = self.process.end()?;
        let (answer, report) = match stopped {
            Ok(answer) => answer,
            Err(error) => bail!("lab {side} in {}: STOP: {error}; it ended with {status}:\n{log}", self.netns),
        };
        ensure!(
            answer.is_success() && status.success(),
            "lab {side} in {}: expected a clean end, got {answer} and {status}:\n{report}\n{log}",
            self.netns
        );
        Ok(())
    }
}

/// Stops both at the same time.
pub fn stop_both([a, b]: [Machine; 2]) -> Result<()> {
    thread::scope(|scope| {
        let a = scope.spawn(|| a.stop());
        let b = b.stop();
        joined(a).and(b)
    })
}
