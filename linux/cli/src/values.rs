//! The values that options take.

use std::str::FromStr;

/// `--keepalive INTERVAL,TIMEOUT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keepalive(pub u32, pub u32);

impl FromStr for Keepalive {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("expected INTERVAL,TIMEOUT in seconds, got {text:?}");
        let (interval, timeout) = text.split_once(',').ok_or_else(wrong)?;
        Ok(Self(interval.parse().map_err(|_| wrong())?, timeout.parse().map_err(|_| wrong())?))
    }
}

/// `--peer-id N`: 24 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PeerId(pub u32);

impl FromStr for PeerId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(id) if id < 1 << 24 => Ok(Self(id)),
            _ => Err(format!("expected a number of at most 24 bits, got {text:?}")),
        }
    }
}

/// `on` or `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Switch(pub bool);

impl FromStr for Switch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "on" => Ok(Self(true)),
            "off" => Ok(Self(false)),
            _ => Err(format!("expected on or off, got {text:?}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use dco_cli_base::options::{Options, Usage};

    use super::*;

    #[test]
    fn a_wrong_value_names_the_option_and_what_was_expected() {
        let mut options = Options::from_words(&["--peer-id", "16777216"]);
        options.item().expect("parses");
        let error = options.value::<PeerId>("peer-id").expect_err("25 bits");
        assert!(error.is::<Usage>());
        assert_eq!(error.to_string(), "--peer-id: expected a number of at most 24 bits, got \"16777216\"");
        for text in ["10", "10,x", "-1,2"] {
            assert!(text.parse::<Keepalive>().is_err(), "{text}");
        }
        assert_eq!("10,60".parse(), Ok(Keepalive(10, 60)));
    }
}
