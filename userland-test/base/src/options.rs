//! The command line.

use std::fmt;
use std::str::FromStr;

use anyhow::Result;

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

    /// These, as if they followed a program's name.
    pub fn from_words(words: &[&str]) -> Self {
        Self { parser: lexopt::Parser::from_args(words.iter().copied()) }
    }

    /// The first word, of a kind that the help calls `what`; `None` if help is asked for.
    pub fn word(&mut self, what: &str) -> Result<Option<String>> {
        match self.item()? {
            Some(Item::Word(word)) => Ok(Some(word)),
            Some(Item::Option(name)) if name == "help" => Ok(None),
            Some(item) => Err(Usage::new(format!("expected {what}, got {item}; see --help")).into()),
            None => Err(Usage::new(format!("expected {what}, got nothing; see --help")).into()),
        }
    }

    /// The next option or word.
    pub fn item(&mut self) -> Result<Option<Item>> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_options_and_values_are_told_apart() {
        let mut options = Options::from_words(&["stats", "--peer-id", "3", "dco0", "-h"]);
        assert_eq!(options.word("a command").expect("a command").as_deref(), Some("stats"));
        assert_eq!(options.item().expect("parses"), Some(Item::Option("peer-id".into())));
        assert_eq!(options.value::<u32>("peer-id").expect("a number"), 3);
        assert_eq!(options.item().expect("parses"), Some(Item::Word("dco0".into())));
        assert_eq!(options.item().expect("parses"), Some(Item::Option("help".into())));
        assert_eq!(options.item().expect("parses"), None);
    }

    #[test]
    fn a_wrong_value_names_the_option_and_is_not_repeated() {
        let mut options = Options::from_words(&["--peer-id", "secret"]);
        options.item().expect("parses");
        let error = options.value::<u32>("peer-id").expect_err("no number");
        assert!(error.is::<Usage>());
        assert!(error.to_string().starts_with("--peer-id: "), "{error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }

    #[test]
    fn a_missing_command_is_a_usage_error() {
        assert!(Options::from_words(&[]).word("a command").expect_err("nothing").is::<Usage>());
        assert!(Options::from_words(&["--key"]).word("a command").expect_err("an option").is::<Usage>());
        assert_eq!(Options::from_words(&["--help"]).word("a command").expect("help"), None);
    }
}
