//! Compound commands: any branch may be taken whose condition is not known, and the body of a loop is read once, unless
//! its condition says that it never runs.

use brush_parser::ast::{
    CaseClauseCommand, CaseItemPostAction, CompoundCommand, CompoundList, ForClauseCommand, IfClauseCommand,
    WhileOrUntilClauseCommand,
};

use crate::command::Branch;
use crate::command::shell::Shell;
use crate::command::shell::conditions::Matched;
use crate::command::shell::variables::{State, Value};
use crate::command::text::Text;
use crate::command::wrappers::is_name;

impl Shell<'_, '_, '_> {
    pub(crate) fn compound(&mut self, compound: &CompoundCommand, state: &mut State) {
        match compound {
            CompoundCommand::BraceGroup(group) => self.list(&group.list, state),
            CompoundCommand::Subshell(subshell) => {
                self.within(|shell| shell.list(&subshell.list, &mut state.clone()));
            }
            CompoundCommand::IfClause(clause) => self.if_clause(clause, state),
            CompoundCommand::CaseClause(clause) => self.case_clause(clause, state),
            CompoundCommand::ForClause(clause) => self.for_clause(clause, state),
            CompoundCommand::WhileClause(clause) => self.loop_while(clause, true, state),
            CompoundCommand::UntilClause(clause) => self.loop_while(clause, false, state),
            CompoundCommand::ArithmeticForClause(clause) => self.repeat(None, &clause.body.list, state),
            CompoundCommand::Arithmetic(command) => self.let_(&command.expr.value, state),
        }
    }

    /// The branches whose conditions may hold. If the first condition that holds is known, only its body.
    fn if_clause(&mut self, clause: &IfClauseCommand, state: &mut State) {
        let first = (Some(&clause.condition), &clause.then);
        let others = clause.elses.iter().flatten().map(|other| (other.condition.as_ref(), &other.body));
        let mut branches = Vec::new();
        let (decision, mut ends) = (self.run.budget.decision(), false);
        let mut has_else = false;
        for (condition, body) in std::iter::once(first).chain(others) {
            let mut holds = Some(true);
            if let Some(condition) = condition {
                self.list(condition, state);
                holds = self.holds(condition, state);
            }
            if holds == Some(false) {
                continue;
            }
            if holds.is_none()
                && branches.is_empty()
                && condition.is_some_and(|condition| Self::asks_for_unset(condition, state))
                && self.gives_defaults(body, state)
            {
                return;
            }
            has_else = holds == Some(true);
            if has_else && branches.is_empty() {
                return self.unless_guard(state, |shell, state| shell.list(body, state));
            }
            let mut taken = state.clone();
            ends |= self.branch_of(decision, branches.len(), body, &mut taken);
            branches.push(taken);
            if has_else {
                break;
            }
        }
        if !has_else {
            branches.push(state.clone());
        }
        self.join_branches(branches, decision, ends, state);
    }

    /// Reads a body that only gives values to variables that nothing sets. It holds as `${NAME:-value}` does. Returns
    /// whether it is such a body.
    fn gives_defaults(&mut self, body: &CompoundList, state: &mut State) -> bool {
        let started = self.run.launches.len();
        let mut taken = state.clone();
        self.within(|shell| shell.list(body, &mut taken));
        if self.run.launches.len() > started || taken.ended {
            self.run.launches.truncate(started);
            return false;
        }
        *state = taken;
        true
    }

    /// The item that matches, if that is known. Otherwise any item, or none.
    fn case_clause(&mut self, clause: &CaseClauseCommand, state: &mut State) {
        match self.matching(&clause.value, &clause.cases, state) {
            Matched::Item(case) if matches!(case.post_action, CaseItemPostAction::ExitCase) => {
                return case.cmd.iter().for_each(|list| self.list(list, state));
            }
            Matched::Nothing => return,
            Matched::Item(_) | Matched::Unknown => {}
        }
        let mut branches = vec![state.clone()];
        let (decision, mut ends) = (self.run.budget.decision(), false);
        for case in &clause.cases {
            let mut taken = state.clone();
            if let Some(list) = &case.cmd {
                ends |= self.branch_of(decision, branches.len(), list, &mut taken);
            }
            branches.push(taken);
        }
        self.join_branches(branches, decision, ends, state);
    }

    /// The state after branches. `ends`: whether one of them ends the script and starts a program.
    fn join_branches(&mut self, branches: Vec<State>, decision: usize, ends: bool, state: &mut State) {
        join(state, branches);
        if ends {
            self.enter_rest(decision);
        }
    }

    /// The body once. The variable is known if it has one value only.
    fn for_clause(&mut self, clause: &ForClauseCommand, state: &mut State) {
        let values: Vec<Text> =
            clause.values.iter().flatten().flat_map(|word| self.fields(&word.value, state)).collect();
        self.substituted(state);
        let value = match values.as_slice() {
            [one] if clause.values.is_some() => Value::Text(one.clone()),
            _ => Value::Unknown,
        };
        self.repeat(Some((&clause.variable_name, value)), &clause.body.list, state);
    }

    /// The body once, unless the condition is known never to have this truth.
    fn loop_while(&mut self, clause: &WhileOrUntilClauseCommand, truth: bool, state: &mut State) {
        self.list(&clause.0, state);
        if self.holds(&clause.0, state) != Some(!truth) {
            self.repeat(None, &clause.1.list, state);
        }
    }

    fn branch_of(&mut self, decision: usize, number: usize, list: &CompoundList, state: &mut State) -> bool {
        self.branch(Branch { decision, number }, state, |shell, state| shell.list(list, state))
    }

    /// Reads the body of a loop. Variables that it changes are unknown in it and after it.
    fn repeat(&mut self, variable: Option<(&str, Value)>, body: &CompoundList, state: &mut State) {
        if let Some((name, value)) = variable {
            state.set(name, value);
        }
        // Once to find the changed variables, and once more with these unknown.
        let started = self.run.launches.len();
        let mut tried = state.clone();
        self.within(|shell| shell.list(body, &mut tried));
        tried.ended = state.ended;
        if let Some(joined) = State::join_any(vec![tried, state.clone()]) {
            *state = joined;
        }
        self.run.launches.truncate(started);
        self.list(body, &mut state.clone());
    }

    /// `(( … ))` and `let`: a plain assignment is known; anything else makes the variables in it unknown.
    pub(crate) fn let_(&mut self, expression: &str, state: &mut State) {
        let name = expression
            .trim()
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .find(|part| is_name(part));
        let Some(name) = name else { return };
        if expression.contains("++") || expression.contains("--") || expression.contains('=') {
            let value = expression.split_once('=').filter(|(before, _)| before.trim() == name);
            let value = value.and_then(|(_, value)| self.expander(state).arithmetic(value));
            let value = value.map_or(Value::Unknown, |value| Value::Text(Text::known(&value.to_string())));
            state.set(name, value);
        }
    }
}

/// Joins the states after branches.
pub(crate) fn join(state: &mut State, branches: Vec<State>) {
    if let Some(joined) = State::join(branches) {
        *state = joined;
    }
}
