//! The words of a command, and the variables, that decide a job's memory.
//!
//! In doubt a word counts: a job that is not known again is only judged by its estimate, but a job that is taken for another
//! one is judged wrongly. So a name is inert only if every part of it is known. Names are cut at everything that is no letter
//! or digit: `--optim.max-lr` has the parts optim, max and lr.
//!
//! ```text
//! inert name   every part is in a list below, and one of them is a MEASURE, an OUTPUT or an ADDRESS,
//!              or the last two are a PAIR
//! its value    behind `=`, and of a variable: inert
//!              the next word: inert if it can only be the value
//!                a number                   of a name with a MEASURE or an ADDRESS, or of several parts
//!                a place (`/a`, `s3://a`)   of the names of OUTPUT_OPTIONS
//!                any word                   of a name that ends in a LABEL, an ADDRESS or a PAIR
//!              a file of settings or a program (`7b.yaml`, `train.py`) always counts
//! ```

use std::collections::BTreeSet;

/// Numbers that change no memory.
const MEASURES: &[&str] = &[
    "seed",
    "lr",
    "learning",
    "decay",
    "warmup",
    "eps",
    "epsilon",
    "temperature",
    "steps",
    "iters",
    "epochs",
    "epoch",
    "timeout",
    "retries",
    "restarts",
];
/// What a run writes, and what follows it.
const OUTPUTS: &[&str] = &[
    "output",
    "out",
    "save",
    "saving",
    "dump",
    "log",
    "logs",
    "logging",
    "wandb",
    "mlflow",
    "tensorboard",
    "tb",
    "comet",
    "rdzv",
];
/// Addresses of a run.
const ADDRESSES: &[&str] = &["port", "ip", "addr", "address", "endpoint", "hostname"];
/// Words after which a value stands.
const LABELS: &[&str] = &[
    "name",
    "id",
    "dir",
    "directory",
    "folder",
    "path",
    "file",
    "prefix",
    "project",
    "entity",
    "group",
    "tag",
    "tags",
    "notes",
    "comment",
    "level",
    "strategy",
    "type",
    "style",
    "backend",
    "url",
    "uri",
    "key",
];
/// Names of a run.
const PAIRS: &[[&str; 2]] = &[
    ["run", "name"],
    ["run", "id"],
    ["run", "dir"],
    ["job", "name"],
    ["job", "id"],
    ["experiment", "name"],
    ["experiment", "id"],
    ["exp", "name"],
    ["exp", "id"],
    ["project", "name"],
    ["project", "dir"],
    ["cache", "dir"],
    ["node", "rank"],
    ["machine", "rank"],
    ["local", "rank"],
];
/// Words that say nothing by themselves.
const COMPANIONS: &[&str] = &[
    "max",
    "min",
    "num",
    "number",
    "total",
    "train",
    "training",
    "trainer",
    "eval",
    "rate",
    "ratio",
    "weight",
    "optim",
    "optimizer",
    "scheduler",
    "main",
    "master",
    "process",
    "every",
    "freq",
    "frequency",
    "interval",
    "api",
    "hydra",
];
/// Options that name a place, without a part that says so.
const OUTPUT_OPTIONS: &[&str] = &["save", "output", "out"];
/// The endings of files that decide what is trained.
const DECIDING_FILES: &[&str] = &[".yaml", ".yml", ".json", ".toml", ".py", ".sh", ".ini", ".cfg", ".conf"];

/// The words of a command that count, in its order.
pub(super) fn of_command<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let separators = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '\\' | ';' | '(' | ')');
    let words = arguments.into_iter().flat_map(|text| text.split(separators)).filter(|word| !word.is_empty());
    let (mut counted, mut before) = (Vec::new(), None);
    for word in words {
        let option: Option<Name> = before.take();
        match word.split_once('=') {
            // An option, a variable of the shell, or a key of a configuration, with its value.
            Some((name, _)) if Name::of(name).is_some() => {}
            None if word.starts_with('-')
                && let Some(name) = Name::of(word) =>
            {
                before = Some(name);
            }
            None if option.is_some_and(|option| option.takes(word)) => {}
            _ => counted.push(word.to_owned()),
        }
    }
    counted
}

/// The variables that count, in the order of their names.
pub(super) fn of_variables<'a>(variables: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<String> {
    let counted: BTreeSet<_> = variables.filter(|(name, _)| Name::of(name).is_none()).collect();
    counted.into_iter().map(|(name, value)| format!("{name}={value}")).collect()
}

/// The name of an option or of a variable whose value decides no memory.
struct Name {
    parts: Vec<String>,
}

impl Name {
    /// None if the value of this name may decide memory.
    fn of(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let parts = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty());
        let name = Self { parts: parts.map(str::to_owned).collect() };
        let lists = [MEASURES, OUTPUTS, ADDRESSES, LABELS, COMPANIONS, PAIRS.as_flattened()];
        let is_known = name.parts.iter().all(|part| lists.iter().any(|list| list.contains(&part.as_str())));
        let decides_nothing = [MEASURES, OUTPUTS, ADDRESSES].iter().any(|list| name.has(list));
        (is_known && (decides_nothing || name.ends_in_a_pair())).then_some(name)
    }

    fn has(&self, list: &[&str]) -> bool {
        self.parts.iter().any(|part| list.contains(&part.as_str()))
    }

    fn ends_in_a_pair(&self) -> bool {
        matches!(self.parts.as_slice(), [.., first, last] if PAIRS.contains(&[first.as_str(), last.as_str()]))
    }

    /// Whether the word behind the option can only be its value.
    fn takes(&self, word: &str) -> bool {
        let lower = word.to_ascii_lowercase();
        if DECIDING_FILES.iter().any(|ending| lower.ends_with(ending)) {
            return false;
        }
        let is_number = word.parse::<f64>().is_ok() || word.starts_with('$');
        let is_place = word.starts_with(['/', '$']) || word.contains("://");
        let last = self.parts.last().map_or("", String::as_str);
        let has_value = LABELS.contains(&last) || ADDRESSES.contains(&last) || self.ends_in_a_pair();
        let is_counted = self.has(MEASURES) || self.has(ADDRESSES) || self.parts.len() > 1;
        let is_output = matches!(self.parts.as_slice(), [name] if OUTPUT_OPTIONS.contains(&name.as_str()));
        has_value || (is_number && is_counted) || (is_place && is_output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(command: &str) -> Vec<String> {
        of_command([command])
    }

    #[test]
    fn commands_of_different_jobs_differ() {
        for (one, from, to) in [
            ("torchrun --nproc-per-node=8 --master-port 29500 train.py configs/7b.yaml", "7b", "70b"),
            (
                "torchrun --nproc-per-node=8 --master-port 29500 train.py configs/7b.yaml",
                "train.py",
                "pretrain.py",
            ),
            ("accelerate launch --main_process_port 29501 train.py cfg8b.yaml", "8b", "70b"),
            ("python train.py --verbose lora", "lora", "full-finetune"),
            ("python train.py --wandb lora", "lora", "full-finetune"),
            ("python train.py --wandb 7b.yaml", "7b", "70b"),
            ("python train.py --save 7b.yaml", "7b", "70b"),
            ("python train.py --log-dir 7b.yaml", "7b", "70b"),
            ("python train.py --seed 7b", "7b", "70b"),
            ("litgpt finetune_lora --checkpoint_dir checkpoints/meta-llama/Llama-2-7b-hf", "7b", "70b"),
            ("torchrun example.py --ckpt_dir /models/llama-2-7b/", "7b", "70b"),
            ("torchrun example.py --model /models/7b/hf --config /work/a.yaml", "7b", "70b"),
            ("python train.py experiment=llama3_8b", "8b", "70b"),
            ("python train.py --experiment llama3_8b", "8b", "70b"),
            ("python train.py --name llama3_8b", "8b", "70b"),
            ("python train.py --path llama3_8b", "8b", "70b"),
            ("python train.py --dataset_name alpaca", "alpaca", "longform-128k"),
            ("python train.py --data-dir alpaca", "alpaca", "longform-128k"),
            ("python train.py --tokens-per-step 524288", "524288", "4194304"),
            ("python train.py --steps_per_generation 1", "1", "8"),
            ("python train.py --gradient_accumulation_steps 4", "4", "8"),
            ("python train.py --fp16_master_weights_and_gradients true", "true", "false"),
            ("python train.py --output_router_logits true", "true", "false"),
            ("python train.py --load-in-4bit", "4bit", "8bit"),
            ("python train.py --step 1", "1", "2"),
            ("cd /work/7b && bash run.sh", "7b", "70b"),
        ] {
            let other = one.replace(from, to);
            assert_ne!(words(one), words(&other), "{other}");
        }
    }

    #[test]
    fn runs_of_one_job_have_the_same_words() {
        for (one, from, to) in [
            ("python train.py --seed 1", "1", "2"),
            ("python train.py --seed=1", "1", "2"),
            ("python train.py --lr 1e-4 --optim.lr=1e-4 --learning_rate 1e-4", "1e-4", "3e-5"),
            ("python train.py --lr_scheduler_type cosine", "cosine", "linear"),
            ("python train.py --output_dir /out/run-1", "run-1", "run-2"),
            ("python train.py --save /out/run-1 --tensorboard-dir logs/run-1", "run-1", "run-2"),
            ("python train.py --run-name first --wandb_project=first --wandb-id first", "first", "second"),
            ("python train.py --exp_name first", "first", "second"),
            ("python train.py trainer.experiment_name=first", "first", "second"),
            ("python train.py --max_steps 100 --train-iters 100 --save_interval 100", "100", "900"),
            ("torchrun --node-rank $RANK --master_addr a --master_port 29500 train.py", "29500", "29501"),
            ("torchrun --rdzv-endpoint=host-1:29500 --rdzv_id host-1 train.py", "host-1", "host-2"),
        ] {
            let other = one.replace(from, to);
            assert_eq!(words(one), words(&other), "{other}");
            assert!(words(one).iter().any(|word| word == "train.py"), "{one}");
        }
    }

    #[test]
    fn variables_count_by_the_same_rule() {
        let of = |name, value| of_variables([(name, value)].into_iter());
        for name in ["SEED", "MASTER_ADDR", "WANDB_API_KEY", "RUN_NAME", "OUTPUT_DIR", "NODE_RANK"] {
            assert_eq!(of(name, "1"), of(name, "2"), "{name}");
        }
        for name in
            ["MODEL", "PYTORCH_CUDA_ALLOC_CONF", "NAME", "EXPERIMENT", "CHECKPOINT_DIR", "DATASET_NAME"]
        {
            assert_ne!(of(name, "1"), of(name, "2"), "{name}");
        }
    }
}
