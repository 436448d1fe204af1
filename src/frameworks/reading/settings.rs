//! The settings of a program under its own names, wherever they are: options, `key=value` words, configuration files,
//! variables of the environment.
//!
//! The first place that has a name wins, as in the program itself. An option that overrides a file is no contradiction.
//! An unknown value (a variable from a Secret) counts as found and gives no value. So the program's default does not
//! hold.

use serde_json::Value;

use crate::command::{Arguments, Environment};
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::config::Config;
use crate::frameworks::reading::flags::{self, Table, Takes};
use crate::job::{AnyField, Assignment, FieldType, Source, ValueOf};

/// A place for settings.
#[derive(Debug)]
pub(crate) enum Place<'a> {
    /// `--name value`.
    Options(&'a Arguments),
    /// `name=value`.
    Words(&'a Arguments),
    /// `group.name=value`, with groups of any name.
    GroupedWords(&'a Arguments),
    /// A key of a file.
    File(Config),
    /// A key of a group of other settings, or of the settings themselves without a group.
    Within(&'a Settings<'a>, &'a str),
    /// A variable with the same name, in capitals or as written.
    Environment(&'a Environment),
    /// A variable with the same name in capitals, behind a prefix that a program's variables share: `BENCH_BATCH_SIZE`.
    Prefixed(&'a Environment, String),
}

/// All settings of a program, the strongest place first.
#[derive(Debug, Default)]
pub(crate) struct Settings<'a> {
    places: Vec<Place<'a>>,
}

/// A setting that was found.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Setting {
    /// Its value: null if it is unknown, true if an option has no value.
    pub(crate) value: Value,
    origin: Origin,
}

#[derive(Clone, Debug, PartialEq)]
enum Origin {
    Argument(String),
    File { source: Source, key: String },
    Environment(String),
}

impl<'a> Settings<'a> {
    /// The settings of these places.
    pub(crate) fn of(places: Vec<Place<'a>>) -> Self {
        Self { places }
    }

    /// Adds a place that is weaker than all earlier ones.
    pub(crate) fn add(&mut self, place: Place<'a>) {
        self.places.push(place);
    }

    /// The setting with one of these names, from the strongest place that has one.
    pub(crate) fn get(&self, names: &[&str]) -> Option<Setting> {
        // Weaker places are asked, too: what they say does not hold, and leaves nothing open.
        let found = self.places.iter().map(|place| names.iter().find_map(|name| place.get(name)));
        found.fold(None, Option::or)
    }

    /// The setting that a file writes without a value: `granularity: null`. `None` if any place has a value.
    pub(crate) fn nothing(&self, names: &[&str]) -> Option<Setting> {
        let given = self.has(names);
        let of_file = |place: &Place<'_>| match place {
            Place::File(config) => names.iter().find(|name| config.is_nothing(name)).map(|name| {
                let origin = Origin::File { source: config.source.clone(), key: (*name).to_owned() };
                Setting { value: Value::Null, origin }
            }),
            _ => None,
        };
        self.places.iter().find_map(of_file).filter(|_| !given)
    }

    /// Counts all keys of a group in files as read, because it is not in use.
    pub(crate) fn set_aside(&self, group: &str) {
        for place in &self.places {
            if let Place::File(config) = place {
                config.set_aside(group);
            }
        }
    }

    /// Counts all words and keys of a group as read, because they change nothing that is read.
    pub(crate) fn pass_over(&self, group: &str) {
        self.set_aside(group);
        let within = |text: &str| {
            let name = text.trim_start_matches('+').split('=').next()?;
            name.strip_prefix(group).is_some_and(|rest| rest.starts_with('.')).then(|| name.to_owned())
        };
        for place in &self.places {
            if let Place::Words(arguments) = place {
                for name in arguments.words().iter().filter_map(|word| within(&word.text)) {
                    arguments.overridden(&name);
                }
            }
        }
    }

    /// The known end of the path that a word gives whose beginning is not known: `$HOME/models/Llama-2-7b-hf`.
    pub(crate) fn end_of_path(&self, names: &[&str]) -> Option<(String, String)> {
        self.places.iter().find_map(|place| match place {
            Place::Options(arguments) | Place::Words(arguments) => names.iter().find_map(|name| {
                let path = arguments.end_of_path(name)?;
                let is_option = matches!(place, Place::Options(_));
                Some((path.to_owned(), if is_option { format!("--{name}") } else { (*name).to_owned() }))
            }),
            _ => None,
        })
    }

    /// Whether any place has a setting with one of these names.
    pub(crate) fn has(&self, names: &[&str]) -> bool {
        self.get(names).is_some()
    }

    /// A setting's text.
    pub(crate) fn text(&self, names: &[&str]) -> Option<String> {
        self.get(names).and_then(|setting| setting.text())
    }

    /// A setting's whole number. `None` if it is missing, or is none.
    pub(crate) fn number(&self, names: &[&str]) -> Option<u64> {
        self.get(names).and_then(|setting| setting.number())
    }

    /// A setting's whole number, and what the program has without it. `None` if it is set to something else.
    pub(crate) fn number_or(&self, names: &[&str], usual: u64) -> Option<u64> {
        self.get(names).map_or(Some(usual), |setting| setting.number())
    }

    /// Counts settings as read that change nothing of what is read.
    pub(crate) fn inert(&self, names: &[&str]) {
        for name in names {
            self.has(&[name]);
        }
    }

    /// Whether a setting is on. `None` if it is missing, or is not a switch.
    pub(crate) fn on(&self, names: &[&str]) -> Option<bool> {
        self.get(names).and_then(|setting| setting.truth())
    }
}

impl Place<'_> {
    fn get(&self, name: &str) -> Option<Setting> {
        match self {
            Self::Options(arguments) => {
                let behind = arguments.behind(name)?;
                // `key=value` is a separate word. The first word is an exception, because it may be a value.
                let own = behind.iter().skip(1).position(|word| word.is_some_and(|word| word.contains('=')));
                let value = match behind.get(..own.map_or(behind.len(), |at| at + 1)).unwrap_or_default() {
                    [] => Value::Bool(true),
                    [one] => one.map_or(Value::Null, Value::from),
                    several => several
                        .iter()
                        .copied()
                        .collect::<Option<Vec<&str>>>()
                        .map_or(Value::Null, Value::from),
                };
                Some(Setting { value, origin: Origin::Argument(format!("--{name}")) })
            }
            Self::Words(arguments) => {
                let value = match arguments.overridden(name) {
                    _ if arguments.is_unknown(name) => Value::Null,
                    known => known?.into(),
                };
                Some(Setting { value, origin: Origin::Argument(name.to_owned()) })
            }
            Self::GroupedWords(arguments) => arguments
                .overridden_in_groups(name)
                .map(|text| Setting { value: text.into(), origin: Origin::Argument(name.to_owned()) }),
            Self::File(config) => config.find(name).map(|(key, value)| Setting {
                value: value.clone(),
                origin: Origin::File { source: config.source.clone(), key },
            }),
            Self::Within(settings, "") => settings.get(&[name]),
            Self::Within(settings, group) => settings.get(&[&format!("{group}.{name}")]),
            Self::Environment(environment) => {
                let capitals = name.to_uppercase();
                [capitals.as_str(), name].iter().find_map(|variable| {
                    let value = environment.get(variable)?;
                    Some(Setting { value: value.into(), origin: Origin::Environment((*variable).to_owned()) })
                })
            }
            Self::Prefixed(environment, prefix) => {
                let variable = format!("{prefix}{}", name.to_uppercase());
                let value = environment.get(&variable)?;
                Some(Setting { value: value.into(), origin: Origin::Environment(variable) })
            }
        }
    }
}

impl Setting {
    /// Its value as text. `None` for a group of keys, for several values, and if it is unknown.
    pub(crate) fn text(&self) -> Option<String> {
        match &self.value {
            Value::String(text) => Some(text.trim().trim_matches(['"', '\'']).to_owned()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(truth) => Some(truth.to_string()),
            _ => None,
        }
    }

    /// Its value as texts, if it is a list.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        self.value.as_array().into_iter().flatten().filter_map(Value::as_str)
    }

    /// Its value as a whole number.
    pub(crate) fn number(&self) -> Option<u64> {
        flags::number(&self.text()?)
    }

    /// Whether it is on.
    pub(crate) fn truth(&self) -> Option<bool> {
        let text = self.text()?;
        match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" | "t" | "y" => Some(true),
            "false" | "no" | "off" | "0" | "f" | "n" | "none" | "null" => Some(false),
            _ => None,
        }
    }

    /// Claims a field's value with this setting as the source.
    pub(crate) fn says<F: Into<AnyField>>(&self, claims: &mut Claims, field: F, value: impl ValueOf<F>) {
        match &self.origin {
            Origin::Argument(name) => claims.argument(field, value, name),
            Origin::File { source, key } => claims.file(field, value, source, key),
            Origin::Environment(name) => claims.environment(field, value, name),
        }
    }

    /// The source, for provenance.
    pub(crate) fn source(&self, claims: &Claims) -> Source {
        let place = claims.place.clone();
        match &self.origin {
            Origin::Argument(name) => Source::Argument { place, option: name.clone() },
            Origin::File { source, key } => source.key(key),
            Origin::Environment(name) => Source::Environment { place, name: name.clone() },
        }
    }

    /// Its value in the form of this flag. `None` if it gives no value.
    pub(super) fn taken<T: FieldType>(&self, takes: Takes<T>) -> Option<Value> {
        match takes {
            Takes::Word(word) => self.truth()?.then(|| word.json()),
            Takes::Switch(value) => self.truth().map(|on| (on == value).into()),
            // An option whose value is lacking, because a variable is empty.
            Takes::Text if self.value.is_boolean() => None,
            Takes::List if self.value.is_array() => {
                let words = self.value.as_array()?.iter().map(Value::as_str).collect::<Option<Vec<_>>>()?;
                flags::list(&words.join(" ")).map(Value::from)
            }
            _ => takes.read(&self.text()?),
        }
    }
}

/// Claims the field of every flag in a table that is given.
pub(crate) fn read(table: Table, settings: &Settings<'_>, claims: &mut Claims) {
    for flag in table {
        flag.read(settings, claims);
    }
}

/// The defaults of a framework, with the version that they come from.
pub(crate) fn assume(defaults: &[Assignment], source: &str, claims: &mut Claims) {
    for default in defaults {
        claims.assume(default.field, default.value, source);
    }
}

/// The microbatches of a step that a rank computes one after the other. A value that is no number leaves them open.
pub(crate) fn accumulation(settings: &Settings<'_>, names: &[&str], claims: &mut Claims) {
    if let Some(setting) = settings.get(names) {
        claims.accumulation = setting.number().map(|steps| (steps, setting.source(claims)));
    }
}

/// Opens fields, each down to this value.
pub(crate) fn open(leanest: &[Assignment], claims: &mut Claims) {
    for leanest in leanest {
        claims.open_as(*leanest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Word;
    use crate::frameworks::reading::flags::flag;
    use crate::job::{Precision, field};

    const TABLE: Table = &[
        &flag(&["layers", "num_layers"], field::model::LAYERS, Takes::Number),
        &flag(&["bf16"], field::PRECISION, Takes::Word(Precision::BF16)),
        &flag(&["compile"], field::COMPILE, Takes::Switch(true)),
        &flag(&["targets"], field::finetuning::TARGETS, Takes::List),
    ];

    fn claims(words: &[&str], file: &str) -> Claims {
        let known = |text: &&str| Word { text: (*text).to_owned(), known: !text.contains('$') };
        let arguments = Arguments::of(words.iter().map(known).collect());
        let tree = serde_json::from_str(file).unwrap();
        let config = Config::new("file".into(), tree);
        let settings = Settings::of(vec![Place::Options(&arguments), Place::File(config)]);
        let mut claims = Claims { place: "container a".to_owned(), ..Claims::default() };
        read(TABLE, &settings, &mut claims);
        assume(&[field::model::LAYERS.is(12), field::COMPILE.is(true)], "default", &mut claims);
        claims
    }

    fn offers(claims: &Claims) -> Vec<(&str, String, String)> {
        claims.all.iter().map(|o| (o.field.path(), o.value.to_string(), o.source.to_string())).collect()
    }

    #[test]
    fn the_first_place_counts_and_the_rest_is_no_contradiction() {
        let claims = claims(
            &["--num-layers", "4_0", "--bf16", "--targets", "q", "v", "x=1"],
            r#"{"num_layers": 80, "compile": false, "targets": "k"}"#,
        );
        assert_eq!(
            offers(&claims),
            [
                ("model.layers", "40".to_owned(), "container a: --num_layers"),
                ("precision", "\"BF16\"".to_owned(), "container a: --bf16"),
                ("compile", "false".to_owned(), "file: compile"),
                ("finetuning.targets", "[\"q\",\"v\"]".to_owned(), "container a: --targets"),
                ("model.layers", "12".to_owned(), "default"),
                ("compile", "true".to_owned(), "default"),
            ]
            .map(|(field, value, source)| (field, value, source.to_owned()))
        );
    }

    #[test]
    fn no_default_holds_for_what_is_set_and_not_understood() {
        let claims = claims(&["--layers=$LAYERS", "--bf16", "False"], r#"{"compile": "perhaps"}"#);
        assert_eq!(offers(&claims), []);
    }
}
