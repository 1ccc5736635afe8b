//! The Java example, compiled here: the PyPI package of Spark carries no examples jar.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Result;

use super::{
    cache::{Cache, Recipe},
    java,
};
use crate::process;

/// The class to submit.
pub(crate) const MAIN_CLASS: &str = "examples.Pi";

const SOURCE: &str = "examples/java/examples/Pi.java";
const JAR: &str = "examples.jar";

/// The jar, compiled against the jars of the Spark at `spark_home` if the cache has none from the same source.
pub(crate) fn ensure(cache: &Cache, spark_home: &Path) -> Result<PathBuf> {
    let source = process::repository().join(SOURCE);
    let code = std::fs::read(&source)?;
    let parts: &[&[u8]] = &[&code, spark_home.as_os_str().as_encoded_bytes()];
    let recipe = Recipe { name: "demo-jar", parts, proof: JAR };
    let folder = cache.ensure(&recipe, |folder| compile(folder, &source, spark_home))?;
    Ok(folder.join(JAR))
}

fn compile(folder: &Path, source: &Path, spark_home: &Path) -> Result<()> {
    let classes = folder.join("classes");
    let mut javac = Command::new(java::development_tool("javac")?);
    javac.args(["--release", "17", "-classpath"]).arg(spark_home.join("jars/*"));
    // Spark's annotations name compile-time classes that it does not ship; they are no concern of the example.
    javac.args(["-proc:none", "-Xlint:-classfile", "-d"]).arg(&classes).arg(source);
    process::capture(&mut javac)?;
    let mut jar = Command::new(java::development_tool("jar")?);
    jar.args(["--create", "--date=2000-01-01T00:00:00Z", "--file"]).arg(folder.join(JAR));
    jar.arg("-C").arg(&classes).arg(".");
    process::capture(&mut jar).map(drop)
}
