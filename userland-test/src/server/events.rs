//! What a server tells ETW, as the lab's session prints it (docs/events.md).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::{Context, Result, bail, ensure};
use dco_uapi::Ioctl;
use zerocopy::IntoBytes;

use super::{Guest, Server};
use crate::device::{ADAPTER, Device, Event, PeerSettings, Protocol, Slot, iroute};
use crate::far::{DRIVER, Far, PING};
use crate::key::{Cipher, StaticKey};
use crate::rig::{Checks, Machine, Rig, Side, Transport};
use crate::status::NtStatus;
use crate::tcp::End;
use crate::traced::{self, PROVIDER, lines, matches};
use crate::tunnel::wait_for_queue;

/// Connections that may be nobody's at once.
const STRANGERS: usize = 256;

/// The peers: over UDP, and over TCP.
const WALKER: i32 = 1;
const CALLER: i32 = 2;

/// The key that the first peer changes to.
const NEXT_KEY: u64 = 500;

/// A machine of its own, whose server does each thing that has an event.
pub(super) fn check(rig: &Rig, checks: &mut Checks) -> Result<()> {
    let file = rig.folder().join("server.events");
    let Ok(machine) = rig.start_one(Side::A, &["--trace", &file.display().to_string(), "--trace-bytes"])? else {
        bail!("expected the lab ready, it ended")
    };
    let mut ran = None;
    checks.check("events: a server with each of them", || {
        let story = run(rig, &machine)?;
        let done = format!("{} floats, {STRANGERS} connections of strangers and one too many", story.floats.len());
        ran = Some(story);
        Ok(done)
    });
    checks.check("unload after a server's events", || {
        machine.stop()?;
        Ok("nothing left behind, nothing violated".into())
    });
    let Some(story) = ran else { return Ok(()) };
    let text = fs::read_to_string(&file).context("the session's file")?;
    checks.check("events: told of a server", || {
        let told = story.told(&text)?;
        for (what, wrong) in planted(&text) {
            ensure!(story.told(&wrong).is_err(), "an event was {what}, and nobody noticed");
        }
        Ok(told)
    });
    checks.check("events: no key of a server's", || traced::keyless(&[&text], &keys()));
    Ok(())
}

/// What has to be told.
struct Story {
    /// Each event, in order.
    expected: Vec<String>,
    /// What NOTIFY_EVENT told: where the peer was each time.
    floats: Vec<SocketAddr>,
}

impl Story {
    fn lifecycle(&mut self, rest: &str) {
        self.expects(rest, "level=4 keyword=0x1 Adapter=1");
    }

    fn peer(&mut self, rest: &str) {
        self.expects(rest, "level=4 keyword=0x2 Adapter=1");
    }

    fn key(&mut self, rest: &str) {
        self.expects(rest, "level=4 keyword=0x4 Adapter=1");
    }

    /// Behind an event's name the words that all of a kind have.
    fn expects(&mut self, rest: &str, common: &str) {
        let (name, fields) = rest.split_once(' ').unwrap_or((rest, ""));
        self.expected.push(format!("{name} {common} {fields}").trim_end().to_owned());
    }

    /// All of it in order, each once; floats as they were told.
    fn told(&self, text: &str) -> Result<String> {
        let lines = lines(text)?;
        // Counted by the timer, whenever that is; pair's check looks at them.
        let events = || lines.iter().map(|line| line.text.as_str()).filter(|text| !text.starts_with("PacketsDropped "));
        for (number, (event, pattern)) in events().zip(&self.expected).enumerate() {
            ensure!(matches(event, pattern), "event {number}: expected {pattern:?}, came {event:?}");
        }
        let (count, expected) = (events().count(), self.expected.len());
        ensure!(count == expected, "expected {expected} events, came {count}:\n{text}");
        let field = |event: &str, name: &str| {
            event.split(' ').find_map(|word| Some(word.strip_prefix(name)?.strip_prefix('=')?.to_owned()))
        };
        let of = |name: &str| -> Vec<String> {
            let named = events().filter(|event| event.split(' ').next() == Some(name));
            named.filter_map(|event| field(event, "Remote")).collect()
        };
        let floats: Vec<String> = self.floats.iter().map(ToString::to_string).collect();
        ensure!(of("PeerFloated") == floats, "expected floats to {floats:?}, traced were {:?}", of("PeerFloated"));
        let (accepted, ended) = (of("ConnectionAccepted"), of("ConnectionEnded"));
        let unique = |of: &[String]| of.iter().cloned().collect::<BTreeSet<_>>();
        ensure!(
            accepted.len() == ended.len() && unique(&accepted) == unique(&ended),
            "expected each connection's end, accepted were {accepted:?}, ended are {ended:?}"
        );
        Ok(format!("{count} in order; {} floats, {} connections and their ends", floats.len(), accepted.len()))
    }
}

/// The same with something wrong.
fn planted(text: &str) -> Vec<(&'static str, String)> {
    let line = |name: &str| text.lines().find(|line| line.contains(name)).unwrap_or_default().to_owned() + "\n";
    let (mode, float, ended) = (line(" ServerMode "), line(" PeerFloated "), line(" ConnectionEnded "));
    vec![
        ("left out", text.replacen(&mode, "", 1)),
        ("told twice", text.replacen(&float, &float.repeat(2), 1)),
        ("told of another", text.replacen(&ended, &ended.replace("Remote=10.", "Remote=11."), 1)),
        ("told at the end", text.replacen(&float, "", 1) + &float),
    ]
}

/// All keys that the driver is given.
fn keys() -> Vec<StaticKey> {
    let all = [(WALKER as u64, Cipher::Aes256), (NEXT_KEY, Cipher::ChaCha20), (999, Cipher::Aes256)];
    let caller = (CALLER as u64, Cipher::ALL[CALLER as usize % Cipher::ALL.len()]);
    all.into_iter().chain([caller]).map(|(n, cipher)| StaticKey::of_test(n, cipher, DRIVER)).collect()
}

/// Something of each kind.
fn run(rig: &Rig, machine: &Machine) -> Result<Story> {
    let mut story = Story { expected: vec![PROVIDER.to_owned()], floats: Vec::new() };
    story.expected.push(
        "DriverLoaded level=4 keyword=0x1 Version=* InterfaceMajor=* InterfaceMinor=* InterfacePatch=*".to_owned(),
    );
    story.lifecycle("AdapterStarted Mtu=1500");
    let device = Device::open(&machine.lab, ADAPTER)?;
    story.lifecycle("DeviceOpened");
    device.set_mode_server()?;
    story.lifecycle("ServerMode");
    story.lifecycle("LinkUp");
    let wire = rig.wire(Side::A, Transport::V4);
    device.listen((Ipv6Addr::UNSPECIFIED, wire.port()).into(), false)?;
    story.peer(&format!("ServerListening Listener=0 Protocol=\"UDP\" Local=[::]:{}", wire.port()));
    rig.configure_some(&[Side::A])?;
    let first = rig.within(Side::B, || Far::at(rig.wire(Side::B, Transport::V4).ip(), wire))?;
    wait_for_queue(&device, &first)?;
    story.peer(&format!("PeerNew PeerId=999 Protocol=\"UDP\" Local=0.0.0.0:0 Remote={}", first.address()?));
    story.key("KeyNew PeerId=999 Slot=\"primary\" KeyId=0 Cipher=\"AES-256-GCM\"");
    story.peer("PeerDeleted PeerId=999 Reason=\"deleted\"");
    let mut listen = |protocol, name: &str, port| -> Result<(u32, SocketAddr)> {
        let (number, at) = device.listen_more(protocol, SocketAddr::new(wire.ip(), port), true)?;
        story.peer(&format!("ServerListening Listener={number} Protocol=\"{name}\" Local={at}"));
        Ok((number, at))
    };
    let more = listen(Protocol::Udp, "UDP", 2194)?;
    let calls = listen(Protocol::Tcp, "TCP", 3194)?;
    let server = Server { rig, machine, device };
    let mut walker = server.joined_by(WALKER, (0, wire))?;
    story.peer(&format!("PeerNew PeerId=1 Protocol=\"UDP\" Local=0.0.0.0:0 Remote={}", walker.far.address()?));
    story.key("KeyNew PeerId=1 Slot=\"primary\" KeyId=1 Cipher=\"AES-256-GCM\"");
    server.settings(&mut story)?;
    server.networks_told(&mut story)?;
    for at in [wire, more.1, rig.wire(Side::A, Transport::V6), more.1, wire] {
        server.walks(&mut walker, at, &mut story)?;
    }
    server.device.unlisten(more.0)?;
    story.peer(&format!("ListenerClosed Listener={}", more.0));
    server.calls(calls, &mut story)?;
    let strangers = server.crowded(calls, &mut story)?;
    server.device.close()?;
    drop(strangers);
    for _ in 0..STRANGERS {
        story.peer(&format!("ConnectionEnded Listener={} Remote=*", calls.0));
    }
    story.peer("PeerDeleted PeerId=1 Reason=\"closed\"");
    story.peer("ServerStopped Reason=\"closed\"");
    story.lifecycle("LinkDown");
    story.lifecycle("DeviceClosed");
    story.lifecycle("AdapterStopped");
    story.expected.push("DriverUnloaded level=4 keyword=0x1".to_owned());
    Ok(story)
}

impl Server<'_> {
    fn settings(&self, story: &mut Story) -> Result<()> {
        let settings = PeerSettings { keepalive_interval: Some(60), keepalive_timeout: Some(600), mss: Some(1300) };
        self.device.set_client(WALKER, settings)?;
        story.peer("PeerSet PeerId=1 Interval=60 Timeout=600 Mss=1300");
        let next = StaticKey::of_test(NEXT_KEY, Cipher::ChaCha20, DRIVER);
        self.device.new_key(&next, Slot::Secondary, 2, WALKER.cast_unsigned())?;
        story.key("KeyNew PeerId=1 Slot=\"secondary\" KeyId=2 Cipher=\"CHACHA20-POLY1305\"");
        self.device.swap_client_keys(WALKER)?;
        story.key("KeysSwapped PeerId=1");
        Ok(())
    }

    /// Networks come, go by their owner or by nobody in particular, and are refused.
    fn networks_told(&self, story: &mut Story) -> Result<()> {
        let v4 = IpAddr::V4(Ipv4Addr::new(172, 16, 5, 9));
        let v6 = IpAddr::V6(Ipv6Addr::new(0xfd50, 0, 0, 0, 0, 0, 0, 5));
        self.device.add_iroute(v4, 12, WALKER)?;
        story.peer("NetworkAdded PeerId=1 Network=172.16.0.0:0 Length=12");
        self.device.add_iroute(v6, 16, WALKER)?;
        story.peer("NetworkAdded PeerId=1 Network=[fd50::]:0 Length=16");
        self.device.del_iroute(v4, 12)?;
        story.peer("NetworkDeleted PeerId=-1 Network=172.16.0.0:0 Length=12");
        for (code, expected) in [
            (Ioctl::MpDelIroute, NtStatus::SUCCESS),
            (Ioctl::MpDelIroute, NtStatus::NOT_FOUND),
            (Ioctl::MpAddIroute, NtStatus::NOT_FOUND),
        ] {
            let peer = if code == Ioctl::MpAddIroute { 77 } else { WALKER };
            let came = self.device.ioctl(code.code(), iroute(v6, 16, peer).as_bytes(), 0)?.status;
            ensure!(came == expected, "{}: expected {expected}, got {came}", code.name());
            if expected == NtStatus::SUCCESS {
                story.peer("NetworkDeleted PeerId=1 Network=[fd50::]:0 Length=16");
            } else {
                let failed = format!("RequestFailed Ioctl={:#x} Status={:#010x}", code.code(), expected.0);
                story.expects(&failed, "level=3 keyword=0x10 Adapter=1");
            }
        }
        Ok(())
    }

    /// The peer goes elsewhere, and says so much that the driver notices.
    fn walks(&self, walker: &mut Guest, at: SocketAddr, story: &mut Story) -> Result<()> {
        let pending = self.device.notify_event()?;
        walker.far = self.moved_far(at)?;
        walker.send(&PING)?;
        let Event::Float(WALKER, there) = self.told(pending)? else { bail!("expected a float of {WALKER}") };
        story.peer(&format!("PeerFloated PeerId={WALKER} Remote={}", SocketAddr::new(there.ip(), there.port())));
        story.floats.push(SocketAddr::new(there.ip(), there.port()));
        Ok(())
    }

    /// A connection that becomes a peer and is reset, and one that is ended before.
    fn calls(&self, calls: (u32, SocketAddr), story: &mut Story) -> Result<()> {
        let listener = calls.0;
        let caller = self.connect(calls, CALLER)?;
        let here = caller.far.address()?;
        story.peer(&format!("ConnectionAccepted Listener={listener} Remote={here}"));
        story.peer(&format!("PeerNew PeerId={CALLER} Protocol=\"TCP\" Local=0.0.0.0:0 Remote={here}"));
        story.key(&format!("KeyNew PeerId={CALLER} Slot=\"primary\" KeyId=1 Cipher=*"));
        caller.far.connection()?.reset()?;
        let came = self.told(self.device.notify_event()?)?;
        ensure!(matches!(came, Event::DelPeer(CALLER, _)), "expected the end of {CALLER}, got {came:?}");
        story.peer(&format!("PeerDeleted PeerId={CALLER} Reason=\"ended\""));
        story.peer(&format!("ConnectionEnded Listener={listener} Remote={here}"));
        let stranger = self.meet(calls)?;
        let here = stranger.address()?;
        story.peer(&format!("ConnectionAccepted Listener={listener} Remote={here}"));
        let ended = self.device.disconnect(here, listener)?;
        ensure!(ended == NtStatus::SUCCESS, "MP_DISCONNECT: expected SUCCESS, got {ended}");
        story.peer(&format!("ConnectionEnded Listener={listener} Remote={here}"));
        stranger.connection()?.end()?;
        Ok(())
    }

    /// As many strangers as there may be, and one more.
    fn crowded(&self, calls: (u32, SocketAddr), story: &mut Story) -> Result<Vec<Far>> {
        let mut all = Vec::new();
        for _ in 0..STRANGERS {
            let far = self.meet(calls)?;
            story.peer(&format!("ConnectionAccepted Listener={} Remote={}", calls.0, far.address()?));
            all.push(far);
        }
        // The reset may come while it still connects.
        if let Ok(far) = self.rig.within(Side::B, || Far::connected(calls.1)) {
            let end = far.connection()?.end()?;
            ensure!(end == End::Reset, "one too many: expected a reset, got {end:?}");
        }
        let status = NtStatus::INSUFFICIENT_RESOURCES.0;
        story.expects(
            &format!("ConnectionRefused Listener={} Remote=* Status={status:#010x}", calls.0),
            "level=3 keyword=0x12 Adapter=1",
        );
        // The driver tells of it when it is reset already; a request that is answered later finds it told.
        Ok(all)
    }
}

/// Listeners whose sockets die: each is lost, and listens again as it did. Once none could be made at first. A text with something wrong has to
/// be refused.
pub(super) fn listeners_lost(text: &str) -> Result<String> {
    let told = each_listens_again(text)?;
    let last = |name: &str| text.lines().rfind(|line| line.contains(name)).unwrap_or_default().to_owned() + "\n";
    let (listening, lost) = (last(" ServerListening "), last(" ListenerLost "));
    for wrong in [text.replace(&listening, ""), text.replacen(&lost, &lost.repeat(2), 1)] {
        ensure!(each_listens_again(&wrong).is_err(), "a line was left out, or told twice, and nobody noticed");
    }
    Ok(told)
}

fn each_listens_again(text: &str) -> Result<String> {
    let mut listening = BTreeMap::<String, String>::new();
    let (mut lost, mut waiting, mut down) = (0, BTreeSet::new(), 0);
    for line in lines(text)? {
        let mut words = line.text.split(' ');
        let name = words.next().unwrap_or_default();
        let rest: Vec<_> = words.skip_while(|word| !word.starts_with("Listener=")).collect();
        let listener = rest.first().map(ToString::to_string).unwrap_or_default();
        match name {
            "ServerListening" => {
                let before = listening.insert(listener.clone(), rest.join(" "));
                if waiting.remove(&listener) {
                    ensure!(before == listening.get(&listener).cloned(), "expected {before:?} again: {}", line.text);
                }
            }
            "ListenerLost" => {
                lost += 1;
                ensure!(listening.contains_key(&listener) && waiting.insert(listener), "lost twice: {}", line.text);
            }
            "ListenerDown" => {
                down += 1;
                ensure!(waiting.contains(&listener), "not lost: {}", line.text);
            }
            "ServerStopped" => {
                ensure!(waiting.is_empty(), "expected all to listen again, {waiting:?} do not");
                listening.clear();
            }
            "SocketLost" => bail!("expected no socket of a peer's lost: {}", line.text),
            _ => {}
        }
    }
    ensure!(lost > 4 && down == 1, "expected listeners lost and one down, were {lost} and {down}");
    Ok(format!("{lost} lost, each listens again; once it could not at first"))
}
