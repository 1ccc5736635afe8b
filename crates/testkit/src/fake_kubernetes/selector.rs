//! Label and field selectors, as far as clients here use them.

use serde_json::Value;

use super::objects::Refusal;

/// A label selector and a field selector together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Selector {
    terms: Vec<Term>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Term {
    Label { key: String, value: String, equal: bool },
    Has { key: String, has: bool },
    Field { path: Vec<String>, value: String, equal: bool },
}

impl Selector {
    /// Parses `a=b,c!=d,e,!f` and `metadata.name=x`.
    pub(super) fn parse(labels: &str, fields: &str) -> Result<Self, Refusal> {
        let mut terms = Vec::new();
        for term in labels.split(',').filter(|term| !term.is_empty()) {
            terms.push(match comparison(term) {
                Some((key, value, equal)) => Term::Label { key: key.to_owned(), value: value.to_owned(), equal },
                None if term.contains(['(', ' ']) => {
                    let message = format!("this fake knows no label selector like `{term}`");
                    return Err(Refusal::new(400, "BadRequest", message));
                }
                None => {
                    let key = term.strip_prefix('!').unwrap_or(term).to_owned();
                    Term::Has { key, has: !term.starts_with('!') }
                }
            });
        }
        for term in fields.split(',').filter(|term| !term.is_empty()) {
            let Some((path, value, equal)) = comparison(term) else {
                return Err(Refusal::new(400, "BadRequest", format!("invalid field selector `{term}`")));
            };
            let path = path.split('.').map(str::to_owned).collect();
            terms.push(Term::Field { path, value: value.to_owned(), equal });
        }
        Ok(Self { terms })
    }

    pub(super) fn selects(&self, object: &Value) -> bool {
        let labels = &object["metadata"]["labels"];
        self.terms.iter().all(|term| match term {
            Term::Label { key, value, equal } => (labels[key.as_str()].as_str() == Some(value)) == *equal,
            Term::Has { key, has } => labels[key.as_str()].is_string() == *has,
            Term::Field { path, value, equal } => {
                let found = path.iter().fold(object, |object, name| &object[name.as_str()]);
                (found.as_str().unwrap_or_default() == value) == *equal
            }
        })
    }
}

fn comparison(term: &str) -> Option<(&str, &str, bool)> {
    let (key, value, equal) = if let Some((key, value)) = term.split_once("!=") {
        (key, value, false)
    } else {
        let (key, value) = term.split_once("==").or_else(|| term.split_once('='))?;
        (key, value, true)
    };
    Some((key.trim(), value.trim(), equal))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use serde_json::json;

    #[test]
    fn selectors_select() {
        let pod = json!({ "metadata": { "name": "a", "labels": { "app": "x", "role": "driver" } } });
        for (labels, fields, selects) in [
            ("", "", true),
            ("app=x", "", true),
            ("app==x,role!=executor", "", true),
            ("app=y", "", false),
            ("app,!tier", "", true),
            ("tier", "", false),
            ("app=x", "metadata.name=b", false),
            ("", "metadata.name!=b,spec.nodeName=", true),
        ] {
            assert_eq!(Selector::parse(labels, fields).unwrap().selects(&pod), selects, "{labels} {fields}");
        }
        assert!(Selector::parse("app in (x)", "").is_err());
    }
}
