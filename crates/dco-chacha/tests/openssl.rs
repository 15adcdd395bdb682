//! Against OpenSSL's ChaCha20-Poly1305: what one seals the other opens, and nothing else is opened.

use dco_chacha::{BAD_LENGTH, ChaChaKey};
use dco_crypto::{Aead, AeadError};
use dco_testkit::TestAead;
use dco_testkit::aead::Direction;
use proptest::prelude::*;

/// Lengths around the block sizes of both halves of the cipher, up to a jumbo packet.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let length = prop_oneof![
        4 => 0usize..=260,
        2 => 1400usize..=1600,
        1 => 0usize..=9100,
    ];
    length.prop_flat_map(|length| prop::collection::vec(any::<u8>(), length))
}

/// What to damage, and where.
#[derive(Debug, Clone, Copy)]
enum Damage {
    Tag,
    Cipher,
    Aad,
    Nonce,
    Key,
}

fn damage() -> impl Strategy<Value = Damage> {
    use Damage::{Aad, Cipher, Key, Nonce, Tag};
    prop::sample::select(vec![Tag, Cipher, Aad, Nonce, Key])
}

fn flip(bytes: &mut [u8], bit: usize) {
    if !bytes.is_empty() {
        bytes[bit / 8 % bytes.len()] ^= 1 << (bit % 8);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn both_make_the_same_packet(
        secret: [u8; 32], nonce: [u8; 12], aad in prop::collection::vec(any::<u8>(), 0..=40), plain in bytes(),
    ) {
        let ours = ChaChaKey::try_new(&secret).expect("memory");
        let theirs = TestAead::chacha(&secret, Direction::Seal).expect("a key");
        let (mut out, mut tag) = (vec![0xEE; plain.len()], [0; 16]);
        ours.seal(&nonce, &aad, &plain, &mut out, &mut tag).expect("seals");
        let (mut expected, mut expected_tag) = (vec![0x11; plain.len()], [0; 16]);
        theirs.seal(&nonce, &aad, &plain, &mut expected, &mut expected_tag).expect("seals");
        prop_assert_eq!(&out, &expected);
        prop_assert_eq!(tag, expected_tag);

        let (mut data, mut tag) = (plain.clone(), [0; 16]);
        ours.seal_in_place(&nonce, &aad, &mut data, &mut tag).expect("seals");
        prop_assert_eq!(&data, &expected);
        prop_assert_eq!(tag, expected_tag);

        ours.open(&nonce, &aad, &expected, &expected_tag, &mut out).expect("opens");
        prop_assert_eq!(out, plain);
    }

    #[test]
    fn one_wrong_bit_opens_nothing_and_writes_nothing(
        secret: [u8; 32], nonce: [u8; 12], aad: [u8; 8], plain in bytes(), damage in damage(), bit in 0usize..=80_000,
    ) {
        let theirs = TestAead::chacha(&secret, Direction::Seal).expect("a key");
        let (mut cipher, mut tag) = (vec![0; plain.len()], [0; 16]);
        theirs.seal(&nonce, &aad, &plain, &mut cipher, &mut tag).expect("seals");
        let (mut secret, mut nonce, mut aad) = (secret, nonce, aad);
        match damage {
            Damage::Cipher if !cipher.is_empty() => flip(&mut cipher, bit),
            Damage::Tag | Damage::Cipher => flip(&mut tag, bit),
            Damage::Aad => flip(&mut aad, bit),
            Damage::Nonce => flip(&mut nonce, bit),
            Damage::Key => flip(&mut secret, bit),
        }
        let ours = ChaChaKey::try_new(&secret).expect("memory");
        let mut out = vec![0xEE; cipher.len()];
        prop_assert_eq!(ours.open(&nonce, &aad, &cipher, &tag, &mut out), Err(AeadError::AuthFailed));
        prop_assert!(out.iter().all(|byte| *byte == 0xEE), "the output was written to");
    }
}

#[test]
fn a_packet_cut_or_grown_is_refused() {
    let ours = ChaChaKey::try_new(&[7; 32]).expect("memory");
    let (nonce, aad, plain) = ([1; 12], [2; 8], [3; 200]);
    let (mut cipher, mut tag) = ([0; 200], [0; 16]);
    ours.seal(&nonce, &aad, &plain, &mut cipher, &mut tag).expect("seals");
    for length in 0..cipher.len() {
        let mut out = vec![0xEE; length];
        let opened = ours.open(&nonce, &aad, &cipher[..length], &tag, &mut out);
        assert_eq!((opened, out), (Err(AeadError::AuthFailed), vec![0xEE; length]), "{length} bytes of it");
    }
    let grown: Vec<u8> = cipher.iter().copied().chain([0]).collect();
    assert_eq!(ours.open(&nonce, &aad, &grown, &tag, &mut [0; 201]), Err(AeadError::AuthFailed));
    // Bytes moved between associated data and message change what is authenticated.
    let moved: Vec<u8> = aad.iter().chain(&cipher[..1]).copied().collect();
    assert_eq!(ours.open(&nonce, &moved, &cipher[1..], &tag, &mut [0; 199]), Err(AeadError::AuthFailed));
}

#[test]
fn lengths_that_do_not_agree_are_refused() {
    let ours = ChaChaKey::try_new(&[7; 32]).expect("memory");
    let wrong = Err(AeadError::Backend(BAD_LENGTH));
    assert_eq!(ours.seal(&[0; 12], &[], &[0; 5], &mut [0; 6], &mut [0; 16]), wrong);
    assert_eq!(ours.open(&[0; 12], &[], &[0; 6], &[0; 16], &mut [0; 5]), wrong);
}

#[test]
fn a_key_shows_nothing_of_itself() {
    let shown = format!("{:?}", ChaChaKey::try_new(&[0x5A; 32]).expect("memory"));
    assert_eq!(shown, "ChaChaKey { .. }");
}
