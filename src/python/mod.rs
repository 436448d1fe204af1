//! Python programs that lie in the stream: which calls they make, with the arguments that are literal settings.
//!
//! ```text
//! text ─► tokens ─► shallow? ─► syntax tree ─► names and calls by scope ─► calls with the values of their arguments
//! ```
//!
//! Nothing is run. A value is known if it is a literal, or follows from literals: a name with one value, an attribute of
//! a class, an option's default, a variable of the environment, an f-string, arithmetic. Everything else is unknown, and
//! an unknown value stays unknown through all that is made of it. A statement under a condition counts only if the
//! condition is known. A function counts only if the program names it.
//!
//! The work is bounded: bytes of text, nesting, steps of evaluation, and the size of a value.

mod arithmetic;
mod builtins;
mod depth;
mod evaluate;
mod names;
mod options;
mod parameters;
mod returned;
mod scope;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use ruff_python_ast::Mod;
use ruff_python_parser::{Mode, ParseOptions, parse_unchecked};

/// The most bytes of a program that are read.
pub(crate) const MOST_BYTES: usize = 128 << 10;
/// The most calls of a program that are kept.
const MOST_CALLS: usize = 2_000;

/// A value in a program.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// A plain value. Python's `None` is null.
    Plain(serde_json::Value),
    /// The result of a call, by its number in [`Program::calls`].
    Call(usize),
    /// A value that does not follow from literals.
    Unknown,
}

/// A call.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Call {
    /// The function with its dotted path, imports resolved: `transformers.TrainingArguments`, `model.to`.
    pub(crate) function: String,
    /// The arguments without a name.
    pub(crate) positional: Vec<Value>,
    /// The arguments by name.
    pub(crate) named: BTreeMap<String, Value>,
    /// Whether there may be more arguments: `**settings`.
    pub(crate) may_have_more: bool,
    /// Whether the call is made when the program runs. `None` if that is not known.
    pub(crate) runs: Option<bool>,
}

impl Call {
    /// The function's name without its path.
    pub(crate) fn name(&self) -> &str {
        self.function.rsplit('.').next().unwrap_or_default()
    }
}

/// A statement that sets an attribute: `recipe.trainer.devices = 8`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Assignment {
    /// The attribute with its dotted path: `recipe.trainer.devices`.
    pub(crate) path: String,
    /// Its value.
    pub(crate) value: Value,
    /// Whether the statement runs. `None` if that is not known.
    pub(crate) runs: Option<bool>,
    /// The number of calls before it in the text.
    pub(crate) after: usize,
}

/// A class that a program derives from others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Derived {
    /// The others with their dotted paths.
    pub(crate) bases: Vec<String>,
    /// The names that its own body binds, such as methods.
    pub(crate) members: BTreeSet<String>,
}

/// What a program says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Program {
    /// Its calls, in the order of the text.
    pub(crate) calls: Vec<Call>,
    /// The attributes that it sets to a value, in the order of the text.
    pub(crate) assigned: Vec<Assignment>,
    /// The packages that it imports, without submodules.
    pub(crate) packages: BTreeSet<String>,
    /// The fields of its data classes that have a plain default. Without those that two classes have with different ones.
    pub(crate) fields: BTreeMap<String, serde_json::Value>,
    /// Its classes that are derived from others, by name.
    pub(crate) derived: BTreeMap<String, Derived>,
    /// The attributes that it sets: `training_args.bf16 = True`. A setting of this name may change later.
    pub(crate) sets: BTreeSet<String>,
}

/// What a program is given when it starts.
pub(crate) trait Given {
    /// The value of an option, under one of these spellings.
    fn option(&self, spellings: &[String]) -> Option<Passed>;
    /// A variable of the environment.
    fn variable(&self, name: &str) -> Option<Passed>;
}

/// No options and no environment: a program that is read as it stands.
pub(crate) struct NothingGiven;

impl Given for NothingGiven {
    fn option(&self, _: &[String]) -> Option<Passed> {
        None
    }

    fn variable(&self, _: &str) -> Option<Passed> {
        None
    }
}

/// A value from the command line or the environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Passed {
    /// A text.
    Text(String),
    /// An option without a value.
    Switch,
    /// It may be there, and its value is not known.
    Unknown,
}

/// Reads a program, and takes the steps of its evaluation from `steps`. `None` if it is too long or too deep, or is no
/// Python.
pub(crate) fn read(text: &str, given: &dyn Given, steps: &mut usize) -> Option<Program> {
    if text.len() > MOST_BYTES || !depth::is_shallow(text) {
        return None;
    }
    let parsed = parse_unchecked(text, ParseOptions::from(Mode::Module));
    if !parsed.errors().is_empty() {
        return None;
    }
    let Mod::Module(module) = parsed.syntax() else { return None };
    let scopes = scope::Scopes::of(&module.body);
    Some(evaluate::program(&scopes, given, steps))
}
