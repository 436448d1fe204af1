//! What nobody would write: every reader, on words and files that were never meant to be read.

use proptest::prelude::*;

use super::{READERS, read};
use crate::workload::command::{Arguments, Launch, Launcher, Target, Word};

/// Programs that readers know, and launchers.
const PROGRAMS: &[&str] = &[
    "pretrain_gpt.py",
    "megatron_gpt_pretraining.py",
    "run_recipe.py",
    "run_script.py",
    "train.py",
    "MaxText/train.py",
    "run_train.py",
    "run_train.sh",
    "benchmark.py",
    "nemo llm finetune",
    "llmfoundry train",
];
const MODULES: &[&str] = &["torchtitan.train", "MaxText.train", "axolotl.cli.train"];
const LAUNCHERS: &[&str] = &["torchrun", "composer", "colossalai run", "accelerate launch", "deepspeed"];

/// Words that mean something to one reader or another.
const WORDS: &[&str] = &[
    "--num-layers",
    "--hidden-size",
    "--num-attention-heads",
    "--micro-batch-size",
    "--max-position-embeddings",
    "--train-samples",
    "--seq-length",
    "--moe-layer-freq",
    "--pipeline-model-parallel-layout",
    "--num-layers-per-virtual-pipeline-stage",
    "--pipeline-model-parallel-size",
    "--num-experts",
    "--swiglu",
    "--moe-shared-expert-intermediate-size",
    "--moe-ffn-hidden-size",
    "--make-vocab-size-divisible-by",
    "--vocab-size",
    "--recompute-num-layers",
    "--recompute-granularity",
    "--exp-avg-dtype",
    "--use-precision-aware-optimizer",
    "--model_recipe_name",
    "--recipe",
    "--factory",
    "--config-name",
    "--config-path",
    "--config-file",
    "--plugin",
    "3d",
    "--job.config_file",
    "--training.local_batch_size",
    "--parallelism.data_parallel_replicate_degree",
    "--model.flavor",
    "pretrain_esm2_650M",
    "/conf/a.yaml",
    "x.yml",
    "configs/base.yml",
    "per_device_batch_size=",
    "ici_tensor_parallelism=",
    "max_duration=9e99ba",
    "model.d_model=",
    "model.expansion_ratio=",
    "model.name=mpt_causal_lm",
    "block",
    "full",
    "-1",
    "0",
    "1",
    "18446744073709551615",
    "340282366920938463463374607431768211456",
    "1e308",
    "nan",
    "inf",
    "-0.0",
    "null",
    "None",
    "([0]*3+[1]*58)",
    "Et*3|(tt|)*29m|L",
];

const KEYS: &[&str] = &[
    "model.num_layers",
    "model.virtual_pipeline_model_parallel_size",
    "model.model_config.hidden_size",
    "tokens.micro_batch_size",
    "parallelism.tp",
    "tokens.batch_accumulation_per_replica",
    "training.local_batch_size",
    "fsdp_config.sharding_strategy",
    "model.d_model",
    "max_seq_len",
    "device_train_microbatch_size",
    "per_device_batch_size",
    "zero_optimization.stage",
];

fn word() -> impl Strategy<Value = Word> {
    let text = prop_oneof![
        4 => proptest::sample::select(WORDS).prop_map(str::to_owned),
        1 => (proptest::sample::select(WORDS), any::<i64>()).prop_map(|(word, number)| format!("{word}={number}")),
        1 => "[ -~\u{fc}\u{2028}]{0,12}",
    ];
    (text, proptest::bool::weighted(0.9)).prop_map(|(text, known)| Word { text, known })
}

fn file() -> impl Strategy<Value = String> {
    let line = (proptest::sample::select(KEYS), proptest::sample::select(WORDS));
    prop_oneof![
        proptest::collection::vec(line.clone(), 0..8).prop_map(|lines| {
            lines.iter().map(|(key, value)| format!("\"{key}\": \"{value}\"\n")).collect()
        }),
        proptest::collection::vec(line, 0..8)
            .prop_map(|lines| { lines.iter().map(|(key, value)| format!("{key} = {value}\n")).collect() }),
        "[ -~\n]{0,64}",
    ]
}

proptest! {
    #[test]
    fn no_reader_panics_and_what_it_says_is_bounded(
        target in 0..PROGRAMS.len() + MODULES.len(),
        launcher in proptest::option::of(proptest::sample::select(LAUNCHERS)),
        words in proptest::collection::vec(word(), 0..24),
        text in file(),
    ) {
        let target = match PROGRAMS.get(target) {
            Some(path) if path.ends_with(".py") => Target::Script((*path).into()),
            Some(program) => Target::Program((*program).into()),
            None => Target::Module(MODULES[target - PROGRAMS.len()].into()),
        };
        let launcher = launcher.map(|name| Launcher { name: name.into(), arguments: Arguments::default() });
        let launch = Launch {
            place: "container trainer".into(),
            launchers: launcher.into_iter().collect(),
            target,
            arguments: Arguments::of(words),
            ..Launch::default()
        };
        let launch = launch.with_environment(&[("CONFIG_FILE", "/conf/a.yaml")]).with_file("/conf/a.yaml", &text);
        for reader in READERS {
            if (reader.recognises)(&launch) {
                (reader.read)(&launch, &mut super::Said::default());
            }
        }
        let said = read(&[launch]);
        for warning in &said.warnings {
            prop_assert!(warning.chars().count() <= 120 && !warning.contains(char::is_control), "{warning:?}");
        }
        for offered in &said.offers {
            prop_assert!(offered.source.chars().count() <= 256, "{}", offered.source);
        }
    }
}
