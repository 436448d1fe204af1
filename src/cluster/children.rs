//! Whether an object is the child of another one, and whether its owner covers it.
//!
//! A controlling owner reference names the owner. Where other objects stand between owner and pod that are not judged
//! (the StatefulSets of a LeaderWorkerSet), a label of the pod names it instead.
//!
//! A reference to an owner is only a claim, and so is a label: anyone may write it. A child passes because its owner was judged. So an
//! owner covers a child only if the owner was judged as training and the child is [like it](super::likeness). In all
//! other cases the child is judged by itself, as if it had no owner:
//!
//! | owner | standing of the child |
//! | --- | --- |
//! | no owner, an owner of a kind that does not make such children, or of a kind that is not served | [`Own`](Standing::Own) |
//! | an object whose kind, namespace or name differs from the reference | `Own` |
//! | judged, and does not train | [`Idle`](Standing::Idle) |
//! | trains, and the child is like it | [`Covered`](Standing::Covered) |
//! | trains, and the child differs | [`Differs`](Standing::Differs) |
//! | not in the cache yet | [`Waiting`](Standing::Waiting) |
//!
//! The garbage collector never removes the child of a kind that is not served, because it cannot find out that the
//! owner is absent. So such an owner does not count. A controller is often faster than a watch. So a child whose
//! owner is not in the cache yet passes, and the controller checks it later: it judges the child if the owner does
//! not exist or does not cover it.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};

use serde_json::Value;

use super::likeness::{Comparison, Likeness};
use super::workloads::{Digest, Workloads, claimed_owner};
use crate::kinds::Kind;

/// How many owners of owners are followed. The longest chain is TrainJob, JobSet, Job, Pod.
const DEEPEST: usize = 8;

/// Whether an object is judged by itself, or covered by an owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It has no owner that counts.
    Own,
    /// Its owner does not train.
    Idle,
    /// Its owner covers it.
    Covered,
    /// Its owner trains, but the child differs from the owner's templates.
    Differs {
        /// Whether only its command differs and the owner's annotations describe the training. Then it is not refused.
        command_only: bool,
    },
    /// Its owner is not in the cache yet.
    Waiting(Arc<Claim>),
}

/// An owner that an object claims to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The owner's uid. None if a label names the owner.
    pub uid: Option<String>,
    /// The owner's kind.
    pub kind: &'static str,
    /// The group of the owner's kind.
    pub group: &'static str,
    /// The owner's name.
    pub name: String,
    /// The version of the owner's kind in the reference. None if a label names the owner.
    pub version: Option<String>,
}

impl Claim {
    /// The claim to be of an owner of this kind and name.
    pub(super) fn of(kind: &Kind, name: &str) -> Self {
        Self { uid: None, kind: kind.kind, group: kind.group, name: name.to_owned(), version: None }
    }

    /// Whether it is about this owner, made in this namespace.
    fn matches(&self, owner: &Digest, namespace: &str) -> bool {
        (owner.kind.group, owner.kind.kind) == (self.group, self.kind)
            && owner.namespace == namespace
            && owner.name == self.name
    }
}

impl Workloads {
    /// The standing of an object. Its likeness is computed only if an owner counts.
    pub fn standing(
        &self,
        kind: &Kind,
        namespace: &str,
        object: &Value,
        likeness: impl FnOnce() -> Likeness,
    ) -> Standing {
        let Some((claim, owner_kind)) = claimed_owner(&self.kinds, kind, object) else {
            return Standing::Own;
        };
        if !self.is_served(owner_kind) {
            return Standing::Own;
        }
        let Some(owner) = self.claimed(&claim, namespace) else {
            let is_known = |version: &String| owner_kind.versions.contains(&version.as_str());
            let may_exist = claim.version.as_ref().is_none_or(is_known);
            return if may_exist { Standing::Waiting(Arc::new(claim)) } else { Standing::Own };
        };
        if claim.matches(&owner, namespace) { self.child_of(&owner, likeness, 0) } else { Standing::Own }
    }

    /// The uid of the outermost owner that covers the object of a claim, by the owners in the cache now.
    pub(super) fn outermost(&self, claim: &Claim, namespace: &str) -> Option<String> {
        let mut owner = self.claimed(claim, namespace)?;
        for _ in 0..DEEPEST {
            let Some(claim) = &owner.claim else { break };
            let Some(next) =
                self.claimed(claim, namespace).filter(|next| next.verdict.trains() || next.child)
            else {
                break;
            };
            owner = next;
        }
        Some(owner.uid.clone())
    }

    /// The cached owner of a claim.
    fn claimed(&self, claim: &Claim, namespace: &str) -> Option<Arc<Digest>> {
        match &claim.uid {
            Some(uid) => self.get(uid),
            None => self.named(claim.group, claim.kind, namespace, &claim.name),
        }
    }

    /// The standing of a cached child, by the owners in the cache now.
    pub fn standing_again(&self, child: &Digest) -> Standing {
        self.resolve(child, 0)
    }

    fn resolve(&self, child: &Digest, depth: usize) -> Standing {
        let Standing::Waiting(claim) = &child.standing else { return child.standing.clone() };
        let Some(owner) = self.claimed(claim, &child.namespace).filter(|_| depth < DEEPEST) else {
            return child.standing.clone();
        };
        if claim.matches(&owner, &child.namespace) {
            self.child_of(&owner, || child.likeness.clone(), depth)
        } else {
            Standing::Own
        }
    }

    /// The standing of a child whose owner is in the cache.
    fn child_of(&self, owner: &Digest, likeness: impl FnOnce() -> Likeness, depth: usize) -> Standing {
        match self.resolve(owner, depth + 1) {
            Standing::Waiting(claim) => Standing::Waiting(claim),
            Standing::Own | Standing::Idle if !owner.verdict.trains() => Standing::Idle,
            _ => match owner.likeness.compare(&likeness()) {
                Comparison::Same => Standing::Covered,
                Comparison::OtherCommand => Standing::Differs { command_only: true },
                Comparison::Different => Standing::Differs { command_only: false },
            },
        }
    }

    /// The kinds that the cluster serves, by their slugs.
    pub(super) fn serve(&self, slugs: BTreeSet<&'static str>) {
        *self.served.write().unwrap_or_else(PoisonError::into_inner) = Some(slugs);
    }

    /// Whether the cluster serves a kind. `true` before discovery has answered.
    pub fn is_served(&self, kind: &Kind) -> bool {
        let served = self.served.read().unwrap_or_else(PoisonError::into_inner);
        served.as_ref().is_none_or(|slugs| slugs.contains(kind.slug))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::judgement::Verdict;
    use crate::kinds::Kinds;

    /// An object with this owner.
    fn owner(api_version: &str, kind: &str, name: &str, uid: &str, controller: bool) -> Value {
        let owner = json!({"apiVersion": api_version, "kind": kind, "name": name, "uid": uid, "controller": controller});
        json!({"metadata": {"ownerReferences": [owner]}})
    }

    /// The standing of a pod that asks for no accelerators, and so is like any owner.
    fn standing_of_pod(workloads: &Workloads, namespace: &str, pod: &Value) -> Standing {
        workloads.standing(Kinds::built_in().find("", "Pod").unwrap(), namespace, pod, Likeness::default)
    }

    fn workloads() -> Workloads {
        let workloads = Workloads::default();
        workloads.insert(Digest::example("u1"));
        workloads
    }

    #[test]
    fn a_pod_of_a_job_that_trains_is_covered() {
        let (workloads, pytorchjob) =
            (workloads(), owner("kubeflow.org/v1", "PyTorchJob", "llama", "u1", true));
        assert_eq!(standing_of_pod(&workloads, "team", &pytorchjob), Standing::Covered);
        workloads.insert(Digest { verdict: Verdict::Unknown, ..Digest::example("u1") });
        assert_eq!(standing_of_pod(&workloads, "team", &pytorchjob), Standing::Covered);
        workloads.insert(Digest { verdict: Verdict::NotTraining, ..Digest::example("u1") });
        assert_eq!(standing_of_pod(&workloads, "team", &pytorchjob), Standing::Idle);
    }

    #[test]
    fn an_owner_that_makes_no_pods_or_is_no_controller_does_not_count() {
        for owners in [
            owner("apps/v1", "ReplicaSet", "web", "u2", true),
            owner("kubeflow.org/v1", "PyTorchJob", "llama", "u1", false),
            json!({}),
        ] {
            assert_eq!(standing_of_pod(&workloads(), "team", &owners), Standing::Own, "{owners:?}");
        }
    }

    #[test]
    fn a_false_claim_to_a_cached_owner_does_not_count() {
        let workloads = workloads();
        let pytorchjob = owner("kubeflow.org/v1", "PyTorchJob", "llama", "u1", true);
        assert_eq!(standing_of_pod(&workloads, "other", &pytorchjob), Standing::Own);
        let other_name = owner("kubeflow.org/v1", "PyTorchJob", "mistral", "u1", true);
        assert_eq!(standing_of_pod(&workloads, "team", &other_name), Standing::Own);
        assert_eq!(
            standing_of_pod(&workloads, "team", &owner("batch/v1", "Job", "llama", "u1", true)),
            Standing::Own
        );
    }

    #[test]
    fn an_owner_of_a_kind_that_is_not_served_does_not_count() {
        let (workloads, unknown) = (workloads(), owner("kubeflow.org/v1", "PyTorchJob", "new", "u2", true));
        assert!(matches!(standing_of_pod(&workloads, "team", &unknown), Standing::Waiting(_)));
        workloads.serve(BTreeSet::from(["job"]));
        assert_eq!(standing_of_pod(&workloads, "team", &unknown), Standing::Own);
        workloads.serve(BTreeSet::from(["job", "pytorchjob"]));
        assert!(matches!(standing_of_pod(&workloads, "team", &unknown), Standing::Waiting(_)));
        let no_version = owner("kubeflow.org/v9", "PyTorchJob", "new", "u2", true);
        assert_eq!(standing_of_pod(&workloads, "team", &no_version), Standing::Own);
    }

    #[test]
    fn a_chain_is_covered_by_its_outermost_owner() {
        let workloads = workloads();
        let pod = owner("batch/v1", "Job", "a", "j", true);
        let job = |standing: Standing| Digest {
            kind: Kinds::built_in().find("batch", "Job").unwrap(),
            name: "a".into(),
            verdict: Verdict::NotTraining,
            standing,
            ..Digest::example("j")
        };
        workloads.insert(job(Standing::Covered));
        assert_eq!(standing_of_pod(&workloads, "team", &pod), Standing::Covered);
        workloads.insert(job(Standing::Idle));
        assert_eq!(standing_of_pod(&workloads, "team", &pod), Standing::Idle);
        let cron_job = Kinds::built_in().find("batch", "CronJob").unwrap();
        let claim = Claim { uid: Some("c".into()), ..Claim::of(cron_job, "b") };
        let waiting = Standing::Waiting(Arc::new(claim));
        workloads.insert(job(waiting.clone()));
        assert_eq!(standing_of_pod(&workloads, "team", &pod), waiting);
        workloads.insert(Digest { kind: cron_job, name: "b".into(), ..Digest::example("c") });
        assert_eq!(standing_of_pod(&workloads, "team", &pod), Standing::Covered);
    }

    #[test]
    fn the_pods_of_a_leader_worker_set_are_covered_by_the_set_that_their_label_names() {
        let workloads = Workloads::default();
        let pod = |set: &str| {
            let mut pod = owner("apps/v1", "StatefulSet", "llama-0", "s", true);
            pod["metadata"]["labels"] = json!({"leaderworkerset.sigs.k8s.io/name": set});
            pod
        };
        assert!(matches!(standing_of_pod(&workloads, "team", &pod("llama")), Standing::Waiting(_)));
        let kind = Kinds::built_in().find("leaderworkerset.x-k8s.io", "LeaderWorkerSet").unwrap();
        workloads.insert(Digest { kind, ..Digest::example("l") });
        assert_eq!(standing_of_pod(&workloads, "team", &pod("llama")), Standing::Covered);
        assert!(matches!(standing_of_pod(&workloads, "other", &pod("llama")), Standing::Waiting(_)));
        assert!(matches!(standing_of_pod(&workloads, "team", &pod("mistral")), Standing::Waiting(_)));
        let alone = json!({"metadata": {"labels": {"leaderworkerset.sigs.k8s.io/name": "llama"}}});
        assert_eq!(standing_of_pod(&workloads, "team", &alone), Standing::Own, "a StatefulSet makes them");
    }
}
