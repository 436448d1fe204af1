//! Launches of any form make no reader panic, claim a value that its field does not take, or warn in more than a line.
//!
//! Each launch is a fixture with some of its words, variables and lines of files changed, so every reader is reached
//! behind its first line. Option names are those of the lists of every reader, and of the fixtures.

use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::fixtures::{self, Fixture};
use crate::frameworks::READERS;
use crate::frameworks::reading::claims::Claims;

/// The fixtures of every reader.
static FIXTURES: LazyLock<Vec<Fixture>> = LazyLock::new(fixtures::all);

/// The options that readers know, each once.
static NAMES: LazyLock<Vec<&str>> = LazyLock::new(|| {
    let lists = READERS.iter().flat_map(|reader| reader.options);
    let mut names: Vec<_> = lists.flat_map(|list| list.all()).map(|known| known.name).collect();
    names.sort_unstable();
    names.dedup();
    names
});

/// Values of every form, those included that few options take.
const VALUES: &[&str] = &[
    "",
    "0",
    "1",
    "-1",
    "4096",
    "18446744073709551615",
    "99999999999999999999999999",
    "1e400",
    "NaN",
    "true",
    "false",
    "x/y",
    "c.yaml",
    "/etc/c.yaml",
    "full_shard auto_wrap offload",
    "bfloat16",
    "llama3_1/8B_full",
    "ÿ/\u{202e}B_",
    "/",
    "B_",
    "[a,b]",
    "{",
    "{\"a\": [",
    "lora",
    "qlora",
    "4bit",
    "zero3",
    "mixtral",
    "block",
    "full",
    "uniform",
    "([0]*3+[1]*58)",
    "Et*3|(tt|)*29m|L",
    "pretrain_esm2_650M",
    "configs/base.yml",
    "3d",
    "9e99ba",
    "mpt_causal_lm",
    "${max_seq_len}",
    "bf16",
    "fp8",
    "0.5",
];

/// A change of one word, variable or line.
#[derive(Clone, Debug)]
enum Change {
    /// An option with a value, put in.
    Add { at: Index, name: &'static str, value: String, dashed: bool },
    /// A word, or a value of a line, of another value.
    Value { at: Index, value: String },
    /// A word or a line less.
    Drop { at: Index },
    /// Where this word or line stands, another one of the same launch.
    Copy { at: Index, from: Index },
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![9 => select(VALUES).prop_map(str::to_owned), 1 => ".{0,12}"]
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<Index>;
    prop_oneof![
        3 => (at(), select(NAMES.as_slice()), value(), any::<bool>())
            .prop_map(|(at, name, value, dashed)| Change::Add { at, name, value, dashed }),
        4 => (at(), value()).prop_map(|(at, value)| Change::Value { at, value }),
        1 => at().prop_map(|at| Change::Drop { at }),
        1 => (at(), at()).prop_map(|(at, from)| Change::Copy { at, from }),
    ]
}

impl Change {
    /// Changes the words of a command, but the first: it is the program.
    fn of_words(self, words: &mut Vec<String>) {
        if words.len() > 1 {
            self.of(words, 1, |name, value, dashed| {
                format!("{}{name}={value}", if dashed { "--" } else { "" })
            });
        }
    }

    /// Changes the lines of a file.
    fn of_lines(self, text: &mut String) {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        if !lines.is_empty() {
            self.of(&mut lines, 0, |name, value, _| format!("{name}: {value}"));
        }
        *text = lines.join("\n");
    }

    /// Changes one of the parts from `first` on.
    fn of(self, parts: &mut Vec<String>, first: usize, added: fn(&str, &str, bool) -> String) {
        let number = parts.len() - first;
        let place = |at: Index| first + at.index(number);
        match self {
            Self::Add { at, name, value, dashed } => parts.insert(place(at), added(name, &value, dashed)),
            Self::Value { at, value } => {
                let part = &mut parts[place(at)];
                part.truncate(part.find([':', '=']).map_or(0, |sign| sign + 1));
                part.push_str(&value);
            }
            Self::Drop { at } => drop(parts.remove(place(at))),
            Self::Copy { at, from } => parts[place(at)] = parts[place(from)].clone(),
        }
    }
}

prop_compose! {
    fn fixture()(
        fixture in any::<Index>(),
        of_words in prop::collection::vec(change(), 0..8),
        of_lines in prop::collection::vec((any::<Index>(), change()), 0..8),
        variables in prop::collection::vec((any::<Index>(), value()), 0..2),
    ) -> Fixture {
        let mut fixture = fixture.get(&FIXTURES).clone();
        for change in of_words {
            change.of_words(&mut fixture.words);
        }
        let mut texts: Vec<_> = fixture.files.values_mut().collect();
        let number = texts.len();
        for (file, change) in of_lines.into_iter().filter(|_| number > 0) {
            change.of_lines(texts[file.index(number)]);
        }
        let mut given: Vec<_> = fixture.environment.values_mut().collect();
        let number = given.len();
        for (variable, value) in variables.into_iter().filter(|_| number > 0) {
            *given[variable.index(number)] = value;
        }
        fixture
    }
}

proptest! {
    #[test]
    fn no_launch_makes_a_reader_panic_or_say_what_no_field_takes(fixture in fixture()) {
        let launch = fixture.launch();
        for reader in READERS {
            let _ = (reader.recognises)(&launch);
            let mut claims = Claims { place: launch.place.clone(), ..Claims::default() };
            (reader.read)(&launch, &mut claims);
            prop_assert!(claims.all.len() < 96, "{}", reader.name);
            for claim in &claims.all {
                prop_assert!(claim.field.read(&claim.value).is_ok(), "{}: {claim:?}", reader.name);
                prop_assert!(claim.source.to_string().chars().count() <= 256);
            }
            for open in &claims.open {
                for value in open.leanest.iter().chain(&open.heaviest) {
                    prop_assert!(open.field.read(value).is_ok(), "{}: {}", reader.name, open.field);
                }
            }
            for warning in &claims.warnings {
                prop_assert!(warning.chars().count() <= 120 && !warning.contains(char::is_control), "{warning:?}");
            }
        }
    }
}
