//! The peaks of a workload, from the points of its pods.
//!
//! A name of a pod may be used again after the pod was deleted, as in a job that is submitted again. So the creation times of
//! all pods of a name decide which of them a point is of. So the first step of a pod is not observed.
//!
//! A workload keeps the pods that used the most, at most [`MOST_PODS`].

use std::collections::BTreeMap;

use super::answer::{PodName, Point, Points};
use crate::units::Bytes;

/// The most pods of a workload whose peaks are kept.
pub const MOST_PODS: usize = 8;

/// A pod of a workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Its namespace and name.
    pub name: PodName,
    /// The uid of its workload.
    pub workload: String,
    /// When it was created, in seconds since 1970.
    pub created: i64,
}

/// The peaks of a workload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peaks {
    /// The metric that shows them.
    pub metric: String,
    /// When the highest was seen, in seconds since 1970.
    pub at: i64,
    /// The pods that used the most, the highest first.
    pub pods: Vec<(String, Bytes)>,
}

impl Peaks {
    /// The highest.
    pub fn highest(&self) -> Option<Bytes> {
        self.pods.first().map(|(_, peak)| *peak)
    }

    /// Both together. What is equal is as in `self`, so that an old figure keeps its time.
    #[must_use]
    pub fn with(&self, other: &Self) -> Self {
        let newer = other.highest() > self.highest();
        let Self { metric, at, .. } = if newer { other } else { self };
        let mut by_name: BTreeMap<&String, Bytes> = BTreeMap::new();
        for (name, peak) in self.pods.iter().chain(&other.pods) {
            let known = by_name.entry(name).or_default();
            *known = (*known).max(*peak);
        }
        let mut pods: Vec<_> = by_name.into_iter().map(|(name, peak)| (name.clone(), peak)).collect();
        pods.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
        pods.truncate(MOST_PODS);
        Self { metric: metric.clone(), at: *at, pods }
    }
}

/// The peaks by workload.
pub fn peaks(points: &Points, pods: &[Pod], step: i64, metric: &str) -> BTreeMap<String, Peaks> {
    let mut by_name: BTreeMap<&PodName, Vec<&Pod>> = BTreeMap::new();
    for pod in pods {
        by_name.entry(&pod.name).or_default().push(pod);
    }
    let mut found: BTreeMap<String, Peaks> = BTreeMap::new();
    for (name, points) in points {
        let Some(pods) = by_name.get_mut(name) else { continue };
        pods.sort_by_key(|pod| pod.created);
        for (number, pod) in pods.iter().enumerate() {
            let until = pods.get(number + 1).map_or(i64::MAX, |next| next.created);
            let its = points.iter().filter(|point| pod.created <= point.at - step && point.at <= until);
            let highest = its.max_by_key(|point| (point.used, std::cmp::Reverse(point.at)));
            let Some(Point { at, used }) = highest.filter(|point| point.used > Bytes::ZERO) else { continue };
            let of_pod = Peaks { metric: metric.to_owned(), at: *at, pods: vec![(name.1.clone(), *used)] };
            let all = found.entry(pod.workload.clone()).or_default();
            *all = all.with(&of_pod);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, workload: &str, created: i64) -> Pod {
        Pod { name: ("team".into(), name.into()), workload: workload.into(), created }
    }

    fn points(of: &[(&str, &[(i64, u64)])]) -> Points {
        let point = |(at, mib): &(i64, u64)| Point { at: *at, used: Bytes::from_mib(*mib) };
        let of_pod = |(name, points): &(&str, &[(i64, u64)])| {
            (("team".to_owned(), (*name).to_owned()), points.iter().map(point).collect())
        };
        of.iter().map(of_pod).collect()
    }

    fn mib(peaks: &Peaks) -> Vec<(&str, u64)> {
        peaks.pods.iter().map(|(name, peak)| (name.as_str(), peak.0 >> 20)).collect()
    }

    #[test]
    fn the_peak_of_a_workload_is_that_of_its_fullest_pod() {
        let pods = [pod("a-0", "a", 0), pod("a-1", "a", 0), pod("b-0", "b", 0), pod("idle", "c", 0)];
        let points = points(&[
            ("a-0", &[(60, 10), (120, 40), (180, 40)]),
            ("a-1", &[(60, 50)]),
            ("b-0", &[(60, 7)]),
            ("idle", &[(60, 0)]),
            ("stranger", &[(60, 99)]),
        ]);
        let found = peaks(&points, &pods, 60, "M");
        assert_eq!(mib(&found["a"]), [("a-1", 50), ("a-0", 40)]);
        assert_eq!((found["a"].at, found["a"].metric.as_str()), (60, "M"));
        assert_eq!(mib(&found["b"]), [("b-0", 7)]);
        assert_eq!(found.len(), 2, "what uses nothing has no peak");
    }

    #[test]
    fn a_pod_does_not_inherit_the_peak_of_an_earlier_one_of_its_name() {
        let pods = [pod("a-0", "new", 600), pod("a-0", "old", 0)];
        let points = points(&[("a-0", &[(60, 70), (600, 79), (630, 79), (660, 20), (720, 30)])]);
        let found = peaks(&points, &pods, 60, "M");
        assert_eq!(mib(&found["old"]), [("a-0", 79)]);
        assert_eq!(mib(&found["new"]), [("a-0", 30)]);
    }

    #[test]
    fn peaks_only_grow_and_equal_ones_keep_their_time() {
        let of = |at, pods: &[(&str, u64)]| Peaks {
            metric: format!("M{at}"),
            at,
            pods: pods.iter().map(|(name, mib)| ((*name).to_owned(), Bytes::from_mib(*mib))).collect(),
        };
        let first = of(1, &[("a", 50), ("b", 40)]);
        assert_eq!(first.with(&first), first);
        assert_eq!(first.with(&of(2, &[("a", 50), ("b", 30)])), first);
        assert_eq!(first.with(&of(2, &[("b", 60)])), of(2, &[("b", 60), ("a", 50)]));
        assert_eq!(Peaks::default().with(&first), first);
        let many: Vec<_> = (0..20).map(|number| (format!("p{number:02}"), Bytes::from_mib(9))).collect();
        let many = Peaks { pods: many, ..first.clone() };
        assert_eq!(many.with(&first).pods.len(), MOST_PODS);
        assert_eq!(many.with(&first).highest(), first.highest());
    }
}
