//! The text that a command substitution prints, for the few commands whose text follows from the script alone.
//!
//! | command | text |
//! | --- | --- |
//! | `pwd`, `cd FOLDER && pwd` | the working directory, the folder |
//! | `dirname PATH`, `basename PATH ENDING`, `realpath PATH`, `readlink -f PATH` | the part of the path, the whole path |
//! | `mktemp`, `mktemp -d` | a new path: only whether two words name the same file matters |
//! | `expr 2 \* 4` | the number |
//! | `echo TEXT` | the text |

use crate::command::shell::arithmetic;
use crate::command::shell::expand::{Expander, closing};
use crate::command::text::Text;

/// What a shell does with the text around these characters is not followed.
const OPERATORS: [char; 5] = ['|', ';', '&', '<', '>'];
/// The name of a temporary file that is given no other.
const TEMPORARY: &str = "/tmp/tmp.XXXXXX";

impl Expander<'_> {
    /// The text that a command prints, if it is one of these.
    pub(crate) fn printed(&mut self, command: &str) -> Option<Text> {
        let (name, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
        match name {
            "pwd" if rest.is_empty() => self.state.directory.as_deref().map(Text::known),
            "cd" => self.entered(rest).map(|folder| Text::known(&folder)),
            "expr" => {
                let text = self.text(&rest.replace("\\*", "*").replace("'*'", "*"));
                let number = arithmetic::evaluate(text.as_known()?, &|_| None)?;
                Some(Text::known(&number.to_string()))
            }
            "echo" if !rest.contains(OPERATORS) && !rest.contains(['(', '`', '*', '-', '\\']) => {
                Some(self.text(rest))
            }
            "mktemp" => self.temporary(rest).map(|path| Text::known(&path)),
            "dirname" | "basename" | "realpath" | "readlink" => {
                self.part_of_path(name, rest).map(|part| Text::known(&part))
            }
            _ => None,
        }
    }

    /// The words of a command that are no flags, if all of them are known.
    fn plain_words(&mut self, words: &str) -> Option<Vec<String>> {
        if words.contains(OPERATORS) {
            return None;
        }
        let words: Vec<Text> = words_of(words).into_iter().flat_map(|word| self.fields(word)).collect();
        let known =
            words.iter().map(|word| word.as_known().map(str::to_owned)).collect::<Option<Vec<_>>>()?;
        Some(known.into_iter().filter(|word| !word.starts_with('-')).collect())
    }

    /// `FOLDER && pwd`.
    fn entered(&mut self, rest: &str) -> Option<String> {
        let (folder, behind) = rest.split_once("&&")?;
        if !matches!(behind.trim(), "pwd" | "pwd -P") {
            return None;
        }
        let quiet = [
            ">/dev/null 2>&1",
            "> /dev/null 2>&1",
            "&>/dev/null",
            "&> /dev/null",
            ">/dev/null",
            "> /dev/null",
        ];
        let folder = folder.trim_end();
        let folder = quiet.iter().find_map(|quiet| folder.strip_suffix(quiet)).unwrap_or(folder);
        let words = self.plain_words(folder)?;
        let path = self.state.path(words.first()?);
        path.starts_with('/').then(|| path.trim_end_matches("/.").to_owned())
    }

    /// A path that no other command names.
    fn temporary(&mut self, rest: &str) -> Option<String> {
        let named = self.plain_words(rest)?.into_iter().next();
        let ending =
            rest.split_whitespace().find_map(|word| word.strip_prefix("--suffix=")).unwrap_or_default();
        let template = named.map_or_else(|| format!("{TEMPORARY}{ending}"), |name| self.state.path(&name));
        self.state.temporaries += 1;
        let number = format!("{:06}", self.state.temporaries);
        Some(template.replace("XXXXXX", &number))
    }

    /// `dirname`, `basename`, `realpath` and `readlink -f`.
    fn part_of_path(&mut self, name: &str, rest: &str) -> Option<String> {
        let words = self.plain_words(rest)?;
        let path = words.first()?;
        let (folder, file) = match path.trim_end_matches('/').rsplit_once('/') {
            Some(("", file)) => ("/", file),
            Some(parts) => parts,
            None => (".", path.trim_end_matches('/')),
        };
        match name {
            "dirname" => Some(folder.to_owned()),
            "basename" => {
                let ending = words.get(1).map_or("", String::as_str);
                Some(file.strip_suffix(ending).filter(|stem| !stem.is_empty()).unwrap_or(file).to_owned())
            }
            _ => Some(self.state.path(path)).filter(|path| path.starts_with('/')),
        }
    }
}

/// The words of a simple command, as they are written.
fn words_of(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (word, behind) = rest.split_at_checked(end_of_word(rest)).unwrap_or((rest, ""));
        words.push(word);
        rest = behind.trim_start();
    }
    words
}

/// The index of the first blank that no quotes or brackets surround, or the end.
fn end_of_word(text: &str) -> usize {
    let mut at = 0;
    while let Some((c, behind)) = text.get(at..).and_then(|rest| Some((rest.chars().next()?, rest))) {
        let skipped = |open: usize, close: char| {
            open + closing(behind.get(open..).unwrap_or_default(), close) + close.len_utf8()
        };
        at += match c {
            c if c.is_whitespace() => return at,
            '\\' => 1 + behind.chars().nth(1).map_or(0, char::len_utf8),
            '"' | '`' => skipped(1, c),
            '\'' => behind.get(1..).and_then(|quoted| quoted.find('\'')).map_or(behind.len(), |end| end + 2),
            '$' if behind.starts_with("$(") => skipped(2, ')'),
            '$' if behind.starts_with("${") => skipped(2, '}'),
            c => c.len_utf8(),
        };
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Environment;
    use crate::command::run::Budget;
    use crate::command::shell::variables::State;

    fn printed(directory: Option<&str>, commands: &[&str]) -> Vec<Option<String>> {
        let mut state = State::of(&Environment::default(), directory.map(str::to_owned));
        state.script = Some("/scripts/run.sh".into());
        let (mut budget, mut substitutions) = (Budget::new(), Vec::new());
        let mut expander = Expander::new(&mut state, &mut budget, &mut substitutions);
        let text = |text: Option<Text>| text.and_then(|text| text.as_known().map(str::to_owned));
        commands.iter().map(|command| text(expander.printed(command))).collect()
    }

    #[test]
    fn a_path_follows_from_the_script_alone() {
        for (command, text) in [
            ("dirname \"$0\"", Some("/scripts")),
            ("dirname -- \"${BASH_SOURCE[0]}\"", Some("/scripts")),
            ("cd \"$(dirname \"$0\")\" && pwd", Some("/scripts")),
            ("cd \"$(dirname \"$0\")/..\" > /dev/null 2>&1 && pwd -P", Some("/")),
            ("cd $(dirname $0)/. && pwd", Some("/scripts")),
            ("basename /models/llama.gguf .gguf", Some("llama")),
            ("basename /models/llama/", Some("llama")),
            ("readlink -f run.sh", Some("/work/run.sh")),
            ("dirname run.sh", Some(".")),
            ("dirname /run.sh", Some("/")),
            ("pwd", Some("/work")),
            ("dirname $UNKNOWN_$1", None),
            ("ls /models | head -1", None),
            ("cd /models && ls", None),
        ] {
            assert_eq!(printed(Some("/work"), &[command]), [text.map(str::to_owned)], "{command}");
        }
        assert_eq!(printed(None, &["pwd", "readlink -f run.sh"]), [None, None]);
    }

    #[test]
    fn each_temporary_file_has_a_path_of_its_own() {
        let paths =
            printed(None, &["mktemp -d", "mktemp", "mktemp --suffix=.json", "mktemp /cfg/ds.XXXXXX.json"]);
        let paths: Vec<_> = paths.into_iter().flatten().collect();
        assert_eq!(
            paths,
            ["/tmp/tmp.000001", "/tmp/tmp.000002", "/tmp/tmp.000003.json", "/cfg/ds.000004.json"]
        );
    }
}
