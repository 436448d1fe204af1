//! The figures of a judgement, for a job that states everything, one that does not fit, and one with open fields.

use serde_json::json;
use weighbridge::job::Ask;
use weighbridge::job::field;
use weighbridge::judge::judge;
use weighbridge::judgement::{Reason, Verdict};
use weighbridge::policy::World;
use weighbridge::surroundings::Surroundings;

use super::stated::{STATED, pytorchjob, with, without};
use super::{judged, source};

#[test]
fn a_job_stated_in_full_is_judged_in_full() {
    let judgement = judged(&pytorchjob(STATED, 7));
    assert_eq!((judgement.verdict, judgement.reason), (Verdict::Fits, Reason::BelowCapacity));
    assert!(
        judgement.message.starts_with("needs ") && judgement.message.contains("an H100-80GB offers 79.1 GiB")
    );
    assert_eq!(judgement.summary.model.as_deref(), Some("llama-2-7b"));
    assert_eq!(judgement.summary.accelerators, Some(64));
    let time = judgement.time.as_ref().unwrap();
    assert!(time.days.unwrap() > 1.0 && time.gpu_hours.unwrap() > 1000.0);
    assert!(judgement.cost.as_ref().unwrap().as_of.is_some());
    for (field, value, from) in [
        ("model.name", "llama-2-7b", "annotation weighbridge.dev/model"),
        ("model.layers", "32", "model llama-2-7b"),
        ("dataset.tokens", "1T", "annotation weighbridge.dev/tokens"),
        ("accelerator.count", "64", "limits nvidia.com/gpu × replicas"),
        ("optimizer", "AdamW", "assumed"),
    ] {
        assert_eq!(source(&judgement, field), Some((value, from)), "{field}");
    }
    assert!(judgement.warnings.is_empty(), "{:?}", judgement.warnings);
}

#[test]
fn a_denial_shows_the_need_the_capacity_and_what_would_fit() {
    let judgement = judged(&pytorchjob(&with(STATED, ("sharding", "ddp")), 7));
    assert_eq!((judgement.verdict, judgement.reason), (Verdict::OutOfMemory, Reason::AboveCapacity));
    assert!(judgement.oom_probability.unwrap() >= 0.9);
    assert!(judgement.message.contains("; sharding=fsdp"), "{}", judgement.message);
    assert_eq!(judgement.advice[0].change, "sharding=fsdp");
    assert_eq!(
        serde_json::to_value(&judgement.advice[0].spec).unwrap(),
        json!({"parallelism": {"sharding": "FSDP"}})
    );
    let ask = Ask { advice: false, ..Ask::default() };
    let object = pytorchjob(&with(STATED, ("sharding", "ddp")), 7);
    let quick = judge(&object, &Surroundings::default(), &World::built_in(), &ask);
    assert!(quick.advice.is_empty() && quick.verdict == Verdict::OutOfMemory);
}

#[test]
fn a_job_with_open_fields_shows_the_known_figures() {
    let count_unknown = json!({
        "apiVersion": "weighbridge.dev/v1alpha1", "kind": "TrainingEstimate", "metadata": {"name": "what-if"},
        "spec": {"model": {"name": "llama-2-7b"}, "accelerator": {"type": "H100-80GB"}, "dataset": {"tokens": "1T"}},
    });
    let judgement = judged(&count_unknown);
    let time = judgement.time.as_ref().unwrap();
    assert_eq!((time.days, judgement.summary.accelerators), (None, None));
    assert!(time.gpu_hours.is_some() && judgement.cost.is_some());

    let tokens_unknown = judged(&pytorchjob(&without(STATED, &["tokens"]), 7));
    assert_eq!(tokens_unknown.verdict, Verdict::Fits);
    assert!(tokens_unknown.cost.is_none() && tokens_unknown.time.unwrap().gpu_hours.is_none());

    let accelerator_unknown = judged(&pytorchjob(&without(STATED, &["gpu-type"]), 7));
    assert_eq!(accelerator_unknown.verdict, Verdict::Unknown);
    assert_eq!(accelerator_unknown.reason, Reason::UnknownAccelerator);
    assert_eq!(accelerator_unknown.missing.first(), Some(&field::accelerator::KIND.erased()));
    assert_eq!(accelerator_unknown.memory.unwrap().capacity_bytes, None);

    let unknown_type = judged(&pytorchjob(&with(STATED, ("gpu-type", "H9000-640GB")), 7));
    assert_eq!((unknown_type.reason, unknown_type.memory.is_some()), (Reason::UnknownAccelerator, true));
    let asked = [field::accelerator::KIND.erased(), field::accelerator::MEMORY.erased()];
    assert_eq!(unknown_type.missing.get(..2), Some(asked.as_slice()), "{}", unknown_type.message);
    let like_none = judged(&pytorchjob(&with(STATED, ("gpu-type", "banana")), 7));
    assert_eq!(
        like_none.missing.first(),
        Some(&field::accelerator::MEMORY.erased()),
        "{}",
        like_none.message
    );
}
