//! What launchers say of nodes and processes, and where that does not go with what the pods ask for.
//!
//! Of a chain of launchers the innermost starts the processes. Numbers are believed where they are written out; a range
//! (`--nnodes=1:4`), `gpu` and `auto` say nothing. [`doubts`] are only about what surely does not fit together, and they
//! are warnings: a job that starts too few processes runs, if not as meant.
//!
//! Fewer processes than accelerators matter to the estimate in one case: FSDP and ZeRO share the states among the
//! processes that there are. Where the one launch of the pods says both, that states are sharded and how many processes
//! there are (two or more: a single process may spread a model over all accelerators that it sees), those count and not
//! the accelerators. The job needs more memory then than one that uses all of them; it is what it will need. Where a
//! degree of parallelism is given, or any doubt remains, the accelerators count, for which the job needs least.

use crate::hardware::Vendor;
use crate::hardware::resources::ResourceKind;
use crate::workload::accelerator::Request;
use crate::workload::command::{Arguments, Launch, Launcher};

use super::said::Said;

/// How a launcher says how many processes and nodes there are.
struct Facts {
    /// Its name.
    launcher: &'static str,
    /// Options that give the nodes.
    nodes: &'static [&'static str],
    /// Variables that do, where no option does.
    nodes_variable: Option<&'static str>,
    /// Options that give the processes on each node.
    per_node: &'static [&'static str],
    /// Variables that do, where no option does.
    per_node_variable: Option<&'static str>,
    /// Options that give the processes on all nodes together.
    all: &'static [&'static str],
    /// Options that give the node's own number.
    rank: &'static [&'static str],
}

const NONE: Facts = Facts {
    launcher: "",
    nodes: &[],
    nodes_variable: None,
    per_node: &[],
    per_node_variable: None,
    all: &[],
    rank: &[],
};
const TORCHRUN: Facts = Facts {
    launcher: "torchrun",
    nodes: &["--nnodes"],
    nodes_variable: Some("PET_NNODES"),
    per_node: &["--nproc-per-node"],
    per_node_variable: Some("PET_NPROC_PER_NODE"),
    all: &[],
    rank: &["--node-rank"],
};

/// Every launcher that says something. Sources: as of the options themselves, in `command/launchers.rs`.
static FACTS: &[Facts] = &[
    TORCHRUN,
    Facts { launcher: "dlrover-run", ..TORCHRUN },
    Facts { launcher: "tune run", ..TORCHRUN },
    Facts {
        launcher: "accelerate launch",
        nodes: &["--num-machines"],
        all: &["--num-processes"],
        rank: &["--machine-rank"],
        ..NONE
    },
    Facts {
        launcher: "deepspeed",
        nodes: &["--num-nodes"],
        per_node: &["--num-gpus", "--num-accelerators"],
        rank: &["--node-rank"],
        ..NONE
    },
    Facts {
        launcher: "composer",
        per_node: &["--nproc", "-n"],
        all: &["--world-size"],
        rank: &["--node-rank"],
        ..NONE
    },
    Facts { launcher: "colossalai run", nodes: &["--num-nodes"], per_node: &["--nproc-per-node"], ..NONE },
    Facts { launcher: "gaudi_spawn.py", all: &["--world-size"], ..NONE },
    Facts { launcher: "horovodrun", all: &["--num-proc", "-np"], ..NONE },
    Facts {
        launcher: "mpirun",
        per_node: &["--npernode", "-ppn", "-perhost"],
        all: &["-np", "-n", "-c"],
        ..NONE
    },
    Facts {
        launcher: "srun",
        nodes: &["--nodes", "-N"],
        per_node: &["--ntasks-per-node"],
        all: &["--ntasks", "-n"],
        ..NONE
    },
];

/// The option among these that is given, and its value.
fn given<'l>(arguments: &'l Arguments, options: &[&'static str]) -> Option<(&'static str, &'l str)> {
    options.iter().find_map(|option| Some((*option, arguments.value(option)?)))
}

fn number(text: &str) -> Option<u64> {
    text.trim().trim_matches('"').parse().ok().filter(|number| *number > 0)
}

fn innermost(launch: &Launch) -> Option<(&'static Facts, &Launcher)> {
    let launcher = launch.launchers.last()?;
    Some((FACTS.iter().find(|facts| facts.launcher == launcher.name)?, launcher))
}

/// Reads what the launch's launcher says.
pub(super) fn read(launch: &Launch, said: &mut Said) {
    let Some((facts, launcher)) = innermost(launch) else { return };
    let count = |options: &[&'static str], variable: Option<&str>| match given(&launcher.arguments, options) {
        Some((_, value)) => number(value),
        None if options.iter().any(|option| launcher.arguments.has(option)) => None,
        None => variable.and_then(|variable| number(launch.environment.get(variable)?)),
    };
    said.nodes = count(facts.nodes, facts.nodes_variable);
    said.processes_per_node = count(facts.per_node, facts.per_node_variable);
    said.processes = count(facts.all, None);
    if said.processes.is_none() {
        said.processes =
            said.nodes.zip(said.processes_per_node).and_then(|(nodes, each)| nodes.checked_mul(each));
    }
    if said.processes_per_node.is_none() && said.nodes == Some(1) {
        said.processes_per_node = said.processes;
    }
}

/// Takes the processes for what shards, where they are surely fewer than the accelerators.
pub(super) fn shrink(launch: &Launch, requests: &[Request<'_>], said: &mut Said) {
    let (Some(processes), Some(all)) = (said.processes, accelerators(requests)) else { return };
    let shards = said.offers.iter().any(|offered| {
        let sharding = offered.value.as_str();
        offered.field == "parallelism.sharding"
            && matches!(sharding, Some("FSDP" | "HSDP" | "ZeRO2" | "ZeRO3"))
    });
    let degrees = ["tensor", "pipeline", "context", "data", "expert"];
    let is_divided = degrees.iter().any(|degree| said.knows(&format!("parallelism.{degree}")));
    let is_plain =
        requests.iter().all(is_plain) && requests.iter().any(|r| launch.group.as_deref() == Some(r.path));
    if !shards || is_divided || !is_plain || processes < 2 || processes >= all || all % processes != 0 {
        return;
    }
    let option = innermost(launch).and_then(|(facts, launcher)| {
        given(&launcher.arguments, facts.all).or_else(|| given(&launcher.arguments, facts.per_node))
    });
    if let Some((option, _)) = option {
        said.argument("parallelism.data", processes, option);
    }
}

/// What does not go with what the pods ask for, a line each.
pub(super) fn doubts(launch: &Launch, requests: &[Request<'_>], said: &Said) -> Vec<String> {
    let Some((facts, launcher)) = innermost(launch) else { return Vec::new() };
    let mut doubts = Vec::new();
    let plain = requests.iter().all(is_plain);
    let of_group = requests.iter().find(|request| launch.group.as_deref() == Some(request.path));
    let name = |options: &[&'static str]| given(&launcher.arguments, options).map(|(option, _)| option);
    // Where the launcher runs in the pods that have the accelerators, it starts a pod's processes.
    if let Some(request) = of_group.filter(|_| plain) {
        let (each, per_pod) = (said.processes_per_node, request.per_pod);
        let source = name(facts.per_node).or(name(facts.all)).unwrap_or(facts.launcher);
        match each {
            Some(each) if each > per_pod => doubts.push(format!(
                "{source} starts {each} processes in each pod, which asks for {}",
                counted(per_pod)
            )),
            Some(each) if each < per_pod => doubts.push(format!(
                "{} of each pod's {per_pod} accelerators stay idle: {source} starts {}",
                per_pod - each,
                if each == 1 { "1 process".to_owned() } else { format!("{each} processes") }
            )),
            _ => {}
        }
    }
    let pods = requests.iter().try_fold(0u64, |sum, request| sum.checked_add(request.pods?));
    if let (Some(pods), Some(_), Some(nodes), Some(option)) = (pods, of_group, said.nodes, name(facts.nodes))
    {
        if pods != nodes && pods > 0 {
            doubts.push(format!("{option} is {nodes}, but {pods} pods ask for accelerators"));
        }
    }
    let judged = !doubts.is_empty();
    if let (Some(processes), Some(all), Some(option)) =
        (said.processes, accelerators(requests), name(facts.all))
    {
        if plain && !judged && processes < all {
            doubts.push(format!(
                "{} of {all} accelerators stay idle: {option} is {processes}",
                all - processes
            ));
        } else if plain && !judged && processes > all {
            doubts.push(format!("{option} is {processes}, but the pods ask for {}", counted(all)));
        }
    }
    let rank = given(&launcher.arguments, facts.rank)
        .and_then(|(option, value)| Some((option, value.parse::<u64>().ok()?)));
    if let (Some((option, rank)), Some(pods)) =
        (rank, of_group.and_then(|request| request.pods).filter(|pods| *pods > 1))
    {
        doubts.push(format!("{option} is {rank} in each of {pods} pods, which need a number of their own"));
    }
    doubts
}

/// Whether a process has one unit of the resource: of chips whose cores are devices it has another number.
fn is_plain(request: &Request<'_>) -> bool {
    let one_device = !matches!(request.what.vendor, Vendor::AWS | Vendor::Google | Vendor::Intel);
    one_device && matches!(request.what.kind, ResourceKind::Whole | ResourceKind::Partition(_))
}

/// All accelerators, where the number of pods is known.
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
