//! The values of expressions, as far as they follow from literals.
//!
//! An unknown part makes the whole unknown. A name with several values is unknown, unless all are equal. Evaluation has
//! a budget of steps, and a value has a largest size. When either is reached, values are unknown.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use ruff_python_ast::{
    BoolOp, CmpOp, Expr, ExprAttribute, ExprCall, FStringPart, InterpolatedStringElement, Number, Operator,
    UnaryOp,
};
use serde_json::{Map, Value as Json};

use super::scope::{Binding, Bound, Condition, ScopeId, Scopes};
use super::{Call, Given, Passed, Program, Value};

/// The deepest chain of names and expressions.
const DEEPEST: usize = 48;
/// The most bytes of a text.
const MOST_TEXT: usize = 4 << 10;
/// The most elements of a list or a dictionary.
const MOST_ELEMENTS: usize = 512;

/// The longest name.
const MOST_NAME: usize = 128;
/// The most bindings of a name that are compared.
const MOST_BINDINGS: usize = 16;
/// The most bytes of all values that calls keep.
const MOST_KEPT: usize = 256 << 10;

/// The functions that parse a command line.
const PARSERS: &[&str] =
    &["parse_args", "parse_known_args", "parse_args_into_dataclasses", "parse_args_and_config"];
/// The functions that call a function with the command line's options: `fire.Fire(train)`.
const RUNNERS: &[&str] = &["Fire", "run", "cli", "command", "main"];

/// The calls of a program, with the values of their arguments.
pub(super) fn program(scopes: &Scopes<'_>, given: &dyn Given, steps: &mut usize) -> Program {
    let evaluation = Evaluation {
        scopes,
        given,
        steps: Cell::new(*steps),
        room: Cell::new(MOST_KEPT),
        sites: scopes.sites.iter().enumerate().map(|(at, site)| (address(site.call), at)).collect(),
        options: RefCell::new(None),
    };
    let calls = scopes.sites.iter().map(|site| evaluation.call(site.call, site.scope, &site.under)).collect();
    *steps = evaluation.steps.get();
    let imports = scopes.all.iter().flat_map(|scope| scope.names.values().flatten());
    let packages = imports.filter_map(|binding| match binding.bound {
        Bound::Import(path, _) => path.split('.').next().map(str::to_owned),
        _ => None,
    });
    Program {
        calls,
        packages: packages.collect(),
        sets: scopes.sets.iter().map(|name| (*name).to_owned()).collect(),
    }
}

/// The identity of a call in the tree.
fn address(call: &ExprCall) -> *const ExprCall {
    std::ptr::from_ref(call)
}

/// An option that the program declares.
struct Declared<'a> {
    spellings: Vec<String>,
    default: Option<(&'a Expr, ScopeId)>,
    /// What the option means without a value: `store_true` is true.
    switch: Option<bool>,
}

struct Evaluation<'e, 'a> {
    scopes: &'e Scopes<'a>,
    given: &'e dyn Given,
    steps: Cell<usize>,
    room: Cell<usize>,
    sites: BTreeMap<*const ExprCall, usize>,
    options: RefCell<Option<std::rc::Rc<BTreeMap<String, Declared<'a>>>>>,
}

impl<'a> Evaluation<'_, 'a> {
    /// A call with the values of its arguments.
    fn call(&self, call: &'a ExprCall, scope: ScopeId, under: &[Condition<'a>]) -> Call {
        let mut made = Call {
            function: self.path(&call.func, scope, 0).unwrap_or_default(),
            positional: Vec::new(),
            named: BTreeMap::new(),
            may_have_more: false,
            runs: if self.is_called(scope) { self.runs(under, 0) } else { Some(false) },
        };
        for argument in &call.arguments.args {
            match argument {
                Expr::Starred(_) => made.may_have_more = true,
                argument => made.positional.push(self.kept(argument, scope)),
            }
        }
        for keyword in &call.arguments.keywords {
            match (&keyword.arg, self.kept(&keyword.value, scope)) {
                (Some(name), value) => {
                    made.named.insert(name.as_str().to_owned(), value);
                }
                (None, Value::Plain(Json::Object(settings))) => {
                    made.named.extend(settings.into_iter().map(|(name, value)| (name, Value::Plain(value))));
                }
                (None, _) => made.may_have_more = true,
            }
        }
        made
    }

    /// The value of an argument, as long as there is room for it.
    fn kept(&self, argument: &'a Expr, scope: ScopeId) -> Value {
        let value = self.value(argument, scope, 0);
        let bytes = match &value {
            Value::Plain(value) => size(value),
            Value::Call(_) | Value::Unknown => 1,
        };
        let left = self.room.get();
        self.room.set(left.saturating_sub(bytes));
        if bytes <= left { value } else { Value::Unknown }
    }

    /// Whether the code of a scope is ever called. A method counts as called if its class is named.
    fn is_called(&self, scope: ScopeId) -> bool {
        let mut at = Some(scope);
        while let Some(scope) = at.and_then(|at| self.scopes.all.get(at)) {
            let in_class = scope.parent.and_then(|parent| self.scopes.all.get(parent)?.class).is_some();
            if scope.function.is_some_and(|name| !in_class && !self.scopes.read.contains(name))
                || scope.class.is_some_and(|name| !self.scopes.read.contains(name))
            {
                return false;
            }
            at = scope.parent;
        }
        true
    }

    /// Whether a statement runs. `None` if that is not known.
    fn runs(&self, under: &[Condition<'a>], depth: usize) -> Option<bool> {
        let mut all = Some(true);
        for condition in under {
            match condition.test.and_then(|test| truth(&self.value(test, condition.scope, depth + 1))) {
                Some(truth) if truth == condition.truth => {}
                Some(_) => return Some(false),
                None => all = None,
            }
        }
        all
    }

    /// The dotted path of a function, with imports resolved.
    fn path(&self, function: &'a Expr, scope: ScopeId, depth: usize) -> Option<String> {
        if depth > DEEPEST || !self.step() {
            return None;
        }
        match function {
            Expr::Name(name) if name.id.len() > MOST_NAME => None,
            Expr::Name(name) => {
                let name = name.id.as_str();
                let import = self.bindings(name, scope).into_iter().find_map(|binding| match binding.bound {
                    Bound::Import(module, Some(name)) => Some(format!("{module}.{name}")),
                    Bound::Import(module, None) => Some(module.to_owned()),
                    _ => None,
                });
                Some(import.unwrap_or_else(|| name.to_owned()))
            }
            Expr::Attribute(attribute) => {
                let around = self.path(&attribute.value, scope, depth + 1).unwrap_or_default();
                Some(format!("{around}.{}", attribute.attr.as_str())).filter(|path| path.len() <= MOST_TEXT)
            }
            _ => None,
        }
    }

    /// The bindings of a name that a scope sees. A class's names are not seen from its methods.
    fn bindings(&self, name: &str, scope: ScopeId) -> Vec<&Binding<'a>> {
        let mut at = Some(scope);
        while let Some((id, around)) = at.and_then(|at| Some((at, self.scopes.all.get(at)?))) {
            if (around.class.is_none() || id == scope)
                && let Some(bindings) = around.names.get(name)
            {
                return if bindings.len() <= MOST_BINDINGS { bindings.iter().collect() } else { Vec::new() };
            }
            at = around.parent;
        }
        Vec::new()
    }

    fn step(&self) -> bool {
        let left = self.steps.get();
        self.steps.set(left.saturating_sub(1));
        left > 0
    }

    /// The value of an expression.
    fn value(&self, expression: &'a Expr, scope: ScopeId, depth: usize) -> Value {
        if depth > DEEPEST || !self.step() {
            return Value::Unknown;
        }
        let plain = |value: Option<Json>| value.map_or(Value::Unknown, Value::Plain);
        let of = |expression: &'a Expr| self.value(expression, scope, depth + 1);
        match expression {
            Expr::StringLiteral(text) => plain(text_of(text.value.iter().map(|part| &*part.value))),
            Expr::FString(text) => plain(self.interpolated(text.value.iter(), scope, depth)),
            Expr::NumberLiteral(number) => plain(match &number.value {
                Number::Int(number) => number.as_i64().map(Json::from),
                Number::Float(number) => serde_json::Number::from_f64(*number).map(Json::from),
                Number::Complex { .. } => None,
            }),
            Expr::BooleanLiteral(truth) => Value::Plain(truth.value.into()),
            Expr::NoneLiteral(_) => Value::Plain(Json::Null),
            Expr::Name(name) => self.name(name.id.as_str(), scope, depth),
            Expr::Attribute(attribute) => self.attribute(attribute, scope, depth),
            Expr::Subscript(element) => {
                if self.path(&element.value, scope, depth).as_deref() == Some("os.environ")
                    && let Value::Plain(Json::String(name)) = of(&element.slice)
                {
                    return self.variable(&name, None);
                }
                plain(match (of(&element.value), of(&element.slice)) {
                    (Value::Plain(Json::Object(keys)), Value::Plain(Json::String(key))) => {
                        keys.get(&key).cloned()
                    }
                    (Value::Plain(Json::Array(elements)), Value::Plain(at)) => {
                        at.as_u64().and_then(|at| elements.get(usize::try_from(at).ok()?).cloned())
                    }
                    _ => None,
                })
            }
            Expr::Call(call) => self.result(call, scope, depth),
            Expr::List(list) => plain(self.list(&list.elts, scope, depth)),
            Expr::Tuple(list) => plain(self.list(&list.elts, scope, depth)),
            Expr::Set(list) => plain(self.list(&list.elts, scope, depth)),
            Expr::Dict(dictionary) => {
                let mut keys = Map::new();
                for item in dictionary.items.iter().take(MOST_ELEMENTS) {
                    match (item.key.as_ref().map(of), of(&item.value)) {
                        (Some(Value::Plain(Json::String(key))), Value::Plain(value)) => {
                            keys.insert(key, value);
                        }
                        (None, Value::Plain(Json::Object(more))) => keys.extend(more),
                        _ => return Value::Unknown,
                    }
                }
                plain(bounded(Json::Object(keys)))
            }
            Expr::BinOp(operation) => {
                plain(arithmetic(operation.op, of(&operation.left), of(&operation.right)))
            }
            Expr::UnaryOp(operation) => {
                let operand = of(&operation.operand);
                plain(match operation.op {
                    UnaryOp::Not => truth(&operand).map(|truth| Json::from(!truth)),
                    UnaryOp::USub => arithmetic(Operator::Sub, Value::Plain(0.into()), operand),
                    UnaryOp::UAdd | UnaryOp::Invert => None,
                })
            }
            Expr::BoolOp(operation) => {
                let decides = operation.op == BoolOp::Or;
                let mut last = Value::Unknown;
                for value in &operation.values {
                    last = of(value);
                    match truth(&last) {
                        Some(truth) if truth == decides => return last,
                        Some(_) => {}
                        None => return Value::Unknown,
                    }
                }
                last
            }
            Expr::Compare(comparison) => match (&*comparison.ops, &*comparison.comparators) {
                ([op], [right]) => plain(compared(*op, &of(&comparison.left), &of(right)).map(Json::from)),
                _ => Value::Unknown,
            },
            Expr::If(choice) => match truth(&of(&choice.test)) {
                Some(true) => of(&choice.body),
                Some(false) => of(&choice.orelse),
                None => {
                    let (one, other) = (of(&choice.body), of(&choice.orelse));
                    if one == other { one } else { Value::Unknown }
                }
            },
            _ => Value::Unknown,
        }
    }

    fn list(&self, elements: &'a [Expr], scope: ScopeId, depth: usize) -> Option<Json> {
        if elements.len() > MOST_ELEMENTS {
            return None;
        }
        let values = elements.iter().map(|element| match self.value(element, scope, depth + 1) {
            Value::Plain(value) => Some(value),
            _ => None,
        });
        bounded(Json::Array(values.collect::<Option<_>>()?))
    }

    fn interpolated(
        &self,
        parts: impl Iterator<Item = &'a FStringPart>,
        scope: ScopeId,
        depth: usize,
    ) -> Option<Json> {
        let mut whole = String::new();
        for part in parts {
            match part {
                FStringPart::Literal(text) => whole.push_str(&text.value),
                FStringPart::FString(text) => {
                    for element in &text.elements {
                        match element {
                            InterpolatedStringElement::Literal(text) => whole.push_str(&text.value),
                            InterpolatedStringElement::Interpolation(inner)
                                if inner.format_spec.is_none() && inner.debug_text.is_none() =>
                            {
                                match self.value(&inner.expression, scope, depth + 1) {
                                    Value::Plain(Json::String(text)) => whole.push_str(&text),
                                    Value::Plain(Json::Number(number)) => whole.push_str(&number.to_string()),
                                    _ => return None,
                                }
                            }
                            InterpolatedStringElement::Interpolation(_) => return None,
                        }
                    }
                }
            }
            if whole.len() > MOST_TEXT {
                return None;
            }
        }
        Some(whole.into())
    }

    /// The value of a name: that of its only binding, or of several that are equal.
    fn name(&self, name: &str, scope: ScopeId, depth: usize) -> Value {
        if name == "__name__" {
            return Value::Plain("__main__".into());
        }
        let mut found: Option<Value> = None;
        for binding in self.bindings(name, scope) {
            let runs = self.runs(&binding.under, depth + 1);
            if runs == Some(false) {
                continue;
            }
            let value = self.bound(binding, depth);
            if runs.is_none()
                || value == Value::Unknown
                || found.as_ref().is_some_and(|found| *found != value)
            {
                return Value::Unknown;
            }
            found = Some(value);
        }
        found.unwrap_or(Value::Unknown)
    }

    fn bound(&self, binding: &Binding<'a>, depth: usize) -> Value {
        match binding.bound {
            Bound::Value(expression) => self.value(expression, binding.scope, depth + 1),
            Bound::Parameter { function, name, at, default } => {
                self.parameter(function, name, at, default.map(|default| (default, binding.scope)), depth)
            }
            _ => Value::Unknown,
        }
    }

    /// A parameter: the value that every call of its function gives it, or its default.
    fn parameter(
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
                let keyword = arguments.find_keyword(name);
                if arguments.args.iter().any(Expr::is_starred_expr)
                    || arguments.keywords.iter().any(|keyword| keyword.arg.is_none())
                {
                    return Value::Unknown;
                }
                match keyword.map(|keyword| &keyword.value).or_else(|| arguments.args.get(at)) {
                    Some(given) => self.value(given, site.scope, depth + 1),
                    None => default(),
                }
            } else if arguments.args.iter().any(is_named) {
                let runner = match &*site.call.func {
                    Expr::Attribute(attribute) => attribute.attr.as_str(),
                    Expr::Name(name) => name.id.as_str(),
                    _ => "",
                };
                if !RUNNERS.contains(&runner) {
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

    fn attribute(&self, attribute: &'a ExprAttribute, scope: ScopeId, depth: usize) -> Value {
        let name = attribute.attr.as_str();
        // `torch.bfloat16` is a word. Packages under other names are not.
        if let Some(path) = self.path(&attribute.value, scope, depth + 1)
            && path == "torch"
            && matches!(&*attribute.value, Expr::Name(_))
        {
            return Value::Plain(name.into());
        }
        if self.scopes.sets.contains(name) {
            return Value::Unknown;
        }
        if let Expr::Name(owner) = &*attribute.value {
            for binding in self.bindings(owner.id.as_str(), scope) {
                match binding.bound {
                    Bound::Class(class) => return self.member(class, name, depth),
                    Bound::Value(Expr::Call(call)) | Bound::Part(Expr::Call(call)) => {
                        if let Some(value) = self.parsed(call, name, depth) {
                            return value;
                        }
                    }
                    Bound::Parameter { function, name: parameter, at, .. } => {
                        if let Some(value) = self.parsed_and_passed(function, parameter, at, name, depth) {
                            return value;
                        }
                    }
                    _ => {}
                }
            }
        }
        match self.value(&attribute.value, scope, depth + 1) {
            Value::Call(at) => self.of_call(at, name, depth),
            _ => Value::Unknown,
        }
    }

    /// A setting of an object that a call makes: an argument of that call, or a default of its class.
    fn of_call(&self, at: usize, name: &str, depth: usize) -> Value {
        let Some(site) = self.scopes.sites.get(at) else { return Value::Unknown };
        let arguments = &site.call.arguments;
        if let Some(given) = arguments.find_keyword(name) {
            return self.value(&given.value, site.scope, depth + 1);
        }
        let is_plain =
            arguments.args.is_empty() && arguments.keywords.iter().all(|keyword| keyword.arg.is_some());
        let class = match &*site.call.func {
            Expr::Name(class) if is_plain => self.bindings(class.id.as_str(), site.scope),
            _ => Vec::new(),
        };
        match class.as_slice() {
            [Binding { bound: Bound::Class(class), .. }] => self.member(*class, name, depth),
            _ => Value::Unknown,
        }
    }

    /// A name in the body of a class. A data class's field has its default.
    fn member(&self, class: ScopeId, name: &str, depth: usize) -> Value {
        let Some(scope) = self.scopes.all.get(class) else { return Value::Unknown };
        let Some([binding]) = scope.names.get(name).map(Vec::as_slice) else { return Value::Unknown };
        let Bound::Value(expression) = binding.bound else { return Value::Unknown };
        match expression {
            Expr::Call(call) if scope.is_data && name_of(call) == "field" => {
                let default = call.arguments.find_keyword("default");
                default.map_or(Value::Unknown, |default| self.value(&default.value, class, depth + 1))
            }
            expression => self.value(expression, class, depth + 1),
        }
    }

    /// A setting of the parsed command line. `None` if the call parses none.
    fn parsed(&self, call: &'a ExprCall, name: &str, depth: usize) -> Option<Value> {
        if !PARSERS.contains(&name_of(call)) || name.len() > MOST_NAME {
            return None;
        }
        if let Some(option) = self.options().get(name) {
            return Some(match self.given.option(&option.spellings) {
                Some(passed) => given_as(passed, option.switch),
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
            (Some(passed), _) => given_as(passed, None),
            (None, Some((class, _))) => self.member(class, name, depth),
            (None, None) => Value::Unknown,
        })
    }

    /// The same, if the parsed command line is passed to this parameter by every call of the function.
    fn parsed_and_passed(
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
            let bindings = self.bindings(owner.id.as_str(), site.scope);
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
            if options.insert(dest.clone(), Declared { spellings, default, switch }).is_some() {
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

    fn variable(&self, name: &str, default: Option<Value>) -> Value {
        match self.given.variable(name) {
            Some(passed) => given_as(passed, None),
            None => default.unwrap_or(Value::Unknown),
        }
    }

    /// The result of a call: of a few functions of Python itself, or the call.
    fn result(&self, call: &'a ExprCall, scope: ScopeId, depth: usize) -> Value {
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

/// The name of the function of a call, without its path.
fn name_of(call: &ExprCall) -> &str {
    match &*call.func {
        Expr::Name(name) => name.id.as_str(),
        Expr::Attribute(attribute) => attribute.attr.as_str(),
        _ => "",
    }
}

/// The spellings of an option: with dashes and with underscores.
fn spellings(name: &str) -> Vec<String> {
    vec![name.to_owned(), name.replace('_', "-")]
}

/// A passed option as a value. A switch means `switch`, or true.
fn given_as(passed: Passed, switch: Option<bool>) -> Value {
    match passed {
        Passed::Text(text) => Value::Plain(text.into()),
        Passed::Switch => Value::Plain(switch.unwrap_or(true).into()),
        Passed::Unknown => Value::Unknown,
    }
}

fn text_of<'t>(parts: impl Iterator<Item = &'t str>) -> Option<Json> {
    let mut whole = String::new();
    for part in parts {
        whole.push_str(part);
        if whole.len() > MOST_TEXT {
            return None;
        }
    }
    Some(whole.into())
}

/// Python's truth of a value.
fn truth(value: &Value) -> Option<bool> {
    match value {
        Value::Plain(Json::Bool(truth)) => Some(*truth),
        Value::Plain(Json::Null) => Some(false),
        Value::Plain(Json::String(text)) => Some(!text.is_empty()),
        Value::Plain(Json::Number(number)) => Some(number.as_f64() != Some(0.0)),
        Value::Plain(Json::Array(list)) => Some(!list.is_empty()),
        Value::Plain(Json::Object(keys)) => Some(!keys.is_empty()),
        // An object that a call makes.
        Value::Call(_) | Value::Unknown => None,
    }
}

/// A value as a number: also a text, as `int("8")`.
fn number(value: &Value) -> Option<Json> {
    match value {
        Value::Plain(Json::Number(number)) => Some(number.clone().into()),
        Value::Plain(Json::String(text)) => {
            let text = text.trim();
            let float = || serde_json::Number::from_f64(text.parse().ok()?).map(Json::from);
            text.parse::<i64>().ok().map(Json::from).or_else(float)
        }
        _ => None,
    }
}

fn arithmetic(op: Operator, left: Value, right: Value) -> Option<Json> {
    let (Value::Plain(left), Value::Plain(right)) = (left, right) else { return None };
    if let (Some(left), Some(right)) = (left.as_i64(), right.as_i64()) {
        let whole = match op {
            Operator::Add => left.checked_add(right),
            Operator::Sub => left.checked_sub(right),
            Operator::Mult => left.checked_mul(right),
            Operator::FloorDiv => left.checked_div_euclid(right).filter(|_| right > 0),
            Operator::Mod => left.checked_rem_euclid(right).filter(|_| right > 0),
            Operator::Pow => u32::try_from(right).ok().and_then(|right| left.checked_pow(right)),
            Operator::Div => return real(left as f64 / right as f64),
            _ => None,
        };
        return whole.map(Json::from);
    }
    if let (Some(left), Some(right)) = (left.as_f64(), right.as_f64()) {
        return real(match op {
            Operator::Add => left + right,
            Operator::Sub => left - right,
            Operator::Mult => left * right,
            Operator::Div => left / right,
            _ => return None,
        });
    }
    match (op, left, right) {
        (Operator::Add, Json::String(left), Json::String(right)) => bounded((left + &right).into()),
        (Operator::Add, Json::Array(mut left), Json::Array(right)) => {
            left.extend(right);
            bounded(left.into())
        }
        (Operator::BitOr, Json::Object(mut left), Json::Object(right)) => {
            left.extend(right);
            bounded(left.into())
        }
        _ => None,
    }
}

fn real(value: f64) -> Option<Json> {
    serde_json::Number::from_f64(value).map(Json::from)
}

fn compared(op: CmpOp, left: &Value, right: &Value) -> Option<bool> {
    let (Value::Plain(left), Value::Plain(right)) = (left, right) else { return None };
    match op {
        CmpOp::Eq | CmpOp::Is => Some(left == right),
        CmpOp::NotEq | CmpOp::IsNot => Some(left != right),
        CmpOp::In => contains(right, left),
        CmpOp::NotIn => contains(right, left).map(|is_in| !is_in),
        CmpOp::Lt => Some(left.as_f64()? < right.as_f64()?),
        CmpOp::LtE => Some(left.as_f64()? <= right.as_f64()?),
        CmpOp::Gt => Some(left.as_f64()? > right.as_f64()?),
        CmpOp::GtE => Some(left.as_f64()? >= right.as_f64()?),
    }
}

fn contains(whole: &Json, part: &Json) -> Option<bool> {
    match (whole, part) {
        (Json::Array(list), part) => Some(list.contains(part)),
        (Json::String(text), Json::String(part)) => Some(text.contains(part.as_str())),
        (Json::Object(keys), Json::String(part)) => Some(keys.contains_key(part)),
        _ => None,
    }
}

/// The value, if it is not too large.
fn bounded(value: Json) -> Option<Json> {
    (size(&value) <= MOST_TEXT).then_some(value)
}

/// The size of a value, about in bytes.
fn size(value: &Json) -> usize {
    match value {
        Json::String(text) => text.len() + 1,
        Json::Array(list) => list.iter().map(size).sum::<usize>() + 1,
        Json::Object(keys) => keys.iter().map(|(key, value)| key.len() + size(value)).sum::<usize>() + 1,
        _ => 1,
    }
}
