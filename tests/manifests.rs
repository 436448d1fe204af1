//! Manifests as people write them: what is read of each, and what becomes of it.
//!
//! The first table is over manifests of our own in `tests/manifests/`, of the shapes that public ones have. The second
//! is over public ones themselves, which the tree does not hold. Its tests are ignored, and fail without the folder that
//! `WEIGHBRIDGE_MANIFESTS` names: `WEIGHBRIDGE_MANIFESTS=… cargo test --test local manifests:: -- --include-ignored`.
//!
//! A wrong refusal is the worst mistake, so every row says what becomes of the manifest, whatever is read of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};
use weighbridge::job::{Ask, Quoting};
use weighbridge::judge::judge;
use weighbridge::judgement::{Judgement, Verdict};
use weighbridge::kinds::Kinds;
use weighbridge::policy::World;
use weighbridge::surroundings::{Node, Surroundings};

/// What becomes of a manifest's workloads.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Expected {
    /// It trains, and would never be refused.
    Admitted,
    /// It trains, and nothing can be said of whether it fits.
    Unknown,
    /// It is refused.
    Refused,
    /// Nothing trains.
    NotTraining,
}

use Expected::{Admitted, NotTraining, Refused, Unknown};

struct Case {
    file: &'static str,
    expected: Expected,
    /// What is read, at least: field and value, as reports show them.
    fields: &'static [(&'static str, &'static str)],
}

const fn case(
    file: &'static str,
    expected: Expected,
    fields: &'static [(&'static str, &'static str)],
) -> Case {
    Case { file, expected, fields }
}

const OWN: &[Case] = &[
    case(
        "fsdp-script.yaml",
        Admitted,
        &[
            ("model.layers", "32"),
            ("model.hiddenSize", "4096"),
            ("model.attentionHeads", "32"),
            ("model.keyValueHeads", "8"),
            ("model.ffnHiddenSize", "14336"),
            ("batch.sequenceLength", "8192"),
            ("batch.microBatchSize", "1"),
            ("parallelism.sharding", "FSDP"),
            ("offload.activations", "true"),
            ("accelerator.type", "H100-80GB"),
            ("accelerator.count", "32"),
        ],
    ),
    case("fsdp-70b-on-one-node.yaml", Refused, &[("model.layers", "80"), ("accelerator.count", "8")]),
    case(
        "megatron.yaml",
        Admitted,
        &[
            ("model.layers", "36"),
            ("model.hiddenSize", "4096"),
            ("model.attentionHeads", "32"),
            ("batch.sequenceLength", "2048"),
            ("batch.microBatchSize", "1"),
            ("batch.globalBatchSize", "288"),
            ("parallelism.tensor", "8"),
            ("parallelism.pipeline", "1"),
            ("precision", "FP16"),
            ("recompute", "Selective"),
            ("framework", "Megatron"),
            ("accelerator.count", "16"),
        ],
    ),
    case(
        "axolotl-config-map.yaml",
        Admitted,
        &[
            ("model.name", "google/gemma-3-4b-it"),
            ("finetuning.method", "QLoRA"),
            ("finetuning.rank", "32"),
            ("batch.sequenceLength", "4096"),
            ("batch.microBatchSize", "1"),
            ("recompute", "Full"),
            ("accelerator.count", "1"),
        ],
    ),
    case(
        "init-container-copies.yaml",
        Admitted,
        &[
            ("model.name", "Qwen/Qwen2.5-7B-Instruct"),
            ("finetuning.method", "LoRA"),
            ("finetuning.rank", "32"),
            ("batch.sequenceLength", "4096"),
            ("batch.microBatchSize", "2"),
            ("recompute", "Full"),
            ("precision", "BF16"),
            ("accelerator.count", "1"),
        ],
    ),
    case(
        "easyr1-job.yaml",
        Admitted,
        &[
            ("model.name", "Qwen/Qwen2.5-7B-Instruct"),
            ("objective", "GRPO"),
            ("batch.sequenceLength", "4096"),
            ("batch.microBatchSize", "1"),
            ("batch.globalBatchSize", "1024"),
            ("parallelism.sharding", "FSDP"),
            ("parameterPrecision", "BF16"),
            ("optimizerPrecision", "BF16"),
            ("roles.referenceModel", "Offloaded"),
            ("roles.rolloutEngine", "Asleep"),
            ("accelerator.count", "8"),
        ],
    ),
    case(
        "sft-config-map.yaml",
        Admitted,
        &[
            ("model.name", "bigscience/bloom-560m"),
            ("batch.microBatchSize", "4"),
            ("accelerator.type", "NVIDIA-A100-SXM4-80GB"),
            ("accelerator.count", "2"),
        ],
    ),
    case(
        "appwrapper-lora.yaml",
        Admitted,
        &[
            ("model.name", "ibm-granite/granite-8b-code-base-4k"),
            ("finetuning.method", "LoRA"),
            ("finetuning.rank", "4"),
            ("parallelism.sharding", "HSDP"),
            ("batch.microBatchSize", "8"),
            ("batch.sequenceLength", "512"),
            ("recompute", "Full"),
            ("accelerator.count", "8"),
        ],
    ),
    case(
        "volcano-llama-cookbook.yaml",
        Admitted,
        &[
            ("model.layers", "32"),
            ("model.hiddenSize", "4096"),
            ("parallelism.sharding", "FSDP"),
            ("batch.microBatchSize", "8"),
            ("parameterPrecision", "BF16"),
            ("accelerator.count", "16"),
        ],
    ),
    case(
        "trainjob-torchtune.yaml",
        Admitted,
        &[
            ("model.layers", "16"),
            ("model.hiddenSize", "2048"),
            ("accelerator.type", "NVIDIA-L40S"),
            ("accelerator.count", "2"),
        ],
    ),
    case(
        "image-variables.yaml",
        Admitted,
        &[
            ("model.name", "google/gemma-2b"),
            ("finetuning.method", "LoRA"),
            ("finetuning.rank", "8"),
            ("batch.microBatchSize", "1"),
            ("batch.sequenceLength", "512"),
            ("accelerator.count", "8"),
        ],
    ),
    case(
        "worker-command.yaml",
        Admitted,
        &[
            ("model.layers", "80"),
            ("parallelism.tensor", "4"),
            ("parallelism.pipeline", "8"),
            ("parallelism.virtualPipeline", "5"),
            ("batch.microBatchSize", "1"),
            ("batch.globalBatchSize", "256"),
            ("batch.sequenceLength", "8192"),
            ("precision", "BF16"),
            ("accelerator.count", "64"),
        ],
    ),
    case("queue-flavor.yaml", Admitted, &[("accelerator.type", "H100-80GB"), ("accelerator.count", "32")]),
    case("claimed.yaml", Admitted, &[("accelerator.type", "H100-80GB"), ("accelerator.count", "32")]),
    case(
        "megatron-swift.yaml",
        Admitted,
        &[
            ("model.name", "Qwen/Qwen3-30B-A3B"),
            ("framework", "Megatron"),
            ("finetuning.method", "Full"),
            ("parallelism.tensor", "2"),
            ("parallelism.expert", "8"),
            ("parallelism.expertTensor", "1"),
            ("parallelism.sharding", "DistributedOptimizer"),
            ("batch.sequenceLength", "8192"),
            ("batch.microBatchSize", "1"),
            ("batch.globalBatchSize", "16"),
            ("batch.packing", "true"),
            ("recompute", "Full"),
            ("offload.optimizer", "true"),
            ("dataset.steps", "500"),
            ("accelerator.count", "8"),
        ],
    ),
    case(
        "oumi.yaml",
        Admitted,
        &[
            ("model.name", "meta-llama/Llama-3.1-8B-Instruct"),
            ("batch.microBatchSize", "2"),
            ("batch.sequenceLength", "8192"),
            ("parallelism.sharding", "FSDP"),
            ("recompute", "Full"),
            ("loss", "Fused"),
            ("dataset.steps", "1000"),
            ("accelerator.count", "8"),
        ],
    ),
    case(
        "automodel.yaml",
        Admitted,
        &[
            ("model.name", "Qwen/Qwen2.5-7B"),
            ("finetuning.method", "LoRA"),
            ("finetuning.rank", "16"),
            ("batch.microBatchSize", "2"),
            ("batch.sequenceLength", "4096"),
            ("parallelism.sharding", "FSDP"),
            ("accelerator.count", "16"),
        ],
    ),
    case(
        "gpt-neox.yaml",
        Admitted,
        &[
            ("model.layers", "32"),
            ("model.hiddenSize", "4096"),
            ("model.ffnHiddenSize", "16384"),
            ("parallelism.tensor", "2"),
            ("parallelism.sharding", "ZeRO1"),
            ("batch.microBatchSize", "8"),
            ("batch.sequenceLength", "2048"),
            ("precision", "FP16"),
            ("recompute", "Full"),
            ("accelerator.count", "8"),
        ],
    ),
    case(
        "shared-prefix.yaml",
        Admitted,
        &[
            ("model.name", "Qwen/Qwen2.5-1.5B-Instruct"),
            ("batch.microBatchSize", "2"),
            ("batch.sequenceLength", "512"),
            ("accelerator.count", "4"),
        ],
    ),
    case("opaque.yaml", Unknown, &[]),
    case("no-training.yaml", NotTraining, &[]),
];

/// Public manifests, by the name that they have in their index.
const PUBLIC: &[Case] = &[
    case(
        "rendered-01-fsdp-llama2-7b.p5x4.yaml",
        Admitted,
        &[
            ("model.layers", "32"),
            ("model.hiddenSize", "4096"),
            ("model.attentionHeads", "32"),
            ("model.keyValueHeads", "32"),
            ("model.ffnHiddenSize", "11008"),
            ("batch.sequenceLength", "4096"),
            ("batch.microBatchSize", "1"),
            ("parallelism.sharding", "FSDP"),
            ("offload.activations", "true"),
            ("accelerator.count", "32"),
        ],
    ),
    case(
        "rendered-03-fsdp-llama2-70b.p5x4.yaml",
        Admitted,
        &[
            ("model.layers", "80"),
            ("model.hiddenSize", "8192"),
            ("model.attentionHeads", "64"),
            ("model.keyValueHeads", "8"),
            ("model.ffnHiddenSize", "28672"),
            ("batch.sequenceLength", "4096"),
            ("batch.microBatchSize", "1"),
            ("parallelism.sharding", "FSDP"),
            ("accelerator.count", "32"),
        ],
    ),
    case(
        "rendered-04-fsdp-llama3_1-8b.p5x4.yaml",
        Admitted,
        &[
            ("model.layers", "32"),
            ("model.keyValueHeads", "8"),
            ("model.ffnHiddenSize", "14336"),
            ("batch.sequenceLength", "8192"),
            ("accelerator.count", "32"),
        ],
    ),
    case(
        "rendered-06-fsdp-mixtral-8x7b.p5x4.yaml",
        Admitted,
        &[
            ("model.experts", "8"),
            ("model.expertsPerToken", "2"),
            ("model.vocabSize", "32000"),
            ("batch.microBatchSize", "4"),
            ("batch.sequenceLength", "32768"),
        ],
    ),
    case(
        "08-fsdp-llama3_2-1b-nsight.yaml",
        Admitted,
        &[
            ("model.layers", "16"),
            ("model.hiddenSize", "2048"),
            ("model.attentionHeads", "32"),
            ("model.keyValueHeads", "2"),
            ("model.ffnHiddenSize", "8192"),
            ("batch.sequenceLength", "2048"),
            ("batch.microBatchSize", "2"),
            ("accelerator.count", "2"),
        ],
    ),
    case(
        "rendered-09-megatron-gpt3-pytorchjob.p5x2.yaml",
        Admitted,
        &[
            ("model.layers", "36"),
            ("model.hiddenSize", "4096"),
            ("batch.sequenceLength", "2048"),
            ("parallelism.tensor", "8"),
            ("parallelism.pipeline", "1"),
            ("batch.microBatchSize", "1"),
            ("batch.globalBatchSize", "288"),
            ("precision", "FP16"),
            ("recompute", "Selective"),
            ("dataset.tokens", "300B"),
        ],
    ),
    case("rendered-10-deepspeed-qlora-qwen3-8b.g5.yaml", Unknown, &[("accelerator.type", "A10G")]),
    case("rendered-10-deepspeed-qlora-qwen3-8b.mig3g20gb.yaml", Unknown, &[]),
    case(
        "11-nemo-rl-grpo-rayjob.yaml",
        Unknown,
        &[("accelerator.type", "H200-141GB"), ("accelerator.count", "16")],
    ),
    case("12-nemo-rl-rayjob-a10g.yaml", Unknown, &[("accelerator.type", "A10G"), ("accelerator.count", "2")]),
    case("16-vjepa2-64gpu.yaml", Unknown, &[("accelerator.count", "64")]),
    case("17-composer-stable-diffusion.yaml", Unknown, &[]),
    case("18-verl-rlvr-raycluster.yaml", NotTraining, &[]),
    case("19-nccl-tests-negative.yaml", NotTraining, &[]),
    case(
        "20-bionemo-esm2-8m.yaml",
        Admitted,
        &[("batch.microBatchSize", "2"), ("parallelism.tensor", "1"), ("accelerator.type", "A10G")],
    ),
    case("21-neuron-llama2-mpijob.yaml", Unknown, &[("accelerator.count", "64")]),
    case("22-axolotl-gemma3-multimodal-a100.yaml", Admitted, &[("accelerator.count", "1")]),
    case(
        "23-gemma-2b-lora-8xl4.yaml",
        Admitted,
        &[
            ("model.name", "google/gemma-2b"),
            ("finetuning.method", "LoRA"),
            ("finetuning.rank", "8"),
            ("batch.sequenceLength", "512"),
            ("batch.microBatchSize", "1"),
            ("accelerator.count", "8"),
        ],
    ),
    case(
        "28-fms-sft-kfto-kueue.yaml",
        Admitted,
        &[
            ("model.name", "bigscience/bloom-560m"),
            ("batch.microBatchSize", "4"),
            ("accelerator.type", "NVIDIA-A100-SXM4-80GB"),
            ("accelerator.count", "2"),
        ],
    ),
    case(
        "29-fms-autoconf-appwrapper-lora.yaml",
        Admitted,
        &[
            ("model.name", "ibm-granite/granite-8b-code-base-4k"),
            ("finetuning.method", "LoRA"),
            ("finetuning.rank", "4"),
            ("batch.microBatchSize", "8"),
            ("batch.sequenceLength", "512"),
            ("parallelism.sharding", "HSDP"),
            ("recompute", "Full"),
        ],
    ),
    case("33-pytorch-deepspeed-bert-demo.yaml", Unknown, &[("accelerator.count", "2")]),
    case("34-elastic-imagenet.yaml", NotTraining, &[]),
    case("35-rayjob-pytorch-text-classifier.yaml", Unknown, &[("accelerator.count", "1")]),
    case("36-raycluster-verl.yaml", NotTraining, &[]),
    case("37-sichek-megatron-gpt3-5b.yaml", Unknown, &[("accelerator.count", "16")]),
    case(
        "39-ascendjob-llama-2x8.yaml",
        Unknown,
        &[("accelerator.count", "16"), ("accelerator.memory", "61.0 GiB")],
    ),
    case(
        "46-volcano-llama3-8b-fsdp-2x8.yaml",
        Admitted,
        &[
            ("model.layers", "32"),
            ("parallelism.sharding", "FSDP"),
            ("parameterPrecision", "BF16"),
            ("batch.microBatchSize", "8"),
            ("accelerator.count", "16"),
        ],
    ),
    case("55-mlperf-llama2-70b-lora-mpijob.yaml", Unknown, &[("accelerator.count", "64")]),
    case("rendered-56-aks-rayjob-llamafactory.default.yaml", Unknown, &[("accelerator.count", "4")]),
];

fn documents(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let documents = serde_saphyr::from_multiple::<Value>(&text);
    documents.unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The judgements of what trains in a stream, in a cluster that has these nodes besides.
fn judged(documents: &[Value], nodes: &[Arc<Node>]) -> Vec<Judgement> {
    let mut around = Surroundings::of(documents, Kinds::built_in());
    around.nodes = around.nodes.iter().chain(nodes).cloned().collect();
    let ask = Ask { quoting: Quoting::Everything, ..Ask::default() };
    let judge = |object| judge(object, &around, &World::built_in(), &ask);
    documents.iter().map(judge).filter(|judgement| judgement.verdict.trains()).collect()
}

/// A node of eight accelerators of a product.
fn node(product: &str) -> Arc<Node> {
    let object = json!({"status": {"allocatable": {"nvidia.com/gpu": "8"}}});
    let labels = [("nvidia.com/gpu.product", product)].into_iter().collect();
    Arc::new(Node::of("node".into(), labels, &object))
}

/// What is wrong with a case, a line each.
fn faults(case: &Case, documents: &[Value], nodes: &[Arc<Node>]) -> Vec<String> {
    let judgements = judged(documents, nodes);
    let mut faults = Vec::new();
    let mut fault = |what: String| faults.push(format!("{}: {what}", case.file));
    if judgements.is_empty() != (case.expected == NotTraining) {
        fault(format!("{} workloads train", judgements.len()));
    }
    for judgement in &judgements {
        let verdict = judgement.verdict;
        let met = match case.expected {
            Admitted => verdict != Verdict::OutOfMemory && judgement.errors.is_empty(),
            Unknown => verdict == Verdict::Unknown && judgement.errors.is_empty(),
            Refused => verdict == Verdict::OutOfMemory,
            NotTraining => false,
        };
        if !met {
            fault(format!("{verdict:?}, not {:?}: {}", case.expected, judgement.message));
        }
        for (field, value) in case.fields {
            let read = judgement.inputs.iter().find(|input| input.field.path() == *field);
            match read.map(|input| input.value.as_str()) {
                Some(read) if read == *value => {}
                read => fault(format!("{field} is {}, not {value}", read.unwrap_or("unknown"))),
            }
        }
    }
    faults
}

#[test]
fn our_own_manifests_are_read_as_people_mean_them() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/manifests");
    let wrong: Vec<String> =
        OWN.iter().flat_map(|case| faults(case, &documents(&folder.join(case.file)), &[])).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let listed = |name: &str| OWN.iter().any(|case| case.file == name);
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let unlisted: Vec<String> = files.filter(|name| !listed(name)).collect();
    assert!(unlisted.is_empty(), "no case names {unlisted:?}");
}

/// The folder of public manifests.
fn public() -> PathBuf {
    let named = std::env::var_os("WEIGHBRIDGE_MANIFESTS").map(PathBuf::from);
    let folder = named.unwrap_or_else(|| panic!("WEIGHBRIDGE_MANIFESTS names no folder of public manifests"));
    assert!(folder.is_dir(), "{} is no folder", folder.display());
    folder
}

#[test]
#[ignore = "reads public manifests, which the tree does not hold"]
fn public_manifests_are_read_as_their_index_says() {
    let folder = public();
    let wrong: Vec<String> =
        PUBLIC.iter().flat_map(|case| faults(case, &documents(&folder.join(case.file)), &[])).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Their authors ran them on these, or on less.
#[test]
#[ignore = "reads public manifests, which the tree does not hold"]
fn what_runs_in_production_is_admitted_where_it_ran() {
    let folder = public();
    let ran = PUBLIC.iter().filter(|case| case.expected == Admitted);
    for case in ran {
        for product in ["NVIDIA-H100-80GB-HBM3", "NVIDIA-H200"] {
            let judgements = judged(&documents(&folder.join(case.file)), &[node(product)]);
            for judgement in judgements {
                let message = &judgement.message;
                assert_ne!(judgement.verdict, Verdict::OutOfMemory, "{} on {product}: {message}", case.file);
            }
        }
    }
}

/// Every file that can be read, on any accelerators: a job is refused only if it surely runs out.
#[test]
#[ignore = "reads public manifests, which the tree does not hold"]
fn nothing_that_is_published_is_refused() {
    let folder = public();
    let mut judged_files = 0;
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let Ok(text) = fs::read_to_string(&path) else { continue };
        // Templates of Helm's, values and the like are no manifests.
        let Ok(documents) = serde_saphyr::from_multiple::<Value>(&text) else { continue };
        let judgements = judged(&documents, &[node("NVIDIA-H100-80GB-HBM3")]);
        judged_files += usize::from(!judgements.is_empty());
        for judgement in judgements {
            let message = &judgement.message;
            assert_ne!(judgement.verdict, Verdict::OutOfMemory, "{}: {message}", path.display());
            assert!(judgement.errors.is_empty(), "{}: {:?}", path.display(), judgement.errors);
        }
    }
    assert!(judged_files > 0, "none of them trains");
}

/// The same manifests, made hopeless: fewer accelerators, or none of the parallelism that they need.
#[test]
#[ignore = "reads public manifests, which the tree does not hold"]
fn what_was_made_hopeless_is_refused() {
    let folder = public();
    let mut documents = documents(&folder.join("rendered-03-fsdp-llama2-70b.p5x4.yaml"));
    let job = documents.iter_mut().find(|object| object["kind"] == "PyTorchJob").unwrap();
    *job.pointer_mut("/spec/pytorchReplicaSpecs/Worker/replicas").unwrap() = json!(1);
    let judgements = judged(&documents, &[node("NVIDIA-H100-80GB-HBM3")]);
    let verdicts: Vec<_> = judgements.iter().map(|judgement| judgement.verdict).collect();
    assert_eq!(verdicts, [Verdict::OutOfMemory], "{:?}", judgements.first().map(|j| &j.message));
}
