//! What a launch says of the training job: one framework a file, each with its arguments, its environment, its
//! configuration files and its defaults, with the version that they were read from.
//!
//! [`READERS`] is the one list. Every reader that recognises a launch reads it, in this order: what starts programs
//! first (its configuration may hold for whatever it starts), then the program itself.

mod facts;
mod flags;
mod program;
mod said;

pub(super) use program::{Program, bytes, program};
pub(crate) use said::{Offered, Said};

use super::accelerator::Request;
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

/// What the launches say: the first that any reader recognises, else the first that has a launcher, of which only the
/// launcher is believed.
pub(super) fn read(launches: &[Launch], requests: &[Request<'_>]) -> Said {
    let readers =
        |launch: &Launch| READERS.iter().filter(|reader| (reader.recognises)(launch)).collect::<Vec<_>>();
    let recognised =
        launches.iter().map(|launch| (launch, readers(launch))).find(|(_, readers)| !readers.is_empty());
    let launched =
        || launches.iter().find(|launch| !launch.launchers.is_empty()).map(|launch| (launch, Vec::new()));
    let Some((launch, readers)) = recognised.or_else(launched) else { return Said::default() };
    let mut said = Said { place: launch.place.clone(), ..Said::default() };
    facts::read(launch, &mut said);
    for reader in readers {
        (reader.read)(launch, &mut said);
    }
    let mut launched = launches.iter().filter(|launch| !launch.launchers.is_empty());
    if launched.all(|other| other.launchers == launch.launchers && other.target == launch.target) {
        facts::shrink(launch, requests, &mut said);
    }
    let doubts = facts::doubts(launch, requests, &said);
    said.warnings.extend(doubts);
    said
}
