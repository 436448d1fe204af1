//! The shapes in which kinds keep their pod templates and the numbers of their pods.

use serde_json::Value;

/// The most groups that are read of one object: fewer than the items that a list keeps. The reader notes if there are
/// more.
pub(crate) const MAX_GROUPS: usize = 1_000;

/// Pods made from one template.
#[derive(Clone, Debug)]
pub struct PodGroup<'a> {
    /// The group's role, as the kind names it (`Master`, `Worker`). Empty if there is only one group.
    pub role: &'a str,
    /// The pod template: `metadata` and `spec`.
    pub template: &'a Value,
    /// The template's path in the object, for provenance: `spec.template`.
    pub path: String,
    /// The number of pods. None if the object is one of several and does not tell how many.
    pub replicas: Option<u64>,
}

/// The paths of a kind's pod templates and of their numbers of pods.
#[derive(Clone, Copy, Debug)]
pub enum Pods {
    /// No pods.
    None,
    /// In an object at this JSON pointer: `replicas` and `template`.
    Single(&'static str),
    /// In a map at this JSON pointer: by role, `replicas` and `template`.
    Roles(&'static str),
    /// In a list at this JSON pointer: `name`, `replicas` and `template` each.
    Tasks(&'static str),
    /// In a Job's spec at this JSON pointer: `template`, and `parallelism` pods at once, but no more than
    /// `completions`.
    Job(&'static str),
    /// In a shape of its own.
    Own(for<'a> fn(&'a Value) -> Vec<PodGroup<'a>>),
}

impl Pods {
    /// JSON pointer of the list, or map, of groups.
    pub(crate) fn list(&self) -> Option<&'static str> {
        match self {
            Self::Roles(pointer) | Self::Tasks(pointer) => Some(pointer),
            Self::None | Self::Single(_) | Self::Job(_) | Self::Own(_) => None,
        }
    }

    /// The groups of pods that the object asks for.
    pub(crate) fn groups<'a>(&self, object: &'a Value) -> Vec<PodGroup<'a>> {
        match self {
            Self::None => Vec::new(),
            Self::Single(pointer) => {
                let group = object.pointer(pointer).and_then(|spec| task("", spec, &dotted(pointer)));
                group.into_iter().collect()
            }
            Self::Roles(pointer) => {
                let roles = object.pointer(pointer).and_then(Value::as_object).into_iter().flatten();
                let groups =
                    roles.filter_map(|(role, spec)| task(role, spec, &format!("{}.{role}", dotted(pointer))));
                groups.take(MAX_GROUPS).collect()
            }
            Self::Tasks(pointer) => {
                let tasks = object.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
                let named = tasks.enumerate().filter_map(|(number, spec)| {
                    let name = spec.get("name").and_then(Value::as_str).unwrap_or_default();
                    task(name, spec, &format!("{}[{number}]", dotted(pointer)))
                });
                named.take(MAX_GROUPS).collect()
            }
            Self::Job(pointer) => {
                let job = object.pointer(pointer).and_then(|spec| of_job("", spec, &dotted(pointer), 1));
                job.into_iter().collect()
            }
            Self::Own(groups) => groups(object),
        }
    }
}

fn task<'a>(role: &'a str, spec: &'a Value, path: &str) -> Option<PodGroup<'a>> {
    let replicas = Some(replicas(spec.get("replicas")));
    Some(PodGroup { role, template: spec.get("template")?, path: format!("{path}.template"), replicas })
}

/// The pods of this many Jobs with one spec.
pub(crate) fn of_job<'a>(role: &'a str, spec: &'a Value, path: &str, jobs: u64) -> Option<PodGroup<'a>> {
    let parallelism = replicas(spec.get("parallelism"));
    let pods = match spec.get("completions").and_then(Value::as_u64) {
        Some(completions) => parallelism.min(completions),
        None => parallelism,
    };
    let replicas = Some(pods.saturating_mul(jobs));
    Some(PodGroup { role, template: spec.get("template")?, path: format!("{path}.template"), replicas })
}

/// A count of replicas or of completions. An absent one counts as one, a negative one as zero.
pub(crate) fn replicas(value: Option<&Value>) -> u64 {
    match value.and_then(Value::as_i64) {
        None => 1,
        Some(count) => u64::try_from(count).unwrap_or(0),
    }
}

/// A JSON pointer as people write a path: `spec.tasks`.
pub(crate) fn dotted(pointer: &str) -> String {
    pointer.trim_start_matches('/').replace('/', ".")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn groups(pods: Pods, object: &Value) -> Vec<(String, String, Option<u64>)> {
        pods.groups(object).into_iter().map(|g| (g.role.to_owned(), g.path, g.replicas)).collect()
    }

    fn group(role: &str, path: &str, replicas: u64) -> (String, String, Option<u64>) {
        (role.to_owned(), path.to_owned(), Some(replicas))
    }

    #[test]
    fn roles_and_tasks_have_their_own_numbers() {
        let object = json!({"spec": {
            "roles": {"Launcher": {"template": {}}, "Worker": {"replicas": 4, "template": {}}, "Odd": {"replicas": 2}},
            "tasks": [{"name": "a", "replicas": 3, "template": {}}, {"replicas": -1, "template": {}}, 7],
        }});
        assert_eq!(
            groups(Pods::Roles("/spec/roles"), &object),
            [
                group("Launcher", "spec.roles.Launcher.template", 1),
                group("Worker", "spec.roles.Worker.template", 4)
            ]
        );
        assert_eq!(
            groups(Pods::Tasks("/spec/tasks"), &object),
            [group("a", "spec.tasks[0].template", 3), group("", "spec.tasks[1].template", 0)]
        );
        assert!(groups(Pods::Tasks("/spec/roles"), &object).is_empty());
    }

    #[test]
    fn a_job_runs_no_more_pods_than_it_has_to_complete() {
        let job = |spec: Value| groups(Pods::Job("/spec"), &json!({"spec": spec})).first().and_then(|g| g.2);
        assert_eq!(job(json!({"template": {}})), Some(1));
        assert_eq!(job(json!({"template": {}, "parallelism": 8, "completions": 2})), Some(2));
        assert_eq!(job(json!({"template": {}, "parallelism": 8})), Some(8));
        assert_eq!(job(json!({"parallelism": 8})), None);
    }
}
