//! The results of calls, as far as they follow from literals: a few functions of Python itself, and the environment.

use ruff_python_ast::{Expr, ExprCall};
use serde_json::{Map, Value as Json};

use super::Value;
use super::arithmetic::{bounded, number, truth};
use super::evaluate::{Evaluation, address};
use super::options::given_as;
use super::scope::ScopeId;

impl<'a> Evaluation<'_, 'a> {
    pub(super) fn variable(&self, name: &str, default: Option<Value>) -> Value {
        match self.given.variable(name) {
            Some(passed) => given_as(passed, None),
            None => default.unwrap_or(Value::Unknown),
        }
    }

    /// The result of a call: of a few functions of Python itself, or the call.
    pub(super) fn result(&self, call: &'a ExprCall, scope: ScopeId, depth: usize) -> Value {
        let arguments = &call.arguments;
        let given = |at: usize| arguments.args.get(at).map(|given| self.value(given, scope, depth + 1));
        let first = || given(0).unwrap_or(Value::Unknown);
        let path = self.path(&call.func, scope, depth + 1).unwrap_or_default();
        let plain = |value: Option<Json>| value.map_or(Value::Unknown, Value::Plain);
        match path.as_str() {
            "os.environ.get" | "os.getenv" => match first() {
                Value::Plain(Json::String(name)) => {
                    self.variable(&name, given(1).or(Some(Value::Plain(Json::Null))))
                }
                _ => Value::Unknown,
            },
            "int" | "float" => plain(number(&first())),
            "str" | "Path" | "pathlib.Path" => plain(match first() {
                Value::Plain(Json::String(text)) => Some(text.into()),
                Value::Plain(Json::Number(number)) => Some(number.to_string().into()),
                _ => None,
            }),
            "bool" => plain(truth(&first()).map(Json::from)),
            "getattr" => match (arguments.args.first(), given(1)) {
                (Some(module @ Expr::Name(_)), Some(Value::Plain(Json::String(name))))
                    if self.path(module, scope, depth + 1).as_deref() == Some("torch") =>
                {
                    Value::Plain(name.into())
                }
                _ => Value::Unknown,
            },
            // The order of a list changes nothing that is read.
            "list" | "tuple" | "sorted" | "set" if arguments.args.len() == 1 => plain(match first() {
                Value::Plain(list @ Json::Array(_)) => Some(list),
                _ => None,
            }),
            "dict" if arguments.args.is_empty() => plain(self.keywords(call, scope, depth)),
            "os.path.join" => plain(self.joined(call, scope, depth)),
            _ => self
                .looked_up(call, scope, depth)
                .or_else(|| self.returned(call, scope, depth))
                .unwrap_or_else(|| {
                    self.sites.get(&address(call)).map_or(Value::Unknown, |at| Value::Call(*at))
                }),
        }
    }

    /// `dict(name=value, …)`, if every value is known.
    fn keywords(&self, call: &'a ExprCall, scope: ScopeId, depth: usize) -> Option<Json> {
        let keys = call.arguments.keywords.iter().map(|keyword| {
            match (&keyword.arg, self.value(&keyword.value, scope, depth + 1)) {
                (Some(name), Value::Plain(value)) => Some((name.as_str().to_owned(), value)),
                _ => None,
            }
        });
        bounded(Json::Object(keys.collect::<Option<Map<_, _>>>()?))
    }

    /// `os.path.join(part, …)`, if every part is known.
    fn joined(&self, call: &'a ExprCall, scope: ScopeId, depth: usize) -> Option<Json> {
        let parts = call.arguments.args.iter().map(|part| match self.value(part, scope, depth + 1) {
            Value::Plain(Json::String(part)) => Some(part),
            _ => None,
        });
        bounded(parts.collect::<Option<Vec<_>>>()?.join("/").into())
    }

    /// `dictionary.get(key, default)` of a dictionary that is known.
    fn looked_up(&self, call: &'a ExprCall, scope: ScopeId, depth: usize) -> Option<Value> {
        let Expr::Attribute(method) = &*call.func else { return None };
        if method.attr.as_str() != "get" {
            return None;
        }
        let Value::Plain(Json::Object(keys)) = self.value(&method.value, scope, depth + 1) else {
            return None;
        };
        let given = |at: usize| Some(self.value(call.arguments.args.get(at)?, scope, depth + 1));
        let Value::Plain(Json::String(key)) = given(0)? else { return None };
        let known = keys.get(&key).cloned().map(Value::Plain);
        Some(known.or_else(|| given(1)).unwrap_or(Value::Plain(Json::Null)))
    }
}
