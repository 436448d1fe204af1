//! Whether a pod's host memory and shared memory suffice, by the rule of device memory.
//!
//! | resource | limit |
//! | --- | --- |
//! | host memory | the container's or the pod's limit; without one, the memory of the roomiest node where it may run |
//! | storage | the volume that holds the saves, or the downloaded weights; the container's own disk, if none does |
//! | shared memory | the volume at /dev/shm; without one, 64 MiB; without a size, the limit of host memory |
//!
//! Without a limit there is a need, and no verdict. No verdict here changes that of device memory: the policy decides whether
//! they warn or refuse.

use super::shown::Shown;
use super::{Given, Judge, host_advice, host_storage};
use crate::estimate::Estimate;
use crate::estimate::assume::Device;
use crate::estimate::host::{self, HostEstimate, Need, Pod, shared_memory};
use crate::job::TrainingJob;
use crate::job::keys::{self, PREFIX};
use crate::job::{AnyField, field};
use crate::judgement::{Component, Judgement, Resource, Verdict};
use crate::kinds::host::{Class, SharedMemory};
use crate::policy::Rules;
use crate::resolve::open::Open;
use crate::units::{ByteRate, Bytes};
use crate::verdict::{Distribution, decide};
use crate::workload::PodOffer;

/// The least bandwidth of links that join all accelerators of a node, both directions added. A V100's have 300 GB/s. The bridges of an
/// A40 have 112.5 GB/s, and join pairs (data/accelerators.toml).
const DIRECT: ByteRate = ByteRate(200_000_000_000);

/// The source of the limit of shared memory if no volume is mounted.
const DEFAULT_SHARED: &str = "the container runtime's default: nothing is mounted at /dev/shm";

/// A limit, and where it comes from.
#[derive(Clone, Debug)]
pub(super) struct Allowed {
    pub(super) bytes: Bytes,
    /// The field.
    pub(super) source: String,
    /// How messages name it: `limits.memory`.
    pub(super) named: String,
    /// Whether another object gives it.
    pub(super) elsewhere: bool,
}

impl Judge<'_> {
    /// Adds what the pod needs besides device memory.
    pub(super) fn with_host(
        &self,
        mut judgement: Judgement,
        estimate: &Estimate,
        offer: &PodOffer,
        given: Given<'_, '_>,
        shown: &Shown<'_>,
    ) -> Judgement {
        let Given { capacity, device, open, .. } = given;
        let links = capacity.accelerator.map(|accelerator| accelerator.bandwidth.link);
        let pod = Pod {
            ranks: offer.accelerators,
            pods: offer.pods,
            accelerated: true,
            launched: offer.accelerators > 1,
            linked: links.map(|link| link.is_some_and(|link| link >= DIRECT)),
        };
        let needs = self.host_needs(&judgement.job, estimate, pod, open, device);
        let memory_limit = memory_limit(offer);
        let advice = host_advice::memory(self, &judgement.job, estimate, pod, memory_limit.as_ref(), &needs);
        let mut host = self.resource("host memory", &needs.memory, memory_limit.as_ref(), advice);
        host.warnings.extend(evicted_first(offer));
        let limit = shared_limit(offer, memory_limit.as_ref());
        let advice = host_advice::shared_memory(&needs.shared_memory, offer);
        let mut shared = self.resource("shared memory", &needs.shared_memory, limit.as_ref(), advice);
        unmounted(&mut shared, &judgement.job, offer);
        if shown.hides_pod() {
            for resource in [&mut host, &mut shared] {
                hide(resource);
            }
        }
        judgement.host_memory = self.rules.host_memory;
        let loading = estimate.assumed.likely.profile.host.loading;
        judgement.storage = host_storage::storage(self, &judgement, offer, &needs, loading, shown);
        judgement.host = Some(host);
        judgement.shared_memory = Some(shared);
        judgement
    }

    /// The needs of every reading of the job. Fields that cannot be read may make the leanest leaner, and the heaviest heavier.
    fn host_needs(
        &self,
        job: &TrainingJob,
        estimate: &Estimate,
        pod: Pod,
        open: &Open,
        device: Device,
    ) -> HostEstimate {
        let mut needs = host::estimate(job, estimate, pod);
        for other in open.leanest().into_iter().chain(open.heaviest()) {
            let Ok(estimate) = self.estimate(&other, device) else { continue };
            let other = host::estimate(&other, &estimate, pod);
            needs.memory.reach(&other.memory);
            needs.shared_memory.reach(&other.shared_memory);
            needs.storage.reach(&other.storage);
            needs.downloads.reach(&other.downloads);
            needs.saves_and_downloads.reach(&other.saves_and_downloads);
        }
        needs
    }

    /// A resource against its limit.
    pub(super) fn resource(
        &self,
        name: &'static str,
        need: &Need,
        limit: Option<&Allowed>,
        advice: Vec<String>,
    ) -> Resource {
        let decision = limit.map(|limit| decide(&need.distribution, limit.bytes, self.rules));
        let verdict = decision.map_or(Verdict::Unknown, |decision| decision.verdict);
        let (lower, upper) = need.distribution.bounds();
        let peak = need.distribution.likely();
        let advice = if verdict == Verdict::Fits { Vec::new() } else { advice };
        Resource {
            verdict,
            message: message(name, need, limit, verdict, &advice),
            probability: decision.map(|decision| decision.probability),
            peak_bytes: peak,
            lower_bytes: lower.min(peak),
            upper_bytes: upper.max(peak),
            limit_bytes: limit.map(|limit| limit.bytes),
            limit_source: limit.map(|limit| limit.source.clone()),
            instant: need.instant.to_owned(),
            components: need.components.clone(),
            warnings: Vec::new(),
            advice,
        }
    }
}

/// The limit of host memory.
pub(super) fn memory_limit(offer: &PodOffer) -> Option<Allowed> {
    let own = offer.host.memory.as_ref();
    let own = own.map(|given| Allowed {
        bytes: given.bytes,
        source: given.source.clone(),
        named: "limits.memory".into(),
        elsewhere: false,
    });
    own.or_else(|| {
        let node = "the roomiest node where it may run";
        Some(Allowed { bytes: offer.node?, source: node.into(), named: node.into(), elsewhere: false })
    })
}

/// The limit of shared memory.
fn shared_limit(offer: &PodOffer, memory: Option<&Allowed>) -> Option<Allowed> {
    let allowed = |bytes, source: &str| {
        Some(Allowed { bytes, source: source.to_owned(), named: source.to_owned(), elsewhere: false })
    };
    match offer.host.shared_memory {
        SharedMemory::Unmounted => allowed(shared_memory::UNMOUNTED, DEFAULT_SHARED),
        SharedMemory::Sized(bytes) => allowed(bytes, "the volume at /dev/shm"),
        SharedMemory::Unsized => memory.cloned(),
        SharedMemory::Others => None,
    }
}

/// What can be said of a pod whose model is not known: only its shared memory.
pub(super) fn without_model(
    mut judgement: Judgement,
    offer: &PodOffer,
    shown: &Shown<'_>,
    rules: &Rules,
) -> Judgement {
    if offer.host.shared_memory != SharedMemory::Unmounted || shown.hides_pod() {
        return judgement;
    }
    let advice = host_advice::mount(Bytes::ZERO);
    let mut shared = Resource {
        verdict: Verdict::Unknown,
        message: "64 MiB of shared memory: nothing is mounted at /dev/shm".to_owned(),
        probability: None,
        peak_bytes: Bytes::ZERO,
        lower_bytes: Bytes::ZERO,
        upper_bytes: Bytes::ZERO,
        limit_bytes: Some(shared_memory::UNMOUNTED),
        limit_source: Some(DEFAULT_SHARED.to_owned()),
        instant: "training".to_owned(),
        components: Vec::new(),
        warnings: Vec::new(),
        advice: Vec::new(),
    };
    unmounted(&mut shared, &judgement.job, offer);
    if shared.warnings.is_empty() {
        return judgement;
    }
    judgement.host_memory = rules.host_memory;
    judgement.shared_memory = Some(Resource { advice, ..shared });
    judgement
}

/// Workers pass every batch through shared memory. With a few MiB of batches 64 MiB suffice, and images need more.
fn unmounted(shared: &mut Resource, job: &TrainingJob, offer: &PodOffer) {
    let workers = job.host.as_ref().and_then(|host| host.dataloader_workers).unwrap_or(0);
    if workers > 0 && offer.host.shared_memory == SharedMemory::Unmounted {
        shared.warnings.push(format!(
            "{workers} data loader workers a GPU share 64 MiB at /dev/shm: mount a volume in memory there"
        ));
        if shared.advice.is_empty() {
            shared.advice = host_advice::mount(shared.upper_bytes);
        }
    }
}

/// A pod that requests nothing is evicted first.
fn evicted_first(offer: &PodOffer) -> Option<String> {
    (offer.host.class == Class::BestEffort).then(|| {
        "no container requests memory or cpu: when its node runs short, this pod is evicted first".to_owned()
    })
}

/// Without values of other objects.
pub(super) fn hide(resource: &mut Resource) {
    let limit =
        if resource.verdict == Verdict::Unknown { "" } else { ", compared with a limit of another object" };
    resource.message = format!("needs {} a pod{limit}", resource.peak_bytes.amount());
    (resource.limit_bytes, resource.limit_source) = (None, None);
    resource.warnings.clear();
    resource.advice.clear();
}

fn message(name: &str, need: &Need, limit: Option<&Allowed>, verdict: Verdict, advice: &[String]) -> String {
    let (lower, upper) = need.distribution.bounds();
    let peak = need.distribution.likely();
    let [lower, peak, upper] = [lower.min(peak), peak, upper.max(peak)].map(Bytes::amount);
    let Some(limit) = limit else {
        return format!("needs {peak} of {name} a pod ({lower} to {upper}); no limit is set");
    };
    let largest = largest(&need.components);
    let offered = limit.bytes.amount();
    let advised = advice.first().map(|advice| format!("; {advice}")).unwrap_or_default();
    match verdict {
        Verdict::OutOfMemory => {
            format!(
                "needs {peak} of {name} a pod (at least {lower}), {offered} are allowed: {largest}{advised}"
            )
        }
        Verdict::Tight => {
            format!(
                "may run out of {name}: needs {peak} a pod (up to {upper}) of {offered}: {largest}{advised}"
            )
        }
        Verdict::Unknown => {
            let (part, range) = need.open_part();
            let range = range.amount();
            let key = key_of(part).map(|key| format!(", add {PREFIX}{key}")).unwrap_or_default();
            format!(
                "needs {peak} of {name} a pod ({lower} to {upper}), {offered} are allowed; whether that suffices depends on \
                 {part} ({range}){key}{advised}"
            )
        }
        Verdict::Fits | Verdict::NotTraining | Verdict::Unrecognised => {
            format!("needs {peak} of {name} a pod ({lower} to {upper}), {offered} are allowed")
        }
    }
}

/// The largest parts, with their sizes.
fn largest(components: &[Component]) -> String {
    let mut parts: Vec<_> = components.iter().collect();
    parts.sort_by_key(|part| std::cmp::Reverse(part.bytes));
    let named = parts.iter().take(2).map(|part| format!("{} {}", part.name, part.bytes.amount()));
    named.collect::<Vec<_>>().join(", ")
}

/// The key of the field that decides a part.
fn key_of(part: &str) -> Option<&'static str> {
    let field: AnyField = match part {
        "weights while loading" => field::host::LOADING.erased(),
        "gathered states" => field::host::FULL_STATE_DICT.erased(),
        "data loader workers" | "batches of data loaders" | "shared memory" => {
            field::host::DATALOADER_WORKERS.erased()
        }
        "offloaded optimizer states" | "offloaded parameters" => field::host::PINNED_OFFLOAD.erased(),
        _ => return None,
    };
    Some(keys::of_field(field))
}

/// Whether a need fits a limit, by the policy's rules.
pub(super) fn fits(need: &Distribution, limit: Bytes, judge: &Judge<'_>) -> bool {
    decide(need, limit, judge.rules).verdict == Verdict::Fits
}
