//! What becomes of conf keys: forced, forbidden, by default, and the built-in rules.

use model::spark_conf::shown;

use super::layer::{Layer, Names};
use super::{Principals, Review};
use crate::builtin::{Builtin, Guard, NameList};
use crate::pattern::{any_matches, old_names, spellings};
use crate::verdict::{ChangeKind, Refusal, excerpt};

impl<'a> Review<'a> {
    /// Applies every rule about keys.
    pub(super) fn conf(&mut self) {
        let refusals: Vec<Refusal> =
            self.spec.conf.iter().flat_map(|(key, value)| self.objections(key, value)).collect();
        self.refusals.extend(refusals);
        self.force();
        self.fill_in();
    }

    /// Whether what was submitted doesn't count, or is what the configuration itself would set.
    pub(super) fn is_from_configuration(&self, key: &str, value: &str) -> bool {
        self.forced(key).is_some()
            || self.default(key).is_some_and(|(_, default)| default == value)
            || self.bound(key).is_some_and(|bound| bound == value)
    }

    pub(super) fn forced(&self, key: &str) -> Option<(&'a Layer, &'a str)> {
        self.layers.iter().find_map(|layer| Some((*layer, layer.forced.get(key)?.as_str())))
    }

    fn default(&self, key: &str) -> Option<(&'a Layer, &'a str)> {
        self.layers.iter().rev().find_map(|layer| Some((*layer, layer.defaults.get(key)?.as_str())))
    }

    /// Everything that forbids a key with its value.
    fn objections(&self, key: &str, value: &str) -> Vec<Refusal> {
        let spellings = spellings(key);
        // Nothing is about most keys.
        let is_guarded = spellings.iter().any(|spelling| self.policy.guarded.first(spelling).is_some());
        if !is_guarded || self.is_from_configuration(key, value) {
            return Vec::new();
        }
        let forbidden = self.layers.iter().filter_map(|layer| {
            let first = spellings.iter().filter_map(|spelling| layer.forbidden_keys.first(spelling)).min()?;
            let text = &layer.forbidden[first];
            let message = format!("may not be set: `{text}` is forbidden");
            Some(Refusal { key: key.to_owned(), rule: format!("{}.conf.forbid", layer.path), message })
        });
        let builtin = spellings.iter().find_map(|spelling| self.builtin_objection(key, spelling, value));
        forbidden.chain(builtin).collect()
    }

    /// What the built-in rules and lists of names have against a key, of which `spelling` is one.
    fn builtin_objection(&self, key: &str, spelling: &str, value: &str) -> Option<Refusal> {
        let rule = self.policy.builtins.get(&self.place.kind)?.of(spelling)?;
        let holds = self.policy.principals == Principals::Several
            && !self.layers.iter().any(|layer| layer.lifted.contains(&rule.name));
        match rule.guard {
            Guard::Free => None,
            Guard::Refused => holds.then(|| refusal(key, rule, rule.reason)),
            Guard::Passes(passes) => {
                (holds && !passes(spelling, value, self.place.kind)).then(|| refusal(key, rule, rule.reason))
            }
            Guard::Named(list, names) | Guard::NamedIfListed(list, names) => {
                let must_be_listed = holds && matches!(rule.guard, Guard::Named(..));
                self.unlisted(key, rule, list, &names(spelling, value), must_be_listed)
            }
        }
    }

    /// The first of `names` that isn't in every list, or in none although it must be.
    fn unlisted(
        &self,
        key: &str,
        rule: &Builtin,
        list: NameList,
        names: &[&str],
        must_be_listed: bool,
    ) -> Option<Refusal> {
        let mut lists = self.layers.iter().filter_map(|layer| Some((*layer, layer.names.get(&list)?))).peekable();
        if lists.peek().is_none() {
            let granted = || self.policy.granted(self.place.backend, &self.principal.tenant, list);
            let is_choice = must_be_listed && !names.iter().all(|name| any_matches(granted(), name));
            let message = format!("{}; `allow.{}` of the configuration allows no other", rule.reason, list.as_str());
            return is_choice.then(|| refusal(key, rule, &message));
        }
        lists.find_map(|(layer, Names { written, patterns })| {
            let unlisted = names.iter().find(|name| !any_matches(patterns, name))?;
            // The key of a Secret's name tells of a secret, the name is none.
            let message = format!("`{}` is none of those allowed: {written}", excerpt(shown("", unlisted)));
            let rule = format!("{}.allow.{}", layer.path, list.as_str());
            Some(Refusal { key: key.to_owned(), rule, message })
        })
    }

    fn force(&mut self) {
        for (index, layer) in self.layers.clone().into_iter().enumerate() {
            for (key, value) in &layer.forced {
                let is_wider_forced = self.layers[..index].iter().any(|wider| wider.forced.contains_key(key));
                if !is_wider_forced {
                    self.set(key, value, format!("{}.conf.force", layer.path), ChangeKind::Forced);
                }
            }
        }
    }

    fn fill_in(&mut self) {
        for layer in self.layers.clone().into_iter().rev() {
            for (key, value) in &layer.defaults {
                let conf = &self.spec.conf;
                if !conf.contains(key) && !old_names(key).any(|old| conf.contains(old)) {
                    self.set(key, value, format!("{}.conf.default", layer.path), ChangeKind::Defaulted);
                }
            }
        }
    }

    /// Sets a key and notes the change, if it is one.
    pub(super) fn set(&mut self, key: &str, value: &str, rule: String, kind: ChangeKind) {
        let before = self.spec.conf.get(key);
        if before == Some(value) {
            return;
        }
        let from = before.map(|before| shown(key, before).to_owned());
        match self.spec.conf.set(key, value) {
            Ok(()) => self.change(key, from, shown(key, value), rule, kind),
            Err(error) => self.refuse(key, rule, error.to_string()),
        }
    }
}

fn refusal(key: &str, rule: &Builtin, message: &str) -> Refusal {
    Refusal { key: key.to_owned(), rule: format!("built-in.{}", rule.name), message: message.to_owned() }
}
