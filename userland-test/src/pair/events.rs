//! What the driver tells ETW, as the lab's session prints it (docs/events.md).

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use dco_uapi::{Ioctl, additive};

use super::{Checks, Pair};
use crate::device::{ADAPTER, Device, PeerSettings, Protocol, Slot};
use crate::key::{Cipher, Direction, StaticKey};
use crate::rig::{Machine, Rig, Side, Transport, stop_both};
use crate::status::NtStatus;
use crate::tunnel::Tunnel;

const PROVIDER: &str = "provider OpenVPN.DcoRs {1febeb07-696a-5cda-9c9d-a663f210b0a6}";

/// The keys of the tunnels below, by number.
const KEYS: [u64; 2] = [1, 2];

/// Tunnels with one end's events told from the beginning and the other's from some moment on.
pub fn check(rig: &Rig, checks: &mut Checks) -> Result<()> {
    let files = [rig.folder().join("a.events"), rig.folder().join("b.events")];
    let names = files.each_ref().map(|file| file.display().to_string());
    let machines = rig.start_with([
        &["--trace", &names[0], "--trace-bytes"],
        &["--trace", &names[1], "--trace-bytes", "--trace-level", "3", "--trace-keyword", "16"],
    ])?;
    let mut ran = None;
    checks.check("events: a tunnel with each of them", || {
        let [a, b] = &machines;
        b.lab.query("trace off")?.map_err(|status| anyhow::anyhow!("QUERY trace off: {status}"))?;
        let (a, b) = (Device::open(&a.lab, ADAPTER)?, Device::open(&b.lab, ADAPTER)?);
        let pair = Pair { rig, machines: &machines, a, b };
        let forged = pair.make_events(&machines[1])?;
        ran = Some(forged);
        Ok("peers over UDP and TCP, keys, drops, a request that fails".into())
    });
    checks.check("unload after events", || {
        stop_both(machines)?;
        Ok("both drivers, nothing left behind, nothing violated".into())
    });
    let Some(forged) = ran else { return Ok(()) };
    let read = |file| fs::read_to_string(file).context("the session's file");
    let [a, b] = [read(&files[0])?, read(&files[1])?];
    checks.check("events: told", || told(rig, &a, forged));
    checks.check("events: a session that wants errors alone, from some moment to another", || {
        let lines = lines(&b)?;
        let failed = request_failed();
        ensure!(
            lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>() == [PROVIDER, failed.as_str()],
            "expected one {failed:?} alone, came:\n{b}"
        );
        Ok("one event of three requests that failed".into())
    });
    checks.check("events: no key", || {
        let searched = [&a, &b].iter().map(|text| no_key_in(text)).sum::<Result<usize>>()?;
        let first = a.lines().find(|line| line.contains(" bytes=")).context("an event with bytes")?;
        for planted in plants(first) {
            ensure!(no_key_in(&planted).is_err(), "a key was planted and not found: {planted}");
        }
        Ok(format!("{searched} lines, no 6 bytes of any key in them; planted ones are found"))
    });
    Ok(())
}

/// What DEL_KEY without a peer is told as.
fn request_failed() -> String {
    let status = NtStatus::OBJECTID_NOT_FOUND.0;
    format!("RequestFailed level=3 keyword=0x10 Adapter=1 Ioctl={:#x} Status={status:#010x}", additive::DEL_KEY)
}

impl Pair<'_> {
    /// At a: something of each kind. Returns how many packets were forged there. At b requests fail before, while and after its session wants
    /// to know.
    fn make_events(&self, b: &Machine) -> Result<u64> {
        const FORGED: u64 = 300;
        let fails = |device: &Device| -> Result<()> {
            let status = device.ioctl(additive::DEL_KEY, &[0; 4], 0)?.status;
            ensure!(status == NtStatus::OBJECTID_NOT_FOUND, "DEL_KEY without a peer: {status}");
            Ok(())
        };
        fails(&self.a)?;
        fails(&self.b)?;
        b.lab.query("trace on")?.map_err(|status| anyhow::anyhow!("QUERY trace on: {status}"))?;
        fails(&self.b)?;
        let settings = PeerSettings { keepalive_interval: Some(60), keepalive_timeout: Some(600), mss: Some(1300) };
        let (wire_a, wire_b) = (self.rig.wire(Side::A, Transport::V4), self.rig.wire(Side::B, Transport::V4));
        let key = StaticKey::of_test(KEYS[0], Cipher::Aes256, Direction::Normal);
        Tunnel { local: wire_a, remote: wire_b, peer_id: 7, key: &key, settings: Some(settings) }.up(&self.a)?;
        let key = StaticKey::of_test(KEYS[0], Cipher::Aes256, Direction::Inverse);
        Tunnel { local: wire_b, remote: wire_a, peer_id: 7, key: &key, settings: None }.up(&self.b)?;
        self.rig.configure()?;
        self.rig.probe(Transport::V4)?.exchange(100, 1)?;
        self.a.new_key(&StaticKey::of_test(KEYS[1], Cipher::ChaCha20, Direction::Normal), Slot::Secondary, 1, 7)?;
        self.a.swap_keys()?;
        self.a.del_key(Slot::Secondary)?;
        // Sealed with nothing: these do not pass.
        let head = [0x49, 0, 0, 7, 0, 0, 0, 1];
        let packet: Vec<u8> = head.into_iter().chain(std::iter::repeat(0xA5)).take(100).collect();
        for _ in 0..FORGED {
            let written = self.b.write(&packet)?.status;
            ensure!(written == NtStatus::SUCCESS, "write: expected SUCCESS, got {written}");
        }
        self.eventually("RxAuthFailed", || Ok(self.count(&self.a, "RxAuthFailed")? == FORGED.cast_signed()))?;
        self.a.del_peer()?;
        self.b.del_peer()?;
        b.lab.query("trace off")?.map_err(|status| anyhow::anyhow!("QUERY trace off: {status}"))?;
        fails(&self.b)?;
        // TCP to nobody, and to somebody, who ends it; then the handle is closed.
        let listener =
            self.rig.within(Side::B, || std::net::TcpListener::bind((wire_b.ip(), 0)).context("a listener"))?;
        let remote = listener.local_addr()?;
        self.a.new_peer_over(Protocol::Tcp, wire_a, remote)?;
        let (far, _) = listener.accept()?;
        let mut read = self.a.read(1500)?;
        drop(far);
        let ended = read.wait(Duration::from_secs(2))?.map(|completion| completion.status);
        ensure!(ended == Some(NtStatus::CONNECTION_ABORTED), "the far end closed: got {ended:?}");
        drop(listener);
        let mut refused = self.a.start_new_peer(Protocol::Tcp, wire_a, remote)?;
        let refused = refused.wait(Duration::from_secs(2))?.map(|completion| completion.status);
        ensure!(refused == Some(NtStatus::CONNECTION_REFUSED), "a connect to nobody: got {refused:?}");
        self.a.new_peer_over(Protocol::Udp, wire_a, wire_b)?;
        Ok(FORGED)
    }
}

/// One event, and its data.
struct Line {
    text: String,
    bytes: Vec<u8>,
}

fn lines(text: &str) -> Result<Vec<Line>> {
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

/// At a: the events in their order, each once; drops among them, which add up.
fn told(rig: &Rig, text: &str, forged: u64) -> Result<String> {
    let (a, b) = (rig.wire(Side::A, Transport::V4), rig.wire(Side::B, Transport::V4));
    let lifecycle = |name: &str| format!("{name} level=4 keyword=0x1 Adapter=1");
    let peer = |rest: &str| rest.replacen(' ', " level=4 keyword=0x2 Adapter=1 ", 1);
    let key = |rest: &str| rest.replacen(' ', " level=4 keyword=0x4 Adapter=1 ", 1);
    let expected = [
        PROVIDER.to_owned(),
        "DriverLoaded level=4 keyword=0x1 Version=* InterfaceMajor=* InterfaceMinor=* InterfacePatch=*".to_owned(),
        format!("{} Mtu=1500", lifecycle("AdapterStarted")),
        lifecycle("DeviceOpened"),
        request_failed(),
        peer(&format!("PeerNew PeerId=-1 Protocol=\"UDP\" Local={a} Remote={b}")),
        lifecycle("LinkUp"),
        peer("PeerSet PeerId=-1 Interval=60 Timeout=600 Mss=1300"),
        key("KeyNew PeerId=7 Slot=\"primary\" KeyId=0 Cipher=\"AES-256-GCM\""),
        key("KeyNew PeerId=7 Slot=\"secondary\" KeyId=1 Cipher=\"CHACHA20-POLY1305\""),
        key("KeysSwapped PeerId=7"),
        key("KeyDeleted PeerId=7 Slot=\"secondary\""),
        peer("PeerDeleted PeerId=7 Reason=\"deleted\""),
        peer(&format!("PeerNew PeerId=-1 Protocol=\"TCP\" Local={a} Remote=*")),
        format!("SocketLost level=3 keyword=0x12 Adapter=1 Status={:#010x}", NtStatus::CONNECTION_ABORTED.0),
        peer("PeerDeleted PeerId=-1 Reason=\"replaced\""),
        format!(
            "RequestFailed level=3 keyword=0x10 Adapter=1 Ioctl={:#x} Status={:#010x}",
            Ioctl::NewPeer.code(),
            NtStatus::CONNECTION_REFUSED.0
        ),
        peer(&format!("PeerNew PeerId=-1 Protocol=\"UDP\" Local={a} Remote={b}")),
        peer("PeerDeleted PeerId=-1 Reason=\"closed\""),
        lifecycle("LinkDown"),
        lifecycle("DeviceClosed"),
        lifecycle("AdapterStopped"),
        "DriverUnloaded level=4 keyword=0x1".to_owned(),
    ];
    let mut told = BTreeMap::<String, u64>::new();
    let mut events = Vec::new();
    for line in lines(text)? {
        match line.text.strip_prefix("PacketsDropped level=3 keyword=0x8 Adapter=1 Reason=") {
            None => events.push(line.text),
            Some(rest) => {
                let field = |name: &str| -> Result<u64> {
                    let value = rest.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
                    Ok(value.with_context(|| format!("{name}: {rest}"))?.parse()?)
                };
                let sum = told.entry(rest.split(' ').next().unwrap_or_default().to_owned()).or_default();
                ensure!(field("Count")? != 0, "drops of nothing: {rest}");
                *sum += field("Count")?;
                ensure!(*sum == field("Total")?, "expected counts that add up to {sum}: {rest}");
            }
        }
    }
    for (number, (event, pattern)) in events.iter().zip(&expected).enumerate() {
        ensure!(matches(event, pattern), "event {number}: expected {pattern:?}, came {event:?} in:\n{text}");
    }
    ensure!(events.len() == expected.len(), "expected {} events, came {}:\n{text}", expected.len(), events.len());
    let auth = told.get("\"RxAuthFailed\"").copied().unwrap_or_default();
    ensure!(auth == forged, "RxAuthFailed: expected {forged} told, came {auth}:\n{text}");
    Ok(format!("{} in order, and {forged} drops in counts", events.len()))
}

/// Whether the words are alike; `Name=*` is any value.
fn matches(event: &str, pattern: &str) -> bool {
    let (event, pattern): (Vec<_>, Vec<_>) = (event.split(' ').collect(), pattern.split(' ').collect());
    event.len() == pattern.len()
        && event.iter().zip(pattern).all(|(word, wanted)| match wanted.strip_suffix('*') {
            Some(name) => word.starts_with(name),
            None => *word == wanted,
        })
}

/// As many bytes of a key in a row are a find.
const RUN: usize = 6;

/// All keys and nonce tails of the tunnels.
fn secrets() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for number in KEYS {
        for cipher in [Cipher::Aes256, Cipher::ChaCha20] {
            let key = StaticKey::of_test(number, cipher, Direction::Normal);
            let (seal, open) = key.halves();
            all.extend([seal.key, open.key, seal.nonce_tail, open.nonce_tail].map(<[u8]>::to_vec));
        }
    }
    all
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Looks for keys in what events hold, as bytes either way round, and as hexadecimal text; returns how many lines there were.
fn no_key_in(text: &str) -> Result<usize> {
    let lines = lines(text)?;
    for secret in secrets() {
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
fn plants(line: &str) -> Vec<String> {
    let secrets = secrets();
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
