//! What needs no device; the rest is in `lab/tests/netcx.rs`, with a driver.

use super::abi::{Fragment, IGNORE, Layout, Packet, SCRATCH};
use super::table::{COUNT, NAMES, RELEASED};
use super::{configuration, device};
use crate::report;

#[test]
fn names_are_those_of_the_layout() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/facts/nt-layout.json");
    let text = std::fs::read_to_string(path).expect("docs/facts/nt-layout.json");
    let j: serde_json::Value = serde_json::from_str(&text).expect("json");
    let table = j["net_table"].as_object().expect("net_table");
    assert_eq!(table.len(), COUNT);
    for (name, index) in table {
        assert_eq!(NAMES[index.as_u64().expect("index") as usize], name);
    }
    for (minor, count) in RELEASED.iter().enumerate() {
        assert_eq!(j["net_function_count"][format!("2.{minor}")].as_u64(), Some(*count as u64));
    }
    let built = super::table::build();
    assert_eq!(built.len(), COUNT);
}

#[test]
fn a_packet_is_twelve_bytes_with_its_bits_in_place() {
    let p = Packet {
        fragment: 0x0102_0304,
        count: 3,
        layout: Layout { l2_len: 0x55, l3_len: 0x155, l4_len: 20, l2: 1, l3: 6, l4: 2 },
        flags: IGNORE | SCRATCH,
    };
    let mut b = [0u8; 12];
    // SAFETY: twelve bytes.
    unsafe { p.write(b.as_mut_ptr()) };
    // Layer2HeaderLength bits 0..7, Layer3HeaderLength 7..16, Layer4HeaderLength 16..24, three types of four bits.
    assert_eq!(b, [4, 3, 2, 1, 3, 0, 0xD5, 0xAA, 20, 0x61, 2, 3]);
    // SAFETY: twelve bytes.
    assert_eq!(unsafe { Packet::read(b.as_ptr()) }, p);
}

#[test]
fn a_fragment_is_64_bits() {
    let f = Fragment::new(1400, 2048, 18);
    assert_eq!(f.0, 1400 | 2048 << 26 | 18 << 52);
    assert_eq!((f.valid(), f.capacity(), f.offset()), (1400, 2048, 18));
    assert_eq!(Fragment(f.0 | 1 << 62).plain(), f.0);
}

#[test]
fn device_rules_are_named() {
    report::collect(true);
    device::check_init_call("WdfDeviceInitAssignName");
    device::check_init_call("WdfDeviceInitSetFileObjectConfig");
    device::check_interface(None);
    device::check_interface(Some("ovpn-dco"));
    let seen = report::collected();
    let count = |rule: &str| seen.iter().filter(|t| t.starts_with(&format!("violation: {rule}\n"))).count();
    assert_eq!(count("netcx.forbidden-init-call"), 1);
    assert_eq!(count("netcx.interface-without-reference"), 1);
    configuration::set("MTU", 1400);
}
