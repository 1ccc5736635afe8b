//! Tells when a folder changed, for any number of followers of any number of logs, with one inotify instance.
//!
//! The kernel allows a user few instances (128 by default) but many watches, so the process shares one. Where even
//! that one, or a watch, can't be had, followers look again every [`POLL_INTERVAL`].

use std::collections::HashMap;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::fs::inotify;
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::readiness;

/// The wait of followers that can't be told of changes.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// Watches folders.
pub(crate) struct Follower {
    notified: Option<Notified>,
}

struct Notified {
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
    pub(crate) fn start() -> Self {
        let notified = Notified::start();
        if let Err(error) = &notified {
            tracing::warn!(
                error = error as &dyn std::error::Error,
                "the kernel won't tell when logs grow; looking instead"
            );
        }
        Self { notified: notified.ok() }
    }

    /// Follows the folder from now on.
    ///
    /// # Errors
    /// When there is no such folder.
    pub(crate) fn follow(&self, folder: &Path) -> io::Result<Following> {
        let Some(notified) = &self.notified else { return polling(folder) };
        match notified.follow(folder) {
            Err(Errno::NOSPC | Errno::NOMEM) => polling(folder),
            other => Ok(other?),
        }
    }
}

fn polling(folder: &Path) -> io::Result<Following> {
    if std::fs::symlink_metadata(folder)?.is_dir() { Ok(Following::Polling) } else { Err(Errno::NOTDIR.into()) }
}

impl Notified {
    fn start() -> io::Result<Self> {
        let flags = inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK;
        let inotify = readiness::register(inotify::init(flags)?)?;
        let shared = Arc::new(Shared { inotify, folders: Mutex::default() });
        let waker = tokio::spawn(wake_followers(Arc::clone(&shared))).abort_handle();
        Ok(Self { shared, waker })
    }

    fn follow(&self, folder: &Path) -> Result<Following, Errno> {
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
        let changed = entry.changed.subscribe();
        Ok(Following::Notified(Registration { changed, watch, shared: Arc::clone(&self.shared) }))
    }
}

impl Drop for Notified {
    fn drop(&mut self) {
        self.waker.abort();
    }
}

/// One follower of one folder.
pub(crate) enum Following {
    /// The kernel tells.
    Notified(Registration),
    /// It doesn't.
    Polling,
}

impl Following {
    /// Returns once the folder has changed since this began to follow, or since the last return; or for nothing.
    pub(crate) async fn changed(&mut self) {
        match self {
            // The sender lives as long as a follower is counted; without it, waking is the safe answer.
            Self::Notified(registration) => drop(registration.changed.changed().await),
            Self::Polling => tokio::time::sleep(POLL_INTERVAL).await,
        }
    }
}

/// A follower that the kernel's messages reach.
pub(crate) struct Registration {
    changed: watch::Receiver<()>,
    watch: i32,
    shared: Arc<Shared>,
}

impl Drop for Registration {
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
            if event.events().contains(inotify::ReadFlags::QUEUE_OVERFLOW) {
                self.wake_all();
            } else if let Some(folder) = self.folders().get(&event.wd()) {
                folder.changed.send_replace(());
            }
        }
    }

    fn wake_all(&self) {
        self.folders().values().for_each(|folder| folder.changed.send_replace(()));
    }
}

async fn wake_followers(shared: Arc<Shared>) {
    while let Ok(mut ready) = shared.inotify.readable().await {
        if let Err(error) = shared.dispatch() {
            tracing::warn!(error = &error as &dyn std::error::Error, "can't read which logs grew");
            shared.wake_all();
            tokio::time::sleep(POLL_INTERVAL).await;
            continue;
        }
        ready.clear_ready();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
    use super::*;

    #[tokio::test]
    async fn every_follower_of_a_folder_wakes_and_no_other() {
        let follower = Follower::start();
        let (busy, quiet) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut followers = [follower.follow(busy.path()).unwrap(), follower.follow(busy.path()).unwrap()];
        let other = follower.follow(quiet.path()).unwrap();
        std::fs::write(busy.path().join("file"), "x").unwrap();
        for following in &mut followers {
            tokio::time::timeout(Duration::from_secs(10), following.changed()).await.unwrap();
        }
        let Following::Notified(registration) = &other else { panic!("the kernel tells") };
        assert!(!registration.changed.has_changed().unwrap());
        drop((followers, other));
        assert!(follower.notified.as_ref().unwrap().shared.folders().is_empty());
    }

    #[tokio::test]
    async fn without_the_kernels_help_followers_look_again() {
        let follower = Follower { notified: None };
        let folder = tempfile::tempdir().unwrap();
        follower.follow(folder.path()).unwrap().changed().await;
        assert!(follower.follow(&folder.path().join("absent")).is_err());
    }
}
