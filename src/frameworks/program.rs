//! Whether the pods run training, a benchmark, or another program, by the launches of their commands.
//!
//! Training is recognised by a launcher for training, by a program that only trains, and by a framework's reader. An
//! inference server does not train, even if such a launcher starts it. Nor does a program that evaluates, generates or
//! converts.
//!
//! Scripts look at the hardware before they train (`nvidia-smi && python train.py`), and pods have containers that watch
//! it. So a benchmark does not count beside a Python program.

use serde_json::Value;

use crate::command::{Launch, Target, basename, purpose};
use crate::frameworks::READERS;
use crate::kinds::{Entrypoint, PodGroup};

/// The program of the pods. Of several programs, the last in this order decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Program {
    /// Another program.
    Other,
    /// A benchmark of the hardware. It does not train, in an object of any kind.
    Benchmark,
    /// A Python program. It may train.
    Python,
    /// A launcher for training.
    Launcher,
}

/// Launchers for training. Those of MPI, Slurm and Ray start any program.
const LAUNCHERS: &[&str] = &[
    "torchrun",
    "accelerate launch",
    "deepspeed",
    "tune run",
    "composer",
    "colossalai run",
    "gaudi_spawn.py",
    "dlrover-run",
    "horovodrun",
];

/// Programs and modules that train.
const TRAINERS: &[&str] = &[
    "axolotl train",
    "axolotl.cli.train",
    "llamafactory-cli train",
    "lmf train",
    "swift sft",
    "swift pt",
    "swift rlhf",
    "megatron sft",
    "megatron pt",
    "megatron rlhf",
    "xtuner train",
    "litgpt pretrain",
    "litgpt finetune",
    "litgpt finetune_lora",
    "litgpt finetune_full",
    "litgpt finetune_adapter",
    "litgpt finetune_adapter_v2",
    "trl sft",
    "trl dpo",
    "trl grpo",
    "trl kto",
    "trl reward",
    "nemo llm pretrain",
    "nemo llm finetune",
    "fairseq-train",
    "fairseq-hydra-train",
];

/// Programs and packages that answer requests or measure a model, even if a launcher starts them.
const SERVERS: &[&str] = &[
    "vllm",
    "sglang",
    "lmdeploy",
    "text_generation_server",
    "text-generation-launcher",
    "text-embeddings-router",
    "tritonserver",
    "tensorrt_llm",
    "trtllm-serve",
    "fastchat",
    "lm_eval",
    "lighteval",
    "jupyter",
    "jupyter-lab",
    "jupyter-notebook",
    "notebook",
    "jupyterlab",
    "uvicorn",
    "gunicorn",
    "streamlit",
    "ollama",
    "ray start",
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

/// The most containers that are examined.
const MAX_CONTAINERS: usize = 512;

/// The program of several parts together.
pub(crate) fn program(launches: &[Launch]) -> Program {
    launches.iter().map(of).max().unwrap_or(Program::Other)
}

/// Whether a launch surely takes part in no training: it is a server or a benchmark.
pub(crate) fn serves(launch: &Launch) -> bool {
    let name = match &launch.target {
        Target::Program(name) | Target::Module(name) => name.as_str(),
        Target::Script(path) => basename(path),
        Target::Unknown => "",
    };
    let package = name.split(['.', ' ']).next().unwrap_or(name);
    [name, package].iter().any(|name| SERVERS.contains(name) || BENCHMARKS.contains(name))
}

fn of(launch: &Launch) -> Program {
    let (name, python) = match &launch.target {
        Target::Program(name) => (name.as_str(), name == "python"),
        Target::Module(name) => (name.as_str(), true),
        Target::Script(path) => (basename(path), true),
        Target::Unknown => ("", false),
    };
    let package = name.split(['.', ' ']).next().unwrap_or(name);
    let is_launched = launch.launchers.iter().any(|launcher| LAUNCHERS.contains(&launcher.name.as_str()));
    if SERVERS.contains(&name) || SERVERS.contains(&package) {
        Program::Other
    } else if BENCHMARKS.contains(&name) && !launch.init {
        Program::Benchmark
    } else if !purpose::surely_trains_nothing(launch)
        && (is_launched
            || TRAINERS.contains(&name)
            || (READERS.iter().any(|reader| (reader.recognises)(launch)) && !purpose::trains_nothing(launch)))
    {
        Program::Launcher
    } else if python {
        Program::Python
    } else {
        Program::Other
    }
}

/// The bytes of commands and arguments.
pub(crate) fn bytes(groups: &[PodGroup<'_>], entrypoint: Option<&Entrypoint<'_>>) -> usize {
    let containers = groups.iter().flat_map(|group| containers(group.template)).take(MAX_CONTAINERS);
    let words = containers.flat_map(words).map(str::len);
    let script = entrypoint.map_or(0, |entrypoint| entrypoint.script.len());
    words.fold(script, usize::saturating_add)
}

fn containers(template: &Value) -> impl Iterator<Item = &Value> {
    template.pointer("/spec/containers").and_then(Value::as_array).into_iter().flatten()
}

/// Command and arguments of a container.
fn words(container: &Value) -> impl Iterator<Item = &str> {
    let list = |key| container.get(key).and_then(Value::as_array).into_iter().flatten();
    list("command").chain(list("args")).filter_map(Value::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::command;
    use crate::surroundings::Surroundings;

    fn of_pods(template: &Value) -> Program {
        let groups = [PodGroup { role: "", template, path: String::new(), replicas: Some(1) }];
        program(&command::launches(&groups, None, &[], &Surroundings::default(), "").launches)
    }

    fn of(command: &Value) -> Program {
        of_pods(&json!({"spec": {"containers": [{ "command": command }]}}))
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
        assert_eq!(of(&json!(["python", "-m", "serve"])), Program::Python);
        for command in [
            json!(["jupyter", "lab"]),
            json!(["sleep", "inf"]),
            json!(["bash", "-c", "tail -f /dev/null"]),
            json!(["python", "-m", "vllm.entrypoints.openai.api_server"]),
            json!(["torchrun", "--nproc-per-node=8", "-m", "sglang.launch_server"]),
            json!(["vllm", "serve", "x"]),
            json!(["tritonserver", "--model-repository=/m"]),
            json!(["echo", "torchrun"]),
            json!(["accelerate", "config"]),
            json!(["torchrun", "--help"]),
            json!(["tune", "run", "eleuther_eval", "--config", "a"]),
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
        assert_eq!(of_pods(&watched), Program::Python);
    }
}
