//! Training that the estimate does not cover, by its command ([`purpose`]). The values that were read are shown, and
//! the job is admitted.

use crate::command::{Launch, purpose};
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::{
    ai_toolkit, diffsynth, diffusion, diffusion_pipe, hugging_face, musubi_tuner, published_scripts,
    simple_tuner,
};
use crate::job::{Cause, field};

/// Whether the launch is such a training.
pub(super) fn recognises(launch: &Launch) -> bool {
    why(launch).is_some()
}

/// Why it is not covered: its name and options, or its text.
fn why(launch: &Launch) -> Option<Cause> {
    purpose::why(launch).or_else(|| trains_on_images(launch).then_some(Cause::Vision))
}

/// Whether its text is a training loop over convolutions.
fn trains_on_images(launch: &Launch) -> bool {
    let Some(program) = launch.script.as_ref().and_then(|script| script.program.as_ref()) else {
        return false;
    };
    let calls = |name: &str| program.calls.iter().any(|call| call.runs != Some(false) && call.name() == name);
    let has_text_models = program.packages.contains("transformers") || program.packages.contains("diffusers");
    !has_text_models && calls("backward") && (calls("Conv2d") || program.packages.contains("torchvision"))
}

/// Whether a reader of diffusion trainers recognises it.
fn trains_diffusion(launch: &Launch) -> bool {
    let readers = [
        diffusion::recognises,
        diffsynth::recognises,
        musubi_tuner::recognises,
        simple_tuner::recognises,
        ai_toolkit::recognises,
        diffusion_pipe::recognises,
    ];
    readers.iter().any(|recognises| recognises(launch))
}

/// Records why it is not covered.
pub(super) fn read(launch: &Launch, claims: &mut Claims) {
    // A reader that names the objective covers it.
    let is_read = |cause: &Cause| {
        claims.knows(field::OBJECTIVE) && purpose::is_an_objective(*cause)
            || *cause == Cause::Diffusion && trains_diffusion(launch)
            || *cause == Cause::Images
                && (published_scripts::has_tower(launch) || hugging_face::trains_parts(launch))
    };
    claims.beyond = claims.beyond.or(why(launch).filter(|cause| !is_read(cause)));
}
