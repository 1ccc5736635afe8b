//! The sections `auth` and `policy` of the configuration, as people write them.
//!
//! Everything is text here; [`crate::Tokens::compile`] and [`crate::Policy::compile`] check the meaning and report all
//! [`Problem`]s together. Secrets print as stars, in `Debug` as in what is serialised.

use std::collections::BTreeSet;
use std::fmt;

use indexmap::IndexMap;
use model::id::BackendName;
use model::spark_conf::shown;
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap as _, Serializer};

use crate::Principals;

/// The section `auth`: who is let in.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuthConfig {
    /// Bearer tokens. Without any there is one principal, whoever reaches the gateway.
    pub tokens: Vec<TokenConfig>,
}

impl AuthConfig {
    /// Whether drivers of different people meet on this gateway: tokens stand for more than one of them.
    pub fn principals(&self) -> Principals {
        let person = |token: &TokenConfig| (token.user.clone(), token.tenant.clone());
        let people: BTreeSet<_> = self.tokens.iter().map(person).collect();
        if people.len() > 1 { Principals::Several } else { Principals::One }
    }
}

/// A bearer token and whom it stands for.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct TokenConfig {
    /// The user; several tokens may stand for the same one.
    pub user: String,
    /// The tenant that the user acts for.
    pub tenant: String,
    /// Groups that rules can be about.
    #[serde(default)]
    pub groups: Vec<String>,
    /// What the user may do: `submitter`, `viewer`, `tenant-admin`, `operator`, `auditor`, `monitor`.
    #[serde(default)]
    pub roles: Vec<String>,
    /// SHA-256 of the token, 64 hexadecimal digits.
    pub sha256: String,
}

/// The section `policy`: what applications may be. Every layer that applies holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyConfig {
    /// For everybody, everywhere.
    pub gateway: Rules,
    /// For what runs on a backend, by its name.
    pub backends: IndexMap<String, Rules>,
    /// For tenants that aren't listed under `tenants`.
    pub default: TenantRules,
    /// For a tenant, by its name.
    pub tenants: IndexMap<String, TenantRules>,
    /// Further words that make a conf key or an argument a secret, wherever in it they stand and in any case.
    pub secret_words: Vec<String>,
}

impl PolicyConfig {
    /// What is wrong with the names of backends in it, given those that there are: a rule for a misspelt backend would
    /// silently hold nowhere.
    pub fn unknown_backends(&self, known: &[BackendName]) -> Vec<Problem> {
        let is_unknown = |name: &str| !known.iter().any(|known| known.as_str() == name);
        let problem = |path: &[Step], name: &str| Problem::new(path, format!("there is no backend `{name}`"));
        let named = self.backends.keys().filter(|name| is_unknown(name));
        let mut problems: Vec<Problem> =
            named.map(|name| problem(&[Step::key("backends"), Step::key(name)], name)).collect();
        for layer in self.layers() {
            let listed = layer.allow.backends.iter().flatten().enumerate();
            problems.extend(listed.filter(|(_, name)| is_unknown(name)).map(|(index, name)| {
                let below = [Step::key("allow"), Step::key("backends"), Step::Index(index)];
                problem(&[layer.path.as_slice(), &below].concat(), name)
            }));
        }
        problems
    }

    /// Every layer there is.
    pub(crate) fn layers(&self) -> Vec<LayerConfig<'_>> {
        let mut layers = vec![LayerConfig::of(&[Step::key("gateway")], &self.gateway)];
        for (name, rules) in &self.backends {
            layers.push(LayerConfig::of(&[Step::key("backends"), Step::key(name)], rules));
        }
        let default = (vec![Step::key("default")], &self.default);
        let tenants = self.tenants.iter().map(|(name, tenant)| (vec![Step::key("tenants"), Step::key(name)], tenant));
        for (path, tenant) in std::iter::once(default).chain(tenants) {
            for (name, rules) in &tenant.groups {
                let below = [Step::key("groups"), Step::key(name)];
                layers.push(LayerConfig::of(&[path.as_slice(), &below].concat(), rules));
            }
            layers.push(LayerConfig { path, conf: &tenant.conf, allow: &tenant.allow });
        }
        layers
    }
}

/// A layer's place in the configuration, and what is said there about keys and names.
pub(crate) struct LayerConfig<'a> {
    path: Vec<Step>,
    pub(crate) conf: &'a ConfRules,
    allow: &'a Allow,
}

impl<'a> LayerConfig<'a> {
    fn of(path: &[Step], rules: &'a Rules) -> Self {
        Self { path: path.to_vec(), conf: &rules.conf, allow: &rules.allow }
    }
}

/// Rules of one layer. Nothing said restricts nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// About conf keys.
    pub conf: ConfRules,
    /// About what may be named.
    pub allow: Allow,
    /// About sizes.
    pub limits: Limits,
    /// Names of built-in rules that don't hold here.
    pub lift: Vec<String>,
}

/// Rules of a tenant, and of groups within it.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct TenantRules {
    /// About conf keys.
    pub conf: ConfRules,
    /// About what may be named.
    pub allow: Allow,
    /// About sizes.
    pub limits: Limits,
    /// Names of built-in rules that don't hold here.
    pub lift: Vec<String>,
    /// How many of the tenant's applications there may be at a time.
    pub quota: QuotaConfig,
    /// Rules for members of a group, by its name; of several groups all hold.
    pub groups: IndexMap<String, Rules>,
}

/// What becomes of conf keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConfRules {
    /// Set when the submitter doesn't. The closest layer wins: group, tenant, backend, gateway.
    pub default: ConfEntries,
    /// Set whatever the submitter says. The widest layer wins: gateway, backend, tenant, group.
    pub force: ConfEntries,
    /// Keys that a submitter may not set, `*` for any text; case doesn't count.
    pub forbid: Vec<String>,
}

/// What a submitter may name. A list that is absent says nothing; where several layers have a list, a name must be in
/// all of them. `*` stands for any text, except in `backends` and `sparks`.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Allow {
    /// Backends.
    pub backends: Option<Vec<String>>,
    /// Spark installations or lines; the first is what runs when the submitter names none.
    pub sparks: Option<Vec<String>>,
    /// Container images.
    pub images: Option<Vec<String>>,
    /// Kubernetes namespaces.
    pub namespaces: Option<Vec<String>>,
    /// Kubernetes service accounts.
    pub service_accounts: Option<Vec<String>>,
    /// Kubernetes Secrets that pods may mount or read variables from.
    pub secrets: Option<Vec<String>>,
    /// Kubernetes Secrets to pull images with.
    pub pull_secrets: Option<Vec<String>>,
    /// Persistent volume claims; a claim made on demand needs no permission.
    pub volume_claims: Option<Vec<String>>,
    /// YARN queues.
    pub queues: Option<Vec<String>>,
    /// Where the program and its files may be: folders or URIs that they must lie in.
    pub files: Option<Vec<String>>,
    /// Users that may be impersonated besides oneself.
    pub proxy_users: Option<Vec<String>>,
}

/// How large an application may be. The smallest of all layers holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Memory of the driver, with what is asked for beside its heap: `8g`.
    pub driver_memory: Option<String>,
    /// Cores of the driver.
    pub driver_cores: Option<u32>,
    /// Memory of an executor, with what is asked for beside its heap.
    pub executor_memory: Option<String>,
    /// Cores of an executor.
    pub executor_cores: Option<u32>,
    /// Executors, also those of dynamic allocation.
    pub executors: Option<u32>,
    /// Bytes of the program's arguments together.
    pub argument_bytes: Option<u64>,
    /// Bytes of the conf's keys and values together.
    pub conf_bytes: Option<u64>,
}

/// How many applications of a tenant there may be at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct QuotaConfig {
    /// Waiting or under way together.
    pub applications: Option<u64>,
}

/// Conf keys with values, in the order written. Numbers and truth values may be written without quotes.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ConfEntries(pub IndexMap<String, String>);

impl ConfEntries {
    /// Keys with values that may be shown.
    fn shown(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), shown(key, value)))
    }
}

impl fmt::Debug for ConfEntries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.shown()).finish()
    }
}

impl Serialize for ConfEntries {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in self.shown() {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for ConfEntries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor;

        impl<'de> Visitor<'de> for EntriesVisitor {
            type Value = ConfEntries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of Spark's configuration keys to values")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ConfEntries, A::Error> {
                let mut entries = IndexMap::new();
                while let Some((key, Scalar(value))) = map.next_entry::<String, Scalar>()? {
                    if entries.contains_key(&key) {
                        return Err(de::Error::custom(format_args!("the key `{key}` occurs twice")));
                    }
                    entries.insert(key, value);
                }
                Ok(ConfEntries(entries))
            }
        }

        deserializer.deserialize_map(EntriesVisitor)
    }
}

/// A value of a conf key as YAML has it.
struct Scalar(String);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ScalarVisitor;

        impl Visitor<'_> for ScalarVisitor {
            type Value = Scalar;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, a whole number, true or false; write any other number in quotes")
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<Scalar, E> {
                Ok(Scalar(value.to_owned()))
            }

            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Scalar, E> {
                Ok(Scalar(value.to_string()))
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Scalar, E> {
                Ok(Scalar(value.to_string()))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Scalar, E> {
                Ok(Scalar(value.to_string()))
            }
        }

        deserializer.deserialize_any(ScalarVisitor)
    }
}

/// Something wrong with the meaning of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where, from the section that was compiled (`auth` or `policy`) inward.
    pub path: Vec<Step>,
    /// What is wrong and what would be right; a sentence without secrets.
    pub message: String,
}

/// One step of the way to a value in the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Into the value of this key.
    Key(String),
    /// To the element of this index, from 0.
    Index(usize),
}

impl Step {
    /// Into the value of `key`.
    pub fn key(key: &str) -> Self {
        Self::Key(key.to_owned())
    }
}

impl Problem {
    /// `message` about the value at `path`.
    pub fn new(path: &[Step], message: impl Into<String>) -> Self {
        Self { path: path.to_vec(), message: message.into() }
    }

    /// The path as people write it: `tenants.research.conf.forbid[0]`.
    pub fn location(&self) -> String {
        let mut text = String::new();
        for step in &self.path {
            match step {
                Step::Key(key) if text.is_empty() => text.push_str(key),
                Step::Key(key) => text.extend([".", key]),
                Step::Index(index) => text.push_str(&format!("[{index}]")),
            }
        }
        text
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.location(), self.message)
    }
}
