//! Whose child an object is, and whether its owner covers it.
//!
//! A reference to an owner is only a claim, which anybody may write. A child passes because its owner was judged, so an
//! owner covers a child only if it was judged as training and the child is [like it](super::likeness). In all other cases
//! the child is judged by itself, as it would be without an owner:
//!
//! | owner | standing of the child |
//! | --- | --- |
//! | none, of a kind that does not make such children, or of a kind that is not served | [`Own`](Standing::Own) |
//! | another object than the reference says | `Own` |
//! | judged, and does not train | [`Idle`](Standing::Idle) |
//! | trains, and is like the child | [`Covered`](Standing::Covered) |
//! | trains, and differs | [`Differs`](Standing::Differs) |
//! | known to no cache yet | [`Waiting`](Standing::Waiting) |
//!
//! The garbage collector never removes the child of a kind that is not served: it cannot find out that the owner is absent.
//! So such an owner is none. A controller is often faster than a watch, so a child whose owner is not known yet passes, and
//! the controller looks at it again: it is judged once the owner turns out not to exist or not to cover it.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use super::likeness::{Comparison, Likeness};
use super::workloads::{Digest, Workloads, judged_owner};
use crate::judgement::Verdict;
use crate::kinds::Kind;

/// Owners of owners that are looked at. The longest chain is TrainJob, JobSet, Job, Pod.
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
    /// Its owner trains, and it is not made of it.
    Differs {
        /// Whether it must not be refused: only its command differs, and the owner's annotations say what it trains.
        spared: bool,
    },
    /// No cache knows its owner yet.
    Waiting(Arc<Claim>),
}

/// An owner that an object claims to have.
#[derive(Debug, PartialEq, Eq)]
pub struct Claim {
    /// The owner's uid.
    pub uid: String,
    /// The owner's kind.
    pub kind: &'static str,
    /// The group of the owner's kind.
    pub group: &'static str,
    /// The owner's name.
    pub name: String,
}

impl Workloads {
    /// How an object with these owners stands. Its likeness is only asked for where it counts.
    pub fn standing(
        &self,
        kind: &Kind,
        namespace: &str,
        owners: &[OwnerReference],
        likeness: impl FnOnce() -> Likeness,
    ) -> Standing {
        let Some((reference, owner_kind)) = judged_owner(&self.kinds, kind, owners) else {
            return Standing::Own;
        };
        if !self.is_served(owner_kind) {
            return Standing::Own;
        }
        let Some(owner) = self.get(&reference.uid) else {
            let version = reference.api_version.rsplit('/').next().unwrap_or_default();
            if !owner_kind.versions.contains(&version) {
                return Standing::Own;
            }
            let (uid, name) = (reference.uid.clone(), reference.name.clone());
            let claim = Claim { uid, kind: owner_kind.kind, group: owner_kind.group, name };
            return Standing::Waiting(Arc::new(claim));
        };
        let is_it = std::ptr::eq(owner.kind, owner_kind)
            && owner.namespace == namespace
            && owner.name == reference.name;
        if is_it { self.under(&owner, likeness, 0) } else { Standing::Own }
    }

    /// How a child that was kept stands now.
    pub fn standing_again(&self, child: &Digest) -> Standing {
        self.again(child, 0)
    }

    fn again(&self, child: &Digest, depth: usize) -> Standing {
        let Standing::Waiting(claim) = &child.standing else { return child.standing.clone() };
        let Some(owner) = self.get(&claim.uid).filter(|_| depth < DEEPEST) else {
            return child.standing.clone();
        };
        let is_it = (owner.kind.group, owner.kind.kind) == (claim.group, claim.kind)
            && owner.namespace == child.namespace
            && owner.name == claim.name;
        if is_it { self.under(&owner, || child.likeness.clone(), depth) } else { Standing::Own }
    }

    /// How a child of a known owner stands.
    fn under(&self, owner: &Digest, likeness: impl FnOnce() -> Likeness, depth: usize) -> Standing {
        match self.again(owner, depth + 1) {
            Standing::Waiting(claim) => Standing::Waiting(claim),
            Standing::Own | Standing::Idle if owner.verdict == Verdict::NotTraining => Standing::Idle,
            _ => match owner.likeness.compare(&likeness()) {
                Comparison::Same => Standing::Covered,
                Comparison::OtherCommand => Standing::Differs { spared: true },
                Comparison::Different => Standing::Differs { spared: false },
            },
        }
    }

    /// The kinds that the cluster serves, by their slugs.
    pub(super) fn serve(&self, slugs: BTreeSet<&'static str>) {
        *self.served.write().unwrap_or_else(PoisonError::into_inner) = Some(slugs);
    }

    /// Whether the cluster serves a kind, as far as that is known.
    pub fn is_served(&self, kind: &Kind) -> bool {
        let served = self.served.read().unwrap_or_else(PoisonError::into_inner);
        served.as_ref().is_none_or(|slugs| slugs.contains(kind.slug))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::kinds::Kinds;

    fn owner(api_version: &str, kind: &str, name: &str, uid: &str, controller: bool) -> Vec<OwnerReference> {
        let owner = json!({"apiVersion": api_version, "kind": kind, "name": name, "uid": uid, "controller": controller});
        serde_json::from_value(Value::Array(vec![owner])).unwrap()
    }

    /// Of a pod that asks for nothing, and so is like any owner.
    fn of(workloads: &Workloads, namespace: &str, owners: &[OwnerReference]) -> Standing {
        workloads.standing(Kinds::built_in().find("", "Pod").unwrap(), namespace, owners, Likeness::default)
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
        assert_eq!(of(&workloads, "team", &pytorchjob), Standing::Covered);
        workloads.insert(Digest { verdict: Verdict::Unknown, ..Digest::example("u1") });
        assert_eq!(of(&workloads, "team", &pytorchjob), Standing::Covered);
        workloads.insert(Digest { verdict: Verdict::NotTraining, ..Digest::example("u1") });
        assert_eq!(of(&workloads, "team", &pytorchjob), Standing::Idle);
    }

    #[test]
    fn an_owner_that_makes_no_pods_or_does_not_control_counts_for_nothing() {
        for owners in [
            owner("apps/v1", "ReplicaSet", "web", "u2", true),
            owner("kubeflow.org/v1", "PyTorchJob", "llama", "u1", false),
            Vec::new(),
        ] {
            assert_eq!(of(&workloads(), "team", &owners), Standing::Own, "{owners:?}");
        }
    }

    #[test]
    fn a_false_claim_to_a_known_owner_counts_for_nothing() {
        let workloads = workloads();
        let pytorchjob = owner("kubeflow.org/v1", "PyTorchJob", "llama", "u1", true);
        assert_eq!(of(&workloads, "other", &pytorchjob), Standing::Own);
        let other_name = owner("kubeflow.org/v1", "PyTorchJob", "mistral", "u1", true);
        assert_eq!(of(&workloads, "team", &other_name), Standing::Own);
        assert_eq!(of(&workloads, "team", &owner("batch/v1", "Job", "llama", "u1", true)), Standing::Own);
    }

    #[test]
    fn an_owner_of_a_kind_that_is_not_served_is_none() {
        let (workloads, unknown) = (workloads(), owner("kubeflow.org/v1", "PyTorchJob", "new", "u2", true));
        assert!(matches!(of(&workloads, "team", &unknown), Standing::Waiting(_)));
        workloads.serve(BTreeSet::from(["job"]));
        assert_eq!(of(&workloads, "team", &unknown), Standing::Own);
        workloads.serve(BTreeSet::from(["job", "pytorchjob"]));
        assert!(matches!(of(&workloads, "team", &unknown), Standing::Waiting(_)));
        let no_version = owner("kubeflow.org/v9", "PyTorchJob", "new", "u2", true);
        assert_eq!(of(&workloads, "team", &no_version), Standing::Own);
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
        assert_eq!(of(&workloads, "team", &pod), Standing::Covered);
        workloads.insert(job(Standing::Idle));
        assert_eq!(of(&workloads, "team", &pod), Standing::Idle);
        let claim = Claim { uid: "c".into(), kind: "CronJob", group: "batch", name: "b".into() };
        let waiting = Standing::Waiting(Arc::new(claim));
        workloads.insert(job(waiting.clone()));
        assert_eq!(of(&workloads, "team", &pod), waiting);
        let cron_job = Kinds::built_in().find("batch", "CronJob").unwrap();
        workloads.insert(Digest { kind: cron_job, name: "b".into(), ..Digest::example("c") });
        assert_eq!(of(&workloads, "team", &pod), Standing::Covered);
    }
}
