//! What a launch says of the training job: one framework a file, each with its arguments, its environment, its
//! configuration files and its defaults, with the version that they were read from.
//!
//! [`READERS`] is the one list. Every reader that recognises a launch reads it, in this order: what starts programs
//! first (its configuration may hold for whatever it starts), then the program itself.

mod flags;
mod program;
mod said;

pub(super) use program::{Program, bytes, program};
pub(crate) use said::{Offered, Said};

use super::command::Launch;

/// A framework whose launches are read.
pub(crate) struct Reader {
    /// Its name, for the documentation.
    pub(crate) name: &'static str,
    /// Whether it is this framework's launch.
    pub(crate) recognises: fn(&Launch) -> bool,
    /// What it says.
    pub(crate) read: fn(&Launch, &mut Said),
}

/// Every framework that is read.
pub(crate) static READERS: &[Reader] = &[];

/// What the launches say, the first that any reader recognises.
pub(super) fn read(launches: &[Launch]) -> Said {
    let recognised = launches.iter().find_map(|launch| {
        let readers: Vec<_> = READERS.iter().filter(|reader| (reader.recognises)(launch)).collect();
        (!readers.is_empty()).then_some((launch, readers))
    });
    let Some((launch, readers)) = recognised else { return Said::default() };
    let mut said = Said { place: launch.place.clone(), ..Said::default() };
    for reader in readers {
        (reader.read)(launch, &mut said);
    }
    said
}
