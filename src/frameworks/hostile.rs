//! Launches of any form make no reader panic, claim a value that its field does not take, or warn in more than a line.

use proptest::prelude::*;

use crate::command::{Arguments, Environment, Launch, Launcher, Target, Word};
use crate::frameworks::READERS;
use crate::frameworks::reading::claims::Claims;

/// Programs and launchers that readers know, and others.
const TARGETS: &[&str] = &[
    "",
    "train.py",
    "run_clm.py",
    "run_lora_clm.py",
    "finetuning.py",
    "tuning/sft_trainer.py",
    "trl",
    "trl sft",
    "llamafactory-cli",
    "llamafactory-cli train",
    "axolotl train",
    "tune run",
    "full_finetune_distributed",
    "lora_finetune_single_device",
    "swift sft",
    "swift pt",
    "litgpt finetune_lora",
    "litgpt pretrain",
    "train_dpo.py",
    "pretrain_gpt.py",
    "megatron_gpt_pretraining.py",
    "run_recipe.py",
    "run_script.py",
    "torchtitan.train",
    "run_train.sh",
    "run_train.py",
    "MaxText/train.py",
    "MaxText.train",
    "nemo llm finetune",
    "llmfoundry train",
    "benchmark.py",
];
const LAUNCHERS: &[&str] =
    &["torchrun", "accelerate launch", "deepspeed", "tune run", "composer", "colossalai run"];
const NAMES: &[&str] = &[
    "hidden_width",
    "num_layers",
    "num_heads",
    "max_context_width",
    "model_type",
    "sharding_strategy",
    "model_name",
    "model_name_or_path",
    "per_device_train_batch_size",
    "gradient_accumulation_steps",
    "output_dir",
    "max_seq_length",
    "bf16",
    "torch_dtype",
    "optim",
    "fsdp",
    "fsdp_config",
    "deepspeed",
    "deepspeed_config",
    "config",
    "config_file",
    "use_fsdp",
    "use_deepspeed",
    "num_processes",
    "num_machines",
    "fsdp_sharding_strategy",
    "use_peft",
    "peft_method",
    "lora_r",
    "target_modules",
    "quantization_bit",
    "stage",
    "finetuning_type",
    "cutoff_len",
    "enable_fsdp",
    "batch_size_training",
    "quantization",
    "train_type",
    "devices",
    "num_nodes",
    "precision",
    "quantize",
    "max_steps",
    "accelerate_config",
    "num-layers",
    "hidden-size",
    "num-attention-heads",
    "micro-batch-size",
    "seq-length",
    "train-samples",
    "max-position-embeddings",
    "moe-layer-freq",
    "pipeline-model-parallel-layout",
    "num-layers-per-virtual-pipeline-stage",
    "pipeline-model-parallel-size",
    "tensor-model-parallel-size",
    "num-experts",
    "moe-ffn-hidden-size",
    "moe-shared-expert-intermediate-size",
    "make-vocab-size-divisible-by",
    "tokenizer-model",
    "recompute-granularity",
    "recompute-method",
    "recompute-num-layers",
    "exp-avg-dtype",
    "exp-avg-sq-dtype",
    "use-precision-aware-optimizer",
    "hidden-dropout",
    "model_recipe_name",
    "recipe",
    "factory",
    "config-name",
    "config-path",
    "config-file",
    "plugin",
    "job.config_file",
    "training.local_batch_size",
    "parallelism.data_parallel_shard_degree",
    "parallelism.data_parallel_replicate_degree",
    "parallelism.pipeline_parallel_degree",
    "model.flavor",
    "model.num_layers",
    "model.virtual_pipeline_model_parallel_size",
    "trainer.precision",
    "per_device_batch_size",
    "ici_tensor_parallelism",
    "dcn_context_parallelism",
    "remat_policy",
    "max_duration",
    "model.d_model",
    "model.expansion_ratio",
    "tokens.micro_batch_size",
];
const VALUES: &[&str] = &[
    "",
    "0",
    "1",
    "-1",
    "4096",
    "18446744073709551615",
    "99999999999999999999999999",
    "1e400",
    "NaN",
    "true",
    "false",
    "x/y",
    "c.yaml",
    "/etc/c.yaml",
    "full_shard auto_wrap offload",
    "bfloat16",
    "llama3_1/8B_full",
    "ÿ/\u{202e}B_",
    "/",
    "B_",
    "[a,b]",
    "{",
    "{\"a\": [",
    "lora",
    "qlora",
    "4bit",
    "zero3",
    "mixtral",
    "block",
    "full",
    "uniform",
    "([0]*3+[1]*58)",
    "Et*3|(tt|)*29m|L",
    "pretrain_esm2_650M",
    "configs/base.yml",
    "3d",
    "9e99ba",
    "mpt_causal_lm",
    "${max_seq_len}",
    "bf16",
    "fp8",
    "0.5",
];

fn word() -> impl Strategy<Value = Word> {
    let option = prop::sample::select(NAMES).prop_map(|name| format!("--{name}"));
    let value = prop::sample::select(VALUES).prop_map(str::to_owned);
    let both = (prop::sample::select(NAMES), prop::sample::select(VALUES), any::<bool>()).prop_map(
        |(name, value, dashed)| if dashed { format!("--{name}={value}") } else { format!("{name}={value}") },
    );
    let text = prop_oneof![4 => option, 3 => value, 2 => both, 1 => ".{0,12}"];
    (text, prop::bool::weighted(0.9)).prop_map(|(text, known)| Word { text, known })
}

fn target() -> impl Strategy<Value = Target> {
    (prop::sample::select(TARGETS), 0..4).prop_map(|(name, kind)| match kind {
        0 => Target::Script(name.to_owned()),
        1 => Target::Module(name.trim_end_matches(".py").replace('/', ".")),
        2 => Target::Program(name.to_owned()),
        _ => Target::Unknown,
    })
}

/// Files with the keys that readers look for and any value, and texts that are no files.
fn file() -> impl Strategy<Value = String> {
    let keys =
        [NAMES, &["zero_optimization", "fsdp_config", "deepspeed_config", "model", "base_model", "lora"]]
            .concat();
    let line = (prop::sample::select(keys), prop::sample::select(VALUES), 0..3_usize).prop_map(
        |(key, value, depth)| match depth {
            0 => format!("{key}: {value}\n"),
            1 => format!("{key}:\n  - {value}\n"),
            _ => format!("{key}:\n  stage: {value}\n  device: 3\n"),
        },
    );
    prop_oneof![9 => prop::collection::vec(line, 0..12).prop_map(|lines| lines.concat()), 1 => ".{0,80}"]
}

prop_compose! {
    fn launch()(
        target in target(),
        words in prop::collection::vec(word(), 0..24),
        launcher in prop::option::of((prop::sample::select(LAUNCHERS), prop::collection::vec(word(), 0..10))),
        text in file(),
        variables in prop::collection::vec((prop::sample::select(NAMES), prop::sample::select(VALUES)), 0..4),
    ) -> Launch {
        let launchers = launcher.map(|(name, words)| Launcher { name: name.to_owned(), arguments: Arguments::of(words) });
        let fixed = [("SFT_TRAINER_CONFIG_JSON_PATH", "/etc/c.yaml"), ("MODEL_NAME", "x"), ("LORA_R", "8")];
        let variables = variables.iter().chain(&fixed);
        let environment: Environment =
            variables.map(|(name, value)| ((*name).to_uppercase(), Some((*value).to_owned()))).collect();
        let launch = Launch {
            place: "container a".into(),
            target,
            arguments: Arguments::of(words),
            launchers: launchers.into_iter().collect(),
            environment,
            ..Launch::default()
        };
        launch.with_file("/etc/c.yaml", &text)
    }
}

proptest! {
    #[test]
    fn no_launch_makes_a_reader_panic_or_say_what_no_field_takes(launch in launch()) {
        for reader in READERS {
            let _ = (reader.recognises)(&launch);
            let mut claims = Claims { place: launch.place.clone(), ..Claims::default() };
            (reader.read)(&launch, &mut claims);
            prop_assert!(claims.all.len() < 96, "{}", reader.name);
            for claim in &claims.all {
                prop_assert!(claim.field.read(&claim.value).is_ok(), "{}: {claim:?}", reader.name);
                prop_assert!(claim.source.to_string().chars().count() <= 256);
            }
            for open in &claims.open {
                for value in open.leanest.iter().chain(&open.heaviest) {
                    prop_assert!(open.field.read(value).is_ok(), "{}: {}", reader.name, open.field);
                }
            }
            for warning in &claims.warnings {
                prop_assert!(warning.chars().count() <= 120 && !warning.contains(char::is_control), "{warning:?}");
            }
        }
    }
}
