//! What a pod's command runs: a training launcher, a benchmark, or anything else.
//!
//! Recognised by the first words of the command, or of any statement of a shell's script (`bash -c "pip install … &&
//! torchrun …"`). What only wraps another program (`nsys profile`, `numactl`, `mpirun`) is looked through: any later
//! word of that statement may be the program. Names are compared without their path.
//!
//! Scripts look at the hardware before they train (`nvidia-smi && python train.py`), and pods have containers that watch
//! it: beside a Python program, a benchmark is none.

use serde_json::Value;

use crate::workload::kinds::PodGroup;

/// What the pods run.
///
/// In the order in which several of them say what the whole is: the last one decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Program {
    /// Anything else.
    Other,
    /// A benchmark of the hardware: it trains nothing, whatever kind of object it comes in.
    Benchmark,
    /// A Python program: it may be anything.
    Python,
    /// A launcher that people start training with.
    Launcher,
}

/// The first words of training launchers.
const LAUNCHERS: &[&[&str]] = &[
    &["torchrun"],
    &["python", "-m", "torch.distributed.run"],
    &["python", "-m", "torch.distributed.launch"],
    &["accelerate", "launch"],
    &["python", "-m", "accelerate.commands.launch"],
    &["deepspeed"],
    &["python", "-m", "deepspeed.launcher.runner"],
    &["tune", "run"],
    &["axolotl", "train"],
    &["python", "-m", "axolotl.cli.train"],
    &["llamafactory-cli", "train"],
    &["swift", "sft"],
    &["swift", "pt"],
    &["xtuner", "train"],
    &["litgpt", "pretrain"],
    &["litgpt", "finetune"],
    &["litgpt", "finetune_lora"],
    &["litgpt", "finetune_full"],
    &["composer"],
    &["colossalai", "run"],
    &["gaudi_spawn.py"],
    &["python", "gaudi_spawn.py"],
    &["fairseq-train"],
    &["fairseq-hydra-train"],
    &["horovodrun"],
    &["trl", "sft"],
    &["trl", "dpo"],
];

/// Benchmarks of the hardware. Source: the programs that nccl-tests, rccl-tests, perftest, DCGM and the CUDA samples
/// install.
const BENCHMARKS: &[&str] = &[
    "all_reduce_perf",
    "all_gather_perf",
    "alltoall_perf",
    "alltoallv_perf",
    "broadcast_perf",
    "gather_perf",
    "hypercube_perf",
    "reduce_perf",
    "reduce_scatter_perf",
    "scatter_perf",
    "sendrecv_perf",
    "nccl-tests",
    "rccl-tests",
    "run_nccl_tests.sh",
    "hccl_test",
    "ib_read_bw",
    "ib_read_lat",
    "ib_send_bw",
    "ib_write_bw",
    "ib_write_lat",
    "nvbandwidth",
    "bandwidthTest",
    "deviceQuery",
    "vectorAdd",
    "p2pBandwidthLatencyTest",
    "gpu-burn",
    "gpu_burn",
    "dcgmi",
    "dcgmproftester",
    "dcgmproftester12",
    "nvidia-smi",
    "rocm-smi",
    "osu_allreduce",
];

/// Programs that run another one, which may stand anywhere behind them.
const WRAPPERS: &[&str] = &[
    "exec",
    "time",
    "nohup",
    "sudo",
    "env",
    "nice",
    "stdbuf",
    "timeout",
    "numactl",
    "taskset",
    "nsys",
    "ncu",
    "mpirun",
    "mpiexec",
    "srun",
    "uv",
    "poetry",
    "conda",
    "micromamba",
    "if",
    "then",
    "do",
    "else",
    "while",
    "until",
    "opentelemetry-instrument",
    "neuron_parallel_compile",
];

const SHELLS: &[&str] = &["sh", "bash", "ash", "dash", "zsh"];

/// Containers, statements of a script and words of a statement that are looked at, at most.
const MAX_CONTAINERS: usize = 512;
const MAX_STATEMENTS: usize = 1_000;
const MAX_WORDS: usize = 200;
/// Words behind a program's name that say which it is, with the options between them.
const MAX_OPTIONS: usize = 12;

/// What the pods of all groups run: the command need not be where the accelerators are.
pub(crate) fn program(groups: &[PodGroup<'_>]) -> Program {
    let containers = groups.iter().flat_map(|group| containers(group.template)).take(MAX_CONTAINERS);
    decisive(containers.map(of_container))
}

/// What the whole is, of which these are parts.
fn decisive(mut parts: impl Iterator<Item = Program>) -> Program {
    let most = parts.try_fold(Program::Other, |most, part| match part {
        Program::Launcher => Err(part),
        _ => Ok(most.max(part)),
    });
    most.unwrap_or_else(|launcher| launcher)
}

/// How many bytes commands and arguments take.
pub(crate) fn bytes(groups: &[PodGroup<'_>]) -> usize {
    let containers = groups.iter().flat_map(|group| containers(group.template));
    containers.flat_map(words).map(str::len).fold(0, usize::saturating_add)
}

fn containers(template: &Value) -> impl Iterator<Item = &Value> {
    template.pointer("/spec/containers").and_then(Value::as_array).into_iter().flatten()
}

/// Command and arguments of a container.
fn words(container: &Value) -> impl Iterator<Item = &str> {
    let list = |key| container.get(key).and_then(Value::as_array).into_iter().flatten();
    list("command").chain(list("args")).filter_map(Value::as_str)
}

fn of_container(container: &Value) -> Program {
    let words: Vec<&str> = words(container).take(MAX_WORDS).collect();
    match words.first() {
        Some(shell) if SHELLS.contains(&basename(shell)) => {
            let script = words
                .iter()
                .skip(1)
                .find(|word| !word.starts_with('-') || word.contains(char::is_whitespace));
            script.map_or(Program::Other, |script| of_script(script))
        }
        Some(_) => of_statement(&words),
        None => Program::Other,
    }
}

fn of_script(script: &str) -> Program {
    // A line that ends in a backslash goes on.
    let script = script.replace("\\\n", " ");
    let statements = script.split(['\n', ';', '|', '&', '(', ')']).take(MAX_STATEMENTS);
    decisive(statements.map(|statement| {
        let words: Vec<&str> = statement.split_whitespace().take(MAX_WORDS).collect();
        of_statement(&words)
    }))
}

fn of_statement(words: &[&str]) -> Program {
    let is_assignment = |word: &str| {
        word.split_once('=').is_some_and(|(name, _)| {
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        })
    };
    let begin = words.iter().position(|word| !is_assignment(word)).unwrap_or(words.len());
    let words = words.get(begin..).unwrap_or_default();
    let Some(first) = words.first() else { return Program::Other };
    let wrapped = WRAPPERS.contains(&basename(first));
    let starts = if wrapped { words.len() } else { 1 };
    decisive((0..starts).map(|start| of_command(words.get(start..).unwrap_or_default())))
}

fn of_command(words: &[&str]) -> Program {
    let Some(first) = words.first() else { return Program::Other };
    let name = basename(first);
    if BENCHMARKS.contains(&name) {
        return Program::Benchmark;
    }
    // `-u` and the like stand between python and what it runs.
    let is_option = |word: &&&str| word.starts_with('-') && **word != "-m";
    let behind = || words.iter().skip(1).take(MAX_OPTIONS).filter(|word| !is_option(word));
    let begins = |launcher: &&[&str]| {
        let Some((wanted, rest)) = launcher.split_first() else { return false };
        is_named(name, wanted)
            && behind().count() >= rest.len()
            && rest.iter().zip(behind()).all(|(wanted, word)| is_named(basename(word), wanted))
    };
    if LAUNCHERS.iter().any(begins) {
        Program::Launcher
    } else if is_named(name, "python") {
        Program::Python
    } else {
        Program::Other
    }
}

/// `python3`, `python3.11` and `/usr/bin/python` are all `python`.
fn is_named(name: &str, wanted: &str) -> bool {
    name == wanted
        || (wanted == "python"
            && name
                .strip_prefix("python")
                .is_some_and(|version| version.bytes().all(|b| b.is_ascii_digit() || b == b'.')))
}

/// A program's name without its path and quotes.
fn basename(word: &str) -> &str {
    let word = word.trim_matches(['"', '\'', '`', '{', '}', '!']);
    word.rsplit('/').next().unwrap_or(word)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(command: &Value) -> Program {
        of_container(&json!({ "command": command }))
    }

    #[test]
    fn launchers_are_recognised_by_their_first_words() {
        for command in [
            json!(["torchrun", "--nproc-per-node=8", "train.py"]),
            json!(["/usr/local/bin/torchrun", "train.py"]),
            json!(["python3", "-u", "-m", "torch.distributed.run", "train.py"]),
            json!(["python3.11", "-m", "torch.distributed.launch", "train.py"]),
            json!(["accelerate", "launch", "--use_fsdp", "train.py"]),
            json!(["deepspeed", "train.py"]),
            json!(["nsys", "profile", "-o", "x", "torchrun", "train.py"]),
            json!(["bash", "-c", "pip install x && torchrun train.py"]),
            json!(["/bin/bash", "-lc", "set -ex\nexport A=1\nNCCL_DEBUG=INFO \\\n  torchrun \\\n  train.py"]),
            json!(["mpirun", "-np", "8", "deepspeed", "train.py"]),
            json!(["axolotl", "train", "config.yaml"]),
        ] {
            assert_eq!(of(&command), Program::Launcher, "{command}");
        }
    }

    #[test]
    fn benchmarks_are_no_training_and_anything_else_is_neither() {
        for command in [
            json!(["/opt/nccl-tests/build/all_reduce_perf", "-b", "8"]),
            json!(["mpirun", "-np", "16", "-x", "PATH", "/opt/nccl-tests/build/all_reduce_perf"]),
            json!(["sh", "-c", "nvidia-smi; sleep 1"]),
        ] {
            assert_eq!(of(&command), Program::Benchmark, "{command}");
        }
        let vllm = json!(["python", "-m", "vllm.entrypoints.openai.api_server"]);
        assert_eq!(of(&vllm), Program::Python);
        for command in [
            json!(["jupyter", "lab"]),
            json!(["sleep", "inf"]),
            json!(["echo", "torchrun"]),
            json!(["accelerate", "config"]),
            json!([]),
            json!("torchrun"),
        ] {
            assert_eq!(of(&command), Program::Other, "{command}");
        }
    }

    #[test]
    fn a_look_at_the_hardware_before_a_program_makes_no_benchmark_of_it() {
        assert_eq!(of(&json!(["bash", "-c", "nvidia-smi && python train.py"])), Program::Python);
        assert_eq!(of(&json!(["bash", "-c", "nvidia-smi && torchrun train.py"])), Program::Launcher);
        let watched = json!({"spec": {"containers": [
            {"command": ["python", "train.py"]}, {"command": ["nvidia-smi", "-l", "60"]},
        ]}});
        let group = PodGroup { role: "", template: &watched, path: String::new(), replicas: Some(1) };
        assert_eq!(program(&[group]), Program::Python);
    }
}
