//! The one place that hands file descriptors to Tokio.

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Lets a task wait until the descriptor is readable. Call it within a Tokio runtime.
///
/// # Errors
/// When the kernel can't poll it.
#[allow(unsafe_code, reason = "Tokio can't know that a descriptor stays the same; for this type it does")]
pub(crate) fn register(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is open and names the same descriptor until it is dropped.
    Ok(unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) }?)
}
