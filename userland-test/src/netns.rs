//! Work in a network namespace made by `ip netns add`.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;
use std::thread;

use anyhow::{Context, Result};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::join::joined;

/// Does `work` on a thread that is in the namespace. What it opens or starts stays there: sockets, processes.
pub fn within<T: Send>(name: &str, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let entered = || {
        let path = Path::new("/run/netns").join(name);
        let file = File::open(&path).with_context(|| format!("expected the network namespace {}", path.display()))?;
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
            .with_context(|| format!("entering the network namespace {name}"))?;
        work()
    };
    thread::scope(|scope| joined(scope.spawn(entered)))
}
