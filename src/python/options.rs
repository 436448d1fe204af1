//! The settings that a program takes from its command line: options that `add_argument` declares, and fields of the data
//! classes that a parser fills.

use std::collections::{BTreeMap, BTreeSet};

use ruff_python_ast::{Expr, ExprCall};

use super::evaluate::{DEEPEST, Evaluation, MOST_NAME, name_of};
use super::scope::{Bound, ScopeId};
use super::{Passed, Value};

/// The functions that parse a command line.
const PARSERS: &[&str] =
    &["parse_args", "parse_known_args", "parse_args_into_dataclasses", "parse_args_and_config"];
/// An option that the program declares.
pub(super) struct Declared<'a> {
    spellings: Vec<String>,
    default: Option<(&'a Expr, ScopeId)>,
    /// What the option means without a value: `store_true` is true.
    switch: Option<bool>,
    /// What its `type` makes of a text.
    makes: Makes,
}

/// What an option's `type` makes of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Makes {
    /// The text, or a number.
    Text,
    /// A truth, by a function of the program or of a library, if the text is a word for one.
    Truth,
}

impl Makes {
    /// `bool` makes true of every text but an empty one.
    fn of(kind: Option<&Expr>) -> Self {
        match kind {
            None => Self::Text,
            Some(Expr::Name(name)) if ["str", "int", "float", "bool"].contains(&name.id.as_str()) => {
                Self::Text
            }
            Some(_) => Self::Truth,
        }
    }

    fn apply(self, value: Value) -> Value {
        match &value {
            Value::Plain(serde_json::Value::String(text)) if self == Self::Truth => {
                match text.to_ascii_lowercase().as_str() {
                    "true" => Value::Plain(true.into()),
                    "false" => Value::Plain(false.into()),
                    _ => value,
                }
            }
            _ => value,
        }
    }
}

impl<'a> Evaluation<'_, 'a> {
    /// A setting of the parsed command line. `None` if the call parses none.
    pub(super) fn parsed(&self, call: &'a ExprCall, name: &str, depth: usize) -> Option<Value> {
        if !PARSERS.contains(&name_of(call)) || name.len() > MOST_NAME {
            return None;
        }
        if let Some(option) = self.options().get(name) {
            return Some(match self.given.option(&option.spellings) {
                Some(passed) => option.makes.apply(given_as(passed, option.switch)),
                None => match (option.default, option.switch) {
                    (Some((default, scope)), _) => self.value(default, scope, depth + 1),
                    (None, Some(switch)) => Value::Plain((!switch).into()),
                    (None, None) => Value::Unknown,
                },
            });
        }
        let fields = self.scopes.all.iter().enumerate();
        let mut fields = fields.filter(|(_, scope)| scope.is_data && scope.names.contains_key(name));
        let field = fields.next().filter(|_| fields.next().is_none());
        Some(match (self.given.option(&spellings(name)), field) {
            // A parser of data classes makes a truth of a word for one.
            (Some(passed), _) => Makes::Truth.apply(given_as(passed, None)),
            (None, Some((class, _))) => self.member(class, name, depth),
            (None, None) => Value::Unknown,
        })
    }

    /// The same, if the parsed command line is passed to this parameter by every call of the function.
    pub(super) fn parsed_and_passed(
        &self,
        function: &str,
        parameter: &str,
        at: usize,
        name: &str,
        depth: usize,
    ) -> Option<Value> {
        if depth > DEEPEST {
            return None;
        }
        let mut found: Option<Value> = None;
        for site in &self.scopes.sites {
            if !self.step() {
                return None;
            }
            if !matches!(&*site.call.func, Expr::Name(n) if n.id.as_str() == function) {
                continue;
            }
            let arguments = &site.call.arguments;
            let keyword = arguments.find_keyword(parameter);
            let Expr::Name(owner) =
                keyword.map(|keyword| &keyword.value).or_else(|| arguments.args.get(at))?
            else {
                return None;
            };
            let bindings = self.seen(owner, site.scope);
            let [binding] = bindings.as_slice() else { return None };
            let (Bound::Value(Expr::Call(call)) | Bound::Part(Expr::Call(call))) = binding.bound else {
                return None;
            };
            let value = self.parsed(call, name, depth + 1)?;
            if found.as_ref().is_some_and(|found| *found != value) {
                return Some(Value::Unknown);
            }
            found = Some(value);
        }
        found
    }

    /// The options that the program declares, by the name of their value.
    fn options(&self) -> std::rc::Rc<BTreeMap<String, Declared<'a>>> {
        if let Some(options) = &*self.options.borrow() {
            return options.clone();
        }
        let mut options = BTreeMap::new();
        let mut twice = BTreeSet::new();
        for site in self.scopes.sites.iter().filter(|site| name_of(site.call) == "add_argument") {
            let arguments = &site.call.arguments;
            let keyword = |name: &str| arguments.find_keyword(name).map(|k| &k.value);
            let literal = |expression: &Expr| match expression {
                Expr::StringLiteral(text) => Some(text.value.to_str().to_owned()),
                _ => None,
            };
            let names: Vec<String> = arguments.args.iter().filter_map(literal).collect();
            let long = names.iter().find(|name| name.starts_with("--")).or(names.first());
            let Some(long) = long.filter(|name| name.starts_with('-')) else { continue };
            let dest = keyword("dest").and_then(literal);
            let dest = dest.unwrap_or_else(|| long.trim_start_matches('-').replace('-', "_"));
            let switch = match keyword("action").and_then(literal).as_deref() {
                Some("store_true") => Some(true),
                Some("store_false") => Some(false),
                _ => None,
            };
            let spellings = names.iter().map(|name| name.trim_start_matches('-').to_owned()).collect();
            let default = keyword("default").map(|default| (default, site.scope));
            let makes = Makes::of(keyword("type"));
            if options.insert(dest.clone(), Declared { spellings, default, switch, makes }).is_some() {
                twice.insert(dest);
            }
        }
        // Subcommands may declare the same option with other defaults.
        for dest in twice {
            if let Some(option) = options.get_mut(&dest) {
                (option.default, option.switch) = (None, None);
            }
        }
        let options = std::rc::Rc::new(options);
        *self.options.borrow_mut() = Some(options.clone());
        options
    }
}

/// The spellings of an option: with dashes and with underscores.
pub(super) fn spellings(name: &str) -> Vec<String> {
    vec![name.to_owned(), name.replace('_', "-")]
}

/// A passed option as a value. A switch means `switch`, or true.
pub(super) fn given_as(passed: Passed, switch: Option<bool>) -> Value {
    match passed {
        Passed::Text(text) => Value::Plain(text.into()),
        Passed::Switch => Value::Plain(switch.unwrap_or(true).into()),
        Passed::Unknown => Value::Unknown,
    }
}
