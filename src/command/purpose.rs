//! Programs that the estimate does not cover, known by their names or by flags that only they have. They train
//! several models at once (distillation, preference optimization, reinforcement learning), diffusion models,
//! classifiers, which have no logits of the vocabulary, or models of images and text. Or they train nothing, though they take a training program's options: evaluation,
//! generation, conversion.
//!
//! **Recognised** by a whole word of the name (`train_dpo.py`, `main_ppo`, `trl grpo`), by one of the flags, or by the
//! task that a flag names (`--task_type SEQ_CLS`).
//! `--do_predict`, and `--do_eval` of Transformers' examples (`run_clm.py`), mean evaluation alone if `--do_train` is
//! absent.

use super::{Launch, Target, basename};

const DISTILLATION: &str = "distillation holds two models";
const PREFERENCE: &str = "preference optimization holds a reference model";
const REINFORCEMENT: &str = "reinforcement learning holds several models";
const REWARD: &str = "a reward model has another loss";
const CLASSES: &str = "a classifier has no logits of the vocabulary";
const DIFFUSION: &str = "diffusion models are not transformers of text";
const IMAGES: &str = "images are embedded beside the text";
const NOTHING: &str = "it trains nothing";

/// Words of a program's name.
const WORDS: &[(&str, &str)] = &[
    ("distil", DISTILLATION),
    ("distill", DISTILLATION),
    ("distillation", DISTILLATION),
    ("gkd", DISTILLATION),
    ("kd", DISTILLATION),
    ("dpo", PREFERENCE),
    ("orpo", PREFERENCE),
    ("kto", PREFERENCE),
    ("cpo", PREFERENCE),
    ("simpo", PREFERENCE),
    ("rlhf", REINFORCEMENT),
    ("rlvr", REINFORCEMENT),
    ("ppo", REINFORCEMENT),
    ("grpo", REINFORCEMENT),
    ("rloo", REINFORCEMENT),
    ("gspo", REINFORCEMENT),
    ("reward", REWARD),
    ("prm", REWARD),
    ("classification", CLASSES),
    ("classifier", CLASSES),
    ("classify", CLASSES),
    ("glue", CLASSES),
    ("seqcls", CLASSES),
    ("dreambooth", DIFFUSION),
    ("controlnet", DIFFUSION),
    ("diffusion", DIFFUSION),
    ("unconditional", DIFFUSION),
    ("sdxl", DIFFUSION),
    ("vlm", IMAGES),
    ("llava", IMAGES),
];

/// Names of programs that train nothing contain one of these words and no word of `TRAINS`.
const NOT_TRAINING: &[&str] = &[
    "completion",
    "convert",
    "eval",
    "evaluate",
    "evaluation",
    "export",
    "generate",
    "generation",
    "inference",
    "predict",
    "preprocess",
    "pytest",
    "serve",
    "server",
];
/// Names of benchmarks of the hardware contain a word of both lists.
const MEASURES: &[&str] = &["bench", "benchmark", "benchmarks", "perf", "bandwidth", "latency", "test"];
const HARDWARE: &[&str] = &[
    "allgather",
    "allreduce",
    "bandwidth",
    "collective",
    "collectives",
    "comm",
    "comms",
    "gemm",
    "hccl",
    "latency",
    "matmul",
    "nccl",
    "p2p",
    "rccl",
    "reduce",
];
const TRAINS: &[&str] =
    &["train", "trainer", "training", "pretrain", "finetune", "finetuning", "sft", "tune"];

/// Flags, and keys of configuration files.
const FLAGS: &[(&str, &str)] = &[
    ("teacher_model", DISTILLATION),
    ("teacher_model_name_or_path", DISTILLATION),
    ("teacher_model_path", DISTILLATION),
    ("student_model", DISTILLATION),
    ("ref_model", PREFERENCE),
    ("ref_model_name_or_path", PREFERENCE),
    ("reward_model", REINFORCEMENT),
    ("reward_model_path", REINFORCEMENT),
    ("reward_funcs", REINFORCEMENT),
    ("num_generations", REINFORCEMENT),
    ("actor_model_name_or_path", REINFORCEMENT),
    ("critic_model_name_or_path", REINFORCEMENT),
    ("num_labels", CLASSES),
    ("pretrained_vae_model_name_or_path", DIFFUSION),
    ("instance_prompt", DIFFUSION),
    ("vision_tower", IMAGES),
    ("mm_projector_type", IMAGES),
    ("image_folder", IMAGES),
    ("help", NOTHING),
    ("skip_train", NOTHING),
];

/// Flags that name the task, and the tasks of classifiers, as PEFT and ms-swift call them.
const TASK: &[&str] = &["task_type", "lora_task_type"];
const CLASSIFIES: &[&str] = &["seq_cls", "token_cls"];

/// Whether it trains nothing, by its name and its flags.
pub(crate) fn trains_nothing(launch: &Launch) -> bool {
    why(launch) == Some(NOTHING)
}

/// Whether it certainly trains nothing: its name says so and it has no training option, or it only prints its help.
pub(crate) fn surely_trains_nothing(launch: &Launch) -> bool {
    if !trains_nothing(launch) {
        return false;
    }
    let arguments = &launch.arguments;
    let name = name(launch);
    let is_off = |option: &str| matches!(arguments.value(option), Some("false" | "False" | "0" | "no"));
    let is_on = |option: &str| arguments.has(option) && !is_off(option);
    let by_name = is_not_training(recipe(launch)) && !has_training_option(launch);
    let by_flag =
        is_on("skip_train") || (name.starts_with("run_") && (is_on("do_eval") || is_on("do_predict")));
    only_prints_help(launch) || arguments.has("help") || by_name || by_flag
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
pub(crate) fn why(launch: &Launch) -> Option<&'static str> {
    let name = name(launch);
    let by_name = [name, subcommand(launch)].into_iter().find_map(of_name);
    let evaluates = launch.arguments.has("do_predict")
        || (launch.arguments.has("do_eval") && name.starts_with("run_") && !name.contains("sft"));
    if only_prints_help(launch)
        || is_not_training(recipe(launch))
        || (evaluates && !launch.arguments.has("do_train"))
    {
        return Some(NOTHING);
    }
    let task = |flag: &&str| launch.arguments.value(flag);
    let classifies = TASK
        .iter()
        .filter_map(task)
        .any(|task| CLASSIFIES.iter().any(|class| class.eq_ignore_ascii_case(task)));
    by_name
        .or_else(|| FLAGS.iter().find(|(flag, _)| launch.arguments.has(flag)).map(|(_, why)| *why))
        .or_else(|| classifies.then_some(CLASSES))
}

/// The reason in a word of a name.
pub(crate) fn of_name(name: &str) -> Option<&'static str> {
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

/// Whether this is the name of a program that trains nothing.
fn is_not_training(name: &str) -> bool {
    let has = |known: &[&str]| {
        let mut words = name.split(|c: char| !c.is_ascii_alphanumeric());
        words.any(|word| known.iter().any(|known| known.eq_ignore_ascii_case(word)))
    };
    (has(NOT_TRAINING) || (has(MEASURES) && has(HARDWARE))) && !has(TRAINS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_flags_show_programs_that_are_not_covered() {
        for (command, expected) in [
            (
                "accelerate launch distil_logits_cli.py --teacher_model=a --student_model=b",
                Some(DISTILLATION),
            ),
            ("torchrun train.py --teacher_model a", Some(DISTILLATION)),
            ("trl dpo --model_name_or_path a", Some(PREFERENCE)),
            ("python -m verl.trainer.main_ppo x=1", Some(REINFORCEMENT)),
            ("accelerate launch train_text_to_image_lora_sdxl.py", Some(DIFFUSION)),
            ("torchrun llava/train/train_mem.py --vision_tower x", Some(IMAGES)),
            ("accelerate launch train_classifier.py --model_name_or_path a", Some(CLASSES)),
            ("torchrun run_glue.py --task_name mrpc", Some(CLASSES)),
            ("swift sft --model a --num_labels 2", Some(CLASSES)),
            ("torchrun train.py --task_type SEQ_CLS", Some(CLASSES)),
            ("torchrun train.py --task_type CAUSAL_LM", None),
            ("torchrun support.py --images 3", None),
            ("torchrun tools/run_text_generation_server.py --num-layers 126", Some(NOTHING)),
            ("torchrun pretrain_gpt.py --num-layers 126 --skip-train", Some(NOTHING)),
            ("torchrun run_clm.py --model_name_or_path a --do_eval", Some(NOTHING)),
            ("torchrun run_clm.py --model_name_or_path a --do_train --do_eval", None),
            ("torchrun run_sft.py --model_name_or_path a --do_eval", None),
            ("llamafactory-cli train --stage sft --do_predict", Some(NOTHING)),
            ("torchrun train.py --help", Some(NOTHING)),
            ("torchrun train_and_eval.py --lr 1", None),
            ("torchrun --help", Some(NOTHING)),
            ("accelerate launch -h", Some(NOTHING)),
            ("torchrun --nproc_per_node 8", None),
            ("torchrun -m pytest tests", Some(NOTHING)),
            ("torchrun all_reduce_bench.py", Some(NOTHING)),
            ("torchrun benchmark.py", None),
            ("torchrun test_reduce_train.py", None),
            ("torchrun example_chat_completion.py --ckpt_dir a", Some(NOTHING)),
            ("tune run eleuther_eval --config a", Some(NOTHING)),
            ("tune run full_finetune_distributed --config eval", None),
            ("trl sft --model_name_or_path a", None),
        ] {
            let words: Vec<_> = command.split_whitespace().collect();
            assert_eq!(why(&Launch::of_words(&words)), expected, "{command}");
        }
    }
}
