//! The cache folder: things that are built once, replaced as a whole when what they were built from changes.
//!
//! A thing is a folder with a stamp in it. It is built aside and renamed into place, so a folder with a stamp is complete
//! whatever was killed when; a file lock keeps two processes from building the same thing at once.

use std::{
    env,
    fs::{self, File},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::process::remove_folder;

const STAMP: &str = ".stamp";

/// The folder that holds what setup installs: `$LAMPLIGHTER_CACHE`, or `lamplighter` in the user's cache folder.
#[derive(Debug)]
pub(crate) struct Cache {
    root: PathBuf,
}

/// What a thing is built from: two recipes with the same name and the same parts give the same thing.
pub(crate) struct Recipe<'a> {
    /// The name of its folder in the cache.
    pub(crate) name: &'a str,
    /// Everything that decides its content: lock files, sources, paths.
    pub(crate) parts: &'a [&'a [u8]],
    /// A file in it that must exist for it to be of use. Links may point outside, to a Python that is gone since.
    pub(crate) proof: &'a str,
}

impl Cache {
    /// The cache of this user; nothing is created yet.
    pub(crate) fn locate() -> Result<Self> {
        let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let root = set("LAMPLIGHTER_CACHE")
            .or_else(|| set("XDG_CACHE_HOME").map(|caches| caches.join("lamplighter")))
            .or_else(|| set("HOME").map(|home| home.join(".cache/lamplighter")));
        match root {
            Some(root) => Ok(Self { root: std::path::absolute(root).context("make the cache's path absolute")? }),
            None => bail!("no folder for the cache: set LAMPLIGHTER_CACHE or HOME"),
        }
    }

    /// The folder itself.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of the thing that `recipe` describes. `build` fills an empty one, unless it is there already.
    pub(crate) fn ensure(&self, recipe: &Recipe<'_>, build: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
        let folder = self.root.join(recipe.name);
        let stamp = stamp_of(recipe);
        if is_current(&folder, recipe, &stamp) {
            return Ok(folder);
        }
        fs::create_dir_all(&self.root).with_context(|| format!("create {}", self.root.display()))?;
        let _lock = self.lock(recipe.name)?;
        if is_current(&folder, recipe, &stamp) {
            return Ok(folder);
        }
        eprintln!("setup: {} is being installed in {}", recipe.name, self.root.display());
        let fresh = tempfile::Builder::new().prefix(&format!(".{}-", recipe.name)).tempdir_in(&self.root)?;
        let content = fresh.path().join("new");
        fs::create_dir(&content)?;
        build(&content).with_context(|| format!("set up {}", recipe.name))?;
        if !content.join(recipe.proof).exists() {
            bail!("set up {}: it came without {}", recipe.name, recipe.proof);
        }
        fs::write(content.join(STAMP), &stamp)?;
        replace(&folder, &content, &fresh.path().join("old"))?;
        Ok(folder)
    }

    /// Waits until no other process, nor thread of this one, works on `name`; the lock ends with the returned file.
    fn lock(&self, name: &str) -> Result<File> {
        let path = self.root.join(format!(".{name}.lock"));
        let file = File::create(&path).with_context(|| format!("create {}", path.display()))?;
        file.lock().with_context(|| format!("lock {}", path.display()))?;
        Ok(file)
    }

    /// Removes everything in the cache.
    pub(crate) fn remove(&self) -> Result<()> {
        remove_folder(&self.root)
    }
}

fn stamp_of(recipe: &Recipe<'_>) -> String {
    let mut hash = Sha256::new();
    for part in recipe.parts {
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn is_current(folder: &Path, recipe: &Recipe<'_>, stamp: &str) -> bool {
    fs::read_to_string(folder.join(STAMP)).is_ok_and(|found| found == stamp) && folder.join(recipe.proof).exists()
}

/// Puts `fresh` where `folder` is; what was there goes to `old`, which the caller removes.
fn replace(folder: &Path, fresh: &Path, old: &Path) -> Result<()> {
    if folder.exists() {
        fs::rename(folder, old).with_context(|| format!("move {} away", folder.display()))?;
    }
    fs::rename(fresh, folder).with_context(|| format!("move {} into place", folder.display()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn recipe<'a>(parts: &'a [&'a [u8]]) -> Recipe<'a> {
        Recipe { name: "thing", parts, proof: "content" }
    }

    /// Asks for a thing built from `text` and returns what the cache then holds; counts the builds.
    fn ask(cache: &Cache, text: &str, builds: &AtomicUsize) -> Result<String> {
        let folder = cache.ensure(&recipe(&[text.as_bytes()]), |folder| {
            builds.fetch_add(1, Ordering::SeqCst);
            Ok(fs::write(folder.join("content"), text)?)
        })?;
        Ok(fs::read_to_string(folder.join("content"))?)
    }

    #[test]
    fn a_thing_is_built_once_for_each_change_of_its_recipe() {
        let home = tempfile::tempdir().unwrap();
        let cache = Cache { root: home.path().join("cache") };
        let builds = AtomicUsize::new(0);
        for (text, built) in [("a", 1), ("a", 1), ("b", 2), ("b", 2), ("a", 3)] {
            assert_eq!(ask(&cache, text, &builds).unwrap(), text);
            assert_eq!(builds.load(Ordering::SeqCst), built, "after {text}");
        }
    }

    #[test]
    fn a_thing_that_lost_its_proof_is_built_again() {
        let home = tempfile::tempdir().unwrap();
        let cache = Cache { root: home.path().to_owned() };
        let builds = AtomicUsize::new(0);
        ask(&cache, "a", &builds).unwrap();
        fs::remove_file(home.path().join("thing/content")).unwrap();
        assert_eq!(ask(&cache, "a", &builds).unwrap(), "a");
        assert_eq!(builds.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn a_failed_build_leaves_what_was_there() {
        let home = tempfile::tempdir().unwrap();
        let cache = Cache { root: home.path().to_owned() };
        ask(&cache, "a", &AtomicUsize::new(0)).unwrap();
        assert!(cache.ensure(&recipe(&[b"b"]), |_| bail!("no network")).is_err());
        assert!(cache.ensure(&recipe(&[b"b"]), |_| Ok(())).is_err(), "a build without the proof fails");
        assert_eq!(fs::read_to_string(home.path().join("thing/content")).unwrap(), "a");
        let left: Vec<_> = fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left.len(), 2, "the thing and its lock: {left:?}");
    }

    #[test]
    fn many_at_once_build_once() {
        let home = tempfile::tempdir().unwrap();
        let cache = Cache { root: home.path().to_owned() };
        let builds = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| assert_eq!(ask(&cache, "a", &builds).unwrap(), "a"));
            }
        });
        assert_eq!(builds.load(Ordering::SeqCst), 1);
    }
}
