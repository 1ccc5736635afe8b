//! Real input: flights in the United States in the first half of 2001, as the npm package `vega-datasets` carries them.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use base64::{Engine, prelude::BASE64_STANDARD};
use flate2::read::GzDecoder;
use sha2::{Digest, Sha512};

use super::{
    cache::{Cache, Recipe},
    python,
};
use crate::process;

const ARCHIVE: &str = "https://registry.npmjs.org/vega-datasets/-/vega-datasets-3.2.1.tgz";

/// The registry's own integrity value: SHA-512 in Base64.
const INTEGRITY: &str = "lTSwZA6yq6qSU2YZm+6bqILiIvTPPxn4itir7jPGFmHIdPvUfQ9pCzzcrklYywMJgLUbaIeSkZQdiJd6wBxPug==";

/// Three million rows: date and time, delay in minutes, distance in miles, origin, destination.
const FILE: &str = "flights-3m.parquet";

/// Python's standard library downloads: Python is here already, and it honours proxies and the system's certificates.
const DOWNLOAD: &str = "import sys, urllib.request; urllib.request.urlretrieve(sys.argv[1], sys.argv[2])";

/// The Parquet file of flights, downloaded if need be.
pub(crate) fn flights(cache: &Cache) -> Result<PathBuf> {
    let parts: &[&[u8]] = &[ARCHIVE.as_bytes(), INTEGRITY.as_bytes(), FILE.as_bytes()];
    let folder = cache.ensure(&Recipe { name: "data", parts, proof: FILE }, |folder| {
        let archive = folder.join("archive.tgz");
        process::capture(Command::new(python::find()?).args(["-c", DOWNLOAD, ARCHIVE]).arg(&archive))?;
        verify(&archive, INTEGRITY)?;
        extract(&archive, &Path::new("package/data").join(FILE), &folder.join(FILE))?;
        Ok(fs::remove_file(&archive)?)
    })?;
    Ok(folder.join(FILE))
}

fn verify(archive: &Path, integrity: &str) -> Result<()> {
    let mut hash = Sha512::new();
    let mut file = File::open(archive)?;
    let mut buffer = vec![0; 1 << 16];
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        hash.update(&buffer[..count]);
    }
    let found = BASE64_STANDARD.encode(hash.finalize());
    if found != integrity {
        bail!("the download is not what was pinned: its SHA-512 is {found}");
    }
    Ok(())
}

/// Writes the one `member` of a gzipped tar to `target`.
fn extract(archive: &Path, member: &Path, target: &Path) -> Result<()> {
    let mut archive = tar::Archive::new(GzDecoder::new(File::open(archive)?));
    for entry in archive.entries()? {
        let mut entry = entry?;
        if entry.path()? == member {
            io::copy(&mut entry, &mut File::create(target)?).with_context(|| format!("write {}", target.display()))?;
            return Ok(());
        }
    }
    bail!("the archive holds no {}", member.display())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    #[test]
    fn one_member_is_extracted_and_its_absence_reported() {
        let home = tempfile::tempdir().unwrap();
        let (archive, target) = (home.path().join("a.tgz"), home.path().join("out"));
        let mut builder = tar::Builder::new(GzEncoder::new(File::create(&archive).unwrap(), Compression::fast()));
        let mut header = tar::Header::new_gnu();
        header.set_size(4);
        builder.append_data(&mut header, "package/data/x", &b"rows"[..]).unwrap();
        builder.into_inner().unwrap().finish().unwrap();
        extract(&archive, Path::new("package/data/x"), &target).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"rows");
        assert!(extract(&archive, Path::new("package/data/y"), &target).is_err());
    }

    #[test]
    fn a_changed_download_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let empty = "z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg==";
        verify(file.path(), empty).unwrap();
        fs::write(file.path(), "x").unwrap();
        assert!(verify(file.path(), empty).is_err());
    }
}
