//! The variables of a container's environment, as far as they are known.
//!
//! The order is the kubelet's: first `envFrom`, then `env` in its order. In each value `$(NAME)` is replaced by the
//! variables before it, and `$$` by a dollar. A key of a ConfigMap is known if the ConfigMap is. A key of a Secret,
//! and a value that exists only once a pod is placed, are set and unknown.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::command::Word;
use crate::command::run::Budget;
use crate::command::text::Text;
use crate::job::Gap;
use crate::printable::printable;
use crate::surroundings::Surroundings;

/// The most variables that are read. Their bytes come from the command's budget.
const MOST_VARIABLES: usize = 512;

/// The variables of a container. Values, or parts of them, may be unknown (those of a Secret).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Environment {
    variables: BTreeMap<String, Text>,
    /// Whether other variables may be set: by a ConfigMap that is not known, or a script that is not read.
    pub(crate) may_have_more: bool,
    /// A ConfigMap that sets some variables and is absent.
    pub(crate) absent: Option<String>,
    /// What was not read.
    pub(crate) gap: Option<Gap>,
}

impl Environment {
    /// A variable's value, if all of it is known.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name)?.as_known()
    }

    /// The same, with other variables that are not known, or without.
    pub(crate) fn that_may_have_more(self, may_have_more: bool) -> Self {
        Self { may_have_more, ..self }
    }

    /// Whether other variables may be set than are known.
    pub(crate) fn may_have_more(&self) -> bool {
        self.may_have_more
    }

    /// All variables by name. A value that is not wholly known is None.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.texts().map(|(name, value)| (name, value.as_known()))
    }

    /// All variables by name, as far as their values are known.
    pub(crate) fn texts(&self) -> impl Iterator<Item = (&str, &Text)> {
        self.variables.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// The environment of a container.
    pub(crate) fn of(container: &Value, around: &Surroundings, namespace: &str) -> Self {
        let mut environment = Self::default();
        let mut budget = Budget::new();
        for source in list(container, "envFrom").take(MOST_VARIABLES) {
            let prefix = text(source, "/prefix").unwrap_or_default();
            let Some(name) = text(source, "/configMapRef/name") else { continue };
            let Some(data) = around.config_maps.get(namespace, name) else {
                environment.may_have_more = true;
                environment.note_absent(name, around);
                continue;
            };
            for (key, value) in data {
                environment.set(format!("{prefix}{key}"), Some(value), &mut budget);
            }
        }
        for variable in list(container, "env").take(MOST_VARIABLES) {
            let Some(name) = text(variable, "/name") else { continue };
            let value = match (variable.get("value").and_then(Value::as_str), variable.get("valueFrom")) {
                (Some(value), _) => {
                    let word = environment.expand(value, &mut budget);
                    word.known.then_some(word.text)
                }
                (None, Some(from)) => {
                    let map = text(from, "/configMapKeyRef/name");
                    let key = text(from, "/configMapKeyRef/key");
                    let known = map.and_then(|map| around.config_maps.get(namespace, map)).zip(key);
                    let value = known.and_then(|(map, key)| map.get(key)).map(ToString::to_string);
                    if let (Some(map), None) = (map, &value) {
                        environment.note_absent(map, around);
                    }
                    value
                }
                (None, None) => Some(String::new()),
            };
            environment.set(name.to_owned(), value.as_deref(), &mut budget);
        }
        let more =
            ["env", "envFrom"].iter().any(|list_of| list(container, list_of).nth(MOST_VARIABLES).is_some());
        if more {
            environment.mark_incomplete();
        }
        environment.gap = environment.gap.take().or_else(|| budget.into_gap());
        environment
    }

    fn set(&mut self, name: String, value: Option<&str>, budget: &mut Budget) {
        let cost = name.len() + value.map_or(0, str::len);
        if self.variables.len() < MOST_VARIABLES && budget.bytes(cost) {
            let value = Text::of_variable(&name, value);
            self.variables.insert(name, value);
        } else {
            self.mark_incomplete();
            self.variables.remove(&name);
        }
    }

    /// Marks that variables are left out: from then on an absent variable may be set.
    fn mark_incomplete(&mut self) {
        self.may_have_more = true;
        self.gap.get_or_insert(Gap::Variables);
    }

    /// Notes that a ConfigMap, or a key of it, is absent. Does nothing if no ConfigMaps are read.
    fn note_absent(&mut self, config_map: &str, around: &Surroundings) {
        if around.reads.config_maps {
            self.absent.get_or_insert_with(|| format!("ConfigMap {}", printable(config_map, 80)));
        }
    }

    /// Puts variables into a text, as Kubernetes does in commands, arguments and variables. Other text stays as it
    /// is.
    pub(crate) fn expand(&self, text: &str, budget: &mut Budget) -> Word {
        let mut expanded = String::with_capacity(text.len());
        let (mut known, mut rest, mut closes) = (true, text, true);
        while let Some(at) = rest.find('$') {
            let (before, dollar) = rest.split_at_checked(at).unwrap_or((rest, ""));
            expanded.push_str(before);
            let behind = dollar.get(1..).unwrap_or_default();
            let opened = behind.strip_prefix('(').filter(|_| closes);
            let name = opened.and_then(|behind| behind.split_once(')'));
            // If one opening has no end, no later one has. So the text is gone through once.
            closes &= opened.is_none() || name.is_some();
            rest = match name {
                _ if behind.starts_with('$') => {
                    expanded.push('$');
                    behind.get(1..).unwrap_or_default()
                }
                Some((name, rest)) => {
                    let value = self.variables.get(name).map(Text::as_known);
                    match value {
                        Some(Some(value)) if budget.bytes(value.len()) => expanded.push_str(value),
                        Some(_) => {
                            known = false;
                            expanded.extend(["$(", name, ")"]);
                        }
                        None => expanded.extend(["$(", name, ")"]),
                    }
                    rest
                }
                None => {
                    expanded.push('$');
                    behind
                }
            };
        }
        expanded.push_str(rest);
        Word { text: expanded, known }
    }
}

fn list<'v>(value: &'v Value, key: &str) -> impl Iterator<Item = &'v Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn text<'v>(value: &'v Value, pointer: &str) -> Option<&'v str> {
    value.pointer(pointer).and_then(Value::as_str)
}

impl FromIterator<(String, Option<String>)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, Option<String>)>>(variables: I) -> Self {
        let texts = variables.into_iter().map(|(name, value)| {
            let text = Text::of_variable(&name, value.as_deref());
            (name, text)
        });
        texts.collect()
    }
}

impl FromIterator<(String, Text)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, Text)>>(variables: I) -> Self {
        Self { variables: variables.into_iter().collect(), ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::surroundings::ConfigMaps;

    #[test]
    fn variables_come_from_the_kubelets_sources() {
        let mut maps = ConfigMaps::default();
        let data = |pairs: &[(&str, &str)]| -> BTreeMap<String, Arc<str>> {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), Arc::from(*value))).collect()
        };
        maps.add("ml", "all", data(&[("TP", "8"), ("PP", "2")]));
        let container = json!({
            "envFrom": [{"configMapRef": {"name": "all"}, "prefix": "M_"}],
            "env": [
                {"name": "M_PP", "value": "4"},
                {"name": "BOTH", "value": "$(M_TP)x$(M_PP)"},
                {"name": "ESCAPED", "value": "$$(M_TP) $(NONE) $x"},
                {"name": "KEY", "valueFrom": {"configMapKeyRef": {"name": "all", "key": "TP"}}},
                {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "t"}}},
                {"name": "URL", "value": "https://$(TOKEN)"},
            ],
        });
        let around = Surroundings { config_maps: Arc::new(maps), ..Surroundings::default() };
        let environment = Environment::of(&container, &around, "ml");
        let known = |name| environment.get(name);
        assert_eq!(known("BOTH"), Some("8x4"));
        assert_eq!(known("ESCAPED"), Some("$(M_TP) $(NONE) $x"));
        assert_eq!(known("KEY"), Some("8"));
        assert!(environment.iter().any(|given| given == ("TOKEN", None)));
        assert_eq!(known("URL"), None);
        assert!(!environment.may_have_more);
        let elsewhere = Environment::of(&container, &around, "other");
        assert!(elsewhere.may_have_more && elsewhere.get("KEY").is_none());
    }

    #[test]
    fn a_text_of_many_openings_is_gone_through_once() {
        let text = "$(".repeat(500_000);
        let word = Environment::default().expand(&text, &mut Budget::new());
        assert!(word.known && word.text == text);
    }

    #[test]
    fn a_chain_that_doubles_is_cut() {
        let env: Vec<Value> = (0..60)
            .map(|n| json!({"name": format!("V{n}"), "value": if n == 0 { "x".to_owned() } else { format!("$(V{0})$(V{0})", n - 1) }}))
            .collect();
        let environment = Environment::of(&json!({ "env": env }), &Surroundings::default(), "");
        let bytes: usize = environment.iter().map(|(_, value)| value.map_or(0, str::len)).sum();
        assert!(bytes <= Budget::new().bytes, "{bytes}");
        assert_eq!((environment.get("V59"), &environment.gap), (None, &Some(Gap::Variables)));
    }
}
