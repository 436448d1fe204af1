//! Training that the estimate does not cover, told by a program's name or by flags that only it has: several models at
//! once (distillation, preference optimization, reinforcement learning), diffusion, images beside text; and what trains
//! nothing, though it takes a training program's options: evaluation, generation, conversion.
//!
//! **Recognised** by a whole word of the name (`train_dpo.py`, `main_ppo`, `trl grpo`), or by one of the flags.
//! `--do_predict`, and `--do_eval` of Transformers' examples (`run_clm.py`), evaluate alone where `--do_train` is not
//! there. Whatever else is read of such a job is shown; it is admitted.

use super::said::Said;
use crate::workload::command::{Launch, Target, basename};

const DISTILLATION: &str = "distillation holds two models";
const PREFERENCE: &str = "preference optimization holds a reference model";
const REINFORCEMENT: &str = "reinforcement learning holds several models";
const REWARD: &str = "a reward model has another loss";
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
    ("dreambooth", DIFFUSION),
    ("controlnet", DIFFUSION),
    ("diffusion", DIFFUSION),
    ("unconditional", DIFFUSION),
    ("sdxl", DIFFUSION),
    ("vlm", IMAGES),
    ("llava", IMAGES),
];

/// Words of the names of programs that train nothing, unless another word says that they do.
const ASIDE: &[&str] = &[
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
    "serve",
    "server",
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
    ("pretrained_vae_model_name_or_path", DIFFUSION),
    ("instance_prompt", DIFFUSION),
    ("vision_tower", IMAGES),
    ("mm_projector_type", IMAGES),
    ("image_folder", IMAGES),
    ("help", NOTHING),
    ("skip_train", NOTHING),
];

/// Whether it is such training.
pub(super) fn recognises(launch: &Launch) -> bool {
    why(launch).is_some()
}

/// What it says: why it is not covered.
pub(super) fn read(launch: &Launch, said: &mut Said) {
    said.beyond = said.beyond.or_else(|| why(launch));
}

/// Whether it surely trains nothing.
pub(super) fn trains_nothing(launch: &Launch) -> bool {
    why(launch) == Some(NOTHING)
}

fn why(launch: &Launch) -> Option<&'static str> {
    let name = match &launch.target {
        Target::Script(path) => basename(path).trim_end_matches(".py"),
        Target::Module(module) => module.rsplit('.').next().unwrap_or_default(),
        Target::Program(program) => program,
        Target::Unknown => "",
    };
    let subcommand = match &launch.target {
        Target::Program(_) => launch.arguments.words().first().map_or("", |word| word.text.as_str()),
        _ => "",
    };
    let by_name = [name, subcommand].into_iter().find_map(of_name);
    let evaluates = launch.arguments.has("do_predict")
        || (launch.arguments.has("do_eval") && name.starts_with("run_") && !name.contains("sft"));
    if is_aside(name) || (evaluates && !launch.arguments.has("do_train")) {
        return Some(NOTHING);
    }
    by_name.or_else(|| FLAGS.iter().find(|(flag, _)| launch.arguments.has(flag)).map(|(_, why)| *why))
}

/// What a word of a name tells.
pub(super) fn of_name(name: &str) -> Option<&'static str> {
    let mut words = name.split(|c: char| !c.is_ascii_alphanumeric());
    words.find_map(|word| WORDS.iter().find(|(told, _)| told.eq_ignore_ascii_case(word)).map(|(_, why)| *why))
}

/// Whether a name is that of a program that trains nothing.
fn is_aside(name: &str) -> bool {
    let has = |told: &[&str]| {
        let mut words = name.split(|c: char| !c.is_ascii_alphanumeric());
        words.any(|word| told.iter().any(|told| told.eq_ignore_ascii_case(word)))
    };
    has(ASIDE) && !has(TRAINS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_flags_tell_what_is_not_covered() {
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
            ("torchrun support.py --images 3", None),
            ("torchrun tools/run_text_generation_server.py --num-layers 126", Some(NOTHING)),
            ("torchrun pretrain_gpt.py --num-layers 126 --skip-train", Some(NOTHING)),
            ("torchrun run_clm.py --model_name_or_path a --do_eval", Some(NOTHING)),
            ("torchrun run_clm.py --model_name_or_path a --do_train --do_eval", None),
            ("torchrun run_sft.py --model_name_or_path a --do_eval", None),
            ("llamafactory-cli train --stage sft --do_predict", Some(NOTHING)),
            ("torchrun train.py --help", Some(NOTHING)),
            ("torchrun train_and_eval.py --lr 1", None),
            ("trl sft --model_name_or_path a", None),
        ] {
            let words: Vec<_> = command.split_whitespace().collect();
            assert_eq!(why(&Launch::of_words(&words)), expected, "{command}");
        }
    }
}
