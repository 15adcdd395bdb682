//! The short commands: version, stats, drops, query, pnp, stop.

use std::process::ExitCode;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use dco_uapi::{Ioctl, additive};

use crate::device::{ADAPTER, Device, NAMED_ROOM, Stats, VERSION, named_counts};
use crate::options::{Item, Options, TARGET_HELP, TargetOption, Usage, target_and_words};
use crate::status::NtStatus;
use crate::targets::Target;
use crate::targets::lab::Lab;

/// `version`.
pub fn version(options: Options) -> Result<ExitCode> {
    let help = format!(
        "usage: dco-cli version [--target ADDRESS]\n\nPrints the driver's version, from the version device, which is free while OpenVPN runs.\n\n\
         {TARGET_HELP}\n\nexample:\n  dco-cli version --target 127.0.0.1:7600"
    );
    let Some((target, words)) = target_and_words(options, &help)? else {
        return Ok(ExitCode::SUCCESS);
    };
    expect_words("version", &words, 0)?;
    let target = target.connect()?;
    let (major, minor, patch) = version_device(&*target)?.version()?;
    println!("{major}.{minor}.{patch}");
    Ok(ExitCode::SUCCESS)
}

fn expect_words(command: &str, words: &[String], count: usize) -> Result<()> {
    match words.len() == count {
        true => Ok(()),
        false => Err(Usage::new(format!("{command}: expected {count} words, got {words:?}; see --help")).into()),
    }
}

/// As OpenVPN does: a driver older than the version device tells its version through the adapter.
fn version_device(target: &dyn Target) -> Result<Device> {
    Device::open(target, VERSION).or_else(|_| Device::open(target, ADAPTER))
}

/// `stats`.
pub fn stats(mut options: Options) -> Result<ExitCode> {
    let help = format!(
        "usage: dco-cli stats [--watch [--every SECONDS]] [--peek] [--target ADDRESS]\n\nPrints the driver's counters.\n\n\
         \x20 --watch             a table with a line each second, until Ctrl-C\n\
         \x20 --every SECONDS     how often (default 1)\n\
         \x20 --peek              asks through the lab, on the handle of whoever holds the device\n\
         {TARGET_HELP}\n\nexamples:\n  dco-cli stats --target 127.0.0.1:7600\n  dco-cli stats --peek --watch --target 127.0.0.1:7600"
    );
    let (mut target, mut watch, mut peek, mut every) = (TargetOption::default(), false, false, 1u32);
    while let Some(item) = options.item()? {
        match &item {
            Item::Option(name) if name == "help" => {
                println!("{help}");
                return Ok(ExitCode::SUCCESS);
            }
            Item::Option(name) if name == "watch" => watch = true,
            Item::Option(name) if name == "peek" => peek = true,
            Item::Option(name) if name == "every" => every = options.value("every")?,
            item if target.take(item, &mut options)? => {}
            item => return Err(Options::unexpected(item)),
        }
    }
    if every == 0 {
        return Err(Usage::new("--every: expected a second or more, got 0").into());
    }
    if peek {
        let lab = target.connect_lab()?;
        return show_stats(|| peek_stats(&lab), watch.then_some(every));
    }
    let target = target.connect()?;
    let device = Device::open(&*target, ADAPTER).context("with --peek the holder need not let go")?;
    show_stats(|| device.stats(), watch.then_some(every))
}

fn show_stats(stats: impl Fn() -> Result<Stats>, every: Option<u32>) -> Result<ExitCode> {
    let Some(every) = every else {
        print!("{}", stats()?);
        return Ok(ExitCode::SUCCESS);
    };
    let mut before = stats()?;
    for line in 0u64.. {
        if line.is_multiple_of(20) {
            println!("{}", Stats::WATCH_HEAD);
        }
        sleep(Duration::from_secs(every.into()));
        let now = stats()?;
        println!("{}", now.watch_line(&before, every));
        before = now;
    }
    Ok(ExitCode::SUCCESS)
}

/// `drops`.
pub fn drops(mut options: Options) -> Result<ExitCode> {
    let help = format!(
        "usage: dco-cli drops [--peer ID] [--peek] [--target ADDRESS]\n\n\
         Prints every reason for which the driver drops packets, and how many it dropped.\n\n\
         \x20 --peer ID           of one peer (point to point, of the only one), and how many of its packets passed\n\
         \x20 --peek              asks through the lab, on the handle of whoever holds the device\n\
         {TARGET_HELP}\n\n\
         examples:\n  dco-cli drops --target 127.0.0.1:7600\n  dco-cli drops --peer 3 --peek --target 127.0.0.1:7600"
    );
    let (mut target, mut peek, mut peer) = (TargetOption::default(), false, None::<i32>);
    while let Some(item) = options.item()? {
        match &item {
            Item::Option(name) if name == "help" => {
                println!("{help}");
                return Ok(ExitCode::SUCCESS);
            }
            Item::Option(name) if name == "peek" => peek = true,
            Item::Option(name) if name == "peer" => peer = Some(options.value("peer")?),
            item if target.take(item, &mut options)? => {}
            item => return Err(Options::unexpected(item)),
        }
    }
    let counts = if peek {
        let lab = target.connect_lab()?;
        let (what, code, input) = match peer {
            Some(id) => ("GET_PEER_DROPS", additive::GET_PEER_DROPS, &id.to_le_bytes()[..]),
            None => ("GET_DROPS", additive::GET_DROPS, &[][..]),
        };
        named_counts(what, &self::peek(&lab, code, NAMED_ROOM, input)?)?
    } else {
        let target = target.connect()?;
        let device = Device::open(&*target, ADAPTER).context("with --peek the holder need not let go")?;
        match peer {
            Some(id) => device.peer_drops(id)?,
            None => device.drops()?,
        }
    };
    for (name, count) in counts {
        println!("{name} {count}");
    }
    Ok(ExitCode::SUCCESS)
}

/// The counters through the lab, which sends GET_STATS on the file that is open.
pub fn peek_stats(lab: &Lab) -> Result<Stats> {
    Stats::from_bytes(&peek(lab, Ioctl::GetStats.code(), size_of::<dco_uapi::raw::Stats>(), &[])?)
}

/// What a request answers that the lab sends on the file that is open.
pub fn peek(lab: &Lab, code: u32, room: usize, input: &[u8]) -> Result<Vec<u8>> {
    let input: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
    let text = query_lab(lab, format!("peek {code:x} {room} {input}").trim_end())?;
    let digits = text.trim();
    let bytes: Option<Vec<u8>> = (0..digits.len() / 2)
        .map(|index| digits.get(index * 2..index * 2 + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok()))
        .collect();
    bytes.with_context(|| format!("peek: expected hexadecimal digits, got {digits:?}"))
}

/// One question to the lab.
pub fn query_lab(lab: &Lab, command: &str) -> Result<String> {
    match lab.query(command)? {
        Ok(text) => Ok(text),
        Err(NtStatus::INVALID_PARAMETER) => bail!("the lab does not know the question {command:?}"),
        Err(status) => bail!("the lab answers {command:?} with {status}"),
    }
}

/// `query`.
pub fn query(options: Options) -> Result<ExitCode> {
    let help = format!(
        "usage: dco-cli query WORD... [--target ADDRESS]\n\nAsks the lab: version, driver, adapter, netcx, objects, violations.\n\n\
         {TARGET_HELP}\n\nexample:\n  dco-cli query driver --target 127.0.0.1:7600"
    );
    let Some((target, words)) = target_and_words(options, &help)? else {
        return Ok(ExitCode::SUCCESS);
    };
    if words.is_empty() {
        return Err(Usage::new("query: expected what to ask, got nothing; see --help").into());
    }
    println!("{}", query_lab(&target.connect_lab()?, &words.join(" "))?.trim_end());
    Ok(ExitCode::SUCCESS)
}

/// `pnp`.
pub fn pnp(options: Options) -> Result<ExitCode> {
    let help = format!(
        "usage: dco-cli pnp disable|enable|sleep|wake [--target ADDRESS]\n\nTakes the lab's device through a transition.\n\n\
         {TARGET_HELP}\n\nexample:\n  dco-cli pnp sleep --target 127.0.0.1:7600"
    );
    let Some((target, words)) = target_and_words(options, &help)? else {
        return Ok(ExitCode::SUCCESS);
    };
    expect_words("pnp", &words, 1)?;
    match target.connect_lab()?.pnp(&words.concat())? {
        NtStatus::SUCCESS => Ok(ExitCode::SUCCESS),
        status => bail!("{}: expected SUCCESS, got {status}", words.concat()),
    }
}

/// `stop`.
pub fn stop(options: Options) -> Result<ExitCode> {
    let help = format!(
        "usage: dco-cli stop [--target ADDRESS]\n\nStops the device, unloads the driver, and prints the lab's final report: what was left behind, what was violated.\n\n\
         {TARGET_HELP}\n\nexample:\n  dco-cli stop --target 127.0.0.1:7600"
    );
    let Some((target, words)) = target_and_words(options, &help)? else {
        return Ok(ExitCode::SUCCESS);
    };
    expect_words("stop", &words, 0)?;
    let (status, report) = target.connect_lab()?.stop()?;
    println!("{}", report.trim_end());
    match status {
        NtStatus::SUCCESS => Ok(ExitCode::SUCCESS),
        status => bail!("expected a clean end, got {status}"),
    }
}
