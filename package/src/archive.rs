//! A ZIP file whose bytes follow from its entries: stored, not compressed, with one time for all (APPNOTE.TXT of PKWARE).

use anyhow::{Context as _, Result};
use der::DateTime;

const VERSION_NEEDED: u16 = 20;
/// Names are UTF-8.
const FLAGS: u16 = 1 << 11;
const STORED: u16 = 0;

/// A ZIP being written.
pub struct Archive {
    /// What is said twice: time, date.
    stamp: [u8; 4],
    file: Vec<u8>,
    directory: Vec<u8>,
    entries: u16,
}

impl Archive {
    /// Empty. The format knows years from 1980 and even seconds.
    pub fn new(date: DateTime) -> Self {
        let time = u16::from(date.hour()) << 11 | u16::from(date.minutes()) << 5 | (u16::from(date.seconds()) / 2);
        let day = date.year().saturating_sub(1980) << 9 | u16::from(date.month()) << 5 | u16::from(date.day());
        let ([a, b], [c, d]) = (time.to_le_bytes(), day.to_le_bytes());
        Self { stamp: [a, b, c, d], file: Vec::new(), directory: Vec::new(), entries: 0 }
    }

    /// Adds a file; folders in its name are separated by `/`.
    pub fn add(&mut self, name: &str, data: &[u8]) -> Result<()> {
        let offset = u32::try_from(self.file.len())?.to_le_bytes();
        let length = u32::try_from(data.len())?.to_le_bytes();
        let header = [
            VERSION_NEEDED.to_le_bytes().as_slice(),
            &FLAGS.to_le_bytes(),
            &STORED.to_le_bytes(),
            &self.stamp,
            &crc32(data).to_le_bytes(),
            &length,
            &length,
            &u16::try_from(name.len())?.to_le_bytes(),
            // No further fields.
            &[0, 0],
        ]
        .concat();
        self.file.extend_from_slice(b"PK\x03\x04");
        self.file.extend_from_slice(&header);
        self.file.extend_from_slice(name.as_bytes());
        self.file.extend_from_slice(data);

        self.directory.extend_from_slice(b"PK\x01\x02");
        // Made by: the same version.
        self.directory.extend_from_slice(&VERSION_NEEDED.to_le_bytes());
        self.directory.extend_from_slice(&header);
        // Length of the comment, disk, attributes inside and outside.
        self.directory.extend_from_slice(&[0; 10]);
        self.directory.extend_from_slice(&offset);
        self.directory.extend_from_slice(name.as_bytes());
        self.entries = self.entries.checked_add(1).context("too many files")?;
        Ok(())
    }

    /// The file.
    pub fn finish(mut self) -> Result<Vec<u8>> {
        let (start, length) = (u32::try_from(self.file.len())?, u32::try_from(self.directory.len())?);
        self.file.append(&mut self.directory);
        self.file.extend_from_slice(b"PK\x05\x06");
        // This disk, the directory's disk.
        self.file.extend_from_slice(&[0; 4]);
        self.file.extend_from_slice(&self.entries.to_le_bytes());
        self.file.extend_from_slice(&self.entries.to_le_bytes());
        self.file.extend_from_slice(&length.to_le_bytes());
        self.file.extend_from_slice(&start.to_le_bytes());
        // No comment.
        self.file.extend_from_slice(&[0; 2]);
        Ok(self.file)
    }
}

/// CRC-32 of ISO 3309, bit by bit: a package is small.
fn crc32(data: &[u8]) -> u32 {
    !data.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 0 { crc >> 1 } else { crc >> 1 ^ 0xedb8_8320 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_of_the_crc() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }
}
