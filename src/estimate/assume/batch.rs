//! The batch: the length of its sequences, the micro-batch, and the microbatches of a step.

use super::given::Given;
use super::{Choice, Notes, choice};
use crate::estimate::plan::Plan;
use crate::frameworks::Profile;
use crate::frameworks::profile::defaults::SampleLengths;
use crate::job::field;
use crate::model::Shape;
use crate::units::Bytes;

use super::division::Division;

/// The usual sequence length of adapters, if none is given: the longest of a few Alpaca samples. Other jobs have their
/// framework's.
const LIKELY_OF_ADAPTERS: u64 = 1024;

/// The length of a job that gives none, at its heaviest: that of Llama 3's pretraining.
const LONGEST_SEQUENCE: u64 = 8192;

/// The samples of a micro-batch that is not given, at its heaviest. Seven in ten of the published
/// runs (tests/accuracy/published) have at most 4.
const LARGEST_MICRO_BATCH: u64 = 4;

/// The longest sample of a batch, at its leanest. Classifiers, pairs and short instructions have about 64 tokens.
const SHORTEST_SEQUENCE: u64 = 64;

/// The memory of a device that is not known: the largest of the catalogue has less.
const LARGEST_DEVICE: Bytes = Bytes(1 << 40);

/// A batch that nothing limits may need so many times the memory of a device.
const DEVICES: u64 = 4;

/// The ratio of the longest sample to the typical one, at its leanest. The data of ms-swift have a mean of 3234 and a
/// deviation of 2547. As a log-normal, one sample in a hundred is longer than four times the mean.
const LONGEST_OVER_TYPICAL: u64 = 4;

/// Tokens of a sequence.
pub(super) fn sequence(given: &Given<'_>) -> u64 {
    let usual = given.named.batches.usual_length;
    let usual = if given.is_adapted() { usual.min(LIKELY_OF_ADAPTERS) } else { usual };
    given.batch.sequence_length.map_or(usual.min(positions(given)), u64::from).max(1)
}

/// The positions that the model has. A job that gives no length trains no longer sequences.
fn positions(given: &Given<'_>) -> u64 {
    given.model.max_positions.map_or(u64::MAX, u64::from)
}

/// The usual length of what an encoder reads, of a job that gives none: the positions of BART, and the most tokens of
/// Transformers' examples.
const LIKELY_SOURCE: u64 = 1024;

/// Tokens of a sequence that an encoder reads, if the model has one.
pub(super) fn source(given: &Given<'_>, shape: &Shape) -> u64 {
    if !shape.has_encoder() {
        return 0;
    }
    let stated = given.batch.source_length.map(u64::from);
    shape.encoder_length.or(stated).unwrap_or(LIKELY_SOURCE).max(1)
}

/// What a step keeps for each sample of a model whose layers are not listed, if it is given.
pub(super) fn sample_activations(given: &Given<'_>) -> Bytes {
    let given = given.model.sample_activations.as_deref();
    given.and_then(|text| Bytes::parse_quantity(text).ok()).unwrap_or(Bytes::ZERO)
}

/// Samples of a microbatch. It is 1 if it is not given, unless the framework's version cuts a rank's batch into as many
/// microbatches as the pipeline has stages.
pub(super) fn micro_batch(
    given: &Given<'_>,
    profile: &Profile,
    division: Division,
    notes: &mut Notes,
) -> u64 {
    if let Some(stated) = given.batch.micro_batch_size {
        return u64::from(stated).max(1);
    }
    let cut = profile.batches.cut_over_stages.hold(given.job.framework_version.as_deref());
    let usual = match given.batch.global_batch_size {
        Some(global) if cut && division.pipeline > 1 => {
            (u64::from(global) / division.data.saturating_mul(division.pipeline).max(1)).max(1)
        }
        _ => 1,
    };
    notes.assume(field::batch::MICRO_BATCH_SIZE, usual);
    usual
}

/// Microbatches of one step.
pub(super) fn micro_batches(
    given: &Given<'_>,
    micro_batch: u64,
    division: Division,
    notes: &mut Notes,
) -> u64 {
    let (data, pipeline) = (division.data, division.pipeline);
    match given.batch.global_batch_size {
        None if pipeline > 1 => pipeline.saturating_mul(4),
        None => 1,
        Some(global) => {
            let at_once = micro_batch.saturating_mul(data).max(1);
            let global = u64::from(global);
            if global < at_once || !global.is_multiple_of(at_once) {
                notes.warnings.push(format!(
                    "global batch {global} is no multiple of micro-batch {micro_batch} × data parallel {data}"
                ));
            }
            (global / at_once).max(1)
        }
    }
}

/// The open fields. The sequence is before the others, which depend on it.
pub(super) fn open(given: &Given<'_>, likely: &Plan) -> [Option<Choice>; 6] {
    [
        open_sequence(given),
        open_samples(given, likely),
        open_source(given, likely),
        open_micro_batch(given, likely),
        open_micro_batches(given, likely),
        open_lengths(given, likely),
    ]
}

fn open_sequence(given: &Given<'_>) -> Option<Choice> {
    if given.batch.sequence_length.is_some() {
        return None;
    }
    let longest = LONGEST_SEQUENCE.min(positions(given));
    Some(choice(
        field::batch::SEQUENCE_LENGTH,
        move |plan| plan.sequence = SHORTEST_SEQUENCE.min(longest),
        move |plan| plan.sequence = longest,
    ))
}

/// What an encoder reads may be short, also under a stated cap, unless the model pads it.
fn open_source(given: &Given<'_>, likely: &Plan) -> Option<Choice> {
    if likely.source <= SHORTEST_SEQUENCE || likely.shape.encoder_length.is_some() {
        return None;
    }
    let longest = if given.batch.source_length.is_some() { likely.source } else { LONGEST_SEQUENCE };
    Some(choice(
        field::batch::SOURCE_LENGTH,
        |plan| plan.source = SHORTEST_SEQUENCE,
        move |plan| plan.source = longest,
    ))
}

/// Without layers, nothing tells what a step keeps: nothing, or more than the device has.
fn open_samples(given: &Given<'_>, likely: &Plan) -> Option<Choice> {
    if !likely.shape.is_unlisted() || given.model.sample_activations.is_some() {
        return None;
    }
    let all = likely.accelerator_memory.unwrap_or(LARGEST_DEVICE) * DEVICES;
    Some(choice(
        field::model::SAMPLE_ACTIVATIONS,
        |_| {},
        move |plan| plan.sample_activations = all.share(plan.micro_batch.max(1)),
    ))
}

/// A larger microbatch means fewer of them. Each end takes the pair that needs the least or the most.
fn open_micro_batch(given: &Given<'_>, likely: &Plan) -> Option<Choice> {
    if given.batch.micro_batch_size.is_some() {
        return None;
    }
    let global = given.batch.global_batch_size.map(u64::from);
    let per_rank = global.map(|global| (global / likely.data.max(1)).max(1));
    let most = per_rank.map_or(LARGEST_MICRO_BATCH, |sequences| sequences.clamp(1, LARGEST_MICRO_BATCH));
    Some(choice(
        field::batch::MICRO_BATCH_SIZE,
        move |plan| {
            plan.micro_batch = 1;
            plan.micro_batches = per_rank.map_or(plan.micro_batches, |sequences| sequences / most);
        },
        move |plan| {
            plan.micro_batch = most;
            plan.micro_batches = per_rank.unwrap_or(plan.micro_batches);
        },
    ))
}

fn open_micro_batches(given: &Given<'_>, likely: &Plan) -> Option<Choice> {
    if given.batch.global_batch_size.is_some() {
        return None;
    }
    let most = likely.pipeline.saturating_mul(4).max(2);
    Some(choice(
        field::batch::GLOBAL_BATCH_SIZE,
        |plan| plan.micro_batches = 1,
        move |plan| plan.micro_batches = most,
    ))
}

/// A cap is an upper bound, not a length. Samples that are not packed may all be short. If their typical length is
/// stated, the longest is at least several times as long, and only a lower cap can tell more.
fn open_lengths(given: &Given<'_>, likely: &Plan) -> Option<Choice> {
    let batch = &given.batch;
    batch.sequence_length?;
    let tuning = likely.adapters.is_some() || given.finetuning.method.is_some();
    // LitGPT starts with the longest sample.
    let full = likely.profile.batches.lengths == SampleLengths::Full;
    let padded = !full || batch.packing == Some(false);
    let (longest, field) = match batch.typical_sequence_length {
        Some(typical) => {
            (u64::from(typical).saturating_mul(LONGEST_OVER_TYPICAL), field::batch::SEQUENCE_LENGTH)
        }
        None => (SHORTEST_SEQUENCE, field::batch::TYPICAL_SEQUENCE_LENGTH),
    };
    if batch.packing == Some(true) || !tuning || !padded || longest >= likely.sequence {
        return None;
    }
    Some(choice(
        field,
        move |plan| {
            plan.sequence = longest;
            plan.typical_sequence = plan.typical_sequence.min(longest);
            plan.varying_lengths = false;
        },
        |_| {},
    ))
}

#[cfg(test)]
mod tests {
    use super::super::{Assumed, Device, assume};
    use crate::job::TrainingJob;
    use serde_json::{Value, json};

    fn assumed(mut model: Value, finetuning: &Value) -> Assumed {
        model
            .as_object_mut()
            .unwrap()
            .extend([("layers".into(), json!(2)), ("hiddenSize".into(), json!(512))]);
        let job = json!({"model": model, "finetuning": finetuning});
        let job: TrainingJob = serde_json::from_value(job).unwrap();
        assume(&job, Device { bf16: true }).unwrap()
    }

    #[test]
    fn a_job_without_a_length_has_4096_tokens_or_1024_of_fine_tuning() {
        let sequence = |finetuning: Value| assumed(json!({}), &finetuning).likely.sequence;
        assert_eq!(sequence(json!({})), 4096);
        assert_eq!(sequence(json!({"method": "LoRA", "rank": 8})), 1024);
        assert_eq!(sequence(json!({"method": "LoRA"})), 1024);
    }

    #[test]
    fn a_length_that_is_not_given_ends_at_the_models_positions() {
        for (positions, likely, heavy) in [(512, 512, 512), (6_000, 4_096, 6_000), (131_072, 4_096, 8_192)] {
            let assumed = assumed(json!({"maxPositions": positions}), &json!({}));
            let sequences = (assumed.likely.sequence, assumed.heavy().sequence);
            assert_eq!(sequences, (likely, heavy), "{positions}");
        }
    }
}
