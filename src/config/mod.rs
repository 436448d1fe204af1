//! What an administrator decides: [`Arguments`] as they are typed, [`Settings`] as they hold together, and
//! the [`policy`], which a file may change while the process runs.
//!
//! Every argument can be given in the environment too, as `WEIGHBRIDGE_` and its name in capitals.

mod arguments;
pub mod policy;
mod settings;

pub use arguments::Arguments;
pub use settings::Settings;
