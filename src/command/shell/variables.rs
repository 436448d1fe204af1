//! The state of a shell: its variables, functions, arguments and directory, as far as they are known.

use std::collections::BTreeMap;
use std::rc::Rc;

use brush_parser::ast::CompoundCommand;

use crate::command::Environment;
use crate::command::files::absolute;
use crate::command::text::{Text, common_ends};

/// Variables that the operator of the pods or the shell itself sets. If the object does not set one, its value is
/// unknown and a default does not hold.
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
/// The same, for variables with these prefixes.
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

/// The value of a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// A text.
    Text(Text),
    /// An array.
    Array(Vec<Text>),
    /// None: the variable was unset.
    Unset,
    /// Not known.
    Unknown,
}

impl Value {
    /// What two values of a variable of this name have in common.
    fn common(&self, other: &Self, name: &str) -> Self {
        match (self, other) {
            (Self::Text(one), Self::Text(other)) => {
                one.common(other, &format!("${name}")).map_or(Self::Unknown, Self::Text)
            }
            (Self::Array(one), Self::Array(other)) => {
                let (begin, end) = common_ends(one, other);
                if begin + end == 0 {
                    return Self::Unknown;
                }
                let unknown = Text::unknown(&format!("${{{name}[@]}}"));
                let ends = one.iter().skip(one.len() - end);
                Self::Array(one.iter().take(begin).chain([&unknown]).chain(ends).cloned().collect())
            }
            _ => Self::Unknown,
        }
    }
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
    /// Whether variables may be set that are not known.
    may_have_more: bool,
    /// Functions by name.
    pub(crate) functions: BTreeMap<String, Rc<CompoundCommand>>,
    /// `$1` and the following, if they are known.
    pub(crate) arguments: Option<Vec<Text>>,
    /// The working directory, as far as it is known.
    pub(crate) directory: Option<String>,
    /// The path of the script that is read, if it is a file.
    pub(crate) script: Option<String>,
    /// How many temporary files were made.
    pub(crate) temporaries: usize,
    /// Whether every assignment is exported (`set -a`).
    pub(crate) exports_all: bool,
    /// Whether the script has ended: `exit`, `return`, `exec` of a program.
    pub(crate) ended: bool,
    /// Whether it has ended with a failure: `exit 1`.
    pub(crate) failed: bool,
}

impl State {
    /// A shell with an environment.
    pub(crate) fn of(environment: &Environment, directory: Option<String>) -> Self {
        let variables = environment.texts().map(|(name, text)| {
            let value = if text.is_unknown() { Value::Unknown } else { Value::Text(text.clone()) };
            (name.to_owned(), Variable { value: Rc::new(value), exported: true })
        });
        let may_have_more = environment.may_have_more;
        Self { variables: variables.collect(), may_have_more, directory, ..Self::default() }
    }

    /// The value of a variable. None if the variable is not set.
    pub(crate) fn get(&self, name: &str) -> Option<Rc<Value>> {
        match self.variables.get(name) {
            Some(variable) => Some(Rc::clone(&variable.value)),
            None if name == "PWD" && self.directory.is_some() => {
                self.directory.as_deref().map(|path| Rc::new(Value::Text(Text::known(path))))
            }
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

    /// Whether a variable has a text.
    pub(crate) fn is_text(&self, name: &str) -> bool {
        matches!(self.variables.get(name).map(|variable| variable.value.as_ref()), Some(Value::Text(_)))
    }

    /// Adds to a variable's text. Gives the cost: also that of the old text, if another state has it, too.
    pub(crate) fn add(&mut self, name: &str, more: &Text) -> usize {
        let Some(variable) = self.variables.get_mut(name) else { return 0 };
        variable.exported |= self.exports_all;
        let is_shared = Rc::get_mut(&mut variable.value).is_none();
        let Value::Text(text) = Rc::make_mut(&mut variable.value) else { return 0 };
        let copied = if is_shared { text.cost() } else { 0 };
        text.append(more);
        copied + more.cost()
    }

    /// Notes that variables may be set that are not read.
    pub(crate) fn leave_variables_open(&mut self) {
        self.may_have_more = true;
    }

    /// Exports a variable.
    pub(crate) fn export(&mut self, name: &str) {
        if let Some(variable) = self.variables.get_mut(name) {
            variable.exported = true;
        }
    }

    /// How many variables there are.
    pub(crate) fn size(&self) -> usize {
        self.variables.len()
    }

    /// The environment of a program that the shell starts.
    pub(crate) fn environment(&self) -> Environment {
        let exported = self.variables.iter().filter(|(_, variable)| variable.exported);
        let values = exported.filter_map(|(name, variable)| match variable.value.as_ref() {
            Value::Text(text) => Some((name.clone(), text.clone())),
            Value::Unknown => Some((name.clone(), Text::of_variable(name, None))),
            Value::Array(_) | Value::Unset => None,
        });
        values.collect::<Environment>().that_may_have_more(self.may_have_more)
    }

    /// Makes a path absolute, if the directory is known.
    pub(crate) fn path(&self, path: &str) -> String {
        absolute(self.directory.as_deref(), path)
    }

    /// The state after one of several branches was run. Of values that differ between the branches, the words are known
    /// with which all begin and end.
    pub(crate) fn join(branches: Vec<Self>) -> Option<Self> {
        Self::joined(branches, |name, one, other| one.common(other, name))
    }

    /// The state after a loop that was run any number of times. Values that differ are unknown.
    pub(crate) fn join_any(branches: Vec<Self>) -> Option<Self> {
        Self::joined(branches, |_, _, _| Value::Unknown)
    }

    fn joined(branches: Vec<Self>, common: fn(&str, &Value, &Value) -> Value) -> Option<Self> {
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
                    Some(other) => {
                        variable.exported |= other.exported;
                        if other.value != variable.value {
                            variable.value = Rc::new(common(name, &variable.value, &other.value));
                        }
                    }
                    None => variable.value = Rc::new(Value::Unknown),
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

/// Whether an operator or the shell itself sets a variable.
pub fn set_by_others(name: &str) -> bool {
    SET_BY_OTHERS.contains(&name) || SET_BY_OTHERS_BEGIN.iter().any(|begin| name.starts_with(begin))
}
