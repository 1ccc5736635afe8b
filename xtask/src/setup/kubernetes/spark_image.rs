//! Images of Spark, made from the installed PySpark: its jars, its programs and its Python examples, our Java example, and
//! an entrypoint that keeps the contract between Spark's Kubernetes scheduler and an image.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use serde_json::json;

use super::{
    super::{
        cache::{Cache, Recipe},
        demo_jar,
        spark::{self, Line},
    },
    debian::{self, Apt},
    image::{self, Layer},
    sources,
};
use crate::process;

/// What Spark needs of an operating system.
const BASE_PACKAGES: &str = "openjdk-17-jre-headless,python3,tini,procps";
const BASE: &str = "base.tar";
const ARCHIVE: &str = "image.tar";

/// Root, nobody, and the user that Spark's own images have, who is no member of any group but root's.
const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\n\
                      nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n\
                      spark:x:185:0:spark:/opt/spark:/bin/bash\n";

/// The archive of the image of a line, called `lamplighter.test/spark:3.5` or `lamplighter.test/spark:4`; made if need be.
pub(in crate::setup) fn ensure(cache: &Cache, line: Line) -> Result<PathBuf> {
    let (tag, thing) = match line {
        Line::V3_5 => ("3.5", "spark-image-3.5"),
        Line::V4 => ("4", "spark-image-4"),
    };
    let base = base(cache)?;
    let home = spark::home(cache, line)?;
    let jar = demo_jar::ensure(cache, &spark::home(cache, Line::V4)?)?;
    let entrypoint = sources().join("image/entrypoint.sh");
    let content = |file: &Path| fs::read(file).with_context(|| format!("read {}", file.display()));
    let (entrypoint, jar, version) = (content(&entrypoint)?, content(&jar)?, content(&home.join("version.py"))?);
    let parts: &[&[u8]] = &[PASSWD.as_bytes(), BASE_PACKAGES.as_bytes(), &entrypoint, &jar, &version];
    let folder = cache.ensure(&Recipe { name: thing, parts, proof: ARCHIVE }, |folder| {
        let layer = folder.join("spark.tar");
        write_spark_layer(&layer, &home, &entrypoint, &jar)?;
        let name = format!("lamplighter.test/spark:{tag}");
        image::write(&folder.join(ARCHIVE), &name, &config(), &[&base, &layer])?;
        Ok(fs::remove_file(&layer)?)
    })?;
    Ok(folder.join(ARCHIVE))
}

fn config() -> serde_json::Value {
    let java = format!("JAVA_HOME=/usr/lib/jvm/java-17-openjdk-{}", image::architecture());
    json!({
        "User": "185",
        "WorkingDir": "/opt/spark/work-dir",
        "Entrypoint": ["/opt/entrypoint.sh"],
        "Env": [
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/spark/bin",
            "SPARK_HOME=/opt/spark",
            "LANG=C.UTF-8",
            "PYTHONDONTWRITEBYTECODE=1",
            java,
        ],
    })
}

/// Files stand where Spark's own images have them.
fn write_spark_layer(file: &Path, home: &Path, entrypoint: &[u8], jar: &[u8]) -> Result<()> {
    let mut layer = Layer::create(file)?;
    for folder in ["opt", "opt/spark", "opt/spark/conf", "opt/spark/python"] {
        layer.folder(folder, 0o755)?;
    }
    for part in ["bin", "data", "examples", "jars", "python/lib", "sbin"] {
        layer.tree(&home.join(part), &format!("opt/spark/{part}"))?;
    }
    layer.folder("opt/spark/examples/jars", 0o755)?;
    layer.file("opt/spark/examples/jars/examples.jar", 0o644, jar)?;
    layer.folder("opt/spark/work-dir", 0o777)?;
    layer.file("opt/entrypoint.sh", 0o755, entrypoint)?;
    layer.file("etc/passwd", 0o664, PASSWD.as_bytes())?;
    layer.finish()
}

/// A minimal system with Java and Python, which the images share.
fn base(cache: &Cache) -> Result<PathBuf> {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let codename = debian::codename(&release).unwrap_or_default();
    let parts: &[&[u8]] = &[codename.as_bytes(), BASE_PACKAGES.as_bytes()];
    let recipe = Recipe { name: "spark-image-base", parts, proof: BASE };
    Ok(cache.ensure(&recipe, |folder| bootstrap(folder, codename))?.join(BASE))
}

fn bootstrap(folder: &Path, codename: &str) -> Result<()> {
    let scratch = tempfile::tempdir_in(folder)?;
    let apt = Apt::update(scratch.path())?;
    let tools = scratch.path().join("tools");
    apt.unpack(&["mmdebstrap"], &tools)?;
    let sources = scratch.path().join("sources.list");
    fs::write(&sources, apt.sources()?)?;

    let programs = tools.join("usr/bin");
    let mut command = Command::new(programs.join("mmdebstrap"));
    command.args(["--quiet", "--mode=root", "--variant=minbase", "--aptopt=Apt::Install-Recommends \"false\""]);
    for excluded in ["man", "doc", "locale"] {
        command.arg(format!("--dpkgopt=path-exclude=/usr/share/{excluded}/*"));
    }
    // Java's installation puts manual pages there, excluded or not.
    command.arg("--essential-hook=mkdir -p \"$1/usr/share/man/man1\"");
    command.arg(format!("--include={BASE_PACKAGES}")).arg(codename).arg(folder.join(BASE)).arg(&sources);
    let path = std::env::var_os("PATH").unwrap_or_default();
    command.env("PATH", std::env::join_paths(std::iter::once(programs).chain(std::env::split_paths(&path)))?);
    command.env("TMPDIR", scratch.path());
    process::capture(&mut command).map(drop)
}
