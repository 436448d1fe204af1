//! The names of a program by scope, and its calls, each with the conditions that it stands under.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use ruff_python_ast::visitor::{self, Visitor};
use ruff_python_ast::{
    ExceptHandler, Expr, ExprCall, Identifier, Parameters, Stmt, StmtClassDef, StmtFunctionDef, StmtIf,
    StmtImport, StmtImportFrom, StmtTry, StmtWith,
};
use ruff_text_size::{Ranged, TextRange, TextSize};

use super::MOST_CALLS;

/// The most conditions around a statement. Each branch of a long `elif` chain has those of all before it.
const MOST_CONDITIONS: usize = 48;

/// The number of a scope. The module's is 0.
pub(super) type ScopeId = usize;

/// A condition around a statement. The statement runs if the test has this truth.
#[derive(Clone, Copy, Debug)]
pub(super) struct Condition<'a> {
    /// The test. `None` if nothing tells whether the statement runs.
    pub(super) test: Option<&'a Expr>,
    pub(super) scope: ScopeId,
    pub(super) truth: bool,
}

/// What a name is bound to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Bound<'a> {
    /// An expression's value.
    Value(&'a Expr),
    /// A parameter of a function, with its place and default.
    Parameter { function: &'a str, name: &'a str, at: usize, default: Option<&'a Expr> },
    /// A class with this scope.
    Class(ScopeId),
    /// A function with this scope.
    Function(ScopeId),
    /// A module, or a name in one: its dotted path.
    Import(&'a str, Option<&'a str>),
    /// A part of a call's result: `one, other = parse()`.
    Part(&'a Expr),
    /// Something that is not read.
    Opaque,
}

/// A binding of a name.
#[derive(Clone, Debug)]
pub(super) struct Binding<'a> {
    pub(super) bound: Bound<'a>,
    pub(super) under: Rc<[Condition<'a>]>,
    /// The scope of the expression.
    pub(super) scope: ScopeId,
    /// Where it is in the text.
    pub(super) place: Place,
    /// Whether the code of another scope binds the name: `global name`.
    pub(super) from_elsewhere: bool,
}

/// A place in the text.
#[derive(Clone, Debug, Default)]
pub(super) struct Place {
    /// The place behind which the name is bound.
    pub(super) at: TextSize,
    /// The statements among which it is: those behind it run after it.
    pub(super) block: TextRange,
    /// The bodies around it that may end before it, or not be entered: those of loops and of `try`.
    pub(super) may_end_before: Rc<[TextRange]>,
}

/// A call in the text.
#[derive(Clone, Debug)]
pub(super) struct Site<'a> {
    pub(super) call: &'a ExprCall,
    pub(super) scope: ScopeId,
    pub(super) under: Rc<[Condition<'a>]>,
}

/// A scope: the module, a function or a class.
#[derive(Debug, Default)]
pub(super) struct Scope<'a> {
    pub(super) parent: Option<ScopeId>,
    /// The function whose body it is.
    pub(super) function: Option<&'a str>,
    /// The class whose body it is, and whether it is a data class.
    pub(super) class: Option<&'a str>,
    pub(super) is_data: bool,
    /// The classes that this class is derived from.
    pub(super) bases: &'a [Expr],
    pub(super) names: BTreeMap<&'a str, Vec<Binding<'a>>>,
    /// What the function returns, in the order of the text. Without a value it is `None`.
    pub(super) returns: Vec<(Option<&'a Expr>, Rc<[Condition<'a>]>)>,
    /// The loops.
    pub(super) loops: Vec<TextRange>,
    global: BTreeSet<&'a str>,
}

/// All scopes of a program.
#[derive(Debug, Default)]
pub(super) struct Scopes<'a> {
    pub(super) all: Vec<Scope<'a>>,
    pub(super) sites: Vec<Site<'a>>,
    /// Names that are read anywhere. A function that is not among them is never called.
    pub(super) read: BTreeSet<&'a str>,
    /// Attributes that are set anywhere.
    pub(super) sets: BTreeSet<&'a str>,
    /// Those that more than one statement sets.
    pub(super) sets_again: BTreeSet<&'a str>,
    /// Attributes that are set to an expression: `recipe.trainer.devices = 8`.
    pub(super) assigned: Vec<Assigned<'a>>,
    /// The place of the statement that is read.
    place: Place,
}

/// A statement that sets an attribute.
#[derive(Clone, Debug)]
pub(super) struct Assigned<'a> {
    /// The whole target, which is an attribute.
    pub(super) target: &'a Expr,
    pub(super) value: &'a Expr,
    pub(super) scope: ScopeId,
    pub(super) under: Rc<[Condition<'a>]>,
    /// The number of calls before it in the text.
    pub(super) after: usize,
}

impl<'a> Scopes<'a> {
    /// The scopes of a module.
    pub(super) fn of(body: &'a [Stmt]) -> Self {
        let mut scopes = Self { all: vec![Scope::default()], ..Self::default() };
        scopes.statements(body, 0, &Rc::from([]));
        scopes
    }

    fn statements(&mut self, body: &'a [Stmt], scope: ScopeId, under: &Rc<[Condition<'a>]>) {
        let (Some(first), Some(last)) = (body.first(), body.last()) else { return };
        let block = TextRange::new(first.start(), last.end());
        let around = std::mem::replace(&mut self.place.block, block);
        for statement in body {
            // What a statement binds is bound at its end. Statements within it have their own.
            self.place.at = if is_simple(statement) { statement.end() } else { statement.start() };
            self.statement(statement, scope, under);
        }
        self.place.block = around;
    }

    /// Reads statements that may end before their end, or not run at all.
    fn interrupted(&mut self, body: &'a [Stmt], scope: ScopeId, under: &Rc<[Condition<'a>]>) {
        let (Some(first), Some(last)) = (body.first(), body.last()) else { return };
        let around = self.place.may_end_before.clone();
        let range = TextRange::new(first.start(), last.end());
        if around.len() < MOST_CONDITIONS {
            self.place.may_end_before = around.iter().copied().chain([range]).collect();
        }
        self.statements(body, scope, under);
        self.place.may_end_before = around;
    }

    /// Notes a loop.
    fn repeats(&mut self, range: TextRange, scope: ScopeId) {
        let Some(scope) = self.all.get_mut(scope) else { return };
        let full = scope.loops.len() >= MOST_CONDITIONS;
        match scope.loops.last_mut() {
            // Two loops as one: more may run after a use.
            Some(last) if full => *last = last.cover(range),
            _ => scope.loops.push(range),
        }
    }

    fn statement(&mut self, statement: &'a Stmt, scope: ScopeId, under: &Rc<[Condition<'a>]>) {
        let maybe = || more(under, Condition { test: None, scope, truth: true });
        match statement {
            Stmt::FunctionDef(function) => self.function(function, scope, under),
            Stmt::ClassDef(class) => self.class(class, scope, under),
            Stmt::If(decision) => self.decision(decision, scope, under),
            Stmt::Try(attempt) => self.attempt(attempt, scope, under),
            Stmt::With(with) => self.with(with, scope, under),
            Stmt::For(each) => {
                self.expression(&each.iter, scope, under);
                self.place.at = each.iter.end();
                self.bind(&each.target, Bound::Opaque, scope, under);
                self.repeats(each.range(), scope);
                self.interrupted(&each.body, scope, under);
                self.statements(&each.orelse, scope, &maybe());
            }
            Stmt::While(repeat) => {
                self.expression(&repeat.test, scope, under);
                self.repeats(repeat.range(), scope);
                self.interrupted(&repeat.body, scope, under);
                self.statements(&repeat.orelse, scope, &maybe());
            }
            Stmt::Match(choice) => {
                self.expression(&choice.subject, scope, under);
                choice.cases.iter().for_each(|case| self.statements(&case.body, scope, &maybe()));
            }
            Stmt::Assign(assignment) => {
                self.expression(&assignment.value, scope, under);
                for target in &assignment.targets {
                    self.bind(target, Bound::Value(&assignment.value), scope, under);
                }
            }
            Stmt::AnnAssign(assignment) => {
                if let Some(value) = &assignment.value {
                    self.expression(value, scope, under);
                    self.bind(&assignment.target, Bound::Value(value), scope, under);
                }
            }
            Stmt::AugAssign(assignment) => {
                self.expression(&assignment.value, scope, under);
                self.bind(&assignment.target, Bound::Opaque, scope, under);
            }
            Stmt::Import(import) => self.import(import, scope, under),
            Stmt::ImportFrom(import) => self.import_from(import, scope, under),
            Stmt::Global(names) => {
                let names = names.names.iter().map(Identifier::as_str);
                if let Some(scope) = self.all.get_mut(scope) {
                    scope.global.extend(names);
                }
            }
            Stmt::Return(returned) => {
                returned.value.iter().for_each(|value| self.expression(value, scope, under));
                if let Some(scope) = self.all.get_mut(scope) {
                    scope.returns.push((returned.value.as_deref(), under.clone()));
                }
            }
            Stmt::Delete(deleted) => {
                deleted.targets.iter().for_each(|target| self.bind(target, Bound::Opaque, scope, under));
            }
            other => {
                let mut calls = Expressions { scopes: self, scope, under };
                visitor::walk_stmt(&mut calls, other);
            }
        }
    }

    fn with(&mut self, with: &'a StmtWith, scope: ScopeId, under: &Rc<[Condition<'a>]>) {
        for item in &with.items {
            self.expression(&item.context_expr, scope, under);
            self.place.at = item.context_expr.end();
            if let Some(name) = &item.optional_vars {
                self.bind(name, Bound::Opaque, scope, under);
            }
        }
        self.statements(&with.body, scope, under);
    }

    fn import(&mut self, import: &'a StmtImport, scope: ScopeId, under: &Rc<[Condition<'a>]>) {
        for alias in &import.names {
            let path = alias.name.as_str();
            // `import a.b` binds `a`.
            let first = path.split('.').next().unwrap_or_default();
            let (name, path) = alias.asname.as_ref().map_or((first, first), |given| (given.as_str(), path));
            self.bind_name(name, Bound::Import(path, None), scope, under);
        }
    }

    fn import_from(&mut self, import: &'a StmtImportFrom, scope: ScopeId, under: &Rc<[Condition<'a>]>) {
        let module = import.module.as_ref().map_or("", |module| module.as_str());
        for alias in &import.names {
            let name = alias.asname.as_ref().unwrap_or(&alias.name).as_str();
            self.bind_name(name, Bound::Import(module, Some(alias.name.as_str())), scope, under);
        }
    }

    fn function(&mut self, function: &'a StmtFunctionDef, scope: ScopeId, under: &Rc<[Condition<'a>]>) {
        let name = function.name.as_str();
        let own = self.enter(Scope { parent: Some(scope), function: Some(name), ..Scope::default() });
        self.bind_name(name, Bound::Function(own), scope, under);
        let place = Place { at: function.start(), block: function.range(), ..Place::default() };
        let around = std::mem::replace(&mut self.place, place);
        self.parameters(&function.parameters, name, own, scope, under);
        self.statements(&function.body, own, under);
        self.place = around;
    }

    fn parameters(
        &mut self,
        parameters: &'a Parameters,
        function: &'a str,
        own: ScopeId,
        around: ScopeId,
        under: &Rc<[Condition<'a>]>,
    ) {
        for (at, parameter) in parameters.iter_non_variadic_params().enumerate() {
            let name = parameter.parameter.name.as_str();
            let default = parameter.default.as_deref();
            let binding = Binding {
                bound: Bound::Parameter { function, name, at, default },
                under: under.clone(),
                scope: around,
                place: self.place.clone(),
                from_elsewhere: false,
            };
            if let Some(scope) = self.all.get_mut(own) {
                scope.names.entry(name).or_default().push(binding);
            }
        }
        for rest in [&parameters.vararg, &parameters.kwarg].into_iter().flatten() {
            self.bind_name(rest.name.as_str(), Bound::Opaque, own, under);
        }
    }

    fn class(&mut self, class: &'a StmtClassDef, scope: ScopeId, under: &Rc<[Condition<'a>]>) {
        let is_data = class.decorator_list.iter().any(|decorator| {
            let function = match &decorator.expression {
                Expr::Call(call) => &call.func,
                other => other,
            };
            match function {
                Expr::Name(name) => name.id.as_str() == "dataclass",
                Expr::Attribute(attribute) => attribute.attr.as_str() == "dataclass",
                _ => false,
            }
        });
        let name = class.name.as_str();
        let bases = class.arguments.as_ref().map_or(&[][..], |bases| &bases.args);
        let own =
            self.enter(Scope { parent: Some(scope), class: Some(name), is_data, bases, ..Scope::default() });
        self.bind_name(name, Bound::Class(own), scope, under);
        let around = std::mem::take(&mut self.place);
        self.statements(&class.body, own, under);
        self.place = around;
    }

    fn decision(&mut self, decision: &'a StmtIf, scope: ScopeId, under: &Rc<[Condition<'a>]>) {
        self.expression(&decision.test, scope, under);
        let branch = |test, truth| Condition { test: Some(test), scope, truth };
        self.statements(&decision.body, scope, &more(under, branch(&*decision.test, true)));
        let mut rest = more(under, branch(&*decision.test, false));
        for clause in &decision.elif_else_clauses {
            match &clause.test {
                Some(test) => {
                    self.expression(test, scope, &rest);
                    self.statements(&clause.body, scope, &more(&rest, branch(test, true)));
                    rest = more(&rest, branch(test, false));
                }
                None => self.statements(&clause.body, scope, &rest),
            }
        }
    }

    fn attempt(&mut self, attempt: &'a StmtTry, scope: ScopeId, under: &Rc<[Condition<'a>]>) {
        let maybe = more(under, Condition { test: None, scope, truth: true });
        self.interrupted(&attempt.body, scope, under);
        for ExceptHandler::ExceptHandler(handler) in &attempt.handlers {
            self.statements(&handler.body, scope, &maybe);
        }
        self.statements(&attempt.orelse, scope, under);
        self.statements(&attempt.finalbody, scope, under);
    }

    fn enter(&mut self, scope: Scope<'a>) -> ScopeId {
        self.all.push(scope);
        self.all.len() - 1
    }

    /// Binds the names of a target.
    fn sets_attribute(&mut self, name: &'a str) {
        if !self.sets.insert(name) {
            self.sets_again.insert(name);
        }
    }

    fn bind(&mut self, target: &'a Expr, bound: Bound<'a>, scope: ScopeId, under: &Rc<[Condition<'a>]>) {
        match target {
            Expr::Name(name) => self.bind_name(name.id.as_str(), bound, scope, under),
            Expr::Tuple(names) => self.bind_parts(&names.elts, bound, scope, under),
            Expr::List(names) => self.bind_parts(&names.elts, bound, scope, under),
            Expr::Starred(rest) => self.bind(&rest.value, Bound::Opaque, scope, under),
            Expr::Attribute(attribute) => {
                self.sets_attribute(attribute.attr.as_str());
                if let Bound::Value(value) = bound
                    && self.assigned.len() < MOST_CALLS
                {
                    let after = self.sites.len();
                    self.assigned.push(Assigned { target, value, scope, under: under.clone(), after });
                }
            }
            // A changed element changes the whole.
            Expr::Subscript(element) => match &*element.value {
                Expr::Attribute(attribute) => {
                    self.sets_attribute(attribute.attr.as_str());
                }
                whole => self.bind(whole, Bound::Opaque, scope, under),
            },
            _ => {}
        }
    }

    fn bind_parts(
        &mut self,
        names: &'a [Expr],
        bound: Bound<'a>,
        scope: ScopeId,
        under: &Rc<[Condition<'a>]>,
    ) {
        let values = match bound {
            Bound::Value(Expr::Tuple(values)) if values.elts.len() == names.len() => Some(&values.elts),
            _ => None,
        };
        for (at, name) in names.iter().enumerate() {
            let part = match (values.and_then(|values| values.get(at)), bound) {
                (Some(value), _) => Bound::Value(value),
                (None, Bound::Value(whole)) => Bound::Part(whole),
                (None, _) => Bound::Opaque,
            };
            self.bind(name, part, scope, under);
        }
    }

    fn bind_name(&mut self, name: &'a str, bound: Bound<'a>, scope: ScopeId, under: &Rc<[Condition<'a>]>) {
        let own = self.all.get(scope).is_none_or(|scope| !scope.global.contains(name));
        let (place, from_elsewhere) = (self.place.clone(), !own);
        let binding = Binding { bound, under: under.clone(), scope, place, from_elsewhere };
        if let Some(scope) = self.all.get_mut(if own { scope } else { 0 }) {
            scope.names.entry(name).or_default().push(binding);
        }
    }

    fn expression(&mut self, expression: &'a Expr, scope: ScopeId, under: &Rc<[Condition<'a>]>) {
        Expressions { scopes: self, scope, under }.visit_expr(expression);
    }
}

/// Whether no other statement is within a statement.
fn is_simple(statement: &Stmt) -> bool {
    !matches!(
        statement,
        Stmt::FunctionDef(_)
            | Stmt::ClassDef(_)
            | Stmt::If(_)
            | Stmt::Try(_)
            | Stmt::With(_)
            | Stmt::For(_)
            | Stmt::While(_)
            | Stmt::Match(_)
    )
}

/// These conditions and one more. If they are too many, nothing tells whether the statement runs.
fn more<'a>(under: &Rc<[Condition<'a>]>, condition: Condition<'a>) -> Rc<[Condition<'a>]> {
    if under.len() < MOST_CONDITIONS {
        under.iter().copied().chain([condition]).collect()
    } else {
        Rc::from([Condition { test: None, ..condition }])
    }
}

/// Finds the calls and the names in expressions.
struct Expressions<'s, 'a> {
    scopes: &'s mut Scopes<'a>,
    scope: ScopeId,
    under: &'s Rc<[Condition<'a>]>,
}

impl<'a> Visitor<'a> for Expressions<'_, 'a> {
    fn visit_expr(&mut self, expression: &'a Expr) {
        match expression {
            Expr::Call(call) if self.scopes.sites.len() < MOST_CALLS => {
                self.scopes.sites.push(Site { call, scope: self.scope, under: self.under.clone() });
                // A method may change what it is called on: `settings.update(…)`.
                if let Expr::Attribute(method) = &*call.func
                    && matches!(method.attr.as_str(), "update" | "setdefault" | "pop" | "append" | "extend")
                    && let Expr::Name(name) = &*method.value
                {
                    self.scopes.bind_name(name.id.as_str(), Bound::Opaque, self.scope, self.under);
                }
            }
            Expr::Name(name) => {
                self.scopes.read.insert(name.id.as_str());
            }
            Expr::Named(named) => self.scopes.bind(&named.target, Bound::Opaque, self.scope, self.under),
            _ => {}
        }
        visitor::walk_expr(self, expression);
    }
}
