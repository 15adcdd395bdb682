//! The command line.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Result};

use crate::targets::Target;
use crate::targets::lab::{Address, Lab};

/// A wrong command line: exit status 2.
#[derive(Debug)]
pub struct Usage(String);

impl Usage {
    /// With what was expected and what came.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

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
        Self { parser: lexopt::Parser::from_iter(std::iter::once("dco-cli").chain(words.iter().copied())) }
    }

    /// The first word; `None` if help is asked for.
    pub fn command(&mut self) -> Result<Option<String>> {
        match self.next()? {
            Some(Item::Word(word)) => Ok(Some(word)),
            Some(Item::Option(name)) if name == "help" => Ok(None),
            Some(Item::Option(name)) => Err(Usage::new(format!("expected a command, got --{name}; see --help")).into()),
            None => Err(Usage::new("expected a command, got nothing; see --help").into()),
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
        word.parse().map_err(|error| Usage::new(format!("--{name} {word}: {error}")).into())
    }

    /// What to do with an option that the command does not know.
    pub fn unexpected(item: &Item) -> anyhow::Error {
        Usage::new(format!("unexpected {item}; see --help")).into()
    }

    /// For commands that take the target and some words; `None` if help was asked for, and given.
    pub fn target_and_words(mut self, help: &str) -> Result<Option<(TargetOption, Vec<String>)>> {
        let (mut target, mut words) = (TargetOption::default(), Vec::new());
        while let Some(item) = self.next()? {
            match item {
                Item::Option(name) if name == "help" => {
                    println!("{help}");
                    return Ok(None);
                }
                Item::Word(word) => words.push(word),
                item if target.take(&item, &mut self)? => {}
                item => return Err(Self::unexpected(&item)),
            }
        }
        Ok(Some((target, words)))
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

/// `--target`: where the driver is.
#[derive(Debug, Default)]
pub struct TargetOption {
    place: Option<Place>,
}

/// A machine with the driver on it.
#[derive(Debug, Clone)]
enum Place {
    Lab(Address),
    /// This machine, a Windows.
    Here,
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "here" if cfg!(windows) => Ok(Self::Here),
            "here" => Err("expected a lab's address, for this machine is no Windows".into()),
            text => text.parse().map(Self::Lab),
        }
    }
}

/// The line of a help text that explains `--target`.
pub const TARGET_HELP: &str =
    "  --target ADDRESS    the lab: 127.0.0.1:PORT or unix:/path; on Windows also `here`, this machine's driver
                      (default: the environment's DCO_TARGET; on Windows then `here`)";

impl TargetOption {
    /// Takes the option if it is this one.
    pub fn take(&mut self, item: &Item, options: &mut Options) -> Result<bool> {
        let mine = *item == Item::Option("target".into());
        if mine {
            self.place = Some(options.value("target")?);
        }
        Ok(mine)
    }

    fn place(&self) -> Result<Place> {
        match (&self.place, std::env::var("DCO_TARGET")) {
            (Some(place), _) => Ok(place.clone()),
            (None, Ok(text)) => Ok(text.parse().map_err(|error| Usage::new(format!("DCO_TARGET: {error}")))?),
            (None, Err(_)) if cfg!(windows) => Ok(Place::Here),
            (None, Err(_)) => Err(Usage::new("expected --target ADDRESS or DCO_TARGET, got neither").into()),
        }
    }

    /// Connects to it.
    pub fn connect(&self) -> Result<Box<dyn Target>> {
        match self.place()? {
            Place::Lab(address) => Ok(Box::new(connect_to(&address)?)),
            #[cfg(windows)]
            Place::Here => Ok(Box::new(crate::targets::windows::Windows::new())),
            #[cfg(not(windows))]
            Place::Here => Err(Usage::new("expected a lab's address, for this machine is no Windows").into()),
        }
    }

    /// Connects to it, where only a lab will do.
    pub fn connect_lab(&self) -> Result<Lab> {
        match self.place()? {
            Place::Lab(address) => connect_to(&address),
            Place::Here => Err(Usage::new("expected --target with a lab's address: only a lab can do this").into()),
        }
    }
}

fn connect_to(address: &Address) -> Result<Lab> {
    Lab::connect(address).with_context(|| format!("expected a lab at {address}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_options_and_values_are_told_apart() {
        let mut options = Options::from_words(&["query", "--target", "127.0.0.1:1", "netcx"]);
        assert_eq!(options.command().expect("a command").as_deref(), Some("query"));
        let mut target = TargetOption::default();
        let item = options.next().expect("parses").expect("an option");
        assert!(target.take(&item, &mut options).expect("an address"));
        assert_eq!(options.next().expect("parses"), Some(Item::Word("netcx".into())));
        assert_eq!(options.next().expect("parses"), None);
    }

    #[test]
    fn a_wrong_value_names_the_option_and_what_was_expected() {
        let mut options = Options::from_words(&["--target", "192.0.2.1:5"]);
        options.next().expect("parses");
        let error = options.value::<Address>("target").expect_err("not loopback");
        assert!(error.is::<Usage>());
        assert!(error.to_string().starts_with("--target 192.0.2.1:5: expected a loopback address"), "{error}");
    }

    #[test]
    fn a_missing_command_is_a_usage_error() {
        assert!(Options::from_words(&[]).command().expect_err("nothing").is::<Usage>());
        assert_eq!(Options::from_words(&["--help"]).command().expect("help"), None);
    }
}
