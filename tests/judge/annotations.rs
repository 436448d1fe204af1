//! Annotations: their places, and the results if they cannot be read or contradict each other.

use serde_json::json;
use weighbridge::judgement::{Reason, Verdict};

use super::stated::{STATED, pytorchjob, with, without};
use super::{judged, source};

#[test]
fn a_contradiction_is_a_warning_and_no_denial() {
    let clean = judged(&pytorchjob(STATED, 7));
    let odd = judged(&pytorchjob(&with(STATED, ("expert-parallel", "7")), 7));
    assert_eq!((odd.verdict, odd.reason), (clean.verdict, clean.reason));
    assert_eq!(odd.warnings, ["expert parallel is 7, but the model has no experts"]);
}

#[test]
fn malformed_values_are_all_named_and_nothing_is_judged() {
    let annotations = with(STATED, ("tensor-parallel", "four"));
    let judgement = judged(&pytorchjob(&with(&annotations, ("tokens", "2 trillion")), 7));
    assert_eq!((judgement.verdict, judgement.reason), (Verdict::Unknown, Reason::Malformed));
    assert_eq!(judgement.errors.len(), 2);
    assert_eq!(judgement.errors[0].field, "metadata.annotations[weighbridge.dev/tensor-parallel]");
    assert_eq!(judgement.message, judgement.errors[0].message);
    assert!(judgement.memory.is_none() && judgement.oom_probability.is_none());
}

#[test]
fn annotations_of_a_template_count_and_the_workloads_win() {
    let mut object = pytorchjob(&without(STATED, &["sequence-length"]), 7);
    object["spec"]["pytorchReplicaSpecs"]["Worker"]["template"]["metadata"] = json!({"annotations": {
        "weighbridge.dev/sequence-length": "2048", "weighbridge.dev/micro-batch-size": "4",
    }});
    let judgement = judged(&object);
    assert_eq!(
        source(&judgement, "batch.sequenceLength"),
        Some(("2048", "spec.pytorchReplicaSpecs.Worker.template annotation weighbridge.dev/sequence-length"))
    );
    assert_eq!(
        source(&judgement, "batch.microBatchSize"),
        Some(("1", "annotation weighbridge.dev/micro-batch-size"))
    );
    assert!(
        judgement.warnings[0].starts_with("batch.microBatchSize is 1 (annotation"),
        "{:?}",
        judgement.warnings
    );
}
