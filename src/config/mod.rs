//! The administrator's configuration: [`Arguments`] of the command line, [`Settings`] after they are checked
//! together, and the [`policy`], whose file may change while the process runs.
//!
//! Every argument has an environment variable too: `WEIGHBRIDGE_` and its name in capitals.

mod arguments;
pub mod policy;
mod settings;

pub use arguments::{Arguments, TlsMode};
pub use settings::Settings;
