//! Whether the processes of a launch meet those of other pods.
//!
//! A launcher that knows of no other node starts the processes of one node. Each pod then has its own training. Only a
//! number of nodes or a meeting place makes one training of several pods. Some kinds give these to every pod, and the
//! caller knows these kinds.
//!
//! | given by | where |
//! | --- | --- |
//! | an argument | `--nnodes`, `--num_machines`, `--num_nodes`; `--rdzv_endpoint`, `--master_addr` of another host |
//! | the environment | `PET_NNODES`, `PET_RDZV_ENDPOINT`; `MASTER_ADDR` with `WORLD_SIZE` |
//! | the launcher itself | `mpirun`, `srun` and their like; a hostfile |
//!
//! One node is no rendezvous, and this host is none either. If an unread script or wrapper may set variables, the
//! processes may meet.

use crate::command::{Arguments, Launch};
use crate::frameworks::reading::launchers;

/// Whether processes of several pods meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rendezvous {
    /// They do.
    Given,
    /// They may: the part that would show it is unknown.
    Perhaps,
    /// They surely do not.
    None,
}

/// The nodes that a launch counts on, if there may be several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OtherNodes {
    /// At most this number.
    Nodes(u64),
    /// Their number is unknown.
    Unknown,
}

impl OtherNodes {
    /// The nodes that a launch counts on. `None` if it knows of no other node.
    pub(crate) fn of(launch: &Launch) -> Option<Self> {
        let given =
            launchers::stated_nodes(launch).or_else(|| program_nodes(launch)).or_else(|| file_nodes(launch));
        if let Some(given) = given {
            // The largest number of a range (`--nnodes=1:4`).
            let most = given.rsplit(':').next().and_then(|most| most.trim().parse::<u64>().ok());
            return most.map_or(Some(Self::Unknown), |most| (most > 1).then_some(Self::Nodes(most)));
        }
        let processes = launch.environment.get("WORLD_SIZE");
        let is_elsewhere = (by_environment(launch) && processes != Some("1"))
            || launch.launchers.last().is_some_and(|launcher| meets_elsewhere(&launcher.arguments));
        is_elsewhere.then_some(Self::Unknown)
    }
}

/// Options of launchers that give a meeting place.
const PLACES: &[&str] = &["--rdzv-endpoint", "--master-addr", "--main-process-ip"];
/// A program's own options that give the number of nodes.
const NODES: &[&str] = &["--num-nodes", "--nnodes", "--num-machines", "--trainer.num-nodes"];
/// The same as `key=value`.
const NODES_OVERRIDDEN: &[&str] = &["trainer.num_nodes", "num_nodes", "trainer.nnodes", "cluster.num_nodes"];
/// Variables that are each enough alone.
const VARIABLES: &[&str] = &["PET_RDZV_ENDPOINT", "PET_MASTER_ADDR"];

impl Rendezvous {
    /// Whether the pods of a launch meet.
    pub(crate) fn of(launch: &Launch) -> Self {
        if launch.reaches_others() || by_program(launch) || by_environment(launch) {
            return Self::Given;
        }
        let several = launchers::several_nodes(launch);
        if let Some(several) = several {
            return if several { Self::Given } else { Self::None };
        }
        // A program without a launcher finds the others in its own way, or is one process.
        let Some(launcher) = launch.launchers.last() else { return Self::Given };
        if meets_elsewhere(&launcher.arguments) {
            return Self::Given;
        }
        let is_known = launcher.arguments.words().iter().all(|word| word.known);
        let may_be_given = !is_known
            || launch.environment.may_have_more()
            || launch.launchers.len() > 1
            // Its list of hosts may be in an image or on a volume.
            || launcher.name == "deepspeed"
            || configured(launch, &launcher.arguments);
        if may_be_given { Self::Perhaps } else { Self::None }
    }
}

/// Whether the program itself gets a number of nodes.
fn by_program(launch: &Launch) -> bool {
    program_nodes(launch).is_some_and(|value| value != "1")
}

/// The number of nodes given to the program. Empty if it is unknown. If several places give it, one with more than one
/// node wins.
fn program_nodes(launch: &Launch) -> Option<&str> {
    let options = NODES.iter().filter(|option| launch.arguments.has(option));
    let given = options.map(|option| launch.arguments.value(option).unwrap_or_default());
    let overridden = NODES_OVERRIDDEN.iter().filter_map(|key| launch.arguments.overridden(key));
    given.chain(overridden).max_by_key(|value| *value != "1")
}

/// The number of machines in a configuration file of accelerate.
fn file_nodes(launch: &Launch) -> Option<&str> {
    let path = launch.launchers.last()?.arguments.value("--config_file")?;
    let mut lines = launch.files.meant(path)?.text.lines();
    lines.find_map(|line| line.trim().strip_prefix("num_machines:"))
}

/// Whether a launcher gets a meeting place on another host.
fn meets_elsewhere(arguments: &Arguments) -> bool {
    PLACES.iter().any(|option| arguments.value(option).is_some_and(is_elsewhere))
}

fn by_environment(launch: &Launch) -> bool {
    let environment = &launch.environment;
    let has = |wanted: &str| environment.iter().any(|(name, _)| name == wanted);
    let meets = |name: &str| has(name) && environment.get(name).is_none_or(is_elsewhere);
    VARIABLES.iter().any(|name| meets(name)) || (meets("MASTER_ADDR") && has("WORLD_SIZE"))
}

/// Whether a place is on another host than this one, as far as we know.
fn is_elsewhere(place: &str) -> bool {
    !["localhost", "127.0.0.1", "0.0.0.0", "[::1]"].iter().any(|host| place.starts_with(host))
}

/// Whether a configuration file of accelerate may give the number of machines.
fn configured(launch: &Launch, arguments: &Arguments) -> bool {
    let Some(path) = arguments.value("--config_file") else { return arguments.has("--config_file") };
    let Some(file) = launch.files.meant(path) else { return true };
    file.text.lines().any(|line| {
        let number = line.trim().strip_prefix("num_machines:").map(str::trim);
        number.is_some_and(|number| number.parse() != Ok(1_u64))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_launch_meets_others_only_where_it_is_told_of_them() {
        for (command, variables, expected) in [
            ("torchrun --nproc_per_node 8 a.py", &[][..], Rendezvous::None),
            ("torchrun --standalone a.py", &[], Rendezvous::None),
            ("torchrun --nnodes=1 a.py", &[], Rendezvous::None),
            ("torchrun --nnodes=1:1 a.py", &[], Rendezvous::None),
            ("torchrun --nnodes 2 a.py", &[], Rendezvous::Given),
            ("torchrun --nnodes=1:4 a.py", &[], Rendezvous::Given),
            ("torchrun --rdzv-endpoint=localhost:0 a.py", &[], Rendezvous::None),
            ("torchrun --rdzv_endpoint=head:29500 a.py", &[], Rendezvous::Given),
            ("torchrun a.py", &[("PET_NNODES", "4")], Rendezvous::Given),
            ("torchrun a.py", &[("PET_NNODES", "1")], Rendezvous::None),
            ("torchrun a.py", &[("MASTER_ADDR", "head"), ("WORLD_SIZE", "16")], Rendezvous::Given),
            ("torchrun a.py", &[("MASTER_ADDR", "head")], Rendezvous::None),
            ("accelerate launch --num_processes 8 a.py", &[], Rendezvous::None),
            ("accelerate launch --num_machines 2 a.py", &[], Rendezvous::Given),
            ("accelerate launch --config_file /image/a.yaml a.py", &[], Rendezvous::Perhaps),
            ("deepspeed a.py", &[], Rendezvous::Perhaps),
            ("deepspeed --hostfile=/etc/hosts a.py", &[], Rendezvous::Given),
            ("deepspeed --num_nodes 1 a.py", &[], Rendezvous::None),
            ("mpirun -np 8 python a.py", &[], Rendezvous::Given),
            ("python a.py", &[], Rendezvous::Given),
            ("torchrun a.py trainer.num_nodes=4", &[], Rendezvous::Given),
            ("torchrun a.py --num_nodes 1", &[], Rendezvous::None),
        ] {
            let words: Vec<&str> = command.split(' ').collect();
            let launch = Launch::of_words(&words).with_environment(variables);
            assert_eq!(Rendezvous::of(&launch), expected, "{command} {variables:?}");
        }
    }
}
