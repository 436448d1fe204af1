//! The nodes on which a pod may be placed, as far as node selectors and required affinity show its accelerator.
//!
//! A node selector asks for labels. A required node affinity is a list of terms, and one term must hold. A term is a
//! list of expressions, and all must hold. Preferences decide nothing. Only labels are read, no other fields.

use serde_json::Value;

use crate::surroundings::{Labels, Node};

/// The most terms and values that are read.
const MAX_TERMS: usize = 32;
const MAX_VALUES: usize = 32;

/// The labels that a pod's node must have, with one value each.
pub(super) fn selector<'a>(template: &'a Value, key: &str) -> Option<&'a str> {
    template.get("spec")?.get("nodeSelector")?.get(key)?.as_str()
}

/// All labels that a pod's node must have, with one value each.
pub(super) fn selectors(template: &Value) -> impl Iterator<Item = (&str, &str)> {
    let selected = template.pointer("/spec/nodeSelector").and_then(Value::as_object).into_iter().flatten();
    selected.take(MAX_TERMS).filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
}

/// The terms of the required affinity. One of them must hold.
pub(super) fn terms(template: &Value) -> impl Iterator<Item = &Value> {
    all_terms(template).take(MAX_TERMS)
}

fn all_terms(template: &Value) -> impl Iterator<Item = &Value> {
    template
        .pointer(
            "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms",
        )
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

/// Whether the required affinity is longer than we read. Then the unread part may allow more.
pub(super) fn is_long(template: &Value) -> bool {
    all_terms(template).nth(MAX_TERMS).is_some() || terms(template).flat_map(expressions).any(has_more_values)
}

fn has_more_values(expression: &Value) -> bool {
    expression.get("values").and_then(Value::as_array).is_some_and(|values| values.len() > MAX_VALUES)
}

fn expressions(term: &Value) -> impl Iterator<Item = &Value> {
    term.get("matchExpressions").and_then(Value::as_array).into_iter().flatten().take(MAX_TERMS)
}

fn values(expression: &Value) -> impl Iterator<Item = &str> {
    let values = expression.get("values").and_then(Value::as_array).into_iter().flatten();
    values.filter_map(Value::as_str).take(MAX_VALUES)
}

fn text<'a>(expression: &'a Value, key: &str) -> Option<&'a str> {
    expression.get(key).and_then(Value::as_str)
}

/// The labels that a term allows, one after the other: each key with one value of `In`.
pub(super) fn allowed(term: &Value) -> impl Iterator<Item = (&str, &str)> {
    expressions(term)
        .filter(|expression| text(expression, "operator") == Some("In"))
        .filter_map(|expression| Some((text(expression, "key")?, expression)))
        .flat_map(|(key, expression)| values(expression).map(move |value| (key, value)))
}

/// Whether a pod of this template may be placed on a node, judged by labels only.
pub(super) fn admits(template: &Value, node: &Node) -> bool {
    admits_labels(template, &node.labels, |_| true)
}

/// Whether a pod of this template may be placed on a node with these labels, as far as labels with some keys decide.
pub(crate) fn admits_labels(template: &Value, labels: &Labels, decides: impl Fn(&str) -> bool) -> bool {
    let selected = template.pointer("/spec/nodeSelector").and_then(Value::as_object).into_iter().flatten();
    let mut selected = selected.into_iter().filter(|(key, _)| decides(key));
    let decisive = |expression: &&Value| text(expression, "key").is_none_or(&decides);
    // A term of which no expression decides holds everywhere.
    let term_holds = |term| expressions(term).filter(decisive).all(|expression| holds(expression, labels));
    let mut terms = terms(template).peekable();
    let some_term_holds =
        terms.peek().is_none() || all_terms(template).nth(MAX_TERMS).is_some() || terms.any(term_holds);
    selected.all(|(key, value)| labels.get(key) == value.as_str()) && some_term_holds
}

fn holds(expression: &Value, labels: &Labels) -> bool {
    let label = text(expression, "key").and_then(|key| labels.get(key));
    let is_listed = |label: &str| values(expression).any(|value| value == label);
    let number = |text: &str| text.parse::<i64>().ok();
    let bound = values(expression).next().and_then(number);
    match text(expression, "operator") {
        Some("In" | "NotIn") if has_more_values(expression) => true,
        Some("In") => label.is_some_and(is_listed),
        Some("NotIn") => !label.is_some_and(is_listed),
        Some("Exists") => label.is_some(),
        Some("DoesNotExist") => label.is_none(),
        Some("Gt") => label.and_then(number).zip(bound).is_some_and(|(label, bound)| label > bound),
        Some("Lt") => label.and_then(number).zip(bound).is_some_and(|(label, bound)| label < bound),
        // Values that we do not read exclude no node. An operator of a newer cluster excludes none either.
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node(labels: &[(&str, &str)]) -> Node {
        Node { labels: labels.iter().copied().collect(), ..Node::default() }
    }

    #[test]
    fn a_node_must_have_what_selector_and_one_term_ask_for() {
        let template = json!({"spec": {
            "nodeSelector": {"zone": "a"},
            "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                {"matchExpressions": [{"key": "gpu", "operator": "In", "values": ["h100", "h200"]},
                                      {"key": "broken", "operator": "DoesNotExist"}]},
                {"matchExpressions": [{"key": "cores", "operator": "Gt", "values": ["64"]}]},
            ]}}},
        }});
        for (labels, expected) in [
            (vec![("zone", "a"), ("gpu", "h200")], true),
            (vec![("zone", "a"), ("gpu", "h200"), ("broken", "")], false),
            (vec![("zone", "a"), ("cores", "96")], true),
            (vec![("zone", "a"), ("cores", "64")], false),
            (vec![("gpu", "h100")], false),
            (vec![("zone", "a"), ("gpu", "a100")], false),
        ] {
            assert_eq!(admits(&template, &node(&labels)), expected, "{labels:?}");
        }
        assert!(admits(&json!({}), &node(&[])));
    }
}
