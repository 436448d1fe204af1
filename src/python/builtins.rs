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
        let first =
            || arguments.args.first().map_or(Value::Unknown, |first| self.value(first, scope, depth + 1));
        let second = || arguments.args.get(1).map(|second| self.value(second, scope, depth + 1));
        let path = self.path(&call.func, scope, depth + 1).unwrap_or_default();
        let plain = |value: Option<Json>| value.map_or(Value::Unknown, Value::Plain);
        match path.as_str() {
            "os.environ.get" | "os.getenv" => match first() {
                Value::Plain(Json::String(name)) => {
                    let default = second().or(Some(Value::Plain(Json::Null)));
                    self.variable(&name, default)
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
            "getattr" => match (arguments.args.first(), second()) {
                (Some(module @ Expr::Name(_)), Some(Value::Plain(Json::String(name))))
                    if self.path(module, scope, depth + 1).as_deref() == Some("torch") =>
                {
                    Value::Plain(name.into())
                }
                _ => Value::Unknown,
            },
            "dict" if arguments.args.is_empty() => {
                let mut keys = Map::new();
                for keyword in &arguments.keywords {
                    match (&keyword.arg, self.value(&keyword.value, scope, depth + 1)) {
                        (Some(name), Value::Plain(value)) => {
                            keys.insert(name.as_str().to_owned(), value);
                        }
                        _ => return Value::Unknown,
                    }
                }
                plain(bounded(Json::Object(keys)))
            }
            "os.path.join" => {
                let parts = arguments.args.iter().map(|part| match self.value(part, scope, depth + 1) {
                    Value::Plain(Json::String(part)) => Some(part),
                    _ => None,
                });
                plain(
                    parts
                        .collect::<Option<Vec<_>>>()
                        .map(|parts| parts.join("/"))
                        .and_then(|text| bounded(text.into())),
                )
            }
            _ => {
                if let Expr::Attribute(method) = &*call.func
                    && method.attr.as_str() == "get"
                    && let Value::Plain(Json::Object(keys)) = self.value(&method.value, scope, depth + 1)
                    && let Value::Plain(Json::String(key)) = first()
                {
                    let known = keys.get(&key).cloned().map(Value::Plain);
                    return known.or_else(second).unwrap_or(Value::Plain(Json::Null));
                }
                self.sites.get(&address(call)).map_or(Value::Unknown, |at| Value::Call(*at))
            }
        }
    }
}
