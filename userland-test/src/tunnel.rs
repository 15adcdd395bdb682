//! One end of a tunnel with a static key: what OpenVPN does with the driver, without its control channel.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::device::{ADAPTER, Client, Device, Event, PROMPT, PeerSettings, Protocol, READ_LENGTH, Slot};
use crate::far::{DRIVER, DataKey, Far, PING};
use crate::key::{Cipher, Direction, StaticKey};
use crate::options::{Item, Options, TARGET_HELP, TargetOption, Usage};
use crate::status::NtStatus;

/// What a tunnel is made of.
pub struct Tunnel<'a> {
    /// Where to bind.
    pub local: SocketAddr,
    /// Where the other end is.
    pub remote: SocketAddr,
    /// The id in outgoing headers.
    pub peer_id: u32,
    /// The first key, with key-id 0.
    pub key: &'a StaticKey,
    /// Keepalive and MSS; OpenVPN asks for them only if one is set.
    pub settings: Option<PeerSettings>,
}

impl Tunnel<'_> {
    /// Brings the tunnel up, in OpenVPN's order: the link comes up before there are keys.
    pub fn up(&self, device: &Device) -> Result<()> {
        self.up_over(Protocol::Udp, device)
    }

    /// The same over UDP or TCP.
    pub fn up_over(&self, protocol: Protocol, device: &Device) -> Result<()> {
        device.new_peer_over(protocol, self.local, self.remote)?;
        device.start_vpn()?;
        if let Some(settings) = self.settings {
            device.set_peer(settings)?;
        }
        device.new_key(self.key, Slot::Primary, 0, self.peer_id)
    }
}

/// Waits until a server's machine takes what comes: its receive queue starts some time after the link is up, and what comes before is dropped as
/// `RxNoQueue`. A peer of its own pings until one is counted.
pub fn wait_for_queue(device: &Device, far: &Far) -> Result<()> {
    const ID: i32 = 999;
    let key = StaticKey::of_test(ID as u64, Cipher::Aes256, DRIVER);
    device.add_peer(&Client { id: ID, remote: far.address()?, vpn4: None, vpn6: None })?;
    device.new_key(&key, Slot::Primary, 0, ID.cast_unsigned())?;
    let key = DataKey::opposite(&key, 0, ID.cast_unsigned())?;
    let (deadline, mut sent) = (Instant::now() + PROMPT, 0);
    while device.client_stats(ID)?.link_rx_bytes.get() == 0 {
        ensure!(Instant::now() < deadline, "expected a receive queue within {PROMPT:?}");
        sent += 1;
        far.send(&key.seal(sent, &PING)?)?;
        thread::sleep(Duration::from_millis(5));
    }
    // It waits first: events that come before their request are another case.
    let mut event = device.notify_event()?;
    device.del_client(ID)?;
    let came = event.wait(PROMPT)?.context("expected the event of its end")?;
    ensure!(Event::from_bytes(&came.output)? == Event::DelPeer(ID, 1), "expected the event of its end, got {came:?}");
    Ok(())
}

/// `--keepalive INTERVAL,TIMEOUT`.
struct Keepalive {
    interval: u16,
    timeout: u16,
}

impl FromStr for Keepalive {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("expected INTERVAL,TIMEOUT in seconds, got {text:?}");
        let (interval, timeout) = text.split_once(',').ok_or_else(wrong)?;
        Ok(Self { interval: interval.parse().map_err(|_| wrong())?, timeout: timeout.parse().map_err(|_| wrong())? })
    }
}

/// `tunnel`.
pub fn run(mut options: Options) -> Result<ExitCode> {
    let help = format!(
        "usage: dco-cli tunnel --local IP:PORT --remote IP:PORT --key FILE|HEX --direction 0|1 [OPTION]...\n\n\
         Makes one end of a tunnel and holds it until Ctrl-C. The other end has the same key and the other direction.\n\
         While it is up, these words are taken from the input, a line each:\n\n\
         \x20 key FILE|HEX        installs the next key, beside the one in use; the other end needs it too\n\
         \x20 swap                sends with that key from now on\n\
         \x20 stats               the counters\n\
         \x20 drops               why packets were dropped, and how many\n\
         \x20 quit                takes the tunnel down\n\n\
         \x20 --local IP:PORT     where to bind\n\
         \x20 --remote IP:PORT    where the other end is\n\
         \x20 --key FILE|HEX      a static key: a file of `openvpn --genkey secret FILE`, or its 512 digits\n\
         \x20 --direction 0|1     which half of the key is sent with\n\
         \x20 --cipher NAME       aes-128-gcm, aes-192-gcm, aes-256-gcm (default), chacha20-poly1305\n\
         \x20 --tcp               over TCP: connects to the other end, which is no driver\n\
         \x20 --peer-id N         in outgoing packets (default 0)\n\
         \x20 --keepalive I,T     ping after I seconds of silence, give up after T\n\
         \x20 --mss N             lower TCP's MSS to N\n\
         {TARGET_HELP}\n\n\
         The addresses of the tunnel are the adapter's; give them to it as to any (ip address add, netsh interface ip set address).\n\n\
         examples:\n  openvpn --genkey secret static.key\n  \
         dco-cli tunnel --local 192.0.2.1:1194 --remote 192.0.2.2:1194 --key static.key --direction 0 --keepalive 10,60\n  \
         dco-cli tunnel --local [2001:db8::2]:1194 --remote [2001:db8::1]:1194 --key static.key --direction 1"
    );
    let (mut target, mut settings) = (TargetOption::default(), None::<PeerSettings>);
    let (mut local, mut remote, mut key, mut direction) = (None, None, None::<String>, None);
    let (mut cipher, mut peer_id, mut protocol) = (Cipher::Aes256, 0u32, Protocol::Udp);
    while let Some(item) = options.item()? {
        let name = match &item {
            item if target.take(item, &mut options)? => continue,
            Item::Option(name) => name.as_str(),
            Item::Word(_) => return Err(Options::unexpected(&item)),
        };
        match name {
            "help" => {
                println!("{help}");
                return Ok(ExitCode::SUCCESS);
            }
            "local" => local = Some(options.value("local")?),
            "remote" => remote = Some(options.value("remote")?),
            "key" => key = Some(options.value("key")?),
            "direction" => direction = Some(options.value::<Direction>("direction")?),
            "cipher" => cipher = options.value("cipher")?,
            "peer-id" => peer_id = options.value("peer-id")?,
            "tcp" => protocol = Protocol::Tcp,
            "mss" => settings.get_or_insert_default().mss = Some(options.value("mss")?),
            "keepalive" => {
                let Keepalive { interval, timeout } = options.value("keepalive")?;
                let settings = settings.get_or_insert_default();
                settings.keepalive_interval = Some(interval);
                settings.keepalive_timeout = Some(timeout);
            }
            _ => return Err(Options::unexpected(&item)),
        }
    }
    let (Some(local), Some(remote), Some(key), Some(direction)) = (local, remote, key, direction) else {
        return Err(Usage::new("tunnel: expected --local, --remote, --key and --direction; see --help").into());
    };
    if peer_id >= 1 << 24 {
        return Err(Usage::new(format!("--peer-id: expected at most 24 bits, got {peer_id}")).into());
    }
    let key = StaticKey::load(&key, cipher, direction)?;

    let stop = Arc::new(AtomicBool::new(false));
    let on_signal = Arc::clone(&stop);
    ctrlc::set_handler(move || on_signal.store(true, Ordering::Relaxed)).context("catching Ctrl-C")?;

    let target = target.connect()?;
    let device = Device::open(&*target, ADAPTER)?;
    Tunnel { local, remote, peer_id, key: &key, settings }.up_over(protocol, &device)?;
    println!("up: {local} to {remote}, {}; Ctrl-C ends it", cipher.name());
    let hand = Hand { device: &device, cipher, direction, peer_id, key_id: 0 };
    let held = hold(hand, &stop);
    print!("{}", device.stats()?);
    device.del_peer()?;
    device.close()?;
    held.map(|()| ExitCode::SUCCESS)
}

/// What the words of the input act on.
struct Hand<'a> {
    device: &'a Device,
    cipher: Cipher,
    direction: Direction,
    peer_id: u32,
    /// Of the last key.
    key_id: u8,
}

impl Hand<'_> {
    /// Does what a line says; false ends the tunnel. A line that cannot be followed is told of, and nothing else.
    fn follow(&mut self, line: &str) -> Result<bool> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [] => {}
            ["key", key] => {
                let key = StaticKey::load(key, self.cipher, self.direction)?;
                // OpenVPN's way: 0 is the first key's alone.
                let next = self.key_id % 7 + 1;
                self.device.new_key(&key, Slot::Secondary, next, self.peer_id)?;
                self.key_id = next;
                println!("key {next} is installed, to be swapped in");
            }
            ["swap"] => {
                self.device.swap_keys()?;
                println!("swapped");
            }
            ["stats"] => print!("{}", self.device.stats()?),
            ["drops"] => {
                let drops = self.device.drops()?;
                drops.iter().filter(|(_, count)| *count != 0).for_each(|(name, count)| println!("{name} {count}"));
            }
            ["quit"] => return Ok(false),
            _ => bail!("expected key FILE|HEX, swap, stats, drops or quit, got {line:?}"),
        }
        Ok(true)
    }
}

/// Lines of the input, as they come.
fn lines() -> Receiver<String> {
    let (sender, receiver) = channel();
    // Blocked in a read when the process ends, which ends it.
    thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

/// Reads control packets and follows the input until told to stop; the end of the peer is an error.
fn hold(mut hand: Hand<'_>, stop: &AtomicBool) -> Result<()> {
    let lines = lines();
    loop {
        let mut read = hand.device.read(READ_LENGTH)?;
        let completion = loop {
            if stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            if let Some(completion) = read.wait(Duration::from_millis(100))? {
                break completion;
            }
            for line in lines.try_iter() {
                match hand.follow(&line) {
                    Ok(true) => {}
                    Ok(false) => return Ok(()),
                    Err(error) => eprintln!("dco-cli: {error:#}"),
                }
            }
        };
        match completion.status {
            NtStatus::SUCCESS => println!("a control packet of {} bytes, ignored", completion.output.len()),
            NtStatus::CONNECTION_DISCONNECTED => {
                bail!("the other end has been silent for too long")
            }
            NtStatus::CONNECTION_ABORTED => bail!("the other end has ended the connection"),
            status => bail!("read: expected a packet, got {status}"),
        }
    }
}
