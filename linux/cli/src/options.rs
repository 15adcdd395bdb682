//! The command line.

use std::fmt;
use std::str::FromStr;

use anyhow::Result;

use crate::failure::Usage;

/// The arguments that are left.
pub struct Options {
    parser: lexopt::Parser,
}

impl Options {
    /// This process's.
    pub fn from_env() -> Self {
        Self { parser: lexopt::Parser::from_env() }
    }

    /// For tests.
    #[cfg(test)]
    pub fn from_words(words: &[&str]) -> Self {
        Self { parser: lexopt::Parser::from_iter(std::iter::once("dco-cli-linux").chain(words.iter().copied())) }
    }

    /// The first word, of a kind that the help calls `what`; `None` if help is asked for.
    pub fn word(&mut self, what: &str) -> Result<Option<String>> {
        match self.next()? {
            Some(Item::Word(word)) => Ok(Some(word)),
            Some(Item::Option(name)) if name == "help" => Ok(None),
            Some(item) => Err(Usage::new(format!("expected {what}, got {item}; see --help")).into()),
            None => Err(Usage::new(format!("expected {what}, got nothing; see --help")).into()),
        }
    }

    /// The next option or word.
    pub fn next(&mut self) -> Result<Option<Item>> {
        let item = match self.parser.next().map_err(usage)? {
            None => return Ok(None),
            Some(lexopt::Arg::Short('h')) => Item::Option("help".into()),
            Some(lexopt::Arg::Short(short)) => Item::Option(short.into()),
            Some(lexopt::Arg::Long(long)) => Item::Option(long.into()),
            Some(lexopt::Arg::Value(word)) => Item::Word(text(word)?),
        };
        Ok(Some(item))
    }

    /// The value of the option that came last.
    pub fn value<T: FromStr>(&mut self, name: &str) -> Result<T>
    where
        T::Err: fmt::Display,
    {
        let word = self.parser.value().map_err(usage).and_then(text);
        let word = word.map_err(|error| Usage::new(format!("--{name}: {error}")))?;
        // Not the word itself: it may be a key.
        word.parse().map_err(|error| Usage::new(format!("--{name}: {error}")).into())
    }

    /// What to do with what a command does not know.
    pub fn unexpected(item: &Item) -> anyhow::Error {
        Usage::new(format!("unexpected {item}; see --help")).into()
    }
}

fn usage(error: lexopt::Error) -> Usage {
    Usage::new(error.to_string())
}

fn text(word: std::ffi::OsString) -> Result<String, Usage> {
    word.into_string().map_err(|word| Usage::new(format!("expected text, got {word:?}")))
}

/// One piece of the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// `--name`.
    Option(String),
    /// A word that belongs to no option.
    Word(String),
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Option(name) => write!(f, "option --{name}"),
            Self::Word(word) => write!(f, "argument {word:?}"),
        }
    }
}

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
    use super::*;

    #[test]
    fn words_options_and_values_are_told_apart() {
        let mut options = Options::from_words(&["stats", "--peer-id", "3", "dco0"]);
        assert_eq!(options.word("a command").expect("a command").as_deref(), Some("stats"));
        assert_eq!(options.next().expect("parses"), Some(Item::Option("peer-id".into())));
        assert_eq!(options.value::<PeerId>("peer-id").expect("a number"), PeerId(3));
        assert_eq!(options.next().expect("parses"), Some(Item::Word("dco0".into())));
        assert_eq!(options.next().expect("parses"), None);
    }

    #[test]
    fn a_wrong_value_names_the_option_and_what_was_expected() {
        let mut options = Options::from_words(&["--peer-id", "16777216"]);
        options.next().expect("parses");
        let error = options.value::<PeerId>("peer-id").expect_err("25 bits");
        assert!(error.is::<Usage>());
        assert_eq!(error.to_string(), "--peer-id: expected a number of at most 24 bits, got \"16777216\"");
        for text in ["10", "10,x", "-1,2"] {
            assert!(text.parse::<Keepalive>().is_err(), "{text}");
        }
        assert_eq!("10,60".parse(), Ok(Keepalive(10, 60)));
    }

    #[test]
    fn a_missing_command_is_a_usage_error() {
        assert!(Options::from_words(&[]).word("a command").expect_err("nothing").is::<Usage>());
        assert_eq!(Options::from_words(&["--help"]).word("a command").expect("help"), None);
    }
}
