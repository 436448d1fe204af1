//! Why the estimate does not cover a program, by its name or by flags that only such programs have: the [`Cause`].
//!
//! Some train several models at once (distillation, preference optimization, reinforcement learning), diffusion models,
//! classifiers, which have no logits of the vocabulary, or models of images and text. Others train nothing, though they
//! take a training program's options: evaluation, generation, conversion. Programs of a known name are in [`super::known`].
//!
//! **Recognised** by a whole word of the name (`train_dpo.py`, `main_ppo`, `trl grpo`), by one of the flags, or by the
//! task that a flag names (`--task_type SEQ_CLS`).
//! `--do_predict`, and `--do_eval` of Transformers' examples (`run_clm.py`), mean evaluation alone if `--do_train` is
//! absent or false.

use super::{Arguments, Launch, Target, basename};
use crate::job::{Cause, Follows};

/// Words of a program's name.
const WORDS: &[(&str, Cause)] = &[
    ("distil", Cause::Distillation),
    ("distill", Cause::Distillation),
    ("distillation", Cause::Distillation),
    ("gkd", Cause::Distillation),
    ("kd", Cause::Distillation),
    ("dpo", Cause::PreferenceOptimization),
    ("orpo", Cause::PreferenceOptimization),
    ("kto", Cause::PreferenceOptimization),
    ("cpo", Cause::PreferenceOptimization),
    ("simpo", Cause::PreferenceOptimization),
    ("rlhf", Cause::ReinforcementLearning),
    ("rlvr", Cause::ReinforcementLearning),
    ("ppo", Cause::ReinforcementLearning),
    ("grpo", Cause::ReinforcementLearning),
    ("rloo", Cause::ReinforcementLearning),
    ("gspo", Cause::ReinforcementLearning),
    ("reward", Cause::RewardModel),
    ("prm", Cause::RewardModel),
    ("classification", Cause::Classifier),
    ("classifier", Cause::Classifier),
    ("classify", Cause::Classifier),
    ("glue", Cause::Classifier),
    ("seqcls", Cause::Classifier),
    ("dreambooth", Cause::Diffusion),
    ("controlnet", Cause::Diffusion),
    ("diffusion", Cause::Diffusion),
    ("unconditional", Cause::Diffusion),
    ("sdxl", Cause::Diffusion),
    ("vlm", Cause::Images),
    ("llava", Cause::Images),
    ("resnet", Cause::Vision),
    ("resnet18", Cause::Vision),
    ("resnet50", Cause::Vision),
    ("resnet101", Cause::Vision),
    ("imagenet", Cause::Vision),
    ("mnist", Cause::Vision),
    ("cifar", Cause::Vision),
    ("cifar10", Cause::Vision),
    ("unet", Cause::Vision),
    ("yolo", Cause::Vision),
];

/// Names of programs that train nothing contain one of these words and no word of `TRAINS`.
const NOT_TRAINING: &[(Cause, &[&str])] = &[
    (Cause::Server, &["serve", "server", "serving"]),
    (Cause::Notebook, &["notebook", "jupyter"]),
    (
        Cause::Evaluation,
        &[
            "eval",
            "evaluate",
            "evaluation",
            "evals",
            "mmlu",
            "humaneval",
            "evalplus",
            "bigcodebench",
            "swebench",
            "pytest",
        ],
    ),
    (
        Cause::Inference,
        &[
            "completion",
            "generate",
            "generation",
            "infer",
            "inference",
            "inferencer",
            "predict",
            "prediction",
            "txt2img",
            "img2img",
            "transcribe",
        ],
    ),
    (
        Cause::Conversion,
        &[
            "convert",
            "converter",
            "conversion",
            "roundtrip",
            "export",
            "quantize",
            "quantization",
            "merge",
            "gguf",
            "serialize",
            "tensorize",
        ],
    ),
    (
        Cause::Preparation,
        &[
            "preprocess",
            "preprocessing",
            "preprocessor",
            "tokenize",
            "prepare",
            "preparation",
            "download",
            "downloader",
            "dedup",
            "etl",
            "analyze",
        ],
    ),
];
/// Verbs that begin the name of an evaluation. The method of the training may follow: `evaluate_grpo`.
const EVALUATES: &[&str] = &["eval", "evaluate"];
const TRAIN_VERBS: &[&str] =
    &["train", "training", "trainer", "pretrain", "pretraining", "finetune", "finetuning", "tune", "tuning"];
/// Names of benchmarks of the hardware contain a word of both lists.
const MEASURES: &[&str] = &["bench", "benchmark", "benchmarks", "perf", "bandwidth", "latency", "test"];
const HARDWARE: &[&str] = &[
    "all2all",
    "allgather",
    "allreduce",
    "alltoall",
    "bandwidth",
    "collective",
    "collectives",
    "comm",
    "comms",
    "gemm",
    "hccl",
    "internode",
    "intranode",
    "latency",
    "matmul",
    "nccl",
    "p2p",
    "rccl",
    "recv",
    "reduce",
];
/// Words of names that train, and `and`, which joins that to something else.
const TRAINS: &[&str] = &[
    "train",
    "trainer",
    "training",
    "pretrain",
    "pretraining",
    "finetune",
    "finetuning",
    "sft",
    "tune",
    "fit",
    "learn",
    "lora",
    "qlora",
    "dpo",
    "ppo",
    "grpo",
    "and",
];

/// Flags, and keys of configuration files.
const FLAGS: &[(&str, Cause)] = &[
    ("teacher_model", Cause::Distillation),
    ("teacher_model_name_or_path", Cause::Distillation),
    ("teacher_model_path", Cause::Distillation),
    ("student_model", Cause::Distillation),
    ("ref_model", Cause::PreferenceOptimization),
    ("ref_model_name_or_path", Cause::PreferenceOptimization),
    ("reward_model", Cause::ReinforcementLearning),
    ("reward_model_path", Cause::ReinforcementLearning),
    ("reward_funcs", Cause::ReinforcementLearning),
    ("num_generations", Cause::ReinforcementLearning),
    ("actor_model_name_or_path", Cause::ReinforcementLearning),
    ("critic_model_name_or_path", Cause::ReinforcementLearning),
    ("num_labels", Cause::Classifier),
    ("pretrained_vae_model_name_or_path", Cause::Diffusion),
    ("instance_prompt", Cause::Diffusion),
    ("vision_tower", Cause::Images),
    ("mm_projector_type", Cause::Images),
    ("image_folder", Cause::Images),
    ("help", Cause::Help),
    ("skip_train", Cause::NoTraining),
];

/// Flags that name the task, and the tasks of classifiers, as PEFT and ms-swift call them.
const TASK: &[&str] = &["task_type", "lora_task_type"];
const CLASSIFIES: &[&str] = &["seq_cls", "token_cls"];

/// Whether a cause is an objective, which a reader may know how to read.
pub(crate) fn is_an_objective(cause: Cause) -> bool {
    matches!(
        cause,
        Cause::Distillation
            | Cause::PreferenceOptimization
            | Cause::ReinforcementLearning
            | Cause::RewardModel
            | Cause::Classifier
    )
}

/// Whether it trains nothing, by its name and its flags.
pub(crate) fn trains_nothing(launch: &Launch) -> bool {
    why(launch).is_some_and(|cause| cause.follows() == Follows::TrainsNothing)
}

/// Why it certainly trains nothing: its name says so and it has no training option, or it only prints its help.
pub(crate) fn surely_trains_nothing(launch: &Launch) -> Option<Cause> {
    let cause = why(launch).filter(|cause| cause.follows() == Follows::TrainsNothing)?;
    let arguments = &launch.arguments;
    let name = name(launch);
    let is_on = |option: &str| arguments.has(option) && !is_off(arguments, option);
    let by_name =
        (not_training(recipe(launch)).is_some() && !has_training_option(launch)) || of_text(launch).is_some();
    let by_flag =
        is_on("skip_train") || (name.starts_with("run_") && (is_on("do_eval") || is_on("do_predict")));
    (only_prints_help(launch) || arguments.has("help") || by_name || by_flag).then_some(cause)
}

/// Whether an option has a value that turns it off.
fn is_off(arguments: &Arguments, option: &str) -> bool {
    matches!(arguments.value(option), Some("false" | "False" | "0" | "no"))
}

/// Whether the name of a Python program says that it trains: `train_model.py`, `sft.py`.
pub(crate) fn says_that_it_trains(launch: &Launch) -> bool {
    let is_python = matches!(launch.target, Target::Script(_) | Target::Module(_));
    is_python && !trains_nothing(launch) && names_training(launch)
}

/// Whether a word of the name means training.
fn names_training(launch: &Launch) -> bool {
    let trains = |word: &str| word != "and" && TRAINS.contains(&word);
    let name = name(launch).to_ascii_lowercase();
    name.split(|c: char| !c.is_ascii_alphanumeric()).any(trains)
}

/// Whether an option is one of a training: `--do_train`, `--train_batch_size`, `--lr`.
fn has_training_option(launch: &Launch) -> bool {
    let mut words = launch.arguments.words().iter().filter(|word| word.text.starts_with('-'));
    words.any(|word| {
        let option = word.text.trim_start_matches('-').split('=').next().unwrap_or_default();
        let option = option.replace('-', "_");
        matches!(option.as_str(), "lr" | "learning_rate" | "epochs" | "num_epochs")
            || option.split(['_', '.']).any(|part| part == "train")
    })
}

/// The name of the target.
fn name(launch: &Launch) -> &str {
    match &launch.target {
        Target::Script(path) => basename(path).trim_end_matches(".py"),
        Target::Module(module) => module.rsplit('.').next().unwrap_or_default(),
        Target::Program(program) => program,
        Target::Unknown => "",
    }
}

/// The word after a program's name.
fn subcommand(launch: &Launch) -> &str {
    match &launch.target {
        Target::Program(_) => launch.arguments.words().first().map_or("", |word| word.text.as_str()),
        _ => "",
    }
}

/// The name of the task. torchtune has it as a recipe, after the program's name.
fn recipe(launch: &Launch) -> &str {
    if name(launch) == "tune run" { subcommand(launch) } else { name(launch) }
}

/// The reason why the estimate does not cover it.
pub(crate) fn why(launch: &Launch) -> Option<Cause> {
    let name = name(launch);
    let by_name = [name, subcommand(launch)].into_iter().find_map(of_name);
    if only_prints_help(launch) {
        return Some(Cause::Help);
    }
    if let Some(cause) = not_training(recipe(launch)).or_else(|| of_text(launch)) {
        return Some(cause);
    }
    let is_off = |option: &str| is_off(&launch.arguments, option);
    let is_on = |option: &str| launch.arguments.has(option) && !is_off(option);
    let named = name.starts_with("run_") && !name.contains("sft");
    let evaluates = is_on("do_eval") && (named || is_off("do_train"));
    let predicts = is_on("do_predict");
    if (evaluates || predicts) && !is_on("do_train") {
        return Some(if predicts { Cause::Inference } else { Cause::Evaluation });
    }
    let task = |flag: &&str| launch.arguments.value(flag);
    let classifies = TASK
        .iter()
        .filter_map(task)
        .any(|task| CLASSIFIES.iter().any(|class| class.eq_ignore_ascii_case(task)));
    by_name
        .or_else(|| FLAGS.iter().find(|(flag, _)| launch.arguments.has(flag)).map(|(_, why)| *why))
        .or_else(|| classifies.then_some(Cause::Classifier))
}

/// Why a Python program whose text is known trains nothing: it generates with an engine or with a model, and has neither a
/// trainer nor a loop. A learner elsewhere may train what its actor generates, so a name or an option of training is stronger.
fn of_text(launch: &Launch) -> Option<Cause> {
    const ENGINES: &[&str] = &["vllm", "sglang", "lmdeploy", "tensorrt_llm"];
    if names_training(launch) || has_training_option(launch) {
        return None;
    }
    let program = launch.script.as_ref()?.program.as_ref()?;
    let calls = |test: fn(&str) -> bool| program.calls.iter().any(|call| test(call.name()));
    let trains = calls(|name| {
        matches!(name, "backward" | "train" | "fit" | "system" | "Popen") || name.ends_with("Trainer")
    });
    let generates = ENGINES.iter().any(|engine| program.packages.contains(*engine))
        || calls(|name| matches!(name, "generate" | "pipeline"));
    (generates && !trains).then_some(Cause::Inference)
}

/// The reason in a word of a name.
pub(crate) fn of_name(name: &str) -> Option<Cause> {
    let mut words = name.split(|c: char| !c.is_ascii_alphanumeric());
    words.find_map(|word| {
        WORDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(word)).map(|(_, why)| *why)
    })
}

/// Whether a launcher has no target and is asked for its help or its version.
fn only_prints_help(launch: &Launch) -> bool {
    let asks = |option: &str| launch.launchers.iter().any(|launcher| launcher.arguments.has(option));
    launch.target == Target::Unknown && ["help", "h", "version"].into_iter().any(asks)
}

/// Why a program of this name trains nothing, if it does not.
fn not_training(name: &str) -> Option<Cause> {
    let has = |known: &[&str]| {
        let mut words = name.split(|c: char| !c.is_ascii_alphanumeric());
        words.any(|word| known.iter().any(|known| known.eq_ignore_ascii_case(word)))
    };
    // `evaluate_grpo.py` evaluates what another program trained.
    let first = name.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
    if EVALUATES.iter().any(|verb| verb.eq_ignore_ascii_case(first)) && !has(TRAIN_VERBS) {
        return Some(Cause::Evaluation);
    }
    if has(TRAINS) {
        return None;
    }
    let measures = has(MEASURES) && has(HARDWARE);
    let of_word = || NOT_TRAINING.iter().find(|(_, words)| has(words)).map(|(cause, _)| *cause);
    measures.then_some(Cause::Benchmark).or_else(of_word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_flags_show_programs_that_are_not_covered() {
        for (command, expected) in [
            (
                "accelerate launch distil_logits_cli.py --teacher_model=a --student_model=b",
                Some(Cause::Distillation),
            ),
            ("torchrun train.py --teacher_model a", Some(Cause::Distillation)),
            ("trl dpo --model_name_or_path a", Some(Cause::PreferenceOptimization)),
            ("python -m verl.trainer.main_ppo x=1", Some(Cause::ReinforcementLearning)),
            ("accelerate launch train_text_to_image_lora_sdxl.py", Some(Cause::Diffusion)),
            ("torchrun llava/train/train_mem.py --vision_tower x", Some(Cause::Images)),
            ("accelerate launch train_classifier.py --model_name_or_path a", Some(Cause::Classifier)),
            ("torchrun run_glue.py --task_name mrpc", Some(Cause::Classifier)),
            ("swift sft --model a --num_labels 2", Some(Cause::Classifier)),
            ("torchrun train.py --task_type SEQ_CLS", Some(Cause::Classifier)),
            ("torchrun train.py --task_type CAUSAL_LM", None),
            ("torchrun support.py --images 3", None),
            ("torchrun tools/run_text_generation_server.py --num-layers 126", Some(Cause::Server)),
            ("torchrun pretrain_gpt.py --num-layers 126 --skip-train", Some(Cause::NoTraining)),
            ("torchrun run_clm.py --model_name_or_path a --do_eval", Some(Cause::Evaluation)),
            ("torchrun run_clm.py --model_name_or_path a --do_train --do_eval", None),
            ("llamafactory-cli train --stage sft --do_train false --do_eval true", Some(Cause::Evaluation)),
            ("llamafactory-cli train --stage sft --do_train true --do_eval true", None),
            ("torchrun run_sft.py --model_name_or_path a --do_eval", None),
            ("llamafactory-cli train --stage sft --do_predict", Some(Cause::Inference)),
            ("torchrun train.py --help", Some(Cause::Help)),
            ("torchrun train_and_eval.py --lr 1", None),
            ("torchrun --help", Some(Cause::Help)),
            ("accelerate launch -h", Some(Cause::Help)),
            ("torchrun --nproc_per_node 8", None),
            ("torchrun -m pytest tests", Some(Cause::Evaluation)),
            ("torchrun all_reduce_bench.py", Some(Cause::Benchmark)),
            ("torchrun benchmark.py", None),
            ("torchrun benchmark_all2all.py", Some(Cause::Benchmark)),
            ("torchrun tests/test_internode.py", Some(Cause::Benchmark)),
            ("torchrun hf_megatron_roundtrip_multi_gpu.py --hf-model-id a", Some(Cause::Conversion)),
            ("torchrun test_reduce_train.py", None),
            ("torchrun example_chat_completion.py --ckpt_dir a", Some(Cause::Inference)),
            ("tune run eleuther_eval --config a", Some(Cause::Evaluation)),
            ("tune run full_finetune_distributed --config eval", None),
            ("trl sft --model_name_or_path a", None),
        ] {
            let words: Vec<_> = command.split_whitespace().collect();
            assert_eq!(why(&Launch::of_words(&words)), expected, "{command}");
        }
    }
}
