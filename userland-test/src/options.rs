//! The command line: what is of this program alone.

use std::str::FromStr;

use anyhow::{Context, Result};
pub use dco_cli_base::options::{Item, Options, Usage};

use crate::targets::Target;
use crate::targets::lab::{Address, Lab};

/// For commands that take the target and some words; `None` if help was asked for, and given.
pub fn target_and_words(mut options: Options, help: &str) -> Result<Option<(TargetOption, Vec<String>)>> {
    let (mut target, mut words) = (TargetOption::default(), Vec::new());
    while let Some(item) = options.item()? {
        match item {
            Item::Option(name) if name == "help" => {
                println!("{help}");
                return Ok(None);
            }
            Item::Word(word) => words.push(word),
            item if target.take(&item, &mut options)? => {}
            item => return Err(Options::unexpected(&item)),
        }
    }
    Ok(Some((target, words)))
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
    fn the_target_is_taken_from_among_words() {
        let options = Options::from_words(&["query", "--target", "127.0.0.1:1", "netcx"]);
        let (target, words) = target_and_words(options, "").expect("parses").expect("no help");
        assert_eq!(words, ["query", "netcx"]);
        assert!(matches!(target.place, Some(Place::Lab(_))));
    }

    #[test]
    fn a_wrong_target_names_what_was_expected_and_what_came() {
        let mut options = Options::from_words(&["--target", "192.0.2.1:5"]);
        let item = options.item().expect("parses").expect("an option");
        let error = TargetOption::default().take(&item, &mut options).expect_err("not loopback");
        assert!(error.is::<Usage>());
        let error = error.to_string();
        assert!(error.starts_with("--target: expected a loopback address"), "{error}");
        assert!(error.contains("192.0.2.1:5"), "{error}");
    }
}
