//! What the driver tells ETW, as the lab's session prints it: read, compared, and searched for keys.

use std::fmt::Write;

use anyhow::{Context, Result, ensure};

use crate::key::StaticKey;

/// The first line: who tells.
pub const PROVIDER: &str = "provider OpenVPN.DcoRs {1febeb07-696a-5cda-9c9d-a663f210b0a6}";

/// One event.
pub struct Line {
    /// As it is printed.
    pub text: String,
    /// Its data.
    bytes: Vec<u8>,
}

/// The events that were told.
pub fn lines(text: &str) -> Result<Vec<Line>> {
    text.lines()
        .map(|line| {
            let line = line.strip_prefix("etw: ").with_context(|| format!("no event: {line:?}"))?;
            let (text, hex) = line.split_once(" bytes=").unwrap_or((line, ""));
            let digits: Option<Vec<u8>> = hex.chars().map(|c| c.to_digit(16).map(|d| d as u8)).collect();
            let digits = digits.with_context(|| format!("no bytes: {hex:?}"))?;
            Ok(Line { text: text.to_owned(), bytes: digits.chunks(2).map(|d| d[0] << 4 | d[d.len() - 1]).collect() })
        })
        .collect()
}

/// Whether the words are alike; `Name=*` is any value.
pub fn matches(event: &str, pattern: &str) -> bool {
    let (event, pattern): (Vec<_>, Vec<_>) = (event.split(' ').collect(), pattern.split(' ').collect());
    event.len() == pattern.len()
        && event.iter().zip(pattern).all(|(word, wanted)| match wanted.strip_suffix('*') {
            Some(name) => word.starts_with(name),
            None => *word == wanted,
        })
}

/// As many bytes of a key in a row are a find.
const RUN: usize = 6;

/// The bytes of keys and nonce tails.
fn bytes_of(keys: &[StaticKey]) -> Vec<Vec<u8>> {
    let halves = keys.iter().flat_map(|key| {
        let (seal, open) = key.halves();
        [seal.key, open.key, seal.nonce_tail, open.nonce_tail]
    });
    halves.map(<[u8]>::to_vec).collect()
}

/// That no key is in what was told, and that one that is planted would be found.
pub fn keyless(told: &[&str], keys: &[StaticKey]) -> Result<String> {
    let secrets = bytes_of(keys);
    let searched = told.iter().map(|text| no_key_in(text, &secrets)).sum::<Result<usize>>()?;
    let first = told.iter().flat_map(|text| text.lines()).find(|line| line.contains(" bytes="));
    for planted in plants(first.context("an event with bytes")?, &secrets) {
        ensure!(no_key_in(&planted, &secrets).is_err(), "a key was planted and not found: {planted}");
    }
    Ok(format!("{searched} lines, no {RUN} bytes of any key in them; planted ones are found"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Looks for keys in what events hold, as bytes either way round, and as hexadecimal text; returns how many lines there were.
fn no_key_in(text: &str, secrets: &[Vec<u8>]) -> Result<usize> {
    let lines = lines(text)?;
    for secret in secrets {
        let reversed: Vec<u8> = secret.iter().rev().copied().collect();
        for run in secret.windows(RUN).chain(reversed.windows(RUN)) {
            let digits = hex(run);
            let found = lines.iter().find(|line| {
                line.bytes.windows(RUN).any(|bytes| bytes == run) || line.text.to_lowercase().contains(&digits)
            });
            if let Some(line) = found {
                anyhow::bail!("bytes of a key are in {:?}, {}", line.text, hex(&line.bytes));
            }
        }
    }
    Ok(lines.len())
}

/// The line with a piece of a key in it, in several ways.
fn plants(line: &str, secrets: &[Vec<u8>]) -> Vec<String> {
    let mut plants = Vec::new();
    for secret in [&secrets[0], &secrets[3]] {
        let piece = &secret[1..1 + RUN];
        let back: Vec<u8> = piece.iter().rev().copied().collect();
        plants.push(format!("{line}00{}", hex(piece)));
        plants.push(format!("{line}00{}", hex(&back)));
        plants.push(line.replacen(" bytes=", &format!(" Text=\"{}\" bytes=", hex(piece).to_uppercase()), 1));
    }
    plants
}
