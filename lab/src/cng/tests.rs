//! Known answers, chains, failures and broken contracts, through the exported functions.

use super::handles::Handle;
use super::key::{AuthInfo, CHAIN_CALLS, IN_PROGRESS, decrypt, destroy, encrypt, generate, import};
use super::provider::{close, gen_random, get_property, open, set_property};
use super::{AUTH_TAG_MISMATCH, INVALID_HANDLE, INVALID_PARAMETER, NOT_FOUND, NOT_SUPPORTED, SUCCESS, provider};
use crate::{irql, report};
use std::ptr::{null, null_mut};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The settings and the violation log are the process's: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    let guard = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    report::collect(true);
    guard
}

/// Violations of `rule` so far.
fn seen(rule: &str) -> usize {
    report::collected().iter().filter(|t| t.starts_with(&format!("violation: {rule}\n"))).count()
}

fn wide(s: &str) -> Vec<u16> {
    s.encode_utf16().chain([0]).collect()
}

fn hex(s: &str) -> Vec<u8> {
    (0..s.len() / 2).map(|i| u8::from_str_radix(&s[i * 2..i * 2 + 2], 16).expect("hex")).collect()
}

fn provider_of(name: &str, flags: u32) -> Handle {
    let mut h = 0;
    assert_eq!(open(&mut h, wide(name).as_ptr(), null(), flags), SUCCESS);
    if name == "AES" {
        let mode = wide("ChainingModeGCM");
        assert_eq!(set_property(h, wide("ChainingMode").as_ptr(), mode.as_ptr().cast(), 32, 0), SUCCESS);
    }
    h
}

fn key_of(p: Handle, secret: &[u8]) -> Handle {
    let mut k = 0;
    assert_eq!(generate(p, &mut k, null_mut(), 0, secret.as_ptr(), secret.len() as u32, 0), SUCCESS);
    k
}

fn info(nonce: &[u8], aad: &[u8], tag: &mut [u8]) -> AuthInfo {
    AuthInfo {
        size: 88,
        version: 1,
        nonce: nonce.as_ptr().cast_mut(),
        nonce_len: nonce.len() as u32,
        aad: if aad.is_empty() { null_mut() } else { aad.as_ptr().cast_mut() },
        aad_len: aad.len() as u32,
        tag: tag.as_mut_ptr(),
        tag_len: tag.len() as u32,
        mac_context: null_mut(),
        mac_context_len: 0,
        aad_done: 0,
        data_done: 0,
        flags: 0,
    }
}

fn call(
    sealing: bool,
    k: Handle,
    input: *const u8,
    i: &mut AuthInfo,
    iv: &mut [u8],
    output: *mut u8,
    len: usize,
) -> i32 {
    let mut done = 0u32;
    let f = if sealing { encrypt } else { decrypt };
    let iv_at = if iv.is_empty() { null_mut() } else { iv.as_mut_ptr() };
    let s = f(k, input, len as u32, i, iv_at, iv.len() as u32, output, len as u32, &mut done, 0);
    if s == SUCCESS {
        assert_eq!(done as usize, len);
    }
    s
}

struct Vector {
    name: &'static str,
    key: &'static str,
    nonce: &'static str,
    aad: &'static str,
    plain: &'static str,
    cipher: &'static str,
    tag: &'static str,
}

/// The GCM specification's test cases 4, 10 and 16, and RFC 8439 section 2.8.2.
const VECTORS: [Vector; 4] = [
    Vector {
        name: "AES",
        key: "feffe9928665731c6d6a8f9467308308",
        nonce: "cafebabefacedbaddecaf888",
        aad: "feedfacedeadbeeffeedfacedeadbeefabaddad2",
        plain: "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
        cipher: "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091",
        tag: "5bc94fbc3221a5db94fae95ae7121a47",
    },
    Vector {
        name: "AES",
        key: "feffe9928665731c6d6a8f9467308308feffe9928665731c",
        nonce: "cafebabefacedbaddecaf888",
        aad: "feedfacedeadbeeffeedfacedeadbeefabaddad2",
        plain: "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
        cipher: "3980ca0b3c00e841eb06fac4872a2757859e1ceaa6efd984628593b40ca1e19c7d773d00c144c525ac619d18c84a3f4718e2448b2fe324d9ccda2710",
        tag: "2519498e80f1478f37ba55bd6d27618c",
    },
    Vector {
        name: "AES",
        key: "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
        nonce: "cafebabefacedbaddecaf888",
        aad: "feedfacedeadbeeffeedfacedeadbeefabaddad2",
        plain: "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
        cipher: "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
        tag: "76fc6ece0f4e1768cddf8853bb2d551b",
    },
    Vector {
        name: "CHACHA20_POLY1305",
        key: "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
        nonce: "070000004041424344454647",
        aad: "50515253c0c1c2c3c4c5c6c7",
        plain: "4c616469657320616e642047656e746c656d656e206f662074686520636c617373206f66202739393a204966204920636f756c64206f6666657220796f75206f6e6c79206f6e652074697020666f7220746865206675747572652c2073756e73637265656e20776f756c642062652069742e",
        cipher: "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc3ff4def08e4b7a9de576d26586cec64b6116",
        tag: "1ae10b594f09e26a7e902ecbd0600691",
    },
];

#[test]
fn known_answers_apart_and_in_place() {
    let _one = alone();
    for v in &VECTORS {
        let p = provider_of(v.name, 1);
        let k = key_of(p, &hex(v.key));
        let (nonce, aad, plain, cipher) = (hex(v.nonce), hex(v.aad), hex(v.plain), hex(v.cipher));
        // At DISPATCH_LEVEL, twice: the second time with a warm context.
        irql::at(irql::DISPATCH, || {
            for _ in 0..2 {
                let mut tag = [0u8; 16];
                let mut out = vec![0u8; plain.len()];
                let mut i = info(&nonce, &aad, &mut tag);
                assert_eq!(call(true, k, plain.as_ptr(), &mut i, &mut [], out.as_mut_ptr(), plain.len()), SUCCESS);
                assert_eq!(out, cipher);
                assert_eq!(tag.to_vec(), hex(v.tag));
                let mut data = cipher.clone();
                let at = data.as_mut_ptr();
                let mut i = info(&nonce, &aad, &mut tag);
                assert_eq!(call(false, k, at, &mut i, &mut [], at, data.len()), SUCCESS);
                assert_eq!(data, plain);
                tag[3] ^= 1;
                let mut out = vec![0xAAu8; plain.len()];
                let mut i = info(&nonce, &aad, &mut tag);
                assert_eq!(
                    call(false, k, cipher.as_ptr(), &mut i, &mut [], out.as_mut_ptr(), plain.len()),
                    AUTH_TAG_MISMATCH
                );
                assert!(out.iter().all(|b| *b == 0), "output of a failed decryption is zeroed");
            }
        });
        assert_eq!(destroy(k), SUCCESS);
        assert_eq!(close(p, 0), SUCCESS);
    }
}

#[test]
fn chained_calls_make_the_same_message() {
    let _one = alone();
    let v = &VECTORS[2];
    let p = provider_of("AES", 1);
    let k = key_of(p, &hex(v.key));
    let (nonce, aad, plain, cipher) = (hex(v.nonce), hex(v.aad), hex(v.plain), hex(v.cipher));
    for (sealing, from, to) in [(true, &plain, &cipher), (false, &cipher, &plain)] {
        let mut tag: [u8; 16] = hex(v.tag).try_into().expect("16 bytes");
        if sealing {
            tag = [0; 16];
        }
        let (mut mac, mut iv) = ([0x5Au8; 16], [0u8; 16]);
        let mut out = from.clone();
        let mut i = info(&nonce, &aad, &mut tag);
        i.mac_context = mac.as_mut_ptr();
        i.mac_context_len = 16;
        i.flags = CHAIN_CALLS;
        for (n, range) in [0..16, 16..48, 48..60].into_iter().enumerate() {
            if n == 1 {
                (i.aad, i.aad_len) = (null_mut(), 0);
            }
            if n == 2 {
                i.flags &= !CHAIN_CALLS;
            }
            let at = out[range.clone()].as_mut_ptr();
            assert_eq!(call(sealing, k, at, &mut i, &mut iv, at, range.len()), SUCCESS, "part {n}");
            assert_eq!(i.flags & IN_PROGRESS != 0, n < 2);
        }
        assert_eq!(&out, to);
        assert_eq!(tag.to_vec(), hex(v.tag));
    }
    // A part that is not the last and not whole blocks.
    let before = seen("cng.bad-chain");
    let (mut mac, mut iv, mut tag) = ([0u8; 16], [0u8; 16], [0u8; 16]);
    let mut i = info(&nonce, &aad, &mut tag);
    (i.mac_context, i.mac_context_len, i.flags) = (mac.as_mut_ptr(), 16, CHAIN_CALLS);
    let mut data = plain.clone();
    let at = data.as_mut_ptr();
    assert_eq!(call(true, k, at, &mut i, &mut iv, at, 15), INVALID_PARAMETER);
    // State overwritten between two calls.
    assert_eq!(call(true, k, at, &mut i, &mut iv, at, 16), SUCCESS);
    std::hint::black_box(&mut mac)[5] ^= 1;
    assert_eq!(call(true, k, at, &mut i, &mut iv, at, 16), INVALID_PARAMETER);
    assert_eq!(seen("cng.bad-chain"), before + 2);
    assert_eq!(destroy(k), SUCCESS);
    assert_eq!(close(p, 0), SUCCESS);
}

#[test]
fn broken_contracts_are_named() {
    let _one = alone();
    let p = provider_of("AES", 0);
    let k = key_of(p, &[7; 16]);
    let (nonce, mut tag, mut data) = ([1u8; 12], [0u8; 16], [0u8; 64]);
    let at = data.as_mut_ptr();
    let once = |rule: &str, f: &mut dyn FnMut()| {
        let before = seen(rule);
        f();
        assert_eq!(seen(rule), before + 1, "{rule}");
    };
    once("cng.dispatch-without-flag", &mut || {
        irql::at(irql::DISPATCH, || {
            call(true, k, at, &mut info(&nonce, &[], &mut tag), &mut [], at, 16);
        });
    });
    once("cng.partial-overlap", &mut || {
        let s = call(true, k, at, &mut info(&nonce, &[], &mut tag), &mut [], at.wrapping_add(8), 16);
        assert_eq!(s, INVALID_PARAMETER);
    });
    once("cng.bad-info", &mut || {
        let mut i = info(&nonce, &[], &mut tag);
        i.size = 84;
        assert_eq!(call(true, k, at, &mut i, &mut [], at, 16), INVALID_PARAMETER);
    });
    once("cng.bad-info", &mut || {
        assert_eq!(call(true, k, at, &mut info(&nonce[..8], &[], &mut tag), &mut [], at, 16), INVALID_PARAMETER);
    });
    once("cng.bad-info", &mut || {
        assert_eq!(call(true, k, at, &mut info(&nonce, &[], &mut tag[..8]), &mut [], at, 16), INVALID_PARAMETER);
    });
    once("cng.key-outlives-provider", &mut || {
        assert_eq!(close(p, 0), SUCCESS);
    });
    once("cng.leak", &mut super::check_leaks);
    assert_eq!(super::live(), 1);
    assert_eq!(destroy(k), SUCCESS);
    once("cng.bad-handle", &mut || assert_eq!(destroy(k), INVALID_HANDLE));
    once("cng.bad-handle", &mut || assert_eq!(close(0x1234_5678, 0), INVALID_HANDLE));
    once("irql.too-high", &mut || {
        irql::at(irql::DISPATCH, || {
            let mut h = 0;
            assert_eq!(open(&mut h, wide("AES").as_ptr(), null(), 1), SUCCESS);
            irql::at(irql::DISPATCH, || ());
            irql::lower(irql::PASSIVE);
            assert_eq!(close(h, 0), SUCCESS);
            irql::raise(irql::DISPATCH);
        });
    });
}

#[test]
fn key_objects_are_guarded() {
    let _one = alone();
    let p = provider_of("AES", 1);
    let mut object = vec![0u8; 654];
    let mut k = 0;
    assert_eq!(generate(p, &mut k, object.as_mut_ptr(), 654, [1u8; 32].as_ptr(), 32, 0), SUCCESS);
    let before = seen("cng.key-object-overwritten");
    object[100] = 0;
    assert_eq!(destroy(k), SUCCESS);
    assert_eq!(seen("cng.key-object-overwritten"), before + 1);
    assert_eq!(generate(p, &mut k, null_mut(), 0, [1u8; 20].as_ptr(), 20, 0), INVALID_PARAMETER);
    assert_eq!(close(p, 0), SUCCESS);
}

#[test]
fn properties_import_and_random() {
    let _one = alone();
    let p = provider_of("AES", 1);
    let (mut out, mut n) = ([0u8; 64], 0u32);
    assert_eq!(get_property(p, wide("AuthTagLength").as_ptr(), out.as_mut_ptr(), 64, &mut n, 0), SUCCESS);
    assert_eq!((n, out[0], out[4], out[8]), (12, 12, 16, 1));
    assert_eq!(get_property(p, wide("ObjectLength").as_ptr(), out.as_mut_ptr(), 64, &mut n, 0), SUCCESS);
    assert_eq!(u32::from_le_bytes([out[0], out[1], out[2], out[3]]), 654);
    assert_eq!(get_property(p, wide("Nonsense").as_ptr(), out.as_mut_ptr(), 64, &mut n, 0), NOT_SUPPORTED);
    let mut blob = [0x4D42_444Bu32, 1, 16].iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<u8>>();
    blob.extend([9u8; 16]);
    let mut k = 0;
    assert_eq!(import(p, 0, wide("KeyDataBlob").as_ptr(), &mut k, null_mut(), 0, blob.as_ptr(), 28, 0), SUCCESS);
    assert_eq!(destroy(k), SUCCESS);
    assert_eq!(close(p, 0), SUCCESS);
    let mut bytes = [0u8; 32];
    assert_eq!(gen_random(0, bytes.as_mut_ptr(), 32, 2), SUCCESS);
    assert!(bytes.iter().any(|b| *b != 0));
    let rng = provider_of("RNG", 1);
    irql::at(irql::DISPATCH, || assert_eq!(gen_random(rng, bytes.as_mut_ptr(), 32, 0), SUCCESS));
    assert_eq!(close(rng, 0), SUCCESS);
    provider::offer_chacha(false);
    let mut h = 0;
    assert_eq!(open(&mut h, wide("CHACHA20_POLY1305").as_ptr(), null(), 1), NOT_FOUND);
    provider::offer_chacha(true);
}

#[test]
fn many_threads_share_one_key() {
    let _one = alone();
    let p = provider_of("AES", 1);
    let k = key_of(p, &[3; 32]);
    let bad = report::collected().len();
    std::thread::scope(|s| {
        for t in 0..4u8 {
            s.spawn(move || {
                for n in 0..2000u32 {
                    let mut nonce = [t; 12];
                    nonce[..4].copy_from_slice(&n.to_le_bytes());
                    let (mut tag, mut data) = ([0u8; 16], [t; 200]);
                    let at = data.as_mut_ptr();
                    irql::at(irql::DISPATCH, || {
                        assert_eq!(call(true, k, at, &mut info(&nonce, b"head", &mut tag), &mut [], at, 200), SUCCESS);
                        assert_eq!(call(false, k, at, &mut info(&nonce, b"head", &mut tag), &mut [], at, 200), SUCCESS);
                    });
                    assert_eq!(data, [t; 200]);
                }
            });
        }
    });
    assert_eq!(report::collected().len(), bad);
    assert_eq!(destroy(k), SUCCESS);
    assert_eq!(close(p, 0), SUCCESS);
}

/// Not a check: `cargo test --release cng -- --ignored --nocapture` prints the cost of a call.
#[test]
#[ignore = "a measurement"]
fn cost_of_a_call() {
    let _one = alone();
    for name in ["AES", "CHACHA20_POLY1305"] {
        let p = provider_of(name, 1);
        let k = key_of(p, &[3; 32]);
        let (mut tag, mut data) = ([0u8; 16], vec![0u8; 1440]);
        let at = data.as_mut_ptr();
        let start = std::time::Instant::now();
        let rounds = 500_000;
        for _ in 0..rounds {
            call(true, k, at, &mut info(&[1; 12], b"aad_aad_", &mut tag), &mut [], at, 1440);
        }
        println!("{name}: {:?} a call of 1440 bytes", start.elapsed() / rounds);
        destroy(k);
        close(p, 0);
    }
}
