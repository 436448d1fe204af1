//! The fingerprint of a job: a hash of what decides its memory. Two workloads with one fingerprint are runs of one job.
//!
//! ```text
//! fingerprint = first 128 bits of SHA-256 over, for each group of pods:
//!               of each container: image, folder, words of command and arguments, variables, mounts
//!               volumes, texts of the ConfigMaps, and resource × number × pods if it asks for accelerators
//!               and, for the whole job: our annotations, and the accelerator
//! ```
//!
//! | part | counts | does not count |
//! | --- | --- | --- |
//! | image | its digest, else its whole name | the registry of an image with a digest |
//! | words | all others, with their folders | options and values about the names, places, seeds, addresses and logs of a run, and about learning rates ([`words`]) |
//! | variables | those with a literal value, by the same rule | those whose value comes from elsewhere: a Secret, a field |
//! | volumes | what they mount, and where: a claim may hold the model | empty folders, Secrets, tokens |
//! | ConfigMaps | the texts | a job whose ConfigMaps are not read has no fingerprint |
//!
//! A run is repeated with another seed, output folder and name, and must be known again. A learning rate or a number of
//! steps changes no memory. Any other change is another job. Pods without accelerators count too: the launcher of an MPIJob
//! has the command.
//!
//! A hash tells nothing about what was hashed: a history may be read by people who may not read the workload.

mod words;

use std::collections::BTreeMap;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::hardware::Catalogue;
use crate::job::keys;
use crate::kinds::requests::requests;
use crate::kinds::{Kind, PodGroup, config_maps};
use crate::surroundings::Surroundings;

/// The most words and variables that are hashed of a container. A job with more has no fingerprint.
const MOST_WORDS: usize = 20_000;

/// Volumes that hold no model and no settings that may be read. The apiserver gives each pod a projected one, of a random name.
const UNDECIDING_VOLUMES: &[&str] = &["emptyDir", "secret", "projected", "downwardAPI"];

/// The fingerprint of a workload on an accelerator: thirty-two hexadecimal digits. None if it asks for no accelerators, if it
/// is too long, or if a ConfigMap of it is not read: it may have changed since.
pub fn fingerprint(
    kind: &Kind,
    object: &Value,
    accelerator: Option<&str>,
    around: &Surroundings,
    catalogue: &Catalogue,
) -> Option<String> {
    let completed = kind.completed(object, around);
    let (object, namespace) = (&completed.object, completed.namespace());
    let (groups, has_more) = completed.pod_groups(kind);
    let requests = requests(&groups, &around.documents, namespace, catalogue);
    if has_more || requests.is_empty() {
        return None;
    }
    let mut parts = Parts { words: Vec::new() };
    parts.add("accelerator", accelerator.unwrap_or_default());
    if let Some(entrypoint) = kind.entrypoint.and_then(|entrypoint| entrypoint(object)) {
        parts.all("word", &words::of_command([entrypoint.script]));
        let variables = entrypoint.environment.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        parts.all("variable", &words::of_variables(variables));
    }
    parts.annotations(object);
    for request in &requests {
        let pods = request.pods.map_or_else(|| "?".to_owned(), |pods| pods.to_string());
        parts.add("request", &format!("{} × {} × {pods}", request.resource, request.per_pod));
    }
    for group in groups.iter().filter(|group| group.replicas != Some(0)) {
        parts.group(group, namespace, around)?;
    }
    (parts.words.len() <= MOST_WORDS).then(|| parts.fingerprint())
}

/// The parts of a fingerprint, in order.
struct Parts {
    words: Vec<String>,
}

impl Parts {
    fn add(&mut self, what: &str, word: &str) {
        self.words.push(format!("{what}={word}"));
    }

    fn all(&mut self, what: &str, words: &[String]) {
        for word in words {
            self.add(what, word);
        }
    }

    /// None if a ConfigMap is not read.
    fn group(&mut self, group: &PodGroup<'_>, namespace: &str, around: &Surroundings) -> Option<()> {
        self.add("group", group.role);
        self.annotations(group.template);
        let list =
            |pointer: &str| group.template.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
        let decides = |volume: &&Value| !UNDECIDING_VOLUMES.iter().any(|source| volume.get(source).is_some());
        let volumes: Vec<&Value> = list("/spec/volumes").filter(decides).collect();
        for volume in &volumes {
            self.add("volume", &sorted(volume));
        }
        for container in list("/spec/initContainers").chain(list("/spec/containers")) {
            self.container(container, &volumes);
        }
        for name in config_maps::of_template(group.template) {
            for (key, text) in around.config_maps.get(namespace, name)? {
                self.add(key, text);
            }
        }
        Some(())
    }

    fn annotations(&mut self, object: &Value) {
        let annotations =
            object.pointer("/metadata/annotations").and_then(Value::as_object).into_iter().flatten();
        let counted =
            annotations.filter(|(key, _)| key.strip_prefix(keys::PREFIX).is_some_and(keys::decides_memory));
        let counted: BTreeMap<_, _> =
            counted.map(|(key, value)| (key, value.as_str().unwrap_or_default())).collect();
        for (key, value) in counted {
            self.add(key, value);
        }
    }

    fn container(&mut self, container: &Value, volumes: &[&Value]) {
        let list = |field: &str| container.get(field).and_then(Value::as_array).into_iter().flatten();
        let text = |field: &str| container.get(field).and_then(Value::as_str).unwrap_or_default();
        self.add("image", image(text("image")));
        self.add("folder", text("workingDir"));
        self.all("word", &words::of_command(list("command").chain(list("args")).filter_map(Value::as_str)));
        self.all("variable", &words::of_variables(list("env").filter_map(literal)));
        let is_mounted =
            |mount: &&Value| volumes.iter().any(|volume| volume.get("name") == mount.get("name"));
        list("volumeMounts").filter(is_mounted).for_each(|mount| self.add("mount", &sorted(mount)));
    }

    fn fingerprint(self) -> String {
        let mut hasher = Sha256::new();
        for word in &self.words {
            hasher.update(word.len().to_le_bytes());
            hasher.update(word);
        }
        let digest: [u8; 32] = hasher.finalize().into();
        let half = digest.first_chunk().map_or(0, |half| u128::from_be_bytes(*half));
        format!("{half:032x}")
    }
}

/// A value as text. The order of keys is no part of it.
fn sorted(value: &Value) -> String {
    let mut value = value.clone();
    value.sort_all_objects();
    value.to_string()
}

/// The name and the value of a variable, if it has a literal one.
fn literal(variable: &Value) -> Option<(&str, &str)> {
    Some((variable.get("name")?.as_str()?, variable.get("value")?.as_str()?))
}

/// An image by its digest, else by its name.
fn image(name: &str) -> &str {
    name.rsplit_once('@').map_or(name, |(_, digest)| digest)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds::Kinds;

    fn job(script: &str) -> Value {
        json!({
            "apiVersion": "batch/v1", "kind": "Job",
            "metadata": {"name": "a", "namespace": "team"},
            "spec": {"template": {"spec": {"containers": [{
                "name": "main", "image": "registry.example/train:1",
                "command": ["bash", "-c", script],
                "env": [{"name": "SEED", "value": "1"}, {"name": "PYTORCH_CUDA_ALLOC_CONF", "value": "a"}],
                "resources": {"limits": {"nvidia.com/gpu": "8"}},
            }]}}},
        })
    }

    fn of(object: &Value, around: &Surroundings) -> Option<String> {
        let kind = Kinds::built_in().of(object).unwrap();
        fingerprint(kind, object, Some("h100"), around, Catalogue::builtin())
    }

    fn hash(object: &Value) -> String {
        of(object, &Surroundings::default()).unwrap()
    }

    const SCRIPT: &str = "torchrun --nproc-per-node=8 /work/ada/train.py --seed 1 --output_dir /out/run-1 --lr 1e-4 \
                          --model meta-llama/Llama-2-7b-hf --micro-batch-size 4 --run-name first --max_steps 100";

    #[test]
    fn another_run_of_the_same_job_has_its_fingerprint() {
        let first = hash(&job(SCRIPT));
        for (from, to) in [
            ("--seed 1", "--seed 2"),
            ("/out/run-1", "/out/run-2"),
            ("--lr 1e-4", "--lr 3e-4"),
            ("--run-name first", "--run-name second"),
            ("--max_steps 100", "--max_steps 900"),
            ("--lr 1e-4", "--node-rank 1"),
        ] {
            assert_eq!(hash(&job(&SCRIPT.replace(from, to))), first, "{to}");
        }
        let mut other = job(SCRIPT);
        other["metadata"] = json!({"name": "b", "namespace": "team", "labels": {"team": "x"}});
        other["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] = json!("2");
        assert_eq!(hash(&other), first);
        other["metadata"]["annotations"] = json!({"weighbridge.dev/override": "measured"});
        assert_eq!(hash(&other), first, "an override changes no memory");
    }

    type Change = fn(&mut Value);

    #[test]
    fn another_job_has_another_fingerprint() {
        let first = hash(&job(SCRIPT));
        for (from, to) in [
            ("--micro-batch-size 4", "--micro-batch-size 8"),
            ("Llama-2-7b-hf", "Llama-2-13b-hf"),
            ("train.py", "finetune.py"),
            ("/work/ada/", "/work/bob/"),
            ("--lr 1e-4", "--load-in-4bit"),
            ("--lr 1e-4", "--gradient_accumulation_steps 4"),
            ("--lr 1e-4", "--num-key-value-heads 8"),
            ("--lr 1e-4", "--group-size 8"),
            ("--lr 1e-4", "--momentum 0.9"),
            ("--lr 1e-4", "--ppo_max_token_len_per_gpu 8192"),
        ] {
            assert_ne!(hash(&job(&SCRIPT.replace(from, to))), first, "{to}");
        }
        let changes: [Change; 5] = [
            |job| job["spec"]["parallelism"] = json!(2),
            |job| {
                job["spec"]["template"]["spec"]["containers"][0]["image"] = json!("registry.example/train:2");
            },
            |job| {
                let limits = &mut job["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"];
                limits["nvidia.com/gpu"] = json!("4");
            },
            |job| job["spec"]["template"]["spec"]["containers"][0]["env"][1]["value"] = json!("b"),
            |job| job["metadata"]["annotations"] = json!({"weighbridge.dev/micro-batch-size": "2"}),
        ];
        for (number, change) in changes.iter().enumerate() {
            let mut other = job(SCRIPT);
            change(&mut other);
            assert_ne!(hash(&other), first, "change {number}");
        }
        let kind = Kinds::built_in().find("batch", "Job").unwrap();
        let elsewhere =
            fingerprint(kind, &job(SCRIPT), Some("a100"), &Surroundings::default(), Catalogue::builtin());
        assert_ne!(elsewhere.unwrap(), first);
    }

    #[test]
    fn an_image_is_known_by_its_digest_in_any_registry() {
        let with = |image: &str| {
            let mut job = job(SCRIPT);
            job["spec"]["template"]["spec"]["containers"][0]["image"] = json!(image);
            hash(&job)
        };
        assert_eq!(with("a.example/train@sha256:abc"), with("b.example/train@sha256:abc"));
        assert_ne!(with("a.example/train@sha256:abc"), with("a.example/train@sha256:def"));
    }

    #[test]
    fn the_text_of_a_config_map_counts_and_without_it_there_is_no_fingerprint() {
        let mut object = job(SCRIPT);
        object["spec"]["template"]["spec"]["volumes"] =
            json!([{"name": "c", "configMap": {"name": "recipe"}}]);
        assert_eq!(of(&object, &Surroundings::default()), None);
        let with = |text: &str| {
            let mut maps = crate::surroundings::ConfigMaps::default();
            maps.add("team", "recipe", [("a.yaml".to_owned(), text.into())].into());
            of(&object, &Surroundings { config_maps: std::sync::Arc::new(maps), ..Surroundings::default() })
        };
        assert!(with("batch: 1").is_some());
        assert_ne!(with("batch: 1"), with("batch: 2"));
    }

    #[test]
    fn another_claim_under_the_same_path_is_another_job() {
        let with = |claim: &str, folder: &str, token: &str| {
            let mut object = job(SCRIPT);
            let pod = &mut object["spec"]["template"]["spec"];
            pod["volumes"] = json!([
                {"name": "model", "persistentVolumeClaim": {"claimName": claim}},
                {"name": token, "projected": {"sources": []}},
            ]);
            pod["containers"][0]["volumeMounts"] = json!([
                {"name": "model", "mountPath": "/model", "subPath": folder},
                {"name": token, "mountPath": "/var/run/secrets"},
            ]);
            hash(&object)
        };
        assert_ne!(with("llama-7b", "a", "t"), with("llama-70b", "a", "t"));
        assert_ne!(with("llama-7b", "a", "t"), with("llama-7b", "b", "t"));
        assert_eq!(with("llama-7b", "a", "kube-api-access-x"), with("llama-7b", "a", "kube-api-access-y"));
    }

    #[test]
    fn the_command_of_a_launcher_without_accelerators_counts() {
        let with = |model: &str| {
            hash(&json!({
                "apiVersion": "kubeflow.org/v2beta1", "kind": "MPIJob", "metadata": {"name": "a", "namespace": "team"},
                "spec": {"mpiReplicaSpecs": {
                    "Launcher": {"replicas": 1, "template": {"spec": {"containers": [{
                        "image": "train:1", "command": ["mpirun", "python", "train.py", "--model", model],
                    }]}}},
                    "Worker": {"replicas": 2, "template": {"spec": {"containers": [{
                        "image": "train:1", "resources": {"limits": {"nvidia.com/gpu": "8"}},
                    }]}}},
                }},
            }))
        };
        assert_ne!(with("llama-2-7b"), with("llama-2-70b"));
    }

    #[test]
    fn a_job_without_accelerators_has_no_fingerprint() {
        let mut object = job(SCRIPT);
        object["spec"]["template"]["spec"]["containers"][0]["resources"] = json!({});
        assert_eq!(of(&object, &Surroundings::default()), None);
    }
}
