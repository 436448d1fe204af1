//! Where the other models of reinforcement learning are while the actor trains.

use crate::frameworks::reading::claims::Claims;
use crate::job::{Method, Placement, field};

/// A model that may be there, on the actor's accelerators: with its weights on the host between its uses, or sharded.
pub(crate) fn beside(is_there: bool, on_host: bool) -> Placement {
    match (is_there, on_host) {
        (false, _) => Placement::Elsewhere,
        (true, true) => Placement::Offloaded,
        (true, false) => Placement::Sharded,
    }
}

/// Claims the place of the reference, if the actor is compared with one. Beside adapters it is the model without them.
pub(crate) fn reference(is_compared: bool, on_host: bool, source: &str, claims: &mut Claims) {
    let is_adapted = claims.get(field::finetuning::METHOD) == Some(Method::LoRA);
    let place = if is_compared && is_adapted { Placement::AdaptersOff } else { beside(is_compared, on_host) };
    claims.assume(field::roles::REFERENCE_MODEL, place, source);
}
