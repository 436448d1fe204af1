//! Kinds that an administrator adds to the built-in ones, such as a company's own training operator.
//!
//! Each has one of the known [shapes](crate::kinds::Pods). No condition tells beforehand whether an object asks for
//! accelerators, so the webhook is called for each. [`Kinds`] holds them beside the built-in ones.

use serde::Deserialize;
use serde_json::Value;

use crate::kinds::{BLANK, KINDS, Kind, Makes, PodSpecs, Pods, Purpose, group_and_kind};

/// A kind, as a policy names it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Further {
    /// API group.
    pub group: String,
    /// The version that has this shape.
    pub version: String,
    /// The kind, as in `kind: TrainRun`.
    pub kind: String,
    /// The resource, as in RBAC rules.
    pub plural: String,
    /// Whether the kind exists for training. If not, an object trains only if it has a known launcher or an
    /// annotation of ours.
    pub training: bool,
    /// JSON pointer of the object that holds `template` and `replicas`.
    pub single: Option<String>,
    /// JSON pointer of a map of such objects, by role.
    pub roles: Option<String>,
    /// JSON pointer of a list of such objects.
    pub tasks: Option<String>,
    /// JSON pointer of a Job's spec.
    pub job: Option<String>,
    /// JSON pointer of the field that a queue sets to hold the workload back.
    pub suspend: Option<String>,
    /// JSON pointer of the number that the subresource `scale` changes.
    pub scale: Option<String>,
}

impl Further {
    /// Why the kind cannot be used, if it cannot.
    fn problem(&self) -> Option<String> {
        let label = |text: &str| {
            !text.is_empty()
                && text.len() <= 63
                && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        let group = self.group.contains('.') && self.group.split('.').all(label);
        if !group || !label(&self.version) || !label(&self.plural) || self.kind.is_empty() {
            return Some(
                "group, version, kind and plural must be those of the CustomResourceDefinition".into(),
            );
        }
        if KINDS.iter().any(|known| known.group == self.group && known.kind == self.kind) {
            return Some("this kind is built in".into());
        }
        let shapes = [&self.single, &self.roles, &self.tasks, &self.job];
        let given: Vec<&String> = shapes.into_iter().flatten().collect();
        let mut places = given.iter().copied().chain(&self.suspend).chain(&self.scale);
        match given.as_slice() {
            [_] if places.all(|pointer| pointer.starts_with('/')) => None,
            [_] => Some("each path must be a JSON pointer, like /spec/replicaSpecs".into()),
            _ => Some("give one of single, roles, tasks and job: the path of its pod templates".into()),
        }
    }

    /// The kind. Its strings live as long as the process.
    fn kind(&self) -> Kind {
        let keep = |text: &str| -> &'static str { Box::leak(text.to_owned().into_boxed_str()) };
        let place = |pointer: &Option<String>| pointer.as_deref().map(keep);
        let pods = place(&self.single)
            .map(Pods::Single)
            .or(place(&self.roles).map(Pods::Roles))
            .or(place(&self.tasks).map(Pods::Tasks))
            .or(place(&self.job).map(Pods::Job));
        Kind {
            group: keep(&self.group),
            versions: Box::leak(Box::new([keep(&self.version)])),
            kind: keep(&self.kind),
            plural: keep(&self.plural),
            // The name alone could be that of another kind; with its group it is unique.
            slug: keep(&slug(&self.plural, &self.group)),
            purpose: if self.training { Purpose::Training } else { Purpose::General },
            // Whether its controller tells the pods of each other is unknown.
            connects: true,
            makes: Makes::These(&[("", "Pod"), ("batch", "Job")]),
            pod_specs: PodSpecs::Elsewhere,
            suspend: place(&self.suspend),
            scale: place(&self.scale).or(BLANK.scale),
            pods: pods.unwrap_or(Pods::None),
            ..BLANK
        }
    }
}

fn slug(plural: &str, group: &str) -> String {
    let slug: String = format!("{plural}-{}", group.replace('.', "-")).chars().take(40).collect();
    slug.trim_end_matches('-').to_owned()
}

/// Whether all of these kinds can be used.
///
/// # Errors
/// The first kind that cannot be used, and why.
pub fn check(kinds: &[Further]) -> Result<(), String> {
    for (number, further) in kinds.iter().enumerate() {
        let twice = kinds.iter().take(number).any(|k| (&k.group, &k.kind) == (&further.group, &further.kind));
        let problem = further.problem().or_else(|| twice.then(|| "it is listed twice".to_owned()));
        if let Some(problem) = problem {
            return Err(format!(
                "workloads[{number}] ({}): {problem}",
                crate::printable::printable(&further.kind, 64)
            ));
        }
    }
    Ok(())
}

/// Every kind that is read: [`KINDS`], and those that an administrator adds.
#[derive(Debug, Default)]
pub struct Kinds {
    named: Vec<Further>,
    further: Vec<&'static Kind>,
}

impl Kinds {
    /// The built-in kinds alone.
    pub fn built_in() -> &'static Self {
        static BUILT_IN: Kinds = Kinds { named: Vec::new(), further: Vec::new() };
        &BUILT_IN
    }

    /// The built-in kinds and these. They live as long as the process, so call it once.
    ///
    /// # Errors
    /// The errors of [`check`].
    pub fn with(named: Vec<Further>) -> Result<Self, String> {
        check(&named)?;
        let further = named.iter().map(|further| -> &'static Kind { Box::leak(Box::new(further.kind())) });
        Ok(Self { further: further.collect(), named })
    }

    /// The added kinds, as the policy has them.
    pub fn named(&self) -> &[Further] {
        &self.named
    }

    /// Every kind, the added ones last.
    pub fn all(&self) -> impl Iterator<Item = &'static Kind> {
        KINDS.iter().chain(self.further.iter().copied())
    }

    /// The kind with this group and name, in any version.
    pub fn find(&self, group: &str, kind: &str) -> Option<&'static Kind> {
        self.all().find(|known| (known.group, known.kind) == (group, kind))
    }

    /// The kind of an object, by its `apiVersion` and `kind`.
    pub fn of(&self, object: &Value) -> Option<&'static Kind> {
        let (group, kind) = group_and_kind(object)?;
        self.find(group, kind)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn run() -> Further {
        Further {
            group: "train.example.com".into(),
            version: "v1".into(),
            kind: "TrainRun".into(),
            plural: "trainruns".into(),
            training: true,
            roles: Some("/spec/roles".into()),
            ..Further::default()
        }
    }

    #[test]
    fn an_added_kind_has_one_of_the_known_shapes() {
        assert_eq!(check(&[run()]), Ok(()));
        let kind = run().kind();
        assert_eq!((kind.slug, kind.purpose), ("trainruns-train-example-com", Purpose::Training));
        let object = json!({"spec": {"roles": {"worker": {"replicas": 3, "template": {"spec": {}}}}}});
        let groups = kind.pod_groups(&object);
        assert_eq!((groups.len(), groups[0].replicas), (1, Some(3)));
        assert_eq!(kind.scale, Some("/spec/replicas"));
        let scaled = Further { scale: Some("/spec/roles/worker/replicas".into()), ..run() }.kind();
        assert_eq!(scaled.scale, Some("/spec/roles/worker/replicas"));
        let single = Further { roles: None, single: Some("/spec".into()), ..run() }.kind();
        let object = json!({"spec": {"replicas": 2, "template": {"spec": {}}}});
        assert_eq!(single.pod_groups(&object)[0].path, "spec.template");
    }

    #[test]
    fn a_kind_that_cannot_be_used_is_refused_with_the_reason() {
        for (further, expected) in [
            (Further { group: "example".into(), ..run() }, "must be those of the CustomResourceDefinition"),
            (
                Further { plural: "TrainRuns".into(), ..run() },
                "must be those of the CustomResourceDefinition",
            ),
            (Further { group: "kubeflow.org".into(), kind: "PyTorchJob".into(), ..run() }, "is built in"),
            (Further { roles: None, ..run() }, "give one of single, roles, tasks and job"),
            (Further { tasks: Some("/spec".into()), ..run() }, "give one of single, roles, tasks and job"),
            (Further { roles: Some("spec.roles".into()), ..run() }, "must be a JSON pointer"),
            (Further { scale: Some(".spec.replicas".into()), ..run() }, "must be a JSON pointer"),
        ] {
            let refused = check(&[further]).unwrap_err();
            assert!(refused.contains(expected), "{refused}");
        }
        assert!(check(&[run(), run()]).unwrap_err().contains("listed twice"));
    }
}
