//! What Authenticode needs of a 64-bit PE image: its digest, a place for the signature, the checksum.
//!
//! From Microsoft's "Windows Authenticode Portable Executable Signature Format": the digest covers the file without the checksum, the
//! directory entry of the certificate table, and that table, which comes last in the file.

use std::ops::Range;

use anyhow::{Context, Result, ensure};
use sha2::{Digest as _, Sha256};

/// SHA-256.
pub type Digest = [u8; 32];

/// Certificate tables begin, and entries of them end, at multiples of this.
const ALIGNMENT: usize = 8;
/// Of WIN_CERTIFICATE: length (u32), revision 2.0 (u16), type PKCS #7 (u16), then the data.
const ENTRY_HEADER: usize = 8;
const REVISION_2: u16 = 0x0200;
const TYPE_PKCS7: u16 = 2;

/// Where an image keeps what a signature changes.
struct Places {
    checksum: Range<usize>,
    /// The directory entry: file offset and length of the certificate table.
    entry: Range<usize>,
    /// The table; empty, at the end of the file, when there is none.
    table: Range<usize>,
}

impl Places {
    fn find(image: &[u8]) -> Result<Self> {
        const OPTIONAL_HEADER: usize = 24;
        const CHECKSUM: usize = OPTIONAL_HEADER + 64;
        const DIRECTORIES: usize = OPTIONAL_HEADER + 112;
        const CERTIFICATES: usize = 4;

        let header = number(image, 0x3c)?;
        ensure!(image.get(header..).is_some_and(|rest| rest.starts_with(b"PE\0\0")), "not a PE image");
        let magic = image.get(header + OPTIONAL_HEADER..header + OPTIONAL_HEADER + 2).context("cut short")?;
        ensure!(magic == [0x0b, 0x02], "not a 64-bit PE image");
        ensure!(number(image, header + DIRECTORIES - 4)? > CERTIFICATES, "no entry for a certificate table");
        let entry = header + DIRECTORIES + CERTIFICATES * 8;
        let (start, length) = (number(image, entry)?, number(image, entry + 4)?);
        let table = if length == 0 { image.len()..image.len() } else { start..start + length };
        ensure!(table.end == image.len() && table.start > entry, "the certificate table is not the end of the file");
        let checksum = header + CHECKSUM;
        Ok(Self { checksum: checksum..checksum + 4, entry: entry..entry + 8, table })
    }
}

fn number(image: &[u8], at: usize) -> Result<usize> {
    let bytes = image.get(at..at + 4).context("the image is cut short")?;
    Ok(u32::from_le_bytes(bytes.try_into()?) as usize)
}

/// The digest that a signature or a catalog holds; the same for an image before and after it is signed.
pub fn digest(image: &[u8]) -> Result<Digest> {
    let places = Places::find(image)?;
    let mut hash = Sha256::new();
    hash.update(&image[..places.checksum.start]);
    hash.update(&image[places.checksum.end..places.entry.start]);
    hash.update(&image[places.entry.end..places.table.start]);
    Ok(hash.finalize().into())
}

/// The image with this signature (a DER-encoded PKCS #7 structure) in place of any it has.
pub fn signed(image: &[u8], signature: &[u8]) -> Result<Vec<u8>> {
    let mut image = unsigned(image)?;
    // Zeros between image and table would be part of the digest, and lost when the signature is taken off again.
    ensure!(image.len().is_multiple_of(ALIGNMENT), "the image's length is no multiple of {ALIGNMENT}");
    let places = Places::find(&image)?;
    let start = image.len();
    let length = (ENTRY_HEADER + signature.len()).next_multiple_of(ALIGNMENT);
    image.extend_from_slice(&u32::try_from(length)?.to_le_bytes());
    image.extend_from_slice(&REVISION_2.to_le_bytes());
    image.extend_from_slice(&TYPE_PKCS7.to_le_bytes());
    image.extend_from_slice(signature);
    image.resize(start + length, 0);
    let entry = [u32::try_from(start)?.to_le_bytes(), u32::try_from(length)?.to_le_bytes()].concat();
    image[places.entry].copy_from_slice(&entry);
    set_checksum(&mut image, places.checksum);
    Ok(image)
}

/// The image without a signature.
pub fn unsigned(image: &[u8]) -> Result<Vec<u8>> {
    let places = Places::find(image)?;
    let mut image = image[..places.table.start].to_vec();
    image[places.entry].fill(0);
    set_checksum(&mut image, places.checksum);
    Ok(image)
}

/// 16-bit words added with carry, the checksum's own as zero, plus the file's length.
fn set_checksum(image: &mut [u8], place: Range<usize>) {
    image[place.clone()].fill(0);
    let words = image.chunks(2).map(|word| u32::from(word[0]) | u32::from(word.get(1).copied().unwrap_or(0)) << 8);
    let sum = words.fold(0_u32, |sum, word| {
        let sum = sum + word;
        (sum & 0xffff) + (sum >> 16)
    });
    // A file of 4 GiB has no place in the format.
    let sum = sum.wrapping_add(image.len() as u32);
    image[place].copy_from_slice(&sum.to_le_bytes());
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// The least that the functions here read: headers, and bytes after them.
    pub fn image() -> Vec<u8> {
        let mut image = vec![0x90; 0x400];
        image[..0x200].fill(0);
        image[0x3c] = 0x40;
        image[0x40..0x44].copy_from_slice(b"PE\0\0");
        image[0x58..0x5a].copy_from_slice(&[0x0b, 0x02]);
        image[0x58 + 108] = 16;
        image
    }

    #[test]
    fn a_signature_comes_off_again() {
        let plain = unsigned(&image()).expect("an image");
        let once = signed(&plain, &[1; 13]).expect("an image");
        let twice = signed(&once, &[2; 99]).expect("an image");
        assert_eq!(once.len(), plain.len() + 24);
        assert_eq!(unsigned(&twice).expect("an image"), plain);
        assert_eq!(digest(&twice).expect("an image"), digest(&plain).expect("an image"));
    }

    #[test]
    fn the_digest_covers_all_but_what_signing_changes() {
        let plain = image();
        let places = Places::find(&plain).expect("an image");
        let before = digest(&plain).expect("an image");
        // The header's own fields apart, every byte counts.
        for at in (0x100..plain.len()).filter(|at| !places.entry.contains(at)) {
            let mut changed = plain.clone();
            changed[at] ^= 1;
            assert_ne!(digest(&changed).expect("an image"), before, "byte {at:#x}");
        }
        let mut changed = plain.clone();
        changed[places.checksum.start] ^= 1;
        assert_eq!(digest(&changed).expect("an image"), before);
    }

    #[test]
    fn what_is_no_image_is_refused() {
        assert!(digest(b"MZ").is_err());
        let mut small = image();
        small[0x58] = 0x0a;
        assert!(digest(&small).is_err());
    }
}
