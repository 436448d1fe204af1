//! Tokens of the whole training.
//!
//! ```text
//! tokens = tokens of an epoch · epochs,   or   steps · global batch · sequence
//! ```

use crate::job::TrainingJob;

/// Tokens of the whole training: as given, or steps × global batch × sequence.
pub fn tokens(job: &TrainingJob) -> Option<u64> {
    let dataset = job.dataset.as_ref()?;
    let epochs = dataset.epochs.map_or(1, |e| u64::from(e).max(1));
    if let Some(tokens) = dataset.tokens {
        return Some(tokens.0.saturating_mul(epochs));
    }
    let batch = job.batch.as_ref()?;
    let step = u64::from(batch.global_batch_size?).saturating_mul(u64::from(batch.sequence_length?));
    Some(dataset.steps?.saturating_mul(step))
}
