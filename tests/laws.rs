//! Laws that hold for every training job, because physics does not depend on the case.

use proptest::prelude::*;
use weighbridge::estimate::assume::{Device, assume};
use weighbridge::estimate::calibration::Calibration;
use weighbridge::estimate::memory::{self, Figure, Peak};
use weighbridge::estimate::plan::Plan;
use weighbridge::estimate::{estimate, time};
use weighbridge::hardware::{self, Catalogue};
use weighbridge::job::{
    Accelerator, Activation, Ask, Batch, Dataset, Efficiency, Finetuning, Framework, Method, Model,
    Parallelism, Positions, Recompute, Sharding, TrainingJob,
};
use weighbridge::judge::judge;
use weighbridge::judgement::{Judgement, Verdict};
use weighbridge::model::Parameters;
use weighbridge::policy::World;
use weighbridge::surroundings::Surroundings;
use weighbridge::units::{Bytes, Count, Decimal};

fn peak(plan: &Plan) -> Peak {
    memory::peak(plan, Calibration::builtin())
}

fn likely(job: &TrainingJob) -> Plan {
    assume(job, Device { bf16: true }).unwrap().likely
}

fn component(peak: &Peak, names: &[&str]) -> Bytes {
    peak.components.iter().filter(|c| names.contains(&c.name)).map(|c| c.bytes).sum()
}

/// The most memory of these components on any stage. Two plans may have different worst stages.
fn most(plan: &Plan, names: &[&str]) -> Bytes {
    let counted = Parameters::of(&plan.shape);
    (0..plan.pipeline)
        .map(|i| component(&memory::stage_peak(plan, &counted, Calibration::builtin(), plan.stage(i)), names))
        .max()
        .unwrap_or_default()
}

fn states(plan: &Plan) -> Bytes {
    most(plan, &["weights", "optimizer states"])
}

prop_compose! {
    /// A stated training job of a plausible model, on any framework.
    fn any_job()(
        layers in 1u32..130, heads in 1u32..130, head_size in prop::sample::select(vec![64u32, 128]),
        ffn in 1u32..8, vocab in 1_000u32..300_000, gated: bool,
        tensor in 0u32..4, pipeline in 0u32..4, data in 0u32..8,
        micro in 1u32..8, batches in 1u32..32, sequence in 1u32..40_000,
        sharding in prop::sample::select(Sharding::ALL.to_vec()),
        framework in prop::sample::select(Framework::ALL.to_vec()),
        recompute in prop::sample::select(Recompute::ALL.to_vec()),
        experts in prop::sample::select(vec![None, None, Some(4u32), Some(8), Some(64)]),
        per_token in 1u32..9, expert_ffn in 1u32..20, tied: bool, learned: bool, query_key: bool,
    ) -> TrainingJob {
        let (tensor, pipeline, data) = (1 << tensor, 1 << pipeline, 1 << data);
        TrainingJob {
            model: Some(Model {
                layers: Some(layers),
                hidden_size: Some(heads * head_size),
                attention_heads: Some(heads),
                head_size: Some(head_size),
                ffn_hidden_size: Some(ffn * heads * head_size),
                vocab_size: Some(vocab),
                activation: Some(if gated { Activation::SwiGLU } else { Activation::GELU }),
                positions: Some(if learned { Positions::Learned } else { Positions::Rotary }),
                tied_embeddings: Some(tied),
                query_key_normalization: Some(query_key),
                experts,
                experts_per_token: experts.map(|_| per_token),
                expert_ffn_hidden_size: experts.map(|_| expert_ffn * 128),
                ..Model::default()
            }),
            parallelism: Some(Parallelism {
                tensor: Some(tensor), pipeline: Some(pipeline), data: Some(data), sharding: Some(sharding),
                ..Parallelism::default()
            }),
            batch: Some(Batch {
                micro_batch_size: Some(micro),
                global_batch_size: Some(micro * data * batches),
                sequence_length: Some(sequence),
                ..Batch::default()
            }),
            framework: Some(framework),
            recompute: Some(recompute),
            ..TrainingJob::default()
        }
    }
}

prop_compose! {
    /// A stated training job in the range of the assumptions: usual lengths, batches and vocabularies.
    fn usual_job()(
        layers in 2u32..100, heads in 8u32..100, vocab in 32_000u32..152_000,
        data in 0u32..6, micro in 1u32..=4, sequence in 512u32..=8192, tensor in 0u32..3,
        sharding in prop::sample::select(vec![Sharding::None, Sharding::DistributedOptimizer]),
        recompute in prop::sample::select(vec![Recompute::None, Recompute::Full]),
        fsdp: bool,
    ) -> TrainingJob {
        let (tensor, data) = (1 << tensor, 1 << data);
        let (framework, sharding, tensor) = if fsdp {
            (Framework::Torchtitan, Sharding::FSDP, 1)
        } else {
            (Framework::Megatron, sharding, tensor)
        };
        TrainingJob {
            model: Some(Model {
                layers: Some(layers),
                hidden_size: Some(heads * 128),
                attention_heads: Some(heads),
                ffn_hidden_size: Some(heads * 512),
                vocab_size: Some(vocab),
                activation: Some(Activation::SwiGLU),
                ..Model::default()
            }),
            parallelism: Some(Parallelism {
                tensor: Some(tensor), sequence: Some(tensor > 1), pipeline: Some(1), data: Some(data),
                sharding: Some(sharding), ..Parallelism::default()
            }),
            batch: Some(Batch {
                micro_batch_size: Some(micro), global_batch_size: Some(micro * data),
                sequence_length: Some(sequence), ..Batch::default()
            }),
            framework: Some(framework),
            framework_version: Some("0.0".into()),
            compile: Some(false),
            recompute: Some(recompute),
            ..TrainingJob::default()
        }
    }
}

/// The job without the fields of a mask.
fn clear(job: &TrainingJob, mask: u8) -> TrainingJob {
    let mut job = job.clone();
    let cleared = |bit: u8| mask & (1 << bit) != 0;
    if cleared(0) {
        job.recompute = None;
    }
    if cleared(1) {
        job.framework_version = None;
    }
    if cleared(2) {
        job.compile = None;
    }
    if let Some(model) = &mut job.model
        && cleared(3)
    {
        model.vocab_size = None;
    }
    if let Some(batch) = &mut job.batch {
        if cleared(4) {
            batch.micro_batch_size = None;
        }
        if cleared(5) {
            batch.sequence_length = None;
        }
    }
    if let Some(parallelism) = &mut job.parallelism {
        if cleared(6) {
            parallelism.sharding = None;
        }
        if cleared(7) {
            parallelism.sequence = None;
        }
    }
    job
}

/// The judgement of a job on accelerators of so much memory.
fn judged(job: &TrainingJob, gib: u32) -> Judgement {
    let mut job = job.clone();
    job.accelerator = Some(Accelerator {
        kind: Some("H100-80GB".into()),
        memory: Some(format!("{gib}Gi")),
        ..Accelerator::default()
    });
    let object = serde_json::json!({
        "apiVersion": "weighbridge.dev/v1alpha1", "kind": "TrainingEstimate", "metadata": {"name": "a"}, "spec": job,
    });
    let ask = Ask { advice: false, ..Ask::default() };
    judge(&object, &Surroundings::default(), &World::built_in(), &ask)
}

proptest! {
    #[test]
    fn components_add_up_to_the_peak(job in any_job()) {
        let peak = peak(&likely(&job));
        prop_assert_eq!(peak.components.iter().map(|c| c.bytes).sum::<Bytes>(), peak.needed);
        prop_assert!(peak.allocated <= peak.reserved && peak.reserved <= peak.process);
        prop_assert!(peak.allocated < peak.needed);
    }

    #[test]
    fn every_stage_needs_at_most_the_reported_peak(job in any_job()) {
        let plan = likely(&job);
        let counted = Parameters::of(&plan.shape);
        let worst = peak(&plan);
        for index in 0..plan.pipeline {
            let stage = memory::stage_peak(&plan, &counted, Calibration::builtin(), plan.stage(index));
            prop_assert!(stage.needed <= worst.needed);
        }
    }

    #[test]
    fn stages_hold_every_layer_once(job in any_job()) {
        let plan = likely(&job);
        let layers: u64 = (0..plan.pipeline).map(|i| plan.stage(i).layers()).sum();
        prop_assert_eq!(layers, plan.shape.layers);
    }

    #[test]
    fn more_tensor_parallelism_never_needs_more_weights_per_gpu(job in any_job()) {
        let narrow = likely(&job);
        let wide = Plan { tensor: narrow.tensor * 2, ..narrow.clone() };
        prop_assert!(most(&wide, &["weights"]) <= most(&narrow, &["weights"]));
    }

    #[test]
    fn more_pipeline_parallelism_never_needs_more_states_per_gpu(job in any_job()) {
        let short = likely(&job);
        let long = Plan { pipeline: short.pipeline * 2, ..short.clone() };
        prop_assert!(states(&long) <= states(&short));
    }

    #[test]
    fn more_expert_parallelism_never_needs_more_weights_per_gpu(job in any_job()) {
        let few = likely(&job);
        let many = Plan { expert: few.expert * 2, ..few.clone() };
        prop_assert!(most(&many, &["weights"]) <= most(&few, &["weights"]));
    }

    #[test]
    fn more_ranks_never_need_more_states(job in any_job()) {
        let few = likely(&job);
        let many = Plan { data: few.data * 2, ..few.clone() };
        prop_assert!(states(&many) <= states(&few));
    }

    #[test]
    fn more_sharding_never_needs_more_states(job in any_job()) {
        let plan = likely(&job);
        let order = [Sharding::None, Sharding::ZeRO1, Sharding::ZeRO2, Sharding::ZeRO3];
        let states: Vec<_> =
            order.iter().map(|s| states(&Plan { sharding: *s, pipeline: 1, ..plan.clone() })).collect();
        prop_assert!(states.is_sorted_by(|less, more| less >= more), "{states:?}");
    }

    #[test]
    fn more_recomputation_never_keeps_more_activations(job in any_job()) {
        let plan = likely(&job);
        let needed = |recompute| peak(&Plan { recompute, ..plan.clone() }).needed;
        // A checkpoint holds the input of the layer during its backward pass. Without a checkpoint it is freed early.
        let input = Bytes(plan.tokens() * plan.shape.hidden * 4);
        prop_assert!(needed(Recompute::Full) <= needed(Recompute::None) + input);
        // One more byte for each sum that is rounded up.
        prop_assert!(needed(Recompute::Selective) <= needed(Recompute::None) + Bytes(16));
    }

    #[test]
    fn memory_grows_with_batch_and_sequence(job in any_job()) {
        let plan = likely(&job);
        let needed = peak(&plan).needed;
        let larger_batch = Plan { micro_batch: plan.micro_batch + 1, ..plan.clone() };
        prop_assert!(peak(&larger_batch).needed >= needed);
        let longer = Plan { sequence: plan.sequence + 1, ..plan.clone() };
        prop_assert!(peak(&longer).needed >= needed);
    }

    #[test]
    fn adapters_never_have_more_states_than_full_training(mut job in any_job()) {
        prop_assume!(job.model.as_ref().and_then(|m| m.hidden_size).is_some_and(|hidden| hidden >= 512));
        let full = states(&likely(&job));
        // Adapters stay undivided if only the optimizer is divided, so at a high rank they would have more states.
        let rank = job.model.as_ref().and_then(|m| m.hidden_size).map(|hidden| (hidden / 2048).max(1));
        job.finetuning = Some(Finetuning { method: Some(Method::LoRA), rank, ..Finetuning::default() });
        prop_assert!(states(&likely(&job)) <= full);
    }

    #[test]
    fn the_leanest_plan_needs_no_more_than_the_heaviest(job in any_job(), clear in any::<u8>()) {
        let mut job = job;
        let cleared = |bit: u8| clear & (1 << bit) != 0;
        if cleared(0) { job.recompute = None; }
        if cleared(1) { job.framework = None; }
        if let Some(batch) = &mut job.batch {
            if cleared(2) { batch.micro_batch_size = None; }
            if cleared(3) { batch.sequence_length = None; }
            if cleared(4) { batch.global_batch_size = None; }
        }
        if let Some(parallelism) = &mut job.parallelism {
            if cleared(5) { parallelism.sharding = None; }
            if cleared(6) { parallelism.data = None; }
        }
        let estimate = estimate(&job, Device { bf16: true }).unwrap();
        prop_assert!(estimate.lean <= estimate.peak.needed && estimate.peak.needed <= estimate.heavy);
    }

    /// Of two jobs in the usual range, the one with more stated fields has no wider bounds.
    #[test]
    fn more_stated_fields_never_widen_the_bounds(job in usual_job(), kept in any::<u8>(), cleared in any::<u8>()) {
        let (more, less) = (clear(&job, cleared & !kept), clear(&job, cleared));
        let width = |job: &TrainingJob| {
            let estimate = estimate(job, Device { bf16: true }).unwrap();
            let (lower, upper) = estimate.distribution(Figure::Needed).bounds();
            (upper.as_f64() / lower.as_f64()).ln()
        };
        let (more, less) = (width(&more), width(&less));
        prop_assert!(more <= less + 1e-6, "{more} {less}");
    }

    /// Of a job within what is usual, one that writes an open field at its leanest value.
    #[test]
    fn stating_the_lean_reading_never_widens_the_bounds(job in usual_job(), forgotten in any::<u8>()) {
        let open = clear(&job, forgotten);
        let mut stated = open.clone();
        let (batch, parallelism) = (stated.batch.get_or_insert_default(), stated.parallelism.get_or_insert_default());
        batch.sequence_length.get_or_insert(64);
        batch.micro_batch_size.get_or_insert(1);
        parallelism.sequence.get_or_insert(parallelism.tensor.is_some_and(|tensor| tensor > 1));
        stated.recompute.get_or_insert(Recompute::Full);
        let bounds = |job: &TrainingJob| {
            estimate(job, Device { bf16: true }).unwrap().distribution(Figure::Needed).bounds()
        };
        let (stated, open) = (bounds(&stated), bounds(&open));
        prop_assert!(stated.1 <= open.1, "{stated:?} {open:?}");
        prop_assert!(stated.1 - stated.0 <= open.1 - open.0, "{stated:?} {open:?}");
    }

    #[test]
    fn no_job_is_refused_whose_lower_bound_is_within_the_capacity(
        job in any_job(), forgotten in any::<u8>(), gib in 8u32..400,
    ) {
        let judgement = judged(&clear(&job, forgotten), gib);
        let memory = judgement.memory.unwrap();
        let above = memory.least_bytes > memory.capacity_bytes.unwrap() && memory.lower_bytes >= memory.least_bytes;
        prop_assert!(judgement.verdict != Verdict::OutOfMemory || above, "{}", judgement.message);
        prop_assert!(judgement.verdict != Verdict::Unknown || !judgement.missing.is_empty());
    }

    #[test]
    fn more_memory_never_turns_an_admission_into_a_refusal(
        job in any_job(), forgotten in any::<u8>(), gib in 8u32..200, more in 1u32..200,
    ) {
        let job = clear(&job, forgotten);
        let refused = |gib| judged(&job, gib).verdict == Verdict::OutOfMemory;
        prop_assert!(!refused(gib + more) || refused(gib));
    }

    #[test]
    fn nothing_overflows_at_absurd_sizes(
        parameters in 1u64..=1_000_000_000_000_000, gpus in 1u32..=10_000_000,
        numbers in prop::collection::vec(1u32..=u32::MAX, 12),
    ) {
        let n = |i: usize| numbers.get(i).copied();
        for model in [
            Model { parameters: Some(Count(parameters)), ..Model::default() },
            Model {
                layers: n(0), hidden_size: n(1), attention_heads: n(2), ffn_hidden_size: n(3), vocab_size: n(4),
                experts: n(5), experts_per_token: n(6), shared_experts: n(7), ..Model::default()
            },
        ] {
            let job = TrainingJob {
                model: Some(model),
                parallelism: Some(Parallelism {
                    tensor: n(8), pipeline: n(9), virtual_pipeline: n(10), ..Parallelism::default()
                }),
                batch: Some(Batch { micro_batch_size: n(11), sequence_length: n(0), ..Batch::default() }),
                accelerator: Some(Accelerator { count: Some(gpus), ..Accelerator::default() }),
                ..TrainingJob::default()
            };
            let estimate = estimate(&job, Device { bf16: true }).unwrap();
            prop_assert!(estimate.peak.needed > Bytes::ZERO);
            prop_assert!(time::flops_per_token(&job, &estimate.assumed.likely) > 0);
        }
    }
}

/// Tokens per second on an accelerator.
fn speed(job: &TrainingJob, plan: &Plan, accelerator: &hardware::Accelerator) -> f64 {
    time::time(job, plan, accelerator.into()).unwrap().tokens_per_second_per_gpu
}

fn h100() -> &'static hardware::Accelerator {
    Catalogue::builtin().find("H100-80GB").unwrap()
}

proptest! {
    #[test]
    fn a_deeper_model_that_divides_alike_is_never_faster(job in any_job(), more in 1u32..20) {
        let mut deeper = job.clone();
        // Stages that cannot have equally many layers are laid out anew.
        let stages = u32::try_from(likely(&job).pipeline).unwrap();
        if let Some(model) = &mut deeper.model {
            model.layers = model.layers.map(|layers| layers + more * stages);
        }
        let (less, more) = (speed(&deeper, &likely(&deeper), h100()), speed(&job, &likely(&job), h100()));
        prop_assert!(less <= more * (1.0 + 1e-9), "{less} {more}");
    }

    #[test]
    fn recomputation_is_never_faster_and_adds_no_model_flops(job in any_job()) {
        let plan = likely(&job);
        let with = |recompute| {
            let plan = Plan { recompute, ..plan.clone() };
            time::time(&job, &plan, h100().into()).unwrap()
        };
        let (none, full) = (with(Recompute::None), with(Recompute::Full));
        prop_assert!(full.tokens_per_second_per_gpu <= none.tokens_per_second_per_gpu * (1.0 + 1e-9));
        prop_assert_eq!(full.flops_per_token.to_bits(), none.flops_per_token.to_bits());
        prop_assert!(full.hardware_flops_per_token > none.hardware_flops_per_token);
    }

    #[test]
    fn faster_memory_and_links_are_never_slower(job in any_job(), times in 1u64..8) {
        let plan = likely(&job);
        let mut faster = h100().clone();
        for rate in [&mut faster.bandwidth.memory, &mut faster.bandwidth.link].into_iter().flatten() {
            rate.0 *= times;
        }
        prop_assert!(speed(&job, &plan, &faster) >= speed(&job, &plan, h100()) * (1.0 - 1e-9));
    }

    #[test]
    fn the_interval_holds_the_prediction(job in any_job()) {
        let taken = time::time(&job, &likely(&job), h100().into()).unwrap();
        prop_assert!(0.0 < taken.mfu_low && taken.mfu_low < taken.mfu && taken.mfu < taken.mfu_high);
        prop_assert!(taken.mfu_high <= 1.0);
    }

    /// At a given utilization, accelerators divide the time and do not change the accelerator-hours.
    #[test]
    fn more_accelerators_never_take_longer(job in any_job(), count in 1u32..100_000, more in 1u32..100_000) {
        let mut job = job;
        job.dataset = Some(Dataset { tokens: Some(Count(1_000_000_000_000)), ..Dataset::default() });
        job.efficiency =
            Some(Efficiency { mfu_percent: Some(Decimal::parse("40").unwrap()), ..Efficiency::default() });
        let plan = likely(&job);
        let mut taken = |count| {
            job.accelerator = Some(Accelerator { count: Some(count), ..Accelerator::default() });
            time::time(&job, &plan, h100().into()).unwrap()
        };
        let (few, many) = (taken(count), taken(count + more));
        prop_assert!(many.days < few.days);
        prop_assert_eq!(many.gpu_hours, few.gpu_hours);
    }
}
