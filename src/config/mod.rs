//! What an administrator decides: [`Arguments`] as they are typed, [`Settings`] as they hold together.
//!
//! Every argument can be given in the environment too, as `WEIGHBRIDGE_` and its name in capitals.

mod arguments;
mod settings;

pub use arguments::Arguments;
pub use settings::Settings;
