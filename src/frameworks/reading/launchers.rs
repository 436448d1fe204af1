//! What launchers give about nodes and processes, and where this contradicts the pods' requests.
//!
//! A launcher started by another launcher (`mpirun … torchrun …`) is ignored. Written numbers are believed. A range
//! (`--nnodes=1:4`), `gpu` and `auto` give no number. [`doubts`] names only sure contradictions. They are warnings. A job
//! that starts too few processes runs, although not as intended; another contradiction is in the first line of a report.
//!
//! Fewer processes than accelerators matter to the estimate in one case. FSDP and ZeRO share the states among the
//! processes that exist. The pods may have one launch that both shards states and gives the number of processes. If
//! this number is two or more, the processes count, not the accelerators. (A single process may spread a model over all
//! accelerators that it sees.) Such a job needs more memory than one that uses all accelerators. If a degree of
//! parallelism is given, or any doubt remains, the accelerators count. Then the job needs the least memory.
//!
//! Without sharding, a process of Transformers may spread its model over the accelerators that its pod has for it
//! (`device_map="auto"`): each holds some of the layers, as a pipeline's stage does ([`spread`]). So the pipeline is open
//! if a launcher starts fewer processes than a pod has accelerators, unless the program says that its layers lie on all
//! of them. The launcher of DeepSpeed shows its processes no other accelerators (`deepspeed/launcher/runner.py`, 0.17).

use crate::command::{Arguments, Launch, Launcher};
use crate::hardware::Vendor;
use crate::hardware::resources::ResourceKind;
use crate::job::{Framework, OpenField, Sharding, field};
use crate::kinds::requests::Request;

use crate::frameworks::reading::claims::Claims;

/// The options and variables in which a launcher gives the number of processes and nodes.
struct LauncherOptions {
    /// The launcher's name.
    launcher: &'static str,
    /// Options that give the number of nodes.
    nodes: &'static [&'static str],
    /// Variables for the nodes, if no option gives them.
    nodes_variable: Option<&'static str>,
    /// Options that give the processes of each node.
    per_node: &'static [&'static str],
    /// Variables for the processes, if no option gives them.
    per_node_variable: Option<&'static str>,
    /// Options that give the processes of all nodes together.
    all: &'static [&'static str],
    /// Options that give the node's own number.
    rank: &'static [&'static str],
}

const NONE: LauncherOptions = LauncherOptions {
    launcher: "",
    nodes: &[],
    nodes_variable: None,
    per_node: &[],
    per_node_variable: None,
    all: &[],
    rank: &[],
};
const TORCHRUN: LauncherOptions = LauncherOptions {
    launcher: "torchrun",
    nodes: &["--nnodes"],
    nodes_variable: Some("PET_NNODES"),
    per_node: &["--nproc-per-node"],
    per_node_variable: Some("PET_NPROC_PER_NODE"),
    all: &[],
    rank: &["--node-rank"],
};

/// Every launcher that gives such numbers. The sources are those of the options, in `command/launchers.rs`.
static LAUNCHERS: &[LauncherOptions] = &[
    TORCHRUN,
    LauncherOptions { launcher: "dlrover-run", ..TORCHRUN },
    LauncherOptions { launcher: "tune run", ..TORCHRUN },
    LauncherOptions {
        launcher: "accelerate launch",
        nodes: &["--num-machines"],
        all: &["--num-processes"],
        rank: &["--machine-rank"],
        ..NONE
    },
    LauncherOptions {
        launcher: "deepspeed",
        nodes: &["--num-nodes"],
        per_node: &["--num-gpus", "--num-accelerators"],
        rank: &["--node-rank"],
        ..NONE
    },
    LauncherOptions {
        launcher: "composer",
        per_node: &["--nproc", "-n"],
        all: &["--world-size"],
        rank: &["--node-rank"],
        ..NONE
    },
    LauncherOptions {
        launcher: "colossalai run",
        nodes: &["--num-nodes"],
        per_node: &["--nproc-per-node"],
        ..NONE
    },
    LauncherOptions { launcher: "gaudi_spawn.py", all: &["--world-size"], ..NONE },
    LauncherOptions { launcher: "horovodrun", all: &["--num-proc", "-np"], ..NONE },
    LauncherOptions {
        launcher: "mpirun",
        per_node: &["-N", "--npernode", "-ppn", "-perhost"],
        all: &["-np", "-n", "-c"],
        ..NONE
    },
    LauncherOptions {
        launcher: "srun",
        nodes: &["--nodes", "-N"],
        per_node: &["--ntasks-per-node"],
        all: &["--ntasks", "-n"],
        ..NONE
    },
];

/// The first of these options that is given, with its value.
fn given<'l>(arguments: &'l Arguments, options: &[&'static str]) -> Option<(&'static str, &'l str)> {
    options.iter().find_map(|option| Some((*option, arguments.value(option)?)))
}

fn number(text: &str) -> Option<u64> {
    text.trim().trim_matches('"').parse().ok().filter(|number| *number > 0)
}

fn innermost(launch: &Launch) -> Option<(&'static LauncherOptions, &Launcher)> {
    let (launcher, outer) = launch.launchers.split_last()?;
    let options = |launcher: &Launcher| LAUNCHERS.iter().find(|options| options.launcher == launcher.name);
    // If another launcher starts it several times, its numbers are not the totals.
    Some((options(launcher).filter(|_| outer.iter().all(|outer| options(outer).is_none()))?, launcher))
}

/// The nodes that a launch's launcher counts on, if it gives a number.
pub(crate) fn nodes(launch: &Launch) -> Option<u64> {
    let mut claims = Claims::default();
    read(launch, &mut claims);
    claims.nodes
}

/// The number of nodes given to the launch's launcher. Empty if it is unknown. `None` if no number is given.
pub(crate) fn stated_nodes(launch: &Launch) -> Option<&str> {
    let (options, launcher) = innermost(launch)?;
    if let Some(option) = options.nodes.iter().find(|option| launcher.arguments.has(option)) {
        return Some(launcher.arguments.value(option).unwrap_or_default());
    }
    let variable = options.nodes_variable?;
    let given = launch.environment.iter().find(|(name, _)| *name == variable)?;
    Some(given.1.unwrap_or_default())
}

/// Whether the launcher counts on several nodes. `None` if no number is given.
pub(crate) fn several_nodes(launch: &Launch) -> Option<bool> {
    stated_nodes(launch).map(|stated| !matches!(stated.trim(), "1" | "1:1"))
}

/// Reads the numbers that the launch's launcher gives.
pub(crate) fn read(launch: &Launch, claims: &mut Claims) {
    let Some((options, launcher)) = innermost(launch) else { return };
    let count = |options: &[&'static str], variable: Option<&str>| match given(&launcher.arguments, options) {
        Some((_, value)) => number(value),
        None if options.iter().any(|option| launcher.arguments.has(option)) => None,
        None => variable.and_then(|variable| number(launch.environment.get(variable)?)),
    };
    claims.nodes = count(options.nodes, options.nodes_variable);
    claims.processes_per_node = count(options.per_node, options.per_node_variable);
    claims.processes = count(options.all, None);
    if claims.processes.is_none() {
        claims.processes =
            claims.nodes.zip(claims.processes_per_node).and_then(|(nodes, each)| nodes.checked_mul(each));
    }
    if claims.processes_per_node.is_none() && claims.nodes == Some(1) {
        claims.processes_per_node = claims.processes;
    }
}

/// If the processes are surely fewer than the accelerators, the states are sharded among the processes.
pub(crate) fn shrink(launch: &Launch, requests: &[Request<'_>], claims: &mut Claims) {
    use field::parallelism::{CONTEXT, DATA, EXPERT, PIPELINE, TENSOR};
    let (Some(processes), Some(all)) = (claims.processes, accelerators(requests)) else { return };
    let shards = claims.values(field::parallelism::SHARDING).any(|sharding| {
        matches!(sharding, Sharding::FSDP | Sharding::HSDP | Sharding::ZeRO2 | Sharding::ZeRO3)
    });
    let is_divided = [TENSOR, PIPELINE, CONTEXT, DATA, EXPERT].iter().any(|degree| claims.knows(*degree));
    let is_plain =
        requests.iter().all(is_plain) && requests.iter().any(|r| launch.group.as_deref() == Some(r.path));
    let pods = pods(requests);
    let is_divided = is_divided || claims.nodes.is_some_and(|nodes| pods != Some(nodes));
    if !shards || is_divided || !is_plain || processes < 2 || processes >= all || all % processes != 0 {
        return;
    }
    let option = innermost(launch).and_then(|(options, launcher)| {
        given(&launcher.arguments, options.all).or_else(|| given(&launcher.arguments, options.per_node))
    });
    if let Some(option) = option.map(|(option, _)| option).or(claims.processes_by) {
        claims.argument(DATA, processes, option);
    }
}

/// If a pod has more accelerators than processes, each process may spread the model over several of them.
pub(crate) fn spread(launch: &Launch, requests: &[Request<'_>], claims: &mut Claims) {
    use field::parallelism::{CONTEXT, DATA, EXPERT, PIPELINE, TENSOR};
    let of_group = requests.iter().find(|request| launch.group.as_deref() == Some(request.path));
    let Some(request) = of_group.filter(|request| is_plain(request)) else { return };
    let of_all = || claims.processes?.checked_div(claims.nodes.or(request.pods)?);
    let processes = claims.processes_per_node.or_else(of_all);
    let shows_all = launch.launchers.last().is_none_or(|launcher| launcher.name != "deepspeed");
    let spreads =
        matches!(claims.get(field::FRAMEWORK), None | Some(Framework::HuggingFace | Framework::Unsloth));
    let is_divided = [TENSOR, CONTEXT, DATA, EXPERT].iter().any(|degree| claims.gives(*degree))
        || claims.knows(PIPELINE)
        || claims.get(field::parallelism::SHARDING).is_some_and(|sharding| sharding != Sharding::None);
    let Some(each) = processes.filter(|each| (1..request.per_pod).contains(each)) else { return };
    if !shows_all || !spreads || is_divided {
        return;
    }
    claims.open_field(OpenField {
        field: PIPELINE.into(),
        leanest: Some(request.per_pod.div_ceil(each).into()),
        heaviest: None,
        although_given: true,
    });
}

/// What a launcher and the pods' requests say otherwise, one line each.
#[derive(Default)]
pub(crate) struct Doubts {
    /// Such a training waits, or ends when it starts.
    contradictions: Vec<String>,
    /// It runs, and accelerators stay idle.
    idle: Vec<String>,
}

impl Doubts {
    /// Adds them to the claims of a launch.
    pub(crate) fn offer_to(self, claims: &mut Claims) {
        claims.contradictions.extend(self.contradictions.iter().cloned());
        claims.warnings.extend(self.contradictions.into_iter().chain(self.idle));
    }
}

/// What the launcher says about nodes and processes, against the pods' requests.
pub(crate) fn doubts(launch: &Launch, requests: &[Request<'_>], claims: &Claims) -> Doubts {
    let Some((options, launcher)) = innermost(launch) else { return Doubts::default() };
    let mut doubts = Doubts::default();
    let plain = requests.iter().all(is_plain);
    let of_group = requests.iter().find(|request| launch.group.as_deref() == Some(request.path));
    let name = |options: &[&'static str]| given(&launcher.arguments, options).map(|(option, _)| option);
    // A launcher that runs in the pods with the accelerators starts the processes of one pod.
    if let Some(request) = of_group.filter(|_| plain) {
        let (each, per_pod) = (claims.processes_per_node, request.per_pod);
        let source = name(options.per_node).or(name(options.all)).unwrap_or(options.launcher);
        match each {
            Some(each) if each > per_pod => doubts.contradictions.push(format!(
                "{source} starts {each} processes in each pod, which asks for {}",
                counted(per_pod)
            )),
            Some(each) if each < per_pod => doubts.idle.push(format!(
                "{} of each pod's {per_pod} accelerators stay idle: {source} starts {}",
                per_pod - each,
                if each == 1 { "1 process".to_owned() } else { format!("{each} processes") }
            )),
            _ => {}
        }
    }
    if let (Some(pods), Some(_), Some(nodes), Some(option)) =
        (pods(requests), of_group, claims.nodes, name(options.nodes))
        && pods != nodes
        // One of several pods is a separate object.
        && pods > 1
    {
        doubts.contradictions.push(format!("{option} is {nodes}, but {pods} pods ask for accelerators"));
    }
    let judged = !doubts.contradictions.is_empty() || !doubts.idle.is_empty();
    if let (Some(processes), Some(all), Some(option)) =
        (claims.processes, accelerators(requests), name(options.all))
    {
        if plain && !judged && processes < all {
            doubts.idle.push(format!(
                "{} of {all} accelerators stay idle: {option} is {processes}",
                all - processes
            ));
        } else if plain && !judged && processes > all {
            doubts
                .contradictions
                .push(format!("{option} is {processes}, but the pods ask for {}", counted(all)));
        }
    }
    let rank = given(&launcher.arguments, options.rank)
        .and_then(|(option, value)| Some((option, value.parse::<u64>().ok()?)));
    if let (Some((option, rank)), Some(pods)) =
        (rank, of_group.and_then(|request| request.pods).filter(|pods| *pods > 1))
    {
        doubts
            .contradictions
            .push(format!("{option} is {rank} in each of {pods} pods, which need a number of their own"));
    }
    doubts
}

/// The numbers of nodes and devices of a Lightning program (`trainer.num_nodes=2`) that contradict the pods.
pub(crate) fn own_doubts(launch: &Launch, requests: &[Request<'_>]) -> Doubts {
    let told = |name: &str| launch.arguments.overridden(name).and_then(number);
    let of_group = requests.iter().find(|request| launch.group.as_deref() == Some(request.path));
    let Some(request) = of_group.filter(|_| requests.iter().all(is_plain)) else { return Doubts::default() };
    let mut doubts = Doubts::default();
    if let Some((nodes, pods)) = told("trainer.num_nodes").zip(pods(requests))
        && nodes != pods
    {
        doubts
            .contradictions
            .push(format!("trainer.num_nodes is {nodes}, but {pods} pods ask for accelerators"));
    }
    if let Some(devices) = told("trainer.devices").filter(|devices| *devices != request.per_pod) {
        doubts.contradictions.push(format!(
            "trainer.devices is {devices}, but each pod asks for {}",
            counted(request.per_pod)
        ));
    }
    doubts
}

/// Whether a process has one unit of the resource. Chips with cores as devices have another number.
fn is_plain(request: &Request<'_>) -> bool {
    let one_device = !matches!(request.what.vendor, Vendor::AWS | Vendor::Google | Vendor::Intel);
    one_device && matches!(request.what.kind, ResourceKind::Whole | ResourceKind::Partition(_))
}

/// All pods that ask for accelerators, if their number is known.
fn pods(requests: &[Request<'_>]) -> Option<u64> {
    requests.iter().try_fold(0u64, |sum, request| sum.checked_add(request.pods?))
}

/// All accelerators, if the number of pods is known.
fn accelerators(requests: &[Request<'_>]) -> Option<u64> {
    let counts = requests.iter().map(|request| request.per_pod.checked_mul(request.pods?));
    counts
        .collect::<Option<Vec<u64>>>()
        .map(|counts| counts.into_iter().fold(0, u64::saturating_add))
        .filter(|all| *all > 0)
}

fn counted(accelerators: u64) -> String {
    format!("{accelerators} accelerator{}", if accelerators == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::command::launches;
    use crate::hardware::Catalogue;
    use crate::kinds::{PodGroup, requests};
    use crate::surroundings::{Documents, Surroundings};

    /// The doubts about groups of pods. Each has a number of pods, accelerators for each, and a command.
    fn claims(groups: &[(u64, u64, &str)], resource: &str, sharding: Option<Sharding>) -> Claims {
        let templates: Vec<Value> = groups
            .iter()
            .map(|(_, count, script)| {
                json!({"spec": {"containers": [{
                    "name": "a", "command": ["sh", "-c", script], "resources": {"limits": {resource: count}},
                }]}})
            })
            .collect();
        let groups: Vec<PodGroup<'_>> = groups
            .iter()
            .zip(&templates)
            .enumerate()
            .map(|(at, ((pods, ..), template))| PodGroup {
                role: "",
                template,
                path: format!("g{at}"),
                replicas: Some(*pods),
            })
            .collect();
        let catalogue = Catalogue::builtin();
        let requests = requests::requests(&groups, &Documents::default(), "", catalogue);
        let launches = launches(&groups, None, &requests, &Surroundings::default(), "").launches;
        let launch = launches.iter().find(|launch| !launch.launchers.is_empty()).unwrap();
        let mut claims = Claims::default();
        read(launch, &mut claims);
        if let Some(sharding) = sharding {
            claims.argument(field::parallelism::SHARDING, sharding, "--fsdp");
        }
        shrink(launch, &requests, &mut claims);
        spread(launch, &requests, &mut claims);
        doubts(launch, &requests, &claims).offer_to(&mut claims);
        own_doubts(launch, &requests).offer_to(&mut claims);
        claims
    }

    #[test]
    fn what_does_not_go_with_what_the_pods_ask_for_is_said_in_a_line() {
        let gpu = "nvidia.com/gpu";
        let mut all: Vec<String> = Vec::new();
        for groups in [
            &[(2, 8, "torchrun --nnodes=2 --nproc_per_node=8 --node_rank=$RANK a.py")][..],
            &[(2, 8, "torchrun --nnodes=1:2 --nproc_per_node=gpu a.py")],
            &[(8, 1, "torchrun --nnodes=2 --nproc_per_node=4 a.py")],
            &[(2, 8, "torchrun --nnodes 2 --nproc-per-node 1 --node_rank=0 a.py")],
            &[(1, 8, "accelerate launch --num_processes=\"2\" --num_machines=$WORLD_SIZE a.py")],
            &[(4, 8, "accelerate launch --num_processes 32 --num_machines 4 --machine_rank=0 a.py")],
            &[(1, 8, "accelerate launch --num_machines 1 --num_processes 16 a.py")],
            &[(1, 8, "deepspeed --num_gpus 4 a.py"), (1, 8, "deepspeed --num_gpus 4 a.py")],
            &[
                (1, 8, "torchrun --node_rank=0 --nproc_per_node 8 a.py"),
                (3, 8, "torchrun --node_rank=$N a.py"),
            ],
            &[(1, 0, "mpirun -np 8 python a.py"), (2, 8, "sshd")],
            &[(2, 8, "mpirun -np 16 numactl -m 0 torchrun --nproc_per_node=1 a.py")],
            &[(2, 8, "PET_NNODES=3 torchrun a.py")],
            &[(8, 1, "torchrun a.py ++trainer.num_nodes=2 ++trainer.devices=4")],
            &[(2, 8, "torchrun a.py trainer.num_nodes=2 trainer.devices=8")],
            &[(2, 8, "torchrun a.py trainer.num_nodes=$N trainer.devices=-1")],
        ] {
            let claims = claims(groups, gpu, None);
            let read = (claims.nodes, claims.processes_per_node, claims.processes);
            assert!(claims.warnings.iter().all(|line| line.chars().count() <= 120), "{:?}", claims.warnings);
            all.push(format!("{groups:?}\n  {read:?}\n  {}\n", claims.warnings.join("\n  ")));
        }
        insta::assert_snapshot!(all.concat());
    }

    #[test]
    fn a_process_may_spread_its_model_over_accelerators_that_have_no_process() {
        let open = |groups: &[(u64, u64, &str)], sharding| {
            let claims = claims(groups, "nvidia.com/gpu", sharding);
            let open = claims.open.iter().find(|open| open.field == field::parallelism::PIPELINE);
            open.and_then(|open| open.leanest.as_ref()?.as_u64())
        };
        assert_eq!(open(&[(1, 8, "torchrun --nproc_per_node 2 a.py")], None), Some(4));
        assert_eq!(open(&[(2, 8, "torchrun --nnodes 2 --nproc_per_node 3 a.py")], None), Some(3));
        assert_eq!(
            open(&[(1, 8, "accelerate launch --num_processes=1 a.py")], Some(Sharding::None)),
            Some(8)
        );
        assert_eq!(open(&[(1, 8, "torchrun --nproc_per_node 8 a.py")], None), None);
        assert_eq!(open(&[(1, 8, "torchrun --nproc_per_node 2 a.py")], Some(Sharding::FSDP)), None);
        assert_eq!(open(&[(1, 8, "deepspeed --num_gpus 1 a.py")], None), None);
    }

    #[test]
    fn chips_whose_cores_are_devices_have_more_processes_than_chips() {
        let claims = claims(&[(1, 16, "torchrun --nproc_per_node=32 a.py")], "aws.amazon.com/neuron", None);
        assert_eq!((claims.processes_per_node, claims.warnings.len()), (Some(32), 0));
    }

    #[test]
    fn fewer_processes_count_only_where_states_are_surely_shared_among_them() {
        let data = |groups: &[(u64, u64, &str)], sharding| {
            let claims = claims(groups, "nvidia.com/gpu", sharding);
            claims
                .all
                .iter()
                .find(|claim| claim.field == field::parallelism::DATA)
                .map(|o| o.value.to_string())
        };
        let two = "accelerate launch --num_processes=2 a.py";
        assert_eq!(data(&[(1, 8, two)], Some(Sharding::HSDP)).as_deref(), Some("2"));
        assert_eq!(data(&[(1, 8, two)], None), None);
        assert_eq!(data(&[(1, 2, two)], Some(Sharding::FSDP)), None);
        assert_eq!(data(&[(1, 8, "accelerate launch --num_processes=1 a.py")], Some(Sharding::FSDP)), None);
        assert_eq!(data(&[(1, 8, "accelerate launch --num_processes=$N a.py")], Some(Sharding::FSDP)), None);
        assert_eq!(
            data(&[(8, 1, "torchrun --nnodes 2 --nproc_per_node 1 a.py")], Some(Sharding::FSDP)),
            None
        );
        let half = "torchrun --nnodes 2 --nproc_per_node 4 a.py";
        assert_eq!(data(&[(2, 8, half)], Some(Sharding::FSDP)).as_deref(), Some("8"));
    }
}
