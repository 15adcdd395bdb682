//! The end of a scope's thread.

use std::thread::ScopedJoinHandle;

/// What the thread returned, waiting for its end. If it panicked, the panic goes on here.
pub fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    match thread.join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}
