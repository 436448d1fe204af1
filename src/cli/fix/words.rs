//! How a value may stand in a command: candidates, which the readers themselves then judge.
//!
//! No framework is named here. A candidate is written, the job is read again without our annotations, and it counts only if
//! the reader of its framework then finds the wanted value, and no word that it does not know. So a word that a framework
//! does not have is never left in a manifest.
//!
//! Sources of the words: Megatron-LM `megatron/training/arguments.py` (`core_v0.12`); Hugging Face `training_args.py` (v4.57);
//! torchtitan `job_config.py` (v0.2); the option tables in `src/frameworks`.

/// The spellings of a value behind an option that is there.
pub(super) fn spellings(key: &str, text: &str) -> Vec<String> {
    let words: &[&str] = match (key, text) {
        ("sharding", "zero1") => &["1"],
        ("sharding", "zero2") => &["2"],
        ("sharding", "zero3") => &["3"],
        ("sharding", "fsdp") => &["FULL_SHARD", "full_shard"],
        ("sharding", "hsdp") => &["HYBRID_SHARD", "hybrid_shard"],
        ("sharding", "distributed-optimizer") | ("recompute", "full") => &["full", "true"],
        ("optimizer", _) if text.contains("8bit") => &["adamw_bnb_8bit", "adamw_8bit"],
        _ => &[],
    };
    let mut all = vec![text.to_owned()];
    all.extend(words.iter().map(|word| (*word).to_owned()));
    all
}

/// The options that give a value where none does: each candidate may have several.
pub(super) fn options(key: &str, text: &str) -> Vec<Vec<String>> {
    let candidates: &[&[&str]] = match (key, text) {
        ("sharding", "distributed-optimizer") => &[&["--use-distributed-optimizer"]],
        ("sequence-parallel", "true") => &[&["--sequence-parallel"]],
        ("recompute", "full") => &[
            &["--recompute-granularity=full", "--recompute-method=uniform", "--recompute-num-layers=1"],
            &["--gradient_checkpointing=true"],
            &["--activation_checkpoint.mode=full"],
        ],
        ("micro-batch-size", _) => &[
            &["--micro-batch-size={}"],
            &["--per_device_train_batch_size={}"],
            &["--training.local_batch_size={}"],
        ],
        ("tensor-parallel", _) => {
            &[&["--tensor-model-parallel-size={}"], &["--parallelism.tensor_parallel_degree={}"]]
        }
        ("pipeline-parallel", _) => {
            &[&["--pipeline-model-parallel-size={}"], &["--parallelism.pipeline_parallel_degree={}"]]
        }
        ("optimizer", _) if text.contains("8bit") => &[&["--optim=adamw_bnb_8bit"]],
        _ => &[],
    };
    let filled = |words: &&[&str]| words.iter().map(|word| word.replace("{}", text)).collect();
    candidates.iter().map(filled).collect()
}

/// The options that keep the global batch where the micro-batch becomes smaller, and nothing states it yet.
pub(super) fn keeping_the_batch(times: u64, global: Option<u64>) -> Vec<String> {
    let steps =
        [format!("--gradient_accumulation_steps={times}"), format!("gradient_accumulation_steps={times}")];
    let batch = global.map(|global| {
        [format!("--training.global_batch_size={global}"), format!("--global-batch-size={global}")]
    });
    steps.into_iter().chain(batch.into_iter().flatten()).collect()
}

/// The options for the microbatches of a step, which change with the micro-batch if the global batch stays.
pub(super) const ACCUMULATION: &[&str] = &["gradient_accumulation_steps", "gradient-accumulation-steps"];

/// The most variables that are followed, each set from the next.
const MOST_VARIABLES: usize = 3;

/// Whether two names are the same option: dashes before them, and dashes or underscores within, make no difference.
fn same(one: &str, other: &str) -> bool {
    let plain = |name: &str| name.trim_start_matches('-').replace('_', "-").to_lowercase();
    plain(one) == plain(other)
}

/// A value behind a name, within a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// The bytes of the value. Empty if the name ends the text: the value is the next item.
    pub(super) range: std::ops::Range<usize>,
    /// Whether the text is the name alone.
    pub(super) is_name_alone: bool,
}

/// The values behind an option or a key, in a script, in a file, or in an item of a list.
pub(super) fn values(text: &str, option: &str) -> Vec<Found> {
    within(text, option, 0)
}

/// A variable may be set from another one, and these from each other. So only a few are followed.
fn within(text: &str, option: &str, followed: usize) -> Vec<Found> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) = text.get(at..).and_then(|rest| rest.find(is_part)).map(|start| at + start) {
        let end = text
            .get(start..)
            .and_then(|rest| rest.find(|c| !is_part(c)))
            .map_or(text.len(), |end| start + end);
        at = end;
        let name = text.get(start..end).unwrap_or_default();
        // A key of a file may be the last part of a path of keys.
        let is_it = same(name, option) || option.rsplit('.').next().is_some_and(|last| same(name, last));
        let is_used = text.get(..start).is_some_and(|before| before.ends_with(['$', '{']));
        if !is_it || is_used {
            continue;
        }
        let Some(rest) = text.get(end..) else { continue };
        if rest.trim().trim_matches(['"', '\'']).is_empty() {
            let is_name_alone = text.trim().trim_matches(['"', '\'']) == name;
            found.push(Found { range: end..end, is_name_alone });
            continue;
        }
        let between =
            |c: char| matches!(c, ' ' | '\t' | '=' | ':' | '"' | '\'' | '\\' | '\n' | ',' | '[' | ']');
        let Some(value) = rest.find(|c| !between(c)).map(|value| end + value) else { continue };
        // The value of a variable stands where it is set.
        if let Some(variable) = text.get(value..).and_then(|rest| rest.strip_prefix('$')) {
            let variable = variable.trim_start_matches('{');
            let name =
                variable.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default();
            if !name.is_empty() && followed < MOST_VARIABLES {
                found.extend(within(text, name, followed + 1));
            }
            continue;
        }
        let length =
            text.get(value..).and_then(|rest| rest.find(|c: char| !is_part(c))).unwrap_or(text.len() - value);
        if length > 0 {
            found.push(Found { range: value..value + length, is_name_alone: false });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_of_an_option_is_found_wherever_it_stands() {
        for (text, option, expected) in [
            ("--micro-batch-size=4", "--micro-batch-size", "4"),
            ("torchrun x.py --micro_batch_size 4 \\\n  --bf16", "--micro-batch-size", "4"),
            ("[torchrun, --micro-batch-size, \"4\"]", "--micro-batch-size", "4"),
            ("base: x\nmicro_batch_size: 4\nother: 5\n", "micro_batch_size", "4"),
            ("{\"zero_optimization\": {\"stage\": 2}}", "zero_optimization.stage", "2"),
            ("training.batch = 4", "training.batch", "4"),
        ] {
            let found = values(text, option);
            assert_eq!(found.len(), 1, "{text}: {found:?}");
            assert_eq!(&text[found[0].range.clone()], expected, "{text}");
        }
        let script = "MBS=8 # per GPU\n x --micro-batch-size ${MBS} --loop $loop\nloop=$loop";
        let found = values(script, "--micro-batch-size");
        assert_eq!(found.iter().map(|found| &script[found.range.clone()]).collect::<Vec<_>>(), ["8"]);
        assert!(values(script, "--loop").is_empty());
        assert!(values("--micro-batch-sizes=4 --other", "--micro-batch-size").is_empty());
        assert!(values("\"--micro-batch-size\"", "--micro-batch-size")[0].is_name_alone);
    }
}
