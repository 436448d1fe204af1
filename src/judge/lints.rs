//! Fields of a job that contradict each other. Each contradiction is a warning, never a denial.
//!
//! A lint compares two stated values. It is silent if one of them is not stated, so it never warns of an assumption.
//! The estimate has its own warnings, and they are not repeated here: degrees against the number of accelerators, the
//! global batch, heads against tensor parallelism, layers against pipeline stages, experts against expert parallelism.
//! Some checks need stated of the launcher, like processes on a node, or replicas. They belong to its reader in
//! [`crate::frameworks`], which warns as all readers do.
//!
//! | lint | source |
//! | --- | --- |
//! | key-value heads and tensor parallel: one divides the other | Megatron-LM, vLLM: groups are divided or replicated |
//! | hidden size = a multiple of the heads, heads = one of the key-value heads | the architecture |
//! | layers = a multiple of pipeline × virtual | Megatron-LM, interleaved schedule |
//! | sequence length = a multiple of 2 × context parallel, of tensor parallel under sequence parallelism | Megatron-LM |
//! | accelerators = a multiple of expert × expert tensor × pipeline parallel | Megatron-LM, torchtitan |
//! | precision and the accelerator's units: fp8, fp4 | NVIDIA Transformer Engine: refuses to start below compute capability 8.9 |
//! | bf16, and FlashAttention 2, from Ampere on | NVIDIA; Dao-AILab/flash-attention 2.8 `README.md` |
//! | no gradient sharding with pipeline stages | DeepSpeed: ZeRO-2 and 3 refuse `PipelineModule` |

use crate::frameworks::profile;
use crate::hardware::{Accelerator, Vendor};
use crate::job::{Attention, Method, Positions, Precision, Sharding, TrainingJob};
use crate::verdict::accelerator_with_article;

/// The most lints shown for one job.
const MOST: usize = 5;

/// All lints, one line each: the contradictions first.
pub(super) fn lints(job: &TrainingJob, device: Option<&Accelerator>) -> impl Iterator<Item = String> {
    let stated = Stated::of(job, device);
    let all = CONTRADICTIONS.iter().chain(IDLE).chain(OF_THE_ACCELERATOR);
    all.filter_map(move |lint| lint(&stated)).take(MOST)
}

/// The contradictions alone, one line each. Such a job ends when it starts, or does not do what one of its fields says.
pub(super) fn contradictions(
    job: &TrainingJob,
    device: Option<&Accelerator>,
) -> impl Iterator<Item = String> {
    let stated = Stated::of(job, device);
    CONTRADICTIONS.iter().filter_map(move |lint| lint(&stated)).take(MOST)
}

/// What speaks against a job: the contradictions, and what the accelerator does not compute in.
pub(super) fn objections(job: &TrainingJob, device: Option<&Accelerator>) -> impl Iterator<Item = String> {
    let stated = Stated::of(job, device);
    CONTRADICTIONS.iter().chain(OF_THE_ACCELERATOR).filter_map(move |lint| lint(&stated))
}

/// The stated values that lints compare. A degree that is not stated is one.
#[derive(Default)]
struct Stated {
    accelerators: Option<u64>,
    tensor: u64,
    pipeline: u64,
    virtual_pipeline: u64,
    context: u64,
    expert: u64,
    expert_tensor: u64,
    data: Option<u64>,
    sequence_parallel: bool,
    sharding: Option<Sharding>,
    sharding_degree: Option<u64>,
    pipeline_refuses_zero_2: bool,
    uneven_stages: bool,
    layers: Option<u64>,
    hidden: Option<u64>,
    heads: Option<u64>,
    key_value_heads: Option<u64>,
    heads_fill_hidden: bool,
    experts: Option<u64>,
    experts_per_token: Option<u64>,
    learned_positions: Option<u64>,
    micro_batch: Option<u64>,
    global_batch: Option<u64>,
    sequence: Option<u64>,
    method: Option<Method>,
    rank: Option<u64>,
    typical: Option<u64>,
    /// The precision, and the accelerator that has no units for it.
    without_units: Option<(Precision, String)>,
    /// The accelerator for which FlashAttention 2 has no kernels, if the job states it.
    without_flash: Option<String>,
}

impl Stated {
    fn of(job: &TrainingJob, device: Option<&Accelerator>) -> Self {
        let model = job.model.clone().unwrap_or_default();
        let parallelism = job.parallelism.clone().unwrap_or_default();
        let batch = job.batch.clone().unwrap_or_default();
        let finetuning = job.finetuning.clone().unwrap_or_default();
        let known = |value: Option<u32>| value.map(u64::from).filter(|value| *value > 0);
        let degree = |value: Option<u32>| known(value).unwrap_or(1);
        let (tensor, pipeline) = (degree(parallelism.tensor), degree(parallelism.pipeline));
        let context = degree(parallelism.context);
        let accelerators = known(job.accelerator.as_ref().and_then(|accelerator| accelerator.count));
        let replica = tensor.saturating_mul(pipeline).saturating_mul(context);
        let rest = accelerators.filter(|count| count.is_multiple_of(replica)).map(|count| count / replica);
        Self {
            accelerators,
            tensor,
            pipeline,
            virtual_pipeline: degree(parallelism.virtual_pipeline),
            context,
            expert: degree(parallelism.expert),
            expert_tensor: degree(parallelism.expert_tensor),
            data: known(parallelism.data).or(rest),
            sequence_parallel: parallelism.sequence == Some(true),
            sharding: parallelism.sharding,
            sharding_degree: known(parallelism.sharding_degree),
            pipeline_refuses_zero_2: profile(job.framework).sharding.pipeline_refuses_zero_2,
            uneven_stages: parallelism.first_stage_layers.or(parallelism.last_stage_layers).is_some()
                || parallelism.embedding_as_layer == Some(true)
                || parallelism.loss_as_layer == Some(true),
            layers: known(model.layers),
            hidden: known(model.hidden_size),
            heads: known(model.attention_heads),
            key_value_heads: known(model.key_value_heads),
            heads_fill_hidden: model.head_size.is_none() && model.latent_attention.is_none(),
            experts: known(model.experts),
            experts_per_token: known(model.experts_per_token),
            learned_positions: known(model.max_positions)
                .filter(|_| model.positions == Some(Positions::Learned)),
            micro_batch: known(batch.micro_batch_size),
            global_batch: known(batch.global_batch_size),
            sequence: known(batch.sequence_length),
            method: finetuning.method,
            rank: finetuning.rank.map(u64::from),
            typical: known(batch.typical_sequence_length),
            without_units: job.precision.and_then(|precision| {
                let device = device?;
                let has = match precision {
                    Precision::BF16 => device.computes_in_bf16(),
                    Precision::FP8 | Precision::FP4 => device.peak(precision).is_some(),
                    _ => true,
                };
                (!has).then(|| (precision, device.name.clone()))
            }),
            without_flash: device
                .filter(|device| {
                    job.attention == Some(Attention::Flash)
                        && device.vendor == Vendor::NVIDIA
                        && !device.computes_in_bf16()
                })
                .map(|device| device.name.clone()),
        }
    }
}

/// Fields that contradict each other. Those that end a job soonest come first.
const CONTRADICTIONS: &[fn(&Stated) -> Option<String>] = &[
    key_value_heads_and_tensor_parallel,
    heads_and_hidden_size,
    heads_and_key_value_heads,
    experts_of_a_dense_model,
    experts_per_token,
    expert_parallel_and_accelerators,
    layers_and_virtual_pipeline,
    sharding_and_pipeline,
    sharding_degree,
    sequence_and_context_parallel,
    sequence_and_tensor_parallel,
    positions_and_sequence,
    adapters_and_method,
    eight_bits_and_accelerator,
    typical_and_longest,
];

/// Fields that have no effect, or waste accelerators.
const IDLE: &[fn(&Stated) -> Option<String>] =
    &[virtual_pipeline_alone, sequence_parallel_alone, adapters_of_no_rank, microbatches_and_stages];

/// Fields that the accelerator is slow with, or does not run.
const OF_THE_ACCELERATOR: &[fn(&Stated) -> Option<String>] = &[bf16_and_accelerator, flash_and_accelerator];

fn key_value_heads_and_tensor_parallel(stated: &Stated) -> Option<String> {
    let (heads, groups, tensor) = (stated.heads?, stated.key_value_heads?, stated.tensor);
    // The estimate already warns about heads that tensor parallelism does not divide.
    let fits =
        groups.is_multiple_of(tensor) || tensor.is_multiple_of(groups) || !heads.is_multiple_of(tensor);
    (!fits)
        .then(|| format!("{groups} key-value heads and tensor parallel {tensor}: neither divides the other"))
}

fn heads_and_hidden_size(stated: &Stated) -> Option<String> {
    let (hidden, heads) = (stated.hidden?, stated.heads?);
    let wrong = stated.heads_fill_hidden && !hidden.is_multiple_of(heads);
    wrong.then(|| {
        format!("hidden size {hidden} is no multiple of {heads} attention heads, and no head size is given")
    })
}

fn heads_and_key_value_heads(stated: &Stated) -> Option<String> {
    let (heads, groups) = (stated.heads?, stated.key_value_heads?);
    (!heads.is_multiple_of(groups))
        .then(|| format!("{heads} attention heads are no multiple of {groups} key-value heads"))
}

fn experts_of_a_dense_model(stated: &Stated) -> Option<String> {
    stated.layers.and(stated.hidden)?;
    let dense = stated.experts.is_none_or(|experts| experts < 2);
    (dense && stated.expert > 1)
        .then(|| format!("expert parallel is {}, but the model has no experts", stated.expert))
}

fn experts_per_token(stated: &Stated) -> Option<String> {
    let (experts, chosen) = (stated.experts?, stated.experts_per_token?);
    (chosen > experts).then(|| format!("a token goes to {chosen} experts, but there are only {experts}"))
}

fn expert_parallel_and_accelerators(stated: &Stated) -> Option<String> {
    let count = stated.accelerators.filter(|_| experts_of_a_dense_model(stated).is_none())?;
    let group = stated.expert.saturating_mul(stated.expert_tensor).saturating_mul(stated.pipeline);
    (stated.expert > 1 && !count.is_multiple_of(group)).then(|| {
        format!(
            "{count} accelerators are no multiple of expert × expert tensor × pipeline parallel = {group}"
        )
    })
}

fn layers_and_virtual_pipeline(stated: &Stated) -> Option<String> {
    let (stages, chunks) = (stated.pipeline, stated.virtual_pipeline);
    let layers = stated.layers.filter(|_| stages > 1)?;
    // The estimate already warns about layers that the stages alone do not divide.
    let even = stated.uneven_stages || !layers.is_multiple_of(stages);
    (!even && !layers.is_multiple_of(stages.saturating_mul(chunks))).then(|| {
        format!("{layers} layers are no multiple of pipeline parallel {stages} × virtual pipeline {chunks}")
    })
}

fn virtual_pipeline_alone(stated: &Stated) -> Option<String> {
    let chunks = stated.virtual_pipeline;
    (chunks > 1 && stated.pipeline == 1)
        .then(|| format!("virtual pipeline {chunks} does nothing without pipeline parallel"))
}

fn sharding_and_pipeline(stated: &Stated) -> Option<String> {
    let gradients = matches!(stated.sharding?, Sharding::ZeRO2 | Sharding::ZeRO3);
    (stated.pipeline_refuses_zero_2 && gradients && stated.pipeline > 1)
        .then(|| "DeepSpeed's pipeline takes ZeRO-1 at most: ZeRO-2 and ZeRO-3 are refused".to_owned())
}

fn sharding_degree(stated: &Stated) -> Option<String> {
    let (degree, ranks) = (stated.sharding_degree?, stated.data?.saturating_mul(stated.context));
    (!ranks.is_multiple_of(degree)).then(|| {
        format!("{ranks} data × context parallel ranks are no multiple of the sharding degree {degree}")
    })
}

fn sequence_and_context_parallel(stated: &Stated) -> Option<String> {
    let (sequence, context) = (stated.sequence?, stated.context);
    (context > 1 && !sequence.is_multiple_of(2 * context))
        .then(|| format!("sequence length {sequence} is no multiple of 2 × context parallel {context}"))
}

fn sequence_and_tensor_parallel(stated: &Stated) -> Option<String> {
    let (sequence, tensor) = (stated.sequence.filter(|_| stated.sequence_parallel)?, stated.tensor);
    (!sequence.is_multiple_of(tensor)).then(|| {
        format!("sequence length {sequence} is no multiple of tensor parallel {tensor}, as sequence parallel needs")
    })
}

fn sequence_parallel_alone(stated: &Stated) -> Option<String> {
    let alone = stated.sequence_parallel && stated.tensor == 1;
    alone.then(|| "sequence parallel does nothing without tensor parallel".to_owned())
}

fn positions_and_sequence(stated: &Stated) -> Option<String> {
    let (sequence, positions) = (stated.sequence?, stated.learned_positions?);
    (sequence > positions)
        .then(|| format!("sequence length {sequence} is above the model's {positions} learned positions"))
}

fn adapters_and_method(stated: &Stated) -> Option<String> {
    match (stated.method, stated.rank?) {
        (Some(Method::Full), rank) if rank > 0 => Some(format!(
            "adapters of rank {rank} are given, but the method is full: every weight is trained"
        )),
        _ => None,
    }
}

fn adapters_of_no_rank(stated: &Stated) -> Option<String> {
    let adapts = matches!(stated.method, Some(Method::LoRA | Method::QLoRA));
    (adapts && stated.rank == Some(0)).then(|| "adapters of rank 0 train nothing".to_owned())
}

fn microbatches_and_stages(stated: &Stated) -> Option<String> {
    let at_once = stated.micro_batch?.saturating_mul(stated.data?);
    let (batches, stages) = (stated.global_batch? / at_once.max(1), stated.pipeline);
    // The estimate already warns about a batch smaller than one microbatch of every replica.
    (batches > 0 && batches < stages).then(|| {
        format!("a step has {batches} microbatches for {stages} pipeline stages: not all of them have work")
    })
}

fn eight_bits_and_accelerator(stated: &Stated) -> Option<String> {
    let (precision, name) = stated.without_units.as_ref()?;
    let is_short = matches!(precision, Precision::FP8 | Precision::FP4);
    let name = accelerator_with_article(name);
    is_short.then(|| format!("precision {} is stated, but {name} does not compute in it", precision.word()))
}

fn bf16_and_accelerator(stated: &Stated) -> Option<String> {
    let (precision, name) = stated.without_units.as_ref()?;
    (*precision == Precision::BF16).then(|| {
        let name = accelerator_with_article(name);
        format!(
            "precision bf16 is stated, but {name} has no units for it: it is slow there, or does not start"
        )
    })
}

fn flash_and_accelerator(stated: &Stated) -> Option<String> {
    let name = accelerator_with_article(stated.without_flash.as_ref()?);
    Some(format!(
        "attention flash is stated, but {name} has no kernel of FlashAttention 2: another one runs, or none"
    ))
}

fn typical_and_longest(stated: &Stated) -> Option<String> {
    let (typical, longest) = (stated.typical?, stated.sequence?);
    (typical > longest)
        .then(|| format!("samples of {typical} tokens are typical, but the longest sequence has {longest}"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn said(job: &Value) -> Vec<String> {
        lints(&serde_json::from_value(job.clone()).unwrap(), None).collect()
    }

    #[test]
    fn what_does_not_go_together_is_said() {
        for (job, line) in [
            (
                json!({"model": {"attentionHeads": 48, "keyValueHeads": 4}, "parallelism": {"tensor": 6}}),
                "4 key-value heads and tensor parallel 6: neither divides the other",
            ),
            (
                json!({"model": {"hiddenSize": 4096, "attentionHeads": 30}}),
                "hidden size 4096 is no multiple of 30 attention heads, and no head size is given",
            ),
            (
                json!({"model": {"attentionHeads": 32, "keyValueHeads": 5}}),
                "32 attention heads are no multiple of 5 key-value heads",
            ),
            (
                json!({"model": {"layers": 32, "hiddenSize": 4096}, "parallelism": {"expert": 8}}),
                "expert parallel is 8, but the model has no experts",
            ),
            (
                json!({"model": {"experts": 8, "expertsPerToken": 9}}),
                "a token goes to 9 experts, but there are only 8",
            ),
            (
                json!({"accelerator": {"count": 64}, "parallelism": {"pipeline": 4, "expert": 12}}),
                "64 accelerators are no multiple of expert × expert tensor × pipeline parallel = 48",
            ),
            (
                json!({"model": {"layers": 40}, "parallelism": {"pipeline": 4, "virtualPipeline": 3}}),
                "40 layers are no multiple of pipeline parallel 4 × virtual pipeline 3",
            ),
            (
                json!({"parallelism": {"virtualPipeline": 4}}),
                "virtual pipeline 4 does nothing without pipeline parallel",
            ),
            (
                json!({"parallelism": {"pipeline": 2, "sharding": "ZeRO3"}}),
                "DeepSpeed's pipeline takes ZeRO-1 at most: ZeRO-2 and ZeRO-3 are refused",
            ),
            (
                json!({"accelerator": {"count": 16}, "parallelism": {"tensor": 2, "shardingDegree": 3}}),
                "8 data × context parallel ranks are no multiple of the sharding degree 3",
            ),
            (
                json!({"batch": {"sequenceLength": 1000}, "parallelism": {"context": 8}}),
                "sequence length 1000 is no multiple of 2 × context parallel 8",
            ),
            (
                json!({"parallelism": {"sequence": true}}),
                "sequence parallel does nothing without tensor parallel",
            ),
            (
                json!({"batch": {"sequenceLength": 1001}, "parallelism": {"tensor": 8, "sequence": true}}),
                "sequence length 1001 is no multiple of tensor parallel 8, as sequence parallel needs",
            ),
            (
                json!({"model": {"positions": "Learned", "maxPositions": 1024}, "batch": {"sequenceLength": 4096}}),
                "sequence length 4096 is above the model's 1024 learned positions",
            ),
            (
                json!({"finetuning": {"method": "Full", "rank": 16}}),
                "adapters of rank 16 are given, but the method is full: every weight is trained",
            ),
            (json!({"finetuning": {"method": "LoRA", "rank": 0}}), "adapters of rank 0 train nothing"),
            (
                json!({
                    "accelerator": {"count": 64}, "parallelism": {"pipeline": 8},
                    "batch": {"microBatchSize": 1, "globalBatchSize": 32},
                }),
                "a step has 4 microbatches for 8 pipeline stages: not all of them have work",
            ),
        ] {
            assert_eq!(said(&job), [line], "{job}");
        }
    }

    #[test]
    fn a_precision_that_the_accelerator_does_not_compute_in_is_said() {
        let catalogue = crate::hardware::Catalogue::builtin();
        let of = |precision: &str, device: &str| -> [usize; 2] {
            let job: TrainingJob = serde_json::from_value(json!({"precision": precision})).unwrap();
            let device = catalogue.find(device);
            assert!(device.is_some());
            [contradictions(&job, device).count(), lints(&job, device).count()]
        };
        for (precision, device, counts) in [
            ("FP8", "A100-80GB", [1, 1]),
            ("FP8", "H100", [0, 0]),
            ("BF16", "V100", [0, 1]),
            ("BF16", "A100-80GB", [0, 0]),
            ("FP16", "V100", [0, 0]),
        ] {
            assert_eq!(of(precision, device), counts, "{precision} {device}");
        }
    }

    #[test]
    fn what_has_no_effect_is_no_contradiction() {
        let job = serde_json::from_value(json!({"parallelism": {"sequence": true}})).unwrap();
        assert_eq!((contradictions(&job, None).count(), lints(&job, None).count()), (0, 1));
        let job = json!({"batch": {"sequenceLength": 4096, "typicalSequenceLength": 9000}});
        let job = serde_json::from_value(job).unwrap();
        assert_eq!(contradictions(&job, None).count(), 1);
    }

    #[test]
    fn what_is_said_elsewhere_or_not_stated_or_right_is_not_said() {
        for job in [
            json!({}),
            json!({"model": {"attentionHeads": 32, "keyValueHeads": 8}, "parallelism": {"tensor": 16}}),
            json!({"model": {"attentionHeads": 32, "keyValueHeads": 8}, "parallelism": {"tensor": 5}}),
            json!({"model": {"hiddenSize": 2560, "attentionHeads": 30, "headSize": 128}}),
            json!({"model": {"layers": 30}, "parallelism": {"pipeline": 4, "virtualPipeline": 2}}),
            json!({"model": {"layers": 62}, "parallelism":
                {"pipeline": 8, "virtualPipeline": 4, "embeddingAsLayer": true, "lossAsLayer": true}}),
            json!({"parallelism": {"expert": 8}}),
            json!({"framework": "Torchtitan", "parallelism": {"pipeline": 2, "sharding": "ZeRO3"}}),
            json!({"batch": {"sequenceLength": 4096}, "parallelism": {"context": 8, "tensor": 8, "sequence": true}}),
            json!({"finetuning": {"method": "LoRA", "rank": 16}}),
            json!({"accelerator": {"count": 8}, "batch": {"microBatchSize": 4, "globalBatchSize": 8}}),
            json!({"model": {"layers": 0, "attentionHeads": 0, "keyValueHeads": 0}, "parallelism": {"tensor": 0}}),
        ] {
            assert_eq!(said(&job), Vec::<String>::new(), "{job}");
        }
    }

    #[test]
    fn lines_are_short_and_few_whatever_the_numbers() {
        const MOST_OF_ALL: u32 = u32::MAX;
        let odd = MOST_OF_ALL - 2;
        let job = json!({
            "model": {
                "layers": odd, "hiddenSize": odd, "attentionHeads": MOST_OF_ALL, "keyValueHeads": odd,
                "experts": odd, "expertsPerToken": MOST_OF_ALL, "positions": "Learned", "maxPositions": 1,
            },
            "parallelism": {
                "tensor": 1, "pipeline": 1, "virtualPipeline": MOST_OF_ALL, "context": MOST_OF_ALL, "expert": odd,
                "expertTensor": MOST_OF_ALL, "data": odd, "sharding": "ZeRO3", "shardingDegree": MOST_OF_ALL,
                "sequence": true,
            },
            "accelerator": {"count": MOST_OF_ALL},
            "batch": {"microBatchSize": 1, "globalBatchSize": MOST_OF_ALL, "sequenceLength": odd},
            "finetuning": {"method": "Full", "rank": MOST_OF_ALL},
        });
        let stated = Stated::of(&serde_json::from_value(job.clone()).unwrap(), None);
        let lines: Vec<_> = CONTRADICTIONS.iter().chain(IDLE).filter_map(|lint| lint(&stated)).collect();
        assert!(lines.len() > MOST && lines.iter().all(|line| line.chars().count() <= 120), "{lines:?}");
        assert_eq!(said(&job).len(), MOST);
    }
}
