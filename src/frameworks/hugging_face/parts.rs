//! Models of images and text of which a part is frozen: which parts a program's options train.
//!
//! | options | language model | towers | projection | read from |
//! | --- | --- | --- | --- | --- |
//! | `tune_mm_llm`, `tune_mm_vision`, `tune_mm_mlp` | off unless told | off | off | QwenLM/Qwen3-VL at 9658872, `qwenvl/train` |
//! | `freeze_llm`, `freeze_backbone`, `freeze_mlp` | trained unless told | trained | trained | `OpenGVLab/InternVL` at 2410d1d, `internvl_chat_finetune.py` |
//! | `freeze_llm`, `freeze_vision_tower`, `freeze_merger` | trained | trained | trained | 2U1/Qwen2-VL-Finetune at 6695161, `src/params.py` |
//! | `tune_mm_mlp_adapter` | frozen if on | frozen | trained | `haotian-liu/LLaVA` at c121f04, and its kin Bunny, MGM |
//! | `mm_tunable_parts` | in the list | in the list | in the list | `LLaVA-VL/LLaVA-NeXT` at df17966 |
//! | `tune_language_model`, `tune_vision_tower`, `tune_mm_projector` | off | off | off | `NVlabs/VILA` at b760c34 |
//! | `tune_type_llm`, `…_vision_tower`, `…_connector`: `full`, `frozen`, `lora` | frozen | frozen | full | `TinyLLaVA_Factory` at 53f12c7 |
//! | `tune_llm`, `tune_vision` | trained | trained | trained | `OpenBMB/MiniCPM-V` at 0dbb566, `finetune/finetune.py` |
//! | `fix_vit` | trained | frozen | frozen | `QwenLM/Qwen-VL` at aa00ed0 |
//!
//! Adapters of the language model leave it frozen; what else is trained is trained whole beside it (`finetuning.wholeTowers`). A frozen
//! language model keeps its weights, and passes the gradient to what lies before it. Options that train some layers of a part
//! stay uncovered.

use crate::command::Launch;
use crate::frameworks::hugging_face::training_arguments;
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::settings::{Setting, Settings};
use crate::job::{Attention, Method, Recompute, field};
use crate::model::known;

/// How an option speaks of a part.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Says {
    /// It is trained if the option is on.
    Trains,
    /// It is frozen if the option is on.
    Freezes,
}

use Says::{Freezes, Trains};

/// An option, and whether its part is trained without it.
type Part = (&'static str, Says, bool);

/// Options of one project, of which the first ones tell it.
struct Family {
    told_by: &'static [&'static str],
    language: Part,
    towers: Part,
    projection: Part,
}

const FAMILIES: &[Family] = &[
    Family {
        told_by: &["tune_mm_llm", "tune_mm_vision"],
        language: ("tune_mm_llm", Trains, false),
        towers: ("tune_mm_vision", Trains, false),
        projection: ("tune_mm_mlp", Trains, false),
    },
    Family {
        told_by: &["freeze_merger", "freeze_vision_tower"],
        language: ("freeze_llm", Freezes, true),
        towers: ("freeze_vision_tower", Freezes, true),
        projection: ("freeze_merger", Freezes, true),
    },
    Family {
        told_by: INTERNVL,
        language: ("freeze_llm", Freezes, true),
        towers: ("freeze_backbone", Freezes, true),
        projection: ("freeze_mlp", Freezes, true),
    },
    Family {
        told_by: &["tune_language_model", "tune_mm_projector"],
        language: ("tune_language_model", Trains, false),
        towers: ("tune_vision_tower", Trains, false),
        projection: ("tune_mm_projector", Trains, false),
    },
    Family {
        told_by: &["tune_type_llm", "tune_type_connector"],
        language: ("tune_type_llm", Trains, false),
        towers: ("tune_type_vision_tower", Trains, false),
        projection: ("tune_type_connector", Trains, true),
    },
    Family {
        told_by: &["tune_vision", "tune_llm"],
        language: ("tune_llm", Trains, true),
        towers: ("tune_vision", Trains, true),
        projection: ("", Trains, true),
    },
    Family {
        told_by: &["fix_vit"],
        language: ("", Trains, true),
        towers: ("fix_vit", Freezes, false),
        projection: ("", Trains, false),
    },
];

/// The language model that `InternVL`'s first stage joins with a tower.
pub(super) const JOINED: &[&str] = &["llm_path"];
const INTERNVL: &[&str] = &["freeze_mlp", "use_llm_lora", "force_image_size"];
/// Options that train some layers of a part.
const SOME_LAYERS: &[&str] =
    &["unfreeze_vit_layers", "unfreeze_topk_llm", "unfreeze_topk_vision", "tune_vision_tower_from_layer"];
/// Options of `LLaVA` and its kin.
const PROJECTION_ALONE: &[&str] = &["tune_mm_mlp_adapter"];
const LISTED: &[&str] = &["mm_tunable_parts"];
/// Towers of `InternVL`: the end of the name, parameters, width before the projection. Counted from `configuration_intern_vit.py` with the
/// sizes of `internvl_chat` at 2410d1d: 24 layers of 1024, and 45 of 3200.
const TOWERS: &[(&str, u64, u64)] =
    &[("internvit-300m-448px", 304_012_288, 4_096), ("internvit-6b-448px", 5_536_496_000, 12_800)];

/// Which parts are trained.
#[derive(Clone, Copy)]
struct Trained {
    language: bool,
    towers: bool,
    projection: bool,
}

/// Whether an option of the launch says it.
pub(super) fn tells(launch: &Launch) -> bool {
    let families = FAMILIES.iter().flat_map(|family| family.told_by);
    families.chain(PROJECTION_ALONE).chain(LISTED).any(|option| launch.arguments.has(option))
}

/// Claims which parts are trained. `None` if no option says it, or some layers of a part are trained.
pub(super) fn read(settings: &Settings<'_>, claims: &mut Claims) -> Option<()> {
    let by_layers =
        |option: &&&str| settings.get(&[**option]).is_some_and(|setting| setting.number() != Some(0));
    if SOME_LAYERS.iter().filter(by_layers).count() > 0 {
        return None;
    }
    let (trained, by) = listed(settings).or_else(|| alone(settings)).or_else(|| of_family(settings))?;
    joined(settings, claims);
    adapters_by_rank(settings, claims);
    checkpointed(settings, claims);
    let adapted = claims.get(field::finetuning::METHOD).is_some_and(|method| method != Method::Full)
        && claims.gives(field::finetuning::METHOD);
    if !trained.language && !trained.towers && !trained.projection && !adapted {
        return None;
    }
    let frozen = adapted || !trained.language;
    if frozen && !adapted {
        by.says(claims, field::finetuning::FREEZE_LANGUAGE_MODEL, true);
    } else if !adapted {
        by.says(claims, field::finetuning::METHOD, Method::Full);
    }
    if frozen {
        by.says(claims, field::finetuning::WHOLE_TOWERS, trained.towers);
    }
    by.says(claims, field::finetuning::TRAIN_TOWERS, trained.towers);
    by.says(claims, field::finetuning::TRAIN_PROJECTION, trained.projection);
    Some(())
}

/// `mm_vision_tower,mm_mlp_adapter,mm_language_model`.
fn listed(settings: &Settings<'_>) -> Option<(Trained, Setting)> {
    let setting = settings.get(LISTED)?;
    let text = setting.text()?;
    let has = |part: &str| text.split(',').any(|word| word.trim() == part);
    let trained = Trained {
        language: has("mm_language_model"),
        towers: has("mm_vision_tower"),
        projection: has("mm_mlp_adapter"),
    };
    Some((trained, setting))
}

/// The projection alone.
fn alone(settings: &Settings<'_>) -> Option<(Trained, Setting)> {
    let setting = settings.get(PROJECTION_ALONE).filter(|setting| setting.truth() == Some(true))?;
    Some((Trained { language: false, towers: false, projection: true }, setting))
}

fn of_family(settings: &Settings<'_>) -> Option<(Trained, Setting)> {
    let family =
        FAMILIES.iter().find(|family| family.told_by.iter().any(|option| settings.has(&[option])))?;
    let by = family.told_by.iter().find_map(|option| settings.get(&[option]))?;
    let part = |(option, says, unasked): Part| {
        let Some(setting) = settings.get(&[option]).filter(|_| !option.is_empty()) else {
            return Some(unasked);
        };
        // Words of a recipe are no switches.
        let on = match setting.text().as_deref() {
            Some("full") => true,
            Some("frozen" | "lora" | "qlora") => false,
            _ => setting.truth()?,
        };
        Some(on == (says == Trains))
    };
    let trained = Trained {
        language: part(family.language)?,
        towers: part(family.towers)?,
        projection: part(family.projection)?,
    };
    Some((trained, by))
}

/// Adapters whose switch is their rank, or the recipe of a part.
fn adapters_by_rank(settings: &Settings<'_>, claims: &mut Claims) {
    if let Some(setting) = settings.get(&["use_llm_lora"])
        && let Some(rank) = setting.number().filter(|rank| *rank > 0)
    {
        setting.says(claims, field::finetuning::METHOD, Method::LoRA);
        setting.says(claims, field::finetuning::RANK, rank);
        claims.assume(field::finetuning::TARGETS, vec!["all-linear"], "InternVL default");
    }
    if let Some(setting) = settings.get(&["tune_type_llm"]) {
        match setting.text().as_deref() {
            Some("lora") => setting.says(claims, field::finetuning::METHOD, Method::LoRA),
            Some("qlora") => setting.says(claims, field::finetuning::METHOD, Method::QLoRA),
            _ => {}
        }
    }
}

/// `InternVL` checkpoints unless `grad_checkpoint` is off, and has Flash attention.
fn checkpointed(settings: &Settings<'_>, claims: &mut Claims) {
    if INTERNVL.iter().any(|option| settings.has(&[option])) {
        training_arguments::recompute(settings, &["grad_checkpoint"], claims);
        claims.assume(field::RECOMPUTE, Recompute::Full, "InternVL default");
        claims.assume(field::ATTENTION, Attention::Flash, "InternVL default");
    }
}

/// A language model and a tower that are joined for the first time.
fn joined(settings: &Settings<'_>, claims: &mut Claims) {
    if claims.knows(field::model::NAME) {
        return;
    }
    if let Some((name, setting)) = settings.get(JOINED).and_then(|setting| Some((setting.text()?, setting))) {
        setting.says(claims, field::model::NAME, name.as_str());
        let Some(tower) = settings.get(&["vision_path"]) else { return };
        let path = tower.text().unwrap_or_default().to_lowercase();
        let Some((_, count, width)) = TOWERS.iter().find(|(begin, ..)| path.contains(begin)) else { return };
        let hidden = known::find(&name).and_then(|known| known.model.hidden_size).map_or(0, u64::from);
        let projection = hidden.saturating_mul(width.saturating_add(hidden).saturating_add(2));
        tower.says(claims, field::model::TOWER_PARAMETERS, count.saturating_add(projection));
        tower.says(claims, field::model::PROJECTION_PARAMETERS, projection.max(1));
    }
}
