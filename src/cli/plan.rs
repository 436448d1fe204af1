//! `weighbridge plan`: how many accelerators of each type finish a training in a number of days.
//!
//! The training comes from manifests, as in `check`, or from the command line, with the keys of the annotations
//! (`--set model=llama-2-70b --set tokens=2T`). Exit status: 2 if anything could not be read or planned, else 0.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Map, Value, json};

use super::check::{Output, print, print_error, style};
use super::{FAILURE, input};
use crate::job::keys::PREFIX;
use crate::plan::plan;
use crate::policy::Policy;
use crate::report::{self, PlanEntry};
use crate::surroundings::Surroundings;
use crate::units::Decimal;

/// The arguments of `plan`.
#[derive(Args, Debug)]
#[command(
    after_help = "Exit status: 2 if anything could not be read or planned, else 0.\n\nExamples:\n  weighbridge plan \
                  job.yaml --days 90 --accelerator A800-80GB --accelerator Ascend-910B3\n  weighbridge plan --set \
                  model=llama-2-70b --set tokens=2T --set tensor-parallel=4 --set pipeline-parallel=4 --days 90 \
                  --accelerator H100"
)]
pub(super) struct Arguments {
    /// The manifests to plan: files, folders, and - for standard input
    #[arg(value_name = "PATH", required_unless_present = "set", conflicts_with = "set")]
    paths: Vec<PathBuf>,
    /// An annotation's key without its prefix, and its value, for a training without a manifest; repeatable
    #[arg(long, value_name = "KEY=VALUE", value_parser = setting)]
    set: Vec<(String, String)>,
    /// The number of days [default: target.days]
    #[arg(long, value_parser = days)]
    days: Option<f64>,
    /// A type of accelerator to plan with, like A800-80GB; repeatable [default: the training's own]
    #[arg(long, value_name = "TYPE")]
    accelerator: Vec<String>,
    /// The policy's file, as `serve --config` takes it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The format of the plan
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write KEY=VALUE, like model=llama-2-70b")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

fn days(text: &str) -> Result<f64, String> {
    let days = Decimal::parse(text).map_err(|error| error.to_string())?;
    if days.micros == 0 { Err("the number of days must be more than zero".into()) } else { Ok(days.as_f64()) }
}

/// Plans the trainings, and prints the plans.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let policy = Policy::of_file(arguments.config.as_deref())?;
    let (objects, mut complaints) = if arguments.set.is_empty() {
        let input = input::read(&arguments.paths);
        let unreadable = input.unreadable.iter().map(ToString::to_string).collect();
        (input.objects, unreadable)
    } else {
        (vec![described(&arguments.set)], Vec::new())
    };
    let around = Surroundings::of(&objects, &policy.kinds);
    let mut entries = Vec::new();
    for object in &objects {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let name = text("/metadata/name").or_else(|| text("/metadata/generateName"));
        let found = plan(object, &around, &policy.world(), arguments.days, &arguments.accelerator);
        match found {
            Ok(plans) => {
                entries.extend(plans.into_iter().map(|planned| PlanEntry { name: name.clone(), planned }));
            }
            Err(problem) => complaints.push(match name {
                Some(name) => format!("{name}: {problem}"),
                None => problem,
            }),
        }
    }
    for complaint in &complaints {
        print_error(&format!("weighbridge: {complaint}"))?;
    }
    if entries.is_empty() && complaints.is_empty() {
        print_error("weighbridge: nothing here trains on accelerators")?;
    }
    print(&match arguments.output {
        Output::Table => report::plan_table(&entries, style()),
        Output::Json => report::plan_json(&entries)?,
    })?;
    let unplanned = entries.iter().any(|entry| entry.planned.count.is_none());
    Ok(if unplanned || !complaints.is_empty() { ExitCode::from(FAILURE) } else { ExitCode::SUCCESS })
}

/// A Job without pods. The annotations describe all of it.
fn described(settings: &[(String, String)]) -> Value {
    let annotations: Map<String, Value> =
        settings.iter().map(|(key, value)| (format!("{PREFIX}{key}"), value.as_str().into())).collect();
    json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"annotations": annotations}, "spec": {}})
}
