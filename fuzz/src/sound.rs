//! What holds for every judgement: its bounds, what its fields say of each other, and that it is the same each time.

use serde_json::Value;
use weighbridge::job::Ask;
use weighbridge::judge::judge;
use weighbridge::judgement::{Judgement, Reason, Verdict};
use weighbridge::policy::World;
use weighbridge::surroundings::Surroundings;

/// Judges an object twice.
///
/// # Errors
/// The law that the judgement breaks.
pub fn check(object: &Value, around: &Surroundings) -> Result<Judgement, String> {
    let judged = || judge(object, around, &World::built_in(), &Ask::default());
    let judgement = judged();
    sound(&judgement)?;
    let printed = |judgement: &Judgement| serde_json::to_string(judgement).map_err(|error| error.to_string());
    let (once, again) = (printed(&judgement)?, printed(&judged())?);
    (once == again).then_some(judgement).ok_or(format!("two judgements differ:\n{once}\n{again}"))
}

/// # Errors
/// The law that the judgement breaks.
pub fn sound(judgement: &Judgement) -> Result<(), String> {
    let Judgement { verdict, reason, message, warnings, inputs, errors, .. } = judgement;
    for line in warnings.iter().chain([message]) {
        law(line.chars().count() <= 256 && !line.chars().any(char::is_control), "a line", line)?;
    }
    law(warnings.len() <= 16, "at most 16 warnings", warnings)?;
    law(inputs.len() <= 96, "at most 96 inputs", inputs)?;
    law(judgement.advice.len() <= 5, "at most 5 pieces of advice", &judgement.advice)?;
    for input in inputs {
        let short = input.value.chars().count() <= 64 && input.source.chars().count() <= 256;
        law(short, "an input is short", input)?;
    }
    law(errors.is_empty() || *reason == Reason::Malformed, "errors make an object malformed", errors)?;
    let probability = judgement.oom_probability;
    law(probability.is_none_or(|p| (0.0..=1.0).contains(&p)), "a probability", &probability)?;
    let decided = matches!(verdict, Verdict::Fits | Verdict::Tight | Verdict::OutOfMemory);
    law(!decided || (probability.is_some() && judgement.memory.is_some()), "a verdict has figures", verdict)?;
    if *verdict == Verdict::NotTraining {
        law(warnings.is_empty() && inputs.is_empty(), "nothing is said of what does not train", judgement)?;
        // An object with accelerators says why it is not judged.
        let why = message.is_empty() || message.contains("trains nothing: ");
        law(why, "what does not train says at most why", message)?;
    } else {
        law(!message.is_empty(), "a verdict has a message", verdict)?;
    }
    if *verdict == Verdict::Unknown && errors.is_empty() {
        let unread = matches!(
            reason,
            Reason::TooLarge
                | Reason::NotReadToEnd
                | Reason::ReferenceNotFound
                | Reason::WorkloadNotFound
                | Reason::Unsupported
                | Reason::UnsupportedAccelerator
        );
        law(unread || !judgement.missing.is_empty(), "an unknown verdict says what is missing", judgement)?;
    }
    if let Some(memory) = &judgement.memory {
        let ordered = memory.lower_bytes <= memory.peak_bytes && memory.peak_bytes <= memory.upper_bytes;
        law(ordered, "the point lies between the bounds", memory)?;
    }
    Ok(())
}

fn law(holds: bool, law: &str, about: &impl std::fmt::Debug) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("{law}: {about:?}")) }
}
