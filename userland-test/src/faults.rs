//! Faults to a fixpoint: a scenario again and again, each run with one call failing that has not failed from that stack before, until
//! no stack is new.

mod scenario;
mod summary;

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::commands::query_lab;
use crate::device::Hang;
use crate::options::{Item, Options};
use crate::rig::{Ended, Machine, RIG_HELP, Rig, RigOptions, Side};
use scenario::{Scene, Step};
use summary::{Outcome, Summary};

/// Exit status of a lab whose driver's entry point, AddDevice or start failed, and left nothing behind.
const NOT_STARTED: i32 = 69;

/// A scenario under options of the lab's: what one does not reach, another may.
struct Variant {
    name: &'static str,
    steps: &'static [Step],
    options: &'static [&'static str],
    /// Whether the device is stopped under the open handle.
    left_open: bool,
}

/// Epoch keys rotate after some packets: after so few that the scenarios do not get ahead of the other lab's keys, whatever its work item does.
const ROTATES: [&str; 2] = ["--keyword", "TestAeadUsageLimit=400"];

const VARIANTS: [Variant; 5] = [
    Variant { name: "life", steps: scenario::LIFE, options: &[], left_open: true },
    Variant {
        name: "life, fragments, unmapped datagrams, completion on other threads, software cipher",
        steps: scenario::LIFE,
        options: &["--tx-fragments", "4", "--wsk-locked-mdls", "--wsk-completion", "async", "--no-chacha"],
        left_open: false,
    },
    Variant { name: "server", steps: scenario::SERVER, options: &[], left_open: false },
    Variant { name: "server, TCP", steps: scenario::CONNECTION, options: &[], left_open: false },
    Variant { name: "keepalive", steps: scenario::KEEPALIVE, options: &[], left_open: false },
];

/// So many runs of a variant without a new stack end it: stacks differ from run to run where threads meet.
const QUIET: u32 = 2;

/// A driver that fails on each stack in the same way says nothing new after so many.
const TOO_MANY: usize = 20;

/// `faults`.
pub fn run(mut options: Options) -> Result<ExitCode> {
    let help = format!(
        "usage: dco-cli faults --lab PROGRAM --sys FILE --a NETNS,IP4,IP6 --b NETNS,IP4,IP6 [option]...\n\n\
         Runs a scenario again and again. In each run one call that may fail on Windows fails, once, at the first call stack\n\
         that has not failed yet, until no stack is new. What the driver refuses for it is done again and has to work, as has\n\
         everything else; a hang, a violation, or anything left at unload is a failure.\n\n\
         {RIG_HELP}\n  --only TEXT         the variant of this name, or those whose names have it in them (default: all)\n\
         \x20 --log FILE          stacks that have failed, one a line; those in it are passed over (default: none, and the\n\
         \x20                     file goes away)\n  --report FILE       writes the outcome of each stack and the counts of each call, tab-separated\n\
         \x20 --sources FOLDER    calls through a table that no .rs file below names are listed apart (may be repeated)\n\
         \x20 --at STACK          one run, in which this stack fails\n\n\
         example:\n  dco-cli faults --lab target/release/dco-lab --sys target/driver/ovpn-dco.sys \\\n\
         \x20   --a left,10.87.0.1,fd87::1 --b right,10.87.0.2,fd87::2"
    );
    let (mut rig, mut log, mut report, mut at, mut only) = (RigOptions::default(), None, None, None, String::new());
    let mut sources: Vec<PathBuf> = Vec::new();
    while let Some(item) = options.item()? {
        match &item {
            Item::Option(name) if name == "help" => {
                println!("{help}");
                return Ok(ExitCode::SUCCESS);
            }
            Item::Option(name) if name == "log" => log = Some(options.value::<PathBuf>("log")?),
            Item::Option(name) if name == "report" => report = Some(options.value::<PathBuf>("report")?),
            Item::Option(name) if name == "sources" => sources.push(options.value("sources")?),
            Item::Option(name) if name == "at" => at = Some(options.value::<String>("at")?),
            Item::Option(name) if name == "only" => only = options.value("only")?,
            item if rig.take(item, &mut options)? => {}
            item => return Err(Options::unexpected(item)),
        }
    }
    let rig = rig.rig()?;
    let b = match rig.start_one(Side::B, &[])? {
        Ok(machine) => machine,
        Err(ended) => bail!("lab b: expected it ready, it ended with {:?}:\n{}", ended.code, ended.log),
    };
    rig.configure_some(&[Side::B])?;
    let log = log.unwrap_or_else(|| rig.folder().join("faults.log"));
    let mut summary = Summary::new(sources);
    let runs = Runs { rig: &rig, b: &b, log, only };
    match at {
        Some(stack) => runs.repeat(&stack, &mut summary)?,
        None => runs.to_fixpoint(&mut summary)?,
    }
    b.stop().context("lab b, into which no failure is injected")?;
    rig.expect_no_tun()?;
    if let Some(path) = report {
        fs::write(&path, summary.machine_readable()).with_context(|| path.display().to_string())?;
    }
    summary.print();
    Ok(if summary.failed() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

struct Runs<'a> {
    rig: &'a Rig,
    b: &'a Machine,
    log: PathBuf,
    /// Part of the names of the variants that are run to the fixpoint.
    only: String,
}

impl Runs<'_> {
    fn to_fixpoint(&self, summary: &mut Summary) -> Result<()> {
        let began = Instant::now();
        let mut reported = began;
        let exact = VARIANTS.iter().any(|variant| variant.name == self.only);
        let is_meant = |name: &str| if exact { name == self.only } else { name.contains(&self.only) };
        for variant in VARIANTS.iter().filter(|variant| is_meant(variant.name)) {
            let mut quiet = 0;
            while quiet < QUIET {
                let before = self.stacks()?.len();
                let outcome = self.one(variant, &["--fault-log".into(), self.log.display().to_string()], summary);
                let outcome = outcome.with_context(|| format!("variant {}", variant.name))?;
                let stacks = self.stacks()?;
                match (stacks.get(before..).unwrap_or(&[]), outcome) {
                    ([], Outcome::Absorbed) => quiet += 1,
                    // Nothing was injected, so this is the driver, or the rig, as it is.
                    ([], outcome) => bail!("{}: without an injected failure: {outcome}", variant.name),
                    ([stack], outcome) => {
                        quiet = 0;
                        summary.add(stack, variant.name, outcome);
                    }
                    (several, _) => bail!("one run logged {} stacks", several.len()),
                }
                if reported.elapsed() >= Duration::from_secs(10) {
                    reported = Instant::now();
                    summary.progress(variant.name, began.elapsed());
                }
                ensure!(summary.failed() < TOO_MANY, "{}", summary.failures());
            }
            summary.progress(variant.name, began.elapsed());
        }
        Ok(())
    }

    /// The stacks that have failed so far.
    fn stacks(&self) -> Result<Vec<String>> {
        match fs::read_to_string(&self.log) {
            Ok(text) => Ok(text.lines().map(str::to_owned).collect()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error).with_context(|| self.log.display().to_string()),
        }
    }

    /// One stack, in the first variant that meets it.
    fn repeat(&self, stack: &str, summary: &mut Summary) -> Result<()> {
        for variant in &VARIANTS {
            let met = summary.runs_with_fault();
            let outcome = self.one(variant, &["--fault-at".into(), stack.to_owned()], summary)?;
            if summary.runs_with_fault() > met {
                println!("{}: {outcome}", variant.name);
                summary.add(stack, variant.name, outcome);
                return Ok(());
            }
        }
        bail!("no variant calls from the stack {stack:?}")
    }

    /// One run. The error is the rig's; the driver's failures are outcomes.
    fn one(&self, variant: &Variant, faults: &[String], summary: &mut Summary) -> Result<Outcome> {
        let options = faults.iter().map(String::as_str).chain(ROTATES).chain(variant.options.iter().copied());
        let options: Vec<&str> = options.collect();
        let mut a = match self.rig.start_one(Side::A, &options)? {
            Ok(machine) => machine,
            Err(Ended { code: Some(NOT_STARTED), log }) if log.contains("\ninjected ") => {
                summary.note_fault();
                return Ok(Outcome::NotStarted);
            }
            Err(Ended { code, log }) => {
                summary.note_fault();
                return Ok(Outcome::Failed(format!("load: the lab ended with {code:?}:\n{log}")));
            }
        };
        let mut scene = Scene::new(self.rig, &a, self.b);
        let played = play(&mut scene, variant.steps);
        let injected = scene.injected().ok().flatten().is_some();
        let failed = match played {
            Ok(outcome) => {
                summary.asked(&query_lab(&a.lab, "faults")?);
                if injected {
                    summary.note_fault();
                }
                // Under the open handle, or after a close in either order.
                if variant.left_open { scene.leave_open() } else { scene.close_all() }
                    .and_then(|kept| a.stop().map(|()| drop(kept)))
                    .map_or_else(|error| Outcome::Failed(format!("unload: {error:#}")), |()| outcome)
            }
            Err(error) => {
                summary.note_fault();
                drop(scene);
                let ended = a.ended()?.map(|e| format!("\nthe lab ended with {:?}:\n{}", e.code, e.log));
                Outcome::Failed(format!("{error:#}{}", ended.unwrap_or_default()))
            }
        };
        Ok(failed)
    }
}

/// Plays the steps. One that fails once a failure was injected is done again, and that is the only one in a run.
fn play(scene: &mut Scene<'_>, steps: &[Step]) -> Result<Outcome> {
    let mut outcome = Outcome::Absorbed;
    for (name, step) in steps {
        let Err(error) = step(scene) else { continue };
        let hang = error.chain().any(|cause| {
            cause.is::<Hang>()
                || cause.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::ConnectionAborted)
        });
        if hang || !matches!(outcome, Outcome::Absorbed) || scene.injected()?.is_none() {
            return Err(error.context(*name));
        }
        outcome = Outcome::Refused(format!("{name}: {error:#}"));
        step(scene).with_context(|| format!("{name}, the second time; the first ended with {error:#}"))?;
    }
    Ok(outcome)
}
