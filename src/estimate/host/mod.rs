//! Host memory of a pod: the fullest instant of the pod with the first rank.
//!
//! ```text
//! peak = processes + max(weights while loading, training, saving)
//! training = offloaded states + data loader workers + shared memory
//! saving   = training + gathered states
//! ```
//!
//! Each term has a file here. Memory that the kernel can take back does not count: pages of mapped files, and the page cache.
//! What a pod writes to memory-backed volumes counts as its own, and so does shared memory.
//!
//! As for device memory, three plans carry what is open: the leanest, the likeliest and the heaviest.

pub mod checkpoints;
pub mod constants;
mod loading;
mod offloaded;
mod processes;
mod saving;
pub mod shared_memory;
mod workers;

pub use checkpoints::Saves;
pub use constants::{Constants, End};

use super::plan::{Plan, RankParameters};
use super::{Estimate, states};
use crate::frameworks::profile::host::UsualLoading;
use crate::frameworks::profile::versions::Versions;
use crate::job::{Loading, Method, SavedStates, Sharding, TrainingJob};
use crate::judgement::Component;
use crate::model::Parameters;
use crate::units::Bytes;
use crate::verdict::Distribution;

/// A pod, as far as host memory depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Its ranks: one for each accelerator.
    pub ranks: u64,
    /// The pods of the training.
    pub pods: u64,
    /// Whether its processes use an accelerator.
    pub accelerated: bool,
    /// Whether a launcher starts its ranks.
    pub launched: bool,
    /// Whether its accelerators have direct links to each other. `None` if that is not known.
    pub linked: Option<bool>,
}

/// A plan with every choice about the host's memory made.
struct HostPlan<'p> {
    plan: &'p Plan,
    constants: &'static Constants,
    end: End,
    ranks: u64,
    pods: u64,
    accelerated: bool,
    launched: bool,
    linked: Option<bool>,
    /// Parameters of the whole model.
    parameters: u64,
    /// Trained parameters of the whole model.
    trained: u64,
    /// Parameters of one rank's share.
    rank_share: u64,
    /// Trained parameters of one rank's share of the optimizer's states.
    trained_share: u64,
    loading: Loading,
    loaded_width: f64,
    maps: bool,
    workers: u64,
    prefetch: u64,
    sample: Option<Bytes>,
    pinned: bool,
    on_disk: bool,
    saves: bool,
    saves_optimizer: bool,
    gathers: bool,
}

/// A part of the need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Part {
    name: &'static str,
    bytes: Bytes,
    /// Whether it was computed from the sizes of tensors, and not measured. It is then a part of the floor: the job cannot need
    /// less. But a framework may hold copies that the computation does not know, so its spread is the wider one.
    computed: bool,
}

impl Part {
    const fn computed(name: &'static str, bytes: Bytes) -> Self {
        Self { name, bytes, computed: true }
    }

    const fn measured(name: &'static str, bytes: Bytes) -> Self {
        Self { name, bytes, computed: false }
    }
}

/// A need, with its parts at the likeliest plan and its distribution.
#[derive(Clone, Debug, PartialEq)]
pub struct Need {
    /// The instant at which it is highest.
    pub instant: &'static str,
    /// The parts of the likeliest need. They add up to it.
    pub components: Vec<Component>,
    /// The need.
    pub distribution: Distribution,
    /// The parts of the leanest need.
    pub leanest: Vec<Component>,
    /// The parts of the heaviest need.
    pub heaviest: Vec<Component>,
}

impl Need {
    /// Widens the need by that of another reading.
    pub fn reach(&mut self, other: &Self) {
        let (lean, heavy) = other.distribution.ends();
        self.distribution = self.distribution.clone().down_to(lean, other.distribution.floor()).up_to(heavy);
        if total_of(&other.heaviest) > total_of(&self.heaviest) {
            self.heaviest.clone_from(&other.heaviest);
        }
        if total_of(&other.leanest) < total_of(&self.leanest) {
            self.leanest.clone_from(&other.leanest);
        }
    }

    /// The part that depends most on what is open, and how much.
    pub fn open_part(&self) -> (&'static str, Bytes) {
        let of = |parts: &[Component], name: &str| {
            parts.iter().find(|part| part.name == name).map_or(Bytes::ZERO, |part| part.bytes)
        };
        let names = self.components.iter().chain(&self.heaviest).map(|part| part.name);
        let range = |name| {
            let most = of(&self.heaviest, name).max(of(&self.components, name));
            (name, most - of(&self.leanest, name))
        };
        names.map(range).max_by_key(|(_, range)| *range).unwrap_or(("processes", Bytes::ZERO))
    }
}

fn total_of(components: &[Component]) -> Bytes {
    components.iter().map(|component| component.bytes).sum()
}

/// The needs of a pod besides device memory.
#[derive(Clone, Debug, PartialEq)]
pub struct HostEstimate {
    /// Memory.
    pub memory: Need,
    /// Shared memory, which is a part of it.
    pub shared_memory: Need,
    /// The disk for saves.
    pub storage: Need,
    /// The disk for downloaded weights.
    pub downloads: Need,
    /// The disk for saves and downloaded weights.
    pub saves_and_downloads: Need,
    /// The disk for one save.
    pub save: Bytes,
    /// The saves.
    pub saves: Saves,
    /// Worker processes of one rank's data loader, in the likeliest plan.
    pub workers: u64,
    /// Pods of the training.
    pub pods: u64,
}

/// Estimates the pod with the first rank.
pub fn estimate(job: &TrainingJob, estimate: &Estimate, pod: Pod) -> HostEstimate {
    let assumed = &estimate.assumed;
    of_plans(job, [&assumed.lean(), &assumed.likely, &assumed.heavy()], pod)
}

/// Estimates the pod with the first rank, from the leanest, the likeliest and the heaviest plan.
#[expect(
    clippy::redundant_closure_for_method_calls,
    reason = "a method's path has one lifetime, the closure any"
)]
pub fn of_plans(job: &TrainingJob, plans: [&Plan; 3], pod: Pod) -> HostEstimate {
    let [lean, likely, heavy] = plans;
    let hosts = [(End::Lean, lean), (End::Likely, likely), (End::Heavy, heavy)]
        .map(|(end, plan)| HostPlan::of(job, plan, end, pod));
    let [_, usual, _] = &hosts;
    let saves = Saves::of(job, usual);
    HostEstimate {
        memory: need(&hosts, |host| host.instants()),
        shared_memory: need(&hosts, |host| vec![("training", shared_memory::shared_memory(host))]),
        storage: need(&hosts, |host| vec![("saving", checkpoints::saves(host, saves))]),
        downloads: need(&hosts, |host| vec![("loading", checkpoints::downloads(host))]),
        saves_and_downloads: need(&hosts, |host| {
            let mut parts = checkpoints::saves(host, saves);
            parts.extend(checkpoints::downloads(host));
            vec![("saving", parts)]
        }),
        save: total(&checkpoints::save(usual)),
        saves,
        workers: usual.workers,
        pods: pod.pods,
    }
}

/// The parts at each instant.
type Instants = Vec<(&'static str, Vec<Part>)>;

fn need(hosts: &[HostPlan<'_>; 3], instants: impl Fn(&HostPlan<'_>) -> Instants) -> Need {
    let peak = |host: &HostPlan<'_>| {
        let all = instants(host).into_iter();
        all.max_by_key(|(_, parts)| total(parts)).unwrap_or(("training", Vec::new()))
    };
    let [lean, likely, heavy] = hosts.each_ref().map(peak);
    let floor: Bytes = lean.1.iter().filter(|part| part.computed).map(|part| part.bytes).sum();
    let spread = Constants::builtin().spread;
    let computed = likely.1.iter().any(|part| part.computed);
    let spread = if computed { spread.computed } else { spread.measured };
    let components = |parts: &[Part]| {
        let parts = parts.iter().filter(|part| part.bytes > Bytes::ZERO);
        parts.map(|part| Component { name: part.name, bytes: part.bytes }).collect::<Vec<_>>()
    };
    Need {
        instant: likely.0,
        components: components(&likely.1),
        leanest: components(&lean.1),
        heaviest: components(&heavy.1),
        distribution: Distribution::new(total(&lean.1), total(&likely.1), total(&heavy.1), spread)
            .with_floor(floor),
    }
}

fn total(parts: &[Part]) -> Bytes {
    parts.iter().map(|part| part.bytes).sum()
}

impl<'p> HostPlan<'p> {
    fn of(job: &TrainingJob, plan: &'p Plan, end: End, pod: Pod) -> Self {
        let asked = job.host.clone().unwrap_or_default();
        let saved = job.checkpoint.clone().unwrap_or_default();
        let facts = plan.profile.host;
        let counted = Parameters::of(&plan.shape);
        let parameters = counted.total;
        let adapters = stages(plan).map(|stage| RankParameters::of(plan, &counted, stage).beside()).sum();
        let trained = if plan.adapters.is_some() { adapters } else { parameters };
        let [rank_share, trained_share] = shares(plan, &counted);
        let default = |values: [u64; 3]| end.of(values);
        Self {
            plan,
            constants: Constants::builtin(),
            end,
            ranks: pod.ranks.max(1),
            pods: pod.pods.max(1),
            accelerated: pod.accelerated,
            launched: pod.launched,
            linked: pod.linked,
            parameters,
            trained,
            rank_share,
            trained_share,
            loading: loading_of(plan, asked.loading, end),
            loaded_width: loaded_width(job, plan, end),
            // The file may have another format than most files have.
            maps: end == End::Lean || (end == End::Likely && plan.is_of(facts.maps)),
            workers: asked.dataloader_workers.map_or_else(|| default(facts.workers), u64::from),
            prefetch: asked.prefetch.map_or(2, u64::from),
            sample: asked.sample_memory.and_then(|text| Bytes::parse_quantity(&text).ok()),
            // The leanest plan counts no rounding, because the buffers may not be page-locked.
            pinned: asked.pinned_offload.unwrap_or(end == End::Heavy) && end != End::Lean,
            on_disk: asked.disk_offload.unwrap_or(false),
            saves: saved.saves != Some(0),
            saves_optimizer: saved.states != Some(SavedStates::Weights),
            gathers: asked.full_state_dict.unwrap_or(match end {
                End::Lean => false,
                End::Likely => facts.gathers && plan.sharding == Sharding::ZeRO3,
                End::Heavy => facts.gathers,
            }),
        }
    }

    /// The parts at each instant.
    fn instants(&self) -> Instants {
        let processes = processes::processes(self);
        let shared: Bytes = shared_memory::shared_memory(self).iter().map(|part| part.bytes).sum();
        let mut training = vec![processes];
        training.extend(offloaded::offloaded(self));
        training.push(workers::workers(self));
        training.push(Part::measured("shared memory", shared));
        let saving: Vec<_> = training.iter().copied().chain([saving::saving(self)]).collect();
        vec![("loading", vec![processes, loading::loading(self)]), ("training", training), ("saving", saving)]
    }
}

fn stages(plan: &Plan) -> impl Iterator<Item = super::plan::Stage> + '_ {
    // Stages between the first and the last differ by a layer at most.
    let last = plan.pipeline.max(1) - 1;
    (0..plan.pipeline.clamp(1, 64)).map(move |index| plan.stage(index.min(last)))
}

/// The parameters of the fullest rank's share, and its trained parameters, after all that divides them.
fn shares(plan: &Plan, counted: &Parameters) -> [u64; 2] {
    let (weights, _, optimizer) = states::divided(plan.sharding);
    let divided = |on: bool, rank: RankParameters| {
        let (n, experts) = if on { (plan.shard_group(), plan.expert_shard_group()) } else { (1, 1) };
        rank.dense.div_ceil(n).saturating_add(rank.experts.div_ceil(experts))
    };
    let share = |rank: RankParameters| {
        let n = if weights { plan.shard_group() } else { 1 };
        divided(weights, rank).saturating_add(rank.frozen_towers.div_ceil(n))
    };
    let trained = |rank: RankParameters| match &plan.adapters {
        Some(_) => rank.beside().div_ceil(if optimizer { plan.shard_group() } else { 1 }),
        None => divided(optimizer, rank),
    };
    let ranks = || stages(plan).map(|stage| RankParameters::of(plan, counted, stage));
    [ranks().map(share).max().unwrap_or(0), ranks().map(trained).max().unwrap_or(0)]
}

/// How weights are loaded.
fn loading_of(plan: &Plan, asked: Option<Loading>, end: End) -> Loading {
    let facts = plan.profile.host;
    let fails = plan.is_of(facts.first_rank_fails);
    let may_fail = facts.first_rank_fails != Versions::Never && plan.framework_version.is_none();
    match asked {
        Some(Loading::FirstRank) if fails || (may_fail && end == End::Heavy) => Loading::EveryRank,
        Some(Loading::EveryDevice) if is_quantized(plan) => Loading::Direct,
        Some(loading) => loading,
        None => usual_loading(plan, facts.loading, end),
    }
}

fn is_quantized(plan: &Plan) -> bool {
    plan.adapters.as_ref().is_some_and(|adapters| adapters.quantized.is_some())
}

/// How weights are loaded if the job does not say.
fn usual_loading(plan: &Plan, usual: UsualLoading, end: End) -> Loading {
    let quantized = is_quantized(plan);
    match (usual, plan.sharding) {
        (UsualLoading::Shares, _) => end.of([Loading::Direct, Loading::Direct, Loading::Sharded]),
        (UsualLoading::Whole, Sharding::ZeRO3) => {
            end.of([Loading::Direct, Loading::FirstRank, Loading::EveryRank])
        }
        (UsualLoading::Whole, _) if quantized => {
            end.of([Loading::Direct, Loading::Direct, Loading::FirstRank])
        }
        (UsualLoading::Whole, _) => end.of([Loading::Direct, Loading::EveryRank, Loading::EveryRank]),
    }
}

/// The format in which weights are loaded, in bytes.
fn loaded_width(job: &TrainingJob, plan: &Plan, end: End) -> f64 {
    let full = job.finetuning.as_ref().and_then(|f| f.method).is_none_or(|method| method == Method::Full);
    match job.parameter_precision {
        Some(precision) => states::width(precision),
        None if full => end.of([2.0, plan.widths.parameter.max(2.0), 4.0]),
        None => end.of([2.0, 2.0, 4.0]),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::estimate::assume::Device;
    use crate::estimate::estimate as estimated;

    const POD: Pod = Pod { ranks: 8, pods: 1, accelerated: true, launched: true, linked: Some(true) };

    fn of(more: &Value, pod: Pod) -> HostEstimate {
        let mut job = json!({
            "model": {"name": "llama-2-7b", "parameters": 6_738_415_616_u64, "layers": 32, "hiddenSize": 4096,
                "attentionHeads": 32, "keyValueHeads": 32, "ffnHiddenSize": 11008, "vocabSize": 32000},
            "framework": "DeepSpeed", "precision": "BF16", "optimizer": "AdamW", "finetuning": {"method": "Full"},
            "batch": {"microBatchSize": 1, "globalBatchSize": 8, "sequenceLength": 1024},
            "parallelism": {"data": 8, "sharding": "ZeRO3"},
            "host": {"loading": "Direct", "dataloaderWorkers": 0, "pinnedOffload": false},
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            match (job[key].as_object_mut(), value) {
                (Some(group), Value::Object(fields)) => group.extend(fields.clone()),
                _ => job[key] = value.clone(),
            }
        }
        let job: TrainingJob = serde_json::from_value(job).unwrap();
        let estimate = estimated(&job, Device { bf16: true }).unwrap_or_else(|_| panic!("{job:?}"));
        super::estimate(&job, &estimate, pod)
    }

    /// A part of the likeliest need, in bytes a parameter.
    fn part(more: &Value, name: &str) -> f64 {
        let need = of(more, POD).memory;
        let part = need.components.iter().find(|part| part.name == name);
        let bytes = part.map_or(0.0, |part| part.bytes.as_f64()) / 6_738_415_616.0;
        (bytes * 10.0).round() / 10.0
    }

    #[test]
    fn offloaded_states_take_the_bytes_of_deepspeeds_buffers() {
        let zero = |stage: &str, offload: Value, batch: u64| json!({"parallelism": {"sharding": stage}, "offload": offload, "batch": {"globalBatchSize": batch}});
        let both = json!({"optimizer": true, "parameters": true});
        let optimizer = json!({"optimizer": true});
        for (more, bytes) in [
            // main 4, gradients 4, moments 8, copy 2
            (zero("ZeRO2", optimizer.clone(), 8), 18.0),
            // and the accumulated gradients 2
            (zero("ZeRO2", optimizer.clone(), 16), 20.0),
            // main 4, gradients 4, moments 8, gradients in bf16 2
            (zero("ZeRO3", optimizer, 8), 18.0),
            (zero("ZeRO3", both, 8), 18.0),
        ] {
            let found = part(&more, "offloaded optimizer states");
            assert!((found - bytes).abs() < 0.05, "{more}: {found}");
        }
    }

    #[test]
    fn a_page_locked_buffer_is_a_power_of_two() {
        // A rank's share is 842 M parameters: 3.14 GiB in fp32 takes 4 GiB, 1.57 GiB in bf16 takes 2 GiB.
        let locked = json!({"parallelism": {"sharding": "ZeRO2"}, "offload": {"optimizer": true},
            "host": {"pinnedOffload": true}});
        let need = of(&locked, POD).memory;
        let states = need.components.iter().find(|part| part.name == "offloaded optimizer states").unwrap();
        let moments = Bytes::of(6_738_415_616 / 8, 8.0) * 8;
        assert_eq!(states.bytes, Bytes::from_mib(10 << 10) * 8 + moments);
    }

    #[test]
    fn loading_counts_the_ranks_that_hold_the_model() {
        let loading = |word: &str| {
            part(
                &json!({"parallelism": {"sharding": "None"}, "host": {"loading": word}}),
                "weights while loading",
            )
        };
        assert!(
            (loading("EveryRank") - 8.0 * loading("FirstRank")).abs() < 0.05 && loading("FirstRank") > 1.9
        );
        assert!(loading("Direct").abs() < f64::EPSILON);
    }

    proptest! {
        #[test]
        fn more_ranks_workers_or_open_fields_never_need_less(
            ranks in 1u64..16, more in 0u64..8, workers in 0u64..16, sharding in 0usize..4, offload: bool,
        ) {
            let sharding = ["None", "ZeRO2", "ZeRO3", "FSDP"][sharding];
            let job = |workers: u64| json!({
                "parallelism": {"sharding": sharding, "data": 64}, "batch": {"globalBatchSize": 64},
                "offload": {"optimizer": offload}, "host": {"dataloaderWorkers": workers},
            });
            let pod = |ranks| Pod { ranks, ..POD };
            let likely = |workers, ranks| of(&job(workers), pod(ranks)).memory.distribution.likely();
            prop_assert!(likely(workers, ranks) <= likely(workers, ranks + more));
            prop_assert!(likely(workers, ranks) <= likely(workers + more, ranks));
            let need = of(&job(workers), pod(ranks)).memory;
            let (lower, upper) = need.distribution.bounds();
            prop_assert!(lower <= need.distribution.likely() && need.distribution.likely() <= upper);
            let parts: Bytes = need.components.iter().map(|part| part.bytes).sum();
            prop_assert_eq!(parts, need.distribution.likely());
        }
    }
}
