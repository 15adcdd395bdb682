//! Lines of the standard input, as they come.

use std::io::stdin;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use anyhow::{Context, Result, bail};
use rustix::io::{Errno, read};
use zeroize::{Zeroize, Zeroizing};

/// A line with a key's digits is 517 bytes.
const ROOM: usize = 4096;

/// The input. Lines may have keys in them: they are wiped.
pub struct Input {
    fd: OwnedFd,
    bytes: Zeroizing<Vec<u8>>,
}

impl Input {
    /// This process's.
    pub fn standard() -> Result<Self> {
        Ok(Self::of(stdin().as_fd().try_clone_to_owned().context("the standard input")?))
    }

    fn of(fd: OwnedFd) -> Self {
        Self { fd, bytes: Zeroizing::new(Vec::with_capacity(ROOM)) }
    }

    /// The lines that are there, once something can be read; `None` at the input's end.
    pub fn lines(&mut self) -> Result<Option<Vec<Zeroizing<String>>>> {
        let mut more = Zeroizing::new([0; 512]);
        let length = match read(&self.fd, &mut more[..]) {
            Ok(0) => return Ok(None),
            Ok(length) => length,
            Err(Errno::INTR | Errno::AGAIN) => 0,
            Err(error) => return Err(error).context("the standard input"),
        };
        if self.bytes.len() + length > ROOM {
            self.bytes.zeroize();
            bail!("expected lines of at most {ROOM} bytes on the standard input");
        }
        self.bytes.extend(more.iter().take(length));
        let mut lines = Vec::new();
        while let Some(end) = self.bytes.iter().position(|byte| *byte == b'\n') {
            let line = self.bytes.iter().take(end).copied().collect();
            match String::from_utf8(line) {
                Ok(line) => lines.push(Zeroizing::new(line)),
                Err(error) => {
                    error.into_bytes().zeroize();
                    bail!("expected text on the standard input");
                }
            }
            let rest = self.bytes.len() - end - 1;
            self.bytes.rotate_left(end + 1);
            self.bytes.iter_mut().skip(rest).for_each(|byte| *byte = 0);
            self.bytes.truncate(rest);
        }
        Ok(Some(lines))
    }
}

impl AsFd for Input {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn lines_come_whole_however_they_were_written() {
        let (reader, mut writer) = std::io::pipe().expect("a pipe");
        let mut input = Input::of(reader.into());
        let mut came = |bytes: &[u8]| {
            writer.write_all(bytes).expect("room");
            let lines = input.lines().expect("text").expect("no end");
            lines.iter().map(|line| line.as_str().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(came(b"sw"), [""; 0]);
        assert_eq!(came(b"ap\nstats\nkey "), ["swap", "stats"]);
        assert_eq!(came(b"file\n"), ["key file"]);
        drop(writer);
        assert!(input.lines().expect("an end").is_none());
    }

    #[test]
    fn a_line_without_an_end_is_refused() {
        let (reader, mut writer) = std::io::pipe().expect("a pipe");
        let mut input = Input::of(reader.into());
        writer.write_all(&[b'x'; ROOM + 1]).expect("room");
        let refused = (0..=ROOM / 512).any(|_| input.lines().is_err());
        assert!(refused);
    }
}
