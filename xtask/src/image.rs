//! What a linked image says about itself: checksum, time stamps, and the identity of its symbol file.

use std::ops::Range;

use anyhow::{Context, Result, bail, ensure};
use object::{
    LittleEndian as LE,
    pe::{IMAGE_DEBUG_TYPE_CODEVIEW, IMAGE_DIRECTORY_ENTRY_DEBUG},
    read::pe::PeFile64,
};
use sha2::{Digest, Sha256};

/// The 16 bytes by which a debugger knows that a symbol file belongs to an image.
pub type Guid = [u8; 16];

/// File offset of the PE signature.
fn header(image: &[u8]) -> Result<usize> {
    const OFFSET: Range<usize> = 0x3c..0x40;
    let offset = image.get(OFFSET).context("too short for a PE image")?;
    let header = u32::from_le_bytes([offset[0], offset[1], offset[2], offset[3]]) as usize;
    ensure!(image.get(header..).is_some_and(|bytes| bytes.starts_with(b"PE\0\0")), "not a PE image");
    ensure!(header.is_multiple_of(2), "the header lies at an odd place");
    Ok(header)
}

/// Where the header keeps its checksum.
fn checksum_place(image: &[u8]) -> Result<Range<usize>> {
    const SIGNATURE_AND_FILE_HEADER: usize = 24;
    const IN_OPTIONAL_HEADER: usize = 64;
    let place = header(image)? + SIGNATURE_AND_FILE_HEADER + IN_OPTIONAL_HEADER;
    ensure!(image.len() >= place + 4, "too short for a PE image");
    Ok(place..place + 4)
}

/// What the checksum should be: 16-bit words added with carry, without the checksum itself, plus the length.
pub fn checksum(image: &[u8]) -> Result<u32> {
    let place = checksum_place(image)?;
    let mut sum = 0_u32;
    for (index, word) in image.chunks(2).enumerate() {
        if place.contains(&(index * 2)) {
            continue;
        }
        sum += u32::from(word[0]) | u32::from(word.get(1).copied().unwrap_or(0)) << 8;
        sum = (sum & 0xffff) + (sum >> 16);
    }
    Ok(sum.wrapping_add(u32::try_from(image.len())?))
}

/// Writes the checksum into the header.
pub fn set_checksum(image: &mut [u8]) -> Result<()> {
    let sum = checksum(image)?;
    let place = checksum_place(image)?;
    image[place].copy_from_slice(&sum.to_le_bytes());
    Ok(())
}

/// Replaces what the linker derived from the symbol file, which names build folders, by a hash of the image
/// itself: the time stamps and the symbol file's identity, which is returned. Sets the checksum.
pub fn stamp(image: &mut [u8]) -> Result<Option<Guid>> {
    let Places { stamps, guid } = Places::find(image)?;
    for place in stamps.iter().chain(&guid) {
        image[place.clone()].fill(0);
    }
    let place = checksum_place(image)?;
    image[place].fill(0);
    let hash: [u8; 32] = Sha256::digest(&*image).into();
    for place in stamps {
        image[place].copy_from_slice(&hash[..4]);
    }
    let mut identity = None;
    if let Some(place) = guid {
        image[place].copy_from_slice(&hash[4..20]);
        identity = Some(hash[4..20].try_into()?);
    }
    set_checksum(image)?;
    Ok(identity)
}

/// File offsets of what [`stamp`] replaces.
struct Places {
    /// Time stamps of the header and of the debug directory's entries.
    stamps: Vec<Range<usize>>,
    /// The symbol file's identity.
    guid: Option<Range<usize>>,
}

impl Places {
    fn find(image: &[u8]) -> Result<Self> {
        const STAMP_IN_HEADER: usize = 8;
        const ENTRY: usize = 28;
        const STAMP_IN_ENTRY: usize = 4;
        let mut places = Self { stamps: Vec::new(), guid: None };
        let at = header(image)? + STAMP_IN_HEADER;
        places.stamps.push(at..at + 4);

        let pe = PeFile64::parse(image).context("not a 64-bit PE image")?;
        let Some(directory) = pe.data_directory(IMAGE_DIRECTORY_ENTRY_DEBUG) else { return Ok(places) };
        let entries = directory.size.get(LE) as usize / ENTRY;
        if entries == 0 {
            return Ok(places);
        }
        let (start, _) = directory.file_range(&pe.section_table())?;
        for index in 0..entries {
            let at = start as usize + index * ENTRY;
            let entry = image.get(at..at + ENTRY).context("the debug directory lies outside the file")?;
            places.stamps.push(at + STAMP_IN_ENTRY..at + STAMP_IN_ENTRY + 4);
            let number = |at: usize| u32::from_le_bytes([entry[at], entry[at + 1], entry[at + 2], entry[at + 3]]);
            if number(12) == IMAGE_DEBUG_TYPE_CODEVIEW {
                let at = number(24) as usize;
                ensure!(image.get(at..at + 20).is_some_and(|data| data.starts_with(b"RSDS")), "no RSDS record");
                places.guid = Some(at + 4..at + 20);
            }
        }
        Ok(places)
    }
}

/// Gives a symbol file (PDB) the identity its image has.
pub fn set_symbol_identity(pdb: &mut [u8], guid: &Guid) -> Result<()> {
    const MAGIC: &[u8] = b"Microsoft C/C++ MSF 7.00\r\n\x1aDS\0\0\0";
    /// Stream 1 is the file's information: version, signature, age, then the identity.
    const GUID_IN_INFORMATION: usize = 12;

    ensure!(pdb.starts_with(MAGIC), "not a symbol file");
    let number = |at: usize| -> Result<usize> {
        let bytes = pdb.get(at..at + 4).context("the symbol file is cut short")?;
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize)
    };
    let block = number(32)?;
    ensure!(block.is_power_of_two() && block >= 512, "blocks of {block} bytes");
    let directory_bytes = number(44)?;
    let map = number(52)? * block;
    // The directory's own blocks, then a reader of its n-th number.
    let blocks = (0..directory_bytes.div_ceil(block)).map(|n| number(map + n * 4)).collect::<Result<Vec<_>>>()?;
    let directory = |n: usize| -> Result<usize> {
        let at = n * 4;
        let place = blocks.get(at / block).context("the symbol file's directory is cut short")?;
        number(place * block + at % block)
    };
    let streams = directory(0)?;
    ensure!(streams > 1, "the symbol file has no information stream");
    let length = |stream: usize| -> Result<usize> {
        // A deleted stream has length -1.
        Ok(match directory(1 + stream)? {
            0xffff_ffff => 0,
            length => length,
        })
    };
    if length(1)? < GUID_IN_INFORMATION + guid.len() {
        bail!("the symbol file's information stream is too short");
    }
    let first = directory(1 + streams + length(0)?.div_ceil(block))?;
    let at = first * block + GUID_IN_INFORMATION;
    pdb.get_mut(at..at + guid.len()).context("the symbol file is cut short")?.copy_from_slice(guid);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_identity_goes_into_the_information_stream() {
        const BLOCK: usize = 512;
        let mut pdb = vec![0_u8; BLOCK * 8];
        pdb[..32].copy_from_slice(b"Microsoft C/C++ MSF 7.00\r\n\x1aDS\0\0\0");
        let mut put = |at: usize, numbers: &[u32]| {
            for (index, number) in numbers.iter().enumerate() {
                pdb[at + index * 4..at + index * 4 + 4].copy_from_slice(&number.to_le_bytes());
            }
        };
        put(32, &[BLOCK as u32, 1, 8]);
        put(44, &[32, 0, 3]);
        // Block 3 says that the directory is block 4; stream 0 has two blocks, stream 1 one: block 7.
        put(3 * BLOCK, &[4]);
        put(4 * BLOCK, &[3, 600, 28, u32::MAX, 5, 6, 7]);
        let before = pdb.clone();
        set_symbol_identity(&mut pdb, &[0xab; 16]).expect("a symbol file");
        let changed: Vec<usize> = (0..pdb.len()).filter(|at| pdb[*at] != before[*at]).collect();
        assert_eq!(changed, (7 * BLOCK + 12..7 * BLOCK + 28).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_no_symbol_file_is_refused() {
        assert!(set_symbol_identity(&mut [0; 64], &[0; 16]).is_err());
        let mut cut = b"Microsoft C/C++ MSF 7.00\r\n\x1aDS\0\0\0\0\x02\0\0".to_vec();
        assert!(set_symbol_identity(&mut cut, &[0; 16]).is_err());
    }
}
