//! Drives the driver from user space: by hand, and as a test of a running driver.

#![cfg_attr(
    not(target_os = "linux"),
    expect(dead_code, reason = "what works with namespaces and labs is Linux's alone")
)]

mod commands;
mod conform;
mod device;
mod far;
mod join;
mod key;
mod options;
mod status;
mod targets;
mod tunnel;

#[cfg(target_os = "linux")]
mod churn;
#[cfg(target_os = "linux")]
mod cycle;
#[cfg(target_os = "linux")]
mod faults;
#[cfg(target_os = "linux")]
mod netns;
#[cfg(target_os = "linux")]
mod pair;
#[cfg(target_os = "linux")]
mod rig;
#[cfg(target_os = "linux")]
mod server;
mod tcp;
#[cfg(target_os = "linux")]
mod traced;

use std::process::ExitCode;

use options::{Options, Usage};

const HELP: &str = "\
usage: dco-cli COMMAND [OPTION]...

By hand, on a running lab, or on Windows on the driver that OpenVPN would use:
  version             the driver's version
  stats               the driver's counters; --watch shows rates, --peek asks a lab while OpenVPN holds the device
  drops               why the driver dropped packets, and how many
  tunnel              one end of a tunnel with a static key, until Ctrl-C; new keys on the way

On a lab:
  query WORD...       asks the lab itself: driver, adapter, netcx, objects, violations
  pnp TRANSITION      takes the device through disable, enable, sleep or wake
  stop                unloads the driver and ends the lab; prints its final report

As a test:
  conform             buffers, values, codes, orders of calls, traffic, races: what the interface promises; a line a case
  pair                starts two labs in two namespaces and checks a tunnel between them (Linux)
  server              starts a lab whose driver serves clients of its own, and checks them all (Linux)
  cycle               load, tunnel, close, unload, again and again; nothing may be left behind (Linux)
  faults              each call that may fail on Windows fails, one call stack a run, until no stack is new (Linux)
  churn               peers come and go between labs under sound and unsound traffic (Linux)

`dco-cli COMMAND --help` tells a command's options.

exit status: 0 done, 1 a check failed or the driver refused, 2 wrong usage

examples:
  dco-cli version --target 127.0.0.1:7600
  dco-cli stats --target unix:/tmp/lab.sock --watch
  dco-cli conform --target unix:/tmp/lab.sock
  dco-cli.exe conform --json result.json";

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) if error.is::<Usage>() => {
            eprintln!("dco-cli: {error}");
            ExitCode::from(2)
        }
        Err(error) => {
            eprintln!("dco-cli: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<ExitCode> {
    let mut options = Options::from_env();
    let Some(command) = options.word("a command")? else {
        println!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    };
    match command.as_str() {
        "version" => commands::version(options),
        "stats" => commands::stats(options),
        "drops" => commands::drops(options),
        "query" => commands::query(options),
        "pnp" => commands::pnp(options),
        "stop" => commands::stop(options),
        "tunnel" => tunnel::run(options),
        "conform" => conform::run(options),
        #[cfg(target_os = "linux")]
        "pair" => pair::run(options),
        #[cfg(target_os = "linux")]
        "server" => server::run(options),
        #[cfg(target_os = "linux")]
        "churn" => churn::run(options),
        #[cfg(target_os = "linux")]
        "cycle" => cycle::run(options),
        #[cfg(target_os = "linux")]
        "faults" => faults::run(options),
        other => Err(Usage::new(format!("expected a command, got {other:?}; see dco-cli --help")).into()),
    }
}
