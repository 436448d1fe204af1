//! What the pods run: training, something that is known to be none, or a program that is in no table.
//!
//! ```text
//! a launch trains            if its launcher or its program trains, or a reader recognises it
//!          trains nothing    if its program is known for something else, or its name and options say so
//! a container: training > an unknown Python program > its last program, set-up and looks at the machine aside
//! the object:  training > an unknown program > a program that trains nothing
//! ```
//!
//! A shell script often sets something up before it starts the program, so the last program counts. A Python program
//! may be anything, so it counts wherever it stands. Containers without accelerators count only if they start a
//! training, or reach into other pods (`mpirun`). An image's own program says nothing beside a command that reaches
//! its pods: workers of MPI and Ray wait.

use serde_json::Value;

use crate::command::known::{self, Does};
use crate::command::{Launch, Target, launchers, purpose};
use crate::frameworks::readers;
use crate::job::{Cause, Follows};
use crate::kinds::{Entrypoint, PodGroup};

/// What pods run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    /// Something that trains nothing, and why. No command at all is idle.
    Nothing(Cause),
    /// A program that is in no table.
    Unknown,
    /// A training.
    Training,
}

/// Containers that are looked at, at most.
const MAX_CONTAINERS: usize = 512;

/// The program of several parts together. A controller that gives the pods their command lets them wait.
pub(crate) fn program(launches: &[Launch], commanded: bool) -> Program {
    if launches.iter().any(|launch| of(launch) == Of::Training) {
        return Program::Training;
    }
    let outside = |launch: &Launch| launch.group.is_none() || launch.reaches_others();
    let reached = launches.iter().any(outside);
    let waits = |launch: &Launch| {
        (reached || commanded) && launch.target == Target::Unknown && launch.launchers.is_empty()
    };
    let counts =
        |launch: &&Launch| !waits(launch) && (outside(launch) || (launch.accelerators > 0 && !launch.init));
    let mut counted: Vec<&Launch> = launches.iter().filter(counts).collect();
    if counted.is_empty() {
        counted.extend(launches.iter().filter(|launch| !waits(launch)));
    }
    let containers = counted.chunk_by(|a, b| (&a.place, &a.group) == (&b.place, &b.group));
    let rank = |program: Program| match program {
        Program::Nothing(Cause::Idle) => 0,
        Program::Nothing(_) => 1,
        Program::Unknown => 2,
        Program::Training => 3,
    };
    let first_of_the_highest = |a, b| if rank(b) > rank(a) { b } else { a };
    containers.map(of_container).reduce(first_of_the_highest).unwrap_or(Program::Nothing(Cause::Idle))
}

/// Whether a launch surely takes part in no training: it is a server or a benchmark.
pub(crate) fn serves(launch: &Launch) -> bool {
    matches!(known::does(launch), Some(Does::Not(_) | Does::Prepares(_)))
}

/// What a launch does, as far as its own words say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    Training,
    Nothing(Cause),
    /// It sets something up, or looks at the machine.
    Aside(Cause),
    /// A Python program that is in no table.
    Python,
    /// Another program that is in no table.
    Other,
}

fn of_container(launches: &[&Launch]) -> Program {
    let all: Vec<Of> = launches.iter().map(|launch| of(launch)).collect();
    let last = all.iter().rev().find(|of| !matches!(of, Of::Aside(_))).or(all.last());
    match last {
        _ if all.contains(&Of::Python) => Program::Unknown,
        Some(Of::Nothing(cause) | Of::Aside(cause)) => Program::Nothing(*cause),
        Some(Of::Training) => Program::Training,
        Some(Of::Python | Of::Other) => Program::Unknown,
        None => Program::Nothing(Cause::Idle),
    }
}

fn of(launch: &Launch) -> Of {
    let does = known::does(launch);
    match does {
        Some(Does::Not(cause)) => return Of::Nothing(cause),
        Some(Does::Prepares(cause)) => return Of::Aside(cause),
        Some(Does::Trains) | None => {}
    }
    if let Some(cause) = purpose::surely_trains_nothing(launch) {
        return Of::Nothing(cause);
    }
    let is_launched = launch.launchers.iter().any(|launcher| launchers::trains(&launcher.name));
    let nothing = purpose::why(launch).is_some_and(|cause| cause.follows() == Follows::TrainsNothing);
    if is_launched || does == Some(Does::Trains) || (!nothing && !readers(launch).is_empty()) {
        return Of::Training;
    }
    match &launch.target {
        Target::Module(_) | Target::Script(_) => Of::Python,
        Target::Program(name) if name == "python" => Of::Python,
        Target::Program(_) | Target::Unknown => Of::Other,
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
        program(&command::launches(&groups, None, &[], &Surroundings::default(), "").launches, false)
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
            assert_eq!(of(&command), Program::Training, "{command}");
        }
    }

    #[test]
    fn known_programs_train_nothing_and_unknown_ones_may_be_anything() {
        for (command, expected) in [
            (json!(["/opt/nccl-tests/build/all_reduce_perf", "-b", "8"]), Program::Nothing(Cause::Benchmark)),
            (
                json!(["mpirun", "-np", "16", "-x", "PATH", "/opt/nccl-tests/build/all_reduce_perf"]),
                Program::Nothing(Cause::Benchmark),
            ),
            (json!(["sh", "-c", "nvidia-smi; sleep 1"]), Program::Nothing(Cause::Benchmark)),
            (json!(["python", "-m", "mine"]), Program::Unknown),
            (json!(["jupyter", "lab"]), Program::Nothing(Cause::Notebook)),
            (json!(["sleep", "inf"]), Program::Nothing(Cause::Idle)),
            (json!(["bash", "-c", "tail -f /dev/null"]), Program::Nothing(Cause::Idle)),
            (json!(["python", "-m", "vllm.entrypoints.openai.api_server"]), Program::Nothing(Cause::Server)),
            (
                json!(["torchrun", "--nproc-per-node=8", "-m", "sglang.launch_server"]),
                Program::Nothing(Cause::Server),
            ),
            (json!(["vllm", "serve", "x"]), Program::Nothing(Cause::Server)),
            (json!(["tritonserver", "--model-repository=/m"]), Program::Nothing(Cause::Server)),
            (json!(["echo", "torchrun"]), Program::Nothing(Cause::Idle)),
            (json!(["accelerate", "config"]), Program::Nothing(Cause::Preparation)),
            (json!(["torchrun", "--help"]), Program::Nothing(Cause::Help)),
            (json!(["tune", "run", "eleuther_eval", "--config", "a"]), Program::Nothing(Cause::Evaluation)),
            (json!(["./run.sh"]), Program::Unknown),
            (json!([]), Program::Unknown),
            (json!("torchrun"), Program::Unknown),
        ] {
            assert_eq!(of(&command), expected, "{command}");
        }
    }

    #[test]
    fn the_last_program_of_a_script_counts_and_a_python_program_anywhere() {
        for (script, expected) in [
            ("nvidia-smi && python train.py", Program::Unknown),
            ("nvidia-smi && torchrun train.py", Program::Training),
            ("./setup.sh && vllm serve x", Program::Nothing(Cause::Server)),
            ("python eval.py; ./train.sh", Program::Unknown),
            ("./train.sh; nvidia-smi", Program::Unknown),
            ("./train.sh & tensorboard --logdir /logs", Program::Unknown),
            ("python train.py; python eval.py", Program::Unknown),
            (
                "pip install x; python -m pip install y; python convert.py",
                Program::Nothing(Cause::Conversion),
            ),
        ] {
            assert_eq!(of(&json!(["bash", "-c", script])), expected, "{script}");
        }
        let watched = json!({"spec": {"containers": [
            {"command": ["python", "train.py"]}, {"command": ["nvidia-smi", "-l", "60"]},
        ]}});
        assert_eq!(of_pods(&watched), Program::Unknown);
    }
}
