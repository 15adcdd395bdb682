//! What a command may end with, and the exit status that tells it.

use std::fmt;
use std::process::ExitCode;

use dco_cli_base::options::Usage;

use crate::wire::Ack;

/// Nobody to talk to: exit status 3.
#[derive(Debug)]
pub struct NoModule(pub String);

/// The tunnel came to its end, and not by us: exit status 4.
#[derive(Debug)]
pub struct Ended(pub String);

/// The kernel said no: exit status 1.
#[derive(Debug)]
pub struct Refused {
    /// The request's name in its interface.
    pub request: &'static str,
    /// What it said.
    pub ack: Ack,
}

macro_rules! errors {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::error::Error for $name {}
    )*};
}

errors!(NoModule, Ended);

/// Errors that the interfaces name.
const NAMES: &[(i32, &str)] = &[
    (1, "EPERM"),
    (2, "ENOENT"),
    (4, "EINTR"),
    (12, "ENOMEM"),
    (13, "EACCES"),
    (16, "EBUSY"),
    (17, "EEXIST"),
    (19, "ENODEV"),
    (22, "EINVAL"),
    (34, "ERANGE"),
    (74, "EBADMSG"),
    (88, "ENOTSOCK"),
    (90, "EMSGSIZE"),
    (95, "EOPNOTSUPP"),
    (98, "EADDRINUSE"),
    (99, "EADDRNOTAVAIL"),
    (101, "ENETUNREACH"),
    (105, "ENOBUFS"),
];

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ack { errno, text, missing } = &self.ack;
        write!(f, "{}: expected success, got ", self.request)?;
        match NAMES.iter().find(|(number, _)| number == errno) {
            Some((_, name)) => f.write_str(name)?,
            None => write!(f, "error {errno}")?,
        }
        match text {
            Some(text) => write!(f, ": the kernel says: {text}")?,
            None => write!(f, ": {}", std::io::Error::from_raw_os_error(*errno))?,
        }
        if let Some(missing) = missing {
            write!(f, " (attribute {missing} is missing)")?;
        }
        if *errno == 1 {
            f.write_str("; it takes CAP_NET_ADMIN, outside of any user namespace")?;
        }
        Ok(())
    }
}

impl std::error::Error for Refused {}

/// Whether the kernel refused with this errno.
pub fn refused_with(error: &anyhow::Error, errno: i32) -> bool {
    error.downcast_ref::<Refused>().is_some_and(|refused| refused.ack.errno == errno)
}

/// The exit status that tells of an error.
pub fn exit_code(error: &anyhow::Error) -> ExitCode {
    if error.is::<Usage>() {
        ExitCode::from(2)
    } else if error.is::<NoModule>() {
        ExitCode::from(3)
    } else if error.is::<Ended>() {
        ExitCode::from(4)
    } else {
        ExitCode::FAILURE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_words_are_shown() {
        let refused = |errno, text: Option<&str>, missing| {
            Refused { request: "PEER_NEW", ack: Ack { errno, text: text.map(str::to_owned), missing } }.to_string()
        };
        assert_eq!(
            refused(17, Some("there is one"), None),
            "PEER_NEW: expected success, got EEXIST: the kernel says: there is one"
        );
        let plain = refused(22, None, Some(6));
        assert!(plain.starts_with("PEER_NEW: expected success, got EINVAL: Invalid argument"), "{plain}");
        assert!(plain.ends_with("(attribute 6 is missing)"), "{plain}");
        assert!(refused(1, None, None).contains("CAP_NET_ADMIN"));
        assert!(refused(12345, None, None).contains("error 12345"));
    }

    #[test]
    fn an_error_is_known_below_what_was_added_to_it() {
        let refused = Refused { request: "KEY_GET", ack: Ack { errno: 2, ..Ack::default() } };
        let error = anyhow::Error::new(refused).context("asking");
        assert!(refused_with(&error, 2));
        assert!(!refused_with(&error, 22));
    }
}
