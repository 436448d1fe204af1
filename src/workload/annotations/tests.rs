//! The contract, key by key.

use serde_json::{Value, json};

use super::*;
use crate::job::grammar::Grammar;

fn read(annotations: &Value) -> (Provenance, Findings) {
    let object = json!({"metadata": {"annotations": annotations}});
    let (mut provenance, mut findings) = (Provenance::default(), Findings::default());
    let annotations = Annotations::of(&object, "");
    annotations.read_keys(&mut provenance, &mut findings);
    annotations.read_override(&mut findings);
    annotations.read_block(&mut provenance, &mut findings);
    (provenance, findings)
}

/// What one key with one value sets.
fn set(key: &str, text: &str) -> Value {
    let (provenance, findings) = read(&json!({ format!("{PREFIX}{key}"): text }));
    assert!(findings.errors.is_empty(), "{:?}", findings.errors);
    serde_json::to_value(provenance.job()).unwrap()
}

/// The message for a value that cannot be read.
fn complaint(key: &str, text: &str) -> String {
    let (provenance, findings) = read(&json!({ format!("{PREFIX}{key}"): text }));
    assert!(provenance.inputs(None).is_empty());
    match findings.errors.as_slice() {
        [error] => error.message.clone(),
        errors => panic!("{key}: {text} gives {errors:?}"),
    }
}

#[test]
fn every_key_of_the_contract_sets_its_field() {
    for (key, text, spec) in [
        ("model", "meta-llama/Llama-2-70b-hf", json!({"model": {"name": "meta-llama/Llama-2-70b-hf"}})),
        ("parameters", "70B", json!({"model": {"parameters": 70_000_000_000_u64}})),
        ("layers", "80", json!({"model": {"layers": 80}})),
        ("hidden-size", "8_192", json!({"model": {"hiddenSize": 8192}})),
        ("attention-heads", "64", json!({"model": {"attentionHeads": 64}})),
        ("kv-heads", "8", json!({"model": {"keyValueHeads": 8}})),
        ("ffn-hidden-size", "28672", json!({"model": {"ffnHiddenSize": 28672}})),
        ("vocab-size", "32000", json!({"model": {"vocabSize": 32000}})),
        ("experts", "8", json!({"model": {"experts": 8}})),
        ("experts-per-token", "2", json!({"model": {"expertsPerToken": 2}})),
        ("sequence-length", "4096", json!({"batch": {"sequenceLength": 4096}})),
        ("micro-batch-size", "1", json!({"batch": {"microBatchSize": 1}})),
        ("global-batch-size", "1024", json!({"batch": {"globalBatchSize": 1024}})),
        ("tensor-parallel", "8", json!({"parallelism": {"tensor": 8}})),
        ("pipeline-parallel", "4", json!({"parallelism": {"pipeline": 4}})),
        ("context-parallel", "2", json!({"parallelism": {"context": 2}})),
        ("expert-parallel", "8", json!({"parallelism": {"expert": 8}})),
        ("data-parallel", "64", json!({"parallelism": {"data": 64}})),
        ("virtual-pipeline", "5", json!({"parallelism": {"virtualPipeline": 5}})),
        ("sequence-parallel", "true", json!({"parallelism": {"sequence": true}})),
        ("sharding", "ddp", json!({"parallelism": {"sharding": "None"}})),
        ("sharding", "ZeRO3", json!({"parallelism": {"sharding": "ZeRO3"}})),
        ("sharding", "distributed-optimizer", json!({"parallelism": {"sharding": "DistributedOptimizer"}})),
        ("method", "qlora", json!({"finetuning": {"method": "QLoRA"}})),
        ("lora-rank", "16", json!({"finetuning": {"rank": 16}})),
        ("lora-targets", "q_proj, v_proj", json!({"finetuning": {"targets": ["q_proj", "v_proj"]}})),
        ("precision", "bf16", json!({"precision": "BF16"})),
        ("optimizer", "adamw-8bit", json!({"optimizer": "AdamW8bit"})),
        ("recompute", "selective", json!({"recompute": "Selective"})),
        ("attention", "flash", json!({"attention": "Flash"})),
        ("framework", "megatron-deepspeed", json!({"framework": "MegatronDeepSpeed"})),
        ("gpu-type", "A100-80GB", json!({"accelerator": {"type": "A100-80GB"}})),
        ("tokens", "2T", json!({"dataset": {"tokens": 2_000_000_000_000_u64}})),
        ("steps", "500K", json!({"dataset": {"steps": 500_000}})),
        ("mfu", "42.5", json!({"efficiency": {"mfuPercent": "42.5"}})),
        ("mfu", "40%", json!({"efficiency": {"mfuPercent": "40"}})),
        ("mfu", "0.4", json!({"efficiency": {"mfuPercent": "40"}})),
        ("price-per-gpu-hour", "2.50", json!({"price": {"perGpuHour": "2.5"}})),
        ("price-per-gpu-hour", "2 eur", json!({"price": {"perGpuHour": "2", "currency": "EUR"}})),
        ("price-per-gpu-hour", "$2", json!({"price": {"perGpuHour": "2", "currency": "USD"}})),
        (
            "offload",
            "optimizer,activations",
            json!({"offload": {"optimizer": true, "parameters": false, "activations": true}}),
        ),
        (
            "offload",
            "none",
            json!({"offload": {"optimizer": false, "parameters": false, "activations": false}}),
        ),
    ] {
        assert_eq!(set(key, text), spec, "{key}: {text}");
    }
}

/// Values in a grammar, and what each means.
fn examples(grammar: Grammar) -> Vec<(String, Value)> {
    let pair = |text: &str, value: Value| (text.to_owned(), value);
    match grammar {
        Grammar::Whole { least, most } => {
            [least, most].map(|number| pair(&number.to_string(), number.into())).into()
        }
        Grammar::Count => vec![pair("13B", 13_000_000_000_u64.into()), pair("7", 7.into())],
        Grammar::Boolean => vec![pair("true", true.into()), pair("false", false.into())],
        Grammar::Word { read, words } => {
            words.iter().map(|word| pair(word, read(word).expect("the word is its own").into())).collect()
        }
        Grammar::Name(_) => vec![pair("2.5.1", "2.5.1".into())],
        Grammar::List { .. } => {
            vec![pair("mlp", json!(["mlp"])), pair("core_attn, mlp", json!(["core_attn", "mlp"]))]
        }
        Grammar::Layers { most } => vec![
            pair("3", 3.into()),
            pair(&most.to_string(), most.into()),
            pair("0, 2", json!([0, 2])),
            pair("[4]", json!([4])),
        ],
        Grammar::Kinds => vec![pair("GGG*", "GGG*".into())],
        Grammar::Quantity => vec![pair("80Gi", "80Gi".into())],
        Grammar::Decimal => vec![pair("1.250", "1.25".into()), pair("30", "30".into())],
        Grammar::Percent { zero } => {
            let none = zero.then(|| pair("0", "0".into()));
            [pair("12.5", "12.5".into()), pair("0.5%", "0.5".into()), pair("0.1", "10".into())]
                .into_iter()
                .chain(none)
                .collect()
        }
        // These set several fields of a group; the test above has them.
        Grammar::Offload | Grammar::Price => Vec::new(),
    }
}

#[test]
fn a_value_in_a_keys_grammar_sets_exactly_its_field() {
    let mut tried = 0;
    for key in KEYS.iter() {
        for (text, value) in examples(key.grammar) {
            let spec = key.path().rsplit('.').fold(value, |value, name| json!({ name: value }));
            assert_eq!(set(key.name, &text), spec, "{}: {text}", key.name);
            tried += 1;
        }
    }
    assert!(tried > 2 * KEYS.len(), "{tried}");
}

#[test]
fn every_key_refuses_what_it_cannot_read_and_says_what_to_write() {
    for key in KEYS.iter() {
        for text in ["", " ", "\u{1b}[31m", &"x".repeat(100_000)] {
            let message = complaint(key.name, text);
            assert!(message.starts_with(&format!("{PREFIX}{}: \"", key.name)), "{message}");
            assert!(message.contains(": write "), "{message}");
            assert!(message.chars().count() <= 300 && !message.chars().any(char::is_control), "{message}");
        }
    }
    for (key, text) in [
        ("tensor-parallel", "0"),
        ("tensor-parallel", "65537"),
        ("tensor-parallel", "-1"),
        ("tensor-parallel", "2.0"),
        ("tensor-parallel", "99999999999999999999999"),
        ("parameters", "seventy"),
        ("parameters", "0"),
        ("tokens", "2 trillion"),
        ("sequence-parallel", "maybe"),
        ("sharding", "zero4"),
        ("mfu", "0"),
        ("mfu", "101"),
        ("price-per-gpu-hour", "2.5 euros"),
        ("price-per-gpu-hour", "cheap"),
        ("offload", "optimizer,gradients"),
        ("lora-targets", "q_proj,,v_proj"),
        ("dense-layers", "3,,4"),
        ("dense-layers", "10001"),
        ("dense-layers", "[]"),
        ("recompute-layers", "-1"),
        ("recompute-layers", "10001"),
        ("hidden-dropout", "101"),
        ("goodput-percent", "0"),
        ("accelerator-memory", "large"),
        ("capacity-factor", "1.2.3"),
    ] {
        complaint(key, text);
    }
}

#[test]
fn an_error_names_key_value_and_grammar() {
    assert_eq!(
        complaint("tensor-parallel", "four"),
        "weighbridge.dev/tensor-parallel: \"four\" is no whole number from 1 to 65536: write digits, like 8"
    );
    assert_eq!(
        complaint("sharding", "zero4"),
        "weighbridge.dev/sharding: \"zero4\" is no value of it: write ddp, zero1, zero2, zero3, fsdp, hsdp or \
         distributed-optimizer"
    );
    assert_eq!(
        complaint("hidden-dropout", "some"),
        "weighbridge.dev/hidden-dropout: \"some\" is no percentage from 0 to 100: write a number like 40 or 42.5"
    );
    assert_eq!(
        complaint("loss", "large"),
        "weighbridge.dev/loss: \"large\" is no value of it: write eager, vocab-parallel, compiled-vocab-parallel, in-place, \
         chunked or fused"
    );
    let (_, findings) = read(&json!({"weighbridge.dev/layers": "many"}));
    assert_eq!(findings.errors[0].field, "metadata.annotations[weighbridge.dev/layers]");
}

#[test]
fn an_unknown_key_is_a_warning_with_the_nearest_name() {
    let (_, findings) = read(&json!({
        "weighbridge.dev/tensor-paralel": "8",
        "weighbridge.dev/typicalSequenceLength": "512",
        "weighbridge.dev/colour": "blue",
        "weighbridge.dev/mode": "warn",
        "example.com/tensor-parallel": "8",
    }));
    assert_eq!(
        findings.warnings,
        [
            "weighbridge.dev/tensor-paralel is not known and not read; did you mean tensor-parallel?",
            "weighbridge.dev/typicalSequenceLength is not known and not read; did you mean typical-sequence-length?",
            "weighbridge.dev/colour is not known and not read",
            "weighbridge.dev/mode is a label of namespaces; as an annotation it does nothing",
        ]
    );
}

#[test]
fn a_single_key_beats_the_block_and_the_disagreement_is_named() {
    let block = "parallelism: {tensor: 2, pipeline: 4}\nprecision: BF16\ndataset: {tokens: 500B}\n";
    let (provenance, findings) =
        read(&json!({"weighbridge.dev/tensor-parallel": "8", "weighbridge.dev/training": block}));
    assert!(findings.errors.is_empty() && findings.warnings.is_empty(), "{findings:?}");
    assert_eq!(
        serde_json::to_value(provenance.job()).unwrap(),
        json!({"parallelism": {"tensor": 8, "pipeline": 4}, "precision": "BF16", "dataset": {"tokens": 500_000_000_000_u64}})
    );
    assert_eq!(
        provenance.disagreements(None),
        ["parallelism.tensor is 8 (annotation weighbridge.dev/tensor-parallel), not 2 (training annotation)"]
    );
}

#[test]
fn a_block_that_cannot_be_read_names_the_line_and_what_nobody_reads_is_named() {
    for (block, says) in [
        ("model: {layers: 2}\nparallelism:\n  tensor: four\n", "line 3"),
        ("model: [", "line 1"),
        ("precision: bf17\n", "BF16"),
        ("precision: BF16\nprecision: FP16\n", "duplicate"),
        ("a: &a [x, *a]\n", "training"),
        (&"[".repeat(10_000), "training"),
        ("just words", "training"),
    ] {
        let (provenance, findings) = read(&json!({"weighbridge.dev/training": block}));
        let message = &findings.errors.first().expect(block).message;
        assert!(message.contains(says) && message.starts_with("weighbridge.dev/training: "), "{message}");
        assert!(!message.chars().any(char::is_control) && provenance.inputs(None).is_empty());
    }
    let block = "model: {layers: 2, size: 3}\ncolour: blue\n";
    let (provenance, findings) = read(&json!({"weighbridge.dev/training": block}));
    assert_eq!(provenance.inputs(None).len(), 1);
    assert_eq!(
        findings.warnings,
        [
            "weighbridge.dev/training: the field model.size is not known and not read; did you mean model.parameters?",
            "weighbridge.dev/training: the field colour is not known and not read"
        ]
    );
    assert!(read(&json!({"weighbridge.dev/training": ""})).1.errors.is_empty());
}

#[test]
fn an_override_needs_a_reason() {
    let (_, findings) = read(&json!({"weighbridge.dev/override": "paper deadline, agreed with ops"}));
    assert_eq!(findings.override_reason.as_deref(), Some("paper deadline, agreed with ops"));
    let (_, findings) = read(&json!({"weighbridge.dev/override": "  "}));
    assert_eq!((findings.override_reason, findings.errors.len()), (None, 1));
}

#[test]
fn an_override_a_mode_or_hardware_alone_is_no_word_about_training() {
    for (annotations, speak) in [
        (json!({"weighbridge.dev/gpu-type": "H100-80GB", "weighbridge.dev/accelerator-count": "8"}), false),
        (json!({"weighbridge.dev/price-per-gpu-hour": "2 USD"}), false),
        (json!({"weighbridge.dev/gpu-type": "H100-80GB", "weighbridge.dev/tokens": "1T"}), true),
        (json!({"weighbridge.dev/override": "why not", "weighbridge.dev/mode": "off"}), false),
        (json!({"example.com/model": "x"}), false),
        (json!({"weighbridge.dev/layers": 7}), true),
        (json!({"weighbridge.dev/tensor-paralel": "8"}), true),
        (json!("none"), false),
    ] {
        let object = json!({"metadata": {"annotations": annotations}});
        assert_eq!(Annotations::of(&object, "").speak_of_training(), speak, "{object}");
    }
}
