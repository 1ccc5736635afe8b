//! Making the paths of a submission independent of the folder it was typed in.
//!
//! Spark resolves relative paths when spark-submit starts; the gateway starts it somewhere else, later. The result
//! is what Spark would have arrived at, with globs left for it to expand.

use super::master::is_scheme;
use super::{Action, SparkSubmit, keys};
use crate::spark_conf::ConfError;
use std::path::Path;

/// Keys that hold paths or URIs behind commas, and that Spark resolves.
const LIST_KEYS: [&str; 8] = [
    keys::ARCHIVES,
    keys::FILES,
    keys::JARS,
    keys::PY_FILES,
    "spark.yarn.dist.archives",
    "spark.yarn.dist.files",
    "spark.yarn.dist.jars",
    "spark.yarn.dist.pyFiles",
];

/// Keys that hold one path.
const FILE_KEYS: [&str; 2] = [keys::KEYTAB, "spark.yarn.keytab"];

/// What spark-submit is given in place of a program whose classes come from elsewhere.
const NO_RESOURCE: &str = "spark-internal";

/// Why paths can't be resolved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolvePathsError {
    /// A relative folder names nothing for others.
    #[error("folder `{0}` is not absolute")]
    NotAbsolute(String),
    /// Spark's configuration is text, and this folder's name is not.
    #[error("the name of folder `{0}` is not valid UTF-8")]
    NotUtf8(String),
    /// Absolute paths are longer than relative ones.
    #[error("set resolved paths")]
    Conf(#[from] ConfError),
}

impl SparkSubmit {
    /// Makes relative paths absolute, as seen from the folder `cwd`: of the program, JARs, Python files, files,
    /// archives (their `#name` stays), the keytab and properties files. URIs stay as they are, `local:` too.
    ///
    /// Pure arithmetic: nothing is looked up, `..` stays, globs stay. Doing it twice changes nothing more.
    ///
    /// # Errors
    /// [`ResolvePathsError`] when `cwd` can't be the start of an absolute path in Spark's configuration.
    pub fn resolve_paths(&mut self, cwd: &Path) -> Result<(), ResolvePathsError> {
        let shown = || cwd.display().to_string();
        let folder = cwd.to_str().ok_or_else(|| ResolvePathsError::NotUtf8(shown()))?;
        if !folder.starts_with('/') {
            return Err(ResolvePathsError::NotAbsolute(shown()));
        }
        let folder = folder.trim_end_matches('/');
        if let Action::Submit(program) = &mut self.action
            && program.resource != NO_RESOURCE
        {
            program.resource = absolute_uri(&program.resource, folder);
        }
        for file in self.properties_file.iter_mut().chain(&mut self.extra_properties_files) {
            *file = absolute_path(file, folder);
        }
        self.resolve_keys(&LIST_KEYS, |list| absolute_list(list, folder))?;
        self.resolve_keys(&FILE_KEYS, |file| absolute_path(file, folder))?;
        Ok(())
    }

    fn resolve_keys(&mut self, keys: &[&str], resolve: impl Fn(&str) -> String) -> Result<(), ConfError> {
        for key in keys {
            if let Some(resolved) = self.conf.get(key).map(&resolve) {
                self.conf.set(*key, resolved)?;
            }
        }
        Ok(())
    }
}

fn absolute_list(list: &str, folder: &str) -> String {
    let entries = list.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    entries.map(|entry| absolute_uri(entry, folder)).collect::<Vec<_>>().join(",")
}

/// `path` from `folder`, for what Spark opens as a plain file.
fn absolute_path(path: &str, folder: &str) -> String {
    match relative(path) {
        Some(relative) => format!("{folder}/{relative}"),
        None => path.to_owned(),
    }
}

/// `entry` from `folder`, for what Spark reads as a URI or else as a path.
fn absolute_uri(entry: &str, folder: &str) -> String {
    let Some(relative) = relative(entry) else {
        return entry.to_owned();
    };
    // Spark takes `#` for the start of a name and, in a list, a comma for its end. And an entry with a name must
    // be a valid URI as a whole, or Spark takes the name for a part of the file's.
    let named = relative.contains('#');
    let plain = if named { folder.chars().all(is_plain_in_uri) } else { !folder.contains(['#', ',']) };
    if plain {
        return format!("{folder}/{relative}");
    }
    match relative.split_once('#') {
        // Spark decodes a path that has a name behind it, so what is encoded in it already stays.
        Some((path, name)) => format!("file://{}/{}#{name}", encode(folder, ""), encode(path, "%")),
        None => format!("file://{}/{}", encode(folder, ""), encode(relative, "")),
    }
}

/// `entry` without leading `./` if it is a relative path; `None` if it is absolute, a URI or empty.
fn relative(entry: &str) -> Option<&str> {
    let has_scheme = entry.split_once(':').is_some_and(|(scheme, rest)| is_scheme(scheme) && !rest.is_empty());
    if entry.is_empty() || entry.starts_with('/') || has_scheme {
        return None;
    }
    let mut rest = entry;
    while let Some(shorter) = rest.strip_prefix("./") {
        rest = shorter.trim_start_matches('/');
    }
    Some(rest)
}

/// Whether a path with this character is the same text as a URI's path, and no end of an entry either.
fn is_plain_in_uri(c: char) -> bool {
    c.is_ascii_alphanumeric() || "/-._~!$&'()*+;=:@".contains(c) || (!c.is_ascii() && c.is_alphanumeric())
}

/// Percent-encodes a path for a URI, except for the characters of `kept`.
fn encode(path: &str, kept: &str) -> String {
    let mut encoded = String::with_capacity(path.len());
    for c in path.chars() {
        if is_plain_in_uri(c) || kept.contains(c) {
            encoded.push(c);
        } else {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                encoded.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(list: &str, folder: &str, expected: &Expect) {
        expected.assert_eq(&absolute_list(list, folder));
    }

    #[test]
    fn relative_entries_start_from_the_folder() {
        check("a.jar, ./lib/b.jar,../c.jar,", "/home/u", &expect!["/home/u/a.jar,/home/u/lib/b.jar,/home/u/../c.jar"]);
        check("libs/*.jar,data/part-[12]", "/home/u", &expect!["/home/u/libs/*.jar,/home/u/data/part-[12]"]);
        check("env.tar.gz#env,my file.txt", "/home/u", &expect!["/home/u/env.tar.gz#env,/home/u/my file.txt"]);
        check("a.jar", "", &expect!["/a.jar"]);
    }

    #[test]
    fn absolute_entries_and_uris_stay() {
        check(
            "/a.jar,hdfs://n/b.jar,local:/opt/c.jar,file:d.jar,s3a://b/e.zip#e",
            "/home/u",
            &expect!["/a.jar,hdfs://n/b.jar,local:/opt/c.jar,file:d.jar,s3a://b/e.zip#e"],
        );
    }

    #[test]
    fn folders_that_spark_would_misread_become_uris() {
        check("a b%.jar", "/home/x,y", &expect!["file:///home/x%2Cy/a%20b%25.jar"]);
        check("a.jar", "/home/c#", &expect!["file:///home/c%23/a.jar"]);
        check("env%20.zip#env", "/home/a b", &expect!["file:///home/a%20b/env%20.zip#env"]);
        check("plain.zip", "/home/a b", &expect!["/home/a b/plain.zip"]);
    }
}
