//! What came of the cases: a line each, a table, and the same for machines.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

/// What came of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// As promised, with a word on what was seen.
    Passed(String),
    /// Not as promised: how.
    Failed(String),
    /// It cannot be asked here: why. Neither passed nor failed.
    NotHere(&'static str),
}

struct Line {
    group: &'static str,
    name: String,
    verdict: Verdict,
    took: Duration,
}

/// The lines so far.
#[derive(Default)]
pub struct Report {
    lines: Vec<Line>,
}

#[derive(Default, Clone, Copy)]
struct Sum {
    passed: u32,
    failed: u32,
    not_here: u32,
    took: Duration,
}

impl Report {
    /// Adds a line and prints it.
    pub fn add(&mut self, group: &'static str, name: &str, verdict: Verdict, took: Duration) {
        match &verdict {
            Verdict::Passed(note) if note.is_empty() => println!("ok    {name}"),
            Verdict::Passed(note) => println!("ok    {name}: {note}"),
            Verdict::Failed(problem) => println!("FAIL  {name}: {problem}"),
            Verdict::NotHere(why) => println!("n/a   {name}: {why}"),
        }
        self.lines.push(Line { group, name: name.into(), verdict, took });
    }

    fn sums(&self) -> (BTreeMap<&'static str, Sum>, Sum) {
        let (mut groups, mut all) = (BTreeMap::<_, Sum>::new(), Sum::default());
        for line in &self.lines {
            for sum in [groups.entry(line.group).or_default(), &mut all] {
                sum.took += line.took;
                match line.verdict {
                    Verdict::Passed(_) => sum.passed += 1,
                    Verdict::Failed(_) => sum.failed += 1,
                    Verdict::NotHere(_) => sum.not_here += 1,
                }
            }
        }
        (groups, all)
    }

    /// Prints the table and the last line; whether all passed, and something did.
    pub fn finish(&self) -> bool {
        let (groups, all) = self.sums();
        println!("\n{:<14} {:>7} {:>7} {:>7} {:>9}", "group", "passed", "failed", "n/a", "seconds");
        for (group, sum) in &groups {
            let seconds = sum.took.as_secs_f64();
            println!("{group:<14} {:>7} {:>7} {:>7} {seconds:>9.1}", sum.passed, sum.failed, sum.not_here);
        }
        println!("\n{} passed, {} failed", all.passed, all.failed);
        all.failed == 0 && all.passed > 0
    }

    /// The report as JSON: `{"passed", "failed", "not_here", "cases": [{"group", "name", "verdict", "detail", "milliseconds"}]}`.
    pub fn json(&self) -> String {
        let (_, all) = self.sums();
        let mut text = format!(
            "{{\n  \"passed\": {},\n  \"failed\": {},\n  \"not_here\": {},\n  \"cases\": [",
            all.passed, all.failed, all.not_here
        );
        for (place, line) in self.lines.iter().enumerate() {
            let (verdict, detail) = word(&line.verdict);
            // Writing to a String cannot fail.
            let _ = write!(
                text,
                "{}\n    {{\"group\": {}, \"name\": {}, \"verdict\": \"{verdict}\", \"detail\": {}, \"milliseconds\": {}}}",
                if place == 0 { "" } else { "," },
                quoted(line.group),
                quoted(&line.name),
                quoted(detail),
                line.took.as_millis()
            );
        }
        text.push_str("\n  ]\n}\n");
        text
    }

    /// The report as JUnit has it, a suite a group.
    pub fn junit(&self) -> String {
        let (groups, all) = self.sums();
        let mut text = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites tests=\"{}\" failures=\"{}\">\n",
            self.lines.len(),
            all.failed
        );
        for (group, sum) in groups {
            let tests = sum.passed + sum.failed + sum.not_here;
            let _ = writeln!(
                text,
                "  <testsuite name=\"{group}\" tests=\"{tests}\" failures=\"{}\" skipped=\"{}\" time=\"{:.3}\">",
                sum.failed,
                sum.not_here,
                sum.took.as_secs_f64()
            );
            for line in self.lines.iter().filter(|line| line.group == group) {
                let head = format!(
                    "    <testcase classname=\"{group}\" name=\"{}\" time=\"{:.3}\"",
                    escaped(&line.name),
                    line.took.as_secs_f64()
                );
                let _ = match &line.verdict {
                    Verdict::Passed(_) => writeln!(text, "{head}/>"),
                    Verdict::Failed(problem) => {
                        writeln!(text, "{head}><failure message=\"{}\"/></testcase>", escaped(problem))
                    }
                    Verdict::NotHere(why) => {
                        writeln!(text, "{head}><skipped message=\"{}\"/></testcase>", escaped(why))
                    }
                };
            }
            text.push_str("  </testsuite>\n");
        }
        text.push_str("</testsuites>\n");
        text
    }

    /// Writes what was asked for.
    pub fn save(&self, json: Option<&Path>, junit: Option<&Path>) -> Result<()> {
        for (path, text) in [(json, Self::json as fn(&Self) -> String), (junit, Self::junit)] {
            if let Some(path) = path {
                std::fs::write(path, text(self)).with_context(|| path.display().to_string())?;
            }
        }
        Ok(())
    }
}

fn word(verdict: &Verdict) -> (&'static str, &str) {
    match verdict {
        Verdict::Passed(note) => ("passed", note),
        Verdict::Failed(problem) => ("failed", problem),
        Verdict::NotHere(why) => ("not here", why),
    }
}

/// A JSON string.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            c if c < ' ' => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Text of an XML attribute.
fn escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut escaped, c| {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push_str("&#10;"),
            c if c < ' ' => escaped.push('?'),
            c => escaped.push(c),
        }
        escaped
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats_keep_names_and_verdicts_apart() {
        let mut report = Report::default();
        report.add("a", "one \"quoted\" <name>", Verdict::Passed(String::new()), Duration::from_millis(5));
        report.add("b", "two", Verdict::Failed("line\nline".into()), Duration::ZERO);
        report.add("b", "three", Verdict::NotHere("no"), Duration::ZERO);
        let json = report.json();
        assert!(json.contains(r#""name": "one \"quoted\" <name>", "verdict": "passed""#), "{json}");
        assert!(json.contains(r#""detail": "line\nline""#), "{json}");
        assert!(json.contains("\"passed\": 1,\n  \"failed\": 1,\n  \"not_here\": 1"), "{json}");
        let xml = report.junit();
        assert!(xml.contains("name=\"one &quot;quoted&quot; &lt;name>\""), "{xml}");
        assert!(xml.contains("<failure message=\"line&#10;line\"/>"), "{xml}");
        assert!(!report.finish());
    }
}
