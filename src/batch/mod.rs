//! Judges the objects of a stream: each workload that asks for accelerators once, with the other objects as its
//! surroundings. Workloads that differ in nothing that decides share one judgement.

mod annotations;
mod argo;
mod distinct;
mod other_kinds;
pub(crate) mod parallel;
pub(crate) mod settings;
mod shape;
mod stages;

use std::collections::BTreeSet;
use std::num::NonZero;

use serde_json::Value;

use crate::cluster::claimed_owner;
use crate::job::{Ask, InputError};
use crate::judge::judge;
use crate::judgement::{Judgement, Reason, Verdict};
use crate::kinds::Kinds;
use crate::policy::Policy;
use crate::report::{Entry, Forecast, Place};
use crate::surroundings::Surroundings;
use distinct::Distinct;
use other_kinds::Other;
pub use stages::stages;

/// An object of a stream.
#[derive(Clone, Debug)]
pub struct Object {
    /// The object.
    pub value: Value,
    /// Where it stands, if it was read from a file.
    pub place: Option<Place>,
}

/// Judges the objects that ask for accelerators. All objects are also surroundings.
pub fn entries(objects: &[Object], around: &Surroundings, policy: &Policy, ask: &Ask) -> Vec<Entry> {
    entries_on(NonZero::<usize>::MIN, objects, around, policy, ask)
}

/// The same entries, judged on all processors.
pub(crate) fn entries_of_many(
    objects: &[Object],
    around: &Surroundings,
    policy: &Policy,
    ask: &Ask,
) -> Vec<Entry> {
    entries_on(parallel::processors(), objects, around, policy, ask)
}

fn entries_on(
    processors: NonZero<usize>,
    objects: &[Object],
    around: &Surroundings,
    policy: &Policy,
    ask: &Ask,
) -> Vec<Entry> {
    let distinct = Distinct::of(without_children(objects, policy));
    let judge = |object: &&Value| judgements(object, around, policy, ask);
    let judged = parallel::answers(distinct.firsts(), processors, judge);
    let of_object = |(object, judgements): (&Object, Vec<Judgement>)| {
        let entries = judgements.into_iter().map(|judgement| entry(object, judgement, around, policy));
        entries.collect::<Vec<_>>()
    };
    distinct.shared(judged).flat_map(of_object).collect()
}

/// The objects without the children of others.
fn without_children<'o>(objects: &'o [Object], policy: &Policy) -> Vec<&'o Object> {
    let uids = objects.iter().filter_map(|object| object.value.pointer("/metadata/uid")?.as_str()).collect();
    objects.iter().filter(|object| !is_child_of(&object.value, &uids, &policy.kinds)).collect()
}

/// Whether the object is a child of one of these objects, by their uids. Then only the owner is judged.
fn is_child_of(object: &Value, uids: &BTreeSet<&str>, kinds: &Kinds) -> bool {
    let owner = kinds.of(object).and_then(|kind| claimed_owner(kinds, kind, object));
    owner.is_some_and(|(owner, _)| owner.uid.is_some_and(|uid| uids.contains(uid.as_str())))
}

/// The judgement of an object, or of each of its pods if its kind is not judged as a whole. Empty if it asks for no
/// accelerators.
fn judgements(object: &Value, around: &Surroundings, policy: &Policy, ask: &Ask) -> Vec<Judgement> {
    let judge_in = |object: &Value, around: &Surroundings| judge(object, around, &policy.world(), ask);
    let own = judge_in(object, around);
    let is_told = |judgement: &Judgement| judgement.verdict.trains() || judgement.cause.is_some();
    if let Some(kind) = policy.kinds.of(object) {
        let catalogue = &policy.catalogue;
        return if is_told(&own) {
            vec![shape::warned(own, kind, object, catalogue)]
        } else {
            shape::misplaced(kind, object, catalogue).into_iter().collect()
        };
    }
    if is_told(&own) {
        return vec![own];
    }
    match other_kinds::read(object, &policy.kinds, &policy.catalogue) {
        Some(Other::Aside(judgement)) => vec![*judgement],
        Some(Other::Started { judged, around: beside }) => {
            let around = around.with(&beside, &policy.kinds);
            let judged =
                judged.iter().map(|started| other_kinds::sourced(judge_in(started, &around), object));
            judged.filter(is_told).collect()
        }
        None => Vec::new(),
    }
}

/// The entry of an object with its judgement.
fn entry(
    Object { value: object, place }: &Object,
    judgement: Judgement,
    around: &Surroundings,
    policy: &Policy,
) -> Entry {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let judgement = malformed(judgement, annotations::errors(object));
    Entry {
        name: text("/metadata/name").or_else(|| text("/metadata/generateName")),
        namespace: text("/metadata/namespace"),
        kind: text("/kind").unwrap_or_default(),
        api_version: text("/apiVersion").unwrap_or_default(),
        place: place.clone(),
        gate: gate(object, &judgement, around, policy),
        judgement,
    }
}

/// What the gate would do with the object. `None` for a kind that it does not see, such as an estimate.
fn gate(object: &Value, judgement: &Judgement, around: &Surroundings, policy: &Policy) -> Option<Forecast> {
    let kind = policy.kinds.of(object)?;
    let namespace = crate::kinds::namespace(object).unwrap_or("default");
    let exempt = policy.exemptions.namespace(namespace);
    let exempt = exempt.or_else(|| policy.exemptions.pods(kind, object, around, &policy.catalogue));
    Some(match exempt {
        Some(_) => Forecast::NotJudged,
        None => Forecast::of(judgement, policy.mode, policy.unknown, policy.unrecognised),
    })
}

/// The apiserver would refuse the object for these errors, so nothing else about it counts.
fn malformed(judgement: Judgement, errors: Vec<InputError>) -> Judgement {
    let Some(first) = errors.first() else { return judgement };
    Judgement {
        message: first.message.clone(),
        errors: errors.into_iter().chain(judgement.errors).collect(),
        inputs: judgement.inputs,
        job: judgement.job,
        summary: judgement.summary,
        override_reason: judgement.override_reason,
        ..Judgement::without_figures(Verdict::Unknown, Reason::Malformed)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::report;

    /// A job that is read from its command.
    fn job(name: &str) -> Value {
        json!({
            "apiVersion": "batch/v1", "kind": "Job",
            "metadata": {"name": name, "namespace": "team", "annotations": {"weighbridge.dev/model": "llama-3-8b"}},
            "spec": {"template": {"spec": {
                "containers": [{
                    "name": "train", "image": "trainer",
                    "command": ["torchrun", "--nproc-per-node=8", "train.py", "--learning_rate", "1e-5"],
                    "envFrom": [{"configMapRef": {"name": "settings"}}],
                    "resources": {"limits": {"nvidia.com/gpu": 8}},
                }],
                "nodeSelector": {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"},
            }}},
        })
    }

    fn changed(name: &str, change: impl Fn(&mut Value)) -> Value {
        let mut job = job(name);
        change(&mut job);
        job
    }

    /// The stream's objects: equal ones, and one for each thing that may decide.
    fn stream() -> Vec<Object> {
        let config_map = |namespace: &str, batch: &str| {
            json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": namespace},
                "data": {"PER_DEVICE_TRAIN_BATCH_SIZE": batch},
            })
        };
        let deployment = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "namespace": "team"},
            "spec": {"template": job("d")["spec"]["template"]},
        });
        let values = [
            config_map("team", "1"),
            config_map("other", "64"),
            job("first"),
            changed("of-another-model", |job| {
                job["metadata"]["annotations"]["weighbridge.dev/model"] = "llama-3-70b".into();
            }),
            job("second"),
            changed("in-another-namespace", |job| job["metadata"]["namespace"] = "other".into()),
            changed("exempt", |job| job["metadata"]["namespace"] = "kube-system".into()),
            changed("malformed", |job| job["metadata"]["annotations"]["note"] = 1.into()),
            changed("of-a-queue", |job| {
                job["metadata"]["labels"] = json!({"kueue.x-k8s.io/queue-name": "q"});
            }),
            changed("of-another-owner", |job| job["metadata"]["ownerReferences"] = json!([{"uid": "u"}])),
            changed("on-another-card", |job| {
                job["spec"]["template"]["spec"]["nodeSelector"] =
                    json!({"nvidia.com/gpu.product": "NVIDIA-A10"});
            }),
            changed("with-another-option", |job| {
                job["spec"]["template"]["spec"]["containers"][0]["command"][4] = "1e-4".into();
            }),
            changed("of-another-version", |job| job["apiVersion"] = "batch/v1beta1".into()),
            deployment.clone(),
            changed("third", |job| job["status"] = json!({"active": 1})),
            deployment,
            changed("malformed-too", |job| job["metadata"]["annotations"]["note"] = 1.into()),
        ];
        let place = |document| Place { file: "jobs.yaml".into(), document: Some(document), line: None };
        let values = values.into_iter().enumerate();
        values.map(|(number, value)| Object { value, place: Some(place(number + 1)) }).collect()
    }

    #[test]
    fn equal_objects_have_the_entries_that_each_would_have_alone() {
        let objects = stream();
        let policy = Policy::default();
        let values: Vec<_> = objects.iter().map(|object| object.value.clone()).collect();
        let around = Surroundings::of(&values, &policy.kinds);
        let ask = Ask { quoting: crate::job::Quoting::Everything, room: true, ..Ask::default() };
        let alone: Vec<_> = objects
            .iter()
            .flat_map(|object| entries(std::slice::from_ref(object), &around, &policy, &ask))
            .collect();
        let together = entries(&objects, &around, &policy, &ask);
        let on_all_processors = entries_of_many(&objects, &around, &policy, &ask);
        let shown = |entries: &[Entry]| report::values(entries).unwrap();
        assert_eq!(shown(&together), shown(&alone));
        assert_eq!(shown(&on_all_processors), shown(&alone));
        // Three jobs are equal, and two Deployments, and two malformed jobs.
        let distinct = Distinct::of(objects.iter().collect());
        assert_eq!((objects.len(), distinct.firsts().len()), (17, 13));
    }
}
