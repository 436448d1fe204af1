//! The layouts that a search tries.
//!
//! | dimension | values, unless the job states it |
//! | --- | --- |
//! | tensor parallel | powers of two up to a node that divide heads and key-value heads |
//! | pipeline parallel | divisors of the layers, up to 32 |
//! | context parallel | powers of two up to 16 that leave a rank 8192 tokens of a sequence, or 1 |
//! | expert parallel | powers of two up to 64 that divide the experts |
//! | sharding | the framework's usual one, and those that it can change to |
//! | recomputation | none, full; selective too, where one rank holds whole layers |
//! | micro-batch | 1, 2, 4 |
//!
//! A job that names no framework is tried as plain data parallelism, as FSDP, and as Megatron's distributed optimizer with
//! and without model parallelism. Adapters are small, so their states are not divided, but FSDP may divide the frozen
//! weights. Divisors keep every stage equal: a framework refuses the others, or needs settings of its own for them.

use crate::estimate::plan::Plan;
use crate::estimate::states;
use crate::frameworks::Profile;
use crate::frameworks::profile;
use crate::frameworks::profile::unknown;
use crate::job::{Parallelism, Recompute, Sharding, TrainingJob};

/// Sequences shorter than this are not divided.
const CONTEXT_TOKENS: u64 = 8192;
const MOST_STAGES: u64 = 32;
const MOST_CONTEXT: u64 = 16;
const MOST_EXPERT: u64 = 64;
const MICRO_BATCHES: [u32; 3] = [1, 2, 4];

/// A layout: how the work is divided, and what each rank computes at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Tensor parallel degree.
    pub tensor: u32,
    /// Pipeline parallel degree.
    pub pipeline: u32,
    /// Context parallel degree.
    pub context: u32,
    /// Expert parallel degree.
    pub expert: u32,
    /// What the data-parallel ranks divide.
    pub sharding: Sharding,
    /// Activation recomputation.
    pub recompute: Recompute,
    /// Sequences that one replica computes at once.
    pub micro_batch: u32,
}

impl Layout {
    /// Sets the layout in a job. The framework follows from it, where the job names none.
    pub(super) fn apply(&self, job: &mut TrainingJob) {
        let model_parallel = self.tensor > 1 || self.pipeline > 1;
        let framework = unknown::assumed(Some(self.sharding), model_parallel);
        job.framework.get_or_insert(framework);
        let parallelism = job.parallelism.get_or_insert_default();
        parallelism.tensor = Some(self.tensor);
        parallelism.pipeline = Some(self.pipeline);
        parallelism.context = Some(self.context);
        parallelism.sharding = Some(self.sharding);
        if self.expert > 1 || parallelism.expert.is_some() {
            parallelism.expert = Some(self.expert);
        }
        if self.tensor > 1 {
            parallelism.sequence.get_or_insert(true);
        }
        job.recompute = Some(self.recompute);
        job.batch.get_or_insert_default().micro_batch_size = Some(self.micro_batch);
    }

    /// The layout in words: `tensor 8 × pipeline 4, full recomputation, micro-batch 1`. Degrees of 1 are left out.
    pub fn words(&self) -> String {
        let degrees = [
            ("tensor", self.tensor),
            ("pipeline", self.pipeline),
            ("context", self.context),
            ("expert", self.expert),
        ];
        let degrees = degrees.iter().filter(|(_, degree)| *degree > 1);
        let degrees: Vec<_> = degrees.map(|(name, degree)| format!("{name} {degree}")).collect();
        let division = if degrees.is_empty() { "data parallel".to_owned() } else { degrees.join(" × ") };
        let recompute = match self.recompute {
            Recompute::None => "no",
            Recompute::Selective => "selective",
            Recompute::Full => "full",
        };
        let sharding = self.sharding.word();
        format!("{division}, {sharding}, {recompute} recomputation, micro-batch {}", self.micro_batch)
    }

    /// Whether two layouts divide the model in the same way. They may differ in recomputation and micro-batch.
    pub(super) fn divides_as(&self, other: &Self) -> bool {
        let degrees =
            |layout: &Self| (layout.tensor, layout.pipeline, layout.context, layout.expert, layout.sharding);
        degrees(self) == degrees(other)
    }
}

/// The job without the fields of a layout, so that every one may be tried.
pub(super) fn freed(job: &TrainingJob) -> TrainingJob {
    let mut job = job.clone();
    if let Some(parallelism) = &mut job.parallelism {
        *parallelism = Parallelism::default();
    }
    if let Some(batch) = &mut job.batch {
        batch.micro_batch_size = None;
    }
    (job.recompute, job.recompute_layers, job.recompute_modules) = (None, None, None);
    job
}

/// The layers of a job whose framework has pipelines, if no number of equal stages divides them.
pub(super) fn without_stages(job: &TrainingJob) -> Option<u32> {
    let layers = job.model.as_ref()?.layers.filter(|layers| *layers > 1)?;
    let is_divided = equal_stages(u64::from(layers)).any(|stages| stages > 1);
    (profile(job.framework).divides_model && !is_divided).then_some(layers)
}

/// The numbers of stages that divide the layers equally.
fn equal_stages(layers: u64) -> impl Iterator<Item = u64> {
    (1..=MOST_STAGES).filter(move |stages| layers.is_multiple_of(*stages))
}

/// The layouts of a job, the lightest recomputation and the smallest micro-batch of each division first.
pub(super) fn layouts(job: &TrainingJob, plan: &Plan, per_node: u64, most: u64) -> Vec<Layout> {
    let stated = job.parallelism.clone().unwrap_or_default();
    let profile = profile(job.framework);
    let mut layouts = Vec::new();
    for (tensor, pipeline, context) in model_degrees(&stated, plan, profile, per_node) {
        if u64::from(tensor) * u64::from(pipeline) * u64::from(context) > most {
            continue;
        }
        let model_parallel = tensor > 1 || pipeline > 1;
        for expert in expert_degrees(&stated, plan, profile) {
            for sharding in shardings(job, plan, profile, model_parallel) {
                // The framework that plain data parallelism or FSDP suggests divides no experts.
                let suggests_none = job.framework.is_none() && sharding != Sharding::DistributedOptimizer;
                if expert > 1 && suggests_none && stated.expert.is_none() {
                    continue;
                }
                let divides_gradients = states::divided(sharding).1;
                if pipeline > 1 && divides_gradients && profile.sharding.pipeline_refuses_zero_2 {
                    continue;
                }
                for recompute in recomputations(job, model_parallel) {
                    for micro_batch in micro_batches(job) {
                        layouts.push(Layout {
                            tensor,
                            pipeline,
                            context,
                            expert,
                            sharding,
                            recompute,
                            micro_batch,
                        });
                    }
                }
            }
        }
    }
    layouts
}

/// The degrees that divide the model: tensor, pipeline and context.
fn model_degrees(
    stated: &Parallelism,
    plan: &Plan,
    profile: &Profile,
    per_node: u64,
) -> Vec<(u32, u32, u32)> {
    let shape = &plan.shape;
    let free = profile.divides_model && plan.adapters.is_none();
    let heads = |t: &u64| shape.heads.is_multiple_of(*t) && shape.key_value_heads.is_multiple_of(*t);
    let tensor = degrees(stated.tensor, free, powers_of_two(per_node).filter(heads));
    let pipeline = degrees(stated.pipeline, free, equal_stages(shape.layers));
    let long = |c: &u64| *c == 1 || plan.sequence / c >= CONTEXT_TOKENS;
    let context = degrees(stated.context, free, powers_of_two(MOST_CONTEXT).filter(long));
    let mut all = Vec::new();
    for t in &tensor {
        for p in &pipeline {
            all.extend(context.iter().map(|c| (*t, *p, *c)));
        }
    }
    all
}

fn expert_degrees(stated: &Parallelism, plan: &Plan, profile: &Profile) -> Vec<u32> {
    let experts = plan.shape.experts.as_ref().map_or(1, |experts| experts.count);
    let divides = |e: &u64| experts.is_multiple_of(*e);
    degrees(stated.expert, profile.divides_model, powers_of_two(MOST_EXPERT.min(experts)).filter(divides))
}

/// The stated degree alone, or all if the framework is free to choose, or 1.
fn degrees(stated: Option<u32>, free: bool, all: impl Iterator<Item = u64>) -> Vec<u32> {
    match stated {
        Some(degree) => vec![degree.max(1)],
        None if free => all.filter_map(|degree| u32::try_from(degree).ok()).collect(),
        None => vec![1],
    }
}

fn powers_of_two(most: u64) -> impl Iterator<Item = u64> {
    std::iter::successors(Some(1u64), |power| power.checked_mul(2)).take_while(move |power| *power <= most)
}

fn shardings(job: &TrainingJob, plan: &Plan, profile: &Profile, model_parallel: bool) -> Vec<Sharding> {
    if let Some(stated) = job.parallelism.as_ref().and_then(|parallelism| parallelism.sharding) {
        return vec![stated];
    }
    if plan.adapters.is_some() {
        return vec![Sharding::None, Sharding::FSDP];
    }
    if job.framework.is_some() {
        let next = profile.sharding.next.iter().flat_map(|(_, next)| next.iter().copied());
        let mut shardings = vec![profile.sharding.usual];
        for sharding in next {
            if !shardings.contains(&sharding) {
                shardings.push(sharding);
            }
        }
        return shardings;
    }
    let optimizer = Sharding::DistributedOptimizer;
    if model_parallel { vec![optimizer] } else { vec![Sharding::None, Sharding::FSDP, optimizer] }
}

fn recomputations(job: &TrainingJob, model_parallel: bool) -> Vec<Recompute> {
    match job.recompute {
        Some(stated) => vec![stated],
        None if model_parallel => vec![Recompute::None, Recompute::Full],
        None => vec![Recompute::None, Recompute::Selective, Recompute::Full],
    }
}

fn micro_batches(job: &TrainingJob) -> Vec<u32> {
    match job.batch.as_ref().and_then(|batch| batch.micro_batch_size) {
        Some(stated) => vec![stated.max(1)],
        None => MICRO_BATCHES.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::assume::{Device, assume};
    use crate::job::{Finetuning, Method, Model};
    use crate::units::Count;

    fn of(job: &TrainingJob) -> Vec<Layout> {
        let plan = assume(job, Device { bf16: true }).unwrap().likely;
        layouts(job, &plan, 8, 10_000)
    }

    fn llama_70b() -> TrainingJob {
        let model = Model {
            layers: Some(80),
            hidden_size: Some(8192),
            attention_heads: Some(64),
            key_value_heads: Some(8),
            ..Model::default()
        };
        TrainingJob { model: Some(model), ..TrainingJob::default() }
    }

    #[test]
    fn every_degree_divides_what_it_divides() {
        let layouts = of(&llama_70b());
        assert!(layouts.iter().any(|layout| (layout.tensor, layout.pipeline) == (4, 4)));
        for layout in layouts {
            assert!(8 % layout.tensor == 0 && 80 % layout.pipeline == 0, "{layout:?}");
            assert_eq!((layout.context, layout.expert), (1, 1));
        }
    }

    #[test]
    fn layers_without_a_divisor_have_no_equal_stages() {
        for (layers, expected) in [(61, Some(61)), (80, None), (62, None), (1, None)] {
            let mut job = llama_70b();
            job.model.as_mut().unwrap().layers = Some(layers);
            assert_eq!(without_stages(&job), expected, "{layers}");
        }
    }

    #[test]
    fn a_stated_field_is_kept_and_a_freed_one_is_not() {
        let parallelism = Parallelism { tensor: Some(2), ..Parallelism::default() };
        let job =
            TrainingJob { parallelism: Some(parallelism), recompute: Some(Recompute::Full), ..llama_70b() };
        let kept = of(&job);
        let is_kept = |layout: &Layout| (layout.tensor, layout.recompute) == (2, Recompute::Full);
        assert!(!kept.is_empty() && kept.iter().all(is_kept), "{kept:?}");
        assert!(of(&freed(&job)).iter().any(|layout| layout.tensor == 8));
    }

    #[test]
    fn adapters_and_small_frameworks_divide_no_model() {
        let method = Some(Finetuning { method: Some(Method::LoRA), ..Finetuning::default() });
        let adapters = TrainingJob { finetuning: method, ..llama_70b() };
        let whole = of(&adapters);
        let is_whole = |layout: &Layout| (layout.tensor, layout.pipeline) == (1, 1);
        assert!(!whole.is_empty() && whole.iter().all(is_whole), "{whole:?}");
    }

    #[test]
    fn a_model_that_is_known_by_its_size_alone_has_layouts() {
        let model = Model { parameters: Some(Count(7_000_000_000)), ..Model::default() };
        assert!(!of(&TrainingJob { model: Some(model), ..TrainingJob::default() }).is_empty());
    }
}
