//! ray.io/v1 RayJob: a cluster, and the `entrypoint` that runs on it.
//!
//! With a `clusterSelector` the cluster is another object, and its pods are unknown. The entrypoint runs on the head,
//! with the variables `env_vars` of `runtimeEnvYAML`.

use serde_json::Value;

use crate::job::Gap;
use crate::kinds::raycluster::of_cluster;
use crate::kinds::{BLANK, Entrypoint, Kind, Makes, PodGroup, Pods, Purpose};

/// The most bytes of the runtime environment that are read.
const MAX_BYTES: usize = 64 << 10;

pub(crate) const KIND: Kind = Kind {
    group: "ray.io",
    kind: "RayJob",
    plural: "rayjobs",
    slug: "rayjob",
    purpose: Purpose::Training,
    commands: true,
    makes: Makes::These(&[("ray.io", "RayCluster"), ("batch", "Job"), ("", "Pod")]),
    suspend: Some("/spec/suspend"),
    active_deadline_seconds: Some("/spec/activeDeadlineSeconds"),
    pods: Pods::Own(pod_groups),
    lists: &["/spec/rayClusterSpec/workerGroupSpecs"],
    entrypoint: Some(entrypoint),
    ..BLANK
};

fn pod_groups(object: &Value) -> Vec<PodGroup<'_>> {
    let cluster = object.pointer("/spec/rayClusterSpec").filter(|spec| spec.is_object());
    cluster.map(|spec| of_cluster(spec, "spec.rayClusterSpec")).unwrap_or_default()
}

fn entrypoint(object: &Value) -> Option<Entrypoint<'_>> {
    let script = object.pointer("/spec/entrypoint")?.as_str().filter(|script| !script.trim().is_empty())?;
    let environment = object.pointer("/spec/runtimeEnvYAML").and_then(Value::as_str).map(variables);
    let (environment, gap) = match environment {
        Some(None) => (Vec::new(), Some(Gap::RuntimeEnvironment)),
        environment => (environment.flatten().unwrap_or_default(), None),
    };
    Some(Entrypoint { script, environment, path: "spec.entrypoint", gap })
}

/// The variables of a runtime environment. None if it cannot be read.
fn variables(text: &str) -> Option<Vec<(String, String)>> {
    let read = || serde_saphyr::from_str::<Value>(text).ok();
    let parsed = (text.len() <= MAX_BYTES).then(read).flatten()?;
    let variables = parsed.get("env_vars").and_then(Value::as_object);
    let pairs = variables.into_iter().flatten().filter_map(|(name, value)| {
        let value = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(value) => value.to_string(),
            _ => return None,
        };
        Some((name.clone(), value))
    });
    Some(pairs.collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_entrypoint_has_the_environment_of_its_runtime() {
        let object = json!({"spec": {
            "entrypoint": "torchrun train.py",
            "runtimeEnvYAML": "pip: [x]\nenv_vars:\n  MODEL: llama\n  STEPS: 10\n",
        }});
        let entrypoint = entrypoint(&object).unwrap();
        assert_eq!(entrypoint.script, "torchrun train.py");
        let expected = [("MODEL", "llama"), ("STEPS", "10")];
        assert_eq!(entrypoint.environment, expected.map(|(k, v)| (k.to_owned(), v.to_owned())));
        assert_eq!(variables("env_vars: ["), None);
        assert_eq!(variables("pip: [x]"), Some(Vec::new()));
    }
}
