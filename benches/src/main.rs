//! What the core costs over the bare cipher.
//!
//! ```text
//! cargo run --release -p dco-benches -- core [--json] [--check] [--rounds N]
//! cargo run --release -p dco-benches -- chacha
//! cargo run --release -p dco-benches -- peers
//! ```
//!
//! `--json` prints one machine-readable object instead of the table. `--check` exits with 1 if a limit is exceeded.
mod chacha;
mod core_path;
mod peers;
mod report;

use std::process::ExitCode;

use report::Report;

#[global_allocator]
static ALLOCATOR: peers::Counting = peers::Counting;

const USAGE: &str = "usage: dco-benches core [--json] [--check] [--rounds N] | dco-benches chacha | dco-benches peers";

fn main() -> ExitCode {
    match run(std::env::args().skip(1)) {
        Ok(code) => code,
        Err(message) => {
            eprintln!("{message}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn run(mut arguments: impl Iterator<Item = String>) -> Result<ExitCode, String> {
    match arguments.next().as_deref() {
        Some("core") => {}
        Some("chacha") => {
            chacha::run(200);
            return Ok(ExitCode::SUCCESS);
        }
        Some("peers") => {
            peers::run();
            return Ok(ExitCode::SUCCESS);
        }
        Some(other) => return Err(format!("unknown bench: {other}")),
        None => return Err("which bench?".into()),
    }
    let (mut json, mut check, mut rounds) = (false, false, core_path::ROUNDS);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--json" => json = true,
            "--check" => check = true,
            "--rounds" => {
                let number = arguments.next().and_then(|n| n.parse().ok()).filter(|n| *n > 0);
                rounds = number.ok_or("--rounds wants a number above 0")?;
            }
            other => return Err(format!("unknown option: {other}")),
        }
    }
    let report = Report { method: core_path::method(rounds), rows: core_path::run(rounds) };
    if json {
        println!("{}", report.json());
    } else {
        print!("{}", report.table());
    }
    let exceeded = check && report.rows.iter().any(|row| row.ratio > row.limit);
    Ok(ExitCode::from(u8::from(exceeded)))
}
