//! The value of a name where it is used.
//!
//! ```text
//! a = 1          ┐ bound again before the use: it does not count
//! a = 2          ┘ surely runs before the use
//! if unknown:
//!     a = 3        may run before the use
//! f(a)             the use: 2 or 3
//! a = 4            runs after the use, unless a loop is around both
//! ```
//!
//! A binding surely runs before a use in the same scope if it stands before the use, among the statements around it. What a
//! loop or a `try` holds may not run to its end. A name of another scope has all its bindings. If all that count are alike, the
//! name has that value. Otherwise it is unknown.
//!
//! Values are alike if they are equal, if they are calls of one function with the same known arguments, or if they name kernels
//! of attention that keep the same: `"flash_attention_2" if … else "sdpa"`.

use ruff_python_ast::ExprName;
use ruff_text_size::{Ranged, TextRange, TextSize};
use serde_json::Value as Json;

use super::Value;
use super::arithmetic::size;
use super::evaluate::{DEEPEST, Evaluation};
use super::scope::{Binding, Scope, ScopeId};

/// The most values of names that are kept, and the size of each.
const MOST_KEPT: usize = 4_000;
const SMALL: usize = 64;

/// Kernels of attention that keep no scores, in the words of Transformers.
const FUSED_ATTENTION: &[&str] = &["flash_attention_2", "flash_attention_3", "sdpa"];

impl<'a> Evaluation<'_, 'a> {
    /// The value of a name.
    pub(super) fn name(&self, name: &ExprName, scope: ScopeId, depth: usize) -> Value {
        if name.id.as_str() == "__name__" {
            return Value::Plain("__main__".into());
        }
        // What a function's result is made of differs from call to call.
        let keeps = self.inlined.borrow().is_empty();
        if let Some(known) = self.names.borrow().get(&name.start()).filter(|_| keeps) {
            return known.clone();
        }
        let value = self.found(name, scope, depth);
        let is_small = match &value {
            Value::Plain(value) => size(value) <= SMALL,
            Value::Call(_) | Value::Unknown => true,
        };
        if keeps && is_small && self.names.borrow().len() < MOST_KEPT {
            self.names.borrow_mut().insert(name.start(), value.clone());
        }
        value
    }

    fn found(&self, name: &ExprName, scope: ScopeId, depth: usize) -> Value {
        let mut found: Option<Value> = None;
        let (mut may_not_run, mut count) = (true, 0);
        let own = self.is_own(name, scope);
        // The last binding first: what surely runs hides all before it, but for those of other scopes.
        let mut bindings = self.seen(name, scope);
        bindings.reverse();
        bindings.sort_by_key(|binding| !binding.from_elsewhere);
        for binding in bindings {
            let is_sure = own && binding.place.at <= name.start() && surely_runs(binding, name.start());
            let runs = if is_sure { Some(true) } else { self.runs(&binding.under, depth + 1) };
            if runs == Some(false) {
                continue;
            }
            let value = self.bound(binding, depth);
            if value == Value::Unknown
                || found.as_ref().is_some_and(|found| !self.are_alike(found, &value, depth))
            {
                return Value::Unknown;
            }
            found = Some(value);
            count += 1;
            may_not_run &= runs.is_none();
            if runs == Some(true) && hides(binding, name.start()) {
                break;
            }
        }
        found.filter(|_| count > 1 || !may_not_run).unwrap_or(Value::Unknown)
    }

    /// The bindings of a name that may count where it is used, in the order of the text.
    pub(super) fn seen(&self, name: &ExprName, scope: ScopeId) -> Vec<&Binding<'a>> {
        let bindings = self.bindings(name.id.as_str(), scope);
        let Some(around) = self.scopes.all.get(scope).filter(|_| self.is_own(name, scope)) else {
            return bindings;
        };
        let used = name.start();
        let is_before = |binding: &&&Binding<'a>| binding.place.at <= used;
        let surely = |binding: &&&Binding<'a>| is_before(binding) && surely_runs(binding, used);
        let last = bindings.iter().filter(surely).map(|binding| binding.place.at).max();
        let Some(last) = last else { return bindings };
        let counts = |binding: &&Binding<'a>| {
            binding.from_elsewhere
                || binding.place.at >= last
                    && (binding.place.at <= used || in_one_loop(around, binding.place.at, used))
        };
        bindings.into_iter().filter(counts).collect()
    }

    /// Whether the code of a scope binds a name itself.
    fn is_own(&self, name: &ExprName, scope: ScopeId) -> bool {
        self.scopes.all.get(scope).is_some_and(|own| own.names.contains_key(name.id.as_str()))
    }

    /// Whether two values mean the same.
    pub(super) fn are_alike(&self, one: &Value, other: &Value, depth: usize) -> bool {
        match (one, other) {
            (Value::Plain(Json::String(one)), Value::Plain(Json::String(other))) => {
                let is_fused = |name: &String| FUSED_ATTENTION.contains(&name.as_str());
                one == other || is_fused(one) && is_fused(other)
            }
            (Value::Call(one), Value::Call(other)) => one == other || self.make_the_same(*one, *other, depth),
            _ => one == other && *one != Value::Unknown,
        }
    }

    /// Whether two calls have the same function and the same arguments, all of them known.
    fn make_the_same(&self, one: usize, other: usize, depth: usize) -> bool {
        let (Some(one), Some(other)) = (self.scopes.sites.get(one), self.scopes.sites.get(other)) else {
            return false;
        };
        if depth > DEEPEST || !self.step() {
            return false;
        }
        let (left, right) = (&one.call.arguments, &other.call.arguments);
        let function = self.path(&one.call.func, one.scope, depth + 1);
        let same = |a, b| match (self.value(a, one.scope, depth + 1), self.value(b, other.scope, depth + 1)) {
            (Value::Plain(a), Value::Plain(b)) => a == b,
            _ => false,
        };
        function.is_some()
            && function == self.path(&other.call.func, other.scope, depth + 1)
            && left.args.len() == right.args.len()
            && left.keywords.len() == right.keywords.len()
            && left.args.iter().zip(&right.args).all(|(a, b)| same(a, b))
            && left.keywords.iter().all(|keyword| {
                let name = keyword.arg.as_ref().map(ruff_python_ast::Identifier::as_str);
                let given = name.and_then(|name| right.find_keyword(name));
                given.is_some_and(|given| same(&keyword.value, &given.value))
            })
    }
}

/// Whether a binding of the same scope surely runs before a later use: it stands among the statements around it.
fn surely_runs(binding: &Binding<'_>, used: TextSize) -> bool {
    !binding.from_elsewhere && binding.place.block.contains_inclusive(used)
}

/// Whether a binding whose conditions hold hides those before it.
fn hides(binding: &Binding<'_>, used: TextSize) -> bool {
    let ends = |body: &TextRange| !body.contains_inclusive(used);
    !binding.from_elsewhere && binding.place.at <= used && !binding.place.may_end_before.iter().any(ends)
}

fn in_one_loop(scope: &Scope<'_>, one: TextSize, other: TextSize) -> bool {
    scope.loops.iter().any(|range| range.contains_inclusive(one) && range.contains_inclusive(other))
}
