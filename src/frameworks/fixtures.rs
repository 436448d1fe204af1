//! The fixtures of the readers. `<folder>/fixtures/<case>.yaml` is a launch: its command, its environment and the files
//! that it can read. `<case>.snap` beside it has the claims that all readers together make about this launch.
//!
//! A new case is a new file: `make generate` writes its snapshot.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::command::Launch;
use crate::frameworks::reading::claims::Strength;
use crate::frameworks::{READERS, Trees, read, trainings};

/// A fixture file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    /// The command. An image without a command starts its own program.
    command: Option<Command>,
    /// The variables of its environment.
    #[serde(default)]
    environment: BTreeMap<String, String>,
    /// The files that it can read, by path.
    #[serde(default)]
    files: BTreeMap<String, String>,
}

/// A command.
#[derive(Deserialize)]
#[serde(untagged)]
enum Command {
    /// Words with blanks between them. No quotes are read.
    Line(String),
    /// Words, which may have blanks.
    Words(Vec<String>),
}

/// A launch of a fixture.
#[derive(Clone, Debug)]
pub(super) struct Fixture {
    /// The words of the command. None if the image's own program starts.
    pub(super) words: Vec<String>,
    /// The variables of its environment.
    pub(super) environment: BTreeMap<String, String>,
    /// The files that it can read, by path.
    pub(super) files: BTreeMap<String, String>,
}

impl Fixture {
    fn of(path: &Path) -> Self {
        let text =
            std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let Written { command, environment, files } =
            serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let words = match command {
            None => Vec::new(),
            Some(Command::Line(line)) => line.split_whitespace().map(str::to_owned).collect(),
            Some(Command::Words(words)) => words,
        };
        Self { words, environment, files }
    }

    /// The launch.
    pub(super) fn launch(&self) -> Launch {
        fn pairs(map: &BTreeMap<String, String>) -> Vec<(&str, &str)> {
            map.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
        }
        let (variables, files) = (pairs(&self.environment), pairs(&self.files));
        if self.words.is_empty() {
            let launch = Launch::default().with_environment(&variables);
            return files.iter().fold(launch, |launch, (path, text)| launch.with_file(path, text));
        }
        let words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        Launch::started(&words, &variables, &files)
    }
}

/// The fixtures of every reader.
pub(super) fn all() -> Vec<Fixture> {
    let folders: BTreeSet<_> = READERS.iter().map(|reader| reader.folder).collect();
    let files = folders.into_iter().flat_map(|folder| files_of(folder, "yaml"));
    files.map(|path| Fixture::of(&path)).collect()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/frameworks")
}

/// The launch of a case: `megatron_lm`, `gpt-3`.
pub(super) fn launch(framework: &str, case: &str) -> Launch {
    Fixture::of(&folder().join(framework).join("fixtures").join(case).with_extension("yaml")).launch()
}

/// The claims that all readers together make about a launch: a line for each field, with its source. Then the open
/// fields and the warnings.
pub(super) fn claims(launch: Launch) -> String {
    let launches = [Launch { place: "container trainer".into(), ..launch }];
    let (trainings, _) = trainings(&launches);
    let mut claims = read(trainings.first().unwrap(), &launches, &[], &mut Trees::default());
    claims.all.sort_by(|a, b| (&a.field, a.strength).cmp(&(&b.field, b.strength)));
    let mut lines = String::new();
    let mut fields = BTreeSet::new();
    for claim in &claims.all {
        let first = fields.insert(&claim.field);
        if !first && claim.strength == Strength::Default {
            continue;
        }
        let _ = writeln!(lines, "{} = {}  ({})", claim.field, claim.value, claim.source);
    }
    if let Some((steps, source)) = &claims.accumulation {
        let _ = writeln!(lines, "accumulates {steps}  ({source})");
    }
    if let Some((sequences, source)) = &claims.micro_batch_of_all {
        let _ = writeln!(lines, "micro-batch of all ranks {sequences}  ({source})");
    }
    if let (Some(nodes), Some(processes)) = (claims.nodes, claims.processes_per_node) {
        let _ = writeln!(lines, "runs {nodes} × {processes} processes");
    }
    for open in &claims.open {
        let field = open.field;
        if let Some(leanest) = &open.leanest {
            let _ = writeln!(lines, "open: {field} = {leanest}");
        }
        if let Some(heaviest) = &open.heaviest {
            let _ = writeln!(lines, "open: {field} = {heaviest} at the most");
        }
    }
    if let Some(beyond) = claims.beyond {
        let _ = writeln!(lines, "not covered: {}", beyond.sentence());
    }
    for warning in &claims.warnings {
        assert!(warning.chars().count() <= 120 && !warning.contains(char::is_control), "{warning:?}");
        let _ = writeln!(lines, "warning: {warning}");
    }
    lines
}

/// The readers that recognise a launch, a line for each.
fn readers(launch: &Launch) -> String {
    let names: Vec<&str> = super::readers(launch).into_iter().map(|reader| reader.name).collect();
    if names.is_empty() { "no reader\n".into() } else { format!("reader: {}\n", names.join("\nreader: ")) }
}

#[test]
fn every_fixture_is_read_as_in_its_snapshot() {
    insta::glob!("*/fixtures/*.yaml", |path| {
        let launch = Fixture::of(path).launch();
        let text = format!("{}\n{}", readers(&launch), claims(launch));
        let mut settings = insta::Settings::clone_current();
        settings.remove_snapshot_suffix();
        settings.remove_input_file();
        settings.set_snapshot_path(path.parent().unwrap());
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.bind(|| insta::assert_snapshot!(path.file_stem().unwrap().to_str().unwrap(), text));
    });
}

#[test]
fn every_reader_has_a_fixture_that_it_recognises() {
    for reader in READERS {
        let files = files_of(reader.folder, "yaml");
        assert!(
            files.iter().any(|path| (reader.recognises)(&Fixture::of(path).launch())),
            "{}: add a launch to src/frameworks/{}/fixtures",
            reader.name,
            reader.folder
        );
    }
}

#[test]
fn every_snapshot_has_its_fixture() {
    for reader in READERS {
        for snapshot in files_of(reader.folder, "snap") {
            assert!(snapshot.with_extension("yaml").exists(), "{} is of no fixture", snapshot.display());
        }
    }
}

/// The files of a framework's fixtures that have this ending.
fn files_of(framework: &str, ending: &str) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder().join(framework).join("fixtures"));
    let files = files.into_iter().flatten().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|found| found == ending)).collect()
}
