//! Which pods take part in a training, and with how many accelerators.
//!
//! States are shared among the accelerators of one training, so others must not be counted. A training has the
//! accelerators
//!
//! - of its own container, where other containers of the pod ask for some as well;
//! - of its own group of pods, where the launch is told of as many nodes as that has;
//! - of one pod, where the launch meets no other ([`Rendezvous`]) and the kind does not tell pods of each other;
//! - of those groups of pods that run the same program.
//!
//! A launcher that starts processes in other pods (`mpirun`), and a command outside of any pod, has all of them. So has
//! Ray. Of a group whose command says nothing it is not known whether it takes part; then the number with it is given
//! beside the other, and nothing is refused that would fit with it.
//!
//! An object may be one of many: a Pod, or a Job, for each node. Where a launch counts on more nodes than there are pods,
//! the others are objects of their own. Then nothing is refused that would fit among all nodes. A kind that tells its
//! pods of each other has all of them.

use crate::command::{Launch, Target};
use crate::frameworks::{Rendezvous, World, nodes, serves};
use crate::kinds::requests::Request;

/// The pods that take part.
#[derive(Debug, Default)]
pub(in crate::workload) struct Participants<'a> {
    /// What those ask for that surely do.
    pub(in crate::workload) requests: Vec<Request<'a>>,
    /// How many accelerators all have that may, where these are more.
    pub(in crate::workload) at_most: Option<u64>,
    /// What to say of it.
    pub(in crate::workload) warning: Option<String>,
}

/// So many nodes a training has at most, where it is not known how many.
const MOST_NODES: u64 = 1_024;

/// Whether a group of pods takes part.
#[derive(Clone, Copy, PartialEq, Eq)]
enum TakesPart {
    Surely,
    Perhaps,
    No,
}

impl<'a> Participants<'a> {
    /// All pods.
    pub(in crate::workload) fn all(requests: &[Request<'a>]) -> Self {
        Self { requests: requests.to_vec(), ..Self::default() }
    }

    /// Whether a training that divides its model among so many accelerators has fewer: then others must take part.
    pub(in crate::workload) fn are_too_few_for(&self, accelerators: u64) -> bool {
        total(&self.requests).is_some_and(|all| all < accelerators)
    }

    /// Of a training that a launch starts, one of these. All commands are read, or `has_gap`.
    pub(in crate::workload) fn of(
        launch: Option<&Launch>,
        launches: &[Launch],
        requests: &[Request<'a>],
        connects: bool,
        has_gap: bool,
    ) -> Self {
        let known = Self::of_object(launch, launches, requests, connects, has_gap);
        match launch.filter(|launch| !launch.reaches_others()) {
            Some(launch) => known.among_others(launch, connects),
            None => known,
        }
    }

    /// With the pods of other objects that the launch counts on.
    fn among_others(mut self, launch: &Launch, connects: bool) -> Self {
        let own = |request: &&Request<'_>| launch.group.as_deref() == Some(request.path);
        let Some(per_pod) = self.requests.iter().find(own).map(|request| request.per_pod) else {
            return self;
        };
        let pods = self.requests.iter().try_fold(0u64, |sum, request| sum.checked_add(request.pods?));
        let Some(pods) = pods.filter(|pods| *pods > 0) else { return self };
        let (nodes, warning) = match World::of(launch) {
            // A kind that tells its pods of each other has all of them.
            Some(World::Nodes(nodes)) if connects && nodes > pods => {
                let doubt = format!("the launch counts on {nodes} nodes, but one pod asks for accelerators");
                self.warning = self.warning.or((pods == 1).then_some(doubt));
                return self;
            }
            Some(World::Nodes(nodes)) if nodes > pods => {
                let pods = if pods == 1 { "one pod".to_owned() } else { format!("{pods} pods") };
                (nodes, format!("{pods} of {nodes}: the launch counts on {nodes} nodes"))
            }
            Some(World::Unknown) if pods == 1 && !connects => {
                (MOST_NODES, "one pod of several, perhaps: the launch counts on other nodes".to_owned())
            }
            _ => return self,
        };
        self.at_most = self.at_most.max(Some(per_pod.saturating_mul(nodes)));
        self.warning = Some(warning);
        self
    }

    fn of_object(
        launch: Option<&Launch>,
        launches: &[Launch],
        requests: &[Request<'a>],
        connects: bool,
        has_gap: bool,
    ) -> Self {
        let all = || Self::all(requests);
        let Some(launch) = launch else { return all() };
        let is_own = |request: &Request<'_>| launch.group.as_deref() == Some(request.path);
        let Some(own) = requests.iter().find(|request| is_own(request)) else { return all() };
        let is_ray = |launch: &Launch| launch.target == Target::Program("ray start".into());
        if launch.reaches_others() || launches.iter().any(is_ray) {
            return all();
        }
        let within = of_containers(own, launch, launches);
        let rendezvous = if connects { Rendezvous::Given } else { Rendezvous::of(launch) };
        if rendezvous != Rendezvous::Given {
            let alone = Request { pods: within.pods.map(|pods| pods.min(1)), ..within };
            let more = total(requests).filter(|all| *all > alone.per_pod);
            let at_most = more.filter(|_| rendezvous == Rendezvous::Perhaps);
            let warning = own
                .pods
                .filter(|pods| *pods > 1)
                .map(|pods| format!("each of {pods} pods trains by itself: the launch is told of no other"));
            return Self { requests: vec![alone], at_most, warning };
        }
        if nodes(launch).is_some_and(|nodes| own.pods == Some(nodes)) {
            return Self { requests: vec![within], ..Self::default() };
        }
        let takes_part = |request: &Request<'_>| {
            let mut there = launches.iter().filter(|l| l.group.as_deref() == Some(request.path)).peekable();
            if is_own(request) {
                TakesPart::Surely
            } else if component(request.path) != component(own.path) {
                TakesPart::No
            } else if there.peek().is_none() {
                if has_gap { TakesPart::Perhaps } else { TakesPart::No }
            } else if there.clone().any(|other| other.runs_the_same(launch)) {
                TakesPart::Surely
            } else if there.all(serves) {
                TakesPart::No
            } else {
                TakesPart::Perhaps
            }
        };
        let taking: Vec<TakesPart> = requests.iter().map(takes_part).collect();
        let that = |wanted: &[TakesPart]| {
            let pairs = requests.iter().zip(&taking).filter(|(_, takes)| wanted.contains(takes));
            pairs.map(|(request, _)| of_containers(request, launch, launches)).collect::<Vec<_>>()
        };
        let surely = that(&[TakesPart::Surely]);
        let perhaps = that(&[TakesPart::Surely, TakesPart::Perhaps]);
        let at_most = total(&perhaps).filter(|_| perhaps.len() > surely.len());
        let idle = requests.len() - perhaps.len();
        let warning = (idle > 0 && component(own.path).is_none()).then(|| {
            let s = if idle == 1 { "" } else { "s" };
            format!("{idle} group{s} of pods with accelerators take no part in the training")
        });
        Self { requests: surely, at_most, warning }
    }
}

/// All accelerators, where the number of pods is known.
fn total(requests: &[Request<'_>]) -> Option<u64> {
    requests.iter().try_fold(0u64, |sum, r| Some(sum.saturating_add(r.per_pod.saturating_mul(r.pods?))))
}

/// What a group's containers that run the launch's program ask for, where others of the pod ask as well.
fn of_containers<'a>(request: &Request<'a>, launch: &Launch, launches: &[Launch]) -> Request<'a> {
    let mut places: Vec<(&str, u64)> = launches
        .iter()
        .filter(|other| other.group.as_deref() == Some(request.path))
        .filter(|other| other.runs_the_same(launch) && other.arguments == launch.arguments)
        .map(|other| (other.place.as_str(), other.accelerators))
        .collect();
    places.sort_unstable();
    places.dedup();
    let asked: u64 = places.iter().fold(0, |sum, (_, accelerators)| sum.saturating_add(*accelerators));
    let per_pod = if asked > 0 { asked.min(request.per_pod) } else { request.per_pod };
    Request { per_pod, ..request.clone() }
}

/// The object within a wrapper that a group belongs to.
fn component(path: &str) -> Option<&str> {
    path.strip_prefix("spec.components[")?.split(']').next()
}
