//! What the driver tells ETW, as the lab's session prints it (docs/events.md).

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use dco_uapi::{Ioctl, additive};

use super::{Checks, Pair};
use crate::device::{ADAPTER, Device, PeerSettings, Protocol, Slot};
use crate::key::{Cipher, Direction, StaticKey};
use crate::rig::{Machine, Rig, Side, Transport, stop_both};
use crate::status::NtStatus;
use crate::traced::{self, PROVIDER, lines, matches};
use crate::tunnel::Tunnel;

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
    checks.check("events: no key", || traced::keyless(&[&a, &b], &secrets()));
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

/// All keys of the tunnels.
fn secrets() -> Vec<StaticKey> {
    let ciphers = [Cipher::Aes256, Cipher::ChaCha20];
    KEYS.into_iter().flat_map(|n| ciphers.map(|cipher| StaticKey::of_test(n, cipher, Direction::Normal))).collect()
}
