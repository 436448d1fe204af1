//! The amount of training: the tokens of the whole training.
//!
//! ```text
//! tokens = tokens of an epoch · epochs            if tokens are given
//!        = steps · global batch · sequence        otherwise
//! global batch = micro-batch · data parallel · microbatches      if not given, and micro-batch and ranks are known
//! ```
//!
//! If the number of microbatches is not given, it is an assumption and is listed as one. If tokens and steps are both
//! given and contradict each other, the tokens are used and a warning says so. A difference from rounding (2T for 1.9T)
//! is no contradiction.

use super::plan::Plan;
use crate::job::{Input, TrainingJob, field};
use crate::units::Count;

/// Two amounts that differ by no more than this share are equal up to rounding.
const ROUNDED: f64 = 0.08;

/// The amount of training.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Amount {
    /// Tokens that pass through the model, over all epochs.
    pub tokens: u64,
    /// The assumption behind the amount, if there is one.
    pub assumed: Option<Input>,
    /// A warning, if two sources contradict each other.
    pub contradiction: Option<String>,
}

/// The amount that a job trains. `None` if it is not known.
pub fn amount(job: &TrainingJob, plan: &Plan) -> Option<Amount> {
    let dataset = job.dataset.as_ref()?;
    let epochs = dataset.epochs.map_or(1, |epochs| u64::from(epochs).max(1));
    let stated = dataset.tokens.map(|tokens| tokens.0.saturating_mul(epochs));
    let counted = dataset.steps.and_then(|steps| Some((steps, step(job, plan)?)));
    match (stated, counted) {
        (Some(tokens), counted) => {
            let contradiction = counted.filter(|(_, step)| !step.guessed).and_then(|(steps, step)| {
                let product = steps.saturating_mul(step.tokens);
                let differs = (product as f64 / tokens.max(1) as f64 - 1.0).abs() > ROUNDED;
                differs.then(|| {
                    let (product, tokens) = (short(product), short(tokens));
                    format!(
                        "steps × batch × sequence make {product} tokens, not {tokens}: tokens are believed"
                    )
                })
            });
            Some(Amount { tokens, assumed: None, contradiction })
        }
        (None, Some((steps, step))) => Some(Amount {
            tokens: steps.saturating_mul(step.tokens),
            assumed: step.assumed,
            contradiction: None,
        }),
        (None, None) => None,
    }
}

/// One optimizer step.
struct Step {
    tokens: u64,
    /// Whether the number of microbatches is a guess.
    guessed: bool,
    assumed: Option<Input>,
}

fn step(job: &TrainingJob, plan: &Plan) -> Option<Step> {
    let batch = job.batch.as_ref()?;
    let sequence = u64::from(batch.sequence_length?);
    if let Some(global) = batch.global_batch_size {
        let tokens = u64::from(global).saturating_mul(sequence);
        return Some(Step { tokens, guessed: false, assumed: None });
    }
    let ranks = job.parallelism.as_ref().is_some_and(|p| p.data.is_some())
        || job.accelerator.as_ref().is_some_and(|accelerator| accelerator.count.is_some());
    let micro = u64::from(batch.micro_batch_size.filter(|_| ranks)?);
    let global = micro.saturating_mul(plan.data).saturating_mul(plan.micro_batches);
    let source =
        format!("assumed: micro-batch {micro} × data parallel {} × {}", plan.data, plan.micro_batches);
    let assumed =
        Some(Input { field: field::batch::GLOBAL_BATCH_SIZE.into(), value: global.to_string(), source });
    Some(Step { tokens: global.saturating_mul(sequence), guessed: true, assumed })
}

/// The amount with three digits: `1.05T`.
fn short(tokens: u64) -> String {
    let unit = [1_000_000_000_000, 1_000_000_000, 1_000_000, 1].into_iter().find(|unit| tokens >= *unit);
    let unit: u64 = unit.unwrap_or(1);
    // Rounded to a hundredth of the unit, as people write amounts.
    let hundredth = (unit / 100).max(1);
    Count(tokens.saturating_add(hundredth / 2) / hundredth * hundredth).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::assume::{Device, assume};
    use crate::job::{Accelerator, Batch, Dataset, Model};

    fn job(dataset: Dataset, batch: Batch) -> TrainingJob {
        TrainingJob {
            model: Some(Model { parameters: Some(Count(7_000_000_000)), ..Model::default() }),
            accelerator: Some(Accelerator { count: Some(8), ..Accelerator::default() }),
            dataset: Some(dataset),
            batch: Some(batch),
            ..TrainingJob::default()
        }
    }

    fn of(dataset: Dataset, batch: Batch) -> Option<Amount> {
        let job = job(dataset, batch);
        let plan = assume(&job, Device { bf16: true }).unwrap().likely;
        amount(&job, &plan)
    }

    fn batch(global: Option<u32>) -> Batch {
        Batch {
            global_batch_size: global,
            micro_batch_size: Some(2),
            sequence_length: Some(4096),
            ..Batch::default()
        }
    }

    #[test]
    fn tokens_of_an_epoch_count_once_an_epoch() {
        let dataset = Dataset { tokens: Some(Count(1_000_000)), epochs: Some(3), steps: None };
        assert_eq!(of(dataset, Batch::default()).unwrap().tokens, 3_000_000);
    }

    #[test]
    fn a_step_trains_one_global_batch() {
        let dataset = Dataset { steps: Some(100), ..Dataset::default() };
        let amount = of(dataset.clone(), batch(Some(64))).unwrap();
        assert_eq!((amount.tokens, amount.assumed), (100 * 64 * 4096, None));
        // Two sequences on each of the eight ranks.
        let amount = of(dataset.clone(), batch(None)).unwrap();
        assert_eq!(amount.tokens, 100 * 16 * 4096);
        assert_eq!(amount.assumed.unwrap().source, "assumed: micro-batch 2 × data parallel 8 × 1");
        assert_eq!(of(dataset, Batch::default()), None);
    }

    #[test]
    fn a_contradiction_is_reported_but_rounding_is_not() {
        let warning = |tokens| {
            let dataset = Dataset { tokens: Some(Count(tokens)), epochs: None, steps: Some(1_000_000) };
            of(dataset, batch(Some(512))).unwrap().contradiction
        };
        assert_eq!(warning(2_000_000_000_000), None);
        assert_eq!(
            warning(1_000_000_000_000).unwrap(),
            "steps × batch × sequence make 2.1T tokens, not 1T: tokens are believed"
        );
    }
}
