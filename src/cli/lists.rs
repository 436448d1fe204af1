//! `weighbridge models`, `accelerators`, `annotations` and `frameworks`: what is known, as tables and as JSON.
//!
//! A filter keeps the lines that hold its text, in any case. A model or an accelerator is also found by any other spelling of
//! its name. Exit status: 1 if nothing matches, as with grep, else 0.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Map, Value};

use super::output::{Format, print, print_error, style};
use crate::frameworks;
use crate::hardware::Catalogue;
use crate::job::Precision;
use crate::job::keys::{KEYS, PREFIX};
use crate::model::known;
use crate::report;
use crate::units::Count;

/// The arguments of a list.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Only the lines that hold this text
    #[arg(value_name = "FILTER")]
    filter: Option<String>,
    /// The format of the list
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
}

/// A list: what of, its headings, and a line for each thing.
struct List {
    /// The things, in the plural.
    of: &'static str,
    headings: Vec<&'static str>,
    lines: Vec<Vec<String>>,
}

impl List {
    fn print(mut self, arguments: &Arguments, meant: Option<&str>) -> anyhow::Result<ExitCode> {
        let all = self.lines.len();
        if let Some(filter) = &arguments.filter {
            let filter = filter.to_lowercase();
            let holds = |line: &Vec<String>| line.iter().any(|cell| cell.to_lowercase().contains(&filter));
            let is_meant = |line: &Vec<String>| meant.is_some() && line.first().map(String::as_str) == meant;
            self.lines.retain(|line| holds(line) || is_meant(line));
        }
        if let (true, Some(filter)) = (self.lines.is_empty(), &arguments.filter) {
            print_error(&format!("weighbridge: none of the {all} {} holds {filter}", self.of))?;
        }
        let is_empty = self.lines.is_empty();
        print(&match arguments.output {
            Format::Table => report::list(&self.headings, self.lines, style()),
            Format::Json => report::json(&self.values())?,
        })?;
        Ok(ExitCode::from(u8::from(is_empty)))
    }

    fn values(&self) -> Vec<Value> {
        let key = |heading: &&str| heading.to_lowercase().replace(' ', "-");
        let element = |line: &Vec<String>| {
            let pairs = self.headings.iter().map(key).zip(line.iter().map(|cell| cell.as_str().into()));
            Value::Object(pairs.collect::<Map<_, _>>())
        };
        self.lines.iter().map(element).collect()
    }
}

/// The models that are known by name.
pub(super) fn models(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let number = |value: Option<u32>| value.map(|value| value.to_string()).unwrap_or_default();
    let line = |known: &known::Known| {
        let model = &known.model;
        vec![
            known.name.clone(),
            Count(known.count()).short(),
            number(model.layers),
            number(model.hidden_size),
            number(model.attention_heads),
            number(model.key_value_heads.or(model.attention_heads)),
            number(model.vocab_size),
            number(model.experts),
        ]
    };
    let headings =
        vec!["NAME", "PARAMETERS", "LAYERS", "HIDDEN", "HEADS", "KV-HEADS", "VOCABULARY", "EXPERTS"];
    let meant = arguments.filter.as_deref().and_then(known::find).map(|known| known.name.as_str());
    List { of: "known models", headings, lines: known::all().iter().map(line).collect() }
        .print(arguments, meant)
}

/// The accelerators of the catalogue.
pub(super) fn accelerators(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let catalogue = Catalogue::builtin();
    let lines = catalogue.all().iter().map(|accelerator| {
        let tera = accelerator.peak(Precision::BF16).map(|rate| format!("{:.0}", rate.0 as f64 / 1e12));
        let price = catalogue.price(&accelerator.key);
        vec![
            accelerator.name.clone(),
            accelerator.vendor.to_string(),
            accelerator.memory.to_string(),
            accelerator.usable().to_string(),
            tera.unwrap_or_default(),
            price.as_ref().map(|price| price.per_gpu_hour.to_string()).unwrap_or_default(),
            price.map(|price| price.as_of).unwrap_or_default(),
            accelerator.key.clone(),
        ]
    });
    let headings = vec!["NAME", "VENDOR", "MEMORY", "USABLE", "BF16-TFLOPS", "USD-PER-HOUR", "AS-OF", "KEY"];
    let meant = arguments.filter.as_deref().and_then(|name| catalogue.find(name));
    let meant = meant.map(|accelerator| accelerator.name.as_str());
    List { of: "known accelerators", headings, lines: lines.collect() }.print(arguments, meant)
}

/// The annotations.
pub(super) fn annotations(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let own = KEYS.iter().map(|key| vec![key.name.to_owned(), key.path().to_owned(), key.takes()]);
    let others = [
        ["training", "all", "one YAML block with the fields of TrainingEstimate.spec; a single key beats it"],
        ["override", "none", "a reason: where the policy allows it, a refusal becomes an audited warning"],
    ];
    let others = others.map(|line| line.map(str::to_owned).to_vec());
    let filter = arguments.filter.as_deref().map(|filter| filter.strip_prefix(PREFIX).unwrap_or(filter));
    let arguments = Arguments { filter: filter.map(str::to_owned), output: arguments.output };
    let headings = vec!["KEY", "FIELD", "VALUE"];
    List { of: "annotations", headings, lines: own.chain(others).collect() }.print(&arguments, None)
}

/// The frameworks whose launches are read.
pub(super) fn frameworks(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let lines = frameworks::names().map(|name| vec![name.to_owned()]);
    List { of: "frameworks", headings: vec!["NAME"], lines: lines.collect() }.print(arguments, None)
}
