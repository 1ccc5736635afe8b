//! Images of containers, made without a registry and without a daemon: archives in OCI's layout, which `ctr` imports.
//!
//! Layers are plain tars. They cost disk, but no time for packing here and unpacking there, and most of what is in them
//! is packed already.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use anyhow::{Context, Result, anyhow};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// A layer that is being written: paths are relative to the root of the container, all belongs to root and is as old as
/// time, so that equal content is an equal layer.
pub(super) struct Layer {
    tar: tar::Builder<File>,
}

impl Layer {
    /// A layer that is written to `file`.
    pub(super) fn create(file: &Path) -> Result<Self> {
        let file = File::create(file).with_context(|| format!("create {}", file.display()))?;
        Ok(Self { tar: tar::Builder::new(file) })
    }

    /// A folder with the permissions `mode`.
    pub(super) fn folder(&mut self, path: &str, mode: u32) -> Result<()> {
        self.append(tar::EntryType::Directory, path, mode, 0, io::empty())
    }

    /// A file with the permissions `mode`.
    pub(super) fn file(&mut self, path: &str, mode: u32, content: &[u8]) -> Result<()> {
        self.append(tar::EntryType::Regular, path, mode, content.len() as u64, content)
    }

    /// A symbolic link to `target`.
    pub(super) fn link(&mut self, path: &str, target: &str) -> Result<()> {
        let mut header = header(tar::EntryType::Symlink, 0o777, 0);
        Ok(self.tar.append_link(&mut header, path, target)?)
    }

    /// The file `source`, which everybody may read and `mode` tells what else.
    pub(super) fn copy(&mut self, source: &Path, path: &str, mode: u32) -> Result<()> {
        let file = File::open(source).with_context(|| format!("read {}", source.display()))?;
        let size = file.metadata()?.len();
        self.append(tar::EntryType::Regular, path, mode, size, file)
    }

    /// The folder `source` with all it holds; files that someone may run stay so for everybody.
    pub(super) fn tree(&mut self, source: &Path, path: &str) -> Result<()> {
        self.folder(path, 0o755)?;
        let mut entries = fs::read_dir(source)
            .and_then(Iterator::collect::<io::Result<Vec<_>>>)
            .with_context(|| format!("list {}", source.display()))?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let name = entry.file_name().into_string().map_err(|name| anyhow!("{} is not UTF-8", name.display()))?;
            let (from, to) = (entry.path(), format!("{path}/{name}"));
            let metadata = fs::metadata(&from).with_context(|| format!("look at {}", from.display()))?;
            match metadata.permissions().mode() & 0o111 {
                _ if metadata.is_dir() => self.tree(&from, &to)?,
                0 => self.copy(&from, &to, 0o644)?,
                _ => self.copy(&from, &to, 0o755)?,
            }
        }
        Ok(())
    }

    /// Writes what is left to write.
    pub(super) fn finish(self) -> Result<()> {
        Ok(self.tar.into_inner()?.flush()?)
    }

    fn append(&mut self, kind: tar::EntryType, path: &str, mode: u32, size: u64, content: impl Read) -> Result<()> {
        let mut header = header(kind, mode, size);
        self.tar.append_data(&mut header, path, content).with_context(|| format!("add {path} to a layer"))
    }
}

fn header(kind: tar::EntryType, mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

/// Writes the image called `name`, such as `example.test/spark:4`, to `archive`. `config` is OCI's: what to run, as whom.
pub(super) fn write(archive: &Path, name: &str, config: &Value, layers: &[&Path]) -> Result<()> {
    let file = File::create(archive).with_context(|| format!("create {}", archive.display()))?;
    let mut image = Archive { tar: tar::Builder::new(file) };
    let mut blobs = Vec::new();
    for layer in layers {
        let mut file = File::open(layer).with_context(|| format!("read {}", layer.display()))?;
        blobs.push(image.blob("application/vnd.oci.image.layer.v1.tar", &mut file)?);
    }
    let identities: Vec<&Value> = blobs.iter().map(|blob| &blob["digest"]).collect();
    let platform = json!({"architecture": architecture(), "os": "linux"});
    let mut configuration = platform.clone();
    configuration["config"] = config.clone();
    configuration["rootfs"] = json!({"type": "layers", "diff_ids": identities});
    let configuration = image.document("application/vnd.oci.image.config.v1+json", &configuration)?;
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({"schemaVersion": 2, "mediaType": kind, "config": configuration, "layers": blobs});
    let mut manifest = image.document(kind, &manifest)?;
    manifest["platform"] = platform;
    manifest["annotations"] = json!({"io.containerd.image.name": name});
    image.member("index.json", &json!({"schemaVersion": 2, "manifests": [manifest]}))?;
    image.member("oci-layout", &json!({"imageLayoutVersion": "1.0.0"}))?;
    Ok(image.tar.into_inner()?.flush()?)
}

/// This machine's architecture, as images and Debian call it.
pub(super) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// An image archive that is being written.
struct Archive {
    tar: tar::Builder<File>,
}

impl Archive {
    /// Adds `content` and returns its descriptor.
    fn blob(&mut self, kind: &str, content: &mut (impl Read + Seek)) -> Result<Value> {
        let mut hash = Sha256::new();
        let size = io::copy(content, &mut Hashing(&mut hash))?;
        let digest: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        content.rewind()?;
        let mut header = header(tar::EntryType::Regular, 0o644, size);
        self.tar.append_data(&mut header, format!("blobs/sha256/{digest}"), content)?;
        Ok(json!({"mediaType": kind, "digest": format!("sha256:{digest}"), "size": size}))
    }

    fn document(&mut self, kind: &str, content: &Value) -> Result<Value> {
        self.blob(kind, &mut io::Cursor::new(content.to_string()))
    }

    fn member(&mut self, path: &str, content: &Value) -> Result<()> {
        let text = content.to_string();
        let mut header = header(tar::EntryType::Regular, 0o644, text.len() as u64);
        Ok(self.tar.append_data(&mut header, path, text.as_bytes())?)
    }
}

/// Takes what is written into account, and keeps nothing.
struct Hashing<'a>(&'a mut Sha256);

impl Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::collections::BTreeMap;

    use super::*;

    /// Content by path.
    fn members(archive: &Path) -> BTreeMap<String, Vec<u8>> {
        let mut archive = tar::Archive::new(File::open(archive).unwrap());
        let read = |entry: io::Result<tar::Entry<'_, File>>| {
            let mut entry = entry.unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            (entry.path().unwrap().display().to_string(), content)
        };
        archive.entries().unwrap().map(read).collect()
    }

    #[test]
    fn an_image_leads_from_its_index_to_its_files_by_digests() {
        let home = tempfile::tempdir().unwrap();
        let (layer, archive) = (home.path().join("layer.tar"), home.path().join("image.tar"));
        fs::create_dir(home.path().join("tree")).unwrap();
        fs::write(home.path().join("tree/data"), "x").unwrap();
        let mut writing = Layer::create(&layer).unwrap();
        writing.tree(&home.path().join("tree"), "opt/tree").unwrap();
        writing.link("bin", "opt").unwrap();
        writing.finish().unwrap();
        write(&archive, "example.test/x:1", &json!({"User": "7"}), &[&layer]).unwrap();

        let members = members(&archive);
        let follow = |descriptor: &Value| -> &Vec<u8> {
            let digest = descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
            let content = &members[&format!("blobs/sha256/{digest}")];
            assert_eq!(content.len() as u64, descriptor["size"].as_u64().unwrap());
            content
        };
        let index: Value = serde_json::from_slice(&members["index.json"]).unwrap();
        assert_eq!(index["manifests"][0]["annotations"]["io.containerd.image.name"], "example.test/x:1");
        let manifest: Value = serde_json::from_slice(follow(&index["manifests"][0])).unwrap();
        let config: Value = serde_json::from_slice(follow(&manifest["config"])).unwrap();
        assert_eq!(config["config"]["User"], "7");
        assert_eq!(config["rootfs"]["diff_ids"][0], manifest["layers"][0]["digest"]);
        assert_eq!(*follow(&manifest["layers"][0]), fs::read(&layer).unwrap());
        assert_eq!(self::members(&layer)["opt/tree/data"], b"x");
    }

    #[test]
    fn equal_content_is_an_equal_layer() {
        let home = tempfile::tempdir().unwrap();
        let layers = ["a", "b"].map(|name| {
            let source = home.path().join(name);
            fs::create_dir(&source).unwrap();
            for file in if name == "a" { ["x", "y"] } else { ["y", "x"] } {
                fs::write(source.join(file), file).unwrap();
            }
            let layer = home.path().join(format!("{name}.tar"));
            let mut writing = Layer::create(&layer).unwrap();
            writing.tree(&source, "tree").unwrap();
            writing.finish().unwrap();
            fs::read(layer).unwrap()
        });
        assert_eq!(layers[0], layers[1]);
    }
}
