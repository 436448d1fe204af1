//! Shell scripts, read statement by statement and never run.
//!
//! A script is read as a shell runs it, with the variables that are known:
//!
//! - `a; b`, `a && b`: one after the other. A command after a test (`[ … ] && b`) may not be run.
//! - `if`, `case`, `a || b`: any branch may be taken, unless known variables [decide](conditions). The programs of all
//!   branches count. Of a variable with different values after them, only the words are known with which all of them
//!   begin and end. A branch that ends the script changes nothing after it. If such a branch starts a program, the rest
//!   of the script is another branch.
//! - loops: the body once, and the variables that it changes are unknown.
//! - functions: at each call. `(…)`, pipelines and `&`: their changes stay inside.
//! - `cat > file <<EOF`, `echo … > file`, `tee file`, `cp` and `mv`: the file is known from there on.
//! - `$(…)`: the programs that it starts count, as in a subshell.
//!
//! All of this work is counted. Where the budget ends, reading stops and a gap is noted.

mod arithmetic;
mod builtins;
mod compound;
mod conditions;
mod copies;
mod dialect;
mod documents;
mod expand;
mod lines;
mod parameters;
mod placeholders;
mod printed;
mod substitutions;
mod syntax;
mod variables;

use std::rc::Rc;

use brush_parser::ast::{
    AndOr, AndOrList, Assignment, AssignmentName, AssignmentValue, Command, CommandPrefixOrSuffixItem,
    CompoundCommand, CompoundList, IoFileRedirectKind, IoFileRedirectTarget, IoRedirect, Pipeline,
    SeparatorOperator, SimpleCommand,
};

use self::builtins::{
    DECLARE, appended, declare, exports, may_declare, may_set_variables, set, without_tabs,
};
use self::compound::join;
use self::expand::Expander;
pub use self::variables::set_by_others;
use self::variables::{State, Value};
use crate::command::programs::is_auxiliary;
use crate::command::run::{Run, Start};
use crate::command::text::Text;
use crate::command::wrappers::{self, is_name};
use crate::command::{Branch, Environment, Word, basename, known, launchers, programs};
use crate::job::Gap;

/// The deepest nesting of scripts and functions.
const DEEPEST: usize = 6;
/// Commands that answer yes or no. A command after them and `&&` may not be run.
const TESTS: &[&str] = &["[", "test", "grep", "command", "which", "type", "hash", "false", "[["];

/// A simple command, as far as it is read.
#[derive(Default)]
struct Simple<'c> {
    words: Vec<Text>,
    /// The assignments before its name.
    before: Vec<&'c Assignment>,
    /// The assignments behind `export` and its like.
    declared: Vec<&'c Assignment>,
    /// What it reads.
    input: Option<Text>,
    /// The file that it writes, and whether it appends.
    output: Option<(Text, bool)>,
}

/// Reads a script with its arguments, in an environment.
pub(crate) fn read(script: &str, arguments: &[Word], start: &Start<'_>, run: &mut Run<'_>) {
    read_file(None, script, arguments, start, run);
}

/// The same, of a script that is a file with this path.
pub(crate) fn read_file(
    path: Option<&str>,
    script: &str,
    arguments: &[Word],
    start: &Start<'_>,
    run: &mut Run<'_>,
) {
    let mut state = State::of(start.environment, start.directory.clone());
    state.script = path.map(str::to_owned);
    state.arguments = Some(arguments.iter().map(text).collect());
    let mut shell = Shell { run, start, depth: start.depth + 1, substitutions: Vec::new() };
    shell.within(|shell| shell.script(script, &mut state));
}

fn text(word: &Word) -> Text {
    if word.known { Text::known(&word.text) } else { Text::unknown(&word.text) }
}

struct Shell<'r, 'f, 's> {
    run: &'r mut Run<'f>,
    start: &'s Start<'s>,
    depth: usize,
    /// Command substitutions of the words that were expanded last.
    substitutions: Vec<String>,
}

impl Shell<'_, '_, '_> {
    fn script(&mut self, script: &str, state: &mut State) {
        if self.depth > DEEPEST {
            return self.run.budget.leave_out(Gap::Depth);
        }
        let parsed = syntax::parse(script, self.run.budget);
        for list in &parsed.commands {
            self.list(list, state);
        }
        // No line after `exit` runs.
        if let Some(gap) = parsed.gap.filter(|_| !state.ended) {
            self.run.budget.leave_out(gap);
        }
    }

    /// Reads a process of its own: if it ends, the script around it goes on.
    fn within(&mut self, read: impl FnOnce(&mut Self)) {
        let outside = self.run.branches.len();
        read(self);
        self.run.branches.truncate(outside);
    }

    /// Reads a branch that may not be taken. Gives whether it may start a program and then end the script.
    fn branch(
        &mut self,
        branch: Branch,
        state: &mut State,
        read: impl FnOnce(&mut Self, &mut State),
    ) -> bool {
        let (outside, found) = (self.run.branches.len(), self.run.launches.len());
        self.run.branches.push(branch);
        read(self, state);
        let ends = state.ended && self.run.launches.len() > found;
        let ends = ends || self.run.branches.len() > outside + 1;
        self.run.branches.truncate(outside);
        ends
    }

    /// Reads a part whose condition holds, unless it is a guard: it fails before anything has started. A variable that a
    /// guard asks for comes from the image, or the job would not be submitted.
    pub(crate) fn unless_guard(&mut self, state: &mut State, read: impl FnOnce(&mut Self, &mut State)) {
        let (before, found) = (state.clone(), self.run.launches.len());
        read(self, state);
        if state.failed && self.run.launches.len() == found {
            *state = before;
        }
    }

    /// Enters the branch that follows a decision, after a branch of that decision has ended the script.
    fn enter_rest(&mut self, decision: usize) {
        self.run.branches.push(Branch { decision, number: usize::MAX });
    }

    fn list(&mut self, list: &CompoundList, state: &mut State) {
        for item in &list.0 {
            if state.ended {
                return;
            }
            if self.run.is_full() {
                return self.run.budget.leave_out(Gap::Programs);
            }
            if !self.run.budget.statement(state.size()) {
                return;
            }
            if matches!(item.1, SeparatorOperator::Async) {
                self.within(|shell| shell.and_or(&item.0, &mut state.clone()));
            } else {
                self.and_or(&item.0, state);
            }
        }
    }

    fn and_or(&mut self, list: &AndOrList, state: &mut State) {
        let mut holds = self.pipeline_holds(&list.first, state);
        self.pipeline(&list.first, state);
        let mut uncertain = is_test(&list.first) && holds.is_none();
        let (decision, mut ends) = (self.run.budget.decision(), false);
        for other in &list.additional {
            if state.ended || !self.run.budget.statement(state.size()) {
                return;
            }
            let (pipeline, perhaps) = match (other, holds) {
                (AndOr::And(_), Some(false)) | (AndOr::Or(_), Some(true)) => continue,
                (AndOr::And(pipeline) | AndOr::Or(pipeline), Some(_)) => (pipeline, false),
                (AndOr::And(pipeline), None) => (pipeline, uncertain),
                (AndOr::Or(pipeline), None) => (pipeline, true),
            };
            holds = self.pipeline_holds(pipeline, state).filter(|_| !perhaps);
            if perhaps {
                let mut taken = state.clone();
                let number = usize::from(matches!(other, AndOr::Or(_)));
                ends |= self.branch(Branch { decision, number }, &mut taken, |shell, state| {
                    shell.pipeline(pipeline, state);
                });
                join(state, vec![taken, state.clone()]);
            } else if is_test(&list.first) {
                self.unless_guard(state, |shell, state| shell.pipeline(pipeline, state));
            } else {
                self.pipeline(pipeline, state);
            }
            uncertain |= is_test(pipeline) && holds.is_none();
        }
        if ends {
            self.enter_rest(decision);
        }
    }

    fn pipeline(&mut self, pipeline: &Pipeline, state: &mut State) {
        match pipeline.seq.as_slice() {
            [command] => self.command(command, None, state),
            commands => {
                let mut input = None;
                for command in commands {
                    if !self.run.budget.statement(state.size()) {
                        return;
                    }
                    let mut within = state.clone();
                    let output = self.output(command, input.as_ref(), &mut within);
                    let read = input.take();
                    self.within(|shell| shell.command(command, read, &mut within));
                    input = output;
                }
            }
        }
    }

    fn command(&mut self, command: &Command, input: Option<Text>, state: &mut State) {
        match command {
            Command::Simple(simple) => self.simple(simple, input, state),
            Command::Compound(compound, _) => self.compound(compound, state),
            Command::Function(function) => {
                let body = Rc::new(function.body.0.clone());
                state.functions.insert(function.fname.value.clone(), body);
            }
            Command::ExtendedTest(_) => {}
        }
    }

    fn simple(&mut self, command: &SimpleCommand, input: Option<Text>, state: &mut State) {
        let mut read = Simple { input, ..Simple::default() };
        for item in command.prefix.iter().flat_map(|prefix| &prefix.0) {
            match item {
                CommandPrefixOrSuffixItem::AssignmentWord(assignment, _) => read.before.push(assignment),
                CommandPrefixOrSuffixItem::IoRedirect(redirect) => self.redirect(redirect, &mut read, state),
                _ => {}
            }
        }
        if let Some(word) = &command.word_or_name {
            read.words.extend(self.fields(&word.value, state));
        }
        let name = read.words.first().and_then(Text::as_known);
        let declares = name.is_some_and(|name| DECLARE.contains(&name));
        for item in command.suffix.iter().flat_map(|suffix| &suffix.0) {
            match item {
                CommandPrefixOrSuffixItem::AssignmentWord(assignment, _) if declares => {
                    read.declared.push(assignment);
                }
                CommandPrefixOrSuffixItem::Word(word)
                | CommandPrefixOrSuffixItem::AssignmentWord(_, word) => {
                    read.words.extend(self.fields(&word.value, state));
                }
                CommandPrefixOrSuffixItem::IoRedirect(redirect) => self.redirect(redirect, &mut read, state),
                CommandPrefixOrSuffixItem::ProcessSubstitution(..) => read.words.push(Text::unknown("<()")),
            }
        }
        self.substituted(state);
        self.run_simple(read, state);
    }

    /// Sets the variables of a simple command, keeps what it writes, and runs it.
    fn run_simple(&mut self, read: Simple<'_>, state: &mut State) {
        let Simple { words, before, declared, input, output } = read;
        if words.is_empty() {
            for assignment in before {
                self.assign(assignment, state);
            }
            return;
        }
        for assignment in declared {
            let name = self.assign(assignment, state);
            if exports(&words) {
                state.export(&name);
            }
        }
        if let Some((path, append)) = output {
            let text = self.printed(&words, input.as_ref(), state).map(|text| text.shown());
            self.keep(&path, text, append, state);
        }
        // Variables before a command are set for that command alone.
        if before.is_empty() {
            self.call(&words, input.as_ref(), state);
        } else {
            let mut within = state.clone();
            for assignment in before {
                let name = self.assign(assignment, &mut within);
                within.export(&name);
            }
            self.call(&words, input.as_ref(), &mut within);
            state.ended |= within.ended;
        }
    }

    /// Notes where a command reads from and writes to.
    fn redirect(&mut self, redirect: &IoRedirect, read: &mut Simple<'_>, state: &mut State) {
        match redirect {
            IoRedirect::HereDocument(_, document) => {
                let body = document.doc.value.as_str();
                let text = if document.requires_expansion {
                    self.expander(state).body(body)
                } else {
                    Text::known(body)
                };
                read.input = Some(if document.remove_tabs { without_tabs(&text) } else { text });
            }
            IoRedirect::HereString(_, word) => {
                read.input = Some(self.expander(state).text(&word.value));
            }
            IoRedirect::File(
                None | Some(0),
                IoFileRedirectKind::Read,
                IoFileRedirectTarget::Filename(word),
            ) => {
                let path = self.expander(state).text(&word.value);
                read.input = self.file(&path, state);
            }
            IoRedirect::File(None | Some(1), kind, IoFileRedirectTarget::Filename(word)) => {
                let path = self.expander(state).text(&word.value);
                match kind {
                    IoFileRedirectKind::Write | IoFileRedirectKind::Clobber => {
                        read.output = Some((path, false));
                    }
                    IoFileRedirectKind::Append => read.output = Some((path, true)),
                    _ => {}
                }
            }
            _ => {}
        }
    }

    /// Runs a builtin of the shell, a function or a program.
    fn call(&mut self, words: &[Text], input: Option<&Text>, state: &mut State) {
        let Some((head, rest)) = words.split_first() else { return };
        let name = head.as_known().unwrap_or("$");
        if let Some(body) = state.functions.get(name).cloned() {
            self.call_function(&body, rest, state);
        } else if !self.call_builtin(name, words, input, state) {
            self.start_program(name, words, input, state);
        }
    }

    fn call_function(&mut self, body: &CompoundCommand, arguments: &[Text], state: &mut State) {
        if self.depth >= DEEPEST {
            self.run.budget.leave_out(Gap::Depth);
        } else if self.run.budget.statement(state.size()) {
            self.depth += 1;
            let arguments = state.arguments.replace(arguments.to_vec());
            self.within(|shell| shell.compound(body, state));
            state.arguments = arguments;
            (state.ended, state.failed) = (false, false);
            self.depth -= 1;
        }
    }

    /// Runs what changes the shell or its files. `false` if it is another program.
    fn call_builtin(&mut self, name: &str, words: &[Text], input: Option<&Text>, state: &mut State) -> bool {
        let rest = words.get(1..).unwrap_or_default();
        match name {
            _ if DECLARE.contains(&name) => declare(words, state),
            "unset" => rest.iter().filter_map(Text::as_known).for_each(|name| state.set(name, Value::Unset)),
            "set" => set(rest, state),
            "shift" => match rest.first().map_or(Some(1), |count| count.as_known()?.parse().ok()) {
                Some(count) => {
                    state.arguments = state.arguments.take().map(|all| all.into_iter().skip(count).collect());
                }
                None => state.arguments = None,
            },
            "cd" | "pushd" => {
                let to = rest.iter().find(|word| !word.shown().starts_with("--")).and_then(Text::as_known);
                state.directory = to.map(|to| state.path(to)).filter(|path| path.starts_with('/'));
            }
            "popd" => state.directory = None,
            // `read -r -d '' NAME <<EOF`: the whole document.
            "read" if let Some(name) = builtins::read_whole(rest) => {
                let text = input.cloned().map_or(Value::Unknown, Value::Text);
                state.set(name, text);
            }
            "read" | "mapfile" | "readarray" | "getopts" => {
                let names = rest.iter().filter_map(Text::as_known).filter(|name| is_name(name));
                names.for_each(|name| state.set(name, Value::Unknown));
            }
            "let" => rest.iter().for_each(|word| self.let_(&word.shown(), state)),
            "exit" | "return" => {
                state.ended = true;
                state.failed = rest.first().and_then(Text::as_known).is_some_and(|status| status != "0");
            }
            "eval" => self.evaluate(rest, state),
            "source" | "." => self.source(rest, state),
            // `exec` of a program ends the script; `exec` with redirections alone does not.
            "exec" if rest.is_empty() => {}
            "sudo" if matches!(rest.first().and_then(Text::as_known), Some("tee" | "cp" | "mv" | "ln")) => {
                self.call(rest, input, state);
            }
            "tee" => self.tee(rest, input, state),
            "cp" | "mv" | "ln" | "install" => self.copy(rest, state),
            _ => return false,
        }
        true
    }

    fn evaluate(&mut self, words: &[Text], state: &mut State) {
        if may_declare(words) {
            state.leave_variables_open();
        }
        let text = words.iter().map(Text::shown).collect::<Vec<_>>().join(" ");
        self.depth += 1;
        self.script(&text, state);
        self.depth -= 1;
    }

    fn start_program(&mut self, name: &str, words: &[Text], input: Option<&Text>, state: &mut State) {
        let words: Vec<Word> = words.iter().map(Text::word).map(programs::found).collect();
        if is_auxiliary(basename(name)) && !may_start_a_program(name) {
            self.run.downloads.of_command(&words, state.directory.as_deref());
            return;
        }
        state.ended |= name == "exec";
        let environment = state.environment();
        let start = Start {
            environment: &environment,
            directory: state.directory.clone(),
            launchers: self.start.launchers.clone(),
            depth: self.depth,
            input: input.map(Text::shown),
        };
        // A program cannot change the shell that starts it, even if a part of it is not read.
        let before = self.run.budget.gaps();
        self.run.command(&words, &start);
        self.run.harmless += self.run.budget.gaps() - before;
    }

    /// Runs a file in this shell. A file that is not read, or that only a branch writes, may set any variable.
    fn source(&mut self, words: &[Text], state: &mut State) {
        let path = words.first().and_then(Text::as_known).map(|path| state.path(path));
        let Some(path) = path else { return state.leave_variables_open() };
        let Some(file) = self.run.files.get(&path).cloned() else {
            self.run.note_missing(&path, None);
            if may_set_variables(&path) {
                state.leave_variables_open();
            }
            return;
        };
        let (is_certain, found) = (file.is_certain_in(&self.run.branches), self.run.launches.len());
        let mut read = state.clone();
        read.script = Some(path);
        self.depth += 1;
        self.script(&file.text, &mut read);
        self.depth -= 1;
        read.script.clone_from(&state.script);
        if is_certain {
            *state = read;
        } else {
            self.run.mark_uncertain(found, is_certain);
            join(state, vec![read, state.clone()]);
            state.leave_variables_open();
        }
    }

    /// The text that a command of a pipeline gives to the next, if it is known.
    fn output(&mut self, command: &Command, input: Option<&Text>, state: &mut State) -> Option<Text> {
        let Command::Simple(simple) = command else { return None };
        let name = simple.word_or_name.as_ref()?.value.as_str();
        let mut input = input.cloned();
        let mut words = vec![Text::known(name)];
        for item in simple.suffix.iter().flat_map(|suffix| &suffix.0) {
            match item {
                CommandPrefixOrSuffixItem::Word(word) => words.extend(self.fields(&word.value, state)),
                CommandPrefixOrSuffixItem::IoRedirect(IoRedirect::HereDocument(_, document)) => {
                    input = Some(if document.requires_expansion {
                        self.expander(state).body(&document.doc.value)
                    } else {
                        Text::known(&document.doc.value)
                    });
                }
                CommandPrefixOrSuffixItem::IoRedirect(IoRedirect::File(
                    None | Some(0),
                    IoFileRedirectKind::Read,
                    IoFileRedirectTarget::Filename(word),
                )) => {
                    let path = self.expander(state).text(&word.value);
                    input = self.file(&path, state);
                }
                CommandPrefixOrSuffixItem::IoRedirect(IoRedirect::File(Some(2), ..)) => {}
                _ => return None,
            }
        }
        // They are read when the command itself is.
        self.substitutions.clear();
        self.printed(&words, input.as_ref(), state)
    }

    fn assign(&mut self, assignment: &Assignment, state: &mut State) -> String {
        let (name, element) = match &assignment.name {
            AssignmentName::VariableName(name) => (name, false),
            AssignmentName::ArrayElementName(name, _) => (name, true),
        };
        if let AssignmentValue::Scalar(word) = &assignment.value
            && !element
            && self.add(name, &word.value, assignment.append, state)
        {
            return name.clone();
        }
        let value = match &assignment.value {
            _ if element => Value::Unknown,
            AssignmentValue::Scalar(word) => Value::Text(self.expander(state).text(&word.value)),
            AssignmentValue::Array(words) if words.iter().all(|(key, _)| key.is_none()) => {
                Value::Array(words.iter().flat_map(|(_, word)| self.fields(&word.value, state)).collect())
            }
            AssignmentValue::Array(_) => Value::Unknown,
        };
        self.substituted(state);
        let value = if assignment.append { appended(state.get(name).as_deref(), value) } else { value };
        let cost = match &value {
            Value::Text(text) => text.cost(),
            Value::Array(texts) => texts.iter().map(Text::cost).sum(),
            _ => 0,
        };
        let value = if self.run.budget.bytes(cost) { value } else { Value::Unknown };
        state.set(name, value);
        name.clone()
    }

    /// `A+=' more'` and `A="$A more"`, whose cost is that of the addition. Gives whether the assignment is one.
    fn add(&mut self, name: &str, word: &str, append: bool, state: &mut State) -> bool {
        let addition = if append { Some(word.to_owned()) } else { builtins::addition(name, word) };
        let Some(addition) = addition.filter(|_| state.is_text(name)) else { return false };
        let more = self.expander(state).text(&addition);
        self.substituted(state);
        let cost = state.add(name, &more);
        if !self.run.budget.bytes(cost) {
            state.set(name, Value::Unknown);
        }
        true
    }

    fn fields(&mut self, word: &str, state: &mut State) -> Vec<Text> {
        self.expander(state).fields(word)
    }

    fn expander<'e>(&'e mut self, state: &'e mut State) -> Expander<'e> {
        Expander::new(state, self.run.budget, &mut self.substitutions)
    }
}

/// Whether an auxiliary program has a subcommand that is known or starts another program: `ray job submit`.
fn may_start_a_program(name: &str) -> bool {
    wrappers::is_wrapper(name) || launchers::begins_with(basename(name)) || known::begins_with(basename(name))
}

/// Whether a command after `&&` may not be run: this one is a test.
fn is_test(pipeline: &Pipeline) -> bool {
    match pipeline.seq.as_slice() {
        [Command::Simple(command)] => {
            let name = command.word_or_name.as_ref().map(|word| word.value.as_str());
            name.is_some_and(|name| TESTS.contains(&name))
        }
        [Command::ExtendedTest(_) | Command::Compound(CompoundCommand::Arithmetic(_), _)] => true,
        _ => false,
    }
}

/// An environment with a program's own variables added.
pub(crate) fn with(environment: &Environment, variables: Vec<(String, Word)>) -> Environment {
    let inherited_more = environment.may_have_more;
    let own = variables.into_iter().map(|(name, word)| {
        let text = Text::of_variable(&name, word.known.then_some(word.text.as_str()));
        (name, text)
    });
    let inherited = environment.texts().map(|(name, text)| (name.to_owned(), text.clone()));
    let mut environment: Environment = inherited.chain(own).collect();
    environment.may_have_more = inherited_more;
    environment
}
