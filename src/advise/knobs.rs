//! The knobs of the advice, each with its turns from the smallest to the largest.
//!
//! | kind | knobs |
//! | --- | --- |
//! | the same training | sharding, sequence, pipeline and tensor parallelism, micro-batch, recomputation, 8-bit optimizer, offloading |
//! | more hardware | twice as many accelerators, and so on; an accelerator with more memory |
//! | another batch | no accumulation, or a smaller micro-batch with as many steps of accumulation |
//! | another training | shorter sequences, adapters |
//!
//! Those that cost least speed come first. The words of the last two kinds say what changes of the training.

use crate::estimate::plan::Plan;
use crate::estimate::states;
use crate::hardware::Catalogue;
use crate::job::{Method, Optimizer, Recompute, Sharding, TrainingJob};

/// What a knob changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Changes {
    /// How the same training runs.
    Running,
    /// The hardware.
    Hardware,
    /// The sequences of a step.
    Batch,
    /// What is trained.
    Training,
}

/// A knob: one setting that can change, with its possible values.
pub(super) struct Knob {
    /// What it changes.
    pub(super) changes: Changes,
    /// From the smallest change to the largest.
    pub(super) turns: Vec<Turn>,
}

/// One change.
pub(super) struct Turn {
    /// The change in words.
    pub(super) change: String,
    /// Makes the change.
    pub(super) apply: Box<dyn Fn(&mut TrainingJob)>,
}

fn turn(change: String, apply: impl Fn(&mut TrainingJob) + 'static) -> Turn {
    Turn { change, apply: Box::new(apply) }
}

/// The knobs of a job. Those that cost least speed come first.
pub(super) fn knobs(job: &TrainingJob, plan: &Plan) -> Vec<Knob> {
    let running = [
        sharding(plan),
        sequence_parallel(plan),
        pipeline(plan),
        tensor(job, plan),
        micro_batch(plan),
        recompute(plan),
        optimizer(plan),
        offload(plan),
    ];
    let hardware = [count(job, plan), device(plan)];
    let batch = [accumulation(job, plan), smaller_batch(job, plan)];
    let training = [sequence(job, plan), adapters(plan)];
    let of = |changes, turns: Vec<Turn>| Knob { changes, turns };
    let running = running.into_iter().map(|turns| of(Changes::Running, turns));
    let hardware = hardware.into_iter().map(|turns| of(Changes::Hardware, turns));
    let batch = batch.into_iter().map(|turns| of(Changes::Batch, turns));
    let training = training.into_iter().map(|turns| of(Changes::Training, turns));
    running.chain(hardware).chain(batch).chain(training).filter(|knob| !knob.turns.is_empty()).collect()
}

fn recompute(plan: &Plan) -> Vec<Turn> {
    match plan.recompute {
        Recompute::Full => Vec::new(),
        _ => vec![turn("recompute=full".into(), |job| job.recompute = Some(Recompute::Full))],
    }
}

/// The next states that the framework can divide. Of adapters only the weights under them are large, and few programs
/// divide these if they are quantized.
fn sharding(plan: &Plan) -> Vec<Turn> {
    let adapters = plan.adapters.as_ref();
    if plan.shard_group() <= 1 || adapters.is_some_and(|adapters| adapters.quantized.is_some()) {
        return Vec::new();
    }
    let next = plan.profile.sharding.next.iter().find(|(from, _)| *from == plan.sharding);
    let next = next.into_iter().flat_map(|(_, next)| *next);
    let helps = |sharding: &&Sharding| adapters.is_none() || states::divided(**sharding).0;
    let turns = next.filter(helps).map(|sharding| {
        let sharding = *sharding;
        turn(format!("sharding={}", sharding.word()), move |job| {
            job.parallelism.get_or_insert_default().sharding = Some(sharding);
        })
    });
    turns.collect()
}

/// The activations between matrix products, divided among the tensor parallel ranks too.
fn sequence_parallel(plan: &Plan) -> Vec<Turn> {
    if plan.tensor <= 1 || plan.sequence_parallel || !plan.profile.divides_model {
        return Vec::new();
    }
    vec![turn("sequence-parallel=true".into(), |job| {
        job.parallelism.get_or_insert_default().sequence = Some(true);
    })]
}

/// Doubled as long as it divides layers and accelerators.
fn pipeline(plan: &Plan) -> Vec<Turn> {
    let model_parallel = plan.tensor > 1 || plan.pipeline > 1;
    let turns = doublings(plan.pipeline, 64)
        .filter(|p| {
            model_parallel
                && plan.shape.layers.is_multiple_of(*p)
                && plan.world().is_multiple_of(plan.tensor * p * plan.context)
        })
        .map(|p| {
            turn(format!("pipeline-parallel {} → {p}", plan.pipeline), move |job| {
                job.parallelism.get_or_insert_default().pipeline = u32::try_from(p).ok();
                job.parallelism.get_or_insert_default().data = None;
            })
        });
    turns.collect()
}

/// Doubled up to the accelerators of a node.
fn tensor(job: &TrainingJob, plan: &Plan) -> Vec<Turn> {
    let model_parallel = plan.tensor > 1 || plan.pipeline > 1;
    let turns = doublings(plan.tensor, per_node(job))
        .filter(|t| {
            model_parallel
                && plan.shape.heads.is_multiple_of(*t)
                && plan.world().is_multiple_of(t * plan.pipeline * plan.context)
        })
        .map(|t| {
            turn(format!("tensor-parallel {} → {t}", plan.tensor), move |job| {
                job.parallelism.get_or_insert_default().tensor = u32::try_from(t).ok();
                job.parallelism.get_or_insert_default().data = None;
            })
        });
    turns.collect()
}

fn per_node(job: &TrainingJob) -> u64 {
    job.accelerator.as_ref().and_then(|accelerator| accelerator.per_node).map_or(8, u64::from).max(1)
}

fn doublings(from: u64, most: u64) -> impl Iterator<Item = u64> {
    std::iter::successors(Some(from.max(1)), |value| value.checked_mul(2))
        .skip(1)
        .take_while(move |value| *value <= most)
}

fn halvings(from: u64, least: u64) -> impl Iterator<Item = u64> {
    std::iter::successors(Some(from), |value| Some(value / 2))
        .skip(1)
        .take_while(move |value| *value >= least)
}

fn micro_batch(plan: &Plan) -> Vec<Turn> {
    let turns = halvings(plan.micro_batch, 1).map(|b| {
        turn(format!("micro-batch-size {} → {b}", plan.micro_batch), move |job| {
            job.batch.get_or_insert_default().micro_batch_size = u32::try_from(b).ok();
        })
    });
    turns.collect()
}

/// Moments of one byte. Only libraries that take PyTorch's optimizers have them.
fn optimizer(plan: &Plan) -> Vec<Turn> {
    let takes_any = !plan.profile.divides_model && plan.adapters.is_none();
    if plan.optimizer != Optimizer::AdamW || !takes_any {
        return Vec::new();
    }
    let eight_bits = Optimizer::AdamW8bit;
    vec![turn(format!("optimizer={}", eight_bits.word()), move |job| job.optimizer = Some(eight_bits))]
}

/// The states that `DeepSpeed` and FSDP can keep on the host.
fn offload(plan: &Plan) -> Vec<Turn> {
    if plan.profile.divides_model || plan.adapters.is_some() {
        return Vec::new();
    }
    let optimizer =
        || turn("offload=optimizer".into(), |job| job.offload.get_or_insert_default().optimizer = Some(true));
    let both = || {
        turn("offload=optimizer,parameters".into(), |job| {
            let offload = job.offload.get_or_insert_default();
            (offload.optimizer, offload.parameters) = (Some(true), Some(true));
        })
    };
    match plan.sharding {
        _ if plan.offload_parameters => Vec::new(),
        Sharding::None | Sharding::DistributedOptimizer => Vec::new(),
        Sharding::ZeRO3 if plan.offload_optimizer => vec![both()],
        Sharding::ZeRO3 => vec![optimizer(), both()],
        Sharding::ZeRO1 | Sharding::ZeRO2 if plan.offload_optimizer => Vec::new(),
        Sharding::ZeRO1 | Sharding::ZeRO2 => vec![optimizer()],
        Sharding::FSDP | Sharding::HSDP => vec![both()],
    }
}

/// More accelerators, if the ranks divide states among themselves.
fn count(job: &TrainingJob, plan: &Plan) -> Vec<Turn> {
    const MOST_TIMES: u64 = 64;
    let given = job.accelerator.as_ref().and_then(|accelerator| accelerator.count).map(u64::from);
    let (parameters, gradients, optimizer) = states::divided(plan.sharding);
    let Some(given) = given.filter(|_| parameters || gradients || optimizer) else { return Vec::new() };
    let turns = doublings(given, given.saturating_mul(MOST_TIMES)).map(|count| {
        let nodes = count / per_node(job);
        let nodes = if nodes > 1 { format!(" ({nodes} nodes)") } else { String::new() };
        turn(format!("accelerator-count {given} → {count}{nodes}"), move |job| {
            job.accelerator.get_or_insert_default().count = u32::try_from(count).ok();
            if let Some(parallelism) = &mut job.parallelism {
                parallelism.data = None;
            }
        })
    });
    turns.collect()
}

/// The vendor's accelerators with more memory that clouds sell, the smallest first.
fn device(plan: &Plan) -> Vec<Turn> {
    let catalogue = Catalogue::builtin();
    let Some(own) = plan.accelerator.as_deref().and_then(|key| catalogue.find(key)) else {
        return Vec::new();
    };
    let larger = catalogue.all().iter().filter(|other| {
        other.vendor == own.vendor && other.usable() > own.usable() && catalogue.price(&other.key).is_some()
    });
    let mut larger: Vec<_> = larger.collect();
    larger.sort_by_key(|other| other.usable());
    larger.dedup_by_key(|other| other.usable());
    let turns = larger.into_iter().map(|other| {
        let key = other.key.clone();
        turn(format!("gpu-type={}", other.name), move |job| {
            let accelerator = job.accelerator.get_or_insert_default();
            accelerator.kind = Some(key.clone());
            (accelerator.memory, accelerator.per_node) = (None, None);
            job.price = None;
        })
    });
    turns.collect()
}

/// One microbatch a step, where whole gradients are kept between microbatches.
fn accumulation(job: &TrainingJob, plan: &Plan) -> Vec<Turn> {
    let global = job.batch.as_ref().and_then(|batch| batch.global_batch_size).map(u64::from);
    let smaller = plan.micro_batch.saturating_mul(plan.data);
    match global.filter(|global| plan.accumulates_whole() && plan.pipeline == 1 && smaller < *global) {
        Some(global) => vec![turn(
            format!("no gradient accumulation: global-batch-size {global} → {smaller}"),
            move |job| job.batch.get_or_insert_default().global_batch_size = u32::try_from(smaller).ok(),
        )],
        None => Vec::new(),
    }
}

/// A smaller micro-batch with as many microbatches a step. With the global batch kept, some programs hold whole gradients
/// between the microbatches, and divided gradients are whole again.
fn smaller_batch(job: &TrainingJob, plan: &Plan) -> Vec<Turn> {
    let Some(global) = job.batch.as_ref().and_then(|batch| batch.global_batch_size) else {
        return Vec::new();
    };
    // Every rank computes the same number of whole microbatches.
    let is_whole = u64::from(global).is_multiple_of(plan.micro_batch.max(1).saturating_mul(plan.data.max(1)));
    let turns = halvings(plan.micro_batch, 1).filter(|_| is_whole).map(|b| {
        let smaller = u64::from(global) / plan.micro_batch.max(1) * b;
        let change = format!(
            "smaller batch: micro-batch-size {} → {b}, global-batch-size {global} → {smaller}",
            plan.micro_batch
        );
        turn(change, move |job| {
            let batch = job.batch.get_or_insert_default();
            batch.micro_batch_size = u32::try_from(b).ok();
            batch.global_batch_size = u32::try_from(smaller).ok();
        })
    });
    turns.collect()
}

/// Shorter sequences, of a stated length.
fn sequence(job: &TrainingJob, plan: &Plan) -> Vec<Turn> {
    const SHORTEST: u64 = 512;
    let stated = job.batch.as_ref().and_then(|batch| batch.sequence_length).is_some();
    let turns = halvings(plan.sequence, SHORTEST).filter(|_| stated).map(|length| {
        turn(format!("shorter samples: sequence-length {} → {length}", plan.sequence), move |job| {
            job.batch.get_or_insert_default().sequence_length = u32::try_from(length).ok();
        })
    });
    turns.collect()
}

/// Adapters instead of all weights, where the framework has them.
fn adapters(plan: &Plan) -> Vec<Turn> {
    if plan.profile.divides_model
        || plan.adapters.as_ref().is_some_and(|adapters| adapters.quantized.is_some())
    {
        return Vec::new();
    }
    let methods =
        if plan.adapters.is_some() { vec![Method::QLoRA] } else { vec![Method::LoRA, Method::QLoRA] };
    let what = match plan.adapters {
        Some(_) => "quantized weights under the adapters",
        None => "adapters instead of all weights",
    };
    let turns = methods.into_iter().map(|method| {
        turn(format!("{what}: method={}", method.word()), move |job| {
            job.finetuning.get_or_insert_default().method = Some(method);
            job.optimizer_implementation = None;
        })
    });
    turns.collect()
}
