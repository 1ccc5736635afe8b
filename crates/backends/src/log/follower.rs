//! Tells when a folder changed, for any number of followers of any number of logs, with one inotify instance.
//!
//! The kernel allows a user few instances (128 by default) but many watches, so the process shares one.

use std::collections::HashMap;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::inotify;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::readiness;

/// Watches folders.
pub(crate) struct Follower {
    shared: Arc<Shared>,
    waker: AbortHandle,
}

struct Shared {
    inotify: AsyncFd<OwnedFd>,
    folders: Mutex<HashMap<i32, Folder>>,
}

struct Folder {
    changed: watch::Sender<()>,
    followers: usize,
}

impl Follower {
    /// Starts the task that waits for changes; it ends with the follower. Call it within a Tokio runtime.
    ///
    /// # Errors
    /// When the kernel gives no inotify instance.
    pub(crate) fn start() -> io::Result<Self> {
        let flags = inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK;
        let inotify = readiness::register(inotify::init(flags)?)?;
        let shared = Arc::new(Shared { inotify, folders: Mutex::default() });
        let waker = tokio::spawn(wake_followers(Arc::clone(&shared))).abort_handle();
        Ok(Self { shared, waker })
    }

    /// Follows the folder from now on.
    ///
    /// # Errors
    /// When there is no such folder, or the user's watches are used up.
    pub(crate) fn follow(&self, folder: &Path) -> io::Result<Following> {
        use inotify::WatchFlags;
        let flags = WatchFlags::MODIFY
            | WatchFlags::CREATE
            | WatchFlags::MOVED_TO
            | WatchFlags::ONLYDIR
            | WatchFlags::DONT_FOLLOW
            | WatchFlags::MOVE_SELF;
        let mut folders = self.shared.folders();
        let watch = inotify::add_watch(&self.shared.inotify, folder, flags)?;
        let entry = folders.entry(watch).or_insert_with(|| Folder { changed: watch::Sender::new(()), followers: 0 });
        entry.followers += 1;
        Ok(Following { changed: entry.changed.subscribe(), watch, shared: Arc::clone(&self.shared) })
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.waker.abort();
    }
}

/// One follower of one folder.
pub(crate) struct Following {
    changed: watch::Receiver<()>,
    watch: i32,
    shared: Arc<Shared>,
}

impl Following {
    /// Returns once the folder has changed since this began to follow, or since the last return.
    pub(crate) async fn changed(&mut self) {
        // The sender lives as long as a follower is counted; without it, waking is the safe answer.
        let _ = self.changed.changed().await;
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let mut folders = self.shared.folders();
        let Some(folder) = folders.get_mut(&self.watch) else { return };
        folder.followers -= 1;
        if folder.followers == 0 {
            folders.remove(&self.watch);
            let _ = inotify::remove_watch(&self.shared.inotify, self.watch);
        }
    }
}

impl Shared {
    fn folders(&self) -> MutexGuard<'_, HashMap<i32, Folder>> {
        self.folders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the followers of everything that changed until nothing more is known to have changed.
    fn dispatch(&self) -> io::Result<()> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(self.inotify.get_ref(), &mut buffer);
        loop {
            let event = match events.next() {
                Ok(event) => event,
                Err(rustix::io::Errno::WOULDBLOCK) => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            let folders = self.folders();
            if event.events().contains(inotify::ReadFlags::QUEUE_OVERFLOW) {
                folders.values().for_each(|folder| folder.changed.send_replace(()));
            } else if let Some(folder) = folders.get(&event.wd()) {
                folder.changed.send_replace(());
            }
        }
    }
}

async fn wake_followers(shared: Arc<Shared>) {
    while let Ok(mut ready) = shared.inotify.readable().await {
        if shared.dispatch().is_err() {
            return;
        }
        ready.clear_ready();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn every_follower_of_a_folder_wakes_and_no_other() {
        let follower = Follower::start().unwrap();
        let (busy, quiet) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut followers = [follower.follow(busy.path()).unwrap(), follower.follow(busy.path()).unwrap()];
        let other = follower.follow(quiet.path()).unwrap();
        std::fs::write(busy.path().join("file"), "x").unwrap();
        for following in &mut followers {
            tokio::time::timeout(Duration::from_secs(10), following.changed()).await.unwrap();
        }
        assert!(!other.changed.has_changed().unwrap());
        drop((followers, other));
        assert!(follower.shared.folders().is_empty());
    }
}
