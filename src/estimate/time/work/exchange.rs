//! The exchange of activations between the ranks of a model, for a microbatch.
//!
//! ```text
//! tensor      (4 + 2·again)·2·(t−1)/t·2·T·h·layers / ring
//! context     (3 + again)·(c−1)·2·T·2κ·layers / (t·ring)
//! exchange    (4 + 2·again)·2·(T/t)·h·layers·(to others)·capacity / link or network
//! to others   K·(ranks elsewhere)                            plain all-to-all: each token to each of its experts
//!             nodes elsewhere that have one of K experts     a library that sends a token once to a node
//!             t·(ranks elsewhere)                            all-gather: every token to every rank
//! pipeline    4·T·h·v / (link or network)
//! ```
//!
//! `capacity` is the capacity factor, or 1.
//!
//! Sources of volumes and schedules: Narayanan et al. 2021, arXiv 2104.04473; Korthikanti et al. 2022, arXiv
//! 2205.05198.

use super::rank::Rank;
use super::{Machine, Seconds, compute};
use crate::estimate::time::terms::Term;
use crate::job::Dispatcher;

/// Sets the terms of a microbatch's exchange.
pub(super) fn count(rank: &Rank<'_>, machine: &Machine<'_>, seconds: &mut Seconds) {
    let (plan, links) = (rank.plan, &machine.links);
    let split = compute::split(rank, machine);
    let (t, c) = (plan.tensor.max(1), plan.context.max(1));
    let (h, kappa) = (plan.shape.hidden as f64, plan.shape.key_width() as f64);
    let exchanges = 4.0 + 2.0 * rank.again.products;
    if t > 1 {
        let others = (rank.tensor - 1.0) / rank.tensor;
        let bytes = exchanges * 2.0 * others * 2.0 * rank.tokens * h * rank.layers;
        seconds.set(Term::Tensor, bytes / links.ring(t, 1));
    }
    if c > 1 {
        let times = (3.0 + rank.again.products) * (rank.context - 1.0);
        let bytes = times * rank.tokens * 4.0 * kappa / rank.tensor * rank.layers;
        seconds.set(Term::Context, bytes / links.ring(c, t));
    }
    if rank.experts > 0.0 && plan.expert > 1 {
        let bytes = 2.0 * rank.tokens * h * exchanges * rank.layers * rank.sparse * rank.capacity;
        let (term, taken) = to_experts(rank, machine, bytes);
        seconds.set(term, taken);
    }
    if plan.pipeline > 1 {
        let bytes = 4.0 * rank.tokens * h * plan.virtual_pipeline.max(1) as f64 / split;
        let rate = if plan.world() <= links.node { links.among(2) } else { links.network };
        seconds.set(Term::Pipeline, bytes / rate);
    }
}

/// Seconds that tokens of `bytes` need to reach their experts and return, and their term.
fn to_experts(rank: &Rank<'_>, machine: &Machine<'_>, bytes: f64) -> (Term, f64) {
    let (links, t, e) = (&machine.links, rank.plan.tensor.max(1), rank.plan.expert);
    let experts = e as f64;
    if is_gathered(rank) {
        let (near, far) = links.near_and_far(bytes * (experts - 1.0), e, t);
        return (Term::Exchange, near.max(far * experts / (experts - 1.0)));
    }
    let together = links.together(e, t) as f64;
    let nodes = experts / together;
    let elsewhere = 1.0 - 1.0 / nodes;
    let near = bytes / rank.tensor * rank.routed * (experts - 1.0) / experts / links.link;
    let sent = bytes / rank.tensor / links.network;
    if is_sent_singly(rank) && elsewhere > 0.0 {
        return (Term::ExchangePlain, near.max(sent * rank.routed * elsewhere));
    }
    // A token is sent once to a node, even if several of its experts are there.
    let nodes = (rank.routed * elsewhere).min((nodes - 1.0) * (1.0 - elsewhere.powf(rank.routed)));
    (Term::Exchange, near.max(sent * nodes))
}

/// Whether every rank of experts gathers all tokens.
pub(super) fn is_gathered(rank: &Rank<'_>) -> bool {
    dispatcher(rank) == Some(Dispatcher::AllGather)
}

/// The ranks of experts among which tokens are uneven: all, unless an expert's tokens are bounded. A graph of the whole step
/// needs such a bound, because its sizes are fixed.
pub(super) fn uneven(rank: &Rank<'_>) -> f64 {
    let bounded = rank.plan.capacity_factor.is_some() || rank.plan.cuda_graphs;
    if rank.experts > 0.0 && !bounded { rank.plan.expert.max(1) as f64 } else { 1.0 }
}

fn dispatcher(rank: &Rank<'_>) -> Option<Dispatcher> {
    rank.job.parallelism.as_ref().and_then(|parallelism| parallelism.dispatcher)
}

/// Whether tokens go by a plain all-to-all, not by one that knows nodes.
fn is_sent_singly(rank: &Rank<'_>) -> bool {
    match dispatcher(rank) {
        Some(dispatcher) => dispatcher == Dispatcher::AllToAll,
        None => rank.plan.profile.experts.sent_singly,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::assume::{Device, assume};
    use crate::job::TrainingJob;
    use serde_json::{Value, json};

    fn ranks(parallelism: &Value) -> f64 {
        let job: TrainingJob = serde_json::from_value(json!({
            "model": {"layers": 2, "hiddenSize": 512, "experts": 8, "expertsPerToken": 2}, "framework": "Megatron",
            "parallelism": parallelism, "accelerator": {"count": 8},
        }))
        .unwrap();
        uneven(&Rank::of(&job, &assume(&job, Device { bf16: true }).unwrap().likely))
    }

    #[test]
    fn experts_of_several_ranks_have_even_tokens_only_if_they_are_bounded() {
        for (parallelism, expected) in [
            (json!({"expert": 8}), 8.0),
            (json!({"expert": 8, "capacityFactor": "1"}), 1.0),
            (json!({"expert": 1}), 1.0),
        ] {
            assert!((ranks(&parallelism) - expected).abs() < 1e-9, "{parallelism}");
        }
    }
}
