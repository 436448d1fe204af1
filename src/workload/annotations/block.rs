//! The `training` annotation: one YAML block with the fields of a `TrainingEstimate`'s spec.
//!
//! The budgets are those of a small document. A person writes a few dozen lines, without aliases and without deep
//! nesting. An error names its line. An unknown field is named too.

use serde_json::Value;
use serde_saphyr::{DuplicateKeyPolicy, MergeKeyPolicy, MessageFormatter as _, UserMessageFormatter};

use crate::job::{AnyField, TrainingJob};
use crate::printable::complaint;

const MAX_ALIASED: usize = 1_000;
const MAX_DEPTH: usize = 16;
const MAX_NODES: usize = 4_000;
/// The most unknown fields that are named.
const MAX_UNKNOWN: usize = 8;

/// What a block gives.
#[derive(Debug, Default)]
pub(super) struct Block {
    /// The fields that it sets.
    pub(super) fields: Vec<(AnyField, Value)>,
    /// The fields that we do not know.
    pub(super) unknown: Vec<String>,
}

/// Reads a block. The error, with its line, if it cannot be read.
pub(super) fn read(text: &str) -> Result<Block, String> {
    let options = serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::Error,
        merge_keys: MergeKeyPolicy::Merge,
        strict_booleans: false,
        with_snippet: false,
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MAX_ALIASED },
        budget: serde_saphyr::budget! { max_depth: MAX_DEPTH, max_nodes: MAX_NODES, max_documents: 1 },
    };
    let mut unknown = Vec::new();
    let job: Option<TrainingJob> =
        serde_saphyr::with_deserializer_from_str_with_options(text, options, |deserializer| {
            serde_ignored::deserialize(deserializer, |path| {
                if unknown.len() < MAX_UNKNOWN {
                    // The parser shows optional groups as `?`.
                    unknown.push(path.to_string().replace("?.", "").replace('?', ""));
                }
            })
        })
        .map_err(|error| {
            let problem = UserMessageFormatter.format_message(&error).into_owned();
            let problem = complaint(&problem, 200);
            match error.location() {
                Some(location) => format!("line {}: {problem}", location.line()),
                None => problem,
            }
        })?;
    Ok(Block { fields: job.unwrap_or_default().values(), unknown })
}
