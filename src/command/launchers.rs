//! Programs that start a target once for each accelerator: the words that start each, its options, and its target.
//!
//! Names of options are those of each program's documentation: torchrun of PyTorch 2.9, accelerate 1.10, DeepSpeed
//! 0.17, Open MPI 5, MPICH 4, Horovod 0.28, Slurm 24, Composer 0.31, ColossalAI 0.5, Optimum Habana 1.18, DLRover
//! 0.5, Ray 2.49, torchtune 0.6.

use crate::command::options::{Options, Takes};

/// A program that starts a target once for each accelerator.
#[derive(Debug)]
pub(crate) struct Grammar {
    /// Its name, the same as in a [`Launcher`](crate::command::Launcher).
    pub(crate) name: &'static str,
    /// The words that start it.
    pub(crate) heads: &'static [&'static [&'static str]],
    /// Its Python modules.
    pub(crate) modules: &'static [&'static str],
    /// Its options.
    pub(crate) options: Options,
    /// Its target.
    pub(crate) starts: Starts,
}

/// The target of a launcher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Starts {
    /// A Python file; a module after a switch of `module`; a program after a switch of `program`.
    Python { module: &'static [&'static str], program: &'static [&'static str] },
    /// Any command.
    Command,
    /// The launcher itself is the target.
    Itself,
}

const TORCHRUN: &str = "nnodes nproc-per-node node-rank rdzv-backend rdzv-endpoint rdzv-id rdzv-conf max-restarts \
    monitor-interval start-method role log-dir r redirects t tee local-ranks-filter master-addr \
    master-port local-addr event-log-handler logs-specs numa-binding signals-to-handle \
    duplicate-stdout-filters duplicate-stderr-filters";
const DLROVER: &str = "nnodes nproc-per-node node-rank rdzv-backend rdzv-endpoint rdzv-id rdzv-conf max-restarts \
    monitor-interval start-method role log-dir r redirects t tee local-ranks-filter master-addr \
    master-port local-addr node-unit training-port precheck accelerator training-log-file \
    failure-node-errors numa-affinity";
const ACCELERATE_SWITCHES: &str = "h help q quiet cpu multi-gpu tpu ipex use-xpu same-network m module no-python use-deepspeed \
    use-fsdp use-megatron-lm use-parallelism-config tpu-use-cluster no-tpu-use-cluster \
    tpu-use-sudo enable-cpu-affinity dynamo-use-fullgraph dynamo-use-dynamic \
    dynamo-use-regional-compilation debug";
const MPIRUN: &str = "n np c N npernode perhost ppn H host hosts hostfile machinefile f x am wd wdir path prefix \
    bind-to map-by rank-by rankfile rf output-filename timeout tune personality launch-agent \
    mca-base-param-file-prefix stdin output runtime-options prtemca launcher launcher-exec iface \
    bootstrap rmk genvlist envlist genvexclude npersocket cpu-set cpus-per-proc cpus-per-rank \
    max-restarts report-uri ompi-server usize envall";
const HOROVODRUN: &str = "np num-proc p ssh-port i ssh-identity-file network-interfaces network-interface nics \
    output-filename config-file H hosts hostfile start-timeout min-np max-np slots-per-host \
    host-discovery-script reset-limit elastic-timeout fusion-threshold-mb cycle-time-ms \
    cache-capacity mpi-args log-level timeline-filename thread-affinity tcp gloo-timeout-seconds \
    num-nccl-streams blacklist-cooldown-range";
const SRUN: &str = "N n nodes ntasks ntasks-per-node gpus gpus-per-node gpus-per-task gres c cpus-per-task p \
    partition t time J job-name A account q qos w nodelist x exclude o output e error i input D \
    chdir cpu-bind mem mem-bind mpi container-image container-mounts container-workdir \
    container-name container-env jobid reservation export distribution m gpu-bind network signal \
    wait hint C constraint mem-per-gpu cpus-per-gpu het-group";
const RAY: &str = "address submission-id runtime-env runtime-env-json working-dir entrypoint-num-cpus \
    entrypoint-num-gpus entrypoint-memory entrypoint-resources entrypoint-label-selector \
    metadata-json job-id headers log-style log-color verify";

/// Every launcher.
pub(crate) static LAUNCHERS: &[Grammar] = &[
    Grammar {
        name: "torchrun",
        heads: &[&["torchrun"]],
        modules: &["torch.distributed.run", "torch.distributed.launch"],
        options: Options::these(TORCHRUN),
        starts: Starts::Python { module: &["m", "module"], program: &["no-python"] },
    },
    Grammar {
        name: "accelerate launch",
        heads: &[&["accelerate", "launch"], &["accelerate-launch"]],
        modules: &["accelerate.commands.launch"],
        options: Options::all_but(ACCELERATE_SWITCHES),
        starts: Starts::Python { module: &["m", "module"], program: &["no-python"] },
    },
    Grammar {
        name: "deepspeed",
        heads: &[&["deepspeed"], &["ds"]],
        modules: &["deepspeed.launcher.runner", "deepspeed.launcher.launch"],
        options: Options::these(
            "H hostfile i include e exclude num-nodes min-elastic-nodes max-elastic-nodes num-gpus \
    num-accelerators master-port master-addr node-rank launcher launcher-args venv-script \
    autotuning bind-core-list ssh-port world-info enable-each-rank-log",
        ),
        starts: Starts::Python { module: &["module"], program: &["no-python"] },
    },
    Grammar {
        name: "mpirun",
        heads: &[&["mpirun"], &["mpiexec"], &["mpiexec.hydra"], &["mpirun.real"], &["prterun"], &["orterun"]],
        modules: &[],
        options: Options { takes: Takes::These(MPIRUN), pairs: "mca gmca omca pmca pmixmca genv env" },
        starts: Starts::Command,
    },
    Grammar {
        name: "horovodrun",
        heads: &[&["horovodrun"]],
        modules: &["horovod.runner.launch"],
        options: Options::these(HOROVODRUN),
        starts: Starts::Command,
    },
    Grammar {
        name: "srun",
        heads: &[&["srun"]],
        modules: &[],
        options: Options::these(SRUN),
        starts: Starts::Command,
    },
    Grammar {
        name: "composer",
        heads: &[&["composer"]],
        modules: &["composer.cli"],
        options: Options::these(
            "n nproc world-size base-rank node-rank master-addr master-port stdout stderr",
        ),
        starts: Starts::Python { module: &["m", "module-mode"], program: &["c", "command-mode"] },
    },
    Grammar {
        name: "colossalai run",
        heads: &[&["colossalai", "run"]],
        modules: &[],
        options: Options::these(
            "H host hostfile include exclude num-nodes nproc-per-node master-port master-addr \
    extra-launch-args ssh-port",
        ),
        starts: Starts::Python { module: &["m"], program: &[] },
    },
    Grammar {
        name: "gaudi_spawn.py",
        heads: &[&["gaudi_spawn.py"]],
        modules: &[],
        options: Options::these("world-size hostfile master-port"),
        starts: Starts::Python { module: &[], program: &[] },
    },
    Grammar {
        name: "dlrover-run",
        heads: &[&["dlrover-run"]],
        modules: &["dlrover.trainer.torch.elastic_run", "dlrover.trainer.torch.main"],
        options: Options::these(DLROVER),
        starts: Starts::Python { module: &["m", "module"], program: &["no-python"] },
    },
    Grammar {
        name: "ray job submit",
        heads: &[&["ray", "job", "submit"]],
        modules: &[],
        options: Options::these(RAY),
        starts: Starts::Command,
    },
    Grammar {
        name: "tune run",
        heads: &[&["tune", "run"]],
        modules: &[],
        options: Options::these(TORCHRUN),
        starts: Starts::Itself,
    },
];

/// Programs that are named by several words, beside the launchers.
pub(crate) const PROGRAMS: &[&[&str]] = &[
    &["axolotl", "train"],
    &["axolotl", "preprocess"],
    &["axolotl", "inference"],
    &["llamafactory-cli", "train"],
    &["llamafactory-cli", "webui"],
    &["llamafactory-cli", "api"],
    &["llamafactory-cli", "chat"],
    &["llamafactory-cli", "export"],
    &["lmf", "train"],
    &["swift", "sft"],
    &["swift", "pt"],
    &["swift", "rlhf"],
    &["swift", "infer"],
    &["swift", "deploy"],
    &["megatron", "sft"],
    &["megatron", "pt"],
    &["megatron", "rlhf"],
    &["xtuner", "train"],
    &["litgpt", "pretrain"],
    &["litgpt", "finetune"],
    &["litgpt", "finetune_lora"],
    &["litgpt", "finetune_full"],
    &["litgpt", "finetune_adapter"],
    &["litgpt", "finetune_adapter_v2"],
    &["trl", "sft"],
    &["trl", "dpo"],
    &["trl", "grpo"],
    &["trl", "kto"],
    &["trl", "reward"],
    &["nemo", "llm", "pretrain"],
    &["nemo", "llm", "finetune"],
    &["autotrain", "llm"],
    &["tune", "download"],
    &["vllm", "serve"],
    &["ray", "start"],
];
