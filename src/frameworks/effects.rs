//! The effect of every option of every list, as snapshots that a person reviews. A new release, a new reader or a new
//! correction shows in them. Options that are inert by their names' words are only counted: the list holds their names.
//!
//! Each option is added by itself to commands that the reader recognises, with several values. It is **read** if a reader
//! asks for it in any of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::command::Launch;
use crate::frameworks::reading::options::{Known, List};
use crate::frameworks::reading::torchrun;
use crate::frameworks::reading::unread::{Effect, Word, effect};
use crate::frameworks::{
    READERS, Trees, accelerate, axolotl, colossalai, deepspeed, deepspeed_chat, easyr1, gpt_neox,
    hugging_face, instructlab, levanter, litgpt, llama_factory, llm_foundry, maxtext, megatron_bridge,
    megatron_core, megatron_lm, nanotron, nemo, nemo_automodel, nemo_rl, olmo_core, open_instruct, openrlhf,
    oumi, prime_rl, read, swift, torchtitan, torchtune, trainings, unsloth, verl, xtuner,
};

/// A list, the folder of its framework, and commands that take its options. `{}` stands for an option and its value,
/// `{=}` for a word `name=value`, and `{:}` for a file with the key. Within the braces are the groups of the option.
struct Taken {
    folder: &'static str,
    list: &'static List,
    /// The file's other keys.
    file: &'static str,
    commands: &'static [&'static str],
}

const HF: &[&str] = &[
    "torchrun run_clm.py --do_train --model_name_or_path gpt2 {}",
    "torchrun own.py --model_name_or_path gpt2 --per_device_train_batch_size 1 --output_dir o {}",
    "trl sft --model_name_or_path gpt2 {}",
    "trl sft --model_name_or_path gpt2 --use_peft {}",
    "python -m tuning.sft_trainer --model_name_or_path gpt2 --peft_method lora {}",
    "python -m tuning.sft_trainer --model_name_or_path gpt2 {}",
    "torchrun run_lora_clm.py --model_name_or_path gpt2 {}",
];

const TAKEN: &[Taken] = &[
    Taken {
        folder: "reading/torchrun",
        list: &torchrun::LIST,
        file: r"{}",
        commands: &["torchrun {} run_clm.py --do_train --model_name_or_path gpt2"],
    },
    Taken {
        folder: "hugging_face/transformers",
        list: &hugging_face::lists::TRANSFORMERS,
        file: r"{}",
        commands: HF,
    },
    Taken {
        folder: "hugging_face/examples",
        list: &hugging_face::lists::EXAMPLES,
        file: r"{}",
        commands: HF,
    },
    Taken { folder: "hugging_face/trl", list: &hugging_face::lists::TRL, file: r"{}", commands: HF },
    Taken { folder: "hugging_face/peft", list: &hugging_face::lists::PEFT, file: r"{}", commands: HF },
    Taken {
        folder: "hugging_face/fms_hf_tuning",
        list: &hugging_face::lists::FMS_HF_TUNING,
        file: r"{}",
        commands: HF,
    },
    Taken {
        folder: "hugging_face/optimum_habana",
        list: &hugging_face::lists::OPTIMUM_HABANA,
        file: r"{}",
        commands: HF,
    },
    Taken {
        folder: "accelerate",
        list: &accelerate::list::LIST,
        file: r#"{"distributed_type": "FSDP"}"#,
        commands: &[
            "accelerate launch {} train.py",
            "accelerate launch --use_fsdp {} train.py",
            "accelerate launch --use_deepspeed {} train.py",
            "accelerate launch --config_file {:|fsdp_config|deepspeed_config|parallelism_config} train.py",
        ],
    },
    Taken {
        folder: "deepspeed",
        list: &deepspeed::list::LIST,
        file: r#"{"zero_optimization": {"stage": 3, "offload_optimizer": {}, "offload_param": {}}, "optimizer": {}, "bf16": {}, "fp16": {}, "tensor_parallel": {}, "data_types": {}}"#,
        commands: &[
            "deepspeed {} train.py --deepspeed --deepspeed_config z.json",
            "deepspeed train.py --deepspeed --deepspeed_config {:|zero_optimization|zero_optimization.offload_optimizer|zero_optimization.offload_param|optimizer|bf16|fp16|tensor_parallel|data_types}",
        ],
    },
    Taken {
        folder: "verl",
        list: &verl::list::LIST,
        file: r"{}",
        commands: &[
            "python3 -m verl.trainer.main_ppo actor_rollout_ref.model.path=gpt2 {=}",
            "python3 -m verl.trainer.main_ppo actor_rollout_ref.actor.strategy=megatron actor_rollout_ref.model.path=gpt2 {=}",
            "torchrun -m verl.trainer.fsdp_sft_trainer {=}",
            "torchrun -m verl.trainer.sft_trainer {=}",
        ],
    },
    Taken {
        folder: "deepspeed_chat",
        list: &deepspeed_chat::list::LIST,
        file: r"{}",
        commands: &[
            "deepspeed step1_supervised_finetuning/main.py --model_name_or_path gpt2 --lora_dim 8 {}",
            "deepspeed step2_dpo_finetuning/main.py --model_name_or_path gpt2 {}",
            "deepspeed step3_rlhf_finetuning/main.py --actor_model_name_or_path gpt2 {}",
        ],
    },
    Taken {
        folder: "open_instruct",
        list: &open_instruct::list::LIST,
        file: r"{}",
        commands: &[
            "accelerate launch open_instruct/finetune.py --model_name_or_path gpt2 --use_lora {}",
            "accelerate launch open_instruct/dpo_tune_cache.py --model_name_or_path gpt2 {}",
            "python open_instruct/grpo_fast.py --model_name_or_path gpt2 {}",
            "python open_instruct/grpo_fast.py --single_gpu_mode --model_name_or_path gpt2 {}",
            "torchrun open_instruct/olmo_core_finetune.py --model_name_or_path gpt2 {}",
        ],
    },
    Taken {
        folder: "xtuner",
        list: &xtuner::list::LIST,
        file: r"{}",
        commands: &[
            "xtuner train internlm2_chat_7b_qlora_alpaca_e3 {}",
            "torchrun xtuner/v1/train/cli/sft.py --load-from gpt2 {}",
        ],
    },
    Taken {
        folder: "prime_rl",
        list: &prime_rl::list::LIST,
        file: r#"{"model": {"name": "gpt2", "ac": {"freq": 1}}, "data": {}, "optim": {}, "deployment": {}}"#,
        commands: &[
            "sft @ a.toml --model.name gpt2 {}",
            "rl @ {:|model|model.ac|data|optim|deployment}",
            "sft @ {:|model|model.ac|model.lora|data|optim|deployment}",
        ],
    },
    Taken {
        folder: "olmo_core",
        list: &olmo_core::list::LIST,
        file: r"{}",
        commands: &["torchrun src/scripts/train/OLMo2/OLMo2-7B.py train r local {}"],
    },
    Taken {
        folder: "levanter",
        list: &levanter::list::LIST,
        file: r#"{"model": {}, "trainer": {}}"#,
        commands: &["python -m levanter.main.train_lm --config_path {:|model|trainer}"],
    },
    Taken {
        folder: "nemo_rl",
        list: &nemo_rl::list::LIST,
        file: r"{}",
        commands: &[
            "uv run examples/run_sft.py policy.model_name=gpt2 {=}",
            "uv run examples/run_grpo_math.py policy.megatron_cfg.enabled=true policy.model_name=gpt2 {=}",
        ],
    },
    Taken {
        folder: "easyr1",
        list: &easyr1::list::LIST,
        file: r"{}",
        commands: &["python3 -m verl.trainer.main worker.actor.model.model_path=gpt2 {=}"],
    },
    Taken {
        folder: "axolotl",
        list: &axolotl::list::LIST,
        file: r#"{"base_model": "gpt2", "adapter": "lora", "fsdp_config": {}, "peft": {}}"#,
        commands: &["axolotl train {:|fsdp_config|peft}"],
    },
    Taken {
        folder: "llama_factory",
        list: &llama_factory::list::LIST,
        file: r#"{"model_name_or_path": "gpt2", "finetuning_type": "lora"}"#,
        commands: &[
            "llamafactory-cli train {:}",
            "torchrun src/train.py --stage sft --finetuning_type lora {}",
        ],
    },
    Taken {
        folder: "swift",
        list: &swift::list::LIST,
        file: r"{}",
        commands: &[
            "swift sft --model gpt2 {}",
            "swift sft --model gpt2 --train_type lora {}",
            "swift pt --model gpt2 {}",
        ],
    },
    Taken {
        folder: "swift/megatron",
        list: &swift::list::MEGATRON,
        file: r"{}",
        commands: &[
            "megatron sft --model gpt2 {}",
            "megatron sft --model gpt2 --num_layers 4 --tuner_type lora --use_megatron_fsdp true {}",
            "megatron sft --model gpt2 --num_layers 4 --recompute_granularity full --recompute_method block \
             --use_precision_aware_optimizer true --exp_avg_dtype bf16 {}",
            "megatron rlhf --rlhf_type grpo --model gpt2 --use_vllm true --vllm_mode colocate {}",
        ],
    },
    Taken {
        folder: "oumi",
        list: &oumi::list::LIST,
        file: r#"{"model": {"model_name": "gpt2"}, "data": {"train": {}}, "training": {"use_peft": true, "trainer_type": "TRL_GRPO", "grpo": {"use_vllm": true, "vllm_mode": "colocate"}}, "peft": {"q_lora": true}, "fsdp": {"enable_fsdp": true}, "deepspeed": {}}"#,
        commands: &[
            "torchrun -m oumi train -c {:|model|data|data.train|training|training.grpo|peft|fsdp|deepspeed}",
            "torchrun -m oumi train -c {:|deepspeed|model}",
        ],
    },
    Taken {
        folder: "instructlab",
        list: &instructlab::list::LIST,
        file: r"{}",
        commands: &[
            "torchrun -m instructlab.training.main_ds --model_name_or_path gpt2 {}",
            "torchrun -m instructlab.training.main_ds --model_name_or_path gpt2 --lora_r 4 {}",
        ],
    },
    Taken {
        folder: "unsloth",
        list: &unsloth::list::LIST,
        file: r#"{"model": "gpt2"}"#,
        commands: &["python unsloth-cli.py --model_name gpt2 {}", "unsloth train --model gpt2 {}"],
    },
    Taken {
        folder: "nemo_automodel",
        list: &nemo_automodel::list::LIST,
        file: r#"{"model": {"_target_": "nemo_automodel.x"}, "peft": {"_target_": "x"}, "distributed": {}}"#,
        commands: &["automodel finetune llm -c {:}"],
    },
    Taken {
        folder: "gpt_neox",
        list: &gpt_neox::list::LIST,
        file: r#"{"pipe_parallel_size": 1, "hidden_size": 64}"#,
        commands: &[
            "python deepy.py train.py {:}",
            "python deepy.py train.py {:|zero_optimization|optimizer}",
        ],
    },
    Taken {
        folder: "torchtune",
        list: &torchtune::list::LIST,
        file: r"{}",
        commands: &[
            "tune run --nproc_per_node 2 full_finetune_distributed --config llama3_1/8B_full {=}",
            "tune run lora_finetune_single_device --config llama3_1/8B_lora {=|model}",
        ],
    },
    Taken {
        folder: "torchtitan",
        list: &torchtitan::list::LIST,
        file: r"{}",
        commands: &[
            "torchrun -m torchtitan.train {job|profiling|metrics|model|optimizer|lr_scheduler|training|parallelism|checkpoint|activation_checkpoint|compile|comm|quantize.linear.float8|experimental|validation|debug}",
            "torchrun -m torchtitan.train --parallelism.pipeline_parallel_degree 4 --training.local_batch_size 8 {job|profiling|metrics|model|optimizer|lr_scheduler|training|parallelism|checkpoint|activation_checkpoint|compile|comm|quantize.linear.float8|experimental|validation|debug}",
        ],
    },
    Taken {
        folder: "megatron_lm",
        list: &megatron_lm::list::LIST,
        file: r"{}",
        commands: &[
            "torchrun pretrain_gpt.py {}",
            "torchrun pretrain_gpt.py --num-layers 4 --num-experts 8 --multi-latent-attention --swiglu --pipeline-model-parallel-size 2 --recompute-granularity full {}",
        ],
    },
    Taken {
        folder: "megatron_lm/mindspeed",
        list: &megatron_lm::list::MINDSPEED,
        file: "{}",
        commands: &["torchrun pretrain_gpt.py {}"],
    },
    Taken {
        folder: "megatron_lm/mindspeed_llm",
        list: &megatron_lm::list::MINDSPEED_LLM,
        file: "{}",
        commands: &["torchrun pretrain_gpt.py {}"],
    },
    Taken {
        folder: "megatron_bridge",
        list: &megatron_bridge::list::LIST,
        file: r"{}",
        commands: &[
            "torchrun run_recipe.py --recipe llama3_8b_pretrain_config {}",
            "torchrun run_recipe.py --recipe llama3_8b_pretrain_config {=train|model|dataset|ddp|optimizer|checkpoint|peft|mixed_precision|scheduler}",
        ],
    },
    Taken {
        folder: "megatron_core",
        list: &megatron_core::list::LIST,
        file: r"{}",
        commands: &[
            "torchrun run_recipe.py --recipe llama3_8b_pretrain_config {=model|ddp|optimizer}",
            "torchrun run_recipe.py --recipe llama3_8b_pretrain_config model.recompute_granularity=full {=model|ddp|optimizer}",
        ],
    },
    Taken {
        folder: "nemo",
        list: &nemo::list::LIST,
        file: r"{}",
        commands: &[
            "torchrun megatron_gpt_pretraining.py {=|model}",
            "nemo llm pretrain --factory llama3_8b {=|trainer|trainer.strategy|model.config|data|optim}",
        ],
    },
    Taken {
        folder: "maxtext",
        list: &maxtext::list::LIST,
        file: r"{}",
        commands: &[
            "python -m MaxText.train MaxText/configs/base.yml {=}",
            "python -m MaxText.train MaxText/configs/base.yml model_name=mixtral-8x7b {=}",
        ],
    },
    Taken {
        folder: "llm_foundry",
        list: &llm_foundry::list::LIST,
        file: r#"{"model": {"name": "mpt_causal_lm", "attn_config": {}}, "optimizer": {}}"#,
        commands: &["composer train.py {:|model|model.attn_config|optimizer}"],
    },
    Taken {
        folder: "litgpt",
        list: &litgpt::list::LIST,
        file: r"{}",
        commands: &[
            "litgpt finetune_lora gpt2 {|train}",
            "litgpt pretrain gpt2 {|train}",
            "litgpt finetune_full gpt2 {}",
        ],
    },
    Taken {
        folder: "nanotron",
        list: &nanotron::list::LIST,
        file: r#"{"tokens": {"name": "x"}, "parallelism": {"dp": 1}, "model": {"model_config": {"is_llama_config": true}}, "optimizer": {"optimizer_factory": {}}, "general": {}, "checkpoints": {}}"#,
        commands: &[
            "torchrun run_train.py --config-file {:|model.model_config|parallelism|tokens|optimizer|optimizer.optimizer_factory|model|general|checkpoints}",
        ],
    },
    Taken {
        folder: "openrlhf",
        list: &openrlhf::list::LIST,
        file: r"{}",
        commands: &[
            "deepspeed --module openrlhf.cli.train_sft --pretrain gpt2 {}",
            "deepspeed --module openrlhf.cli.train_sft --pretrain gpt2 --lora_rank 8 {}",
        ],
    },
    Taken {
        folder: "colossalai",
        list: &colossalai::list::LIST,
        file: r"{}",
        commands: &[
            "colossalai run --nproc_per_node 8 benchmark.py --plugin 3d {}",
            "colossalai run --nproc_per_node 8 train.py --plugin zero2 --pretrained x {}",
        ],
    },
];

/// The launch of a command with an option and its value, and the paths of the option in its groups.
fn launch(command: &str, file: &str, name: &str, value: &str) -> (Launch, Vec<String>) {
    let (before, rest) = command.split_once('{').unwrap();
    let (form, after) = rest.split_once('}').unwrap();
    let groups = form.trim_start_matches([':', '=']).split('|');
    let path = |group: &str| if group.is_empty() { name.to_owned() } else { format!("{group}.{name}") };
    let paths: Vec<_> = groups.map(path).collect();
    let words = |of: &dyn Fn(&String) -> String| paths.iter().map(of).collect::<Vec<_>>().join(" ");
    let put = match form.chars().next() {
        Some(':') => "/c/file.yaml".to_owned(),
        Some('=') => words(&|path| format!("{path}={value}")),
        _ => words(&|path| format!("--{path} {value}")),
    };
    let line = format!("{before}{put}{after}");
    let launch = Launch::of_words(&line.split_whitespace().collect::<Vec<_>>());
    if !form.starts_with(':') {
        return (launch, paths);
    }
    let mut file: Value = serde_json::from_str(file).unwrap();
    let mut put = |path: &String| {
        let (groups, key) = path.rsplit_once('.').unwrap_or(("", path));
        let groups = groups.split('.').filter(|group| !group.is_empty());
        let at = groups.fold(Some(&mut file), within)?.as_object_mut()?;
        // A group stays a group.
        let is_new = !at.contains_key(key);
        is_new
            .then(|| at.insert(key.to_owned(), serde_json::from_str(value).unwrap_or_else(|_| value.into())));
        is_new.then(|| path.clone())
    };
    let paths = paths.iter().filter_map(&mut put).collect();
    (launch.with_file("/c/file.yaml", &file.to_string()), paths)
}

/// A group of keys, made if it is missing.
fn within<'v>(at: Option<&'v mut Value>, group: &str) -> Option<&'v mut Value> {
    Some(at?.as_object_mut()?.entry(group).or_insert_with(|| json!({})))
}

/// Whether a reader asks for an option in any of the commands, or in all of them.
fn is_read(taken: &Taken, name: &str, always: bool) -> bool {
    let asked = |command: &&str| {
        let (launch, paths) = launch(command, taken.file, name, "4");
        let launches = [launch];
        let (trainings, _) = trainings(&launches);
        let training = trainings.first().unwrap();
        let claims = read(training, &launches, &[], &mut Trees::default());
        let launch = &launches[0];
        let arguments =
            || launch.launchers.iter().map(|launcher| &launcher.arguments).chain([&launch.arguments]);
        let is_given = |path: &String| {
            let option = format!("--{path}");
            let word = |text: &str| text == option || text.starts_with(&format!("{path}="));
            command.contains("{:")
                || arguments().any(|arguments| arguments.words().iter().any(|w| word(&w.text)))
        };
        let mut unasked: Vec<String> = Vec::new();
        unasked
            .extend(arguments().flat_map(|arguments| arguments.unasked()).map(|(name, _)| name.to_owned()));
        unasked.extend(claims.files.iter().flat_map(|file| file.unasked()).map(|(name, _)| name.to_owned()));
        training.is_read() && paths.iter().any(|path| is_given(path) && !unasked.contains(path))
    };
    if always { taken.commands.iter().all(asked) } else { taken.commands.iter().any(asked) }
}

/// The effect of an option in words, and why.
fn described(taken: &Taken, known: Known) -> String {
    let is_variable = known.name.chars().all(|c| !c.is_ascii_lowercase());
    let why = known.correction().map(|correction| format!("  ({})", correction.why)).unwrap_or_default();
    if !is_variable && is_read(taken, known.name, false) {
        return "read".to_owned();
    }
    match effect(&Word { name: known.name, value: None }, &[taken.list]) {
        Effect::Opens(subjects) => {
            let subjects: Vec<_> = subjects.iter().map(ToString::to_string).collect();
            format!("open: {}{why}", subjects.join(", "))
        }
        Effect::Inert | Effect::Unknown => format!("inert{why}"),
    }
}

#[test]
fn every_command_is_read_by_a_reader_that_has_the_list() {
    for taken in TAKEN {
        for command in taken.commands {
            let launches = [launch(command, taken.file, "x", "4").0];
            let (trainings, _) = trainings(&launches);
            let lists = trainings.first().unwrap().readers.iter().flat_map(|reader| reader.options);
            let mut lists = lists.copied().chain([&torchrun::LIST]);
            assert!(lists.any(|list| std::ptr::eq(list, taken.list)), "{command}");
        }
    }
}

#[test]
fn every_option_has_an_effect_that_a_person_reviewed() {
    std::thread::scope(|scope| {
        for taken in TAKEN {
            scope.spawn(|| review(taken));
        }
    });
}

fn review(taken: &Taken) {
    let mut by_effect: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for known in taken.list.all() {
        by_effect.entry(described(taken, known)).or_default().push(known.name);
    }
    let count = |start: &str| {
        by_effect
            .iter()
            .filter(|(effect, _)| effect.starts_with(start))
            .map(|(_, names)| names.len())
            .sum::<usize>()
    };
    let mut text = format!(
        "{}: {} read, {} inert, {} open\n",
        taken.list.title(),
        count("read"),
        count("inert"),
        count("open")
    );
    // The list itself names the others: inert, without a correction that says why.
    by_effect.remove("inert");
    for (effect, names) in &by_effect {
        let _ = writeln!(text, "\n{effect}");
        for name in names {
            let _ = writeln!(text, "  {name}");
        }
    }
    let (folder, name) = taken.folder.split_once('/').unwrap_or((taken.folder, "options"));
    insta::with_settings!({ snapshot_path => folder, prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, text);
    });
}

#[test]
fn every_list_is_sorted_and_corrected_where_it_needs_it() {
    let mut needless = Vec::new();
    for taken in TAKEN {
        let names: Vec<_> = taken.list.all().map(|known| known.name).collect();
        assert!(names.is_sorted() && names.len() > 10, "{}", taken.list.title());
        for correction in taken.list.corrections {
            assert!(!correction.why.is_empty());
            for name in correction.names() {
                let start = name.strip_suffix('*');
                let is = |known: &&str| start.map_or(*known == name, |start| known.starts_with(start));
                assert!(names.iter().any(is), "{} has no {name}", taken.list.title());
                if start.is_none() && is_read(taken, name, true) {
                    needless.push(name);
                }
            }
        }
    }
    assert!(needless.is_empty(), "these are always read, so they need no correction: {needless:?}");
}

#[test]
fn every_list_of_a_reader_is_reviewed() {
    for list in READERS.iter().flat_map(|reader| reader.options) {
        assert!(TAKEN.iter().any(|taken| std::ptr::eq(taken.list, *list)), "{}", list.title());
    }
}
