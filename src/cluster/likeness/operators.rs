//! Additions and choices of operators, meshes and the apiserver, in the pods that they make.

use crate::command::set_by_others;
use crate::kinds::Kind;

/// Kinds whose operators choose the number of accelerators, by group and kind.
const CHOOSES_ACCELERATORS: &[(&str, &str)] =
    &[("elastic.iml.github.io", "ElasticJob"), ("kaiwo.silogen.ai", "KaiwoJob")];

/// Variables that operators set, besides those that `command` knows.
const SET_BY_OPERATORS: &[&str] = &[
    "COORDINATOR_ADDRESS",
    "COORDINATOR_PORT",
    "FQ_RAY_IP",
    "NNODES",
    "NODE_ID",
    "NODE_NUM",
    "NPROC_PER_NODE",
    "NUM_PROCESSES",
    "POD_IP",
    "POD_NAME",
    "PROCESS_ID",
    "PYTHONUNBUFFERED",
    "REDIS_PASSWORD",
    "TASK_INDEX",
    "WORKER_ADDRS",
    "WORKER_PORT",
];
/// Prefixes of further variables that operators set.
const SET_BY_OPERATORS_PREFIXES: &[&str] =
    &["ASCEND_", "HCCL_", "I_MPI_", "MPI_", "MPICH_", "MS_", "PADDLE_", "PRTE_", "TRAINER_", "VOLCANO_"];

/// Folders where operators, meshes and the apiserver mount their own ConfigMaps.
const MOUNTED_BY_OPERATORS: &[&str] = &[
    "/etc/istio",
    "/etc/mpi",
    "/etc/volcano",
    "/user/serverid/devindex/config",
    "/var/run/secrets",
    "/run/secrets",
];

/// Whether the operator of a kind chooses the number of accelerators.
pub(super) fn choose_accelerators(kind: &Kind) -> bool {
    CHOOSES_ACCELERATORS.contains(&(kind.group, kind.kind))
}

/// Whether operators set a variable.
pub(super) fn set(name: &str) -> bool {
    set_by_others(name)
        || SET_BY_OPERATORS.contains(&name)
        || SET_BY_OPERATORS_PREFIXES.iter().any(|begin| name.starts_with(begin))
}

/// Whether operators mount their own ConfigMaps at a path.
pub(super) fn mount_at(path: &str) -> bool {
    MOUNTED_BY_OPERATORS.iter().any(|folder| is_below(path, folder))
}

fn is_below(path: &str, folder: &str) -> bool {
    let rest = path.strip_prefix(folder).filter(|_| !path.contains(".."));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
