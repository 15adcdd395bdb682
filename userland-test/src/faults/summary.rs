//! What came of the runs: for people, and for programs.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What came of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Everything was as without the failure.
    Absorbed,
    /// This was refused once, and worked the second time.
    Refused(String),
    /// The driver did not start, and left nothing behind.
    NotStarted,
    /// What must not be.
    Failed(String),
}

impl Outcome {
    fn word(&self) -> &'static str {
        match self {
            Self::Absorbed => "absorbed",
            Self::Refused(_) => "refused",
            Self::NotStarted => "not-started",
            Self::Failed(_) => "FAILED",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) | Self::Failed(why) => write!(f, "{}: {why}", self.word()),
            _ => f.write_str(self.word()),
        }
    }
}

/// One call that may fail.
#[derive(Default)]
struct Call {
    /// `import`, `absent` or `table`.
    how: String,
    asked: u64,
}

/// A stack that has failed, the variant it did so in, and what came of it.
struct Stack {
    stack: String,
    variant: &'static str,
    outcome: Outcome,
}

/// All runs.
pub struct Summary {
    stacks: Vec<Stack>,
    calls: BTreeMap<String, Call>,
    sources: Vec<PathBuf>,
    with_fault: usize,
}

/// What a call is about that never asked whether to fail.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    /// The driver imports it, or its source names it.
    NotReached,
    /// It does not.
    NotUsed,
}

impl Summary {
    /// Of no run yet. `sources` say which calls through a table the driver has at all.
    pub fn new(sources: Vec<PathBuf>) -> Self {
        Self { stacks: Vec::new(), calls: BTreeMap::new(), sources, with_fault: 0 }
    }

    /// A run in which this stack failed.
    pub fn add(&mut self, stack: &str, variant: &'static str, outcome: Outcome) {
        if matches!(outcome, Outcome::Failed(_)) {
            println!("FAIL  {stack}: {outcome}");
        }
        self.stacks.push(Stack { stack: stack.to_owned(), variant, outcome });
    }

    /// A run in which something failed.
    pub fn note_fault(&mut self) {
        self.with_fault += 1;
    }

    /// How many there were.
    pub fn runs_with_fault(&self) -> usize {
        self.with_fault
    }

    /// Takes the lab's answer to `QUERY faults`.
    pub fn asked(&mut self, listing: &str) {
        for line in listing.lines() {
            let mut words = line.split_whitespace();
            let (Some("call"), Some(name), Some(how), Some(asked)) =
                (words.next(), words.next(), words.next(), words.next())
            else {
                continue;
            };
            let call = self.calls.entry(name.to_owned()).or_default();
            how.clone_into(&mut call.how);
            call.asked += asked.parse::<u64>().unwrap_or(0);
        }
    }

    /// Stacks whose run failed.
    pub fn failed(&self) -> usize {
        self.stacks.iter().filter(|s| matches!(s.outcome, Outcome::Failed(_))).count()
    }

    /// All failures so far.
    pub fn failures(&self) -> String {
        let failed = self.stacks.iter().filter(|s| matches!(s.outcome, Outcome::Failed(_)));
        failed.map(|s| format!("{}\n", s.stack)).collect::<String>() + "too many failures to go on"
    }

    /// A line for who waits.
    pub fn progress(&self, variant: &str, took: Duration) {
        let (stacks, failed) = (self.stacks.len(), self.failed());
        println!("[{:4} s] {variant}: {stacks} stacks have failed so far, {failed} of them badly", took.as_secs());
    }

    /// How often a call's stacks ended in each way.
    fn of_call(&self, name: &str) -> [usize; 4] {
        let mut counts = [0; 4];
        for s in self.stacks.iter().filter(|s| s.stack.split(' ').next() == Some(name)) {
            let place = match s.outcome {
                Outcome::NotStarted => 0,
                Outcome::Refused(_) => 1,
                Outcome::Absorbed => 2,
                Outcome::Failed(_) => 3,
            };
            if let Some(count) = counts.get_mut(place) {
                *count += 1;
            }
        }
        counts
    }

    fn missing(&self) -> Vec<(&str, Missing)> {
        let text: String = self.sources.iter().map(|folder| rust_below(folder)).collect();
        let named = |name: &str| text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| word == name);
        let unmet = self.calls.iter().filter(|(name, call)| call.asked == 0 && self.of_call(name) == [0; 4]);
        unmet
            .map(|(name, call)| {
                let used = match call.how.as_str() {
                    "import" => true,
                    "table" => self.sources.is_empty() || named(name),
                    _ => false,
                };
                (name.as_str(), if used { Missing::NotReached } else { Missing::NotUsed })
            })
            .collect()
    }

    /// The table, and what was not reached.
    pub fn print(&self) {
        println!(
            "\n{:32} {:>7} {:>11} {:>8} {:>8} {:>6}",
            "call", "stacks", "not started", "refused", "absorbed", "FAILED"
        );
        for name in self.calls.keys() {
            let counts @ [not_started, refused, absorbed, failed] = self.of_call(name);
            let stacks: usize = counts.iter().sum();
            if stacks > 0 {
                println!("{name:32} {stacks:7} {not_started:11} {refused:8} {absorbed:8} {failed:6}");
            }
        }
        let missing = self.missing();
        for (kind, text) in [
            (Missing::NotReached, "may fail, and were never reached"),
            (Missing::NotUsed, "may fail, and the driver does not use them"),
        ] {
            let names: Vec<&str> = missing.iter().filter(|(_, k)| *k == kind).map(|(name, _)| *name).collect();
            println!("\n{} calls {text}: {}", names.len(), if names.is_empty() { "-".into() } else { names.join(" ") });
        }
        let cut = self.stacks.iter().filter(|s| s.stack.ends_with(" cut")).count();
        println!("\n{cut} stacks could not be followed to their end");
        println!("{} passed, {} failed", self.stacks.len() - self.failed(), self.failed() + cut);
    }

    /// `stack OUTCOME VARIANT STACK WHY` a stack, then `call NAME HOW ASKED NOT-STARTED REFUSED ABSORBED FAILED` a call, separated by
    /// tabs; HOW is `unreached` or `unused` for calls that never asked.
    pub fn machine_readable(&self) -> String {
        let mut text = String::new();
        for Stack { stack, variant, outcome } in &self.stacks {
            let why = match outcome {
                Outcome::Refused(why) | Outcome::Failed(why) => why.replace(['\n', '\t'], " "),
                _ => "-".into(),
            };
            // Writing to a string does not fail.
            let _ = writeln!(text, "stack\t{}\t{variant}\t{stack}\t{why}", outcome.word());
        }
        let missing = self.missing();
        for (name, call) in &self.calls {
            let how = match missing.iter().find(|(missing, _)| missing == name) {
                Some((_, Missing::NotReached)) => "unreached",
                Some((_, Missing::NotUsed)) => "unused",
                None => &call.how,
            };
            let [not_started, refused, absorbed, failed] = self.of_call(name);
            let asked = call.asked;
            let _ = writeln!(text, "call\t{name}\t{how}\t{asked}\t{not_started}\t{refused}\t{absorbed}\t{failed}");
        }
        text
    }
}

/// The text of the Rust files below a folder.
fn rust_below(folder: &Path) -> String {
    let Ok(entries) = fs::read_dir(folder) else { return String::new() };
    let mut text = String::new();
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        if path.is_dir() {
            text.push_str(&rust_below(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&fs::read_to_string(&path).unwrap_or_default());
            text.push('\n');
        }
    }
    text
}
