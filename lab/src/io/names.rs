//! The object namespace: devices, symbolic links and device interfaces by name, without regard to case.

use crate::fault;
use crate::irql::{self, PASSIVE};
use crate::nt::{DEVICE_OBJECT, GUID, NTSTATUS, OwnedUnicode, UNICODE_STRING, status};
use crate::objects::Kind;
use crate::report::{InCall, Origin, Rule, record, record_of};
use crate::{Export, pool};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};

const LEAK: Rule =
    Rule::new("names.leak", "WDK: DriverUnload must delete the symbolic links and devices the driver made");
const DELETED: Rule = Rule::new("names.unknown-link", "WDK: IoDeleteSymbolicLink (the link must exist)");

static LINK_BUFFER: Kind = Kind::of_lab("io.interface-name");

#[derive(Debug, Clone)]
enum Entry {
    Device(usize),
    /// Where it leads, and who made it.
    Link(String, Origin),
}

#[derive(Debug, Clone)]
struct Interface {
    guid: GUID,
    link: String,
    target: String,
    enabled: bool,
}

#[derive(Debug, Default)]
struct Names {
    entries: BTreeMap<String, (String, Entry)>,
    interfaces: Vec<Interface>,
}

static NAMES: Mutex<Names> = Mutex::new(Names { entries: BTreeMap::new(), interfaces: Vec::new() });

fn lock() -> MutexGuard<'static, Names> {
    NAMES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One spelling for a name: lower case, `\??\` for `\DosDevices\`, `\GLOBAL??\`, `\\.\` and `\\?\`.
fn key(name: &str) -> String {
    let lower = name.to_lowercase();
    for prefix in [r"\dosdevices\global\", r"\dosdevices\", r"\global??\", r"\\.\", r"\\?\", r"\??\global\"] {
        if let Some(rest) = lower.strip_prefix(prefix) {
            return format!(r"\??\{rest}");
        }
    }
    lower
}

/// Names a device.
///
/// # Errors
/// A name that is taken or is no absolute path.
pub fn insert_device(name: &str, device: *mut DEVICE_OBJECT) -> Result<(), NTSTATUS> {
    insert(name, Entry::Device(device as usize))
}

fn insert(name: &str, entry: Entry) -> Result<(), NTSTATUS> {
    if !name.starts_with('\\') || name.ends_with('\\') {
        return Err(status::OBJECT_NAME_INVALID);
    }
    match lock().entries.entry(key(name)) {
        std::collections::btree_map::Entry::Occupied(_) => Err(status::OBJECT_NAME_COLLISION),
        std::collections::btree_map::Entry::Vacant(v) => {
            v.insert((name.to_owned(), entry));
            Ok(())
        }
    }
}

/// Forgets a device's name.
pub fn remove_device(device: *mut DEVICE_OBJECT) {
    lock().entries.retain(|_, (_, e)| !matches!(e, Entry::Device(d) if *d == device as usize));
}

/// The name a device was created with.
#[must_use]
pub fn device_name(device: *mut DEVICE_OBJECT) -> Option<String> {
    lock().entries.values().find_map(|(n, e)| matches!(e, Entry::Device(d) if *d == device as usize).then(|| n.clone()))
}

/// Makes a symbolic link.
///
/// # Errors
/// `OBJECT_NAME_COLLISION` when it exists.
pub fn create_symbolic_link(link: &str, target: &str) -> Result<(), NTSTATUS> {
    insert(link, Entry::Link(target.to_owned(), Origin::here()))
}

/// Deletes a symbolic link.
///
/// # Errors
/// `OBJECT_NAME_NOT_FOUND` when there is none.
pub fn delete_symbolic_link(link: &str) -> Result<(), NTSTATUS> {
    let mut n = lock();
    let k = key(link);
    match n.entries.get(&k) {
        Some((_, Entry::Link(..))) => {
            n.entries.remove(&k);
            Ok(())
        }
        _ => Err(status::OBJECT_NAME_NOT_FOUND),
    }
}

/// The device that a path names and the rest of the path behind it.
///
/// # Errors
/// `OBJECT_NAME_NOT_FOUND` or `OBJECT_PATH_NOT_FOUND`.
pub fn lookup(path: &str) -> Result<(*mut DEVICE_OBJECT, String), NTSTATUS> {
    let names = lock();
    let mut path = path.to_owned();
    for _ in 0..32 {
        let k = key(&path);
        // Links and devices may be followed by a path of their own: take the longest name that is known.
        let mut end = k.len();
        let found = loop {
            let Some(prefix) = k.get(..end) else { break None };
            if let Some((_, e)) = names.entries.get(prefix) {
                break Some((e.clone(), k.len() - end));
            }
            match prefix.rfind('\\') {
                Some(i) if i > 0 => end = i,
                _ => break None,
            }
        };
        let Some((entry, rest_len)) = found else { return Err(status::OBJECT_NAME_NOT_FOUND) };
        let rest = path.get(path.len().saturating_sub(rest_len)..).unwrap_or("").to_owned();
        match entry {
            Entry::Device(d) => return Ok((d as *mut DEVICE_OBJECT, rest)),
            Entry::Link(target, _) => path = target + &rest,
        }
    }
    Err(status::OBJECT_PATH_NOT_FOUND)
}

fn guid_text(g: &GUID) -> String {
    let mut s = format!("{{{:08x}-{:04x}-{:04x}-", g.Data1, g.Data2, g.Data3);
    for (i, b) in g.Data4.iter().enumerate() {
        if i == 2 {
            s.push('-');
        }
        // Writing to a String does not fail.
        let _ = write!(s, "{b:02x}");
    }
    s.push('}');
    s
}

/// Registers an interface of the device `instance` (such as `ROOT\NET\0000`); returns its symbolic link. It opens
/// `target` once [`set_interface_state`] enables it.
#[must_use]
pub fn register_interface(instance: &str, target: &str, guid: &GUID, reference: Option<&str>) -> String {
    let mut link = format!(r"\??\{}#{}", instance.replace('\\', "#"), guid_text(guid));
    let mut target = target.to_owned();
    if let Some(r) = reference.filter(|r| !r.is_empty()) {
        link = format!(r"{link}\{r}");
        target = format!(r"{target}\{r}");
    }
    let mut n = lock();
    if !n.interfaces.iter().any(|i| i.link.eq_ignore_ascii_case(&link)) {
        n.interfaces.push(Interface { guid: *guid, link: link.clone(), target, enabled: false });
    }
    link
}

/// Enables or disables an interface.
///
/// # Errors
/// `OBJECT_NAME_NOT_FOUND`, `OBJECT_NAME_EXISTS` when it is in that state already (a success code for enabling).
pub fn set_interface_state(link: &str, enable: bool) -> Result<(), NTSTATUS> {
    let mut n = lock();
    let Some(i) = n.interfaces.iter_mut().find(|i| i.link.eq_ignore_ascii_case(link)) else {
        return Err(status::OBJECT_NAME_NOT_FOUND);
    };
    if i.enabled == enable {
        return Err(if enable { status::OBJECT_NAME_EXISTS } else { status::OBJECT_NAME_NOT_FOUND });
    }
    i.enabled = enable;
    let (link, target) = (i.link.clone(), i.target.clone());
    if enable {
        n.entries.insert(key(&link), (link, Entry::Link(target, Origin::here())));
    } else {
        n.entries.remove(&key(&link));
    }
    Ok(())
}

/// `{guid} link enabled|disabled` a line: the answer to `QUERY interfaces`.
#[must_use]
pub fn interface_listing() -> String {
    lock()
        .interfaces
        .iter()
        .map(|i| format!("{} {} {}\n", guid_text(&i.guid), i.link, if i.enabled { "enabled" } else { "disabled" }))
        .collect()
}

/// `name -> target` a line: the answer to `QUERY names`.
#[must_use]
pub fn listing() -> String {
    lock()
        .entries
        .values()
        .map(|(n, e)| match e {
            Entry::Device(d) => format!("{n} device {d:#x}\n"),
            Entry::Link(t, _) => format!("{n} -> {t}\n"),
        })
        .collect()
}

/// At unload: names that the driver left behind.
pub fn check_leaks() {
    let n = lock();
    for (name, entry) in n.entries.values() {
        if let Entry::Link(_, made) = entry {
            record_of(LEAK, &format!("made by {made}"), &format!("symbolic link {name} exists after unload"));
        }
    }
}

/// # Safety
/// `s` is null or a UNICODE_STRING of the driver's.
unsafe fn text(s: *const UNICODE_STRING) -> Option<String> {
    // SAFETY: as our caller promises.
    unsafe { s.as_ref().map(|s| s.to_string_lossy()) }
}

extern "win64" fn io_create_symbolic_link(link: *const UNICODE_STRING, target: *const UNICODE_STRING) -> NTSTATUS {
    let _c = InCall::enter("IoCreateSymbolicLink");
    irql::require_at_most(PASSIVE);
    // SAFETY: the driver passes two strings.
    let (Some(l), Some(t)) = (unsafe { text(link) }, unsafe { text(target) }) else { return status::INVALID_PARAMETER };
    if fault::fails("IoCreateSymbolicLink") {
        return status::INSUFFICIENT_RESOURCES;
    }
    create_symbolic_link(&l, &t).err().unwrap_or(status::SUCCESS)
}

extern "win64" fn io_delete_symbolic_link(link: *const UNICODE_STRING) -> NTSTATUS {
    let _c = InCall::enter("IoDeleteSymbolicLink");
    irql::require_at_most(PASSIVE);
    // SAFETY: the driver passes a string.
    let Some(l) = (unsafe { text(link) }) else { return status::INVALID_PARAMETER };
    match delete_symbolic_link(&l) {
        Ok(()) => status::SUCCESS,
        Err(e) => {
            record(DELETED, &l);
            e
        }
    }
}

extern "win64" fn io_register_device_interface(
    pdo: *mut DEVICE_OBJECT,
    guid: *const GUID,
    reference: *const UNICODE_STRING,
    out: *mut UNICODE_STRING,
) -> NTSTATUS {
    let _c = InCall::enter("IoRegisterDeviceInterface");
    irql::require_at_most(PASSIVE);
    // SAFETY: the driver passes a GUID, an optional string and an out parameter.
    unsafe {
        let (Some(g), Some(out)) = (guid.as_ref(), out.as_mut()) else { return status::INVALID_PARAMETER };
        let Some(target) = device_name(pdo) else { return status::INVALID_DEVICE_REQUEST };
        if fault::fails("IoRegisterDeviceInterface") {
            return status::INSUFFICIENT_RESOURCES;
        }
        let link = register_interface(&crate::pnp::instance_id(), &target, g, text(reference).as_deref());
        let mut owned = OwnedUnicode::new(&link);
        let s = owned.unicode();
        let buffer = pool::alloc_lab(&LINK_BUFFER, usize::from(s.MaximumLength));
        std::ptr::copy_nonoverlapping(s.Buffer.cast::<u8>(), buffer, usize::from(s.MaximumLength));
        *out = UNICODE_STRING { Buffer: buffer.cast(), ..s };
    }
    status::SUCCESS
}

extern "win64" fn io_set_device_interface_state(link: *const UNICODE_STRING, enable: u8) -> NTSTATUS {
    let _c = InCall::enter("IoSetDeviceInterfaceState");
    irql::require_at_most(PASSIVE);
    // SAFETY: the driver passes a string.
    let Some(l) = (unsafe { text(link) }) else { return status::INVALID_PARAMETER };
    // Switching off is what a driver does on its way out, and does not fail for want of resources.
    if enable != 0 && fault::fails("IoSetDeviceInterfaceState") {
        return status::INSUFFICIENT_RESOURCES;
    }
    set_interface_state(&l, enable != 0).err().unwrap_or(status::SUCCESS)
}

/// Frees a string that [`io_register_device_interface`] made: the callee of `RtlFreeUnicodeString`.
///
/// # Safety
/// `buffer` is what the driver passed.
pub(crate) unsafe fn free_string(buffer: *mut u8) -> bool {
    // SAFETY: as our caller promises.
    unsafe {
        let ours = pool::is_lab_block(buffer, &LINK_BUFFER);
        if ours {
            pool::free_lab(buffer);
        }
        ours
    }
}

pub(super) fn exports() -> Vec<Export> {
    vec![
        export!("IoCreateSymbolicLink", io_create_symbolic_link),
        export!("IoCreateUnprotectedSymbolicLink", io_create_symbolic_link),
        export!("IoDeleteSymbolicLink", io_delete_symbolic_link),
        export!("IoRegisterDeviceInterface", io_register_device_interface),
        export!("IoSetDeviceInterfaceState", io_set_device_interface_state),
    ]
}
