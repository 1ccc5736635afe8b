//! How many files may be open: as many as possible for the gateway, as many as before for drivers.
//!
//! The soft limit is usually 1024 so that programs which use `select` don't break. The gateway doesn't and needs a
//! descriptor for every driver it watches; what a driver runs may, so it gets the limit back.

use std::io;
use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Tells a supervisor the soft limit that its driver gets.
pub(super) const VARIABLE: &str = "LAMPLIGHTER_OPEN_FILES";

static ORIGINAL: OnceLock<Option<u64>> = OnceLock::new();

/// Raises this process's soft limit of open files to the hard one; drivers keep the limit there was before. Call
/// it once, at the start of a gateway.
///
/// # Errors
/// When the kernel refuses; then everything stays as it was.
pub fn raise_open_files_limit() -> io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?;
    ORIGINAL.get_or_init(|| limit.current);
    Ok(())
}

/// The soft limit that was raised.
pub(super) fn original() -> Option<String> {
    ORIGINAL.get().copied().flatten().map(|limit| limit.to_string())
}

/// Gives this process, a supervisor, the limit that its driver is to have; it needs few descriptors itself.
pub(super) fn restore() {
    let wanted = std::env::var(VARIABLE).ok().and_then(|limit| limit.parse().ok());
    if let Some(wanted) = wanted {
        let limit = getrlimit(Resource::Nofile);
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), ..limit });
    }
}
