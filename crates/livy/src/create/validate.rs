//! The rules a batch must keep, in Livy's words: names, forbidden conf, and where its files may be.

use std::path::{Component, Path, PathBuf};

use super::CreateBatch;
use super::conf::{FILE_KEYS, FILE_LISTS, split_list};
use crate::java_uri::Uri;
use crate::{Rejection, java_int};

/// Keys that Livy refuses whatever its configuration says: both would change who the driver is or where it runs.
const ALWAYS_DENIED: [&str; 2] =
    ["spark.submit.deployMode", "spark.submit.proxyUser.allowCustomClasspathInClusterMode"];

/// Bytes a name may have.
const NAME_BYTES_MAX: usize = 2_048;

/// What the gateway's configuration allows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Folders that local files may come from (`livy.file.local-dir-whitelist`); every path when absent.
    pub local_dir_allow_list: Option<Vec<PathBuf>>,
    /// Conf keys that a request must not hold (`spark-blacklist.conf`), besides those never allowed.
    pub conf_deny_list: Vec<String>,
    /// Schemes that files may have, in lower case; every scheme when absent. A path without one is always let
    /// through to the rule for local files.
    pub file_schemes: Option<Vec<String>>,
}

/// Why the rules don't allow a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileProblem {
    /// It is no URI; the sentence tells why.
    Malformed(String),
    /// It is a file of this machine, with this relative path.
    Relative(String),
    /// Its scheme isn't among those allowed.
    Scheme(String),
    /// It is a file of this machine, with this path, outside of the allowed folders.
    Elsewhere(String),
}

impl Rules {
    /// Whether the configuration, rather than Livy itself, denies this key.
    pub fn denies(&self, key: &str) -> bool {
        self.conf_deny_list.iter().any(|denied| denied == key)
    }

    /// Whether a file may be used.
    ///
    /// A path must be absolute; one on this machine must lie in an allowed folder. Livy's check knows the scheme
    /// `file` in lower case alone. `FILE:` and `local:` name files of this machine as well, and Spark takes a path
    /// without a scheme as it stands, `%2e` and `?` included, so that form is looked at too.
    ///
    /// # Errors
    /// [`FileProblem`].
    pub fn check_file(&self, file: &str) -> Result<(), FileProblem> {
        let uri = Uri::parse(file).map_err(|error| FileProblem::Malformed(error.to_string()))?;
        let path = uri.path();
        let scheme = uri.scheme.map(str::to_ascii_lowercase);
        let is_local = matches!(scheme.as_deref(), None | Some("file" | "local"));
        if is_local && !path.starts_with('/') {
            return Err(FileProblem::Relative(path));
        }
        if let (Some(scheme), Some(allowed)) = (scheme, &self.file_schemes)
            && !allowed.contains(&scheme)
        {
            return Err(FileProblem::Scheme(scheme));
        }
        let Some(folders) = self.local_dir_allow_list.as_ref().filter(|_| is_local) else {
            return Ok(());
        };
        let undecoded = if uri.scheme.is_none() { file } else { uri.raw_path };
        if is_within(&path, folders) && is_within(undecoded, folders) {
            return Ok(());
        }
        Err(FileProblem::Elsewhere(path))
    }
}

/// Every conf key whose value is a list of files.
pub fn file_keys() -> impl Iterator<Item = &'static str> {
    FILE_LISTS.iter().map(|(key, _)| *key).chain(FILE_KEYS)
}

/// Applies every rule that needs no knowledge of other batches. Livy's order: name, conf keys, lists of files, program.
pub fn validate(batch: &CreateBatch, rules: &Rules) -> Result<(), Rejection> {
    if let Some(name) = &batch.name {
        validate_name(name)?;
    }
    refuse_denied_keys(batch, rules)?;
    check_file_lists(batch, rules)?;
    match batch.file.as_deref() {
        None | Some("") => Err(Rejection::rejected("requirement failed: File is required.")),
        Some(file) => check_file(file, rules),
    }
}

/// Refuses a name that a path could not tell from an id (all digits, or nothing), and one that is no name: Livy has no
/// bound, and the longest name it was seen to take is two thousand bytes.
pub fn validate_name(name: &str) -> Result<(), Rejection> {
    if java_int::is_all_digits(name) {
        return Err(Rejection::rejected(format_args!("Invalid session name: {name}")));
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(Rejection::rejected(format_args!("the name has more than {NAME_BYTES_MAX} bytes")));
    }
    if let Some(control) = name.chars().find(|c| c.is_control()) {
        return Err(Rejection::rejected(format_args!("the name contains the control character {control:?}")));
    }
    Ok(())
}

fn refuse_denied_keys(batch: &CreateBatch, rules: &Rules) -> Result<(), Rejection> {
    let is_denied = |key: &&str| ALWAYS_DENIED.contains(key) || rules.denies(key);
    let denied: Vec<&str> = batch.conf.keys().map(String::as_str).filter(is_denied).collect();
    if denied.is_empty() {
        return Ok(());
    }
    let keys = denied.join(", ");
    Err(Rejection::rejected(format_args!("Blacklisted configuration values in session config: {keys}")))
}

fn check_file_lists(batch: &CreateBatch, rules: &Rules) -> Result<(), Rejection> {
    for (key, field) in FILE_LISTS {
        check_conf_list(batch, key, rules)?;
        // Spark joins lists with commas, so a comma inside one entry begins another file.
        for file in field(batch).iter().flat_map(|entry| entry.split(',')).filter(|file| !file.is_empty()) {
            check_file(file, rules)?;
        }
    }
    FILE_KEYS.iter().try_for_each(|key| check_conf_list(batch, key, rules))
}

fn check_conf_list(batch: &CreateBatch, key: &str, rules: &Rules) -> Result<(), Rejection> {
    let value = batch.conf.get(key).and_then(Option::as_deref).unwrap_or_default();
    split_list(value).try_for_each(|file| check_file(file, rules))
}

/// [`Rules::check_file`] in Livy's words.
fn check_file(file: &str, rules: &Rules) -> Result<(), Rejection> {
    rules.check_file(file).map_err(|problem| match problem {
        FileProblem::Malformed(why) => Rejection::rejected(why),
        FileProblem::Relative(path) => {
            Rejection::rejected(format_args!("requirement failed: Path '{path}' is not absolute."))
        }
        FileProblem::Scheme(scheme) => {
            Rejection::rejected(format_args!("requirement failed: Scheme '{scheme}' is not allowed in {file}."))
        }
        FileProblem::Elsewhere(path) => {
            Rejection::rejected(format_args!("requirement failed: Local path {path} cannot be added to user sessions."))
        }
    })
}

/// Whether a path, with its `..` resolved, lies in one of the folders. Links are not followed: only the
/// backend can do that.
fn is_within(path: &str, folders: &[PathBuf]) -> bool {
    let path = normalised(Path::new(path));
    folders.iter().any(|folder| path.starts_with(normalised(folder)))
}

fn normalised(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    plain
}
