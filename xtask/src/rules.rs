//! The rules of the lab and the cases that break them: collected from the sources, held against each other, and written as a table
//! into docs/testing.md.
//!
//! A rule is `Rule::new("family.what", "source")` in lab/src; a case is `case("family.what", Image, number, At)` in
//! lab/tests/rules. Both are found by their tokens, so neither line breaks nor macros hide them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result, bail};

const DOCUMENT: &str = "docs/testing.md";
const BEGIN: &str = "<!-- rules -->";
const END: &str = "<!-- /rules -->";

/// Writes the table, or with `check` says what is missing or stale.
pub fn run(root: &Path, check: bool) -> Result<()> {
    let sources = tokens_below(&root.join("lab/src"))?;
    let tests = tokens_below(&root.join("lab/tests/rules"))?;
    let rules = collect_rules(&sources)?;
    let cases = collect_cases(&tests);
    let document = root.join(DOCUMENT);
    let text = std::fs::read_to_string(&document).with_context(|| document.display().to_string())?;
    let fresh = replace(&text, &table(&rules, &cases))?;
    if !check {
        std::fs::write(&document, fresh).with_context(|| document.display().to_string())?;
        println!("{} rules, {} cases: written to {DOCUMENT}", rules.len(), cases.len());
        return Ok(());
    }
    let mut problems = compare(&rules, &cases);
    if fresh != text {
        problems.push(format!("{DOCUMENT}: the table is out of date; run `cargo xtask rules`"));
    }
    if !problems.is_empty() {
        bail!("{}\n{} problem(s) with the rules", problems.join("\n"), problems.len());
    }
    println!(
        "{} rules, {} cases: each rule has a case, each case a rule, and the table is theirs",
        rules.len(),
        cases.len()
    );
    Ok(())
}

/// What a case says, by the words it is written in.
#[derive(Debug, PartialEq, Eq)]
struct Case {
    rule: String,
    image: String,
    fault: String,
    at: String,
}

type Rules = BTreeMap<String, BTreeSet<String>>;

/// What is wrong between the two.
fn compare(rules: &Rules, cases: &[Case]) -> Vec<String> {
    let broken: BTreeSet<&str> = cases.iter().map(|c| c.rule.as_str()).collect();
    let without = rules.keys().filter(|r| !broken.contains(r.as_str())).map(|r| format!("{r}: no case breaks it"));
    let unknown = broken
        .iter()
        .filter(|r| !rules.contains_key(**r))
        .map(|r| format!("{r}: a case, but the lab has no such rule"));
    without.chain(unknown).collect()
}

fn table(rules: &Rules, cases: &[Case]) -> String {
    let mut text = "| rule | source | broken by |\n|---|---|---|\n".to_owned();
    for (name, sources) in rules {
        let by: Vec<String> =
            cases.iter().filter(|c| c.rule == *name).map(|c| format!("{} {}, {}", c.image, c.fault, c.at)).collect();
        let source = sources.iter().map(|s| s.replace('|', "\\|")).collect::<Vec<_>>().join("; ");
        // Writing to a string does not fail.
        let _ =
            writeln!(text, "| `{name}` | {source} | {} |", if by.is_empty() { "-".to_owned() } else { by.join("; ") });
    }
    text
}

/// The document with the table between its marks.
fn replace(document: &str, table: &str) -> Result<String> {
    let (Some(begin), Some(end)) = (document.find(BEGIN), document.find(END)) else {
        bail!("{DOCUMENT} has no `{BEGIN}` and `{END}`");
    };
    let (Some(before), Some(after)) = (document.get(..begin), document.get(end..)) else {
        bail!("{DOCUMENT}: the marks are broken")
    };
    if end < begin {
        bail!("{DOCUMENT}: `{END}` stands before `{BEGIN}`");
    }
    Ok(format!("{before}{BEGIN}\n\n{table}\n{after}"))
}

/// A token, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    /// A name or a number.
    Word(String),
    /// A string literal's value.
    Text(String),
    /// Anything else.
    Mark(char),
}

use Token::{Mark, Text, Word};

/// The tokens of each Rust file below a folder, by its path; what follows `#[cfg(test)]` is left out.
fn tokens_below(folder: &Path) -> Result<Vec<Vec<Token>>> {
    let mut found = Vec::new();
    let mut entries: Vec<_> =
        std::fs::read_dir(folder).with_context(|| folder.display().to_string())?.collect::<Result<_, _>>()?;
    entries.sort_by_key(std::fs::DirEntry::path);
    for entry in entries {
        let path = entry.path();
        if path.is_dir() {
            found.extend(tokens_below(&path)?);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            let shipped = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(&text);
            found.push(tokens(shipped));
        }
    }
    Ok(found)
}

/// Splits Rust source into tokens; comments go.
fn tokens(text: &str) -> Vec<Token> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if rest.starts_with("//") {
            rest = rest.find('\n').and_then(|i| rest.get(i..)).unwrap_or("");
        } else if rest.starts_with("/*") {
            rest = after_comment(rest);
        } else if let Some((value, after)) = string(rest) {
            out.push(Text(value));
            rest = after;
        } else if c == '\'' {
            rest = after_quote(rest);
        } else if c.is_alphanumeric() || c == '_' {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            out.push(Word(word.to_owned()));
            rest = after;
        } else {
            if !c.is_whitespace() {
                out.push(Mark(c));
            }
            rest = rest.get(c.len_utf8()..).unwrap_or("");
        }
    }
    out
}

fn after_comment(text: &str) -> &str {
    let (mut rest, mut depth) = (text.get(2..).unwrap_or(""), 1);
    while depth != 0 && !rest.is_empty() {
        let step = if rest.starts_with("/*") {
            depth += 1;
            2
        } else if rest.starts_with("*/") {
            depth -= 1;
            2
        } else {
            rest.chars().next().map_or(1, char::len_utf8)
        };
        rest = rest.get(step..).unwrap_or("");
    }
    rest
}

/// Behind a character literal; behind the quote of a lifetime.
fn after_quote(text: &str) -> &str {
    let mut inside = text.char_indices().skip(1);
    let end = match inside.next() {
        // The character behind the backslash may be a quote itself.
        Some((_, '\\')) => text.get(3..).and_then(|t| t.find('\'')).map(|i| i + 4),
        Some((at, c)) => text.get(at + c.len_utf8()..).filter(|t| t.starts_with('\'')).map(|_| at + c.len_utf8() + 1),
        None => None,
    };
    text.get(end.unwrap_or(1)..).unwrap_or("")
}

/// A string literal at the start of the text: its value, and what follows it.
fn string(text: &str) -> Option<(String, &str)> {
    let body = text.strip_prefix('b').or_else(|| text.strip_prefix('c')).unwrap_or(text);
    if let Some(raw) = body.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        let inner = raw.get(hashes..)?.strip_prefix('"')?;
        let close = format!("\"{}", "#".repeat(hashes));
        let end = inner.find(&close)?;
        return Some((inner.get(..end)?.to_owned(), inner.get(end + close.len()..)?));
    }
    let inner = body.strip_prefix('"')?;
    let mut value = String::new();
    let mut chars = inner.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, inner.get(at + 1..)?)),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                't' => value.push('\t'),
                // A line continued: its break and the indentation behind it are no part of the text.
                '\n' => {
                    while chars.clone().next().is_some_and(|(_, c)| c.is_whitespace()) {
                        chars.next();
                    }
                }
                other => value.push(other),
            },
            c => value.push(c),
        }
    }
    None
}

/// The rules of the lab: name and sources. A source may be a constant's name, of the same file or else of another.
fn collect_rules(files: &[Vec<Token>]) -> Result<Rules> {
    let anywhere = constants(files);
    let mut rules = Rules::new();
    for tokens in files {
        let here = constants(std::slice::from_ref(tokens));
        for w in tokens.windows(8) {
            let [Word(rule), Mark(':'), Mark(':'), Word(new), Mark('('), Text(name), Mark(','), source] = w else {
                continue;
            };
            if rule != "Rule" || new != "new" {
                continue;
            }
            let source = match source {
                Text(t) => t,
                Word(w) => here
                    .get(w)
                    .or_else(|| anywhere.get(w))
                    .with_context(|| format!("{name}: its source {w} is no string constant"))?,
                Mark(m) => bail!("{name}: its source begins with {m:?}"),
            };
            rules.entry(name.clone()).or_default().insert(source.clone());
        }
    }
    Ok(rules)
}

/// `const NAME: &str = "..."`.
fn constants(files: &[Vec<Token>]) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for tokens in files {
        for w in tokens.windows(7) {
            if let [Word(c), Word(name), Mark(':'), Mark('&'), Word(kind), Mark('='), Text(value)] = w
                && c == "const"
                && kind == "str"
            {
                found.insert(name.clone(), value.clone());
            }
        }
    }
    found
}

/// The cases, in the order they are written in.
fn collect_cases(files: &[Vec<Token>]) -> Vec<Case> {
    let mut cases = Vec::new();
    for tokens in files {
        for (i, t) in tokens.iter().enumerate() {
            if !matches!(t, Word(w) if w == "case") || !matches!(tokens.get(i + 1), Some(Mark('('))) {
                continue;
            }
            let rest = tokens.get(i + 2..).unwrap_or(&[]);
            let (Some(Text(rule)), end) = (rest.first(), rest.iter().position(|t| *t == Mark(')'))) else { continue };
            // The last word of each argument: paths lose what stands before.
            let arguments: Vec<&str> = rest
                .get(..end.unwrap_or(0))
                .unwrap_or(&[])
                .split(|t| *t == Mark(','))
                .filter_map(|a| a.iter().rev().find_map(|t| if let Word(w) = t { Some(w.as_str()) } else { None }))
                .collect();
            // A rule of no name is the run that breaks none.
            if let [image, fault, at] = arguments[..]
                && !rule.is_empty()
            {
                cases.push(Case {
                    rule: rule.clone(),
                    image: image.to_owned(),
                    fault: fault.to_owned(),
                    at: at.to_owned(),
                });
            }
        }
    }
    cases
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = r##"
        const DOC: &str = "WDK: a page";
        // const NO: Rule = Rule::new("comment.rule", "nothing");
        const A: Rule = Rule::new("pool.leak", "a \"quoted\" \
            source");
        const B: Rule =
            crate::report::Rule::new(
                "irp.lost",
                DOC,
            );
        const TEXT: &str = r#"Rule::new("text.rule", "nothing")"#;
        const LIFE: &'static char = '"';
    "##;
    const CASES: &str = r#"
        const fn case(rule: &'static str) -> Case { x }
        pub const CASES: &[Case] = &[
            case("pool.leak", FaultyWdm, 2, Unload),
            case(
                "irp.lost",
                Image::FaultyWdm,
                0x13,
                At::Request,
            ).with(&["--no-chacha"]),
        ];
    "#;

    fn rules(text: &str) -> Rules {
        collect_rules(&[tokens(text)]).expect("rules")
    }

    #[test]
    fn rules_are_found_over_line_breaks_and_by_constants() {
        let r = rules(SOURCE);
        assert_eq!(r.keys().collect::<Vec<_>>(), ["irp.lost", "pool.leak"]);
        assert!(r["pool.leak"].contains("a \"quoted\" source"), "{r:?}");
        assert!(r["irp.lost"].contains("WDK: a page"), "{r:?}");
    }

    #[test]
    fn cases_are_found_as_written() {
        let c = collect_cases(&[tokens(CASES)]);
        assert_eq!(c.len(), 2, "{c:?}");
        assert_eq!(
            (c[1].rule.as_str(), c[1].image.as_str(), c[1].fault.as_str(), c[1].at.as_str()),
            ("irp.lost", "FaultyWdm", "0x13", "Request")
        );
        assert!(compare(&rules(SOURCE), &c).is_empty());
    }

    #[test]
    fn a_rule_without_a_case_and_a_case_without_a_rule_are_named() {
        let cases = collect_cases(&[tokens(CASES)]);
        let more = format!("{SOURCE}\nconst N: Rule = Rule::new(\"wait.irql\", DOC);");
        assert_eq!(compare(&rules(&more), &cases), ["wait.irql: no case breaks it"]);
        let fewer = SOURCE.replace("irp.lost", "irp.found");
        assert_eq!(
            compare(&rules(&fewer), &cases),
            ["irp.found: no case breaks it", "irp.lost: a case, but the lab has no such rule"]
        );
    }

    #[test]
    fn a_source_that_is_no_text_fails() {
        assert!(collect_rules(&[tokens("Rule::new(\"a.b\", NOWHERE)")]).is_err());
    }

    #[test]
    fn a_table_that_is_old_differs() {
        let (r, c) = (rules(SOURCE), collect_cases(&[tokens(CASES)]));
        let document = format!("before\n{BEGIN}\n\nold\n{END}\nafter\n");
        let fresh = replace(&document, &table(&r, &c)).expect("marks");
        assert_ne!(fresh, document);
        assert!(fresh.starts_with("before\n") && fresh.ends_with("after\n") && !fresh.contains("old"), "{fresh}");
        assert!(fresh.contains("| `pool.leak` | a \"quoted\" source | FaultyWdm 2, Unload |\n"), "{fresh}");
        assert_eq!(replace(&fresh, &table(&r, &c)).expect("marks"), fresh);
        let more = rules(&format!("{SOURCE}\nconst N: Rule = Rule::new(\"wait.irql\", DOC);"));
        assert_ne!(replace(&fresh, &table(&more, &c)).expect("marks"), fresh);
        assert!(replace("no marks", "").is_err());
    }
}
