//! Who is not judged at all: whole namespaces, users and groups (a queue's or an operator's service account), and
//! pods of a priority class.
//!
//! An exempt request is admitted and noted in the audit log with what exempts it. Who may use a priority class is for
//! the cluster to say: a `ResourceQuota` can keep it to a namespace.

use serde_json::Value;

use crate::workload::kinds::PodGroup;

/// Who is not judged.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Exemptions {
    /// Namespaces, by name; a star at the end stands for any end.
    pub namespaces: Vec<String>,
    /// User names.
    pub users: Vec<String>,
    /// Groups.
    pub groups: Vec<String>,
    /// Priority classes: where every pod template that names one names one of these.
    pub priority_classes: Vec<String>,
}

/// What exempts a request. Closed: metrics and the audit log use its word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exempt {
    /// Its namespace.
    Namespace,
    /// Its user.
    User,
    /// One of its user's groups.
    Group,
    /// The priority class of its pods.
    PriorityClass,
}

impl Exempt {
    /// For the audit log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Namespace => "namespace",
            Self::User => "user",
            Self::Group => "group",
            Self::PriorityClass => "priority-class",
        }
    }
}

impl Exemptions {
    /// Whether a namespace is exempt.
    pub fn namespace(&self, name: &str) -> Option<Exempt> {
        let matches = |pattern: &String| match pattern.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => name == pattern,
        };
        self.namespaces.iter().any(matches).then_some(Exempt::Namespace)
    }

    /// Whether a user is exempt.
    pub fn user(&self, name: &str, groups: &[String]) -> Option<Exempt> {
        if self.users.iter().any(|user| user == name) {
            return Some(Exempt::User);
        }
        groups.iter().any(|group| self.groups.contains(group)).then_some(Exempt::Group)
    }

    /// Whether pods are exempt by their priority class.
    pub fn pods(&self, groups: &[PodGroup<'_>]) -> Option<Exempt> {
        if self.priority_classes.is_empty() {
            return None;
        }
        let class = |group: &PodGroup<'_>| {
            group.template.pointer("/spec/priorityClassName").and_then(Value::as_str).map(str::to_owned)
        };
        let mut classes = groups.iter().filter_map(class).filter(|class| !class.is_empty()).peekable();
        (classes.peek().is_some() && classes.all(|class| self.priority_classes.contains(&class)))
            .then_some(Exempt::PriorityClass)
    }

    /// Whether some are exempt of whom nothing can be told from an object.
    pub fn name_people(&self) -> bool {
        !(self.users.is_empty() && self.groups.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn namespaces_are_exempt_by_name_or_by_their_beginning() {
        let exempt = Exemptions { namespaces: vec!["infra".into(), "ci-*".into()], ..Exemptions::default() };
        for (name, expected) in [("infra", true), ("infra2", false), ("ci-7", true), ("ci", false)] {
            assert_eq!(exempt.namespace(name).is_some(), expected, "{name}");
        }
    }

    #[test]
    fn people_are_exempt_by_name_or_by_group() {
        let exempt =
            Exemptions { users: vec!["ada".into()], groups: vec!["sre".into()], ..Exemptions::default() };
        assert_eq!(exempt.user("ada", &[]), Some(Exempt::User));
        assert_eq!(exempt.user("bob", &["users".into(), "sre".into()]), Some(Exempt::Group));
        assert_eq!(exempt.user("bob", &["users".into()]), None);
    }

    #[test]
    fn pods_are_exempt_if_no_template_names_another_class() {
        let exempt = Exemptions { priority_classes: vec!["system".into()], ..Exemptions::default() };
        let named = |class: &str| json!({"spec": {"priorityClassName": class}});
        let (system, other, none) = (named("system"), named("research"), json!({"spec": {}}));
        let groups = |templates: &[&Value]| {
            let exempt = &exempt;
            let group = |template| PodGroup { role: "", template, path: String::new(), replicas: Some(1) };
            exempt.pods(&templates.iter().copied().map(group).collect::<Vec<_>>())
        };
        assert_eq!(groups(&[&system, &none]), Some(Exempt::PriorityClass));
        assert_eq!(groups(&[&system, &other]), None);
        assert_eq!(groups(&[&none]), None);
    }
}
