//! Drives the Linux module, or any that speaks one of the two interfaces, by netlink and without OpenVPN: the sister of the Windows
//! `dco-cli`. docs/linux.md has examples.

mod commands;
mod decode;
mod encode;
mod ethtool;
mod failure;
mod input;
mod interface;

mod link;
mod module;
mod netlink;

mod show;
mod stop;
mod transport;
mod tunnel;
mod values;
mod wire;

use std::process::ExitCode;

use dco_cli_base::options::{Options, Usage};
use failure::exit_code;

const HELP: &str = "\
usage: dco-cli-linux COMMAND [OPTION]...

  tunnel              one end of a tunnel with a static key, until Ctrl-C; new keys on the way
  stats DEVICE        the counters of a device's peers; --watch shows rates
  drops DEVICE        why packets were dropped, and how many (our module)
  events              what the module tells of: peers that ended, floated, keys that are nearly used up
  version             which modules are there

  device WORD         list, add, set, del
  peer WORD DEVICE    get, set, del
  key WORD DEVICE     new, get, swap, del

`dco-cli-linux COMMAND --help` tells a command's options. Works with our module, with ovpn-dco-v2 and with the kernel's own ovpn, beside
OpenVPN or without it. It takes CAP_NET_ADMIN.

exit status: 0 done, 1 the kernel refused or something failed, 2 wrong usage, 3 no module to talk to, 4 the tunnel ended by itself

examples:
  dco-cli-linux version
  dco-cli-linux tunnel --local 192.0.2.1:1194 --remote 192.0.2.2:1194 --key static.key --direction 0 --address 10.8.0.1/24
  dco-cli-linux stats tun0 --watch";

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("dco-cli-linux: {error:#}");
            exit_code(&error)
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
        "tunnel" => tunnel::run(options),
        "stats" => commands::stats(options),
        "drops" => commands::drops(options),
        "events" => commands::events(options),
        "version" => commands::version(options),
        "device" => commands::device(options),
        "peer" => commands::peer(options),
        "key" => commands::key(options),
        other => Err(Usage::new(format!("expected a command, got {other:?}; see dco-cli-linux --help")).into()),
    }
}
