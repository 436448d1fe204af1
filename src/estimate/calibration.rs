//! Constants that physics cannot give. They are in `data/calibration.toml`, each with its evidence. The spread of the error is in
//! `data/evidence.toml` ([`super::evidence`]).

use std::sync::LazyLock;

use serde::Deserialize;

use super::communicators;
use super::deepep;
use super::evidence::{Mode, Modes, Spread};
use super::plan::Plan;
use super::workspaces;
use crate::frameworks::profile::unknown;
use crate::frameworks::profile::versions::Versions;
use crate::job::Dispatcher;
use crate::judgement::Evidence;
use crate::units::Bytes;

/// The calibrated constants.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    runtime: Vec<Runtime>,
    dispatchers: Dispatchers,
    varying_lengths: VaryingLengths,
    workspaces: Vec<Workspaces>,
    workspaces_spread_mib: u64,
    idle_logits: IdleLogits,
    allocator: Vec<Allocator>,
    versions: Vec<VersionSpread>,
    /// How wide the error is, by mode. It has a file of its own.
    #[serde(default = "Modes::compiled_in")]
    evidence: Modes,
}

/// Memory outside all tensors: context, kernels, library handles, and a communicator for each parallel dimension.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Runtime {
    framework: String,
    accelerators: Option<Vec<String>>,
    /// The first version for which the entry no longer holds, if known.
    before: Option<[u32; 2]>,
    base_mib: u64,
    /// For each parallel dimension. Without it, the communicators follow from the code ([`super::communicators`]).
    communicator_mib: Option<u64>,
    /// The standard deviation of the sum, across containers, drivers and networks.
    spread_mib: u64,
}

/// Buffers of the libraries that send tokens to experts.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Dispatchers {
    hybridep_mib: u64,
    alltoall_slack_bytes: f64,
    alltoall_slack_at_most_mib: u64,
    alltoall_stays: f64,
}

impl Dispatchers {
    fn buffers(&self, plan: &Plan) -> Bytes {
        match plan.dispatcher {
            _ if plan.expert <= 1 => Bytes::ZERO,
            Dispatcher::DeepEP => deepep::buffers(plan),
            Dispatcher::HybridEP => Bytes::from_mib(self.hybridep_mib),
            Dispatcher::AllGather | Dispatcher::AllToAll => Bytes::ZERO,
        }
    }
}

/// Blocks that batches of other lengths leave behind.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct VaryingLengths {
    logit_bytes: f64,
}

/// The block of logits that is idle at the peak.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct IdleLogits {
    /// The share of the block that is idle.
    idle: f64,
    /// The share of the block that cannot be released when the device is full.
    stays: f64,
}

/// Workspaces that were measured, where they differ from the libraries' defaults.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Workspaces {
    framework: String,
    accelerators: Vec<String>,
    mib: u64,
    /// More, if grouped products of experts run.
    #[serde(default)]
    grouped_mib: u64,
}

/// Memory that the allocator keeps besides live tensors, as shares of the transient tensors.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Allocator {
    framework: String,
    /// The largest device for which the entry holds.
    device_gib_at_most: Option<f64>,
    slack: f64,
    fragmentation: f64,
}

/// A framework whose versions differ.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct VersionSpread {
    framework: String,
    /// The spread that an unknown version adds in quadrature.
    unknown: f64,
}

impl Calibration {
    /// The compiled-in calibration.
    #[expect(clippy::expect_used, reason = "the file is compiled in, and a test reads it")]
    pub fn builtin() -> &'static Self {
        static BUILTIN: LazyLock<Calibration> = LazyLock::new(|| {
            toml::from_str(include_str!("../../data/calibration.toml"))
                .expect("data/calibration.toml is valid")
        });
        &BUILTIN
    }

    /// The memory of a process outside all tensors.
    pub fn runtime(&self, plan: &Plan) -> Bytes {
        self.runtime_of(plan).map_or(Bytes::ZERO, |runtime| {
            let communicators = match runtime.communicator_mib {
                Some(mib) => Bytes::from_mib(mib) * plan.dimensions().min(COMMUNICATORS_AT_MOST),
                None => communicators::of_pipeline_engine(plan),
            };
            Bytes::from_mib(runtime.base_mib) + self.dispatchers.buffers(plan) + communicators
        })
    }

    /// The standard deviation of [`Self::runtime`].
    pub fn runtime_spread(&self, plan: &Plan) -> Bytes {
        self.runtime_of(plan).map_or(Bytes::ZERO, |runtime| Bytes::from_mib(runtime.spread_mib))
    }

    fn runtime_of(&self, plan: &Plan) -> Option<&Runtime> {
        self.runtime.iter().find(|r| {
            let newer = r.before.is_some_and(|[major, minor]| plan.is_of(Versions::Since((major, minor))));
            !newer && applies(plan, &r.framework, r.accelerators.as_deref())
        })
    }

    /// Library workspaces inside the framework's allocator: those that were measured, else those of the libraries' code.
    pub fn workspaces(&self, plan: &Plan) -> Bytes {
        let fits = |w: &&Workspaces| applies(plan, &w.framework, Some(w.accelerators.as_slice()));
        let grouped = plan.shape.experts.is_some() && plan.dispatcher != Dispatcher::AllGather;
        let of = |w: &Workspaces| Bytes::from_mib(w.mib + if grouped { w.grouped_mib } else { 0 });
        self.workspaces.iter().find(fits).map_or_else(|| workspaces::workspaces(plan), of)
    }

    /// The standard deviation of [`Self::workspaces`].
    pub fn workspaces_spread(&self) -> Bytes {
        Bytes::from_mib(self.workspaces_spread_mib)
    }

    /// Holes in the allocator that cannot be released when the device is full.
    pub fn fragmentation(&self, plan: &Plan, transient: Bytes) -> Bytes {
        transient.scale(self.allocator(plan).map_or(0.0, |a| a.fragmentation))
            + self.dispatch_slack(plan).scale(match plan.dispatcher {
                // Its blocks belong to a stream of its own.
                Dispatcher::DeepEP => 1.0,
                _ => self.dispatchers.alltoall_stays,
            })
    }

    /// Memory that the allocator keeps besides live tensors while the device has room.
    pub fn slack(&self, plan: &Plan, transient: Bytes) -> Bytes {
        transient.scale(self.allocator(plan).map_or(0.0, |a| a.slack)) + self.dispatch_slack(plan)
    }

    /// The blocks of a typical batch's logits, which are too small for the longest batch.
    pub fn length_slack(&self, plan: &Plan) -> Bytes {
        if !plan.varying_lengths || !plan.is_of(plan.profile.batches.logits_stay) {
            return Bytes::ZERO;
        }
        let logits = plan.sequences().saturating_mul(plan.typical_sequence).saturating_mul(plan.shape.vocab);
        Bytes::of(logits, self.varying_lengths.logit_bytes)
    }

    /// The idle part of a block of logits while the device has room.
    pub fn idle_logits_at_the_peak(&self, block: Bytes) -> Bytes {
        block.scale(self.idle_logits.idle)
    }

    /// The part of an idle block of logits that cannot be released when the device is full.
    pub fn idle_logits_that_stay(&self, block: Bytes) -> Bytes {
        block.scale(self.idle_logits.stays)
    }

    /// The number of routed rows changes every step. Old blocks then fit no later rows.
    fn dispatch_slack(&self, plan: &Plan) -> Bytes {
        match &plan.shape.experts {
            Some(experts)
                if plan.profile.experts.uneven_rows_stay
                    && plan.expert > 1
                    && matches!(plan.dispatcher, Dispatcher::AllToAll | Dispatcher::DeepEP) =>
            {
                let rows = plan.tokens() as f64 * experts.per_token as f64;
                Bytes::from_f64(self.dispatchers.alltoall_slack_bytes * rows * plan.shape.hidden as f64)
                    .min(Bytes::from_mib(self.dispatchers.alltoall_slack_at_most_mib))
            }
            _ => Bytes::ZERO,
        }
    }

    fn allocator(&self, plan: &Plan) -> Option<&Allocator> {
        let smaller = |most: f64| plan.accelerator_memory.is_some_and(|memory| memory.as_gib() <= most);
        self.allocator
            .iter()
            .find(|a| a.device_gib_at_most.is_none_or(smaller) && applies(plan, &a.framework, None))
    }

    /// The evidence for a job whose plans have these modes: the weakest class and the widest spread. If the modes differ,
    /// or the job does not name its framework, the mode is assumed, so that it is derived at best.
    pub fn evidence(&self, modes: &[Mode<'_>; 3], named: bool, versioned: bool) -> (Evidence, Spread) {
        let [first, others @ ..] = modes;
        let assumed = !named || others.iter().any(|other| other != first);
        let known = &self.evidence;
        let of = |mode| (known.class(mode), known.spread(mode).and(self.version_spread(mode, versioned)));
        let worst = |(class, spread): (Evidence, Spread), (other, wider): (Evidence, Spread)| {
            (class.max(other), spread.at_least(wider))
        };
        let least = assumed.then(|| (Evidence::Derived, known.of_class(Evidence::Derived)));
        others.iter().map(of).chain(least).fold(of(first), worst)
    }

    /// Whether the framework's versions differ so much that an unknown version matters.
    pub fn version_decides(&self, mode: &Mode<'_>) -> bool {
        self.version_spread(mode, false) > 0.0
    }

    fn version_spread(&self, mode: &Mode<'_>, versioned: bool) -> f64 {
        let entry = self.versions.iter().find(|entry| !versioned && entry.framework == mode.framework);
        entry.map_or(0.0, |entry| entry.unknown)
    }
}

/// Each communicator up to this number has its own memory; further ones share it.
const COMMUNICATORS_AT_MOST: u64 = 4;

/// Whether an entry covers the plan's framework (or any), and the plan's accelerator if the entry names some.
fn applies(plan: &Plan, framework: &str, accelerators: Option<&[String]>) -> bool {
    let framework_fits = framework == unknown::PROFILE.name || framework == plan.profile.name;
    framework_fits
        && accelerators.is_none_or(|names| {
            let own = plan.accelerator.as_deref().unwrap_or_default();
            names.iter().any(|name| contains(own, name))
        })
}

/// Whether a text contains a word, in letters of either case.
fn contains(text: &str, word: &str) -> bool {
    let mut places = text.as_bytes().windows(word.len().max(1));
    word.is_empty() || places.any(|place| place.eq_ignore_ascii_case(word.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::assume::{Device, assume};
    use crate::job::TrainingJob;

    #[test]
    fn a_process_holds_four_communicators_at_most() {
        let runtime = |degrees: serde_json::Value| {
            let job: TrainingJob = serde_json::from_value(serde_json::json!({
                "model": {"layers": 8, "hiddenSize": 512, "experts": 8, "expertsPerToken": 2},
                "framework": "Megatron", "accelerator": {"type": "H100-80GB"}, "parallelism": degrees,
            }))
            .unwrap();
            let plan = assume(&job, Device { bf16: true }).unwrap().likely;
            (plan.dimensions(), Calibration::builtin().runtime(&plan))
        };
        let three = runtime(serde_json::json!({"data": 2, "pipeline": 2, "expert": 2}));
        let four = runtime(serde_json::json!({"data": 2, "pipeline": 2, "expert": 2, "tensor": 2}));
        let five =
            runtime(serde_json::json!({"data": 2, "pipeline": 2, "expert": 2, "tensor": 2, "context": 2}));
        assert_eq!([three.0, four.0, five.0], [3, 4, 5]);
        assert!(four.1 > three.1);
        assert_eq!(five.1, four.1);
    }
}
