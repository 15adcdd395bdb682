use super::decode;

/// A description: its size before what is given.
fn sized(rest: &[u8]) -> Vec<u8> {
    let size = u16::try_from(rest.len() + 2).expect("short");
    [&size.to_le_bytes(), rest].concat()
}

fn text(metadata: &[u8], data: &[u8]) -> Result<String, String> {
    decode::event(&sized(metadata))?.text(data)
}

#[test]
fn every_layout_is_printed() {
    let cases: &[(&[u8], &[u8], &str)] = &[
        (b"\x07", b"\xff\xff\xff\xff", "-1"),
        (b"\x08", b"\xff\xff\xff\xff", "4294967295"),
        (b"\x03", b"\x80", "-128"),
        (b"\x04", b"\x80", "128"),
        (b"\x84\x03", b"\x01", "true"),
        (b"\x06", b"\x34\x12", "4660"),
        (b"\x86\x07", b"\x04\xaa", "1194"),
        (b"\x09", b"\xfe\xff\xff\xff\xff\xff\xff\xff", "-2"),
        (b"\x0a", b"\x01\x00\x00\x00\x00\x00\x00\x80", "9223372036854775809"),
        (b"\x14", b"\x10\x00\x00\xc0", "0xc0000010"),
        (b"\x94\x0e", b"\x00\x00\x00\x00", "0x00000000"),
        (b"\x0c", b"\x00\x00\x00\x00\x00\x00\xf8\x3f", "1.5"),
        (b"\x0d", b"\x01\x00\x00\x00", "true"),
        (
            b"\x0f",
            b"\x07\xeb\xeb\x1f\x6a\x69\xda\x5c\x9c\x9d\xa6\x63\xf2\x10\xb0\xa6",
            "{1febeb07-696a-5cda-9c9d-a663f210b0a6}",
        ),
        (b"\x01", b"a\0b\0\0\0", "\"ab\""),
        (b"\x82\x23", b"a\xc3\xa4\0", "\"aä\""),
        (b"\x16", b"\x04\0a\0b\0", "\"ab\""),
        (b"\x97\x23", b"\x02\0ab", "\"ab\""),
        (b"\x0e", b"\x02\0\x01\xff", "0x01ff"),
        (b"\x13", b"\x01\x01\0\0\0\0\0\x05\x12\0\0\0", "0x010100000000000512000000"),
        (b"\x8e\x0a", b"\x10\0\x02\0\x04\xaa\x0a\0\0\x01\0\0\0\0\0\0\0\0", "10.0.0.1:1194"),
        (
            b"\x8e\x0a",
            b"\x1c\0\x17\0\x04\xaa\0\0\0\0\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x03\0\0\0",
            "[fd00::1%3]:1194",
        ),
        (b"\x44", b"\x02\0\x07\x08", "[7,8]"),
        (b"\x24\x02\0", b"\x07\x08", "[7,8]"),
        (b"\x98\x02a\0\x04b\0\x04", b"\x07\x08", "{ a=7 b=8 }"),
        // Tags of the field, two bytes.
        (b"\x84\x84\x81\x01", b"\x10", "0x10"),
    ];
    for (kind, data, expected) in cases {
        let metadata = [b"\0E\0F\0", *kind].concat();
        assert_eq!(text(&metadata, data), Ok(format!("E F={expected}")), "{kind:02x?}");
    }
}

#[test]
fn an_event_may_have_no_fields_and_long_tags() {
    assert_eq!(text(b"\x81\x82\x03Up\0", b""), Ok("Up".to_owned()));
}

#[test]
fn malformed_metadata_is_found() {
    let cases: &[(&[u8], &str)] = &[
        (b"", "the event's tags"),
        (b"\x80", "the event's tags"),
        (b"\0", "no NUL"),
        (b"\0E", "no NUL"),
        (b"\0\0", "empty"),
        (b"\0E\xff\0", "utf-8"),
        (b"\0E\0F", "no NUL"),
        (b"\0E\0\0\x04", "empty"),
        (b"\0E\0F\0", "a field's type"),
        (b"\0E\0F\0\x84", "a field's format"),
        (b"\0E\0F\0\x84\x83", "a field's tags"),
        (b"\0E\0F\0\x84\x13", "no format 19"),
        (b"\0E\0F\0\0", "no type 0"),
        (b"\0E\0F\0\x1a", "no type 26"),
        (b"\0E\0F\0\x10", "no type 16"),
        (b"\0E\0F\0\x24\x01", "a field's count"),
        (b"\0E\0F\0\x64", "a type of its own"),
        (b"\0E\0F\0\x18", "without fields"),
        (b"\0E\0F\0\x98\x01", "no NUL"),
    ];
    for (metadata, why) in cases {
        let found = decode::event(&sized(metadata)).map(drop).expect_err("malformed");
        assert!(found.contains(why), "{metadata:02x?}: {found}");
    }
    for bytes in [&b""[..], b"\x05", b"\x05\0\0E", b"\x07\0\0E\0\0\0"] {
        assert!(decode::event(bytes).is_err(), "{bytes:02x?}");
    }
}

#[test]
fn data_that_is_not_what_the_metadata_says_is_found() {
    let cases: &[(&[u8], &[u8])] = &[
        (b"\x08", b"\0\0\0"),
        (b"\x08", b"\0\0\0\0\0"),
        (b"\x82\x23", b"ab"),
        (b"\x82\x23", b"\xff\0"),
        (b"\x01", b"a\0"),
        (b"\x0e", b"\x03\0ab"),
        (b"\x0e", b"\x03"),
        (b"\x44", b"\x03\0ab"),
        (b"\x13", b"\x01\x02\0\0\0\0\0\x05\x12\0\0\0"),
        // No family; a family of another length.
        (b"\x8e\x0a", b"\x10\0\x03\0\x04\xaa\x0a\0\0\x01\0\0\0\0\0\0\0\0"),
        (b"\x8e\x0a", b"\x0f\0\x02\0\x04\xaa\x0a\0\0\x01\0\0\0\0\0\0\0"),
    ];
    for (kind, data) in cases {
        let metadata = [b"\0E\0F\0", *kind].concat();
        assert!(text(&metadata, data).is_err(), "{kind:02x?} {data:02x?}");
    }
    assert!(text(b"\0E\0", b"\0").is_err());
}

#[test]
fn traits_are_a_name_and_what_follows() {
    assert_eq!(decode::provider(&sized(b"A.B\0")), Ok("A.B".to_owned()));
    let group = [&b"A\0\x13\0\x01"[..], &[7; 16]].concat();
    assert_eq!(decode::provider(&sized(&group)), Ok("A".to_owned()));
    for wrong in [&b""[..], b"A", b"\0", b"A\0\x13\0\x01", b"A\0\x02\0", b"A\0\x04\0\x01\0"] {
        assert!(decode::provider(&sized(wrong)).is_err(), "{wrong:02x?}");
    }
    assert!(decode::provider(b"\x07\0A.B\0").is_err());
}

/// The hash that ETW's tools make of a provider's name: SHA-1 of a namespace and the name, upper case, UTF-16 big-endian.
fn id_of(name: &str) -> String {
    const NAMESPACE: [u8; 16] =
        [0x48, 0x2C, 0x2D, 0xB2, 0xC3, 0x90, 0x47, 0xC8, 0x87, 0xF8, 0x1A, 0x15, 0xBF, 0xC1, 0x30, 0xFB];
    let mut input = NAMESPACE.to_vec();
    input.extend(name.to_uppercase().encode_utf16().flat_map(u16::to_be_bytes));
    let mut id = openssl::sha::sha1(&input)[..16].to_vec();
    id[7] = id[7] & 0x0F | 0x50;
    decode::guid(&id)
}

/// What is documented, what scripts ask for and what tools make of the name are one.
#[test]
fn the_drivers_provider_has_the_id_of_its_name() {
    // Microsoft's example.
    assert_eq!(id_of("MyProvider"), "b3864c38-4273-58c5-545b-8b3608343471");
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let id = id_of("OpenVPN.DcoRs");
    for file in ["docs/events.md", "docs/windows.md", "scripts/windows/trace.ps1"] {
        let text = std::fs::read_to_string(root.join(file)).expect("it is there");
        assert!(text.contains(&id), "{file} does not say {id}");
    }
}
