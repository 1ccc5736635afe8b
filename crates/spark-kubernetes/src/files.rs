//! The program and the files beside it, which must be where the driver can fetch them.

use model::spec::ApplicationSpec;

use crate::reader::Reader;

/// The conf keys that list files.
const LISTS: [&str; 4] = ["spark.jars", "spark.files", "spark.archives", "spark.submit.pyFiles"];

/// What a program is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    /// Java, Scala or Kotlin in a jar.
    Java,
    /// A Python file.
    Python,
}

impl Language {
    /// As Spark tells them apart.
    pub(crate) fn of(resource: &str) -> Self {
        if resource.ends_with(".py") { Self::Python } else { Self::Java }
    }

    /// The value of `spark.kubernetes.resource.type`.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Java => "java",
            Self::Python => "python",
        }
    }
}

/// Checks the program, its arguments and the files beside it; returns the main class.
pub(crate) fn check<'a>(reader: &mut Reader<'_>, spec: &'a ApplicationSpec) -> &'a str {
    if spec.resource.ends_with(".R") || spec.resource.ends_with(".r") {
        reader.problem("resource", "is an R program, which this backend can't run; use Java, Scala or Python");
    }
    if let Err(why) = reachable(&spec.resource) {
        reader.problem("resource", why);
    }
    for key in LISTS {
        let listed = reader.text(key).unwrap_or_default();
        let first_wrong =
            listed.split(',').map(str::trim).filter(|uri| !uri.is_empty()).find_map(|uri| reachable(uri).err());
        if let Some(why) = first_wrong {
            reader.problem(key, why);
        }
    }
    if spec.args.iter().any(|arg| arg.contains('\0')) {
        reader.problem("args", "contain a NUL character, which no argument can");
    }
    main_class(reader, spec)
}

fn main_class<'a>(reader: &mut Reader<'_>, spec: &'a ApplicationSpec) -> &'a str {
    match (Language::of(&spec.resource), spec.class_name.as_deref()) {
        (Language::Python, _) => "org.apache.spark.deploy.PythonRunner",
        (Language::Java, Some(name)) if is_class_name(name) => name,
        (Language::Java, Some(_)) => {
            reader.problem("class_name", "is not the name of a class");
            ""
        }
        (Language::Java, None) => {
            reader.problem("class_name", "is missing; the gateway can't look into a jar of the driver's image");
            ""
        }
    }
}

fn is_class_name(name: &str) -> bool {
    let begins = name.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_' || c == '$');
    begins && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '$' | '.'))
}

/// Whether a driver in a pod can get at `uri`.
fn reachable(uri: &str) -> Result<(), String> {
    let shown: String = uri.chars().take(80).collect();
    match scheme(uri) {
        None => Err(format!(
            "`{shown}` is a path of another machine than the driver's; write local://PATH for a file in its image, \
             or the URI of a store that it can read"
        )),
        Some(scheme) if scheme.eq_ignore_ascii_case("file") => Err(format!(
            "`{shown}` would have to be uploaded, which this backend can't; write local://PATH for a file in the \
             driver's image, or the URI of a store that it can read"
        )),
        Some(_) if uri.chars().any(|c| c.is_control() || c == ' ') => {
            Err(format!("`{}` contains a blank or control character", shown.escape_debug()))
        }
        Some(_) => Ok(()),
    }
}

fn scheme(uri: &str) -> Option<&str> {
    let (scheme, _) = uri.split_once(':')?;
    let begins = scheme.bytes().next().is_some_and(|b| b.is_ascii_alphabetic());
    (begins && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+.-".contains(&b))).then_some(scheme)
}
