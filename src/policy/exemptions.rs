//! Requests that are not judged: those of whole namespaces, of users and groups (such as the service account of a
//! queue or operator), and those for pods of a priority class.
//!
//! An exempt request is admitted, and the audit log notes the exemption. The cluster must control who may use a
//! priority class: a `ResourceQuota` can restrict it to a namespace.
//!
//! A priority class exempts an object only if every template that asks for accelerators names an exempt class.
//! Templates without accelerators or without pods do not matter. If no template visibly asks for accelerators, every
//! template that has pods must name an exempt class.

use serde_json::Value;

use crate::hardware::Catalogue;
use crate::kinds::Kind;
use crate::kinds::requests::requests;
use crate::surroundings::Surroundings;

/// The requests that are not judged.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Exemptions {
    /// Namespaces by name. A star at the end matches any ending.
    pub namespaces: Vec<String>,
    /// User names.
    pub users: Vec<String>,
    /// Groups.
    pub groups: Vec<String>,
    /// Priority classes that every pod template with accelerators must name one of.
    pub priority_classes: Vec<String>,
}

/// The reason of an exemption. Metrics and the audit log use its word, so the list is closed.
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
    /// The word for the audit log.
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

    /// Whether an object's pods are exempt by their priority class.
    pub fn pods(
        &self,
        kind: &Kind,
        object: &Value,
        around: &Surroundings,
        catalogue: &Catalogue,
    ) -> Option<Exempt> {
        if self.priority_classes.is_empty() {
            return None;
        }
        let completed = kind.completed(object, around);
        let (groups, has_more) = completed.pod_groups(kind);
        if has_more {
            // The templates that were not read may name another class.
            return None;
        }
        let asking = requests(&groups, &around.documents, completed.namespace(), catalogue);
        let mut templates: Vec<&Value> = asking.iter().map(|request| request.template).collect();
        if templates.is_empty() {
            let with_pods = groups.iter().filter(|group| group.replicas != Some(0));
            templates = with_pods.map(|group| group.template).collect();
        }
        let is_exempt = |template: &&Value| {
            let class = template.pointer("/spec/priorityClassName").and_then(Value::as_str);
            class.is_some_and(|class| self.priority_classes.iter().any(|exempt| exempt == class))
        };
        (!templates.is_empty() && templates.iter().all(is_exempt)).then_some(Exempt::PriorityClass)
    }

    /// Whether users or groups are exempt. An object alone does not show them.
    pub fn name_people(&self) -> bool {
        !(self.users.is_empty() && self.groups.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds::Kinds;

    #[test]
    fn namespaces_are_exempt_by_name_or_prefix() {
        let exempt = Exemptions { namespaces: vec!["infra".into(), "ci-*".into()], ..Exemptions::default() };
        for (name, expected) in [("infra", true), ("infra2", false), ("ci-7", true), ("ci", false)] {
            assert_eq!(exempt.namespace(name).is_some(), expected, "{name}");
        }
    }

    #[test]
    fn users_are_exempt_by_name_or_group() {
        let exempt =
            Exemptions { users: vec!["ada".into()], groups: vec!["sre".into()], ..Exemptions::default() };
        assert_eq!(exempt.user("ada", &[]), Some(Exempt::User));
        assert_eq!(exempt.user("bob", &["users".into(), "sre".into()]), Some(Exempt::Group));
        assert_eq!(exempt.user("bob", &["users".into()]), None);
    }

    fn exempt_by_class(replicas: &Value) -> Option<Exempt> {
        let exempt = Exemptions { priority_classes: vec!["system".into()], ..Exemptions::default() };
        let job = json!({"metadata": {"name": "a"}, "spec": {"pytorchReplicaSpecs": replicas}});
        let kind = Kinds::built_in().find("kubeflow.org", "PyTorchJob").unwrap();
        exempt.pods(kind, &job, &Surroundings::default(), Catalogue::builtin())
    }

    fn role(replicas: u64, class: Option<&str>, gpus: u64) -> Value {
        let limits = if gpus > 0 { json!({"nvidia.com/gpu": gpus}) } else { json!({"cpu": "1"}) };
        let spec = json!({"priorityClassName": class, "containers": [{"name": "a", "resources": {"limits": limits}}]});
        json!({"replicas": replicas, "template": {"spec": spec}})
    }

    #[test]
    fn pods_are_exempt_if_every_template_with_accelerators_names_an_exempt_class() {
        let (system, research) = (Some("system"), Some("research"));
        let yes = Some(Exempt::PriorityClass);
        for (master, worker, expected) in [
            (role(1, system, 8), role(7, system, 8), yes),
            (role(1, system, 8), role(7, research, 8), None),
            (role(1, system, 8), role(7, None, 8), None),
            // A template without pods does not matter, nor does one without accelerators.
            (role(0, system, 8), role(7, None, 8), None),
            (role(0, system, 0), role(7, None, 8), None),
            (role(1, system, 0), role(7, None, 8), None),
            (role(0, None, 8), role(7, system, 8), yes),
            (role(1, None, 0), role(7, system, 8), yes),
            (role(1, research, 0), role(7, system, 8), yes),
            // Without recognised accelerators, every template with pods matters.
            (role(1, system, 0), role(7, system, 0), yes),
            (role(1, system, 0), role(7, None, 0), None),
            (role(0, system, 0), role(0, system, 0), None),
        ] {
            let replicas = json!({"Master": master, "Worker": worker});
            assert_eq!(exempt_by_class(&replicas), expected, "{replicas}");
        }
        assert_eq!(exempt_by_class(&json!({})), None);
    }

    #[test]
    fn an_object_with_more_templates_than_the_limit_is_not_exempt() {
        let roles = (0..2_000).map(|number| (number.to_string(), role(1, Some("system"), 8)));
        assert_eq!(exempt_by_class(&Value::Object(roles.collect())), None);
    }
}
