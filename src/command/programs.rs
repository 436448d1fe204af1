//! Programs known by their names: shells, Python, and programs that are not part of a training.

use crate::command::launchers;
use crate::command::options::{Options, plain};
use crate::command::wrappers::{assignment, starts_with};
use crate::command::{Word, basename};

/// The shells.
pub(crate) const SHELLS: &[&str] = &["sh", "bash", "ash", "dash", "zsh", "ksh"];
/// Long options of shells that take a value.
pub(crate) const SHELL: Options = Options::these("rcfile init-file startup-file emulate");
/// Long options that bash also accepts with one dash.
pub(crate) const SHELL_WORDS: &[&str] =
    &["rcfile", "init-file", "login", "noprofile", "norc", "noediting", "posix", "restricted", "verbose"];
/// Options of Python that take a value.
pub(crate) const PYTHON: Options = Options::these("W X check-hash-based-pycs");

/// Programs that run a Python file or, behind `-m`, a module within themselves: the words that start each, and its options that take
/// a value. Source: `coverage/cmdline.py` of coverage 7.
const PYTHON_RUNNERS: &[(&[&str], Options)] = &[(
    &["coverage", "run"],
    Options::these("concurrency context data-file include omit save-signal source rcfile debug"),
)];

/// The options of the program that runs Python within itself, and the words behind its name. None for other programs.
pub(crate) fn runs_python(words: &[Word]) -> Option<(&'static Options, &[Word])> {
    let runs = |(head, _): &&(&[&str], Options)| starts_with(words, head.iter().copied());
    let (head, options) = PYTHON_RUNNERS.iter().find(runs)?;
    Some((options, words.get(head.len()..)?))
}

/// Programs that prepare, look or wait. They are not part of a training.
const AUXILIARY: &str = ": [ test true false echo printf cat tee ls cp mv rm ln mkdir chmod chown touch sleep tail \
    head wait trap ulimit umask alias grep sed awk cut sort tr wc find xargs date hostname \
    whoami id uname env printenv which command type hash pip pip3 apt apt-get yum dnf apk conda \
    mamba git wget curl tar unzip gsutil gcloud aws s3cmd kubectl mount ssh ssh-keygen \
    ssh-keyscan service nslookup getent ping nc ip ifconfig ldconfig make cmake huggingface-cli \
    hf wandb df du free lscpu nproc ps kill pkill killall jobs fg bg disown readlink realpath \
    dirname basename seq expr mktemp sync source . eval shopt history break continue exec pushd \
    popd cd rsync uv poetry module ray";

/// Whether a program only prepares, looks or waits.
pub(crate) fn is_auxiliary(name: &str) -> bool {
    name.is_empty() || AUXILIARY.split_ascii_whitespace().any(|known| known == name)
}

/// Variables that an MPI launcher passes to its processes: `-x NAME=value`, `-genv NAME value`.
pub(crate) fn passed_on(own: &[Word]) -> Vec<(String, Word)> {
    let behind = own.windows(3).filter_map(|window| match window {
        [option, first, second] => match plain(&option.text).as_str() {
            "x" => assignment(&first.text)
                .map(|(name, value)| (name.to_owned(), Word { text: value.to_owned(), known: first.known })),
            "genv" | "env" => Some((first.text.clone(), second.clone())),
            _ => None,
        },
        _ => None,
    });
    behind.collect()
}

/// The program that a word looks up, as the script writes it: `$(which swift)`, `$(command -v torchrun)`.
fn looked_up(word: &str) -> Option<&str> {
    let bracketed = || word.strip_prefix("$(")?.strip_suffix(')');
    let inner = bracketed().or_else(|| word.strip_prefix('`')?.strip_suffix('`'))?;
    let words: Vec<&str> =
        inner.split_ascii_whitespace().filter(|word| *word != "2>/dev/null").take(4).collect();
    let name = match words.as_slice() {
        ["which", name] | ["command", "-v", name] | ["type", "-p" | "-P", name] => *name,
        _ => return None,
    };
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    (name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(is_part)).then_some(name)
}

/// The word, or the name of the program that it looks up. Only the folder of that program is not known.
pub(crate) fn found(word: Word) -> Word {
    let name = if word.known { None } else { looked_up(&word.text) };
    name.map(Word::known).unwrap_or(word)
}

/// Where a command begins in the arguments of an unknown program: at their start, or after `--`.
pub(crate) fn inner_command(words: &[Word]) -> Option<usize> {
    let begins = |words: &[Word]| {
        words.first().is_some_and(|word| {
            let name = basename(&word.text);
            word.known
                && (is_python(name) || SHELLS.contains(&name) || launchers::of_command(words).is_some())
        })
    };
    let behind = words.iter().position(|word| word.text == "--").map(|at| at + 1);
    let at = |at: usize| words.get(at..).is_some_and(begins).then_some(at);
    at(0).or_else(|| behind.and_then(at))
}

/// `python3`, `python3.11` and `/usr/bin/python` are all Python.
pub(crate) fn is_python(name: &str) -> bool {
    name.strip_prefix("python")
        .is_some_and(|version| version.bytes().all(|b| b.is_ascii_digit() || b == b'.'))
}
