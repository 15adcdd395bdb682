//! RFC 8439's examples, and Project Wycheproof's vectors: among them what an authenticator gets wrong at the edges of its arithmetic, and
//! tags that are almost right.

use dco_chacha::ChaChaKey;
use dco_crypto::{Aead, AeadError};
use wycheproof::TestResult;
use wycheproof::aead::{TestName, TestSet};

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let digit = |d: u8| char::from(d).to_digit(16).expect("a digit") as u8;
    digits.chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

fn key(bytes: &[u8]) -> ChaChaKey {
    ChaChaKey::try_new(bytes.try_into().expect("32 bytes")).expect("memory")
}

/// Sealing in both ways and opening, all of them as the vector says.
fn expect(key: &ChaChaKey, nonce: &[u8; 12], aad: &[u8], plain: &[u8], cipher: &[u8], tag: &[u8; 16]) {
    let (mut out, mut made) = (vec![0xEE; plain.len()], [0; 16]);
    key.seal(nonce, aad, plain, &mut out, &mut made).expect("seals");
    assert_eq!((&out[..], &made), (cipher, tag), "seal");

    let (mut data, mut made) = (plain.to_vec(), [0; 16]);
    key.seal_in_place(nonce, aad, &mut data, &mut made).expect("seals");
    assert_eq!((&data[..], &made), (cipher, tag), "seal_in_place");

    let mut out = vec![0xEE; cipher.len()];
    key.open(nonce, aad, cipher, tag, &mut out).expect("opens");
    assert_eq!(out, plain, "open");
}

/// RFC 8439, section 2.8.2.
#[test]
fn rfc_8439_2_8_2() {
    let secret: Vec<u8> = (0x80..0xA0).collect();
    let plain: &[u8] =
        b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen \
would be it.";
    let cipher = hex("d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6
        3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36
        92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc
        3ff4def08e4b7a9de576d26586cec64b6116");
    let nonce = hex("070000004041424344454647").try_into().expect("12 bytes");
    let tag = hex("1ae10b594f09e26a7e902ecbd0600691").try_into().expect("16 bytes");
    expect(&key(&secret), &nonce, &hex("50515253c0c1c2c3c4c5c6c7"), plain, &cipher, &tag);
}

/// RFC 8439, appendix A.5.
#[test]
fn rfc_8439_a_5() {
    let secret = hex("1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0");
    let cipher = hex("64a0861575861af460f062c79be643bd5e805cfd345cf389f108670ac76c8cb2
        4c6cfc18755d43eea09ee94e382d26b0bdb7b73c321b0100d4f03b7f355894cf
        332f830e710b97ce98c8a84abd0b948114ad176e008d33bd60f982b1ff37c855
        9797a06ef4f0ef61c186324e2b3506383606907b6a7c02b0f9f6157b53c867e4
        b9166c767b804d46a59b5216cde7a4e99040c5a40433225ee282a1b0a06c523e
        af4534d7f83fa1155b0047718cbc546a0d072b04b3564eea1b422273f548271a
        0bb2316053fa76991955ebd63159434ecebb4e466dae5a1073a6727627097a10
        49e617d91d361094fa68f0ff77987130305beaba2eda04df997b714d6c6f2c29
        a6ad5cb4022b02709b");
    let plain = "Internet-Drafts are draft documents valid for a maximum of six months and may be updated, replaced, or obsoleted by other \
documents at any time. It is inappropriate to use Internet-Drafts as reference material or to cite them other than as \
/\u{201c}work in progress./\u{201d}";
    let nonce = hex("000000000102030405060708").try_into().expect("12 bytes");
    let tag = hex("eead9d67890cbb22392336fea1851f38").try_into().expect("16 bytes");
    expect(&key(&secret), &nonce, &hex("f33388860000000000004e91"), plain.as_bytes(), &cipher, &tag);
}

/// Every vector whose nonce is of this cipher's length: the valid ones both ways, the others refused with nothing written.
#[test]
fn wycheproof() {
    let set = TestSet::load(TestName::ChaCha20Poly1305).expect("the vectors");
    let (mut valid, mut refused) = (0, 0);
    for group in set.test_groups {
        if group.nonce_size != 96 {
            continue;
        }
        assert_eq!((group.key_size, group.tag_size), (256, 128));
        for test in group.tests {
            let (key, nonce) = (key(&test.key), test.nonce[..].try_into().expect("12 bytes"));
            let tag: [u8; 16] = test.tag[..].try_into().expect("16 bytes");
            if test.result == TestResult::Valid {
                expect(&key, &nonce, &test.aad, &test.pt, &test.ct, &tag);
                valid += 1;
                continue;
            }
            let mut out = vec![0xEE; test.ct.len()];
            assert_eq!(
                key.open(&nonce, &test.aad, &test.ct, &tag, &mut out),
                Err(AeadError::AuthFailed),
                "{}",
                test.tc_id
            );
            assert_eq!(out, vec![0xEE; test.ct.len()], "vector {} left something in the output", test.tc_id);
            refused += 1;
        }
    }
    assert!(valid >= 200 && refused >= 50, "expected Wycheproof's vectors, got {valid} valid and {refused} others");
}
