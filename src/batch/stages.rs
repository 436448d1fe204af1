//! The memory of every pipeline stage of judged objects, for reports that show the stages beside each other.
//!
//! A stage is judged as `--rank` judges it: the same object, the same surroundings, another rank. So the figures of the
//! worst stage are those of the entry itself.

use super::{Object, entries};
use crate::job::{Ask, Rank};
use crate::judgement::Memory;
use crate::policy::Policy;
use crate::report::Entry;
use crate::surroundings::Surroundings;

/// The most stages that are judged.
const MOST: u64 = 64;

/// The memory of each stage of each entry, in the order of the entries. Empty for an entry without a pipeline.
pub fn stages(
    judged: &[Entry],
    objects: &[Object],
    around: &Surroundings,
    policy: &Policy,
    ask: &Ask,
) -> Vec<Vec<Memory>> {
    let count = |entry: &Entry| {
        let pipeline = entry.judgement.job.parallelism.as_ref().and_then(|parallelism| parallelism.pipeline);
        let stages = pipeline.map_or(1, u64::from);
        if stages > 1 && entry.judgement.memory.is_some() { stages.min(MOST) } else { 0 }
    };
    let counts: Vec<u64> = judged.iter().map(count).collect();
    let mut stages = vec![Vec::new(); judged.len()];
    for stage in 0..counts.iter().copied().max().unwrap_or(0) {
        let ask = Ask { rank: Rank::Stage(stage), advice: false, room: false, ..ask.clone() };
        let of_stage = entries(objects, around, policy, &ask);
        if of_stage.len() != judged.len() {
            break;
        }
        for ((entry, count), memories) in of_stage.into_iter().zip(&counts).zip(&mut stages) {
            if stage < *count {
                memories.extend(entry.judgement.memory);
            }
        }
    }
    stages
}
