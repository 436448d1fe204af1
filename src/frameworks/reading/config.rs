//! Configuration files that a command names: YAML, JSON or TOML, read within the budgets of a document that people write.
//!
//! If a file cannot be read, a warning names it and its values are not used. If a file is unknown, because it is in the
//! image or on a volume, every field that it may set stays open.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use serde_saphyr::{DuplicateKeyPolicy, MergeKeyPolicy};

use crate::command::files::File;
use crate::command::{Arguments, Launch, basename};
use crate::frameworks::reading::claims::Claims;
use crate::job::{Gap, Source};
use crate::printable::printable;
use crate::python::{Call, Value as Setting};

/// The most bytes of a file that are read.
const MAX_BYTES: usize = 128 << 10;
/// The most bytes of all files of an object.
const MAX_BYTES_OF_ALL: usize = 384 << 10;
/// The most words that are searched for a configuration.
const MAX_POSITION: usize = 64;
const MAX_ALIASED: usize = 4_000;
const MAX_DEPTH: usize = 32;
const MAX_NODES: usize = 20_000;
/// The most paths of a file that are searched for unread options.
const MAX_PATHS: usize = 1_000;

/// A configuration file.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// Its place: `ConfigMap training-config key config.yaml`.
    pub(crate) source: Source,
    /// Its values.
    pub(crate) tree: Value,
    /// The paths that were asked for and found.
    pub(crate) asked: AskedPaths,
}

/// The paths of a file that were asked for and found. All clones share them.
pub(crate) type AskedPaths = Rc<RefCell<BTreeSet<String>>>;

impl Config {
    /// A file that was parsed.
    pub(crate) fn new(source: Source, tree: Value) -> Self {
        Self { source, tree, asked: AskedPaths::default() }
    }

    /// The arguments of a call in a program, with these names for those without one. What does not follow from literals is
    /// [`unknown`].
    pub(crate) fn of_call(source: Source, call: &Call, names: &[&str]) -> Self {
        let positional = names.iter().copied().zip(&call.positional);
        let named = call.named.iter().map(|(name, value)| (name.as_str(), value));
        let key = |(name, value): (&str, &Setting)| {
            let value = match value {
                Setting::Plain(value) => value.clone(),
                Setting::Call(_) | Setting::Unknown => unknown(),
            };
            (name.to_owned(), value)
        };
        Self::new(source, Value::Object(positional.chain(named).map(key).collect()))
    }

    /// The value at a path of keys: `zero_optimization.stage`. A key may contain dots. A null is no value. The name of
    /// an option, `micro-batch-size`, also stands for the key `micro_batch_size`.
    pub(crate) fn get(&self, path: &str) -> Option<&Value> {
        self.find(path).map(|(_, value)| value)
    }

    /// The same, with the path as the file has it.
    pub(crate) fn find(&self, path: &str) -> Option<(String, &Value)> {
        let keys = self.tree.as_object()?;
        let found = at(keys, path).map(|value| (path.to_owned(), value));
        let (path, value) = found.or_else(|| {
            let path = path.contains('-').then(|| path.replace('-', "_"))?;
            let value = at(keys, &path)?;
            Some((path, value))
        })?;
        self.asked.borrow_mut().insert(path.clone());
        Some((path, value)).filter(|(_, value)| !value.is_null())
    }

    /// Whether a key is written without a value.
    pub(crate) fn is_nothing(&self, path: &str) -> bool {
        self.tree.as_object().and_then(|keys| at(keys, path)).is_some_and(Value::is_null)
    }

    /// A group of keys alone. What is asked of it counts as asked of the whole.
    pub(crate) fn group(&self, path: &str) -> Self {
        let tree = self.get(path).cloned().unwrap_or_default();
        Self { source: self.source.clone(), tree, asked: self.asked.clone() }
    }

    /// Counts all keys of a group as read: what they say does not hold.
    pub(crate) fn set_aside(&self, group: &str) {
        let Some(keys) = self.tree.as_object().and_then(|keys| at(keys, group)) else { return };
        let mut paths = Vec::new();
        leaves(keys, group, &mut paths);
        self.asked.borrow_mut().extend(paths.into_iter().map(|(path, _)| path));
    }

    /// Copies the keys of groups to the top level, for people who group their settings freely. The first key
    /// of a name wins.
    pub(crate) fn flatten(&mut self) {
        /// The deepest groups that are lifted.
        const GROUPS: usize = 3;
        let mut flat = Map::new();
        if let Value::Object(keys) = &self.tree {
            lift(keys, GROUPS, &mut flat);
        }
        self.tree = Value::Object(flat);
    }
}

/// A value that is given and not known. No setting has such a value, so its field stays open.
pub(crate) fn unknown() -> Value {
    json!([null])
}

/// A file that was read, and the paths that were asked for.
#[derive(Clone, Debug)]
pub(crate) struct ReadFile {
    /// Each key, and its value if that is a short text, a number or a switch.
    paths: Vec<(String, Option<String>)>,
    asked: AskedPaths,
}

impl ReadFile {
    /// The paths of a configuration.
    pub(crate) fn of(config: &Config) -> Self {
        let mut paths = Vec::new();
        leaves(&config.tree, "", &mut paths);
        Self { paths, asked: config.asked.clone() }
    }

    /// The number of keys that are not groups.
    pub(crate) fn keys(&self) -> usize {
        self.paths.len()
    }

    /// The paths that were not asked for, and their values. A question for the path or for its last key counts.
    pub(crate) fn unasked(&self) -> Vec<(&str, Option<&str>)> {
        let asked = self.asked.borrow();
        let is_asked = |path: &str| {
            let last = path.rsplit('.').next().unwrap_or_default();
            asked.contains(path) || asked.contains(last)
        };
        let unasked = self.paths.iter().filter(|(path, _)| !is_asked(path));
        unasked.map(|(path, value)| (path.as_str(), value.as_deref())).collect()
    }
}

/// The configuration in a group of keys, which another reader takes whole.
pub(crate) fn within(source: Source, key: &str, group: &Value, claims: &mut Claims) -> Config {
    let config = Config::new(source, group.clone());
    let is_within = |path: &str| path.strip_prefix(key).is_some_and(|rest| rest.starts_with('.'));
    for file in &mut claims.files {
        file.paths.retain(|(path, _)| !is_within(path));
    }
    claims.files.push(ReadFile::of(&config));
    config
}

/// The paths of all values that are not groups. A file is parsed to a limited depth.
fn leaves(tree: &Value, path: &str, paths: &mut Vec<(String, Option<String>)>) {
    /// The longest text whose effect is looked at.
    const LONGEST: usize = 32;
    match tree {
        Value::Object(keys) => {
            for (key, value) in keys {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                leaves(value, &path, paths);
            }
        }
        Value::Null => {}
        _ if paths.len() < MAX_PATHS => {
            let value = match tree {
                Value::String(text) if text.len() <= LONGEST => Some(text.clone()),
                Value::Number(_) | Value::Bool(_) => Some(tree.to_string()),
                Value::Array(values) if values.is_empty() => Some("[]".to_owned()),
                _ => None,
            };
            paths.push((path.to_owned(), value));
        }
        _ => {}
    }
}

fn at<'a>(object: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    object.get(path).or_else(|| {
        let (key, rest) = path.split_once('.')?;
        at(object.get(key)?.as_object()?, rest)
    })
}

fn lift(keys: &Map<String, Value>, depth: usize, flat: &mut Map<String, Value>) {
    for (key, value) in keys.iter().filter(|(_, value)| !value.is_object()) {
        flat.entry(key.clone()).or_insert_with(|| value.clone());
    }
    for group in keys.values().filter_map(Value::as_object).filter(|_| depth > 0) {
        lift(group, depth - 1, flat);
    }
}

/// The file that an argument names, or the JSON in its place. `None`, with a warning, if it cannot be read.
pub(crate) fn named(launch: &Launch, path: &str, by: &str, claims: &mut Claims) -> Option<Config> {
    let path = path.trim();
    if path.starts_with('{') {
        let source = Source::Argument { place: launch.place.clone(), option: by.to_owned() };
        return parsed(&path.into(), &source, claims);
    }
    let Some(file) = launch.files.meant(path) else {
        let warning = format!("{}: the file that {by} names is not known, so it is not read", launch.place);
        claims.warn(printable(&warning, 120));
        return None;
    };
    of(file, claims)
}

/// The configuration among arguments without a name: `axolotl train config.yaml`.
pub(crate) fn positional(arguments: &Arguments) -> Option<&str> {
    let words = arguments.words().iter().take(MAX_POSITION);
    let mut before = "";
    for word in words {
        // A word after an option is the option's value.
        let free = !before.starts_with('-') || before.contains('=');
        if free && word.known && is_config(&word.text) {
            return Some(&word.text);
        }
        before = &word.text;
    }
    None
}

/// Whether a path has the ending of a configuration file.
pub(crate) fn is_config(path: &str) -> bool {
    let end = basename(path).rsplit_once('.').map(|(_, end)| end);
    !path.starts_with('-') && !path.contains('=') && matches!(end, Some("yaml" | "yml" | "json" | "toml"))
}

/// The values of a file.
pub(crate) fn of(file: &File, claims: &mut Claims) -> Option<Config> {
    parsed(&file.text, &file.source, claims)
}

fn parsed(text: &Arc<str>, source: &Source, claims: &mut Claims) -> Option<Config> {
    match claims.trees.of(text) {
        Ok(tree) => {
            let config = Config::new(source.clone(), tree);
            claims.files.push(ReadFile::of(&config));
            Some(config)
        }
        Err(problem) => {
            claims.gap.get_or_insert(Gap::Configuration);
            claims.warn(printable(&format!("{source} is not read: {problem}"), 120));
            None
        }
    }
}

/// The documents of one object's trainings. Each is parsed once, and `room` limits their bytes.
#[derive(Clone, Debug)]
pub(crate) struct Trees {
    known: BTreeMap<Arc<str>, Result<Value, &'static str>>,
    room: usize,
}

impl Default for Trees {
    fn default() -> Self {
        Self { known: BTreeMap::new(), room: MAX_BYTES_OF_ALL }
    }
}

impl Trees {
    fn of(&mut self, text: &Arc<str>) -> Result<Value, &'static str> {
        if let Some(known) = self.known.get(text) {
            return known.clone();
        }
        let is_too_much = text.len() > self.room;
        let read = if is_too_much { Err(ALL_TOO_LARGE) } else { tree(text) };
        self.room = self.room.saturating_sub(text.len());
        self.known.insert(text.clone(), read.clone());
        read
    }
}

/// Why a document is not read. These texts quote nothing of the document.
const TOO_LARGE: &str = "it is too large";
const ALL_TOO_LARGE: &str = "all files are too large together";
const NO_KEYS: &str = "it has no keys";
const NO_DOCUMENT: &str = "it is neither YAML, JSON nor TOML that can be read";

/// Whether a warning says that a key of one of these ConfigMaps is not read.
pub(crate) fn is_about_a_file(warning: &str, config_maps: &[String]) -> bool {
    let of = |name: &String| {
        warning.strip_prefix("ConfigMap ")?.strip_prefix(name.as_str())?.strip_prefix(" key ")
    };
    let told = config_maps.iter().find_map(of).and_then(|rest| rest.split_once(" is not read: "));
    told.is_some_and(|(_, why)| [TOO_LARGE, ALL_TOO_LARGE, NO_KEYS, NO_DOCUMENT].contains(&why))
}

/// A document as a tree of keys. The error quotes nothing of the document.
fn tree(text: &str) -> Result<Value, &'static str> {
    if text.len() > MAX_BYTES {
        return Err(TOO_LARGE);
    }
    let tree = if text.trim_start().starts_with('{') {
        serde_json::from_str(text).or_else(|_| yaml(text))
    } else {
        yaml(text)
    };
    // Much of TOML is also YAML, with another meaning or with none.
    let tree =
        if tree.as_ref().is_ok_and(Value::is_object) { tree? } else { toml::from_str(text).or(tree)? };
    if tree.is_object() { Ok(tree) } else { Err(NO_KEYS) }
}

fn yaml(text: &str) -> Result<Value, &'static str> {
    let options = serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::LastWins,
        merge_keys: MergeKeyPolicy::Merge,
        strict_booleans: false,
        with_snippet: false,
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MAX_ALIASED },
        budget: serde_saphyr::budget! { max_depth: MAX_DEPTH, max_nodes: MAX_NODES, max_documents: 1 },
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|_| NO_DOCUMENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Option<Config>, Vec<String>) {
        let mut claims = Claims::default();
        let launch = Launch::of_words(&["python", "a.py"]).with_file("/etc/config/a.yaml", text);
        (named(&launch, "config/a.yaml", "--config", &mut claims), claims.warnings)
    }

    #[test]
    fn keys_are_found_in_yaml_and_json_alike() {
        for text in ["a:\n  b: 2\nc.d: x\n", r#"{"a": {"b": 2}, "c.d": "x"}"#] {
            let config = read(text).0.unwrap();
            assert_eq!(config.get("a.b"), Some(&2.into()), "{text}");
            assert_eq!(config.get("c.d"), Some(&"x".into()), "{text}");
            assert_eq!(config.get("a.b.c"), None, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_a_warning_without_its_text() {
        let bomb = format!("a: &a [1, 1, 1, 1]\nb: [{}]\n", vec!["*a"; 5_000].join(", "));
        for text in ["[1, 2]", "a: [", "\u{1b}[2J: &x *x", &bomb, &"x".repeat(MAX_BYTES + 1)] {
            let (config, warnings) = read(text);
            assert!(config.is_none(), "{text:.40}");
            assert_eq!(warnings.len(), 1, "{text:.40}");
            assert!(warnings[0].starts_with("ConfigMap training-config is not read: "), "{warnings:?}");
        }
    }

    #[test]
    fn a_file_that_is_not_known_is_said() {
        let mut claims = Claims { place: "container a".into(), ..Claims::default() };
        let launch = Launch::of_words(&["python", "a.py"]);
        assert!(named(&launch, "ds.json", "--deepspeed", &mut claims).is_none());
        assert_eq!(claims.warnings, [": the file that --deepspeed names is not known, so it is not read"]);
    }
}
