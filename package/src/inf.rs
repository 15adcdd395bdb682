//! The INF, stamped: what the WDK's stampinf does.

use std::fmt;

use anyhow::{Context as _, Result, bail, ensure};
use der::DateTime;

/// The product version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Version {
    parts: [u16; 3],
}

impl Version {
    /// From `N.N.N`.
    pub fn parse(text: &str) -> Result<Self> {
        let parts = text.split('.').map(str::parse).collect::<Result<Vec<u16>, _>>();
        let parts = parts.ok().and_then(|parts| parts.try_into().ok());
        Ok(Self { parts: parts.with_context(|| format!("{text}: expected N.N.N"))? })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let [major, minor, patch] = self.parts;
        write!(f, "{major}.{minor}.{patch}")
    }
}

/// What is put into an INX.
pub struct Stamp<'a> {
    /// For `$ARCH$`.
    pub decoration: &'a str,
    /// For `$KMDFVERSION$`: the least the driver needs.
    pub kmdf: &'a str,
    /// With the date, DriverVer.
    pub version: Version,
    pub date: DateTime,
}

/// The INF of this INX, its lines ended as Windows does.
pub fn stamp(inx: &str, with: &Stamp) -> Result<String> {
    let Stamp { decoration, kmdf, version, date } = with;
    let stamp = format!("DriverVer   = {:02}/{:02}/{},{version}.0", date.month(), date.day(), date.year());
    let mut inf = String::new();
    let mut stamped = 0;
    for line in inx.lines() {
        let line = line.trim_end();
        let key = line.split('=').next().unwrap_or_default().trim();
        if key.eq_ignore_ascii_case("DriverVer") {
            inf.push_str(&stamp);
            stamped += 1;
        } else {
            inf.push_str(&line.replace("$ARCH$", decoration).replace("$KMDFVERSION$", kmdf));
        }
        inf.push_str("\r\n");
    }
    ensure!(stamped == 1, "expected one line DriverVer in the INX, found {stamped}");
    let open = |line: &&str| directives(line).split('$').any(|word| !word.is_empty() && word.chars().all(upper));
    if let Some(line) = inf.lines().filter(|line| line.contains('$')).find(open) {
        bail!("nothing is known to put into: {line}");
    }
    Ok(inf)
}

/// Of the names that are filled in. `$WINDOWS NT$`, with its space, is no such name.
fn upper(letter: char) -> bool {
    letter.is_ascii_uppercase()
}

/// A line without its comment.
fn directives(line: &str) -> &str {
    line.split(';').next().unwrap_or_default()
}

/// The hardware identifiers of the INF's models: second word of the lines `%name% = section, id` in the sections `[models.*]` that
/// [Manufacturer] names.
pub fn hardware_ids(inf: &str) -> Result<Vec<String>> {
    let lines: Vec<&str> = inf.lines().map(|line| directives(line).trim()).collect();
    let section = |name: &str| {
        let header = format!("[{name}]");
        let after = lines.iter().position(|line| line.eq_ignore_ascii_case(&header)).map_or(lines.len(), |at| at + 1);
        lines[after..].iter().take_while(|line| !line.starts_with('[')).filter_map(|line| line.split_once('='))
    };
    let mut ids = Vec::new();
    for (_, models) in section("Manufacturer") {
        let mut words = models.split(',').map(str::trim);
        let name = words.next().unwrap_or_default();
        for decoration in words {
            for (_, model) in section(&format!("{name}.{decoration}")) {
                ids.extend(model.split(',').skip(1).map(|id| id.trim().to_owned()));
            }
        }
    }
    ensure!(!ids.is_empty(), "no hardware identifier in the INF");
    ids.sort();
    ids.dedup();
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INX: &str = r#"[Version]
Signature = "$WINDOWS NT$"
DriverVer = 01/01/2000,9.9.9.9
[Manufacturer]
%who% = Models, NT$ARCH$.10.0...19041
[Models.NT$ARCH$.10.0...19041]
%what% = Install, Some-Id
[Wdf]
Library = $KMDFVERSION$
"#;

    fn stamped(inx: &str) -> Result<String> {
        let date = DateTime::new(2026, 1, 2, 3, 4, 5).expect("a date");
        stamp(inx, &Stamp { decoration: "arm64", kmdf: "1.15", version: Version { parts: [1, 2, 3] }, date })
    }

    #[test]
    fn date_version_and_architecture_are_filled_in() {
        let inf = stamped(INX).expect("an INF");
        assert!(inf.contains("\r\nDriverVer   = 01/02/2026,1.2.3.0\r\n"), "{inf}");
        assert!(inf.contains("[Models.NTarm64.10.0...19041]\r\n"), "{inf}");
        assert!(inf.contains("\r\nLibrary = 1.15\r\n"), "{inf}");
        assert_eq!(hardware_ids(&inf).expect("ids"), ["Some-Id"]);
    }

    #[test]
    fn what_stays_unknown_is_an_error() {
        assert!(stamped(&INX.replace("Some-Id", "$OTHER$")).is_err());
        assert!(stamped(&INX.replace("DriverVer", "Other")).is_err());
        assert!(hardware_ids("[Manufacturer]\r\n").is_err());
    }

    #[test]
    fn versions_have_three_parts() {
        assert_eq!(Version::parse("0.1.0").expect("a version").to_string(), "0.1.0");
        for wrong in ["1.2", "1.2.3.4", "1.2.x", "1.2.65536", ""] {
            assert!(Version::parse(wrong).is_err(), "{wrong}");
        }
    }
}
