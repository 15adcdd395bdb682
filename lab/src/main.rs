//! `dco-lab`: runs a Windows driver image on Linux, strictly. `dco-lab --help` says how.

use dco_lab::{cng, crash, etw, fault, ke, netcx, options, pe, pnp, pool, report, rtl, server, thunk, wdf, wsk};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const HELP: &str = "\
dco-lab: loads a Windows kernel driver (.sys, x86-64) into this process and gives it NT, strictly

usage:
  dco-lab run --sys FILE [--tun NAME] [--listen ADDR] [options]
  dco-lab check --sys FILE

run    loads the driver, adds and starts its device, and serves docs/lab-protocol.md on ADDR. Prints one line
       `ready listen=ADDR sha256=HEX` when the device has started. SIGINT and SIGTERM stop it as the STOP request does.
check  lists the file's imports and says which the lab provides.

options of run:
  --sys FILE             the driver image
  --tun NAME             name of the TUN interface that stands for the network stack's side of the adapter
  --listen ADDR          127.0.0.1:PORT (0: any port; the default) or unix:/path
  --registry KEY\\NAME=V  a value under the driver's service key; V is dword:N, text:T or T. May be repeated
  --keyword NAME=N       a keyword of the adapter's configuration, as a user sets it in the adapter's properties. May be repeated
  --verbose              shows all of the driver's debug output
  --trace FILE           a trace session listens: a line for each event of the driver's goes to FILE; -: to standard error
  --trace-level N, --trace-keyword N
                         what the session wants: events up to this level, with one of these keywords (0, the default: all)
  --trace-bytes          each line ends with the bytes of the event's data
  --fail-alloc N         the driver's N-th pool allocation from now on fails (0: the first)
  --fault-log FILE       the first call that may fail, made from a stack that FILE has not, fails once, and its stack is added to
                         FILE; `dco-cli faults` runs a scenario so until no stack is new
  --fault-at STACK       the call made from this stack, a line of such a FILE, fails once
  --patience SECONDS     how long a request that Windows waits for may take (60; those of a closed file: 30)
  --special-pool         the driver's blocks end where a page does, and go away when they are freed: each wrong access faults
  --schedule SEED        one thread of the driver's at a time; who runs next is drawn from SEED at each scheduling point
  --record FILE          writes the schedule down (with --schedule, SEED 0 if it is not given)
  --replay FILE          repeats a recorded schedule, step by step
  --time virtual         the clock stands still while anything can run, and jumps to the next timer when nothing can and
                         every client waits for an answer; schedules, too
  --no-chacha            CNG without ChaCha20-Poly1305, as before Windows Server 2022
  --wsk-completion HOW   inline, async or alternate: when WSK completes an IRP
  --wsk-segments N       streams arrive in pieces of at most N bytes, their MDL chains cut at odd places
  --net PARTS            delay=MS,reorder=N,drop=N,die=N,seed=N: what WSK sockets send is delayed; one datagram in N is
                         reordered, dropped; a datagram socket is dead after N datagrams, a listening one after
                         N connections
  --wsk-locked-mdls      datagrams come in MDLs that are not mapped yet
  --tx-fragments N, --ring N, --advance passive|dispatch|alternate
                         how the adapter's queues are served

Options may also come from the environment, in DCO_LAB_OPTIONS: for runs of scripts that start labs themselves.

exit status:
  0   the driver was stopped and left nothing behind
  70  a violation: the driver broke a rule, leaked, or faulted (the report is on standard error)
  64  a usage error
  65  the image was not loaded: no driver image, or imports that the lab does not provide
  69  the driver's entry point, AddDevice or start failed
  71  the host refused something (a socket, a thread)
  72  a replay went otherwise than it was recorded

examples:
  dco-lab check --sys ovpn-dco.sys
  dco-lab run --sys ovpn-dco.sys --tun dco0 --listen unix:/run/lab.sock
  dco-lab run --sys ovpn-dco.sys --tun dco0 --listen 127.0.0.1:7001 --registry 'Parameters\\LogLevel=dword:3'
";

const USAGE: u8 = 64;
const NOT_LOADED: u8 = 65;
const NOT_STARTED: u8 = 69;
const HOST: u8 = 71;

/// A failure with its exit status.
struct Failure(u8, String);

fn usage(text: impl Into<String>) -> Failure {
    Failure(USAGE, format!("{} (see dco-lab --help)", text.into()))
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.is_empty() || arguments.iter().any(|a| a == "--help" || a == "-h" || a == "help") {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    }
    let result = match arguments.split_first() {
        Some((c, rest)) if c == "run" => run(rest),
        Some((c, rest)) if c == "check" => check(rest),
        Some((c, _)) => Err(usage(format!("unknown command {c:?}"))),
        None => Ok(()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure(code, text)) => {
            // A report of a violation stands on lines of its own.
            eprintln!("dco-lab:{}{text}", if text.starts_with("violation: ") { "\n" } else { " " });
            ExitCode::from(code)
        }
    }
}

/// Options that take no value.
const SWITCHES: &[&str] = &["verbose", "trace-bytes", "no-chacha", "special-pool", "wsk-locked-mdls"];
/// Options that take one.
const VALUES: &[&str] = &[
    "sys",
    "tun",
    "schedule",
    "record",
    "replay",
    "time",
    "patience",
    "listen",
    "registry",
    "keyword",
    "trace",
    "trace-level",
    "trace-keyword",
    "fail-alloc",
    "fault-log",
    "fault-at",
    "wsk-completion",
    "wsk-segments",
    "net",
    "tx-fragments",
    "ring",
    "advance",
];

fn parse(arguments: &[String]) -> Result<Vec<(String, String)>, Failure> {
    let mut given = Vec::new();
    let mut rest = arguments.iter();
    while let Some(a) = rest.next() {
        let Some(name) = a.strip_prefix("--") else { return Err(usage(format!("{a:?} is no option"))) };
        let (name, value) = match name.split_once('=') {
            Some((n, v)) => (n, Some(v.to_owned())),
            None => (name, None),
        };
        if SWITCHES.contains(&name) && value.is_none() {
            given.push((name.to_owned(), String::new()));
        } else if VALUES.contains(&name) {
            let value = match value {
                Some(v) => v,
                None => rest.next().cloned().ok_or_else(|| usage(format!("--{name} needs a value")))?,
            };
            given.push((name.to_owned(), value));
        } else {
            return Err(usage(format!("unknown option --{name}")));
        }
    }
    Ok(given)
}

fn one<'a>(given: &'a [(String, String)], name: &str) -> Option<&'a str> {
    given.iter().rev().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
}

fn sys(given: &[(String, String)]) -> Result<PathBuf, Failure> {
    one(given, "sys").map(PathBuf::from).ok_or_else(|| usage("--sys FILE is missing"))
}

fn check(arguments: &[String]) -> Result<(), Failure> {
    let path = sys(&parse(arguments)?)?;
    let (bytes, image) = pe::read(&path).map_err(|e| Failure(NOT_LOADED, e.to_string()))?;
    println!("{}: sha256 {}", path.display(), pe::sha256(&bytes));
    for s in &image.sections {
        let flag = |on: bool, c: char| if on { c } else { '-' };
        println!(
            "section {:8} {:#010x} {:#8x} {}{}{}{}",
            s.name,
            s.address,
            s.size,
            flag(s.readable(), 'r'),
            flag(s.writable(), 'w'),
            flag(s.executable(), 'x'),
            flag(s.discardable(), 'd')
        );
    }
    for i in &image.imports {
        let have = thunk::address_of(&i.module, &i.name).is_some();
        println!("import  {}!{} {}", i.module, i.name, if have { "provided" } else { "NOT PROVIDED" });
    }
    let missing = pe::unknown_imports(&image);
    println!(
        "{} imports, {} not provided; the lab has {} exports",
        image.imports.len(),
        missing.len(),
        thunk::export_count()
    );
    if missing.is_empty() {
        Ok(())
    } else {
        Err(Failure(NOT_LOADED, format!("{} import(s) not provided", missing.len())))
    }
}

fn apply(given: &[(String, String)]) -> Result<(), Failure> {
    for (name, value) in given {
        match name.as_str() {
            "verbose" => rtl::print::set_verbose(true),
            "no-chacha" => cng::offer_chacha(false),
            "special-pool" => pool::special::switch_on(),
            "wsk-locked-mdls" => wsk::set_locked_only(true),
            "registry" => wdf::registry::set_from_option(value).map_err(usage)?,
            "keyword" => {
                let (name, number) = value
                    .split_once('=')
                    .and_then(|(name, n)| Some((name, n.parse().ok()?)))
                    .ok_or_else(|| usage(format!("--keyword {value:?} is not NAME=N")))?;
                netcx::set_configuration(name, number);
            }
            "fail-alloc" => pool::fail_in(value.parse().map_err(|e| usage(format!("--fail-alloc {value:?}: {e}")))?),
            "trace" => etw::trace_to(value).map_err(|e| Failure(HOST, e))?,
            "trace-bytes" => etw::show_bytes(),
            "trace-level" => {
                etw::set_level(value.parse().map_err(|e| usage(format!("--trace-level {value:?}: {e}")))?);
            }
            "trace-keyword" => {
                etw::set_keyword(value.parse().map_err(|e| usage(format!("--trace-keyword {value:?}: {e}")))?);
            }
            "fault-log" => fault::log_to(value).map_err(|e| Failure(HOST, e))?,
            "fault-at" => fault::at(value),
            "wsk-completion" => wsk::set_completion(match value.as_str() {
                "inline" => wsk::Completion::Inline,
                "async" => wsk::Completion::Async,
                "alternate" => wsk::Completion::Alternate,
                other => return Err(usage(format!("--wsk-completion {other:?} is not inline, async or alternate"))),
            }),
            "wsk-segments" => {
                wsk::set_segments(value.parse().map_err(|e| usage(format!("--wsk-segments {value:?}: {e}")))?);
            }
            "net" => wsk::set_net(value).map_err(|e| usage(format!("--net: {e}")))?,
            _ => {}
        }
        options::set(name, value);
    }
    Ok(())
}

/// Turns the scheduler on, where an option asks for it. The calling thread is the first that it schedules.
fn schedule(given: &[(String, String)]) -> Result<(), Failure> {
    let time = one(given, "time");
    match time {
        None | Some("real") => {}
        Some("virtual") => ke::time::make_virtual(),
        Some(other) => return Err(usage(format!("--time {other:?} is neither real nor virtual"))),
    }
    let seed = one(given, "schedule");
    let options = ke::sched::Options {
        seed: seed.unwrap_or("0").parse().map_err(|e| usage(format!("--schedule {seed:?}: {e}")))?,
        record: one(given, "record").map(str::to_owned),
        replay: one(given, "replay").map(str::to_owned),
    };
    if seed.is_some() || options.record.is_some() || options.replay.is_some() || time == Some("virtual") {
        ke::sched::start(&options).map_err(|e| Failure(HOST, e))?;
    }
    Ok(())
}

fn run(arguments: &[String]) -> Result<(), Failure> {
    let mut given = parse(arguments)?;
    if let Ok(more) = std::env::var("DCO_LAB_OPTIONS") {
        let more: Vec<String> = more.split_whitespace().map(str::to_owned).collect();
        eprintln!("dco-lab: with {} from the environment", more.join(" "));
        given.extend(parse(&more)?);
    }
    let path = sys(&given)?;
    apply(&given)?;
    let signals = block_signals();
    // After that: the watch is a thread, and signals are not for it.
    schedule(&given)?;
    crash::prepare_thread();
    let server = server::Server::bind(one(&given, "listen").unwrap_or("127.0.0.1:0")).map_err(|e| Failure(HOST, e))?;
    let address = server.address();
    ke::spawn("lab-signals", {
        let address = address.clone();
        move || {
            ke::sched::outside("signal", || wait_for_signal(&signals));
            let (code, report) = server::stop();
            server::finish(code, &report, Some(&address));
        }
    })
    .map_err(|e| Failure(HOST, format!("no thread for signals: {e}")))?;
    start(&path)?;
    println!("ready listen={address} sha256={}", pnp::driver_hash());
    server.run()
}

fn start(path: &Path) -> Result<(), Failure> {
    // What failed, but left something behind, is a violation.
    let exit = || {
        if report::collected().is_empty() {
            NOT_STARTED
        } else {
            u8::try_from(report::EXIT_VIOLATION).unwrap_or(NOT_STARTED)
        }
    };
    pnp::load(path).map_err(|e| {
        let entry = e.starts_with("the driver's entry point");
        Failure(if entry { exit() } else { NOT_LOADED }, with_fault(e))
    })?;
    if let Err(code) = pnp::start() {
        let (_, report) = pnp::unload();
        let (exit, report) = (exit(), with_fault(report));
        return Err(Failure(exit, format!("the device did not start: {code:#010x}\n{report}")));
    }
    Ok(())
}

/// A report with the failure that was injected, where there was one.
fn with_fault(report: String) -> String {
    match fault::injected() {
        Some(stack) => format!("{report}\ninjected {stack}"),
        None => report,
    }
}

#[expect(unsafe_code, reason = "signal masks have no safe interface in std")]
fn block_signals() -> libc::sigset_t {
    // SAFETY: the set is ours; threads made later inherit the mask, so that only the signal thread takes these.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGINT);
        libc::sigaddset(&raw mut set, libc::SIGTERM);
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
        set
    }
}

#[expect(unsafe_code, reason = "as above")]
fn wait_for_signal(set: &libc::sigset_t) {
    let mut signal = 0;
    // SAFETY: both pointers are to values of this frame.
    while unsafe { libc::sigwait(set, &raw mut signal) } != 0 {}
}
