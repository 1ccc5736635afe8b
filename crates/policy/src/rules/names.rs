//! What an application names besides conf keys: backend, Spark, files, and whom it impersonates.

use model::id::{BackendName, SparkName};
use model::spark_conf::is_secret;

use super::layer::Layer;
use super::{Principals, Review};
use crate::location::{Folder, Location};
use crate::pattern::any_matches;
use crate::verdict::{ChangeKind, Refusal, excerpt};

/// What stands for a program that comes with Spark.
const SPARK_INTERNAL: &str = "spark-internal";

/// Keys whose values are lists of files that Spark or the gateway fetches.
const FILE_KEYS: [&str; 13] = [
    "spark.archives",
    "spark.files",
    "spark.jars",
    "spark.kerberos.keytab",
    "spark.submit.pyFiles",
    "spark.yarn.archive",
    "spark.yarn.dist.archives",
    "spark.yarn.dist.files",
    "spark.yarn.dist.jars",
    "spark.yarn.dist.pyFiles",
    "spark.yarn.jar",
    "spark.yarn.jars",
    "spark.yarn.keytab",
];

/// Refused files that are told; a list can hold more than anybody reads.
const FILE_REFUSALS_MAX: usize = 100;

/// The first layer whose list of backends lacks this one.
pub(super) fn layer_without_backend<'a>(layers: &[&'a Layer], backend: &BackendName) -> Option<&'a Layer> {
    layers.iter().copied().find(|layer| layer.backends.as_ref().is_some_and(|allowed| !allowed.contains(backend)))
}

impl Review<'_> {
    /// Applies every rule about what is named.
    pub(super) fn named(&mut self) {
        if let Some(layer) = layer_without_backend(&self.layers, self.place.backend) {
            let message = format!("`{}` is none of the backends allowed", self.place.backend);
            self.refuse("backend", format!("{}.allow.backends", layer.path), message);
        }
        self.spark();
        self.proxy_user();
        self.files();
    }

    fn spark(&mut self) {
        let lists = || self.layers.iter().filter_map(|layer| Some((*layer, layer.sparks.as_ref()?)));
        if let Some(spark) = self.spec.spark.clone() {
            if let Some((layer, allowed)) = lists().find(|(_, allowed)| !allowed.contains(&spark)) {
                let allowed: Vec<&str> = allowed.iter().map(SparkName::as_str).collect();
                let message = format!("`{spark}` is none of those allowed: {}", allowed.join(", "));
                self.refuse("spark", format!("{}.allow.sparks", layer.path), message);
            }
            return;
        }
        // The closest list is the one that was written with these users in mind.
        let Some((layer, closest)) = lists().next_back() else { return };
        let rule = format!("{}.allow.sparks", layer.path);
        match closest.iter().find(|spark| lists().all(|(_, allowed)| allowed.contains(spark))).cloned() {
            Some(spark) => {
                self.change("spark", None, spark.as_str(), rule, ChangeKind::Defaulted);
                self.spec.spark = Some(spark);
            }
            None => self.refuse("spark", rule, "the lists of the configuration have no Spark in common"),
        }
    }

    /// Anybody may be themselves.
    fn proxy_user(&mut self) {
        let Some(user) = self.spec.proxy_user.clone().filter(|user| *user != self.principal.user.as_str()) else {
            return;
        };
        let mut lists = self.layers.iter().filter_map(|layer| Some((*layer, layer.proxy_users.as_ref()?))).peekable();
        let is_listed = lists.peek().is_some();
        let refused = lists.find(|(_, allowed)| !any_matches(allowed, &user)).map(|(layer, _)| layer.path.clone());
        let rule = match refused {
            Some(path) => format!("{path}.allow.proxy_users"),
            None if is_listed || self.policy.principals == Principals::One => return,
            None => "built-in.proxy-users".to_owned(),
        };
        let message = format!("`{}` may not impersonate `{}`", self.principal.user, excerpt(&user));
        self.refuse("proxy_user", rule, message);
    }

    fn files(&mut self) {
        let lists: Vec<_> = self.layers.iter().filter_map(|layer| Some((*layer, layer.files.as_deref()?))).collect();
        if lists.is_empty() {
            return;
        }
        let program = Some(("resource", self.spec.resource.as_str())).filter(|(_, file)| *file != SPARK_INTERNAL);
        let listed = FILE_KEYS.into_iter().filter_map(|key| {
            let value = self.spec.conf.get(key).filter(|value| !self.is_from_configuration(key, value))?;
            Some((key, value))
        });
        // Spark splits at commas, also what stands for the program.
        let files = program.into_iter().chain(listed);
        let files = files.flat_map(|(key, list)| list.split(',').map(move |file| (key, file.trim())));
        let named = files.filter(|(key, file)| !file.is_empty() || *key == "resource");
        let refusals: Vec<Refusal> =
            named.flat_map(|(key, file)| misplaced(key, file, &lists)).take(FILE_REFUSALS_MAX).collect();
        self.refusals.extend(refusals);
    }
}

/// What the layers' lists of folders have against a file.
fn misplaced(key: &str, file: &str, lists: &[(&Layer, &[Folder])]) -> Vec<Refusal> {
    let location = Location::parse(file);
    let problem = |folders: &[Folder]| match &location {
        Ok(location) => location.check(folders).err(),
        Err(problem) => Some(problem.clone()),
    };
    let problems = lists.iter().filter_map(|(layer, folders)| Some((layer, problem(folders)?)));
    let refusals = problems.map(|(layer, problem)| Refusal {
        key: key.to_owned(),
        rule: format!("{}.allow.files", layer.path),
        message: format!("{} {problem}", quoted(file)),
    });
    refusals.collect()
}

/// A location as a message may quote it: without what may be a password.
fn quoted(file: &str) -> String {
    if file.contains('@') || is_secret(file) {
        return "a location with what may be a secret".to_owned();
    }
    format!("`{}`", excerpt(file))
}
