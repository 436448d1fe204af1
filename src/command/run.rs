//! Finds the programs that the words of a command start, through wrappers, shells and launchers.

use std::sync::Arc;

use serde_json::Value;

use super::purpose::surely_trains_nothing;
use crate::command::downloads::Downloads;
use crate::command::files::{File, Files, absolute};
use crate::command::known;
use crate::command::launchers::{self, Grammar, Starts};
use crate::command::options::{Options, has_ending, plain};
use crate::command::programs::{
    PYTHON, SHELL, SHELL_WORDS, SHELLS, inner_command, is_auxiliary, is_python, passed_on, runs_python,
};
use crate::command::wrappers;
use crate::command::{
    Arguments, Branch, Environment, Launch, Launcher, MOST_LAUNCHES, Target, Word, basename, python, shell,
};
use crate::job::{Gap, Source};

/// The most words of a command that are read. It is less than the bound of a list in an object.
const MOST_WORDS: usize = 4_000;
/// The deepest nesting of commands.
const DEEPEST: usize = 12;

/// The work that may still be spent on a command. When it is spent, the rest of the command is not read.
#[derive(Debug)]
pub(crate) struct Budget {
    /// Bytes of text that may still be made.
    pub(crate) bytes: usize,
    /// Statements that may still be read.
    statements: usize,
    /// Bytes of scripts that may still be read.
    scripts: usize,
    /// Tokens of scripts that the parser may still go through.
    tokens: usize,
    /// The work that may still be spent on Python programs.
    python: python::Work,
    /// The first part that was not read.
    gap: Option<Gap>,
    /// How many parts were not read.
    gaps: usize,
    /// How many decisions the scripts have had so far.
    decisions: usize,
}

impl Budget {
    pub(crate) fn new() -> Self {
        Self {
            bytes: 256 * 1024,
            statements: 4_000,
            scripts: 96 * 1024,
            tokens: 100_000,
            python: python::Work::ALL,
            gap: None,
            gaps: 0,
            decisions: 0,
        }
    }

    /// The work for what init containers prepare.
    pub(crate) fn of_preparations() -> Self {
        Self { bytes: 64 * 1024, statements: 500, scripts: 16 * 1024, tokens: 16_000, ..Self::new() }
    }

    /// Notes a part that is not read.
    pub(crate) fn leave_out(&mut self, gap: Gap) {
        self.gap.get_or_insert(gap);
        self.gaps += 1;
    }

    /// The number of the next decision.
    pub(crate) fn decision(&mut self) -> usize {
        self.decisions += 1;
        self.decisions
    }

    /// How many parts were not read.
    pub(crate) fn gaps(&self) -> usize {
        self.gaps
    }

    /// The first part that was not read.
    #[cfg(test)]
    pub(crate) fn gap(&self) -> Option<&Gap> {
        self.gap.as_ref()
    }

    /// The first part that was not read.
    pub(crate) fn into_gap(self) -> Option<Gap> {
        self.gap
    }

    fn enough(&mut self, enough: bool, gap: Gap) -> bool {
        if !enough {
            self.leave_out(gap);
        }
        enough
    }

    /// Spends a statement. It costs more in a shell that has many variables to copy.
    pub(crate) fn statement(&mut self, variables: usize) -> bool {
        let cost = 1 + variables / 32;
        let enough = cost <= self.statements && self.bytes > 0;
        self.statements = self.statements.saturating_sub(cost);
        self.enough(enough, Gap::Statements)
    }

    /// Spends bytes of text.
    pub(crate) fn bytes(&mut self, count: usize) -> bool {
        let enough = count <= self.bytes;
        self.bytes = self.bytes.saturating_sub(count);
        self.enough(enough, Gap::Text)
    }

    /// Spends tokens of a script, as often as the parser may read them.
    pub(crate) fn tokens(&mut self, count: usize) -> bool {
        let enough = count <= self.tokens;
        self.tokens = self.tokens.saturating_sub(count);
        self.enough(enough, Gap::Script)
    }

    /// Spends bytes of a script. Gives how many of these bytes may be read.
    pub(crate) fn script(&mut self, bytes: usize) -> usize {
        let read = bytes.min(self.scripts);
        self.scripts -= read;
        read
    }
}

/// How a command is started.
pub(crate) struct Start<'e> {
    pub(crate) environment: &'e Environment,
    /// The working directory, as far as it is known.
    pub(crate) directory: Option<String>,
    /// The launchers before it.
    pub(crate) launchers: Vec<Launcher>,
    /// The nesting of commands around it.
    pub(crate) depth: usize,
    /// Its standard input, if it is known.
    pub(crate) input: Option<String>,
}

/// The reading of one command.
pub(crate) struct Run<'p> {
    /// The place of the command.
    pub(crate) place: &'p str,
    /// The files that it can read.
    pub(crate) files: Files,
    /// The programs found so far.
    pub(crate) launches: Vec<Launch>,
    /// The models that are downloaded, by folder.
    pub(crate) downloads: Downloads,
    /// The work that may still be spent.
    pub(crate) budget: &'p mut Budget,
    /// The branches around it. Each of them may not be taken.
    pub(crate) branches: Vec<Branch>,
    /// A ConfigMap that sets variables and is absent.
    pub(crate) absent_variables: Option<String>,
    /// How many gaps do not concern the programs here: gaps of other containers and of other processes.
    pub(crate) harmless: usize,
}

impl<'p> Run<'p> {
    /// A reading that has found nothing yet.
    pub(crate) fn new(place: &'p str, files: Files, budget: &'p mut Budget) -> Self {
        let harmless = budget.gaps();
        Self {
            place,
            files,
            launches: Vec::new(),
            downloads: Downloads::default(),
            budget,
            branches: Vec::new(),
            absent_variables: None,
            harmless,
        }
    }

    /// Notes the gaps of the environment that a command starts in.
    pub(crate) fn starts_in(&mut self, environment: &Environment) {
        self.absent_variables.clone_from(&environment.absent);
        if let Some(gap) = &environment.gap {
            self.budget.leave_out(gap.clone());
        }
    }

    /// Whether the most programs that are kept have been found.
    pub(crate) fn is_full(&self) -> bool {
        self.launches.len() >= MOST_LAUNCHES
    }

    /// Reads a container's command and arguments.
    pub(crate) fn container(&mut self, container: &Value, start: &Start<'_>) {
        let list = |key: &str| container.get(key).and_then(Value::as_array).into_iter().flatten();
        let own = list("command").count();
        let mut words = list("command").chain(list("args")).filter_map(Value::as_str);
        let read = words.by_ref().take(MOST_WORDS);
        let read: Vec<Word> = read.map(|word| start.environment.expand(word, self.budget)).collect();
        if words.next().is_some() {
            self.budget.leave_out(Gap::Words);
        }
        let words = read;
        match words.first() {
            // The image's own program is started, and it is unknown here. Options are its arguments.
            None => self.image(container, &words, start),
            Some(first) if own == 0 && first.text.starts_with('-') => self.image(container, &words, start),
            Some(_) => self.command(&words, start),
        }
    }

    /// An image's own program.
    fn image(&mut self, container: &Value, arguments: &[Word], start: &Start<'_>) {
        let found = self.launches.len();
        self.found(Target::Unknown, arguments, start);
        if let Some(launch) = self.launches.get_mut(found) {
            launch.image = container.get("image").and_then(Value::as_str).map(str::to_owned);
        }
    }

    /// Reads a command.
    pub(crate) fn command(&mut self, words: &[Word], start: &Start<'_>) {
        if start.depth > DEEPEST {
            return self.budget.leave_out(Gap::Depth);
        }
        if self.is_full() {
            return self.budget.leave_out(Gap::Programs);
        }
        if let Some(wrapped) = wrappers::unwrap(words) {
            let mut environment = shell::with(start.environment, wrapped.variables);
            environment.may_have_more |= wrapped.may_set_more;
            let start = start.deeper(&environment);
            return match wrapped.words.split_first() {
                Some((module, rest)) if wrapped.is_module => self.module(module, rest, &start),
                _ => self.command(wrapped.words, &start),
            };
        }
        self.downloads.of_command(words, start.directory.as_deref());
        let Some((head, rest)) = words.split_first() else { return };
        if !head.known {
            return self.unknown_word(words, rest, start);
        }
        // A line of options, after a line that lacks its backslash, starts no program.
        if head.text.starts_with('-') {
            return;
        }
        let name = basename(&head.text);
        if let Some((launcher, length)) = launchers::of_command(words) {
            return self.launcher(launcher, words.get(length..).unwrap_or_default(), start);
        }
        if is_python(name) {
            return self.python(&PYTHON, rest, start);
        }
        if let Some((options, rest)) = runs_python(words) {
            return self.python(options, rest, start);
        }
        if SHELLS.contains(&name) {
            return self.shell(rest, start);
        }
        if let Some((program, length)) = known::of_several_words(words) {
            let target = Target::Program(program.to_owned());
            return self.found(target, words.get(length..).unwrap_or_default(), start);
        }
        if has_ending(name, "py") {
            return self.script(head, rest, start);
        }
        let is_script = head.text.contains('/') || has_ending(name, "sh");
        if let Some(file) =
            self.shell_file(&head.text, start).filter(|_| is_script || start.directory.is_some())
        {
            let first = file.text.lines().next().unwrap_or_default();
            if first.starts_with("#!") && first.contains("python") {
                return self.found(Target::Script(head.text.clone()), rest, start);
            }
            return self.known_script(&head.text, &file, rest, start);
        }
        if !is_auxiliary(name) {
            self.unknown_program(&head.text, rest, start);
        }
    }

    /// A command with an unknown first word: it may be a wrapper, or empty.
    fn unknown_word(&mut self, words: &[Word], rest: &[Word], start: &Start<'_>) {
        if inner_command(rest) == Some(0) {
            self.wrapped(rest, start);
        } else {
            self.note_absent_variables();
            self.found(Target::Unknown, words, start);
        }
    }

    fn launcher(&mut self, grammar: &Grammar, words: &[Word], start: &Start<'_>) {
        if let Starts::Component { script, module } = grammar.starts {
            return self.component(grammar, (script, module), words, start);
        }
        let has = |names: &[&str], words: &[Word]| {
            words.iter().any(|word| word.text.starts_with('-') && names.contains(&plain(&word.text).as_str()))
        };
        let is_file = match grammar.starts {
            Starts::Python { module, program } => !has(module, words) && !has(program, words),
            Starts::Command | Starts::Itself | Starts::Component { .. } => false,
        };
        let at = grammar.options.target(words, is_file);
        let (own, behind) = words.split_at_checked(at).unwrap_or((words, &[]));
        let own = own.split_last().filter(|(last, _)| last.text == "--").map_or(own, |(_, own)| own);
        let mut within = start.deeper(start.environment);
        within
            .launchers
            .push(Launcher { name: grammar.name.to_owned(), arguments: Arguments::of(own.to_vec()) });
        match grammar.starts {
            Starts::Command => {
                let passed = passed_on(own);
                let environment = shell::with(start.environment, passed);
                let within = Start { environment: &environment, ..within };
                if behind.is_empty() {
                    self.found(Target::Unknown, behind, &within);
                } else {
                    self.command(behind, &within);
                }
            }
            Starts::Itself | Starts::Component { .. } => {
                self.found(Target::Program(grammar.name.to_owned()), behind, &within);
            }
            Starts::Python { module, program } => match behind.split_first() {
                None => self.found(Target::Unknown, behind, &within),
                Some((first, rest)) if has(module, own) => self.module(first, rest, &within),
                Some(_) if has(program, own) => self.command(behind, &within),
                Some((first, rest)) => self.script(first, rest, &within),
            },
        }
    }

    /// A launcher whose component's options name the target: `dist.ddp -j 1x8 --script train.py -- ARGUMENTS`.
    fn component(
        &mut self,
        grammar: &Grammar,
        (script, module): (&str, &str),
        words: &[Word],
        start: &Start<'_>,
    ) {
        let end = words.iter().position(|word| word.text == "--").unwrap_or(words.len());
        let (own, behind) = words.split_at_checked(end).unwrap_or((words, &[]));
        let rest = behind.get(1..).unwrap_or_default();
        let own = Arguments::of(own.to_vec());
        let named = |option| own.value(option).map(Word::known);
        let (file, module) = (named(script), named(module));
        let mut within = start.deeper(start.environment);
        within.launchers.push(Launcher { name: grammar.name.to_owned(), arguments: own });
        match (file, module) {
            (Some(file), _) => self.script(&file, rest, &within),
            (None, Some(module)) => self.module(&module, rest, &within),
            (None, None) => self.found(Target::Unknown, rest, &within),
        }
    }

    fn python(&mut self, options: &Options, words: &[Word], start: &Start<'_>) {
        let mut at = 0;
        while let Some(word) = words.get(at) {
            let rest = words.get(at + 1..).unwrap_or_default();
            match word.text.as_str() {
                "-m" => {
                    return rest
                        .split_first()
                        .into_iter()
                        .for_each(|(module, rest)| self.module(module, rest, start));
                }
                "-c" => {
                    let code = rest.first().filter(|code| code.known).map(|code| code.text.clone());
                    return self.code(code, rest.get(1..).unwrap_or_default(), start);
                }
                "-" => return self.code(start.input.clone(), rest, start),
                _ => match options.width(word) {
                    Some(width) => at += width,
                    None => return self.script(word, rest, start),
                },
            }
        }
        if let Some(input) = start.input.clone() {
            self.code(Some(input), &[], start);
        }
    }

    /// Python code that the command holds.
    fn code(&mut self, code: Option<String>, arguments: &[Word], start: &Start<'_>) {
        let source = Source::Written { place: self.place.to_owned() };
        let code = code.map(|code| File { text: code.into(), source, branches: self.branches.clone() });
        self.found_with(code, Target::Program("python".into()), arguments, start);
    }

    /// A Python file, which may be a launcher itself.
    fn script(&mut self, file: &Word, words: &[Word], start: &Start<'_>) {
        let name = basename(&file.text);
        match launchers::of_script(name) {
            Some(launcher) => self.launcher(launcher, words, start),
            None if !file.known => self.found(Target::Unknown, words, start),
            None if !has_ending(name, "py") && self.files.meant(&file.text).is_none() => {
                // `torchrun $(which swift) sft`: the script that pip installs for a program.
                let whole = [&[Word::known(name)], words].concat();
                let (target, width) = match known::of_several_words(&whole) {
                    Some((program, width)) => (Target::Program(program.to_owned()), width),
                    None => (Target::Script(file.text.clone()), 1),
                };
                self.found(target, whole.get(width..).unwrap_or_default(), start);
            }
            None => self.found(Target::Script(file.text.clone()), words, start),
        }
    }

    /// A Python module, which may be a launcher itself.
    fn module(&mut self, module: &Word, words: &[Word], start: &Start<'_>) {
        match launchers::of_module(&module.text) {
            Some(launcher) => self.launcher(launcher, words, start),
            None if module.known => self.found(Target::Module(module.text.clone()), words, start),
            None => self.found(Target::Unknown, words, start),
        }
    }

    fn shell(&mut self, words: &[Word], start: &Start<'_>) {
        let (letters, rest) = shell_options(words);
        match rest.split_first() {
            // `bash -c SCRIPT NAME ARGUMENTS`: the script is the first word after all options.
            Some((script, rest)) if letters.contains('c') => {
                shell::read(&script.text, rest.get(1..).unwrap_or_default(), start, self);
            }
            None if letters.contains('c') => {}
            Some((file, rest)) if !letters.contains('s') => self.shell_script(file, rest, start),
            _ => {
                if let Some(input) = &start.input {
                    shell::read(input, rest, start, self);
                }
            }
        }
    }

    fn shell_script(&mut self, file: &Word, rest: &[Word], start: &Start<'_>) {
        let known = self.shell_file(&file.text, start);
        match known.filter(|_| file.known) {
            Some(known) => self.known_script(&file.text, &known, rest, start),
            // `bash torchrun …` is not a shell script.
            None if file.known => self.unknown_program(&file.text, rest, start),
            None => {
                self.note_absent_variables();
                self.found(Target::Unknown, rest, start);
            }
        }
    }

    /// The script at a path. In a working directory that is not known, it is the only file whose path ends so.
    fn shell_file(&self, path: &str, start: &Start<'_>) -> Option<File> {
        let file = match &start.directory {
            Some(directory) => self.files.get(&absolute(Some(directory), path)),
            None => self.files.meant(path),
        };
        file.cloned()
    }

    /// A known script. If only a branch writes it, the programs that it starts are uncertain.
    fn known_script(&mut self, path: &str, file: &File, rest: &[Word], start: &Start<'_>) {
        let (found, is_certain) = (self.launches.len(), file.is_certain_in(&self.branches));
        shell::read_file(Some(path), &file.text, rest, start, self);
        self.mark_uncertain(found, is_certain);
    }

    /// Marks the programs found from an index on as uncertain, unless the file is certain.
    pub(crate) fn mark_uncertain(&mut self, found: usize, is_certain: bool) {
        for launch in self.launches.iter_mut().skip(found).filter(|_| !is_certain) {
            launch.reads_of_branches = true;
            launch.behind_gap = true;
        }
    }

    /// An unknown program. If its arguments hold a launcher's command, it runs that.
    fn unknown_program(&mut self, path: &str, words: &[Word], start: &Start<'_>) {
        if let Some(command) = inner_command(words).and_then(|at| words.get(at..)) {
            return self.wrapped(command, start);
        }
        self.note_missing(path, start.directory.as_deref());
        self.found(Target::Program(basename(path).to_owned()), words, start);
    }

    /// A command that an unknown program runs. That program may set variables first.
    fn wrapped(&mut self, command: &[Word], start: &Start<'_>) {
        let environment = start.environment.clone().that_may_have_more(true);
        self.command(command, &start.deeper(&environment));
    }

    /// Notes that a file of a ConfigMap is absent, or may be among the files that are not read.
    pub(crate) fn note_missing(&mut self, path: &str, directory: Option<&str>) {
        if let Some(gap) = self.files.missing(&absolute(directory, path)) {
            self.budget.leave_out(gap);
        }
    }

    /// Notes that variables of an absent ConfigMap may name the target.
    fn note_absent_variables(&mut self) {
        if let Some(document) = &self.absent_variables {
            self.budget.leave_out(Gap::Absent(document.clone()));
        }
    }

    pub(crate) fn found(&mut self, target: Target, arguments: &[Word], start: &Start<'_>) {
        self.found_with(None, target, arguments, start);
    }

    /// The same, with the code of the program.
    fn found_with(&mut self, code: Option<File>, target: Target, arguments: &[Word], start: &Start<'_>) {
        if self.is_full() {
            return self.budget.leave_out(Gap::Programs);
        }
        let own = start.launchers.iter().flat_map(|launcher| launcher.arguments.words());
        let words = own.chain(arguments).map(|word| word.text.as_str());
        let files = self.files.seen_from(start.directory.as_deref());
        let reads_of_branches = files.any_uncertain_in(&self.branches, words);
        let launch = Launch {
            place: self.place.to_owned(),
            group: None,
            launchers: start.launchers.clone(),
            target,
            arguments: Arguments::of(arguments.to_vec()),
            environment: start.environment.clone(),
            files: files.certain_in(&self.branches),
            downloads: Arc::default(),
            branches: self.branches.clone(),
            behind_gap: self.budget.gaps() > self.harmless || reads_of_branches,
            reads_of_branches,
            accelerators: 0,
            init: false,
            image: None,
            script: None,
        };
        let code = code.or_else(|| match &launch.target {
            Target::Script(path) => launch.files.meant(path).cloned(),
            _ => None,
        });
        let script = code.map(|code| self.budget.python.read(&launch, &code));
        let launch = Launch { script, ..launch };
        // Half of the places are kept for programs that may train.
        if self.launches.len() < MOST_LAUNCHES / 2 || surely_trains_nothing(&launch).is_none() {
            self.launches.push(launch);
        }
    }

    /// Keeps the text that is written into a file. None for unknown text.
    pub(crate) fn write(&mut self, path: &str, text: Option<String>, append: bool) {
        let source = Source::Written { place: self.place.to_owned() };
        let before = self.files.get(path);
        let mut branches = self.branches.clone();
        let text = match (before, text) {
            (Some(before), Some(text)) if append => {
                if before.branches.len() > branches.len() {
                    branches.clone_from(&before.branches);
                }
                Some(format!("{}{text}", before.text))
            }
            (_, text) => text,
        };
        match text.filter(|text| self.budget.bytes(text.len())) {
            Some(text) => self.files.add_in(path, text.into(), source, &branches),
            None => self.files.remove(path),
        }
    }
}

/// The letters of a shell's options, and the words after all of them.
///
/// Letters may be joined: `-euo pipefail -c`. Each `o` and each `O` takes an operand from the words behind.
fn shell_options(words: &[Word]) -> (String, &[Word]) {
    let (mut letters, mut at) = (String::new(), 0);
    while let Some(word) = words.get(at) {
        let Some(given) = word.text.strip_prefix(['-', '+']) else { break };
        if matches!(given, "" | "-") {
            at += 1;
            break;
        }
        if given.starts_with('-') || SHELL_WORDS.contains(&given) {
            at += SHELL.width(word).unwrap_or(1);
            continue;
        }
        if word.text.starts_with('-') {
            letters.push_str(given);
        }
        at += 1 + given.matches(['o', 'O']).count();
    }
    (letters, words.get(at..).unwrap_or_default())
}

impl<'e> Start<'e> {
    /// A start without launchers before it.
    pub(crate) fn of(environment: &'e Environment, directory: Option<String>) -> Self {
        Self { environment, directory, launchers: Vec::new(), depth: 0, input: None }
    }

    fn deeper<'n>(&self, environment: &'n Environment) -> Start<'n>
    where
        'e: 'n,
    {
        Start {
            environment,
            directory: self.directory.clone(),
            launchers: self.launchers.clone(),
            depth: self.depth + 1,
            input: self.input.clone(),
        }
    }
}
