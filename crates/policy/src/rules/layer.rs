//! One layer of rules, checked: from the configuration's texts to what can be applied.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use indexmap::IndexMap;
use model::id::{BackendName, SparkName};
use model::memory_size::{ByteUnit, MemorySize};
use model::spark_conf::SparkConf;

use crate::builtin::{NameList, TABLE};
use crate::config::{Allow, ConfEntries, ConfRules, Limits, Problem, Rules, Step, TenantRules};
use crate::location::Folder;
use crate::pattern::{Pattern, PatternSet, current_name};

/// The rules of one place in the configuration.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    /// Where it stands in the configuration: `gateway`, `tenants.research`.
    pub(super) path: String,
    /// What is set when the submitter doesn't.
    pub(super) defaults: IndexMap<String, String>,
    /// What is set whatever the submitter says.
    pub(super) forced: IndexMap<String, String>,
    /// What the submitter may not set, as it is written.
    pub(super) forbidden: Vec<String>,
    /// The same, ready to be compared.
    pub(super) forbidden_keys: PatternSet,
    /// Lists of names by what they are names of.
    pub(super) names: BTreeMap<NameList, Names>,
    pub(super) backends: Option<Vec<BackendName>>,
    pub(super) sparks: Option<Vec<SparkName>>,
    pub(super) files: Option<Vec<Folder>>,
    pub(super) proxy_users: Option<Vec<Pattern>>,
    pub(super) sizes: Sizes,
    /// Built-in rules that don't hold.
    pub(super) lifted: Vec<&'static str>,
}

/// A list of names: as it is written, and ready to be compared.
#[derive(Clone, Debug)]
pub(super) struct Names {
    pub(super) written: String,
    pub(super) patterns: Vec<Pattern>,
}

/// The limits of a layer; `None` is no limit.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sizes {
    pub(super) driver_memory: Option<MemorySize>,
    pub(super) driver_cores: Option<u32>,
    pub(super) executor_memory: Option<MemorySize>,
    pub(super) executor_cores: Option<u32>,
    pub(super) executors: Option<u32>,
    pub(super) argument_bytes: Option<u64>,
    pub(super) conf_bytes: Option<u64>,
}

/// What the configuration says in one place.
pub(super) struct Source<'a> {
    conf: &'a ConfRules,
    allow: &'a Allow,
    limits: &'a Limits,
    lift: &'a [String],
}

impl<'a> From<&'a Rules> for Source<'a> {
    fn from(rules: &'a Rules) -> Self {
        Self { conf: &rules.conf, allow: &rules.allow, limits: &rules.limits, lift: &rules.lift }
    }
}

impl<'a> From<&'a TenantRules> for Source<'a> {
    fn from(rules: &'a TenantRules) -> Self {
        Self { conf: &rules.conf, allow: &rules.allow, limits: &rules.limits, lift: &rules.lift }
    }
}

/// Checks what the configuration says at `path`; `None`, with problems, when something is wrong.
pub(super) fn compile(source: &Source<'_>, path: &[Step], problems: &mut Vec<Problem>) -> Option<Layer> {
    let before = problems.len();
    let mut reader = Reader { path: path.to_vec(), problems };
    let layer = Layer {
        path: Problem::new(path, "").location(),
        defaults: reader.entries("default", &source.conf.default),
        forced: reader.entries("force", &source.conf.force),
        forbidden: reader.forbidden(&source.conf.forbid),
        forbidden_keys: PatternSet::new(source.conf.forbid.iter().map(String::as_str)),
        names: reader.names(source.allow),
        backends: reader.list(&["allow", "backends"], source.allow.backends.as_deref(), str::parse),
        sparks: reader.list(&["allow", "sparks"], source.allow.sparks.as_deref(), str::parse),
        files: reader.list(&["allow", "files"], source.allow.files.as_deref(), Folder::parse),
        proxy_users: reader.list(&["allow", "proxy_users"], source.allow.proxy_users.as_deref(), pattern),
        sizes: reader.sizes(source.limits),
        lifted: reader.lifted(source.lift),
    };
    (problems.len() == before).then_some(layer)
}

/// Reads one layer and collects what is wrong with it.
struct Reader<'a> {
    path: Vec<Step>,
    problems: &'a mut Vec<Problem>,
}

impl Reader<'_> {
    fn problem(&mut self, keys: &[&str], index: Option<usize>, message: impl Into<String>) {
        let mut path = self.path.clone();
        path.extend(keys.iter().map(|key| Step::Key((*key).to_owned())));
        path.extend(index.map(Step::Index));
        self.problems.push(Problem { path, message: message.into() });
    }

    fn entries(&mut self, name: &str, entries: &ConfEntries) -> IndexMap<String, String> {
        let mut conf = SparkConf::new();
        for (key, value) in &entries.0 {
            let at = ["conf", name, key];
            if let Err(error) = conf.set(key, value) {
                self.problem(&at, None, error.to_string());
            }
            self.outdated(&at, None, key);
            if !key.starts_with("spark.") {
                self.problem(&at, None, "doesn't begin with `spark.`, so Spark would ignore it");
            }
        }
        entries.0.clone()
    }

    fn forbidden(&mut self, texts: &[String]) -> Vec<String> {
        for (index, text) in texts.iter().enumerate() {
            self.outdated(&["conf", "forbid"], Some(index), text);
        }
        self.list(&["conf", "forbid"], Some(texts), pattern);
        texts.to_vec()
    }

    /// Spark prefers the new name of a key, so a rule about the old one wouldn't hold.
    fn outdated(&mut self, keys: &[&str], index: Option<usize>, key: &str) {
        if let Some(current) = current_name(key) {
            self.problem(keys, index, format!("`{key}` is an old name; write `{current}`, which means both"));
        }
    }

    fn names(&mut self, allow: &Allow) -> BTreeMap<NameList, Names> {
        let lists = [
            (NameList::Images, &allow.images),
            (NameList::Namespaces, &allow.namespaces),
            (NameList::ServiceAccounts, &allow.service_accounts),
            (NameList::Secrets, &allow.secrets),
            (NameList::PullSecrets, &allow.pull_secrets),
            (NameList::VolumeClaims, &allow.volume_claims),
            (NameList::Queues, &allow.queues),
        ];
        let mut names = BTreeMap::new();
        for (list, texts) in lists {
            let at = ["allow", list.as_str()];
            let read = |text: &str| if list == NameList::Images { images(text) } else { pattern(text) };
            if let (Some(texts), Some(patterns)) = (texts, self.list(&at, texts.as_deref(), read)) {
                names.insert(list, Names { written: texts.join(", "), patterns });
            }
        }
        names
    }

    fn list<T, E: fmt::Display>(
        &mut self,
        keys: &[&str],
        texts: Option<&[String]>,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<Vec<T>> {
        let mut items = Vec::new();
        for (index, text) in texts?.iter().enumerate() {
            match parse(text) {
                Ok(item) => items.push(item),
                Err(error) => self.problem(keys, Some(index), error.to_string()),
            }
        }
        Some(items)
    }

    fn sizes(&mut self, limits: &Limits) -> Sizes {
        Sizes {
            driver_memory: self.memory("driver_memory", limits.driver_memory.as_deref()),
            driver_cores: self.count("driver_cores", limits.driver_cores),
            executor_memory: self.memory("executor_memory", limits.executor_memory.as_deref()),
            executor_cores: self.count("executor_cores", limits.executor_cores),
            executors: self.count("executors", limits.executors),
            argument_bytes: limits.argument_bytes,
            conf_bytes: limits.conf_bytes,
        }
    }

    fn memory(&mut self, name: &str, text: Option<&str>) -> Option<MemorySize> {
        match MemorySize::parse(text?, ByteUnit::Mebibyte) {
            Ok(size) if size.bytes() > 0 => return Some(size),
            Ok(_) => self.problem(&["limits", name], None, "is no memory at all; nothing could run"),
            Err(error) => self.problem(&["limits", name], None, error.to_string()),
        }
        None
    }

    fn count(&mut self, name: &str, count: Option<u32>) -> Option<u32> {
        if count == Some(0) {
            self.problem(&["limits", name], None, "is 0; nothing could run");
        }
        count
    }

    fn lifted(&mut self, names: &[String]) -> Vec<&'static str> {
        let mut lifted = Vec::new();
        for (index, name) in names.iter().enumerate() {
            match TABLE.iter().find(|rule| rule.name == name) {
                Some(rule) if rule.liftable => lifted.push(rule.name),
                Some(_) => self.problem(&["lift"], Some(index), format!("`{name}` always holds")),
                None => self.problem(&["lift"], Some(index), format!("`{name}` is no built-in rule")),
            }
        }
        lifted
    }
}

/// Why a text is no pattern.
#[derive(Debug, thiserror::Error)]
enum PatternProblem {
    #[error("is empty")]
    Empty,
    #[error("contains {0:?}; only `*` stands for any text")]
    Unreadable(char),
    #[error("must hold the registry with its `/` before the first `*`, or it means other registries too")]
    OpenRegistry,
}

/// A pattern of images: `registry.example*` would mean `registry.example.evil/x` too.
fn images(text: &str) -> Result<Pattern, PatternProblem> {
    match text.split_once('*') {
        Some((registry, _)) if !registry.contains('/') => Err(PatternProblem::OpenRegistry),
        _ => pattern(text),
    }
}

/// A pattern that means what people who write it expect.
fn pattern(text: &str) -> Result<Pattern, PatternProblem> {
    if text.is_empty() {
        return Err(PatternProblem::Empty);
    }
    match text.chars().find(|c| c.is_whitespace() || c.is_control() || "?[]{}\\".contains(*c)) {
        Some(found) => Err(PatternProblem::Unreadable(found)),
        None => Ok(Pattern::new(text)),
    }
}

/// Reads a name, with problems at `path`.
pub(super) fn name<T: FromStr<Err: fmt::Display>>(text: &str, path: &[Step], problems: &mut Vec<Problem>) -> Option<T> {
    text.parse().map_err(|error: T::Err| problems.push(Problem::new(path, error.to_string()))).ok()
}
