//! How much is trained, how long that takes from start to end, and whether it is in time: as `judge` tells it.

use serde_json::{Value, json};
use weighbridge::hardware::Catalogue;
use weighbridge::job::Ask;
use weighbridge::judge::judge;
use weighbridge::judgement::{Judgement, Outlook, Verdict};
use weighbridge::policy::{Rules, World};
use weighbridge::surroundings::Surroundings;

fn judged(object: &Value) -> Judgement {
    judge(object, &Surroundings::default(), &World::built_in(), &Ask::default())
}

/// Llama-2-7B on 64 H100 at 40 %.
fn spec() -> Value {
    json!({
        "model": {"name": "llama-2-7b"},
        "parallelism": {"sharding": "FSDP"},
        "batch": {"microBatchSize": 1, "globalBatchSize": 64, "sequenceLength": 4096},
        "precision": "BF16",
        "recompute": "Full",
        "attention": "Flash",
        "framework": "FSDP",
        "accelerator": {"type": "H100-80GB", "count": 64},
        "dataset": {"tokens": "1T"},
        "efficiency": {"mfuPercent": "40"},
    })
}

fn estimate(change: impl Fn(&mut Value)) -> Judgement {
    let mut spec = spec();
    change(&mut spec);
    judged(&json!({"apiVersion": "weighbridge.dev/v1alpha1", "kind": "TrainingEstimate", "spec": spec}))
}

fn days(judgement: &Judgement) -> f64 {
    judgement.time.as_ref().unwrap().days.unwrap()
}

/// The same as a PyTorchJob with this metadata and policy, on 8 pods.
fn workload(metadata: &Value, policy: &Value) -> Value {
    let resources = json!({"limits": {"nvidia.com/gpu": 8}});
    let container = json!({"name": "pytorch", "command": ["torchrun", "train.py"], "resources": resources});
    let mut metadata = metadata.clone();
    let mut training = spec();
    training["accelerator"].as_object_mut().unwrap().remove("count");
    metadata["annotations"]["weighbridge.dev/training"] = json!(training.to_string());
    json!({
        "apiVersion": "kubeflow.org/v1",
        "kind": "PyTorchJob",
        "metadata": metadata,
        "spec": {
            "runPolicy": policy,
            "pytorchReplicaSpecs": {"Worker": {"replicas": 8, "template": {"spec": {"containers": [container]}}}},
        },
    })
}

#[test]
fn the_goodput_is_a_factor_and_loading_is_added_once() {
    let given = estimate(|spec| spec["efficiency"]["goodputPercent"] = json!("100"));
    let half = estimate(|spec| spec["efficiency"]["goodputPercent"] = json!("50"));
    assert!((days(&half) / days(&given) - 2.0).abs() < 1e-9, "the user's goodput is all there is");
    let assumed = estimate(|_| {});
    let goodput = assumed.goodput.unwrap();
    assert!(goodput.assumed && goodput.share > 0.98 && goodput.share < 1.0, "{goodput:?}");
    let expected = days(&given) / goodput.share + goodput.startup_seconds / 86_400.0;
    assert!((days(&assumed) - expected).abs() < 1e-4, "{} and {expected}", days(&assumed));
    let input =
        assumed.inputs.iter().find(|input| input.field.path() == "efficiency.goodputPercent").unwrap();
    assert!(input.source.starts_with("assumed: a failure every"), "{input:?}");
    // A minute of training takes six more to load and to save.
    let short = estimate(|spec| spec["dataset"]["tokens"] = json!("10M"));
    assert!(days(&short) * 1440.0 > 6.0, "{}", days(&short));
}

#[test]
fn tokens_epochs_and_steps_say_the_same() {
    let steps = 1_000_000_000_000_u64 / (64 * 4096);
    let by_steps = estimate(|spec| spec["dataset"] = json!({"steps": steps}));
    let by_epochs = estimate(|spec| spec["dataset"] = json!({"tokens": "250B", "epochs": 4}));
    let by_tokens = estimate(|_| {});
    assert!((days(&by_steps) / days(&by_tokens) - 1.0).abs() < 1e-3);
    assert!((days(&by_epochs) / days(&by_tokens) - 1.0).abs() < 1e-9);
    // Without the global batch, micro-batch and ranks make one: the assumption is listed.
    let derived = estimate(|spec| {
        spec["dataset"] = json!({"steps": steps});
        spec["batch"].as_object_mut().unwrap().remove("globalBatchSize");
    });
    assert!((days(&derived) / days(&by_steps) - 1.0).abs() < 1e-9);
    assert!(
        derived
            .inputs
            .iter()
            .any(|i| i.field.path() == "batch.globalBatchSize" && i.source.starts_with("assumed"))
    );
    let contradiction = estimate(|spec| spec["dataset"]["steps"] = json!(1000));
    assert!(
        contradiction.warnings.iter().any(|w| w.contains("tokens are believed")),
        "{:?}",
        contradiction.warnings
    );
    assert!((days(&contradiction) / days(&by_tokens) - 1.0).abs() < 1e-9);
}

#[test]
fn the_deadline_is_whoever_ends_it_first() {
    let kueue = json!({"labels": {"kueue.x-k8s.io/max-exec-time-seconds": "7200"}});
    let provisioner = json!({"annotations": {"provreq.kueue.x-k8s.io/maxRunDurationSeconds": "3600"}});
    for (metadata, policy, seconds, source) in [
        (json!({}), json!({"activeDeadlineSeconds": 86_400}), 86_400, "spec.runPolicy.activeDeadlineSeconds"),
        (kueue, json!({"activeDeadlineSeconds": 86_400}), 7200, "label kueue.x-k8s.io/max-exec-time-seconds"),
        (provisioner, json!({}), 3600, "annotation provreq.kueue.x-k8s.io/maxRunDurationSeconds"),
    ] {
        let judgement = judged(&workload(&metadata, &policy));
        let deadline = judgement.deadline.clone().unwrap();
        assert_eq!((deadline.seconds, deadline.source.as_str()), (Some(seconds), source));
        assert_eq!(deadline.outlook, Outlook::TooSlowAtBest);
        assert_eq!(judgement.verdict, Verdict::Fits, "a deadline is no reason to refuse");
        let said: Vec<_> =
            judgement.warnings.iter().filter(|w| w.contains("too slow even at best")).collect();
        assert_eq!(said.len(), 1, "{:?}", judgement.warnings);
        assert!(said[0].chars().count() <= 120, "{said:?}");
    }
    assert!(judged(&workload(&json!({}), &json!({}))).deadline.is_none());
}

#[test]
fn a_wish_that_is_met_warns_of_nothing() {
    let judgement = estimate(|spec| spec["target"] = json!({"days": "1000"}));
    let deadline = judgement.deadline.unwrap();
    assert_eq!((deadline.source.as_str(), deadline.outlook), ("target.days", Outlook::InTime));
    assert!(!judgement.warnings.iter().any(|w| w.contains("target.days")), "{:?}", judgement.warnings);
    let unknown = estimate(|spec| {
        spec["target"] = json!({"days": "1000"});
        spec.as_object_mut().unwrap().remove("dataset");
    });
    assert_eq!(unknown.deadline.unwrap().outlook, Outlook::Unknown);
}

#[test]
fn a_wish_without_a_number_of_accelerators_is_answered_with_the_number() {
    let judgement = estimate(|spec| {
        spec["target"] = json!({"days": "30"});
        spec["accelerator"].as_object_mut().unwrap().remove("count");
    });
    let advice = judgement.advice.iter().find(|advice| advice.change.ends_with("accelerators for 30 days"));
    let advice = advice.unwrap();
    let count = advice.spec.accelerator.as_ref().unwrap().count.unwrap();
    assert!(advice.days.unwrap() <= 30.0 && 64 % count == 0, "{advice:?}");
    let half = estimate(|spec| spec["accelerator"]["count"] = json!(count / 2));
    assert!(days(&half) > 30.0, "half as many would do");
}

#[test]
fn the_cost_is_the_hours_at_a_price_and_a_policy_may_set_that() {
    let judgement = estimate(|_| {});
    let (cost, time) = (judgement.cost.unwrap(), judgement.time.unwrap());
    let expected = time.gpu_hours_low.unwrap() * cost.per_gpu_hour.as_f64();
    assert!((cost.total_low.as_f64() - expected).abs() < 0.01);
    assert!(cost.total_low < cost.total && cost.total < cost.total_high && cost.as_of.is_some());

    let mut rules = Rules::default();
    let key = Catalogue::builtin().find("H100-80GB").unwrap().key.clone();
    rules.prices.per_gpu_hour.insert(key, weighbridge::units::Decimal::parse("2.4").unwrap());
    rules.prices.currency = Some("EUR".into());
    let question =
        json!({"apiVersion": "weighbridge.dev/v1alpha1", "kind": "TrainingEstimate", "spec": spec()});
    let judgement =
        judge(&question, &Surroundings::default(), &World::built_in().under(&rules), &Ask::default());
    let cost = judgement.cost.unwrap();
    assert_eq!((cost.per_gpu_hour.to_string().as_str(), cost.currency.as_str()), ("2.4", "EUR"));
}
