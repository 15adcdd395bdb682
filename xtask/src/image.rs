//! The checksum in the header of a PE image.

use std::ops::Range;

use anyhow::{Context, Result, ensure};

/// Where the header keeps its checksum.
fn place(image: &[u8]) -> Result<Range<usize>> {
    const HEADER_OFFSET: Range<usize> = 0x3c..0x40;
    const SIGNATURE_AND_FILE_HEADER: usize = 24;
    const IN_OPTIONAL_HEADER: usize = 64;
    let offset = image
        .get(HEADER_OFFSET)
        .context("too short for a PE image")?;
    let header = u32::from_le_bytes([offset[0], offset[1], offset[2], offset[3]]) as usize;
    let place = header.saturating_add(SIGNATURE_AND_FILE_HEADER + IN_OPTIONAL_HEADER);
    ensure!(
        image
            .get(header..place + 4)
            .is_some_and(|bytes| bytes.starts_with(b"PE\0\0")),
        "not a PE image"
    );
    ensure!(place.is_multiple_of(2), "the header lies at an odd place");
    Ok(place..place + 4)
}

/// What the checksum should be: 16-bit words added with carry, without the checksum itself, plus the length.
pub fn checksum(image: &[u8]) -> Result<u32> {
    let place = place(image)?;
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
    let place = place(image)?;
    image[place].copy_from_slice(&sum.to_le_bytes());
    Ok(())
}
