//! The results of the functions that a program defines: `def env(name, default): return os.environ.get(name, default)`.
//!
//! A function is evaluated with the arguments of the call. The first `return` whose conditions hold gives the result. If
//! a condition before it is not known, the result is not known either.

use ruff_python_ast::{Expr, ExprCall};
use serde_json::Value as Json;

use super::Value;
use super::evaluate::{DEEPEST, Evaluation};
use super::scope::{Bound, ScopeId};

/// The deepest nesting of such functions.
const NESTED: usize = 4;

/// A function whose result is being evaluated, with the values of its parameters.
pub(super) struct Inlined<'a> {
    function: &'a str,
    given: Vec<(&'a str, Value)>,
}

impl<'a> Evaluation<'_, 'a> {
    /// The value that the call gives to a parameter, if the function's result is being evaluated.
    pub(super) fn passed(&self, function: &str, parameter: &str) -> Option<Value> {
        let inlined = self.inlined.borrow();
        let innermost = inlined.last().filter(|inlined| inlined.function == function)?;
        innermost.given.iter().find(|(name, _)| *name == parameter).map(|(_, value)| value.clone())
    }

    /// The result of a function of the program, if it is a plain value.
    pub(super) fn returned(&self, call: &'a ExprCall, scope: ScopeId, depth: usize) -> Option<Value> {
        if depth > DEEPEST || self.inlined.borrow().len() >= NESTED {
            return None;
        }
        let Expr::Name(function) = &*call.func else { return None };
        let [binding] = self.bindings(function.id.as_str(), scope)[..] else { return None };
        let Bound::Function(body) = binding.bound else { return None };
        let given = self.given_to(body, call, scope, depth)?;
        let function = self.scopes.all.get(body)?.function?;
        self.inlined.borrow_mut().push(Inlined { function, given });
        let result = self.first_return(body, depth + 1);
        self.inlined.borrow_mut().pop();
        result
    }

    /// The parameters that have a value: the arguments, else the defaults.
    fn given_to(
        &self,
        body: ScopeId,
        call: &'a ExprCall,
        scope: ScopeId,
        depth: usize,
    ) -> Option<Vec<(&'a str, Value)>> {
        let arguments = &call.arguments;
        let spreads = arguments.args.iter().any(Expr::is_starred_expr)
            || arguments.keywords.iter().any(|keyword| keyword.arg.is_none());
        if spreads {
            return None;
        }
        let names = &self.scopes.all.get(body)?.names;
        let parameters = names.values().flatten().filter_map(|binding| match binding.bound {
            Bound::Parameter { name, at, default, .. } => Some((name, at, default, binding.scope)),
            _ => None,
        });
        let given = parameters.map(|(name, at, default, around)| {
            let named = arguments.find_keyword(name).map(|keyword| &keyword.value);
            let value = match (named.or_else(|| arguments.args.get(at)), default) {
                (Some(given), _) => self.value(given, scope, depth + 1),
                (None, Some(default)) => self.value(default, around, depth + 1),
                (None, None) => Value::Unknown,
            };
            (name, value)
        });
        Some(given.collect())
    }

    fn first_return(&self, body: ScopeId, depth: usize) -> Option<Value> {
        for (value, under) in &self.scopes.all.get(body)?.returns {
            match self.runs(under, depth) {
                Some(true) => {
                    let value =
                        value.map_or(Value::Plain(Json::Null), |value| self.value(value, body, depth));
                    return matches!(value, Value::Plain(_)).then_some(value);
                }
                Some(false) => {}
                None => return None,
            }
        }
        None
    }
}
