//! The configured rules, checked and ready to be applied.
//!
//! Start with [`Policy::apply`]. Rules stand in layers, the widest first: the gateway's, the backend's, the tenant's
//! (or those for tenants that aren't listed), the groups'. All that apply hold, so a closer layer can only narrow what
//! a wider one leaves open. About one conf key, from the strongest:
//!
//! 1. **forced**: set whatever was submitted; of several layers the widest wins.
//! 2. **forbidden** and **built-in**: what was submitted is refused, unless it is what the configuration would set.
//! 3. **submitted**.
//! 4. **default**: set when nothing was submitted; of several layers the closest wins.
//!
//! Lists and limits are then asked about what came out. [`conf`] is about keys, [`names`] about what is named, and
//! [`sizes`] about how much.

mod conf;
mod layer;
mod names;
mod sizes;

use std::collections::{BTreeMap, BTreeSet};

use model::id::{BackendKind, BackendName, GroupName, TenantName};
use model::principal::Principal;
use model::spec::ApplicationSpec;

use crate::builtin::{Builtins, NameList, TABLE};
use crate::config::{PolicyConfig, Problem, QuotaConfig, Step, TenantRules};
use crate::pattern::{Pattern, PatternSet};
use crate::verdict::{Change, ChangeKind, Refusal, Verdict};
use layer::Layer;

/// Whether drivers of different people meet on this gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Principals {
    /// One person, who could do everything without the gateway too: no built-in rule holds.
    One,
    /// Several, who are protected from each other: the built-in rules hold.
    Several,
}

/// Where an application is to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// The backend's name.
    pub backend: &'a BackendName,
    /// Its type.
    pub kind: BackendKind,
}

/// What a backend's configuration gives the drivers of a tenant anyway: saying so in conf is no choice of the
/// submitter's. `*` stands for any text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Granted {
    /// Container images.
    pub images: Vec<String>,
    /// Kubernetes namespaces.
    pub namespaces: Vec<String>,
    /// Kubernetes service accounts.
    pub service_accounts: Vec<String>,
    /// Secrets to pull images with.
    pub pull_secrets: Vec<String>,
}

/// How many applications of one tenant there may be at a time; `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// Waiting or under way together.
    pub applications: Option<u64>,
}

/// The configured rules.
#[derive(Clone, Debug)]
pub struct Policy {
    principals: Principals,
    gateway: Layer,
    backends: BTreeMap<BackendName, Layer>,
    default: Tenant,
    tenants: BTreeMap<TenantName, Tenant>,
    builtins: BTreeMap<BackendKind, Builtins>,
    /// Every key that some layer forbids or a built-in rule is about.
    guarded: PatternSet,
    /// By backend and tenant; without a tenant for those that have no entry of their own.
    granted: BTreeMap<BackendName, BTreeMap<Option<TenantName>, Grants>>,
}

/// [`Granted`], ready to be compared.
type Grants = BTreeMap<NameList, Vec<Pattern>>;

/// The rules of a tenant.
#[derive(Clone, Debug)]
struct Tenant {
    layer: Layer,
    groups: Vec<(GroupName, Layer)>,
    quota: Quota,
}

impl Policy {
    /// Checks the section `policy` of the configuration.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn compile(config: &PolicyConfig, principals: Principals) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        for (index, _) in config.secret_words.iter().enumerate().filter(|(_, word)| word.is_empty()) {
            let path = [Step::Key("secret_words".into()), Step::Index(index)];
            problems.push(Problem::new(&path, "is empty, so it would hide everything"));
        }
        let at = |key: &str| vec![Step::Key(key.to_owned())];
        let gateway = layer::compile(&(&config.gateway).into(), &at("gateway"), &mut problems);
        let mut backends = BTreeMap::new();
        for (name, rules) in &config.backends {
            let path = [at("backends"), at(name)].concat();
            let compiled = layer::compile(&rules.into(), &path, &mut problems);
            backends.extend(layer::name(name, &path, &mut problems).zip(compiled));
        }
        let default = Tenant::compile(&config.default, &at("default"), &mut problems);
        let mut tenants = BTreeMap::new();
        for (name, rules) in &config.tenants {
            let path = [at("tenants"), at(name)].concat();
            let compiled = Tenant::compile(rules, &path, &mut problems);
            tenants.extend(layer::name(name, &path, &mut problems).zip(compiled));
        }
        let builtins = BackendKind::ALL.into_iter().map(|kind| (kind, Builtins::new(kind))).collect();
        match (gateway, default) {
            (Some(gateway), Some(default)) if problems.is_empty() => {
                let guarded = guarded_keys(config);
                let granted = BTreeMap::new();
                Ok(Self { principals, gateway, backends, default, tenants, builtins, guarded, granted })
            }
            _ => Err(problems),
        }
    }

    /// Takes note of what a backend's configuration gives a tenant; without one, tenants that aren't named otherwise.
    /// Lists of the policy still narrow it.
    pub fn grant(&mut self, backend: BackendName, tenant: Option<TenantName>, granted: &Granted) {
        let lists = [
            (NameList::Images, &granted.images),
            (NameList::Namespaces, &granted.namespaces),
            (NameList::ServiceAccounts, &granted.service_accounts),
            (NameList::PullSecrets, &granted.pull_secrets),
        ];
        let grants = lists.map(|(list, texts)| (list, texts.iter().map(|text| Pattern::new(text)).collect()));
        self.granted.entry(backend).or_default().insert(tenant, grants.into_iter().collect());
    }

    /// Decides what becomes of an application that `principal` submits to run at `place`.
    ///
    /// An application that passed passes again unchanged.
    pub fn apply(&self, principal: &Principal, spec: ApplicationSpec, place: Place<'_>) -> Verdict {
        let mut review = Review {
            policy: self,
            principal,
            place,
            layers: self.layers(principal, place.backend),
            spec,
            changes: Vec::new(),
            refusals: Vec::new(),
        };
        review.conf();
        review.named();
        review.sizes();
        Verdict { spec: review.spec, changes: review.changes, refusals: review.refusals }
    }

    /// Whether `principal` may have applications run on a backend.
    pub fn allows_backend(&self, principal: &Principal, backend: &BackendName) -> bool {
        names::layer_without_backend(&self.layers(principal, backend), backend).is_none()
    }

    /// How many applications a tenant may have at a time.
    pub fn quota(&self, tenant: &TenantName) -> Quota {
        self.tenant(tenant).quota
    }

    /// What a tenant may name on a backend without a list that says so.
    fn granted(&self, backend: &BackendName, tenant: &TenantName, list: NameList) -> &[Pattern] {
        let grants = self
            .granted
            .get(backend)
            .and_then(|grants| grants.get(&Some(tenant.clone())).or_else(|| grants.get(&None)));
        grants.and_then(|grants| grants.get(&list)).map_or(&[], Vec::as_slice)
    }

    fn tenant(&self, tenant: &TenantName) -> &Tenant {
        self.tenants.get(tenant).unwrap_or(&self.default)
    }

    /// Every layer that holds, the widest first.
    fn layers(&self, principal: &Principal, backend: &BackendName) -> Vec<&Layer> {
        let tenant = self.tenant(&principal.tenant);
        let groups = tenant.groups.iter().filter(|(group, _)| principal.groups.contains(group));
        let wide = std::iter::once(&self.gateway).chain(self.backends.get(backend));
        wide.chain([&tenant.layer]).chain(groups.map(|(_, layer)| layer)).collect()
    }
}

impl Tenant {
    fn compile(rules: &TenantRules, path: &[Step], problems: &mut Vec<Problem>) -> Option<Self> {
        let layer = layer::compile(&rules.into(), path, problems);
        let mut groups = Vec::new();
        for (name, rules) in &rules.groups {
            let path = [path, &[Step::Key("groups".into()), Step::Key(name.clone())]].concat();
            let compiled = layer::compile(&rules.into(), &path, problems);
            groups.extend(layer::name(name, &path, problems).zip(compiled));
        }
        let QuotaConfig { applications } = rules.quota;
        Some(Self { layer: layer?, groups, quota: Quota { applications } })
    }
}

fn guarded_keys(config: &PolicyConfig) -> PatternSet {
    let layers = config.layers();
    let forbidden = layers.iter().flat_map(|layer| &layer.conf.forbid).map(String::as_str);
    let builtin = TABLE.iter().flat_map(|rule| rule.keys.iter().copied());
    // Tenants often have the same rules.
    PatternSet::new(forbidden.chain(builtin).collect::<BTreeSet<&str>>())
}

/// The decision about one application while it is made.
struct Review<'a> {
    policy: &'a Policy,
    principal: &'a Principal,
    place: Place<'a>,
    /// The widest first.
    layers: Vec<&'a Layer>,
    spec: ApplicationSpec,
    changes: Vec<Change>,
    refusals: Vec<Refusal>,
}

impl Review<'_> {
    fn refuse(&mut self, key: &str, rule: impl Into<String>, message: impl Into<String>) {
        self.refusals.push(Refusal { key: key.to_owned(), rule: rule.into(), message: message.into() });
    }

    fn change(&mut self, key: &str, from: Option<String>, to: &str, rule: String, kind: ChangeKind) {
        self.changes.push(Change { key: key.to_owned(), from, to: to.to_owned(), rule, kind });
    }
}
