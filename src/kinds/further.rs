//! Kinds of an administrator's own, beside those that are known: a company's training operator, for one.
//!
//! Their shape is one of the known [shapes](crate::kinds::Pods). Whether they ask for accelerators is not proved beforehand: the
//! webhook is asked about each. [`Kinds`] holds them beside the known ones.

use serde::Deserialize;
use serde_json::Value;

use crate::kinds::{BLANK, KINDS, Kind, Makes, PodSpecs, Pods, Purpose, group_and_kind};

/// A kind, as a policy names it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Further {
    /// API group.
    pub group: String,
    /// The version whose shape this is.
    pub version: String,
    /// The kind, as in `kind: TrainRun`.
    pub kind: String,
    /// The resource, as in RBAC rules.
    pub plural: String,
    /// Whether the kind exists for training; otherwise a recognised launcher or an annotation has to say so.
    pub training: bool,
    /// JSON pointer of the object that holds `template` and `replicas`.
    pub single: Option<String>,
    /// JSON pointer of a map of such objects, by role.
    pub roles: Option<String>,
    /// JSON pointer of a list of such objects.
    pub tasks: Option<String>,
    /// JSON pointer of a Job's spec.
    pub job: Option<String>,
    /// JSON pointer of the field that queues flip to hold it back.
    pub suspend: Option<String>,
    /// JSON pointer of the number that the subresource `scale` changes.
    pub scale: Option<String>,
}

impl Further {
    /// What is wrong with it, if anything is.
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
            return Some("this kind is known already".into());
        }
        let shapes = [&self.single, &self.roles, &self.tasks, &self.job];
        let given: Vec<&String> = shapes.into_iter().flatten().collect();
        let mut places = given.iter().copied().chain(&self.suspend).chain(&self.scale);
        match given.as_slice() {
            [_] if places.all(|pointer| pointer.starts_with('/')) => None,
            [_] => Some("a place must be a JSON pointer, like /spec/replicaSpecs".into()),
            _ => Some("give one of single, roles, tasks and job: where its pod templates are".into()),
        }
    }

    /// The kind. Its words live as long as the process.
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
            // Of names of others it could be one; with its group it is none.
            slug: keep(&slug(&self.plural, &self.group)),
            purpose: if self.training { Purpose::Training } else { Purpose::General },
            // What its controller tells the pods is not known.
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

/// Whether these kinds can be taken in.
///
/// # Errors
/// Which of them cannot, and why.
pub fn check(kinds: &[Further]) -> Result<(), String> {
    for (number, further) in kinds.iter().enumerate() {
        let twice = kinds.iter().take(number).any(|k| (&k.group, &k.kind) == (&further.group, &further.kind));
        let problem = further.problem().or_else(|| twice.then(|| "it is there twice".to_owned()));
        if let Some(problem) = problem {
            return Err(format!(
                "workloads[{number}] ({}): {problem}",
                crate::printable::printable(&further.kind, 64)
            ));
        }
    }
    Ok(())
}

/// Every kind that is understood: [`KINDS`], and an administrator's own.
#[derive(Debug, Default)]
pub struct Kinds {
    named: Vec<Further>,
    further: Vec<&'static Kind>,
}

impl Kinds {
    /// Those that are built in, and no other.
    pub fn built_in() -> &'static Self {
        static BUILT_IN: Kinds = Kinds { named: Vec::new(), further: Vec::new() };
        &BUILT_IN
    }

    /// With these besides. They live as long as the process: to be made once.
    ///
    /// # Errors
    /// As [`check`] gives them.
    pub fn with(named: Vec<Further>) -> Result<Self, String> {
        check(&named)?;
        let further = named.iter().map(|further| -> &'static Kind { Box::leak(Box::new(further.kind())) });
        Ok(Self { further: further.collect(), named })
    }

    /// Those that are an administrator's own, as the policy names them.
    pub fn named(&self) -> &[Further] {
        &self.named
    }

    /// Every kind, those of an administrator's own last.
    pub fn all(&self) -> impl Iterator<Item = &'static Kind> {
        KINDS.iter().chain(self.further.iter().copied())
    }

    /// The kind of an object, by group and kind; any of its versions.
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
    fn a_kind_of_ones_own_has_one_of_the_known_shapes() {
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
    fn what_is_no_kind_is_refused_with_what_it_must_be() {
        for (further, said) in [
            (Further { group: "example".into(), ..run() }, "must be those of the CustomResourceDefinition"),
            (
                Further { plural: "TrainRuns".into(), ..run() },
                "must be those of the CustomResourceDefinition",
            ),
            (
                Further { group: "kubeflow.org".into(), kind: "PyTorchJob".into(), ..run() },
                "is known already",
            ),
            (Further { roles: None, ..run() }, "give one of single, roles, tasks and job"),
            (Further { tasks: Some("/spec".into()), ..run() }, "give one of single, roles, tasks and job"),
            (Further { roles: Some("spec.roles".into()), ..run() }, "must be a JSON pointer"),
            (Further { scale: Some(".spec.replicas".into()), ..run() }, "must be a JSON pointer"),
        ] {
            let refused = check(&[further]).unwrap_err();
            assert!(refused.contains(said), "{refused}");
        }
        assert!(check(&[run(), run()]).unwrap_err().contains("there twice"));
    }
}
