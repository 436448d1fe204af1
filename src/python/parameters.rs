//! The values of a function's parameters: what the calls of the function give, or the defaults.
//!
//! | call | value |
//! | --- | --- |
//! | `train(model="x")`, `train("x")` | the argument |
//! | `train(**{"model": "x"})`, `train(**settings)` | the dictionary's, if its names are known |
//! | `TorchTrainer(train, train_loop_config={…})` of Ray | the dictionary |
//! | `fire.Fire(train)` and its like | the option of the command line |
//!
//! Calls that give different values leave the parameter unknown.

use ruff_python_ast::{Expr, ExprCall};

use super::Value;
use super::evaluate::{Evaluation, name_of};
use super::options::{given_as, spellings};
use super::scope::{ScopeId, Site};

/// The functions that call a function with the command line's options: `fire.Fire(train)`.
const RUNNERS: &[&str] = &["Fire", "run", "cli", "command", "main"];

impl<'a> Evaluation<'_, 'a> {
    /// A parameter: the value that every call of its function gives it, or its default.
    pub(super) fn parameter(
        &self,
        function: &str,
        name: &str,
        at: usize,
        default: Option<(&'a Expr, ScopeId)>,
        depth: usize,
    ) -> Value {
        let default =
            || default.map_or(Value::Unknown, |(default, scope)| self.value(default, scope, depth + 1));
        let mut found: Option<Value> = None;
        for site in &self.scopes.sites {
            if !self.step() {
                return Value::Unknown;
            }
            let arguments = &site.call.arguments;
            let is_named =
                |expression: &Expr| matches!(expression, Expr::Name(n) if n.id.as_str() == function);
            let value = if is_named(&site.call.func) {
                match self.given_by(site, name, at, depth) {
                    Ok(given) => given.unwrap_or_else(default),
                    Err(Unread) => return Value::Unknown,
                }
            } else if is_started_by_ray(site.call, is_named) {
                // The function has one parameter, a dictionary.
                let settings = given(site.call, "train_loop_config", 1);
                settings.map_or_else(default, |settings| self.value(settings, site.scope, depth + 1))
            } else if arguments.args.iter().any(is_named) {
                if !RUNNERS.contains(&name_of(site.call)) {
                    return Value::Unknown;
                }
                match self.given.option(&spellings(name)) {
                    Some(passed) => given_as(passed, None),
                    None => default(),
                }
            } else {
                continue;
            };
            if found.as_ref().is_some_and(|found| *found != value) {
                return Value::Unknown;
            }
            found = Some(value);
        }
        found.unwrap_or(Value::Unknown)
    }

    /// The value that a call gives to a parameter, if it gives one.
    fn given_by(
        &self,
        site: &Site<'a>,
        name: &str,
        at: usize,
        depth: usize,
    ) -> Result<Option<Value>, Unread> {
        let arguments = &site.call.arguments;
        if arguments.args.iter().any(Expr::is_starred_expr) {
            return Err(Unread);
        }
        if let Some(given) = given(site.call, name, at) {
            return Ok(Some(self.value(given, site.scope, depth + 1)));
        }
        for spread in arguments.keywords.iter().filter(|keyword| keyword.arg.is_none()) {
            let items = self.spread(&spread.value, site.scope, depth + 1).ok_or(Unread)?;
            if let Some((_, value)) = items.into_iter().find(|(key, _)| key == name) {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }
}

/// Arguments of a call that do not follow from the text.
struct Unread;

/// Whether a trainer of Ray starts a function: `TorchTrainer(train, train_loop_config={…})`.
fn is_started_by_ray(call: &ExprCall, is_named: impl Fn(&Expr) -> bool) -> bool {
    name_of(call).ends_with("Trainer") && given(call, "train_loop_per_worker", 0).is_some_and(is_named)
}

/// An argument by its name or its place.
fn given<'a>(call: &'a ExprCall, name: &str, at: usize) -> Option<&'a Expr> {
    let named = call.arguments.find_keyword(name).map(|keyword| &keyword.value);
    named.or_else(|| call.arguments.args.get(at))
}
