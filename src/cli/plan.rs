//! `weighbridge plan`: which cluster trains this, and how the work is divided on it.
//!
//! The training comes from manifests, as in `check`, or from the command line, with the keys of the annotations
//! (`--set model=llama-2-70b --set tokens=2T`). Settings also win over what a manifest says.
//!
//! Exit status: 2 if anything could not be read or planned, else 0.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::number::whole;
use super::output::{print, print_error, style};
use super::{FAILURE, input};
use crate::batch::settings::{self as set, Setting};
use crate::plan::{Question, plan};
use crate::policy::Policy;
use crate::report::{self, PlanEntry};
use crate::surroundings::Surroundings;
use crate::units::Decimal;

/// The arguments of `plan`.
#[derive(Args, Debug)]
#[command(
    after_help = "With --days the smallest cluster that is fast enough comes first, with --gpus the fastest layout, and \
                  without both the smallest cluster on which the training fits. Only layouts that fit are shown.\n\n\
                  Exit status: 2 if anything could not be read or planned, else 0.\n\nExamples:\n  weighbridge plan --set \
                  model=llama-2-70b --set tokens=2T --days 90 --accelerator A800-80GB,Ascend-910B3\n  weighbridge plan \
                  --set model=llama-3-8b --gpus 16 --accelerator H100\n  weighbridge plan job.yaml --days 90 --any-layout\n  \
                  weighbridge plan job.yaml --days 90 -o yaml | weighbridge check -"
)]
pub(super) struct Arguments {
    /// The manifests to plan: files, folders, and - for standard input
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The same, as kubectl takes it; repeatable
    #[arg(short = 'f', long = "filename", value_name = "PATH")]
    files: Vec<PathBuf>,
    /// A field and its value, by the annotation's key; repeatable
    #[arg(long, value_name = "KEY=VALUE", value_parser = set::setting)]
    set: Vec<Setting>,
    /// The number of days until the training ends [default: target.days]
    #[arg(long, value_parser = days, allow_negative_numbers = true)]
    days: Option<f64>,
    /// The number of accelerators, if it is fixed
    #[arg(long, value_parser = whole::<u64>(1, 10_000_000))]
    gpus: Option<u64>,
    /// The types of accelerators, like H200,B200; repeatable [default: the training's own]
    #[arg(long, value_name = "TYPE", value_delimiter = ',')]
    accelerator: Vec<String>,
    /// Try every layout, also where the manifest states one
    #[arg(long)]
    any_layout: bool,
    /// The number of layouts to show for each type
    #[arg(long, default_value_t = 5, value_parser = whole::<u16>(1, 40))]
    layouts: u16,
    /// The policy's file, as `serve --config` takes it
    #[arg(long, visible_alias = "config", value_name = "FILE")]
    policy: Option<PathBuf>,
    /// The format of the plan
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Output {
    /// A table, and what its numbers rest on
    #[value(alias = "wide")]
    Table,
    /// One array, an element for each training and type of accelerator
    Json,
    /// The best layout of each type as a TrainingEstimate, which `check` and `kubectl apply` take
    Yaml,
}

fn days(text: &str) -> Result<f64, String> {
    let days = Decimal::parse(text.trim_start_matches('-')).map_err(|error| error.to_string())?;
    if days.micros == 0 || text.starts_with('-') {
        return Err("the number of days must be more than zero".into());
    }
    Ok(days.as_f64())
}

/// Plans the trainings, and prints the plans.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let policy = Policy::of_file(arguments.policy.as_deref())?;
    let paths: Vec<_> = arguments.paths.iter().chain(&arguments.files).cloned().collect();
    anyhow::ensure!(
        !paths.is_empty() || !arguments.set.is_empty(),
        "there is nothing to plan: name a manifest, or describe the training with --set model=llama-3-8b"
    );
    let (mut objects, mut complaints) = if paths.is_empty() {
        (vec![set::described(&arguments.set)], Vec::new())
    } else {
        let input = input::read(&paths, &[]);
        let unreadable: Vec<_> = input.unreadable.iter().map(ToString::to_string).collect();
        (input.objects.into_iter().map(|object| object.value).collect(), unreadable)
    };
    set::apply_to(&arguments.set, &mut objects, &policy);
    let question = Question {
        days: arguments.days,
        accelerators: arguments.gpus,
        types: arguments.accelerator.iter().map(|name| name.trim().to_owned()).collect(),
        free: arguments.any_layout,
        layouts: usize::from(arguments.layouts),
    };
    let around = Surroundings::of(&objects, &policy.kinds);
    let mut entries = Vec::new();
    for object in &objects {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let name = text("/metadata/name").or_else(|| text("/metadata/generateName"));
        let about =
            |line: &str| name.as_ref().map_or_else(|| line.to_owned(), |name| format!("{name}: {line}"));
        match plan(object, &around, &policy.world(), &question) {
            Ok(plans) => {
                for warning in plans.warnings {
                    print_error(&format!("warning: {}", about(&warning)))?;
                }
                let planned = plans.planned.into_iter();
                entries.extend(planned.map(|planned| PlanEntry { name: name.clone(), planned }));
            }
            Err(problem) => complaints.push(about(&problem)),
        }
    }
    for complaint in &complaints {
        print_error(&format!("weighbridge: {complaint}"))?;
    }
    if entries.is_empty() && complaints.is_empty() {
        print_error("weighbridge: no training was found; say what is trained with --set model=NAME")?;
    }
    print(&match arguments.output {
        Output::Table => report::plan_table(&entries, style()),
        Output::Json => report::json(&report::plan_values(&entries)?)?,
        Output::Yaml => report::yaml(&report::plan_estimates(&entries)?)?,
    })?;
    let unplanned = entries.iter().any(|entry| entry.planned.proposals.is_empty());
    Ok(if unplanned || !complaints.is_empty() { ExitCode::from(FAILURE) } else { ExitCode::SUCCESS })
}
