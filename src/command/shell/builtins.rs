//! Builtins that set the state of the shell, and commands whose output is known.

use crate::command::basename;
use crate::command::shell::variables::{State, Value};
use crate::command::text::Text;
use crate::command::wrappers::is_name;

/// Builtins that declare variables.
pub(crate) const DECLARE: &[&str] = &["export", "declare", "typeset", "local", "readonly"];

pub(crate) fn exports(words: &[Text]) -> bool {
    let has = |word: &str| words.iter().any(|given| given.as_known() == Some(word));
    (has("export") && !has("-n")) || has("-x")
}

/// `export NAME`, and `export NAME=value` if quotes hide the assignment.
pub(crate) fn declare(words: &[Text], state: &mut State) {
    let exported = exports(words);
    for word in words.iter().skip(1) {
        let shown = word.shown();
        let (name, value) =
            shown.split_once('=').map_or((shown.as_str(), None), |(name, value)| (name, Some(value)));
        if !is_name(name) {
            // `export $(cat file)`: it sets unknown variables.
            if word.as_known().is_none() {
                state.leave_variables_open();
            }
            continue;
        }
        if let Some(value) = value {
            let value = if word.as_known().is_some() { Text::known(value) } else { Text::unknown(value) };
            state.set(name, Value::Text(value));
        }
        if exported {
            state.export(name);
        }
    }
}

/// Scripts that set up software and no training: of Python's environments, Conda, Lmod and oneAPI.
const SETS_UP: &[&str] =
    &["activate", "conda.sh", "mamba.sh", "micromamba.sh", "modules.sh", "lmod.sh", "setvars.sh"];
/// Programs whose output sets up software when a shell evaluates it.
const PRINTS_SET_UP: &[&str] =
    &["conda", "mamba", "micromamba", "ssh-agent", "pyenv", "modulecmd", "register-python-argcomplete"];

/// Whether a script at this path that is not read may set variables of a training.
pub(crate) fn may_set_variables(path: &str) -> bool {
    !SETS_UP.contains(&basename(path))
}

/// Whether words that a shell evaluates may set unknown variables.
pub(crate) fn may_declare(words: &[Text]) -> bool {
    let Some(first) = words.first() else { return false };
    let is_open = first.as_known().is_none_or(|name| DECLARE.contains(&name));
    let shown = first.shown();
    let program = shown.trim_start_matches(['$', '(', '`', ' ']);
    let program = program.split([' ', ')', '`']).next().unwrap_or_default();
    is_open
        && words.iter().any(|word| word.as_known().is_none())
        && !PRINTS_SET_UP.contains(&basename(program))
}

pub(crate) fn set(words: &[Text], state: &mut State) {
    for (at, word) in words.iter().enumerate() {
        match word.as_known() {
            Some("--") => {
                state.arguments = Some(words.iter().skip(at + 1).cloned().collect());
                return;
            }
            Some(option) if option.starts_with('-') && option.contains('a') => state.exports_all = true,
            Some("allexport") => state.exports_all = true,
            Some("+a") => state.exports_all = false,
            _ => {}
        }
    }
}

/// The variable into which `read` takes its whole input: its only name, with an empty delimiter.
pub(crate) fn read_whole(words: &[Text]) -> Option<&str> {
    let words: Option<Vec<&str>> = words.iter().map(Text::as_known).collect();
    match words?.as_slice() {
        ["-r", "-d", "", name] | ["-d", "", "-r", name] | ["-d" | "-rd", "", name] if is_name(name) => {
            Some(name)
        }
        _ => None,
    }
}

/// What a word adds to a variable with whose value it begins: ` more` of `"$A more"`.
pub(crate) fn addition(name: &str, word: &str) -> Option<String> {
    let quoted = word.strip_prefix('"');
    let behind = quoted.unwrap_or(word).strip_prefix('$')?;
    let rest = match behind.strip_prefix('{') {
        Some(braced) => braced.strip_prefix(name)?.strip_prefix('}')?,
        None => behind.strip_prefix(name)?,
    };
    let ends = !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == '[');
    ends.then(|| if quoted.is_some() { format!("\"{rest}") } else { rest.to_owned() })
}

pub(crate) fn appended(value: Option<&Value>, more: Value) -> Value {
    match (value, more) {
        (None | Some(Value::Unset), more) => more,
        (Some(Value::Text(text)), Value::Text(more)) => {
            let mut text = text.clone();
            text.append(&more);
            Value::Text(text)
        }
        (Some(Value::Array(texts)), Value::Array(more)) => {
            Value::Array(texts.iter().cloned().chain(more).collect())
        }
        (Some(Value::Text(text)), Value::Array(more)) => {
            Value::Array(std::iter::once(text.clone()).chain(more).collect())
        }
        _ => Value::Unknown,
    }
}

/// The output of `cat`, `echo` and `printf`. None for other commands.
pub(crate) fn printed(words: &[Text], input: Option<&Text>) -> Option<Text> {
    let (name, rest) = words.split_first()?;
    match name.as_known()? {
        "cat" | "tee" => input.cloned(),
        "echo" => {
            let mut text = Text::default();
            let is_switch = |word: &&Text| matches!(word.as_known(), Some("-e" | "-n" | "-en" | "-ne"));
            for (at, word) in rest.iter().skip_while(is_switch).enumerate() {
                if at > 0 {
                    text.push(" ");
                }
                text.append(word);
            }
            // `sh` reads `\n` as a line end, and bash behind `-e`. A text of one line is meant so.
            let reads = rest
                .first()
                .and_then(Text::as_known)
                .is_some_and(|word| matches!(word, "-e" | "-en" | "-ne"));
            if reads || !text.shown().contains('\n') {
                text = text.with_line_ends();
            }
            text.push("\n");
            Some(text)
        }
        "printf" => match rest {
            [format] if !format.shown().contains('%') => {
                Some(Text::known(&format.as_known()?.replace("\\n", "\n")))
            }
            // The format is used again for each further argument.
            [format, first, rest @ ..] if matches!(format.as_known(), Some("%s" | "%s\\n")) => {
                let mut text = first.clone();
                for more in rest {
                    text.push(if format.as_known() == Some("%s") { "" } else { "\n" });
                    text.append(more);
                }
                Some(text)
            }
            _ => None,
        },
        _ => None,
    }
}

pub(crate) fn without_tabs(text: &Text) -> Text {
    match text.as_known() {
        Some(known) => {
            let lines: Vec<&str> = known.split('\n').map(|line| line.trim_start_matches('\t')).collect();
            Text::known(&lines.join("\n"))
        }
        None => text.clone(),
    }
}
