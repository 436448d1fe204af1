//! The smallest usable number of accelerators that finishes within a number of days.
//!
//! ```text
//! replica  = tensor · pipeline · context parallel          accelerators that hold the model once
//! usable   = d · replica, for every d replicas that
//!            fill whole nodes                              or divide one evenly
//!            hold every expert equally often               expert · expert tensor divides tensor · context · d
//!            share the global batch evenly                 micro-batch · d divides the global batch
//! least    = accelerator-hours / (24 · days), rounded up   by arithmetic alone
//! ```
//!
//! A binary search finds the first usable number that is fast enough, because more accelerators take less time. The
//! prediction itself checks the answer. So if that assumption is wrong, the answer is larger but never late.

use crate::estimate::plan::Plan;
use crate::job::TrainingJob;

/// More than any job has; the spec's schema allows no more either.
const MOST: u64 = 10_000_000;
/// The accelerators of a node, if not stated.
const PER_NODE: u64 = 8;

/// A number of accelerators, and the numbers from which it was rounded up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// By arithmetic alone.
    pub least: u64,
    /// In whole replicas and nodes.
    pub whole: u64,
    /// Usable for the layout and the batch, and fast enough.
    pub usable: u64,
}

/// The units into which a number of accelerators must divide.
#[derive(Clone, Debug)]
pub struct Layout {
    replica: u64,
    per_node: u64,
    experts: u64,
    expert_ranks: u64,
    /// Microbatches of a global batch, if it is given.
    shares: Option<u64>,
    /// The most accelerators to try.
    most: u64,
}

impl Layout {
    /// The layout of a job.
    pub fn of(job: &TrainingJob, plan: &Plan) -> Self {
        let per_node = job.accelerator.as_ref().and_then(|accelerator| accelerator.per_node);
        let global = job.batch.as_ref().and_then(|batch| batch.global_batch_size);
        let has_experts = plan.shape.experts.is_some();
        Self {
            replica: plan.tensor.saturating_mul(plan.pipeline).saturating_mul(plan.context).max(1),
            per_node: per_node.map_or(PER_NODE, u64::from).max(1),
            experts: plan.tensor.saturating_mul(plan.context).max(1),
            expert_ranks: if has_experts { plan.expert.saturating_mul(plan.expert_tensor).max(1) } else { 1 },
            shares: global.map(|global| (u64::from(global) / plan.micro_batch.max(1)).max(1)),
            most: MOST,
        }
    }

    /// The same layout on no more than this number of accelerators.
    #[must_use]
    pub fn at_most(self, most: u64) -> Self {
        Self { most: most.min(self.most), ..self }
    }

    /// The largest usable number of accelerators.
    pub fn largest(&self) -> Option<u64> {
        let sizes = self.sizes();
        let last = sizes.len(self.most / self.replica).checked_sub(1)?;
        Some(sizes.get(last).saturating_mul(self.replica))
    }

    /// The usable numbers nearest to this one: the largest below it, and the smallest above it.
    pub fn around(&self, number: u64) -> [Option<u64>; 2] {
        let sizes = self.sizes();
        let all = |index: u64| sizes.get(index).saturating_mul(self.replica);
        let (mut low, mut high) = (0, sizes.len(self.most / self.replica));
        let last = high;
        while low < high {
            let middle = u64::midpoint(low, high);
            if all(middle) < number { low = middle + 1 } else { high = middle }
        }
        let above = (low..last.min(low.saturating_add(2))).map(all).find(|other| *other > number);
        [low.checked_sub(1).map(all), above]
    }

    /// Whether this number of accelerators is usable.
    pub fn can_use(&self, number: u64) -> bool {
        let replicas = number / self.replica;
        let shares = self.shares.is_none_or(|shares| shares.is_multiple_of(replicas.max(1)));
        number > 0 && number.is_multiple_of(self.replica) && shares && self.is_usable(replicas)
    }

    /// The usable numbers of replicas, in ascending order.
    fn sizes(&self) -> Sizes {
        let usable = |replicas: &u64| self.is_usable(*replicas);
        let within = self.most / self.replica;
        if let Some(shares) = self.shares {
            let few = divisors(shares).filter(usable).filter(|replicas| *replicas <= within);
            return Sizes { few: few.collect(), unit: 0 };
        }
        // Below a node: the numbers that divide it. Above: multiples of the smallest whole unit.
        let unit = self.replicas_of_a_whole();
        let few = (1..unit.min(self.per_node)).filter(usable).filter(|replicas| *replicas <= within);
        Sizes { few: few.collect(), unit }
    }

    fn is_usable(&self, replicas: u64) -> bool {
        let all = replicas.saturating_mul(self.replica);
        let nodes = all.is_multiple_of(self.per_node) || self.per_node.is_multiple_of(all);
        nodes && replicas.saturating_mul(self.experts).is_multiple_of(self.expert_ranks)
    }

    /// The fewest replicas that fill whole nodes and hold every expert equally often.
    fn replicas_of_a_whole(&self) -> u64 {
        let part = |of: u64, by: u64| of / gcd(of, by);
        let (nodes, experts) = (part(self.per_node, self.replica), part(self.expert_ranks, self.experts));
        nodes / gcd(nodes, experts) * experts
    }
}

/// Numbers of replicas: a few, then every multiple of `unit` unless it is 0.
struct Sizes {
    few: Vec<u64>,
    unit: u64,
}

impl Sizes {
    fn len(&self, most: u64) -> u64 {
        self.few.len() as u64 + most.checked_div(self.unit).unwrap_or(0)
    }

    fn get(&self, index: u64) -> u64 {
        let few = self.few.len() as u64;
        let found = usize::try_from(index).ok().and_then(|index| self.few.get(index)).copied();
        found.unwrap_or_else(|| (index.saturating_sub(few) + 1).saturating_mul(self.unit))
    }
}

/// The result: a number, or the largest usable one, which is still too slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// This number is fast enough.
    Count(Count),
    /// Even this largest usable number is too slow.
    TooSlow(u64),
}

/// The number that finishes within `days`. `taken` gives the days of a number of accelerators, or `None` if unknown.
pub fn count(layout: &Layout, days: f64, taken: impl Fn(u64) -> Option<f64>) -> Option<Found> {
    let sizes = layout.sizes();
    let all = |index: u64| sizes.get(index).saturating_mul(layout.replica);
    let (mut low, mut high) = (0, sizes.len(layout.most / layout.replica));
    let last = high.checked_sub(1)?;
    // Because of failures, very many accelerators are not faster. So the search begins small and doubles.
    let mut reach = 1;
    while reach < high && taken(all(reach - 1))? > days {
        low = reach;
        reach = reach.saturating_mul(2);
    }
    high = high.min(reach);
    while low < high {
        let middle = u64::midpoint(low, high);
        if taken(all(middle))? <= days {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    let usable = all(low.min(last));
    let took = taken(usable)?;
    if took > days {
        return Some(Found::TooSlow(usable));
    }
    let least = (took * usable as f64 / days).ceil() as u64;
    let unit = layout.replicas_of_a_whole().saturating_mul(layout.replica).max(1);
    let whole = if usable < unit { usable } else { least.div_ceil(unit).saturating_mul(unit).min(usable) };
    Some(Found::Count(Count { least, whole, usable }))
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a.max(1) } else { gcd(b, a % b) }
}

/// The divisors of a number below 2^31, in ascending order.
fn divisors(number: u64) -> impl Iterator<Item = u64> {
    let root = number.isqrt();
    let small: Vec<u64> = (1..=root).filter(|divisor| number.is_multiple_of(*divisor)).collect();
    let large: Vec<u64> = small.iter().rev().map(|divisor| number / divisor).filter(|d| *d > root).collect();
    small.into_iter().chain(large)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// TP=4, PP=4, on nodes of 8.
    fn layout(shares: Option<u64>) -> Layout {
        Layout { replica: 16, per_node: 8, experts: 4, expert_ranks: 1, shares, most: MOST }
    }

    fn found(layout: &Layout, days: f64, gpu_days: f64) -> Option<Found> {
        count(layout, days, |n| Some(gpu_days / n as f64))
    }

    /// The chapter's case: 866 by arithmetic, 880 in whole replicas, 1024 if they share a batch of 1024.
    #[test]
    fn it_is_rounded_up_to_replicas_and_to_the_batch() {
        let gpu_days = 865.6 * 90.0;
        let expected = Found::Count(Count { least: 866, whole: 880, usable: 880 });
        assert_eq!(found(&layout(None), 90.0, gpu_days), Some(expected));
        let expected = Found::Count(Count { least: 866, whole: 880, usable: 1024 });
        assert_eq!(found(&layout(Some(1024)), 90.0, gpu_days), Some(expected));
    }

    #[test]
    fn the_numbers_around_another_are_usable() {
        for (number, around) in [
            (100, [Some(96), Some(112)]),
            (96, [Some(80), Some(112)]),
            (16, [None, Some(32)]),
            (3, [None, Some(16)]),
        ] {
            assert_eq!(layout(None).around(number), around, "{number}");
        }
        assert_eq!(layout(Some(32)).around(600), [Some(512), None]);
    }

    #[test]
    fn a_batch_that_is_too_small_for_so_many_is_said() {
        assert_eq!(found(&layout(Some(32)), 90.0, 865.6 * 90.0), Some(Found::TooSlow(512)));
        assert_eq!(count(&layout(None), 90.0, |_| None), None);
    }

    #[test]
    fn what_no_number_finishes_ends() {
        let Some(Found::TooSlow(most)) = count(&layout(None), 1.0, |_| Some(2.0)) else { panic!("in time?") };
        assert!(most <= MOST);
    }

    #[test]
    fn less_than_a_node_divides_it() {
        let alone = Layout { replica: 1, per_node: 8, experts: 1, expert_ranks: 1, shares: None, most: MOST };
        for (gpu_days, usable) in [(1.0, 1), (2.5, 4), (7.9, 8), (8.1, 16)] {
            let Some(Found::Count(count)) = found(&alone, 1.0, gpu_days) else { panic!("{gpu_days}") };
            assert_eq!(count.usable, usable, "{gpu_days}");
        }
    }

    #[test]
    fn experts_are_held_equally_often() {
        let experts =
            Layout { replica: 4, per_node: 8, experts: 2, expert_ranks: 64, shares: None, most: MOST };
        let Some(Found::Count(count)) = found(&experts, 1.0, 100.0) else { panic!("too slow?") };
        assert_eq!(count.usable, 128, "32 replicas of 2 × 2 hold 64 expert ranks");
    }

    #[test]
    fn divisors_are_all_and_ascending() {
        assert_eq!(divisors(36).collect::<Vec<_>>(), [1, 2, 3, 4, 6, 9, 12, 18, 36]);
        assert_eq!(divisors(1).collect::<Vec<_>>(), [1]);
    }
}
