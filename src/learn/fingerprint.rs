//! The fingerprint of a job: a hash of what decides its memory. Two workloads with one fingerprint are runs of one job.
//!
//! ```text
//! fingerprint = first 128 bits of SHA-256 over, for each group of pods that asks for accelerators:
//!               image, words of command and arguments, variables, mounted ConfigMaps, resource × number × pods
//!               and, for the whole job: our annotations, and the accelerator
//! ```
//!
//! | part | counts | does not count |
//! | --- | --- | --- |
//! | image | its digest, else its whole name | the registry of an image with a digest |
//! | words | options and their values, the names of programs, scripts, models and data | folders; values of options and variables about names, places, seeds, addresses, logs and learning rates |
//! | variables | those with a literal value, by the same rule | those whose value comes from elsewhere: a Secret, a field |
//! | ConfigMaps | the texts, if they are read | without them the fingerprint is not [whole](Fingerprint::whole) |
//!
//! A run is repeated with another seed, output folder and name, and must be known again. A learning rate or a number of
//! steps changes no memory. Any other change of the command is another job.
//!
//! A hash tells nothing about what was hashed: a history may be read by people who may not read the workload.

use std::collections::BTreeSet;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::hardware::Catalogue;
use crate::kinds::requests::requests;
use crate::kinds::{self, Kind, config_maps};
use crate::surroundings::Surroundings;

/// The prefix of our annotations.
const ANNOTATIONS: &str = "weighbridge.dev/";
/// The most words and variables that are hashed of a container. A job with more has no fingerprint.
const MOST_WORDS: usize = 20_000;

/// What decides a job's memory, as a hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// Thirty-two hexadecimal digits.
    pub hash: String,
    /// Whether all of the job's ConfigMaps were read. If not, the same fingerprint may be of another configuration.
    pub whole: bool,
}

/// Parts of the names of options and variables whose values decide no memory. In doubt a part is missing here: a job that is
/// not known again is only judged by its estimate.
const INERT: &[&str] = &[
    "seed",
    "lr",
    "learning",
    "decay",
    "warmup",
    "eps",
    "epsilon",
    "temperature",
    "name",
    "names",
    "id",
    "uid",
    "run",
    "job",
    "experiment",
    "exp",
    "project",
    "entity",
    "user",
    "tag",
    "tags",
    "notes",
    "comment",
    "wandb",
    "mlflow",
    "tensorboard",
    "comet",
    "log",
    "logs",
    "logging",
    "verbose",
    "dir",
    "directory",
    "folder",
    "path",
    "output",
    "save",
    "host",
    "hostname",
    "addr",
    "address",
    "port",
    "endpoint",
    "url",
    "uri",
    "master",
    "rdzv",
    "password",
    "credentials",
    "timestamp",
    "date",
    "steps",
    "step",
    "iters",
    "iterations",
    "epochs",
    "epoch",
    "interval",
    "every",
    "timeout",
    "retries",
    "restarts",
];
/// Names that count for nothing as a whole.
const INERT_NAMES: &[&str] = &["node_rank", "machine_rank", "local_rank"];
/// Our annotations that decide time or money, and no memory.
const OF_TIME: &[&str] = &["override", "tokens", "steps", "epochs", "mfu", "price-per-gpu-hour", "days"];

/// Parts that make an option count although another part is inert: `--model-name`, `--load-in-4bit`,
/// `--activation-checkpoint-interval`, `--gradient-accumulation-steps`.
const DECIDES: &[&str] = &[
    "model",
    "accumulation",
    "activation",
    "activations",
    "gradient",
    "checkpointing",
    "recompute",
    "4bit",
    "8bit",
    "precision",
    "parallel",
    "batch",
    "length",
    "layers",
    "lora",
    "config",
    "recipe",
];

/// The fingerprint of a workload on an accelerator. None if it asks for no accelerators, or is too long.
pub fn fingerprint(
    kind: &Kind,
    object: &Value,
    accelerator: Option<&str>,
    around: &Surroundings,
    catalogue: &Catalogue,
) -> Option<Fingerprint> {
    let completed = kind.complete.map(|complete| complete(object, around));
    let object = completed.as_ref().map_or(object, |completed| &completed.object);
    let namespace = object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default();
    let mut groups = kind.pod_groups(object);
    for (inner, _) in kind.inner_objects(object) {
        groups.extend(kinds::built_in(inner).map(|kind| kind.pod_groups(inner)).unwrap_or_default());
    }
    let requests = requests(&groups, &around.documents, namespace, catalogue);
    if requests.is_empty() {
        return None;
    }
    let mut parts = Parts { words: Vec::new(), whole: true };
    parts.add("accelerator", accelerator.unwrap_or_default());
    if let Some(entrypoint) = kind.entrypoint.and_then(|entrypoint| entrypoint(object)) {
        parts.command([entrypoint.script]);
        parts.variables(entrypoint.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    }
    parts.annotations(object);
    for request in &requests {
        let pods = request.pods.map_or_else(|| "?".to_owned(), |pods| pods.to_string());
        parts.add("request", &format!("{} × {} × {pods}", request.resource, request.per_pod));
        parts.annotations(request.template);
        let containers = request.template.pointer("/spec/containers").and_then(Value::as_array);
        for container in containers.into_iter().flatten() {
            parts.container(container);
        }
        parts.config_maps(request.template, namespace, around);
    }
    (parts.words.len() <= MOST_WORDS).then(|| parts.fingerprint())
}

/// The parts of a fingerprint, in order.
struct Parts {
    words: Vec<String>,
    whole: bool,
}

impl Parts {
    fn add(&mut self, what: &str, word: &str) {
        self.words.push(format!("{what}={word}"));
    }

    fn annotations(&mut self, object: &Value) {
        let annotations =
            object.pointer("/metadata/annotations").and_then(Value::as_object).into_iter().flatten();
        for (key, value) in annotations
            .filter(|(key, _)| key.strip_prefix(ANNOTATIONS).is_some_and(|key| !OF_TIME.contains(&key)))
        {
            self.add(key, value.as_str().unwrap_or_default());
        }
    }

    fn container(&mut self, container: &Value) {
        let list = |field: &str| container.get(field).and_then(Value::as_array).into_iter().flatten();
        self.add("image", image(container.get("image").and_then(Value::as_str).unwrap_or_default()));
        self.command(list("command").chain(list("args")).filter_map(Value::as_str));
        let literal = |variable: &'_ Value| {
            let text = |field: &str| variable.get(field).and_then(Value::as_str).map(str::to_owned);
            Some((text("name")?, text("value")?))
        };
        let variables: Vec<_> = list("env").filter_map(literal).collect();
        self.variables(variables.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    }

    /// The words of a command that count. A value belongs to the option before it.
    fn command<'a>(&mut self, arguments: impl IntoIterator<Item = &'a str>) {
        let mut option: Option<&str> = None;
        let text: Vec<&str> = arguments.into_iter().collect();
        let separators = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '\\' | ';' | '(' | ')');
        for word in text.iter().flat_map(|text| text.split(separators)).filter(|word| !word.is_empty()) {
            match word.split_once('=') {
                // An option, a variable of the shell, or an override of a configuration file, with its value.
                Some((name, value)) => {
                    option = None;
                    if counts(name) {
                        self.add(name, last_part(name, value));
                    }
                }
                None if word.starts_with('-') => {
                    option = Some(word);
                    if counts(word) {
                        self.add("option", word);
                    }
                }
                None => {
                    if option.is_none_or(counts) {
                        self.add("word", last_part(option.unwrap_or_default(), word));
                    }
                }
            }
        }
    }

    fn variables<'a>(&mut self, variables: impl Iterator<Item = (&'a str, &'a str)>) {
        let counted: BTreeSet<_> = variables.filter(|(name, _)| counts(name)).collect();
        for (name, value) in counted {
            self.add(&format!("${name}"), last_part(name, value));
        }
    }

    /// The texts of the ConfigMaps that a pod mounts or takes variables from.
    fn config_maps(&mut self, template: &Value, namespace: &str, around: &Surroundings) {
        for name in config_maps::of_template(template) {
            match around.config_maps.get(namespace, name) {
                Some(data) => {
                    for (key, text) in data {
                        self.add(key, text);
                    }
                }
                None => self.whole = false,
            }
        }
    }

    fn fingerprint(self) -> Fingerprint {
        let mut hasher = Sha256::new();
        for word in &self.words {
            hasher.update(word.len().to_le_bytes());
            hasher.update(word);
        }
        let digest: [u8; 32] = hasher.finalize().into();
        let half = digest.first_chunk().map_or(0, |half| u128::from_be_bytes(*half));
        Fingerprint { hash: format!("{half:032x}"), whole: self.whole }
    }
}

/// An image by its digest, else by its name.
fn image(name: &str) -> &str {
    name.rsplit_once('@').map_or(name, |(_, digest)| digest)
}

/// Whether the value of an option or a variable may decide memory.
fn counts(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let has =
        |list: &[&str]| name.split(|c: char| !c.is_ascii_alphanumeric()).any(|part| list.contains(&part));
    let whole = name.trim_start_matches('-').replace('-', "_");
    has(DECIDES) || !(has(INERT) || INERT_NAMES.contains(&whole.as_str()))
}

/// The last part of a path. The name of a model has a folder that counts: `meta-llama/Llama-2-7b-hf`.
fn last_part<'a>(option: &str, value: &'a str) -> &'a str {
    let is_model = option.to_ascii_lowercase().contains("model") && value.matches('/').count() == 1;
    if is_model && !value.starts_with(['/', '.', '$']) {
        return value;
    }
    value.trim_end_matches('/').rsplit('/').next().unwrap_or(value)
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

    fn of(object: &Value, around: &Surroundings) -> Fingerprint {
        let kind = Kinds::built_in().find("batch", "Job").unwrap();
        fingerprint(kind, object, Some("h100"), around, Catalogue::builtin()).unwrap()
    }

    fn hash(object: &Value) -> String {
        of(object, &Surroundings::default()).hash
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
            ("/work/ada/", "/work/bob/"),
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
        assert_ne!(elsewhere.unwrap().hash, first);
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
    fn the_text_of_a_config_map_counts_and_without_it_the_fingerprint_is_not_whole() {
        let mut object = job(SCRIPT);
        object["spec"]["template"]["spec"]["volumes"] =
            json!([{"name": "c", "configMap": {"name": "recipe"}}]);
        assert!(!of(&object, &Surroundings::default()).whole);
        let with = |text: &str| {
            let mut maps = crate::surroundings::ConfigMaps::default();
            maps.add("team", "recipe", [("a.yaml".to_owned(), text.into())].into());
            of(&object, &Surroundings { config_maps: std::sync::Arc::new(maps), ..Surroundings::default() })
        };
        assert!(with("batch: 1").whole);
        assert_ne!(with("batch: 1").hash, with("batch: 2").hash);
    }

    #[test]
    fn a_job_without_accelerators_has_no_fingerprint() {
        let mut object = job(SCRIPT);
        object["spec"]["template"]["spec"]["containers"][0]["resources"] = json!({});
        let kind = Kinds::built_in().find("batch", "Job").unwrap();
        assert_eq!(fingerprint(kind, &object, None, &Surroundings::default(), Catalogue::builtin()), None);
    }
}
