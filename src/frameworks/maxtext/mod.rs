//! MaxText: `python -m MaxText.train MaxText/configs/base.yml model_name=llama2-7b per_device_batch_size=4 …`.
//!
//! **Recognised** by the module, or by the script `train.py` in a folder `MaxText`, with a `.yml` file among the
//! arguments. Words beat the file. `base.yml` is MaxText's own and has the defaults. Any other unknown file leaves them
//! open.
//!
//! A batch is given per device: a replica of t·p·c devices computes t·p·c times as many sequences. The axes `tensor`,
//! `pipeline`, `context` (formerly `sequence`) and `expert` of the mesh are degrees: within a slice (`ici_`) times
//! between slices (`dcn_`).
//!
//! Read from AI-Hypercomputer/maxtext's `MaxText/configs/base.yml` at 000e9355 and later; the policies of recomputation at
//! e591f30c.

pub(super) mod list;
pub(super) mod profile;

use crate::command::{Launch, Target};
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::complete::Written;
use crate::frameworks::reading::config;
use crate::frameworks::reading::flags::Takes::{Number, OneOf, Text};
use crate::frameworks::reading::flags::{Table, flag};
use crate::frameworks::reading::settings::{self, Place, Setting, Settings};
use crate::job::{Assignment, Attention, Field, Framework, Optimizer, Precision, Recompute, field};

const SOURCE: &str = "MaxText base.yml";
const MODULES: &[&str] = &[
    "MaxText.train",
    "maxtext.train",
    "maxtext.trainers.pre_train.train",
    "MaxText.sft_trainer",
    "MaxText.sft.sft_trainer",
    "maxtext.trainers.post_train.sft.train_sft",
];

const TABLE: Table = &[
    &flag(&["base_num_decoder_layers"], field::model::LAYERS, Number),
    &flag(&["base_emb_dim"], field::model::HIDDEN_SIZE, Number),
    &flag(&["base_num_query_heads"], field::model::ATTENTION_HEADS, Number),
    &flag(&["base_num_kv_heads"], field::model::KEY_VALUE_HEADS, Number),
    &flag(&["base_mlp_dim"], field::model::FFN_HIDDEN_SIZE, Number),
    &flag(&["head_dim"], field::model::HEAD_SIZE, Number),
    &flag(&["vocab_size"], field::model::VOCAB_SIZE, Number),
    &flag(&["max_target_length"], field::batch::SEQUENCE_LENGTH, Number),
    &flag(&["steps"], field::dataset::STEPS, Number),
    &flag(
        &["dtype"],
        field::PRECISION,
        OneOf(&[("bfloat16", Precision::BF16), ("float16", Precision::FP16), ("float32", Precision::FP32)]),
    ),
    &flag(
        &["weight_dtype"],
        field::PARAMETER_PRECISION,
        OneOf(&[("bfloat16", Precision::BF16), ("float32", Precision::FP32)]),
    ),
    &flag(
        &["opt_type"],
        field::OPTIMIZER,
        OneOf(&[
            ("adamw", Optimizer::AdamW),
            ("adam_pax", Optimizer::AdamW),
            ("sgd", Optimizer::SGD),
            ("muon", Optimizer::Muon),
        ]),
    ),
    &flag(
        &["attention"],
        field::ATTENTION,
        OneOf(&[
            ("flash", Attention::Flash),
            ("cudnn_flash_te", Attention::Flash),
            ("dot_product", Attention::Unfused),
        ]),
    ),
    &flag(&["model_name"], field::model::NAME, Text),
];

/// The shape without a named model.
const SHAPE: &[Assignment] = &[
    field::model::LAYERS.is(16),
    field::model::HIDDEN_SIZE.is(2048),
    field::model::ATTENTION_HEADS.is(16),
    field::model::KEY_VALUE_HEADS.is(16),
    field::model::FFN_HIDDEN_SIZE.is(7168),
    field::model::VOCAB_SIZE.is(32_000),
];
const DEFAULTS: &[Assignment] = &[
    field::batch::SEQUENCE_LENGTH.is(2048),
    field::PRECISION.is(Precision::BF16),
    field::RECOMPUTE.is(Recompute::Full),
    field::OPTIMIZER.is(Optimizer::AdamW),
];

/// The axes of the mesh, with our fields.
const AXES: &[(&[&str], Field<u32>)] = &[
    (&["tensor", "tensor_transpose"], field::parallelism::TENSOR),
    (&["pipeline"], field::parallelism::PIPELINE),
    (&["context", "sequence"], field::parallelism::CONTEXT),
    (&["expert"], field::parallelism::EXPERT),
];

/// Whether the launch runs MaxText.
pub(crate) fn recognises(launch: &Launch) -> bool {
    match &launch.target {
        Target::Module(module) => MODULES.contains(&module.as_str()),
        Target::Script(path) => {
            path.to_lowercase().ends_with("maxtext/train.py")
                && config::positional(&launch.arguments).is_some()
        }
        Target::Program(_) | Target::Unknown => false,
    }
}

/// Claims the settings of the launch.
pub(crate) fn read(launch: &Launch, claims: &mut Claims) {
    claims.handed_on(field::FRAMEWORK, Framework::MaxText, format!("{}: its command", claims.place));
    let mut settings = Settings::of(vec![Place::Words(&launch.arguments)]);
    let path = config::positional(&launch.arguments).unwrap_or_default();
    let own = path.ends_with("configs/base.yml") || path.ends_with("configs/base.yaml");
    let known = launch.files.meant(path).is_some();
    if known && let Some(file) = config::named(launch, path, "its argument", claims) {
        settings.add(Place::File(file));
    }
    settings::read(TABLE, &settings, claims);
    let complete = (own || known) && !Written::default().may_hold_more(&launch.arguments);
    // A known file without a word is the usual case, even if a further word may beat it.
    let replica = mesh(&settings, own || known, claims);
    batch(&settings, replica, own && complete, claims);
    remat(&settings, claims);
    if settings.text(&["quantization"]).is_some_and(|format| format.contains("fp8")) {
        claims.handed_on(field::PRECISION, Precision::FP8, format!("{}: quantization", claims.place));
    }
    if complete {
        settings::assume(DEFAULTS, SOURCE, claims);
        if settings.text(&["model_name"]).is_none_or(|name| name == "default") {
            settings::assume(SHAPE, SOURCE, claims);
        }
    } else {
        claims.open_anyway(field::batch::MICRO_BATCH_SIZE, 1);
        claims.open(field::RECOMPUTE, Recompute::Full);
        claims.open(field::offload::OPTIMIZER, true);
        for field in [field::parallelism::TENSOR, field::parallelism::CONTEXT] {
            claims.open(field, 8);
        }
    }
    if settings.on(&["optimizer_memory_host_offload"]) == Some(true) {
        claims.handed_on(
            field::offload::OPTIMIZER,
            true,
            format!("{}: optimizer_memory_host_offload", claims.place),
        );
    }
}

/// Claims the degrees of the mesh. Returns how many devices compute a replica, if all degrees are known.
fn mesh(settings: &Settings<'_>, complete: bool, claims: &mut Claims) -> Option<u64> {
    let mut replica = Some(1_u64);
    for (axes, field) in AXES {
        let names: Vec<_> = axes
            .iter()
            .flat_map(|axis| ["ici", "dcn"].map(|network| format!("{network}_{axis}_parallelism")))
            .collect();
        let given: Vec<_> = names.iter().filter_map(|name| settings.get(&[name])).collect();
        // An axis of -1 takes the remaining devices.
        let degree = given
            .iter()
            .try_fold(1_u64, |all, setting| all.checked_mul(setting.number().filter(|n| *n > 0)?));
        match (degree, given.first()) {
            (Some(degree), Some(setting)) => setting.says(claims, *field, degree),
            (Some(degree), None) if complete => claims.assume(*field, degree, SOURCE),
            (Some(_), None) => {}
            (None, _) => claims.unparsed(*field),
        }
        let sure = degree.filter(|_| complete || !given.is_empty());
        if field.erased() != field::parallelism::EXPERT {
            replica = replica.zip(sure).and_then(|(all, one)| all.checked_mul(one));
        }
    }
    replica
}

/// Sequences that a replica computes at once.
fn batch(settings: &Settings<'_>, replica: Option<u64>, own: bool, claims: &mut Claims) {
    const FIELD: Field<u32> = field::batch::MICRO_BATCH_SIZE;
    let setting = settings.get(&["per_device_batch_size"]);
    let each = match &setting {
        Some(setting) => setting.text().and_then(|text| text.parse::<f64>().ok()),
        None => own.then_some(12.0),
    };
    let (Some(each), Some(replica)) = (each, replica) else { return };
    let sequences = each * replica as f64;
    // The spec has no fractions of a sequence.
    if !(1.0..1e6).contains(&sequences) {
        return;
    }
    let sequences = sequences.round() as u64;
    match setting {
        Some(setting) => setting.says(claims, FIELD, sequences),
        None => claims.assume(FIELD, sequences, SOURCE),
    }
    let steps = settings.number(&["gradient_accumulation_steps"]);
    claims.accumulation =
        Some((steps.unwrap_or(1).max(1), format!("{}: per_device_batch_size", claims.place).into()));
}

/// The tensors of a layer that `remat_policy=custom` may keep.
const NAMES: &[&str] =
    &["query_proj", "key_proj", "value_proj", "out_proj", "context", "mlpwi", "mlpwi_0", "mlpwi_1", "mlpwo"];

/// The recomputation in the backward pass: all but the tensors that the policy names.
fn remat(settings: &Settings<'_>, claims: &mut Claims) {
    let Some(setting) = settings.get(&["remat_policy"]) else { return };
    let Some(policy) = setting.text() else { return };
    match policy.as_str() {
        "full" => setting.says(claims, field::RECOMPUTE, Recompute::Full),
        "none" => setting.says(claims, field::RECOMPUTE, Recompute::None),
        "custom" => custom(settings, &setting, claims),
        _ => {
            setting.says(claims, field::RECOMPUTE, Recompute::Selective);
            setting.says(claims, field::RECOMPUTE_MODULES, vec![policy.clone()]);
        }
    }
    if policy.contains("offload") {
        setting.says(claims, field::offload::ACTIVATIONS, true);
    }
}

/// The job's own policy: `query_proj=device mlpwo=offload`, and `remat` for the others.
fn custom(settings: &Settings<'_>, policy: &Setting, claims: &mut Claims) {
    let place = |name: &str| settings.text(&[name]).unwrap_or_default();
    let kept: Vec<_> = NAMES.iter().filter(|name| place(name) == "device").collect();
    if NAMES.iter().any(|name| place(name) == "offload") {
        policy.says(claims, field::offload::ACTIVATIONS, true);
    }
    if kept.is_empty() {
        policy.says(claims, field::RECOMPUTE, Recompute::Full);
        return;
    }
    // The two products of a gated network count as one name.
    let mut names: Vec<_> = kept.iter().map(|name| name.split("_0").next().unwrap_or_default()).collect();
    names.retain(|name| *name != "mlpwi_1");
    names.dedup();
    policy.says(claims, field::RECOMPUTE, Recompute::Selective);
    policy.says(claims, field::RECOMPUTE_MODULES, names);
}
