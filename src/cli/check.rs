//! `weighbridge check`: judges manifests before they are applied.
//!
//! Every document is judged, even if another one has an error. Documents that cannot be read are listed on standard
//! error, in every format, and change the exit status. Documents that can be read but not judged are part of
//! the report. Documents that are no Kubernetes objects are skipped and counted.
//!
//! Without a file, the settings describe one training.
//!
//! No document that asks for accelerators is passed over in silence. Those that do not train, and those that nothing
//! shows to train, are listed on standard error with the cause, and counted. They change the exit status only if
//! `--fail-on` asks for it. JSON has an element for each that is not recognised, since it may train.
//!
//! Exit status: 1 if anything would run out of memory, else 2 if anything could not be judged or read, else 0.
//! `--fail-on` adds findings to these, and `--pass-on` takes some away.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::{Args, ValueEnum};

use super::input::{self, Input};
use super::number::whole;
use super::output::{print, print_error, style};
use crate::batch::settings::{self as set, Setting};
use crate::batch::{self, Object};
use crate::job::keys::PREFIX;
use crate::job::{Ask, Input as Given, Model, Quoting, Rank};
use crate::judgement::{Judgement, Memory, Swing, Verdict};
use crate::model::config;
use crate::pages::{self, Sheet};
use crate::policy::{Mode, Policy};
use crate::report::{self, Detail, Entry, Forecast, Form};
use crate::surroundings::{Keys, Surroundings};

/// The arguments of `check`.
#[derive(Args, Debug)]
#[command(
    after_help = "Exit status: 1 if anything would run out of memory, else 2 if anything could not be judged or \
                        read, else 0. --fail-on adds findings, --pass-on takes some away.\n\nExamples:\n  weighbridge check job.yaml\n  \
                        weighbridge check manifests/ --ignore charts\n  weighbridge check --set model=llama-3-8b --set \
                        method=lora --accelerator A100-80GB\n  weighbridge check job.yaml --set micro-batch-size=2\n  \
                        weighbridge check job.yaml --file /cfg/lora.yml=./lora.yml\n  helm template mychart | weighbridge \
                        check -\n  kubectl get pytorchjobs,jobs -A -o yaml | weighbridge check - -o json"
)]
pub(super) struct Arguments {
    /// Files, folders (searched for *.yaml, *.yml and *.json) and - for standard input
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The same, as kubectl takes it; repeatable
    #[arg(short = 'f', long = "filename", value_name = "PATH")]
    files: Vec<PathBuf>,
    /// A field and its value, by the annotation's key: it wins over the manifest; repeatable
    #[arg(long, value_name = "KEY=VALUE", value_parser = set::setting)]
    set: Vec<Setting>,
    /// The type of accelerator, like A100-80GB; short for --set gpu-type=TYPE
    #[arg(long, value_name = "TYPE")]
    accelerator: Option<String>,
    /// The number of accelerators; short for --set accelerator-count=NUMBER
    #[arg(long, value_name = "NUMBER", value_parser = whole::<u32>(1, 10_000_000))]
    gpus: Option<u32>,
    /// A local file for a path in the containers, if the manifests do not hold it; repeatable
    #[arg(long, value_name = "CONTAINER-PATH=FILE", value_parser = given_file)]
    file: Vec<(String, PathBuf)>,
    /// Files and folders to leave out in a folder, by name or path; a star stands for any text; repeatable
    #[arg(long, value_name = "PATTERN")]
    ignore: Vec<String>,
    /// The format of the report
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
    /// Explain each of several jobs in full, and name the skipped documents
    #[arg(short, long, conflicts_with = "quiet")]
    verbose: bool,
    /// Print no report: errors and the exit status alone
    #[arg(short, long)]
    quiet: bool,
    /// Findings that fail too: status 1 for jobs, status 2 for what cannot be judged or read. By default oom, unknown and
    /// unreadable fail
    #[arg(long, value_enum, value_delimiter = ',', value_name = "FINDING,…")]
    fail_on: Vec<Finding>,
    /// Findings that do not fail, like unknown. With all the status is always 0
    #[arg(long, value_enum, value_delimiter = ',', value_name = "FINDING,…")]
    pass_on: Vec<Finding>,
    /// The ranks whose memory is judged: the worst rank, the ranks of a pipeline stage, counted from 0, or of the
    /// last stage
    #[arg(long, value_name = "worst|last|STAGE", default_value = "worst", value_parser = rank)]
    rank: Rank,
    /// The policy's file, as `serve --config` takes it: thresholds, headroom, accelerators
    #[arg(long, visible_alias = "config", value_name = "FILE")]
    policy: Option<PathBuf>,
    /// The mode of the namespace, for what the gate would do [default: the policy's, enforce]
    #[arg(long, value_enum)]
    mode: Option<Mode>,
    /// The config.json of the model, as Hugging Face writes it, for jobs whose model's name is not known
    #[arg(long, value_name = "FILE")]
    model_config: Option<PathBuf>,
}

fn rank(text: &str) -> Result<Rank, String> {
    match text {
        "worst" => Ok(Rank::Worst),
        "last" => Ok(Rank::Last),
        stage => stage
            .parse()
            .map(Rank::Stage)
            .map_err(|_| "write worst, last, or the number of a pipeline stage, like 0".to_owned()),
    }
}

fn given_file(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((path, file)) if !path.is_empty() && !file.is_empty() => Ok((path.to_owned(), file.into())),
        _ => Err("write the path in the container and the local file, like /cfg/lora.yml=./lora.yml".into()),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// A table, and the explanation of its lines
    #[value(alias = "wide")]
    Table,
    /// One array, an element for each training workload
    Json,
    /// The same as YAML
    Yaml,
    /// The names of the training workloads, as kubectl writes them
    Name,
    /// A table for a comment on a pull request
    Markdown,
    /// Annotations of GitHub Actions
    Github,
    /// XML as test reports have it
    Junit,
    /// SARIF 2.1.0
    Sarif,
    /// A page for a browser: one file that loads nothing
    Html,
}

/// A finding that may fail the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Finding {
    /// A job that would run out of memory
    Oom,
    /// A job that may run out of memory
    Tight,
    /// A job that the gate would refuse
    Refused,
    /// A job that cannot be judged
    Unknown,
    /// An object that asks for accelerators, and it is not known whether it trains
    Unrecognised,
    /// A document that cannot be read
    Unreadable,
    /// All of these
    All,
}

/// The findings that fail unless the arguments say otherwise.
const FAILING: [Finding; 3] = [Finding::Oom, Finding::Unknown, Finding::Unreadable];

/// Judges the manifests, and prints the report.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let policy = Policy::of_file(arguments.policy.as_deref())?;
    let policy = Policy { mode: arguments.mode.unwrap_or(policy.mode), ..policy };
    let settings = settings(arguments)?;
    let paths: Vec<_> = arguments.paths.iter().chain(&arguments.files).cloned().collect();
    anyhow::ensure!(
        !paths.is_empty() || !settings.is_empty(),
        "there is nothing to check: name a manifest, or describe a training with --set model=llama-3-8b --accelerator H100"
    );
    let (input, around) = read(&paths, &settings, &policy, arguments)?;
    let model = arguments.model_config.as_deref().map(model_of).transpose()?;
    // Advice, room and the gate's decision are about the whole job, and one stage does not decide them.
    let whole = arguments.rank == Rank::Worst;
    let ask = Ask {
        rank: arguments.rank,
        quoting: Quoting::Everything,
        advice: whole,
        room: whole && arguments.explains_each(),
        model,
        ..Ask::default()
    };
    let mut entries = batch::entries_of_many(&input.objects, &around, &policy, &ask);
    let is_told = |entry: &Entry| entry.judgement.verdict != Verdict::NotTraining;
    if whole && !ask.room && entries.iter().filter(|entry| is_told(entry)).count() == 1 {
        // The only one is explained, too.
        entries = batch::entries(&input.objects, &around, &policy, &Ask { room: true, ..ask.clone() });
    }
    let mut stages = match arguments.output {
        Output::Html => batch::stages(&entries, &input.objects, &around, &policy, &ask),
        _ => Vec::new(),
    };

    for entry in &mut entries {
        told_by_the_command_line(entry, &settings);
        // A question is no object that the gate could see.
        entry.gate = entry.gate.filter(|_| whole && !paths.is_empty());
    }

    say_what_is_not_judged(&input, &entries, arguments.verbose)?;
    let mut told = entries.iter().map(is_told);
    stages.retain(|_| told.next().unwrap_or_default());
    entries.retain(is_told);
    if !arguments.quiet {
        print(&written(&entries, stages, &policy, arguments)?)?;
    }
    for hint in hints(&entries, arguments) {
        print_error(&format!("hint: {hint}"))?;
    }
    let any_unreadable = input.objects.is_empty() || !input.unreadable.is_empty();
    Ok(ExitCode::from(status(&entries, arguments, any_unreadable)))
}

/// The objects with the settings applied, and what is around them. Without paths, the settings are the one object.
fn read(
    paths: &[PathBuf],
    settings: &[Setting],
    policy: &Policy,
    arguments: &Arguments,
) -> anyhow::Result<(Input, Surroundings)> {
    let mut input = if paths.is_empty() {
        let value = set::described(settings);
        Input { objects: vec![Object { value, place: None }], ..Input::default() }
    } else {
        input::read(paths, &arguments.ignore)
    };
    let mut values: Vec<_> =
        input.objects.iter_mut().map(|object| std::mem::take(&mut object.value)).collect();
    if !paths.is_empty() {
        set::apply_to(settings, &mut values, policy);
    }
    let around = Surroundings { files: given(&arguments.file)?, ..Surroundings::of(&values, &policy.kinds) };
    for (object, value) in input.objects.iter_mut().zip(values) {
        object.value = value;
    }
    Ok((input, around))
}

fn settings(arguments: &Arguments) -> anyhow::Result<Vec<Setting>> {
    let mut settings = arguments.set.clone();
    let named = |name, value: &str| set::named(name, value).map_err(anyhow::Error::msg);
    if let Some(accelerator) = &arguments.accelerator {
        settings.push(named("gpu-type", accelerator)?);
    }
    if let Some(number) = arguments.gpus {
        settings.push(named("accelerator-count", &number.to_string())?);
    }
    Ok(settings)
}

/// Names the command line as the source of what it set. A question has no annotations, so it is told options to add.
fn told_by_the_command_line(entry: &mut Entry, settings: &[Setting]) {
    let is_question = entry.place.is_none();
    let judgement = &mut entry.judgement;
    for setting in settings {
        let written = format!("annotation {PREFIX}{}", setting.key());
        let option = format!("--set {}", setting.key());
        let is_it = |input: &&mut Given| input.source == written;
        judgement.inputs.iter_mut().filter(is_it).for_each(|input| input.source.clone_from(&option));
        // A longer key begins with a shorter one, so the end of the key is needed too.
        for end in [")", ":", ",", " "] {
            let (from, to) = (format!("{written}{end}"), format!("{option}{end}"));
            lines(judgement, |line| line.replace(&from, &to));
        }
    }
    if is_question {
        lines(judgement, |line| Form::Setting.told(line));
    }
}

/// Writes the lines of a judgement anew. What only repeats the list of missing fields stays, as the report leaves it out.
fn lines(judgement: &mut Judgement, anew: impl Fn(&str) -> String) {
    let repeated: Vec<String> = judgement.swings.iter().map(Swing::warning).collect();
    let errors = judgement.errors.iter_mut().map(|error| &mut error.message);
    let own = judgement.warnings.iter_mut().chain(&mut judgement.contradictions);
    let all = own.chain(errors).chain([&mut judgement.message]);
    for line in all.filter(|line| !repeated.contains(line)) {
        *line = anew(line);
    }
}

/// The files that are given for paths in the containers.
fn given(files: &[(String, PathBuf)]) -> anyhow::Result<Arc<Keys>> {
    let mut given = Keys::new();
    for (path, file) in files {
        let text = fs::read_to_string(file).with_context(|| format!("--file {path}={}", file.display()))?;
        given.insert(path.clone(), text.into());
    }
    Ok(Arc::new(given))
}

/// What cannot be read, what is set aside, and what is no Kubernetes object.
fn say_what_is_not_judged(input: &Input, entries: &[Entry], by_name: bool) -> anyhow::Result<()> {
    for unreadable in &input.unreadable {
        print_error(&format!("weighbridge: {unreadable}"))?;
    }
    for line in report::aside(entries) {
        print_error(&format!("weighbridge: {line}"))?;
    }
    say_what_was_skipped(input, by_name)?;
    if input.unreadable.is_empty() && input.objects.is_empty() {
        print_error("weighbridge: no Kubernetes object was found")?;
    } else if input.unreadable.is_empty() && entries.is_empty() {
        print_error("weighbridge: nothing here asks for accelerators")?;
    }
    Ok(())
}

fn say_what_was_skipped(input: &Input, by_name: bool) -> anyhow::Result<()> {
    let (count, verb) = match input.skipped.len() {
        0 => return Ok(()),
        1 => ("1 document is no Kubernetes object".to_owned(), "was"),
        many => (format!("{many} documents are no Kubernetes objects"), "were"),
    };
    let more = if by_name { "" } else { "; -v names them" };
    print_error(&format!("weighbridge: {count} and {verb} skipped{more}"))?;
    for place in input.skipped.iter().filter(|_| by_name) {
        print_error(&format!("weighbridge: skipped {place}: it has no apiVersion and no kind"))?;
    }
    Ok(())
}

/// What the arguments could do better.
fn hints(entries: &[Entry], arguments: &Arguments) -> Vec<String> {
    let mut hints = Vec::new();
    if let Rank::Stage(stage) = arguments.rank {
        for entry in entries {
            let parallelism = entry.judgement.job.parallelism.as_ref();
            let stages = u64::from(parallelism.and_then(|parallelism| parallelism.pipeline).unwrap_or(1));
            if stage >= stages {
                let name = entry.name.as_deref().unwrap_or("a job");
                let stages = if stages == 1 {
                    "one pipeline stage, which is shown".to_owned()
                } else {
                    format!("{stages} pipeline stages, counted from 0: the last is shown")
                };
                hints.push(format!("{name} has {stages}"));
            }
        }
    }
    let no_card = |entry: &Entry| {
        let card = entry.judgement.job.accelerator.as_ref().and_then(|accelerator| accelerator.kind.as_ref());
        let memory = entry.judgement.memory.as_ref();
        card.is_none() && memory.is_some_and(|memory| memory.capacity_bytes.is_none())
    };
    if arguments.paths.is_empty() && arguments.files.is_empty() && entries.iter().any(no_card) {
        hints.push("--accelerator TYPE names the GPU: weighbridge accelerators lists all".to_owned());
    }
    let unread = |warning: &String| warning.contains("is not known, so it is not read");
    if arguments.file.is_empty() && entries.iter().any(|entry| entry.judgement.warnings.iter().any(unread)) {
        hints.push(
            "--file PATH-IN-THE-CONTAINER=FILE gives check a file that is in no ConfigMap here".to_owned(),
        );
    }
    hints
}

fn written(
    entries: &[Entry],
    stages: Vec<Vec<Memory>>,
    policy: &Policy,
    arguments: &Arguments,
) -> anyhow::Result<String> {
    let detail = if arguments.verbose { Detail::Whole } else { Detail::ByNumber };
    Ok(match arguments.output {
        Output::Table => report::table(entries, detail, style()),
        Output::Json => report::json(&report::values(entries)?)?,
        Output::Yaml => report::yaml(&report::values(entries)?)?,
        Output::Name => report::names(entries),
        Output::Markdown => report::markdown(entries),
        Output::Github => report::github(entries, &|entry| arguments.fails_for(entry)),
        Output::Junit => report::junit(entries, &|entry| arguments.fails_for(entry)),
        Output::Sarif => report::sarif(entries, &|entry| arguments.fails_for(entry))?,
        Output::Html => {
            let sheets: Vec<_> =
                entries.iter().zip(stages).map(|(entry, stages)| Sheet::of(entry, stages, policy)).collect();
            pages::report(&sheets)
        }
    })
}

/// The model of a `config.json`.
fn model_of(path: &Path) -> anyhow::Result<Model> {
    /// The largest file that is read. Those of published models have a few kilobytes.
    const MOST: u64 = 1 << 20;
    let place = path.display();
    let mut text = String::new();
    let file = fs::File::open(path).with_context(|| format!("{place} cannot be opened"))?;
    file.take(MOST).read_to_string(&mut text).with_context(|| format!("{place} cannot be read"))?;
    let tree = serde_json::from_str(&text).with_context(|| format!("{place} is no JSON"))?;
    config::read(&tree).with_context(|| place.to_string())
}

impl Arguments {
    /// Whether the report explains each job, however many there are.
    fn explains_each(&self) -> bool {
        self.verbose || matches!(self.output, Output::Json | Output::Yaml | Output::Html)
    }

    /// Whether a finding fails the command.
    fn fails(&self, finding: Finding) -> bool {
        let names = |list: &[Finding]| list.contains(&finding) || list.contains(&Finding::All);
        (FAILING.contains(&finding) || names(&self.fail_on)) && !names(&self.pass_on)
    }

    /// The exit status that an entry asks for.
    fn status_of(&self, entry: &Entry) -> u8 {
        let refused = matches!(entry.gate, Some(Forecast::Refused | Forecast::Invalid));
        let (finding, status) = match entry.judgement.verdict {
            _ if refused && self.fails(Finding::Refused) => return 1,
            Verdict::OutOfMemory => (Finding::Oom, 1),
            Verdict::Tight => (Finding::Tight, 1),
            Verdict::Unknown => (Finding::Unknown, 2),
            Verdict::Unrecognised => (Finding::Unrecognised, 2),
            Verdict::Fits | Verdict::NotTraining => return 0,
        };
        if self.fails(finding) { status } else { 0 }
    }

    fn fails_for(&self, entry: &Entry) -> bool {
        self.status_of(entry) != 0
    }
}

fn status(entries: &[Entry], arguments: &Arguments, any_unreadable: bool) -> u8 {
    let statuses = || entries.iter().map(|entry| arguments.status_of(entry));
    let unreadable = any_unreadable && arguments.fails(Finding::Unreadable);
    match (statuses().any(|status| status == 1), statuses().any(|status| status == 2) || unreadable) {
        (true, _) => 1,
        (false, true) => 2,
        (false, false) => 0,
    }
}
