//! Programs that start a target once for each accelerator: the words that start each, its options, its target, and whether
//! people start training with it.
//!
//! Names of options are those of each program's documentation: torchrun of PyTorch 2.9, accelerate 1.10, DeepSpeed
//! 0.17, Open MPI 5, MPICH 4, Horovod 0.28, Slurm 24, Composer 0.31, ColossalAI 0.5, Optimum Habana 1.18, DLRover
//! 0.5, Ray 2.49, torchtune 0.6, Lightning Fabric 2.6, `MindSpore` 2.11 (msrun), `PaddlePaddle` 2.3, `TorchX` 0.7.
//!
//! Some launchers are torchrun with further options, and have its name here: `hyperpodrun` of `SageMaker` `HyperPod`
//! (hyperpod-elastic-agent, whose parser extends that of torch.distributed.run) and `ft_launcher` of
//! nvidia-resiliency-ext 0.7, whose own options all begin with `--ft-` and take a value.

use super::wrappers::starts_with;
use crate::command::Word;
use crate::command::options::Options;

/// A program that starts a target once for each accelerator.
#[derive(Debug)]
pub(crate) struct Grammar {
    /// Its name, the same as in a [`Launcher`](crate::command::Launcher).
    pub(crate) name: &'static str,
    /// The words that start it.
    heads: &'static [&'static str],
    /// Its Python modules.
    modules: &'static [&'static str],
    /// Its options.
    pub(crate) options: Options,
    /// Its target.
    pub(crate) starts: Starts,
    /// Whether people start training with it. Those of MPI, Slurm and Ray start anything.
    trains: bool,
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
    /// A component, whose options name a Python file or a module. The target's arguments stand after `--`.
    Component { script: &'static str, module: &'static str },
}

const TORCHRUN: &str = "nnodes nproc-per-node node-rank rdzv-backend rdzv-endpoint rdzv-id rdzv-conf max-restarts \
    monitor-interval start-method role log-dir r redirects t tee local-ranks-filter master-addr \
    master-port local-addr event-log-handler logs-specs numa-binding signals-to-handle \
    duplicate-stdout-filters duplicate-stderr-filters server-host server-port pre-train-script \
    pre-train-args post-train-script post-train-args";
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

const PADDLE: &str = "master rank log-level nnodes nproc-per-node log-dir run-mode job-id devices gpus npus xpus ips \
    host servers trainers trainer-num server-num gloo-port with-gloo max-restart elastic-level \
    elastic-timeout";
const MSRUN: &str = "worker-num local-worker-num master-addr master-port node-rank log-dir join cluster-time-out \
    bind-core sim-level sim-rank-id rank-table-file worker-log-name tail-worker-log";

const SCRIPT: Starts = Starts::Python { module: &[], program: &[] };
const TORCH: Starts = Starts::Python { module: &["m", "module"], program: &["no-python"] };
const BLANK: Grammar =
    Grammar { name: "", heads: &[], modules: &[], options: Options::these(""), starts: SCRIPT, trains: true };

/// Every launcher.
static LAUNCHERS: &[Grammar] = &[
    Grammar {
        name: "torchrun",
        heads: &["torchrun", "hyperpodrun", "ft_launcher"],
        modules: &[
            "torch.distributed.run",
            "torch.distributed.launch",
            "hyperpod_elastic_agent.run",
            "nvidia_resiliency_ext.fault_tolerance.launcher",
        ],
        options: Options { valued_beginning: "ft-", ..Options::these(TORCHRUN) },
        starts: TORCH,
        ..BLANK
    },
    Grammar {
        name: "accelerate launch",
        heads: &["accelerate launch", "accelerate-launch"],
        modules: &["accelerate.commands.launch"],
        options: Options::all_but(ACCELERATE_SWITCHES),
        starts: TORCH,
        ..BLANK
    },
    Grammar {
        name: "deepspeed",
        heads: &["deepspeed", "ds"],
        modules: &["deepspeed.launcher.runner", "deepspeed.launcher.launch"],
        options: Options::these(
            "H hostfile i include e exclude num-nodes min-elastic-nodes max-elastic-nodes num-gpus \
    num-accelerators master-port master-addr node-rank launcher launcher-args venv-script \
    autotuning bind-core-list ssh-port world-info enable-each-rank-log",
        ),
        starts: Starts::Python { module: &["module"], program: &["no-python"] },
        ..BLANK
    },
    Grammar {
        name: "mpirun",
        heads: &["mpirun", "mpiexec", "mpiexec.hydra", "mpirun.real", "prterun", "orterun"],
        options: Options { pairs: "mca gmca omca pmca pmixmca genv env", ..Options::these(MPIRUN) },
        starts: Starts::Command,
        trains: false,
        ..BLANK
    },
    Grammar {
        name: "horovodrun",
        heads: &["horovodrun"],
        modules: &["horovod.runner.launch"],
        options: Options::these(HOROVODRUN),
        starts: Starts::Command,
        ..BLANK
    },
    Grammar {
        name: "srun",
        heads: &["srun"],
        options: Options::these(SRUN),
        starts: Starts::Command,
        trains: false,
        ..BLANK
    },
    Grammar {
        name: "composer",
        heads: &["composer"],
        modules: &["composer.cli"],
        options: Options::these(
            "n nproc world-size base-rank node-rank master-addr master-port stdout stderr",
        ),
        starts: Starts::Python { module: &["m", "module-mode"], program: &["c", "command-mode"] },
        ..BLANK
    },
    Grammar {
        name: "colossalai run",
        heads: &["colossalai run"],
        options: Options::these(
            "H host hostfile include exclude num-nodes nproc-per-node master-port master-addr \
    extra-launch-args ssh-port",
        ),
        starts: Starts::Python { module: &["m"], program: &[] },
        ..BLANK
    },
    Grammar {
        name: "gaudi_spawn.py",
        heads: &["gaudi_spawn.py"],
        options: Options::these("world-size hostfile master-port"),
        ..BLANK
    },
    // Transformers' launcher of processes on TPU cores.
    Grammar { name: "xla_spawn.py", heads: &["xla_spawn.py"], options: Options::these("num-cores"), ..BLANK },
    Grammar {
        name: "dlrover-run",
        heads: &["dlrover-run"],
        modules: &["dlrover.trainer.torch.elastic_run", "dlrover.trainer.torch.main"],
        options: Options::these(DLROVER),
        starts: TORCH,
        ..BLANK
    },
    Grammar { name: "msrun", heads: &["msrun"], options: Options::these(MSRUN), ..BLANK },
    Grammar {
        name: "paddle.distributed.launch",
        heads: &["fleetrun"],
        modules: &["paddle.distributed.launch", "paddle.distributed.fleet.launch"],
        options: Options::these(PADDLE),
        ..BLANK
    },
    Grammar {
        name: "fabric run",
        heads: &["fabric run model", "fabric run", "lightning run model"],
        options: Options::these(
            "accelerator strategy devices num-nodes node-rank main-address main-port precision",
        ),
        ..BLANK
    },
    Grammar {
        name: "torchx run",
        heads: &["torchx run"],
        options: Options::these("s scheduler cfg scheduler-args workspace parent-run-id"),
        starts: Starts::Component { script: "--script", module: "-m" },
        ..BLANK
    },
    Grammar {
        name: "ray job submit",
        heads: &["ray job submit"],
        options: Options::these(RAY),
        starts: Starts::Command,
        trains: false,
        ..BLANK
    },
    Grammar {
        name: "tune run",
        heads: &["tune run"],
        options: Options::these(TORCHRUN),
        starts: Starts::Itself,
        ..BLANK
    },
];

/// The launcher with which a command begins, and the number of words that name it.
pub(crate) fn of_command(words: &[Word]) -> Option<(&'static Grammar, usize)> {
    let begins = |head: &&&str| starts_with(words, head.split(' '));
    LAUNCHERS.iter().find_map(|launcher| {
        let head = launcher.heads.iter().find(begins)?;
        Some((launcher, head.split(' ').count()))
    })
}

/// The launcher that is a Python file of this name.
pub(crate) fn of_script(name: &str) -> Option<&'static Grammar> {
    LAUNCHERS.iter().find(|launcher| launcher.heads.contains(&name))
}

/// The launcher that is this Python module.
pub(crate) fn of_module(module: &str) -> Option<&'static Grammar> {
    LAUNCHERS.iter().find(|launcher| launcher.modules.contains(&module))
}

/// Whether a launcher's command may begin with this word.
pub(crate) fn begins_with(word: &str) -> bool {
    LAUNCHERS.iter().flat_map(|launcher| launcher.heads).any(|head| head.split(' ').next() == Some(word))
}

/// Whether people start training with the launcher of this name.
pub(crate) fn trains(name: &str) -> bool {
    LAUNCHERS.iter().any(|launcher| launcher.name == name && launcher.trains)
}
