//! The pods that take part in a training, and the number of their accelerators.
//!
//! The accelerators of one training share its states, so no others may be counted. A training has the accelerators
//!
//! - of its own container, if other containers of the pod also ask for some;
//! - of its own group of pods, if the launch gives the same number of nodes as the group has pods;
//! - of one pod, if the launch meets no other ([`Rendezvous`]) and the kind does not connect its pods;
//! - of the groups of pods that run the same program.
//!
//! A launcher that starts processes in other pods (`mpirun`) has all accelerators. So has a command outside of any pod,
//! and so has Ray. A group without a readable command may take part or not. Then there are two numbers, without the
//! group and with it, and a job that fits with the larger number is not refused. A group without a command takes part if
//! the launch counts on its pods: the operator or the image starts them.
//!
//! An object may be one of many: one Pod or one Job for each node. A launch may count on more nodes than there are
//! pods. Then the other pods are separate objects, and a job that fits among all nodes is not refused. If the kind
//! tells its pods about each other, the training has all of them.

use crate::command::{Launch, Target};
use crate::frameworks::{OtherNodes, Rendezvous, nodes, serves};
use crate::kinds::requests::Request;

/// The pods that take part.
#[derive(Debug, Default)]
pub(in crate::workload) struct Participants<'a> {
    /// The requests of the pods that surely take part.
    pub(in crate::workload) requests: Vec<Request<'a>>,
    /// The number of accelerators with all pods that may take part, if it is larger.
    pub(in crate::workload) at_most: Option<u64>,
    /// A warning about them.
    pub(in crate::workload) warning: Option<String>,
}

/// The most nodes of a training, if we do not know their number.
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

    /// Whether a training has fewer accelerators than its model is divided among. Then other pods must take part.
    pub(in crate::workload) fn are_too_few_for(&self, accelerators: u64) -> bool {
        total(&self.requests).is_some_and(|all| all < accelerators)
    }

    /// The pods of a training that one of these launches starts. All commands are read, unless `has_gap`.
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

    /// Adds the pods of other objects that the launch counts on.
    fn among_others(mut self, launch: &Launch, connects: bool) -> Self {
        let own = |request: &&Request<'_>| launch.group.as_deref() == Some(request.path);
        let Some(per_pod) = self.requests.iter().find(own).map(|request| request.per_pod) else {
            return self;
        };
        let pods = self.requests.iter().try_fold(0u64, |sum, request| sum.checked_add(request.pods?));
        let Some(pods) = pods.filter(|pods| *pods > 0) else { return self };
        let (nodes, warning) = match OtherNodes::of(launch) {
            // If the kind tells its pods about each other, it has all of them.
            Some(OtherNodes::Nodes(nodes)) if connects && nodes > pods => {
                let doubt = format!("the launch counts on {nodes} nodes, but one pod asks for accelerators");
                self.warning = self.warning.or((pods == 1).then_some(doubt));
                return self;
            }
            Some(OtherNodes::Nodes(nodes)) if nodes > pods => {
                let pods = if pods == 1 { "one pod".to_owned() } else { format!("{pods} pods") };
                (nodes, format!("{pods} of {nodes}: the launch counts on {nodes} nodes"))
            }
            Some(OtherNodes::Unknown) if pods == 1 && !connects => {
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
        let is_own = |request: &&Request<'_>| launch.group.as_deref() == Some(request.path);
        let Some(own) = requests.iter().find(is_own) else { return all() };
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
                .map(|pods| format!("each of {pods} pods trains by itself: its launch names no other"));
            return Self { requests: vec![alone], at_most, warning };
        }
        if nodes(launch).is_some_and(|nodes| own.pods == Some(nodes)) {
            return Self { requests: vec![within], ..Self::default() };
        }
        let groups = Groups { own, launch, launches, has_gap };
        let counts_silent =
            groups.count_with_silent(requests).is_some_and(|pods| nodes(launch) == Some(pods));
        let takes_part = |request| groups.takes_part(request, counts_silent);
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

/// The groups of pods beside the one whose launch trains.
struct Groups<'r> {
    own: &'r Request<'r>,
    launch: &'r Launch,
    launches: &'r [Launch],
    /// Whether a command may be unread.
    has_gap: bool,
}

impl Groups<'_> {
    /// Whether a group takes part in the training. With `counts_silent` the launch counts on the groups without a
    /// readable command.
    fn takes_part(&self, request: &Request<'_>, counts_silent: bool) -> TakesPart {
        let mut there = self.launches_of(request).peekable();
        if self.is_own(request) {
            TakesPart::Surely
        } else if component(request.path) != component(self.own.path) {
            TakesPart::No
        } else if counts_silent && self.is_silent(request) {
            TakesPart::Surely
        } else if there.peek().is_none() {
            if self.has_gap { TakesPart::Perhaps } else { TakesPart::No }
        } else if there.clone().any(|other| other.runs_the_same(self.launch)) {
            TakesPart::Surely
        } else if there.all(serves) {
            TakesPart::No
        } else {
            TakesPart::Perhaps
        }
    }

    /// The pods of the own group and of those without a readable command.
    fn count_with_silent(&self, requests: &[Request<'_>]) -> Option<u64> {
        let mut counted = requests.iter().filter(|request| self.is_own(request) || self.is_silent(request));
        counted.try_fold(0u64, |sum, request| sum.checked_add(request.pods?))
    }

    fn is_own(&self, request: &Request<'_>) -> bool {
        self.launch.group.as_deref() == Some(request.path)
    }

    fn is_silent(&self, request: &Request<'_>) -> bool {
        self.launches_of(request).all(|other| other.target == Target::Unknown)
    }

    fn launches_of(&self, request: &Request<'_>) -> impl Iterator<Item = &Launch> + Clone {
        self.launches.iter().filter(|launch| launch.group.as_deref() == Some(request.path))
    }
}

/// All accelerators, if the number of pods is known.
fn total(requests: &[Request<'_>]) -> Option<u64> {
    requests.iter().try_fold(0u64, |sum, r| Some(sum.saturating_add(r.per_pod.saturating_mul(r.pods?))))
}

/// The requests of the containers that run the launch's program, if other containers of the pod also ask.
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

/// The object inside a wrapper that a group belongs to.
fn component(path: &str) -> Option<&str> {
    path.strip_prefix("spec.components[")?.split(']').next()
}
