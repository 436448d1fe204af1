//! Reports of fixed judgements, so that the snapshots change only when a report does.

use super::{Detail, Entry, Forecast, Place, Style, json, table, values};
use crate::job::{AnyField, Input, InputError, TrainingJob, field};
use crate::judgement::{
    Advice, Component, Cost, Deadline, Evidence, Goodput, Judgement, Memory, Outlook, PriceSource, Reason,
    Summary, Time, Verdict,
};
use crate::units::{Bytes, Decimal};

fn unknown() -> Judgement {
    Judgement::without_figures(Verdict::Unknown, Reason::MissingInputs)
}

fn out_of_memory() -> Judgement {
    let gib = Bytes::from_gib;
    let component = |name, size| Component { name, bytes: gib(size) };
    let input = |field: AnyField, value: &str, source: &str| Input {
        field,
        value: value.into(),
        source: source.into(),
    };
    Judgement {
        verdict: Verdict::OutOfMemory,
        reason: Reason::AboveCapacity,
        message: "needs 96.4 GiB per GPU (at least 88.1), an A800-80GB offers 79.1 GiB; recompute=full fits"
            .into(),
        oom_probability: Some(0.997),
        evidence: Some(Evidence::Derived),
        warnings: vec!["attention is not stated: up to 42 GiB more".into()],
        inputs: vec![
            input(field::model::NAME.into(), "llama-2-70b", "annotation weighbridge.dev/model"),
            input(field::batch::MICRO_BATCH_SIZE.into(), "1", "assumed"),
        ],
        memory: Some(Memory {
            peak_bytes: gib(96.4),
            least_bytes: gib(88.1),
            lower_bytes: gib(88.1),
            upper_bytes: gib(104.9),
            allocated_bytes: gib(94.0),
            reserved_bytes: gib(99.0),
            process_bytes: gib(101.2),
            capacity_bytes: Some(gib(79.1)),
            worst_rank: "pipeline stage 0 of 4".into(),
            instant: "backward".into(),
            components: vec![component("weights", 8.0), component("optimizer states", 88.4)],
            phases: Vec::new(),
            instants: vec![component("loss", 70.0), component("backward", 94.0)],
        }),
        time: Some(Time {
            days: Some(78.9),
            days_low: Some(63.2),
            days_high: Some(105.1),
            gpu_hours: Some(1_939_000.0),
            gpu_hours_low: Some(1_553_000.0),
            gpu_hours_high: Some(2_583_000.0),
            step_seconds: Some(14.31),
            tokens_per_second_per_gpu: 286.5,
            mfu: 0.4,
            mfu_low: 0.36,
            mfu_high: 0.44,
            flops_per_token: 4.35e11,
            hardware_flops_per_token: 4.35e11,
            pipeline_bubble: 0.02,
            convention: crate::estimate::time::flops::CONVENTION,
            flops: None,
        }),
        cost: Some(Cost {
            total: Decimal::from_f64(3_490_200.0),
            per_gpu_hour: Decimal::from_f64(1.8),
            currency: "USD".into(),
            as_of: Some("2026-11".into()),
            total_low: Decimal::from_f64(2_795_400.0),
            total_high: Decimal::from_f64(4_649_400.0),
            source: PriceSource::Catalogue,
        }),
        goodput: Some(Goodput {
            share: 0.972,
            share_low: 0.96,
            share_high: 0.988,
            assumed: true,
            hours_between_failures: Some(49.5),
            checkpoint_interval_seconds: Some(4624.0),
            startup_seconds: 360.0,
        }),
        deadline: Some(Deadline {
            seconds: Some(5_184_000),
            source: "target.days".into(),
            outlook: Outlook::TooSlowAtBest,
            message: "takes about 79 days (63–105), but target.days allows 60 days: too slow even at best"
                .into(),
        }),
        advice: vec![Advice {
            change: "recompute selective → full".into(),
            spec: TrainingJob::default(),
            peak_bytes: gib(71.0),
            days: Some(92.4),
        }],
        summary: Summary {
            model: Some("llama-2-70b".into()),
            accelerator: Some("a800-80gb".into()),
            accelerator_name: Some("A800-80GB".into()),
            accelerators: Some(1024),
        },
        ..unknown()
    }
}

pub(crate) fn entries() -> Vec<Entry> {
    let missing = Judgement {
        message: "the model frontier-x is not known".into(),
        missing: vec![field::model::LAYERS.into(), field::model::HIDDEN_SIZE.into()],
        reason: Reason::UnknownModel,
        summary: Summary { model: Some("frontier-x".into()), ..Summary::default() },
        ..unknown()
    };
    let message = "weighbridge.dev/tensor-parallel is \"four\"; write a whole number";
    let error = InputError { field: "metadata.annotations".into(), message: message.into() };
    let malformed = Judgement { message: message.into(), errors: vec![error], ..unknown() };
    let entry = |name: Option<&str>, api_version: &str, kind: &str, gate, judgement| Entry {
        name: name.map(str::to_owned),
        namespace: name.map(|_| "team-a".to_owned()),
        kind: kind.to_owned(),
        api_version: api_version.to_owned(),
        place: name.map(|_| Place { file: "jobs.yaml".into(), document: Some(1), line: Some(4) }),
        gate,
        judgement,
    };
    let estimates = "weighbridge.dev/v1alpha1";
    vec![
        entry(Some("llama2-70b"), "kubeflow.org/v1", "PyTorchJob", Some(Forecast::Refused), out_of_memory()),
        entry(Some("überraschung"), "batch/v1", "Job", Some(Forecast::Warned), missing),
        entry(None, estimates, "TrainingEstimate", None, malformed),
    ]
}

#[test]
fn the_table_explains_every_line() {
    insta::assert_snapshot!(table(&entries(), Detail::Whole, Style::PLAIN));
}

#[test]
fn colours_do_not_change_the_text() {
    let coloured = table(&entries(), Detail::Whole, Style { coloured: true, ..Style::PLAIN });
    assert!(coloured.contains("\u{1b}[31mOutOfMemory\u{1b}[0m"));
    let mut plain = coloured;
    for code in ["\u{1b}[0m", "\u{1b}[1m", "\u{1b}[31m", "\u{1b}[32m", "\u{1b}[33m"] {
        plain = plain.replace(code, "");
    }
    assert_eq!(plain, table(&entries(), Detail::Whole, Style::PLAIN));
}

#[test]
fn json_holds_every_key_of_every_judgement() -> serde_json::Result<()> {
    insta::assert_snapshot!(json(&values(&entries())?)?);
    Ok(())
}

#[test]
fn no_judgements_give_no_table_and_an_empty_array() -> serde_json::Result<()> {
    let table = table(&[], Detail::ByNumber, Style::PLAIN);
    assert_eq!((table, json(&[])?), (String::new(), "[]\n".to_owned()));
    Ok(())
}

#[test]
fn several_jobs_have_a_line_each_and_one_is_explained() {
    insta::assert_snapshot!(table(&entries(), Detail::ByNumber, Style::PLAIN));
    let one = table(&entries()[..1], Detail::ByNumber, Style::PLAIN);
    assert!(one.contains("optimizer states") && !one.contains("NAMESPACE"), "{one}");
}

#[test]
fn a_narrow_terminal_breaks_lines_and_keeps_the_verdict() {
    for width in [60, 80] {
        let text = table(&entries(), Detail::Whole, Style { width: Some(width), ..Style::PLAIN });
        let header = text.lines().next().unwrap_or_default();
        assert!(header.contains("VERDICT") && header.chars().count() <= width, "{header}");
        insta::with_settings!({ snapshot_suffix => width.to_string() }, { insta::assert_snapshot!(text) });
    }
}

#[test]
fn a_question_on_the_command_line_is_told_what_to_add_to_it() {
    let mut entries = entries();
    let entry = &mut entries[1];
    let in_a_file = table(std::slice::from_ref(entry), Detail::Whole, Style::PLAIN);
    assert!(in_a_file.contains("weighbridge.dev/layers:"), "{in_a_file}");
    entry.place = None;
    let asked = table(std::slice::from_ref(entry), Detail::Whole, Style::PLAIN);
    assert!(asked.contains("--set layers=") && !asked.contains("weighbridge.dev/layers:"), "{asked}");
}
