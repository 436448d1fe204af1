//! The values of expressions, as far as they follow from literals.
//!
//! An unknown part makes the whole unknown. [`names`](super::names) tells which values a name has where it is used. Evaluation has
//! a budget of steps, and a value has a largest size. When either is reached, values are unknown.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use ruff_python_ast::{
    BoolOp, Expr, ExprAttribute, ExprBoolOp, ExprCall, ExprDict, ExprSubscript, FStringPart,
    InterpolatedStringElement, Number, Operator, UnaryOp,
};
use ruff_text_size::TextSize;
use serde_json::{Map, Value as Json};

use super::arithmetic::{MOST_TEXT, arithmetic, bounded, compared, size, text_of, truth};
use super::options::Declared;
use super::returned::Inlined;
use super::scope::{Assigned, Binding, Bound, Condition, ScopeId, Scopes, Site};
use super::{Assignment, Call, Derived, Given, Program, Value};

/// The deepest chain of names and expressions.
pub(super) const DEEPEST: usize = 48;
/// The most elements of a list or a dictionary.
const MOST_ELEMENTS: usize = 512;

/// The longest name.
pub(super) const MOST_NAME: usize = 128;
/// The most bindings of a name that are compared.
const MOST_BINDINGS: usize = 16;
/// The most bytes of all values that calls keep.
const MOST_KEPT: usize = 256 << 10;

/// The calls of a program, with the values of their arguments.
pub(super) fn program(scopes: &Scopes<'_>, given: &dyn Given, steps: &mut usize) -> Program {
    let evaluation = Evaluation {
        scopes,
        given,
        steps: Cell::new(*steps),
        room: Cell::new(MOST_KEPT),
        sites: scopes.sites.iter().enumerate().map(|(at, site)| (address(site.call), at)).collect(),
        options: RefCell::new(None),
        inlined: RefCell::new(Vec::new()),
        names: RefCell::default(),
    };
    // All functions first: which calls there are is known, also if the steps do not reach for their arguments.
    let functions: Vec<_> =
        scopes.sites.iter().map(|site| evaluation.path(&site.call.func, site.scope, 0)).collect();
    let calls =
        scopes.sites.iter().zip(functions).map(|(site, function)| evaluation.call(site, function)).collect();
    let assigned = scopes.assigned.iter().filter_map(|assigned| evaluation.assignment(assigned)).collect();
    let fields = evaluation.fields();
    let derived = evaluation.derived();
    *steps = evaluation.steps.get();
    let imports = scopes.all.iter().flat_map(|scope| scope.names.values().flatten());
    let packages = imports.filter_map(|binding| match binding.bound {
        Bound::Import(path, _) => path.split('.').next().map(str::to_owned),
        _ => None,
    });
    Program {
        calls,
        assigned,
        packages: packages.collect(),
        fields,
        derived,
        sets: scopes.sets.iter().map(|name| (*name).to_owned()).collect(),
    }
}

/// The identity of a call in the tree.
pub(super) fn address(call: &ExprCall) -> *const ExprCall {
    std::ptr::from_ref(call)
}

/// The evaluation of a program.
pub(super) struct Evaluation<'e, 'a> {
    pub(super) scopes: &'e Scopes<'a>,
    pub(super) given: &'e dyn Given,
    steps: Cell<usize>,
    room: Cell<usize>,
    pub(super) sites: BTreeMap<*const ExprCall, usize>,
    pub(super) options: RefCell<Option<std::rc::Rc<BTreeMap<String, Declared<'a>>>>>,
    /// The parameters of the functions whose results are being evaluated.
    pub(super) inlined: RefCell<Vec<Inlined<'a>>>,
    /// The values of names that were found, by the place of the use.
    pub(super) names: RefCell<BTreeMap<TextSize, Value>>,
}

impl<'a> Evaluation<'_, 'a> {
    /// A call with the values of its arguments.
    fn call(&self, site: &Site<'a>, function: Option<String>) -> Call {
        let (call, scope, under) = (site.call, site.scope, &site.under);
        let mut made = Call {
            function: function.unwrap_or_default(),
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
            match &keyword.arg {
                Some(name) => {
                    made.named.insert(name.as_str().to_owned(), self.kept(&keyword.value, scope));
                }
                None => match self.spread(&keyword.value, scope, 0) {
                    Some(items) => made.named.extend(items),
                    None => made.may_have_more = true,
                },
            }
        }
        made
    }

    /// The classes that are derived from others.
    fn derived(&self) -> BTreeMap<String, Derived> {
        let classes = self.scopes.all.iter().filter_map(|scope| Some((scope, scope.class?, scope.parent?)));
        let derived = classes.filter(|(scope, ..)| !scope.bases.is_empty()).take(MOST_ELEMENTS);
        let derived = derived.map(|(scope, name, around)| {
            let bases = scope.bases.iter().take(MOST_BINDINGS).filter_map(|base| self.path(base, around, 0));
            let members = scope.names.keys().take(MOST_ELEMENTS).map(|name| (*name).to_owned()).collect();
            (name.to_owned(), Derived { bases: bases.collect(), members })
        });
        derived.collect()
    }

    /// The defaults of the data classes' fields.
    fn fields(&self) -> BTreeMap<String, Json> {
        let mut fields: BTreeMap<String, Json> = BTreeMap::new();
        let mut apart: Vec<&str> = Vec::new();
        for (id, class) in self.scopes.all.iter().enumerate().filter(|(_, scope)| scope.is_data) {
            for name in class.names.keys() {
                let Value::Plain(default) = self.member(id, name, 0) else { continue };
                if default.is_null() || fields.len() >= MOST_ELEMENTS || size(&default) > MOST_TEXT {
                    continue;
                }
                if fields.get(*name).is_some_and(|known| *known != default) {
                    apart.push(name);
                }
                fields.insert((*name).to_owned(), default);
            }
        }
        for name in apart {
            fields.remove(name);
        }
        fields
    }

    /// The arguments that `**settings` gives, if all their names are known: of a dictionary in the text, or of a name
    /// with that one value.
    pub(super) fn spread(
        &self,
        settings: &'a Expr,
        scope: ScopeId,
        depth: usize,
    ) -> Option<Vec<(String, Value)>> {
        if depth > DEEPEST || !self.step() {
            return None;
        }
        match settings {
            Expr::Name(name) => match self.seen(name, scope).as_slice() {
                [Binding { bound: Bound::Value(value), under, scope, .. }]
                    if self.runs(under, depth + 1) == Some(true) =>
                {
                    self.spread(value, *scope, depth + 1)
                }
                _ => self.plain_items(settings, scope, depth),
            },
            Expr::Dict(dictionary) if dictionary.items.len() <= MOST_ELEMENTS => {
                let mut items = Vec::new();
                for item in &dictionary.items {
                    match &item.key {
                        Some(key) => match self.value(key, scope, depth + 1) {
                            Value::Plain(Json::String(key)) if self.has_room(key.len()) => {
                                items.push((key, self.kept(&item.value, scope)));
                            }
                            _ => return None,
                        },
                        None => items.extend(self.spread(&item.value, scope, depth + 1)?),
                    }
                }
                Some(items)
            }
            Expr::Call(call)
                if self.path(&call.func, scope, depth + 1).as_deref() == Some("dict")
                    && call.arguments.args.is_empty() =>
            {
                let mut items = Vec::new();
                for keyword in &call.arguments.keywords {
                    match &keyword.arg {
                        Some(name) if self.has_room(name.len()) => {
                            items.push((name.as_str().to_owned(), self.kept(&keyword.value, scope)));
                        }
                        Some(_) => return None,
                        None => items.extend(self.spread(&keyword.value, scope, depth + 1)?),
                    }
                }
                Some(items)
            }
            _ => self.plain_items(settings, scope, depth),
        }
    }

    /// The items of a dictionary whose value follows from literals.
    fn plain_items(&self, settings: &'a Expr, scope: ScopeId, depth: usize) -> Option<Vec<(String, Value)>> {
        match self.value(settings, scope, depth + 1) {
            Value::Plain(Json::Object(keys)) => {
                let bytes = keys.iter().map(|(key, value)| key.len() + size(value)).sum();
                self.has_room(bytes).then_some(())?;
                Some(keys.into_iter().map(|(name, value)| (name, Value::Plain(value))).collect())
            }
            _ => None,
        }
    }

    /// A statement that sets an attribute.
    fn assignment(&self, assigned: &Assigned<'a>) -> Option<Assignment> {
        Some(Assignment {
            path: self.path(assigned.target, assigned.scope, 0)?,
            value: self.kept(assigned.value, assigned.scope),
            runs: if self.is_called(assigned.scope) { self.runs(&assigned.under, 0) } else { Some(false) },
            after: assigned.after,
        })
    }

    /// The value of an argument, as long as there is room for it.
    fn kept(&self, argument: &'a Expr, scope: ScopeId) -> Value {
        let value = self.value(argument, scope, 0);
        let bytes = match &value {
            Value::Plain(value) => size(value),
            Value::Call(_) | Value::Unknown => 1,
        };
        if self.has_room(bytes) { value } else { Value::Unknown }
    }

    /// Takes room for values that are kept, if there is so much.
    fn has_room(&self, bytes: usize) -> bool {
        let left = self.room.get();
        self.room.set(left.saturating_sub(bytes));
        bytes <= left
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
    pub(super) fn runs(&self, under: &[Condition<'a>], depth: usize) -> Option<bool> {
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
    pub(super) fn path(&self, function: &'a Expr, scope: ScopeId, depth: usize) -> Option<String> {
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
    pub(super) fn bindings(&self, name: &str, scope: ScopeId) -> Vec<&Binding<'a>> {
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

    pub(super) fn step(&self) -> bool {
        let left = self.steps.get();
        self.steps.set(left.saturating_sub(1));
        left > 0
    }

    /// The value of an expression.
    pub(super) fn value(&self, expression: &'a Expr, scope: ScopeId, depth: usize) -> Value {
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
            Expr::Name(name) => self.name(name, scope, depth),
            Expr::Attribute(attribute) => self.attribute(attribute, scope, depth),
            Expr::Subscript(element) => self.element(element, scope, depth),
            Expr::Call(call) => self.result(call, scope, depth),
            Expr::List(list) => plain(self.list(&list.elts, scope, depth)),
            Expr::Tuple(list) => plain(self.list(&list.elts, scope, depth)),
            Expr::Set(list) => plain(self.list(&list.elts, scope, depth)),
            Expr::Dict(dictionary) => plain(self.dictionary(dictionary, scope, depth)),
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
            Expr::BoolOp(operation) => self.first_that_decides(operation, scope, depth),
            Expr::Compare(comparison) => match (&*comparison.ops, &*comparison.comparators) {
                ([op], [right]) => plain(compared(*op, &of(&comparison.left), &of(right)).map(Json::from)),
                _ => Value::Unknown,
            },
            Expr::If(choice) => match truth(&of(&choice.test)) {
                Some(true) => of(&choice.body),
                Some(false) => of(&choice.orelse),
                None => {
                    let (one, other) = (of(&choice.body), of(&choice.orelse));
                    if self.are_alike(&one, &other, depth) { one } else { Value::Unknown }
                }
            },
            _ => Value::Unknown,
        }
    }

    /// An element of a list or a dictionary, or a variable of the environment.
    fn element(&self, element: &'a ExprSubscript, scope: ScopeId, depth: usize) -> Value {
        let of = |expression: &'a Expr| self.value(expression, scope, depth + 1);
        if self.path(&element.value, scope, depth).as_deref() == Some("os.environ")
            && let Value::Plain(Json::String(name)) = of(&element.slice)
        {
            return self.variable(&name, None);
        }
        let found = match (of(&element.value), of(&element.slice)) {
            (Value::Plain(Json::Object(keys)), Value::Plain(Json::String(key))) => keys.get(&key).cloned(),
            (Value::Plain(Json::Array(elements)), Value::Plain(at)) => {
                at.as_u64().and_then(|at| elements.get(usize::try_from(at).ok()?).cloned())
            }
            _ => None,
        };
        found.map_or(Value::Unknown, Value::Plain)
    }

    fn dictionary(&self, dictionary: &'a ExprDict, scope: ScopeId, depth: usize) -> Option<Json> {
        let of = |expression: &'a Expr| self.value(expression, scope, depth + 1);
        let mut keys = Map::new();
        for item in dictionary.items.iter().take(MOST_ELEMENTS) {
            match (item.key.as_ref().map(of), of(&item.value)) {
                (Some(Value::Plain(Json::String(key))), Value::Plain(value)) => {
                    keys.insert(key, value);
                }
                (None, Value::Plain(Json::Object(more))) => keys.extend(more),
                _ => return None,
            }
        }
        bounded(Json::Object(keys))
    }

    /// The value of `a or b`, `a and b`: the first that decides, else the last.
    fn first_that_decides(&self, operation: &'a ExprBoolOp, scope: ScopeId, depth: usize) -> Value {
        let decides = operation.op == BoolOp::Or;
        let mut last = Value::Unknown;
        for value in &operation.values {
            last = self.value(value, scope, depth + 1);
            match truth(&last) {
                Some(truth) if truth == decides => return last,
                Some(_) => {}
                None => return Value::Unknown,
            }
        }
        last
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

    pub(super) fn bound(&self, binding: &Binding<'a>, depth: usize) -> Value {
        match binding.bound {
            Bound::Value(expression) => self.value(expression, binding.scope, depth + 1),
            Bound::Parameter { function, name, at, default } => {
                self.passed(function, name).unwrap_or_else(|| {
                    self.parameter(function, name, at, default.map(|default| (default, binding.scope)), depth)
                })
            }
            _ => Value::Unknown,
        }
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
            return self.of_self(attribute, scope, depth).unwrap_or(Value::Unknown);
        }
        if let Expr::Name(owner) = &*attribute.value {
            for binding in self.seen(owner, scope) {
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

    /// An attribute that the `__init__` of its class alone sets: `self.max_length = max_length`. A parameter of it has the value
    /// that the calls of the class give.
    fn of_self(&self, attribute: &'a ExprAttribute, scope: ScopeId, depth: usize) -> Option<Value> {
        let name = attribute.attr.as_str();
        let is_self = |owner: &Expr| matches!(owner, Expr::Name(owner) if owner.id.as_str() == "self");
        if !is_self(&attribute.value) || self.scopes.sets_again.contains(name) {
            return None;
        }
        let class_of = |scope: ScopeId| self.scopes.all.get(self.scopes.all.get(scope)?.parent?)?.class;
        let assigned = self.scopes.assigned.iter().find(|assigned| {
            matches!(assigned.target, Expr::Attribute(target)
                if target.attr.as_str() == name && is_self(&target.value))
        })?;
        let init = self.scopes.all.get(assigned.scope)?;
        let class = class_of(assigned.scope)?;
        if init.function != Some("__init__") || class_of(scope) != Some(class) {
            return None;
        }
        if self.runs(&assigned.under, depth + 1) != Some(true) {
            return None;
        }
        if let Expr::Name(value) = assigned.value
            && let [binding] = self.bindings(value.id.as_str(), assigned.scope).as_slice()
            && let Bound::Parameter { name, at, default, .. } = binding.bound
        {
            let default = default.map(|default| (default, binding.scope));
            return Some(self.parameter(class, name, at.checked_sub(1)?, default, depth + 1));
        }
        Some(self.value(assigned.value, assigned.scope, depth + 1))
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
    pub(super) fn member(&self, class: ScopeId, name: &str, depth: usize) -> Value {
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
}

/// The name of the function of a call, without its path.
pub(super) fn name_of(call: &ExprCall) -> &str {
    match &*call.func {
        Expr::Name(name) => name.id.as_str(),
        Expr::Attribute(attribute) => attribute.attr.as_str(),
        _ => "",
    }
}
