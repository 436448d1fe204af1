//! A shell's state: what is known of its variables, functions, arguments and directory.

use std::collections::BTreeMap;
use std::rc::Rc;

use brush_parser::ast::CompoundCommand;

use crate::command::Environment;
use crate::command::files::absolute;
use crate::command::text::Text;

/// Variables that what runs the pods, or the shell itself, sets: what the object does not say of them is not known, and
/// no default holds in their place.
const SET_BY_OTHERS: &[&str] = &[
    "RANK",
    "WORLD_SIZE",
    "LOCAL_RANK",
    "LOCAL_WORLD_SIZE",
    "NODE_RANK",
    "GROUP_RANK",
    "MASTER_ADDR",
    "MASTER_PORT",
    "JOB_COMPLETION_INDEX",
    "HOSTNAME",
    "HOME",
    "PWD",
    "OLDPWD",
    "USER",
    "UID",
    "EUID",
    "PATH",
    "RANDOM",
    "SECONDS",
    "PPID",
    "TF_CONFIG",
    "CLUSTER_SPEC",
    "TRAINER_NUM_NODES",
    "NVIDIA_VISIBLE_DEVICES",
    "CUDA_VERSION",
    "IFS",
    "BASH_SOURCE",
];
/// The same, of variables whose names begin so.
const SET_BY_OTHERS_BEGIN: &[&str] = &[
    "PET_",
    "VC_",
    "VK_",
    "LWS_",
    "RAY_",
    "SLURM_",
    "OMPI_",
    "PMI_",
    "JOBSET_",
    "KUBERNETES_",
    "TPU_",
    "MEGASCALE_",
    "SM_",
    "JAX_",
    "BASH_",
    "MLP_",
    "XDL_",
    "DLROVER_",
];

/// What a variable holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// A text.
    Text(Text),
    /// Several.
    Array(Vec<Text>),
    /// Nothing: it was unset.
    Unset,
    /// Nobody knows.
    Unknown,
}

/// A variable.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Variable {
    value: Rc<Value>,
    exported: bool,
}

/// A shell's state. A subshell or a branch has a copy of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    variables: BTreeMap<String, Variable>,
    /// Whether there may be variables that nobody knows of.
    may_have_more: bool,
    /// Functions by name.
    pub(crate) functions: BTreeMap<String, Rc<CompoundCommand>>,
    /// `$1` and the following, where they are known.
    pub(crate) arguments: Option<Vec<Text>>,
    /// Where it is, as far as that is known.
    pub(crate) directory: Option<String>,
    /// Whether every assignment is exported (`set -a`).
    pub(crate) exports_all: bool,
    /// Whether nothing more is run: `exit`, `return`, `exec` of a program.
    pub(crate) ended: bool,
}

impl State {
    /// A shell that starts in an environment.
    pub(crate) fn of(environment: &Environment, directory: Option<String>) -> Self {
        let variables = environment.iter().map(|(name, value)| {
            let value = value.map_or(Value::Unknown, |value| Value::Text(Text::known(value)));
            (name.to_owned(), Variable { value: Rc::new(value), exported: true })
        });
        let may_have_more = environment.may_have_more;
        Self { variables: variables.collect(), may_have_more, directory, ..Self::default() }
    }

    /// What is known of a variable; none where nothing says anything of it.
    pub(crate) fn get(&self, name: &str) -> Option<Rc<Value>> {
        match self.variables.get(name) {
            Some(variable) => Some(Rc::clone(&variable.value)),
            None => (self.may_have_more || set_by_others(name)).then(|| Rc::new(Value::Unknown)),
        }
    }

    /// Sets a variable.
    pub(crate) fn set(&mut self, name: &str, value: Value) {
        let exported = self.exports_all;
        let fresh = || Variable { value: Rc::new(Value::Unset), exported };
        let variable = self.variables.entry(name.to_owned()).or_insert_with(fresh);
        variable.value = Rc::new(value);
        variable.exported |= exported;
    }

    /// Variables may be set that are not read.
    pub(crate) fn leave_variables_open(&mut self) {
        self.may_have_more = true;
    }

    /// Makes a variable one of the environment.
    pub(crate) fn export(&mut self, name: &str) {
        if let Some(variable) = self.variables.get_mut(name) {
            variable.exported = true;
        }
    }

    /// How many variables there are.
    pub(crate) fn size(&self) -> usize {
        self.variables.len()
    }

    /// The environment of what is started.
    pub(crate) fn environment(&self) -> Environment {
        let exported = self.variables.iter().filter(|(_, variable)| variable.exported);
        let values = exported.filter_map(|(name, variable)| match variable.value.as_ref() {
            Value::Text(text) => Some((name.clone(), text.as_known().map(str::to_owned))),
            Value::Unknown => Some((name.clone(), None)),
            Value::Array(_) | Value::Unset => None,
        });
        values.collect::<Environment>().that_may_have_more(self.may_have_more)
    }

    /// A path made absolute, where it is known what it is relative to.
    pub(crate) fn path(&self, path: &str) -> String {
        absolute(self.directory.as_deref(), path)
    }

    /// What holds after one of several branches was run: what differs between them is not known.
    pub(crate) fn join(branches: Vec<Self>) -> Option<Self> {
        let mut branches = branches.into_iter();
        let mut joined = branches.next()?;
        for mut branch in branches {
            if branch.ended != joined.ended {
                if joined.ended {
                    joined = branch;
                }
                continue;
            }
            joined.may_have_more |= branch.may_have_more;
            for (name, variable) in &mut joined.variables {
                match branch.variables.remove(name) {
                    Some(other) if other.value == variable.value => variable.exported |= other.exported,
                    _ => variable.value = Rc::new(Value::Unknown),
                }
            }
            for (name, mut variable) in branch.variables {
                variable.value = Rc::new(Value::Unknown);
                joined.variables.insert(name, variable);
            }
            if joined.arguments != branch.arguments {
                joined.arguments = None;
            }
            if joined.directory != branch.directory {
                joined.directory = None;
            }
            joined.functions.append(&mut branch.functions);
        }
        Some(joined)
    }
}

/// Whether operators or the shell itself set a variable.
pub fn set_by_others(name: &str) -> bool {
    SET_BY_OTHERS.contains(&name) || SET_BY_OTHERS_BEGIN.iter().any(|begin| name.starts_with(begin))
}
